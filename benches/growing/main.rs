//! What it costs to have very many repositories: `herald serve` with 100,000 of them and a million builds, beside the
//! same with a hundred and a thousand.
//!
//! `cargo bench --bench growing` starts the real program on such a database, beside a simulated GitHub, and sends it
//! deliveries of 30 kB, 25, 50 and 100 a second for twenty seconds each. One of two hundred is the head of a pull request
//! of a repository that was not heard of before in the run, which is fetched by git and built by a job that does
//! nothing; the others want nothing, but a third of them (a pull request is closed) is looked up. It prints the user and system time of the server per delivery (that of git and of
//! the jobs apart), how long the deliveries took to be answered, and how long after its delivery the first check of
//! a head arrived at GitHub, and the conclusion of its build. It ends with 1 when a build has no conclusion, or the large server takes more
//! than twice the time of the small one for a delivery.

#![recursion_limit = "256"]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    reason = "a program for people that ends when anything is wrong"
)]

#[path = "../shared/aged.rs"]
mod aged;
#[path = "../intake/payload.rs"]
mod payload;
#[path = "../shared/real.rs"]
mod real;
#[path = "../shared/mod.rs"]
mod shared;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use herald::demo::{Project, State as GitHubState};
use serde_json::Value;

use aged::Age;
use real::{Forge, Herald, SECRET};
use shared::{Connection, Row, Work, ask, folder, keep, paced, percentile};

/// Repositories and builds.
const SIZES: [(usize, usize); 2] = [(100, 1_000), (100_000, 1_000_000)];
/// Deliveries a second.
const RATES: [usize; 3] = [25, 50, 100];
/// For so long each.
const SECONDS: usize = 20;
/// One of so many is built: each needs four tokens of the 160 that an App may make in a minute, of which a part counts as
/// used after a start.
const EVERY: usize = 200;
/// How many are built in all.
const BUILT: usize = ((RATES[0] + RATES[1] + RATES[2]) * SECONDS).div_ceil(EVERY);
/// How many times the time of the small server the large one may take for a delivery.
const TIMES: f64 = 2.0;
/// How long builds may take to end after the last delivery.
const PATIENCE: Duration = Duration::from_mins(1);

/// When something of a repository happened.
type Moments = Arc<Mutex<HashMap<usize, Instant>>>;

/// What GitHub was told, of each repository.
#[derive(Clone, Default)]
struct Told {
    /// When it had its first check.
    first: Moments,
    /// When one of its checks was completed last.
    completed: Moments,
    /// How long GitHub took to answer when a token was asked for, and when a check was made, in milliseconds.
    answers: Arc<Mutex<[Vec<f64>; 2]>>,
}

/// The number in `/…/repos/octo/project-7/check-runs…`.
fn of_checks(path: &str) -> Option<usize> {
    let (_, rest) = path.split_once("/repos/octo/project-")?;
    let (number, rest) = rest.split_once('/')?;
    rest.starts_with("check-runs")
        .then(|| number.parse().ok())?
}

/// Notes when checks come, and what answers take.
async fn listen(State(told): State<Told>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let number = of_checks(path).filter(|_| request.method() != "GET");
    let answered = match number {
        Some(_) if request.method() == "POST" => Some(1),
        None if path.ends_with("/access_tokens") => Some(0),
        _ => None,
    };
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let begin = Instant::now();
    if let Some(number) = number {
        let check: Value = serde_json::from_slice(&body).unwrap();
        told.first.lock().unwrap().entry(number).or_insert(begin);
        if check["status"] == "completed" {
            told.completed.lock().unwrap().insert(number, begin);
        }
    }
    let answer = next.run(Request::from_parts(head, Body::from(body))).await;
    if let Some(which) = answered {
        let took = begin.elapsed().as_secs_f64() * 1e3;
        told.answers.lock().unwrap()[which].push(took);
    }
    answer
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(folder).args(arguments);
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "Mona");
        command.env(format!("GIT_{role}_EMAIL"), "mona@herald.test");
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A bare repository with a commit on `main` and one upon it.
fn repository(folder: &Path) -> (PathBuf, [String; 2]) {
    let tree = folder.join("tree");
    std::fs::create_dir(&tree).unwrap();
    git(&tree, &["init", "-q", "-b", "main", "."]);
    std::fs::write(tree.join(".herald.yml"), "execute: [exit 0]\n").unwrap();
    git(&tree, &["add", "-A"]);
    git(&tree, &["commit", "-q", "-m", "begin"]);
    let base = git(&tree, &["rev-parse", "HEAD"]);
    git(&tree, &["commit", "-q", "--allow-empty", "-m", "change"]);
    let head = git(&tree, &["rev-parse", "HEAD"]);
    let bare = folder.join("project.git");
    git(
        folder,
        &["clone", "-q", "--bare", "tree", bare.to_str().unwrap()],
    );
    (bare, [base, head])
}

