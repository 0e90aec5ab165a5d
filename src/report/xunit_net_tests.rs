//! What xUnit.net writes in its three versions.

use super::super::testing::{file, read};
use super::super::{FileStatus, Outcome, Place, Report};

fn xunit(assembly: &str) -> Report {
    let report = read(format!(
        "\u{FEFF}<assemblies><assembly name=\"C:\\w\\A.dll\" test-framework=\"xUnit.net 2\">{assembly}</assembly></assemblies>"
    ));
    assert_eq!(report.files[0].format.as_deref(), Some("xunit.net"));
    assert_eq!(report.files[0].diagnostics, []);
    report
}

#[test]
fn tests_have_assembly_class_outcome_and_texts() {
    let report = xunit(
        r#"<errors/><collection name="c">
<test name="N.C.a(x: 1)" type="N.C" method="a" time="0,5" result="Pass"><output>chat</output><traits><trait name="t" value="v"/></traits></test>
<test name="says so" type="N.C" result="Fail"><failure exception-type="E"><message><![CDATA[1 < 2]]></message><stack-trace>at N.C.b() in C:\w\C.cs:line 7</stack-trace></failure></test>
<test name="N.C.c" type="N.C" result="Skip"><reason><![CDATA[later]]></reason></test>
<test name="N.C.d" type="N.C" result="Skip"><reason><message>v1</message></reason></test>
<test name="N.C.e" type="N.C" result="NotRun"/>
<test name="N.C.f" type="N.C" result="Fail"><failure exception-type="N.E"/></test>
</collection>"#,
    );
    let found: Vec<_> = report
        .tests
        .iter()
        .map(|test| (test.name.as_str(), test.outcome, test.message.as_deref()))
        .collect();
    assert_eq!(
        found,
        [
            ("a(x: 1)", Outcome::Passed, None),
            ("says so", Outcome::Failed, Some("1 < 2")),
            ("c", Outcome::Skipped, Some("later")),
            ("d", Outcome::Skipped, Some("v1")),
            ("e", Outcome::Skipped, None),
            ("f", Outcome::Failed, Some("N.E")),
        ]
    );
    let test = &report.tests[1];
    assert_eq!(
        (&test.suite[..], test.class.as_deref()),
        (&["A.dll".to_owned()][..], Some("N.C"))
    );
    assert_eq!(
        test.details.as_deref(),
        Some("at N.C.b() in C:\\w\\C.cs:line 7")
    );
    assert_eq!(report.tests[0].duration_seconds, Some(0.5));
}

#[test]
fn what_breaks_outside_of_tests_is_an_error() {
    let report = xunit(
        r#"<errors><error type="test-class-cleanup" name="N.C"><failure exception-type="E"><message>not closed</message></failure></error></errors><collection><test name="N.C.a" type="N.C" result="Pass"/></collection>"#,
    );
    assert_eq!(report.files[0].runs.total, 1);
    let test = &report.tests[0];
    assert_eq!(
        (test.name.as_str(), test.outcome),
        ("(suite)", Outcome::Error)
    );
    assert_eq!(
        (test.class.as_deref(), test.message.as_deref()),
        (Some("N.C"), Some("not closed"))
    );

    let report = xunit(
        r#"<class name="N.C" total="0"><failure><message>no fixture</message></failure></class>"#,
    );
    assert_eq!(report.tests[0].message.as_deref(), Some("no fixture"));
}

#[test]
fn version_3_knows_places_and_flaky_tests() {
    let report = xunit(
        r#"<collection><test name="a" result="Fail" source-file="/w/C.cs" source-line="9"/><test name="b" result="Pass" flaky="true"/></collection>"#,
    );
    let place = Place {
        path: "/w/C.cs".to_owned(),
        line: Some(9),
    };
    assert_eq!(report.tests[0].hints.case, Some(place));
    assert!(!report.tests[0].flaky && report.tests[1].flaky);
}

#[test]
fn an_assembly_may_be_the_root() {
    let report = read(
        r#"<assembly name="a.dll" run-date="2011-01-01"><class name="N.C"><test name="N.C.a" type="N.C" method="a" result="Pass" time="0.1"/></class></assembly>"#,
    );
    assert_eq!(report.files[0].format.as_deref(), Some("xunit.net"));
    assert_eq!(report.files[0].runs.passed, 1);
    assert_eq!(file("<assembly><id>x</id></assembly>").format, None);
}

#[test]
fn a_file_that_ends_early_keeps_its_failures() {
    let text = r#"<assemblies><assembly name="a"><collection><test name="a" result="Fail"><failure><message>boom</message></failure></test></collection></assembly></assemblies>"#;
    let end = text.find("</message>").expect("an element");
    let report = read(&text.as_bytes()[..end]);
    assert_eq!(report.files[0].status, FileStatus::Partial);
    assert_eq!(report.tests[0].message.as_deref(), Some("boom"));
    for end in 0..text.len() {
        assert!(file(&text.as_bytes()[..end]).is_broken(), "{end}");
    }
}
