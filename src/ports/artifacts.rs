//! Where files that builds leave for people are kept.

use std::path::Path;

use async_trait::async_trait;

use super::error::Result;
use super::logs::{LogKey, LogSlice};
use crate::domain::BuildId;

/// Keeps files of attempts of jobs, by the key of their log and their path in the workspace.
#[async_trait]
pub trait Artifacts: Send + Sync {
    /// Moves a file here, over one of the same path.
    ///
    /// # Errors
    /// `Refused` for a path that leads out of its place, `Transient` when the disk refuses.
    async fn keep(&self, key: &LogKey, path: &str, from: &Path) -> Result<()>;
    /// Reads from `start`, at most `limit` bytes.
    ///
    /// # Errors
    /// `Gone` when there is no such file.
    async fn read(&self, key: &LogKey, path: &str, start: u64, limit: usize) -> Result<LogSlice>;
    /// Deletes those of a build.
    ///
    /// # Errors
    /// `Transient` when the disk refuses.
    async fn remove(&self, build: &BuildId) -> Result<()>;
}
