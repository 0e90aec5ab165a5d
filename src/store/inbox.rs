//! Deliveries on their way into the database. With SQLite all that come while others are being kept are kept together,
//! by one statement and one `fsync`, so that under load each costs a part of them. A fault concerns all of a group: none
//! of them is answered, and none is there. PostgreSQL groups commits by itself.

use tokio::sync::{mpsc, oneshot};

use super::database::{Database, StoreError, transact};
use super::deliveries;
use crate::ports::PortError;
use crate::ports::error::Result;
use crate::ports::store::{NewDelivery, Recorded};

/// How many are kept by one statement, at most.
const GROUP: usize = 32;

/// A delivery, and who waits until it is kept.
pub(super) struct Asked {
    delivery: NewDelivery,
    done: oneshot::Sender<Result<Recorded>>,
}

/// The way in.
#[derive(Clone)]
pub(super) enum Inbox {
    /// To the task that keeps them; it ends with the last clone.
    Together(mpsc::Sender<Asked>),
    /// Each for itself.
    Alone(Database),
}

impl Inbox {
    pub(super) fn new(database: Database) -> Self {
        if !database.is_ours_alone() {
            return Self::Alone(database);
        }
        let (sender, asked) = mpsc::channel(GROUP);
        tokio::spawn(keep_all(database, asked));
        Self::Together(sender)
    }

    /// Keeps one; when this has returned, it is on disk.
    pub(super) async fn record(&self, delivery: NewDelivery) -> Result<Recorded> {
        let sender = match self {
            Self::Together(sender) => sender,
            Self::Alone(database) => {
                let one = [delivery];
                let said = transact!(database, tx => deliveries::record(tx.on(), &one).await)?;
                return said.first().copied().ok_or_else(unsaid);
            }
        };
        let gone = || PortError::transient("use the database: its writer has stopped");
        let (done, kept) = oneshot::channel();
        let asked = Asked { delivery, done };
        sender.send(asked).await.map_err(|_| gone())?;
        kept.await.map_err(|_| gone())?
    }
}

fn unsaid() -> PortError {
    PortError::transient("use the database: it kept fewer deliveries than it got")
}

async fn keep_all(database: Database, mut asked: mpsc::Receiver<Asked>) {
    let mut group = Vec::with_capacity(GROUP);
    while asked.recv_many(&mut group, GROUP).await > 0 {
        let (deliveries, waiting): (Vec<_>, Vec<_>) = group
            .drain(..)
            .map(|asked| (asked.delivery, asked.done))
            .unzip();
        let said = keep(&database, &deliveries).await;
        for (place, waiting) in waiting.into_iter().enumerate() {
            let said = match &said {
                Ok(said) => said.get(place).copied().ok_or_else(unsaid),
                Err(error) => Err(error.clone()),
            };
            // Whoever went away needs no answer.
            let _ = waiting.send(said);
        }
    }
}

async fn keep(database: &Database, group: &[NewDelivery]) -> Result<Vec<Recorded>> {
    let kept = async {
        let mut tx = database.begin_one().await?;
        let said = deliveries::record(tx.on(), group).await?;
        tx.commit().await?;
        Ok::<_, StoreError>(said)
    };
    match kept.await {
        Ok(said) => {
            database.worked();
            Ok(said)
        }
        Err(error) => {
            database.failed(&error);
            Err(error.into())
        }
    }
}
