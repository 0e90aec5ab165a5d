//! Places that the text of a failure speaks of.
//!
//! Recognised by how languages write stack frames, without regard to which tool wrote the
//! report. Whether a place is a file of the repository is not decided here.

use std::borrow::Cow;
use std::cmp::Reverse;

use crate::text::ansi;

/// Lines of a text that are looked at, from each end.
const MOST_LINES: usize = 4_000;
/// Bytes of a line that are looked at.
const MOST_BYTES: usize = 2_000;
/// Places in one line. A line of nothing but colons and digits is no reason to spend minutes.
const MOST_IN_LINE: usize = 16;

/// How much a place says, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// A frame of Python, where the innermost is the last.
    Python,
    /// A stack frame or the place of a panic, where the innermost is the first.
    Stack,
    /// What a test of Go wrote: logs look like failures, and come before them as a rule. So the
    /// last counts.
    GoLog,
    /// A path with a line, somewhere in the text.
    Mention,
}

/// A place in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) rank: Rank,
    /// How many causes deep: the cause of an error is nearer to what is wrong than the error.
    cause: u16,
    pub(super) path: Cow<'a, str>,
    pub(super) line: u32,
}

/// All places in a text without colours, the best and innermost first.
pub(super) fn frames(text: &str) -> Vec<Frame<'_>> {
    let mut frames = Frames::default();
    for line in lines(text) {
        frames.read(line);
    }
    let mut frames = frames.found;
    // Stable: the first stays first, except in Python, where the last is the innermost.
    frames.sort_by_key(|frame| (frame.rank, Reverse(frame.cause)));
    for last in frames.chunk_by_mut(|one, other| one.rank == other.rank) {
        if matches!(last.first(), Some(frame) if matches!(frame.rank, Rank::Python | Rank::GoLog)) {
            last.reverse();
        }
    }
    frames
}

/// A text as people see it on a terminal.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    ansi::strip(text)
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    let ends = || memchr::memchr_iter(b'\n', text.as_bytes());
    let count = ends().count() + 1;
    let mut start = 0;
    ends()
        .chain([text.len()])
        .map(move |end| {
            let line = text.get(start..end).unwrap_or_default();
            start = end + 1;
            line
        })
        .enumerate()
        .filter(move |(at, _)| *at < MOST_LINES || at + MOST_LINES >= count)
        .map(|(_, line)| {
            let mut end = line.len().min(MOST_BYTES);
            while !line.is_char_boundary(end) {
                end -= 1;
            }
            line.get(..end).unwrap_or_default()
        })
}

#[derive(Default)]
struct Frames<'a> {
    found: Vec<Frame<'a>>,
    cause: u16,
    /// The file that the line before names alone.
    file: Option<&'a str>,
}

impl<'a> Frames<'a> {
    fn add(&mut self, rank: Rank, path: impl Into<Cow<'a, str>>, line: u32) {
        let cause = if matches!(rank, Rank::Python | Rank::GoLog) {
            0
        } else {
            self.cause
        };
        self.found.push(Frame {
            rank,
            cause,
            path: path.into(),
            line,
        });
    }

    fn read(&mut self, line: &'a str) {
        let trimmed = line.trim_start();
        let file = self.file.take();
        if let Some((key, value)) = boost(trimmed) {
            match (key, file) {
                ("file", _) => self.file = Some(value),
                ("line", Some(file)) => {
                    if let Some(line) = number(value) {
                        self.add(Rank::Stack, file, line);
                    }
                }
                _ => {}
            }
            return;
        }
        if is_cause(trimmed) {
            self.cause = self.cause.saturating_add(1);
        }
        if !has_number(line.as_bytes()) {
            return;
        }
        // pytest puts an `E` before what Python says of a file that it cannot read.
        let python_line = trimmed.strip_prefix("E ").map_or(trimmed, str::trim_start);
        if let Some((path, line)) = python(python_line) {
            return self.add(Rank::Python, path, line);
        }
        // pytest writes `path.py:12: ValueError`, or `path.py:12: ` within a traceback.
        if let Some((path, number)) = pytest(line) {
            return self.add(Rank::Python, path, number);
        }
        if let Some((path, line)) = dotnet(trimmed) {
            return self.add(Rank::Stack, path, line);
        }
        if let Some((path, line)) = java(trimmed) {
            return self.add(Rank::Stack, path, line);
        }
        if let Some((path, line)) = dart(trimmed) {
            return self.add(Rank::Stack, path, line);
        }
        if let Some((path, line)) = in_words(line) {
            let rank = if speaks_in_words(path) {
                Rank::Stack
            } else {
                Rank::Mention
            };
            return self.add(rank, path, line);
        }
        let stack = is_stack(trimmed);
        for (path, number, rest) in mentions(line) {
            let rank = if stack || is_elixir(path, rest) || rest.starts_with(":in ") {
                Rank::Stack
            } else if is_go_log(trimmed, path, rest) {
                Rank::GoLog
            } else {
                Rank::Mention
            };
            self.add(rank, path, number);
        }
    }
}

