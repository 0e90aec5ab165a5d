//! TRX as `VSTest` and its forebears write it.

use super::super::testing::{file, read};
use super::super::{FileStatus, Outcome, Report, Test};

const BEGIN: &str = "\u{FEFF}<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<TestRun id=\"1\" name=\"u@m\" xmlns=\"http://microsoft.com/schemas/VisualStudio/TeamTest/2010\">";
const DEFINITIONS: &str = r#"<TestDefinitions>
<UnitTest name="m" storage="a.dll" id="A1"><Execution id="e1"/><TestMethod codeBase="a.dll" className="N.C" name="m"/></UnitTest>
<UnitTest name="n" id="a2"><TestMethod className="N.D, A, Version=1.0" name="n"/></UnitTest>
</TestDefinitions>"#;

fn document(results: &str, summary: &str) -> String {
    format!("{BEGIN}<Results>{results}</Results>{DEFINITIONS}{summary}</TestRun>")
}

fn trx(results: &str, summary: &str) -> Report {
    let report = read(document(results, summary));
    assert_eq!(report.files[0].format.as_deref(), Some("trx"));
    assert_eq!(report.files[0].diagnostics, []);
    report
}

fn test(results: &str) -> Test {
    let report = trx(results, "");
    assert_eq!(report.tests.len(), 1);
    report.tests[0].clone()
}

#[test]
fn the_class_comes_from_the_definitions_behind_the_results() {
    let report = trx(
        r#"<UnitTestResult testId="a1" testName="N.C.m(1.5)" duration="00:01:02.5" outcome="Passed"/>
<UnitTestResult testId="a2" testName="n" outcome="Passed"/><UnitTestResult testId="a3" testName="o" outcome="Passed"/>"#,
        "",
    );
    let names: Vec<_> = report
        .tests
        .iter()
        .map(|test| (test.class.as_deref(), test.name.as_str()))
        .collect();
    assert_eq!(
        names,
        [(Some("N.C"), "m(1.5)"), (Some("N.D"), "n"), (None, "o")]
    );
    assert_eq!(report.tests[0].duration_seconds, Some(62.5));
}

#[test]
fn a_failure_has_message_and_stack() {
    let test = test(
        r#"<UnitTestResult testId="a1" testName="m" outcome="Failed"><Output><StdOut>chat</StdOut><TextMessages><Message>more</Message></TextMessages><ErrorInfo><Message>Assert &lt;1&gt;</Message><StackTrace>   at N.C.m() in C:\w\C.cs:line 7</StackTrace></ErrorInfo></Output></UnitTestResult>"#,
    );
    assert_eq!(test.outcome, Outcome::Failed);
    assert_eq!(test.message.as_deref(), Some("Assert <1>"));
    assert_eq!(
        test.details.as_deref(),
        Some("   at N.C.m() in C:\\w\\C.cs:line 7")
    );
}

