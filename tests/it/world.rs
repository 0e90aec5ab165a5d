//! A small world: the real use cases, store, router and git around a simulated GitHub, with an
//! executor that plays a written part and a clock that is moved by hand.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::body::Body;
use herald::app::{self, App, ForkPolicy, Parts, Retention, Settings};
use herald::demo::{Check, Fault, GitHub, Person, Project, Reacted, State, What, delivery_headers};
use herald::depot::{FileArtifacts, FileCaches, FileUploads, StoredFiles};
use herald::executor::{Act, Scripted};
use herald::feedback::Links;
use herald::github::{
    self, AppKey, Client, ClientOptions, GitHub as Forge, Issuer, Outbound, verify,
};
use herald::logs::{Ceiling, FileLogs};
use herald::ports::executor::{Abilities, Progress};
use herald::ports::store::{Room, Waiting};
use herald::ports::{Clock, Executor, JobOrder, Running, Store};
use herald::protocol::{CollectKind, Exit, StepCommand};
use herald::source::{GitOptions, GitSource};
use herald::store::SealKey;
use herald::web::{self, SignIn, Web};
use http::{Request, StatusCode};
use serde_json::Value;
use tokio::sync::watch;
use tower::ServiceExt;

use crate::engine::Engine;

const DAY_MS: u64 = 86_400_000;

/// A clock that only tests move.
#[derive(Debug)]
pub(crate) struct ManualClock(AtomicI64);

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// The scripted executor with abilities that a story sets.
struct Able {
    scripted: Arc<Scripted>,
    abilities: Arc<Mutex<Abilities>>,
    isolates: Arc<AtomicBool>,
}

#[async_trait]
impl Executor for Able {
    fn name(&self) -> &'static str {
        self.scripted.name()
    }

    fn isolates(&self) -> bool {
        self.isolates.load(Ordering::SeqCst)
    }

    fn abilities(&self) -> Abilities {
        *self.abilities.lock().unwrap()
    }

    async fn start(&self, order: JobOrder) -> herald::ports::error::Result<Box<dyn Running>> {
        self.scripted.start(order).await
    }

    async fn attach(
        &self,
        order: JobOrder,
        progress: &Progress,
    ) -> herald::ports::error::Result<Option<Box<dyn Running>>> {
        self.scripted.attach(order, progress).await
    }

    async fn sweep(&self, keep: &[String]) -> herald::ports::error::Result<()> {
        self.scripted.sweep(keep).await
    }
}

/// The world of one test.
pub(crate) struct World {
    /// How many commits its database has made since it was started last.
    pub(crate) commits: watch::Receiver<u64>,
    pub(crate) github: GitHub,
    pub(crate) project: Project,
    pub(crate) app: Arc<App>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) executor: Arc<Scripted>,
    /// What the executor says that it can do.
    pub(crate) abilities: Arc<Mutex<Abilities>>,
    /// Whether the executor says that code of strangers may run in it.
    pub(crate) isolates: Arc<AtomicBool>,
    /// What every job leaves behind as its test report.
    pub(crate) report: Arc<Mutex<Option<String>>>,
    /// What every job does at its end as well.
    more: Arc<Mutex<Vec<Act>>>,
    sign_in: SignIn,
    /// Where the simulated GitHub is.
    pub(crate) url: String,
    tree: PathBuf,
    /// The database.
    pub(crate) engine: Engine,
    pub(crate) dir: tempfile::TempDir,
    comments_read: usize,
}

