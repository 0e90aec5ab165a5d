//! Pages.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;

use super::change::{self, GateRow};
use super::chart::{self, Graph, Trend};
use super::deployments::EnvironmentRow;
use super::error::Error;
use super::insight;
use super::part;
use super::progress::{self, Progress};
use super::router::Web;
use super::session::{Viewer, Who};
use super::view::{self, BuildRow, JobRow, Mark, TestRow, Wanted, red_or_green};
use crate::app::Visitor;
use crate::badge;
use crate::domain::{
    BuildView, Conclusion, Holder, Job, Measure, Permission, Repository, RepositoryId,
};
use crate::text::address;

const CSS: &str = include_str!("../../templates/pages/herald.css");
const BUILD_SCRIPT: &str = include_str!("../../templates/pages/build.js");
const LOG_SCRIPT: &str = include_str!("../../templates/pages/log.js");
/// Public repositories on one page of the overview.
const REPOSITORIES: usize = 50;
/// Repositories that GitHub is asked for, one by one, for one page.
const ASKED: usize = 100;
/// Branches on the page of a repository.
const BRANCHES: i64 = 30;
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
    q: String,
    own: Vec<RepositoryRow>,
    repositories: Vec<RepositoryRow>,
    /// The query of the page after this one.
    next: Option<String>,
}

/// A repository, and how its default branch is.
struct RepositoryRow {
    repository: Repository,
    last: Option<Last>,
}

/// The last build of a default branch.
struct Last {
    number: i64,
    mark: Mark,
    /// Its tests and its coverage.
    said: String,
}

impl Last {
    fn new(measure: &Measure) -> Self {
        let (passed, failed) = (measure.passed, measure.failed);
        let mut said = Vec::new();
        if passed + failed > 0 {
            said.push(badge::tests(passed, failed, measure.skipped).0);
        }
        if measure.coverable > 0 {
            said.push(badge::coverage(measure.covered, measure.coverable).0);
        }
        Self {
            number: measure.number,
            mark: red_or_green(measure.red),
            said: said.join(" · "),
        }
    }
}

#[derive(Template)]
#[template(path = "pages/repository.html")]
struct RepositoryPage {
    viewer: Viewer,
    repository: Repository,
    /// The one that is looked at, where it is one alone.
    branch: Option<String>,
    branches: Vec<BranchRow>,
    builds: Vec<BuildRow>,
    environments: Vec<EnvironmentRow>,
    trends: Vec<Trend>,
    /// The query of the page where the list goes on.
    older: Option<String>,
}

/// A branch, and its last build.
struct BranchRow {
    name: String,
    address: String,
    mark: Mark,
    number: i64,
}

#[derive(Template)]
#[template(path = "pages/build.html")]
struct BuildPage {
    errands: Vec<ErrandButton>,
    viewer: Viewer,
    repository: Repository,
    build: BuildRow,
    reasons: Vec<String>,
    /// How far the pull request is behind its base.
    behind: String,
    gates: Vec<GateRow>,
    problems: Vec<String>,
    graph: Option<Graph>,
    jobs: Vec<JobRow>,
    tests: Vec<TestRow>,
    tests_title: String,
    /// What is known of the failed tests, in one sentence.
    headline: String,
    /// What became of the tests of each job against its base.
    against: Vec<(i64, String)>,
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

/// Which repositories are to be shown.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Choice {
    #[serde(default)]
    q: String,
    /// The last one of the page before, as `owner/name`.
    #[serde(default)]
    after: String,
}

