//! Small jobs for tests of executors: ordered, run to their end, and told in one value.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::ports::executor::{
    Executor, JobEnd, JobEvent, JobOrder, Network, Purpose, Resources, Running,
};
use crate::protocol::{Exit, Job, Limits, Phase, StepCommand, StepOrder, Stream};

/// A step under `sh`.
pub fn sh(phase: Phase, script: &str) -> StepOrder {
    StepOrder {
        index: 0,
        phase,
        name: script.chars().take(40).collect(),
        command: StepCommand::Sh(script.to_owned()),
        environment: Vec::new(),
        working_directory: None,
        timeout_ms: None,
        continue_on_error: false,
    }
}

pub(super) fn execute(script: &str) -> StepOrder {
    sh(Phase::Execute, script)
}

pub(super) fn argv(words: &[&str]) -> StepOrder {
    StepOrder {
        command: StepCommand::Argv(words.iter().map(|word| (*word).to_owned()).collect()),
        ..execute("")
    }
}

/// A job of these steps, with short time-outs.
pub fn job(steps: Vec<StepOrder>) -> Job {
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    Job {
        workspace: String::new(),
        scratch: String::new(),
        environment: vec![
            ("CI".to_owned(), "true".to_owned()),
            ("PATH".to_owned(), path.to_owned()),
        ],
        steps: (0..)
            .zip(steps)
            .map(|(index, step)| StepOrder { index, ..step })
            .collect(),
        timeout_ms: 60_000,
        after_timeout_ms: 20_000,
        grace_ms: 300,
        collect: Vec::new(),
        limits: Limits::default(),
        secrets: Vec::new(),
        cache: None,
        archives: Vec::new(),
        confinement: None,
        await_ports: Vec::new(),
    }
}

/// The folders of an ordered job, which last as long as this.
pub struct Place {
    pub(super) folder: TempDir,
}

impl Place {
    /// Makes them.
    ///
    /// # Panics
    /// When the disk refuses, as all of this suite does.
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap_or_else(|error| fail(&error.to_string()));
        for name in ["workspace", "scratch"] {
            let made = fs::create_dir(folder.path().join(name));
            assert!(made.is_ok(), "{made:?}");
        }
        Self { folder }
    }

    /// The workspace on this machine.
    pub fn workspace(&self) -> std::path::PathBuf {
        self.folder.path().join("workspace")
    }

    /// The order of a job in them.
    pub fn order(&self, job: Job) -> JobOrder {
        JobOrder {
            id: format!("contract-{}", marker().replace('.', "-")),
            workspace: self.workspace(),
            scratch: self.folder.path().join("scratch"),
            image: None,
            purpose: Purpose {
                owner: "octo".to_owned(),
                repository: "contract".to_owned(),
                ..Purpose::default()
            },
            resources: Resources {
                // Several fit beside one another on a small Swarm.
                cpus_milli: 500,
                memory_bytes: 1 << 30,
                ..Resources::default()
            },
            network: Network::default(),
            ports: Vec::new(),
            services: Vec::new(),
            login_images: None,
            cache: None,
            job,
        }
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

/// All that happened in a job.
#[derive(Debug)]
pub struct Ran {
    /// How each step ended.
    pub exits: Vec<Exit>,
    /// What each step wrote to its standard output, then to its standard error.
    pub output: BTreeMap<(u32, bool), Vec<u8>>,
    /// The largest piece of output.
    pub largest: usize,
    /// The executor's words.
    pub notes: Vec<String>,
    /// The collected files.
    pub files: BTreeMap<String, Vec<u8>>,
    /// How the job ended.
    pub end: JobEnd,
    /// How long it took.
    pub took: Duration,
}

impl Ran {
    /// The standard output of a step, as text.
    pub fn stdout(&self, step: u32) -> String {
        let bytes = self.output.get(&(step, false));
        String::from_utf8_lossy(bytes.map_or(&[], Vec::as_slice)).into_owned()
    }
}

/// Runs a job to its end.
///
/// # Panics
/// When it cannot be started, or does what no job may do.
pub async fn run(executor: &dyn Executor, place: &Place, job: Job) -> Ran {
    let mut running = begin(executor, place, job).await;
    finish(running.as_mut()).await
}

/// Starts a job, in an image where the executor needs one.
///
/// # Panics
/// When it cannot be started.
pub async fn begin(executor: &dyn Executor, place: &Place, job: Job) -> Box<dyn Running> {
    start(executor, ordered(executor, place, job)).await
}

/// The order of a job, in an image where the executor needs one.
pub fn ordered(executor: &dyn Executor, place: &Place, job: Job) -> JobOrder {
    let mut order = place.order(job);
    if executor.abilities().images {
        order.image = Some(image("busybox:1"));
    }
    order
}

/// Starts what was ordered.
///
/// # Panics
/// When it cannot be started.
pub async fn start(executor: &dyn Executor, order: JobOrder) -> Box<dyn Running> {
    let started = executor.start(order).await;
    started.unwrap_or_else(|error| fail(&error.to_string()))
}

/// The image with `sh` and the usual small programs that executors with images are tested with: of
/// the registry of the tests. It has `FROM_IMAGE=yes` in its environment.
pub fn image(name: &str) -> String {
    let registry = std::env::var("HERALD_TEST_REGISTRY").unwrap_or_default();
    format!("{registry}/{name}")
}

/// Reads a running job to its end.
///
/// # Panics
/// When it does what no job may do.
pub async fn finish(running: &mut dyn Running) -> Ran {
    read(running, |_| true).await
}

/// The same, keeping only the pieces of output that are wanted.
///
/// # Panics
/// When it does what no job may do.
pub async fn read(running: &mut dyn Running, mut wanted: impl FnMut(&[u8]) -> bool) -> Ran {
    let began = Instant::now();
    let mut exits = BTreeMap::new();
    let mut ran = Ran {
        exits: Vec::new(),
        output: BTreeMap::new(),
        largest: 0,
        notes: Vec::new(),
        files: BTreeMap::new(),
        end: JobEnd::Done,
        took: Duration::ZERO,
    };
    while let Some(event) = running.next().await {
        match event {
            JobEvent::Image(_) | JobEvent::Started | JobEvent::StepStarted { .. } => {}
            JobEvent::Note(text) => ran.notes.push(text),
            JobEvent::Output {
                step,
                stream,
                bytes,
                ..
            } => {
                ran.largest = ran.largest.max(bytes.len());
                if wanted(&bytes) {
                    ran.output
                        .entry((step, stream == Stream::Stderr))
                        .or_default()
                        .extend(bytes);
                }
            }
            JobEvent::StepFinished { step, exit, .. } => {
                let before = exits.insert(step, exit);
                assert_eq!(before, None, "step {step} ended twice");
            }
            JobEvent::File {
                path, stored, size, ..
            } => {
                let bytes = fs::read(stored).unwrap_or_else(|error| fail(&error.to_string()));
                assert_eq!(bytes.len() as u64, size);
                ran.files.insert(path, bytes);
            }
            JobEvent::Finished(end) => ran.end = end,
        }
    }
    ran.exits = exits.into_values().collect();
    ran.took = began.elapsed();
    ran
}

#[expect(clippy::panic, reason = "a suite of tests, built for tests alone")]
pub(super) fn fail(message: &str) -> ! {
    panic!("{message}")
}

/// A number that no other process of this machine has in its arguments.
pub fn marker() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("300.{}{count:04}", std::process::id())
}

/// Processes of this machine with the marker in their arguments.
pub fn survivors(marker: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(marker))
        .collect()
}
