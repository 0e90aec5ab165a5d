//! The one table of keys: it drives the check for unknown keys and the JSON Schema.

use super::container::MAX_PIDS;

/// What may stand at a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// Text.
    Text,
    /// A list of at least one text.
    Texts,
    /// A map of names to text.
    TextMap,
    /// `90s`, `10m`, `1h30m`.
    Duration,
    /// `true` or `false`.
    Flag,
    /// A whole number from 0.
    Count,
    /// A list of exit statuses, 1 to 255.
    ExitCodes,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A percentage, or the given word.
    Percent(Option<&'static str>),
    /// A list of steps.
    Steps,
    /// A command line: text for a shell, or a list of words that no shell sees.
    Run,
    /// A list of these words.
    Choices(&'static [&'static str]),
    /// A map with these keys.
    Object(&'static [Key]),
    /// A map of names to maps with these keys, one of which must be there.
    Objects(&'static [Key], &'static str),
    /// A whole number within these bounds.
    Whole(u64, u64),
    /// A number of cores.
    Cores,
    /// A size of memory.
    Size,
    /// A map of names to ports.
    Ports,
    /// Lists by name, `include` and `exclude`.
    Matrix,
}

/// A key of the specification.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// What it means, for the JSON Schema.
    pub(super) about: &'static str,
}

const fn key(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key { name, shape, about }
}

pub(super) const NETWORKS: &[&str] = &["none", "egress"];

pub(super) const EVENTS: &[&str] = &["pull_request", "push", "tag", "merge_group"];

const IMAGE: Key = key(
    "image",
    Shape::Text,
    "Container image of the job, for the docker and swarm executors.",
);
const ENVIRONMENT: Key = key(
    "environment",
    Shape::TextMap,
    "Environment variables; values are taken as written.",
);
const SETUP: Key = key(
    "setup",
    Shape::Steps,
    "Steps that prepare; a failing one fails the job.",
);
const EXECUTE: Key = key(
    "execute",
    Shape::Steps,
    "The proof: the first failing step fails the job.",
);
const AFTER: Key = key(
    "after",
    Shape::Steps,
    "Steps that always run, for at most 2 minutes in all; they never change the verdict.",
);
const REPORTS_KEY: Key = key(
    "reports",
    Shape::Object(REPORTS),
    "Where the build leaves its reports. Not declared: the usual places.",
);
const ARTIFACTS: Key = key(
    "artifacts",
    Shape::Texts,
    "Globs of files to keep and link.",
);
const TIMEOUT: Key = key(
    "timeout",
    Shape::Duration,
    "How long the job may run, as 90s, 10m or 1h30m. Default 60m.",
);
const WHEN_KEY: Key = key(
    "when",
    Shape::Object(WHEN),
    "When to build. Lists are or, keys are and.",
);
const PORTS: Key = key(
    "ports",
    Shape::Ports,
    "Ports of the job's container by name, reachable while it runs; HERALD_PORT_<NAME> tells the address.",
);
const RESOURCES_KEY: Key = key(
    "resources",
    Shape::Object(RESOURCES),
    "What the job may use of the machine.",
);
const NETWORK: Key = key(
    "network",
    Shape::Choice(NETWORKS),
    "The job's way to the network: none, or out (egress, the default).",
);

/// The file itself.
pub(super) const TOP: &[Key] = &[
    key("version", Shape::Choice(&["1"]), "Version of this format."),
    IMAGE,
    ENVIRONMENT,
    SETUP,
    EXECUTE,
    AFTER,
    REPORTS_KEY,
    ARTIFACTS,
    TIMEOUT,
    key(
        "jobs",
        Shape::Objects(JOB, "execute"),
        "Jobs by key ([a-z0-9][a-z0-9_-]*). Without it there is one job, build.",
    ),
    WHEN_KEY,
    key(
        "build",
        Shape::Choice(&["head", "merge"]),
        "What is built for a pull request: its head, or the tree that merging it would give.",
    ),
    key(
        "publish",
        Shape::Object(PUBLISH),
        "What is shown on GitHub.",
    ),
    key(
        "gates",
        Shape::Object(GATES),
        "What must hold for a green result.",
    ),
    PORTS,
    RESOURCES_KEY,
    NETWORK,
    key(
        "badges",
        Shape::Object(BADGES),
        "Colour thresholds and labels of badges.",
    ),
    key(
        "actions",
        Shape::Object(ACTIONS),
        "Reports from artifacts of GitHub Actions; read from the default branch.",
    ),
    key(
        "promote",
        Shape::Object(PROMOTE),
        "After a green push to one branch, a pull request from it to another one.",
    ),
];

