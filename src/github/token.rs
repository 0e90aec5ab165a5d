//! Who we are to GitHub: the App's key, and tokens of installations.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use crate::domain::{InstallationId, Secret};
use crate::ports::PortError;
use crate::ports::error::Result;

/// How long before its end a token is not used any more, in milliseconds.
const MARGIN_MS: i64 = 5 * 60 * 1000;

/// The App's id and private key.
pub struct AppKey {
    id: u64,
    key: EncodingKey,
}

#[derive(Serialize)]
struct Claims {
    iat: i64,
    exp: i64,
    iss: String,
}

impl AppKey {
    /// Reads the private key, PEM text as GitHub gives it.
    ///
    /// # Errors
    /// `Refused` when the text is no RSA key in PEM.
    pub fn new(id: u64, pem: &Secret) -> Result<Self> {
        let key = EncodingKey::from_rsa_pem(pem.expose().as_bytes()).map_err(|error| {
            PortError::refused(format!("read the App's private key (RSA in PEM): {error}"))
        })?;
        Ok(Self { id, key })
    }

    /// The App's id.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// A token that says we are the App: RS256, valid from a minute ago for nine minutes from
    /// now (GitHub allows ten), at the time `now_ms` of GitHub's clock.
    ///
    /// # Errors
    /// `Refused` when the key cannot sign.
    pub fn token(&self, now_ms: i64) -> Result<Secret> {
        let now = now_ms / 1000;
        let claims = Claims {
            iat: now - 60,
            exp: now + 9 * 60,
            iss: self.id.to_string(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &self.key)
            .map(Secret::new)
            .map_err(|error| PortError::refused(format!("sign with the App's key: {error}")))
    }
}

impl std::fmt::Debug for AppKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A token of an installation and when it ends, in unix milliseconds of GitHub's clock.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) secret: Secret,
    pub(super) ends_ms: i64,
    /// When it was made.
    pub(super) made_ms: i64,
}

/// The place of one installation's token. Its lock is held while a token is minted, so that
/// there is one mint at a time.
pub(super) type Slot = Arc<tokio::sync::Mutex<Option<Token>>>;

/// Tokens of installations, kept until shortly before they end.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    slots: Mutex<HashMap<InstallationId, Slot>>,
}

impl Tokens {
    pub(super) fn slot(&self, installation: InstallationId) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(installation).or_default())
    }
}

impl Token {
    /// Whether it can still be used at `now_ms`.
    pub(super) fn is_fresh(&self, now_ms: i64) -> bool {
        // A token of a short life is used for half of it.
        now_ms < self.ends_ms - MARGIN_MS.min((self.ends_ms - self.made_ms).max(0) / 2)
    }
}

/// How far GitHub's clock is ahead of ours, in milliseconds; read from the `Date` header.
#[derive(Debug, Default)]
pub(super) struct Skew(AtomicI64);

impl Skew {
    /// Differences below this are taken for the time of the request itself.
    const NOISE_MS: i64 = 5_000;

    pub(super) fn note(&self, theirs_ms: i64, ours_ms: i64) {
        let difference = theirs_ms - ours_ms;
        let kept = if difference.abs() < Self::NOISE_MS {
            0
        } else {
            difference
        };
        self.0.store(kept, Ordering::Relaxed);
    }

    pub(super) fn ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::{Secret, Token};

    #[test]
    fn a_token_is_not_used_in_its_last_minutes() {
        let hour = 60 * 60 * 1000;
        let token = Token {
            secret: Secret::new("t"),
            ends_ms: hour,
            made_ms: 0,
        };
        assert!(token.is_fresh(0));
        assert!(token.is_fresh(hour - 5 * 60 * 1000 - 1));
        assert!(!token.is_fresh(hour - 5 * 60 * 1000));
        let short = Token {
            ends_ms: 2_000,
            ..token
        };
        assert!(short.is_fresh(999));
        assert!(!short.is_fresh(1_000));
    }
}
