//! Lines and branches by file, as a coverage format comes upon them.
//!
//! Keeps every format within the limits, in line numbers that can be, and to one rule for what
//! is said twice: a line has the most hits, a branch is taken when it ever was. Totals that a
//! report declares count only where it has no lines. Nothing here fails.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::RangeInclusive;

use super::collect::{Found, Limits};
use super::coverage::{Declared, FileCoverage, Share};
use super::model::Diagnostic;
use crate::text::shorten;

/// Lines behind this one are not believed.
const LAST_LINE: u64 = 10_000_000;
/// More branches of one line are not believed.
const MOST_BRANCHES: u64 = 1024;
/// Bytes of a path. Longer ones are of no repository, and a package may give its own to many files.
const LONGEST_PATH: usize = 1024;

/// A file of a [`Tally`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(usize);

#[derive(Default)]
struct Entry {
    file: FileCoverage,
    /// Whether each branch was taken, by line and the hash of what names it.
    taken: BTreeMap<(u32, u64), bool>,
}

/// Gathers what a report says.
pub(super) struct Tally<'a> {
    limits: &'a Limits,
    entries: Vec<Entry>,
    known: HashMap<(String, Vec<String>), Slot>,
    /// Lines and branches that are held.
    held: usize,
    /// Lines of spans that were gone through: a few bytes can ask for ten million of them.
    walked: usize,
    left_out: bool,
    total: Option<Declared>,
}

