//! What the use cases keep about reports that come from elsewhere.

use async_trait::async_trait;

use super::error::Result;
use super::store::Claim;
use crate::domain::{BuildId, RepositoryId, Sha, Trigger};

/// What is kept about reports that come from elsewhere.
#[async_trait]
pub trait Imports: Send + Sync {
    /// The next job that reads them, leased to `worker` until `lease_ms`. Such jobs take no place where others run.
    async fn claim_import(&self, worker: &str, now_ms: i64, lease_ms: i64)
    -> Result<Option<Claim>>;
    /// Whether there is a build of reports from where those of a trigger come from, of whatever commit.
    async fn is_import_known(&self, trigger: &Trigger) -> Result<bool>;
    /// Builds of the same commit and of other origins that have ended, the newest of each.
    async fn beside(&self, build: &BuildId) -> Result<Vec<BuildId>>;
    /// Pull requests whose newest head, as far as was heard, is this one; the newest first.
    async fn pulls_with_head(&self, repository: &RepositoryId, head: &Sha) -> Result<Vec<i64>>;
}
