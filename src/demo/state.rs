//! The state of the simulated GitHub.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::watch;

use super::actions::Artifact;
use super::faults::Fault;
use super::hook::{Delivered, Hook};
use super::limits::RateLimits;
use super::oidc::Tokens;
use super::production::Deployed;
use super::register::Agreed;
use super::sign_in::Code;
use crate::domain::Secret;
use crate::ports::Clock;

/// A repository on the simulated GitHub.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its numeric id.
    pub id: i64,
    /// Its owner.
    pub owner: String,
    /// Its name.
    pub name: String,
    /// Whether it is private.
    pub private: bool,
    /// Its default branch.
    pub default_branch: String,
    /// The bare repository on disk.
    pub git_dir: PathBuf,
}

/// A check run.
#[derive(Debug, Clone)]
pub struct Check {
    /// Its id.
    pub id: u64,
    /// The repository's id.
    pub repository: i64,
    /// The commit.
    pub commit: String,
    /// Its name.
    pub name: String,
    /// The App's own id of it.
    pub external_id: String,
    /// `queued`, `in_progress`, `completed`.
    pub status: String,
    /// How it ended.
    pub conclusion: Option<String>,
    /// Where "Details" leads.
    pub details_url: String,
    /// The title.
    pub title: String,
    /// The Markdown.
    pub summary: String,
    /// All annotations, in the order in which they came.
    pub annotations: Vec<Value>,
    /// How many annotations each request carried.
    pub batches: Vec<usize>,
    /// Every status that it had, in order.
    pub history: Vec<String>,
    /// The identifiers of its buttons.
    pub buttons: Vec<String>,
}

/// A commit status.
#[derive(Debug, Clone)]
pub struct PostedStatus {
    /// The repository's id.
    pub repository: i64,
    /// The commit.
    pub commit: String,
    /// Its name.
    pub context: String,
    /// `pending`, `success`, `failure`, `error`.
    pub state: String,
    /// The words.
    pub description: String,
    /// Where "Details" leads.
    pub target_url: String,
}

/// A comment.
#[derive(Debug, Clone)]
pub struct Posted {
    /// Its id.
    pub id: u64,
    /// The repository's id.
    pub repository: i64,
    /// The pull request.
    pub pull: i64,
    /// Its body.
    pub body: String,
    /// How often it was edited.
    pub edits: usize,
}

/// An account.
#[derive(Debug, Clone)]
pub struct Person {
    /// Its name at this time.
    pub login: String,
    /// What it may do in every repository: `admin`, `write`, `read`, `none`.
    pub permission: String,
}

/// A reaction to a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reacted {
    /// The comment's id.
    pub comment: i64,
    /// GitHub's word for it, as in `+1`.
    pub content: String,
}

/// A token and what it is good for.
#[derive(Debug, Clone)]
pub struct Access {
    /// Repositories, or all.
    pub repositories: Option<Vec<i64>>,
    /// Permissions with `read` or `write`.
    pub permissions: HashMap<String, String>,
    /// When it ends, in unix milliseconds.
    pub ends_ms: i64,
}

/// A request that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The answer's status.
    pub status: u16,
}

