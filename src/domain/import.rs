//! Reports that no build of Herald's leaves behind: from GitHub Actions, or sent by another CI.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::build::{Conclusion, JobFailure, combine};
use super::id::{PersonId, RepositoryId, Sha};
use super::queue::QueueBranch;
use super::trigger::{Occasion, Trust};
use super::verdict::{self, Verdict};
use crate::report::{Coverage, Report};
use crate::text;

/// Where reports come from, when it is not a build of Herald's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for a build, and a run is what most of them have"
)]
pub enum Import {
    /// Artifacts of a workflow of GitHub Actions.
    Actions {
        /// The run that was told of; others of the same workflow and commit are read with it.
        run: WorkflowRun,
        /// Globs of the names of artifacts that are read; `None` for all.
        #[serde(default)]
        artifacts: Option<Vec<String>>,
    },
    /// What others uploaded for a commit under one name.
    Uploads {
        /// The set.
        set: String,
        /// Its name: untrusted text.
        name: String,
        /// How many parts it had when it was published.
        received: u32,
        /// How many there are to be, where somebody said so.
        expected: Option<u32>,
    },
}

impl Import {
    /// What it is called: untrusted text.
    pub fn name(&self) -> &str {
        match self {
            Self::Actions { run, .. } => &run.name,
            Self::Uploads { name, .. } => name,
        }
    }

    /// The key of its job, by which pages, badges and history know it. No job of a specification has a colon in its key.
    pub fn key(&self) -> String {
        match self {
            Self::Actions { run, .. } => format!("actions:{}", slug(&run.name)),
            Self::Uploads { name, .. } => format!("upload:{}", slug(name)),
        }
    }

    /// What it is about: of one commit and subject there is one build.
    pub fn subject(&self, commit: &Sha) -> String {
        match self {
            Self::Actions { run, .. } => format!("actions/{}/{commit}", run.workflow),
            Self::Uploads { set, .. } => format!("uploads/{set}"),
        }
    }
}

/// Whether a run for this event, in GitHub's words, tests the commit of a branch or tag that it names ("Events that
/// trigger workflows" in GitHub's documentation).
pub fn is_of_branch(event: &str) -> bool {
    const OF_BRANCH: [&str; 7] = [
        "push",
        "schedule",
        "workflow_dispatch",
        "repository_dispatch",
        "release",
        "create",
        "deployment",
    ];
    OF_BRANCH.contains(&event)
}

/// A name as a part of an address: lower-case letters, digits and `-`, at most 60 long. Where that leaves away more than
/// what stands between words, a short hash keeps `C++` and `C#` apart.
fn slug(name: &str) -> String {
    const BETWEEN: &str = " -_/.:,()[]";
    const MOST: usize = 60;
    let mut slug = String::new();
    let mut is_whole = true;
    for char in name.to_lowercase().chars() {
        if char.is_alphanumeric() {
            slug.push(char);
            continue;
        }
        is_whole &= BETWEEN.contains(char);
        if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    if is_whole && !slug.is_empty() && slug.chars().count() <= MOST {
        return slug.to_owned();
    }
    let hash = Sha256::digest(name.as_bytes());
    let hash: String = hash
        .iter()
        .take(3)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let start: String = slug.chars().take(MOST - 1 - hash.len()).collect();
    match start.trim_end_matches('-') {
        "" => format!("unnamed-{hash}"),
        start => format!("{start}-{hash}"),
    }
}

/// A wish to have reports read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportRequest {
    /// The base repository.
    pub repository: RepositoryId,
    /// The commit.
    pub commit: Sha,
    /// What happened, as far as it is known.
    pub occasion: Occasion,
    /// How far the reports are trusted.
    pub trust: Trust,
    /// Who caused it.
    pub sender: PersonId,
    /// Where they come from.
    pub import: Import,
    /// When that was asked for which they are about, in unix milliseconds: of two pushes the later one speaks for its
    /// branch, in whatever order they are done.
    pub since_ms: i64,
}

impl ImportRequest {
    /// The subject of its trigger. A push and a pull request have one each, and share a build.
    pub fn subject(&self) -> String {
        let subject = self.import.subject(&self.commit);
        match &self.import {
            Import::Actions { run, .. } => {
                format!("{subject}/{}/{}", run.event, self.trust.as_str())
            }
            Import::Uploads { .. } if self.occasion.pull().is_some() => subject,
            Import::Uploads { .. } => format!("{subject}/pushed"),
        }
    }

    /// Artifacts of a run. Which pull request it was for is found out when it is known whether anybody asks for it.
    pub fn of_run(repository: RepositoryId, run: WorkflowRun, sender: PersonId) -> Self {
        Self {
            trust: run.trust(&repository),
            repository,
            commit: run.commit.clone(),
            occasion: Occasion::Push {
                branch: run.branch.clone().unwrap_or_default(),
                before: None,
            },
            sender,
            since_ms: run.created_ms,
            import: Import::Actions {
                run,
                artifacts: None,
            },
        }
    }
}