pub(super) async fn overview(
    State(web): State<Web>,
    who: Who,
    choice: Result<Query<Choice>, QueryRejection>,
) -> Result<Response, Error> {
    let Query(choice) = choice.unwrap_or_default();
    let words = choice.q.trim();
    let mut own = Vec::new();
    if choice.after.is_empty() {
        let lower = words.to_lowercase();
        own = own_repositories(&web, &who, "").await?.repositories;
        own.retain(|found| found.full_name().to_lowercase().contains(&lower));
        own.sort_by_key(Repository::full_name);
    }
    let after = choice.after.split_once('/').unwrap_or_default();
    let store = &web.app.parts.store;
    let limit = i64::try_from(REPOSITORIES + 1).unwrap_or(i64::MAX);
    let mut public = store.public_repositories(words, after, limit).await?;
    let more = public.len() > REPOSITORIES;
    public.truncate(REPOSITORIES);
    let last = public.last().filter(|_| more);
    let next = last.map(|last| {
        let after = address::path(&last.full_name());
        format!("?q={}&after={after}", address::path(words))
    });
    page(&Overview {
        viewer: who.viewer(&web),
        q: words.to_owned(),
        own: rows(&web, own).await?,
        repositories: rows(&web, public).await?,
        next,
    })
}

async fn rows(web: &Web, repositories: Vec<Repository>) -> Result<Vec<RepositoryRow>, Error> {
    let mut rows = Vec::with_capacity(repositories.len());
    for repository in repositories {
        let store = &web.app.parts.store;
        let branch = &repository.default_branch;
        let last = store.measures(&repository.id, branch, 1).await?.pop();
        rows.push(RepositoryRow {
            last: last.as_ref().map(Last::new),
            repository,
        });
    }
    Ok(rows)
}

/// Repositories that are not public and that somebody may see.
pub(super) struct Own {
    /// In the order of their ids.
    pub(super) repositories: Vec<Repository>,
    /// Those after this one were not looked at.
    pub(super) up_to: Option<RepositoryId>,
}

