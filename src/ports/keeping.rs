//! Letting go of what is old, and of what belongs to nobody any more. Each call is a small step, so that
//! whoever writes beside it waits for moments only.

use async_trait::async_trait;

use super::error::Result;
use crate::domain::{BuildId, RepositoryId};

/// A build that has ended, in the order in which builds ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// When, in unix milliseconds.
    pub finished_ms: i64,
    /// Its id.
    pub build: BuildId,
}

/// A step of forgetting a repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Forgotten {
    /// How many rows went; 0 when nothing is left of it.
    pub rows: u64,
    /// Builds whose rows are still there: their files go first.
    pub builds: Vec<BuildId>,
    /// Whether a build is not over yet: the rest goes when it is.
    pub waits: bool,
}

/// What the store lets go.
#[async_trait]
pub trait Keeping: Send + Sync {
    /// Drops deliveries that came before that moment and do not wait; at most so many, and says how many.
    async fn drop_deliveries(&self, before_ms: i64, limit: i64) -> Result<u64>;
    /// Builds that ended after `after` and before that moment, in that order, at most so many.
    async fn ended_builds(&self, after: &Ended, before_ms: i64, limit: i64) -> Result<Vec<Ended>>;
    /// Those of these builds that nothing shows any more: neither is one the last of a branch, nor does an environment
    /// have what one has deployed.
    async fn dispensable(&self, builds: &[BuildId]) -> Result<Vec<BuildId>>;
    /// Drops builds with all that is known of them, unless one has begun anew, and says how many.
    async fn drop_builds(&self, builds: &[BuildId]) -> Result<u64>;
    /// Drops what belongs to no build, is over, and older than that moment; at most so many of each kind, and says how many.
    async fn drop_of_nobody(&self, before_ms: i64, limit: i64) -> Result<u64>;
    /// A repository that the App was taken out of before that moment.
    async fn abandoned(&self, before_ms: i64) -> Result<Option<RepositoryId>>;
    /// Drops rows of a repository that the App was taken out of before that moment; when its builds are gone, the rest.
    async fn forget(
        &self,
        repository: &RepositoryId,
        before_ms: i64,
        limit: i64,
    ) -> Result<Forgotten>;
    /// Drops installations that were removed before that moment and have no repositories left, and says how many.
    async fn forget_installations(&self, before_ms: i64) -> Result<u64>;
}
