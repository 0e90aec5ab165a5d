//! GitHub Actions, as far as the use cases need it.

use std::path::Path;

use async_trait::async_trait;

use super::error::Result;
use crate::domain::{PullRequest, Repository, Sha, WorkflowRun};

/// An artifact of a run, as GitHub lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedArtifact {
    /// GitHub's id of it.
    pub id: i64,
    /// Its name: untrusted text.
    pub name: String,
    /// How many bytes it is said to have.
    pub bytes: u64,
    /// Whether GitHub has deleted what was in it.
    pub is_expired: bool,
}

/// Runs of workflows and their artifacts.
#[async_trait]
pub trait Workflows: Send + Sync {
    /// The runs of a workflow for a commit, the newest first, each as its newest attempt is.
    ///
    /// # Errors
    /// As the kinds say.
    async fn runs(
        &self,
        repository: &Repository,
        workflow: i64,
        commit: &Sha,
    ) -> Result<Vec<WorkflowRun>>;
    /// The artifacts of a run, of all its attempts, the newest first.
    ///
    /// # Errors
    /// As the kinds say.
    async fn artifacts(&self, repository: &Repository, run: i64) -> Result<Vec<ListedArtifact>>;
    /// Writes an artifact, a zip archive, into a file that is not there yet.
    ///
    /// # Errors
    /// `Refused` when it has more than `most` bytes; then there is no file. `Gone` when it has expired.
    async fn download(
        &self,
        repository: &Repository,
        artifact: i64,
        into: &Path,
        most: u64,
    ) -> Result<()>;
    /// Pull requests, open or not, from this branch of this owner's repository, the newest first, at most 100.
    ///
    /// # Errors
    /// As the kinds say.
    async fn pulls_from(
        &self,
        repository: &Repository,
        owner: &str,
        branch: &str,
    ) -> Result<Vec<PullRequest>>;
}
