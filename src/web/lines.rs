//! Lines of a log in the colours of a terminal, for pages that show a part of it.
//!
//! `…/log/lines?step=0&from=1&count=500` answers
//! `{"attempt", "step", "total", "left_out": [first, last], "lines": [{"number", "unix_ms", "spans": [[class, text], …]}, …], "next"}`.
//! Lines count from 1 in their step and keep their numbers. `next` is the line to go on with; there is none
//! after the last one. The classes are those of the stylesheet. The step 4294967295 has what Herald itself
//! has to say of the job.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::logs::{key_of, missing};
use super::pages::{job_of, visible_build};
use super::router::Web;
use super::session::Who;
use crate::ports::error::Result as PortResult;
use crate::ports::{LineSlice, LogKey, LogStore, StepLines};
use crate::text::paint::{self, Look};

/// The most lines of one answer.
const LINES: usize = 2_000;
/// The most bytes of the log for one answer.
const BYTES: usize = 512 * 1024;
/// The most characters of a line that are shown.
const LINE: usize = 10_000;
/// So many lines before the first one are looked at for colours that go on.
const BEFORE: u64 = 100;
/// And at most so many bytes.
const BYTES_BEFORE: usize = 64 * 1024;

#[derive(Deserialize)]
pub(super) struct Wishes {
    step: u32,
    from: Option<u64>,
    count: Option<usize>,
}

/// A line as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct PaintedLine {
    /// From 1, in its step.
    pub(super) number: u64,
    /// When it began.
    pub(super) unix_ms: u64,
    /// Pieces: classes, none where it is plain, and text.
    pub(super) spans: Vec<(String, String)>,
    /// Whether only its beginning is shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) cut: bool,
}

#[derive(Serialize)]
struct Answer {
    attempt: u32,
    step: u32,
    total: u64,
    left_out: Option<(u64, u64)>,
    lines: Vec<PaintedLine>,
    next: Option<u64>,
}

