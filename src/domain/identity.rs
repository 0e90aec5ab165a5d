//! A job of GitHub Actions that says who it is.

use super::id::{PersonId, Sha};

/// What GitHub has signed about a job ("OpenID Connect reference" in GitHub's documentation of Actions): where it runs
/// and for what. Names are not among it: another repository may have them tomorrow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowIdentity {
    /// GitHub's numeric id of the repository.
    pub repository: i64,
    /// GitHub's numeric id of the repository's owner.
    pub owner: i64,
    /// `GITHUB_SHA`: of a pull request the commit that merges it.
    pub commit: Sha,
    /// `GITHUB_REF`, as in `refs/heads/main` or `refs/pull/7/merge`.
    pub reference: String,
    /// What it runs for, in GitHub's words, as `pull_request`.
    pub event: String,
    /// GitHub's id of the run.
    pub run: i64,
    /// Who caused it.
    pub actor: PersonId,
    /// Whether that is a bot account.
    pub by_bot: bool,
}

impl WorkflowIdentity {
    /// The pull request whose merge commit it runs on.
    pub fn pull(&self) -> Option<i64> {
        let number = self.reference.strip_prefix("refs/pull/")?;
        number.strip_suffix("/merge")?.parse().ok()
    }
}
