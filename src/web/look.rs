//! Streams of server-sent events about something that is looked at again and again.

use std::convert::Infallible;
use std::future::Future;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::response::sse::{Event, Sse};
use futures_util::stream::{self, Stream};

use super::error::Error;
use super::router::Web;

/// Something that is looked at until it is over.
pub(super) trait Look: Send + 'static {
    /// What is done, in words that read after "failed to …".
    const WHAT: &'static str;
    /// How long it is waited after a look without news.
    const EVERY: Duration;
    /// After so many looks without news a comment is sent, so that nobody on the way takes the
    /// connection for dead.
    const QUIET: u32;

    /// The server, which ends all streams when it ends.
    fn web(&self) -> &Web;
    /// Whether nothing follows.
    fn is_over(&self) -> bool;
    /// What is new, if anything is, after so many looks without news. `NotFound`: it is not there any
    /// more, or not for whoever looks.
    fn look(&mut self, quiet: u32) -> impl Future<Output = Result<Option<Event>, Error>> + Send;
}

/// All that is new, one after another. It ends after the last one, and when the server ends or fails:
/// then whoever looks comes again.
pub(super) fn events<L: Look>(look: L) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(stream::unfold(
        (look, 0),
        |(mut look, mut quiet)| async move {
            let event = next(&mut look, &mut quiet).await?;
            Some((Ok(event), (look, quiet)))
        },
    ))
}

async fn next<L: Look>(look: &mut L, quiet: &mut u32) -> Option<Event> {
    while !look.is_over() && look.web().ready.load(Ordering::Relaxed) {
        match look.look(*quiet).await {
            Ok(Some(event)) => {
                *quiet = 0;
                return Some(event);
            }
            Ok(None) => {}
            Err(Error::NotFound) => return None,
            Err(error) => {
                tracing::warn!("failed to {}: {error}", L::WHAT);
                return None;
            }
        }
        *quiet += 1;
        if quiet.is_multiple_of(L::QUIET) {
            return Some(Event::default().comment("still here"));
        }
        tokio::time::sleep(L::EVERY).await;
    }
    None
}
