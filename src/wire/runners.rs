//! The runner listener: `/runner/v1` and nothing else.
//!
//! A runner of the Swarm connects with `GET /runner/v1/connect`, a token and `Upgrade:
//! herald-runner`; after the answer 101 both sides speak `protocol`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONNECTION, UPGRADE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::TokioIo;

use crate::executor::Gate;

/// The protocol that is asked for.
const PROTOCOL: &str = "herald-runner";

/// The routes for runners.
pub(crate) fn router(gate: Arc<Gate>) -> Router {
    Router::new()
        .route("/runner/v1/connect", get(connect))
        .with_state(gate)
}

async fn connect(State(gate): State<Arc<Gate>>, mut request: Request) -> Response {
    let header = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let Some(token) = header(AUTHORIZATION)
        .and_then(|value| value.strip_prefix("Bearer "))
        .filter(|token| gate.knows(token))
        .map(str::to_owned)
    else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    if header(UPGRADE) != Some(PROTOCOL) {
        return StatusCode::UPGRADE_REQUIRED.into_response();
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(stream) = upgrade.await {
            gate.enter(&token, TokioIo::new(stream)).await;
        }
    });
    let mut answer = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = answer.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
    answer
}