/// Runs a story. In the end all work is done, and nothing may be left over: no open check, no
/// unsent word, no comment that the story did not read.
pub(crate) async fn world(story: impl AsyncFnOnce(&mut World)) {
    let mut world = World::new().await;
    story(&mut world).await;
    world.drain().await;
    let waiting = world.waiting().await;
    assert_eq!(waiting, Waiting::default(), "work is left over");
    let state = world.github.state();
    for check in &state.checks {
        assert_eq!(check.status, "completed", "{check:#?}");
        let twins = state
            .checks
            .iter()
            .filter(|other| other.external_id == check.external_id);
        assert_eq!(twins.count(), 1, "doubled: {check:#?}");
    }
    assert_eq!(
        state.comments.len(),
        world.comments_read,
        "unread: {:#?}",
        state.comments
    );
    for status in &state.statuses {
        let newest = state.status_of(&status.commit, &status.context).unwrap();
        assert_ne!(newest.state, "pending", "{newest:#?}");
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        let bare = dir.path().join("project.git");
        std::fs::create_dir(&tree).unwrap();
        git(
            &tree,
            &["init", "-q", "--bare", "-b", "main", bare.to_str().unwrap()],
        );
        git(&tree, &["init", "-q", "-b", "main", "."]);
        git(&tree, &["remote", "add", "origin", bare.to_str().unwrap()]);
        let clock = Arc::new(ManualClock(AtomicI64::new(1_790_000_000_000)));
        let github = GitHub::new(Arc::<ManualClock>::clone(&clock)).unwrap();
        let project = github.add_project("octo", "project", false, &bare);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = github.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let report = Arc::new(Mutex::new(None));
        let more = Arc::default();
        let executor = Arc::new(scripted(Arc::clone(&report), Arc::clone(&more)));
        let abilities = Arc::new(Mutex::new(Abilities {
            images: false,
            services: true,
            ports: true,
            network_none: true,
        }));
        let isolates = Arc::new(AtomicBool::new(false));
        let able = Able {
            scripted: Arc::clone(&executor),
            abilities: Arc::clone(&abilities),
            isolates: Arc::clone(&isolates),
        };
        let engine = Engine::new(dir.path()).await;
        let (app, commits) = build_app(&github, &url, (dir.path(), &engine), &clock, able).await;
        let people = github::SignIn::new(
            &url,
            &format!("{url}/api/v3"),
            GitHub::CLIENT_ID,
            github.client_secret(),
            &Outbound::default(),
        );
        let key = SealKey::parse(&"ab".repeat(32)).unwrap();
        let sign_in = SignIn::new(Arc::new(people.unwrap()), key);
        Self {
            sign_in,
            commits,
            github,
            project,
            app,
            clock,
            executor,
            abilities,
            isolates,
            report,
            more,
            url,
            tree,
            engine,
            dir,
            comments_read: 0,
        }
    }

    /// Drops the server without a word and starts a new one on the same data.
    pub(crate) async fn restart(&mut self) {
        let able = Able {
            scripted: Arc::clone(&self.executor),
            abilities: Arc::clone(&self.abilities),
            isolates: Arc::clone(&self.isolates),
        };
        (self.app, self.commits) = build_app(
            &self.github,
            &self.url,
            (self.dir.path(), &self.engine),
            &self.clock,
            able,
        )
        .await;
        self.app.keep_silent().await.unwrap();
    }

    /// Moves the clock.
    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    /// Does all work that is due.
    pub(crate) async fn drain(&self) {
        app::drain(&self.app).await.unwrap();
    }

    /// Every job does this at its end as well.
    pub(crate) fn leave(&self, act: Act) {
        self.more.lock().unwrap().push(act);
    }

    /// No job leaves anything behind any more.
    pub(crate) fn leave_nothing(&self) {
        *self.report.lock().unwrap() = None;
        self.more.lock().unwrap().clear();
    }

    /// How many deliveries were given up.
    pub(crate) async fn failed_deliveries(&self) -> i64 {
        let pool = self.database().await;
        let query = "SELECT COUNT(*) FROM deliveries WHERE state = 'failed'";
        let (count,): (i64,) = sqlx::query_as(query).fetch_one(&pool).await.unwrap();
        pool.close().await;
        count
    }

    /// What is stored of a delivery's body.
    pub(crate) async fn body_of_delivery(&self, guid: &str) -> String {
        let pool = self.database().await;
        let query = sqlx::query_as("SELECT body FROM deliveries WHERE guid = $1");
        let (body,): (String,) = query.bind(guid).fetch_one(&pool).await.unwrap();
        pool.close().await;
        body
    }

    /// How many rows a table has.
    pub(crate) async fn rows(&self, table: &str) -> i64 {
        let pool = self.database().await;
        let query = format!("SELECT COUNT(*) FROM {table}");
        let count = sqlx::query_as(sqlx::AssertSqlSafe(query)).fetch_one(&pool);
        let (count,): (i64,) = count.await.unwrap();
        pool.close().await;
        count
    }

    async fn database(&self) -> sqlx::AnyPool {
        self.engine.pool().await
    }

    /// Works until every delivery is handled.
    pub(crate) async fn until_handled(&self) {
        while self.waiting().await.deliveries > 0 {
            assert!(app::step(&self.app).await.unwrap(), "nothing follows");
        }
    }

    /// Works until every trigger has its build, whose jobs wait.
    pub(crate) async fn until_prepared(&self) {
        loop {
            let waiting = self.waiting().await;
            if waiting.deliveries + waiting.triggers == 0 {
                return;
            }
            assert!(app::step(&self.app).await.unwrap(), "nothing follows");
        }
    }

    /// Works until a job waits for room, and changes what it is to carry out.
    pub(crate) async fn until_queued(&self, change: impl Fn(&mut Value)) {
        while self.waiting().await.jobs == 0 {
            assert!(app::step(&self.app).await.unwrap(), "no job follows");
        }
        let pool = self.database().await;
        let query = "SELECT id, job_order FROM jobs WHERE state = 'queued'";
        let (id, order): (String, String) = sqlx::query_as(query).fetch_one(&pool).await.unwrap();
        let mut order: Value = serde_json::from_str(&order).unwrap();
        change(&mut order);
        sqlx::query("UPDATE jobs SET job_order = $2 WHERE id = $1")
            .bind(id)
            .bind(order.to_string())
            .execute(&pool)
            .await
            .unwrap();
        pool.close().await;
    }

    /// Fails when a file of the server has this in it.
    pub(crate) fn assert_nowhere_on_disk(&self, text: &str) {
        for entry in walkdir::WalkDir::new(self.dir.path()) {
            let entry = entry.unwrap();
            if entry.file_type().is_file() {
                let bytes = std::fs::read(entry.path()).unwrap();
                let mut windows = bytes.windows(text.len());
                let found = windows.any(|window| window == text.as_bytes());
                assert!(!found, "{}", entry.path().display());
            }
        }
    }

    /// Does all work, also what is due later only.
    pub(crate) async fn drain_patiently(&self) {
        for _ in 0..30 {
            self.drain().await;
            self.pass(60);
        }
    }

    pub(crate) async fn waiting(&self) -> Waiting {
        let now = self.clock.now_ms();
        self.app.parts.store.waiting(now).await.unwrap()
    }

    /// What waits, also for a later time.
    pub(crate) async fn waiting_ever(&self) -> Waiting {
        let late = self.clock.now_ms() + 7 * 24 * 3_600_000;
        self.app.parts.store.waiting(late).await.unwrap()
    }

    pub(crate) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.github.state()
    }

    pub(crate) fn fault(&self, method: &str, path: &str, after: usize, times: usize, what: What) {
        self.state().faults.push(Fault {
            method: method.to_owned(),
            path: path.to_owned(),
            after,
            times,
            what,
        });
    }

    // The repository.

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.tree.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn remove(&self, path: &str) {
        std::fs::remove_file(self.tree.join(path)).unwrap();
    }

    /// Commits everything on a branch (made from where we are), and says the commit.
    pub(crate) fn commit(&self, branch: &str) -> String {
        self.commit_as(branch, "work")
    }

    /// The same, made at this unix time in seconds.
    pub(crate) fn commit_made(&self, branch: &str, at: i64) -> String {
        self.commit(branch);
        let date = format!("@{at} +0000");
        let amended = ["commit", "-q", "--amend", "--no-edit"];
        git_with(&self.tree, &amended, &[("GIT_COMMITTER_DATE", &date)]);
        git(&self.tree, &["push", "-q", "-f", "origin", branch]);
        git(&self.tree, &["rev-parse", "HEAD"])
    }

    /// The same, with these words.
    pub(crate) fn commit_as(&self, branch: &str, words: &str) -> String {
        git(&self.tree, &["checkout", "-q", "-B", branch]);
        git(&self.tree, &["add", "-A"]);
        git(&self.tree, &["commit", "-q", "--allow-empty", "-m", words]);
        git(&self.tree, &["push", "-q", "-f", "origin", branch]);
        git(&self.tree, &["rev-parse", "HEAD"])
    }

    /// Goes to a commit, to go on from there.
    pub(crate) fn checkout(&self, commit: &str) {
        git(&self.tree, &["checkout", "-q", "--detach", commit]);
    }

    /// Goes to where a branch is on GitHub, to go on from there.
    pub(crate) fn go_to(&self, branch: &str) {
        git(&self.tree, &["fetch", "-q", "origin", branch]);
        self.checkout("FETCH_HEAD");
    }

    /// Merges a head into a base as GitHub does to test a pull request, and says the commit.
    pub(crate) fn merge_of(&self, number: i64, head: &str, base: &str) -> String {
        let tree = format!("{head}^{{tree}}");
        let arguments = ["commit-tree", &tree, "-p", base, "-p", head, "-m", "merge"];
        let merge = git(&self.tree, &arguments);
        let reference = format!("{merge}:refs/pull/{number}/merge");
        git(&self.tree, &["push", "-q", "-f", "origin", &reference]);
        merge
    }

    /// A base on `main` and a head on `change`, both with this specification.
    pub(crate) fn change(&self, specification: &str) -> (String, String) {
        self.write(".herald.yml", specification);
        let main = self.commit("main");
        (main, self.commit("change"))
    }

    // Deliveries.

    /// The routes of the server.
    pub(crate) fn router(&self) -> axum::Router {
        let secret = self.github.webhook_secret().clone();
        let web = Web {
            app: Arc::clone(&self.app),
            verify: Some(Arc::new(move |body: &[u8], header: &str| {
                verify(std::slice::from_ref(&secret), body, header)
            })),
            sign_in: Some(self.sign_in.clone()),
            ready: Arc::new(AtomicBool::new(true)),
            setup: None,
        };
        web::router(web)
    }

    pub(crate) async fn request(
        &self,
        request: Request<Body>,
    ) -> (StatusCode, http::HeaderMap, String) {
        let answer = self.router().oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        (parts.status, parts.headers, text)
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let (status, _, text) = self.request(request).await;
        (status, text)
    }

    pub(crate) async fn deliver_as(&self, guid: &str, event: &str, payload: &Value) -> StatusCode {
        let body = payload.to_string();
        let secret = self.github.webhook_secret();
        let mut request = Request::post("/webhooks/github");
        for (name, value) in delivery_headers(secret, event, guid, body.as_bytes()) {
            request = request.header(name, value);
        }
        self.request(request.body(Body::from(body)).unwrap())
            .await
            .0
    }

    pub(crate) async fn deliver(&self, event: &str, payload: &Value) {
        // GitHub's clock goes on between two events.
        self.pass(1);
        if event == "pull_request" {
            let mut state = self.state();
            state.set_pull(&payload["pull_request"]);
            if payload["action"] == "closed" {
                state.pulls.pop();
            }
        }
        let guid = uuid::Uuid::new_v4().to_string();
        assert_eq!(self.deliver_as(&guid, event, payload).await, 202);
    }

    pub(crate) fn pull_request(&self, action: &str, head: &str, base: &str) -> Value {
        self.github
            .pull_request(&self.project, action, 7, ("change", head), ("main", base))
    }

    /// Delivers an action on pull request 7.
    pub(crate) async fn pull(&self, action: &str, head: &str, base: &str) {
        self.deliver("pull_request", &self.pull_request(action, head, base))
            .await;
    }

    /// A person comments on pull request 7; says the comment's id.
    pub(crate) async fn comment(&self, person: i64, body: &str) -> i64 {
        self.pass(1);
        let payload = self.github.comment(&self.project, 7, person, body);
        self.deliver("issue_comment", &payload).await;
        payload["comment"]["id"].as_i64().unwrap()
    }

    /// Makes an account.
    pub(crate) fn person(&self, id: i64, login: &str, permission: &str) {
        let person = Person {
            login: login.to_owned(),
            permission: permission.to_owned(),
        };
        self.state().people.insert(id, person);
    }

    /// The reactions to a comment.
    pub(crate) fn reactions(&self, comment: i64) -> Vec<String> {
        let state = self.state();
        let of = |reacted: &&Reacted| reacted.comment == comment;
        let reactions = state.reactions.iter().filter(of);
        reactions.map(|reacted| reacted.content.clone()).collect()
    }

    /// Sets a tag, and GitHub tells of it.
    pub(crate) async fn tag(&self, name: &str, commit: &str) {
        git(&self.tree, &["tag", name, commit]);
        git(&self.tree, &["push", "-q", "origin", name]);
        let zero = "0".repeat(40);
        let mut payload = self.github.push(&self.project, "main", &zero, commit);
        payload["ref"] = Value::String(format!("refs/tags/{name}"));
        self.deliver("push", &payload).await;
    }

    pub(crate) async fn push(&self, branch: &str, before: &str, after: &str) {
        let payload = self.github.push(&self.project, branch, before, after);
        self.deliver("push", &payload).await;
    }

    // What there is to see.

    /// All check runs of this name on a commit, the oldest first.
    pub(crate) fn checks(&self, commit: &str, name: &str) -> Vec<Check> {
        let state = self.state();
        state.checks_of(commit, name).into_iter().cloned().collect()
    }

    /// The only check run of this name on a commit.
    pub(crate) fn check(&self, commit: &str, name: &str) -> Check {
        let mut checks = self.checks(commit, name);
        assert_eq!(checks.len(), 1, "{checks:#?}");
        checks.remove(0)
    }

    /// The newest check run of this name on a commit.
    pub(crate) fn newest_check(&self, commit: &str, name: &str) -> Check {
        let found = self.checks(commit, name).pop();
        found.unwrap_or_else(|| panic!("no check {name} on {commit}"))
    }

    /// How the only check run of this name ended, and its title.
    pub(crate) fn ended(&self, commit: &str, name: &str) -> (String, String) {
        let check = self.check(commit, name);
        (check.conclusion.unwrap_or(check.status), check.title)
    }

    pub(crate) fn status(&self, commit: &str, context: &str) -> (String, String) {
        let state = self.state();
        let status = state
            .status_of(commit, context)
            .unwrap_or_else(|| panic!("no status {context}"));
        (status.state.clone(), status.description.clone())
    }

    /// Reads the next comment: its text, and how often it was edited.
    pub(crate) fn next_comment(&mut self) -> (String, usize) {
        let (text, edits) = {
            let state = self.state();
            let comment = state
                .comments
                .get(self.comments_read)
                .unwrap_or_else(|| panic!("no comment"));
            (comment.body.clone(), comment.edits)
        };
        self.comments_read += 1;
        (text, edits)
    }

    /// Reads all comments, whatever they say.
    pub(crate) fn read_comments(&mut self) {
        let count = self.state().comments.len();
        self.comments_read = count;
    }

    /// How many requests were made that write.
    pub(crate) fn writes(&self) -> usize {
        let state = self.state();
        let git = |path: &str| path.contains(".git/") || path.contains("access_tokens");
        state
            .requests
            .iter()
            .filter(|request| request.method != "GET" && !git(&request.path))
            .count()
    }
}

