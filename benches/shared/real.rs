//! The real program beside a simulated GitHub.

#![allow(
    dead_code,
    reason = "each benchmark is a program of its own and uses a part of it"
)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use herald::demo::GitHub;
use herald::wire::SystemClock;

use crate::shared::{Server, ask, get};

pub(crate) const SECRET: &str = "It's a secret to everybody";

/// The simulated GitHub, with the key of its App in a file.
pub(crate) struct Forge {
    pub(crate) github: GitHub,
    /// Where it listens, without the scheme.
    pub(crate) host: String,
    key: PathBuf,
}

impl Forge {
    /// Serves what `around` makes of its routes.
    pub(crate) async fn new(folder: &Path, around: impl FnOnce(Router) -> Router) -> Self {
        let github = GitHub::new(Arc::new(SystemClock)).unwrap();
        let key = folder.join("app.pem");
        std::fs::write(&key, github.private_key().expose()).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let router = around(github.router());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { github, host, key }
    }
}

/// `herald serve` as an operator starts it.
pub(crate) struct Herald {
    pub(crate) server: Server,
    /// From the start of the process until `/healthz` answered, in seconds.
    pub(crate) started: f64,
}

impl Herald {
    pub(crate) async fn start(forge: &Forge, data: &Path) -> Self {
        let begin = Instant::now();
        let github = format!("http://{}", forge.host);
        let mut child = Command::new(env!("CARGO_BIN_EXE_herald"))
            .arg("serve")
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("HERALD_LISTEN", "127.0.0.1:0")
            .env("HERALD_METRICS_LISTEN", "127.0.0.1:0")
            .env("HERALD_PUBLIC_URL", "http://herald.test")
            .env("HERALD_DATA_DIR", data)
            .env("HERALD_GITHUB_URL", &github)
            .env("HERALD_GITHUB_API_URL", format!("{github}/api/v3"))
            .env("HERALD_GITHUB_APP_ID", GitHub::APP_ID.to_string())
            .env("HERALD_GITHUB_PRIVATE_KEY_FILE", &forge.key)
            .env("HERALD_GITHUB_WEBHOOK_SECRET", SECRET)
            .env("HERALD_PROCESS_SANDBOX", "off")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        let address = lines
            .find_map(|line| {
                let (_, address) = line.split_once("listening on http://")?;
                Some(address.trim().to_owned())
            })
            .expect("herald serve ended; its log says why");
        let server = Server { child, address };
        let answer = ask(&mut server.connect().await, get("/healthz")).await;
        assert_eq!(answer.status(), 200);
        let started = begin.elapsed().as_secs_f64();
        // Somebody has to read what it says.
        std::thread::spawn(move || lines.for_each(drop));
        Self { server, started }
    }
}
