//! The REST API of the simulated GitHub, under `/api/v3` as on an Enterprise Server.

use std::collections::HashMap;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, Request as HttpRequest, State as Handle};
use axum::http::header::{DATE, ETAG, IF_NONE_MATCH, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, patch, post};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::access::{authenticate_app, enter, mint, permissions};
use super::faults::{What, broken, halved, strike};
use super::limits::{Refused, retry_after};
use super::state::{Check, GitHub, Posted, PostedStatus, Request};
use super::{actions, git, hook, page, people, pulls, register, shown, sign_in};

/// Texts of a check's output, in characters ("Checks" in GitHub's REST documentation).
const OUTPUT_MAX: usize = 65_535;
const ANNOTATIONS_MAX: usize = 50;
const COMMENT_MAX: usize = 65_536;

/// An answer that is no success.
pub(super) struct Refusal(pub(super) StatusCode, pub(super) String);

pub(super) type Answer = Result<(StatusCode, Json<Value>), Refusal>;

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"message": self.1}))).into_response()
    }
}

pub(super) fn invalid(message: impl Into<String>) -> Refusal {
    Refusal(StatusCode::UNPROCESSABLE_ENTITY, message.into())
}

pub(super) fn not_found() -> Refusal {
    Refusal(StatusCode::NOT_FOUND, "Not Found".to_owned())
}

impl GitHub {
    /// All routes: the API under `/api/v3`, git under the names of repositories.
    pub fn router(&self) -> Router {
        let api = Router::new()
            .route("/app", get(app))
            .route("/app/hook/config", get(hook::config))
            .route("/app/hook/deliveries", get(hook::list_deliveries))
            .route("/app/hook/deliveries/{id}", get(hook::read_delivery))
            .route("/app/hook/deliveries/{id}/attempts", post(hook::redeliver))
            .route("/app/installations", get(hook::installations))
            .route("/installation/repositories", get(hook::reach))
            .route("/rate_limit", get(hook::rate_limit))
            .route("/repos/{owner}/{repo}", get(hook::repository))
            .merge(pulls::routes())
            .route("/app/installations/{id}/access_tokens", post(mint))
            .route("/repos/{owner}/{repo}/check-runs", post(create_check))
            .route("/repos/{owner}/{repo}/check-runs/{id}", patch(update_check))
            .route(
                "/repos/{owner}/{repo}/check-runs/{id}/annotations",
                get(list_annotations),
            )
            .route(
                "/repos/{owner}/{repo}/commits/{sha}/check-runs",
                get(list_checks),
            )
            .route("/repos/{owner}/{repo}/statuses/{sha}", post(create_status))
            .route(
                "/repos/{owner}/{repo}/commits/{sha}/statuses",
                get(list_statuses),
            )
            .route(
                "/repos/{owner}/{repo}/issues/{number}/comments",
                get(list_comments).post(create_comment),
            )
            .route(
                "/repos/{owner}/{repo}/issues/comments/{id}",
                patch(update_comment),
            )
            .merge(actions::routes())
            .merge(people::routes())
            .merge(shown::routes())
            .merge(sign_in::routes())
            .merge(register::api_routes())
            .fallback(|| async { not_found() });
        Router::new()
            .nest("/api/v3", api)
            .merge(actions::storage())
            .merge(page::all())
            .fallback(git::serve)
            .layer(middleware::from_fn_with_state(self.clone(), around))
            .with_state(self.clone())
    }
}

