//! Failures that do not count, and steps that are red for nothing else.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::build::{StepRecord, StepState};
use super::history::{Insight, Verdict};
use super::quarantine::{Named, Quarantined};
use crate::report::Report;
use crate::spec::{JobSpecification, Step};

/// Says of failed tests that are put away that they are.
pub fn put_away(insight: &mut Insight, report: &Report, quarantined: &[Quarantined]) {
    if quarantined.is_empty() {
        return;
    }
    let named = Named::new(quarantined);
    let places = insight.verdicts.iter().enumerate();
    let places: HashMap<String, usize> = places.map(|(at, (id, _))| (id.clone(), at)).collect();
    for test in report.tests.iter().filter(|test| test.outcome.is_red()) {
        let Some(found) = named.find(test) else {
            continue;
        };
        let verdict = Verdict::Quarantined {
            until_ms: found.until_ms,
            reason: found.reason.clone(),
        };
        let known = places
            .get(&test.id)
            .and_then(|at| insight.verdicts.get_mut(*at));
        match known {
            Some((_, known)) => *known = verdict,
            None => insight.verdicts.push((test.id.clone(), verdict)),
        }
    }
    insight.verdicts.sort_by_key(|(_, verdict)| verdict.rank());
}

/// Ids of failed tests that do not count: those that are put away and, where that is allowed, those that are known to be
/// flaky.
pub fn tolerated(insight: &Insight, allow_known_flaky: bool) -> Vec<String> {
    let counts = |verdict: &Verdict| match verdict {
        Verdict::Quarantined { .. } => false,
        Verdict::Flaky { .. } => !allow_known_flaky,
        _ => true,
    };
    let verdicts = insight.verdicts.iter();
    verdicts
        .filter(|(_, verdict)| !counts(verdict))
        .map(|(test, _)| test.clone())
        .collect()
}

/// Lets steps count as passed whose exit status says that tests failed, whose own reports are whole and show failures,
/// and all failures of the job are among `tolerated`; returns what is to be said of them. `written`: by which step each
/// report file was written. A step that others were left out after stays red: nobody knows how those would have ended.
pub fn forgive(
    steps: &mut [StepRecord],
    order: &JobSpecification,
    report: &Report,
    written: &BTreeMap<String, u32>,
    tolerated: &[String],
) -> Vec<String> {
    let tolerated: HashSet<&str> = tolerated.iter().map(String::as_str).collect();
    let mut red = report.tests.iter().filter(|test| test.outcome.is_red());
    if tolerated.is_empty() || !red.all(|test| tolerated.contains(test.id.as_str())) {
        return Vec::new();
    }
    let left_out = |steps: &[StepRecord]| {
        steps
            .iter()
            .any(|step| step.phase != "after" && step.state == StepState::Skipped)
    };
    let others_left_out = left_out(steps);
    let mut notes = Vec::new();
    for step in steps.iter_mut().filter(|step| step.is_to_blame()) {
        let says_tests_failed = specified(order, step.index)
            .zip(step.code)
            .is_some_and(|(specified, code)| specified.test_failure_exit.contains(&code));
        let own = || {
            let files = report.files.iter();
            files.filter(|file| written.get(&file.path) == Some(&step.index))
        };
        let is_whole = own().all(|file| !file.is_broken());
        let failures: u64 = own().map(|file| file.runs.failed + file.runs.errors).sum();
        if step.state != StepState::Failed || !says_tests_failed || !is_whole || failures == 0 {
            continue;
        }
        let exit = step.exit.as_deref().unwrap_or_default();
        if others_left_out {
            notes.push(format!(
                "The failures of step \"{}\" ({exit}) are tolerated, but the steps after it were left out, so it stays \
                 red. Put it last, or into a job of its own.",
                step.name
            ));
        } else {
            step.tolerated = true;
            notes.push(format!(
                "Step \"{}\" ({exit}) counts as passed: all of its failures are tolerated.",
                step.name
            ));
        }
    }
    notes
}

