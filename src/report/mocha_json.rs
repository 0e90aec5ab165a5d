//! Mocha's `json` reporter, and mochawesome, which Cypress is used with.
//!
//! Mocha's first list has all tests, and only hooks that fail are elsewhere. But it does not say
//! there which tests were skipped, so they are held until the next list does.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;

use serde::Deserializer;

use super::case::Case;
use super::collect::{Format, Found};
use super::json_stream::{self, Decimal, Flag, Node, Number, Text, keys, skip, take, walk};
use super::model::{Hints, Outcome, Place};
use super::source::Source;

/// Mocha.
pub(super) const FORMAT: Format = Format {
    name: "mocha-json",
    is: |file| {
        let (mut stats, mut passes) = (false, false);
        keys(file.text).any(|key| {
            stats |= key == (1, "stats");
            passes |= key == (2, "passes");
            stats && passes && key == (1, "tests")
        })
    },
    read: |source, found| {
        let longest = found.limits.details;
        let mut mocha = Mocha {
            found,
            held: Vec::new(),
            bytes: 0,
            failed: HashSet::new(),
        };
        let notes = json_stream::read(source, longest, &mut mocha);
        mocha.settle(&HashSet::new());
        found.notes.extend(notes);
    },
};

/// Mochawesome.
pub(super) const MOCHAWESOME: Format = Format {
    name: "mochawesome",
    is: |file| {
        let (mut stats, mut percent) = (false, false);
        keys(file.text).any(|key| {
            stats |= key == (1, "stats");
            percent |= key == (2, "passPercent") || key == (2, "testsRegistered");
            stats && percent && key == (1, "results")
        })
    },
    read: read_mochawesome,
};

/// A test, or a hook.
#[derive(Default)]
struct Test {
    title: String,
    full_title: String,
    file: Option<String>,
    milliseconds: Option<f64>,
    retry: u64,
    error: Problem,
    /// What only mochawesome says.
    state: Option<String>,
    failed: bool,
}

/// `err`, which is there and empty where there is none.
#[derive(Default)]
struct Problem {
    exists: bool,
    message: String,
    stack: String,
}

impl Node for Problem {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        self.exists = true;
        let text = match key {
            "message" => &mut self.message,
            "stack" | "estack" => &mut self.stack,
            _ => return skip(value),
        };
        *text = take::<Text, _>(value)?.0.unwrap_or_default();
        Ok(())
    }
}

impl Node for Test {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        match key {
            "title" => self.title = take::<Text, _>(value)?.0.unwrap_or_default(),
            "fullTitle" => self.full_title = take::<Text, _>(value)?.0.unwrap_or_default(),
            "file" => self.file = take::<Text, _>(value)?.0.filter(|file| !file.is_empty()),
            "duration" => self.milliseconds = take::<Decimal, _>(value)?.0,
            "currentRetry" => self.retry = take::<Number, _>(value)?.0.unwrap_or_default(),
            "state" => self.state = take::<Text, _>(value)?.0,
            "fail" => self.failed = take::<Flag, _>(value)?.0,
            "err" => walk(&mut self.error, value)?,
            _ => skip(value)?,
        }
        Ok(())
    }
}

impl Test {
    fn give(&self, outcome: Outcome, made_up: bool, file: Option<&str>, found: &mut Found<'_>) {
        let is_red = outcome.is_red();
        let suite = self
            .full_title
            .strip_suffix(&self.title)
            .unwrap_or_default()
            .trim_end();
        let suite = [suite.to_owned()];
        let file = self.file.as_deref().or(file).filter(|_| is_red);
        let Found {
            limits,
            tests,
            runs,
            ..
        } = found;
        let case = Case {
            suite: if suite.iter().all(String::is_empty) {
                &[]
            } else {
                &suite
            },
            name: &self.title,
            outcome,
            reruns: u32::try_from(self.retry).unwrap_or(u32::MAX),
            made_up,
            duration_seconds: self.milliseconds.map(|duration| duration / 1000.0),
            message: if is_red { &self.error.message } else { "" },
            details: if is_red { &self.error.stack } else { "" },
            hints: Hints {
                case: file.map(|path| Place {
                    path: path.to_owned(),
                    line: None,
                }),
                ..Hints::default()
            },
            ..Case::default()
        };
        tests.add(case, limits, runs);
    }

    fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.full_title, &self.file).hash(&mut hasher);
        hasher.finish()
    }
}

/// Bytes of tests that wait for the word whether they were skipped.
const MOST_HELD: usize = 32 << 20;

struct Mocha<'a, 'b> {
    found: &'a mut Found<'b>,
    held: Vec<Test>,
    bytes: usize,
    /// Tests that failed; other failures are of hooks.
    failed: HashSet<u64>,
}

