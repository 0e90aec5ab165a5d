//! What the tests of a job did before, and what that says of those that fail now.

use super::state::App;
use crate::domain::Trust;
use crate::domain::history::{Attempted, Insight, TestName, judge, runs};
use crate::ports::error::Result;
use crate::ports::store::Claim;
use crate::report::Report;

/// Attempts of a job that are looked back at.
const BACK: i64 = 200;

impl App {
    /// Compares the tests of an attempt with what its job did before, and keeps how they did; `None` where there are no
    /// tests. What a stranger's change does is compared and not kept: it would change what is said of others.
    pub(super) async fn look_back(
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
