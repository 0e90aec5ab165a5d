//! The audit log: what people did.

use async_trait::async_trait;

use super::error::Result;
use crate::domain::{Deed, KeptDeed};

/// Keeps what people did. Deeds with consequences are kept with those, as [`crate::domain::Change::Note`].
#[async_trait]
pub trait Audit: Send + Sync {
    /// Keeps a deed that nothing else follows from.
    async fn note(&self, deed: &Deed, now_ms: i64) -> Result<()>;
    /// Deeds, the newest first, at most so many.
    async fn deeds(&self, limit: i64) -> Result<Vec<KeptDeed>>;
    /// Drops deeds older than that moment, at most so many, and says how many.
    async fn drop_deeds(&self, before_ms: i64, limit: i64) -> Result<u64>;
}
