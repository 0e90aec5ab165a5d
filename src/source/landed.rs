//! What landed on a branch: its commits along first parents.

use super::command::Call;
use super::git::{GitSource, text};
use crate::ports::error::{PortError, Result};
use crate::ports::source::LandedCommit;

/// The most that is read, in bytes: 1,000 commits with long messages.
const LARGEST: u64 = 16 * 1024 * 1024;
/// Of a message no more than this is looked at, in characters.
const MESSAGE: usize = 1_000;

impl GitSource {
    /// See [`crate::ports::Source::landed`].
    pub(super) async fn landed_on(
        &self,
        repository: &str,
        commit: &str,
        without: &str,
        most: usize,
    ) -> Result<Vec<LandedCommit>> {
        let mirror = self.with(repository, &[commit, without]).await?;
        let most = format!("--max-count={most}");
        let without = format!("^{without}");
        let arguments = [
            "log",
            "-z",
            "--first-parent",
            "--no-show-signature",
            "--no-notes",
            "--encoding=UTF-8",
            // Nothing in a message can be taken for the end of a field.
            "--format=tformat:%H%x00%T%x00%P%x00%s%x00%b%x00",
            most.as_str(),
            commit,
            without.as_str(),
            "--",
        ];
        let call = Call {
            largest: LARGEST,
            ..Call::read(&mirror)
        };
        let listing = self.git().must(call, &arguments).await?;
        let listing = String::from_utf8_lossy(&listing);
        let fields: Vec<&str> = listing.split('\0').collect();
        let broken =
            || PortError::transient("read what git log says: it is not what was asked for");
        let mut all = Vec::new();
        // Five fields, and the empty one before the next commit.
        for row in fields.chunks(6) {
            let [id, tree, parents, subject, body, ..] = row else {
                if row.iter().all(|field| field.is_empty()) {
                    break;
                }
                return Err(broken());
            };
            all.push(LandedCommit {
                commit: (*id).to_owned(),
                tree: (*tree).to_owned(),
                parent: parents.split_whitespace().next().map(str::to_owned),
                subject: subject.chars().take(MESSAGE).collect(),
                body: body.chars().take(MESSAGE).collect(),
            });
        }
        Ok(all)
    }

    /// See [`crate::ports::Source::tree_of`].
    pub(super) async fn tree_id(&self, repository: &str, commit: &str) -> Result<String> {
        let mirror = self.with(repository, &[commit]).await?;
        let arguments = [
            "show",
            "-s",
            "--no-show-signature",
            "--format=%T",
            commit,
            "--",
        ];
        let answer = self.git().must(Call::read(&mirror), &arguments).await?;
        Ok(text(&answer))
    }
}
