//! `herald demo`: the whole main job on a simulated GitHub.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::body::Body;
use axum::http::Request;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::arguments::DemoFlags;
use super::screen::{BOLD, GREEN, PLAIN, Screen};
use super::{End, runtime, serve, wrong};
use crate::app;
use crate::config::{Config, Credentials, OAuthClient, Reader};
use crate::demo::{GitHub, Project, Sample, delivery_headers, sample, show};
use crate::domain::Secret;
use crate::github::verify;
use crate::web::{self, Web};
use crate::wire::{self, SystemClock};

const OWNER: &str = "octo";
const NAME: &str = "greet";
/// What its pull requests are called.
const TITLES: [&str; 2] = ["Shorten the greeting", "Say goodbye"];

/// The demonstration while it runs.
struct Demo {
    github: GitHub,
    project: Project,
    sample: Sample,
    app: Arc<app::App>,
    web: Web,
    public_url: String,
}

pub(super) fn run(flags: &DemoFlags, screen: &Screen) -> anyhow::Result<End> {
    let listen: SocketAddr = flags.listen.parse().map_err(|_| {
        wrong(format!(
            "--listen: `{}` is no address and port, as in 127.0.0.1:8080",
            flags.listen
        ))
    })?;
    let filter = if flags.once { "warn" } else { "info" };
    serve::start_log(
        &std::env::var("HERALD_LOG").unwrap_or_else(|_| filter.to_owned()),
        false,
    )?;
    runtime()?.block_on(demo(listen, flags.once, screen))?;
    Ok(End::Good)
}

async fn demo(listen: SocketAddr, once: bool, screen: &Screen) -> anyhow::Result<()> {
    wire::install_crypto();
    let dir = tempfile::tempdir().context("make a temporary folder")?;
    // With --once nobody looks at pages, and no port is taken.
    let pages = if once {
        None
    } else {
        let listener = tokio::net::TcpListener::bind(listen)
            .await
            .with_context(|| format!("listen on {listen}; try --listen 127.0.0.1:0"))?;
        Some(listener)
    };
    let address = match &pages {
        Some(listener) => listener.local_addr()?,
        None => listen,
    };
    screen.say("Making a sample repository and a simulated GitHub …");
    let sample = sample(dir.path())?;
    let github = GitHub::new(Arc::new(SystemClock))?;
    let project = github.add_project(OWNER, NAME, false, &sample.git_dir);
    let forge = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let github_url = format!("http://{}", forge.local_addr()?);
    let router = github.router();
    tokio::spawn(async move { axum::serve(forge, router).await });
    let demo = build(github, project, sample, dir.path(), &github_url, address).await?;

    let stop = CancellationToken::new();
    let serving = pages.map(|listener| {
        let router = web::router(demo.web.clone());
        let stopped = stop.clone();
        tokio::spawn(async move {
            axum::serve(listener, router)
                .with_graceful_shutdown(async move { stopped.cancelled().await })
                .await
        })
    });
    screen.say("Building the default branch and two pull requests …");
    demo.deliver_history().await?;
    demo.deliver_pulls().await?;
    app::drain(&demo.app).await?;
    demo.print(screen).await?;
    if let Some(serving) = serving {
        let url = &demo.public_url;
        screen.result(&format!(
            "\n{BOLD}To look at{PLAIN}\n  {url}/\n  {url}/repos/{OWNER}/{NAME}\n  \
             {url}/badges/{OWNER}/{NAME}/build.svg\n  {url}/badges/{OWNER}/{NAME}/tests.svg\n\
             On the simulated GitHub\n  {github_url}/{OWNER}/{NAME}/pull/1\n  \
             {github_url}/{OWNER}/{NAME}/pull/2\n\nPress Ctrl-C to end.\n"
        ));
        // Buttons on the pages do what they say.
        let working = tokio::spawn(app::serve(Arc::clone(&demo.app), stop.clone()));
        serve::stop_on_signal(stop).await;
        working.await?;
        serving.await??;
    }
    Ok(())
}

