//! What Herald takes while it does nothing: memory, the time to its first answer, and room on the disk.
//!
//! `cargo bench --bench footprint` starts `herald serve` beside a simulated GitHub: with an empty data directory, where it is
//! left alone for five seconds before its memory is read; and with a database of a million builds, where it is the time from
//! the start of the process until `/healthz` answers. The limits are the memory of the least server that takes in deliveries
//! durably (`benches/intake/limit.rs`), and a process that opens the same file with SQLite and selects one row; both are
//! started in turns with Herald. Sizes are those of the programs that `cargo bench` builds, or of the files that `-- --herald FILE
//! --runner FILE` name (`deploy/release` makes them). It ends with 1 when memory is over 60 MiB, the start takes more than a
//! second, or a program is over 30 MB or 4 MB. With `-- --peers FOLDER` also the memory of Probot
//! (`npm install --prefix FOLDER probot@14`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a program for people that ends when anything is wrong"
)]

#[path = "../shared/aged.rs"]
mod aged;
#[path = "../intake/limit.rs"]
mod limit;
#[path = "../shared/real.rs"]
mod real;
#[path = "../shared/mod.rs"]
mod shared;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use sqlx::ConnectOptions;

use aged::Age;
use real::{Forge, Herald};
use shared::{Row, Server, after, folder, keep, median};

const BUILDS: usize = 1_000_000;
const REPOSITORIES: usize = 1_000;
/// Deliveries of the last days.
const DELIVERIES: usize = 100_000;
const ROUNDS: usize = 5;
/// How long a server is left alone.
const CALM: Duration = Duration::from_secs(5);
/// What may be and what should: MiB, seconds, and MB of both programs.
const MEMORY: (f64, f64) = (60.0, 20.0);
const START: (f64, f64) = (1.0, 0.1);
const HERALD: (f64, f64) = (30.0, 20.0);
const RUNNER: (f64, f64) = (4.0, 4.0);

/// Opens a database and reads one row of it.
async fn open(file: &Path, repository: &str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut on = options.connect().await.unwrap();
    let read = sqlx::query_as("SELECT number FROM builds WHERE repository = $1 AND number = 500");
    let read = read.bind(repository).fetch_one(&mut on);
    let (number,): (i64,) = read.await.unwrap();
    println!("{number}");
}

/// The seconds from the start of a process that opens the database until it has read a row.
fn opened(forge: &Forge, data: &Path) -> f64 {
    let begin = Instant::now();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("open").arg(data.join("herald.db"));
    command.arg(format!("{}/7", forge.host));
    let read = Server::spawn(command);
    assert_eq!(read.address, "500");
    begin.elapsed().as_secs_f64()
}

/// The memory of Herald and of the least server, both at rest, in MiB.
async fn idle(forge: &Forge, folder: &Path) -> (f64, f64) {
    let [mut ours, mut least] = [const { Vec::new() }; 2];
    for round in 0..3 {
        let data = folder.join(format!("empty-{round}"));
        let herald = Herald::start(forge, &data).await;
        let limit = Server::start(&[
            "limit",
            folder.join(format!("limit-{round}")).to_str().unwrap(),
        ]);
        tokio::time::sleep(CALM).await;
        ours.push(herald.server.memory());
        least.push(limit.memory());
    }
    (median(ours), median(least))
}

/// The memory of a Probot that does nothing.
async fn probot(folder: &Path) -> Option<f64> {
    if !folder.join("node_modules/probot").exists() {
        println!("probot: not in {}", folder.display());
        return None;
    }
    let file = folder.join("probot.mjs");
    std::fs::write(&file, include_str!("../intake/probot.mjs")).unwrap();
    let mut command = Command::new("node");
    command
        .arg(&file)
        .env("WEBHOOK_SECRET", "secret")
        .env("LOG_LEVEL", "fatal");
    let server = Server::spawn(command);
    tokio::time::sleep(CALM).await;
    Some(server.memory())
}

/// The size of a program in MB, where it is there.
fn size(file: &Path) -> Option<f64> {
    let bytes = std::fs::metadata(file).ok()?.len();
    Some(bytes as f64 / 1e6)
}

