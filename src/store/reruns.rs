//! New attempts of builds that have ended.

use sqlx::{AnyConnection, Row};

use super::jobs::repeat_job;
use super::rows::{self, Result};
use super::{approvals, builds, publications, triggers, uploads};
use crate::domain::{Again, BuildId, Conclusion, Job, RepositoryId};

/// Which jobs of a build run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Which {
    All,
    /// Those that did not succeed; all when every one did.
    Failed,
    /// Those of this key or name, the members of a matrix by the key that they share too.
    Named(String),
    /// Those of exactly these keys.
    Keys(Vec<String>),
}

impl Which {
    /// The jobs, and those that were left out because of them.
    pub(super) fn of<'a>(&self, jobs: &'a [Job]) -> Vec<&'a Job> {
        let red = |job: &Job| {
            !matches!(
                job.conclusion,
                Some(Conclusion::Success | Conclusion::Skipped)
            )
        };
        let any_red = jobs.iter().any(red);
        let mut again: Vec<&Job> = Vec::new();
        for job in jobs {
            let chosen = match self {
                Self::All => true,
                Self::Failed => !any_red || red(job),
                Self::Named(name) => [
                    job.key.as_str(),
                    job.check_name(),
                    &job.name,
                    job.order.file_key(),
                ]
                .contains(&name.as_str()),
                Self::Keys(keys) => keys.contains(&job.key),
            };
            let needed = || {
                let mut before = again.iter();
                before.any(|before| job.order.needs.contains(&before.key))
            };
            if chosen || (job.conclusion == Some(Conclusion::Skipped) && needed()) {
                again.push(job);
            }
        }
        again
    }
}

/// Runs a build again because somebody asked for it. `false` when there was nothing to run.
pub(super) async fn requested(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    again: &Again,
    now_ms: i64,
) -> Result<bool> {
    let Some((build, which)) = find(on, repository, again).await? else {
        return Ok(false);
    };
    let row = sqlx::query("SELECT trust FROM builds WHERE id = $1")
        .bind(&build)
        .fetch_one(&mut *on)
        .await?;
    if uploads::are_let_go(on, &build).await? {
        return Ok(false);
    }
    let stranger = row.try_get::<String, _>("trust")? == "fork";
    if stranger && !approvals::stands_for_build(on, &build).await? {
        // It is looked at again, and waits again.
        return triggers::prepare_build_again(on, &build, now_ms).await;
    }
    // A build that never had jobs is prepared again.
    let jobs = sqlx::query("SELECT id FROM jobs WHERE build = $1 LIMIT 1")
        .bind(&build)
        .fetch_optional(&mut *on)
        .await?;
    if jobs.is_none() {
        return triggers::prepare_build_again(on, &build, now_ms).await;
    }
    // What a person deploys now comes after all that was deployed before: that is how to go back.
    let begun = rerun(on, &build, &which, Some(now_ms), now_ms).await?;
    if begun {
        triggers::attach_again(on, &build).await?;
    }
    Ok(begun)
}

/// The build that is meant, and what of it.
async fn find(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    again: &Again,
) -> Result<Option<(String, Which)>> {
    let of = |build: &BuildId, which| Ok(Some((build.as_str().to_owned(), which)));
    let (check, failed) = match again {
        Again::Build(build) => return of(build, Which::All),
        Again::FailedOfBuild(build) => return of(build, Which::Failed),
        Again::JobOfBuild(build, key) => return of(build, Which::Named(key.clone())),
        Again::Check(check) => (check, false),
        Again::FailedOfCheck(check) => (check, true),
        Again::Commit(commit) => {
            let build = newest(on, repository, commit.as_str()).await?;
            return Ok(build.map(|build| (build, Which::All)));
        }
        Again::Pull { number, job } => {
            let head = sqlx::query("SELECT head FROM pulls WHERE repository = $1 AND number = $2")
                .bind(repository.as_str())
                .bind(number)
                .fetch_optional(&mut *on)
                .await?;
            let Some(head) = head else { return Ok(None) };
            let build = newest(on, repository, &head.try_get::<String, _>("head")?).await?;
            let which = job.clone().map_or(Which::Failed, Which::Named);
            return Ok(build.map(|build| (build, which)));
        }
    };
    let found = publications::spoken_of(on, repository, check).await?;
    Ok(found.map(|(build, job)| {
        let which = match job {
            Some(key) => Which::Named(key),
            None if failed => Which::Failed,
            None => Which::All,
        };
        (build, which)
    }))
}

