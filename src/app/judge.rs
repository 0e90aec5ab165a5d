//! From the ends of a build's jobs to what the build is called.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use tracing::warn;

use super::attempt::apart;
use super::checkout::Change;
use super::promote::{Candidate, NO_BRANCH};
use super::state::App;
use crate::domain::judgement::{self, coverage_gates, has_stopped, tests_gate};
use crate::domain::{BuildId, BuildView, Conclusion, Job, Judgement, State};
use crate::ports::error::Result;
use crate::ports::{Kind, PortError};
use crate::report::{Coverage, CoverageChange, Diff};
use crate::spec::ProjectGate;

/// Builds that are taken up at once, and how many of them are judged at the same time.
const AT_ONCE: i64 = 20;
const CONCURRENT: usize = 4;
/// Builds before a change among which one with coverage is looked for.
const EARLIER: usize = 5;
/// Builds before a change that are looked at for that.
const LOOKED_AT: usize = 20;
/// How long what went wrong is tried again.
const AGAIN_MS: i64 = 10_000;
/// For how long that may go on before a build is judged without what could not be had.
const PATIENCE_MS: i64 = 10 * 60 * 1000;
/// How long one try may take: a lost mirror is fetched anew.
const PATIENCE: Duration = Duration::from_mins(2);

/// When judging a build failed first, in unix milliseconds, of those that are tried again.
#[derive(Debug, Default)]
pub(super) struct Failing(Mutex<HashMap<BuildId, i64>>);

impl Failing {
    /// For how long it has failed, in milliseconds.
    fn since(&self, build: &BuildId, now_ms: i64) -> i64 {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now_ms - *all.entry(build.clone()).or_insert(now_ms)
    }

    fn forget(&self, build: &BuildId) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(build);
    }
}

/// What a build is judged by.
struct Grounds {
    candidate: Candidate,
    /// Of a merge queue, the pull requests that a failure concerns.
    concerns: Vec<i64>,
    change: Change,
    /// Builds with coverage that it stands on, the nearest first.
    earlier: Vec<BuildView>,
    /// What has become different since the first of them; `None` where that is the change itself.
    since: Option<String>,
}

impl App {
    /// Judges builds whose jobs have ended; `false` when none is due.
    pub(super) async fn judge_builds(&self) -> Result<bool> {
        let store = &self.parts.store;
        let builds = store.unjudged(self.now_ms(), AT_ONCE).await?;
        // One that waits for git must not keep the others.
        let is_none = builds.is_empty();
        let judging = builds.into_iter().map(|build| self.judge_or_later(build));
        let judged = stream::iter(judging).buffer_unordered(CONCURRENT);
        let () = judged.try_collect().await?;
        if !is_none {
            self.stir();
        }
        Ok(!is_none)
    }

    async fn judge_or_later(&self, build: BuildId) -> Result<()> {
        let store = &self.parts.store;
        let Err(error) = self.judge(&build).await else {
            self.failing.forget(&build);
            return Ok(());
        };
        let now_ms = self.now_ms();
        let failing_ms = self.failing.since(&build, now_ms);
        warn!(build = build.as_str(), "failed to {error}");
        if failing_ms < PATIENCE_MS && error.kind != Kind::Gone {
            return store.postpone_judging(&build, now_ms + AGAIN_MS).await;
        }
        // A build is never left without an end.
        let Some(view) = store.view(&build).await? else {
            return Ok(());
        };
        if view.build.state == State::Finished {
            let judgement = view.judgement.clone().unwrap_or_default();
            store.judge(&view, &judgement, now_ms).await?;
            self.failing.forget(&build);
            return Ok(());
        }
        let mut judgement = Judgement {
            notes: vec![format!("Coverage is not compared: failed to {error}.")],
            ..judgement(&view, &[], None, None, None)
        };
        let gates = &view.build.plan.coverage_gates;
        if gates.project == Some(ProjectGate::Auto) || gates.patch.is_some() {
            judgement.trouble = Some(format!("failed to {error}"));
        }
        store.judge(&view, &judgement, now_ms).await?;
        self.failing.forget(&build);
        Ok(())
    }

    async fn judge(&self, build: &BuildId) -> Result<()> {
        let store = &self.parts.store;
        let Some(view) = store.view(build).await? else {
            return Ok(());
        };
        let grounds = tokio::time::timeout(PATIENCE, self.grounds(&view)).await;
        let grounds = grounds.map_err(|_| {
            PortError::transient("find out what the change is: it took more than two minutes")
        })??;
        let (view, judgement) = apart(move || {
            let Change { diff, behind, .. } = &grounds.change;
            let since = grounds.since.as_deref();
            let mut judgement = match view.build.state {
                // It is only promoted.
                State::Finished => view.judgement.clone().unwrap_or_default(),
                _ => judgement(&view, &grounds.earlier, diff.as_deref(), since, *behind),
            };
            let Candidate { promotion, note } = grounds.candidate;
            judgement.promotion = promotion;
            judgement.notes.retain(|note| !note.starts_with(NO_BRANCH));
            judgement.notes.extend(note);
            judgement.concerns = grounds.concerns;
            (view, judgement)
        })
        .await?;
        store.judge(&view, &judgement, self.now_ms()).await
    }

