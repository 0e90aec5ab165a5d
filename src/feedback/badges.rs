//! What the badges of a branch say after a build of it.

use crate::badge;
use crate::domain::{BadgeValue, BuildView, Conclusion, State};

/// The values that a finished build gives to the badges of its branch; none when it was
/// cancelled or did not run, so that the badges keep what they said.
pub fn badge_values(view: &BuildView) -> Vec<BadgeValue> {
    let build = &view.build;
    let (State::Finished, Some(conclusion)) = (build.state, build.conclusion) else {
        return Vec::new();
    };
    let word = match conclusion {
        Conclusion::Success => "passing",
        Conclusion::Failure if build.plan.specification_failed => "error",
        Conclusion::Failure | Conclusion::TimedOut => "failing",
        Conclusion::Cancelled
        | Conclusion::ActionRequired
        | Conclusion::Skipped
        | Conclusion::Neutral => return Vec::new(),
    };
    let value = |kind: &str, (message, color): (String, &str)| BadgeValue {
        kind: kind.to_owned(),
        job: String::new(),
        message,
        color: color.to_owned(),
    };
    let mut values = vec![value("build", badge::build(word))];
    let report = view.report();
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
