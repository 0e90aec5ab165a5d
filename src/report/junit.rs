//! JUnit XML in its dialects.
//!
//! There is no specification; the shapes are those that pytest, Surefire, Gradle, googletest,
//! Catch2, doctest, jest-junit, mocha, Playwright, nextest, phpunit, rspec, ctest, Bazel and
//! their kin write. Test cases count wherever they are; declared totals are not believed.

use std::borrow::Cow;
use std::num::NonZeroU16;

use super::case::{Case, seconds};
use super::collect::{Format, Found};
use super::model::{Hints, Outcome, Place};
use super::xml::{self, Contents, Sink, Tag};
use crate::text::{self, shorten};

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
        let mut sink = JUnit::new(|case: Case<'_>| tests.add(case, limits, runs));
        let notes = xml::read(source, &mut sink);
        sink.finish();
        found.notes.extend(notes);
    },
};

/// More of one text than this is not even gathered.
const MOST_TEXT: usize = 1 << 20;

/// Reads test cases and hands them over one by one.
struct JUnit<F> {
    give: F,
    suites: Vec<Suite>,
    /// The names of the suites that have one.
    path: Vec<String>,
    /// How many test cases are open: `testcase` within `testcase` is not a thing, but must not end
    /// the outer one.
    cases: u32,
    /// The case that is read, and its memory between cases.
    case: Open,
    /// A failure, error or reason to skip, whose text is being read.
    element: Option<Element>,
    /// Elements within that one.
    within: u32,
    /// The memory of the text of the last one.
    spare: String,
    /// Cases so far, and those that the root declares.
    seen: u64,
    declared: Option<u64>,
    /// Numbers of suites that repeat a case when they run it again.
    series: NonZeroU16,
    remark: Option<String>,
    /// There has been one; more of the same kind would help nobody.
    remarked: bool,
}

#[derive(Default)]
struct Suite {
    is_named: bool,
    /// Number of a suite of pytest, whose lines count from 0 (`_pytest/junitxml.py`, `xunit1`), all
    /// others' from 1. It has a case twice when pytest-rerunfailures ran it again: since 16.6.1
    /// every earlier run, though it failed, leaves an empty case.
    pytest: Option<NonZeroU16>,
    /// Cases before this suite, and those that it declares.
    before: u64,
    declared: Option<u64>,
    file: Option<Place>,
    /// What went wrong outside of its cases.
    trouble: Verdict,
}

#[derive(Default)]
struct Open {
    class: String,
    name: String,
    seconds: Option<f64>,
    status: Option<Outcome>,
    reason: &'static str,
    place: Option<Place>,
    verdict: Verdict,
}

/// What the elements within a case or suite say.
#[derive(Default)]
struct Verdict {
    said: Said,
    reruns: u32,
    message: Option<String>,
    details: String,
    /// What a case wrote that failed without a text (CTest, Bazel).
    output: String,
    /// Messages and texts of runs that did not decide.
    others: String,
    place: Option<Place>,
    reason: Option<String>,
}

/// The greater one counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    #[default]
    Nothing,
    Skipped,
    Failed,
    Error,
    /// It may have failed, but that was expected.
    Excused,
}

