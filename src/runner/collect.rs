//! The files that a job leaves behind: found, and sent.
//!
//! Only regular files inside the workspace, reached without a link, changed since the job began.
//! Whether git tracks a file unchanged is for the server to say.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use nix::fcntl::OFlag;
use walkdir::WalkDir;

use super::reports::{Again, Reports, Round};
use crate::protocol::{Collect, CollectKind, FileInfo, FromRunner, Job, Limits};

/// How many bytes of a file are in one message.
const CHUNK: usize = 256 * 1024;
/// The longest path of a file, in bytes.
const PATH: usize = 1024;
/// How many files and folders are looked at.
const ENTRIES: usize = 1_000_000;
/// Folders of things that others made.
const FOREIGN: [&str; 2] = ["node_modules", "vendor"];

/// Where test reports are when nobody says (section 5 of the contract).
const USUAL_TESTS: &[&str] = &[
    "**/junit*.xml",
    "**/TEST-*.xml",
    "**/test-results/**/*.xml",
    "**/*.trx",
];
/// Where coverage reports are when nobody says (section 5 of the contract).
const USUAL_COVERAGE: &[&str] = &[
    "coverage.xml",
    "**/lcov.info",
    "**/jacoco*.xml",
    "**/cobertura*.xml",
];

/// A set of globs with what its matches are.
struct Wanted {
    kind: CollectKind,
    globs: GlobSet,
    /// Those of [`FOREIGN`] that the globs name; the others are passed over.
    named: Vec<&'static str>,
}

/// A file to send.
pub(super) struct Found {
    info: FileInfo,
    path: PathBuf,
}

impl Found {
    /// The archive of the cache, of this size in bytes.
    pub(super) fn cache(path: PathBuf, size: u64) -> Self {
        Self {
            info: FileInfo {
                kind: CollectKind::Cache,
                path: "cache.tar".to_owned(),
                size,
                step: None,
            },
            path,
        }
    }
}

/// When steps began, by the clock that stamps files.
#[derive(Debug, Default)]
pub(super) struct Began(Mutex<Vec<(u32, SystemTime)>>);

impl Began {
    /// Notes that a step begins. Between two steps a tick of that clock passes, so that files of the one before are
    /// older.
    pub(super) fn note(&self, step: u32) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemTime::now();
        while !all.is_empty() && coarse() <= now {
            thread::sleep(Duration::from_millis(1));
        }
        all.push((step, now));
    }

    /// The step that was at work when a file was changed last.
    fn writer(&self, modified: SystemTime) -> Option<u32> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = all.iter().rev().find(|(_, began)| *began < modified);
        // Nobody was there before the first one.
        last.or(all.first()).map(|(step, _)| *step)
    }
}

/// The present by the clock that stamps files: the kernel reads it once a tick (`clock_gettime(2)`).
fn coarse() -> SystemTime {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(now.tv_nsec).unwrap_or(0);
    UNIX_EPOCH + Duration::new(seconds, nanos)
}

/// Finds what the job asks for. `since` is the moment when it began.
pub(super) fn find(
    job: &Job,
    workspace: &Path,
    since: SystemTime,
    began: &Began,
    reports: &Reports,
) -> Vec<Found> {
    let wanted: Vec<Wanted> = job.collect.iter().map(compile).collect();
    if wanted.iter().all(|wanted| wanted.globs.is_empty()) {
        return Vec::new();
    }
    let mut found = walk(&wanted, workspace, (since, began), reports);
    found.sort_by(|a, b| {
        let key = |found: &Found| (found.info.kind as u8, found.info.path.clone());
        key(a).cmp(&key(b))
    });
    found
}

/// Sends files, within the limits.
pub(super) fn send(
    found: &[Found],
    limits: Limits,
    round: Round,
    reports: &Reports,
) -> Result<(), Again> {
    let say = |text: String| reports.send_in(round, &FromRunner::Note { text });
    let mut total = 0u64;
    let mut sent = 0u32;
    for (index, file) in found.iter().enumerate() {
        let path = &file.info.path;
        let size = file.info.size;
        if sent >= limits.files {
            let rest = found.len() - index;
            return say(format!(
                "{rest} more files match; only {sent} are collected"
            ));
        }
        if size > limits.file_bytes || total.saturating_add(size) > limits.total_bytes {
            say(format!(
                "{path} is not collected: {size} bytes are over the limit"
            ))?;
            continue;
        }
        total += size;
        sent += 1;
        send_file(file, round, reports)?;
    }
    Ok(())
}

