//! Lines of logs that say that something went wrong.
//!
//! For jumping from one to the next. It looks for what tools write, not for words of a language: a line
//! that only speaks of errors ("0 errors", a test of that name that passed) is none.

use super::{ansi, paint};

/// What such a line has in it, whatever else; searched without regard to upper and lower case before a line is looked
/// at. `1m` ends the colour red.
pub const HINTS: [&str; 15] = [
    "error",
    "exception",
    "fail",
    "fatal",
    "panicked",
    "traceback",
    "not ok",
    "not found",
    "core dumped",
    "segmentation",
    "***",
    "caused by",
    "1m",
    "E  ",
    "npm err",
];
/// The same for signs that are no letters.
pub const SIGNS: [&str; 4] = ["✗", "✘", "✖", "×"];

/// What such a line begins with.
const BEGINNINGS: [&str; 17] = [
    "##[error]",
    "::error",
    "Traceback (most recent call last)",
    "--- FAIL",
    "FAIL ",
    "FAIL\t",
    "FAIL:",
    "FAILURES!",
    "FAILURE:",
    "npm ERR!",
    "npm error",
    "[ERROR]",
    "ERROR ",
    "FATAL",
    "Caused by: ",
    "E   ",
    "ERROR\t",
];
/// What it has in it.
const PARTS: [&str; 6] = [
    "panicked at ",
    ": command not found",
    "(core dumped)",
    "Segmentation fault",
    "##[error]",
    ": *** ",
];

/// Whether a line says that something went wrong. It may have colours.
pub fn is_trouble(line: &str) -> bool {
    let plain = ansi::strip(line);
    let text = plain.trim();
    let beginning = BEGINNINGS.iter().any(|begin| text.starts_with(begin));
    let sign = SIGNS.iter().any(|sign| {
        let rest = text.strip_prefix(sign);
        rest.is_some_and(|rest| rest.starts_with(' '))
    });
    if sign || (beginning && !says_none(text)) || PARTS.iter().any(|part| text.contains(part)) {
        return true;
    }
    is_failed_tap(text) || has_failed(text) || has_error(text) || is_exception(text) || {
        let alarm = |(look, piece): &(paint::Look, String)| {
            look.is_alarm() && piece.chars().any(char::is_alphabetic) && !says_none(text)
        };
        line.contains("1m") && paint::lines(line).iter().flatten().any(alarm)
    }
}

/// A test of TAP that failed and should not.
fn is_failed_tap(text: &str) -> bool {
    let directive = || {
        let lower = text.to_ascii_lowercase();
        lower.contains("# todo") || lower.contains("# skip")
    };
    text.starts_with("not ok") && !directive()
}

/// `FAILED` as a word of its own, and not none of it.
fn has_failed(text: &str) -> bool {
    text.match_indices("FAILED").any(|(at, word)| {
        let (before, rest) = (text.get(..at), text.get(at + word.len()..));
        let (before, rest) = (before.unwrap_or_default(), rest.unwrap_or_default());
        let letter = |char: char| char.is_alphanumeric() || char == '_';
        !before.ends_with(letter) && !rest.starts_with(letter) && !none(before, rest)
    })
}

/// `error:`, `error[E0308]`, `error TS2304:`, as compilers write it.
fn has_error(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.match_indices("error").any(|(at, word)| {
        // Only ASCII has changed, so places are the same.
        let (before, rest) = (text.get(..at), text.get(at + word.len()..));
        let (before, rest) = (before.unwrap_or_default(), rest.unwrap_or_default());
        let begins = before.is_empty() || before.ends_with([' ', '\t', '(', '[', '|', '"']);
        let named = rest.strip_prefix(' ').and_then(|rest| rest.split_once(':'));
        let numbered = named.is_some_and(|(name, _)| {
            let digits = name.chars().filter(char::is_ascii_digit).count();
            digits > 0
                && name.starts_with(|char: char| char.is_ascii_uppercase())
                && name.chars().all(|char| char.is_ascii_alphanumeric())
        });
        let ends = rest == ":" || rest.starts_with(": ") || rest.starts_with("[E") || numbered;
        begins && ends && !none(before, rest)
    })
}

/// `ValueError: …`, `java.lang.NullPointerException`: a name at the beginning of the line.
fn is_exception(text: &str) -> bool {
    let name = text.split([' ', ':']).next().unwrap_or_default();
    let rest = text.get(name.len()..).unwrap_or_default();
    let plain = |char: char| char.is_alphanumeric() || "._$".contains(char);
    let error = name.ends_with("Error") && name.len() > 5 && rest.starts_with(": ");
    let exception = name.ends_with("Exception")
        && name.len() > 9
        && (rest.is_empty() || rest.starts_with(": "));
    (error || exception) && name.chars().all(plain)
}

/// Whether a count beside a word says that there is none.
fn none(before: &str, rest: &str) -> bool {
    let after = rest.trim_start_matches([':', '=', ' ', ')']);
    let zero = after.strip_prefix('0');
    let zero = zero
        .is_some_and(|rest| !rest.starts_with(|char: char| char.is_ascii_digit() || char == 'x'));
    let before = before.trim_end();
    let counted = before.strip_suffix('0');
    let counted =
        counted.is_some_and(|rest| !rest.ends_with(|char: char| char.is_ascii_alphanumeric()));
    zero || counted || after.starts_with("none") || before.ends_with(" no") || before == "no"
}

