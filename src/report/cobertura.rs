//! Cobertura XML (`coverage-04.dtd`), as coverage.py, gcovr, coverlet and others write it.
//!
//! The totals of the root are weak (a third of real files disagree with their own lines), so
//! they are used only when there are no lines at all. Lines may be in classes, in methods, or in
//! both; they are joined by file.

use std::collections::HashMap;

use super::collect::{Format, Found, Limits};
use super::coverage::{Declared, FileCoverage, Share};
use super::model::Diagnostic;
use super::xml::{self, Contents, Sink, Tag};

/// Cobertura XML.
pub(super) const FORMAT: Format = Format {
    name: "cobertura",
    is: |file| {
        file.root_is(&["coverage"])
            && !file.text.contains("<project")
            && !file.text.contains("clover=")
    },
    read: |source, found| {
        let mut sink = Cobertura::new(found.limits);
        let notes = xml::read(source, &mut sink);
        found.notes.extend(notes);
        sink.finish(found);
    },
};

/// Lines behind this one are not believed.
const LAST_LINE: u32 = 10_000_000;
/// More branches of one line are not believed.
const MOST_BRANCHES: u64 = 1024;

/// Gathers lines by file.
pub(super) struct Cobertura<'a> {
    limits: &'a Limits,
    files: Vec<FileCoverage>,
    known: HashMap<String, usize>,
    current: Option<usize>,
    sources: Vec<String>,
    source: Option<String>,
    declared: Option<Declared>,
    lines: usize,
    left_out: bool,
}

impl<'a> Cobertura<'a> {
    /// Knows nothing yet.
    pub(super) fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            files: Vec::new(),
            known: HashMap::new(),
            current: None,
            sources: Vec::new(),
            source: None,
            declared: None,
            lines: 0,
            left_out: false,
        }
    }

    /// Hands over what was found.
    pub(super) fn finish(mut self, found: &mut Found<'_>) {
        for file in &mut self.files {
            file.sources.clone_from(&self.sources);
        }
        if self.files.iter().all(|file| file.lines.is_empty())
            && let Some(declared) = self.declared
            && declared.lines.total > 0
        {
            found.coverage.declared = Some(declared.possible());
            found.notes.push(Diagnostic::warning(
                (1, 1),
                "there are totals but no lines; they are taken as they are",
            ));
        }
        if self.left_out {
            found.notes.push(Diagnostic::error(
                (1, 1),
                "there are too many files or lines; some are left out",
            ));
        }
        found.coverage.files = self.files;
    }

    fn class(&mut self, tag: &Tag<'_>) {
        let path = tag
            .filled("filename")
            .or_else(|| tag.filled("name"))
            .unwrap_or_default()
            .trim()
            .to_owned();
        self.current = self.known.get(&path).copied();
        if self.current.is_none() {
            if self.files.len() >= self.limits.covered_files {
                self.left_out = true;
                return;
            }
            self.current = Some(self.files.len());
            self.known.insert(path.clone(), self.files.len());
            self.files.push(FileCoverage {
                path,
                ..FileCoverage::default()
            });
        }
    }

    fn line(&mut self, tag: &Tag<'_>) {
        let Some(file) = self.current.and_then(|at| self.files.get_mut(at)) else {
            return;
        };
        let (mut number, mut hits, mut branches) = (None, None, None);
        for (key, value) in tag.iter() {
            match key {
                "number" => number = line_number(&value),
                "hits" => hits = count(&value),
                "condition-coverage" => branches = condition(&value),
                _ => {}
            }
        }
        let (Some(line), Some(hits)) = (number, hits) else {
            return;
        };
        if self.lines >= self.limits.covered_lines {
            self.left_out = true;
            return;
        }
        self.lines += usize::from(file.lines.add(line, hits));
        if let Some(share) = branches {
            file.branches.add(line, share);
        }
    }
}

