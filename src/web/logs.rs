//! Raw logs.

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use serde::Deserialize;

use super::error::Error;
use super::pages::{job_of, visible_build};
use super::router::Web;
use super::session::Who;
use crate::domain::{BuildView, Job};
use crate::ports::{Kind, LogKey, PortError};

/// The most that one answer carries, in bytes; the rest is there by `Range`.
const SLICE: usize = 16 * 1024 * 1024;

#[derive(Deserialize)]
pub(super) struct Wishes {
    step: Option<u32>,
    attempt: Option<u32>,
}

/// The log of a job's newest attempt.
pub(super) fn key_of(view: &BuildView, job: &Job) -> LogKey {
    LogKey {
        build: view.build.id.as_str().to_owned(),
        job: job.key.clone(),
        attempt: job.attempt,
    }
}

/// `…/log.txt`: whole, by `Range`, or one step; of the newest attempt, or of a former one.
pub(super) async fn raw(
    State(web): State<Web>,
    who: Who,
    Path((owner, repo, number, job)): Path<(String, String, String, String)>,
    Query(wishes): Query<Wishes>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let view = visible_build(&web, &who, &owner, &repo, &number).await?;
    let mut key = key_of(&view, job_of(&view, &job)?);
    if let Some(attempt) = wishes.attempt {
        if !(1..=key.attempt).contains(&attempt) {
            return Err(Error::NotFound);
        }
        key.attempt = attempt;
    }
    let logs = &web.app.parts.logs;
    if let Some(step) = wishes.step {
        let bytes = logs.read_step(&key, step, SLICE).await.map_err(missing)?;
        let plain = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
        return Ok((plain, bytes).into_response());
    }
    let range = headers.get(RANGE).and_then(|range| range.to_str().ok());
    let total = logs.read(&key, 0, 0).await.map_err(missing)?.total;
    let Some((start, end)) = range.and_then(|range| parse_range(range, total)) else {
        if range.is_some_and(|range| range.starts_with("bytes=")) {
            let header = [(CONTENT_RANGE, format!("bytes */{total}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, header).into_response());
        }
        let body = Body::from_stream(whole(web.clone(), key, total));
        let headers = [
            (CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
            (ACCEPT_RANGES, "bytes".to_owned()),
            (CONTENT_LENGTH, total.to_string()),
        ];
        return Ok((headers, body).into_response());
    };
    let length = usize::try_from(end - start + 1).unwrap_or(SLICE).min(SLICE);
    let slice = logs.read(&key, start, length).await.map_err(missing)?;
    let last = start + (slice.bytes.len() as u64).saturating_sub(1);
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (CONTENT_RANGE, format!("bytes {start}-{last}/{total}")),
    ];
    Ok((StatusCode::PARTIAL_CONTENT, headers, slice.bytes).into_response())
}

/// A log of `total` bytes, piece by piece: it may be larger than the memory.
fn whole(web: Web, key: LogKey, total: u64) -> impl Stream<Item = Result<Vec<u8>, std::io::Error>> {
    const PIECE: u64 = 256 * 1024;
    stream::try_unfold((web, key, 0), move |(web, key, start)| async move {
        if start >= total {
            return Ok(None);
        }
        let limit = usize::try_from(PIECE.min(total - start)).unwrap_or(usize::MAX);
        let read = web.app.parts.logs.read(&key, start, limit).await;
        let bytes = read.map_err(std::io::Error::other)?.bytes;
        if bytes.is_empty() {
            return Err(std::io::Error::other("the log has become shorter"));
        }
        let next = start + bytes.len() as u64;
        Ok(Some((bytes, (web, key, next))))
    })
}

pub(super) fn missing(error: PortError) -> Error {
    match error.kind {
        Kind::Gone => Error::NotFound,
        _ => error.into(),
    }
}

/// One range of bytes (RFC 9110, 14.1.2): first and last byte. Several ranges are not served.
fn parse_range(header: &str, total: u64) -> Option<(u64, u64)> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    let (start, end) = if first.is_empty() {
        let suffix: u64 = last.parse().ok()?;
        (total.checked_sub(suffix.min(total))?, total.checked_sub(1)?)
    } else {
        let start: u64 = first.parse().ok()?;
        let end = match last {
            "" => total.checked_sub(1)?,
            last => last.parse::<u64>().ok()?.min(total.checked_sub(1)?),
        };
        (start, end)
    };
    (start <= end && start < total).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::parse_range;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        assert_eq!(parse_range("bytes=0-9", 100), Some((0, 9)));
        assert_eq!(parse_range("bytes=90-", 100), Some((90, 99)));
        assert_eq!(parse_range("bytes=-5", 100), Some((95, 99)));
        assert_eq!(parse_range("bytes=-500", 100), Some((0, 99)));
        assert_eq!(parse_range("bytes=50-500", 100), Some((50, 99)));
        assert_eq!(parse_range("bytes=100-", 100), None);
        assert_eq!(parse_range("bytes=9-1", 100), None);
        assert_eq!(parse_range("bytes=0-0", 0), None);
        assert_eq!(parse_range("lines=0-9", 100), None);
    }
}
