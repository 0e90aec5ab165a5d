//! Where a commit belongs: its parents, branches, pull requests and runs.

use async_trait::async_trait;
use http::Method;
use serde::Deserialize;

use super::forge::{GitHub, at, list, who};
use super::payload::{Account, PullRow, sha, time_ms};
use super::workflows::RunRow;
use crate::domain::{PullRequest, Repository, Sha, WorkflowRun};
use crate::ports::commits::ShownCommit;
use crate::ports::error::Result;
use crate::ports::{Commits, Kind, PortError};
use crate::text::address;

#[derive(Deserialize)]
struct OwnerRow {
    id: i64,
}

#[derive(Deserialize)]
struct OwnedRow {
    id: i64,
    owner: OwnerRow,
}

#[derive(Deserialize)]
struct ParentRow {
    sha: String,
}

#[derive(Deserialize)]
struct CommitRow {
    #[serde(default)]
    parents: Vec<ParentRow>,
    // Null where no account has the address in the commit.
    #[serde(default)]
    author: Option<Account>,
    commit: Option<DetailsRow>,
}

#[derive(Deserialize)]
struct DetailsRow {
    committer: Option<DateRow>,
}

#[derive(Deserialize)]
struct DateRow {
    date: Option<String>,
}

#[derive(Deserialize)]
struct ComparedRow {
    status: String,
}

#[derive(Deserialize)]
struct BranchRow {
    name: String,
}

/// GitHub answers 422 for a commit that is none ("Get a commit" in the REST documentation).
fn none_such(error: PortError) -> PortError {
    match error.kind {
        Kind::Refused => PortError::gone(error.message),
        _ => error,
    }
}

#[async_trait]
impl Commits for GitHub {
    async fn owner(&self, repository: &Repository) -> Result<i64> {
        let path = format!("/repos/{}/{}", repository.owner, repository.name);
        let row: OwnedRow = self
            .client()
            .json(who(repository), Method::GET, &path, None)
            .await?;
        if row.id == repository.id.number() {
            Ok(row.owner.id)
        } else {
            Err(PortError::gone(
                "ask who owns it: its name leads to another one",
            ))
        }
    }

    async fn commit(&self, repository: &Repository, commit: &Sha) -> Result<ShownCommit> {
        // Files of the commit are on the first page only.
        let path = format!("commits/{commit}?per_page=1&page=2");
        let row: CommitRow = self
            .client()
            .json(who(repository), Method::GET, &at(repository, &path), None)
            .await
            .map_err(none_such)?;
        let parents = row.parents.iter().map(|parent| sha(&parent.sha));
        let committer = row.commit.and_then(|commit| commit.committer);
        let date = committer.and_then(|committer| committer.date);
        Ok(ShownCommit {
            committed_ms: date.map(|date| time_ms(Some(&date))).filter(|ms| *ms > 0),
            parents: parents.collect::<Result<_>>()?,
            by_bot: row.author.as_ref().is_some_and(Account::is_bot),
        })
    }

    async fn is_on(&self, repository: &Repository, branch: &str, commit: &Sha) -> Result<bool> {
        let branch = address::part(branch);
        let path = format!("compare/{branch}...{commit}?per_page=1&page=2");
        let row: ComparedRow = self
            .client()
            .json(who(repository), Method::GET, &at(repository, &path), None)
            .await
            .map_err(none_such)?;
        Ok(matches!(row.status.as_str(), "identical" | "behind"))
    }

    async fn branches_at(&self, repository: &Repository, commit: &Sha) -> Result<Vec<String>> {
        let path = format!("commits/{commit}/branches-where-head");
        let rows: Vec<BranchRow> = self
            .client()
            .pages(who(repository), &at(repository, &path), list)
            .await
            .map_err(none_such)?;
        Ok(rows.into_iter().map(|row| row.name).collect())
    }

    async fn pulls_of(&self, repository: &Repository, commit: &Sha) -> Result<Vec<PullRequest>> {
        let path = format!("commits/{commit}/pulls");
        let rows: Vec<PullRow> = self
            .client()
            .pages(who(repository), &at(repository, &path), list)
            .await
            .map_err(none_such)?;
        rows.into_iter().map(|row| row.read(self.host())).collect()
    }

    async fn run(&self, repository: &Repository, id: i64) -> Result<WorkflowRun> {
        let path = format!("actions/runs/{id}");
        let row: RunRow = self
            .client()
            .json(who(repository), Method::GET, &at(repository, &path), None)
            .await?;
        row.read(&repository.id, self.host(), None)
    }
}