impl Sink for Cobertura<'_> {
    const READS_AHEAD: bool = true;

    fn open(&mut self, tag: &Tag<'_>) -> Contents {
        match tag.name {
            "coverage" => {
                let number = |key| {
                    tag.get(key)
                        .and_then(|text| count(&text))
                        .unwrap_or_default()
                };
                self.declared.get_or_insert_with(|| Declared {
                    lines: Share {
                        covered: number("lines-covered").min(number("lines-valid")),
                        total: number("lines-valid"),
                    },
                    branches: Share {
                        covered: number("branches-covered").min(number("branches-valid")),
                        total: number("branches-valid"),
                    },
                });
            }
            "source" => self.source = Some(String::new()),
            "class" => self.class(tag),
            "line" => self.line(tag),
            _ => {}
        }
        Contents::Read
    }

    fn wants_text(&self) -> bool {
        self.source.is_some()
    }

    fn text(&mut self, text: &str) {
        if let Some(source) = &mut self.source
            && source.len() < 4096
        {
            source.push_str(text);
        }
    }

    fn read_ahead(&mut self, ahead: &[u8]) -> usize {
        let Some(file) = self.current.and_then(|at| self.files.get_mut(at)) else {
            return 0;
        };
        let mut rest = ahead;
        while self.lines < self.limits.covered_lines
            && let Some((line, hits, behind)) = plain(rest)
        {
            self.lines += usize::from(file.lines.add(line, hits));
            rest = behind.trim_ascii_start();
        }
        ahead.len() - rest.len()
    }

    fn close(&mut self, name: &str) {
        match name {
            "source" => {
                if let Some(source) = self.source.take() {
                    let source = source.trim();
                    if !source.is_empty()
                        && self.sources.len() < 64
                        && !self.sources.iter().any(|known| known == source)
                    {
                        self.sources.push(source.to_owned());
                    }
                }
            }
            "class" => self.current = None,
            _ => {}
        }
    }
}

/// `<line number="12" hits="3"/>`, as nearly all lines are, and what follows it.
fn plain(bytes: &[u8]) -> Option<(u32, u64, &[u8])> {
    let rest = bytes.strip_prefix(b"<line number=\"")?;
    let (line, rest) = digits(rest)?;
    let (hits, rest) = digits(rest.strip_prefix(b"\" hits=\"")?)?;
    let rest = rest.strip_prefix(b"\"")?;
    let no_branch = [&b" branch=\"false\""[..], b" branch=\"False\""];
    let mut behind = no_branch.iter().filter_map(|no| rest.strip_prefix(*no));
    let rest = behind.next().unwrap_or(rest);
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    Some((possible(line)?, hits, rest.strip_prefix(b"/>")?))
}

/// A line that can be.
pub(super) fn possible(line: u64) -> Option<u32> {
    let line = u32::try_from(line).ok()?;
    (1..=LAST_LINE).contains(&line).then_some(line)
}

/// A number of at most eight digits, and what follows it.
pub(super) fn digits(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (at, byte) in bytes.iter().enumerate().take(9) {
        if !byte.is_ascii_digit() {
            return (at > 0).then(|| (number, bytes.get(at..).unwrap_or_default()));
        }
        number = number * 10 + u64::from(byte - b'0');
    }
    (1..=8).contains(&bytes.len()).then_some((number, &[]))
}

/// A line from 1.
pub(super) fn line_number(text: &str) -> Option<u32> {
    let text = text.trim();
    if let Ok(line) = text.parse() {
        return Some(line).filter(|line| (1..=LAST_LINE).contains(line));
    }
    let number = text.parse::<f64>().ok()?;
    if !(1.0..=f64::from(LAST_LINE)).contains(&number) {
        return None;
    }
    text.split('.').next()?.parse().ok()
}

/// A number of executions: may be written as a float, beyond all bounds, or below zero.
pub(super) fn count(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Ok(number) = text.parse::<u64>() {
        return Some(number);
    }
    let number = text.parse::<f64>().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast from float saturates, which is what is wanted"
    )]
    (!number.is_nan()).then(|| number.ceil() as u64)
}

/// `50% (1/2)`; only what is in the parenthesis counts.
fn condition(text: &str) -> Option<Share> {
    let (covered, total) = text
        .rsplit_once('(')?
        .1
        .split_once(')')?
        .0
        .split_once('/')?;
    let total = count(total)?.min(MOST_BRANCHES);
    Some(Share {
        covered: count(covered)?.min(total),
        total,
    })
    .filter(|share| share.total > 0)
}
