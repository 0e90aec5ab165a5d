//! The queue of jobs: handed out under a lease, ended, interrupted, repeated.

use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::builds::settle;
use super::database::{StoreError, one_at_a_time};
use super::due::passing_over;
use super::publications;
use super::reruns::{Which, rerun};
use super::rows::{self, Result};
use crate::domain::{BuildId, Conclusion, Job, JobId, JobResult, RepositoryId, State, StepRecord};
use crate::ports::store::{Claim, Heartbeat, Interruption, Queue, Room};
use crate::protocol::Job as RunnerJob;

/// Who has waited so long comes as early as who is first by right.
const PATIENCE_MS: i64 = 30 * 60 * 1000;

/// The number of the lock that whoever looks for a job takes.
const CLAIMS: i64 = 0x4845_5241_4c44;

/// An attempt of a job about to be.
pub(super) struct NewJob<'a> {
    pub(super) build: &'a str,
    pub(super) repository: &'a str,
    pub(super) key: &'a str,
    pub(super) name: &'a str,
    pub(super) position: i64,
    pub(super) attempt: i64,
    pub(super) order: String,
    pub(super) skipped: Option<&'a str>,
    pub(super) interrupted: i64,
    pub(super) priority: i64,
    /// 1 where it reads what comes from elsewhere.
    pub(super) imported: i64,
    /// Where it deploys to: `Deploy::environment_key`.
    pub(super) environment: Option<String>,
    /// At which moment that was asked for, in unix milliseconds.
    pub(super) deploy_ms: Option<i64>,
}

pub(super) async fn add_job(on: &mut AnyConnection, new: &NewJob<'_>, now_ms: i64) -> Result<()> {
    let id = rows::new_id();
    let state = if new.skipped.is_some() {
        State::Finished
    } else {
        State::Blocked
    };
    sqlx::query(
        "INSERT INTO jobs (id, build, repository, key, name, position, attempt, state, \
         conclusion, job_order, skipped, interrupted, queued_ms, finished_ms, priority, \
         environment, deploy_ms, imported) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
    )
    .bind(&id)
    .bind(new.build)
    .bind(new.repository)
    .bind(new.key)
    .bind(new.name)
    .bind(new.position)
    .bind(new.attempt)
    .bind(state.as_str())
    .bind(new.skipped.map(|_| Conclusion::Skipped.as_str()))
    .bind(&new.order)
    .bind(new.skipped)
    .bind(new.interrupted)
    .bind(now_ms)
    .bind(new.skipped.map(|_| now_ms))
    .bind(new.priority)
    .bind(&new.environment)
    .bind(new.deploy_ms)
    .bind(new.imported)
    .execute(&mut *on)
    .await?;
    if let Some(reason) = new.skipped {
        let result = JobResult::without_run(Conclusion::Skipped, format!("skipped: {reason}"));
        keep_result(on, &id, &result).await?;
    }
    Ok(())
}

pub(super) async fn keep_result(
    on: &mut AnyConnection,
    job: &str,
    result: &JobResult,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO job_results (job, result) VALUES ($1, $2) \
         ON CONFLICT (job) DO UPDATE SET result = excluded.result",
    )
    .bind(job)
    .bind(serde_json::to_string(result)?)
    .execute(on)
    .await?;
    Ok(())
}

/// Ends a job that does not run.
pub(super) async fn end_job(
    on: &mut AnyConnection,
    job: &str,
    result: &JobResult,
    now_ms: i64,
) -> Result<()> {
    sqlx::query(
        "UPDATE jobs SET state = 'finished', conclusion = $2, finished_ms = $3, \
         worker = NULL, lease_ms = NULL WHERE id = $1 AND state <> 'finished'",
    )
    .bind(job)
    .bind(result.conclusion.as_str())
    .bind(now_ms)
    .execute(&mut *on)
    .await?;
    keep_result(on, job, result).await
}

