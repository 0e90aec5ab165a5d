//! What can be said to `herald upload`.

use clap::Args;

use super::arguments::{Colors, FailOn};

#[derive(Debug, Args)]
#[expect(clippy::doc_markdown, reason = "these comments are the help text")]
pub(super) struct UploadFlags {
    #[command(flatten)]
    pub(super) colors: Colors,
    /// Files, folders or globs; without any, the usual places.
    pub(super) paths: Vec<String>,
    /// Coverage reports.
    #[arg(long)]
    pub(super) coverage: Vec<String>,
    /// The Herald server, as its HERALD_PUBLIC_URL has it (HERALD_URL).
    #[arg(long, value_name = "URL")]
    pub(super) server: Option<String>,
    /// The repository on GitHub; GITHUB_REPOSITORY or the remote `origin` without it.
    #[arg(long, value_name = "OWNER/REPO")]
    pub(super) repository: Option<String>,
    /// What is sent for a commit under one name is one report; GITHUB_WORKFLOW or `reports` without it.
    #[arg(long)]
    pub(super) name: Option<String>,
    /// Which part of it this is.
    #[arg(long, value_name = "LABEL")]
    pub(super) part: Option<String>,
    /// How many parts there will be: it is published when all are there.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(super) parts: Option<u32>,
    /// The commit that was tested; the CI's or HEAD without it.
    #[arg(long, value_name = "SHA")]
    pub(super) commit: Option<String>,
    /// The pull request; the CI's without it.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(1..))]
    pub(super) pull_request: Option<i64>,
    /// How long the server waits for other parts, as in 90s.
    #[arg(long, value_name = "DURATION")]
    pub(super) wait: Option<String>,
    /// Say what would be sent, and send nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// When to end with status 1.
    #[arg(long, value_enum, default_value_t = FailOn::Never)]
    pub(super) fail_on: FailOn,
}
