//! Events of Dart and Flutter, whole and damaged.

use super::super::testing::{file, read};
use super::super::{FileStatus, Outcome, Report};

const BEGIN: &str = r#"{"protocolVersion":"0.1.1","runnerVersion":"1.23.1","pid":1,"type":"start","time":0}
{"suite":{"id":0,"platform":"vm","path":"/w/app/test/a_test.dart"},"type":"suite","time":0}
{"test":{"id":1,"name":"loading /w/app/test/a_test.dart","suiteID":0,"groupIDs":[],"metadata":{"skip":false,"skipReason":null},"line":null,"column":null,"url":null},"type":"testStart","time":2}
{"testID":1,"result":"success","skipped":false,"hidden":true,"type":"testDone","time":9}
{"group":{"id":2,"suiteID":0,"parentID":null,"name":"","metadata":{},"testCount":3},"type":"group","time":9}
{"group":{"id":3,"suiteID":0,"parentID":2,"name":"cart","metadata":{},"testCount":3},"type":"group","time":9}
"#;
const DONE: &str = "{\"success\":true,\"type\":\"done\",\"time\":99}\n";

fn start(id: u32, name: &str) -> String {
    format!(
        "{{\"test\":{{\"id\":{id},\"name\":\"cart {name}\",\"suiteID\":0,\"groupIDs\":[2,3],\"metadata\":{{\"skip\":true,\"skipReason\":\"later\"}},\"line\":14,\"column\":5,\"url\":\"package:x/x.dart\",\"root_line\":7,\"root_column\":1,\"root_url\":\"file:///w/app/test/a_test.dart\"}},\"type\":\"testStart\",\"time\":1000}}\n"
    )
}

fn done(id: u32, result: &str, skipped: bool) -> String {
    format!(
        "{{\"testID\":{id},\"result\":\"{result}\",\"skipped\":{skipped},\"hidden\":false,\"type\":\"testDone\",\"time\":2500}}\n"
    )
}

fn error(id: u32, text: &str, stack: &str) -> String {
    format!(
        "{{\"testID\":{id},\"error\":\"{text}\",\"stackTrace\":\"{stack}\",\"isFailure\":true,\"type\":\"error\",\"time\":9}}\n"
    )
}

fn document(events: &[String]) -> String {
    format!("{BEGIN}{}{DONE}", events.concat())
}

