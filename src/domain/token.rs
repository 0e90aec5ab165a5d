//! Tokens of the API and of badges.

use sha2::{Digest, Sha256};

use super::id::{PersonId, RepositoryId};
use super::permission::Permission;
use super::secret::Secret;

/// Whose token it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A person: the token opens what they may see at that moment.
    Person(PersonId),
    /// A repository: the token opens nothing else.
    Repository(RepositoryId),
}

/// What a token is good for at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The badges of a repository.
    Badges,
    /// To look.
    Read,
    /// To upload reports, and nothing else.
    Upload,
    /// To rerun, cancel and approve as well.
    Write,
}

impl Scope {
    /// The word in the store and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Badges => "badges",
            Self::Read => "read",
            Self::Upload => "upload",
            Self::Write => "write",
        }
    }

    /// Reads the word of [`Scope::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Badges, Self::Read, Self::Upload, Self::Write]
            .into_iter()
            .find(|scope| scope.as_str() == word)
    }

    /// Whether it lets somebody upload reports who may write.
    pub fn uploads(self) -> bool {
        matches!(self, Self::Upload | Self::Write)
    }

    /// The most that it lets somebody do.
    pub fn permission(self) -> Permission {
        match self {
            Self::Badges | Self::Upload => Permission::None,
            Self::Read => Permission::Read,
            Self::Write => Permission::Write,
        }
    }
}

/// A token, without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What operators name it by.
    pub id: String,
    /// Whose it is.
    pub holder: Holder,
    /// What it is good for.
    pub scope: Scope,
    /// What it is for, in the words of who made it.
    pub name: String,
    /// When it was made, in unix milliseconds.
    pub created_ms: i64,
    /// When it ends, in unix milliseconds; `None` for never.
    pub ends_ms: Option<i64>,
}

impl Token {
    /// Whether it is good at this moment (unix milliseconds).
    pub fn is_good(&self, now_ms: i64) -> bool {
        self.ends_ms.is_none_or(|ends_ms| now_ms < ends_ms)
    }
}

/// What a token's text begins with, so that people and scanners know what they have found.
pub const PREFIX: &str = "herald_";

/// What is kept of a token's text: its SHA-256 in hex. The text is 256 bits of chance, so nothing
/// slower is needed.
pub fn token_hash(text: &Secret) -> String {
    let hash = Sha256::digest(text.expose().as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{Holder, PREFIX, Scope, Token, token_hash};
    use crate::domain::{PersonId, Secret};

    #[test]
    fn a_token_is_good_until_it_ends() {
        let token = |ends_ms| Token {
            id: String::new(),
            holder: Holder::Person(PersonId(1)),
            scope: Scope::Read,
            name: String::new(),
            created_ms: 0,
            ends_ms,
        };
        assert!(token(None).is_good(i64::MAX));
        assert!(token(Some(10)).is_good(9));
        assert!(!token(Some(10)).is_good(10));
    }

    #[test]
    fn the_hash_is_sha_256_in_hex() {
        // FIPS 180-4, the example of "abc".
        assert_eq!(
            token_hash(&Secret::new("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(PREFIX.ends_with('_'));
    }

    #[test]
    fn every_scope_is_read_as_it_is_written() {
        for scope in [Scope::Badges, Scope::Read, Scope::Upload, Scope::Write] {
            assert_eq!(Scope::parse(scope.as_str()), Some(scope));
        }
        assert_eq!(Scope::parse("admin"), None);
    }
}
