//! Builds: made from triggers or joined, settled, cancelled.

use std::collections::BTreeSet;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::deployments::Ready;
use super::jobs::{self, NewJob, add_job, end_job};
use super::reruns::Which;
use super::rows::{self, Result};
use super::{deployments, judgements, publications, reruns, triggers};
use crate::domain::schedule::{self, Slot};
use crate::domain::{
    Conclusion, Import, Job, JobResult, Occasion, Preparation, State, Trust, combine,
};
use crate::ports::store::BuildDraft;
use crate::spec::Deploy;

/// The build that the trigger joins, or a new one. Returns its id; `None` when a build with its key
/// has to end first.
pub(super) async fn join_or_create(
    on: &mut AnyConnection,
    trigger: &AnyRow,
    draft: &BuildDraft,
    now_ms: i64,
) -> Result<Option<String>> {
    let repository: String = trigger.try_get("repository")?;
    let commit: String = trigger.try_get("commit_id")?;
    let trust: String = trigger.try_get("trust")?;
    // Checks of other names: no announced one is theirs, nor is a build of ours in their place.
    let is_import = draft.plan.import.is_some();
    let trusts = Trust::from_stored(&trust);
    if let Some(id) = join_trusted(on, (&repository, &commit), trusts, draft, now_ms).await? {
        return Ok(Some(id));
    }
    let priority = priority(on, &repository, trigger).await?;
    let standing = sqlx::query(
        "SELECT id, state, conclusion, cancel_reason FROM builds WHERE repository = $1 \
         AND commit_id = $2 AND tested = $3 AND specification = $4 AND trust = $5",
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
        let anew = trigger.try_get::<i64, _>("again")? != 0;
        let standing = Standing {
            over: row.try_get::<String, _>("state")? == State::Finished.as_str(),
            conclusion: row.try_get("conclusion")?,
            ending: row.try_get::<Option<String>, _>("cancel_reason")?.is_some(),
            deploys_later: deployments::waits(on, &id).await?,
        };
        match standing.meets(draft, anew) {
            Meeting::Later => return Ok(None),
            // So that the badges of a branch learn of a build that was made for a pull request.
            Meeting::Join => {
                touch(on, &id).await?;
                if !deploy_again(on, &id, standing.over, trigger, now_ms).await? {
                    return Ok(None);
                }
                let pushed: Occasion = rows::json(trigger, "occasion")?;
                let promoted = draft.plan.promote.as_ref().map(|one| one.from.as_str());
                if promoted.is_some() && pushed.pushed_branch() == promoted {
                    judgements::promote(on, &id, now_ms).await?;
                }
            }
            Meeting::Again => begin_again(on, &id, trigger, draft, now_ms).await?,
        }
        jobs::hurry(on, &id, priority).await?;
        if !is_import {
            publications::adopt(on, &repository, &commit, &id, now_ms).await?;
        }
        return Ok(Some(id));
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
         occasion, sender, preparation, state, conclusion, reason, created_ms, finished_ms, origin, delivery) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
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
    .bind(draft.plan.origin())
    .bind(trigger.try_get::<Option<String>, _>("delivery")?)
    .execute(&mut *on)
    .await?;
    add_jobs(on, &id, trigger, draft, 1, now_ms).await?;
    if !is_import {
        publications::adopt(on, &repository, &commit, &id, now_ms).await?;
    }
    if draft.ended.is_none() {
        settle(on, &id, now_ms).await?;
    }
    Ok(Some(id))
}

/// Joins a build of the same commit that is trusted more, where there is one.
async fn join_trusted(
    on: &mut AnyConnection,
    (repository, commit): (&str, &str),
    trust: Trust,
    draft: &BuildDraft,
    now_ms: i64,
) -> Result<Option<String>> {
    // A set of uploads has one trust, that of its least trusted part.
    let is_set = matches!(draft.plan.import, Some(Import::Uploads { .. }));
    if trust == Trust::Trusted || is_set {
        return Ok(None);
    }
    let origin = draft.plan.origin();
    let Some(id) = trusted(on, repository, commit, &origin, trust).await? else {
        return Ok(None);
    };
    touch(on, &id).await?;
    if draft.plan.import.is_none() {
        publications::adopt(on, repository, commit, &id, now_ms).await?;
    }
    Ok(Some(id))
}