impl Mocha<'_, '_> {
    fn hold(&mut self, test: Test) {
        self.bytes += 200
            + test.title.len()
            + test.full_title.len()
            + test.file.as_ref().map_or(0, String::len)
            + test.error.message.len()
            + test.error.stack.len();
        self.held.push(test);
        if self.bytes > MOST_HELD {
            self.settle(&HashSet::new());
        }
    }

    fn settle(&mut self, pending: &HashSet<u64>) {
        for test in std::mem::take(&mut self.held) {
            let key = test.key();
            let outcome = if test.error.exists {
                if self.failed.len() < self.found.limits.tests {
                    self.failed.insert(key);
                }
                Outcome::Failed
            } else if test.milliseconds.is_none() || pending.contains(&key) {
                // Most that did not run have no duration either.
                Outcome::Skipped
            } else {
                Outcome::Passed
            };
            test.give(outcome, false, None, self.found);
        }
        self.bytes = 0;
    }
}

impl Node for Mocha<'_, '_> {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        match key {
            "tests" => walk(&mut Tests(self), value),
            "pending" => {
                let mut pending = Pending {
                    keys: HashSet::new(),
                    most: self.found.limits.tests,
                };
                walk(&mut pending, value)?;
                self.settle(&pending.keys);
                Ok(())
            }
            "failures" => {
                self.settle(&HashSet::new());
                walk(&mut Failures(self), value)
            }
            _ => skip(value),
        }
    }
}

struct Tests<'m, 'a, 'b>(&'m mut Mocha<'a, 'b>);

impl Node for Tests<'_, '_, '_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, _: usize, value: D) -> Result<(), D::Error> {
        let test = take(value)?;
        self.0.hold(test);
        Ok(())
    }
}

struct Pending {
    keys: HashSet<u64>,
    most: usize,
}

impl Node for Pending {
    fn element<'de, D: Deserializer<'de>>(&mut self, _: usize, value: D) -> Result<(), D::Error> {
        let test: Test = take(value)?;
        if self.keys.len() < self.most {
            self.keys.insert(test.key());
        }
        Ok(())
    }
}

struct Failures<'m, 'a, 'b>(&'m mut Mocha<'a, 'b>);

impl Node for Failures<'_, '_, '_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, _: usize, value: D) -> Result<(), D::Error> {
        let test: Test = take(value)?;
        if !self.0.failed.contains(&test.key()) {
            test.give(Outcome::Error, true, None, self.0.found);
        }
        Ok(())
    }
}

fn read_mochawesome(source: Source<&mut dyn Read>, found: &mut Found<'_>) {
    let longest = found.limits.details;
    let mut report = Mochawesome {
        found,
        part: Part::Report,
        file: None,
    };
    let notes = json_stream::read(source, longest, &mut report);
    found.notes.extend(notes);
}

/// Suites within suites, down to the tests.
struct Mochawesome<'a, 'b> {
    found: &'a mut Found<'b>,
    part: Part,
    /// The file of the suite around.
    file: Option<String>,
}

/// What is being taken apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Report,
    Suite,
    Tests,
    Hooks,
}

