//! What a change does to coverage.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::coverage::{Coverage, FileCoverage, Share, stretches};
use super::diff::Diff;

/// Files of a change that are told one by one.
const FILES: usize = 100;
/// Stretches of lines of a file that are told one by one.
const STRETCHES: usize = 20;
/// Files that no report mentions, and that are named.
const UNMENTIONED: usize = 20;

/// Coverage after a change against that before it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CoverageChange {
    /// Lines over all files, after the change.
    pub now: Share,
    /// The same before it; `None` where there is nothing to compare with.
    pub before: Option<Share>,
    /// The same without the lines that the change deletes: who deletes covered code does no harm, and who deletes code
    /// that is not covered does not make up for what is missing elsewhere.
    pub kept: Option<Share>,
    /// Of the lines that the change adds, those that can be executed; `None` where the change is not known.
    pub patch: Option<Share>,
    /// The files that the change is about, and those that it affects without touching them; where most was missed or lost
    /// first.
    pub files: Vec<ChangedFile>,
    /// How many more there are.
    pub more: u64,
    /// Files of the change that no report mentions, though they look like files that reports mention.
    pub unmentioned: Vec<String>,
}

/// Coverage of a file after a change against that before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChangedFile {
    /// The file of the repository, after the change.
    pub path: String,
    /// Its lines after the change; `None` where no report mentions it any more.
    pub now: Option<Share>,
    /// Its lines before; `None` where no report mentioned it.
    pub before: Option<Share>,
    /// Of the lines that the change adds to it, those that can be executed.
    pub patch: Share,
    /// First and last of the stretches of lines that the change adds and that were not executed; at most 20.
    pub missed: Vec<(u32, u32)>,
    /// The same of lines that the change does not touch, that were executed before and are not any more.
    pub lost: Vec<(u32, u32)>,
    /// How many lines that the change does not touch were not executed before and are now.
    pub gained: u64,
}

impl ChangedFile {
    /// Whether something is different about lines that the change does not touch.
    pub fn is_indirect(&self) -> bool {
        !self.lost.is_empty() || self.gained > 0
    }

    /// How much is to be done about it.
    fn weight(&self) -> u64 {
        let lost: u64 = self
            .lost
            .iter()
            .map(|(first, last)| u64::from(last - first) + 1)
            .sum();
        self.patch.total - self.patch.covered + lost
    }
}

impl CoverageChange {
    /// Compares. Without `before`, nothing is said of what was; without `diff`, nothing of what the change adds. `since`
    /// is what has become different since the commit that `before` is of: the same as `diff` where that is the one that
    /// the change stands on. Without it lines are taken to be where they were.
    pub fn new(
        now: &Coverage,
        before: Option<&Coverage>,
        diff: Option<&Diff>,
        since: Option<&Diff>,
    ) -> Self {
        let nothing = Diff::default();
        let diff_or_none = diff.unwrap_or(&nothing);
        let since = since.unwrap_or(&nothing);
        let earlier: HashMap<&str, &FileCoverage> = before
            .iter()
            .flat_map(|coverage| &coverage.files)
            .map(|file| (file.place(), file))
            .collect();
        let mut files = Vec::new();
        let (mut mentioned, mut known) = (BTreeSet::new(), BTreeSet::new());
        for file in &now.files {
            let path = file.place();
            mentioned.insert(path);
            known.insert(since.old_name(path));
            let was = earlier.get(since.old_name(path)).copied();
            let changed = compare(file, was, diff_or_none, since);
            if diff_or_none.touches(path) || changed.is_indirect() {
                files.push(changed);
            }
        }
        for (path, was) in &earlier {
            if !known.contains(path) && !since.is_gone(path) {
                files.push(ChangedFile {
                    path: (*path).to_owned(),
                    before: Some(was.line_share()),
                    ..ChangedFile::default()
                });
            }
        }
        let unmentioned = unmentioned(&mentioned, diff_or_none);
        files.sort_by(|one, other| {
            let key = |file: &ChangedFile| std::cmp::Reverse((file.weight(), file.patch.total));
            key(one)
                .cmp(&key(other))
                .then_with(|| one.path.cmp(&other.path))
        });
        let more = files.len().saturating_sub(FILES);
        files.truncate(FILES);
        Self {
            now: now.lines(),
            before: before.map(Coverage::lines),
            kept: before.map(|before| before.without_deleted(since)),
            patch: diff.map(|diff| now.patch(diff)),
            files,
            more: more as u64,
            unmentioned,
        }
    }

