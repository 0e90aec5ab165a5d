//! Liveness, readiness, numbers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::Error;
use super::router::Web;
use crate::app::{METRICS_TYPE, Meters};

pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// Ready: credentials are there, the database answers and can be written to, and new work is taken.
pub(super) async fn ready(State(web): State<Web>) -> Result<&'static str, Error> {
    if web.verify.is_none() {
        return Err(Error::Unavailable("no GitHub credentials"));
    }
    if !web.ready.load(Ordering::Relaxed) {
        return Err(Error::Unavailable("shutting down"));
    }
    let store = &web.app.parts.store;
    store
        .waiting(web.app.now_ms())
        .await
        .map_err(|_| Error::Unavailable("the database does not answer"))?;
    store
        .takes_work()
        .await
        .map_err(|_| Error::Unavailable("nothing can be written to the database"))?;
    Ok("ok\n")
}

/// What is measured and what waits, for Prometheus.
pub(super) async fn metrics(State(web): State<Web>) -> Result<Response, Error> {
    let parts = &web.app.parts;
    let waiting = parts.store.waiting(web.app.now_ms()).await?;
    let text = parts.meters.text(&waiting);
    let text = text.map_err(|_| Error::Unavailable("the figures cannot be written down"))?;
    Ok(([(CONTENT_TYPE, METRICS_TYPE)], text).into_response())
}

/// Measures a request by its route.
pub(super) async fn measure(
    State(meters): State<Arc<Meters>>,
    route: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let (method, begun) = (request.method().clone(), Instant::now());
    let response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let status = response.status().as_u16();
    meters.answered(method.as_str(), route, status, begun.elapsed());
    response
}
