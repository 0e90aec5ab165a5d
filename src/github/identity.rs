//! Tokens of jobs of GitHub Actions: OpenID Connect, as "OpenID Connect reference" in GitHub's documentation has it.
//!
//! A token is looked at in this order: what signed it (RS256 only), who issued it, by which key, whether the signature
//! is right, when it is good, for whom it was made. Nothing of it is believed before the signature is.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;
use http::header::{ACCEPT, USER_AGENT};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Mutex;

use super::forge::host_of;
use super::outbound::Outbound;
use super::plain::Plain;
use crate::domain::{PersonId, Secret, Sha, WorkflowIdentity};
use crate::ports::error::Result;
use crate::ports::{Clock, Identities, PortError};

/// How long keys count, in milliseconds.
const KEPT_MS: i64 = 24 * 60 * 60 * 1000;
/// How soon they are asked for again for one that is not among them: anybody can name one.
const AGAIN_MS: i64 = 60 * 1000;
/// How far clocks may differ, in seconds.
const LEEWAY: i64 = 60;
/// The largest list of keys, in bytes, and the most keys that are taken from it.
const ANSWER_MAX: usize = 256 * 1024;
const KEYS: usize = 100;
/// The longest token, in bytes.
const TOKEN_MAX: usize = 16 * 1024;

/// GitHub as the issuer of tokens.
pub struct Issuer {
    http: Plain,
    /// What its tokens name it, and where its document is.
    address: String,
    clock: Arc<dyn Clock>,
    /// Held while keys are fetched, so that they are fetched once.
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    by_id: HashMap<String, DecodingKey>,
    /// When they were fetched, in unix milliseconds.
    fetched_ms: Option<i64>,
}

#[derive(Deserialize)]
struct Configuration {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct KeyList {
    keys: Vec<KeyRow>,
}

#[derive(Deserialize)]
struct KeyRow {
    #[serde(default)]
    kty: String,
    #[serde(default)]
    kid: String,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    alg: String,
    #[serde(default)]
    kid: String,
}

/// Ids come as texts.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Value,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    repository_id: Value,
    repository_owner_id: Value,
    sha: String,
    #[serde(rename = "ref")]
    reference: String,
    event_name: String,
    run_id: Value,
    #[serde(default)]
    actor_id: Value,
    #[serde(default)]
    actor: String,
}

impl Issuer {
    /// The issuer that belongs to the GitHub at `web_url`: that of github.com and of GHE.com is a host of its own, that
    /// of an Enterprise Server a part of it. No request is sent.
    ///
    /// # Errors
    /// `Refused` when no HTTP client can be made.
    pub fn new(web_url: &str, clock: Arc<dyn Clock>, outbound: &Outbound) -> Result<Self> {
        let web_url = web_url.trim_end_matches('/');
        let address = match host_of(web_url) {
            "github.com" => "https://token.actions.githubusercontent.com".to_owned(),
            host if host.ends_with(".ghe.com") => format!("https://token.actions.{host}"),
            _ => format!("{web_url}/_services/token"),
        };
        Ok(Self {
            http: Plain::new(outbound)?,
            address,
            clock,
            keys: Mutex::default(),
        })
    }

    /// The key of this id.
    async fn key(&self, id: &str) -> Result<DecodingKey> {
        let mut keys = self.keys.lock().await;
        let now_ms = self.clock.now_ms();
        let age_ms = keys.fetched_ms.map(|at_ms| now_ms - at_ms);
        let known = keys.by_id.get(id).cloned();
        match (known, age_ms) {
            (Some(key), Some(age_ms)) if age_ms < KEPT_MS => return Ok(key),
            (None, Some(age_ms)) if age_ms < AGAIN_MS => {}
            _ => {
                keys.by_id = self.fetch_keys().await?;
                keys.fetched_ms = Some(now_ms);
            }
        }
        keys.by_id.get(id).cloned().ok_or_else(|| {
            denied(format!(
                "it is signed with a key that {} does not list",
                self.address
            ))
        })
    }

    async fn fetch_keys(&self) -> Result<HashMap<String, DecodingKey>> {
        let address = format!("{}/.well-known/openid-configuration", self.address);
        let configuration: Configuration = self.fetch(&address).await?;
        let is_at_home = host_of(&configuration.jwks_uri) == host_of(&self.address)
            && scheme(&configuration.jwks_uri) == scheme(&self.address);
        if configuration.issuer != self.address || !is_at_home {
            return Err(PortError::transient(format!(
                "trust {address}: it speaks for {} with keys at {}",
                configuration.issuer, configuration.jwks_uri
            )));
        }
        let list: KeyList = self.fetch(&configuration.jwks_uri).await?;
        let usable = list.keys.into_iter().filter(|row| row.kty == "RSA");
        let read = |row: KeyRow| {
            let key = DecodingKey::from_rsa_components(&row.n, &row.e).ok()?;
            Some((row.kid, key))
        };
        Ok(usable.take(KEYS).filter_map(read).collect())
    }

