//! Which jobs of a build may start, and which never will.

use std::collections::{HashMap, HashSet};

use super::build::{Conclusion, State};

/// What scheduling has to know of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot<'a> {
    /// The job's key.
    pub key: &'a str,
    /// The keys of the jobs that it needs.
    pub needs: &'a [String],
    /// Where it is.
    pub state: State,
    /// How it ended, when it has.
    pub conclusion: Option<Conclusion>,
}

/// What becomes of a blocked job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It may start.
    Queue,
    /// It never will, because of this job.
    Skip {
        /// The key of the job that it needed.
        because: String,
    },
}

/// Decides over the blocked jobs, given in the order of the plan (needs before dependents).
/// A job skipped by `when` satisfies; one that was left out because of another one does not,
/// and neither does one that failed or was cancelled. Returns positions in `slots`.
pub fn advance(slots: &[Slot<'_>]) -> Vec<(usize, Step)> {
    let known: HashMap<&str, (usize, &Slot<'_>)> = slots
        .iter()
        .enumerate()
        .map(|(position, slot)| (slot.key, (position, slot)))
        .collect();
    let mut steps: Vec<(usize, Step)> = Vec::new();
    let mut left_out: HashSet<usize> = HashSet::new();
    for (position, slot) in slots.iter().enumerate() {
        if slot.state != State::Blocked {
            continue;
        }
        let mut ready = true;
        let mut broken = None;
        for need in slot.needs {
            let Some((index, needed)) = known.get(need.as_str()) else {
                continue;
            };
            let good = matches!(
                needed.conclusion,
                Some(Conclusion::Success | Conclusion::Skipped | Conclusion::Neutral)
            );
            if left_out.contains(index) || (needed.state == State::Finished && !good) {
                broken = Some(need.clone());
                break;
            }
            ready &= needed.state == State::Finished;
        }
        match broken {
            Some(because) => {
                left_out.insert(position);
                steps.push((position, Step::Skip { because }));
            }
            None if ready => steps.push((position, Step::Queue)),
            None => {}
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::{Slot, Step, advance};
    use crate::domain::{Conclusion, State};

    fn slot<'a>(key: &'a str, needs: &'a [String], end: Option<Conclusion>) -> Slot<'a> {
        Slot {
            key,
            needs,
            state: if end.is_some() {
                State::Finished
            } else {
                State::Blocked
            },
            conclusion: end,
        }
    }

    #[test]
    fn a_failed_need_leaves_out_all_that_depend_on_it() {
        let lint = ["lint".to_owned()];
        let test = ["test".to_owned()];
        let slots = [
            slot("lint", &[], Some(Conclusion::Failure)),
            slot("test", &lint, None),
            slot("deploy", &test, None),
        ];
        assert_eq!(
            advance(&slots),
            [
                (
                    1,
                    Step::Skip {
                        because: "lint".into()
                    }
                ),
                (
                    2,
                    Step::Skip {
                        because: "test".into()
                    }
                ),
            ]
        );
    }

    #[test]
    fn a_need_skipped_by_when_satisfies() {
        let lint = ["lint".to_owned()];
        let slots = [
            slot("lint", &[], Some(Conclusion::Skipped)),
            slot("test", &lint, None),
        ];
        assert_eq!(advance(&slots), [(1, Step::Queue)]);
    }
}
