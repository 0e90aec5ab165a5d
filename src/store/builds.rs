//! Builds: made from triggers or joined, settled, cancelled, run again.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::jobs::{self, NewJob, add_job, end_job, repeat_job};
use super::publications;
use super::rows::{self, Result};
use crate::domain::schedule::{self, Slot};
use crate::domain::{
    Conclusion, Job, JobFailure, JobResult, Occasion, RepositoryId, Sha, State, combine,
};
use crate::ports::store::BuildDraft;
use crate::report::Report;

/// A result without a run.
pub(super) fn unrun(conclusion: Conclusion, title: String) -> JobResult {
    JobResult {
        conclusion,
        title,
        failures: Vec::<JobFailure>::new(),
        notes: Vec::new(),
        duration_ms: 0,
        report: Report::default(),
        patch: None,
        in_diff: Vec::new(),
        artifacts: Vec::new(),
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
    let priority = priority(on, &repository, trigger).await?;
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
        jobs::hurry(on, &id, priority).await?;
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
            priority,
        };
        add_job(on, &new, now_ms).await?;
    }
    publications::adopt(on, &repository, &commit, &id, now_ms).await?;
    if draft.ended.is_none() {
        settle(on, &id, now_ms).await?;
    }
    Ok(id)
}

/// The class of a build's jobs in the queue: the lower one is first.
async fn priority(on: &mut AnyConnection, repository: &str, trigger: &AnyRow) -> Result<i64> {
    let occasion: Occasion = rows::json(trigger, "occasion")?;
    let default_branch: String =
        sqlx::query("SELECT default_branch FROM repositories WHERE id = $1")
            .bind(repository)
            .fetch_one(on)
            .await?
            .try_get("default_branch")?;
    Ok(i64::from(!occasion.comes_first(&default_branch)))
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
pub(super) async fn settle(on: &mut AnyConnection, build: &str, now_ms: i64) -> Result<()> {
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
    // A build that never had jobs is prepared again.
    sqlx::query(
        "UPDATE triggers SET state = 'waiting', build = NULL, due_ms = $2, lease_ms = 0, \
         tries = 0 WHERE build = $1 AND state = 'attached' \
         AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.build = $1)",
    )
    .bind(&build)
    .bind(now_ms)
    .execute(&mut *on)
    .await?;
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
        // A state that was never rendered would leave its check run open.
        let title = "cancelled: a new attempt follows";
        publications::close_attempts(on, job, title, now_ms).await?;
        repeat_job(on, job, attempt, 0, now_ms).await?;
    }
    settle(on, build, now_ms).await
}
