//! What is said of builds as a whole.

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::{AnyConnection, Row};

use super::builds;
use super::database::transact;
use super::rows::{self, Result};
use super::sql::SqlStore;
use crate::domain::{
    BuildId, BuildView, Conclusion, Judgement, Occasion, RepositoryId, Trust, combine,
};
use crate::ports::Judging;
use crate::ports::error::Result as PortResult;

const DUE: &str = "SELECT id FROM builds WHERE judge_ms <= $1 ORDER BY judge_ms LIMIT $2";
const BUILT: &str = "SELECT id, commit_id, number FROM builds WHERE repository = $1 AND state = 'finished' \
     AND conclusion IN ('success', 'failure', 'timed_out') AND trust = $2 AND origin = $3 AND commit_id IN";

#[async_trait]
impl Judging for SqlStore {
    async fn unjudged(&self, now_ms: i64, limit: i64) -> PortResult<Vec<BuildId>> {
        let mut on = self.database.read().await?;
        Ok(due(&mut on, now_ms, limit).await?)
    }

    async fn postpone_judging(&self, build: &BuildId, due_ms: i64) -> PortResult<()> {
        transact!(self.database, tx => postpone(tx.on(), build, due_ms).await)
    }

    async fn judge(&self, view: &BuildView, judgement: &Judgement, now_ms: i64) -> PortResult<()> {
        let text = serde_json::to_string(judgement).map_err(super::database::StoreError::from)?;
        let of_jobs = combine(view.jobs.iter().filter_map(|job| job.conclusion));
        let conclusion = judgement.conclusion(of_jobs);
        transact!(self.database, tx => judge(tx.on(), view, &text, conclusion, now_ms).await)
    }

    async fn pushed_to(&self, build: &BuildId) -> PortResult<Vec<String>> {
        let mut on = self.database.read().await?;
        Ok(pushed_to(&mut on, build).await?)
    }

    async fn built(
        &self,
        repository: &RepositoryId,
        origin: &str,
        commits: &[String],
    ) -> PortResult<Vec<BuildId>> {
        let mut on = self.database.read().await?;
        Ok(built(&mut on, repository, origin, commits).await?)
    }
}

async fn due(on: &mut AnyConnection, now_ms: i64, limit: i64) -> Result<Vec<BuildId>> {
    let rows = sqlx::query(DUE)
        .bind(now_ms)
        .bind(limit)
        .fetch_all(on)
        .await?;
    let id = |row| -> Result<BuildId> {
        Ok(BuildId::from_stored(Row::try_get::<String, _>(row, "id")?))
    };
    rows.iter().map(id).collect()
}

async fn postpone(on: &mut AnyConnection, build: &BuildId, due_ms: i64) -> Result<()> {
    sqlx::query("UPDATE builds SET judge_ms = $2 WHERE id = $1 AND judge_ms IS NOT NULL")
        .bind(build.as_str())
        .bind(due_ms)
        .execute(on)
        .await?;
    Ok(())
}

async fn judge(
    on: &mut AnyConnection,
    view: &BuildView,
    judgement: &str,
    conclusion: Conclusion,
    now_ms: i64,
) -> Result<()> {
    let build = view.build.id.as_str();
    let attempt = i64::from(view.build.attempt);
    let claimed = sqlx::query(
        "UPDATE builds SET judge_ms = NULL WHERE id = $1 AND attempt = $2 AND revision = $3 \
         AND judge_ms IS NOT NULL",
    )
    .bind(build)
    .bind(attempt)
    .bind(view.build.revision)
    .execute(&mut *on)
    .await?;
    if claimed.rows_affected() == 0 {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO judgements (build, attempt, judgement) VALUES ($1, $2, $3) ON CONFLICT (build) \
         DO UPDATE SET attempt = excluded.attempt, judgement = excluded.judgement",
    )
    .bind(build)
    .bind(attempt)
    .bind(judgement)
    .execute(&mut *on)
    .await?;
    builds::finish(on, build, conclusion, now_ms).await?;
    builds::touch(on, build).await
}

