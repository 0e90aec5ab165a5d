//! Reports of real tools in `tests/fixtures/tools`: the outcome of every test, and every failure on
//! its line.
//!
//! Each tool ran over a small project with the same cast. What to expect was written from the
//! source of the project, not from what Herald reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use herald::report::{Collector, Index, Limits, Outcome, Report, Test};

/// Reports that are broken as their tools write them, and what has to be said of them. What was
/// read before the break has to be right.
const DAMAGED: [(&str, &str); 7] = [
    ("ava/report.tap", "the plan is 1..14"),
    ("cargo-test/report-all.xml", "a second root element"),
    ("cargo-test/report-escapes.xml", "control character U+001B"),
    (
        "cargo-test/report-truncated.xml",
        "the file ends inside of <testcase>",
    ),
    ("cmocka/report-special.xml", "attribute value not closed"),
    ("meson/report-escapes.xml", "control character U+001B"),
    ("prove/report-broken.tap", "the plan is 1..3"),
];

/// Reports that say something else than the sums of their tools, which count otherwise: report,
/// file, covered lines and lines.
const OTHER_SUMS: &[(&str, &str, u64, u64)] = &[
    // Go sums up statements. What has to be here are the lines of the blocks.
    ("coverage-go/report-count.out", "cart/cart.go", 10, 15),
    ("coverage-go/report-count.out", "till/till.go", 4, 4),
    ("coverage-go/report-set.out", "cart/cart.go", 10, 15),
    ("coverage-go/report-set.out", "till/till.go", 4, 4),
    // llvm-cov sums up one instance of a template; its lines are covered by any of them.
    ("coverage-llvm/report.json", "src/cart.h", 5, 6),
    ("coverage-llvm/report.lcov", "src/cart.h", 5, 6),
    // The raw results have the lines between `:nocov:`.
    (
        "coverage-simplecov/report-resultset.json",
        "lib/cart.rb",
        11,
        14,
    ),
    (
        "coverage-simplecov/report-resultset-branch.json",
        "lib/cart.rb",
        11,
        14,
    ),
];

/// A row of `expected.tsv`.
struct Row {
    name: String,
    outcome: String,
    /// `None` where the report says nothing about it.
    place: Option<(String, u32)>,
    line_is_known: bool,
    message: Option<String>,
}

fn folders() -> Vec<PathBuf> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tools");
    let mut folders: Vec<_> = fs::read_dir(tools)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("expected.tsv").is_file())
        .collect();
    folders.sort();
    folders
}

/// The rows by report.
fn expected(folder: &Path) -> BTreeMap<String, Vec<Vec<String>>> {
    let mut reports: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let text = fs::read_to_string(folder.join("expected.tsv")).unwrap();
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let mut cells = line.split('\t').map(str::to_owned);
        let report = cells.next().unwrap();
        reports.entry(report).or_default().push(cells.collect());
    }
    reports
}

fn row(cells: &[String]) -> Row {
    let [name, outcome, path, line, message] = cells else {
        panic!("not five cells: {cells:?}");
    };
    let given = |text: &String| (text != "-").then(|| text.clone());
    Row {
        name: name.clone(),
        outcome: outcome.clone(),
        line_is_known: line != "-",
        // Where only the file is known, its beginning.
        place: given(path).map(|path| (path, given(line).map_or(1, |line| line.parse().unwrap()))),
        message: given(message),
    }
}

fn project(folder: &Path) -> Index {
    let project = folder.join("project");
    Index::new(
        walkdir::WalkDir::new(&project)
            .into_iter()
            .map(Result::unwrap)
            .filter(|entry| entry.file_type().is_file())
            .map(|entry| {
                let path = entry.path().strip_prefix(&project).unwrap();
                path.to_str().unwrap().to_owned()
            }),
    )
}

fn read(path: &Path, index: &Index) -> Report {
    let mut collector = Collector::new(Limits::default());
    let name = path.file_name().unwrap().to_str().unwrap();
    collector.read(name, fs::File::open(path).unwrap());
    let mut report = collector.finish();
    report.locate(index);
    report
}

fn outcome(test: &Test) -> &'static str {
    match test.outcome {
        Outcome::Passed if test.flaky => "flaky",
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Error => "error",
        Outcome::Skipped => "skipped",
    }
}

/// What is wrong with a test, in words.
fn compare(test: &Test, row: &Row) -> Result<(), String> {
    if outcome(test) != row.outcome {
        return Err(format!("{} instead of {}", outcome(test), row.outcome));
    }
    if let Some(piece) = &row.message {
        let said = [&test.message, &test.details];
        if !said.into_iter().flatten().any(|text| text.contains(piece)) {
            return Err(format!("{piece:?} is not in {:?}", test.message));
        }
    }
    let found = test.location.clone().map(|at| (at.path, at.line));
    match (&found, &row.place) {
        // The file of its class or suite is all that can be known then.
        (Some((_, 1)), None) => Ok(()),
        (None, Some((_, 1))) if !row.line_is_known => Ok(()),
        (found, place) if found == place => Ok(()),
        _ => Err(format!("at {found:?} instead of {:?}", row.place)),
    }
}

/// How bad an outcome is: of several runs the worst counts.
fn severity(outcome: &str) -> usize {
    let order = ["skipped", "passed", "flaky", "failed", "error"];
    order.iter().position(|word| *word == outcome).unwrap()
}

