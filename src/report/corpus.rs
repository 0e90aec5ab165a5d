//! The parsers against real files, where these lie beside the project.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::{Collector, FileReport, FileStatus, Limits, Report, Share};

/// JUnit files whose manifest counts otherwise than Herald does, and why.
const OTHER_COUNTS: &[(&str, &str)] = &[(
    "enricomi/junit-xml/no-attributes.xml",
    "the tool drops cases without a name; Herald counts them",
)];

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
fn junit_files_have_the_counts_of_the_manifest() {
    let Some(folder) = corpus("junit") else {
        return;
    };
    let (mut seen, mut wrong) = (0, Vec::new());
    for row in table(&folder) {
        let (path, dialect, well_formed) = (row[0].as_str(), row[5].as_str(), row[12].as_str());
        let (file, report) = read(&folder.join(path));
        if well_formed == "no" && !file.is_broken() {
            wrong.push(format!("{path}: not seen to be broken"));
        }
        if dialect != "junit" || well_formed != "yes" {
            continue;
        }
        seen += 1;
        let expected: Vec<&str> = row[6..11].iter().map(String::as_str).collect();
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
        if found != expected && !excused {
            wrong.push(format!(
                "{path}: {found:?} instead of {expected:?} ({})",
                row[11]
            ));
        }
        if file.is_broken() {
            wrong.push(format!("{path}: {:?}", file.diagnostics));
        }
        assert!(report.totals().runs >= report.totals().tests, "{path}");
    }
    println!("{seen} JUnit files, {} deviations", wrong.len());
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
