//! The store itself: each method of the port is one transaction.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use super::database::{Database, StoreError, transact};
use super::due::{Due, hand_out};
use super::inbox::Inbox;
use super::memory::{self, Memory};
use super::seal::SealKey;
use super::{
    approvals, cluster, deliveries, jobs, pages, publications, registration, rows, secrets,
    specified, spoken, tokens, triggers,
};
use crate::domain::{
    BadgeValue, Build, BuildId, BuildView, Change, Conclusion, InstallationId, Job, JobId,
    JobResult, Measure, Publication, PullRequest, RegisteredApp, Repository, RepositoryId, Secret,
    Sha, StepRecord, Token, Trigger, token_hash,
};
use crate::ports::error::Result;
use crate::ports::store::{
    Awaiting, BuildDraft, Claim, Delivery, Heartbeat, Interruption, KeptDelivery, KnownPull, Lane,
    NewDelivery, Nothing, Outgoing, Postponement, Queue, Recorded, Replayed, Room, Sent, Spoken,
    StoredBadge, StoredSecret, Waiting,
};
use crate::ports::{PortError, Store};

/// The durable state in SQLite or PostgreSQL.
#[derive(Clone)]
pub struct SqlStore {
    pub(super) database: Database,
    /// Seals secrets; without it there are none.
    key: Option<Arc<SealKey>>,
    /// Badges that were read lately.
    memory: Arc<Memory>,
    /// Where deliveries come in.
    inbox: Inbox,
}

