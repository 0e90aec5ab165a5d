//! The least that takes in a delivery durably: the same kind of handler, the check of the signature, and one
//! task that inserts all that waits by one statement, which is a transaction (`synchronous=FULL`).

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use herald::domain::Secret;
use herald::github::verify;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, QueryBuilder, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

/// How much of a body is inserted: all of it.
pub(crate) const ALL: usize = usize::MAX;
/// How many are inserted at once.
const GROUP: usize = 256;

/// A delivery, and who waits for it.
struct Waiting {
    guid: String,
    event: String,
    body: String,
    done: oneshot::Sender<bool>,
}

#[derive(Clone)]
struct Limit {
    secrets: Arc<[Secret; 1]>,
    waiting: mpsc::Sender<Waiting>,
    most: usize,
}

/// Its one route, over a database in this folder; of each body the first bytes are inserted.
pub(crate) async fn router(folder: &Path, secret: &str, most: usize) -> Router {
    std::fs::create_dir_all(folder).unwrap();
    let mut connection = SqliteConnectOptions::new()
        .filename(folder.join("limit.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .connect()
        .await
        .unwrap();
    sqlx::query(
        "CREATE TABLE deliveries (guid TEXT NOT NULL PRIMARY KEY, event TEXT NOT NULL, body TEXT NOT NULL)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let (sender, receiver) = mpsc::channel(4_096);
    tokio::spawn(write(connection, receiver));
    Router::new()
        .route("/webhooks/github", post(receive))
        .layer(DefaultBodyLimit::max(25 * 1024 * 1024))
        .with_state(Limit {
            secrets: Arc::new([Secret::new(secret)]),
            waiting: sender,
            most,
        })
}

async fn receive(State(limit): State<Limit>, headers: HeaderMap, bytes: Bytes) -> StatusCode {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let signature = text("X-Hub-Signature-256").unwrap_or_default();
    if !verify(&*limit.secrets, &bytes, signature) {
        return StatusCode::UNAUTHORIZED;
    }
    let (Some(guid), Some(event)) = (text("X-GitHub-Delivery"), text("X-GitHub-Event")) else {
        return StatusCode::BAD_REQUEST;
    };
    let Ok(mut body) = String::from_utf8(bytes.into()) else {
        return StatusCode::BAD_REQUEST;
    };
    body.truncate(body.floor_char_boundary(limit.most));
    let (done, kept) = oneshot::channel();
    let waiting = Waiting {
        guid: guid.to_owned(),
        event: event.to_owned(),
        body,
        done,
    };
    if limit.waiting.send(waiting).await.is_err() || !kept.await.unwrap_or(false) {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    StatusCode::ACCEPTED
}

async fn write(mut connection: SqliteConnection, mut receiver: mpsc::Receiver<Waiting>) {
    let mut group = Vec::with_capacity(GROUP);
    while receiver.recv_many(&mut group, GROUP).await > 0 {
        let mut insert = QueryBuilder::new("INSERT INTO deliveries (guid, event, body) ");
        let mut asking = Vec::with_capacity(group.len());
        insert.push_values(group.drain(..), |mut row, waiting| {
            row.push_bind(waiting.guid)
                .push_bind(waiting.event)
                .push_bind(waiting.body);
            asking.push(waiting.done);
        });
        insert.push(" ON CONFLICT DO NOTHING");
        let kept = insert.build().execute(&mut connection).await.is_ok();
        for done in asking {
            let _ = done.send(kept);
        }
    }
}
