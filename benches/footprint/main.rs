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

#[path = "../intake/limit.rs"]
mod limit;
#[path = "../shared/mod.rs"]
mod shared;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use herald::demo::GitHub;
use herald::wire::SystemClock;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use shared::{Row, Server, after, ask, connect, folder, keep, median, memory};

const BUILDS: usize = 1_000_000;
const REPOSITORIES: usize = 1_000;
/// Deliveries of the last days, of 4 kB.
const DELIVERIES: usize = 100_000;
const ROUNDS: usize = 5;
/// How long a server is left alone.
const CALM: Duration = Duration::from_secs(5);
/// What may be and what should: MiB, seconds, and MB of both programs.
const MEMORY: (f64, f64) = (60.0, 20.0);
const START: (f64, f64) = (1.0, 0.1);
const HERALD: (f64, f64) = (30.0, 20.0);
const RUNNER: (f64, f64) = (4.0, 4.0);

/// `herald serve` as an operator starts it. It is killed when this is dropped.
struct Herald {
    child: Child,
    /// From the start of the process until `/healthz` answered, in seconds.
    started: f64,
}

impl Herald {
    async fn start(github: &str, key: &Path, data: &Path) -> Self {
        let begin = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_herald"))
            .arg("serve")
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("HERALD_LISTEN", "127.0.0.1:0")
            .env("HERALD_METRICS_LISTEN", "127.0.0.1:0")
            .env("HERALD_PUBLIC_URL", "http://herald.test")
            .env("HERALD_DATA_DIR", data)
            .env("HERALD_GITHUB_URL", github)
            .env("HERALD_GITHUB_API_URL", format!("{github}/api/v3"))
            .env("HERALD_GITHUB_APP_ID", GitHub::APP_ID.to_string())
            .env("HERALD_GITHUB_PRIVATE_KEY_FILE", key)
            .env("HERALD_GITHUB_WEBHOOK_SECRET", "It's a secret to everybody")
            .env("HERALD_PROCESS_SANDBOX", "off")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        let address = lines
            .find_map(|line| {
                let (_, address) = line.split_once("listening on http://")?;
                Some(address.trim().to_owned())
            })
            .expect("herald serve ended; its log says why");
        let request = http::Request::get("/healthz")
            .header("host", "localhost")
            .body(http_body_util::Full::default())
            .unwrap();
        let (status, _) = ask(&mut connect(&address).await, request).await;
        assert_eq!(status, 200);
        let started = begin.elapsed().as_secs_f64();
        // Somebody has to read what it says.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, started }
    }
}