impl Said {
    fn is_red(self) -> bool {
        matches!(self, Self::Failed | Self::Error)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Failure,
    Error,
    Skipped,
    /// A reason to skip that excuses failures: those of a TODO (Node.js), and of a test that may
    /// fail (Catch2).
    Excused,
    /// One more run that did not pass (Surefire).
    Rerun,
    /// What the case wrote.
    Output,
}

struct Element {
    kind: Kind,
    message: Option<String>,
    place: Option<Place>,
    text: String,
}

impl<F: FnMut(Case<'_>)> JUnit<F> {
    /// Hands every case to `give`.
    fn new(give: F) -> Self {
        Self {
            give,
            suites: Vec::new(),
            path: Vec::new(),
            cases: 0,
            case: Open::default(),
            element: None,
            within: 0,
            spare: String::new(),
            seen: 0,
            declared: None,
            series: NonZeroU16::MIN,
            remark: None,
            remarked: false,
        }
    }

    /// The file ends, maybe before its elements do: what had failed by then counts.
    fn finish(&mut self) {
        self.close_element();
        if self.cases > 0 && self.case.verdict.said.is_red() {
            self.close_case();
        }
        self.cases = 0;
        while !self.suites.is_empty() {
            self.close_suite();
        }
    }

    fn open_suite(&mut self, tag: &Tag<'_>) {
        let name = tag.filled("name").map(|name| name.trim().to_owned());
        let pytest = (name.as_deref() == Some("pytest")).then(|| {
            self.series = self.series.checked_add(1).unwrap_or(NonZeroU16::MIN);
            self.series
        });
        self.suites.push(Suite {
            is_named: name.is_some(),
            pytest,
            before: self.seen,
            declared: declared(tag),
            file: place(tag, &["file", "filepath"], &[]),
            trouble: Verdict::default(),
        });
        self.path.extend(name);
    }

    fn open_element(&mut self, kind: Kind, tag: &Tag<'_>) {
        let what = tag.filled("type").map(Cow::into_owned);
        let message = tag.filled("message").map(Cow::into_owned);
        let excused = |text: &str| {
            ["todo", "!mayfail", "!shouldfail"]
                .iter()
                .any(|word| text.ends_with(word))
        };
        let kind = match kind {
            Kind::Skipped if what.iter().chain(&message).any(|text| excused(text)) => Kind::Excused,
            kind => kind,
        };
        let is_skip = matches!(kind, Kind::Skipped | Kind::Excused);
        self.element = Some(Element {
            kind,
            message: message.or(what.filter(|_| !is_skip)),
            place: place(tag, &["file", "filepath", "filename"], &["line", "lineno"]),
            text: std::mem::take(&mut self.spare),
        });
        self.within = 0;
    }

    fn close_element(&mut self) {
        let Some(mut element) = self.element.take() else {
            return;
        };
        if self.cases > 0 {
            self.case.verdict.take(&mut element);
        } else if let Some(suite) = self.suites.last_mut() {
            suite.trouble.take(&mut element);
        }
        element.text.clear();
        self.spare = element.text;
    }

    fn open_case(&mut self, tag: &Tag<'_>) {
        let case = &mut self.case;
        case.class.clear();
        case.name.clear();
        case.seconds = None;
        case.status = None;
        case.reason = "";
        case.verdict.clear();
        let (mut file, mut line) = (None, None);
        for (key, value) in tag.iter() {
            match key {
                "name" => case.name.push_str(&value),
                "classname" => value.trim().clone_into(&mut case.class),
                "class" if case.class.is_empty() => value.trim().clone_into(&mut case.class),
                "time" => case.seconds = seconds(&value).or(case.seconds),
                "duration" => case.seconds = case.seconds.or_else(|| seconds(&value)),
                "file" | "filepath" if !value.trim().is_empty() => {
                    file.get_or_insert_with(|| value.trim().to_owned());
                }
                "line" | "lineno" => line = line.or_else(|| value.trim().parse().ok()),
                // `status` of googletest and CTest, `result` of googletest; `completed` and
                // `run` say nothing.
                "status" | "result" => {
                    if let Some((outcome, reason)) = status(&value) {
                        // googletest has `status="notrun"` beside `result="suppressed"`.
                        (case.status, case.reason) = (Some(outcome), reason);
                    }
                }
                _ => {}
            }
        }
        case.place = file.map(|path| Place { path, line });
    }

    fn close_case(&mut self) {
        self.seen += 1;
        let case = &mut self.case;
        let verdict = &mut case.verdict;
        let pytest = self.suites.iter().find_map(|suite| suite.pytest);
        let outcome = match verdict.said {
            Said::Excused | Said::Skipped => Outcome::Skipped,
            Said::Error => Outcome::Error,
            Said::Failed => Outcome::Failed,
            Said::Nothing => case.status.unwrap_or_default(),
        };
        let (message, details, hints) = match outcome {
            Outcome::Skipped => {
                let reason = verdict.reason.as_deref().unwrap_or(case.reason);
                (reason, "", Hints::default())
            }
            Outcome::Passed => {
                let message = verdict.message.as_deref().unwrap_or_default();
                (message, verdict.others.as_str(), Hints::default())
            }
            Outcome::Failed | Outcome::Error => {
                if verdict.details.trim().is_empty() {
                    append(&mut verdict.details, &verdict.output);
                }
                append(&mut verdict.details, &verdict.others);
                let hints = Hints {
                    failure: verdict.place.take(),
                    case: case.place.take().map(|mut place| {
                        place.line = place
                            .line
                            .map(|line| line.saturating_add(u32::from(pytest.is_some())))
                            .filter(|line| *line > 0);
                        place
                    }),
                    suite: self
                        .suites
                        .iter()
                        .rev()
                        .find_map(|suite| suite.file.clone()),
                    ..Hints::default()
                };
                let message = verdict.message.as_deref().unwrap_or_default();
                (message, verdict.details.as_str(), hints)
            }
        };
        (self.give)(Case {
            suite: &self.path,
            class: Some(case.class.as_str()).filter(|class| !class.is_empty()),
            name: &case.name,
            outcome,
            reruns: verdict.reruns,
            made_up: false,
            series: pytest,
            duration_seconds: case.seconds,
            message,
            details,
            hints,
        });
    }

    /// Compares what is declared with what was there since.
    fn compare(&mut self, declared: Option<u64>, before: u64) {
        let found = self.seen.saturating_sub(before);
        if let Some(declared) = declared
            && declared != found
            && !self.remarked
        {
            self.remarked = true;
            self.remark = Some(format!(
                "{} declared, {found} found; what is found counts",
                text::plural(declared, "test")
            ));
        }
    }

    fn close_suite(&mut self) {
        let Some(suite) = self.suites.pop() else {
            return;
        };
        self.compare(suite.declared, suite.before);
        let trouble = suite.trouble;
        if trouble.said.is_red() {
            (self.give)(Case {
                suite: &self.path,
                name: "(suite)",
                outcome: match trouble.said {
                    Said::Error => Outcome::Error,
                    _ => Outcome::Failed,
                },
                made_up: true,
                message: trouble.message.as_deref().unwrap_or_default(),
                details: &trouble.details,
                hints: Hints {
                    failure: trouble.place,
                    suite: suite.file,
                    ..Hints::default()
                },
                ..Case::default()
            });
        }
        if suite.is_named {
            self.path.pop();
        }
    }
}

/// How many tests a suite says that it has. Catch2 counts assertions there, and has a mark of its
/// own: a host that is to be done.
fn declared(tag: &Tag<'_>) -> Option<u64> {
    let tests = tag.get("tests")?.trim().parse().ok()?;
    (tag.get("hostname").as_deref() != Some("tbd")).then_some(tests)
}

/// What the attributes of a case say of its outcome, and the word for it.
fn status(value: &str) -> Option<(Outcome, &'static str)> {
    let words = [
        ("skipped", Outcome::Skipped),
        ("suppressed", Outcome::Skipped),
        ("notrun", Outcome::Skipped),
        ("disabled", Outcome::Skipped),
        ("ignored", Outcome::Skipped),
        ("pending", Outcome::Skipped),
        ("fail", Outcome::Failed),
        ("failed", Outcome::Failed),
        ("failure", Outcome::Failed),
        ("error", Outcome::Error),
    ];
    let value = value.trim();
    words
        .into_iter()
        .find(|(word, _)| value.eq_ignore_ascii_case(word))
        .map(|(word, outcome)| (outcome, word))
}

impl Verdict {
    /// Whether it is red, and nothing says why so far.
    fn is_mute(&self) -> bool {
        self.said.is_red() && self.details.trim().is_empty()
    }

