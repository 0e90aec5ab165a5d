//! An upload in pieces, resumed where it broke off: also by the next call of the command, which finds it again.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, USER_AGENT};
use http::{Method, Request, StatusCode};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::screen::Screen;
use super::view;
use super::wrong;
use crate::config::{Problems, Reader, outbound};
use crate::domain::Secret;
use crate::github::{Answered, Plain};
use crate::text::address;

/// Bytes of a piece.
const PIECE: u64 = 4 << 20;
/// The largest answer that is read.
const ANSWER_MAX: usize = 1 << 20;
/// How often something is tried that the network or the server fails at, and how long is waited after the first time;
/// twice as long each time after that.
const TRIES: u32 = 5;
const WAIT: Duration = Duration::from_millis(500);

/// By what the server knows us.
pub(super) enum Proof {
    /// A token of Herald's.
    Token(Secret),
    /// A job of GitHub Actions: where it asks for a token, and with what.
    Job {
        url: String,
        key: Secret,
        /// The one that it has.
        token: Option<Secret>,
    },
}

/// Sends to one server.
pub(super) struct Sender<'a> {
    http: Plain,
    server: String,
    proof: Proof,
    screen: &'a Screen,
}

/// Why a step did not succeed.
enum Failed {
    /// It may the next time.
    Passing(String),
    /// It never will.
    Final(anyhow::Error),
}

/// Where an upload is, as far as it is known.
#[derive(Default)]
struct Standing {
    place: Option<String>,
    offset: Option<u64>,
}

impl<'a> Sender<'a> {
    /// For a server at this address.
    pub(super) fn new(server: &str, proof: Proof, screen: &'a Screen) -> anyhow::Result<Self> {
        let mut reader = Reader::new(std::env::vars(), []);
        let outbound = outbound(&mut reader);
        if !reader.problems.is_empty() {
            return Err(Problems(reader.problems).into());
        }
        Ok(Self {
            http: Plain::new(&outbound)?,
            server: server.to_owned(),
            proof,
            screen,
        })
    }

    /// Sends a file, and says what the server answers when all of it is there. `begin`: path and query of the address
    /// that begins it.
    pub(super) async fn send(&mut self, begin: &str, file: &mut File) -> anyhow::Result<Value> {
        let length = file.metadata()?.len();
        let memory = Memory::of(&self.server, begin, file)?;
        let mut standing = Standing {
            place: memory.recall(),
            offset: None,
        };
        if standing.place.is_some() {
            self.screen
                .say("an earlier upload of this is unfinished; going on with it");
        }
        let (mut tries, mut furthest) = (0, 0);
        loop {
            let failed = match self.step(begin, file, length, &mut standing, &memory).await {
                Ok(Some(answer)) => {
                    self.screen.fleeting("");
                    memory.forget();
                    return Ok(answer);
                }
                Ok(None) => {
                    // Whoever gets on, if only a little, is not stuck.
                    if standing.offset.is_some_and(|at| at > furthest) {
                        furthest = standing.offset.unwrap_or_default();
                        tries = 0;
                    }
                    continue;
                }
                Err(failed) => failed,
            };
            self.screen.fleeting("");
            let why = match failed {
                // It was there a moment ago: HEAD tells whether it is to be begun anew.
                Failed::Final(error) if is_gone(&error) && standing.place.is_some() => {
                    error.to_string()
                }
                Failed::Final(error) if is_gone(&error) => return Err(wrong(error.to_string())),
                Failed::Final(error) => return Err(error),
                Failed::Passing(why) => why,
            };
            tries += 1;
            if tries >= TRIES {
                anyhow::bail!(
                    "failed to send to {} after {tries} tries: {why}; call the command again to go on",
                    self.server,
                );
            }
            let pause = WAIT * 2_u32.pow(tries - 1);
            self.screen.say(&format!(
                "{why}; trying again in {:.1} s",
                pause.as_secs_f64()
            ));
            tokio::time::sleep(pause).await;
            // How far it came is the server's to say.
            standing.offset = None;
        }
    }

