//! Packing, and the rules.

use proptest::prelude::*;

use super::{Attempted, Insight, Run, Verdict, judge, pack, runs, unpack};
use crate::report::{Collector, Limits, Outcome, Report};

/// A report with these tests: `+` before a name passes, `-` fails, `.` is skipped, `~` passes when repeated.
fn report(tests: &str) -> Report {
    let cases: String = tests
        .split_whitespace()
        .map(|test| {
            let (sign, name) = test.split_at(1);
            let inner = match sign {
                "-" => "<failure message='no'/>",
                "." => "<skipped/>",
                "~" => "<flakyFailure message='no'/>",
                _ => "",
            };
            format!("<testcase name='{name}'>{inner}</testcase>")
        })
        .collect();
    let mut collector = Collector::new(Limits::default());
    let text = format!("<testsuite name='s'>{cases}</testsuite>");
    collector.read("junit.xml", text.as_bytes());
    collector.finish()
}

/// The history of a job: each line a commit and its tests, the oldest first. A commit may come again.
struct History(Vec<Attempted>);

/// The number of a test is that of its letter.
fn numbers(report: &Report) -> Vec<u32> {
    let letter = |name: &str| name.bytes().map(u32::from).sum();
    report.tests.iter().map(|test| letter(&test.name)).collect()
}

fn attempted(build: usize, commit: &str, report: &Report) -> Attempted {
    Attempted {
        build: i64::try_from(build).unwrap(),
        attempt: 1,
        commit: commit.to_owned(),
        tested: commit.to_owned(),
        at_ms: i64::try_from(build).unwrap() * 1_000,
        runs: runs(report, &numbers(report)),
    }
}

impl History {
    fn new(lines: &[(&str, &str)]) -> Self {
        let all = lines.iter().enumerate();
        let mut all: Vec<Attempted> = all
            .map(|(at, (commit, tests))| attempted(at + 1, commit, &report(tests)))
            .collect();
        all.reverse();
        Self(all)
    }

    /// What is said of these tests on a commit that stands on those, the nearest first.
    fn judge(&self, commit: &str, tests: &str, ancestors: &[&str], in_diff: &str) -> Insight {
        let report = report(tests);
        let ancestors: Vec<String> = ancestors
            .iter()
            .map(|commit| (*commit).to_owned())
            .collect();
        let mine = report.tests.iter().filter(|test| test.name == in_diff);
        let mine: Vec<String> = mine.map(|test| test.id.clone()).collect();
        let now = attempted(self.0.len() + 1, commit, &report);
        judge(&report, &numbers(&report), &now, &self.0, &ancestors, &mine)
    }

    /// The verdict on the one test that fails.
    fn verdict(&self, commit: &str, tests: &str, ancestors: &[&str]) -> Verdict {
        let insight = self.judge(commit, tests, ancestors, "");
        assert_eq!(insight.verdicts.len(), 1, "{insight:?}");
        insight.verdicts[0].1.clone()
    }
}

#[test]
fn with_little_history_nothing_is_guessed() {
    let little = History::new(&[("base", "+a +b")]);
    let open = |failed, runs| Verdict::Unsure { failed, runs };
    assert_eq!(little.verdict("mine", "-a +b", &["base"]), open(0, 1));
    let none = History::new(&[]);
    assert_eq!(none.verdict("mine", "-a", &["base"]), open(0, 0));
    let long_ago = History::new(&[("c1", "-a"), ("c2", "+a"), ("base", "+a")]);
    assert_eq!(long_ago.verdict("mine", "-a", &["base", "c2"]), open(1, 3));
}

#[test]
fn who_fails_twice_on_a_commit_and_never_before_is_of_the_change() {
    let mut lines = vec![("base", "+a"); 100];
    lines.push(("mine", "-a"));
    let twice = History::new(&lines);
    assert_eq!(twice.verdict("mine", "-a", &["base"]), Verdict::New);
    let twice = History::new(&lines[1..]);
    let verdict = twice.verdict("mine", "-a", &["base"]);
    assert!(matches!(verdict, Verdict::Unsure { .. }), "{verdict:?}");
    let shaky = History::new(&[("c1", "-a"), ("base", "+a"), ("mine", "-a")]);
    let verdict = shaky.verdict("mine", "-a", &["base"]);
    assert_eq!(verdict, Verdict::Unsure { failed: 1, runs: 2 });
}

