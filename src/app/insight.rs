//! What the tests of a job did before, and what that says of those that fail now.

use super::state::App;
use crate::domain::history::{Attempted, Insight, TestName, judge, runs};
use crate::domain::quarantine::Quarantined;
use crate::domain::{Trust, tolerance};
use crate::ports::error::Result;
use crate::ports::store::Claim;
use crate::report::Report;

/// Attempts of a job that are looked back at.
const BACK: i64 = 200;

/// What an attempt reports, and what that is held against.
pub(super) struct Compared<'a> {
    pub(super) report: &'a Report,
    /// Ids of failed tests on lines that the change adds.
    pub(super) in_diff: &'a [String],
    /// Commits that the change stands on, the nearest first.
    pub(super) ancestors: &'a [String],
}

impl App {
    /// What is known of the tests of an attempt, and the ids of failed ones that do not count. `put_away`: what the base's
    /// file puts away.
    pub(super) async fn judge_tests(
        &self,
        claim: &Claim,
        compared: Compared<'_>,
        put_away: Vec<Quarantined>,
    ) -> Result<(Option<Insight>, Vec<String>)> {
        let Compared {
            report,
            in_diff,
            ancestors,
        } = compared;
        let mut insight = self.known(claim, report, in_diff, ancestors).await;
        self.put_away_in(claim, report, put_away, &mut insight)
            .await?;
        let allow = claim.build.plan.allow_known_flaky;
        let tolerated = insight
            .as_ref()
            .map_or_else(Vec::new, |insight| tolerance::tolerated(insight, allow));
        Ok((insight, tolerated))
    }

    /// What is known of the tests of an attempt by what its job did before. It only helps, so nothing fails for it.
    async fn known(
        &self,
        claim: &Claim,
        report: &Report,
        in_diff: &[String],
        ancestors: &[String],
    ) -> Option<Insight> {
        let looked = self.look_back(claim, report, in_diff, ancestors).await;
        looked.unwrap_or_else(|error| {
            tracing::warn!("tests are not compared with those before: failed to {error}");
            None
        })
    }

    /// Says of failed tests that are put away that they are: by people, or by `file`, that of the base.
    async fn put_away_in(
        &self,
        claim: &Claim,
        report: &Report,
        file: Vec<Quarantined>,
        insight: &mut Option<Insight>,
    ) -> Result<()> {
        if !report.tests.iter().any(|test| test.outcome.is_red()) {
            return Ok(());
        }
        let (store, now_ms) = (&self.parts.store, self.now_ms());
        let mut all = store.quarantined(&claim.repository.id, now_ms).await?;
        all.extend(file);
        tolerance::put_away(insight.get_or_insert_default(), report, &all);
        Ok(())
    }

    /// Compares the tests of an attempt with what its job did before, and keeps how they did; `None` where there are no
    /// tests. What a stranger's change does is compared and not kept: it would change what is said of others.
    async fn look_back(
        &self,
        claim: &Claim,
        report: &Report,
        in_diff: &[String],
        ancestors: &[String],
    ) -> Result<Option<Insight>> {
        if report.tests.is_empty() {
            return Ok(None);
        }
        let store = &self.parts.store;
        let (build, job) = (&claim.build, claim.job.check_name());
        let names: Vec<TestName> = report.tests.iter().map(TestName::of).collect();
        let at_ms = self.now_ms();
        let numbers = store
            .test_numbers(&claim.repository.id, &names, at_ms)
            .await?;
        let now = Attempted {
            build: build.number,
            attempt: claim.job.attempt,
            commit: build.commit.to_string(),
            tested: build.tested.to_string(),
            at_ms,
            runs: runs(report, &numbers),
        };
        let mut past = store.past_attempts(&claim.repository.id, job, BACK).await?;
        // An attempt whose end was not written down is made again.
        past.retain(|one| (one.build, one.attempt) != (now.build, now.attempt));
        let insight = judge(report, &numbers, &now, &past, ancestors, in_diff);
        if build.trust == Trust::Trusted {
            store.keep_attempt(&claim.repository.id, job, now).await?;
        }
        Ok(Some(insight))
    }
}
