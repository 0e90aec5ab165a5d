//! One step: started, watched, ended with everything that it started.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use super::collect::Began;
use super::confine::User;
use super::control::{Control, Signal, Wake};
use super::mask::Masker;
use super::pressure::out_of_memory_kills;
use super::pump;
use super::reports::Reports;
use super::tree::Tree;
use crate::protocol::{Exit, Job, StepCommand, StepOrder, Stream};

/// What a step may leave running for a moment after its end, say a `tee` that still writes.
const LINGER: Duration = Duration::from_millis(500);

/// Where `PATH` is not ordered.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What all steps of a job share.
pub(super) struct Place<'a> {
    pub(super) job: &'a Job,
    /// The workspace without links in its path.
    pub(super) workspace: PathBuf,
    pub(super) home: PathBuf,
    pub(super) temporary: PathBuf,
    /// Who the steps run as, where the runner decides that.
    pub(super) user: Option<User>,
    /// Hides secret values in what steps write.
    pub(super) masker: Option<Masker>,
    pub(super) reports: Arc<Reports>,
    /// When each of the steps began.
    pub(super) began: Began,
    pub(super) signals: Sender<Signal>,
}

/// Carries out a step, until its own end or `deadline`. With `cancellable`, a cancel ends it too.
pub(super) fn carry_out(
    place: &Place<'_>,
    step: &StepOrder,
    control: &mut Control,
    deadline: Instant,
    cancellable: bool,
) -> Exit {
    let killed_before = out_of_memory_kills();
    let mut child = match spawn(place, step) {
        Ok(child) => child,
        Err(reason) => return Exit::NotStarted(reason),
    };
    let Ok(main) = i32::try_from(child.id()).map(Pid::from_raw) else {
        return Exit::NotStarted("start: the process has no usable number".to_owned());
    };
    let tree = Tree { main };
    let over = Arc::new(AtomicBool::new(false));
    // When memory runs out, a step's process is to go before the runner. See proc(5).
    let _ = std::fs::write(format!("/proc/{main}/oom_score_adj"), "500");
    let mut pumps = Vec::new();
    let reports = || (Arc::clone(&place.reports), Arc::clone(&over));
    let mask = || place.masker.as_ref().map(Masker::stream);
    let mut watched = Ok(());
    if let Some(pipe) = child.stdout.take() {
        let (reports, over) = reports();
        let pump = pump::start(pipe, step.index, Stream::Stdout, reports, over, mask());
        watched = watched.and(pump.map(|pump| pumps.push(pump)));
    }
    if let Some(pipe) = child.stderr.take() {
        let (reports, over) = reports();
        let pump = pump::start(pipe, step.index, Stream::Stderr, reports, over, mask());
        watched = watched.and(pump.map(|pump| pumps.push(pump)));
    }
    watched = watched.and(watch(main, step.index, place.signals.clone()));
    if let Err(error) = watched {
        // The limit of processes leaves no room for the runner's own threads.
        tree.kill();
        let _ = child.wait();
        over.store(true, Ordering::Release);
        for pump in pumps {
            let _ = pump.join();
        }
        return Exit::NotStarted(format!("watch the step: {error}"));
    }

    let own = step
        .timeout_ms
        .and_then(|ms| Instant::now().checked_add(Duration::from_millis(ms)));
    let deadline = own.map_or(deadline, |own| own.min(deadline));
    let wake = control.wait(step.index, deadline, cancellable);
    if matches!(wake, Wake::Deadline | Wake::Cancelled | Wake::DiskFull) {
        tree.terminate();
        let grace = Duration::from_millis(place.job.grace_ms);
        let until = Instant::now().checked_add(grace).unwrap_or(deadline);
        control.wait(step.index, until, false);
    }
    if !control.gone && exited(main) {
        tree.wait_empty(LINGER);
    }
    tree.kill();
    let status = child.wait();
    over.store(true, Ordering::Release);
    for pump in pumps {
        let _ = pump.join();
    }
    match wake {
        Wake::Deadline => Exit::TimedOut,
        Wake::DiskFull => Exit::OutOfDisk,
        Wake::Cancelled | Wake::Gone => Exit::Cancelled,
        Wake::Exited => match status {
            // A shell says 128 + 9 of a program that was killed.
            Ok(status)
                if (status.signal() == Some(9) || status.code() == Some(137))
                    && out_of_memory_kills() > killed_before =>
            {
                Exit::OutOfMemory
            }
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Exit::Code(code),
                (None, Some(signal)) => Exit::Signal(signal),
                (None, None) => Exit::NotStarted("learn how it ended".to_owned()),
            },
            Err(error) => Exit::NotStarted(format!("learn how it ended: {error}")),
        },
    }
}

