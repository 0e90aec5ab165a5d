//! The `process` executor: the runner as a process of this machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::time::timeout;

use super::conversation::{Contents, Conversation, Receiver, Streams, Terms};
use super::keeper::Keeper;
use super::network;
use super::sandbox::{self, Sandbox};
use crate::ports::error::{PortError, Result};
use crate::ports::executor::{Abilities, Executor, JobEvent, JobOrder, Network, Running};
use crate::protocol::{ArchiveKind, Job};

/// How much of what the process says on stderr is kept, in bytes.
const COMPLAINT: usize = 4000;

/// The program that carries out a job when started with these arguments.
#[derive(Debug, Clone)]
pub struct RunnerProgram {
    /// The program: `herald` itself, or `herald-runner`. Absolute.
    pub path: PathBuf,
    /// Its arguments, say `runner`.
    pub arguments: Vec<String>,
}

/// Runs jobs as processes of this machine.
#[derive(Debug, Clone)]
pub struct ProcessExecutor {
    program: RunnerProgram,
    sandbox: Option<Sandbox>,
}

impl ProcessExecutor {
    /// An executor that starts `program`, in a sandbox if there is one. Without, a step can read
    /// what Herald can read.
    pub fn new(program: RunnerProgram, sandbox: Option<Sandbox>) -> Self {
        Self { program, sandbox }
    }

    /// The command for a job, and whether killing it ends all that it started.
    fn command(&self, folders: &Folders, network: bool) -> std::io::Result<Command> {
        let mut command = match &self.sandbox {
            Some(sandbox) => {
                let mut command = Command::new(&sandbox.bwrap);
                command.args(sandbox.arguments(
                    &self.program.path,
                    &folders.workspace,
                    &folders.run,
                    &folders.own,
                    network,
                )?);
                command
            }
            None => Command::new(&self.program.path),
        };
        command
            .args(&self.program.arguments)
            .current_dir(&folders.own)
            .env_clear();
        Ok(command)
    }
}

/// The folders of a job.
struct Folders {
    workspace: PathBuf,
    /// For `HOME` and `TMPDIR`.
    run: PathBuf,
    /// Of the executor: what it prepares, and what it receives.
    own: PathBuf,
}

impl Folders {
    fn make(order: &JobOrder) -> std::io::Result<Self> {
        let folders = Self {
            workspace: order.workspace.canonicalize()?,
            run: order.scratch.canonicalize()?.join("run"),
            own: order.scratch.canonicalize()?.join("own"),
        };
        std::fs::create_dir_all(&folders.run)?;
        std::fs::create_dir_all(folders.received())?;
        Ok(folders)
    }

    fn received(&self) -> PathBuf {
        self.own.join("received")
    }
}

