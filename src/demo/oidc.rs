//! Tokens of jobs of the simulated Actions: an issuer of OpenID Connect as an Enterprise Server has it, and where a job
//! asks for its token.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use axum::Router;
use axum::extract::{Query, State as Handle};
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Json;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::access::bearer;
use super::api::{Answer, Refusal, not_found};
use super::state::{GitHub, Project, pem};

/// A key that tokens are signed with.
#[derive(Clone)]
struct Key {
    id: String,
    pair: Arc<KeyPair>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The issuer.
#[derive(Debug, Default)]
pub struct Tokens {
    /// Those that are listed, the newest last; the first one is made when it is needed.
    keys: Vec<Key>,
    made: usize,
    /// What the document of the issuer says instead of the address of its keys.
    pub keys_at: Option<String>,
    /// What a job may ask a token with, and what that says beside audience and times.
    pub jobs: HashMap<String, Value>,
}

impl Tokens {
    fn add(&mut self) -> anyhow::Result<Key> {
        self.made += 1;
        let key = Key {
            id: format!("key-{}", self.made),
            pair: Arc::new(KeyPair::generate(KeySize::Rsa2048)?),
        };
        self.keys.push(key.clone());
        Ok(key)
    }

    fn newest(&mut self) -> anyhow::Result<Key> {
        match self.keys.last() {
            Some(key) => Ok(key.clone()),
            None => self.add(),
        }
    }

    /// A new key takes the place of all that are listed.
    ///
    /// # Errors
    /// When none could be made.
    pub fn rotate(&mut self) -> anyhow::Result<()> {
        self.keys.clear();
        self.add().map(|_| ())
    }
}

/// Where the issuer is below the address of the simulated GitHub.
const ISSUER: &str = "/_services/token";

pub(super) fn routes() -> Router<GitHub> {
    Router::new()
        .route(
            "/_services/token/.well-known/openid-configuration",
            get(configuration),
        )
        .route("/_services/token/.well-known/jwks", get(keys))
        .route("/_services/token/of-job", get(of_job))
}

fn trouble(error: &anyhow::Error) -> Refusal {
    Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

/// Its address, as whoever asks has it.
fn base(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    format!("http://{}", host.unwrap_or_default())
}

async fn configuration(Handle(github): Handle<GitHub>, headers: HeaderMap) -> Answer {
    let issuer = format!("{}{ISSUER}", base(&headers));
    let at = github.state().oidc.keys_at.clone();
    let answer = json!({
        "issuer": issuer,
        "jwks_uri": at.unwrap_or_else(|| format!("{issuer}/.well-known/jwks")),
        "id_token_signing_alg_values_supported": ["RS256"],
    });
    Ok((StatusCode::OK, Json(answer)))
}

async fn keys(Handle(github): Handle<GitHub>) -> Answer {
    let mut state = github.state();
    state.oidc.newest().map_err(|error| trouble(&error))?;
    let row = |key: &Key| {
        let public = key.pair.public_key();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": key.id,
            "n": text(public.modulus().big_endian_without_leading_zero()),
            "e": text(public.exponent().big_endian_without_leading_zero()),
        })
    };
    let rows: Vec<Value> = state.oidc.keys.iter().map(row).collect();
    Ok((StatusCode::OK, Json(json!({"keys": rows}))))
}

/// What a job gets with `ACTIONS_ID_TOKEN_REQUEST_URL` and `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
async fn of_job(
    Handle(github): Handle<GitHub>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    let job = bearer(&headers).unwrap_or_default().to_owned();
    let mut claims = {
        let state = github.state();
        state.oidc.jobs.get(&job).cloned().ok_or_else(not_found)?
    };
    if let (Some(claims), Some(audience)) = (claims.as_object_mut(), query.get("audience")) {
        claims.insert("aud".to_owned(), json!(audience));
    }
    let token = github.sign(&claims).map_err(|error| trouble(&error))?;
    Ok((StatusCode::OK, Json(json!({"value": token}))))
}

impl GitHub {
    /// What a token says of a job of a repository: `reference` and `commit` as `GITHUB_REF` and `GITHUB_SHA` have them.
    /// `url`: where this GitHub is; `audience`: for whom it is made.
    pub fn job(
        &self,
        project: &Project,
        (url, audience): (&str, &str),
        event: &str,
        reference: &str,
        commit: &str,
    ) -> Value {
        let now = self.now_ms() / 1000;
        json!({
            "iss": format!("{url}{ISSUER}"), "aud": audience,
            "sub": format!("repo:{}/{}:{event}", project.owner, project.name),
            "iat": now, "nbf": now, "exp": now + 300,
            "repository": format!("{}/{}", project.owner, project.name),
            "repository_id": project.id.to_string(), "repository_owner_id": "77",
            "sha": commit, "ref": reference, "event_name": event,
            "run_id": "9001", "run_attempt": "1", "workflow": "CI",
            "actor": "mona", "actor_id": "500", "head_ref": "", "base_ref": "",
        })
    }

    /// A token that says this, signed with the newest key.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn sign(&self, claims: &Value) -> anyhow::Result<String> {
        let key = self.state().oidc.newest()?;
        let mut head = Header::new(Algorithm::RS256);
        head.kid = Some(key.id.clone());
        let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&*key.pair)?;
        let key = EncodingKey::from_rsa_pem(pem(der.as_ref()).as_bytes())?;
        Ok(jsonwebtoken::encode(&head, claims, &key)?)
    }

    /// The newest key's id and public part in DER (PKCS #1), with which nothing may be signed.
    ///
    /// # Errors
    /// When there is none and none can be made.
    pub fn public_key_of_tokens(&self) -> anyhow::Result<(String, Vec<u8>)> {
        let key = self.state().oidc.newest()?;
        Ok((key.id.clone(), key.pair.public_key().as_ref().to_vec()))
    }
}
