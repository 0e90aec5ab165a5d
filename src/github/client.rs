//! Requests to GitHub's REST API.

use std::sync::Arc;
use std::time::Instant;

use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, ETAG, HeaderMap, IF_NONE_MATCH, LOCATION,
    RETRY_AFTER, USER_AGENT,
};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use octocrab::Octocrab;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tracing::warn;

use super::answer::{cursor, error_chain, said, understand};
use super::cache::{Cache, Kept};
use super::limit::{Cost, Limits, Told, Urgency};
use super::outbound::Outbound;
use super::token::{AppKey, Skew, Token, Tokens};
use super::who::As;
use crate::app::Meters;
use crate::domain::{InstallationId, RepositoryId, Secret};
use crate::ports::error::Result;
use crate::ports::{Clock, Kind, PortError, Store};

/// The largest answer that is read, in bytes.
const ANSWER_MAX: usize = 32 * 1024 * 1024;

/// Where GitHub is and who we are.
#[derive(Debug)]
pub struct ClientOptions {
    /// Base of the REST API, as in `https://api.github.com` or `https://HOST/api/v3`.
    pub api_url: String,
    /// The App; `None` until it is registered: then every request is `Denied`.
    pub key: Option<AppKey>,
    /// Whether nothing was asked of GitHub as this App in the last hour; if that is not known, a
    /// good part of what GitHub allows is taken for used.
    pub rested: bool,
    /// The way there.
    pub outbound: Outbound,
}

/// Sends requests as the App or as one of its installations.
pub struct Client {
    http: Octocrab,
    base: String,
    key: Option<AppKey>,
    tokens: Tokens,
    skew: Skew,
    limits: Limits,
    cache: Cache,
    clock: Arc<dyn Clock>,
    /// Where it is kept what GitHub says about waiting.
    store: Option<Arc<dyn Store>>,
    /// Where requests are counted.
    meters: Arc<Meters>,
}

/// A good answer.
struct Answer {
    body: Vec<u8>,
    /// Where it leads, instead of being one.
    location: Option<String>,
    /// Where the list goes on.
    cursor: Option<String>,
}

/// What one request came back with.
struct Returned {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    /// Until when nothing may be sent, where it was refused because of a limit.
    closed_until_ms: Option<i64>,
}

