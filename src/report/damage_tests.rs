//! Reports of every format of tests, damaged at will: nothing may break the readers.

use proptest::prelude::*;

use super::testing::read;

const REPORTS: &[(&str, &str)] = &[
    (
        "tap",
        "TAP version 14\n1..3\nok 1 - a # time=5ms\n# Subtest: b\n    not ok 1 - c\n      ---\n      message: |-\n        no\n      at:\n        file: a.js\n        line: 7\n      ...\n    1..1\nnot ok 2 - b\n# (in test file test/x.bats, line 12)\nnot ok 3 - d \\# e # TODO later {\n    1..0 # SKIP x\n}\n",
    ),
    (
        "go-test-json",
        "{\"Action\":\"run\",\"Package\":\"p\",\"Test\":\"A\"}\n{\"Action\":\"output\",\"Package\":\"p\",\"Test\":\"A\",\"Output\":\"    a_test.go:12: no\\n\"}\n{\"Action\":\"fail\",\"Package\":\"p\",\"Test\":\"A\",\"Elapsed\":0.5}\nFAIL\tq [build failed]\n{\"Action\":\"fail\",\"Package\":\"p\"}\n",
    ),
    (
        "trx",
        "<TestRun xmlns=\"http://microsoft.com/schemas/VisualStudio/TeamTest/2010\"><Results><UnitTestResult testId=\"a\" testName=\"N.C.m\" duration=\"00:00:01.5\" outcome=\"Failed\"><Output><ErrorInfo><Message>no</Message></ErrorInfo></Output><InnerResults><UnitTestResult testId=\"a\" outcome=\"Failed\"/></InnerResults></UnitTestResult></Results><TestDefinitions><UnitTest id=\"a\"><TestMethod className=\"N.C\"/></UnitTest></TestDefinitions><ResultSummary outcome=\"Failed\"><RunInfos><RunInfo outcome=\"Error\"><Text>x</Text></RunInfo></RunInfos></ResultSummary></TestRun>",
    ),
    (
        "nunit3",
        "<test-run><test-suite type=\"Assembly\" name=\"a.dll\" result=\"Failed\" site=\"TearDown\"><failure><message>no</message></failure><test-case name=\"m\" fullname=\"N.C.m\" result=\"Failed\" label=\"Error\" duration=\"1\"><failure><message>no</message><stack-trace>in a.cs:line 7</stack-trace></failure><assertions><assertion><message>x</message></assertion></assertions></test-case></test-suite></test-run>",
    ),
    (
        "nunit2",
        "<test-results name=\"a.dll\"><test-suite name=\"N.C\" success=\"False\"><results><test-case name=\"N.C.m\" executed=\"True\" success=\"False\" time=\"0,5\"><failure><message>no</message></failure></test-case></results></test-suite></test-results>",
    ),
    (
        "xunit.net",
        "<assemblies><assembly name=\"a.dll\"><errors><error name=\"N.C\"><failure><message>no</message></failure></error></errors><collection><test name=\"N.C.m\" type=\"N.C\" time=\"0.5\" result=\"Fail\"><failure exception-type=\"E\"><message>no</message></failure><reason>x</reason></test></collection></assembly></assemblies>",
    ),
    (
        "mocha-json",
        "{\"stats\":{\"passes\":1},\"tests\":[{\"title\":\"a\",\"fullTitle\":\"s a\",\"duration\":1,\"currentRetry\":1,\"err\":{\"message\":\"no\"}}],\"pending\":[{\"title\":\"a\"}],\"failures\":[{\"title\":\"h\",\"err\":{}}],\"passes\":[]}",
    ),
    (
        "mochawesome",
        "{\"stats\":{\"passPercent\":1},\"results\":[{\"fullFile\":\"a.js\",\"suites\":[{\"tests\":[{\"title\":\"a\",\"state\":\"failed\",\"err\":{\"estack\":\"x\"}}],\"afterHooks\":[{\"state\":\"failed\"}]}]}]}",
    ),
    (
        "rspec-json",
        "{\"version\":\"3\",\"messages\":[\"x\"],\"examples\":[{\"description\":\"a\",\"full_description\":\"s a\",\"status\":\"failed\",\"file_path\":\"./a.rb\",\"line_number\":7,\"exception\":{\"message\":\"no\",\"backtrace\":[\"./a.rb:8\"]}}],\"summary\":{\"errors_outside_of_examples_count\":1},\"summary_line\":\"\"}",
    ),
    (
        "ctrf",
        "{\"results\":{\"tool\":{},\"tests\":[{\"name\":\"a\",\"status\":\"other\",\"rawStatus\":\"error\",\"duration\":5,\"suite\":[\"s\"],\"line\":7,\"filePath\":\"a\",\"retries\":1,\"retryAttempts\":[{\"status\":\"failed\"}]}]}}",
    ),
    (
        "dart-json",
        "{\"protocolVersion\":\"0\",\"runnerVersion\":\"1\",\"type\":\"start\"}\n{\"suite\":{\"id\":0,\"path\":\"/w/test/a.dart\"},\"type\":\"suite\"}\n{\"test\":{\"id\":1,\"name\":\"a\",\"suiteID\":0,\"groupIDs\":[2],\"line\":7,\"url\":\"u\"},\"type\":\"testStart\",\"time\":2}\n{\"testID\":1,\"error\":\"no\",\"stackTrace\":\"test/a.dart 21:7  f\",\"type\":\"error\"}\n{\"testID\":1,\"result\":\"failure\",\"type\":\"testDone\",\"time\":1}\n{\"success\":false,\"type\":\"done\"}\n",
    ),
];

#[test]
fn every_format_is_recognised_and_red_and_whole() {
    for (format, text) in REPORTS {
        let report = read(text);
        let file = &report.files[0];
        assert_eq!(file.format.as_deref(), Some(*format), "{text}");
        assert!(!file.is_broken(), "{format}: {:?}", file.diagnostics);
        let red = report.tests.iter().any(|test| test.outcome.is_red());
        assert!(red, "{format}: {:?}", report.tests);
    }
}

/// Bytes of all reports, as pieces to put somewhere.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..4),
        (0..REPORTS.len(), any::<u16>(), 0_usize..60).prop_map(|(report, from, length)| {
            let bytes = REPORTS[report].1.as_bytes();
            let from = usize::from(from) % bytes.len();
            bytes[from..].iter().take(length).copied().collect()
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_is_changed_it_is_read(
        report in 0..REPORTS.len(),
        changes in prop::collection::vec((any::<u16>(), 0_usize..40, piece()), 1..6),
    ) {
        let mut bytes = REPORTS[report].1.as_bytes().to_vec();
        for (at, removed, piece) in changes {
            let at = usize::from(at) % (bytes.len() + 1);
            let end = (at + removed).min(bytes.len());
            bytes.splice(at..end, piece);
        }
        let report = read(&bytes);
        let file = &report.files[0];
        // Nothing is lost in silence.
        prop_assert!(file.format.is_some() || file.is_broken());
        prop_assert_eq!(
            file.runs.total,
            file.runs.passed + file.runs.failed + file.runs.errors + file.runs.skipped
        );
    }
}
