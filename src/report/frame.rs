//! Places that the text of a failure speaks of.
//!
//! Recognised by how languages write stack frames, without regard to which tool wrote the
//! report. Whether a place is a file of the repository is not decided here.

use crate::text::ansi;

/// Lines of a text that are looked at, from each end.
const MOST_LINES: usize = 4_000;
/// Bytes of a line that are looked at.
const MOST_BYTES: usize = 2_000;

/// How much a place says, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// A frame of Python, where the innermost is the last.
    Python,
    /// A stack frame or the place of a panic, where the innermost is the first.
    Stack,
    /// A path with a line, somewhere in the text.
    Mention,
}

/// A place in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) rank: Rank,
    pub(super) path: String,
    pub(super) line: u32,
}

/// All places in a text, the best and innermost first.
pub(super) fn frames(text: &str) -> Vec<Frame> {
    let text = ansi::strip(text);
    let mut found = Vec::new();
    for line in lines(&text) {
        read(line, &mut found);
    }
    // Stable: the first stays first, except in Python, where the last is the innermost.
    let (mut python, mut others): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|frame| frame.rank == Rank::Python);
    python.reverse();
    others.sort_by_key(|frame| frame.rank);
    python.append(&mut others);
    python
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    let count = text.lines().count();
    text.lines()
        .enumerate()
        .filter(move |(at, _)| *at < MOST_LINES || at + MOST_LINES >= count)
        .filter_map(|(_, line)| {
            let mut end = line.len().min(MOST_BYTES);
            while !line.is_char_boundary(end) {
                end -= 1;
            }
            line.get(..end)
        })
}

fn read(line: &str, found: &mut Vec<Frame>) {
    let mut add = |rank, path: &str, line| {
        found.push(Frame {
            rank,
            path: path.to_owned(),
            line,
        });
    };
    let trimmed = line.trim_start();
    if let Some((path, line)) = python(trimmed) {
        return add(Rank::Python, path, line);
    }
    if let Some((path, line)) = dotnet(trimmed) {
        return add(Rank::Stack, path, line);
    }
    if let Some((path, line)) = java(trimmed) {
        return add(Rank::Stack, &path, line);
    }
    // pytest writes `path.py:12: ValueError`, or `path.py:12: ` in the middle of a traceback.
    if let Some((path, number)) = pytest(line) {
        return add(Rank::Python, path, number);
    }
    let stack = trimmed.starts_with("at ")
        || trimmed.starts_with("❯ ")
        || trimmed.contains("panicked at ")
        || trimmed.starts_with("# ");
    let rank = if stack { Rank::Stack } else { Rank::Mention };
    for (path, line) in mentions(line) {
        add(rank, path, line);
    }
}

/// `File "a.py", line 12, in f`
fn python(line: &str) -> Option<(&str, u32)> {
    let (path, rest) = line.strip_prefix("File \"")?.split_once('"')?;
    Some((path, number(rest.strip_prefix(", line ")?)?))
}

/// `a.py:12: ValueError` at the beginning of a line.
fn pytest(line: &str) -> Option<(&str, u32)> {
    let end = line.find(".py:")? + 3;
    let path = line.get(..end)?;
    if path.starts_with([' ', '>', '\t']) || path.contains(['"', '(', '\'']) {
        return None;
    }
    let rest = line.get(end + 1..)?;
    let line = number(rest)?;
    rest.trim_start_matches(|char: char| char.is_ascii_digit())
        .starts_with(':')
        .then_some((path, line))
}

/// `at A.B() in C:\a b\c.cs:line 12`
fn dotnet(line: &str) -> Option<(&str, u32)> {
    let (before, after) = line.rsplit_once(":line ")?;
    let path = before.rsplit_once(" in ").map_or(before, |(_, path)| path);
    Some((path.strip_prefix("in ").unwrap_or(path), number(after)?))
}

/// `at module/com.acme.Foo$Inner.method(Foo.java:12)`: the folders of the file are its package.
fn java(line: &str) -> Option<(String, u32)> {
    let (call, place) = line.strip_prefix("at ")?.split_once('(')?;
    let (file, line) = place.split_once(')')?.0.rsplit_once(':')?;
    let (stem, extension) = file.rsplit_once('.')?;
    if stem.contains('/')
        || !matches!(
            extension,
            "java" | "kt" | "kts" | "scala" | "groovy" | "clj"
        )
        || call.contains(' ')
    {
        return None;
    }
    let call = call.rsplit('/').next()?;
    let (class, _) = call.rsplit_once('.')?;
    let class = class.split('$').next()?;
    let path = match class.rsplit_once('.') {
        Some((package, _)) => format!("{}/{file}", package.replace('.', "/")),
        None => file.to_owned(),
    };
    Some((path, number(line)?))
}

