//! Pages.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;

use super::chart::{self, Graph, Trend};
use super::error::Error;
use super::insight;
use super::progress::{self, Progress};
use super::router::Web;
use super::session::{Viewer, Who};
use super::view::{self, BuildRow, JobRow, TestRow, Wanted};
use crate::app::Visitor;
use crate::domain::{BuildView, Conclusion, Holder, Job, Permission, Repository};

const CSS: &str = include_str!("../../templates/pages/herald.css");
const BUILD_SCRIPT: &str = include_str!("../../templates/pages/build.js");
const LOG_SCRIPT: &str = include_str!("../../templates/pages/log.js");
/// Builds on the page of a repository.
const BUILDS: i64 = 50;
/// Builds in its trends.
const TREND: i64 = 60;
/// Failed tests on the page of a build.
const FAILURES: usize = 20;

#[derive(Template)]
#[template(path = "pages/overview.html")]
struct Overview {
    viewer: Viewer,
    repositories: Vec<Repository>,
}

#[derive(Template)]
#[template(path = "pages/repository.html")]
struct RepositoryPage {
    viewer: Viewer,
    repository: Repository,
    builds: Vec<BuildRow>,
    trends: Vec<Trend>,
    /// Where the list goes on.
    older: Option<i64>,
}

#[derive(Template)]
#[template(path = "pages/build.html")]
struct BuildPage {
    errands: Vec<ErrandButton>,
    viewer: Viewer,
    repository: Repository,
    build: BuildRow,
    reasons: Vec<String>,
    problems: Vec<String>,
    graph: Option<Graph>,
    jobs: Vec<JobRow>,
    tests: Vec<TestRow>,
    tests_title: String,
    tests_left: usize,
    coverage: Option<view::CoverageRow>,
    progress: Option<Progress>,
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

pub(super) async fn build_script() -> Response {
    script(BUILD_SCRIPT)
}

pub(super) async fn log_script() -> Response {
    script(LOG_SCRIPT)
}

fn script(text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (CACHE_CONTROL, "max-age=300"),
    ];
    (headers, text).into_response()
}

pub(super) async fn not_found() -> Error {
    Error::NotFound
}

pub(super) async fn overview(State(web): State<Web>, who: Who) -> Result<Response, Error> {
    let mut repositories = own_repositories(&web, &who).await?;
    repositories.extend(web.app.parts.store.public_repositories(200).await?);
    page(&Overview {
        viewer: who.viewer(&web),
        repositories,
    })
}

/// The repositories that are not public and that they may see. What GitHub lists for whoever has signed
/// in; for a token of a person each one is asked for.
pub(super) async fn own_repositories(web: &Web, who: &Who) -> Result<Vec<Repository>, Error> {
    let store = &web.app.parts.store;
    if let (Some(session), Some(sign_in)) = (&who.session, &web.sign_in) {
        let ids = sign_in.readable(session, web.app.now_ms()).await;
        let found = store.repositories(&ids).await?;
        return Ok(found.into_iter().filter(|found| found.private).collect());
    }
    let Visitor::Token(token) = &who.visitor else {
        return Ok(Vec::new());
    };
    let candidates = match &token.holder {
        Holder::Repository(id) => store.repositories(std::slice::from_ref(id)).await?,
        Holder::Person(_) => store.active_repositories().await?,
    };
    let mut own = Vec::new();
    for repository in candidates.into_iter().filter(|found| found.private) {
        if web.app.permission(&who.visitor, &repository).await >= Permission::Read {
            own.push(repository);
        }
    }
    Ok(own)
}

/// The repository, if they may see it.
pub(super) async fn visible(
    web: &Web,
    who: &Who,
    owner: &str,
    name: &str,
) -> Result<Repository, Error> {
    if who.bad_token {
        return Err(Error::BadToken);
    }
    let found = web.app.parts.store.repository(owner, name).await?;
    let repository = found.ok_or(Error::NotFound)?;
    let permission = web.app.permission(&who.visitor, &repository).await;
    if permission < Permission::Read {
        return Err(Error::NotFound);
    }
    Ok(repository)
}

