//! What people did, for the audit log.

use super::id::{PersonId, RepositoryId};

/// Something that somebody did who may. It is kept together with what follows from it, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// Who.
    pub by: Doer,
    /// What, in the words of the audit log: `approve`, `rerun`, `cancel`, `secret set`, …
    pub what: &'static str,
    /// In which repository, where it was in one.
    pub repository: Option<RepositoryId>,
    /// What of it: `build 12`, `pull request 7`, the name of a secret, the id of a token.
    pub subject: String,
}

impl Deed {
    /// What the operator did.
    pub fn of_operator(
        what: &'static str,
        repository: Option<RepositoryId>,
        subject: impl Into<String>,
    ) -> Self {
        Self {
            by: Doer::Operator,
            what,
            repository,
            subject: subject.into(),
        }
    }
}

/// Who does something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doer {
    /// Whoever may use the server's data directory.
    Operator,
    /// A person, by GitHub's numeric id.
    Person(PersonId),
    /// Whoever has the token of a repository, by the token's id.
    Token(String),
}

/// A deed as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptDeed {
    /// When, in unix milliseconds.
    pub at_ms: i64,
    /// Who.
    pub by: Doer,
    /// What.
    pub what: String,
    /// The repository as it is called now, or its id when it is not known any more.
    pub repository: Option<String>,
    /// What of it.
    pub subject: String,
}
