//! Tokens of the API and of badges. Their texts are not kept, but for those of badges, sealed.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::database::StoreError;
use super::rows::Result;
use super::seal::SealKey;
use crate::domain::{Holder, PersonId, RepositoryId, Scope, Secret, Token};

pub(super) async fn keep(
    on: &mut AnyConnection,
    token: &Token,
    hash: &str,
    sealed: Option<&str>,
) -> Result<()> {
    let (person, repository) = match &token.holder {
        Holder::Person(person) => (Some(person.0), None),
        Holder::Repository(repository) => (None, Some(repository.as_str())),
    };
    sqlx::query(
        "INSERT INTO tokens (id, hash, person, repository, scope, name, sealed, created_ms, ends_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(&token.id)
    .bind(hash)
    .bind(person)
    .bind(repository)
    .bind(token.scope.as_str())
    .bind(&token.name)
    .bind(sealed)
    .bind(token.created_ms)
    .bind(token.ends_ms)
    .execute(on)
    .await?;
    Ok(())
}

pub(super) async fn by_hash(on: &mut AnyConnection, hash: &str) -> Result<Option<Token>> {
    let row = sqlx::query("SELECT * FROM tokens WHERE hash = $1")
        .bind(hash)
        .fetch_optional(on)
        .await?;
    row.as_ref().map(read).transpose()
}

pub(super) async fn list(on: &mut AnyConnection) -> Result<Vec<Token>> {
    sqlx::query("SELECT * FROM tokens ORDER BY created_ms, id")
        .fetch_all(on)
        .await?
        .iter()
        .map(read)
        .collect()
}

pub(super) async fn remove(on: &mut AnyConnection, id: &str) -> Result<bool> {
    let done = sqlx::query("DELETE FROM tokens WHERE id = $1")
        .bind(id)
        .execute(on)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Makes a token the only one for the badges of its repository.
pub(super) async fn replace_badge_token(
    on: &mut AnyConnection,
    key: &SealKey,
    repository: &RepositoryId,
    token: &Token,
    text: &Secret,
    hash: &str,
) -> Result<()> {
    sqlx::query("DELETE FROM tokens WHERE repository = $1 AND scope = 'badges'")
        .bind(repository.as_str())
        .execute(&mut *on)
        .await?;
    let sealed = key.seal(repository.as_str(), &token.id, text)?;
    keep(on, token, hash, Some(&sealed)).await
}

/// The text of the token for the badges of a repository.
pub(super) async fn badge_token(
    on: &mut AnyConnection,
    key: &SealKey,
    repository: &RepositoryId,
) -> Result<Option<Secret>> {
    let row = sqlx::query(
        "SELECT id, sealed FROM tokens WHERE repository = $1 AND scope = 'badges' \
         AND sealed IS NOT NULL",
    )
    .bind(repository.as_str())
    .fetch_optional(on)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let (id, sealed): (String, String) = (row.try_get("id")?, row.try_get("sealed")?);
    key.open(repository.as_str(), &id, &sealed).map(Some)
}

fn read(row: &AnyRow) -> Result<Token> {
    let person: Option<i64> = row.try_get("person")?;
    let repository: Option<String> = row.try_get("repository")?;
    let holder = match (person, repository) {
        (Some(person), _) => Holder::Person(PersonId(person)),
        (None, Some(repository)) => Holder::Repository(RepositoryId::from_stored(repository)),
        (None, None) => return Err(StoreError::Stored("a token of nobody".to_owned())),
    };
    let scope: String = row.try_get("scope")?;
    let scope =
        Scope::parse(&scope).ok_or_else(|| StoreError::Stored(format!("a token for `{scope}`")))?;
    Ok(Token {
        id: row.try_get("id")?,
        holder,
        scope,
        name: row.try_get("name")?,
        created_ms: row.try_get("created_ms")?,
        ends_ms: row.try_get("ends_ms")?,
    })
}
