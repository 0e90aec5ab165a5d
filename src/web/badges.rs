//! Badges: an image, whatever is asked.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, PoisonError, RwLock};

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::app::{App, Visitor};
use crate::badge::{self, Badge};
use crate::domain::{Holder, Secret};
use crate::ports::store::StoredBadge;

const KINDS: [&str; 5] = ["build", "tests", "coverage", "deploy", "release"];

/// What badges are made of.
#[derive(Clone)]
pub(super) struct Badges {
    app: Arc<App>,
    drawings: Arc<Drawings>,
}

impl Badges {
    pub(super) fn new(app: Arc<App>) -> Self {
        let drawings = Arc::default();
        Self { app, drawings }
    }
}

/// What a badge's address may ask for; anything else is ignored.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Wishes {
    branch: Option<String>,
    job: Option<String>,
    label: Option<String>,
    style: Option<String>,
    color: Option<String>,
    #[serde(rename = "labelColor")]
    label_color: Option<String>,
    logo: Option<String>,
    token: Option<String>,
}

impl Wishes {
    /// Those that say how it looks, of a badge without a value of its own.
    fn of_look(self) -> Self {
        Self {
            label: self.label,
            style: self.style,
            label_color: self.label_color,
            logo: self.logo,
            ..Self::default()
        }
    }

    /// Whether the badge looks as it does by itself.
    fn are_none(&self) -> bool {
        let Self {
            branch: _,
            job: _,
            token: _,
            label,
            style,
            color,
            label_color,
            logo,
        } = self;
        [label, style, color, label_color, logo]
            .iter()
            .all(|wish| wish.is_none())
    }

    fn apply(&self, badge: &mut Badge) {
        if let Some(label) = &self.label {
            badge.label.clone_from(label);
        }
        if let Some(style) = &self.style {
            badge.style = badge::Style::parse(style);
        }
        if let Some(color) = &self.color {
            badge.color.clone_from(color);
        }
        if let Some(color) = &self.label_color {
            badge.label_color = Some(color.clone());
        }
        if let Some(logo) = &self.logo {
            badge.logo = Some(logo.clone());
        }
    }
}

/// `/badges/{owner}/{repo}/{kind}.svg` and `.json`.
pub(super) async fn of_repository(
    State(Badges { app, drawings }): State<Badges>,
    Path((owner, repo, file)): Path<(String, String, String)>,
    wishes: Result<Query<Wishes>, QueryRejection>,
    known: Known,
) -> Response {
    let wishes = wishes.map(|Query(wishes)| wishes).unwrap_or_default();
    let (kind, json) = match file.rsplit_once('.') {
        Some((kind, "json")) => (kind, true),
        Some((kind, "svg")) => (kind, false),
        _ => (file.as_str(), false),
    };
    let is_kind = KINDS.contains(&kind);
    let stored = if is_kind {
        let job = wishes.job.as_deref().unwrap_or_default();
        app.parts
            .store
            .badge(&owner, &repo, kind, wishes.branch.as_deref(), job)
            .await
            .unwrap_or_else(|error| {
                tracing::error!("failed to look up a badge: {error}");
                None
            })
    } else {
        None
    };
    let stored = match stored {
        Some(stored) if stored.private && !opens(&app, &stored, wishes.token.as_ref()).await => {
            None
        }
        stored => stored,
    };
    let as_it_is = wishes.are_none();
    // What is not public looks like what does not exist.
    let mut badge = match stored {
        Some(stored) => {
            let mut badge = badge::unknown(kind);
            if let Some(label) = &stored.value.label {
                badge.label.clone_from(label);
            }
            badge.message.clone_from(&stored.value.message);
            badge.color.clone_from(&stored.value.color);
            wishes.apply(&mut badge);
            badge
        }
        None => {
            let mut badge = badge::unknown(if is_kind { kind } else { "badge" });
            wishes.of_look().apply(&mut badge);
            badge
        }
    };
    limit(&mut badge);
    if as_it_is {
        answer(&drawings.of(badge, json), &known)
    } else {
        answer(&draw(&badge, json), &known)
    }
}

/// Whether a token opens the badges of a repository that is not public.
async fn opens(app: &App, stored: &StoredBadge, token: Option<&String>) -> bool {
    let Some(token) = token else { return false };
    let found = app.visitor_by_token(&Secret::new(token)).await;
    found.is_ok_and(|found| match found {
        Some(Visitor::Token(token)) => {
            token.holder == Holder::Repository(stored.repository.clone())
        }
        _ => false,
    })
}