/// What is sent to a server of so many repositories.
#[derive(Clone)]
struct Load {
    repositories: usize,
    commits: Arc<[String; 2]>,
    /// How many were sent before.
    sent: usize,
    /// When a head was sent.
    heads: Moments,
}

impl Load {
    /// The repository of the head that is the `number`th, all over their range.
    fn of_head(&self, number: usize) -> usize {
        number * self.repositories / BUILT
    }

    /// The repository that a delivery is of, and its payload.
    fn payload(&self, number: usize) -> (usize, Value) {
        let number = self.sent + number;
        let builds = number.is_multiple_of(EVERY);
        let repository = if builds {
            self.of_head(number / EVERY)
        } else {
            number * 7_919 % self.repositories
        };
        let mut payload = payload::pull_request(number);
        let name = format!("project-{repository}");
        let [base, head] = &*self.commits;
        let at = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let action = match number % 3 {
            _ if builds => "opened",
            0 => "closed",
            _ => "labeled",
        };
        // What is built is another pull request than those of which something else is told.
        let pull = if builds { 1 } else { 2 };
        payload["action"] = action.into();
        payload["number"] = pull.into();
        payload["installation"]["id"] = (1 + repository).into();
        payload["repository"]["id"] = repository.into();
        payload["repository"]["full_name"] = format!("octo/{name}").into();
        payload["repository"]["name"] = name.into();
        let known = payload["repository"].clone();
        payload["pull_request"]["number"] = pull.into();
        let pull = &mut payload["pull_request"];
        pull["updated_at"] = at.into();
        for (side, commit) in [("base", base), ("head", head)] {
            pull[side]["sha"] = commit.clone().into();
            pull[side]["repo"] = known.clone();
        }
        (repository, payload)
    }
}

impl Work for Load {
    async fn carry_out(&self, connection: &mut Connection, number: usize) {
        let (repository, payload) = self.payload(number);
        let delivery = payload::delivery(&payload, SECRET);
        if payload["action"] == "opened" {
            let now = Instant::now();
            self.heads.lock().unwrap().insert(repository, now);
        }
        let answer = ask(connection, delivery).await;
        assert_eq!(answer.status(), 202, "{answer:?}");
    }
}

/// Half and 99 of 100, in milliseconds.
type Spread = (f64, f64);

fn spread(mut times: Vec<f64>) -> Spread {
    times.sort_by(f64::total_cmp);
    (percentile(&times, 50), percentile(&times, 99))
}

/// How long after its head each of these happened.
fn since(heads: &Moments, moments: &Moments) -> Spread {
    let (heads, moments) = (heads.lock().unwrap(), moments.lock().unwrap());
    let after = |(number, sent): (&usize, &Instant)| {
        let at = moments.get(number).expect("every head has checks");
        at.duration_since(*sent).as_secs_f64() * 1e3
    };
    spread(heads.iter().map(after).collect())
}

/// What was measured at one rate.
struct Measured {
    /// Microseconds of the server's time for a delivery, and of its children's.
    costs: [f64; 2],
    answer: Spread,
    first: Spread,
    end: Spread,
    memory: f64,
}

/// Sends at a rate until all is built.
async fn measure(
    herald: &Herald,
    forge: &Forge,
    told: &Told,
    load: &Load,
    rate: usize,
) -> Measured {
    let server = &herald.server;
    let count = rate * SECONDS;
    let before = server.used_with_children();
    let answer = paced(server, rate as f64, count, load);
    let heads = load.heads.lock().unwrap().len();
    let all = |state: &GitHubState| {
        let green = |check: &&herald::demo::Check| check.conclusion.as_deref() == Some("success");
        let ended = state.checks.iter().filter(|check| check.name == "herald");
        let open = state.checks.iter().any(|check| check.status != "completed");
        !open && ended.filter(green).count() == (load.sent + count).div_ceil(EVERY)
    };
    let done = tokio::time::timeout(PATIENCE, forge.github.until(all)).await;
    assert!(done.is_ok(), "not all of {heads} heads were built");
    let after = server.used_with_children();
    let cost = |of: usize| (after[of] - before[of]) / count as f64 * 1e6;
    Measured {
        costs: [cost(0), cost(1)],
        answer: (percentile(&answer, 50), percentile(&answer, 99)),
        first: since(&load.heads, &told.first),
        end: since(&load.heads, &told.completed),
        memory: server.memory(),
    }
}

