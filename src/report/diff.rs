//! The lines that a change adds and deletes.

use std::collections::{BTreeSet, HashMap, HashSet};

/// A unified diff, as far as coverage and annotations need it: the added lines of each file, under
/// the name that it has after the change, and the deleted ones under the name that it had before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    added: HashMap<String, BTreeSet<u32>>,
    deleted: HashMap<String, BTreeSet<u32>>,
    /// What files were called before that have another name now.
    old_names: HashMap<String, String>,
    /// Files that are gone, under this name at least.
    gone: HashSet<String>,
}

impl Diff {
    /// Reads what `git diff` or `diff -u` writes. What is no diff adds nothing, nor do binary
    /// files, files that are gone, and those that were only renamed.
    pub fn parse(text: &str) -> Self {
        let mut diff = Self::default();
        let (mut old_path, mut path): (Option<String>, Option<String>) = (None, None);
        let (mut before, mut renamed_from) = ("", "");
        // Lines of the hunk that are still to come, of the file before and after.
        let (mut old_line, mut old_left) = (0_u32, 0_u32);
        let (mut line, mut new_left) = (0_u32, 0_u32);
        for row in text.split('\n') {
            if old_left > 0 || new_left > 0 {
                match row.as_bytes().first() {
                    Some(b'+') => {
                        if let Some(path) = &path {
                            diff.added.entry(path.clone()).or_default().insert(line);
                        }
                        line = line.saturating_add(1);
                        new_left = new_left.saturating_sub(1);
                        continue;
                    }
                    Some(b'-') => {
                        if let Some(path) = &old_path {
                            let deleted = diff.deleted.entry(path.clone()).or_default();
                            deleted.insert(old_line);
                        }
                        old_line = old_line.saturating_add(1);
                        old_left = old_left.saturating_sub(1);
                        continue;
                    }
                    // "\ No newline at end of file"
                    Some(b'\\') => continue,
                    // Editors take the space away that an empty line has.
                    Some(b' ' | b'\r') | None => {
                        line = line.saturating_add(1);
                        old_line = old_line.saturating_add(1);
                        new_left = new_left.saturating_sub(1);
                        old_left = old_left.saturating_sub(1);
                        continue;
                    }
                    // The hunk is shorter than it says; a file begins.
                    _ => (old_left, new_left) = (0, 0),
                }
            }
            if row.starts_with("diff ") {
                (old_path, path) = (None, None);
            } else if let Some(name) = row.strip_prefix("rename from ") {
                renamed_from = name;
            } else if let Some(to) = row.strip_prefix("rename to ") {
                diff.rename(&name(renamed_from), &name(to));
            } else if let Some(name) = row.strip_prefix("--- ") {
                before = name;
            } else if let Some(name) = row.strip_prefix("+++ ") {
                (old_path, path) = names(std::mem::take(&mut before), name);
                match (&old_path, &path) {
                    (Some(old), Some(new)) if old != new => diff.rename(old, new),
                    (Some(old), None) => {
                        diff.gone.insert(old.clone());
                    }
                    _ => {}
                }
            } else if let Some((old, new)) = hunk(row) {
                (old_line, old_left) = old;
                (line, new_left) = new;
            }
        }
        diff
    }

    fn rename(&mut self, old: &str, new: &str) {
        self.old_names.insert(new.to_owned(), old.to_owned());
        self.gone.insert(old.to_owned());
    }

    /// Whether the change adds that line of that file.
    pub fn contains(&self, path: &str, line: u32) -> bool {
        self.added
            .get(path)
            .is_some_and(|lines| lines.contains(&line))
    }

    /// The added lines of a file in order.
    pub fn added(&self, path: &str) -> impl Iterator<Item = u32> + '_ {
        self.added.get(path).into_iter().flatten().copied()
    }

    /// Files to which the change adds something.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.added.keys().map(String::as_str)
    }

    /// Whether the change touches the file, under its name after the change.
    pub fn touches(&self, path: &str) -> bool {
        self.added.contains_key(path)
            || self.deleted.contains_key(path)
            || self.old_names.contains_key(path)
    }

    /// Whether the file was there before, under this name, and is not any more.
    pub fn is_gone(&self, path: &str) -> bool {
        self.gone.contains(path) && !self.added.contains_key(path)
    }

    /// What a file was called before.
    pub fn old_name<'a>(&'a self, path: &'a str) -> &'a str {
        self.old_names.get(path).map_or(path, String::as_str)
    }

    /// Whether the change deletes that line of that file, both as they were before.
    pub fn deletes(&self, old_path: &str, line: u32) -> bool {
        self.deleted
            .get(old_path)
            .is_some_and(|lines| lines.contains(&line))
    }

    /// Where lines of a file are after the change: of those given, in order, each that is kept, as
    /// it was and as it is.
    pub fn kept(
        &self,
        path: &str,
        old_lines: impl IntoIterator<Item = u32>,
    ) -> impl Iterator<Item = (u32, u32)> {
        let mut deleted = lines(self.deleted.get(self.old_name(path))).peekable();
        let mut added = lines(self.added.get(path)).peekable();
        let (mut deleted_before, mut added_before) = (0_u32, 0_u32);
        old_lines.into_iter().filter_map(move |old| {
            while deleted.next_if(|line| *line < old).is_some() {
                deleted_before += 1;
            }
            if deleted.peek() == Some(&old) {
                return None;
            }
            // Among the lines that are kept, which are in the same order before and after.
            let rank = old.saturating_sub(deleted_before);
            while added
                .next_if(|line| *line <= rank.saturating_add(added_before))
                .is_some()
            {
                added_before += 1;
            }
            Some((old, rank.saturating_add(added_before)))
        })
    }
}