/// The newest build of a commit that is trusted more. Check runs belong to a commit: who opens a
/// pull request with the head of somebody else's has that result, and must not put a check in its
/// place that waits for approval, or has no secrets. So does a bot, and Herald's own account with
/// the pull request that promotes a branch of the repository.
async fn trusted(
    on: &mut AnyConnection,
    repository: &str,
    commit: &str,
    origin: &str,
    than: Trust,
) -> Result<Option<String>> {
    let row = sqlx::query(
        "SELECT id FROM builds WHERE repository = $1 AND commit_id = $2 \
         AND (trust = 'trusted' OR (trust = 'bot' AND $3 = 'fork')) \
         AND origin = $4 AND cancel_reason IS NULL AND (conclusion IS NULL OR conclusion <> 'cancelled') \
         ORDER BY number DESC LIMIT 1",
    )
    .bind(repository)
    .bind(commit)
    .bind(than.as_str())
    .bind(origin)
    .fetch_optional(on)
    .await?;
    Ok(row.map(|row| row.try_get("id")).transpose()?)
}

/// A build with the key of a draft.
struct Standing {
    over: bool,
    conclusion: Option<String>,
    /// Whether it is being cancelled, or was.
    ending: bool,
    /// Whether it waits for a person, as far as it deploys.
    deploys_later: bool,
}

/// What becomes of a draft whose build is there already.
enum Meeting {
    /// The build speaks for the draft too.
    Join,
    /// The build gets a new attempt.
    Again,
    /// Not before the build has ended.
    Later,
}

impl Standing {
    fn meets(&self, draft: &BuildDraft, anew: bool) -> Meeting {
        let was = |conclusion: Conclusion| self.conclusion.as_deref() == Some(conclusion.as_str());
        if !self.over {
            let as_it_is = match (&draft.ended, self.ending) {
                (None, false) => true,
                // When it has ended, `jobs::again_if_wanted` begins it again, as it was.
                (None, true) | (Some(_), false) => !anew,
                (Some(_), true) => false,
            };
            return if as_it_is {
                Meeting::Join
            } else {
                Meeting::Later
            };
        }
        let again = match &draft.ended {
            // What has run needs nobody's word any more.
            Some((conclusion, _)) => anew || (was(Conclusion::Cancelled) && !was(*conclusion)),
            None => {
                let waits = was(Conclusion::ActionRequired) && !self.deploys_later;
                anew || was(Conclusion::Cancelled) || waits
            }
        };
        if again { Meeting::Again } else { Meeting::Join }
    }
}

/// A branch or tag came to a commit that is built, and another one was deployed after it: it is deployed again.
/// `false` where the build has to end first.
async fn deploy_again(
    on: &mut AnyConnection,
    build: &str,
    over: bool,
    trigger: &AnyRow,
    now_ms: i64,
) -> Result<bool> {
    let occasion: Occasion = rows::json(trigger, "occasion")?;
    if occasion.pull().is_some() {
        return Ok(true);
    }
    let overtaken = deployments::overtaken(on, build).await?;
    let asked_ms: i64 = trigger.try_get("created_ms")?;
    if overtaken.is_empty() {
        deployments::wanted_again(on, build, asked_ms).await?;
        return Ok(true);
    }
    if over {
        let which = Which::Keys(overtaken);
        reruns::rerun(on, build, &which, Some(asked_ms), now_ms).await?;
    }
    Ok(over)
}

