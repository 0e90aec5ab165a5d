//! When a test is called flaky.

use std::collections::HashMap;

use crate::report::Outcome;

/// After so many passes in a row a test is not flaky any more.
const FORGOTTEN: u32 = 30;

/// A run, as far as it counts here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    /// The commit whose tree was tested.
    pub(super) tested: &'a str,
    /// In unix milliseconds.
    pub(super) at_ms: i64,
    pub(super) outcome: Outcome,
    /// Whether it failed, if only at first.
    pub(super) failed: bool,
}

/// That a test is flaky: it has failed and passed on one and the same commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flaky {
    /// Runs that failed, of `runs`.
    pub failed: u32,
    /// Runs that are looked back at.
    pub runs: u32,
    /// When that was first seen, in unix milliseconds.
    pub since_ms: i64,
}

/// Whether a test is flaky, as far as these runs tell, from the oldest to the newest, and as of the newest of them.
pub(super) fn flaky<'a>(oldest_first: impl Iterator<Item = Seen<'a>>) -> Option<Flaky> {
    let mut on_commit: HashMap<&str, (bool, bool)> = HashMap::new();
    let mut since_ms = None;
    let (mut failed, mut runs, mut passes) = (0, 0, 0);
    for run in oldest_first {
        if run.outcome == Outcome::Skipped {
            continue;
        }
        let red = run.failed;
        let (was_red, was_green) = on_commit.entry(run.tested).or_default();
        *was_red |= red;
        *was_green |= !run.outcome.is_red();
        if since_ms.is_none() && *was_red && *was_green {
            since_ms = Some(run.at_ms);
        }
        runs += 1;
        failed += u32::from(red);
        passes = if red { 0 } else { passes + 1 };
        if passes == FORGOTTEN {
            since_ms = None;
            for (was_red, _) in on_commit.values_mut() {
                *was_red = false;
            }
        }
    }
    Some(Flaky {
        failed,
        runs,
        since_ms: since_ms?,
    })
}
