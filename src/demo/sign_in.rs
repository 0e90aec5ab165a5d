//! Signing in on the simulated GitHub: the web flow of an App, with PKCE.

use std::collections::HashMap;

use axum::Router;
use axum::extract::{Path, Query, State as Handle};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Json, Redirect, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::access::bearer;
use super::api::{Answer, Refusal, not_found, page, text};
use super::state::{GitHub, State};
use crate::text::{address, xml};

/// A code lives ten minutes, a token eight hours ("Generating a user access token for a GitHub App").
const CODE_MS: i64 = 10 * 60 * 1000;
const TOKEN_SECONDS: i64 = 8 * 60 * 60;

/// Somebody on the way back to Herald.
#[derive(Debug, Clone)]
pub(super) struct Code {
    person: i64,
    redirect_url: String,
    challenge: String,
    ends_ms: i64,
}

/// The pages, outside of the API.
pub(super) fn pages() -> Router<GitHub> {
    Router::new()
        .route("/login/oauth/authorize", get(authorize))
        .route("/login/oauth/access_token", post(exchange))
}

/// What a person's token opens in the API.
pub(super) fn routes() -> Router<GitHub> {
    Router::new()
        .route("/user", get(user))
        .route("/user/installations", get(installations))
        .route("/user/installations/{id}/repositories", get(repositories))
}

/// Asks who it is, and sends them back. A browser that is signed in (`State::signed_in`) is not
/// asked, as on GitHub where somebody has authorized the App before.
async fn authorize(
    Handle(github): Handle<GitHub>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let part = |name: &str| query.get(name).cloned().unwrap_or_default();
    if part("client_id") != GitHub::CLIENT_ID {
        return not_found().into_response();
    }
    let now_ms = github.now_ms();
    let mut state = github.state();
    let chosen = part("as").parse().ok().or(state.signed_in);
    let Some(person) = chosen.filter(|person| state.people.contains_key(person)) else {
        return Html(choice(&state, &query)).into_response();
    };
    let code = uuid::Uuid::new_v4().simple().to_string();
    let redirect_url = part("redirect_uri");
    let address = format!("{redirect_url}?code={code}&state={}", part("state"));
    let kept = Code {
        person,
        redirect_url,
        challenge: part("code_challenge"),
        ends_ms: now_ms + CODE_MS,
    };
    state.codes.insert(code, kept);
    Redirect::to(&address).into_response()
}

/// A page with everybody there is.
fn choice(state: &State, query: &HashMap<String, String>) -> String {
    let mut people: Vec<_> = state.people.iter().collect();
    people.sort_by_key(|(id, _)| **id);
    let wishes: String = query
        .iter()
        .map(|(name, value)| format!("&{name}={}", address::part(value)))
        .collect();
    let links: String = people
        .iter()
        .map(|(id, person)| {
            format!(
                "<li><a href=\"?as={id}{}\">{}</a>, who may: {}</li>\n",
                xml::escape(&wishes),
                xml::escape(&person.login),
                xml::escape(&person.permission)
            )
        })
        .collect();
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Sign in to the simulated \
         GitHub</title>\n<h1>Sign in to the simulated GitHub</h1>\n<p>Go on as</p>\n<ul>\n{links}</ul>\n\
         </html>\n"
    )
}

/// A code for a token: once, by who knows the client's secret and the verifier. Errors come with
/// the status 200.
async fn exchange(Handle(github): Handle<GitHub>, Json(body): Json<Value>) -> Json<Value> {
    let refused = |error: &str| Json(json!({"error": error, "error_description": "No."}));
    let now_ms = github.now_ms();
    let mut state = github.state();
    let right = text(&body, "client_id") == GitHub::CLIENT_ID
        && text(&body, "client_secret") == github.client_secret().expose();
    if !right {
        return refused("incorrect_client_credentials");
    }
    let Some(code) = state.codes.remove(&text(&body, "code")) else {
        return refused("bad_verification_code");
    };
    let verifier = text(&body, "code_verifier");
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    if now_ms >= code.ends_ms || challenge != code.challenge {
        return refused("bad_verification_code");
    }
    if text(&body, "redirect_uri") != code.redirect_url {
        return refused("redirect_uri_mismatch");
    }
    let token = format!("ghu_{}", uuid::Uuid::new_v4().simple());
    let ends_ms = now_ms + TOKEN_SECONDS * 1000;
    state
        .people_tokens
        .insert(token.clone(), (code.person, ends_ms));
    Json(json!({"access_token": token, "token_type": "bearer", "expires_in": TOKEN_SECONDS}))
}

/// Whose token it is.
fn person(state: &State, now_ms: i64, headers: &HeaderMap) -> Result<i64, Refusal> {
    bearer(headers)
        .and_then(|token| state.people_tokens.get(token))
        .filter(|(_, ends_ms)| now_ms < *ends_ms)
        .map(|(person, _)| *person)
        .ok_or_else(|| Refusal(StatusCode::UNAUTHORIZED, "Bad credentials".to_owned()))
}

async fn user(Handle(github): Handle<GitHub>, headers: HeaderMap) -> Answer {
    let now_ms = github.now_ms();
    let state = github.state();
    let id = person(&state, now_ms, &headers)?;
    let person = state.people.get(&id).ok_or_else(not_found)?;
    Ok((
        StatusCode::OK,
        Json(json!({"id": id, "login": person.login})),
    ))
}

async fn installations(Handle(github): Handle<GitHub>, headers: HeaderMap) -> Answer {
    let now_ms = github.now_ms();
    person(&github.state(), now_ms, &headers)?;
    let answer = json!({"total_count": 1, "installations": [{"id": GitHub::INSTALLATION}]});
    Ok((StatusCode::OK, Json(answer)))
}

async fn repositories(
    Handle(github): Handle<GitHub>,
    Path(id): Path<i64>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    let now_ms = github.now_ms();
    let state = github.state();
    let person = person(&state, now_ms, &headers)?;
    if id != GitHub::INSTALLATION {
        return Err(not_found());
    }
    let all: Vec<Value> = state
        .projects
        .iter()
        .filter(|project| !project.private || state.may_read(person))
        .map(GitHub::repository_json)
        .collect();
    let answer = json!({"total_count": all.len(), "repositories": page(all, &query)});
    Ok((StatusCode::OK, Json(answer)))
}
