//! Where folders are kept between builds, as archives.

use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::error::Result;
use crate::domain::RepositoryId;

/// Keeps one archive for a key of a repository. What an untrusted build wrote, a trusted one
/// never reads.
#[async_trait]
pub trait Caches: Send + Sync {
    /// The archive of this key, if there is one: for a trusted build of trusted builds only, for an
    /// untrusted one also of untrusted ones. It may be removed at any time to make room; who has
    /// opened it can read it to its end.
    ///
    /// # Errors
    /// `Transient` when the disk refuses.
    async fn find(
        &self,
        repository: &RepositoryId,
        trusted: bool,
        key: &str,
    ) -> Result<Option<PathBuf>>;
    /// Moves an archive here. The first one of a key stays, and what was used the longest ago makes
    /// room.
    ///
    /// # Errors
    /// `Transient` when the disk refuses.
    async fn keep(
        &self,
        repository: &RepositoryId,
        trusted: bool,
        key: &str,
        from: &Path,
    ) -> Result<()>;
    /// Deletes those of a repository.
    ///
    /// # Errors
    /// `Transient` when the disk refuses.
    async fn remove(&self, repository: &RepositoryId) -> Result<()>;
}
