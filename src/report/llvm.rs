//! The JSON of `llvm-cov export`, as Rust, Swift and C++ builds write it.
//!
//! `{"data": [{"files": [{"filename", "segments", "branches", "summary"}], "totals"}]}`. A segment
//! `[line, column, count, has count, is entry, is gap]` holds until the next one; lines are made
//! of them as `LineCoverageStats` in LLVM's `CoverageMapping.cpp` does. With `-summary-only` there
//! are totals alone.

use serde::de::Deserializer;

use super::collect::Format;
use super::coverage::{Declared, Share};
use super::json_stream::{self, Node, Number, Text, has_key, skip, take, walk};
use super::tally::{Slot, Tally};

/// JSON of `llvm-cov export`.
pub(super) const FORMAT: Format = Format {
    name: "llvm-cov",
    is: |file| {
        // The type is written last, behind all files.
        has_key(file.text, 1, "data")
            && has_key(file.text, 3, "files")
            && (has_key(file.text, 5, "filename")
                || has_key(file.text, 5, "segments")
                || has_key(file.text, 5, "branches")
                || has_key(file.text, 3, "totals"))
    },
    read: |source, found| {
        let mut export = Export(Tally::new(found.limits));
        let notes = json_stream::read(source, LONGEST, &mut export);
        found.notes.extend(notes);
        export.0.finish(found);
    },
};

/// Bytes of a string; those that are wanted are paths.
const LONGEST: usize = 4096;

/// The outermost object, what is in `data`, and the array of `files` too.
struct Export<'a>(Tally<'a>);

impl Node for Export<'_> {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        match key {
            "data" => walk(self, value),
            "files" => walk(&mut Files(&mut self.0), value),
            "totals" => take(value).map(|Summary(declared)| self.0.total(declared)),
            _ => skip(value),
        }
    }

    fn element<'de, D: Deserializer<'de>>(&mut self, _: usize, value: D) -> Result<(), D::Error> {
        walk(self, value)
    }
}

struct Files<'a, 'b>(&'a mut Tally<'b>);

impl Node for Files<'_, '_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, _: usize, value: D) -> Result<(), D::Error> {
        let Some(slot) = self.0.unnamed() else {
            return skip(value);
        };
        let mut file = File {
            tally: self.0,
            slot,
            path: String::new(),
        };
        let read = walk(&mut file, value);
        let path = file.path;
        self.0.name(slot, &path);
        read
    }
}

struct File<'a, 'b> {
    tally: &'a mut Tally<'b>,
    slot: Slot,
    path: String,
}

impl Node for File<'_, '_> {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        match key {
            "filename" => take(value).map(|Text(path)| self.path = path.unwrap_or_default()),
            "summary" => {
                take(value).map(|Summary(declared)| self.tally.declare(self.slot, declared))
            }
            "segments" => {
                let mut segments = Segments::new(self.tally, self.slot);
                let read = walk(&mut segments, value);
                segments.end_of_line();
                read
            }
            "branches" => walk(&mut Branches(self.tally, self.slot), value),
            _ => skip(value),
        }
    }
}

/// Numbers in an array; what is true is 1.
#[derive(Debug, Default, Clone, Copy)]
struct Row([u64; 6]);

impl Node for Row {
    fn element<'de, D: Deserializer<'de>>(
        &mut self,
        index: usize,
        value: D,
    ) -> Result<(), D::Error> {
        let Cell(number) = take(value)?;
        if let Some(cell) = self.0.get_mut(index) {
            *cell = number;
        }
        Ok(())
    }
}

#[derive(Default)]
struct Cell(u64);

impl Node for Cell {
    fn flag(&mut self, flag: bool) {
        self.0 = u64::from(flag);
    }

    fn number(&mut self, number: u64) {
        self.0 = number;
    }
}

/// Makes lines of segments.
struct Segments<'a, 'b> {
    tally: &'a mut Tally<'b>,
    slot: Slot,
    line: u64,
    /// The line begins with code that is not compiled.
    skipped: bool,
    /// The most executions of a region that begins on the line.
    started: Option<u64>,
    /// A region with a count begins on the line, be it a gap.
    counted: bool,
    /// What the line before left open.
    wrapped: Option<u64>,
    /// What this line leaves open so far.
    last: Option<u64>,
}

impl<'a, 'b> Segments<'a, 'b> {
    fn new(tally: &'a mut Tally<'b>, slot: Slot) -> Self {
        Self {
            tally,
            slot,
            line: 0,
            skipped: false,
            started: None,
            counted: false,
            wrapped: None,
            last: None,
        }
    }

    fn end_of_line(&mut self) {
        let mapped = self.wrapped.is_some() || self.started.is_some();
        if self.counted || (mapped && !self.skipped) {
            let hits = self.wrapped.max(self.started).unwrap_or_default();
            self.tally.line(self.slot, self.line, hits);
        }
        self.wrapped = self.last;
    }
}

impl Node for Segments<'_, '_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, _: usize, value: D) -> Result<(), D::Error> {
        let Row([line, _, count, has_count, is_entry, is_gap]) = take(value)?;
        let (has_count, is_entry, is_gap) = (has_count > 0, is_entry > 0, is_gap > 0);
        if line != self.line {
            self.end_of_line();
            if let Some(hits) = self.wrapped {
                let between = self.line.saturating_add(1)..=line.saturating_sub(1);
                self.tally.span(self.slot, between, hits);
            }
            self.line = line;
            self.skipped = !has_count && is_entry;
            (self.started, self.counted) = (None, false);
        }
        self.counted |= has_count && is_entry;
        if has_count && is_entry && !is_gap {
            self.started = self.started.max(Some(count));
        }
        self.last = has_count.then_some(count);
        Ok(())
    }
}

