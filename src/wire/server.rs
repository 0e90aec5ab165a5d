//! The server: adapters, loops and listeners.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use axum::serve::ListenerExt as _;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::clock::SystemClock;
use super::git::git_source;
use super::key::secret_key;
use super::place::{Place, place};
use super::registrar::{Begin, SelfRegistrar};
use super::runners;
use super::settle::settle;
use super::stage::Stage;
use crate::admin;
use crate::app::{self, App, Decided, Meters, Parts, Settings, Setup};
use crate::config::{Config, Credentials, Database, ExecutorKind, Role};
use crate::depot::{FileArtifacts, FileCaches, FileUploads, StoredFiles};
use crate::executor::Gate;
use crate::feedback::Links;
use crate::github::{AppKey, Client, ClientOptions, GitHub, Issuer, SignIn, verify};
use crate::logs::{Ceiling, FileLogs};
use crate::ports::{Clock, Executor, Forge, Store};
use crate::store::SqlStore;
use crate::web::{self, Web};

/// How long open requests may take after the word to stop.
const GRACE: Duration = Duration::from_secs(10);
/// How often it is looked whether another process has registered the App.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

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
        outbound: config.outbound.clone(),
    };
    let meters = Arc::new(Meters::default());
    let client = Client::new(options, Arc::clone(&clock))?
        .with_store(Arc::clone(&store))
        .with_meters(Arc::clone(&meters));
    let forge: Arc<dyn Forge> = Arc::new(GitHub::new(client, &config.github_url));
    let (mirrors, trusted) = (
        config.storage_dir.join("git"),
        config.data_dir.join("trusted.pem"),
    );
    let logs = FileLogs::new(config.storage_dir.join("logs"), Ceiling::of(config.log_max));
    let parts = Parts {
        store,
        forge,
        source: Arc::new(git_source(mirrors, &config.outbound, &trusted)?),
        executor,
        logs: Arc::new(logs),
        artifacts: Arc::new(FileArtifacts::new(config.storage_dir.join("artifacts"))),
        caches: Arc::new(FileCaches::new(config.storage_dir.join("cache"))),
        uploads: Arc::new(FileUploads::new(config.storage_dir.join("uploads"))),
        files: Arc::new(StoredFiles::new(&config.storage_dir)),
        identities: Arc::new(Issuer::new(
            &config.github_url,
            Arc::clone(&clock),
            &config.outbound,
        )?),
        clock,
        meters,
    };
    let settings = Settings {
        links: Links {
            github_url: config.github_url.trim_end_matches('/').to_owned(),
            public_url: config.public_url.clone(),
            app_id: credentials.map_or(0, |known| known.app_id),
        },
        work_dir: config.data_dir.join("work"),
        worker,
        room: config.room,
        forks: config.forks,
        job_timeout_max_ms: u64::try_from(config.job_timeout_max.as_millis()).unwrap_or(u64::MAX),
        path: STEP_PATH.to_owned(),
        retention: config.retention,
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
    let people = SignIn::new(
        web_url,
        api_url,
        &client.id,
        &client.secret,
        &config.outbound,
    )?;
    Ok(Some(web::SignIn::new(
        Arc::new(people),
        secret_key(config)?,
    )))
}

/// `PATH` of steps that run for the server.
const STEP_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A server that is bound and ready to run.
pub struct Server {
    /// As flags and variables say; what is stored goes underneath.
    config: Config,
    opened: Opened,
    web: Web,
    /// Not where this process only works.
    public: Option<TcpListener>,
    metrics: TcpListener,
    runners: Option<(TcpListener, Arc<Gate>)>,
    /// For operators on this machine; `None` where it cannot be opened.
    socket: Option<UnixListener>,
    /// Asks to begin, once the App is registered; `None` where it is.
    begins: Option<mpsc::Receiver<Begin>>,
    /// Held for the life of the server: nobody else uses the data directory.
    _lock: File,
}

/// What stays the same when the App is registered.
struct Opened {
    store: Arc<dyn Store>,
    executor: Arc<dyn Executor>,
    worker: String,
    clock: Arc<dyn Clock>,
    ready: Arc<AtomicBool>,
    setup: Option<Arc<Setup>>,
}

impl Opened {
    /// The use cases and their doors, with the credentials that the settings have.
    fn web(&self, config: &Config) -> anyhow::Result<Web> {
        let credentials = config.credentials.as_ref();
        let app = Arc::new(app(
            config,
            credentials,
            Arc::clone(&self.store),
            Arc::clone(&self.executor),
            self.worker.clone(),
            Arc::clone(&self.clock),
            false,
        )?);
        let verify = credentials.map(|known| {
            let secrets = known.webhook_secrets.clone();
            let check: web::Verify = Arc::new(move |body, header| verify(&secrets, body, header));
            check
        });
        Ok(Web {
            app,
            verify,
            sign_in: sign_in(config, credentials)?,
            ready: Arc::clone(&self.ready),
            setup: self.setup.clone(),
        })
    }
}

