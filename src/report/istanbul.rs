//! Istanbul's JSON: `coverage-final.json` of nyc, c8, Jest and Vitest, and its summary.
//!
//! `{path: {path, statementMap, s, branchMap, b, …}}`, in older nyc with a `data` around it.
//! There are no lines in it: as in `getLineCoverage` of istanbul-lib-coverage, a line is executed
//! as often as the most executed statement that starts on it. `coverage-summary.json` has totals
//! alone.

use std::collections::HashMap;

use serde::de::Deserializer;

use super::collect::{Format, Limits};
use super::coverage::{Declared, Share};
use super::json_stream::{self, Node, Number, Text, has_key, skip, take, walk};
use super::tally::{Slot, Tally};

/// Coverage of every statement.
pub(super) const FORMAT: Format = Format {
    name: "istanbul",
    is: |file| {
        // Jest's report of tests may have all this too, one level deeper.
        has_key(file.text, 2, "statementMap")
            || (has_key(file.text, 3, "statementMap")
                && (has_key(file.text, 1, "data") || has_key(file.text, 2, "data")))
    },
    read: |source, found| {
        let mut report = Report {
            tally: Tally::new(found.limits),
            limits: found.limits,
        };
        let notes = json_stream::read(source, LONGEST, &mut report);
        found.notes.extend(notes);
        report.tally.finish(found);
    },
};

/// Totals alone.
pub(super) const SUMMARY: Format = Format {
    name: "istanbul-summary",
    is: |file| has_key(file.text, 1, "total") && has_key(file.text, 3, "pct"),
    read: |source, found| {
        let mut summary = Summary(Tally::new(found.limits));
        let notes = json_stream::read(source, LONGEST, &mut summary);
        found.notes.extend(notes);
        summary.0.finish(found);
    },
};

/// Bytes of a string; those that are wanted are ids and paths.
const LONGEST: usize = 4096;
/// More statements or branches of one file are not believed.
const MOST_IDS: usize = 1 << 20;
/// More ways of one branch are not believed.
const MOST_WAYS: usize = 1024;

struct Report<'a> {
    tally: Tally<'a>,
    limits: &'a Limits,
}

impl Node for Report<'_> {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        if key == "data" {
            return walk(self, value);
        }
        let mut file = File {
            path: None,
            starts: Table::new(self.limits),
            hits: Table::new(self.limits),
            branches: Table::new(self.limits),
            ways: Table::new(self.limits),
        };
        let read = walk(&mut file, value);
        // The key is a path too, but may be another one.
        let path = file.path.take();
        if let Some(slot) = self.tally.file(path.as_deref().unwrap_or(key)) {
            file.hand_over(slot, &mut self.tally);
        }
        read
    }
}

struct File {
    path: Option<String>,
    starts: Table<Start>,
    hits: Table<Number>,
    branches: Table<Branch>,
    ways: Table<Ways>,
}

impl File {
    fn hand_over(self, slot: Slot, tally: &mut Tally<'_>) {
        for (id, start) in &self.starts.members {
            // A statement without hits is behind the end of a broken file.
            let hits = self.hits.members.get(id).and_then(|hits| hits.0);
            if let (Some(line), Some(hits)) = (start.0, hits) {
                tally.line(slot, line, hits);
            }
        }
        for (id, branch) in &self.branches.members {
            let line = branch.line.or(branch.whole.0).or(branch.first.0);
            if let (Some(line), Some(ways)) = (line, self.ways.members.get(id)) {
                for (way, taken) in ways.0.iter().enumerate() {
                    tally.branch(slot, line, &(id, way), *taken);
                }
            }
        }
        if self.starts.left_out || self.branches.left_out {
            tally.leave_out();
        }
    }
}

impl Node for File {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        match key {
            "data" => walk(self, value),
            "path" => take(value).map(|Text(path)| self.path = path),
            "statementMap" => walk(&mut self.starts, value),
            "s" => walk(&mut self.hits, value),
            "branchMap" => walk(&mut self.branches, value),
            "b" => walk(&mut self.ways, value),
            _ => skip(value),
        }
    }
}

