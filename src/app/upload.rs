//! Uploads: who may, and bytes from the network to the disk and into a set.
//!
//! Nothing is kept for who may not. A byte is confirmed when it is on disk for good and the database says so, in this
//! order; what is on disk beyond that is written over.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::access::Visitor;
use super::state::App;
use crate::domain::upload::{self, Kept};
use crate::domain::{
    Holder, Permission, ReportSet, Repository, Secret, Token, Upload, UploadRequest,
    WorkflowIdentity,
};
use crate::ports::uploads::Held;
use crate::ports::{Kind, PortError};

/// The most bytes of an upload in one request.
pub const PLAIN_MAX: u64 = 64 << 20;
/// The most bytes of an upload that is resumed.
pub const RESUMABLE_MAX: u64 = 1 << 30;
/// The most bytes of one piece of it.
pub const PIECE_MAX: u64 = 8 << 20;
/// How many uploads of a repository may be unfinished.
const UNFINISHED: u32 = 20;
/// How long a sender may be silent.
const SILENCE: Duration = Duration::from_secs(30);

/// Bytes on their way in; an error where the connection breaks.
pub type Incoming = Pin<Box<dyn Stream<Item = Result<Bytes, String>> + Send>>;

/// Why an upload is refused.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// Nobody knows who it is; why.
    #[error("{0}")]
    Unknown(String),
    /// They may not.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such thing, or it is not for them.
    #[error("not found")]
    NotFound,
    /// It does not fit what is there.
    #[error("{0}")]
    Conflict(String),
    /// There is too much of it.
    #[error("{0}")]
    TooLarge(String),
    /// It is readable and cannot be done.
    #[error("{0}")]
    Unprocessable(String),
    /// There are too many at once.
    #[error("{0}")]
    TooMany(String),
    /// What came is not what was sent.
    #[error("the piece is not what its checksum says; send it again from the same offset")]
    Damaged,
    /// The connection broke.
    #[error("the body ended early: {0}")]
    Broken(String),
    /// It could not be looked up; later it can.
    #[error("{0}")]
    Unavailable(String),
    /// Our own trouble.
    #[error("{0}")]
    Failed(PortError),
}

impl From<PortError> for UploadError {
    fn from(error: PortError) -> Self {
        Self::Failed(error)
    }
}

/// What asking GitHub, or for its keys, came to.
pub(super) fn asked(error: PortError) -> UploadError {
    match error.kind {
        Kind::Transient | Kind::Throttled { .. } => {
            UploadError::Unavailable(format!("Herald failed to {}; try again", error.message))
        }
        _ => UploadError::Failed(error),
    }
}

/// Who uploads.
#[derive(Debug, Clone)]
pub enum Uploader {
    /// Whoever has a token of ours.
    Token(Token),
    /// A job of GitHub Actions.
    Job(Box<WorkflowIdentity>),
}

/// What a piece is checked against.
#[derive(Debug, Clone)]
pub enum Checksum {
    /// SHA-1.
    Sha1(Vec<u8>),
    /// SHA-256.
    Sha256(Vec<u8>),
}

/// How an upload stands.
#[derive(Debug)]
pub struct Received {
    /// The upload.
    pub upload: Upload,
    /// Its set, once it is all there.
    pub set: Option<Box<ReportSet>>,
}

