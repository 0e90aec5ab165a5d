//! Requests to GitHub's REST API.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use octocrab::Octocrab;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::token::{AppKey, Skew, Token, Tokens};
use crate::domain::{InstallationId, RepositoryId, Secret};
use crate::ports::error::Result;
use crate::ports::{Clock, Kind, PortError};

/// The largest answer that is read, in bytes.
const ANSWER_MAX: usize = 32 * 1024 * 1024;
/// How long to wait at a rate limit without a word on how long (GitHub: at least a minute).
const LIMITED_MS: i64 = 60_000;

/// Where GitHub is and who we are.
#[derive(Debug)]
pub struct ClientOptions {
    /// Base of the REST API, as in `https://api.github.com` or `https://HOST/api/v3`.
    pub api_url: String,
    /// The App; `None` until it is registered: then every request is `Denied`.
    pub key: Option<AppKey>,
}

/// Sends requests as the App or as one of its installations.
pub struct Client {
    http: Octocrab,
    base: String,
    key: Option<AppKey>,
    tokens: Tokens,
    skew: Skew,
    clock: Arc<dyn Clock>,
}

/// As whom a request is sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum As {
    /// The App itself.
    App,
    /// One of its installations.
    Installation(InstallationId),
}

#[derive(Deserialize)]
struct Minted {
    token: String,
    expires_at: String,
}

impl Client {
    /// Makes a client. No request is sent.
    ///
    /// # Errors
    /// `Refused` when the address is none.
    pub fn new(options: ClientOptions, clock: Arc<dyn Clock>) -> Result<Self> {
        let base = options.api_url.trim_end_matches('/').to_owned();
        let http = Octocrab::builder()
            .set_connect_timeout(Some(Duration::from_secs(10)))
            .set_read_timeout(Some(Duration::from_secs(30)))
            .set_write_timeout(Some(Duration::from_secs(30)))
            .build()
            .map_err(|error| PortError::refused(format!("make an HTTP client: {error}")))?;
        Ok(Self {
            http,
            base,
            key: options.key,
            tokens: Tokens::default(),
            skew: Skew::default(),
            clock,
        })
    }

    /// The App's id.
    pub fn app_id(&self) -> u64 {
        self.key.as_ref().map_or(0, AppKey::id)
    }

    /// A token that says we are the App.
    fn app_token(&self) -> Result<Secret> {
        match &self.key {
            Some(key) => key.token(self.github_now_ms()),
            None => Err(PortError::denied("speak to GitHub: no App is registered")),
        }
    }

    /// GitHub's time, as far as we know it.
    pub(super) fn github_now_ms(&self) -> i64 {
        self.clock.now_ms() + self.skew.ms()
    }

    /// How far GitHub's clock was ahead of ours in its last answer, in milliseconds.
    pub fn clock_skew_ms(&self) -> i64 {
        self.skew.ms()
    }

