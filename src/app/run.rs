//! Jobs from the queue to their end: claimed, kept under a lease, ended or interrupted.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info, info_span, warn};

use super::attempt::{Begin, Outcome, shut_down, unbegun, wish};
use super::checkout::Place;
use super::state::App;
use crate::domain::{Conclusion, Trust};
use crate::ports::error::Result;
use crate::ports::store::{Claim, Heartbeat, Interruption};
use crate::ports::{Kind, PortError};

/// How long a job may be silent before another worker takes it, in milliseconds.
const LEASE_MS: i64 = 60_000;
/// So long before its end a lease that cannot be renewed is given up, in milliseconds: time to end what runs.
const LEASE_END_MS: i64 = 15_000;
/// How often the lease is renewed.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How often a job whose worker went away is tried.
const ATTEMPTS: u32 = 3;
/// How often a job is tried that could not be begun, because git, GitHub or the disk refused;
/// with the waiting in between about ten minutes.
const BEGINNINGS: u32 = 10;

/// The runner or its machine went away.
pub(super) fn gone(what: impl Into<String>) -> Interruption {
    Interruption {
        what: what.into(),
        attempts: Some(ATTEMPTS),
        not_before_ms: 0,
    }
}

/// What an error before or around the steps means for the job.
fn trouble(error: &PortError) -> Outcome {
    Outcome::Trouble(Interruption {
        what: error.message.clone(),
        attempts: match error.kind {
            Kind::Refused => Some(1),
            // Waiting is not failing.
            Kind::Throttled { .. } => None,
            _ => Some(BEGINNINGS),
        },
        not_before_ms: match error.kind {
            Kind::Throttled { until_ms } => until_ms,
            _ => 0,
        },
    })
}

impl App {
    /// Takes the next job that may start; `None` when there is none.
    pub(super) async fn claim_job(&self) -> Result<Option<Claim>> {
        let now_ms = self.now_ms();
        let settings = &self.settings;
        let claim = self
            .parts
            .store
            .claim_job(&settings.worker, now_ms, now_ms + LEASE_MS, settings.room)
            .await?;
        if let Some(claim) = &claim {
            self.parts.meters.began(now_ms - claim.job.queued_ms);
            self.stir();
        }
        Ok(claim)
    }

    /// Takes the next job that reads reports; `None` when there is none.
    pub(super) async fn claim_import(&self) -> Result<Option<Claim>> {
        let now_ms = self.now_ms();
        let worker = &self.settings.worker;
        let store = &self.parts.store;
        let claim = store
            .claim_import(worker, now_ms, now_ms + LEASE_MS)
            .await?;
        if claim.is_some() {
            self.stir();
        }
        Ok(claim)
    }

    /// Jobs that a worker did not finish get a new attempt. `false` when there are none.
    pub(super) async fn recover(&self, what: &str) -> Result<bool> {
        let store = &self.parts.store;
        let lost = store
            .lost_jobs(&self.settings.worker, self.now_ms())
            .await?;
        let any = !lost.is_empty();
        for (job, held_by) in lost {
            info!(job = job.as_str(), "job {job} was lost: {what}");
            store
                .interrupt_job(&job, &held_by, &gone(what), self.now_ms())
                .await?;
            self.stir();
        }
        Ok(any)
    }

    /// The jobs that this worker held when it ended, to be gone on with.
    pub(super) async fn held_jobs(&self) -> Result<Vec<Claim>> {
        let store = &self.parts.store;
        let worker = self.settings.worker.as_str();
        let mut claims = Vec::new();
        for job in store.held_jobs(worker).await? {
            let lease_ms = self.now_ms() + LEASE_MS;
            claims.extend(store.held_job(&job, worker, lease_ms).await?);
        }
        Ok(claims)
    }

    /// Removes what jobs left behind where they ran.
    pub(super) async fn sweep(&self) -> Result<()> {
        let worker = self.settings.worker.as_str();
        let held = self.parts.store.held_jobs(worker).await?;
        let keep: Vec<String> = held.iter().map(|job| job.as_str().to_owned()).collect();
        self.parts.executor.sweep(&keep).await
    }

    /// Carries out a claimed job to its end.
    pub(super) async fn run_job(
        &self,
        claim: Claim,
        begin: Begin,
        stop: &CancellationToken,
    ) -> Result<()> {
        let span = info_span!("job", delivery = claim.build.delivery);
        Box::pin(self.run_claimed(claim, begin, stop))
            .instrument(span)
            .await
    }

