//! The server: adapters, loops and listeners.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::clock::SystemClock;
use super::key::secret_key;
use super::place::{Place, place};
use super::runners;
use crate::admin;
use crate::app::{self, App, Parts, Settings};
use crate::config::{Config, Credentials, Database, ExecutorKind};
use crate::depot::{FileArtifacts, FileCaches};
use crate::executor::Gate;
use crate::feedback::Links;
use crate::github::{AppKey, Client, ClientOptions, GitHub, SignIn, verify};
use crate::logs::{Ceiling, FileLogs};
use crate::ports::{Clock, Executor, Forge, Store};
use crate::source::{GitOptions, GitSource};
use crate::store::SqlStore;
use crate::web::{self, Web};

/// How long open requests may take after the word to stop.
const GRACE: Duration = Duration::from_secs(10);

/// One crypto provider for everything. A second call does nothing.
pub fn install_crypto() {
    // Fails only where one is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Opens the durable state.
///
/// # Errors
/// When it cannot be opened, with what to do.
pub async fn open_store(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    let key = secret_key(config)?;
    let store = match &config.database {
        Database::Sqlite => {
            let file = config.data_dir.join("herald.db");
            SqlStore::sqlite(&file)
                .await
                .with_context(|| format!("open the database {}", file.display()))?
        }
        Database::Postgres(address) => SqlStore::postgres(address.expose())
            .await
            .context("open the database at HERALD_DATABASE_URL")?,
    };
    Ok(Arc::new(store.with_key(key)))
}

/// Git, with its mirrors in `folder`.
pub fn git_source(folder: PathBuf) -> GitSource {
    let environment = ["PATH", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)))
        .chain(
            std::env::var("HERALD_CA_FILE")
                .ok()
                .map(|file| ("GIT_SSL_CAINFO".to_owned(), file)),
        )
        .collect();
    GitSource::new(GitOptions {
        program: PathBuf::from("git"),
        folder,
        environment,
        allow_files: false,
    })
}

/// Puts the use cases together. `rested`: whether nothing was asked of GitHub in the last hour.
///
/// # Errors
/// When the credentials are no good.
pub fn app(
    config: &Config,
    credentials: Option<&Credentials>,
    store: Arc<dyn Store>,
    executor: Arc<dyn Executor>,
    worker: String,
    clock: Arc<dyn Clock>,
    rested: bool,
) -> anyhow::Result<App> {
    let options = ClientOptions {
        api_url: config.github_api_url.clone(),
        key: credentials
            .map(|known| AppKey::new(known.app_id, &known.private_key))
            .transpose()
            .context("HERALD_GITHUB_PRIVATE_KEY")?,
        rested,
    };
    let client = Client::new(options, Arc::clone(&clock))?.with_store(Arc::clone(&store));
    let forge: Arc<dyn Forge> = Arc::new(GitHub::new(client, &config.github_url));
    let logs = FileLogs::new(config.data_dir.join("logs"), Ceiling::of(config.log_max));
    let parts = Parts {
        store,
        forge,
        source: Arc::new(git_source(config.data_dir.join("git"))),
        executor,
        logs: Arc::new(logs),
        artifacts: Arc::new(FileArtifacts::new(config.data_dir.join("artifacts"))),
        caches: Arc::new(FileCaches::new(config.data_dir.join("cache"))),
        clock,
    };
    let settings = Settings {
        links: Links {
            public_url: config.public_url.clone(),
            app_id: credentials.map_or(0, |known| known.app_id),
        },
        work_dir: config.data_dir.join("work"),
        worker,
        room: config.room,
        forks: config.forks,
        job_timeout_max_ms: u64::try_from(config.job_timeout_max.as_millis()).unwrap_or(u64::MAX),
        path: STEP_PATH.to_owned(),
    };
    Ok(App::new(parts, settings))
}

/// Signing in, where there are client credentials.
///
/// # Errors
/// When the key of the data directory cannot be read.
pub fn sign_in(
    config: &Config,
    credentials: Option<&Credentials>,
) -> anyhow::Result<Option<web::SignIn>> {
    let Some(client) = credentials.and_then(|known| known.client.as_ref()) else {
        return Ok(None);
    };
    let (web_url, api_url) = (&config.github_url, &config.github_api_url);
    let people = SignIn::new(web_url, api_url, &client.id, &client.secret)?;
    Ok(Some(web::SignIn::new(
        Arc::new(people),
        secret_key(config)?,
    )))
}

/// `PATH` of steps that run for the server.
const STEP_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A server that is bound and ready to run.
pub struct Server {
    app: Arc<App>,
    web: Web,
    public: TcpListener,
    metrics: TcpListener,
    runners: Option<(TcpListener, Arc<Gate>)>,
    /// For operators on this machine; `None` where it cannot be opened.
    socket: Option<UnixListener>,
    configured: bool,
    /// Held for the life of the server: nobody else uses the data directory.
    _lock: File,
}