#[async_trait]
impl Executor for ProcessExecutor {
    fn name(&self) -> &'static str {
        "process"
    }

    fn isolates(&self) -> bool {
        // It shares the kernel's whole surface and the machine's resources with Herald.
        false
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            images: false,
            services: false,
            ports: false,
            network_none: self.sandbox.is_some(),
        }
    }

    async fn start(&self, order: JobOrder) -> Result<Box<dyn Running>> {
        if let Some(sandbox) = &self.sandbox
            && !sandbox.bwrap.is_file()
        {
            return Err(PortError::refused(sandbox::missing()));
        }
        let slirp4netns = self
            .sandbox
            .as_ref()
            .and_then(|sandbox| sandbox.slirp4netns.as_deref())
            .filter(|_| order.network != Network::None);
        let prepare = |error: std::io::Error| {
            PortError::transient(format!("prepare the folders of a job: {error}"))
        };
        let folders = Folders::make(&order).map_err(prepare)?;
        let command = self
            .command(&folders, slirp4netns.is_some())
            .map_err(prepare)?;
        let to_delete = vec![folders.run.clone(), folders.own.clone()];
        let (keeper, streams) = Keeper::start(command, self.sandbox.is_some(), to_delete)
            .await
            .map_err(|error| PortError::transient(format!("start the runner: {error}")))?;
        let (streams, obituary) = speak(streams)?;
        let mut receiver = Receiver::new(streams.0);
        // Nothing has been done yet, so a sandbox that cannot be made is a refusal.
        if let Err(error) = receiver.greet().await {
            return Err(match error {
                Some(error) => error,
                None => self.no_hello(&obituary.await),
            });
        }

        let mut notes = Vec::new();
        if order.image.is_some() {
            notes.push(
                "the process executor ignores `image`: the steps run on the server".to_owned(),
            );
        }
        let connection = match (slirp4netns, keeper.pid()) {
            (Some(slirp4netns), Some(pid)) => {
                let connection = network::connect(slirp4netns, pid).await;
                Some(connection.map_err(PortError::refused)?)
            }
            _ => None,
        };
        if self.sandbox.is_some() && connection.is_none() && order.network != Network::None {
            notes.push(network::NO_NETWORK.to_owned());
        }
        let mut job = self.placed(order.job, &folders);
        let cache = order
            .cache
            .map(|file| (ArchiveKind::Cache, Contents::File(file)));
        job.archives = cache.iter().map(|(kind, _)| *kind).collect();
        let terms = Terms {
            job,
            folder: folders.received(),
            archives: cache.into_iter().map(|(_, contents)| contents).collect(),
            before: notes.into_iter().map(JobEvent::Note).collect(),
            obituary: Box::pin(
                async move { format!("the runner ended early: {}", obituary.await) },
            ),
            connections: None,
            token: None,
            confirms: false,
        };
        Ok(Box::new(ProcessJob {
            conversation: Conversation::begin(receiver, streams.1, terms),
            _connection: connection,
            _keeper: keeper,
        }))
    }
}

impl ProcessExecutor {
    /// The job with the paths that its steps see.
    fn placed(&self, mut job: Job, folders: &Folders) -> Job {
        let (workspace, scratch) = match &self.sandbox {
            Some(_) => (Path::new(sandbox::WORKSPACE), Path::new(sandbox::SCRATCH)),
            None => (folders.workspace.as_path(), folders.run.as_path()),
        };
        job.workspace = workspace.to_string_lossy().into_owned();
        job.scratch = scratch.to_string_lossy().into_owned();
        job
    }

    fn no_hello(&self, said: &str) -> PortError {
        let hint = if self.sandbox.is_some() && said.contains("bwrap") {
            "; bubblewrap needs user namespaces, which this machine or container may forbid: \
             allow them, or set HERALD_PROCESS_SANDBOX=off, with which a step can read what \
             Herald can read"
        } else {
            ""
        };
        PortError::refused(format!("start the runner: {said}{hint}"))
    }
}

/// A job that runs as a process. Its fields are dropped in this order: the conversation, whose end
/// tells the runner to end, before the keeper, who sees to it.
struct ProcessJob {
    conversation: Conversation,
    _connection: Option<Child>,
    _keeper: Keeper,
}

#[async_trait]
impl Running for ProcessJob {
    async fn next(&mut self) -> Option<JobEvent> {
        self.conversation.next().await
    }

    async fn cancel(&mut self, reason: &str) {
        self.conversation.cancel(reason).await;
    }
}

/// The process's streams for the conversation, and what it said on stderr before it ended.
fn speak(
    streams: super::keeper::Streams,
) -> Result<(Streams, impl Future<Output = String> + Send + use<>)> {
    let wrap = |error: std::io::Error| PortError::transient(format!("start the runner: {error}"));
    let stdin = ChildStdin::from_std(streams.stdin).map_err(wrap)?;
    let stdout = ChildStdout::from_std(streams.stdout).map_err(wrap)?;
    let stderr = ChildStderr::from_std(streams.stderr).map_err(wrap)?;
    Ok(((Box::pin(stdout), Box::pin(stdin)), complaint(stderr)))
}

async fn complaint(stderr: ChildStderr) -> String {
    let mut said = Vec::new();
    let mut stderr = stderr.take(COMPLAINT as u64);
    let _ = timeout(Duration::from_secs(1), stderr.read_to_end(&mut said)).await;
    let said = String::from_utf8_lossy(&said).trim().replace('\n', "; ");
    if said.is_empty() {
        "it ended without a word".to_owned()
    } else {
        said
    }
}