    /// By how much the share of covered lines has risen, in percentage points; `None` where there is nothing to compare.
    pub fn difference(&self) -> Option<f64> {
        let before = self.before.filter(|share| share.total > 0)?;
        (self.now.total > 0).then(|| self.now.percent() - before.percent())
    }
}

fn compare(
    now: &FileCoverage,
    was: Option<&FileCoverage>,
    diff: &Diff,
    since: &Diff,
) -> ChangedFile {
    let path = now.place();
    let mut patch = Share::default();
    for covered in diff
        .added(path)
        .filter_map(|line| now.is_line_covered(line))
    {
        patch.add(Share {
            covered: u64::from(covered),
            total: 1,
        });
    }
    let (mut lost, mut gained) = (Vec::new(), 0);
    if let Some(was) = was {
        let old_lines = was.lines.iter().map(|(line, _)| line);
        for (old, new) in since.kept(path, old_lines) {
            match (was.is_line_covered(old), now.is_line_covered(new)) {
                (Some(true), Some(false)) => lost.push((new, true)),
                (Some(false), Some(true)) => {
                    gained += 1;
                    lost.push((new, false));
                }
                _ => lost.push((new, false)),
            }
        }
    }
    ChangedFile {
        path: path.to_owned(),
        now: Some(now.line_share()),
        before: was.map(FileCoverage::line_share),
        patch,
        missed: few(now.missed_of(diff)),
        lost: few(stretches(lost)),
        gained,
    }
}

fn few(mut stretches: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    stretches.truncate(STRETCHES);
    stretches
}

/// Whether a file looks as if it held tests, by the habits of the tools.
fn is_of_tests(path: &str) -> bool {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.split('.').next().unwrap_or(name);
    let is_word = |word: &str| matches!(word, "test" | "tests" | "__tests__" | "spec" | "specs");
    folders.split('/').any(is_word)
        || name.split('.').skip(1).any(is_word)
        || stem.split(['_', '-']).any(is_word)
        || ["Test", "Tests", "Spec"]
            .iter()
            .any(|end| stem.ends_with(end))
}

/// Files to which the change adds lines, of a kind that reports mention, and that none mentions. Those of tests are not
/// missed where reports leave them out.
fn unmentioned(mentioned: &BTreeSet<&str>, diff: &Diff) -> Vec<String> {
    let with_tests = mentioned.iter().any(|path| is_of_tests(path));
    let kind = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        name.rsplit_once('.').map(|(_, kind)| kind.to_owned())
    };
    let kinds: BTreeSet<String> = mentioned.iter().filter_map(|path| kind(path)).collect();
    let mut files: Vec<String> = diff
        .files()
        .filter(|path| !mentioned.contains(path) && (with_tests || !is_of_tests(path)))
        .filter(|path| kind(path).is_some_and(|kind| kinds.contains(&kind)))
        .map(str::to_owned)
        .collect();
    files.sort_unstable();
    files.truncate(UNMENTIONED);
    files
}

#[cfg(test)]
mod tests {
    use super::super::coverage::{Coverage, Share};
    use super::super::diff::Diff;
    use super::super::testing::read;
    use super::CoverageChange;

    fn coverage(lcov: &str) -> Coverage {
        read(lcov).coverage.expect("coverage")
    }

    fn share(covered: u64, total: u64) -> Share {
        Share { covered, total }
    }

