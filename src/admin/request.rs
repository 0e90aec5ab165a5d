//! Requests and answers, and how they are carried out.

use serde::{Deserialize, Serialize};

use super::tokens;
use crate::domain::secret::{check_name, check_value};
use crate::domain::{Answers, Approved, Change, Repository, Secret, Sha};
use crate::ports::error::Result;
use crate::ports::store::Replayed;
use crate::ports::{Kind, Store};

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
pub async fn carry_out(store: &dyn Store, request: Request, now_ms: i64) -> Answer {
    let answer = match request {
        Request::SetSecret {
            repository,
            name,
            value,
        } => set(store, &repository, &name, value, now_ms).await,
        Request::ListSecrets { repository } => list(store, &repository).await,
        Request::RemoveSecret { repository, name } => remove(store, &repository, &name).await,
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
        Request::RevokeToken { id } => tokens::revoke(store, &id).await,
        Request::ListDeliveries { failed, limit } => deliveries(store, failed, limit).await,
        Request::ReplayDelivery { guid } => replay(store, &guid, now_ms).await,
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
    let change = Change::Approve {
        repository: found.id,
        what: Approved::Head { pull, commit: head },
        person: None,
        answers: Answers::default(),
    };
    store.apply(vec![change], now_ms).await?;
    Ok(Answer::Done)
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

async fn remove(store: &dyn Store, repository: &str, name: &str) -> Result<Answer> {
    let found = match find(store, repository).await? {
        Ok(found) => found,
        Err(answer) => return Ok(answer),
    };
    if store.remove_secret(&found.id, name).await? {
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
        Replayed::Waiting => Answer::Done,
        Replayed::Handled => wrong(&format!("delivery {guid} {HANDLED}")),
        Replayed::Unknown => wrong(&format!(
            "there is no delivery {guid}; `herald admin deliveries list` says which there are"
        )),
    })
}
