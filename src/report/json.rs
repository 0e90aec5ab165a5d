//! The report as `herald report --format json` prints it.
//!
//! Every key is always there; what is not known is `null`. Only `build` is there or not.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::compare::Comparison;
use super::coverage::{FileCoverage, Share};
use super::model::{self, FileReport, Location, Outcome, Report, Totals};

/// The version of the document.
pub const VERSION: u32 = 1;

/// The verdict over a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// Nothing speaks against it.
    Success,
    /// A red test, a broken file, or a gate that is not passed.
    Failure,
    /// There is nothing to judge.
    Neutral,
}

/// A condition that a report has to meet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// For example `coverage.patch`.
    pub name: String,
    /// Whether it is met; `Neutral` when that cannot be told.
    pub status: Conclusion,
    /// What is, `null` when it is not known.
    pub actual: Value,
    /// What has to be.
    pub required: Value,
    /// Both in words.
    pub text: String,
}

/// What is told beside the report itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extras {
    /// Against an earlier report.
    pub comparison: Option<Comparison>,
    /// Coverage of the lines that the change adds.
    pub patch: Option<Share>,
    /// Conditions and how they turned out.
    pub gates: Vec<Gate>,
    /// What is known of the build (`herald run`).
    pub build: Option<Value>,
    /// Leaves passed and skipped tests out of `tests`.
    pub failures_only: bool,
}

/// The whole document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// [`VERSION`].
    pub version: u32,
    /// The verdict.
    pub conclusion: Conclusion,
    /// Over all tests, also those that are left out of `tests`.
    pub totals: Totals,
    /// The files in the order in which they were read.
    pub files: Vec<FileReport>,
    /// The tests.
    pub tests: Vec<Test>,
    /// Coverage, where there was any.
    pub coverage: Option<Coverage>,
    /// Changes since an earlier report.
    pub comparison: Option<Comparison>,
    /// Conditions.
    pub gates: Vec<Gate>,
    /// What is known of the build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Value>,
}

/// A test in the document; see [`model::Test`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the model")]
pub struct Test {
    pub id: String,
    pub suite: Vec<String>,
    pub class: Option<String>,
    pub name: String,
    pub outcome: Outcome,
    pub flaky: bool,
    pub runs: u32,
    pub duration_seconds: Option<f64>,
    pub message: Option<String>,
    pub details: Option<String>,
    pub location: Option<Location>,
}

/// Coverage in the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Over all files.
    pub lines: Share,
    /// Over all files.
    pub branches: Share,
    /// Of the lines that the change adds.
    pub patch: Option<Share>,
    /// File by file.
    pub files: Vec<File>,
}

/// Coverage of a file in the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// As the report has it.
    pub path: String,
    /// The file of the repository.
    pub resolved: Option<String>,
    /// Its lines.
    pub lines: Share,
    /// Its branches.
    pub branches: Share,
}

impl Document {
    /// Puts a report into the shape of the document.
    pub fn new(report: Report, extras: Extras) -> Self {
        let totals = report.totals();
        let red = totals.failed + totals.errors > 0
            || report.has_broken_files()
            || extras
                .gates
                .iter()
                .any(|gate| gate.status == Conclusion::Failure);
        let conclusion = if red {
            Conclusion::Failure
        } else if totals.tests == 0 && report.coverage.is_none() {
            Conclusion::Neutral
        } else {
            Conclusion::Success
        };
        Self {
            version: VERSION,
            conclusion,
            totals,
            files: report.files,
            tests: report
                .tests
                .into_iter()
                .filter(|test| !extras.failures_only || test.outcome.is_red())
                .map(Test::from)
                .collect(),
            coverage: report.coverage.map(|coverage| Coverage {
                lines: coverage.lines(),
                branches: coverage.branches(),
                patch: extras.patch,
                files: coverage.files.into_iter().map(File::from).collect(),
            }),
            comparison: extras.comparison,
            gates: extras.gates,
            build: extras.build,
        }
    }
}

impl From<model::Test> for Test {
    fn from(test: model::Test) -> Self {
        Self {
            id: test.id,
            suite: test.suite,
            class: test.class,
            name: test.name,
            outcome: test.outcome,
            flaky: test.flaky,
            runs: test.runs,
            duration_seconds: test.duration_seconds,
            message: test.message,
            details: test.details,
            location: test.location,
        }
    }
}

impl From<FileCoverage> for File {
    fn from(file: FileCoverage) -> Self {
        Self {
            lines: file.line_share(),
            branches: file.branch_share(),
            path: file.path,
            resolved: file.resolved,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::read;
    use super::super::{Collector, Limits, Report};
    use super::{Conclusion, Document, Extras};

    #[test]
    fn the_document_is_that_of_the_contract() {
        let report =
            read("<testsuite name='s'><testcase classname='c' name='n' time='1'/></testsuite>");
        let document = Document::new(report, Extras::default());
        assert_eq!(
            serde_json::to_value(&document).expect("JSON"),
            json!({
                "version": 1,
                "conclusion": "success",
                "totals": {"tests": 1, "runs": 1, "passed": 1, "failed": 0, "errors": 0,
                    "skipped": 0, "flaky": 0, "duration_seconds": 1.0},
                "files": [{"path": "0.xml", "format": "junit", "status": "ok",
                    "runs": {"total": 1, "passed": 1, "failed": 0, "errors": 0, "skipped": 0},
                    "diagnostics": []}],
                "tests": [{"id": super::super::test_id(&["s".to_owned()], Some("c"), "n"),
                    "suite": ["s"], "class": "c", "name": "n", "outcome": "passed", "flaky": false,
                    "runs": 1, "duration_seconds": 1.0, "message": null, "details": null,
                    "location": null}],
                "coverage": null,
                "comparison": null,
                "gates": [],
            })
        );
    }

    #[test]
    fn coverage_is_told_by_file() {
        let report = read("SF:a.rs\nDA:1,1\nDA:2,0\nend_of_record\n");
        let document = Document::new(report, Extras::default());
        assert_eq!(
            serde_json::to_value(document.coverage).expect("JSON"),
            json!({"lines": {"covered": 1, "total": 2}, "branches": {"covered": 0, "total": 0},
                "patch": null, "files": [{"path": "a.rs", "resolved": null,
                    "lines": {"covered": 1, "total": 2}, "branches": {"covered": 0, "total": 0}}]})
        );
    }

    #[test]
    fn failures_can_be_alone_but_all_are_counted() {
        let report = read(
            "<testsuite><testcase name='a'/><testcase name='b'><failure/></testcase></testsuite>",
        );
        let extras = Extras {
            failures_only: true,
            build: Some(json!({"number": 1})),
            ..Extras::default()
        };
        let document = Document::new(report, extras);
        assert_eq!(document.conclusion, Conclusion::Failure);
        assert_eq!((document.tests.len(), document.totals.tests), (1, 2));
        assert_eq!(
            serde_json::to_value(&document).expect("JSON")["build"]["number"],
            1
        );
    }

    #[test]
    fn nothing_is_neutral_and_a_broken_file_is_not() {
        let conclusion = |report: Report| Document::new(report, Extras::default()).conclusion;
        assert_eq!(conclusion(Report::default()), Conclusion::Neutral);
        let mut collector = Collector::new(Limits::default());
        collector.read("x", &b""[..]);
        assert_eq!(conclusion(collector.finish()), Conclusion::Failure);
    }
}
