//! The settings of the server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::credentials::{Credentials, credentials};
use super::outbound::outbound;
use super::read::{Problems, Reader};
use crate::app::{ForkPolicy, Retention};
use crate::domain::Secret;
use crate::domain::registration::{api_of, web_address};
use crate::github::Outbound;
use crate::ports::store::Room;
use crate::store::SealKey;

/// Where the durable state is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// A file in the data directory.
    Sqlite,
    /// PostgreSQL at this address, which may hold a password.
    Postgres(Secret),
}

/// What a process does, where several share a PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    All,
    /// It takes deliveries and uploads, and serves pages, badges and the API.
    Web,
    /// It works: builds, publishes, looks after what was missed.
    Worker,
}

impl Role {
    /// Whether it has the public listener.
    pub fn serves(self) -> bool {
        self != Self::Worker
    }

    /// Whether it drains the queues.
    pub fn works(self) -> bool {
        self != Self::Web
    }
}

/// Where jobs run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutorKind {
    /// In processes of this machine.
    Process,
    /// In containers of one Docker Engine.
    Docker,
    /// In services of a Docker Swarm.
    Swarm,
}

/// The listener that serves only `/runner/v1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerListener {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The host and port that the nodes of the Swarm reach it by.
    pub host: String,
}

/// The settings of `herald serve`.
#[derive(Debug, Clone)]
pub struct Config {
    /// The public listener.
    pub listen: SocketAddr,
    /// The operators' listener.
    pub metrics_listen: SocketAddr,
    /// Used in every link; no slash at the end.
    pub public_url: String,
    /// Database, checkouts, and what is this process's own.
    pub data_dir: PathBuf,
    /// Logs, artifacts, caches, uploads: the data directory, or one that several processes share.
    pub storage_dir: PathBuf,
    /// What this process does.
    pub role: Role,
    /// Where the durable state is.
    pub database: Database,
    /// What seals stored secrets, if it is given; a right one.
    pub secret_key: Option<Secret>,
    /// Web and git base.
    pub github_url: String,
    /// REST base.
    pub github_api_url: String,
    /// The way to GitHub: a proxy, and who vouches for it.
    pub outbound: Outbound,
    /// Missing until the App is registered.
    pub credentials: Option<Credentials>,
    /// What flags and variables say.
    pub(super) given: Reader,
    /// What of the credentials they leave open.
    pub(super) missing: Vec<String>,
    /// Where jobs run.
    pub executor: ExecutorKind,
    /// Whether steps of the `process` executor run in a sandbox.
    pub sandbox: bool,
    /// The Docker Engine.
    pub docker_host: String,
    /// The program `herald-runner`, where it is not beside this one.
    pub runner_path: Option<PathBuf>,
    /// Logins of registries, as `docker login` writes them.
    pub registry_auth_file: Option<PathBuf>,
    /// The listener for runners of the Swarm, and the address that they reach it by.
    pub runner: Option<RunnerListener>,
    /// Placement constraints of every service.
    pub swarm_constraints: Vec<String>,
    /// How much runs at once.
    pub room: Room,
    /// Ceiling of a job's time-out.
    pub job_timeout_max: Duration,
    /// Ceiling of a log, in bytes.
    pub log_max: u64,
    /// How long things are kept.
    pub retention: Retention,
    /// Pull requests from forks.
    pub forks: ForkPolicy,
    /// What is logged: a filter of `tracing`.
    pub log: String,
    /// Whether it is logged as JSON.
    pub log_json: bool,
    /// What is odd, but not wrong.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// All problems together.
    pub fn read(mut reader: Reader) -> Result<Self, Problems> {
        let given = reader.clone();
        let listen = address(&mut reader, "HERALD_LISTEN", 8080);
        let metrics_listen = address(&mut reader, "HERALD_METRICS_LISTEN", 8081);
        let public_url = url(
            &mut reader,
            "HERALD_PUBLIC_URL",
            &format!("http://{listen}"),
        );
        let github_url = url(&mut reader, "HERALD_GITHUB_URL", "https://github.com");
        let github_api_url = url(&mut reader, "HERALD_GITHUB_API_URL", &api_of(&github_url));
        let database = database(&mut reader);
        let secret_key = secret_key(&mut reader, &database);
        let outbound = outbound(&mut reader);
        let credentials = credentials(&mut reader);
        let data_dir = PathBuf::from(reader.text_or("HERALD_DATA_DIR", "./herald-data"));
        let (role, storage_dir) = role(&mut reader, &database, &data_dir);
        let executor = reader.word(
            "HERALD_EXECUTOR",
            &[
                ("process", ExecutorKind::Process),
                ("docker", ExecutorKind::Docker),
                ("swarm", ExecutorKind::Swarm),
            ],
            ExecutorKind::Process,
        );
        let runner = runner_listener(&mut reader, executor);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let cores = i64::try_from(cores).unwrap_or(1);
        let total = at_least_one(&mut reader, "HERALD_MAX_CONCURRENT_JOBS").unwrap_or(cores);
        let per_repository = at_least_one(&mut reader, "HERALD_MAX_CONCURRENT_JOBS_PER_REPOSITORY")
            .unwrap_or((total / 2).max(1));
        let sandbox = [("required", true), ("off", false)];
        let config = Self {
            listen,
            metrics_listen,
            public_url,
            data_dir,
            storage_dir,
            role,
            database,
            secret_key,
            github_url,
            github_api_url,
            outbound,
            credentials,
            given,
            missing: std::mem::take(&mut reader.missing),
            executor,
            docker_host: docker_host(&mut reader),
            runner_path: reader.text("HERALD_RUNNER_PATH").map(PathBuf::from),
            registry_auth_file: reader.text("HERALD_REGISTRY_AUTH_FILE").map(PathBuf::from),
            runner,
            swarm_constraints: reader
                .text("HERALD_SWARM_CONSTRAINTS")
                .map(|text| words(&text))
                .unwrap_or_default(),
            sandbox: reader.word("HERALD_PROCESS_SANDBOX", &sandbox, true),
            room: Room {
                total,
                per_repository,
            },
            job_timeout_max: reader.duration("HERALD_JOB_TIMEOUT_MAX", Duration::from_hours(2)),
            log_max: reader.size("HERALD_LOG_MAX", 256 << 20),
            forks: reader.word(
                "HERALD_FORK_POLICY",
                &[
                    ("approve", ForkPolicy::Approve),
                    ("ignore", ForkPolicy::Ignore),
                ],
                ForkPolicy::Approve,
            ),
            retention: retention(&mut reader),
            log: reader.text_or("HERALD_LOG", "info"),
            log_json: reader.word(
                "HERALD_LOG_FORMAT",
                &[("text", false), ("json", true)],
                false,
            ),
            warnings: std::mem::take(&mut reader.warnings),
        };
        if reader.problems.is_empty() {
            Ok(config)
        } else {
            let missing = config.missing;
            Err(Problems([reader.problems, missing].concat()))
        }
    }
}

