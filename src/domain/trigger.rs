//! Why something is built, and how far it is trusted.

use serde::{Deserialize, Serialize};

use super::id::{PersonId, RepositoryId, Sha};
use super::import::Import;
use super::repository::{PullRequest, Repository};

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
    /// A bot account's pull request from the base repository, or its push to another branch than the
    /// default one: no secrets.
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

    /// The trust of an occasion in `repository`; `by_bot` says whether a bot account pushed. A head
    /// whose repository is unknown (a deleted fork) is a fork's.
    pub fn of(occasion: &Occasion, repository: &Repository, by_bot: bool) -> Self {
        match occasion {
            Occasion::PullRequest { pull } => match &pull.head_repository {
                Some(head) if *head == repository.id => {
                    if pull.author_is_bot {
                        Self::Bot
                    } else {
                        Self::Trusted
                    }
                }
                _ => Self::Fork,
            },
            // What a bot proposes. The default branch and tags are for bots that merge and release.
            Occasion::Push { branch, .. } if by_bot && *branch != repository.default_branch => {
                Self::Bot
            }
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
    /// Where the reports come from, where nothing is built.
    pub import: Option<Import>,
    /// The GUID of the delivery that it follows from, where it was one.
    pub delivery: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::{Occasion, Trust};
    use crate::domain::{InstallationId, PersonId, PullRequest, Repository, RepositoryId, Sha};

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

    fn repository() -> Repository {
        Repository {
            id: RepositoryId::new("github.com", 1),
            installation: InstallationId(1),
            owner: "octo".to_owned(),
            name: "project".to_owned(),
            private: false,
            default_branch: "main".to_owned(),
        }
    }

    #[test]
    fn only_a_head_in_the_base_repository_is_trusted() {
        let trust = |head, bot| Trust::of(&pull(head, bot), &repository(), false);
        let (base, fork) = (repository().id, RepositoryId::new("github.com", 2));
        assert_eq!(trust(Some(base.clone()), false), Trust::Trusted);
        assert_eq!(trust(Some(base), true), Trust::Bot);
        assert_eq!(trust(Some(fork), false), Trust::Fork);
        assert_eq!(trust(None, false), Trust::Fork);
    }

    #[test]
    fn a_bot_is_trusted_on_the_default_branch_and_with_tags() {
        let push = |branch: &str| Occasion::Push {
            branch: branch.to_owned(),
            before: None,
        };
        let tag = Occasion::Tag {
            tag: "main2".to_owned(),
        };
        for (occasion, by_bot, expected) in [
            (push("main"), true, Trust::Trusted),
            (push("dependabot/npm/left-pad"), true, Trust::Bot),
            (push("feature"), false, Trust::Trusted),
            (tag, true, Trust::Trusted),
        ] {
            let trust = Trust::of(&occasion, &repository(), by_bot);
            assert_eq!(trust, expected, "{occasion:?}");
        }
    }
}
