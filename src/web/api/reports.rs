//! Reports that others upload: in one request, or in pieces by the protocol tus 1.0.0
//! (<https://tus.io/protocols/resumable-upload>; core, creation, creation with upload, checksum, expiration).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::router::Web;
use super::super::session::bearer;
use super::error::{ApiError, Problem};
use super::model::time;
use crate::app::{
    App, Checksum, Claimed, Head, Incoming, PLAIN_MAX, RESUMABLE_MAX, UploadError, Uploaded,
    Uploader,
};
use crate::domain::upload::{self, PARTS, UNFINISHED_MS, WAIT_MAX};
use crate::domain::{Repository, Sha, UploadRequest};
use crate::feedback::import_check_name;
use crate::text;
use crate::text::address;

const TUS: &str = "1.0.0";
const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
/// What a piece is called.
const PIECE: &str = "application/offset+octet-stream";
/// What a set is called where nobody said so.
const NAME: &str = "reports";
/// The longest path, in characters.
const PATH_MAX: usize = 500;

/// What is uploaded, and for what.
#[derive(Deserialize, IntoParams, Default)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wishes {
    /// The commit that the reports are of: all digits of its id. Not needed with `pull_request`, nor with the token of a
    /// job of GitHub Actions, which says it.
    commit: Option<String>,
    /// The pull request, whose head the commit has to be.
    pull_request: Option<i64>,
    /// What is uploaded for a commit under one name is one report, with one check run. `reports` without it.
    name: Option<String>,
    /// Which part of it this is. Another one of the same label takes its place. Without it a part is known by its
    /// content.
    part: Option<String>,
    /// How many parts there will be, at most 200: it is published when all are there.
    parts: Option<u32>,
    /// How long is waited, as in `90s`, at most `2h`: with `parts`, from the first one on (`30m` without it); else since
    /// the last one (`60s` without it).
    wait: Option<String>,
    /// What a single report is called.
    path: Option<String>,
}

/// An upload.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UploadAnswer {
    id: String,
    name: String,
    /// The commit that it is reported on.
    commit: String,
    pull_request: Option<i64>,
    /// Its label, where one was given.
    part: Option<String>,
    /// How many bytes are there for good.
    offset: u64,
    length: u64,
    /// Those of the same commit and name; `null` until all of this one is there.
    parts: Option<PartsAnswer>,
    /// `receiving` while bytes are missing, `waiting` for other parts, `published` after that.
    #[schema(example = "waiting")]
    state: &'static str,
    /// When it is published, also without more parts.
    due_at: Option<DateTime<Utc>>,
    /// The check run on GitHub.
    #[schema(example = "herald / unit")]
    check: String,
    /// The number of the newest build of it.
    build: Option<i64>,
    /// Where it is shown: that build's page, else the repository's.
    url: String,
}

/// Parts.
#[derive(Debug, Serialize, ToSchema)]
struct PartsAnswer {
    /// How many there will be, where somebody said so.
    expected: Option<u32>,
    received: usize,
}

impl From<UploadError> for ApiError {
    fn from(error: UploadError) -> Self {
        let (status, word) = match &error {
            UploadError::Unknown(_) => (StatusCode::UNAUTHORIZED, "bad_token"),
            UploadError::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
            UploadError::NotFound => return super::super::error::Error::NotFound.into(),
            UploadError::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
            UploadError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            UploadError::Unprocessable(_) => (StatusCode::UNPROCESSABLE_ENTITY, "unprocessable"),
            UploadError::TooMany(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many"),
            // "Checksum Mismatch" of the protocol.
            UploadError::Damaged => (
                StatusCode::from_u16(460).unwrap_or(StatusCode::BAD_REQUEST),
                "checksum_mismatch",
            ),
            UploadError::Broken(_) => (StatusCode::BAD_REQUEST, "bad_request"),
            UploadError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            UploadError::Failed(error) => return error.clone().into(),
        };
        Self::Refused(status, word, error.to_string())
    }
}

fn bad(why: impl Into<String>) -> ApiError {
    ApiError::Unreadable(StatusCode::BAD_REQUEST, why.into())
}

/// Takes reports of a commit: one as it is, or a zip archive of several. With the header `Upload-Length` it begins an
/// upload in pieces.
#[utoipa::path(post, path = "/repos/{owner}/{repo}/reports", tag = "reports",
    params(("owner" = String, Path), ("repo" = String, Path), Wishes),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"), security(("token" = [])),
    responses((status = 201, body = UploadAnswer), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn create(
    State(web): State<Web>,
    Path((owner, name)): Path<(String, String)>,
    wishes: Result<Query<Wishes>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let resumable = headers.contains_key(TUS_RESUMABLE);
    let done = async {
        let (uploader, repository) = enter(&web, &headers, &owner, &name).await?;
        let Query(wishes) = wishes?;
        let length = length(&headers)?;
        let asked = Asked::read(&wishes, &headers)?;
        let head = head(&web.app, &uploader, &repository, &wishes).await?;
        let request = asked.of(head);
        match length {
            Some(length) => begin(&web, repository, request, length, &headers, body).await,
            None => whole(&web, repository, request, body).await,
        }
    };
    spoken(resumable, done.await)
}

/// What can be uploaded, in the headers of the protocol tus.
#[utoipa::path(options, path = "/repos/{owner}/{repo}/reports", tag = "reports",
    params(("owner" = String, Path), ("repo" = String, Path)),
    responses((status = 204)))]
