//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::admin_flags::AdminFlags;
use super::upload_flags::UploadFlags;

/// Builds pull requests and tells people what happened.
#[derive(Debug, Parser)]
#[command(name = "herald", version, about, disable_help_subcommand = true)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) colors: Colors,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Whether to use colours: before the command's name, or after it, but for `badge`, where
/// `--color` is that of the badge.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(super) struct Colors {
    /// Whether to use colours.
    #[arg(long = "color", id = "colors", value_enum, value_name = "WHEN")]
    pub(super) when: Option<Color>,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the GitHub App: webhooks, builds, publishing, badges, pages.
    Serve(Box<ServeFlags>),
    /// Show the whole main job on a simulated GitHub, with nothing installed.
    Demo(DemoFlags),
    /// Build a repository on this machine as Herald would.
    Run(RunFlags),
    /// Check a .herald.yml.
    Check {
        #[command(flatten)]
        colors: Colors,
        /// The file; without it .herald.yml or .forge.yml of this folder, `-` for standard input.
        file: Option<PathBuf>,
        /// How to print what is found.
        #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
        format: CheckFormat,
    },
    /// Print a repository's build as a plain shell script.
    Explain {
        /// The repository.
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Print the JSON Schema of .herald.yml.
    Schema,
    /// Read test and coverage reports and print what they say.
    Report(ReportFlags),
    /// Send reports from another CI to a Herald server.
    Upload(UploadFlags),
    /// Print a badge as SVG.
    Badge(BadgeFlags),
    /// Check configuration, credentials, GitHub, git, executor and database.
    Doctor(Box<ServeFlags>),
    /// Look after a server: its stored secrets.
    Admin(AdminFlags),
    /// Print shell completions.
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the manual page, for packages.
    #[command(hide = true)]
    Manual {
        /// Write the pages of all commands into this folder instead.
        folder: Option<PathBuf>,
    },
    /// Carry out one job; started by the server.
    #[command(hide = true)]
    Runner,
}

/// Settings that are no secrets; each has a variable of the environment.
#[derive(Debug, Default, Args)]
#[expect(clippy::doc_markdown, reason = "these comments are the help text")]
pub(super) struct ServeFlags {
    #[command(flatten)]
    pub(super) colors: Colors,
    /// Public listener (HERALD_LISTEN, default 127.0.0.1:8080).
    #[arg(long)]
    pub(super) listen: Option<String>,
    /// Listener for metrics and health (HERALD_METRICS_LISTEN, default 127.0.0.1:8081).
    #[arg(long)]
    pub(super) metrics_listen: Option<String>,
    /// Address used in links (HERALD_PUBLIC_URL).
    #[arg(long)]
    pub(super) public_url: Option<String>,
    /// Database, logs, artifacts (HERALD_DATA_DIR, default ./herald-data).
    #[arg(long)]
    pub(super) data_dir: Option<String>,
    /// Logs, artifacts, caches and uploads, where several processes share them (HERALD_STORAGE_DIR).
    #[arg(long)]
    pub(super) storage_dir: Option<String>,
    /// all, web or worker (HERALD_ROLE, default all).
    #[arg(long)]
    pub(super) role: Option<String>,
    /// Web and git base (HERALD_GITHUB_URL, default <https://github.com>).
    #[arg(long)]
    pub(super) github_url: Option<String>,
    /// REST base (HERALD_GITHUB_API_URL).
    #[arg(long)]
    pub(super) github_api_url: Option<String>,
    /// Certificates in PEM of authorities to trust beside those of this machine (HERALD_CA_FILE).
    #[arg(long, value_name = "FILE")]
    pub(super) ca_file: Option<String>,
    /// The App's id (HERALD_GITHUB_APP_ID).
    #[arg(long)]
    pub(super) github_app_id: Option<String>,
    /// Where jobs run: process, docker or swarm (HERALD_EXECUTOR, default process).
    #[arg(long)]
    pub(super) executor: Option<String>,
    /// The Docker Engine (HERALD_DOCKER_HOST, default unix:///var/run/docker.sock).
    #[arg(long)]
    pub(super) docker_host: Option<String>,
    /// The program herald-runner for containers (HERALD_RUNNER_PATH, default beside herald).
    #[arg(long)]
    pub(super) runner_path: Option<String>,
    /// Logins of registries, as docker login writes them (HERALD_REGISTRY_AUTH_FILE).
    #[arg(long)]
    pub(super) registry_auth_file: Option<String>,
    /// Listener for runners of the Swarm (HERALD_RUNNER_LISTEN).
    #[arg(long)]
    pub(super) runner_listen: Option<String>,
    /// Where the nodes of the Swarm reach that listener (HERALD_RUNNER_URL).
    #[arg(long)]
    pub(super) runner_url: Option<String>,
    /// Placement constraints of every job (HERALD_SWARM_CONSTRAINTS).
    #[arg(long)]
    pub(super) swarm_constraints: Option<String>,
    /// required or off (HERALD_PROCESS_SANDBOX, default required).
    #[arg(long)]
    pub(super) process_sandbox: Option<String>,
    /// How many jobs run at once [HERALD_MAX_CONCURRENT_JOBS, default: cores].
    #[arg(long)]
    pub(super) max_concurrent_jobs: Option<String>,
    /// How many of them in one repository (HERALD_MAX_CONCURRENT_JOBS_PER_REPOSITORY).
    #[arg(long)]
    pub(super) max_concurrent_jobs_per_repository: Option<String>,
    /// Ceiling of a job's time-out (HERALD_JOB_TIMEOUT_MAX, default 2h).
    #[arg(long)]
    pub(super) job_timeout_max: Option<String>,
    /// How long logs are kept after a build has ended (HERALD_RETENTION_LOGS, default 90d).
    #[arg(long, value_name = "DURATION")]
    pub(super) retention_logs: Option<String>,
    /// How long artifacts are (HERALD_RETENTION_ARTIFACTS, default 30d).
    #[arg(long, value_name = "DURATION")]
    pub(super) retention_artifacts: Option<String>,
    /// How long it is known which deliveries were handled (HERALD_RETENTION_DELIVERIES, default 14d).
    #[arg(long, value_name = "DURATION")]
    pub(super) retention_deliveries: Option<String>,
    /// How long builds are kept, and how tests did (HERALD_RETENTION_HISTORY, default 400d).
    #[arg(long, value_name = "DURATION")]
    pub(super) retention_history: Option<String>,
    /// How long what the App was taken out of is known (HERALD_RETENTION_UNINSTALLED, default 30d).
    #[arg(long, value_name = "DURATION")]
    pub(super) retention_uninstalled: Option<String>,
    /// Ceiling of a log (HERALD_LOG_MAX, default 256MiB).
    #[arg(long)]
    pub(super) log_max: Option<String>,
    /// Pull requests from forks: approve or ignore (HERALD_FORK_POLICY, default approve).
    #[arg(long)]
    pub(super) fork_policy: Option<String>,
    /// Filter of the log (HERALD_LOG, default info).
    #[arg(long)]
    pub(super) log: Option<String>,
    /// text or json (HERALD_LOG_FORMAT, default text).
    #[arg(long)]
    pub(super) log_format: Option<String>,
}

