//! A way out of the sandbox's own network, without a way to this machine's loopback.
//!
//! A job has a network namespace of its own, in which no listener of Herald exists. `slirp4netns`
//! connects it to the outside from user space, without privileges; `--disable-host-loopback` keeps
//! this machine's 127.0.0.1 out of reach. See slirp4netns(1).

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The resolver that slirp4netns offers, as `/etc/resolv.conf`.
pub(super) const RESOLVER: &str = "nameserver 10.0.2.3\n";

/// Said in the log of a job without network.
pub(super) const NO_NETWORK: &str = "this job has no network: slirp4netns is not installed on the \
     server, and without it the sandbox cannot be connected without opening the server's own \
     loopback to the job";

/// How long slirp4netns may take to be ready.
const READY: Duration = Duration::from_secs(10);

/// Connects the network of the sandbox whose bubblewrap is process `bwrap`. The connection ends
/// with the returned process, which ends when the server does.
///
/// # Errors
/// Words that read after "failed to …".
pub(super) async fn connect(slirp4netns: &Path, bwrap: i32) -> Result<Child, String> {
    let failed = |why: String| format!("connect the sandbox to the network: {why}");
    let inner = child_of(bwrap).ok_or_else(|| failed("the sandbox is gone".to_owned()))?;
    let mut command = Command::new(slirp4netns);
    command
        .args(["--configure", "--mtu=65520", "--disable-host-loopback"])
        // Its stdin is a pipe that closes when the server dies; stdout tells when it is ready.
        .args(["--exit-fd=0", "--ready-fd=1"])
        .arg(format!("--userns-path=/proc/{inner}/ns/user"))
        .arg(inner.to_string())
        .arg("tap0")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command
        .spawn()
        .map_err(|error| failed(format!("{}: {error}", slirp4netns.display())))?;
    let mut ready = [0; 1];
    let read = match &mut child.stdout {
        Some(stdout) => timeout(READY, stdout.read(&mut ready)).await,
        None => Ok(Ok(0)),
    };
    if matches!(read, Ok(Ok(1))) {
        return Ok(child);
    }
    let _ = child.start_kill();
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        let mut stderr = stderr.take(2000);
        let _ = timeout(READY, stderr.read_to_string(&mut said)).await;
    }
    let said = said.trim().lines().last().unwrap_or("it gave no reason");
    Err(failed(format!("slirp4netns: {said}")))
}

/// The process that bubblewrap made in the new namespaces.
fn child_of(parent: i32) -> Option<i32> {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    if let Ok(children) = children
        && let Some(first) = children.split_ascii_whitespace().next()
    {
        return first.parse().ok();
    }
    // Kernels without CONFIG_PROC_CHILDREN.
    std::fs::read_dir("/proc")
        .ok()?
        .flatten()
        .find_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
            let stat = String::from_utf8_lossy(&stat).into_owned();
            let (_, rest) = stat.rsplit_once(')')?;
            let found: i32 = rest.split_ascii_whitespace().nth(1)?.parse().ok()?;
            (found == parent).then_some(pid)
        })
}
