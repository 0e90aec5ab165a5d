//! What JUnit files mean, dialect by dialect.

use super::super::testing::{file, junit, read, reads, test};
use super::super::{Collector, FileStatus, Limits, Outcome, Place, test_id};

fn outcome(content: &str) -> Outcome {
    test(&format!("<testsuite>{content}</testsuite>")).outcome
}

#[test]
fn cases_count_at_any_depth_and_below_either_root() {
    for content in [
        "<testsuites><testsuite name='a'><testsuite name='b'><testcase name='x'/></testsuite></testsuite></testsuites>",
        "<testsuite name='a'><properties><property name='p' value='v'/></properties><testsuite name='b'><testcase name='x'/></testsuite></testsuite>",
    ] {
        assert_eq!(test(content).suite, ["a", "b"]);
    }
    assert_eq!(
        junit("<testsuites><testcase name='x'/><testcase name='y'/></testsuites>")
            .tests
            .len(),
        2
    );
    assert_eq!(junit("<testsuites/>").files[0].status, FileStatus::Ok);
}

#[test]
fn the_outcome_is_what_the_elements_say() {
    assert_eq!(outcome("<testcase name='x'/>"), Outcome::Passed);
    assert_eq!(
        outcome("<testcase name='x'><failure/></testcase>"),
        Outcome::Failed
    );
    assert_eq!(
        outcome("<testcase name='x'><error/></testcase>"),
        Outcome::Error
    );
    assert_eq!(
        outcome("<testcase name='x'><skipped/></testcase>"),
        Outcome::Skipped
    );
    assert_eq!(
        outcome("<testcase name='x'><skipped/><failure/></testcase>"),
        Outcome::Failed
    );
    assert_eq!(
        outcome("<testcase name='x' status='notrun'/>"),
        Outcome::Skipped
    );
    assert_eq!(
        outcome("<testcase name='x' status='notrun' result='suppressed'/>"),
        Outcome::Skipped
    );
    assert_eq!(
        outcome("<testcase name='x' status='disabled'/>"),
        Outcome::Skipped
    );
    assert_eq!(
        outcome("<testcase name='x' status='run' result='skipped'/>"),
        Outcome::Skipped
    );
    assert_eq!(
        outcome("<testcase name='x' status='run' result='completed'/>"),
        Outcome::Passed
    );
}

#[test]
fn text_is_joined_around_references_and_sections() {
    let found = test(
        "<testsuite><testcase name='a &lt; b'><failure message='x &amp;&#10;y'>1 &lt; 2 <![CDATA[<&amp;>]]> &#x41;</failure></testcase></testsuite>",
    );
    assert_eq!(found.name, "a < b");
    assert_eq!(found.message.as_deref(), Some("x &\ny"));
    assert_eq!(found.details.as_deref(), Some("1 < 2 <&amp;> A"));
}

#[test]
fn several_failures_are_one_message_and_all_texts() {
    let found = test(
        "<testsuite><testcase name='x'><failure message='one'>first</failure><failure message='two'>two: second</failure><error>third</error></testcase></testsuite>",
    );
    assert_eq!(found.outcome, Outcome::Error);
    assert_eq!(found.message.as_deref(), Some("one"));
    assert_eq!(
        found.details.as_deref(),
        Some("first\n\ntwo: second\n\nthird")
    );
}

#[test]
fn the_type_stands_in_for_a_message() {
    let found = test("<testsuite><testcase name='x'><error type='E'/></testcase></testsuite>");
    assert_eq!(found.message.as_deref(), Some("E"));
}

#[test]
fn a_skip_has_its_reason_from_message_body_or_status() {
    let reason = |content: &str| test(&format!("<testsuite>{content}</testsuite>")).message;
    assert_eq!(
        reason(
            "<testcase name='x'><skipped type='pytest.xfail' message='m'>t</skipped></testcase>"
        )
        .as_deref(),
        Some("m")
    );
    assert_eq!(
        reason("<testcase name='x'><skipped> later </skipped></testcase>").as_deref(),
        Some("later")
    );
    assert_eq!(reason("<testcase name='x'><skipped/></testcase>"), None);
    assert_eq!(
        reason("<testcase name='x' status='disabled'/>").as_deref(),
        Some("disabled")
    );
}

