//! Which file of the repository a path means.
//!
//! Reports are written elsewhere: paths are absolute, relative to some folder, have a drive
//! letter, or are a class's. A path means a file when one is wholly the end of the other; what
//! fits several files means none of them. Paths are never opened.

use std::collections::{HashMap, HashSet};

/// The files of a repository.
#[derive(Debug, Clone, Default)]
pub struct Index {
    files: HashSet<String>,
    /// Files by their last segment, and by their last two.
    by_end: HashMap<String, Vec<String>>,
}

/// Segments that are looked at from the end of a path.
const DEEPEST: usize = 64;

impl Index {
    /// Knows these paths, each from the root of the repository and with `/`.
    pub fn new(paths: impl IntoIterator<Item = String>) -> Self {
        let mut index = Self::default();
        for path in paths {
            for segments in [1, 2] {
                if let Some(end) = end(&path, segments) {
                    index
                        .by_end
                        .entry(end.to_owned())
                        .or_default()
                        .push(path.clone());
                }
            }
            index.files.insert(path);
        }
        index
    }

    /// The file that is meant by a path in a report, if exactly one is.
    pub fn resolve(&self, path: &str) -> Option<&str> {
        self.fit(&normal(path)?)
    }

    /// The same, and how many segments agree.
    pub(super) fn resolve_counted(&self, path: &str) -> Option<(&str, usize)> {
        let path = normal(path)?;
        let file = self.fit(&path)?;
        Some((file, path.split('/').count().min(file.split('/').count())))
    }

    /// Whether the repository has exactly this file.
    pub(super) fn has(&self, path: &str) -> bool {
        self.files.contains(path)
    }

    fn fit(&self, path: &str) -> Option<&str> {
        if let Some(file) = self.files.get(path) {
            return Some(file);
        }
        // The file's whole path is the end of this one: the longest counts.
        let mut rest = path;
        for _ in 0..DEEPEST {
            let Some((_, shorter)) = rest.split_once('/') else {
                break;
            };
            rest = shorter;
            if let Some(file) = self.files.get(rest) {
                return Some(file);
            }
        }
        // This path is the end of a file's.
        let end = end(path, 2).or_else(|| end(path, 1))?;
        let mut fitting = self.by_end.get(end)?.iter().filter(|file| {
            file.strip_suffix(path)
                .is_some_and(|before| before.is_empty() || before.ends_with('/'))
        });
        let only = fitting.next()?;
        fitting.next().is_none().then_some(only)
    }
}

/// The last segments of a path that has that many.
fn end(path: &str, segments: usize) -> Option<&str> {
    let mut start = path.len();
    for _ in 0..segments {
        if start == 0 {
            return None;
        }
        start = path
            .get(..start - usize::from(start < path.len()))?
            .rfind('/')
            .map_or(0, |at| at + 1);
    }
    path.get(start..)
}

/// A path with `/`, without drive, scheme, empty segments, `.` and `..`.
fn normal(path: &str) -> Option<String> {
    let path = path.trim();
    if path.len() > 4096 {
        return None;
    }
    let path = ["file://", "webpack://", "webpack-internal:///"]
        .iter()
        .find_map(|scheme| path.strip_prefix(scheme))
        .unwrap_or(path);
    let path = path.replace('\\', "/");
    let path = match path.as_bytes() {
        [drive, b':', b'/', ..] if drive.is_ascii_alphabetic() => path.get(2..)?,
        _ => &path,
    };
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    (!segments.is_empty()).then(|| segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::Index;

    fn index(paths: &[&str]) -> Index {
        Index::new(paths.iter().map(|path| (*path).to_owned()))
    }

    #[test]
    fn a_path_from_the_root_is_itself() {
        let index = index(&["src/a.rs", "a.rs"]);
        assert_eq!(index.resolve("src/a.rs"), Some("src/a.rs"));
        assert_eq!(index.resolve("./src/a.rs"), Some("src/a.rs"));
        assert_eq!(index.resolve("a.rs"), Some("a.rs"));
    }

    #[test]
    fn of_an_absolute_path_the_longest_end_counts() {
        let index = index(&["src/a.rs", "a.rs"]);
        assert_eq!(index.resolve("/build/x/src/a.rs"), Some("src/a.rs"));
        assert_eq!(index.resolve("C:\\build\\src\\a.rs"), Some("src/a.rs"));
        assert_eq!(index.resolve("file:///build/a.rs"), Some("a.rs"));
    }

    #[test]
    fn a_short_path_means_the_only_file_that_ends_with_it() {
        let index = index(&[
            "core/src/com/acme/Foo.java",
            "api/src/com/acme/Bar.java",
            "web/src/com/acme/Bar.java",
        ]);
        assert_eq!(
            index.resolve("com/acme/Foo.java"),
            Some("core/src/com/acme/Foo.java")
        );
        assert_eq!(
            index.resolve("Foo.java"),
            Some("core/src/com/acme/Foo.java")
        );
        assert_eq!(index.resolve("com/acme/Bar.java"), None);
        assert_eq!(index.resolve("me/Foo.java"), None);
    }

    #[test]
    fn what_is_elsewhere_is_nowhere() {
        let index = index(&["src/a.rs"]);
        for path in [
            "",
            "/",
            "..",
            "b.rs",
            "/x/src/b.rs",
            "src",
            "../../../../etc/passwd",
        ] {
            assert_eq!(index.resolve(path), None, "{path}");
        }
    }
}
