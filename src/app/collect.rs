//! The reports of a job: read as they arrive, placed when all are there.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use sha1::{Digest as _, Sha1};

use crate::domain::{MissedLines, PatchCoverage, ReportPart};
use crate::ports::error::{PortError, Result};
use crate::ports::source::TreeEntry;
use crate::protocol::CollectKind;
use crate::report::{ArchiveLimits, Archives, Collector, Diff, Index, Limits, Report};

/// Gathers the report files of one job.
#[derive(Debug)]
pub struct Reports {
    collector: Collector,
    tracked: HashMap<String, String>,
    declared: Declared,
    /// Paths that were found in the usual places.
    guessed: HashSet<String>,
    test_files: usize,
    coverage_files: usize,
}

/// Whether a job says where its reports are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Declared {
    /// Test reports.
    pub tests: bool,
    /// Coverage reports.
    pub coverage: bool,
}

impl Declared {
    /// As the job's specification has it.
    pub fn by(reports: &crate::spec::Reports) -> Self {
        Self {
            tests: reports.tests.is_some(),
            coverage: reports.coverage.is_some(),
        }
    }
}

/// What the reports of a job say.
#[derive(Debug)]
pub struct Gathered {
    /// The reports, placed in the repository.
    pub report: Report,
    /// Coverage of the lines that the change adds, where both are known.
    pub patch: Option<PatchCoverage>,
    /// Ids of failed tests on lines that the change adds.
    pub in_diff: Vec<String>,
    /// How many new test report files were found.
    pub test_files: usize,
    /// How many new coverage report files were found.
    pub coverage_files: usize,
}

impl Reports {
    /// Expects reports of a commit with these files. `declared`: whether somebody said where test
    /// and coverage reports are; a file of the usual places may be something else.
    pub fn new(tree: &[TreeEntry], declared: Declared) -> Self {
        Self {
            declared,
            guessed: HashSet::new(),
            collector: Collector::new(Limits::default()),
            tracked: tree
                .iter()
                .map(|entry| (entry.path.clone(), entry.blob.clone()))
                .collect(),
            test_files: 0,
            coverage_files: 0,
        }
    }

    /// Reads a collected file. One that git tracks unchanged is no result and is passed over.
    ///
    /// # Errors
    /// `Transient` when the disk does not give it.
    pub fn add(&mut self, kind: CollectKind, path: &str, stored: &Path) -> Result<()> {
        let unreadable = |error: std::io::Error| {
            PortError::transient(format!("read the collected file {path}: {error}"))
        };
        if let Some(blob) = self.tracked.get(path)
            && *blob == blob_id(stored).map_err(unreadable)?
        {
            return Ok(());
        }
        let declared = match kind {
            CollectKind::Tests => {
                self.test_files += 1;
                self.declared.tests
            }
            CollectKind::Coverage => {
                self.coverage_files += 1;
                self.declared.coverage
            }
            CollectKind::Artifact | CollectKind::Cache => return Ok(()),
        };
        if !declared {
            self.guessed.insert(path.to_owned());
        }
        let file = File::open(stored).map_err(unreadable)?;
        self.collector.read(path, BufReader::new(file));
        Ok(())
    }

    /// Puts every failure and every covered file in its place in the repository. `diff` is what
    /// the change adds, as a unified diff. `partial_lines_miss`: whether partly covered lines count
    /// as missed.
    pub fn finish(self, diff: Option<&str>, partial_lines_miss: bool) -> Gathered {
        let mut report = self.collector.finish();
        if let Some(coverage) = &mut report.coverage
            && partial_lines_miss
        {
            coverage.miss_partial_lines();
        }
        let guessed = self.guessed;
        // What is no report at all, in a place where nobody said that there is one.
        report
            .files
            .retain(|file| file.format.is_some() || !guessed.contains(&file.path));
        let index = Index::new(self.tracked.into_keys());
        report.locate(&index);
        let diff = diff.map(Diff::parse);
        let patch = match (&report.coverage, &diff) {
            (Some(coverage), Some(diff)) => {
                let patch = coverage.patch(diff);
                let missed = coverage.missed_of(diff).into_iter();
                Some(PatchCoverage {
                    covered: patch.covered,
                    total: patch.total,
                    missed: missed
                        .take(PatchCoverage::MISSED)
                        .map(|(path, first, last)| MissedLines { path, first, last })
                        .collect(),
                })
            }
            _ => None,
        };
        let in_diff = report
            .tests
            .iter()
            .filter(|test| {
                let place = test.location.as_ref();
                place
                    .zip(diff.as_ref())
                    .is_some_and(|(place, diff)| diff.contains(&place.path, place.line))
            })
            .map(|test| test.id.clone())
            .collect();
        Gathered {
            report,
            patch,
            in_diff,
            test_files: self.test_files,
            coverage_files: self.coverage_files,
        }
    }
}