/// The newest build of a commit; one of the specification before those whose reports come from elsewhere.
async fn newest(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    commit: &str,
) -> Result<Option<String>> {
    let row = sqlx::query(
        "SELECT id FROM builds WHERE repository = $1 AND commit_id = $2 \
         ORDER BY CASE WHEN origin = '' THEN 0 ELSE 1 END, number DESC LIMIT 1",
    )
    .bind(repository.as_str())
    .bind(commit)
    .fetch_optional(on)
    .await?;
    Ok(row.map(|row| row.try_get("id")).transpose()?)
}

/// A new attempt of a build that has ended. `false` when it has not, or has no such job. `deploy_ms`: when its
/// deployments were asked for anew.
pub(super) async fn rerun(
    on: &mut AnyConnection,
    build: &str,
    which: &Which,
    deploy_ms: Option<i64>,
    now_ms: i64,
) -> Result<bool> {
    let jobs = rows::load_jobs(on, build).await?;
    let again = which.of(&jobs);
    if again.is_empty() {
        return Ok(false);
    }
    let Some((attempt, title)) = open(on, build).await? else {
        return Ok(false);
    };
    for job in again {
        publications::close_attempts(on, build, Some(&job.key), &title, now_ms).await?;
        // What comes along only because of another job is no wish to deploy it after what is there; nor is it one to run
        // what failed again, for a deployment that never began: one that was superseded or waits for a word.
        let comes_along = match which {
            Which::All => false,
            Which::Failed => job.started_ms.is_none(),
            Which::Named(_) | Which::Keys(_) => job.conclusion == Some(Conclusion::Skipped),
        };
        let asked_ms = deploy_ms.filter(|_| !comes_along);
        repeat_job(on, job, attempt, 0, asked_ms, now_ms).await?;
    }
    builds::settle(on, build, now_ms).await?;
    Ok(true)
}

/// Opens a new attempt of a build that has ended; says its number, and what is to be said of the
/// attempt before: a state that was never rendered would leave its check run open.
pub(super) async fn open(on: &mut AnyConnection, build: &str) -> Result<Option<(i64, String)>> {
    let before =
        sqlx::query("SELECT reason FROM builds WHERE id = $1 AND conclusion = 'cancelled'")
            .bind(build)
            .fetch_optional(&mut *on)
            .await?;
    let reason = before
        .map(|row| row.try_get::<Option<String>, _>("reason"))
        .transpose()?
        .flatten();
    let title = reason.map_or_else(
        || "cancelled: a new attempt follows".to_owned(),
        |reason| format!("cancelled: {reason}"),
    );
    let row = sqlx::query(
        "UPDATE builds SET attempt = attempt + 1, state = 'queued', conclusion = NULL, \
         reason = NULL, cancel_reason = NULL, cancel_wanted = 0, judge_ms = NULL, started_ms = NULL, finished_ms = NULL, \
         revision = revision + 1 WHERE id = $1 AND (state = 'finished' OR judge_ms IS NOT NULL) \
         RETURNING attempt",
    )
    .bind(build)
    .fetch_optional(on)
    .await?;
    let attempt: Option<i64> = row.map(|row| row.try_get("attempt")).transpose()?;
    Ok(attempt.map(|attempt| (attempt, title)))
}
