//! Coverage by folder.

use std::collections::BTreeMap;

use askama::Template;

use crate::badge;
use crate::report::{Coverage, Share};

/// Deeper folders are part of the names of their files.
const DEEP: usize = 12;

/// A folder with all that is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Template)]
#[template(path = "pages/folder.html")]
pub(super) struct Folder {
    /// From the folder around it; several names where there is nothing else in those between.
    pub(super) name: String,
    /// Over all files in it.
    pub(super) lines: Share,
    /// In the order of their names.
    pub(super) folders: Vec<Folder>,
    /// In the order of their names.
    pub(super) files: Vec<Leaf>,
    /// Files in it that are not shown.
    pub(super) left: usize,
    /// Whether it is shown open.
    pub(super) open: bool,
}

/// A file in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) name: String,
    pub(super) lines: Share,
}

impl Folder {
    /// As in `75%`.
    fn percent(&self) -> String {
        badge::coverage(self.lines.covered, self.lines.total).0
    }
}

impl Leaf {
    /// As in `75%`.
    fn percent(&self) -> String {
        badge::coverage(self.lines.covered, self.lines.total).0
    }
}

/// The folder that the files of the repository are in. What is not in it has one of its own.
pub(super) fn of(coverage: Option<&Coverage>, most: usize) -> Folder {
    const ELSEWHERE: &str = "not in the repository";
    let files = coverage.iter().flat_map(|coverage| &coverage.files);
    let files: Vec<(String, Share)> = files
        .map(|file| {
            let path = match &file.resolved {
                Some(path) => path.clone(),
                None => format!("{ELSEWHERE}/{}", file.path.trim_start_matches('/')),
            };
            (path, file.line_share())
        })
        .collect();
    fold(&files, most)
}

/// A folder while it is being filled.
#[derive(Default)]
struct Draft<'a> {
    folders: BTreeMap<&'a str, Draft<'a>>,
    files: BTreeMap<&'a str, (Share, bool)>,
}

/// Puts files, by their paths and covered lines, into folders; of the files the `most` with most lines that were not
/// reached are shown. Folders that hold nothing but another one are joined with it.
fn fold(files: &[(String, Share)], most: usize) -> Folder {
    let mut order: Vec<usize> = (0..files.len()).collect();
    let missed = |at: &usize| {
        let lines = files.get(*at).map(|(_, lines)| *lines).unwrap_or_default();
        lines.total.saturating_sub(lines.covered)
    };
    order.sort_by_key(|at| std::cmp::Reverse(missed(at)));
    let mut root = Draft::default();
    for (place, at) in order.into_iter().enumerate() {
        let Some((path, lines)) = files.get(at) else {
            continue;
        };
        let mut folder = &mut root;
        let mut rest = path.trim_start_matches('/');
        for _ in 0..DEEP {
            let Some((name, inner)) = rest.split_once('/') else {
                break;
            };
            folder = folder.folders.entry(name).or_default();
            rest = inner;
        }
        let file = folder.files.entry(rest).or_default();
        file.0.covered = file.0.covered.saturating_add(lines.covered);
        file.0.total = file.0.total.saturating_add(lines.total);
        file.1 |= place < most;
    }
    let mut root = root.finish(String::new());
    if let [only] = root.folders.as_mut_slice() {
        only.open = true;
    }
    root
}

impl Draft<'_> {
    fn finish(self, name: String) -> Folder {
        let mut made = Folder {
            name,
            ..Folder::default()
        };
        let add = |lines: &mut Share, more: Share| {
            lines.covered = lines.covered.saturating_add(more.covered);
            lines.total = lines.total.saturating_add(more.total);
        };
        for (name, draft) in self.folders {
            let mut folder = draft.finish(name.to_owned());
            add(&mut made.lines, folder.lines);
            // Nothing else is in it.
            if folder.files.is_empty()
                && folder.left == 0
                && folder.folders.len() == 1
                && let Some(only) = folder.folders.pop()
            {
                folder = Folder {
                    name: format!("{}/{}", folder.name, only.name),
                    ..only
                };
            }
            if folder.files.is_empty() && folder.folders.is_empty() {
                made.left += folder.left;
            } else {
                made.folders.push(folder);
            }
        }
        for (name, (lines, shown)) in self.files {
            add(&mut made.lines, lines);
            if shown {
                made.files.push(Leaf {
                    name: name.to_owned(),
                    lines,
                });
            } else {
                made.left += 1;
            }
        }
        made
    }
}

#[cfg(test)]
mod tests {
    use askama::Template;
    use proptest::prelude::*;

