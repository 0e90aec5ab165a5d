//! JUnit XML in its dialects.
//!
//! There is no specification; the shapes are those that pytest, Surefire, Gradle, googletest,
//! Catch2, doctest, jest-junit, mocha, Playwright, nextest, phpunit, rspec, ctest, Bazel and
//! their kin write. Test cases count wherever they are; declared totals are not believed.

use std::borrow::Cow;

use super::case::{Case, seconds};
use super::collect::{Format, Found};
use super::model::{Hints, Outcome, Place};
use super::xml::{self, Contents, Sink, Tag};
use crate::text::shorten;

/// JUnit XML.
pub(super) const FORMAT: Format = Format {
    name: "junit",
    is: |file| file.root_is(&["testsuites", "testsuite"]),
    read: |source, found| {
        let Found {
            limits,
            tests,
            runs,
            ..
        } = found;
        let mut sink = JUnit::new(|case: Case| tests.add(case, limits, runs));
        let notes = xml::read(source, &mut sink);
        sink.finish();
        found.notes.extend(notes);
    },
};

/// More of one text than this is not even gathered.
const MOST_TEXT: usize = 1 << 20;

/// Reads test cases and hands them over one by one.
pub(super) struct JUnit<F> {
    give: F,
    suites: Vec<Suite>,
    case: Option<Open>,
    /// A failure, error or reason to skip, whose text is being read.
    element: Option<Element>,
    /// Elements within that one.
    within: u32,
}

#[derive(Default)]
struct Suite {
    name: Option<String>,
    file: Option<Place>,
    /// What went wrong outside of its cases.
    trouble: Verdict,
}

struct Open {
    suite_file: Option<Place>,
    class: Option<String>,
    name: String,
    seconds: Option<f64>,
    status: Option<Outcome>,
    reason: Option<String>,
    place: Option<Place>,
    verdict: Verdict,
    /// `testcase` within `testcase` is not a thing, but must not end the outer one.
    depth: u32,
}

/// What the elements within a case or suite say.
#[derive(Default)]
struct Verdict {
    failed: bool,
    error: bool,
    skipped: bool,
    reruns: u32,
    message: Option<String>,
    details: String,
    /// Messages and texts of runs that did not decide.
    others: String,
    place: Option<Place>,
    reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Failure,
    Error,
    Skipped,
    /// One more run that did not pass (Surefire).
    Rerun,
}

struct Element {
    kind: Kind,
    message: Option<String>,
    place: Option<Place>,
    text: String,
}

impl<F: FnMut(Case)> JUnit<F> {
    /// Hands every case to `give`.
    pub(super) fn new(give: F) -> Self {
        Self {
            give,
            suites: Vec::new(),
            case: None,
            element: None,
            within: 0,
        }
    }

    /// The file ends, maybe before its elements do: what had failed by then counts.
    pub(super) fn finish(&mut self) {
        self.close_element();
        if self
            .case
            .as_ref()
            .is_some_and(|case| case.verdict.failed || case.verdict.error)
        {
            self.close_case();
        }
        self.case = None;
        while !self.suites.is_empty() {
            self.close_suite();
        }
    }

    fn path(&self) -> Vec<String> {
        self.suites
            .iter()
            .filter_map(|suite| suite.name.clone())
            .collect()
    }

    fn open_element(&mut self, kind: Kind, tag: &Tag<'_>) {
        let kind_of_error = tag.filled("type").map(Cow::into_owned);
        let message = tag.filled("message").map(Cow::into_owned);
        self.element = Some(Element {
            kind,
            message: message.or(kind_of_error.filter(|_| kind != Kind::Skipped)),
            place: place(tag, &["file", "filepath", "filename"], &["line", "lineno"]),
            text: String::new(),
        });
        self.within = 0;
    }

    fn close_element(&mut self) {
        let Some(element) = self.element.take() else {
            return;
        };
        let verdict = match (&mut self.case, self.suites.last_mut()) {
            (Some(case), _) => &mut case.verdict,
            (None, Some(suite)) => &mut suite.trouble,
            (None, None) => return,
        };
        verdict.take(element);
    }

