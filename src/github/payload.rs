//! From webhook payloads to events.
//!
//! Own small structures, every field that Herald can do without optional: octocrab's model of an
//! event refuses unknown actions and costs thirteen times as much. Shapes as in GitHub's
//! "Webhook events and payloads".

use serde::Deserialize;

use crate::domain::{
    Event, Installation, InstallationId, Occasion, PersonId, PullRequest, Repository, RepositoryId,
    Sha,
};
use crate::ports::PortError;
use crate::ports::error::Result;

#[derive(Deserialize)]
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
    repositories_removed: Vec<RepositoryName>,
    #[serde(rename = "ref", default)]
    reference: Option<String>,
    #[serde(default)]
    before: Option<String>,
    #[serde(default)]
    after: Option<String>,
    #[serde(default)]
    deleted: bool,
}

#[derive(Deserialize)]
struct InstallationRow {
    id: i64,
    #[serde(default)]
    account: Option<Account>,
    #[serde(default)]
    repository_selection: Option<String>,
}

#[derive(Deserialize)]
struct Account {
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
    fn login(&self) -> String {
        self.login
            .clone()
            .or_else(|| self.name.clone())
            .unwrap_or_default()
    }
}

#[derive(Deserialize)]
struct RepositoryName {
    id: i64,
}