#[test]
fn a_failure_on_a_line_of_the_change_or_in_a_new_test_is_of_the_change() {
    let little = History::new(&[("base", "+a +b")]);
    let insight = little.judge("mine", "-a +b", &["base"], "a");
    assert_eq!(insight.verdicts[0].1, Verdict::New);
    assert_eq!(little.verdict("mine", "+a +b -c", &["base"]), Verdict::New);
}

#[test]
fn what_fails_on_the_base_too_is_said_to_and_since_when() {
    let history = History::new(&[("c1", "+a"), ("c2", "-a"), ("c3", "-a"), ("other", "+a")]);
    let verdict = history.verdict("mine", "-a", &["c3", "c2", "c1"]);
    assert_eq!(verdict, Verdict::AlsoOnBase { since: 2 });
    // The base itself was not built: the newest ancestor that was counts.
    let verdict = history.verdict("mine", "-a", &["c4", "c3", "c2"]);
    assert_eq!(verdict, Verdict::AlsoOnBase { since: 2 });
    // The base ran a part only.
    let history = History::new(&[("c1", "-a"), ("c2", "+b")]);
    let verdict = history.verdict("mine", "-a", &["c2", "c1"]);
    assert_eq!(verdict, Verdict::AlsoOnBase { since: 1 });
}

#[test]
fn who_fails_and_passes_on_one_commit_is_flaky_until_it_passes_thirty_times() {
    let mut lines = vec![("c1", "-a"), ("c1", "+a"), ("c2", "+a")];
    let flaky = History::new(&lines).verdict("mine", "-a", &["c2"]);
    let wanted = Verdict::Flaky {
        failed: 2,
        runs: 4,
        since_ms: 2_000,
    };
    assert_eq!(flaky, wanted);
    // Now it is seen for the first time.
    let now = History::new(&[("mine", "+a")]).verdict("mine", "-a", &[]);
    assert!(matches!(now, Verdict::Flaky { .. }), "{now:?}");
    // The report itself tells of a run that failed.
    let repeated = History::new(&[("c1", "~a")]).verdict("mine", "-a", &["c1"]);
    assert!(matches!(repeated, Verdict::Flaky { .. }), "{repeated:?}");
    lines.extend([("c3", "+a"); 27]);
    let still = History::new(&lines).verdict("mine", "-a", &["c3"]);
    assert!(matches!(still, Verdict::Flaky { .. }), "{still:?}");
    lines.push(("c3", "+a"));
    let forgotten = History::new(&lines).verdict("mine", "-a", &["c3"]);
    assert_eq!(
        forgotten,
        Verdict::Unsure {
            failed: 1,
            runs: 31
        }
    );
    // What it does after that counts anew, also the pass with which it was forgotten.
    lines.pop();
    lines.push(("mine", "+a"));
    let again = History::new(&lines).verdict("mine", "-a", &["c3"]);
    assert!(matches!(again, Verdict::Flaky { .. }), "{again:?}");
}

#[test]
fn a_regression_is_not_flaky() {
    let mut lines = vec![("c1", "+a"); 60];
    lines.extend([("c2", "-a"), ("c3", "-a"), ("c4", "+a")]);
    let verdict = History::new(&lines).verdict("mine", "-a", &["c4"]);
    assert!(matches!(verdict, Verdict::Unsure { .. }), "{verdict:?}");
}

#[test]
fn what_is_fixed_new_gone_and_skipped_is_counted() {
    let history = History::new(&[("base", "-a +b +c +d")]);
    let insight = history.judge("mine", "+a +b .c +e", &["base"], "");
    let id = report("+a").tests[0].id.clone();
    assert_eq!(insight.fixed, [id]);
    assert_eq!(
        (insight.added, insight.removed, insight.newly_skipped),
        (1, 1, 1)
    );
    assert_eq!(insight.base, Some(1));
}

