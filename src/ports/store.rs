//! The durable state.
//!
//! Every method is one transaction: it takes effect as a whole or not at all, and when it has
//! returned, it survives a crash. Work is handed out under a lease: who does not come back in
//! time loses it to the next who asks, and can say nothing about it any more.

use std::sync::Arc;

use async_trait::async_trait;

use super::error::Result;
use crate::domain::{
    BadgeValue, Build, BuildId, BuildView, Change, Conclusion, Content, InstallationId, Job, JobId,
    JobResult, Measure, PersonId, Preparation, Publication, PullRequest, RegisteredApp, Repository,
    RepositoryId, Secret, Sha, StepRecord, Token, Trigger,
};
use crate::spec;

/// A webhook delivery as it arrived, its signature checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// GitHub's id of it; a redelivery has the same.
    pub guid: String,
    /// The event's name.
    pub event: String,
    /// The raw body.
    pub body: String,
    /// When it arrived, in unix milliseconds.
    pub received_ms: i64,
}

/// Whether a delivery was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is waiting to be handled now.
    Waiting,
    /// It was handled or was waiting already; nothing was done.
    Known,
}

/// Deliveries that are handled one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Those that need nothing but the store.
    Quick,
    /// Those for which GitHub may have to be asked, which takes its time.
    Asking,
}

/// A commit that waits for approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaiting {
    /// The commit.
    pub commit: Sha,
    /// When the pull request came to have it, by GitHub's clock, in unix milliseconds.
    pub since_ms: i64,
}

/// A delivery to handle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// GitHub's id of it.
    pub guid: String,
    /// The event's name.
    pub event: String,
    /// The raw body.
    pub body: String,
    /// How often handling it was tried before.
    pub tries: u32,
}

/// What an operator sees of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptDelivery {
    /// GitHub's id of it.
    pub guid: String,
    /// The event's name.
    pub event: String,
    /// When it arrived, in unix milliseconds.
    pub received_ms: i64,
    /// `waiting`, `handled`, `failed`.
    pub state: String,
    /// What went wrong last.
    pub error: Option<String>,
}

/// What came of handling a delivery again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replayed {
    /// It waits now, with its tries counted from the beginning.
    Waiting,
    /// It was handled; nothing was done.
    Handled,
    /// There is none of this GUID.
    Unknown,
}

/// A build about to be, made from a trigger.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildDraft {
    /// The commit whose tree is tested.
    pub tested: Sha,
    /// Hash over the specification and the selected jobs.
    pub specification: String,
    /// What was found.
    pub plan: Preparation,
    /// Its jobs in the order of the plan.
    pub jobs: Vec<DraftJob>,
    /// For a build that ends without running: how, and why as people read it.
    pub ended: Option<(Conclusion, String)>,
    /// Who approved it by asking for it: an author with write permission.
    pub approved_by: Option<PersonId>,
}

/// A job of a draft.
#[derive(Debug, Clone, PartialEq)]
pub struct DraftJob {
    /// What to carry out.
    pub order: spec::JobSpecification,
    /// Why it is left out, if it is.
    pub skipped: Option<String>,
}

/// A job to carry out.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The job.
    pub job: Job,
    /// Its build.
    pub build: Build,
    /// Its repository.
    pub repository: Repository,
}

/// What the holder of a job is told when it renews the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heartbeat {
    /// Go on.
    Go,
    /// End it, with the reason as people read it.
    Cancel(String),
    /// Somebody else has it; say no more about it.
    Lost,
}

/// A publication to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its id: GitHub's `external_id`.
    pub id: String,
    /// The repository.
    pub repository: Repository,
    /// What it should say.
    pub content: Content,
    /// Which version of the content this is.
    pub version: i64,
    /// GitHub's id of it, when it is known to exist.
    pub remote: Option<String>,
    /// How many annotations are known to be there.
    pub annotations_sent: usize,
    /// Whether an earlier attempt ended without a clear answer, so that one must look first.
    pub uncertain: bool,
    /// Whether it belongs to a former attempt: where it is not on GitHub it is not made any more.
    pub former: bool,
    /// How often sending this was tried in a row.
    pub tries: u32,
    /// Until when it is leased: what is said after another one has taken it does not count.
    pub lease_ms: i64,
}

