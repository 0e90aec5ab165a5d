//! `go test -json` (`go doc test2json`): an event a line.
//!
//! What a test prints comes before it is known how it ends, and that of parallel tests comes
//! mixed: so beginning and end of it are held for each test that runs. A package that fails
//! without a failed test is an error (it does not build, it panics, it ends early), and so is a
//! test that begins and never ends.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use serde::Deserializer;

use super::case::Case;
use super::collect::{Beginning, Format, Found};
use super::excerpt::Excerpt;
use super::json_lines::{is_object, object};
use super::json_stream::{Decimal, Node, Text, keys, skip, take};
use super::lines::Lines;
use super::model::{Diagnostic, Hints, Outcome, Place};
use super::source::Source;
use crate::text::shorten;

/// `go test -json`.
pub(super) const FORMAT: Format = Format {
    name: "go-test-json",
    is,
    read,
};

/// More than this about one file helps nobody.
const MOST_NOTES: usize = 20;
/// Bytes of output and names that are held at one time, roughly; beyond, little of each is.
const MOST_HELD: usize = 48 << 20;
/// What is held of the output of a test then.
const LITTLE: usize = 512;
/// Tests that run at one time, or packages.
const MOST_RUNNING: usize = 200_000;

/// The first object among the first lines decides: the compiler may speak before it.
fn is(file: &Beginning<'_>) -> bool {
    let mut lines = file.text.lines().take(1000);
    lines.find(|line| is_object(line)).is_some_and(|line| {
        let has = |key| keys(line).any(|found| found == (1, key));
        has("Action") && (has("Package") || has("ImportPath") || has("Test"))
    })
}

#[derive(Default)]
struct Event {
    action: String,
    package: String,
    test: Option<String>,
    elapsed: Option<f64>,
    output: String,
    import_path: String,
    failed_build: Option<String>,
}

impl Node for Event {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        let text = |value| Ok::<_, D::Error>(take::<Text, D>(value)?.0.unwrap_or_default());
        match key {
            "Action" => self.action = text(value)?,
            "Package" => self.package = text(value)?,
            "Test" => self.test = take::<Text, _>(value)?.0.filter(|test| !test.is_empty()),
            "Elapsed" => self.elapsed = take::<Decimal, _>(value)?.0,
            "Output" => self.output = text(value)?,
            "ImportPath" => self.import_path = text(value)?,
            "FailedBuild" => self.failed_build = take::<Text, _>(value)?.0,
            _ => skip(value)?,
        }
        Ok(())
    }
}

/// A package whose end has not come.
#[derive(Default)]
struct Package {
    /// In order, so that the same file is the same report.
    tests: BTreeMap<String, Running>,
    output: Excerpt,
    red: bool,
}

#[derive(Default)]
struct Running {
    output: Excerpt,
    /// Whether it is known to have begun: benchmarks may only print.
    begun: bool,
}

struct GoTest<'a, 'b> {
    found: &'a mut Found<'b>,
    packages: HashMap<String, Package>,
    /// What the compiler says, by import path.
    builds: HashMap<String, Excerpt>,
    running: usize,
    held: usize,
    left_out: bool,
}

fn read(source: Source<&mut dyn Read>, found: &mut Found<'_>) {
    let longest = found.limits.longest;
    let mut lines = Lines::new(source, longest);
    let mut notes = Vec::new();
    let mut tests = GoTest {
        found,
        packages: HashMap::new(),
        builds: HashMap::new(),
        running: 0,
        held: 0,
        left_out: false,
    };
    let mut plain = false;
    while lines.read() {
        let line = lines.line();
        if line.trim().is_empty() {
            continue;
        }
        if !is_object(line) {
            tests.plain(line);
            if !plain {
                plain = true;
                let text = "a line that is no JSON; it is passed over";
                notes.push(Diagnostic::warning(lines.place(), text));
            }
            continue;
        }
        let wrong = if lines.is_cut() {
            Some((1, format!("a line is longer than {} MiB", longest >> 20)))
        } else {
            object(line).map(|event| tests.take(event)).err()
        };
        if let Some((column, text)) = wrong
            && notes.len() < MOST_NOTES
        {
            let (line, first) = lines.place();
            notes.push(Diagnostic::error((line, first + column - 1), text));
        }
    }
    let unended = tests.end();
    let left_out = tests.left_out;
    if let Some(package) = unended {
        let text = format!(
            "the file ends before the tests of `{}` do",
            shorten::chars(&package, 300)
        );
        notes.push(Diagnostic::error(lines.end(), text));
    }
    if left_out {
        let text = "too many tests run at one time; some are left out";
        notes.push(Diagnostic::error(lines.end(), text));
    }
    notes.extend(lines.faults());
    found.notes.extend(notes);
}

