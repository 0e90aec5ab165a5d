//! Letting go of what is old, in small steps.

use async_trait::async_trait;
use sqlx::{AnyConnection, Row};

use super::database::{StoreError, transact};
use super::rows::Result;
use super::sql::SqlStore;
use crate::domain::{BuildId, RepositoryId};
use crate::ports::Keeping;
use crate::ports::error::Result as PortResult;
use crate::ports::keeping::{Ended, Forgotten};

#[async_trait]
impl Keeping for SqlStore {
    async fn drop_deliveries(&self, before_ms: i64, limit: i64) -> PortResult<u64> {
        transact!(self.database, tx => {
            let done = sqlx::query(OLD_DELIVERIES)
                .bind(before_ms)
                .bind(limit)
                .execute(tx.on())
                .await?;
            Ok(done.rows_affected())
        })
    }

    async fn ended_builds(
        &self,
        after: &Ended,
        before_ms: i64,
        limit: i64,
    ) -> PortResult<Vec<Ended>> {
        let mut on = self.database.read().await?;
        let rows = sqlx::query(ENDED)
            .bind(after.finished_ms)
            .bind(after.build.as_str())
            .bind(before_ms)
            .bind(limit)
            .fetch_all(&mut *on)
            .await
            .map_err(StoreError::from)?;
        let ended = rows.iter().map(|row| {
            Ok::<_, StoreError>(Ended {
                finished_ms: row.try_get("finished_ms")?,
                build: BuildId::from_stored(row.try_get::<String, _>("id")?),
            })
        });
        Ok(ended.collect::<std::result::Result<_, _>>()?)
    }

    async fn dispensable(&self, builds: &[BuildId]) -> PortResult<Vec<BuildId>> {
        let mut on = self.database.read().await?;
        let mut free = Vec::new();
        for build in builds {
            let found = sqlx::query(SHOWN)
                .bind(build.as_str())
                .fetch_optional(&mut *on)
                .await
                .map_err(StoreError::from)?;
            if found.is_none() {
                free.push(build.clone());
            }
        }
        Ok(free)
    }

    async fn drop_builds(&self, builds: &[BuildId]) -> PortResult<u64> {
        transact!(self.database, tx => {
            let mut dropped = 0;
            for build in builds {
                dropped += u64::from(drop_build(tx.on(), build).await?);
            }
            Ok(dropped)
        })
    }

    async fn drop_of_nobody(&self, before_ms: i64, limit: i64) -> PortResult<u64> {
        let mut dropped = 0;
        for statement in OF_NOBODY {
            dropped += transact!(self.database, tx => {
                let done = sqlx::query(statement)
                    .bind(before_ms)
                    .bind(limit)
                    .execute(tx.on())
                    .await?;
                Ok(done.rows_affected())
            })?;
        }
        Ok(dropped)
    }

    async fn abandoned(&self, before_ms: i64) -> PortResult<Option<RepositoryId>> {
        let mut on = self.database.read().await?;
        let row = sqlx::query(ABANDONED)
            .bind(before_ms)
            .fetch_optional(&mut *on)
            .await
            .map_err(StoreError::from)?;
        let id = row.map(|row| row.try_get::<String, _>("id"));
        let id = id.transpose().map_err(StoreError::from)?;
        Ok(id.map(RepositoryId::from_stored))
    }

    async fn forget(
        &self,
        repository: &RepositoryId,
        before_ms: i64,
        limit: i64,
    ) -> PortResult<Forgotten> {
        transact!(self.database, tx => forget(tx.on(), repository, before_ms, limit).await)
    }

    async fn forget_installations(&self, before_ms: i64) -> PortResult<u64> {
        transact!(self.database, tx => {
            let done = sqlx::query(OLD_INSTALLATIONS)
                .bind(before_ms)
                .execute(tx.on())
                .await?;
            Ok(done.rows_affected())
        })
    }
}

