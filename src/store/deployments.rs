//! Jobs that are deployments: one at a time in each environment, the newest of those that wait, approved where that is
//! asked for.
//!
//! Of two deployments in one environment the later one is that which was asked for later (`deploy_ms`), and of one
//! moment that of the later build. Jobs of one build are not held against each other: they run one after another.

use std::collections::BTreeSet;

use sqlx::{AnyConnection, Row};

use super::jobs::{end_job, repeat_job};
use super::reruns::{Which, rerun};
use super::rows::{self, Result};
use super::{builds, publications};
use crate::domain::{
    Approved, Conclusion, Job, JobResult, Occasion, PersonId, RepositoryId, pull_subject,
};
use crate::ports::store::Awaiting;

/// The words under which an attempt ends after which the approved one comes.
const APPROVED: &str = "approved: a new attempt follows";

/// A deployment among those of its environment.
struct Entry {
    repository: String,
    build: String,
    environment: String,
    deploy_ms: i64,
}

/// What becomes of a job that nothing it needs holds up any more.
pub(super) enum Ready {
    /// It waits for room.
    Queue,
    /// It ends without having run.
    End(Box<JobResult>),
}

/// Decides over a job that may start, ends older deployments that wait for the same environment, and says whose they were:
/// those builds have to be settled.
pub(super) async fn ready(
    on: &mut AnyConnection,
    job: &Job,
    now_ms: i64,
) -> Result<(Ready, BTreeSet<String>)> {
    let none = BTreeSet::new();
    let Some(deploy) = &job.order.deploy else {
        return Ok((Ready::Queue, none));
    };
    let Some(entry) = entry(on, job).await? else {
        return Ok((Ready::Queue, none));
    };
    if let Some(newer) = newer(on, &entry).await? {
        return Ok((Ready::End(Box::new(superseded(newer))), none));
    }
    if deploy.approval && job.approval.is_none() {
        let title = format!("waits for approval to deploy to {}", deploy.environment);
        let result = JobResult::without_run(Conclusion::ActionRequired, title);
        return Ok((Ready::End(Box::new(result)), none));
    }
    let number = number(on, &entry.build).await?;
    let mut others = BTreeSet::new();
    for (job, build) in older(on, &entry).await? {
        end_job(on, &job, &superseded(number), now_ms).await?;
        others.insert(build);
    }
    Ok((Ready::Queue, others))
}

fn superseded(by: i64) -> JobResult {
    let title = format!("cancelled: superseded by build #{by}");
    JobResult::without_run(Conclusion::Cancelled, title)
}

async fn entry(on: &mut AnyConnection, job: &Job) -> Result<Option<Entry>> {
    let row = sqlx::query(
        "SELECT repository, environment, deploy_ms FROM jobs WHERE id = $1 \
         AND environment IS NOT NULL AND deploy_ms IS NOT NULL",
    )
    .bind(job.id.as_str())
    .fetch_optional(on)
    .await?;
    row.map(|row| {
        Ok(Entry {
            repository: row.try_get("repository")?,
            build: job.build.as_str().to_owned(),
            environment: row.try_get("environment")?,
            deploy_ms: row.try_get("deploy_ms")?,
        })
    })
    .transpose()
}

async fn number(on: &mut AnyConnection, build: &str) -> Result<i64> {
    let row = sqlx::query("SELECT number FROM builds WHERE id = $1")
        .bind(build)
        .fetch_one(on)
        .await?;
    Ok(row.try_get("number")?)
}

/// The number of a build whose deployment is later, and waits for room, runs, or has run.
async fn newer(on: &mut AnyConnection, entry: &Entry) -> Result<Option<i64>> {
    let row = sqlx::query(
        "SELECT b.number FROM jobs j JOIN builds b ON b.id = j.build WHERE j.repository = $1 \
         AND j.environment = $2 AND j.build <> $3 \
         AND (j.deploy_ms > $4 OR (j.deploy_ms = $4 AND j.build > $3)) \
         AND (j.state IN ('queued', 'running') OR j.started_ms IS NOT NULL) \
         ORDER BY j.deploy_ms DESC, j.build DESC LIMIT 1",
    )
    .bind(&entry.repository)
    .bind(&entry.environment)
    .bind(&entry.build)
    .bind(entry.deploy_ms)
    .fetch_optional(on)
    .await?;
    Ok(row.map(|row| row.try_get("number")).transpose()?)
}

/// Deployments of other builds that wait for room and are not later, with their builds.
async fn older(on: &mut AnyConnection, entry: &Entry) -> Result<Vec<(String, String)>> {
    sqlx::query(
        "SELECT id, build FROM jobs WHERE repository = $1 AND environment = $2 AND build <> $3 \
         AND state = 'queued' AND deploy_ms <= $4",
    )
    .bind(&entry.repository)
    .bind(&entry.environment)
    .bind(&entry.build)
    .bind(entry.deploy_ms)
    .fetch_all(on)
    .await?
    .iter()
    .map(|row| Ok((row.try_get("id")?, row.try_get("build")?)))
    .collect()
}

/// The keys of a build's deployments after which another build has deployed to the same environment, or is about to.
pub(super) async fn overtaken(on: &mut AnyConnection, build: &str) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    for job in rows::load_jobs(on, build).await? {
        if job.order.deploy.is_none() || job.conclusion == Some(Conclusion::Skipped) {
            continue;
        }
        let entry = entry(on, &job).await?;
        if let Some(entry) = entry
            && newer(on, &entry).await?.is_some()
        {
            keys.push(job.key);
        }
    }
    Ok(keys)
}

