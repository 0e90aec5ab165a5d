//! `SonarQube`'s generic coverage, as gcovr and Jest write it.
//!
//! `coverage@version > file@path > lineToCover@lineNumber@covered@branchesToCover@coveredBranches`
//! (docs.sonarsource.com, "Generic test data"). Whether a line was hit is known, not how often.

use super::cobertura::count;
use super::collect::Format;
use super::coverage::Share;
use super::tally::{Slot, Tally};
use super::xml::{self, Contents, Sink, Tag};

/// `SonarQube`'s generic coverage.
pub(super) const FORMAT: Format = Format {
    name: "sonarqube",
    // The root is Cobertura's too.
    is: |file| file.root_is(&["coverage"]) && file.text.contains("<lineToCover"),
    read: |source, found| {
        let mut sink = SonarQube {
            tally: Tally::new(found.limits),
            file: None,
        };
        let notes = xml::read(source, &mut sink);
        found.notes.extend(notes);
        sink.tally.finish(found);
    },
};

struct SonarQube<'a> {
    tally: Tally<'a>,
    file: Option<Slot>,
}

impl SonarQube<'_> {
    fn line(&mut self, tag: &Tag<'_>) {
        let number = |key| tag.get(key).and_then(|text| count(&text));
        let (Some(file), Some(line)) = (self.file, number("lineNumber")) else {
            return;
        };
        let hit = tag.get("covered").as_deref() == Some("true");
        self.tally.line(file, line, u64::from(hit));
        if let Some(total) = number("branchesToCover") {
            let covered = number("coveredBranches").unwrap_or_default().min(total);
            self.tally.share(file, line, Share { covered, total });
        }
    }
}

impl Sink for SonarQube<'_> {
    fn open(&mut self, tag: &Tag<'_>) -> Contents {
        match tag.name {
            "file" => self.file = self.tally.file(&tag.get("path").unwrap_or_default()),
            "lineToCover" => self.line(tag),
            _ => {}
        }
        Contents::Read
    }

    fn wants_text(&self) -> bool {
        false
    }

    fn text(&mut self, _: &str) {}

    fn close(&mut self, name: &str) {
        if name == "file" {
            self.file = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::coverage::Share;
    use super::super::testing::{coverage, read};

    fn share(covered: u64, total: u64) -> Share {
        Share { covered, total }
    }

    #[test]
    fn lines_are_covered_or_not_and_have_branches() {
        let text = "<coverage version='1'><file path='a.c'><lineToCover lineNumber='1' covered='true'/><lineToCover lineNumber='2' covered='false' branchesToCover='2' coveredBranches='0'/><lineToCover lineNumber='4' covered='true' branchesToCover='3' coveredBranches='9'/></file><lineToCover lineNumber='9' covered='true'/></coverage>";
        assert_eq!(read(text).files[0].format.as_deref(), Some("sonarqube"));
        let found = coverage(text);
        assert_eq!(found.files[0].path, "a.c");
        assert_eq!(found.lines(), share(2, 3));
        assert_eq!(found.branches(), share(3, 5));
    }
}
