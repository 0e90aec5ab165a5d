//! What is said of a build as a whole, when all of its jobs have ended.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::build::{BuildView, Conclusion, Job, StepState};
use super::deployment::Promotion;
use crate::report::json::{Conclusion as Met, Gate};
use crate::report::{Coverage, CoverageChange, Share};
use crate::spec::{CoverageGates, Percent, ProjectGate};
use crate::text;

/// What is said of a build as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Judgement {
    /// The number of the build whose coverage it was compared with.
    pub base: Option<i64>,
    /// What the change did to coverage.
    pub coverage: Option<CoverageChange>,
    /// Jobs that did not run, and the builds whose coverage counts for them.
    pub carried: Vec<Carried>,
    /// The conditions of the specification and how they turned out.
    pub gates: Vec<Gate>,
    /// How many commits the base has that the change does not stand on.
    pub behind: Option<u64>,
    /// What could not be found out, and why.
    pub notes: Vec<String>,
    /// What a candidate has that is not released.
    pub promotion: Option<Promotion>,
    /// Of a merge queue, the pull requests that a failure concerns.
    pub concerns: Vec<i64>,
    /// Why conditions could not be judged that the specification has, where that was trouble of ours.
    pub trouble: Option<String>,
}

/// Coverage that counts for a job that did not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// The job.
    pub job: String,
    /// The number of the build in which it ran last.
    pub build: i64,
}

impl Judgement {
    /// The conditions that are not met.
    pub fn failed(&self) -> impl Iterator<Item = &Gate> {
        self.gates.iter().filter(|gate| gate.status == Met::Failure)
    }

    /// How a build is called whose jobs together are called this.
    pub fn conclusion(&self, of_jobs: Conclusion) -> Conclusion {
        match of_jobs {
            Conclusion::Success if self.failed().next().is_some() => Conclusion::Failure,
            // What was not judged has not passed, and is no failure of the code either.
            Conclusion::Success if self.trouble.is_some() => Conclusion::Cancelled,
            other => other,
        }
    }
}

/// The coverage that counts for jobs which have none of their own: that of the nearest of the builds before (the nearest
/// first) in which they had. `counts` says for which jobs it is looked for.
pub fn carried(
    view: &BuildView,
    earlier: &[BuildView],
    counts: impl Fn(&Job) -> bool,
) -> Vec<(Carried, Coverage)> {
    let jobs = view.jobs.iter();
    let without = jobs.filter(|job| job.coverage().is_none() && counts(job));
    let found = without.filter_map(|job| {
        earlier.iter().find_map(|before| {
            let same = |other: &&Job| other.check_name() == job.check_name();
            let coverage = before.jobs.iter().find(same)?.coverage()?.clone();
            let carried = Carried {
                job: job.check_name().to_owned(),
                build: before.build.number,
            };
            Some((carried, coverage))
        })
    });
    found.collect()
}

/// Whether a job ended before it could report coverage.
pub fn has_stopped(view: &BuildView) -> bool {
    let mut jobs = view.jobs.iter();
    jobs.any(|job| job.coverage().is_none() && ended_early(job))
}

/// Whether a job ended before all of its steps had their turn, or with one that failed.
fn ended_early(job: &Job) -> bool {
    let stopped = job.steps.iter().any(|step| {
        step.is_to_blame() || (step.phase != "after" && step.state == StepState::Skipped)
    });
    stopped
        || matches!(
            job.conclusion,
            Some(Conclusion::TimedOut | Conclusion::Cancelled)
        )
}

/// How the conditions on coverage turn out. `change`: what is known of coverage, if any report has it; `base`: the
/// number of the build that it is compared with; `stopped`: whether a job ended before it could report.
pub fn coverage_gates(
    gates: &CoverageGates,
    change: Option<&CoverageChange>,
    base: Option<i64>,
    stopped: bool,
) -> Vec<Gate> {
    let missing = |name: &str, required: Option<Percent>| {
        let (status, why) = if stopped {
            (Met::Neutral, "a job ended before it could report coverage")
        } else {
            (Met::Failure, "no report has coverage")
        };
        gate(name, status, None, required.map(hundredths), why.to_owned())
    };
    let change = change.filter(|change| change.now.total > 0);
    let project = gates.project.map(|wanted| match (wanted, change) {
        (ProjectGate::AtLeast(least), None) => missing("coverage.project", Some(least)),
        (ProjectGate::Auto, None) if stopped || base.is_some() => missing("coverage.project", None),
        (ProjectGate::Auto, None) => {
            let text = "no report has coverage, and there is no base to compare with";
            gate(
                "coverage.project",
                Met::Neutral,
                None,
                None,
                text.to_owned(),
            )
        }
        (ProjectGate::AtLeast(least), Some(change)) => unless(
            stopped,
            at_least("coverage.project", change.now, least, gates.threshold),
        ),
        (ProjectGate::Auto, Some(change)) => {
            unless(stopped, as_before(change, base, gates.threshold))
        }
    });
    let patch = gates.patch.map(|least| match change {
        None => missing("coverage.patch", Some(least)),
        Some(change) => patch(change, least, gates.threshold),
    });
    project.into_iter().chain(patch).collect()
}

