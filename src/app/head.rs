//! What uploaded reports are of. The head is taken from the pull request, and what a commit is from GitHub; the word of
//! who uploads is held against both.

use super::state::App;
use super::upload::{UploadError, Uploader, asked};
use crate::domain::import::is_of_branch;
use crate::domain::queue::QueueBranch;
use crate::domain::{Occasion, PersonId, PullRequest, Repository, Sha, Trust, WorkflowIdentity};
use crate::ports::commits::ShownCommit;
use crate::ports::{Kind, PortError};

/// What an uploader says that the reports are of.
#[derive(Debug, Clone, Default)]
pub struct Claimed {
    /// The commit.
    pub commit: Option<Sha>,
    /// The pull request.
    pub pull: Option<i64>,
}

/// What they are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The commit that everything is reported on.
    pub commit: Sha,
    /// When it was made, in unix milliseconds, where GitHub was asked.
    pub committed_ms: Option<i64>,
    /// What happened to it.
    pub occasion: Occasion,
    /// How far what is uploaded is trusted.
    pub trust: Trust,
    /// Who uploads.
    pub sender: PersonId,
}

fn refused<T>(why: impl Into<String>) -> Result<T, UploadError> {
    Err(UploadError::Unprocessable(why.into()))
}

/// Nothing where GitHub has no such thing.
fn there<T>(answer: Result<T, PortError>) -> Result<Option<T>, UploadError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind == Kind::Gone => Ok(None),
        Err(error) => Err(asked(error)),
    }
}

impl App {
    /// The commit that somebody uploads reports of.
    ///
    /// # Errors
    /// `Unprocessable` where it is not what they say.
    pub async fn head_of(
        &self,
        uploader: &Uploader,
        repository: &Repository,
        claimed: &Claimed,
    ) -> Result<Head, UploadError> {
        match uploader {
            Uploader::Job(job) => self.head_of_job(job, repository, claimed).await,
            Uploader::Token(_) => {
                let sender = uploader.person();
                match claimed.pull {
                    Some(pull) => {
                        self.head_of_pull(repository, pull, claimed.commit.as_ref(), sender)
                            .await
                    }
                    None => self.head_by_commit(repository, claimed, sender).await,
                }
            }
        }
    }

    /// By what GitHub has signed. What is claimed beside that has to say the same.
    async fn head_of_job(
        &self,
        job: &WorkflowIdentity,
        repository: &Repository,
        claimed: &Claimed,
    ) -> Result<Head, UploadError> {
        let head = match (job.pull(), job.event.as_str()) {
            (Some(number), _) => self.tested_head(job, repository, number).await?,
            // Its commit is that of the base; which one was tested nobody has signed.
            (None, "pull_request_target") => {
                return refused(
                    "the token of a workflow for `pull_request_target` does not say which commit was tested; run the \
                     tests for `pull_request`, or upload with a token of Herald's",
                );
            }
            (None, event) if event == "merge_group" || is_of_branch(event) => {
                pushed(job, repository)?
            }
            (None, event) => {
                return refused(format!(
                    "the token of a workflow for `{}` does not say which commit was tested; upload from the workflow that \
                     runs the tests, or with a token of Herald's",
                    crate::text::shorten::chars(event, 50)
                ));
            }
        };
        if let Some(pull) = claimed.pull
            && Some(pull) != head.occasion.pull().map(|pull| pull.number)
        {
            return refused(format!(
                "the token is not of a run for pull request {pull}; leave `pull_request` away, the token says it"
            ));
        }
        if let Some(commit) = &claimed.commit
            && *commit != head.commit
            && *commit != job.commit
        {
            return refused(format!(
                "the token is of a run for {}, not for {commit}; leave `commit` away, the token says it",
                head.commit
            ));
        }
        Ok(head)
    }

    /// The head that a run for a pull request tested: what its merge commit merges.
    async fn tested_head(
        &self,
        job: &WorkflowIdentity,
        repository: &Repository,
        number: i64,
    ) -> Result<Head, UploadError> {
        let forge = &self.parts.forge;
        let Some(pull) = there(forge.pull_request(repository, number).await)? else {
            return refused(format!("there is no pull request {number}"));
        };
        let merge = there(forge.commit(repository, &job.commit).await)?;
        let tested = match merge {
            Some(ShownCommit { parents, .. }) => match parents.get(1) {
                Some(head) => head.clone(),
                None => {
                    return refused(format!(
                        "{} merges nothing, and so is no commit that GitHub tests a pull request by",
                        job.commit
                    ));
                }
            },
            None => {
                let run = there(forge.run(repository, job.run).await)?;
                if run.is_none_or(|run| run.commit != pull.head) {
                    return refused(format!(
                        "{} is not to be had any more, and run {} was not for the head of pull request {number}; push \
                         again, or run the workflow again",
                        job.commit, job.run
                    ));
                }
                pull.head.clone()
            }
        };
        let was = tested == pull.head
            || self
                .parts
                .store
                .was_head(&repository.id, number, &tested)
                .await?
            || there(forge.run(repository, job.run).await)?
                .is_some_and(|run| run.commit == tested && run.is_for_pull());
        if !was {
            return refused(format!("pull request {number} never had the head {tested}"));
        }
        Ok(of_pull(pull, tested, repository, job.actor))
    }