/// Puts a new attempt in the place of a job. Where it is a deployment that is asked for anew, `deploy_ms` says when.
pub(super) async fn repeat_job(
    on: &mut AnyConnection,
    job: &Job,
    attempt: i64,
    interrupted: i64,
    deploy_ms: Option<i64>,
    now_ms: i64,
) -> Result<()> {
    let row = sqlx::query(
        "UPDATE jobs SET newest = 0 WHERE id = $1 RETURNING repository, job_order, skipped, \
         priority, environment, deploy_ms, imported",
    )
    .bind(job.id.as_str())
    .fetch_one(&mut *on)
    .await?;
    let repository: String = row.try_get("repository")?;
    let skipped: Option<String> = row.try_get("skipped")?;
    let new = NewJob {
        build: job.build.as_str(),
        repository: &repository,
        key: &job.key,
        name: &job.name,
        position: job.position,
        attempt,
        order: row.try_get("job_order")?,
        skipped: skipped.as_deref(),
        interrupted,
        priority: row.try_get("priority")?,
        imported: row.try_get("imported")?,
        deploy_ms: deploy_ms.or(row.try_get("deploy_ms")?),
        environment: row.try_get("environment")?,
    };
    add_job(on, &new, now_ms).await
}

pub(super) async fn claim(
    on: &mut AnyConnection,
    worker: &str,
    now_ms: i64,
    lease_ms: i64,
    room: Room,
) -> Result<Option<Claim>> {
    // Of two that look at once, each would find no deployment in the other's environment.
    one_at_a_time(on, CLAIMS).await?;
    let passing_over = passing_over(on, "j");
    let row = sqlx::query(AssertSqlSafe(format!(
        "UPDATE jobs SET state = 'running', worker = $1, lease_ms = $3, started_ms = $2 \
         WHERE id = (SELECT j.id FROM jobs j WHERE j.state = 'queued' AND j.due_ms <= $2 \
           AND j.imported = 0 \
           AND (SELECT COUNT(*) FROM jobs a WHERE a.state = 'running' AND a.imported = 0 AND a.worker = $1) < $4 \
           AND (SELECT COUNT(*) FROM jobs b WHERE b.state = 'running' AND b.imported = 0 \
                AND b.worker = $1 AND b.repository = j.repository) < $5 \
           AND (j.environment IS NULL OR NOT EXISTS (SELECT 1 FROM jobs d \
                WHERE d.repository = j.repository AND d.environment = j.environment \
                AND (d.state = 'running' OR (d.state = 'queued' AND d.due_ms <= $2 \
                AND d.build <> j.build AND (d.deploy_ms < j.deploy_ms \
                OR (d.deploy_ms = j.deploy_ms AND d.build < j.build)))))) \
           ORDER BY CASE WHEN j.priority = 0 OR j.queued_ms <= $6 THEN 0 ELSE 1 END, \
           j.queued_ms, j.position, j.id LIMIT 1 {passing_over}) RETURNING *",
    )))
    .bind(worker)
    .bind(now_ms)
    .bind(lease_ms)
    .bind(room.total)
    .bind(room.per_repository)
    .bind(now_ms - PATIENCE_MS)
    .fetch_optional(&mut *on)
    .await?;
    match row {
        Some(row) => begun(on, &row, now_ms).await.map(Some),
        None => Ok(None),
    }
}

/// The job of a row that has just begun to run.
pub(super) async fn begun(
    on: &mut AnyConnection,
    row: &sqlx::any::AnyRow,
    now_ms: i64,
) -> Result<Claim> {
    let job = rows::job(row)?;
    sqlx::query(
        "UPDATE builds SET state = 'running', started_ms = COALESCE(started_ms, $2), \
         revision = revision + 1 WHERE id = $1",
    )
    .bind(job.build.as_str())
    .bind(now_ms)
    .execute(&mut *on)
    .await?;
    whole(on, job, row).await
}

/// A job with its build and repository.
async fn whole(on: &mut AnyConnection, job: Job, row: &sqlx::any::AnyRow) -> Result<Claim> {
    let build = rows::load_build(on, job.build.as_str())
        .await?
        .ok_or_else(|| StoreError::Stored(format!("no build {}", job.build)))?;
    let id = RepositoryId::from_stored(row.try_get::<String, _>("repository")?);
    let repository = rows::load_repository(on, &id)
        .await?
        .ok_or_else(|| StoreError::Stored(format!("no repository {id}")))?;
    Ok(Claim {
        job,
        build,
        repository,
    })
}

