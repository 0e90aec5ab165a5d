//! The durable state.
//!
//! Every method is one transaction: it takes effect as a whole or not at all, and when it has
//! returned, it survives a crash. Work is handed out under a lease: who does not come back in
//! time loses it to the next who asks, and can say nothing about it any more.

use std::sync::Arc;

use async_trait::async_trait;

use super::audit::Audit;
use super::cluster::Cluster;
use super::deployments::Deployments;
use super::error::Result;
use super::history::TestHistory;
use super::imports::Imports;
use super::judging::Judging;
use super::keeping::Keeping;
use super::privacy::Privacy;
use super::quarantine::Quarantines;
pub use super::stored::{
    Awaiting, BuildDraft, Claim, Delivery, DraftJob, Heartbeat, Interruption, KeptDelivery,
    KnownPull, Lane, NewDelivery, Nothing, Outgoing, Postponement, Queue, Recorded, Replayed, Room,
    Sent, Spoken, StoredBadge, StoredSecret, Waiting,
};
use super::uploads::Uploads;
use crate::domain::{
    BadgeValue, Build, BuildId, BuildView, Change, Conclusion, InstallationId, Job, JobId,
    JobResult, Measure, Publication, PullRequest, RegisteredApp, Repository, RepositoryId, Secret,
    Sha, StepRecord, Token, Trigger,
};

