//! The pages of a build's tests and of its coverage.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::change::{self, ChangeRows};
use super::code::{Code, CodeLine};
use super::error::Error;
use super::folders::{self, Folder};
use super::pages::{page, visible, visible_build};
use super::part;
use super::router::Web;
use super::session::{Viewer, Who};
use super::slower::{self, SlowerRow};
use super::test_pages::Choosable;
use super::view::{self, BuildRow, CoverageRow, TestRow, Wanted};
use crate::badge;
use crate::domain::Repository;
use crate::report::{FileCoverage, Outcome, stretch};
use crate::text::address;

/// Failures that are shown with the lines around them.
const WITH_CODE: usize = 20;
/// Lines before and after the one that failed.
const AROUND: u32 = 2;
/// Stretches of untested lines that are shown.
const STRETCHES: usize = 50;
/// Files of a coverage page.
const FILES: usize = 1_000;

/// Which tests are to be shown.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Choice {
    #[serde(default)]
    q: String,
    #[serde(default)]
    outcome: String,
    #[serde(default)]
    skip: usize,
    /// The key of a job; all without it.
    #[serde(default)]
    job: String,
}

/// Of which job coverage is to be shown.
#[derive(Debug, Default, Deserialize)]
pub(super) struct CoverageChoice {
    /// Its key; all without it.
    #[serde(default)]
    job: String,
}

#[derive(Template)]
#[template(path = "pages/tests.html")]
struct TestsPage {
    viewer: Viewer,
    repository: Repository,
    build: BuildRow,
    title: String,
    q: String,
    outcomes: [(&'static str, &'static str, bool); 5],
    tests: Vec<TestRow>,
    /// The addresses of the pages before and after.
    before: Option<String>,
    after: Option<String>,
    left: usize,
    jobs: Vec<Choosable>,
    slower: Vec<SlowerRow>,
    slower_left: usize,
    has_jobs: bool,
}

/// `…/builds/{number}/tests`.
pub(super) async fn tests(
    State(web): State<Web>,
    who: Who,
    Path((owner, name, number)): Path<(String, String, String)>,
    choice: Result<Query<Choice>, QueryRejection>,
) -> Result<Response, Error> {
    let view = visible_build(&web, &who, &owner, &name, &number).await?;
    let choice = choice.map(|Query(choice)| choice).unwrap_or_default();
    let report = part::asked(&view, &choice.job)?;
    let outcome = match choice.outcome.as_str() {
        "failed" => Some(Outcome::Failed),
        "error" => Some(Outcome::Error),
        "skipped" => Some(Outcome::Skipped),
        "passed" => Some(Outcome::Passed),
        _ => None,
    };
    let wanted = Wanted {
        words: choice.q.trim(),
        outcome,
        skip: choice.skip,
    };
    let (mut tests, left) = view::tests(&report, &view.verdicts(), &wanted, view::TESTS);
    with_code(&web, &view, &mut tests).await;
    let (slower, slower_left) = match choice.skip {
        0 => slower::rows(&web, &view, &report, &choice.job).await?,
        _ => (Vec::new(), 0),
    };
    let address = |skip: usize| {
        let q = address::path(choice.q.trim());
        let (outcome, job) = (address::path(&choice.outcome), address::path(&choice.job));
        format!("?q={q}&outcome={outcome}&job={job}&skip={skip}")
    };
    let is = |word: &str| choice.outcome == word;
    page(&TestsPage {
        viewer: who.viewer(&web),
        build: BuildRow::new(&view.build, Some(&view), web.app.now_ms()),
        title: view.counts(&report),
        outcomes: [
            ("", "all", outcome.is_none()),
            ("failed", "failed", is("failed")),
            ("error", "errors", is("error")),
            ("skipped", "skipped", is("skipped")),
            ("passed", "passed", is("passed")),
        ],
        before: (choice.skip > 0).then(|| address(choice.skip.saturating_sub(view::TESTS))),
        after: (left > 0).then(|| address(choice.skip + view::TESTS)),
        q: choice.q.trim().to_owned(),
        tests,
        left,
        jobs: Choosable::all(
            &part::choice(&view, |report| !report.tests.is_empty()),
            Some(&choice.job),
        ),
        slower,
        slower_left,
        has_jobs: view.jobs.len() > 1,
        repository: view.repository,
    })
}

