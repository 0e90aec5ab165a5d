//! One job, from the first word to the last.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::collect::{Began, Found, file_clock, find, send};
use super::confine::{confine, hand_over};
use super::connect::{self, Server};
use super::control::{Control, Listener, Signal};
use super::mask::Masker;
use super::pressure;
use super::pump::now_ms;
use super::reports::Reports;
use super::step::{Place, carry_out};
use super::tree;
use super::unpack::{pack, unpack};
use crate::protocol::{
    Decoder, Exit, FromRunner, Hello, Job, NamesOnly, Outcome, PROTOCOL, Phase, StepOrder,
};

/// How the runner is set up, apart from the job.
#[derive(Clone)]
pub struct Options {
    /// The version of Herald that it was built from.
    pub version: String,
    /// Whether the connection may break and be resumed, so that what was said is kept until the
    /// server confirms it.
    pub resumable: bool,
    /// Secrets that came another way than with the job.
    pub secrets: Vec<(String, String)>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("version", &self.version)
            .field("resumable", &self.resumable)
            .field("secrets", &NamesOnly(&self.secrets))
            .finish()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            resumable: false,
            secrets: Vec::new(),
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
    mut input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
    options: &Options,
) -> i32 {
    let resumable = options.resumable;
    begin(
        Some(Box::new(output)),
        options,
        resumable,
        move |mut listener, reports| {
            let decoder = if resumable {
                Decoder::restarting()
            } else {
                Decoder::default()
            };
            let _ = listener.listen(&mut input, decoder);
            listener.break_off();
            reports.give_up();
        },
    )
}

/// The same, with a server over the network.
pub fn run_connected(server: Server, options: &Options) -> i32 {
    begin(None, options, true, move |listener, reports| {
        connect::keep(&server, listener, reports);
    })
}

fn begin(
    output: Option<Box<dyn Write + Send>>,
    options: &Options,
    resumable: bool,
    listen: impl FnOnce(Listener, &Arc<Reports>) + Send + 'static,
) -> i32 {
    tree::adopt();
    let (signals, receiver) = mpsc::channel();
    let reports = Arc::new(Reports::new(output, signals.clone(), resumable));
    reports.send(&FromRunner::Hello(Hello {
        protocol: PROTOCOL,
        version: options.version.clone(),
    }));
    let listener = Listener::new(signals.clone(), Arc::clone(&reports));
    let to_listen = Arc::clone(&reports);
    thread::spawn(move || listen(listener, &to_listen));
    let mut control = Control::new(receiver);
    let Some(mut job) = control.job() else {
        return 1;
    };
    job.secrets.extend(options.secrets.iter().cloned());
    match carry_out_job(&job, &reports, signals, &mut control) {
        Ok(()) => i32::from(control.gone),
        Err(reason) => {
            reports.send(&FromRunner::Trouble { text: reason });
            let round = reports.collecting();
            let _ = reports.settled(round);
            2
        }
    }
}

fn carry_out_job(
    job: &Job,
    reports: &Arc<Reports>,
    signals: mpsc::Sender<Signal>,
    control: &mut Control,
) -> Result<(), String> {
    let user = job.confinement.as_ref().map(confine).transpose()?;
    let workspace = Path::new(&job.workspace);
    let scratch = Path::new(&job.scratch);
    let home = scratch.join("home");
    let temporary = scratch.join("tmp");
    for folder in [workspace, &home, &temporary] {
        fs::create_dir_all(folder)
            .map_err(|error| format!("make {}: {error}", folder.display()))?;
    }
    let workspace = workspace
        .canonicalize()
        .map_err(|error| format!("enter the workspace: {error}"))?;
    for _ in &job.archives {
        let Some((kind, pieces)) = control.archive() else {
            return Ok(());
        };
        unpack(kind, pieces, &workspace, &home)?;
    }
    if let Some(user) = user {
        hand_over(&workspace, user)?;
        hand_over(scratch, user)?;
    }
    for port in &job.await_ports {
        connect::await_port(port)?;
    }
    let unpacked = file_clock(scratch);
    let mut since = unpacked;
    while !job.archives.is_empty() && since <= unpacked {
        // What was unpacked in this tick of the clock is older than the job.
        thread::sleep(Duration::from_millis(1));
        since = file_clock(scratch);
    }
    reports.send(&FromRunner::Started);
    let values: Vec<String> = job.secrets.iter().map(|(_, value)| value.clone()).collect();
    let place = Place {
        job,
        workspace,
        home,
        temporary,
        user,
        masker: Masker::new(&values),
        reports: Arc::clone(reports),
        began: Began::default(),
        signals,
    };
    if let Some(confinement) = &job.confinement {
        pressure::watch_disk(&place, confinement.disk_bytes, since);
    }
    let (mut outcome, passed) = proof(&place, control);
    if !control.gone {
        after(&place, control);
    }
    control.look();
    if control.cancelled.is_some() && outcome == Outcome::Done {
        outcome = Outcome::Cancelled;
    }
    let files = if outcome == Outcome::Cancelled {
        Vec::new()
    } else {
        collected(&place, since, passed)
    };
    reports.send(&FromRunner::Collecting);
    // Once more from the beginning when the connection was replaced meanwhile.
    while !control.gone {
        let round = reports.collecting();
        let told = send(&files, job.limits, round, reports)
            .and_then(|()| reports.send_in(round, &FromRunner::Finished { outcome }))
            .and_then(|()| reports.settled(round));
        control.look();
        if told.is_ok() {
            break;
        }
    }
    Ok(())
}

/// The files that the server asks for, and the cache where it is to be kept.
fn collected(place: &Place<'_>, since: SystemTime, passed: bool) -> Vec<Found> {
    let mut files = find(
        place.job,
        &place.workspace,
        since,
        &place.began,
        &place.reports,
    );
    let cache = place
        .job
        .cache
        .as_ref()
        .filter(|cache| cache.save && passed);
    if let Some(cache) = cache {
        let archive = Path::new(&place.job.scratch).join("cache.tar");
        match pack(&cache.paths, &place.workspace, &place.home, &archive) {
            Ok(Some(size)) => files.push(Found::cache(archive, size)),
            Ok(None) => {}
            Err(reason) => place.reports.send(&FromRunner::Note {
                text: format!("failed to {reason}"),
            }),
        }
    }
    files
}

/// `setup` and `execute`: the first failing step ends them. Says also whether all have passed.
fn proof(place: &Place<'_>, control: &mut Control) -> (Outcome, bool) {
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
    (outcome, !failed && outcome == Outcome::Done)
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
    place.began.note(step.index);
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