/// Where the setup is opened, with a code that changes when it was used.
#[derive(Debug, Clone)]
pub struct SetupLink {
    base: String,
    codes: watch::Receiver<String>,
}

impl SetupLink {
    /// The address of now.
    pub fn now(&mut self) -> String {
        let code = self.codes.borrow_and_update().clone();
        format!("{}/setup?code={code}", self.base)
    }

    /// Waits for another one; `None` when there will be none.
    pub async fn next(&mut self) -> Option<String> {
        self.codes.changed().await.ok()?;
        Some(self.now())
    }
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
        let settled = settle(config, store.as_ref()).await?;
        let new = uuid::Uuid::now_v7().simple().to_string();
        let worker = match config.database {
            Database::Sqlite => store.setting_or("instance", &new).await?,
            // Several processes may share a PostgreSQL, each with a data directory of its own.
            Database::Postgres(_) => instance(&config.data_dir, &new)?,
        };
        let Place { executor, gate } = if config.role.works() {
            place(config, &worker).await?
        } else {
            Place::nowhere()
        };
        if config.role.works() && config.executor == ExecutorKind::Process && !config.sandbox {
            warn!("HERALD_PROCESS_SANDBOX=off: a step can read what Herald can read");
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (setup, begins) = if settled.credentials.is_some() {
            (None, None)
        } else {
            let (setup, begins) = setup(config, &store, &clock);
            (Some(setup), Some(begins))
        };
        let opened = Opened {
            store,
            executor,
            worker,
            clock,
            ready: Arc::new(AtomicBool::new(true)),
            setup,
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
            web: opened.web(&settled)?,
            opened,
            runners,
            public: if config.role.serves() {
                Some(listen(config.listen).await?)
            } else {
                None
            },
            metrics: listen(config.metrics_listen).await?,
            socket,
            begins,
            config: config.clone(),
            _lock: lock,
        })
    }

    /// The address of the public listener, where there is one.
    pub fn address(&self) -> Option<SocketAddr> {
        self.public.as_ref()?.local_addr().ok()
    }

    /// Where the setup is opened, while there is no App.
    pub fn setup_link(&self) -> Option<SetupLink> {
        let setup = self.opened.setup.as_ref()?;
        let base = match self.address()? {
            mut address if !self.config.is_given("HERALD_PUBLIC_URL") => {
                if address.ip().is_unspecified() {
                    address.set_ip([127, 0, 0, 1].into());
                }
                format!("http://{address}")
            }
            _ => self.config.public_url.clone(),
        };
        Some(SetupLink {
            base,
            codes: setup.codes(),
        })
    }

    /// Serves until `stop`.
    ///
    /// # Errors
    /// When a listener fails.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        if let Some(address) = self.address() {
            info!("listening on http://{address}");
        }
        match self.setup_link() {
            Some(mut link) => warn!("no GitHub App yet; register one at {}", link.now()),
            None if self.begins.is_some() => {
                warn!("no GitHub App yet; waiting until another process has registered one");
            }
            None => {}
        }
        info!("metrics on http://{}", self.metrics.local_addr()?);
        let doors = Doors::new(&self.web);
        let mut listeners = vec![listen(self.metrics, doors.metrics.router(), &stop)];
        if let Some(public) = self.public {
            listeners.push(listen(public, doors.public.router(), &stop));
        }
        if let Some((listener, gate)) = self.runners {
            info!("runners connect to http://{}", listener.local_addr()?);
            // Its connections end with the process: runners come back to the next one.
            tokio::spawn(async move { axum::serve(listener, runners::router(gate)).await });
        }
        let desk = watch::Sender::new(Arc::clone(&self.web.app));
        let operators = self
            .socket
            .map(|socket| tokio::spawn(admin::serve(socket, desk.subscribe(), stop.clone())));
        let role = self.config.role;
        let begin = |web: &Web| Loops::begin(&web.app, role, &stop);
        let mut loops = self.begins.is_none().then(|| begin(&self.web));
        while let Some(asked) = next(self.begins.as_mut(), loops.is_some(), &stop).await {
            let begun = match &loops {
                Some(_) => Ok(()),
                None => begin_work(&self.config, &self.opened, &doors)
                    .await
                    .map(|web| {
                        loops = web.map(|web| {
                            desk.send_replace(Arc::clone(&web.app));
                            begin(&web)
                        });
                    }),
            };
            match (asked, begun) {
                // Who has gone away is not told.
                (Asked::By(asker), begun) => {
                    let _ = asker.send(begun.map_err(|error| format!("{error:#}")));
                }
                (Asked::Clock, Err(error)) => warn!("failed to begin: {error:#}"),
                (Asked::Clock, Ok(())) => {}
            }
        }
        self.opened.ready.store(false, Ordering::Relaxed);
        info!("stopping");
        let by = tokio::time::Instant::now() + GRACE;
        if let Some(loops) = loops {
            loops.end().await;
        }
        if let Some(operators) = operators {
            let _ = operators.await;
        }
        for listener in listeners {
            if let Ok(Ok(Err(error))) = tokio::time::timeout_at(by, listener).await {
                bail!("serve: {error}");
            }
        }
        Ok(())
    }
}

