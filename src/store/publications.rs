//! The outbox: things on GitHub and what they should say.
//!
//! A row is one thing, identified by its target. `version > sent` means that GitHub does not know
//! the newest content yet. Before a request goes out, the row is marked as uncertain; only a clear
//! answer takes that mark away, so that after a crash one looks before one repeats.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::database::StoreError;
use super::due::passing_over;
use super::rows::{self, Result};
use super::spoken;
use crate::domain::{
    Answer, BuildView, CheckRun, CheckState, Conclusion, Content, InstallationId, Publication,
    RepositoryId, Sha, Target,
};
use crate::ports::store::{Outgoing, Sent, Spoken};

/// The check run that is shown before there is a build.
const ANNOUNCED: &str = "new";

/// How long a publication that cannot be read back is left alone, in milliseconds.
const UNREADABLE_MS: i64 = 3_600_000;

fn check_target(repository: &str, commit: &str, name: &str, of: &str) -> String {
    format!("check|{repository}|{commit}|{name}|{of}")
}

/// Shows a commit's check run before there is a build.
pub(super) async fn announce(
    on: &mut AnyConnection,
    (repository, delivery): (&RepositoryId, Option<&str>),
    check: &CheckRun,
    now_ms: i64,
) -> Result<()> {
    let target = check_target(
        repository.as_str(),
        check.commit.as_str(),
        &check.name,
        ANNOUNCED,
    );
    let content = Content::Check(check.clone());
    put(
        on,
        &Place {
            repository: repository.as_str(),
            target: &target,
            commit: check.commit.as_str(),
            build: None,
            job: None,
            delivery,
        },
        &content,
        now_ms,
    )
    .await
}

/// The build that the check run with this `external_id` speaks of, as it is now: not the check run
/// of a former attempt.
pub(super) async fn current_build(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    check: &str,
) -> Result<Option<String>> {
    let row = sqlx::query(
        "SELECT build FROM publications WHERE id = $1 AND repository = $2 \
         AND build IS NOT NULL AND job IS NULL AND former = 0",
    )
    .bind(check)
    .bind(repository.as_str())
    .fetch_optional(on)
    .await?;
    Ok(row.map(|row| row.try_get("build")).transpose()?)
}

/// What the check run with this `external_id` speaks of: a build, and of it one job or all.
pub(super) async fn spoken_of(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    check: &str,
) -> Result<Option<(String, Option<String>)>> {
    let row = sqlx::query(
        "SELECT build, job FROM publications WHERE id = $1 AND repository = $2 \
         AND build IS NOT NULL",
    )
    .bind(check)
    .bind(repository.as_str())
    .fetch_optional(on)
    .await?;
    row.map(|row| Ok((row.try_get("build")?, row.try_get("job")?)))
        .transpose()
}

/// Says something to who asked in a comment: once, whatever is asked there again.
pub(super) async fn answer(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    answer: &Answer,
    now_ms: i64,
) -> Result<()> {
    let target = format!("answer|{}|{}", repository.as_str(), answer.to);
    let said = sqlx::query("SELECT id FROM publications WHERE target = $1")
        .bind(&target)
        .fetch_optional(&mut *on)
        .await?;
    if said.is_some() {
        return Ok(());
    }
    let place = Place {
        repository: repository.as_str(),
        target: &target,
        commit: "",
        build: None,
        job: None,
        delivery: None,
    };
    put(on, &place, &answer.content, now_ms).await
}

/// An installation may do again what it could not: what was held back or given up goes out.
pub(super) async fn revive(on: &mut AnyConnection, installation: i64, now_ms: i64) -> Result<()> {
    sqlx::query(
        "UPDATE publications SET due_ms = $2, tries = 0, \
         sent = CASE WHEN sent = version THEN sent - 1 ELSE sent END \
         WHERE installation = $1 AND error IS NOT NULL",
    )
    .bind(installation)
    .bind(now_ms)
    .execute(on)
    .await?;
    Ok(())
}

