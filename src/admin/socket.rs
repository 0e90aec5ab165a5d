//! The socket: the server's end and the command's.

use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::request::{Answer, Request, carry_out};
use crate::app::App;

/// The socket's name in the data directory.
pub const SOCKET: &str = "admin.sock";
/// The longest line, in bytes: a value in JSON is at most six times as long as it is.
const LINE: u64 = 1024 * 1024;
/// How long each part of an exchange may take, but for work that takes its time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Opens the socket in a data directory that is ours alone; one that a former server left is
/// replaced.
///
/// # Errors
/// When the system refuses, as for a path of more than 107 bytes.
pub fn listen(data_dir: &Path) -> Result<UnixListener> {
    let path = data_dir.join(SOCKET);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600))?;
    Ok(listener)
}

/// Answers until `stop`.
pub async fn serve(
    listener: UnixListener,
    apps: watch::Receiver<Arc<App>>,
    stop: CancellationToken,
) {
    loop {
        let connection = tokio::select! {
            () = stop.cancelled() => return,
            connection = listener.accept() => connection,
        };
        match connection {
            Ok((stream, _)) => {
                // Another one when the App was registered.
                let app = Arc::clone(&apps.borrow());
                tokio::spawn(async move {
                    if let Err(error) = exchange(stream, &app).await {
                        warn!("failed to answer on {SOCKET}: {error}");
                    }
                });
            }
            Err(error) => {
                warn!("failed to accept on {SOCKET}: {error}");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn exchange(mut stream: UnixStream, app: &App) -> Result<()> {
    let line = in_time(read_line(&mut stream)).await?;
    let answer = match serde_json::from_slice::<Request>(&line) {
        Ok(request) => {
            let told = subject(&request);
            let slow = request.takes_its_time();
            let work = carry_out(app, request);
            let answer = if slow {
                work.await
            } else {
                in_time(async { Ok(work.await) }).await?
            };
            if let (Some(told), Answer::Done) = (told, &answer) {
                info!("{told}");
            }
            answer
        }
        // Not the error itself: it may quote a value.
        Err(_) => Answer::Wrong {
            text: "the server does not know this request; is it of the same version?".to_owned(),
        },
    };
    in_time(write_line(&mut stream, &answer)).await
}

async fn in_time<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let late = |_| Error::new(ErrorKind::TimedOut, "it took too long");
    tokio::time::timeout(PATIENCE, work).await.map_err(late)?
}

/// What the log says of a request that changed something.
fn subject(request: &Request) -> Option<String> {
    match request {
        Request::SetSecret {
            repository, name, ..
        } => Some(format!("secret {name} of {repository} was stored")),
        Request::RemoveSecret { repository, name } => {
            Some(format!("secret {name} of {repository} was removed"))
        }
        Request::ReplayDelivery { guid } => Some(format!("delivery {guid} is handled again")),
        Request::Approve {
            repository,
            pull,
            commit,
        } => Some(format!(
            "{commit} of pull request #{pull} of {repository} was approved"
        )),
        Request::CreateToken {
            person,
            repository,
            scope,
            ..
        } => {
            let of_person = || format!("person {}", person.unwrap_or_default());
            let holder = repository.clone().unwrap_or_else(of_person);
            Some(format!("a token to {scope} was made for {holder}"))
        }
        Request::RevokeToken { id } => Some(format!("token {id} was revoked")),
        // The first two say themselves what they did; nothing is changed by lists.
        Request::Erase { .. }
        | Request::Prune
        | Request::ListSecrets { .. }
        | Request::ListDeliveries { .. }
        | Request::ListDeeds { .. }
        | Request::ListTokens => None,
    }
}

/// Asks the server of this data directory; `None` when none runs.
///
/// # Errors
/// When the connection breaks.
pub async fn ask(data_dir: &Path, request: &Request) -> Result<Option<Answer>> {
    let mut stream = match UnixStream::connect(data_dir.join(SOCKET)).await {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    in_time(write_line(&mut stream, request)).await?;
    let line = if request.takes_its_time() {
        read_line(&mut stream).await?
    } else {
        in_time(read_line(&mut stream)).await?
    };
    Ok(Some(serde_json::from_slice(&line)?))
}

async fn write_line(stream: &mut UnixStream, value: &impl serde::Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    stream.write_all(&line).await
}

async fn read_line(stream: &mut UnixStream) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut reader = BufReader::new(stream).take(LINE);
    reader.read_until(b'\n', &mut line).await?;
    if line.pop() == Some(b'\n') {
        Ok(line)
    } else {
        let text = "the line is not whole";
        Err(Error::new(ErrorKind::UnexpectedEof, text))
    }
}
