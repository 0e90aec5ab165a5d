//! Secrets of repositories, sealed.

use sqlx::{AnyConnection, Row};

use super::rows::Result;
use super::seal::SealKey;
use crate::domain::{RepositoryId, Secret};
use crate::ports::store::StoredSecret;

pub(super) async fn keep(
    on: &mut AnyConnection,
    key: &SealKey,
    repository: &RepositoryId,
    name: &str,
    value: &Secret,
    now_ms: i64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO secrets (repository, name, sealed, updated_ms) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (repository, name) \
         DO UPDATE SET sealed = excluded.sealed, updated_ms = excluded.updated_ms",
    )
    .bind(repository.as_str())
    .bind(name)
    .bind(key.seal(repository.as_str(), name, value)?)
    .bind(now_ms)
    .execute(on)
    .await?;
    Ok(())
}

pub(super) async fn list(
    on: &mut AnyConnection,
    repository: &RepositoryId,
) -> Result<Vec<StoredSecret>> {
    sqlx::query("SELECT name, updated_ms FROM secrets WHERE repository = $1 ORDER BY name")
        .bind(repository.as_str())
        .fetch_all(on)
        .await?
        .iter()
        .map(|row| {
            Ok(StoredSecret {
                name: row.try_get("name")?,
                updated_ms: row.try_get("updated_ms")?,
            })
        })
        .collect()
}

pub(super) async fn value(
    on: &mut AnyConnection,
    key: &SealKey,
    repository: &RepositoryId,
    name: &str,
) -> Result<Option<Secret>> {
    let row = sqlx::query("SELECT sealed FROM secrets WHERE repository = $1 AND name = $2")
        .bind(repository.as_str())
        .bind(name)
        .fetch_optional(on)
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let sealed: String = row.try_get("sealed")?;
    key.open(repository.as_str(), name, &sealed).map(Some)
}

pub(super) async fn remove(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    name: &str,
) -> Result<bool> {
    let done = sqlx::query("DELETE FROM secrets WHERE repository = $1 AND name = $2")
        .bind(repository.as_str())
        .bind(name)
        .execute(on)
        .await?;
    Ok(done.rows_affected() > 0)
}
