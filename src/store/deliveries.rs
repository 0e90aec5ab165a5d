//! The inbox of webhook deliveries, and the changes that follow from them.

use std::collections::HashSet;

use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::due::passing_over;
use super::rows::Result;
use super::triggers::Ending;
use super::{approvals, audit, imports, publications, quarantines, reruns, triggers};
use crate::domain::{
    Answers, Change, Installation, InstallationId, Occasion, PullRequest, Repository, RepositoryId,
};
use crate::ports::store::{Delivery, KeptDelivery, Lane, NewDelivery, Recorded, Replayed};

/// Keeps deliveries by one statement, and says of each, in their order, whether it is to be handled now. On PostgreSQL no
/// two of them may have the same GUID.
pub(super) async fn record(
    on: &mut AnyConnection,
    deliveries: &[NewDelivery],
) -> Result<Vec<Recorded>> {
    let values: Vec<String> = (0..deliveries.len())
        .map(|row| {
            let [guid, event, body, at] = [1, 2, 3, 4].map(|column| row * 4 + column);
            format!("(${guid}, ${event}, ${body}, ${at}, ${at})")
        })
        .collect();
    let statement = format!(
        "INSERT INTO deliveries (guid, event, body, received_ms, due_ms) VALUES {} \
         ON CONFLICT (guid) DO UPDATE SET state = 'waiting', due_ms = excluded.due_ms, \
         event = excluded.event, body = excluded.body, tries = 0, error = NULL \
         WHERE deliveries.state = 'failed' RETURNING guid",
        values.join(", ")
    );
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for delivery in deliveries {
        query = query
            .bind(&delivery.guid)
            .bind(&delivery.event)
            .bind(&delivery.body)
            .bind(delivery.received_ms);
    }
    let rows = query.fetch_all(on).await?;
    let new = rows.iter().map(|row| row.try_get::<String, _>("guid"));
    let mut new = new.collect::<std::result::Result<HashSet<_>, _>>()?;
    let said = deliveries.iter().map(|delivery| {
        if new.remove(&delivery.guid) {
            Recorded::Waiting
        } else {
            Recorded::Known
        }
    });
    Ok(said.collect())
}

macro_rules! next {
    ($lane:literal) => {
        concat!(
            "SELECT d.guid FROM deliveries d WHERE d.state = 'waiting' AND d.due_ms <= $1 AND d.lease_ms <= $1 ",
            "AND CASE WHEN d.event IN ('issue_comment', 'check_run') THEN 1 ELSE 0 END = ",
            $lane,
            " ORDER BY d.received_ms, d.guid LIMIT 1"
        )
    };
}

/// The next delivery of a lane at a time ($1), in the order of the index `deliveries_waiting`: it is the first one there, however
/// many wait.
pub(super) fn next(lane: Lane) -> &'static str {
    match lane {
        Lane::Quick => next!("0"),
        Lane::Asking => next!("1"),
    }
}

pub(super) async fn claim(
    on: &mut AnyConnection,
    holder: &str,
    lane: Lane,
    now_ms: i64,
    lease_ms: i64,
) -> Result<Option<Delivery>> {
    let passing_over = passing_over(on, "d");
    let row = sqlx::query(AssertSqlSafe(format!(
        "UPDATE deliveries SET lease_ms = $2, holder = $3, tries = tries + 1 WHERE guid = \
         ({} {passing_over}) RETURNING guid, event, body, tries",
        next(lane),
    )))
    .bind(now_ms)
    .bind(lease_ms)
    .bind(holder)
    .fetch_optional(on)
    .await?;
    row.map(|row| {
        let tries: i64 = row.try_get("tries")?;
        Ok(Delivery {
            guid: row.try_get("guid")?,
            event: row.try_get("event")?,
            body: row.try_get("body")?,
            tries: u32::try_from(tries - 1).unwrap_or(0),
        })
    })
    .transpose()
}