#[test]
fn one_that_failed_before_its_base_is_not_said_to_be_fixed() {
    let history = History::new(&[("c1", "-a"), ("c2", "+a"), ("base", "-a")]);
    let insight = history.judge("mine", "+a", &["base", "c2", "c1"], "");
    assert!(insight.fixed.is_empty(), "{insight:?}");
    let chance = History::new(&[("c1", "+a"), ("base", "-a")]);
    let insight = chance.judge("mine", "+a", &["base", "c1"], "");
    assert!(insight.fixed.is_empty(), "{insight:?}");
    let broken = History::new(&[("c1", "+a"), ("head", "-a"), ("base", "-a")]);
    let insight = broken.judge("mine", "+a", &["base", "c1"], "");
    assert_eq!(insight.fixed.len(), 1);
    let insight = history.judge("mine", "+a", &["c1"], "");
    assert_eq!(insight.fixed.len(), 1);
}

#[test]
fn a_part_of_the_tests_removes_nothing() {
    let history = History::new(&[("base", "+a +b +c +d +e +f +g +h")]);
    let insight = history.judge("mine", "+a +b", &["base"], "");
    assert!(insight.partial);
    assert_eq!(insight.removed, 0);
}

#[test]
fn what_is_of_the_change_comes_first_and_then_what_is_oldest() {
    let history = History::new(&[("c1", "-a +b"), ("c2", "-a -b"), ("c2", "~f")]);
    let insight = history.judge("mine", "-b -f -a -n", &["c2", "c1"], "n");
    let names: Vec<&str> = insight
        .verdicts
        .iter()
        .map(|(_, verdict)| match verdict {
            Verdict::New => "new",
            Verdict::AlsoOnBase { since: 1 } => "oldest",
            Verdict::AlsoOnBase { .. } => "old",
            Verdict::Flaky { .. } => "flaky",
            Verdict::Unsure { .. } => "open",
            Verdict::Quarantined { .. } => "quarantined",
        })
        .collect();
    assert_eq!(names.first(), Some(&"new"), "{names:?}");
    assert_eq!(names.last(), Some(&"flaky"), "{names:?}");
}

proptest! {
    #[test]
    fn what_is_packed_is_unpacked(tests in proptest::collection::btree_map(0..u32::MAX, (0..4_u8, any::<bool>(), proptest::option::of(0.001..2_000.0_f64)), 0..50)) {
        let runs: Vec<Run> = tests
            .into_iter()
            .map(|(test, (outcome, flaky, seconds))| Run {
                test,
                outcome: [Outcome::Passed, Outcome::Failed, Outcome::Error, Outcome::Skipped][usize::from(outcome)],
                flaky,
                seconds,
            })
            .collect();
        let again = unpack(&pack(&runs));
        prop_assert_eq!(runs.len(), again.len());
        for (one, other) in runs.iter().zip(&again) {
            prop_assert_eq!((one.test, one.outcome, one.flaky), (other.test, other.outcome, other.flaky));
            match (one.seconds, other.seconds) {
                (Some(one), Some(other)) => prop_assert!((one / other - 1.0).abs() < 0.04, "{} {}", one, other),
                (one, other) => prop_assert_eq!(one.is_some(), other.is_some()),
            }
        }
    }

    #[test]
    fn any_bytes_are_some_runs(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let runs = unpack(&bytes);
        prop_assert!(runs.len() <= bytes.len());
    }
}

#[test]
fn a_usual_run_takes_three_bytes() {
    let runs: Vec<Run> = (1..=5_000)
        .map(|test| Run {
            test,
            outcome: Outcome::Passed,
            flaky: false,
            seconds: Some(0.01),
        })
        .collect();
    assert!(pack(&runs).len() <= 3 * runs.len() + 1);
}
