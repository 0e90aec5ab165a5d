//! Following the log of a job while it is written, as server-sent events ("Server-sent events" in the
//! HTML standard, 9.2).
//!
//! | event | data | meaning |
//! | --- | --- | --- |
//! | `output` | `{"text": "…"}` | whole lines, in order; its id says where they end |
//! | `left_out` | `{"bytes": 1}` | of a long log so much is not kept |
//! | `attempt` | `{"attempt": 2}` | the job begins anew, and so does its log |
//! | `end` | `{"conclusion": "success"}` | nothing follows |
//!
//! Whoever was cut off sends the id of the last event (`Last-Event-ID`, or `?after=`), as browsers do by
//! themselves, and goes on there. What is sent comes from the file that keeps the log, and the next
//! piece is read when the one before it has gone out.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use futures_util::stream::Stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::error::Error;
use super::logs::{key_of, missing};
use super::look::{self, Look};
use super::pages::{job_of, visible_build};
use super::router::Web;
use super::session::Who;
use crate::domain::{BuildId, Conclusion, Permission, Repository};
use crate::ports::LogKey;

/// The most that one event carries, in bytes.
const PIECE: usize = 64 * 1024;
/// At every so many looks the job is looked at too, whether anybody told of it or not.
const JOB_LOOKS: u32 = 10;
const RETRY: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
pub(super) struct Wishes {
    after: Option<String>,
}

/// Where somebody is in the log of a job.
struct Follower {
    web: Web,
    /// Who follows; they may lose access meanwhile.
    who: Who,
    repository: Repository,
    key: LogKey,
    build: BuildId,
    /// How the attempt ended, as far as is known.
    conclusion: Option<Conclusion>,
    /// Tells that something has changed, perhaps this job.
    pulse: watch::Receiver<u64>,
    /// Bytes that were sent.
    offset: u64,
    over: bool,
}

