//! Uploads: while they are received, as parts of their sets, and sets on the way to being published.

use async_trait::async_trait;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::database::transact;
use super::due::Due;
use super::imports;
use super::rows::{self, Result};
use super::sql::SqlStore;
use crate::domain::upload::{Kept, PARTS};
use crate::domain::{
    Build, BuildId, Import, ImportRequest, Occasion, PersonId, ReportPart, ReportSet, RepositoryId,
    Sha, Trust, Upload, pull_subject,
};
use crate::ports::Uploads;
use crate::ports::error::Result as PortResult;

#[async_trait]
impl Uploads for SqlStore {
    async fn begin_upload(&self, upload: &Upload, most: u32, now_ms: i64) -> PortResult<bool> {
        transact!(self.database, tx => begin(tx.on(), upload, most, now_ms).await)
    }

    async fn upload(&self, repository: &RepositoryId, id: &str) -> PortResult<Option<Upload>> {
        let mut on = self.database.read().await?;
        Ok(load(&mut on, repository, id).await?)
    }

    async fn note_received(&self, id: &str, from: u64, to: u64, now_ms: i64) -> PortResult<bool> {
        transact!(self.database, tx => note(tx.on(), id, from, to, now_ms).await)
    }

    async fn keep_part(
        &self,
        upload: &Upload,
        sha256: &str,
        anew: bool,
        now_ms: i64,
    ) -> PortResult<Kept> {
        transact!(self.database, tx => keep(tx.on(), upload, sha256, anew, now_ms).await)
    }

    async fn drop_upload(&self, id: &str) -> PortResult<()> {
        transact!(self.database, tx => {
            sqlx::query("DELETE FROM uploads WHERE id = $1 AND report_set IS NULL")
                .bind(id)
                .execute(tx.on())
                .await?;
            Ok(())
        })
    }

    async fn report_set(&self, id: &str) -> PortResult<Option<ReportSet>> {
        let mut on = self.database.read().await?;
        Ok(set_by_id(&mut on, id).await?)
    }

    async fn build_of_set(
        &self,
        set: &ReportSet,
        specification: &str,
    ) -> PortResult<Option<Build>> {
        let mut on = self.database.read().await?;
        Ok(build_of(&mut on, set, specification).await?)
    }

    async fn publish_sets(&self, now_ms: i64, limit: i64) -> PortResult<u64> {
        if !self.database.is_due(Due::Set, now_ms).await {
            return Ok(0);
        }
        transact!(self.database, tx => publish(tx.on(), now_ms, limit).await)
    }

    async fn reports_are_let_go(&self, build: &BuildId) -> PortResult<bool> {
        let mut on = self.database.read().await?;
        Ok(are_let_go(&mut on, build.as_str()).await?)
    }

    async fn was_head(
        &self,
        repository: &RepositoryId,
        pull: i64,
        commit: &Sha,
    ) -> PortResult<bool> {
        let mut on = self.database.read().await?;
        Ok(was_head(&mut on, repository, pull, commit).await?)
    }

    async fn drop_uploads(
        &self,
        unfinished_ms: i64,
        parts_ms: i64,
        sets_ms: i64,
        limit: i64,
    ) -> PortResult<u64> {
        let before = [unfinished_ms, parts_ms, sets_ms];
        transact!(self.database, tx => drop_old(tx.on(), before, limit).await)
    }

    async fn known_uploads(&self, ids: &[String]) -> PortResult<Vec<String>> {
        let mut on = self.database.read().await?;
        Ok(known(&mut on, ids).await?)
    }

    async fn is_part(&self, set: &str, part: &ReportPart) -> PortResult<bool> {
        let mut on = self.database.read().await?;
        let parts = parts_of(&mut on, set).await?;
        Ok(parts.iter().any(|one| one.upload == part.upload))
    }
}

async fn begin(on: &mut AnyConnection, upload: &Upload, most: u32, now_ms: i64) -> Result<bool> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS unfinished FROM uploads WHERE repository = $1 AND report_set IS NULL",
    )
    .bind(upload.repository.as_str())
    .fetch_one(&mut *on)
    .await?;
    if rows::count(&row, "unfinished")? >= most {
        return Ok(false);
    }
    insert(on, upload, None, now_ms).await?;
    Ok(true)
}

