//! What it costs to serve a stored badge, against an axum route that returns the same bytes.
//!
//! `cargo bench --bench stored` fills a database with 100,000 repositories, serves it in a process of its own, and in another
//! one a route that returns one of its badges as it is. Both get the same requests over loopback, in turns. It prints the user
//! and system time of each server per request, and, at a third of the highest rate that was reached, how long requests
//! take; it ends with 1 when a stored badge costs more than 1.5 times as much.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a program for people that ends when anything is wrong"
)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use herald::config::{Config, Reader};
use herald::web::{self, Web};
use herald::wire;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

const REPOSITORIES: usize = 100_000;
const REQUESTS: u64 = REPOSITORIES as u64;
const CONNECTIONS: u64 = 16;
const ROUNDS: usize = 5;
/// How much more a stored badge may cost.
const LIMIT: f64 = 1.5;

/// The address of a badge, another one each time.
fn path(number: u64) -> String {
    let repository = number.wrapping_mul(7_919) % REPOSITORIES as u64;
    format!("/badges/octo/project-{repository}/build.svg")
}

/// A database with a badge for each of so many repositories.
async fn fill(data: &std::path::Path) {
    let store = herald::store::SqlStore::sqlite(&data.join("herald.db")).await;
    drop(store.unwrap());
    sqlx::any::install_default_drivers();
    let address = format!("sqlite://{}", data.join("herald.db").display());
    let pool = sqlx::AnyPool::connect(&address).await.unwrap();
    let numbers = format!(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {REPOSITORIES})"
    );
    for statement in [
        format!(
            "{numbers} INSERT INTO repositories (id, installation, owner, name, private, default_branch) \
             SELECT 'github.com/' || i, 1, 'octo', 'project-' || i, 0, 'main' FROM n"
        ),
        format!(
            "{numbers} INSERT INTO repository_names (owner, name, repository) \
             SELECT 'octo', 'project-' || i, 'github.com/' || i FROM n"
        ),
        format!(
            "{numbers} INSERT INTO badges (repository, kind, branch, job, message, color, at_ms) \
             SELECT 'github.com/' || i, 'build', 'main', '', 'passing', 'brightgreen', 1 FROM n"
        ),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&pool)
            .await
            .unwrap();
    }
    pool.close().await;
}

/// Herald's routes over that database.
async fn stored() -> Router {
    wire::install_crypto();
    let data = std::env::temp_dir().join(format!("herald-bench-{}", std::process::id()));
    std::fs::create_dir_all(&data).unwrap();
    fill(&data).await;
    let settings = [("HERALD_DATA_DIR", Some(data.display().to_string()))];
    let config = Config::read(Reader::new([], settings)).unwrap();
    let store = wire::open_store(&config).await.unwrap();
    let executor = Arc::new(wire::process_executor(false).unwrap());
    let clock = Arc::new(wire::SystemClock);
    let worker = "bench".to_owned();
    let app = wire::app(&config, None, store, executor, worker, clock, true).unwrap();
    web::router(Web {
        app: Arc::new(app),
        verify: Some(Arc::new(|_: &[u8], _: &str| false)),
        sign_in: None,
        setup: None,
        ready: Arc::new(AtomicBool::new(true)),
    })
}

/// A route that returns these bytes with these headers.
fn plain(headers: HeaderMap, body: Bytes) -> Router {
    Router::new().route(
        "/badges/{owner}/{repo}/{file}",
        get(move || async move { (headers, body) }),
    )
}

/// Serves until it is killed, and says where.
async fn serve(router: Router) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
    axum::serve(listener, router).await.unwrap();
}

