//! What can be said to `herald admin`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
#[expect(clippy::doc_markdown, reason = "these comments are the help text")]
pub(super) struct AdminFlags {
    /// The server's data directory (HERALD_DATA_DIR, default ./herald-data).
    #[arg(long, global = true)]
    pub(super) data_dir: Option<String>,
    #[command(subcommand)]
    pub(super) command: AdminCommand,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::doc_markdown, reason = "these comments are the help text")]
pub(super) enum AdminCommand {
    /// Secrets that trusted builds of a repository get as variables.
    Secret {
        #[command(subcommand)]
        command: SecretCommand,
    },
    /// Let a stranger's commit be built that waits for it.
    Approve {
        /// OWNER/REPO.
        #[arg(value_name = "OWNER/REPO")]
        repository: String,
        /// The pull request's number.
        pull: i64,
        /// The commit that was looked at: all digits of its id.
        commit: String,
    },
    /// Tokens of the API, of people and of repositories.
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Deliveries of webhooks, as they were kept.
    Deliveries {
        #[command(subcommand)]
        command: DeliveriesCommand,
    },
    /// Write a backup of one moment into a file, also while the server runs: database, logs, artifacts, uploads.
    Backup {
        /// The file; `-` for standard output.
        file: PathBuf,
        /// With the key that opens its secrets. Whoever has such a file has the secrets.
        #[arg(long)]
        with_key: bool,
    },
    /// Bring a backup back, into an empty data directory (and an empty PostgreSQL, where that is configured).
    Restore {
        /// The file; `-` for standard input.
        file: PathBuf,
    },
    /// Copy the SQLite database of the data directory into the empty PostgreSQL of HERALD_DATABASE_URL.
    Migrate,
    /// What Herald knows of a person.
    Privacy {
        #[command(subcommand)]
        command: PrivacyCommand,
    },
    /// List what people and operators did, the newest first: when, who, what, where.
    Audit {
        /// How many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Let go what is older than it is kept, now.
    Prune,
}

#[derive(Debug, Subcommand)]
pub(super) enum PrivacyCommand {
    /// Print all of it as JSON.
    Export(PersonFlags),
    /// Take it out of the database, logs, artifacts and uploads. It cannot be taken back.
    Erase {
        #[command(flatten)]
        person: PersonFlags,
        /// Do it; without this it is only said what would be.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct PersonFlags {
    /// Their login on GitHub.
    pub(super) login: String,
    /// GitHub's numeric id of them: `id` in api.github.com/users/LOGIN.
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(1..))]
    pub(super) id: Option<i64>,
    /// What else names them: an e-mail address, an earlier login, a full name.
    #[arg(long, value_name = "TEXT")]
    pub(super) also: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token, and print it: it cannot be shown again.
    Create {
        /// Whose it is: GitHub's numeric id of a person. It opens what they may see.
        #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(1..),
              required_unless_present = "repository", conflicts_with = "repository")]
        person: Option<i64>,
        /// The repository that it is good for, and nothing else.
        #[arg(long, value_name = "OWNER/REPO")]
        repository: Option<String>,
        /// What it is good for at most: `badges`, `read` to look, `upload` to send reports and nothing else,
        /// `write` to rerun, cancel, approve and upload.
        #[arg(long, default_value = "read", value_parser = ["badges", "read", "upload", "write"])]
        scope: String,
        /// What it is for, for the list.
        #[arg(long, default_value = "")]
        name: String,
        /// How many days it is good; 0 for ever.
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(0..=3660))]
        days: u32,
    },
    /// List tokens: id, whose, scope, when each was made and ends, what for.
    List,
    /// Revoke a token, at once.
    Revoke {
        /// Its id in the list.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum DeliveriesCommand {
    /// List deliveries, the newest first: GUID, event, when it came, state, and what went wrong.
    List {
        /// Those only whose handling failed.
        #[arg(long)]
        failed: bool,
        /// How many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Handle a delivery again whose handling failed.
    Replay {
        /// Its GUID (`X-GitHub-Delivery`).
        guid: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum SecretCommand {
    /// Store a secret; its value comes from standard input, or from a file.
    Set {
        /// OWNER/REPO.
        #[arg(value_name = "OWNER/REPO")]
        repository: String,
        /// The variable that steps get it in.
        name: String,
        /// A file with the value, taken as it is.
        #[arg(long, value_name = "FILE")]
        from_file: Option<PathBuf>,
    },
    /// List the names of a repository's secrets, and when each was stored.
    List {
        /// OWNER/REPO.
        #[arg(value_name = "OWNER/REPO")]
        repository: String,
    },
    /// Forget a secret.
    Remove {
        /// OWNER/REPO.
        #[arg(value_name = "OWNER/REPO")]
        repository: String,
        /// Its name.
        name: String,
    },
}