pub(super) async fn options() -> Response {
    let headers = [
        ("tus-resumable", TUS.to_owned()),
        ("tus-version", TUS.to_owned()),
        ("tus-max-size", RESUMABLE_MAX.to_string()),
        (
            "tus-extension",
            "creation,creation-with-upload,checksum,expiration".to_owned(),
        ),
        ("tus-checksum-algorithm", "sha1,sha256".to_owned()),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// How an upload stands; also in the headers of the protocol tus.
#[utoipa::path(method(get, head), path = "/repos/{owner}/{repo}/reports/{upload}", tag = "reports",
    params(("owner" = String, Path), ("repo" = String, Path), ("upload" = String, Path)),
    security(("token" = [])),
    responses((status = 200, body = UploadAnswer), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 412, body = Problem)))]
pub(super) async fn show(
    State(web): State<Web>,
    Path((owner, name, id)): Path<(String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let done = async {
        let (_, repository) = enter(&web, &headers, &owner, &name).await?;
        if method == Method::HEAD {
            versioned(&headers)?;
        }
        let found = web.app.uploaded(&repository, &id).await?;
        let mut response = Json(answer(&web.app, &repository, &found).await?).into_response();
        put_progress(&web.app, &found, response.headers_mut());
        let length = HeaderValue::from(found.upload.length);
        response.headers_mut().insert(UPLOAD_LENGTH, length);
        response
            .headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    };
    spoken(true, done.await)
}

/// Takes a piece of an upload, of at most 8 MiB, from `Upload-Offset` on.
#[utoipa::path(patch, path = "/repos/{owner}/{repo}/reports/{upload}", tag = "reports",
    params(("owner" = String, Path), ("repo" = String, Path), ("upload" = String, Path)),
    request_body(content = Vec<u8>, content_type = "application/offset+octet-stream"), security(("token" = [])),
    responses((status = 204), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = Problem), (status = 460, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn append(
    State(web): State<Web>,
    Path((owner, name, id)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let done = async {
        let (_, repository) = enter(&web, &headers, &owner, &name).await?;
        versioned(&headers)?;
        if text_of(&headers, &CONTENT_TYPE) != Some(PIECE) {
            return Err(unsupported(format!("a piece is sent as {PIECE}")));
        }
        let offset = number(&headers, &UPLOAD_OFFSET)?
            .ok_or_else(|| bad("the header Upload-Offset is missing"))?;
        let checksum = checksum(&headers)?;
        let found = piece(&web, repository, id, offset, checksum, body).await?;
        let mut response = StatusCode::NO_CONTENT.into_response();
        put_progress(&web.app, &found, response.headers_mut());
        Ok(response)
    };
    spoken(true, done.await)
}

/// Puts the protocol's version on an answer, also on one that refuses.
fn spoken(resumable: bool, done: Result<Response, ApiError>) -> Response {
    let mut response = done.unwrap_or_else(IntoResponse::into_response);
    if resumable {
        let version = HeaderValue::from_static(TUS);
        response.headers_mut().insert(TUS_RESUMABLE, version);
    }
    response
}

async fn enter(
    web: &Web,
    headers: &HeaderMap,
    owner: &str,
    name: &str,
) -> Result<(Uploader, Repository), ApiError> {
    let shown = bearer(headers);
    Ok(web.app.uploader(shown.as_ref(), owner, name).await?)
}

async fn head(
    app: &App,
    uploader: &Uploader,
    repository: &Repository,
    wishes: &Wishes,
) -> Result<Head, ApiError> {
    let commit = wishes.commit.as_deref().map(Sha::parse).transpose();
    let claimed = Claimed {
        commit: commit.map_err(|error| bad(error.to_string()))?,
        pull: wishes.pull_request,
    };
    Ok(app.head_of(uploader, repository, &claimed).await?)
}

/// What somebody wants, without the head.
struct Asked {
    name: String,
    part: Option<String>,
    parts: Option<u32>,
    wait_ms: Option<i64>,
    path: String,
}

impl Asked {
    fn read(wishes: &Wishes, headers: &HeaderMap) -> Result<Self, ApiError> {
        let label = |text: &str, what: &str| {
            if upload::is_label(text) {
                Ok(text.to_owned())
            } else {
                Err(bad(format!(
                    "`{what}` is one line of 1 to {} characters, without spaces around it",
                    upload::LABEL
                )))
            }
        };
        if wishes
            .parts
            .is_some_and(|parts| parts == 0 || parts > PARTS)
        {
            return Err(bad(format!("`parts` is 1 to {PARTS}")));
        }
        let wait = wishes.wait.as_deref().map(text::parse_duration).transpose();
        let wait = wait.map_err(|error| bad(format!("`wait`: {error}")))?;
        if wait.is_some_and(|wait| wait > WAIT_MAX) {
            return Err(bad("`wait` is at most 2h"));
        }
        let path = wishes
            .path
            .clone()
            .or_else(|| metadata(headers, "filename"));
        let path = path.unwrap_or_else(|| "report".to_owned());
        if path.chars().count() > PATH_MAX || path.chars().any(char::is_control) {
            return Err(bad(format!(
                "`path` is one line of at most {PATH_MAX} characters"
            )));
        }
        let part = wishes.part.as_deref().map(|part| label(part, "part"));
        Ok(Self {
            name: label(wishes.name.as_deref().unwrap_or(NAME), "name")?,
            part: part.transpose()?,
            parts: wishes.parts,
            wait_ms: wait.map(|wait| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)),
            path,
        })
    }

    fn of(self, head: Head) -> UploadRequest {
        UploadRequest {
            commit: head.commit,
            committed_ms: head.committed_ms,
            occasion: head.occasion,
            trust: head.trust,
            sender: head.sender,
            name: self.name,
            part: self.part,
            parts: self.parts,
            wait_ms: self.wait_ms,
            path: self.path,
        }
    }
}

/// How long the upload in pieces is that is asked for; `None` where all of it comes at once.
fn length(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    if text_of(headers, &CONTENT_TYPE).is_some_and(|kind| kind.starts_with("multipart/")) {
        return Err(unsupported(
            "send the file itself and not a form: curl --data-binary @FILE, not curl -F".to_owned(),
        ));
    }
    if let Some(length) = number(headers, &UPLOAD_LENGTH)? {
        versioned(headers)?;
        return Ok(Some(length));
    }
    if headers.contains_key(TUS_RESUMABLE) {
        return Err(bad(
            "the header Upload-Length is missing; its length has to be known when an upload begins",
        ));
    }
    if number(headers, &CONTENT_LENGTH)?.is_some_and(|length| length > PLAIN_MAX) {
        let most = PLAIN_MAX >> 20;
        return Err(UploadError::TooLarge(format!(
            "the body has more than {most} MiB; begin an upload in pieces with the header Upload-Length"
        ))
        .into());
    }
    Ok(None)
}

fn unsupported(why: String) -> ApiError {
    ApiError::Refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported", why)
}

fn versioned(headers: &HeaderMap) -> Result<(), ApiError> {
    if text_of(headers, &TUS_RESUMABLE) == Some(TUS) {
        return Ok(());
    }
    let why = format!("the header Tus-Resumable has to be {TUS}");
    Err(ApiError::Refused(
        StatusCode::PRECONDITION_FAILED,
        "precondition_failed",
        why,
    ))
}

fn text_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, ApiError> {
    let Some(text) = headers.get(name) else {
        return Ok(None);
    };
    let number = text.to_str().ok().and_then(|text| text.parse().ok());
    let number = number.ok_or_else(|| bad(format!("the header {name} is no number")))?;
    Ok(Some(number))
}

/// A value of `Upload-Metadata`: pairs of a key and a text in base64, separated by commas.
fn metadata(headers: &HeaderMap, key: &str) -> Option<String> {
    let all = headers.get("upload-metadata")?.to_str().ok()?;
    let value = all.split(',').find_map(|pair| {
        let (name, value) = pair.trim().split_once(' ')?;
        (name == key).then_some(value)
    })?;
    String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()
}

fn checksum(headers: &HeaderMap) -> Result<Option<Checksum>, ApiError> {
    let Some(text) = headers.get("upload-checksum") else {
        return Ok(None);
    };
    let wrong = || bad("the header Upload-Checksum is `sha1` or `sha256`, and the sum in base64");
    let (kind, sum) = text
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(wrong)?;
    let sum = STANDARD.decode(sum.trim()).map_err(|_| wrong())?;
    match kind {
        "sha1" => Ok(Some(Checksum::Sha1(sum))),
        "sha256" => Ok(Some(Checksum::Sha256(sum))),
        _ => Err(wrong()),
    }
}

fn incoming(body: Body) -> Incoming {
    let stream = body.into_data_stream();
    Box::pin(stream.map(|bytes| bytes.map_err(|error| error.to_string())))
}

async fn whole(
    web: &Web,
    repository: Repository,
    request: UploadRequest,
    body: Body,
) -> Result<Response, ApiError> {
    let (app, of) = (Arc::clone(&web.app), repository.clone());
    let body = incoming(body);
    let found = to_its_end(async move { app.upload_whole(&of, request, body).await }).await?;
    let answer = answer(&web.app, &repository, &found).await?;
    let location = [(LOCATION, place(&repository, &found.upload.id))];
    Ok((StatusCode::CREATED, location, Json(answer)).into_response())
}

async fn begin(
    web: &Web,
    repository: Repository,
    request: UploadRequest,
    length: u64,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let checksum = checksum(headers)?;
    let upload = web.app.begin_upload(&repository, request, length).await?;
    let id = upload.id.clone();
    let mut found = Uploaded { upload, set: None };
    if text_of(headers, &CONTENT_TYPE) == Some(PIECE) {
        found = piece(web, repository.clone(), id.clone(), 0, checksum, body).await?;
    }
    let answer = answer(&web.app, &repository, &found).await?;
    let location = [(LOCATION, place(&repository, &id))];
    let mut response = (StatusCode::CREATED, location, Json(answer)).into_response();
    put_progress(&web.app, &found, response.headers_mut());
    Ok(response)
}

async fn piece(
    web: &Web,
    repository: Repository,
    id: String,
    offset: u64,
    checksum: Option<Checksum>,
    body: Body,
) -> Result<Uploaded, ApiError> {
    let (app, body) = (Arc::clone(&web.app), incoming(body));
    let appended = async move { app.append(&repository, &id, offset, body, checksum).await };
    to_its_end(appended).await
}

/// Also when the client goes away in the middle: what came from it counts.
async fn to_its_end(
    work: impl Future<Output = Result<Uploaded, UploadError>> + Send + 'static,
) -> Result<Uploaded, ApiError> {
    let joined = tokio::spawn(work).await;
    let failed = |error| crate::ports::PortError::transient(format!("take an upload: {error}"));
    Ok(joined.map_err(failed)??)
}

fn place(repository: &Repository, id: &str) -> String {
    let (owner, name) = (
        address::part(&repository.owner),
        address::part(&repository.name),
    );
    format!("/api/v1/repos/{owner}/{name}/reports/{id}")
}

fn put_progress(app: &App, found: &Uploaded, headers: &mut HeaderMap) {
    headers.insert(UPLOAD_OFFSET, HeaderValue::from(found.upload.received));
    let expires = time(app.now_ms() + UNFINISHED_MS).filter(|_| found.set.is_none());
    let expires = expires.map(|at| at.format("%a, %d %b %Y %H:%M:%S GMT").to_string());
    if let Some(expires) = expires.and_then(|at| HeaderValue::from_str(&at).ok()) {
        headers.insert(UPLOAD_EXPIRES, expires);
    }
}

async fn answer(
    app: &App,
    repository: &Repository,
    found: &Uploaded,
) -> Result<UploadAnswer, ApiError> {
    let Uploaded { upload, set } = found;
    let request = &upload.request;
    let build = match set {
        Some(set) => app.build_of_set(set).await?,
        None => None,
    };
    let build = build.map(|build| build.number);
    let root = &app.settings.links.public_url;
    let mut url = format!("{root}/repos/{}/{}", repository.owner, repository.name);
    if let Some(number) = build {
        url.push_str(&format!("/builds/{number}"));
    }
    let occasion = set.as_ref().map_or(&request.occasion, |set| &set.occasion);
    let due_ms = set.as_ref().and_then(|set| set.due_ms);
    Ok(UploadAnswer {
        id: upload.id.clone(),
        name: request.name.clone(),
        commit: request.commit.to_string(),
        pull_request: occasion.pull().map(|pull| pull.number),
        part: request.part.clone(),
        offset: upload.received,
        length: upload.length,
        parts: set.as_ref().map(|set| PartsAnswer {
            expected: set.expected,
            received: set.parts.len(),
        }),
        state: match (set, due_ms) {
            (None, _) => "receiving",
            (Some(_), Some(_)) => "waiting",
            (Some(_), None) => "published",
        },
        due_at: due_ms.and_then(time),
        check: import_check_name(&request.name),
        build,
        url,
    })
}
