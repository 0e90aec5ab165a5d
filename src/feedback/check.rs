//! Check runs.

use super::annotations::{self, AnnotationOptions, annotations};
use super::coverage;
use super::failures::failed;
use super::links::Links;
use super::queue::{queue_lines, queue_words};
use super::summary::{CheckSummary, fit};
use crate::domain::ask::{APPROVE, RERUN_FAILED};
use crate::domain::verdict::counts;
use crate::domain::{
    Action, Annotation, BuildView, CheckRun, CheckState, Conclusion, Job, JobFailure, JobResult,
    PatchCoverage, Sha, State,
};
use crate::report::Report;
use crate::spec::AnnotationPolicy;
use crate::text::{self, shorten};

/// The check run to require.
pub(super) const NAME: &str = "herald";
/// GitHub's limit of a summary is 65,535 characters; we stay below it in bytes.
const SUMMARY: usize = 60_000;
/// Titles are cut by GitHub's page at about this many characters.
const TITLE: usize = 200;

/// The check run that shows before there is a build.
pub fn announcement(links: &Links, owner: &str, name: &str, commit: &Sha) -> CheckRun {
    CheckRun {
        commit: commit.clone(),
        name: NAME.to_owned(),
        details_url: links.repository(owner, name),
        state: CheckState::Queued,
        started_ms: None,
        completed_ms: None,
        title: "Queued".to_owned(),
        summary: "Herald reads the specification at this commit.".to_owned(),
        annotations: Vec::new(),
        actions: Vec::new(),
    }
}

/// The check run of the whole build. With one job it carries that job's annotations.
pub(super) fn build_check(links: &Links, view: &BuildView) -> CheckRun {
    let build = &view.build;
    let url = links.build(&view.repository, build);
    let report = view.report();
    let mut remarks = build.plan.path.as_deref().map_or_else(Vec::new, |path| {
        annotations::specification(path, &build.plan.problems)
    });
    let mut unannotated = 0;
    if let [job] = view.jobs.as_slice() {
        let (more, left) = job_annotations(view, job, &url);
        remarks.extend(more);
        unannotated = left;
    }
    remarks.extend(coverage::annotations(view));
    remarks.truncate(annotations::MOST);
    let state = match (build.state, build.conclusion) {
        (State::Finished, Some(conclusion)) => CheckState::Completed(conclusion),
        (State::Running, _) => CheckState::InProgress,
        _ => CheckState::Queued,
    };
    let finished = matches!(state, CheckState::Completed(_));
    let summary = CheckSummary {
        view,
        job: None,
        report: &report,
        patch: view.patch(),
        unannotated,
        page: url.clone(),
        url: url.clone(),
        lead: queue_lines(links, view),
    };
    CheckRun {
        commit: build.commit.clone(),
        name: build_check_name(view),
        details_url: url,
        state,
        started_ms: build.started_ms,
        completed_ms: build.finished_ms,
        title: shorten::chars(&queue_title(view), TITLE).into_owned(),
        summary: fit(&summary, SUMMARY),
        annotations: if finished { remarks } else { Vec::new() },
        actions: if build.plan.awaits_approval && finished {
            vec![action(
                "Approve and run",
                "Build this commit of a stranger",
                APPROVE,
            )]
        } else if build.plan.import.is_some() {
            read_again(state)
        } else if let [job] = view.jobs.as_slice()
            && job.waits_for_approval()
        {
            vec![approve_deployment()]
        } else if !view.jobs.is_empty() {
            rerun_failed(state)
        } else {
            Vec::new()
        },
    }
}

/// A button. GitHub's limits: 20, 40 and 20 characters.
fn action(label: &str, description: &str, identifier: &str) -> Action {
    Action {
        label: shorten::chars(label, 20).into_owned(),
        description: shorten::chars(description, 40).into_owned(),
        identifier: identifier.to_owned(),
    }
}

/// The button under a deployment that waits for somebody's word.
fn approve_deployment() -> Action {
    action("Approve and run", "Deploy this commit", APPROVE)
}