/// A job.
pub(super) const JOB: &[Key] = &[
    key("name", Shape::Text, "How the job is shown."),
    IMAGE,
    ENVIRONMENT,
    SETUP,
    EXECUTE,
    AFTER,
    REPORTS_KEY,
    ARTIFACTS,
    TIMEOUT,
    key(
        "needs",
        Shape::Texts,
        "Keys of jobs that must have succeeded, or been skipped by their when.",
    ),
    WHEN_KEY,
    PORTS,
    RESOURCES_KEY,
    NETWORK,
    key(
        "matrix",
        Shape::Matrix,
        "Variants of the job: every combination of the lists. Values are environment variables, and ${name} in image, name and environment.",
    ),
    key(
        "services",
        Shape::Objects(SERVICE, "image"),
        "Containers beside the job's own, reachable by their names.",
    ),
    key(
        "cache",
        Shape::Object(CACHE),
        "Folders kept between builds; what an untrusted build writes, a trusted one never reads.",
    ),
    key(
        "secrets",
        Shape::Texts,
        "Names of stored secrets to expose; never to a build of a fork or a bot.",
    ),
    key(
        "deploy",
        Shape::Object(DEPLOY),
        "The job is a deployment on GitHub; one at a time in each environment. Say with when what deploys.",
    ),
];

/// A job that is a deployment.
pub(super) const DEPLOY: &[Key] = &[
    key(
        "environment",
        Shape::Text,
        "Where it deploys to, as production; at most 255 characters.",
    ),
    key("url", Shape::Text, "Where that can be looked at."),
    key(
        "approval",
        Shape::Flag,
        "Whether a person with write permission has to approve it first. Default false.",
    ),
];

/// From where to where.
pub(super) const PROMOTE: &[Key] = &[
    key("from", Shape::Text, "The branch of the candidate."),
    key("to", Shape::Text, "The branch of what is released."),
];

pub(super) const ACTIONS: &[Key] = &[
    key(
        "workflows",
        Shape::Texts,
        "Names of the workflows whose artifacts are read.",
    ),
    key(
        "artifacts",
        Shape::Texts,
        "Globs of the names of artifacts that hold reports. Default: all are looked through.",
    ),
];

/// A step that is a map.
pub(super) const STEP: &[Key] = &[
    key("name", Shape::Text, "How the step is shown."),
    key(
        "run",
        Shape::Run,
        "The command: text for the shell, or a list of words that no shell sees.",
    ),
    key(
        "shell",
        Shape::Choice(&["sh", "bash"]),
        "sh -e -c (the default) or bash -eo pipefail -c.",
    ),
    key(
        "environment",
        Shape::TextMap,
        "Environment variables of this step alone.",
    ),
    key(
        "working_directory",
        Shape::Text,
        "Folder to run in, from the root of the repository.",
    ),
    key("timeout", Shape::Duration, "How long the step may run."),
    key(
        "continue_on_error",
        Shape::Flag,
        "Go on, and stay green, when the step fails.",
    ),
    key(
        "test_failure_exit",
        Shape::ExitCodes,
        "Exit statuses that say that tests failed. Default [1].",
    ),
];

pub(super) const RESOURCES: &[Key] = &[
    key(
        "cpus",
        Shape::Cores,
        "Processor cores, as 2 or 0.5. Default 2.",
    ),
    key(
        "memory",
        Shape::Size,
        "Memory, as 512MiB or 4GiB. Default 4GiB.",
    ),
    key(
        "pids",
        Shape::Whole(1, MAX_PIDS),
        "Processes and threads. Default 1024.",
    ),
];

pub(super) const SERVICE: &[Key] = &[
    key("image", Shape::Text, "Container image of the service."),
    key(
        "environment",
        Shape::TextMap,
        "Environment variables of the service.",
    ),
    key(
        "ready",
        Shape::Object(READY),
        "How it is known to be ready; the steps wait for it. Without: as soon as it runs.",
    ),
];

