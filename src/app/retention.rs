//! What is old goes, and what is known of those who have left.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::state::App;
use crate::domain::{BuildId, RepositoryId};
use crate::ports::error::Result;
use crate::ports::keeping::Ended;

/// How often it is looked for.
const EVERY: Duration = Duration::from_hours(1);
/// What is dropped at once, so that who writes waits for moments only.
const AT_ONCE: i64 = 50;
/// GitHub lists deliveries of three days (Enterprise Server: of a week), and what is not known of them is
/// taken up again: what was handled is known for longer.
const DELIVERIES_MS: u64 = 8 * 24 * 60 * 60 * 1000;

/// How long things are kept, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Logs of builds that have ended.
    pub logs_ms: u64,
    /// Artifacts of builds that have ended.
    pub artifacts_ms: u64,
    /// Deliveries that were handled or given up.
    pub deliveries_ms: u64,
    /// Builds, and how tests did.
    pub history_ms: u64,
    /// What is known of an account or a repository that the App was taken out of.
    pub uninstalled_ms: u64,
}

/// How much went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Dropped {
    /// Deliveries.
    pub deliveries: u64,
    /// Builds whose logs went.
    pub logs: u64,
    /// Builds whose artifacts went.
    pub artifacts: u64,
    /// Builds.
    pub builds: u64,
    /// Attempts and tests of the history.
    pub history: u64,
    /// Deeds of the audit log.
    pub deeds: u64,
    /// Uploads and files of them.
    pub uploads: u64,
    /// Repositories that were forgotten.
    pub repositories: u64,
}

/// Files of builds, which go before the builds do.
#[derive(Debug, Clone, Copy)]
enum Files {
    Logs,
    Artifacts,
}

impl Files {
    /// The setting that says up to which end of a build they are gone.
    fn setting(self) -> &'static str {
        match self {
            Self::Logs => "logs_dropped",
            Self::Artifacts => "artifacts_dropped",
        }
    }
}

impl App {
    /// The moment before which things are too old, in unix milliseconds.
    pub(super) fn before(&self, kept_ms: u64) -> i64 {
        let kept_ms = i64::try_from(kept_ms).unwrap_or(i64::MAX);
        self.now_ms().saturating_sub(kept_ms)
    }

    /// Drops all that is older than it is kept, in small steps, and says how much went. Stops early, without an error,
    /// when `stop` says so.
    ///
    /// # Errors
    /// When the store or the disk fails; what went before stays away.
    pub async fn prune(&self, stop: &CancellationToken) -> Result<Dropped> {
        let kept = self.settings.retention;
        Ok(Dropped {
            deliveries: self.drop_old_deliveries(stop).await?,
            logs: self.drop_files(Files::Logs, kept.logs_ms, stop).await?,
            artifacts: self
                .drop_files(Files::Artifacts, kept.artifacts_ms, stop)
                .await?,
            builds: self.drop_old_builds(stop).await?,
            history: self.drop_old_history(stop).await?,
            deeds: self.drop_old_deeds(stop).await?,
            repositories: self.forget_abandoned(stop).await?,
            // Files of uploads whose rows went before go here too.
            uploads: self.drop_old_uploads(stop).await?,
        })
    }

    async fn drop_old_deliveries(&self, stop: &CancellationToken) -> Result<u64> {
        let before_ms = self.before(self.settings.retention.deliveries_ms.max(DELIVERIES_MS));
        let store = &self.parts.store;
        repeat(stop, || store.drop_deliveries(before_ms, AT_ONCE)).await
    }

    /// Drops how tests did longer ago than it is kept, and says how many attempts and tests went.
    ///
    /// # Errors
    /// When the store fails; what went before stays away.
    pub async fn drop_old_history(&self, stop: &CancellationToken) -> Result<u64> {
        let before_ms = self.before(self.settings.retention.history_ms);
        let store = &self.parts.store;
        repeat(stop, || store.drop_history(before_ms, AT_ONCE)).await
    }

    async fn drop_old_deeds(&self, stop: &CancellationToken) -> Result<u64> {
        let before_ms = self.before(self.settings.retention.history_ms);
        let store = &self.parts.store;
        repeat(stop, || store.drop_deeds(before_ms, AT_ONCE)).await
    }

    /// Drops files of builds that ended longer ago than that.
    async fn drop_files(
        &self,
        files: Files,
        kept_ms: u64,
        stop: &CancellationToken,
    ) -> Result<u64> {
        let store = &self.parts.store;
        let before_ms = self.before(kept_ms);
        // Where it went on to the last time. A build that runs again ends later, and comes again.
        let mut last = read(store.setting(files.setting()).await?);
        let mut all = 0;
        while !stop.is_cancelled() {
            let ended = store.ended_builds(&last, before_ms, AT_ONCE).await?;
            let Some(newest) = ended.last() else { break };
            for one in &ended {
                match files {
                    Files::Logs => self.parts.logs.remove(&one.build).await?,
                    Files::Artifacts => self.parts.artifacts.remove(&one.build).await?,
                }
                all += 1;
            }
            last = newest.clone();
            let place = format!("{} {}", last.finished_ms, last.build);
            store.keep_setting(files.setting(), &place).await?;
        }
        Ok(all)
    }