async fn insert(
    on: &mut AnyConnection,
    upload: &Upload,
    set: Option<&str>,
    now_ms: i64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO uploads (id, repository, request, length, received, report_set, updated_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET \
         received = excluded.received, report_set = excluded.report_set, \
         updated_ms = excluded.updated_ms",
    )
    .bind(&upload.id)
    .bind(upload.repository.as_str())
    .bind(serde_json::to_string(&upload.request)?)
    .bind(signed(upload.length))
    .bind(signed(upload.received))
    .bind(set)
    .bind(now_ms)
    .execute(on)
    .await?;
    Ok(())
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn unsigned(row: &AnyRow, column: &str) -> Result<u64> {
    Ok(u64::try_from(row.try_get::<i64, _>(column)?).unwrap_or(0))
}

async fn load(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    id: &str,
) -> Result<Option<Upload>> {
    let row = sqlx::query("SELECT * FROM uploads WHERE id = $1 AND repository = $2")
        .bind(id)
        .bind(repository.as_str())
        .fetch_optional(on)
        .await?;
    let read = |row: AnyRow| {
        Ok(Upload {
            id: row.try_get("id")?,
            repository: repository.clone(),
            request: rows::json(&row, "request")?,
            length: unsigned(&row, "length")?,
            received: unsigned(&row, "received")?,
            set: row.try_get("report_set")?,
        })
    };
    row.map(read).transpose()
}

async fn note(on: &mut AnyConnection, id: &str, from: u64, to: u64, now_ms: i64) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE uploads SET received = $3, updated_ms = $4 \
         WHERE id = $1 AND received = $2 AND report_set IS NULL",
    )
    .bind(id)
    .bind(signed(from))
    .bind(signed(to))
    .bind(now_ms)
    .execute(on)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Puts a part into its set, which is made with the first one.
async fn keep(
    on: &mut AnyConnection,
    upload: &Upload,
    sha256: &str,
    anew: bool,
    now_ms: i64,
) -> Result<Kept> {
    let request = &upload.request;
    let standing = sqlx::query(
        "SELECT * FROM report_sets WHERE repository = $1 AND commit_id = $2 AND name = $3",
    )
    .bind(upload.repository.as_str())
    .bind(request.commit.as_str())
    .bind(&request.name)
    .fetch_optional(&mut *on)
    .await?;
    let mut set = match standing {
        Some(row) => with_parts(on, &row).await?,
        None => first_of(upload, now_ms),
    };
    if set.is_closed {
        return Ok(Kept::Closed);
    }
    let label = request.part.clone().unwrap_or_else(|| sha256.to_owned());
    let known = set.parts.iter().position(|part| part.label == label);
    let same = known.and_then(|at| set.parts.get(at)).cloned();
    if let Some(part) = same.filter(|part| part.sha256 == sha256 && !anew) {
        insert_done(on, upload, &set.id, now_ms).await?;
        let spoken = subjects(&set);
        set.join(request);
        if subjects(&set) != spoken {
            // The same reports, and they speak for a branch too.
            set.due_ms = set.due_ms.or(Some(now_ms));
            write_set(on, &set).await?;
        }
        return Ok(Kept::Known(Box::new(set), part));
    }
    let part = ReportPart {
        label,
        upload: upload.id.clone(),
        path: request.path.clone(),
        bytes: upload.length,
        sha256: sha256.to_owned(),
    };
    match known.and_then(|at| set.parts.get_mut(at)) {
        Some(place) => *place = part.clone(),
        None => set.parts.push(part.clone()),
    }
    let received = u32::try_from(set.parts.len()).unwrap_or(u32::MAX);
    if received > PARTS {
        return Ok(Kept::Full);
    }
    set.join(request);
    set.last_ms = now_ms;
    set.due_ms = Some(set.due_with(received));
    write_set(on, &set).await?;
    write_part(on, &set.id, &part, now_ms).await?;
    insert_done(on, upload, &set.id, now_ms).await?;
    Ok(Kept::New(Box::new(set)))
}