impl Server {
    /// Opens the data directory and the listeners.
    ///
    /// # Errors
    /// When something cannot be opened, with what to do.
    pub async fn bind(config: &Config) -> anyhow::Result<Self> {
        install_crypto();
        let lock = lock(&config.data_dir)?;
        let store = open_store(config).await?;
        let new = uuid::Uuid::now_v7().simple().to_string();
        let worker = match config.database {
            Database::Sqlite => store.setting_or("instance", &new).await?,
            // Several processes may share a PostgreSQL, each with a data directory of its own.
            Database::Postgres(_) => instance(&config.data_dir, &new)?,
        };
        let credentials = config.credentials.as_ref();
        let Place { executor, gate } = place(config, &worker).await?;
        if config.executor == ExecutorKind::Process && !config.sandbox {
            warn!("HERALD_PROCESS_SANDBOX=off: a step can read what Herald can read");
        }
        let clock = Arc::new(SystemClock);
        let app = Arc::new(app(
            config,
            credentials,
            store,
            executor,
            worker,
            clock,
            false,
        )?);
        let verify = credentials.map(|known| {
            let secrets = known.webhook_secrets.clone();
            let check: web::Verify = Arc::new(move |body, header| verify(&secrets, body, header));
            check
        });
        let web = Web {
            app: Arc::clone(&app),
            verify,
            sign_in: sign_in(config, credentials)?,
            ready: Arc::new(AtomicBool::new(true)),
        };
        let socket = admin::listen(&config.data_dir)
            .inspect_err(|error| {
                let file = config.data_dir.join(admin::SOCKET);
                warn!(
                    "failed to open {}: {error}; `herald admin` cannot ask this server",
                    file.display()
                );
            })
            .ok();
        let listen = |address| async move {
            TcpListener::bind(address)
                .await
                .with_context(|| format!("listen on {address}"))
        };
        let runners = match (gate, &config.runner) {
            (Some(gate), Some(listener)) => Some((listen(listener.listen).await?, gate)),
            _ => None,
        };
        Ok(Self {
            app,
            web,
            runners,
            public: listen(config.listen).await?,
            metrics: listen(config.metrics_listen).await?,
            socket,
            configured: credentials.is_some(),
            _lock: lock,
        })
    }

    /// The address of the public listener.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn address(&self) -> std::io::Result<std::net::SocketAddr> {
        self.public.local_addr()
    }

    /// Serves until `stop`.
    ///
    /// # Errors
    /// When a listener fails.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        info!("listening on http://{}", self.public.local_addr()?);
        info!("metrics on http://{}", self.metrics.local_addr()?);
        if !self.configured {
            warn!(
                "no GitHub credentials yet; {}/setup says how to get them",
                self.app.settings.links.public_url
            );
        }
        let ready = Arc::clone(&self.web.ready);
        let metrics = web::metrics_router(self.web.clone());
        let metrics_stop = stop.clone();
        let metrics = tokio::spawn(async move {
            axum::serve(self.metrics, metrics)
                .with_graceful_shutdown(async move { metrics_stop.cancelled().await })
                .await
        });
        let public_stop = stop.clone();
        let public = tokio::spawn(async move {
            axum::serve(self.public, web::router(self.web))
                .with_graceful_shutdown(async move { public_stop.cancelled().await })
                .await
        });
        if let Some((listener, gate)) = self.runners {
            info!("runners connect to http://{}", listener.local_addr()?);
            // Its connections end with the process: runners come back to the next one.
            tokio::spawn(async move { axum::serve(listener, runners::router(gate)).await });
        }
        let operators = self.socket.map(|socket| {
            let parts = &self.app.parts;
            let (store, clock) = (Arc::clone(&parts.store), Arc::clone(&parts.clock));
            tokio::spawn(admin::serve(socket, store, clock, stop.clone()))
        });
        let worker = self
            .configured
            .then(|| tokio::spawn(app::serve(Arc::clone(&self.app), stop.clone())));
        stop.cancelled().await;
        ready.store(false, Ordering::Relaxed);
        info!("stopping");
        if let Some(worker) = worker {
            let _ = worker.await;
        }
        if let Some(operators) = operators {
            let _ = operators.await;
        }
        for listener in [public, metrics] {
            if let Ok(Ok(Err(error))) = tokio::time::timeout(GRACE, listener).await {
                bail!("serve: {error}");
            }
        }
        Ok(())
    }
}

/// The name of the server with this data directory.
fn instance(data_dir: &Path, new: &str) -> anyhow::Result<String> {
    let path = data_dir.join("instance");
    match std::fs::read_to_string(&path) {
        Ok(name) if !name.trim().is_empty() => Ok(name.trim().to_owned()),
        _ => {
            std::fs::write(&path, new).with_context(|| format!("write {}", path.display()))?;
            Ok(new.to_owned())
        }
    }
}

/// The data directory, made if it is not there, for nobody else's eyes, and ours alone.
///
/// # Errors
/// When another process has it, or the system refuses.
pub fn lock(data_dir: &Path) -> anyhow::Result<File> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .with_context(|| format!("make the data directory {}", data_dir.display()))?;
    // Also one that was there before: reports and payloads of private repositories are in it.
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(data_dir, private)
        .with_context(|| format!("close {} to others", data_dir.display()))?;
    let path = data_dir.join("lock");
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => bail!(
            "another Herald uses the data directory {}; stop it, or set HERALD_DATA_DIR",
            data_dir.display()
        ),
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("lock {}", path.display()))
        }
    }
}
