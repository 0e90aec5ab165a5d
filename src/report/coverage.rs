//! Which lines and branches were executed.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::by_line::ByLine;
use super::diff::Diff;

/// A part of a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Share {
    /// The part.
    pub covered: u64,
    /// The whole.
    pub total: u64,
}

impl Share {
    /// Adds another share.
    pub(super) fn add(&mut self, other: Self) {
        self.covered = self.covered.saturating_add(other.covered);
        self.total = self.total.saturating_add(other.total);
    }

    /// The part in percent; 0 of nothing.
    #[expect(clippy::cast_precision_loss, reason = "counts of lines")]
    pub fn percent(self) -> f64 {
        self.covered as f64 * 100.0 / self.total.max(1) as f64
    }

    /// In words, rounded down to one decimal, so that 100 % is said only when it is exact: `87.5%`.
    pub fn rounded(self) -> String {
        self.digits(1)
    }

    /// The same with two decimals, for comparisons: `87.53%`.
    pub fn precise(self) -> String {
        self.digits(2)
    }

    fn digits(self, digits: u32) -> String {
        let unit = 10_u128.pow(digits);
        let parts = u128::from(self.covered) * 100 * unit / u128::from(self.total.max(1));
        let (whole, rest) = (parts / unit, parts % unit);
        match rest {
            0 => format!("{whole}%"),
            _ => {
                let width = digits as usize;
                let decimals = format!("{rest:0width$}");
                format!("{whole}.{}%", decimals.trim_end_matches('0'))
            }
        }
    }

    /// The greater of two statements about the same thing.
    fn most(self, other: Self) -> Self {
        Self {
            covered: self.covered.max(other.covered),
            total: self.total.max(other.total),
        }
    }
}

/// Totals that a report states without the lines behind them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// Of lines.
    pub lines: Share,
    /// Of branches.
    pub branches: Share,
}

impl Declared {
    /// With no more covered than there is: totals are written by tools and by hand.
    pub(super) fn possible(mut self) -> Self {
        for share in [&mut self.lines, &mut self.branches] {
            share.covered = share.covered.min(share.total);
        }
        self
    }
}

/// How often the lines of a file were executed, by line from 1, as far as 32 bits can say it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u32, u32)>", into = "Vec<(u32, u32)>")]
pub struct Lines(ByLine<u32>);

impl Lines {
    /// Notes that a line was executed so often; the most counts. Says whether the line is new.
    pub fn add(&mut self, line: u32, hits: u64) -> bool {
        let hits = u32::try_from(hits).unwrap_or(u32::MAX);
        self.0.add(line, hits, u32::max)
    }

    /// How often the line was executed, `None` where there is nothing to execute.
    pub fn hits(&self, line: u32) -> Option<u32> {
        self.0.get(line)
    }

    /// Lines and hits in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.0.iter()
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<(u32, u32)>> for Lines {
    fn from(pairs: Vec<(u32, u32)>) -> Self {
        let mut lines = Self::default();
        for (line, hits) in pairs {
            lines.add(line, hits.into());
        }
        lines
    }
}

impl From<Lines> for Vec<(u32, u32)> {
    fn from(lines: Lines) -> Self {
        lines.iter().collect()
    }
}

/// Branches of a file by line from 1: at most so many taken of so many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u32, u64, u64)>", into = "Vec<(u32, u64, u64)>")]
pub struct Branches(ByLine<Share>);

impl Branches {
    /// Notes the branches of a line; the most counts.
    pub fn add(&mut self, line: u32, share: Share) {
        self.0.add(line, share, Share::most);
    }

    /// The branches of a line.
    pub fn get(&self, line: u32) -> Option<Share> {
        self.0.get(line)
    }

    /// Lines and branches in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Share)> + '_ {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<(u32, u64, u64)>> for Branches {
    fn from(entries: Vec<(u32, u64, u64)>) -> Self {
        let mut branches = Self::default();
        for (line, covered, total) in entries {
            branches.add(line, Share { covered, total });
        }
        branches
    }
}

impl From<Branches> for Vec<(u32, u64, u64)> {
    fn from(branches: Branches) -> Self {
        branches
            .iter()
            .map(|(line, share)| (line, share.covered, share.total))
            .collect()
    }
}

/// Coverage of one source file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileCoverage {
    /// As the report has it.
    pub path: String,
    /// The file of the repository, after `Report::locate`.
    pub resolved: Option<String>,
    /// Lines that can be executed.
    pub lines: Lines,
    /// Branches of them.
    pub branches: Branches,
    /// What the report states, when it has no lines for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared: Option<Declared>,
    /// Folders that `path` may be relative to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// A line counts as missed when one of its branches was not taken.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub misses_partial_lines: bool,
}

