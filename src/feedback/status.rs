//! Commit statuses, to gate merges on.

use super::check::build_title;
use super::coverage;
use super::links::Links;
use crate::domain::verdict::counts;
use crate::domain::{BuildView, Conclusion, Judgement, State, Status, StatusState};
use crate::report::Report;
use crate::text::{self, shorten};

/// GitHub cuts longer descriptions.
const DESCRIPTION: usize = 140;

/// The statuses of a build; none when the specification turns them off, nor of reports from elsewhere, which have a
/// check of their own.
pub(super) fn statuses(links: &Links, view: &BuildView) -> Vec<Status> {
    let plan = &view.build.plan;
    if !plan.publish.statuses || plan.import.is_some() {
        return Vec::new();
    }
    let url = links.build(&view.repository, &view.build);
    let report = view.report();
    let make = |context: &str, (state, description): (StatusState, String)| Status {
        commit: view.build.commit.clone(),
        context: context.to_owned(),
        state,
        description: shorten::chars(&description, DESCRIPTION).into_owned(),
        target_url: url.clone(),
    };
    let mut all = vec![make("herald/build", (state(view), build_title(view)))];
    if plan.declares_tests {
        all.push(make("herald/tests", tests(view, &report)));
    }
    if plan.declares_coverage {
        all.push(make("herald/coverage", coverage(view, &report)));
    }
    all
}

/// The whole build's state. A bad specification and Herald's own trouble are no failure of the
/// code.
fn state(view: &BuildView) -> StatusState {
    let build = &view.build;
    match (build.state, build.conclusion) {
        (State::Finished, Some(conclusion)) => match conclusion {
            Conclusion::Success | Conclusion::Neutral | Conclusion::Skipped => StatusState::Success,
            Conclusion::Failure if build.plan.specification_failed => StatusState::Error,
            Conclusion::Failure | Conclusion::TimedOut => StatusState::Failure,
            Conclusion::Cancelled => StatusState::Error,
            Conclusion::ActionRequired => StatusState::Pending,
        },
        _ => StatusState::Pending,
    }
}

/// Whether the build has ended without a word on the code.
fn ended_early(view: &BuildView) -> Option<(StatusState, String)> {
    match state(view) {
        StatusState::Pending => Some((StatusState::Pending, build_title(view))),
        StatusState::Error => Some((StatusState::Error, build_title(view))),
        StatusState::Success | StatusState::Failure => None,
    }
}

fn tests(view: &BuildView, report: &Report) -> (StatusState, String) {
    if let Some(early) = ended_early(view) {
        return early;
    }
    let totals = report.totals();
    if totals.tests == 0 {
        return (StatusState::Failure, "no test results".to_owned());
    }
    let tolerated = view.tolerated(report).len() as u64;
    let red = totals.failed + totals.errors > tolerated || report.has_broken_files();
    let state = if red {
        StatusState::Failure
    } else {
        StatusState::Success
    };
    (state, counts(&totals, tolerated))
}

fn coverage(view: &BuildView, report: &Report) -> (StatusState, String) {
    if let Some(early) = ended_early(view) {
        return early;
    }
    let mut gates = view.judgement.iter().flat_map(Judgement::failed);
    if let Some(gate) = gates.find(|gate| gate.name.starts_with("coverage.")) {
        return (StatusState::Failure, gate.text.clone());
    }
    let Some(mut text) = coverage::of_lines(view, report) else {
        return (StatusState::Failure, "no coverage report".to_owned());
    };
    if let Some(patch) = view.patch().filter(|patch| patch.total > 0) {
        let lines = text::plural(patch.total, "added line");
        text.push_str(&format!("; {} of {lines}", patch.rounded()));
    }
    (StatusState::Success, text)
}
