//! Sending publications to GitHub: each thing once, whatever happens in between.
//!
//! The store marks a publication as uncertain before it is handed out here, and only a clear
//! answer takes the mark away. An uncertain one is looked for on GitHub before anything is made
//! again. So a crash or a lost answer between request and note neither loses nor doubles it.

use std::time::Duration;

use tracing::{Instrument, debug, info, info_span, warn};

use super::state::{App, retry_at};
use crate::domain::{Annotation, CheckRun, CheckState, Comment, Content, Status};
use crate::ports::error::Result;
use crate::ports::store::{Outgoing, Sent};
use crate::ports::{Kind, PortError};

/// How long sending may take before another worker tries, in milliseconds.
const LEASE_MS: i64 = 120_000;
/// GitHub's limit of annotations in one request ("Checks" in its REST documentation).
const ANNOTATIONS: usize = 50;
/// How long one publication may take with all its requests; well within the lease.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often something is tried or looked for at least before it is made again; in between is a wait
/// of seconds.
const LOOKS: u32 = 2;
/// How often something that we may not do, or that is not found, is tried: about a day long, at
/// last every five minutes.
const TRIES: u32 = 300;

/// Says in the log that GitHub has a check run: of its end as long as it is one, of its way there more quietly.
fn told(outgoing: &Outgoing, check: &CheckRun) {
    let (name, commit) = (check.name.as_str(), check.commit.as_str());
    let repository = outgoing.repository.full_name();
    match check.state {
        CheckState::Completed(conclusion) => info!(
            repository,
            commit,
            check = name,
            conclusion = conclusion.as_str(),
            "check `{name}` of {repository} on {}: {}",
            check.commit.short(),
            check.title
        ),
        state => debug!(
            repository,
            commit,
            check = name,
            ?state,
            "check `{name}` is told of"
        ),
    }
}

impl App {
    /// Sends the most urgent publication; `false` when none waits.
    pub(super) async fn send_publication(&self) -> Result<bool> {
        let store = &self.parts.store;
        let now_ms = self.now_ms();
        let Some(mut outgoing) = store.claim_publication(now_ms, now_ms + LEASE_MS).await? else {
            return Ok(false);
        };
        let span = info_span!("send", delivery = outgoing.delivery);
        self.send_one(&mut outgoing).instrument(span).await?;
        self.stir();
        Ok(true)
    }

    async fn send_one(&self, outgoing: &mut Outgoing) -> Result<()> {
        let sending = tokio::time::timeout(PATIENCE, self.send(outgoing));
        let sent = sending
            .await
            .unwrap_or_else(|_| Err(PortError::transient("publish in time")));
        let sent = match sent {
            Ok(sent) => sent,
            Err(error) => self.failed(outgoing, error),
        };
        self.parts.meters.sent(&outgoing.content, &sent);
        match &outgoing.content {
            Content::Check(check) if sent == Sent::All => told(outgoing, check),
            _ => debug!(publication = outgoing.id, ?sent, "sent {}", outgoing.id),
        }
        self.parts.store.sent(outgoing, sent).await
    }

    /// What follows from an error.
    fn failed(&self, outgoing: &mut Outgoing, error: PortError) -> Sent {
        if matches!(error.kind, Kind::Throttled { .. }) {
            debug!(publication = outgoing.id, "not sent now: {error}");
        } else {
            warn!(
                publication = outgoing.id,
                "failed to publish to {}: {error}",
                outgoing.repository.full_name()
            );
        }
        let retry = retry_at(self.now_ms(), outgoing.tries);
        let later = |at_ms, uncertain| Sent::Later {
            at_ms,
            error: error.message.clone(),
            uncertain,
        };
        match error.kind {
            // GitHub did not look at the request. Where it wants to hear nothing at all, that is kept
            // already; else what is more urgent may go.
            Kind::Throttled { until_ms } => Sent::Wait { until_ms },
            Kind::Transient => later(retry, true),
            Kind::Gone if outgoing.tries < TRIES => {
                // Not yet visible, or deleted by somebody: look for it again, else make it anew.
                outgoing.remote = None;
                outgoing.annotations_sent = 0;
                later(retry, true)
            }
            Kind::Denied if outgoing.tries < TRIES => later(retry, outgoing.uncertain),
            Kind::Gone | Kind::Denied | Kind::Refused => Sent::Never {
                error: error.message,
            },
        }
    }

