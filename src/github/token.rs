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

/// From which age on a token may be from before permissions were accepted, in milliseconds. Below
/// it a new one is not asked for, so that what is denied for good costs little.
const OLD_MS: i64 = 60 * 1000;

/// How many tokens are held at most; an installation may have thousands of repositories.
const MOST: usize = 2_000;

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

/// The place of one token. Its lock is held while a token is minted, so that there is one mint at
/// a time.
pub(super) type Slot = Arc<tokio::sync::Mutex<Option<Token>>>;

/// Of which installation a token is, and the number of the one repository that it is good for;
/// `None` for all of them.
type Whose = (InstallationId, Option<i64>);

/// Tokens of installations, kept until shortly before they end.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    slots: Mutex<HashMap<Whose, Slot>>,
}

impl Tokens {
    /// The place of a token. Where there are many at `now_ms` (of GitHub's clock), those that have
    /// ended go, or else all that nobody is using.
    pub(super) fn slot(
        &self,
        installation: InstallationId,
        repository: Option<i64>,
        now_ms: i64,
    ) -> Slot {
        let whose = (installation, repository);
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MOST && !slots.contains_key(&whose) {
            let in_use = |slot: &Slot| Arc::strong_count(slot) > 1;
            let is_fresh = |slot: &Slot| {
                slot.try_lock()
                    .is_ok_and(|held| held.as_ref().is_some_and(|token| token.is_fresh(now_ms)))
            };
            slots.retain(|_, slot| in_use(slot) || is_fresh(slot));
            if slots.len() >= MOST {
                slots.retain(|_, slot| in_use(slot));
            }
        }
        Arc::clone(slots.entry(whose).or_default())
    }
}

impl Token {
    /// Whether it can still be used at `now_ms`.
    pub(super) fn is_fresh(&self, now_ms: i64) -> bool {
        // A token of a short life is used for half of it.
        now_ms < self.ends_ms - MARGIN_MS.min((self.ends_ms - self.made_ms).max(0) / 2)
    }

    /// Whether permissions may have been accepted since it was made.
    pub(super) fn is_old(&self, now_ms: i64) -> bool {
        now_ms >= self.made_ms + OLD_MS
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
    use super::{InstallationId, MOST, Secret, Token, Tokens};

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

    #[tokio::test]
    async fn of_many_tokens_those_that_have_ended_go_first() {
        let tokens = Tokens::default();
        let slot = |repository, now_ms| tokens.slot(InstallationId(1), Some(repository), now_ms);
        let held = || tokens.slots.lock().unwrap().len();
        let keep = async |repository, ends_ms| {
            *slot(repository, 0).lock().await = Some(Token {
                secret: Secret::new("t"),
                ends_ms,
                made_ms: 0,
            });
        };
        let most = i64::try_from(MOST).unwrap();
        for repository in 0..most {
            keep(repository, if repository < 10 { 1_000 } else { 9_000_000 }).await;
        }
        slot(0, 2_000);
        assert_eq!(held(), MOST, "one that is there needs no room");
        let used = slot(most, 2_000);
        assert_eq!(held(), MOST - 10 + 1);
        for repository in 1..=10 {
            keep(most + repository, 9_000_000).await;
        }
        assert_eq!(
            held(),
            2,
            "all were still good: that in use stays, and the new one"
        );
        drop(used);
    }
}
