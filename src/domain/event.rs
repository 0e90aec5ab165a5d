//! What GitHub told us, in Herald's words, and what follows from it.

use super::ask::Ask;
use super::deed::{Deed, Doer};
use super::id::{BuildId, InstallationId, PersonId, RepositoryId, Sha};
use super::import::{ImportRequest, WorkflowRun};
use super::publication::{Answer, CheckRun};
use super::quarantine::Quarantined;
use super::repository::{Installation, PullRequest, Repository};
use super::trigger::{Occasion, Trust, merge_group_subject};

/// An event, already freed of GitHub's shapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A pull request is to be built: opened, reopened, ready for review.
    PullRequestOpened {
        /// The base repository.
        repository: Repository,
        /// The pull request.
        pull: PullRequest,
        /// Who did it.
        sender: PersonId,
    },
    /// A pull request has a new head.
    PullRequestUpdated {
        /// The base repository.
        repository: Repository,
        /// The pull request.
        pull: PullRequest,
        /// Who did it.
        sender: PersonId,
    },
    /// A pull request is to go into another branch.
    PullRequestRetargeted {
        /// The base repository.
        repository: Repository,
        /// The pull request as it is now.
        pull: PullRequest,
        /// Who did it.
        sender: PersonId,
    },
    /// A pull request was closed, merged or not.
    PullRequestClosed {
        /// The base repository.
        repository: Repository,
        /// The pull request.
        pull: PullRequest,
    },
    /// A branch or tag moved.
    Pushed {
        /// The repository.
        repository: Repository,
        /// A branch or a tag.
        occasion: Occasion,
        /// Where it points now.
        commit: Sha,
        /// Who pushed.
        sender: PersonId,
        /// Whether that is a bot account.
        by_bot: bool,
        /// When, in milliseconds since 1970, to the second; where GitHub says so.
        pushed_ms: Option<i64>,
    },
    /// A merge queue wants a word on a commit.
    MergeGroupMade {
        /// The repository.
        repository: Repository,
        /// The group.
        occasion: Occasion,
        /// The commit to build.
        commit: Sha,
        /// Who caused it.
        sender: PersonId,
    },
    /// A merge queue has given up a group, or is done with it.
    MergeGroupDestroyed {
        /// The repository.
        repository: Repository,
        /// The queue's branch for it.
        branch: String,
    },
    /// A workflow of GitHub Actions has run.
    WorkflowEnded {
        /// The repository.
        repository: Repository,
        /// Its run.
        run: WorkflowRun,
        /// Who caused it.
        sender: PersonId,
    },
    /// A person asks Herald for something.
    Asked {
        /// The repository.
        repository: Repository,
        /// Who, and for what.
        ask: Ask,
    },
    /// A person asked GitHub to run a commit again.
    Rerequested {
        /// The repository.
        repository: Repository,
        /// The commit.
        commit: Sha,
        /// The `external_id` of the one check run that is meant; `None` for all.
        check: Option<String>,
        /// Who.
        sender: PersonId,
    },
    /// The App was installed, may do what it may not have done before, or reaches other repositories.
    Installed {
        /// The installation.
        installation: Installation,
        /// Repositories that it reaches now, as far as the event names them.
        reached: Vec<Repository>,
        /// Repositories that it does not reach any more.
        left: Vec<RepositoryId>,
    },
    /// The App was removed from an account, or shut out for a while.
    Uninstalled {
        /// The GitHub host.
        host: String,
        /// The installation.
        installation: InstallationId,
        /// Why nothing goes on, as people read it.
        reason: &'static str,
        /// Whether it was removed, and not just shut out.
        for_good: bool,
    },
    /// A repository was deleted.
    RepositoryDeleted {
        /// Which.
        repository: RepositoryId,
    },
    /// A repository changed its name, owner, visibility or default branch.
    RepositoryChanged {
        /// The repository as it is now.
        repository: Repository,
    },
    /// Nothing to do.
    Ignored {
        /// Why, for the log.
        reason: &'static str,
    },
}

