//! The loops that drain the queues.
//!
//! Each loop does one piece of work after another and waits for a pulse when there is none; a
//! second without one and it looks all the same, so that what becomes due is found. An error is
//! logged once and the loop goes on: the work is still in its queue.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::attempt::Begin;
use super::recovery::keep_looking;
use super::retention::keep_tidy;
use super::state::App;
use crate::ports::error::Result;
use crate::ports::store::{Claim, Lane};

/// How long a loop sleeps without a pulse.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long jobs that were ended and what is left to be said may take when the server stops.
const GRACE: Duration = Duration::from_secs(8);
/// How long requests that are under way may take after that.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How many publications are sent at once.
const SENDERS: usize = 4;
/// How often jobs whose workers are gone are looked for.
const LOST: Duration = Duration::from_secs(5);
/// Why a job whose lease has ended begins anew.
const GONE: &str = "its worker went away";
/// How often what no job owns is removed from where jobs run.
const SWEEP: Duration = Duration::from_mins(1);
/// How often builds that wait are shown how long the queue before them is.
const QUEUE: Duration = Duration::from_secs(30);
/// How many triggers are prepared at once.
const PREPARERS: usize = 2;
/// How many commits have their reports fetched from elsewhere at once.
const IMPORTERS: usize = 3;

/// One kind of work.
#[derive(Debug, Clone, Copy)]
enum Work {
    Deliveries(Lane),
    Triggers,
    Sets,
    Imports,
    Judge,
    Render,
    Send,
}

async fn once(app: &App, work: Work) -> Result<bool> {
    match work {
        Work::Deliveries(lane) => app.handle_delivery(lane).await,
        Work::Triggers => app.handle_trigger().await,
        Work::Sets => app.publish_sets().await,
        Work::Imports => app.import_next().await,
        Work::Judge => app.judge_builds().await,
        Work::Render => app.render_builds().await,
        Work::Send => app.send_publication().await,
    }
}

/// Works until `stop`; then running jobs are ended and what they leave is published, for at most
/// ten seconds.
pub async fn serve(app: Arc<App>, stop: CancellationToken) {
    if let Err(error) = app.keep_silent().await {
        error!("failed to {error}");
    }
    // A crash leaves checkouts behind; nobody else uses this folder.
    let _ = std::fs::remove_dir_all(&app.settings.work_dir);
    let held = app.held_jobs().await.unwrap_or_else(|error| {
        error!("failed to find the jobs that ran before: {error}");
        Vec::new()
    });
    let mut tasks = JoinSet::new();
    let last = CancellationToken::new();
    for lane in [Lane::Quick, Lane::Asking] {
        tasks.spawn(repeat(
            Arc::clone(&app),
            Work::Deliveries(lane),
            stop.clone(),
        ));
    }
    for _ in 0..PREPARERS {
        tasks.spawn(repeat(Arc::clone(&app), Work::Triggers, stop.clone()));
    }
    let jobs = tokio::spawn(run_jobs(Arc::clone(&app), held, stop.clone()));
    let (looking, stopped) = (Arc::clone(&app), stop.clone());
    tasks.spawn(async move { keep_looking(&looking, &stopped).await });
    let (tidying, stopped) = (Arc::clone(&app), stop.clone());
    tasks.spawn(async move { keep_tidy(&tidying, &stopped).await });
    for _ in 0..IMPORTERS {
        tasks.spawn(repeat(Arc::clone(&app), Work::Imports, stop.clone()));
    }
    tasks.spawn(repeat(Arc::clone(&app), Work::Sets, stop.clone()));
    for work in [Work::Judge, Work::Render] {
        tasks.spawn(repeat(Arc::clone(&app), work, last.clone()));
    }
    for _ in 0..SENDERS {
        tasks.spawn(repeat(Arc::clone(&app), Work::Send, last.clone()));
    }
    stop.cancelled().await;
    let grace = async {
        let _ = jobs.await;
        // What the jobs left is rendered and sent.
        while let Ok(true) = app.judge_builds().await {}
        while let Ok(true) = app.render_builds().await {}
        while let Ok(true) = app.send_publication().await {}
    };
    let _ = tokio::time::timeout(GRACE, grace).await;
    last.cancel();
    // Who is in the middle of a slow request is cut off: leases and doubts are on disk.
    let ending = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_WORDS, ending).await.is_err() {
        tasks.abort_all();
    }
}

