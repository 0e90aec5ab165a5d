//! Who asks, and repositories.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Json;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::error::Error;
use super::super::pages::{Own, own_repositories, visible};
use super::super::router::Web;
use super::super::session::Who;
use super::error::{ApiError, Problem};
use super::model::{RepositoriesAnswer, RepositoryAnswer, ViewerAnswer};
use crate::app::Visitor;
use crate::domain::Holder;

/// The most that a page has.
pub(super) const MOST: usize = 100;

pub(super) type Answer<T> = Result<Json<T>, ApiError>;

/// Which page of a list.
#[derive(Deserialize, IntoParams)]
pub(super) struct Page {
    /// `next` of the page before.
    after: Option<String>,
    /// At most 100, which it is without it.
    limit: Option<usize>,
}

/// How many a page has, of those that somebody wants.
pub(super) fn limit(wanted: Option<usize>) -> usize {
    wanted.unwrap_or(MOST).clamp(1, MOST)
}

/// Who asks: whether a token is good, and for what.
#[utoipa::path(get, path = "/viewer", tag = "viewer",
    responses((status = 200, body = ViewerAnswer), (status = 401, body = Problem)))]
pub(super) async fn viewer(who: Who) -> Answer<ViewerAnswer> {
    if who.bad_token {
        return Err(Error::BadToken.into());
    }
    let mut answer = ViewerAnswer {
        kind: "stranger",
        person: None,
        repository: None,
        scope: None,
    };
    if let Visitor::Token(token) = &who.visitor {
        answer.scope = Some(token.scope.as_str());
        if let Holder::Repository(repository) = &token.holder {
            answer.kind = "repository";
            answer.repository = Some(repository.number());
        }
    }
    if let Some(person) = who.visitor.person() {
        answer.kind = "person";
        answer.person = Some(person.0);
    }
    Ok(Json(answer))
}

/// Repositories that whoever asks may see.
#[utoipa::path(get, path = "/repos", params(Page), tag = "repositories",
    responses((status = 200, body = RepositoriesAnswer), (status = 401, body = Problem)))]
pub(super) async fn list(
    State(web): State<Web>,
    who: Who,
    asked: Result<Query<Page>, QueryRejection>,
) -> Answer<RepositoriesAnswer> {
    let Query(asked) = asked?;
    if who.bad_token {
        return Err(Error::BadToken.into());
    }
    let limit = limit(asked.limit);
    let after = asked.after.unwrap_or_default();
    let Own {
        repositories: mut found,
        up_to,
    } = own_repositories(&web, &who, &after).await?;
    let store = &web.app.parts.store;
    let count = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    found.extend(store.public_repositories_after(&after, count).await?);
    found.sort_by(|one, other| one.id.cmp(&other.id));
    found.dedup_by(|one, other| one.id == other.id);
    // What comes after those that were looked at belongs to another page.
    found.retain(|repository| up_to.as_ref().is_none_or(|last| repository.id <= *last));
    let more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().map(|repository| &repository.id);
    let last = last.filter(|_| more).or(up_to.as_ref());
    let next = last.map(ToString::to_string);
    let root = &web.app.settings.links.public_url;
    Ok(Json(RepositoriesAnswer {
        repositories: found
            .iter()
            .map(|repository| RepositoryAnswer::new(repository, root))
            .collect(),
        next,
    }))
}

/// A repository.
#[utoipa::path(get, path = "/repos/{owner}/{repo}", tag = "repositories",
    params(("owner" = String, Path), ("repo" = String, Path)),
    responses((status = 200, body = RepositoryAnswer), (status = 401, body = Problem),
        (status = 404, body = Problem)))]
pub(super) async fn one(
    State(web): State<Web>,
    who: Who,
    Path((owner, name)): Path<(String, String)>,
) -> Answer<RepositoryAnswer> {
    let repository = visible(&web, &who, &owner, &name).await?;
    let root = &web.app.settings.links.public_url;
    Ok(Json(RepositoryAnswer::new(&repository, root)))
}
