//! Approvals: which code of strangers may be built.
//!
//! An approval is good for one pull request, one commit and one specification. It ends with a new
//! head and with a new base.

use sqlx::{AnyConnection, Row};

use super::rows::{self, Result};
use super::{deployments, publications, triggers};
use crate::domain::{Approved, Occasion, PersonId, Preparation, RepositoryId, Sha, pull_subject};
use crate::ports::store::Awaiting;

/// What an approval is about.
pub(super) struct Approval<'a> {
    pub(super) repository: &'a RepositoryId,
    pub(super) pull: i64,
    pub(super) commit: &'a str,
    pub(super) specification: &'a str,
}

pub(super) async fn keep(
    on: &mut AnyConnection,
    approval: &Approval<'_>,
    person: PersonId,
    now_ms: i64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO approvals (repository, pull, commit_id, specification, person, at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (repository, pull, commit_id, specification) DO NOTHING",
    )
    .bind(approval.repository.as_str())
    .bind(approval.pull)
    .bind(approval.commit)
    .bind(approval.specification)
    .bind(person.0)
    .bind(now_ms)
    .execute(on)
    .await?;
    Ok(())
}

pub(super) async fn stands(on: &mut AnyConnection, approval: &Approval<'_>) -> Result<bool> {
    let found = sqlx::query(
        "SELECT person FROM approvals WHERE repository = $1 AND pull = $2 AND commit_id = $3 \
         AND specification = $4",
    )
    .bind(approval.repository.as_str())
    .bind(approval.pull)
    .bind(approval.commit)
    .bind(approval.specification)
    .fetch_optional(on)
    .await?;
    Ok(found.is_some())
}

/// Whether a build's code was approved for any pull request whose approval still stands.
pub(super) async fn stands_for_build(on: &mut AnyConnection, build: &str) -> Result<bool> {
    let found = sqlx::query(
        "SELECT a.person FROM approvals a JOIN builds b ON b.repository = a.repository \
         AND b.commit_id = a.commit_id AND b.specification = a.specification \
         WHERE b.id = $1 LIMIT 1",
    )
    .bind(build)
    .fetch_optional(on)
    .await?;
    Ok(found.is_some())
}

/// Ends the approvals of a pull request: all of them, or all for other commits than `but`.
pub(super) async fn void(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    pull: i64,
    but: Option<&Sha>,
) -> Result<()> {
    sqlx::query("DELETE FROM approvals WHERE repository = $1 AND pull = $2 AND commit_id <> $3")
        .bind(repository.as_str())
        .bind(pull)
        .bind(but.map_or("", Sha::as_str))
        .execute(on)
        .await?;
    Ok(())
}

/// A trigger whose build waits for approval.
struct Waiting {
    trigger: String,
    pull: i64,
    commit: Sha,
    specification: String,
    updated_ms: i64,
}

/// The triggers of a repository whose builds wait for approval: of one pull request, or of one
/// build.
async fn waiting(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    subject: Option<&str>,
    build: Option<&str>,
) -> Result<Vec<Waiting>> {
    let found = sqlx::query(
        "SELECT t.id, t.commit_id, t.occasion, b.specification, b.preparation \
         FROM triggers t JOIN builds b ON b.id = t.build \
         WHERE t.repository = $1 AND t.state = 'attached' AND b.state = 'finished' \
         AND b.conclusion = 'action_required' AND ($2 = '' OR t.subject = $2) \
         AND ($3 = '' OR b.id = $3) ORDER BY t.created_ms DESC",
    )
    .bind(repository.as_str())
    .bind(subject.unwrap_or_default())
    .bind(build.unwrap_or_default())
    .fetch_all(on)
    .await?;
    let mut all = Vec::new();
    for row in &found {
        let plan: Preparation = rows::json(row, "preparation")?;
        let occasion: Occasion = rows::json(row, "occasion")?;
        if let (true, Some(pull)) = (plan.awaits_approval, occasion.pull()) {
            all.push(Waiting {
                trigger: row.try_get("id")?,
                pull: pull.number,
                commit: rows::sha(row, "commit_id")?,
                specification: row.try_get("specification")?,
                updated_ms: pull.updated_ms,
            });
        }
    }
    Ok(all)
}

/// The commit of a pull request that waits for approval.
pub(super) async fn awaiting(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    pull: i64,
) -> Result<Option<Awaiting>> {
    let found = waiting(on, repository, Some(&pull_subject(pull)), None).await?;
    match found.into_iter().next() {
        Some(waiting) => Ok(Some(Awaiting {
            commit: waiting.commit,
            since_ms: waiting.updated_ms,
        })),
        None => deployments::awaiting(on, repository, pull).await,
    }
}

/// Keeps an approval and has what waited for it prepared again, or deployed. `false` when nothing waited.
pub(super) async fn approve(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    what: &Approved,
    person: Option<PersonId>,
    now_ms: i64,
) -> Result<bool> {
    let found = match what {
        Approved::Head { pull, commit } => {
            let mut found = waiting(on, repository, Some(&pull_subject(*pull)), None).await?;
            found.retain(|waiting| waiting.commit == *commit);
            found
        }
        Approved::Check(check) => {
            // Under a former one stands what was to be approved then, for another base say.
            match publications::current_build(on, repository, check).await? {
                Some(build) => waiting(on, repository, None, Some(&build)).await?,
                None => Vec::new(),
            }
        }
        Approved::Build(build) => waiting(on, repository, None, Some(build.as_str())).await?,
        Approved::Job(..) => Vec::new(),
    };
    if found.is_empty() {
        return deployments::approve(on, repository, what, person, now_ms).await;
    }
    for waiting in &found {
        let approval = Approval {
            repository,
            pull: waiting.pull,
            commit: waiting.commit.as_str(),
            specification: &waiting.specification,
        };
        keep(on, &approval, person.unwrap_or(PersonId::NOBODY), now_ms).await?;
        triggers::prepare_again(on, &waiting.trigger, now_ms).await?;
    }
    Ok(true)
}
