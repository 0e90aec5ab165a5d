//! Which jobs an executor holds, so that a sweep leaves their things alone.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use super::engine::JOB;

/// The ids of the jobs that are held.
#[derive(Debug, Clone, Default)]
pub(super) struct Live(Arc<Mutex<HashSet<String>>>);

/// A job that is held as long as this lives.
pub(super) struct Held {
    live: Live,
    job: String,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Ok(mut jobs) = self.live.0.lock() {
            jobs.remove(&self.job);
        }
    }
}

impl Live {
    pub(super) fn hold(&self, job: &str) -> Held {
        if let Ok(mut jobs) = self.0.lock() {
            jobs.insert(job.to_owned());
        }
        Held {
            live: self.clone(),
            job: job.to_owned(),
        }
    }

    /// Whether what has these labels stays: its job is held now, or is one of `keep`.
    pub(super) fn stays(&self, labels: Option<&HashMap<String, String>>, keep: &[String]) -> bool {
        let job = labels.and_then(|labels| labels.get(JOB));
        let held = |job: &String| self.0.lock().is_ok_and(|jobs| jobs.contains(job));
        job.is_some_and(|job| keep.contains(job) || held(job))
    }
}