/// One request.
struct Asked<'a> {
    method: &'a Method,
    path: &'a str,
    body: Option<&'a Value>,
    /// The mark of the answer that is there already.
    etag: Option<&'a str>,
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
        Ok(Self {
            http: options.outbound.client()?,
            base,
            key: options.key,
            tokens: Tokens::default(),
            skew: Skew::default(),
            limits: Limits::new((!options.rested).then(|| clock.now_ms())),
            cache: Cache::default(),
            clock,
            store: None,
            meters: Arc::default(),
        })
    }

    /// The same, and what GitHub says about waiting is kept for processes that come after this one.
    #[must_use]
    pub fn with_store(self, store: Arc<dyn Store>) -> Self {
        Self {
            store: Some(store),
            ..self
        }
    }

    /// The same, and requests are counted there.
    #[must_use]
    pub fn with_meters(self, meters: Arc<Meters>) -> Self {
        Self { meters, ..self }
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

    /// Sends a request and reads the answer as JSON. A 401 is answered once with a new token, a 403
    /// too where the token is not new.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        who: As,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T> {
        let answer = self.request(who, &method, path, body).await?;
        understand(&method, path, &answer.body)
    }

    /// Reads one page of a list that is followed by cursor, and says where it goes on.
    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        who: As,
        path: &str,
    ) -> Result<(T, Option<String>)> {
        let answer = self.request(who, &Method::GET, path, None).await?;
        let page = understand(&Method::GET, path, &answer.body)?;
        Ok((page, answer.cursor))
    }

    /// So many processes share GitHub's limits from now on.
    pub(super) fn shared_by(&self, processes: u32) {
        self.limits.shared_by(processes);
    }

    /// Sends nothing of an installation (`None`: of the App itself) before this moment.
    pub(super) fn hold(&self, who: Option<InstallationId>, until_ms: i64) {
        self.limits.hold(who, until_ms);
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

    /// Where GitHub leads who asks for a file: to an address that needs no token.
    pub(super) async fn location(&self, who: As, path: &str) -> Result<String> {
        let answer = self.request(who, &Method::GET, path, None).await?;
        let missing = || PortError::transient(format!("find where GET {path} leads"));
        answer.location.ok_or_else(missing)
    }

    /// Carries requests to whole addresses, without credentials.
    pub(super) fn http(&self) -> &Octocrab {
        &self.http
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

    /// Posts as nobody, and reads the answer as JSON.
    pub(super) async fn post_as_nobody<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let asked = Asked {
            method: &Method::POST,
            path,
            body: None,
            etag: None,
        };
        let returned = self.once(As::APP, &asked, None).await?;
        if !returned.status.is_success() {
            return Err(Self::refusal(&asked, &returned));
        }
        understand(asked.method, path, &returned.body)
    }

    async fn request(
        &self,
        who: As,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let known = match method {
            &Method::GET => self.cache.get(who.who, path),
            _ => None,
        };
        let asked = Asked {
            method,
            path,
            body,
            etag: known.as_ref().map(|known| known.etag.as_str()),
        };
        let mut renewed = false;
        loop {
            let token = self.token(who).await?;
            let returned = self.once(who, &asked, Some(&token)).await?;
            if !renewed && self.is_outdated(who, &token, &returned).await {
                renewed = true;
                continue;
            }
            if returned.status == StatusCode::NOT_MODIFIED
                && let Some(known) = known
            {
                return Ok(Answer {
                    location: None,
                    body: known.body,
                    cursor: known.cursor,
                });
            }
            let location = returned
                .headers
                .get(LOCATION)
                .and_then(|to| to.to_str().ok());
            let location = location.filter(|_| returned.status == StatusCode::FOUND);
            if !returned.status.is_success() && location.is_none() {
                return Err(Self::refusal(&asked, &returned));
            }
            let answer = Answer {
                location: location.map(str::to_owned),
                cursor: cursor(&returned.headers),
                body: returned.body,
            };
            let etag = returned.headers.get(ETAG).and_then(|tag| tag.to_str().ok());
            if let (&Method::GET, Some(etag)) = (method, etag) {
                let kept = Kept {
                    etag: etag.to_owned(),
                    body: answer.body.clone(),
                    cursor: answer.cursor.clone(),
                };
                self.cache.keep(who.who, path, kept);
            }
            return Ok(answer);
        }
    }

    /// One request, counted.
    async fn once(&self, who: As, asked: &Asked<'_>, token: Option<&Secret>) -> Result<Returned> {
        let begun = Instant::now();
        let returned = self.ask(who, asked, token).await;
        let status = match &returned {
            Ok(returned) => Some(returned.status.as_u16()),
            // It was not sent.
            Err(error) if matches!(error.kind, Kind::Throttled { .. }) => return returned,
            Err(_) => None,
        };
        self.meters.asked(status, begun.elapsed());
        returned
    }

    /// One request, without any repetition, when there is room for it in the budget.
    async fn ask(&self, who: As, asked: &Asked<'_>, token: Option<&Secret>) -> Result<Returned> {
        let Asked { method, path, .. } = asked;
        let unclear = |error: &dyn std::fmt::Display| {
            PortError::transient(format!("reach GitHub for {method} {path}: {error}"))
        };
        let mut request = Request::builder()
            .method((*method).clone())
            .uri(format!("{}{path}", self.base))
            .header(USER_AGENT, concat!("herald/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/vnd.github+json")
            .header("X-GitHub-Api-Version", "2022-11-28");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        if let Some(etag) = asked.etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let content = match asked.body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                body.to_string()
            }
            None => String::new(),
        };
        let request = request
            .body(content)
            .map_err(|error| PortError::refused(format!("ask for {method} {path}: {error}")))?;
        let pass = self
            .limits
            .pass(who.who, cost(method, path), who.urgency, || {
                self.clock.now_ms()
            })
            .await
            .map_err(|until_ms| {
                let message = format!("ask for {method} {path} yet: GitHub's limits are near");
                PortError::new(Kind::Throttled { until_ms }, message)
            })?;
        let answer = self.http.execute(request).await;
        let answer = answer.map_err(|error| unclear(&error_chain(&error)))?;
        let status = answer.status();
        let headers = answer.headers().clone();
        self.note_time(&headers);
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
        let body = body.map(|body| body.to_bytes().to_vec());
        // Also where the body broke off: the head tells of limits.
        let told = self.told(status, &headers, body.as_deref().unwrap_or_default());
        let closed_until_ms = pass.told(self.clock.now_ms(), &told);
        if let (Some(until_ms), Some(store)) = (closed_until_ms, &self.store) {
            // Whoever asked, and before anything else is done: the process may end at any moment.
            if let Err(error) = store.keep_throttle(who.who, until_ms).await {
                warn!("failed to {error}");
            }
        }
        let body = body.map_err(|error| unclear(&error))?;
        Ok(Returned {
            status,
            headers,
            body,
            closed_until_ms,
        })
    }

    /// What an answer tells of limits. The rules are those of "Rate limits for the REST API":
    /// `Retry-After`, else the reset of an exhausted limit; words count where there is neither.
    fn told(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Told {
        let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
        let number = |name: &str| -> Option<i64> { text(name)?.parse().ok() };
        let now_ms = self.clock.now_ms();
        let retry_ms = match (number("retry-after"), text("retry-after")) {
            (Some(seconds), _) => Some(now_ms.saturating_add(seconds.max(1).saturating_mul(1000))),
            (None, Some(date)) => chrono::DateTime::parse_from_rfc2822(date)
                .ok()
                .map(|date| date.timestamp_millis() - self.skew.ms()),
            (None, None) => None,
        };
        let reset_ms = number("x-ratelimit-reset")
            .map(|reset| reset.saturating_mul(1000).saturating_sub(self.skew.ms()));
        // Other resources, as searches, have limits of their own.
        let core = text("x-ratelimit-resource").is_none_or(|resource| resource == "core");
        let small = |name| number(name).and_then(|count| u32::try_from(count).ok());
        let remaining = small("x-ratelimit-remaining");
        let said = || said(body).message.to_lowercase().contains("rate limit");
        let limited = status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::FORBIDDEN
                && (headers.contains_key(RETRY_AFTER) || remaining == Some(0) || said());
        Told {
            limited,
            retry_ms,
            limit: small("x-ratelimit-limit").filter(|_| core),
            remaining: remaining.filter(|_| core),
            reset_ms: reset_ms.filter(|_| core),
        }
    }

    fn note_time(&self, headers: &HeaderMap) {
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        let theirs = date.and_then(|date| chrono::DateTime::parse_from_rfc2822(date).ok());
        if let Some(theirs) = theirs {
            self.skew
                .note(theirs.timestamp_millis(), self.clock.now_ms());
        }
    }

    /// A token for what the App may do where the request goes: in one repository, or in all of an
    /// installation.
    async fn token(&self, who: As) -> Result<Secret> {
        let Some(id) = who.who else {
            return self.app_token();
        };
        let slot = self.tokens.slot(id, who.repository, self.github_now_ms());
        let mut held = slot.lock().await;
        if let Some(token) = held.as_ref()
            && token.is_fresh(self.github_now_ms())
        {
            return Ok(token.secret.clone());
        }
        // Its permissions are those that were accepted: a missing one fails what needs it only.
        let narrow = who
            .repository
            .map(|number| json!({"repository_ids": [number]}));
        let token = self.mint(id, narrow.as_ref(), who.urgency).await?;
        let secret = token.secret.clone();
        *held = Some(token);
        Ok(secret)
    }

    /// Whether another token may do better than the one that was refused, which is dropped then. It
    /// has ended early, or our clock is off (`once` has noted GitHub's time), or it is from before
    /// somebody accepted permissions, which a token does not get later.
    async fn is_outdated(&self, who: As, refused: &Secret, returned: &Returned) -> bool {
        let ended = returned.status == StatusCode::UNAUTHORIZED;
        let denied = returned.status == StatusCode::FORBIDDEN && returned.closed_until_ms.is_none();
        let Some(id) = who.who.filter(|_| ended || denied) else {
            return ended;
        };
        let now_ms = self.github_now_ms();
        let slot = self.tokens.slot(id, who.repository, now_ms);
        let mut held = slot.lock().await;
        match held.as_ref() {
            Some(token) if token.secret == *refused => {
                let outdated = ended || token.is_old(now_ms);
                if outdated {
                    *held = None;
                }
                outdated
            }
            // Somebody has dropped or renewed it already.
            _ => true,
        }
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
        let token = self.mint(installation, Some(&narrow), Urgency::First);
        Ok(token.await?.secret)
    }

    async fn mint(
        &self,
        id: InstallationId,
        narrow: Option<&Value>,
        urgency: Urgency,
    ) -> Result<Token> {
        let path = format!("/app/installations/{id}/access_tokens");
        let asked = Asked {
            method: &Method::POST,
            path: &path,
            body: narrow,
            etag: None,
        };
        let mut tried = false;
        loop {
            let app = self.app_token()?;
            let before = self.skew.ms();
            let returned = self.once(As::APP.when(urgency), &asked, Some(&app)).await?;
            if returned.status == StatusCode::UNAUTHORIZED && !tried && self.skew.ms() != before {
                tried = true;
                continue;
            }
            if !returned.status.is_success() {
                let mut error = Self::refusal(&asked, &returned);
                if returned.status == StatusCode::UNPROCESSABLE_ENTITY {
                    // The installation does not reach the repository, or not yet, or may not what is
                    // asked for.
                    error.kind = Kind::Denied;
                }
                return Err(error);
            }
            let minted: Minted = serde_json::from_slice(&returned.body)
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

    /// An answer that is no success, classed by what to do next.
    fn refusal(asked: &Asked<'_>, returned: &Returned) -> PortError {
        let (status, said) = (returned.status, said(&returned.body));
        let details = match &said.errors {
            Value::Null => String::new(),
            errors => format!(" {errors}"),
        };
        let Asked { method, path, .. } = asked;
        let message: String = format!("{method} {path}: {status}: {}{details}", said.message)
            .chars()
            .take(1_000)
            .collect();
        let kind = match (returned.closed_until_ms, status) {
            (Some(until_ms), _) => Kind::Throttled { until_ms },
            (None, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Kind::Denied,
            (None, StatusCode::NOT_FOUND | StatusCode::GONE) => Kind::Gone,
            (None, StatusCode::CONFLICT | StatusCode::REQUEST_TIMEOUT) => Kind::Transient,
            // A repository that was renamed: its new name comes with a delivery. A write is never
            // sent elsewhere.
            (None, status) if status.is_server_error() || status.is_redirection() => {
                Kind::Transient
            }
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

/// What a request costs. GitHub does not list what creates content; whatever makes something in a
/// repository is taken for it.
fn cost(method: &Method, path: &str) -> Cost {
    match *method {
        Method::GET | Method::HEAD => Cost::Read,
        Method::POST if path.starts_with("/repos/") => Cost::Create,
        _ => Cost::Write,
    }
}
