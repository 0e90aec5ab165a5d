//! Limits of memory, processor and processes for jobs on this machine, by control groups.
//!
//! Each job has a group of its own, `herald/<id>` below that of Herald, in the hierarchy of version
//! 2, or in those of version 1 that have the controllers (cgroups(7)). What is not there, or not
//! ours to change, is told in words, and the job does without that limit.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::ports::executor::Resources;

/// The folder of all groups of jobs.
const FOLDER: &str = "herald";
/// Where Herald itself goes in version 2, in which a group has either processes or groups.
const SERVER: &str = "herald-server";
/// How often removing a group is tried while its processes die.
const TRIES: u32 = 250;
/// How long is waited between two tries.
const PAUSE: Duration = Duration::from_millis(20);
/// Groups older than this that have no process are left over from a server that was killed.
const STALE: Duration = Duration::from_hours(1);
/// The period over which processor time is counted, in microseconds.
const PERIOD: u64 = 100_000;

/// Goes into the groups and becomes the program: the number of groups, the groups, the program
/// and its arguments. Only what the shell has built in.
pub(super) const ENTER: &str = "set -e; n=$1; shift; while [ \"$n\" -gt 0 ]; do \
     echo $$ >\"$1/cgroup.procs\"; shift; n=$((n - 1)); done; exec \"$@\"";

/// A resource that can be limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Controller {
    Memory,
    Cpu,
    Pids,
}

impl Controller {
    const ALL: [Self; 3] = [Self::Memory, Self::Cpu, Self::Pids];

    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
        }
    }

    /// What it limits, for people.
    fn words(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "processor time",
            Self::Pids => "processes",
        }
    }
}

/// The group of this process in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    /// The folder of the group.
    own: PathBuf,
    /// What it limits.
    controllers: Vec<Controller>,
    /// Whether it is of version 2.
    unified: bool,
}

/// Where groups of jobs can be made.
#[derive(Debug, Clone, Default)]
pub(super) struct Groups {
    /// The folders for groups, each with what it limits.
    bases: Vec<Hierarchy>,
    /// What cannot be limited here, in words.
    pub(super) missing: Option<String>,
}

impl Groups {
    /// Looks for what this process may use.
    pub(super) fn find() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let found = hierarchies(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
        let mut bases = Vec::new();
        let mut why = "there are no control groups".to_owned();
        for hierarchy in found {
            match prepare(&hierarchy) {
                Ok(Some(base)) => bases.push(base),
                Ok(None) => {}
                Err(error) => {
                    why = format!("{} cannot be used: {error}", hierarchy.own.display());
                }
            }
        }
        let without: Vec<&str> = Controller::ALL
            .into_iter()
            .filter(|wanted| !bases.iter().any(|base| base.controllers.contains(wanted)))
            .map(Controller::words)
            .collect();
        let missing = (!without.is_empty()).then(|| {
            let what = match without.as_slice() {
                [one] => (*one).to_owned(),
                [one, two] => format!("{one} and {two}"),
                _ => "memory, processor time and processes".to_owned(),
            };
            format!("limits of {what} are not enforced here: {why}")
        });
        Self { bases, missing }
    }

    /// Makes the group of a job.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn make(&self, job: &str, resources: &Resources) -> io::Result<Group> {
        let mut group = Group {
            folders: Vec::new(),
            memory: None,
        };
        for base in &self.bases {
            let folder = base.own.join(job);
            fs::create_dir_all(&folder)?;
            group.folders.push(folder.clone());
            for controller in &base.controllers {
                let limited = limit(&folder, *controller, base.unified, resources);
                if let Err(error) = limited {
                    group.remove();
                    return Err(error);
                }
                if *controller == Controller::Memory {
                    let events = if base.unified {
                        "memory.events"
                    } else {
                        "memory.oom_control"
                    };
                    group.memory = Some(folder.join(events));
                }
            }
        }
        Ok(group)
    }

    /// Removes what a server that was killed left behind. A group with processes stays.
    pub(super) fn sweep(&self, keep: &[String]) {
        for base in &self.bases {
            for entry in fs::read_dir(&base.own).into_iter().flatten().flatten() {
                let kept = keep
                    .iter()
                    .any(|job| *job == entry.file_name().to_string_lossy());
                let made = entry.metadata().and_then(|found| found.modified());
                let age = made
                    .ok()
                    .and_then(|made| SystemTime::now().duration_since(made).ok());
                if !kept && age.is_some_and(|age| age > STALE) {
                    let _ = fs::remove_dir(entry.path());
                }
            }
        }
    }
}