impl App {
    /// Who wants to upload to a repository, if they may.
    ///
    /// # Errors
    /// `NotFound` also where the repository is not for their eyes.
    pub async fn uploader(
        &self,
        shown: Option<&Secret>,
        owner: &str,
        name: &str,
    ) -> Result<(Uploader, Repository), UploadError> {
        let found = || async {
            let found = self.parts.store.repository(owner, name).await?;
            found.ok_or(UploadError::NotFound)
        };
        let Some(text) = shown else {
            let repository = found().await?;
            return Err(hidden(
                &repository,
                "Uploading needs a token: one of Herald's with the scope `upload`, or that of a job of GitHub Actions.",
            ));
        };
        if text.expose().starts_with("eyJ") {
            let audience = self.settings.links.public_url.as_str();
            let identified = self.parts.identities.identify(text, audience).await;
            let job = identified.map_err(|error| match error.kind {
                Kind::Denied => UploadError::Unknown(error.message),
                _ => asked(error),
            })?;
            let repository = found().await?;
            if job.repository != repository.id.number() {
                return Err(hidden(
                    &repository,
                    "The token is of a job in another repository.",
                ));
            }
            let owned_by = self.parts.forge.owner(&repository).await.map_err(asked)?;
            if job.owner != owned_by {
                return Err(hidden(
                    &repository,
                    "The token is of a time when the repository belonged to somebody else.",
                ));
            }
            return Ok((Uploader::Job(Box::new(job)), repository));
        }
        let visitor = self.visitor_by_token(text).await?;
        let Some(Visitor::Token(token)) = visitor else {
            return Err(UploadError::Unknown(
                "the token is unknown, was revoked, or has ended".to_owned(),
            ));
        };
        let repository = found().await?;
        if self.may_upload(&token, &repository).await? {
            return Ok((Uploader::Token(token), repository));
        }
        let visitor = Visitor::Token(token);
        if self.permission(&visitor, &repository).await < Permission::Read {
            return Err(UploadError::NotFound);
        }
        Err(UploadError::Forbidden(
            "The token does not allow this: it needs the scope `upload` or `write`, and has to be of this repository or of \
             somebody with write permission in it."
                .to_owned(),
        ))
    }

    async fn may_upload(
        &self,
        token: &Token,
        repository: &Repository,
    ) -> Result<bool, UploadError> {
        if !token.scope.uploads() {
            return Ok(false);
        }
        match &token.holder {
            Holder::Repository(id) => Ok(*id == repository.id),
            Holder::Person(person) => {
                let asked_of = self.parts.forge.permission(repository, *person).await;
                match asked_of {
                    Ok(permission) => Ok(permission >= Permission::Write),
                    Err(error) if matches!(error.kind, Kind::Gone | Kind::Denied) => Ok(false),
                    Err(error) => Err(asked(error)),
                }
            }
        }
    }

    /// Takes an upload in one request.
    ///
    /// # Errors
    /// When it is refused; then nothing is left of it.
    pub async fn upload_whole(
        &self,
        repository: &Repository,
        request: UploadRequest,
        body: Incoming,
    ) -> Result<Received, UploadError> {
        let mut upload = new(repository, request, 0);
        let held = self.hold(&upload.id).await?;
        let taken = self.take(&upload.id, 0, PLAIN_MAX, body, None).await;
        let done = match taken {
            Ok(taken) if taken.broken.is_none() && taken.bytes == 0 => Err(empty()),
            Ok(taken) if taken.broken.is_none() => {
                upload.length = taken.bytes;
                self.complete(&mut upload).await
            }
            Ok(taken) => Err(UploadError::Broken(taken.broken.unwrap_or_default())),
            Err(UploadError::TooLarge(_)) => Err(UploadError::TooLarge(format!(
                "the body has more than {} MiB; begin an upload in pieces with the header Upload-Length",
                PLAIN_MAX >> 20
            ))),
            Err(error) => Err(error),
        };
        if done.is_err() {
            self.discard(&upload.id).await;
        }
        drop(held);
        done
    }

    /// Holds an upload's file against every other request, also of another server.
    async fn hold(&self, id: &str) -> Result<Held, UploadError> {
        let held = self.parts.uploads.hold(id).await?;
        held.ok_or_else(|| {
            UploadError::Conflict(
                "another request sends to this upload; ask by HEAD how far it is, and go on from there"
                    .to_owned(),
            )
        })
    }

