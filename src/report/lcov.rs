//! LCOV tracefiles (`geninfo(1)`).
//!
//! A record is split at its first colon only: paths and names may have more. The same file may
//! have several records.

use std::collections::HashMap;
use std::io::{BufRead, Read};

use super::cobertura::{count, digits, line_number, possible};
use super::collect::{Format, Found, Limits};
use super::coverage::{Branches, Declared, FileCoverage, Share};
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

/// Branches of a file, which may be spread over several records.
#[derive(Default)]
struct Taken {
    /// What names each branch, one behind the other.
    names: String,
    all: Vec<Branch>,
}

/// There may be millions, so it is small.
struct Branch {
    line: u32,
    /// Where its name begins, and how long it is.
    name: u32,
    length: u16,
    taken: bool,
}

impl Taken {
    fn add(&mut self, line: u32, name: &str, taken: bool) {
        let (Ok(start), Ok(length)) = (self.names.len().try_into(), name.len().try_into()) else {
            return;
        };
        self.names.push_str(name);
        self.all.push(Branch {
            line,
            name: start,
            length,
            taken,
        });
    }

    /// A branch is taken when it is somewhere.
    fn count(mut self, branches: &mut Branches) {
        let names = self.names;
        let name = |branch: &Branch| {
            let start = usize::try_from(branch.name).unwrap_or(usize::MAX);
            let rest = names.get(start..).unwrap_or_default();
            rest.get(..usize::from(branch.length)).unwrap_or_default()
        };
        self.all.sort_by_key(|branch| (branch.line, name(branch)));
        for of_line in self.all.chunk_by(|one, other| one.line == other.line) {
            let mut share = Share::default();
            let same = |one: &Branch, other: &Branch| name(one) == name(other);
            for branch in of_line.chunk_by(same).take(MOST_BRANCHES) {
                share.total += 1;
                share.covered += u64::from(branch.iter().any(|branch| branch.taken));
            }
            let line = of_line.first().map_or(0, |branch| branch.line);
            branches.add(line, share);
        }
    }
}

/// A tracefile, as far as it is read.
struct Tracefile<'a> {
    limits: &'a Limits,
    files: Vec<(FileCoverage, Taken)>,
    known: HashMap<String, usize>,
    /// The file of the record that is read.
    current: Option<usize>,
    /// Lines and branches so far.
    held: usize,
    left_out: bool,
}

fn read(mut source: Source<&mut dyn Read>, found: &mut Found<'_>) {
    let mut tracefile = Tracefile {
        limits: found.limits,
        files: Vec::new(),
        known: HashMap::new(),
        current: None,
        held: 0,
        left_out: false,
    };
    let mut notes = Vec::new();
    let mut spread = Vec::new();
    while !tracefile.left_out {
        source.mark();
        let Ok(ahead) = source.fill_buf() else { break };
        if ahead.is_empty() {
            break;
        }
        // Nearly every line lies in the buffer as a whole.
        let said = if let Some(end) = memchr::memchr(b'\n', ahead) {
            let said = tracefile.take(ahead.get(..end).unwrap_or_default());
            source.consume(end + 1);
            said
        } else {
            spread.clear();
            if source.read_until(b'\n', &mut spread).is_err() {
                break;
            }
            tracefile.take(&spread)
        };
        if let Some(said) = said
            && notes.len() < 20
        {
            notes.push(said.at(source.marked()));
        }
    }
    if tracefile.current.is_some() && !tracefile.left_out {
        notes.push(Said::Unended.at(source.position()));
    }
    if let Some(text) = source.interruption() {
        notes.push(Diagnostic::error(source.position(), text));
    }
    if tracefile.left_out {
        let text = "there are too many files or lines; the rest is left out";
        notes.push(Diagnostic::error(source.position(), text));
    }
    found.notes.extend(notes);
    tracefile.finish(found);
}

/// What there is to say about a line.
enum Said {
    Nothing(String),
    Unended,
}

impl Said {
    fn at(self, place: (u64, u64)) -> Diagnostic {
        match self {
            Self::Nothing(text) => {
                Diagnostic::warning(place, format!("`{}` says nothing", short(&text)))
            }
            Self::Unended => Diagnostic::error(place, "a record without `end_of_record`"),
        }
    }
}

