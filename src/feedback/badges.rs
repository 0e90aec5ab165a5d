//! What the badges of a branch say after a build of it.

use crate::badge;
use crate::domain::{BadgeValue, BuildView, Conclusion, State};
use crate::report::Report;

/// The values that a finished build gives to the badges of its branch, for the whole build and for
/// each of its jobs. None when it was cancelled or did not run, so that the badges keep what they
/// said; the same holds for each job.
pub fn badge_values(view: &BuildView) -> Vec<BadgeValue> {
    let build = &view.build;
    let (State::Finished, Some(conclusion)) = (build.state, build.conclusion) else {
        return Vec::new();
    };
    let word = match conclusion {
        Conclusion::Failure if build.plan.specification_failed => Some("error"),
        other => word(other),
    };
    let Some(word) = word else {
        return Vec::new();
    };
    let mut values = of("", word, &view.report());
    for job in &view.jobs {
        if let (Some(word), Some(result)) = (job.conclusion.and_then(self::word), &job.result) {
            values.extend(of(&job.key, word, &result.report));
        }
    }
    values
}

/// What a `build` badge calls a conclusion, if it speaks of it.
fn word(conclusion: Conclusion) -> Option<&'static str> {
    match conclusion {
        Conclusion::Success => Some("passing"),
        Conclusion::Failure | Conclusion::TimedOut => Some("failing"),
        Conclusion::Cancelled
        | Conclusion::ActionRequired
        | Conclusion::Skipped
        | Conclusion::Neutral => None,
    }
}

/// The badges of a build, or of the job of this key.
fn of(job: &str, word: &str, report: &Report) -> Vec<BadgeValue> {
    let value = |kind: &str, (message, color): (String, &str)| BadgeValue {
        kind: kind.to_owned(),
        job: job.to_owned(),
        message,
        color: color.to_owned(),
    };
    let mut values = vec![value("build", badge::build(word))];
    let totals = report.totals();
    if totals.tests > 0 {
        let failed = totals.failed + totals.errors;
        values.push(value(
            "tests",
            badge::tests(totals.passed, failed, totals.skipped),
        ));
    }
    if let Some(coverage) = &report.coverage {
        let lines = coverage.lines();
        if lines.total > 0 {
            values.push(value(
                "coverage",
                badge::coverage(lines.covered, lines.total),
            ));
        }
    }
    values
}