    /// Begins an upload of so many bytes in pieces.
    ///
    /// # Errors
    /// When there are too many, or it is too large.
    pub async fn begin_upload(
        &self,
        repository: &Repository,
        request: UploadRequest,
        length: u64,
    ) -> Result<Upload, UploadError> {
        if length == 0 {
            return Err(empty());
        }
        if length > RESUMABLE_MAX {
            let most = RESUMABLE_MAX >> 20;
            return Err(UploadError::TooLarge(format!(
                "an upload has at most {most} MiB; send it in several parts"
            )));
        }
        let upload = new(repository, request, length);
        let store = &self.parts.store;
        if store
            .begin_upload(&upload, UNFINISHED, self.now_ms())
            .await?
        {
            return Ok(upload);
        }
        Err(UploadError::TooMany(format!(
            "{UNFINISHED} uploads to this repository are unfinished; finish one, or wait: they are dropped after a day"
        )))
    }

    /// An upload of a repository, and its set once it is all there.
    ///
    /// # Errors
    /// `NotFound` when there is none, or not any more.
    pub async fn uploaded(
        &self,
        repository: &Repository,
        id: &str,
    ) -> Result<Received, UploadError> {
        let store = &self.parts.store;
        let found = store.upload(&repository.id, id).await?;
        let upload = found.ok_or(UploadError::NotFound)?;
        let set = match &upload.set {
            Some(set) => store.report_set(set).await?.map(Box::new),
            None => None,
        };
        Ok(Received { upload, set })
    }

    /// Takes a piece of an upload, from `offset` on. Of a connection that breaks it keeps what came.
    ///
    /// # Errors
    /// `Conflict` when the upload is at another offset.
    pub async fn append(
        &self,
        repository: &Repository,
        id: &str,
        offset: u64,
        body: Incoming,
        checksum: Option<Checksum>,
    ) -> Result<Received, UploadError> {
        // Of one that is not there no file is made.
        self.uploaded(repository, id).await?;
        let held = self.hold(id).await?;
        let standing = self.uploaded(repository, id).await?;
        let mut upload = standing.upload;
        if upload.received != offset {
            let received = upload.received;
            return Err(UploadError::Conflict(format!(
                "the upload is at offset {received}, not at {offset}; go on from there"
            )));
        }
        if standing.set.is_some() {
            return self.uploaded(repository, id).await;
        }
        let rest = upload.length - offset;
        let checked = checksum.is_some();
        let taken = self
            .take(id, offset, rest.min(PIECE_MAX), body, checksum)
            .await;
        let taken = match taken {
            Err(UploadError::TooLarge(_)) if rest <= PIECE_MAX => {
                let length = upload.length;
                return Err(UploadError::TooLarge(format!(
                    "the piece goes beyond the {length} bytes that the upload has"
                )));
            }
            taken => taken?,
        };
        let at = offset + taken.bytes;
        // Half of a piece has not the sum of the whole.
        let counts = taken.broken.is_none() || !checked;
        if counts && at < upload.length {
            let store = &self.parts.store;
            let now_ms = self.now_ms();
            if !store.note_received(id, offset, at, now_ms).await? {
                return Err(UploadError::NotFound);
            }
            upload.received = at;
        }
        if let Some(why) = taken.broken {
            return Err(UploadError::Broken(why));
        }
        if at < upload.length {
            return Ok(Received { upload, set: None });
        }
        let done = self.complete(&mut upload).await;
        if matches!(
            done,
            Err(UploadError::Conflict(_) | UploadError::Unprocessable(_))
        ) {
            self.parts.store.drop_upload(id).await?;
            self.discard(id).await;
        }
        drop(held);
        done
    }