/// A step as it is specified; they are counted through all phases.
fn specified(order: &JobSpecification, index: u32) -> Option<&Step> {
    let all = order.setup.iter().chain(&order.execute).chain(&order.after);
    all.into_iter().nth(usize::try_from(index).ok()?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{forgive, put_away, tolerated};
    use crate::domain::history::{Insight, Verdict};
    use crate::domain::quarantine::Quarantined;
    use crate::domain::{StepRecord, StepState};
    use crate::report::{Collector, Limits, Report};
    use crate::spec::JobSpecification;

    fn report(cases: &str) -> Report {
        let mut collector = Collector::new(Limits::default());
        let text = format!("<testsuite name='s'>{cases}</testsuite>");
        collector.read("junit.xml", text.as_bytes());
        collector.finish()
    }

    fn order(steps: &str) -> JobSpecification {
        let text = format!("execute: {steps}\n");
        let specification = crate::spec::parse(text.as_bytes()).specification;
        let mut jobs = specification.expect("a specification").jobs;
        jobs.remove(0)
    }

    fn step(index: u32, code: i32) -> StepRecord {
        StepRecord {
            index,
            phase: "execute".to_owned(),
            name: format!("step {index}"),
            state: if code == 0 {
                StepState::Passed
            } else {
                StepState::Failed
            },
            exit: Some(format!("exit {code}")),
            code: Some(code),
            started_ms: None,
            duration_ms: None,
            tolerated: false,
            trouble: None,
        }
    }

    fn wrote(step: u32) -> BTreeMap<String, u32> {
        BTreeMap::from([("junit.xml".to_owned(), step)])
    }

    const TWO: &str = "<testcase name='a'><failure/></testcase><testcase name='b'/>";

    fn ids(report: &Report) -> Vec<String> {
        let red = report.tests.iter().filter(|test| test.outcome.is_red());
        red.map(|test| test.id.clone()).collect()
    }

    #[test]
    fn a_step_whose_failures_are_all_tolerated_counts_as_passed() {
        let report = report(TWO);
        let mut steps = [step(0, 0), step(1, 1)];
        let order = order("[x, y]");
        let notes = forgive(&mut steps, &order, &report, &wrote(1), &ids(&report));
        assert!(!steps[1].is_to_blame());
        assert_eq!(
            notes,
            ["Step \"step 1\" (exit 1) counts as passed: all of its failures are tolerated."]
        );
    }

    #[test]
    fn anything_else_stays_red() {
        let report = report(TWO);
        let all = ids(&report);
        let stays =
            |why: &str, mut steps: [StepRecord; 2], order: &str, wrote, tolerated: &[String]| {
                forgive(&mut steps, &self::order(order), &report, &wrote, tolerated);
                assert!(steps[1].is_to_blame(), "{why}");
            };
        stays(
            "another exit status",
            [step(0, 0), step(1, 3)],
            "[x, y]",
            wrote(1),
            &all,
        );
        stays(
            "the report is another step's",
            [step(0, 0), step(1, 1)],
            "[x, y]",
            wrote(0),
            &all,
        );
        stays(
            "nobody knows whose it is",
            [step(0, 0), step(1, 1)],
            "[x, y]",
            BTreeMap::new(),
            &all,
        );
        stays(
            "a failure that counts",
            [step(0, 0), step(1, 1)],
            "[x, y]",
            wrote(1),
            &[],
        );
        let exits = "[x, {run: y, test_failure_exit: [100]}]";
        stays(
            "not a status of tests",
            [step(0, 0), step(1, 1)],
            exits,
            wrote(1),
            &all,
        );
        let mut timed_out = step(1, 1);
        timed_out.state = StepState::TimedOut;
        stays(
            "it timed out",
            [step(0, 0), timed_out],
            "[x, y]",
            wrote(1),
            &all,
        );
        let green = self::report("<testcase name='b'/>");
        let mut steps = [step(0, 0), step(1, 1)];
        forgive(&mut steps, &order("[x, y]"), &green, &wrote(1), &all);
        assert!(steps[1].is_to_blame(), "its report shows no failure");
        let mut broken = report.clone();
        broken.files[0].status = crate::report::FileStatus::Unreadable;
        let mut steps = [step(0, 0), step(1, 1)];
        forgive(&mut steps, &order("[x, y]"), &broken, &wrote(1), &all);
        assert!(steps[1].is_to_blame(), "its report is broken");
    }

    #[test]
    fn a_step_that_others_were_left_out_after_stays_red_and_says_why() {
        let report = report(TWO);
        let mut skipped = step(1, 0);
        skipped.state = StepState::Skipped;
        let mut steps = [step(0, 1), skipped];
        let notes = forgive(
            &mut steps,
            &order("[x, y]"),
            &report,
            &wrote(0),
            &ids(&report),
        );
        assert!(steps[0].is_to_blame());
        assert!(notes[0].contains("Put it last"), "{notes:?}");
    }

    #[test]
    fn what_is_put_away_is_tolerated_and_known_flaky_ones_where_allowed() {
        let report = report(
            "<testcase name='a'><failure/></testcase><testcase name='b'><failure/></testcase>",
        );
        let id = |name: &str| {
            let found = report.tests.iter().find(|test| test.name == name);
            found.expect("a test").id.clone()
        };
        let flaky = Verdict::Flaky {
            failed: 1,
            runs: 9,
            since_ms: 0,
        };
        let mut insight = Insight {
            verdicts: vec![(id("a"), Verdict::New), (id("b"), flaky)],
            ..Insight::default()
        };
        let quarantined = Quarantined {
            test: "a".to_owned(),
            name: "a".to_owned(),
            until_ms: 86_400_000,
            reason: String::new(),
            person: None,
        };
        put_away(&mut insight, &report, &[quarantined]);
        assert_eq!(tolerated(&insight, false), [id("a")]);
        let mut both = tolerated(&insight, true);
        both.sort();
        let mut expected = [id("a"), id("b")];
        expected.sort();
        assert_eq!(both, expected);
    }
}
