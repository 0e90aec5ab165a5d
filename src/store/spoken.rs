//! What finished builds say of their branches: badges, and numbers over time.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::rows::{self, Result};
use crate::domain::{BadgeValue, Build, BuildView, Measure, Occasion, RepositoryId};
use crate::ports::store::Spoken;

/// Keeps it for every branch whose push led to this build; badges unless a later push has spoken.
pub(super) async fn keep(on: &mut AnyConnection, view: &BuildView, spoken: &Spoken) -> Result<()> {
    if spoken.badges.is_empty() && spoken.measure.is_none() {
        return Ok(());
    }
    let triggers = sqlx::query(
        "SELECT occasion, created_ms FROM triggers WHERE build = $1 AND state = 'attached'",
    )
    .bind(view.build.id.as_str())
    .fetch_all(&mut *on)
    .await?;
    for row in triggers {
        let Occasion::Push { branch, .. } = rows::json(&row, "occasion")? else {
            continue;
        };
        let at_ms: i64 = row.try_get("created_ms")?;
        for badge in &spoken.badges {
            keep_badge(on, &view.repository.id, &branch, badge, at_ms).await?;
        }
        if let Some(measure) = &spoken.measure {
            keep_measure(on, &view.repository.id, &branch, measure).await?;
        }
    }
    Ok(())
}

/// Sets a badge of a branch, unless a later push has spoken.
pub(super) async fn keep_badge(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    branch: &str,
    badge: &BadgeValue,
    at_ms: i64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO badges (repository, kind, branch, job, label, message, color, at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (repository, kind, branch, job) DO UPDATE SET label = excluded.label, \
         message = excluded.message, color = excluded.color, at_ms = excluded.at_ms \
         WHERE badges.at_ms <= excluded.at_ms",
    )
    .bind(repository.as_str())
    .bind(&badge.kind)
    .bind(branch)
    .bind(&badge.job)
    .bind(&badge.label)
    .bind(&badge.message)
    .bind(&badge.color)
    .bind(at_ms)
    .execute(on)
    .await?;
    Ok(())
}

async fn keep_measure(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    branch: &str,
    measure: &Measure,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO measures (repository, branch, number, red, duration_ms, passed, failed, skipped, \
         covered, coverable) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT (repository, branch, number) DO UPDATE SET red = excluded.red, \
         duration_ms = excluded.duration_ms, passed = excluded.passed, failed = excluded.failed, \
         skipped = excluded.skipped, covered = excluded.covered, coverable = excluded.coverable",
    )
    .bind(repository.as_str())
    .bind(branch)
    .bind(measure.number)
    .bind(i64::from(measure.red))
    .bind(measure.duration_ms.map(stored))
    .bind(stored(measure.passed))
    .bind(stored(measure.failed))
    .bind(stored(measure.skipped))
    .bind(stored(measure.covered))
    .bind(stored(measure.coverable))
    .execute(on)
    .await?;
    Ok(())
}

fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Numbers of the last builds of a branch, the newest first.
pub(super) async fn measures(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    branch: &str,
    limit: i64,
) -> Result<Vec<Measure>> {
    sqlx::query(
        "SELECT * FROM measures WHERE repository = $1 AND branch = $2 ORDER BY number DESC LIMIT $3",
    )
    .bind(repository.as_str())
    .bind(branch)
    .bind(limit)
    .fetch_all(on)
    .await?
    .iter()
    .map(measure)
    .collect()
}

fn measure(row: &AnyRow) -> Result<Measure> {
    let count = |column: &str| -> Result<u64> {
        let value: i64 = row.try_get(column)?;
        Ok(u64::try_from(value).unwrap_or(0))
    };
    let duration_ms: Option<i64> = row.try_get("duration_ms")?;
    Ok(Measure {
        number: row.try_get("number")?,
        red: row.try_get::<i64, _>("red")? != 0,
        duration_ms: duration_ms.and_then(|ms| u64::try_from(ms).ok()),
        passed: count("passed")?,
        failed: count("failed")?,
        skipped: count("skipped")?,
        covered: count("covered")?,
        coverable: count("coverable")?,
    })
}

/// Branches that builds spoke of, with the numbers of the last build of each, the latest first.
pub(super) async fn branches(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    limit: i64,
) -> Result<Vec<(String, Measure)>> {
    sqlx::query(
        "SELECT m.* FROM measures m JOIN (SELECT branch, MAX(number) AS last FROM measures \
         WHERE repository = $1 GROUP BY branch) l ON l.branch = m.branch AND l.last = m.number \
         WHERE m.repository = $1 ORDER BY m.number DESC, m.branch LIMIT $2",
    )
    .bind(repository.as_str())
    .bind(limit)
    .fetch_all(on)
    .await?
    .iter()
    .map(|row| Ok((row.try_get("branch")?, measure(row)?)))
    .collect()
}

/// Builds that spoke of a branch, the newest first, with numbers below `before`.
pub(super) async fn builds(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    branch: &str,
    before: i64,
    limit: i64,
) -> Result<Vec<Build>> {
    sqlx::query(
        "SELECT b.* FROM measures m JOIN builds b ON b.repository = m.repository AND b.number = m.number \
         WHERE m.repository = $1 AND m.branch = $2 AND m.number < $3 ORDER BY m.number DESC LIMIT $4",
    )
    .bind(repository.as_str())
    .bind(branch)
    .bind(before)
    .bind(limit)
    .fetch_all(on)
    .await?
    .iter()
    .map(rows::build)
    .collect()
}
