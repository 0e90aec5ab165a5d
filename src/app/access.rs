//! Who may see and do what: asked from GitHub, and remembered briefly for looking only.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::state::App;
use crate::domain::{
    Again, Answers, Approved, BuildView, Change, Deed, Doer, Holder, Permission, PersonId,
    Quarantining, Repository, RepositoryId, Secret, Token, token_hash,
};
use crate::ports::Kind;
use crate::ports::error::Result;

/// How long is remembered what somebody may see, in milliseconds.
const REMEMBERED_MS: i64 = 60_000;
/// How many answers are remembered at most.
const ANSWERS: usize = 10_000;

/// Somebody who asks for something over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visitor {
    /// Nobody knows who.
    Stranger,
    /// Somebody who has signed in.
    Person(PersonId),
    /// Whoever has this token.
    Token(Token),
}

impl Visitor {
    /// The visitor as the audit log names them.
    pub fn doer(&self) -> Doer {
        match (self.person(), self) {
            (Some(person), _) => Doer::Person(person),
            (None, Self::Token(token)) => Doer::Token(token.id.clone()),
            // Who may do nothing.
            (None, _) => Doer::Person(PersonId::NOBODY),
        }
    }

    /// The person, where it is one.
    pub fn person(&self) -> Option<PersonId> {
        match self {
            Self::Person(person) => Some(*person),
            Self::Token(token) => match token.holder {
                Holder::Person(person) => Some(person),
                Holder::Repository(_) => None,
            },
            Self::Stranger => None,
        }
    }
}

/// What somebody wants of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Errand {
    /// To run it again.
    Rerun(Part),
    /// To end it.
    Cancel,
    /// To let a stranger's code begin, which they have looked at, or deployments: all that wait, or one job.
    Approve(Option<String>),
}

impl Errand {
    /// What the audit log says of it.
    fn deed(&self, visitor: &Visitor, view: &BuildView) -> Deed {
        let (what, job) = match self {
            Self::Rerun(Part::Job(job)) => ("rerun", Some(job)),
            Self::Rerun(_) => ("rerun", None),
            Self::Cancel => ("cancel", None),
            Self::Approve(job) => ("approve", job.as_ref()),
        };
        let job = job.map_or_else(String::new, |job| format!(", job {job}"));
        Deed {
            by: visitor.doer(),
            what,
            repository: Some(view.repository.id.clone()),
            subject: format!("build {}{job}", view.build.number),
        }
    }
}

/// What of a build runs again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    All,
    /// The jobs that failed.
    Failed,
    /// The job of this key.
    Job(String),
}

/// What came of an errand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// It is being done.
    Done,
    /// They may not.
    Forbidden,
    /// The build is in no state for it, as people read it.
    Useless(&'static str),
}

/// What GitHub said about people, and until when (unix milliseconds) it counts.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<HashMap<(PersonId, RepositoryId), (Permission, i64)>>);

impl Remembered {
    fn get(&self, person: PersonId, repository: &RepositoryId, now_ms: i64) -> Option<Permission> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (permission, until_ms) = known.get(&(person, repository.clone()))?;
        (now_ms < *until_ms).then_some(*permission)
    }

    fn keep(&self, person: PersonId, repository: &RepositoryId, what: Permission, now_ms: i64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= ANSWERS {
            known.retain(|_, (_, until_ms)| now_ms < *until_ms);
        }
        if known.len() >= ANSWERS {
            known.clear();
        }
        let until_ms = now_ms + REMEMBERED_MS;
        known.insert((person, repository.clone()), (what, until_ms));
    }
}

impl App {
    /// What somebody may do in a repository. What GitHub said is remembered for a minute; when it
    /// cannot be asked, nothing is allowed that is not public.
    pub async fn permission(&self, visitor: &Visitor, repository: &Repository) -> Permission {
        let public = if repository.private {
            Permission::None
        } else {
            Permission::Read
        };
        let (person, most) = match visitor {
            Visitor::Stranger => return public,
            Visitor::Person(person) => (*person, Permission::Admin),
            Visitor::Token(token) => match &token.holder {
                Holder::Person(person) => (*person, token.scope.permission()),
                Holder::Repository(id) if *id == repository.id => {
                    return token.scope.permission().max(public);
                }
                Holder::Repository(_) => return public,
            },
        };
        let now_ms = self.now_ms();
        if let Some(known) = self.remembered.get(person, &repository.id, now_ms) {
            return known.min(most).max(public);
        }
        match self.parts.forge.permission(repository, person).await {
            Ok(permission) => {
                self.remembered
                    .keep(person, &repository.id, permission, now_ms);
                permission.min(most).max(public)
            }
            Err(error) => {
                if !matches!(error.kind, Kind::Gone | Kind::Denied) {
                    tracing::warn!("failed to {error}");
                }
                public
            }
        }
    }

