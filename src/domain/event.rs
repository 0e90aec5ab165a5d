//! What GitHub told us, in Herald's words, and what follows from it.

use super::id::{InstallationId, PersonId, RepositoryId, Sha};
use super::publication::CheckRun;
use super::repository::{Installation, PullRequest, Repository};
use super::trigger::{Occasion, Trust};

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
    },
    /// A person asked GitHub to run a commit again.
    Rerequested {
        /// The repository.
        repository: Repository,
        /// The commit.
        commit: Sha,
        /// The `external_id` of the one check run that is meant; `None` for all.
        check: Option<String>,
    },
    /// The App was installed, or its repositories changed.
    Installed {
        /// The installation.
        installation: Installation,
    },
    /// The App was removed from an account.
    Uninstalled {
        /// The GitHub host.
        host: String,
        /// The installation.
        installation: InstallationId,
    },
    /// Repositories were taken out of an installation.
    RepositoriesRemoved {
        /// Those repositories.
        repositories: Vec<RepositoryId>,
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
    /// Forget the installation; its repositories are paused.
    DropInstallation {
        /// The GitHub host.
        host: String,
        /// The installation.
        id: InstallationId,
    },
    /// Remember the repository as it is now, and its name as an address of it.
    KeepRepository(Repository),
    /// The App has no access to the repository any more.
    PauseRepository(RepositoryId),
    /// Build this commit. Where `supersedes` holds, what still runs for the same subject and
    /// another commit is cancelled.
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
        /// The check run to show at once, until there is a build to speak of. Where a build of
        /// the commit stands already, or the branch is not the default one, it is not used.
        announcement: Option<Box<CheckRun>>,
    },
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
    /// Run the newest build of this commit again.
    Rerun {
        /// The base repository.
        repository: RepositoryId,
        /// The commit.
        commit: Sha,
        /// The `external_id` of one check run; `None` for the whole build.
        check: Option<String>,
    },
}

/// What follows from an event.
pub fn changes(event: Event) -> Vec<Change> {
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
        } => {
            let id = repository.id.clone();
            let commit = pull.head.clone();
            let occasion = Occasion::PullRequest { pull };
            let trust = Trust::of(&occasion, &id);
            vec![
                Change::KeepRepository(repository),
                Change::Build {
                    repository: id,
                    commit,
                    occasion,
                    trust,
                    sender,
                    supersedes: true,
                    announcement: None,
                },
            ]
        }
        Event::PullRequestClosed { repository, pull } => {
            let id = repository.id.clone();
            let reason = format!("pull request #{} was closed", pull.number);
            vec![
                Change::KeepRepository(repository),
                Change::Cancel {
                    repository: id,
                    pull,
                    reason,
                },
            ]
        }
        Event::Pushed {
            repository,
            occasion,
            commit,
            sender,
        } => {
            let id = repository.id.clone();
            let trust = Trust::of(&occasion, &id);
            vec![
                Change::KeepRepository(repository),
                Change::Build {
                    repository: id,
                    commit,
                    occasion,
                    trust,
                    sender,
                    supersedes: false,
                    announcement: None,
                },
            ]
        }
        Event::Rerequested {
            repository,
            commit,
            check,
        } => {
            let id = repository.id.clone();
            vec![
                Change::KeepRepository(repository),
                Change::Rerun {
                    repository: id,
                    commit,
                    check,
                },
            ]
        }
        Event::Installed { installation } => vec![Change::KeepInstallation(installation)],
        Event::Uninstalled { host, installation } => vec![Change::DropInstallation {
            host,
            id: installation,
        }],
        Event::RepositoriesRemoved { repositories } => repositories
            .into_iter()
            .map(Change::PauseRepository)
            .collect(),
        Event::RepositoryChanged { repository } => vec![Change::KeepRepository(repository)],
        Event::Ignored { .. } => Vec::new(),
    }
}
