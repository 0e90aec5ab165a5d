//! The way to the server over the network, for a runner that the server cannot attach to.
//!
//! The runner asks `GET /runner/v1/connect` for an upgrade, with a token that is good for one
//! attempt of one job; after the answer 101 both sides speak the protocol. A connection that breaks
//! is made again. The address is a number: looking names up is not for a static program.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::control::Listener;
use super::reports::{ABANDONED, Reports};
use crate::protocol::{AwaitPort, Decoder};

/// How long the server may be silent; it speaks at least every ten seconds.
const SILENCE: Duration = Duration::from_mins(1);
/// How long making a connection may take.
const DIAL: Duration = Duration::from_secs(10);
/// How long is waited between two tries.
const PAUSE: Duration = Duration::from_millis(500);
/// How long the server may turn away a runner: one that has just been started may not know yet whom
/// it waits for.
const TURNED_AWAY: Duration = Duration::from_mins(2);
/// The longest answer to the request, in bytes.
const ANSWER: u64 = 16 * 1024;

/// Where the server is, and who we are to it.
#[derive(Clone)]
pub struct Server {
    /// Its runner listener.
    pub address: SocketAddr,
    /// The token to come in with; the server gives another one for coming back, since a step may
    /// read where this one was.
    pub token: String,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Why there is no connection.
enum NoWay {
    /// The server does not want this runner any more.
    Refused,
    /// It may work later.
    Trouble,
}

/// Keeps a connection as long as the server wants one.
pub(super) fn keep(server: &Server, mut listener: Listener, reports: &Arc<Reports>) {
    let mut heard = Instant::now();
    let mut turned_away = None;
    loop {
        let token = listener.token.as_ref().unwrap_or(&server.token);
        match dial(server.address, token) {
            Ok((mut stream, output)) => {
                reports.connect(Box::new(output));
                // How it ended does not matter: another one is made, and nothing is lost by it.
                let _ = listener.listen(&mut stream, Decoder::default());
                listener.break_off();
                reports.disconnect();
                heard = Instant::now();
                turned_away = None;
            }
            Err(NoWay::Refused) => {
                let since = *turned_away.get_or_insert_with(Instant::now);
                if since.elapsed() > TURNED_AWAY {
                    return reports.give_up();
                }
            }
            Err(NoWay::Trouble) if heard.elapsed() > ABANDONED => return reports.give_up(),
            Err(NoWay::Trouble) => turned_away = None,
        }
        thread::sleep(PAUSE);
    }
}

fn dial(address: SocketAddr, token: &str) -> Result<(impl Read + use<>, TcpStream), NoWay> {
    let trouble = |_: io::Error| NoWay::Trouble;
    let mut stream = TcpStream::connect_timeout(&address, DIAL).map_err(trouble)?;
    stream.set_read_timeout(Some(SILENCE)).map_err(trouble)?;
    stream.set_write_timeout(Some(SILENCE)).map_err(trouble)?;
    stream.set_nodelay(true).map_err(trouble)?;
    let request = format!(
        "GET /runner/v1/connect HTTP/1.1\r\nHost: {address}\r\nConnection: upgrade\r\n\
         Upgrade: herald-runner\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).map_err(trouble)?;
    let output = stream.try_clone().map_err(trouble)?;
    let mut answer = BufReader::new(stream);
    let mut head = answer.by_ref().take(ANSWER);
    let mut first = String::new();
    head.read_line(&mut first).map_err(trouble)?;
    let status = first.split(' ').nth(1).unwrap_or_default().to_owned();
    loop {
        let mut line = String::new();
        let read = head.read_line(&mut line).map_err(trouble)?;
        if read == 0 {
            return Err(NoWay::Trouble);
        }
        if line.trim_end().is_empty() {
            break;
        }
    }
    match status.as_str() {
        "101" => Ok((answer, output)),
        "401" | "403" | "404" | "410" => Err(NoWay::Refused),
        _ => Err(NoWay::Trouble),
    }
}

/// Waits until a port accepts connections.
///
/// # Errors
/// Words that read after "failed to …".
pub(super) fn await_port(port: &AwaitPort) -> Result<(), String> {
    let failed = |why: &str| format!("wait for the service `{}`: {why}", port.name);
    let address: SocketAddr = port
        .address
        .parse()
        .map_err(|_| failed("it has no address"))?;
    let limit = Duration::from_millis(port.timeout_ms);
    let began = Instant::now();
    while TcpStream::connect_timeout(&address, DIAL).is_err() {
        if began.elapsed() >= limit {
            let seconds = limit.as_secs();
            let number = address.port();
            return Err(failed(&format!(
                "nothing listens on its port {number} after {seconds} s"
            )));
        }
        thread::sleep(PAUSE / 5);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::thread;

    use super::{Listener, Reports, Server, keep};

    #[test]
    fn a_runner_that_is_turned_away_comes_again() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let known = Server {
            address: server.local_addr().unwrap(),
            token: "one".to_owned(),
        };
        let (signals, told) = channel();
        let reports = Arc::new(Reports::new(None, signals.clone(), true));
        let listener = Listener::new(signals, Arc::clone(&reports));
        // It goes on until the test ends.
        thread::spawn(move || keep(&known, listener, &reports));
        for status in ["401 Unauthorized", "101 Switching Protocols"] {
            let (mut stream, _) = server.accept().unwrap();
            let request = BufReader::new(stream.try_clone().unwrap());
            let lines = request.lines().map(Result::unwrap);
            assert!(lines.take_while(|line| !line.is_empty()).count() > 3);
            write!(stream, "HTTP/1.1 {status}\r\n\r\n").unwrap();
        }
        assert_eq!(told.try_iter().count(), 0, "it has not given up");
    }
}