/// The seconds to Herald's first answer, and to a row of the same file.
async fn starts(forge: &Forge, data: &Path) -> (f64, f64) {
    let [mut starts, mut opens] = [const { Vec::new() }; 2];
    for round in 0..=ROUNDS {
        // It is killed at once: what it does afterwards is not measured.
        let started = Herald::start(forge, data).await.started;
        let opened = opened(forge, data);
        // The first round fills the caches.
        if round > 0 {
            starts.push(started);
            opens.push(opened);
        }
    }
    (median(starts), median(opens))
}

fn row(what: &str, herald: String, limit: String, times: Option<f64>) -> Row {
    Row {
        what: what.to_owned(),
        herald,
        limit,
        times,
        peers: String::new(),
    }
}

/// Prints the sizes of both programs; whether they are small enough, and their rows.
fn sizes(arguments: &[&str]) -> (bool, Vec<Row>) {
    let runner = PathBuf::from("target/x86_64-unknown-linux-gnu/runner/herald-runner");
    let file = |name: &str, other: PathBuf| after(arguments, name).map_or(other, PathBuf::from);
    let programs = [
        (
            "herald",
            file("--herald", env!("CARGO_BIN_EXE_herald").into()),
            HERALD,
        ),
        ("herald-runner", file("--runner", runner), RUNNER),
    ];
    let (mut good, mut rows) = (true, Vec::new());
    for (name, file, (most, goal)) in programs {
        let Some(size) = size(&file) else {
            println!("{name}: not built; see the README");
            continue;
        };
        println!("{name}: {size:.1} MB (at most {most}, goal {goal})");
        good &= size <= most;
        let size = format!("{size:.1} MB");
        rows.push(row(&format!("size of `{name}`"), size, String::new(), None));
    }
    (good, rows)
}

async fn measure(arguments: &[&str]) -> ExitCode {
    let folder = folder("footprint");
    let forge = Forge::new(&folder, |router| router).await;
    let (ours, least) = idle(&forge, &folder).await;
    println!(
        "idle: {ours:.1} MiB (at most {}, goal {}); the least server: {least:.1} MiB",
        MEMORY.0, MEMORY.1
    );
    let peer = match after(arguments, "--peers") {
        Some(folder) => probot(Path::new(folder)).await,
        None => None,
    };
    if let Some(theirs) = peer {
        println!("a Probot: {theirs:.1} MiB");
    }

    let data = folder.join("full");
    let age = Age {
        host: &forge.host,
        repositories: REPOSITORIES,
        builds: BUILDS,
        deliveries: DELIVERIES,
    };
    age.fill(&data).await;
    let bytes = size(&data.join("herald.db")).unwrap();
    let (start, open) = starts(&forge, &data).await;
    println!(
        "start with {BUILDS} builds ({bytes:.0} MB): {start:.3} s (at most {}, goal {}); opening and one row: {open:.3} s",
        START.0, START.1
    );
    let limit = format!("{least:.0} MiB: the least server for deliveries");
    let mut memory = row(
        "memory of an idle server",
        format!("{ours:.0} MiB"),
        limit,
        Some(ours / least),
    );
    memory.peers = peer.map_or_else(String::new, |peer| format!("Probot {:.1}", peer / least));
    let limit = format!("{open:.2} s: open the file, read one row");
    let start_row = row(
        "start with a million builds, to the first answer",
        format!("{start:.2} s"),
        limit,
        Some(start / open),
    );
    let (small, sizes) = sizes(arguments);
    let mut rows = vec![memory, start_row];
    rows.extend(sizes);
    keep(arguments, &rows);
    std::fs::remove_dir_all(&folder).unwrap();
    if !small || ours > MEMORY.0 || start > START.0 {
        println!("A limit is broken.");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["limit", data] => {
            shared::serve(limit::router(Path::new(data), "secret", limit::ALL).await).await;
        }
        ["open", file, repository] => open(Path::new(file), repository).await,
        _ => return measure(&arguments).await,
    }
    ExitCode::SUCCESS
}