/// All there is to look at.
#[derive(Debug, Default)]
pub struct State {
    /// The ids of the App's installations.
    pub installations: Vec<i64>,
    /// Repositories.
    pub projects: Vec<Project>,
    /// Check runs, the oldest first.
    pub checks: Vec<Check>,
    /// Statuses, the oldest first.
    pub statuses: Vec<PostedStatus>,
    /// Comments, the oldest first.
    pub comments: Vec<Posted>,
    /// Reactions, the oldest first.
    pub reactions: Vec<Reacted>,
    /// Accounts by their numeric ids.
    pub people: HashMap<i64, Person>,
    /// Tokens that were given out.
    pub tokens: HashMap<String, Access>,
    /// Who is signed in where Herald sends people to; `None`: they are asked.
    pub signed_in: Option<i64>,
    /// People on the way back to Herald, by their codes.
    pub(super) codes: HashMap<String, Code>,
    /// Whose a person's token is, and until when (unix milliseconds) it is good.
    pub people_tokens: HashMap<String, (i64, i64)>,
    /// Requests that were made, git's too.
    pub requests: Vec<Request>,
    /// Faults to come.
    pub faults: Vec<Fault>,
    /// Requests that came before a refused one may be repeated.
    pub too_early: Vec<String>,
    /// Until when there is to be none, of the installation and of the App itself.
    pub(super) quiet_until_ms: [i64; 2],
    /// Deliveries that were made or tried, the oldest first.
    pub deliveries: Vec<Delivered>,
    /// Deliveries that were asked for once more.
    pub asked_again: Vec<u64>,
    /// Open pull requests, as `pull_request` in the payload of their deliveries.
    pub pulls: Vec<Value>,
    /// The App's webhook.
    pub hook: Hook,
    /// Manifests that somebody has agreed to, the oldest first.
    pub manifests: Vec<Agreed>,
    /// The App as it was registered from one, in GitHub's shape; the standing one where there is none.
    pub registered: Option<Value>,
    /// Whether the App is installed nowhere.
    pub uninstalled: bool,
    /// The permissions that the installation accepted; all, where nothing is said.
    pub accepted: Option<Value>,
    /// Tags of releases by repository, the newest last.
    pub releases: Vec<(i64, String)>,
    /// Deployments, the newest last.
    pub deployments: Vec<Deployed>,
    /// The number of the newest pull request that was opened here.
    pub last_pull: i64,
    /// Events that GitHub has yet to tell of, with their payloads, the oldest first.
    pub events: Vec<(String, Value)>,
    /// Runs of workflows, in GitHub's shape, the oldest first.
    pub runs: Vec<Value>,
    /// Their artifacts.
    pub artifacts: Vec<Artifact>,
    /// Tokens of jobs of Actions.
    pub oidc: Tokens,
    /// Limits, where they are kept.
    pub limits: Option<RateLimits>,
    /// How long a token lives, in milliseconds.
    pub token_life_ms: i64,
    /// How far its clock is ahead of the real one, in milliseconds.
    pub(super) skew_ms: i64,
    pub(super) last_id: u64,
}

impl State {
    /// Takes over a pull request as the payload of its delivery has it.
    pub fn set_pull(&mut self, pull: &Value) {
        let same = |other: &Value| {
            ["/number", "/base/repo/id"]
                .iter()
                .all(|at| other.pointer(at) == pull.pointer(at))
        };
        self.pulls.retain(|other| !same(other));
        self.pulls.push(pull.clone());
    }

    /// Whether somebody may read what is private.
    pub(super) fn may_read(&self, person: i64) -> bool {
        let person = self.people.get(&person);
        person.is_some_and(|person| person.permission != "none")
    }

    /// Whoever was told to wait has died before the answer arrived, and cannot know of it.
    pub fn forget_limit(&mut self) {
        self.quiet_until_ms = [0; 2];
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The repository of this name.
    pub fn project(&self, owner: &str, name: &str) -> Option<&Project> {
        self.projects
            .iter()
            .find(|project| project.owner == owner && project.name == name)
    }

    /// Check runs of a commit with this name, the oldest first.
    pub fn checks_of(&self, commit: &str, name: &str) -> Vec<&Check> {
        self.checks
            .iter()
            .filter(|check| check.commit == commit && check.name == name)
            .collect()
    }

    /// The newest status of a context on a commit.
    pub fn status_of(&self, commit: &str, context: &str) -> Option<&PostedStatus> {
        self.statuses
            .iter()
            .rfind(|status| status.commit == commit && status.context == context)
    }
}

/// The simulated GitHub: a state, the App that is registered on it, and its clock.
#[derive(Clone)]
pub struct GitHub {
    state: Arc<Mutex<State>>,
    app: Arc<Registered>,
    changes: watch::Sender<u64>,
    clock: Arc<dyn Clock>,
}

struct Registered {
    private_key: Secret,
    public_key: Vec<u8>,
    webhook_secret: Secret,
    client_secret: Secret,
}

impl GitHub {
    /// The id of the App that is registered on it.
    pub const APP_ID: u64 = 4711;
    /// The client id by which people sign in.
    pub const CLIENT_ID: &str = "Iv23simulated";
    /// The one installation.
    pub const INSTALLATION: i64 = 2001;

