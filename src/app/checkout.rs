//! The commit of a job on the disk, and what is to be known about it.

use std::path::{Path, PathBuf};

use super::attempt::Begin;
use super::quarantine::FromFile;
use super::state::App;
use crate::domain::{Build, Occasion};
use crate::ports::error::Result;
use crate::ports::source::{Remote, TreeEntry};
use crate::ports::store::Claim;
use crate::ports::{Kind, PortError};

/// Commits before a change among which one that was built is looked for.
const ANCESTORS: usize = 200;

/// The folders of one attempt; deleted with it.
pub(super) struct Place {
    root: PathBuf,
    /// Where the commit is written.
    pub(super) workspace: PathBuf,
    /// For `HOME`, `TMPDIR` and the like.
    pub(super) scratch: PathBuf,
}

impl Place {
    pub(super) fn new(work_dir: &Path, job: &str) -> Result<Self> {
        let root = work_dir.join(job);
        let place = Self {
            workspace: root.join("tree"),
            scratch: root.join("scratch"),
            root,
        };
        for dir in [&place.workspace, &place.scratch] {
            std::fs::create_dir_all(dir).map_err(|error| {
                PortError::transient(format!("make the folder {}: {error}", dir.display()))
            })?;
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Left over folders are deleted at the next start.
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// What a commit brings.
#[derive(Default)]
pub(super) struct Change {
    /// What it adds, as a unified diff; `None` when it cannot be told.
    pub(super) diff: Option<String>,
    /// Why it cannot, where it should.
    pub(super) diff_failed: Option<PortError>,
    /// Where it left its base.
    pub(super) from: Option<String>,
    /// Commits that it stands on, the nearest first.
    pub(super) ancestors: Vec<String>,
    /// How many commits the branch that a pull request goes to has beyond those that it stands on.
    pub(super) behind: Option<u64>,
}

/// A commit as it was checked out.
pub(super) struct CheckedOut {
    /// Its files.
    pub(super) tree: Vec<TreeEntry>,
    /// How many commits lead to it.
    pub(super) commit_count: Option<u64>,
    pub(super) quarantine: FromFile,
    pub(super) change: Change,
}

impl App {
    /// Fetches the commit and writes it into the attempt's folder.
    pub(super) async fn check_out(
        &self,
        claim: &Claim,
        place: &Place,
        begin: Begin,
    ) -> Result<CheckedOut> {
        let source = &self.parts.source;
        let remote = self.parts.forge.remote(&claim.repository).await?;
        let commit = claim.build.tested.as_str();
        self.fetch_tested(&remote, &claim.build).await?;
        // A job that runs has its checkout where it runs.
        if begin == Begin::Anew {
            source
                .checkout(&remote.id, commit, &place.workspace)
                .await?;
        }
        Ok(CheckedOut {
            tree: source.tree(&remote.id, commit).await?,
            commit_count: source.commit_count(&remote.id, commit).await.ok(),
            quarantine: self
                .quarantine_file(&remote, &claim.repository, &claim.build)
                .await,
            change: self.change(&remote.id, &claim.build).await?,
        })
    }

    /// Makes the commit present whose tree is tested. One that Herald merged itself is on no server,
    /// and is merged again where its mirror is gone.
    pub(super) async fn fetch_tested(&self, remote: &Remote, build: &Build) -> Result<()> {
        let source = &self.parts.source;
        let mut refs = build.occasion.refs();
        refs.extend(
            build
                .occasion
                .pull()
                .map(|pull| format!("refs/heads/{}", pull.base_ref)),
        );
        source.fetch(remote, build.commit.as_str(), &refs).await?;
        match &build.plan.base {
            Some(base) if build.tested != build.commit => {
                let (base, head) = (base.as_str(), build.commit.as_str());
                source.fetch(remote, base, &refs).await?;
                source.merge(&remote.id, base, head).await.map(|_| ())
            }
            _ => source.fetch(remote, build.tested.as_str(), &refs).await,
        }
    }

    /// What a build's commit brings, counted from where it left the base.
    pub(super) async fn change(&self, repository: &str, build: &Build) -> Result<Change> {
        let (source, commit) = (&self.parts.source, build.tested.as_str());
        let base = build.plan.base.as_ref().or(build.occasion.base());
        let from = match base {
            Some(base) => self.left(repository, base.as_str(), commit).await?,
            None => None,
        };
        let (mut diff, mut diff_failed) = (None, None);
        if let Some(from) = &from {
            match source.diff(repository, from, commit).await {
                Ok(text) => diff = Some(text),
                Err(error) => diff_failed = Some(error),
            }
        }
        let is_change = matches!(
            build.occasion,
            Occasion::PullRequest { .. } | Occasion::MergeGroup { .. }
        );
        let left = from.clone();
        let from = from.filter(|from| is_change && from != commit);
        let begin = from.as_deref().unwrap_or(commit);
        // It only helps to tell what is new, so nothing fails for it.
        let ancestors = source.ancestors(repository, begin, ANCESTORS).await;
        let mut ancestors = ancestors.unwrap_or_default();
        ancestors.retain(|ancestor| ancestor != commit);
        let behind = match base.filter(|_| is_change) {
            Some(base) => {
                let head = build.commit.as_str();
                source.ahead(repository, head, base.as_str()).await.ok()
            }
            None => None,
        };
        Ok(Change {
            diff,
            diff_failed,
            from: left,
            ancestors,
            behind,
        })
    }

    /// Where a commit left its base; `None` when it cannot be told.
    async fn left(&self, repository: &str, base: &str, commit: &str) -> Result<Option<String>> {
        match self.parts.source.merge_base(repository, base, commit).await {
            Ok(from) => Ok(Some(from.unwrap_or_else(|| base.to_owned()))),
            Err(error) if error.kind == Kind::Gone => Ok(None),
            Err(error) => Err(error),
        }
    }
}
