//! Ids as types, so that one cannot be passed for another.

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes a value that was an id before (from the store).
            pub fn from_stored(value: impl Into<String>) -> Self {
                Self(value.into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// A repository: the host and GitHub's numeric id on it, as `host/123`. It outlives renames.
    RepositoryId
}
text_id! {
    /// A build: unique on this server, safe in file names.
    BuildId
}
text_id! {
    /// One attempt of one job of a build: unique on this server, safe in file names.
    JobId
}

impl RepositoryId {
    /// The repository with GitHub's `number` on `host`.
    pub fn new(host: &str, number: i64) -> Self {
        Self(format!("{host}/{number}"))
    }

    /// GitHub's numeric id.
    pub fn number(&self) -> i64 {
        self.0
            .rsplit_once('/')
            .and_then(|(_, number)| number.parse().ok())
            .unwrap_or(0)
    }

    /// The id as a name of a file: `host.123`.
    pub fn file_name(&self) -> String {
        self.0.replace(['/', ':'], ".")
    }
}

/// An installation of the App: GitHub's numeric id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstallationId(pub i64);

impl std::fmt::Display for InstallationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A person or bot: GitHub's numeric id. It outlives renames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PersonId(pub i64);

impl PersonId {
    /// Nobody that is known: GitHub's ids begin at 1.
    pub const NOBODY: Self = Self(0);
}

/// The id of a commit: 40 (SHA-1) or 64 (SHA-256) lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha(String);

/// A text that is no commit id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a full commit id (40 or 64 lower-case hex digits)")]
pub struct NotASha(String);

impl Sha {
    /// Reads a commit id.
    ///
    /// # Errors
    /// When it is not 40 or 64 lower-case hex digits.
    pub fn parse(text: &str) -> Result<Self, NotASha> {
        let hex = text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if hex && (text.len() == 40 || text.len() == 64) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotASha(text.chars().take(80).collect()))
        }
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its first seven digits, as people write it.
    pub fn short(&self) -> &str {
        self.0.get(..7).unwrap_or(&self.0)
    }

    /// Whether it is the all-zero id, which GitHub uses for "none".
    pub fn is_zero(&self) -> bool {
        self.0.bytes().all(|byte| byte == b'0')
    }
}

impl TryFrom<String> for Sha {
    type Error = NotASha;

    fn try_from(value: String) -> Result<Self, Self::Error> {
        Self::parse(&value)
    }
}

impl From<Sha> for String {
    fn from(value: Sha) -> Self {
        value.0
    }
}

impl std::fmt::Display for Sha {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{RepositoryId, Sha};

    #[test]
    fn only_full_lower_case_hex_is_a_commit_id() {
        assert!(Sha::parse(&"a1".repeat(20)).is_ok());
        assert!(Sha::parse(&"a1".repeat(32)).is_ok());
        for wrong in [
            "",
            "a1",
            "--upload-pack=x",
            &"A1".repeat(20),
            &"g1".repeat(20),
        ] {
            assert!(Sha::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_repository_id_keeps_host_and_number() {
        let id = RepositoryId::new("127.0.0.1:81", 42);
        assert_eq!(id.number(), 42);
        assert_eq!(id.file_name(), "127.0.0.1.81.42");
    }
}
