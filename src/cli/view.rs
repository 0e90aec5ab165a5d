//! A report on the terminal: what failed first, with the lines of source around it.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use super::screen::{BOLD, DIM, GREEN, PLAIN, RED, YELLOW};
use crate::domain::BuildView;
use crate::domain::history::{Verdict, Verdicts};
use crate::feedback::{signed, without_locals};
use crate::report::json::Conclusion as Met;
use crate::report::{
    Comparison, Coverage, DiagnosticSeverity, FileCoverage, Outcome, Report, Share, Test, stretch,
    stretches,
};
use crate::text::{self, ansi, shorten};

/// Lines of source before and after the failing one.
const AROUND: u32 = 2;
/// Failures that are shown whole.
const WHOLE: usize = 50;
/// Lines of a failure's details.
const DETAILS: usize = 40;
/// Tests that are named in a list.
const LISTED: usize = 20;
/// Files in the table of coverage, those with the most missed lines.
const FILES: usize = 15;
/// Files that are named because the repository does not have them.
const LOST: usize = 5;
/// Characters of a path in that table.
const PATH: usize = 44;
/// Characters of a bar.
const BAR: u64 = 10;
/// A test is slow from here on, in seconds.
const SLOW: f64 = 0.1;

/// The report as text. `source` is the repository, for the lines around a failure.
pub(super) fn report(
    report: &Report,
    source: Option<&Path>,
    failures_only: bool,
    verdicts: &Verdicts<'_>,
) -> String {
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
        if file.is_broken() {
            out.push_str(&format!("{RED}{} was not read whole{PLAIN}\n", file.path));
        }
    }
    if !out.is_empty() {
        out.push('\n');
    }
    let red = |test: &&Test| matches!(test.outcome, Outcome::Failed | Outcome::Error);
    let mut failed: Vec<&Test> = report.tests.iter().filter(red).collect();
    verdicts.sort(&mut failed);
    for test in failed.iter().take(WHOLE) {
        out.push_str(&failure(test, source, verdicts.of(&test.id)));
    }
    for test in failed.iter().skip(WHOLE) {
        let known = verdicts.of(&test.id).map_or_else(String::new, |known| {
            format!(" {YELLOW}{}{PLAIN}", clean(&known.words()))
        });
        out.push_str(&format!("{RED}✗{PLAIN} {}{known}\n", name(test)));
    }
    if !failures_only {
        let those = |wanted: fn(&Test) -> bool| -> Vec<&Test> {
            report.tests.iter().filter(|test| wanted(test)).collect()
        };
        let flaky =
            format!("{YELLOW}{BOLD}flaky{PLAIN} {DIM}failed first, passed when repeated{PLAIN}");
        out.push_str(&list(&flaky, &those(|test| test.flaky), true));
        let skipped = format!("{BOLD}skipped{PLAIN}");
        let said = those(|test| test.outcome == Outcome::Skipped);
        out.push_str(&list(&skipped, &said, true));
        out.push_str(&slowest(report));
    }
    out.push_str(&coverage(report));
    out.push_str(&totals(report));
    out
}

/// What is known of a build beside its reports: what its failures are, what the change did to coverage, and the
/// conditions of the specification.
pub(super) fn insight(view: &BuildView) -> String {
    let mut out = String::new();
    let headline = view.verdicts().headline();
    if !headline.is_empty() {
        out.push_str(&format!("{BOLD}{headline}{PLAIN}\n"));
    }
    for insight in view.insights() {
        if let Some(text) = insight.summary() {
            out.push_str(&format!("{DIM}against{PLAIN} {text}\n"));
        }
    }
    let Some(judgement) = &view.judgement else {
        return out;
    };
    if let Some(change) = &judgement.coverage {
        if let Some(points) = change.difference() {
            out.push_str(&format!("{DIM}coverage{PLAIN} {} points\n", signed(points)));
        }
        if let Some(patch) = change.patch.filter(|patch| patch.total > 0) {
            out.push_str(&format!(
                "{DIM}of the change{PLAIN} {} of {} covered, {}\n",
                patch.covered,
                text::plural(patch.total, "added line"),
                patch.rounded()
            ));
        }
        for file in &change.files {
            for (word, lines) in [
                ("not reached", &file.missed),
                ("not reached any more", &file.lost),
            ] {
                let lines: Vec<String> = lines.iter().copied().map(stretch).collect();
                if !lines.is_empty() {
                    let path = clean(&file.path);
                    out.push_str(&format!(
                        "  {path}: {YELLOW}{word}{PLAIN} {}\n",
                        lines.join(", ")
                    ));
                }
            }
        }
        for file in change.files.iter().filter(|file| file.now.is_none()) {
            let path = clean(&file.path);
            out.push_str(&format!("  {path}: {YELLOW}in no report any more{PLAIN}\n"));
        }
        for path in &change.unmentioned {
            out.push_str(&format!("  {}: {YELLOW}in no report{PLAIN}\n", clean(path)));
        }
    }
    if let Some(behind) = judgement.behind.filter(|behind| *behind > 0) {
        let behind = text::plural(behind, "commit");
        out.push_str(&format!("{YELLOW}{behind} behind the base{PLAIN}\n"));
    }
    for gate in &judgement.gates {
        let (color, mark) = match gate.status {
            Met::Success => (GREEN, "✓"),
            Met::Failure => (RED, "✗"),
            Met::Neutral => (YELLOW, "?"),
        };
        out.push_str(&format!(
            "{color}{mark}{PLAIN} {}: {}\n",
            gate.name, gate.text
        ));
    }
    out
}