#[test]
fn a_passed_case_with_evidence_of_a_retry_is_flaky() {
    let found = test(
        "<testsuite><testcase name='x' time='1'><flakyFailure message='m'><stackTrace>t</stackTrace><system-out>o</system-out></flakyFailure><flakyError/></testcase></testsuite>",
    );
    assert_eq!(
        (found.outcome, found.flaky, found.runs),
        (Outcome::Passed, true, 3)
    );
    assert_eq!(
        (found.message.as_deref(), found.details.as_deref()),
        (Some("m"), Some("t"))
    );
}

#[test]
fn a_case_that_failed_every_time_is_failed() {
    let found = test(
        "<testsuite><testcase name='x'><failure message='m'>a</failure><rerunFailure message='n'>b</rerunFailure></testcase></testsuite>",
    );
    assert_eq!(
        (found.outcome, found.flaky, found.runs),
        (Outcome::Failed, false, 2)
    );
    assert_eq!(
        (found.message.as_deref(), found.details.as_deref()),
        (Some("m"), Some("a\n\nb"))
    );
}

#[test]
fn the_same_id_twice_is_one_test_with_the_worst_outcome() {
    // pytest-rerunfailures 16.6.1 writes one empty case for each attempt.
    let found = test(
        "<testsuite><testcase name='x' time='1'/><testcase name='x' time='2'/><testcase name='x' time='1'><failure message='m'/></testcase><testcase name='x'/></testsuite>",
    );
    assert_eq!(
        (found.outcome, found.flaky, found.runs),
        (Outcome::Failed, false, 4)
    );
    assert_eq!(
        (found.message.as_deref(), found.duration_seconds),
        (Some("m"), Some(4.0))
    );
    let found = test(
        "<testsuite><testcase name='x'><failure>a</failure></testcase><testcase name='x'><error>b</error></testcase></testsuite>",
    );
    assert_eq!(
        (found.outcome, found.details.as_deref()),
        (Outcome::Error, Some("b\n\na"))
    );
}

#[test]
fn what_pytest_has_twice_was_run_again() {
    let suite = |cases: &str| test(&format!("<testsuite name='pytest'>{cases}</testsuite>"));
    let passed = suite("<testcase name='x'/><testcase name='x'/>");
    assert_eq!(
        (passed.outcome, passed.flaky, passed.runs),
        (Outcome::Passed, true, 2)
    );
    let failed =
        suite("<testcase name='x'/><testcase name='x'/><testcase name='x'><failure/></testcase>");
    assert_eq!((failed.outcome, failed.flaky), (Outcome::Failed, false));
    // A failing subtest is a case of its own beside that of its test.
    let subtest = suite("<testcase name='x'><failure/></testcase><testcase name='x'/>");
    assert_eq!((subtest.outcome, subtest.flaky), (Outcome::Failed, false));
    // Two sessions, or another tool.
    let cases = "<testcase name='x'/>";
    let sessions = test(&format!(
        "<testsuites><testsuite name='pytest'>{cases}</testsuite><testsuite name='pytest'>{cases}</testsuite></testsuites>"
    ));
    assert!(!sessions.flaky);
    assert!(!test(&format!("<testsuite>{cases}{cases}</testsuite>")).flaky);
}

#[test]
fn bazel_has_earlier_attempts_in_a_folder() {
    let red = "<testsuite><testcase name='x'><failure message='m'/></testcase></testsuite>";
    let green = "<testsuite><testcase name='x'/></testsuite>";
    let (last, attempt) = ("t/test.xml", "t/test_attempts/attempt_1.xml");
    for (files, outcome, flaky) in [
        ([(last, green), (attempt, red)], Outcome::Passed, true),
        ([(attempt, red), (last, green)], Outcome::Passed, true),
        ([(attempt, red), (last, red)], Outcome::Failed, false),
        ([(attempt, green), (last, red)], Outcome::Failed, false),
        ([(attempt, red), (attempt, green)], Outcome::Failed, false),
    ] {
        let mut collector = Collector::new(Limits::default());
        for (path, content) in files {
            collector.read(path, content.as_bytes());
        }
        let report = collector.finish();
        let found = &report.tests[0];
        assert_eq!((found.outcome, found.flaky), (outcome, flaky), "{files:?}");
        assert_eq!((found.runs, found.message.as_deref()), (2, Some("m")));
    }
}

