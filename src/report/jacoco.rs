//! JaCoCo XML (`report.dtd` 1.1), as JaCoCo, Kover, Pester and gcovr write it.
//!
//! `report > group* > package > sourcefile > line@nr@mi@ci@mb@cb`: missed and covered
//! instructions and branches. All but `nr` are implied, so a missing one is 0. Counters repeat
//! the lines on every level and are used only where there are no lines.

use std::io::Read;

use super::cobertura::count;
use super::collect::{Format, Found};
use super::coverage::{Declared, Share};
use super::source::Source;
use super::tally::{Slot, Tally};
use super::xml::{self, Contents, Sink, Tag};
use crate::text::shorten;

/// JaCoCo XML.
pub(super) const FORMAT: Format = Format {
    name: "jacoco",
    is: |file| {
        file.root_is(&["report"])
            && ["<package", "<group", "<counter", "<sessioninfo", "JACOCO"]
                .iter()
                .any(|mark| file.text.contains(mark))
    },
    read,
};

/// Bytes of the name of a module or package; each of its files has both.
const LONGEST_NAME: usize = 512;

fn read(source: Source<&mut dyn Read>, found: &mut Found<'_>) {
    let mut sink = Jacoco {
        tally: Tally::new(found.limits),
        modules: Vec::new(),
        package: String::new(),
        file: None,
        silent: Vec::new(),
        declared: Declared::default(),
    };
    let notes = xml::read(source, &mut sink);
    found.notes.extend(notes);
    sink.tally.finish(found);
}

struct Jacoco<'a> {
    tally: Tally<'a>,
    /// The groups around, each with those around it: usually modules of a build.
    modules: Vec<String>,
    package: String,
    file: Option<Slot>,
    /// Lines of the file that say nothing about instructions.
    silent: Vec<u64>,
    /// Counters of the innermost element that has any.
    declared: Declared,
}

impl Jacoco<'_> {
    fn line(&mut self, tag: &Tag<'_>) {
        let number = |key| tag.get(key).and_then(|text| count(&text));
        let (Some(file), Some(line)) = (self.file, number("nr")) else {
            return;
        };
        if number("mi").is_none() && number("ci").is_none() {
            // gcovr's own example is so: lines that only its counters say more about.
            if self.silent.len() < 1 << 20 {
                self.silent.push(line);
            }
        } else {
            let covered = number("ci").is_some_and(|instructions| instructions > 0);
            self.tally.line(file, line, u64::from(covered));
        }
        let covered = number("cb").unwrap_or_default();
        let total = covered.saturating_add(number("mb").unwrap_or_default());
        self.tally.share(file, line, Share { covered, total });
    }

    fn counter(&mut self, tag: &Tag<'_>) {
        let number = |key| tag.get(key).and_then(|text| count(&text));
        let covered = number("covered").unwrap_or_default();
        let share = Share {
            covered,
            total: covered.saturating_add(number("missed").unwrap_or_default()),
        };
        match tag.get("type").as_deref() {
            Some("LINE") => self.declared.lines = share,
            Some("BRANCH") => self.declared.branches = share,
            _ => {}
        }
    }

    fn end_of_file(&mut self) {
        let Some(file) = self.file.take() else {
            return;
        };
        let silent = std::mem::take(&mut self.silent);
        if self.declared.lines.total > 0 {
            self.tally.declare(file, self.declared);
        } else {
            for line in silent {
                self.tally.line(file, line, 0);
            }
        }
    }
}