/// What a part of the coverage does not meet, all of it may.
fn unless(stopped: bool, mut gate: Gate) -> Gate {
    if stopped && gate.status == Met::Failure {
        gate.status = Met::Neutral;
        gate.text
            .push_str("; a job ended before it could report coverage");
    }
    gate
}

/// How the condition on the number of tests turns out, where reports of tests are declared: the job that has the fewest
/// decides.
pub fn tests_gate(view: &BuildView) -> Option<Gate> {
    let required = view.build.plan.min_tests;
    let declared = view
        .jobs
        .iter()
        .filter(|job| job.order.reports.tests.is_some());
    let counts = declared.filter_map(|job| Some(job.result.as_ref()?.report.totals().tests));
    let fewest = counts.min().filter(|_| required > 1)?;
    let status = match fewest >= required {
        true => Met::Success,
        false if view.jobs.iter().any(ended_early) => Met::Neutral,
        false => Met::Failure,
    };
    Some(Gate {
        name: "tests.min_tests".to_owned(),
        status,
        actual: json!(fewest),
        required: json!(required),
        text: format!(
            "{} ran, at least {required} are required",
            text::plural(fewest, "test")
        ),
    })
}

fn patch(change: &CoverageChange, least: Percent, threshold: Percent) -> Gate {
    let name = "coverage.patch";
    let required = Some(hundredths(least));
    match change.patch {
        None => {
            let text = "what the change adds is not known".to_owned();
            gate(name, Met::Neutral, None, required, text)
        }
        Some(Share { total: 0, .. }) => {
            let text = "the change adds no line that can be executed".to_owned();
            gate(name, Met::Success, None, required, text)
        }
        Some(patch) => {
            let mut gate = at_least(name, patch, least, threshold);
            gate.text = format!(
                "{} of {} covered ({}), {}",
                patch.covered,
                text::plural(patch.total, "added line"),
                patch.rounded(),
                wanted(&least.to_string(), threshold)
            );
            gate
        }
    }
}

fn at_least(name: &str, share: Share, least: Percent, threshold: Percent) -> Gate {
    let enough = least.0.saturating_sub(threshold.0);
    let is = |percent: u32| {
        u128::from(share.covered) * 10_000 >= u128::from(percent) * u128::from(share.total)
    };
    let mut text = format!(
        "{} of the lines are covered, {}",
        share.rounded(),
        wanted(&least.to_string(), threshold)
    );
    // Who has got further may hold on to it.
    if is(least.0 + 100) && least.0 < 10_000 {
        let reached = share.covered.saturating_mul(100) / share.total.max(1);
        text.push_str(&format!("; it could be raised to {reached}%"));
    }
    let status = if is(enough) {
        Met::Success
    } else {
        Met::Failure
    };
    gate(
        name,
        status,
        Some(actual(share)),
        Some(hundredths(least)),
        text,
    )
}

/// Against the coverage of the base.
fn as_before(change: &CoverageChange, base: Option<i64>, threshold: Percent) -> Gate {
    let name = "coverage.project";
    let now = change.now;
    let Some(kept) = change.kept.filter(|kept| kept.total > 0) else {
        let text = format!(
            "{} of the lines are covered; there is no base to compare with",
            now.rounded()
        );
        return gate(name, Met::Neutral, Some(actual(now)), None, text);
    };
    let product = |a: u64, b: u64| i128::from(a) * i128::from(b);
    let allowed = i128::from(threshold.0) * product(now.total, kept.total);
    let short = product(kept.covered, now.total) - product(now.covered, kept.total);
    let status = if short * 10_000 <= allowed {
        Met::Success
    } else {
        Met::Failure
    };
    let deleted = if change.before == Some(kept) {
        ""
    } else {
        " without the lines that are deleted"
    };
    // On somebody's own machine builds have no numbers.
    let base = base.filter(|base| *base > 0);
    let base = base.map_or_else(String::new, |base| format!(" (#{base})"));
    let text = format!(
        "{} of the lines are covered, the base{base} has {}{deleted}{}",
        now.precise(),
        kept.precise(),
        allowance(threshold)
    );
    gate(name, status, Some(actual(now)), Some(actual(kept)), text)
}

fn wanted(least: &str, threshold: Percent) -> String {
    format!("at least {least} required{}", allowance(threshold))
}

fn allowance(threshold: Percent) -> String {
    match threshold.0 {
        0 => String::new(),
        _ => format!(", {threshold} less let pass"),
    }
}

