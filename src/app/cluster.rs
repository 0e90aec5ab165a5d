//! Several processes on one database: each tells the others of changes, GitHub's limits are shared, and what one process
//! is enough for is done by one.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::state::App;
use crate::ports::Others;
use crate::ports::error::Result;

/// How often a process says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// After so long without a word it is taken for gone, in milliseconds.
const GONE_MS: i64 = 30_000;
/// Changes within so long are told of together.
const TOGETHER: Duration = Duration::from_millis(20);
/// How long after the connection was lost it is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// So long after somebody has said that they do a task, in milliseconds, somebody else may.
const LEAD_MS: i64 = 60_000;

impl App {
    /// Whether it is for this process to do a task that one is enough for.
    pub(super) async fn leads(&self, task: &str) -> Result<bool> {
        let (name, now_ms) = (&self.settings.worker, self.now_ms());
        let store = &self.parts.store;
        store.lead(task, name, now_ms, now_ms + LEAD_MS).await
    }

    async fn appear(&self, works: bool) -> Result<()> {
        let (name, now_ms) = (&self.settings.worker, self.now_ms());
        let store = &self.parts.store;
        let workers = store.appear(name, works, now_ms, now_ms - GONE_MS).await?;
        self.parts.forge.shared_by(workers);
        // What GitHub said to another process about waiting holds for this one too.
        self.keep_silent().await
    }
}

/// Keeps in touch with other processes on the same database until `stop`.
pub async fn keep_in_touch(app: Arc<App>, works: bool, stop: CancellationToken) {
    let pass_on = pass_on(&app, &stop);
    let show = async {
        let mut turns = tokio::time::interval(HEARTBEAT);
        turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = turns.tick() => {}
            }
            if let Err(error) = app.appear(works).await {
                warn!("failed to {error}");
            }
        }
    };
    tokio::join!(pass_on, show);
    if let Err(error) = app.parts.store.disappear(&app.settings.worker).await {
        warn!("failed to {error}");
    }
}

/// Passes changes on, in both directions.
async fn pass_on(app: &App, stop: &CancellationToken) {
    let mut ours = app.own_changes();
    while !stop.is_cancelled() {
        let turn = async {
            match app.parts.store.others().await {
                Ok(None) => {
                    stop.cancelled().await;
                    Ok(())
                }
                Ok(Some(mut others)) => {
                    // What was told while nobody listened.
                    app.hear();
                    exchange(app, others.as_mut(), &mut ours).await
                }
                Err(error) => Err(error),
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            done = turn => {
                if let Err(error) = done {
                    warn!("failed to {error}");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }
}

async fn exchange(
    app: &App,
    others: &mut dyn Others,
    ours: &mut tokio::sync::watch::Receiver<u64>,
) -> Result<()> {
    loop {
        tokio::select! {
            heard = others.next() => {
                heard?;
                app.hear();
            }
            changed = ours.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                tokio::time::sleep(TOGETHER).await;
                ours.mark_unchanged();
                app.parts.store.tell_others().await?;
            }
        }
    }
}