/// One change that follows from an event. All changes of a delivery take effect together with
/// the delivery being marked as handled, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Remember the installation.
    KeepInstallation(Installation),
    /// The installation is gone, or shut out; its repositories are paused until it is back.
    DropInstallation {
        /// The GitHub host.
        host: String,
        /// The installation.
        id: InstallationId,
        /// As in "cancelled: …".
        reason: &'static str,
        /// Whether it was removed: then what is known of it is forgotten some time later.
        for_good: bool,
    },
    /// Remember the repository as it is now, and its name as an address of it. A default branch that
    /// is not known does not replace one that is.
    KeepRepository(Repository),
    /// The App has no access to the repository any more.
    PauseRepository(RepositoryId),
    /// Build this commit. Where `supersedes` holds, what still runs for the same subject and
    /// another commit is cancelled; where `again` does, also what was built of this one no longer
    /// counts.
    Build {
        /// The base repository.
        repository: RepositoryId,
        /// The commit.
        commit: Sha,
        /// What happened.
        occasion: Occasion,
        /// How far the code is trusted.
        trust: Trust,
        /// Who caused it.
        sender: PersonId,
        /// Whether an older trigger of the same subject ends.
        supersedes: bool,
        /// Whether it is built anew though it was built before: it has another base.
        again: bool,
        /// When it happened, in milliseconds since 1970, where that is known apart from when it was heard of: of two pushes
        /// the later one counts, in whatever order they come.
        since_ms: Option<i64>,
        /// The check run to show at once, until there is a build to speak of. Where a build of
        /// the commit stands already, or the branch is not the default one, it is not used.
        announcement: Option<Box<CheckRun>>,
    },
    /// Read the reports of a commit that come from elsewhere.
    Import(Box<ImportRequest>),
    /// End what runs for this pull request, with the reason as people read it, unless a newer
    /// state of it is known.
    Cancel {
        /// The base repository.
        repository: RepositoryId,
        /// The pull request.
        pull: PullRequest,
        /// As in "cancelled: …".
        reason: String,
    },
    /// End what runs for a subject because somebody wants it so.
    CancelSubject {
        /// The base repository.
        repository: RepositoryId,
        /// The subject: see [`Occasion::subject`].
        subject: String,
        /// As in "cancelled: …".
        reason: String,
        /// Whether a person wants it so, which ends a deployment that runs too.
        by_person: bool,
        /// What is said about it.
        answers: Answers,
    },
    /// End a build because somebody wants it so, whoever else may want it.
    CancelBuild {
        /// The build.
        build: BuildId,
        /// As in "cancelled: …".
        reason: String,
    },
    /// Run a build that has ended again.
    Rerun {
        /// The base repository.
        repository: RepositoryId,
        /// Which build, and what of it.
        again: Again,
        /// What is said about it.
        answers: Answers,
    },
    /// Let a build of a stranger's code begin that waits for it, or a deployment.
    Approve {
        /// The base repository.
        repository: RepositoryId,
        /// What is approved.
        what: Approved,
        /// Who approves; `None` for the operator.
        person: Option<PersonId>,
        /// What is said about it.
        answers: Answers,
    },
    /// Put a test away for a while, or let it count again.
    Quarantine {
        /// The repository.
        repository: RepositoryId,
        /// What becomes of which test.
        what: Quarantining,
        /// What is said about it.
        answers: Answers,
    },
    /// Keep what somebody did.
    Note(Deed),
    /// Say something to somebody who asked.
    Say {
        /// The repository.
        repository: RepositoryId,
        /// To whom, and what.
        answer: Answer,
    },
}

/// What becomes of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quarantining {
    /// It is put away, until when and why; by its id.
    PutAway(Quarantined),
    /// The test of this id counts again.
    TakenBack(String),
}

/// Which build is run again, and what of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Again {
    /// The newest build of a commit, all of it.
    Commit(Sha),
    /// What the check run of this `external_id` speaks of: a build or a job.
    Check(String),
    /// The failed jobs of what the check run of this `external_id` speaks of.
    FailedOfCheck(String),
    /// The newest build of a pull request's head: one job, or those that failed, or all when none
    /// did.
    Pull {
        /// The pull request.
        number: i64,
        /// The job, by key or name.
        job: Option<String>,
    },
    /// This build, all of it.
    Build(BuildId),
    /// The failed jobs of this build.
    FailedOfBuild(BuildId),
    /// A job of this build, by its key.
    JobOfBuild(BuildId, String),
}

/// What somebody has looked at and approves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Approved {
    /// This head of a pull request.
    Head {
        /// The pull request.
        pull: i64,
        /// Its head.
        commit: Sha,
    },
    /// What the check run of this `external_id` speaks of.
    Check(String),
    /// What this build would carry out.
    Build(BuildId),
    /// The deployment that this job of a build is, by its key.
    Job(BuildId, String),
}

