//! Builds whose jobs have ended, and that are not called anything yet.

use async_trait::async_trait;

use super::error::Result;
use crate::domain::{BuildId, BuildView, Judgement, RepositoryId};

/// What is said of builds as a whole. A part of the store.
#[async_trait]
pub trait Judging: Send + Sync {
    /// Builds that are due to be judged, those that wait longest first.
    async fn unjudged(&self, now_ms: i64, limit: i64) -> Result<Vec<BuildId>>;
    /// Judging did not succeed, and is tried again at `due_ms`.
    async fn postpone_judging(&self, build: &BuildId, due_ms: i64) -> Result<()>;
    /// Keeps what is said of this attempt of a build, and ends it. Nothing happens to a build that was judged already, or that
    /// has become another one since it was looked at: that is judged again.
    async fn judge(&self, view: &BuildView, judgement: &Judgement, now_ms: i64) -> Result<()>;
    /// The branches whose push led to a build.
    async fn pushed_to(&self, build: &BuildId) -> Result<Vec<String>>;
    /// Builds of these commits and this origin ([`crate::domain::Preparation::origin`]) that ran to their end and whose
    /// code came from the repository itself, in the order of the commits, the newest of each.
    async fn built(
        &self,
        repository: &RepositoryId,
        origin: &str,
        commits: &[String],
    ) -> Result<Vec<BuildId>>;
}
