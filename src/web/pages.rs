//! Pages.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{Html, IntoResponse, Response};

use super::error::Error;
use super::logs;
use super::router::Web;
use super::view::{self, BuildRow, JobPage, JobRow, StepRow, TestRow};
use crate::domain::{BuildView, Job, Repository};

const CSS: &str = include_str!("../../templates/pages/herald.css");
/// Builds on the page of a repository.
const BUILDS: i64 = 50;
/// Bytes of a log that the page of a job shows; the raw log has all.
const LOG_TAIL: u64 = 256 * 1024;

#[derive(Template)]
#[template(path = "pages/overview.html")]
struct Overview {
    repositories: Vec<Repository>,
    configured: bool,
}

#[derive(Template)]
#[template(path = "pages/repository.html")]
struct RepositoryPage {
    repository: Repository,
    builds: Vec<BuildRow>,
    public_url: String,
}

#[derive(Template)]
#[template(path = "pages/build.html")]
struct BuildPage {
    repository: Repository,
    build: BuildRow,
    reasons: Vec<String>,
    problems: Vec<String>,
    jobs: Vec<JobRow>,
    tests: Vec<TestRow>,
    tests_title: String,
    tests_left: usize,
    coverage: Option<view::CoverageRow>,
    running: bool,
}

#[derive(Template)]
#[template(path = "pages/job.html")]
struct JobTemplate {
    repository: Repository,
    build: BuildRow,
    job: JobPage,
    steps: Vec<StepRow>,
    log: String,
    log_cut: bool,
    running: bool,
}

fn page(template: &impl Template) -> Result<Response, Error> {
    let html = Html(template.render()?);
    Ok(([(CACHE_CONTROL, "no-store")], html).into_response())
}

pub(super) async fn stylesheet() -> Response {
    let headers = [
        (CONTENT_TYPE, "text/css; charset=utf-8"),
        (CACHE_CONTROL, "max-age=300"),
    ];
    (headers, CSS).into_response()
}

pub(super) async fn not_found() -> Error {
    Error::NotFound
}

pub(super) async fn overview(State(web): State<Web>) -> Result<Response, Error> {
    page(&Overview {
        repositories: web.app.parts.store.public_repositories(200).await?,
        configured: web.verify.is_some(),
    })
}

/// The repository, if everybody may see it.
async fn visible(web: &Web, owner: &str, name: &str) -> Result<Repository, Error> {
    web.app
        .parts
        .store
        .repository(owner, name)
        .await?
        .filter(|repository| !repository.private)
        .ok_or(Error::NotFound)
}

/// The build, if everybody may see it.
pub(super) async fn visible_build(
    web: &Web,
    owner: &str,
    name: &str,
    number: &str,
) -> Result<BuildView, Error> {
    let repository = visible(web, owner, name).await?;
    let number: i64 = number.parse().map_err(|_| Error::NotFound)?;
    web.app
        .parts
        .store
        .build(&repository.id, number)
        .await?
        .ok_or(Error::NotFound)
}

/// The job of this key.
pub(super) fn job_of<'a>(view: &'a BuildView, key: &str) -> Result<&'a Job, Error> {
    view.jobs
        .iter()
        .find(|job| job.key == key)
        .ok_or(Error::NotFound)
}

pub(super) async fn repository(
    State(web): State<Web>,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Response, Error> {
    let repository = visible(&web, &owner, &name).await?;
    let builds = web
        .app
        .parts
        .store
        .builds(&repository.id, i64::MAX, BUILDS)
        .await?;
    let now_ms = web.app.now_ms();
    page(&RepositoryPage {
        builds: builds
            .iter()
            .map(|build| BuildRow::new(build, None, now_ms))
            .collect(),
        repository,
        public_url: web.app.settings.links.public_url.clone(),
    })
}

pub(super) async fn build(
    State(web): State<Web>,
    Path((owner, name, number)): Path<(String, String, String)>,
) -> Result<Response, Error> {
    let view = visible_build(&web, &owner, &name, &number).await?;
    let report = view.report();
    let (tests, tests_left) = view::tests(&report);
    page(&BuildPage {
        build: BuildRow::new(&view.build, Some(&view), web.app.now_ms()),
        reasons: view::reasons(&view),
        problems: view::problems(&view),
        jobs: view.jobs.iter().map(JobRow::new).collect(),
        tests,
        tests_title: crate::domain::verdict::counts(&report.totals()),
        tests_left,
        coverage: view::coverage(&view, &report),
        running: view.build.conclusion.is_none(),
        repository: view.repository,
    })
}

pub(super) async fn job(
    State(web): State<Web>,
    Path((owner, name, number, key)): Path<(String, String, String, String)>,
) -> Result<Response, Error> {
    let view = visible_build(&web, &owner, &name, &number).await?;
    let job = job_of(&view, &key)?;
    let (log, log_cut) = tail(&web, &view, job).await?;
    page(&JobTemplate {
        build: BuildRow::new(&view.build, Some(&view), web.app.now_ms()),
        job: JobPage::new(job),
        steps: job.steps.iter().map(StepRow::new).collect(),
        log,
        log_cut,
        running: job.conclusion.is_none(),
        repository: view.repository.clone(),
    })
}

/// The end of a job's log as text; empty when there is none yet.
async fn tail(web: &Web, view: &BuildView, job: &Job) -> Result<(String, bool), Error> {
    let key = logs::key_of(view, job);
    let store = &web.app.parts.logs;
    let total = match store.read(&key, 0, 0).await.map_err(logs::missing) {
        Ok(slice) => slice.total,
        Err(Error::NotFound) => return Ok((String::new(), false)),
        Err(error) => return Err(error),
    };
    let start = total.saturating_sub(LOG_TAIL);
    let limit = usize::try_from(LOG_TAIL).unwrap_or(usize::MAX);
    let slice = store
        .read(&key, start, limit)
        .await
        .map_err(logs::missing)?;
    let text = String::from_utf8_lossy(&slice.bytes);
    // A cut in the middle of a line shows from the next one on.
    let text = if start > 0 {
        text.split_once('\n').map_or("", |(_, rest)| rest)
    } else {
        text.as_ref()
    };
    Ok((crate::text::ansi::strip(text).into_owned(), start > 0))
}