pub(super) async fn held(
    on: &mut AnyConnection,
    job: &JobId,
    worker: &str,
    lease_ms: i64,
) -> Result<Option<Claim>> {
    let row = sqlx::query(
        "UPDATE jobs SET lease_ms = $3 WHERE id = $1 AND worker = $2 AND state = 'running' \
         RETURNING *",
    )
    .bind(job.as_str())
    .bind(worker)
    .bind(lease_ms)
    .fetch_optional(&mut *on)
    .await?;
    match row {
        Some(row) => {
            let job = rows::job(&row)?;
            whole(on, job, &row).await.map(Some)
        }
        None => Ok(None),
    }
}

/// Somebody came to want the build whose jobs are of this class: those that wait are at least of
/// it too.
pub(super) async fn hurry(on: &mut AnyConnection, build: &str, priority: i64) -> Result<()> {
    sqlx::query(
        "UPDATE jobs SET priority = $2 WHERE build = $1 AND priority > $2 \
         AND state IN ('blocked', 'queued')",
    )
    .bind(build)
    .bind(priority)
    .execute(on)
    .await?;
    Ok(())
}

/// What stands between a build and its next job; `None` when no job of it waits for room.
pub(super) async fn queue(
    on: &mut AnyConnection,
    build: &str,
    now_ms: i64,
) -> Result<Option<Queue>> {
    let patience = now_ms - PATIENCE_MS;
    let Some(first) = sqlx::query(
        "SELECT id, repository, position, queued_ms, \
         CAST(CASE WHEN priority = 0 OR queued_ms <= $2 THEN 0 ELSE 1 END AS BIGINT) AS class \
         FROM jobs WHERE build = $1 AND state = 'queued' AND imported = 0 \
         ORDER BY class, queued_ms, position, id LIMIT 1",
    )
    .bind(build)
    .bind(patience)
    .fetch_optional(&mut *on)
    .await?
    else {
        return Ok(None);
    };
    let row = sqlx::query(
        "SELECT \
         COUNT(CASE WHEN state = 'queued' THEN 1 END) AS ahead, \
         COUNT(CASE WHEN state = 'queued' AND repository = $7 THEN 1 END) AS ahead_here, \
         COUNT(CASE WHEN state = 'running' THEN 1 END) AS running, \
         COUNT(CASE WHEN state = 'running' AND repository = $7 THEN 1 END) AS running_here \
         FROM jobs a WHERE a.imported = 0 AND (a.state = 'running' OR (a.state = 'queued' AND a.build <> $1 \
         AND a.due_ms <= $8 AND \
         (CASE WHEN a.priority = 0 OR a.queued_ms <= $2 THEN 0 ELSE 1 END, \
         a.queued_ms, a.position, a.id) < ($3, $4, $5, $6)))",
    )
    .bind(build)
    .bind(patience)
    .bind(first.try_get::<i64, _>("class")?)
    .bind(first.try_get::<i64, _>("queued_ms")?)
    .bind(first.try_get::<i64, _>("position")?)
    .bind(first.try_get::<String, _>("id")?)
    .bind(first.try_get::<String, _>("repository")?)
    .bind(now_ms)
    .fetch_one(on)
    .await?;
    Ok(Some(Queue {
        ahead: row.try_get("ahead")?,
        ahead_here: row.try_get("ahead_here")?,
        running: row.try_get("running")?,
        running_here: row.try_get("running_here")?,
    }))
}

/// Has builds that wait for room rendered again: those first that were rendered least.
pub(super) async fn refresh(on: &mut AnyConnection, limit: i64) -> Result<u64> {
    let done = sqlx::query(
        "UPDATE builds SET revision = revision + 1 WHERE id IN (\
         SELECT b.id FROM builds b WHERE b.state = 'queued' AND b.revision = b.published \
         AND EXISTS (SELECT 1 FROM jobs j WHERE j.build = b.id AND j.state = 'queued') \
         ORDER BY b.revision, b.created_ms, b.id LIMIT $1)",
    )
    .bind(limit)
    .execute(on)
    .await?;
    Ok(done.rows_affected())
}

pub(super) async fn heartbeat(
    on: &mut AnyConnection,
    job: &JobId,
    worker: &str,
    lease_ms: i64,
) -> Result<Heartbeat> {
    let row = sqlx::query(
        "UPDATE jobs SET lease_ms = $3 WHERE id = $1 AND worker = $2 AND state = 'running' \
         RETURNING (SELECT CASE WHEN jobs.environment IS NULL OR b.cancel_wanted = 1 \
         THEN b.cancel_reason END FROM builds b WHERE b.id = jobs.build) AS reason",
    )
    .bind(job.as_str())
    .bind(worker)
    .bind(lease_ms)
    .fetch_optional(on)
    .await?;
    let Some(row) = row else {
        return Ok(Heartbeat::Lost);
    };
    let reason: Option<String> = row.try_get("reason")?;
    Ok(reason.map_or(Heartbeat::Go, Heartbeat::Cancel))
}