/// The build, if they may see it.
pub(super) async fn visible_build(
    web: &Web,
    who: &Who,
    owner: &str,
    name: &str,
    number: &str,
) -> Result<BuildView, Error> {
    let repository = visible(web, who, owner, name).await?;
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

/// A button.
struct ErrandButton {
    /// The end of the address that it is sent to.
    verb: &'static str,
    label: &'static str,
    failed: bool,
}

/// What the viewer can do with a build. Forms are for people who have signed in.
async fn errands(web: &Web, who: &Who, view: &BuildView) -> Vec<ErrandButton> {
    let may = who.session.is_some()
        && web.app.permission(&who.visitor, &view.repository).await >= Permission::Write;
    if !may {
        return Vec::new();
    }
    let button = |verb, label, failed| ErrandButton {
        verb,
        label,
        failed,
    };
    match view.build.conclusion {
        None => vec![button("cancel", "Cancel", false)],
        Some(_) if view.build.plan.awaits_approval => {
            vec![button("approve", "Approve and run", false)]
        }
        Some(_) => {
            let red = |job: &&Job| {
                !matches!(
                    job.conclusion,
                    Some(Conclusion::Success | Conclusion::Skipped)
                )
            };
            let all = button("rerun", "Run again", false);
            match view.jobs.iter().filter(red).count() {
                0 => vec![all],
                _ if view.jobs.len() == 1 => vec![all],
                _ => vec![button("rerun", "Run failed jobs again", true), all],
            }
        }
    }
}

/// Where the list of builds begins.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Before {
    before: Option<i64>,
}

pub(super) async fn repository(
    State(web): State<Web>,
    who: Who,
    Path((owner, name)): Path<(String, String)>,
    before: Result<Query<Before>, QueryRejection>,
) -> Result<Response, Error> {
    let repository = visible(&web, &who, &owner, &name).await?;
    let store = &web.app.parts.store;
    let before = before.ok().and_then(|Query(asked)| asked.before);
    let from = before.unwrap_or(i64::MAX);
    let mut builds = store.builds(&repository.id, from, BUILDS + 1).await?;
    let more = builds.len() > usize::try_from(BUILDS).unwrap_or(usize::MAX);
    if more {
        builds.pop();
    }
    let branch = &repository.default_branch;
    let measures = match before {
        None => store.measures(&repository.id, branch, TREND).await?,
        Some(_) => Vec::new(),
    };
    let now_ms = web.app.now_ms();
    page(&RepositoryPage {
        viewer: who.viewer(&web),
        older: builds.last().map(|build| build.number).filter(|_| more),
        builds: builds
            .iter()
            .map(|build| BuildRow::new(build, None, now_ms))
            .collect(),
        trends: chart::trends(&measures),
        repository,
    })
}

pub(super) async fn build(
    State(web): State<Web>,
    who: Who,
    Path((owner, name, number)): Path<(String, String, String)>,
) -> Result<Response, Error> {
    let view = visible_build(&web, &who, &owner, &name, &number).await?;
    let report = view.report();
    let failures = report.tests.iter().filter(|test| test.outcome.is_red());
    let failures = failures.count();
    let (mut tests, _) = view::tests(&report, &Wanted::default(), FAILURES.min(failures));
    insight::with_code(&web, &view, &mut tests).await;
    let look = |job: &Job| {
        let mark = view::mark(job.state, job.conclusion);
        (mark, view::took(job.started_ms, job.finished_ms))
    };
    page(&BuildPage {
        errands: errands(&web, &who, &view).await,
        viewer: who.viewer(&web),
        build: BuildRow::new(&view.build, Some(&view), web.app.now_ms()),
        reasons: view::reasons(&view),
        problems: view::problems(&view),
        graph: chart::graph(&view.jobs, look),
        jobs: view.jobs.iter().map(JobRow::new).collect(),
        tests_left: failures.saturating_sub(tests.len()),
        tests,
        tests_title: if report.tests.is_empty() {
            String::new()
        } else {
            crate::domain::verdict::counts(&report.totals())
        },
        coverage: view::coverage(&view, &report),
        progress: progress::of(&web, &view).await?,
        repository: view.repository,
    })
}
