//! What is said of all tests of a job, and of one.

use super::{Attempted, Packed, Run, TestRecord, Verdict, judge, pack, survey};
use crate::report::{Collector, Limits, Outcome};

/// An attempt with these tests: `+` passes, `-` fails, `.` is skipped, `~` passes when repeated; then its number, and
/// after `@` its seconds.
fn attempt(build: i64, commit: &str, tests: &str) -> Packed {
    let mut runs: Vec<Run> = tests
        .split_whitespace()
        .map(|text| {
            let (sign, rest) = text.split_at(1);
            let (number, seconds) = rest.split_once('@').unwrap_or((rest, ""));
            Run {
                test: number.parse().unwrap(),
                outcome: match sign {
                    "-" => Outcome::Failed,
                    "." => Outcome::Skipped,
                    _ => Outcome::Passed,
                },
                flaky: sign == "~",
                seconds: seconds.parse().ok(),
            }
        })
        .collect();
    runs.sort_by_key(|run| run.test);
    Packed {
        build,
        attempt: 1,
        commit: commit.to_owned(),
        tested: commit.to_owned(),
        at_ms: build * 1_000,
        bytes: pack(&runs),
    }
}

/// The newest first.
fn attempts(oldest_first: &[(&str, &str)]) -> Vec<Packed> {
    let all = oldest_first.iter().zip(1..);
    let mut all: Vec<Packed> = all
        .map(|((commit, tests), build)| attempt(build, commit, tests))
        .collect();
    all.reverse();
    all
}

#[test]
fn the_slowest_are_those_whose_usual_pass_takes_longest() {
    let all = attempts(&[
        ("a", "+1@1 +2@9 -3@99 +4"),
        ("b", "+1@2 +2@9 +3@5 +4"),
        ("c", "+1@30 +2@9 +3@5 ~3000@80"),
    ]);
    let slow = survey(&all, 2).slow;
    let found: Vec<(u32, usize)> = slow.iter().map(|slow| (slow.test, slow.runs)).collect();
    // An outlier, a failure and a pass at the second try do not count.
    assert_eq!(found, [(2, 3), (3, 2)]);
    assert!((slow[0].seconds / 9.0 - 1.0).abs() < 0.03, "{slow:?}");
}

#[test]
fn flaky_tests_are_those_that_the_verdicts_call_so() {
    let mut lines = vec![
        ("a", "+1 -2 ~3 -5"),
        ("a", "+1 +2 +3 -5"),
        ("b", "+1 .2 +3 +5"),
    ];
    let found = survey(&attempts(&lines), 0).shaky;
    let tests: Vec<u32> = found.iter().map(|shaky| shaky.test).collect();
    assert_eq!(tests, [2, 3]);
    assert_eq!((found[0].flaky.failed, found[0].flaky.runs), (1, 2));
    assert_eq!(found[0].flaky.since_ms, 2_000);
    // The same words as when it fails.
    let mut collector = Collector::new(Limits::default());
    collector.read(
        "junit.xml",
        &b"<testsuite name='s'><testcase name='x'><failure/></testcase></testsuite>"[..],
    );
    let now = attempt(9, "c", "-2").unpack();
    let past: Vec<Attempted> = attempts(&lines).into_iter().map(Packed::unpack).collect();
    let insight = judge(&collector.finish(), &[2], &now, &past, &[], &[]);
    let verdict = &insight.verdicts[0].1;
    assert!(
        matches!(
            verdict,
            Verdict::Flaky {
                failed: 2,
                runs: 3,
                since_ms: 2_000
            }
        ),
        "{verdict:?}"
    );
    // Forgotten after so many passes.
    lines.extend([("c", "+2 -3"); 30]);
    let found = survey(&attempts(&lines), 0).shaky;
    let tests: Vec<u32> = found.iter().map(|shaky| shaky.test).collect();
    assert_eq!(tests, [3]);
}

#[test]
fn a_test_that_is_not_there_any_more_is_not_listed() {
    let mut lines = vec![("a", "-1@5 +2@3"), ("a", "+1@5 +2@3")];
    assert_eq!(survey(&attempts(&lines), 9).slow.len(), 2);
    lines.extend([("b", "+2@3"); 20]);
    let gone = survey(&attempts(&lines), 9);
    assert!(gone.shaky.is_empty(), "{gone:?}");
    let slow: Vec<u32> = gone.slow.iter().map(|slow| slow.test).collect();
    assert_eq!(slow, [2]);
}

#[test]
fn each_attempt_has_its_numbers() {
    let sizes = survey(&attempts(&[("a", "+1"), ("b", "+1 -2 .3 ~4")]), 0).sizes;
    let numbers: Vec<_> = sizes
        .iter()
        .map(|size| (size.build, size.passed, size.failed, size.skipped))
        .collect();
    assert_eq!(numbers, [(2, 2, 1, 1), (1, 1, 0, 0)]);
}

#[test]
fn a_record_has_the_runs_of_one_test_alone() {
    let all = attempts(&[
        ("a", "+1@1 -300@2"),
        ("a", "+1@1 +300@2"),
        ("b", "+1@1"),
        ("c", ".300"),
        ("d", "~300@4"),
    ]);
    let record = TestRecord::of("test".to_owned(), 300, all.clone());
    let builds: Vec<i64> = record.runs.iter().map(|run| run.build).collect();
    assert_eq!(builds, [5, 4, 2, 1]);
    assert_eq!(record.counts(), (2, 3));
    let flaky = record.flaky().unwrap();
    assert_eq!((flaky.failed, flaky.runs, flaky.since_ms), (2, 3, 2_000));
    assert_eq!(record.usual(), None, "one pass says little");
    let nobody = TestRecord::of("test".to_owned(), 2, all);
    assert!(nobody.runs.is_empty() && nobody.flaky().is_none());
    let lines = [("a", "+1@3"); 10];
    let usual = TestRecord::of("test".to_owned(), 1, attempts(&lines)).usual();
    assert!((usual.unwrap() / 3.0 - 1.0).abs() < 0.03, "{usual:?}");
}
