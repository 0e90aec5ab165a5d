//! The page of a job: its steps with the beginning of what each wrote. A script (`templates/pages/log.js`) shows
//! the rest, and goes on while the job runs; without it the page is whole as far as it goes.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};

use super::deployments::{self, JobButton};
use super::error::Error;
use super::lines::{PaintedLine, counts, painted};
use super::logs::{key_of, missing};
use super::pages::{job_of, page, visible_build};
use super::router::Web;
use super::session::{Viewer, Who};
use super::view::{BuildRow, JobRow, StepRow};
use crate::domain::{Repository, StepState};
use crate::ports::{LogKey, StepLines};

/// Bytes of a step's output that the page shows; the raw log has all.
const STEP_LOG: usize = 128 * 1024;
/// Lines of it.
const STEP_LINES: usize = 2_000;
/// What Herald itself has to say of a job.
const NOTES: u32 = u32::MAX;

#[derive(Template)]
#[template(path = "pages/job.html")]
struct JobTemplate {
    viewer: Viewer,
    repository: Repository,
    build: BuildRow,
    job: JobRow,
    steps: Vec<StepLog>,
    written: bool,
    running: bool,
    /// What the viewer can do with a deployment.
    button: Option<JobButton>,
}

/// A step and the beginning of what it wrote.
struct StepLog {
    /// What the addresses of its lines begin with.
    anchor: String,
    step: StepRow,
    open: bool,
    lines: Vec<PaintedLine>,
    /// The number of its last line.
    total: u64,
    /// The first and last line that are left out, as in `51-9950`.
    left_out: String,
    /// Which lines are not shown; nothing where all are.
    rest: String,
    /// A class that says how wide its numbers are.
    digits: String,
}

/// `…/jobs/{job}`.
pub(super) async fn show(
    State(web): State<Web>,
    who: Who,
    Path((owner, name, number, key)): Path<(String, String, String, String)>,
) -> Result<Response, Error> {
    let view = visible_build(&web, &who, &owner, &name, &number).await?;
    let job = job_of(&view, &key)?;
    if view.build.plan.import.is_some() {
        // There is nothing else to see of it: no steps, no log.
        let (repository, number) = (view.repository.full_name(), view.build.number);
        let page = format!("/repos/{repository}/builds/{number}");
        return Ok(Redirect::to(&page).into_response());
    }
    let log = key_of(&view, job);
    let counts = counts(web.app.parts.logs.as_ref(), &log).await?;
    let of = |step: u32| counts.iter().find(|counts| counts.step == step).copied();
    let mut steps = Vec::new();
    if let Some(counts) = of(NOTES) {
        // No step is called so.
        let anchor = "herald:notes".to_owned();
        let log = step_log(&web, &log, anchor, StepRow::notes(), Some(counts));
        steps.push(StepLog {
            open: true,
            ..log.await?
        });
    }
    for step in &job.steps {
        let anchor = step.anchor(&job.steps);
        let log = step_log(&web, &log, anchor, StepRow::new(step), of(step.index));
        let log = log.await?;
        let passed = matches!(step.state, StepState::Passed | StepState::Skipped);
        steps.push(StepLog {
            open: !passed && log.total > 0,
            ..log
        });
    }
    page(&JobTemplate {
        viewer: who.viewer(&web),
        build: BuildRow::new(&view.build, Some(&view), web.app.now_ms()),
        job: JobRow::new(job),
        written: !counts.is_empty(),
        button: deployments::button(&web, &who, &view, job).await?,
        steps,
        running: job.conclusion.is_none(),
        repository: view.repository.clone(),
    })
}

/// A step with the beginning of its log.
async fn step_log(
    web: &Web,
    key: &LogKey,
    anchor: String,
    step: StepRow,
    counts: Option<StepLines>,
) -> Result<StepLog, Error> {
    let (mut lines, mut total, mut left_out) = (Vec::new(), 0, None);
    if let Some(counts) = counts {
        let logs = web.app.parts.logs.as_ref();
        let read = painted(logs, key, step.index, 1, STEP_LINES, STEP_LOG).await;
        (lines, total) = read.map_err(missing)?;
        left_out = counts.left_out;
    }
    let shown = lines.last().map_or(0, |line| line.number);
    Ok(StepLog {
        anchor,
        step,
        open: false,
        lines,
        left_out: left_out.map_or_else(String::new, |(first, last)| format!("{first}-{last}")),
        rest: match total.saturating_sub(shown) {
            0 => String::new(),
            1 => format!("Line {total}"),
            _ => format!("Lines {} to {total}", shown + 1),
        },
        digits: format!("d{}", total.max(100).to_string().len()),
        total,
    })
}