    use super::{Folder, fold};
    use crate::report::Share;

    fn files(all: &[(&str, u64, u64)]) -> Vec<(String, Share)> {
        let all = all.iter();
        all.map(|(path, covered, total)| {
            let (covered, total) = (*covered, *total);
            ((*path).to_owned(), Share { covered, total })
        })
        .collect()
    }

    /// As a text: a folder with its share, then what is in it, indented.
    fn drawn(folder: &Folder) -> String {
        fn draw(folder: &Folder, depth: usize, text: &mut String) {
            let indent = "  ".repeat(depth);
            for one in &folder.folders {
                let Share { covered, total } = one.lines;
                text.push_str(&format!("{indent}{}/ {covered}/{total}\n", one.name));
                draw(one, depth + 1, text);
            }
            for file in &folder.files {
                let Share { covered, total } = file.lines;
                text.push_str(&format!("{indent}{} {covered}/{total}\n", file.name));
            }
            if folder.left > 0 {
                text.push_str(&format!("{indent}+{}\n", folder.left));
            }
        }
        let mut text = String::new();
        draw(folder, 0, &mut text);
        text
    }

    #[test]
    fn files_are_in_their_folders_and_chains_of_folders_are_one() {
        let folder = fold(
            &files(&[
                ("src/main/java/org/A.java", 1, 2),
                ("src/main/java/org/deep/B.java", 3, 3),
                ("src/main/java/org/deep/C.java", 0, 5),
                ("setup.py", 7, 9),
            ]),
            9,
        );
        let wanted = "src/main/java/org/ 4/10\n  deep/ 3/8\n    B.java 3/3\n    C.java 0/5\n  A.java 1/2\nsetup.py 7/9\n";
        assert_eq!(drawn(&folder), wanted);
        assert_eq!(
            folder.lines,
            Share {
                covered: 11,
                total: 19
            }
        );
        assert!(folder.folders[0].open);
    }

    #[test]
    fn what_is_not_shown_is_counted_and_its_lines_count() {
        let all = files(&[("a/x", 0, 9), ("a/y", 8, 9), ("b/z", 9, 9), ("c/d/e", 1, 9)]);
        let folder = fold(&all, 2);
        assert_eq!(
            drawn(&folder),
            "a/ 8/18\n  x 0/9\n  +1\nc/d/ 1/9\n  e 1/9\n+1\n"
        );
        assert_eq!(
            folder.lines,
            Share {
                covered: 18,
                total: 36
            }
        );
    }

    #[test]
    fn nobody_digs_too_deep() {
        let path = format!("{}x", "a/".repeat(5_000));
        let folder = fold(&files(&[(&path, 1, 1), ("/b/y", 1, 1), ("b//z", 1, 1)]), 9);
        assert_eq!(
            folder.lines,
            Share {
                covered: 3,
                total: 3
            }
        );
        assert!(folder.render().unwrap().contains("class=\"folder\""));
    }

    #[test]
    fn names_of_files_are_texts() {
        let folder = fold(&files(&[("<b>/<i>.rs", 1, 2), ("<b>/c/d.rs", 1, 2)]), 9);
        let page = folder.render().unwrap();
        assert!(page.contains("&#60;i&#62;.rs"), "{page}");
        assert!(
            !page.contains("<i>") && !page.contains("&#38;#60;"),
            "{page}"
        );
    }

    /// The lines of the files that are shown, and how many files there are.
    fn sum(folder: &Folder) -> (u64, usize) {
        let files: u64 = folder.files.iter().map(|file| file.lines.total).sum();
        let inner = folder.folders.iter().map(sum);
        let own = (files, folder.files.len() + folder.left);
        inner.fold(own, |(lines, count), (more, others)| {
            (lines + more, count + others)
        })
    }

    proptest! {
        #[test]
        fn no_file_and_no_line_is_lost(paths in proptest::collection::btree_set("[ab/]{1,8}", 0..20), most in 0..20_usize) {
            let all: Vec<(String, Share)> = paths
                .iter()
                .enumerate()
                .map(|(at, path)| (path.clone(), Share { covered: at as u64, total: 2 * at as u64 }))
                .collect();
            let folder = fold(&all, usize::MAX);
            let total: u64 = all.iter().map(|(_, lines)| lines.total).sum();
            prop_assert_eq!(folder.lines.total, total);
            prop_assert_eq!(sum(&folder).0, total);
            let some = fold(&all, most);
            prop_assert_eq!(some.lines.total, total);
            prop_assert_eq!(sum(&some).1, sum(&folder).1);
        }
    }
}