    async fn run_claimed(
        &self,
        claim: Claim,
        begin: Begin,
        stop: &CancellationToken,
    ) -> Result<()> {
        let job = &claim.job.id;
        let worker = self.settings.worker.as_str();
        let store = &self.parts.store;
        info!(
            build = claim.build.number,
            repository = claim.repository.full_name(),
            job = claim.job.key,
            "job {} of build {} of {}",
            claim.job.key,
            claim.build.number,
            claim.repository.full_name()
        );
        let (cancel, cancelled) = watch::channel(None);
        let outcome = tokio::select! {
            biased;
            // Dropping the attempt ends what it started.
            () = self.keep_lease(&claim, &cancel) => Outcome::Lost,
            outcome = self.attempt(&claim, begin, cancelled, stop) => {
                outcome.unwrap_or_else(|error| trouble(&error))
            }
        };
        match outcome {
            Outcome::Ended(result, steps) => {
                info!(
                    build = claim.build.number,
                    job = claim.job.key,
                    conclusion = result.conclusion.as_str(),
                    "job {}: {}",
                    claim.job.key,
                    result.title
                );
                let took_ms = i64::try_from(result.duration_ms).unwrap_or(i64::MAX);
                self.parts.meters.ended(result.conclusion, took_ms);
                store
                    .finish_job(job, worker, &steps, *result, self.now_ms())
                    .await?;
            }
            Outcome::Left => info!(job = job.as_str(), "job {job} goes on without Herald"),
            Outcome::Lost => info!(job = job.as_str(), "job {job} belongs to another worker"),
            Outcome::Trouble(why) => {
                let what = &why.what;
                warn!(job = job.as_str(), "failed to carry out job {job}: {what}");
                store
                    .interrupt_job(job, worker, &why, self.now_ms())
                    .await?;
            }
        }
        self.stir();
        Ok(())
    }

    /// Renews the lease for as long as the job takes, and passes on the wish to cancel it. Returns when somebody else has
    /// the job, or may have it soon: who cannot renew it in time must not run beside the next one.
    async fn keep_lease(&self, claim: &Claim, cancel: &watch::Sender<Option<String>>) {
        let mut pulse = self.pulse();
        let mut beat = tokio::time::interval(HEARTBEAT);
        let mut held_until_ms = self.now_ms() + LEASE_MS;
        loop {
            tokio::select! {
                _ = beat.tick() => {}
                () = stirred(&mut pulse) => {}
            }
            let lease_ms = self.now_ms() + LEASE_MS;
            let (store, worker) = (&self.parts.store, &self.settings.worker);
            let told = store.heartbeat(&claim.job.id, worker, lease_ms);
            let told = tokio::time::timeout(HEARTBEAT, told)
                .await
                .unwrap_or_else(|_| Err(PortError::transient("reach the database in time")));
            match told {
                Ok(Heartbeat::Go) => held_until_ms = lease_ms,
                Ok(Heartbeat::Lost) => return,
                Ok(Heartbeat::Cancel(reason)) => {
                    held_until_ms = lease_ms;
                    cancel.send_if_modified(|known| {
                        let news = known.is_none();
                        known.get_or_insert(reason);
                        news
                    });
                }
                Err(error) => {
                    warn!("failed to renew a lease: {error}");
                    if self.now_ms() > held_until_ms - LEASE_END_MS {
                        return;
                    }
                }
            }
        }
    }

    async fn attempt(
        &self,
        claim: &Claim,
        begin: Begin,
        mut cancelled: watch::Receiver<Option<String>>,
        stop: &CancellationToken,
    ) -> Result<Outcome> {
        if let Some(import) = &claim.build.plan.import {
            return self.import(claim, import, cancelled, stop).await;
        }
        // It may have been approved for another executor, or under another policy.
        if claim.build.trust == Trust::Fork
            && let Some(why) = self.no_forks()
        {
            let why = why.to_owned();
            return Ok(unbegun(claim, Conclusion::ActionRequired, why));
        }
        let place = Place::new(&self.settings.work_dir, claim.job.id.as_str())?;
        let (attempt, change) = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(match begin {
                Begin::Anew => shut_down(),
                Begin::Again => Outcome::Left,
            }),
            reason = wish(&mut cancelled), if begin == Begin::Anew => {
                return Ok(unbegun(claim, Conclusion::Cancelled, format!("cancelled: {reason}")));
            }
            begun = self.begin(claim, begin, &place) => match begun {
                Ok(begun) => begun,
                // Who wrote the specification named something that cannot be had.
                Err(error) if error.kind == Kind::Denied || error.kind == Kind::Gone => {
                    return Ok(unbegun(claim, Conclusion::Failure, error.message));
                }
                Err(error) => return Err(error),
            },
        };
        match attempt {
            Some(mut attempt) => attempt.drive(cancelled, change, stop).await,
            None => Ok(Outcome::Trouble(gone("Herald was restarted"))),
        }
    }
}

/// Waits for a pulse; for ever once nobody can send one.
async fn stirred(pulse: &mut watch::Receiver<u64>) {
    if pulse.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
