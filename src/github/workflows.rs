//! GitHub Actions: runs of workflows and their artifacts, in deliveries and in answers.

use std::path::Path;

use async_trait::async_trait;
use http::Method;
use serde::{Deserialize, Serialize};

use super::forge::{GitHub, at, list_at, who};
use super::limit::Urgency;
use super::payload::{Account, PullRow, RepositoryName, sha, time_ms};
use super::who::As;
use crate::domain::{PullRequest, Repository, RepositoryId, Sha, WorkflowRun};
use crate::ports::Workflows;
use crate::ports::error::Result;
use crate::ports::workflows::ListedArtifact;
use crate::text::address;

/// A run ("Workflow runs" in the REST documentation), in a delivery and in an answer alike.
#[derive(Deserialize, Serialize)]
pub(super) struct RunRow {
    id: i64,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    head_branch: Option<String>,
    head_sha: String,
    #[serde(default)]
    run_number: i64,
    #[serde(default)]
    run_attempt: Option<u32>,
    #[serde(default)]
    event: String,
    #[serde(default)]
    conclusion: Option<String>,
    workflow_id: i64,
    #[serde(default)]
    pull_requests: Vec<PullNumber>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    run_started_at: Option<String>,
    #[serde(default)]
    updated_at: Option<String>,
    // Null when the fork was deleted.
    #[serde(default)]
    head_repository: Option<HeadRow>,
    #[serde(default)]
    html_url: String,
}

#[derive(Deserialize, Serialize)]
struct PullNumber {
    number: i64,
    #[serde(default)]
    base: Option<BaseRow>,
}

#[derive(Deserialize, Serialize)]
struct BaseRow {
    #[serde(default)]
    repo: Option<RepositoryName>,
}

#[derive(Deserialize, Serialize)]
struct HeadRow {
    id: i64,
    #[serde(default)]
    owner: Option<Account>,
}

#[derive(Deserialize)]
struct ArtifactRow {
    id: i64,
    name: String,
    #[serde(default)]
    size_in_bytes: u64,
    #[serde(default)]
    expired: bool,
}

impl RunRow {
    /// The run. `name`: that of its workflow, where it is told apart from the run's own, which authors choose.
    pub(super) fn read(
        self,
        repository: &RepositoryId,
        host: &str,
        name: Option<&str>,
    ) -> Result<WorkflowRun> {
        let own_name = self.name.unwrap_or_default();
        // A fork's own pull request of the same branch is another repository's.
        let is_here = |pull: &PullNumber| {
            let base = pull.base.as_ref().and_then(|base| base.repo.as_ref());
            base.is_none_or(|base| RepositoryId::new(host, base.id) == *repository)
        };
        Ok(WorkflowRun {
            id: self.id,
            attempt: self.run_attempt.unwrap_or(1),
            number: self.run_number,
            workflow: self.workflow_id,
            name: name.map_or(own_name, str::to_owned),
            event: self.event,
            conclusion: self.conclusion,
            commit: sha(&self.head_sha)?,
            branch: self.head_branch,
            head_owner: self
                .head_repository
                .as_ref()
                .and_then(|head| head.owner.as_ref())
                .map(Account::login),
            head_repository: self
                .head_repository
                .map(|head| RepositoryId::new(host, head.id)),
            pulls: self
                .pull_requests
                .iter()
                .filter(|pull| is_here(pull))
                .map(|pull| pull.number)
                .collect(),
            created_ms: time_ms(self.created_at.as_deref()),
            started_ms: time_ms(self.run_started_at.as_deref()),
            updated_ms: time_ms(self.updated_at.as_deref()),
            url: plain_address(self.html_url),
        })
    }
}

/// An address that can stand in Markdown as it is; empty when it cannot.
fn plain_address(url: String) -> String {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"()<>[]\\\"".contains(&byte);
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    if is_web && url.bytes().all(is_plain) {
        url
    } else {
        String::new()
    }
}

/// Nobody waits at a screen for it.
fn calmly(repository: &Repository) -> As {
    who(repository).when(Urgency::Progress)
}

#[async_trait]
impl Workflows for GitHub {
    async fn runs(
        &self,
        repository: &Repository,
        workflow: i64,
        commit: &Sha,
    ) -> Result<Vec<WorkflowRun>> {
        let path = format!("actions/workflows/{workflow}/runs?head_sha={commit}");
        let rows: Vec<RunRow> = self
            .client()
            .pages(
                calmly(repository),
                &at(repository, &path),
                list_at("workflow_runs"),
            )
            .await?;
        let read = |row: RunRow| row.read(&repository.id, self.host(), None);
        let mut runs = rows.into_iter().map(read).collect::<Result<Vec<_>>>()?;
        runs.sort_by_key(|run| std::cmp::Reverse((run.created_ms, run.id)));
        Ok(runs)
    }

    async fn artifacts(&self, repository: &Repository, run: i64) -> Result<Vec<ListedArtifact>> {
        let path = format!("actions/runs/{run}/artifacts");
        let mut rows: Vec<ArtifactRow> = self
            .client()
            .pages(
                calmly(repository),
                &at(repository, &path),
                list_at("artifacts"),
            )
            .await?;
        // Ids rise with time.
        rows.sort_by_key(|row| std::cmp::Reverse(row.id));
        let listed = rows.into_iter().map(|row| ListedArtifact {
            id: row.id,
            name: row.name,
            bytes: row.size_in_bytes,
            is_expired: row.expired,
        });
        Ok(listed.collect())
    }

    async fn download(
        &self,
        repository: &Repository,
        artifact: i64,
        into: &Path,
        most: u64,
    ) -> Result<()> {
        let path = at(repository, &format!("actions/artifacts/{artifact}/zip"));
        let from = self.client().location(calmly(repository), &path).await?;
        self.client().fetch(&from, into, most).await
    }

    async fn pulls_from(
        &self,
        repository: &Repository,
        owner: &str,
        branch: &str,
    ) -> Result<Vec<PullRequest>> {
        let head = format!("{}:{}", address::part(owner), address::part(branch));
        let path = format!("pulls?state=all&sort=created&direction=desc&per_page=100&head={head}");
        let rows: Vec<PullRow> = self
            .client()
            .json(
                calmly(repository),
                Method::GET,
                &at(repository, &path),
                None,
            )
            .await?;
        rows.into_iter().map(|row| row.read(self.host())).collect()
    }
}