/// A new attempt of a build that has ended, as a draft says now.
async fn begin_again(
    on: &mut AnyConnection,
    build: &str,
    trigger: &AnyRow,
    draft: &BuildDraft,
    now_ms: i64,
) -> Result<()> {
    let Some((attempt, title)) = reruns::open(on, build).await? else {
        return Ok(());
    };
    publications::close_attempts(on, build, None, &title, now_ms).await?;
    sqlx::query("UPDATE builds SET preparation = $2 WHERE id = $1")
        .bind(build)
        .bind(serde_json::to_string(&draft.plan)?)
        .execute(&mut *on)
        .await?;
    // What reports from elsewhere are for is found out later, see `imports::found_occasion`.
    if draft.plan.import.is_none() {
        sqlx::query("UPDATE builds SET occasion = $2, sender = $3 WHERE id = $1")
            .bind(build)
            .bind(trigger.try_get::<String, _>("occasion")?)
            .bind(trigger.try_get::<i64, _>("sender")?)
            .execute(&mut *on)
            .await?;
    }
    if let Some((conclusion, reason)) = &draft.ended {
        sqlx::query(
            "UPDATE builds SET state = 'finished', conclusion = $2, reason = $3, \
             finished_ms = $4 WHERE id = $1",
        )
        .bind(build)
        .bind(conclusion.as_str())
        .bind(reason)
        .bind(now_ms)
        .execute(&mut *on)
        .await?;
        return touch(on, build).await;
    }
    let before = rows::load_jobs(on, build).await?;
    for job in &before {
        publications::close_attempts(on, build, Some(&job.key), &title, now_ms).await?;
        let asked_ms: i64 = trigger.try_get("created_ms")?;
        jobs::repeat_job(on, job, attempt, 0, Some(asked_ms), now_ms).await?;
    }
    if before.is_empty() {
        add_jobs(on, build, trigger, draft, attempt, now_ms).await?;
    }
    settle(on, build, now_ms).await
}

/// The jobs of a draft.
async fn add_jobs(
    on: &mut AnyConnection,
    build: &str,
    trigger: &AnyRow,
    draft: &BuildDraft,
    attempt: i64,
    now_ms: i64,
) -> Result<()> {
    let repository: String = trigger.try_get("repository")?;
    let priority = priority(on, &repository, trigger).await?;
    let asked_ms: i64 = trigger.try_get("created_ms")?;
    for (position, job) in draft.jobs.iter().enumerate() {
        let new = NewJob {
            build,
            repository: &repository,
            key: &job.order.key,
            name: job.order.name.as_deref().unwrap_or(&job.order.key),
            position: i64::try_from(position).unwrap_or(i64::MAX),
            attempt,
            order: serde_json::to_string(&job.order)?,
            skipped: job.skipped.as_deref(),
            interrupted: 0,
            priority,
            imported: i64::from(draft.plan.import.is_some()),
            environment: job.order.deploy.as_ref().map(Deploy::environment_key),
            deploy_ms: job.order.deploy.as_ref().map(|_| asked_ms),
        };
        add_job(on, &new, now_ms).await?;
    }
    Ok(())
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
    let mut others = BTreeSet::new();
    // One that ends without having run has others left out that need it.
    while advance(on, &mut jobs, &mut others, now_ms).await? {}
    if jobs.iter().all(|job| job.state == State::Finished) {
        let conclusion = combine(jobs.iter().filter_map(|job| job.conclusion));
        let ran = matches!(
            conclusion,
            Conclusion::Success | Conclusion::Failure | Conclusion::TimedOut
        );
        // What waits for a word to be deployed has run so far.
        let ran = ran || (conclusion == Conclusion::ActionRequired && deploys_later(&jobs));
        if !(ran && wait_for_judgement(on, build, now_ms).await?) {
            finish(on, build, conclusion, now_ms).await?;
        }
    }
    for other in others {
        Box::pin(settle(on, &other, now_ms)).await?;
    }
    touch(on, build).await
}

