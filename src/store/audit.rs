//! The audit log.

use async_trait::async_trait;
use sqlx::{AnyConnection, Row};

use super::database::{StoreError, transact};
use super::rows::Result;
use super::sql::SqlStore;
use crate::domain::{Deed, Doer, KeptDeed, PersonId};
use crate::ports::Audit;
use crate::ports::error::Result as PortResult;

#[async_trait]
impl Audit for SqlStore {
    async fn note(&self, deed: &Deed, now_ms: i64) -> PortResult<()> {
        transact!(self.database, tx => note(tx.on(), deed, now_ms).await)
    }

    async fn deeds(&self, limit: i64) -> PortResult<Vec<KeptDeed>> {
        let mut on = self.database.read().await?;
        let rows = sqlx::query(
            "SELECT a.at_ms, a.person, a.token, a.what, a.subject, a.repository, \
             r.owner, r.name FROM audit a LEFT JOIN repositories r ON r.id = a.repository \
             ORDER BY a.at_ms DESC, a.id DESC LIMIT $1",
        )
        .bind(limit)
        .fetch_all(&mut *on)
        .await
        .map_err(StoreError::from)?;
        let deeds: Result<Vec<KeptDeed>> = rows.iter().map(deed).collect();
        Ok(deeds?)
    }

    async fn drop_deeds(&self, before_ms: i64, limit: i64) -> PortResult<u64> {
        transact!(self.database, tx => {
            let old = "DELETE FROM audit WHERE id IN \
                       (SELECT id FROM audit WHERE at_ms < $1 ORDER BY at_ms LIMIT $2)";
            let done = sqlx::query(old).bind(before_ms).bind(limit).execute(tx.on()).await?;
            Ok(done.rows_affected())
        })
    }
}

fn deed(row: &sqlx::any::AnyRow) -> Result<KeptDeed> {
    let (person, token): (Option<i64>, Option<String>) =
        (row.try_get("person")?, row.try_get("token")?);
    let (owner, name): (Option<String>, Option<String>) =
        (row.try_get("owner")?, row.try_get("name")?);
    let id: Option<String> = row.try_get("repository")?;
    Ok(KeptDeed {
        at_ms: row.try_get("at_ms")?,
        by: match (person, token) {
            (_, Some(token)) => Doer::Token(token),
            (Some(0) | None, None) => Doer::Operator,
            (Some(person), None) => Doer::Person(PersonId(person)),
        },
        what: row.try_get("what")?,
        repository: owner
            .zip(name)
            .map(|(owner, name)| format!("{owner}/{name}"))
            .or(id),
        subject: row.try_get("subject")?,
    })
}

pub(super) async fn note(on: &mut AnyConnection, deed: &Deed, now_ms: i64) -> Result<()> {
    let (person, token) = match &deed.by {
        Doer::Operator => (Some(0), None),
        Doer::Person(person) => (Some(person.0), None),
        Doer::Token(token) => (None, Some(token.as_str())),
    };
    sqlx::query(
        "INSERT INTO audit (id, at_ms, person, token, what, repository, subject) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(uuid::Uuid::now_v7().simple().to_string())
    .bind(now_ms)
    .bind(person)
    .bind(token.map(str::to_owned))
    .bind(deed.what)
    .bind(deed.repository.as_ref().map(|id| id.as_str().to_owned()))
    .bind(deed.subject.clone())
    .execute(on)
    .await?;
    Ok(())
}
