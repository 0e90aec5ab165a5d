//! Every run of every test, and what a job did before.

use std::collections::HashMap;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::database::transact;
use super::rows::Result;
use super::sql::SqlStore;
use crate::domain::RepositoryId;
use crate::domain::history::{Attempted, KnownTest, Packed, TestName, pack};
use crate::ports::error::Result as PortResult;
use crate::ports::history::Back;
use crate::ports::{PortError, TestHistory};

pub(super) const NUMBERS: &str =
    "SELECT id, number, seen_ms FROM tests WHERE repository = $1 AND id IN";
pub(super) const NAMES: &str = "SELECT * FROM tests WHERE repository = $1 AND id IN";
pub(super) const OF_NUMBERS: &str = "SELECT * FROM tests WHERE repository = $1 AND number IN";
pub(super) const FIRST_FREE: &str =
    "SELECT COALESCE(MAX(number), 0) + 1 AS free FROM tests WHERE repository = $1";
pub(super) const PAST: &str = "SELECT * FROM attempts WHERE repository = $1 AND job = $2 AND build < $3 \
     ORDER BY build DESC, attempt DESC LIMIT $4";
/// One search a job: there are few of them, and many attempts of each.
pub(super) const NEXT_JOB: &str =
    "SELECT MIN(job) AS job FROM attempts WHERE repository = $1 AND job > $2";
pub(super) const OLD_ATTEMPTS: &str = "DELETE FROM attempts WHERE (repository, job, build, attempt) IN \
     (SELECT repository, job, build, attempt FROM attempts WHERE at_ms < $1 ORDER BY at_ms LIMIT $2)";
pub(super) const OLD_TESTS: &str = "DELETE FROM tests WHERE (repository, id) IN \
     (SELECT repository, id FROM tests WHERE seen_ms < $1 ORDER BY seen_ms LIMIT $2)";
/// About how many bytes of runs are looked back at: a million runs, 24 MB of memory.
const BYTES: usize = 3_000_000;
/// Tests that are looked up, or written, by one statement.
const AT_ONCE: usize = 500;
/// That a test was seen is written down again after a month, and what it is called: its id is made of that, so that it
/// does not change before.
const SEEN_FOR_MS: i64 = 30 * 24 * 60 * 60 * 1000;

#[async_trait]
impl TestHistory for SqlStore {
    async fn test_numbers(
        &self,
        repository: &RepositoryId,
        tests: &[TestName],
        now_ms: i64,
    ) -> PortResult<Vec<u32>> {
        // Mostly all are known: then nobody else has to wait.
        let known = {
            let mut on = self.database.read().await?;
            known(&mut on, repository, tests).await?
        };
        if let Some(numbers) = known.all(tests, now_ms) {
            return Ok(numbers);
        }
        transact!(self.database, tx => numbers(tx.on(), repository, tests, now_ms).await)
    }

    async fn known_tests(
        &self,
        repository: &RepositoryId,
        ids: &[&str],
    ) -> PortResult<Vec<KnownTest>> {
        let mut on = self.database.read().await?;
        let mut tests = Vec::with_capacity(ids.len());
        for row in by_ids(&mut on, NAMES, repository, ids).await? {
            tests.push(known_test(&row)?);
        }
        Ok(tests)
    }

    async fn tests_of_numbers(
        &self,
        repository: &RepositoryId,
        numbers: &[u32],
    ) -> PortResult<Vec<KnownTest>> {
        let mut on = self.database.read().await?;
        let mut tests = Vec::with_capacity(numbers.len());
        for some in numbers.chunks(AT_ONCE) {
            let text = format!("{OF_NUMBERS} ({})", marks(2, some.len()));
            let mut query = sqlx::query(sqlx::AssertSqlSafe(text)).bind(repository.as_str());
            for number in some {
                query = query.bind(i64::from(*number));
            }
            let rows = query.fetch_all(&mut *on).await.map_err(wrong)?;
            for row in &rows {
                tests.push(known_test(row)?);
            }
        }
        Ok(tests)
    }

