//! Reports that others upload: parts of a set, when a set is published, and how it is called.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::build::{Conclusion, JobFailure};
use super::id::{PersonId, RepositoryId, Sha};
use super::trigger::{Occasion, Trust};
use super::verdict::{self, Verdict};
use crate::report::{Coverage, Report};
use crate::text;

/// The most parts that a set has.
pub const PARTS: u32 = 200;
/// The longest label and name, in characters.
pub const LABEL: usize = 100;
/// How long a set is quiet before it is published, where nobody said how many parts there will be, in milliseconds.
pub const QUIET_MS: i64 = 60 * 1000;
/// How long parts are waited for, from the first one on, where it is known how many there will be.
pub const PATIENCE_MS: i64 = 30 * 60 * 1000;
/// The longest that somebody may ask to wait.
pub const WAIT_MAX: Duration = Duration::from_hours(2);
/// How long parts are kept after the last one.
pub const KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// How long an upload may pause.
pub const UNFINISHED_MS: i64 = 24 * 60 * 60 * 1000;

/// What is uploaded, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRequest {
    /// The commit that the reports are of.
    pub commit: Sha,
    /// When it was made, in unix milliseconds, where GitHub was asked.
    #[serde(default)]
    pub committed_ms: Option<i64>,
    /// What happened to it.
    pub occasion: Occasion,
    /// How far the reports are trusted.
    pub trust: Trust,
    /// Who uploads, where that is a person.
    pub sender: PersonId,
    /// The name of the set: untrusted text.
    pub name: String,
    /// The part's label; without one it is known by its content.
    pub part: Option<String>,
    /// How many parts there will be.
    pub parts: Option<u32>,
    /// How long to wait, in milliseconds.
    pub wait_ms: Option<i64>,
    /// What the file is called: untrusted text.
    pub path: String,
}

/// An upload that is being received, or was lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its id, which its file has too.
    pub id: String,
    /// The repository.
    pub repository: RepositoryId,
    /// What was asked for.
    pub request: UploadRequest,
    /// How many bytes it has.
    pub length: u64,
    /// How many of them are on disk for good.
    pub received: u64,
    /// The set that it is a part of, once it is all there.
    pub set: Option<String>,
}

/// A part of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportPart {
    /// Its label: untrusted text.
    pub label: String,
    /// The upload whose file it is.
    pub upload: String,
    /// What the file is called.
    pub path: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// SHA-256 of them, in hex.
    pub sha256: String,
}

/// What is sent for one commit under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportSet {
    /// Its id.
    pub id: String,
    /// The repository.
    pub repository: RepositoryId,
    /// The commit.
    pub commit: Sha,
    /// Its name: untrusted text.
    pub name: String,
    /// When the commit was made, in unix milliseconds, where GitHub was asked.
    pub committed_ms: Option<i64>,
    /// How far it is trusted: as its least trusted part.
    pub trust: Trust,
    /// What happened to the commit; where it is the head of a pull request, that.
    pub occasion: Occasion,
    /// The push, where it is uploaded for a branch that came to the head of that pull request as well.
    pub pushed: Option<Occasion>,
    /// Who sent the first part.
    pub sender: PersonId,
    /// How many parts there will be, where somebody said so.
    pub expected: Option<u32>,
    /// How long somebody asked to wait, in milliseconds.
    pub wait_ms: Option<i64>,
    /// When the first part came, in unix milliseconds.
    pub first_ms: i64,
    /// When the last part came.
    pub last_ms: i64,
    /// When it is published; `None` when all of it is.
    pub due_ms: Option<i64>,
    /// How often it was published.
    pub published: u32,
    /// Whether its parts are not kept any more.
    pub is_closed: bool,
    /// Its parts, in the order of their labels.
    pub parts: Vec<ReportPart>,
}

impl ReportSet {
    /// Takes in what another upload says of the set: what it says of parts and time counts; trust only gets less; and a
    /// pull request is not forgotten for a push, nor the push for it.
    pub fn join(&mut self, request: &UploadRequest) {
        self.expected = request.parts.or(self.expected);
        self.wait_ms = request.wait_ms.or(self.wait_ms);
        self.committed_ms = request.committed_ms.or(self.committed_ms);
        let rank = |trust: Trust| match trust {
            Trust::Fork => 0,
            Trust::Bot => 1,
            Trust::Trusted => 2,
        };
        if rank(request.trust) < rank(self.trust) {
            self.trust = request.trust;
        }
        let new = request.occasion.clone();
        match (self.occasion.pull().is_some(), new.pull().is_some()) {
            (true, false) => self.pushed = Some(new),
            (false, true) => self.pushed = Some(std::mem::replace(&mut self.occasion, new)),
            _ => self.occasion = new,
        }
    }

