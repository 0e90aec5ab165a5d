//! Signing in with GitHub: the web flow of a GitHub App with PKCE ("Generating a user access token
//! for a GitHub App" in GitHub's documentation).

use async_trait::async_trait;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{Method, Request};
use http_body_util::{BodyExt, Limited};
use octocrab::Octocrab;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::answer::{error_chain, said, understand};
use super::outbound::Outbound;
use crate::domain::{PersonId, RepositoryId, Secret};
use crate::ports::error::Result;
use crate::ports::people::{SignInRequest, SignedIn};
use crate::ports::{Kind, People, PortError};
use crate::text::address;

/// The largest answer that is read, in bytes.
const ANSWER_MAX: usize = 8 * 1024 * 1024;
const PER_PAGE: usize = 100;
/// Pages of a list that are read; more repositories than these nobody looks through.
const PAGES: usize = 20;

/// GitHub as the place where people sign in.
pub struct SignIn {
    http: Octocrab,
    web_url: String,
    api_url: String,
    host: String,
    client_id: String,
    client_secret: Secret,
}

/// What a code is exchanged for. Errors come with the status 200.
#[derive(Deserialize)]
struct Exchanged {
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<i64>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    error_description: Option<String>,
}

#[derive(Deserialize)]
struct UserRow {
    id: i64,
    login: String,
}

#[derive(Deserialize)]
struct IdRow {
    id: i64,
}

#[derive(Deserialize)]
struct InstallationsPage {
    installations: Vec<IdRow>,
}

#[derive(Deserialize)]
struct RepositoriesPage {
    repositories: Vec<IdRow>,
}

impl SignIn {
    /// Signs people in on the GitHub at `web_url`, whose API is at `api_url`, as the App with these
    /// client credentials.
    ///
    /// # Errors
    /// `Refused` when no HTTP client can be made.
    pub fn new(
        web_url: &str,
        api_url: &str,
        client_id: &str,
        client_secret: &Secret,
        outbound: &Outbound,
    ) -> Result<Self> {
        let web_url = web_url.trim_end_matches('/').to_owned();
        Ok(Self {
            http: outbound.client()?,
            host: super::forge::host_of(&web_url).to_owned(),
            web_url,
            api_url: api_url.trim_end_matches('/').to_owned(),
            client_id: client_id.to_owned(),
            client_secret: client_secret.clone(),
        })
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        address: &str,
        token: Option<&Secret>,
        body: Option<&Value>,
    ) -> Result<T> {
        let unclear = |error: &dyn std::fmt::Display| {
            PortError::transient(format!("reach GitHub for {method} {address}: {error}"))
        };
        let mut request = Request::builder()
            .method(method.clone())
            .uri(address)
            .header(USER_AGENT, concat!("herald/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        let mut content = String::new();
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json");
            content = body.to_string();
        }
        let request = request
            .body(content)
            .map_err(|error| PortError::refused(format!("ask for {method} {address}: {error}")))?;
        let answer = self.http.execute(request).await;
        let answer = answer.map_err(|error| unclear(&error_chain(&error)))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
        let body = body.map_err(|error| unclear(&error))?.to_bytes();
        if status.is_success() {
            return understand(&method, address, &body);
        }
        let kind = match status.as_u16() {
            401 | 403 => Kind::Denied,
            404 => Kind::Gone,
            _ if status.is_server_error() => Kind::Transient,
            _ => Kind::Refused,
        };
        let said = said(&body).message;
        Err(PortError::new(
            kind,
            format!("{method} {address}: {status}: {said}"),
        ))
    }

    /// All pages of a list.
    async fn pages<T: DeserializeOwned>(
        &self,
        path: &str,
        token: &Secret,
        rows: impl Fn(T) -> Vec<IdRow>,
    ) -> Result<Vec<i64>> {
        let mut all = Vec::new();
        for page in 1..=PAGES {
            let address = format!("{}{path}?per_page={PER_PAGE}&page={page}", self.api_url);
            let answer: T = self.ask(Method::GET, &address, Some(token), None).await?;
            let found = rows(answer);
            let count = found.len();
            all.extend(found.into_iter().map(|row| row.id));
            if count < PER_PAGE {
                break;
            }
        }
        Ok(all)
    }
}

#[async_trait]
impl People for SignIn {
    fn sign_in_address(&self, request: &SignInRequest<'_>) -> String {
        format!(
            "{}/login/oauth/authorize?client_id={}&redirect_uri={}&state={}&code_challenge={}\
             &code_challenge_method=S256",
            self.web_url,
            address::part(&self.client_id),
            address::part(request.redirect_url),
            address::part(request.state),
            address::part(request.challenge),
        )
    }

    async fn sign_in(&self, code: &str, verifier: &str, redirect_url: &str) -> Result<SignedIn> {
        let body = json!({
            "client_id": self.client_id,
            "client_secret": self.client_secret.expose(),
            "code": code,
            "code_verifier": verifier,
            "redirect_uri": redirect_url,
        });
        let address = format!("{}/login/oauth/access_token", self.web_url);
        let exchanged: Exchanged = self.ask(Method::POST, &address, None, Some(&body)).await?;
        let Some(token) = exchanged.access_token else {
            let error = exchanged.error.unwrap_or_default();
            let details = exchanged.error_description.unwrap_or_default();
            return Err(PortError::denied(format!(
                "sign somebody in: GitHub says {error}: {details}"
            )));
        };
        let token = Secret::new(token);
        let address = format!("{}/user", self.api_url);
        let user: UserRow = self.ask(Method::GET, &address, Some(&token), None).await?;
        Ok(SignedIn {
            person: PersonId(user.id),
            login: user.login,
            token,
            seconds: exchanged.expires_in,
        })
    }

    async fn readable(&self, token: &Secret) -> Result<Vec<RepositoryId>> {
        let installations = self
            .pages("/user/installations", token, |page: InstallationsPage| {
                page.installations
            })
            .await?;
        let mut all = Vec::new();
        for id in installations {
            let path = format!("/user/installations/{id}/repositories");
            let found = self
                .pages(&path, token, |page: RepositoriesPage| page.repositories)
                .await?;
            all.extend(found.iter().map(|id| RepositoryId::new(&self.host, *id)));
        }
        Ok(all)
    }
}

impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignIn")
            .field("web_url", &self.web_url)
            .finish_non_exhaustive()
    }
}
