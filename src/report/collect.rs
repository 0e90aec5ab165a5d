//! Reading the report files of a job, whatever they are.

use std::io::Read;

use super::case::Tests;
use super::coverage::Coverage;
use super::model::{Counts, Diagnostic, FileReport, FileStatus, Report};
use super::source::{self, Source};
use super::{
    clover, cobertura, codecov_json, coverage_py, ctrf, dart, gcovr, go_cover, go_test, istanbul,
    jacoco, junit, lcov, llvm, mocha_json, nunit, opencover, rspec_json, simplecov, sonarqube, tap,
    trx, xml, xunit_net,
};
use crate::text;

/// How much is read and kept. Reports come from strangers.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of a file.
    pub file: u64,
    /// Bytes of a single text or element in a file; logs of tests are passed over and not meant.
    pub longest: usize,
    /// Tests of a job.
    pub tests: usize,
    /// Characters of a name.
    pub name: usize,
    /// Bytes of a message.
    pub message: usize,
    /// Bytes of the details of a test.
    pub details: usize,
    /// Bytes of all messages and details, after which each is kept much shorter.
    pub texts: usize,
    /// Files with coverage.
    pub covered_files: usize,
    /// Lines with coverage over all files.
    pub covered_lines: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file: 4 << 30,
            longest: 16 << 20,
            tests: 500_000,
            name: 1_000,
            message: 8 << 10,
            details: 64 << 10,
            texts: 32 << 20,
            covered_files: 100_000,
            covered_lines: 5_000_000,
        }
    }
}

/// What a format puts its findings into.
pub(super) struct Found<'a> {
    pub(super) limits: &'a Limits,
    pub(super) tests: &'a mut Tests,
    pub(super) runs: Counts,
    pub(super) coverage: Coverage,
    pub(super) notes: Vec<Diagnostic>,
}

/// The beginning of a file, as formats are told apart by it.
pub(super) struct Beginning<'a> {
    /// The first 64 KiB, decoded.
    pub(super) text: &'a str,
    /// The root element, where it is XML.
    pub(super) root: Option<xml::Root<'a>>,
}

