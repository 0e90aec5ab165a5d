//! Where jobs run.
//!
//! An executor carries out one job at a time in a place of its own (a sandboxed process, a
//! container, a service) through the runner, and reports what happens as a stream of events. It
//! knows nothing of builds, verdicts or GitHub. What it passes on from the runner is untrusted.

use std::path::PathBuf;

use async_trait::async_trait;

use super::error::Result;
use crate::protocol::{CollectKind, Exit, Job, Stream};
pub use crate::spec::{Network, Probe, Ready as Readiness, Resources, Service as ServiceOrder};

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
    /// What it is for, as names and labels of containers tell it.
    pub purpose: Purpose,
    /// What it may use of the machine.
    pub resources: Resources,
    /// Its way to the network.
    pub network: Network,
    /// Ports of the job's container that are reachable from outside while it runs, by name
    /// (`[a-z0-9_-]+`); the steps learn the address in `HERALD_PORT_<NAME>`.
    pub ports: Vec<(String, u16)>,
    /// Containers beside the job's own, reachable by their names.
    pub services: Vec<ServiceOrder>,
    /// The images that may be fetched with the operator's registry login; `None` is any. Others
    /// are fetched without one.
    pub login_images: Option<Vec<String>>,
    /// The archive of the folders kept between builds that the job begins with; it may have gone
    /// since.
    pub cache: Option<PathBuf>,
    /// What the runner is told. Its `workspace` is replaced by the path that the steps see.
    pub job: Job,
}

/// What a job is for. None of it is trusted text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purpose {
    /// The repository's owner.
    pub owner: String,
    /// The repository's name.
    pub repository: String,
    /// The pull request that is built.
    pub pull_request: Option<u64>,
    /// The branch or tag that is built.
    pub branch: Option<String>,
    /// The build's number.
    pub build: Option<i64>,
    /// The commit that is tested.
    pub commit: String,
    /// The installation of the App.
    pub installation: Option<i64>,
}

/// What an executor can do beside running steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is asked for on its own, by the key of the specification that needs it"
)]
pub struct Abilities {
    /// It runs jobs in container images, and needs one.
    pub images: bool,
    /// It starts `services`.
    pub services: bool,
    /// It makes `ports` reachable.
    pub ports: bool,
    /// It carries out `network: none`.
    pub network_none: bool,
}

/// What happens in a running job, in order.
#[derive(Debug)]
pub enum JobEvent {
    /// The image that the job runs in, pinned: `name@sha256:…`, or its id where it has no digest.
    Image(String),
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
        /// The step that wrote it last, where that is known.
        step: Option<u32>,
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

/// How far a job was when the server that watched it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// The position of the last event that is safe: see [`Running::position`].
    pub position: u64,
    /// Steps that have begun.
    pub begun: Vec<u32>,
    /// Steps that have ended.
    pub over: Vec<u32>,
}

/// A job that runs.
#[async_trait]
pub trait Running: Send {
    /// The next event; `None` after [`JobEvent::Finished`]. Cancel-safe: a dropped call loses
    /// nothing. Who asks for the next event says that the one before is safe.
    async fn next(&mut self) -> Option<JobEvent>;
    /// Where the last event stands in the job, growing; for [`Executor::attach`]. Always 0 where
    /// that is not possible.
    fn position(&self) -> u64 {
        0
    }
    /// Lets the job run on without a server, to be attached to later; `false` where that is not
    /// possible, and dropping it will end it.
    fn leave(&mut self) -> bool {
        false
    }
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
    /// What it can do beside running steps.
    fn abilities(&self) -> Abilities;
    /// Whether it keeps jobs to their [`Resources`].
    fn limits(&self) -> bool {
        self.isolates()
    }
    /// Starts a job.
    ///
    /// # Errors
    /// `Refused` when the order cannot be carried out here (say, no bubblewrap), with the way
    /// out; `Transient` when it may work later; `Gone` and `Denied` when who wrote the order named
    /// something that is not there, or not given (an image).
    async fn start(&self, order: JobOrder) -> Result<Box<dyn Running>>;
    /// Goes on with a job that runs since before the server was started; `None` when it does not
    /// run any more, or cannot be met again.
    ///
    /// # Errors
    /// `Transient` when that cannot be told now.
    async fn attach(
        &self,
        _order: JobOrder,
        _progress: &Progress,
    ) -> Result<Option<Box<dyn Running>>> {
        Ok(None)
    }
    /// Removes what was left behind by jobs other than those that run and those with the ids
    /// `keep`.
    ///
    /// # Errors
    /// `Transient` when not all of it could be removed now.
    async fn sweep(&self, _keep: &[String]) -> Result<()> {
        Ok(())
    }
}
