//! Tests whose failures do not count for a while.

use async_trait::async_trait;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::rows::Result;
use super::sql::SqlStore;
use crate::domain::quarantine::Quarantined;
use crate::domain::{BuildId, PersonId, Quarantining, RepositoryId};
use crate::ports::Quarantines;
use crate::ports::error::Result as PortResult;

#[async_trait]
impl Quarantines for SqlStore {
    async fn quarantined(
        &self,
        repository: &RepositoryId,
        now_ms: i64,
    ) -> PortResult<Vec<Quarantined>> {
        let mut on = self.database.read().await?;
        Ok(list(&mut on, repository, now_ms).await?)
    }

    async fn newest_of(
        &self,
        repository: &RepositoryId,
        subject: &str,
    ) -> PortResult<Option<BuildId>> {
        let mut on = self.database.read().await?;
        Ok(newest_of(&mut on, repository, subject).await?)
    }
}

async fn list(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    now_ms: i64,
) -> Result<Vec<Quarantined>> {
    let rows = sqlx::query(
        "SELECT * FROM quarantines WHERE repository = $1 AND until_ms > $2 ORDER BY until_ms, test",
    )
    .bind(repository.as_str())
    .bind(now_ms)
    .fetch_all(on)
    .await?;
    rows.iter().map(quarantined).collect()
}

fn quarantined(row: &AnyRow) -> Result<Quarantined> {
    Ok(Quarantined {
        test: row.try_get("test")?,
        name: row.try_get("name")?,
        until_ms: row.try_get("until_ms")?,
        reason: row.try_get("reason")?,
        person: Some(PersonId(row.try_get("person")?)),
    })
}

/// Puts a test away, or lets it count again; `false` when there was nothing to do.
pub(super) async fn apply(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    what: &Quarantining,
    now_ms: i64,
) -> Result<bool> {
    match what {
        Quarantining::PutAway(what) => put_away(on, repository, what, now_ms).await,
        Quarantining::TakenBack(test) => take_back(on, repository, test, now_ms).await,
    }
}

/// Puts a test away, or changes until when and why.
async fn put_away(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    what: &Quarantined,
    now_ms: i64,
) -> Result<bool> {
    // What is over is of no use to anybody.
    sqlx::query("DELETE FROM quarantines WHERE repository = $1 AND until_ms <= $2")
        .bind(repository.as_str())
        .bind(now_ms)
        .execute(&mut *on)
        .await?;
    sqlx::query(
        "INSERT INTO quarantines (repository, test, name, until_ms, reason, person, created_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (repository, test) DO UPDATE SET \
         name = excluded.name, until_ms = excluded.until_ms, reason = excluded.reason, \
         person = excluded.person, created_ms = excluded.created_ms",
    )
    .bind(repository.as_str())
    .bind(&what.test)
    .bind(&what.name)
    .bind(what.until_ms)
    .bind(&what.reason)
    .bind(what.person.map_or(0, |person| person.0))
    .bind(now_ms)
    .execute(on)
    .await?;
    Ok(true)
}

/// Lets a test count again; `false` when it was not put away.
async fn take_back(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    test: &str,
    now_ms: i64,
) -> Result<bool> {
    let gone = sqlx::query(
        "DELETE FROM quarantines WHERE repository = $1 AND test = $2 AND until_ms > $3",
    )
    .bind(repository.as_str())
    .bind(test)
    .bind(now_ms)
    .execute(on)
    .await?;
    Ok(gone.rows_affected() > 0)
}

async fn newest_of(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    subject: &str,
) -> Result<Option<BuildId>> {
    let row = sqlx::query(
        "SELECT b.id FROM triggers t JOIN builds b ON b.id = t.build WHERE t.repository = $1 \
         AND t.subject = $2 AND t.state = 'attached' ORDER BY b.number DESC LIMIT 1",
    )
    .bind(repository.as_str())
    .bind(subject)
    .fetch_optional(on)
    .await?;
    let id = |row: AnyRow| -> Result<BuildId> {
        Ok(BuildId::from_stored(row.try_get::<String, _>("id")?))
    };
    row.map(id).transpose()
}
