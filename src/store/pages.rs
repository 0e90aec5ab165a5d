//! What is read for pages and badges.

use sqlx::{AnyConnection, Row};

use super::judgements;
use super::rows::{self, Result, select_repository};
use crate::domain::{BadgeValue, Build, BuildId, BuildView, Occasion, Repository, RepositoryId};
use crate::ports::store::{StoredBadge, Waiting};

/// The repository that a name leads to. An old name leads nowhere once another repository has
/// taken it, and never to a repository that is not public now.
pub(super) async fn repository(
    on: &mut AnyConnection,
    owner: &str,
    name: &str,
) -> Result<Option<Repository>> {
    let Some(row) = sqlx::query(select_repository!(
        "FROM repository_names n JOIN repositories r ON r.id = n.repository \
         WHERE n.owner = $1 AND n.name = $2"
    ))
    .bind(owner.to_lowercase())
    .bind(name.to_lowercase())
    .fetch_optional(on)
    .await?
    else {
        return Ok(None);
    };
    let repository = rows::repository(&row)?;
    let renamed = !repository.owner.eq_ignore_ascii_case(owner)
        || !repository.name.eq_ignore_ascii_case(name);
    Ok((!(renamed && repository.private)).then_some(repository))
}

pub(super) async fn public_repositories(
    on: &mut AnyConnection,
    words: &str,
    (owner, name): (&str, &str),
    limit: i64,
) -> Result<Vec<Repository>> {
    let mut pattern = "%".to_owned();
    for char in words.to_lowercase().chars() {
        if "%_!".contains(char) {
            pattern.push('!');
        }
        pattern.push(char);
    }
    sqlx::query(select_repository!(
        "FROM repositories r WHERE r.private = 0 AND r.state = 'active' AND (r.owner, r.name) > ($1, $2) \
         AND LOWER(r.owner || '/' || r.name) LIKE $3 ESCAPE '!' ORDER BY r.owner, r.name LIMIT $4"
    ))
    .bind(owner)
    .bind(name)
    .bind(pattern + "%")
    .bind(limit)
    .fetch_all(on)
    .await?
    .iter()
    .map(rows::repository)
    .collect()
}

pub(super) async fn public_repositories_after(
    on: &mut AnyConnection,
    after: &str,
    limit: i64,
) -> Result<Vec<Repository>> {
    sqlx::query(select_repository!(
        "FROM repositories r WHERE r.private = 0 AND r.state = 'active' AND r.id > $1 \
         ORDER BY r.id LIMIT $2"
    ))
    .bind(after)
    .bind(limit)
    .fetch_all(on)
    .await?
    .iter()
    .map(rows::repository)
    .collect()
}

pub(super) async fn repositories(
    on: &mut AnyConnection,
    ids: &[RepositoryId],
) -> Result<Vec<Repository>> {
    let mut found = Vec::new();
    for id in ids {
        let row = sqlx::query(select_repository!(
            "FROM repositories r WHERE r.id = $1 AND r.state = 'active'"
        ))
        .bind(id.as_str())
        .fetch_optional(&mut *on)
        .await?;
        found.extend(row.as_ref().map(rows::repository).transpose()?);
    }
    found.sort_by_key(Repository::full_name);
    Ok(found)
}

pub(super) async fn active_repositories(on: &mut AnyConnection) -> Result<Vec<Repository>> {
    sqlx::query(select_repository!(
        "FROM repositories r WHERE r.state = 'active' ORDER BY r.owner, r.name"
    ))
    .fetch_all(on)
    .await?
    .iter()
    .map(rows::repository)
    .collect()
}

pub(super) const LONGEST_NOT_COMPARED: &str = select_repository!(
    "FROM repositories r WHERE r.state = 'active' AND r.compared_ms < $1 \
     ORDER BY r.compared_ms, r.id LIMIT 1"
);

pub(super) async fn longest_not_compared(
    on: &mut AnyConnection,
    before_ms: i64,
) -> Result<Option<Repository>> {
    sqlx::query(LONGEST_NOT_COMPARED)
        .bind(before_ms)
        .fetch_optional(on)
        .await?
        .as_ref()
        .map(rows::repository)
        .transpose()
}

pub(super) async fn keep_compared(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    at_ms: i64,
) -> Result<()> {
    sqlx::query("UPDATE repositories SET compared_ms = $2 WHERE id = $1")
        .bind(repository.as_str())
        .bind(at_ms)
        .execute(on)
        .await?;
    Ok(())
}