/// Carries out the changes, unless the delivery was handled by somebody else in between.
pub(super) async fn settle(
    on: &mut AnyConnection,
    guid: &str,
    changes: &[Change],
    now_ms: i64,
) -> Result<()> {
    let mine = sqlx::query(
        "UPDATE deliveries SET state = 'handled', error = NULL, body = '' \
         WHERE guid = $1 AND state = 'waiting' RETURNING received_ms",
    )
    .bind(guid)
    .fetch_optional(&mut *on)
    .await?;
    let Some(mine) = mine else {
        return Ok(());
    };
    let moment = Moment {
        guid: Some(guid),
        now_ms,
        received_ms: mine.try_get("received_ms")?,
    };
    for change in changes {
        apply(on, change, &moment).await?;
    }
    Ok(())
}

pub(super) async fn fail(
    on: &mut AnyConnection,
    guid: &str,
    error: &str,
    retry_ms: Option<i64>,
) -> Result<()> {
    sqlx::query(
        "UPDATE deliveries SET state = $2, error = $3, due_ms = $4, lease_ms = 0 \
         WHERE guid = $1 AND state = 'waiting'",
    )
    .bind(guid)
    .bind(if retry_ms.is_some() {
        "waiting"
    } else {
        "failed"
    })
    .bind(error)
    .bind(retry_ms.unwrap_or(0))
    .execute(on)
    .await?;
    Ok(())
}

pub(super) async fn known(on: &mut AnyConnection, guids: &[String]) -> Result<Vec<String>> {
    let mut known = Vec::new();
    for guid in guids {
        let row = sqlx::query("SELECT guid FROM deliveries WHERE guid = $1")
            .bind(guid)
            .fetch_optional(&mut *on)
            .await?;
        if row.is_some() {
            known.push(guid.clone());
        }
    }
    Ok(known)
}

pub(super) async fn list(
    on: &mut AnyConnection,
    failed: bool,
    limit: i64,
) -> Result<Vec<KeptDelivery>> {
    sqlx::query(
        "SELECT guid, event, received_ms, state, error FROM deliveries \
         WHERE state = 'failed' OR $1 = 0 ORDER BY received_ms DESC, guid LIMIT $2",
    )
    .bind(i64::from(failed))
    .bind(limit)
    .fetch_all(on)
    .await?
    .iter()
    .map(|row| {
        Ok(KeptDelivery {
            guid: row.try_get("guid")?,
            event: row.try_get("event")?,
            received_ms: row.try_get("received_ms")?,
            state: row.try_get("state")?,
            error: row.try_get("error")?,
        })
    })
    .collect()
}

/// Has a delivery handled again from its first try, unless it was handled.
pub(super) async fn replay(on: &mut AnyConnection, guid: &str, now_ms: i64) -> Result<Replayed> {
    let done = sqlx::query(
        "UPDATE deliveries SET state = 'waiting', due_ms = $2, tries = 0 \
         WHERE guid = $1 AND state <> 'handled' AND body <> ''",
    )
    .bind(guid)
    .bind(now_ms)
    .execute(&mut *on)
    .await?;
    if done.rows_affected() > 0 {
        return Ok(Replayed::Waiting);
    }
    let known = known(on, &[guid.to_owned()]).await?;
    Ok(if known.is_empty() {
        Replayed::Unknown
    } else {
        Replayed::Handled
    })
}

/// Carries out changes that follow from no delivery.
pub(super) async fn apply_all(
    on: &mut AnyConnection,
    changes: &[Change],
    now_ms: i64,
) -> Result<()> {
    let moment = Moment {
        guid: None,
        now_ms,
        received_ms: now_ms,
    };
    for change in changes {
        apply(on, change, &moment).await?;
    }
    Ok(())
}

/// Which delivery is handled, when, and when it came.
struct Moment<'a> {
    guid: Option<&'a str>,
    now_ms: i64,
    received_ms: i64,
}

