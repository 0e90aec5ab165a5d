//! What one test did in one job.

use super::Run;
use super::packed::Packed;
use super::shaky::{Flaky, Seen, flaky};
use super::slower::Usual;
use crate::report::Outcome;

/// A run of a test, and where it was.
#[derive(Debug, Clone, PartialEq)]
pub struct TestRun {
    /// The number of the build.
    pub build: i64,
    /// The attempt of the job, from 1.
    pub attempt: u32,
    /// The commit that it was reported on.
    pub commit: String,
    /// The commit whose tree was tested.
    pub tested: String,
    /// When the attempt ended, in unix milliseconds.
    pub at_ms: i64,
    /// How it ended.
    pub run: Run,
}

/// The runs of a test in a job.
#[derive(Debug, Clone, PartialEq)]
pub struct TestRecord {
    /// The job, by its name among checks.
    pub job: String,
    /// The newest first.
    pub runs: Vec<TestRun>,
}

impl TestRecord {
    /// Looks for a test in attempts, which are the newest first.
    pub fn of(job: String, test: u32, newest_first: Vec<Packed>) -> Self {
        let runs = newest_first.into_iter().filter_map(|attempt| {
            Some(TestRun {
                run: attempt.run(test)?,
                build: attempt.build,
                attempt: attempt.attempt,
                commit: attempt.commit,
                tested: attempt.tested,
                at_ms: attempt.at_ms,
            })
        });
        Self {
            runs: runs.collect(),
            job,
        }
    }

    /// How often it failed, and ran; where it was skipped, it did not run.
    pub fn counts(&self) -> (usize, usize) {
        let ran = self.runs.iter().map(|one| one.run);
        let ran = ran.filter(|run| run.outcome != Outcome::Skipped);
        ran.fold((0, 0), |(failed, all), run| {
            (failed + usize::from(run.failed()), all + 1)
        })
    }

    /// Whether it is flaky in this job.
    pub fn flaky(&self) -> Option<Flaky> {
        flaky(self.runs.iter().rev().map(|one| Seen {
            tested: &one.tested,
            at_ms: one.at_ms,
            outcome: one.run.outcome,
            failed: one.run.failed(),
        }))
    }

    /// What it usually takes, in seconds; `None` where it did not pass often enough to say.
    pub fn usual(&self) -> Option<f64> {
        const PASSES: usize = 20;
        let clean = self.runs.iter().map(|one| one.run);
        let clean = clean.filter(|run| run.outcome == Outcome::Passed && !run.flaky);
        let times: Vec<f64> = clean.filter_map(|run| run.seconds).take(PASSES).collect();
        Usual::of(&times).map(|usual| usual.seconds)
    }
}
