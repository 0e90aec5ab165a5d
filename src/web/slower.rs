//! Tests of a build that took longer than they usually do.

use std::collections::HashMap;

use super::error::Error;
use super::part;
use super::router::Web;
use super::test_pages::{Named, seconds};
use crate::domain::BuildView;
use crate::domain::history::TestName;
use crate::report::{Report, Test};

/// Tests that are named.
const MOST: usize = 20;

/// A test that became slower.
pub(super) struct SlowerRow {
    pub(super) test: Named,
    pub(super) now: String,
    pub(super) usual: String,
    pub(super) job: String,
}

/// Those of a build, or of its job of this key, and how many more there are. `report`: what that says.
pub(super) async fn rows(
    web: &Web,
    view: &BuildView,
    report: &Report,
    job: &str,
) -> Result<(Vec<SlowerRow>, usize), Error> {
    let jobs = view.jobs.iter();
    let one = part::job(view, job).map(|one| &one.key);
    let jobs: Vec<_> = jobs
        .filter(|job| one.is_none_or(|one| *one == job.key))
        .collect();
    let all = web.app.slower_tests(view, &jobs).await?;
    let tests: HashMap<&str, &Test> = report
        .tests
        .iter()
        .map(|test| (test.id.as_str(), test))
        .collect();
    let shown = all.iter().take(MOST).filter_map(|slower| {
        let test = tests.get(slower.id.as_str())?;
        Some(SlowerRow {
            test: Named::new(&TestName::of(test)),
            now: seconds(slower.seconds),
            usual: seconds(slower.usual),
            job: slower.job.clone(),
        })
    });
    Ok((shown.collect(), all.len().saturating_sub(MOST)))
}
