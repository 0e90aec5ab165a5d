//! What Cobertura and LCOV files mean.

use proptest::prelude::*;

use super::super::testing::{coverage, file, read, reads};
use super::super::{Coverage, Diff, FileStatus, Index, Report, Share};

fn share(covered: u64, total: u64) -> Share {
    Share { covered, total }
}

fn cobertura(classes: &str) -> String {
    format!(
        "<?xml version='1.0'?><!DOCTYPE coverage SYSTEM 'http://cobertura.sourceforge.net/xml/coverage-04.dtd'><coverage line-rate='0.1' lines-covered='1' lines-valid='9'><sources><source>\n/build/src\n</source></sources><packages><package><classes>{classes}</classes></package></packages></coverage>"
    )
}

#[test]
fn lines_of_classes_and_methods_are_joined_with_the_most_hits() {
    let found = coverage(&cobertura(
        "<class filename='a.cs'><methods><method><lines><line number='1' hits='2'/><line number='2' hits='0'/></lines></method></methods><lines><line number='1' hits='0'/><line number='2' hits='0'/></lines></class><class filename='a.cs'><lines><line number='2' hits='1'/><line number='3' hits='0'/></lines></class>",
    ));
    assert_eq!(found.files.len(), 1);
    assert_eq!(found.lines(), share(2, 3));
    assert_eq!(found.files[0].lines.hits(1), Some(2));
}

#[test]
fn hits_may_be_anything_and_bad_lines_are_passed_over() {
    let found = coverage(&cobertura(
        "<class filename='a'><lines><line number='1' hits='1.0'/><line number='2' hits='-3'/><line number='3' hits='99999999999999999999999'/><line number='undefined' hits='1'/><line number='0' hits='1'/><line number='4' hits='x'/><line number='99999999999' hits='1'/></lines></class>",
    ));
    assert_eq!(found.lines(), share(2, 3));
    assert_eq!(found.files[0].lines.hits(3), Some(u32::MAX));
    assert_eq!(found.files[0].lines.hits(2), Some(0));
}

#[test]
fn branches_are_those_in_the_parenthesis() {
    let found = coverage(&cobertura(
        "<class filename='a'><lines><line number='1' hits='1' branch='True' condition-coverage='50% (1/2)'/><line number='2' hits='1' condition-coverage='-50% (-1/2)'/><line number='3' hits='1' condition-coverage='100%'/><line number='4' hits='1' condition-coverage='0% (1/4294967295)'/></lines></class>",
    ));
    assert_eq!(found.branches(), share(2, 2 + 2 + 1024));
}

#[test]
fn totals_without_lines_are_partial_and_as_declared() {
    let report = read(
        "<coverage lines-covered='5' lines-valid='9' branches-covered='1' branches-valid='2' line-rate='0.5'><packages/></coverage>",
    );
    assert_eq!(report.files[0].status, FileStatus::Partial);
    assert!(!report.has_broken_files());
    let coverage = report.coverage.expect("coverage");
    assert_eq!(
        (coverage.lines(), coverage.branches()),
        (share(5, 9), share(1, 2))
    );
    let report = read("SF:a\nLF:7\nLH:5\nend_of_record\n");
    assert_eq!(report.files[0].status, FileStatus::Partial);
    assert_eq!(report.coverage.expect("coverage").lines(), share(5, 7));
}

#[test]
fn declared_totals_do_not_count_beside_lines() {
    assert_eq!(
        coverage("SF:a\nDA:1,1\nLF:100\nLH:100\nend_of_record\n").lines(),
        share(1, 1)
    );
}

#[test]
fn a_record_is_split_at_its_first_colon() {
    let found = coverage(
        "# made by x\r\nTN:\r\nSF:C:\\w\\a:b.c\r\nFN:1,f(int, std::string)\r\nDA:1,1,Mw==\r\nDA:2,0\r\nDA:3,18446744073709551617\r\nDA:4,-1\r\nDA:5,1e3\r\nDA:6,=====\r\nend_of_record\r\n",
    );
    assert_eq!(found.files[0].path, "C:\\w\\a:b.c");
    assert_eq!(found.lines(), share(3, 5));
}

#[test]
fn branches_of_a_tracefile_have_any_name() {
    let found = coverage(
        "SF:a\nDA:1,1\nBRDA:1,0,0,1\nBRDA:1,0,1,-\nBRDA:1,e2,jump to a, b,3\nBRDA:1,0,1,0\nend_of_record\nTN:other\nSF:a\nDA:1,0\nBRDA:1,0,1,5\nend_of_record\n",
    );
    assert_eq!(found.files.len(), 1);
    assert_eq!(
        (found.lines(), found.branches()),
        (share(1, 1), share(3, 3))
    );
}

#[test]
fn a_tracefile_that_ends_within_a_record_is_broken_but_read() {
    let found = file("SF:a\nDA:1,1\n");
    assert_eq!(found.status, FileStatus::Partial);
    assert_eq!(
        (found.diagnostics[0].line, found.diagnostics[0].column),
        (3, 1)
    );
    assert_eq!(
        coverage("SF:a\nDA:1,1\nSF:b\nDA:1,0\nend_of_record").lines(),
        share(1, 2)
    );
}

#[test]
fn other_files_with_the_same_root_are_not_cobertura() {
    assert_eq!(
        file("<coverage generated='1' clover='3.2'><project/></coverage>").format,
        Some("clover".to_owned())
    );
    assert_eq!(
        file("<coverage generated='1'><project><file/></project></coverage>").format,
        Some("clover".to_owned())
    );
}