    #[test]
    fn added_deleted_and_untouched_lines_are_told_apart() {
        let before = coverage(
            "SF:a.py\nDA:1,1\nDA:2,1\nDA:3,1\nDA:9,1\nend_of_record\nSF:b.py\nDA:1,1\nDA:2,0\nend_of_record\n",
        );
        // Line 2 is replaced by three lines, of which one is covered; line 9, now 11, is not covered any more.
        let now = coverage(
            "SF:a.py\nDA:1,1\nDA:2,1\nDA:3,0\nDA:4,0\nDA:5,1\nDA:11,0\nend_of_record\nSF:b.py\nDA:1,1\nDA:2,7\nend_of_record\n",
        );
        let diff = Diff::parse("--- a/a.py\n+++ b/a.py\n@@ -2 +2,3 @@\n-x\n+x\n+y\n+z\n");
        let change = CoverageChange::new(&now, Some(&before), Some(&diff), Some(&diff));
        assert_eq!(change.now, share(5, 8));
        assert_eq!(change.before, Some(share(5, 6)));
        assert_eq!(change.kept, Some(share(4, 5)));
        assert_eq!(change.patch, Some(share(1, 3)));
        let [a, b] = change.files.as_slice() else {
            panic!("{:?}", change.files)
        };
        assert_eq!(
            (a.path.as_str(), a.patch, a.gained),
            ("a.py", share(1, 3), 0)
        );
        assert_eq!(
            (a.missed.as_slice(), a.lost.as_slice()),
            (&[(3, 4)][..], &[(11, 11)][..])
        );
        assert_eq!((b.path.as_str(), b.gained, b.lost.len()), ("b.py", 1, 0));
    }

    #[test]
    fn a_renamed_file_is_compared_with_what_it_was() {
        let before = coverage("SF:old.py\nDA:1,1\nDA:2,1\nend_of_record\n");
        let now = coverage("SF:new.py\nDA:1,1\nDA:2,0\nend_of_record\n");
        let diff = Diff::parse(
            "diff --git a/old.py b/new.py\nsimilarity index 100%\nrename from old.py\nrename to new.py\n",
        );
        let change = CoverageChange::new(&now, Some(&before), Some(&diff), Some(&diff));
        assert_eq!(change.files[0].lost, [(2, 2)]);
        assert_eq!(
            (change.patch, change.kept),
            (Some(share(0, 0)), Some(share(2, 2)))
        );
    }

    #[test]
    fn files_that_no_report_mentions_are_named_where_reports_speak_of_their_kind() {
        let now = coverage("SF:src/a.py\nDA:1,1\nend_of_record\n");
        let add = |path: &str| format!("--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+x\n");
        let names = [
            "src/new.py",
            "README.md",
            "src/a.py",
            "src/test_a.py",
            "tests/b.py",
        ];
        let diff = names.map(add).concat();
        let change = CoverageChange::new(&now, None, Some(&Diff::parse(&diff)), None);
        assert_eq!(change.unmentioned, ["src/new.py"]);
        assert_eq!((change.before, change.difference()), (None, None));
    }

    #[test]
    fn lines_are_followed_from_the_commit_that_was_built() {
        let before =
            coverage("SF:a.py\nDA:1,1\nDA:2,0\nend_of_record\nSF:lost.py\nDA:1,1\nend_of_record\n");
        // Somebody else has put a line before them since; the change itself adds one to another file.
        let now = coverage(
            "SF:a.py\nDA:1,0\nDA:2,1\nDA:3,0\nend_of_record\nSF:b.py\nDA:1,1\nend_of_record\n",
        );
        let own = "--- a/b.py\n+++ b/b.py\n@@ -0,0 +1 @@\n+x\n";
        let since = format!("{own}--- a/a.py\n+++ b/a.py\n@@ -0,0 +1 @@\n+x\n");
        let (own, since) = (Diff::parse(own), Diff::parse(&since));
        let change = CoverageChange::new(&now, Some(&before), Some(&own), Some(&since));
        assert_eq!(change.patch, Some(share(1, 1)));
        let told: Vec<_> = change
            .files
            .iter()
            .map(|file| (file.path.as_str(), file.now))
            .collect();
        assert_eq!(told, [("b.py", Some(share(1, 1))), ("lost.py", None)]);
    }

    #[test]
    fn a_deleted_file_counts_for_nothing() {
        let before = coverage("SF:a.py\nDA:1,1\nend_of_record\nSF:b.py\nDA:1,0\nend_of_record\n");
        let now = coverage("SF:b.py\nDA:1,0\nend_of_record\n");
        let diff = Diff::parse("--- a/a.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n");
        let change = CoverageChange::new(&now, Some(&before), Some(&diff), Some(&diff));
        assert_eq!(
            (change.before, change.kept),
            (Some(share(1, 2)), Some(share(0, 1)))
        );
        assert!(change.files.is_empty(), "{:?}", change.files);
    }
}