/// A run of a workflow of GitHub Actions ("Workflow runs" in GitHub's REST documentation).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowRun {
    /// GitHub's id of the run, the same for all its attempts.
    pub id: i64,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Its number among the runs of the workflow, from 1.
    pub number: i64,
    /// GitHub's id of the workflow.
    pub workflow: i64,
    /// The workflow's name.
    pub name: String,
    /// What it ran for, in GitHub's words, as `pull_request`.
    pub event: String,
    /// How it ended, in GitHub's words; `None` while it runs.
    pub conclusion: Option<String>,
    /// The commit that it is shown on; of a pull request its head, also from a fork.
    pub commit: Sha,
    /// The branch of that commit; a tag for the push of a tag.
    pub branch: Option<String>,
    /// The owner of the repository that the commit came from; `None` when that was deleted.
    pub head_owner: Option<String>,
    /// The repository that the commit came from.
    pub head_repository: Option<RepositoryId>,
    /// Pull requests that GitHub names; none of forks.
    pub pulls: Vec<i64>,
    /// When it was asked for first, in unix milliseconds.
    pub created_ms: i64,
    /// When this attempt began.
    pub started_ms: i64,
    /// When it ended.
    pub updated_ms: i64,
    /// Where GitHub shows it; empty when that is not known.
    pub url: String,
}

impl WorkflowRun {
    /// Whether it is about its commit at all. A run for a comment, an issue or another run is shown on the default branch,
    /// and may be about anything: what the second workflow behind a fork's publishes is not `main`'s.
    pub fn is_about_commit(&self) -> bool {
        self.is_for_pull() || self.event == "merge_group" || is_of_branch(&self.event)
    }

    /// Whether it was for a pull request.
    pub fn is_for_pull(&self) -> bool {
        matches!(self.event.as_str(), "pull_request" | "pull_request_target")
    }

    /// How far what it says is trusted in `repository`: nothing of it runs here, so whoever may push there is.
    pub fn trust(&self, repository: &RepositoryId) -> Trust {
        if self.head_repository.as_ref() == Some(repository) {
            Trust::Trusted
        } else {
            Trust::Fork
        }
    }

    /// The branch of the merge queue that it is for. `None` for any other run.
    pub fn queue(&self) -> Option<QueueBranch> {
        // Anybody may call a branch of a fork so.
        if self.event != "merge_group" {
            return None;
        }
        QueueBranch::parse(self.branch.as_deref()?)
    }

    /// The conclusion that a check may have at best; `None` where it is not a result.
    pub fn best(&self) -> Option<Conclusion> {
        match self.conclusion.as_deref()? {
            "success" | "neutral" => Some(Conclusion::Success),
            "skipped" => Some(Conclusion::Skipped),
            "cancelled" => Some(Conclusion::Cancelled),
            "timed_out" => Some(Conclusion::TimedOut),
            "failure" | "startup_failure" => Some(Conclusion::Failure),
            // It waits for somebody, and comes again.
            _ => None,
        }
    }
}

/// What is known when reports from elsewhere were read.
#[derive(Debug)]
pub struct ImportFacts<'a> {
    /// What they come from, as people call it.
    pub workflow: &'a str,
    /// The runs that they are of.
    pub runs: &'a [WorkflowRun],
    /// What they say.
    pub report: &'a Report,
    /// How many of the failed tests do not count.
    pub tolerated: u64,
    /// What is wrong with where they were.
    pub problems: &'a [String],
    /// The globs of the names of artifacts, where somebody said so.
    pub patterns: Option<&'a [String]>,
    /// How many artifacts were read.
    pub artifacts: usize,
    /// The fewest tests that they must hold, where there are any.
    pub min_tests: u64,
}

/// How long the runs took, in milliseconds: the longest.
pub fn duration_ms(runs: &[WorkflowRun]) -> u64 {
    let took = |run: &WorkflowRun| u64::try_from(run.updated_ms - run.started_ms).unwrap_or(0);
    runs.iter().map(took).max().unwrap_or(0)
}

