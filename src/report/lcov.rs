//! LCOV tracefiles (`geninfo(1)`).
//!
//! A record is split at its first colon only: paths and names may have more. The same file may
//! have several records.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, Read};

use super::cobertura::{count, line_number};
use super::collect::{Format, Found};
use super::coverage::{Declared, FileCoverage, Share};
use super::model::Diagnostic;
use super::source::Source;

/// LCOV tracefiles.
pub(super) const FORMAT: Format = Format {
    name: "lcov",
    is: |file| {
        file.text.lines().any(|line| {
            ["SF:", "TN:"]
                .iter()
                .any(|record| line.trim_start().starts_with(record))
        })
    },
    read,
};

/// Branches of a line beyond these are not believed.
const MOST_BRANCHES: usize = 1024;

#[derive(Default)]
struct Record {
    path: Option<String>,
    lines: Vec<(u32, u64)>,
    /// Whether each branch was taken, by line and what names it.
    branches: BTreeMap<u32, HashMap<String, bool>>,
    declared: Declared,
}

/// Reads a whole tracefile.
fn read(mut source: Source<&mut dyn Read>, found: &mut Found<'_>) {
    let mut files: Vec<FileCoverage> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    // Branches of a file may be spread over records, so they are counted at the end.
    let mut branches: Vec<BTreeMap<u32, HashMap<String, bool>>> = Vec::new();
    let mut record = Record::default();
    let mut lines = 0;
    let mut left_out = false;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        source.mark();
        let at = source.position();
        let read = source.read_until(b'\n', &mut bytes);
        let ended = !matches!(read, Ok(read) if read > 0);
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_start_matches('\u{FEFF}').trim();
        let is_end = text == "end_of_record";
        let begins = text.starts_with("SF:");
        if (is_end || ended || begins) && record.path.is_some() {
            if !is_end {
                found
                    .notes
                    .push(Diagnostic::error(at, "a record without `end_of_record`"));
            }
            let done = std::mem::take(&mut record);
            let path = done.path.unwrap_or_default();
            let index = *known.entry(path.clone()).or_insert_with(|| {
                files.push(FileCoverage {
                    path,
                    ..FileCoverage::default()
                });
                branches.push(BTreeMap::new());
                files.len() - 1
            });
            if let (Some(file), Some(taken)) = (files.get_mut(index), branches.get_mut(index)) {
                for (line, hits) in done.lines {
                    file.lines.add(line, hits);
                }
                for (line, named) in done.branches {
                    let all = taken.entry(line).or_default();
                    for (name, was) in named {
                        *all.entry(name).or_default() |= was;
                    }
                }
                if done.declared.lines.total > 0 || done.declared.branches.total > 0 {
                    file.declared = Some(done.declared);
                }
            }
            if files.len() > found.limits.covered_files || lines > found.limits.covered_lines {
                left_out = true;
                break;
            }
        }
        if ended {
            break;
        }
        if let Some(problem) = record.take(text, &mut lines)
            && found.notes.len() < 20
        {
            found.notes.push(Diagnostic::warning(at, problem));
        }
    }
    if let Some(text) = source.interruption() {
        found.notes.push(Diagnostic::error(source.position(), text));
    }
    if left_out {
        let text = "there are too many files or lines; the rest is left out";
        found.notes.push(Diagnostic::error(source.position(), text));
    }
    for (file, taken) in files.iter_mut().zip(branches) {
        for (line, named) in taken {
            let share = Share {
                covered: named.values().map(|was| u64::from(*was)).sum(),
                total: named.values().map(|_| 1).sum(),
            };
            file.branches.add(line, share);
        }
        // Totals count only where there is nothing to count.
        if !file.lines.is_empty() {
            file.declared = None;
        }
    }
    if files.iter().any(|file| file.declared.is_some()) {
        found.notes.push(Diagnostic::warning(
            (1, 1),
            "there are files with totals but without lines; these totals are taken as they are",
        ));
    }
    found.coverage.files = files;
}

impl Record {
    fn take(&mut self, text: &str, lines: &mut usize) -> Option<String> {
        let (kind, value) = text.split_once(':')?;
        match kind {
            "SF" => self.path = Some(value.trim().to_owned()),
            "DA" => {
                let mut parts = value.split(',');
                let line = parts.next().and_then(line_number);
                let hits = parts.next().and_then(count);
                let (Some(line), Some(hits)) = (line, hits) else {
                    return Some(format!("`{}` says nothing", short(text)));
                };
                *lines += 1;
                self.lines.push((line, hits));
            }
            "BRDA" => {
                // The name of a branch may hold commas; what it was taken is behind the last.
                let (line, rest) = value.split_once(',')?;
                let (name, taken) = rest.rsplit_once(',')?;
                let Some(line) = line_number(line) else {
                    return Some(format!("`{}` says nothing", short(text)));
                };
                let taken = count(taken).is_some_and(|taken| taken > 0);
                let named = self.branches.entry(line).or_default();
                if named.len() < MOST_BRANCHES || named.contains_key(name) {
                    *lines += 1;
                    *named.entry(name.to_owned()).or_default() |= taken;
                }
            }
            "LF" => self.declared.lines.total = count(value).unwrap_or_default(),
            "LH" => self.declared.lines.covered = count(value).unwrap_or_default(),
            "BRF" => self.declared.branches.total = count(value).unwrap_or_default(),
            "BRH" => self.declared.branches.covered = count(value).unwrap_or_default(),
            _ => {}
        }
        None
    }
}

fn short(text: &str) -> String {
    crate::text::shorten::chars(text, 60).into_owned()
}
