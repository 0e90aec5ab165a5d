//! What it costs to take in a delivery, against a handler that checks the signature, inserts, and does
//! nothing else.
//!
//! `cargo bench --bench intake` serves `POST /webhooks/github` of Herald over SQLite in a process of its own, and in
//! another one the least that is as durable (`limit.rs`). Both get the same deliveries of 30 kB over 16 connections, in turns,
//! each with a GUID of its own and a signature. The loop that handles deliveries once they are kept does not run: it
//! is not what GitHub waits for. Herald keeps of a delivery what it looks at; so there is a third server, which is the second but
//! inserts only as many bytes. It prints the user and
//! system time of each server per delivery, and how long deliveries take at half of the highest rate, beside bare
//! appends to a file with `fsync` at the same rate; it ends with 1 when a delivery costs more than twice one of both limits, or the slowest
//! of a hundred takes more than three times as long as an append. With `-- --peers FOLDER` also what Probot and
//! `@octokit/webhooks` take, which keep nothing (`npm install --prefix FOLDER probot@14 @octokit/webhooks@14`).

#![recursion_limit = "256"]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a program for people that ends when anything is wrong"
)]

mod limit;
mod payload;
#[path = "../shared/mod.rs"]
mod shared;

use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::Router;
use herald::config::{Config, Reader};
use herald::domain::Secret;
use herald::github::{kept, verify};
use herald::web::{self, Web};
use herald::wire;

use payload::Payloads;
use shared::{
    Connection, Row, Server, Work, after, ask, folder, in_turns, keep, median, paced, percentile,
    press,
};

/// How many deliveries a side gets in a round.
const DELIVERIES: usize = 6_000;
const ROUNDS: usize = 5;
/// How often each side's slowest are looked at, and for how many seconds.
const CALM: (usize, f64) = (5, 3.0);
/// How many times the limit's processor time a delivery may take, and should.
const TIMES: (f64, f64) = (2.0, 1.25);
/// How many times as long as the slowest of a hundred appends that of a hundred deliveries may take.
const SLOWEST: f64 = 3.0;
const SECRET: &str = "It's a secret to everybody";

/// Herald's routes over a new database.
async fn herald(data: &Path) -> Router {
    wire::install_crypto();
    std::fs::create_dir_all(data).unwrap();
    let settings = [("HERALD_DATA_DIR", Some(data.display().to_string()))];
    let config = Config::read(Reader::new([], settings)).unwrap();
    let store = wire::open_store(&config).await.unwrap();
    let executor = Arc::new(wire::process_executor(false).unwrap());
    let clock = Arc::new(wire::SystemClock);
    let worker = "bench".to_owned();
    let app = wire::app(&config, None, store, executor, worker, clock, true).unwrap();
    let secrets = [Secret::new(SECRET)];
    web::router(Web {
        app: Arc::new(app),
        verify: Some(Arc::new(move |body, header| verify(&secrets, body, header))),
        sign_in: None,
        setup: None,
        ready: Arc::new(AtomicBool::new(true)),
    })
}

/// Sends deliveries, each once.
#[derive(Clone)]
struct Deliver(Arc<Payloads>, u16);

impl Work for Deliver {
    async fn carry_out(&self, connection: &mut Connection, number: usize) {
        let answer = ask(connection, self.0.delivery(number)).await;
        assert_eq!(answer.status(), self.1, "{answer:?}");
    }
}

/// How much of a delivery Herald keeps, in bytes.
fn part() -> usize {
    let body = payload::pull_request(0).to_string();
    kept("pull_request", body).unwrap().len()
}

/// The median and the slowest of a hundred deliveries, in milliseconds.
fn calm(server: &Server, deliver: &Deliver, rate: f64) -> (f64, f64) {
    let count = (rate * CALM.1) as usize;
    let times = paced(server, rate, count, deliver);
    (percentile(&times, 50), percentile(&times, 99))
}

/// The same of appends with `fsync` to one file, by threads that each have a turn as a connection has.
fn appends(path: &Path, rate: f64, bytes: &[u8]) -> (f64, f64) {
    let times = in_turns(rate, (rate * CALM.1) as usize, || {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        move |_| {
            file.write_all(bytes).unwrap();
            file.sync_all().unwrap();
        }
    });
    (percentile(&times, 50), percentile(&times, 99))
}

/// Measures once the disk has what was written before.
fn settled<T>(measure: impl FnOnce() -> T) -> T {
    assert!(Command::new("sync").status().unwrap().success());
    measure()
}

/// What others take for a delivery, with what they are called.
async fn peers(folder: &Path, payloads: &Arc<Payloads>) -> Vec<(String, f64)> {
    let mut taken = Vec::new();
    for (name, script) in [
        ("Probot", include_str!("probot.mjs")),
        ("@octokit/webhooks", include_str!("octokit.mjs")),
    ] {
        let module = folder.join("node_modules").join(name.to_lowercase());
        if !module.exists() {
            println!("{name}: not in {}", folder.display());
            continue;
        }
        // Modules are looked for beside the script.
        let file = folder.join(format!("{}.mjs", module.file_name().unwrap().display()));
        std::fs::write(&file, script).unwrap();
        let mut command = Command::new("node");
        command
            .arg(&file)
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap());
        command
            .env("WEBHOOK_SECRET", SECRET)
            .env("LOG_LEVEL", "fatal");
        let server = Server::spawn(command);
        let deliver = Deliver(Arc::clone(payloads), 200);
        press(&server, DELIVERIES, &deliver).await;
        let mut costs = Vec::new();
        for _ in 0..3 {
            costs.push(press(&server, DELIVERIES, &deliver).await.0);
        }
        taken.push((name.to_owned(), median(costs)));
    }
    taken
}

