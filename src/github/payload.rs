//! From webhook payloads to events.
//!
//! Own small structures, every field that Herald can do without optional: octocrab's model of an
//! event refuses unknown actions and costs thirteen times as much. Shapes as in GitHub's
//! "Webhook events and payloads".

mod installation;
mod kept;

use serde::{Deserialize, Serialize};

use super::workflows::RunRow;
use crate::domain::queue::QUEUES;
use crate::domain::{
    Ask, Event, InstallationId, Occasion, PersonId, Place, PullRequest, Repository, RepositoryId,
    Sha, Wish,
};
use crate::ports::PortError;
use crate::ports::error::Result;

use kept::Something;
pub(super) use kept::is_object;
pub use kept::kept;

#[derive(Deserialize, Serialize)]
struct Payload {
    #[serde(default)]
    action: Option<String>,
    #[serde(default)]
    installation: Option<InstallationRow>,
    #[serde(default)]
    repository: Option<RepositoryRow>,
    #[serde(default)]
    sender: Option<Account>,
    #[serde(default)]
    pull_request: Option<PullRow>,
    #[serde(default)]
    check_run: Option<CheckRunRow>,
    #[serde(default)]
    check_suite: Option<CheckSuiteRow>,
    #[serde(default)]
    requested_action: Option<ButtonRow>,
    #[serde(default)]
    merge_group: Option<MergeGroupRow>,
    #[serde(default)]
    workflow_run: Option<RunRow>,
    #[serde(default)]
    workflow: Option<WorkflowName>,
    #[serde(default)]
    comment: Option<CommentRow>,
    #[serde(default)]
    issue: Option<IssueRow>,
    #[serde(default)]
    changes: Option<ChangesRow>,
    #[serde(default)]
    repositories: Option<Vec<ShortRow>>,
    #[serde(default)]
    repositories_added: Option<Vec<ShortRow>>,
    #[serde(default)]
    repositories_removed: Option<Vec<RepositoryName>>,
    #[serde(rename = "ref", default)]
    reference: Option<String>,
    #[serde(default)]
    before: Option<String>,
    #[serde(default)]
    after: Option<String>,
    #[serde(default)]
    deleted: bool,
}

#[derive(Deserialize, Serialize)]
struct InstallationRow {
    id: i64,
    #[serde(default)]
    account: Option<Account>,
    #[serde(default)]
    repository_selection: Option<String>,
}

#[derive(Deserialize, Serialize)]
pub(super) struct Account {
    id: i64,
    #[serde(default)]
    login: Option<String>,
    // Pushes call it `name`.
    #[serde(default)]
    name: Option<String>,
    #[serde(rename = "type", default)]
    kind: Option<String>,
}

impl Account {
    pub(super) fn is_bot(&self) -> bool {
        self.kind.as_deref() == Some("Bot")
    }

    pub(super) fn login(&self) -> String {
        self.login
            .clone()
            .or_else(|| self.name.clone())
            .unwrap_or_default()
    }
}

#[derive(Deserialize, Serialize)]
pub(super) struct RepositoryName {
    pub(super) id: i64,
}

#[derive(Deserialize, Serialize)]
struct WorkflowName {
    name: String,
}

/// What an event of an installation tells of a repository.
#[derive(Deserialize, Serialize)]
struct ShortRow {
    id: i64,
    #[serde(default)]
    full_name: String,
    #[serde(default)]
    private: bool,
}

/// A repository, in a delivery and in an answer alike.
#[derive(Deserialize, Serialize)]
pub(super) struct RepositoryRow {
    id: i64,
    name: String,
    owner: Account,
    #[serde(default)]
    private: bool,
    #[serde(default)]
    visibility: Option<String>,
    #[serde(default)]
    default_branch: Option<String>,
    /// In a `push` a number, seconds since 1970, and elsewhere a text.
    #[serde(default)]
    pushed_at: serde_json::Value,
}

#[derive(Deserialize, Serialize)]
struct ButtonRow {
    #[serde(default)]
    identifier: String,
}

#[derive(Deserialize, Serialize)]
struct MergeGroupRow {
    head_sha: String,
    head_ref: String,
    base_sha: String,
    base_ref: String,
}