/// The group of one job, to be removed when all of the job is over.
#[derive(Debug)]
pub(super) struct Group {
    /// Its folders, one a hierarchy.
    folders: Vec<PathBuf>,
    /// The file that counts what was ended for want of memory.
    memory: Option<PathBuf>,
}

impl Group {
    /// Its folders, for [`ENTER`].
    pub(super) fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// How many processes the system has ended because the job needed too much memory.
    pub(super) fn out_of_memory_kills(&self) -> u64 {
        self.memory
            .as_ref()
            .and_then(|file| fs::read_to_string(file).ok())
            .and_then(|text| kills(&text))
            .unwrap_or(0)
    }

    /// Ends what is left in it, and removes it.
    pub(super) fn remove(&self) {
        for folder in &self.folders {
            for _ in 0..TRIES {
                match fs::remove_dir(folder) {
                    Ok(()) => break,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                    Err(_) => end(folder),
                }
                thread::sleep(PAUSE);
            }
        }
    }
}

/// Ends the processes of a group.
fn end(folder: &Path) {
    let procs = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    for pid in procs.lines().filter_map(|line| line.parse().ok()) {
        // 0 is one that this namespace does not see, and would mean ourselves.
        if pid > 1 {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// Makes the folder for groups; `None` where nothing can be limited.
fn prepare(hierarchy: &Hierarchy) -> io::Result<Option<Hierarchy>> {
    let mut base = hierarchy.clone();
    if hierarchy.unified {
        if base.own.ends_with(SERVER) {
            base.own.pop();
        }
        let offered = fs::read_to_string(base.own.join("cgroup.controllers"))?;
        base.controllers.retain(|wanted| {
            offered
                .split_ascii_whitespace()
                .any(|name| name == wanted.name())
        });
        if base.controllers.is_empty() {
            return Ok(None);
        }
        if let Err(error) = delegate(&base.own, &base.controllers) {
            // It has processes. When that is Herald alone, it moves aside.
            let own = std::process::id().to_string();
            let procs = fs::read_to_string(base.own.join("cgroup.procs"))?;
            if procs.lines().any(|pid| pid != own) {
                return Err(error);
            }
            let server = base.own.join(SERVER);
            fs::create_dir_all(&server)?;
            fs::write(server.join("cgroup.procs"), own)?;
            delegate(&base.own, &base.controllers)?;
        }
    }
    base.own.push(FOLDER);
    fs::create_dir_all(&base.own)?;
    if hierarchy.unified {
        delegate(&base.own, &base.controllers)?;
    }
    // Whether limits may be set shows when a group is made.
    let probe = base.own.join(format!("probe-{}", std::process::id()));
    fs::create_dir_all(&probe)?;
    let mut refused = None;
    base.controllers.retain(|controller| {
        let limited = limit(&probe, *controller, base.unified, &Resources::default());
        let fine = limited.is_ok();
        refused = refused.take().or(limited.err());
        fine
    });
    let _ = fs::remove_dir(&probe);
    match refused {
        Some(error) if base.controllers.is_empty() => Err(error),
        _ => Ok(Some(base)),
    }
}

/// Lets the groups below have controllers.
fn delegate(folder: &Path, controllers: &[Controller]) -> io::Result<()> {
    let words: Vec<String> = controllers
        .iter()
        .map(|controller| format!("+{}", controller.name()))
        .collect();
    fs::write(folder.join("cgroup.subtree_control"), words.join(" "))
}

fn limit(
    folder: &Path,
    controller: Controller,
    unified: bool,
    resources: &Resources,
) -> io::Result<()> {
    let write = |name: &str, value: String| fs::write(folder.join(name), value);
    // Where swap is not counted, there is no such file.
    let optional = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    };
    let memory = resources.memory_bytes.to_string();
    let quota = u64::from(resources.cpus_milli) * PERIOD / 1000;
    match (controller, unified) {
        (Controller::Memory, true) => {
            write("memory.max", memory)?;
            optional(write("memory.swap.max", "0".to_owned()))
        }
        (Controller::Memory, false) => {
            write("memory.limit_in_bytes", memory.clone())?;
            optional(write("memory.memsw.limit_in_bytes", memory))
        }
        (Controller::Cpu, true) => write("cpu.max", format!("{quota} {PERIOD}")),
        (Controller::Cpu, false) => {
            write("cpu.cfs_period_us", PERIOD.to_string())?;
            write("cpu.cfs_quota_us", quota.to_string())
        }
        (Controller::Pids, _) => write("pids.max", resources.pids.to_string()),
    }
}

/// The count in `memory.events` (version 2) or `memory.oom_control` (version 1).
fn kills(text: &str) -> Option<u64> {
    let count = text
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill "))?;
    count.trim().parse().ok()
}

/// The groups of a process, by `/proc/self/mountinfo` (proc(5)) and `/proc/self/cgroup`.
fn hierarchies(mounts: &str, groups: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    let mut unified = None;
    for mount in mounts.lines() {
        let Some((root, point, kind, options)) = parse_mount(mount) else {
            continue;
        };
        let is_unified = match kind {
            "cgroup" => false,
            "cgroup2" => true,
            _ => continue,
        };
        let controllers: Vec<Controller> = Controller::ALL
            .into_iter()
            .filter(|controller| {
                is_unified || options.split(',').any(|option| option == controller.name())
            })
            .filter(|controller| {
                !found
                    .iter()
                    .any(|other| other.controllers.contains(controller))
            })
            .collect();
        let Some(path) = own_path(groups, is_unified, &controllers) else {
            continue;
        };
        // Of a container's own view, the mount shows only a part of the whole.
        let inner = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
        let hierarchy = Hierarchy {
            own: Path::new(point).join(inner.strip_prefix("/").unwrap_or(inner)),
            controllers,
            unified: is_unified,
        };
        if is_unified {
            unified.get_or_insert(hierarchy);
        } else if !hierarchy.controllers.is_empty() {
            found.push(hierarchy);
        }
    }
    if let Some(mut unified) = unified {
        unified
            .controllers
            .retain(|wanted| !found.iter().any(|other| other.controllers.contains(wanted)));
        found.push(unified);
    }
    found
}

/// Root, mount point, type and options of the file system.
fn parse_mount(line: &str) -> Option<(&str, &str, &str, &str)> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(3);
    let mut after = after.split(' ');
    Some((before.next()?, before.next()?, after.next()?, after.nth(1)?))
}

fn own_path<'a>(groups: &'a str, unified: bool, controllers: &[Controller]) -> Option<&'a str> {
    groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (number, names, path) = (fields.next()?, fields.next()?, fields.next()?);
        let ours = if unified {
            number == "0" && names.is_empty()
        } else {
            names
                .split(',')
                .any(|name| controllers.iter().any(|wanted| wanted.name() == name))
        };
        ours.then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Controller, hierarchies, kills};

    #[test]
    fn the_hierarchies_of_version_1_are_found() {
        let mounts = "\
25 22 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
26 25 0:23 / /sys/fs/cgroup/cpu rw,relatime shared:7 - cgroup cgroup rw,cpu
27 25 0:24 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct
28 25 0:25 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
29 25 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";
        let groups = "4:memory:/docker/abc/deep\n2:cpuacct:/\n1:cpu:/\n0::/\n";
        let found = hierarchies(mounts, groups);
        let [cpu, memory, rest] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!(cpu.controllers, [Controller::Cpu]);
        assert_eq!(cpu.own, Path::new("/sys/fs/cgroup/cpu"));
        assert_eq!(memory.controllers, [Controller::Memory]);
        assert_eq!(memory.own, Path::new("/sys/fs/cgroup/memory/deep"));
        assert!(rest.unified && rest.controllers == [Controller::Pids]);
    }

    #[test]
    fn the_hierarchy_of_version_2_is_found() {
        let mounts = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        let groups = "0::/system.slice/herald.service\n";
        let found = hierarchies(mounts, groups);
        let [only] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert!(only.unified && only.controllers == Controller::ALL);
        let own = Path::new("/sys/fs/cgroup/system.slice/herald.service");
        assert_eq!(only.own, own);
        assert!(hierarchies("", groups).is_empty());
    }

    #[test]
    fn kills_are_counted_in_both_versions() {
        assert_eq!(
            kills("low 0\noom 3\noom_kill 2\noom_group_kill 0\n"),
            Some(2)
        );
        assert_eq!(
            kills("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
            Some(1)
        );
        assert_eq!(kills("oom_kill_disable 0\n"), None);
    }
}
