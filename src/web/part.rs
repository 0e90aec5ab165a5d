//! One job of a build, where somebody asks for it alone.

use super::error::Error;
use crate::domain::{BuildView, Job, MissedLines, PatchCoverage};
use crate::report::{Coverage, Report, Share};

/// The job of this key, or of this name among checks.
pub(super) fn job<'a>(view: &'a BuildView, wanted: &str) -> Option<&'a Job> {
    let by_key = view.jobs.iter().find(|job| job.key == wanted);
    by_key.or_else(|| view.jobs.iter().find(|job| job.check_name() == wanted))
}

/// What a job reports.
pub(super) fn report(view: &BuildView, wanted: &str) -> Option<Report> {
    let result = job(view, wanted)?.result.as_ref()?;
    Some(result.report.clone())
}

/// What is asked for: the report of a job, or of all jobs together where none is named.
///
/// # Errors
/// Where there is no such job.
pub(super) fn asked(view: &BuildView, wanted: &str) -> Result<Report, Error> {
    if wanted.is_empty() {
        return Ok(view.report());
    }
    let job = job(view, wanted).ok_or(Error::NotFound)?;
    let result = job.result.as_ref();
    Ok(result.map_or_else(Report::default, |result| result.report.clone()))
}

/// Coverage of what is asked for.
pub(super) struct Covered {
    /// All lines, with those that count for jobs that did not run.
    pub(super) lines: Option<Share>,
    /// Those that the change adds.
    pub(super) patch: Option<Share>,
    /// Of these, those that no test reaches.
    pub(super) missed: Vec<MissedLines>,
}

/// Coverage of what is asked for; `report` is what that reports.
pub(super) fn coverage(view: &BuildView, wanted: &str, report: &Report) -> Covered {
    if wanted.is_empty() {
        return Covered {
            lines: view.lines(report),
            patch: view.patch(),
            missed: view.missed(),
        };
    }
    let result = job(view, wanted).and_then(|job| job.result.as_ref());
    let patch = result.and_then(|result| result.patch.as_ref());
    Covered {
        lines: report.coverage.as_ref().map(Coverage::lines),
        patch: patch.map(PatchCoverage::share),
        missed: patch.map_or_else(Vec::new, |patch| patch.missed.clone()),
    }
}

/// The keys of the jobs whose report has something, where there are several.
pub(super) fn choice(view: &BuildView, has: impl Fn(&Report) -> bool) -> Vec<String> {
    let with = view.jobs.iter().filter(|job| {
        let result = job.result.as_ref();
        result.is_some_and(|result| has(&result.report))
    });
    let keys: Vec<String> = with.map(|job| job.key.clone()).collect();
    if keys.len() > 1 { keys } else { Vec::new() }
}
