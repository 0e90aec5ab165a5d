//! From what a job did to how it is called.

use std::time::Duration;

use super::build::{Conclusion, JobFailure, StepRecord, StepState};
use crate::report::{DiagnosticSeverity, Report, Totals};
use crate::text;

/// How the job as a whole came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Its steps ran, or were left out after a failure.
    Done,
    /// Its own time-out struck.
    TimedOut,
    /// Cancelled, with the reason as people read it.
    Cancelled(String),
    /// Herald could not carry it out, and why.
    Trouble(String),
}

/// What is known when a job has ended.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// How it ended.
    pub ending: Ending,
    /// Its steps.
    pub steps: &'a [StepRecord],
    /// What its reports say.
    pub report: &'a Report,
    /// How many of its failed tests do not count.
    pub tolerated: u64,
    /// The declared globs of test reports; empty when none are declared.
    pub declared_tests: &'a [String],
    /// The declared globs of coverage reports.
    pub declared_coverage: &'a [String],
    /// How many files were found for test reports.
    pub test_files: usize,
    /// How many files were found for coverage reports.
    pub coverage_files: usize,
    /// The fewest tests that a declared report must hold.
    pub min_tests: u64,
    /// How long the job took.
    pub duration: Duration,
}

/// What a job's end is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The conclusion.
    pub conclusion: Conclusion,
    /// One line that says how it went.
    pub title: String,
    /// Why it is red, the most important first.
    pub failures: Vec<JobFailure>,
}

/// The verdict over a job.
pub fn verdict(facts: &Facts<'_>) -> Verdict {
    let early = |conclusion, title| Verdict {
        conclusion,
        title,
        failures: Vec::new(),
    };
    match &facts.ending {
        Ending::Cancelled(reason) => {
            return early(Conclusion::Cancelled, format!("cancelled: {reason}"));
        }
        Ending::Trouble(what) => {
            return early(
                Conclusion::Cancelled,
                format!("Herald could not finish: {what}"),
            );
        }
        Ending::Done | Ending::TimedOut => {}
    }
    let totals = facts.report.totals();
    let mut failures = Vec::new();
    let mut timed_out = facts.ending == Ending::TimedOut;
    for step in facts.steps {
        if step.is_to_blame() {
            timed_out |= step.state == StepState::TimedOut;
            failures.push(JobFailure::Step {
                text: step_text(step),
            });
        }
    }
    if facts.ending == Ending::TimedOut && failures.is_empty() {
        failures.push(JobFailure::Step {
            text: "the job timed out".to_owned(),
        });
    }
    if totals.failed + totals.errors > facts.tolerated {
        failures.push(JobFailure::Tests);
    }
    failures.extend(report_failures(facts, &totals));
    let conclusion = if timed_out {
        Conclusion::TimedOut
    } else if failures.is_empty() {
        Conclusion::Success
    } else {
        Conclusion::Failure
    };
    Verdict {
        title: title(facts, &totals, &failures),
        conclusion,
        failures,
    }
}

/// What is wrong with the reports themselves. Missing reports are no news when a step failed
/// before it could write them.
fn report_failures(facts: &Facts<'_>, totals: &Totals) -> Vec<JobFailure> {
    let mut found = Vec::new();
    let stopped = facts.ending == Ending::TimedOut
        || facts.steps.iter().any(|step| {
            step.phase != "after"
                && !step.tolerated
                && matches!(step.state, StepState::Failed | StepState::TimedOut)
        });
    found.extend(broken(facts.report));
    if !stopped && !facts.declared_tests.is_empty() {
        if facts.test_files == 0 {
            found.push(JobFailure::Report {
                text: format!(
                    "no new test report matches {}",
                    quoted(facts.declared_tests)
                ),
            });
        } else if totals.tests < facts.min_tests {
            found.push(JobFailure::Report {
                text: format!(
                    "the test reports hold {}, at least {} are required",
                    text::plural(totals.tests, "test"),
                    facts.min_tests
                ),
            });
        }
    }
    if !stopped && !facts.declared_coverage.is_empty() && facts.coverage_files == 0 {
        found.push(JobFailure::Report {
            text: format!(
                "no new coverage report matches {}",
                quoted(facts.declared_coverage)
            ),
        });
    }
    found
}

/// What is said of reports that cannot be read to their end.
pub(super) fn broken(report: &Report) -> Vec<JobFailure> {
    let said = report.broken_files().map(|file| {
        let first = file
            .diagnostics
            .iter()
            .find(|one| one.severity == DiagnosticSeverity::Error);
        let place = first.map_or_else(String::new, |one| {
            format!(
                " at line {}, column {}: {}",
                one.line, one.column, one.message
            )
        });
        JobFailure::Report {
            text: format!("the report {} is broken{place}", file.path),
        }
    });
    said.collect()
}

pub(super) fn quoted(globs: &[String]) -> String {
    globs
        .iter()
        .map(|glob| format!("`{glob}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn step_text(step: &StepRecord) -> String {
    let how = match step.state {
        StepState::TimedOut => "timed out".to_owned(),
        _ => format!(
            "failed ({})",
            step.exit.as_deref().unwrap_or("no exit status")
        ),
    };
    format!("step \"{}\" {how}", step.name)
}

fn title(facts: &Facts<'_>, totals: &Totals, failures: &[JobFailure]) -> String {
    let duration = text::duration(facts.duration);
    let what = match failures.first() {
        Some(JobFailure::Step { text }) if totals.failed + totals.errors <= facts.tolerated => {
            text.clone()
        }
        Some(JobFailure::Report { text }) => text.clone(),
        _ if totals.tests > 0 => counts(totals, facts.tolerated),
        _ => steps_passed(facts.steps),
    };
    format!("{what} in {duration}")
}

/// `4 steps passed`.
fn steps_passed(steps: &[StepRecord]) -> String {
    let passed = steps
        .iter()
        .filter(|step| step.phase != "after" && step.state == StepState::Passed)
        .count();
    format!("{} passed", text::plural(passed as u64, "step"))
}

/// `3 failed, 1 error, 412 passed, 1 tolerated, 2 skipped`: zero parts are left out. `tolerated`: how many of those
/// that failed do not count.
pub fn counts(totals: &Totals, tolerated: u64) -> String {
    let failed = totals.failed.saturating_sub(tolerated);
    let errors = (totals.failed + totals.errors).saturating_sub(tolerated) - failed;
    let mut parts = Vec::new();
    if failed > 0 {
        parts.push(format!("{failed} failed"));
    }
    if errors > 0 {
        parts.push(text::plural(errors, "error"));
    }
    if totals.passed > 0 {
        parts.push(format!("{} passed", totals.passed));
    }
    if tolerated > 0 {
        parts.push(format!("{tolerated} tolerated"));
    }
    if totals.skipped > 0 {
        parts.push(format!("{} skipped", totals.skipped));
    }
    if parts.is_empty() {
        parts.push("no tests".to_owned());
    }
    parts.join(", ")
}