#[test]
fn a_failure_that_was_expected_is_skipped() {
    for skipped in [
        "<skipped type='todo' message='later'/>",
        "<skipped message='TEST_CASE tagged with !mayfail'/>",
    ] {
        let case = format!("<testcase name='x'>{skipped}<failure message='m'/></testcase>");
        assert_eq!(outcome(&case), Outcome::Skipped, "{case}");
    }
    let skip_after_failure = "<testcase name='x'><failure/><skipped type='SKIP'/></testcase>";
    assert_eq!(outcome(skip_after_failure), Outcome::Failed);
}

#[test]
fn what_a_case_wrote_is_told_when_its_failure_says_nothing() {
    let details = |case: &str| test(&format!("<testsuite>{case}</testsuite>")).details;
    let output = "<system-out>a.cc:3: no</system-out><system-err>e</system-err>";
    assert_eq!(
        details(&format!(
            "<testcase name='x'><failure message=''/>{output}</testcase>"
        ))
        .as_deref(),
        Some("a.cc:3: no\n\ne")
    );
    let with_text = format!("<testcase name='x'><failure>t</failure>{output}</testcase>");
    assert_eq!(details(&with_text).as_deref(), Some("t"));
    assert_eq!(
        details(&format!("<testcase name='x'>{output}</testcase>")),
        None
    );
}

#[test]
fn what_is_declared_is_compared_and_not_believed() {
    let remarks = |content: &str| {
        let file = file(content);
        let texts: Vec<_> = file
            .diagnostics
            .into_iter()
            .map(|one| (one.column, one.message))
            .collect();
        assert_eq!(file.status, FileStatus::Ok);
        texts
    };
    let text = "3 tests declared, 1 found; what is found counts".to_owned();
    assert_eq!(
        remarks(
            "<testsuites tests='9'><testsuite tests='3'><testcase name='x'/></testsuite></testsuites>"
        ),
        [(64, text)]
    );
    assert_eq!(
        remarks("<testsuites tests='1'><testcase name='x'/></testsuites>"),
        []
    );
    assert_eq!(
        remarks("<testsuites tests='1'><testsuite/></testsuites>").len(),
        1
    );
    // Catch2 counts assertions.
    assert_eq!(
        remarks("<testsuite tests='9' hostname='tbd'><testcase name='x'/></testsuite>"),
        []
    );
    assert_eq!(
        remarks("<testsuite tests='many'><testcase name='x'/></testsuite>"),
        []
    );
}

#[test]
fn runs_are_counted_by_file_and_tests_over_all() {
    let report = reads(&[
        b"<testsuite name='s'><testcase name='x'/></testsuite>",
        b"<testsuite name='s'><testcase name='x'><failure/></testcase></testsuite>",
    ]);
    assert_eq!(
        (report.files[0].runs.passed, report.files[1].runs.failed),
        (1, 1)
    );
    let totals = report.totals();
    assert_eq!(
        (totals.tests, totals.runs, totals.passed, totals.failed),
        (1, 2, 0, 1)
    );
}

#[test]
fn trouble_of_a_suite_is_a_test_of_its_own() {
    let report = junit(
        "<testsuites><testsuite name='s' file='a.py'><error message='setup'>t</error><testcase name='x'/></testsuite></testsuites>",
    );
    assert_eq!(report.files[0].runs.total, 1);
    assert_eq!(report.tests.len(), 2);
    let found = &report.tests[1];
    assert_eq!(
        (found.outcome, found.suite.as_slice()),
        (Outcome::Error, &["s".to_owned()][..])
    );
    assert_eq!(found.message.as_deref(), Some("setup"));
}

#[test]
fn a_case_may_have_no_name_and_no_class() {
    let found = test("<testsuite><testcase/></testsuite>");
    assert_eq!((found.name.as_str(), found.class), ("", None));
}

