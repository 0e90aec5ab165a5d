//! Which tests took much longer than they usually do.
//!
//! Times of tests are noisy, and a machine that is busy makes all of them longer. So a time is compared with the median of
//! the passes before it, and has to be over it by a half, by half a second, and by several times of what is usual for that
//! test, of which the median of the distances from the median is a measure that single outliers do not move.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::packed::{Packed, seconds};

/// With fewer passes nothing is said.
const ENOUGH: usize = 10;
/// Passes that are looked back at.
const LOOKED_AT: usize = 30;
/// How many times the usual it takes at least.
const TIMES: f64 = 1.5;
/// How many seconds more than usual it takes at least.
const MORE: f64 = 0.5;
/// How many standard deviations more than usual it takes at least.
const DEVIATIONS: f64 = 5.0;
/// What the median distance is of a standard deviation, where times are distributed normally.
const NORMAL: f64 = 1.4826;
/// The times before are known to three percent only.
const KNOWN_TO: f64 = 0.03;

/// How long a test took before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usual {
    /// The median, in seconds.
    pub seconds: f64,
    /// The median of the distances from it.
    pub spread: f64,
}

impl Usual {
    /// Out of the times of at least ten passes; `None` where there are fewer.
    pub fn of(times: &[f64]) -> Option<Self> {
        if times.len() < ENOUGH {
            return None;
        }
        let seconds = median(times.to_vec())?;
        let distances = times.iter().map(|time| (time - seconds).abs());
        Some(Self {
            seconds,
            spread: median(distances.collect())?,
        })
    }

    /// Whether a pass of so many seconds was significantly slower.
    pub fn is_exceeded_by(&self, seconds: f64) -> bool {
        let spread = self.spread.max(KNOWN_TO * self.seconds);
        seconds >= TIMES * self.seconds
            && seconds >= self.seconds + MORE
            && seconds >= self.seconds + DEVIATIONS * NORMAL * spread
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let (before, at, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let at = *at;
    if before.len() < middle || values.len() % 2 == 1 {
        return Some(at);
    }
    let (lower, _) = values.split_at(middle);
    let below = lower.iter().copied().max_by(f64::total_cmp)?;
    Some(f64::midpoint(below, at))
}

/// A test that took longer than it usually does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slower {
    /// Its number.
    pub test: u32,
    /// What it took.
    pub seconds: f64,
    /// What it usually takes.
    pub usual: f64,
}

/// Whether a test that took so many seconds may be significantly slower than before at all.
pub fn may_be(seconds: f64) -> bool {
    seconds >= MORE
}

/// Of the tests that passed now, with their times in seconds, those that took significantly longer than in the attempts
/// before, which are the newest first. Those that take most more time come first.
pub fn slower(now: &[(u32, f64)], newest_first: &[Packed]) -> Vec<Slower> {
    let long = now.iter().filter(|(_, seconds)| may_be(*seconds));
    let mut times: HashMap<u32, Vec<f64>, FixedState> =
        long.map(|(test, _)| (*test, Vec::new())).collect();
    if times.is_empty() {
        return Vec::new();
    }
    for attempt in newest_first {
        for run in attempt.runs().filter(|run| run.is_clean()) {
            let Some(seconds) = seconds(run.time) else {
                continue;
            };
            if let Some(known) = times.get_mut(&run.test)
                && known.len() < LOOKED_AT
            {
                known.push(seconds);
            }
        }
    }
    let found = now.iter().filter_map(|(test, seconds)| {
        let usual = Usual::of(times.get(test)?)?;
        usual.is_exceeded_by(*seconds).then_some(Slower {
            test: *test,
            seconds: *seconds,
            usual: usual.seconds,
        })
    });
    let mut found: Vec<Slower> = found.collect();
    found.sort_by(|one, other| {
        let more = |slower: &Slower| slower.seconds - slower.usual;
        more(other).total_cmp(&more(one))
    });
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Usual, slower};
    use crate::domain::history::{Packed, Run, pack};
    use crate::report::Outcome;

