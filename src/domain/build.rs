//! Builds, their jobs and steps, and the states they go through.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::deployment::{DeployApproval, Landed};
use super::history::{Insight, Verdicts};
use super::id::{BuildId, JobId, PersonId, Sha};
use super::import::Import;
use super::judgement::Judgement;
use super::patch::{MissedLines, PatchCoverage};
use super::repository::Repository;
use super::trigger::{Occasion, Trust};
use super::verdict;
use crate::report::{ChangedFile, Coverage, CoverageChange, Report, Share};
use crate::{spec, text};

/// Where a build or a job is. States only move down this list, and `Finished` is never left: what
/// runs again is a new attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for the jobs that it needs. Jobs only.
    Blocked,
    /// Waits for room.
    Queued,
    /// Is being carried out.
    Running,
    /// Has a conclusion.
    Finished,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Blocked, Self::Queued, Self::Running, Self::Finished];

    /// The word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Finished => "finished",
        }
    }

    /// Reads the word of [`State::as_str`].
    pub fn from_stored(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether a thing in this state may go to `next`.
    pub fn may_become(self, next: Self) -> bool {
        self < next
    }
}

/// How a build or a job ended. GitHub's words for check runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// All is well.
    Success,
    /// Red steps, tests or gates; a bad specification; missing or empty reports.
    Failure,
    /// A time-out struck.
    TimedOut,
    /// Superseded, cancelled, or Herald's own trouble.
    Cancelled,
    /// Waits for a person's approval.
    ActionRequired,
    /// Nothing to do.
    Skipped,
    /// Nothing to say.
    Neutral,
}

impl Conclusion {
    /// Every conclusion, in the order in which they win over each other (see [`combine`]).
    pub const ALL: [Self; 7] = [
        Self::Failure,
        Self::TimedOut,
        Self::Cancelled,
        Self::ActionRequired,
        Self::Success,
        Self::Neutral,
        Self::Skipped,
    ];

    /// GitHub's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::ActionRequired => "action_required",
            Self::Skipped => "skipped",
            Self::Neutral => "neutral",
        }
    }

    /// Reads the word of [`Conclusion::as_str`].
    pub fn from_stored(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }
}

/// The conclusion over several: failure, timed out, cancelled, action required, success, in that
/// order; `Skipped` only when all were.
pub fn combine(conclusions: impl IntoIterator<Item = Conclusion>) -> Conclusion {
    let rank = |one: &Conclusion| {
        Conclusion::ALL
            .iter()
            .position(|other| other == one)
            .unwrap_or(usize::MAX)
    };
    conclusions
        .into_iter()
        .min_by_key(rank)
        .unwrap_or(Conclusion::Skipped)
}

/// A build: one commit, one specification, one degree of trust, in one repository.
#[derive(Debug, Clone, PartialEq)]
pub struct Build {
    /// Its id.
    pub id: BuildId,
    /// Its number in the repository, from 1: what people see.
    pub number: i64,
    /// The commit that everything is reported on.
    pub commit: Sha,
    /// The commit whose tree is tested (with `build: merge`, another one).
    pub tested: Sha,
    /// Hash over the specification and the jobs that the occasion selects.
    pub specification: String,
    /// How far the code is trusted.
    pub trust: Trust,
    /// The GUID of the delivery that it follows from, where it was one.
    pub delivery: Option<String>,
    /// What happened first.
    pub occasion: Occasion,
    /// Who caused that.
    pub sender: PersonId,
    /// Where it is.
    pub state: State,
    /// How it ended, when it has.
    pub conclusion: Option<Conclusion>,
    /// The newest attempt, from 1.
    pub attempt: u32,
    /// What was found when it was prepared.
    pub plan: Preparation,
    /// Why it was cancelled or could not run, as people read it.
    pub reason: Option<String>,
    /// When it came to be, in unix milliseconds.
    pub created_ms: i64,
    /// When its first job started.
    pub started_ms: Option<i64>,
    /// When its last job ended.
    pub finished_ms: Option<i64>,
    /// Rises with every change that people can see.
    pub revision: i64,
}