    async fn fetch<T: DeserializeOwned>(&self, address: &str) -> Result<T> {
        let unclear = |what: &dyn std::fmt::Display| {
            PortError::transient(format!("get GitHub's keys from {address}: {what}"))
        };
        let request = Request::get(address)
            .header(USER_AGENT, concat!("herald/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|error| unclear(&error))?;
        let answer = self.http.send(request, ANSWER_MAX).await;
        let answer = answer.map_err(|error| unclear(&error))?;
        if !answer.status.is_success() {
            return Err(unclear(&answer.status));
        }
        serde_json::from_slice(&answer.body).map_err(|error| unclear(&error))
    }
}

fn scheme(address: &str) -> &str {
    address.split(':').next().unwrap_or_default()
}

fn denied(what: impl std::fmt::Display) -> PortError {
    PortError::denied(format!("the token of GitHub Actions is not good: {what}"))
}

fn part<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// A number that may be written as text.
fn number(value: &Value, name: &str) -> Result<i64> {
    let number = match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    };
    number.ok_or_else(|| denied(format!("`{name}` is no number")))
}

#[async_trait]
impl Identities for Issuer {
    async fn identify(&self, token: &Secret, audience: &str) -> Result<WorkflowIdentity> {
        let token = token.expose();
        let mut parts = token.split('.');
        let (Some(head), Some(body), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(denied("it has not three parts"));
        };
        if token.len() > TOKEN_MAX {
            return Err(denied("it is too long"));
        }
        let head: Head = part(head).ok_or_else(|| denied("its head cannot be read"))?;
        // The one that GitHub signs with. Whatever else a token names, it does not choose how it is looked at.
        if head.alg != "RS256" {
            return Err(denied(format!(
                "it is signed with `{}`, not with RS256",
                crate::text::shorten::chars(&head.alg, 20)
            )));
        }
        let claimed: Claims = part(body)
            .ok_or_else(|| denied("it lacks what tokens of GitHub Actions say of their job"))?;
        if claimed.iss != self.address {
            return Err(denied(format!(
                "it was issued by {}, not by {}",
                crate::text::shorten::chars(&claimed.iss, 100),
                self.address
            )));
        }
        let key = self.key(&head.kid).await?;
        let mut rules = Validation::new(Algorithm::RS256);
        // By our clock, below.
        rules.validate_exp = false;
        rules.validate_aud = false;
        rules.required_spec_claims.clear();
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &rules)
            .map_err(|_| denied("its signature is wrong"))?
            .claims;
        self.check(&claims, audience)?;
        read(&claims)
    }
}

impl Issuer {
    fn check(&self, claims: &Claims, audience: &str) -> Result<()> {
        let now = self.clock.now_ms() / 1000;
        if claims.exp <= now - LEEWAY {
            return Err(denied("it has ended; ask for one right before it is used"));
        }
        let begins = claims.nbf.unwrap_or(claims.iat).max(claims.iat);
        if begins > now + LEEWAY {
            return Err(denied("it is not good yet; compare the clocks"));
        }
        let is_ours = match &claims.aud {
            Value::String(one) => one == audience,
            Value::Array(all) => all.iter().any(|one| one.as_str() == Some(audience)),
            _ => false,
        };
        if is_ours {
            Ok(())
        } else {
            Err(denied(format!(
                "it was made for another audience; ask for one for {audience}, which is HERALD_PUBLIC_URL here"
            )))
        }
    }
}

fn read(claims: &Claims) -> Result<WorkflowIdentity> {
    Ok(WorkflowIdentity {
        repository: number(&claims.repository_id, "repository_id")?,
        owner: number(&claims.repository_owner_id, "repository_owner_id")?,
        commit: Sha::parse(&claims.sha).map_err(denied)?,
        reference: claims.reference.clone(),
        event: claims.event_name.clone(),
        run: number(&claims.run_id, "run_id")?,
        actor: PersonId(number(&claims.actor_id, "actor_id").unwrap_or_default()),
        by_bot: claims.actor.ends_with("[bot]"),
    })
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
