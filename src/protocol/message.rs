//! What the two sides say to one another.
//!
//! The runner says [`FromRunner::Hello`]; the server answers with one [`ToRunner::Job`], the
//! archives that it announces and, if need be, [`ToRunner::Cancel`]. The runner reports each step
//! in order, then the collected files, then [`FromRunner::Finished`], after which nothing follows.
//!
//! Where the connection may break, the runner keeps what it said until [`ToRunner::Ack`], and says
//! it again after [`ToRunner::Resume`]. Files are not kept: after a break they are collected again.

use serde::{Deserialize, Serialize};

use super::frame::ProtocolError;

/// The version of the protocol. Both sides must speak the same.
pub const PROTOCOL: u32 = 2;

/// The runner's first words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version of the protocol that it speaks.
    pub protocol: u32,
    /// The version of Herald that it was built from.
    pub version: String,
}

/// Whether the server can talk to this runner.
///
/// # Errors
/// `Version` when it cannot.
pub fn check_hello(hello: &Hello) -> Result<(), ProtocolError> {
    if hello.protocol == PROTOCOL {
        return Ok(());
    }
    Err(ProtocolError::Version {
        expected: PROTOCOL,
        found: hello.protocol,
        version: hello
            .version
            .chars()
            .filter(|c| !c.is_control())
            .take(40)
            .collect(),
    })
}

/// From the server to the runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub enum ToRunner {
    /// Carry this out.
    Job(Box<Job>),
    /// A tar archive begins: the job's `archives`, in their order, before it is started.
    Archive(ArchiveKind),
    /// Bytes of the archive; as its own kind of frame, without JSON.
    #[serde(skip)]
    Chunk {
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The archive ends.
    ArchiveEnd,
    /// End the job now; `after` steps still run.
    Cancel {
        /// Why, for the log.
        reason: String,
    },
    /// Everything up to this message is safe; it need not be kept any more.
    Ack {
        /// The message's number.
        number: u64,
    },
    /// The first word on a new connection to a runner that has been at work before. It answers with
    /// the bytes of `mark`, then goes on with the messages after `received`.
    Resume {
        /// [`MARK`] bytes that nobody can foresee, so that they cannot be in what was said before.
        mark: Vec<u8>,
        /// The number of the last message that is safe.
        received: u64,
        /// The token for the next connection, where the runner makes it: the one that it came with
        /// is good no more.
        token: Option<String>,
    },
}

/// The length of the mark at which a resumed stream begins, in bytes.
pub const MARK: usize = 16;

/// What a tar archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArchiveKind {
    /// The checkout: paths from the workspace.
    Checkout,
    /// The folders kept between builds: paths below [`CACHE_WORKSPACE`] and [`CACHE_HOME`].
    Cache,
}

/// The folder of a cache's archive with what belongs in the workspace.
pub const CACHE_WORKSPACE: &str = "workspace";
/// The folder of a cache's archive with what belongs in `HOME`.
pub const CACHE_HOME: &str = "home";

/// A job. Its `Debug` tells the names of its secrets, and no value.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The folder with the checkout, as the runner sees it. Absolute.
    pub workspace: String,
    /// An existing folder of the runner's own, as it sees it, for `HOME` and `TMPDIR`. Absolute;
    /// outside of the workspace.
    pub scratch: String,
    /// The environment of every step, beside `HOME`, `TMPDIR` and `LANG`, which the runner sets.
    /// Nothing else is passed on.
    pub environment: Vec<(String, String)>,
    /// The steps, in order; `after` last.
    pub steps: Vec<StepOrder>,
    /// How long `setup` and `execute` may take together, in milliseconds.
    pub timeout_ms: u64,
    /// How long `after` may take in all, in milliseconds.
    pub after_timeout_ms: u64,
    /// How long a step may take to end after TERM, before KILL, in milliseconds.
    pub grace_ms: u64,
    /// What to collect.
    pub collect: Vec<Collect>,
    /// Limits of what is collected.
    pub limits: Limits,
    /// Environment variables of every step whose values must not be shown; over `environment`, and
    /// masked in the output.
    pub secrets: Vec<(String, String)>,
    /// Folders kept between builds.
    pub cache: Option<CacheOrder>,
    /// The archives that follow, before the job begins.
    pub archives: Vec<ArchiveKind>,
    /// How the runner shuts its steps in; `None` where that is done around it.
    pub confinement: Option<Confinement>,
    /// What must accept connections before the first step.
    pub await_ports: Vec<AwaitPort>,
}

