//! What is said of XML that is none, and what is read of it all the same.

use super::super::testing::{file, read};
use super::super::{Collector, DiagnosticSeverity, FileReport, FileStatus, Limits};

/// Place and words of the only thing that is said.
fn note(content: impl AsRef<[u8]>) -> (u64, u64, String) {
    let file = file(content);
    assert!(file.is_broken());
    assert_eq!(file.diagnostics.len(), 1, "{:?}", file.diagnostics);
    let first = &file.diagnostics[0];
    (first.line, first.column, first.message.clone())
}

/// The file is broken there, and two cases were read.
fn broken(content: impl AsRef<[u8]>, line: u64, column: u64, words: &str) {
    let file = file(content);
    assert_eq!(file.status, FileStatus::Partial, "{words}");
    assert_eq!(file.runs.total, 2, "{words}");
    let first = &file.diagnostics[0];
    assert_eq!(
        (first.line, first.column),
        (line, column),
        "{}",
        first.message
    );
    assert!(first.message.contains(words), "{}", first.message);
}

#[test]
fn what_was_read_before_the_break_is_kept() {
    broken(
        "<testsuite>\n<testcase/>\n<testcase/>\n<testcase",
        4,
        1,
        "not closed",
    );
    broken(
        "<testsuite>\n<testcase/><testcase/>\n<a>",
        3,
        4,
        "the file ends inside of <a>",
    );
    broken(
        "<testsuite>\n<testcase/><testcase/>\n  <a></b></testsuite>",
        3,
        6,
        "expected `</a>`",
    );
    broken(
        "<testsuite><testcase/><testcase/><![CDATA[ x",
        1,
        34,
        "CDATA not closed",
    );
    broken(
        "<testsuite><testcase/><testcase/></testsuite></x>",
        1,
        46,
        "`</x>`",
    );
}

#[test]
fn what_is_wrong_within_does_not_end_the_reading() {
    broken(
        "<testsuite>\n<testcase name='a<b'/><testcase/></testsuite>",
        2,
        1,
        "`<`",
    );
    broken(
        "<testsuite>\n<testcase name='a' name='b'/><testcase/></testsuite>",
        2,
        20,
        "twice",
    );
    broken(
        "<testsuite>\n<testcase name/><testcase/></testsuite>",
        2,
        15,
        "without a value",
    );
    broken(
        "<testsuite>\n<testcase name=a/><testcase/></testsuite>",
        2,
        16,
        "without quotes",
    );
    broken(
        "<testsuite><testcase name='&nope;'/><testcase/></testsuite>",
        1,
        12,
        "`&nope;` is not defined",
    );
    broken(
        "<testsuite>\nä &nope;<testcase/><testcase/></testsuite>",
        2,
        3,
        "`&nope;` is not defined",
    );
    broken(
        "<testsuite>ä & b<testcase/><testcase/></testsuite>",
        1,
        14,
        "`&amp;`",
    );
    broken(
        "<testsuite>&#x1B;<testcase/><testcase/></testsuite>",
        1,
        12,
        "does not allow",
    );
    broken(
        "<testsuite>\n\u{1}<testcase/><testcase/></testsuite>",
        2,
        1,
        "U+0001",
    );
    broken(
        "<testsuite>\n  \0<testcase/><testcase/></testsuite>",
        2,
        3,
        "U+0000",
    );
    broken(
        "<testsuite><testcase/></testsuite>\n<testsuite><testcase/></testsuite>",
        2,
        1,
        "second root",
    );
    broken(
        "<testsuite><testcase/><testcase/></testsuite>\n done",
        2,
        2,
        "outside of the root",
    );
    broken(
        "start\n<testsuite><testcase/><testcase/></testsuite>",
        1,
        1,
        "outside of the root",
    );
}

#[test]
fn logs_must_be_well_formed_too() {
    let within = |log: &str| {
        format!("<testsuite><testcase/><testcase/>\n<system-out>{log}</system-out></testsuite>")
    };
    broken(within("a & b"), 2, 15, "`&amp;`");
    broken(within("a\n&nope;"), 3, 1, "not defined");
    broken(within("<![CDATA[\u{1b}[31m]]>"), 2, 22, "U+001B");
    broken(within("<x></y>"), 2, 16, "expected `</x>`");
    broken(
        "<testsuite><testcase/><testcase/><system-out><![CDATA[ x",
        1,
        46,
        "CDATA not closed",
    );
}

#[test]
fn what_is_no_report_is_said_to_be_none() {
    assert_eq!(note(""), (1, 1, "the file is empty".to_owned()));
    assert_eq!(note("   \n").2, "there is nothing but space in the file");
    assert_eq!(
        note("<?xml version='1.0'?><!-- nothing -->").2,
        "there is no root element"
    );
    assert_eq!(
        note("<html></html>").2,
        "no known kind of report has <html> as its root element"
    );
    assert_eq!(note("all is well").2, "this is no known kind of report");
    assert_eq!(file("").status, FileStatus::Unreadable);
}

#[test]
fn a_broken_file_without_a_case_is_unreadable() {
    assert_eq!(
        file("<testsuites><testsuite").status,
        FileStatus::Unreadable
    );
}