impl Arguments {
    /// When to use colours.
    pub(super) fn color(&self) -> Color {
        let after = match &self.command {
            Command::Serve(flags) | Command::Doctor(flags) => flags.colors,
            Command::Demo(flags) => flags.colors,
            Command::Run(flags) => flags.colors,
            Command::Report(flags) => flags.colors,
            Command::Upload(flags) => flags.colors,
            Command::Check { colors, .. } => *colors,
            _ => Colors::default(),
        };
        after.when.or(self.colors.when).unwrap_or(Color::Auto)
    }
}

impl ServeFlags {
    /// The flags by the name of their variable.
    pub(super) fn by_variable(self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("HERALD_LISTEN", self.listen),
            ("HERALD_METRICS_LISTEN", self.metrics_listen),
            ("HERALD_PUBLIC_URL", self.public_url),
            ("HERALD_DATA_DIR", self.data_dir),
            ("HERALD_STORAGE_DIR", self.storage_dir),
            ("HERALD_ROLE", self.role),
            ("HERALD_GITHUB_URL", self.github_url),
            ("HERALD_GITHUB_API_URL", self.github_api_url),
            ("HERALD_CA_FILE", self.ca_file),
            ("HERALD_GITHUB_APP_ID", self.github_app_id),
            ("HERALD_EXECUTOR", self.executor),
            ("HERALD_DOCKER_HOST", self.docker_host),
            ("HERALD_RUNNER_PATH", self.runner_path),
            ("HERALD_REGISTRY_AUTH_FILE", self.registry_auth_file),
            ("HERALD_RUNNER_LISTEN", self.runner_listen),
            ("HERALD_RUNNER_URL", self.runner_url),
            ("HERALD_SWARM_CONSTRAINTS", self.swarm_constraints),
            ("HERALD_PROCESS_SANDBOX", self.process_sandbox),
            ("HERALD_MAX_CONCURRENT_JOBS", self.max_concurrent_jobs),
            (
                "HERALD_MAX_CONCURRENT_JOBS_PER_REPOSITORY",
                self.max_concurrent_jobs_per_repository,
            ),
            ("HERALD_JOB_TIMEOUT_MAX", self.job_timeout_max),
            ("HERALD_LOG_MAX", self.log_max),
            ("HERALD_RETENTION_LOGS", self.retention_logs),
            ("HERALD_RETENTION_ARTIFACTS", self.retention_artifacts),
            ("HERALD_RETENTION_DELIVERIES", self.retention_deliveries),
            ("HERALD_RETENTION_HISTORY", self.retention_history),
            ("HERALD_RETENTION_UNINSTALLED", self.retention_uninstalled),
            ("HERALD_FORK_POLICY", self.fork_policy),
            ("HERALD_LOG", self.log),
            ("HERALD_LOG_FORMAT", self.log_format),
        ]
    }
}