impl Drop for Herald {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A database as a server of some years has it.
async fn fill(data: &Path) {
    std::fs::create_dir_all(data).unwrap();
    let file = data.join("herald.db");
    drop(herald::store::SqlStore::sqlite(&file).await.unwrap());
    sqlx::any::install_default_drivers();
    let address = format!("sqlite://{}", file.display());
    let mut on = sqlx::AnyConnection::connect(&address).await.unwrap();
    let n = |count: usize| {
        format!(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count}) INSERT INTO"
        )
    };
    let (each, builds, known) = (n(REPOSITORIES), n(BUILDS), n(DELIVERIES));
    let repository = format!("'github.com/' || (i % {REPOSITORIES})");
    for statement in [
        "PRAGMA synchronous=OFF".to_owned(),
        "BEGIN".to_owned(),
        format!(
            "{each} repositories (id, installation, owner, name, private, default_branch, last_build) \
             SELECT 'github.com/' || i, 1, 'octo', 'project-' || i, 0, 'main', {} FROM n",
            BUILDS / REPOSITORIES
        ),
        format!(
            "{each} repository_names (owner, name, repository) \
             SELECT 'octo', 'project-' || i, 'github.com/' || i FROM n"
        ),
        format!(
            "{builds} builds (id, repository, number, commit_id, tested, specification, trust, occasion, sender, \
             preparation, state, conclusion, created_ms, started_ms, finished_ms, revision, published) \
             SELECT printf('%032x', i), {repository}, 1 + i / {REPOSITORIES}, printf('%040x', i), printf('%040x', i), \
             printf('%064x', i), 'trusted', '{{}}', 1, '{{}}', 'finished', 'success', i, i, i, 5, 5 FROM n"
        ),
        format!(
            "{builds} jobs (id, build, repository, key, name, position, attempt, state, conclusion, job_order, \
             queued_ms, started_ms, finished_ms) \
             SELECT printf('%032x', i), printf('%032x', i), {repository}, 'build', 'build', 0, 1, 'finished', \
             'success', '{{}}', i, i, i FROM n"
        ),
        format!(
            "{builds} triggers (id, repository, commit_id, subject, occasion, trust, sender, state, build, \
             created_ms, due_ms) \
             SELECT printf('%032x', i), {repository}, printf('%040x', i), 'pull/' || (i / {REPOSITORIES}), '{{}}', \
             'trusted', 1, 'attached', printf('%032x', i), i, i FROM n"
        ),
        format!(
            "{builds} publications (id, repository, installation, target, commit_id, build, job, content, priority, \
             version, sent, remote, due_ms) \
             SELECT printf('%032x', i), {repository}, 1, 'check/' || i, printf('%040x', i), printf('%032x', i), \
             printf('%032x', i), printf('%0200x', i), 0, 4, 4, i, i FROM n"
        ),
        format!(
            "{known} deliveries (guid, event, body, received_ms, state, due_ms) \
             SELECT printf('%032x', i), 'push', printf('%04000x', i), i, 'handled', i FROM n"
        ),
        "COMMIT".to_owned(),
        "PRAGMA wal_checkpoint(TRUNCATE)".to_owned(),
    ] {
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut on)
            .await
            .unwrap();
    }
    on.close().await.unwrap();
}

/// Opens a database and reads one row of it.
async fn open(file: &Path) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut on = options.connect().await.unwrap();
    let read = sqlx::query_as(
        "SELECT number FROM builds WHERE repository = 'github.com/7' AND number = 500",
    );
    let (number,): (i64,) = read.fetch_one(&mut on).await.unwrap();
    println!("{number}");
}

/// The seconds from the start of a process that opens the database until it has read a row.
fn opened(data: &Path) -> f64 {
    let begin = Instant::now();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["open", data.join("herald.db").to_str().unwrap()]);
    let read = Server::spawn(command);
    assert_eq!(read.address, "500");
    begin.elapsed().as_secs_f64()
}

/// The memory of Herald and of the least server, both at rest, in MiB.
async fn idle(github: &str, key: &Path, folder: &Path) -> (f64, f64) {
    let [mut ours, mut least] = [const { Vec::new() }; 2];
    for round in 0..3 {
        let data = folder.join(format!("empty-{round}"));
        let herald = Herald::start(github, key, &data).await;
        let limit = Server::start(&[
            "limit",
            folder.join(format!("limit-{round}")).to_str().unwrap(),
        ]);
        tokio::time::sleep(CALM).await;
        ours.push(memory(herald.child.id()));
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

/// The simulated GitHub, and the key of its App in a file.
async fn github(folder: &Path) -> (String, PathBuf) {
    let github = GitHub::new(Arc::new(SystemClock)).unwrap();
    let key = folder.join("app.pem");
    std::fs::write(&key, github.private_key().expose()).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = github.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, key)
}

/// The seconds to Herald's first answer, and to a row of the same file.
async fn starts(github: &str, key: &Path, data: &Path) -> (f64, f64) {
    let [mut starts, mut opens] = [const { Vec::new() }; 2];
    for round in 0..=ROUNDS {
        // It is killed at once: what it does afterwards is not measured.
        let started = Herald::start(github, key, data).await.started;
        let opened = opened(data);
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
    let (github, key) = github(&folder).await;
    let (ours, least) = idle(&github, &key, &folder).await;
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
    fill(&data).await;
    let bytes = size(&data.join("herald.db")).unwrap();
    let (start, open) = starts(&github, &key, &data).await;
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
        ["limit", data] => shared::serve(limit::router(Path::new(data), "secret").await).await,
        ["open", file] => open(Path::new(file)).await,
        _ => return measure(&arguments).await,
    }
    ExitCode::SUCCESS
}