/// `path.ext:12` and `path.ext(12)` wherever they are.
fn mentions(line: &str) -> impl Iterator<Item = (&str, u32)> {
    let signs = line.match_indices([':', '(']).filter_map(|(at, sign)| {
        let after = line.get(at + 1..)?;
        Some((at, sign, after, number(after)?))
    });
    // A line of nothing but colons and digits is no reason to spend minutes.
    signs.take(16).filter_map(move |(at, sign, after, number)| {
        let rest = after.trim_start_matches(|char: char| char.is_ascii_digit());
        let closed = if sign == "(" {
            rest.starts_with(')')
        } else {
            !rest.starts_with(|char: char| char.is_alphanumeric() || char == '_')
        };
        let before = line.get(..at)?;
        let start = match before.rfind('(') {
            // `at f (C:\a b\c.ts:1:2)`: all that is in the parenthesis.
            Some(open) if line.trim_start().starts_with("at ") => open + 1,
            _ => before
                .rfind(|char: char| {
                    char.is_whitespace()
                        || matches!(
                            char,
                            '"' | '\''
                                | '`'
                                | '('
                                | ')'
                                | '['
                                | ']'
                                | '<'
                                | '>'
                                | ','
                                | ';'
                                | '|'
                                | '='
                                | '@'
                        )
                })
                .map_or(0, |end| {
                    end + before
                        .get(end..)
                        .and_then(|rest| rest.chars().next())
                        .map_or(1, char::len_utf8)
                }),
        };
        let path = before.get(start..)?;
        let (stem, extension) = path.rsplit_once('.')?;
        let is_file = !stem.is_empty()
            && (1..=10).contains(&extension.len())
            && extension.starts_with(|char: char| char.is_ascii_alphabetic())
            && extension
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (closed && is_file).then_some((path, number))
    })
}

/// The number at the beginning, from 1.
fn number(text: &str) -> Option<u32> {
    let end = text
        .find(|char: char| !char.is_ascii_digit())
        .unwrap_or(text.len());
    text.get(..end)?.parse().ok().filter(|number| *number > 0)
}

/// `path:12` at the very beginning of a text, whatever the path looks like.
pub(super) fn leading(text: &str) -> Option<(&str, u32)> {
    let line = text.trim_start().lines().next()?;
    let line = line.get(..line.len().min(MOST_BYTES)).unwrap_or_default();
    line.match_indices(':').find_map(|(at, _)| {
        let path = line.get(..at).filter(|path| path.len() > 1)?;
        Some((path, number(line.get(at + 1..)?)?))
    })
}

#[cfg(test)]
mod tests {
    use super::{Rank, frames, leading};

    fn places(text: &str) -> Vec<(String, u32)> {
        frames(text)
            .into_iter()
            .map(|frame| (frame.path, frame.line))
            .collect()
    }

    fn first(text: &str) -> (String, u32) {
        places(text).first().cloned().expect("a frame")
    }

    #[test]
    fn every_language_has_its_frames() {
        for (text, path, line) in [
            ("tests/test_a.py:12: AssertionError", "tests/test_a.py", 12),
            ("tests/test_a.py:12: ", "tests/test_a.py", 12),
            ("tests/test_a.py:12:", "tests/test_a.py", 12),
            ("  File \"/w/a b.py\", line 7, in f", "/w/a b.py", 7),
            ("thread 'x' panicked at src/x.rs:1:2:\nboom", "src/x.rs", 1),
            ("    file_test.go:12: not equal", "file_test.go", 12),
            ("    at f (/w/a b/x.test.ts:3:14)", "/w/a b/x.test.ts", 3),
            ("    at async file:///w/x.mjs:3:14", "file:///w/x.mjs", 3),
            ("    at C:\\w\\x.js:3:14", "C:\\w\\x.js", 3),
            (" ❯ src/x.test.ts:3:14", "src/x.test.ts", 3),
            (
                "\tat com.acme.Foo.bar(Foo.java:12)",
                "com/acme/Foo.java",
                12,
            ),
            (
                "at app//com.acme.Foo$In.bar(Foo.kt:12)",
                "com/acme/Foo.kt",
                12,
            ),
            ("at Foo.bar(Foo.java:12)", "Foo.java", 12),
            (
                "   at N.C.M() in C:\\a b\\c.cs:line 12",
                "C:\\a b\\c.cs",
                12,
            ),
            ("/w/a.rb:12:in `f'", "/w/a.rb", 12),
            ("# ./spec/x_spec.rb:12:in `f'", "./spec/x_spec.rb", 12),
            ("/w/tests/ATest.php:12", "/w/tests/ATest.php", 12),
            ("#0 /w/src/A.php(12): A->b()", "/w/src/A.php", 12),
            ("a.cpp(12):\nCHECK( 1 == 2 )", "a.cpp", 12),
            ("\u{1b}[31mat\u{1b}[0m /w/x.ts:9:1", "/w/x.ts", 9),
        ] {
            assert_eq!(first(text), (path.to_owned(), line), "{text}");
        }
    }

    #[test]
    fn the_innermost_frame_is_pythons_last_and_others_first() {
        let pytest = "test_a.py:3: \n_ _ _\n>  f()\nsrc/a.py:9: ValueError";
        assert_eq!(first(pytest), ("src/a.py".to_owned(), 9));
        let node = "x.ts:1:1 says\n at f (b.ts:2:1)\n at g (a.ts:3:1)";
        assert_eq!(
            places(node)[..2],
            [("b.ts".to_owned(), 2), ("a.ts".to_owned(), 3)]
        );
        assert_eq!(frames(node)[2].rank, Rank::Mention);
    }

    #[test]
    fn times_versions_and_addresses_are_no_places() {
        for text in [
            "12:30:01",
            "http://x:80/",
            "v1.2:3",
            "ratio 3:4",
            "a.rs:0",
            "localhost:8080",
            ":12",
        ] {
            assert_eq!(places(text), [], "{text}");
        }
    }

    #[test]
    fn the_beginning_may_be_any_path() {
        assert_eq!(leading("Makefile:12: boom"), Some(("Makefile", 12)));
        assert_eq!(leading("C:\\a.cc:12"), Some(("C:\\a.cc", 12)));
        assert_eq!(leading("boom"), None);
    }
}