/// Faults, limits, marks of content, the clock in `Date`, and the list of requests.
async fn around(Handle(github): Handle<GitHub>, request: HttpRequest, next: Next) -> Response {
    let known = request.headers().get(IF_NONE_MATCH).cloned();
    let method = request.method().as_str().to_owned();
    let path = request
        .uri()
        .path_and_query()
        .map(ToString::to_string)
        .unwrap_or_default();
    let fault = strike(&mut github.state().faults, &method, &path);
    let api = path.starts_with("/api/");
    let now_ms = github.now_ms();
    if api {
        let mut guard = github.state();
        let state = &mut *guard;
        let [of_installation, of_app] = &mut state.quiet_until_ms;
        let quiet_until_ms = if path.contains("/app/") {
            of_app
        } else {
            of_installation
        };
        if now_ms < *quiet_until_ms {
            state.too_early.push(format!("{method} {path}"));
        }
        let quiet_ms = fault.map_or(0, What::quiet_ms);
        *quiet_until_ms = (*quiet_until_ms).max(now_ms + quiet_ms);
    }
    let refused = match &mut github.state().limits {
        // Requests for tokens are the App's own.
        Some(limits) if api && !path.contains("/app/") => limits.count(now_ms, &method, &path),
        _ => None,
    };
    let mut response = match fault {
        _ if refused.is_some() => {
            let message = json!({"message": "You have exceeded a rate limit"});
            let mut response = (StatusCode::FORBIDDEN, Json(message)).into_response();
            if let Some(Refused::Secondary(seconds)) = refused {
                retry_after(response.headers_mut(), seconds);
            }
            response
        }
        Some(What::Status(status)) => StatusCode::from_u16(status)
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            .into_response(),
        Some(What::Throttled(seconds)) => {
            let message = json!({"message": "You have exceeded a secondary rate limit"});
            let mut response = (StatusCode::FORBIDDEN, Json(message)).into_response();
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
            response
        }
        Some(What::Limited(status)) => {
            let message = json!({"message": "You have exceeded a secondary rate limit"});
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
            (status, Json(message)).into_response()
        }
        // The head arrives, the body breaks off: the client cannot know what happened.
        Some(What::LostAnswer) => broken(next.run(request).await.status()),
        Some(What::Dropped) => broken(StatusCode::OK),
        Some(What::Truncated) => halved(next.run(request).await).await,
        Some(What::NotJson) => {
            next.run(request).await;
            (StatusCode::OK, axum::response::Html("<h1>Welcome</h1>")).into_response()
        }
        Some(What::Slow) => {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            next.run(request).await
        }
        None => next.run(request).await,
    };
    let whole = matches!(fault, None | Some(What::Slow));
    if api && whole && method == "GET" && response.status() == StatusCode::OK {
        response = marked(response, known.as_ref()).await;
    }
    {
        let mut state = github.state();
        let skew_ms = state.skew_ms;
        if let Some(limits) = state.limits.as_mut().filter(|_| api) {
            if response.status() == StatusCode::NOT_MODIFIED {
                limits.give_back();
            }
            limits.describe(now_ms, skew_ms, response.headers_mut());
        }
    }
    let now = chrono::DateTime::from_timestamp_millis(github.now_ms());
    if let Some(date) = now
        .map(|now| now.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
        .and_then(|date| HeaderValue::from_str(&date).ok())
    {
        response.headers_mut().insert(DATE, date);
    }
    github.state().requests.push(Request {
        method,
        path,
        status: response.status().as_u16(),
    });
    github.changed();
    response
}

/// Marks an answer with a hash of its body; who has it already gets 304 and no body.
async fn marked(response: Response, known: Option<&HeaderValue>) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let hash: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{hash}\"")) {
        if known == Some(&etag) {
            return (StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response();
        }
        parts.headers.insert(ETAG, etag);
    }
    Response::from_parts(parts, Body::from(bytes))
}

async fn app(Handle(github): Handle<GitHub>, headers: HeaderMap) -> Answer {
    authenticate_app(&github, &headers)?;
    if let Some(registered) = &github.state().registered {
        return Ok((StatusCode::OK, Json(registered.clone())));
    }
    let answer = json!({
        "id": GitHub::APP_ID,
        "name": "herald-demo",
        "permissions": permissions(),
        "events": [
            "check_run", "check_suite", "issue_comment", "merge_group", "pull_request", "push",
            "repository", "workflow_run",
        ],
    });
    Ok((StatusCode::OK, Json(answer)))
}