    /// Whether somebody may do more than look, as GitHub says now.
    async fn may_write(&self, visitor: &Visitor, repository: &Repository) -> Result<bool> {
        Ok(match visitor {
            Visitor::Stranger => false,
            Visitor::Token(token) if token.scope.permission() < Permission::Write => false,
            Visitor::Token(Token {
                holder: Holder::Repository(id),
                ..
            }) => *id == repository.id,
            _ => match visitor.person() {
                Some(person) => {
                    let permission = self.parts.forge.permission(repository, person).await?;
                    self.remembered
                        .keep(person, &repository.id, permission, self.now_ms());
                    permission >= Permission::Write
                }
                None => false,
            },
        })
    }

    /// Puts a test away, or lets it count again, where they may.
    ///
    /// # Errors
    /// When GitHub cannot be asked, or the store fails.
    pub async fn quarantine(
        &self,
        visitor: &Visitor,
        repository: &Repository,
        mut what: Quarantining,
    ) -> Result<Run> {
        if !self.may_write(visitor, repository).await? {
            return Ok(Run::Forbidden);
        }
        if let Quarantining::PutAway(what) = &mut what {
            what.person = visitor.person();
        }
        let deed = Deed {
            by: visitor.doer(),
            what: match &what {
                Quarantining::PutAway(_) => "quarantine",
                Quarantining::TakenBack(_) => "unquarantine",
            },
            repository: Some(repository.id.clone()),
            subject: match &what {
                Quarantining::PutAway(what) => format!("test {}", what.test),
                Quarantining::TakenBack(test) => format!("test {test}"),
            },
        };
        let change = Change::Quarantine {
            repository: repository.id.clone(),
            what,
            answers: Answers::default(),
        };
        let changes = vec![change, Change::Note(deed)];
        self.parts.store.apply(changes, self.now_ms()).await?;
        Ok(Run::Done)
    }

    /// Carries out what somebody wants of a build. Whether they may is asked from GitHub now.
    ///
    /// # Errors
    /// When GitHub cannot be asked, or the store fails.
    pub async fn run_errand(
        &self,
        visitor: &Visitor,
        view: &BuildView,
        errand: Errand,
    ) -> Result<Run> {
        let repository = &view.repository;
        if !self.may_write(visitor, repository).await? {
            return Ok(Run::Forbidden);
        }
        let ended = view.build.conclusion.is_some();
        let (id, build) = (repository.id.clone(), view.build.id.clone());
        let is_read_again = matches!(errand, Errand::Rerun(_));
        if is_read_again && self.parts.store.reports_are_let_go(&build).await? {
            return Ok(Run::Useless(
                "The uploaded reports are not kept any more; what was read of them stands.",
            ));
        }
        let answers = Answers::default();
        let deed = errand.deed(visitor, view);
        let change = match errand {
            Errand::Rerun(_) if !ended => {
                return Ok(Run::Useless("The build has not ended yet."));
            }
            Errand::Rerun(Part::Job(key)) if view.jobs.iter().all(|job| job.key != key) => {
                return Ok(Run::Useless("The build has no such job."));
            }
            Errand::Rerun(part) => Change::Rerun {
                repository: id,
                again: match part {
                    Part::All => Again::Build(build),
                    Part::Failed => Again::FailedOfBuild(build),
                    Part::Job(key) => Again::JobOfBuild(build, key),
                },
                answers,
            },
            Errand::Cancel if ended => return Ok(Run::Useless("The build has ended already.")),
            Errand::Cancel => Change::CancelBuild {
                build,
                reason: "by a person".to_owned(),
            },
            // A token of a repository is nobody who can have looked at the code.
            Errand::Approve(_) if visitor.person().is_none() => return Ok(Run::Forbidden),
            Errand::Approve(job) if !waits(view, job.as_deref()) => {
                return Ok(Run::Useless("Nothing in this build waits for approval."));
            }
            Errand::Approve(job) => Change::Approve {
                repository: id,
                what: match job {
                    Some(job) => Approved::Job(build, job),
                    None => Approved::Build(build),
                },
                person: visitor.person(),
                answers,
            },
        };
        let changes = vec![change, Change::Note(deed)];
        self.parts.store.apply(changes, self.now_ms()).await?;
        self.stir();
        Ok(Run::Done)
    }

    /// The visitor who has this token; `None` when it is not good, or not any more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn visitor_by_token(&self, text: &Secret) -> Result<Option<Visitor>> {
        let found = self.parts.store.token(&token_hash(text)).await?;
        let now_ms = self.now_ms();
        Ok(found
            .filter(|token| token.is_good(now_ms))
            .map(Visitor::Token))
    }
}

/// Whether a build, or one job of it, waits for approval.
fn waits(view: &BuildView, job: Option<&str>) -> bool {
    let deploys = view
        .jobs
        .iter()
        .any(|one| one.waits_for_approval() && job.is_none_or(|job| one.key == job));
    deploys || (job.is_none() && view.build.plan.awaits_approval)
}
