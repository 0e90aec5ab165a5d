//! What the API answers with.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::history::Verdict;
use crate::domain::{
    Artifact, Build, BuildView, Conclusion, Job, Occasion, Repository, State, StepRecord, StepState,
};
use crate::report::json::{Conclusion as Met, Gate};
use crate::report::{Coverage, Outcome, Share, Test, Totals};

/// A moment in unix milliseconds as a time.
pub(super) fn time(ms: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(ms)
}

/// Who asks, and by what.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ViewerAnswer {
    /// `stranger`, `person` or `repository`.
    #[schema(example = "person")]
    pub(super) kind: &'static str,
    /// GitHub's numeric id of the person.
    pub(super) person: Option<i64>,
    /// The repository that the token is good for, by GitHub's numeric id.
    pub(super) repository: Option<i64>,
    /// What the token is good for at most: `badges`, `read`, `upload`, `write`.
    pub(super) scope: Option<&'static str>,
}

/// A repository.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RepositoryAnswer {
    /// The GitHub host and GitHub's numeric id.
    #[schema(example = "github.com/1296269")]
    id: String,
    owner: String,
    name: String,
    private: bool,
    default_branch: String,
    /// Its page.
    url: String,
}

impl RepositoryAnswer {
    pub(super) fn new(repository: &Repository, root: &str) -> Self {
        Self {
            id: repository.id.to_string(),
            owner: repository.owner.clone(),
            name: repository.name.clone(),
            private: repository.private,
            default_branch: repository.default_branch.clone(),
            url: format!("{root}/repos/{}/{}", repository.owner, repository.name),
        }
    }
}

/// A page of repositories.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RepositoriesAnswer {
    pub(super) repositories: Vec<RepositoryAnswer>,
    /// What `after` is on the next page; `null` on the last one.
    pub(super) next: Option<String>,
}

/// A build.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BuildAnswer {
    /// From 1, in its repository.
    number: i64,
    #[schema(value_type = String, example = "finished")]
    state: State,
    /// GitHub's word; `null` while it runs.
    #[schema(value_type = Option<String>, example = "success")]
    conclusion: Option<Conclusion>,
    /// Why it was cancelled or did not run.
    reason: Option<String>,
    /// `pull_request`, `push`, `tag` or `merge_group`.
    #[schema(example = "pull_request")]
    event: &'static str,
    /// The commit that everything is reported on.
    commit: String,
    /// The commit whose tree is tested.
    tested: String,
    /// The branch that was pushed, or the head's of a pull request.
    branch: Option<String>,
    tag: Option<String>,
    /// The pull request that it was made for.
    pull_request: Option<i64>,
    /// `trusted`, `bot` or `fork`.
    trust: &'static str,
    /// What its reports come from, where it is no build of Herald's: a workflow's name.
    #[schema(example = "CI")]
    reports_of: Option<String>,
    /// Whether somebody with write permission has to approve the commit first.
    awaits_approval: bool,
    attempt: u32,
    created_at: Option<DateTime<Utc>>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    /// Its page.
    url: String,
}

impl BuildAnswer {
    pub(super) fn new(build: &Build, repository: &Repository, root: &str) -> Self {
        let (branch, tag) = match &build.occasion {
            Occasion::PullRequest { pull } => (Some(pull.head_ref.clone()), None),
            Occasion::Push { branch, .. } | Occasion::MergeGroup { branch, .. } => {
                (Some(branch.clone()), None)
            }
            Occasion::Tag { tag } => (None, Some(tag.clone())),
        };
        Self {
            number: build.number,
            state: build.state,
            conclusion: build.conclusion,
            reason: build.reason.clone(),
            event: build.occasion.name(),
            commit: build.commit.to_string(),
            tested: build.tested.to_string(),
            branch,
            tag,
            pull_request: build.occasion.pull().map(|pull| pull.number),
            trust: build.trust.as_str(),
            reports_of: build
                .plan
                .import
                .as_ref()
                .map(|import| import.name().to_owned()),
            awaits_approval: build.plan.awaits_approval,
            attempt: build.attempt,
            created_at: time(build.created_ms),
            started_at: build.started_ms.and_then(time),
            finished_at: build.finished_ms.and_then(time),
            url: page(repository, build, root),
        }
    }
}

fn page(repository: &Repository, build: &Build, root: &str) -> String {
    let (owner, name) = (&repository.owner, &repository.name);
    format!("{root}/repos/{owner}/{name}/builds/{}", build.number)
}

/// A page of builds.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BuildsAnswer {
    /// The newest first.
    pub(super) builds: Vec<BuildAnswer>,
    /// What `before` is on the next page; `null` on the last one.
    pub(super) next: Option<i64>,
}

/// A build with its jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BuildDetails {
    #[serde(flatten)]
    build: BuildAnswer,
    /// Pull requests whose head it is.
    pull_requests: Vec<i64>,
    /// The newest attempt of each, in the order of the plan.
    jobs: Vec<JobAnswer>,
    tests: TotalsAnswer,
    /// The conditions of the specification.
    gates: Vec<GateAnswer>,
    /// How many commits the base of a pull request has that it does not stand on; `null` where that is not known.
    behind: Option<u64>,
}

