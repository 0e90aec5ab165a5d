//! The resolved specification: every job with all that it inherits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How long a job may run when its specification does not say.
pub const DEFAULT_TIMEOUT_MS: u64 = 60 * 60 * 1000;

/// A specification that was read without errors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Specification {
    /// The jobs, in the order of the file; empty only where nothing is built and reports come from elsewhere.
    pub jobs: Vec<JobSpecification>,
    /// Whether the file has `jobs`; without, the one job is `build`.
    pub declares_jobs: bool,
    /// The file's own `when`.
    pub when: Option<When>,
    /// What is built for a pull request.
    pub build: BuiltTree,
    /// What is shown on GitHub.
    pub publish: Publish,
    /// What must hold for a green result.
    pub gates: Gates,
    /// How badges look.
    pub badges: BadgeSettings,
    /// Which reports are taken from GitHub Actions.
    pub actions: Option<Actions>,
    /// From where to where a candidate is promoted.
    pub promote: Option<Promote>,
}

impl Specification {
    /// Whether the file or one of its jobs has a `when`.
    pub fn has_when(&self) -> bool {
        self.when.is_some() || self.jobs.iter().any(|job| job.when.is_some())
    }

    /// The job of that key.
    pub fn job(&self, key: &str) -> Option<&JobSpecification> {
        self.jobs.iter().find(|job| job.key == key)
    }
}

/// Which reports are taken from GitHub Actions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actions {
    /// Names of workflows; never empty.
    pub workflows: Vec<String>,
    /// Globs of the names of artifacts that hold reports; `None` for all artifacts, as far as there are reports in them.
    pub artifacts: Option<Vec<String>>,
}

/// A job, with what it inherits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpecification {
    /// Its key: `[a-z0-9][a-z0-9_-]*`, at most 64 long; of a member of a matrix with `.N` after
    /// it, `N` from 1.
    pub key: String,
    /// How it is shown, if not by its key; a member of a matrix always has one, and no other job
    /// is shown by the same. Untrusted text.
    pub name: Option<String>,
    /// The container image.
    pub image: Option<String>,
    /// Environment variables, in the order of the file; names are unique.
    pub environment: Vec<(String, String)>,
    /// Steps that prepare.
    pub setup: Vec<Step>,
    /// The proof; never empty.
    pub execute: Vec<Step>,
    /// Steps that always run.
    pub after: Vec<Step>,
    /// Where reports are.
    pub reports: Reports,
    /// Globs of files to keep.
    pub artifacts: Vec<String>,
    /// How long it may run, in milliseconds.
    pub timeout_ms: u64,
    /// Keys of jobs that must have succeeded before, each member of a matrix by its own.
    pub needs: Vec<String>,
    /// Its own `when`.
    pub when: Option<When>,
    /// Names of stored secrets that its steps see: `[A-Z_][A-Z0-9_]*`.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Folders kept between builds.
    #[serde(default)]
    pub cache: Option<CacheSpecification>,
    /// The values of a member of a matrix, which are in `environment` as well; empty for a job
    /// without one.
    #[serde(default)]
    pub matrix: Vec<(String, String)>,
    /// What it may use of the machine.
    #[serde(default)]
    pub resources: Resources,
    /// Its way to the network.
    #[serde(default)]
    pub network: Network,
    /// Ports that are reachable while it runs, by name (`[a-z][a-z0-9_]*`).
    #[serde(default)]
    pub ports: Vec<(String, u16)>,
    /// Containers beside its own.
    #[serde(default)]
    pub services: Vec<Service>,
    /// The deployment that it is, if it is one.
    #[serde(default)]
    pub deploy: Option<Deploy>,
}

impl JobSpecification {
    /// Its key in the file, which all members of a matrix share.
    pub fn file_key(&self) -> &str {
        self.key
            .split_once('.')
            .map_or(self.key.as_str(), |(key, _)| key)
    }