fn retention(reader: &mut Reader) -> Retention {
    let mut kept_ms = |name, days: u64| {
        let kept = reader.duration(name, Duration::from_hours(days * 24));
        u64::try_from(kept.as_millis()).unwrap_or(u64::MAX)
    };
    Retention {
        logs_ms: kept_ms("HERALD_RETENTION_LOGS", 90),
        artifacts_ms: kept_ms("HERALD_RETENTION_ARTIFACTS", 30),
        deliveries_ms: kept_ms("HERALD_RETENTION_DELIVERIES", 14),
        history_ms: kept_ms("HERALD_RETENTION_HISTORY", 400),
        uninstalled_ms: kept_ms("HERALD_RETENTION_UNINSTALLED", 30),
    }
}

fn address(reader: &mut Reader, name: &str, port: u16) -> SocketAddr {
    reader
        .parsed(name, "an address and port, as in 127.0.0.1:8080", |text| {
            text.parse().ok()
        })
        .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], port)))
}

fn url(reader: &mut Reader, name: &str, default: &str) -> String {
    reader
        .parsed(
            name,
            "an address that begins with http:// or https://",
            web_address,
        )
        .unwrap_or_else(|| default.to_owned())
}

/// The local socket, where nothing else is said.
fn docker_host(reader: &mut Reader) -> String {
    reader
        .parsed(
            "HERALD_DOCKER_HOST",
            "unix:///path/to/socket, or http://ADDRESS:PORT of an Engine that nobody else reaches",
            |text| {
                let known = ["unix:///", "http://"];
                let known = known.iter().any(|start| text.starts_with(start));
                known.then(|| text.to_owned())
            },
        )
        .unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned())
}

