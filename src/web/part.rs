//! One job of a build, where somebody asks for it alone.

use super::error::Error;
use crate::domain::{BuildView, Job, PatchCoverage};
use crate::report::Report;

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

/// Coverage of the lines that the change adds, of what is asked for.
pub(super) fn patch<'a>(view: &'a BuildView, wanted: &str) -> Option<&'a PatchCoverage> {
    if wanted.is_empty() {
        return view.patch();
    }
    job(view, wanted)?.result.as_ref()?.patch.as_ref()
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
