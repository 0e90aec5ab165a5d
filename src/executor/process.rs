//! The `process` executor: the runner as a process of this machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::intake::Intake;
use super::keeper::{Keeper, Streams};
use super::network;
use super::sandbox::{self, Sandbox};
use crate::ports::error::{PortError, Result};
use crate::ports::executor::{Abilities, Executor, JobEnd, JobEvent, JobOrder, Running};
use crate::protocol::{Decoder, Encoder, FromRunner, Job, ToRunner, check_hello};

/// How long the runner may take to say its first words.
const HELLO: Duration = Duration::from_secs(30);
/// How much longer than all its time-outs a job may take, for starting and collecting.
const MARGIN: Duration = Duration::from_mins(10);
/// How many events may wait to be read; more of them hold the job up.
const WAITING: usize = 32;
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
            .and_then(|sandbox| sandbox.slirp4netns.as_deref());
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
        let mut link = Link::new(streams)?;

        // Nothing has been done yet, so a sandbox that cannot be made is a refusal.
        let hello = match timeout(HELLO, link.receive()).await {
            Ok(Ok(Some(FromRunner::Hello(hello)))) => hello,
            Ok(Ok(Some(_))) => {
                return Err(PortError::refused("start the runner: it did not say hello"));
            }
            Ok(Ok(None) | Err(_)) => {
                let said = link.complaint().await;
                return Err(self.no_hello(&said));
            }
            Err(_) => return Err(PortError::transient("start the runner: it says nothing")),
        };
        check_hello(&hello)
            .map_err(|error| PortError::refused(format!("start the runner: {error}")))?;

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
        if self.sandbox.is_some() && connection.is_none() {
            notes.push(network::NO_NETWORK.to_owned());
        }
        let job = self.placed(order.job, &folders);
        let intake = Intake::new(&job, &folders.received());
        let deadline = deadline(&job);
        let mut voice = Voice {
            encoder: Encoder::default(),
            stdin: link.stdin.take(),
        };
        voice
            .say(&ToRunner::Job(job))
            .await
            .map_err(PortError::refused)?;
        let (sender, events) = mpsc::channel(WAITING);
        let reader = tokio::spawn(async move {
            for note in notes {
                let _ = sender.send(JobEvent::Note(note)).await;
            }
            let end = read(link, intake, &sender, deadline).await;
            let _ = sender.send(JobEvent::Finished(end)).await;
        });
        Ok(Box::new(ProcessJob {
            events,
            voice,
            reader,
            over: false,
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

fn deadline(job: &Job) -> Instant {
    let milliseconds = job
        .timeout_ms
        .saturating_add(job.after_timeout_ms)
        .saturating_add(job.grace_ms.saturating_mul(2));
    let year = Duration::from_hours(365 * 24);
    Instant::now() + Duration::from_millis(milliseconds).min(year) + MARGIN
}

/// A job that runs as a process. Its fields are dropped in this order: the voice, whose end tells
/// the runner to end, before the keeper, who sees to it.
struct ProcessJob {
    voice: Voice,
    events: mpsc::Receiver<JobEvent>,
    reader: JoinHandle<()>,
    /// Whether `Finished` was given out.
    over: bool,
    _connection: Option<Child>,
    _keeper: Keeper,
}

impl Drop for ProcessJob {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

#[async_trait]
impl Running for ProcessJob {
    async fn next(&mut self) -> Option<JobEvent> {
        if self.over {
            return None;
        }
        let event = self.events.recv().await.unwrap_or_else(|| {
            JobEvent::Finished(JobEnd::Lost("the job's reader ended".to_owned()))
        });
        self.over = matches!(event, JobEvent::Finished(_));
        Some(event)
    }

    async fn cancel(&mut self, reason: &str) {
        let cancel = ToRunner::Cancel {
            reason: reason.chars().take(500).collect(),
        };
        // A runner that is gone or deaf is noticed by the reader.
        let _ = timeout(Duration::from_secs(5), self.voice.say(&cancel)).await;
    }
}

/// The way to the runner.
struct Voice {
    encoder: Encoder,
    stdin: Option<ChildStdin>,
}

impl Voice {
    async fn say(&mut self, message: &ToRunner) -> std::result::Result<(), String> {
        let frame = self
            .encoder
            .frame(message)
            .map_err(|error| format!("send the job to the runner: {error}"))?;
        let Some(stdin) = &mut self.stdin else {
            return Ok(());
        };
        // A broken pipe is a runner that ended, which the reader tells better.
        let _ = stdin.write_all(&frame).await;
        let _ = stdin.flush().await;
        Ok(())
    }
}

/// The way from the runner.
struct Link {
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    stderr: Option<ChildStderr>,
    decoder: Decoder,
    block: Vec<u8>,
}

impl Link {
    fn new(streams: Streams) -> Result<Self> {
        let failed =
            |error: std::io::Error| PortError::transient(format!("talk to the runner: {error}"));
        Ok(Self {
            stdin: Some(ChildStdin::from_std(streams.stdin).map_err(failed)?),
            stdout: ChildStdout::from_std(streams.stdout).map_err(failed)?,
            stderr: Some(ChildStderr::from_std(streams.stderr).map_err(failed)?),
            decoder: Decoder::default(),
            block: vec![0; 64 * 1024],
        })
    }

    /// The next message; `None` at the end of the stream.
    async fn receive(&mut self) -> std::result::Result<Option<FromRunner>, String> {
        loop {
            match self.decoder.next() {
                Ok(Some(message)) => return Ok(Some(message)),
                Ok(None) => {}
                Err(error) => return Err(format!("the runner broke the protocol: {error}")),
            }
            match self.stdout.read(&mut self.block).await {
                Ok(0) => return Ok(None),
                Ok(length) => self
                    .decoder
                    .push(self.block.get(..length).unwrap_or_default()),
                Err(error) => return Err(format!("the runner cannot be read: {error}")),
            }
        }
    }

    /// What the process said on stderr before it ended.
    async fn complaint(&mut self) -> String {
        let mut said = Vec::new();
        if let Some(stderr) = self.stderr.take() {
            let mut stderr = stderr.take(COMPLAINT as u64);
            let _ = timeout(Duration::from_secs(1), stderr.read_to_end(&mut said)).await;
        }
        let said = String::from_utf8_lossy(&said).trim().replace('\n', "; ");
        if said.is_empty() {
            "it ended without a word".to_owned()
        } else {
            said
        }
    }
}

/// Reads what the runner says until the job is over.
async fn read(
    mut link: Link,
    mut intake: Intake,
    events: &mpsc::Sender<JobEvent>,
    deadline: Instant,
) -> JobEnd {
    loop {
        let message = match timeout_at(deadline, link.receive()).await {
            Ok(Ok(Some(message))) => message,
            Ok(Ok(None)) => {
                let said = link.complaint().await;
                return JobEnd::Lost(format!("the runner ended early: {said}"));
            }
            Ok(Err(reason)) => return JobEnd::Lost(reason),
            Err(_) => return JobEnd::Lost("the runner did not end in time".to_owned()),
        };
        match intake.take(message).await {
            Ok(Some(JobEvent::Finished(end))) => return end,
            // Nobody reads any more when the job was dropped.
            Ok(Some(event)) => {
                if events.send(event).await.is_err() {
                    return JobEnd::Cancelled;
                }
            }
            Ok(None) => {}
            Err(reason) => return JobEnd::Lost(reason),
        }
    }
}
