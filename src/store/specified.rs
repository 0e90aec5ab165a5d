//! What is known of the specifications of repositories.

use sqlx::{AnyConnection, Row};

use super::rows::Result;
use crate::domain::RepositoryId;

/// What a repository's specification says, as far as it was read: there is none, it builds something, it only names
/// where reports come from.
pub(super) const NOTHING: i64 = 0;
pub(super) const BUILT: i64 = 1;
pub(super) const REPORTS_ONLY: i64 = 2;

/// Remembers it.
pub(super) async fn keep(
    on: &mut AnyConnection,
    repository: &RepositoryId,
    what: i64,
) -> Result<()> {
    sqlx::query("UPDATE repositories SET specified = $2 WHERE id = $1 AND specified <> $2")
        .bind(repository.as_str())
        .bind(what)
        .execute(on)
        .await?;
    Ok(())
}

/// Whether nobody has asked for a word in this repository: the App was installed on all
/// repositories of the account, and this one has no specification, as far as is known; or nothing is built in it.
pub(super) async fn is_silent(on: &mut AnyConnection, repository: &RepositoryId) -> Result<bool> {
    let host = repository
        .as_str()
        .rsplit_once('/')
        .map_or("", |(host, _)| host);
    let silent = sqlx::query(
        "SELECT r.id FROM repositories r JOIN installations i ON i.id = r.installation \
         AND i.host = $2 WHERE r.id = $1 AND (r.specified = 2 \
         OR (r.specified = 0 AND i.selected_by_hand = 0))",
    )
    .bind(repository.as_str())
    .bind(host)
    .fetch_optional(on)
    .await?;
    Ok(silent.is_some())
}

/// Whether the repository's installation was made for repositories selected by hand. One that we never heard of is
/// treated as a choice: people see a word.
pub(super) async fn by_hand(on: &mut AnyConnection, repository: &RepositoryId) -> Result<bool> {
    let host = repository
        .as_str()
        .rsplit_once('/')
        .map_or("", |(host, _)| host);
    let row = sqlx::query(
        "SELECT i.selected_by_hand AS by_hand FROM repositories r \
         JOIN installations i ON i.id = r.installation AND i.host = $2 WHERE r.id = $1",
    )
    .bind(repository.as_str())
    .bind(host)
    .fetch_optional(on)
    .await?;
    let by_hand = row
        .map(|row| row.try_get::<i64, _>("by_hand"))
        .transpose()?;
    Ok(by_hand.is_none_or(|by_hand| by_hand != 0))
}