fn lines(of: Option<&BTreeSet<u32>>) -> impl Iterator<Item = u32> {
    of.into_iter().flatten().copied()
}

/// The file before and after the change; `None` where it is not there.
fn names(before: &str, after: &str) -> (Option<String>, Option<String>) {
    const NOWHERE: &str = "/dev/null";
    let (before, after) = (name(before), name(after));
    // `a/` and `b/`, or with `diff.mnemonicPrefix` others of one letter; with `diff.noPrefix` none.
    let prefix = |name: &str| match name.as_bytes() {
        [letter, b'/', ..] => Some(*letter),
        _ => None,
    };
    let prefixed = match (prefix(&before), prefix(&after)) {
        (None, Some(after)) => before == NOWHERE && b"bciow".contains(&after),
        (Some(before), None) => after == NOWHERE && b"aciow".contains(&before),
        (Some(before), Some(after)) => before != after && b"aciow".contains(&before),
        (None, None) => false,
    };
    let path = |name: String| match name.get(2..) {
        _ if name == NOWHERE || name.is_empty() => None,
        Some(rest) if prefixed => Some(rest.to_owned()),
        _ => Some(name),
    };
    (path(before), path(after))
}

/// A name in a header.
fn name(text: &str) -> String {
    let text = text.trim_end_matches('\r');
    match text.strip_prefix('"') {
        Some(quoted) => unquote(quoted),
        // git puts a tab behind names with spaces, `diff` one before the time.
        None => text.split('\t').next().unwrap_or_default().to_owned(),
    }
}

