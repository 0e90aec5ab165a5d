//! People who sign in with their account on GitHub.

use async_trait::async_trait;

use super::error::Result;
use crate::domain::{PersonId, RepositoryId, Secret};

/// What is sent along when somebody goes to GitHub to sign in.
#[derive(Debug, Clone, Copy)]
pub struct SignInRequest<'a> {
    /// Where GitHub sends them back to.
    pub redirect_url: &'a str,
    /// Comes back as it is, so that nobody can be signed in by a link.
    pub state: &'a str,
    /// The S256 challenge of the verifier (RFC 7636).
    pub challenge: &'a str,
}

/// Somebody who has signed in.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Who it is.
    pub person: PersonId,
    /// Their name at this time.
    pub login: String,
    /// Acts for them, as far as they and the App may both go.
    pub token: Secret,
    /// How long the token is good, in seconds; `None` where it has no end.
    pub seconds: Option<i64>,
}

/// Where people sign in.
#[async_trait]
pub trait People: Send + Sync {
    /// The address that somebody is sent to for signing in.
    fn sign_in_address(&self, request: &SignInRequest<'_>) -> String;
    /// Takes the code that somebody came back with.
    ///
    /// # Errors
    /// `Denied` when the code is not good, or not any more.
    async fn sign_in(&self, code: &str, verifier: &str, redirect_url: &str) -> Result<SignedIn>;
    /// The repositories that somebody may read and the App is installed on, public ones too.
    ///
    /// # Errors
    /// `Denied` when the token is not good any more.
    async fn readable(&self, token: &Secret) -> Result<Vec<RepositoryId>>;
}