impl FileCoverage {
    /// The file of the repository; as the report has it, where it was not found there.
    pub fn place(&self) -> &str {
        self.resolved.as_deref().unwrap_or(&self.path)
    }

    /// Whether a line is covered; `None` where there is nothing to execute.
    pub fn is_line_covered(&self, line: u32) -> Option<bool> {
        let hits = self.lines.hits(line)?;
        Some(self.is_covered(line, hits))
    }

    /// First and last of each stretch of lines that the change adds and that were not executed. Added lines in between
    /// that cannot be executed belong to it; a line that the change does not add ends it.
    pub(super) fn missed_of(&self, diff: &Diff) -> Vec<(u32, u32)> {
        let mut stretches: Vec<(u32, u32)> = Vec::new();
        let mut open_until = None;
        for line in diff.added(self.place()) {
            let is_next = open_until == line.checked_sub(1);
            match (self.is_line_covered(line), stretches.last_mut()) {
                (Some(false), Some((_, last))) if is_next => *last = line,
                (Some(false), _) => stretches.push((line, line)),
                (None, _) if is_next => {}
                _ => {
                    open_until = None;
                    continue;
                }
            }
            open_until = Some(line);
        }
        stretches
    }

    /// Whether a line that was executed so often counts as covered.
    fn is_covered(&self, line: u32, hits: u32) -> bool {
        hits > 0
            && !(self.misses_partial_lines
                && self
                    .branches
                    .get(line)
                    .is_some_and(|share| share.covered < share.total))
    }

    /// Lines executed at least once, of those that can be.
    pub fn line_share(&self) -> Share {
        if self.lines.is_empty() {
            return self.declared.unwrap_or_default().lines;
        }
        let mut share = Share::default();
        for (line, hits) in self.lines.iter() {
            share.add(Share {
                covered: u64::from(self.is_covered(line, hits)),
                total: 1,
            });
        }
        share
    }

    /// Branches taken at least once.
    pub fn branch_share(&self) -> Share {
        if self.branches.is_empty() {
            return self.declared.unwrap_or_default().branches;
        }
        let mut share = Share::default();
        for (_, branches) in self.branches.iter() {
            share.add(branches);
        }
        share
    }

    /// The lines that can be executed and do not count as covered: first and last of each stretch.
    /// Lines between two of them that cannot be executed are part of it.
    pub fn missed(&self) -> Vec<(u32, u32)> {
        let lines = self.lines.iter();
        stretches(lines.map(|(line, hits)| (line, !self.is_covered(line, hits))))
    }

    /// What makes it the same file in another report.
    fn key(&self) -> (&str, &[String]) {
        match &self.resolved {
            Some(path) => (path, &[]),
            None => (&self.path, &self.sources),
        }
    }

    fn merge(&mut self, other: &Self) {
        self.misses_partial_lines |= other.misses_partial_lines;
        for (line, hits) in other.lines.iter() {
            self.lines.add(line, hits.into());
        }
        for (line, share) in other.branches.iter() {
            self.branches.add(line, share);
        }
        self.declared = match (self.declared, other.declared) {
            (Some(one), Some(other)) => Some(Declared {
                lines: one.lines.most(other.lines),
                branches: one.branches.most(other.branches),
            }),
            (one, other) => one.or(other),
        };
    }
}

/// Coverage of all files that reports speak of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Coverage {
    /// The files in the order in which they were first seen.
    pub files: Vec<FileCoverage>,
    /// What reports without any file state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared: Option<Declared>,
}

impl Coverage {
    /// Lines over all files.
    pub fn lines(&self) -> Share {
        let mut all = self.declared.unwrap_or_default().lines;
        for file in &self.files {
            all.add(file.line_share());
        }
        all
    }

    /// Branches over all files.
    pub fn branches(&self) -> Share {
        let mut all = self.declared.unwrap_or_default().branches;
        for file in &self.files {
            all.add(file.branch_share());
        }
        all
    }