/// The repositories that are not public and that they may see, with ids after this one. What GitHub lists for
/// whoever has signed in; for a token of a person each one is asked for, which is why it is only so many at once.
pub(super) async fn own_repositories(web: &Web, who: &Who, after: &str) -> Result<Own, Error> {
    let store = &web.app.parts.store;
    let mine = |found: &Repository| found.private && found.id.as_str() > after;
    if let (Some(session), Some(sign_in)) = (&who.session, &web.sign_in) {
        let ids = sign_in.readable(session, web.app.now_ms()).await;
        let mut repositories = store.repositories(&ids).await?;
        repositories.retain(mine);
        repositories.sort_by(|one, other| one.id.cmp(&other.id));
        return Ok(Own {
            repositories,
            up_to: None,
        });
    }
    let mut candidates = match &who.visitor {
        Visitor::Token(token) => match &token.holder {
            Holder::Repository(id) => store.repositories(std::slice::from_ref(id)).await?,
            Holder::Person(_) => store.active_repositories().await?,
        },
        _ => Vec::new(),
    };
    candidates.retain(mine);
    candidates.sort_by(|one, other| one.id.cmp(&other.id));
    let more = candidates.len() > ASKED;
    candidates.truncate(ASKED);
    let last = candidates.last().filter(|_| more);
    let up_to = last.map(|last| last.id.clone());
    let mut repositories = Vec::new();
    for repository in candidates {
        if web.app.permission(&who.visitor, &repository).await >= Permission::Read {
            repositories.push(repository);
        }
    }
    Ok(Own {
        repositories,
        up_to,
    })
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

/// The base of each job's tests, and what became of them, each base and sentence once.
fn against(view: &BuildView) -> Vec<(i64, String)> {
    let mut all = Vec::new();
    for insight in view.insights() {
        let Some(said) = insight.base.zip(insight.changes()) else {
            continue;
        };
        if !all.contains(&said) {
            all.push(said);
        }
    }
    all
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
    let waits = view.jobs.iter().any(Job::waits_for_approval);
    let approve = waits.then(|| button("approve", "Approve and run", false));
    match view.build.conclusion {
        None => approve
            .into_iter()
            .chain([button("cancel", "Cancel", false)])
            .collect(),
        Some(_) if view.build.plan.awaits_approval => {
            vec![button("approve", "Approve and run", false)]
        }
        Some(_) if waits => approve
            .into_iter()
            .chain([button("rerun", "Run again", false)])
            .collect(),
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

/// Which builds are to be shown.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Builds {
    branch: Option<String>,
    before: Option<i64>,
}

pub(super) async fn repository(
    State(web): State<Web>,
    who: Who,
    Path((owner, name)): Path<(String, String)>,
    wanted: Result<Query<Builds>, QueryRejection>,
) -> Result<Response, Error> {
    let repository = visible(&web, &who, &owner, &name).await?;
    let (id, store) = (&repository.id, &web.app.parts.store);
    let Query(wanted) = wanted.unwrap_or_default();
    let branch = wanted.branch.filter(|branch| !branch.is_empty());
    let before = wanted.before.unwrap_or(i64::MAX);
    let mut builds = match &branch {
        Some(branch) => {
            store
                .builds_of_branch(id, branch, before, BUILDS + 1)
                .await?
        }
        None => store.builds(id, before, BUILDS + 1).await?,
    };
    let more = builds.len() > usize::try_from(BUILDS).unwrap_or(usize::MAX);
    if more {
        builds.pop();
    }
    let (mut measures, mut branches, mut environments) = (Vec::new(), Vec::new(), Vec::new());
    if wanted.before.is_none() {
        let shown = branch.as_ref().unwrap_or(&repository.default_branch);
        measures = store.measures(id, shown, TREND).await?;
        branches = store.branches(id, BRANCHES).await?;
        if branch.is_none() {
            environments = store.environments(id).await?;
        }
    }
    let now_ms = web.app.now_ms();
    let query = |branch: &str| format!("?branch={}", address::path(branch));
    let older = builds.last().filter(|_| more).map(|last| match &branch {
        Some(branch) => format!("{}&before={}", query(branch), last.number),
        None => format!("?before={}", last.number),
    });
    page(&RepositoryPage {
        viewer: who.viewer(&web),
        older,
        builds: builds
            .iter()
            .map(|build| BuildRow::new(build, None, now_ms))
            .collect(),
        environments: environments
            .iter()
            .map(|one| EnvironmentRow::new(one, now_ms))
            .collect(),
        trends: chart::trends(&measures),
        branches: branches
            .into_iter()
            .map(|(name, last)| BranchRow {
                address: query(&name),
                name,
                mark: red_or_green(last.red),
                number: last.number,
            })
            .collect(),
        branch,
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
    let (mut tests, _) = view::tests(
        &report,
        &view.verdicts(),
        &Wanted::default(),
        FAILURES.min(failures),
    );
    insight::with_code(&web, &view, &mut tests).await;
    let former = web.app.parts.store.former_attempts(&view.build.id).await?;
    let look = |job: &Job| {
        let mark = view::mark(job.state, job.conclusion);
        (mark, view::took(job.started_ms, job.finished_ms))
    };
    page(&BuildPage {
        errands: errands(&web, &who, &view).await,
        viewer: who.viewer(&web),
        build: BuildRow::new(&view.build, Some(&view), web.app.now_ms()),
        reasons: view::reasons(&view),
        behind: view.behind().unwrap_or_default(),
        gates: change::gates(&view),
        problems: view::problems(&view),
        graph: chart::graph(&view.jobs, look),
        jobs: view
            .jobs
            .iter()
            .map(|job| JobRow::with_former(job, &former))
            .collect(),
        tests_left: failures.saturating_sub(tests.len()),
        headline: view.verdicts().headline(),
        against: against(&view),
        tests,
        tests_title: if report.tests.is_empty() {
            String::new()
        } else {
            view.counts(&report)
        },
        coverage: view::coverage(&part::coverage(&view, "", &report), &report),
        progress: progress::of(&web, &view).await?,
        repository: view.repository,
    })
}