/// A branch or tag came to the commit of a build after whose deployments none has begun: those that were asked for
/// before `asked_ms` and have not begun are older from now on.
pub(super) async fn wanted_again(on: &mut AnyConnection, build: &str, asked_ms: i64) -> Result<()> {
    sqlx::query(
        "UPDATE jobs SET deploy_ms = $2 WHERE build = $1 AND newest = 1 AND deploy_ms < $2",
    )
    .bind(build)
    .bind(asked_ms)
    .execute(on)
    .await?;
    Ok(())
}

/// Whether a build has a deployment that waits for a person.
pub(super) async fn waits(on: &mut AnyConnection, build: &str) -> Result<bool> {
    let row = sqlx::query(
        "SELECT id FROM jobs WHERE build = $1 AND newest = 1 AND environment IS NOT NULL \
         AND conclusion = 'action_required' LIMIT 1",
    )
    .bind(build)
    .fetch_optional(on)
    .await?;
    Ok(row.is_some())
}

/// The head of a pull request that has a deployment waiting for approval.
pub(super) async fn awaiting(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    pull: i64,
) -> Result<Option<Awaiting>> {
    let rows = sqlx::query(
        "SELECT commit_id, occasion, build FROM triggers WHERE repository = $1 AND subject = $2 \
         AND state = 'attached' ORDER BY created_ms DESC",
    )
    .bind(repository.as_str())
    .bind(pull_subject(pull))
    .fetch_all(&mut *on)
    .await?;
    for row in rows {
        let build: Option<String> = row.try_get("build")?;
        let occasion: Occasion = rows::json(&row, "occasion")?;
        let (Some(build), Some(pull)) = (build, occasion.pull()) else {
            continue;
        };
        if waits(on, &build).await? {
            return Ok(Some(Awaiting {
                commit: rows::sha(&row, "commit_id")?,
                since_ms: pull.updated_ms,
            }));
        }
    }
    Ok(None)
}

/// Keeps an approval of deployments that wait for it and has them run. `false` when none waited.
pub(super) async fn approve(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    what: &Approved,
    person: Option<PersonId>,
    now_ms: i64,
) -> Result<bool> {
    let mut done = false;
    for (build, only) in meant(on, repository, what).await? {
        if is_ending(on, &build).await? {
            continue;
        }
        let jobs = rows::load_jobs(on, &build).await?;
        let waiting = jobs.iter().filter(|job| {
            job.order.deploy.is_some()
                && job.conclusion == Some(Conclusion::ActionRequired)
                && only.as_ref().is_none_or(|only| *only == job.key)
        });
        let keys: Vec<String> = waiting.map(|job| job.key.clone()).collect();
        if keys.is_empty() {
            continue;
        }
        for key in &keys {
            keep(on, &build, key, person.unwrap_or(PersonId::NOBODY), now_ms).await?;
        }
        let which = Which::Keys(keys);
        if !rerun(on, &build, &which, None, now_ms).await? {
            again_beside(on, &build, &which, now_ms).await?;
        }
        done = true;
    }
    Ok(done)
}

/// Whether a build was superseded or is being cancelled: nothing of it is to be deployed any more.
async fn is_ending(on: &mut AnyConnection, build: &str) -> Result<bool> {
    let row = sqlx::query("SELECT id FROM builds WHERE id = $1 AND cancel_reason IS NOT NULL")
        .bind(build)
        .fetch_optional(on)
        .await?;
    Ok(row.is_some())
}

/// The builds that are meant, and of each the job, where it is one only.
async fn meant(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    what: &Approved,
) -> Result<Vec<(String, Option<String>)>> {
    match what {
        Approved::Build(build) => Ok(vec![(build.as_str().to_owned(), None)]),
        Approved::Job(build, key) => Ok(vec![(build.as_str().to_owned(), Some(key.clone()))]),
        Approved::Check(check) => {
            let spoken = publications::spoken_of(on, repository, check).await?;
            Ok(spoken.into_iter().collect())
        }
        Approved::Head { pull, commit } => sqlx::query(
            "SELECT DISTINCT build FROM triggers WHERE repository = $1 AND subject = $2 \
             AND commit_id = $3 AND state = 'attached' AND build IS NOT NULL",
        )
        .bind(repository.as_str())
        .bind(pull_subject(*pull))
        .bind(commit.as_str())
        .fetch_all(on)
        .await?
        .iter()
        .map(|row| Ok((row.try_get("build")?, None)))
        .collect(),
    }
}

async fn keep(
    on: &mut AnyConnection,
    build: &str,
    job: &str,
    person: PersonId,
    at_ms: i64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO deploy_approvals (build, job, person, at_ms) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (build, job) DO NOTHING",
    )
    .bind(build)
    .bind(job)
    .bind(person.0)
    .bind(at_ms)
    .execute(on)
    .await?;
    Ok(())
}

/// A new attempt of jobs of a build that has not ended, beside those that it still carries out.
async fn again_beside(
    on: &mut AnyConnection,
    build: &str,
    which: &Which,
    now_ms: i64,
) -> Result<()> {
    let row =
        sqlx::query("UPDATE builds SET attempt = attempt + 1 WHERE id = $1 RETURNING attempt")
            .bind(build)
            .fetch_one(&mut *on)
            .await?;
    let attempt: i64 = row.try_get("attempt")?;
    let jobs = rows::load_jobs(on, build).await?;
    for job in which.of(&jobs) {
        publications::close_attempts(on, build, Some(&job.key), APPROVED, now_ms).await?;
        repeat_job(on, job, attempt, 0, None, now_ms).await?;
    }
    builds::settle(on, build, now_ms).await
}
