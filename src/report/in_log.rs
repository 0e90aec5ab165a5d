//! Where a log speaks of failed tests: the line that is worth a link.
//!
//! Tools write the name of a test more than once, when it begins, in a list at the end, above what went wrong. The
//! last of these is what people look for.

use aho_corasick::AhoCorasick;

use super::model::{Outcome, Report};
use crate::text::ansi;
use crate::text::trouble::is_trouble;

/// Tests that are looked for.
const MOST: usize = 1_000;
/// Bytes of the shortest name that is looked for; shorter ones are found everywhere.
const SHORTEST: usize = 3;
/// A longer line is read up to here.
const LINE: usize = 4 * 1024;

/// How tools begin the line above what went wrong: jest, vitest, cargo test, go test, nextest, unittest.
const HEADINGS: [&str; 7] = [
    "● ", "FAIL ", "---- ", "--- FAIL", "--- STD", "FAIL: ", "ERROR: ",
];

/// How much a line says of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    /// Its name, and perhaps that it began.
    Name,
    /// That it failed.
    Failed,
    /// What went wrong comes next.
    Heading,
}

/// A test, and the best line so far.
#[derive(Debug)]
struct Sought {
    /// Its place in the report.
    at: usize,
    /// The last part of its class, which tells apart tests of one name.
    class: String,
    best: Option<(Worth, bool, u32, u64)>,
}

/// Looks for the failed tests of a report in the log of its job, line after line.
#[derive(Debug)]
pub struct InLog {
    names: AhoCorasick,
    sought: Vec<Sought>,
}

impl InLog {
    /// For the failed tests of a report; `None` where there is none with a name.
    pub fn new(report: &Report) -> Option<Self> {
        let mut names = Vec::new();
        let mut sought = Vec::new();
        let failed = report.tests.iter().enumerate().filter(|(_, test)| {
            matches!(test.outcome, Outcome::Failed | Outcome::Error)
                && test.name.trim().len() >= SHORTEST
                && !test.name.trim().contains('\n')
        });
        for (at, test) in failed.take(MOST) {
            names.push(test.name.trim());
            let class = test.class.as_deref().unwrap_or_default();
            let class = class.rsplit(['.', ':', '/', '\\']).next();
            sought.push(Sought {
                at,
                class: class.unwrap_or_default().to_owned(),
                best: None,
            });
        }
        if names.is_empty() {
            return None;
        }
        // Fails only for more names than anybody could hold.
        let names = AhoCorasick::new(names).ok()?;
        Some(Self { names, sought })
    }

    /// Looks at a line of a step. Of lines that say the same, the first is kept.
    pub fn look(&mut self, step: u32, number: u64, line: &str) {
        let line = line.get(..line.floor_char_boundary(LINE)).unwrap_or(line);
        // Jest puts a sign between the names that its reports put together with a space.
        let text = ansi::strip(line).replace(" › ", " ");
        let mut worth = None;
        for found in self.names.find_overlapping_iter(&text) {
            let (before, after) = (text.get(..found.start()), text.get(found.end()..));
            let part = |char: char| char.is_alphanumeric() || char == '_';
            if before.is_some_and(|before| before.ends_with(part))
                || after.is_some_and(|after| after.starts_with(part))
            {
                continue;
            }
            let worth = *worth.get_or_insert_with(|| worth_of(line, &text));
            let Some(test) = self.sought.get_mut(found.pattern().as_usize()) else {
                continue;
            };
            let same_class = !test.class.is_empty() && text.contains(&test.class);
            let better = test
                .best
                .is_none_or(|(known, class, ..)| (worth, same_class) > (known, class));
            if better {
                test.best = Some((worth, same_class, step, number));
            }
        }
    }

    /// What was found: the place of a test in the report, the number of the step, and the line.
    pub fn found(self) -> impl Iterator<Item = (usize, u32, u64)> {
        let sought = self.sought.into_iter();
        sought.filter_map(|test| test.best.map(|(_, _, step, line)| (test.at, step, line)))
    }
}

fn worth_of(line: &str, text: &str) -> Worth {
    let text = text.trim_start();
    // RSpec: `  1) Price rounds`.
    let rest = text.trim_start_matches(|char: char| char.is_ascii_digit());
    let numbered = rest.len() < text.len() && rest.starts_with(") ");
    // pytest: `____ test_price ____`, one stroke on each side where the name is long.
    let underscored = text.starts_with('_') && text.trim_end().ends_with(" _")
        || text.starts_with("__") && text.trim_end().ends_with("__");
    if numbered || underscored || HEADINGS.iter().any(|heading| text.starts_with(heading)) {
        Worth::Heading
    } else if is_trouble(line) {
        Worth::Failed
    } else {
        Worth::Name
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::read;
    use super::InLog;

    /// The line that is found for each failed test of a report.
    fn lines(report: &str, log: &str) -> Vec<(String, u64)> {
        let report = read(report);
        let mut search = InLog::new(&report).unwrap();
        for (number, line) in (1..).zip(log.lines()) {
            search.look(0, number, line);
        }
        let found = search.found();
        let name = |at: usize| report.tests.get(at).unwrap().name.clone();
        found.map(|(at, _, line)| (name(at), line)).collect()
    }

    fn junit(tests: &[(&str, &str)]) -> String {
        let cases: String = tests
            .iter()
            .map(|(class, name)| {
                format!("<testcase classname='{class}' name='{name}'><failure/></testcase>")
            })
            .collect();
        format!("<testsuite name='s'>{cases}</testsuite>")
    }

    #[test]
    fn what_went_wrong_is_worth_more_than_a_name() {
        for (report, log, line) in [
            // pytest
            (
                ("tests.test_price", "test_sum"),
                "tests/test_price.py::test_sum FAILED\n== FAILURES ==\n\u{1b}[31m____ test_sum ____\u{1b}[0m\nE assert\n\
                 FAILED tests/test_price.py::test_sum - assert",
                3,
            ),
            // cargo test
            (
                ("price", "tests::sum"),
                "test tests::sum ... FAILED\n\n---- tests::sum stdout ----\npanicked\n\nfailures:\n    tests::sum",
                3,
            ),
            // jest
            (
                ("Price rounds", "Price rounds"),
                "  ✕ rounds (3 ms)\n\n  ● Price › rounds\n\n    expect(",
                3,
            ),
            // go test
            (
                ("pkg", "TestSum"),
                "=== RUN   TestSum\n    a_test.go:3: no\n--- FAIL: TestSum (0.00s)",
                3,
            ),
            // unittest
            (
                ("a.Price", "test_sum"),
                "F.\n=====\nFAIL: test_sum (a.Price.test_sum)\n",
                3,
            ),
            // TAP, which has no headings
            (
                ("", "rounds up"),
                "ok 1 - rounds\nnot ok 2 - rounds up\n# rounds up again",
                2,
            ),
        ] {
            let found = lines(&junit(&[report]), log);
            assert_eq!(found, [(report.1.to_owned(), line)], "{log}");
        }
    }

    #[test]
    fn tests_of_one_name_are_told_apart_by_their_class() {
        let report = junit(&[("a.First", "test_sum"), ("a.Second", "test_sum")]);
        let log = "____ First.test_sum ____\n____ Second.test_sum ____";
        let name = "test_sum".to_owned();
        assert_eq!(lines(&report, log), [(name.clone(), 1), (name, 2)]);
    }

    #[test]
    fn part_of_another_name_is_none() {
        let report = junit(&[("a", "test_sum"), ("a", "up")]);
        assert_eq!(
            lines(&report, "FAILED test_sum_of_two\nFAILED my_test_sum"),
            []
        );
    }
}
