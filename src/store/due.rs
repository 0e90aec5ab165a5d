//! Handing out work. Whether any is due is asked of a connection that reads, before the writer hands it out: looking for work is what
//! Herald does most, and nearly always there is none.

use sqlx::AnyConnection;

use super::database::{Database, StoreError, Tx, is_postgres};
use super::deliveries;
use crate::ports::store::Lane;

/// A queue.
#[derive(Debug, Clone, Copy)]
pub(super) enum Due {
    Delivery(Lane),
    Trigger,
    Job,
    Import,
    Publication,
    Set,
}

impl Due {
    /// All of them.
    #[cfg(test)]
    pub(super) const ALL: [Self; 7] = [
        Self::Delivery(Lane::Quick),
        Self::Delivery(Lane::Asking),
        Self::Trigger,
        Self::Job,
        Self::Import,
        Self::Publication,
        Self::Set,
    ];

    /// What finds a row wherever the statement that hands out work finds one. That one asks for more.
    pub(super) fn statement(self) -> &'static str {
        match self {
            Self::Delivery(lane) => deliveries::next(lane),
            Self::Trigger => {
                "SELECT 1 FROM triggers WHERE state = 'waiting' AND due_ms <= $1 AND lease_ms <= $1 \
                 LIMIT 1"
            }
            Self::Job => {
                "SELECT 1 FROM jobs WHERE state = 'queued' AND due_ms <= $1 AND imported = 0 LIMIT 1"
            }
            Self::Import => {
                "SELECT 1 FROM jobs WHERE state = 'queued' AND due_ms <= $1 AND imported = 1 LIMIT 1"
            }
            Self::Publication => {
                "SELECT 1 FROM publications WHERE version > sent AND due_ms <= $1 \
                 AND lease_ms <= $1 LIMIT 1"
            }
            Self::Set => "SELECT 1 FROM report_sets WHERE due_ms <= $1 AND closed = 0 LIMIT 1",
        }
    }
}

impl Database {
    /// For transactions that hand out work.
    pub(super) fn claims(&self) -> Claims<'_> {
        Claims(self)
    }

    /// Whether something may be due at a time. Where nobody can say, whoever goes on finds out why.
    pub(super) async fn is_due(&self, due: Due, now_ms: i64) -> bool {
        let asked = async {
            let mut on = self.read().await?;
            let row = sqlx::query(due.statement()).bind(now_ms);
            let row = row.fetch_optional(&mut *on).await?;
            Ok::<_, StoreError>(row.is_some())
        };
        asked.await.unwrap_or(true)
    }
}

/// Begins transactions that hand out work. On PostgreSQL they are not serializable: claims of several processes would
/// collide where none of them meets another one's row. What has to hold between them, they lock.
pub(super) struct Claims<'a>(&'a Database);

impl Claims<'_> {
    /// As [`Database::worked`].
    pub(super) fn worked(&self) {
        self.0.worked();
    }

    /// As [`Database::failed`].
    pub(super) fn failed(&self, error: &StoreError) {
        self.0.failed(error);
    }

    /// Begins one.
    pub(super) async fn begin(&self) -> Result<Tx, StoreError> {
        match &self.0.shared {
            Some(shared) => self.0.begin_shared(shared, "BEGIN").await,
            None => self.0.begin().await,
        }
    }
}

/// What ends a statement that looks for work: rows of `table` that another process is about to take are passed over.
pub(super) fn passing_over(on: &AnyConnection, table: &str) -> String {
    if is_postgres(on) {
        format!("FOR UPDATE OF {table} SKIP LOCKED")
    } else {
        String::new()
    }
}

/// Hands out what is due, by a block in a transaction.
macro_rules! hand_out {
    ($database:expr, $due:expr, $now_ms:expr, $tx:ident => $body:expr) => {
        if $database.is_due($due, $now_ms).await {
            $crate::store::database::transact!($database.claims(), $tx => $body)
        } else {
            Ok(None)
        }
    };
}
pub(super) use hand_out;
