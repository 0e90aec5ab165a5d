//! The commit of a job on the disk, and what is to be known about it.

use std::path::{Path, PathBuf};

use super::attempt::Begin;
use super::state::App;
use crate::domain::Build;
use crate::ports::error::Result;
use crate::ports::source::{Remote, TreeEntry};
use crate::ports::store::Claim;
use crate::ports::{Kind, PortError};

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

impl App {
    /// Fetches the commit and writes it into the attempt's folder; says its files, the diff to
    /// the base where there is one, and how many commits lead to it.
    pub(super) async fn check_out(
        &self,
        claim: &Claim,
        place: &Place,
        begin: Begin,
    ) -> Result<(Vec<TreeEntry>, Option<String>, Option<u64>)> {
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
        let tree = source.tree(&remote.id, commit).await?;
        let count = source.commit_count(&remote.id, commit).await.ok();
        let base = claim.build.plan.base.as_ref();
        let diff = match base.or(claim.build.occasion.base()) {
            Some(base) => self.diff(&remote.id, base.as_str(), commit).await?,
            None => None,
        };
        Ok((tree, diff, count))
    }

    /// Makes the commit present whose tree is tested. One that Herald merged itself is on no server,
    /// and is merged again where its mirror is gone.
    async fn fetch_tested(&self, remote: &Remote, build: &Build) -> Result<()> {
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

    /// What the change adds, counted from where it left the base; `None` when it cannot be told.
    async fn diff(&self, repository: &str, base: &str, head: &str) -> Result<Option<String>> {
        let source = &self.parts.source;
        let from = match source.merge_base(repository, base, head).await {
            Ok(Some(from)) => from,
            Ok(None) => base.to_owned(),
            Err(error) if error.kind == Kind::Gone => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(source.diff(repository, &from, head).await.ok())
    }
}
