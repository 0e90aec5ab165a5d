//! Requests and answers, and how they are carried out.

use serde::{Deserialize, Serialize};

use tokio_util::sync::CancellationToken;

use super::tokens;
use crate::app::{App, Dropped, Forgotten};
use crate::domain::secret::{check_name, check_value};
use crate::domain::{Answers, Approved, Change, Deed, Doer, PersonId, Repository, Secret, Sha};
use crate::ports::error::Result;
use crate::ports::privacy::Person;
use crate::ports::store::Replayed;
use crate::ports::{Kind, PortError, Store};
use crate::text::traces::Traces;

/// What is asked for. Not printable: there are values in it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Store a secret.
    SetSecret {
        /// `OWNER/REPO`.
        repository: String,
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// List the names of secrets.
    ListSecrets {
        /// `OWNER/REPO`.
        repository: String,
    },
    /// Forget a secret.
    RemoveSecret {
        /// `OWNER/REPO`.
        repository: String,
        /// Its name.
        name: String,
    },
    /// Let a stranger's commit be built.
    Approve {
        /// `OWNER/REPO`.
        repository: String,
        /// The pull request.
        pull: i64,
        /// The commit's whole id: of a beginning somebody can have made two commits.
        commit: String,
    },
    /// Make a token of the API.
    CreateToken {
        /// GitHub's numeric id of the person whose it is; or
        person: Option<i64>,
        /// `OWNER/REPO` of the repository that it is good for.
        repository: Option<String>,
        /// `badges`, `read`, `upload` or `write`.
        scope: String,
        /// What it is for.
        name: String,
        /// How long it is good; without it, for ever.
        days: Option<u32>,
    },
    /// List tokens.
    ListTokens,
    /// Revoke a token.
    RevokeToken {
        /// Its id in the list.
        id: String,
    },
    /// List deliveries.
    ListDeliveries {
        /// Those only whose handling failed.
        failed: bool,
        /// How many.
        limit: u32,
    },
    /// Have a delivery handled again whose handling failed.
    ReplayDelivery {
        /// Its GUID.
        guid: String,
    },
    /// Take a person out of everything.
    Erase {
        /// GitHub's numeric id of them, where it is known.
        id: Option<i64>,
        /// Their login, and whatever else names them.
        names: Vec<String>,
    },
    /// List what people did.
    ListDeeds {
        /// How many.
        limit: u32,
    },
    /// Let go what is older than it is kept.
    Prune,
}

impl Request {
    /// Whether it may take as long as there is to look through.
    pub(super) fn takes_its_time(&self) -> bool {
        matches!(self, Self::Erase { .. } | Self::Prune)
    }
}

/// How a handled delivery is refused.
const HANDLED: &str = "was handled; handling it again could build or cancel twice. To build a commit \
                       again, use \"Re-run\" on its check on GitHub";

/// What comes back. Not printable: a token may be in it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// It is done.
    Done,
    /// The names, in order.
    Secrets {
        /// One each.
        secrets: Vec<Listed>,
    },
    /// A token that was made; it cannot be shown again.
    Token {
        /// The text.
        token: String,
    },
    /// Tokens, the oldest first.
    Tokens {
        /// One each.
        tokens: Vec<ListedToken>,
    },
    /// Deliveries, the newest first.
    Deliveries {
        /// One each.
        deliveries: Vec<ListedDelivery>,
    },
    /// What people did, the newest first.
    Deeds {
        /// One each.
        deeds: Vec<ListedDeed>,
    },
    /// What was taken out.
    Erased {
        /// Where, and what had to stay.
        #[serde(flatten)]
        forgotten: Forgotten,
    },
    /// What was let go.
    Pruned {
        /// How much.
        #[serde(flatten)]
        dropped: Dropped,
    },
    /// The request is wrong, and why.
    Wrong {
        /// A sentence for the operator.
        text: String,
    },
    /// Herald failed, in words that read after "failed to …".
    Failed {
        /// The words.
        text: String,
    },
}

/// A secret in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// When it was stored last, in unix milliseconds.
    pub updated_ms: i64,
}

/// A token in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedToken {
    /// What `revoke` takes.
    pub id: String,
    /// `person 583231`, or `OWNER/REPO`.
    pub holder: String,
    /// `badges`, `read`, `write`.
    pub scope: String,
    /// What it is for.
    pub name: String,
    /// When it was made, in unix milliseconds.
    pub created_ms: i64,
    /// When it ends, in unix milliseconds.
    pub ends_ms: Option<i64>,
}

