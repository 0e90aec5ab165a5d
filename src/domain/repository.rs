//! Installations, repositories and pull requests as Herald knows them.

use serde::{Deserialize, Serialize};

use super::id::{InstallationId, PersonId, RepositoryId, Sha};

/// An installation of the App on an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installation {
    /// The GitHub host it is on, as in `github.com`.
    pub host: String,
    /// GitHub's id of it.
    pub id: InstallationId,
    /// The numeric id of the account.
    pub account: PersonId,
    /// The account's name at this time.
    pub login: String,
    /// Whether its repositories were selected by hand, and not "all repositories".
    pub selected_by_hand: bool,
}

/// A repository that the App is installed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Host and numeric id.
    pub id: RepositoryId,
    /// The installation through which we reach it.
    pub installation: InstallationId,
    /// The owner's name at this time.
    pub owner: String,
    /// The repository's name at this time.
    pub name: String,
    /// Whether it is not public (private or internal).
    pub private: bool,
    /// The default branch, without `refs/heads/`; empty as long as nobody has told of it.
    pub default_branch: String,
}

impl Repository {
    /// `owner/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }
}

/// A pull request at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// Its number in the base repository.
    pub number: i64,
    /// The commit to build.
    pub head: Sha,
    /// The head branch's name, as the author chose it: untrusted text.
    pub head_ref: String,
    /// The repository that the head lives in; `None` when that fork was deleted.
    pub head_repository: Option<RepositoryId>,
    /// The commit that the base branch points at.
    pub base: Sha,
    /// The base branch's name.
    pub base_ref: String,
    /// Who opened it.
    pub author: PersonId,
    /// Whether the author is a bot account.
    pub author_is_bot: bool,
    /// When GitHub last changed it, in unix milliseconds: tells an old delivery from a new one.
    pub updated_ms: i64,
}
