//! Finding lines in a whole log: a text, or what went wrong.
//!
//! `…/log/search?q=text` and `…/log/errors` answer
//! `{"attempt", "count", "complete", "matches": [{"step", "line", "text"}, …], "next"}`: how many lines there
//! are, and the first of them (`limit`, 1,000 if nothing is said). With `case` in the query upper and lower
//! case differ; without, the letters A to Z are as a to z. A text is looked for as it is shown, without colours.
//!
//! An answer takes bounded time: where `complete` is false, not all of the log was searched. `next` is what to
//! ask for as `after` to go on.

use std::time::Duration;

use aho_corasick::AhoCorasick;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::error::Error;
use super::lines::counts;
use super::logs::{key_of, missing};
use super::pages::{job_of, visible_build};
use super::router::Web;
use super::session::Who;
use crate::ports::LineSlice;
use crate::text::{ansi, shorten, trouble};

/// Bytes that are searched at once.
const PIECE: usize = 1024 * 1024;
/// How long one answer may search.
const TIME: Duration = Duration::from_secs(10);
/// Matches that are told where nothing is said.
const FEW: usize = 1_000;
/// The most matches that are told.
const MANY: usize = 10_000;
/// Characters of a line that are told.
const EXCERPT: usize = 200;
/// The longest text that is looked for, in bytes.
const TEXT: usize = 500;
/// How many searches run at once in this process: each takes a processor.
static ROOM: Semaphore = Semaphore::const_new(2);

#[derive(Deserialize)]
pub(super) struct Wishes {
    q: Option<String>,
    case: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

/// A line that was found.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Match {
    step: u32,
    line: u64,
    text: String,
}

#[derive(Serialize)]
struct Answer {
    attempt: u32,
    count: u64,
    complete: bool,
    matches: Vec<Match>,
    next: Option<String>,
}

/// What is looked for.
#[derive(Clone)]
enum Wanted {
    Text(AhoCorasick),
    /// By what lines in trouble have in them.
    Trouble(AhoCorasick),
}

/// `…/log/search`.
pub(super) async fn text(
    State(web): State<Web>,
    who: Who,
    Path(path): Path<(String, String, String, String)>,
    Query(wishes): Query<Wishes>,
) -> Result<Response, Error> {
    let text = wishes.q.as_deref().unwrap_or_default();
    if text.is_empty() || text.len() > TEXT {
        let text = format!("q: say what to look for, in 1 to {TEXT} bytes");
        return Err(Error::Bad(text));
    }
    let wanted = Wanted::Text(finder([text], wishes.case.is_none())?);
    search(&web, &who, path, &wishes, wanted).await
}

/// `…/log/errors`.
pub(super) async fn errors(
    State(web): State<Web>,
    who: Who,
    Path(path): Path<(String, String, String, String)>,
    Query(wishes): Query<Wishes>,
) -> Result<Response, Error> {
    let hints = trouble::HINTS.into_iter().chain(trouble::SIGNS);
    let wanted = Wanted::Trouble(finder(hints, true)?);
    search(&web, &who, path, &wishes, wanted).await
}

fn finder<'a>(
    texts: impl IntoIterator<Item = &'a str>,
    ignore_case: bool,
) -> Result<AhoCorasick, Error> {
    AhoCorasick::builder()
        .ascii_case_insensitive(ignore_case)
        .build(texts)
        .map_err(|error| Error::Internal(format!("search a log: {error}")))
}

async fn search(
    web: &Web,
    who: &Who,
    (owner, repo, number, job): (String, String, String, String),
    wishes: &Wishes,
    wanted: Wanted,
) -> Result<Response, Error> {
    let view = visible_build(web, who, &owner, &repo, &number).await?;
    let key = key_of(&view, job_of(&view, &job)?);
    let after = match wishes.after.as_deref() {
        None => None,
        Some(after) => Some(place(after).ok_or_else(|| {
            Error::Bad(format!("after: `{after}` is no step and line, as in 0:120"))
        })?),
    };
    let limit = wishes.limit.unwrap_or(FEW).min(MANY);
    let logs = &web.app.parts.logs;
    let mut steps = counts(logs.as_ref(), &key).await?;
    // What Herald itself has to say comes first, as on the page.
    steps.sort_by_key(|step| rank(step.step));
    if let Some((step, _)) = after {
        steps.retain(|other| rank(other.step) >= rank(step));
    }
    let _room = ROOM
        .acquire()
        .await
        .map_err(|error| Error::Internal(format!("search a log: {error}")))?;
    let deadline = Instant::now() + TIME;
    let mut answer = Answer {
        attempt: key.attempt,
        count: 0,
        complete: true,
        matches: Vec::new(),
        next: None,
    };
    for step in steps.iter().map(|step| step.step) {
        let passed = after.filter(|(of, _)| *of == step);
        let mut from = passed.map_or(1, |(_, line)| line.saturating_add(1));
        loop {
            if Instant::now() > deadline {
                answer.complete = false;
                let reached = format!("{step}:{}", from - 1);
                answer.next = answer.next.or(Some(reached));
                return Ok(told(answer));
            }
            let read = logs.read_lines(&key, step, from, PIECE).await;
            let slice = read.map_err(missing)?;
            if slice.bytes.is_empty() {
                break;
            }
            let wanted = wanted.clone();
            let room = limit.saturating_sub(answer.matches.len());
            let task = move || (wanted.find(&slice, step, room), slice);
            let ((count, found), slice) = tokio::task::spawn_blocking(task)
                .await
                .map_err(|error| Error::Internal(format!("search a log: {error}")))?;
            answer.count += count;
            let more = (found.len() as u64) < count;
            answer.matches.extend(found);
            if more && answer.next.is_none() {
                let last = answer.matches.last();
                answer.next = last.map(|last| format!("{}:{}", last.step, last.line));
            }
            let ends = memchr::memchr_iter(b'\n', &slice.bytes).count() as u64;
            let unfinished = u64::from(!slice.bytes.ends_with(b"\n"));
            from = slice.first + ends + unfinished;
        }
    }
    Ok(told(answer))
}

