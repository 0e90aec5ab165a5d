//! The one writer of a SQLite database.

use std::sync::Arc;

use sqlx::{AnyConnection, Executor};
use tokio::sync::{Mutex, Notify, oneshot, watch};

use super::database::StoreError;

/// The writer. Its transactions are grouped: each is a savepoint in a shared transaction that is committed when nobody else waits
/// for the writer, and nobody is told "done" before that commit is on disk (`synchronous=FULL`). So durability costs one `fsync` a
/// group and not one a request.
///
/// Each way to the connection takes longer than what is done there. So it is gone once to begin, and never to end: a savepoint is
/// released by the next one, or by `COMMIT`.
pub(super) struct Writer {
    pub(super) connection: AnyConnection,
    /// A transaction is open.
    open: bool,
    /// The newest savepoint is that of an owner who has not ended it.
    torn: bool,
    /// Who waits for the commit.
    waiting: Vec<oneshot::Sender<Result<(), String>>>,
    /// How many commits there were.
    commits: watch::Sender<u64>,
}

impl Writer {
    /// The writer on this connection, which counts its commits.
    pub(super) fn new(connection: AnyConnection, commits: watch::Sender<u64>) -> Self {
        Self {
            connection,
            open: false,
            torn: false,
            waiting: Vec::new(),
            commits,
        }
    }

    /// Whether a transaction is open.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Begins a transaction, or one more within that which is open. Whoever is dropped meanwhile leaves a savepoint in which nothing
    /// was done, or none.
    pub(super) async fn begin(&mut self) -> Result<(), StoreError> {
        if self.torn && self.connection.execute("ROLLBACK TO one").await.is_ok() {
            return Ok(());
        }
        if self.torn {
            // SQLite itself has rolled back all of it, as it may where the disk is full or fails.
            self.commit().await;
        }
        if !self.open {
            // Said before it is done: who is dropped in between leaves an open transaction.
            self.open = true;
            if self.open_anew().await.is_err() {
                let _ = self.connection.execute("ROLLBACK").await;
                let again = self.open_anew().await;
                self.open = again.is_ok();
                again?;
            }
        } else if self
            .connection
            .execute("RELEASE one; SAVEPOINT one")
            .await
            .is_err()
        {
            // Whoever was to make the last one was dropped before it was there, or before there was a transaction at all.
            let waiting = std::mem::take(&mut self.waiting);
            if self.open_anew().await.is_err() {
                self.waiting = waiting;
                self.connection.execute("SAVEPOINT one").await?;
            }
        }
        self.torn = true;
        Ok(())
    }

    async fn open_anew(&mut self) -> Result<(), sqlx::Error> {
        let begun = self.connection.execute("BEGIN IMMEDIATE; SAVEPOINT one");
        begun.await.map(|_| ())
    }

    /// Ends what was begun; what comes out tells when it is on disk.
    pub(super) fn end(&mut self) -> oneshot::Receiver<Result<(), String>> {
        self.torn = false;
        let (done, committed) = oneshot::channel();
        self.waiting.push(done);
        committed
    }

    /// Counts a commit.
    pub(super) fn count(&self) {
        self.commits.send_modify(|commits| *commits += 1);
    }

    async fn try_commit(&mut self) -> Result<(), sqlx::Error> {
        if self.torn {
            self.connection.execute("ROLLBACK TO one").await?;
        }
        if self.open {
            self.connection.execute("COMMIT").await?;
        }
        Ok(())
    }

    /// Makes durable what was ended, and tells all who wait for it.
    pub(super) async fn commit(&mut self) {
        // Where this is dropped in the middle, nobody is told that it is done.
        let waiting = std::mem::take(&mut self.waiting);
        let result = self.try_commit().await.map_err(|error| error.to_string());
        (self.open, self.torn) = (false, false);
        if result.is_ok() {
            self.count();
        } else {
            let _ = self.connection.execute("ROLLBACK").await;
        }
        for waiting in waiting {
            // A receiver that went away needs no answer.
            let _ = waiting.send(result.clone());
        }
    }
}

/// Commits whenever a transaction waits for it. The writer's lock is fair: whoever asked for it
/// before this task does gets into the same group.
pub(super) async fn flush_loop(writer: Arc<Mutex<Writer>>, flush: Arc<Notify>) {
    loop {
        flush.notified().await;
        writer.lock().await.commit().await;
    }
}