/// What has changed against the reports of `base`.
pub(super) fn comparison(base: &Report, report: &Report, comparison: &Comparison) -> String {
    let mut out = String::new();
    for (word, color, ids, among) in [
        ("failing since the base", RED, &comparison.new, report),
        (
            "failing there already",
            YELLOW,
            &comparison.still_failing,
            report,
        ),
        ("fixed", GREEN, &comparison.fixed, report),
        ("not there any more", DIM, &comparison.removed, base),
    ] {
        let ids: HashSet<&str> = ids.iter().map(String::as_str).collect();
        let tests: Vec<&Test> = among
            .tests
            .iter()
            .filter(|test| ids.contains(test.id.as_str()))
            .collect();
        let heading = format!("{color}{BOLD}{}{PLAIN} {word}", tests.len());
        out.push_str(&list(&heading, &tests, false));
    }
    if out.is_empty() {
        out.push_str(&format!("{DIM}no test differs from the base{PLAIN}\n"));
    }
    format!("\n{out}")
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

fn failure(test: &Test, source: Option<&Path>, known: Option<&Verdict>) -> String {
    let mark = match test.outcome {
        Outcome::Error => "! ",
        _ => "✗ ",
    };
    let mut out = format!("{RED}{mark}{PLAIN}{}\n", name(test));
    if let Some(known) = known {
        out.push_str(&format!("    {YELLOW}{}{PLAIN}\n", clean(&known.words())));
    }
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
    let last = place.line.saturating_add(AROUND);
    let lines: Vec<(u32, String)> = (1_u32..)
        .zip(file.lines())
        .skip_while(|(number, _)| *number < first)
        .take_while(|(number, _)| *number <= last)
        .map(|(number, line)| (number, clean_line(line)))
        .collect();
    // Empty lines at the edges say nothing.
    let says = |(number, line): &(u32, String)| *number == place.line || !line.trim().is_empty();
    let (start, end) = (lines.iter().position(says)?, lines.iter().rposition(says)?);
    let mut out = String::new();
    for (number, line) in lines.get(start..=end)? {
        let line = shorten::chars(line, 160);
        if *number == place.line {
            out.push_str(&format!("  {RED}>{PLAIN} {number:>4} │ {line}\n"));
        } else {
            out.push_str(&format!("    {DIM}{number:>4} │ {line}{PLAIN}\n"));
        }
    }
    Some(out)
}

fn clean_line(line: &str) -> String {
    ansi::strip(line).replace('\t', "    ")
}

/// Tests by name, with what they say if that is wanted.
fn list(heading: &str, tests: &[&Test], reasons: bool) -> String {
    if tests.is_empty() {
        return String::new();
    }
    let mut out = format!("{heading}\n");
    for test in tests.iter().take(LISTED) {
        let message = clean(test.message.as_deref().unwrap_or_default());
        let reason = match message.lines().next() {
            Some(reason) if reasons => format!(": {}", shorten::chars(reason, 120)),
            _ => String::new(),
        };
        let name = shorten::chars(&clean(&test.name), 160).into_owned();
        out.push_str(&format!("  {name}{DIM}{reason}{PLAIN}\n"));
    }
    if tests.len() > LISTED {
        out.push_str(&format!(
            "  {DIM}… and {} more{PLAIN}\n",
            tests.len() - LISTED
        ));
    }
    out.push('\n');
    out
}

/// The slowest tests, when any took long.
fn slowest(report: &Report) -> String {
    let mut slow: Vec<(&Test, f64)> = report
        .tests
        .iter()
        .filter_map(|test| Some((test, test.duration_seconds?)))
        .filter(|(_, seconds)| *seconds >= SLOW)
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
    let shown = |share: Share, word: &str| {
        let (percent, color) = percent(share);
        format!(
            "{color}{BOLD}{percent}{PLAIN} of {word} {DIM}({} of {}){PLAIN}",
            share.covered, share.total
        )
    };
    let mut out = format!("{BOLD}coverage{PLAIN} {}", shown(coverage.lines(), "lines"));
    let branches = coverage.branches();
    if branches.total > 0 {
        out.push_str(&format!(", {}", shown(branches, "branches")));
    }
    out.push('\n');
    out.push_str(&files(coverage));
    let lost: Vec<&str> = coverage
        .files
        .iter()
        .filter(|file| file.resolved.is_none())
        .map(|file| file.path.as_str())
        .collect();
    if !lost.is_empty() {
        out.push_str(&format!(
            "{YELLOW}{} of {} not in the repository:{PLAIN}\n",
            lost.len(),
            text::plural(coverage.files.len() as u64, "file"),
        ));
        for path in lost.iter().take(LOST) {
            out.push_str(&format!("  {}\n", clean(path)));
        }
        if lost.len() > LOST {
            out.push_str(&format!("  {DIM}… and {} more{PLAIN}\n", lost.len() - LOST));
        }
    }
    out.push('\n');
    out
}

/// The files with the most missed lines, and which these are.
fn files(coverage: &Coverage) -> String {
    let mut files: Vec<(&FileCoverage, Share)> = coverage
        .files
        .iter()
        .map(|file| (file, file.line_share()))
        .filter(|(_, share)| share.covered < share.total)
        .collect();
    files.sort_by(|(one, share), (other, than)| {
        let missed = |share: &Share| share.total - share.covered;
        let by_missed = missed(than).cmp(&missed(share));
        by_missed.then_with(|| path(one).cmp(path(other)))
    });
    let mut out = String::new();
    let shown = || files.iter().take(FILES);
    let names: Vec<String> = shown()
        .map(|(file, _)| shorten_front(path(file), PATH))
        .collect();
    let width = names.iter().map(|name| name.chars().count()).max();
    let width = width.unwrap_or_default();
    for ((file, share), name) in shown().zip(&names) {
        let (percent, color) = percent(*share);
        let bar = bar(share.covered, share.total, BAR);
        out.push_str(&format!(
            "  {name:<width$} {color}{bar}{PLAIN} {percent:>6} {DIM}{}{PLAIN}\n",
            missed(file)
        ));
    }
    if files.len() > FILES {
        let more = files.len() - FILES;
        out.push_str(&format!(
            "  {DIM}… and {more} more with missed lines{PLAIN}\n"
        ));
    }
    out
}

/// A bar of so many characters, filled as far as `part` is of `whole`.
pub(super) fn bar(part: u64, whole: u64, width: u64) -> String {
    let filled = part.min(whole) * width / whole.max(1);
    let [filled, rest] = [filled, width - filled].map(|count| usize::try_from(count).unwrap_or(0));
    format!("{}{}", "█".repeat(filled), "░".repeat(rest))
}

fn path(file: &FileCoverage) -> &str {
    file.resolved.as_deref().unwrap_or(&file.path)
}

fn percent(share: Share) -> (String, &'static str) {
    let (percent, color) = crate::badge::coverage(share.covered, share.total);
    let color = match color {
        "red" | "orange" => RED,
        "yellow" => YELLOW,
        "lightgrey" => DIM,
        _ => GREEN,
    };
    (percent, color)
}

/// The missed lines of a file, runs of them joined: `3, 7–9, 12`.
fn missed(file: &FileCoverage) -> String {
    const MOST: usize = 6;
    // Lines with nothing to execute between two missed ones do not part them.
    let runs = stretches(file.lines.iter().map(|(line, hits)| (line, hits == 0)));
    let mut parts: Vec<String> = runs.iter().take(MOST).copied().map(stretch).collect();
    if runs.len() > MOST {
        parts.push("…".to_owned());
    }
    parts.join(", ")
}

/// The end of a path that is too long.
fn shorten_front(path: &str, most: usize) -> String {
    let count = path.chars().count();
    if count <= most {
        return clean(path);
    }
    let end: String = path.chars().skip(count + 1 - most).collect();
    format!("…{}", clean(&end))
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
        if took < Duration::from_millis(10) {
            String::new()
        } else if took < Duration::from_secs(1) {
            format!(" {DIM}in {:.2} s{PLAIN}", took.as_secs_f64())
        } else {
            format!(" {DIM}in {}{PLAIN}", text::duration(took))
        }
    } else {
        String::new()
    };
    format!("{}{took}\n", parts.join(", "))
}
