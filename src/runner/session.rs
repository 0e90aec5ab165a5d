//! One job, from the first word to the last.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::collect::{collect, file_clock};
use super::control::{Control, Reports, Signal, listen};
use super::pump::now_ms;
use super::step::{Place, carry_out};
use super::tree;
use crate::protocol::{Exit, FromRunner, Hello, Job, Outcome, PROTOCOL, Phase, StepOrder};

/// How the runner is set up, apart from the job.
#[derive(Debug, Clone)]
pub struct Options {
    /// The version of Herald that it was built from.
    pub version: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// Carries out one job, with orders from `input` and reports to `output`.
///
/// Takes over the calling process: it becomes the reaper of all its descendants, and every
/// process below it is taken for the step's and killed at the step's end. So call it in a process
/// made for it, and end that process with the returned exit status: 0 when the job was carried
/// out (whatever its steps did), 1 when the server went away or sent no job, 2 when the place
/// for the job is unusable.
pub fn run(
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
    options: &Options,
) -> i32 {
    tree::adopt();
    let (signals, receiver) = mpsc::channel();
    let reports = Arc::new(Reports::new(Box::new(output), signals.clone()));
    reports.send(&FromRunner::Hello(Hello {
        protocol: PROTOCOL,
        version: options.version.clone(),
    }));
    listen(input, signals.clone());
    let mut control = Control::new(receiver);
    let Some(job) = control.job() else {
        return 1;
    };
    match carry_out_job(&job, &reports, signals, &mut control) {
        Ok(outcome) if !control.gone => {
            reports.send(&FromRunner::Finished { outcome });
            control.look();
            i32::from(control.gone)
        }
        Ok(_) => 1,
        Err(reason) => {
            reports.send(&FromRunner::Note { text: reason });
            2
        }
    }
}

fn carry_out_job(
    job: &Job,
    reports: &Arc<Reports>,
    signals: mpsc::Sender<Signal>,
    control: &mut Control,
) -> Result<Outcome, String> {
    let workspace = Path::new(&job.workspace)
        .canonicalize()
        .map_err(|error| format!("failed to enter the workspace: {error}"))?;
    let scratch = Path::new(&job.scratch);
    let home = scratch.join("home");
    let temporary = scratch.join("tmp");
    for folder in [&home, &temporary] {
        fs::create_dir_all(folder)
            .map_err(|error| format!("failed to make {}: {error}", folder.display()))?;
    }
    let since = file_clock(scratch);
    reports.send(&FromRunner::Started);
    let place = Place {
        job,
        workspace,
        home,
        temporary,
        reports: Arc::clone(reports),
        signals,
    };
    let mut outcome = proof(&place, control);
    if !control.gone {
        after(&place, control);
    }
    if !control.gone && outcome != Outcome::Cancelled {
        collect(job, &place.workspace, since, reports);
    }
    control.look();
    if control.cancelled.is_some() && outcome == Outcome::Done {
        outcome = Outcome::Cancelled;
    }
    Ok(outcome)
}

/// `setup` and `execute`: the first failing step ends them.
fn proof(place: &Place<'_>, control: &mut Control) -> Outcome {
    let deadline = from_now(place.job.timeout_ms);
    let mut failed = false;
    let mut outcome = Outcome::Done;
    let steps = place.job.steps.iter();
    for step in steps.filter(|step| step.phase != Phase::After) {
        control.look();
        if control.cancelled.is_some() {
            outcome = Outcome::Cancelled;
        } else if outcome == Outcome::Done && !failed && Instant::now() >= deadline {
            outcome = Outcome::TimedOut;
        }
        if failed || outcome != Outcome::Done || control.gone {
            skip(place, step);
            continue;
        }
        let exit = report(place, step, |place| {
            carry_out(place, step, control, deadline, true)
        });
        match exit {
            Exit::TimedOut if Instant::now() >= deadline => outcome = Outcome::TimedOut,
            Exit::Cancelled => outcome = Outcome::Cancelled,
            exit => failed = !exit.success() && !step.continue_on_error,
        }
    }
    outcome
}

/// `after`: every step gets its turn, as long as there is time.
fn after(place: &Place<'_>, control: &mut Control) {
    let deadline = from_now(place.job.after_timeout_ms);
    let steps = place.job.steps.iter();
    for step in steps.filter(|step| step.phase == Phase::After) {
        if control.gone || Instant::now() >= deadline {
            skip(place, step);
            continue;
        }
        report(place, step, |place| {
            carry_out(place, step, control, deadline, false)
        });
    }
}

fn report(place: &Place<'_>, step: &StepOrder, run: impl FnOnce(&Place<'_>) -> Exit) -> Exit {
    let began = Instant::now();
    place.reports.send(&FromRunner::StepStarted {
        step: step.index,
        unix_ms: now_ms(),
    });
    let exit = run(place);
    place.reports.send(&FromRunner::StepFinished {
        step: step.index,
        exit: exit.clone(),
        duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
    exit
}

fn skip(place: &Place<'_>, step: &StepOrder) {
    place.reports.send(&FromRunner::StepFinished {
        step: step.index,
        exit: Exit::Skipped,
        duration_ms: 0,
    });
}

/// The moment so many milliseconds from now; a time beyond all measure is a year.
fn from_now(milliseconds: u64) -> Instant {
    let year = Duration::from_hours(365 * 24);
    let now = Instant::now();
    let wait = Duration::from_millis(milliseconds).min(year);
    now.checked_add(wait).unwrap_or(now)
}
