//! Connections and transactions, the same for SQLite and PostgreSQL.
//!
//! SQLite has one writer, whose transactions are grouped ([`Writer`]). PostgreSQL uses serializable transactions, which are repeated
//! when they collide; what is written here for one writer is then right for many.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::MigrateError;
use sqlx::{Any, AnyConnection, AnyPool, Connection, Executor, Row, Transaction};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, watch};

use super::checkpoint::{Synced, checkpoint_loop};
use super::schema::migrator;
use super::writer::{Writer, flush_loop};
use crate::ports::PortError;

/// How often a colliding PostgreSQL transaction is repeated before giving up.
pub(super) const COLLISIONS: u32 = 50;

/// How often the log is tried to be emptied; each waits for readers as long as `busy_timeout` says.
const CHECKPOINTS: u32 = 6;

/// How many connections there are at most to PostgreSQL.
pub(super) const CONNECTIONS: u32 = 10;

/// Waits a little, by chance and longer each time, so that those who collided do not meet again.
pub(super) async fn step_aside(collisions: u32) {
    let most = u64::from(collisions.min(20)) * 5;
    let pause = Duration::from_millis(rand::random_range(0..=most));
    tokio::time::sleep(pause).await;
}

/// What can go wrong inside the store.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    /// The database refused.
    #[error("use the database: {0}")]
    Sql(#[from] sqlx::Error),
    /// The schema is not that of this version.
    #[error("bring the database up to date: {0}")]
    Schema(String),
    /// A group of transactions could not be made durable.
    #[error("use the database: {0}")]
    Commit(String),
    /// What was stored could not be read back.
    #[error("read what was stored: {0}")]
    Stored(String),
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Stored(error.to_string())
    }
}

impl StoreError {
    /// Whether repeating the whole transaction helps: serialization failure, deadlock, or a
    /// unique violation by a concurrent twin (PostgreSQL's codes, appendix A of its manual).
    pub(super) fn is_collision(&self) -> bool {
        let Self::Sql(sqlx::Error::Database(error)) = self else {
            return false;
        };
        matches!(error.code().as_deref(), Some("40001" | "40P01" | "23505"))
    }
}

impl StoreError {
    /// Whether nothing can be written for now: the disk, or the way to the server, is to blame and not the statement. Codes of
    /// SQLite (`SQLITE_READONLY`, `IOERR`, `FULL`, `CANTOPEN`, with their extensions) and classes of PostgreSQL (08: connection, 53:
    /// resources, 57: an operator, 25006: read-only).
    fn is_trouble(&self) -> bool {
        match self {
            Self::Sql(sqlx::Error::Database(error)) => {
                let code = error.code().unwrap_or_default();
                let primary = code.parse::<u32>().map(|code| code & 0xff);
                let sqlite = code.len() < 5 && matches!(primary, Ok(8 | 10 | 13 | 14));
                let classes = ["08", "53", "57"];
                let postgres = code.len() == 5
                    && (classes.iter().any(|class| code.starts_with(class)) || code == "25006");
                sqlite || postgres
            }
            Self::Sql(error) => matches!(
                error,
                sqlx::Error::Io(_)
                    | sqlx::Error::PoolTimedOut
                    | sqlx::Error::PoolClosed
                    | sqlx::Error::WorkerCrashed
                    | sqlx::Error::Tls(_)
            ),
            // The group's commit did not happen.
            Self::Commit(_) => true,
            Self::Schema(_) | Self::Stored(_) => false,
        }
    }
}

impl From<StoreError> for PortError {
    fn from(error: StoreError) -> Self {
        Self::transient(error.to_string())
    }
}

/// A database of either kind.
#[derive(Clone)]
pub(super) struct Database {
    pool: AnyPool,
    writer: Option<(Arc<Mutex<Writer>>, Arc<Notify>)>,
    /// How many commits this process has made.
    pub(super) commits: watch::Receiver<u64>,
    /// Whether the last attempt to write failed because of the disk or the server.
    trouble: Arc<AtomicBool>,
    /// PostgreSQL, which others may use too.
    pub(super) shared: Option<Arc<Shared>>,
    /// End with the last clone.
    _tasks: Option<Arc<Tasks>>,
}

/// A PostgreSQL server.
pub(super) struct Shared {
    address: String,
    /// What this process calls itself there.
    name: String,
    commits: watch::Sender<u64>,
}

/// The tasks of the writer; they are stopped when nobody can write any more.
struct Tasks([tokio::task::JoinHandle<()>; 2]);

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

/// An open transaction. Dropped without [`Tx::commit`], it leaves no trace.
pub(super) enum Tx {
    /// The writer's turn.
    Sqlite {
        /// The writer itself.
        writer: OwnedMutexGuard<Writer>,
        /// Wakes the task that commits.
        flush: Arc<Notify>,
        /// No transaction is open: the one statement that follows is one by itself.
        alone: bool,
    },
    /// A transaction of our own, and where its commit is counted.
    Postgres(Transaction<'static, Any>, Arc<Shared>),
}

impl Tx {
    /// The connection to run statements on.
    pub(super) fn on(&mut self) -> &mut AnyConnection {
        match self {
            Self::Sqlite { writer, .. } => &mut writer.connection,
            Self::Postgres(transaction, _) => transaction,
        }
    }