/// Tells when the process has ended, and leaves it unreaped: its number must stay its own until
/// the whole tree is gone.
fn watch(main: Pid, step: u32, signals: Sender<Signal>) -> io::Result<()> {
    let watched = thread::Builder::new().spawn(move || {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        while let Err(nix::errno::Errno::EINTR) = waitid(Id::Pid(main), flags) {}
        let _ = signals.send(Signal::Exited(step));
    });
    watched.map(|_| ())
}

fn exited(main: Pid) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
    !matches!(
        waitid(Id::Pid(main), flags),
        Ok(nix::sys::wait::WaitStatus::StillAlive)
    )
}

fn spawn(place: &Place<'_>, step: &StepOrder) -> Result<Child, String> {
    let folder = folder(&place.workspace, step.working_directory.as_deref())?;
    let (program, mut command) = match &step.command {
        StepCommand::Sh(script) => {
            let mut command = Command::new("sh");
            command.args(["-e", "-c", script]);
            ("sh", command)
        }
        StepCommand::Bash(script) => {
            let mut command = Command::new("bash");
            command.args(["-eo", "pipefail", "-c", script]);
            ("bash", command)
        }
        StepCommand::Argv(words) => {
            let Some((program, arguments)) = words.split_first() else {
                return Err("start: it names no program".to_owned());
            };
            let mut command = Command::new(program);
            command.args(arguments);
            (program.as_str(), command)
        }
    };
    command.env_clear().env("PATH", PATH);
    for (name, value) in &place.job.environment {
        set(&mut command, name, value);
    }
    for (name, value) in &step.environment {
        if !StepOrder::fixed(name) {
            set(&mut command, name, value);
        }
    }
    for (name, value) in &place.job.secrets {
        set(&mut command, name, value);
    }
    if let Some(user) = place.user.filter(|user| !user.is_root()) {
        command.uid(user.user).gid(user.group);
    }
    command
        .env("HOME", &place.home)
        .env("TMPDIR", &place.temporary)
        .env("LANG", "C.UTF-8")
        .current_dir(folder)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
        .spawn()
        .map_err(|error| cannot_start(program, &error))
}

fn set(command: &mut Command, name: &str, value: &str) {
    // The system has no way to pass on such a variable; the specification refuses them.
    if !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0') {
        command.env(name, value);
    }
}

fn cannot_start(program: &str, error: &io::Error) -> String {
    let program: String = program.chars().take(200).collect();
    match error.kind() {
        io::ErrorKind::NotFound if program.contains('/') => {
            format!(
                "start `{program}`: there is no such file, or the interpreter that it names is missing"
            )
        }
        io::ErrorKind::NotFound => {
            format!("start `{program}`: there is no such program on PATH")
        }
        io::ErrorKind::PermissionDenied => {
            format!("start `{program}`: it is not executable")
        }
        _ => format!("start `{program}`: {error}"),
    }
}

/// The folder to run in, which links must not lead out of the workspace.
fn folder(workspace: &Path, folder: Option<&str>) -> Result<PathBuf, String> {
    let Some(folder) = folder else {
        return Ok(workspace.to_owned());
    };
    let shown: String = folder.chars().take(200).collect();
    let path = workspace
        .join(folder)
        .canonicalize()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => format!("run in `{shown}`: there is no such folder"),
            _ => format!("run in `{shown}`: {error}"),
        })?;
    if !path.starts_with(workspace) {
        return Err(format!("run in `{shown}`: it leads out of the workspace"));
    }
    if !path.is_dir() {
        return Err(format!("run in `{shown}`: it is not a folder"));
    }
    Ok(path)
}