/// Whether there is a digit behind what is before the line in all ways to write a place.
fn has_number(line: &[u8]) -> bool {
    line.iter()
        .zip(line.iter().skip(1))
        .any(|(sign, digit)| digit.is_ascii_digit() && matches!(sign, b':' | b'(' | b' '))
}

/// Whether the text goes on with what an error only wraps (Node.js's own runner).
fn is_cause(line: &str) -> bool {
    line.starts_with("cause: ")
}

/// Whether a line is one of a stack: `at …` of many languages, `❯ …` of Vitest, `# …` of RSpec,
/// `#3 …` of PHP and of debuggers, the trace of testify, and what Rust says of a panic.
fn is_stack(line: &str) -> bool {
    match line.as_bytes() {
        [b'a', b't', b' ', ..] | [b'#', b' ', ..] => true,
        [b'#', digit, ..] => digit.is_ascii_digit(),
        _ => {
            ["❯ ", "Error Trace:"]
                .iter()
                .any(|start| line.starts_with(start))
                || line.contains("panicked at ")
        }
    }
}

/// `test/cart_test.exs:12: (test)`: the place of the test itself has nothing behind it.
fn is_elixir(path: &str, rest: &str) -> bool {
    matches!(extension(path), "ex" | "exs") && rest.starts_with(": ")
}

/// `cart_test.go:12: …` at the beginning of a line.
fn is_go_log(line: &str, path: &str, rest: &str) -> bool {
    extension(path) == "go"
        && !path.contains('/')
        && rest.starts_with(':')
        && line.starts_with(path)
}

/// `File "a.py", line 12, in f`
fn python(line: &str) -> Option<(&str, u32)> {
    let (path, rest) = line.strip_prefix("File \"")?.split_once('"')?;
    Some((path, number(rest.strip_prefix(", line ")?)?))
}

