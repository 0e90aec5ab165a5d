//! What is deployed where.

use axum::extract::{Path, State};
use axum::response::Json;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::pages::visible;
use super::super::router::Web;
use super::super::session::Who;
use super::error::Problem;
use super::model::time;
use super::repositories::Answer;
use crate::domain::{Conclusion, DeployedJob, Repository};

/// The environments of a repository.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EnvironmentsAnswer {
    /// In the order of their names; at most 50.
    environments: Vec<EnvironmentAnswer>,
}

/// An environment.
#[derive(Debug, Serialize, ToSchema)]
struct EnvironmentAnswer {
    #[schema(example = "production")]
    name: String,
    /// Where it can be looked at.
    url: Option<String>,
    /// What is there: the newest deployment that succeeded.
    deployed: Option<DeployedAnswer>,
    /// The newest deployment, whatever came of it.
    newest: DeployedAnswer,
}

/// A deployment.
#[derive(Debug, Serialize, ToSchema)]
struct DeployedAnswer {
    /// The number of its build.
    build: i64,
    /// The key of its job.
    job: String,
    attempt: u32,
    commit: String,
    /// `null` while it runs.
    #[schema(value_type = Option<String>, example = "success")]
    conclusion: Option<Conclusion>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    /// The page of its job.
    page: String,
}

impl DeployedAnswer {
    fn new(one: &DeployedJob, repository: &Repository, root: &str) -> Self {
        let (owner, name) = (&repository.owner, &repository.name);
        Self {
            build: one.build,
            job: one.job.clone(),
            attempt: one.attempt,
            commit: one.commit.to_string(),
            conclusion: one.conclusion,
            started_at: time(one.started_ms),
            finished_at: one.finished_ms.and_then(time),
            page: format!(
                "{root}/repos/{owner}/{name}/builds/{}/jobs/{}",
                one.build, one.job
            ),
        }
    }
}

/// What is deployed in the environments of a repository.
#[utoipa::path(get, path = "/repos/{owner}/{repo}/environments", tag = "repositories",
    params(("owner" = String, Path), ("repo" = String, Path)),
    responses((status = 200, body = EnvironmentsAnswer), (status = 401, body = Problem),
        (status = 404, body = Problem)))]
pub(super) async fn list(
    State(web): State<Web>,
    who: Who,
    Path((owner, name)): Path<(String, String)>,
) -> Answer<EnvironmentsAnswer> {
    let repository = visible(&web, &who, &owner, &name).await?;
    let found = web.app.parts.store.environments(&repository.id).await?;
    let root = &web.app.settings.links.public_url;
    let answer = |one: &DeployedJob| DeployedAnswer::new(one, &repository, root);
    let environments = found.iter().map(|one| EnvironmentAnswer {
        name: one.newest.environment.clone(),
        url: one.newest.url.clone(),
        deployed: one.live.as_ref().map(answer),
        newest: answer(&one.newest),
    });
    Ok(Json(EnvironmentsAnswer {
        environments: environments.collect(),
    }))
}
