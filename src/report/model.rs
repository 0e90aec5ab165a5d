//! What reports say, whatever tool wrote them.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::coverage::Coverage;

/// How a test ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It did what was expected.
    #[default]
    Passed,
    /// It found what it looks for.
    Failed,
    /// It broke before it could tell.
    Error,
    /// It did not run, or its failure was expected.
    Skipped,
}

impl Outcome {
    /// Whether the test speaks against the build.
    pub fn is_red(self) -> bool {
        matches!(self, Self::Failed | Self::Error)
    }

    /// The greater one wins when runs become one test. A test that passed somewhere was not
    /// skipped, so skipped is the least.
    pub(super) fn severity(self) -> u8 {
        match self {
            Self::Skipped => 0,
            Self::Passed => 1,
            Self::Failed => 2,
            Self::Error => 3,
        }
    }
}

/// A line of a file of the repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Location {
    /// From the root of the repository, with `/`.
    pub path: String,
    /// From 1.
    pub line: u32,
}

/// A place as a report writes it: not yet a file of the repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// As written.
    pub path: String,
    /// From 1, when it is known.
    pub line: Option<u32>,
}

/// A line of a job's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The job's key.
    pub job: String,
    /// What the step is called in addresses.
    pub step: String,
    /// Within the step, from 1.
    pub line: u64,
}

impl LogLine {
    /// The part of the line's address that comes after the build's.
    pub fn address(&self) -> String {
        format!("/jobs/{}#{}:L{}", self.job, self.step, self.line)
    }
}

/// What a report offers for finding the place of a failure, in the order of trust.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hints {
    /// File and line of the failure element.
    pub failure: Option<Place>,
    /// File and line of the test case.
    pub case: Option<Place>,
    /// File of the suite.
    pub suite: Option<Place>,
    /// The report file itself: a file of the same module is meant rather than one of another.
    pub near: Option<String>,
}

impl Hints {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A logical test: all its runs in one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// 32 lower-case hex digits over suite path, class and name; see [`test_id`].
    pub id: String,
    /// Names of the suites around it, the outermost first.
    pub suite: Vec<String>,
    /// The class, module or file it belongs to.
    pub class: Option<String>,
    /// Its own name, empty where the report has none.
    pub name: String,
    /// The worst of its runs, or of the last where there is evidence of a retry.
    pub outcome: Outcome,
    /// It passed, and there is evidence of a run before that did not.
    pub flaky: bool,
    /// How often it was executed, as far as the reports say.
    pub runs: u32,
    /// Over all runs, in seconds, finite and not negative.
    pub duration_seconds: Option<f64>,
    /// What went wrong in short, or why it was skipped.
    pub message: Option<String>,
    /// The whole text of the failures.
    pub details: Option<String>,
    /// Where the failure is, after [`Report::locate`].
    pub location: Option<Location>,
    /// Where the job's log speaks of the failure, where somebody has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogLine>,
    /// What [`Report::locate`] works with.
    #[serde(default, skip_serializing_if = "Hints::is_empty")]
    pub hints: Hints,
}

/// The id of a test: the first half of SHA-256 over its names, each with its length before it,
/// so that no two lists of names read the same.
pub fn test_id(suite: &[String], class: Option<&str>, name: &str) -> String {
    fn add(hash: &mut Sha256, text: &str) {
        hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(text.as_bytes());
    }
    let mut hash = Sha256::new();
    hash.update(u64::try_from(suite.len()).unwrap_or(u64::MAX).to_be_bytes());
    for part in suite {
        add(&mut hash, part);
    }
    hash.update([u8::from(class.is_some())]);
    add(&mut hash, class.unwrap_or_default());
    add(&mut hash, name);
    let half = hash.finalize().first_chunk().copied().unwrap_or_default();
    format!("{:032x}", u128::from_be_bytes(half))
}

/// Test cases as one file has them written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All of them.
    pub total: u64,
    /// Passed ones.
    pub passed: u64,
    /// Failed ones.
    pub failed: u64,
    /// Broken ones.
    pub errors: u64,
    /// Skipped ones.
    pub skipped: u64,
}

impl Counts {
    /// Counts one case.
    pub(super) fn add(&mut self, outcome: Outcome) {
        self.total += 1;
        *match outcome {
            Outcome::Passed => &mut self.passed,
            Outcome::Failed => &mut self.failed,
            Outcome::Error => &mut self.errors,
            Outcome::Skipped => &mut self.skipped,
        } += 1;
    }
}

/// How much of a file could be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileStatus {
    /// All of it.
    Ok,
    /// Some of it: it is broken, or holds totals without their lines.
    Partial,
    /// Nothing.
    Unreadable,
}

/// How bad a [`Diagnostic`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiagnosticSeverity {
    /// The file is broken.
    Error,
    /// Odd, but nothing is lost.
    Warning,
}

/// Something to say about a place in a report file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: DiagnosticSeverity,
    /// From 1.
    pub line: u64,
    /// In characters, from 1.
    pub column: u64,
    /// One sentence without its full stop.
    pub message: String,
}

