//! What the use cases work with.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use super::access::Remembered;
use super::judge::Failing;
use super::meters::Meters;
use super::retention::Retention;
use crate::feedback::Links;
use crate::ports::store::Room;
use crate::ports::{
    Artifacts, Caches, Clock, Executor, Files, Forge, Identities, Kind, LogStore, PortError,
    Source, Store, UploadFiles,
};

/// What happens to pull requests from forks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForkPolicy {
    /// They wait for approval.
    Approve,
    /// They are not built.
    Ignore,
}

/// Settings of the use cases, already validated.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Addresses and marks of what is published.
    pub links: Links,
    /// Where checkouts are made; emptied at start-up.
    pub work_dir: PathBuf,
    /// The name under which this process holds leases. Stable over restarts where the process is
    /// the only one, so that it takes back at once what it held.
    pub worker: String,
    /// How much runs at once.
    pub room: Room,
    /// Pull requests from forks.
    pub forks: ForkPolicy,
    /// The longest time-out of a job, in milliseconds.
    pub job_timeout_max_ms: u64,
    /// `PATH` of the steps.
    pub path: String,
    /// How long things are kept.
    pub retention: Retention,
}

/// The adapters.
#[derive(Clone)]
pub struct Parts {
    /// The durable state.
    pub store: Arc<dyn Store>,
    /// GitHub.
    pub forge: Arc<dyn Forge>,
    /// Git.
    pub source: Arc<dyn Source>,
    /// Where jobs run.
    pub executor: Arc<dyn Executor>,
    /// Where their output is kept.
    pub logs: Arc<dyn LogStore>,
    /// Where files that they leave for people are kept.
    pub artifacts: Arc<dyn Artifacts>,
    /// Where folders are kept between builds.
    pub caches: Arc<dyn Caches>,
    /// Where uploads are kept.
    pub uploads: Arc<dyn UploadFiles>,
    /// All of these files, where somebody is looked for in them.
    pub files: Arc<dyn Files>,
    /// Jobs of GitHub Actions.
    pub identities: Arc<dyn Identities>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is measured.
    pub meters: Arc<Meters>,
}

/// The use cases with all they need.
pub struct App {
    /// The adapters.
    pub parts: Parts,
    /// The settings.
    pub settings: Settings,
    /// What GitHub said lately about what people may see.
    pub(super) remembered: Remembered,
    /// Builds that could not be judged yet.
    pub(super) failing: Failing,
    /// Changes with everything that may give another loop something to do.
    pulse: watch::Sender<u64>,
    /// Changes with that, and with every delivery.
    arrivals: watch::Sender<u64>,
    /// The same, without what other processes have told of.
    own: watch::Sender<u64>,
}

/// Wakes those that listen.
fn beat(to: &watch::Sender<u64>) {
    to.send_modify(|beat| *beat = beat.wrapping_add(1));
}

impl App {
    /// Puts it together.
    pub fn new(parts: Parts, settings: Settings) -> Self {
        Self {
            parts,
            settings,
            remembered: Remembered::default(),
            failing: Failing::default(),
            pulse: watch::Sender::new(0),
            arrivals: watch::Sender::new(0),
            own: watch::Sender::new(0),
        }
    }

    /// The time in unix milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.parts.clock.now_ms()
    }

    /// Something has changed that another loop may wait for.
    pub(super) fn stir(&self) {
        beat(&self.own);
        self.hear();
    }

    /// A delivery was kept. Most of them want nothing: only those are woken that read it.
    pub(super) fn arrive(&self) {
        beat(&self.own);
        beat(&self.arrivals);
    }

    /// Something has changed in another process.
    pub(super) fn hear(&self) {
        beat(&self.pulse);
        beat(&self.arrivals);
    }

    /// Tells of changes that this process has made.
    pub(super) fn own_changes(&self) -> watch::Receiver<u64> {
        self.own.subscribe()
    }

    /// Tells of deliveries too.
    pub(super) fn arrivals(&self) -> watch::Receiver<u64> {
        self.arrivals.subscribe()
    }

    /// Tells of such changes.
    pub fn pulse(&self) -> watch::Receiver<u64> {
        self.pulse.subscribe()
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// When to try again after `tries` failures in a row: a second, doubled each time, at most five
/// minutes.
pub(super) fn retry_at(now_ms: i64, tries: u32) -> i64 {
    let seconds = 1_i64 << tries.min(9);
    now_ms + seconds.min(300) * 1000
}

/// When to try again what failed with this error: not before GitHub allows it.
pub(super) fn again_at(error: &PortError, now_ms: i64, tries: u32) -> i64 {
    match error.kind {
        Kind::Throttled { until_ms } => until_ms,
        _ => retry_at(now_ms, tries),
    }
}

#[cfg(test)]
mod tests {
    use super::retry_at;

    #[test]
    fn waiting_doubles_up_to_five_minutes() {
        assert_eq!(retry_at(0, 0), 1_000);
        assert_eq!(retry_at(0, 3), 8_000);
        assert_eq!(retry_at(0, 40), 300_000);
    }
}