/// The verdict over reports from elsewhere. It is never green where the workflow is not: what did not come so far that
/// it could report has not passed.
pub fn verdict(facts: &ImportFacts<'_>) -> Verdict {
    let best = combine(facts.runs.iter().filter_map(WorkflowRun::best));
    let totals = facts.report.totals();
    let coverage = facts.report.coverage.as_ref().map(Coverage::lines);
    let coverage = coverage.filter(|lines| lines.total > 0);
    let found_any = totals.tests > 0 || coverage.is_some();
    let took = text::duration(Duration::from_millis(duration_ms(facts.runs)));
    if best == Conclusion::Skipped && !found_any {
        return ended(best, "the workflow was skipped".to_owned());
    }
    if best == Conclusion::Cancelled {
        return ended(best, "cancelled: the workflow was cancelled".to_owned());
    }
    let mut failures = Vec::new();
    if totals.failed + totals.errors > facts.tolerated {
        failures.push(JobFailure::Tests);
    }
    failures.extend(verdict::broken(facts.report));
    let report = |text: &String| JobFailure::Report { text: text.clone() };
    failures.extend(facts.problems.iter().map(report));
    let is_red = matches!(best, Conclusion::Failure | Conclusion::TimedOut);
    if !found_any && !is_red && failures.is_empty() {
        match facts.patterns {
            // Nobody said that there would be any.
            None => return ended(Conclusion::Neutral, nothing(facts)),
            Some(_) => failures.push(report(&nothing(facts))),
        }
    }
    if totals.tests > 0 && totals.tests < facts.min_tests {
        let has = text::plural(totals.tests, "test");
        let text = format!(
            "the reports hold {has}, at least {} are required",
            facts.min_tests
        );
        failures.push(JobFailure::Report { text });
    }
    let ended_badly = match best {
        Conclusion::TimedOut => Some("the workflow timed out"),
        Conclusion::Failure => Some("the workflow failed"),
        _ => None,
    };
    let counted = match coverage {
        _ if totals.tests > 0 => verdict::counts(&totals, facts.tolerated),
        // Never called more than it is.
        Some(lines) => format!("coverage {:.1}%", (lines.percent() * 10.0).floor() / 10.0),
        None => nothing(facts),
    };
    let what = match (failures.first(), ended_badly) {
        (Some(JobFailure::Report { text } | JobFailure::Step { text }), _) => text.clone(),
        (Some(JobFailure::Tests), _) | (None, None) => counted,
        (None, Some(badly)) => format!("{badly}; {counted}"),
    };
    if let (true, Some(badly)) = (failures.is_empty(), ended_badly) {
        failures.push(JobFailure::Step {
            text: badly.to_owned(),
        });
    }
    let conclusion = match best {
        Conclusion::TimedOut => best,
        _ if failures.is_empty() => Conclusion::Success,
        _ => Conclusion::Failure,
    };
    Verdict {
        conclusion,
        title: format!("{what} in {took}"),
        failures,
    }
}

fn ended(conclusion: Conclusion, title: String) -> Verdict {
    Verdict {
        conclusion,
        title,
        failures: Vec::new(),
    }
}

/// Why nothing was found.
fn nothing(facts: &ImportFacts<'_>) -> String {
    match (facts.patterns, facts.artifacts) {
        (Some(globs), 0) => format!("no artifact matches {}", verdict::quoted(globs)),
        (None, 0) => format!("{} uploads no artifact", facts.workflow),
        (_, 1) => "there is no report in the artifact".to_owned(),
        (_, count) => format!("there is no report in {count} artifacts"),
    }
}

#[cfg(test)]
mod tests {
    use super::{WorkflowRun, slug};
    use crate::domain::{RepositoryId, Sha, Trust};

    fn run(event: &str, branch: &str) -> WorkflowRun {
        WorkflowRun {
            id: 1,
            attempt: 1,
            number: 1,
            workflow: 1,
            name: "CI".to_owned(),
            event: event.to_owned(),
            conclusion: Some("success".to_owned()),
            commit: Sha::parse(&"a".repeat(40)).unwrap(),
            branch: Some(branch.to_owned()),
            head_owner: Some("octo".to_owned()),
            head_repository: Some(RepositoryId::new("github.com", 1)),
            pulls: Vec::new(),
            created_ms: 0,
            started_ms: 0,
            updated_ms: 0,
            url: String::new(),
        }
    }

    #[test]
    fn a_name_becomes_a_part_of_an_address() {
        assert_eq!(slug("CI"), "ci");
        assert_eq!(slug("Unit tests (Linux) "), "unit-tests-linux");
        assert!(slug("../..").starts_with("unnamed-"));
        // What means something is not left away without a trace.
        assert!(slug("C++").starts_with("c-"));
        assert_ne!(slug("C++"), slug("C#"));
        assert_ne!(slug(&"x".repeat(90)), slug(&"x".repeat(91)));
        assert_eq!(slug(&"x".repeat(90)).len(), 60);
    }

    #[test]
    fn only_a_run_for_a_merge_group_is_one_of_a_queue() {
        let base = "b".repeat(40);
        let branch = format!("gh-readonly-queue/release/1.x/pr-7-{base}");
        let queue = run("merge_group", &branch).queue().unwrap();
        assert_eq!(queue.base_ref, "release/1.x");
        assert_eq!(run("merge_group", "main").queue(), None);
        assert_eq!(run("pull_request", &branch).queue(), None);
    }

    #[test]
    fn what_did_not_come_from_the_repository_itself_is_a_strangers() {
        let (own, other) = (
            RepositoryId::new("github.com", 1),
            RepositoryId::new("github.com", 2),
        );
        let mut pull = run("pull_request", "fix");
        assert_eq!(pull.trust(&own), Trust::Trusted);
        assert_eq!(pull.trust(&other), Trust::Fork);
        pull.head_repository = None;
        assert_eq!(pull.trust(&own), Trust::Fork);
    }
}