impl SqlStore {
    /// How many commits SQLite has made for this process. It changes when they are on disk and
    /// before anybody is told, so whoever watches it can end the server between the two.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.database.commits.clone()
    }

    fn over(database: Database) -> Self {
        Self {
            inbox: Inbox::new(database.clone()),
            database,
            key: None,
            memory: Arc::default(),
        }
    }

    /// Opens the SQLite database in `file` beside the server that may be using it.
    ///
    /// # Errors
    /// `Transient` when it cannot be opened or brought up to date.
    pub async fn sqlite_beside(file: &Path) -> Result<Self> {
        Ok(Self::over(Database::sqlite(file).await?))
    }

    /// Opens (or makes) the SQLite database in `file`. This process must be the only one that
    /// uses it: leases that a former process left are taken back.
    ///
    /// # Errors
    /// `Transient` when it cannot be opened or brought up to date.
    pub async fn sqlite(file: &Path) -> Result<Self> {
        let store = Self::sqlite_beside(file).await?;
        transact!(store.database, tx => cluster::take_back_leases(tx.on()).await)?;
        Ok(store)
    }

    /// Connects to PostgreSQL at a `postgres://` address.
    ///
    /// # Errors
    /// `Transient` when it cannot be reached or brought up to date.
    pub async fn postgres(url: &str) -> Result<Self> {
        Ok(Self::over(Database::postgres(url).await?))
    }

    /// The same, able to keep secrets.
    #[must_use]
    pub fn with_key(mut self, key: SealKey) -> Self {
        self.key = Some(Arc::new(key));
        self
    }

    pub(super) fn key(&self) -> Result<&SealKey> {
        self.key
            .as_deref()
            .ok_or_else(|| PortError::refused("use secrets: there is no HERALD_SECRET_KEY"))
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn record_delivery(&self, delivery: NewDelivery) -> Result<Recorded> {
        self.inbox.record(delivery).await
    }

    async fn claim_delivery(
        &self,
        lane: Lane,
        now_ms: i64,
        lease_ms: i64,
    ) -> Result<Option<Delivery>> {
        hand_out!(self.database, Due::Delivery(lane), now_ms, tx =>
            deliveries::claim(tx.on(), self.database.name(), lane, now_ms, lease_ms).await)
    }

    async fn settle_delivery(&self, guid: &str, changes: Vec<Change>, now_ms: i64) -> Result<()> {
        transact!(self.database, tx =>
            deliveries::settle(tx.on(), guid, &changes, now_ms).await)
    }

    async fn fail_delivery(&self, guid: &str, error: &str, retry_ms: Option<i64>) -> Result<()> {
        transact!(self.database, tx => deliveries::fail(tx.on(), guid, error, retry_ms).await)
    }

    async fn known_deliveries(&self, guids: &[String]) -> Result<Vec<String>> {
        let mut on = self.database.read().await?;
        Ok(deliveries::known(&mut on, guids).await?)
    }

    async fn list_deliveries(&self, failed: bool, limit: i64) -> Result<Vec<KeptDelivery>> {
        let mut on = self.database.read().await?;
        Ok(deliveries::list(&mut on, failed, limit).await?)
    }

    async fn replay_delivery(&self, guid: &str, now_ms: i64) -> Result<Replayed> {
        transact!(self.database, tx => deliveries::replay(tx.on(), guid, now_ms).await)
    }

    async fn apply(&self, changes: Vec<Change>, now_ms: i64) -> Result<()> {
        transact!(self.database, tx => deliveries::apply_all(tx.on(), &changes, now_ms).await)
    }

    async fn known_pull(&self, repository: &RepositoryId, pull: &PullRequest) -> Result<KnownPull> {
        let mut on = self.database.read().await?;
        Ok(triggers::known(&mut on, repository, pull).await?)
    }

    async fn newest_of_pull(
        &self,
        repository: &RepositoryId,
        pull: i64,
    ) -> Result<Option<(Sha, i64)>> {
        let mut on = self.database.read().await?;
        Ok(triggers::newest_of(&mut on, repository, pull).await?)
    }

    async fn claim_trigger(
        &self,
        now_ms: i64,
        lease_ms: i64,
    ) -> Result<Option<(Trigger, Repository)>> {
        hand_out!(self.database, Due::Trigger, now_ms, tx =>
            triggers::claim(tx.on(), self.database.name(), now_ms, lease_ms).await)
    }

    async fn awaiting_approval(
        &self,
        repository: &RepositoryId,
        pull: i64,
    ) -> Result<Option<Awaiting>> {
        let mut on = self.database.read().await?;
        Ok(approvals::awaiting(&mut on, repository, pull).await?)
    }

    async fn is_approved(
        &self,
        repository: &RepositoryId,
        pull: i64,
        commit: &Sha,
        specification: &str,
    ) -> Result<bool> {
        let mut on = self.database.read().await?;
        let approval = approvals::Approval {
            repository,
            pull,
            commit: commit.as_str(),
            specification,
        };
        Ok(approvals::stands(&mut on, &approval).await?)
    }

    async fn selected_by_hand(&self, repository: &RepositoryId) -> Result<bool> {
        let mut on = self.database.read().await?;
        Ok(specified::by_hand(&mut on, repository).await?)
    }

    async fn attach(&self, trigger: &str, draft: BuildDraft, now_ms: i64) -> Result<()> {
        transact!(self.database, tx => triggers::attach(tx.on(), trigger, &draft, now_ms).await)
    }

    async fn drop_trigger(&self, trigger: &str, why: Nothing, now_ms: i64) -> Result<()> {
        transact!(self.database, tx => triggers::drop_one(tx.on(), trigger, why, now_ms).await)
    }

    async fn postpone_trigger(&self, trigger: &str, postponement: Postponement) -> Result<()> {
        transact!(self.database, tx =>
            triggers::postpone(tx.on(), trigger, &postponement).await)
    }

    async fn claim_job(
        &self,
        worker: &str,
        now_ms: i64,
        lease_ms: i64,
        room: Room,
    ) -> Result<Option<Claim>> {
        hand_out!(self.database, Due::Job, now_ms, tx =>
            jobs::claim(tx.on(), worker, now_ms, lease_ms, room).await)
    }

    async fn held_job(&self, job: &JobId, worker: &str, lease_ms: i64) -> Result<Option<Claim>> {
        transact!(self.database, tx => jobs::held(tx.on(), job, worker, lease_ms).await)
    }

    async fn heartbeat(&self, job: &JobId, worker: &str, lease_ms: i64) -> Result<Heartbeat> {
        transact!(self.database, tx => jobs::heartbeat(tx.on(), job, worker, lease_ms).await)
    }

    async fn note_image(&self, job: &JobId, worker: &str, image: &str) -> Result<Option<String>> {
        transact!(self.database, tx => jobs::note_image(tx.on(), job, worker, image).await)
    }

    async fn save_steps(&self, job: &JobId, worker: &str, steps: &[StepRecord]) -> Result<()> {
        transact!(self.database, tx =>
            jobs::save_steps(tx.on(), job, worker, steps).await.map(|_| ()))
    }

    async fn finish_job(
        &self,
        job: &JobId,
        worker: &str,
        steps: &[StepRecord],
        result: JobResult,
        now_ms: i64,
    ) -> Result<bool> {
        transact!(self.database, tx => jobs::finish(tx.on(), job, worker, steps, &result, now_ms).await)
    }

    async fn interrupt_job(
        &self,
        job: &JobId,
        worker: &str,
        why: &Interruption,
        now_ms: i64,
    ) -> Result<()> {
        transact!(self.database, tx => jobs::interrupt(tx.on(), job, worker, why, now_ms).await)
    }

    async fn held_jobs(&self, worker: &str) -> Result<Vec<JobId>> {
        let mut on = self.database.read().await?;
        Ok(jobs::held_by(&mut on, worker).await?)
    }

    async fn lost_jobs(&self, own: &str, now_ms: i64) -> Result<Vec<(JobId, String)>> {
        let mut on = self.database.read().await?;
        Ok(jobs::lost(&mut on, own, now_ms).await?)
    }

    async fn job_standing(
        &self,
        build: &BuildId,
        job: &str,
    ) -> Result<Option<(u32, Option<Conclusion>)>> {
        let mut on = self.database.read().await?;
        Ok(jobs::standing(&mut on, build, job).await?)
    }

    async fn queue(&self, build: &BuildId, now_ms: i64) -> Result<Option<Queue>> {
        let mut on = self.database.read().await?;
        Ok(jobs::queue(&mut on, build.as_str(), now_ms).await?)
    }

    async fn refresh_queue(&self, limit: i64) -> Result<u64> {
        transact!(self.database, tx => jobs::refresh(tx.on(), limit).await)
    }

    async fn unpublished(&self, limit: i64) -> Result<Vec<BuildId>> {
        let mut on = self.database.read().await?;
        Ok(pages::unpublished(&mut on, limit).await?)
    }

    async fn view(&self, build: &BuildId) -> Result<Option<BuildView>> {
        // Not one snapshot: what changes in between raises the revision, and is rendered again.
        let mut on = self.database.read().await?;
        Ok(pages::view(&mut on, build.as_str()).await?)
    }

    async fn publish(
        &self,
        view: &BuildView,
        publications: Vec<Publication>,
        spoken: Spoken,
        now_ms: i64,
    ) -> Result<()> {
        transact!(self.database, tx =>
            publications::publish(tx.on(), view, &publications, &spoken, now_ms).await)
    }

    async fn keep_badges(
        &self,
        repository: &RepositoryId,
        branch: &str,
        badges: Vec<BadgeValue>,
        at_ms: i64,
    ) -> Result<()> {
        transact!(self.database, tx => {
            for badge in &badges {
                spoken::keep_badge(tx.on(), repository, branch, badge, at_ms).await?;
            }
            Ok(())
        })
    }

    async fn measures(
        &self,
        repository: &RepositoryId,
        branch: &str,
        limit: i64,
    ) -> Result<Vec<Measure>> {
        let mut on = self.database.read().await?;
        Ok(spoken::measures(&mut on, repository, branch, limit).await?)
    }

    async fn claim_publication(&self, now_ms: i64, lease_ms: i64) -> Result<Option<Outgoing>> {
        hand_out!(self.database, Due::Publication, now_ms, tx =>
            publications::claim(tx.on(), self.database.name(), now_ms, lease_ms).await)
    }

    async fn sent(&self, outgoing: &Outgoing, sent: Sent) -> Result<()> {
        transact!(self.database, tx => publications::sent(tx.on(), outgoing, &sent).await)
    }

    async fn close_stuck(&self, now_ms: i64) -> Result<u64> {
        transact!(self.database, tx => publications::close_stuck(tx.on(), now_ms).await)
    }

    async fn keep_throttle(&self, who: Option<InstallationId>, until_ms: i64) -> Result<()> {
        transact!(self.database, tx => publications::keep_throttle(tx.on(), who, until_ms).await)
    }

    async fn throttled(&self, now_ms: i64) -> Result<Vec<(Option<InstallationId>, i64)>> {
        let mut on = self.database.read().await?;
        Ok(publications::throttled(&mut on, now_ms).await?)
    }

    async fn repository(&self, owner: &str, name: &str) -> Result<Option<Repository>> {
        let mut on = self.database.read().await?;
        Ok(pages::repository(&mut on, owner, name).await?)
    }

    async fn build(&self, repository: &RepositoryId, number: i64) -> Result<Option<BuildView>> {
        let mut on = self.database.read().await?;
        Ok(pages::by_number(&mut on, repository, number).await?)
    }

    async fn former_attempts(&self, build: &BuildId) -> Result<Vec<Job>> {
        let mut on = self.database.read().await?;
        Ok(rows::load_former(&mut on, build).await?)
    }

    async fn builds(
        &self,
        repository: &RepositoryId,
        before: i64,
        limit: i64,
    ) -> Result<Vec<Build>> {
        let mut on = self.database.read().await?;
        Ok(pages::builds(&mut on, repository, before, limit).await?)
    }

    async fn branches(
        &self,
        repository: &RepositoryId,
        limit: i64,
    ) -> Result<Vec<(String, Measure)>> {
        let mut on = self.database.read().await?;
        Ok(spoken::branches(&mut on, repository, limit).await?)
    }

    async fn builds_of_branch(
        &self,
        repository: &RepositoryId,
        branch: &str,
        before: i64,
        limit: i64,
    ) -> Result<Vec<Build>> {
        let mut on = self.database.read().await?;
        Ok(spoken::builds(&mut on, repository, branch, before, limit).await?)
    }

    async fn public_repositories(
        &self,
        words: &str,
        after: (&str, &str),
        limit: i64,
    ) -> Result<Vec<Repository>> {
        let mut on = self.database.read().await?;
        Ok(pages::public_repositories(&mut on, words, after, limit).await?)
    }

    async fn public_repositories_after(&self, after: &str, limit: i64) -> Result<Vec<Repository>> {
        let mut on = self.database.read().await?;
        Ok(pages::public_repositories_after(&mut on, after, limit).await?)
    }

    async fn repositories(&self, ids: &[RepositoryId]) -> Result<Vec<Repository>> {
        let mut on = self.database.read().await?;
        Ok(pages::repositories(&mut on, ids).await?)
    }

    async fn active_repositories(&self) -> Result<Vec<Repository>> {
        let mut on = self.database.read().await?;
        Ok(pages::active_repositories(&mut on).await?)
    }

    async fn longest_not_compared(&self, before_ms: i64) -> Result<Option<Repository>> {
        let mut on = self.database.read().await?;
        Ok(pages::longest_not_compared(&mut on, before_ms).await?)
    }

    async fn keep_compared(&self, repository: &RepositoryId, at_ms: i64) -> Result<()> {
        transact!(self.database, tx => {
            pages::keep_compared(tx.on(), repository, at_ms).await
        })
    }

    async fn badge(
        &self,
        owner: &str,
        name: &str,
        kind: &str,
        branch: Option<&str>,
        job: &str,
    ) -> Result<Option<Arc<StoredBadge>>> {
        let asked = memory::asked(owner, name, kind, branch, job);
        let key = self.database.commit().zip(asked);
        let known = key.as_ref();
        if let Some(known) = known.and_then(|(commit, asked)| self.memory.get(*commit, asked)) {
            return Ok(Some(known));
        }
        let mut on = self.database.read().await?;
        let badge = pages::badge(&mut on, owner, name, kind, branch, job).await?;
        let badge = badge.map(Arc::new);
        if let (Some((commit, asked)), Some(badge)) = (key, &badge) {
            self.memory.keep(commit, asked, Arc::clone(badge));
        }
        Ok(badge)
    }

    async fn registered_app(&self) -> Result<Option<RegisteredApp>> {
        let mut on = self.database.read().await?;
        registration::read(&mut on, self.key.as_deref()).await
    }

    async fn keep_registered_app(&self, app: &RegisteredApp, now_ms: i64) -> Result<bool> {
        let key = self.key()?;
        transact!(self.database, tx => registration::keep(tx.on(), key, app, now_ms).await)
    }

    async fn setting(&self, name: &str) -> Result<Option<String>> {
        let mut on = self.database.read().await?;
        Ok(pages::setting(&mut on, name).await?)
    }

    async fn setting_or(&self, name: &str, value: &str) -> Result<String> {
        transact!(self.database, tx => {
            sqlx::query(
                "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
            )
            .bind(name)
            .bind(value)
            .execute(tx.on())
            .await?;
            pages::setting(tx.on(), name)
                .await?
                .ok_or_else(|| StoreError::Stored(format!("no setting {name}")))
        })
    }

    async fn keep_setting(&self, name: &str, value: &str) -> Result<()> {
        transact!(self.database, tx => {
            sqlx::query(
                "INSERT INTO settings (name, value) VALUES ($1, $2) \
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            )
            .bind(name)
            .bind(value)
            .execute(tx.on())
            .await?;
            Ok(())
        })
    }

    async fn keep_secret(
        &self,
        repository: &RepositoryId,
        name: &str,
        value: &Secret,
        now_ms: i64,
    ) -> Result<()> {
        let key = self.key()?;
        transact!(self.database, tx =>
            secrets::keep(tx.on(), key, repository, name, value, now_ms).await)
    }

    async fn secrets(&self, repository: &RepositoryId) -> Result<Vec<StoredSecret>> {
        let mut on = self.database.read().await?;
        Ok(secrets::list(&mut on, repository).await?)
    }

    async fn secret(&self, repository: &RepositoryId, name: &str) -> Result<Option<Secret>> {
        let key = self.key()?;
        let mut on = self.database.read().await?;
        opened(secrets::value(&mut on, key, repository, name).await)
    }

    async fn keep_token(&self, token: &Token, hash: &str) -> Result<()> {
        transact!(self.database, tx => tokens::keep(tx.on(), token, hash, None).await)
    }

    async fn tokens(&self) -> Result<Vec<Token>> {
        let mut on = self.database.read().await?;
        Ok(tokens::list(&mut on).await?)
    }

    async fn token(&self, hash: &str) -> Result<Option<Token>> {
        let mut on = self.database.read().await?;
        Ok(tokens::by_hash(&mut on, hash).await?)
    }

    async fn remove_token(&self, id: &str) -> Result<bool> {
        transact!(self.database, tx => tokens::remove(tx.on(), id).await)
    }

    async fn replace_badge_token(
        &self,
        repository: &RepositoryId,
        token: &Token,
        text: &Secret,
    ) -> Result<()> {
        let key = self.key()?;
        let hash = token_hash(text);
        transact!(self.database, tx =>
            tokens::replace_badge_token(tx.on(), key, repository, token, text, &hash).await)
    }

    async fn badge_token(&self, repository: &RepositoryId) -> Result<Option<Secret>> {
        let key = self.key()?;
        let mut on = self.database.read().await?;
        opened(tokens::badge_token(&mut on, key, repository).await)
    }

    async fn remove_secret(&self, repository: &RepositoryId, name: &str) -> Result<bool> {
        transact!(self.database, tx => secrets::remove(tx.on(), repository, name).await)
    }

    async fn takes_work(&self) -> Result<()> {
        if !self.database.is_in_trouble() {
            return Ok(());
        }
        transact!(self.database, tx => pages::probe(tx.on()).await)
    }

    async fn waiting(&self, now_ms: i64) -> Result<Waiting> {
        let mut on = self.database.read().await?;
        Ok(pages::waiting(&mut on, now_ms).await?)
    }
}

/// What was sealed; trying again does not open it.
fn opened<T>(value: std::result::Result<T, StoreError>) -> Result<T> {
    value.map_err(|error| match error {
        StoreError::Stored(text) => PortError::refused(format!("use a secret: {text}")),
        error => error.into(),
    })
}

impl std::fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlStore").finish_non_exhaustive()
    }
}