pub(super) async fn note_image(
    on: &mut AnyConnection,
    job: &JobId,
    worker: &str,
    image: &str,
) -> Result<Option<String>> {
    let row = sqlx::query(
        "UPDATE jobs SET image = $3 WHERE id = $1 AND worker = $2 AND state = 'running' \
         RETURNING repository, key",
    )
    .bind(job.as_str())
    .bind(worker)
    .bind(image)
    .fetch_optional(&mut *on)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let before = sqlx::query(
        "SELECT image FROM jobs WHERE repository = $1 AND key = $2 AND conclusion = 'success' \
         AND image IS NOT NULL ORDER BY finished_ms DESC LIMIT 1",
    )
    .bind(row.try_get::<String, _>("repository")?)
    .bind(row.try_get::<String, _>("key")?)
    .fetch_optional(on)
    .await?;
    Ok(before.map(|row| row.try_get("image")).transpose()?)
}

pub(super) async fn save_steps(
    on: &mut AnyConnection,
    job: &JobId,
    worker: &str,
    steps: &[StepRecord],
) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE jobs SET steps = $3 WHERE id = $1 AND worker = $2 AND state = 'running'",
    )
    .bind(job.as_str())
    .bind(worker)
    .bind(serde_json::to_string(steps)?)
    .execute(on)
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn finish(
    on: &mut AnyConnection,
    job: &JobId,
    worker: &str,
    steps: &[StepRecord],
    result: &JobResult,
    now_ms: i64,
) -> Result<bool> {
    if !save_steps(on, job, worker, steps).await? {
        return Ok(false);
    }
    end_job(on, job.as_str(), result, now_ms).await?;
    let build = build_of(on, job).await?;
    settle(on, &build, now_ms).await?;
    again_if_wanted(on, &build, now_ms).await?;
    Ok(true)
}

/// A build that was being cancelled when somebody came to want it again gets a new attempt.
async fn again_if_wanted(on: &mut AnyConnection, build: &str, now_ms: i64) -> Result<()> {
    let wanted: Option<i64> = sqlx::query(
        "SELECT MAX(t.created_ms) AS asked_ms FROM builds b JOIN triggers t ON t.build = b.id \
         AND t.state = 'attached' \
         WHERE b.id = $1 AND b.conclusion = 'cancelled' AND b.cancel_reason IS NOT NULL",
    )
    .bind(build)
    .fetch_one(&mut *on)
    .await?
    .try_get("asked_ms")?;
    match wanted {
        Some(_) => rerun(on, build, &Which::All, wanted, now_ms)
            .await
            .map(|_| ()),
        None => Ok(()),
    }
}

async fn build_of(on: &mut AnyConnection, job: &JobId) -> Result<String> {
    let row = sqlx::query("SELECT build FROM jobs WHERE id = $1")
        .bind(job.as_str())
        .fetch_one(on)
        .await?;
    Ok(row.try_get("build")?)
}

/// How long to wait after so many interruptions: a second, doubled each time, at most five
/// minutes.
fn pause_ms(interrupted: i64) -> i64 {
    (500_i64 << interrupted.clamp(1, 10)).min(300_000)
}

/// The newest attempt of a build's job, and how it ended.
pub(super) async fn standing(
    on: &mut AnyConnection,
    build: &BuildId,
    job: &str,
) -> Result<Option<(u32, Option<Conclusion>)>> {
    let row = sqlx::query(
        "SELECT attempt, conclusion FROM jobs WHERE build = $1 AND key = $2 AND newest = 1",
    )
    .bind(build.as_str())
    .bind(job)
    .fetch_optional(on)
    .await?;
    row.map(|row| Ok((rows::count(&row, "attempt")?, rows::conclusion(&row)?)))
        .transpose()
}

