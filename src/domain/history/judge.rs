//! The rules.

use std::collections::{HashMap, HashSet};

use super::shaky::{self, Seen};
use super::{Attempted, Insight, Run, Verdict};
use crate::report::{Outcome, Report};

/// A test that passed so often, and always, does not fail twice in a row by chance.
const SOUND: u32 = 100;
/// A run that lacks more than this share of the base's tests, and more than so many, is part of one.
const PART: f64 = 0.25;
const PART_AT_LEAST: usize = 5;

/// What one job did, the newest first, with what it does now.
struct Past<'a>(Vec<&'a Attempted>);

impl Past<'_> {
    /// How a test did, wherever it ran.
    fn of(&self, test: u32) -> impl DoubleEndedIterator<Item = (&Attempted, &Run)> {
        let all = self.0.iter();
        all.filter_map(move |attempted| Some((*attempted, attempted.run(test)?)))
    }

    /// How often a test failed, and ran, on other commits than this one.
    fn record(&self, test: u32, commit: &str) -> (u32, u32) {
        let runs = self
            .of(test)
            .filter(|(one, run)| one.commit != commit && run.outcome != Outcome::Skipped);
        runs.fold((0, 0), |(failed, all), (_, run)| {
            (failed + u32::from(run.failed()), all + 1)
        })
    }

    /// Whether a test that failed on the base was broken, and did not fail by chance: it failed more than once since it
    /// passed on this line of commits, and not before that.
    fn was_broken(&self, line: &[&Attempted], test: u32) -> bool {
        let green = |attempted: &&&Attempted| {
            let run = attempted.run(test);
            run.is_some_and(|run| run.outcome == Outcome::Passed)
        };
        let Some(green) = line.iter().find(green) else {
            return true;
        };
        let red = self.of(test).filter(|(_, run)| run.outcome.is_red());
        let (since, before): (Vec<_>, Vec<_>) =
            red.partition(|(attempted, _)| attempted.at_ms > green.at_ms);
        since.len() > 1 && before.is_empty()
    }

    /// Whether a test is flaky, as far as these attempts tell, and as of the newest of them.
    fn flaky(&self, test: u32) -> Option<Verdict> {
        let oldest_first = self.of(test).rev();
        let found = shaky::flaky(oldest_first.map(|(attempted, run)| Seen {
            tested: &attempted.tested,
            at_ms: attempted.at_ms,
            outcome: run.outcome,
            failed: run.failed(),
        }))?;
        Some(Verdict::Flaky {
            failed: found.failed,
            runs: found.runs,
            since_ms: found.since_ms,
        })
    }
}

/// Says of the failed tests of a report what is known of them. `numbers` are those of the report's tests, in its order;
/// `now` is this attempt, `past` what the same job did before, the newest first; `ancestors` are the commits that the
/// change stands on, the nearest first; `in_diff` are ids of failed tests on lines that the change adds.
pub fn judge(
    report: &Report,
    numbers: &[u32],
    now: &Attempted,
    past: &[Attempted],
    ancestors: &[String],
    in_diff: &[String],
) -> Insight {
    let mut by_commit: HashMap<&str, &Attempted> = HashMap::new();
    for attempted in past {
        by_commit.entry(&attempted.commit).or_insert(attempted);
    }
    let line: Vec<&Attempted> = ancestors
        .iter()
        .filter_map(|commit| by_commit.get(commit.as_str()).copied())
        .collect();
    let past = Past(std::iter::once(now).chain(past).collect());
    let mut insight = Insight {
        base: line.first().map(|base| base.build),
        ..Insight::default()
    };
    for (test, number) in report.tests.iter().zip(numbers) {
        match test.outcome {
            Outcome::Failed | Outcome::Error => {
                let is_mine = in_diff.contains(&test.id);
                let verdict = failure(&past, &line, now, *number, is_mine);
                insight.verdicts.push((test.id.clone(), verdict));
            }
            Outcome::Passed => {
                let failed_before = streak(&line, *number).next().is_some();
                if failed_before && past.flaky(*number).is_none() && past.was_broken(&line, *number)
                {
                    insight.fixed.push(test.id.clone());
                }
            }
            Outcome::Skipped => {}
        }
    }
    insight.verdicts.sort_by_key(|(_, verdict)| verdict.rank());
    if let Some(base) = line.first() {
        count(&mut insight, report, numbers, base);
    }
    insight
}

/// The attempts on a line of commits, the nearest first, in which a test failed without having passed in between. Those
/// that ran a part only, or skipped it, say nothing.
fn streak<'a>(line: &'a [&Attempted], test: u32) -> impl Iterator<Item = &'a Attempted> {
    let ran = line.iter().filter_map(move |attempted| {
        let run = attempted.run(test)?;
        (run.outcome != Outcome::Skipped).then_some((*attempted, run))
    });
    let red = ran.take_while(|(_, run)| run.outcome.is_red());
    red.map(|(attempted, _)| attempted)
}

/// What is known of a test that fails now.
fn failure(
    past: &Past<'_>,
    line: &[&Attempted],
    now: &Attempted,
    number: u32,
    in_diff: bool,
) -> Verdict {
    if let Some(flaky) = past.flaky(number) {
        return flaky;
    }
    if let Some(oldest) = streak(line, number).last() {
        return Verdict::AlsoOnBase {
            since: oldest.build,
        };
    }
    // A test that nobody has seen before fails in the change that brings it.
    let is_first = past.of(number).nth(1).is_none();
    let (failed, runs) = past.record(number, &now.commit);
    let mut here = past.of(number);
    let again = here.any(|(one, _)| {
        one.commit == now.commit && (one.build, one.attempt) != (now.build, now.attempt)
    });
    let is_sound = failed == 0 && (in_diff || (again && runs >= SOUND));
    if !line.is_empty() && (is_first || is_sound) {
        Verdict::New
    } else {
        Verdict::Unsure { failed, runs }
    }
}

/// How many tests came, went, and are skipped now.
fn count(insight: &mut Insight, report: &Report, numbers: &[u32], base: &Attempted) {
    let mut there = HashSet::new();
    let size = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    for (test, number) in report.tests.iter().zip(numbers) {
        there.insert(*number);
        match base.run(*number) {
            None => insight.added += 1,
            Some(run) if run.outcome != Outcome::Skipped && test.outcome == Outcome::Skipped => {
                insight.newly_skipped += 1;
            }
            Some(_) => {}
        }
    }
    let gone = base.runs.iter().filter(|run| !there.contains(&run.test));
    let gone = gone.count();
    #[expect(clippy::cast_precision_loss, reason = "counts of tests")]
    let part = gone > PART_AT_LEAST && gone as f64 > PART * base.runs.len() as f64;
    insight.partial = part;
    insight.removed = if part { 0 } else { size(gone) };
}