/// What identifies a publication in the store.
struct Place<'a> {
    repository: &'a str,
    target: &'a str,
    commit: &'a str,
    build: Option<&'a str>,
    job: Option<&'a str>,
    delivery: Option<&'a str>,
}

/// How long more of the same waits after it was sent `repeats` times, in milliseconds: five
/// seconds, three times as long each time, at most twenty minutes. So a thing is told on a number of
/// times that grows with the logarithm of how long it takes.
fn quiet_ms(repeats: i64) -> i64 {
    let power = u32::try_from(repeats.clamp(1, 6) - 1).unwrap_or(0);
    (5_000 * 3_i64.pow(power)).min(1_200_000)
}

/// Keeps what a thing should say; nothing happens where it says that already. A new state goes out
/// at once; more of the same (where a build is in the queue, which of its jobs run) waits a while,
/// and of what comes in that time only the last is sent.
async fn put(
    on: &mut AnyConnection,
    row: &Place<'_>,
    content: &Content,
    now_ms: i64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO publications (id, repository, installation, target, commit_id, build, job, \
         content, priority, due_ms, delivery) \
         SELECT $1, r.id, r.installation, $2, $3, $4, $5, $6, $7, $8, $10 FROM repositories r \
         WHERE r.id = $9 \
         ON CONFLICT (target) DO UPDATE SET content = excluded.content, \
         priority = excluded.priority, installation = excluded.installation, \
         delivery = excluded.delivery, \
         due_ms = CASE WHEN excluded.priority NOT IN (1, 2) THEN \
           CASE WHEN publications.error IS NULL THEN excluded.due_ms \
           ELSE publications.due_ms END \
         WHEN excluded.priority = publications.priority \
           AND publications.quiet_ms > publications.due_ms THEN publications.quiet_ms \
         WHEN publications.error IS NULL AND excluded.priority <> publications.priority \
           THEN excluded.due_ms ELSE publications.due_ms END, \
         repeats = CASE WHEN excluded.priority = publications.priority \
           THEN publications.repeats ELSE 0 END, \
         quiet_ms = CASE WHEN excluded.priority = publications.priority \
           THEN publications.quiet_ms ELSE 0 END, \
         version = publications.version + 1 WHERE publications.content <> excluded.content",
    )
    .bind(rows::new_id())
    .bind(row.target)
    .bind(row.commit)
    .bind(row.build)
    .bind(row.job)
    .bind(serde_json::to_string(content)?)
    .bind(content.priority())
    .bind(now_ms)
    .bind(row.repository)
    .bind(row.delivery)
    .execute(on)
    .await?;
    Ok(())
}

/// The announced check run belongs to this build's newest attempt from now on.
pub(super) async fn adopt(
    on: &mut AnyConnection,
    repository: &str,
    commit: &str,
    build: &str,
    now_ms: i64,
) -> Result<()> {
    let attempt: i64 = sqlx::query("SELECT attempt FROM builds WHERE id = $1")
        .bind(build)
        .fetch_one(&mut *on)
        .await?
        .try_get("attempt")?;
    let announced = check_target(repository, commit, "herald", ANNOUNCED);
    let target = check_target(repository, commit, "herald", &format!("{build}|{attempt}"));
    let taken = sqlx::query("SELECT id FROM publications WHERE target = $1")
        .bind(&target)
        .fetch_optional(&mut *on)
        .await?;
    if taken.is_some() {
        sqlx::query("UPDATE publications SET former = 1 WHERE target = $1")
            .bind(&announced)
            .execute(&mut *on)
            .await?;
        return close(on, &announced, "another check run speaks of it", now_ms).await;
    }
    sqlx::query("UPDATE publications SET target = $2, build = $3 WHERE target = $1")
        .bind(&announced)
        .bind(&target)
        .bind(build)
        .execute(on)
        .await?;
    Ok(())
}

/// Ends an announced check run that no build takes up.
pub(super) async fn end_announcement(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    commit: &Sha,
    reason: &str,
    now_ms: i64,
) -> Result<()> {
    let announced = check_target(repository.as_str(), commit.as_str(), "herald", ANNOUNCED);
    close(on, &announced, reason, now_ms).await
}