impl<'a> Tally<'a> {
    /// Holds nothing yet.
    pub(super) fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            entries: Vec::new(),
            known: HashMap::new(),
            held: 0,
            walked: 0,
            left_out: false,
            total: None,
        }
    }

    /// The file with this path, `None` when there are too many.
    pub(super) fn file(&mut self, path: &str) -> Option<Slot> {
        self.file_below(path, &[])
    }

    /// The file with this path, which may be relative to the given folders.
    pub(super) fn file_below(&mut self, path: &str, sources: &[String]) -> Option<Slot> {
        let key = (
            shorten::bytes(path.trim(), LONGEST_PATH).into_owned(),
            sources.to_vec(),
        );
        if let Some(slot) = self.known.get(&key) {
            return Some(*slot);
        }
        let slot = self.unnamed()?;
        if let Some(entry) = self.entries.get_mut(slot.0) {
            (entry.file.path, entry.file.sources) = key.clone();
        }
        self.known.insert(key, slot);
        Some(slot)
    }

    /// A file whose path comes later, with [`Self::name`]. There may be only one at a time.
    pub(super) fn unnamed(&mut self) -> Option<Slot> {
        if self.entries.len() >= self.limits.covered_files {
            self.left_out = true;
            return None;
        }
        self.entries.push(Entry::default());
        Some(Slot(self.entries.len() - 1))
    }

    /// Gives the file that was made last its path; what was known of that path is joined.
    pub(super) fn name(&mut self, slot: Slot, path: &str) {
        if slot.0 + 1 != self.entries.len() {
            return;
        }
        let Some(last) = self.entries.pop() else {
            return;
        };
        let Some(entry) = self
            .file(path)
            .and_then(|slot| self.entries.get_mut(slot.0))
        else {
            return;
        };
        for (line, hits) in last.file.lines.iter() {
            entry.file.lines.add(line, hits.into());
        }
        for (line, share) in last.file.branches.iter() {
            entry.file.branches.add(line, share);
        }
        for (branch, taken) in last.taken {
            *entry.taken.entry(branch).or_default() |= taken;
        }
        entry.file.declared = entry.file.declared.or(last.file.declared);
    }

    /// A line can be executed, and was so often.
    pub(super) fn line(&mut self, slot: Slot, line: u64, hits: u64) {
        let (Some(line), Some(entry)) = (number(line), self.entries.get_mut(slot.0)) else {
            return;
        };
        if entry.file.lines.hits(line).is_none() {
            if self.held >= self.limits.covered_lines {
                self.left_out = true;
                return;
            }
            self.held += 1;
        }
        entry.file.lines.add(line, hits);
    }

    /// The same of several lines.
    pub(super) fn span(&mut self, slot: Slot, lines: RangeInclusive<u64>, hits: u64) {
        let last = (*lines.end()).min(LAST_LINE);
        for line in *lines.start()..=last {
            // Real reports hardly go over a line twice.
            if self.walked / 8 >= self.limits.covered_lines {
                self.left_out = true;
                return;
            }
            self.walked += 1;
            self.line(slot, line, hits);
        }
    }

    /// So many branches of a line were taken, of so many.
    pub(super) fn share(&mut self, slot: Slot, line: u64, share: Share) {
        let total = share.total.min(MOST_BRANCHES);
        let (Some(line), Some(entry)) = (number(line), self.entries.get_mut(slot.0)) else {
            return;
        };
        if total == 0 {
            return;
        }
        if self.held >= self.limits.covered_lines {
            self.left_out = true;
            return;
        }
        self.held += 1;
        let covered = share.covered.min(total);
        entry.file.branches.add(line, Share { covered, total });
    }

    /// A branch of a line was taken or not. The name tells it from the others of the line.
    pub(super) fn branch(&mut self, slot: Slot, line: u64, name: &impl Hash, taken: bool) {
        let (Some(line), Some(entry)) = (number(line), self.entries.get_mut(slot.0)) else {
            return;
        };
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let branch = (line, hasher.finish());
        if let Some(before) = entry.taken.get_mut(&branch) {
            *before |= taken;
        } else if self.held >= self.limits.covered_lines {
            self.left_out = true;
        } else {
            self.held += 1;
            entry.taken.insert(branch, taken);
        }
    }

    /// What the report states of a file.
    pub(super) fn declare(&mut self, slot: Slot, declared: Declared) {
        if let Some(entry) = self.entries.get_mut(slot.0) {
            entry.file.declared = possible(declared);
        }
    }

    /// What the report states of everything.
    pub(super) fn total(&mut self, declared: Declared) {
        self.total = possible(declared);
    }

    /// Something had to be left out that only the format knows of.
    pub(super) fn leave_out(&mut self) {
        self.left_out = true;
    }

    /// Hands over what was found.
    pub(super) fn finish(self, found: &mut Found<'_>) {
        let mut files = Vec::with_capacity(self.entries.len());
        let mut declared = false;
        for Entry { mut file, taken } in self.entries {
            let mut lines: BTreeMap<u32, Share> = BTreeMap::new();
            for ((line, _), taken) in taken {
                let share = lines.entry(line).or_default();
                if share.total < MOST_BRANCHES {
                    share.total += 1;
                    share.covered += u64::from(taken);
                }
            }
            for (line, share) in lines {
                file.branches.add(line, share);
            }
            if !file.lines.is_empty() {
                file.declared = None;
            }
            declared |= file.declared.is_some();
            files.push(file);
        }
        if !declared && files.iter().all(|file| file.lines.is_empty()) {
            found.coverage.declared = self.total;
        }
        if declared || found.coverage.declared.is_some() {
            found.notes.push(Diagnostic::warning(
                (1, 1),
                "there are totals without lines; these totals are taken as they are",
            ));
        }
        if self.left_out {
            found.notes.push(Diagnostic::error(
                (1, 1),
                "there are too many files or lines; some are left out",
            ));
        }
        found.coverage.files = files;
    }
}

/// A line that can be.
fn number(line: u64) -> Option<u32> {
    let line = u32::try_from(line).ok()?;
    (1..=LAST_LINE).contains(&u64::from(line)).then_some(line)
}

/// Without more covered than there is, and `None` where nothing is said of lines.
fn possible(declared: Declared) -> Option<Declared> {
    (declared.lines.total > 0).then_some(declared.possible())
}

#[cfg(test)]
mod tests {
    use super::super::case::Tests;
    use super::super::coverage::{Coverage, Declared, Share};
    use super::super::model::{Counts, Diagnostic};
    use super::{Found, Limits, Tally};