impl Diagnostic {
    /// The file is broken there.
    pub(super) fn error((line, column): (u64, u64), message: impl Into<String>) -> Self {
        Self {
            severity: DiagnosticSeverity::Error,
            line,
            column,
            message: message.into(),
        }
    }

    /// Something is odd there.
    pub(super) fn warning((line, column): (u64, u64), message: impl Into<String>) -> Self {
        Self {
            severity: DiagnosticSeverity::Warning,
            line,
            column,
            message: message.into(),
        }
    }
}

/// One report file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileReport {
    /// As it was given.
    pub path: String,
    /// Name of the format, where it was recognised.
    pub format: Option<String>,
    /// How much of it could be used.
    pub status: FileStatus,
    /// Test cases as written in it.
    pub runs: Counts,
    /// What there is to say about it, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

impl FileReport {
    /// Whether it has an error. Such a file is never green.
    pub fn is_broken(&self) -> bool {
        self.status == FileStatus::Unreadable
            || self
                .diagnostics
                .iter()
                .any(|one| one.severity == DiagnosticSeverity::Error)
    }
}

/// Numbers over the tests of a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Logical tests.
    pub tests: u64,
    /// Their executions.
    pub runs: u64,
    /// Passed tests, flaky ones among them.
    pub passed: u64,
    /// Failed tests.
    pub failed: u64,
    /// Broken tests.
    pub errors: u64,
    /// Skipped tests.
    pub skipped: u64,
    /// Tests that passed after a run that did not.
    pub flaky: u64,
    /// Sum over all runs.
    pub duration_seconds: f64,
}

impl Totals {
    /// Adds numbers over other tests.
    fn join(&mut self, other: &Self) {
        self.tests += other.tests;
        self.runs += other.runs;
        self.passed += other.passed;
        self.failed += other.failed;
        self.errors += other.errors;
        self.skipped += other.skipped;
        self.flaky += other.flaky;
        self.duration_seconds += other.duration_seconds;
    }

    /// Counts a test with its runs and the time of all of them.
    pub(super) fn add(&mut self, outcome: Outcome, runs: u32, flaky: bool, seconds: Option<f64>) {
        self.tests += 1;
        self.runs += u64::from(runs);
        *match outcome {
            Outcome::Passed => &mut self.passed,
            Outcome::Failed => &mut self.failed,
            Outcome::Error => &mut self.errors,
            Outcome::Skipped => &mut self.skipped,
        } += 1;
        self.flaky += u64::from(flaky);
        self.duration_seconds += seconds.unwrap_or_default();
    }
}

/// What all report files of a job, or of several, say together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The files in the order in which they were read.
    pub files: Vec<FileReport>,
    /// The tests in the order in which they were first seen.
    pub tests: Vec<Test>,
    /// Tests that are not in the list: see [`super::Collector::brief`].
    #[serde(skip)]
    pub others: Totals,
    /// Coverage, where a file had any.
    pub coverage: Option<Coverage>,
}

impl Report {
    /// Counts the tests.
    pub fn totals(&self) -> Totals {
        let mut totals = self.others;
        for test in &self.tests {
            totals.add(test.outcome, test.runs, test.flaky, test.duration_seconds);
        }
        totals
    }

    /// The files that must not be taken for green.
    pub fn broken_files(&self) -> impl Iterator<Item = &FileReport> {
        self.files.iter().filter(|file| file.is_broken())
    }

    /// Whether there is such a file.
    pub fn has_broken_files(&self) -> bool {
        self.broken_files().next().is_some()
    }

    /// The reports of several jobs as one: a test that several have is one test with all their
    /// runs and the worst of their outcomes, and coverage is that of all together.
    pub fn join<'a>(reports: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut all = Self::default();
        let mut known: HashMap<&str, usize> = HashMap::new();
        for report in reports {
            all.files.extend_from_slice(&report.files);
            all.others.join(&report.others);
            for test in &report.tests {
                let before = known
                    .get(test.id.as_str())
                    .and_then(|at| all.tests.get_mut(*at));
                if let Some(before) = before {
                    before.absorb(test.clone());
                } else {
                    known.insert(&test.id, all.tests.len());
                    all.tests.push(test.clone());
                }
            }
            if let Some(coverage) = &report.coverage {
                match &mut all.coverage {
                    Some(before) => before.merge(coverage.clone()),
                    None => all.coverage = Some(coverage.clone()),
                }
            }
        }
        all
    }
}

impl Test {
    /// Class and name, as people write them.
    pub fn full_name(&self) -> String {
        match &self.class {
            Some(class) if !class.is_empty() => format!("{class} {}", self.name),
            _ => self.name.clone(),
        }
    }

    /// Takes in further runs of the same test; what is said is said by the worst.
    pub(super) fn absorb(&mut self, other: Self) {
        let runs = self.runs.saturating_add(other.runs);
        let duration_seconds = match (self.duration_seconds, other.duration_seconds) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        let flaky = self.flaky || other.flaky;
        if other.outcome.severity() > self.outcome.severity() {
            *self = other;
        }
        self.runs = runs;
        self.duration_seconds = duration_seconds;
        self.flaky = flaky && self.outcome == Outcome::Passed;
    }
}