#[derive(Debug, Args)]
pub(super) struct DemoFlags {
    #[command(flatten)]
    pub(super) colors: Colors,
    /// Print what GitHub would show, and end.
    #[arg(long)]
    pub(super) once: bool,
    /// Where pages and badges are served.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub(super) listen: String,
}

#[derive(Debug, Args)]
pub(super) struct RunFlags {
    #[command(flatten)]
    pub(super) colors: Colors,
    /// The repository.
    #[arg(default_value = ".")]
    pub(super) dir: PathBuf,
    /// Only this job (NAME, or NAME.N for one member of its matrix) and those that it needs.
    #[arg(long)]
    pub(super) job: Option<String>,
    /// What to build for.
    #[arg(long, value_enum, default_value_t = RunEvent::PullRequest)]
    pub(super) event: RunEvent,
    /// The branch or commit that the change starts from.
    #[arg(long)]
    pub(super) base: Option<String>,
    /// Where steps run.
    #[arg(long, value_enum, default_value_t = RunExecutor::Process)]
    pub(super) executor: RunExecutor,
    /// Build in DIR itself instead of a copy.
    #[arg(long)]
    pub(super) in_place: bool,
    /// How to print the report.
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(super) format: ReportFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RunEvent {
    /// A pull request.
    #[value(name = "pull_request")]
    PullRequest,
    /// A push to the current branch.
    Push,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RunExecutor {
    /// Processes of this machine, without a sandbox.
    Process,
    /// Containers.
    Docker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum CheckFormat {
    /// For people and editors.
    Text,
    /// For programs.
    Json,
    /// Workflow commands of GitHub Actions.
    Github,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// As a check run shows it.
    Markdown,
    /// As the Checks API takes annotations.
    Annotations,
}

#[derive(Debug, Args)]
pub(super) struct ReportFlags {
    #[command(flatten)]
    pub(super) colors: Colors,
    /// Files, folders, globs, or `-` for standard input; without any, the usual places.
    pub(super) paths: Vec<String>,
    /// Coverage reports.
    #[arg(long)]
    pub(super) coverage: Vec<String>,
    /// The repository that paths are resolved against.
    #[arg(long)]
    pub(super) source: Option<PathBuf>,
    /// Earlier reports to compare with.
    #[arg(long)]
    pub(super) base: Vec<String>,
    /// Only what failed.
    #[arg(long)]
    pub(super) failures: bool,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(super) format: ReportFormat,
    /// When to end with status 1.
    #[arg(long, value_enum, default_value_t = FailOn::Failures)]
    pub(super) fail_on: FailOn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FailOn {
    /// When a test failed, or a report is broken, partial or empty.
    Failures,
    /// Never.
    Never,
}

#[derive(Debug, Args)]
pub(super) struct BadgeFlags {
    /// The left half.
    #[arg(long, default_value = "")]
    pub(super) label: String,
    /// The right half.
    #[arg(long)]
    pub(super) message: String,
    /// The right half's colour.
    #[arg(long, default_value = "lightgrey")]
    pub(super) color: String,
    /// The left half's colour.
    #[arg(long)]
    pub(super) label_color: Option<String>,
    /// How it looks.
    #[arg(long, default_value = "flat", value_parser = badge_styles())]
    pub(super) style: String,
    /// A logo: a name, or an image as data URI.
    #[arg(long, value_name = "NAME|DATA", value_parser = badge_logo)]
    pub(super) logo: Option<String>,
    /// Where it leads to; given twice, where each half does.
    #[arg(long, value_name = "URL", num_args = 1)]
    pub(super) link: Vec<String>,
}

fn badge_styles() -> clap::builder::PossibleValuesParser {
    crate::badge::Style::ALL
        .map(crate::badge::Style::as_str)
        .into()
}

/// A logo that badges know.
fn badge_logo(logo: &str) -> Result<String, String> {
    if crate::badge::is_logo(logo) {
        return Ok(logo.to_owned());
    }
    let names = crate::badge::LOGOS.map(|(name, _)| name).join(", ");
    Err(format!(
        "it is one of {names}, or an image as data:image/TYPE;base64,… of at most 16 KiB"
    ))
}
