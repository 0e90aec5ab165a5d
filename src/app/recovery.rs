//! What was missed: deliveries that never arrived, and open pull requests that nobody told of.
//!
//! GitHub keeps the deliveries of the last days, whether they arrived or not, and those that are not
//! known here are taken up under their own GUID, through the same path as a webhook: so none counts
//! twice. An event that GitHub never sent is in no list; for those, the open pull requests of each
//! repository are compared with what was built. All of it asks after everything else, and stops where
//! GitHub's limits are near; what is left is for the next time.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::intake::Received;
use super::state::App;
use crate::domain::event::changes;
use crate::domain::{Change, Event, PersonId, PullRequest, Repository};
use crate::ports::error::Result;
use crate::ports::forge::{ListedDelivery, RecoveredDelivery};
use crate::ports::store::KnownPull;
use crate::ports::{Kind, PortError};

/// How far back GitHub's list goes (Enterprise Server: a week).
const WINDOW_MS: i64 = 3 * 24 * 60 * 60 * 1000;
/// So much of what was looked at before is looked at again: a delivery is listed when its attempt is
/// over, and attempts take different times.
const OVERLAP_MS: i64 = 15 * 60 * 1000;
/// The setting with the moment up to which the list was looked through.
const CHECKED: &str = "deliveries_checked_ms";
/// How many pages are read at most; each has a hundred. In five minutes and the overlap there are 1,200 at a hundred
/// deliveries a second.
const PAGES: usize = 1_500;
/// How many deliveries of the list may fail before it is left for the next time.
const FAILURES: usize = 5;
/// How often the list is looked through.
const DELIVERIES_EVERY: Duration = Duration::from_mins(5);
/// How long after one repository the next is compared.
const PULLS_PACE: Duration = Duration::from_secs(3);
/// How often a repository is compared, in milliseconds; where there are more than can be in that time, less often.
const PULLS_EVERY_MS: i64 = 60 * 60 * 1000;
/// After so many milliseconds one has another turn that GitHub could not be asked about.
const PULLS_AGAIN_MS: i64 = 5 * 60 * 1000;

