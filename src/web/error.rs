//! What goes wrong in a request, and its status.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use tracing::error;

use super::session::Viewer;
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
    /// Somebody could not sign in, and why.
    #[error("{0}")]
    SignIn(String),
    /// A token is none, or not any more.
    #[error("the token is unknown, was revoked, or has ended")]
    BadToken,
    /// They may not, and who may.
    #[error("{0}")]
    Forbidden(String),
    /// It is in no state for that.
    #[error("{0}")]
    Conflict(&'static str),
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

/// A page that says one thing.
#[derive(Template)]
#[template(path = "pages/said.html")]
struct Said<'a> {
    viewer: Viewer,
    title: &'a str,
    text: &'a str,
}

fn said(status: StatusCode, title: &str, text: &str) -> Response {
    let page = Said {
        viewer: Viewer::default(),
        title,
        text,
    };
    match page.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(_) => (status, format!("{text}\n")).into_response(),
    }
}

impl Error {
    /// The status that says it.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Bad(_) | Self::SignIn(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Unsigned | Self::BadToken => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status();
        match self {
            Self::NotFound => (
                status,
                Html(include_str!("../../templates/pages/not_found.html")),
            )
                .into_response(),
            Self::SignIn(text) => said(status, "Sign in", &text),
            Self::Forbidden(text) => said(status, "You cannot do this", &text),
            Self::Conflict(text) => said(status, "Nothing was done", text),
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
