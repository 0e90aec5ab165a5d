//! GitHub Actions of the simulated GitHub: runs of workflows and their artifacts.

use std::collections::HashMap;

use axum::Router;
use axum::extract::{Path, Query, State as Handle};
use axum::http::header::{AUTHORIZATION, HOST, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::access::enter;
use super::api::{Answer, Refusal, not_found, page};
use super::state::{GitHub, Project};

/// A run of a workflow that has ended.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The workflow's name, by which it is known here.
    pub workflow: String,
    /// What it ran for.
    pub event: String,
    /// The branch of its commit.
    pub branch: String,
    /// The commit.
    pub commit: String,
    /// How it ended.
    pub conclusion: String,
    /// The repository that the commit came from and its owner, where it is another one.
    pub fork: Option<(i64, String)>,
    /// Whether a bot account caused it.
    pub by_bot: bool,
}

/// An artifact of a run.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// Its id.
    pub id: u64,
    /// The run's id.
    pub run: u64,
    /// Its name.
    pub name: String,
    /// What is downloaded.
    pub bytes: Vec<u8>,
    /// How large it is said to be.
    pub said_bytes: u64,
    /// Whether it is deleted.
    pub expired: bool,
}

pub(super) fn routes() -> Router<GitHub> {
    Router::new()
        .route(
            "/repos/{owner}/{repo}/actions/workflows/{id}/runs",
            get(runs),
        )
        .route(
            "/repos/{owner}/{repo}/actions/runs/{id}/artifacts",
            get(artifacts),
        )
        .route(
            "/repos/{owner}/{repo}/actions/artifacts/{id}/zip",
            get(download),
        )
}

/// Where artifacts really are.
pub(super) fn storage() -> Router<GitHub> {
    Router::new().route("/_storage/{id}", get(stored))
}