/// Completes an announced check run as cancelled and frees its place.
async fn close(on: &mut AnyConnection, target: &str, reason: &str, now_ms: i64) -> Result<()> {
    let Some(row) = sqlx::query("SELECT id, content FROM publications WHERE target = $1")
        .bind(target)
        .fetch_optional(&mut *on)
        .await?
    else {
        return Ok(());
    };
    complete(on, &row, &format!("cancelled: {reason}"), now_ms).await?;
    let id: String = row.try_get("id")?;
    sqlx::query("UPDATE publications SET target = $2 WHERE target = $1")
        .bind(target)
        .bind(format!("{target}|{id}"))
        .execute(on)
        .await?;
    Ok(())
}

/// Completes a check run as cancelled, and ends a deployment, unless it has ended.
async fn complete(on: &mut AnyConnection, row: &AnyRow, title: &str, now_ms: i64) -> Result<()> {
    let id: String = row.try_get("id")?;
    let mut content: Content = rows::json(row, "content")?;
    match &mut content {
        Content::Check(check) if !matches!(check.state, CheckState::Completed(_)) => {
            check.state = CheckState::Completed(Conclusion::Cancelled);
            check.completed_ms = Some(now_ms);
            title.clone_into(&mut check.title);
            check.summary = crate::text::markdown::escape(title);
        }
        Content::Deployment(deployment) if !deployment.state.is_over() => deployment.end(title),
        _ => return Ok(()),
    }
    sqlx::query(
        "UPDATE publications SET content = $2, priority = $3, version = version + 1 WHERE id = $1",
    )
    .bind(&id)
    .bind(serde_json::to_string(&content)?)
    .bind(content.priority())
    .execute(on)
    .await?;
    Ok(())
}

/// Completes the check runs of the build as a whole and of this job: a new attempt speaks with
/// new ones.
pub(super) async fn close_attempts(
    on: &mut AnyConnection,
    build: &str,
    job: Option<&str>,
    title: &str,
    now_ms: i64,
) -> Result<()> {
    let open = sqlx::query(
        "SELECT id, content FROM publications WHERE build = $1 AND (job IS NULL OR job = $2)",
    )
    .bind(build)
    .bind(job)
    .fetch_all(&mut *on)
    .await?;
    for row in open {
        complete(on, &row, title, now_ms).await?;
    }
    // One that is not on GitHub yet is not made any more: it would be newer than the one that counts.
    sqlx::query(
        "UPDATE publications SET former = 1 WHERE build = $1 AND (job IS NULL OR job = $2)",
    )
    .bind(build)
    .bind(job)
    .execute(on)
    .await?;
    Ok(())
}

/// Completes check runs that nobody will touch again: of a build that has ended and is published,
/// and announced ones that no trigger waits for. There should be none; says how many there were.
pub(super) async fn close_stuck(on: &mut AnyConnection, now_ms: i64) -> Result<u64> {
    let of_builds = sqlx::query(
        "SELECT p.id, p.content FROM publications p JOIN builds b ON b.id = p.build \
         WHERE p.priority IN (1, 2) AND p.target LIKE 'check|%' \
         AND b.state = 'finished' AND b.published >= b.revision",
    )
    .fetch_all(&mut *on)
    .await?;
    for row in &of_builds {
        complete(on, row, "cancelled: another check run speaks of it", now_ms).await?;
    }
    let announced = sqlx::query(
        "SELECT p.target FROM publications p \
         WHERE p.priority IN (1, 2) AND p.build IS NULL AND p.target LIKE 'check|%|new' \
         AND NOT EXISTS (SELECT 1 FROM triggers t WHERE t.repository = p.repository \
         AND t.commit_id = p.commit_id AND t.state = 'waiting')",
    )
    .fetch_all(&mut *on)
    .await?;
    for row in &announced {
        let target: String = row.try_get("target")?;
        close(on, &target, "nothing to build", now_ms).await?;
    }
    Ok((of_builds.len() + announced.len()) as u64)
}

/// In the column `installation` of `throttles`: the App itself. GitHub counts from 1.
const APP: i64 = 0;