async fn build_app(
    github: &GitHub,
    url: &str,
    (dir, engine): (&Path, &Engine),
    clock: &Arc<ManualClock>,
    executor: Able,
) -> (Arc<App>, watch::Receiver<u64>) {
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(clock);
    let options = ClientOptions {
        api_url: format!("{url}/api/v3"),
        key: Some(AppKey::new(GitHub::APP_ID, github.private_key()).unwrap()),
        rested: true,
        outbound: Outbound::default(),
    };
    let key = SealKey::parse(&"5e".repeat(32)).unwrap();
    let store = engine.open().await;
    let commits = store.commits();
    let store: Arc<dyn Store> = Arc::new(store.with_key(key));
    let client = Client::new(options, Arc::clone(&clock)).unwrap();
    let client = client.with_store(Arc::clone(&store));
    let source = GitSource::new(GitOptions {
        program: PathBuf::from("git"),
        folder: dir.join("git"),
        environment: vec![("PATH".to_owned(), std::env::var("PATH").unwrap())],
        allow_files: false,
    });
    let parts = Parts {
        store,
        forge: Arc::new(Forge::new(client, url)),
        source: Arc::new(source),
        executor: Arc::new(executor),
        logs: Arc::new(FileLogs::new(dir.join("logs"), Ceiling::of(1 << 20))),
        artifacts: Arc::new(FileArtifacts::new(dir.join("artifacts"))),
        caches: Arc::new(FileCaches::new(dir.join("cache"))),
        uploads: Arc::new(FileUploads::new(dir.join("uploads"))),
        files: Arc::new(StoredFiles::new(dir)),
        identities: Arc::new(Issuer::new(url, Arc::clone(&clock), &Outbound::default()).unwrap()),
        clock,
        meters: Arc::default(),
    };
    let settings = Settings {
        links: Links {
            github_url: url.to_owned(),
            public_url: "https://herald.test".to_owned(),
            app_id: GitHub::APP_ID,
        },
        work_dir: dir.join("work"),
        worker: "test".to_owned(),
        room: Room {
            total: 4,
            per_repository: 4,
        },
        forks: ForkPolicy::Approve,
        job_timeout_max_ms: 3_600_000,
        path: "/usr/bin:/bin".to_owned(),
        retention: Retention {
            logs_ms: 90 * DAY_MS,
            artifacts_ms: 30 * DAY_MS,
            deliveries_ms: 14 * DAY_MS,
            history_ms: 400 * DAY_MS,
            uninstalled_ms: 30 * DAY_MS,
        },
    };
    (Arc::new(App::new(parts, settings)), commits)
}