    /// Of the lines that the change adds, those that can be executed, and were.
    pub fn patch(&self, diff: &Diff) -> Share {
        let mut share = Share::default();
        for file in &self.files {
            for line in diff.added(file.place()) {
                if let Some(covered) = file.is_line_covered(line) {
                    share.add(Share {
                        covered: u64::from(covered),
                        total: 1,
                    });
                }
            }
        }
        share
    }

    /// Lines over all files, but for those that the change deletes; as it was before the change.
    pub fn without_deleted(&self, diff: &Diff) -> Share {
        let mut all = self.declared.unwrap_or_default().lines;
        for file in &self.files {
            let path = file.place();
            if file.lines.is_empty() {
                if !diff.is_gone(path) {
                    all.add(file.line_share());
                }
                continue;
            }
            for (line, hits) in file.lines.iter() {
                if !diff.deletes(path, line) {
                    all.add(Share {
                        covered: u64::from(file.is_covered(line, hits)),
                        total: 1,
                    });
                }
            }
        }
        all
    }

    /// Without the files that the change touches, under the names that they have after it. Totals without files stay.
    #[must_use]
    pub fn untouched(mut self, diff: &Diff) -> Self {
        self.files
            .retain(|file| !diff.touches(file.place()) && !diff.is_gone(file.place()));
        self
    }

    /// Lines that the change adds and that were not executed: file, first and last line of each
    /// stretch, in the order of the files.
    pub fn missed_of(&self, diff: &Diff) -> Vec<(String, u32, u32)> {
        let of_file = |file: &FileCoverage| {
            let path = file.place().to_owned();
            let missed = file.missed_of(diff).into_iter();
            missed.map(move |(first, last)| (path.clone(), first, last))
        };
        self.files.iter().flat_map(of_file).collect()
    }

    /// From here on a line counts as missed when one of its branches was not taken, though others
    /// were. Reports say what was taken of a line, not how much of it was executed.
    pub fn miss_partial_lines(&mut self) {
        for file in &mut self.files {
            file.misses_partial_lines = true;
        }
    }

    /// Takes in what another report says: of a line the most hits.
    pub fn merge(&mut self, other: Self) {
        if !other.files.is_empty() {
            self.merge_files(other.files);
        }
        self.declared = match (self.declared, other.declared) {
            (Some(mut one), Some(other)) => {
                one.lines.add(other.lines);
                one.branches.add(other.branches);
                Some(one)
            }
            (one, other) => one.or(other),
        };
    }

    fn merge_files(&mut self, files: Vec<FileCoverage>) {
        let mut known: HashMap<(String, Vec<String>), usize> = HashMap::new();
        for (at, file) in self.files.iter().enumerate() {
            known.entry(owned(file.key())).or_insert(at);
        }
        for file in files {
            let key = owned(file.key());
            if let Some(before) = known.get(&key).and_then(|at| self.files.get_mut(*at)) {
                before.merge(&file);
            } else {
                known.insert(key, self.files.len());
                self.files.push(file);
            }
        }
    }

    /// Makes files that turned out to be the same one.
    pub(super) fn unite(&mut self) {
        let all = std::mem::take(&mut self.files);
        self.merge_files(all);
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.declared.is_none()
    }
}

/// First and last of each stretch of lines that were missed, from lines in order and whether each was.
pub fn stretches(lines: impl IntoIterator<Item = (u32, bool)>) -> Vec<(u32, u32)> {
    let mut stretches: Vec<(u32, u32)> = Vec::new();
    let mut open = false;
    for (line, missed) in lines {
        match stretches.last_mut() {
            Some((_, last)) if missed && open => *last = line,
            _ if missed => stretches.push((line, line)),
            _ => {}
        }
        open = missed;
    }
    stretches
}

/// A stretch of lines as people read it: `3`, `8–12`.
pub fn stretch((first, last): (u32, u32)) -> String {
    if first == last {
        first.to_string()
    } else {
        format!("{first}–{last}")
    }
}

fn owned((path, sources): (&str, &[String])) -> (String, Vec<String>) {
    (path.to_owned(), sources.to_vec())
}

#[cfg(test)]
#[path = "coverage_tests.rs"]
mod tests;
