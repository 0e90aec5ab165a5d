//! TAP as tools write it, and as it should not be.

use super::super::testing::{file, read};
use super::super::{FileStatus, Place, Report};

/// A report of TAP that has nothing wrong.
fn tap(content: &str) -> Report {
    let report = read(content);
    assert_eq!(report.files[0].format.as_deref(), Some("tap"), "{content}");
    assert_eq!(report.files[0].diagnostics, [], "{content}");
    report
}

/// Path, name, outcome and message of each test.
fn cases(report: &Report) -> Vec<String> {
    report
        .tests
        .iter()
        .map(|test| {
            let mut path = test.suite.clone();
            path.push(test.name.clone());
            let message = test.message.as_deref().unwrap_or("-");
            format!("{} {:?} {message}", path.join(" > "), test.outcome)
        })
        .collect()
}

fn wrong(content: &str) -> Vec<(u64, String)> {
    let found = file(content);
    assert_eq!(found.format.as_deref(), Some("tap"), "{content}");
    assert!(found.is_broken(), "{content}");
    found
        .diagnostics
        .into_iter()
        .map(|note| (note.line, note.message))
        .collect()
}

#[test]
fn points_have_outcomes_names_and_reasons() {
    let report = tap(
        "TAP version 13\n1..10\nok 1 - passes\nnot ok 2 - fails\nok 3 # skip not here\nnot ok 4 four # SKIP\nnot ok 5 - later # TODO known bug\nok 6 - soon # todo known bug\nok\nok 8 - a # not a directive\nok 9 - a \\# SKIP \\\\ b\r\nok 10 - unwritten # TODO\n",
    );
    assert_eq!(
        cases(&report),
        [
            "passes Passed -",
            "fails Failed -",
            "3 Skipped not here",
            "four Skipped -",
            "later Skipped known bug",
            "soon Passed -",
            "7 Passed -",
            "a # not a directive Passed -",
            "a # SKIP \\ b Passed -",
            "unwritten Skipped -",
        ]
    );
}

#[test]
fn the_plan_may_come_last_and_noise_anywhere() {
    let report = tap(
        "on <stdout>\nok 1 cart passes # time=12.5ms\nokay\n\nok 2 b # in 10 ms\n1..2\n# tests 2\n",
    );
    assert_eq!(cases(&report), ["cart passes Passed -", "b Passed -"]);
    let seconds: Vec<_> = report
        .tests
        .iter()
        .map(|test| test.duration_seconds)
        .collect();
    assert_eq!(seconds, [Some(0.0125), Some(0.01)]);
}

#[test]
fn a_block_says_what_and_where() {
    let report = tap(
        "TAP version 13\nnot ok 1 - a\n  ---\n  duration_ms: 12.5\n  location: '/w/a.test.js:12:3'\n  error: |-\n    not equal\n    at all\n  stack: |-\n    f (/w/a.test.js:13:12)\n  ...\nnot ok 2 - b\n    ---\n    error:\n        name: \"E\"\n        message: \"a \\\"b\\\"\nok one\"\n    at: \"/w/b.ts:1:2\"\n    ...\nnot ok 3 - c\n  ---\n  message: ''\n  at:\n    line: 7\n    file: c.js\n  stack: |\n    Error: boom\n  ...\n1..3\n",
    );
    assert_eq!(
        cases(&report),
        [
            "a Failed not equal\nat all",
            "b Failed a \"b\"\nok one",
            "c Failed Error: boom"
        ]
    );
    let test = &report.tests[0];
    assert_eq!(test.duration_seconds, Some(0.0125));
    let place = |path: &str, line| {
        Some(Place {
            path: path.to_owned(),
            line: Some(line),
        })
    };
    assert_eq!(test.hints.case, place("/w/a.test.js", 12));
    let details = test.details.as_deref().expect("details");
    assert!(details.contains("/w/a.test.js:13:12") && !details.contains(":12:3"));
    assert_eq!(report.tests[2].hints.failure, place("c.js", 7));
}