/// An object whose keys are ids.
struct Table<N> {
    members: HashMap<String, N>,
    most: usize,
    left_out: bool,
}

impl<N> Table<N> {
    fn new(limits: &Limits) -> Self {
        Self {
            members: HashMap::new(),
            most: limits.covered_lines.min(MOST_IDS),
            left_out: false,
        }
    }
}

impl<N: Node + Default> Node for Table<N> {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        if self.members.len() >= self.most {
            self.left_out = true;
            return skip(value);
        }
        self.members.insert(key.to_owned(), take(value)?);
        Ok(())
    }
}

/// The line of `{"start": {"line": 1, "column": 0}, "end": …}`. That of an `else` which is not
/// written has no line.
#[derive(Default)]
struct Start(Option<u64>);

impl Node for Start {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        match key {
            "start" => walk(self, value),
            "line" => take(value).map(|Number(line)| self.0 = line),
            _ => skip(value),
        }
    }
}

/// Where a branch is.
#[derive(Default)]
struct Branch {
    line: Option<u64>,
    whole: Start,
    first: Start,
}

impl Node for Branch {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        match key {
            "line" => take(value).map(|Number(line)| self.line = line),
            "loc" => walk(&mut self.whole, value),
            "locations" => walk(self, value),
            _ => skip(value),
        }
    }

    fn element<'de, D: Deserializer<'de>>(
        &mut self,
        index: usize,
        value: D,
    ) -> Result<(), D::Error> {
        if index > 0 {
            return skip(value);
        }
        walk(&mut self.first, value)
    }
}

/// Whether each way of a branch was taken.
#[derive(Default)]
struct Ways(Vec<bool>);

impl Node for Ways {
    fn element<'de, D: Deserializer<'de>>(&mut self, _: usize, value: D) -> Result<(), D::Error> {
        let Number(hits) = take(value)?;
        if self.0.len() < MOST_WAYS {
            self.0.push(hits.is_some_and(|hits| hits > 0));
        }
        Ok(())
    }
}

/// `{"total": {"lines": {"total": 2, "covered": 1, …}, "branches": …}, path: …}`
struct Summary<'a>(Tally<'a>);

impl Node for Summary<'_> {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        let Totals(declared) = take(value)?;
        if key == "total" {
            self.0.total(declared);
        } else if let Some(slot) = self.0.file(key) {
            self.0.declare(slot, declared);
        }
        Ok(())
    }
}

#[derive(Default)]
struct Totals(Declared);

impl Node for Totals {
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
            "total" => self.0.total = number.unwrap_or_default(),
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
    use super::super::testing::{coverage, file, read};

    fn share(covered: u64, total: u64) -> Share {
        Share { covered, total }
    }