/// Undoes git's quoting of names (`core.quotePath`): C escapes and octal bytes.
fn unquote(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes().peekable();
    while let Some(byte) = rest.next() {
        if byte == b'"' {
            break;
        }
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(b't') => bytes.push(b'\t'),
            Some(b'n') => bytes.push(b'\n'),
            Some(digit @ b'0'..=b'3') => {
                let mut value = u32::from(digit - b'0');
                while let Some(digit) = rest.next_if(|next| (b'0'..=b'7').contains(next)) {
                    value = value * 8 + u32::from(digit - b'0');
                    if value > 0o37 {
                        break;
                    }
                }
                bytes.push(u8::try_from(value).unwrap_or(b'?'));
            }
            Some(other) => bytes.push(other),
            None => {}
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// First line and number of lines, before and after: `@@ -1,2 +3,4 @@`.
fn hunk(row: &str) -> Option<((u32, u32), (u32, u32))> {
    fn range(text: &str) -> Option<(u32, u32)> {
        let (start, count) = text.split_once(',').unwrap_or((text, "1"));
        Some((start.parse().ok()?, count.parse().ok()?))
    }
    let mut parts = row.strip_prefix("@@ -")?.split(' ');
    let old = range(parts.next()?)?;
    let new = range(parts.next()?.strip_prefix('+')?)?;
    Some((old, new))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Diff;

    const DIFF: &str = "diff --git a/src/a.rs b/src/a.rs\nindex 1..2 100644\n--- a/src/a.rs\n+++ b/src/a.rs\n@@ -1,3 +1,4 @@ fn a\n one\n-two\n+zwei\n+zweieinhalb\n three\n@@ -10,0 +12 @@\n+++ twelve\ndiff --git a/gone b/gone\n--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\ndiff --git \"a/\\303\\244.py\" \"b/\\303\\244.py\"\n--- /dev/null\n+++ \"b/\\303\\244.py\"\n@@ -0,0 +1,2 @@\n+x\n+y\n\\ No newline at end of file\n";

    #[test]
    fn added_lines_are_those_with_a_plus_inside_of_a_hunk() {
        let diff = Diff::parse(DIFF);
        assert_eq!(diff.added("src/a.rs").collect::<Vec<_>>(), [2, 3, 12]);
        assert!(diff.contains("src/a.rs", 3));
        assert!(!diff.contains("src/a.rs", 1));
        assert!(diff.added("gone").next().is_none());
    }

    #[test]
    fn deleted_lines_and_files_are_known_by_their_old_names() {
        let diff = Diff::parse(DIFF);
        assert!(diff.deletes("src/a.rs", 2) && !diff.deletes("src/a.rs", 3));
        assert!(diff.deletes("gone", 1) && diff.is_gone("gone"));
        assert!(!diff.is_gone("src/a.rs"));
        let renamed = Diff::parse(
            "diff --git a/o.rs b/n.rs\nsimilarity index 90%\nrename from o.rs\nrename to n.rs\n--- a/o.rs\n+++ b/n.rs\n@@ -2 +1,0 @@\n-x\ndiff --git a/p b/q\nsimilarity index 100%\nrename from p\nrename to q\n",
        );
        assert_eq!(
            (renamed.old_name("n.rs"), renamed.old_name("q")),
            ("o.rs", "p")
        );
        assert!(renamed.is_gone("p") && renamed.touches("q") && renamed.deletes("o.rs", 2));
        assert_eq!(
            renamed.kept("n.rs", [1, 2, 3]).collect::<Vec<_>>(),
            [(1, 1), (3, 2)]
        );
    }

    #[test]
    fn quoted_names_are_read() {
        assert_eq!(Diff::parse(DIFF).added("ä.py").collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn names_are_those_after_the_change_whatever_is_before_them() {
        let added = |headers: &str, path: &str| {
            let diff = Diff::parse(&format!("{headers}\n@@ -1 +1 @@\n-x\n+y\n"));
            assert_eq!(diff.added(path).collect::<Vec<_>>(), [1], "{headers}");
        };
        let renamed = "diff --git a/old.rs b/new.rs\nsimilarity index 90%\nrename from old.rs\nrename to new.rs\n--- a/old.rs\n+++ b/new.rs";
        added(renamed, "new.rs");
        added("--- i/a b.rs\t\n+++ w/a b.rs\t", "a b.rs");
        added("--- src/a.rs\n+++ src/a.rs", "src/a.rs");
        added("--- b/a.rs\n+++ b/a.rs", "b/a.rs");
        added(
            "--- a.rs\t2026-11-23 10:00:00\n+++ a.rs\t2026-11-23 10:00:01",
            "a.rs",
        );
        added(
            "--- \"a/\\\"q\\\".rs\"\r\n+++ \"b/\\\"q\\\".rs\"\r",
            "\"q\".rs",
        );
    }

    #[test]
    fn binary_files_and_renames_alone_add_nothing_and_hide_nothing() {
        let diff = Diff::parse(
            "diff --git a/x.png b/x.png\nindex 1..2\nBinary files a/x.png and b/x.png differ\ndiff --git a/y.png b/y.png\nindex 1..2\nGIT binary patch\nliteral 4\nLc${NkU|;|M00aO5\n\nliteral 0\nHcmV?d00001\n\ndiff --git a/o b/n\nsimilarity index 100%\nrename from o\nrename to n\ndiff --git a/z b/z\n--- a/z\n+++ b/z\n@@ -0,0 +1 @@\n+z\n",
        );
        assert_eq!(diff.added.len(), 1);
        assert!(diff.contains("z", 1));
    }

    #[test]
    fn a_hunk_that_is_cut_off_does_not_swallow_the_next_file() {
        let diff = Diff::parse(
            "--- a/x\n+++ b/x\n@@ -1,9 +1,9 @@\n+x\ndiff --git a/y b/y\n--- a/y\n+++ b/y\n@@ -0,0 +1 @@\n+y\n",
        );
        assert!(diff.contains("x", 1) && diff.contains("y", 1));
    }

    proptest! {
        #[test]
        fn what_a_diff_adds_is_what_the_file_has_more(
            rows in prop::collection::vec((0..3_u8, "[-+ @a]{0,3}"), 0..30),
        ) {
            let (mut body, mut added) = (String::new(), Vec::new());
            let (mut old, mut new) = (0, 0);
            for (kind, text) in &rows {
                let sign = ['+', '-', ' '][usize::from(*kind)];
                old += u32::from(sign != '+');
                new += u32::from(sign != '-');
                if sign == '+' {
                    added.push(new + 4);
                }
                body.push_str(&format!("{sign}{text}\n"));
            }
            let text = format!("--- a/f\n+++ b/f\n@@ -5,{old} +5,{new} @@\n{body}");
            let diff = Diff::parse(&text);
            prop_assert_eq!(diff.added("f").collect::<Vec<_>>(), added);
            // What is kept stays in order, before the hunk as it was and after it moved by the difference.
            let (mut before, mut after, mut kept) = (5, 5, vec![(1, 1), (4, 4)]);
            for (kind, _) in &rows {
                if *kind == 2 {
                    kept.push((before, after));
                }
                before += u32::from(*kind != 0);
                after += u32::from(*kind != 1);
            }
            kept.push((old + 5, new + 5));
            kept.push((old + 9, new + 9));
            let asked = [1, 4].into_iter().chain(5..old + 6).chain([old + 9]);
            prop_assert_eq!(diff.kept("f", asked).collect::<Vec<_>>(), kept);
        }

        #[test]
        fn nothing_makes_it_panic(text in "[-+@ ab/0-9,\n\"\\\\]{0,200}") {
            Diff::parse(&text);
        }
    }

    #[test]
    fn what_is_no_diff_adds_nothing() {
        assert_eq!(Diff::parse("+++ hello\n+x\n"), Diff::default());
        assert_eq!(Diff::parse(""), Diff::default());
    }
}
