//! The process that would be the server: an executor, and the log that it is written to.

use std::path::Path;
use std::time::Duration;

use herald::executor::trial::{self, Place};
use herald::executor::{ProcessExecutor, RunnerProgram};
use herald::logs::{Ceiling, FileLogs};
use herald::ports::executor::JobEnd;
use herald::ports::{Executor, JobEvent, LogKey, LogStore};
use herald::protocol::{Exit, Job, Phase, StepCommand};

/// What a job writes.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// Lines, as builds do.
    Lines,
    /// The same in small pieces, as programs write that do not gather much.
    Pieces,
    /// One line that does not end.
    Line,
}

impl Shape {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lines => "lines",
            Self::Pieces => "pieces",
            Self::Line => "line",
        }
    }

    pub(crate) fn named(name: &str) -> Self {
        match name {
            "lines" => Self::Lines,
            "pieces" => Self::Pieces,
            "line" => Self::Line,
            other => panic!("no shape {other}"),
        }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Lines => "lines of 108 bytes",
            Self::Pieces => "the same, 4 kB at a time",
            Self::Line => "one line",
        }
    }
}

/// The executor of a server whose sandbox is off: a sandbox changes what a job costs to start, not
/// what its output does.
pub(crate) fn process() -> ProcessExecutor {
    let program = RunnerProgram {
        path: env!("CARGO_BIN_EXE_herald").into(),
        arguments: vec!["runner".to_owned()],
    };
    ProcessExecutor::new(program, None)
}

/// A job that writes so many bytes by the program that the plain copy has too.
pub(crate) fn writing(shape: Shape, bytes: u64) -> Job {
    let program = std::env::current_exe().unwrap();
    let mut step = trial::sh(Phase::Execute, "");
    step.command = StepCommand::Argv(vec![
        program.to_str().unwrap().to_owned(),
        "write".to_owned(),
        shape.name().to_owned(),
        bytes.to_string(),
    ]);
    long(trial::job(vec![step]))
}

/// The same by what is in an image of busybox.
pub(crate) fn writing_busybox(shape: Shape, bytes: u64) -> Job {
    let script = match shape {
        Shape::Lines | Shape::Pieces => format!("yes {} | head -c {bytes}", "x".repeat(107)),
        Shape::Line => format!("head -c {bytes} /dev/zero"),
    };
    long(trial::job(vec![trial::sh(Phase::Execute, &script)]))
}

fn long(mut job: Job) -> Job {
    job.timeout_ms = 600_000;
    job
}

/// A runtime as the server has one.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}

/// Runs a job into a log, and prints how much memory this process took above what it had at rest,
/// in MiB.
pub(crate) fn measured(executor: &dyn Executor, job: Job, image: Option<String>, folder: &Path) {
    let runtime = runtime();
    let place = Place::new();
    let mut order = place.order(job);
    order.image = image;
    let logs = FileLogs::new(folder, Ceiling::of(u64::MAX));
    let key = LogKey {
        build: "build".to_owned(),
        job: "job".to_owned(),
        attempt: 1,
    };
    let idle = memory("VmRSS:");
    runtime.block_on(async {
        let mut log = logs.create(&key).await.unwrap();
        let mut running = executor.start(order).await.unwrap();
        while let Some(event) = running.next().await {
            let position = running.position();
            match event {
                JobEvent::Output {
                    step,
                    stream,
                    unix_ms,
                    bytes,
                } => log.append(step, stream, unix_ms, position, &bytes).unwrap(),
                JobEvent::StepFinished { exit, .. } => assert_eq!(exit, Exit::Code(0)),
                JobEvent::Finished(end) => assert_eq!(end, JobEnd::Done),
                _ => log.mark(position).unwrap(),
            }
        }
        log.finish().unwrap();
    });
    println!("{:.2}", memory("VmHWM:") - idle);
    // What the runner took is known once it has been waited for.
    while has_children() {
        std::thread::sleep(Duration::from_millis(5));
    }
    // A container is removed on the side.
    runtime.block_on(async { tokio::time::sleep(Duration::from_millis(500)).await });
    runtime.block_on(executor.sweep(&[])).unwrap();
}

/// A figure of this process's memory in MiB; see proc(5).
fn memory(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024.0
}

fn has_children() -> bool {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    threads.flatten().any(|thread| {
        let children = std::fs::read_to_string(thread.path().join("children"));
        children.is_ok_and(|children| !children.trim().is_empty())
    })
}
