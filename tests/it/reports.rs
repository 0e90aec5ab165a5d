//! Reports of real tools: every outcome, and every failure on its line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use herald::report::{Collector, Index, Limits, Outcome, Report};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/report")
}

fn read(name: &str) -> Report {
    let mut collector = Collector::new(Limits::default());
    let file = std::fs::File::open(fixtures().join(name)).unwrap();
    collector.read(name, file);
    let mut report = collector.finish();
    let files = [
        "shop/__init__.py",
        "shop/basket.py",
        "tests/conftest.py",
        "tests/test_basket.py",
        "tests/test_shapes.py",
    ];
    report.locate(&Index::new(files.map(str::to_owned)));
    report
}

/// Name → outcome and place, as written by hand.
fn expected(name: &str) -> BTreeMap<String, (String, String)> {
    let text = std::fs::read_to_string(fixtures().join(name)).unwrap();
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let mut cells = line.split('\t').map(str::to_owned);
            let mut next = || cells.next().unwrap();
            (next(), (next(), next()))
        })
        .collect()
}

fn assert_as_expected(file: &str, table: &str) {
    let report = read(file);
    let mut expected = expected(table);
    for test in &report.tests {
        let (outcome, place) = expected
            .remove(&test.name)
            .unwrap_or_else(|| panic!("{file}: nobody expects {}", test.name));
        let word = match test.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::Error => "error",
            Outcome::Skipped => "skipped",
        };
        assert_eq!(word, outcome, "{file}: {}", test.name);
        let found = test
            .location
            .as_ref()
            .map(|found| format!("{}:{}", found.path, found.line))
            .unwrap_or_default();
        match place.strip_suffix('*') {
            Some(path) => assert!(found.starts_with(path), "{file}: {} {found}", test.name),
            None => assert_eq!(found, place, "{file}: {}", test.name),
        }
    }
    assert!(expected.is_empty(), "{file}: not found: {expected:?}");
}

#[test]
fn pytest_is_read_right_in_both_of_its_families() {
    assert_as_expected("pytest-9.2.0-xunit1.xml", "pytest-9.2.0.expected.tsv");
    assert_as_expected("pytest-9.2.0-xunit2.xml", "pytest-9.2.0.expected.tsv");
}

#[test]
fn coverage_is_that_of_the_tool_itself_in_both_formats() {
    // `coverage json` said: 25 of 26 lines, 8 of 8 branches.
    for file in [
        "coverage-7.17.3-branches.xml",
        "coverage-7.17.3-branches.info",
    ] {
        let coverage = read(file).coverage.unwrap();
        let (lines, branches) = (coverage.lines(), coverage.branches());
        assert_eq!((lines.covered, lines.total), (25, 26), "{file}");
        assert_eq!((branches.covered, branches.total), (8, 8), "{file}");
        let resolved: Vec<_> = coverage
            .files
            .iter()
            .filter(|file| file.resolved.as_deref() == Some("shop/basket.py"))
            .collect();
        assert_eq!(resolved.len(), 1, "{file}");
    }
}