/// Plays a job by what its steps say: `exit N` ends so, `has PATH` fails without that file, `hold` waits,
/// `print TEXT` writes it (`\n` and `\e` as in C; `break TEXT` fails too), `count N` so many numbered lines, `say NAME` writes a secret,
/// `leave PATH CONTENT` an artifact, `keep CONTENT` a cache and `fail N` a report; a report is left behind where the
/// world has one.
fn scripted(report: Arc<Mutex<Option<String>>>, more: Arc<Mutex<Vec<Act>>>) -> Scripted {
    Scripted::new(move |order: &JobOrder| {
        let mut acts = Vec::new();
        let mut files = Vec::new();
        let mut failed = false;
        for step in &order.job.steps {
            if failed {
                acts.push(Act::End(step.index, Exit::Skipped));
                continue;
            }
            let StepCommand::Sh(script) = &step.command else {
                panic!("only shell steps are played");
            };
            acts.push(Act::Start(step.index));
            acts.push(Act::Write(step.index, echo(script)));
            match script.split_once(' ').unwrap_or((script, "")) {
                ("hold", _) => acts.push(Act::Hold),
                ("print" | "break", text) => {
                    let text = text.replace("\\n", "\n").replace("\\e", "\u{1b}");
                    acts.push(Act::Write(step.index, text + "\n"));
                }
                ("count", lines) => {
                    let lines: Vec<u32> = (1..=lines.parse().unwrap()).collect();
                    for lines in lines.chunks(1000) {
                        let text = lines.iter().map(|line| format!("line {line:06}\n"));
                        acts.push(Act::Write(step.index, text.collect()));
                    }
                }
                ("say", name) => {
                    let secrets = &order.job.secrets;
                    let (_, value) = secrets.iter().find(|(known, _)| known == name).unwrap();
                    let (begin, end) = value.split_at(3);
                    acts.push(Act::Write(step.index, format!("it is {begin}")));
                    acts.push(Act::Write(step.index, format!("{end}, really\n")));
                }
                ("leave", what) => {
                    let (path, content) = what.rsplit_once(' ').unwrap();
                    files.push((CollectKind::Artifact, path, content));
                }
                ("keep", content) => files.push((CollectKind::Cache, "cache.tar", content)),
                ("fail", count) => acts.push(Act::File {
                    kind: CollectKind::Tests,
                    path: "reports/junit.xml".to_owned(),
                    bytes: failed_tests(count.parse().unwrap()).into_bytes(),
                }),
                _ => {}
            }
            let code = match script.split_once(' ') {
                Some(("exit", code)) => code.parse().unwrap(),
                Some(("break", _)) => 1,
                Some(("has", path)) => i32::from(!order.workspace.join(path).exists()),
                _ => 0,
            };
            failed = code != 0;
            acts.push(Act::End(step.index, Exit::Code(code)));
        }
        if let Some(report) = report.lock().unwrap().as_ref() {
            acts.push(Act::File {
                kind: CollectKind::Tests,
                path: "reports/junit.xml".to_owned(),
                bytes: report.clone().into_bytes(),
            });
        }
        acts.extend(more.lock().unwrap().clone());
        acts.extend(files.into_iter().map(|(kind, path, content)| Act::File {
            kind,
            path: path.to_owned(),
            bytes: content.as_bytes().to_vec(),
        }));
        Ok(acts)
    })
}

