//! A report on the terminal: what failed first, with the lines of source around it.

use std::path::Path;
use std::time::Duration;

use super::screen::{BOLD, DIM, GREEN, PLAIN, RED, YELLOW};
use crate::feedback::without_locals;
use crate::report::{Comparison, DiagnosticSeverity, FileStatus, Outcome, Report, Test};
use crate::text::{self, ansi, shorten};

/// Lines of source before and after the failing one.
const AROUND: u32 = 2;
/// Failures that are shown whole.
const WHOLE: usize = 50;
/// Lines of a failure's details.
const DETAILS: usize = 40;

/// The report as text. `source` is the repository, for the lines around a failure.
pub(super) fn report(report: &Report, source: Option<&Path>, failures_only: bool) -> String {
    let mut out = String::new();
    for file in &report.files {
        for diagnostic in &file.diagnostics {
            let (color, word) = match diagnostic.severity {
                DiagnosticSeverity::Error => (RED, "error"),
                DiagnosticSeverity::Warning => (YELLOW, "warning"),
            };
            out.push_str(&format!(
                "{BOLD}{}:{}:{}:{PLAIN} {color}{word}:{PLAIN} {}\n",
                file.path,
                diagnostic.line,
                diagnostic.column,
                clean(&diagnostic.message)
            ));
        }
        if file.status != FileStatus::Ok {
            out.push_str(&format!("{RED}{} was not read whole{PLAIN}\n", file.path));
        }
    }
    let red = |test: &&Test| matches!(test.outcome, Outcome::Failed | Outcome::Error);
    let failed: Vec<&Test> = report.tests.iter().filter(red).collect();
    for test in failed.iter().take(WHOLE) {
        out.push_str(&failure(test, source));
    }
    for test in failed.iter().skip(WHOLE) {
        out.push_str(&format!("{RED}✗{PLAIN} {}\n", name(test)));
    }
    if !failures_only {
        out.push_str(&list(
            "flaky: failed first, passed when repeated",
            report.tests.iter().filter(|test| test.flaky),
        ));
        out.push_str(&list(
            "skipped",
            report
                .tests
                .iter()
                .filter(|test| test.outcome == Outcome::Skipped),
        ));
        out.push_str(&slowest(report));
    }
    out.push_str(&coverage(report));
    out.push_str(&totals(report));
    out
}

/// What has changed against earlier reports.
pub(super) fn comparison(report: &Report, comparison: &Comparison) -> String {
    let mut out = String::new();
    for (word, ids) in [
        ("new failures", &comparison.new),
        ("still failing", &comparison.still_failing),
        ("fixed", &comparison.fixed),
    ] {
        let tests = report.tests.iter().filter(|test| ids.contains(&test.id));
        out.push_str(&list(word, tests));
    }
    if !comparison.removed.is_empty() {
        let count = text::plural(comparison.removed.len() as u64, "test");
        out.push_str(&format!("\n{BOLD}removed{PLAIN} {count}\n"));
    }
    out
}

fn clean(text: &str) -> String {
    ansi::strip(text).trim().to_owned()
}

fn name(test: &Test) -> String {
    let place = test.location.as_ref().map_or_else(
        || test.class.clone().unwrap_or_default(),
        |place| format!("{}:{}", place.path, place.line),
    );
    let name = shorten::chars(&clean(&test.name), 200).into_owned();
    if place.is_empty() {
        format!("{BOLD}{name}{PLAIN}")
    } else {
        format!("{BOLD}{name}{PLAIN} {DIM}{}{PLAIN}", clean(&place))
    }
}

fn failure(test: &Test, source: Option<&Path>) -> String {
    let mark = match test.outcome {
        Outcome::Error => "! ",
        _ => "✗ ",
    };
    let mut out = format!("{RED}{mark}{PLAIN}{}\n", name(test));
    let message = clean(test.message.as_deref().unwrap_or_default());
    for line in message.lines().take(10) {
        out.push_str(&format!("    {line}\n"));
    }
    let around = source.and_then(|source| source_lines(test, source));
    if let Some(around) = around {
        out.push_str(&around);
    } else if let Some(details) = &test.details {
        let details = without_locals(&ansi::strip(details), false);
        for line in details.trim().lines().take(DETAILS) {
            out.push_str(&format!("    {DIM}{line}{PLAIN}\n"));
        }
    }
    out.push('\n');
    out
}