impl Tracefile<'_> {
    fn take(&mut self, bytes: &[u8]) -> Option<Said> {
        if let Some((line, hits)) = simple(bytes)
            && let Some((file, _)) = self.current.and_then(|at| self.files.get_mut(at))
        {
            let new = file.lines.add(line, hits);
            return self.hold(usize::from(new));
        }
        if let Some((line, name, is_taken)) = simple_branch(bytes)
            && let Some((_, taken)) = self.current.and_then(|at| self.files.get_mut(at))
        {
            taken.add(line, name, is_taken);
            return self.hold(1);
        }
        // The source gives nothing else.
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let text = text.trim_start_matches('\u{FEFF}').trim();
        if text == "end_of_record" {
            self.current = None;
            return None;
        }
        let (kind, value) = text.split_once(':')?;
        if kind == "SF" {
            let unended = self.current.is_some();
            self.begin(value.trim());
            return unended.then_some(Said::Unended);
        }
        let (file, taken) = self.current.and_then(|at| self.files.get_mut(at))?;
        let declared = |number: &mut Declared| match kind {
            "LF" => number.lines.total = count(value).unwrap_or_default(),
            "LH" => number.lines.covered = count(value).unwrap_or_default(),
            "BRF" => number.branches.total = count(value).unwrap_or_default(),
            _ => number.branches.covered = count(value).unwrap_or_default(),
        };
        match kind {
            "DA" => {
                let mut parts = value.split(',');
                let line = parts.next().and_then(line_number);
                let hits = parts.next().and_then(count);
                let (Some(line), Some(hits)) = (line, hits) else {
                    return Some(Said::Nothing(text.to_owned()));
                };
                let new = file.lines.add(line, hits);
                return self.hold(usize::from(new));
            }
            "BRDA" => {
                // The name of a branch may hold commas; what it was taken is behind the last.
                let (line, rest) = value.split_once(',')?;
                let (name, times) = rest.rsplit_once(',')?;
                let Some(line) = line_number(line) else {
                    return Some(Said::Nothing(text.to_owned()));
                };
                let is_taken = times != "-" && count(times).is_some_and(|times| times > 0);
                taken.add(line, name, is_taken);
                return self.hold(1);
            }
            "LF" | "LH" | "BRF" | "BRH" => declared(file.declared.get_or_insert_default()),
            _ => {}
        }
        None
    }

    fn begin(&mut self, path: &str) {
        if let Some(at) = self.known.get(path) {
            self.current = Some(*at);
            return;
        }
        if self.files.len() >= self.limits.covered_files {
            self.left_out = true;
            return;
        }
        self.current = Some(self.files.len());
        self.known.insert(path.to_owned(), self.files.len());
        let file = FileCoverage {
            path: path.to_owned(),
            ..FileCoverage::default()
        };
        self.files.push((file, Taken::default()));
    }

    fn hold(&mut self, more: usize) -> Option<Said> {
        self.held += more;
        self.left_out |= self.held > self.limits.covered_lines;
        None
    }

    fn finish(self, found: &mut Found<'_>) {
        let mut totals_only = false;
        for (mut file, taken) in self.files {
            taken.count(&mut file.branches);
            // Totals count only where there is nothing to count.
            file.declared = file.declared.map(Declared::possible).filter(|declared| {
                file.lines.is_empty() && (declared.lines.total > 0 || declared.branches.total > 0)
            });
            totals_only |= file.declared.is_some();
            found.coverage.files.push(file);
        }
        if totals_only {
            found.notes.push(Diagnostic::warning(
                (1, 1),
                "there are files with totals but without lines; these totals are taken as they are",
            ));
        }
    }
}

/// `DA:12,3` as nearly all lines are: nothing but digits.
fn simple(bytes: &[u8]) -> Option<(u32, u64)> {
    let rest = bytes.strip_prefix(b"DA:")?;
    let (line, rest) = digits(rest)?;
    let (hits, rest) = digits(rest.strip_prefix(b",")?)?;
    matches!(rest, b"" | b"\r").then_some((possible(line)?, hits))
}

/// `BRDA:12,0,1,3` or `BRDA:12,0,1,-`, as nearly all branches are.
fn simple_branch(bytes: &[u8]) -> Option<(u32, &str, bool)> {
    let (line, rest) = digits(bytes.strip_prefix(b"BRDA:")?)?;
    let rest = rest.strip_prefix(b",")?;
    let comma = rest.iter().rposition(|byte| *byte == b',')?;
    let is_taken = match rest.get(comma + 1..)? {
        b"-" | b"-\r" => false,
        times => match digits(times)? {
            (times, b"" | b"\r") => times > 0,
            _ => return None,
        },
    };
    let name = std::str::from_utf8(rest.get(..comma)?).ok()?;
    Some((possible(line)?, name, is_taken))
}

fn short(text: &str) -> String {
    crate::text::shorten::chars(text, 60).into_owned()
}
