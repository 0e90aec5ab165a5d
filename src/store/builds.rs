//! Builds and jobs: made from triggers, handed out under a lease, settled, cancelled, run again.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::database::StoreError;
use super::publications;
use super::rows::{self, Result};
use crate::domain::schedule::{self, Slot};
use crate::domain::{
    Conclusion, Job, JobFailure, JobId, JobResult, RepositoryId, Sha, State, StepRecord, combine,
};
use crate::ports::store::{BuildDraft, Claim, Heartbeat, Room};
use crate::report::Report;

/// A result without a run.
fn unrun(conclusion: Conclusion, title: String) -> JobResult {
    JobResult {
        conclusion,
        title,
        failures: Vec::<JobFailure>::new(),
        notes: Vec::new(),
        duration_ms: 0,
        report: Report::default(),
        patch: None,
        in_diff: Vec::new(),
    }
}

/// The build that the trigger joins, or a new one. Returns its id.
pub(super) async fn join_or_create(
    on: &mut AnyConnection,
    trigger: &AnyRow,
    draft: &BuildDraft,
    now_ms: i64,
) -> Result<String> {
    let repository: String = trigger.try_get("repository")?;
    let commit: String = trigger.try_get("commit_id")?;
    let trust: String = trigger.try_get("trust")?;
    let standing = sqlx::query(
        "SELECT id, conclusion FROM builds WHERE repository = $1 AND commit_id = $2 \
         AND tested = $3 AND specification = $4 AND trust = $5",
    )
    .bind(&repository)
    .bind(&commit)
    .bind(draft.tested.as_str())
    .bind(&draft.specification)
    .bind(&trust)
    .fetch_optional(&mut *on)
    .await?;
    if let Some(row) = standing {
        let id: String = row.try_get("id")?;
        let conclusion: Option<String> = row.try_get("conclusion")?;
        if conclusion.as_deref() == Some(Conclusion::Cancelled.as_str()) {
            rerun(on, &id, None, now_ms).await?;
        } else {
            // So that the badges of a branch learn of a build that was made for a pull request.
            touch(on, &id).await?;
        }
        publications::adopt(on, &repository, &commit, &id, now_ms).await?;
        return Ok(id);
    }
    let id = rows::new_id();
    let number: i64 = sqlx::query(
        "UPDATE repositories SET last_build = last_build + 1 WHERE id = $1 RETURNING last_build",
    )
    .bind(&repository)
    .fetch_one(&mut *on)
    .await?
    .try_get("last_build")?;
    let (state, conclusion, reason) = match &draft.ended {
        Some((conclusion, reason)) => (State::Finished, Some(*conclusion), Some(reason)),
        None => (State::Queued, None, None),
    };
    sqlx::query(
        "INSERT INTO builds (id, repository, number, commit_id, tested, specification, trust, \
         occasion, sender, preparation, state, conclusion, reason, created_ms, finished_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(&id)
    .bind(&repository)
    .bind(number)
    .bind(&commit)
    .bind(draft.tested.as_str())
    .bind(&draft.specification)
    .bind(&trust)
    .bind(trigger.try_get::<String, _>("occasion")?)
    .bind(trigger.try_get::<i64, _>("sender")?)
    .bind(serde_json::to_string(&draft.plan)?)
    .bind(state.as_str())
    .bind(conclusion.map(Conclusion::as_str))
    .bind(reason)
    .bind(now_ms)
    .bind(conclusion.map(|_| now_ms))
    .execute(&mut *on)
    .await?;
    for (position, job) in draft.jobs.iter().enumerate() {
        let new = NewJob {
            build: &id,
            repository: &repository,
            key: &job.order.key,
            name: job.order.name.as_deref().unwrap_or(&job.order.key),
            position: i64::try_from(position).unwrap_or(i64::MAX),
            attempt: 1,
            order: serde_json::to_string(&job.order)?,
            skipped: job.skipped.as_deref(),
            interrupted: 0,
        };
        add_job(on, &new, now_ms).await?;
    }
    publications::adopt(on, &repository, &commit, &id, now_ms).await?;
    if draft.ended.is_none() {
        settle(on, &id, now_ms).await?;
    }
    Ok(id)
}

/// An attempt of a job about to be.
struct NewJob<'a> {
    build: &'a str,
    repository: &'a str,
    key: &'a str,
    name: &'a str,
    position: i64,
    attempt: i64,
    order: String,
    skipped: Option<&'a str>,
    interrupted: i64,
}

