//! Files that jobs left for people.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};

use super::error::Error;
use super::logs::{key_of, missing};
use super::pages::{job_of, visible_build};
use super::router::Web;
use super::session::Who;
use crate::ports::LogKey;
use crate::text::address;

/// `…/artifacts/{path}`: a download and never a page, whatever is in it. Only what the newest
/// attempt is known to have left is looked for.
pub(super) async fn download(
    State(web): State<Web>,
    who: Who,
    Path((owner, repo, number, job, path)): Path<(String, String, String, String, String)>,
) -> Result<Response, Error> {
    let view = visible_build(&web, &who, &owner, &repo, &number).await?;
    let job = job_of(&view, &job)?;
    let known = job
        .result
        .iter()
        .flat_map(|result| &result.artifacts)
        .any(|artifact| artifact.path == path);
    if !known {
        return Err(Error::NotFound);
    }
    let key = key_of(&view, job);
    let artifacts = &web.app.parts.artifacts;
    let total = artifacts
        .read(&key, &path, 0, 0)
        .await
        .map_err(missing)?
        .total;
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_DISPOSITION, disposition(&path)),
        (CONTENT_LENGTH, total.to_string()),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    let body = Body::from_stream(whole(web.clone(), key, path, total));
    Ok((headers, body).into_response())
}

/// A file of `total` bytes, piece by piece: it may be larger than the memory.
fn whole(
    web: Web,
    key: LogKey,
    path: String,
    total: u64,
) -> impl Stream<Item = Result<Vec<u8>, std::io::Error>> {
    const PIECE: u64 = 256 * 1024;
    stream::try_unfold(
        (web, key, path, 0),
        move |(web, key, path, start)| async move {
            if start >= total {
                return Ok(None);
            }
            let limit = usize::try_from(PIECE.min(total - start)).unwrap_or(usize::MAX);
            let read = web
                .app
                .parts
                .artifacts
                .read(&key, &path, start, limit)
                .await;
            let bytes = read.map_err(std::io::Error::other)?.bytes;
            if bytes.is_empty() {
                return Err(std::io::Error::other("the artifact has become shorter"));
            }
            let next = start + bytes.len() as u64;
            Ok(Some((bytes, (web, key, path, next))))
        },
    )
}

/// An attachment under the file's own name (RFC 6266; RFC 8187 for names that are not ASCII).
fn disposition(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let plain: String = name
        .chars()
        .map(|char| match char {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' | '_' | ' ' => char,
            _ => '_',
        })
        .collect();
    let exact = address::part(name);
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}")
}

#[cfg(test)]
mod tests {
    use super::disposition;

    #[test]
    fn a_file_is_an_attachment_under_its_own_name() {
        assert_eq!(
            disposition("out/a.txt"),
            "attachment; filename=\"a.txt\"; filename*=UTF-8''a.txt"
        );
        assert_eq!(
            disposition("out/\"ü\r\n;.html"),
            "attachment; filename=\"_____.html\"; filename*=UTF-8''%22%C3%BC%0D%0A%3B.html"
        );
    }
}