/// The durable state.
#[async_trait]
pub trait Store:
    Audit
    + Cluster
    + Deployments
    + Imports
    + Judging
    + Keeping
    + Privacy
    + Quarantines
    + TestHistory
    + Uploads
    + Send
    + Sync
{
    /// Keeps a delivery. A guid that waits or is handled is `Known`; one whose handling failed
    /// waits again.
    ///
    /// # Errors
    /// `Transient` when it could not be made durable.
    async fn record_delivery(&self, delivery: NewDelivery) -> Result<Recorded>;
    /// The oldest delivery of a lane that is due, leased until `lease_ms`.
    async fn claim_delivery(
        &self,
        lane: Lane,
        now_ms: i64,
        lease_ms: i64,
    ) -> Result<Option<Delivery>>;
    /// Carries out all changes that follow from a delivery, and marks it as handled.
    async fn settle_delivery(&self, guid: &str, changes: Vec<Change>, now_ms: i64) -> Result<()>;
    /// Handling failed; it is tried again at `retry_ms`, or given up.
    async fn fail_delivery(&self, guid: &str, error: &str, retry_ms: Option<i64>) -> Result<()>;
    /// Which of these are there, in whatever state.
    async fn known_deliveries(&self, guids: &[String]) -> Result<Vec<String>>;
    /// Deliveries, the newest first: all, or those only whose handling failed.
    async fn list_deliveries(&self, failed: bool, limit: i64) -> Result<Vec<KeptDelivery>>;
    /// Has a delivery handled that waits or whose handling failed, now.
    async fn replay_delivery(&self, guid: &str, now_ms: i64) -> Result<Replayed>;
    /// Carries out changes that follow from no delivery.
    async fn apply(&self, changes: Vec<Change>, now_ms: i64) -> Result<()>;
    /// What is known of an open pull request.
    async fn known_pull(&self, repository: &RepositoryId, pull: &PullRequest) -> Result<KnownPull>;
    /// The newest state of a pull request that was heard of: its head, and when it was so in unix
    /// milliseconds.
    async fn newest_of_pull(
        &self,
        repository: &RepositoryId,
        pull: i64,
    ) -> Result<Option<(Sha, i64)>>;

    /// The oldest trigger that is due, leased until `lease_ms`, with its repository.
    async fn claim_trigger(
        &self,
        now_ms: i64,
        lease_ms: i64,
    ) -> Result<Option<(Trigger, Repository)>>;
    /// The head of a pull request that waits for approval.
    async fn awaiting_approval(
        &self,
        repository: &RepositoryId,
        pull: i64,
    ) -> Result<Option<Awaiting>>;
    /// Whether a commit with this specification was approved for a pull request.
    async fn is_approved(
        &self,
        repository: &RepositoryId,
        pull: i64,
        commit: &Sha,
        specification: &str,
    ) -> Result<bool>;
    /// Whether the repository's installation was made for repositories selected by hand.
    async fn selected_by_hand(&self, repository: &RepositoryId) -> Result<bool>;
    /// Gives a trigger its build: an existing one with the same key, else a new one. Nothing
    /// happens to a trigger that was cancelled in between.
    async fn attach(&self, trigger: &str, draft: BuildDraft, now_ms: i64) -> Result<()>;
    /// Nothing comes of the trigger.
    async fn drop_trigger(&self, trigger: &str, why: Nothing, now_ms: i64) -> Result<()>;
    /// Preparing did not succeed, and is tried again.
    async fn postpone_trigger(&self, trigger: &str, postponement: Postponement) -> Result<()>;

    /// The next job that may start within `room`, leased to `worker` until `lease_ms`: those of the
    /// default branch and of tags first, then the oldest. Who has waited for half an hour is first
    /// too, so that nobody waits for ever.
    async fn claim_job(
        &self,
        worker: &str,
        now_ms: i64,
        lease_ms: i64,
        room: Room,
    ) -> Result<Option<Claim>>;
    /// A running job that `worker` holds since before it was started, with a new lease; `None` when
    /// it does not hold it any more.
    async fn held_job(&self, job: &JobId, worker: &str, lease_ms: i64) -> Result<Option<Claim>>;
    /// Renews the lease.
    async fn heartbeat(&self, job: &JobId, worker: &str, lease_ms: i64) -> Result<Heartbeat>;
    /// Keeps which image a job runs in, pinned; says that of the last green job of the same key.
    async fn note_image(&self, job: &JobId, worker: &str, image: &str) -> Result<Option<String>>;
    /// Keeps how the steps stand.
    async fn save_steps(&self, job: &JobId, worker: &str, steps: &[StepRecord]) -> Result<()>;
    /// The job has ended. `false` when the worker had lost it.
    async fn finish_job(
        &self,
        job: &JobId,
        worker: &str,
        steps: &[StepRecord],
        result: JobResult,
        now_ms: i64,
    ) -> Result<bool>;
    /// Trouble of ours ended the job: a new attempt is queued unless the attempts are used up;
    /// then it ends as cancelled with the words.
    async fn interrupt_job(
        &self,
        job: &JobId,
        worker: &str,
        why: &Interruption,
        now_ms: i64,
    ) -> Result<()>;
    /// The running jobs of a worker. One that has just started holds none of them any more.
    async fn held_jobs(&self, worker: &str) -> Result<Vec<JobId>>;
    /// Running jobs whose lease ended before `now_ms`, with the workers that held them. A deployment may still go on where
    /// another worker than `own` began it, and must not be begun beside that: it is lost when it has had all the time
    /// that it may take, or when a person wants it to end.
    async fn lost_jobs(&self, own: &str, now_ms: i64) -> Result<Vec<(JobId, String)>>;

    /// The newest attempt of a build's job, and how it ended; `None` when there is no such job.
    async fn job_standing(
        &self,
        build: &BuildId,
        job: &str,
    ) -> Result<Option<(u32, Option<Conclusion>)>>;
    /// What stands between a build and its next job; `None` when no job of it waits for room.
    async fn queue(&self, build: &BuildId, now_ms: i64) -> Result<Option<Queue>>;
    /// Has builds that wait for room rendered again, at most so many, and says how many.
    async fn refresh_queue(&self, limit: i64) -> Result<u64>;

    /// Builds whose newest state is not rendered yet.
    async fn unpublished(&self, limit: i64) -> Result<Vec<BuildId>>;
    /// A build with everything that is shown of it.
    async fn view(&self, build: &BuildId) -> Result<Option<BuildView>>;
    /// Keeps what a build's revision looks like on GitHub, and what it says of its branch.
    async fn publish(
        &self,
        view: &BuildView,
        publications: Vec<Publication>,
        spoken: Spoken,
        now_ms: i64,
    ) -> Result<()>;
    /// Sets badges of a branch that no build speaks of, as they were at that moment (unix milliseconds).
    async fn keep_badges(
        &self,
        repository: &RepositoryId,
        branch: &str,
        badges: Vec<BadgeValue>,
        at_ms: i64,
    ) -> Result<()>;
    /// Numbers of the last builds of a branch, the newest first.
    async fn measures(
        &self,
        repository: &RepositoryId,
        branch: &str,
        limit: i64,
    ) -> Result<Vec<Measure>>;
    /// The number of the last build of a branch that ran to its end.
    async fn last_of_branch(&self, repository: &RepositoryId, branch: &str) -> Result<Option<i64>> {
        let last = self.measures(repository, branch, 1).await?;
        Ok(last.first().map(|measure| measure.number))
    }
    /// The most urgent publication that is due, leased until `lease_ms`.
    async fn claim_publication(&self, now_ms: i64, lease_ms: i64) -> Result<Option<Outgoing>>;
    /// How sending went; `remote` and `annotations_sent` as known now.
    async fn sent(&self, outgoing: &Outgoing, sent: Sent) -> Result<()>;

    /// Completes check runs that nobody will touch again, and says how many there were.
    async fn close_stuck(&self, now_ms: i64) -> Result<u64>;
    /// Installations (`None`: the App itself) of which nothing may be sent, and until when (unix
    /// milliseconds).
    async fn throttled(&self, now_ms: i64) -> Result<Vec<(Option<InstallationId>, i64)>>;
    /// Keeps until when GitHub wants to hear nothing from an installation (`None`: from the App
    /// itself). Publications of the installation wait until then; an earlier moment changes nothing.
    async fn keep_throttle(&self, who: Option<InstallationId>, until_ms: i64) -> Result<()>;

    /// The repository that the name leads to, also an old name.
    async fn repository(&self, owner: &str, name: &str) -> Result<Option<Repository>>;
    /// The build with this number.
    async fn build(&self, repository: &RepositoryId, number: i64) -> Result<Option<BuildView>>;
    /// Attempts of its jobs that are past, in the order of the plan, the newest first, at most 200.
    async fn former_attempts(&self, build: &BuildId) -> Result<Vec<Job>>;
    /// Builds of a repository, the newest first, with numbers below `before`.
    async fn builds(
        &self,
        repository: &RepositoryId,
        before: i64,
        limit: i64,
    ) -> Result<Vec<Build>>;
    /// Branches that builds spoke of, with the number of the last build of each, the latest first.
    async fn branches(
        &self,
        repository: &RepositoryId,
        limit: i64,
    ) -> Result<Vec<(String, Measure)>>;
    /// Builds that spoke of a branch, the newest first, with numbers below `before`.
    async fn builds_of_branch(
        &self,
        repository: &RepositoryId,
        branch: &str,
        before: i64,
        limit: i64,
    ) -> Result<Vec<Build>>;
    /// Public repositories in the order of their names: those that have `words` in their full name, in any case,
    /// after this owner and name.
    async fn public_repositories(
        &self,
        words: &str,
        after: (&str, &str),
        limit: i64,
    ) -> Result<Vec<Repository>>;
    /// Public repositories whose ids come after this one, in the order of their ids.
    async fn public_repositories_after(&self, after: &str, limit: i64) -> Result<Vec<Repository>>;
    /// Those of these repositories that the App has access to, in the order of their names.
    async fn repositories(&self, ids: &[RepositoryId]) -> Result<Vec<Repository>>;
    /// All repositories that the App has access to, in the order of their names.
    async fn active_repositories(&self) -> Result<Vec<Repository>>;
    /// The repository that the App has access to whose open pull requests were compared before this moment,
    /// in Unix milliseconds, and longer ago than those of any other.
    async fn longest_not_compared(&self, before_ms: i64) -> Result<Option<Repository>>;
    /// Notes when the open pull requests of a repository were compared.
    async fn keep_compared(&self, repository: &RepositoryId, at_ms: i64) -> Result<()>;
    /// A badge's value; the default branch's without `branch`.
    async fn badge(
        &self,
        owner: &str,
        name: &str,
        kind: &str,
        branch: Option<&str>,
        job: &str,
    ) -> Result<Option<Arc<StoredBadge>>>;
    /// The App that `/setup` has registered.
    ///
    /// # Errors
    /// `Refused` when it does not open with this server's key.
    async fn registered_app(&self) -> Result<Option<RegisteredApp>>;
    /// Stores the App that was registered, unless there is one; says whether it was stored.
    async fn keep_registered_app(&self, app: &RegisteredApp, now_ms: i64) -> Result<bool>;
    /// A stored setting.
    async fn setting(&self, name: &str) -> Result<Option<String>>;
    /// Stores a setting unless it is there, and says what it is then.
    async fn setting_or(&self, name: &str, value: &str) -> Result<String>;
    /// Stores a setting, over what was there.
    async fn keep_setting(&self, name: &str, value: &str) -> Result<()>;
    /// Stores a secret of a repository, over one of the same name.
    ///
    /// # Errors
    /// `Refused` when there is no key to seal it with.
    async fn keep_secret(
        &self,
        repository: &RepositoryId,
        name: &str,
        value: &Secret,
        now_ms: i64,
    ) -> Result<()>;
    /// The names of a repository's secrets, in order.
    async fn secrets(&self, repository: &RepositoryId) -> Result<Vec<StoredSecret>>;
    /// The value of a secret; `None` when it is not stored.
    ///
    /// # Errors
    /// `Refused` when it does not open with the key that there is.
    async fn secret(&self, repository: &RepositoryId, name: &str) -> Result<Option<Secret>>;
    /// Forgets a secret. `false` when it was not stored.
    async fn remove_secret(&self, repository: &RepositoryId, name: &str) -> Result<bool>;
    /// Keeps a token and the hash of its text.
    async fn keep_token(&self, token: &Token, hash: &str) -> Result<()>;
    /// All tokens, the oldest first.
    async fn tokens(&self) -> Result<Vec<Token>>;
    /// The token with this hash, whether it is still good or not.
    async fn token(&self, hash: &str) -> Result<Option<Token>>;
    /// Forgets a token. `false` when there is none of this id.
    async fn remove_token(&self, id: &str) -> Result<bool>;
    /// Makes a token the only one for the badges of `repository`; its text can be read again.
    ///
    /// # Errors
    /// `Refused` when there is no key to seal it with.
    async fn replace_badge_token(
        &self,
        repository: &RepositoryId,
        token: &Token,
        text: &Secret,
    ) -> Result<()>;
    /// The text of the token for the badges of a repository.
    ///
    /// # Errors
    /// `Refused` when it does not open with the key that there is.
    async fn badge_token(&self, repository: &RepositoryId) -> Result<Option<Secret>>;
    /// Whether something as large as a delivery can be kept. It is tried where the last attempt to keep something failed.
    ///
    /// # Errors
    /// `Transient` when it cannot.
    async fn takes_work(&self) -> Result<()>;
    /// What waits now.
    async fn waiting(&self, now_ms: i64) -> Result<Waiting>;
}
