//! What people are answered who ask for something in a comment.

use super::links::Links;
use crate::domain::{Answer, Answers, Comment, Content, PersonId, Reaction, Sha};
use crate::text::markdown;

/// How long one refusal is enough, in milliseconds.
const REFUSAL_MS: i64 = 3_600_000;

/// Where somebody asked, and how our answers to it are marked.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Addresses and marks.
    pub links: &'a Links,
    /// The pull request.
    pub pull: i64,
    /// GitHub's id of the comment.
    pub comment: i64,
}

impl Asked<'_> {
    /// A short comment.
    fn text(&self, text: &str) -> Answer {
        let marker = self.links.answer_marker(self.comment);
        Answer {
            to: self.comment.to_string(),
            content: Content::Comment(Comment {
                pull: self.pull,
                body: format!("{marker}\n{text}\n"),
                marker,
                worth_a_first: true,
                is_answer: true,
            }),
        }
    }

    /// A thumb up: it is being done.
    fn thumb(&self) -> Answer {
        Answer {
            to: self.comment.to_string(),
            content: Content::Reaction(Reaction {
                comment: self.comment,
                content: "+1".to_owned(),
            }),
        }
    }

    /// To somebody who may not. Once an hour on a pull request, or anybody could have us write
    /// until GitHub lets us write no more.
    pub fn refused(&self, person: PersonId, now_ms: i64) -> Answer {
        Answer {
            to: format!("refused|{}|{}|{}", self.pull, person.0, now_ms / REFUSAL_MS),
            ..self.text("That is for people with write permission in this repository.")
        }
    }

    /// To words that are no command.
    pub fn unclear(&self) -> Answer {
        self.text(
            "Herald knows `/herald retry`, `/herald retry JOB`, `/herald cancel` and \
             `/herald approve COMMIT`.",
        )
    }

    /// To `retry`.
    pub fn retry(&self, job: Option<&str>) -> Answers {
        let nothing = match job {
            None => {
                "There is nothing to run again: nothing was built yet, or it still runs.".into()
            }
            Some(job) => format!(
                "There is nothing to run again: no job {} was built here, or it still runs.",
                markdown::code(job)
            ),
        };
        Answers {
            done: Some(self.thumb()),
            nothing: Some(self.text(&nothing)),
        }
    }

    /// To `cancel`.
    pub fn cancel(&self) -> Answers {
        Answers {
            done: Some(self.thumb()),
            nothing: Some(self.text("Nothing runs here that could be cancelled.")),
        }
    }

    /// To `approve` of this commit.
    pub fn approve(&self, commit: &Sha) -> Answers {
        Answers {
            done: Some(self.text(&format!("Approved {commit}: it is built now."))),
            nothing: Some(self.nothing_to_approve()),
        }
    }

    /// To `approve` where nothing waits.
    pub fn nothing_to_approve(&self) -> Answer {
        self.text("Nothing in this pull request waits for approval.")
    }

    /// To `approve` of something that is not the head, or was not when it was written.
    pub fn other_head(&self, head: &Sha) -> Answer {
        self.text(&format!(
            "Not approved: the head is {head} by now. Look at it, then `/herald approve {head}`."
        ))
    }

    /// To `approve` of so short a beginning that other commits can have it too.
    pub fn short_of(&self, head: &Sha) -> Answer {
        self.text(&format!(
            "Not approved: other commits can begin like that. The head is {head}. Look at it, then \
             `/herald approve {head}`."
        ))
    }
}
