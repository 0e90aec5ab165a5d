//! What the tests of a job did before, and what that says of those that fail now.

mod judge;
mod name;
mod packed;
mod record;
mod shaky;
pub mod slower;
mod survey;
#[cfg(test)]
mod survey_tests;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::quarantine::last_day;
use crate::report::{Outcome, Report, Test};
use crate::text;

pub use judge::judge;
pub use name::{KnownTest, TestName};
pub use packed::{Packed, pack, unpack};
pub use record::{TestRecord, TestRun};
pub use shaky::Flaky;
pub use slower::{Slower, Usual};
pub use survey::{Shaky, Size, Slow, Survey, survey};

/// How a test did in one attempt of a job.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Run {
    /// The number of the test in its repository.
    pub test: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether it passed after a run that did not.
    pub flaky: bool,
    /// In seconds; kept to three percent, from a millisecond to three quarters of an hour.
    pub seconds: Option<f64>,
}

impl Run {
    /// Whether it failed, if only at first.
    pub fn failed(&self) -> bool {
        self.outcome.is_red() || self.flaky
    }
}

/// The tests of one attempt of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempted {
    /// The number of the build.
    pub build: i64,
    /// The attempt of the job, from 1.
    pub attempt: u32,
    /// The commit that it was reported on.
    pub commit: String,
    /// The commit whose tree was tested.
    pub tested: String,
    /// When it ended, in unix milliseconds.
    pub at_ms: i64,
    /// In the order of their numbers.
    pub runs: Vec<Run>,
}

impl Attempted {
    /// How a test did, if it ran.
    pub fn run(&self, test: u32) -> Option<&Run> {
        let at = self.runs.binary_search_by_key(&test, |run| run.test).ok()?;
        self.runs.get(at)
    }
}

/// What is known of a failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Verdict {
    /// The change is to blame: it fails on a line that the change adds, or again and again, or nobody had it before.
    New,
    /// It failed before this change too, since this build at the latest.
    AlsoOnBase {
        /// The number of the oldest build, of those that follow each other, in which it failed.
        since: i64,
    },
    /// It has failed and passed on one and the same commit.
    Flaky {
        /// Runs that failed, of `runs`.
        failed: u32,
        /// Runs that are looked back at.
        runs: u32,
        /// When that was first seen, in unix milliseconds.
        since_ms: i64,
    },
    /// Somebody put it away: it does not count.
    Quarantined {
        /// Until when, in unix milliseconds.
        until_ms: i64,
        /// Why, as they wrote it.
        reason: String,
    },
    /// It did not fail on the base, and that it fails now may be chance: that is not told from one run.
    Unsure {
        /// Runs that failed before, of `runs`.
        failed: u32,
        /// Runs before.
        runs: u32,
    },
}

impl Verdict {
    /// How soon people want to see it, and among the same the oldest first.
    pub(crate) fn rank(&self) -> (u8, i64) {
        match self {
            Self::New => (0, 0),
            Self::Unsure { failed, .. } => (1, i64::from(*failed)),
            Self::AlsoOnBase { since } => (2, *since),
            Self::Flaky { since_ms, .. } => (3, *since_ms),
            Self::Quarantined { until_ms, .. } => (4, *until_ms),
        }
    }

    /// What is said after the name of a test.
    pub fn words(&self) -> String {
        match self {
            Self::New => "new in this change".to_owned(),
            Self::Unsure { failed: 0, runs: 0 } => "not seen failing before".to_owned(),
            Self::Unsure { failed: 0, runs } => {
                let runs = text::plural(u64::from(*runs), "run");
                format!("not seen failing before, in {runs}")
            }
            Self::Unsure { failed, runs } => {
                format!("failed before, in {failed} of {runs} runs")
            }
            Self::Quarantined { until_ms, reason } => {
                let day = last_day(*until_ms);
                match reason.as_str() {
                    "" => format!("quarantined until {day}"),
                    reason => format!("quarantined until {day}: {reason}"),
                }
            }
            // On somebody's own machine builds have no numbers.
            Self::AlsoOnBase { since: 0 } => "also fails on the base".to_owned(),
            Self::AlsoOnBase { since } => format!("also fails on the base, since build #{since}"),
            Self::Flaky {
                failed,
                runs,
                since_ms,
            } => {
                let since = chrono::DateTime::from_timestamp_millis(*since_ms);
                let since = since.map_or_else(String::new, |day| {
                    day.format(", since %-d %B %Y").to_string()
                });
                format!("flaky: failed in {failed} of {runs} runs{since}")
            }
        }
    }
}

/// What is known of the failed tests of several jobs.
#[derive(Debug, Default)]
pub struct Verdicts<'a> {
    by_test: HashMap<&'a str, &'a Verdict>,
    fixed: HashSet<&'a str>,
    /// Whether there was a base to compare with.
    has_base: bool,
}

