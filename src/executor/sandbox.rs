//! The sandbox of the `process` executor: what of this machine a step can see.
//!
//! Bubblewrap gives the job mount, pid, user, ipc, uts and network namespaces of its own: programs
//! and libraries of the system read-only, the checkout and a scratch folder to write to, nothing
//! else of the disk, no other processes, none of this machine's sockets. See bwrap(1).

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::{getgid, getuid};

/// Where a sandboxed step sees the checkout; absolute paths in its reports begin with it.
pub const WORKSPACE: &str = "/workspace";
/// Where a step sees its folder for `HOME` and `TMPDIR`.
pub(super) const SCRATCH: &str = "/scratch";
/// Where the runner's program is in the sandbox.
const RUNNER: &str = "/run/herald/runner";

/// Folders with programs and libraries.
const SYSTEM: [&str; 7] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32", "libexec"];
/// What programs look up in `/etc`, without accounts, keys and the machine's own settings.
const ETC: [&str; 18] = [
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "fonts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "maven",
    "mime.types",
    "perl",
    "pki",
    "protocols",
    "services",
    "ssl",
    "terminfo",
    "timezone",
];
/// Beginnings of names in `/etc` that carry a version.
const ETC_VERSIONED: [&str; 2] = ["java", "python"];
/// Parts of `/proc` through which the machine is set up. Where Herald runs as root, a step is root
/// to the files there even without a capability, and could so change `kernel.core_pattern`, say;
/// bubblewrap's own covers do not notice that.
const PROC_READ_ONLY: [&str; 6] = ["bus", "fs", "irq", "sys", "driver", "tty"];
/// Parts of `/proc` that tell of the machine, or act on it.
const PROC_HIDDEN: [&str; 18] = [
    "acpi",
    "asound",
    "interrupts",
    "kcore",
    "keys",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "mtrr",
    "sched_debug",
    "scsi",
    "slabinfo",
    "sysrq-trigger",
    "timer_list",
    "timer_stats",
    "vmallocinfo",
];
/// Folders in those of [`ETC`] that hold keys.
const KEYS: [&str; 2] = ["/etc/ssl/private", "/etc/pki/tls/private"];

/// How steps are kept apart from this machine.
#[derive(Debug, Clone)]
pub struct Sandbox {
    /// The program `bwrap`.
    pub bwrap: PathBuf,
    /// The program `slirp4netns`; without it a job has no network.
    pub slirp4netns: Option<PathBuf>,
    /// Further paths that steps may read, at the same place: tool chains outside of `/usr`. They
    /// must not contain the data directory.
    pub read_only: Vec<PathBuf>,
}

impl Sandbox {
    /// Finds the programs in the folders of `path` (as the variable `PATH`) and the usual ones.
    ///
    /// # Errors
    /// Words with the way out, when bubblewrap is missing.
    pub fn find(path: &str) -> Result<Self, String> {
        let find = |program: &str| {
            path.split(':')
                .chain(["/usr/bin", "/usr/local/bin", "/usr/sbin"])
                .map(Path::new)
                .filter(|folder| folder.is_absolute())
                .map(|folder| folder.join(program))
                .find(|file| file.is_file())
        };
        let bwrap = find("bwrap").ok_or_else(missing)?;
        Ok(Self {
            bwrap,
            slirp4netns: find("slirp4netns"),
            read_only: Vec::new(),
        })
    }

