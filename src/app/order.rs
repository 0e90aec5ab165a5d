//! From a job of the specification to what the runner is told.

use crate::domain::{Build, Occasion, StepRecord, StepState};
use crate::protocol::{Collect, CollectKind, Job, Limits, Phase, StepCommand, StepOrder};
use crate::spec::{Command, JobSpecification, Step};

/// What the environment tells of the build.
#[derive(Debug, Clone)]
pub struct Surroundings<'a> {
    /// The repository's owner and name.
    pub owner: &'a str,
    /// The repository's name.
    pub name: &'a str,
    /// The build; `None` for `herald run`.
    pub build: Option<&'a Build>,
    /// The build's address; empty without a build.
    pub build_url: &'a str,
    /// The commit that is tested.
    pub commit: &'a str,
    /// What happened.
    pub occasion: Option<&'a Occasion>,
    /// The event's name.
    pub event: &'a str,
    /// How many commits lead to this one.
    pub commit_count: Option<u64>,
    /// The job's key.
    pub job: &'a str,
    /// The attempt, from 1.
    pub attempt: u32,
    /// `PATH`.
    pub path: &'a str,
}

/// The variables that every step sees. What does not apply is not set.
pub fn environment(of: &Surroundings<'_>) -> Vec<(String, String)> {
    let mut set: Vec<(String, String)> = Vec::new();
    let mut put = |name: &str, value: String| {
        if !value.is_empty() {
            set.push((name.to_owned(), value));
        }
    };
    put("CI", "true".to_owned());
    put("HERALD", "true".to_owned());
    put("LANG", "C.UTF-8".to_owned());
    put("PATH", of.path.to_owned());
    put("HERALD_ACTION", "execute".to_owned());
    put("HERALD_EVENT", of.event.to_owned());
    put("HERALD_OWNER", of.owner.to_owned());
    put("HERALD_REPO", of.name.to_owned());
    put("HERALD_SHA", of.commit.to_owned());
    put("HERALD_JOB", of.job.to_owned());
    put("HERALD_ATTEMPT", of.attempt.to_string());
    put("HERALD_BUILD_URL", of.build_url.to_owned());
    if let Some(build) = of.build {
        put("HERALD_BUILD_NUMBER", build.number.to_string());
    }
    if let Some(count) = of.commit_count {
        put("HERALD_COMMIT_COUNT", count.to_string());
    }
    match of.occasion {
        Some(Occasion::PullRequest { pull }) => {
            put("HERALD_PULL_REQUEST", pull.number.to_string());
            put("HERALD_BASE_REF", pull.base_ref.clone());
            put("HERALD_BASE_SHA", pull.base.to_string());
            put("HERALD_HEAD_REF", pull.head_ref.clone());
        }
        Some(Occasion::Push { branch, .. }) => put("HERALD_BRANCH", branch.clone()),
        Some(Occasion::Tag { tag }) => put("HERALD_TAG", tag.clone()),
        Some(Occasion::MergeGroup {
            branch,
            base_ref,
            base,
        }) => {
            put("HERALD_BRANCH", branch.clone());
            put("HERALD_BASE_REF", base_ref.clone());
            put("HERALD_BASE_SHA", base.to_string());
        }
        None => {}
    }
    set
}

/// The job as the runner gets it, and its steps as they are kept. `timeout_max_ms` is the
/// operator's ceiling.
pub fn job_order(
    job: &JobSpecification,
    fixed: Vec<(String, String)>,
    timeout_max_ms: u64,
) -> (Job, Vec<StepRecord>) {
    let phases = [
        (Phase::Setup, "setup", &job.setup),
        (Phase::Execute, "execute", &job.execute),
        (Phase::After, "after", &job.after),
    ];
    let mut steps = Vec::new();
    let mut records = Vec::new();
    for (phase, word, list) in phases {
        for step in list {
            let index = u32::try_from(steps.len()).unwrap_or(u32::MAX);
            steps.push(step_order(step, index, phase));
            records.push(StepRecord {
                index,
                phase: word.to_owned(),
                name: step.name.clone(),
                state: StepState::Waiting,
                exit: None,
                code: None,
                started_ms: None,
                duration_ms: None,
                tolerated: step.continue_on_error,
                trouble: None,
            });
        }
    }
    // The specification's variables first: where names collide, the last one wins.
    let mut environment: Vec<(String, String)> = job
        .environment
        .iter()
        .filter(|(name, _)| !fixed.iter().any(|(other, _)| other == name))
        .cloned()
        .collect();
    environment.extend(fixed);
    let order = Job {
        workspace: String::new(),
        scratch: String::new(),
        environment,
        steps,
        timeout_ms: job.timeout_ms.min(timeout_max_ms),
        after_timeout_ms: Job::AFTER_TIMEOUT_MS,
        grace_ms: Job::GRACE_MS,
        collect: collected(job),
        limits: Limits::default(),
        secrets: Vec::new(),
        cache: None,
        archives: Vec::new(),
        confinement: None,
        await_ports: Vec::new(),
    };
    (order, records)
}

/// What is collected when the steps are over.
fn collected(job: &JobSpecification) -> Vec<Collect> {
    let mut collected = vec![
        collect(CollectKind::Tests, job.reports.tests.as_ref()),
        collect(CollectKind::Coverage, job.reports.coverage.as_ref()),
    ];
    if !job.artifacts.is_empty() {
        collected.push(collect(CollectKind::Artifact, Some(&job.artifacts)));
    }
    collected
}

fn collect(kind: CollectKind, declared: Option<&Vec<String>>) -> Collect {
    Collect {
        kind,
        globs: declared.cloned().unwrap_or_default(),
        defaults: declared.is_none(),
    }
}

fn step_order(step: &Step, index: u32, phase: Phase) -> StepOrder {
    StepOrder {
        index,
        phase,
        name: step.name.clone(),
        command: match &step.command {
            Command::Sh(script) => StepCommand::Sh(script.clone()),
            Command::Bash(script) => StepCommand::Bash(script.clone()),
            Command::Argv(argv) => StepCommand::Argv(argv.clone()),
        },
        environment: step.environment.clone(),
        working_directory: step.working_directory.clone(),
        timeout_ms: step.timeout_ms,
        continue_on_error: step.continue_on_error,
    }
}