#[test]
fn comments_behind_a_failure_are_its_text() {
    let report = tap(
        "1..4\nnot ok 1 - a\n#   Failed test 'a'\n#   at t/a.t line 15.\n#          got: 'x'\nok 2\n# chat\nnot ok 3 b\n# (from function `f' in file test/h.bash, line 4,\n#  in test file test/b.bats, line 14)\n#   `f 3' failed\nnot ok 4\n#   Failed test at t/a.t line 18.\n# Looks like you failed 3 tests of 4.\n",
    );
    assert_eq!(
        cases(&report),
        [
            "a Failed got: 'x'",
            "2 Passed -",
            "b Failed `f 3' failed",
            "4 Failed -"
        ]
    );
    let places: Vec<_> = report
        .tests
        .iter()
        .filter_map(|test| test.hints.failure.clone())
        .map(|place| (place.path, place.line.unwrap_or_default()))
        .collect();
    let expected = [("t/a.t", 15), ("test/h.bash", 4), ("t/a.t", 18)];
    assert_eq!(places, expected.map(|(path, line)| (path.to_owned(), line)));
    let details = report.tests[3].details.as_deref();
    assert_eq!(details, Some("  Failed test at t/a.t line 18."));
}

#[test]
fn indented_lines_behind_a_failure_are_its_text() {
    let report = tap(
        "not ok 1 cart fails\n  1 is 2\n  Error: 1 is 2\n      at f (test/cart.js:12:12)\nnoise\n# tests 1\n# fail 1\n1..1\n",
    );
    assert_eq!(cases(&report), ["cart fails Failed 1 is 2"]);
    assert_eq!(
        report.tests[0].details.as_deref(),
        Some("1 is 2\nError: 1 is 2\nat f (test/cart.js:12:12)")
    );
}

#[test]
fn leaves_are_the_cases_and_parents_their_path() {
    let announced = tap(
        "TAP version 13\n# Subtest: cart\n    # Subtest: passes\n    ok 1 - passes\n      ---\n      duration_ms: 1\n      ...\n    # Subtest: nested\n        # Subtest: fails\n        not ok 1 - fails\n          ---\n          error: 'no'\n          ...\n        1..1\n    not ok 2 - nested\n      ---\n      error: '1 subtest failed'\n      ...\n    1..2\nnot ok 1 - cart\n  ---\n  type: 'suite'\n  ...\n1..1\n",
    );
    let braces = tap(
        "TAP version 13\n1..1\nnot ok 1 - cart # time=2ms {\n    1..2\n    ok 1 - passes # time=1ms\n    not ok 2 - nested {\n        1..1\n        not ok 1 - fails\n            ---\n            error:\n                message: \"no\"\n            ...\n    }\n}\n",
    );
    let old = tap(
        "1..1\n    # Subtest: cart\n    ok 1 - passes\n        # Subtest: nested\n        not ok 1 - fails\n        # no\n        1..1\n    not ok 2 - nested\n    1..2\nnot ok 1 - cart\n",
    );
    for report in [announced, braces, old] {
        assert_eq!(
            cases(&report),
            ["cart > passes Passed -", "cart > nested > fails Failed no"]
        );
    }
}

#[test]
fn a_failed_parent_without_a_failed_child_is_a_case() {
    let report = tap(
        "# Subtest: a\n    ok 1 - b\n    1..1\nnot ok 1 - a\n  ---\n  error: 'hook failed'\n  ...\n# Subtest: c\n    1..0\nok 2 - c # SKIP nothing to do\n1..2\n",
    );
    assert_eq!(
        cases(&report),
        [
            "a > b Passed -",
            "a Failed hook failed",
            "c Skipped nothing to do"
        ]
    );
}

#[test]
fn failures_within_a_todo_are_expected() {
    let report = tap(
        "# Subtest: a\n    # Subtest: b\n        not ok 1 - c\n        1..1\n    not ok 1 - b\n    1..1\nnot ok 1 - a # TODO later\n# Subtest: d\n    not ok 1 - e\n    1..1\nnot ok 2 - d\n1..2\n",
    );
    assert_eq!(
        cases(&report),
        ["a > b > c Skipped later", "d > e Failed -"]
    );
}