/// Puts a server together whose GitHub is the simulated one.
async fn build(
    github: GitHub,
    project: Project,
    sample: Sample,
    dir: &std::path::Path,
    github_url: &str,
    address: SocketAddr,
) -> anyhow::Result<Demo> {
    let public_url = format!("http://{address}");
    let settings = [
        ("HERALD_DATA_DIR", dir.join("data").display().to_string()),
        ("HERALD_GITHUB_URL", github_url.to_owned()),
        ("HERALD_PUBLIC_URL", public_url.clone()),
    ];
    let settings = settings.map(|(name, value)| (name, Some(value)));
    let config = Config::read(Reader::new([], settings))?;
    std::fs::create_dir_all(&config.data_dir)?;
    let credentials = Credentials {
        app_id: GitHub::APP_ID,
        private_key: github.private_key().clone(),
        webhook_secrets: vec![github.webhook_secret().clone()],
        client: Some(OAuthClient {
            id: GitHub::CLIENT_ID.to_owned(),
            secret: github.client_secret().clone(),
        }),
    };
    let store = wire::open_store(&config).await?;
    let executor = Arc::new(wire::process_executor(false)?);
    let clock = Arc::new(SystemClock);
    let app = Arc::new(wire::app(
        &config,
        Some(&credentials),
        store,
        executor,
        "demo".to_owned(),
        clock,
        true,
    )?);
    let sign_in = wire::sign_in(&config, Some(&credentials))?;
    let secrets = credentials.webhook_secrets;
    let web = Web {
        app: Arc::clone(&app),
        verify: Some(Arc::new(move |body: &[u8], header: &str| {
            verify(&secrets, body, header)
        })),
        sign_in,
        ready: Arc::new(std::sync::atomic::AtomicBool::new(true)),
        setup: None,
    };
    Ok(Demo {
        github,
        project,
        sample,
        app,
        web,
        public_url,
    })
}

impl Demo {
    /// Sends what GitHub would: the pushes to the default branch, one after the other.
    async fn deliver_history(&self) -> anyhow::Result<()> {
        let mut before = "0".repeat(40);
        let past = self.sample.history.iter();
        for head in past.chain(std::iter::once(&self.sample.main)) {
            let push = self.github.push(&self.project, "main", &before, head);
            self.deliver("push", &push).await?;
            app::drain(&self.app).await?;
            before.clone_from(head);
        }
        Ok(())
    }

    /// And two pull requests.
    async fn deliver_pulls(&self) -> anyhow::Result<()> {
        let (github, project, sample) = (&self.github, &self.project, &self.sample);
        for (number, title, (branch, head)) in [
            (1, TITLES[0], &sample.failing),
            (2, TITLES[1], &sample.passing),
        ] {
            let mut payload = github.pull_request(
                project,
                "opened",
                number,
                (branch, head),
                ("main", &sample.main),
            );
            if let Some(pull) = payload.get_mut("pull_request") {
                if let Some(fields) = pull.as_object_mut() {
                    fields.insert("title".to_owned(), title.into());
                }
                github.state().set_pull(pull);
            }
            self.deliver("pull_request", &payload).await?;
        }
        Ok(())
    }

    /// One signed delivery, through the real webhook.
    async fn deliver(&self, event: &str, payload: &serde_json::Value) -> anyhow::Result<()> {
        let body = payload.to_string();
        let guid = uuid::Uuid::new_v4().to_string();
        let secret: &Secret = self.github.webhook_secret();
        let mut request = Request::post("/webhooks/github");
        for (name, value) in delivery_headers(secret, event, &guid, body.as_bytes()) {
            request = request.header(name, value);
        }
        let answer = web::router(self.web.clone())
            .oneshot(request.body(Body::from(body))?)
            .await?;
        anyhow::ensure!(
            answer.status() == 202,
            "the webhook answered {}",
            answer.status()
        );
        Ok(())
    }

    async fn print(&self, screen: &Screen) -> anyhow::Result<()> {
        self.print_github(screen);
        screen.result("\n");
        for kind in ["build", "tests", "coverage"] {
            let svg = self.badge(kind).await?;
            // A badge's name is what a screen reader says of it.
            let name = svg
                .split_once("<title>")
                .and_then(|(_, rest)| rest.split_once("</title>"))
                .map_or("", |(name, _)| name);
            screen.result(&format!("Badge      {name}\n"));
        }
        screen.say(&format!("{GREEN}done{PLAIN}"));
        Ok(())
    }

    /// A badge as the server gives it.
    async fn badge(&self, kind: &str) -> anyhow::Result<String> {
        let path = format!("/badges/{OWNER}/{NAME}/{kind}.svg");
        let answer = web::router(self.web.clone())
            .oneshot(Request::get(path).body(Body::empty())?)
            .await?;
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn print_github(&self, screen: &Screen) {
        let state = self.github.state();
        let sample = &self.sample;
        for (title, commit, pull) in [
            (
                format!("Pull request #1: {}", TITLES[0]),
                &sample.failing.1,
                Some(1),
            ),
            (
                format!("Pull request #2: {}", TITLES[1]),
                &sample.passing.1,
                Some(2),
            ),
            ("Branch main".to_owned(), &sample.main, None),
        ] {
            let text = show(&state, &title, commit, pull);
            let mut lines = text.splitn(2, '\n');
            let head = lines.next().unwrap_or_default();
            let rest = lines.next().unwrap_or_default();
            screen.result(&format!("\n{BOLD}{head}{PLAIN}\n{rest}"));
        }
    }
}