/// `…/log/events`.
pub(super) async fn events(
    State(web): State<Web>,
    who: Who,
    Path((owner, repo, number, job)): Path<(String, String, String, String)>,
    Query(wishes): Query<Wishes>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Error> {
    let view = visible_build(&web, &who, &owner, &repo, &number).await?;
    let job = job_of(&view, &job)?;
    let last = headers.get("last-event-id");
    let last = last.and_then(|last| last.to_str().ok()).map(str::to_owned);
    let last = last.or(wishes.after).and_then(|last| parse_id(&last));
    // An id of an attempt that is past is of no use.
    let offset = last.filter(|(attempt, _)| *attempt == job.attempt);
    let mut pulse = web.app.pulse();
    pulse.mark_changed();
    let follower = Follower {
        key: key_of(&view, job),
        build: view.build.id.clone(),
        conclusion: None,
        pulse,
        offset: offset.map_or(0, |(_, offset)| offset),
        over: false,
        repository: view.repository,
        who,
        web,
    };
    Ok(look::events(follower))
}

/// Attempt and offset, as in `2-4096`.
fn parse_id(id: &str) -> Option<(u32, u64)> {
    let (attempt, offset) = id.split_once('-')?;
    Some((attempt.parse().ok()?, offset.parse().ok()?))
}

impl Look for Follower {
    const WHAT: &'static str = "follow a log";
    const EVERY: Duration = Duration::from_millis(200);
    const QUIET: u32 = 75;

    fn web(&self) -> &Web {
        &self.web
    }

    fn is_over(&self) -> bool {
        self.over
    }

    async fn look(&mut self, quiet: u32) -> Result<Option<Event>, Error> {
        // The job first: what it had written when it ended is then all that there is.
        if let Some(attempt) = self.look_at_job(quiet).await? {
            self.key.attempt = attempt;
            self.offset = 0;
            let data = json!({"attempt": attempt});
            return Ok(Some(self.event("attempt", &data)));
        }
        let logs = &self.web.app.parts.logs;
        let read = logs.read_written(&self.key, self.offset, PIECE).await;
        let slice = match read.map_err(missing) {
            Ok(slice) => slice,
            // It has not begun, or never wrote anything.
            Err(Error::NotFound) => return Ok(self.end()),
            Err(error) => return Err(error),
        };
        if slice.start > self.offset {
            let bytes = slice.start - self.offset;
            self.offset = slice.start;
            return Ok(Some(self.event("left_out", &json!({"bytes": bytes}))));
        }
        let length = slice.bytes.len();
        let last = slice.start + length as u64 >= slice.total;
        // After a short piece that is not the last one something is left out.
        let all = if last {
            self.conclusion.is_some()
        } else {
            length < PIECE
        };
        let length = sendable(&slice.bytes, all);
        if length == 0 {
            return Ok(self.end());
        }
        self.offset += length as u64;
        let bytes = slice.bytes.get(..length).unwrap_or_default();
        let text = String::from_utf8_lossy(bytes);
        Ok(Some(self.event("output", &json!({"text": text}))))
    }
}

impl Follower {
    /// Looks whether the job has ended, where something may have changed. The number of its attempt
    /// when that is another one.
    async fn look_at_job(&mut self, quiet: u32) -> Result<Option<u32>, Error> {
        let told = self.pulse.has_changed().unwrap_or(false);
        // Where several servers have one database, only the one that runs the job is told.
        if !told && !quiet.is_multiple_of(JOB_LOOKS) {
            return Ok(None);
        }
        self.pulse.mark_unchanged();
        let permission = self.web.app.permission(&self.who.visitor, &self.repository);
        if permission.await < Permission::Read {
            return Err(Error::NotFound);
        }
        let store = &self.web.app.parts.store;
        let standing = store.job_standing(&self.build, &self.key.job).await?;
        let (attempt, conclusion) = standing.ok_or(Error::NotFound)?;
        self.conclusion = conclusion;
        Ok((attempt != self.key.attempt).then_some(attempt))
    }

    fn event(&self, name: &str, data: &Value) -> Event {
        Event::default()
            .event(name)
            .id(format!("{}-{}", self.key.attempt, self.offset))
            .retry(RETRY)
            .data(data.to_string())
    }

    /// The last event, when the job has ended.
    fn end(&mut self) -> Option<Event> {
        let conclusion = self.conclusion?;
        self.over = true;
        Some(self.event("end", &json!({"conclusion": conclusion.as_str()})))
    }
}

/// How much of a piece can be sent: up to its last line end; all of it where nothing follows; of a
/// line that is longer than a piece whole characters.
fn sendable(bytes: &[u8], all: bool) -> usize {
    if all {
        return bytes.len();
    }
    if let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') {
        return end + 1;
    }
    if bytes.len() < PIECE {
        return 0;
    }
    // A character of UTF-8 has at most four bytes; where none begins among the last four it is none.
    let begins = |at: &usize| bytes.get(*at).is_some_and(|byte| byte & 0xc0 != 0x80);
    let first = bytes.len().saturating_sub(4);
    (first..bytes.len())
        .rev()
        .find(begins)
        .unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::{PIECE, parse_id, sendable};

    #[test]
    fn whole_lines_and_whole_characters_are_sent() {
        assert_eq!(sendable(b"one\ntwo", false), 4);
        assert_eq!(sendable(b"one\ntwo", true), 7);
        assert_eq!(sendable(b"half a line", false), 0);
        let mut long = vec![b'x'; PIECE - 2];
        long.extend([0xe2, 0x9c]);
        assert_eq!(sendable(&long, false), PIECE - 2);
        assert_eq!(sendable(&vec![0x80; PIECE], false), PIECE);
    }

    #[test]
    fn ids_say_attempt_and_offset() {
        assert_eq!(parse_id("2-4096"), Some((2, 4096)));
        for id in ["", "4096", "2-", "-1", "a-b"] {
            assert_eq!(parse_id(id), None);
        }
    }
}