    fn close_case(&mut self) {
        let Some(open) = self.case.take() else {
            return;
        };
        let verdict = open.verdict;
        let outcome = if verdict.error {
            Outcome::Error
        } else if verdict.failed {
            Outcome::Failed
        } else if verdict.skipped {
            Outcome::Skipped
        } else {
            open.status.unwrap_or(Outcome::Passed)
        };
        let mut case = Case {
            suite: self.path(),
            class: open.class,
            name: open.name,
            outcome,
            reruns: verdict.reruns,
            written: true,
            duration_seconds: open.seconds,
            message: String::new(),
            details: String::new(),
            hints: Hints {
                failure: verdict.place,
                case: open.place.map(|place| self.counted_from_one(place)),
                suite: open.suite_file,
            },
        };
        match outcome {
            Outcome::Skipped => {
                case.message = verdict.reason.or(open.reason).unwrap_or_default();
                case.hints = Hints::default();
            }
            Outcome::Passed => {
                case.message = verdict.message.unwrap_or_default();
                case.details = verdict.others;
                case.hints = Hints::default();
            }
            Outcome::Failed | Outcome::Error => {
                case.message = verdict.message.unwrap_or_default();
                case.details = verdict.details;
                append(&mut case.details, &verdict.others);
            }
        }
        (self.give)(case);
    }

    /// pytest's lines count from 0 (`_pytest/junitxml.py`, `xunit1`), all others' from 1.
    fn counted_from_one(&self, mut place: Place) -> Place {
        if self
            .suites
            .iter()
            .any(|suite| suite.name.as_deref() == Some("pytest"))
        {
            place.line = place.line.map(|line| line.saturating_add(1));
        }
        place.line = place.line.filter(|line| *line > 0);
        place
    }

    fn close_suite(&mut self) {
        let path = self.path();
        let Some(suite) = self.suites.pop() else {
            return;
        };
        let trouble = suite.trouble;
        if !trouble.failed && !trouble.error {
            return;
        }
        (self.give)(Case {
            suite: path,
            class: None,
            name: "(suite)".to_owned(),
            outcome: if trouble.error {
                Outcome::Error
            } else {
                Outcome::Failed
            },
            reruns: 0,
            written: false,
            duration_seconds: None,
            message: trouble.message.unwrap_or_default(),
            details: trouble.details,
            hints: Hints {
                failure: trouble.place,
                case: None,
                suite: suite.file,
            },
        });
    }

    fn open_case(&mut self, tag: &Tag<'_>) {
        let get = |keys: &[&str]| {
            keys.iter()
                .find_map(|key| tag.filled(key))
                .map(|value| value.trim().to_owned())
        };
        let said = get(&["result", "status"])
            .unwrap_or_default()
            .to_lowercase();
        // `status` of googletest and CTest, `result` of googletest; `completed` says nothing.
        let status = match said.as_str() {
            "skipped" | "suppressed" | "notrun" | "disabled" | "ignored" | "pending" => {
                Some(Outcome::Skipped)
            }
            "fail" | "failed" | "failure" => Some(Outcome::Failed),
            "error" => Some(Outcome::Error),
            _ => None,
        };
        let status = status.or_else(|| {
            let state = tag.get("status")?;
            matches!(state.trim(), "notrun" | "disabled").then_some(Outcome::Skipped)
        });
        self.case = Some(Open {
            suite_file: self
                .suites
                .iter()
                .rev()
                .find_map(|suite| suite.file.clone()),
            class: get(&["classname", "class"]),
            name: tag.get("name").map(Cow::into_owned).unwrap_or_default(),
            seconds: get(&["time", "duration"]).and_then(|time| seconds(&time)),
            status,
            reason: (status == Some(Outcome::Skipped)).then_some(said),
            place: place(tag, &["file", "filepath"], &["line", "lineno"]),
            verdict: Verdict::default(),
            depth: 0,
        });
    }
}