pub(super) const OLD_DELIVERIES: &str = "DELETE FROM deliveries WHERE guid IN \
    (SELECT guid FROM deliveries WHERE received_ms < $1 AND state <> 'waiting' \
     ORDER BY received_ms LIMIT $2)";

pub(super) const ENDED: &str = "SELECT finished_ms, id FROM builds WHERE finished_ms IS NOT NULL \
    AND (finished_ms, id) > ($1, $2) AND finished_ms < $3 ORDER BY finished_ms, id LIMIT $4";

/// The build, if it is the last of a branch, if an environment may still have what it deployed, or if it has begun anew.
pub(super) const SHOWN: &str = "SELECT b.id FROM builds b WHERE b.id = $1 AND (b.state <> 'finished' \
    OR b.revision > b.published \
    OR EXISTS (SELECT 1 FROM measures m WHERE m.repository = b.repository AND m.number = b.number \
     AND NOT EXISTS (SELECT 1 FROM measures n WHERE n.repository = m.repository \
      AND n.branch = m.branch AND n.number > m.number)) \
    OR EXISTS (SELECT 1 FROM jobs j WHERE j.build = b.id AND j.environment IS NOT NULL \
     AND j.conclusion = 'success' \
     AND NOT EXISTS (SELECT 1 FROM jobs k WHERE k.repository = j.repository \
      AND k.environment = j.environment AND k.deploy_ms > j.deploy_ms \
      AND k.conclusion = 'success')))";

/// What belongs to no build and is over: triggers of which nothing came, answers, announcements, and badges of branches that
/// nothing is known of any more; approvals, and what tokens and tests put away have ended. The head of a pull request that was heard of
/// stays known.
const OF_NOBODY: [&str; 6] = [
    "DELETE FROM triggers WHERE id IN (SELECT t.id FROM triggers t WHERE t.build IS NULL \
     AND t.state = 'ended' AND t.created_ms < $1 AND NOT EXISTS (SELECT 1 FROM pulls p \
      WHERE p.repository = t.repository AND p.head = t.commit_id) LIMIT $2)",
    "DELETE FROM publications WHERE id IN (SELECT id FROM publications WHERE build IS NULL \
     AND version = sent AND due_ms < $1 LIMIT $2)",
    "DELETE FROM badges WHERE (repository, kind, branch, job) IN \
     (SELECT b.repository, b.kind, b.branch, b.job FROM badges b \
      JOIN repositories r ON r.id = b.repository WHERE b.at_ms < $1 \
      AND b.branch <> r.default_branch AND NOT EXISTS (SELECT 1 FROM measures m \
       WHERE m.repository = b.repository AND m.branch = b.branch) LIMIT $2)",
    "DELETE FROM approvals WHERE (repository, pull, commit_id, specification) IN \
     (SELECT repository, pull, commit_id, specification FROM approvals WHERE at_ms < $1 LIMIT $2)",
    "DELETE FROM tokens WHERE id IN (SELECT id FROM tokens WHERE ends_ms < $1 LIMIT $2)",
    "DELETE FROM quarantines WHERE (repository, test) IN \
     (SELECT repository, test FROM quarantines WHERE until_ms < $1 LIMIT $2)",
];

pub(super) const ABANDONED: &str = "SELECT id FROM repositories WHERE removed_ms IS NOT NULL AND removed_ms < $1 \
    ORDER BY removed_ms, id LIMIT 1";

const OLD_INSTALLATIONS: &str = "DELETE FROM installations WHERE state = 'removed' \
    AND removed_ms < $1 AND NOT EXISTS (SELECT 1 FROM repositories r \
     WHERE r.installation = installations.id AND r.id LIKE installations.host || '/%')";

/// What is known of a build, its own row last.
pub(super) const OF_BUILD: [&str; 7] = [
    "DELETE FROM job_results WHERE job IN (SELECT id FROM jobs WHERE build = $1)",
    "DELETE FROM jobs WHERE build = $1",
    "DELETE FROM triggers WHERE build = $1",
    "DELETE FROM publications WHERE build = $1",
    "DELETE FROM judgements WHERE build = $1",
    "DELETE FROM deploy_approvals WHERE build = $1",
    "DELETE FROM measures WHERE (repository, number) IN \
     (SELECT repository, number FROM builds WHERE id = $1)",
];

