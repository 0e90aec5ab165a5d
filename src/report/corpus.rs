//! The parsers against real files, where these lie beside the project.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::json::{Conclusion, Document, Extras};
use super::{Collector, FileReport, FileStatus, Index, Limits, Outcome, Report, Share, Test};

const ERRORS_FAIL: &str = "the tool counts errors as failures";

/// Test reports whose manifest counts otherwise than Herald does, and why.
const OTHER_COUNTS: &[(&str, &str)] = &[
    (
        "enricomi/junit-xml/no-attributes.xml",
        "the tool drops cases without a name; Herald counts them",
    ),
    ("enricomi/nunit/mstest/clicketyclackety.xml", ERRORS_FAIL),
    ("enricomi/nunit/mstest/timewarpinc.xml", ERRORS_FAIL),
    (
        "enricomi/nunit/nunit3/jenkins/NUnit-issue44527.xml",
        ERRORS_FAIL,
    ),
    (
        "enricomi/trx/yami_YAMILEX_2015-10-24_04_18_59.trx",
        "the tool counts a test that was aborted as skipped",
    ),
    (
        "jenkins-xunit/nunit/testcase3/input.xml",
        "`success=\"Turue\"`, which the manifest counts as failed here and as passed elsewhere",
    ),
    (
        "jenkins-xunit/nunit/testcase5/input.xml",
        "`executed='true'`, of which the manifest knows only `True`",
    ),
    (
        "enricomi/mocha/tests.json",
        "the tool guesses an error by the shape of `err`; Mocha knows only failures",
    ),
];

/// Well-formed files that Herald says are broken, and why.
const BROKEN: &[(&str, &str)] = &[
    (
        "enricomi/nunit/nunit3/jenkins/NUnit-sec1752-file.xml",
        ENTITY,
    ),
    (
        "enricomi/nunit/nunit3/jenkins/NUnit-sec1752-https.xml",
        ENTITY,
    ),
];
const ENTITY: &str = "an entity is a file elsewhere, and is not fetched";

/// The name that Herald has for a dialect of the manifest.
fn format(dialect: &str) -> Option<&'static str> {
    Some(match dialect {
        "junit" => "junit",
        "trx" => "trx",
        "nunit2" => "nunit2",
        "nunit3" | "other-xml:<test-suite>" => "nunit3",
        "xunit.net" => "xunit.net",
        // Of which tool, its name says.
        "json" => "json",
        _ => return None,
    })
}

const GO: &str = "the manifest counts statements, as Go does; Herald counts lines";
const CONDITIONS: &str =
    "the manifest leaves lines with conditions out; the file's own metrics count them as Herald";

/// Coverage files whose manifest has other totals than Herald, the lines that Herald finds, and
/// why. These lines were counted with another program too.
const OTHER_TOTALS: &[(&str, &str, &str)] = &[
    (
        "octocov/coverage/testdata/gocover/coverage.out",
        "3188/4905",
        GO,
    ),
    (
        "coveralls-reporter/spec/fixtures/golang/coverage-dashes.out",
        "11/11",
        GO,
    ),
    (
        "coveralls-reporter/spec/fixtures/golang/coverage-one-slash.out",
        "0/0",
        GO,
    ),
    (
        "coveralls-reporter/spec/fixtures/golang/coverage-two-slashes.out",
        "11/11",
        GO,
    ),
    (
        "coveralls-reporter/spec/fixtures/golang/coverage.out",
        "857/1862",
        GO,
    ),
    (
        "jenkins-coverage-model/src/test/resources/edu/hm/hafner/coverage/parser/go/go-coverage-atomic.out",
        "23/33",
        GO,
    ),
    (
        "jenkins-coverage-model/src/test/resources/edu/hm/hafner/coverage/parser/go/go-relative-import.out",
        "23/33",
        GO,
    ),
    (
        "coveralls-reporter/spec/fixtures/clover/clover-unleash.xml",
        "109/138",
        CONDITIONS,
    ),
    (
        "jenkins-coverage-model/src/test/resources/edu/hm/hafner/coverage/parser/clover/clover-empty-package.xml",
        "69/69",
        CONDITIONS,
    ),
    (
        "jenkins-coverage-model/src/test/resources/edu/hm/hafner/coverage/parser/clover/clover.xml",
        "143/165",
        CONDITIONS,
    ),
    (
        "coveralls-reporter/spec/fixtures/clover/clover-phpcsutils.xml",
        "323/323",
        "one of its files has totals and no lines",
    ),
    (
        "coveralls-reporter/spec/fixtures/jacoco/jacoco-report-multiple-packages.xml",
        "10/12",
        "edited by hand: a second package was added and not counted",
    ),
    (
        "jenkins-coverage-model/src/test/resources/edu/hm/hafner/coverage/parser/opencover/opencover-withskippedmodules.xml",
        "1427/1482",
        "its totals count sequence points, of which a line may have several",
    ),
    (
        "cargo-llvm-cov/tests/fixtures/coverage-reports/merge/merge.codecov.json",
        "7/7",
        "the tool writes a line here that LLVM does not count",
    ),
];