#[test]
fn times_are_read_as_tools_write_them() {
    for (time, expected) in [
        ("1.5", Some(1.5)),
        ("1,024.12", Some(1024.12)),
        ("1.024,12", Some(1024.12)),
        ("0,03", Some(0.03)),
        ("1,234,567", Some(1_234_567.0)),
        ("22.2s", Some(22.2)),
        ("1e-05", Some(1e-5)),
        (" 3 ", Some(3.0)),
        ("", None),
        ("NaN", None),
        ("inf", None),
        ("-1", None),
        ("{duration}", None),
    ] {
        let found = test(&format!(
            "<testsuite><testcase name='x' time='{time}'/></testsuite>"
        ));
        assert_eq!(found.duration_seconds, expected, "{time}");
    }
}

#[test]
fn logs_of_tests_are_passed_over() {
    let found = test(
        "<testsuite><testcase name='x'><system-out>a<![CDATA[</system-out><testcase name='y'/>]]><!-- </system-out> -->&lt;b</system-out><failure>f</failure></testcase><system-err/></testsuite>",
    );
    assert_eq!(found.details.as_deref(), Some("f"));
    let huge = "x".repeat(3 << 20);
    let report = read(format!(
        "<testsuite><testcase name='x'/><system-out><![CDATA[{huge}]]>{huge}</system-out></testsuite>"
    ));
    assert!(!report.has_broken_files());
}

#[test]
fn long_texts_lose_their_middle_and_long_names_their_end() {
    let found = test(&format!(
        "<testsuite><testcase name='{}'><failure message='{}'>{}</failure></testcase></testsuite>",
        "n".repeat(5000),
        "m".repeat(50_000),
        "d".repeat(500_000)
    ));
    assert_eq!(found.name.chars().count(), 1000);
    assert!(found.message.is_some_and(|text| text.len() <= 8 << 10));
    assert!(
        found
            .details
            .is_some_and(|text| text.len() <= 64 << 10 && text.contains("left out"))
    );
    assert_eq!(found.id, test_id(&[], None, &"n".repeat(5000)));
}

#[test]
fn lines_of_pytest_count_from_zero_and_others_from_one() {
    let place = |suite: &str| {
        let found = test(&format!(
            "<testsuites><testsuite name='{suite}'><testcase name='x' file='a.py' line='4'><failure/></testcase></testsuite></testsuites>"
        ));
        found.hints.case
    };
    let at = |line| {
        Some(Place {
            path: "a.py".to_owned(),
            line: Some(line),
        })
    };
    assert_eq!(place("pytest"), at(5));
    assert_eq!(place("other"), at(4));
}

#[test]
fn a_case_cut_off_after_its_failure_counts() {
    let report = read("<testsuite><testcase name='a'/><testcase name='b'><failure message='m'>tex");
    assert_eq!(report.files[0].status, FileStatus::Partial);
    assert_eq!(report.tests.len(), 2);
    assert_eq!(report.tests[1].outcome, Outcome::Failed);
    let cut = read("<testsuite><testcase name='a'/><testcase name='b'>");
    assert_eq!(cut.tests.len(), 1);
    assert!(cut.has_broken_files());
}

#[test]
fn ids_depend_on_where_names_end() {
    let id = |suite: &[&str], class, name| {
        test_id(
            &suite
                .iter()
                .map(|part| (*part).to_owned())
                .collect::<Vec<_>>(),
            class,
            name,
        )
    };
    let all = [
        id(&[], None, "ab"),
        id(&[], Some("a"), "b"),
        id(&["a"], None, "b"),
        id(&["a", "b"], None, ""),
        id(&[], Some(""), "ab"),
    ];
    let different: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!(different.len(), all.len());
    assert!(all.iter().all(|id| {
        id.len() == 32
            && id
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase())
    }));
    // Stored and shown by address: must never change.
    assert_eq!(
        id(&["s"], Some("c"), "n"),
        "3520dcbf711930dc42f6161c14d6c3cf"
    );
}

#[test]
fn the_format_is_seen_behind_comments_and_types() {
    for before in [
        "",
        "\u{FEFF}",
        "<?xml version='1.0'?>",
        "<!-- <html> -->",
        "<!DOCTYPE testsuite [<!ELEMENT a (b)>]>",
        "\n",
    ] {
        let found = file(format!(
            "{before}<testsuite><testcase name='x'/></testsuite>"
        ));
        assert_eq!(
            (found.format.as_deref(), found.status),
            (Some("junit"), FileStatus::Ok),
            "{before}"
        );
        assert_eq!(found.diagnostics, [], "{before}");
    }
}