/// A kind of report. Each is described in its own file.
pub(super) struct Format {
    /// As the document of the report names it.
    pub(super) name: &'static str,
    /// Whether a file that begins so is one.
    pub(super) is: fn(&Beginning<'_>) -> bool,
    /// Reads a whole file.
    pub(super) read: fn(Source<&mut dyn Read>, &mut Found<'_>),
}

/// Every format that is known. The first that recognises a file reads it.
const FORMATS: &[&Format] = &[
    &junit::FORMAT,
    // The root of these is the same, and Cobertura has no mark that all who write it put there.
    &clover::FORMAT,
    &sonarqube::FORMAT,
    &cobertura::FORMAT,
    &lcov::FORMAT,
    &jacoco::FORMAT,
    &go_cover::FORMAT,
    &istanbul::FORMAT,
    &llvm::FORMAT,
    &coverage_py::FORMAT,
    &simplecov::RESULTSET,
    &simplecov::FORMAT,
    &codecov_json::FORMAT,
    &opencover::FORMAT,
    &gcovr::FORMAT,
    &istanbul::SUMMARY,
    &trx::FORMAT,
    &nunit::FORMAT_3,
    &nunit::FORMAT_2,
    &xunit_net::FORMAT,
    &go_test::FORMAT,
    &mocha_json::FORMAT,
    &mocha_json::MOCHAWESOME,
    &rspec_json::FORMAT,
    &ctrf::FORMAT,
    &dart::FORMAT,
    // Last, since hardly anything begins as it must.
    &tap::FORMAT,
];

impl Beginning<'_> {
    /// Whether the root element has one of these names.
    pub(super) fn root_is(&self, names: &[&str]) -> bool {
        self.root
            .as_ref()
            .is_some_and(|root| names.contains(&root.name))
    }
}

/// Reads the report files of one job and puts them together.
#[derive(Debug)]
pub struct Collector {
    limits: Limits,
    files: Vec<FileReport>,
    tests: Tests,
    coverage: Coverage,
}

impl Collector {
    /// Has read nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            files: Vec::new(),
            tests: Tests::default(),
            coverage: Coverage::default(),
        }
    }

    /// Passed and skipped tests that have nothing to say are counted, but not kept by name, but for
    /// the slowest: a report of millions of them needs little memory then.
    #[must_use]
    pub fn brief(mut self) -> Self {
        self.tests.brief = true;
        self
    }

    /// Reads a file to its end. Whatever is wrong with it is said in its [`FileReport`].
    pub fn read(&mut self, path: &str, mut reader: impl Read) -> FileStatus {
        let report = self.file(path, &mut reader);
        let status = report.status;
        self.files.push(report);
        status
    }

    fn file(&mut self, path: &str, reader: &mut dyn Read) -> FileReport {
        let mut report = FileReport {
            path: path.to_owned(),
            format: None,
            status: FileStatus::Unreadable,
            runs: Counts::default(),
            diagnostics: Vec::new(),
        };
        let mut head = Vec::new();
        let most = u64::try_from(source::CHUNK).unwrap_or(u64::MAX);
        if let Err(error) = (&mut *reader).take(most).read_to_end(&mut head) {
            let text = format!("the file could not be read: {error}");
            report.diagnostics.push(Diagnostic::error((1, 1), text));
            return report;
        }
        let text = source::beginning(&head);
        let beginning = Beginning {
            text: &text,
            root: xml::root(&text),
        };
        let Some(format) = FORMATS.iter().find(|format| (format.is)(&beginning)) else {
            report.diagnostics.push(unknown(&beginning));
            return report;
        };
        report.format = Some(format.name.to_owned());
        self.tests.near = path.contains('/').then(|| path.to_owned());
        // Bazel: `test.xml` beside it is of the last attempt.
        self.tests.are_attempts = path.split('/').any(|folder| folder == "test_attempts");
        let mut found = Found {
            limits: &self.limits,
            tests: &mut self.tests,
            runs: Counts::default(),
            coverage: Coverage::default(),
            notes: Vec::new(),
        };
        let mut whole = head.as_slice().chain(reader);
        let source = Source::new(
            &mut whole as &mut dyn Read,
            &head,
            self.limits.longest,
            self.limits.file,
        );
        (format.read)(source, &mut found);
        let Found {
            runs,
            coverage,
            notes,
            ..
        } = found;
        report.runs = runs;
        report.diagnostics = notes;
        let nothing = runs.total == 0 && coverage.is_empty();
        let partial = coverage.declared.is_some()
            || coverage
                .files
                .iter()
                .any(|file| file.lines.is_empty() && file.declared.is_some());
        report.status = FileStatus::Ok;
        report.status = match (report.is_broken(), nothing) {
            (true, true) => FileStatus::Unreadable,
            (true, false) => FileStatus::Partial,
            (false, _) if partial => FileStatus::Partial,
            (false, _) => FileStatus::Ok,
        };
        self.coverage.merge(coverage);
        report
    }

    /// What all files said together.
    pub fn finish(mut self) -> Report {
        let left_out = self.tests.left_out;
        if left_out > 0
            && let Some(file) = self.files.last_mut()
        {
            file.diagnostics.push(Diagnostic::error(
                (1, 1),
                format!(
                    "there are more than {} tests; {} are left out",
                    self.limits.tests,
                    text::plural(left_out, "test case")
                ),
            ));
        }
        let (tests, others) = self.tests.finish();
        Report {
            files: self.files,
            tests,
            others,
            coverage: (!self.coverage.is_empty()).then_some(self.coverage),
        }
    }
}

/// Whether a file that begins so is XML or JSON of another kind, that a search for reports passes
/// over. What is empty or broken, or neither, may have been to be one.
pub fn is_other_document(head: &[u8]) -> bool {
    let text = source::beginning(head);
    let file = Beginning {
        text: &text,
        root: xml::root(&text),
    };
    (file.root.is_some() || text.trim_start().starts_with(['{', '[']))
        && !FORMATS.iter().any(|format| (format.is)(&file))
}

fn unknown(file: &Beginning<'_>) -> Diagnostic {
    let start = file.text.trim_start();
    let text = if file.text.is_empty() {
        "the file is empty".to_owned()
    } else if start.is_empty() {
        "there is nothing but space in the file".to_owned()
    } else if start.starts_with(['{', '[']) {
        "this is JSON, and no known kind of report".to_owned()
    } else if let Some(root) = &file.root {
        format!(
            "no known kind of report has <{}> as its root element",
            root.name
        )
    } else if start.starts_with('<') {
        "there is no root element".to_owned()
    } else {
        "this is no known kind of report".to_owned()
    };
    Diagnostic::error((1, 1), text)
}
