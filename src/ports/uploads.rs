//! What the use cases keep about uploads, and where the bytes of them are.

use std::path::PathBuf;

use async_trait::async_trait;

use super::error::Result;
use crate::domain::upload::Kept;
use crate::domain::{Build, BuildId, ReportPart, ReportSet, RepositoryId, Sha, Upload};

/// What is kept about uploads.
#[async_trait]
pub trait Uploads: Send + Sync {
    /// Keeps an upload of which nothing is there yet. `false` when the repository has `most` of them already.
    async fn begin_upload(&self, upload: &Upload, most: u32, now_ms: i64) -> Result<bool>;
    /// An upload of a repository that is being received, or was lately.
    async fn upload(&self, repository: &RepositoryId, id: &str) -> Result<Option<Upload>>;
    /// So many bytes are on disk for good, where it was `from` before. `false` when it was not.
    async fn note_received(&self, id: &str, from: u64, to: u64, now_ms: i64) -> Result<bool>;
    /// All of an upload is on disk: it becomes a part of its set; the same as was there before only where that is to be
    /// there `anew`. `sha256`: of its bytes, in hex.
    async fn keep_part(
        &self,
        upload: &Upload,
        sha256: &str,
        anew: bool,
        now_ms: i64,
    ) -> Result<Kept>;
    /// Forgets an upload that is no part of anything.
    async fn drop_upload(&self, id: &str) -> Result<()>;
    /// A set with its parts.
    async fn report_set(&self, id: &str) -> Result<Option<ReportSet>>;
    /// The newest build of a set's commit with this key of its specification.
    async fn build_of_set(&self, set: &ReportSet, specification: &str) -> Result<Option<Build>>;
    /// Has the sets prepared that are due, at most so many, and says how many there were.
    async fn publish_sets(&self, now_ms: i64, limit: i64) -> Result<u64>;
    /// Whether a build reads uploaded reports that are not kept any more.
    async fn reports_are_let_go(&self, build: &BuildId) -> Result<bool>;
    /// Whether a commit was heard of as the head of a pull request.
    async fn was_head(&self, repository: &RepositoryId, pull: i64, commit: &Sha) -> Result<bool>;
    /// Forgets uploads that nothing was heard of since `unfinished_ms` and the parts of sets whose last one came before
    /// `parts_ms`, sets altogether before `sets_ms` (all in unix milliseconds), at most `limit` of each; says how many.
    async fn drop_uploads(
        &self,
        unfinished_ms: i64,
        parts_ms: i64,
        sets_ms: i64,
        limit: i64,
    ) -> Result<u64>;
    /// Which of these uploads are being received or are parts of a set.
    async fn known_uploads(&self, ids: &[String]) -> Result<Vec<String>>;
    /// Whether this is still a part of the set.
    async fn is_part(&self, set: &str, part: &ReportPart) -> Result<bool>;
}

/// Nobody else writes to an upload, in whatever process, as long as this lives.
pub struct Held(
    /// What is let go with it.
    pub Box<dyn Send + Sync>,
);

/// Where the bytes of uploads are.
#[async_trait]
pub trait UploadFiles: Send + Sync {
    /// Holds an upload's file, which is made when it is not there; `None` when somebody else does.
    ///
    /// # Errors
    /// `Transient` when the disk refuses.
    async fn hold(&self, upload: &str) -> Result<Option<Held>>;
    /// Writes bytes at a place of an upload's file, which is made when it is not there.
    ///
    /// # Errors
    /// `Transient` when the disk refuses.
    async fn write(&self, upload: &str, at: u64, bytes: bytes::Bytes) -> Result<()>;
    /// Makes what was written durable.
    ///
    /// # Errors
    /// `Transient` when the disk refuses.
    async fn sync(&self, upload: &str) -> Result<()>;
    /// Ends the file after so many bytes, durably, and says SHA-256 of them, in hex.
    ///
    /// # Errors
    /// `Gone` when there is no such file, or it has fewer.
    async fn close(&self, upload: &str, length: u64) -> Result<String>;
    /// Where the file is.
    ///
    /// # Errors
    /// `Refused` when that is no id of an upload.
    fn path(&self, upload: &str) -> Result<PathBuf>;
    /// Deletes a file; one that is not there is deleted.
    ///
    /// # Errors
    /// `Transient` when the disk refuses.
    async fn remove(&self, upload: &str) -> Result<()>;
    /// The uploads that have files.
    ///
    /// # Errors
    /// `Transient` when the disk refuses.
    async fn list(&self) -> Result<Vec<String>>;
}