/// What somebody did, in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedDeed {
    /// When, in unix milliseconds.
    pub at_ms: i64,
    /// `operator`, `person 583231`, `token ID`.
    pub by: String,
    /// What.
    pub what: String,
    /// `OWNER/REPO`; empty where it was in none.
    pub repository: String,
    /// What of it.
    pub subject: String,
}

/// A delivery in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedDelivery {
    /// Its GUID.
    pub guid: String,
    /// The event's name.
    pub event: String,
    /// When it came, in unix milliseconds.
    pub received_ms: i64,
    /// `waiting`, `handled`, `failed`.
    pub state: String,
    /// What went wrong last.
    pub error: Option<String>,
}

/// Carries a request out.
pub async fn carry_out(app: &App, request: Request) -> Answer {
    let (store, now_ms) = (app.parts.store.as_ref(), app.now_ms());
    let answer = match request {
        Request::SetSecret {
            repository,
            name,
            value,
        } => set(store, &repository, &name, value, now_ms).await,
        Request::ListSecrets { repository } => list(store, &repository).await,
        Request::RemoveSecret { repository, name } => {
            remove(store, &repository, &name, now_ms).await
        }
        Request::Approve {
            repository,
            pull,
            commit,
        } => approve(store, &repository, pull, &commit, now_ms).await,
        Request::CreateToken {
            person,
            repository,
            scope,
            name,
            days,
        } => {
            let wanted = tokens::Wanted {
                person,
                repository,
                scope,
                name,
                days,
            };
            tokens::create(store, wanted, now_ms).await
        }
        Request::ListTokens => tokens::list(store).await,
        Request::RevokeToken { id } => tokens::revoke(store, &id, now_ms).await,
        Request::ListDeliveries { failed, limit } => deliveries(store, failed, limit).await,
        Request::ReplayDelivery { guid } => replay(store, &guid, now_ms).await,
        Request::ListDeeds { limit } => deeds(store, limit).await,
        Request::Erase { id, names } => erase(app, id, names).await,
        Request::Prune => prune(app).await,
    };
    answer.unwrap_or_else(|error| match error.kind {
        Kind::Refused => Answer::Wrong {
            text: error.message,
        },
        _ => Answer::Failed {
            text: error.message,
        },
    })
}

pub(super) fn wrong(text: &impl ToString) -> Answer {
    Answer::Wrong {
        text: text.to_string(),
    }
}

/// The repository of that name, or what is wrong with it.
pub(super) async fn find(
    store: &dyn Store,
    name: &str,
) -> Result<std::result::Result<Repository, Answer>> {
    let Some((owner, repo)) = name.split_once('/') else {
        return Ok(Err(wrong(&format!("`{name}` is not OWNER/REPO"))));
    };
    let found = store.repository(owner, repo).await?;
    Ok(found.ok_or_else(|| {
        wrong(&format!(
            "no repository {name} is known to this Herald; install the App on it and let GitHub \
             send one event of it first"
        ))
    }))
}

async fn approve(
    store: &dyn Store,
    repository: &str,
    pull: i64,
    commit: &str,
    now_ms: i64,
) -> Result<Answer> {
    let found = match find(store, repository).await? {
        Ok(found) => found,
        Err(answer) => return Ok(answer),
    };
    let Some(waiting) = store.awaiting_approval(&found.id, pull).await? else {
        return Ok(wrong(&format!(
            "nothing in pull request #{pull} of {repository} waits for approval"
        )));
    };
    let head = waiting.commit;
    if Sha::parse(&commit.to_ascii_lowercase()).ok().as_ref() != Some(&head) {
        return Ok(wrong(&format!(
            "`{commit}` is not the whole id of the head of pull request #{pull}; look at that, \
             then `herald admin approve {repository} {pull} {head}`"
        )));
    }
    let deed = deed(
        "approve",
        Some(&found),
        &format!("pull request {pull}, {head}"),
    );
    let change = Change::Approve {
        repository: found.id,
        what: Approved::Head { pull, commit: head },
        person: None,
        answers: Answers::default(),
    };
    let changes = vec![change, Change::Note(deed)];
    store.apply(changes, now_ms).await?;
    Ok(Answer::Done)
}