/// `…/log/lines`.
pub(super) async fn show(
    State(web): State<Web>,
    who: Who,
    Path((owner, repo, number, job)): Path<(String, String, String, String)>,
    Query(wishes): Query<Wishes>,
) -> Result<Response, Error> {
    let view = visible_build(&web, &who, &owner, &repo, &number).await?;
    let key = key_of(&view, job_of(&view, &job)?);
    let logs = web.app.parts.logs.as_ref();
    let (step, from) = (wishes.step, wishes.from.unwrap_or(1).max(1));
    let count = wishes.count.unwrap_or(LINES).min(LINES);
    let read = painted(logs, &key, step, from, count, BYTES).await;
    let (lines, total) = match read.map_err(missing) {
        // It has not begun.
        Err(Error::NotFound) => (Vec::new(), 0),
        read => read?,
    };
    let counts = counts(logs, &key).await?;
    let left_out = counts.iter().find(|counts| counts.step == step);
    let next = lines.last().map_or(from, |line| line.number + 1);
    let answer = Answer {
        attempt: key.attempt,
        step,
        total,
        left_out: left_out.and_then(|counts| counts.left_out),
        next: (next <= total && !lines.is_empty()).then_some(next),
        lines,
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// How many lines each step has; none where there is no log yet.
pub(super) async fn counts(logs: &dyn LogStore, key: &LogKey) -> Result<Vec<StepLines>, Error> {
    match logs.line_counts(key).await.map_err(missing) {
        Err(Error::NotFound) => Ok(Vec::new()),
        counts => counts,
    }
}

/// At most `count` lines of a step from one on, and the number of the step's last one.
pub(super) async fn painted(
    logs: &dyn LogStore,
    key: &LogKey,
    step: u32,
    from: u64,
    count: usize,
    bytes: usize,
) -> PortResult<(Vec<PaintedLine>, u64)> {
    let slice = logs.read_lines(key, step, from, bytes).await?;
    let mut look = Look::default();
    if slice.first > 1 && !slice.bytes.is_empty() {
        let first = slice.first.saturating_sub(BEFORE).max(1);
        let before = logs.read_lines(key, step, first, BYTES_BEFORE).await?;
        look = look_before(&before, slice.first);
    }
    Ok((paint(&slice, look, count), slice.total))
}

/// How a line begins to look by the lines before it.
fn look_before(before: &LineSlice, line: u64) -> Look {
    let wanted = usize::try_from(line.saturating_sub(before.first)).unwrap_or(0);
    let ends = memchr::memchr_iter(b'\n', &before.bytes);
    let Some(end) = wanted
        .checked_sub(1)
        .and_then(|last| ends.clone().nth(last))
    else {
        // They are not all there.
        return Look::default();
    };
    let text = before.bytes.get(..=end).unwrap_or_default();
    paint::lines_after(Look::default(), &String::from_utf8_lossy(text)).1
}

/// The first lines of a slice.
fn paint(slice: &LineSlice, look: Look, count: usize) -> Vec<PaintedLine> {
    if count == 0 || slice.bytes.is_empty() {
        return Vec::new();
    }
    let end = memchr::memchr_iter(b'\n', &slice.bytes).nth(count - 1);
    let bytes = end.and_then(|end| slice.bytes.get(..=end));
    let bytes = bytes.unwrap_or(&slice.bytes);
    let ends = memchr::memchr_iter(b'\n', bytes).count();
    let all = ends + usize::from(!bytes.ends_with(b"\n"));
    let (mut lines, _) = paint::lines_after(look, &String::from_utf8_lossy(bytes));
    // A last line that is not more than a change of colour is one.
    lines.resize(all, paint::Line::new());
    let mut times = slice.times.iter().peekable();
    let mut unix_ms = 0;
    let numbered = (slice.first..).zip(lines);
    let lines = numbered.map(|(number, line)| {
        while let Some((_, began)) = times.next_if(|(from, _)| *from <= number) {
            unix_ms = *began;
        }
        let (spans, cut) = spans(line);
        PaintedLine {
            number,
            unix_ms,
            spans,
            cut,
        }
    });
    lines.collect()
}

/// A line's pieces, up to its limit, and whether that cut it.
fn spans(line: paint::Line) -> (Vec<(String, String)>, bool) {
    let mut room = LINE;
    let mut spans = Vec::with_capacity(line.len());
    for (look, mut text) in line {
        let end = text.char_indices().nth(room).map(|(end, _)| end);
        room = room.saturating_sub(text.chars().count());
        if let Some(end) = end {
            text.truncate(end);
            spans.push((look.to_string(), text));
            return (spans, true);
        }
        spans.push((look.to_string(), text));
    }
    (spans, false)
}

#[cfg(test)]
mod tests {
    use super::{Look, look_before, paint};
    use crate::ports::LineSlice;

    fn slice(first: u64, text: &str) -> LineSlice {
        LineSlice {
            first,
            total: 99,
            bytes: text.as_bytes().to_vec(),
            times: vec![(first, 5), (first + 2, 9)],
        }
    }

    #[test]
    fn lines_are_numbered_timed_and_painted() {
        let slice = slice(7, "a\n\u{1b}[31mb\nc\n\u{1b}[0m");
        let lines = paint(&slice, Look::default(), 99);
        let told = serde_json::to_value(&lines).unwrap();
        assert_eq!(
            told,
            serde_json::json!([
                {"number": 7, "unix_ms": 5, "spans": [["", "a"]]},
                {"number": 8, "unix_ms": 5, "spans": [["c1", "b"]]},
                {"number": 9, "unix_ms": 9, "spans": [["c1", "c"]]},
                {"number": 10, "unix_ms": 9, "spans": []},
            ])
        );
        assert_eq!(paint(&slice, Look::default(), 2).len(), 2);
        assert!(paint(&slice, Look::default(), 0).is_empty());
    }

    #[test]
    fn a_colour_goes_on_after_the_lines_before() {
        let before = slice(5, "\u{1b}[32ma\nb\n\u{1b}[0mc\n");
        assert_eq!(look_before(&before, 7).to_string(), "c2");
        assert!(look_before(&before, 8).is_plain());
        assert!(look_before(&before, 9).is_plain(), "one is missing");
    }

    #[test]
    fn of_a_very_long_line_the_beginning_is_shown() {
        let long = "ü".repeat(30_000);
        let lines = paint(&slice(1, &format!("{long}\nnext")), Look::default(), 9);
        assert!(lines[0].cut && !lines[1].cut);
        assert_eq!(lines[0].spans[0].1.chars().count(), 10_000);
    }
}