pub(super) const READY: &[Key] = &[
    key(
        "port",
        Shape::Whole(1, 65_535),
        "It is ready when this port accepts connections.",
    ),
    key(
        "run",
        Shape::Run,
        "It is ready when this command, run in its container, ends with 0.",
    ),
    key(
        "timeout",
        Shape::Duration,
        "How long that may take, at most 10m. Default 60s.",
    ),
];

pub(super) const CACHE: &[Key] = &[
    key(
        "key",
        Shape::Text,
        "Under which the folders are found again; ${hash:FILE} stands for the content of a file.",
    ),
    key(
        "paths",
        Shape::Texts,
        "Folders, relative to the root of the repository or ~/… below HOME.",
    ),
];

pub(super) const REPORTS: &[Key] = &[
    key("tests", Shape::Texts, "Globs of test reports."),
    key("coverage", Shape::Texts, "Globs of coverage reports."),
];

pub(super) const WHEN: &[Key] = &[
    key("events", Shape::Choices(EVENTS), "Events."),
    key(
        "branches",
        Shape::Texts,
        "Globs of branches; of a pull request, its base.",
    ),
    key("tags", Shape::Texts, "Globs of tags."),
    key(
        "paths",
        Shape::Texts,
        "Globs of changed paths: * stays within a folder, ** does not.",
    ),
    key(
        "paths_ignore",
        Shape::Texts,
        "Globs of changed paths that do not count.",
    ),
];

pub(super) const PUBLISH: &[Key] = &[
    key("statuses", Shape::Flag, "Commit statuses. Default true."),
    key(
        "comment",
        Shape::Choice(&["changes", "always", "failures", "off"]),
        "When the comment is written. Default changes.",
    ),
    key(
        "annotations",
        Shape::Choice(&["all", "diff", "off"]),
        "Which failures are annotated. Default all.",
    ),
    key(
        "coverage_annotations",
        Shape::Flag,
        "Annotate lines that are not covered. Default false.",
    ),
    key(
        "locals",
        Shape::Choice(&["hide", "show"]),
        "Local variables in tracebacks. Default hide.",
    ),
];

pub(super) const GATES: &[Key] = &[
    key("tests", Shape::Object(TEST_GATES), "About tests."),
    key("coverage", Shape::Object(COVERAGE_GATES), "About coverage."),
];

/// How badges look.
pub(super) const BADGES: &[Key] = &[
    key(
        "labels",
        Shape::Object(BADGE_LABELS),
        "What stands on the left of badges.",
    ),
    key(
        "coverage",
        Shape::Object(BADGE_COLORS),
        "Below which coverage a badge has which colour. Default red: 50%, orange: 60%, yellow: 80%.",
    ),
];

pub(super) const BADGE_LABELS: &[Key] = &[
    key("build", Shape::Text, "Of the badge build."),
    key("tests", Shape::Text, "Of the badge tests."),
    key("coverage", Shape::Text, "Of the badge coverage."),
    key("deploy", Shape::Text, "Of the badge deploy."),
    key("release", Shape::Text, "Of the badge release."),
];

pub(super) const BADGE_COLORS: &[Key] = &[
    key("red", Shape::Percent(None), "Below this it is red."),
    key("orange", Shape::Percent(None), "Below this it is orange."),
    key("yellow", Shape::Percent(None), "Below this it is yellow."),
];

pub(super) const TEST_GATES: &[Key] = &[
    key(
        "min_tests",
        Shape::Count,
        "How many tests must have run where reports are declared. Default 1.",
    ),
    key(
        "allow_known_flaky",
        Shape::Flag,
        "Tolerate failures of tests known to be flaky. Default false.",
    ),
];

pub(super) const COVERAGE_GATES: &[Key] = &[
    key(
        "project",
        Shape::Percent(Some("auto")),
        "Coverage that must be reached; auto is that of the base.",
    ),
    key(
        "patch",
        Shape::Percent(Some("off")),
        "Coverage of the added lines that must be reached.",
    ),
    key(
        "threshold",
        Shape::Percent(None),
        "By how much coverage may miss it.",
    ),
    key(
        "partial_lines",
        Shape::Choice(&["hit", "miss"]),
        "How partly covered lines count. Default hit.",
    ),
];