/// What is written when a step begins; without the text that it is to write.
fn echo(script: &str) -> String {
    match script.split_once(' ') {
        Some((verb @ ("print" | "break"), _)) => format!("playing {verb}\n"),
        _ => format!("playing {script}\n"),
    }
}

/// A report of a test that passes and of this many that fail.
pub(crate) fn failed_tests(count: usize) -> String {
    let cases = failed_cases(count);
    format!("<testsuite name='s'><testcase name='good'/>{cases}</testsuite>")
}

/// This many tests that fail, on the lines of `tests/test_many.py`.
pub(crate) fn failed_cases(count: usize) -> String {
    (1..=count)
        .map(|line| {
            format!(
                "<testcase name='t{line}'><failure message='m{line}'>\
                 tests/test_many.py:{line}: E</failure></testcase>"
            )
        })
        .collect()
}

/// Runs git away from anybody's settings, and says what it printed.
pub(crate) fn git(dir: &Path, arguments: &[&str]) -> String {
    git_with(dir, arguments, &[])
}

fn git_with(dir: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = Command::new("git")
        .current_dir(dir)
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "Mona")
        .env("GIT_AUTHOR_EMAIL", "mona@example.org")
        .env("GIT_COMMITTER_NAME", "Mona")
        .env("GIT_COMMITTER_EMAIL", "mona@example.org")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