pub(super) fn text(body: &Value, key: &str) -> String {
    body.get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// Takes over what a request says of a check run, by GitHub's rules.
fn apply(check: &mut Check, body: &Value) -> Result<(), Refusal> {
    if let Some(status) = body.get("status").and_then(Value::as_str) {
        if !["queued", "in_progress", "completed"].contains(&status) {
            return Err(invalid(format!("status {status}")));
        }
        status.clone_into(&mut check.status);
    }
    if let Some(conclusion) = body.get("conclusion").and_then(Value::as_str) {
        let known = [
            "action_required",
            "cancelled",
            "failure",
            "neutral",
            "success",
            "skipped",
            "timed_out",
        ];
        if !known.contains(&conclusion) {
            return Err(invalid(format!("conclusion {conclusion}")));
        }
        check.conclusion = Some(conclusion.to_owned());
    }
    if check.status == "completed" && check.conclusion.is_none() {
        return Err(invalid("conclusion is missing"));
    }
    if let Some(url) = body.get("details_url").and_then(Value::as_str) {
        url.clone_into(&mut check.details_url);
    }
    if let Some(output) = body.get("output") {
        let (title, summary) = (text(output, "title"), text(output, "summary"));
        if title.is_empty() || summary.is_empty() {
            return Err(invalid("output needs a title and a summary"));
        }
        if summary.chars().count() > OUTPUT_MAX {
            return Err(invalid("summary is too long"));
        }
        let empty = Vec::new();
        let annotations = output
            .get("annotations")
            .and_then(Value::as_array)
            .unwrap_or(&empty);
        if annotations.len() > ANNOTATIONS_MAX {
            return Err(invalid("more than 50 annotations"));
        }
        for annotation in annotations {
            check_annotation(annotation)?;
        }
        check.title = title;
        check.summary = summary;
        check.annotations.extend(annotations.iter().cloned());
        if !annotations.is_empty() {
            check.batches.push(annotations.len());
        }
    }
    if let Some(actions) = body.get("actions").and_then(Value::as_array) {
        if actions.len() > 3 {
            return Err(invalid("more than 3 actions"));
        }
        for action in actions {
            for (key, most) in [("label", 20), ("description", 40), ("identifier", 20)] {
                let length = text(action, key).chars().count();
                if length == 0 || length > most {
                    return Err(invalid(format!("action {action}")));
                }
            }
        }
        check.buttons = actions
            .iter()
            .map(|action| text(action, "identifier"))
            .collect();
    }
    if check.history.last() != Some(&check.status) {
        check.history.push(check.status.clone());
    }
    Ok(())
}

fn check_annotation(annotation: &Value) -> Result<(), Refusal> {
    let path = text(annotation, "path");
    let line = annotation.get("start_line").and_then(Value::as_i64);
    let message = text(annotation, "message");
    let long = text(annotation, "title").chars().count() > 255
        || message.len() > 64 * 1024
        || text(annotation, "raw_details").len() > 64 * 1024;
    let level = text(annotation, "annotation_level");
    if path.is_empty()
        || path.starts_with('/')
        || line.is_none_or(|line| line < 1)
        || message.is_empty()
        || long
        || !["notice", "warning", "failure"].contains(&level.as_str())
    {
        return Err(invalid(format!("annotation {annotation}")));
    }
    Ok(())
}

fn check_json(check: &Check) -> Value {
    json!({
        "id": check.id,
        "name": check.name,
        "head_sha": check.commit,
        "external_id": check.external_id,
        "status": check.status,
        "conclusion": check.conclusion,
        "output": {
            "title": check.title,
            "summary": check.summary,
            "annotations_count": check.annotations.len(),
        },
        "app": {"id": GitHub::APP_ID},
    })
}

async fn create_check(
    Handle(github): Handle<GitHub>,
    Path((owner, repo)): Path<(String, String)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Answer {
    let (mut state, repository) = enter(&github, &headers, (&owner, &repo), ("checks", "write"))?;
    let commit = text(&body, "head_sha");
    let project = state.project(&owner, &repo).ok_or_else(not_found)?;
    if !git::has_commit(&project.git_dir, &commit) {
        return Err(invalid(format!("No commit found for SHA: {commit}")));
    }
    let mut check = Check {
        id: 0,
        repository,
        commit,
        name: text(&body, "name"),
        external_id: text(&body, "external_id"),
        status: "queued".to_owned(),
        conclusion: None,
        details_url: String::new(),
        title: String::new(),
        summary: String::new(),
        annotations: Vec::new(),
        batches: Vec::new(),
        history: Vec::new(),
        buttons: Vec::new(),
    };
    apply(&mut check, &body)?;
    check.id = state.next_id();
    let answer = check_json(&check);
    state.checks.push(check);
    Ok((StatusCode::CREATED, Json(answer)))
}

async fn update_check(
    Handle(github): Handle<GitHub>,
    Path((owner, repo, id)): Path<(String, String, u64)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Answer {
    let (mut state, repository) = enter(&github, &headers, (&owner, &repo), ("checks", "write"))?;
    let check = state
        .checks
        .iter_mut()
        .find(|check| check.id == id && check.repository == repository)
        .ok_or_else(not_found)?;
    let mut changed = check.clone();
    apply(&mut changed, &body)?;
    *check = changed;
    Ok((StatusCode::OK, Json(check_json(check))))
}

/// One page of a list, by `per_page` and `page`.
pub(super) fn page(items: Vec<Value>, query: &HashMap<String, String>) -> Vec<Value> {
    let number = |key: &str, default: usize| {
        query
            .get(key)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
            .max(1)
    };
    let per_page = number("per_page", 30).min(100);
    let skipped = (number("page", 1) - 1) * per_page;
    items.into_iter().skip(skipped).take(per_page).collect()
}

async fn list_checks(
    Handle(github): Handle<GitHub>,
    Path((owner, repo, commit)): Path<(String, String, String)>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    let (state, repository) = enter(&github, &headers, (&owner, &repo), ("checks", "read"))?;
    let all: Vec<Value> = state
        .checks
        .iter()
        .rev()
        .filter(|check| check.repository == repository && check.commit == commit)
        .filter(|check| {
            query
                .get("check_name")
                .is_none_or(|name| *name == check.name)
        })
        .map(check_json)
        .collect();
    let answer = json!({"total_count": all.len(), "check_runs": page(all, &query)});
    Ok((StatusCode::OK, Json(answer)))
}

async fn list_annotations(
    Handle(github): Handle<GitHub>,
    Path((owner, repo, id)): Path<(String, String, u64)>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    let (state, _) = enter(&github, &headers, (&owner, &repo), ("checks", "read"))?;
    let check = state
        .checks
        .iter()
        .find(|check| check.id == id)
        .ok_or_else(not_found)?;
    let answer = page(check.annotations.clone(), &query);
    Ok((StatusCode::OK, Json(Value::Array(answer))))
}

async fn create_status(
    Handle(github): Handle<GitHub>,
    Path((owner, repo, commit)): Path<(String, String, String)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Answer {
    let (mut state, repository) = enter(&github, &headers, (&owner, &repo), ("statuses", "write"))?;
    let status = PostedStatus {
        repository,
        commit,
        context: text(&body, "context"),
        state: text(&body, "state"),
        description: text(&body, "description"),
        target_url: text(&body, "target_url"),
    };
    if !["pending", "success", "failure", "error"].contains(&status.state.as_str()) {
        return Err(invalid("state"));
    }
    if status.description.chars().count() > 140 {
        return Err(invalid(
            "description is too long (maximum is 140 characters)",
        ));
    }
    state.statuses.push(status);
    Ok((StatusCode::CREATED, Json(json!({"id": state.next_id()}))))
}

async fn list_statuses(
    Handle(github): Handle<GitHub>,
    Path((owner, repo, commit)): Path<(String, String, String)>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    let (state, repository) = enter(&github, &headers, (&owner, &repo), ("statuses", "read"))?;
    let all: Vec<Value> = state
        .statuses
        .iter()
        .rev()
        .filter(|status| status.repository == repository && status.commit == commit)
        .map(|status| {
            json!({
                "context": status.context,
                "state": status.state,
                "description": status.description,
                "target_url": status.target_url,
            })
        })
        .collect();
    Ok((StatusCode::OK, Json(Value::Array(page(all, &query)))))
}

fn comment_json(comment: &Posted) -> Value {
    json!({
        "id": comment.id,
        "body": comment.body,
        "performed_via_github_app": {"id": GitHub::APP_ID},
    })
}

async fn list_comments(
    Handle(github): Handle<GitHub>,
    Path((owner, repo, pull)): Path<(String, String, i64)>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    let (state, repository) = enter(
        &github,
        &headers,
        (&owner, &repo),
        ("pull_requests", "read"),
    )?;
    let all: Vec<Value> = state
        .comments
        .iter()
        .filter(|comment| comment.repository == repository && comment.pull == pull)
        .map(comment_json)
        .collect();
    Ok((StatusCode::OK, Json(Value::Array(page(all, &query)))))
}

async fn create_comment(
    Handle(github): Handle<GitHub>,
    Path((owner, repo, pull)): Path<(String, String, i64)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Answer {
    let (mut state, repository) = enter(
        &github,
        &headers,
        (&owner, &repo),
        ("pull_requests", "write"),
    )?;
    let body = text(&body, "body");
    if body.is_empty() || body.chars().count() > COMMENT_MAX {
        return Err(invalid("body is too long (maximum is 65536 characters)"));
    }
    let comment = Posted {
        id: state.next_id(),
        repository,
        pull,
        body,
        edits: 0,
    };
    let answer = comment_json(&comment);
    state.comments.push(comment);
    Ok((StatusCode::CREATED, Json(answer)))
}

async fn update_comment(
    Handle(github): Handle<GitHub>,
    Path((owner, repo, id)): Path<(String, String, u64)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Answer {
    let (mut state, repository) = enter(
        &github,
        &headers,
        (&owner, &repo),
        ("pull_requests", "write"),
    )?;
    let comment = state
        .comments
        .iter_mut()
        .find(|comment| comment.id == id && comment.repository == repository)
        .ok_or_else(not_found)?;
    comment.body = text(&body, "body");
    comment.edits += 1;
    Ok((StatusCode::OK, Json(comment_json(comment))))
}