/// What the listeners serve.
struct Doors {
    public: Stage,
    metrics: Stage,
}

impl Doors {
    fn new(web: &Web) -> Self {
        Self {
            public: Stage::new(web::router(web.clone())),
            metrics: Stage::new(web::metrics_router(web.clone())),
        }
    }

    fn set(&self, web: &Web) {
        self.public.set(web::router(web.clone()));
        self.metrics.set(web::metrics_router(web.clone()));
    }
}

/// A setup, and who asks to begin when it has succeeded.
fn setup(
    config: &Config,
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
) -> (Arc<Setup>, mpsc::Receiver<Begin>) {
    let (begin, begins) = mpsc::channel(1);
    let registrar = SelfRegistrar {
        config: config.clone(),
        clock: Arc::clone(clock),
        begin,
    };
    let given = |name: &str, value: &str| config.is_given(name).then(|| value.to_owned());
    let decided = Decided {
        public_url: given("HERALD_PUBLIC_URL", &config.public_url),
        github_url: given("HERALD_GITHUB_URL", &config.github_url),
        api_url: given("HERALD_GITHUB_API_URL", &config.github_api_url),
    };
    let (store, clock) = (Arc::clone(store), Arc::clone(clock));
    let setup = Setup::new(Arc::new(registrar), store, clock, decided);
    (Arc::new(setup), begins)
}

/// Serves on a listener until `stop`.
fn listen(
    listener: TcpListener,
    router: axum::Router,
    stop: &CancellationToken,
) -> JoinHandle<std::io::Result<()>> {
    let stop = stop.clone();
    // Lines of a log that is followed are small, and wait for nothing.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("a connection keeps its delay: {error}");
        }
    });
    tokio::spawn(async move {
        axum::serve(listener, router)
            .with_graceful_shutdown(async move { stop.cancelled().await })
            .await
    })
}

/// Who asks to begin.
enum Asked {
    /// The setup of this process.
    By(Begin),
    /// Nobody, but it is time to see whether another process has registered the App.
    Clock,
}

/// Who asks next; `None` when the server is to stop.
async fn next(
    begins: Option<&mut mpsc::Receiver<Begin>>,
    has_begun: bool,
    stop: &CancellationToken,
) -> Option<Asked> {
    let waits = begins.is_some() && !has_begun;
    let asked = async {
        match begins {
            Some(begins) => match begins.recv().await {
                Some(begin) => Asked::By(begin),
                None => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = stop.cancelled() => None,
        asked = asked => Some(asked),
        () = tokio::time::sleep(LOOK_AGAIN), if waits => Some(Asked::Clock),
    }
}

/// Opens the doors of the App that was stored. Until all of it stands nothing changes; `None` while there is no App.
async fn begin_work(
    config: &Config,
    opened: &Opened,
    doors: &Doors,
) -> anyhow::Result<Option<Web>> {
    let settled = settle(config, opened.store.as_ref()).await?;
    if settled.credentials.is_none() {
        return Ok(None);
    }
    let web = opened.web(&settled)?;
    doors.set(&web);
    Ok(Some(web))
}

/// What a process does beside answering.
struct Loops {
    work: Option<JoinHandle<()>>,
    touch: JoinHandle<()>,
}

impl Loops {
    fn begin(app: &Arc<App>, role: Role, stop: &CancellationToken) -> Self {
        let works = role.works();
        Self {
            work: works.then(|| tokio::spawn(app::serve(Arc::clone(app), stop.clone()))),
            touch: tokio::spawn(app::keep_in_touch(Arc::clone(app), works, stop.clone())),
        }
    }

    async fn end(self) {
        if let Some(work) = self.work {
            let _ = work.await;
        }
        let _ = self.touch.await;
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