async fn repeat(app: Arc<App>, work: Work, stop: CancellationToken) {
    let mut pulse = match work {
        Work::Deliveries(_) => app.arrivals(),
        _ => app.pulse(),
    };
    while !stop.is_cancelled() {
        pulse.mark_unchanged();
        match once(&app, work).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => error!("failed to {error}"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            _ = pulse.changed() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// Goes on with the jobs that ran before, starts others as room and queue allow, and waits for those
/// that run when it stops.
async fn run_jobs(app: Arc<App>, held: Vec<Claim>, stop: CancellationToken) {
    let mut jobs = JoinSet::new();
    let carry_out = {
        let (app, stop) = (Arc::clone(&app), stop.clone());
        move |jobs: &mut JoinSet<()>, claim, begin| {
            let (app, stop) = (Arc::clone(&app), stop.clone());
            jobs.spawn(async move {
                if let Err(error) = app.run_job(claim, begin, &stop).await {
                    error!("failed to {error}");
                }
            });
        }
    };
    for claim in held {
        carry_out(&mut jobs, claim, Begin::Again);
    }
    let mut pulse = app.pulse();
    let mut patrol = tokio::time::interval(LOST);
    let mut broom = tokio::time::interval(SWEEP);
    let mut queue = tokio::time::interval(QUEUE);
    while !stop.is_cancelled() {
        pulse.mark_unchanged();
        match app.claim_job().await {
            Ok(Some(claim)) => {
                carry_out(&mut jobs, claim, Begin::Anew);
                continue;
            }
            Ok(None) => {}
            Err(error) => error!("failed to {error}"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            _ = jobs.join_next(), if !jobs.is_empty() => {}
            _ = pulse.changed() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            _ = broom.tick() => {
                let app = Arc::clone(&app);
                jobs.spawn(async move {
                    if let Err(error) = app.sweep().await {
                        error!("failed to {error}");
                    }
                });
            }
            _ = queue.tick() => {
                if let Err(error) = app.refresh_queue().await {
                    error!("failed to {error}");
                }
            }
            _ = patrol.tick() => {
                // Leases that ended: their workers are gone.
                if let Err(error) = app.recover(GONE).await {
                    error!("failed to recover lost jobs: {error}");
                }
            }
        }
    }
    while jobs.join_next().await.is_some() {}
}

/// Does one piece of work; `false` when nothing is due. A job is carried out from begin to end,
/// and people see that it runs before they see how it ended.
///
/// # Errors
/// What went wrong, with the work still in its queue.
pub async fn step(app: &App) -> Result<bool> {
    for work in [
        Work::Deliveries(Lane::Quick),
        Work::Deliveries(Lane::Asking),
        Work::Sets,
        Work::Triggers,
        Work::Imports,
        Work::Judge,
        Work::Render,
        Work::Send,
    ] {
        if once(app, work).await? {
            return Ok(true);
        }
    }
    if app.recover(GONE).await? {
        return Ok(true);
    }
    let Some(claim) = app.claim_job().await? else {
        return Ok(false);
    };
    while app.render_builds().await? || app.send_publication().await? {}
    app.run_job(claim, Begin::Anew, &CancellationToken::new())
        .await?;
    Ok(true)
}

/// Does all work there is, one piece after another, until nothing is due. For tests and
/// `demo --once`.
///
/// # Errors
/// The first error, with the work still in its queue.
pub async fn drain(app: &App) -> Result<()> {
    while step(app).await? {}
    Ok(())
}