/// Puts the lines around them to the first failures.
pub(super) async fn with_code(web: &Web, view: &crate::domain::BuildView, tests: &mut [TestRow]) {
    let mut code = Code::new(web, view);
    let failures = tests.iter_mut().filter(|test| test.mark.class == "bad");
    for test in failures.take(WITH_CODE) {
        if let Some(place) = &test.location {
            test.code = code
                .lines(&place.path, place.line, place.line, AROUND)
                .await;
        }
    }
}

/// Coverage of a file, as a row.
struct FileRow {
    path: String,
    percent: String,
    covered: u64,
    total: u64,
    /// As in `3, 8–12`.
    missed: String,
    resolved: bool,
}

impl FileRow {
    fn new(file: &FileCoverage) -> Self {
        const STRETCHES: usize = 12;
        let lines = file.line_share();
        let missed = file.missed();
        let more = missed.len().saturating_sub(STRETCHES);
        let mut shown: Vec<String> = missed
            .iter()
            .take(STRETCHES)
            .copied()
            .map(stretch)
            .collect();
        if more > 0 {
            shown.push(format!("and {more} more"));
        }
        Self {
            path: file.resolved.as_ref().unwrap_or(&file.path).clone(),
            percent: badge::coverage(lines.covered, lines.total).0,
            covered: lines.covered,
            total: lines.total,
            missed: shown.join(", "),
            resolved: file.resolved.is_some(),
        }
    }
}

/// Lines of the change that no test reached.
struct Untested {
    path: String,
    first: u32,
    last: u32,
    code: Vec<CodeLine>,
}

#[derive(Template)]
#[template(path = "pages/coverage.html")]
struct CoveragePage {
    viewer: Viewer,
    repository: Repository,
    build: BuildRow,
    coverage: Option<CoverageRow>,
    change: Option<ChangeRows>,
    untested: Vec<Untested>,
    untested_left: usize,
    jobs: Vec<Choosable>,
    folders: Folder,
    files: Vec<FileRow>,
    files_left: usize,
}

/// `…/builds/{number}/coverage`.
pub(super) async fn coverage(
    State(web): State<Web>,
    who: Who,
    Path((owner, name, number)): Path<(String, String, String)>,
    choice: Result<Query<CoverageChoice>, QueryRejection>,
) -> Result<Response, Error> {
    let view = visible_build(&web, &who, &owner, &name, &number).await?;
    let choice = choice.map(|Query(choice)| choice).unwrap_or_default();
    let report = part::asked(&view, &choice.job)?;
    let covered = part::coverage(&view, &choice.job, &report);
    let missed = &covered.missed;
    let mut code = Code::new(&web, &view);
    let mut untested = Vec::new();
    for lines in missed.iter().take(STRETCHES) {
        untested.push(Untested {
            code: code.lines(&lines.path, lines.first, lines.last, 1).await,
            path: lines.path.clone(),
            first: lines.first,
            last: lines.last,
        });
    }
    let all = report.coverage.iter().flat_map(|coverage| &coverage.files);
    let mut files: Vec<FileRow> = all.map(FileRow::new).collect();
    // Those with most to be done first.
    files.sort_by_key(|file| std::cmp::Reverse(file.total - file.covered.min(file.total)));
    let files_left = files.len().saturating_sub(FILES);
    files.truncate(FILES);
    page(&CoveragePage {
        viewer: who.viewer(&web),
        build: BuildRow::new(&view.build, Some(&view), web.app.now_ms()),
        coverage: view::coverage(&covered, &report),
        change: change::rows(&view).filter(|_| choice.job.is_empty()),
        untested_left: missed.len().saturating_sub(untested.len()),
        untested,
        jobs: Choosable::all(
            &part::choice(&view, |report| report.coverage.is_some()),
            Some(&choice.job),
        ),
        folders: folders::of(report.coverage.as_ref(), FILES),
        files,
        files_left,
        repository: view.repository.clone(),
    })
}

/// `/repos/{owner}/{repo}/coverage`: that of the default branch's last build.
pub(super) async fn latest_coverage(
    State(web): State<Web>,
    who: Who,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Response, Error> {
    let repository = visible(&web, &who, &owner, &name).await?;
    let store = &web.app.parts.store;
    let last = store
        .last_of_branch(&repository.id, &repository.default_branch)
        .await?;
    let (owner, name) = (&repository.owner, &repository.name);
    let address = match last {
        Some(number) => format!("/repos/{owner}/{name}/builds/{number}/coverage"),
        // Nothing was built there yet; that page says so.
        None => format!("/repos/{owner}/{name}"),
    };
    Ok(Redirect::to(&address).into_response())
}
