//! What the badges of a branch say after a build of it.

use crate::badge;
use crate::domain::{BadgeValue, BuildView, Conclusion, State, version};
use crate::report::{Coverage, Report, Share};
use crate::spec::BadgeSettings;

/// The values that a finished build gives to the badges of its branch, for the whole build and for
/// each of its jobs. None when it was cancelled or did not run, so that the badges keep what they
/// said; the same holds for each job. `report`: what all jobs report together.
pub fn badge_values(view: &BuildView, report: &Report) -> Vec<BadgeValue> {
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
    let settings = &build.plan.badges;
    let mut values = Vec::new();
    if !build.plan.is_aside {
        values = of(settings, "", word, report, view.lines(report));
    }
    for job in &view.jobs {
        if let (Some(word), Some(result)) = (job.conclusion.and_then(self::word), &job.result) {
            let report = &result.report;
            let lines = report.coverage.as_ref().map(Coverage::lines);
            values.extend(of(settings, &job.key, word, report, lines));
        }
    }
    values
}

/// The badges of a repository beside those of its builds, from the tag of its newest release and from
/// environment and state of its newest deployment.
pub fn repository_badges(
    settings: &BadgeSettings,
    release: Option<&str>,
    deployment: Option<&(String, String)>,
) -> Vec<BadgeValue> {
    let release = release.map(|tag| {
        let said = badge::release(tag, version::is_early(tag));
        value(settings, "release", "", said)
    });
    let deploy = deployment.map(|(environment, state)| {
        let said = badge::deploy(environment, state);
        value(settings, "deploy", "", said)
    });
    release.into_iter().chain(deploy).collect()
}

fn value(
    settings: &BadgeSettings,
    kind: &str,
    job: &str,
    (message, color): (String, &str),
) -> BadgeValue {
    BadgeValue {
        kind: kind.to_owned(),
        job: job.to_owned(),
        label: settings.labels.get(kind).cloned(),
        message,
        color: color.to_owned(),
    }
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
fn of(
    settings: &BadgeSettings,
    job: &str,
    word: &str,
    report: &Report,
    lines: Option<Share>,
) -> Vec<BadgeValue> {
    let value = |kind: &str, said| value(settings, kind, job, said);
    let mut values = vec![value("build", badge::build(word))];
    let totals = report.totals();
    if totals.tests > 0 {
        let failed = totals.failed + totals.errors;
        values.push(value(
            "tests",
            badge::tests(totals.passed, failed, totals.skipped),
        ));
    }
    if let Some(lines) = lines.filter(|lines| lines.total > 0) {
        let below = [
            settings.red_below.0,
            settings.orange_below.0,
            settings.yellow_below.0,
        ];
        let said = badge::coverage_by(lines.covered, lines.total, below);
        values.push(value("coverage", said));
    }
    values
}
