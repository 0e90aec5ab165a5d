//! Reports that come from elsewhere: reasons to read them, and the jobs that do.

use async_trait::async_trait;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::database::StoreError;
use super::due::{Due, hand_out, passing_over};
use super::jobs;
use super::rows::{self, Result};
use super::sql::SqlStore;
use crate::domain::{BuildId, Import, ImportRequest, Occasion, RepositoryId, Sha, Trigger};
use crate::ports::Imports;
use crate::ports::error::Result as PortResult;
use crate::ports::store::Claim;

#[async_trait]
impl Imports for SqlStore {
    async fn claim_import(
        &self,
        worker: &str,
        now_ms: i64,
        lease_ms: i64,
    ) -> PortResult<Option<Claim>> {
        hand_out!(self.database, Due::Import, now_ms, tx =>
            claim(tx.on(), worker, now_ms, lease_ms).await)
    }

    async fn is_import_known(&self, trigger: &Trigger) -> PortResult<bool> {
        let Some(import) = &trigger.import else {
            return Ok(false);
        };
        let mut on = self.database.read().await?;
        let known =
            sqlx::query("SELECT id FROM builds WHERE repository = $1 AND origin = $2 LIMIT 1")
                .bind(trigger.repository.as_str())
                .bind(import.key())
                .fetch_optional(&mut *on)
                .await
                .map_err(StoreError::from)?;
        Ok(known.is_some())
    }

    async fn beside(&self, build: &BuildId) -> PortResult<Vec<BuildId>> {
        let mut on = self.database.read().await?;
        Ok(beside(&mut on, build).await?)
    }

    async fn pulls_with_head(&self, repository: &RepositoryId, head: &Sha) -> PortResult<Vec<i64>> {
        let mut on = self.database.read().await?;
        Ok(pulls_of(&mut on, repository, head).await?)
    }
}

/// Adds a trigger. One that is there already is prepared again: there may be more to read.
pub(super) async fn add(
    on: &mut AnyConnection,
    new: &ImportRequest,
    delivery: Option<&str>,
    now_ms: i64,
) -> Result<()> {
    let subject = new.subject();
    let import = serde_json::to_string(&new.import)?;
    let again = sqlx::query(
        "UPDATE triggers SET import = $5, state = 'waiting', build = NULL, again = 1, due_ms = $4, \
         lease_ms = 0, tries = 0 WHERE repository = $1 AND subject = $2 AND commit_id = $3 \
         AND state IN ('waiting', 'attached')",
    )
    .bind(new.repository.as_str())
    .bind(&subject)
    .bind(new.commit.as_str())
    .bind(now_ms)
    .bind(&import)
    .execute(&mut *on)
    .await?;
    if again.rows_affected() > 0 {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO triggers (id, repository, commit_id, subject, occasion, trust, sender, \
         created_ms, due_ms, import, origin, delivery, again) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1)",
    )
    .bind(rows::new_id())
    .bind(new.repository.as_str())
    .bind(new.commit.as_str())
    .bind(&subject)
    .bind(serde_json::to_string(&new.occasion)?)
    .bind(new.trust.as_str())
    .bind(new.sender.0)
    .bind(new.since_ms)
    .bind(now_ms)
    .bind(&import)
    .bind(new.import.key())
    .bind(delivery)
    .execute(on)
    .await?;
    Ok(())
}

/// Where the reports of a trigger come from, where nothing is built.
pub(super) fn of_trigger(row: &AnyRow) -> Result<Option<Import>> {
    let text: Option<String> = row.try_get("import")?;
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
}

/// Keeps what was found out about what a trigger and its build are for.
pub(super) async fn found_occasion(
    on: &mut AnyConnection,
    trigger: &str,
    build: &str,
    occasion: &Occasion,
) -> Result<()> {
    let text = serde_json::to_string(occasion)?;
    sqlx::query("UPDATE triggers SET occasion = $2 WHERE id = $1")
        .bind(trigger)
        .bind(&text)
        .execute(&mut *on)
        .await?;
    let trust: String = sqlx::query("SELECT trust FROM triggers WHERE id = $1")
        .bind(trigger)
        .fetch_one(&mut *on)
        .await?
        .try_get("trust")?;
    let Some(standing) = rows::load_build(on, build).await? else {
        return Ok(());
    };
    // What a change does is more than that its branch was pushed; and a stranger's pull request with the same commit
    // is not what a build of ours is for.
    let is_less = standing.occasion.pull().is_some() && occasion.pull().is_none();
    if is_less || standing.trust.as_str() != trust {
        return Ok(());
    }
    sqlx::query("UPDATE builds SET occasion = $2 WHERE id = $1")
        .bind(build)
        .bind(&text)
        .execute(on)
        .await?;
    Ok(())
}

/// Builds of the same commit and of other origins that have ended, the newest of each.
async fn beside(on: &mut AnyConnection, build: &BuildId) -> Result<Vec<BuildId>> {
    sqlx::query(
        "SELECT MAX(o.id) AS id FROM builds b JOIN builds o ON o.repository = b.repository \
         AND o.commit_id = b.commit_id AND o.origin <> b.origin AND o.state = 'finished' \
         WHERE b.id = $1 GROUP BY o.origin ORDER BY o.origin",
    )
    .bind(build.as_str())
    .fetch_all(on)
    .await?
    .iter()
    .map(|row| Ok(BuildId::from_stored(row.try_get::<String, _>("id")?)))
    .collect()
}

async fn pulls_of(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    head: &Sha,
) -> Result<Vec<i64>> {
    sqlx::query("SELECT number FROM pulls WHERE repository = $1 AND head = $2 ORDER BY number DESC")
        .bind(repository.as_str())
        .bind(head.as_str())
        .fetch_all(on)
        .await?
        .iter()
        .map(|row| Ok(row.try_get("number")?))
        .collect()
}

async fn claim(
    on: &mut AnyConnection,
    worker: &str,
    now_ms: i64,
    lease_ms: i64,
) -> Result<Option<Claim>> {
    let passing_over = passing_over(on, "j");
    let row = sqlx::query(AssertSqlSafe(format!(
        "UPDATE jobs SET state = 'running', worker = $1, lease_ms = $3, started_ms = $2 \
         WHERE id = (SELECT j.id FROM jobs j WHERE j.state = 'queued' AND j.imported = 1 \
         AND j.due_ms <= $2 ORDER BY j.queued_ms, j.id LIMIT 1 {passing_over}) RETURNING *",
    )))
    .bind(worker)
    .bind(now_ms)
    .bind(lease_ms)
    .fetch_optional(&mut *on)
    .await?;
    match row {
        Some(row) => jobs::begun(on, &row, now_ms).await.map(Some),
        None => Ok(None),
    }
}