    /// Writes what comes, and makes it durable.
    async fn take(
        &self,
        id: &str,
        offset: u64,
        most: u64,
        mut body: Incoming,
        checksum: Option<Checksum>,
    ) -> Result<Taken, UploadError> {
        let files = &self.parts.uploads;
        let mut taken = Taken::default();
        let mut sums = (Sha1::new(), Sha256::new());
        loop {
            let Ok(next) = tokio::time::timeout(SILENCE, body.next()).await else {
                taken.broken = Some("it came too slowly".to_owned());
                break;
            };
            let bytes = match next {
                None => break,
                Some(Ok(bytes)) => bytes,
                Some(Err(why)) => {
                    taken.broken = Some(why);
                    break;
                }
            };
            if taken.bytes + bytes.len() as u64 > most {
                let most = most >> 20;
                return Err(UploadError::TooLarge(format!(
                    "a piece has at most {most} MiB"
                )));
            }
            match &checksum {
                Some(Checksum::Sha1(_)) => sums.0.update(&bytes),
                Some(Checksum::Sha256(_)) => sums.1.update(&bytes),
                None => {}
            }
            let length = bytes.len() as u64;
            files.write(id, offset + taken.bytes, bytes).await?;
            taken.bytes += length;
        }
        let is_whole = taken.broken.is_some()
            || match checksum {
                Some(Checksum::Sha1(sum)) => sums.0.finalize().as_slice() == sum,
                Some(Checksum::Sha256(sum)) => sums.1.finalize().as_slice() == sum,
                None => true,
            };
        if !is_whole {
            return Err(UploadError::Damaged);
        }
        if taken.bytes > 0 {
            files.sync(id).await?;
        }
        Ok(taken)
    }

    /// All of it is on disk: it becomes a part of its set.
    async fn complete(&self, upload: &mut Upload) -> Result<Received, UploadError> {
        let sha256 = self.parts.uploads.close(&upload.id, upload.length).await?;
        upload.received = upload.length;
        let store = &self.parts.store;
        let now_ms = self.now_ms();
        let mut kept = store.keep_part(upload, &sha256, false, now_ms).await?;
        if let Kept::Known(_, part) = &kept
            && !self.parts.uploads.path(&part.upload)?.exists()
        {
            // Somebody deleted the file, and this is the same one.
            kept = store.keep_part(upload, &sha256, true, now_ms).await?;
        }
        let set = match kept {
            Kept::New(set) => set,
            Kept::Known(set, _) => {
                self.discard(&upload.id).await;
                set
            }
            Kept::Closed => {
                let days = upload::KEPT_MS / 86_400_000;
                return Err(UploadError::Conflict(format!(
                    "`{}` of this commit is closed: {days} days after its last part the parts are deleted; use another name",
                    upload.request.name
                )));
            }
            Kept::Full => {
                return Err(UploadError::Unprocessable(format!(
                    "`{}` of this commit has {} parts already, which is the most",
                    upload.request.name,
                    upload::PARTS
                )));
            }
        };
        upload.set = Some(set.id.clone());
        self.stir();
        Ok(Received {
            upload: upload.clone(),
            set: Some(set),
        })
    }

    /// Deletes a file; where that fails it goes with the old ones.
    async fn discard(&self, id: &str) {
        if let Err(error) = self.parts.uploads.remove(id).await {
            tracing::warn!("failed to {error}");
        }
    }
}

/// What came of reading a body.
#[derive(Default)]
struct Taken {
    bytes: u64,
    broken: Option<String>,
}

fn new(repository: &Repository, request: UploadRequest, length: u64) -> Upload {
    Upload {
        id: uuid::Uuid::new_v4().simple().to_string(),
        repository: repository.id.clone(),
        request,
        length,
        received: 0,
        set: None,
    }
}

fn empty() -> UploadError {
    UploadError::Unprocessable(
        "there is nothing in it; send a report, or a zip archive of reports".to_owned(),
    )
}

/// A refusal that does not tell of a repository that is not public.
fn hidden(repository: &Repository, why: &str) -> UploadError {
    if repository.private {
        UploadError::NotFound
    } else {
        UploadError::Forbidden(why.to_owned())
    }
}
