//! SimpleCov: `.resultset.json` and `coverage.json`.
//!
//! A resultset is `{command: {"coverage": {path: …}, "timestamp"}}`; the commands (unit tests,
//! features, parallel workers) are runs of the same code and are joined. A file is an array by
//! line or, since 0.18, `{"lines": […], "branches": {…}}`; a line is a number, `null` where there
//! is nothing to execute, or `"ignored"`. Branches have the Ruby arrays of `Coverage.result` as
//! keys, as text. `coverage.json` has the files without commands, and lists its branches.

use serde::de::Deserializer;

use super::collect::Format;
use super::json_stream::{self, Node, Number, Text, has_key, keys, skip, take, walk};
use super::tally::{Slot, Tally};

/// `.resultset.json`.
pub(super) const RESULTSET: Format = Format {
    name: "simplecov-resultset",
    is: |file| {
        let of_a_file = |(depth, key): (usize, &str)| depth == 3 && key.contains(['/', '\\', '.']);
        has_key(file.text, 2, "coverage")
            && !has_key(file.text, 1, "coverage")
            && (has_key(file.text, 2, "timestamp") || keys(file.text).any(of_a_file))
    },
    read: |source, found| {
        let mut tally = Tally::new(found.limits);
        let notes = json_stream::read(source, LONGEST, &mut Commands(&mut tally));
        found.notes.extend(notes);
        tally.finish(found);
    },
};

/// `coverage.json`.
pub(super) const FORMAT: Format = Format {
    name: "simplecov",
    is: |file| {
        has_key(file.text, 1, "coverage")
            && (has_key(file.text, 3, "lines") || has_key(file.text, 2, "simplecov_version"))
    },
    read: |source, found| {
        let mut tally = Tally::new(found.limits);
        let notes = json_stream::read(source, LONGEST, &mut Command(&mut tally));
        found.notes.extend(notes);
        tally.finish(found);
    },
};

/// Bytes of a string; those that are wanted are paths and names of branches.
const LONGEST: usize = 4096;

struct Commands<'a, 'b>(&'a mut Tally<'b>);

impl Node for Commands<'_, '_> {
    fn member<'de, D: Deserializer<'de>>(&mut self, _: &str, value: D) -> Result<(), D::Error> {
        walk(&mut Command(self.0), value)
    }
}

struct Command<'a, 'b>(&'a mut Tally<'b>);

impl Node for Command<'_, '_> {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        match key {
            "coverage" => walk(&mut Files(self.0), value),
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

/// A file, or its lines alone.
struct File<'a, 'b>(&'a mut Tally<'b>, Slot);

impl Node for File<'_, '_> {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        match key {
            "lines" => walk(self, value),
            "branches" => walk(&mut Branches(self.0, self.1), value),
            _ => skip(value),
        }
    }

    fn element<'de, D: Deserializer<'de>>(
        &mut self,
        index: usize,
        value: D,
    ) -> Result<(), D::Error> {
        let Number(hits) = take(value)?;
        if let (Some(hits), Ok(index)) = (hits, u64::try_from(index)) {
            self.0.line(self.1, index.saturating_add(1), hits);
        }
        Ok(())
    }
}

/// `{"[:if, 0, 3, 6, 9, 11]": {"[:then, 1, …]": 1, …}, …}`, or a list of branches.
struct Branches<'a, 'b>(&'a mut Tally<'b>, Slot);

impl Node for Branches<'_, '_> {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        // Type, number, first line and column, last line and column.
        let line = key
            .split(',')
            .nth(2)
            .and_then(|line| line.trim().parse().ok());
        let Some(line) = line else {
            return skip(value);
        };
        let mut ways = Ways {
            tally: self.0,
            slot: self.1,
            line,
            condition: key,
        };
        walk(&mut ways, value)
    }

    fn element<'de, D: Deserializer<'de>>(
        &mut self,
        index: usize,
        value: D,
    ) -> Result<(), D::Error> {
        let branch: Branch = take(value)?;
        if let (Some(line), Some(hits)) = (branch.reported.or(branch.first), branch.hits) {
            let name = (index, branch.kind);
            self.0.branch(self.1, line, &name, hits > 0);
        }
        Ok(())
    }
}

struct Ways<'a, 'b> {
    tally: &'a mut Tally<'b>,
    slot: Slot,
    line: u64,
    condition: &'a str,
}