/// The branches whose push led to a build.
async fn pushed_to(on: &mut AnyConnection, build: &BuildId) -> Result<Vec<String>> {
    let rows = sqlx::query("SELECT occasion FROM triggers WHERE build = $1 AND state = 'attached'")
        .bind(build.as_str())
        .fetch_all(on)
        .await?;
    let mut branches = Vec::new();
    for row in &rows {
        let occasion: Occasion = rows::json(row, "occasion")?;
        branches.extend(occasion.pushed_branch().map(str::to_owned));
    }
    Ok(branches)
}

/// Has a build that has ended looked at again: it came to the branch of a candidate.
pub(super) async fn promote(on: &mut AnyConnection, build: &str, now_ms: i64) -> Result<()> {
    sqlx::query(
        "UPDATE builds SET judge_ms = $2 WHERE id = $1 AND state = 'finished' \
         AND judge_ms IS NULL AND conclusion IN ('success', 'failure', 'timed_out')",
    )
    .bind(build)
    .bind(now_ms)
    .execute(on)
    .await?;
    Ok(())
}

/// What is said of an attempt of a build.
pub(super) async fn judgement(
    on: &mut AnyConnection,
    build: &str,
    attempt: u32,
) -> Result<Option<Judgement>> {
    let row = sqlx::query("SELECT judgement FROM judgements WHERE build = $1 AND attempt = $2")
        .bind(build)
        .bind(i64::from(attempt))
        .fetch_optional(on)
        .await?;
    row.as_ref()
        .map(|row| rows::json(row, "judgement"))
        .transpose()
}

async fn built(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    origin: &str,
    commits: &[String],
) -> Result<Vec<BuildId>> {
    if commits.is_empty() {
        return Ok(Vec::new());
    }
    let marks: Vec<String> = (4..commits.len() + 4).map(|at| format!("${at}")).collect();
    let text = format!("{BUILT} ({})", marks.join(", "));
    let mut query = sqlx::query(sqlx::AssertSqlSafe(text))
        .bind(repository.as_str())
        .bind(Trust::Trusted.as_str())
        .bind(origin);
    for commit in commits {
        query = query.bind(commit);
    }
    let places: HashMap<&str, usize> = commits
        .iter()
        .enumerate()
        .map(|(at, commit)| (commit.as_str(), at))
        .collect();
    let mut found = Vec::new();
    for row in query.fetch_all(on).await? {
        let commit: String = row.try_get("commit_id")?;
        let number: i64 = row.try_get("number")?;
        let id = BuildId::from_stored(row.try_get::<String, _>("id")?);
        found.push((places.get(commit.as_str()).copied(), -number, id));
    }
    found.sort_by_key(|(place, newest, _)| (*place, *newest));
    found.dedup_by_key(|(place, _, _)| *place);
    Ok(found.into_iter().map(|(_, _, id)| id).collect())
}

#[cfg(test)]
mod tests {
    use sqlx::Row;

    use super::{BUILT, DUE};
    use crate::store::SqlStore;

    #[tokio::test]
    async fn builds_to_judge_and_to_compare_with_are_found_by_an_index() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqlStore::sqlite(&dir.path().join("herald.db")).await;
        let store = store.unwrap();
        let mut on = store.database.read().await.unwrap();
        for statement in [DUE, &format!("{BUILT} ($3, $4)")] {
            let explained = format!("EXPLAIN QUERY PLAN {statement}");
            let rows = sqlx::query(sqlx::AssertSqlSafe(explained))
                .fetch_all(&mut *on)
                .await;
            let steps: Vec<String> = rows
                .unwrap()
                .iter()
                .map(|row| row.try_get("detail").unwrap())
                .collect();
            assert!(
                steps.iter().all(|step| !step.starts_with("SCAN")),
                "{statement}: {steps:?}"
            );
        }
    }
}
