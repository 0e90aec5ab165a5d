//! What the runs of a job say over all its tests: which are flaky, which are slow, and how many there were. In one pass
//! over what is packed, with a few bytes a test, and a second one for those that have failed.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::packed::{Packed, PackedRun, seconds};
use super::shaky::{Flaky, Seen, flaky};
use crate::report::Outcome;

/// Passes by which it is told how long a test usually takes.
const TIMES: usize = 20;
/// A test that is in none of so many attempts is not there any more.
const RECENT: usize = 20;

/// A flaky test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shaky {
    /// Its number.
    pub test: u32,
    /// How often it fails, and since when.
    pub flaky: Flaky,
}

/// How long a test usually takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slow {
    /// Its number.
    pub test: u32,
    /// The median of its last passes.
    pub seconds: f64,
    /// How many passes that are.
    pub runs: usize,
}

/// How many tests an attempt had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// The number of the build.
    pub build: i64,
    /// The attempt of the job, from 1.
    pub attempt: u32,
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed or broke.
    pub failed: u64,
    /// Tests that were skipped.
    pub skipped: u64,
}

/// What a job's tests are like.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Survey {
    /// The flaky ones, by their numbers.
    pub shaky: Vec<Shaky>,
    /// The slowest ones, the slowest first.
    pub slow: Vec<Slow>,
    /// Of each attempt, the newest first.
    pub sizes: Vec<Size>,
}

/// What is gathered of a test.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    /// The steps of its last passes on the scale of times.
    times: [u8; TIMES],
    passes: u8,
    failed: bool,
    recent: bool,
}

impl Tally {
    fn take(&mut self, run: PackedRun, recent: bool) {
        self.failed |= run.failed();
        self.recent |= recent;
        if run.is_clean()
            && run.time > 0
            && let Some(time) = self.times.get_mut(usize::from(self.passes))
        {
            *time = run.time;
            self.passes += 1;
        }
    }

    /// The median step of its last passes.
    fn usual(mut self) -> Option<u8> {
        let times = self.times.get_mut(..usize::from(self.passes))?;
        times.sort_unstable();
        times.get(times.len() / 2).copied()
    }
}

/// Looks at all attempts of a job, the newest first; of the slow tests at most `slowest`.
pub fn survey(newest_first: &[Packed], slowest: usize) -> Survey {
    let mut tallies: HashMap<u32, Tally, FixedState> = HashMap::default();
    let mut sizes = Vec::with_capacity(newest_first.len());
    for (at, attempt) in newest_first.iter().enumerate() {
        let mut size = Size {
            build: attempt.build,
            attempt: attempt.attempt,
            passed: 0,
            failed: 0,
            skipped: 0,
        };
        for run in attempt.runs() {
            match run.outcome() {
                Outcome::Passed => size.passed += 1,
                Outcome::Failed | Outcome::Error => size.failed += 1,
                Outcome::Skipped => size.skipped += 1,
            }
            tallies.entry(run.test).or_default().take(run, at < RECENT);
        }
        sizes.push(size);
    }
    tallies.retain(|_, tally| tally.recent);
    Survey {
        shaky: shaky(newest_first, &tallies),
        slow: slow(&tallies, slowest),
        sizes,
    }
}

fn slow(tallies: &HashMap<u32, Tally, FixedState>, most: usize) -> Vec<Slow> {
    let timed = tallies
        .iter()
        .filter_map(|(test, tally)| Some((tally.usual()?, *test, tally.passes)));
    let mut all: Vec<(u8, u32, u8)> = timed.collect();
    all.sort_unstable_by_key(|(time, test, _)| (std::cmp::Reverse(*time), *test));
    all.truncate(most);
    let slow = all.into_iter().filter_map(|(time, test, passes)| {
        Some(Slow {
            test,
            seconds: seconds(time)?,
            runs: usize::from(passes),
        })
    });
    slow.collect()
}

fn shaky(newest_first: &[Packed], tallies: &HashMap<u32, Tally, FixedState>) -> Vec<Shaky> {
    let failed = tallies.iter().filter(|(_, tally)| tally.failed);
    let mut runs: HashMap<u32, Vec<Seen<'_>>, FixedState> =
        failed.map(|(test, _)| (*test, Vec::new())).collect();
    if runs.is_empty() {
        return Vec::new();
    }
    for attempt in newest_first.iter().rev() {
        for run in attempt.runs() {
            if let Some(seen) = runs.get_mut(&run.test) {
                seen.push(Seen {
                    tested: &attempt.tested,
                    at_ms: attempt.at_ms,
                    outcome: run.outcome(),
                    failed: run.failed(),
                });
            }
        }
    }
    let mut shaky: Vec<Shaky> = runs
        .into_iter()
        .filter_map(|(test, seen)| {
            let flaky = flaky(seen.into_iter())?;
            Some(Shaky { test, flaky })
        })
        .collect();
    shaky.sort_unstable_by_key(|one| one.test);
    shaky
}
