//! Several processes on one database.

use async_trait::async_trait;

use super::error::Result;

/// What processes on one database know of each other. Where one process only can use it, that is alone.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// Says that a process is there now, and how many of those that work were heard of since `since_ms`: at least one.
    async fn appear(&self, name: &str, works: bool, now_ms: i64, since_ms: i64) -> Result<u32>;
    /// Says that a process goes, so that nobody counts on it any more.
    async fn disappear(&self, name: &str) -> Result<()>;
    /// Whether it is for this process to do a task that one is enough for: it is so until `until_ms`, for whoever asks
    /// first and as long as they ask again in time.
    async fn lead(&self, task: &str, name: &str, now_ms: i64, until_ms: i64) -> Result<bool>;
    /// Tells the others that something has changed.
    async fn tell_others(&self) -> Result<()>;
    /// Hears of changes that others tell of; `None` where there can be no others.
    async fn others(&self) -> Result<Option<Box<dyn Others>>>;
}

/// What others tell.
#[async_trait]
pub trait Others: Send {
    /// Waits until something has changed elsewhere.
    ///
    /// # Errors
    /// `Transient` when the connection is gone.
    async fn next(&mut self) -> Result<()>;
}