/// `a.py:12: ValueError` at the beginning of a line.
fn pytest(line: &str) -> Option<(&str, u32)> {
    let end = memchr::memmem::find(line.as_bytes(), b".py:")? + 3;
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

/// `test/cart_test.dart 12:5  main.<fn>`, `package:shop/cart.dart 12:5  Cart.total`
fn dart(line: &str) -> Option<(&str, u32)> {
    let (path, rest) = line.split_once(".dart ")?;
    let path = line.get(..path.len() + ".dart".len())?;
    let (line, column) = rest.split_once(':')?;
    let is_place = !path.contains(' ') && number(column).is_some();
    is_place
        .then(|| whole_number(line))
        .flatten()
        .map(|line| (path, line))
}

/// `- file   : a.cpp`, and in the next line `- line   : 12` (Boost.Test)
fn boost(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.strip_prefix("- ")?.split_once(':')?;
    let key = key.trim_end();
    matches!(key, "file" | "line").then_some((key, value.trim()))
}

/// Places in words: `at t/cart.t line 12.` (Perl), `in file test/helper.bash, line 12` (Bats),
/// `in /w/cart.php on line 12` (PHP), `cart.sh: line 12: …` (shells).
fn in_words(line: &str) -> Option<(&str, u32)> {
    let at = memchr::memmem::find(line.as_bytes(), b" line ")?;
    let number = number(line.get(at + " line ".len()..)?)?;
    let before = line.get(..at)?;
    let before = before.strip_suffix(" on").unwrap_or(before);
    let before = before.trim_end_matches([',', ':', '"', '\'', '`']);
    let path = before.get(start_of_path(before)..)?;
    has_extension(path).then_some((path, number))
}

/// Whether a file is of a language whose stacks are written like that.
fn speaks_in_words(path: &str) -> bool {
    matches!(
        extension(path),
        "t" | "pl" | "pm" | "php" | "bats" | "bash" | "sh" | "zsh"
    )
}

/// `path.ext:12` and `path.ext(12)` wherever they are, and what is behind each.
fn mentions(line: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    let signs = memchr::memchr2_iter(b':', b'(', line.as_bytes()).filter_map(|at| {
        let after = line.get(at + 1..)?;
        Some((at, after, number(after)?))
    });
    signs
        .take(MOST_IN_LINE)
        .filter_map(move |(at, after, number)| {
            let rest = after.trim_start_matches(|char: char| char.is_ascii_digit());
            let closed = if line.as_bytes().get(at) == Some(&b'(') {
                rest.starts_with(')')
            } else {
                !rest.starts_with(|char: char| char.is_alphanumeric() || char == '_')
            };
            let before = line.get(..at)?;
            let start = match before.rfind('(') {
                // `at f (C:\a b\c.ts:1:2)`: all that is in the parenthesis.
                Some(open) if line.trim_start().starts_with("at ") => open + 1,
                _ => start_of_path(before),
            };
            let path = before.get(start..)?;
            (closed && has_extension(path)).then_some((path, number, rest))
        })
}

/// Where the path begins that a text ends with.
fn start_of_path(text: &str) -> usize {
    let start = text
        .char_indices()
        .rev()
        .find(|(_, char)| char.is_whitespace() || "\"'`()[]<>,;|=".contains(*char))
        .map_or(0, |(at, char)| at + char.len_utf8());
    // `f@http://…` is how Safari writes a frame; `…/x@v1/…` is a path.
    match text.get(start..).and_then(|path| path.split_once('@')) {
        Some((name, _)) if !name.is_empty() && !name.contains('/') => start + name.len() + 1,
        _ => start,
    }
}

/// What is behind the last point of a path, without it; nothing where there is none.
pub(super) fn extension(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}

fn has_extension(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(stem, extension)| {
        !stem.is_empty()
            && (1..=10).contains(&extension.len())
            && extension.starts_with(|char: char| char.is_ascii_alphabetic())
            && extension
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

/// The number at the beginning, from 1.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.get(..digits)?
        .parse()
        .ok()
        .filter(|number| *number > 0)
}

/// A number and nothing else, from 1.
fn whole_number(text: &str) -> Option<u32> {
    let number = number(text)?;
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(number)
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
    use super::{Rank, frames, leading, plain};

    fn places(text: &str) -> Vec<(String, u32)> {
        frames(&plain(text))
            .into_iter()
            .map(|frame| (frame.path.into_owned(), frame.line))
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
            ("E     File \"/w/a.py\", line 3", "/w/a.py", 3),
            ("#   at t/cart.t line 12.", "t/cart.t", 12),
            (
                "not found at lib/Cart.pm line 3, <FH> line 9.",
                "lib/Cart.pm",
                3,
            ),
            ("\tCart::total(1) called at t/c.t line 9", "t/c.t", 9),
            (
                "(in test file test/cart.bats, line 12)",
                "test/cart.bats",
                12,
            ),
            (
                "# (from function `check' in file test/helper.bash, line 3,",
                "test/helper.bash",
                3,
            ),
            ("./cart.sh: line 7: foo: command not found", "./cart.sh", 7),
            ("PHP Fatal error: x in /w/a.php on line 4", "/w/a.php", 4),
            (
                "  test/cart_test.dart 12:5  main.<fn>",
                "test/cart_test.dart",
                12,
            ),
            (
                "  package:shop/cart.dart 3:5  Cart.total",
                "package:shop/cart.dart",
                3,
            ),
            (
                "/w/Tests/CartTests.swift:9: error: -[CartTests testX] : XCTAssertEqual failed",
                "/w/Tests/CartTests.swift",
                9,
            ),
            (
                "    #3 0x55d1 in total(int) /w/src/cart.cc:12:5",
                "/w/src/cart.cc",
                12,
            ),
            ("\t/w/cart/cart.go:12 +0x1d", "/w/cart/cart.go", 12),
            (
                "   4: shop::check\n             at ./src/lib.rs:3:5",
                "./src/lib.rs",
                3,
            ),
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
    fn an_error_is_nearer_than_its_causes_but_not_than_what_it_wraps() {
        let java = "E: x\n\tat a.Outer.f(Outer.java:1)\nCaused by: E: y\n\tat a.Inner.g(Inner.java:2)\n\t... 3 more";
        assert_eq!(first(java), ("a/Outer.java".to_owned(), 1));
        let node =
            "E: x\n    at f (/w/a.js:1:1) {\n  cause: AssertionError: y\n      at g (/w/b.js:2:1)";
        assert_eq!(first(node), ("/w/b.js".to_owned(), 2));
    }

    #[test]
    fn in_elixir_the_stack_comes_after_the_place_of_the_test() {
        let text = "  1) test adds (CartTest)\n     test/cart_test.exs:12\n     code: assert 1 == 2\n     stacktrace:\n       (shop 0.1.0) lib/shop.ex:3: Shop.check/1\n       test/cart_test.exs:14: (test)";
        assert_eq!(
            places(text),
            [
                ("lib/shop.ex".to_owned(), 3),
                ("test/cart_test.exs".to_owned(), 14),
                ("test/cart_test.exs".to_owned(), 12)
            ]
        );
    }

    #[test]
    fn in_go_the_last_line_counts_but_a_stack_before_it() {
        let log = "    a_test.go:3: see b.go:9: log\n    a_test.go:4: no";
        assert_eq!(first(log), ("a_test.go".to_owned(), 4));
        let testify = "    a_test.go:7: \n        \tError Trace:\t/w/helper.go:5\n        \t            \t/w/a_test.go:7";
        assert_eq!(first(testify), ("/w/helper.go".to_owned(), 5));
    }

    #[test]
    fn a_place_may_take_two_lines() {
        assert_eq!(
            places("ERROR:\n- file   : a b.cpp\n- line   : 22\n- message: x\n- line: 3"),
            [("a b.cpp".to_owned(), 22)]
        );
        assert_eq!(places("- file: unknown location\n- line: 0"), []);
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