impl<'a> Verdicts<'a> {
    /// Of a test that several of them have, what is to be seen first counts.
    pub fn new(insights: impl IntoIterator<Item = &'a Insight>) -> Self {
        let mut all = Self::default();
        for insight in insights {
            all.has_base |= insight.base.is_some();
            all.fixed.extend(insight.fixed.iter().map(String::as_str));
            for (test, verdict) in &insight.verdicts {
                let known = all.by_test.entry(test).or_insert(verdict);
                if verdict.rank() < known.rank() {
                    *known = verdict;
                }
            }
        }
        all
    }

    /// The verdict on a failed test.
    pub fn of(&self, test: &str) -> Option<&'a Verdict> {
        self.by_test.get(test).copied()
    }

    /// Whether a test passes now and did not on the base.
    pub fn is_fixed(&self, test: &str) -> bool {
        self.fixed.contains(test)
    }

    /// What is said after the name of a test; empty where there is nothing to say.
    pub fn words(&self, test: &str) -> String {
        match self.of(test) {
            Some(verdict) => verdict.words(),
            None if self.is_fixed(test) => "fixed here: it failed on the base".to_owned(),
            None => String::new(),
        }
    }

    /// Puts what is to be seen first in front.
    pub fn sort(&self, tests: &mut [&Test]) {
        tests.sort_by_key(|test| self.of(&test.id).map_or((u8::MAX, 0), Verdict::rank));
    }

    /// The sentence that is read first, as in "4 tests failed, 1 is probably yours: …"; empty where nothing is known that
    /// helps.
    pub fn headline(&self) -> String {
        let all = self.by_test.len();
        let count = |rank: u8| {
            let verdicts = self.by_test.values();
            verdicts.filter(|verdict| verdict.rank().0 == rank).count()
        };
        let (new, unsure, old, flaky, away) = (count(0), count(1), count(2), count(3), count(4));
        if all == 0 || (unsure + away == all && away < all && !self.has_base) {
            return String::new();
        }
        let mine = match new + unsure {
            0 => "none is likely yours".to_owned(),
            mine if mine == all => "probably yours".to_owned(),
            1 => "1 is probably yours".to_owned(),
            mine => format!("{mine} are probably yours"),
        };
        let parts = [
            (new, "new in this change"),
            (unsure, "not seen failing on the base"),
            (old, "also failing on the base"),
            (flaky, "known to be flaky"),
            (away, "quarantined"),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let tests = text::plural(all as u64, "test");
        format!("{tests} failed, {mine}: {}.", parts.join(", "))
    }
}

/// What a job's tests say against what they did before.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Insight {
    /// The number of the build that it was compared with.
    pub base: Option<i64>,
    /// Of each failed test, by its id; what is likely of the change first, then what fails for the longest time.
    pub verdicts: Vec<(String, Verdict)>,
    /// Ids of tests that pass now and did not on the base.
    pub fixed: Vec<String>,
    /// How many tests the base has not.
    pub added: u32,
    /// How many tests of the base are not there any more.
    pub removed: u32,
    /// How many tests ran on the base and are skipped now.
    pub newly_skipped: u32,
    /// Only part of the tests ran, so that nothing is said of those that are not there.
    pub partial: bool,
}

impl Insight {
    /// What it was compared with, and what became of the tests, as in `#12: 2 fixed, 1 added`; `None` without a base.
    pub fn summary(&self) -> Option<String> {
        let base = match self.base? {
            0 => "the base".to_owned(),
            base => format!("#{base}"),
        };
        Some(format!("{base}: {}", self.changes()?))
    }

    /// What became of the tests, as in `2 fixed, 1 added`; `None` without a base.
    pub fn changes(&self) -> Option<String> {
        self.base?;
        let fixed = u32::try_from(self.fixed.len()).unwrap_or(u32::MAX);
        let parts = [
            (fixed, "fixed"),
            (self.added, "added"),
            (self.removed, "removed"),
            (self.newly_skipped, "newly skipped"),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let mut parts: Vec<String> = parts
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if self.partial {
            parts.push("only part of the tests ran".to_owned());
        }
        if parts.is_empty() {
            parts.push("the same tests".to_owned());
        }
        Some(parts.join(", "))
    }
}

/// The runs of a report, by the numbers of its tests, which are in the order of the report.
pub fn runs(report: &Report, numbers: &[u32]) -> Vec<Run> {
    let mut runs: Vec<Run> = report
        .tests
        .iter()
        .zip(numbers)
        .map(|(test, number)| Run {
            test: *number,
            outcome: test.outcome,
            flaky: test.flaky,
            seconds: test.duration_seconds,
        })
        .collect();
    runs.sort_by_key(|run| run.test);
    runs.dedup_by_key(|run| run.test);
    runs
}