    /// Makes it durable.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite {
                writer,
                alone: true,
                ..
            } => {
                writer.count();
                Ok(())
            }
            Self::Sqlite {
                mut writer, flush, ..
            } => {
                let committed = writer.end();
                drop(writer);
                flush.notify_one();
                match committed.await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => Err(StoreError::Commit(error)),
                    Err(_) => Err(StoreError::Commit("the writer has stopped".to_owned())),
                }
            }
            Self::Postgres(transaction, shared) => {
                transaction.commit().await?;
                shared.commits.send_modify(|commits| *commits += 1);
                Ok(())
            }
        }
    }
}

/// Runs a block in a transaction, again where it collided with another one.
macro_rules! transact {
    ($database:expr, $tx:ident => $body:expr) => {{
        let mut collisions = 0;
        loop {
            let mut $tx = $database.begin().await?;
            let result: Result<_, $crate::store::database::StoreError> = async { $body }.await;
            let error = match result {
                Ok(value) => match $tx.commit().await {
                    Ok(()) => {
                        $database.worked();
                        break Ok(value);
                    }
                    Err(error) => error,
                },
                Err(error) => error,
            };
            $database.failed(&error);
            if !error.is_collision() || collisions >= $crate::store::database::COLLISIONS {
                break Err($crate::ports::PortError::from(error));
            }
            collisions += 1;
            $crate::store::database::step_aside(collisions).await;
        }
    }};
}
pub(super) use transact;

static DRIVERS: Once = Once::new();

impl Database {
    /// How many commits there were; `None` where others commit too, on PostgreSQL.
    pub(super) fn commit(&self) -> Option<u64> {
        self.writer.as_ref().map(|_| *self.commits.borrow())
    }

    /// Something was written.
    pub(super) fn worked(&self) {
        self.trouble.store(false, Ordering::Relaxed);
    }