    /// As it was before, but for the memory of its texts. Nearly all cases have nothing in it.
    fn clear(&mut self) {
        if self.said == Said::Nothing && self.reruns == 0 && self.output.is_empty() {
            return;
        }
        let emptied = |text: &mut String| {
            text.clear();
            std::mem::take(text)
        };
        *self = Self {
            details: emptied(&mut self.details),
            output: emptied(&mut self.output),
            others: emptied(&mut self.others),
            ..Self::default()
        };
    }

    fn take(&mut self, element: &mut Element) {
        let text = element.text.trim_matches(['\n', '\r']);
        self.said = self.said.max(match element.kind {
            Kind::Skipped => Said::Skipped,
            Kind::Excused => Said::Excused,
            Kind::Failure => Said::Failed,
            Kind::Error => Said::Error,
            Kind::Rerun | Kind::Output => Said::Nothing,
        });
        match element.kind {
            Kind::Skipped | Kind::Excused => {
                if self.reason.is_none() {
                    let message = element.message.take();
                    self.reason = message
                        .or_else(|| Some(text.trim().to_owned()))
                        .filter(|reason| !reason.is_empty());
                }
            }
            Kind::Failure | Kind::Error => {
                if self.place.is_none() {
                    self.place = element.place.take();
                }
                match (&self.message, element.message.take()) {
                    (None, message) => self.message = message,
                    // The message of a further failure, unless its text begins with it.
                    (Some(_), Some(message)) if !text.contains(message.trim()) => {
                        append(&mut self.details, &message);
                    }
                    (Some(_), _) => {}
                }
                append(&mut self.details, text);
            }
            Kind::Output => append(&mut self.output, text),
            Kind::Rerun => {
                self.reruns = self.reruns.saturating_add(1);
                if self.message.is_none() {
                    self.message = element.message.take();
                }
                append(&mut self.others, text);
            }
        }
    }
}

impl<F: FnMut(Case<'_>)> Sink for JUnit<F> {
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
            "testcase" => {
                if self.cases == 0 {
                    self.open_case(tag);
                }
                self.cases += 1;
            }
            "testsuite" => self.open_suite(tag),
            "testsuites" => self.declared = declared(tag),
            "failure" => self.open_element(Kind::Failure, tag),
            "error" => self.open_element(Kind::Error, tag),
            "skipped" | "skip" | "ignored" => self.open_element(Kind::Skipped, tag),
            "rerunFailure" | "rerunError" | "flakyFailure" | "flakyError" => {
                self.open_element(Kind::Rerun, tag);
            }
            "system-out" | "system-err" if self.cases > 0 && self.case.verdict.is_mute() => {
                self.open_element(Kind::Output, tag);
            }
            "system-out" | "system-err" | "properties" => return Contents::Skip,
            _ => {}
        }
        Contents::Read
    }

    fn wants_text(&self) -> bool {
        self.element.is_some()
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
            "testcase" => {
                if self.cases == 1 {
                    self.close_case();
                }
                self.cases = self.cases.saturating_sub(1);
            }
            "testsuite" => self.close_suite(),
            "testsuites" => {
                let declared = self.declared.take();
                self.compare(declared, 0);
            }
            _ => {}
        }
    }

    fn remark(&mut self) -> Option<String> {
        self.remark.take()
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