    async fn jobs_with_tests(
        &self,
        repository: &RepositoryId,
        limit: usize,
    ) -> PortResult<Vec<String>> {
        let mut on = self.database.read().await?;
        Ok(jobs(&mut on, repository, limit).await?)
    }

    async fn past_attempts(
        &self,
        repository: &RepositoryId,
        job: &str,
        limit: i64,
    ) -> PortResult<Vec<Attempted>> {
        let back = Back {
            job,
            before: i64::MAX,
            attempts: limit,
            bytes: BYTES,
        };
        let past = self.packed_attempts(repository, back).await?;
        Ok(past.into_iter().map(Packed::unpack).collect())
    }

    async fn packed_attempts(
        &self,
        repository: &RepositoryId,
        back: Back<'_>,
    ) -> PortResult<Vec<Packed>> {
        let mut on = self.database.read().await?;
        Ok(past(&mut on, repository, back).await?)
    }

    async fn keep_attempt(
        &self,
        repository: &RepositoryId,
        job: &str,
        attempted: Attempted,
    ) -> PortResult<()> {
        transact!(self.database, tx => keep(tx.on(), repository, job, &attempted).await)
    }

    async fn drop_history(&self, before_ms: i64, limit: i64) -> PortResult<u64> {
        transact!(self.database, tx => drop_old(tx.on(), before_ms, limit).await)
    }
}

fn wrong(error: sqlx::Error) -> PortError {
    super::database::StoreError::from(error).into()
}

/// `$from, …`: so many of them.
fn marks(from: usize, count: usize) -> String {
    let marks: Vec<String> = (from..from + count).map(|at| format!("${at}")).collect();
    marks.join(", ")
}

/// What is stored of a test.
#[derive(Clone, Copy)]
struct Stored {
    number: i64,
    seen_ms: i64,
}

impl Stored {
    /// Whether nothing is to be written when it is seen now.
    fn is_fresh(self, now_ms: i64) -> bool {
        now_ms - self.seen_ms < SEEN_FOR_MS
    }
}

fn short(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Tests by their ids.
struct Known(HashMap<String, Stored>);

impl Known {
    /// The numbers of all of them, where nothing is to be written.
    fn all(&self, tests: &[TestName], now_ms: i64) -> Option<Vec<u32>> {
        let numbers = tests.iter().map(|name| {
            let stored = self.0.get(&name.id)?;
            stored.is_fresh(now_ms).then(|| short(stored.number))
        });
        numbers.collect()
    }
}

async fn by_ids(
    on: &mut AnyConnection,
    statement: &str,
    repository: &RepositoryId,
    ids: &[&str],
) -> Result<Vec<AnyRow>> {
    let mut rows = Vec::with_capacity(ids.len());
    for some in ids.chunks(AT_ONCE) {
        let text = format!("{statement} ({})", marks(2, some.len()));
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text)).bind(repository.as_str());
        for id in some {
            query = query.bind(*id);
        }
        rows.extend(query.fetch_all(&mut *on).await?);
    }
    Ok(rows)
}

fn known_test(row: &AnyRow) -> Result<KnownTest> {
    Ok(KnownTest {
        number: short(row.try_get("number")?),
        name: TestName {
            id: row.try_get("id")?,
            suite: row.try_get("suite")?,
            class: row.try_get("class")?,
            name: row.try_get("name")?,
        },
    })
}

async fn known(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    tests: &[TestName],
) -> Result<Known> {
    let ids: Vec<&str> = tests.iter().map(|name| name.id.as_str()).collect();
    let mut known = Known(HashMap::with_capacity(tests.len()));
    for row in by_ids(on, NUMBERS, repository, &ids).await? {
        let stored = Stored {
            number: row.try_get(1)?,
            seen_ms: row.try_get(2)?,
        };
        known.0.insert(row.try_get(0)?, stored);
    }
    Ok(known)
}

