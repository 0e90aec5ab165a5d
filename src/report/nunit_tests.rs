//! Trees of NUnit 2 and 3.

use super::super::testing::{file, read};
use super::super::{FileStatus, Outcome, Report, Test};

fn nunit(format: &str, content: &str) -> Report {
    let report = read(content);
    assert_eq!(report.files[0].format.as_deref(), Some(format), "{content}");
    assert_eq!(report.files[0].diagnostics, [], "{content}");
    report
}

fn three(suites: &str) -> Report {
    nunit(
        "nunit3",
        &format!(
            r#"<test-run id="2"><test-suite type="Assembly" name="/w/bin/a.dll" result="Failed" site="Child"><failure><message>One or more child tests had errors</message></failure>{suites}</test-suite></test-run>"#
        ),
    )
}

fn case(attributes: &str, inner: &str) -> Test {
    let report = three(&format!(
        r#"<test-suite type="TestFixture" name="C" fullname="N.C"><test-case id="1" name="m(1.5)" fullname="N.C.m(1.5)" classname="N.C" duration="0.5" {attributes}>{inner}</test-case></test-suite>"#
    ));
    assert_eq!(report.tests.len(), 1, "{:?}", report.tests);
    report.tests[0].clone()
}

fn two(results: &str) -> Report {
    nunit(
        "nunit2",
        &format!(
            r#"<test-results name="C:\w\a.dll"><test-suite name="C:\w\a.dll" success="False"><results>{results}</results></test-suite></test-results>"#
        ),
    )
}

#[test]
fn a_case_has_assembly_class_name_and_time() {
    let test = case(r#"result="Passed""#, "");
    assert_eq!(test.suite, ["a.dll"]);
    assert_eq!(
        (test.class.as_deref(), test.name.as_str()),
        (Some("N.C"), "m(1.5)")
    );
    assert_eq!(test.duration_seconds, Some(0.5));
}

#[test]
fn result_and_label_make_the_outcome() {
    for (attributes, outcome) in [
        (r#"result="Passed""#, Outcome::Passed),
        (r#"result="Warning""#, Outcome::Passed),
        (r#"result="Failed""#, Outcome::Failed),
        (r#"result="Failed" label="Error""#, Outcome::Error),
        (r#"result="Failed" label="Invalid""#, Outcome::Error),
        (r#"result="Failed" label="Cancelled""#, Outcome::Error),
        (r#"result="Skipped""#, Outcome::Skipped),
        (r#"result="Skipped" label="Ignored""#, Outcome::Skipped),
        (r#"result="Skipped" label="Explicit""#, Outcome::Skipped),
        (r#"result="Inconclusive""#, Outcome::Skipped),
    ] {
        assert_eq!(case(attributes, "").outcome, outcome, "{attributes}");
    }
}

#[test]
fn texts_are_those_of_failure_reason_and_assertions() {
    let failed = case(
        r#"result="Failed""#,
        "<output>chat</output><failure><message><![CDATA[a < b]]></message><stack-trace>at N.C.m() in /w/C.cs:line 7</stack-trace></failure>",
    );
    assert_eq!(failed.message.as_deref(), Some("a < b"));
    assert_eq!(
        failed.details.as_deref(),
        Some("at N.C.m() in /w/C.cs:line 7")
    );

    let skipped = case(
        r#"result="Skipped" label="Ignored""#,
        "<reason><message>not here</message></reason>",
    );
    assert_eq!(skipped.message.as_deref(), Some("not here"));

    let several = case(
        r#"result="Failed""#,
        r#"<failure><message>Multiple failures</message></failure><assertions><assertion result="Failed"><message>one</message><stack-trace>in C.cs:line 1</stack-trace></assertion><assertion result="Failed"><message>two</message><stack-trace>in C.cs:line 2</stack-trace></assertion></assertions>"#,
    );
    assert_eq!(several.message.as_deref(), Some("Multiple failures"));
    assert_eq!(
        several.details.as_deref(),
        Some("one\nin C.cs:line 1\n\ntwo\nin C.cs:line 2")
    );
}

#[test]
fn what_breaks_around_tests_is_an_error_of_its_own_unless_they_say_it() {
    let suite = |site: &str, result: &str| {
        three(&format!(
            r#"<test-suite type="TestFixture" name="C" classname="N.C" result="Failed" site="{site}"><failure><message>no database</message><stack-trace>in C.cs:line 1</stack-trace></failure><test-case name="m" classname="N.C" result="{result}"/></test-suite>"#
        ))
    };
    for (site, result, errors) in [
        ("SetUp", "Skipped", 1),
        ("SetUp", "Failed", 0),
        ("TearDown", "Passed", 1),
        ("TearDown", "Failed", 1),
        ("Child", "Failed", 0),
        ("Parent", "Failed", 0),
    ] {
        let report = suite(site, result);
        assert_eq!(report.files[0].runs.total, 1);
        let made_up: Vec<_> = report
            .tests
            .iter()
            .filter(|test| test.name == "(suite)")
            .collect();
        assert_eq!(made_up.len(), errors, "{site} {result}");
        for test in made_up {
            assert_eq!(
                (test.class.as_deref(), test.outcome),
                (Some("N.C"), Outcome::Error)
            );
            assert_eq!(test.message.as_deref(), Some("no database"));
        }
    }
}

#[test]
fn version_2_says_it_in_other_words() {
    let report = two(r#"<test-suite name="N.C"><results>
<test-case name="N.C.a" executed="True" success="True" time="1,5"/>
<test-case name="N.C.b(&quot;x.y&quot;)" executed="True" success="False" time="0.1"><failure><message>boom</message><stack-trace>at x</stack-trace></failure></test-case>
<test-case name="N.C.c" executed="False"><reason><message>later</message></reason></test-case>
<test-case name="d" executed="true" success="true"/>
<test-case name="N.C.e" executed="True"><failure><message>old</message></failure></test-case>
<test-case name="N.C.f" executed="True" result="Error" success="False"/>
<test-case name="N.C.g" executed="False" result="NotRunnable"/>
</results></test-suite>"#);
    let found: Vec<_> = report
        .tests
        .iter()
        .map(|test| {
            (
                test.class.as_deref(),
                test.name.as_str(),
                test.outcome,
                test.message.as_deref(),
            )
        })
        .collect();
    let class = Some("N.C");
    assert_eq!(
        found,
        [
            (class, "a", Outcome::Passed, None),
            (class, "b(\"x.y\")", Outcome::Failed, Some("boom")),
            (class, "c", Outcome::Skipped, Some("later")),
            (class, "d", Outcome::Passed, None),
            (class, "e", Outcome::Failed, Some("old")),
            (class, "f", Outcome::Error, None),
            (class, "g", Outcome::Skipped, None),
        ]
    );
    assert_eq!(report.tests[0].suite, ["a.dll"]);
    assert_eq!(report.tests[0].duration_seconds, Some(1.5));
}

#[test]
fn a_file_that_ends_early_keeps_its_failures() {
    let text = r#"<test-run><test-suite type="Assembly" name="a.dll" result="Failed"><test-case name="m" result="Failed"><failure><message>boom</message></failure></test-case></test-suite></test-run>"#;
    let end = text.find("</message>").expect("an element");
    let report = read(&text.as_bytes()[..end]);
    assert_eq!(report.files[0].status, FileStatus::Partial);
    assert_eq!(report.tests[0].message.as_deref(), Some("boom"));
    for end in 0..text.len() {
        assert!(file(&text.as_bytes()[..end]).is_broken(), "{end}");
    }
}
