//! Finding report files and the files of a repository.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use globset::{GlobBuilder, GlobSetBuilder};

use super::screen::Screen;
use super::wrong;
use crate::report::{self, Collector, Index, Limits, Report};

/// Where tools put reports when nobody says where.
const TESTS: [&str; 4] = [
    "**/junit*.xml",
    "**/TEST-*.xml",
    "**/test-results/**/*.xml",
    "**/*.trx",
];
const COVERAGE: [&str; 4] = [
    "coverage.xml",
    "**/lcov.info",
    "**/jacoco*.xml",
    "**/cobertura*.xml",
];
/// Folders where nothing is looked for.
const NEVER: [&str; 3] = ["node_modules", "vendor", ".git"];
/// Endings of files that a folder is searched for.
const ENDINGS: [&str; 6] = ["xml", "trx", "info", "lcov", "json", "tap"];

/// Files below `dir` that match one of the globs, in order.
fn matching(dir: &Path, globs: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let glob = GlobBuilder::new(glob)
            .literal_separator(true)
            .build()
            .map_err(|error| wrong(format!("`{glob}` is no pattern: {error}")))?;
        set.add(glob);
    }
    let set = set.build().context("put patterns together")?;
    let mut found = Vec::new();
    let walk = walkdir::WalkDir::new(dir)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| !NEVER.iter().any(|never| entry.file_name() == *never));
    for entry in walk.flatten() {
        let path = entry.path().strip_prefix(dir).unwrap_or(entry.path());
        if entry.file_type().is_file() && set.is_match(path) {
            found.push(entry.path().to_owned());
        }
    }
    Ok(found)
}

/// The files that a path, folder or pattern of the command line means.
fn expand(text: &str) -> anyhow::Result<Vec<PathBuf>> {
    let path = Path::new(text);
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    if path.is_dir() {
        let mut found = Vec::new();
        for entry in walkdir::WalkDir::new(path).sort_by_file_name() {
            let entry = entry.with_context(|| format!("walk {text}"))?;
            let known = entry
                .path()
                .extension()
                .is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known));
            if entry.file_type().is_file() && known && !is_other(entry.path()) {
                found.push(entry.path().to_owned());
            }
        }
        if found.is_empty() {
            return Err(wrong(format!("there is no report in {text}")));
        }
        return Ok(found);
    }
    if !text.contains(['*', '?', '[', '{']) {
        return Err(wrong(format!("{text}: there is no such file or folder")));
    }
    // The folder before the first wildcard is where the search begins.
    let fixed: PathBuf = path
        .components()
        .take_while(|part| {
            !part
                .as_os_str()
                .to_string_lossy()
                .contains(['*', '?', '[', '{'])
        })
        .collect();
    let rest = path.strip_prefix(&fixed).unwrap_or(path);
    let start = if fixed.as_os_str().is_empty() {
        Path::new(".")
    } else {
        &fixed
    };
    some(matching(start, &[&rest.to_string_lossy()])?, text)
}

/// Whether a file that nobody named is no report at all, such as a `package.json`.
fn is_other(path: &Path) -> bool {
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(64 << 10).read_to_end(&mut head))
        .is_ok_and(|_| report::is_other_document(&head))
}

fn some(found: Vec<PathBuf>, text: &str) -> anyhow::Result<Vec<PathBuf>> {
    if found.is_empty() {
        return Err(wrong(format!("{text} matches no file")));
    }
    Ok(found)
}

/// The files that are asked for.
pub(super) struct Found {
    pub(super) files: Vec<PathBuf>,
    /// Whether standard input is one of them.
    pub(super) stdin: bool,
}

/// All files that are asked for; those in the usual places of `dir` where nothing is.
pub(super) fn find(paths: &[String], coverage: &[String], dir: &Path) -> anyhow::Result<Found> {
    let mut files = Vec::new();
    let mut stdin = false;
    for path in paths.iter().chain(coverage) {
        if path == "-" {
            stdin = true;
        } else {
            files.extend(expand(path)?);
        }
    }
    if paths.is_empty() && coverage.is_empty() {
        files = matching(dir, &[TESTS, COVERAGE].concat())?;
        if files.is_empty() {
            return Err(wrong(format!(
                "there are no reports in the usual places of {}; name files, folders or patterns",
                dir.display()
            )));
        }
    }
    Ok(Found { files, stdin })
}

/// Reads all reports that are asked for; see [`find`]. What `brief` leaves out is said at [`Collector::brief`].
pub(super) fn read(
    paths: &[String],
    coverage: &[String],
    dir: &Path,
    brief: bool,
    screen: &Screen,
) -> anyhow::Result<Report> {
    let Found { files, stdin } = find(paths, coverage, dir)?;
    let mut collector = Collector::new(Limits::default());
    if brief {
        collector = collector.brief();
    }
    if stdin {
        collector.read("-", std::io::stdin().lock());
    }
    let count = files.len();
    for (number, path) in files.iter().enumerate() {
        let name = path
            .strip_prefix("./")
            .unwrap_or(path)
            .display()
            .to_string();
        let file = File::open(path).map_err(|error| wrong(format!("read {name}: {error}")))?;
        let total = file.metadata().map_or(0, |metadata| metadata.len());
        let which = format!("{} of {count}: {name}", number + 1);
        screen.fleeting(&format!("reading {which}"));
        collector.read(
            &name,
            Watched {
                inner: file,
                which,
                total,
                done: 0,
                shown: 0,
                screen,
            },
        );
    }
    screen.fleeting("");
    Ok(collector.finish())
}

/// A file that says how much of it is read.
struct Watched<'a> {
    inner: File,
    which: String,
    total: u64,
    done: u64,
    /// How much was read when it was said last.
    shown: u64,
    screen: &'a Screen,
}

/// So many bytes are a step of the bar; a file with fewer needs none.
const STEP: u64 = 16 << 20;

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.done += u64::try_from(read).unwrap_or_default();
        if self.done - self.shown >= STEP {
            self.shown = self.done;
            let bar = super::view::bar(self.done, self.total, 30);
            let percent = self.done.min(self.total) * 100 / self.total.max(1);
            self.screen.fleeting(&format!(
                "reading {} {bar} {percent} % of {} MiB",
                self.which,
                self.total >> 20
            ));
        }
        Ok(read)
    }
}

/// The files of a repository: those that git knows, else all there are.
pub(super) fn index(dir: &Path) -> Index {
    let tracked = std::process::Command::new("git")
        .current_dir(dir)
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .output()
        .ok()
        .filter(|output| output.status.success());
    if let Some(output) = tracked {
        let list = String::from_utf8_lossy(&output.stdout).into_owned();
        return Index::new(
            list.split('\0')
                .filter(|path| !path.is_empty())
                .map(str::to_owned),
        );
    }
    let walk = walkdir::WalkDir::new(dir)
        .into_iter()
        .filter_entry(|entry| !NEVER.iter().any(|never| entry.file_name() == *never));
    Index::new(
        walk.flatten()
            .filter(|entry| entry.file_type().is_file())
            .filter_map(|entry| Some(entry.path().strip_prefix(dir).ok()?.to_str()?.to_owned())),
    )
}