impl GoTest<'_, '_> {
    fn take(&mut self, event: Event) {
        if event.action == "build-output" {
            let room = self.room();
            let is_known = self.builds.contains_key(&event.import_path);
            if is_known || !self.is_full(self.builds.len()) {
                if !is_known {
                    self.held += event.import_path.len() + 200;
                }
                let build = self.builds.entry(event.import_path).or_default();
                let before = build.len();
                build.push(&event.output, room);
                self.held = (self.held + build.len()).saturating_sub(before);
            }
            return;
        }
        let is_of_package = match event.action.as_str() {
            "start" | "output" | "run" | "pass" | "fail" | "skip" | "bench" => true,
            "pause" | "cont" => return,
            _ => false,
        };
        if !is_of_package {
            return;
        }
        if !self.packages.contains_key(&event.package) {
            if self.is_full(self.packages.len()) {
                self.left_out = true;
                return;
            }
            self.held += event.package.len() + 200;
            self.packages
                .insert(event.package.clone(), Package::default());
        }
        match (event.action.as_str(), event.test) {
            ("run", Some(test)) => {
                if let Some(running) = self.running(&event.package, test) {
                    running.begun = true;
                }
            }
            ("output", test) => self.output(&event.package, test, &event.output),
            ("pass" | "bench", Some(test)) => {
                self.ended(&event.package, &test, Outcome::Passed, event.elapsed);
            }
            ("skip", Some(test)) => {
                self.ended(&event.package, &test, Outcome::Skipped, event.elapsed);
            }
            ("fail", Some(test)) => {
                self.ended(&event.package, &test, Outcome::Failed, event.elapsed);
            }
            ("pass" | "skip", None) => self.package_ended(&event.package, false, None),
            ("fail", None) => self.package_ended(&event.package, true, event.failed_build),
            _ => {}
        }
    }

    /// How much of an output may be held.
    fn room(&self) -> usize {
        if self.held < MOST_HELD {
            self.found.limits.details
        } else {
            LITTLE
        }
    }

    /// Whether nothing new may be held beside so many others.
    fn is_full(&self, others: usize) -> bool {
        others >= MOST_RUNNING || self.held > 2 * MOST_HELD
    }

    fn running(&mut self, package: &str, test: String) -> Option<&mut Running> {
        let is_full = self.is_full(self.running);
        let tests = &mut self.packages.get_mut(package)?.tests;
        if !tests.contains_key(&test) {
            if is_full {
                self.left_out = true;
                return None;
            }
            self.running += 1;
            self.held += test.len() + 200;
        }
        Some(tests.entry(test).or_default())
    }

    fn output(&mut self, package: &str, test: Option<String>, text: &str) {
        let room = self.room();
        let output = match test {
            // `=== RUN`, `=== PAUSE`, `=== CONT`, `=== NAME`.
            Some(_) if text.starts_with("=== ") => return,
            Some(test) => self
                .running(package, test)
                .map(|running| &mut running.output),
            None => self
                .packages
                .get_mut(package)
                .map(|package| &mut package.output),
        };
        if let Some(output) = output {
            let before = output.len();
            output.push(text, room);
            let after = output.len();
            self.held = (self.held + after).saturating_sub(before);
        }
    }

    fn ended(&mut self, package: &str, test: &str, outcome: Outcome, elapsed: Option<f64>) {
        let mut output = Excerpt::default();
        if let Some(of) = self.packages.get_mut(package) {
            of.red |= outcome.is_red();
            if let Some(running) = of.tests.remove(test) {
                output = running.output;
                self.running -= 1;
                self.held = self.held.saturating_sub(test.len() + 200 + output.len());
            }
        }
        self.give(package, test, outcome, elapsed, output);
    }

    fn give(
        &mut self,
        package: &str,
        name: &str,
        outcome: Outcome,
        elapsed: Option<f64>,
        output: Excerpt,
    ) {
        let mut verdict = Verdict::default();
        if outcome != Outcome::Passed {
            verdict = Verdict::of(&output.into_text(), package);
        }
        if outcome == Outcome::Error && verdict.message.is_empty() {
            "the test began and did not end".clone_into(&mut verdict.message);
        }
        let suite = [package.to_owned()];
        self.add(Case {
            suite: if package.is_empty() { &[] } else { &suite },
            name,
            outcome,
            duration_seconds: elapsed,
            message: &verdict.message,
            details: if outcome.is_red() {
                &verdict.details
            } else {
                ""
            },
            hints: Hints {
                failure: verdict.place.filter(|_| outcome.is_red()),
                ..Hints::default()
            },
            ..Case::default()
        });
    }

    fn add(&mut self, case: Case<'_>) {
        let Found {
            limits,
            tests,
            runs,
            ..
        } = &mut *self.found;
        tests.add(case, limits, runs);
    }