/// The failing line and those around it.
fn source_lines(test: &Test, source: &Path) -> Option<String> {
    let place = test.location.as_ref()?;
    let file = std::fs::read_to_string(source.join(&place.path)).ok()?;
    let first = place.line.saturating_sub(AROUND).max(1);
    let mut out = String::new();
    for (number, line) in (1_u32..).zip(file.lines()) {
        if number < first || number > place.line + AROUND {
            continue;
        }
        let line = shorten::chars(&clean_line(line), 160).into_owned();
        if number == place.line {
            out.push_str(&format!("  {RED}>{PLAIN} {number:>4} │ {line}\n"));
        } else {
            out.push_str(&format!("    {DIM}{number:>4} │ {line}{PLAIN}\n"));
        }
    }
    (!out.is_empty()).then_some(out)
}

fn clean_line(line: &str) -> String {
    ansi::strip(line).replace('\t', "    ")
}

fn list<'a>(word: &str, tests: impl Iterator<Item = &'a Test>) -> String {
    const MOST: usize = 20;
    let tests: Vec<&Test> = tests.collect();
    if tests.is_empty() {
        return String::new();
    }
    let mut out = format!("{BOLD}{word}{PLAIN}\n");
    for test in tests.iter().take(MOST) {
        let message = clean(test.message.as_deref().unwrap_or_default());
        let reason = message.lines().next().unwrap_or_default();
        let reason = if reason.is_empty() {
            String::new()
        } else {
            format!(": {}", shorten::chars(reason, 120))
        };
        let name = shorten::chars(&clean(&test.name), 160).into_owned();
        out.push_str(&format!("  {name}{DIM}{reason}{PLAIN}\n"));
    }
    if tests.len() > MOST {
        out.push_str(&format!(
            "  {DIM}… and {} more{PLAIN}\n",
            tests.len() - MOST
        ));
    }
    out.push('\n');
    out
}

/// The slowest tests, when any took a second.
fn slowest(report: &Report) -> String {
    let mut slow: Vec<(&Test, f64)> = report
        .tests
        .iter()
        .filter_map(|test| Some((test, test.duration_seconds?)))
        .filter(|(_, seconds)| *seconds >= 1.0)
        .collect();
    if slow.is_empty() {
        return String::new();
    }
    slow.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let mut out = format!("{BOLD}slowest{PLAIN}\n");
    for (test, seconds) in slow.iter().take(5) {
        let name = shorten::chars(&clean(&test.name), 160).into_owned();
        out.push_str(&format!("  {seconds:>7.2} s  {name}\n"));
    }
    out.push('\n');
    out
}

fn coverage(report: &Report) -> String {
    let Some(coverage) = &report.coverage else {
        return String::new();
    };
    let lines = coverage.lines();
    let (percent, color) = crate::badge::coverage(lines.covered, lines.total);
    let color = match color {
        "red" | "orange" => RED,
        "yellow" => YELLOW,
        _ => GREEN,
    };
    let mut out = format!(
        "{BOLD}coverage{PLAIN} {color}{percent}{PLAIN} of lines ({} of {})\n",
        lines.covered, lines.total
    );
    let lost = coverage
        .files
        .iter()
        .filter(|file| file.resolved.is_none())
        .count();
    if lost > 0 {
        out.push_str(&format!(
            "{YELLOW}{} of {} files of the coverage report are not in the repository{PLAIN}\n",
            lost,
            coverage.files.len()
        ));
    }
    out
}

/// The last line: counts in their colours.
fn totals(report: &Report) -> String {
    let totals = report.totals();
    let mut parts = Vec::new();
    let mut put = |count: u64, text: String, color: &str| {
        if count > 0 {
            parts.push(format!("{color}{text}{PLAIN}"));
        }
    };
    put(totals.failed, format!("{} failed", totals.failed), RED);
    put(totals.errors, text::plural(totals.errors, "error"), RED);
    put(totals.passed, format!("{} passed", totals.passed), GREEN);
    put(
        totals.skipped,
        format!("{} skipped", totals.skipped),
        YELLOW,
    );
    put(totals.flaky, format!("{} flaky", totals.flaky), YELLOW);
    if parts.is_empty() {
        if report.coverage.is_some() {
            return String::new();
        }
        return format!("{YELLOW}no tests{PLAIN}\n");
    }
    let took = if totals.duration_seconds > 0.0 {
        let took = Duration::try_from_secs_f64(totals.duration_seconds).unwrap_or_default();
        format!(" {DIM}in {}{PLAIN}", text::duration(took))
    } else {
        String::new()
    };
    format!("{}{took}\n", parts.join(", "))
}
