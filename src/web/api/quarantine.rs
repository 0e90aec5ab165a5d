//! Tests whose failures do not count for a while.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::error::Error;
use super::super::pages::visible;
use super::super::quarantine::{for_days, known};
use super::super::router::Web;
use super::super::session::Who;
use super::error::{ApiError, Problem};
use super::model::time;
use super::repositories::Answer;
use crate::app::{Run, Visitor};
use crate::domain::quarantine::Quarantined;
use crate::domain::{Quarantining, Repository};

/// The tests that people put away, those first that come back first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QuarantineAnswer {
    tests: Vec<QuarantinedAnswer>,
}

/// A test that somebody put away.
#[derive(Debug, Serialize, ToSchema)]
struct QuarantinedAnswer {
    id: String,
    /// Class and name.
    name: String,
    until: Option<DateTime<Utc>>,
    /// Why, as they wrote it.
    reason: String,
}

impl QuarantinedAnswer {
    fn new(one: Quarantined) -> Self {
        Self {
            id: one.test,
            name: one.name,
            until: time(one.until_ms),
            reason: one.reason,
        }
    }
}

/// For how long, and why.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct QuarantineRequest {
    /// 1 to 90; 14 without it.
    #[serde(default)]
    days: Option<u16>,
    #[serde(default)]
    reason: String,
}

/// The tests whose failures do not count because people said so. Those of the file in the repository are not among them.
#[utoipa::path(get, path = "/repos/{owner}/{repo}/quarantine", tag = "tests",
    params(("owner" = String, Path), ("repo" = String, Path)),
    responses((status = 200, body = QuarantineAnswer), (status = 401, body = Problem),
        (status = 404, body = Problem)))]
pub(super) async fn list(
    State(web): State<Web>,
    who: Who,
    Path((owner, name)): Path<(String, String)>,
) -> Answer<QuarantineAnswer> {
    let repository = visible(&web, &who, &owner, &name).await?;
    let (store, now_ms) = (&web.app.parts.store, web.app.now_ms());
    let all = store.quarantined(&repository.id, now_ms).await?;
    let tests = all.into_iter().map(QuarantinedAnswer::new).collect();
    Ok(Json(QuarantineAnswer { tests }))
}

/// Has the failures of a test not count for some days.
#[utoipa::path(put, path = "/repos/{owner}/{repo}/quarantine/{id}", tag = "tests",
    params(("owner" = String, Path), ("repo" = String, Path), ("id" = String, Path)),
    request_body = Option<QuarantineRequest>, security(("token" = [])),
    responses((status = 204), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn put(
    State(web): State<Web>,
    who: Who,
    Path((owner, name, id)): Path<(String, String, String)>,
    wishes: Result<Option<Json<QuarantineRequest>>, JsonRejection>,
) -> Result<StatusCode, ApiError> {
    let wishes = wishes?.map(|Json(wishes)| wishes).unwrap_or_default();
    let repository = visible(&web, &who, &owner, &name).await?;
    let test = known(&web, &repository, &id).await?;
    let what = for_days(test, wishes.days, &wishes.reason, web.app.now_ms())?;
    carry_out(&web, &who, &repository, what).await
}

/// Lets the failures of a test count again.
#[utoipa::path(delete, path = "/repos/{owner}/{repo}/quarantine/{id}", tag = "tests",
    params(("owner" = String, Path), ("repo" = String, Path), ("id" = String, Path)),
    security(("token" = [])),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem)))]
pub(super) async fn delete(
    State(web): State<Web>,
    who: Who,
    Path((owner, name, id)): Path<(String, String, String)>,
) -> Result<StatusCode, ApiError> {
    let repository = visible(&web, &who, &owner, &name).await?;
    carry_out(&web, &who, &repository, Quarantining::TakenBack(id)).await
}

async fn carry_out(
    web: &Web,
    who: &Who,
    repository: &Repository,
    what: Quarantining,
) -> Result<StatusCode, ApiError> {
    if !matches!(who.visitor, Visitor::Token(_)) {
        return Err(Error::Forbidden("This needs a token.".to_owned()).into());
    }
    match web.app.quarantine(&who.visitor, repository, what).await? {
        Run::Forbidden => Err(Error::Forbidden(
            "The token does not allow this; it needs the scope `write`, and write permission in the repository."
                .to_owned(),
        )
        .into()),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}