fn compile(collect: &Collect) -> Wanted {
    let texts: Vec<&str> = match (collect.defaults, collect.kind) {
        (true, CollectKind::Tests) => USUAL_TESTS.to_vec(),
        (true, CollectKind::Coverage) => USUAL_COVERAGE.to_vec(),
        (_, _) => collect.globs.iter().map(String::as_str).collect(),
    };
    let mut set = GlobSetBuilder::new();
    for text in &texts {
        let text = text.strip_prefix("./").unwrap_or(text);
        if let Ok(glob) = GlobBuilder::new(text).literal_separator(true).build() {
            set.add(glob);
        }
    }
    Wanted {
        kind: collect.kind,
        globs: set.build().unwrap_or_else(|_| GlobSet::empty()),
        named: FOREIGN
            .into_iter()
            .filter(|folder| {
                texts
                    .iter()
                    .any(|text| text.split('/').any(|part| part == *folder))
            })
            .collect(),
    }
}

fn walk(
    wanted: &[Wanted],
    workspace: &Path,
    (since, began): (SystemTime, &Began),
    reports: &Reports,
) -> Vec<Found> {
    let mut found = Vec::new();
    let walk = WalkDir::new(workspace).follow_links(false).max_depth(64);
    let entries = walk.into_iter().filter_entry(|entry| {
        let name = entry.file_name();
        let foreign = FOREIGN.iter().find(|folder| name == **folder);
        name != ".git"
            && foreign.is_none_or(|folder| {
                !entry.file_type().is_dir()
                    || wanted.iter().any(|wanted| wanted.named.contains(folder))
            })
    });
    for (count, entry) in entries.enumerate() {
        if count >= ENTRIES {
            note(
                reports,
                format!("only {ENTRIES} files and folders are looked at"),
            );
            break;
        }
        let Ok(entry) = entry else { continue };
        if !entry.file_type().is_file() {
            continue;
        }
        let Ok(relative) = entry.path().strip_prefix(workspace) else {
            continue;
        };
        let matching = wanted.iter().filter(|wanted| {
            wanted.globs.is_match(relative)
                && relative.iter().all(|part| {
                    FOREIGN
                        .iter()
                        .all(|folder| part != *folder || wanted.named.contains(folder))
                })
        });
        for wanted in matching {
            let Some(path) = relative.to_str() else {
                let shown = relative.display();
                note(
                    reports,
                    format!("{shown} is not collected: its name is not UTF-8"),
                );
                continue;
            };
            if path.contains('\\') || path.len() > PATH {
                // The server takes neither, and a job is not lost for it.
                let shown: String = path.chars().take(200).collect();
                let why = format!("its path has a backslash or over {PATH} bytes");
                note(reports, format!("{shown} is not collected: {why}"));
                continue;
            }
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
            if modified < since {
                continue;
            }
            found.push(Found {
                info: FileInfo {
                    kind: wanted.kind,
                    path: path.to_owned(),
                    size: metadata.len(),
                    step: began.writer(modified),
                },
                path: entry.path().to_owned(),
            });
        }
    }
    found
}

fn send_file(found: &Found, round: Round, reports: &Reports) -> Result<(), Again> {
    let path = &found.info.path;
    let file = match open(&found.path) {
        Ok(file) => file,
        Err(error) => {
            let text = format!("{path} is not collected: {error}");
            return reports.send_in(round, &FromRunner::Note { text });
        }
    };
    reports.send_in(round, &FromRunner::FileStart(found.info.clone()))?;
    let mut rest = found.info.size;
    let mut file = file.take(rest);
    let mut block = vec![0; CHUNK];
    while rest > 0 {
        match file.read(&mut block) {
            Ok(0) => break,
            Ok(length) => {
                rest = rest.saturating_sub(length as u64);
                let bytes = block.get(..length).unwrap_or_default().to_vec();
                reports.send_in(round, &FromRunner::FileChunk { bytes })?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    let complete = rest == 0;
    reports.send_in(round, &FromRunner::FileEnd { complete })
}

/// Opens a file that was a regular one a moment ago, and must still be.
fn open(path: &Path) -> Result<File, String> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
        .map_err(|error| error.to_string())?;
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(file),
        Ok(_) => Err("it is not a regular file".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The present by the clock that stamps files, which lags behind the other one by up to a tick.
pub(super) fn file_clock(folder: &Path) -> SystemTime {
    let mark = folder.join("began");
    fs::write(&mark, "")
        .and_then(|()| fs::metadata(&mark)?.modified())
        .unwrap_or_else(|_| SystemTime::now() - Duration::from_millis(20))
}

fn note(reports: &Reports, text: String) {
    reports.send(&FromRunner::Note { text });
}
