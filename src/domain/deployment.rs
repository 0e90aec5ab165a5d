//! Deployments, and the promotion of a candidate to the branch that is deployed.

use serde::{Deserialize, Serialize};

use super::build::{Conclusion, State};
use super::id::{PersonId, Sha};
use crate::text::shorten;

/// Who approved a deployment: this job of this build, and no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployApproval {
    /// The person; [`PersonId::NOBODY`] is the operator.
    pub person: PersonId,
    /// When, in unix milliseconds.
    pub at_ms: i64,
}

/// Where a deployment is. GitHub's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentState {
    /// Waits for its turn.
    Queued,
    /// Is being carried out.
    InProgress,
    /// What was to be deployed is.
    Success,
    /// Its steps failed.
    Failure,
    /// It was ended in the middle.
    Error,
    /// It never began. One that GitHub does not know is not made for it.
    Inactive,
}

impl DeploymentState {
    /// GitHub's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Error => "error",
            Self::Inactive => "inactive",
        }
    }

    /// Whether it has ended.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::InProgress)
    }
}

/// A deployment as it is shown on GitHub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// The commit that is deployed.
    pub commit: Sha,
    /// Where to: one line, at most 255 characters.
    pub environment: String,
    /// What it is, at most 140 characters.
    pub about: String,
    /// Where it is.
    pub state: DeploymentState,
    /// How it stands, at most 140 characters.
    pub description: String,
    /// Where its log is.
    pub log_url: String,
    /// Where the environment can be looked at.
    pub environment_url: Option<String>,
    /// Whether people who use the software see it.
    pub is_production: bool,
    /// Whether the environment is there for one change only.
    pub is_transient: bool,
    /// What stands on the left of the badge `deploy`, where that is not the kind.
    pub badge_label: Option<String>,
}

impl Deployment {
    /// Whether it is made where GitHub does not know it yet.
    pub fn is_worth_making(&self) -> bool {
        self.state != DeploymentState::Inactive
    }

    /// Ends one that another attempt takes the place of, in these words.
    pub fn end(&mut self, words: &str) {
        self.state = match self.state {
            DeploymentState::Queued => DeploymentState::Inactive,
            _ => DeploymentState::Error,
        };
        self.description = shorten::chars(words, Self::DESCRIPTION).into_owned();
    }

    /// GitHub's limit of a description, in characters.
    pub const DESCRIPTION: usize = 140;
}

/// A job that has deployed, or does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployedJob {
    /// Where to. Untrusted text.
    pub environment: String,
    /// Where that can be looked at.
    pub url: Option<String>,
    /// The number of its build.
    pub build: i64,
    /// The commit.
    pub commit: Sha,
    /// The job's key.
    pub job: String,
    /// Which attempt of it, from 1.
    pub attempt: u32,
    /// Where it is.
    pub state: State,
    /// How it ended, when it has.
    pub conclusion: Option<Conclusion>,
    /// When it began, in unix milliseconds.
    pub started_ms: i64,
    /// When it ended.
    pub finished_ms: Option<i64>,
}

/// What was deployed to an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The newest deployment.
    pub newest: DeployedJob,
    /// The newest one that succeeded: what is there.
    pub live: Option<DeployedJob>,
}

/// A change that landed on a branch: what one of the commits along its first parents brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landed {
    /// The commit.
    pub commit: Sha,
    /// The pull request that it says it is.
    pub pull: Option<i64>,
    /// What it is called. Untrusted text.
    pub title: String,
}

impl Landed {
    /// Reads what a commit says of itself, as GitHub writes it when a pull request is merged (`Merge pull request #12 from
    /// owner/branch`, with its title as the body) or squashed (`Title (#12)`).
    pub fn read(commit: Sha, subject: &str, body: &str) -> Self {
        let (pull, title) = merged(subject, body)
            .or_else(|| squashed(subject))
            .map_or((None, subject), |(number, title)| (Some(number), title));
        Self {
            commit,
            pull,
            title: title.trim().to_owned(),
        }
    }
}

fn merged<'a>(subject: &'a str, body: &'a str) -> Option<(i64, &'a str)> {
    let rest = subject.strip_prefix("Merge pull request #")?;
    let (number, from) = rest.split_once(' ')?;
    let branch = from.strip_prefix("from ").unwrap_or(from);
    let title = body.lines().find(|line| !line.trim().is_empty());
    Some((pull_number(number)?, title.unwrap_or(branch)))
}

fn squashed(subject: &str) -> Option<(i64, &str)> {
    let (title, number) = subject.trim_end().strip_suffix(')')?.rsplit_once(" (#")?;
    Some((pull_number(number)?, title))
}

/// A number as GitHub writes it.
fn pull_number(digits: &str) -> Option<i64> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// A candidate and what it has that is not released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotion {
    /// The branch of the candidate.
    pub from: String,
    /// The branch of what is released.
    pub to: String,
    /// When that was found out, in unix milliseconds.
    pub at_ms: i64,
    /// The changes, the newest first; never empty.
    pub changes: Vec<Landed>,
    /// Whether there are more of them.
    pub has_more: bool,
}

