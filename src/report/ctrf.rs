//! CTRF, the Common Test Report Format (ctrf.io): one JSON for reporters of many tools.

use std::io::Read;

use serde::Deserializer;

use super::case::Case;
use super::collect::{Format, Found};
use super::json_stream::{self, Decimal, Node, Number, Text, keys, skip, take, walk};
use super::model::{Hints, Outcome, Place};
use super::source::Source;

/// CTRF.
pub(super) const FORMAT: Format = Format {
    name: "ctrf",
    is: |file| {
        let mut results = false;
        keys(file.text).any(|key| {
            results |= key == (1, "results");
            results && (key == (2, "tool") || key == (2, "tests") || key == (2, "summary"))
        })
    },
    read,
};

/// Suites around a test beyond these are not believed.
const MOST_SUITES: usize = 64;

fn read(source: Source<&mut dyn Read>, found: &mut Found<'_>) {
    let longest = found.limits.details;
    let notes = json_stream::read(source, longest, &mut Root(found));
    found.notes.extend(notes);
}

struct Root<'a, 'b>(&'a mut Found<'b>);

impl Node for Root<'_, '_> {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        match key {
            "results" => walk(&mut Results(self.0), value),
            _ => skip(value),
        }
    }
}

struct Results<'a, 'b>(&'a mut Found<'b>);

impl Node for Results<'_, '_> {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        match key {
            "tests" => walk(&mut Tests(self.0), value),
            _ => skip(value),
        }
    }
}

#[derive(Default)]
struct Test {
    name: String,
    status: String,
    raw_status: String,
    milliseconds: Option<f64>,
    suite: Suite,
    message: String,
    trace: String,
    file: Option<String>,
    line: Option<u32>,
    retries: u64,
    attempts: Attempts,
    flaky: Option<bool>,
}

/// A list of names, or a name with ` > ` between them.
#[derive(Default)]
struct Suite(Vec<String>);

impl Node for Suite {
    fn text(&mut self, text: &str) {
        let names = text.split(" > ").map(str::trim);
        let names = names.filter(|name| !name.is_empty());
        self.0 = names.take(MOST_SUITES).map(str::to_owned).collect();
    }

    fn element<'de, D: Deserializer<'de>>(&mut self, at: usize, value: D) -> Result<(), D::Error> {
        let name = take::<Text, _>(value)?.0.filter(|_| at < MOST_SUITES);
        self.0.extend(name);
        Ok(())
    }
}

/// Attempts that did not pass.
#[derive(Default)]
struct Attempts(u64);

impl Node for Attempts {
    fn element<'de, D: Deserializer<'de>>(&mut self, _: usize, value: D) -> Result<(), D::Error> {
        let attempt: Test = take(value)?;
        self.0 += u64::from(attempt.status != "passed");
        Ok(())
    }
}

/// True, false, or not said.
#[derive(Default)]
struct Perhaps(Option<bool>);

impl Node for Perhaps {
    fn flag(&mut self, flag: bool) {
        self.0 = Some(flag);
    }
}

impl Node for Test {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        let text = |value| Ok::<_, D::Error>(take::<Text, D>(value)?.0.unwrap_or_default());
        match key {
            "name" => self.name = text(value)?,
            "status" => self.status = text(value)?,
            "rawStatus" => self.raw_status = text(value)?,
            "duration" => self.milliseconds = take::<Decimal, _>(value)?.0,
            "suite" => walk(&mut self.suite, value)?,
            "message" => self.message = text(value)?,
            "trace" => self.trace = text(value)?,
            "filePath" => self.file = take::<Text, _>(value)?.0.filter(|file| !file.is_empty()),
            "line" => {
                let line = take::<Number, _>(value)?.0;
                self.line = line
                    .and_then(|line| line.try_into().ok())
                    .filter(|line| *line > 0);
            }
            "retries" => self.retries = take::<Number, _>(value)?.0.unwrap_or_default(),
            "retryAttempts" => walk(&mut self.attempts, value)?,
            "flaky" => self.flaky = take::<Perhaps, _>(value)?.0,
            _ => skip(value)?,
        }
        Ok(())
    }
}

impl Test {
    fn outcome(&self) -> Outcome {
        match self.status.as_str() {
            "passed" => Outcome::Passed,
            "failed" => Outcome::Failed,
            "skipped" | "pending" => Outcome::Skipped,
            _ => {
                let raw = self.raw_status.to_ascii_lowercase();
                let is_red = [
                    "error",
                    "broken",
                    "timed",
                    "timeout",
                    "crash",
                    "interrupt",
                    "abort",
                ]
                .iter()
                .any(|word| raw.contains(word));
                if is_red {
                    Outcome::Error
                } else {
                    Outcome::Skipped
                }
            }
        }
    }

    /// Runs beside the one that decided. That it is not flaky is believed where it passed.
    fn reruns(&self, outcome: Outcome) -> u32 {
        let retries = match (self.flaky, outcome) {
            (Some(false), Outcome::Passed) => 0,
            (Some(true), _) => self.retries.max(self.attempts.0).max(1),
            _ => self.retries.max(self.attempts.0),
        };
        u32::try_from(retries).unwrap_or(u32::MAX)
    }
}

