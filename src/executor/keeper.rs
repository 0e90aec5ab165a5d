//! The runner's process, from start to end, on a thread of its own.
//!
//! A thread of its own because bubblewrap's `--die-with-parent` (`PR_SET_PDEATHSIG`, prctl(2))
//! means the thread that started it, not the process: a worker of an async runtime may end while
//! the server lives. The process is reaped only under the lock, so that a kill never meets the
//! number of another process.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use tokio::sync::oneshot;

use super::cgroup::Group;

/// How long a runner without sandbox may take to end its steps before it is killed itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// The streams of a started process.
pub(super) struct Streams {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

/// A process that does not outlive this value.
pub(super) struct Keeper {
    /// The process, until it is reaped.
    process: Arc<Mutex<Option<Pid>>>,
    /// Whether killing the process ends all below it.
    contains: bool,
    /// Folders to delete when all is over.
    folders: Vec<PathBuf>,
    /// The control group to remove when all is over.
    group: Option<Arc<Group>>,
}

impl Keeper {
    /// Starts the process. `contains` says whether killing it ends all that it started.
    pub(super) async fn start(
        mut command: Command,
        contains: bool,
        folders: Vec<PathBuf>,
        group: Option<Arc<Group>>,
    ) -> Result<(Self, Streams), String> {
        let process = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&process);
        let (started, wait) = oneshot::channel();
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let thread = thread::Builder::new().name("job".to_owned());
        thread
            .spawn(move || {
                let mut child = match command.spawn() {
                    Ok(child) => child,
                    Err(error) => {
                        let _ = started.send(Err(error.to_string()));
                        return;
                    }
                };
                let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
                let pid = i32::try_from(child.id()).map(Pid::from_raw).ok();
                set(&slot, pid);
                if let (Some(stdin), Some(stdout), Some(stderr)) = streams {
                    // When nobody waits any more, the dropped streams end the runner.
                    let _ = started.send(Ok(Streams {
                        stdin,
                        stdout,
                        stderr,
                    }));
                }
                if let Some(pid) = pid {
                    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
                    while let Err(nix::errno::Errno::EINTR) = waitid(Id::Pid(pid), flags) {}
                }
                set(&slot, None);
                let _ = child.wait();
            })
            .map_err(|error| error.to_string())?;
        let streams = wait
            .await
            .map_err(|_| "the thread of the job ended".to_owned())??;
        let keeper = Self {
            process,
            contains,
            folders,
            group,
        };
        Ok((keeper, streams))
    }

    /// The number of the process, while it runs.
    pub(super) fn pid(&self) -> Option<i32> {
        get(&self.process).map(Pid::as_raw)
    }
}

impl Drop for Keeper {
    /// Its streams are closed by now, at which the runner ends its steps and itself.
    fn drop(&mut self) {
        let process = Arc::clone(&self.process);
        let folders = std::mem::take(&mut self.folders);
        let group = self.group.take();
        let patience = if self.contains {
            Duration::ZERO
        } else {
            PATIENCE
        };
        let clean = move || {
            let until = Instant::now() + patience;
            while get(&process).is_some() {
                if Instant::now() >= until {
                    kill(&process);
                }
                thread::sleep(Duration::from_millis(5));
            }
            if let Some(group) = group {
                group.remove();
            }
            for folder in folders {
                remove(&folder);
            }
        };
        if self.contains {
            kill(&self.process);
        }
        let _ = thread::Builder::new()
            .name("job-end".to_owned())
            .spawn(clean);
    }
}

fn set(slot: &Mutex<Option<Pid>>, pid: Option<Pid>) {
    if let Ok(mut slot) = slot.lock() {
        *slot = pid;
    }
}

fn get(slot: &Mutex<Option<Pid>>) -> Option<Pid> {
    slot.lock().ok().and_then(|slot| *slot)
}

fn kill(slot: &Mutex<Option<Pid>>) {
    if let Ok(slot) = slot.lock()
        && let Some(pid) = *slot
    {
        let _ = killpg(pid, Signal::SIGKILL);
    }
}

/// Deletes a folder that steps have written to. They may have taken the permission to write away
/// from it (Go's module cache does); links are not followed.
fn remove(folder: &std::path::Path) {
    // The last processes of a sandbox may still be dying, with a file half made.
    for _ in 0..10 {
        if fs::remove_dir_all(folder).is_ok() || !folder.exists() {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    for entry in walkdir::WalkDir::new(folder).into_iter().flatten() {
        if entry.file_type().is_dir() {
            let _ = fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o700));
        }
    }
    if let Err(error) = fs::remove_dir_all(folder) {
        tracing::warn!(
            folder = %folder.display(),
            %error,
            "failed to delete the folder of a job: {}",
            folder.display()
        );
    }
}