pub(super) async fn interrupt(
    on: &mut AnyConnection,
    id: &JobId,
    worker: &str,
    why: &Interruption,
    now_ms: i64,
) -> Result<()> {
    let Some(row) =
        sqlx::query("SELECT * FROM jobs WHERE id = $1 AND worker = $2 AND state = 'running'")
            .bind(id.as_str())
            .bind(worker)
            .fetch_optional(&mut *on)
            .await?
    else {
        return Ok(());
    };
    let job = rows::job(&row)?;
    let what = &why.what;
    let interrupted: i64 =
        row.try_get::<i64, _>("interrupted")? + i64::from(why.attempts.is_some());
    let cancelled: Option<String> = sqlx::query(
        "SELECT CASE WHEN j.environment IS NULL OR b.cancel_wanted = 1 THEN b.cancel_reason END \
         AS reason FROM jobs j JOIN builds b ON b.id = j.build WHERE j.id = $1",
    )
    .bind(id.as_str())
    .fetch_one(&mut *on)
    .await?
    .try_get("reason")?;
    let left = why
        .attempts
        .is_none_or(|attempts| interrupted < i64::from(attempts));
    let again = cancelled.is_none() && left;
    let title = match cancelled {
        Some(reason) => format!("cancelled: {reason}"),
        None if again => format!("interrupted: {what}; a new attempt follows"),
        None => format!("Herald could not finish: {what}"),
    };
    let result = JobResult::without_run(Conclusion::Cancelled, title.clone());
    end_job(on, id.as_str(), &result, now_ms).await?;
    if again {
        let attempt: i64 = sqlx::query(
            "UPDATE builds SET attempt = attempt + 1, state = 'queued' WHERE id = $1 \
             RETURNING attempt",
        )
        .bind(job.build.as_str())
        .fetch_one(&mut *on)
        .await?
        .try_get("attempt")?;
        repeat_job(on, &job, attempt, interrupted, None, now_ms).await?;
        let due_ms = match why.attempts {
            Some(_) => why.not_before_ms.max(now_ms + pause_ms(interrupted)),
            None => why.not_before_ms,
        };
        sqlx::query("UPDATE jobs SET due_ms = $3 WHERE build = $1 AND key = $2 AND newest = 1")
            .bind(job.build.as_str())
            .bind(&job.key)
            .bind(due_ms)
            .execute(&mut *on)
            .await?;
        let build = job.build.as_str();
        publications::close_attempts(on, build, Some(&job.key), &title, now_ms).await?;
    }
    settle(on, job.build.as_str(), now_ms).await?;
    again_if_wanted(on, job.build.as_str(), now_ms).await
}

/// The running jobs of a worker.
pub(super) async fn held_by(on: &mut AnyConnection, worker: &str) -> Result<Vec<JobId>> {
    sqlx::query("SELECT id FROM jobs WHERE state = 'running' AND worker = $1 ORDER BY id")
        .bind(worker)
        .fetch_all(on)
        .await?
        .iter()
        .map(|row| Ok(JobId::from_stored(row.try_get::<String, _>("id")?)))
        .collect()
}

/// Running jobs whose lease has ended; a deployment of another worker only when nothing of it can run any more.
pub(super) async fn lost(
    on: &mut AnyConnection,
    own: &str,
    now_ms: i64,
) -> Result<Vec<(JobId, String)>> {
    let found = sqlx::query(
        "SELECT j.*, b.cancel_wanted FROM jobs j JOIN builds b ON b.id = j.build \
         WHERE j.state = 'running' AND j.lease_ms < $1 ORDER BY j.id",
    )
    .bind(now_ms)
    .fetch_all(on)
    .await?;
    let mut lost = Vec::new();
    for row in &found {
        let job = rows::job(row)?;
        let worker: String = row.try_get("worker")?;
        let may_go_on = job.order.deploy.is_some()
            && worker != own
            && row.try_get::<i64, _>("cancel_wanted")? == 0
            && now_ms < last_moment(&job);
        if !may_go_on {
            lost.push((job.id, worker));
        }
    }
    Ok(lost)
}

/// When the runner of a job has ended it at the latest.
fn last_moment(job: &Job) -> i64 {
    let ending = RunnerJob::AFTER_TIMEOUT_MS + RunnerJob::GRACE_MS;
    let most = job.order.timeout_ms.saturating_add(ending);
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    job.started_ms.unwrap_or_default().saturating_add(most)
}
