//! Deployments of the simulated GitHub and their states, by the rules of its REST documentation ("Deployments").

use std::collections::HashMap;

use axum::Router;
use axum::extract::{Path, Query, State as Handle};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Json;
use axum::routing::get;
use serde_json::{Value, json};

use super::access::enter;
use super::api::{Answer, Refusal, invalid, not_found, page, text};
use super::git;
use super::state::{GitHub, State};

/// GitHub's limits, in characters.
const ENVIRONMENT: usize = 255;
const DESCRIPTION: usize = 140;

/// A deployment.
#[derive(Debug, Clone, Default)]
pub struct Deployed {
    /// Its id.
    pub id: u64,
    /// The repository's id.
    pub repository: i64,
    /// The commit.
    pub commit: String,
    /// Where to.
    pub environment: String,
    /// What it is.
    pub description: String,
    /// What whoever made it wrote along.
    pub payload: Value,
    /// Whether people who use the software see it.
    pub production: bool,
    /// Whether its environment is there for a while only.
    pub transient: bool,
    /// Its states, the newest last.
    pub states: Vec<DeployedState>,
}

/// A state of a deployment.
#[derive(Debug, Clone, Default)]
pub struct DeployedState {
    /// GitHub's word.
    pub state: String,
    /// How it stands.
    pub description: String,
    /// Where its log is.
    pub log_url: String,
    /// Where the environment can be looked at.
    pub environment_url: String,
}

impl Deployed {
    /// One that somebody else made.
    pub fn by_others(repository: i64, environment: &str, state: &str) -> Self {
        Self {
            repository,
            environment: environment.to_owned(),
            states: vec![DeployedState {
                state: state.to_owned(),
                ..DeployedState::default()
            }],
            ..Self::default()
        }
    }

    /// The newest of its states; `pending` without any.
    pub fn state(&self) -> &str {
        self.states.last().map_or("pending", |newest| &newest.state)
    }

    /// The words of its states, the oldest first.
    pub fn history(&self) -> Vec<&str> {
        self.states.iter().map(|one| one.state.as_str()).collect()
    }
}

pub(super) fn routes() -> Router<GitHub> {
    Router::new()
        .route("/repos/{owner}/{repo}/deployments", get(list).post(create))
        .route(
            "/repos/{owner}/{repo}/deployments/{id}/statuses",
            get(states).post(set_state),
        )
}

fn flag(body: &Value, key: &str, default: bool) -> bool {
    body.get(key).and_then(Value::as_bool).unwrap_or(default)
}

fn shown(deployment: &Deployed) -> Value {
    json!({
        "id": deployment.id,
        "sha": deployment.commit,
        "environment": deployment.environment,
        "description": deployment.description,
        "payload": deployment.payload,
    })
}

/// The newest first.
async fn list(
    Handle(github): Handle<GitHub>,
    Path((owner, repo)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    let access = ("deployments", "read");
    let (state, repository) = enter(&github, &headers, (&owner, &repo), access)?;
    let asked = |key: &str, value: &str| query.get(key).is_none_or(|wanted| wanted == value);
    let found = state.deployments.iter().rev().filter(|one| {
        one.repository == repository
            && asked("sha", &one.commit)
            && asked("environment", &one.environment)
    });
    let found: Vec<Value> = found.map(shown).collect();
    Ok((StatusCode::OK, Json(Value::Array(page(found, &query)))))
}

async fn create(
    Handle(github): Handle<GitHub>,
    Path((owner, repo)): Path<(String, String)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Answer {
    let access = ("deployments", "write");
    let (mut state, repository) = enter(&github, &headers, (&owner, &repo), access)?;
    let project = state.project(&owner, &repo).ok_or_else(not_found)?;
    let commit = text(&body, "ref");
    if !git::has_commit(&project.git_dir, &commit) {
        return Err(invalid(format!("No ref found for: {commit}")));
    }
    // Without them GitHub merges the default branch into what is deployed, and asks all other checks.
    if flag(&body, "auto_merge", true) || body.get("required_contexts") != Some(&json!([])) {
        let message = "Conflict: Commit status checks failed, or are in progress".to_owned();
        return Err(Refusal(StatusCode::CONFLICT, message));
    }
    let environment = text(&body, "environment");
    let length = environment.chars().count();
    if length == 0 || length > ENVIRONMENT {
        return Err(invalid("environment"));
    }
    let deployment = Deployed {
        id: state.next_id(),
        repository,
        commit,
        description: described(&body)?,
        payload: body.get("payload").cloned().unwrap_or_default(),
        production: flag(&body, "production_environment", environment == "production"),
        transient: flag(&body, "transient_environment", false),
        environment,
        states: Vec::new(),
    };
    let answer = shown(&deployment);
    state.deployments.push(deployment);
    Ok((StatusCode::CREATED, Json(answer)))
}

fn described(body: &Value) -> Result<String, Refusal> {
    let description = text(body, "description");
    if description.chars().count() > DESCRIPTION {
        return Err(invalid(
            "description is too long (maximum is 140 characters)",
        ));
    }
    Ok(description)
}

/// The newest first.
async fn states(
    Handle(github): Handle<GitHub>,
    Path((owner, repo, id)): Path<(String, String, u64)>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    let access = ("deployments", "read");
    let (state, repository) = enter(&github, &headers, (&owner, &repo), access)?;
    let found = state.deployments.iter();
    let mut found = found.filter(|one| one.repository == repository && one.id == id);
    let deployment = found.next().ok_or_else(not_found)?;
    let states = deployment.states.iter().rev().map(|one| {
        json!({
            "state": one.state,
            "description": one.description,
            "log_url": one.log_url,
            "environment_url": one.environment_url,
        })
    });
    let answer = page(states.collect(), &query);
    Ok((StatusCode::OK, Json(Value::Array(answer))))
}

async fn set_state(
    Handle(github): Handle<GitHub>,
    Path((owner, repo, id)): Path<(String, String, u64)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Answer {
    let access = ("deployments", "write");
    let (mut state, repository) = enter(&github, &headers, (&owner, &repo), access)?;
    let one = DeployedState {
        state: text(&body, "state"),
        description: described(&body)?,
        log_url: text(&body, "log_url"),
        environment_url: text(&body, "environment_url"),
    };
    let known = [
        "error",
        "failure",
        "inactive",
        "in_progress",
        "queued",
        "pending",
        "success",
    ];
    if !known.contains(&one.state.as_str()) {
        return Err(invalid("state"));
    }
    for url in [&one.log_url, &one.environment_url] {
        let good = url.is_empty() || url.starts_with("https://") || url.starts_with("http://");
        if !good {
            return Err(invalid("url must use http(s) scheme"));
        }
    }
    let mut deployments = state.deployments.iter_mut();
    let deployment = deployments
        .find(|one| one.repository == repository && one.id == id)
        .ok_or_else(not_found)?;
    let (is_good, environment) = (one.state == "success", deployment.environment.clone());
    deployment.states.push(one);
    if is_good && flag(&body, "auto_inactive", true) {
        retire(&mut state, repository, &environment, id);
    }
    Ok((StatusCode::CREATED, Json(json!({"id": state.next_id()}))))
}

/// What was deployed there before is no longer, as far as GitHub says so by itself.
fn retire(state: &mut State, repository: i64, environment: &str, but: u64) {
    for other in &mut state.deployments {
        let retires = other.repository == repository
            && other.environment == environment
            && other.id != but
            && !other.production
            && !other.transient
            && other.state() == "success";
        if retires {
            other.states.push(DeployedState {
                state: "inactive".to_owned(),
                ..DeployedState::default()
            });
        }
    }
}