#[test]
fn a_plan_of_nothing_has_its_reason() {
    let found = file("1..0 # SKIP not here\n");
    assert_eq!((found.status, found.runs.total), (FileStatus::Ok, 0));
    assert_eq!(
        found.diagnostics[0].message,
        "all tests are skipped: not here"
    );
}

#[test]
fn several_outputs_may_be_in_one_file() {
    for text in [
        "TAP version 13\nok 1 a\n1..1\nTAP version 13\nok 1 b\n1..1\n",
        "ok 1 a\n1..1\nok 1 b\n1..1\n",
        "1..1\nok 1 a\n1..1\nok 1 b\n",
    ] {
        assert_eq!(cases(&tap(text)), ["a Passed -", "b Passed -"]);
    }
}

#[test]
fn what_is_missing_is_an_error() {
    let plan = "the plan is 1..3, and there are 1 test point";
    let none = "there is no plan, so tests may be missing";
    for (text, line, message) in [
        ("1..3\nok 1 - a\n", 3, plan),
        ("ok 1 - a\n1..3\n", 3, plan),
        ("TAP version 14\n", 2, none),
        ("ok 1 - a\nok 2 - b\n", 3, none),
        ("1..2\nok 1\n1..5\nok 2\n", 3, "a second plan"),
        (
            "1..2\nok 1\nBail out! no database\n",
            3,
            "the tests gave up: no database",
        ),
        (
            "1..1\nnot ok 1\n  ---\n  message: x\n",
            5,
            "the file ends inside of a block",
        ),
        (
            "1..2\nnot ok 1\n  ---\n  message: x\nok 2\n",
            5,
            "a block does not end",
        ),
        (
            "1..1\n# Subtest: a\n    1..2\n    ok 1\nok 1 - a\n",
            5,
            "the plan is 1..2, and there are 1 test point",
        ),
    ] {
        assert_eq!(wrong(text), [(line, message.to_owned())], "{text}");
    }
}

#[test]
fn what_is_cut_off_keeps_its_failures() {
    let text = "1..2\n# Subtest: a\n    not ok 1 - b\n      ---\n      message: boom\n      ...\n    # Subtest: c\n";
    let report = read(text);
    assert!(report.has_broken_files());
    assert_eq!(cases(&report), ["a > b Failed boom"]);
    for end in 0..text.len() {
        let found = file(text.get(..end).expect("ASCII"));
        assert!(found.is_broken(), "{end}");
    }
}

#[test]
fn hostile_input_is_bounded() {
    let mut text = "1..1\n".to_owned();
    for depth in 0..500 {
        text.push_str(&format!("{}# Subtest: x\n", " ".repeat(4 * depth)));
        text.push_str(&format!("{}not ok 1\n", " ".repeat(4 * depth)));
    }
    text.push_str(&format!("not ok 2 {}\n", "# ".repeat(1 << 20)));
    for _ in 0..1000 {
        text.push_str(&format!("# {}\n", "y".repeat(1000)));
    }
    let report = read(&text);
    assert!(report.has_broken_files());
    let longest = report.tests.iter().filter_map(|test| test.details.as_ref());
    assert!(longest.map(String::len).max() <= Some(64 << 10));
}

#[test]
fn console_text_is_not_taken_for_it() {
    for text in [
        "ok, so here we go\nok then\n",
        "ok  \tpackage/name\t0.160s\n",
        "compiling\nnot ok\n",
        "{\"a\": \"1..3\"}\n",
        "[\n\"ok\"\n]\n",
        "1..\n1...3\n1..2..3\n",
    ] {
        assert_eq!(file(text).format, None, "{text}");
    }
}

#[test]
fn the_outermost_suite_may_be_the_file() {
    for text in [
        "1..1\nnot ok 1 - test/a.test.ts > cart > fails\n",
        "1..1\nnot ok 1 - test/a.test.ts {\n    1..1\n    not ok 1 - fails\n}\n",
    ] {
        let place = tap(text).tests[0].hints.suite.clone();
        assert_eq!(
            place.map(|place| place.path).as_deref(),
            Some("test/a.test.ts")
        );
    }
}
