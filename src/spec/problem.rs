//! What is wrong with a specification, and where.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The specification cannot be carried out.
    Error,
    /// It can, but something in it has no effect.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One problem of a specification.
///
/// Its `Display` is `error: text (did you mean …?)`; the caller puts `file:line:column: ` before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// What is wrong. May quote the file, so it is untrusted text.
    pub message: String,
    /// What to do, say "did you mean `execute`?".
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// A place in the file: line and column, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
}

/// The keys whose places are kept: those that not every executor can carry out.
const KEPT: [&str; 4] = ["image", "services", "ports", "network"];

/// Where the jobs say what surrounds them, for problems that only show when a job is to run.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// By the job's key in the file; its own place stands at the empty key.
    list: HashMap<(String, &'static str), Place>,
}

impl Places {
    /// Keeps the places of a job, which is `at`.
    pub(super) fn note(&mut self, job: &str, at: Place, find: impl Fn(&str) -> Option<Place>) {
        self.list.insert((job.to_owned(), ""), at);
        for key in KEPT {
            if let Some(at) = find(key) {
                self.list.insert((job.to_owned(), key), at);
            }
        }
    }

    /// An error at a key of a job, else at the job itself. `job` is its key in the file.
    pub fn error(&self, job: &str, key: &'static str, message: String, hint: String) -> Problem {
        let at = ["", key]
            .iter()
            .rev()
            .find_map(|key| self.list.get(&(job.to_owned(), *key)));
        Problem {
            severity: Severity::Error,
            line: at.map_or(1, |at| at.line),
            column: at.map_or(1, |at| at.column),
            message,
            hint: Some(hint),
        }
    }
}

/// At most so many problems are kept; a file with more has one cause.
const PROBLEMS: usize = 100;

/// Collects problems while the file is read.
#[derive(Debug, Default)]
pub(super) struct Problems {
    list: Vec<Problem>,
    failed: bool,
}

impl Problems {
    pub(super) fn error(&mut self, at: Place, message: impl Into<String>) {
        self.add(Severity::Error, at, message.into(), None);
    }

    pub(super) fn hinted(
        &mut self,
        at: Place,
        message: impl Into<String>,
        hint: impl Into<Option<String>>,
    ) {
        self.add(Severity::Error, at, message.into(), hint.into());
    }

    pub(super) fn warning(&mut self, at: Place, message: impl Into<String>) {
        self.add(Severity::Warning, at, message.into(), None);
    }

    /// Whether an error was among them.
    pub(super) fn failed(&self) -> bool {
        self.failed
    }

    /// All problems, in the order of the file.
    pub(super) fn into_list(mut self) -> Vec<Problem> {
        self.list
            .sort_by_key(|problem| (problem.line, problem.column));
        self.list
    }

    fn add(&mut self, severity: Severity, at: Place, message: String, hint: Option<String>) {
        self.failed |= severity == Severity::Error;
        let problem = Problem {
            severity,
            line: at.line,
            column: at.column,
            message,
            hint,
        };
        // A part that two jobs inherit, or an alias, is read twice and wrong once.
        if self.list.len() < PROBLEMS && !self.list.contains(&problem) {
            self.list.push(problem);
        }
    }
}

/// A word of the file for a message: on one line, and not long.
pub(super) fn quoted(word: &str) -> String {
    let mut short: String = word
        .chars()
        .take(60)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if word.chars().nth(60).is_some() {
        short.push('…');
    }
    format!("`{short}`")
}
