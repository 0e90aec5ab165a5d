//! OpenCover XML, as OpenCover, coverlet and `AltCover` write it.
//!
//! `CoverageSession > Modules > Module > Files > File@uid@fullPath`, and in its methods
//! `SequencePoint@vc@sl@el@fileid` and `BranchPoint@vc@sl@path`. A sequence point has all lines
//! that it spans, as in coverlet's other formats. Points that the compiler made up are on line
//! 16707566. Totals are of points and used only where there are none.

use std::collections::HashMap;

use super::cobertura::count;
use super::collect::Format;
use super::coverage::{Declared, Share};
use super::tally::{Slot, Tally};
use super::xml::{self, Contents, Sink, Tag};

/// OpenCover XML.
pub(super) const FORMAT: Format = Format {
    name: "opencover",
    is: |file| file.root_is(&["CoverageSession"]),
    read: |source, found| {
        let mut sink = OpenCover {
            tally: Tally::new(found.limits),
            files: HashMap::new(),
            depth: 0,
            method: String::new(),
            in_name: false,
            file: None,
            points: Vec::new(),
        };
        let notes = xml::read(source, &mut sink);
        found.notes.extend(notes);
        sink.tally.finish(found);
    },
};

/// More files of one module are not believed.
const MOST_FILES: usize = 100_000;
/// More sequence points of one method are not looked at for branches.
const MOST_POINTS: usize = 100_000;
/// Bytes of a method's name that tell it from others.
const LONGEST_NAME: usize = 1000;

struct OpenCover<'a> {
    tally: Tally<'a>,
    /// The files of the module by their ids.
    files: HashMap<String, Slot>,
    depth: usize,
    method: String,
    in_name: bool,
    /// The file of the method.
    file: Option<Slot>,
    /// The offsets of the sequence points of the method and where they are.
    points: Vec<(u64, Slot, u64)>,
}

impl OpenCover<'_> {
    /// The file of a point: its own or else its method's.
    fn file_of(&self, tag: &Tag<'_>) -> Option<Slot> {
        match tag.filled("fileid") {
            Some(id) => self.files.get(id.trim()).copied(),
            None => self.file,
        }
    }

    fn sequence_point(&mut self, tag: &Tag<'_>) {
        let number = |key| tag.get(key).and_then(|text| count(&text));
        let (Some(file), Some(first), Some(hits)) = (self.file_of(tag), number("sl"), number("vc"))
        else {
            return;
        };
        let last = number("el").unwrap_or(first).max(first);
        self.tally.span(file, first..=last, hits);
        if let Some(offset) = number("offset")
            && self.points.len() < MOST_POINTS
        {
            self.points.push((offset, file, first));
        }
    }

    fn branch_point(&mut self, tag: &Tag<'_>) {
        let number = |key| tag.get(key).and_then(|text| count(&text));
        let place = match (self.file_of(tag), number("sl")) {
            (Some(file), Some(line)) => Some((file, line)),
            // Older versions write no line; it is that of the code before the branch.
            _ => number("offset").and_then(|offset| self.point_before(offset)),
        };
        let (Some((file, line)), Some(hits)) = (place, number("vc")) else {
            return;
        };
        // The same code may be in several modules.
        let name = (
            self.method.as_str(),
            number("offset"),
            number("ordinal"),
            number("path"),
        );
        self.tally.branch(file, line, &name, hits > 0);
    }

    /// Where the code is that has this offset in the method.
    fn point_before(&self, offset: u64) -> Option<(Slot, u64)> {
        let before = self.points.partition_point(|(point, ..)| *point <= offset);
        let (_, file, line) = self.points.get(before.checked_sub(1)?)?;
        Some((*file, *line))
    }

    fn summary(&mut self, tag: &Tag<'_>) {
        let number = |key| {
            let number = tag.get(key).and_then(|text| count(&text));
            number.unwrap_or_default()
        };
        self.tally.total(Declared {
            lines: Share {
                covered: number("visitedSequencePoints"),
                total: number("numSequencePoints"),
            },
            branches: Share {
                covered: number("visitedBranchPoints"),
                total: number("numBranchPoints"),
            },
        });
    }
}