    /// By which it is told apart on GitHub: its key, which rulesets refer to and a free name is
    /// not to change; of a member of a matrix its name.
    pub fn check_name(&self) -> &str {
        match &self.name {
            Some(name) if !self.matrix.is_empty() => name,
            _ => &self.key,
        }
    }
}

/// A job that is a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deploy {
    /// Where to: one line, 1 to 255 characters. Untrusted text.
    pub environment: String,
    /// Where that can be looked at: an http or https address.
    pub url: Option<String>,
    /// Whether a person with write permission has to approve it.
    pub approval: bool,
}

impl Deploy {
    /// By which deployments of one environment are told from those of others: GitHub does not look at the case of names.
    pub fn environment_key(&self) -> String {
        self.environment.to_lowercase()
    }
}

/// Between which branches a candidate is promoted. They are two, of ASCII letters, digits and `/_.-`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promote {
    /// The branch of the candidate.
    pub from: String,
    /// The branch of what is released.
    pub to: String,
}

/// What a job may use of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Processor time, in thousandths of a core.
    pub cpus_milli: u32,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u32,
}

impl Default for Resources {
    /// Section 5 of the contract: 2 cores, 4 GiB, 1024 processes.
    fn default() -> Self {
        Self {
            cpus_milli: 2000,
            memory_bytes: 4 << 30,
            pids: 1024,
        }
    }
}

/// A job's way to the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// None at all; its services are reachable.
    None,
    /// Out, but not in.
    #[default]
    Egress,
}

/// A container beside the job's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name, by which it is reachable: `[a-z0-9][a-z0-9_-]*`, at most 64 long.
    pub name: String,
    /// Its image.
    pub image: String,
    /// Its environment, in the order of the file; names are unique.
    pub environment: Vec<(String, String)>,
    /// How it is known to be ready; without, as soon as it runs.
    pub ready: Option<Ready>,
}

/// How a service is known to be ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// What is asked for.
    pub probe: Probe,
    /// How long it may take, in milliseconds: at most 10 minutes.
    pub timeout_ms: u64,
}

/// What tells that a service is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// This port accepts connections.
    Port(u16),
    /// This program with its arguments, run in the service's container, ends with 0; never empty.
    Command(Vec<String>),
}

/// Folders kept between builds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheSpecification {
    /// Under which they are found again. `${hash:FILE}` in it stands for the content of a file of
    /// the repository; the path is relative and without `..`.
    pub key: String,
    /// Their paths: relative to the workspace, or `~/…` below `HOME`; without `..`. Never empty.
    pub paths: Vec<String>,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// How it is shown: its name, else the first line of its command. Untrusted text.
    pub name: String,
    /// What it runs.
    pub command: Command,
    /// Environment variables of its own.
    pub environment: Vec<(String, String)>,
    /// The folder to run in, relative to the repository, without `..`.
    pub working_directory: Option<String>,
    /// How long it may run, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Whether its failure is passed over.
    pub continue_on_error: bool,
    /// Exit statuses that say that tests failed.
    pub test_failure_exit: Vec<i32>,
}

/// What a step runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// A script under `sh -e -c`.
    Sh(String),
    /// A script under `bash -eo pipefail -c`.
    Bash(String),
    /// A program and its arguments, which no shell sees; never empty.
    Argv(Vec<String>),
}

/// Where reports are: globs from the root of the repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reports {
    /// Test reports; `None` when not declared.
    pub tests: Option<Vec<String>>,
    /// Coverage reports; `None` when not declared.
    pub coverage: Option<Vec<String>>,
}

/// When to build: lists are or, keys are and.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct When {
    /// Events; `None` is any.
    pub events: Option<Vec<Event>>,
    /// Globs of branches; `None` is any, or none.
    pub branches: Option<Vec<String>>,
    /// Globs of tags; `None` is any, or none.
    pub tags: Option<Vec<String>>,
    /// Globs of changed paths.
    pub paths: Option<Vec<String>>,
    /// Globs of changed paths that do not count.
    pub paths_ignore: Option<Vec<String>>,
}

