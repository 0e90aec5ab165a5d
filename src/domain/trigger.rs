//! Why something is built, and how far it is trusted.

use serde::{Deserialize, Serialize};

use super::id::{PersonId, RepositoryId, Sha};
use super::repository::PullRequest;

/// What happened, from the view of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Occasion {
    /// A pull request was opened or got new commits.
    PullRequest {
        /// The pull request at that moment.
        pull: PullRequest,
    },
    /// A branch moved.
    Push {
        /// The branch, without `refs/heads/`.
        branch: String,
        /// Where it pointed before; `None` for a new branch.
        before: Option<Sha>,
    },
    /// A tag was set.
    Tag {
        /// The tag, without `refs/tags/`.
        tag: String,
    },
    /// Pull requests wait together in a merge queue.
    MergeGroup {
        /// The queue's branch for them, without `refs/heads/`.
        branch: String,
        /// The branch that they are to go into.
        base_ref: String,
        /// The commit that they are put on.
        base: Sha,
    },
}

impl Occasion {
    /// The event's name in `.herald.yml` and `HERALD_EVENT`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::PullRequest { .. } => "pull_request",
            Self::Push { .. } => "push",
            Self::Tag { .. } => "tag",
            Self::MergeGroup { .. } => "merge_group",
        }
    }

    /// What the trigger hangs on: a newer trigger of the same subject may supersede this one.
    pub fn subject(&self) -> String {
        match self {
            Self::PullRequest { pull } => pull_subject(pull.number),
            Self::Push { branch, .. } => format!("heads/{branch}"),
            Self::Tag { tag } => format!("tags/{tag}"),
            Self::MergeGroup { branch, .. } => merge_group_subject(branch),
        }
    }

    /// The pull request, if it is one.
    pub fn pull(&self) -> Option<&PullRequest> {
        match self {
            Self::PullRequest { pull } => Some(pull),
            Self::Push { .. } | Self::Tag { .. } | Self::MergeGroup { .. } => None,
        }
    }

    /// The branch that was pushed, if one was.
    pub fn pushed_branch(&self) -> Option<&str> {
        match self {
            Self::Push { branch, .. } => Some(branch),
            Self::PullRequest { .. } | Self::Tag { .. } | Self::MergeGroup { .. } => None,
        }
    }

    /// Whether its jobs come before those of others: what people wait for who did nothing wrong.
    pub fn comes_first(&self, default_branch: &str) -> bool {
        match self {
            Self::Push { branch, .. } => branch == default_branch,
            // A whole queue waits behind it.
            Self::Tag { .. } | Self::MergeGroup { .. } => true,
            Self::PullRequest { .. } => false,
        }
    }

    /// The commit to compare with: a pull request's base, a push's former commit.
    pub fn base(&self) -> Option<&Sha> {
        match self {
            Self::PullRequest { pull } => Some(&pull.base),
            Self::Push { before, .. } => before.as_ref(),
            Self::MergeGroup { base, .. } => Some(base),
            Self::Tag { .. } => None,
        }
    }

    /// The refs through which the commit is found if GitHub does not give it out by its id.
    pub fn refs(&self) -> Vec<String> {
        match self {
            Self::PullRequest { pull } => vec![format!("refs/pull/{}/head", pull.number)],
            Self::Push { branch, .. } | Self::MergeGroup { branch, .. } => {
                vec![format!("refs/heads/{branch}")]
            }
            Self::Tag { tag } => vec![format!("refs/tags/{tag}")],
        }
    }
}

/// The subject of a pull request's triggers.
pub fn pull_subject(number: i64) -> String {
    format!("pull/{number}")
}

/// The subject of a merge group's triggers.
pub fn merge_group_subject(branch: &str) -> String {
    format!("queue/{branch}")
}

/// How far the code of a build is trusted. Part of what a build's result is keyed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Code that someone with write permission put into the base repository.
    Trusted,
    /// A bot account's pull request from the base repository: no secrets.
    Bot,
    /// Code of a fork: only after approval, only in a container.
    Fork,
}

impl Trust {
    /// The word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Bot => "bot",
            Self::Fork => "fork",
        }
    }

    /// Reads the word of [`Trust::as_str`]; anything else is the least trusted.
    pub fn from_stored(word: &str) -> Self {
        match word {
            "trusted" => Self::Trusted,
            "bot" => Self::Bot,
            _ => Self::Fork,
        }
    }

    /// The trust of an occasion in `repository`. A head whose repository is unknown (a deleted
    /// fork) is a fork's.
    pub fn of(occasion: &Occasion, repository: &RepositoryId) -> Self {
        match occasion {
            Occasion::PullRequest { pull } => match &pull.head_repository {
                Some(head) if head == repository => {
                    if pull.author_is_bot {
                        Self::Bot
                    } else {
                        Self::Trusted
                    }
                }
                _ => Self::Fork,
            },
            // Someone with write permission put it there.
            Occasion::Push { .. } | Occasion::Tag { .. } | Occasion::MergeGroup { .. } => {
                Self::Trusted
            }
        }
    }
}

/// A reason to build a commit, durable until a build has taken it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// Its id in the store.
    pub id: String,
    /// The base repository.
    pub repository: RepositoryId,
    /// The commit to build.
    pub commit: Sha,
    /// What happened.
    pub occasion: Occasion,
    /// How far its code is trusted.
    pub trust: Trust,
    /// Who caused the delivery.
    pub sender: PersonId,
    /// When the trigger came to be, in unix milliseconds.
    pub created_ms: i64,
    /// How often preparing it was tried before.
    pub tries: u32,
}

#[cfg(test)]
mod tests {
    use super::{Occasion, Trust};
    use crate::domain::{PersonId, PullRequest, RepositoryId, Sha};

    fn pull(head_repository: Option<RepositoryId>, bot: bool) -> Occasion {
        let sha = Sha::parse(&"a".repeat(40)).unwrap();
        Occasion::PullRequest {
            pull: PullRequest {
                number: 7,
                head: sha.clone(),
                head_ref: "fix".into(),
                head_repository,
                base: sha,
                base_ref: "main".into(),
                author: PersonId(1),
                author_is_bot: bot,
                updated_ms: 0,
            },
        }
    }

    #[test]
    fn only_a_head_in_the_base_repository_is_trusted() {
        let base = RepositoryId::new("github.com", 1);
        let fork = RepositoryId::new("github.com", 2);
        assert_eq!(
            Trust::of(&pull(Some(base.clone()), false), &base),
            Trust::Trusted
        );
        assert_eq!(
            Trust::of(&pull(Some(base.clone()), true), &base),
            Trust::Bot
        );
        assert_eq!(Trust::of(&pull(Some(fork), false), &base), Trust::Fork);
        assert_eq!(Trust::of(&pull(None, false), &base), Trust::Fork);
    }
}