impl Node for Mochawesome<'_, '_> {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        let part = match (self.part, key) {
            (Part::Report, "results") | (Part::Suite, "suites") => Part::Suite,
            (Part::Suite, "tests") => Part::Tests,
            (Part::Suite, "beforeHooks" | "afterHooks") => Part::Hooks,
            (Part::Suite, "fullFile") => {
                let file = take::<Text, _>(value)?.0.filter(|file| !file.is_empty());
                self.file = file.or(self.file.take());
                return Ok(());
            }
            _ => return skip(value),
        };
        let mut within = Mochawesome {
            found: self.found,
            part,
            file: self.file.clone(),
        };
        walk(&mut within, value)
    }

    fn element<'de, D: Deserializer<'de>>(&mut self, _: usize, value: D) -> Result<(), D::Error> {
        if self.part == Part::Suite {
            let mut suite = Mochawesome {
                found: self.found,
                part: Part::Suite,
                file: self.file.clone(),
            };
            return walk(&mut suite, value);
        }
        let test: Test = take(value)?;
        let failed = test.failed || test.state.as_deref() == Some("failed");
        let file = self.file.as_deref();
        if self.part == Part::Hooks {
            if failed {
                test.give(Outcome::Error, true, file, self.found);
            }
            return Ok(());
        }
        let outcome = match test.state.as_deref() {
            _ if failed => Outcome::Failed,
            Some("passed") => Outcome::Passed,
            _ => Outcome::Skipped,
        };
        test.give(outcome, false, file, self.found);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{file, read};
    use super::super::{FileStatus, Outcome, Report};

    const TESTS: &str = r#"{"stats": {"suites": 1, "tests": 5, "passes": 2}, "tests": [
{"title": "a", "fullTitle": "cart a", "file": "/w/t.js", "duration": 1500, "currentRetry": 0, "err": {}},
{"title": "b", "fullTitle": "cart b", "file": "/w/t.js", "duration": 1, "currentRetry": 1, "err": {"stack": "E: no\n    at f (t.js:1:2)", "message": "no"}},
{"title": "c", "fullTitle": "c", "file": "/w/t.js", "currentRetry": 0, "err": {}},
{"title": "d", "fullTitle": "cart d", "duration": 1, "currentRetry": 2, "err": {}},
{"title": "e", "fullTitle": "cart e", "duration": 0, "currentRetry": 0, "err": {}}
], "pending": [{"title": "e", "fullTitle": "cart e", "duration": 0}], "failures": [
{"title": "b", "fullTitle": "cart b", "file": "/w/t.js", "duration": 1, "err": {"message": "no"}},
{"title": "\"before each\" hook", "fullTitle": "cart \"before each\" hook", "file": "/w/t.js", "err": {"message": "no database"}}
], "passes": [{"title": "a"}]}"#;

    /// Suite, name, outcome, message.
    fn cases(report: &Report) -> Vec<String> {
        report
            .tests
            .iter()
            .map(|test| {
                let message = test.message.as_deref().unwrap_or("-");
                format!(
                    "{:?} {} {:?} {message}",
                    test.suite, test.name, test.outcome
                )
            })
            .collect()
    }

    #[test]
    fn tests_are_counted_and_hooks_that_fail_are_errors() {
        let report = read(TESTS);
        assert_eq!(report.files[0].format.as_deref(), Some("mocha-json"));
        assert_eq!(report.files[0].diagnostics, []);
        assert_eq!(report.files[0].runs.total, 5);
        assert_eq!(
            cases(&report),
            [
                r#"["cart"] a Passed -"#,
                r#"["cart"] b Failed no"#,
                "[] c Skipped -",
                r#"["cart"] d Passed -"#,
                r#"["cart"] e Skipped -"#,
                r#"["cart"] "before each" hook Error no database"#,
            ]
        );
        assert_eq!(report.tests[0].duration_seconds, Some(1.5));
        assert_eq!((report.tests[1].runs, report.tests[1].flaky), (2, false));
        assert_eq!((report.tests[3].runs, report.tests[3].flaky), (3, true));
        let place = report.tests[1].hints.case.clone().map(|place| place.path);
        assert_eq!(place.as_deref(), Some("/w/t.js"));
    }

    #[test]
    fn mochawesome_has_its_tests_in_suites() {
        let report = read(
            r#"{"stats": {"suites": 1, "passPercent": 50}, "results": [{"title": "", "fullFile": "/w/t.cy.js", "tests": [], "beforeHooks": [], "suites": [
{"title": "cart", "fullFile": "", "tests": [
{"title": "a", "fullTitle": "cart a", "duration": 5, "state": "passed", "fail": false, "err": {}},
{"title": "b", "fullTitle": "cart b", "duration": 5, "state": "failed", "fail": true, "err": {"message": "no", "estack": "at t.cy.js:1:2"}},
{"title": "c", "fullTitle": "cart c", "state": null, "skipped": true, "err": {}}],
"afterHooks": [{"title": "h", "fullTitle": "cart h", "state": "failed", "err": {"message": "boom"}}, {"title": "i", "state": null}], "suites": []}]}]}"#,
        );
        assert_eq!(report.files[0].format.as_deref(), Some("mochawesome"));
        assert_eq!(report.files[0].diagnostics, []);
        assert_eq!(
            cases(&report),
            [
                r#"["cart"] a Passed -"#,
                r#"["cart"] b Failed no"#,
                r#"["cart"] c Skipped -"#,
                r#"["cart"] h Error boom"#,
            ]
        );
        let place = report.tests[1].hints.case.clone().map(|place| place.path);
        assert_eq!(place.as_deref(), Some("/w/t.cy.js"));
    }

    #[test]
    fn a_file_that_ends_early_is_broken_and_keeps_what_was_read() {
        let end = TESTS.find("\"c\"").expect("a test");
        let report = read(&TESTS.as_bytes()[..end]);
        assert_eq!(report.files[0].status, FileStatus::Partial);
        let outcomes: Vec<_> = report.tests.iter().map(|test| test.outcome).collect();
        assert_eq!(outcomes, [Outcome::Passed, Outcome::Failed]);
        for (end, _) in TESTS.char_indices() {
            assert!(file(&TESTS.as_bytes()[..end]).is_broken(), "{end}");
        }
    }

    #[test]
    fn other_json_with_tests_is_none() {
        for text in [
            r#"{"tests": [{"title": "a"}]}"#,
            r#"{"stats": {}, "tests": []}"#,
            r#"{"a": {"stats": {"passes": 1}, "tests": []}}"#,
        ] {
            assert_eq!(file(text).format, None, "{text}");
        }
    }
}