impl App {
    /// Takes up deliveries that did not arrive, and says how many.
    ///
    /// # Errors
    /// As the kinds say; what was taken up until then stays.
    pub async fn take_up_deliveries(&self) -> Result<usize> {
        let store = &self.parts.store;
        let now_ms = self.now_ms();
        let checked = store.setting(CHECKED).await?;
        let checked_ms = checked.and_then(|text| text.parse::<i64>().ok());
        let since_ms = (now_ms - WINDOW_MS).max(checked_ms.unwrap_or(0) - OVERLAP_MS);
        let mut missed = self.missed(since_ms).await?;
        // In the order in which they were made, as they would have come.
        missed.sort_by_key(|delivery| (delivery.delivered_ms, delivery.id));
        let (mut taken, mut failures) = (0, Vec::new());
        for delivery in &missed {
            match self.take_up(delivery).await {
                Ok(true) => taken += 1,
                Ok(false) => {}
                // One that GitHub cannot give must not keep the others.
                Err(error) if error.kind == Kind::Transient && failures.len() < FAILURES => {
                    failures.push(error);
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(error) = failures.pop() {
            return Err(error);
        }
        store.keep_setting(CHECKED, &now_ms.to_string()).await?;
        Ok(taken)
    }

    /// The deliveries since then that are not known, each once: its first attempt.
    async fn missed(&self, since_ms: i64) -> Result<Vec<ListedDelivery>> {
        let mut missed: HashMap<String, ListedDelivery> = HashMap::new();
        let mut cursor = None;
        for _ in 0..PAGES {
            let (page, next) = self.parts.forge.deliveries(cursor.as_deref()).await?;
            let guids: Vec<String> = page.iter().map(|row| row.guid.clone()).collect();
            let known = self.parts.store.known_deliveries(&guids).await?;
            let known: HashSet<String> = known.into_iter().collect();
            let past = page.iter().any(|row| row.delivered_ms < since_ms);
            for row in page {
                if row.delivered_ms >= since_ms && !known.contains(&row.guid) {
                    // The newest come first: what stays is the earliest.
                    missed.insert(row.guid.clone(), row);
                }
            }
            if past || next.is_none() {
                break;
            }
            cursor = next;
        }
        Ok(missed.into_values().collect())
    }

    /// Keeps one missed delivery as if it had come by the webhook.
    async fn take_up(&self, delivery: &ListedDelivery) -> Result<bool> {
        let forge = &self.parts.forge;
        let body = match forge.delivery(delivery.id).await {
            Ok(RecoveredDelivery::Body(body)) => body,
            Ok(RecoveredDelivery::Unreadable) => {
                info!(
                    delivery.guid,
                    "delivery {} is asked for again", delivery.guid
                );
                forge.redeliver(delivery.id).await?;
                return Ok(false);
            }
            Err(error) if matches!(error.kind, Kind::Gone | Kind::Refused) => {
                warn!(delivery.guid, "failed to {error}");
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        info!(
            delivery.guid,
            delivery.event, "delivery {} ({}) did not arrive", delivery.guid, delivery.event
        );
        let received = Received {
            guid: delivery.guid.clone(),
            event: delivery.event.clone(),
            body,
        };
        let received_ms = delivery.delivered_ms.min(self.now_ms());
        self.keep(received, received_ms).await?;
        self.stir();
        Ok(true)
    }

    /// The pull request as it is now, where two states of it have one moment and this one may be the
    /// older: GitHub's times have seconds, and what was done within one may be told in any order.
    ///
    /// # Errors
    /// As the kinds say.
    pub(super) async fn newer_than(
        &self,
        repository: &Repository,
        pull: &PullRequest,
    ) -> Result<Option<PullRequest>> {
        let store = &self.parts.store;
        let newest = store.newest_of_pull(&repository.id, pull.number).await?;
        let unclear =
            newest.is_some_and(|(head, at_ms)| at_ms == pull.updated_ms && head != pull.head);
        if !unclear {
            return Ok(None);
        }
        match self.parts.forge.pull_request(repository, pull.number).await {
            Ok(now) => Ok((now.head != pull.head).then_some(now)),
            Err(error) if error.kind == Kind::Gone => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a pull request has the head that it had when it was heard of last, so long ago that what was built of it is not
    /// kept any more.
    async fn is_long_known(&self, repository: &Repository, pull: &PullRequest) -> Result<bool> {
        let before_ms = self.before(self.settings.retention.history_ms);
        let store = &self.parts.store;
        let newest = store.newest_of_pull(&repository.id, pull.number).await?;
        Ok(newest.is_some_and(|(head, at_ms)| head == pull.head && at_ms < before_ms))
    }

    /// Has the open pull requests of a repository built of whose heads nothing is known, and says
    /// how many there were.
    ///
    /// # Errors
    /// As the kinds say.
    pub async fn take_up_pulls(&self, repository: &Repository) -> Result<usize> {
        let store = &self.parts.store;
        let mut taken = 0;
        for pull in self.parts.forge.open_pulls(repository).await? {
            let newer = self.newer_than(repository, &pull).await?;
            let pull = newer.unwrap_or(pull);
            if self.is_long_known(repository, &pull).await? {
                continue;
            }
            let known = store.known_pull(&repository.id, &pull).await?;
            if known == KnownPull::Yes {
                continue;
            }
            info!(
                repository = repository.full_name(),
                commit = pull.head.as_str(),
                "nobody told of the head or the base of {}#{}",
                repository.full_name(),
                pull.number
            );
            // Who did it is not in the list: its author need not be who pushed.
            let (repository, sender) = (repository.clone(), PersonId::NOBODY);
            let event = match known {
                KnownPull::OtherBase => Event::PullRequestRetargeted {
                    repository,
                    pull,
                    sender,
                },
                KnownPull::Yes | KnownPull::No => Event::PullRequestOpened {
                    repository,
                    pull,
                    sender,
                },
            };
            // The repository is known better from its own deliveries.
            let changes = self
                .announce(changes(event))
                .into_iter()
                .filter(|change| !matches!(change, Change::KeepRepository(_)))
                .collect();
            store.apply(changes, self.now_ms()).await?;
            self.stir();
            taken += 1;
        }
        Ok(taken)
    }
}

/// Looks for everything that was missed, once.
///
/// # Errors
/// The first error; what was taken up until then stays.
pub async fn catch_up(app: &App) -> Result<()> {
    app.close_stuck().await?;
    app.take_up_deliveries().await?;
    for repository in app.parts.store.active_repositories().await? {
        app.compare(&repository).await?;
    }
    Ok(())
}

/// Looks for what was missed, at once and then regularly, until `stop`.
pub(super) async fn keep_looking(app: &App, stop: &CancellationToken) {
    let mut deliveries = tokio::time::interval(DELIVERIES_EVERY);
    let mut pace = tokio::time::interval(PULLS_PACE);
    for every in [&mut deliveries, &mut pace] {
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    }
    while !stop.is_cancelled() {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = deliveries.tick() => {
                if !leads(app).await {
                    continue;
                }
                if let Err(error) = app.close_stuck().await {
                    tell(&error);
                }
                if let Err(error) = app.take_up_deliveries().await {
                    tell(&error);
                    if let Kind::Throttled { until_ms } = error.kind {
                        // It is looked through again as soon as there is room.
                        let wait_ms = u64::try_from(until_ms - app.now_ms()).unwrap_or(0);
                        let wait = Duration::from_millis(wait_ms).max(PULLS_PACE);
                        deliveries.reset_after(wait.min(DELIVERIES_EVERY));
                    }
                }
            }
            _ = pace.tick() => {
                if !leads(app).await {
                    continue;
                }
                if let Err(error) = app.compare_next().await {
                    tell(&error);
                }
            }
        }
    }
}

/// Whether it is for this process to look.
async fn leads(app: &App) -> bool {
    app.leads("recovery").await.unwrap_or_else(|error| {
        tell(&error);
        false
    })
}

/// Limits are no trouble: there is a next time.
fn tell(error: &PortError) {
    match error.kind {
        Kind::Throttled { .. } => info!("what was missed is looked for later: {error}"),
        _ => warn!("failed to {error}"),
    }
}

impl App {
    /// What GitHub said to the process before this one about waiting holds for this one too. To be
    /// called before anything is asked.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keep_silent(&self) -> Result<()> {
        for (who, until_ms) in self.parts.store.throttled(self.now_ms()).await? {
            self.parts.forge.hold(who, until_ms);
        }
        Ok(())
    }

    /// Completes check runs that would stay open for ever.
    async fn close_stuck(&self) -> Result<()> {
        let closed = self.parts.store.close_stuck(self.now_ms()).await?;
        if closed > 0 {
            warn!("{closed} check runs were open that nobody would have completed");
            self.stir();
        }
        Ok(())
    }

    /// Compares the repository whose turn it is: those first that never were, then each once in a while. One is looked
    /// up at a time, for there may be very many.
    ///
    /// # Errors
    /// As the kinds say.
    pub async fn compare_next(&self) -> Result<()> {
        let (store, now_ms) = (&self.parts.store, self.now_ms());
        let before_ms = now_ms - PULLS_EVERY_MS;
        let Some(repository) = store.longest_not_compared(before_ms).await? else {
            return Ok(());
        };
        let done = self.compare(&repository).await;
        // One that cannot be asked about must not keep the others from their turn.
        let asked = done.as_ref().map_err(|error| error.kind);
        let at_ms = match asked {
            Err(Kind::Throttled { .. } | Kind::Transient) => before_ms + PULLS_AGAIN_MS,
            _ => now_ms,
        };
        store.keep_compared(&repository.id, at_ms).await?;
        done
    }

    /// Compares a repository with what is known of it. One that was only named by the event of its
    /// installation is asked about first.
    async fn compare(&self, repository: &Repository) -> Result<()> {
        if repository.default_branch.is_empty() {
            // Deliveries that come meanwhile know better.
            let asked_ms = self.now_ms();
            let found = self.parts.forge.repository(repository).await?;
            let store = &self.parts.store;
            store
                .apply(vec![Change::KeepRepository(found)], asked_ms)
                .await?;
        }
        self.take_up_pulls(repository).await.map(|_| ())
    }
}