/// The pull request by which a candidate is promoted, as it should be on GitHub. Only what is between the marks is ours in
/// its body, and its title as long as nobody wrote another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromotionPull {
    /// The branch of the candidate.
    pub from: String,
    /// The branch of what is released.
    pub to: String,
    /// When it was found out what it contains, in unix milliseconds: what is known later counts.
    pub at_ms: i64,
    /// One line.
    pub title: String,
    /// The hidden texts before and after our part of the body.
    pub marks: (String, String),
    /// Our part of the body, with the marks: Markdown of at most 60,000 bytes.
    pub part: String,
    /// Whether it is opened where there is none.
    pub is_ready: bool,
}

impl PromotionPull {
    /// What the titles of ours begin with.
    fn beginning(&self) -> String {
        format!("Deploy {} to {}", self.from, self.to)
    }

    /// The title for so many changes.
    pub fn title_of(from: &str, to: &str, changes: usize, has_more: bool) -> String {
        let word = if changes == 1 { "change" } else { "changes" };
        let more = if has_more { "+" } else { "" };
        format!("Deploy {from} to {to}: {changes}{more} {word}")
    }

    /// The title that a pull request with this one should have, if it is another one: a person may have written it.
    pub fn new_title(&self, now: &str) -> Option<&str> {
        let count = now.strip_prefix(&self.beginning())?.strip_prefix(": ")?;
        let number = count
            .strip_suffix(" changes")
            .or_else(|| count.strip_suffix(" change"))?;
        let number = number.strip_suffix('+').unwrap_or(number);
        let is_ours = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        (is_ours && now != self.title).then_some(self.title.as_str())
    }

    /// The body that a pull request with this one should have; `None` where no part of it is ours.
    pub fn new_body(&self, now: &str) -> Option<String> {
        let (begin, end) = &self.marks;
        let (before, rest) = now.split_once(begin.as_str())?;
        let (_, after) = rest.split_once(end.as_str())?;
        Some(format!("{before}{}{after}", self.part))
    }
}

#[cfg(test)]
mod tests {
    use super::{Landed, PromotionPull};
    use crate::domain::Sha;

    #[test]
    fn what_a_commit_brought_is_read_from_what_github_writes() {
        for (subject, body, pull, title) in [
            ("Fix it (#12)", "", Some(12), "Fix it"),
            (
                "Revert \"Fix it (#12)\" (#13)",
                "",
                Some(13),
                "Revert \"Fix it (#12)\"",
            ),
            (
                "Merge pull request #7 from octo/fix",
                "\nFix it\n\nLong",
                Some(7),
                "Fix it",
            ),
            (
                "Merge pull request #7 from octo/fix",
                "",
                Some(7),
                "octo/fix",
            ),
            ("Fix #12", "", None, "Fix #12"),
            ("Fix (#x)", "", None, "Fix (#x)"),
            ("Fix (#)", "", None, "Fix (#)"),
            (
                "Fix (#99999999999999999999)",
                "",
                None,
                "Fix (#99999999999999999999)",
            ),
            (
                "Merge pull request #x from a",
                "b",
                None,
                "Merge pull request #x from a",
            ),
            ("", "", None, ""),
        ] {
            let commit = Sha::parse(&"a".repeat(40)).unwrap();
            let landed = Landed::read(commit, subject, body);
            assert_eq!(
                (landed.pull, landed.title.as_str()),
                (pull, title),
                "{subject}"
            );
        }
    }

    #[test]
    fn what_people_wrote_into_a_promotion_stays() {
        let ours = PromotionPull {
            from: "main".to_owned(),
            to: "production".to_owned(),
            at_ms: 0,
            title: PromotionPull::title_of("main", "production", 2, false),
            marks: ("<!-- a -->".to_owned(), "<!-- /a -->".to_owned()),
            part: "<!-- a -->new<!-- /a -->".to_owned(),
            is_ready: true,
        };
        assert_eq!(ours.title, "Deploy main to production: 2 changes");
        let new = Some(ours.title.as_str());
        for now in ["1 change", "12 changes", "1000+ changes"] {
            let now = format!("Deploy main to production: {now}");
            assert_eq!(ours.new_title(&now), new, "{now}");
        }
        for now in [
            "Deploy main to production: 2 changes",
            "Deploy main to production: two changes",
            "Deploy main to production",
            "Release 2.0",
        ] {
            assert_eq!(ours.new_title(now), None, "{now}");
        }
        let body = "Look at #3 first.\n<!-- a -->old<!-- /a -->\nThanks";
        assert_eq!(
            ours.new_body(body).unwrap(),
            "Look at #3 first.\n<!-- a -->new<!-- /a -->\nThanks"
        );
        for theirs in [
            "",
            "Release",
            "<!-- a --> without its end",
            "<!-- /a --><!-- a -->",
        ] {
            assert_eq!(ours.new_body(theirs), None, "{theirs}");
        }
    }
}