/// `[line, column, last line, last column, how often true, how often false, …]`
struct Branches<'a, 'b>(&'a mut Tally<'b>, Slot);

impl Node for Branches<'_, '_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, _: usize, value: D) -> Result<(), D::Error> {
        let Row([line, column, last, last_column, yes, no]) = take(value)?;
        for (way, count) in [(true, yes), (false, no)] {
            let name = (column, last, last_column, way);
            self.0.branch(self.1, line, &name, count > 0);
        }
        Ok(())
    }
}

/// `{"lines": {"count": 2, "covered": 1, …}, "branches": …}`
#[derive(Default)]
struct Summary(Declared);

impl Node for Summary {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        match key {
            "lines" => take(value).map(|Count(share)| self.0.lines = share),
            "branches" => take(value).map(|Count(share)| self.0.branches = share),
            _ => skip(value),
        }
    }
}

#[derive(Default)]
struct Count(Share);

impl Node for Count {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        let Number(number) = take(value)?;
        match key {
            "count" => self.0.total = number.unwrap_or_default(),
            "covered" => self.0.covered = number.unwrap_or_default(),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::FileStatus;
    use super::super::coverage::Share;
    use super::super::testing::{coverage, read};

    fn share(covered: u64, total: u64) -> Share {
        Share { covered, total }
    }

    fn export(files: &str) -> String {
        format!(
            r#"{{"data":[{{"files":[{files}],"functions":[{{"regions":[[1,1,9,9,5,0,0,0]]}}],"totals":{{"lines":{{"count":99,"covered":99}}}}}}],"type":"llvm.coverage.json.export","version":"2.0.1"}}"#
        )
    }

    fn lines(segments: &str) -> Vec<(u32, u32)> {
        let file = format!(r#"{{"branches":[],"filename":"a.rs","segments":[{segments}]}}"#);
        let found = coverage(&export(&file));
        found.files[0].lines.iter().collect()
    }

    #[test]
    fn a_segment_holds_until_the_next_one() {
        assert_eq!(
            lines(
                "[2,1,3,true,true,false],[5,2,0,false,false,false],[7,1,0,true,true,false],[8,2,0,false,false,false]"
            ),
            [(2, 3), (3, 3), (4, 3), (5, 3), (7, 0), (8, 0)]
        );
    }

    #[test]
    fn a_line_has_the_most_hits_of_the_regions_that_begin_on_it() {
        assert_eq!(
            lines(
                "[1,1,2,true,true,false],[2,5,9,true,true,false],[2,7,4,true,false,false],[3,2,0,false,false,false]"
            ),
            [(1, 2), (2, 9), (3, 4)]
        );
    }

    #[test]
    fn a_gap_has_no_hits_of_its_own() {
        assert_eq!(
            lines(
                "[1,1,2,true,true,false],[1,9,7,true,true,true],[2,3,0,true,true,false],[2,9,2,true,false,false],[3,1,0,false,false,false]"
            ),
            [(1, 2), (2, 7), (3, 2)]
        );
    }

    #[test]
    fn lines_that_are_not_compiled_are_none() {
        assert_eq!(
            lines(
                "[1,1,2,true,true,false],[3,1,0,false,true,false],[5,1,2,true,false,false],[6,1,0,false,false,false]"
            ),
            [(1, 2), (2, 2), (6, 2)]
        );
    }

    #[test]
    fn flags_may_be_numbers_and_rows_short() {
        assert_eq!(lines("[1,1,2,1,1],[3,1,0,0,0]"), [(1, 2), (2, 2), (3, 2)]);
        assert_eq!(lines("[],null,7,[1],[\"x\",{}]"), []);
    }

    #[test]
    fn branches_are_two_for_each_condition() {
        let found = coverage(&export(
            r#"{"branches":[[4,5,4,9,3,0,0,0,4],[4,12,4,20,1,2,0,0,4],[4,5,4,9,0,1,0,0,4]],"filename":"a.rs","segments":[[4,1,1,true,true,false]]}"#,
        ));
        assert_eq!(found.branches(), share(4, 4));
    }

    #[test]
    fn a_summary_counts_only_where_there_are_no_segments() {
        let summary = r#""summary":{"branches":{"count":4,"covered":1},"lines":{"count":8,"covered":5,"percent":62.5}}"#;
        let report = read(export(&format!(
            r#"{{"filename":"a.rs",{summary}}},{{"filename":"b.rs","segments":[[1,1,1,true,true,false]],{summary}}}"#
        )));
        assert_eq!(report.files[0].status, FileStatus::Partial);
        let found = report.coverage.expect("coverage");
        assert_eq!(
            (found.lines(), found.branches()),
            (share(6, 9), share(1, 4))
        );
        assert_eq!(coverage(&export("")).lines(), share(99, 99));
    }

    #[test]
    fn a_file_may_be_there_twice() {
        let found = coverage(&export(
            r#"{"segments":[[1,1,0,true,true]],"filename":"a"},{"segments":[[1,1,3,true,true],[1,9,0,false,false],[2,1,0,true,true]],"filename":"a"}"#,
        ));
        assert_eq!((found.files.len(), found.lines()), (1, share(1, 2)));
    }

    #[test]
    fn what_was_read_before_the_break_stays() {
        let whole =
            export(r#"{"filename":"a","segments":[[1,1,2,true,true],[3,1,0,false,false]]}"#);
        let (cut, _) = whole.split_once(",false").expect("a row");
        let report = read(cut);
        assert!(report.has_broken_files());
        assert_eq!(report.coverage.expect("coverage").lines(), share(1, 1));
    }
}