#[derive(Deserialize, Serialize)]
struct CommentRow {
    id: i64,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    user: Option<Account>,
    #[serde(default)]
    created_at: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct IssueRow {
    number: i64,
    // There only when the issue is a pull request.
    #[serde(default)]
    pull_request: Option<Something>,
}

#[derive(Deserialize, Serialize)]
struct ChangesRow {
    #[serde(default)]
    base: Option<Something>,
}

/// A pull request, in a delivery and in an answer alike.
#[derive(Deserialize, Serialize)]
pub(super) struct PullRow {
    number: i64,
    head: Side,
    base: Side,
    #[serde(default)]
    user: Option<Account>,
    #[serde(default)]
    updated_at: Option<String>,
    #[serde(default)]
    state: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct Side {
    #[serde(rename = "ref")]
    reference: String,
    sha: String,
    // Null when the fork was deleted.
    #[serde(default)]
    repo: Option<RepositoryName>,
}

#[derive(Deserialize, Serialize)]
struct CheckRunRow {
    head_sha: String,
    #[serde(default)]
    external_id: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct CheckSuiteRow {
    head_sha: String,
}

/// Reads a delivery. `host` is the GitHub host that sent it.
///
/// # Errors
/// `Refused` when the body is not what GitHub sends for such an event.
pub fn read_event(host: &str, event: &str, body: &str) -> Result<Event> {
    let Some(read) = reader(event) else {
        return Ok(ignored("an event that Herald does not react to"));
    };
    let payload: Payload = serde_json::from_str(body)
        .map_err(|error| PortError::refused(format!("read a {event} delivery: {error}")))?;
    read(host, payload)
}

/// What reads the payload of such an event; `None` where Herald does not react to it.
fn reader(event: &str) -> Option<fn(&str, Payload) -> Result<Event>> {
    Some(match event {
        "pull_request" => |host, payload| pull_request(host, &payload),
        "push" => |host, payload| push(host, &payload),
        "check_run" => |host, payload| rerequested(host, "check_run", &payload),
        "check_suite" => |host, payload| rerequested(host, "check_suite", &payload),
        "issue_comment" => |host, payload| comment(host, &payload),
        "merge_group" => |host, payload| merge_group(host, &payload),
        "workflow_run" => workflow_run,
        "installation" | "installation_repositories" => {
            |host, payload| installation::changed(host, &payload)
        }
        "repository" => |host, payload| installation::repository(host, &payload),
        _ => return None,
    })
}

fn missing(what: &str) -> PortError {
    PortError::refused(format!("find `{what}` in the delivery"))
}

fn ignored(reason: &'static str) -> Event {
    Event::Ignored { reason }
}

/// A time in unix milliseconds; 0 where there is none.
pub(super) fn time_ms(text: Option<&str>) -> i64 {
    text.and_then(|time| chrono::DateTime::parse_from_rfc3339(time).ok())
        .map_or(0, |time| time.timestamp_millis())
}

pub(super) fn sha(text: &str) -> Result<Sha> {
    Sha::parse(text).map_err(|error| PortError::refused(error.to_string()))
}

/// The repository; `None` without an installation, which an App always gets: such a delivery
/// comes from a repository's own webhook, and Herald could not answer.
fn repository(host: &str, payload: &Payload) -> Result<Option<Repository>> {
    let row = payload
        .repository
        .as_ref()
        .ok_or_else(|| missing("repository"))?;
    let Some(installation) = &payload.installation else {
        return Ok(None);
    };
    Ok(Some(row.read(host, InstallationId(installation.id))))
}

impl ShortRow {
    /// The repository, whose default branch is not told here.
    fn read(&self, host: &str, installation: InstallationId) -> Option<Repository> {
        let (owner, name) = self.full_name.split_once('/')?;
        Some(Repository {
            id: RepositoryId::new(host, self.id),
            installation,
            owner: owner.to_owned(),
            name: name.to_owned(),
            private: self.private,
            default_branch: String::new(),
        })
    }
}

impl RepositoryRow {
    /// The repository, reached by this installation.
    pub(super) fn read(&self, host: &str, installation: InstallationId) -> Repository {
        let public = self
            .visibility
            .as_deref()
            .map_or(!self.private, |visibility| visibility == "public");
        Repository {
            id: RepositoryId::new(host, self.id),
            installation,
            owner: self.owner.login(),
            name: self.name.clone(),
            private: !public,
            default_branch: self.default_branch.clone().unwrap_or_default(),
        }
    }
}

fn sender(payload: &Payload) -> PersonId {
    PersonId(payload.sender.as_ref().map_or(0, |sender| sender.id))
}

fn is_bot(account: Option<&Account>) -> bool {
    account.is_some_and(Account::is_bot)
}

const NO_INSTALLATION: &str = "a delivery without an installation";

fn pull_request(host: &str, payload: &Payload) -> Result<Event> {
    let action = payload.action.as_deref().unwrap_or_default();
    let wanted = matches!(
        action,
        "opened" | "reopened" | "ready_for_review" | "synchronize" | "closed" | "edited"
    );
    if !wanted {
        return Ok(ignored("an action that changes nothing to build"));
    }
    let retargeted = payload
        .changes
        .as_ref()
        .is_some_and(|changes| changes.base.is_some());
    if action == "edited" && !retargeted {
        return Ok(ignored("an edit that changes nothing to build"));
    }
    let Some(repository) = repository(host, payload)? else {
        return Ok(ignored(NO_INSTALLATION));
    };
    let row = payload
        .pull_request
        .as_ref()
        .ok_or_else(|| missing("pull_request"))?;
    if action == "edited" && row.state.as_deref() == Some("closed") {
        return Ok(ignored("an edit of a closed pull request"));
    }
    let pull = row.read(host)?;
    let sender = sender(payload);
    Ok(match action {
        "closed" => Event::PullRequestClosed { repository, pull },
        "edited" => Event::PullRequestRetargeted {
            repository,
            pull,
            sender,
        },
        "synchronize" => Event::PullRequestUpdated {
            repository,
            pull,
            sender,
        },
        _ => Event::PullRequestOpened {
            repository,
            pull,
            sender,
        },
    })
}

impl PullRow {
    /// The pull request.
    pub(super) fn read(&self, host: &str) -> Result<PullRequest> {
        Ok(PullRequest {
            number: self.number,
            head: sha(&self.head.sha)?,
            head_ref: self.head.reference.clone(),
            head_repository: self
                .head
                .repo
                .as_ref()
                .map(|head| RepositoryId::new(host, head.id)),
            base: sha(&self.base.sha)?,
            base_ref: self.base.reference.clone(),
            author: PersonId(self.user.as_ref().map_or(0, |user| user.id)),
            author_is_bot: is_bot(self.user.as_ref()),
            updated_ms: time_ms(self.updated_at.as_deref()),
        })
    }
}

fn merge_group(host: &str, payload: &Payload) -> Result<Event> {
    let action = payload.action.as_deref().unwrap_or_default();
    if !matches!(action, "checks_requested" | "destroyed") {
        return Ok(ignored("an action that changes nothing to build"));
    }
    let Some(repository) = repository(host, payload)? else {
        return Ok(ignored(NO_INSTALLATION));
    };
    let row = payload
        .merge_group
        .as_ref()
        .ok_or_else(|| missing("merge_group"))?;
    let short = |name: &str| name.strip_prefix(HEADS).unwrap_or(name).to_owned();
    let branch = short(&row.head_ref);
    if action == "destroyed" {
        return Ok(Event::MergeGroupDestroyed { repository, branch });
    }
    Ok(Event::MergeGroupMade {
        repository,
        occasion: Occasion::MergeGroup {
            branch,
            base_ref: short(&row.base_ref),
            base: sha(&row.base_sha)?,
        },
        commit: sha(&row.head_sha)?,
        sender: sender(payload),
    })
}

fn workflow_run(host: &str, payload: Payload) -> Result<Event> {
    if payload.action.as_deref() != Some("completed") {
        return Ok(ignored("a workflow that has not ended"));
    }
    let Some(repository) = repository(host, &payload)? else {
        return Ok(ignored(NO_INSTALLATION));
    };
    let sender = sender(&payload);
    let row = payload
        .workflow_run
        .ok_or_else(|| missing("workflow_run"))?;
    let name = payload
        .workflow
        .as_ref()
        .map(|workflow| workflow.name.as_str());
    let run = row.read(&repository.id, host, name)?;
    Ok(Event::WorkflowEnded {
        repository,
        run,
        sender,
    })
}

/// A comment that asks for something. Only a new one: who edits a comment may not be who wrote
/// it. `author_association` is not looked at, GitHub is asked.
fn comment(host: &str, payload: &Payload) -> Result<Event> {
    if payload.action.as_deref() != Some("created") {
        return Ok(ignored("a comment that was edited or deleted"));
    }
    let row = payload.comment.as_ref().ok_or_else(|| missing("comment"))?;
    let issue = payload.issue.as_ref().ok_or_else(|| missing("issue"))?;
    if issue.pull_request.is_none() {
        return Ok(ignored("a comment on an issue"));
    }
    let Some(wish) = Wish::in_comment(row.body.as_deref().unwrap_or_default()) else {
        return Ok(ignored("a comment that asks for nothing"));
    };
    let person = sender(payload);
    let author = row.user.as_ref();
    if author.is_none_or(|author| author.id != person.0) {
        return Ok(ignored("a comment by somebody else than the sender"));
    }
    if is_bot(author) {
        return Ok(ignored("a comment by a bot"));
    }
    let Some(repository) = repository(host, payload)? else {
        return Ok(ignored(NO_INSTALLATION));
    };
    Ok(Event::Asked {
        repository,
        ask: Ask {
            person,
            wish,
            place: Place::Comment {
                pull: issue.number,
                comment: row.id,
                at_ms: time_ms(row.created_at.as_deref()),
            },
        },
    })
}

const HEADS: &str = "refs/heads/";

fn push(host: &str, payload: &Payload) -> Result<Event> {
    if payload.deleted {
        return Ok(ignored("a deleted branch or tag"));
    }
    let reference = payload.reference.as_deref().ok_or_else(|| missing("ref"))?;
    let after = payload.after.as_deref().ok_or_else(|| missing("after"))?;
    let commit = sha(after)?;
    if commit.is_zero() {
        return Ok(ignored("a deleted branch or tag"));
    }
    let before = payload
        .before
        .as_deref()
        .and_then(|before| Sha::parse(before).ok())
        .filter(|before| !before.is_zero());
    let occasion = if let Some(branch) = reference.strip_prefix(HEADS) {
        // Those are built by `merge_group`.
        if branch.starts_with(QUEUES) {
            return Ok(ignored("a branch of a merge queue"));
        }
        Occasion::Push {
            branch: branch.to_owned(),
            before,
        }
    } else if let Some(tag) = reference.strip_prefix("refs/tags/") {
        Occasion::Tag {
            tag: tag.to_owned(),
        }
    } else {
        return Ok(ignored("a ref that is neither branch nor tag"));
    };
    let sender = sender(payload);
    let row = payload.repository.as_ref();
    let pushed_s = row.and_then(|row| row.pushed_at.as_i64());
    match repository(host, payload)? {
        Some(repository) => Ok(Event::Pushed {
            // The end of the second, so that it does not come before what people asked for within it.
            pushed_ms: pushed_s.map(|s| s.saturating_mul(1_000).saturating_add(999)),
            repository,
            occasion,
            commit,
            sender,
            by_bot: is_bot(payload.sender.as_ref()),
        }),
        None => Ok(ignored(NO_INSTALLATION)),
    }
}

fn rerequested(host: &str, event: &str, payload: &Payload) -> Result<Event> {
    match payload.action.as_deref() {
        Some("rerequested") => {}
        Some("requested_action") if event == "check_run" => return button(host, payload),
        _ => return Ok(ignored("an action that asks for nothing")),
    }
    let Some(repository) = repository(host, payload)? else {
        return Ok(ignored(NO_INSTALLATION));
    };
    let (commit, check) = if event == "check_run" {
        let row = payload
            .check_run
            .as_ref()
            .ok_or_else(|| missing("check_run"))?;
        (sha(&row.head_sha)?, row.external_id.clone())
    } else {
        let row = payload
            .check_suite
            .as_ref()
            .ok_or_else(|| missing("check_suite"))?;
        (sha(&row.head_sha)?, None)
    };
    Ok(Event::Rerequested {
        repository,
        commit,
        check,
        sender: sender(payload),
    })
}

fn button(host: &str, payload: &Payload) -> Result<Event> {
    let wish = payload
        .requested_action
        .as_ref()
        .and_then(|button| Wish::of_button(&button.identifier));
    let check = payload
        .check_run
        .as_ref()
        .ok_or_else(|| missing("check_run"))?
        .external_id
        .clone();
    let (Some(wish), Some(check)) = (wish, check) else {
        return Ok(ignored("a button that is not Herald's"));
    };
    let Some(repository) = repository(host, payload)? else {
        return Ok(ignored(NO_INSTALLATION));
    };
    Ok(Event::Asked {
        repository,
        ask: Ask {
            person: sender(payload),
            wish,
            place: Place::Button { check },
        },
    })
}