/// `/badges/static/{label}/{message}/{color}.svg`.
pub(super) async fn fixed(
    Path((label, message, color)): Path<(String, String, String)>,
    wishes: Result<Query<Wishes>, QueryRejection>,
    known: Known,
) -> Response {
    let mut badge = badge::unknown(&label);
    badge.message = message;
    let color = color.strip_suffix(".svg").unwrap_or(&color);
    color.clone_into(&mut badge.color);
    if let Ok(Query(wishes)) = wishes {
        wishes.apply(&mut badge);
    }
    limit(&mut badge);
    answer(&draw(&badge, false), &known)
}

/// Texts in an address are a stranger's: nobody reads more than this.
fn limit(badge: &mut Badge) {
    const MOST: usize = 200;
    for text in [&mut badge.label, &mut badge.message] {
        if let Some((end, _)) = text.char_indices().nth(MOST) {
            text.truncate(end);
        }
    }
}

/// A badge as it is sent.
struct Drawn {
    tag: String,
    headers: HeaderMap,
    body: Bytes,
}

/// How many drawn badges are kept at most, of 1 or 2 kB each.
const DRAWN: usize = 1_024;

/// Badges that were drawn. Those of most repositories say the same.
#[derive(Default)]
struct Drawings(RwLock<HashMap<(Badge, bool), Arc<Drawn>>>);

impl Drawings {
    /// The badge, drawn now if it is not there.
    fn of(&self, badge: Badge, json: bool) -> Arc<Drawn> {
        let key = (badge, json);
        let drawn = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(drawn) = drawn.get(&key) {
            return Arc::clone(drawn);
        }
        drop(drawn);
        let new = Arc::new(draw(&key.0, json));
        let mut drawn = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if drawn.len() >= DRAWN {
            drawn.clear();
        }
        drawn.insert(key, Arc::clone(&new));
        new
    }
}

fn draw(badge: &Badge, json: bool) -> Drawn {
    let (body, content_type) = if json {
        (badge::shields_json(badge).to_string(), "application/json")
    } else {
        (badge::render(badge), "image/svg+xml; charset=utf-8")
    };
    let tag = etag(&body);
    let fixed = [
        (CONTENT_TYPE, content_type),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // GitHub's image proxy keeps a year what does not say otherwise.
        (CACHE_CONTROL, "no-cache, max-age=0"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; img-src data:; style-src 'unsafe-inline'",
        ),
    ];
    let fixed = fixed.map(|(name, value)| (name, HeaderValue::from_static(value)));
    let mut headers = HeaderMap::from_iter(fixed);
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    Drawn {
        tag,
        headers,
        body: body.into(),
    }
}

fn answer(drawn: &Drawn, known: &Known) -> Response {
    let mut headers = drawn.headers.clone();
    if known.has(&drawn.tag) {
        headers.remove(CONTENT_TYPE);
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, drawn.body.clone()).into_response()
}

/// A strong tag: the hash of the bytes.
fn etag(body: &str) -> String {
    let hash = Sha256::digest(body.as_bytes());
    let half = hash.first_chunk().copied().unwrap_or_default();
    format!("\"{:032x}\"", u128::from_be_bytes(half))
}

/// The tags of what the client has.
pub(super) struct Known(Vec<HeaderValue>);

impl Known {
    /// Whether this is one of them: they are lists of tags, weak or strong, or `*` (RFC 9110, 13.1.2).
    fn has(&self, tag: &str) -> bool {
        self.0.iter().any(|value| {
            value.to_str().is_ok_and(|list| {
                list.split(',')
                    .map(str::trim)
                    .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
            })
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Known {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let tags = parts.headers.get_all(IF_NONE_MATCH);
        Ok(Self(tags.iter().cloned().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::Known;

    fn known(header: &'static str) -> bool {
        Known(vec![header.parse().unwrap()]).has("\"a1\"")
    }

    #[test]
    fn lists_weak_tags_and_the_star_are_understood() {
        assert!(known("\"a1\""));
        assert!(known("W/\"a1\""));
        assert!(known("\"b2\", \"a1\""));
        assert!(known("*"));
        assert!(!known("\"b2\""));
        assert!(!known("a1"));
    }
}
