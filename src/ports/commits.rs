//! Where a commit belongs, as GitHub says.

use async_trait::async_trait;

use super::error::Result;
use crate::domain::{PullRequest, Repository, Sha, WorkflowRun};

/// A commit, as GitHub shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownCommit {
    /// What it stands on, in order.
    pub parents: Vec<Sha>,
    /// Whether a bot account wrote it.
    pub by_bot: bool,
    /// When it was made, in unix milliseconds, by the clock of who made it.
    pub committed_ms: Option<i64>,
}

/// Questions about commits.
#[async_trait]
pub trait Commits: Send + Sync {
    /// GitHub's numeric id of the owner of a repository.
    ///
    /// # Errors
    /// As the kinds say.
    async fn owner(&self, repository: &Repository) -> Result<i64>;
    /// A commit that can be read in the repository: GitHub shows those of its forks too.
    ///
    /// # Errors
    /// `Gone` when there is none.
    async fn commit(&self, repository: &Repository, commit: &Sha) -> Result<ShownCommit>;
    /// Whether a branch has a commit.
    ///
    /// # Errors
    /// `Gone` when there is no such branch or commit.
    async fn is_on(&self, repository: &Repository, branch: &str, commit: &Sha) -> Result<bool>;
    /// The branches whose head it is.
    ///
    /// # Errors
    /// As the kinds say.
    async fn branches_at(&self, repository: &Repository, commit: &Sha) -> Result<Vec<String>>;
    /// Pull requests that have the commit.
    ///
    /// # Errors
    /// As the kinds say.
    async fn pulls_of(&self, repository: &Repository, commit: &Sha) -> Result<Vec<PullRequest>>;
    /// A run of a workflow, as its newest attempt is.
    ///
    /// # Errors
    /// `Gone` when there is none.
    async fn run(&self, repository: &Repository, id: i64) -> Result<WorkflowRun>;
}
