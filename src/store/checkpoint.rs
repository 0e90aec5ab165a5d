//! Moves what was committed from SQLite's log into the database file, beside those who write.
//!
//! Left to itself, SQLite has the writer do it with every thousandth page of the log: all of them are written a second time
//! and waited for with `fsync`, and whoever wants to commit waits as well. Here the pages are copied and synced while others
//! write, until so little is left that the writer is held up for a moment only: once nothing is left at all, the log is begun
//! anew instead of growing, and to overwrite it costs the file system less than to let it grow.

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{AnyPool, Executor};
use tokio::sync::{Mutex, watch};
use tracing::warn;

use super::database::StoreError;
use super::writer::Writer;

/// After how many commits. Few: what is synced at once is what a commit in between has to wait for.
const COMMITS: u64 = 16;
/// How long after the last time, at least.
const PAUSE: Duration = Duration::from_millis(10);

/// The database file, to be synced.
///
/// It is never closed: with a file that is closed a process loses all its locks on it (fcntl(2), "advisory record locks"),
/// also those of SQLite's connections, and another process could take the log away from under them.
#[derive(Clone)]
pub(super) struct Synced(Arc<ManuallyDrop<File>>);

impl Synced {
    /// Opens the file.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(Arc::new(ManuallyDrop::new(File::open(path)?))))
    }

    /// Waits until what was written to it is on the disk.
    async fn sync(&self) -> io::Result<()> {
        let file = self.clone();
        tokio::task::spawn_blocking(move || file.0.sync_data())
            .await
            .map_err(io::Error::other)?
    }
}

/// Goes on until it is stopped. `commits` counts those of the writer, `pool` is of connections that read.
pub(super) async fn checkpoint_loop(
    writer: Arc<Mutex<Writer>>,
    mut commits: watch::Receiver<u64>,
    pool: AnyPool,
    file: Synced,
) {
    let mut next = COMMITS;
    while let Ok(now) = commits.wait_for(|now| *now >= next).await.map(|now| *now) {
        next = now + COMMITS;
        if let Err(error) = checkpoint(&writer, &pool, &file).await {
            if pool.is_closed() {
                return;
            }
            // All of it is in the log, which goes on growing.
            warn!("failed to move the log of the database into its file: {error}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn checkpoint(
    writer: &Mutex<Writer>,
    pool: &AnyPool,
    file: &Synced,
) -> Result<(), StoreError> {
    let mut connection = pool.acquire().await?;
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").await?;
    // SQLite does it only where nothing is left, and then the writer would wait for all of it.
    let synced = file.sync().await;
    synced.map_err(|error| StoreError::Stored(format!("sync the database: {error}")))?;
    let _nobody_writes = writer.lock().await;
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").await?;
    Ok(())
}