fn told(answer: Answer) -> Response {
    ([(CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}

/// Where a step stands among the others.
fn rank(step: u32) -> u32 {
    step.wrapping_add(1)
}

/// Step and line, as in `0:120`.
fn place(after: &str) -> Option<(u32, u64)> {
    let (step, line) = after.split_once(':')?;
    Some((step.parse().ok()?, line.parse().ok()?))
}

impl Wanted {
    /// How many lines of a slice it is in, and the first of them.
    fn find(&self, slice: &LineSlice, step: u32, most: usize) -> (u64, Vec<Match>) {
        let raw = String::from_utf8_lossy(&slice.bytes);
        let (finder, text) = match self {
            // Without colours lines are still lines.
            Self::Text(finder) => (finder, ansi::strip(&raw)),
            Self::Trouble(finder) => (finder, raw.as_ref().into()),
        };
        let (mut count, mut found) = (0, Vec::new());
        let (mut line, mut counted, mut passed) = (slice.first, 0, 0);
        for hit in finder.find_iter(text.as_ref()) {
            if hit.start() < passed {
                continue;
            }
            let bytes = text.as_bytes();
            let (before, rest) = bytes.split_at(hit.start());
            let begin = memchr::memrchr(b'\n', before).map_or(0, |end| end + 1);
            let end = memchr::memchr(b'\n', rest).map_or(bytes.len(), |end| hit.start() + end);
            let between = bytes.get(counted..begin).unwrap_or_default();
            line += memchr::memchr_iter(b'\n', between).count() as u64;
            counted = begin;
            passed = end;
            let words = text.get(begin..end).unwrap_or_default();
            if matches!(self, Self::Trouble(_)) && !trouble::is_trouble(words) {
                continue;
            }
            count += 1;
            if found.len() < most {
                let plain = ansi::strip(words);
                found.push(Match {
                    step,
                    line,
                    text: shorten::chars(plain.trim(), EXCERPT).into_owned(),
                });
            }
        }
        (count, found)
    }
}

#[cfg(test)]
mod tests {
    use super::{Wanted, finder, place};
    use crate::ports::LineSlice;
    use crate::text::trouble;

    fn found(wanted: &Wanted, text: &str) -> Vec<(u64, String)> {
        let slice = LineSlice {
            first: 10,
            bytes: text.as_bytes().to_vec(),
            ..LineSlice::default()
        };
        let (count, found) = wanted.find(&slice, 0, 100);
        assert_eq!(count, found.len() as u64);
        let told = found.into_iter().map(|one| (one.line, one.text));
        told.collect()
    }

    #[test]
    fn lines_with_a_text_are_found_once_and_as_they_are_shown() {
        let text = "one\nTwo two\n\n\u{1b}[31mt\u{1b}[0mwo\n50%\rtwo\u{1b}]0;x\nlast two";
        let lines = |ignore| {
            let wanted = Wanted::Text(finder(["two"], ignore).unwrap());
            let found = found(&wanted, text);
            found.iter().map(|(line, _)| *line).collect::<Vec<_>>()
        };
        assert_eq!(lines(true), [11, 13, 14, 15]);
        let exact = Wanted::Text(finder(["Two"], false).unwrap());
        assert_eq!(found(&exact, text), [(11, "Two two".to_owned())]);
    }

    #[test]
    fn lines_in_trouble_are_found() {
        let hints = trouble::HINTS.into_iter().chain(trouble::SIGNS);
        let wanted = Wanted::Trouble(finder(hints, true).unwrap());
        let text = "0 errors\nerror: no\nok\n\u{1b}[1;31mFAILED\u{1b}[0m x\nerror-free\n";
        let told = [(11, "error: no".to_owned()), (13, "FAILED x".to_owned())];
        assert_eq!(found(&wanted, text), told);
    }

    #[test]
    fn places_are_steps_and_lines() {
        assert_eq!(place("3:120"), Some((3, 120)));
        for bad in ["", "3", "3:", ":1", "a:b"] {
            assert_eq!(place(bad), None);
        }
    }
}
