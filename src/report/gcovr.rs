//! The JSON of gcovr (`gcovr --json`; its "JSON Format Reference").
//!
//! `{"gcovr/format_version", "files": [{"file", "lines": [{"line_number", "count", "branches":
//! [{"count", …}]}]}]}`. A line is there once for each function that has it, so instances of a
//! template say different things about the same one. Lines that markers exclude are written
//! too. The summary (`--json-summary`) has totals alone.

use serde::de::Deserializer;

use super::collect::Format;
use super::coverage::Declared;
use super::json_stream::{self, Node, Number, Text, has_key, skip, take, walk};
use super::tally::{Slot, Tally};

/// JSON of gcovr, with lines or totals.
pub(super) const FORMAT: Format = Format {
    name: "gcovr",
    is: |file| {
        has_key(file.text, 1, "gcovr/format_version")
            || has_key(file.text, 1, "gcovr/summary_format_version")
    },
    read: |source, found| {
        let mut report = Report(Tally::new(found.limits));
        let notes = json_stream::read(source, LONGEST, &mut report);
        found.notes.extend(notes);
        report.0.finish(found);
    },
};

/// Bytes of a string; those that are wanted are paths.
const LONGEST: usize = 4096;

/// The outermost object, and the array of `files`.
struct Report<'a>(Tally<'a>);

impl Node for Report<'_> {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        match key {
            "files" => walk(self, value),
            _ => skip(value),
        }
    }

    fn element<'de, D: Deserializer<'de>>(&mut self, _: usize, value: D) -> Result<(), D::Error> {
        let Some(slot) = self.0.unnamed() else {
            return skip(value);
        };
        let mut file = File {
            tally: &mut self.0,
            slot,
            path: String::new(),
            declared: Declared::default(),
        };
        let read = walk(&mut file, value);
        let (path, declared) = (file.path, file.declared);
        self.0.declare(slot, declared);
        self.0.name(slot, &path);
        read
    }
}

struct File<'a, 'b> {
    tally: &'a mut Tally<'b>,
    slot: Slot,
    path: String,
    declared: Declared,
}

impl Node for File<'_, '_> {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        let declared = match key {
            // The second is that of the summary.
            "file" | "filename" => {
                return take(value).map(|Text(path)| self.path = path.unwrap_or_default());
            }
            "lines" => return walk(self, value),
            "line_total" => &mut self.declared.lines.total,
            "line_covered" => &mut self.declared.lines.covered,
            "branch_total" => &mut self.declared.branches.total,
            "branch_covered" => &mut self.declared.branches.covered,
            _ => return skip(value),
        };
        let Number(number) = take(value)?;
        *declared = number.unwrap_or_default();
        Ok(())
    }

    fn element<'de, D: Deserializer<'de>>(&mut self, _: usize, value: D) -> Result<(), D::Error> {
        let line: Line = take(value)?;
        if line.excluded {
            return Ok(());
        }
        self.tally.line(self.slot, line.number, line.count);
        for branch in &line.branches {
            let name = branch.name;
            self.tally
                .branch(self.slot, line.number, &name, branch.count > 0);
        }
        Ok(())
    }
}

/// More branches of one line are not believed.
const MOST_BRANCHES: usize = 1024;

#[derive(Default)]
struct Line {
    number: u64,
    count: u64,
    excluded: bool,
    branches: Vec<Branch>,
}

impl Node for Line {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        match key {
            "line_number" => {
                take(value).map(|Number(number)| self.number = number.unwrap_or_default())
            }
            "count" => take(value).map(|Number(count)| self.count = count.unwrap_or_default()),
            "branches" => walk(self, value),
            "gcovr/excluded" | "gcovr/noncode" => {
                take(value).map(|Flag(flag)| self.excluded |= flag)
            }
            _ => skip(value),
        }
    }

    fn element<'de, D: Deserializer<'de>>(
        &mut self,
        index: usize,
        value: D,
    ) -> Result<(), D::Error> {
        let mut branch: Branch = take(value)?;
        branch
            .name
            .0
            .get_or_insert(u64::try_from(index).unwrap_or_default());
        if !branch.excluded && self.branches.len() < MOST_BRANCHES {
            self.branches.push(branch);
        }
        Ok(())
    }
}