/// The button under what is red.
fn rerun_failed(state: CheckState) -> Vec<Action> {
    match state {
        CheckState::Completed(
            Conclusion::Failure | Conclusion::TimedOut | Conclusion::Cancelled,
        ) => vec![action(
            "Re-run failed",
            "Run what failed again, nothing else",
            RERUN_FAILED,
        )],
        _ => Vec::new(),
    }
}

/// The same for what is not run here.
fn read_again(state: CheckState) -> Vec<Action> {
    match state {
        CheckState::Completed(Conclusion::Success | Conclusion::Skipped) => Vec::new(),
        CheckState::Completed(_) => vec![action(
            "Read again",
            "Read the reports again, run nothing",
            RERUN_FAILED,
        )],
        _ => Vec::new(),
    }
}

/// The check run of one of several jobs.
pub(super) fn job_check(links: &Links, view: &BuildView, job: &Job) -> CheckRun {
    let build = &view.build;
    let url = links.job(&view.repository, build, &job.key);
    let empty = Report::default();
    let report = job.result.as_ref().map_or(&empty, |result| &result.report);
    let page = links.build(&view.repository, build);
    let (remarks, unannotated) = job_annotations(view, job, &page);
    let state = match (job.state, job.conclusion) {
        (State::Finished, Some(conclusion)) => CheckState::Completed(conclusion),
        (State::Running, _) => CheckState::InProgress,
        _ => CheckState::Queued,
    };
    let summary = CheckSummary {
        view,
        job: Some(job),
        report,
        patch: job
            .result
            .as_ref()
            .and_then(|result| result.patch.as_ref())
            .map(PatchCoverage::share),
        unannotated,
        page,
        url: url.clone(),
        lead: Vec::new(),
    };
    let title = match &job.result {
        Some(result) => result.title.clone(),
        None => waiting_title(job.state).to_owned(),
    };
    CheckRun {
        commit: build.commit.clone(),
        name: job_check_name(job),
        details_url: url,
        state,
        started_ms: job.started_ms,
        completed_ms: job.finished_ms,
        title: shorten::chars(&title, TITLE).into_owned(),
        summary: fit(&summary, SUMMARY),
        annotations: remarks,
        actions: if job.waits_for_approval() {
            vec![approve_deployment()]
        } else {
            rerun_failed(state)
        },
    }
}

/// `herald`, or `herald / WORKFLOW` where the reports come from elsewhere.
pub(super) fn build_check_name(view: &BuildView) -> String {
    match &view.build.plan.import {
        Some(import) => import_check_name(import.name()),
        None => NAME.to_owned(),
    }
}

/// The check run of reports that come from elsewhere, by what they are called.
pub fn import_check_name(name: &str) -> String {
    /// Characters: a name is read in a list.
    const MOST: usize = 100;
    format!("{NAME} / {}", shorten::chars(name, MOST))
}

/// `herald / JOB`, of a member of a matrix `herald / JOB (v1, v2)`.
pub(super) fn job_check_name(job: &Job) -> String {
    format!("{NAME} / {}", job.check_name())
}

fn job_annotations(view: &BuildView, job: &Job, page: &str) -> (Vec<Annotation>, usize) {
    let Some(result) = &job.result else {
        return (Vec::new(), 0);
    };
    let publish = &view.build.plan.publish;
    let only_in_diff = match publish.annotations {
        AnnotationPolicy::Off => return (Vec::new(), 0),
        AnnotationPolicy::Diff => true,
        AnnotationPolicy::All => false,
    };
    let placed = failed(&result.report)
        .iter()
        .filter(|test| test.location.is_some())
        .count();
    let options = AnnotationOptions {
        in_diff: &result.in_diff,
        tolerated: &result.tolerated,
        only_in_diff,
        show_locals: publish.show_locals,
        page,
    };
    let all = annotations(&result.report, options);
    let left = if only_in_diff { 0 } else { placed - all.len() };
    (all, left)
}

fn waiting_title(state: State) -> &'static str {
    match state {
        State::Blocked => "Waits for other jobs",
        State::Queued => "Queued",
        State::Running => "Running",
        State::Finished => "Finished",
    }
}