/// Whether a line counts what went wrong, and comes to none.
fn says_none(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["error", "fail"].iter().any(|word| {
        lower.match_indices(word).any(|(at, word)| {
            let before = lower.get(..at).unwrap_or_default();
            let rest = lower.get(at + word.len()..).unwrap_or_default();
            let rest = rest.trim_start_matches(|char: char| char.is_ascii_alphabetic());
            none(before, rest)
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{HINTS, SIGNS, is_trouble};

    const TROUBLE: [&str; 38] = [
        "error: cannot find value `x` in this scope",
        "error[E0308]: mismatched types",
        "\u{1b}[1m\u{1b}[38;5;9merror[E0308]\u{1b}[0m\u{1b}[1m: mismatched types\u{1b}[0m",
        "main.c:12:5: error: expected ';' before 'return'",
        "src/app.ts(3,1): error TS2304: Cannot find name 'x'.",
        "Program.cs(12,5): error CS1002: ; expected [/src/app.csproj]",
        "src/app.ts:3:1 - error TS2304: Cannot find name 'x'.",
        "fatal error: stdio.h: No such file or directory",
        "ERROR: Could not find a version that satisfies the requirement x",
        "[ERROR] Failed to execute goal",
        "Error: Cannot find module 'x'",
        "ld: error: undefined symbol: main",
        "thread 'main' panicked at src/main.rs:3:5:",
        "test tests::adds ... FAILED",
        "FAILED tests/test_a.py::test_b - assert 1 == 2",
        "tests/test_a.py::test_b FAILED                  [ 50%]",
        "\u{1b}[1;31mFAILED\u{1b}[0m  test_shout: \u{1b}[31mexpected\u{1b}[0m",
        "E       assert 1 == 2",
        "Traceback (most recent call last):",
        "ValueError: invalid literal for int() with base 10: 'x'",
        "java.lang.NullPointerException",
        "Caused by: java.io.IOException: gone",
        "org.junit.ComparisonFailure: expected:<1> but was:<2>\u{1b}[1;31m x\u{1b}[m",
        "--- FAIL: TestAdd (0.00s)",
        "FAIL\texample.org/app\t0.003s",
        " FAIL  src/app.test.ts > adds",
        "not ok 3 - adds",
        "  ✗ adds two numbers",
        "  × adds two numbers 3ms",
        "npm ERR! code ELIFECYCLE",
        "make: *** [Makefile:3: all] Error 1",
        "make[1]: *** [all] Error 2",
        "##[error]Process completed with exit code 1.",
        "sh: 1: frobnicate: command not found",
        "Segmentation fault (core dumped)",
        "FAILURE: Build failed with an exception.",
        "BUILD FAILED in 3s",
        "Tests: \u{1b}[1m\u{1b}[31m1 failed\u{1b}[39m\u{1b}[22m, 3 passed",
    ];
    const NONE: [&str; 26] = [
        "",
        "all good",
        "0 errors, 0 warnings",
        "Errors: 0",
        "error: 0",
        "FAILED: 0",
        "0 FAILED",
        "test result: ok. 3 passed; 0 failed; 0 ignored",
        "[ERROR] Tests run: 3, Failures: 0, Errors: 0, Skipped: 0",
        "test parses_error ... ok",
        "test error::tests::displays ... ok",
        "Compiling thiserror v2.0.1",
        "Downloading error-chain v0.12.4",
        "tests/test_errors.py::test_error PASSED",
        "ok 3 - reports an error",
        "not ok 4 - later # TODO not written",
        "not ok 5 # SKIP no network",
        "warning: unused variable: `x`",
        "retrying after an error",
        "\u{1b}[31m-removed line\u{1b}[m",
        "\u{1b}[1;32mPASSED\u{1b}[0m",
        "\u{1b}[1;31m0 failed\u{1b}[0m, 3 passed",
        "no errors: everything passed",
        "UNFAILED_TESTS=1",
        "Error handling is described below",
        "install -m 755 error.sh /usr/bin",
    ];

    /// Whether a line would be looked at at all.
    fn hinted(line: &str) -> bool {
        let lower = line.to_ascii_lowercase();
        let hint = |hint: &&str| lower.contains(&hint.to_ascii_lowercase());
        HINTS.iter().any(hint) || SIGNS.iter().any(|sign| line.contains(sign))
    }

    #[test]
    fn what_tools_write_of_trouble_is_known() {
        for line in TROUBLE {
            assert!(is_trouble(line), "{line:?}");
            assert!(hinted(line), "{line:?}");
        }
    }

    #[test]
    fn what_only_speaks_of_errors_is_none() {
        for line in NONE {
            assert!(!is_trouble(line), "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn a_line_in_trouble_has_a_hint_in_it(
            line in "((error|Error|FAILED|fatal|0|:|: | |E   |not ok|x|\u{1b}\\[1;31m|ü|✗|\\[E|TS1)){0,8}",
        ) {
            prop_assert!(!is_trouble(&line) || hinted(&line));
        }
    }
}
