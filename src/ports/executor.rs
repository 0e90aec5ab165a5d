//! Where jobs run.
//!
//! An executor carries out one job at a time in a place of its own (a sandboxed process, a
//! container, a service) through the runner, and reports what happens as a stream of events. It
//! knows nothing of builds, verdicts or GitHub. What it passes on from the runner is untrusted.

use std::path::PathBuf;

use async_trait::async_trait;

use super::error::Result;
use crate::protocol::{CollectKind, Exit, Job, Stream};

/// One job to carry out.
#[derive(Debug, Clone)]
pub struct JobOrder {
    /// A unique name of this attempt, safe in file names: `[a-z0-9-]+`.
    pub id: String,
    /// The checkout of the commit on the server's disk, owned by this attempt. The steps run in
    /// it or in a copy of it.
    pub workspace: PathBuf,
    /// An empty folder of this attempt's own for `HOME`, `TMPDIR` and the like.
    pub scratch: PathBuf,
    /// The container image, where the executor has images.
    pub image: Option<String>,
    /// What the runner is told. Its `workspace` is replaced by the path that the steps see.
    pub job: Job,
}

/// What happens in a running job, in order.
#[derive(Debug)]
pub enum JobEvent {
    /// The runner has accepted the job.
    Started,
    /// Words from the executor to the reader of the log.
    Note(String),
    /// A step began.
    StepStarted {
        /// The step's index in the order.
        step: u32,
        /// When, in unix milliseconds by the runner's clock.
        unix_ms: u64,
    },
    /// A piece of a step's output.
    Output {
        /// The step's index in the order.
        step: u32,
        /// Which of its two streams.
        stream: Stream,
        /// When it was read, in unix milliseconds by the runner's clock.
        unix_ms: u64,
        /// The bytes as they came: any encoding, not cut to lines.
        bytes: Vec<u8>,
    },
    /// A step ended.
    StepFinished {
        /// The step's index in the order.
        step: u32,
        /// How it ended.
        exit: Exit,
        /// How long it ran, in milliseconds.
        duration_ms: u64,
    },
    /// A collected file, complete, in the executor's own temporary place; the receiver may move
    /// it, and what is left there is deleted when the job's [`Running`] is dropped.
    File {
        /// What it was collected as.
        kind: CollectKind,
        /// Its path in the workspace, with `/`, without `..`.
        path: String,
        /// Where its bytes are now.
        stored: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// The job is over; nothing follows.
    Finished(JobEnd),
}

/// How a job ended, apart from its steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnd {
    /// Every step that was due has run or was skipped after a failure.
    Done,
    /// The job's own time-out struck.
    TimedOut,
    /// It was cancelled.
    Cancelled,
    /// The executor lost it, in words that read after "Herald could not finish: ".
    Lost(String),
}

/// A job that runs.
#[async_trait]
pub trait Running: Send {
    /// The next event; `None` after [`JobEvent::Finished`]. Cancel-safe: a dropped call loses
    /// nothing.
    async fn next(&mut self) -> Option<JobEvent>;
    /// Asks the job to end now. `after` steps still run; `Finished` still follows.
    async fn cancel(&mut self, reason: &str);
}

/// A place where jobs run. Dropping a [`Running`] ends the job and everything it started.
#[async_trait]
pub trait Executor: Send + Sync {
    /// Its name as configured: `process`, `docker`, `swarm`.
    fn name(&self) -> &'static str;
    /// Whether code of strangers may run in it.
    fn isolates(&self) -> bool;
    /// Starts a job.
    ///
    /// # Errors
    /// `Refused` when the order cannot be carried out here (say, no bubblewrap), with the way
    /// out; `Transient` when it may work later.
    async fn start(&self, order: JobOrder) -> Result<Box<dyn Running>>;
}