async fn apply(on: &mut AnyConnection, change: &Change, moment: &Moment<'_>) -> Result<()> {
    let now_ms = moment.now_ms;
    match change {
        Change::KeepInstallation(installation) => keep_installation(on, installation, now_ms).await,
        Change::DropInstallation {
            host,
            id,
            reason,
            for_good,
        } => drop_installation(on, host, *id, (reason, *for_good), moment).await,
        Change::KeepRepository(repository) => {
            keep_repository(on, repository, moment.received_ms).await
        }
        Change::PauseRepository(id) => remove_repository(on, id, moment).await,
        Change::Build {
            repository,
            commit,
            occasion,
            trust,
            sender,
            supersedes,
            again,
            since_ms,
            announcement,
        } => {
            let new = triggers::NewTrigger {
                repository,
                commit,
                occasion,
                trust: *trust,
                sender: *sender,
                supersedes: *supersedes,
                again: *again,
                announcement: announcement.as_deref(),
                delivery: moment.guid,
            };
            // GitHub's clock may be ahead of ours.
            let at_ms = since_ms.map_or(moment.received_ms, |ms| ms.min(moment.received_ms));
            triggers::add(on, &new, at_ms, now_ms).await
        }
        Change::Import(request) => imports::add(on, request, moment.guid, now_ms).await,
        Change::Cancel {
            repository,
            pull,
            reason,
        } => cancel_pull(on, repository, pull, reason, now_ms).await,
        Change::CancelSubject {
            repository,
            subject,
            reason,
            by_person,
            answers,
        } => {
            let ending = Ending {
                reason,
                wanted: true,
                by_person: *by_person,
            };
            let done = triggers::cancel_subject(on, repository, subject, ending, now_ms).await?;
            say(on, repository, answers, done, now_ms).await
        }
        Change::CancelBuild { build, reason } => {
            triggers::cancel_build(on, build.as_str(), reason, now_ms).await
        }
        Change::Rerun {
            repository,
            again,
            answers,
        } => {
            let done = reruns::requested(on, repository, again, now_ms).await?;
            say(on, repository, answers, done, now_ms).await
        }
        Change::Approve {
            repository,
            what,
            person,
            answers,
        } => {
            let done = approvals::approve(on, repository, what, *person, now_ms).await?;
            say(on, repository, answers, done, now_ms).await
        }
        Change::Quarantine {
            repository,
            what,
            answers,
        } => {
            let done = quarantines::apply(on, repository, what, now_ms).await?;
            say(on, repository, answers, done, now_ms).await
        }
        Change::Note(deed) => audit::note(on, deed, now_ms).await,
        Change::Say { repository, answer } => {
            publications::answer(on, repository, answer, now_ms).await
        }
    }
}

async fn remove_repository(
    on: &mut AnyConnection,
    id: &RepositoryId,
    moment: &Moment<'_>,
) -> Result<()> {
    let reason = "Herald was taken out of the repository";
    triggers::end_all(on, id, reason, moment.now_ms).await?;
    // Unlike a paused one it does not come back with its installation.
    // The moment is noted: an older delivery that is handled late does not bring it back.
    sqlx::query(
        "UPDATE repositories SET state = 'removed', removed_ms = COALESCE(removed_ms, $2), \
         updated_ms = CASE WHEN updated_ms < $2 THEN $2 ELSE updated_ms END WHERE id = $1",
    )
    .bind(id.as_str())
    .bind(moment.received_ms)
    .execute(on)
    .await?;
    Ok(())
}

/// Tells who asked what came of it.
async fn say(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    answers: &Answers,
    done: bool,
    now_ms: i64,
) -> Result<()> {
    let answer = if done {
        &answers.done
    } else {
        &answers.nothing
    };
    match answer {
        Some(answer) => publications::answer(on, repository, answer, now_ms).await,
        None => Ok(()),
    }
}

/// Ends what runs for a pull request, unless a newer state of it is known.
async fn cancel_pull(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    pull: &PullRequest,
    reason: &str,
    now_ms: i64,
) -> Result<()> {
    if !triggers::note_pull(on, repository, pull).await? {
        return Ok(());
    }
    let subject = Occasion::PullRequest { pull: pull.clone() }.subject();
    let ending = Ending::by_itself(reason);
    triggers::end_subject(on, repository, &subject, None, ending, now_ms).await
}

