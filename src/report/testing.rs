//! Short ways to reports, for tests.

use super::{Collector, Coverage, FileReport, Limits, Report, Test};

/// A report of one file.
pub(super) fn read(content: impl AsRef<[u8]>) -> Report {
    reads(&[content.as_ref()])
}

/// A report of several files.
pub(super) fn reads(contents: &[&[u8]]) -> Report {
    let mut collector = Collector::new(Limits::default());
    for (number, content) in contents.iter().enumerate() {
        collector.read(&format!("{number}.xml"), *content);
    }
    collector.finish()
}

/// A report of a JUnit file that has nothing wrong.
pub(super) fn junit(content: &str) -> Report {
    let report = read(content);
    assert_eq!(
        report.files[0].format.as_deref(),
        Some("junit"),
        "{content}"
    );
    assert_eq!(report.files[0].diagnostics, [], "{content}");
    report
}

/// The only test of a JUnit file that has nothing wrong.
pub(super) fn test(content: &str) -> Test {
    let report = junit(content);
    assert_eq!(report.tests.len(), 1, "{:?}", report.tests);
    report.tests[0].clone()
}

/// What is said about the only file.
pub(super) fn file(content: impl AsRef<[u8]>) -> FileReport {
    read(content).files[0].clone()
}

/// The coverage in a file.
pub(super) fn coverage(content: &str) -> Coverage {
    read(content).coverage.expect("coverage")
}
