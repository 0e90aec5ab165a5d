//! How far a build is that has not ended: its place in the queue, or what runs and how long it usually takes.

use std::time::Duration;

use super::error::Error;
use super::router::Web;
use crate::domain::{BuildView, Measure, State, StepState};
use crate::text;

/// Builds that say what is usual.
const USUAL_OF: i64 = 20;

/// What is said of a build that has not ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) words: String,
    /// Milliseconds that have gone by, and that it usually takes; where that is known.
    pub(super) share: Option<(u64, u64)>,
}

/// The progress; `None` of a build that has ended.
pub(super) async fn of(web: &Web, view: &BuildView) -> Result<Option<Progress>, Error> {
    let build = &view.build;
    if build.conclusion.is_some() {
        return Ok(None);
    }
    let now_ms = web.app.now_ms();
    let store = &web.app.parts.store;
    if build.state == State::Queued {
        let queue = store.queue(&build.id, now_ms).await?;
        let ahead = queue.map_or(0, |queue| queue.waits_for(web.app.settings.room));
        let words = if ahead == 0 {
            "It begins as soon as there is a worker for it.".to_owned()
        } else {
            format!("{} before it.", come(ahead))
        };
        return Ok(Some(Progress { words, share: None }));
    }
    let branch = &view.repository.default_branch;
    let measures = store
        .measures(&view.repository.id, branch, USUAL_OF)
        .await?;
    let elapsed_ms = build
        .started_ms
        .and_then(|start| u64::try_from(now_ms - start).ok())
        .unwrap_or(0);
    Ok(Some(running(view, elapsed_ms, usual(&measures))))
}

fn come(ahead: u64) -> String {
    if ahead == 1 {
        "1 job comes".to_owned()
    } else {
        format!("{ahead} jobs come")
    }
}

/// The median of green builds.
fn usual(measures: &[Measure]) -> Option<u64> {
    let green = measures.iter().filter(|measure| !measure.red);
    let mut all: Vec<u64> = green.filter_map(|measure| measure.duration_ms).collect();
    all.sort_unstable();
    all.get(all.len() / 2).copied()
}

fn running(view: &BuildView, elapsed_ms: u64, usual_ms: Option<u64>) -> Progress {
    let took = |ms| text::duration(Duration::from_millis(ms));
    let steps: Vec<String> = view
        .jobs
        .iter()
        .flat_map(|job| &job.steps)
        .filter(|step| step.state == StepState::Running)
        .map(|step| format!("“{}”", step.name))
        .take(3)
        .collect();
    let mut words = format!("Running for {}", took(elapsed_ms));
    if !steps.is_empty() {
        words.push_str(&format!(", at {}", steps.join(", ")));
    }
    if let Some(usual) = usual_ms {
        words.push_str(&format!("; it usually takes {}", took(usual)));
    }
    words.push('.');
    Progress {
        words,
        share: usual_ms.map(|usual| (elapsed_ms.min(usual), usual.max(1))),
    }
}

#[cfg(test)]
mod tests {
    use super::{come, usual};
    use crate::domain::Measure;

    #[test]
    fn what_is_usual_is_the_median_of_green_builds() {
        let measure = |seconds: u64, red| Measure {
            number: 1,
            red,
            duration_ms: Some(seconds * 1000),
            passed: 0,
            failed: 0,
            skipped: 0,
            covered: 0,
            coverable: 0,
        };
        let builds = [
            measure(10, false),
            measure(1, true),
            measure(30, false),
            measure(20, false),
        ];
        assert_eq!(usual(&builds), Some(20_000));
        assert_eq!(usual(&builds[1..2]), None, "it failed early");
        assert_eq!(come(1), "1 job comes");
    }
}