    /// What the change of a build is, once more (the mirror has it unless it was lost), and what it is held against.
    async fn grounds(&self, view: &BuildView) -> Result<Grounds> {
        let remote = self.parts.forge.remote(&view.repository).await?;
        self.fetch_tested(&remote, &view.build).await?;
        let change = self.change(&remote.id, &view.build).await?;
        if let Some(error) = &change.diff_failed
            && view.build.plan.coverage_gates.patch.is_some()
        {
            return Err(error.clone());
        }
        let candidate = self.candidate(view, &remote).await?;
        let concerns = self.concerns(view, &remote).await?;
        let earlier = self.earlier(view, &change.ancestors).await?;
        let mut since = None;
        if let (Some(base), Some(from)) = (earlier.first(), &change.from)
            && base.build.commit.as_str() != from.as_str()
        {
            let (base, head) = (base.build.commit.as_str(), view.build.tested.as_str());
            since = Some(self.parts.source.diff(&remote.id, base, head).await?);
        }
        Ok(Grounds {
            candidate,
            concerns,
            change,
            earlier,
            since,
        })
    }

    /// Builds that the change stands on, the nearest first: up to the first one with coverage, and a few more where that
    /// of jobs without any has to be found.
    async fn earlier(&self, view: &BuildView, ancestors: &[String]) -> Result<Vec<BuildView>> {
        let has_coverage = |job: &Job| job.coverage().is_some();
        let gates = &view.build.plan.coverage_gates;
        if !view.jobs.iter().any(has_coverage) && gates.project.is_none() {
            return Ok(Vec::new());
        }
        let store = &self.parts.store;
        let mut all_have = view.jobs.iter().all(has_coverage);
        let mut earlier: Vec<BuildView> = Vec::new();
        let built = store
            .built(&view.repository.id, &view.build.plan.origin(), ancestors)
            .await?;
        for build in built.iter().take(LOOKED_AT) {
            // What cannot be read is no ground to leave this one without an end.
            let before = store.view(build).await.unwrap_or_else(|error| {
                warn!(build = build.as_str(), "failed to {error}");
                None
            });
            let Some(before) = before else { continue };
            if before.build.state != State::Finished || !before.jobs.iter().any(has_coverage) {
                continue;
            }
            all_have &= before.jobs.iter().all(has_coverage);
            earlier.push(before);
            if all_have || earlier.len() == EARLIER {
                break;
            }
        }
        Ok(earlier)
    }
}

/// Judges a build by what is known of it; `earlier` are builds with coverage that it stands on, the nearest first, `diff`
/// what the change adds, as a unified diff, `since` what has become different since the first of those builds where that
/// is something else, and `behind` how many commits its base has beyond those that it stands on.
pub fn judgement(
    view: &BuildView,
    earlier: &[BuildView],
    diff: Option<&str>,
    since: Option<&str>,
    behind: Option<u64>,
) -> Judgement {
    let plan = &view.build.plan;
    let diff = diff.map(Diff::parse);
    let since = since.map(Diff::parse).or_else(|| diff.clone());
    let own = |view: &BuildView| view.report().coverage;
    let mut now = own(view).unwrap_or_default();
    let did_not_run = |job: &Job| job.conclusion == Some(Conclusion::Skipped);
    let mut carried = Vec::new();
    for (job, coverage) in judgement::carried(view, earlier, did_not_run) {
        carried.push(job);
        let untouched = since
            .as_ref()
            .map(|since| coverage.clone().untouched(since));
        now.merge(untouched.unwrap_or(coverage));
    }
    let base = earlier.first();
    let before = base.and_then(|base| {
        let mut all = own(base)?;
        // Also of jobs that ended before they could report: what they cover has not gone.
        let before_it = earlier.get(1..).unwrap_or_default();
        for (_, coverage) in judgement::carried(base, before_it, |_| true) {
            all.merge(coverage);
        }
        Some(all)
    });
    let number = base.map(|base| base.build.number);
    let both = |mut coverage: Coverage| {
        if plan.coverage_gates.partial_lines_miss {
            coverage.miss_partial_lines();
        }
        coverage
    };
    let now = (!now.is_empty()).then(|| both(now));
    let before = before.map(both);
    let coverage =
        now.map(|now| CoverageChange::new(&now, before.as_ref(), diff.as_ref(), since.as_ref()));
    let gates = coverage_gates(
        &plan.coverage_gates,
        coverage.as_ref(),
        number,
        has_stopped(view),
    );
    Judgement {
        base: number,
        gates: tests_gate(view).into_iter().chain(gates).collect(),
        coverage,
        carried,
        behind,
        ..Judgement::default()
    }
}