    fn attempt(build: i64, runs: &[(u32, Outcome, f64)]) -> Packed {
        let runs: Vec<Run> = runs
            .iter()
            .map(|(test, outcome, seconds)| Run {
                test: *test,
                outcome: *outcome,
                flaky: false,
                seconds: Some(*seconds),
            })
            .collect();
        Packed {
            build,
            attempt: 1,
            commit: format!("c{build}"),
            tested: format!("c{build}"),
            at_ms: build,
            bytes: pack(&runs),
        }
    }

    fn past(times: &[f64]) -> Vec<Packed> {
        let times = times.iter().enumerate();
        times
            .map(|(at, time)| {
                let build = i64::try_from(at).unwrap();
                attempt(build, &[(1, Outcome::Passed, *time)])
            })
            .collect()
    }

    #[test]
    fn a_test_is_slower_when_it_takes_half_more_and_half_a_second() {
        let past = past(&[0.9; 10]);
        for (seconds, is_slower) in [(0.9, false), (1.39, false), (1.45, true), (2.4, true)] {
            let found = slower(&[(1, seconds)], &past);
            assert_eq!(found.len(), usize::from(is_slower), "{seconds}");
        }
        let found = slower(&[(1, 2.4)], &past);
        assert!((found[0].usual - 0.9).abs() < 0.03, "{found:?}");
        assert!(slower(&[(2, 2.4)], &past).is_empty(), "nobody knows it");
    }

    #[test]
    fn short_tests_are_not_spoken_of_and_long_ones_by_their_share() {
        assert!(slower(&[(1, 0.49)], &past(&[0.01; 20])).is_empty());
        assert!(slower(&[(1, 14.0)], &past(&[10.0; 20])).is_empty());
        assert_eq!(slower(&[(1, 16.0)], &past(&[10.0; 20])).len(), 1);
    }

    #[test]
    fn with_little_history_and_with_much_noise_nothing_is_said() {
        assert!(slower(&[(1, 9.0)], &past(&[0.9; 9])).is_empty());
        let noisy: Vec<f64> = (0..20).map(|at| 0.5 + f64::from(at % 5)).collect();
        assert!(slower(&[(1, 6.0)], &past(&noisy)).is_empty());
        // One that was slow once is no noise.
        let mut quiet = vec![0.9; 20];
        quiet[3] = 60.0;
        assert_eq!(slower(&[(1, 6.0)], &past(&quiet)).len(), 1);
    }

    #[test]
    fn only_passes_are_compared_with() {
        let mut all = past(&[0.9; 9]);
        all.push(attempt(20, &[(1, Outcome::Failed, 0.9)]));
        assert!(slower(&[(1, 9.0)], &all).is_empty());
    }

    #[test]
    fn who_costs_most_comes_first() {
        let both = [(1, Outcome::Passed, 1.0), (2, Outcome::Passed, 20.0)];
        let all: Vec<Packed> = (0..12).map(|build| attempt(build, &both)).collect();
        let found = slower(&[(1, 9.0), (2, 90.0)], &all);
        let tests: Vec<u32> = found.iter().map(|slower| slower.test).collect();
        assert_eq!(tests, [2, 1]);
    }

    proptest! {
        #[test]
        fn the_usual_is_between_the_least_and_the_most(times in proptest::collection::vec(0.0..1e4_f64, 10..60)) {
            let usual = Usual::of(&times).unwrap();
            let mut sorted = times.clone();
            sorted.sort_by(f64::total_cmp);
            prop_assert!(sorted[0] <= usual.seconds && usual.seconds <= sorted[sorted.len() - 1]);
            let below = times.iter().filter(|time| **time < usual.seconds).count();
            let above = times.iter().filter(|time| **time > usual.seconds).count();
            prop_assert!(below <= times.len() / 2 && above <= times.len() / 2);
            prop_assert!(!usual.is_exceeded_by(usual.seconds));
        }
    }
}