    fn tallied(
        files: usize,
        lines: usize,
        fill: fn(&mut Tally<'_>),
    ) -> (Coverage, Vec<Diagnostic>) {
        let limits = Limits {
            covered_files: files,
            covered_lines: lines,
            ..Limits::default()
        };
        let mut found = Found {
            limits: &limits,
            tests: &mut Tests::default(),
            runs: Counts::default(),
            coverage: Coverage::default(),
            notes: Vec::new(),
        };
        let mut tally = Tally::new(&limits);
        fill(&mut tally);
        tally.finish(&mut found);
        (found.coverage, found.notes)
    }

    fn share(covered: u64, total: u64) -> Share {
        Share { covered, total }
    }

    fn declared(covered: u64, total: u64) -> Declared {
        Declared {
            lines: share(covered, total),
            ..Declared::default()
        }
    }

    #[test]
    fn a_line_has_the_most_hits_and_a_branch_is_taken_when_it_ever_was() {
        let (coverage, notes) = tallied(9, 99, |tally| {
            let file = tally.file(" a ").expect("a file");
            assert_eq!(tally.file("a"), Some(file));
            for (line, hits) in [(1, 0), (1, 3), (1, 2), (2, 0), (0, 1), (10_000_001, 1)] {
                tally.line(file, line, hits);
            }
            for (name, taken) in [("x", false), ("x", true), ("x", false), ("y", false)] {
                tally.branch(file, 1, &name, taken);
            }
            tally.share(file, 2, share(9, 2));
            tally.share(file, 3, share(0, 0));
        });
        let lines: Vec<_> = coverage.files[0].lines.iter().collect();
        let branches: Vec<_> = coverage.files[0].branches.iter().collect();
        assert_eq!(lines, [(1, 3), (2, 0)]);
        assert_eq!(branches, [(1, share(1, 2)), (2, share(2, 2))]);
        assert_eq!(notes, []);
    }

    #[test]
    fn what_is_beyond_the_limits_is_left_out_and_that_is_said() {
        let (coverage, notes) = tallied(1, 2, |tally| {
            let file = tally.file("a").expect("a file");
            assert_eq!(tally.file("b"), None);
            tally.span(file, 1..=u64::MAX, 1);
            tally.branch(file, 1, &1, true);
            tally.share(file, 1, share(1, 2));
        });
        assert_eq!((coverage.files.len(), coverage.lines()), (1, share(2, 2)));
        assert!(coverage.files[0].branches.is_empty());
        assert_eq!(notes.len(), 1);
    }

    #[test]
    fn a_line_has_no_more_branches_than_can_be() {
        let (coverage, _) = tallied(9, 9999, |tally| {
            let file = tally.file("a").expect("a file");
            for name in 0..5000 {
                tally.branch(file, 1, &name, true);
            }
            tally.share(file, 2, share(1, u64::MAX));
        });
        assert_eq!(coverage.branches(), share(1025, 2048));
    }

    #[test]
    fn a_file_that_is_named_late_is_joined_with_what_is_known() {
        let (coverage, _) = tallied(2, 99, |tally| {
            let known = tally.file("a").expect("a file");
            tally.line(known, 1, 0);
            tally.branch(known, 1, &"x", true);
            let unnamed = tally.unnamed().expect("a file");
            tally.line(unnamed, 1, 2);
            tally.line(unnamed, 2, 0);
            tally.branch(unnamed, 1, &"y", false);
            tally.name(unnamed, "a");
            let other = tally.unnamed().expect("a file");
            tally.line(other, 1, 0);
            tally.name(other, "b");
        });
        let paths: Vec<_> = coverage.files.iter().map(|file| &file.path).collect();
        assert_eq!(paths, ["a", "b"]);
        assert_eq!(
            (coverage.lines(), coverage.branches()),
            (share(1, 3), share(1, 2))
        );
    }

    #[test]
    fn totals_count_only_where_there_are_no_lines() {
        let (coverage, notes) = tallied(9, 99, |tally| {
            let file = tally.file("a").expect("a file");
            tally.declare(file, declared(9, 4));
            let file = tally.file("b").expect("a file");
            tally.declare(file, declared(1, 4));
            tally.line(file, 1, 0);
            tally.total(declared(50, 99));
        });
        assert_eq!((coverage.lines(), notes.len()), (share(4, 5), 1));
        let (coverage, _) = tallied(9, 99, |tally| tally.total(declared(50, 99)));
        assert_eq!(coverage.lines(), share(50, 99));
    }
}
