//! What is shown of builds over time.

use super::build::{BuildView, Conclusion, State};
use crate::report::Report;

/// Numbers of a finished build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// Its number.
    pub number: i64,
    /// Whether it failed.
    pub red: bool,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Passed tests, flaky ones among them.
    pub passed: u64,
    /// Failed and broken tests.
    pub failed: u64,
    /// Skipped tests.
    pub skipped: u64,
    /// Covered lines.
    pub covered: u64,
    /// Lines that can be covered.
    pub coverable: u64,
}

impl Measure {
    /// The numbers of a build that ran to its end, with what its reports say; `None` for any other.
    pub fn of(view: &BuildView, report: &Report) -> Option<Self> {
        let build = &view.build;
        // The branch has numbers of its own builds.
        if build.plan.is_aside {
            return None;
        }
        let red = match (build.state, build.conclusion) {
            (State::Finished, Some(Conclusion::Success)) => false,
            (State::Finished, Some(Conclusion::Failure | Conclusion::TimedOut)) => true,
            _ => return None,
        };
        let ran_elsewhere = view.jobs.iter().filter(|_| build.plan.import.is_some());
        let took = ran_elsewhere
            .filter_map(|job| Some(job.result.as_ref()?.duration_ms))
            .max()
            .or_else(|| {
                let took = build.finished_ms? - build.started_ms?;
                u64::try_from(took).ok()
            });
        let totals = report.totals();
        let lines = view.lines(report).unwrap_or_default();
        Some(Self {
            number: build.number,
            red,
            duration_ms: took,
            passed: totals.passed,
            failed: totals.failed + totals.errors,
            skipped: totals.skipped,
            covered: lines.covered,
            coverable: lines.total,
        })
    }
}
