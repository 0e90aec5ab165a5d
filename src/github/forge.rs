//! Reading and writing what the port asks for.

use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::client::Client;
use super::limit::Urgency;
use super::payload;
use super::who::As;
use crate::domain::{
    Annotation, CheckRun, CheckState, Comment, Event, InstallationId, Permission, PersonId,
    PullRequest, Reaction, Repository, Sha, Status, StatusState,
};
use crate::ports::error::Result;
use crate::ports::forge::{FoundCheck, ListedDelivery, RecoveredDelivery};
use crate::ports::source::Remote;
use crate::ports::{Forge, Kind};
use crate::text::address;

/// GitHub as a forge.
#[derive(Debug)]
pub struct GitHub {
    client: Client,
    web_url: String,
    host: String,
}

#[derive(Deserialize)]
struct Id {
    id: u64,
}

#[derive(Deserialize)]
struct AccountRow {
    id: i64,
    login: String,
}

/// What a person may do in a repository. `permission` is the coarse word, which also says `write`
/// for the role `maintain`.
#[derive(Deserialize)]
struct PermissionRow {
    permission: String,
    user: AccountRow,
}

#[derive(Deserialize)]
struct CheckRunRow {
    id: u64,
    #[serde(default)]
    external_id: Option<String>,
    #[serde(default)]
    output: Output,
}

#[derive(Deserialize, Default)]
struct Output {
    #[serde(default)]
    annotations_count: usize,
}

#[derive(Deserialize)]
struct StatusRow {
    context: String,
    state: StatusState,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    target_url: Option<String>,
}

#[derive(Deserialize)]
struct CommentRow {
    id: u64,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    performed_via_github_app: Option<Id>,
}

impl GitHub {
    /// GitHub at `web_url` (as in `https://github.com`), reached through `client`.
    pub fn new(client: Client, web_url: &str) -> Self {
        let web_url = web_url.trim_end_matches('/').to_owned();
        let host = host_of(&web_url).to_owned();
        Self {
            client,
            web_url,
            host,
        }
    }

    /// The client, for what is not part of the port.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The host that ids of repositories begin with.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Asks GitHub who the App is: its name there.
    ///
    /// # Errors
    /// As the kinds say.
    pub async fn app(&self) -> Result<AppInfo> {
        self.client.json(As::APP, Method::GET, "/app", None).await
    }
}

/// What GitHub knows of the App.
#[derive(Debug, Deserialize)]
pub struct AppInfo {
    /// Its id.
    pub id: u64,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// The permissions it asks for, with `read` or `write`.
    #[serde(default)]
    pub permissions: std::collections::BTreeMap<String, String>,
    /// The events it subscribes to.
    #[serde(default)]
    pub events: Vec<String>,
}

/// The host of an address, with its port if there is one.
pub(super) fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

pub(super) fn at(repository: &Repository, rest: &str) -> String {
    format!("/repos/{}/{}/{rest}", repository.owner, repository.name)
}

pub(super) fn who(repository: &Repository) -> As {
    As::in_repository(repository)
}

/// How urgent it is to tell a state: what is final goes before all else.
fn check_urgency(check: &CheckRun) -> Urgency {
    match check.state {
        CheckState::Completed(_) => Urgency::Conclusion,
        CheckState::Queued => Urgency::First,
        CheckState::InProgress => Urgency::Progress,
    }
}

/// Anybody can have us answer; it must not hold up what builds have to say.
fn comment_urgency(comment: &Comment) -> Urgency {
    if comment.is_answer {
        Urgency::Progress
    } else {
        Urgency::First
    }
}

fn status_urgency(status: &Status) -> Urgency {
    match status.state {
        StatusState::Pending => Urgency::Progress,
        _ => Urgency::Conclusion,
    }
}