/// What a set speaks of.
fn subjects(set: &ReportSet) -> Vec<String> {
    set.occasions().map(Occasion::subject).collect()
}

async fn insert_done(
    on: &mut AnyConnection,
    upload: &Upload,
    set: &str,
    now_ms: i64,
) -> Result<()> {
    let done = Upload {
        received: upload.length,
        ..upload.clone()
    };
    insert(on, &done, Some(set), now_ms).await
}

/// A set as its first upload makes it.
fn first_of(upload: &Upload, now_ms: i64) -> ReportSet {
    let request = &upload.request;
    ReportSet {
        id: rows::new_id(),
        repository: upload.repository.clone(),
        commit: request.commit.clone(),
        name: request.name.clone(),
        committed_ms: None,
        trust: request.trust,
        occasion: request.occasion.clone(),
        pushed: None,
        sender: request.sender,
        expected: None,
        wait_ms: None,
        first_ms: now_ms,
        last_ms: now_ms,
        due_ms: None,
        published: 0,
        is_closed: false,
        parts: Vec::new(),
    }
}

async fn write_set(on: &mut AnyConnection, set: &ReportSet) -> Result<()> {
    sqlx::query(
        "INSERT INTO report_sets (id, repository, commit_id, name, trust, occasion, sender, \
         expected, wait_ms, first_ms, last_ms, due_ms, pushed, committed_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
         ON CONFLICT (id) DO UPDATE SET trust = excluded.trust, occasion = excluded.occasion, \
         pushed = excluded.pushed, committed_ms = excluded.committed_ms, \
         expected = excluded.expected, wait_ms = excluded.wait_ms, last_ms = excluded.last_ms, \
         due_ms = excluded.due_ms",
    )
    .bind(&set.id)
    .bind(set.repository.as_str())
    .bind(set.commit.as_str())
    .bind(&set.name)
    .bind(set.trust.as_str())
    .bind(serde_json::to_string(&set.occasion)?)
    .bind(set.sender.0)
    .bind(set.expected.map(i64::from))
    .bind(set.wait_ms)
    .bind(set.first_ms)
    .bind(set.last_ms)
    .bind(set.due_ms)
    .bind(set.pushed.as_ref().map(serde_json::to_string).transpose()?)
    .bind(set.committed_ms)
    .execute(on)
    .await?;
    Ok(())
}

async fn write_part(
    on: &mut AnyConnection,
    set: &str,
    part: &ReportPart,
    now_ms: i64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO report_parts (report_set, label, upload, path, bytes, sha256, came_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (report_set, label) DO UPDATE SET \
         upload = excluded.upload, path = excluded.path, bytes = excluded.bytes, \
         sha256 = excluded.sha256, came_ms = excluded.came_ms",
    )
    .bind(set)
    .bind(&part.label)
    .bind(&part.upload)
    .bind(&part.path)
    .bind(signed(part.bytes))
    .bind(&part.sha256)
    .bind(now_ms)
    .execute(on)
    .await?;
    Ok(())
}