    /// One request; the answer when all is done.
    async fn step(
        &mut self,
        begin: &str,
        file: &mut File,
        length: u64,
        standing: &mut Standing,
        memory: &Memory,
    ) -> Result<Option<Value>, Failed> {
        let Some(place) = standing.place.clone() else {
            let length = length.to_string();
            let headers = [("upload-length", length.as_str())];
            let answer = self.ask(Method::POST, begin, &headers, Vec::new()).await?;
            let place = answer.headers.get(LOCATION).and_then(|at| at.to_str().ok());
            let place = place
                .filter(|place| place.starts_with('/'))
                .ok_or_else(|| {
                    Failed::Final(anyhow::anyhow!(
                        "{} is no Herald server: it does not say where the upload is",
                        self.server
                    ))
                })?;
            memory.keep(place);
            *standing = Standing {
                place: Some(place.to_owned()),
                offset: Some(0),
            };
            return Ok(None);
        };
        let at = match standing.offset {
            None => {
                let asked = self.ask(Method::HEAD, &place, &[], Vec::new()).await;
                let answer = match asked {
                    Err(Failed::Final(error)) if is_gone(&error) => {
                        memory.forget();
                        *standing = Standing::default();
                        return Ok(None);
                    }
                    asked => asked?,
                };
                standing.offset = Some(offset_of(&answer)?);
                return Ok(None);
            }
            Some(at) if at >= length => {
                let answer = self.ask(Method::GET, &place, &[], Vec::new()).await?;
                let read = serde_json::from_slice(&answer.body);
                return read.map(Some).map_err(|error| {
                    Failed::Passing(format!("the answer cannot be read: {error}"))
                });
            }
            Some(at) => at,
        };
        let bar = view::bar(at, length, 30);
        let percent = at * 100 / length.max(1);
        self.screen
            .fleeting(&format!("sending {bar} {percent} % of {}", size(length)));
        let piece = piece(file, at).map_err(|error| Failed::Final(error.into()))?;
        let offset = at.to_string();
        let headers = [
            ("upload-offset", offset.as_str()),
            (CONTENT_TYPE.as_str(), "application/offset+octet-stream"),
        ];
        let answer = self.ask(Method::PATCH, &place, &headers, piece).await?;
        standing.offset = Some(offset_of(&answer)?);
        Ok(None)
    }

    /// One request with the proof of who we are; a job's token that is too old is renewed once.
    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Answered, Failed> {
        let mut renewed = false;
        loop {
            let token = self.token().await?;
            let mut request = Request::builder()
                .method(method.clone())
                .uri(format!("{}{path}", self.server))
                .header(USER_AGENT, concat!("herald/", env!("CARGO_PKG_VERSION")))
                .header(AUTHORIZATION, format!("Bearer {}", token.expose()))
                .header("tus-resumable", "1.0.0");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(body.clone()).map_err(|error| {
                Failed::Final(wrong(format!(
                    "{} is no address of a server: {error}",
                    self.server
                )))
            })?;
            let answer = self.http.send(request, ANSWER_MAX).await;
            let answer = answer.map_err(|error| {
                Failed::Passing(format!("{} cannot be reached: {error}", self.server))
            })?;
            if answer.status.is_success() {
                return Ok(answer);
            }
            if answer.status == StatusCode::UNAUTHORIZED && !renewed && self.drop_token() {
                renewed = true;
                continue;
            }
            return Err(refused(&answer));
        }
    }

    /// Forgets a token that can be had anew.
    fn drop_token(&mut self) -> bool {
        match &mut self.proof {
            Proof::Token(_) => false,
            Proof::Job { token, .. } => token.take().is_some(),
        }
    }

