//! Every run of every test, and what a job did before.

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::database::transact;
use super::rows::Result;
use super::sql::SqlStore;
use crate::domain::RepositoryId;
use crate::domain::history::{Attempted, pack, unpack};
use crate::ports::TestHistory;
use crate::ports::error::Result as PortResult;

const NUMBERS: &str = "SELECT id, number FROM tests WHERE repository = $1 AND id IN";
const FIRST_FREE: &str =
    "SELECT COALESCE(MAX(number), 0) + 1 AS free FROM tests WHERE repository = $1";
const PAST: &str = "SELECT * FROM attempts WHERE repository = $1 AND job = $2 \
     ORDER BY build DESC, attempt DESC LIMIT $3";
/// About how many runs are looked back at: 24 MB of memory.
const RUNS: usize = 1_000_000;
/// Ids that are looked up by one statement.
const AT_ONCE: usize = 500;

#[async_trait]
impl TestHistory for SqlStore {
    async fn test_numbers(
        &self,
        repository: &RepositoryId,
        ids: Vec<String>,
    ) -> PortResult<Vec<u32>> {
        transact!(self.database, tx => numbers(tx.on(), repository, &ids).await)
    }

    async fn past_attempts(
        &self,
        repository: &RepositoryId,
        job: &str,
        limit: i64,
    ) -> PortResult<Vec<Attempted>> {
        let mut on = self.database.read().await?;
        Ok(past(&mut on, repository, job, limit).await?)
    }

    async fn keep_attempt(
        &self,
        repository: &RepositoryId,
        job: &str,
        attempted: Attempted,
    ) -> PortResult<()> {
        transact!(self.database, tx => keep(tx.on(), repository, job, &attempted).await)
    }
}

/// The numbers of tests in their repository, in the order of these ids; new ones get one.
async fn numbers(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    ids: &[String],
) -> Result<Vec<u32>> {
    let mut known: HashMap<String, i64> = HashMap::with_capacity(ids.len());
    for some in ids.chunks(AT_ONCE) {
        let marks: Vec<String> = (2..some.len() + 2).map(|at| format!("${at}")).collect();
        let marks = marks.join(", ");
        let text = format!("{NUMBERS} ({marks})");
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text)).bind(repository.as_str());
        for id in some {
            query = query.bind(id);
        }
        for row in query.fetch_all(&mut *on).await? {
            known.insert(row.try_get("id")?, row.try_get("number")?);
        }
    }
    let mut next = None;
    let mut numbers = Vec::with_capacity(ids.len());
    for id in ids {
        let number = match known.get(id) {
            Some(number) => *number,
            None => {
                let number = match next {
                    Some(number) => number,
                    None => first_free(on, repository).await?,
                };
                sqlx::query("INSERT INTO tests (repository, id, number) VALUES ($1, $2, $3)")
                    .bind(repository.as_str())
                    .bind(id)
                    .bind(number)
                    .execute(&mut *on)
                    .await?;
                known.insert(id.clone(), number);
                next = Some(number + 1);
                number
            }
        };
        numbers.push(u32::try_from(number).unwrap_or(u32::MAX));
    }
    Ok(numbers)
}

async fn first_free(on: &mut AnyConnection, repository: &RepositoryId) -> Result<i64> {
    let row = sqlx::query(FIRST_FREE)
        .bind(repository.as_str())
        .fetch_one(on)
        .await?;
    Ok(row.try_get("free")?)
}

/// Keeps what an attempt did, once.
async fn keep(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    job: &str,
    attempted: &Attempted,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO attempts (repository, job, build, attempt, commit_id, tested, at_ms, runs) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (repository, job, build, attempt) \
         DO UPDATE SET at_ms = excluded.at_ms, runs = excluded.runs",
    )
    .bind(repository.as_str())
    .bind(job)
    .bind(attempted.build)
    .bind(i64::from(attempted.attempt))
    .bind(&attempted.commit)
    .bind(&attempted.tested)
    .bind(attempted.at_ms)
    .bind(pack(&attempted.runs))
    .execute(on)
    .await?;
    Ok(())
}

/// What a job did last, the newest first.
async fn past(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    job: &str,
    limit: i64,
) -> Result<Vec<Attempted>> {
    let rows = sqlx::query(PAST)
        .bind(repository.as_str())
        .bind(job)
        .bind(limit)
        .fetch_all(on)
        .await?;
    let (mut past, mut runs) = (Vec::new(), 0);
    for row in &rows {
        let one = attempted(row)?;
        runs += one.runs.len();
        past.push(one);
        if runs >= RUNS {
            break;
        }
    }
    Ok(past)
}

fn attempted(row: &AnyRow) -> Result<Attempted> {
    let attempt: i64 = row.try_get("attempt")?;
    let runs: Vec<u8> = row.try_get("runs")?;
    Ok(Attempted {
        build: row.try_get("build")?,
        attempt: u32::try_from(attempt).unwrap_or(u32::MAX),
        commit: row.try_get("commit_id")?,
        tested: row.try_get("tested")?,
        at_ms: row.try_get("at_ms")?,
        runs: unpack(&runs),
    })
}

#[cfg(test)]
mod tests {
    use sqlx::Row;

    use super::{FIRST_FREE, NUMBERS, PAST};
    use crate::store::SqlStore;

    #[tokio::test]
    async fn what_is_read_of_the_history_is_found_by_an_index() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqlStore::sqlite(&dir.path().join("herald.db")).await;
        let store = store.unwrap();
        let mut on = store.database.read().await.unwrap();
        for statement in [&format!("{NUMBERS} ($2, $3)"), FIRST_FREE, PAST] {
            let explained = format!("EXPLAIN QUERY PLAN {statement}");
            let rows = sqlx::query(sqlx::AssertSqlSafe(explained))
                .fetch_all(&mut *on)
                .await;
            for row in rows.unwrap() {
                let step: String = row.try_get("detail").unwrap();
                assert!(
                    step.starts_with("SEARCH") && step.contains("INDEX"),
                    "{statement}: {step}"
                );
            }
        }
    }
}