fn dart(content: &str) -> Report {
    let report = read(content);
    assert_eq!(report.files[0].format.as_deref(), Some("dart-json"));
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

fn events() -> Vec<String> {
    vec![
        start(4, "passes"),
        start(5, "fails"),
        done(4, "success", false),
        error(
            5,
            "Expected: 1",
            "package:matcher/src/e.dart 149:31  fail\\ntest/a_test.dart 21:7    main.<fn>\\n",
        ),
        done(5, "failure", false),
        start(6, "waits"),
        done(6, "success", true),
        start(7, "breaks"),
        error(7, "boom", "test/a_test.dart 9:7  f\\n"),
        error(7, "and more", ""),
        done(7, "error", false),
    ]
}

#[test]
fn tests_have_file_group_outcome_and_time() {
    let report = dart(&document(&events()));
    assert_eq!(report.files[0].runs.total, 4);
    assert_eq!(
        cases(&report),
        [
            ("passes", Outcome::Passed, None),
            ("fails", Outcome::Failed, Some("Expected: 1")),
            ("waits", Outcome::Skipped, Some("later")),
            ("breaks", Outcome::Error, Some("boom")),
        ]
    );
    let test = &report.tests[1];
    assert_eq!(
        (&test.suite[..], test.class.as_deref()),
        (&["cart".to_owned()][..], Some("test/a_test.dart"))
    );
    assert_eq!(test.duration_seconds, Some(1.5));
    assert_eq!(
        test.details.as_deref(),
        Some("package:matcher/src/e.dart:149:31  fail\ntest/a_test.dart:21:7    main.<fn>")
    );
    let place = test.hints.case.clone().expect("a place");
    assert_eq!(
        (place.path.as_str(), place.line),
        ("file:///w/app/test/a_test.dart", Some(7))
    );
    let details = report.tests[3].details.as_deref();
    assert_eq!(details, Some("test/a_test.dart:9:7  f\n\nand more"));
}

#[test]
fn an_array_of_events_is_the_same() {
    let lines = document(&events());
    let elements: Vec<_> = lines.lines().collect();
    let expected = cases(&dart(&lines)).len();
    for array in [
        format!("[{}]", elements.join(",")),
        format!("[\n  {}\n]\n", elements.join(",\n  ")),
    ] {
        assert_eq!(cases(&dart(&array)).len(), expected);
    }
}

#[test]
fn flutter_prints_what_failed_and_speaks_in_between() {
    let text = document(&[
        "[{\"event\":\"test.startedProcess\",\"params\":{}}]\n".to_owned(),
        start(4, "fails"),
        "{\"testID\":4,\"messageType\":\"print\",\"message\":\"══╡ EXCEPTION ╞══\\nThe following TestFailure was thrown running a test:\\nExpected: 1\\n  Actual: 2\\n\\nWhen the exception was thrown, this was the stack:\\n#4 main (file:///w/app/test/a_test.dart:18:5)\",\"type\":\"print\",\"time\":1}\n".to_owned(),
        error(4, "Test failed. See exception logs above.\\nThe test description was: fails", ""),
        done(4, "error", false),
    ]);
    let report = dart(&text);
    assert_eq!(
        cases(&report),
        [("fails", Outcome::Error, Some("Expected: 1\n  Actual: 2"))]
    );
    let details = report.tests[0].details.as_deref();
    assert!(details.is_some_and(|text| text.contains("a_test.dart:18:5")));

    let first = "[{\"event\":\"daemon.connected\"}]\n";
    assert_eq!(cases(&dart(&format!("{first}{text}"))).len(), 1);
}

#[test]
fn a_file_that_cannot_be_loaded_is_an_error_though_it_is_hidden() {
    let text = BEGIN.replace(r#""result":"success""#, r#""result":"error""#);
    let report = dart(&format!("{text}{}", DONE.replace("true", "false")));
    assert_eq!(report.tests[0].name, "loading /w/app/test/a_test.dart");
    assert_eq!(report.tests[0].outcome, Outcome::Error);
}

#[test]
fn what_goes_wrong_outside_of_tests_is_an_error_too() {
    let late = [
        start(4, "a"),
        done(4, "success", false),
        error(4, "late", ""),
    ];
    let report = dart(&document(&late));
    assert_eq!(cases(&report)[1], ("(suite)", Outcome::Error, Some("late")));

    let text = format!("{BEGIN}{}", DONE.replace("true", "false"));
    let report = dart(&text);
    assert_eq!(cases(&report)[0].0, "(suite)");
}

#[test]
fn a_file_that_ends_early_is_broken() {
    let text = [
        BEGIN,
        &start(4, "a"),
        &done(4, "success", false),
        &start(5, "b"),
    ]
    .concat();
    let report = read(&text);
    let found = &report.files[0];
    assert_eq!(found.status, FileStatus::Partial);
    assert_eq!(
        found.diagnostics[0].message,
        "the file ends before the tests do"
    );
    assert_eq!(found.diagnostics[0].line, 10);
    assert_eq!(cases(&report)[1].1, Outcome::Error);

    let stopped = format!("{BEGIN}{}", DONE.replace("true", "null"));
    assert!(file(&stopped).is_broken());

    for text in [
        document(&events()),
        format!(
            "[{}]",
            document(&events()).lines().collect::<Vec<_>>().join(",")
        ),
    ] {
        for (end, _) in text.trim_end().char_indices() {
            assert!(file(&text.as_bytes()[..end]).is_broken(), "{end}");
        }
    }
}

#[test]
fn lines_that_are_no_events_are_passed_over_or_said() {
    let found = file(format!("Downloading…\n{}", document(&events())));
    assert_eq!((found.status, found.diagnostics.len()), (FileStatus::Ok, 1));
    let found = file(format!("{BEGIN}{{\"type\": x}}\n{DONE}"));
    assert_eq!(
        (found.diagnostics[0].line, found.diagnostics[0].column),
        (7, 10)
    );
}
