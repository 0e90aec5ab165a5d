//! Clover XML (`clover.xsd` of `OpenClover`), as PHPUnit, Istanbul and gcovr write it too.
//!
//! `coverage > project > package* > file > line@num@type@count`. Lines of the type `method` say
//! where a method begins and are no statements; `stmt` and `cond` are. The metrics of a file
//! count only where it has no lines.

use super::cobertura::count;
use super::collect::Format;
use super::coverage::{Declared, Share};
use super::tally::{Slot, Tally};
use super::xml::{self, Contents, Sink, Tag};

/// Clover XML.
pub(super) const FORMAT: Format = Format {
    name: "clover",
    is: |file| {
        // The root is Cobertura's too. PHPUnit writes no `clover`, and not all have a project.
        let has = |mark| file.text.contains(mark);
        file.root_is(&["coverage"])
            && (has("<project")
                || has("clover=")
                || (has("generated=") && !has("line-rate=") && !has("<packages")))
    },
    read: |source, found| {
        let mut sink = Clover {
            tally: Tally::new(found.limits),
            file: None,
            inside: Vec::new(),
        };
        let notes = xml::read(source, &mut sink);
        found.notes.extend(notes);
        sink.tally.finish(found);
    },
};

struct Clover<'a> {
    tally: Tally<'a>,
    file: Option<Slot>,
    /// Of the elements around, whether each is a file, a project, or neither.
    inside: Vec<Inside>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Project,
    File,
    Other,
}

impl Clover<'_> {
    fn line(&mut self, tag: &Tag<'_>) {
        let number = |key| tag.get(key).and_then(|text| count(&text));
        let (Some(file), Some(line)) = (self.file, number("num")) else {
            return;
        };
        if tag.get("type").as_deref() == Some("method") {
            return;
        }
        let ways = number("truecount").zip(number("falsecount"));
        let hits = match (number("count"), ways) {
            // OpenClover: how often the condition was true, and how often it was false.
            (None, Some((yes, no))) => {
                let covered = u64::from(yes > 0) + u64::from(no > 0);
                self.tally.share(file, line, Share { covered, total: 2 });
                yes.saturating_add(no)
            }
            // Istanbul: how many branches were taken, and how many were not.
            (Some(hits), Some((covered, missed))) => {
                let total = covered.saturating_add(missed);
                self.tally.share(file, line, Share { covered, total });
                hits
            }
            (Some(hits), None) => hits,
            (None, None) => return,
        };
        self.tally.line(file, line, hits);
    }

    fn metrics(&mut self, tag: &Tag<'_>) {
        let number = |key| {
            let number = tag.get(key).and_then(|text| count(&text));
            number.unwrap_or_default()
        };
        let declared = Declared {
            lines: Share {
                covered: number("coveredstatements"),
                total: number("statements"),
            },
            branches: Share {
                covered: number("coveredconditionals"),
                total: number("conditionals"),
            },
        };
        match (self.inside.last(), self.file) {
            (Some(Inside::File), Some(file)) => self.tally.declare(file, declared),
            (Some(Inside::Project), _) => self.tally.total(declared),
            _ => {}
        }
    }
}

