//! Executions of tests as files have them, and how those of one job become tests.

use std::collections::HashMap;

use super::collect::Limits;
use super::model::{Counts, Hints, Outcome, Test, test_id};
use crate::text::shorten;

/// One test case of a file.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// Names of the suites around it, the outermost first.
    pub(super) suite: Vec<String>,
    /// The class, module or file it belongs to.
    pub(super) class: Option<String>,
    /// Its own name.
    pub(super) name: String,
    /// How it ended.
    pub(super) outcome: Outcome,
    /// Executions before or after this one that did not pass and that the file tells about.
    pub(super) reruns: u32,
    /// Whether it stands in the file as a test case, and is not made from something else.
    pub(super) written: bool,
    /// In seconds.
    pub(super) duration_seconds: Option<f64>,
    /// What went wrong in short, or why it was skipped.
    pub(super) message: String,
    /// The texts of the failures.
    pub(super) details: String,
    /// Where it may be.
    pub(super) hints: Hints,
}

/// The tests of a job, growing case by case.
#[derive(Debug, Default)]
pub(super) struct Tests {
    all: Vec<Test>,
    known: HashMap<String, usize>,
    /// Bytes of messages and details that are kept already.
    kept: usize,
    /// Cases that were left out because there are too many tests.
    pub(super) left_out: u64,
}

impl Tests {
    /// Takes a case in. The same test twice in one job is one test with the worst outcome: that
    /// a tool runs a failed test again is believed only where it says so.
    pub(super) fn add(&mut self, case: Case, limits: &Limits, counts: &mut Counts) {
        if case.written {
            counts.add(case.outcome);
        }
        let id = test_id(&case.suite, case.class.as_deref(), &case.name);
        let known = self.known.get(&id).copied();
        if known.is_none() && self.all.len() >= limits.tests {
            self.left_out += 1;
            return;
        }
        let test = self.test(id, case, limits);
        if let Some(before) = known.and_then(|at| self.all.get_mut(at)) {
            join(before, test, limits);
        } else {
            self.known.insert(test.id.clone(), self.all.len());
            self.all.push(test);
        }
    }

    fn test(&mut self, id: String, case: Case, limits: &Limits) -> Test {
        // Thousands of failures with long texts must not fill the memory.
        let (message, details) = if self.kept < limits.texts {
            (limits.message, limits.details)
        } else if self.kept < limits.texts.saturating_mul(2) {
            (limits.message.min(512), limits.details.min(1024))
        } else {
            (limits.message.min(256), 0)
        };
        let message = filled(&case.message, message);
        let details = filled(&case.details, details);
        self.kept +=
            message.as_ref().map_or(0, String::len) + details.as_ref().map_or(0, String::len);
        Test {
            id,
            suite: case.suite.iter().map(|name| named(name, limits)).collect(),
            class: case.class.map(|class| named(&class, limits)),
            name: named(&case.name, limits),
            outcome: case.outcome,
            flaky: case.outcome == Outcome::Passed && case.reruns > 0,
            runs: case.reruns.saturating_add(1),
            duration_seconds: case.duration_seconds,
            message,
            details,
            location: None,
            hints: case.hints,
        }
    }

    /// All of them, in the order in which they were first seen.
    pub(super) fn into_tests(self) -> Vec<Test> {
        self.all
    }
}

/// Takes in one more run of a test; several failures have all their texts.
fn join(before: &mut Test, test: Test, limits: &Limits) {
    let both_red = before.outcome.is_red() && test.outcome.is_red();
    if !both_red {
        return before.absorb(test);
    }
    let (mut details, mut other) = (before.details.take(), test.details.clone());
    if test.outcome.severity() > before.outcome.severity() {
        std::mem::swap(&mut details, &mut other);
    }
    before.absorb(test);
    before.details = match (details, other) {
        (Some(one), Some(other)) if before.runs <= 16 && one != other => {
            Some(short(&format!("{one}\n\n{other}"), limits.details))
        }
        (one, other) => one.or(other),
    };
}

fn named(name: &str, limits: &Limits) -> String {
    shorten::chars(&clean(name), limits.name).into_owned()
}

fn filled(text: &str, most: usize) -> Option<String> {
    let text = text.trim_matches(['\n', '\r']).trim_end();
    (!text.trim().is_empty() && most > 0).then(|| short(text, most))
}

fn short(text: &str, most: usize) -> String {
    shorten::head_and_tail(&clean(text), most).into_owned()
}

/// Without the one character that databases refuse.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

/// Seconds as tools write them: `1,024.12`, `0,03`, `22.2s`, `1e-05`. What is no number, not
/// finite or negative is unknown.
pub(super) fn seconds(text: &str) -> Option<f64> {
    let text = text.trim();
    let text = text.strip_suffix(['s', 'S']).unwrap_or(text).trim_end();
    let plain = match (text.rfind(','), text.rfind('.')) {
        // Groups of thousands before a point, and a comma as the point.
        (Some(comma), Some(point)) if comma < point => text.replace(',', ""),
        (Some(_), Some(_)) => text.replace('.', "").replace(',', "."),
        (Some(_), None) if text.matches(',').count() == 1 => text.replace(',', "."),
        (Some(_), None) => text.replace(',', ""),
        _ => text.to_owned(),
    };
    plain
        .parse()
        .ok()
        .filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0 && *seconds < 1e9)
}