/// Gathers reports that come from elsewhere. None of their files is one of the commit, and nobody says which they are.
#[derive(Debug)]
pub(super) struct Imported {
    reports: Reports,
    archives: Archives,
}

impl Default for Imported {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl Imported {
    /// Expects reports of a commit with these files.
    pub(super) fn new(tree: &[TreeEntry]) -> Self {
        Self {
            reports: Reports::new(tree, Declared::default()),
            archives: Archives::new(ArchiveLimits::default()),
        }
    }

    /// Reads what is in a zip archive of this name, and says what is wrong with it.
    ///
    /// # Errors
    /// `Transient` when the disk does not give it.
    pub(super) fn add_archive(&mut self, name: &str, stored: &Path) -> Result<Vec<String>> {
        self.unzip(&format!("the artifact `{name}`"), name, stored)
    }

    /// Reads what somebody uploaded: what is in a zip archive, or one report. Says what is wrong with it.
    ///
    /// # Errors
    /// `Transient` when the disk does not give it.
    pub(super) fn add_upload(&mut self, part: &ReportPart, stored: &Path) -> Result<Vec<String>> {
        let unreadable =
            |error| PortError::transient(format!("read {}: {error}", stored.display()));
        let mut file = File::open(stored).map_err(unreadable)?;
        let mut begin = [0; 2];
        let read = file.read(&mut begin).map_err(unreadable)?;
        // No report begins as archives do (APPNOTE.TXT 4.3.7 and 4.3.16).
        if read == begin.len() && begin == *b"PK" {
            // Known by its content, it has no name that people know.
            let (what, above) = if part.sha256 == part.label {
                (format!("what was uploaded as `{}`", part.path), "")
            } else {
                (format!("the part `{}`", part.label), part.label.as_str())
            };
            return self.unzip(&what, above, stored);
        }
        let rest = Cursor::new(begin)
            .take(read as u64)
            .chain(BufReader::new(file));
        self.reports.collector.read(&part.path, rest);
        Ok(Vec::new())
    }

    /// `what`: as people call it. `above`: what paths in it are shown below of.
    fn unzip(&mut self, what: &str, above: &str, stored: &Path) -> Result<Vec<String>> {
        let unreadable =
            |error| PortError::transient(format!("read {}: {error}", stored.display()));
        let file = File::open(stored).map_err(unreadable)?;
        let reports = &mut self.reports;
        let found = self.archives.read(BufReader::new(file), &mut |path, file| {
            let path = match above {
                "" => path.to_owned(),
                above => format!("{above}/{path}"),
            };
            reports.collector.read(&path, file);
            if !is_called_report(&path) {
                reports.guessed.insert(path);
            }
        });
        let said = |problem: String| format!("{what}: {problem}");
        Ok(found.problems.into_iter().map(said).collect())
    }

    /// See [`Reports::finish`].
    pub(super) fn finish(self, diff: Option<&str>, partial_lines_miss: bool) -> Gathered {
        self.reports.finish(diff, partial_lines_miss)
    }
}

/// Whether a file is called as tools call their reports, so that people want to know when it is none.
fn is_called_report(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    let is = |beginning: &str, ending: &str| name.starts_with(beginning) && name.ends_with(ending);
    is("junit", ".xml")
        || is("test-", ".xml")
        || is("", ".trx")
        || ["coverage.xml", "cobertura.xml", "jacoco.xml", "lcov.info"].contains(&name.as_str())
}

/// Git's id of a file's content: SHA-1 over `blob SIZE\0` and the bytes ("Git Internals - Git
/// Objects").
fn blob_id(path: &Path) -> std::io::Result<String> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut digest = Sha1::new();
    digest.update(format!("blob {size}\0"));
    let mut reader = BufReader::new(file);
    let mut block = vec![0; 64 * 1024];
    loop {
        let read = reader.read(&mut block)?;
        let Some(bytes) = block.get(..read).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        digest.update(bytes);
    }
    Ok(digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::blob_id;

    #[test]
    fn the_id_of_a_content_is_that_of_git() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hello");
        std::fs::write(&file, "hello\n").unwrap();
        // `echo hello | git hash-object --stdin`
        assert_eq!(
            blob_id(&file).unwrap(),
            "ce013625030ba8dba906f756967f9e9ca394464a"
        );
    }
}
