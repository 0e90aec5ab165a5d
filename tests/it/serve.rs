//! The real program: `herald serve` as a process, against a simulated GitHub on loopback with a
//! real git repository, building with the real executor.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use herald::demo::{Check, GitHub, Project, State, delivery_headers};
use herald::wire::SystemClock;
use http_body_util::BodyExt;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::world::git;

/// How long anything may take before the test says what it waited for.
const PATIENCE: Duration = Duration::from_mins(3);

/// A switch of `tests/run --all`: what it names is there, or the test fails.
pub(crate) fn switch(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The simulated GitHub with one repository, and a working copy to commit in.
pub(crate) struct Forge {
    pub(crate) github: GitHub,
    pub(crate) url: String,
    pub(crate) project: Project,
    pub(crate) tree: PathBuf,
    pub(crate) dir: tempfile::TempDir,
}

impl Forge {
    pub(crate) async fn new(private: bool) -> Self {
        Self::named("octo", "project", private).await
    }

    pub(crate) async fn named(owner: &str, name: &str, private: bool) -> Self {
        Self::at("127.0.0.1", owner, name, private).await
    }

    /// On this address of the machine, by which containers may reach it.
    pub(crate) async fn at(address: &str, owner: &str, name: &str, private: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        let bare = dir.path().join("project.git");
        std::fs::create_dir(&tree).unwrap();
        let init = ["init", "-q", "--bare", "-b", "main", bare.to_str().unwrap()];
        git(&tree, &init);
        git(&tree, &["init", "-q", "-b", "main", "."]);
        git(&tree, &["remote", "add", "origin", bare.to_str().unwrap()]);
        let github = GitHub::new(Arc::new(SystemClock)).unwrap();
        let project = github.add_project(owner, name, private, &bare);
        let listener = tokio::net::TcpListener::bind((address, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = github.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            github,
            url,
            project,
            tree,
            dir,
        }
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.tree.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Commits everything on the current branch, pushes it, and says the commit.
    pub(crate) fn commit(&self, words: &str) -> String {
        git(&self.tree, &["add", "-A"]);
        git(&self.tree, &["commit", "-q", "--allow-empty", "-m", words]);
        git(&self.tree, &["push", "-q", "-f", "origin", "HEAD"]);
        git(&self.tree, &["rev-parse", "HEAD"])
    }

    pub(crate) fn branch(&self, name: &str) {
        git(&self.tree, &["checkout", "-q", "-B", name]);
    }

    /// A delivery about pull request 7.
    pub(crate) fn pull_request(&self, action: &str, head: &str, base: &str) -> Value {
        let (head, base) = (("change", head), ("main", base));
        self.github
            .pull_request(&self.project, action, 7, head, base)
    }

    /// Waits until the state is as wished.
    pub(crate) async fn until(&self, what: &str, wish: impl Fn(&State) -> bool) {
        let waiting = self.github.until(wish);
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            let state = self.github.state();
            panic!(
                "waited for {what}; GitHub has {:#?} {:#?}",
                state.checks, state.statuses
            );
        }
    }

    /// Waits until the newest check run of this name on the commit is completed.
    pub(crate) async fn completed(&self, commit: &str, name: &str) -> Check {
        self.until(&format!("{name} on {commit}"), |state| {
            state
                .checks_of(commit, name)
                .last()
                .is_some_and(|check| check.status == "completed")
        })
        .await;
        let state = self.github.state();
        (*state.checks_of(commit, name).last().unwrap()).clone()
    }
}

/// `herald serve` as a process. Killed when it is dropped.
pub(crate) struct Herald {
    pub(crate) child: Child,
    pub(crate) address: String,
    pub(crate) metrics: String,
    pub(crate) log: Arc<Mutex<String>>,
}

impl Herald {
    pub(crate) fn command(forge: &Forge) -> Command {
        let key = forge.dir.path().join("app.pem");
        std::fs::write(&key, forge.github.private_key().expose()).unwrap();
        let sandbox = if switch("HERALD_TEST_BWRAP").is_some() {
            "required"
        } else {
            "off"
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_herald"));
        command
            .arg("serve")
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("HERALD_LISTEN", "127.0.0.1:0")
            .env("HERALD_METRICS_LISTEN", "127.0.0.1:0")
            .env("HERALD_PUBLIC_URL", "http://herald.test")
            .env("HERALD_DATA_DIR", forge.dir.path().join("data"))
            .env("HERALD_GITHUB_URL", &forge.url)
            .env("HERALD_GITHUB_API_URL", format!("{}/api/v3", forge.url))
            .env("HERALD_GITHUB_APP_ID", GitHub::APP_ID.to_string())
            .env("HERALD_GITHUB_PRIVATE_KEY_FILE", key)
            .env(
                "HERALD_GITHUB_WEBHOOK_SECRET",
                forge.github.webhook_secret().expose(),
            )
            .env("HERALD_PROCESS_SANDBOX", sandbox)
            .env("HERALD_MAX_CONCURRENT_JOBS", "2")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn start(forge: &Forge) -> Self {
        Self::spawn(Self::command(forge))
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let (mut address, mut metrics) = (None, None);
        while metrics.is_none() {
            let line = lines
                .next()
                .unwrap_or_else(|| panic!("herald ended: {}", log.lock().unwrap()))
                .unwrap();
            address = address.or_else(|| after(&line, "listening on http://"));
            metrics = after(&line, "metrics on http://");
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut log = kept.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self {
            child,
            // One that only works has none.
            address: address.unwrap_or_default(),
            metrics: metrics.unwrap(),
            log,
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(id, signal).unwrap();
    }

    /// SIGKILL, and waits for the end.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signed delivery and says the status of the answer.
    pub(crate) async fn deliver(&self, forge: &Forge, event: &str, payload: &Value) -> u16 {
        let guid = uuid::Uuid::new_v4().to_string();
        self.deliver_as(forge, event, &guid, payload).await
    }

    pub(crate) async fn deliver_as(
        &self,
        forge: &Forge,
        event: &str,
        guid: &str,
        payload: &Value,
    ) -> u16 {
        deliver_to(&self.address, forge, event, guid, payload).await
    }

    /// The same; `None` when the connection ends without an answer.
    pub(crate) async fn try_to_deliver(
        &self,
        forge: &Forge,
        event: &str,
        guid: &str,
        payload: &Value,
    ) -> Option<u16> {
        try_to_deliver_to(&self.address, forge, event, guid, payload).await
    }

    /// Asks with a token, as `GET` or `POST`.
    pub(crate) async fn ask(&self, method: &str, path: &str, token: &str) -> (u16, String) {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "herald")
            .header("authorization", format!("Bearer {token}"))
            .body(String::new())
            .unwrap();
        request_to(&self.address, request).await
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        get_from(&self.address, path).await
    }

    /// Delivers an action on pull request 7, and waits for the end of its build.
    pub(crate) async fn built(&self, forge: &Forge, action: &str, head: &str, base: &str) -> Check {
        self.open_pull_request(forge, action, head, base).await;
        forge.completed(head, "herald").await
    }

    pub(crate) async fn open_pull_request(
        &self,
        forge: &Forge,
        action: &str,
        head: &str,
        base: &str,
    ) {
        let payload = forge.pull_request(action, head, base);
        assert_eq!(self.deliver(forge, "pull_request", &payload).await, 202);
    }
}

impl Drop for Herald {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.log.lock().unwrap());
        }
    }
}

fn after(line: &str, mark: &str) -> Option<String> {
    // A log in JSON goes on behind it.
    line.split_once(mark)
        .map(|(_, rest)| rest.split('"').next().unwrap().trim().to_owned())
}

/// Sends a signed delivery to a server and says the status of the answer.
pub(crate) async fn deliver_to(
    address: &str,
    forge: &Forge,
    event: &str,
    guid: &str,
    payload: &Value,
) -> u16 {
    let answer = try_to_deliver_to(address, forge, event, guid, payload);
    answer.await.unwrap()
}

/// The same; `None` when the connection ends without an answer.
pub(crate) async fn try_to_deliver_to(
    address: &str,
    forge: &Forge,
    event: &str,
    guid: &str,
    payload: &Value,
) -> Option<u16> {
    let body = payload.to_string();
    let secret = forge.github.webhook_secret();
    let headers = delivery_headers(secret, event, guid, body.as_bytes());
    let mut request = http::Request::post("/webhooks/github").header("host", "herald");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let answer = try_to_request(address, request.body(body).unwrap()).await;
    answer.ok().map(|(status, _)| status)
}

/// Asks a server.
pub(crate) async fn get_from(address: &str, path: &str) -> (u16, String) {
    request_to(address, get(path)).await
}

/// The same; `None` when the connection ends without an answer, or there is none.
pub(crate) async fn try_to_get_from(address: &str, path: &str) -> Option<(u16, String)> {
    try_to_request(address, get(path)).await.ok()
}

fn get(path: &str) -> http::Request<String> {
    http::Request::get(path)
        .header("host", "herald")
        .body(String::new())
        .unwrap()
}

/// One HTTP/1.1 request on a connection of its own.
async fn request_to(address: &str, request: http::Request<String>) -> (u16, String) {
    try_to_request(address, request).await.unwrap()
}

async fn try_to_request(
    address: &str,
    request: http::Request<String>,
) -> Result<(u16, String), Box<dyn std::error::Error + Send + Sync>> {
    let stream = tokio::net::TcpStream::connect(address).await?;
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

pub(crate) fn copy_dir(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(target).unwrap();
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Path, line and title of an annotation.
pub(crate) fn place(annotation: &Value) -> (&str, i64, &str) {
    (
        annotation["path"].as_str().unwrap(),
        annotation["start_line"].as_i64().unwrap(),
        annotation["title"].as_str().unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_pytest_project_is_built_and_reported() {
    let Some(python) = switch("HERALD_TEST_PYTHON") else {
        return;
    };
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pytest-project");
    let forge = Forge::new(false).await;
    copy_dir(&fixture, &forge.tree);
    let main = forge.commit("Sell things");
    forge.branch("change");
    let broken = forge.commit("Change nothing");
    let herald = Herald::start(&forge);

    let check = herald.built(&forge, "opened", &broken, &main).await;
    assert_eq!(check.conclusion.as_deref(), Some("failure"));
    assert!(
        check
            .title
            .starts_with("1 failed, 1 error, 18 passed, 2 skipped in "),
        "{}",
        check.title
    );
    let places: Vec<_> = check.annotations.iter().map(place).collect();
    assert_eq!(
        places,
        [
            (
                "tests/test_basket.py",
                10,
                "test_a_discount_lowers_the_total"
            ),
            ("tests/conftest.py", 17, "test_a_voucher_is_taken"),
        ]
    );
    let lines = coverage_lines(&python, &forge.tree);
    forge
        .until("statuses", |state| {
            state
                .status_of(&broken, "herald/coverage")
                .is_some_and(|status| status.state == "success")
        })
        .await;
    let comment = |edits: usize| {
        forge.until(
            "the comment",
            move |state| matches!(state.comments.as_slice(), [only] if only.edits >= edits),
        )
    };
    comment(0).await;
    {
        let state = forge.github.state();
        let tests = state.status_of(&broken, "herald/tests").unwrap();
        assert_eq!(tests.state, "failure");
        assert_eq!(tests.description, "1 failed, 1 error, 18 passed, 2 skipped");
        let coverage = state.status_of(&broken, "herald/coverage").unwrap();
        assert!(
            coverage.description.contains(&lines),
            "{} {lines}",
            coverage.description
        );
        assert!(
            state.comments[0]
                .body
                .contains("test\\_a\\_discount\\_lowers\\_the\\_total")
        );
    }

    // Repaired, and pushed.
    let basket = std::fs::read_to_string(forge.tree.join("shop/basket.py")).unwrap();
    forge.write(
        "shop/basket.py",
        &basket.replace("(100 + percent)", "(100 - percent)"),
    );
    let conftest = std::fs::read_to_string(forge.tree.join("tests/conftest.py")).unwrap();
    forge.write(
        "tests/conftest.py",
        &conftest.replace("vouchers = {}", "vouchers = {\"spring\": 5}"),
    );
    let repaired = forge.commit("Repair the discount");
    let check = herald.built(&forge, "synchronize", &repaired, &main).await;
    assert_eq!(
        check.conclusion.as_deref(),
        Some("success"),
        "{}",
        check.title
    );
    assert!(check.annotations.is_empty());
    comment(1).await;
    assert!(
        forge.github.state().comments[0]
            .body
            .contains("20 passed, 2 skipped")
    );

    // Merged by a push of the very same commit: it joins the build, and the badges speak.
    let push = forge.github.push(&forge.project, "main", &main, &repaired);
    assert_eq!(herald.deliver(&forge, "push", &push).await, 202);
    let (mut build, patience) = (String::new(), std::time::Instant::now());
    while !build.contains("passing") {
        assert!(patience.elapsed() < PATIENCE, "{build}");
        build = herald.get("/badges/octo/project/build.svg").await.1;
    }
    let (status, tests) = herald.get("/badges/octo/project/tests.svg").await;
    assert_eq!(status, 200);
    assert!(tests.contains("20 passed, 2 skipped"), "{tests}");
    let (_, coverage) = herald.get("/badges/octo/project/coverage.svg").await;
    assert!(coverage.contains("coverage: 9"), "{coverage}");
    assert_eq!(forge.github.state().checks_of(&repaired, "herald").len(), 1);
    let (status, page) = herald.get("/repos/octo/project/builds/2/tests").await;
    assert_eq!(status, 200);
    assert!(page.contains("test_a_discount_lowers_the_total"));
}

/// `25 of 26`, as coverage.py itself counts lines.
fn coverage_lines(python: &str, project: &Path) -> String {
    let dir = tempfile::tempdir().unwrap();
    copy_dir(project, dir.path());
    let run = |arguments: &[&str]| {
        Command::new(python)
            .current_dir(dir.path())
            .args(arguments)
            .output()
            .unwrap()
    };
    run(&["-m", "pytest", "-q", "--cov=shop"]);
    run(&["-m", "coverage", "json", "-q", "-o", "coverage.json"]);
    let text = std::fs::read_to_string(dir.path().join("coverage.json")).unwrap();
    let totals = serde_json::from_str::<Value>(&text).unwrap()["totals"].clone();
    format!(
        "{} of {}",
        totals["covered_lines"], totals["num_statements"]
    )
}

/// A project of one step.
fn one_step(forge: &Forge, run: &str) -> (String, String) {
    forge.write("README.md", "# Project\n");
    let main = forge.commit("Begin");
    forge.branch("change");
    let run: String = run.lines().map(|line| format!("      {line}\n")).collect();
    forge.write(
        ".herald.yml",
        &format!("execute:\n  - name: work\n    run: |\n{run}"),
    );
    (main, forge.commit("Work"))
}

/// Whether a process with this mark in its command line or environment lives.
fn lives(mark: &str) -> bool {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .bytes()
                .all(|byte| byte.is_ascii_digit())
        })
        .any(|entry| {
            ["cmdline", "environ"].iter().any(|file| {
                std::fs::read(entry.path().join(file))
                    .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(mark))
            })
        })
}

/// In the end: each attempt has one check run, completed; the newest says `success`; no comment
/// was made, because nothing was worth one.
fn settled(state: &State, commit: &str) -> bool {
    let checks = state.checks_of(commit, "herald");
    let newest = checks.last();
    checks.iter().all(|check| check.status == "completed")
        && newest.is_some_and(|check| check.conclusion.as_deref() == Some("success"))
        && state
            .status_of(commit, "herald/build")
            .is_some_and(|status| status.state == "success")
}

fn assert_nothing_doubled(state: &State, commit: &str) {
    let checks = state.checks_of(commit, "herald");
    for check in &checks {
        let twins = checks
            .iter()
            .filter(|other| other.external_id == check.external_id)
            .count();
        assert_eq!(twins, 1, "{checks:#?}");
    }
    assert!(state.comments.is_empty(), "{:#?}", state.comments);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_push_supersedes_the_running_build_of_the_first() {
    let forge = Forge::new(false).await;
    let (main, first) = one_step(&forge, "sleep 600");
    let herald = Herald::start(&forge);
    herald
        .open_pull_request(&forge, "opened", &first, &main)
        .await;
    forge
        .until("a running check", |state| {
            state
                .checks_of(&first, "herald")
                .iter()
                .any(|check| check.status == "in_progress")
        })
        .await;
    forge.write(".herald.yml", "execute:\n  - \"true\"\n");
    let second = forge.commit("Do not wait");
    herald
        .open_pull_request(&forge, "synchronize", &second, &main)
        .await;
    let old = forge.completed(&first, "herald").await;
    assert_eq!(old.conclusion.as_deref(), Some("cancelled"));
    let words = format!("cancelled: superseded by {}", &second[..7]);
    assert_eq!(old.title, words);
    forge
        .until("the end", |state| settled(state, &second))
        .await;
    let state = forge.github.state();
    assert_eq!(state.checks.len(), 2, "{:#?}", state.checks);
    assert_nothing_doubled(&state, &second);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_delivery_sent_a_hundred_times_at_once_is_one_build() {
    let forge = Forge::new(false).await;
    let (main, head) = one_step(&forge, "true");
    let herald = Herald::start(&forge);
    let payload = forge.github.pull_request(
        &forge.project,
        "opened",
        7,
        ("change", &head),
        ("main", &main),
    );
    let guid = uuid::Uuid::new_v4().to_string();
    let all = (0..100).map(|_| herald.deliver_as(&forge, "pull_request", &guid, &payload));
    for status in futures_util::future::join_all(all).await {
        assert_eq!(status, 202);
    }
    forge.until("the end", |state| settled(state, &head)).await;
    assert_eq!(forge.github.state().checks.len(), 1);
    assert_eq!(herald.get("/repos/octo/project/builds/1").await.0, 200);
    assert_eq!(herald.get("/repos/octo/project/builds/2").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job_is_the_same_on_postgresql() {
    let Some(server) = switch("HERALD_TEST_POSTGRES") else {
        return;
    };
    let database = format!("herald_{}", uuid::Uuid::new_v4().simple());
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(&format!("{server}/postgres"))
        .await
        .unwrap();
    let create = format!("CREATE DATABASE {database}");
    sqlx::query(sqlx::AssertSqlSafe(create))
        .execute(&pool)
        .await
        .unwrap();
    let forge = Forge::new(false).await;
    let (main, head) = one_step(&forge, "true");
    let start = || {
        let mut command = Herald::command(&forge);
        command
            .env("HERALD_DATABASE_URL", format!("{server}/{database}"))
            .env("HERALD_SECRET_KEY", "5e".repeat(32));
        Herald::spawn(command)
    };
    let mut herald = start();
    herald
        .open_pull_request(&forge, "opened", &head, &main)
        .await;
    forge.until("the end", |state| settled(state, &head)).await;
    herald.kill();
    let herald = start();
    let push = forge.github.push(&forge.project, "main", &main, &head);
    assert_eq!(herald.deliver(&forge, "push", &push).await, 202);
    let (mut badge, patience) = (String::new(), std::time::Instant::now());
    while !badge.contains("passing") {
        assert!(patience.elapsed() < PATIENCE, "{badge}");
        badge = herald.get("/badges/octo/project/build.svg").await.1;
    }
    let state = forge.github.state();
    assert_eq!(state.checks_of(&head, "herald").len(), 1);
    assert_nothing_doubled(&state, &head);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_before_the_build_builds_after_its_restart() {
    let forge = Forge::new(false).await;
    let (main, head) = one_step(&forge, "true");
    let mut herald = Herald::start(&forge);
    herald
        .open_pull_request(&forge, "opened", &head, &main)
        .await;
    herald.kill();
    let _herald = Herald::start(&forge);
    forge.until("the end", |state| settled(state, &head)).await;
    assert_nothing_doubled(&forge.github.state(), &head);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_in_the_middle_of_a_build_leaves_no_process_and_builds_again() {
    let forge = Forge::new(false).await;
    let mark = uuid::Uuid::new_v4().simple().to_string();
    let script =
        format!(": {mark}\nif [ \"$HERALD_ATTEMPT\" = 1 ]; then setsid sleep 600 & sleep 600; fi");
    let (main, head) = one_step(&forge, &script);
    let mut herald = Herald::start(&forge);
    herald
        .open_pull_request(&forge, "opened", &head, &main)
        .await;
    forge
        .until("a running check", |state| {
            state
                .checks_of(&head, "herald")
                .iter()
                .any(|check| check.status == "in_progress")
        })
        .await;
    wait_until("the step runs", || lives(&mark)).await;
    herald.kill();
    wait_until("the step is gone", || !lives(&mark)).await;
    let _herald = Herald::start(&forge);
    forge.until("the end", |state| settled(state, &head)).await;
    let state = forge.github.state();
    assert_nothing_doubled(&state, &head);
    assert_eq!(state.checks_of(&head, "herald").len(), 2, "a new attempt");
}

/// Looks again and again, for as long as patience lasts.
pub(crate) async fn wait_until(what: &str, wish: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !wish() {
        assert!(start.elapsed() < PATIENCE, "waited for: {what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_between_any_two_writes_loses_and_doubles_nothing() {
    let writes = |state: &State| {
        state
            .requests
            .iter()
            .filter(|request| {
                request.path.contains("/check-runs") || request.path.contains("/statuses/")
            })
            .filter(|request| request.method != "GET")
            .count()
    };
    for killed_after in 1..=5 {
        let forge = Forge::new(false).await;
        let (main, head) = one_step(&forge, "true");
        let mut herald = Herald::start(&forge);
        herald
            .open_pull_request(&forge, "opened", &head, &main)
            .await;
        forge
            .until("a write", |state| {
                writes(state) >= killed_after || settled(state, &head)
            })
            .await;
        herald.kill();
        let _herald = Herald::start(&forge);
        forge.until("the end", |state| settled(state, &head)).await;
        assert_nothing_doubled(&forge.github.state(), &head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_after_the_build_repeats_nothing() {
    let forge = Forge::new(false).await;
    let (main, head) = one_step(&forge, "true");
    let mut herald = Herald::start(&forge);
    herald
        .open_pull_request(&forge, "opened", &head, &main)
        .await;
    forge.until("the end", |state| settled(state, &head)).await;
    herald.kill();
    let herald = Herald::start(&forge);
    assert_eq!(herald.get("/readyz").await.0, 200);
    let state = forge.github.state();
    assert!(settled(&state, &head));
    assert_eq!(state.checks_of(&head, "herald").len(), 1);
    assert_nothing_doubled(&state, &head);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_stop_ends_in_time_and_the_job_runs_again() {
    let forge = Forge::new(false).await;
    let script = "if [ \"$HERALD_ATTEMPT\" = 1 ]; then sleep 600; fi";
    let (main, head) = one_step(&forge, script);
    let mut herald = Herald::start(&forge);
    herald
        .open_pull_request(&forge, "opened", &head, &main)
        .await;
    forge
        .until("a running check", |state| {
            state
                .checks_of(&head, "herald")
                .iter()
                .any(|check| check.status == "in_progress")
        })
        .await;
    herald.signal(Signal::SIGTERM);
    let status = tokio::task::spawn_blocking(move || herald.child.wait().unwrap())
        .await
        .unwrap();
    assert!(status.success(), "{status}");
    let _herald = Herald::start(&forge);
    forge.until("the end", |state| settled(state, &head)).await;
    assert_nothing_doubled(&forge.github.state(), &head);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_log_nobody_reads_works_on_and_ends_when_it_is_told_to() {
    let forge = Forge::new(false).await;
    let (main, head) = one_step(&forge, "exit 0");
    let mut child = Herald::command(&forge).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| after(&line, "listening on http://"))
        .unwrap();
    // Its next lines are of no use to anybody.
    drop(lines);
    let (head_of, base) = (("change", head.as_str()), ("main", main.as_str()));
    let payload = forge
        .github
        .pull_request(&forge.project, "opened", 7, head_of, base);
    let guid = uuid::Uuid::new_v4().to_string();
    let answer = try_to_deliver_to(&address, &forge, "pull_request", &guid, &payload).await;
    assert_eq!(answer, Some(202));
    forge.until("the end", |state| settled(state, &head)).await;
    let id = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(id, Signal::SIGTERM).unwrap();
    let ended = tokio::task::spawn_blocking(move || child.wait().unwrap());
    let status = tokio::time::timeout(PATIENCE, ended)
        .await
        .unwrap()
        .unwrap();
    assert!(status.success(), "{status}");
}

/// What a step tries in order to get out, one word a line: `leak …` or `safe …`.
const ESCAPE: &str = r#"
look() { if [ -e "$1" ]; then echo "leak $1"; else echo "safe $1"; fi; }
look @DATA@
look @DATA@/herald.db
look @KEY@
for file in /proc/[0-9]*/environ; do
  if tr '\0' '\n' <"$file" 2>/dev/null | grep -q HERALD_GITHUB; then echo "leak $file"; fi
done
for file in /proc/[0-9]*/cmdline; do
  if tr '\0' ' ' <"$file" 2>/dev/null | grep -q 'herald serve'; then echo "leak $file"; fi
done
knock() {
  if timeout 5 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null; then echo "leak $1:$2"; else echo "safe $1:$2"; fi
}
knock 127.0.0.1 @METRICS@
knock 127.0.0.1 @PUBLIC@
knock 10.0.2.2 @METRICS@
if env | grep -q HERALD_GITHUB; then echo "leak environment"; else echo "safe environment"; fi
if git config --list | grep -qi 'extraheader\|ghs_'; then echo "leak git config"; else echo "safe git config"; fi
find / -xdev -name 'admin.sock' 2>/dev/null | sed 's/^/leak /'
echo "safe end"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_step_reaches_nothing_of_herald_and_no_secret_is_written_anywhere() {
    if switch("HERALD_TEST_BWRAP").is_none() {
        return;
    }
    let forge = Forge::new(true).await;
    let data = forge.dir.path().join("data");
    // A git that writes down its arguments.
    let bin = forge.dir.path().join("bin");
    let argv = forge.dir.path().join("argv");
    std::fs::create_dir(&bin).unwrap();
    let real = Command::new("sh")
        .args(["-c", "command -v git"])
        .output()
        .unwrap();
    let real = String::from_utf8(real.stdout).unwrap();
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$*\" >>'{}'\nexec '{}' \"$@\"\n",
        argv.display(),
        real.trim()
    );
    std::fs::write(bin.join("git"), script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(bin.join("git"), mode).unwrap();

    forge.write("README.md", "# Project\n");
    let main = forge.commit("Begin");
    let mut command = Herald::command(&forge);
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    command.env("PATH", path).env("HERALD_LOG", "trace");
    let herald = Herald::spawn(command);
    let port = |address: &str| address.rsplit_once(':').unwrap().1.to_owned();
    let script = ESCAPE
        .replace("@DATA@", data.to_str().unwrap())
        .replace("@KEY@", forge.dir.path().join("app.pem").to_str().unwrap())
        .replace("@METRICS@", &port(&herald.metrics))
        .replace("@PUBLIC@", &port(&herald.address));
    forge.branch("change");
    forge.write("escape.sh", &script);
    forge.write(
        ".herald.yml",
        "execute:\n  - sh escape.sh > out.txt\n  - cat out.txt\n  - sh -c '! grep leak out.txt'\n",
    );
    let head = forge.commit("Try to get out");
    let check = herald.built(&forge, "opened", &head, &main).await;
    let log = everything_below(&data.join("logs"));
    let output = String::from_utf8_lossy(&log);
    assert_eq!(check.conclusion.as_deref(), Some("success"), "{output}");
    assert!(output.contains("safe end"), "{output}");

    let mut secrets: Vec<String> = forge.github.state().tokens.keys().cloned().collect();
    assert!(!secrets.is_empty());
    secrets.push(forge.github.webhook_secret().expose().to_owned());
    let pem = forge.github.private_key().expose();
    secrets.extend(
        pem.lines()
            .filter(|line| line.len() == 64)
            .map(str::to_owned),
    );
    for token in secrets.clone() {
        use base64::Engine as _;
        let pair = format!("x-access-token:{token}");
        secrets.push(base64::engine::general_purpose::STANDARD.encode(pair));
    }
    let places = [
        ("the log", herald.log.lock().unwrap().clone().into_bytes()),
        ("git's arguments", std::fs::read(&argv).unwrap()),
        ("the data directory", everything_below(&data)),
    ];
    for (place, bytes) in places {
        assert!(!bytes.is_empty(), "{place} is empty");
        let text = String::from_utf8_lossy(&bytes);
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "a secret is in {place}");
        }
    }
}

/// The bytes of all files below a folder.
fn everything_below(dir: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in walkdir::WalkDir::new(dir).into_iter().flatten() {
        if entry.file_type().is_file() {
            all.extend(std::fs::read(entry.path()).unwrap_or_default());
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_the_server_says_how_to_get_them() {
    let forge = Forge::new(false).await;
    let mut command = Herald::command(&forge);
    command
        .env_remove("HERALD_GITHUB_APP_ID")
        .env_remove("HERALD_GITHUB_PRIVATE_KEY_FILE")
        .env_remove("HERALD_GITHUB_WEBHOOK_SECRET");
    let herald = Herald::spawn(command);
    assert_eq!(herald.get("/healthz").await.0, 200);
    assert_eq!(herald.get("/readyz").await.0, 503);
    assert_eq!(herald.get("/").await.0, 303);
    assert_eq!(herald.get("/repos/octo/project").await.0, 303);
    let (status, page) = herald.get("/setup").await;
    assert_eq!(status, 200);
    assert!(
        page.contains("http://herald.test/webhooks/github"),
        "{page}"
    );
    let (status, badge) = herald.get("/badges/octo/project/build.svg").await;
    assert_eq!(status, 200);
    assert!(badge.contains("build: unknown"), "{badge}");
    let nothing = serde_json::json!({});
    assert_eq!(herald.deliver(&forge, "ping", &nothing).await, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_do_not_share_a_data_directory() {
    let forge = Forge::new(false).await;
    let _first = Herald::start(&forge);
    let output = Herald::command(&forge).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.contains("another Herald uses the data directory"),
        "{text}"
    );
}