/// What preparing a build found out; kept with the build.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says one thing that was found"
)]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Preparation {
    /// The file the specification was read from; `None` when there is none.
    pub path: Option<String>,
    /// Its problems, warnings too.
    pub problems: Vec<spec::Problem>,
    /// Whether it differs from the base's.
    pub differs_from_base: bool,
    /// What to publish.
    pub publish: spec::Publish,
    /// Whether a job declares test reports (then `herald/tests` is a status).
    pub declares_tests: bool,
    /// Whether a job declares coverage reports (then `herald/coverage` is a status).
    pub declares_coverage: bool,
    /// The fewest tests that a declared report must hold.
    pub min_tests: u64,
    /// Whether partly covered lines count as missed.
    #[serde(default)]
    pub partial_lines_miss: bool,
    /// What coverage must reach.
    #[serde(default)]
    pub coverage_gates: spec::CoverageGates,
    /// Whether failures of tests that are known to be flaky are tolerated.
    #[serde(default)]
    pub allow_known_flaky: bool,
    /// Whether it is judged as a whole when its jobs have ended, before it has a conclusion.
    #[serde(default)]
    pub is_judged: bool,
    /// The images that the base's specification names: an untrusted build may fetch those with the
    /// operator's login.
    #[serde(default)]
    pub login_images: Vec<String>,
    /// Whether a bad specification, and not the code, decided (statuses say `error`).
    pub specification_failed: bool,
    /// Whether someone has to approve the commit before it is built.
    #[serde(default)]
    pub awaits_approval: bool,
    /// The commit that the change is compared with, where it is not the one that the event named:
    /// what was merged with, for `build: merge`.
    #[serde(default)]
    pub base: Option<Sha>,
    /// How badges look.
    #[serde(default)]
    pub badges: spec::BadgeSettings,
    /// Where its reports come from, where it is no build of Herald's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<Import>,
    /// Whether it leaves it to the repository's own builds to speak for a branch as a whole.
    #[serde(default)]
    pub is_aside: bool,
    /// From where to where a candidate is promoted.
    #[serde(default)]
    pub promote: Option<spec::Promote>,
    /// Of a merge queue, what waits in it, the newest first.
    #[serde(default)]
    pub group: Vec<Landed>,
    /// Headline and paragraphs of a build that ended without running, as Markdown of our own.
    pub verdict: Option<(String, String)>,
}

impl Preparation {
    /// Of what it is a build: empty for the specification, else the key of where its reports come from.
    pub fn origin(&self) -> String {
        self.import.as_ref().map_or_else(String::new, Import::key)
    }
}

/// One attempt of one job of a build.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// The build it belongs to.
    pub build: BuildId,
    /// The job's key in the specification.
    pub key: String,
    /// Its name as people see it.
    pub name: String,
    /// Its place in the plan, from 0.
    pub position: i64,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Where it is.
    pub state: State,
    /// How it ended, when it has.
    pub conclusion: Option<Conclusion>,
    /// What it carries out.
    pub order: spec::JobSpecification,
    /// Its steps as far as they are known.
    pub steps: Vec<StepRecord>,
    /// When it was queued, in unix milliseconds.
    pub queued_ms: i64,
    /// When it started.
    pub started_ms: Option<i64>,
    /// When it ended.
    pub finished_ms: Option<i64>,
    /// What came of it, when it has ended.
    pub result: Option<JobResult>,
    /// Who approved the deployment that it is.
    pub approval: Option<DeployApproval>,
}

impl Job {
    /// The coverage that it reports, if it does.
    pub fn coverage(&self) -> Option<&Coverage> {
        self.result.as_ref()?.report.coverage.as_ref()
    }

    /// What is known of its tests.
    pub fn insight(&self) -> Option<&Insight> {
        self.result.as_ref()?.insight.as_ref()
    }

    /// Whether it is a deployment that waits for somebody's word.
    pub fn waits_for_approval(&self) -> bool {
        self.order.deploy.is_some() && self.conclusion == Some(Conclusion::ActionRequired)
    }

    /// By which it is told apart on GitHub: its key, of a member of a matrix its name.
    pub fn check_name(&self) -> &str {
        if self.order.matrix.is_empty() {
            &self.key
        } else {
            self.order.check_name()
        }
    }
}

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Not begun.
    Waiting,
    /// Being carried out.
    Running,
    /// Exit status 0.
    Passed,
    /// Another exit status, a signal, or not to be started.
    Failed,
    /// Ended by its time-out.
    TimedOut,
    /// Ended because the job was cancelled.
    Cancelled,
    /// Left out after a failure before it.
    Skipped,
}

