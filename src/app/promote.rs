//! What a candidate has that is not released, and which pull requests of a merge queue a failure concerns.

use std::collections::BTreeSet;

use super::state::App;
use crate::domain::queue::QueueBranch;
use crate::domain::{
    BuildView, Conclusion, Job, JobFailure, Landed, Occasion, Promotion, Sha, Trigger,
};
use crate::ports::error::Result;
use crate::ports::source::{LandedCommit, Remote};
use crate::ports::{Kind, PortError};
use crate::spec::Promote;

/// Commits that are looked at between what is released and a candidate.
const CHANGES: usize = 1_000;
/// Commits of a merge queue that are looked at: GitHub lets 100 pull requests merge together.
const QUEUED: usize = 500;

/// How it begins what is said where there is nothing to promote to.
pub(super) const NO_BRANCH: &str = "nothing is promoted: there is no branch";

/// What is found out of a candidate.
#[derive(Debug, Default)]
pub(super) struct Candidate {
    pub(super) promotion: Option<Promotion>,
    /// Why it is not promoted, where people have to do something about that.
    pub(super) note: Option<String>,
}

fn landed(commit: &LandedCommit) -> Result<Landed> {
    let id = Sha::parse(&commit.commit)
        .map_err(|error| PortError::transient(format!("read what git log says: {error}")))?;
    Ok(Landed::read(id, &commit.subject, &commit.body))
}

impl App {
    /// What a build promotes. Only the newest candidate speaks: an older one that ends late says nothing.
    pub(super) async fn candidate(&self, view: &BuildView, remote: &Remote) -> Result<Candidate> {
        let Some(promote) = &view.build.plan.promote else {
            return Ok(Candidate::default());
        };
        let Promote { from, to } = promote;
        let store = &self.parts.store;
        if !store.pushed_to(&view.build.id).await?.contains(from) {
            return Ok(Candidate::default());
        }
        let source = &self.parts.source;
        let commit = view.build.commit.as_str();
        if source.tip(remote, from).await?.as_deref() != Some(commit) {
            return Ok(Candidate::default());
        }
        let Some(released) = source.tip(remote, to).await? else {
            let note = format!("{NO_BRANCH} {to}; `git push origin {from}:{to}` makes it");
            return Ok(Candidate {
                note: Some(note),
                ..Candidate::default()
            });
        };
        let refs = [format!("refs/heads/{to}")];
        source.fetch(remote, &released, &refs).await?;
        source
            .fetch(remote, commit, &[format!("refs/heads/{from}")])
            .await?;
        let mut commits = source
            .landed(&remote.id, commit, &released, CHANGES + 1)
            .await?;
        // Squashed or rebased onto it, what is released is no ancestor of it and has the tree of one.
        let tree = source.tree_of(&remote.id, &released).await?;
        if let Some(at) = commits.iter().position(|commit| commit.tree == tree) {
            commits.truncate(at);
        }
        if commits.is_empty() {
            return Ok(Candidate::default());
        }
        let has_more = commits.len() > CHANGES;
        commits.truncate(CHANGES);
        Ok(Candidate {
            promotion: Some(Promotion {
                from: from.clone(),
                to: to.clone(),
                at_ms: self.now_ms(),
                changes: commits.iter().map(landed).collect::<Result<_>>()?,
                has_more,
            }),
            note: None,
        })
    }

    /// What waits together in a merge queue, the newest first.
    pub(super) async fn group(&self, remote: &Remote, trigger: &Trigger) -> Result<Vec<Landed>> {
        let Occasion::MergeGroup { branch, base, .. } = &trigger.occasion else {
            return Ok(Vec::new());
        };
        let source = &self.parts.source;
        let (head, base) = (trigger.commit.as_str(), base.as_str());
        let commits = match source.landed(&remote.id, head, base, QUEUED).await {
            Ok(commits) => commits,
            // The base is gone: what is known without it is the last of them.
            Err(error) if error.kind == Kind::Gone => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut group: Vec<Landed> = commits.iter().map(landed).collect::<Result<_>>()?;
        if let Some(QueueBranch { last: number, .. }) = QueueBranch::parse(branch) {
            match group.first_mut() {
                // Where they are rebased no commit says which pull request it is of.
                Some(newest) => newest.pull = newest.pull.or(Some(number)),
                None => group.push(Landed {
                    commit: trigger.commit.clone(),
                    pull: Some(number),
                    title: String::new(),
                }),
            }
        }
        Ok(group)
    }

    /// The pull requests of a merge queue that a failure concerns: those that change a file in which a test failed. Where
    /// something else failed, or a test in a file that none of them changes, all of them.
    pub(super) async fn concerns(&self, view: &BuildView, remote: &Remote) -> Result<Vec<i64>> {
        let group = &view.build.plan.group;
        let numbers: BTreeSet<i64> = group.iter().filter_map(|landed| landed.pull).collect();
        if numbers.is_empty() || !view.jobs.iter().any(is_red) {
            return Ok(Vec::new());
        }
        if view.jobs.iter().any(failed_otherwise) {
            return Ok(numbers.into_iter().collect());
        }
        let Occasion::MergeGroup { base, .. } = &view.build.occasion else {
            return Ok(Vec::new());
        };
        let report = view.report();
        let tolerated = view.tolerated(&report);
        let failed = report
            .tests
            .iter()
            .filter(|test| test.outcome.is_red() && !tolerated.contains(&test.id.as_str()));
        let places: Option<BTreeSet<&str>> = failed
            .map(|test| {
                test.location
                    .as_ref()
                    .map(|location| location.path.as_str())
            })
            .collect();
        let all = || numbers.iter().copied().collect::<Vec<_>>();
        let Some(places) = places.filter(|places| !places.is_empty()) else {
            return Ok(all());
        };
        let mut found = BTreeSet::new();
        let mut explained: BTreeSet<&str> = BTreeSet::new();
        for (at, landed) in group.iter().enumerate() {
            let before = group.get(at + 1).map_or(base, |before| &before.commit);
            let (before, after) = (before.as_str(), landed.commit.as_str());
            let source = &self.parts.source;
            let changed = source.changed_paths(&remote.id, before, after).await?;
            let touched = places
                .iter()
                .filter(|place| changed.iter().any(|path| path == *place));
            let touched: Vec<&str> = touched.copied().collect();
            if !touched.is_empty() {
                let Some(pull) = landed.pull else {
                    return Ok(all());
                };
                found.insert(pull);
                explained.extend(touched);
            }
        }
        Ok(if explained.len() == places.len() {
            found.into_iter().collect()
        } else {
            all()
        })
    }
}

fn is_red(job: &Job) -> bool {
    matches!(
        job.conclusion,
        Some(Conclusion::Failure | Conclusion::TimedOut)
    )
}

/// Whether a job is red for something else than failed tests, whose places say nothing about it.
fn failed_otherwise(job: &Job) -> bool {
    let failures = job.result.iter().flat_map(|result| &result.failures);
    let by_tests = failures
        .into_iter()
        .any(|failure| *failure == JobFailure::Tests);
    job.conclusion == Some(Conclusion::TimedOut) || (is_red(job) && !by_tests)
}
