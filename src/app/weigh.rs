//! What reports from elsewhere are worth: placed, compared with what was before, and without what does not count.

use super::attempt::apart;
use super::checkout::Change;
use super::collect::{Gathered, Imported};
use super::insight::Compared;
use super::state::App;
use crate::domain::history::Insight;
use crate::domain::quarantine::Quarantined;
use crate::domain::{JobResult, PatchCoverage, Verdict};
use crate::ports::error::Result;
use crate::ports::store::Claim;
use crate::report::Report;

/// Reports with what is known of them.
pub(super) struct Weighed {
    pub(super) report: Report,
    patch: Option<PatchCoverage>,
    in_diff: Vec<String>,
    insight: Option<Insight>,
    /// Ids of failed tests that do not count.
    pub(super) tolerated: Vec<String>,
}

impl App {
    /// Puts reports in their place. `put_away`: what the base's file puts away.
    pub(super) async fn weigh(
        &self,
        claim: &Claim,
        reports: Imported,
        change: Change,
        put_away: Vec<Quarantined>,
    ) -> Result<Weighed> {
        let Change {
            diff, ancestors, ..
        } = change;
        let partial_lines_miss = claim.build.plan.partial_lines_miss;
        let gathered = apart(move || reports.finish(diff.as_deref(), partial_lines_miss)).await?;
        let Gathered {
            report,
            patch,
            in_diff,
            ..
        } = gathered;
        let compared = Compared {
            report: &report,
            in_diff: &in_diff,
            ancestors: &ancestors,
        };
        let (insight, tolerated) = self.judge_tests(claim, compared, put_away).await?;
        Ok(Weighed {
            report,
            patch,
            in_diff,
            insight,
            tolerated,
        })
    }
}

impl Weighed {
    /// The result of the job that read them.
    pub(super) fn result(self, said: Verdict, notes: Vec<String>, duration_ms: u64) -> JobResult {
        JobResult {
            conclusion: said.conclusion,
            title: said.title,
            failures: said.failures,
            notes,
            duration_ms,
            report: self.report,
            patch: self.patch,
            in_diff: self.in_diff,
            insight: self.insight,
            tolerated: self.tolerated,
            artifacts: Vec::new(),
        }
    }
}