/// Both or neither; `swarm` needs them.
fn runner_listener(reader: &mut Reader, executor: ExecutorKind) -> Option<RunnerListener> {
    let listen = reader.parsed(
        "HERALD_RUNNER_LISTEN",
        "an address and port that the nodes of the Swarm reach, as in 10.0.0.1:8082",
        |text| text.parse::<SocketAddr>().ok(),
    );
    let host = reader.parsed(
        "HERALD_RUNNER_URL",
        "http://HOST:PORT, where the nodes of the Swarm reach the runner listener",
        |text| {
            let rest = text.strip_prefix("http://")?.trim_end_matches('/');
            let (host, port) = rest.rsplit_once(':')?;
            let plain = !host.is_empty() && !rest.contains(['/', '@', '?', '#', ' ']);
            (plain && port.parse::<u16>().is_ok()).then(|| rest.to_owned())
        },
    );
    match (listen, host) {
        (Some(listen), Some(host)) => Some(RunnerListener { listen, host }),
        (Some(listen), None) if !listen.ip().is_unspecified() && listen.port() != 0 => {
            let host = listen.to_string();
            Some(RunnerListener { listen, host })
        }
        (listen, host) => {
            let wanted = executor == ExecutorKind::Swarm || listen.is_some() || host.is_some();
            if wanted
                && reader
                    .problems
                    .iter()
                    .all(|text| !text.contains("HERALD_RUNNER_"))
            {
                reader.problems.push(
                    "HERALD_EXECUTOR=swarm needs HERALD_RUNNER_LISTEN (where Herald listens for \
                     runners) and HERALD_RUNNER_URL (how the nodes reach that, http://HOST:PORT)"
                        .to_owned(),
                );
            }
            None
        }
    }
}

/// Words between commas or white space.
fn words(text: &str) -> Vec<String> {
    text.split([',', ' ', '\n'])
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn at_least_one(reader: &mut Reader, name: &str) -> Option<i64> {
    reader.parsed(name, "a whole number from 1", |text| {
        text.parse::<i64>().ok().filter(|number| *number >= 1)
    })
}

fn database(reader: &mut Reader) -> Database {
    let Some(address) = reader.secret("HERALD_DATABASE_URL") else {
        return Database::Sqlite;
    };
    let text = address.expose();
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return Database::Postgres(address);
    }
    reader.problems.push(
        "HERALD_DATABASE_URL must begin with postgres://; leave it out for SQLite in the data \
         directory"
            .to_owned(),
    );
    Database::Sqlite
}

fn secret_key(reader: &mut Reader, database: &Database) -> Option<Secret> {
    const MAKE: &str = "`openssl rand -hex 32` makes one";
    let problems = reader.problems.len();
    let key = reader.secret("HERALD_SECRET_KEY");
    match &key {
        Some(key) if SealKey::parse(key.expose()).is_none() => reader.problems.push(format!(
            "HERALD_SECRET_KEY is not 32 bytes as 64 hex digits or in base64; {MAKE}"
        )),
        // A key in the data directory of one process would be of no use to the others.
        None if matches!(database, Database::Postgres(_)) && reader.problems.len() == problems => {
            reader.problems.push(format!(
                "HERALD_SECRET_KEY is missing; with HERALD_DATABASE_URL it is required, the same \
                 for every process: {MAKE}"
            ));
        }
        _ => {}
    }
    key
}

