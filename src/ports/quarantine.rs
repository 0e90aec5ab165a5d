//! Tests whose failures do not count for a while.

use async_trait::async_trait;

use super::error::Result;
use crate::domain::quarantine::Quarantined;
use crate::domain::{BuildId, RepositoryId};

/// What people put away. A part of the store.
#[async_trait]
pub trait Quarantines: Send + Sync {
    /// Tests that people put away until later than now; those first that come back first.
    async fn quarantined(&self, repository: &RepositoryId, now_ms: i64)
    -> Result<Vec<Quarantined>>;
    /// The newest build of a subject (`Occasion::subject`).
    async fn newest_of(&self, repository: &RepositoryId, subject: &str) -> Result<Option<BuildId>>;
}