/// All rates on a server of this size.
async fn grown(folder: &Path, (repositories, builds): (usize, usize)) -> (Vec<Measured>, f64) {
    let folder = folder.join(repositories.to_string());
    std::fs::create_dir(&folder).unwrap();
    let told = Told::default();
    let listening = told.clone();
    let around = |router: Router| router.layer(from_fn_with_state(listening, listen));
    let forge = Forge::new(&folder, around).await;
    let (bare, commits) = repository(&folder);
    let mut load = Load {
        repositories,
        commits: Arc::new(commits),
        sent: 0,
        heads: Moments::default(),
    };
    {
        let mut state = forge.github.state();
        state.installations.extend(1..=repositories as i64);
        let projects = (0..BUILT).map(|number| load.of_head(number));
        state.projects.extend(projects.map(|number| Project {
            id: number as i64,
            owner: "octo".to_owned(),
            name: format!("project-{number}"),
            private: false,
            default_branch: "main".to_owned(),
            git_dir: bare.clone(),
        }));
    }
    let age = Age {
        host: &forge.host,
        repositories,
        builds,
        deliveries: builds / 10,
    };
    let data = folder.join("data");
    age.fill(&data).await;
    let herald = Herald::start(&forge, &data).await;
    let mut all = Vec::new();
    for rate in RATES {
        load.heads = Moments::default();
        let measured = measure(&herald, &forge, &told, &load, rate).await;
        load.sent += rate * SECONDS;
        let Measured {
            costs: [own, others],
            answer,
            first,
            end,
            memory,
        } = &measured;
        println!(
            "| {repositories} | {builds} | {rate} | {own:.0} | {others:.0} | {:.1}, {:.1} | {:.0}, {:.0} | {:.0}, {:.0} | {memory:.0} |",
            answer.0, answer.1, first.0, first.1, end.0, end.1
        );
        all.push(measured);
    }
    let answers = std::mem::take(&mut *told.answers.lock().unwrap());
    (all, answers.map(|times| spread(times).0).iter().sum())
}

async fn compare(arguments: &[&str]) -> ExitCode {
    let folder = folder("growing");
    println!(
        "| repositories | builds | deliveries a second | µs of the server for one | of git and jobs | \
         answered within ms, half and 99 of 100 | first check | conclusion | MiB |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let (few, _) = grown(&folder, SIZES[0]).await;
    let (many, request) = grown(&folder, SIZES[1]).await;
    std::fs::remove_dir_all(&folder).unwrap();
    let (Some(few), Some(many)) = (few.last(), many.last()) else {
        unreachable!("there are rates");
    };
    let times = many.costs[0] / few.costs[0];
    let (rate, least) = (RATES[RATES.len() - 1], many.answer.0 + request);
    println!(
        "\n{times:.2} × the time with {} repositories (at most {TIMES}); GitHub takes {request:.1} ms for a token and a check",
        SIZES[0].0
    );
    let [repositories, small] = [SIZES[1].0, SIZES[0].0];
    let rows = [
        Row {
            what: format!("{rate} deliveries a second, {repositories} repositories"),
            herald: format!("{:.0} µs each", many.costs[0]),
            limit: format!("{:.0} µs: with {small} repositories", few.costs[0]),
            times: Some(times),
            peers: String::new(),
        },
        Row {
            what: "delivery to the first check, in that".to_owned(),
            herald: format!("{:.0} ms", many.first.0),
            limit: format!("{least:.1} ms: its answer, and GitHub's to two requests"),
            times: Some(many.first.0 / least),
            peers: String::new(),
        },
    ];
    keep(arguments, &rows);
    if times > TIMES {
        println!("A limit is broken.");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    compare(&arguments).await
}
