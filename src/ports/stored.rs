//! What goes into the store, and what comes out of it.

use crate::domain::{
    BadgeValue, Build, Conclusion, Content, Job, Measure, Occasion, PersonId, Preparation,
    Repository, RepositoryId, Sha,
};
use crate::spec;

/// A webhook delivery, its signature checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// GitHub's id of it; a redelivery has the same.
    pub guid: String,
    /// The event's name.
    pub event: String,
    /// What was kept of its body.
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
    /// What was kept of its body.
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
    /// What the trigger was for, where that was found out only now.
    pub occasion: Option<Occasion>,
}

/// Why nothing comes of a trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nothing {
    /// The specification asks for nothing.
    Unselected,
    /// There is no specification.
    Unspecified,
    /// Nothing is ever built in this repository: its reports come from elsewhere.
    ReportsOnly,
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
    /// The GUID of the delivery that it follows from, where it was one.
    pub delivery: Option<String>,
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
