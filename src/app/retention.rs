//! What is old goes.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::state::App;
use crate::ports::error::Result;

/// How often it is looked for.
const EVERY: Duration = Duration::from_hours(1);
/// What is dropped at once, so that who writes waits for moments only.
const AT_ONCE: i64 = 50;

impl App {
    /// Drops how tests did longer ago than it is kept, in small steps, and says how many attempts and tests went.
    ///
    /// # Errors
    /// When the store fails; what went before stays away.
    pub async fn drop_old_history(&self, stop: &CancellationToken) -> Result<u64> {
        let kept_ms = i64::try_from(self.settings.history_ms).unwrap_or(i64::MAX);
        let before_ms = self.now_ms().saturating_sub(kept_ms);
        let mut all = 0;
        while !stop.is_cancelled() {
            let dropped = self.parts.store.drop_history(before_ms, AT_ONCE).await?;
            if dropped == 0 {
                break;
            }
            all += dropped;
        }
        Ok(all)
    }
}

/// Lets go what is old, at once and then regularly, until `stop`.
pub(super) async fn keep_tidy(app: &App, stop: &CancellationToken) {
    let mut turns = tokio::time::interval(EVERY);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = turns.tick() => {}
        }
        match app.leads("retention").await {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) => {
                warn!("failed to {error}");
                continue;
            }
        }
        match app.drop_old_history(stop).await {
            Ok(0) => {}
            Ok(dropped) => info!(dropped, "{dropped} old attempts and tests are forgotten"),
            Err(error) => warn!("failed to {error}"),
        }
        match app.drop_old_uploads(stop).await {
            Ok(0) => {}
            Ok(dropped) => info!(
                dropped,
                "{dropped} old uploads and files of them are dropped"
            ),
            Err(error) => warn!("failed to {error}"),
        }
    }
}