#[test]
fn patch_coverage_is_of_added_lines_that_can_be_covered() {
    let mut report = read("SF:/w/src/a.rs\nDA:1,1\nDA:2,0\nDA:3,1\nend_of_record\n");
    report.locate(&Index::new(["src/a.rs".to_owned()]));
    let diff = Diff::parse(
        "diff --git a/src/a.rs b/src/a.rs\n--- a/src/a.rs\n+++ b/src/a.rs\n@@ -0,0 +2,3 @@\n+x\n+y\n+z\n",
    );
    assert_eq!(report.coverage.expect("coverage").patch(&diff), share(1, 2));
}

#[test]
fn lines_with_a_branch_that_was_not_taken_are_missed_by_choice() {
    let mut report = read(
        "SF:a.rs\nDA:1,1\nDA:2,1\nDA:3,0\nBRDA:1,0,0,1\nBRDA:1,0,1,-\nBRDA:2,0,0,1\nend_of_record\n",
    );
    report.locate(&Index::new(["a.rs".to_owned()]));
    let mut coverage = report.coverage.expect("coverage");
    assert_eq!(coverage.lines(), share(2, 3));
    coverage.miss_partial_lines();
    assert_eq!(coverage.lines(), share(1, 3));
    let diff = Diff::parse("--- a/a.rs\n+++ b/a.rs\n@@ -0,0 +1,2 @@\n+x\n+y\n");
    assert_eq!(coverage.patch(&diff), share(1, 2));
    let stored = serde_json::to_string(&coverage).expect("JSON");
    assert_eq!(
        serde_json::from_str::<Coverage>(&stored).expect("coverage"),
        coverage
    );
}

#[test]
fn files_are_found_below_their_sources_and_united() {
    let mut report = reads(&[
        cobertura("<class filename='pkg/a.py'><lines><line number='1' hits='0'/></lines></class><class filename='pkg/gone.py'><lines><line number='1' hits='0'/></lines></class>").as_bytes(),
        b"SF:./src/pkg/a.py\nDA:1,3\nDA:2,0\nend_of_record\n",
    ]);
    let index = ["pkg/a.py", "src/pkg/a.py"].map(str::to_owned);
    report.locate(&Index::new(index));
    let coverage = report.coverage.expect("coverage");
    assert_eq!(coverage.files.len(), 2);
    assert_eq!(coverage.files[0].resolved.as_deref(), Some("src/pkg/a.py"));
    assert_eq!(coverage.files[0].line_share(), share(1, 2));
    assert_eq!(coverage.files[1].resolved, None);
}

#[test]
fn coverage_of_several_jobs_is_that_of_all() {
    let one = read("SF:a\nDA:1,1\nDA:2,0\nend_of_record\n");
    let two = read("SF:a\nDA:1,0\nDA:2,4\nDA:3,0\nend_of_record\nSF:b\nDA:1,0\nend_of_record\n");
    let both = Report::join([&one, &two]);
    assert_eq!(both.coverage.expect("coverage").lines(), share(2, 4));
}

#[test]
fn what_is_stored_is_what_is_read_again() {
    let report = read("SF:a\nDA:1,1\nDA:2,0\nBRDA:1,0,0,1\nBRDA:1,0,1,0\nend_of_record\n");
    let text = serde_json::to_string(&report).expect("JSON");
    assert!(text.contains("[[1,1],[2,0]]"), "{text}");
    assert_eq!(
        serde_json::from_str::<Report>(&text).expect("a report"),
        report
    );
}

/// What may stand in `<lines>`, with a line and hits.
const WRITTEN: [&str; 14] = [
    "<line number='L' hits='H'/>",
    "<line number='L' hits='H'/>\n\t\t",
    "<line number='L' hits='H' branch='false'/>",
    "<line number='L' hits='H' branch='False' />\r\n",
    "<line number='L' hits='H' branch='true' condition-coverage='50% (1/2)'/>",
    "<line hits='H' number='L'/>",
    "<line number='L' hits='H'></line>",
    "<line number='L' hits='H' hits='7'/>",
    "<line number='L' hits='H'",
    "<line number='L' hits='H'/> text & more <!-- and so on -->",
    "<line number='0' hits='H'/>",
    "<line number='L' hits='123456789012'/>",
    "<line number='L' hits='-H'/>",
    "</lines><lines>",
];

proptest! {
    /// The quick way knows one kind of quotes only.
    #[test]
    fn lines_that_are_read_ahead_are_read_like_all_others(
        lines in prop::collection::vec((0..WRITTEN.len(), 1..30_u32, 0..3_u32), 0..40),
        padding in 65_300..65_600_usize,
        end in prop::option::of(0..2_000_usize),
    ) {
        let lines: String = lines
            .into_iter()
            .map(|(at, line, hits)| {
                let text = WRITTEN[at].replace('L', &line.to_string());
                text.replace('H', &hits.to_string())
            })
            .collect();
        let padding = " ".repeat(padding);
        let mut text = cobertura(&format!(
            "<class filename='a'>{padding}<lines>{lines}</lines></class>"
        ));
        if let Some(end) = end {
            text.truncate(padding.len() + end);
        }
        let told = |text: &str| {
            let report = read(text);
            let notes = report.files[0].diagnostics.iter();
            // Some name the quote.
            let notes: Vec<_> = notes
                .map(|note| (note.line, note.column, note.message.replace('"', "'")))
                .collect();
            (report.coverage, report.files[0].status, notes)
        };
        prop_assert_eq!(told(&text.replace('\'', "\"")), told(&text));
    }
}
