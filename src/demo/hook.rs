//! What the simulated GitHub tells of the App's webhook, its deliveries and its installation.

use std::collections::HashMap;

use axum::extract::{Path, Query, State as Handle};
use axum::http::header::LINK;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use serde_json::{Value, json};

use super::access::{authenticate, authenticate_app, enter};
use super::api::{Answer, Refusal, not_found, page};
use super::state::GitHub;

/// A delivery that GitHub made, or tried to make.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// Its id; each attempt has its own.
    pub id: u64,
    /// The GUID; an attempt more has the same.
    pub guid: String,
    /// The event's name.
    pub event: String,
    /// What was sent.
    pub payload: Value,
    /// When, in unix milliseconds.
    pub at_ms: i64,
    /// What the App's server answered; 0 where nobody did.
    pub status: u16,
    /// Whether GitHub still has the payload.
    pub readable: bool,
}

/// The webhook of the App.
#[derive(Debug, Clone)]
pub struct Hook {
    /// Where deliveries go.
    pub url: String,
    /// `json` or `form`.
    pub content_type: String,
    /// `"1"` where certificates are not looked at.
    pub insecure_ssl: String,
}

impl Default for Hook {
    fn default() -> Self {
        Self {
            url: "https://herald.test/webhooks/github".to_owned(),
            content_type: "json".to_owned(),
            insecure_ssl: "0".to_owned(),
        }
    }
}

fn time(ms: i64) -> Option<String> {
    let time = chrono::DateTime::from_timestamp_millis(ms)?;
    Some(time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

impl GitHub {
    /// Notes a delivery and how it was answered (0: by nobody), and says its id.
    pub fn note_delivery(&self, guid: &str, event: &str, payload: &Value, status: u16) -> u64 {
        let at_ms = self.now_ms();
        let mut state = self.state();
        let id = state.next_id();
        state.deliveries.push(Delivered {
            id,
            guid: guid.to_owned(),
            event: event.to_owned(),
            payload: payload.clone(),
            at_ms,
            status,
            readable: true,
        });
        id
    }
}

pub(super) async fn config(Handle(github): Handle<GitHub>, headers: HeaderMap) -> Answer {
    authenticate_app(&github, &headers)?;
    let hook = github.state().hook.clone();
    let answer = json!({
        "url": hook.url,
        "content_type": hook.content_type,
        "insecure_ssl": hook.insecure_ssl,
        "secret": "********",
    });
    Ok((StatusCode::OK, Json(answer)))
}

fn row(delivery: &Delivered) -> Value {
    json!({
        "id": delivery.id,
        "guid": delivery.guid,
        "delivered_at": time(delivery.at_ms),
        "redelivery": false,
        "status": if (200..300).contains(&delivery.status) { "OK" } else { "failed" },
        "status_code": delivery.status,
        "event": delivery.event,
    })
}

/// The newest first, a page at a time, with the address of the next one as GitHub gives it.
pub(super) async fn list_deliveries(
    Handle(github): Handle<GitHub>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    authenticate_app(&github, &headers)?;
    let number = |key: &str| query.get(key).and_then(|text| text.parse::<u64>().ok());
    let per_page = number("per_page").unwrap_or(30).clamp(1, 100);
    let before = number("cursor").unwrap_or(u64::MAX);
    let state = github.state();
    let mut rest = state
        .deliveries
        .iter()
        .rev()
        .filter(|delivery| delivery.id < before);
    let taken: Vec<&Delivered> = rest
        .by_ref()
        .take(usize::try_from(per_page).unwrap_or(100))
        .collect();
    let rows: Vec<Value> = taken.iter().map(|delivery| row(delivery)).collect();
    let mut response = Json(Value::Array(rows)).into_response();
    if let (Some(last), Some(_)) = (taken.last(), rest.next()) {
        let link = format!(
            "<https://api.elsewhere.test/app/hook/deliveries?per_page={per_page}&cursor={}>; \
             rel=\"next\"",
            last.id
        );
        if let Ok(link) = link.parse() {
            response.headers_mut().insert(LINK, link);
        }
    }
    Ok(response)
}

pub(super) async fn read_delivery(
    Handle(github): Handle<GitHub>,
    Path(id): Path<u64>,
    headers: HeaderMap,
) -> Answer {
    authenticate_app(&github, &headers)?;
    let state = github.state();
    let delivery = state
        .deliveries
        .iter()
        .find(|delivery| delivery.id == id)
        .ok_or_else(not_found)?;
    let mut answer = row(delivery);
    let payload = delivery.readable.then_some(&delivery.payload);
    if let Some(object) = answer.as_object_mut() {
        let request = json!({
            "headers": {"X-GitHub-Event": delivery.event, "X-GitHub-Delivery": delivery.guid},
            "payload": payload,
        });
        object.insert("request".to_owned(), request);
    }
    Ok((StatusCode::OK, Json(answer)))
}

pub(super) async fn redeliver(
    Handle(github): Handle<GitHub>,
    Path(id): Path<u64>,
    headers: HeaderMap,
) -> Answer {
    authenticate_app(&github, &headers)?;
    let mut state = github.state();
    if !state.deliveries.iter().any(|delivery| delivery.id == id) {
        return Err(not_found());
    }
    state.asked_again.push(id);
    Ok((StatusCode::ACCEPTED, Json(json!({}))))
}

pub(super) async fn installations(
    Handle(github): Handle<GitHub>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    authenticate_app(&github, &headers)?;
    let (permissions, uninstalled) = {
        let state = github.state();
        (state.accepted.clone(), state.uninstalled)
    };
    let permissions = permissions.unwrap_or_else(super::access::permissions);
    let all = if uninstalled {
        Vec::new()
    } else {
        vec![json!({
            "id": GitHub::INSTALLATION,
            "account": {"id": 77, "login": "octo", "type": "Organization"},
            "repository_selection": "selected",
            "permissions": permissions,
            "suspended_at": null,
        })]
    };
    Ok((StatusCode::OK, Json(Value::Array(page(all, &query)))))
}

pub(super) async fn reach(
    Handle(github): Handle<GitHub>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    let now_ms = github.now_ms();
    let state = github.state();
    let access = authenticate(&state, now_ms, &headers)?;
    let reached = |id| {
        access
            .repositories
            .as_ref()
            .is_none_or(|only| only.contains(&id))
    };
    let all: Vec<Value> = state
        .projects
        .iter()
        .filter(|project| reached(project.id))
        .map(GitHub::repository_json)
        .collect();
    let answer = json!({"total_count": all.len(), "repositories": page(all, &query)});
    Ok((StatusCode::OK, Json(answer)))
}

pub(super) async fn rate_limit(Handle(github): Handle<GitHub>, headers: HeaderMap) -> Answer {
    let now_ms = github.now_ms();
    let state = github.state();
    authenticate(&state, now_ms, &headers)?;
    let (limit, remaining) = state
        .limits
        .as_ref()
        .map_or((5_000, 5_000), |limits| limits.left(now_ms));
    let core = json!({"limit": limit, "remaining": remaining, "reset": now_ms / 1000 + 3_600});
    Ok((StatusCode::OK, Json(json!({"resources": {"core": core}}))))
}

pub(super) async fn repository(
    Handle(github): Handle<GitHub>,
    Path((owner, repo)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    let (state, _) = enter(&github, &headers, (&owner, &repo), ("metadata", "read"))?;
    let project = state.project(&owner, &repo).ok_or_else(not_found)?;
    Ok((StatusCode::OK, Json(GitHub::repository_json(project))))
}