impl Verdict {
    fn take(&mut self, element: Element) {
        let text = element.text.trim_matches(['\n', '\r']);
        match element.kind {
            Kind::Skipped => {
                self.skipped = true;
                if self.reason.is_none() {
                    self.reason = element
                        .message
                        .or_else(|| Some(text.trim().to_owned()))
                        .filter(|reason| !reason.is_empty());
                }
            }
            Kind::Failure | Kind::Error => {
                self.failed |= element.kind == Kind::Failure;
                self.error |= element.kind == Kind::Error;
                if self.place.is_none() {
                    self.place = element.place;
                }
                match (&self.message, element.message) {
                    (None, message) => self.message = message,
                    // The message of a further failure, unless its text begins with it.
                    (Some(_), Some(message)) if !text.contains(message.trim()) => {
                        append(&mut self.details, &message);
                    }
                    (Some(_), _) => {}
                }
                append(&mut self.details, text);
            }
            Kind::Rerun => {
                self.reruns = self.reruns.saturating_add(1);
                if self.message.is_none() {
                    self.message = element.message;
                }
                append(&mut self.others, text);
            }
        }
    }
}

impl<F: FnMut(Case)> Sink for JUnit<F> {
    fn open(&mut self, tag: &Tag<'_>) -> Contents {
        if self.element.is_some() {
            self.within += 1;
            // `stackTrace` within a rerun is its text.
            return match tag.name {
                "system-out" | "system-err" => Contents::Skip,
                _ => Contents::Read,
            };
        }
        match tag.name {
            "testsuite" => {
                self.suites.push(Suite {
                    name: tag.filled("name").map(|name| name.trim().to_owned()),
                    file: place(tag, &["file", "filepath"], &[]),
                    trouble: Verdict::default(),
                });
            }
            "testcase" => match &mut self.case {
                Some(case) => case.depth += 1,
                None => self.open_case(tag),
            },
            "failure" => self.open_element(Kind::Failure, tag),
            "error" => self.open_element(Kind::Error, tag),
            "skipped" | "skip" | "ignored" => self.open_element(Kind::Skipped, tag),
            "rerunFailure" | "rerunError" | "flakyFailure" | "flakyError" => {
                self.open_element(Kind::Rerun, tag);
            }
            "system-out" | "system-err" | "properties" => return Contents::Skip,
            _ => {}
        }
        Contents::Read
    }

    fn text(&mut self, text: &str) {
        if let Some(element) = &mut self.element
            && element.text.len() < MOST_TEXT
        {
            if text.len() > MOST_TEXT {
                element
                    .text
                    .push_str(&shorten::head_and_tail(text, MOST_TEXT));
            } else {
                element.text.push_str(text);
            }
        }
    }

    fn close(&mut self, name: &str) {
        if self.element.is_some() {
            if self.within == 0 {
                self.close_element();
            } else {
                self.within -= 1;
            }
            return;
        }
        match name {
            "testsuite" => self.close_suite(),
            "testcase" => match &mut self.case {
                Some(case) if case.depth > 0 => case.depth -= 1,
                _ => self.close_case(),
            },
            _ => {}
        }
    }
}

fn append(text: &mut String, more: &str) {
    if more.trim().is_empty() || text.len() > MOST_TEXT {
        return;
    }
    if !text.is_empty() {
        text.push_str("\n\n");
    }
    text.push_str(more);
}

fn place(tag: &Tag<'_>, files: &[&str], lines: &[&str]) -> Option<Place> {
    let path = files
        .iter()
        .find_map(|key| tag.filled(key))?
        .trim()
        .to_owned();
    let line = lines
        .iter()
        .find_map(|key| tag.get(key)?.trim().parse().ok());
    Some(Place { path, line })
}

#[cfg(test)]
#[path = "junit_tests.rs"]
mod tests;