    /// What is to be spoken of when it is published: the pull request first, then the push.
    pub fn occasions(&self) -> impl Iterator<Item = &Occasion> {
        std::iter::once(&self.occasion).chain(&self.pushed)
    }

    /// When it is to be published now that it has this many parts: at once when all are there; else when the time for
    /// the rest is up; and where nobody knows of a rest, when it has been quiet.
    pub fn due_with(&self, received: u32) -> i64 {
        match self.expected {
            Some(expected) if received >= expected => self.last_ms,
            Some(_) => (self.first_ms + self.wait_ms.unwrap_or(PATIENCE_MS)).max(self.last_ms),
            None => self.last_ms + self.wait_ms.unwrap_or(QUIET_MS),
        }
    }

    /// Which parts did not come, in words; `None` when all did, or nobody knows of more.
    pub fn missing(&self) -> Option<String> {
        const NAMED: usize = 10;
        let expected = self.expected?;
        let received = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
        if received >= expected {
            return None;
        }
        let wait_ms = u64::try_from(self.wait_ms.unwrap_or(PATIENCE_MS)).unwrap_or_default();
        let waited = text::duration(Duration::from_millis(wait_ms));
        let said = format!("{received} of {expected} parts came in {waited}");
        let numbers: Option<BTreeSet<u32>> = self
            .parts
            .iter()
            .map(|part| part.label.parse().ok())
            .collect();
        let is_one = |number: &u32| (1..=expected).contains(number);
        let Some(numbers) = numbers.filter(|all| all.iter().all(is_one)) else {
            return Some(said);
        };
        let missing: Vec<String> = (1..=expected)
            .filter(|number| !numbers.contains(number))
            .map(|number| number.to_string())
            .collect();
        let verb = if missing.len() == 1 { "is" } else { "are" };
        let (shown, more) = missing.split_at(missing.len().min(NAMED));
        let named = match (shown.split_last(), more.len()) {
            (Some((last, rest)), 0) if !rest.is_empty() => {
                format!("{} and {last}", rest.join(", "))
            }
            (_, 0) => shown.join(", "),
            (_, more) => format!("{} and {more} more", shown.join(", ")),
        };
        Some(format!("{said}: {named} {verb} missing"))
    }
}

/// What came of a part that is all there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// It is a part of this set now.
    New(Box<ReportSet>),
    /// It is the same as this part of the set: nothing has changed.
    Known(Box<ReportSet>, ReportPart),
    /// The set's parts are not kept any more.
    Closed,
    /// The set has as many parts as it may.
    Full,
}

/// Whether a text can be a name or a label: 1 to [`LABEL`] characters without control characters.
pub fn is_label(text: &str) -> bool {
    let count = text.chars().count();
    (1..=LABEL).contains(&count) && !text.chars().any(char::is_control) && text.trim() == text
}

/// What is known when the parts of a set were read.
#[derive(Debug)]
pub struct UploadFacts<'a> {
    /// What they say.
    pub report: &'a Report,
    /// How many of the failed tests do not count.
    pub tolerated: u64,
    /// What is wrong with the files that they were in.
    pub problems: &'a [String],
    /// Which parts did not come.
    pub missing: Option<String>,
    /// The fewest tests that they must hold, where there are any.
    pub min_tests: u64,
}

