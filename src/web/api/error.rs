//! Errors of the API, as JSON.

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::error::Error;
use crate::ports::PortError;

/// An error, as the API answers it.
#[derive(Debug)]
pub(super) enum ApiError {
    /// As for a page.
    Common(Error),
    /// The request cannot be read: status, and why.
    Unreadable(StatusCode, String),
    /// It is refused: status, a word for programs, and why.
    Refused(StatusCode, &'static str, String),
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// A word for programs.
    #[schema(example = "not_found")]
    error: &'static str,
    /// A sentence for people.
    message: String,
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self::Common(error)
    }
}

impl From<PortError> for ApiError {
    fn from(error: PortError) -> Self {
        Self::Common(error.into())
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        Self::Unreadable(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::Unreadable(rejection.status(), rejection.body_text())
    }
}

fn problem(status: StatusCode, error: &'static str, message: String) -> Response {
    (status, Json(Problem { error, message })).into_response()
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let common = match self {
            Self::Unreadable(status, why) => return problem(status, "bad_request", why),
            Self::Refused(status, word, why) => return problem(status, word, why),
            Self::Common(common) => common,
        };
        let (error, message) = match &common {
            Error::NotFound => (
                "not_found",
                "There is no such thing, or the token does not open it.".to_owned(),
            ),
            Error::BadToken => ("bad_token", common.to_string()),
            Error::Forbidden(_) => ("forbidden", common.to_string()),
            Error::Conflict(_) => ("conflict", common.to_string()),
            Error::Bad(_) => ("bad_request", common.to_string()),
            // Logged there, under a number that the answer says.
            _ => return common.into_response(),
        };
        problem(common.status(), error, message)
    }
}

/// An address that is none.
pub(super) async fn nothing() -> Response {
    let message = "There is no such address; see /api/v1/openapi.json.".to_owned();
    problem(StatusCode::NOT_FOUND, "not_found", message)
}