impl Node for Ways<'_, '_> {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        let Number(hits) = take(value)?;
        if let Some(hits) = hits {
            let name = (self.condition, key);
            self.tally.branch(self.slot, self.line, &name, hits > 0);
        }
        Ok(())
    }
}

/// `{"type": "then", "start_line": 4, "end_line": 4, "coverage": 1, "inline": false,
/// "report_line": 3}`
#[derive(Default)]
struct Branch {
    kind: Option<String>,
    first: Option<u64>,
    /// The line of the condition.
    reported: Option<u64>,
    hits: Option<u64>,
}

impl Node for Branch {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        match key {
            "type" => take(value).map(|Text(kind)| self.kind = kind),
            "start_line" => take(value).map(|Number(line)| self.first = line),
            "report_line" => take(value).map(|Number(line)| self.reported = line),
            "coverage" => take(value).map(|Number(hits)| self.hits = hits),
            _ => skip(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::coverage::Share;
    use super::super::testing::{coverage, file};

    fn share(covered: u64, total: u64) -> Share {
        Share { covered, total }
    }

    #[test]
    fn commands_are_joined() {
        let found = coverage(
            r#"{"RSpec": {"coverage": {"/w/a.rb": {"lines": [1, null, 0, null, 0]}}, "timestamp": 1.5},
                "Cucumber": {"timestamp": 2, "coverage": {"/w/a.rb": {"lines": [0, null, null, 2, 3]}, "/w/b.rb": {"lines": [0]}}}}"#,
        );
        let lines: Vec<_> = found.files[0].lines.iter().collect();
        assert_eq!(lines, [(1, 1), (3, 0), (4, 2), (5, 3)]);
        assert_eq!(found.lines(), share(3, 5));
    }

    #[test]
    fn a_file_may_be_its_lines_alone() {
        let found = coverage(r#"{"RSpec":{"coverage":{"a.rb":[null,1,1,0]},"timestamp":1}}"#);
        assert_eq!(found.lines(), share(2, 3));
    }

    #[test]
    fn a_line_that_is_ignored_is_none() {
        let found =
            coverage(r#"{"x":{"coverage":{"a.rb":{"lines":["ignored",0,[7],{"b":1},true,2]}}}}"#);
        assert_eq!(found.lines(), share(1, 2));
    }

    #[test]
    fn branches_belong_to_the_line_of_their_condition() {
        let file = |then, other| {
            format!(
                r#"{{"coverage":{{"a.rb":{{"lines":[1],"branches":{{"[:if, 0, 3, 6, 9, 11]":{{"[:then, 1, 4, 6, 4, 9]":{then},"[:else, 2, 6, 6, 6, 9]":{other}}},"[:case, 3, 3, 0, 9, 1]":{{"[:when, 4, 5, 1, 5, 2]":0,"[:else, 5, 3, 0, 9, 1]":null}},"odd":{{"x":1}}}}}}}}}}"#
            )
        };
        let found = coverage(&format!(r#"{{"a":{},"b":{}}}"#, file(1, 0), file(0, 3)));
        let branches: Vec<_> = found.files[0].branches.iter().collect();
        assert_eq!(branches, [(3, share(2, 3))]);
    }

    #[test]
    fn coverage_json_has_no_commands_and_a_list_of_branches() {
        let text = r#"{"meta":{"simplecov_version":"0.22.0"},"coverage":{"/w/a.rb":{"lines":[1,0,null],"branches":[{"type":"then","start_line":2,"end_line":2,"coverage":1,"inline":false,"report_line":1},{"type":"else","start_line":4,"end_line":4,"coverage":0,"inline":false,"report_line":1},{"type":"then","start_line":2,"coverage":"ignored"}]}},"groups":{}}"#;
        assert_eq!(file(text).format.as_deref(), Some("simplecov"));
        let found = coverage(text);
        assert_eq!(
            (found.lines(), found.branches()),
            (share(1, 2), share(1, 2))
        );
    }

    #[test]
    fn a_resultset_that_is_cut_off_is_broken_but_read() {
        let text = r#"{"RSpec":{"coverage":{"a.rb":{"lines":[1,0,"#;
        assert!(file(text).is_broken());
        assert_eq!(coverage(text).lines(), share(1, 2));
    }
}
