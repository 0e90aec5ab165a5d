//! What people ask for: whether they may, and what follows.

use super::state::App;
use crate::domain::ask::TELLING;
use crate::domain::{
    Again, Answer, Answers, Approved, Ask, Change, Deed, Doer, Permission, PersonId, Place,
    Repository, RepositoryId, Wish, pull_subject,
};
use crate::feedback::Asked;
use crate::ports::error::Result;

/// What somebody saw who approves in a comment.
struct Seen {
    /// The commit's id or its beginning, where they named it.
    commit: Option<String>,
    /// When they wrote, in unix milliseconds.
    at_ms: i64,
}

impl App {
    /// What follows from what somebody asks for. Whether they may is asked from GitHub now, by
    /// their numeric id.
    ///
    /// # Errors
    /// When GitHub cannot be asked.
    pub(super) async fn changes_of_ask(
        &self,
        repository: &Repository,
        ask: Ask,
    ) -> Result<Vec<Change>> {
        let id = repository.id.clone();
        let Ask {
            person,
            wish,
            place,
        } = ask;
        let permission = self.parts.forge.permission(repository, person).await?;
        let may = permission >= Permission::Write;
        match place {
            // GitHub shows the buttons to people with write permission only.
            Place::Button { .. } if !may => Ok(Vec::new()),
            Place::Button { check } => {
                let deed = deed_of(&id, person, &wish, "a check".to_owned());
                let mut changes = of_button(id, check, &wish, person);
                changes.extend(deed.filter(|_| !changes.is_empty()).map(Change::Note));
                Ok(changes)
            }
            Place::Comment {
                pull,
                comment,
                at_ms,
            } => {
                let asked = Asked {
                    links: &self.settings.links,
                    pull,
                    comment,
                };
                if !may {
                    return Ok(vec![say(id, asked.refused(person, self.now_ms()))]);
                }
                let deed = deed_of(&id, person, &wish, format!("pull request {pull}"));
                let change = match wish {
                    Wish::Unclear => say(id, asked.unclear()),
                    Wish::Cancel => Change::CancelSubject {
                        repository: id,
                        subject: pull_subject(pull),
                        reason: "by `/herald cancel`".to_owned(),
                        by_person: true,
                        answers: asked.cancel(),
                    },
                    Wish::Retry { job } => Change::Rerun {
                        repository: id,
                        answers: asked.retry(job.as_deref()),
                        again: Again::Pull { number: pull, job },
                    },
                    Wish::Quarantine { text } => {
                        self.put_away(repository, person, &asked, &text).await?
                    }
                    Wish::Unquarantine { test } => {
                        self.take_back(repository, &asked, &test).await?
                    }
                    Wish::Approve { commit } => {
                        let seen = Seen { commit, at_ms };
                        self.approval(repository, person, &asked, seen).await?
                    }
                };
                // What was refused or unclear is only answered.
                let deed = deed.filter(|_| !matches!(change, Change::Say { .. }));
                Ok(std::iter::once(change)
                    .chain(deed.map(Change::Note))
                    .collect())
            }
        }
    }

    /// Approval is for what the person has seen: a head that is another one by now is not it, nor one
    /// that came after the comment, unless that names it in full. Of a beginning somebody can have
    /// made two commits.
    async fn approval(
        &self,
        repository: &Repository,
        person: PersonId,
        asked: &Asked<'_>,
        seen: Seen,
    ) -> Result<Change> {
        let id = repository.id.clone();
        let store = &self.parts.store;
        let Some(waiting) = store.awaiting_approval(&id, asked.pull).await? else {
            return Ok(say(id, asked.nothing_to_approve()));
        };
        let now = self.parts.forge.pull_request(repository, asked.pull);
        let head = now.await?.head;
        let is_early = waiting.since_ms < seen.at_ms;
        let is_seen = match &seen.commit {
            Some(named) if named.as_str() == head.as_str() => true,
            Some(named) if named.len() < TELLING => {
                return Ok(say(id, asked.short_of(&head)));
            }
            Some(beginning) => is_early && head.as_str().starts_with(beginning),
            None => is_early,
        };
        if head != waiting.commit || !is_seen {
            return Ok(say(id, asked.other_head(&head)));
        }
        Ok(Change::Approve {
            repository: id,
            answers: asked.approve(&head),
            what: Approved::Head {
                pull: asked.pull,
                commit: head,
            },
            person: Some(person),
        })
    }
}

/// What the audit log says of a wish.
fn deed_of(
    repository: &RepositoryId,
    person: PersonId,
    wish: &Wish,
    subject: String,
) -> Option<Deed> {
    let what = match wish {
        Wish::Retry { .. } => "rerun",
        Wish::Cancel => "cancel",
        Wish::Approve { .. } => "approve",
        Wish::Quarantine { .. } => "quarantine",
        Wish::Unquarantine { .. } => "unquarantine",
        Wish::Unclear => return None,
    };
    Some(Deed {
        by: Doer::Person(person),
        what,
        repository: Some(repository.clone()),
        subject,
    })
}

fn of_button(
    repository: RepositoryId,
    check: String,
    wish: &Wish,
    person: PersonId,
) -> Vec<Change> {
    match wish {
        Wish::Retry { .. } => vec![Change::Rerun {
            repository,
            again: Again::FailedOfCheck(check),
            answers: Answers::default(),
        }],
        Wish::Approve { .. } => vec![Change::Approve {
            repository,
            what: Approved::Check(check),
            person: Some(person),
            answers: Answers::default(),
        }],
        Wish::Cancel | Wish::Quarantine { .. } | Wish::Unquarantine { .. } | Wish::Unclear => {
            Vec::new()
        }
    }
}

fn say(repository: RepositoryId, answer: Answer) -> Change {
    Change::Say { repository, answer }
}