async fn set_by_id(on: &mut AnyConnection, id: &str) -> Result<Option<ReportSet>> {
    let row = sqlx::query("SELECT * FROM report_sets WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut *on)
        .await?;
    match row {
        Some(row) => with_parts(on, &row).await.map(Some),
        None => Ok(None),
    }
}

async fn with_parts(on: &mut AnyConnection, row: &AnyRow) -> Result<ReportSet> {
    let id: String = row.try_get("id")?;
    let expected: Option<i64> = row.try_get("expected")?;
    let pushed: Option<String> = row.try_get("pushed")?;
    Ok(ReportSet {
        repository: RepositoryId::from_stored(row.try_get::<String, _>("repository")?),
        commit: rows::sha(row, "commit_id")?,
        name: row.try_get("name")?,
        trust: Trust::from_stored(&row.try_get::<String, _>("trust")?),
        committed_ms: row.try_get("committed_ms")?,
        occasion: rows::json(row, "occasion")?,
        pushed: pushed.map(|text| serde_json::from_str(&text)).transpose()?,
        sender: PersonId(row.try_get("sender")?),
        expected: expected.and_then(|count| u32::try_from(count).ok()),
        wait_ms: row.try_get("wait_ms")?,
        first_ms: row.try_get("first_ms")?,
        last_ms: row.try_get("last_ms")?,
        due_ms: row.try_get("due_ms")?,
        published: rows::count(row, "published")?,
        is_closed: row.try_get::<i64, _>("closed")? != 0,
        parts: parts_of(on, &id).await?,
        id,
    })
}

/// The parts of a set in the order of their labels, numbers by their size.
async fn parts_of(on: &mut AnyConnection, set: &str) -> Result<Vec<ReportPart>> {
    let found = sqlx::query("SELECT * FROM report_parts WHERE report_set = $1")
        .bind(set)
        .fetch_all(on)
        .await?;
    let read = |row: &AnyRow| -> Result<ReportPart> {
        Ok(ReportPart {
            label: row.try_get("label")?,
            upload: row.try_get("upload")?,
            path: row.try_get("path")?,
            bytes: unsigned(row, "bytes")?,
            sha256: row.try_get("sha256")?,
        })
    };
    let mut parts = found.iter().map(read).collect::<Result<Vec<_>>>()?;
    parts.sort_by_cached_key(|part| {
        let number = part.label.parse::<u64>().unwrap_or(u64::MAX);
        (number, part.label.clone())
    });
    Ok(parts)
}

async fn build_of(
    on: &mut AnyConnection,
    set: &ReportSet,
    specification: &str,
) -> Result<Option<Build>> {
    let row = sqlx::query(
        "SELECT id FROM builds WHERE repository = $1 AND commit_id = $2 AND specification = $3 \
         ORDER BY number DESC LIMIT 1",
    )
    .bind(set.repository.as_str())
    .bind(set.commit.as_str())
    .bind(specification)
    .fetch_optional(&mut *on)
    .await?;
    match row {
        Some(row) => rows::load_build(on, &row.try_get::<String, _>("id")?).await,
        None => Ok(None),
    }
}

/// Gives each set that is due its trigger, in the same step in which it stops being due.
async fn publish(on: &mut AnyConnection, now_ms: i64, limit: i64) -> Result<u64> {
    let due = sqlx::query(
        "SELECT s.* FROM report_sets s JOIN repositories r ON r.id = s.repository \
         WHERE s.due_ms <= $1 AND s.closed = 0 AND r.state = 'active' \
         ORDER BY s.due_ms, s.id LIMIT $2",
    )
    .bind(now_ms)
    .bind(limit)
    .fetch_all(&mut *on)
    .await?;
    for row in &due {
        let set = with_parts(on, row).await?;
        sqlx::query(
            "UPDATE report_sets SET due_ms = NULL, published = published + 1 WHERE id = $1",
        )
        .bind(&set.id)
        .execute(&mut *on)
        .await?;
        for occasion in set.occasions() {
            let request = request(on, &set, occasion).await?;
            imports::add(on, &request, None, now_ms).await?;
            sqlx::query("UPDATE triggers SET trust = $3 WHERE repository = $1 AND subject = $2")
                .bind(set.repository.as_str())
                .bind(request.subject())
                .bind(set.trust.as_str())
                .execute(&mut *on)
                .await?;
        }
    }
    Ok(due.len() as u64)
}

async fn request(
    on: &mut AnyConnection,
    set: &ReportSet,
    occasion: &Occasion,
) -> Result<ImportRequest> {
    let committed_ms = set.committed_ms.map(|ms| ms.min(set.first_ms));
    Ok(ImportRequest {
        repository: set.repository.clone(),
        commit: set.commit.clone(),
        occasion: occasion.clone(),
        trust: set.trust,
        sender: set.sender,
        import: Import::Uploads {
            set: set.id.clone(),
            name: set.name.clone(),
            received: u32::try_from(set.parts.len()).unwrap_or(u32::MAX),
            expected: set.expected,
        },
        since_ms: pushed(on, set, occasion)
            .await?
            .or(committed_ms)
            .unwrap_or(set.first_ms),
    })
}

/// When the push was heard of that put the commit on its branch: its tests may be done after those of a later one.
async fn pushed(
    on: &mut AnyConnection,
    set: &ReportSet,
    occasion: &Occasion,
) -> Result<Option<i64>> {
    if !matches!(occasion, Occasion::Push { .. }) {
        return Ok(None);
    }
    let row = sqlx::query(
        "SELECT MAX(created_ms) AS pushed FROM triggers WHERE repository = $1 AND subject = $2 \
         AND commit_id = $3",
    )
    .bind(set.repository.as_str())
    .bind(occasion.subject())
    .bind(set.commit.as_str())
    .fetch_one(on)
    .await?;
    Ok(row.try_get("pushed")?)
}

/// Whether a build reads uploaded reports that are not kept any more: what was read of them stands.
pub(super) async fn are_let_go(on: &mut AnyConnection, build: &str) -> Result<bool> {
    let build = rows::load_build(on, build).await?;
    let Some(Import::Uploads { set, .. }) = build.and_then(|build| build.plan.import) else {
        return Ok(false);
    };
    let set = set_by_id(on, &set).await?;
    Ok(set.is_none_or(|set| set.is_closed))
}

async fn was_head(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    pull: i64,
    commit: &Sha,
) -> Result<bool> {
    let row = sqlx::query(
        "SELECT id FROM triggers WHERE repository = $1 AND subject = $2 AND commit_id = $3 LIMIT 1",
    )
    .bind(repository.as_str())
    .bind(pull_subject(pull))
    .bind(commit.as_str())
    .fetch_optional(on)
    .await?;
    Ok(row.is_some())
}

async fn drop_old(on: &mut AnyConnection, before: [i64; 3], limit: i64) -> Result<u64> {
    let [unfinished_ms, parts_ms, sets_ms] = before;
    let unfinished = sqlx::query(
        "DELETE FROM uploads WHERE id IN (SELECT id FROM uploads WHERE updated_ms < $1 \
         ORDER BY updated_ms LIMIT $2)",
    )
    .bind(unfinished_ms)
    .bind(limit)
    .execute(&mut *on)
    .await?
    .rows_affected();
    let closed = sqlx::query(
        "UPDATE report_sets SET closed = 1 WHERE id IN (SELECT id FROM report_sets \
         WHERE closed = 0 AND last_ms < $1 AND (due_ms IS NULL OR repository IN \
         (SELECT id FROM repositories WHERE state <> 'active')) ORDER BY last_ms LIMIT $2) \
         RETURNING id",
    )
    .bind(parts_ms)
    .bind(limit)
    .fetch_all(&mut *on)
    .await?;
    for row in &closed {
        sqlx::query("DELETE FROM report_parts WHERE report_set = $1")
            .bind(row.try_get::<String, _>("id")?)
            .execute(&mut *on)
            .await?;
    }
    let forgotten = sqlx::query(
        "DELETE FROM report_sets WHERE id IN (SELECT id FROM report_sets WHERE closed = 1 \
         AND last_ms < $1 ORDER BY last_ms LIMIT $2)",
    )
    .bind(sets_ms)
    .bind(limit)
    .execute(on)
    .await?
    .rows_affected();
    Ok(unfinished + closed.len() as u64 + forgotten)
}

async fn known(on: &mut AnyConnection, ids: &[String]) -> Result<Vec<String>> {
    let mut known = Vec::new();
    for id in ids {
        // What was received as the same as was there is nobody's part.
        let row = sqlx::query(
            "SELECT id FROM uploads WHERE id = $1 AND report_set IS NULL \
             UNION SELECT upload AS id FROM report_parts WHERE upload = $1",
        )
        .bind(id)
        .fetch_optional(&mut *on)
        .await?;
        if row.is_some() {
            known.push(id.clone());
        }
    }
    Ok(known)
}
