//! What can go wrong at GitHub, on request.

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It is answered with this status and nothing is done.
    Status(u16),
    /// It is done, and the answer is lost on the way.
    LostAnswer,
    /// The connection breaks and nothing is done.
    Dropped,
    /// It is done, and half of the answer arrives.
    Truncated,
    /// It is done, and something between us and GitHub answers with a page for people.
    NotJson,
    /// It takes a moment.
    Slow,
    /// It is refused for its rate, with so many seconds to wait.
    Throttled(u32),
    /// It is refused for its rate with this status, without a word on how long.
    Limited(u16),
}

impl What {
    /// How long nothing may be asked after it, in milliseconds: `Retry-After`, else at least a minute
    /// ("Rate limits for the REST API" in GitHub's documentation).
    pub(super) fn quiet_ms(self) -> i64 {
        match self {
            Self::Throttled(seconds) => i64::from(seconds) * 1000,
            Self::Limited(_) => 60_000,
            _ => 0,
        }
    }
}

/// A fault for requests to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The method, as in `POST`.
    pub method: String,
    /// A part of the path.
    pub path: String,
    /// How many matching requests pass before it strikes.
    pub after: usize,
    /// How often it strikes.
    pub times: usize,
    /// What happens.
    pub what: What,
}

/// The fault that strikes this request, if one does.
pub(super) fn strike(faults: &mut [Fault], method: &str, path: &str) -> Option<What> {
    let fault = faults
        .iter_mut()
        .find(|fault| fault.times > 0 && fault.method == method && path.contains(&fault.path))?;
    if fault.after > 0 {
        fault.after -= 1;
        return None;
    }
    fault.times -= 1;
    Some(fault.what)
}

/// An answer whose body breaks off at once.
pub(super) fn broken(status: StatusCode) -> Response {
    let broken = futures_util::stream::once(async {
        Err::<Bytes, _>(std::io::Error::other("the connection broke"))
    });
    (status, Body::from_stream(broken)).into_response()
}

/// The first half of an answer.
pub(super) async fn halved(response: Response) -> Response {
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX)
        .await
        .unwrap_or_default();
    (parts.status, bytes.slice(..bytes.len() / 2)).into_response()
}
