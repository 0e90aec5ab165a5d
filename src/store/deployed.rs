//! What was deployed where, for pages.

use async_trait::async_trait;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::rows::{self, Result};
use super::sql::SqlStore;
use crate::domain::{DeployedJob, Environment, RepositoryId, State};
use crate::ports::Deployments;
use crate::ports::error::Result as PortResult;
use crate::spec::JobSpecification;

/// Environments that are looked for.
const ENVIRONMENTS: i64 = 50;

const BEGUN: &str = "SELECT j.key, j.attempt, j.state, j.conclusion, j.job_order, j.started_ms, \
     j.finished_ms, b.number, b.commit_id FROM jobs j JOIN builds b ON b.id = j.build \
     WHERE j.repository = $1 AND j.environment IS NOT NULL AND j.started_ms < $2 \
     AND ($3 = '' OR j.environment = $3) AND ($4 = 0 OR j.conclusion = 'success') \
     ORDER BY j.started_ms DESC, j.id DESC LIMIT $5";

#[async_trait]
impl Deployments for SqlStore {
    async fn deployments(
        &self,
        repository: &RepositoryId,
        environment: Option<&str>,
        before_ms: i64,
        limit: i64,
    ) -> PortResult<Vec<DeployedJob>> {
        let mut on = self.database.read().await?;
        let environment = environment.unwrap_or_default().to_lowercase();
        let wanted = (environment.as_str(), false);
        Ok(begun(&mut on, repository, wanted, before_ms, limit).await?)
    }

    async fn environments(&self, repository: &RepositoryId) -> PortResult<Vec<Environment>> {
        let mut on = self.database.read().await?;
        Ok(environments(&mut on, repository).await?)
    }
}

/// Deployments that have begun: to an environment, or to all of them; only those that succeeded, or all.
async fn begun(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    (environment, good): (&str, bool),
    before_ms: i64,
    limit: i64,
) -> Result<Vec<DeployedJob>> {
    sqlx::query(BEGUN)
        .bind(repository.as_str())
        .bind(before_ms)
        .bind(environment)
        .bind(i64::from(good))
        .bind(limit)
        .fetch_all(on)
        .await?
        .iter()
        .filter_map(|row| deployed(row).transpose())
        .collect()
}

fn deployed(row: &AnyRow) -> Result<Option<DeployedJob>> {
    let order: JobSpecification = rows::json(row, "job_order")?;
    let Some(deploy) = order.deploy else {
        return Ok(None);
    };
    let state: String = row.try_get("state")?;
    Ok(Some(DeployedJob {
        environment: deploy.environment,
        url: deploy.url,
        build: row.try_get("number")?,
        commit: rows::sha(row, "commit_id")?,
        job: row.try_get("key")?,
        attempt: rows::count(row, "attempt")?,
        state: State::from_stored(&state).unwrap_or(State::Finished),
        conclusion: rows::conclusion(row)?,
        started_ms: row.try_get("started_ms")?,
        finished_ms: row.try_get("finished_ms")?,
    }))
}

async fn environments(
    on: &mut AnyConnection,
    repository: &RepositoryId,
) -> Result<Vec<Environment>> {
    let names = sqlx::query(
        "SELECT DISTINCT environment FROM jobs WHERE repository = $1 AND environment IS NOT NULL \
         AND started_ms IS NOT NULL ORDER BY environment LIMIT $2",
    )
    .bind(repository.as_str())
    .bind(ENVIRONMENTS)
    .fetch_all(&mut *on)
    .await?;
    let mut all = Vec::new();
    for row in names {
        let name: String = row.try_get("environment")?;
        let newest = begun(on, repository, (&name, false), i64::MAX, 1).await?;
        let live = begun(on, repository, (&name, true), i64::MAX, 1).await?;
        all.extend(newest.into_iter().next().map(|newest| Environment {
            newest,
            live: live.into_iter().next(),
        }));
    }
    Ok(all)
}
