//! Which file of the repository a path means.
//!
//! Reports are written elsewhere: paths are absolute, relative to some folder, have a drive
//! letter, or are a class's. A path means a file when one is wholly the end of the other; what
//! fits several files means none of them. Paths are never opened.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::hash::BuildHasher;
use std::ops::Range;

use foldhash::fast::FixedState;

/// The files of a repository.
///
/// They are in the order of their letters from the last to the first. So all files whose paths
/// have one end stand together, and both questions (is this a file; which files end so) are a
/// binary search.
#[derive(Debug, Clone, Default)]
pub struct Index {
    files: Vec<String>,
    /// The hashes of their last segments, with and without the ending: most paths and classes in
    /// reports are of no file here, and that should cost little.
    names: HashSet<u64, FixedState>,
}

/// Segments that are looked at from the end of a path.
const DEEPEST: usize = 64;

impl Index {
    /// Knows these paths, each from the root of the repository and with `/`.
    pub fn new(paths: impl IntoIterator<Item = String>) -> Self {
        let mut files: Vec<String> = paths.into_iter().collect();
        files.sort_unstable_by(|one, other| from_end(one, other));
        files.dedup();
        let names = files
            .iter()
            .flat_map(|file| {
                let stem = file
                    .rsplit_once('.')
                    .map_or(file.as_str(), |(stem, _)| stem);
                [hash(file), hash(stem)]
            })
            .collect();
        Self { files, names }
    }

    /// The file that is meant by a path in a report, if exactly one is.
    pub fn resolve(&self, path: &str) -> Option<&str> {
        self.resolve_near(path, None)
    }

    /// Whether the last segment of a path is perhaps the name of a file, with or without the ending.
    pub(super) fn has_name(&self, path: &str) -> bool {
        self.names.contains(&hash(path))
    }

    /// The same as [`Self::resolve`]; of several that fit it is the one that lies in one folder with `near` for the
    /// most segments, as the report of a module lies within the module.
    pub(super) fn resolve_near(&self, path: &str, near: Option<&str>) -> Option<&str> {
        let path = path.trim();
        if !self.has_name(path) && !path.contains('?') {
            return None;
        }
        self.fit(&normal(path)?, near)
    }

    /// The same as [`Self::resolve`], and how many segments agree.
    pub(super) fn resolve_counted(&self, path: &str) -> Option<(&str, usize)> {
        let path = normal(path.trim())?;
        let file = self.fit(&path, None)?;
        Some((file, path.split('/').count().min(file.split('/').count())))
    }

    /// The only file with this name, in whatever folder.
    pub(super) fn only(&self, name: &str) -> Option<&str> {
        let (exact, below) = (self.exact(name), self.below(name));
        match (exact, below) {
            (Some(file), []) => Some(file),
            (None, [file]) => Some(file),
            _ => None,
        }
    }

    fn exact(&self, path: &str) -> Option<&str> {
        let at = self
            .files
            .binary_search_by(|file| from_end(file, path))
            .ok()?;
        self.files.get(at).map(String::as_str)
    }

    /// The files that have this path within some folder.
    fn below(&self, path: &str) -> &[String] {
        let start = self
            .files
            .partition_point(|file| order_below(file, path) == Ordering::Less);
        let rest = self.files.get(start..).unwrap_or_default();
        let count = rest.partition_point(|file| order_below(file, path) == Ordering::Equal);
        self.files
            .get(Range {
                start,
                end: start + count,
            })
            .unwrap_or_default()
    }

    fn fit(&self, path: &str, near: Option<&str>) -> Option<&str> {
        if let Some(file) = self.exact(path) {
            return Some(file);
        }
        // The file's whole path is the end of this one: the longest counts.
        let mut rest = path;
        for _ in 0..DEEPEST {
            let Some((_, shorter)) = rest.split_once('/') else {
                break;
            };
            rest = shorter;
            if let Some(file) = self.exact(rest) {
                return Some(file);
            }
        }
        // This path is the end of a file's.
        match self.below(path) {
            [] => None,
            [only] => Some(only),
            several => nearest(several, near?),
        }
    }
}

/// The file that shares more of its first folders with `near` than any other, and at least one.
fn nearest<'a>(files: &'a [String], near: &str) -> Option<&'a str> {
    let shared = |file: &str| {
        let pairs = file.split('/').zip(near.split('/'));
        pairs.take_while(|(one, other)| one == other).count()
    };
    let most = files.iter().map(|file| shared(file)).max()?;
    let mut best = files.iter().filter(|file| shared(file) == most);
    let first = best.next()?;
    (most > 0 && best.next().is_none()).then_some(first)
}

/// The hash of the last segment of a path.
fn hash(path: &str) -> u64 {
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
    FixedState::default().hash_one(name)
}

/// Compares from the last byte to the first.
fn from_end(one: &str, other: &str) -> Ordering {
    one.bytes().rev().cmp(other.bytes().rev())
}

/// Where `file` is among all files in relation to those that end with `/` and `path`.
fn order_below(file: &str, path: &str) -> Ordering {
    let mut file = file.bytes().rev();
    for byte in path.bytes().rev().chain([b'/']) {
        match file.next().map(|found| found.cmp(&byte)) {
            Some(Ordering::Equal) => {}
            Some(other) => return other,
            None => return Ordering::Less,
        }
    }
    Ordering::Equal
}

/// A path with `/`, without drive, scheme, query, empty segments, `.` and `..`.
fn normal(path: &str) -> Option<String> {
    if path.len() > 4096 {
        return None;
    }
    let path = match path.split_once("://") {
        // What a browser or a bundler says: the host is none of the path.
        Some((scheme, rest)) if scheme.len() > 1 && !scheme.contains(['/', '\\', '.']) => {
            rest.split('?').next()?
        }
        _ => path,
    };
    let path = match path
        .strip_prefix("package:")
        .and_then(|rest| rest.split_once('/'))
    {
        // Dart: a package's files are in its `lib`.
        Some((package, rest)) => format!("{package}/lib/{rest}"),
        None => path.replace('\\', "/"),
    };
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
    fn of_several_files_the_one_beside_the_report_is_meant() {
        let index = index(&["api/src/Foo.java", "web/src/Foo.java", "web/old/Foo.java"]);
        let near = |report| index.resolve_near("Foo.java", Some(report));
        assert_eq!(near("api/target/TEST-Foo.xml"), Some("api/src/Foo.java"));
        assert_eq!(near("web/target/TEST-Foo.xml"), None);
        assert_eq!(near("target/TEST-Foo.xml"), None);
        assert_eq!(index.only("Foo.java"), None);
    }

    #[test]
    fn bundlers_browsers_and_packages_have_paths_too() {
        let index = index(&["src/a.ts", "lib/cart.dart"]);
        for path in [
            "webpack:///./src/a.ts?ab12",
            "webpack-internal:///./src/a.ts",
            "http://localhost:9876/base/src/a.ts?1f2e",
            "file:///w/src/a.ts",
        ] {
            assert_eq!(index.resolve(path), Some("src/a.ts"), "{path}");
        }
        assert_eq!(
            index.resolve("package:shop/cart.dart"),
            Some("lib/cart.dart")
        );
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
