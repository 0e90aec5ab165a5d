//! What was answered with 202 is there, whenever the server is killed: `herald serve` as a process,
//! deliveries over many connections, and `kill -9` in the middle of them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use herald::demo::delivery_headers;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::serve::{Forge, Herald, switch};

const CONNECTIONS: usize = 16;
/// How often the server dies while they come.
const DEATHS: usize = 5;

/// Who sends deliveries, and asks again where there was no answer, as GitHub's list of deliveries makes Herald do.
#[derive(Clone)]
struct Sender {
    forge: Arc<Forge>,
    body: String,
    guids: Arc<Vec<String>>,
    next: Arc<AtomicUsize>,
    /// Where the server is now.
    address: watch::Receiver<String>,
    /// How many were answered with 202.
    answered: watch::Sender<usize>,
}

impl Sender {
    async fn send(mut self) {
        let mut connection = None;
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(guid) = self.guids.get(number).cloned() else {
                return;
            };
            while !self.keep(&mut connection, &guid).await {}
            self.answered.send_modify(|answered| *answered += 1);
        }
    }

    /// Sends one over the connection, or over a new one; `false` where nothing was answered, and then there is
    /// another server.
    async fn keep(&mut self, connection: &mut Option<SendRequest<String>>, guid: &str) -> bool {
        let address = self.address.borrow_and_update().clone();
        let Some(status) = self.ask(connection, &address, guid).await else {
            *connection = None;
            while *self.address.borrow_and_update() == address {
                self.address.changed().await.unwrap();
            }
            return false;
        };
        assert_eq!(status, 202, "{guid}");
        true
    }

    async fn ask(
        &self,
        connection: &mut Option<SendRequest<String>>,
        address: &str,
        guid: &str,
    ) -> Option<u16> {
        if connection.is_none() {
            let stream = TcpStream::connect(address).await.ok()?;
            let (sender, driver) = handshake(TokioIo::new(stream)).await.ok()?;
            tokio::spawn(driver);
            *connection = Some(sender);
        }
        let sender = connection.as_mut()?;
        sender.ready().await.ok()?;
        let secret = self.forge.github.webhook_secret();
        let mut request = http::Request::post("/webhooks/github").header("host", "herald");
        for (name, value) in delivery_headers(secret, "pull_request", guid, self.body.as_bytes()) {
            request = request.header(name, value);
        }
        let answer = sender.send_request(request.body(self.body.clone()).unwrap());
        Some(answer.await.ok()?.status().as_u16())
    }
}

/// The GUIDs that are kept, with their states.
async fn kept(data: &Path) -> Vec<(String, String)> {
    sqlx::any::install_default_drivers();
    let address = format!("sqlite://{}", data.join("herald.db").display());
    let pool = sqlx::AnyPool::connect(&address).await.unwrap();
    let kept = sqlx::query_as("SELECT guid, state FROM deliveries");
    let kept = kept.fetch_all(&pool).await.unwrap();
    pool.close().await;
    kept
}

#[tokio::test(flavor = "multi_thread")]
async fn no_delivery_that_was_answered_is_lost_or_doubled_when_the_server_is_killed() {
    let count = match switch("HERALD_TEST_LONG") {
        Some(_) => 10_000,
        None => 1_000,
    };
    let forge = Arc::new(Forge::new(false).await);
    let main = forge.commit("main");
    let data = forge.dir.path().join("data");
    let guids = (0..count).map(|_| uuid::Uuid::new_v4().to_string());
    let guids = Arc::new(guids.collect::<Vec<_>>());
    let mut herald = Herald::start(&forge);
    let (addresses, address) = watch::channel(herald.address.clone());
    let (answered, mut seen) = watch::channel(0);
    let sender = Sender {
        body: forge.pull_request("labeled", &main, &main).to_string(),
        forge: Arc::clone(&forge),
        guids: Arc::clone(&guids),
        next: Arc::default(),
        address,
        answered,
    };
    let mut senders = JoinSet::new();
    for _ in 0..CONNECTIONS {
        senders.spawn(sender.clone().send());
    }
    drop(sender);
    for death in 1..=DEATHS {
        let wanted = count * death / (DEATHS + 1);
        let wait = seen.wait_for(|answered| *answered >= wanted);
        let wait = tokio::time::timeout(Duration::from_mins(5), wait).await;
        wait.unwrap().unwrap();
        herald.kill();
        herald = Herald::start(&forge);
        addresses.send(herald.address.clone()).unwrap();
    }
    let all = tokio::time::timeout(Duration::from_mins(10), senders.join_all()).await;
    assert!(all.is_ok(), "{} of {count} were answered", *seen.borrow());
    // Right after the last answer.
    herald.kill();
    let expected: BTreeSet<String> = guids.iter().cloned().collect();
    let is_whole = |kept: &[(String, String)]| {
        let names: BTreeSet<String> = kept.iter().map(|(guid, _)| guid.clone()).collect();
        assert_eq!(kept.len(), count, "none twice");
        assert_eq!(names, expected);
    };
    is_whole(&kept(&data).await);

    // What was not handled yet is handled after the start.
    let herald = Herald::start(&forge);
    let handled = loop {
        let kept = kept(&data).await;
        if kept.iter().all(|(_, state)| state != "waiting") {
            break kept;
        }
    };
    is_whole(&handled);
    assert!(handled.iter().all(|(_, state)| state == "handled"));
    drop(herald);
}
