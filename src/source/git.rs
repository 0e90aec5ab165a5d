//! Mirrors, checkouts, and what is read from them.

use std::collections::HashMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::command::{Call, Credential, Git};
use super::fault;
use crate::ports::error::{Kind, PortError, Result};
use crate::ports::source::{LandedCommit, Merged, Remote, Source, TreeEntry};

/// How long fetching may take.
const FETCH: Duration = Duration::from_mins(30);
/// The largest single file that is read, in bytes.
const FILE: u64 = 32 * 1024 * 1024;
/// The largest diff that is read, in bytes.
const DIFF: u64 = 128 * 1024 * 1024;

/// How git is used.
#[derive(Debug, Clone)]
pub struct GitOptions {
    /// The program.
    pub program: PathBuf,
    /// The folder of the mirrors; made when it is needed.
    pub folder: PathBuf,
    /// All that git sees of an environment: `PATH`, and where they are set the proxies and
    /// certificates (`HTTPS_PROXY`, `NO_PROXY`, `GIT_SSL_CAINFO`).
    pub environment: Vec<(String, String)>,
    /// Whether `file://` addresses may be fetched from.
    pub allow_files: bool,
}

/// The repositories' history and files, through `git` (2.30 or newer).
#[derive(Debug)]
pub struct GitSource {
    git: Git,
    folder: PathBuf,
    /// One fetch at a time into each mirror.
    locks: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl GitSource {
    /// A source with these options.
    pub fn new(options: GitOptions) -> Self {
        Self {
            git: Git {
                program: options.program,
                environment: options.environment,
                allow_files: options.allow_files,
            },
            folder: options.folder,
            locks: Mutex::new(HashMap::new()),
        }
    }

    /// The mirror of a repository.
    fn mirror(&self, repository: &str) -> Result<PathBuf> {
        let safe = !repository.is_empty()
            && repository.len() <= 200
            && !repository.starts_with(['.', '-'])
            && repository.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte)
            });
        if safe {
            Ok(self.folder.join(format!("{repository}.git")))
        } else {
            Err(PortError::refused(
                "open a repository: its id is no file name",
            ))
        }
    }

    pub(super) fn git(&self) -> &Git {
        &self.git
    }

    /// The mirror of a repository in which these commits are.
    pub(super) async fn with(&self, repository: &str, commits: &[&str]) -> Result<PathBuf> {
        let mirror = self.mirror(repository)?;
        for commit in commits {
            if !self.has(&mirror, commit).await? {
                return Err(PortError::gone(format!(
                    "read commit {commit}: it was not fetched"
                )));
            }
        }
        Ok(mirror)
    }

    /// How many commits a commit or a range stands for.
    async fn count(&self, mirror: &Path, range: &str) -> Result<u64> {
        let arguments = ["rev-list", "--count", range, "--"];
        let answer = self.git.must(Call::read(mirror), &arguments).await?;
        text(&answer)
            .parse()
            .map_err(|_| PortError::transient("count commits: git gave no number"))
    }

    /// Whether a commit of the mirror has one of the names.
    async fn names(&self, mirror: &Path, names: &[String]) -> Result<bool> {
        // One that was being made when the server was killed.
        if !mirror.join("HEAD").is_file() {
            return Ok(false);
        }
        for name in names {
            for place in ["--author", "--committer", "--grep"] {
                let place = format!("{place}={name}");
                let arguments = [
                    "log",
                    "--all",
                    "--max-count=1",
                    "--format=%H",
                    "--regexp-ignore-case",
                    "--fixed-strings",
                    &place,
                    "--",
                ];
                let answer = self.git.must(Call::read(mirror), &arguments).await?;
                if !text(&answer).is_empty() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn has(&self, mirror: &Path, commit: &str) -> Result<bool> {
        check_commit(commit)?;
        if !mirror.join("HEAD").is_file() {
            return Ok(false);
        }
        let name = format!("{commit}^{{commit}}");
        let answer = self
            .git
            .call(Call::read(mirror), &["cat-file", "-e", &name])
            .await?;
        Ok(answer.success())
    }

    fn lock(&self, repository: &str) -> Arc<tokio::sync::Mutex<()>> {
        match self.locks.lock() {
            Ok(mut locks) => Arc::clone(locks.entry(repository.to_owned()).or_default()),
            Err(_) => Arc::default(),
        }
    }

    async fn make_mirror(&self, mirror: &Path, commit: &str) -> Result<()> {
        let made = tokio::fs::create_dir_all(mirror).await;
        made.map_err(|error| {
            PortError::transient(format!("make the folder {}: {error}", mirror.display()))
        })?;
        if !mirror.join("HEAD").is_file() {
            let format = object_format(commit);
            let arguments = ["init", "--quiet", "--bare", "--template=", format, "."];
            self.git.must(Call::read(mirror), &arguments).await?;
        }
        // Checkouts are fetched from here by commit.
        let arguments = ["config", "uploadpack.allowAnySHA1InWant", "true"];
        self.git.must(Call::read(mirror), &arguments).await?;
        Ok(())
    }

    async fn fetch_one(&self, mirror: &Path, remote: &Remote, from: &str, to: &str) -> Result<()> {
        let base = base(&remote.url)?;
        let call = Call {
            credential: remote
                .credential
                .as_ref()
                .map(|token| Credential { base, token }),
            limit: FETCH,
            ..Call::read(mirror)
        };
        let refspec = format!("+{from}:{to}");
        let arguments = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
            "--",
            &remote.url,
            &refspec,
        ];
        self.git.must(call, &arguments).await.map(|_| ())
    }
}

/// Waits until no other process has the lock, which goes with the value.
async fn lock_file(path: PathBuf) -> Result<File> {
    let shown = path.display().to_string();
    let lock = move || {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = File::create(&path)?;
        file.lock()?;
        Ok::<_, std::io::Error>(file)
    };
    let refused = |why: String| PortError::transient(format!("lock {shown}: {why}"));
    tokio::task::spawn_blocking(lock)
        .await
        .map_err(|error| refused(error.to_string()))?
        .map_err(|error| refused(error.to_string()))
}

/// Only a full id is a commit here: no branch, no range, no option.
fn check_commit(commit: &str) -> Result<()> {
    let hex = commit
        .bytes()
        .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if hex && matches!(commit.len(), 40 | 64) {
        Ok(())
    } else {
        let shown: String = commit.chars().take(80).collect();
        Err(PortError::refused(format!(
            "read a commit: `{shown}` is not a full commit id"
        )))
    }
}

/// The option of `git init` for repositories with commits of this kind.
fn object_format(commit: &str) -> &'static str {
    if commit.len() == 64 {
        "--object-format=sha256"
    } else {
        "--object-format=sha1"
    }
}