    /// The arguments of bubblewrap. `own` is a folder of the job that its steps do not see.
    pub(super) fn arguments(
        &self,
        program: &Path,
        workspace: &Path,
        scratch: &Path,
        own: &Path,
        network: bool,
    ) -> std::io::Result<Vec<OsString>> {
        let etc = own.join("etc");
        // Without privileges, bubblewrap gives a user other than 0 by a second user namespace
        // inside the one that owns the network, and slirp4netns cannot get into the outer one.
        let (user, group) = if network {
            (0, 0)
        } else {
            (getuid().as_raw(), getgid().as_raw())
        };
        write_etc(&etc, user, group, network)?;
        let mut list = Arguments::default();
        // User namespaces are asked for in so many words: `--unshare-all` goes on without them.
        list.words(&["--unshare-all", "--unshare-user", "--die-with-parent"]);
        // The runner is the first process: bubblewrap's own would hold its streams open to steps.
        list.words(&[
            "--as-pid-1",
            "--new-session",
            "--cap-drop",
            "ALL",
            "--clearenv",
        ]);
        list.words(&["--uid", &user.to_string(), "--gid", &group.to_string()]);
        list.words(&["--hostname", "herald", "--ro-bind", "/usr", "/usr"]);
        for name in SYSTEM {
            let path = Path::new("/").join(name);
            match fs::read_link(&path) {
                Ok(target) => list.pair("--symlink", &target, &path),
                Err(_) if path.is_dir() => list.pair("--ro-bind", &path, &path),
                Err(_) => {}
            }
        }
        list.words(&["--proc", "/proc", "--dev", "/dev"]);
        for name in PROC_READ_ONLY {
            let path = Path::new("/proc").join(name);
            list.pair("--ro-bind-try", &path, &path);
        }
        for name in PROC_HIDDEN {
            let path = Path::new("/proc").join(name);
            if path.is_dir() {
                list.words(&["--tmpfs", &path.to_string_lossy()]);
            } else if path.exists() {
                list.pair("--ro-bind", Path::new("/dev/null"), &path);
            }
        }
        list.words(&["--tmpfs", "/tmp", "--tmpfs", "/home", "--tmpfs", "/run"]);
        list.words(&[
            "--dir",
            "/etc",
            "--dir",
            "/var",
            "--symlink",
            "../tmp",
            "/var/tmp",
        ]);
        for path in etc_paths() {
            list.pair("--ro-bind-try", &path, &path);
        }
        for keys in KEYS.into_iter().filter(|keys| Path::new(keys).is_dir()) {
            list.words(&["--tmpfs", keys]);
        }
        for name in ["passwd", "group", "hosts", "nsswitch.conf", "resolv.conf"] {
            list.pair("--ro-bind", &etc.join(name), &Path::new("/etc").join(name));
        }
        for path in &self.read_only {
            list.pair("--ro-bind-try", path, path);
        }
        list.pair("--ro-bind", program, Path::new(RUNNER));
        list.pair("--bind", workspace, Path::new(WORKSPACE));
        list.pair("--bind", scratch, Path::new(SCRATCH));
        list.words(&["--chdir", WORKSPACE, "--", RUNNER]);
        Ok(list.0)
    }
}

/// What to say when bubblewrap is missing.
pub(super) fn missing() -> String {
    "start the sandbox: `bwrap` was not found; install bubblewrap, or set \
     HERALD_PROCESS_SANDBOX=off, with which a step can read what Herald can read"
        .to_owned()
}

#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn words(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(OsString::from));
    }

    fn pair(&mut self, option: &str, from: &Path, to: &Path) {
        self.0.push(option.into());
        self.0.push(from.into());
        self.0.push(to.into());
    }
}

fn etc_paths() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = ETC
        .iter()
        .map(|name| Path::new("/etc").join(name))
        .collect();
    for entry in fs::read_dir("/etc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if ETC_VERSIONED.iter().any(|start| name.starts_with(start)) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    paths
}

/// The files of `/etc` that tell of this machine, in a form that does not.
fn write_etc(etc: &Path, user: u32, group: u32, network: bool) -> std::io::Result<()> {
    let root = |line: &'static str, is_root: bool| if is_root { "" } else { line };
    let passwd = format!(
        "{}herald:x:{user}:{group}:Herald:{SCRATCH}/home:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
        root("root:x:0:0:root:/:/bin/sh\n", user == 0),
    );
    let groups = format!(
        "{}herald:x:{group}:\nnogroup:x:65534:\n",
        root("root:x:0:\n", group == 0),
    );
    let resolver = if network {
        super::network::RESOLVER
    } else {
        ""
    };
    fs::create_dir_all(etc)?;
    fs::write(etc.join("passwd"), passwd)?;
    fs::write(etc.join("group"), groups)?;
    fs::write(
        etc.join("hosts"),
        "127.0.0.1 localhost herald\n::1 localhost\n",
    )?;
    fs::write(
        etc.join("nsswitch.conf"),
        "passwd: files\ngroup: files\nhosts: files dns\n",
    )?;
    fs::write(etc.join("resolv.conf"), resolver)
}
