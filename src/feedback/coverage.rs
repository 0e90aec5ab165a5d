//! Coverage in words: of the whole, of the change, file by file, and the conditions on it.

use super::links::lead_to_builds;
use crate::domain::{Annotation, BuildView, Carried, Level};
use crate::report::json::{Conclusion as Met, Gate};
use crate::report::{ChangedFile, CoverageChange, Report, Share, stretch};
use crate::text::{self, markdown, shorten};

/// Fields of a bar.
const BAR: u64 = 10;
/// Stretches of lines that are told in a table.
const STRETCHES: usize = 6;
/// Characters of a path.
const PATH: usize = 120;
/// Files that are only named.
const NAMED: usize = 5;

/// `87.5% of lines (1234 of 1410), +0.4 against #12`; `None` without coverage.
pub(super) fn of_lines(view: &BuildView, report: &Report) -> Option<String> {
    let lines = view.lines(report)?;
    let mut text = format!(
        "{} of lines ({} of {})",
        lines.rounded(),
        lines.covered,
        lines.total
    );
    if let Some(points) = view.coverage_change().and_then(CoverageChange::difference) {
        text.push_str(&format!(", {}", signed(points)));
        if let Some(base) = view.judgement.as_ref().and_then(|judgement| judgement.base) {
            text.push_str(&match base {
                0 => " against the base".to_owned(),
                base => format!(" against #{base}"),
            });
        }
    }
    Some(text)
}

/// The same of one job's report.
pub(super) fn of_report(report: &Report) -> Option<String> {
    let lines = report.coverage.as_ref()?.lines();
    let text = || {
        format!(
            "{} of lines ({} of {})",
            lines.rounded(),
            lines.covered,
            lines.total
        )
    };
    (lines.total > 0).then(text)
}

/// A difference in percentage points: `+0.4`, `−2`, `±0`.
pub fn signed(points: f64) -> String {
    let text = format!("{:.2}", points.abs());
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text {
        "0" => "±0".to_owned(),
        text if points < 0.0 => format!("−{text}"),
        text => format!("+{text}"),
    }
}

/// Ten fields, of which as many are full as tenths are covered: the last one only when all is.
pub(super) fn bar(share: Share) -> String {
    let full = share.covered.saturating_mul(BAR) / share.total.max(1);
    let full = usize::try_from(full.min(BAR)).unwrap_or(0);
    let empty = usize::try_from(BAR).unwrap_or(0) - full;
    format!("`{}{}`", "█".repeat(full), "░".repeat(empty))
}

/// ``92% (23 of 25 added lines)``.
pub(super) fn of_patch(patch: Share) -> String {
    format!(
        "{} ({} of {})",
        patch.rounded(),
        patch.covered,
        text::plural(patch.total, "added line")
    )
}

/// A condition with its mark; `page` is that of the build.
pub(super) fn gate(gate: &Gate, page: &str) -> String {
    let mark = match gate.status {
        Met::Success => "✅",
        Met::Failure => "❌",
        Met::Neutral => "❔",
    };
    format!("{mark} {}", lead_to_builds(&gate.text, page))
}

/// A file in a table.
pub(super) struct Row {
    pub(super) path: String,
    pub(super) patch: String,
    pub(super) whole: String,
    pub(super) missed: String,
}

/// The files of a change with what is to be said of them.
#[derive(Default)]
pub(super) struct Files {
    pub(super) rows: Vec<Row>,
    /// What there was no room for, and what is not in a table.
    pub(super) remarks: Vec<String>,
}

/// At most so many files: those where lines are missed or lost, and others where `all` are wanted.
/// `page` is that of the build.
pub(super) fn files(view: &BuildView, page: &str, most: usize, all: bool) -> Files {
    let (Some(judgement), Some(change)) = (&view.judgement, view.coverage_change()) else {
        return Files::default();
    };
    let speaks = |file: &&ChangedFile| {
        let is_lost = !file.lost.is_empty() || file.now.is_none();
        !file.missed.is_empty() || is_lost || (all && file.patch.total > 0)
    };
    let worth: Vec<&ChangedFile> = change.files.iter().filter(speaks).collect();
    let mut remarks = Vec::new();
    let left = worth.len().saturating_sub(most) as u64 + if all { change.more } else { 0 };
    if left > 0 && most > 0 {
        remarks.push(format!("…and {}.", text::plural(left, "more file")));
    }
    if !change.unmentioned.is_empty() {
        let names = named(change.unmentioned.iter().map(String::as_str));
        remarks.push(format!("In no coverage report: {names}."));
    }
    remarks.extend(carried(&judgement.carried, page));
    Files {
        rows: worth.into_iter().take(most).map(row).collect(),
        remarks,
    }
}

