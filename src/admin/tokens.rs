//! Tokens of the API.

use super::request::{Answer, ListedToken, deed, find, wrong};
use crate::domain::token::PREFIX;
use crate::domain::{Deed, Holder, PersonId, Repository, Scope, Secret, Token, token_hash};
use crate::ports::error::Result;
use crate::ports::{PortError, Store};
use crate::store::chance;

/// A token to be made.
pub(super) struct Wanted {
    pub(super) person: Option<i64>,
    pub(super) repository: Option<String>,
    pub(super) scope: String,
    pub(super) name: String,
    pub(super) days: Option<u32>,
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

pub(super) async fn create(store: &dyn Store, wanted: Wanted, now_ms: i64) -> Result<Answer> {
    let holder = match (wanted.person, &wanted.repository) {
        (Some(person), None) if person > 0 => Holder::Person(PersonId(person)),
        (None, Some(name)) => match find(store, name).await? {
            Ok(repository) => Holder::Repository(repository.id),
            Err(answer) => return Ok(answer),
        },
        _ => {
            return Ok(wrong(
                &"a token belongs to a person or to a repository: --person ID (the number that \
                  https://api.github.com/users/LOGIN says) or --repository OWNER/REPO",
            ));
        }
    };
    let Some(scope) = Scope::parse(&wanted.scope) else {
        return Ok(wrong(&format!(
            "`{}` is no scope; there are badges, read, upload and write",
            wanted.scope
        )));
    };
    if scope == Scope::Badges && matches!(holder, Holder::Person(_)) {
        return Ok(wrong(&"a token for badges belongs to a repository"));
    }
    let text = chance().map_err(|error| PortError::transient(format!("make a token: {error}")))?;
    let text = Secret::new(format!("{PREFIX}{text}"));
    let token = Token {
        id: uuid::Uuid::now_v7().simple().to_string(),
        holder,
        scope,
        name: wanted.name,
        created_ms: now_ms,
        ends_ms: wanted.days.map(|days| now_ms + i64::from(days) * DAY_MS),
    };
    store.keep_token(&token, &token_hash(&text)).await?;
    let repository = match &token.holder {
        Holder::Repository(id) => Some(id.clone()),
        Holder::Person(_) => None,
    };
    let made = Deed::of_operator("token create", repository, token.id.clone());
    store.note(&made, now_ms).await?;
    Ok(Answer::Token {
        token: text.expose().to_owned(),
    })
}

pub(super) async fn list(store: &dyn Store) -> Result<Answer> {
    let mut tokens = Vec::new();
    for token in store.tokens().await? {
        let holder = match &token.holder {
            Holder::Person(person) => format!("person {}", person.0),
            Holder::Repository(id) => {
                let found = store.repositories(std::slice::from_ref(id)).await?;
                found
                    .first()
                    .map_or_else(|| id.to_string(), Repository::full_name)
            }
        };
        tokens.push(ListedToken {
            id: token.id,
            holder,
            scope: token.scope.as_str().to_owned(),
            name: token.name,
            created_ms: token.created_ms,
            ends_ms: token.ends_ms,
        });
    }
    Ok(Answer::Tokens { tokens })
}

pub(super) async fn revoke(store: &dyn Store, id: &str, now_ms: i64) -> Result<Answer> {
    if store.remove_token(id).await? {
        let deed = deed("token revoke", None, id);
        store.note(&deed, now_ms).await?;
        Ok(Answer::Done)
    } else {
        Ok(wrong(&format!(
            "there is no token {id}; `herald admin token list` says which there are"
        )))
    }
}