/// The microseconds of a delivery and the highest rate, of each server.
async fn costs(servers: [&Server; 3], deliver: &Deliver) -> [(f64, f64); 3] {
    let mut costs = [const { Vec::new() }; 3];
    let mut rates = [0.0_f64; 3];
    for round in 0..=ROUNDS {
        for (side, server) in servers.into_iter().enumerate() {
            let (cost, rate) = press(server, DELIVERIES, deliver).await;
            // The first round fills the caches.
            if round > 0 {
                costs[side].push(cost);
                rates[side] = rates[side].max(rate);
            }
        }
    }
    let [ours, limit, little] = costs.map(median);
    [(ours, rates[0]), (limit, rates[1]), (little, rates[2])]
}

/// The median and the slowest of a hundred at this rate: of each server, and of appends to a file.
fn slowest(servers: [&Server; 2], deliver: &Deliver, file: &Path, rate: f64) -> [(f64, f64); 3] {
    let mut all = [const { (Vec::new(), Vec::new()) }; 3];
    let body = deliver.0.body();
    for _ in 0..CALM.0 {
        let measured = [
            settled(|| calm(servers[0], deliver, rate)),
            settled(|| calm(servers[1], deliver, rate)),
            settled(|| appends(file, rate, &body)),
        ];
        for ((half, slow), (p50, p99)) in all.iter_mut().zip(measured) {
            half.push(p50);
            slow.push(p99);
        }
    }
    all.map(|(half, slow)| (median(half), median(slow)))
}

async fn compare(arguments: &[&str]) -> ExitCode {
    let folder = folder("intake");
    let payloads = Arc::new(Payloads::new(SECRET));
    println!("deliveries of {} bytes", payloads.bytes());
    let start = |side: &str| Server::start(&[side, folder.join(side).to_str().unwrap()]);
    let (ours, limit, little) = (start("herald"), start("limit"), start("little"));
    let deliver = Deliver(Arc::clone(&payloads), 202);
    let servers = [&ours, &limit];
    let all = [&ours, &limit, &little];
    let [(cost, top), (least, top_limit), (least_little, top_little)] = costs(all, &deliver).await;
    drop(little);
    let (times, times_little) = (cost / least, cost / least_little);
    let rate = top / 2.0;
    let file = folder.join("appended");
    let [(p50, p99), (p50_limit, p99_limit), (p50_append, p99_append)] =
        slowest(servers, &deliver, &file, rate);
    let slow = p99 / p99_append;
    println!(
        "| | µs of the server's time | deliveries a second | half within | 99 of 100 within |"
    );
    println!("| --- | ---: | ---: | ---: | ---: |");
    println!("| Herald | {cost:.1} | {top:.0} | {p50:.2} ms | {p99:.2} ms |");
    println!(
        "| signature and insert | {least:.1} | {top_limit:.0} | {p50_limit:.2} ms | {p99_limit:.2} ms |"
    );
    println!(
        "| the same, of it {} bytes | {least_little:.1} | {top_little:.0} | | |",
        part()
    );
    println!("| append and `fsync` | | | {p50_append:.2} ms | {p99_append:.2} ms |");
    println!(
        "\n{times:.2} × and {times_little:.2} × (at most {}, goal {}); 99 of 100 at {rate:.0} a second: {slow:.2} × (at most {SLOWEST}); {:.0} MiB",
        TIMES.0,
        TIMES.1,
        ours.memory(),
    );
    let others = match after(arguments, "--peers") {
        Some(folder) => peers(Path::new(folder), &payloads).await,
        None => Vec::new(),
    };
    for (name, theirs) in &others {
        let more = theirs / cost;
        println!("{name}, which keeps nothing: {theirs:.1} µs, {more:.1} × Herald");
    }
    let said = others
        .iter()
        .map(|(name, theirs)| format!("{name} {:.1}, keeps nothing", theirs / least));
    let rows = [
        Row {
            what: "delivery of 30 kB to a durable answer".to_owned(),
            herald: format!("{cost:.0} µs"),
            limit: format!("{least:.0} µs: signature, grouped insert of all of it"),
            times: Some(times),
            peers: said.collect::<Vec<_>>().join("; "),
        },
        Row {
            what: "the same".to_owned(),
            herald: format!("{cost:.0} µs"),
            limit: format!(
                "{least_little:.0} µs: signature, grouped insert of as little as Herald keeps"
            ),
            times: Some(times_little),
            peers: String::new(),
        },
        Row {
            what: format!(
                "the slowest of 100 such, at half of the highest rate ({rate:.0} a second)"
            ),
            herald: format!("{p99:.1} ms"),
            limit: format!("{p99_append:.1} ms: append, `fsync`"),
            times: Some(slow),
            peers: String::new(),
        },
    ];
    keep(arguments, &rows);
    drop((ours, limit));
    std::fs::remove_dir_all(&folder).unwrap();
    if times.max(times_little) > TIMES.0 || slow > SLOWEST {
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
        ["herald", data] => shared::serve(herald(Path::new(data)).await).await,
        ["limit", data] => {
            shared::serve(limit::router(Path::new(data), SECRET, limit::ALL).await).await;
        }
        ["little", data] => {
            shared::serve(limit::router(Path::new(data), SECRET, part()).await).await;
        }
        _ => return compare(&arguments).await,
    }
    ExitCode::SUCCESS
}