    /// By a token of ours and the number of a pull request: its head now.
    async fn head_of_pull(
        &self,
        repository: &Repository,
        number: i64,
        commit: Option<&Sha>,
        sender: PersonId,
    ) -> Result<Head, UploadError> {
        let forge = &self.parts.forge;
        let Some(pull) = there(forge.pull_request(repository, number).await)? else {
            return refused(format!("there is no pull request {number}"));
        };
        let head = pull.head.clone();
        let Some(commit) = commit.filter(|commit| **commit != head) else {
            return Ok(of_pull(pull, head, repository, sender));
        };
        let Some(shown) = there(forge.commit(repository, commit).await)? else {
            return refused(format!("there is no commit {commit}"));
        };
        let merged = shown.parents.get(1);
        if merged == Some(&head) {
            return Ok(of_pull(pull, head, repository, sender));
        }
        let store = &self.parts.store;
        let mut was = store.was_head(&repository.id, number, commit).await?;
        if let Some(merged) = merged {
            was |= store.was_head(&repository.id, number, merged).await?;
        }
        refused(if was {
            format!("pull request {number} has a newer head {head}")
        } else {
            format!(
                "{commit} is neither the head of pull request {number}, which is {head}, nor a merge of it"
            )
        })
    }

    /// By a token of ours and a commit alone: what it is is found out.
    async fn head_by_commit(
        &self,
        repository: &Repository,
        claimed: &Claimed,
        sender: PersonId,
    ) -> Result<Head, UploadError> {
        let Some(commit) = &claimed.commit else {
            return refused("which commit are the reports of? Say `commit` or `pull_request`");
        };
        let forge = &self.parts.forge;
        let Some(shown) = there(forge.commit(repository, commit).await)? else {
            return refused(format!(
                "there is no commit {commit} in {}; push it before its reports are uploaded",
                repository.full_name()
            ));
        };
        let of_branch = |branch: &str| {
            let occasion = Occasion::Push {
                branch: branch.to_owned(),
                before: None,
            };
            Head {
                commit: commit.clone(),
                committed_ms: shown.committed_ms,
                trust: Trust::of(&occasion, repository, shown.by_bot),
                occasion,
                sender,
            }
        };
        let default = &repository.default_branch;
        let is_on = forge.is_on(repository, default, commit).await;
        if there(is_on)?.unwrap_or(false) {
            return Ok(of_branch(default));
        }
        let pulls = there(forge.pulls_of(repository, commit).await)?.unwrap_or_default();
        if let Some(pull) = pulls.iter().find(|pull| pull.head == *commit) {
            return Ok(of_pull(pull.clone(), commit.clone(), repository, sender));
        }
        let branches = there(forge.branches_at(repository, commit).await)?.unwrap_or_default();
        if let Some(branch) = branches.first() {
            return Ok(of_branch(branch));
        }
        // GitHub shows commits of forks as if they were here. What is on no branch of ours may be one of them.
        let head = match pulls.into_iter().next() {
            Some(pull) => of_pull(pull, commit.clone(), repository, sender),
            None => of_branch(""),
        };
        let trust = match &head.occasion {
            Occasion::PullRequest { .. } => head.trust,
            _ => Trust::Fork,
        };
        Ok(Head { trust, ..head })
    }
}

impl Uploader {
    fn person(&self) -> PersonId {
        let visitor = match self {
            Self::Token(token) => super::access::Visitor::Token(token.clone()),
            Self::Job(job) => return job.actor,
        };
        visitor.person().unwrap_or(PersonId::NOBODY)
    }
}

/// A pull request as it was when this commit was its head.
fn of_pull(mut pull: PullRequest, head: Sha, repository: &Repository, sender: PersonId) -> Head {
    pull.head = head.clone();
    let occasion = Occasion::PullRequest { pull };
    Head {
        commit: head,
        committed_ms: None,
        trust: Trust::of(&occasion, repository, false),
        occasion,
        sender,
    }
}

/// A run that was not for a pull request tests the commit that it names.
fn pushed(job: &WorkflowIdentity, repository: &Repository) -> Result<Head, UploadError> {
    let occasion = if let Some(branch) = job.reference.strip_prefix("refs/heads/") {
        match QueueBranch::parse(branch) {
            Some(queue) => Occasion::MergeGroup {
                branch: branch.to_owned(),
                base_ref: queue.base_ref,
                base: queue.base,
            },
            None => Occasion::Push {
                branch: branch.to_owned(),
                before: None,
            },
        }
    } else if let Some(tag) = job.reference.strip_prefix("refs/tags/") {
        Occasion::Tag {
            tag: tag.to_owned(),
        }
    } else {
        return refused(format!(
            "the token is of a run for `{}`, which is neither a branch nor a tag nor a pull request",
            crate::text::shorten::chars(&job.reference, 100)
        ));
    };
    Ok(Head {
        commit: job.commit.clone(),
        committed_ms: None,
        trust: Trust::of(&occasion, repository, job.by_bot),
        occasion,
        sender: job.actor,
    })
}
