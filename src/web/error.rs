//! What goes wrong in a request, and its status.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use tracing::error;

use crate::ports::PortError;

/// An error of a request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such thing, or it is not for whoever asks.
    #[error("not found")]
    NotFound,
    /// The request is wrong.
    #[error("{0}")]
    Bad(String),
    /// The signature is missing or wrong.
    #[error("the signature is missing or wrong")]
    Unsigned,
    /// The body is too large.
    #[error("the body is larger than 25 MiB")]
    TooLarge,
    /// Not now.
    #[error("{0}")]
    Unavailable(&'static str),
    /// Our own trouble; the words are for the log.
    #[error("{0}")]
    Internal(String),
}

impl From<PortError> for Error {
    fn from(error: PortError) -> Self {
        Self::Internal(error.message)
    }
}

impl From<askama::Error> for Error {
    fn from(error: askama::Error) -> Self {
        Self::Internal(format!("render a page: {error}"))
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::Unsigned => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        match self {
            Self::NotFound => (
                status,
                Html(include_str!("../../templates/pages/not_found.html")),
            )
                .into_response(),
            Self::Internal(text) => {
                let id = uuid::Uuid::now_v7().simple().to_string();
                error!(request.id = id, "failed to {text}");
                let text = format!("Herald failed. The server's log says more under {id}.\n");
                (status, text).into_response()
            }
            other => (status, format!("{other}\n")).into_response(),
        }
    }
}
