//! People on the simulated GitHub: who they are, what they may do, what they are answered.

use axum::Router;
use axum::extract::{Path, State as Handle};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Json;
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::access::{authenticate, enter};
use super::api::{Answer, invalid, not_found, text};
use super::state::{GitHub, Reacted};

pub(super) fn routes() -> Router<GitHub> {
    Router::new()
        .route("/user/{id}", get(account))
        .route(
            "/repos/{owner}/{repo}/collaborators/{login}/permission",
            get(permission),
        )
        .route("/repos/{owner}/{repo}/pulls/{number}", get(pull))
        .route(
            "/repos/{owner}/{repo}/issues/comments/{id}/reactions",
            post(react),
        )
}

async fn account(
    Handle(github): Handle<GitHub>,
    Path(id): Path<i64>,
    headers: HeaderMap,
) -> Answer {
    let now_ms = github.now_ms();
    let state = github.state();
    authenticate(&state, now_ms, &headers)?;
    let person = state.people.get(&id).ok_or_else(not_found)?;
    Ok((
        StatusCode::OK,
        Json(json!({"id": id, "login": person.login})),
    ))
}

async fn permission(
    Handle(github): Handle<GitHub>,
    Path((owner, repo, login)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Answer {
    let (state, _) = enter(&github, &headers, (&owner, &repo), ("metadata", "read"))?;
    let (id, person) = state
        .people
        .iter()
        .find(|(_, person)| person.login == login)
        .ok_or_else(not_found)?;
    let answer = json!({
        "permission": person.permission,
        "role_name": person.permission,
        "user": {"id": id, "login": person.login},
    });
    Ok((StatusCode::OK, Json(answer)))
}

async fn pull(
    Handle(github): Handle<GitHub>,
    Path((owner, repo, number)): Path<(String, String, i64)>,
    headers: HeaderMap,
) -> Answer {
    let (state, repository) = enter(
        &github,
        &headers,
        (&owner, &repo),
        ("pull_requests", "read"),
    )?;
    let pull = state
        .pulls
        .iter()
        .find(|pull| {
            pull.pointer("/base/repo/id") == Some(&json!(repository))
                && pull.pointer("/number") == Some(&json!(number))
        })
        .ok_or_else(not_found)?;
    Ok((StatusCode::OK, Json(pull.clone())))
}

async fn react(
    Handle(github): Handle<GitHub>,
    Path((owner, repo, comment)): Path<(String, String, i64)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Answer {
    let access = ("pull_requests", "write");
    let (mut state, _) = enter(&github, &headers, (&owner, &repo), access)?;
    let content = text(&body, "content");
    let known = [
        "+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes",
    ];
    if !known.contains(&content.as_str()) {
        return Err(invalid("content"));
    }
    let reacted = Reacted { comment, content };
    if state.reactions.contains(&reacted) {
        return Ok((StatusCode::OK, Json(json!({"id": 1}))));
    }
    state.reactions.push(reacted);
    Ok((StatusCode::CREATED, Json(json!({"id": 1}))))
}
