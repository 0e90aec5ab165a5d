//! Go cover profiles (`go test -coverprofile`; `golang.org/x/tools/cover`).
//!
//! `mode: set|count|atomic`, then a block a line: `file:line.column,line.column statements count`.
//! Go counts statements, everything else counts lines, and so does Herald, with Codecov's rule:
//! a block has the lines that it spans, without the last one where it ends at column 2 at most,
//! which is a closing brace alone. Files are import paths, so their beginning is the module's
//! name. Profiles that are put together repeat `mode:`, and with `-coverpkg` most blocks too.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, Read};

use super::cobertura::count;
use super::collect::{Format, Found};
use super::model::Diagnostic;
use super::source::Source;
use super::tally::Tally;
use crate::text::shorten;

/// Go cover profiles.
pub(super) const FORMAT: Format = Format {
    name: "go-cover",
    is: |file| {
        let text = file.text.trim_start_matches('\u{FEFF}').trim_start();
        text.lines().next().and_then(mode).is_some()
    },
    read,
};

/// More than this about one file helps nobody.
const MOST_NOTES: usize = 20;

/// Statements that were executed together.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Block<'a> {
    path: &'a str,
    first: u64,
    last: u64,
    statements: u64,
    hits: u64,
}

fn read(mut source: Source<&mut dyn Read>, found: &mut Found<'_>) {
    let mut tally = Tally::new(found.limits);
    let mut seen = HashSet::new();
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        source.mark();
        let at = source.position();
        if !matches!(source.read_until(b'\n', &mut bytes), Ok(read) if read > 0) {
            break;
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_start_matches('\u{FEFF}').trim();
        if text.is_empty() || mode(text).is_some() {
            continue;
        }
        let Some(block) = block(text) else {
            if found.notes.len() < MOST_NOTES {
                let text = format!("`{}` is no block of a profile", shorten::chars(text, 60));
                found.notes.push(Diagnostic::error(at, text));
            }
            continue;
        };
        // To go through the lines of the same block again for each package is too much.
        let mut hasher = DefaultHasher::new();
        block.hash(&mut hasher);
        if seen.len() < found.limits.covered_lines && !seen.insert(hasher.finish()) {
            continue;
        }
        // A function without statements has a block too, and nothing to execute.
        if block.statements > 0
            && let Some(slot) = tally.file(block.path)
        {
            tally.span(slot, block.first..=block.last, block.hits);
        }
    }
    if let Some(text) = source.interruption() {
        found.notes.push(Diagnostic::error(source.position(), text));
    }
    found.notes.extend(source.faults());
    tally.finish(found);
}

fn mode(line: &str) -> Option<&str> {
    let mode = line.trim().strip_prefix("mode:")?.trim();
    ["set", "count", "atomic"].contains(&mode).then_some(mode)
}

fn block(line: &str) -> Option<Block<'_>> {
    // From behind, since a path may have spaces and colons.
    let mut parts = line.rsplitn(3, char::is_whitespace);
    let hits = count(parts.next()?)?;
    let statements = count(parts.next()?)?;
    let (path, range) = parts.next()?.trim_end().rsplit_once(':')?;
    let (start, end) = range.split_once(',')?;
    let (first, _) = place(start)?;
    let (last, column) = place(end)?;
    let last = if column <= 2 && last > first {
        last - 1
    } else {
        last
    };
    (first <= last && first > 0).then_some(Block {
        path,
        first,
        last,
        statements,
        hits,
    })
}

/// `line.column`
fn place(text: &str) -> Option<(u64, u64)> {
    let (line, column) = text.split_once('.')?;
    Some((line.parse().ok()?, column.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::collect::{Collector, Limits};
    use super::super::coverage::Share;
    use super::super::testing::{coverage, file};
    use super::super::{FileStatus, Report};

    fn share(covered: u64, total: u64) -> Share {
        Share { covered, total }
    }

    #[test]
    fn a_block_has_the_lines_that_it_spans() {
        let found = coverage("mode: set\nm.org/a/x.go:3.14,5.10 2 1\nm.org/a/x.go:7.2,7.9 1 0\n");
        assert_eq!(found.files[0].path, "m.org/a/x.go");
        let lines: Vec<_> = found.files[0].lines.iter().collect();
        assert_eq!(lines, [(3, 1), (4, 1), (5, 1), (7, 0)]);
    }

    #[test]
    fn a_line_with_nothing_but_the_closing_brace_is_none() {
        assert_eq!(
            coverage("mode: set\na.go:3.14,5.2 2 1\n").lines(),
            share(2, 2)
        );
        assert_eq!(
            coverage("mode: set\na.go:3.14,5.3 2 1\n").lines(),
            share(3, 3)
        );
        assert_eq!(
            coverage("mode: set\na.go:3.1,3.2 2 0\n").lines(),
            share(0, 1)
        );
    }

    #[test]
    fn a_line_in_two_blocks_has_the_most_hits() {
        let found = coverage("mode: count\na.go:1.1,2.10 1 4\na.go:2.10,4.3 1 0\n");
        let lines: Vec<_> = found.files[0].lines.iter().collect();
        assert_eq!(lines, [(1, 4), (2, 4), (3, 0), (4, 0)]);
    }

    #[test]
    fn profiles_may_be_put_together() {
        let found = coverage(
            "mode: atomic\r\na.go:1.1,3.3 1 0\r\nb.go:1.1,1.3 1 0\r\nmode: atomic\r\na.go:1.1,3.3 1 7\r\na.go:1.1,3.3 1 7\r\n\r\nb.go:1.1,1.3 1 0",
        );
        assert_eq!(found.files.len(), 2);
        assert_eq!(found.lines(), share(3, 4));
    }

    #[test]
    fn a_block_without_statements_has_no_lines() {
        assert_eq!(
            coverage("mode: set\na.go:3.14,4.2 0 1\nb.go:1.1,1.2 1 1\n").lines(),
            share(1, 1)
        );
    }

    #[test]
    fn a_path_may_have_colons_and_spaces() {
        let found = coverage("mode: set\nC:\\my dir\\a b.go:1.1,1.9 1 1\n");
        assert_eq!(found.files[0].path, "C:\\my dir\\a b.go");
    }

    #[test]
    fn what_is_no_block_is_said_with_its_line() {
        let found = file("mode: set\na.go:1.1,1.9 1 1\nFAIL a [build failed]\na.go:9.1,8.1 1 1\n");
        let lines: Vec<_> = found.diagnostics.iter().map(|note| note.line).collect();
        assert_eq!((found.status, lines), (FileStatus::Partial, vec![3, 4]));
    }

    #[test]
    fn impossible_lines_are_not_gone_through() {
        let mut text = "mode: set\n".to_owned();
        for column in 0..500 {
            text.push_str(&format!("a.go:1.{column},18446744073709551615.9 1 1\n"));
        }
        let limits = Limits {
            covered_lines: 1000,
            ..Limits::default()
        };
        let mut collector = Collector::new(limits);
        collector.read("x", text.as_bytes());
        let report: Report = collector.finish();
        assert!(report.has_broken_files());
        assert_eq!(
            report.coverage.expect("coverage").lines(),
            share(1000, 1000)
        );
    }

    #[test]
    fn another_mode_is_no_profile() {
        assert_eq!(file("mode: dark\na.go:1.1,1.9 1 1\n").format, None);
    }
}
