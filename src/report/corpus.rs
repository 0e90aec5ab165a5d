//! The parsers against real files, where these lie beside the project.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::{Collector, FileReport, FileStatus, Limits, Report};

/// JUnit files whose manifest counts otherwise than Herald does, and why.
const OTHER_COUNTS: &[(&str, &str)] = &[(
    "enricomi/junit-xml/no-attributes.xml",
    "the tool drops cases without a name; Herald counts them",
)];

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

#[test]
fn coverage_files_have_the_totals_of_the_manifest() {
    let Some(folder) = corpus("coverage") else {
        return;
    };
    let (mut seen, mut wrong) = (0, Vec::new());
    for row in table(&folder) {
        let (path, format) = (row[0].as_str(), row[3].as_str());
        let (file, report) = read(&folder.join(path));
        let expected = row.get(13).map_or("", String::as_str);
        if !matches!(format, "cobertura" | "lcov") || expected.is_empty() {
            continue;
        }
        seen += 1;
        if expected.starts_with("err") {
            if !file.is_broken() {
                wrong.push(format!("{path}: not seen to be broken"));
            }
            continue;
        }
        let coverage = report.coverage.unwrap_or_default();
        let declared = coverage.declared.is_some()
            || coverage.files.iter().any(|file| file.declared.is_some());
        if expected == "0/0" && declared {
            // The rule knows lines only; totals without lines are partial, not nothing.
            assert_eq!(file.status, FileStatus::Partial, "{path}");
            continue;
        }
        let lines = coverage.lines();
        let found = format!("{}/{}", lines.covered, lines.total);
        if found != expected {
            wrong.push(format!("{path}: {found} instead of {expected}"));
        }
    }
    println!("{seen} coverage files, {} deviations", wrong.len());
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
