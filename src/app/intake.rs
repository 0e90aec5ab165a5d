//! Deliveries: kept first, handled after.

use std::time::{Duration, Instant};

use tracing::{Instrument, info, info_span, warn};

use super::meters::Meters;
use super::state::{App, again_at};
use crate::domain::event::changes;
use crate::domain::{Change, Event, PersonId, Wish};
use crate::feedback;
use crate::ports::error::Result;
use crate::ports::store::{Delivery, Lane, NewDelivery, Recorded};
use crate::ports::{Kind, PortError};

/// How long handling a delivery may take before another worker tries, in milliseconds.
const LEASE_MS: i64 = 120_000;
/// How long GitHub may be asked for one; well within the lease.
const PATIENCE: Duration = Duration::from_secs(90);

/// How often something that GitHub says is not there, or not for us, is asked for.
const TRIES: u32 = 10;

/// A delivery as it came in, its signature checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// `X-GitHub-Delivery`.
    pub guid: String,
    /// `X-GitHub-Event`.
    pub event: String,
    /// The raw body.
    pub body: String,
}

impl App {
    /// Makes durable what a delivery says. When this has returned, it is not lost any more.
    ///
    /// # Errors
    /// `Refused` when its body is no JSON object; `Transient` when it could not be kept: the sender must not be told that it was.
    pub async fn receive(&self, received: Received) -> Result<Recorded> {
        let event = Meters::event(&received.event);
        let recorded = self.keep(received, self.now_ms()).await?;
        let is_new = recorded == Recorded::Waiting;
        self.parts.meters.received(event, is_new);
        self.arrive();
        Ok(recorded)
    }

    /// Keeps of a delivery what is looked at when it is handled.
    ///
    /// # Errors
    /// As those of [`App::receive`].
    pub(super) async fn keep(&self, received: Received, received_ms: i64) -> Result<Recorded> {
        let parts = &self.parts;
        let delivery = NewDelivery {
            body: parts.forge.kept(&received.event, received.body)?,
            guid: received.guid,
            event: received.event,
            received_ms,
        };
        parts.store.record_delivery(delivery).await
    }

    /// Handles one delivery of a lane; `false` when none waits.
    pub(super) async fn handle_delivery(&self, lane: Lane) -> Result<bool> {
        let store = &self.parts.store;
        let now_ms = self.now_ms();
        let lease_ms = now_ms + LEASE_MS;
        let Some(delivery) = store.claim_delivery(lane, now_ms, lease_ms).await? else {
            return Ok(false);
        };
        let span = info_span!("delivery", delivery = delivery.guid);
        let begun = Instant::now();
        let settling = async {
            match self.settle(&delivery).await {
                Ok(()) => Ok("handled"),
                Err(error) => {
                    self.delivery_failed(&delivery.guid, delivery.tries, &error)
                        .await
                }
            }
        };
        let outcome = settling.instrument(span).await?;
        self.parts.meters.handled(outcome, begun.elapsed());
        Ok(true)
    }

    /// Reads a delivery and carries out what follows.
    async fn settle(&self, delivery: &Delivery) -> Result<()> {
        let event = self
            .parts
            .forge
            .read_event(&delivery.event, &delivery.body)?;
        info!(
            event = delivery.event,
            means = describe(&event),
            "delivery {} ({})",
            delivery.guid,
            delivery.event
        );
        let changes = tokio::time::timeout(PATIENCE, self.changes_of(event))
            .await
            .unwrap_or_else(|_| Err(PortError::transient("ask GitHub in time")))?;
        let follows = !changes.is_empty();
        let store = &self.parts.store;
        store
            .settle_delivery(&delivery.guid, changes, self.now_ms())
            .await?;
        if follows {
            self.stir();
        }
        Ok(())
    }

    /// What follows from an event.
    async fn changes_of(&self, event: Event) -> Result<Vec<Change>> {
        let mut event = event;
        if let Event::PullRequestOpened {
            repository,
            pull,
            sender,
        }
        | Event::PullRequestUpdated {
            repository,
            pull,
            sender,
        }
        | Event::PullRequestRetargeted {
            repository,
            pull,
            sender,
        } = &mut event
            && let Some(newer) = self.newer_than(repository, pull).await?
        {
            *pull = newer;
            // Who did that is told by the delivery of it.
            *sender = PersonId::NOBODY;
        }
        let Event::Asked { repository, ask } = event else {
            return Ok(self.announce(changes(event)));
        };
        let mut all = self.changes_of_ask(&repository, ask).await?;
        all.insert(0, Change::KeepRepository(repository));
        Ok(all)
    }

    /// Says what came of it.
    async fn delivery_failed(
        &self,
        guid: &str,
        tries: u32,
        error: &PortError,
    ) -> Result<&'static str> {
        // It was answered 202: only what can never be understood, or not be asked for, is given up.
        let hopeless = match error.kind {
            Kind::Refused => true,
            Kind::Gone | Kind::Denied => tries >= TRIES,
            Kind::Transient | Kind::Throttled { .. } => false,
        };
        let retry = (!hopeless).then(|| again_at(error, self.now_ms(), tries));
        warn!(
            "failed to {error}{}",
            if hopeless { "; given up" } else { "" }
        );
        self.parts
            .store
            .fail_delivery(guid, &error.message, retry)
            .await?;
        Ok(if hopeless { "failed" } else { "later" })
    }

    /// Adds to each build the check run that shows at once.
    pub(super) fn announce(&self, changes: Vec<Change>) -> Vec<Change> {
        let mut names = (String::new(), String::new());
        changes
            .into_iter()
            .map(|change| match change {
                Change::KeepRepository(repository) => {
                    names = (repository.owner.clone(), repository.name.clone());
                    Change::KeepRepository(repository)
                }
                Change::Build {
                    repository,
                    commit,
                    occasion,
                    trust,
                    sender,
                    supersedes,
                    again,
                    since_ms,
                    ..
                } => {
                    let check =
                        feedback::announcement(&self.settings.links, &names.0, &names.1, &commit);
                    Change::Build {
                        repository,
                        commit,
                        occasion,
                        trust,
                        sender,
                        supersedes,
                        again,
                        since_ms,
                        announcement: Some(Box::new(check)),
                    }
                }
                other => other,
            })
            .collect()
    }
}

fn describe(event: &Event) -> &'static str {
    match event {
        Event::PullRequestOpened { .. } => "pull request to build",
        Event::PullRequestUpdated { .. } => "pull request with a new head",
        Event::PullRequestRetargeted { .. } => "pull request with a new base",
        Event::PullRequestClosed { .. } => "pull request closed",
        Event::MergeGroupMade { .. } => "merge group to build",
        Event::MergeGroupDestroyed { .. } => "merge group destroyed",
        Event::Asked { ask, .. } => match ask.wish {
            Wish::Retry { .. } => "asked to run again",
            Wish::Cancel => "asked to cancel",
            Wish::Approve { .. } => "asked to approve",
            Wish::Quarantine { .. } => "asked to put a test away",
            Wish::Unquarantine { .. } => "asked to let a test count",
            Wish::Unclear => "asked for something else",
        },
        Event::Pushed { .. } => "push",
        Event::WorkflowEnded { .. } => "workflow ended",
        Event::Rerequested { .. } => "run again",
        Event::Installed { .. } => "installed",
        Event::Uninstalled { .. } => "uninstalled",
        Event::RepositoryDeleted { .. } => "repository deleted",
        Event::RepositoryChanged { .. } => "repository changed",
        Event::Ignored { reason } => reason,
    }
}