/// How sending went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// All of this version is there.
    All,
    /// More annotations remain.
    Part,
    /// Not now; try at this moment (unix milliseconds). Whether it took effect is unknown if
    /// `uncertain`.
    Later {
        /// When.
        at_ms: i64,
        /// What happened, for operators.
        error: String,
        /// Whether it may have taken effect.
        uncertain: bool,
    },
    /// A rate limit stands in the way: not before this moment. No failure, and what was uncertain
    /// before stays so.
    Wait {
        /// When, in unix milliseconds.
        until_ms: i64,
    },
    /// Never; give this version up.
    Never {
        /// What happened, for operators.
        error: String,
    },
}

/// What a finished build says of its branch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spoken {
    /// Values of badges.
    pub badges: Vec<BadgeValue>,
    /// What is shown of it over time.
    pub measure: Option<Measure>,
}

/// A badge's value with what decides whether it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBadge {
    /// Whose it is.
    pub repository: RepositoryId,
    /// What it says.
    pub value: BadgeValue,
    /// Whether the repository is not public.
    pub private: bool,
}

/// A stored secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// Its name.
    pub name: String,
    /// When it was stored last, in unix milliseconds.
    pub updated_ms: i64,
}

/// What waits, and for when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Deliveries not handled.
    pub deliveries: i64,
    /// Triggers not prepared.
    pub triggers: i64,
    /// Jobs that could start.
    pub jobs: i64,
    /// Jobs that run.
    pub running: i64,
    /// Builds whose state is not rendered yet.
    pub builds: i64,
    /// Publications not sent.
    pub publications: i64,
}

/// Trouble of ours that ended a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interruption {
    /// What happened, in words that read after "Herald could not finish: ".
    pub what: String,
    /// How many attempts there may be; `None` when this one does not count, and the next may start
    /// at once. Otherwise each waits twice as long as the one before.
    pub attempts: Option<u32>,
    /// When the next one may start at the earliest, in unix milliseconds.
    pub not_before_ms: i64,
}

/// Why a trigger waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postponement {
    /// What happened.
    pub what: String,
    /// When it is tried again, in unix milliseconds.
    pub retry_ms: i64,
    /// Whether it was a failure: of those there may be only so many.
    pub counts: bool,
}

/// What is known of an open pull request with this head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownPull {
    /// It was built, is being built, or somebody wanted it not to be.
    Yes,
    /// The same, but as a change to another branch.
    OtherBase,
    /// Nothing.
    No,
}

/// Limits on how much runs at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Over the whole server.
    pub total: i64,
    /// In one repository.
    pub per_repository: i64,
}

/// What stands between a build and its next job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Queue {
    /// Jobs of other builds that come before.
    pub ahead: i64,
    /// Those of them in the same repository.
    pub ahead_here: i64,
    /// Jobs that run.
    pub running: i64,
    /// Those of them in the same repository.
    pub running_here: i64,
}

impl Queue {
    /// How many jobs a build has to wait for, of those that come before; none when there is room
    /// for it now.
    pub fn waits_for(self, room: Room) -> u64 {
        let ahead = if self.running >= room.total {
            self.ahead
        } else if self.running_here >= room.per_repository {
            self.ahead_here
        } else {
            0
        };
        u64::try_from(ahead).unwrap_or(0)
    }
}

/// The durable state.
#[async_trait]
pub trait Store: Send + Sync {
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
    /// The trigger wants nothing built; `unspecified` when there is no specification at all.
    async fn drop_trigger(&self, trigger: &str, unspecified: bool, now_ms: i64) -> Result<()>;
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
    /// Running jobs whose lease ended before `now_ms`, or that `worker` held (it has just
    /// started, so it holds none).
    async fn lost_jobs(&self, worker: &str, now_ms: i64) -> Result<Vec<(JobId, String)>>;

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
    /// What waits now.
    async fn waiting(&self, now_ms: i64) -> Result<Waiting>;
}
