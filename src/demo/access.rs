//! Who may do what on the simulated GitHub: the App by its key, installations by their tokens.

use std::collections::HashMap;
use std::sync::MutexGuard;

use axum::body::Bytes;
use axum::extract::{Path, State as Handle};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Json;
use serde_json::{Value, json};

use super::api::{Answer, Refusal, invalid, not_found};
use super::state::{Access, GitHub, State};

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

fn bad_credentials(why: &str) -> Refusal {
    Refusal(StatusCode::UNAUTHORIZED, format!("Bad credentials: {why}"))
}

/// The permissions that the App asks for.
pub(super) fn permissions() -> Value {
    json!({
        "actions": "read", "checks": "write", "contents": "read", "deployments": "write",
        "merge_queues": "read", "metadata": "read", "pull_requests": "write",
        "statuses": "write",
    })
}

/// The App's own token: signed, not from the future, valid for ten minutes at most.
pub(super) fn authenticate_app(github: &GitHub, headers: &HeaderMap) -> Result<(), Refusal> {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};
    let token = bearer(headers).ok_or_else(|| bad_credentials("no token"))?;
    let mut rules = Validation::new(Algorithm::RS256);
    rules.validate_exp = false;
    rules.required_spec_claims.clear();
    let key = DecodingKey::from_rsa_der(github.public_key());
    let claims = jsonwebtoken::decode::<Value>(token, &key, &rules)
        .map_err(|error| bad_credentials(&error.to_string()))?
        .claims;
    let number = |name: &str| claims.get(name).and_then(Value::as_i64).unwrap_or(0);
    let now = github.now_ms() / 1000;
    if claims.get("iss").and_then(Value::as_str) != Some(&GitHub::APP_ID.to_string()) {
        return Err(bad_credentials("another issuer"));
    }
    if number("iat") > now || number("exp") <= now || number("exp") > now + 600 {
        return Err(bad_credentials("'exp' or 'iat' is out of range"));
    }
    Ok(())
}

/// Whether a token of an installation is good.
pub(super) fn authenticate<'a>(
    state: &'a State,
    now_ms: i64,
    headers: &HeaderMap,
) -> Result<&'a Access, Refusal> {
    let token = bearer(headers).ok_or_else(|| bad_credentials("no token"))?;
    state
        .tokens
        .get(token)
        .filter(|access| access.ends_ms > now_ms)
        .ok_or_else(|| bad_credentials("an unknown or ended token"))
}

/// The state, for whom a token lets do this in a repository; says the repository's id.
pub(super) fn enter<'a>(
    github: &'a GitHub,
    headers: &HeaderMap,
    names: (&str, &str),
    access: (&str, &str),
) -> Result<(MutexGuard<'a, State>, i64), Refusal> {
    let now_ms = github.now_ms();
    let state = github.state();
    let repository = authorize(&state, now_ms, headers, names, access)?;
    Ok((state, repository))
}

/// Whether a token may do this in a repository; says the repository's id.
pub(super) fn authorize(
    state: &State,
    now_ms: i64,
    headers: &HeaderMap,
    (owner, name): (&str, &str),
    (permission, level): (&str, &str),
) -> Result<i64, Refusal> {
    let access = authenticate(state, now_ms, headers)?;
    let project = state.project(owner, name).ok_or_else(not_found)?;
    if let Some(only) = &access.repositories
        && !only.contains(&project.id)
    {
        return Err(not_found());
    }
    if !allows(access, permission, level) {
        return Err(Refusal(
            StatusCode::FORBIDDEN,
            "Resource not accessible by integration".to_owned(),
        ));
    }
    Ok(project.id)
}

/// Whether a token has a permission.
pub(super) fn allows(access: &Access, permission: &str, level: &str) -> bool {
    covers(&access.permissions, permission, level)
}

fn covers(given: &HashMap<String, String>, permission: &str, level: &str) -> bool {
    match given.get(permission).map(String::as_str) {
        Some("write") => true,
        Some("read") => level == "read",
        _ => false,
    }
}

/// Permissions with their levels.
fn by_name(permissions: &Value) -> HashMap<String, String> {
    let rows = permissions.as_object().into_iter().flatten();
    rows.filter_map(|(name, level)| Some((name.clone(), level.as_str()?.to_owned())))
        .collect()
}

pub(super) async fn mint(
    Handle(github): Handle<GitHub>,
    Path(id): Path<i64>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    authenticate_app(&github, &headers)?;
    if !github.state().installations.contains(&id) {
        return Err(not_found());
    }
    let wanted: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let repositories: Option<Vec<i64>> = wanted
        .get("repository_ids")
        .and_then(Value::as_array)
        .map(|ids| ids.iter().filter_map(Value::as_i64).collect());
    let now_ms = github.now_ms();
    let mut state = github.state();
    // A token has what was accepted when it was made, and never gets more.
    let accepted = by_name(&state.accepted.clone().unwrap_or_else(permissions));
    let permissions = match wanted.get("permissions") {
        Some(asked) => by_name(asked),
        None => accepted.clone(),
    };
    if !permissions
        .iter()
        .all(|(name, level)| covers(&accepted, name, level))
    {
        return Err(invalid(
            "The permissions requested are not granted to this installation.",
        ));
    }
    let reaches = |id: &i64| state.projects.iter().any(|project| project.id == *id);
    if !repositories.iter().flatten().all(reaches) {
        return Err(invalid(
            "There is at least one repository that does not exist or is not accessible to the \
             parent installation.",
        ));
    }
    let ends_ms = now_ms + state.token_life_ms;
    // As long and as shapeless as those that GitHub gives out since 2026.
    let token = format!(
        "ghs_{}_{}",
        GitHub::APP_ID,
        "0123456789abcdef.".repeat(28) + &uuid::Uuid::new_v4().simple().to_string()
    );
    let access = Access {
        repositories,
        permissions,
        ends_ms,
    };
    state.tokens.insert(token.clone(), access);
    let expires = chrono::DateTime::from_timestamp_millis(ends_ms)
        .map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
    let answer = json!({"token": token, "expires_at": expires});
    Ok((StatusCode::CREATED, Json(answer)))
}
