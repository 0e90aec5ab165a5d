//! From the ends of a build's jobs to what the build is called.

use tracing::warn;

use super::attempt::apart;
use super::checkout::Change;
use super::state::App;
use crate::domain::judgement::{coverage_gates, has_stopped, project_coverage, tests_gate};
use crate::domain::{BuildId, BuildView, Judgement, State};
use crate::ports::Kind;
use crate::ports::error::Result;
use crate::report::{Coverage, CoverageChange, Diff};

/// Builds that are judged at once.
const AT_ONCE: i64 = 20;
/// Builds before a change among which one with coverage is looked for.
const EARLIER: usize = 5;
/// How long what went wrong is tried again.
const AGAIN_MS: i64 = 10_000;
/// For how long the change itself may be out of reach before a build is judged without it.
const PATIENCE_MS: i64 = 10 * 60 * 1000;

impl App {
    /// Judges builds whose jobs have ended; `false` when none is due.
    pub(super) async fn judge_builds(&self) -> Result<bool> {
        let store = &self.parts.store;
        let builds = store.unjudged(self.now_ms(), AT_ONCE).await?;
        for build in &builds {
            // One that cannot be judged must not keep the others.
            if let Err(error) = self.judge(build).await {
                warn!(build = build.as_str(), "failed to {error}");
                let due_ms = self.now_ms() + AGAIN_MS;
                store.postpone_judging(build, due_ms).await?;
            }
        }
        if !builds.is_empty() {
            self.stir();
        }
        Ok(!builds.is_empty())
    }

    async fn judge(&self, build: &BuildId) -> Result<()> {
        let store = &self.parts.store;
        let Some(view) = store.view(build).await? else {
            return Ok(());
        };
        let ended = view.jobs.iter().filter_map(|job| job.finished_ms).max();
        let waited = self.now_ms() - ended.unwrap_or(0);
        let (change, notes) = match self.change_of(&view).await {
            Ok(change) => (change, Vec::new()),
            // A build is never left without an end for what only helps to judge it.
            Err(error) if waited > PATIENCE_MS || error.kind == Kind::Gone => {
                let note = format!("What the change adds is not known: failed to {error}.");
                (Change::default(), vec![note])
            }
            Err(error) => return Err(error),
        };
        let earlier = self.earlier(&view, &change.ancestors).await?;
        let (view, mut judgement) = apart(move || {
            let judgement = judgement(&view, &earlier, change.diff.as_deref(), change.behind);
            (view, judgement)
        })
        .await?;
        judgement.notes.extend(notes);
        store.judge(&view, &judgement, self.now_ms()).await
    }

    /// What the change of a build is, once more: the mirror has it unless it was lost.
    async fn change_of(&self, view: &BuildView) -> Result<Change> {
        let remote = self.parts.forge.remote(&view.repository).await?;
        self.fetch_tested(&remote, &view.build).await?;
        self.change(&remote.id, &view.build).await
    }

    /// Builds that the change stands on, the nearest first: up to the first one with coverage, and a few more where that
    /// of jobs that did not run has to be found.
    async fn earlier(&self, view: &BuildView, ancestors: &[String]) -> Result<Vec<BuildView>> {
        let has_coverage = |view: &BuildView| {
            let results = view.jobs.iter().filter_map(|job| job.result.as_ref());
            results
                .into_iter()
                .any(|result| result.report.coverage.is_some())
        };
        let gates = &view.build.plan.coverage_gates;
        if !has_coverage(view) && gates.project.is_none() {
            return Ok(Vec::new());
        }
        let store = &self.parts.store;
        let skips = |view: &BuildView| {
            let skipped = Some(crate::domain::Conclusion::Skipped);
            view.jobs.iter().any(|job| job.conclusion == skipped)
        };
        let mut all_ran = !skips(view);
        let mut earlier: Vec<BuildView> = Vec::new();
        for build in store.built(&view.repository.id, ancestors).await? {
            let Some(before) = store.view(&build).await? else {
                continue;
            };
            if before.build.state != State::Finished || !has_coverage(&before) {
                continue;
            }
            all_ran &= !skips(&before);
            earlier.push(before);
            if all_ran || earlier.len() == EARLIER {
                break;
            }
        }
        Ok(earlier)
    }
}

/// Judges a build by what is known of it; `earlier` are builds with coverage that it stands on, the nearest first, `diff`
/// what the change adds, as a unified diff, and `behind` how many commits its base has beyond those that it stands on.
pub fn judgement(
    view: &BuildView,
    earlier: &[BuildView],
    diff: Option<&str>,
    behind: Option<u64>,
) -> Judgement {
    let plan = &view.build.plan;
    let diff = diff.map(Diff::parse);
    let (own, others) = project_coverage(view, earlier);
    let mut carried = Vec::new();
    let mut now = own.unwrap_or_default();
    for (job, coverage) in others {
        carried.push(job);
        let untouched = diff.as_ref().map(|diff| coverage.clone().untouched(diff));
        now.merge(untouched.unwrap_or(coverage));
    }
    let base = earlier.first();
    let before = base.and_then(|base| {
        let (own, others) = project_coverage(base, earlier.get(1..).unwrap_or_default());
        let mut all = own?;
        for (_, coverage) in others {
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
    let coverage = now.map(|now| CoverageChange::new(&now, before.as_ref(), diff.as_ref()));
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
        notes: Vec::new(),
    }
}