fn time(ms: i64) -> Option<String> {
    let time = chrono::DateTime::from_timestamp_millis(ms)?;
    Some(time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}

impl GitHub {
    /// Notes a run of a workflow that took a minute, and says its id.
    pub fn ran(&self, project: &Project, ran: &Ran) -> u64 {
        let now_ms = self.now_ms();
        let mut state = self.state();
        let id = state.next_id();
        let number = state.runs.len() + 1;
        let workflow = ran.workflow.bytes().map(u64::from).sum::<u64>();
        let owner = |login: &str| json!({"id": 77, "login": login, "type": "Organization"});
        let head = match &ran.fork {
            Some((id, login)) => json!({"id": id, "owner": owner(login)}),
            None => json!({"id": project.id, "owner": owner(&project.owner)}),
        };
        let kind = if ran.by_bot { "Bot" } else { "User" };
        // GitHub names none for a pull request of a fork.
        let pulls: Vec<Value> = state
            .pulls
            .iter()
            .filter(|pull| {
                ran.fork.is_none() && pull.pointer("/head/sha") == Some(&json!(ran.commit))
            })
            .filter_map(|pull| {
                let number = pull.pointer("/number")?;
                Some(json!({"number": number, "base": {"repo": {"id": project.id}}}))
            })
            .collect();
        state.runs.push(json!({
            "id": id,
            "name": ran.workflow,
            "head_branch": ran.branch,
            "head_sha": ran.commit,
            "run_number": number,
            "run_attempt": 1,
            "event": ran.event,
            "status": "completed",
            "conclusion": ran.conclusion,
            "workflow_id": workflow,
            "pull_requests": pulls,
            "created_at": time(now_ms - 60_000),
            "run_started_at": time(now_ms - 60_000),
            "updated_at": time(now_ms),
            "head_repository": head,
            "repository": {"id": project.id},
            "actor": {"id": 500, "login": "mona", "type": kind},
            "html_url": format!(
                "https://github.test/{}/{}/actions/runs/{id}", project.owner, project.name
            ),
        }));
        id
    }

    /// Runs a run again, which ends so.
    pub fn ran_again(&self, run: u64, conclusion: &str) {
        let now_ms = self.now_ms();
        let mut state = self.state();
        let found = state
            .runs
            .iter_mut()
            .find(|row| row.get("id") == Some(&json!(run)));
        if let Some(row) = found.and_then(Value::as_object_mut) {
            let attempt = row.get("run_attempt").and_then(Value::as_i64).unwrap_or(1);
            row.insert("run_attempt".to_owned(), json!(attempt + 1));
            row.insert("conclusion".to_owned(), json!(conclusion));
            row.insert("run_started_at".to_owned(), json!(time(now_ms - 60_000)));
            row.insert("updated_at".to_owned(), json!(time(now_ms)));
        }
    }

    /// Keeps an artifact of a run.
    pub fn upload_artifact(&self, run: u64, name: &str, bytes: &[u8]) -> u64 {
        let mut state = self.state();
        let id = state.next_id();
        state.artifacts.push(Artifact {
            id,
            run,
            name: name.to_owned(),
            bytes: bytes.to_vec(),
            said_bytes: bytes.len() as u64,
            expired: false,
        });
        id
    }

    /// The payload of a `workflow_run` delivery for a run.
    pub fn workflow_run(&self, project: &Project, run: u64) -> Value {
        let state = self.state();
        let row = state
            .runs
            .iter()
            .find(|row| row.get("id") == Some(&json!(run)));
        let name = row.and_then(|row| row.get("name"));
        json!({
            "action": "completed",
            "workflow_run": row,
            "workflow": {"name": name},
            "repository": Self::repository_json(project),
            "installation": {"id": Self::INSTALLATION},
            "sender": {"id": 500, "login": "mona", "type": "User"},
        })
    }
}

async fn runs(
    Handle(github): Handle<GitHub>,
    Path((owner, repo, workflow)): Path<(String, String, u64)>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    let access = ("actions", "read");
    let (state, repository) = enter(&github, &headers, (&owner, &repo), access)?;
    let is = |row: &Value, at: &str, value: Value| row.pointer(at) == Some(&value);
    let of_workflow = |row: &&Value| {
        let of_commit = query
            .get("head_sha")
            .is_none_or(|commit| is(row, "/head_sha", json!(commit)));
        of_commit
            && is(row, "/workflow_id", json!(workflow))
            && is(row, "/repository/id", json!(repository))
    };
    let found: Vec<Value> = state
        .runs
        .iter()
        .rev()
        .filter(of_workflow)
        .cloned()
        .collect();
    let answer = json!({"total_count": found.len(), "workflow_runs": page(found, &query)});
    Ok((StatusCode::OK, Json(answer)))
}

async fn artifacts(
    Handle(github): Handle<GitHub>,
    Path((owner, repo, run)): Path<(String, String, u64)>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    let access = ("actions", "read");
    let (state, _) = enter(&github, &headers, (&owner, &repo), access)?;
    let of_run = state
        .artifacts
        .iter()
        .filter(|artifact| artifact.run == run);
    let found: Vec<Value> = of_run
        .map(|artifact| {
            json!({
                "id": artifact.id, "name": artifact.name, "size_in_bytes": artifact.said_bytes,
                "expired": artifact.expired,
            })
        })
        .collect();
    let answer = json!({"total_count": found.len(), "artifacts": page(found, &query)});
    Ok((StatusCode::OK, Json(answer)))
}

/// Leads to the storage, as GitHub does.
async fn download(
    Handle(github): Handle<GitHub>,
    Path((owner, repo, id)): Path<(String, String, u64)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let access = ("actions", "read");
    let (state, _) = enter(&github, &headers, (&owner, &repo), access)?;
    let found = state.artifacts.iter().find(|artifact| artifact.id == id);
    if found.ok_or_else(not_found)?.expired {
        return Err(Refusal(StatusCode::GONE, "Artifact has expired".to_owned()));
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let to = format!(
        "http://{}/_storage/{id}?sig=secret",
        host.unwrap_or_default()
    );
    Ok((StatusCode::FOUND, [(LOCATION, to)]).into_response())
}

/// Azure's storage refuses a request with another permission than that of its address.
async fn stored(
    Handle(github): Handle<GitHub>,
    Path(id): Path<u64>,
    headers: HeaderMap,
) -> Response {
    if headers.contains_key(AUTHORIZATION) {
        return (StatusCode::BAD_REQUEST, "InvalidAuthenticationInfo").into_response();
    }
    let state = github.state();
    match state.artifacts.iter().find(|artifact| artifact.id == id) {
        Some(artifact) => artifact.bytes.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
