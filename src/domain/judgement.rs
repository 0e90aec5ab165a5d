//! What is said of a build as a whole, when all of its jobs have ended.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::build::{BuildView, Conclusion, StepState};
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
            other => other,
        }
    }
}

/// The coverage that a build stands for: what its jobs report and, of those that did not run, what the nearest of the
/// builds before it has (the nearest first). `None` where there is none.
pub fn project_coverage(
    view: &BuildView,
    earlier: &[BuildView],
) -> (Option<Coverage>, Vec<(Carried, Coverage)>) {
    let of = |view: &BuildView| {
        view.report()
            .coverage
            .filter(|coverage| !coverage.is_empty())
    };
    let mut carried = Vec::new();
    for job in &view.jobs {
        if job.conclusion != Some(Conclusion::Skipped) {
            continue;
        }
        let found = earlier.iter().find_map(|before| {
            let same = |other: &&super::build::Job| other.check_name() == job.check_name();
            let other = before.jobs.iter().find(same)?;
            let coverage = other.result.as_ref()?.report.coverage.clone()?;
            let carried = Carried {
                job: job.check_name().to_owned(),
                build: before.build.number,
            };
            Some((carried, coverage))
        });
        carried.extend(found);
    }
    (of(view), carried)
}

/// Whether a job ended before it could write its reports.
pub fn has_stopped(view: &BuildView) -> bool {
    view.jobs.iter().any(|job| {
        let stopped = job.steps.iter().any(|step| {
            step.is_to_blame() || (step.phase != "after" && step.state == StepState::Skipped)
        });
        stopped
            || matches!(
                job.conclusion,
                Some(Conclusion::TimedOut | Conclusion::Cancelled)
            )
    })
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
        (ProjectGate::AtLeast(least), Some(change)) => {
            at_least("coverage.project", change.now, least, gates.threshold)
        }
        (ProjectGate::Auto, Some(change)) => as_before(change, base, gates.threshold),
    });
    let patch = gates.patch.map(|least| match change {
        None => missing("coverage.patch", Some(least)),
        Some(change) => patch(change, least, gates.threshold),
    });
    project.into_iter().chain(patch).collect()
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
        false if has_stopped(view) => Met::Neutral,
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