/// A step of a job and how it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its index in the job, from 0.
    pub index: u32,
    /// `setup`, `execute` or `after`.
    pub phase: String,
    /// Its name as people see it.
    pub name: String,
    /// How it stands.
    pub state: StepState,
    /// The end in words: `exit 3`, `killed by SIGSEGV`, …
    pub exit: Option<String>,
    /// The exit status, if it had one.
    pub code: Option<i32>,
    /// When it started, in unix milliseconds.
    pub started_ms: Option<i64>,
    /// How long it ran, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Whether its failure counts.
    pub tolerated: bool,
    /// Where a failed step's log first says that something went wrong: the line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<u64>,
}

impl StepRecord {
    /// Whether the job is red because of it.
    pub fn is_to_blame(&self) -> bool {
        let failed = matches!(self.state, StepState::Failed | StepState::TimedOut);
        failed && !self.tolerated && self.phase != "after"
    }

    /// What it is called in addresses: its name, where that is plain and no other of these steps has it; else
    /// its place. Its lines are `ANCHOR:L12`.
    pub fn anchor(&self, steps: &[Self]) -> String {
        let plain = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
        let named = steps.iter().filter(|other| other.name == self.name);
        if named.count() == 1 && !self.name.is_empty() && self.name.chars().all(plain) {
            self.name.clone()
        } else {
            format!("step-{}", self.index + 1)
        }
    }
}

/// Why a job is red, for the sentence that people read first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobFailure {
    /// A step failed or timed out.
    Step {
        /// As in `step "lint" failed (exit 3)`.
        text: String,
    },
    /// Tests failed.
    Tests,
    /// A report is missing, broken or empty.
    Report {
        /// What about it.
        text: String,
    },
}

/// What came of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobResult {
    /// How it ended.
    pub conclusion: Conclusion,
    /// One line that says how it went.
    pub title: String,
    /// Why it is red, the most important first.
    pub failures: Vec<JobFailure>,
    /// Further remarks for the summary.
    pub notes: Vec<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// What its reports say.
    pub report: Report,
    /// Added lines that can be covered, and those of them that are, if known.
    pub patch: Option<PatchCoverage>,
    /// Ids of failed tests whose place is among the lines that the change adds.
    pub in_diff: Vec<String>,
    /// What its tests did before, and what that says of those that failed; `None` where nobody could tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insight: Option<Insight>,
    /// Ids of failed tests that do not count: put away, or known to be flaky where that is allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerated: Vec<String>,
    /// Files that it left for people, in the order in which they came.
    #[serde(default)]
    pub artifacts: Vec<Artifact>,
}

impl JobResult {
    /// The result of a job that did not run.
    pub fn without_run(conclusion: Conclusion, title: String) -> Self {
        Self {
            conclusion,
            title,
            failures: Vec::new(),
            notes: Vec::new(),
            duration_ms: 0,
            report: Report::default(),
            patch: None,
            in_diff: Vec::new(),
            insight: None,
            tolerated: Vec::new(),
            artifacts: Vec::new(),
        }
    }
}

/// A file that a job left for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its path in the workspace, with `/`.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// A build with everything that is shown of it.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildView {
    /// The repository as it is named now.
    pub repository: Repository,
    /// The build.
    pub build: Build,
    /// The newest attempt of every job, in the order of the plan.
    pub jobs: Vec<Job>,
    /// What is said of it as a whole; `None` until its jobs have ended.
    pub judgement: Option<Judgement>,
    /// Pull requests whose head this is, by number.
    pub pulls: Vec<i64>,
    /// How many jobs of other builds come before its next one, while it waits for room.
    pub ahead: u64,
}

impl BuildView {
    /// The reports of all jobs joined: one test, several runs, the worst outcome.
    pub fn report(&self) -> Report {
        Report::join(
            self.jobs
                .iter()
                .filter_map(|job| job.result.as_ref())
                .map(|result| &result.report),
        )
    }

    /// Ids of failed tests that count in no job; `report` is what all jobs report together.
    pub fn tolerated<'a>(&'a self, report: &'a Report) -> Vec<&'a str> {
        let results = || self.jobs.iter().filter_map(|job| job.result.as_ref());
        if results().all(|result| result.tolerated.is_empty()) {
            return Vec::new();
        }
        let counts: HashSet<&str> = results()
            .flat_map(|result| {
                let red = result
                    .report
                    .tests
                    .iter()
                    .filter(|test| test.outcome.is_red());
                let tolerated: HashSet<&String> = result.tolerated.iter().collect();
                red.filter(move |test| !tolerated.contains(&test.id))
            })
            .map(|test| test.id.as_str())
            .collect();
        let red = report.tests.iter().filter(|test| test.outcome.is_red());
        red.map(|test| test.id.as_str())
            .filter(|id| !counts.contains(id))
            .collect()
    }

