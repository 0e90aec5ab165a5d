//! Liveness, readiness, numbers.

use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::error::Error;
use super::router::Web;

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

/// What waits, in the text format of Prometheus.
pub(super) async fn metrics(State(web): State<Web>) -> Result<Response, Error> {
    let waiting = web.app.parts.store.waiting(web.app.now_ms()).await?;
    let mut text = String::new();
    for (name, help, value) in [
        (
            "herald_deliveries_waiting",
            "Webhook deliveries that wait to be handled.",
            waiting.deliveries,
        ),
        (
            "herald_triggers_waiting",
            "Triggers that wait to be prepared.",
            waiting.triggers,
        ),
        (
            "herald_jobs_queued",
            "Jobs that wait for room.",
            waiting.jobs,
        ),
        ("herald_jobs_running", "Jobs that run.", waiting.running),
        (
            "herald_publications_waiting",
            "Things that GitHub is not told yet.",
            waiting.publications,
        ),
    ] {
        text.push_str(&format!(
            "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n"
        ));
    }
    let content_type = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((content_type, text).into_response())
}
