//! What is printed in a format is what is read from it: the same tests from every format of tests,
//! the same lines from every format of coverage.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::json;

use super::testing::{coverage, read};
use super::{Outcome, Report};

#[derive(Debug, Clone, PartialEq)]
struct Case {
    name: String,
    outcome: Outcome,
    message: Option<String>,
    milliseconds: u32,
}

/// Words with what XML, JSON and people write; nothing that a format may trim.
fn words() -> impl Strategy<Value = String> {
    prop::collection::vec("[a-z0-9<>&\"'\\\\\\]ü✓日🦀:/.-]{1,8}", 1..4)
        .prop_map(|words| words.join(" "))
}

fn cases() -> impl Strategy<Value = Vec<Case>> {
    let outcome = prop_oneof![
        Just(Outcome::Passed),
        Just(Outcome::Failed),
        Just(Outcome::Error),
        Just(Outcome::Skipped),
    ];
    let case = (words(), outcome, words(), 1_u32..5_000_000);
    prop::collection::vec(case, 1..12).prop_map(|cases| {
        let numbered = cases.into_iter().enumerate();
        numbered
            .map(|(number, (name, outcome, message, milliseconds))| Case {
                name: format!("{name} {number}"),
                outcome,
                message: (outcome != Outcome::Passed).then_some(message),
                milliseconds,
            })
            .collect()
    })
}

/// What was read, as what was printed.
fn cases_of(report: &Report) -> Vec<Case> {
    let mut cases: Vec<_> = report
        .tests
        .iter()
        .map(|test| Case {
            name: test.name.clone(),
            outcome: test.outcome,
            message: test.message.as_deref().map(str::to_owned),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "small"
            )]
            milliseconds: (test.duration_seconds.unwrap_or_default() * 1000.0).round() as u32,
        })
        .collect();
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    cases
}

fn sorted(mut cases: Vec<Case>) -> Vec<Case> {
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    cases
}

fn escaped(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}

fn as_junit(cases: &[Case]) -> String {
    let mut text = "<?xml version='1.0'?>\n<testsuites><testsuite name='s'>\n".to_owned();
    for case in cases {
        let seconds = f64::from(case.milliseconds) / 1000.0;
        let name = escaped(&case.name);
        let element = match case.outcome {
            Outcome::Passed => "",
            Outcome::Failed => "failure",
            Outcome::Error => "error",
            Outcome::Skipped => "skipped",
        };
        let inside = case.message.as_deref().map_or_else(String::new, |message| {
            format!("<{element} message=\"{}\"/>", escaped(message))
        });
        let _ = writeln!(
            text,
            "<testcase classname='c' name=\"{name}\" time='{seconds}'>{inside}</testcase>"
        );
    }
    text + "</testsuite></testsuites>\n"
}

fn as_ctrf(cases: &[Case]) -> String {
    let tests: Vec<_> = cases
        .iter()
        .map(|case| {
            let status = match case.outcome {
                Outcome::Passed => "passed",
                Outcome::Skipped => "skipped",
                Outcome::Failed | Outcome::Error => "failed",
            };
            json!({
                "name": case.name,
                "status": status,
                "message": case.message,
                "duration": case.milliseconds,
            })
        })
        .collect();
    json!({"results": {"tool": {"name": "t"}, "summary": {}, "tests": tests}}).to_string()
}

/// What TAP keeps of the reason of a skipped test: `-` is none.
fn with_tap_reasons(mut cases: Vec<Case>) -> Vec<Case> {
    for case in &mut cases {
        if case.outcome == Outcome::Skipped && case.message.as_deref() == Some("-") {
            case.message = None;
        }
    }
    cases
}

fn as_tap(cases: &[Case]) -> String {
    let mut text = format!("TAP version 13\n1..{}\n", cases.len());
    for (at, case) in cases.iter().enumerate() {
        let number = at + 1;
        let name = case.name.replace('\\', "\\\\");
        let message = case.message.as_deref().unwrap_or_default();
        let milliseconds = case.milliseconds;
        let _ = match case.outcome {
            Outcome::Passed => {
                writeln!(text, "ok {number} - {name} # time={milliseconds}ms")
            }
            Outcome::Skipped => {
                writeln!(
                    text,
                    "ok {number} - {name} # time={milliseconds}ms # SKIP {message}"
                )
            }
            Outcome::Failed | Outcome::Error => writeln!(
                text,
                "not ok {number} - {name} # time={milliseconds}ms\n  ---\n  message: {}\n  ...",
                json!(message)
            ),
        };
    }
    text
}

/// A format that knows failures only.
fn without_errors(mut cases: Vec<Case>) -> Vec<Case> {
    for case in &mut cases {
        if case.outcome == Outcome::Error {
            case.outcome = Outcome::Failed;
        }
    }
    cases
}

fn utf16(text: &str, big: bool) -> Vec<u8> {
    let units = std::iter::once(0xFEFF).chain(text.encode_utf16());
    if big {
        units.flat_map(u16::to_be_bytes).collect()
    } else {
        units.flat_map(u16::to_le_bytes).collect()
    }
}

type Lines = BTreeMap<String, BTreeMap<u32, u32>>;

