//! Event streams of Go, whole and damaged.

use super::super::testing::{file, read};
use super::super::{DiagnosticSeverity, FileStatus, Outcome, Report};

fn event(action: &str, package: &str, test: &str, rest: &str) -> String {
    let test = if test.is_empty() {
        String::new()
    } else {
        format!(r#","Test":"{test}""#)
    };
    format!(
        "{{\"Time\":\"2026-11-23T18:06:06Z\",\"Action\":\"{action}\",\"Package\":\"{package}\"{test}{rest}}}\n"
    )
}

fn run(test: &str) -> String {
    event("run", "m.org/a", test, "")
}

fn output(test: &str, text: &str) -> String {
    event(
        "output",
        "m.org/a",
        test,
        &format!(r#","Output":"{text}\n""#),
    )
}

fn end(action: &str, test: &str) -> String {
    event(action, "m.org/a", test, r#","Elapsed":0.5"#)
}

fn go(content: &str) -> Report {
    let report = read(content);
    assert_eq!(report.files[0].format.as_deref(), Some("go-test-json"));
    assert_eq!(report.files[0].diagnostics, [], "{content}");
    report
}

/// Name, outcome and message of each test.
fn cases(report: &Report) -> Vec<(&str, Outcome, Option<&str>)> {
    report
        .tests
        .iter()
        .map(|test| (test.name.as_str(), test.outcome, test.message.as_deref()))
        .collect()
}

#[test]
fn tests_belong_to_their_package_and_keep_what_they_print_when_they_fail() {
    let report = go(&[
        run("TestA"),
        output("TestA", "=== RUN   TestA"),
        run("TestB"),
        output("TestB", "    b_test.go:11: a log"),
        output("TestA", "    a_test.go:5: passes"),
        output("TestB", "    b_test.go:12: first"),
        output("TestB", "    b_test.go:13: want 1"),
        output("TestB", "        have 2"),
        output("TestB", "--- FAIL: TestB (0.00s)"),
        end("pass", "TestA"),
        end("fail", "TestB"),
        run("TestC"),
        output("TestC", "    a_test.go:7: no network"),
        end("skip", "TestC"),
        output("", "FAIL"),
        end("fail", ""),
    ]
    .concat());
    assert_eq!(
        cases(&report),
        [
            ("TestA", Outcome::Passed, None),
            ("TestB", Outcome::Failed, Some("want 1\nhave 2")),
            ("TestC", Outcome::Skipped, Some("no network")),
        ]
    );
    let failed = &report.tests[1];
    assert_eq!(failed.suite, ["m.org/a"]);
    assert_eq!(failed.duration_seconds, Some(0.5));
    assert!(
        failed
            .details
            .as_deref()
            .is_some_and(|text| text.starts_with("    b_test.go:11: a log\n"))
    );
    let place = failed.hints.failure.clone().expect("a place");
    assert_eq!(
        (place.path.as_str(), place.line),
        ("m.org/a/b_test.go", Some(13))
    );
}

#[test]
fn a_parent_of_a_failed_test_fails_without_words_of_its_own() {
    let report = go(&[
        run("TestP"),
        run("TestP/a"),
        output("TestP/a", "    a_test.go:5: no"),
        output("TestP/a", "    --- FAIL: TestP/a (0.00s)"),
        end("fail", "TestP/a"),
        output("TestP", "--- FAIL: TestP (0.00s)"),
        end("fail", "TestP"),
        end("fail", ""),
    ]
    .concat());
    assert_eq!(
        cases(&report),
        [
            ("TestP/a", Outcome::Failed, Some("no")),
            ("TestP", Outcome::Failed, None),
        ]
    );
}

#[test]
fn a_panic_is_the_message_and_its_frames_come_first() {
    let report = go(&[
        run("TestA"),
        output("TestA", "    a_test.go:5: a log"),
        output("TestA", "panic: boom [recovered]"),
        output("TestA", "\\t/w/a/a.go:13 +0x1"),
        end("fail", "TestA"),
        end("fail", ""),
    ]
    .concat());
    let test = &report.tests[0];
    assert_eq!(test.message.as_deref(), Some("panic: boom [recovered]"));
    let details = test.details.as_deref().expect("details");
    assert!(details.find("/w/a/a.go:13") < details.find("a_test.go:5"));
}

#[test]
fn a_package_that_fails_without_a_test_is_an_error() {
    for (lines, message) in [
        (
            [output("", "no database"), output("", "FAIL\\tm.org/a\\t0.003s"), end("fail", "")].concat(),
            "no database",
        ),
        (
            [
                r##"{"ImportPath":"m.org/a [m.org/a.test]","Action":"build-output","Output":"# m.org/a\n"}
{"ImportPath":"m.org/a [m.org/a.test]","Action":"build-output","Output":"a/a.go:4:6: undefined: x\n"}
{"ImportPath":"m.org/a [m.org/a.test]","Action":"build-fail"}
"##.to_owned(),
                event("start", "m.org/a", "", ""),
                output("", "FAIL\\tm.org/a [build failed]"),
                event("fail", "m.org/a", "", r#","Elapsed":0,"FailedBuild":"m.org/a [m.org/a.test]""#),
            ]
            .concat(),
            "a/a.go:4:6: undefined: x",
        ),
        (
            [output("", "FAIL\\tm.org/a [setup failed]"), end("fail", "")].concat(),
            "[setup failed]",
        ),
    ] {
        let report = go(&lines);
        assert_eq!(cases(&report), [("(suite)", Outcome::Error, Some(message))]);
        assert_eq!(report.tests[0].suite, ["m.org/a"]);
        assert_eq!(report.files[0].runs.total, 0);
    }
}

#[test]
fn a_test_that_does_not_end_is_an_error() {
    let lines = [
        run("TestA"),
        run("TestB"),
        output("TestB", "panic: test timed out after 1s"),
        output("", "FAIL\\tm.org/a\\t1.003s"),
        end("fail", ""),
    ];
    assert_eq!(
        cases(&go(&lines.concat())),
        [
            (
                "TestA",
                Outcome::Error,
                Some("the test began and did not end")
            ),
            (
                "TestB",
                Outcome::Error,
                Some("panic: test timed out after 1s")
            ),
        ]
    );
    let lines = [run("TestA"), run("BenchmarkB"), end("pass", "")];
    assert_eq!(
        cases(&go(&lines.concat())),
        [
            ("BenchmarkB", Outcome::Passed, None),
            (
                "TestA",
                Outcome::Error,
                Some("the test began and did not end")
            ),
        ]
    );
}

#[test]
fn a_file_that_ends_early_is_broken() {
    let text = [run("TestA"), end("pass", "TestA"), run("TestB")].concat();
    let report = read(&text);
    let found = &report.files[0];
    assert_eq!(found.status, FileStatus::Partial);
    assert_eq!(found.diagnostics[0].line, 4);
    assert_eq!(
        found.diagnostics[0].message,
        "the file ends before the tests of `m.org/a` do"
    );
    assert_eq!(cases(&report)[1].1, Outcome::Error);

    let whole = [run("TestA"), end("pass", "TestA"), end("pass", "")].concat();
    for end in run("TestA").len()..whole.trim_end().len() {
        assert!(file(whole.get(..end).expect("ASCII")).is_broken(), "{end}");
    }
}

#[test]
fn the_same_test_twice_has_the_worst_outcome() {
    let report = go(&[
        run("TestA"),
        end("fail", "TestA"),
        end("fail", ""),
        run("TestA"),
        end("pass", "TestA"),
        end("pass", ""),
    ]
    .concat());
    assert_eq!(cases(&report), [("TestA", Outcome::Failed, None)]);
    assert_eq!((report.tests[0].runs, report.tests[0].flaky), (2, false));
}

#[test]
fn lines_that_are_no_json_are_a_warning_once() {
    let text = [
        "# m.org/b\n./b.go:1: no\n".to_owned(),
        run("TestA"),
        end("pass", "TestA"),
        "FAIL\tm.org/b [build failed]\n".to_owned(),
        end("pass", ""),
    ];
    let report = read(text.concat());
    let notes = &report.files[0].diagnostics;
    assert_eq!(notes.len(), 1);
    assert_eq!(
        (notes[0].severity, notes[0].line),
        (DiagnosticSeverity::Warning, 1)
    );
    assert_eq!(report.tests[1].suite, ["m.org/b"]);
    assert_eq!(report.tests[1].outcome, Outcome::Error);
}

#[test]
fn a_broken_line_has_its_place() {
    let text = [
        run("TestA"),
        "{\"Action\": x}\n".to_owned(),
        end("pass", "TestA"),
        end("pass", ""),
    ];
    let found = file(text.concat());
    let note = &found.diagnostics[0];
    assert_eq!((note.line, note.column), (2, 12));
    assert_eq!((found.status, found.runs.passed), (FileStatus::Partial, 1));
}

#[test]
fn what_is_printed_is_bounded() {
    let line = "x".repeat(10_000);
    let mut text = String::new();
    for test in ["TestA", "TestB"] {
        text.push_str(&run(test));
    }
    text.push_str(&output("TestA", "begin"));
    for _ in 0..500 {
        text.push_str(&output("TestA", &line));
    }
    text.push_str(&output("TestA", "end"));
    text.push_str(&end("fail", "TestA"));
    let report = read(&text);
    let details = report.tests[0].details.as_deref().expect("details");
    assert!(details.len() <= 64 << 10 && details.starts_with("begin") && details.ends_with("end"));
}

#[test]
fn other_lines_of_json_are_no_report() {
    for text in [
        "{\"level\":\"info\",\"Action\":\"run\"}\n",
        "{\"a\":{\"Action\":\"run\",\"Package\":\"p\"}}\n",
        "[{\"Action\":\"run\",\"Package\":\"p\"}]\n",
    ] {
        assert_eq!(file(text).format, None, "{text}");
    }
}