async fn drop_build(on: &mut AnyConnection, build: &BuildId) -> Result<bool> {
    let ended = sqlx::query("SELECT id FROM builds WHERE id = $1 AND state = 'finished'")
        .bind(build.as_str())
        .fetch_optional(&mut *on)
        .await?;
    if ended.is_none() {
        return Ok(false);
    }
    for statement in OF_BUILD {
        sqlx::query(statement)
            .bind(build.as_str())
            .execute(&mut *on)
            .await?;
    }
    sqlx::query("DELETE FROM builds WHERE id = $1")
        .bind(build.as_str())
        .execute(on)
        .await?;
    Ok(true)
}

/// Tables whose rows are of one repository, in small steps; the row that says that it is to be forgotten goes last.
const OF_REPOSITORY: [(&str, &str); 15] = [
    ("attempts", "repository, job, build, attempt"),
    ("tests", "repository, id"),
    ("measures", "repository, branch, number"),
    ("publications", "id"),
    ("triggers", "id"),
    ("pulls", "repository, number"),
    ("approvals", "repository, pull, commit_id, specification"),
    ("quarantines", "repository, test"),
    ("badges", "repository, kind, branch, job"),
    ("secrets", "repository, name"),
    ("tokens", "id"),
    ("audit", "id"),
    ("uploads", "id"),
    ("report_sets", "id"),
    ("repository_names", "owner, name"),
];

async fn forget(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    before_ms: i64,
    limit: i64,
) -> Result<Forgotten> {
    let id = repository.as_str();
    let mut forgotten = Forgotten::default();
    let still = sqlx::query("SELECT id FROM repositories WHERE id = $1 AND removed_ms < $2")
        .bind(id)
        .bind(before_ms)
        .fetch_optional(&mut *on)
        .await?;
    if still.is_none() {
        return Ok(forgotten);
    }
    let builds = sqlx::query(
        "SELECT id FROM builds WHERE repository = $1 AND state = 'finished' \
         ORDER BY number LIMIT $2",
    )
    .bind(id)
    .bind(limit)
    .fetch_all(&mut *on)
    .await?;
    for row in builds {
        let build = row.try_get::<String, _>("id")?;
        forgotten.builds.push(BuildId::from_stored(build));
    }
    if !forgotten.builds.is_empty() {
        return Ok(forgotten);
    }
    // One that is not over yet, as a deployment, is waited for.
    let open = sqlx::query("SELECT id FROM builds WHERE repository = $1 LIMIT 1")
        .bind(id)
        .fetch_optional(&mut *on)
        .await?;
    if open.is_some() {
        forgotten.waits = true;
        return Ok(forgotten);
    }
    // Files of uploads that no row knows are dropped by themselves.
    let parts = "DELETE FROM report_parts WHERE report_set IN \
                 (SELECT id FROM report_sets WHERE repository = $1)";
    let done = sqlx::query(parts).bind(id).execute(&mut *on).await?;
    forgotten.rows += done.rows_affected();
    for (table, key) in OF_REPOSITORY {
        let statement = format!(
            "DELETE FROM {table} WHERE ({key}) IN \
             (SELECT {key} FROM {table} WHERE repository = $1 LIMIT $2)"
        );
        let done = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(id)
            .bind(limit)
            .execute(&mut *on)
            .await?;
        forgotten.rows += done.rows_affected();
        if forgotten.rows > 0 {
            return Ok(forgotten);
        }
    }
    let done = sqlx::query("DELETE FROM repositories WHERE id = $1")
        .bind(id)
        .execute(on)
        .await?;
    forgotten.rows = done.rows_affected();
    Ok(forgotten)
}