fn lines() -> impl Strategy<Value = Lines> {
    let hits = prop_oneof![Just(0_u32), 1_u32..100_000];
    let lines = prop::collection::btree_map(1_u32..5000, hits, 1..40);
    prop::collection::btree_map("[a-zü ]{1,5}/[a-z&']{1,6}\\.c", lines, 1..6)
        .prop_filter("a path that nothing trims", |files| {
            files.keys().all(|path| path.trim() == path)
        })
}

fn each(
    files: &Lines,
    file: impl Fn(&str) -> String,
    line: impl Fn(u32, u32) -> String,
    end: &str,
) -> String {
    let mut text = String::new();
    for (path, lines) in files {
        text += &file(path);
        for (number, hits) in lines {
            text += &line(*number, *hits);
        }
        text += end;
    }
    text
}

/// One coverage in several formats, and whether they know how often a line was hit.
fn printed(files: &Lines) -> Vec<(&'static str, bool, String)> {
    let lcov = each(
        files,
        |path| format!("TN:\nSF:{path}\n"),
        |line, hits| format!("DA:{line},{hits}\n"),
        "end_of_record\n",
    );
    let cobertura = each(
        files,
        |path| format!("<class filename=\"{}\"><lines>", escaped(path)),
        |line, hits| format!("<line number='{line}' hits='{hits}'/>"),
        "</lines></class>",
    );
    let clover = each(
        files,
        |path| format!("<file name=\"{}\">", escaped(path)),
        |line, hits| format!("<line num='{line}' type='stmt' count='{hits}'/>"),
        "</file>",
    );
    let sonarqube = each(
        files,
        |path| format!("<file path=\"{}\">", escaped(path)),
        |line, hits| format!("<lineToCover lineNumber='{line}' covered='{}'/>", hits > 0),
        "</file>",
    );
    let go = each(
        files,
        |_| String::new(),
        |line, hits| format!("PATH:{line}.1,{line}.9 1 {hits}\n"),
        "\n",
    );
    let go: String = files
        .keys()
        .zip(go.split("\n\n"))
        .map(|(path, lines)| lines.replace("PATH", path) + "\n")
        .collect();
    let coverage_py: serde_json::Map<_, _> = files
        .iter()
        .map(|(path, lines)| {
            let all = |hit| lines.iter().filter(move |(_, hits)| (**hits > 0) == hit);
            let numbers = |hit| all(hit).map(|(line, _)| *line).collect::<Vec<_>>();
            let file = json!({
                "executed_lines": numbers(true),
                "missing_lines": numbers(false),
            });
            (path.clone(), file)
        })
        .collect();
    vec![
        ("lcov", true, lcov),
        (
            "cobertura",
            true,
            format!(
                "<coverage><packages><package><classes>{cobertura}</classes></package></packages></coverage>"
            ),
        ),
        (
            "clover",
            true,
            format!("<coverage><project>{clover}</project></coverage>"),
        ),
        (
            "sonarqube",
            false,
            format!("<coverage version='1'>{sonarqube}</coverage>"),
        ),
        ("go-cover", true, format!("mode: count\n{go}")),
        (
            "coverage.py",
            false,
            json!({"meta": {"version": "7"}, "files": coverage_py, "totals": {}}).to_string(),
        ),
    ]
}

proptest! {
    #[test]
    fn tests_printed_as_junit_are_read_again(cases in cases()) {
        let text = as_junit(&cases);
        let wanted = sorted(cases);
        for bytes in [text.clone().into_bytes(), utf16(&text, true), utf16(&text, false)] {
            let report = read(bytes);
            prop_assert_eq!(&report.files[0].diagnostics, &[]);
            prop_assert_eq!(cases_of(&report), wanted.clone());
        }
    }

    #[test]
    fn tests_printed_as_ctrf_are_read_again(cases in cases()) {
        let report = read(as_ctrf(&cases));
        prop_assert_eq!(&report.files[0].diagnostics, &[]);
        prop_assert_eq!(cases_of(&report), sorted(without_errors(cases)));
    }

    #[test]
    fn tests_printed_as_tap_are_read_again(cases in cases()) {
        let report = read(as_tap(&cases));
        prop_assert_eq!(&report.files[0].diagnostics, &[]);
        prop_assert_eq!(cases_of(&report), sorted(with_tap_reasons(without_errors(cases))));
    }

    #[test]
    fn seconds_are_the_nearest_number(text in "[0-9]{0,9}\\.?[0-9]{0,9}") {
        let nearest = text.parse().ok().filter(|seconds: &f64| *seconds < 1e9);
        prop_assert_eq!(super::case::seconds(&text), nearest);
    }

    #[test]
    fn a_coverage_is_the_same_in_every_format(files in lines()) {
        for (format, knows_hits, text) in printed(&files) {
            let report = read(&text);
            prop_assert_eq!(report.files[0].format.as_deref(), Some(format));
            prop_assert_eq!(&report.files[0].diagnostics, &[]);
            let found: Lines = coverage(&text)
                .files
                .into_iter()
                .map(|file| (file.path, file.lines.iter().collect()))
                .collect();
            let mut wanted = files.clone();
            for hits in wanted.values_mut().flat_map(BTreeMap::values_mut) {
                *hits = if knows_hits { *hits } else { u32::from(*hits > 0) };
            }
            prop_assert_eq!(found, wanted, "{}", format);
        }
    }
}