    /// Something could not be written.
    pub(super) fn failed(&self, error: &StoreError) {
        if error.is_trouble() {
            self.trouble.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the last attempt to write failed because of the disk or the server.
    pub(super) fn is_in_trouble(&self) -> bool {
        self.trouble.load(Ordering::Relaxed)
    }

    /// Whether no other process can use it.
    pub(super) fn is_ours_alone(&self) -> bool {
        self.shared.is_none()
    }

    /// Where PostgreSQL is.
    pub(super) fn address(&self) -> Option<&str> {
        self.shared.as_ref().map(|shared| shared.address.as_str())
    }

    /// What this process calls itself on PostgreSQL.
    pub(super) fn name(&self) -> &str {
        self.shared.as_ref().map_or("", |shared| &shared.name)
    }

    /// Opens the SQLite database in a file, made if it is not there, and brings it up to date.
    pub(super) async fn sqlite(file: &Path) -> Result<Self, StoreError> {
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let Some(path) = file.to_str() else {
            return Err(StoreError::Stored(format!(
                "the path {} is not UTF-8",
                file.display()
            )));
        };
        let escaped = path
            .replace('%', "%25")
            .replace('?', "%3f")
            .replace('#', "%23");
        let options: AnyConnectOptions = format!("sqlite://{escaped}?mode=rwc").parse()?;
        let mut connection = AnyConnection::connect_with(&options).await?;
        for pragma in [
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            "PRAGMA busy_timeout=10000",
            // Only where `checkpoint_loop` could not: 64 MiB.
            "PRAGMA wal_autocheckpoint=16384",
        ] {
            connection.execute(pragma).await?;
        }
        migrator("sqlite")
            .run(&mut connection)
            .await
            .map_err(not_migrated)?;
        let pool = AnyPoolOptions::new()
            .max_connections(4)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    connection.execute("PRAGMA busy_timeout=10000").await?;
                    connection.execute("PRAGMA query_only=1").await?;
                    Ok(())
                })
            })
            .connect_with(options)
            .await?;
        let (counter, commits) = watch::channel(0);
        let writer = Arc::new(Mutex::new(Writer::new(connection, counter)));
        let flush = Arc::new(Notify::new());
        let tasks = Tasks([
            tokio::spawn(flush_loop(Arc::clone(&writer), Arc::clone(&flush))),
            tokio::spawn(checkpoint_loop(
                Arc::clone(&writer),
                commits.clone(),
                pool.clone(),
                Synced::open(file).map_err(sqlx::Error::Io)?,
            )),
        ]);
        Ok(Self {
            pool,
            writer: Some((writer, flush)),
            commits,
            trouble: Arc::default(),
            shared: None,
            _tasks: Some(Arc::new(tasks)),
        })
    }

    /// Connects to PostgreSQL and brings the schema up to date.
    pub(super) async fn postgres(url: &str) -> Result<Self, StoreError> {
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let options: AnyConnectOptions = url.parse()?;
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            .connect_with(options)
            .await?;
        migrator("postgres")
            .run(&pool)
            .await
            .map_err(not_migrated)?;
        let (counter, commits) = watch::channel(0);
        let shared = Shared {
            address: url.to_owned(),
            name: uuid::Uuid::new_v4().simple().to_string(),
            commits: counter,
        };
        Ok(Self {
            pool,
            writer: None,
            commits,
            trouble: Arc::default(),
            shared: Some(Arc::new(shared)),
            _tasks: None,
        })
    }

    /// Begins a transaction that may write.
    pub(super) async fn begin(&self) -> Result<Tx, StoreError> {
        if let Some(shared) = &self.shared {
            return self
                .begin_shared(shared, "BEGIN ISOLATION LEVEL SERIALIZABLE")
                .await;
        }
        let Some((writer, flush)) = &self.writer else {
            return Err(StoreError::Stored("there is no writer".to_owned()));
        };
        let mut guard = Arc::clone(writer).lock_owned().await;
        guard.begin().await?;
        Ok(Tx::Sqlite {
            writer: guard,
            flush: Arc::clone(flush),
            alone: false,
        })
    }

    /// Begins a transaction on PostgreSQL, in a task of its own, which goes on to the end where its caller is dropped: sqlx 0.9
    /// does not end a transaction whose beginning was given up, and the pool would hand the connection out with it
    /// (issue 4393 of sqlx).
    pub(super) async fn begin_shared(
        &self,
        shared: &Arc<Shared>,
        statement: &'static str,
    ) -> Result<Tx, StoreError> {
        let pool = self.pool.clone();
        let begun = tokio::spawn(async move { pool.begin_with(statement).await })
            .await
            .map_err(|error| StoreError::Stored(error.to_string()))??;
        Ok(Tx::Postgres(begun, Arc::clone(shared)))
    }

    /// Writes a SQLite database anew, without what was deleted from it. PostgreSQL does so by itself.
    pub(super) async fn compact(&self) -> Result<(), StoreError> {
        let Some((writer, _)) = &self.writer else {
            return Ok(());
        };
        {
            let mut writer = Arc::clone(writer).lock_owned().await;
            writer.commit().await;
            writer.connection.execute("VACUUM").await?;
        }
        for _ in 0..CHECKPOINTS {
            // Others write in between. Busy while somebody reads what is only in the log.
            let mut writer = Arc::clone(writer).lock_owned().await;
            writer.commit().await;
            let row = writer
                .connection
                .fetch_one("PRAGMA wal_checkpoint(TRUNCATE)")
                .await?;
            if row.try_get::<i64, _>(0)? == 0 {
                return Ok(());
            }
        }
        Err(StoreError::Stored(
            "the log of the database is read by others all the time; ask again".to_owned(),
        ))
    }

    /// Begins a transaction of one statement that writes. Where nobody else shares it, that statement is the whole of
    /// it, which spares beginning and ending one.
    pub(super) async fn begin_one(&self) -> Result<Tx, StoreError> {
        if let Some((writer, flush)) = &self.writer {
            let writer = Arc::clone(writer).lock_owned().await;
            if !writer.is_open() {
                return Ok(Tx::Sqlite {
                    writer,
                    flush: Arc::clone(flush),
                    alone: true,
                });
            }
        }
        self.begin().await
    }

    /// A connection to write with while nobody else does; whoever opens one ends the transactions on it.
    pub(super) async fn write_apart(&self) -> Result<AnyConnection, StoreError> {
        let options = self.pool.connect_options();
        let mut connection = AnyConnection::connect_with(&options).await?;
        if !is_postgres(&connection) {
            connection.execute("PRAGMA busy_timeout=10000").await?;
        }
        Ok(connection)
    }

    /// Ends all connections.
    pub(super) async fn close(self) {
        self.pool.close().await;
        let Some((writer, _)) = &self.writer else {
            return;
        };
        let mut writer = Arc::clone(writer).lock_owned().await;
        writer.commit().await;
        // The last connection puts the log into the file, and is dropped with the writer.
        let _ = writer
            .connection
            .execute("PRAGMA wal_checkpoint(TRUNCATE)")
            .await;
    }

    /// A connection to read with; it sees what was committed.
    pub(super) async fn read(&self) -> Result<sqlx::pool::PoolConnection<Any>, StoreError> {
        Ok(self.pool.acquire().await?)
    }
}

/// Has one transaction at a time go on from here, of those that name the same number.
pub(super) async fn one_at_a_time(on: &mut AnyConnection, number: i64) -> Result<(), StoreError> {
    if is_postgres(on) {
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(number)
            .execute(on)
            .await?;
    }
    Ok(())
}

pub(super) fn is_postgres(on: &AnyConnection) -> bool {
    on.backend_name() == "PostgreSQL"
}

/// What is wrong when the schema cannot be brought up to date.
fn not_migrated(error: MigrateError) -> StoreError {
    StoreError::Schema(match error {
        MigrateError::VersionMissing(version) => format!(
            "a newer Herald has used it (its schema is {version}); start that version, or \
             restore a backup from before"
        ),
        error => error.to_string(),
    })
}
