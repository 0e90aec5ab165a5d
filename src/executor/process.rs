//! The `process` executor: the runner as a process of this machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use nix::fcntl::{FcntlArg, fcntl};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::time::timeout;

use super::cgroup::{self, Group, Groups};
use super::conversation::{Contents, Conversation, Obituary, Receiver, Streams, Terms};
use super::keeper::Keeper;
use super::network;
use super::sandbox::{self, Sandbox};
use crate::ports::error::{PortError, Result};
use crate::ports::executor::{Abilities, Executor, JobEvent, JobOrder, Network, Running};
use crate::protocol::{ArchiveKind, Exit, Job};

/// How much may be on its way from the runner, in bytes.
const PIPE: i32 = 1024 * 1024;
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
    /// Looked for when the first job comes.
    groups: Arc<OnceLock<Groups>>,
}

impl ProcessExecutor {
    /// An executor that starts `program`, in a sandbox if there is one. Without, a step can read
    /// what Herald can read.
    pub fn new(program: RunnerProgram, sandbox: Option<Sandbox>) -> Self {
        Self {
            program,
            sandbox,
            groups: Arc::default(),
        }
    }

    fn groups(&self) -> &Groups {
        self.groups.get_or_init(Groups::find)
    }

    /// The command for a job.
    fn command(
        &self,
        folders: &Folders,
        group: Option<&Group>,
        network: bool,
    ) -> std::io::Result<Command> {
        let program = self
            .sandbox
            .as_ref()
            .map_or(&self.program.path, |sandbox| &sandbox.bwrap);
        let mut command = match group.map(Group::folders) {
            Some(groups) if !groups.is_empty() => {
                let mut command = Command::new("/bin/sh");
                command
                    .args(["-c", cgroup::ENTER, "sh", &groups.len().to_string()])
                    .args(groups)
                    .arg(program);
                command
            }
            _ => Command::new(program),
        };
        if let Some(sandbox) = &self.sandbox {
            command.args(sandbox.arguments(
                &self.program.path,
                &folders.workspace,
                &folders.run,
                &folders.own,
                network,
            )?);
        }
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

    fn limits(&self) -> bool {
        self.groups().missing.is_none()
    }

    async fn sweep(&self, keep: &[String]) -> Result<()> {
        self.groups().sweep(keep);
        Ok(())
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
        let mut notes = Vec::new();
        let group = self.group(&order, &mut notes);
        let to_delete = vec![folders.run.clone(), folders.own.clone()];
        let kept = group.clone();
        let started = match self.command(&folders, group.as_deref(), slirp4netns.is_some()) {
            Ok(command) => Keeper::start(command, self.sandbox.is_some(), to_delete, kept)
                .await
                .map_err(|error| PortError::transient(format!("start the runner: {error}"))),
            Err(error) => Err(prepare(error)),
        };
        let (keeper, streams) = started.inspect_err(|_| {
            if let Some(group) = &group {
                group.remove();
            }
        })?;
        let (streams, obituary) = speak(streams)?;
        let mut receiver = Receiver::new(streams.0);
        // Nothing has been done yet, so a sandbox that cannot be made is a refusal.
        if let Err(error) = receiver.greet().await {
            return Err(match error {
                Some(error) => error,
                None => self.no_hello(&obituary.await),
            });
        }

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
            obituary: obituary_of(group.clone(), obituary),
            connections: None,
            token: None,
            confirms: false,
        };
        Ok(Box::new(ProcessJob {
            conversation: Conversation::begin(receiver, streams.1, terms),
            kills: 0,
            group,
            _connection: connection,
            _keeper: keeper,
        }))
    }
}

/// What is said of a job whose runner ended early.
fn obituary_of(
    group: Option<Arc<Group>>,
    said: impl Future<Output = String> + Send + 'static,
) -> Obituary {
    Box::pin(async move {
        let said = said.await;
        match group {
            Some(group) if group.out_of_memory_kills() > 0 => {
                "the job ran out of memory, and the runner with it".to_owned()
            }
            _ => format!("the runner ended early: {said}"),
        }
    })
}

impl ProcessExecutor {
    /// The control group of a job, as far as there can be one.
    fn group(&self, order: &JobOrder, notes: &mut Vec<String>) -> Option<Arc<Group>> {
        let groups = self.groups();
        let made = groups.make(&order.id, &order.resources);
        let missing = match &made {
            Ok(_) => groups.missing.clone(),
            Err(error) => Some(format!(
                "limits of memory, processor time and processes are not enforced here: {error}"
            )),
        };
        // Who runs jobs without a sandbox has chosen to trust them.
        notes.extend(missing.filter(|_| self.sandbox.is_some()));
        made.ok().map(Arc::new)
    }

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
    group: Option<Arc<Group>>,
    /// How many processes had been ended for want of memory when the last step ended.
    kills: u64,
    _connection: Option<Child>,
    _keeper: Keeper,
}

#[async_trait]
impl Running for ProcessJob {
    async fn next(&mut self) -> Option<JobEvent> {
        let mut event = self.conversation.next().await;
        if let Some(JobEvent::StepFinished { exit, .. }) = &mut event {
            let kills = self
                .group
                .as_ref()
                .map_or(0, |group| group.out_of_memory_kills());
            // A shell says 128 + 9 of a program that was killed.
            if kills > self.kills && matches!(exit, Exit::Signal(9) | Exit::Code(137)) {
                *exit = Exit::OutOfMemory;
            }
            self.kills = kills;
        }
        event
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
    // Both sides wait for one another less often. What the system does not allow is not needed.
    let _ = fcntl(&streams.stdout, FcntlArg::F_SETPIPE_SZ(PIPE));
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