    /// Sends a request and reads the answer as JSON. A 401 is answered once with a new token.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        who: As,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T> {
        let bytes = self.request(who, &method, path, body).await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            PortError::transient(format!("understand the answer to {method} {path}: {error}"))
        })
    }

    /// Sends a request and drops the answer.
    pub(super) async fn send(
        &self,
        who: As,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<()> {
        self.request(who, &method, path, body).await.map(|_| ())
    }

    /// Reads all pages of a list. Pages are asked for by number: the addresses in `Link` name
    /// the host, and a token must go to the configured host only.
    pub(super) async fn pages<T: DeserializeOwned>(
        &self,
        who: As,
        path: &str,
        pick: impl Fn(Value) -> Option<Vec<Value>>,
    ) -> Result<Vec<T>> {
        const PER_PAGE: usize = 100;
        // GitHub shows at most 1,000 of anything asked for here; the bound is for a broken peer.
        const PAGES: usize = 50;
        let mut all = Vec::new();
        let joint = if path.contains('?') { '&' } else { '?' };
        for page in 1..=PAGES {
            let address = format!("{path}{joint}per_page={PER_PAGE}&page={page}");
            let answer: Value = self.json(who, Method::GET, &address, None).await?;
            let items = pick(answer).ok_or_else(|| {
                PortError::transient(format!("find a list in the answer to GET {path}"))
            })?;
            let count = items.len();
            for item in items {
                all.push(serde_json::from_value(item).map_err(|error| {
                    PortError::transient(format!("understand the answer to GET {path}: {error}"))
                })?);
            }
            if count < PER_PAGE {
                break;
            }
        }
        Ok(all)
    }

    async fn request(
        &self,
        who: As,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Vec<u8>> {
        let mut renewed = false;
        loop {
            let token = match who {
                As::App => self.app_token()?,
                As::Installation(id) => self.installation_token(id).await?,
            };
            let (status, headers, bytes) = self.once(method, path, body, &token).await?;
            if status == StatusCode::UNAUTHORIZED && !renewed {
                // The token ended early, or our clock is off: `once` has noted GitHub's time.
                renewed = true;
                if let As::Installation(id) = who {
                    self.forget(id, &token).await;
                }
                continue;
            }
            if status.is_success() {
                return Ok(bytes);
            }
            return Err(self.refusal(method, path, status, &headers, &bytes));
        }
    }

    /// One request, without any repetition.
    async fn once(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        token: &Secret,
    ) -> Result<(StatusCode, HeaderMap, Vec<u8>)> {
        let unclear = |error: &dyn std::fmt::Display| {
            PortError::transient(format!("reach GitHub for {method} {path}: {error}"))
        };
        let mut request = Request::builder()
            .method(method.clone())
            .uri(format!("{}{path}", self.base))
            .header(USER_AGENT, concat!("herald/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/vnd.github+json")
            .header("X-GitHub-Api-Version", "2022-11-28")
            .header(AUTHORIZATION, format!("Bearer {}", token.expose()));
        let content = match body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                body.to_string()
            }
            None => String::new(),
        };
        let request = request
            .body(content)
            .map_err(|error| PortError::refused(format!("ask for {method} {path}: {error}")))?;
        let answer = self.http.execute(request).await.map_err(|error| {
            let text = error_chain(&error);
            unclear(&text)
        })?;
        let status = answer.status();
        let headers = answer.headers().clone();
        self.note_time(&headers);
        let bytes = Limited::new(answer.into_body(), ANSWER_MAX)
            .collect()
            .await
            .map_err(|error| unclear(&error))?
            .to_bytes();
        Ok((status, headers, bytes.to_vec()))
    }

    fn note_time(&self, headers: &HeaderMap) {
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        let theirs = date.and_then(|date| chrono::DateTime::parse_from_rfc2822(date).ok());
        if let Some(theirs) = theirs {
            self.skew
                .note(theirs.timestamp_millis(), self.clock.now_ms());
        }
    }

    /// A token for everything the App may do in an installation.
    async fn installation_token(&self, id: InstallationId) -> Result<Secret> {
        let slot = self.tokens.slot(id);
        let mut held = slot.lock().await;
        if let Some(token) = held.as_ref()
            && token.is_fresh(self.github_now_ms())
        {
            return Ok(token.secret.clone());
        }
        let token = self.mint(id, None).await?;
        let secret = token.secret.clone();
        *held = Some(token);
        Ok(secret)
    }

    /// A token that can read the contents of one repository and nothing else.
    pub(super) async fn fetch_token(
        &self,
        installation: InstallationId,
        repository: &RepositoryId,
    ) -> Result<Secret> {
        let narrow = json!({
            "repository_ids": [repository.number()],
            "permissions": {"contents": "read"},
        });
        Ok(self.mint(installation, Some(&narrow)).await?.secret)
    }

    async fn mint(&self, id: InstallationId, narrow: Option<&Value>) -> Result<Token> {
        let path = format!("/app/installations/{id}/access_tokens");
        let mut tried = false;
        loop {
            let app = self.app_token()?;
            let before = self.skew.ms();
            let (status, headers, bytes) = self.once(&Method::POST, &path, narrow, &app).await?;
            if status == StatusCode::UNAUTHORIZED && !tried && self.skew.ms() != before {
                tried = true;
                continue;
            }
            if !status.is_success() {
                return Err(self.refusal(&Method::POST, &path, status, &headers, &bytes));
            }
            let minted: Minted = serde_json::from_slice(&bytes)
                .map_err(|_| PortError::transient("understand a new token"))?;
            let ends = chrono::DateTime::parse_from_rfc3339(&minted.expires_at)
                .map_err(|_| PortError::transient("understand when a new token ends"))?;
            return Ok(Token {
                secret: Secret::new(minted.token),
                ends_ms: ends.timestamp_millis(),
                made_ms: self.github_now_ms(),
            });
        }
    }

    /// Drops a token that was refused, unless somebody has renewed it already.
    async fn forget(&self, id: InstallationId, refused: &Secret) {
        let slot = self.tokens.slot(id);
        let mut held = slot.lock().await;
        if held.as_ref().is_some_and(|token| token.secret == *refused) {
            *held = None;
        }
    }

    /// An answer that is no success, classed by what to do next. The rules for 403 and 429 are
    /// GitHub's: `Retry-After`, else the reset of an exhausted limit, else a minute.
    fn refusal(
        &self,
        method: &Method,
        path: &str,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> PortError {
        #[derive(Deserialize, Default)]
        struct Message {
            #[serde(default)]
            message: String,
            #[serde(default)]
            errors: Value,
        }
        let said: Message = serde_json::from_slice(body).unwrap_or_default();
        let details = match &said.errors {
            Value::Null => String::new(),
            errors => format!(" {errors}"),
        };
        let message: String = format!("{method} {path}: {status}: {}{details}", said.message)
            .chars()
            .take(1_000)
            .collect();
        let number =
            |name: &str| -> Option<i64> { headers.get(name)?.to_str().ok()?.trim().parse().ok() };
        let now_ms = self.clock.now_ms();
        let exhausted = number("x-ratelimit-remaining") == Some(0);
        let secondary = said.message.to_lowercase().contains("rate limit");
        let kind = match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::FORBIDDEN
                if status == StatusCode::TOO_MANY_REQUESTS
                    || headers.contains_key(RETRY_AFTER)
                    || exhausted
                    || secondary =>
            {
                let until_ms = match (number("retry-after"), number("x-ratelimit-reset")) {
                    (Some(seconds), _) => now_ms + seconds.max(1) * 1000,
                    (None, Some(reset)) if exhausted => {
                        (reset * 1000 - self.skew.ms()).max(now_ms + 1000)
                    }
                    _ => now_ms + LIMITED_MS,
                };
                Kind::Throttled { until_ms }
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Kind::Denied,
            StatusCode::NOT_FOUND | StatusCode::GONE => Kind::Gone,
            StatusCode::CONFLICT | StatusCode::REQUEST_TIMEOUT => Kind::Transient,
            // A repository that was renamed: its new name comes with a delivery. A write is never
            // sent elsewhere.
            status if status.is_server_error() || status.is_redirection() => Kind::Transient,
            _ => Kind::Refused,
        };
        PortError::new(kind, message)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.base)
            .field("app", &self.key)
            .finish_non_exhaustive()
    }
}

/// An error with its causes on one line.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}
