//! Releases, tags and deployments of the simulated GitHub.

use axum::Router;
use axum::extract::{Path, State as Handle};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Json;
use axum::routing::get;
use serde_json::{Value, json};

use super::access::enter;
use super::api::{Answer, not_found};
use super::commits;
use super::git;
use super::state::GitHub;

pub(super) fn routes() -> Router<GitHub> {
    Router::new()
        .merge(commits::routes())
        .route("/repos/{owner}/{repo}/releases/latest", get(release))
        .route("/repos/{owner}/{repo}/tags", get(tags))
        .route("/repos/{owner}/{repo}/deployments", get(deployments))
        .route(
            "/repos/{owner}/{repo}/deployments/{id}/statuses",
            get(statuses),
        )
}

async fn release(
    Handle(github): Handle<GitHub>,
    Path((owner, repo)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    let (state, repository) = enter(&github, &headers, (&owner, &repo), ("contents", "read"))?;
    let newest = state.releases.iter().rfind(|(of, _)| *of == repository);
    let (_, tag) = newest.ok_or_else(not_found)?;
    Ok((StatusCode::OK, Json(json!({"tag_name": tag}))))
}

async fn tags(
    Handle(github): Handle<GitHub>,
    Path((owner, repo)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    let (state, _) = enter(&github, &headers, (&owner, &repo), ("contents", "read"))?;
    let project = state.project(&owner, &repo).ok_or_else(not_found)?;
    let names: Vec<Value> = git::tags(&project.git_dir)
        .into_iter()
        .map(|name| json!({"name": name}))
        .collect();
    Ok((StatusCode::OK, Json(Value::Array(names))))
}

/// The newest one first; its id is its place in the list.
async fn deployments(
    Handle(github): Handle<GitHub>,
    Path((owner, repo)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    let access = ("deployments", "read");
    let (state, repository) = enter(&github, &headers, (&owner, &repo), access)?;
    let found: Vec<Value> = state
        .deployments
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, (of, ..))| *of == repository)
        .map(|(id, (_, environment, _))| json!({"id": id, "environment": environment}))
        .collect();
    Ok((StatusCode::OK, Json(Value::Array(found))))
}

async fn statuses(
    Handle(github): Handle<GitHub>,
    Path((owner, repo, id)): Path<(String, String, usize)>,
    headers: HeaderMap,
) -> Answer {
    let access = ("deployments", "read");
    let (state, _) = enter(&github, &headers, (&owner, &repo), access)?;
    let (_, _, word) = state.deployments.get(id).ok_or_else(not_found)?;
    Ok((StatusCode::OK, Json(json!([{"state": word}]))))
}