    const FILE: &str = r#"{"path":"/w/a.js","statementMap":{
        "0":{"start":{"line":1,"column":0},"end":{"line":9,"column":null}},
        "1":{"start":{"line":2,"column":4},"end":{"line":2,"column":9}},
        "2":{"start":{"line":2,"column":14},"end":{"line":3,"column":1}},
        "3":{"start":{"line":4,"column":0},"end":{"line":4,"column":1}},
        "4":{"start":{},"end":{}}},
        "fnMap":{"0":{"name":"f","line":7}},"branchMap":{
        "0":{"loc":{"start":{"line":2}},"type":"if","locations":[{"start":{"line":2}},{"start":{},"end":{}}]},
        "1":{"line":2,"type":"cond-expr","locations":[]},
        "2":{"type":"default-arg","locations":[{"start":{"line":4}}]}},
        "s":{"0":1,"1":0,"2":7,"3":0,"4":5},"f":{"0":1},"b":{"0":[1,0],"1":[0,0],"2":[3]}}"#;

    #[test]
    fn a_line_has_the_most_hits_of_the_statements_that_start_on_it() {
        let found = coverage(&format!("{{\"/w/a.js\":{FILE}}}"));
        assert_eq!(found.lines(), share(2, 3));
        let lines: Vec<_> = found.files[0].lines.iter().collect();
        assert_eq!(lines, [(1, 1), (2, 7), (4, 0)]);
    }

    #[test]
    fn branches_are_added_up_by_line() {
        let found = coverage(&format!("{{\"/w/a.js\":{FILE}}}"));
        let branches: Vec<_> = found.files[0].branches.iter().collect();
        assert_eq!(branches, [(2, share(1, 4)), (4, share(1, 1))]);
    }

    #[test]
    fn the_path_within_is_preferred_to_the_key() {
        let found = coverage(&format!("{{\"a.js\":{FILE}}}"));
        assert_eq!(found.files[0].path, "/w/a.js");
        let nameless = FILE.replace(r#""path":"/w/a.js","#, "");
        let found = coverage(&format!("{{\"a.js\":{nameless}}}"));
        assert_eq!(found.files[0].path, "a.js");
    }

    #[test]
    fn data_may_be_around_all_files_or_around_each() {
        for text in [
            format!("{{\"data\":{{\"a\":{FILE}}}}}"),
            format!("{{\"a\":{{\"data\":{FILE}}}}}"),
        ] {
            assert_eq!(coverage(&text).lines(), share(2, 3), "{text}");
        }
    }

    #[test]
    fn a_report_of_tests_with_coverage_in_it_is_none() {
        let text = format!("{{\"numTotalTests\":1,\"coverageMap\":{{\"a\":{FILE}}}}}");
        assert_ne!(file(&text).format.as_deref(), Some("istanbul"));
    }

    #[test]
    fn members_may_come_in_any_order() {
        let text = r#"{"a":{"s":{"0":1},"b":{"0":[1]},"branchMap":{"0":{"line":3}},"statementMap":{"0":{"start":{"line":3}}}}}"#;
        let found = coverage(text);
        assert_eq!(
            (found.lines(), found.branches()),
            (share(1, 1), share(1, 1))
        );
    }

    #[test]
    fn what_has_another_shape_is_passed_over() {
        let text = r#"{"a":{"path":null,"statementMap":{"0":{"start":{"line":3}},"1":null,"2":{"start":[1]},"3":{"start":{"line":"x"}}},"s":{"0":1e99,"1":2,"2":[3],"3":4},"branchMap":[],"b":null},"b":null,"c":3}"#;
        let report = file(text);
        assert_eq!(
            (report.status, report.diagnostics),
            (FileStatus::Ok, vec![])
        );
        let found = coverage(text);
        assert_eq!(found.files[0].lines.hits(3), Some(u32::MAX));
        assert_eq!(found.lines(), share(1, 1));
    }

    #[test]
    fn a_file_that_is_cut_off_is_broken_but_read() {
        let text = format!("{{\"one\":{{\"data\":{FILE}}},\"two\":{{\"statementMap\":{{\"0\":");
        let report = read(&text);
        assert_eq!(report.files[0].status, FileStatus::Partial);
        assert!(report.files[0].is_broken());
        assert_eq!(report.coverage.expect("coverage").lines(), share(2, 3));
    }

    #[test]
    fn a_summary_has_totals_alone() {
        let report = read(
            r#"{"total": {"lines":{"total":10,"covered":6,"skipped":0,"pct":60},"branches":{"total":4,"covered":9,"pct":"Unknown"}},
            "/w/a.js": {"lines":{"total":10,"covered":6,"skipped":0,"pct":60},"branches":{"total":4,"covered":9,"pct":"Unknown"}}}"#,
        );
        assert_eq!(report.files[0].status, FileStatus::Partial);
        assert!(!report.has_broken_files());
        let found = report.coverage.expect("coverage");
        assert_eq!(
            (found.lines(), found.branches()),
            (share(6, 10), share(4, 4))
        );
        let only = coverage(r#"{"total":{"lines":{"total":3,"covered":1,"pct":33.3}}}"#);
        assert_eq!(only.lines(), share(1, 3));
    }
}
