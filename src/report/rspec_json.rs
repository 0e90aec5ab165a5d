//! `RSpec`'s `--format json`.
//!
//! An example that is pending has been skipped or has failed as expected; what breaks outside of
//! examples (a file that cannot be loaded) is a number and a text before them.

use std::io::Read;

use serde::Deserializer;

use super::case::Case;
use super::collect::{Format, Found};
use super::excerpt::Excerpt;
use super::json_stream::{self, Decimal, Node, Number, Text, keys, skip, take, walk};
use super::model::{Hints, Outcome, Place};
use super::source::Source;

/// `RSpec`.
pub(super) const FORMAT: Format = Format {
    name: "rspec-json",
    is: |file| {
        let has = |name| keys(file.text).any(|key| key == (1, name));
        let is_own = |mark| file.text.contains(mark);
        has("version")
            && has("examples")
            && (is_own("\"full_description\"") || is_own("\"summary_line\""))
    },
    read,
};

fn read(source: Source<&mut dyn Read>, found: &mut Found<'_>) {
    let limits = found.limits;
    let mut report = RSpec {
        found,
        messages: Excerpt::default(),
        outside: 0,
    };
    let notes = json_stream::read(source, limits.details, &mut report);
    let (outside, text) = (report.outside, report.messages.into_text());
    if outside > 0 {
        let words = "errors occurred outside of examples";
        let case = Case {
            name: "(suite)",
            outcome: Outcome::Error,
            made_up: true,
            message: text.trim().lines().next().unwrap_or(words),
            details: text.trim(),
            ..Case::default()
        };
        found.tests.add(case, limits, &mut found.runs);
    }
    found.notes.extend(notes);
}

struct RSpec<'a, 'b> {
    found: &'a mut Found<'b>,
    messages: Excerpt,
    /// Errors outside of examples.
    outside: u64,
}

impl Node for RSpec<'_, '_> {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        match key {
            "messages" => {
                let most = self.found.limits.details;
                walk(&mut Joined(&mut self.messages, most), value)
            }
            "examples" => walk(&mut Examples(self.found), value),
            "summary" => {
                self.outside = take::<Summary, _>(value)?.0;
                Ok(())
            }
            _ => skip(value),
        }
    }
}

/// Strings as the lines of a text.
struct Joined<'a>(&'a mut Excerpt, usize);

impl Node for Joined<'_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, _: usize, value: D) -> Result<(), D::Error> {
        let text = take::<Text, _>(value)?.0.unwrap_or_default();
        self.0.push(&text, self.1);
        self.0.push("\n", self.1);
        Ok(())
    }
}

#[derive(Default)]
struct Summary(u64);

impl Node for Summary {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        if key != "errors_outside_of_examples_count" {
            return skip(value);
        }
        self.0 = take::<Number, _>(value)?.0.unwrap_or_default();
        Ok(())
    }
}

#[derive(Default)]
struct Example {
    description: String,
    full_description: String,
    status: String,
    file: Option<String>,
    line: Option<u32>,
    seconds: Option<f64>,
    pending: String,
    exception: Exception,
}

#[derive(Default)]
struct Exception {
    class: String,
    message: String,
    backtrace: Excerpt,
}

impl Node for Exception {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        match key {
            "class" => self.class = take::<Text, _>(value)?.0.unwrap_or_default(),
            "message" => self.message = take::<Text, _>(value)?.0.unwrap_or_default(),
            "backtrace" => walk(&mut Joined(&mut self.backtrace, 1 << 16), value)?,
            _ => skip(value)?,
        }
        Ok(())
    }
}

impl Node for Example {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        let text = |value| Ok::<_, D::Error>(take::<Text, D>(value)?.0.unwrap_or_default());
        match key {
            "description" => self.description = text(value)?,
            "full_description" => self.full_description = text(value)?,
            "status" => self.status = text(value)?,
            "file_path" => self.file = take::<Text, _>(value)?.0,
            "line_number" => {
                let line = take::<Number, _>(value)?.0;
                self.line = line
                    .and_then(|line| line.try_into().ok())
                    .filter(|line| *line > 0);
            }
            "run_time" => self.seconds = take::<Decimal, _>(value)?.0,
            "pending_message" => self.pending = text(value)?,
            "exception" => walk(&mut self.exception, value)?,
            _ => skip(value)?,
        }
        Ok(())
    }
}

struct Examples<'a, 'b>(&'a mut Found<'b>);

