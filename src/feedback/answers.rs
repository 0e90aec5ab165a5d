//! What people are answered who ask for something in a comment.

use super::links::Links;
use crate::domain::quarantine::{Quarantined, last_day};
use crate::domain::{Answer, Answers, Comment, Content, PersonId, Reaction, Sha};
use crate::report::Test;
use crate::text::markdown;

/// Tests that are named in one answer.
const NAMED: usize = 10;
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
            "Herald knows `/herald retry`, `/herald retry JOB`, `/herald cancel`, \
             `/herald approve COMMIT`, `/herald quarantine TEST until 2026-12-31` and \
             `/herald unquarantine TEST`.",
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

    /// To `quarantine` of this test.
    pub fn put_away(&self, what: &Quarantined) -> Answers {
        let text = format!(
            "Failures of {} do not count until {}. `/herald retry` runs failed jobs again; \
             `/herald unquarantine {}` lets them count.",
            markdown::code(&what.name),
            last_day(what.until_ms),
            what.test
        );
        Answers {
            done: Some(self.text(&text)),
            nothing: None,
        }
    }

    /// To `quarantine` with something wrong about it.
    pub fn not_put_away(&self, why: &str) -> Answer {
        self.text(&format!(
            "Nothing is quarantined: {}. Write `/herald quarantine TEST`, `… TEST until 2026-12-31` or \
             `… TEST for 14d`, with `# why` after it if you like.",
            markdown::escape(why)
        ))
    }

    /// To `quarantine` where no test has run.
    pub fn no_tests(&self) -> Answer {
        self.text("Nothing is quarantined: no test of this pull request has run yet.")
    }

    /// To `quarantine` of a name that is none, or that of several tests.
    pub fn which_test(&self, written: &str, meant: &[&Test]) -> Answer {
        let written = markdown::code(written);
        if meant.is_empty() {
            return self.text(&format!(
                "Nothing is quarantined: the newest build here has no test {written}. Write its name as the check has it, \
                 or class and name."
            ));
        }
        let mut text =
            format!("Nothing is quarantined: {written} are several tests. Name one by its id:\n\n");
        for test in meant.iter().take(NAMED) {
            let name = markdown::code(&test.full_name());
            text.push_str(&format!("- `{}` {name}\n", test.id));
        }
        if let Some(left) = meant.len().checked_sub(NAMED).filter(|left| *left > 0) {
            text.push_str(&format!("- …and {left} more\n"));
        }
        self.text(&text)
    }

    /// To `unquarantine` of this test.
    pub fn taken_back(&self, name: &str) -> Answers {
        let name = markdown::code(name);
        Answers {
            done: Some(self.text(&format!("Failures of {name} count again."))),
            nothing: Some(self.text(&format!("{name} is not quarantined."))),
        }
    }

    /// To `unquarantine` of something that is not put away.
    pub fn not_quarantined(&self, written: &str, all: &[Quarantined]) -> Answer {
        let written = markdown::code(written);
        let mut text = format!("{written} is no test that is quarantined by a person.");
        if !all.is_empty() {
            text.push_str(&format!(" These are:\n\n{}", listed(all)));
        }
        self.text(&text)
    }

    /// To `unquarantine` of a name that several tests have.
    pub fn which_quarantined(&self, written: &str, meant: &[&Quarantined]) -> Answer {
        let written = markdown::code(written);
        let listed = listed(meant.iter().copied());
        self.text(&format!(
            "{written} are several tests. Name one by its id:\n\n{listed}"
        ))
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

/// The first tests that are put away, with their ids.
fn listed<'a>(all: impl IntoIterator<Item = &'a Quarantined>) -> String {
    let line = |one: &Quarantined| {
        let (name, day) = (markdown::code(&one.name), last_day(one.until_ms));
        format!("- `{}` {name}, until {day}\n", one.test)
    };
    all.into_iter().take(NAMED).map(line).collect()
}
