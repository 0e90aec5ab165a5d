//! The lines that a change adds.

use std::collections::{BTreeSet, HashMap};

/// A unified diff, as far as coverage and annotations need it: the added lines of each file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    added: HashMap<String, BTreeSet<u32>>,
}

impl Diff {
    /// Reads what `git diff` writes. What is no diff adds nothing.
    pub fn parse(text: &str) -> Self {
        let mut diff = Self::default();
        let mut path: Option<String> = None;
        let (mut line, mut old_left, mut new_left) = (0_u32, 0_u32, 0_u32);
        for row in text.split('\n') {
            if old_left == 0 && new_left == 0 {
                if row.starts_with("diff --git ") {
                    path = None;
                } else if let Some(name) = row.strip_prefix("+++ ") {
                    path = target(name);
                } else if let Some((old, new)) = hunk(row) {
                    (line, old_left, new_left) = (new.0, old.1, new.1);
                }
                continue;
            }
            match row.as_bytes().first() {
                Some(b'+') => {
                    if let Some(path) = &path {
                        diff.added.entry(path.clone()).or_default().insert(line);
                    }
                    line = line.saturating_add(1);
                    new_left = new_left.saturating_sub(1);
                }
                Some(b'-') => old_left = old_left.saturating_sub(1),
                // "\ No newline at end of file"
                Some(b'\\') => {}
                _ => {
                    line = line.saturating_add(1);
                    new_left = new_left.saturating_sub(1);
                    old_left = old_left.saturating_sub(1);
                }
            }
        }
        diff
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
}

/// The file after the change; `None` when it is gone.
fn target(name: &str) -> Option<String> {
    let name = name.trim_end_matches('\r');
    let name = match name.strip_prefix('"') {
        Some(quoted) => unquote(quoted.strip_suffix('"').unwrap_or(quoted)),
        // git puts a tab behind names with spaces.
        None => name.split('\t').next().unwrap_or_default().to_owned(),
    };
    if name == "/dev/null" {
        return None;
    }
    Some(name.strip_prefix("b/").map(str::to_owned).unwrap_or(name))
}

/// Undoes git's quoting of names (`core.quotePath`): C escapes and octal bytes.
fn unquote(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes().peekable();
    while let Some(byte) = rest.next() {
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
    fn quoted_names_are_read() {
        assert_eq!(Diff::parse(DIFF).added("ä.py").collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn what_is_no_diff_adds_nothing() {
        assert_eq!(Diff::parse("+++ hello\n+x\n"), Diff::default());
        assert_eq!(Diff::parse(""), Diff::default());
    }
}