/// A port that must accept connections before the first step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitPort {
    /// Whose it is, for words.
    pub name: String,
    /// The address and port, in numbers.
    pub address: String,
    /// How long that may take, in milliseconds.
    pub timeout_ms: u64,
}

/// How a runner that is the first process of a container shuts its steps in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// The user that the image names, as in `USER`: `name`, `1000`, `1000:1000`; empty is root.
    pub user: String,
    /// Networks that must not be reached, as `address/prefix`.
    pub blocked: Vec<String>,
    /// How much of the disk the job may fill, in bytes.
    pub disk_bytes: u64,
}

/// Folders kept between builds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheOrder {
    /// Their paths: relative to the workspace, or `~/…` below `HOME`; without `..`.
    pub paths: Vec<String>,
    /// Whether to send them when all steps have passed.
    pub save: bool,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Taken apart, so that no field is forgotten.
        let Self {
            workspace,
            scratch,
            environment,
            steps,
            timeout_ms,
            after_timeout_ms,
            grace_ms,
            collect,
            limits,
            secrets,
            cache,
            archives,
            confinement,
            await_ports,
        } = self;
        f.debug_struct("Job")
            .field("workspace", workspace)
            .field("scratch", scratch)
            .field("environment", environment)
            .field("steps", steps)
            .field("timeout_ms", timeout_ms)
            .field("after_timeout_ms", after_timeout_ms)
            .field("grace_ms", grace_ms)
            .field("collect", collect)
            .field("limits", limits)
            .field("secrets", &NamesOnly(secrets))
            .field("cache", cache)
            .field("archives", archives)
            .field("confinement", confinement)
            .field("await_ports", await_ports)
            .finish()
    }
}

/// Shows the names of secrets, and no value.
pub(crate) struct NamesOnly<'a>(pub(crate) &'a [(String, String)]);

impl std::fmt::Debug for NamesOnly<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

impl Job {
    /// The contract's limit for `after`: 2 minutes.
    pub const AFTER_TIMEOUT_MS: u64 = 120_000;
    /// The contract's time between TERM and KILL: 10 seconds.
    pub const GRACE_MS: u64 = 10_000;
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepOrder {
    /// Its number in the job, from 0.
    pub index: u32,
    /// The part of the job that it belongs to.
    pub phase: Phase,
    /// How it is shown. Untrusted text.
    pub name: String,
    /// What it runs.
    pub command: StepCommand,
    /// Its own environment, over that of the job. What Herald sets for every step wins over it:
    /// see [`StepOrder::fixed`].
    pub environment: Vec<(String, String)>,
    /// The folder to run in, relative to the workspace.
    pub working_directory: Option<String>,
    /// How long it may run, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Whether its failure is passed over.
    pub continue_on_error: bool,
}

impl StepOrder {
    /// Whether a step cannot set this variable, because Herald's value wins.
    pub fn fixed(name: &str) -> bool {
        name.starts_with("HERALD_")
            || matches!(name, "CI" | "HERALD" | "HOME" | "TMPDIR" | "LANG" | "PATH")
    }
}

/// The parts of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Prepares.
    Setup,
    /// The proof.
    Execute,
    /// Always runs.
    After,
}

/// What a step runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepCommand {
    /// A script under `sh -e -c`.
    Sh(String),
    /// A script under `bash -eo pipefail -c`.
    Bash(String),
    /// A program and its arguments.
    Argv(Vec<String>),
}