    async fn send(&self, outgoing: &mut Outgoing) -> Result<Sent> {
        match outgoing.content.clone() {
            Content::Check(check) => self.send_check(outgoing, &check).await,
            Content::Status(status) => self.send_status(outgoing, &status).await,
            Content::Comment(comment) => self.send_comment(outgoing, &comment).await,
            Content::Reaction(reaction) => {
                let forge = &self.parts.forge;
                forge.react(&outgoing.repository, &reaction).await?;
                Ok(Sent::All)
            }
            Content::Deployment(deployment) => self.send_deployment(outgoing, &deployment).await,
            Content::Promotion(pull) => self.send_promotion(outgoing, &pull).await,
        }
    }

    async fn send_check(&self, outgoing: &mut Outgoing, check: &CheckRun) -> Result<Sent> {
        let forge = &self.parts.forge;
        let look = outgoing.uncertain
            && (outgoing.remote.is_none() || outgoing.annotations_sent < check.annotations.len());
        if look
            && let Some(found) = forge
                .find_check(
                    &outgoing.repository,
                    &check.commit,
                    &check.name,
                    &outgoing.id,
                )
                .await?
        {
            outgoing.remote = Some(found.id);
            outgoing.annotations_sent = found.annotations;
        }
        seen_or_settled(outgoing)?;
        if outgoing.former && outgoing.remote.is_none() {
            // Made now, it would be the newest of its name.
            return Ok(Sent::All);
        }
        let next = batch(check, outgoing.annotations_sent);
        match self.put_check(outgoing, check, next).await {
            Err(error) if error.kind == Kind::Refused && !next.is_empty() => {
                // Better a check without them than one that never ends.
                warn!(
                    publication = outgoing.id,
                    "failed to {error}; sent without annotations"
                );
                self.put_check(outgoing, check, &[]).await?;
                outgoing.annotations_sent = check.annotations.len();
            }
            done => {
                done?;
                outgoing.annotations_sent += next.len();
            }
        }
        Ok(if outgoing.annotations_sent < check.annotations.len() {
            Sent::Part
        } else {
            Sent::All
        })
    }

    /// One request that makes or changes a check run.
    async fn put_check(
        &self,
        outgoing: &mut Outgoing,
        check: &CheckRun,
        annotations: &[Annotation],
    ) -> Result<()> {
        let forge = &self.parts.forge;
        let repository = &outgoing.repository;
        match &outgoing.remote {
            Some(id) => forge.update_check(repository, id, check, annotations).await,
            None => {
                let made = forge
                    .create_check(repository, &outgoing.id, check, annotations)
                    .await?;
                outgoing.remote = Some(made);
                Ok(())
            }
        }
    }

    async fn send_status(&self, outgoing: &mut Outgoing, status: &Status) -> Result<Sent> {
        let forge = &self.parts.forge;
        if outgoing.uncertain {
            let found = forge
                .find_status(&outgoing.repository, &status.commit, &status.context)
                .await?;
            if found.as_ref() == Some(status) {
                return Ok(Sent::All);
            }
        }
        forge.create_status(&outgoing.repository, status).await?;
        Ok(Sent::All)
    }

    async fn send_comment(&self, outgoing: &mut Outgoing, comment: &Comment) -> Result<Sent> {
        let forge = &self.parts.forge;
        if outgoing.remote.is_none() {
            outgoing.remote = forge
                .find_comment(&outgoing.repository, comment.pull, &comment.marker)
                .await?;
            seen_or_settled(outgoing)?;
        }
        match &outgoing.remote {
            Some(id) => {
                forge
                    .update_comment(&outgoing.repository, id, comment)
                    .await?;
            }
            None if comment.worth_a_first => {
                let id = forge.create_comment(&outgoing.repository, comment).await?;
                outgoing.remote = Some(id);
            }
            None => {}
        }
        Ok(Sent::All)
    }
}

/// Fails where something may have been made a moment ago and is in no list: lists lag behind. It is
/// looked for once more, and made after that.
pub(super) fn seen_or_settled(outgoing: &Outgoing) -> Result<()> {
    if outgoing.uncertain && outgoing.remote.is_none() && outgoing.tries < LOOKS {
        let message = format!("find what may have been made of {}", outgoing.id);
        return Err(PortError::transient(message));
    }
    Ok(())
}

/// The annotations that go with the next request.
fn batch(check: &CheckRun, sent: usize) -> &[Annotation] {
    let rest = check.annotations.get(sent..).unwrap_or_default();
    rest.get(..ANNOTATIONS).unwrap_or(rest)
}
