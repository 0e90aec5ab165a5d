//! A repository on this machine, as git sees it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::wrong;
use crate::ports::source::TreeEntry;

/// What git says of the folder; empty where it is no repository.
pub(super) struct Checkout {
    dir: PathBuf,
    pub(super) branch: String,
    pub(super) commit: String,
    pub(super) files: Vec<TreeEntry>,
    pub(super) changed: Option<Vec<String>>,
    pub(super) diff: Option<String>,
    /// Where it left the base, with `--base`.
    pub(super) left: Option<String>,
    /// How many commits the base has beyond that.
    pub(super) behind: Option<u64>,
}

impl Checkout {
    pub(super) fn read(dir: &Path, base: Option<&str>) -> anyhow::Result<Self> {
        let git = |arguments: &[&str]| git(dir, arguments);
        let staged = git(&["ls-files", "-s", "-z"]).unwrap_or_default();
        let blobs: HashMap<&str, &str> = staged
            .split('\0')
            .filter_map(|line| {
                let (head, path) = line.split_once('\t')?;
                Some((path, head.split(' ').nth(1)?))
            })
            .collect();
        let files = list(dir)
            .iter()
            .filter_map(|path| path.to_str())
            .map(|path| TreeEntry {
                path: path.to_owned(),
                // Untracked files have none: they are never taken for unchanged ones.
                blob: blobs.get(path).copied().unwrap_or_default().to_owned(),
            })
            .collect();
        let from = base
            .map(|base| {
                if base.starts_with('-') {
                    return Err(wrong(format!("--base: `{base}` is no branch or commit")));
                }
                git(&["merge-base", "HEAD", base])
                    .ok_or_else(|| wrong(format!("--base: git knows no common commit with {base}")))
            })
            .transpose()?;
        // What git does not know yet is built, so it is part of the change.
        let untracked = git(&["ls-files", "-z", "--others", "--exclude-standard"]);
        let untracked = untracked.unwrap_or_default();
        let against = |arguments: &[&str]| {
            let from = from.as_deref()?;
            git(&[arguments, &[from, "--"]].concat())
        };
        Ok(Self {
            dir: dir.to_owned(),
            branch: git(&["symbolic-ref", "--short", "-q", "HEAD"]).unwrap_or_default(),
            commit: git(&["rev-parse", "HEAD"]).unwrap_or_default(),
            files,
            changed: against(&["diff", "--name-only", "-z"]).map(|list| {
                list.split('\0')
                    .filter(|path| !path.is_empty())
                    .map(str::to_owned)
                    .collect()
            }),
            diff: against(&["diff", "--no-color", "--no-ext-diff", "-U0"])
                .map(|diff| diff + "\n" + &added(dir, &untracked)),
            behind: base
                .and_then(|base| git(&["rev-list", "--count", &format!("HEAD..{base}"), "--"]))
                .and_then(|count| count.parse().ok()),
            left: from,
        })
    }

    /// A file of a commit.
    pub(super) fn file_at(&self, commit: &str, path: &str) -> Option<String> {
        git(&self.dir, &["show", &format!("{commit}:{path}")])
    }

    /// The files of a commit.
    pub(super) fn files_at(&self, commit: &str) -> Vec<TreeEntry> {
        let listed = git(&self.dir, &["ls-tree", "-r", "-z", commit]).unwrap_or_default();
        let entries = listed.split('\0').filter_map(|line| {
            let (head, path) = line.split_once('\t')?;
            Some(TreeEntry {
                path: path.to_owned(),
                blob: head.split(' ').nth(2)?.to_owned(),
            })
        });
        entries.collect()
    }

    /// Writes the files of a commit into a folder, without touching the repository's own index.
    pub(super) fn write_out(&self, commit: &str, into: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(into).context("make a folder for the base")?;
        let index = into.with_extension("index");
        let prefix = format!("--prefix={}/", into.display());
        for arguments in [
            &["read-tree", commit][..],
            &["checkout-index", "-a", &prefix],
        ] {
            let output = Command::new("git")
                .current_dir(&self.dir)
                .env("GIT_INDEX_FILE", &index)
                .args(arguments)
                .output()
                .context("start git")?;
            anyhow::ensure!(
                output.status.success(),
                "write out {commit}: git {}: {}",
                arguments.first().unwrap_or(&""),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }

    /// The folder of the repository's own where results are kept; `None` where it is no repository.
    pub(super) fn kept(&self) -> Option<PathBuf> {
        let dir = git(&self.dir, &["rev-parse", "--git-common-dir"])?;
        Some(self.dir.join(dir).join("herald"))
    }

    /// Copies its files.
    pub(super) fn copy_to(&self, target: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(target).context("make a folder for the copy")?;
        for file in &self.files {
            let path = Path::new(&file.path);
            let (from, to) = (self.dir.join(path), target.join(path));
            if let Some(parent) = to.parent() {
                std::fs::create_dir_all(parent)?;
            }
            let Ok(kind) = from.symlink_metadata() else {
                // Deleted, but git's index still has it.
                continue;
            };
            if kind.is_symlink() {
                std::os::unix::fs::symlink(std::fs::read_link(&from)?, &to)?;
            } else if kind.is_file() {
                std::fs::copy(&from, &to).with_context(|| format!("copy {}", path.display()))?;
            }
        }
        Ok(())
    }
}

/// Tracked files and untracked ones that are not ignored; all files where the folder is no
/// repository.
fn list(dir: &Path) -> Vec<PathBuf> {
    let listed = git(
        dir,
        &[
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
    );
    match listed {
        Some(list) => list
            .split('\0')
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
            .collect(),
        None => walkdir::WalkDir::new(dir)
            .into_iter()
            .flatten()
            .filter(|entry| !entry.file_type().is_dir())
            .filter_map(|entry| Some(entry.path().strip_prefix(dir).ok()?.to_owned()))
            .collect(),
    }
}

/// What git prints; `None` when it fails.
fn git(dir: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .current_dir(dir)
        .args(arguments)
        .output()
        .ok()?;
    output.status.success().then(|| {
        String::from_utf8_lossy(&output.stdout)
            .trim_end_matches('\n')
            .to_owned()
    })
}

/// Files that git does not know yet, of a list that ends each with a zero byte, as a diff that adds them.
fn added(dir: &Path, untracked: &str) -> String {
    let mut diff = String::new();
    for path in untracked.split('\0').filter(|path| !path.is_empty()) {
        // What is no text has no lines that could be executed.
        let Ok(text) = std::fs::read_to_string(dir.join(path)) else {
            continue;
        };
        let lines = text.lines().count();
        diff.push_str(&format!(
            "--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{lines} @@\n"
        ));
        for line in text.lines() {
            diff.push_str(&format!("+{line}\n"));
        }
    }
    diff
}