struct Tests<'a, 'b>(&'a mut Found<'b>);

impl Node for Tests<'_, '_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, _: usize, value: D) -> Result<(), D::Error> {
        let test: Test = take(value)?;
        let outcome = test.outcome();
        let reruns = test.reruns(outcome);
        let says = outcome != Outcome::Passed;
        let file = test.file.filter(|_| outcome.is_red());
        let Found {
            limits,
            tests,
            runs,
            ..
        } = &mut *self.0;
        let case = Case {
            suite: &test.suite.0,
            name: &test.name,
            outcome,
            reruns,
            duration_seconds: test.milliseconds.map(|duration| duration / 1000.0),
            message: if says { &test.message } else { "" },
            details: if outcome.is_red() { &test.trace } else { "" },
            hints: Hints {
                case: file.map(|path| Place {
                    path,
                    line: test.line,
                }),
                ..Hints::default()
            },
            ..Case::default()
        };
        tests.add(case, limits, runs);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{file, read};
    use super::super::{FileStatus, Outcome, Test};

    fn document(tests: &str) -> String {
        format!(
            r#"{{"reportFormat": "CTRF", "results": {{"tool": {{"name": "x"}}, "summary": {{"tests": 1}}, "tests": [{tests}]}}}}"#
        )
    }

    fn test(members: &str) -> Test {
        let report = read(document(&format!(r#"{{"name": "a", {members}}}"#)));
        assert_eq!(report.files[0].format.as_deref(), Some("ctrf"));
        assert_eq!(report.files[0].diagnostics, []);
        report.tests[0].clone()
    }

    #[test]
    fn a_failure_has_texts_and_a_place() {
        let test = test(
            r#""status": "failed", "duration": 1500, "message": "no", "trace": "at f (a.js:1:2)", "filePath": "/w/a.js", "line": 7, "extra": {"x": [1]}"#,
        );
        assert_eq!(
            (test.outcome, test.duration_seconds),
            (Outcome::Failed, Some(1.5))
        );
        assert_eq!(test.message.as_deref(), Some("no"));
        assert_eq!(test.details.as_deref(), Some("at f (a.js:1:2)"));
        let place = test.hints.case.expect("a place");
        assert_eq!((place.path.as_str(), place.line), ("/w/a.js", Some(7)));
    }

    #[test]
    fn a_suite_is_a_list_or_a_text() {
        for suite in [r#"["a.js", "cart"]"#, r#""a.js > cart""#] {
            let test = test(&format!(r#""status": "passed", "suite": {suite}"#));
            assert_eq!(test.suite, ["a.js", "cart"]);
        }
        assert_eq!(test(r#""status": "passed", "suite": null"#).suite, [""; 0]);
    }

    #[test]
    fn every_status_is_known() {
        for (status, raw, outcome) in [
            ("passed", "", Outcome::Passed),
            ("failed", "error", Outcome::Failed),
            ("skipped", "", Outcome::Skipped),
            ("pending", "", Outcome::Skipped),
            ("other", "todo", Outcome::Skipped),
            ("other", "timedOut", Outcome::Error),
            ("other", "broken", Outcome::Error),
        ] {
            let test = test(&format!(r#""status": "{status}", "rawStatus": "{raw}""#));
            assert_eq!(test.outcome, outcome, "{status} {raw}");
        }
    }

    #[test]
    fn retries_are_evidence_unless_it_says_otherwise() {
        for (members, runs, flaky) in [
            (
                r#""status": "passed", "retries": 2, "flaky": true"#,
                3,
                true,
            ),
            (r#""status": "passed", "flaky": true"#, 2, true),
            (r#""status": "passed", "retries": 1"#, 2, true),
            (
                r#""status": "passed", "retries": 2, "flaky": false"#,
                1,
                false,
            ),
            (
                r#""status": "failed", "retries": 2, "flaky": false"#,
                3,
                false,
            ),
            (
                r#""status": "passed", "retryAttempts": [{"attempt": 1, "status": "failed"}, {"attempt": 2, "status": "passed"}]"#,
                2,
                true,
            ),
        ] {
            let test = test(members);
            assert_eq!((test.runs, test.flaky), (runs, flaky), "{members}");
        }
    }

    #[test]
    fn a_file_that_ends_early_is_broken_and_keeps_what_was_read() {
        let text =
            document(r#"{"name": "a", "status": "failed"}, {"name": "b", "status": "passed"}"#);
        let end = text.find("\"b\"").expect("a test");
        let report = read(&text.as_bytes()[..end]);
        assert_eq!(report.files[0].status, FileStatus::Partial);
        assert_eq!(report.tests.len(), 1);
        for end in 0..text.len() {
            assert!(file(&text.as_bytes()[..end]).is_broken(), "{end}");
        }
    }

    #[test]
    fn other_json_with_results_is_none() {
        for text in [
            r#"{"results": [{"tests": []}]}"#,
            r#"{"results": {"a": {"tests": []}}}"#,
        ] {
            assert_eq!(file(text).format, None, "{text}");
        }
    }
}
