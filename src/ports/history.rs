//! Every run of every test.

use async_trait::async_trait;

use super::error::Result;
use crate::domain::RepositoryId;
use crate::domain::history::{Attempted, KnownTest, Packed, TestName};

/// Which attempts of a job are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Back<'a> {
    /// The name of the job, with the values of a matrix.
    pub job: &'a str,
    /// Only those of builds with lower numbers.
    pub before: i64,
    /// At most so many.
    pub attempts: i64,
    /// No more, once they have so many bytes of runs together.
    pub bytes: usize,
}

/// What the tests of jobs did. A part of the store.
#[async_trait]
pub trait TestHistory: Send + Sync {
    /// The numbers of tests in their repository, in this order; those that are new get one. What they are called, and
    /// that they were seen, is written down where that was not done for a month.
    async fn test_numbers(
        &self,
        repository: &RepositoryId,
        tests: &[TestName],
        now_ms: i64,
    ) -> Result<Vec<u32>>;
    /// The tests of these ids that have a number, in any order.
    async fn known_tests(&self, repository: &RepositoryId, ids: &[&str]) -> Result<Vec<KnownTest>>;
    /// The tests of these numbers, in any order.
    async fn tests_of_numbers(
        &self,
        repository: &RepositoryId,
        numbers: &[u32],
    ) -> Result<Vec<KnownTest>>;
    /// The names of the jobs of which there are attempts, the first `limit` in the order of letters.
    async fn jobs_with_tests(&self, repository: &RepositoryId, limit: usize)
    -> Result<Vec<String>>;
    /// What a job of this name (with the values of a matrix) did last, the newest first.
    async fn past_attempts(
        &self,
        repository: &RepositoryId,
        job: &str,
        limit: i64,
    ) -> Result<Vec<Attempted>>;
    /// The same as it is kept.
    async fn packed_attempts(
        &self,
        repository: &RepositoryId,
        back: Back<'_>,
    ) -> Result<Vec<Packed>>;
    /// Keeps how the tests of an attempt did; of the same attempt, what was said last.
    async fn keep_attempt(
        &self,
        repository: &RepositoryId,
        job: &str,
        attempted: Attempted,
    ) -> Result<()>;
    /// Drops attempts older than that, the oldest first, and when there are none, tests that were not seen since then:
    /// `limit` of them at most, so that no writer waits for long. Says how many; none are left when that is 0.
    async fn drop_history(&self, before_ms: i64, limit: i64) -> Result<u64>;
}