impl Sink for Clover<'_> {
    fn open(&mut self, tag: &Tag<'_>) -> Contents {
        let mut inside = Inside::Other;
        let mut contents = Contents::Read;
        match tag.name {
            "project" => inside = Inside::Project,
            // Coverage of the tests themselves.
            "testproject" => contents = Contents::Skip,
            "file" => {
                inside = Inside::File;
                // The name may be the last part of the path alone.
                let path = tag.filled("path").or_else(|| tag.filled("name"));
                self.file = self.tally.file(&path.unwrap_or_default());
            }
            "line" => self.line(tag),
            "metrics" => self.metrics(tag),
            _ => {}
        }
        self.inside.push(inside);
        contents
    }

    fn wants_text(&self) -> bool {
        false
    }

    fn text(&mut self, _: &str) {}

    fn close(&mut self, _: &str) {
        if self.inside.pop() == Some(Inside::File) {
            self.file = None;
        }
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

    fn clover(inside: &str) -> String {
        format!(
            "<?xml version='1.0'?><coverage generated='1' clover='3.2.0'><project timestamp='1'>{inside}</project></coverage>"
        )
    }

    #[test]
    fn statements_and_conditions_are_lines_and_methods_are_not() {
        let found = coverage(&clover(
            "<file name='a.php'><class name='A'><metrics statements='9'/></class><line num='1' type='method' name='f' count='3'/><line num='2' type='stmt' count='3'/><line num='3' type='stmt' count='0'/><line num='4' type='cond' truecount='0' falsecount='2'/><line num='x' type='stmt' count='1'/><line num='6' type='stmt'/></file>",
        ));
        assert_eq!(found.lines(), share(2, 3));
        assert_eq!(found.branches(), share(1, 2));
    }

    #[test]
    fn beside_a_count_a_condition_has_branches_taken_and_not() {
        let found = coverage(&clover(
            "<file name='a.js'><line num='1' count='9' type='cond' truecount='3' falsecount='1'/><line num='2' count='0' type='cond' truecount='0' falsecount='2'/></file>",
        ));
        assert_eq!(
            (found.lines(), found.branches()),
            (share(1, 2), share(3, 6))
        );
        assert_eq!(found.files[0].lines.hits(1), Some(9));
    }

    #[test]
    fn the_path_is_preferred_to_the_name() {
        let found = coverage(&clover(
            "<package name='p'><file name='i.ts' path='/w/a/i.ts'><line num='1' type='stmt' count='1'/></file><file name='i.ts' path='/w/b/i.ts'><line num='1' type='stmt' count='0'/></file></package><file name='c.ts' path=' '/>",
        ));
        let paths: Vec<_> = found.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["/w/a/i.ts", "/w/b/i.ts", "c.ts"]);
    }

    #[test]
    fn a_file_may_be_there_twice() {
        let found = coverage(&clover(
            "<file name='a'><line num='1' type='stmt' count='0'/></file><file name='a'><line num='1' type='stmt' count='2'/><line num='1' type='stmt' count='1'/></file>",
        ));
        assert_eq!((found.files.len(), found.lines()), (1, share(1, 1)));
    }

    #[test]
    fn coverage_of_the_tests_themselves_is_passed_over() {
        let text = clover("<file name='a'><line num='1' type='stmt' count='0'/></file>").replace(
            "</project>",
            "</project><testproject><file name='t'><line num='1' type='stmt' count='1'/></file></testproject>",
        );
        assert_eq!(coverage(&text).lines(), share(0, 1));
    }

    #[test]
    fn metrics_count_only_where_there_are_no_lines() {
        let report = read(clover(
            "<metrics statements='99' coveredstatements='99'/><file name='a'><metrics statements='4' coveredstatements='3' conditionals='2' coveredconditionals='1'/><line num='1' type='method' count='1'/></file><file name='b'><line num='1' type='stmt' count='0'/><metrics statements='8' coveredstatements='8'/></file>",
        ));
        assert_eq!(report.files[0].status, FileStatus::Partial);
        let found = report.coverage.expect("coverage");
        assert_eq!(
            (found.lines(), found.branches()),
            (share(3, 5), share(1, 2))
        );
        let only = coverage(&clover("<metrics statements='4' coveredstatements='1'/>"));
        assert_eq!(only.lines(), share(1, 4));
    }

    #[test]
    fn it_is_recognised_without_an_attribute_clover() {
        for text in [
            "<coverage generated='1'><project timestamp='1'/></coverage>",
            "<coverage><project/></coverage>",
            "<coverage clover='1'></coverage>",
            "<coverage generated='1'><file name='a'><line num='1' count='1'/></file></coverage>",
        ] {
            assert_eq!(file(text).format.as_deref(), Some("clover"), "{text}");
        }
    }
}
