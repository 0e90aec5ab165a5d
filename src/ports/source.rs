//! The repository's history and files.

use std::path::Path;

use async_trait::async_trait;

use super::error::Result;
use crate::domain::Secret;

/// A repository that can be fetched.
#[derive(Debug, Clone)]
pub struct Remote {
    /// A stable name of the repository, safe in file names: `[a-z0-9.-]+`.
    pub id: String,
    /// The address to fetch from, without credentials.
    pub url: String,
    /// The token to fetch with, for a repository that is not public.
    pub credential: Option<Secret>,
}

/// One file of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Path with `/`.
    pub path: String,
    /// The id of its content (git's blob id, hex).
    pub blob: String,
}

/// A commit that landed on a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandedCommit {
    /// Its id.
    pub commit: String,
    /// The id of its tree: the same for commits with the same files.
    pub tree: String,
    /// Its first parent.
    pub parent: Option<String>,
    /// The first line of its message. Untrusted text.
    pub subject: String,
    /// The rest of its message, or the beginning of that. Untrusted text.
    pub body: String,
}

/// What merging gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// The commit with the merged tree.
    Clean(String),
    /// The paths that do not merge.
    Conflict(Vec<String>),
}

/// Fetches commits and reads them. Commits are full hex ids.
#[async_trait]
pub trait Source: Send + Sync {
    /// Makes `commit` present, fetching it by its id, else through `refs` (say
    /// `refs/pull/7/head`). Nothing is fetched when it is there already.
    ///
    /// # Errors
    /// `Gone` when the commit is not there, `Denied`, `Transient`.
    async fn fetch(&self, remote: &Remote, commit: &str, refs: &[String]) -> Result<()>;
    /// Where a branch points now; `None` when there is none.
    ///
    /// # Errors
    /// `Gone` when the repository is, `Denied`, `Transient`.
    async fn tip(&self, remote: &Remote, branch: &str) -> Result<Option<String>>;
    /// A commit with the tree that merging `head` into `base` gives. The same two give the same
    /// commit.
    ///
    /// # Errors
    /// `Gone` when one was not fetched, `Refused` when git here cannot merge.
    async fn merge(&self, repository: &str, base: &str, head: &str) -> Result<Merged>;
    /// Writes the files of a fetched commit into an empty folder, without credentials.
    ///
    /// # Errors
    /// `Gone` when the commit was not fetched, `Transient` when the disk refuses.
    async fn checkout(&self, repository: &str, commit: &str, into: &Path) -> Result<()>;
    /// The files of a fetched commit.
    ///
    /// # Errors
    /// `Gone` when the commit was not fetched.
    async fn tree(&self, repository: &str, commit: &str) -> Result<Vec<TreeEntry>>;
    /// One file of a fetched commit; `None` when it is not there.
    ///
    /// # Errors
    /// `Gone` when the commit was not fetched.
    async fn file(&self, repository: &str, commit: &str, path: &str) -> Result<Option<Vec<u8>>>;
    /// The newest common ancestor; `None` when there is none, or not within what was fetched.
    ///
    /// # Errors
    /// `Gone` when one was not fetched.
    async fn merge_base(&self, repository: &str, a: &str, b: &str) -> Result<Option<String>>;
    /// The unified diff from `base` to `head`, with no context lines.
    ///
    /// # Errors
    /// `Gone` when one was not fetched.
    async fn diff(&self, repository: &str, base: &str, head: &str) -> Result<String>;
    /// Paths that differ between the two commits, both sides of a rename.
    ///
    /// # Errors
    /// `Gone` when one was not fetched.
    async fn changed_paths(&self, repository: &str, base: &str, head: &str) -> Result<Vec<String>>;
    /// The commits that lead to this one and itself, the newest first, at most so many.
    async fn ancestors(&self, repository: &str, commit: &str, most: usize) -> Result<Vec<String>>;
    /// The commits along first parents that lead to `commit` and not to `without`, the newest first, at most so many.
    ///
    /// # Errors
    /// `Gone` when one was not fetched.
    async fn landed(
        &self,
        repository: &str,
        commit: &str,
        without: &str,
        most: usize,
    ) -> Result<Vec<LandedCommit>>;
    /// The id of a commit's tree.
    ///
    /// # Errors
    /// `Gone` when it was not fetched.
    async fn tree_of(&self, repository: &str, commit: &str) -> Result<String>;
    /// How many commits lead to `other` and not to `commit`, as far as fetched.
    ///
    /// # Errors
    /// `Gone` when one was not fetched.
    async fn ahead(&self, repository: &str, commit: &str, other: &str) -> Result<u64>;
    /// How many commits lead to `commit`, as far as fetched.
    ///
    /// # Errors
    /// `Gone` when it was not fetched.
    async fn commit_count(&self, repository: &str, commit: &str) -> Result<u64>;
    /// The repositories of which commits were fetched that have one of these names in their author, committer or message.
    ///
    /// # Errors
    /// `Transient` when git fails.
    async fn naming(&self, names: &[String]) -> Result<Vec<String>>;
    /// Deletes all that was fetched of a repository.
    ///
    /// # Errors
    /// `Transient` when the disk refuses.
    async fn remove(&self, repository: &str) -> Result<()>;
}