/// Only a plain full name is a ref here.
fn is_plain_ref(name: &str) -> bool {
    name.starts_with("refs/")
        && name.len() <= 300
        && !name.contains("..")
        && !name.contains("//")
        && !name.ends_with(['/', '.'])
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/_.-".contains(&byte))
}

/// `https://host/` of an address, for which a credential is meant.
fn base(url: &str) -> Result<String> {
    let wrong = |why: &str| {
        Err(PortError::refused(format!(
            "fetch from a repository: {why}"
        )))
    };
    let Some((scheme, rest)) = url.split_once("://") else {
        return wrong("its address has no scheme");
    };
    if !matches!(scheme, "http" | "https" | "file") {
        return wrong("its address is neither http nor https");
    }
    if url.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return wrong("its address has white space");
    }
    let host = rest.split('/').next().unwrap_or_default();
    if host.contains('@') {
        return wrong("its address has a credential in it");
    }
    Ok(format!("{scheme}://{host}/"))
}

#[async_trait]
impl Source for GitSource {
    async fn fetch(&self, remote: &Remote, commit: &str, refs: &[String]) -> Result<()> {
        let mirror = self.mirror(&remote.id)?;
        base(&remote.url)?;
        if self.has(&mirror, commit).await? {
            return Ok(());
        }
        let lock = self.lock(&remote.id);
        let _one_at_a_time = lock.lock().await;
        if self.has(&mirror, commit).await? {
            return Ok(());
        }
        // Other processes may share the folder.
        let _alone = lock_file(mirror.with_extension("lock")).await?;
        if self.has(&mirror, commit).await? {
            return Ok(());
        }
        self.make_mirror(&mirror, commit).await?;
        let kept = format!("refs/herald/{commit}");
        let mut last = match self.fetch_one(&mirror, remote, commit, &kept).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        for name in refs.iter().filter(|name| is_plain_ref(name)) {
            // Only a commit that the server will not give by its id is worth another way.
            if last.kind != Kind::Gone {
                return Err(last);
            }
            match self.fetch_one(&mirror, remote, name, &kept).await {
                Ok(()) if self.has(&mirror, commit).await? => return Ok(()),
                Ok(()) => {
                    last = PortError::gone(format!("fetch {commit}: {name} is elsewhere by now"));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn tip(&self, remote: &Remote, branch: &str) -> Result<Option<String>> {
        let name = format!("refs/heads/{branch}");
        let base = base(&remote.url)?;
        if !is_plain_ref(&name) {
            return Ok(None);
        }
        let call = Call {
            credential: remote
                .credential
                .as_ref()
                .map(|token| Credential { base, token }),
            ..Call::read(&self.folder)
        };
        let made = tokio::fs::create_dir_all(&self.folder).await;
        made.map_err(|error| {
            PortError::transient(format!(
                "make the folder {}: {error}",
                self.folder.display()
            ))
        })?;
        let arguments = ["ls-remote", "--quiet", "--", &remote.url, &name];
        let listing = text(&self.git.must(call, &arguments).await?);
        let commit = listing.split_whitespace().next().map(str::to_owned);
        if let Some(commit) = &commit {
            check_commit(commit)?;
        }
        Ok(commit)
    }

    async fn merge(&self, repository: &str, base: &str, head: &str) -> Result<Merged> {
        self.merged(repository, base, head).await
    }

    async fn checkout(&self, repository: &str, commit: &str, into: &Path) -> Result<()> {
        let mirror = self.with(repository, &[commit]).await?;
        let made = tokio::fs::create_dir_all(into).await;
        made.map_err(|error| {
            PortError::transient(format!("make the folder {}: {error}", into.display()))
        })?;
        let mirror = mirror
            .canonicalize()
            .map_err(|error| PortError::transient(format!("open a mirror: {error}")))?;
        let format = object_format(commit);
        let init = ["init", "--quiet", "--template=", format, "."];
        self.git.must(Call::read(into), &init).await?;
        // Copied, not linked or borrowed: the job may write to what it gets.
        let from = format!("file://{}", mirror.display());
        let refspec = format!("+{commit}:refs/heads/herald");
        let fetch = [
            "fetch",
            "--quiet",
            "--depth=1",
            "--no-tags",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
            "--",
            &from,
            &refspec,
        ];
        let call = Call {
            local: true,
            limit: FETCH,
            ..Call::read(into)
        };
        self.git.must(call, &fetch).await?;
        let call = Call {
            limit: FETCH,
            ..Call::read(into)
        };
        let checkout = ["checkout", "--quiet", "--force", "--detach", commit, "--"];
        self.git.must(call, &checkout).await?;
        let forget = ["update-ref", "-d", "refs/heads/herald"];
        self.git.must(Call::read(into), &forget).await?;
        Ok(())
    }

    async fn tree(&self, repository: &str, commit: &str) -> Result<Vec<TreeEntry>> {
        let mirror = self.with(repository, &[commit]).await?;
        let arguments = ["ls-tree", "-r", "-z", "--full-tree", commit, "--"];
        let listing = self.git.must(Call::read(&mirror), &arguments).await?;
        Ok(entries(&listing)
            .filter(|entry| entry.kind == "blob")
            .map(|entry| TreeEntry {
                path: entry.path,
                blob: entry.id,
            })
            .collect())
    }

    async fn file(&self, repository: &str, commit: &str, path: &str) -> Result<Option<Vec<u8>>> {
        let mirror = self.with(repository, &[commit]).await?;
        let arguments = ["ls-tree", "-z", "--full-tree", commit, "--", path];
        let listing = self.git.must(Call::read(&mirror), &arguments).await?;
        // A link is not followed: where it leads may be outside.
        let found = entries(&listing)
            .find(|entry| entry.path == path && entry.kind == "blob" && entry.mode != "120000");
        let Some(entry) = found else {
            return Ok(None);
        };
        let call = Call {
            largest: FILE,
            ..Call::read(&mirror)
        };
        let bytes = self
            .git
            .must(call, &["cat-file", "blob", &entry.id])
            .await?;
        Ok(Some(bytes))
    }

    async fn merge_base(&self, repository: &str, a: &str, b: &str) -> Result<Option<String>> {
        let mirror = self.with(repository, &[a, b]).await?;
        let answer = self
            .git
            .call(Call::read(&mirror), &["merge-base", a, b])
            .await?;
        match answer.code {
            Some(0) => Ok(Some(text(&answer.stdout))),
            Some(1) => Ok(None),
            _ => Err(fault::error("merge-base", &answer)),
        }
    }

    async fn diff(&self, repository: &str, base: &str, head: &str) -> Result<String> {
        let mirror = self.with(repository, &[base, head]).await?;
        let call = Call {
            largest: DIFF,
            ..Call::read(&mirror)
        };
        let arguments = [
            "diff",
            "--no-color",
            "--no-ext-diff",
            "--no-textconv",
            "--unified=0",
            "--find-renames",
            "--src-prefix=a/",
            "--dst-prefix=b/",
            base,
            head,
            "--",
        ];
        let bytes = self.git.must(call, &arguments).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn changed_paths(&self, repository: &str, base: &str, head: &str) -> Result<Vec<String>> {
        let mirror = self.with(repository, &[base, head]).await?;
        let arguments = [
            "diff",
            "--name-only",
            "-z",
            "--no-renames",
            base,
            head,
            "--",
        ];
        let listing = self.git.must(Call::read(&mirror), &arguments).await?;
        Ok(listing
            .split(|byte| *byte == 0)
            .filter(|path| !path.is_empty())
            .map(|path| String::from_utf8_lossy(path).into_owned())
            .collect())
    }

    async fn ancestors(&self, repository: &str, commit: &str, most: usize) -> Result<Vec<String>> {
        let mirror = self.with(repository, &[commit]).await?;
        let most = format!("--max-count={most}");
        let arguments = ["rev-list", most.as_str(), commit, "--"];
        let answer = self.git.must(Call::read(&mirror), &arguments).await?;
        Ok(text(&answer).lines().map(str::to_owned).collect())
    }

    async fn landed(
        &self,
        repository: &str,
        commit: &str,
        without: &str,
        most: usize,
    ) -> Result<Vec<LandedCommit>> {
        self.landed_on(repository, commit, without, most).await
    }

    async fn tree_of(&self, repository: &str, commit: &str) -> Result<String> {
        self.tree_id(repository, commit).await
    }

    async fn ahead(&self, repository: &str, commit: &str, other: &str) -> Result<u64> {
        let mirror = self.with(repository, &[commit, other]).await?;
        let range = format!("{commit}..{other}");
        self.count(&mirror, &range).await
    }

    async fn commit_count(&self, repository: &str, commit: &str) -> Result<u64> {
        let mirror = self.with(repository, &[commit]).await?;
        self.count(&mirror, commit).await
    }

    async fn naming(&self, names: &[String]) -> Result<Vec<String>> {
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries
                .map_err(|error| PortError::transient(format!("look through mirrors: {error}")))?,
        };
        let mut all: Vec<String> = entries
            .filter_map(|entry| {
                let name = entry.ok()?.file_name().into_string().ok()?;
                name.strip_suffix(".git").map(str::to_owned)
            })
            .collect();
        all.sort();
        let mut naming = Vec::new();
        for repository in all {
            let mirror = self.mirror(&repository)?;
            if self.names(&mirror, names).await? {
                naming.push(repository);
            }
        }
        Ok(naming)
    }

    async fn remove(&self, repository: &str) -> Result<()> {
        let mirror = self.mirror(repository)?;
        if !mirror.exists() {
            return Ok(());
        }
        let lock = self.lock(repository);
        let _one_at_a_time = lock.lock().await;
        let _alone = lock_file(mirror.with_extension("lock")).await?;
        // The lock's file stays: another process may wait for it.
        match tokio::fs::remove_dir_all(&mirror).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(PortError::transient(
                format!("delete {}: {error}", mirror.display()),
            )),
            _ => Ok(()),
        }
    }
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// A line of `git ls-tree -z`: mode, kind and id, a tab, the path.
struct Entry {
    mode: String,
    kind: String,
    id: String,
    path: String,
}

fn entries(listing: &[u8]) -> impl Iterator<Item = Entry> + '_ {
    listing.split(|byte| *byte == 0).filter_map(|line| {
        // A path that is not UTF-8 cannot be named in a report or on GitHub's pages either.
        let line = std::str::from_utf8(line).ok()?;
        let (head, path) = line.split_once('\t')?;
        let mut head = head.split(' ');
        Some(Entry {
            mode: head.next()?.to_owned(),
            kind: head.next()?.to_owned(),
            id: head.next()?.to_owned(),
            path: path.to_owned(),
        })
    })
}