    /// How many tests there are of each outcome, in words.
    pub fn counts(&self, report: &Report) -> String {
        let tolerated = self.tolerated(report).len() as u64;
        verdict::counts(&report.totals(), tolerated)
    }

    /// What is known of the tests of all jobs.
    pub fn insights(&self) -> impl Iterator<Item = &Insight> {
        self.jobs.iter().filter_map(Job::insight)
    }

    /// What is known of the failed tests of all jobs.
    pub fn verdicts(&self) -> Verdicts<'_> {
        Verdicts::new(self.insights())
    }

    /// How far a pull request is behind the branch that it goes to, as in `3 commits behind main`; `None` where it is not.
    pub fn behind(&self) -> Option<String> {
        let behind = self
            .judgement
            .as_ref()?
            .behind
            .filter(|behind| *behind > 0)?;
        let base = &self.build.occasion.pull()?.base_ref;
        Some(format!("{} behind {base}", text::plural(behind, "commit")))
    }

    /// What the change did to coverage, when the build was judged.
    pub fn coverage_change(&self) -> Option<&CoverageChange> {
        self.judgement.as_ref()?.coverage.as_ref()
    }

    /// Lines over all jobs, with those that count for jobs that did not run; `None` where there is no coverage.
    /// `report`: what all jobs report together.
    pub fn lines(&self, report: &Report) -> Option<Share> {
        let judged = self.coverage_change().map(|change| change.now);
        let reported = || report.coverage.as_ref().map(Coverage::lines);
        judged.or_else(reported).filter(|lines| lines.total > 0)
    }

    /// Lines that the change adds and that no test reaches, as far as they are kept.
    pub fn missed(&self) -> Vec<MissedLines> {
        let Some(change) = self.coverage_change() else {
            let patches = self
                .jobs
                .iter()
                .filter_map(|job| job.result.as_ref()?.patch.as_ref());
            let most = patches.max_by_key(|patch| (patch.total, patch.covered));
            return most.map_or_else(Vec::new, |patch| patch.missed.clone());
        };
        let of_file = |file: &ChangedFile| {
            let path = file.path.clone();
            let missed = file.missed.clone().into_iter();
            missed.map(move |(first, last)| MissedLines {
                path: path.clone(),
                first,
                last,
            })
        };
        change.files.iter().flat_map(of_file).collect()
    }

    /// Of the lines that the change adds, those that can be executed; `None` where that is not known.
    pub fn patch(&self) -> Option<Share> {
        match self.coverage_change() {
            Some(change) => change.patch,
            // Lines that several jobs cover are not told apart, so the job that knows most lines speaks.
            None => self
                .jobs
                .iter()
                .filter_map(|job| job.result.as_ref()?.patch.as_ref())
                .map(PatchCoverage::share)
                .max_by_key(|patch| (patch.total, patch.covered)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Conclusion, State, combine};

    #[test]
    fn the_worst_conclusion_wins_and_skipped_only_when_all_were() {
        use Conclusion::{Cancelled, Failure, Skipped, Success, TimedOut};
        assert_eq!(combine([Success, Skipped]), Success);
        assert_eq!(combine([Skipped, Skipped]), Skipped);
        assert_eq!(combine([Success, TimedOut, Failure]), Failure);
        assert_eq!(combine([Cancelled, Success, TimedOut]), TimedOut);
        assert_eq!(combine([]), Skipped);
    }

    #[test]
    fn no_state_follows_the_end() {
        for next in State::ALL {
            assert!(!State::Finished.may_become(next));
        }
        assert!(State::Queued.may_become(State::Running));
        assert!(!State::Running.may_become(State::Queued));
    }

    #[test]
    fn words_of_the_store_are_read_back() {
        for one in Conclusion::ALL {
            assert_eq!(Conclusion::from_stored(one.as_str()), Some(one));
        }
        for one in State::ALL {
            assert_eq!(State::from_stored(one.as_str()), Some(one));
        }
    }
}
