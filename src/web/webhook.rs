//! Taking in webhook deliveries.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::sync::Semaphore;

use super::error::Error;
use super::router::Web;
use crate::app::Received;
use crate::ports::Kind;

/// GitHub sends no payload over 25 MB ("Webhook events and payloads").
const BODY_MAX: usize = 25 * 1024 * 1024;

/// How long a body may take: GitHub itself gives up after ten seconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a delivery waits to be read. Whoever is slow may hold up others no longer: GitHub notes a
/// 503 in its list of deliveries, from which it is taken up.
const QUEUE: Duration = Duration::from_secs(2);
/// How many bodies are held at once, so that strangers cannot fill the memory.
static BODIES: Semaphore = Semaphore::const_new(32);

/// Answers 202 once the delivery is durable. The signature is checked over the raw bytes before
/// anything of them is parsed.
pub(super) async fn receive(
    State(web): State<Web>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Error> {
    let Some(verify) = &web.verify else {
        return Err(Error::Unavailable("no GitHub credentials; see /setup"));
    };
    if !web.ready.load(Ordering::Relaxed) {
        return Err(Error::Unavailable("shutting down"));
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let announced = text(CONTENT_LENGTH.as_str()).and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > BODY_MAX) {
        return Err(Error::TooLarge);
    }
    // Without a signature there is nothing to read.
    let signature = text("X-Hub-Signature-256")
        .filter(|text| text.len() == 71 && text.starts_with("sha256="))
        .ok_or(Error::Unsigned)?;
    let Ok(Ok(_permit)) = tokio::time::timeout(QUEUE, BODIES.acquire()).await else {
        return Err(Error::Unavailable("too many deliveries at once"));
    };
    let reading = tokio::time::timeout(PATIENCE, Limited::new(body, BODY_MAX).collect());
    let Ok(read) = reading.await else {
        return Err(Error::Bad("the body came too slowly".to_owned()));
    };
    let bytes = match read {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(Error::TooLarge),
        Err(_) => return Err(Error::Bad("the body ended early".to_owned())),
    };
    if !verify(&bytes, signature) {
        return Err(Error::Unsigned);
    }
    let guid = text("X-GitHub-Delivery")
        .filter(|guid| !guid.is_empty() && guid.len() <= 100)
        .ok_or_else(|| Error::Bad("the header X-GitHub-Delivery is missing".to_owned()))?;
    let event = text("X-GitHub-Event")
        .filter(|event| !event.is_empty() && event.len() <= 100)
        .ok_or_else(|| Error::Bad("the header X-GitHub-Event is missing".to_owned()))?;
    let (guid, event) = (guid.to_owned(), event.to_owned());
    let unreadable = || {
        let way_out = "set the webhook's content type to application/json";
        Error::Bad(format!("the body is no JSON object; {way_out}"))
    };
    let body = String::from_utf8(bytes.into()).map_err(|_| unreadable())?;
    let received = Received { guid, event, body };
    match web.app.receive(received).await {
        Ok(_) => Ok(StatusCode::ACCEPTED),
        Err(error) if error.kind == Kind::Refused => Err(unreadable()),
        Err(error) => {
            tracing::error!("failed to keep a delivery: {error}");
            Err(Error::Unavailable("the delivery could not be kept"))
        }
    }
}