async fn drop_installation(
    on: &mut AnyConnection,
    host: &str,
    id: InstallationId,
    (reason, for_good): (&str, bool),
    moment: &Moment<'_>,
) -> Result<()> {
    // What was shut out for a while is not forgotten.
    let removed_ms = for_good.then_some(moment.received_ms);
    sqlx::query(
        "UPDATE installations SET state = 'removed', removed_ms = $3 WHERE host = $1 AND id = $2",
    )
    .bind(host)
    .bind(id.0)
    .bind(removed_ms)
    .execute(&mut *on)
    .await?;
    if for_good {
        sqlx::query(
            "UPDATE repositories SET removed_ms = $3 WHERE installation = $1 AND id LIKE $2 \
             AND state = 'paused'",
        )
        .bind(id.0)
        .bind(format!("{host}/%"))
        .bind(moment.received_ms)
        .execute(&mut *on)
        .await?;
    }
    let paused = sqlx::query(
        "UPDATE repositories SET state = 'paused', removed_ms = $4, \
         updated_ms = CASE WHEN updated_ms < $3 THEN $3 ELSE updated_ms END \
         WHERE installation = $1 AND id LIKE $2 AND state = 'active' RETURNING id",
    )
    .bind(id.0)
    .bind(format!("{host}/%"))
    .bind(moment.received_ms)
    .bind(removed_ms)
    .fetch_all(&mut *on)
    .await?;
    for row in paused {
        let repository = RepositoryId::from_stored(row.try_get::<String, _>("id")?);
        triggers::end_all(on, &repository, reason, moment.now_ms).await?;
    }
    Ok(())
}

/// The installation is there: what was paused with it goes on.
async fn keep_installation(
    on: &mut AnyConnection,
    installation: &Installation,
    now_ms: i64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO installations (host, id, account, login, selected_by_hand) \
         VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (host, id) DO UPDATE SET account = excluded.account, \
         login = excluded.login, selected_by_hand = excluded.selected_by_hand, \
         state = 'active', removed_ms = NULL",
    )
    .bind(&installation.host)
    .bind(installation.id.0)
    .bind(installation.account.0)
    .bind(&installation.login)
    .bind(i64::from(installation.selected_by_hand))
    .execute(&mut *on)
    .await?;
    sqlx::query(
        "UPDATE repositories SET state = 'active', removed_ms = NULL, compared_ms = 0 \
         WHERE installation = $1 AND id LIKE $2 AND state = 'paused'",
    )
    .bind(installation.id.0)
    .bind(format!("{}/%", installation.host))
    .execute(&mut *on)
    .await?;
    publications::revive(on, installation.id.0, now_ms).await
}

/// Remembers the repository as a delivery of this moment knew it; an older one that is handled
/// late does not bring back what was, least of all to the public.
async fn keep_repository(
    on: &mut AnyConnection,
    repository: &Repository,
    received_ms: i64,
) -> Result<()> {
    let done = sqlx::query(
        "INSERT INTO repositories (id, installation, owner, name, private, default_branch, \
         updated_ms) VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (id) DO UPDATE SET installation = excluded.installation, \
         owner = excluded.owner, name = excluded.name, private = excluded.private, \
         default_branch = CASE WHEN excluded.default_branch = '' \
         THEN repositories.default_branch ELSE excluded.default_branch END, \
         compared_ms = CASE WHEN repositories.state = 'active' THEN repositories.compared_ms ELSE 0 END, \
         state = 'active', removed_ms = NULL, updated_ms = excluded.updated_ms \
         WHERE repositories.updated_ms <= excluded.updated_ms",
    )
    .bind(repository.id.as_str())
    .bind(repository.installation.0)
    .bind(&repository.owner)
    .bind(&repository.name)
    .bind(i64::from(repository.private))
    .bind(&repository.default_branch)
    .bind(received_ms)
    .execute(&mut *on)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO repository_names (owner, name, repository) VALUES ($1, $2, $3) \
         ON CONFLICT (owner, name) DO UPDATE SET repository = excluded.repository",
    )
    .bind(repository.owner.to_lowercase())
    .bind(repository.name.to_lowercase())
    .bind(repository.id.as_str())
    .execute(on)
    .await?;
    Ok(())
}