fn deploys_later(jobs: &[Job]) -> bool {
    jobs.iter()
        .all(|job| job.conclusion != Some(Conclusion::ActionRequired) || job.order.deploy.is_some())
}

/// Moves those jobs on that wait for others; `false` when none could be. `others` gets the builds whose deployments ended
/// by that.
async fn advance(
    on: &mut AnyConnection,
    jobs: &mut [Job],
    others: &mut BTreeSet<String>,
    now_ms: i64,
) -> Result<bool> {
    let slots: Vec<Slot<'_>> = jobs
        .iter()
        .map(|job| Slot {
            key: &job.key,
            needs: &job.order.needs,
            state: job.state,
            conclusion: job.conclusion,
        })
        .collect();
    let steps = schedule::advance(&slots);
    let any = !steps.is_empty();
    for (position, step) in steps {
        let Some(job) = jobs.get_mut(position) else {
            continue;
        };
        let ready = match step {
            schedule::Step::Queue => {
                let (ready, ended) = deployments::ready(on, job, now_ms).await?;
                others.extend(ended);
                ready
            }
            schedule::Step::Skip { because } => {
                let title = format!("skipped: it needs \"{because}\", which did not succeed");
                Ready::End(Box::new(JobResult::without_run(Conclusion::Skipped, title)))
            }
        };
        match ready {
            Ready::Queue => {
                job.state = State::Queued;
                sqlx::query("UPDATE jobs SET state = 'queued', queued_ms = $2 WHERE id = $1")
                    .bind(job.id.as_str())
                    .bind(now_ms)
                    .execute(&mut *on)
                    .await?;
            }
            Ready::End(result) => {
                job.state = State::Finished;
                job.conclusion = Some(result.conclusion);
                end_job(on, job.id.as_str(), &result, now_ms).await?;
            }
        }
    }
    Ok(any)
}

/// Has a build judged before it ends, where that is wanted; says whether it is.
async fn wait_for_judgement(on: &mut AnyConnection, build: &str, now_ms: i64) -> Result<bool> {
    let Some(row) =
        sqlx::query("SELECT preparation FROM builds WHERE id = $1 AND state <> 'finished'")
            .bind(build)
            .fetch_optional(&mut *on)
            .await?
    else {
        return Ok(false);
    };
    let plan: Preparation = rows::json(&row, "preparation")?;
    if plan.is_judged {
        sqlx::query("UPDATE builds SET judge_ms = COALESCE(judge_ms, $2) WHERE id = $1")
            .bind(build)
            .bind(now_ms)
            .execute(on)
            .await?;
    }
    Ok(plan.is_judged)
}

/// Ends a build.
pub(super) async fn finish(
    on: &mut AnyConnection,
    build: &str,
    conclusion: Conclusion,
    now_ms: i64,
) -> Result<()> {
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
    triggers::wake(on, build, now_ms).await
}

/// Cancels a build that nobody wants any more: what waits ends now, what runs is told. A deployment that runs goes on
/// unless a person wants it to end.
pub(super) async fn cancel(
    on: &mut AnyConnection,
    build: &str,
    reason: &str,
    by_person: bool,
    now_ms: i64,
) -> Result<()> {
    let open = sqlx::query(
        "UPDATE builds SET cancel_reason = $2, cancel_wanted = $3 WHERE id = $1 \
         AND state <> 'finished' AND judge_ms IS NULL \
         AND (cancel_reason IS NULL OR cancel_wanted < $3)",
    )
    .bind(build)
    .bind(reason)
    .bind(i64::from(by_person))
    .execute(&mut *on)
    .await?;
    if open.rows_affected() == 0 {
        return Ok(());
    }
    for job in rows::load_jobs(on, build).await? {
        if matches!(job.state, State::Blocked | State::Queued) {
            let result =
                JobResult::without_run(Conclusion::Cancelled, format!("cancelled: {reason}"));
            end_job(on, job.id.as_str(), &result, now_ms).await?;
        }
    }
    settle(on, build, now_ms).await
}
