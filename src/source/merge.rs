//! The tree that merging a change would give, without GitHub's help: `refs/pull/N/merge` lags, and
//! is not there at all for a while.

use super::command::{Call, Git};
use super::fault;
use super::git::{GitSource, text};
use crate::ports::error::{PortError, Result};
use crate::ports::source::Merged;

/// What `git merge-tree` says, and the statuses that it has for it ("git-merge-tree").
const CLEAN: Option<i32> = Some(0);
const CONFLICT: Option<i32> = Some(1);
/// The status of a command line that git does not understand.
const USAGE: Option<i32> = Some(129);

impl GitSource {
    /// A commit that merges `head` into `base`. The same two give the same commit: whoever asks
    /// again finds it, and results are keyed by it.
    pub(super) async fn merged(&self, repository: &str, base: &str, head: &str) -> Result<Merged> {
        let mirror = self.with(repository, &[base, head]).await?;
        let arguments = [
            "merge-tree",
            "--write-tree",
            "--name-only",
            "--no-messages",
            "-z",
            base,
            head,
        ];
        let answer = self.git().call(Call::read(&mirror), &arguments).await?;
        let said = String::from_utf8_lossy(&answer.stdout).into_owned();
        let mut lines = said.split('\0').filter(|line| !line.is_empty());
        let tree = lines.next().unwrap_or_default().to_owned();
        match answer.code {
            CLEAN => {}
            CONFLICT if !tree.is_empty() => {
                let mut paths: Vec<String> = lines.map(str::to_owned).collect();
                paths.dedup();
                return Ok(Merged::Conflict(paths));
            }
            USAGE => {
                return Err(PortError::refused(
                    "merge: `build: merge` needs git 2.38 or newer on the server",
                ));
            }
            _ => return Err(fault::error("merge-tree", &answer)),
        }
        let date = ["show", "-s", "--format=%ct", head, "--"];
        let date = text(&self.git().must(Call::read(&mirror), &date).await?);
        let commit = [
            "commit-tree",
            "-p",
            base,
            "-p",
            head,
            "-m",
            "Merge as Herald tests it",
            &tree,
        ];
        let made = dated(self.git(), &date)
            .must(Call::read(&mirror), &commit)
            .await?;
        let made = text(&made);
        let kept = format!("refs/herald/{made}");
        let keep = ["update-ref", &kept, &made];
        self.git().must(Call::read(&mirror), &keep).await?;
        Ok(Merged::Clean(made))
    }
}

/// Git with nobody's name and a given time (seconds since the unix epoch), so that a commit depends
/// on its content only.
fn dated(git: &Git, date: &str) -> Git {
    let mut git = git.clone();
    for who in ["AUTHOR", "COMMITTER"] {
        for (what, value) in [
            ("NAME", "Herald".to_owned()),
            ("EMAIL", "herald@localhost".to_owned()),
            ("DATE", format!("@{date} +0000")),
        ] {
            git.environment.push((format!("GIT_{who}_{what}"), value));
        }
    }
    git
}
