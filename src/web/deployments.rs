//! What was deployed where: the page with all of it, and what other pages say of it.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::error::Error;
use super::pages::{page, visible};
use super::router::Web;
use super::session::{Viewer, Who};
use super::view::{self, Mark, Moment};
use crate::domain::{BuildView, Conclusion, DeployedJob, Environment, Job, Permission, Repository};
use crate::text::address;

/// Deployments on one page.
const MOST: usize = 50;

/// A deployment.
pub(super) struct DeployedRow {
    pub(super) environment: String,
    /// The query of the page with all that was deployed there.
    pub(super) query: String,
    pub(super) url: Option<String>,
    pub(super) mark: Mark,
    pub(super) number: i64,
    pub(super) job: String,
    pub(super) attempt: u32,
    pub(super) commit: String,
    pub(super) short: String,
    pub(super) when: Moment,
    pub(super) took: String,
}

impl DeployedRow {
    fn new(one: &DeployedJob, now_ms: i64) -> Self {
        Self {
            environment: one.environment.clone(),
            query: format!("?environment={}", address::part(&one.environment)),
            url: one.url.clone(),
            mark: view::mark(one.state, one.conclusion),
            number: one.build,
            job: one.job.clone(),
            attempt: one.attempt,
            commit: one.commit.to_string(),
            short: one.commit.short().to_owned(),
            when: Moment::new(one.finished_ms.unwrap_or(one.started_ms), now_ms),
            took: view::took(Some(one.started_ms), one.finished_ms),
        }
    }
}

/// An environment: what is there, and what was tried after that.
pub(super) struct EnvironmentRow {
    pub(super) newest: DeployedRow,
    pub(super) live: Option<DeployedRow>,
    /// Whether the newest one is another one than that.
    pub(super) differs: bool,
}

impl EnvironmentRow {
    pub(super) fn new(environment: &Environment, now_ms: i64) -> Self {
        let Environment { newest, live } = environment;
        Self {
            differs: live.as_ref() != Some(newest),
            newest: DeployedRow::new(newest, now_ms),
            live: live.as_ref().map(|live| DeployedRow::new(live, now_ms)),
        }
    }
}

#[derive(Template)]
#[template(path = "pages/deployments.html")]
struct DeploymentsPage {
    viewer: Viewer,
    repository: Repository,
    /// The one that is looked at, where it is one alone.
    environment: Option<String>,
    rows: Vec<DeployedRow>,
    /// The query of the page where the list goes on.
    older: Option<String>,
}

/// Which deployments are to be shown.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Wanted {
    environment: Option<String>,
    before: Option<i64>,
}

/// `/repos/{owner}/{repo}/deployments`.
pub(super) async fn show(
    State(web): State<Web>,
    who: Who,
    Path((owner, name)): Path<(String, String)>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Error> {
    let repository = visible(&web, &who, &owner, &name).await?;
    let Query(wanted) = wanted.unwrap_or_default();
    let environment = wanted.environment.filter(|name| !name.is_empty());
    let before_ms = wanted.before.unwrap_or(i64::MAX);
    let store = &web.app.parts.store;
    let limit = i64::try_from(MOST + 1).unwrap_or(i64::MAX);
    let mut found = store
        .deployments(&repository.id, environment.as_deref(), before_ms, limit)
        .await?;
    let more = found.len() > MOST;
    found.truncate(MOST);
    let older = found.last().filter(|_| more).map(|last| {
        let of = environment.as_deref().map(address::part);
        let of = of.map_or_else(String::new, |name| format!("environment={name}&"));
        format!("?{of}before={}", last.started_ms)
    });
    let now_ms = web.app.now_ms();
    page(&DeploymentsPage {
        viewer: who.viewer(&web),
        rows: found
            .iter()
            .map(|one| DeployedRow::new(one, now_ms))
            .collect(),
        environment,
        older,
        repository,
    })
}

/// What the viewer can do with a deployment.
pub(super) struct JobButton {
    /// The end of the address that it is sent to.
    pub(super) verb: &'static str,
    pub(super) label: &'static str,
}

/// To let it begin, to deploy it again, or to go back to it. Forms are for people who have signed in.
pub(super) async fn button(
    web: &Web,
    who: &Who,
    view: &BuildView,
    job: &Job,
) -> Result<Option<JobButton>, Error> {
    let Some(deploy) = &job.order.deploy else {
        return Ok(None);
    };
    let may = who.session.is_some()
        && web.app.permission(&who.visitor, &view.repository).await >= Permission::Write;
    if !may {
        return Ok(None);
    }
    if job.waits_for_approval() {
        return Ok(Some(JobButton {
            verb: "approve",
            label: "Approve and run",
        }));
    }
    let left_out = matches!(job.conclusion, None | Some(Conclusion::Skipped));
    if view.build.conclusion.is_none() || left_out {
        return Ok(None);
    }
    let store = &web.app.parts.store;
    let environment = Some(deploy.environment.as_str());
    let newest = store
        .deployments(&view.repository.id, environment, i64::MAX, 1)
        .await?;
    let is_newest = newest
        .first()
        .is_none_or(|one| one.build == view.build.number);
    let label = match job.conclusion {
        Some(Conclusion::Success) if !is_newest => "Roll back to this",
        _ => "Deploy again",
    };
    Ok(Some(JobButton {
        verb: "rerun",
        label,
    }))
}