#[derive(Default)]
struct Branch {
    count: u64,
    excluded: bool,
    /// Number, and blocks that it leads from and to.
    name: (Option<u64>, Option<u64>, Option<u64>),
}

impl Node for Branch {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        match key {
            "count" => take(value).map(|Number(count)| self.count = count.unwrap_or_default()),
            "branchno" => take(value).map(|Number(number)| self.name.0 = number),
            "source_block_id" => take(value).map(|Number(number)| self.name.1 = number),
            "destination_block_id" => take(value).map(|Number(number)| self.name.2 = number),
            "gcovr/excluded" => take(value).map(|Flag(flag)| self.excluded = flag),
            _ => skip(value),
        }
    }
}

#[derive(Default)]
struct Flag(bool);

impl Node for Flag {
    fn flag(&mut self, flag: bool) {
        self.0 = flag;
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

    fn report(lines: &str) -> String {
        format!(
            r#"{{"gcovr/format_version":"0.15","files":[{{"lines":[{lines}],"functions":[{{"lineno":1,"execution_count":9}}],"file":"src/a.cpp"}}]}}"#
        )
    }

    #[test]
    fn a_line_has_the_most_hits_of_the_functions_that_have_it() {
        let found = coverage(&report(
            r#"{"line_number":3,"function_name":"f<int>","count":0,"branches":[]},{"line_number":3,"function_name":"f<char>","count":4},{"line_number":4,"count":0}"#,
        ));
        assert_eq!(found.files[0].path, "src/a.cpp");
        let lines: Vec<_> = found.files[0].lines.iter().collect();
        assert_eq!(lines, [(3, 4), (4, 0)]);
    }

    #[test]
    fn branches_of_several_records_are_joined_by_their_names() {
        let found = coverage(&report(
            r#"{"line_number":3,"count":1,"branches":[{"branchno":0,"count":1,"source_block_id":2},{"branchno":1,"count":0,"source_block_id":2},{"count":0}]},{"line_number":3,"count":1,"branches":[{"branchno":0,"count":0,"source_block_id":2},{"branchno":1,"count":5,"source_block_id":2}]}"#,
        ));
        assert_eq!(found.branches(), share(2, 3));
    }

    #[test]
    fn lines_that_are_excluded_are_none() {
        let found = coverage(&report(
            r#"{"line_number":1,"count":1},{"line_number":2,"count":0,"gcovr/excluded":true,"branches":[{"count":1}]},{"line_number":3,"count":0,"gcovr/noncode":true}"#,
        ));
        assert_eq!(
            (found.lines(), found.branches()),
            (share(1, 1), share(0, 0))
        );
    }

    #[test]
    fn a_file_may_be_there_twice() {
        let found = coverage(
            r#"{"gcovr/format_version":"0.5","files":[{"file":"a","lines":[{"line_number":1,"count":0}]},{"file":"a","lines":[{"line_number":1,"count":2}]}]}"#,
        );
        assert_eq!((found.files.len(), found.lines()), (1, share(1, 1)));
    }

    #[test]
    fn a_summary_has_totals_alone() {
        let report = read(
            r#"{"root":".","gcovr/summary_format_version":"0.6","files":[{"filename":"a","line_total":7,"line_covered":6,"line_percent":85.7,"branch_total":2,"branch_covered":1}],"line_total":7,"line_covered":6}"#,
        );
        assert_eq!(report.files[0].status, FileStatus::Partial);
        let found = report.coverage.expect("coverage");
        assert_eq!(
            (found.lines(), found.branches()),
            (share(6, 7), share(1, 2))
        );
    }
}