/// Whether the report calls the test so: by its name, or by that of its suites before it.
fn is_called(test: &Test, name: &str) -> bool {
    let suite = test.suite.join(" ");
    match test.name.as_str() {
        found if found == name => true,
        // Without a name it has its number, and what is outside of tests has none at all.
        found if name == "-" => {
            found.bytes().all(|byte| byte.is_ascii_digit()) || found == "(suite)"
        }
        "(suite)" => suite == name || test.suite.last().is_some_and(|last| last == name),
        found => name.strip_suffix(found).is_some_and(|before| {
            !suite.is_empty() && before.trim_end() == suite
                || Some(before.trim_end()) == test.class.as_deref()
        }),
    }
}

/// What is wrong with one report, in words.
fn differences(report: &Report, rows: &[Row], damaged: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut tests: Vec<&Test> = report.tests.iter().collect();
    let mut done = BTreeSet::new();
    for row in rows {
        if !done.insert(&row.name) {
            continue;
        }
        let (called, others): (Vec<_>, Vec<_>) = tests
            .into_iter()
            .partition(|test| is_called(test, &row.name));
        tests = others;
        let mut wanted: Vec<&Row> = rows.iter().filter(|other| other.name == row.name).collect();
        if called.is_empty() && !damaged {
            wrong.push(format!("no test {:?}", row.name));
        }
        // Several runs of one test are one test with the worst of their outcomes.
        if let [_] = called.as_slice() {
            let worst = wanted
                .iter()
                .map(|row| severity(&row.outcome))
                .max()
                .unwrap();
            wanted.retain(|row| severity(&row.outcome) == worst);
        }
        for test in called {
            let compared: Vec<_> = wanted.iter().map(|row| compare(test, row)).collect();
            if let Some(at) = compared.iter().position(Result::is_ok) {
                if wanted.len() > 1 {
                    wanted.remove(at);
                }
            } else if let Some(Err(problem)) = compared.first() {
                wrong.push(format!("{:?}: {problem}", row.name));
            }
        }
    }
    wrong.extend(
        tests
            .iter()
            .map(|test| format!("nobody expects {:?}", test.name)),
    );
    wrong
}

#[test]
fn every_test_of_every_tool_has_its_outcome_and_its_line() {
    let mut wrong = String::new();
    let (mut tools, mut rows) = (0, 0);
    for folder in folders() {
        let tool = folder.file_name().unwrap().to_str().unwrap().to_owned();
        if tool.starts_with("coverage-") {
            continue;
        }
        tools += 1;
        let index = project(&folder);
        for (file, expected) in expected(&folder) {
            let path = format!("{tool}/{file}");
            let report = read(&folder.join(&file), &index);
            let known = DAMAGED.iter().find(|(damaged, _)| *damaged == path);
            let said = report.broken_files().next().map(|file| &file.diagnostics);
            let as_known = match (known, said) {
                (None, said) => said.is_none(),
                (Some((_, words)), said) => {
                    said.is_some_and(|said| said.iter().any(|one| one.message.contains(words)))
                }
            };
            if !as_known {
                let _ = writeln!(wrong, "{path}: {said:?}");
            }
            let expected: Vec<Row> = expected.iter().map(|cells| row(cells)).collect();
            rows += expected.len();
            for difference in differences(&report, &expected, known.is_some()) {
                let _ = writeln!(wrong, "{path}: {difference}");
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(tools >= 18 && rows > 900, "{tools} tools, {rows} tests");
}

#[test]
fn every_file_of_every_coverage_tool_has_its_lines() {
    let mut wrong = String::new();
    let mut reports = 0;
    for folder in folders() {
        let tool = folder.file_name().unwrap().to_str().unwrap().to_owned();
        if !tool.starts_with("coverage-") {
            continue;
        }
        let index = project(&folder);
        for entry in fs::read_dir(&folder).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            // What gcov writes is gcovr's business.
            if !file.starts_with("report") || file == "report-gcov.json" {
                continue;
            }
            reports += 1;
            let path = format!("{tool}/{file}");
            let report = read(&folder.join(&file), &index);
            let coverage = report.coverage.unwrap_or_default();
            let mut found: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
            for file in &coverage.files {
                let name = file.resolved.as_deref().unwrap_or(&file.path);
                let share = file.line_share();
                found.insert(name, (share.covered, share.total));
            }
            for (name, cells) in expected(&folder) {
                let [covered, total] = cells[0].as_slice() else {
                    panic!("{tool}: not three cells for {name}");
                };
                let sum = (covered.parse().unwrap(), total.parse().unwrap());
                let wanted = OTHER_SUMS
                    .iter()
                    .find(|(report, file, ..)| *report == path && *file == name)
                    .map_or(sum, |(_, _, covered, total)| (*covered, *total));
                // A file without lines need not be there.
                let is = found.remove(name.as_str()).unwrap_or_default();
                if is != wanted {
                    let _ = writeln!(wrong, "{path}: {name} is {is:?} instead of {wanted:?}");
                }
            }
            for other in found.keys() {
                let _ = writeln!(wrong, "{path}: nobody expects {other}");
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(reports > 20, "{reports} reports");
}