    /// Drops builds that ended longer ago than history goes back and that nothing shows any more.
    async fn drop_old_builds(&self, stop: &CancellationToken) -> Result<u64> {
        let store = &self.parts.store;
        let before_ms = self.before(self.settings.retention.history_ms);
        let mut last = read(None);
        let mut all = 0;
        while !stop.is_cancelled() {
            let ended = store.ended_builds(&last, before_ms, AT_ONCE).await?;
            let Some(newest) = ended.last() else { break };
            last = newest.clone();
            let ended: Vec<BuildId> = ended.into_iter().map(|one| one.build).collect();
            let free = store.dispensable(&ended).await?;
            self.remove_files(&free).await?;
            all += store.drop_builds(&free).await?;
        }
        repeat(stop, || store.drop_of_nobody(before_ms, AT_ONCE)).await?;
        Ok(all)
    }

    async fn remove_files(&self, builds: &[BuildId]) -> Result<()> {
        for build in builds {
            self.parts.logs.remove(build).await?;
            self.parts.artifacts.remove(build).await?;
        }
        Ok(())
    }

    /// Forgets repositories and accounts that the App was taken out of longer ago than that, and says how many repositories
    /// there were.
    async fn forget_abandoned(&self, stop: &CancellationToken) -> Result<u64> {
        let store = &self.parts.store;
        let before_ms = self.before(self.settings.retention.uninstalled_ms);
        let mut all = 0;
        while !stop.is_cancelled() {
            let Some(repository) = store.abandoned(before_ms).await? else {
                break;
            };
            if !self.forget(&repository, before_ms, stop).await? {
                break;
            }
            info!(
                repository = repository.as_str(),
                "forgot {repository}, which the App was taken out of"
            );
            all += 1;
        }
        store.forget_installations(before_ms).await?;
        Ok(all)
    }

    /// Forgets one; `false` when it was stopped before the end, or a build in it is not over.
    async fn forget(
        &self,
        repository: &RepositoryId,
        before_ms: i64,
        stop: &CancellationToken,
    ) -> Result<bool> {
        self.parts.caches.remove(repository).await?;
        self.parts.source.remove(&repository.file_name()).await?;
        let store = &self.parts.store;
        while !stop.is_cancelled() {
            let forgotten = store.forget(repository, before_ms, AT_ONCE).await?;
            if forgotten.waits {
                return Ok(false);
            }
            if forgotten.builds.is_empty() {
                if forgotten.rows == 0 {
                    return Ok(true);
                }
                continue;
            }
            self.remove_files(&forgotten.builds).await?;
            store.drop_builds(&forgotten.builds).await?;
        }
        Ok(false)
    }
}

/// Small steps, until nothing is left to be done.
async fn repeat<F>(stop: &CancellationToken, mut step: impl FnMut() -> F) -> Result<u64>
where
    F: Future<Output = Result<u64>>,
{
    let mut all = 0;
    while !stop.is_cancelled() {
        let dropped = step().await?;
        if dropped == 0 {
            break;
        }
        all += dropped;
    }
    Ok(all)
}

/// A place among builds that have ended, as a setting says it; without one, before all.
fn read(setting: Option<String>) -> Ended {
    let setting = setting.unwrap_or_default();
    let (finished, build) = setting.split_once(' ').unwrap_or_default();
    Ended {
        finished_ms: finished.parse().unwrap_or(i64::MIN),
        build: BuildId::from_stored(build),
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
        match app.prune(stop).await {
            Ok(dropped) if dropped == Dropped::default() => {}
            Ok(dropped) => info!("what is older than it is kept went: {dropped}"),
            Err(error) => warn!("failed to {error}"),
        }
    }
}

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [
            (self.deliveries, "deliveries"),
            (self.logs, "logs of builds"),
            (self.artifacts, "artifacts of builds"),
            (self.builds, "builds"),
            (self.history, "attempts and tests"),
            (self.deeds, "deeds of the audit log"),
            (self.uploads, "uploads"),
            (self.repositories, "repositories"),
        ];
        let parts = parts.iter().filter(|(number, _)| *number > 0);
        let parts: Vec<String> = parts.map(|(number, of)| format!("{number} {of}")).collect();
        if parts.is_empty() {
            return f.write_str("nothing");
        }
        f.write_str(&parts.join(", "))
    }
}
