//! What is shown on GitHub, as the state that each thing there should have.
//!
//! A publication is one thing on GitHub (a check run, a status, the comment) with the content it
//! should have now. Only the newest content counts; what it was in between need not be sent.

use serde::{Deserialize, Serialize};

use super::build::Conclusion;
use super::deployment::{Deployment, DeploymentState, PromotionPull};
use super::id::Sha;

/// Where a check run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// Waits.
    Queued,
    /// Is being carried out.
    InProgress,
    /// Has ended.
    Completed(Conclusion),
}

/// How serious an annotation is. GitHub's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Red.
    Failure,
    /// Yellow.
    Warning,
    /// Blue.
    Notice,
}

/// A remark on lines of a file. The limits are GitHub's; `feedback` keeps them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    /// Path in the repository, with `/`.
    pub path: String,
    /// First line, from 1.
    pub start_line: u32,
    /// Last line, from `start_line`.
    pub end_line: u32,
    /// How serious it is.
    #[serde(rename = "annotation_level")]
    pub level: Level,
    /// At most 255 characters of plain text.
    pub title: String,
    /// At most 64 KiB of plain text, never empty.
    pub message: String,
    /// At most 64 KiB of further plain text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub raw_details: Option<String>,
}

/// A button on a finished check run. At most three; 20, 40 and 20 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// What stands on it.
    pub label: String,
    /// What it does.
    pub description: String,
    /// What comes back in `check_run.requested_action`.
    pub identifier: String,
}

/// A check run on a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRun {
    /// The commit.
    pub commit: Sha,
    /// Its name, which rulesets refer to.
    pub name: String,
    /// Where "Details" leads.
    pub details_url: String,
    /// Where it is.
    pub state: CheckState,
    /// When it started, in unix milliseconds.
    pub started_ms: Option<i64>,
    /// When it ended, in unix milliseconds.
    pub completed_ms: Option<i64>,
    /// One line.
    pub title: String,
    /// Markdown, at most 65,535 bytes.
    pub summary: String,
    /// Remarks, the most useful first; at most 1,000.
    pub annotations: Vec<Annotation>,
    /// Buttons.
    pub actions: Vec<Action>,
}

/// The state of a commit status. GitHub's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusState {
    /// Not ended.
    Pending,
    /// Good.
    Success,
    /// Red.
    Failure,
    /// Herald or the specification, not the code.
    Error,
}

/// A commit status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The commit.
    pub commit: Sha,
    /// Its name.
    pub context: String,
    /// How it stands.
    pub state: StatusState,
    /// At most 140 characters.
    pub description: String,
    /// Where "Details" leads.
    pub target_url: String,
}

/// The one comment on a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// The pull request's number.
    pub pull: i64,
    /// Hidden text in the body by which it is found again.
    pub marker: String,
    /// The whole body, at most 65,000 bytes.
    pub body: String,
    /// Whether it is worth a first comment; if not, only an existing one is edited.
    pub worth_a_first: bool,
    /// Whether it answers somebody: what builds have to say goes first.
    #[serde(default)]
    pub is_answer: bool,
}

/// A reaction to somebody's comment: it was understood and done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// GitHub's id of the comment.
    pub comment: i64,
    /// GitHub's word for it, as in `+1`.
    pub content: String,
}

/// What somebody is answered who asked in a comment: a reaction to it, or a comment of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What is answered; to the same there is one answer, the first.
    pub to: String,
    /// The answer.
    pub content: Content,
}

/// The content of a publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Content {
    /// A check run.
    Check(CheckRun),
    /// A commit status.
    Status(Status),
    /// A comment.
    Comment(Comment),
    /// A reaction.
    Reaction(Reaction),
    /// A deployment.
    Deployment(Deployment),
    /// The pull request by which a candidate is promoted.
    Promotion(PromotionPull),
}

impl Content {
    /// Conclusions go before progress, and everything before comments: 0 is sent first.
    pub fn priority(&self) -> i64 {
        match self {
            Self::Check(check) => match check.state {
                CheckState::Completed(_) => 0,
                CheckState::Queued => 1,
                CheckState::InProgress => 2,
            },
            Self::Status(status) => match status.state {
                StatusState::Pending => 2,
                _ => 0,
            },
            // A person waits for it.
            Self::Reaction(_) => 1,
            Self::Comment(comment) if comment.is_answer => 4,
            Self::Comment(_) | Self::Promotion(_) => 3,
            Self::Deployment(deployment) => match deployment.state {
                DeploymentState::Queued => 1,
                DeploymentState::InProgress => 2,
                _ => 0,
            },
        }
    }
}

/// What a publication is about: its identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The check run of this name for one attempt.
    Check {
        /// The check run's name.
        name: String,
        /// The job's key; `None` for the check run of the whole build.
        job: Option<String>,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// The status of this context.
    Status {
        /// The status's name.
        context: String,
    },
    /// The comment of this pull request.
    Comment {
        /// Its number.
        pull: i64,
    },
    /// The deployment that one attempt of a job is.
    Deployment {
        /// The job's key.
        job: String,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// The pull request between these branches.
    Promotion {
        /// The branch of the candidate.
        from: String,
        /// The branch of what is released.
        to: String,
    },
}

/// A thing on GitHub and what it should say now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Which thing.
    pub target: Target,
    /// What it should say.
    pub content: Content,
}

/// What a badge says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadgeValue {
    /// `build`, `tests`, `coverage`, `deploy`, `release`.
    pub kind: String,
    /// The job's key; empty for the whole build.
    pub job: String,
    /// The left half, where it is not the kind.
    pub label: Option<String>,
    /// The right half.
    pub message: String,
    /// A colour name of the badge palette.
    pub color: String,
}