impl Node for Examples<'_, '_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, _: usize, value: D) -> Result<(), D::Error> {
        let example: Example = take(value)?;
        let outcome = match example.status.as_str() {
            "passed" => Outcome::Passed,
            "failed" => Outcome::Failed,
            "pending" => Outcome::Skipped,
            _ => Outcome::Error,
        };
        // What is around it says its description as well, unless there is nothing around it.
        let suite = example
            .full_description
            .strip_suffix(&example.description)
            .unwrap_or_default()
            .trim_end();
        let suite = [suite.to_owned()];
        let file = example
            .file
            .as_deref()
            .map(|file| file.strip_prefix("./").unwrap_or(file));
        let mut exception = example.exception;
        let mut hints = Hints::default();
        if outcome.is_red() {
            hints.case = file.map(|path| Place {
                path: path.to_owned(),
                line: example.line,
            });
            if exception.message.trim().is_empty() {
                exception.message = exception.class;
            }
        }
        let backtrace = exception.backtrace.into_text();
        let Found {
            limits,
            tests,
            runs,
            ..
        } = &mut *self.0;
        let case = Case {
            suite: if suite.iter().all(String::is_empty) {
                &[]
            } else {
                &suite
            },
            class: file,
            name: &example.description,
            outcome,
            duration_seconds: example.seconds,
            message: match outcome {
                Outcome::Passed => "",
                Outcome::Skipped => &example.pending,
                _ => exception.message.trim_matches('\n'),
            },
            details: if outcome.is_red() { &backtrace } else { "" },
            hints,
            ..Case::default()
        };
        tests.add(case, limits, runs);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{file, read};
    use super::super::{FileStatus, Outcome};

    const EXAMPLES: &str = r#"{"version": "3.12.0", "seed": 1, "examples": [
{"id": "./spec/a_spec.rb[1:1]", "description": "passes", "full_description": "cart passes", "status": "passed", "file_path": "./spec/a_spec.rb", "line_number": 3, "run_time": 0.5, "pending_message": null},
{"id": "./spec/a_spec.rb[1:2]", "description": "fails", "full_description": "cart #add fails", "status": "failed", "file_path": "./spec/a_spec.rb", "line_number": 7, "run_time": 1e-05, "pending_message": null, "exception": {"class": "E", "message": "\nno\n", "backtrace": ["/gems/x.rb:1:in `f'", "./spec/a_spec.rb:8:in `g'"]}},
{"id": "./spec/a_spec.rb[1:3]", "description": "waits", "full_description": "cart waits", "status": "pending", "file_path": "./spec/a_spec.rb", "line_number": 9, "run_time": 0, "pending_message": "later", "exception": {"class": "E", "message": "no", "backtrace": null}}
], "summary": {"duration": 0.03, "example_count": 3, "errors_outside_of_examples_count": 0}, "summary_line": "3 examples"}"#;

    #[test]
    fn examples_are_tests() {
        let report = read(EXAMPLES);
        assert_eq!(report.files[0].format.as_deref(), Some("rspec-json"));
        assert_eq!(report.files[0].diagnostics, []);
        let found: Vec<_> = report
            .tests
            .iter()
            .map(|test| {
                (
                    test.suite[0].as_str(),
                    test.name.as_str(),
                    test.outcome,
                    test.message.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                ("cart", "passes", Outcome::Passed, None),
                ("cart #add", "fails", Outcome::Failed, Some("no")),
                ("cart", "waits", Outcome::Skipped, Some("later")),
            ]
        );
        let failed = &report.tests[1];
        assert_eq!(failed.class.as_deref(), Some("spec/a_spec.rb"));
        let details = failed.details.as_deref();
        assert_eq!(
            details,
            Some("/gems/x.rb:1:in `f'\n./spec/a_spec.rb:8:in `g'")
        );
        let place = failed.hints.case.clone().expect("a place");
        assert_eq!(
            (place.path.as_str(), place.line),
            ("spec/a_spec.rb", Some(7))
        );
    }

    #[test]
    fn what_breaks_outside_of_examples_is_an_error() {
        let report = read(
            r#"{"version":"3.12.0","messages":["\nAn error occurred while loading ./spec/b_spec.rb.\n# ./spec/b_spec.rb:1:in `require'\n"],"examples":[],"summary":{"example_count":0,"errors_outside_of_examples_count":1},"summary_line":"0 examples"}"#,
        );
        assert_eq!(
            (report.files[0].status, report.files[0].runs.total),
            (FileStatus::Ok, 0)
        );
        let test = &report.tests[0];
        assert_eq!(
            (test.name.as_str(), test.outcome),
            ("(suite)", Outcome::Error)
        );
        let message = test.message.as_deref();
        assert_eq!(
            message,
            Some("An error occurred while loading ./spec/b_spec.rb.")
        );
    }

    #[test]
    fn a_file_that_ends_early_is_broken_and_keeps_what_was_read() {
        let end = EXAMPLES.find("\"waits\"").expect("an example");
        let report = read(&EXAMPLES.as_bytes()[..end]);
        assert_eq!(report.files[0].status, FileStatus::Partial);
        assert_eq!(report.tests.len(), 2);
        for end in 0..EXAMPLES.len() {
            assert!(file(&EXAMPLES.as_bytes()[..end]).is_broken(), "{end}");
        }
    }

    #[test]
    fn other_json_with_examples_is_none() {
        assert_eq!(file(r#"{"version": 1, "examples": []}"#).format, None);
    }
}