/// The verdict over what was uploaded.
pub fn verdict(facts: &UploadFacts<'_>) -> Verdict {
    let totals = facts.report.totals();
    let coverage = facts.report.coverage.as_ref().map(Coverage::lines);
    let coverage = coverage.filter(|lines| lines.total > 0);
    let report = |text: &String| JobFailure::Report { text: text.clone() };
    let mut failures: Vec<JobFailure> = facts.missing.iter().map(report).collect();
    if totals.failed + totals.errors > facts.tolerated {
        failures.push(JobFailure::Tests);
    }
    failures.extend(verdict::broken(facts.report));
    failures.extend(facts.problems.iter().map(report));
    let counted = match coverage {
        _ if totals.tests > 0 => verdict::counts(&totals, facts.tolerated),
        // Never called more than it is.
        Some(lines) => format!("coverage {:.1} %", (lines.percent() * 10.0).floor() / 10.0),
        None => "there is no report in what was uploaded".to_owned(),
    };
    if totals.tests == 0 && coverage.is_none() && failures.is_empty() {
        failures.push(report(&counted));
    }
    if totals.tests > 0 && totals.tests < facts.min_tests {
        let has = text::plural(totals.tests, "test");
        let least = facts.min_tests;
        failures.push(report(&format!(
            "the reports hold {has}, at least {least} are required"
        )));
    }
    let title = match failures.first() {
        Some(JobFailure::Report { text }) if facts.missing.is_some() => {
            format!("{text}; {counted}")
        }
        Some(JobFailure::Report { text } | JobFailure::Step { text }) => text.clone(),
        Some(JobFailure::Tests) | None => counted,
    };
    let took = Duration::try_from_secs_f64(totals.duration_seconds).unwrap_or_default();
    Verdict {
        conclusion: if failures.is_empty() {
            Conclusion::Success
        } else {
            Conclusion::Failure
        },
        title: if took.is_zero() || facts.missing.is_some() {
            title
        } else {
            format!("{title} in {}", text::duration(took))
        },
        failures,
    }
}

#[cfg(test)]
mod tests {
    use super::{PATIENCE_MS, QUIET_MS, ReportPart, ReportSet, is_label};
    use crate::domain::{Occasion, PersonId, RepositoryId, Sha, Trust};

    fn set(expected: Option<u32>, wait_ms: Option<i64>, labels: &[&str]) -> ReportSet {
        let part = |label: &&str| ReportPart {
            label: (*label).to_owned(),
            upload: String::new(),
            path: String::new(),
            bytes: 0,
            sha256: String::new(),
        };
        ReportSet {
            id: "s".to_owned(),
            repository: RepositoryId::new("github.test", 1),
            commit: Sha::parse(&"a".repeat(40)).unwrap(),
            name: "unit".to_owned(),
            committed_ms: None,
            trust: Trust::Trusted,
            occasion: Occasion::Push {
                branch: "main".to_owned(),
                before: None,
            },
            pushed: None,
            sender: PersonId::NOBODY,
            expected,
            wait_ms,
            first_ms: 1_000,
            last_ms: 5_000,
            due_ms: None,
            published: 0,
            is_closed: false,
            parts: labels.iter().map(part).collect(),
        }
    }

    #[test]
    fn a_set_is_due_when_it_is_whole_quiet_or_its_time_is_up() {
        assert_eq!(set(None, None, &[]).due_with(1), 5_000 + QUIET_MS);
        assert_eq!(set(None, Some(9), &[]).due_with(1), 5_009);
        assert_eq!(set(Some(3), None, &[]).due_with(2), 1_000 + PATIENCE_MS);
        assert_eq!(set(Some(3), None, &[]).due_with(3), 5_000);
        assert_eq!(set(Some(3), None, &[]).due_with(4), 5_000);
        // The time was up before the late one came.
        assert_eq!(set(Some(3), Some(9), &[]).due_with(2), 5_000);
    }

    #[test]
    fn missing_parts_are_named_where_they_have_numbers() {
        let said = |expected, labels: &[&str]| set(Some(expected), None, labels).missing();
        assert_eq!(
            said(5, &["1", "2", "3"]).unwrap(),
            "3 of 5 parts came in 30m: 4 and 5 are missing"
        );
        assert_eq!(
            said(2, &["2"]).unwrap(),
            "1 of 2 parts came in 30m: 1 is missing"
        );
        assert_eq!(
            said(3, &["linux", "2"]).unwrap(),
            "2 of 3 parts came in 30m"
        );
        assert_eq!(said(2, &["0"]).unwrap(), "1 of 2 parts came in 30m");
        assert_eq!(said(2, &["1", "2"]), None);
        assert_eq!(set(None, None, &["1"]).missing(), None);
        let many = said(40, &["1"]).unwrap();
        assert!(
            many.ends_with("9, 10, 11 and 29 more are missing"),
            "{many}"
        );
    }

    #[test]
    fn a_label_is_one_short_line() {
        for good in ["2", "linux / x64", &"ü".repeat(100)] {
            assert!(is_label(good), "{good}");
        }
        for bad in ["", " ", "a\nb", "a\u{0}", " a", &"a".repeat(101)] {
            assert!(!is_label(bad), "{bad}");
        }
    }
}