    async fn token(&mut self) -> Result<Secret, Failed> {
        let (url, key) = match &self.proof {
            Proof::Token(token)
            | Proof::Job {
                token: Some(token), ..
            } => return Ok(token.clone()),
            Proof::Job { url, key, .. } => (url, key),
        };
        let joint = if url.contains('?') { '&' } else { '?' };
        let audience = address::part(&self.server);
        let request = Request::get(format!("{url}{joint}audience={audience}"))
            .header(USER_AGENT, concat!("herald/", env!("CARGO_PKG_VERSION")))
            .header(AUTHORIZATION, format!("Bearer {}", key.expose()))
            .body(Vec::new())
            .map_err(|error| {
                Failed::Final(wrong(format!(
                    "ACTIONS_ID_TOKEN_REQUEST_URL is no address: {error}"
                )))
            })?;
        let failed = |what: &dyn std::fmt::Display| {
            Failed::Passing(format!("GitHub gives the job no token: {what}"))
        };
        let answer = self.http.send(request, ANSWER_MAX).await;
        let answer = answer.map_err(|error| failed(&error))?;
        if !answer.status.is_success() {
            return Err(failed(&answer.status));
        }
        let read: Value = serde_json::from_slice(&answer.body).map_err(|error| failed(&error))?;
        let text = read.get("value").and_then(Value::as_str);
        let made = Secret::new(text.ok_or_else(|| failed(&"there is none in the answer"))?);
        if let Proof::Job { token, .. } = &mut self.proof {
            *token = Some(made.clone());
        }
        Ok(made)
    }
}

/// There is no such upload.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Gone(String);

fn is_gone(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Gone>().is_some()
}

/// What a refusal means for the next step.
fn refused(answer: &Answered) -> Failed {
    let said: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let message = said.as_ref().and_then(|said| said.get("message")?.as_str());
    let status = answer.status;
    let text = match message {
        Some(message) => format!("the server refuses it ({}): {message}", status.as_u16()),
        None => format!("the server answers {status}"),
    };
    match status {
        StatusCode::NOT_FOUND => Failed::Final(Gone(text).into()),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Failed::Passing(text),
        // Where the upload is at another place than we think, HEAD tells; where it is closed, that is said again.
        StatusCode::CONFLICT if message.is_some_and(|said| !said.contains("closed")) => {
            Failed::Passing(text)
        }
        _ if status.is_server_error() || status.as_u16() == 460 => Failed::Passing(text),
        _ => Failed::Final(wrong(text)),
    }
}

fn offset_of(answer: &Answered) -> Result<u64, Failed> {
    let text = answer
        .headers
        .get("upload-offset")
        .and_then(|at| at.to_str().ok());
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| Failed::Passing("the server does not say how far the upload is".to_owned()))
}

fn piece(file: &mut File, at: u64) -> std::io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    file.take(PIECE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// `12 KiB`, `3.4 MiB`.
pub(super) fn size(bytes: u64) -> String {
    if bytes < 1 << 20 {
        return format!("{} KiB", bytes.div_ceil(1024));
    }
    let tenths = bytes * 10 / (1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

/// Where the address of an unfinished upload is kept, if anywhere: it only helps.
struct Memory(Option<PathBuf>);

impl Memory {
    fn of(server: &str, begin: &str, file: &mut File) -> std::io::Result<Self> {
        let mut digest = Sha256::new();
        for part in [server, begin] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        file.seek(SeekFrom::Start(0))?;
        let mut block = vec![0; 64 * 1024];
        loop {
            let read = file.read(&mut block)?;
            let Some(bytes) = block.get(..read).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            digest.update(bytes);
        }
        let name: String = digest
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let folder = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let cache = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
        Ok(Self(
            cache.map(|cache| cache.join("herald/uploads").join(name)),
        ))
    }

    fn recall(&self) -> Option<String> {
        let text = fs::read_to_string(self.0.as_ref()?).ok()?;
        let place = text.trim();
        place.starts_with('/').then(|| place.to_owned())
    }

    fn keep(&self, place: &str) {
        if let Some(path) = &self.0 {
            let made = path.parent().map(fs::create_dir_all);
            if matches!(made, Some(Ok(()))) {
                // Without it, the next call begins anew.
                let _ = fs::write(path, place);
            }
        }
    }

    fn forget(&self) {
        if let Some(path) = &self.0 {
            // It may not be there.
            let _ = fs::remove_file(path);
        }
    }
}
