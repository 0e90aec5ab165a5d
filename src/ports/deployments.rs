//! What was deployed where.

use async_trait::async_trait;

use super::error::Result;
use crate::domain::{DeployedJob, Environment, RepositoryId};

/// Jobs that have deployed, or do. A part of the store.
#[async_trait]
pub trait Deployments: Send + Sync {
    /// Deployments of a repository that have begun, the newest first: all, or those to one environment, whatever the case of
    /// its name; those that began before this moment (unix milliseconds).
    async fn deployments(
        &self,
        repository: &RepositoryId,
        environment: Option<&str>,
        before_ms: i64,
        limit: i64,
    ) -> Result<Vec<DeployedJob>>;
    /// The environments of a repository, in the order of their names, at most 50.
    async fn environments(&self, repository: &RepositoryId) -> Result<Vec<Environment>>;
}
