//! The JSON of coverage.py (`coverage json`).
//!
//! `{"meta", "files": {path: {"executed_lines", "missing_lines", "executed_branches",
//! "missing_branches", "functions", "classes", …}}, "totals"}`. It tells whether a line was
//! executed, not how often. Functions and classes say the same again.

use serde::de::Deserializer;

use super::collect::Format;
use super::coverage::Declared;
use super::json_stream::{self, Node, Number, has_key, skip, take, walk};
use super::tally::{Slot, Tally};

/// JSON of coverage.py.
pub(super) const FORMAT: Format = Format {
    name: "coverage.py",
    is: |file| {
        has_key(file.text, 1, "meta")
            && has_key(file.text, 1, "files")
            && (has_key(file.text, 3, "executed_lines") || has_key(file.text, 2, "branch_coverage"))
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

struct Report<'a>(Tally<'a>);

impl Node for Report<'_> {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        match key {
            "files" => walk(&mut Files(&mut self.0), value),
            "totals" => take(value).map(|Totals(declared)| self.0.total(declared)),
            _ => skip(value),
        }
    }
}

struct Files<'a, 'b>(&'a mut Tally<'b>);

impl Node for Files<'_, '_> {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        match self.0.file(key) {
            Some(slot) => walk(&mut File(self.0, slot), value),
            None => skip(value),
        }
    }
}

struct File<'a, 'b>(&'a mut Tally<'b>, Slot);

impl Node for File<'_, '_> {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        let (tally, slot) = (&mut *self.0, self.1);
        match key {
            "executed_lines" => walk(&mut Lines(tally, slot, 1), value),
            "missing_lines" => walk(&mut Lines(tally, slot, 0), value),
            "executed_branches" => walk(&mut Arcs(tally, slot, true), value),
            "missing_branches" => walk(&mut Arcs(tally, slot, false), value),
            _ => skip(value),
        }
    }
}

/// Line numbers, all executed so often.
struct Lines<'a, 'b>(&'a mut Tally<'b>, Slot, u64);

impl Node for Lines<'_, '_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, _: usize, value: D) -> Result<(), D::Error> {
        let Number(line) = take(value)?;
        self.0.line(self.1, line.unwrap_or_default(), self.2);
        Ok(())
    }
}

/// `[from line, to line]` or, out of a function, `[from line, -its line]`; all taken or not.
struct Arcs<'a, 'b>(&'a mut Tally<'b>, Slot, bool);

impl Node for Arcs<'_, '_> {
    fn element<'de, D: Deserializer<'de>>(
        &mut self,
        index: usize,
        value: D,
    ) -> Result<(), D::Error> {
        let From(line) = take(value)?;
        // Each is there once, so its place will do for a name.
        let name = (self.2, index);
        self.0.branch(self.1, line, &name, self.2);
        Ok(())
    }
}

#[derive(Default)]
struct From(u64);

impl Node for From {
    fn element<'de, D: Deserializer<'de>>(
        &mut self,
        index: usize,
        value: D,
    ) -> Result<(), D::Error> {
        let Number(line) = take(value)?;
        if index == 0 {
            self.0 = line.unwrap_or_default();
        }
        Ok(())
    }
}

#[derive(Default)]
struct Totals(Declared);

impl Node for Totals {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        let Number(number) = take(value)?;
        let number = number.unwrap_or_default();
        match key {
            "covered_lines" => self.0.lines.covered = number,
            "num_statements" => self.0.lines.total = number,
            "covered_branches" => self.0.branches.covered = number,
            "num_branches" => self.0.branches.total = number,
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::FileStatus;
    use super::super::coverage::Share;
    use super::super::testing::{coverage, file, read};

    fn share(covered: u64, total: u64) -> Share {
        Share { covered, total }
    }

    fn report(files: &str) -> String {
        format!(
            r#"{{"meta":{{"format":3,"version":"7.6.1","timestamp":"2026-01-01","branch_coverage":true,"show_contexts":false}},"files":{{{files}}},"totals":{{"covered_lines":4,"num_statements":9,"percent_covered":44.4,"covered_branches":1,"num_branches":2}}}}"#
        )
    }

    const FILE: &str = r#""src/a.py":{"executed_lines":[1,2,5],"summary":{"covered_lines":99},"missing_lines":[6],"excluded_lines":[9],
        "executed_branches":[[2,3],[2,-1],[5,6]],"missing_branches":[[5,-1],[6,-7]],
        "functions":{"f":{"executed_lines":[77],"missing_lines":[78]}},"classes":{"":{"executed_lines":[79]}}}"#;

    #[test]
    fn lines_are_executed_or_missing() {
        let found = coverage(&report(FILE));
        assert_eq!(found.files[0].path, "src/a.py");
        let lines: Vec<_> = found.files[0].lines.iter().collect();
        assert_eq!(lines, [(1, 1), (2, 1), (5, 1), (6, 0)]);
    }

    #[test]
    fn branches_belong_to_the_line_that_they_leave() {
        let found = coverage(&report(FILE));
        let branches: Vec<_> = found.files[0].branches.iter().collect();
        assert_eq!(
            branches,
            [(2, share(2, 2)), (5, share(1, 2)), (6, share(0, 1))]
        );
    }

    #[test]
    fn totals_count_only_where_there_are_no_lines() {
        assert_eq!(coverage(&report(FILE)).declared, None);
        let only = read(report(""));
        assert_eq!(only.files[0].status, FileStatus::Partial);
        assert_eq!(only.coverage.expect("coverage").lines(), share(4, 9));
    }

    #[test]
    fn what_has_another_shape_is_passed_over() {
        let text = report(
            r#""a":{"executed_lines":[1,null,"x",-3,1e12,{}],"missing_lines":7,"executed_branches":[[],3,[null,1]]},"b":[1],"c":null"#,
        );
        assert_eq!(file(&text).diagnostics, []);
        assert_eq!(coverage(&text).lines(), share(1, 1));
    }
}