/// A condition of the specification.
#[derive(Debug, Serialize, ToSchema)]
struct GateAnswer {
    #[schema(example = "coverage.patch")]
    name: String,
    /// `success`, `failure`, or `neutral` where it cannot be told.
    #[schema(value_type = String, example = "success")]
    status: Met,
    /// What is: percent of lines, or a number of tests; `null` where it is not known.
    actual: Option<f64>,
    /// What has to be.
    required: Option<f64>,
    /// Both in words.
    text: String,
}

impl GateAnswer {
    fn new(gate: &Gate) -> Self {
        Self {
            name: gate.name.clone(),
            status: gate.status,
            actual: gate.actual.as_f64(),
            required: gate.required.as_f64(),
            text: gate.text.clone(),
        }
    }
}

impl BuildDetails {
    pub(super) fn new(view: &BuildView, root: &str) -> Self {
        let page = page(&view.repository, &view.build, root);
        Self {
            build: BuildAnswer::new(&view.build, &view.repository, root),
            pull_requests: view.pulls.clone(),
            jobs: view
                .jobs
                .iter()
                .map(|job| JobAnswer::new(job, &page))
                .collect(),
            tests: view.report().totals().into(),
            gates: view
                .judgement
                .iter()
                .flat_map(|judgement| &judgement.gates)
                .map(GateAnswer::new)
                .collect(),
            behind: view
                .judgement
                .as_ref()
                .and_then(|judgement| judgement.behind),
        }
    }
}

/// An attempt of a job.
#[derive(Debug, Serialize, ToSchema)]
struct JobAnswer {
    /// `.N` at its end for a member of a matrix.
    key: String,
    name: String,
    /// The keys of the jobs that it waits for.
    needs: Vec<String>,
    #[schema(value_type = String, example = "running")]
    state: State,
    #[schema(value_type = Option<String>)]
    conclusion: Option<Conclusion>,
    /// How it went, in one line.
    title: Option<String>,
    attempt: u32,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    steps: Vec<StepAnswer>,
    artifacts: Vec<ArtifactAnswer>,
    /// Its page.
    url: String,
    /// The raw log.
    log_url: String,
    /// Where it deploys to.
    deploy: Option<DeployAnswer>,
}

/// Where a job deploys to.
#[derive(Debug, Serialize, ToSchema)]
struct DeployAnswer {
    #[schema(example = "production")]
    environment: String,
    url: Option<String>,
    /// Whether it waits for somebody's word.
    awaits_approval: bool,
    /// GitHub's id of who let it; 0 for the operator.
    approved_by: Option<i64>,
    approved_at: Option<DateTime<Utc>>,
}

impl DeployAnswer {
    fn new(job: &Job) -> Option<Self> {
        let deploy = job.order.deploy.as_ref()?;
        Some(Self {
            environment: deploy.environment.clone(),
            url: deploy.url.clone(),
            awaits_approval: job.waits_for_approval(),
            approved_by: job.approval.map(|approval| approval.person.0),
            approved_at: job.approval.and_then(|approval| time(approval.at_ms)),
        })
    }
}

impl JobAnswer {
    fn new(job: &Job, build_page: &str) -> Self {
        let url = format!("{build_page}/jobs/{}", job.key);
        let result = job.result.as_ref();
        let artifacts = result.iter().flat_map(|result| &result.artifacts);
        Self {
            key: job.key.clone(),
            name: job.name.clone(),
            needs: job.order.needs.clone(),
            state: job.state,
            conclusion: job.conclusion,
            title: result.map(|result| result.title.clone()),
            attempt: job.attempt,
            started_at: job.started_ms.and_then(time),
            finished_at: job.finished_ms.and_then(time),
            steps: job.steps.iter().map(StepAnswer::new).collect(),
            artifacts: artifacts
                .map(|artifact| ArtifactAnswer::new(artifact, &url))
                .collect(),
            log_url: format!("{url}/log.txt"),
            url,
            deploy: DeployAnswer::new(job),
        }
    }
}

/// A step.
#[derive(Debug, Serialize, ToSchema)]
struct StepAnswer {
    index: u32,
    /// `setup`, `execute` or `after`.
    phase: String,
    name: String,
    #[schema(value_type = String, example = "passed")]
    state: StepState,
    /// Its end in words, as in `exit 3`.
    exit: Option<String>,
    started_at: Option<DateTime<Utc>>,
    duration_ms: Option<u64>,
    /// Whether its failure does not count.
    tolerated: bool,
}

impl StepAnswer {
    fn new(step: &StepRecord) -> Self {
        Self {
            index: step.index,
            phase: step.phase.clone(),
            name: step.name.clone(),
            state: step.state,
            exit: step.exit.clone(),
            started_at: step.started_ms.and_then(time),
            duration_ms: step.duration_ms,
            tolerated: step.tolerated,
        }
    }
}