/// A server in a process of its own.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        Self {
            child,
            address: line.trim().to_owned(),
        }
    }

    /// Seconds of user and system time up to now (proc(5), `/proc/pid/stat`, 14 and 15; in hundredths).
    fn used(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let rest = stat.rsplit_once(')').unwrap().1;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
    }

    async fn connect(&self) -> SendRequest<Empty<Bytes>> {
        let stream = tokio::net::TcpStream::connect(&self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn ask(sender: &mut SendRequest<Empty<Bytes>>, path: &str) -> (HeaderMap, Bytes) {
    sender.ready().await.unwrap();
    let request = Request::get(path)
        .header("host", "localhost")
        .body(Empty::new())
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let headers = answer.headers().clone();
    (
        headers,
        answer.into_body().collect().await.unwrap().to_bytes(),
    )
}

/// As many requests as it can, over all connections: microseconds of the server's time for each, and the rate.
async fn press(server: &Server) -> (f64, f64) {
    let next = Arc::new(AtomicU64::new(0));
    let (before, begin) = (server.used(), Instant::now());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut sender = server.connect().await;
        let next = Arc::clone(&next);
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= REQUESTS {
                    return;
                }
                ask(&mut sender, &path(number)).await;
            }
        });
    }
    tasks.join_all().await;
    let seconds = begin.elapsed().as_secs_f64();
    let count = REQUESTS as f64;
    ((server.used() - before) / count * 1e6, count / seconds)
}

/// The 50th and the 99th of a hundred answers in milliseconds, at this many requests a second. A request that had to
/// wait for a connection has waited too.
async fn percentiles(server: &Server, rate: f64) -> (f64, f64) {
    let count = (rate * 5.0) as u64;
    let begin = Instant::now() + Duration::from_millis(50);
    let mut tasks = tokio::task::JoinSet::new();
    for connection in 0..CONNECTIONS {
        let mut sender = server.connect().await;
        tasks.spawn(async move {
            let mut times = Vec::new();
            for number in (connection..count).step_by(CONNECTIONS as usize) {
                let due = begin + Duration::from_secs_f64(number as f64 / rate);
                tokio::time::sleep_until(due.into()).await;
                ask(&mut sender, &path(number)).await;
                times.push(due.elapsed().as_secs_f64() * 1e3);
            }
            times
        });
    }
    let mut times: Vec<f64> = tasks.join_all().await.into_iter().flatten().collect();
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn compare() -> ExitCode {
    let stored = Server::start(&["stored"]);
    let (_, body) = ask(&mut stored.connect().await, &path(0)).await;
    assert!(body.starts_with(b"<svg"), "{body:?}");
    let plain = Server::start(&["plain", &stored.address]);
    let mut costs = [Vec::new(), Vec::new()];
    // The first time each badge is read from the database.
    let (first, _) = press(&stored).await;
    press(&plain).await;
    let mut top = 0_f64;
    for _ in 0..ROUNDS {
        for (server, costs) in [&stored, &plain].into_iter().zip(&mut costs) {
            let (cost, rate) = press(server).await;
            costs.push(cost);
            if server.address == stored.address {
                top = top.max(rate);
            }
        }
    }
    let [ours, theirs] = costs.map(median);
    let ratio = ours / theirs;
    println!("| what | µs of the server's time |\n| --- | ---: |");
    println!("| a stored badge, of {REPOSITORIES} repositories | {ours:.1} |");
    println!("| the same, read for the first time since the last commit | {first:.1} |");
    println!("| an axum route that returns the same bytes | {theirs:.1} |");
    println!("\n{ratio:.2} × (at most {LIMIT}); {top:.0} badges a second at most");
    let rate = top / 3.0;
    for (what, server) in [("stored", &stored), ("plain", &plain)] {
        let (p50, p99) = percentiles(server, rate).await;
        println!(
            "{what}: half within {p50:.2} ms, 99 of 100 within {p99:.2} ms at {rate:.0} a second"
        );
    }
    if ratio > LIMIT {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["stored"] => serve(stored().await).await,
        ["plain", address] => {
            let of = Server {
                child: Command::new("true").spawn().unwrap(),
                address: (*address).to_owned(),
            };
            let (mut headers, body) = ask(&mut of.connect().await, &path(0)).await;
            headers.remove("content-length");
            headers.remove("date");
            serve(plain(headers, body)).await;
        }
        _ => return compare().await,
    }
    ExitCode::SUCCESS
}
