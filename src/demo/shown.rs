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
use super::production;
use super::state::GitHub;

pub(super) fn routes() -> Router<GitHub> {
    production::routes()
        .merge(commits::routes())
        .route("/repos/{owner}/{repo}/releases/latest", get(release))
        .route("/repos/{owner}/{repo}/tags", get(tags))
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
