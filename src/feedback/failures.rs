//! Failed tests as Markdown.

use std::collections::HashSet;

use super::annotations::{display_name, log_address, without_locals};
use super::links::lead_to_builds;
use super::summary::short;
use crate::domain::history::{Verdict, Verdicts};
use crate::report::{Report, Test};
use crate::text::{ansi, markdown, shorten};

/// Bytes of details for one failure.
const DETAILS: usize = 3_000;

/// A failed test in the template.
pub(super) struct Failure {
    pub(super) mark: &'static str,
    pub(super) name: String,
    pub(super) place: String,
    pub(super) message: String,
    pub(super) details: String,
}

/// What is known beside the report.
pub(super) struct Known<'a> {
    /// The page of the build; empty where there is none.
    pub(super) page: &'a str,
    pub(super) verdicts: &'a Verdicts<'a>,
    /// Ids of tests whose failures do not count.
    pub(super) tolerated: &'a HashSet<&'a str>,
}

impl Known<'_> {
    /// A failed test on one line.
    pub(super) fn by_name(&self, test: &Test) -> String {
        let (mark, name) = (self.mark(test), short(&display_name(test), 200));
        match self.places(test).as_slice() {
            [] => format!("{mark} {name}"),
            places => format!("{mark} {name} – {}", places.join(" · ")),
        }
    }

    fn mark(&self, test: &Test) -> &'static str {
        if self.tolerated.contains(test.id.as_str()) {
            "⚠️"
        } else {
            "❌"
        }
    }

    /// What is known of a failed test, where it is in the repository, and a link to where the log speaks of it.
    fn places(&self, test: &Test) -> Vec<String> {
        let verdict = self.verdicts.of(&test.id);
        let verdict = verdict.map(|verdict| format!("**{}**", words(verdict, self.page)));
        verdict.into_iter().chain(ways(test, self.page)).collect()
    }
}

impl Failure {
    /// With details where it is said whether local variables are shown in them.
    pub(super) fn new(test: &Test, show_locals: Option<bool>, known: &Known<'_>) -> Self {
        let message = ansi::strip(test.message.as_deref().unwrap_or_default());
        let first_line = message.trim().lines().next().unwrap_or_default();
        let details = match (&test.details, show_locals) {
            (Some(details), Some(show_locals)) if !details.trim().is_empty() => {
                let text = without_locals(&ansi::strip(details), show_locals);
                markdown::fence(&shorten::head_and_tail(text.trim_end(), DETAILS), "text")
            }
            _ => String::new(),
        };
        Self {
            mark: known.mark(test),
            name: short(&display_name(test), 200),
            place: known.places(test).join(" · "),
            message: short(first_line, 300),
            details,
        }
    }
}

/// What is known of a failure, with links to the builds that are named in it.
pub(super) fn words(verdict: &Verdict, page: &str) -> String {
    match verdict {
        // A person wrote the reason.
        Verdict::Quarantined { .. } => short(&verdict.words(), 300),
        _ => lead_to_builds(&verdict.words(), page),
    }
}

/// Where a failed test is in the repository, and a link to where the log speaks of it.
pub(super) fn ways(test: &Test, page: &str) -> Vec<String> {
    let place = test.location.as_ref();
    let place = place.map(|place| markdown::code(&format!("{}:{}", place.path, place.line)));
    let log = log_address(test, page).map(|address| format!("[log]({address})"));
    place.into_iter().chain(log).collect()
}

/// The failed tests: plain failures before errors is the order of the report, kept.
pub(super) fn failed(report: &Report) -> Vec<&Test> {
    let tests = report.tests.iter();
    tests.filter(|test| test.outcome.is_red()).collect()
}