    /// A GitHub without repositories, with a new App.
    ///
    /// # Errors
    /// When no key could be made.
    pub fn new(clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let pair = KeyPair::generate(KeySize::Rsa2048)?;
        let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair)?;
        let pem = pem(der.as_ref());
        let state = State {
            installations: vec![Self::INSTALLATION],
            token_life_ms: 60 * 60 * 1000,
            last_id: 1000,
            // Who opens and pushes in the payloads below.
            people: HashMap::from([(
                500,
                Person {
                    login: "mona".to_owned(),
                    permission: "write".to_owned(),
                },
            )]),
            ..State::default()
        };
        Ok(Self {
            state: Arc::new(Mutex::new(state)),
            app: Arc::new(Registered {
                private_key: Secret::new(pem),
                public_key: pair.public_key().as_ref().to_vec(),
                webhook_secret: Secret::new(uuid::Uuid::new_v4().simple().to_string()),
                client_secret: Secret::new(uuid::Uuid::new_v4().simple().to_string()),
            }),
            changes: watch::Sender::new(0),
            clock,
        })
    }

    /// The state, locked: look, and let go.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request was answered.
    pub(super) fn changed(&self) {
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Waits until the state is as wished; it is looked at after every request.
    pub async fn until(&self, wish: impl Fn(&State) -> bool) {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            if wish(&self.state()) {
                return;
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Sets its clock this many seconds ahead of ours.
    pub fn skew(&self, seconds: i64) {
        self.state().skew_ms = seconds * 1000;
    }

    /// Its own time, in unix milliseconds.
    pub(super) fn now_ms(&self) -> i64 {
        let skew_ms = self.state().skew_ms;
        self.clock.now_ms() + skew_ms
    }

    /// The App's private key, PEM.
    pub fn private_key(&self) -> &Secret {
        &self.app.private_key
    }

    /// The App's webhook secret.
    pub fn webhook_secret(&self) -> &Secret {
        &self.app.webhook_secret
    }

    /// The App's client secret.
    pub fn client_secret(&self) -> &Secret {
        &self.app.client_secret
    }

    pub(super) fn public_key(&self) -> &[u8] {
        &self.app.public_key
    }

    /// Adds a repository that is served from a bare one on disk.
    pub fn add_project(&self, owner: &str, name: &str, private: bool, git_dir: &Path) -> Project {
        let mut state = self.state();
        let project = Project {
            id: i64::try_from(state.next_id()).unwrap_or(i64::MAX),
            owner: owner.to_owned(),
            name: name.to_owned(),
            private,
            default_branch: "main".to_owned(),
            git_dir: git_dir.to_owned(),
        };
        state.projects.push(project.clone());
        project
    }

    pub(super) fn repository_json(project: &Project) -> Value {
        json!({
            "id": project.id,
            "name": project.name,
            "full_name": format!("{}/{}", project.owner, project.name),
            "private": project.private,
            "visibility": if project.private { "private" } else { "public" },
            "owner": {"id": 77, "login": project.owner, "type": "Organization"},
            "default_branch": project.default_branch,
        })
    }

    /// The payload of a `pull_request` delivery for a branch of the repository itself.
    pub fn pull_request(
        &self,
        project: &Project,
        action: &str,
        number: i64,
        head: (&str, &str),
        base: (&str, &str),
    ) -> Value {
        let (head_ref, head_sha) = head;
        let (base_ref, base_sha) = base;
        let now = chrono::DateTime::from_timestamp_millis(self.now_ms())
            .map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
        json!({
            "action": action,
            "number": number,
            "pull_request": {
                "number": number,
                "title": format!("Change {number}"),
                "user": {"id": 500, "login": "mona", "type": "User"},
                "head": {"ref": head_ref, "sha": head_sha, "repo": {"id": project.id}},
                "base": {"ref": base_ref, "sha": base_sha, "repo": {"id": project.id}},
                "updated_at": now,
            },
            "repository": Self::repository_json(project),
            "installation": {"id": Self::INSTALLATION},
            "sender": {"id": 500, "login": "mona", "type": "User"},
        })
    }

    /// The payload of a `push` delivery.
    pub fn push(&self, project: &Project, branch: &str, before: &str, after: &str) -> Value {
        let mut repository = Self::repository_json(project);
        if let Some(repository) = repository.as_object_mut() {
            repository.insert("pushed_at".to_owned(), json!(self.now_ms() / 1_000));
        }
        json!({
            "ref": format!("refs/heads/{branch}"),
            "before": before,
            "after": after,
            "deleted": false,
            "repository": repository,
            "installation": {"id": Self::INSTALLATION},
            "sender": {"id": 500, "login": "mona", "type": "User"},
        })
    }

    /// The payload of an `issue_comment` delivery: a person has written on a pull request.
    pub fn comment(&self, project: &Project, pull: i64, person: i64, body: &str) -> Value {
        let now = chrono::DateTime::from_timestamp_millis(self.now_ms())
            .map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
        let mut state = self.state();
        let id = state.next_id();
        let login = state.people.get(&person).map(|person| &person.login);
        let user = json!({"id": person, "login": login, "type": "User"});
        json!({
            "action": "created",
            "issue": {"number": pull, "pull_request": {}},
            "comment": {
                "id": id, "body": body, "created_at": now, "user": user,
                // Whoever writes to the App's address may write this.
                "author_association": "OWNER",
            },
            "repository": Self::repository_json(project),
            "installation": {"id": Self::INSTALLATION},
            "sender": user,
        })
    }

    /// The payload of a `check_run` delivery: somebody has pressed a button on a check run.
    pub fn button(&self, project: &Project, check: &Check, identifier: &str, person: i64) -> Value {
        json!({
            "action": "requested_action",
            "requested_action": {"identifier": identifier},
            "check_run": {"head_sha": check.commit, "external_id": check.external_id},
            "repository": Self::repository_json(project),
            "installation": {"id": Self::INSTALLATION},
            "sender": {"id": person, "type": "User"},
        })
    }

    /// The payload of a `merge_group` delivery.
    pub fn merge_group(
        &self,
        project: &Project,
        action: &str,
        head: (&str, &str),
        base: (&str, &str),
    ) -> Value {
        json!({
            "action": action,
            "merge_group": {
                "head_ref": format!("refs/heads/{}", head.0), "head_sha": head.1,
                "base_ref": format!("refs/heads/{}", base.0), "base_sha": base.1,
            },
            "repository": Self::repository_json(project),
            "installation": {"id": Self::INSTALLATION},
            "sender": {"id": 500, "login": "mona", "type": "User"},
        })
    }

    /// The payload of a `check_run` or `check_suite` delivery that asks to run again.
    pub fn rerequested(&self, project: &Project, commit: &str, check: Option<&str>) -> Value {
        let mut payload = json!({
            "action": "rerequested",
            "repository": Self::repository_json(project),
            "installation": {"id": Self::INSTALLATION},
            "sender": {"id": 500, "login": "mona", "type": "User"},
        });
        let (key, value) = match check {
            Some(external_id) => (
                "check_run",
                json!({"head_sha": commit, "external_id": external_id}),
            ),
            None => ("check_suite", json!({"head_sha": commit})),
        };
        if let Some(object) = payload.as_object_mut() {
            object.insert(key.to_owned(), value);
        }
        payload
    }
}

/// A private key (PKCS #8) as PEM.
pub(super) fn pem(der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<&str> = body
        .as_bytes()
        .chunks(64)
        .filter_map(|line| std::str::from_utf8(line).ok())
        .collect();
    format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        lines.join("\n")
    )
}

impl std::fmt::Debug for GitHub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GitHub").finish_non_exhaustive()
    }
}

/// The headers of a delivery, signed.
pub fn delivery_headers(
    secret: &Secret,
    event: &str,
    guid: &str,
    body: &[u8],
) -> Vec<(&'static str, String)> {
    let signature = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .map(|mut mac| {
            mac.update(body);
            mac.finalize().into_bytes()
        })
        .map(|bytes| {
            bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        })
        .unwrap_or_default();
    vec![
        ("content-type", "application/json".to_owned()),
        ("x-github-event", event.to_owned()),
        ("x-github-delivery", guid.to_owned()),
        ("x-hub-signature-256", format!("sha256={signature}")),
    ]
}