/// The numbers of tests in their repository, in this order; new ones get one, and what has changed is written.
async fn numbers(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    tests: &[TestName],
    now_ms: i64,
) -> Result<Vec<u32>> {
    let mut known = known(on, repository, tests).await?;
    let mut free = None;
    let mut changed = Vec::new();
    let mut numbers = Vec::with_capacity(tests.len());
    for name in tests {
        let number = match known.0.get(&name.id) {
            Some(stored) if stored.is_fresh(now_ms) => stored.number,
            Some(stored) => {
                changed.push((stored.number, name));
                stored.number
            }
            None => {
                let number = match free {
                    Some(number) => number,
                    None => first_free(on, repository).await?,
                };
                free = Some(number + 1);
                changed.push((number, name));
                number
            }
        };
        numbers.push(short(number));
        let seen_ms = now_ms;
        known.0.insert(name.id.clone(), Stored { number, seen_ms });
    }
    for some in changed.chunks(AT_ONCE) {
        write(on, repository, some, now_ms).await?;
    }
    Ok(numbers)
}

/// Writes down what tests are called; each is there once.
async fn write(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    tests: &[(i64, &TestName)],
    now_ms: i64,
) -> Result<()> {
    const EACH: usize = 5;
    let values: Vec<String> = (0..tests.len())
        .map(|at| format!("($1, {}, $2)", marks(3 + at * EACH, EACH)))
        .collect();
    let text = format!(
        "INSERT INTO tests (repository, id, number, suite, class, name, seen_ms) VALUES {} \
         ON CONFLICT (repository, id) DO UPDATE SET suite = excluded.suite, class = excluded.class, \
         name = excluded.name, seen_ms = excluded.seen_ms",
        values.join(", ")
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(text))
        .bind(repository.as_str())
        .bind(now_ms);
    for (number, name) in tests {
        query = query.bind(&name.id).bind(*number);
        query = query.bind(&name.suite).bind(&name.class).bind(&name.name);
    }
    query.execute(on).await?;
    Ok(())
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

/// What a job did last, the newest first. Read one after another: a job may have very many tests.
async fn past(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    back: Back<'_>,
) -> Result<Vec<Packed>> {
    let mut rows = sqlx::query(PAST)
        .bind(repository.as_str())
        .bind(back.job)
        .bind(back.before)
        .bind(back.attempts)
        .fetch(on);
    let (mut past, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.try_next().await? {
        let one = packed(&row)?;
        bytes += one.bytes.len();
        past.push(one);
        if bytes >= back.bytes {
            break;
        }
    }
    Ok(past)
}

fn packed(row: &AnyRow) -> Result<Packed> {
    let attempt: i64 = row.try_get("attempt")?;
    Ok(Packed {
        build: row.try_get("build")?,
        attempt: u32::try_from(attempt).unwrap_or(u32::MAX),
        commit: row.try_get("commit_id")?,
        tested: row.try_get("tested")?,
        at_ms: row.try_get("at_ms")?,
        bytes: row.try_get("runs")?,
    })
}

async fn jobs(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    limit: usize,
) -> Result<Vec<String>> {
    let mut jobs: Vec<String> = Vec::new();
    while jobs.len() < limit {
        let row = sqlx::query(NEXT_JOB)
            .bind(repository.as_str())
            .bind(jobs.last().map(String::as_str).unwrap_or_default())
            .fetch_one(&mut *on)
            .await?;
        match row.try_get("job")? {
            Some(job) => jobs.push(job),
            None => break,
        }
    }
    Ok(jobs)
}

/// A test that was last seen a month before an attempt was made may be in that attempt.
async fn drop_old(on: &mut AnyConnection, before_ms: i64, limit: i64) -> Result<u64> {
    let mut dropped = 0;
    for (statement, before_ms) in [
        (OLD_ATTEMPTS, before_ms),
        (OLD_TESTS, before_ms - SEEN_FOR_MS),
    ] {
        let done = sqlx::query(statement)
            .bind(before_ms)
            .bind(limit)
            .execute(&mut *on)
            .await?;
        dropped += done.rows_affected();
        if dropped > 0 {
            break;
        }
    }
    Ok(dropped)
}
