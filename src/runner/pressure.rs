//! Memory and disk of a container: what runs out, told in words instead of a bare signal.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::statvfs::statvfs;

use super::control::Signal;
use super::step::Place;

/// How often the disk is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Tells the job's thread when the job has filled more of the disk than `limit` bytes. What it has
/// filled is only counted when the disk as a whole has lost half of that.
pub(super) fn watch_disk(place: &Place<'_>, limit: u64, since: SystemTime) {
    let signals = place.signals.clone();
    let folder = place.workspace.clone();
    let Some(before) = free_bytes(&folder) else {
        return;
    };
    let _ = thread::Builder::new().spawn(move || {
        let mut last = before;
        loop {
            thread::sleep(LOOK);
            let Some(free) = free_bytes(&folder) else {
                return;
            };
            let suspicious = before.saturating_sub(free) > limit / 2 && free < last;
            last = free;
            if suspicious && filled_bytes(since) > limit {
                let _ = signals.send(Signal::DiskFull);
                return;
            }
        }
    });
}

/// How many processes of the container the system has ended for want of memory: of cgroup v2
/// (`memory.events`), else of v1 (`memory.oom_control`).
pub(super) fn out_of_memory_kills() -> u64 {
    [
        "/sys/fs/cgroup/memory.events",
        "/sys/fs/cgroup/memory/memory.oom_control",
    ]
    .into_iter()
    .filter_map(|path| fs::read_to_string(path).ok())
    .find_map(|text| {
        text.lines()
            .find_map(|line| line.strip_prefix("oom_kill "))
            .and_then(|count| count.trim().parse().ok())
    })
    .unwrap_or(0)
}

/// How much of the disk is free, in bytes.
fn free_bytes(folder: &Path) -> Option<u64> {
    let found = statvfs(folder).ok()?;
    Some(
        found
            .blocks_available()
            .saturating_mul(found.fragment_size()),
    )
}

/// What files that were changed since `since` take on the disk of `/`, in bytes.
fn filled_bytes(since: SystemTime) -> u64 {
    let since = since
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0));
    walkdir::WalkDir::new("/")
        .same_file_system(true)
        .into_iter()
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .filter(|found| found.is_file() && found.ctime() >= since)
        .map(|found| found.blocks().saturating_mul(512))
        .sum()
}