fn gate(name: &str, status: Met, actual: Option<f64>, required: Option<f64>, text: String) -> Gate {
    Gate {
        name: name.to_owned(),
        status,
        actual: actual.map_or(serde_json::Value::Null, |percent| json!(percent)),
        required: required.map_or(serde_json::Value::Null, |percent| json!(percent)),
        text,
    }
}

fn hundredths(percent: Percent) -> f64 {
    f64::from(percent.0) / 100.0
}

/// In percent, rounded down to two digits.
fn actual(share: Share) -> f64 {
    (share.percent() * 100.0 + 1e-9).floor() / 100.0
}

#[cfg(test)]
mod tests {
    use super::{Judgement, coverage_gates};
    use crate::domain::Conclusion;
    use crate::report::json::Conclusion as Met;
    use crate::report::{CoverageChange, Share};
    use crate::spec::{CoverageGates, Percent, ProjectGate};

    fn share(covered: u64, total: u64) -> Share {
        Share { covered, total }
    }

    fn change(now: Share, kept: Option<Share>, patch: Option<Share>) -> CoverageChange {
        CoverageChange {
            now,
            before: kept,
            kept,
            patch,
            ..CoverageChange::default()
        }
    }

    fn gates(project: Option<ProjectGate>, patch: Option<u32>, threshold: u32) -> CoverageGates {
        CoverageGates {
            project,
            patch: patch.map(Percent),
            threshold: Percent(threshold),
            partial_lines_miss: false,
        }
    }

    fn one(gates: &CoverageGates, change: Option<&CoverageChange>, stopped: bool) -> (Met, String) {
        let mut all = coverage_gates(gates, change, Some(4), stopped);
        let gate = all.remove(0);
        assert!(all.is_empty(), "{all:?}");
        (gate.status, gate.text)
    }

    #[test]
    fn a_share_is_compared_exactly_and_a_threshold_lets_less_pass() {
        let at_least =
            |threshold| gates(Some(ProjectGate::AtLeast(Percent(8_000))), None, threshold);
        let with = |covered| change(share(covered, 1_000), None, None);
        for (covered, threshold, status) in [
            (800, 0, Met::Success),
            (799, 0, Met::Failure),
            (799, 10, Met::Success),
            (798, 10, Met::Failure),
        ] {
            let (found, text) = one(&at_least(threshold), Some(&with(covered)), false);
            assert_eq!(found, status, "{covered}, {threshold}: {text}");
        }
        let (_, text) = one(&at_least(50), Some(&with(915)), false);
        assert_eq!(
            text,
            "91.5% of the lines are covered, at least 80% required, 0.5% less let pass; it could be raised to 91%"
        );
    }

    #[test]
    fn the_base_is_compared_exactly_too() {
        let auto = |threshold| gates(Some(ProjectGate::Auto), None, threshold);
        let change = |now| change(now, Some(share(2, 3)), None);
        // Two thirds, in other numbers.
        let (same, _) = one(&auto(0), Some(&change(share(666, 999))), false);
        let (less, text) = one(&auto(0), Some(&change(share(665, 999))), false);
        let (let_pass, _) = one(&auto(11), Some(&change(share(665, 999))), false);
        assert_eq!(
            (same, less, let_pass),
            (Met::Success, Met::Failure, Met::Success)
        );
        assert_eq!(
            text,
            "66.56% of the lines are covered, the base (#4) has 66.66%"
        );
        // What a part of the jobs covers is no verdict on all of them.
        let (stopped, text) = one(&auto(0), Some(&change(share(1, 999))), true);
        assert_eq!(stopped, Met::Neutral);
        assert!(
            text.ends_with("a job ended before it could report coverage"),
            "{text}"
        );
    }

    #[test]
    fn a_change_without_lines_that_can_be_executed_meets_its_condition() {
        let patch = gates(None, Some(8_000), 0);
        let with = |patch| change(share(1, 2), None, patch);
        let said = |patch_share| one(&patch, Some(&with(patch_share)), false);
        assert_eq!(said(Some(share(0, 0))).0, Met::Success);
        assert_eq!(said(Some(share(4, 5))).0, Met::Success);
        assert_eq!(said(Some(share(3, 5))).0, Met::Failure);
        assert_eq!(said(None).0, Met::Neutral);
        assert_eq!(one(&patch, None, false).0, Met::Failure);
        assert_eq!(one(&patch, None, true).0, Met::Neutral);
    }

    #[test]
    fn what_could_not_be_judged_has_neither_passed_nor_failed() {
        let trouble = Judgement {
            trouble: Some("failed to reach GitHub".to_owned()),
            ..Judgement::default()
        };
        assert_eq!(
            trouble.conclusion(Conclusion::Success),
            Conclusion::Cancelled
        );
        assert_eq!(trouble.conclusion(Conclusion::Failure), Conclusion::Failure);
        let nothing = Judgement::default();
        assert_eq!(nothing.conclusion(Conclusion::Success), Conclusion::Success);
    }
}
