//! Everything that a step started, found and ended.
//!
//! The runner is made the reaper of all its descendants (`PR_SET_CHILD_SUBREAPER`, prctl(2)), so
//! that a daemon that detaches itself becomes the runner's child instead of leaving its sight. The
//! tree is then read from `/proc/*/stat` (proc(5)). The runner has no other children.

use std::collections::HashMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// How long killing is repeated before what is left is given up.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a tree that is to end is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Makes this process the reaper of all its descendants, and closes its own `/proc` to them: a
/// step of the same user could else write into the streams to the server.
pub(super) fn adopt() {
    let _ = nix::sys::prctl::set_child_subreaper(true);
    let _ = nix::sys::prctl::set_dumpable(false);
}

/// A step's main process and all that it started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tree {
    /// The main process, which is also the leader of a process group. It is reaped by its owner,
    /// never here, so that its number stays its own.
    pub(super) main: Pid,
}

impl Tree {
    /// Asks all to end.
    pub(super) fn terminate(self) {
        for process in self.living() {
            let _ = kill(process, Signal::SIGTERM);
        }
    }

    /// Waits until nothing but perhaps the ended main process is left.
    pub(super) fn wait_empty(self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        loop {
            if self.living().is_empty() {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            pause();
        }
    }

    /// Ends all of it now.
    pub(super) fn kill(self) {
        let until = Instant::now() + PATIENCE;
        loop {
            let living = self.living();
            if living.is_empty() || Instant::now() >= until {
                return;
            }
            if Pid::this().as_raw() == 1 {
                // Of a container, where this is everything else: at once, so that nothing that
                // multiplies gets ahead.
                let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
            }
            for process in living {
                let _ = kill(process, Signal::SIGKILL);
            }
            pause();
        }
    }

    /// All descendants of the runner that still run; the dead are reaped on the way.
    fn living(self) -> Vec<Pid> {
        let processes = processes();
        if processes.is_empty() {
            // Without /proc there is the process group, which is most of it.
            return match nix::sys::signal::killpg(self.main, None) {
                Err(Errno::ESRCH) => Vec::new(),
                _ => vec![Pid::from_raw(-self.main.as_raw())],
            };
        }
        let runner = Pid::this().as_raw();
        let mut living = Vec::new();
        for (pid, process) in &processes {
            if *pid == runner || !descends(*pid, runner, &processes) {
                continue;
            }
            if !process.dead {
                living.push(Pid::from_raw(*pid));
            } else if process.parent == runner && *pid != self.main.as_raw() {
                let _ = waitpid(Pid::from_raw(*pid), Some(WaitPidFlag::WNOHANG));
            }
        }
        living
    }
}

struct Process {
    parent: i32,
    dead: bool,
}

fn processes() -> HashMap<i32, Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return HashMap::new();
    };
    entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name();
            let pid: i32 = name.to_str()?.parse().ok()?;
            let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, parse_stat(&String::from_utf8_lossy(&stat))?))
        })
        .collect()
}

/// `pid (name) state parent …`; the name may contain anything, also parentheses.
fn parse_stat(stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    Some(Process {
        parent: fields.next()?.parse().ok()?,
        dead: matches!(state, "Z" | "X" | "x"),
    })
}

fn descends(pid: i32, from: i32, processes: &HashMap<i32, Process>) -> bool {
    let mut at = pid;
    // The snapshot is not of one moment, so a circle is conceivable.
    for _ in 0..=processes.len() {
        match processes.get(&at) {
            Some(process) if process.parent == from => return true,
            Some(process) if process.parent > 0 => at = process.parent,
            _ => return false,
        }
    }
    false
}

fn pause() {
    thread::sleep(LOOK);
}

#[cfg(test)]
mod tests {
    use super::parse_stat;

    #[test]
    fn a_process_name_may_contain_parentheses() {
        let process = parse_stat("12 (a) R 1) Z 7 8 9").expect("a process");
        assert_eq!((process.parent, process.dead), (7, true));
        assert!(parse_stat("12 (a").is_none());
    }
}
