//! Who asks: by the cookie of a session, or by a token.
//!
//! A session is in its cookie, sealed; the server keeps nothing of it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};

use super::cookie::Cookie;
use super::router::Web;
use crate::app::Visitor;
use crate::domain::{PersonId, RepositoryId, Secret};
use crate::ports::People;
use crate::store::SealKey;

/// A session ends after so many seconds at the latest; GitHub's tokens for people live as long.
pub(super) const SESSION_SECONDS: i64 = 8 * 60 * 60;

/// How long a list of GitHub's counts, in milliseconds.
const LISTED_MS: i64 = 60_000;

pub(super) const SESSION: Cookie = Cookie {
    name: "herald_session",
    path: "/",
    seconds: SESSION_SECONDS,
};

/// Signing in, where the App has client credentials.
#[derive(Clone)]
pub struct SignIn {
    /// Where people sign in.
    pub people: Arc<dyn People>,
    /// Seals cookies.
    pub key: Arc<SealKey>,
    /// What was listed lately.
    listed: Arc<Listed>,
}

/// What GitHub listed for people lately, and until when (unix milliseconds) it counts.
#[derive(Debug, Default)]
pub(super) struct Listed(Mutex<HashMap<i64, (Vec<RepositoryId>, i64)>>);

impl SignIn {
    /// Signs people in there; `key` seals their cookies.
    pub fn new(people: Arc<dyn People>, key: SealKey) -> Self {
        Self {
            people,
            key: Arc::new(key),
            listed: Arc::default(),
        }
    }

    /// The repositories that somebody may read and the App is installed on, as GitHub listed them in
    /// the last minute; none when it cannot be asked.
    pub(super) async fn readable(&self, session: &Session, now_ms: i64) -> Vec<RepositoryId> {
        let known = {
            let mut listed = self.lock();
            listed.retain(|_, (_, until_ms)| now_ms < *until_ms);
            listed.get(&session.person).map(|(ids, _)| ids.clone())
        };
        if let Some(ids) = known {
            return ids;
        }
        match self.people.readable(&session.token()).await {
            Ok(ids) => {
                let until_ms = now_ms + LISTED_MS;
                self.lock().insert(session.person, (ids.clone(), until_ms));
                ids
            }
            Err(error) => {
                tracing::warn!("failed to {error}");
                Vec::new()
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, (Vec<RepositoryId>, i64)>> {
        self.listed.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignIn").finish_non_exhaustive()
    }
}

/// Somebody who has signed in. Not printable: there is a token in it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) person: i64,
    pub(super) login: String,
    /// Acts for them on GitHub.
    pub(super) token: String,
    /// When it ends, in unix milliseconds.
    pub(super) ends_ms: i64,
    /// Stands in every form of theirs.
    pub(super) csrf: String,
}

impl Session {
    pub(super) fn token(&self) -> Secret {
        Secret::new(self.token.clone())
    }
}

/// Who asks.
#[derive(Clone)]
pub(super) struct Who {
    pub(super) visitor: Visitor,
    pub(super) session: Option<Session>,
    /// Whether a token was shown that is none, or not any more.
    pub(super) bad_token: bool,
}

impl Who {
    /// What pages show of them.
    pub(super) fn viewer(&self, web: &Web) -> Viewer {
        Viewer {
            login: self.session.as_ref().map(|session| session.login.clone()),
            csrf: self
                .session
                .as_ref()
                .map_or_else(String::new, |session| session.csrf.clone()),
            can_sign_in: web.sign_in.is_some(),
        }
    }
}

/// Who looks at a page.
#[derive(Debug, Clone, Default)]
pub(super) struct Viewer {
    /// Their name, where they have signed in.
    pub(super) login: Option<String>,
    /// Goes into every form.
    pub(super) csrf: String,
    /// Whether anybody can sign in here.
    pub(super) can_sign_in: bool,
}

impl FromRequestParts<Web> for Who {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Infallible> {
        if let Some(text) = bearer(&parts.headers) {
            let found = web.app.visitor_by_token(&text).await;
            let visitor = found.unwrap_or_else(|error| {
                tracing::error!("failed to {error}");
                None
            });
            return Ok(Self {
                bad_token: visitor.is_none(),
                visitor: visitor.unwrap_or(Visitor::Stranger),
                session: None,
            });
        }
        let session = session(web, parts);
        let visitor = session.as_ref().map_or(Visitor::Stranger, |session| {
            Visitor::Person(PersonId(session.person))
        });
        Ok(Self {
            visitor,
            session,
            bad_token: false,
        })
    }
}

fn session(web: &Web, parts: &Parts) -> Option<Session> {
    let key = &web.sign_in.as_ref()?.key;
    let text = SESSION.read(key, &parts.headers)?;
    let session: Session = serde_json::from_str(&text).ok()?;
    (web.app.now_ms() < session.ends_ms).then_some(session)
}

/// The token that is shown, whatever it is.
pub(super) fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, text) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| Secret::new(text.trim()))
}