/// What can lead to a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A pull request.
    PullRequest,
    /// A push to a branch.
    Push,
    /// A tag.
    Tag,
    /// A merge queue.
    MergeGroup,
}

impl Event {
    /// Its name in `.herald.yml` and `HERALD_EVENT`.
    pub fn name(self) -> &'static str {
        match self {
            Self::PullRequest => "pull_request",
            Self::Push => "push",
            Self::Tag => "tag",
            Self::MergeGroup => "merge_group",
        }
    }

    /// The event of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::PullRequest, Self::Push, Self::Tag, Self::MergeGroup]
            .into_iter()
            .find(|event| event.name() == name)
    }
}

/// What is built for a pull request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuiltTree {
    /// Its head.
    #[default]
    Head,
    /// The tree that merging it would give.
    Merge,
}

/// What is shown on GitHub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// Commit statuses.
    pub statuses: bool,
    /// When the comment is written.
    pub comment: CommentPolicy,
    /// Which failures are annotated.
    pub annotations: AnnotationPolicy,
    /// Whether lines without coverage are annotated.
    pub coverage_annotations: bool,
    /// Whether local variables in tracebacks are shown.
    pub show_locals: bool,
}

impl Default for Publish {
    fn default() -> Self {
        Self {
            statuses: true,
            comment: CommentPolicy::Changes,
            annotations: AnnotationPolicy::All,
            coverage_annotations: false,
            show_locals: false,
        }
    }
}

/// When the comment is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommentPolicy {
    /// When something is worth saying.
    Changes,
    /// Always.
    Always,
    /// When something failed.
    Failures,
    /// Never.
    Off,
}

/// Which failures are annotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnnotationPolicy {
    /// All.
    All,
    /// Those on lines that the change touches.
    Diff,
    /// None.
    Off,
}

/// What must hold for a green result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gates {
    /// How many tests must have run where test reports are declared.
    pub min_tests: u64,
    /// Whether failures of tests known to be flaky are tolerated.
    pub allow_known_flaky: bool,
    /// About coverage.
    pub coverage: CoverageGates,
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            min_tests: 1,
            allow_known_flaky: false,
            coverage: CoverageGates::default(),
        }
    }
}

/// What coverage must reach.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverageGates {
    /// Of the whole; `None` is no gate.
    pub project: Option<ProjectGate>,
    /// Of the added lines; `None` is no gate.
    pub patch: Option<Percent>,
    /// By how much both may miss.
    pub threshold: Percent,
    /// Whether partly covered lines count as missed.
    pub partial_lines_miss: bool,
}

/// What the coverage of the whole must reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProjectGate {
    /// That of the base.
    Auto,
    /// This much.
    AtLeast(Percent),
}

/// How badges look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadgeSettings {
    /// What stands on the left, by kind.
    pub labels: BTreeMap<String, String>,
    /// Coverage below this is red.
    pub red_below: Percent,
    /// Coverage below this, and not red, is orange.
    pub orange_below: Percent,
    /// Coverage below this, and neither, is yellow; the rest is bright green.
    pub yellow_below: Percent,
}

impl Default for BadgeSettings {
    fn default() -> Self {
        Self {
            labels: BTreeMap::new(),
            red_below: Percent(5_000),
            orange_below: Percent(6_000),
            yellow_below: Percent(8_000),
        }
    }
}

/// A percentage, in hundredths of a percent: 0 to 10,000.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Percent(pub u32);

impl std::fmt::Display for Percent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, rest) = (self.0 / 100, self.0 % 100);
        if rest == 0 {
            write!(f, "{whole}%")
        } else {
            write!(f, "{}%", format!("{whole}.{rest:02}").trim_end_matches('0'))
        }
    }
}