fn corpus(kind: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/corpus")
        .join(kind);
    path.is_dir().then_some(path)
}

fn read(path: &Path) -> (FileReport, Report) {
    let mut collector = Collector::new(Limits::default());
    collector.read("file", File::open(path).expect("a file of the corpus"));
    let report = collector.finish();
    (report.files[0].clone(), report)
}

fn table(folder: &Path) -> Vec<Vec<String>> {
    fs::read_to_string(folder.join("MANIFEST.tsv"))
        .expect("a manifest")
        .lines()
        .skip(1)
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect()
}

#[test]
fn test_reports_have_the_counts_of_the_manifest() {
    let Some(folder) = corpus("junit") else {
        return;
    };
    let mut seen: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let (mut damaged, mut wrong) = (0, Vec::new());
    for row in table(&folder) {
        let (path, dialect, well_formed) = (row[0].as_str(), row[5].as_str(), row[12].as_str());
        let (file, report) = read(&folder.join(path));
        if well_formed == "no" {
            let lack_place = file
                .diagnostics
                .iter()
                .any(|said| said.line * said.column == 0);
            if !file.is_broken() || lack_place {
                wrong.push(format!("{path}: not seen to be broken"));
            }
            let document = Document::new(report.clone(), Extras::default());
            if document.conclusion != Conclusion::Failure {
                wrong.push(format!("{path}: {:?}", document.conclusion));
            }
            damaged += 1;
        }
        let expected: Vec<&str> = row[6..11].iter().map(String::as_str).collect();
        let Some(format) = format(dialect).filter(|_| !expected[0].is_empty()) else {
            continue;
        };
        // Other tools have roots of the same name; there is nothing to count in them.
        let is_other = expected[0] == "0" && file.format.is_none();
        if well_formed == "no" || is_other {
            continue;
        }
        let found = file.format.as_deref().unwrap_or("none");
        if found != format && format != "json" {
            wrong.push(format!("{path}: {found} instead of {format}"));
        }
        let (seen, deviating) = seen.entry(found.to_owned()).or_default();
        *seen += 1;
        let runs = file.runs;
        let found = [
            runs.total,
            runs.passed,
            runs.failed,
            runs.errors,
            runs.skipped,
        ];
        let found: Vec<String> = found.iter().map(u64::to_string).collect();
        let excused = OTHER_COUNTS.iter().any(|(other, _)| *other == path);
        if found != expected {
            *deviating += 1;
        }
        if (found != expected) != excused {
            wrong.push(format!(
                "{path}: {found:?} instead of {expected:?} ({})",
                row[11]
            ));
        }
        let is_excused = BROKEN.iter().any(|(other, _)| *other == path);
        if file.is_broken() != is_excused {
            wrong.push(format!("{path}: {:?}", file.diagnostics));
        }
        if !excused {
            wrong.extend(other_outcomes(&folder, path, &report));
        }
        assert!(report.totals().runs >= report.totals().tests, "{path}");
    }
    println!("{damaged} damaged test reports; reports and deviations by format: {seen:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Tests of a file that end otherwise than another tool says, where that is written down.
fn other_outcomes(folder: &Path, path: &str, report: &Report) -> Vec<String> {
    let Some(cases) = expected_cases(folder, path) else {
        return Vec::new();
    };
    let wrong = cases.iter().filter(|case| {
        let name = case["test_name"].as_str().unwrap_or_default();
        let outcome = match case["result"].as_str() {
            Some("success") => Outcome::Passed,
            Some("failure") => Outcome::Failed,
            Some("error") => Outcome::Error,
            _ => Outcome::Skipped,
        };
        // Herald leaves the class or suite out of the name, and joins cases of one name. Some
        // tests have another name altogether.
        let mut same = report
            .tests
            .iter()
            .filter(|test| !test.name.is_empty() && name.trim().ends_with(test.name.trim()))
            .peekable();
        same.peek().is_some()
            && !same.any(|test| {
                test.outcome == outcome
                    || (test.runs > 1 && test.outcome.severity() > outcome.severity())
            })
    });
    wrong
        .map(|case| format!("{path}: {} is not {}", case["test_name"], case["result"]))
        .collect()
}

/// Another tool takes the line from the test case alone. Where no frame of the failure comes before
/// it, Herald takes the same one; pytest counts it from 0.
#[test]
fn failures_without_frames_are_at_the_line_of_their_case() {
    let Some(folder) = corpus("junit") else {
        return;
    };
    let (mut seen, mut framed) = (0, 0);
    for row in table(&folder) {
        let Some(expected) = expected_cases(&folder, &row[0]) else {
            continue;
        };
        let (_, mut report) = read(&folder.join(&row[0]));
        let named = expected
            .iter()
            .filter_map(|case| case["test_file"].as_str());
        let files = named.map(|file| file.trim_start_matches("file:///").to_owned());
        report.locate(&Index::new(files));
        for case in &expected {
            let Some(line) = case["line"].as_u64() else {
                continue;
            };
            let name = case["test_name"].as_str().unwrap_or_default();
            let same = |test: &&Test| test.outcome.is_red() && test.name == name;
            let Some(test) = report.tests.iter().find(same) else {
                continue;
            };
            let found = test.location.as_ref().expect("a place");
            let details = test.details.as_deref().unwrap_or_default();
            let file = Path::new(&found.path).file_name().expect("a name");
            if details.contains(&*file.to_string_lossy()) {
                framed += 1;
                continue;
            }
            let first = u64::from(test.suite == ["pytest"]);
            assert_eq!(u64::from(found.line), line + first, "{}: {name}", row[0]);
            seen += 1;
        }
    }
    println!("{seen} lines of cases, {framed} of frames");
    assert!(seen > 0, "no line was compared");
}

/// What another tool says of the cases of a file, where that is written down.
fn expected_cases(folder: &Path, path: &str) -> Option<Vec<serde_json::Value>> {
    let (path, _) = path.strip_prefix("enricomi/")?.rsplit_once('.')?;
    let path = folder.join(format!("enricomi/_expected/{path}.results.json"));
    let text = fs::read_to_string(path).ok()?;
    let mut expected: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    serde_json::from_value(expected["cases"].take()).ok()
}

/// Event streams of Go that are another thing than their conversion to JUnit, and why.
const OTHER_EVENTS: &[(&str, &str)] = &[
    (
        "go-junit-report/102-broken.gojson.txt",
        "what the compiler says, and no event",
    ),
    (
        "go-junit-report/109-bench.gojson.txt",
        "benchmarks that have no events, only lines of output",
    ),
];

#[test]
fn events_of_go_have_the_counts_of_their_conversion_to_junit() {
    let Some(folder) = corpus("junit") else {
        return;
    };
    let (mut seen, mut wrong) = (0, Vec::new());
    for row in table(&folder) {
        let path = row[0].as_str();
        let is_excused = OTHER_EVENTS.iter().any(|(other, _)| *other == path);
        let number = path
            .strip_prefix("go-junit-report/")
            .and_then(|path| path.strip_suffix(".gojson.txt"))
            .and_then(|path| path.split_once('-'))
            .filter(|_| !is_excused);
        let Some((number, _)) = number else {
            continue;
        };
        let converted = format!("go-junit-report/{number}-report.xml");
        let (expected, _) = read(&folder.join(&converted));
        let (file, report) = read(&folder.join(path));
        assert_eq!(file.format.as_deref(), Some("go-test-json"), "{path}");
        // A package that fails is a case there.
        let packages = report.tests.iter().filter(|test| test.name == "(suite)");
        let mut found = file.runs;
        for _ in packages {
            found.add(Outcome::Error);
        }
        seen += 1;
        if found != expected.runs || file.is_broken() {
            wrong.push(format!("{path}: {found:?} instead of {:?}", expected.runs));
        }
    }
    println!("{seen} event streams of Go");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the manifest says of a coverage file: lines, and branches where that is independent.
struct Expected {
    lines: String,
    branches: Option<String>,
}

/// `None` where the manifest has no numbers for the file.
fn expected(row: &[String], all: &[Vec<String>]) -> Option<Expected> {
    let column = |number: usize| row.get(number).map_or("", String::as_str);
    let share = |covered, total| format!("{}/{}", column(covered), column(total));
    let of_another_tool = Expected {
        lines: share(5, 6),
        branches: (!column(8).is_empty()).then(|| share(7, 8)),
    };
    let of_the_rule = Expected {
        lines: column(13).to_owned(),
        branches: None,
    };
    let expected = match column(3) {
        "lcov" if column(9).starts_with("lcov ") => of_another_tool,
        "cobertura" | "lcov" | "clover" | "go" | "simplecov-resultset" => of_the_rule,
        "jacoco" | "llvm-json" | "gcovr-json" | "opencover" => of_another_tool,
        "codecov-json" => {
            // The other JSON of the same run.
            let other = column(0).replace(".codecov.json", ".json");
            let row = all.iter().find(|row| row[0] == other)?;
            return expected(row, all);
        }
        _ => return None,
    };
    (!expected.lines.is_empty() && expected.lines != "/").then_some(expected)
}

#[test]
fn coverage_files_have_the_totals_of_the_manifest() {
    let Some(folder) = corpus("coverage") else {
        return;
    };
    let mut seen: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut wrong = Vec::new();
    let table = table(&folder);
    for row in &table {
        let (path, format) = (row[0].as_str(), row[3].as_str());
        let (file, report) = read(&folder.join(path));
        let Some(expected) = expected(row, &table) else {
            continue;
        };
        let (seen, deviating) = seen.entry(format.to_owned()).or_default();
        *seen += 1;
        if expected.lines.starts_with("err") {
            if !file.is_broken() {
                wrong.push(format!("{path}: not seen to be broken"));
            }
            continue;
        }
        if file.is_broken() {
            wrong.push(format!("{path}: {:?}", file.diagnostics));
        }
        let coverage = report.coverage.unwrap_or_default();
        let declared = coverage.declared.is_some()
            || coverage.files.iter().any(|file| file.declared.is_some());
        if expected.lines == "0/0" && declared {
            // The rule knows lines only; totals without lines are partial, not nothing.
            assert_eq!(file.status, FileStatus::Partial, "{path}");
            continue;
        }
        let text = |share: Share| format!("{}/{}", share.covered, share.total);
        let found = (text(coverage.lines()), text(coverage.branches()));
        let branches = expected.branches.unwrap_or(found.1.clone());
        if found == (expected.lines.clone(), branches.clone()) {
            continue;
        }
        *deviating += 1;
        let excused = OTHER_TOTALS.iter().find(|(other, ..)| *other == path);
        if excused.is_none_or(|(_, lines, _)| *lines != found.0) {
            let expected = (expected.lines, branches);
            wrong.push(format!("{path}: {found:?} instead of {expected:?}"));
        }
    }
    println!("coverage files and deviations by format: {seen:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_is_both_unknown_and_silent() {
    for kind in ["junit", "coverage", "badges"] {
        let Some(folder) = corpus(kind) else { return };
        let mut folders = vec![folder];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder").flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                    continue;
                }
                let (file, _) = read(&entry.path());
                assert!(
                    file.status != FileStatus::Unreadable || !file.diagnostics.is_empty(),
                    "{}",
                    entry.path().display()
                );
            }
        }
    }
}