/// Of whom GitHub wants to hear nothing, and until when.
pub(super) async fn throttled(
    on: &mut AnyConnection,
    now_ms: i64,
) -> Result<Vec<(Option<InstallationId>, i64)>> {
    sqlx::query("SELECT installation, until_ms FROM throttles WHERE until_ms > $1")
        .bind(now_ms)
        .fetch_all(on)
        .await?
        .iter()
        .map(|row| {
            let id: i64 = row.try_get("installation")?;
            let who = (id != APP).then_some(InstallationId(id));
            Ok((who, row.try_get("until_ms")?))
        })
        .collect()
}

/// Keeps what a revision of a build looks like.
pub(super) async fn publish(
    on: &mut AnyConnection,
    view: &BuildView,
    publications: &[Publication],
    spoken: &Spoken,
    now_ms: i64,
) -> Result<()> {
    let build = &view.build;
    let mine = sqlx::query(
        "UPDATE builds SET published = $2 \
         WHERE id = $1 AND published < $2 AND revision = $2",
    )
    .bind(build.id.as_str())
    .bind(build.revision)
    .execute(&mut *on)
    .await?;
    if mine.rows_affected() == 0 {
        return Ok(());
    }
    let repository = view.repository.id.as_str();
    let commit = build.commit.as_str();
    for publication in publications {
        let (target, job) = match &publication.target {
            Target::Check { name, job, attempt } => (
                check_target(repository, commit, name, &format!("{}|{attempt}", build.id)),
                job.as_deref(),
            ),
            Target::Status { context } => (format!("status|{repository}|{commit}|{context}"), None),
            Target::Comment { pull } => (format!("comment|{repository}|{pull}"), None),
            Target::Deployment { job, attempt } => (
                format!("deployment|{}|{job}|{attempt}", build.id),
                Some(job.as_str()),
            ),
            Target::Promotion { from, to } => (format!("promotion|{repository}|{from}|{to}"), None),
        };
        if is_outdated(on, &target, &publication.content).await? {
            continue;
        }
        let of_build = matches!(
            publication.target,
            Target::Check { .. } | Target::Deployment { .. }
        );
        let row = Place {
            repository,
            target: &target,
            commit,
            build: of_build.then_some(build.id.as_str()),
            job,
            delivery: build.delivery.as_deref(),
        };
        put(on, &row, &publication.content, now_ms).await?;
    }
    spoken::keep(on, view, spoken).await
}

/// Whether more is known already of what a candidate contains.
async fn is_outdated(on: &mut AnyConnection, target: &str, content: &Content) -> Result<bool> {
    let Content::Promotion(pull) = content else {
        return Ok(false);
    };
    let row = sqlx::query("SELECT content FROM publications WHERE target = $1")
        .bind(target)
        .fetch_optional(on)
        .await?;
    let known: Option<Content> = row.map(|row| rows::json(&row, "content")).transpose()?;
    Ok(matches!(known, Some(Content::Promotion(known)) if known.at_ms > pull.at_ms))
}

pub(super) async fn claim(
    on: &mut AnyConnection,
    holder: &str,
    now_ms: i64,
    lease_ms: i64,
) -> Result<Option<Outgoing>> {
    let passing_over = passing_over(on, "p");
    loop {
        let Some(row) = sqlx::query(AssertSqlSafe(format!(
            "SELECT p.* FROM publications p JOIN repositories r ON r.id = p.repository \
             WHERE p.version > p.sent AND p.due_ms <= $1 AND p.lease_ms <= $1 \
             AND r.state = 'active' AND NOT EXISTS (SELECT 1 FROM throttles t \
             WHERE t.installation = p.installation AND t.until_ms > $1) \
             ORDER BY p.priority, p.due_ms, p.id LIMIT 1 {passing_over}",
        )))
        .bind(now_ms)
        .fetch_optional(&mut *on)
        .await?
        else {
            return Ok(None);
        };
        let id: String = row.try_get("id")?;
        let outgoing = match outgoing(on, &row, lease_ms).await {
            Err(StoreError::Stored(what)) => {
                // As another version may have written it. It must not hold up the others.
                sqlx::query("UPDATE publications SET due_ms = $2, error = $3 WHERE id = $1")
                    .bind(&id)
                    .bind(now_ms + UNREADABLE_MS)
                    .bind(&what)
                    .execute(&mut *on)
                    .await?;
                continue;
            }
            outgoing => outgoing?,
        };
        sqlx::query(
            "UPDATE publications SET lease_ms = $2, tries = tries + 1, uncertain = 1, \
             repeats = repeats + 1, quiet_ms = $3, holder = $4 WHERE id = $1",
        )
        .bind(&id)
        .bind(lease_ms)
        .bind(now_ms + quiet_ms(row.try_get::<i64, _>("repeats")? + 1))
        .bind(holder)
        .execute(&mut *on)
        .await?;
        return Ok(Some(outgoing));
    }
}