async fn add_job(on: &mut AnyConnection, new: &NewJob<'_>, now_ms: i64) -> Result<()> {
    let id = rows::new_id();
    let state = if new.skipped.is_some() {
        State::Finished
    } else {
        State::Blocked
    };
    sqlx::query(
        "INSERT INTO jobs (id, build, repository, key, name, position, attempt, state, \
         conclusion, job_order, skipped, interrupted, queued_ms, finished_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
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
    .execute(&mut *on)
    .await?;
    if let Some(reason) = new.skipped {
        let result = unrun(Conclusion::Skipped, format!("skipped: {reason}"));
        keep_result(on, &id, &result).await?;
    }
    Ok(())
}

async fn keep_result(on: &mut AnyConnection, job: &str, result: &JobResult) -> Result<()> {
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
async fn end_job(on: &mut AnyConnection, job: &str, result: &JobResult, now_ms: i64) -> Result<()> {
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

/// People can see a change of the build.
pub(super) async fn touch(on: &mut AnyConnection, build: &str) -> Result<()> {
    sqlx::query("UPDATE builds SET revision = revision + 1 WHERE id = $1")
        .bind(build)
        .execute(on)
        .await?;
    Ok(())
}

/// Moves the build on after something about its jobs has changed: queues what may start, leaves
/// out what never will, and ends the build when all its jobs have ended.
async fn settle(on: &mut AnyConnection, build: &str, now_ms: i64) -> Result<()> {
    let mut jobs = rows::load_jobs(on, build).await?;
    let slots: Vec<Slot<'_>> = jobs
        .iter()
        .map(|job| Slot {
            key: &job.key,
            needs: &job.order.needs,
            state: job.state,
            conclusion: job.conclusion,
        })
        .collect();
    for (position, step) in schedule::advance(&slots) {
        let Some(job) = jobs.get_mut(position) else {
            continue;
        };
        match step {
            schedule::Step::Queue => {
                job.state = State::Queued;
                sqlx::query("UPDATE jobs SET state = 'queued', queued_ms = $2 WHERE id = $1")
                    .bind(job.id.as_str())
                    .bind(now_ms)
                    .execute(&mut *on)
                    .await?;
            }
            schedule::Step::Skip { because } => {
                job.state = State::Finished;
                job.conclusion = Some(Conclusion::Skipped);
                let title = format!("skipped: it needs \"{because}\", which did not succeed");
                end_job(
                    on,
                    job.id.as_str(),
                    &unrun(Conclusion::Skipped, title),
                    now_ms,
                )
                .await?;
            }
        }
    }
    if jobs.iter().all(|job| job.state == State::Finished) {
        let conclusion = combine(jobs.iter().filter_map(|job| job.conclusion));
        sqlx::query(
            "UPDATE builds SET state = 'finished', conclusion = $2, finished_ms = $3, \
             reason = CASE WHEN $2 = 'cancelled' THEN cancel_reason END \
             WHERE id = $1 AND state <> 'finished'",
        )
        .bind(build)
        .bind(conclusion.as_str())
        .bind(now_ms)
        .execute(&mut *on)
        .await?;
    }
    touch(on, build).await
}

/// Cancels a build that nobody wants any more: what waits ends now, what runs is told.
pub(super) async fn cancel(
    on: &mut AnyConnection,
    build: &str,
    reason: &str,
    now_ms: i64,
) -> Result<()> {
    let open = sqlx::query(
        "UPDATE builds SET cancel_reason = $2 WHERE id = $1 AND state <> 'finished' \
         AND cancel_reason IS NULL",
    )
    .bind(build)
    .bind(reason)
    .execute(&mut *on)
    .await?;
    if open.rows_affected() == 0 {
        return Ok(());
    }
    for job in rows::load_jobs(on, build).await? {
        if matches!(job.state, State::Blocked | State::Queued) {
            let result = unrun(Conclusion::Cancelled, format!("cancelled: {reason}"));
            end_job(on, job.id.as_str(), &result, now_ms).await?;
        }
    }
    settle(on, build, now_ms).await
}

pub(super) async fn rerun_requested(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    commit: &Sha,
    check: Option<&str>,
    now_ms: i64,
) -> Result<()> {
    let row = match check {
        Some(id) => {
            sqlx::query(
                "SELECT build, job FROM publications WHERE id = $1 AND repository = $2 \
                 AND build IS NOT NULL",
            )
            .bind(id)
            .bind(repository.as_str())
            .fetch_optional(&mut *on)
            .await?
        }
        None => {
            sqlx::query(
                "SELECT id AS build, NULL AS job FROM builds WHERE repository = $1 \
                 AND commit_id = $2 ORDER BY number DESC LIMIT 1",
            )
            .bind(repository.as_str())
            .bind(commit.as_str())
            .fetch_optional(&mut *on)
            .await?
        }
    };
    let Some(row) = row else {
        return Ok(());
    };
    let build: String = row.try_get("build")?;
    let job: Option<String> = if check.is_some() {
        row.try_get("job")?
    } else {
        None
    };
    rerun(on, &build, job.as_deref(), now_ms).await
}

/// A new attempt of a build that has ended: of all its jobs, or of one and of what was left out
/// because of it.
pub(super) async fn rerun(
    on: &mut AnyConnection,
    build: &str,
    only: Option<&str>,
    now_ms: i64,
) -> Result<()> {
    let Some(row) = sqlx::query(
        "UPDATE builds SET attempt = attempt + 1, state = 'queued', conclusion = NULL, \
         reason = NULL, cancel_reason = NULL, started_ms = NULL, finished_ms = NULL, \
         revision = revision + 1 WHERE id = $1 AND state = 'finished' \
         AND EXISTS (SELECT 1 FROM jobs WHERE jobs.build = builds.id) RETURNING attempt",
    )
    .bind(build)
    .fetch_optional(&mut *on)
    .await?
    else {
        return Ok(());
    };
    let attempt: i64 = row.try_get("attempt")?;
    let jobs = rows::load_jobs(on, build).await?;
    let mut again: Vec<&Job> = Vec::new();
    for job in &jobs {
        let chosen = match only {
            None => true,
            Some(key) => {
                job.key == key
                    || (job.conclusion == Some(Conclusion::Skipped)
                        && again
                            .iter()
                            .any(|before| job.order.needs.contains(&before.key)))
            }
        };
        if chosen {
            again.push(job);
        }
    }
    for job in again {
        repeat_job(on, job, attempt, 0, now_ms).await?;
    }
    settle(on, build, now_ms).await
}

/// Puts a new attempt in the place of a job.
async fn repeat_job(
    on: &mut AnyConnection,
    job: &Job,
    attempt: i64,
    interrupted: i64,
    now_ms: i64,
) -> Result<()> {
    let row = sqlx::query(
        "UPDATE jobs SET newest = 0 WHERE id = $1 RETURNING repository, job_order, skipped",
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
    let row = sqlx::query(
        "UPDATE jobs SET state = 'running', worker = $1, lease_ms = $3, started_ms = $2 \
         WHERE id = (SELECT j.id FROM jobs j WHERE j.state = 'queued' \
           AND (SELECT COUNT(*) FROM jobs a WHERE a.state = 'running') < $4 \
           AND (SELECT COUNT(*) FROM jobs b WHERE b.state = 'running' \
                AND b.repository = j.repository) < $5 \
           ORDER BY j.queued_ms, j.position, j.id LIMIT 1) RETURNING *",
    )
    .bind(worker)
    .bind(now_ms)
    .bind(lease_ms)
    .bind(room.total)
    .bind(room.per_repository)
    .fetch_optional(&mut *on)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let job = rows::job(&row)?;
    sqlx::query(
        "UPDATE builds SET state = 'running', started_ms = COALESCE(started_ms, $2), \
         revision = revision + 1 WHERE id = $1",
    )
    .bind(job.build.as_str())
    .bind(now_ms)
    .execute(&mut *on)
    .await?;
    let build = rows::load_build(on, job.build.as_str())
        .await?
        .ok_or_else(|| StoreError::Stored(format!("no build {}", job.build)))?;
    let id = RepositoryId::from_stored(row.try_get::<String, _>("repository")?);
    let repository = rows::load_repository(on, &id)
        .await?
        .ok_or_else(|| StoreError::Stored(format!("no repository {id}")))?;
    Ok(Some(Claim {
        job,
        build,
        repository,
    }))
}

pub(super) async fn heartbeat(
    on: &mut AnyConnection,
    job: &JobId,
    worker: &str,
    lease_ms: i64,
) -> Result<Heartbeat> {
    let row = sqlx::query(
        "UPDATE jobs SET lease_ms = $3 WHERE id = $1 AND worker = $2 AND state = 'running' \
         RETURNING (SELECT cancel_reason FROM builds WHERE builds.id = jobs.build) AS reason",
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
    let wanted = sqlx::query(
        "SELECT b.id FROM builds b JOIN triggers t ON t.build = b.id AND t.state = 'attached' \
         WHERE b.id = $1 AND b.conclusion = 'cancelled' AND b.cancel_reason IS NOT NULL LIMIT 1",
    )
    .bind(build)
    .fetch_optional(&mut *on)
    .await?;
    match wanted {
        Some(_) => rerun(on, build, None, now_ms).await,
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

pub(super) async fn interrupt(
    on: &mut AnyConnection,
    id: &JobId,
    worker: &str,
    what: &str,
    attempts: u32,
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
    let interrupted: i64 = row.try_get::<i64, _>("interrupted")? + 1;
    let cancelled: Option<String> = sqlx::query("SELECT cancel_reason FROM builds WHERE id = $1")
        .bind(job.build.as_str())
        .fetch_one(&mut *on)
        .await?
        .try_get("cancel_reason")?;
    let again = cancelled.is_none() && interrupted < i64::from(attempts);
    let title = match cancelled {
        Some(reason) => format!("cancelled: {reason}"),
        None if again => format!("interrupted: {what}; a new attempt follows"),
        None => format!("Herald could not finish: {what}"),
    };
    let result = unrun(Conclusion::Cancelled, title.clone());
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
        repeat_job(on, &job, attempt, interrupted, now_ms).await?;
        publications::close_attempts(on, &job, &title, now_ms).await?;
    }
    settle(on, job.build.as_str(), now_ms).await?;
    again_if_wanted(on, job.build.as_str(), now_ms).await
}

pub(super) async fn lost(
    on: &mut AnyConnection,
    worker: &str,
    now_ms: i64,
) -> Result<Vec<(JobId, String)>> {
    sqlx::query(
        "SELECT id, worker FROM jobs WHERE state = 'running' \
         AND (worker = $1 OR lease_ms < $2) ORDER BY id",
    )
    .bind(worker)
    .bind(now_ms)
    .fetch_all(on)
    .await?
    .iter()
    .map(|row| {
        Ok((
            JobId::from_stored(row.try_get::<String, _>("id")?),
            row.try_get("worker")?,
        ))
    })
    .collect()
}
