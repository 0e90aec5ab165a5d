//! Where the output of jobs is kept.

use async_trait::async_trait;

use super::error::Result;
use crate::domain::BuildId;
use crate::protocol::Stream;

/// Which log: one attempt of one job.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LogKey {
    /// The build's id, safe in file names.
    pub build: String,
    /// The job's key, safe in file names.
    pub job: String,
    /// The attempt, from 1.
    pub attempt: u32,
}

/// Whether a part of a key can be the name of a file, and leads nowhere else.
pub fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.len() <= 128
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// A piece of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSlice {
    /// Offset of the first byte in the whole log.
    pub start: u64,
    /// Length of the whole log at this moment, in bytes.
    pub total: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// How much a step has written, in lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepLines {
    /// The step's index.
    pub step: u32,
    /// The number of its last line: an unfinished one counts, and so do those that are left out.
    pub lines: u64,
    /// The first and the last line that are left out.
    pub left_out: Option<(u64, u64)>,
}

/// Some lines of a step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LineSlice {
    /// The number of the first line, from 1.
    pub first: u64,
    /// The number of the step's last line at this moment.
    pub total: u64,
    /// Whole lines with their ends; the step's last one may be unfinished, and a line that is longer than
    /// what was asked for is there with its beginning, alone.
    pub bytes: Vec<u8>,
    /// From this line on, lines began at this time, in unix milliseconds.
    pub times: Vec<(u64, u64)>,
}

/// Appends to one log. Blocking and quick; a caller on an async thread may use it directly.
pub trait LogWriter: Send {
    /// Appends a piece of output. `position` is where it stands in the job (see
    /// [`Running::position`](super::Running::position)): it is kept with the piece, both or neither.
    ///
    /// # Errors
    /// `Transient` when the disk refuses.
    fn append(
        &mut self,
        step: u32,
        stream: Stream,
        unix_ms: u64,
        position: u64,
        bytes: &[u8],
    ) -> Result<()>;
    /// Keeps that the job is so far, without any output.
    ///
    /// # Errors
    /// `Transient` when the disk refuses.
    fn mark(&mut self, position: u64) -> Result<()>;
    /// Makes what was written visible to readers and ends the log.
    ///
    /// # Errors
    /// `Transient` when the disk refuses.
    fn finish(&mut self) -> Result<()>;
}

/// Keeps logs.
#[async_trait]
pub trait LogStore: Send + Sync {
    /// Opens a log for writing, empty.
    ///
    /// # Errors
    /// `Transient` when the disk refuses.
    async fn create(&self, key: &LogKey) -> Result<Box<dyn LogWriter>>;
    /// Goes on with a log whose writer ended without a word; says also the position of the last
    /// piece.
    ///
    /// # Errors
    /// `Gone` when there is no such log, `Transient` when the disk refuses.
    async fn reopen(&self, key: &LogKey) -> Result<(Box<dyn LogWriter>, u64)>;
    /// Reads from `start`, at most `limit` bytes.
    ///
    /// # Errors
    /// `Gone` when there is no such log.
    async fn read(&self, key: &LogKey, start: u64, limit: usize) -> Result<LogSlice>;
    /// Reads what was written from `after` on, at most `limit` bytes. Unlike in [`LogStore::read`]
    /// offsets are of what was written, and stay when the middle of a long log is left out; the slice
    /// begins later than `after` where that is left out.
    ///
    /// # Errors
    /// `Gone` when there is no such log.
    async fn read_written(&self, key: &LogKey, after: u64, limit: usize) -> Result<LogSlice>;
    /// Reads the output of one step, at most `limit` bytes of it.
    ///
    /// # Errors
    /// `Gone` when there is no such log.
    async fn read_step(&self, key: &LogKey, step: u32, limit: usize) -> Result<Vec<u8>>;
    /// How many lines each step has written; steps that wrote nothing are not there.
    ///
    /// # Errors
    /// `Gone` when there is no such log.
    async fn line_counts(&self, key: &LogKey) -> Result<Vec<StepLines>>;
    /// Reads lines of a step, from this one on (counted from 1), at most `limit` bytes. The slice begins
    /// later where lines are left out, and ends where such begin. Lines keep their numbers, also while a
    /// log grows and its middle is left out.
    ///
    /// # Errors
    /// `Gone` when there is no such log.
    async fn read_lines(
        &self,
        key: &LogKey,
        step: u32,
        from: u64,
        limit: usize,
    ) -> Result<LineSlice>;
    /// Deletes the logs of a build. Who reads one goes on to its end.
    ///
    /// # Errors
    /// `Transient` when the disk refuses.
    async fn remove(&self, build: &BuildId) -> Result<()>;
}
