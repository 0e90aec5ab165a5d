//! Codecov's own JSON ("Codecov custom coverage format"), as `cargo llvm-cov --codecov` writes it.
//!
//! `{"coverage": {path: {"line": hits}}}`, or an array of hits by line whose first element is for
//! no line. Hits are a number, `"1/2"` for so many parts of the line, `true` for a line that is
//! covered in part, or `null`. The parts are regions in LLVM's sense, so they are no branches.

use serde::de::Deserializer;

use super::cobertura::count;
use super::collect::Format;
use super::json_stream::{self, Node, has_key, keys, skip, take, walk};
use super::tally::{Slot, Tally};

/// Codecov's JSON.
pub(super) const FORMAT: Format = Format {
    name: "codecov",
    is: |file| {
        let of_a_line = |(depth, key): (usize, &str)| {
            depth == 3 && key.bytes().all(|byte| byte.is_ascii_digit())
        };
        has_key(file.text, 1, "coverage")
            && (keys(file.text).any(of_a_line) || keys(file.text).all(|(depth, _)| depth < 3))
    },
    read: |source, found| {
        let mut tally = Tally::new(found.limits);
        let notes = json_stream::read(source, LONGEST, &mut Report(&mut tally));
        found.notes.extend(notes);
        tally.finish(found);
    },
};

/// Bytes of a string; those that are wanted are paths.
const LONGEST: usize = 4096;

struct Report<'a, 'b>(&'a mut Tally<'b>);

impl Node for Report<'_, '_> {
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
            Some(slot) => walk(&mut Lines(self.0, slot), value),
            None => skip(value),
        }
    }
}

struct Lines<'a, 'b>(&'a mut Tally<'b>, Slot);

impl Lines<'_, '_> {
    fn line(&mut self, line: Option<u64>, Hits(hits): Hits) {
        if let (Some(line), Some(hits)) = (line, hits) {
            self.0.line(self.1, line, hits);
        }
    }
}

impl Node for Lines<'_, '_> {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        take(value).map(|hits| self.line(key.parse().ok(), hits))
    }

    fn element<'de, D: Deserializer<'de>>(
        &mut self,
        index: usize,
        value: D,
    ) -> Result<(), D::Error> {
        take(value).map(|hits| self.line(u64::try_from(index).ok(), hits))
    }
}

#[derive(Default)]
struct Hits(Option<u64>);

impl Node for Hits {
    fn text(&mut self, text: &str) {
        let (covered, _) = text.split_once('/').unwrap_or((text, ""));
        self.0 = count(covered);
    }

    fn flag(&mut self, flag: bool) {
        self.0 = Some(u64::from(flag));
    }

    fn number(&mut self, number: u64) {
        self.0 = Some(number);
    }
}

#[cfg(test)]
mod tests {
    use super::super::coverage::Share;
    use super::super::testing::{coverage, file};

    #[test]
    fn a_line_is_covered_when_a_part_of_it_is() {
        let found = coverage(
            r#"{"coverage":{"src/lib.rs":{"1":"2/2","2":"1/3","3":"0/1","4":0,"5":7,"6":true,"7":null,"x":1,"0":"1/1"}}}"#,
        );
        let lines: Vec<_> = found.files[0].lines.iter().collect();
        assert_eq!(lines, [(1, 2), (2, 1), (3, 0), (4, 0), (5, 7), (6, 1)]);
        assert!(found.branches().total == 0);
    }

    #[test]
    fn lines_may_be_an_array_that_begins_with_nothing() {
        let found = coverage(r#"{"coverage":{"a.py":[null,1,0,"1/2"]}}"#);
        assert_eq!(
            found.lines(),
            Share {
                covered: 2,
                total: 3
            }
        );
    }

    #[test]
    fn other_files_with_a_member_of_that_name_are_none() {
        let text = r#"{"coverage":{"a.rb":{"lines":[1]}}}"#;
        assert_eq!(file(text).format.as_deref(), Some("simplecov"));
        assert_eq!(file(r#"{"coverage":{"a":{"b":1}}}"#).format, None);
    }
}