/// The person of these names.
///
/// # Errors
/// `Refused` when they are too long to be looked for.
pub fn person(id: Option<i64>, names: Vec<String>) -> Result<Person> {
    let traces = Traces::new(names)
        .map_err(|error| PortError::refused(format!("look for these names: {error}")))?;
    if traces.names().is_empty() {
        return Err(PortError::refused("look for nobody: name a login"));
    }
    let id = id.map(PersonId);
    Ok(Person { id, traces })
}

/// What the operator did, for the audit log.
pub(super) fn deed(what: &'static str, repository: Option<&Repository>, subject: &str) -> Deed {
    Deed::of_operator(what, repository.map(|known| known.id.clone()), subject)
}

async fn deeds(store: &dyn Store, limit: u32) -> Result<Answer> {
    let kept = store.deeds(i64::from(limit)).await?;
    let listed = kept.into_iter().map(|deed| ListedDeed {
        at_ms: deed.at_ms,
        by: match deed.by {
            Doer::Operator => "operator".to_owned(),
            Doer::Person(person) => format!("person {}", person.0),
            Doer::Token(id) => format!("token {id}"),
        },
        what: deed.what,
        repository: deed.repository.unwrap_or_default(),
        subject: deed.subject,
    });
    Ok(Answer::Deeds {
        deeds: listed.collect(),
    })
}

async fn prune(app: &App) -> Result<Answer> {
    let dropped = app.prune(&CancellationToken::new()).await?;
    let deed = deed("prune", None, &dropped.to_string());
    app.parts.store.note(&deed, app.now_ms()).await?;
    Ok(Answer::Pruned { dropped })
}

async fn erase(app: &App, id: Option<i64>, names: Vec<String>) -> Result<Answer> {
    let forgotten = app.erase(&person(id, names)?).await?;
    Ok(Answer::Erased { forgotten })
}

async fn set(
    store: &dyn Store,
    repository: &str,
    name: &str,
    value: String,
    now_ms: i64,
) -> Result<Answer> {
    if let Err(error) = check_name(name).and_then(|()| check_value(&value)) {
        return Ok(wrong(&error));
    }
    let repository = match find(store, repository).await? {
        Ok(found) => found,
        Err(answer) => return Ok(answer),
    };
    store
        .keep_secret(&repository.id, name, &Secret::new(value), now_ms)
        .await?;
    let deed = deed("secret set", Some(&repository), name);
    store.note(&deed, now_ms).await?;
    Ok(Answer::Done)
}

async fn list(store: &dyn Store, repository: &str) -> Result<Answer> {
    let repository = match find(store, repository).await? {
        Ok(found) => found,
        Err(answer) => return Ok(answer),
    };
    let secrets = store.secrets(&repository.id).await?;
    Ok(Answer::Secrets {
        secrets: secrets
            .into_iter()
            .map(|secret| Listed {
                name: secret.name,
                updated_ms: secret.updated_ms,
            })
            .collect(),
    })
}

async fn remove(store: &dyn Store, repository: &str, name: &str, now_ms: i64) -> Result<Answer> {
    let found = match find(store, repository).await? {
        Ok(found) => found,
        Err(answer) => return Ok(answer),
    };
    if store.remove_secret(&found.id, name).await? {
        let deed = deed("secret remove", Some(&found), name);
        store.note(&deed, now_ms).await?;
        Ok(Answer::Done)
    } else {
        Ok(wrong(&format!("{repository} has no secret `{name}`")))
    }
}

async fn deliveries(store: &dyn Store, failed: bool, limit: u32) -> Result<Answer> {
    let kept = store.list_deliveries(failed, i64::from(limit)).await?;
    Ok(Answer::Deliveries {
        deliveries: kept
            .into_iter()
            .map(|delivery| ListedDelivery {
                guid: delivery.guid,
                event: delivery.event,
                received_ms: delivery.received_ms,
                state: delivery.state,
                error: delivery.error,
            })
            .collect(),
    })
}

async fn replay(store: &dyn Store, guid: &str, now_ms: i64) -> Result<Answer> {
    Ok(match store.replay_delivery(guid, now_ms).await? {
        Replayed::Waiting => {
            let deed = deed("delivery replay", None, guid);
            store.note(&deed, now_ms).await?;
            Answer::Done
        }
        Replayed::Handled => wrong(&format!("delivery {guid} {HANDLED}")),
        Replayed::Unknown => wrong(&format!(
            "there is no delivery {guid}; `herald admin deliveries list` says which there are"
        )),
    })
}