impl Sink for OpenCover<'_> {
    fn open(&mut self, tag: &Tag<'_>) -> Contents {
        self.depth += 1;
        match tag.name {
            "Summary" if self.depth == 2 => self.summary(tag),
            "Module" => self.files.clear(),
            "File" => {
                let path = tag.filled("fullPath");
                if let (Some(id), Some(path)) = (tag.filled("uid"), path)
                    && self.files.len() < MOST_FILES
                    && let Some(slot) = self.tally.file(&path)
                {
                    self.files.insert(id.trim().to_owned(), slot);
                }
            }
            "Method" => {
                self.method.clear();
                self.points.clear();
                self.file = None;
            }
            "Name" => self.in_name = true,
            "FileRef" => {
                let id = tag.filled("uid");
                self.file = id.and_then(|id| self.files.get(id.trim()).copied());
            }
            "SequencePoint" => self.sequence_point(tag),
            "BranchPoint" => self.branch_point(tag),
            _ => {}
        }
        Contents::Read
    }

    fn wants_text(&self) -> bool {
        self.in_name
    }

    fn text(&mut self, text: &str) {
        if self.in_name && self.method.len() < LONGEST_NAME {
            self.method.extend(text.chars().take(LONGEST_NAME));
        }
    }

    fn close(&mut self, name: &str) {
        self.depth = self.depth.saturating_sub(1);
        if name == "Name" {
            self.in_name = false;
        }
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

    fn session(modules: &str) -> String {
        format!(
            "<?xml version='1.0'?><CoverageSession><Summary numSequencePoints='9' visitedSequencePoints='4' numBranchPoints='2' visitedBranchPoints='1'/><Modules>{modules}</Modules></CoverageSession>"
        )
    }

    fn module(id: u32, path: &str, points: &str) -> String {
        format!(
            "<Module hash='x'><ModuleName>m</ModuleName><Files><File uid='{id}' fullPath='{path}'/></Files><Classes><Class><Summary numSequencePoints='77'/><Methods><Method visited='true'><Name>A::f()</Name><FileRef uid='{id}'/>{points}<MethodPoint vc='5' sl='70' el='79' fileid='{id}'/></Method></Methods></Class></Classes></Module>"
        )
    }

    #[test]
    fn a_sequence_point_has_the_lines_that_it_spans() {
        let found = coverage(&session(&module(
            1,
            "C:\\w\\A.cs",
            "<SequencePoints><SequencePoint vc='2' sl='3' el='5' fileid='1'/><SequencePoint vc='0' sl='5' el='6' fileid='1'/><SequencePoint vc='1' sl='16707566' el='16707566' fileid='1'/><SequencePoint vc='1' sl='9' el='2'/><SequencePoint/><SequencePoint vc='1' sl='50' el='50' fileid='8'/></SequencePoints>",
        )));
        assert_eq!(found.files[0].path, "C:\\w\\A.cs");
        let lines: Vec<_> = found.files[0].lines.iter().collect();
        assert_eq!(lines, [(3, 2), (4, 2), (5, 2), (6, 0), (9, 1)]);
    }

    #[test]
    fn branch_points_are_added_up_by_line() {
        let points = |one, two| {
            format!(
                "<SequencePoints><SequencePoint vc='1' sl='3' el='3'/></SequencePoints><BranchPoints><BranchPoint vc='{one}' ordinal='0' path='0' offset='8' sl='3' fileid='1'/><BranchPoint vc='{two}' ordinal='1' path='1' offset='8' sl='3' fileid='1'/></BranchPoints>"
            )
        };
        let found = coverage(&session(&module(1, "a", &points(1, 0))));
        assert_eq!(found.branches(), share(1, 2));
        let twice = module(1, "a", &points(1, 0)) + &module(1, "a", &points(0, 1));
        assert_eq!(coverage(&session(&twice)).branches(), share(2, 2));
    }

    #[test]
    fn a_branch_point_without_a_line_has_that_of_the_code_before_it() {
        let found = coverage(&session(&module(
            1,
            "a",
            "<SequencePoints><SequencePoint vc='1' offset='0' sl='3' el='3'/><SequencePoint vc='1' offset='9' sl='5' el='6'/></SequencePoints><BranchPoints><BranchPoint vc='1' ordinal='0' offset='8' path='0'/><BranchPoint vc='0' ordinal='1' offset='12' path='1'/></BranchPoints>",
        )));
        let branches: Vec<_> = found.files[0].branches.iter().collect();
        assert_eq!(branches, [(3, share(1, 1)), (5, share(0, 1))]);
    }

    #[test]
    fn ids_of_files_are_those_of_the_module() {
        let points =
            "<SequencePoints><SequencePoint vc='1' sl='3' el='3' fileid='1'/></SequencePoints>";
        let modules =
            module(1, "a", points) + "<Module skippedDueTo='Filter'/>" + &module(1, "b", points);
        let found = coverage(&session(&modules));
        let paths: Vec<_> = found.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!((paths, found.lines()), (vec!["a", "b"], share(2, 2)));
    }

    #[test]
    fn totals_count_only_where_there_are_no_points() {
        let report = read(session("<Module/>"));
        assert_eq!(report.files[0].status, FileStatus::Partial);
        let found = report.coverage.expect("coverage");
        assert_eq!(
            (found.lines(), found.branches()),
            (share(4, 9), share(1, 2))
        );
    }
}