#[derive(Deserialize)]
struct RepositoryRow {
    id: i64,
    name: String,
    owner: Account,
    #[serde(default)]
    private: bool,
    #[serde(default)]
    visibility: Option<String>,
    #[serde(default)]
    default_branch: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct PullRow {
    number: i64,
    head: Side,
    base: Side,
    #[serde(default)]
    user: Option<Account>,
    #[serde(default)]
    updated_at: Option<String>,
}

#[derive(Deserialize)]
struct Side {
    #[serde(rename = "ref")]
    reference: String,
    sha: String,
    // Null when the fork was deleted.
    #[serde(default)]
    repo: Option<RepositoryName>,
}

#[derive(Deserialize)]
struct CheckRunRow {
    head_sha: String,
    #[serde(default)]
    external_id: Option<String>,
}

#[derive(Deserialize)]
struct CheckSuiteRow {
    head_sha: String,
}

/// Reads a delivery. `host` is the GitHub host that sent it.
///
/// # Errors
/// `Refused` when the body is not what GitHub sends for such an event.
pub fn read_event(host: &str, event: &str, body: &str) -> Result<Event> {
    let known = matches!(
        event,
        "pull_request"
            | "push"
            | "check_run"
            | "check_suite"
            | "installation"
            | "installation_repositories"
            | "repository"
    );
    if !known {
        return Ok(Event::Ignored {
            reason: "an event that Herald does not react to",
        });
    }
    let payload: Payload = serde_json::from_str(body)
        .map_err(|error| PortError::refused(format!("read a {event} delivery: {error}")))?;
    match event {
        "pull_request" => pull_request(host, &payload),
        "push" => push(host, &payload),
        "check_run" | "check_suite" => rerequested(host, event, &payload),
        "installation" => installation(host, &payload),
        "installation_repositories" => Ok(Event::RepositoriesRemoved {
            repositories: payload
                .repositories_removed
                .iter()
                .map(|repository| RepositoryId::new(host, repository.id))
                .collect(),
        }),
        _ => repository_event(host, &payload),
    }
}

fn missing(what: &str) -> PortError {
    PortError::refused(format!("find `{what}` in the delivery"))
}

fn ignored(reason: &'static str) -> Event {
    Event::Ignored { reason }
}

fn sha(text: &str) -> Result<Sha> {
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
    let public = row
        .visibility
        .as_deref()
        .map_or(!row.private, |visibility| visibility == "public");
    Ok(Some(Repository {
        id: RepositoryId::new(host, row.id),
        installation: InstallationId(installation.id),
        owner: row.owner.login(),
        name: row.name.clone(),
        private: !public,
        default_branch: row
            .default_branch
            .clone()
            .unwrap_or_else(|| "main".to_owned()),
    }))
}

fn sender(payload: &Payload) -> PersonId {
    PersonId(payload.sender.as_ref().map_or(0, |sender| sender.id))
}

const NO_INSTALLATION: &str = "a delivery without an installation";

fn pull_request(host: &str, payload: &Payload) -> Result<Event> {
    let action = payload.action.as_deref().unwrap_or_default();
    let wanted = matches!(
        action,
        "opened" | "reopened" | "ready_for_review" | "synchronize" | "closed"
    );
    if !wanted {
        return Ok(ignored("an action that changes nothing to build"));
    }
    let Some(repository) = repository(host, payload)? else {
        return Ok(ignored(NO_INSTALLATION));
    };
    let row = payload
        .pull_request
        .as_ref()
        .ok_or_else(|| missing("pull_request"))?;
    let pull = pull_of(host, row)?;
    let sender = sender(payload);
    Ok(match action {
        "closed" => Event::PullRequestClosed { repository, pull },
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

/// A pull request, as deliveries and lists have it.
pub(super) fn pull_of(host: &str, row: &PullRow) -> Result<PullRequest> {
    let updated_ms = row
        .updated_at
        .as_deref()
        .and_then(|time| chrono::DateTime::parse_from_rfc3339(time).ok())
        .map_or(0, |time| time.timestamp_millis());
    Ok(PullRequest {
        number: row.number,
        head: sha(&row.head.sha)?,
        head_ref: row.head.reference.clone(),
        head_repository: row
            .head
            .repo
            .as_ref()
            .map(|head| RepositoryId::new(host, head.id)),
        base: sha(&row.base.sha)?,
        base_ref: row.base.reference.clone(),
        author: PersonId(row.user.as_ref().map_or(0, |user| user.id)),
        author_is_bot: row
            .user
            .as_ref()
            .is_some_and(|user| user.kind.as_deref() == Some("Bot")),
        updated_ms,
    })
}

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
    let occasion = if let Some(branch) = reference.strip_prefix("refs/heads/") {
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
    match repository(host, payload)? {
        Some(repository) => Ok(Event::Pushed {
            repository,
            occasion,
            commit,
            sender,
        }),
        None => Ok(ignored(NO_INSTALLATION)),
    }
}

fn rerequested(host: &str, event: &str, payload: &Payload) -> Result<Event> {
    if payload.action.as_deref() != Some("rerequested") {
        return Ok(ignored("an action that asks for nothing"));
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
    })
}

fn installation(host: &str, payload: &Payload) -> Result<Event> {
    let row = payload
        .installation
        .as_ref()
        .ok_or_else(|| missing("installation"))?;
    let id = InstallationId(row.id);
    Ok(match payload.action.as_deref() {
        Some("deleted" | "suspend") => Event::Uninstalled {
            host: host.to_owned(),
            installation: id,
        },
        Some("created" | "unsuspend" | "new_permissions_accepted") => {
            let account = row.account.as_ref();
            Event::Installed {
                installation: Installation {
                    host: host.to_owned(),
                    id,
                    account: PersonId(account.map_or(0, |account| account.id)),
                    login: account.map_or_else(String::new, Account::login),
                    selected_by_hand: row.repository_selection.as_deref() != Some("all"),
                },
            }
        }
        _ => ignored("an action that changes nothing for Herald"),
    })
}

fn repository_event(host: &str, payload: &Payload) -> Result<Event> {
    let action = payload.action.as_deref().unwrap_or_default();
    if action == "deleted" {
        let row = payload
            .repository
            .as_ref()
            .ok_or_else(|| missing("repository"))?;
        return Ok(Event::RepositoriesRemoved {
            repositories: vec![RepositoryId::new(host, row.id)],
        });
    }
    Ok(match repository(host, payload)? {
        Some(repository) => Event::RepositoryChanged { repository },
        None => ignored(NO_INSTALLATION),
    })
}