#[test]
fn an_escape_character_is_kept_so_that_colours_can_be_taken_out() {
    let report = read("<testsuite><testcase name='a&#27;[31mb'/></testsuite>");
    assert_eq!(report.tests[0].name, "a\u{1b}[31mb");
    assert!(report.has_broken_files());
}

#[test]
fn entities_of_a_document_type_are_never_expanded_or_fetched() {
    let report = read(
        "<!DOCTYPE t [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'><!ENTITY x SYSTEM 'file:///etc/passwd'>]><testsuite><testcase name='t'><failure>&b;&x;</failure></testcase></testsuite>",
    );
    assert_eq!(report.tests[0].details.as_deref(), Some("&b;&x;"));
    assert!(report.has_broken_files());
}

#[test]
fn encodings_are_those_of_mark_pattern_and_declaration() {
    let xml = |encoding: &str| {
        format!(
            "<?xml version='1.0' encoding='{encoding}'?>\n<testsuite><testcase name='größe'/></testsuite>"
        )
    };
    let wide = |text: &str, little: bool| -> Vec<u8> {
        text.encode_utf16()
            .flat_map(|unit| {
                if little {
                    unit.to_le_bytes()
                } else {
                    unit.to_be_bytes()
                }
            })
            .collect()
    };
    let latin: Vec<u8> = xml("ISO-8859-1")
        .chars()
        .map(|char| u8::try_from(u32::from(char)).expect("Latin-1"))
        .collect();
    for bytes in [
        xml("UTF-8").into_bytes(),
        // .NET declares what its string was in, not what the file is in.
        xml("utf-16").into_bytes(),
        xml("no-such-encoding").into_bytes(),
        format!("\u{FEFF}{}", xml("UTF-8")).into_bytes(),
        wide(&format!("\u{FEFF}{}", xml("UTF-16")), true),
        wide(&format!("\u{FEFF}{}", xml("UTF-16")), false),
        wide(&xml("UTF-16"), true),
        wide(&xml("UTF-16"), false),
        latin,
    ] {
        let report = read(&bytes);
        assert_eq!(report.files[0].diagnostics, [], "{bytes:?}");
        assert_eq!(report.tests[0].name, "größe", "{bytes:?}");
    }
    let mut invalid = xml("UTF-8").replace("ße", "").into_bytes();
    let at = invalid.len() - "'/></testsuite>".len();
    invalid.insert(at, 0xFF);
    let (line, column, words) = note(&invalid);
    assert_eq!((line, column), (2, 31), "{words}");
}

#[test]
fn elements_are_not_nested_without_end() {
    let deep = "<testsuite>".repeat(300);
    let file = file(format!("{deep}<testcase/>"));
    assert!(
        file.diagnostics[0].message.contains("nested"),
        "{:?}",
        file.diagnostics
    );
}

#[test]
fn limits_end_the_reading_and_are_said() {
    let read = |limits: Limits, content: &str| -> FileReport {
        let mut collector = Collector::new(limits);
        collector.read("x", content.as_bytes());
        collector.finish().files[0].clone()
    };
    let content = format!(
        "<testsuite><testcase name='a'/><testcase name='b'/><x a='{}'/></testsuite>",
        "y".repeat(300_000)
    );
    let limits = Limits {
        longest: 1000,
        ..Limits::default()
    };
    let file = read(limits, &content);
    assert!(
        file.diagnostics[0].message.contains("longer than"),
        "{:?}",
        file.diagnostics
    );
    assert_eq!(file.runs.total, 2);
    let file = read(
        Limits {
            file: 100_000,
            ..Limits::default()
        },
        &content,
    );
    assert!(
        file.diagnostics[0].message.contains("larger than"),
        "{:?}",
        file.diagnostics
    );
    let file = read(
        Limits {
            tests: 1,
            ..Limits::default()
        },
        &content,
    );
    assert!(file.is_broken());
    assert!(
        file.diagnostics[0].message.contains("1 test case"),
        "{:?}",
        file.diagnostics
    );
}

#[test]
fn much_that_is_wrong_is_said_in_few_words() {
    let file = file(format!(
        "<testsuite>{}</testsuite>",
        "<testcase name='&x;'/>".repeat(1000)
    ));
    assert_eq!(file.diagnostics.len(), 20);
    assert_eq!(file.runs.total, 1000);
    assert!(
        file.diagnostics
            .iter()
            .all(|one| one.severity == DiagnosticSeverity::Error)
    );
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, cut in 0_usize..400) {
        let whole = b"<?xml version='1.0'?><testsuites><testsuite name='s'><testcase name='a' time='1'><failure message='m'>t &lt; <![CDATA[x]]></failure><system-out>o</system-out></testcase></testsuite></testsuites>";
        let mut content = whole[..cut.min(whole.len())].to_vec();
        content.extend_from_slice(&bytes);
        content.extend_from_slice(&whole[cut.min(whole.len())..]);
        read(&content);
        let mut coverage = b"SF:a\n".to_vec();
        coverage.extend_from_slice(&bytes);
        read(&coverage);
    }

    #[test]
    fn every_file_that_is_cut_off_is_broken(cut in 1_usize..100) {
        let whole = "<testsuite name='s'><testcase name='a'><failure message='m'>t</failure></testcase></testsuite>";
        if cut < whole.len() {
            proptest::prop_assert!(read(&whole.as_bytes()[..cut]).has_broken_files());
        }
    }
}
