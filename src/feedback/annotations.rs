//! Failures and specification errors as annotations.

use std::collections::HashSet;

use crate::domain::{Annotation, Level};
use crate::report::{Outcome, Report, Test};
use crate::spec::{Problem, Severity};
use crate::text::{ansi, shorten};

/// At most this many annotations per check run, by the contract.
pub(super) const MOST: usize = 1_000;
/// GitHub's limit of a title, in characters.
const TITLE: usize = 255;
/// Of a message we show this many bytes; GitHub takes 64 KiB, nobody reads them.
const MESSAGE: usize = 4 * 1024;
/// The same for the details behind a click.
const DETAILS: usize = 16 * 1024;

/// What of a report is annotated, and how.
#[derive(Debug, Clone, Copy, Default)]
pub struct AnnotationOptions<'a> {
    /// Ids of failed tests on lines that the change adds: those come first.
    pub in_diff: &'a [String],
    /// Ids of failed tests that do not count: those are warnings, and come last.
    pub tolerated: &'a [String],
    /// Leaves out what is not on such lines.
    pub only_in_diff: bool,
    /// Whether local variables in tracebacks are shown.
    pub show_locals: bool,
    /// The address of the build's page, for what leads to a line of a log; empty where there is none.
    pub page: &'a str,
}

/// Annotations for all failed tests that have a place.
pub fn annotations(report: &Report, options: AnnotationOptions<'_>) -> Vec<Annotation> {
    let (mut first, mut rest, mut last) = (Vec::new(), Vec::new(), Vec::new());
    let in_diff: HashSet<&String> = options.in_diff.iter().collect();
    let tolerated: HashSet<&String> = options.tolerated.iter().collect();
    for test in report.tests.iter().filter(|test| test.outcome.is_red()) {
        let is_in_diff = in_diff.contains(&test.id);
        if options.only_in_diff && !is_in_diff {
            continue;
        }
        let Some(mut annotation) = annotation(test, options.show_locals, options.page) else {
            continue;
        };
        if tolerated.contains(&test.id) {
            annotation.level = Level::Warning;
            last.push(annotation);
        } else if is_in_diff {
            first.push(annotation);
        } else {
            rest.push(annotation);
        }
    }
    first.append(&mut rest);
    first.append(&mut last);
    first.truncate(MOST);
    first
}

fn annotation(test: &Test, show_locals: bool, page: &str) -> Option<Annotation> {
    let location = test.location.as_ref()?;
    let line = location.line.max(1);
    let mut message = ansi::strip(test.message.as_deref().unwrap_or_default())
        .trim()
        .to_owned();
    let details = test
        .details
        .as_deref()
        .map(|details| without_locals(&ansi::strip(details), show_locals))
        .filter(|details| !details.trim().is_empty());
    if message.is_empty() {
        // The last line of a traceback says what happened.
        let last = details
            .as_deref()
            .and_then(|details| details.lines().rfind(|line| !line.trim().is_empty()))
            .unwrap_or(match test.outcome {
                Outcome::Error => "error",
                _ => "failed",
            });
        last.clone_into(&mut message);
    }
    message = shorten::head_and_tail(&message, MESSAGE).into_owned();
    if let Some(address) = log_address(test, page) {
        message.push_str(&format!("\n\nLog: {address}"));
    }
    Some(Annotation {
        path: location.path.clone(),
        start_line: line,
        end_line: line,
        level: Level::Failure,
        title: shorten::chars(&display_name(test), TITLE).into_owned(),
        message,
        raw_details: details.map(|text| shorten::head_and_tail(&text, DETAILS).into_owned()),
    })
}

/// Where the log speaks of a failed test.
pub(super) fn log_address(test: &Test, page: &str) -> Option<String> {
    // A run on somebody's own machine has no pages.
    let line = test.log.as_ref().filter(|_| !page.is_empty())?;
    Some(format!("{page}{}", line.address()))
}

/// A test's name as people read it.
pub(super) fn display_name(test: &Test) -> String {
    let name = test.name.split_whitespace().collect::<Vec<_>>().join(" ");
    if name.is_empty() {
        test.class
            .clone()
            .unwrap_or_else(|| "unnamed test".to_owned())
    } else {
        name
    }
}

/// The problems of a specification as annotations on its file.
pub(super) fn specification(path: &str, problems: &[Problem]) -> Vec<Annotation> {
    problems
        .iter()
        .take(MOST)
        .map(|problem| Annotation {
            path: path.to_owned(),
            start_line: problem.line.max(1),
            end_line: problem.line.max(1),
            level: match problem.severity {
                Severity::Error => Level::Failure,
                Severity::Warning => Level::Warning,
            },
            title: match problem.severity {
                Severity::Error => "specification error".to_owned(),
                Severity::Warning => "specification warning".to_owned(),
            },
            message: {
                let hint = problem
                    .hint
                    .as_deref()
                    .map_or_else(String::new, |hint| format!(" ({hint})"));
                shorten::bytes(&format!("{}{hint}", problem.message), MESSAGE).into_owned()
            },
            raw_details: None,
        })
        .collect()
}

/// Leaves out the local variables that pytest prints with `--showlocals`: lines `name       = value`
/// at the left edge, the name padded to ten characters (pytest's `_pytest/_code/code.py`,
/// `repr_locals`). They may hold secrets.
pub fn without_locals(details: &str, show: bool) -> String {
    if show {
        return details.to_owned();
    }
    let mut hidden = false;
    let mut kept = String::with_capacity(details.len());
    for line in details.split_inclusive('\n') {
        if is_local(line) {
            if !hidden {
                kept.push_str("(local variables are hidden)\n");
            }
            hidden = true;
        } else {
            hidden = false;
            kept.push_str(line);
        }
    }
    kept
}

fn is_local(line: &str) -> bool {
    let Some((name, _)) = line.split_once(" = ") else {
        return false;
    };
    let word = name.trim_end();
    // Ten characters of name and padding, then ` = `.
    name.len() >= 10
        && !word.is_empty()
        && word
            .chars()
            .all(|char| char.is_alphanumeric() || char == '_' || char == '@')
}
