//! Pages.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{Html, IntoResponse, Response};

use super::error::Error;
use super::router::Web;
use super::view::{self, BuildRow, JobRow, TestRow};
use crate::domain::{BuildView, Job, Repository};

const CSS: &str = include_str!("../../templates/pages/herald.css");
const LOG_SCRIPT: &str = include_str!("../../templates/pages/log.js");
/// Builds on the page of a repository.
const BUILDS: i64 = 50;

#[derive(Template)]
#[template(path = "pages/overview.html")]
struct Overview {
    repositories: Vec<Repository>,
}

#[derive(Template)]
#[template(path = "pages/repository.html")]
struct RepositoryPage {
    repository: Repository,
    builds: Vec<BuildRow>,
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

pub(super) fn page(template: &impl Template) -> Result<Response, Error> {
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

pub(super) async fn log_script() -> Response {
    let headers = [
        (CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (CACHE_CONTROL, "max-age=300"),
    ];
    (headers, LOG_SCRIPT).into_response()
}

pub(super) async fn not_found() -> Error {
    Error::NotFound
}

#[derive(Template)]
#[template(path = "pages/setup.html")]
struct Setup {
    configured: bool,
    public_url: String,
    manifest: &'static str,
}

/// What is missing before Herald can work, and how to get it.
pub(super) async fn setup(State(web): State<Web>) -> Result<Response, Error> {
    page(&Setup {
        configured: web.verify.is_some(),
        public_url: web.app.settings.links.public_url.clone(),
        manifest: include_str!("../../app-manifest.yml"),
    })
}

pub(super) async fn overview(State(web): State<Web>) -> Result<Response, Error> {
    page(&Overview {
        repositories: web.app.parts.store.public_repositories(200).await?,
    })
}

/// The repository, if everybody may see it.
pub(super) async fn visible(web: &Web, owner: &str, name: &str) -> Result<Repository, Error> {
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
