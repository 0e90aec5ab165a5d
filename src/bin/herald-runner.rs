//! The small program that carries out a job inside any container image.
//!
//! Without arguments it speaks to its server on its standard streams. `attached`: the same, with a
//! server that may be replaced. `connect`: over the network, as the environment and a secret say.
//! `install FOLDER`: copies itself there, and stays. `--version`.

use std::fs::File;
use std::io::{Write, stderr, stdin, stdout};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::exit;

use herald::runner::{Options, Server, install, rest, run, run_connected};
use serde::Deserialize;

/// What the secret of an attempt holds.
#[derive(Deserialize)]
struct Attempt {
    token: String,
    secrets: Vec<(String, String)>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => exit(on_streams(&Options::default())),
        ["attached"] => exit(on_streams(&Options {
            resumable: true,
            ..Options::default()
        })),
        ["connect", address, secret] => match connect(address, Path::new(secret)) {
            Ok(status) => exit(status),
            Err(reason) => fail(&reason),
        },
        ["install", folder] => match install(Path::new(folder)) {
            Ok(()) => rest(),
            Err(error) => fail(&format!("install the runner in {folder}: {error}")),
        },
        ["--version"] => {
            let _ = writeln!(stdout(), "herald-runner {}", env!("CARGO_PKG_VERSION"));
        }
        _ => fail(
            "understand the arguments; there are: attached, connect ADDRESS SECRET-FILE, \
             install FOLDER, --version",
        ),
    }
}

fn on_streams(options: &Options) -> i32 {
    // Unbuffered: the runner writes whole frames.
    let streams = (
        stdin().as_fd().try_clone_to_owned(),
        stdout().as_fd().try_clone_to_owned(),
    );
    let (Ok(input), Ok(output)) = streams else {
        return 2;
    };
    run(File::from(input), File::from(output), options)
}

fn connect(address: &str, secret: &Path) -> Result<i32, String> {
    let address = address
        .parse()
        .map_err(|_| format!("connect to {address}: it is no address and port"))?;
    let text =
        std::fs::read(secret).map_err(|error| format!("read {}: {error}", secret.display()))?;
    let attempt: Attempt = serde_json::from_slice(&text)
        .map_err(|_| format!("read {}: it is no secret of Herald", secret.display()))?;
    let server = Server {
        address,
        token: attempt.token,
    };
    let options = Options {
        resumable: true,
        secrets: attempt.secrets,
        ..Options::default()
    };
    Ok(run_connected(server, &options))
}

fn fail(reason: &str) -> ! {
    let _ = writeln!(stderr(), "herald-runner: failed to {reason}");
    exit(2)
}