    /// Tests of it that have not ended never will.
    fn package_ended(&mut self, name: &str, failed: bool, build: Option<String>) {
        let Some(mut package) = self.packages.remove(name) else {
            return;
        };
        self.held = self
            .held
            .saturating_sub(name.len() + 200 + package.output.len());
        let mut red = package.red;
        for (test, running) in std::mem::take(&mut package.tests) {
            self.running -= 1;
            self.held = self
                .held
                .saturating_sub(test.len() + 200 + running.output.len());
            if !running.begun {
                continue;
            }
            // One that prints nothing has no end of its own.
            if !failed && test.starts_with("Benchmark") {
                self.give(name, &test, Outcome::Passed, None, Excerpt::default());
            } else {
                red = true;
                self.give(name, &test, Outcome::Error, None, running.output);
            }
        }
        if failed && !red {
            let mut text = String::new();
            if let Some(build) = build.and_then(|build| self.builds.remove(&build)) {
                self.held = self.held.saturating_sub(build.len() + 200);
                text = build.into_text();
            }
            text.push_str(&package.output.into_text());
            self.package_error(name, &text);
        }
    }

    fn package_error(&mut self, package: &str, text: &str) {
        let mut verdict = Verdict::of(text, package);
        if verdict.message.is_empty() {
            trouble(text, package).clone_into(&mut verdict.message);
        }
        let suite = [package.to_owned()];
        self.add(Case {
            suite: if package.is_empty() { &[] } else { &suite },
            name: "(suite)",
            outcome: Outcome::Error,
            made_up: true,
            message: &verdict.message,
            details: &verdict.details,
            ..Case::default()
        });
    }

    /// A line that is no JSON: old versions of Go say so that a package does not build.
    fn plain(&mut self, line: &str) {
        let failed = line
            .strip_prefix("FAIL\t")
            .and_then(|rest| rest.trim_end().strip_suffix(" failed]"))
            .and_then(|rest| rest.rsplit_once(" ["));
        if let Some((package, _)) = failed {
            self.package_error(package, line);
        }
    }

    /// The file ends. Returns a package that has not.
    fn end(&mut self) -> Option<String> {
        let mut names: Vec<String> = self.packages.keys().cloned().collect();
        names.sort();
        for name in &names {
            if let Some(package) = self.packages.get_mut(name) {
                // That it has no end is said once, for the file.
                package.red = true;
            }
            self.package_ended(name, true, None);
        }
        names.into_iter().next()
    }
}

/// The most telling line of what a package says that fails without a test.
fn trouble<'a>(text: &'a str, package: &str) -> &'a str {
    let says_nothing = |line: &str| {
        let rest = line.strip_prefix("FAIL").map(str::trim_start);
        line.is_empty()
            || line.starts_with('#')
            || line.starts_with("exit status ")
            || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(package))
    };
    let mut lines = text.lines().map(str::trim);
    if let Some(line) = lines.clone().find(|line| !says_nothing(line)) {
        return line;
    }
    let reason = lines.find_map(|line| line.rfind(" [").and_then(|at| line.get(at + 1..)));
    reason.unwrap_or("the package failed, and no test of it")
}

/// What the output of a test says.
#[derive(Default)]
struct Verdict {
    message: String,
    details: String,
    place: Option<Place>,
}

impl Verdict {
    fn of(output: &str, package: &str) -> Self {
        let starts = |line: &&str| line.starts_with("panic: ") || line.starts_with("fatal error: ");
        let mut verdict = Self::default();
        if let Some(panic) = output.lines().find(starts) {
            panic.clone_into(&mut verdict.message);
            // The frames are behind it; what was logged before may have places too.
            let at = output.find(panic).unwrap_or_default();
            let (before, after) = output.split_at_checked(at).unwrap_or((output, ""));
            verdict.details = format!("{after}\n{before}");
            return verdict;
        }
        output.clone_into(&mut verdict.details);
        let mut message: Option<Vec<&str>> = None;
        for line in output.lines() {
            if let Some((file, number, text)) = logged(line) {
                verdict.place = Some(Place {
                    path: if file.contains(['/', '\\']) || package.is_empty() {
                        file.to_owned()
                    } else {
                        format!("{package}/{file}")
                    },
                    line: Some(number),
                });
                message = Some(vec![text]);
            } else if line.trim_start().starts_with("--- ") {
                message = message.filter(|lines| !lines.iter().all(|line| line.is_empty()));
            } else if line == "got:" {
                // An example whose output is another.
                message = Some(vec![line]);
            } else if let Some(message) = &mut message {
                let belongs = line.starts_with("        ")
                    || line.starts_with("    \t")
                    || message.first().is_some_and(|first| *first == "got:");
                if belongs && message.len() < 100 {
                    message.push(line.trim());
                }
            }
        }
        let message = message.unwrap_or_default().join("\n");
        message.trim().clone_into(&mut verdict.message);
        verdict
    }
}

/// `    a_test.go:12: text`
fn logged(line: &str) -> Option<(&str, u32, &str)> {
    let text = line.strip_prefix(' ')?.trim_start();
    let end = text.find(".go:")? + ".go".len();
    let (file, rest) = text.split_at_checked(end)?;
    let (number, text) = rest.strip_prefix(':')?.split_once(':')?;
    let number = number.parse().ok().filter(|number| *number > 0)?;
    let is_file = !file.contains(char::is_whitespace);
    is_file.then(|| (file, number, text.trim()))
}

#[cfg(test)]
#[path = "go_test_tests.rs"]
mod tests;