/// The two streams of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Its number in compact formats.
    pub fn code(self) -> u8 {
        match self {
            Self::Stdout => 1,
            Self::Stderr => 2,
        }
    }

    /// The stream of that number.
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Stdout),
            2 => Some(Self::Stderr),
            _ => None,
        }
    }
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// With this exit status.
    Code(i32),
    /// By this signal, of its own accord.
    Signal(i32),
    /// Its own time-out, that of the job, or that of `after` struck.
    TimedOut,
    /// The job was cancelled while it ran.
    Cancelled,
    /// It could not be started, for this reason, in words that read after "failed to …".
    NotStarted(String),
    /// It was left out, because a step before it failed or the job ended.
    Skipped,
    /// The system ended it, because the job needed more memory than it may have.
    OutOfMemory,
    /// It was ended, because the job filled more of the disk than it may.
    OutOfDisk,
}

impl Exit {
    /// Whether it ended with exit status 0.
    pub fn success(&self) -> bool {
        *self == Self::Code(0)
    }
}

/// Files to collect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collect {
    /// What they are.
    pub kind: CollectKind,
    /// Globs from the root of the workspace: `*` stays within a folder, `**` does not.
    pub globs: Vec<String>,
    /// Whether to take the usual places instead of `globs`.
    pub defaults: bool,
}

/// What a collected file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CollectKind {
    /// A test report.
    Tests,
    /// A coverage report.
    Coverage,
    /// A file to keep.
    Artifact,
    /// The folders kept between builds, as one tar archive.
    Cache,
}

/// Limits of what is collected; the server keeps to them as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// How many files in all.
    pub files: u32,
    /// The largest file, in bytes.
    pub file_bytes: u64,
    /// All files together, in bytes.
    pub total_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            files: 5_000,
            file_bytes: 256 * 1024 * 1024,
            total_bytes: 1024 * 1024 * 1024,
        }
    }
}

/// From the runner to the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub enum FromRunner {
    /// The first words.
    Hello(Hello),
    /// The job was accepted.
    Started,
    /// A step began.
    StepStarted {
        /// Its number.
        step: u32,
        /// When, in unix milliseconds.
        unix_ms: u64,
    },
    /// A piece of output; as its own kind of frame, without JSON.
    #[serde(skip)]
    Output {
        /// The step.
        step: u32,
        /// The stream.
        stream: Stream,
        /// When the last of these bytes was read, in unix milliseconds.
        unix_ms: u64,
        /// The bytes. Pieces end at the end of a line where that is possible.
        bytes: Vec<u8>,
    },
    /// A step ended, or was left out.
    StepFinished {
        /// Its number.
        step: u32,
        /// How it ended.
        exit: Exit,
        /// How long it ran, in milliseconds.
        duration_ms: u64,
    },
    /// Words for the reader of the log, from the runner.
    Note {
        /// One or more lines.
        text: String,
    },
    /// The job cannot be carried out here; nothing follows.
    Trouble {
        /// Why, in words that read after "failed to …".
        text: String,
    },
    /// All steps are over, and files are collected. What follows is not kept by the runner: after a
    /// break it is said again from here, with the same numbers.
    Collecting,
    /// A collected file begins.
    FileStart(FileInfo),
    /// Bytes of the collected file; as its own kind of frame, without JSON.
    #[serde(skip)]
    FileChunk {
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The collected file ends.
    FileEnd {
        /// Whether all of it was sent; otherwise it changed, or could not be read any more.
        complete: bool,
    },
    /// The job is over.
    Finished {
        /// How.
        outcome: Outcome,
    },
}

/// A collected file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInfo {
    /// What it was collected as.
    pub kind: CollectKind,
    /// Its path in the workspace, with `/`.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// The step that wrote it last, as far as its time tells.
    #[serde(default)]
    pub step: Option<u32>,
}

/// How a job ended, apart from its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every step that was due has run.
    Done,
    /// The job's own time-out struck.
    TimedOut,
    /// It was cancelled.
    Cancelled,
}