/// What is said to somebody who asked, by what came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// When it was done.
    pub done: Option<Answer>,
    /// When there was nothing to do.
    pub nothing: Option<Answer>,
}

/// What follows from an event.
pub fn changes(event: Event) -> Vec<Change> {
    let again = matches!(event, Event::PullRequestRetargeted { .. });
    match event {
        Event::PullRequestOpened {
            repository,
            pull,
            sender,
        }
        | Event::PullRequestUpdated {
            repository,
            pull,
            sender,
        }
        | Event::PullRequestRetargeted {
            repository,
            pull,
            sender,
        } => {
            let commit = pull.head.clone();
            let occasion = Occasion::PullRequest { pull };
            build(repository, commit, occasion, (sender, false), again)
        }
        Event::PullRequestClosed { repository, pull } => with(repository, |repository| {
            let reason = format!("pull request #{} was closed", pull.number);
            Change::Cancel {
                repository,
                pull,
                reason,
            }
        }),
        Event::Pushed {
            repository,
            occasion,
            commit,
            sender,
            by_bot,
            pushed_ms,
        } => {
            let mut changes = build(repository, commit, occasion, (sender, by_bot), again);
            if let Some(Change::Build { since_ms, .. }) = changes.last_mut() {
                *since_ms = pushed_ms;
            }
            changes
        }
        // The queue's own account made the commit, of pull requests that people let in.
        Event::MergeGroupMade {
            repository,
            occasion,
            commit,
            sender,
        } => build(repository, commit, occasion, (sender, false), again),
        Event::MergeGroupDestroyed { repository, branch } => {
            with(repository, |repository| Change::CancelSubject {
                repository,
                subject: merge_group_subject(&branch),
                reason: "the merge queue dropped it".to_owned(),
                by_person: false,
                answers: Answers::default(),
            })
        }
        Event::Rerequested {
            repository,
            commit,
            check,
            sender,
        } => rerequested(repository, commit, check, sender),
        Event::Installed {
            installation,
            reached,
            left,
        } => std::iter::once(Change::KeepInstallation(installation))
            .chain(reached.into_iter().map(Change::KeepRepository))
            .chain(left.into_iter().map(Change::PauseRepository))
            .collect(),
        Event::Uninstalled {
            host,
            installation,
            reason,
            for_good,
        } => vec![Change::DropInstallation {
            host,
            id: installation,
            reason,
            for_good,
        }],
        Event::RepositoryDeleted { repository } => vec![Change::PauseRepository(repository)],
        Event::WorkflowEnded {
            repository,
            run,
            sender,
        } => with(repository, |repository| {
            Change::Import(Box::new(ImportRequest::of_run(repository, run, sender)))
        }),
        // What somebody asks for depends on what GitHub says of the person.
        Event::RepositoryChanged { repository } | Event::Asked { repository, .. } => {
            vec![Change::KeepRepository(repository)]
        }
        Event::Ignored { .. } => Vec::new(),
    }
}

/// A change in a repository, which is remembered as it is now.
fn with(repository: Repository, change: impl FnOnce(RepositoryId) -> Change) -> Vec<Change> {
    let change = change(repository.id.clone());
    vec![Change::KeepRepository(repository), change]
}

/// A person asked GitHub to run a commit again.
fn rerequested(
    repository: Repository,
    commit: Sha,
    check: Option<String>,
    sender: PersonId,
) -> Vec<Change> {
    let deed = Deed {
        by: Doer::Person(sender),
        what: "rerun",
        repository: Some(repository.id.clone()),
        subject: format!("commit {commit}"),
    };
    let mut changes = with(repository, |repository| Change::Rerun {
        repository,
        again: check.map_or(Again::Commit(commit), Again::Check),
        answers: Answers::default(),
    });
    changes.push(Change::Note(deed));
    changes
}

fn build(
    repository: Repository,
    commit: Sha,
    occasion: Occasion,
    (sender, by_bot): (PersonId, bool),
    again: bool,
) -> Vec<Change> {
    let trust = Trust::of(&occasion, &repository, by_bot);
    with(repository, |repository| Change::Build {
        trust,
        // Pushes never cancel one another.
        supersedes: occasion.pull().is_some(),
        repository,
        commit,
        occasion,
        sender,
        again,
        since_ms: None,
        announcement: None,
    })
}
