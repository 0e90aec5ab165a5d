//! Triggers: reasons to build, until a build has taken them up.

use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::approvals::{self, Approval};
use super::database::StoreError;
use super::due::passing_over;
use super::rows::{self, Result};
use super::{builds, deployments, imports, publications, specified};
use crate::domain::{
    CheckRun, Occasion, PersonId, PullRequest, Repository, RepositoryId, Sha, Trigger, Trust,
    pull_subject,
};
use crate::ports::store::{BuildDraft, KnownPull, Nothing, Postponement};

/// What a trigger waits for whose build is there, and has to end before it begins again.
const LATER: &str = "a build of it has to end first";
/// How long it waits at most, in milliseconds; the end of the build wakes it.
const LATER_MS: i64 = 60_000;

/// A trigger about to be.
pub(super) struct NewTrigger<'a> {
    pub(super) repository: &'a RepositoryId,
    pub(super) commit: &'a Sha,
    pub(super) occasion: &'a Occasion,
    pub(super) trust: Trust,
    pub(super) sender: PersonId,
    pub(super) supersedes: bool,
    pub(super) again: bool,
    pub(super) announcement: Option<&'a CheckRun>,
    pub(super) delivery: Option<&'a str>,
}

/// Adds a trigger of what happened at `created_ms`; of two pushes the later one speaks on badges.
pub(super) async fn add(
    on: &mut AnyConnection,
    new: &NewTrigger<'_>,
    created_ms: i64,
    now_ms: i64,
) -> Result<()> {
    let subject = new.occasion.subject();
    if let Some(pull) = new.occasion.pull()
        && !note_pull(on, new.repository, pull).await?
    {
        return Ok(());
    }
    if let Some(pull) = new.occasion.pull()
        && new.supersedes
    {
        let but = (!new.again).then_some(new.commit);
        let reason = if new.again {
            format!("the base is {} now", pull.base_ref)
        } else {
            format!("superseded by {}", new.commit.short())
        };
        let ending = Ending::by_itself(&reason);
        end_subject(on, new.repository, &subject, but, ending, now_ms).await?;
        approvals::void(on, new.repository, pull.number, but).await?;
    }
    let active = sqlx::query(
        "SELECT id, build, sender FROM triggers WHERE repository = $1 AND subject = $2 \
         AND commit_id = $3 AND state IN ('waiting', 'attached') LIMIT 1",
    )
    .bind(new.repository.as_str())
    .bind(&subject)
    .bind(new.commit.as_str())
    .fetch_optional(&mut *on)
    .await?;
    if let Some(active) = active {
        let id: String = active.try_get("id")?;
        // A branch that was set back to this commit: its badges speak of it again.
        sqlx::query("UPDATE triggers SET created_ms = $2 WHERE id = $1 AND created_ms < $2")
            .bind(&id)
            .bind(created_ms)
            .execute(&mut *on)
            .await?;
        let unsaid = PersonId(active.try_get("sender")?) == PersonId::NOBODY;
        if unsaid && new.sender != PersonId::NOBODY {
            // Only now it is known who did it, who may be somebody that needs no approval.
            sqlx::query("UPDATE triggers SET sender = $2 WHERE id = $1")
                .bind(&id)
                .bind(new.sender.0)
                .execute(&mut *on)
                .await?;
            return prepare_again(on, &id, now_ms).await;
        }
        let Some(build) = active.try_get::<Option<String>, _>("build")? else {
            return Ok(());
        };
        builds::touch(on, &build).await?;
        if new.occasion.pull().is_some() {
            return Ok(());
        }
        // Set back to what was deployed before: that is deployed again, and what came in between is not deployed after it.
        if deployments::overtaken(on, &build).await?.is_empty() {
            return deployments::wanted_again(on, &build, created_ms).await;
        }
        return prepare_again(on, &id, now_ms).await;
    }
    sqlx::query(
        "INSERT INTO triggers (id, repository, commit_id, subject, occasion, trust, sender, \
         created_ms, due_ms, again, delivery) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(rows::new_id())
    .bind(new.repository.as_str())
    .bind(new.commit.as_str())
    .bind(&subject)
    .bind(serde_json::to_string(new.occasion)?)
    .bind(new.trust.as_str())
    .bind(new.sender.0)
    .bind(created_ms)
    .bind(now_ms)
    .bind(i64::from(new.again))
    .bind(new.delivery)
    .execute(&mut *on)
    .await?;
    if let Some(check) = new.announcement
        && announces(on, new).await?
    {
        publications::announce(on, (new.repository, new.delivery), check, now_ms).await?;
    }
    Ok(())
}

/// Whether the commit gets its check run `herald` at once: for pull requests and the default
/// branch, where no build of the commit stands already. For another branch the specification
/// decides first whether there is anything to build.
async fn announces(on: &mut AnyConnection, new: &NewTrigger<'_>) -> Result<bool> {
    if let Some(branch) = new.occasion.pushed_branch() {
        let repository = rows::load_repository(on, new.repository).await?;
        if repository.is_none_or(|repository| repository.default_branch != branch) {
            return Ok(false);
        }
    } else if matches!(new.occasion, Occasion::Tag { .. }) {
        return Ok(false);
    }
    if specified::is_silent(on, new.repository).await? {
        return Ok(false);
    }
    let standing = sqlx::query(
        "SELECT id FROM builds WHERE repository = $1 AND commit_id = $2 \
         AND origin = '' AND (conclusion IS NULL OR conclusion <> 'cancelled') LIMIT 1",
    )
    .bind(new.repository.as_str())
    .bind(new.commit.as_str())
    .fetch_optional(on)
    .await?;
    Ok(standing.is_none())
}

/// Remembers the pull request's head. `false` when a newer state of it is known already.
pub(super) async fn note_pull(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    pull: &PullRequest,
) -> Result<bool> {
    let done = sqlx::query(
        "INSERT INTO pulls (repository, number, head, updated_ms) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (repository, number) DO UPDATE SET head = excluded.head, \
         updated_ms = excluded.updated_ms WHERE pulls.updated_ms <= excluded.updated_ms",
    )
    .bind(repository.as_str())
    .bind(pull.number)
    .bind(pull.head.as_str())
    .bind(pull.updated_ms)
    .execute(on)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// The newest state of a pull request that was heard of: its head, and when it was so.
pub(super) async fn newest_of(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    pull: i64,
) -> Result<Option<(Sha, i64)>> {
    let row =
        sqlx::query("SELECT head, updated_ms FROM pulls WHERE repository = $1 AND number = $2")
            .bind(repository.as_str())
            .bind(pull)
            .fetch_optional(on)
            .await?;
    row.map(|row| Ok((rows::sha(&row, "head")?, row.try_get("updated_ms")?)))
        .transpose()
}

/// What is known of an open pull request. A trigger that ended although nobody wanted it so (with
/// the installation, by a push that was taken back, or when the pull request was closed) is as if
/// there had been none.
pub(super) async fn known(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    pull: &PullRequest,
) -> Result<KnownPull> {
    let row = sqlx::query(
        "SELECT occasion FROM triggers WHERE repository = $1 AND subject = $2 \
         AND commit_id = $3 AND (state <> 'ended' OR settled = 1) \
         ORDER BY created_ms DESC, id DESC LIMIT 1",
    )
    .bind(repository.as_str())
    .bind(pull_subject(pull.number))
    .bind(pull.head.as_str())
    .fetch_optional(on)
    .await?;
    let Some(row) = row else {
        return Ok(KnownPull::No);
    };
    let occasion: Occasion = rows::json(&row, "occasion")?;
    let same_base = occasion
        .pull()
        .is_some_and(|known| known.base_ref == pull.base_ref);
    Ok(if same_base {
        KnownPull::Yes
    } else {
        KnownPull::OtherBase
    })
}

/// Why triggers end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending<'a> {
    /// As in "cancelled: …".
    pub(super) reason: &'a str,
    /// Whether somebody wants it so.
    pub(super) wanted: bool,
    /// Whether that is a person, who may end a deployment that runs too.
    pub(super) by_person: bool,
}

impl<'a> Ending<'a> {
    /// It came so.
    pub(super) fn by_itself(reason: &'a str) -> Self {
        Self {
            reason,
            wanted: false,
            by_person: false,
        }
    }
}

/// Ends the active triggers of a subject, except those for the commit `but`, and with them what
/// nobody else wants.
pub(super) async fn end_subject(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    subject: &str,
    but: Option<&Sha>,
    ending: Ending<'_>,
    now_ms: i64,
) -> Result<()> {
    let found = sqlx::query(
        "SELECT id, build, commit_id FROM triggers WHERE repository = $1 AND subject = $2 \
         AND state IN ('waiting', 'attached') AND commit_id <> $3",
    )
    .bind(repository.as_str())
    .bind(subject)
    .bind(but.map_or("", Sha::as_str))
    .fetch_all(&mut *on)
    .await?;
    let Ending {
        reason,
        wanted: settled,
        by_person,
    } = ending;
    for row in found {
        let id: String = row.try_get("id")?;
        let build: Option<String> = row.try_get("build")?;
        sqlx::query("UPDATE triggers SET state = 'ended', settled = $2 WHERE id = $1")
            .bind(&id)
            .bind(i64::from(settled))
            .execute(&mut *on)
            .await?;
        if let Some(build) = build {
            if !wanted(on, &build).await? {
                builds::cancel(on, &build, reason, by_person, now_ms).await?;
            }
        } else {
            let commit = rows::sha(&row, "commit_id")?;
            forget_announcement(on, repository, &commit, reason, now_ms).await?;
        }
    }
    Ok(())
}

/// Ends what runs or waits for a subject, and leaves alone what has ended. `false` when there was
/// nothing.
pub(super) async fn cancel_subject(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    subject: &str,
    ending: Ending<'_>,
    now_ms: i64,
) -> Result<bool> {
    let open = sqlx::query(
        "SELECT t.id FROM triggers t LEFT JOIN builds b ON b.id = t.build \
         WHERE t.repository = $1 AND t.subject = $2 AND (t.state = 'waiting' \
         OR (t.state = 'attached' AND b.state <> 'finished' AND b.judge_ms IS NULL)) LIMIT 1",
    )
    .bind(repository.as_str())
    .bind(subject)
    .fetch_optional(&mut *on)
    .await?;
    if open.is_none() {
        return Ok(false);
    }
    end_subject(on, repository, subject, None, ending, now_ms).await?;
    Ok(true)
}

/// Ends a build and whatever wants it.
pub(super) async fn cancel_build(
    on: &mut AnyConnection,
    build: &str,
    reason: &str,
    now_ms: i64,
) -> Result<()> {
    sqlx::query(
        "UPDATE triggers SET state = 'ended', settled = 1 WHERE build = $1 AND state = 'attached' \
         AND EXISTS (SELECT 1 FROM builds b WHERE b.id = $1 AND b.state <> 'finished' \
         AND b.judge_ms IS NULL)",
    )
    .bind(build)
    .execute(&mut *on)
    .await?;
    builds::cancel(on, build, reason, true, now_ms).await
}

/// Ends everything in a repository that Herald cannot reach any more.
pub(super) async fn end_all(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    reason: &str,
    now_ms: i64,
) -> Result<()> {
    let subjects = sqlx::query(
        "SELECT DISTINCT subject FROM triggers WHERE repository = $1 \
         AND state IN ('waiting', 'attached')",
    )
    .bind(repository.as_str())
    .fetch_all(&mut *on)
    .await?;
    for row in subjects {
        let subject: String = row.try_get("subject")?;
        cancel_subject(on, repository, &subject, Ending::by_itself(reason), now_ms).await?;
    }
    Ok(())
}

/// Has a trigger prepared again.
pub(super) async fn prepare_again(
    on: &mut AnyConnection,
    trigger: &str,
    now_ms: i64,
) -> Result<()> {
    sqlx::query(
        "UPDATE triggers SET state = 'waiting', build = NULL, due_ms = $2, lease_ms = 0, \
         tries = 0 WHERE id = $1",
    )
    .bind(trigger)
    .bind(now_ms)
    .execute(on)
    .await?;
    Ok(())
}

/// Has the triggers of a build prepared again. `false` when nobody wants it any more.
pub(super) async fn prepare_build_again(
    on: &mut AnyConnection,
    build: &str,
    now_ms: i64,
) -> Result<bool> {
    let found = sqlx::query("SELECT id FROM triggers WHERE build = $1 AND state = 'attached'")
        .bind(build)
        .fetch_all(&mut *on)
        .await?;
    for row in &found {
        prepare_again(on, &row.try_get::<String, _>("id")?, now_ms).await?;
    }
    Ok(!found.is_empty())
}

/// Somebody wants a build again that nobody wanted any more: its newest trigger holds it, so that
/// the next push ends it. A pull request does so only while this is its head.
pub(super) async fn attach_again(on: &mut AnyConnection, build: &str) -> Result<()> {
    if wanted(on, build).await? {
        return Ok(());
    }
    sqlx::query(
        "UPDATE triggers SET state = 'attached' WHERE id = (\
         SELECT t.id FROM triggers t WHERE t.build = $1 AND t.state = 'ended' \
         AND (t.subject NOT LIKE 'pull/%' OR EXISTS (SELECT 1 FROM pulls p \
         WHERE p.repository = t.repository AND 'pull/' || p.number = t.subject \
         AND p.head = t.commit_id)) ORDER BY t.created_ms DESC, t.id DESC LIMIT 1)",
    )
    .bind(build)
    .execute(on)
    .await?;
    Ok(())
}

/// Ends the announced check run of a commit that nobody waits for any more.
async fn forget_announcement(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    commit: &Sha,
    reason: &str,
    now_ms: i64,
) -> Result<()> {
    let other = sqlx::query(
        "SELECT id FROM triggers WHERE repository = $1 AND commit_id = $2 \
         AND state = 'waiting' AND origin = '' LIMIT 1",
    )
    .bind(repository.as_str())
    .bind(commit.as_str())
    .fetch_optional(&mut *on)
    .await?;
    if other.is_none() {
        publications::end_announcement(on, repository, commit, reason, now_ms).await?;
    }
    Ok(())
}

/// Whether an active trigger still wants the build, or one of its commit may yet come to.
async fn wanted(on: &mut AnyConnection, build: &str) -> Result<bool> {
    let row = sqlx::query(
        "SELECT t.id FROM builds b JOIN triggers t ON t.repository = b.repository \
         AND t.commit_id = b.commit_id AND t.origin = b.origin WHERE b.id = $1 AND ((t.build = b.id \
         AND t.state = 'attached') OR (t.state = 'waiting' AND t.trust = b.trust)) LIMIT 1",
    )
    .bind(build)
    .fetch_optional(on)
    .await?;
    Ok(row.is_some())
}

pub(super) async fn claim(
    on: &mut AnyConnection,
    holder: &str,
    now_ms: i64,
    lease_ms: i64,
) -> Result<Option<(Trigger, Repository)>> {
    let passing_over = passing_over(on, "t");
    let row = sqlx::query(AssertSqlSafe(format!(
        "UPDATE triggers SET lease_ms = $2, holder = $3, tries = tries + 1 WHERE id = \
         (SELECT t.id FROM triggers t JOIN repositories r ON r.id = t.repository \
          WHERE t.state = 'waiting' AND t.due_ms <= $1 AND t.lease_ms <= $1 \
          AND r.state = 'active' ORDER BY t.created_ms, t.id LIMIT 1 {passing_over}) RETURNING *",
    )))
    .bind(now_ms)
    .bind(lease_ms)
    .bind(holder)
    .fetch_optional(&mut *on)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let id = RepositoryId::from_stored(row.try_get::<String, _>("repository")?);
    let repository = rows::load_repository(on, &id)
        .await?
        .ok_or_else(|| StoreError::Stored(format!("no repository {id}")))?;
    let trigger = Trigger {
        id: row.try_get("id")?,
        repository: id,
        commit: rows::sha(&row, "commit_id")?,
        occasion: rows::json(&row, "occasion")?,
        trust: Trust::from_stored(&row.try_get::<String, _>("trust")?),
        sender: PersonId(row.try_get("sender")?),
        created_ms: row.try_get("created_ms")?,
        tries: rows::count(&row, "tries")?.saturating_sub(1),
        import: imports::of_trigger(&row)?,
        delivery: row.try_get("delivery")?,
    };
    Ok(Some((trigger, repository)))
}

/// Gives the trigger its build.
pub(super) async fn attach(
    on: &mut AnyConnection,
    id: &str,
    draft: &BuildDraft,
    now_ms: i64,
) -> Result<()> {
    let Some(row) = sqlx::query("SELECT * FROM triggers WHERE id = $1 AND state = 'waiting'")
        .bind(id)
        .fetch_optional(&mut *on)
        .await?
    else {
        return Ok(());
    };
    let repository = RepositoryId::from_stored(row.try_get::<String, _>("repository")?);
    if draft.plan.path.is_some() {
        specified::keep(on, &repository, specified::BUILT).await?;
    }
    let Some(build) = builds::join_or_create(on, &row, draft, now_ms).await? else {
        let later = Postponement {
            what: LATER.to_owned(),
            retry_ms: now_ms + LATER_MS,
            counts: false,
        };
        return postpone(on, id, &later).await;
    };
    if let (Some(person), Some(pull)) = (
        draft.approved_by,
        rows::json::<Occasion>(&row, "occasion")?.pull(),
    ) {
        let approval = Approval {
            repository: &repository,
            pull: pull.number,
            commit: &row.try_get::<String, _>("commit_id")?,
            specification: &draft.specification,
        };
        approvals::keep(on, &approval, person, now_ms).await?;
    }
    sqlx::query("UPDATE triggers SET state = 'attached', build = $2, error = NULL WHERE id = $1")
        .bind(id)
        .bind(&build)
        .execute(&mut *on)
        .await?;
    match &draft.occasion {
        Some(occasion) => imports::found_occasion(on, id, &build, occasion).await,
        None => Ok(()),
    }
}

/// Wakes what waits for a build of a commit to end.
pub(super) async fn wake(on: &mut AnyConnection, build: &str, now_ms: i64) -> Result<()> {
    sqlx::query(
        "UPDATE triggers SET due_ms = $2 WHERE state = 'waiting' AND error = $3 AND EXISTS \
         (SELECT 1 FROM builds b WHERE b.id = $1 AND b.repository = triggers.repository \
         AND b.commit_id = triggers.commit_id)",
    )
    .bind(build)
    .bind(now_ms)
    .bind(LATER)
    .execute(on)
    .await?;
    Ok(())
}

pub(super) async fn drop_one(
    on: &mut AnyConnection,
    id: &str,
    why: Nothing,
    now_ms: i64,
) -> Result<()> {
    let Some(row) = sqlx::query(
        "UPDATE triggers SET state = 'ended', settled = 1 \
         WHERE id = $1 AND state = 'waiting' RETURNING *",
    )
    .bind(id)
    .fetch_optional(&mut *on)
    .await?
    else {
        return Ok(());
    };
    let repository = RepositoryId::from_stored(row.try_get::<String, _>("repository")?);
    if row.try_get::<Option<String>, _>("import")?.is_some() {
        return Ok(());
    }
    let commit = rows::sha(&row, "commit_id")?;
    let reason = match why {
        Nothing::Unselected => "nothing to build",
        Nothing::Unspecified => {
            specified::keep(on, &repository, specified::NOTHING).await?;
            "nothing to build"
        }
        Nothing::ReportsOnly => {
            specified::keep(on, &repository, specified::REPORTS_ONLY).await?;
            "nothing is built here: reports come from GitHub Actions"
        }
    };
    forget_announcement(on, &repository, &commit, reason, now_ms).await
}

pub(super) async fn postpone(
    on: &mut AnyConnection,
    id: &str,
    postponement: &Postponement,
) -> Result<()> {
    sqlx::query(
        "UPDATE triggers SET error = $2, due_ms = $3, tries = tries - $4, lease_ms = 0 \
         WHERE id = $1 AND state = 'waiting'",
    )
    .bind(id)
    .bind(&postponement.what)
    .bind(postponement.retry_ms)
    .bind(i64::from(!postponement.counts))
    .execute(on)
    .await?;
    Ok(())
}