async fn outgoing(on: &mut AnyConnection, row: &AnyRow, lease_ms: i64) -> Result<Outgoing> {
    let repository = RepositoryId::from_stored(row.try_get::<String, _>("repository")?);
    let repository = rows::load_repository(on, &repository)
        .await?
        .ok_or_else(|| StoreError::Stored(format!("no repository {repository}")))?;
    Ok(Outgoing {
        id: row.try_get("id")?,
        repository,
        delivery: row.try_get("delivery")?,
        content: rows::json(row, "content")?,
        version: row.try_get("version")?,
        remote: row.try_get("remote")?,
        annotations_sent: usize::try_from(row.try_get::<i64, _>("annotations_sent")?).unwrap_or(0),
        uncertain: row.try_get::<i64, _>("uncertain")? != 0,
        tries: rows::count(row, "tries")?,
        former: row.try_get::<i64, _>("former")? != 0,
        lease_ms,
    })
}

pub(super) async fn sent(on: &mut AnyConnection, outgoing: &Outgoing, sent: &Sent) -> Result<()> {
    let annotations = i64::try_from(outgoing.annotations_sent).unwrap_or(i64::MAX);
    let (done, due_ms, error, uncertain, tries) = match sent {
        Sent::All => (true, None, None, false, 0),
        Sent::Part => (false, None, None, false, 0),
        // It does not keep back a conclusion, so it is not noted as an error.
        Sent::Wait { until_ms } => (
            false,
            Some(*until_ms),
            None,
            outgoing.uncertain,
            outgoing.tries,
        ),
        Sent::Later {
            at_ms,
            error,
            uncertain,
        } => {
            let tries = outgoing.tries.saturating_add(1);
            (false, Some(*at_ms), Some(error.as_str()), *uncertain, tries)
        }
        Sent::Never { error } => (true, None, Some(error.as_str()), false, 0),
    };
    sqlx::query(
        "UPDATE publications SET remote = $2, annotations_sent = $3, lease_ms = 0, error = $4, \
         uncertain = $5, tries = $6, \
         sent = CASE WHEN $7 = 1 AND sent < $8 THEN $8 ELSE sent END, \
         due_ms = COALESCE($9, due_ms) WHERE id = $1 AND lease_ms = $10",
    )
    .bind(&outgoing.id)
    .bind(outgoing.remote.as_deref())
    .bind(annotations)
    .bind(error)
    .bind(i64::from(uncertain))
    .bind(i64::from(tries))
    .bind(i64::from(done))
    .bind(outgoing.version)
    .bind(due_ms)
    .bind(outgoing.lease_ms)
    .execute(on)
    .await?;
    Ok(())
}

pub(super) async fn keep_throttle(
    on: &mut AnyConnection,
    who: Option<InstallationId>,
    until_ms: i64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO throttles (installation, until_ms) VALUES ($1, $2) \
         ON CONFLICT (installation) DO UPDATE SET until_ms = excluded.until_ms \
         WHERE throttles.until_ms < excluded.until_ms",
    )
    .bind(who.map_or(APP, |id| id.0))
    .bind(until_ms)
    .execute(on)
    .await?;
    Ok(())
}