/// The title of the check, which is the place where people look how long they wait, and for what.
fn queue_title(view: &BuildView) -> String {
    let title = match view.ahead {
        ahead if ahead > 0 && view.build.state == State::Queued => {
            format!("Queued, {} ahead", text::plural(ahead, "job"))
        }
        _ => build_title(view),
    };
    match queue_words(view) {
        Some(words) => format!("{title}; {words}"),
        None => title,
    }
}

/// One line over the whole build.
pub(super) fn build_title(view: &BuildView) -> String {
    let build = &view.build;
    if let Some((title, _)) = &build.plan.verdict {
        return title.clone();
    }
    match build.state {
        State::Finished => {}
        _ if build.plan.import.is_some() => return "Reading the reports".to_owned(),
        State::Running => {
            let done = view
                .jobs
                .iter()
                .filter(|job| job.state == State::Finished)
                .count();
            return match view.jobs.len() {
                0 | 1 => "Running".to_owned(),
                all => format!("Running, {done} of {all} jobs done"),
            };
        }
        state => return waiting_title(state).to_owned(),
    }
    if let Some(title) = gate_title(view) {
        return title;
    }
    let trouble = view
        .judgement
        .as_ref()
        .and_then(|judged| judged.trouble.as_ref());
    if let Some(trouble) = trouble.filter(|_| build.conclusion == Some(Conclusion::Cancelled)) {
        return format!("Herald could not finish: {trouble}");
    }
    if let [job] = view.jobs.as_slice()
        && let Some(result) = &job.result
    {
        return result.title.clone();
    }
    several_jobs_title(view)
}

/// What a build is called that is red for nothing but a condition.
fn gate_title(view: &BuildView) -> Option<String> {
    let gate = view.judgement.as_ref()?.failed().next()?;
    let mut results = view.jobs.iter().filter_map(|job| job.result.as_ref());
    let is_red = results.any(|result| !result.failures.is_empty());
    (!is_red).then(|| in_time(&gate.text, view))
}

/// With how long the build took.
fn in_time(what: &str, view: &BuildView) -> String {
    match (view.build.started_ms, view.build.finished_ms) {
        (Some(start), Some(end)) => {
            let took = u64::try_from(end - start).unwrap_or(0);
            let took = std::time::Duration::from_millis(took);
            format!("{what} in {}", text::duration(took))
        }
        _ => what.to_owned(),
    }
}

/// What a build is called that was not deployed, if nothing else was in its way.
fn not_deployed(view: &BuildView) -> Option<String> {
    let conclusion = view.build.conclusion?;
    if !matches!(
        conclusion,
        Conclusion::Cancelled | Conclusion::ActionRequired
    ) {
        return None;
    }
    let mut jobs = view.jobs.iter();
    let job = jobs.find(|job| job.conclusion == Some(conclusion) && job.order.deploy.is_some())?;
    let title = &job.result.as_ref()?.title;
    Some(format!("{}: {title}", job.check_name()))
}

fn several_jobs_title(view: &BuildView) -> String {
    let build = &view.build;
    if build.conclusion == Some(Conclusion::Cancelled)
        && let Some(reason) = &build.reason
    {
        return format!("cancelled: {reason}");
    }
    if let Some(title) = not_deployed(view) {
        return title;
    }
    let results: Vec<(&Job, &JobResult)> = view
        .jobs
        .iter()
        .filter_map(|job| Some((job, job.result.as_ref()?)))
        .collect();
    let report = view.report();
    let totals = report.totals();
    let tolerated = view.tolerated(&report).len() as u64;
    let red = totals.failed + totals.errors > tolerated;
    let other = results.iter().find_map(|(job, result)| {
        result.failures.iter().find_map(|failure| match failure {
            JobFailure::Step { text } | JobFailure::Report { text } => {
                Some(format!("{}: {text}", job.check_name()))
            }
            JobFailure::Tests => None,
        })
    });
    let what = match other {
        Some(text) if !red => text,
        _ if totals.tests > 0 => counts(&totals, tolerated),
        _ => {
            let passed = results
                .iter()
                .filter(|(_, result)| result.conclusion == Conclusion::Success)
                .count();
            format!("{} passed", text::plural(passed as u64, "job"))
        }
    };
    in_time(&what, view)
}
