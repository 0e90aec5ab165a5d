//! Rerun, cancel, approve. Cookies are not enough: a form of another site could send them along.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::error::Error;
use super::super::pages::visible_build;
use super::super::router::Web;
use super::super::session::Who;
use super::error::{ApiError, Problem};
use crate::app::{Errand, Part, Run, Visitor};

type Address = Path<(String, String, String)>;
type Done = Result<(StatusCode, Json<Accepted>), ApiError>;

/// What of a build runs again.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RerunRequest {
    /// This job only.
    #[serde(default)]
    job: Option<String>,
    /// Only the jobs that failed.
    #[serde(default)]
    failed: bool,
}

/// What somebody has looked at.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApproveRequest {
    /// The whole id of the build's commit.
    commit: String,
    /// The job that may deploy; without it all of the build that waits.
    #[serde(default)]
    job: Option<String>,
}

/// It is being done.
#[derive(Serialize, ToSchema)]
pub(super) struct Accepted {
    #[schema(example = "accepted")]
    status: &'static str,
}

/// Runs a build that has ended again: all of it, the failed jobs, or one job.
#[utoipa::path(post, path = "/repos/{owner}/{repo}/builds/{number}/rerun", tag = "errands",
    params(("owner" = String, Path), ("repo" = String, Path), ("number" = i64, Path)),
    request_body = Option<RerunRequest>, security(("token" = [])),
    responses((status = 202, body = Accepted), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn rerun(
    State(web): State<Web>,
    who: Who,
    address: Address,
    wishes: Result<Option<Json<RerunRequest>>, JsonRejection>,
) -> Done {
    let wishes = wishes?.map(|Json(wishes)| wishes).unwrap_or_default();
    let part = match (wishes.job, wishes.failed) {
        (Some(job), _) => Part::Job(job),
        (None, true) => Part::Failed,
        (None, false) => Part::All,
    };
    carry_out(&web, &who, address, |_| Ok(Errand::Rerun(part))).await
}

/// Ends a build that runs or waits.
#[utoipa::path(post, path = "/repos/{owner}/{repo}/builds/{number}/cancel", tag = "errands",
    params(("owner" = String, Path), ("repo" = String, Path), ("number" = i64, Path)),
    security(("token" = [])),
    responses((status = 202, body = Accepted), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn cancel(State(web): State<Web>, who: Who, address: Address) -> Done {
    carry_out(&web, &who, address, |_| Ok(Errand::Cancel)).await
}

/// Lets a stranger's code begin, or a deployment, by a token of a person with write permission who has looked at it.
#[utoipa::path(post, path = "/repos/{owner}/{repo}/builds/{number}/approve", tag = "errands",
    params(("owner" = String, Path), ("repo" = String, Path), ("number" = i64, Path)),
    request_body = ApproveRequest, security(("token" = [])),
    responses((status = 202, body = Accepted), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn approve(
    State(web): State<Web>,
    who: Who,
    address: Address,
    wishes: Result<Json<ApproveRequest>, JsonRejection>,
) -> Done {
    let Json(wishes) = wishes?;
    carry_out(&web, &who, address, |commit| {
        if commit == wishes.commit {
            Ok(Errand::Approve(wishes.job))
        } else {
            Err(Error::Conflict(
                "The build is of another commit; look at that one first.",
            ))
        }
    })
    .await
}

async fn carry_out(
    web: &Web,
    who: &Who,
    Path((owner, name, number)): Address,
    errand: impl FnOnce(&str) -> Result<Errand, Error>,
) -> Done {
    let view = visible_build(web, who, &owner, &name, &number).await?;
    if !matches!(who.visitor, Visitor::Token(_)) {
        return Err(Error::Forbidden("This needs a token.".to_owned()).into());
    }
    let errand = errand(view.build.commit.as_str())?;
    match web.app.run_errand(&who.visitor, &view, errand).await? {
        Run::Done => {
            let accepted = Accepted { status: "accepted" };
            Ok((StatusCode::ACCEPTED, Json(accepted)))
        }
        Run::Forbidden => Err(Error::Forbidden(
            "The token does not allow this; it needs the scope `write`, and write permission in the \
             repository."
                .to_owned(),
        )
        .into()),
        Run::Useless(why) => Err(Error::Conflict(why).into()),
    }
}