#[test]
fn every_outcome_is_known() {
    for (word, outcome) in [
        ("Passed", Outcome::Passed),
        ("PassedButRunAborted", Outcome::Passed),
        ("Completed", Outcome::Passed),
        ("Warning", Outcome::Passed),
        ("Failed", Outcome::Failed),
        ("NotExecuted", Outcome::Skipped),
        ("Inconclusive", Outcome::Skipped),
        ("NotRunnable", Outcome::Skipped),
        ("Pending", Outcome::Skipped),
        ("Timeout", Outcome::Error),
        ("Aborted", Outcome::Error),
        ("Error", Outcome::Error),
        ("Disconnected", Outcome::Error),
        ("InProgress", Outcome::Error),
    ] {
        let result = format!(r#"<UnitTestResult testId="a1" testName="m" outcome="{word}"/>"#);
        assert_eq!(test(&result).outcome, outcome, "{word}");
    }
    let result = r#"<UnitTestResult testId="a1" testName="m"/>"#;
    assert_eq!(test(result).outcome, Outcome::Error);
}

#[test]
fn the_reason_of_a_skip_may_be_printed() {
    for output in [
        "<ErrorInfo><Message>not here</Message></ErrorInfo><StdOut>chat</StdOut>",
        "<StdOut>\nnot here\n</StdOut>",
    ] {
        let test = test(&format!(
            r#"<UnitTestResult testId="a1" testName="m" outcome="NotExecuted"><Output>{output}</Output></UnitTestResult>"#
        ));
        assert_eq!(test.message.as_deref(), Some("not here"));
    }
}

#[test]
fn of_rows_the_inner_results_count() {
    let report = trx(
        r#"<UnitTestResult testId="a1" testName="m" outcome="Failed" resultType="DataDrivenTest"><Output><ErrorInfo><Message>sum</Message></ErrorInfo></Output><InnerResults>
<UnitTestResult testId="a1" testName="m (Data Row 0)" outcome="Passed"/>
<UnitTestResult testId="a1" testName="m (Data Row 1)" outcome="Failed"><Output><ErrorInfo><Message>row</Message></ErrorInfo></Output></UnitTestResult>
</InnerResults></UnitTestResult>"#,
        "",
    );
    assert_eq!(report.files[0].runs.total, 2);
    assert_eq!(report.tests[1].message.as_deref(), Some("row"));
    assert_eq!(report.tests[1].class.as_deref(), Some("N.C"));
}

#[test]
fn a_broken_host_is_an_error_of_no_test() {
    let passed = r#"<UnitTestResult testId="a1" testName="m" outcome="Passed"/>"#;
    let report = trx(
        passed,
        r#"<ResultSummary outcome="Failed"><Output><StdOut>chat</StdOut></Output><RunInfos><RunInfo outcome="Warning"><Text>odd</Text></RunInfo><RunInfo outcome="Error"><Text>[xUnit.net 00:00:01]  N.C.x [FAIL]</Text></RunInfo><RunInfo outcome="Error"><Text>The host crashed</Text></RunInfo></RunInfos></ResultSummary>"#,
    );
    assert_eq!(report.files[0].runs.total, 1);
    let test = &report.tests[1];
    assert_eq!(
        (test.name.as_str(), test.outcome),
        ("(suite)", Outcome::Error)
    );
    assert_eq!(test.message.as_deref(), Some("The host crashed"));

    let report = trx(passed, r#"<ResultSummary outcome="Aborted"/>"#);
    assert_eq!(
        report.tests[1].message.as_deref(),
        Some("the outcome of the run is `Aborted`")
    );

    for (result, summary) in [
        ("Passed", "Completed"),
        ("Passed", "Warning"),
        ("Failed", "Failed"),
    ] {
        let report = trx(
            &passed.replace("Passed", result),
            &format!(r#"<ResultSummary outcome="{summary}"/>"#),
        );
        assert_eq!(report.tests.len(), 1);
    }
}

#[test]
fn a_file_that_ends_early_keeps_what_was_read() {
    let text = document(
        r#"<UnitTestResult testId="a1" testName="m" outcome="Passed"/><UnitTestResult testId="a2" testName="n" outcome="Failed"><Output><ErrorInfo><Message>boom</Message></ErrorInfo></Output></UnitTestResult>"#,
        "",
    );
    let end = text.find("</ErrorInfo>").expect("an element");
    let report = read(&text.as_bytes()[..end]);
    assert_eq!(report.files[0].status, FileStatus::Partial);
    assert_eq!(report.tests[1].message.as_deref(), Some("boom"));
    for (end, _) in text.char_indices() {
        assert!(file(&text.as_bytes()[..end]).is_broken(), "{end}");
    }
}

#[test]
fn the_same_root_of_another_tool_is_none() {
    let found = file("<TestRun><FailedTests/><SuccessfulTests/></TestRun>");
    assert_eq!(found.format, None);
}