/// Which jobs did not run, and whose coverage counts for them.
fn carried(carried: &[Carried], page: &str) -> Option<String> {
    let first = carried.first()?;
    let names = named(carried.iter().map(|one| one.job.as_str()));
    if carried.iter().any(|one| one.build != first.build) {
        return Some(format!(
            "Did not run: {names}. The coverage of earlier builds counts for them, but for files of the change."
        ));
    }
    let build = match first.build {
        0 => "the base".to_owned(),
        build => lead_to_builds(&format!("#{build}"), page),
    };
    let whose = if carried.len() == 1 { "its" } else { "their" };
    Some(format!(
        "{names} did not run; {whose} coverage is that of {build}, but for files of the change."
    ))
}

fn row(file: &ChangedFile) -> Row {
    let whole = file.now.map_or_else(String::new, |now| {
        let before = file.before.filter(|before| before.total > 0);
        let moved = before.map(|before| format!(" ({})", signed(now.percent() - before.percent())));
        format!("{}{}", now.rounded(), moved.unwrap_or_default())
    });
    let mut missed = ranges(&file.missed);
    if !file.lost.is_empty() {
        let lost = format!("not any more: {}", ranges(&file.lost));
        missed = if missed.is_empty() {
            lost
        } else {
            format!("{missed}; {lost}")
        };
    }
    if file.now.is_none() {
        "in no report any more".clone_into(&mut missed);
    }
    Row {
        path: markdown::code(&shorten::chars(&file.path, PATH)),
        patch: match file.patch.total {
            0 => "none".to_owned(),
            total => format!("{} {} of {total}", bar(file.patch), file.patch.covered),
        },
        whole,
        missed,
    }
}

fn ranges(stretches: &[(u32, u32)]) -> String {
    let mut texts: Vec<String> = stretches
        .iter()
        .take(STRETCHES)
        .copied()
        .map(stretch)
        .collect();
    if stretches.len() > STRETCHES {
        texts.push("…".to_owned());
    }
    texts.join(", ")
}

/// The first few paths.
fn named<'a>(paths: impl ExactSizeIterator<Item = &'a str>) -> String {
    let left = paths.len().saturating_sub(NAMED);
    let mut names: Vec<String> = paths
        .take(NAMED)
        .map(|path| markdown::code(&shorten::chars(path, PATH)))
        .collect();
    if left > 0 {
        names.push(format!("{left} more"));
    }
    names.join(", ")
}

/// Lines that the change adds and that no test reaches, as annotations: one for each stretch.
pub(super) fn annotations(view: &BuildView) -> Vec<Annotation> {
    if !view.build.plan.publish.coverage_annotations {
        return Vec::new();
    }
    let missed = view.missed();
    let one = |lines: &crate::domain::MissedLines| Annotation {
        path: lines.path.clone(),
        start_line: lines.first.max(1),
        end_line: lines.last.max(1),
        level: Level::Warning,
        title: "not covered".to_owned(),
        message: match lines.last.saturating_sub(lines.first) {
            0 => "No test reaches this line that the change adds.".to_owned(),
            _ => "No test reaches these lines that the change adds.".to_owned(),
        },
        raw_details: None,
    };
    missed.iter().map(one).collect()
}

/// Files with coverage that the repository does not have, in one sentence.
pub(super) fn lost_files(report: &Report, chars: usize) -> Option<String> {
    let files = report.coverage.iter().flat_map(|coverage| &coverage.files);
    let lost: Vec<&str> = files
        .filter(|file| file.resolved.is_none())
        .map(|file| file.path.as_str())
        .collect();
    let first = lost.first()?;
    Some(format!(
        "{} of the coverage report {} not in the repository: {}{}.",
        text::plural(lost.len() as u64, "file"),
        if lost.len() == 1 { "is" } else { "are" },
        markdown::code(&shorten::chars(first, chars)),
        if lost.len() == 1 { "" } else { " …" }
    ))
}

#[cfg(test)]
mod tests {
    use super::{bar, signed};
    use crate::report::Share;

    #[test]
    fn a_bar_is_full_only_when_all_is_covered() {
        let share = |covered, total| Share { covered, total };
        assert_eq!(bar(share(999, 1000)), "`█████████░`");
        assert_eq!(bar(share(3, 3)), "`██████████`");
        assert_eq!(bar(share(0, 0)), "`░░░░░░░░░░`");
    }

    #[test]
    fn differences_have_a_sign() {
        let said: Vec<String> = [0.4, -2.0, 0.001, 12.345].into_iter().map(signed).collect();
        assert_eq!(said, ["+0.4", "−2", "±0", "+12.35"]);
    }
}
