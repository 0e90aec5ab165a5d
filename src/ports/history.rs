//! Every run of every test.

use async_trait::async_trait;

use super::error::Result;
use crate::domain::RepositoryId;
use crate::domain::history::Attempted;

/// What the tests of jobs did. A part of the store.
#[async_trait]
pub trait TestHistory: Send + Sync {
    /// The numbers of tests in their repository, in the order of these ids; those that are new get one.
    async fn test_numbers(&self, repository: &RepositoryId, ids: Vec<String>) -> Result<Vec<u32>>;
    /// What a job of this name (with the values of a matrix) did last, the newest first.
    async fn past_attempts(
        &self,
        repository: &RepositoryId,
        job: &str,
        limit: i64,
    ) -> Result<Vec<Attempted>>;
    /// Keeps how the tests of an attempt did; of the same attempt, what was said last.
    async fn keep_attempt(
        &self,
        repository: &RepositoryId,
        job: &str,
        attempted: Attempted,
    ) -> Result<()>;
}
