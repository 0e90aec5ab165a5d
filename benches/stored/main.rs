//! What it costs to serve a stored badge, against an axum route that returns the same bytes.
//!
//! `cargo bench --bench stored` fills a database with 100,000 repositories, serves it in a process of its own, and in another
//! one a route that returns one of its badges as it is. Both get the same requests over loopback, in turns. It prints the user
//! and system time of each server per request, and, at a third of the highest rate that was reached, how long requests
//! take; it ends with 1 when a stored badge costs more than 1.5 times as much.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a program for people that ends when anything is wrong"
)]

#[path = "../shared/mod.rs"]
mod shared;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing;
use herald::config::{Config, Reader};
use herald::web::{self, Web};
use herald::wire;
use hyper::body::Bytes;

use shared::{
    Connection, Row, Server, Work, ask, connect, get, keep, median, paced, percentile, press, serve,
};

const REPOSITORIES: usize = 100_000;
const ROUNDS: usize = 5;
/// How much more a stored badge may cost.
const LIMIT: f64 = 1.5;

/// The address of a badge, another one each time.
fn path(number: usize) -> String {
    let repository = number.wrapping_mul(7_919) % REPOSITORIES;
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
        routing::get(move || async move { (headers, body) }),
    )
}

/// Asks for badges.
#[derive(Clone)]
struct Look;

impl Work for Look {
    async fn carry_out(&self, connection: &mut Connection, number: usize) {
        let answer = ask(connection, get(&path(number))).await;
        assert_eq!(answer.status(), 200);
    }
}

async fn compare(arguments: &[&str]) -> ExitCode {
    let stored = Server::start(&["stored"]);
    let answer = ask(&mut stored.connect().await, get(&path(0))).await;
    assert!(answer.body().starts_with(b"<svg"), "{answer:?}");
    let plain = Server::start(&["plain", &stored.address]);
    let mut costs = [Vec::new(), Vec::new()];
    // The first time each badge is read from the database.
    let (first, _) = press(&stored, REPOSITORIES, &Look).await;
    press(&plain, REPOSITORIES, &Look).await;
    let mut top = 0_f64;
    for _ in 0..ROUNDS {
        for (server, costs) in [&stored, &plain].into_iter().zip(&mut costs) {
            let (cost, rate) = press(server, REPOSITORIES, &Look).await;
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
        let times = paced(server, rate, (rate * 5.0) as usize, &Look);
        let (p50, p99) = (percentile(&times, 50), percentile(&times, 99));
        println!(
            "{what}: half within {p50:.2} ms, 99 of 100 within {p99:.2} ms at {rate:.0} a second"
        );
    }
    let row = Row {
        what: format!("a badge over HTTP, of {REPOSITORIES} repositories"),
        herald: format!("{ours:.1} µs"),
        limit: format!("{theirs:.1} µs: the same bytes by axum"),
        times: Some(ratio),
        peers: String::new(),
    };
    keep(arguments, &[row]);
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
            let (head, body) = ask(&mut connect(address).await, get(&path(0)))
                .await
                .into_parts();
            let mut headers = head.headers;
            headers.remove("content-length");
            headers.remove("date");
            serve(plain(headers, body)).await;
        }
        _ => return compare(&arguments).await,
    }
    ExitCode::SUCCESS
}