pub(super) async fn view(on: &mut AnyConnection, id: &str) -> Result<Option<BuildView>> {
    let Some(row) = sqlx::query("SELECT * FROM builds WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut *on)
        .await?
    else {
        return Ok(None);
    };
    let build = rows::build(&row)?;
    let repository = RepositoryId::from_stored(row.try_get::<String, _>("repository")?);
    let Some(repository) = rows::load_repository(on, &repository).await? else {
        return Ok(None);
    };
    let jobs = rows::load_jobs(on, id).await?;
    let subjects = sqlx::query(
        "SELECT occasion FROM triggers WHERE build = $1 AND state = 'attached' ORDER BY subject",
    )
    .bind(id)
    .fetch_all(&mut *on)
    .await?;
    let mut pulls = Vec::new();
    for row in subjects {
        let occasion: Occasion = rows::json(&row, "occasion")?;
        pulls.extend(occasion.pull().map(|pull| pull.number));
    }
    pulls.dedup();
    let judgement = judgements::judgement(on, id, build.attempt).await?;
    Ok(Some(BuildView {
        repository,
        build,
        jobs,
        pulls,
        ahead: 0,
        judgement,
    }))
}

pub(super) async fn by_number(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    number: i64,
) -> Result<Option<BuildView>> {
    let row = sqlx::query("SELECT id FROM builds WHERE repository = $1 AND number = $2")
        .bind(repository.as_str())
        .bind(number)
        .fetch_optional(&mut *on)
        .await?;
    match row {
        Some(row) => view(on, &row.try_get::<String, _>("id")?).await,
        None => Ok(None),
    }
}

pub(super) async fn builds(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    before: i64,
    limit: i64,
) -> Result<Vec<Build>> {
    sqlx::query(
        "SELECT * FROM builds WHERE repository = $1 AND number < $2 \
         ORDER BY number DESC LIMIT $3",
    )
    .bind(repository.as_str())
    .bind(before)
    .bind(limit)
    .fetch_all(on)
    .await?
    .iter()
    .map(rows::build)
    .collect()
}

pub(super) async fn unpublished(on: &mut AnyConnection, limit: i64) -> Result<Vec<BuildId>> {
    sqlx::query(
        "SELECT id FROM builds WHERE revision > published ORDER BY repository, number LIMIT $1",
    )
    .bind(limit)
    .fetch_all(on)
    .await?
    .iter()
    .map(|row| Ok(BuildId::from_stored(row.try_get::<String, _>("id")?)))
    .collect()
}

pub(super) async fn badge(
    on: &mut AnyConnection,
    owner: &str,
    name: &str,
    kind: &str,
    branch: Option<&str>,
    job: &str,
) -> Result<Option<StoredBadge>> {
    let Some(row) = sqlx::query(
        "SELECT b.label, b.message, b.color, r.id, r.private FROM repository_names n \
         JOIN repositories r ON r.id = n.repository \
         JOIN badges b ON b.repository = r.id AND b.kind = $3 AND b.job = $5 \
         AND b.branch = COALESCE($4, r.default_branch) WHERE n.owner = $1 AND n.name = $2",
    )
    .bind(owner.to_lowercase())
    .bind(name.to_lowercase())
    .bind(kind)
    .bind(branch)
    .bind(job)
    .fetch_optional(on)
    .await?
    else {
        return Ok(None);
    };
    Ok(Some(StoredBadge {
        repository: RepositoryId::from_stored(row.try_get::<String, _>("id")?),
        value: BadgeValue {
            kind: kind.to_owned(),
            job: job.to_owned(),
            label: row.try_get("label")?,
            message: row.try_get("message")?,
            color: row.try_get("color")?,
        },
        private: row.try_get::<i64, _>("private")? != 0,
    }))
}

pub(super) async fn setting(on: &mut AnyConnection, name: &str) -> Result<Option<String>> {
    let row = sqlx::query("SELECT value FROM settings WHERE name = $1")
        .bind(name)
        .fetch_optional(on)
        .await?;
    Ok(row.map(|row| row.try_get("value")).transpose()?)
}

/// Writes as much as a large delivery, and takes it back.
pub(super) async fn probe(on: &mut AnyConnection) -> Result<()> {
    const PROBE: &str = "probe";
    let text = "x".repeat(256 * 1024);
    for statement in [
        "INSERT INTO settings (name, value) VALUES ($1, $2) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        "DELETE FROM settings WHERE name = $1 AND value = $2",
    ] {
        sqlx::query(statement)
            .bind(PROBE)
            .bind(text.as_str())
            .execute(&mut *on)
            .await?;
    }
    Ok(())
}

pub(super) async fn waiting(on: &mut AnyConnection, now_ms: i64) -> Result<Waiting> {
    let row = sqlx::query(
        "SELECT \
         (SELECT COUNT(*) FROM deliveries WHERE state = 'waiting' AND due_ms <= $1) AS deliveries, \
         (SELECT COUNT(*) FROM triggers t JOIN repositories r ON r.id = t.repository \
          WHERE t.state = 'waiting' AND t.due_ms <= $1 AND r.state = 'active') AS triggers, \
         (SELECT COUNT(*) FROM jobs WHERE state = 'queued' AND due_ms <= $1) AS jobs, \
         (SELECT COUNT(*) FROM jobs WHERE state = 'running') AS running, \
         (SELECT COUNT(*) FROM builds WHERE revision > published) AS builds, \
         (SELECT COUNT(*) FROM publications WHERE version > sent AND due_ms <= $1) \
          AS publications",
    )
    .bind(now_ms)
    .fetch_one(on)
    .await?;
    Ok(Waiting {
        deliveries: row.try_get("deliveries")?,
        triggers: row.try_get("triggers")?,
        jobs: row.try_get("jobs")?,
        running: row.try_get("running")?,
        builds: row.try_get("builds")?,
        publications: row.try_get("publications")?,
    })
}