/// A file that a job left.
#[derive(Debug, Serialize, ToSchema)]
struct ArtifactAnswer {
    path: String,
    bytes: u64,
    url: String,
}

impl ArtifactAnswer {
    fn new(artifact: &Artifact, job_page: &str) -> Self {
        let address = crate::text::address::path(&artifact.path);
        Self {
            path: artifact.path.clone(),
            bytes: artifact.bytes,
            url: format!("{job_page}/artifacts/{address}"),
        }
    }
}

/// Numbers over tests.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TotalsAnswer {
    tests: u64,
    runs: u64,
    /// Flaky ones among them.
    passed: u64,
    failed: u64,
    errors: u64,
    skipped: u64,
    flaky: u64,
    duration_seconds: f64,
}

impl From<Totals> for TotalsAnswer {
    fn from(totals: Totals) -> Self {
        Self {
            tests: totals.tests,
            runs: totals.runs,
            passed: totals.passed,
            failed: totals.failed,
            errors: totals.errors,
            skipped: totals.skipped,
            flaky: totals.flaky,
            duration_seconds: totals.duration_seconds,
        }
    }
}

/// A test.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TestAnswer {
    /// 32 hex digits, stable over builds.
    pub(super) id: String,
    suite: Vec<String>,
    class: Option<String>,
    name: String,
    #[schema(value_type = String, example = "failed")]
    outcome: Outcome,
    flaky: bool,
    runs: u32,
    duration_seconds: Option<f64>,
    message: Option<String>,
    details: Option<String>,
    location: Option<LocationAnswer>,
    /// What is known of its failure; `null` where it did not fail, or nobody can tell.
    verdict: Option<VerdictAnswer>,
}

/// What is known of a failure.
#[derive(Debug, Serialize, ToSchema)]
struct VerdictAnswer {
    /// A word for programs.
    #[schema(example = "flaky")]
    kind: String,
    /// The same for people.
    #[schema(example = "flaky: failed in 2 of 30 runs, since 3 July 2026")]
    text: String,
}

impl VerdictAnswer {
    fn new(verdict: &Verdict) -> Self {
        // By the word under which it is stored.
        let kind = serde_json::to_value(verdict).ok();
        let kind = kind.as_ref().and_then(|value| value.get("kind")?.as_str());
        Self {
            kind: kind.unwrap_or_default().to_owned(),
            text: verdict.words(),
        }
    }
}

/// A line of the repository.
#[derive(Debug, Serialize, ToSchema)]
struct LocationAnswer {
    path: String,
    /// From 1.
    line: u32,
}

impl TestAnswer {
    pub(super) fn new(test: Test, verdict: Option<&Verdict>) -> Self {
        // As on the pages: values of local variables are not for everybody.
        let details = test
            .details
            .map(|details| crate::feedback::without_locals(&details, false));
        Self {
            id: test.id,
            suite: test.suite,
            class: test.class,
            name: test.name,
            outcome: test.outcome,
            flaky: test.flaky,
            runs: test.runs,
            duration_seconds: test.duration_seconds,
            message: test.message,
            details,
            location: test.location.map(|place| LocationAnswer {
                path: place.path,
                line: place.line,
            }),
            verdict: verdict.map(VerdictAnswer::new),
        }
    }
}

/// A page of tests.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TestsAnswer {
    /// Over all tests of the build.
    pub(super) totals: TotalsAnswer,
    /// In the order of their ids.
    pub(super) tests: Vec<TestAnswer>,
    /// What `after` is on the next page; `null` on the last one.
    pub(super) next: Option<String>,
}

/// A part of a whole.
#[derive(Debug, Serialize, ToSchema)]
struct ShareAnswer {
    covered: u64,
    total: u64,
}

impl From<Share> for ShareAnswer {
    fn from(share: Share) -> Self {
        Self {
            covered: share.covered,
            total: share.total,
        }
    }
}

/// Coverage of a build.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CoverageAnswer {
    lines: ShareAnswer,
    branches: ShareAnswer,
    /// Of the lines that the change adds; `null` where that is not known.
    patch: Option<ShareAnswer>,
    files: Vec<FileAnswer>,
}

/// Coverage of a file.
#[derive(Debug, Serialize, ToSchema)]
struct FileAnswer {
    /// As the report has it.
    path: String,
    /// The file of the repository, where it was found.
    resolved: Option<String>,
    lines: ShareAnswer,
    branches: ShareAnswer,
    /// Lines that were not executed, from 1: first and last of each stretch.
    missed: Vec<(u32, u32)>,
}

impl CoverageAnswer {
    pub(super) fn new(coverage: &Coverage, patch: Option<Share>) -> Self {
        Self {
            lines: coverage.lines().into(),
            branches: coverage.branches().into(),
            patch: patch.map(ShareAnswer::from),
            files: coverage
                .files
                .iter()
                .map(|file| FileAnswer {
                    path: file.path.clone(),
                    resolved: file.resolved.clone(),
                    lines: file.line_share().into(),
                    branches: file.branch_share().into(),
                    missed: file.missed(),
                })
                .collect(),
        }
    }
}
