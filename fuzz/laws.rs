//! What has to hold for any bytes. The fuzzer looks for bytes where it does not; the tests of the
//! project hold the files of `corpus` against it.

use std::io::Read;

use super::report::json::{Document, Extras};
use super::report::{Collector, Diff, FileStatus, Index, Limits, Outcome, Report};

/// Small, so that few bytes reach them.
fn limits() -> Limits {
    Limits {
        file: 1 << 20,
        longest: 8 << 10,
        tests: 50,
        name: 40,
        message: 60,
        details: 200,
        texts: 4 << 10,
        covered_files: 10,
        covered_lines: 500,
    }
}

/// Gives its bytes a few at a time, as a slow pipe does.
struct Slowly<'a> {
    rest: &'a [u8],
    step: usize,
}

impl Read for Slowly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.step = self.step % 7 + 1;
        let amount = self.step.min(buffer.len()).min(self.rest.len());
        let (now, rest) = self.rest.split_at(amount);
        buffer[..amount].copy_from_slice(now);
        self.rest = rest;
        Ok(amount)
    }
}

fn read(reader: impl Read, limits: Limits, brief: bool) -> Report {
    let mut collector = Collector::new(limits);
    if brief {
        collector = collector.brief();
    }
    collector.read("a/report", reader);
    collector.finish()
}

/// Whether the beginning of the bytes is of this family; the others have their own target.
pub fn is_of(family: &str, bytes: &[u8]) -> bool {
    let text = bytes
        .strip_prefix(b"\xEF\xBB\xBF")
        .unwrap_or(bytes)
        .trim_ascii_start();
    family
        == match text.first() {
            Some(b'<') => "xml",
            Some(b'{' | b'[') => "json",
            // UTF-16 may be anything.
            _ if text.contains(&0) => return true,
            _ => "lines",
        }
}

/// A file is read to its end whatever is in it, the same way however its bytes come, and what is
/// said of it fits together.
pub fn report(bytes: &[u8]) {
    let mut report = read(bytes, limits(), false);
    assert_eq!(
        report,
        read(
            Slowly {
                rest: bytes,
                step: 0
            },
            limits(),
            false
        )
    );
    let file = &report.files[0];
    for one in &file.diagnostics {
        assert!(
            one.line > 0 && one.column > 0 && !one.message.is_empty(),
            "{one:?}"
        );
    }
    if file.status == FileStatus::Unreadable {
        assert!(file.is_broken() && !file.diagnostics.is_empty());
    }
    let (runs, totals) = (file.runs, report.totals());
    assert_eq!(
        runs.total,
        runs.passed + runs.failed + runs.errors + runs.skipped
    );
    assert_eq!(
        totals.tests,
        totals.passed + totals.failed + totals.errors + totals.skipped
    );
    assert!(totals.flaky <= totals.passed && totals.runs >= totals.tests);
    assert!(totals.duration_seconds.is_finite() && totals.duration_seconds >= 0.0);
    let failing = runs.failed + runs.errors;
    let red = report.tests.iter().any(|test| test.outcome.is_red());
    assert!(failing == 0 || red || report.tests.iter().any(|test| test.flaky) || file.is_broken());
    for test in &report.tests {
        assert!(test.runs > 0 && test.id.len() == 32);
        assert!(!test.flaky || test.outcome == Outcome::Passed);
    }
    if let Some(coverage) = &report.coverage {
        for share in [coverage.lines(), coverage.branches()] {
            assert!(share.covered <= share.total);
        }
    }
    let brief = read(bytes, limits(), true).totals();
    assert_eq!(
        (brief.tests, brief.runs, brief.failed),
        (totals.tests, totals.runs, totals.failed)
    );
    let files = ["a.py", "src/a.py", "src/b/c.rs", "x/Foo.java", "y/Foo.java"];
    report.locate(&Index::new(files.map(str::to_owned)));
    for place in report
        .tests
        .iter()
        .filter_map(|test| test.location.as_ref())
    {
        assert!(place.line > 0 && files.contains(&place.path.as_str()));
    }
    let stored = serde_json::to_string(&report).unwrap();
    // Numbers in JSON are decimal, so durations may differ in their last bit.
    let again: Report = serde_json::from_str(&stored).unwrap();
    assert_eq!(again.totals().tests, report.totals().tests);
    serde_json::to_string(&Document::new(report, Extras::default())).unwrap();
}

/// The text of a failure leads to a file of the repository or nowhere.
pub fn place(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (head, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let escape = |text: &str| {
        text.chars()
            .filter(|char| *char >= ' ' || "\n\t".contains(*char))
            .collect::<String>()
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('\'', "&apos;")
    };
    let junit = format!(
        "<testsuite><testcase classname='{}' name='x' file='{}'><failure message='{}'>{}</failure></testcase></testsuite>",
        escape(head),
        escape(head),
        escape(head),
        escape(rest)
    );
    report(junit.as_bytes());
}

/// A diff adds lines from 1 only.
pub fn diff(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let diff = Diff::parse(&text);
    for path in ["a", "src/a.rs", "a b"] {
        let mut last = None;
        for line in diff.added(path) {
            assert!(diff.contains(path, line) && Some(line) > last);
            last = Some(line);
        }
    }
}