fn time(ms: i64) -> Option<String> {
    let time = chrono::DateTime::from_timestamp_millis(ms)?;
    Some(time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}

pub(super) fn list_at(key: &'static str) -> impl Fn(Value) -> Option<Vec<Value>> {
    move |mut answer| match answer.get_mut(key)?.take() {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

pub(super) fn list(answer: Value) -> Option<Vec<Value>> {
    match answer {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

fn check_body(check: &CheckRun, annotations: &[Annotation]) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("name".to_owned(), json!(check.name));
    body.insert("details_url".to_owned(), json!(check.details_url));
    let status = match check.state {
        CheckState::Queued => "queued",
        CheckState::InProgress => "in_progress",
        CheckState::Completed(_) => "completed",
    };
    body.insert("status".to_owned(), json!(status));
    if let CheckState::Completed(conclusion) = check.state {
        body.insert("conclusion".to_owned(), json!(conclusion.as_str()));
        if let Some(at) = check.completed_ms.and_then(time) {
            body.insert("completed_at".to_owned(), json!(at));
        }
    }
    if let Some(at) = check.started_ms.and_then(time) {
        body.insert("started_at".to_owned(), json!(at));
    }
    let mut output = Map::new();
    output.insert("title".to_owned(), json!(check.title));
    output.insert("summary".to_owned(), json!(check.summary));
    if !annotations.is_empty() {
        output.insert("annotations".to_owned(), json!(annotations));
    }
    body.insert("output".to_owned(), Value::Object(output));
    if !check.actions.is_empty() {
        body.insert("actions".to_owned(), json!(check.actions));
    }
    body
}

#[async_trait]
impl Forge for GitHub {
    fn shared_by(&self, processes: u32) {
        self.client().shared_by(processes);
    }

    fn kept(&self, event: &str, body: String) -> Result<String> {
        payload::kept(event, body)
    }

    fn read_event(&self, event: &str, body: &str) -> Result<Event> {
        payload::read_event(&self.host, event, body)
    }

    async fn remote(&self, repository: &Repository) -> Result<Remote> {
        // Also for a public repository: an Enterprise Server may ask everybody to sign in.
        let credential = self
            .client
            .fetch_token(repository.installation, &repository.id)
            .await?;
        Ok(Remote {
            id: repository.id.file_name(),
            url: format!(
                "{}/{}/{}.git",
                self.web_url, repository.owner, repository.name
            ),
            credential: Some(credential),
        })
    }

    async fn permission(&self, repository: &Repository, person: PersonId) -> Result<Permission> {
        // Permissions are asked for by name, and a name may have changed hands since the event.
        let account: AccountRow = match self
            .client
            .json(
                who(repository),
                Method::GET,
                &format!("/user/{}", person.0),
                None,
            )
            .await
        {
            Ok(account) => account,
            Err(error) if error.kind == Kind::Gone => return Ok(Permission::None),
            Err(error) => return Err(error),
        };
        let path = format!("collaborators/{}/permission", address::part(&account.login));
        let answer: Result<PermissionRow> = self
            .client
            .json(who(repository), Method::GET, &at(repository, &path), None)
            .await;
        match answer {
            Ok(found) if found.user.id == person.0 => Ok(Permission::parse(&found.permission)),
            // Somebody else has the name by now.
            Ok(_) => Ok(Permission::None),
            Err(error) if error.kind == Kind::Gone => Ok(Permission::None),
            Err(error) => Err(error),
        }
    }

    async fn newest_release(&self, repository: &Repository) -> Result<Option<String>> {
        self.find_release(repository).await
    }

    async fn newest_deployment(&self, repository: &Repository) -> Result<Option<(String, String)>> {
        self.find_deployment(repository).await
    }

    async fn pull_request(&self, repository: &Repository, number: i64) -> Result<PullRequest> {
        let path = at(repository, &format!("pulls/{number}"));
        let row: payload::PullRow = self
            .client
            .json(who(repository), Method::GET, &path, None)
            .await?;
        row.read(&self.host)
    }

    async fn react(&self, repository: &Repository, reaction: &Reaction) -> Result<()> {
        let path = at(
            repository,
            &format!("issues/comments/{}/reactions", reaction.comment),
        );
        self.client
            .send(
                who(repository),
                Method::POST,
                &path,
                Some(&json!({"content": reaction.content})),
            )
            .await
    }

    async fn find_check(
        &self,
        repository: &Repository,
        commit: &Sha,
        name: &str,
        external_id: &str,
    ) -> Result<Option<FoundCheck>> {
        let path = at(
            repository,
            &format!(
                "commits/{commit}/check-runs?check_name={}&filter=all",
                address::part(name)
            ),
        );
        let rows: Vec<CheckRunRow> = self
            .client
            .pages(
                who(repository).when(Urgency::Conclusion),
                &path,
                list_at("check_runs"),
            )
            .await?;
        Ok(rows
            .into_iter()
            .find(|row| row.external_id.as_deref() == Some(external_id))
            .map(|row| FoundCheck {
                id: row.id.to_string(),
                annotations: row.output.annotations_count,
            }))
    }

    async fn create_check(
        &self,
        repository: &Repository,
        external_id: &str,
        check: &CheckRun,
        annotations: &[Annotation],
    ) -> Result<String> {
        let mut body = check_body(check, annotations);
        body.insert("head_sha".to_owned(), json!(check.commit));
        body.insert("external_id".to_owned(), json!(external_id));
        let made: Id = self
            .client
            .json(
                who(repository).when(check_urgency(check)),
                Method::POST,
                &at(repository, "check-runs"),
                Some(&Value::Object(body)),
            )
            .await?;
        Ok(made.id.to_string())
    }

    async fn update_check(
        &self,
        repository: &Repository,
        id: &str,
        check: &CheckRun,
        annotations: &[Annotation],
    ) -> Result<()> {
        let body = Value::Object(check_body(check, annotations));
        let path = at(repository, &format!("check-runs/{id}"));
        // Once it is there, that it waits is progress.
        let urgency = match check_urgency(check) {
            Urgency::First => Urgency::Progress,
            urgency => urgency,
        };
        let who = who(repository).when(urgency);
        self.client
            .send(who, Method::PATCH, &path, Some(&body))
            .await
    }

    async fn find_status(
        &self,
        repository: &Repository,
        commit: &Sha,
        context: &str,
    ) -> Result<Option<Status>> {
        // The newest first; all pages, because other integrations write there too.
        let path = at(repository, &format!("commits/{commit}/statuses"));
        let who = who(repository).when(Urgency::Conclusion);
        let rows: Vec<StatusRow> = self.client.pages(who, &path, list).await?;
        Ok(rows
            .into_iter()
            .find(|row| row.context.eq_ignore_ascii_case(context))
            .map(|row| Status {
                commit: commit.clone(),
                context: row.context,
                state: row.state,
                description: row.description.unwrap_or_default(),
                target_url: row.target_url.unwrap_or_default(),
            }))
    }

    async fn create_status(&self, repository: &Repository, status: &Status) -> Result<()> {
        let body = json!({
            "state": status.state,
            "context": status.context,
            "description": status.description,
            "target_url": status.target_url,
        });
        let path = at(repository, &format!("statuses/{}", status.commit));
        let who = who(repository).when(status_urgency(status));
        self.client
            .send(who, Method::POST, &path, Some(&body))
            .await
    }

    async fn find_comment(
        &self,
        repository: &Repository,
        pull: i64,
        marker: &str,
    ) -> Result<Option<String>> {
        let path = at(repository, &format!("issues/{pull}/comments"));
        let who = who(repository);
        let rows: Vec<CommentRow> = self.client.pages(who, &path, list).await?;
        let ours = self.client.app_id();
        Ok(rows
            .into_iter()
            .find(|row| {
                // Anybody can write our marker; only what the App wrote is ours.
                row.performed_via_github_app
                    .as_ref()
                    .is_some_and(|app| app.id == ours)
                    && row
                        .body
                        .as_deref()
                        .is_some_and(|body| body.contains(marker))
            })
            .map(|row| row.id.to_string()))
    }

    async fn create_comment(&self, repository: &Repository, comment: &Comment) -> Result<String> {
        let path = at(repository, &format!("issues/{}/comments", comment.pull));
        let made: Id = self
            .client
            .json(
                who(repository).when(comment_urgency(comment)),
                Method::POST,
                &path,
                Some(&json!({"body": comment.body})),
            )
            .await?;
        Ok(made.id.to_string())
    }

    async fn deliveries(
        &self,
        cursor: Option<&str>,
    ) -> Result<(Vec<ListedDelivery>, Option<String>)> {
        self.list_deliveries(cursor).await
    }

    async fn delivery(&self, id: u64) -> Result<RecoveredDelivery> {
        self.read_delivery(id).await
    }

    async fn redeliver(&self, id: u64) -> Result<()> {
        self.redeliver_one(id).await
    }

    async fn repository(&self, repository: &Repository) -> Result<Repository> {
        self.read_repository(repository).await
    }

    async fn root_files(&self, repository: &Repository) -> Result<Vec<String>> {
        self.list_root(repository).await
    }

    async fn open_pulls(&self, repository: &Repository) -> Result<Vec<PullRequest>> {
        self.list_open_pulls(repository).await
    }

    fn hold(&self, who: Option<InstallationId>, until_ms: i64) {
        self.client.hold(who, until_ms);
    }

    async fn update_comment(
        &self,
        repository: &Repository,
        id: &str,
        comment: &Comment,
    ) -> Result<()> {
        let path = at(repository, &format!("issues/comments/{id}"));
        self.client
            .send(
                who(repository),
                Method::PATCH,
                &path,
                Some(&json!({"body": comment.body})),
            )
            .await
    }
}