/// What this process does, and the directory that it shares with others.
fn role(reader: &mut Reader, database: &Database, data_dir: &Path) -> (Role, PathBuf) {
    let names = [
        ("all", Role::All),
        ("web", Role::Web),
        ("worker", Role::Worker),
    ];
    let role = reader.word("HERALD_ROLE", &names, Role::All);
    let shared = reader.text("HERALD_STORAGE_DIR").map(PathBuf::from);
    if role != Role::All {
        if *database == Database::Sqlite {
            reader.problems.push(
                "HERALD_ROLE=web and HERALD_ROLE=worker need HERALD_DATABASE_URL: one process only can \
                 use a SQLite file"
                    .to_owned(),
            );
        }
        if shared.is_none() {
            reader.problems.push(
                "HERALD_ROLE=web and HERALD_ROLE=worker need HERALD_STORAGE_DIR: a directory for logs, \
                 artifacts, caches and uploads that all processes see"
                    .to_owned(),
            );
        }
    }
    (role, shared.unwrap_or_else(|| data_dir.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{Config, Database};
    use crate::config::Reader;

    fn read(variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let environment = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::read(Reader::new(environment, [])).map_err(|problems| problems.0)
    }

    #[test]
    fn nothing_at_all_is_a_server_without_credentials() {
        let config = read(&[]).unwrap();
        assert_eq!(config.public_url, "http://127.0.0.1:8080");
        assert_eq!(config.github_api_url, "https://api.github.com");
        assert_eq!(config.database, Database::Sqlite);
        assert!(config.credentials.is_none());
        assert!(config.sandbox);
    }

    #[test]
    fn roles_are_for_processes_that_share_database_and_folder() {
        let key = "0".repeat(64);
        let shared = [
            ("HERALD_DATABASE_URL", "postgres://db/herald"),
            ("HERALD_SECRET_KEY", key.as_str()),
            ("HERALD_STORAGE_DIR", "/srv/herald"),
            ("HERALD_ROLE", "web"),
        ];
        let config = read(&shared).unwrap();
        assert!(config.role.serves() && !config.role.works());
        assert_eq!(config.storage_dir, std::path::Path::new("/srv/herald"));
        let problems = read(&shared[2..]).unwrap_err();
        assert!(problems[0].contains("HERALD_DATABASE_URL"), "{problems:?}");
        let alone = read(&[]).unwrap();
        assert!(alone.role.serves() && alone.role.works());
        assert_eq!(alone.storage_dir, alone.data_dir);
    }

    #[test]
    fn an_enterprise_server_has_its_api_below_it() {
        let config = read(&[("HERALD_GITHUB_URL", "https://git.example/")]).unwrap();
        assert_eq!(config.github_api_url, "https://git.example/api/v3");
    }

    #[test]
    fn all_problems_are_told_together() {
        let problems = read(&[
            ("HERALD_LISTEN", "localhost"),
            ("HERALD_JOB_TIMEOUT_MAX", "soon"),
            ("HERALD_PROCESS_SANDBOX", "maybe"),
            ("HERALD_GITHUB_APP_ID", "12"),
            ("HERALD_GITHUB_WEBHOOK_SECRET", "a"),
            ("HERALD_GITHUB_WEBHOOK_SECRET_FILE", "/b"),
            ("HERALD_EXECUTOR", "cloud"),
        ])
        .unwrap_err();
        for name in [
            "HERALD_LISTEN",
            "HERALD_JOB_TIMEOUT_MAX",
            "HERALD_PROCESS_SANDBOX",
            "HERALD_GITHUB_PRIVATE_KEY",
            "HERALD_GITHUB_WEBHOOK_SECRET_FILE",
            "HERALD_EXECUTOR",
        ] {
            assert!(
                problems.iter().any(|problem| problem.contains(name)),
                "{name}: {problems:?}"
            );
        }
    }

    #[test]
    fn the_secret_key_has_32_bytes_and_is_required_with_postgresql() {
        let key = "0".repeat(64);
        let url = ("HERALD_DATABASE_URL", "postgres://db/herald");
        assert!(read(&[("HERALD_SECRET_KEY", &key)]).is_ok());
        assert!(read(&[url, ("HERALD_SECRET_KEY", &key)]).is_ok());
        let problems = read(&[("HERALD_SECRET_KEY", "0123")]).unwrap_err();
        assert!(problems[0].contains("64 hex digits"), "{problems:?}");
        let problems = read(&[url]).unwrap_err();
        assert!(
            problems[0].starts_with("HERALD_SECRET_KEY is missing"),
            "{problems:?}"
        );
        let problems = read(&[url, ("HERALD_SECRET_KEY_FILE", "/nowhere")]).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
    }

    #[test]
    fn people_sign_in_by_client_id_and_secret_together() {
        let app = [
            ("HERALD_GITHUB_APP_ID", "12"),
            (
                "HERALD_GITHUB_PRIVATE_KEY",
                "-----BEGIN RSA PRIVATE KEY-----",
            ),
            ("HERALD_GITHUB_WEBHOOK_SECRET", "s"),
        ];
        let id = ("HERALD_GITHUB_CLIENT_ID", "Iv1.abc");
        let secret = ("HERALD_GITHUB_CLIENT_SECRET", "hush");
        let with = |more: &[(&'static str, &'static str)]| read(&[&app[..], more].concat());
        assert!(with(&[]).unwrap().credentials.unwrap().client.is_none());
        let client = with(&[id, secret]).unwrap().credentials.unwrap().client;
        assert_eq!(client.unwrap().id, "Iv1.abc");
        for (more, missing) in [(id, "CLIENT_SECRET"), (secret, "CLIENT_ID")] {
            let problems = with(&[more]).unwrap().over(None).unwrap_err().0;
            assert!(problems[0].contains(missing), "{problems:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_way_out_is_told_without_its_password() {
        let config = read(&[
            ("HTTPS_PROXY", "http://large:3128"),
            ("https_proxy", "http://small:3128"),
            ("NO_PROXY", "git.example"),
        ])
        .unwrap();
        let proxy = config.outbound.proxy().unwrap();
        assert_eq!(proxy.to_string(), "http://small:3128");
        assert!(!proxy.is_for("https://git.example/api/v3"));
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);

        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        std::fs::write(&file, "no certificate").unwrap();
        let file = file.to_str().unwrap();
        let problems = read(&[
            ("HTTPS_PROXY", "socks5://herald:hush@proxy:1080"),
            ("HERALD_CA_FILE", file),
        ])
        .unwrap_err();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].starts_with("HTTPS_PROXY is not"));
        assert!(!problems[0].contains("hush"), "{problems:?}");
        let said = format!("HERALD_CA_FILE: {file}: there is no certificate in it");
        assert!(problems[1].starts_with(&said), "{problems:?}");
        let problems = read(&[("HERALD_CA_FILE", "/nowhere/ca.pem")]).unwrap_err();
        let said = "HERALD_CA_FILE: /nowhere/ca.pem: cannot read it: No such file";
        assert!(problems[0].starts_with(said), "{problems:?}");
    }

    #[test]
    fn a_misspelt_variable_is_noticed() {
        let config = read(&[("HERALD_LISTN", "127.0.0.1:1")]).unwrap();
        assert_eq!(
            config.warnings,
            ["HERALD_LISTN is not a variable of Herald; did you mean HERALD_LISTEN?"]
        );
    }
}