impl Sink for Jacoco<'_> {
    fn open(&mut self, tag: &Tag<'_>) -> Contents {
        let name = || tag.get("name").unwrap_or_default();
        match tag.name {
            // Methods and classes have counters too, and no lines.
            "class" => return Contents::Skip,
            "group" => {
                let module = match self.modules.last() {
                    Some(around) => format!("{around}/{}", name()),
                    None => name().into_owned(),
                };
                self.modules
                    .push(shorten::bytes(&module, LONGEST_NAME).into_owned());
            }
            "package" => self.package = shorten::bytes(&name(), LONGEST_NAME).into_owned(),
            "sourcefile" => {
                self.declared = Declared::default();
                let path = match self.package.as_str() {
                    "" => name().into_owned(),
                    package => format!("{package}/{}", name()),
                };
                // Modules may have files with the same path; their names keep them apart.
                let sources = self.modules.last().map(std::slice::from_ref);
                let sources = sources.unwrap_or_default();
                self.file = self.tally.file_below(&path, sources);
            }
            "line" => self.line(tag),
            "counter" => self.counter(tag),
            _ => {}
        }
        Contents::Read
    }

    fn wants_text(&self) -> bool {
        false
    }

    fn text(&mut self, _: &str) {}

    fn close(&mut self, name: &str) {
        match name {
            "sourcefile" => self.end_of_file(),
            "group" => {
                self.modules.pop();
                self.declared = Declared::default();
            }
            "package" => self.declared = Declared::default(),
            "report" => self.tally.total(self.declared),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::FileStatus;
    use super::super::coverage::Share;
    use super::super::testing::{coverage, file, read};

    fn report(inside: &str) -> String {
        format!(
            "<?xml version='1.0'?><!DOCTYPE report PUBLIC '-//JACOCO//DTD Report 1.1//EN' 'report.dtd'><report name='x'><sessioninfo id='a' start='1' dump='2'/>{inside}</report>"
        )
    }

    fn share(covered: u64, total: u64) -> Share {
        Share { covered, total }
    }

    #[test]
    fn a_line_is_covered_when_one_of_its_instructions_is() {
        let found = coverage(&report(
            "<package name='a/b'><class name='a/b/C'><counter type='LINE' missed='7' covered='7'/></class><sourcefile name='C.java'><line nr='1' mi='3' ci='1' mb='1' cb='1'/><line nr='2' mi='4' ci='0' mb='0' cb='0'/><line nr='3' ci='2'/><line nr='4' mi='2'/><line nr='0' ci='1'/><line nr='x' ci='1'/><counter type='LINE' missed='9' covered='9'/></sourcefile></package>",
        ));
        assert_eq!(found.files[0].path, "a/b/C.java");
        assert_eq!(
            (found.lines(), found.branches()),
            (share(2, 4), share(1, 2))
        );
        assert_eq!(found.declared, None);
    }

    #[test]
    fn files_of_the_same_path_in_two_modules_are_two() {
        let package = "<package name='p'><sourcefile name='A.java'><line nr='1' ci='0' mi='1'/></sourcefile></package>";
        let found = coverage(&report(&format!(
            "<group name='all'><group name='one'>{package}</group><group name='two'>{package}{package}</group></group>"
        )));
        let sources: Vec<_> = found.files.iter().map(|file| &file.sources).collect();
        assert_eq!(sources, [&["all/one"], &["all/two"]]);
    }

    #[test]
    fn a_file_in_no_package_has_its_name_alone() {
        let found = coverage(&report(
            "<package name=''><sourcefile name='A.kt'><line nr='1' ci='1'/></sourcefile></package>",
        ));
        assert_eq!(found.files[0].path, "A.kt");
    }

    #[test]
    fn counters_count_only_where_there_are_no_lines() {
        let only = read(report(
            "<package name='p'><counter type='LINE' missed='5' covered='5'/></package><counter type='LINE' missed='1' covered='3'/><counter type='BRANCH' missed='2' covered='0'/>",
        ));
        assert_eq!(only.files[0].status, FileStatus::Partial);
        let found = only.coverage.expect("coverage");
        assert_eq!(
            (found.lines(), found.branches()),
            (share(3, 4), share(0, 2))
        );
        let silent = read(report(
            "<package name='p'><sourcefile name='a'><line nr='1'/><line nr='2'/><counter type='LINE' missed='1' covered='1'/></sourcefile></package>",
        ));
        assert_eq!(silent.files[0].status, FileStatus::Partial);
        assert_eq!(silent.coverage.expect("coverage").lines(), share(1, 2));
    }

    #[test]
    fn lines_without_any_number_are_not_covered() {
        let found = coverage(&report(
            "<package name='p'><sourcefile name='a'><line nr='1'/></sourcefile></package>",
        ));
        assert_eq!(found.lines(), share(0, 1));
    }

    #[test]
    fn a_report_that_is_cut_off_is_broken_but_read() {
        let whole = report(
            "<package name='p'><sourcefile name='a'><line nr='1' ci='1'/></sourcefile></package>",
        );
        let (cut, _) = whole.split_once("</sourcefile>").expect("an end");
        assert_eq!(file(cut).status, FileStatus::Partial);
        assert_eq!(coverage(cut).lines(), share(1, 1));
    }

    #[test]
    fn another_report_with_the_same_root_is_none() {
        assert_eq!(file("<report><thing/></report>").format, None);
    }
}
