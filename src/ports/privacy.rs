//! What is known of one person, and taking it out.

use async_trait::async_trait;
use serde::Serialize;

use super::error::Result;
use crate::domain::PersonId;
use crate::text::traces::Traces;

/// A person, by all that they are known by.
#[derive(Debug, Clone)]
pub struct Person {
    /// GitHub's number of them, where the operator knows it.
    pub id: Option<PersonId>,
    /// Their login, addresses and other names.
    pub traces: Traces,
}

/// One place in the database where a person is named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The table.
    pub table: &'static str,
    /// What tells the row from others, as in `repository=github.com/1 number=7`.
    pub row: String,
    /// The column.
    pub column: &'static str,
    /// What stands there: the whole of a short text, what is around each name of a long one.
    pub text: Vec<String>,
}

/// What was taken out of the database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Erased {
    /// How many rows were changed or dropped.
    pub rows: u64,
    /// What has to stay, in words for the operator.
    pub left: Vec<String>,
}

/// The database's part.
#[async_trait]
pub trait Privacy: Send + Sync {
    /// Every place in the database where the person is named.
    async fn find_person(&self, person: &Person) -> Result<Vec<Row>>;
    /// Takes the person out of every row, in small steps.
    ///
    /// # Errors
    /// `Refused` where the App is installed on their account: then it is theirs to uninstall.
    async fn erase_person(&self, person: &Person) -> Result<Erased>;
    /// Writes the database anew, so that nothing is left of what was in it before. Whoever writes waits meanwhile.
    async fn compact(&self) -> Result<()>;
}

/// One file in which a person is named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NamedIn {
    /// Its path below the data directory.
    pub path: String,
    /// How often.
    pub times: u64,
    /// The lines of a text, at most a hundred.
    pub lines: Vec<String>,
}

/// What was taken out of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Blanked {
    /// Files in which names were written over.
    pub files: u64,
    /// Files that went as a whole: archives, whose content is compressed, and caches.
    pub removed: u64,
}

/// The files' part: logs, artifacts, caches, uploads.
#[async_trait]
pub trait Files: Send + Sync {
    /// Every file in which the person is named, in the order of their paths.
    ///
    /// # Errors
    /// `Transient` when the disk refuses.
    async fn find(&self, traces: &Traces) -> Result<Vec<NamedIn>>;
    /// Takes the person out of every file.
    ///
    /// # Errors
    /// `Transient` when the disk refuses.
    async fn erase(&self, traces: &Traces) -> Result<Blanked>;
}
