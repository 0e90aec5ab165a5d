//! The JSON of Dart's and Flutter's test runner (`dart test --reporter json`,
//! `flutter test --machine`; package `test`, `doc/json_reporter.md`): an event a line, or all of
//! them in an array.
//!
//! Tests are known by number while they run. Hidden ones, which load files, count only when they
//! go wrong. Flutter prints what failed and only then says that something did.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use serde::Deserializer;

use super::case::Case;
use super::collect::{Beginning, Format, Found};
use super::excerpt::Excerpt;
use super::json_lines::{is_object, object};
use super::json_stream::{self, Decimal, Flag, Node, Number, Text, skip, take, walk};
use super::lines::Lines;
use super::model::{Diagnostic, Hints, Outcome, Place};
use super::source::Source;
use crate::text::shorten;

/// Dart and Flutter.
pub(super) const FORMAT: Format = Format {
    name: "dart-json",
    is,
    read,
};

/// More than this about one file helps nobody.
const MOST_NOTES: usize = 20;
/// Tests that run at one time, and groups and files.
const MOST_KNOWN: usize = 200_000;
/// Bytes of texts that are held at one time, roughly; beyond, little of each is.
const MOST_HELD: usize = 48 << 20;
/// What is held of a text then.
const LITTLE: usize = 512;
/// Of a name.
const LONGEST_NAME: usize = 2000;

/// The first event says who speaks.
fn is(file: &Beginning<'_>) -> bool {
    file.text.lines().take(200).any(|line| {
        let line = line.trim_start();
        line.starts_with(['{', '['])
            && line.contains("\"protocolVersion\"")
            && line.contains("\"runnerVersion\"")
    }) || is_indented(file.text)
}

/// The same with a member a line.
fn is_indented(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with('[')
        && json_stream::has_key(text, 2, "protocolVersion")
        && json_stream::has_key(text, 2, "runnerVersion")
}

/// Any event.
#[derive(Default)]
struct Event {
    kind: String,
    milliseconds: Option<f64>,
    suite: Thing,
    group: Thing,
    test: Thing,
    test_id: Option<u64>,
    result: String,
    skipped: bool,
    hidden: bool,
    error: String,
    stack: String,
    message: String,
    message_type: String,
    success: Option<bool>,
}

/// A suite, group or test.
#[derive(Default)]
struct Thing {
    id: Option<u64>,
    /// The path of a suite.
    name: String,
    suite: Option<u64>,
    groups: Vec<u64>,
    reason: String,
    url: Option<String>,
    line: Option<u32>,
    /// Where the file of the suite is concerned, if the other place is elsewhere.
    root_url: Option<String>,
    root_line: Option<u32>,
}

fn text<'de, D: Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    Ok(take::<Text, D>(value)?.0.unwrap_or_default())
}

fn line<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u32>, D::Error> {
    let line = take::<Number, D>(value)?.0;
    Ok(line
        .and_then(|line| line.try_into().ok())
        .filter(|line| *line > 0))
}

impl Node for Event {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        match key {
            "type" => self.kind = text(value)?,
            "time" => self.milliseconds = take::<Decimal, _>(value)?.0,
            "suite" => walk(&mut self.suite, value)?,
            "group" => walk(&mut self.group, value)?,
            "test" => walk(&mut self.test, value)?,
            "testID" => self.test_id = take::<Number, _>(value)?.0,
            "result" => self.result = text(value)?,
            "skipped" => self.skipped = take::<Flag, _>(value)?.0,
            "hidden" => self.hidden = take::<Flag, _>(value)?.0,
            "error" => self.error = text(value)?,
            "stackTrace" => self.stack = text(value)?,
            "message" => self.message = text(value)?,
            "messageType" => self.message_type = text(value)?,
            "success" => self.success = take::<Perhaps, _>(value)?.0,
            _ => skip(value)?,
        }
        Ok(())
    }
}

impl Node for Thing {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        match key {
            "id" => self.id = take::<Number, _>(value)?.0,
            "name" | "path" => self.name = text(value)?,
            "suiteID" => self.suite = take::<Number, _>(value)?.0,
            "groupIDs" => walk(&mut Numbers(&mut self.groups), value)?,
            "metadata" => self.reason = take::<Metadata, _>(value)?.0,
            "url" => self.url = take::<Text, _>(value)?.0,
            "line" => self.line = line(value)?,
            "root_url" => self.root_url = take::<Text, _>(value)?.0,
            "root_line" => self.root_line = line(value)?,
            _ => skip(value)?,
        }
        Ok(())
    }
}

/// True, false, or null.
#[derive(Default)]
struct Perhaps(Option<bool>);

impl Node for Perhaps {
    fn flag(&mut self, flag: bool) {
        self.0 = Some(flag);
    }
}

struct Numbers<'a>(&'a mut Vec<u64>);

impl Node for Numbers<'_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, at: usize, value: D) -> Result<(), D::Error> {
        let number = take::<Number, _>(value)?.0.filter(|_| at < 256);
        self.0.extend(number);
        Ok(())
    }
}

/// Why it is skipped.
#[derive(Default)]
struct Metadata(String);

impl Node for Metadata {
    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D) -> Result<(), D::Error> {
        match key {
            "skipReason" => self.0 = text(value)?,
            _ => skip(value)?,
        }
        Ok(())
    }
}

/// A test that runs.
struct Running {
    name: String,
    suite: Option<u64>,
    group: Option<u64>,
    place: Option<Place>,
    reason: String,
    started: Option<f64>,
    /// The first error.
    message: String,
    errors: Excerpt,
    prints: Excerpt,
}

/// How all of it ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Missing,
    Stopped,
    Failed,
    Passed,
}

struct Dart<'a, 'b> {
    found: &'a mut Found<'b>,
    /// Paths and names by number.
    suites: HashMap<u64, String>,
    groups: HashMap<u64, String>,
    /// In order, so that the same file is the same report.
    running: BTreeMap<u64, Running>,
    held: usize,
    left_out: bool,
    red: bool,
    end: End,
}

fn read(mut source: Source<&mut dyn Read>, found: &mut Found<'_>) {
    let limits = found.limits;
    let mut notes = Vec::new();
    let mut dart = Dart {
        found,
        suites: HashMap::new(),
        groups: HashMap::new(),
        running: BTreeMap::new(),
        held: 0,
        left_out: false,
        red: false,
        end: End::Missing,
    };
    // Flutter's own events are arrays of one element, a line each.
    let is_array = source.peek(300).is_ok_and(|ahead| {
        let ahead = String::from_utf8_lossy(ahead);
        ahead.trim_start().starts_with('[') && !ahead.contains("\"event\"")
    });
    let end = if is_array {
        notes.extend(json_stream::read(source, limits.details, &mut dart));
        (1, 1)
    } else {
        let mut lines = Lines::new(source, limits.longest);
        let mut plain = false;
        while lines.read() {
            let line = lines.line().trim();
            if line.is_empty() || line.starts_with('[') {
                continue;
            }
            if !is_object(line) {
                if !plain {
                    plain = true;
                    let text = "a line that is no JSON; it is passed over";
                    notes.push(Diagnostic::warning(lines.place(), text));
                }
                continue;
            }
            let wrong = if lines.is_cut() {
                let most = limits.longest >> 20;
                Some((1, format!("a line is longer than {most} MiB")))
            } else {
                object(line).map(|event| dart.take(event)).err()
            };
            if let Some((column, text)) = wrong
                && notes.len() < MOST_NOTES
            {
                let (line, first) = lines.place();
                notes.push(Diagnostic::error((line, first + column - 1), text));
            }
        }
        let end = lines.end();
        notes.extend(lines.faults());
        end
    };
    if let Some(text) = dart.end() {
        notes.push(Diagnostic::error(end, text));
    }
    found.notes.extend(notes);
}

impl Node for Dart<'_, '_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, _: usize, value: D) -> Result<(), D::Error> {
        let event = take(value)?;
        self.take(event);
        Ok(())
    }
}

impl Dart<'_, '_> {
    fn take(&mut self, event: Event) {
        match event.kind.as_str() {
            "suite" => self.learn(&event.suite, |dart| &mut dart.suites),
            "group" => self.learn(&event.group, |dart| &mut dart.groups),
            "testStart" => self.start(event.test, event.milliseconds),
            "print" => self.print(&event),
            "error" => self.error(&event),
            "testDone" => self.test_done(&event),
            "done" => {
                self.end = match event.success {
                    Some(true) => End::Passed,
                    Some(false) => End::Failed,
                    None => End::Stopped,
                }
            }
            _ => {}
        }
    }

    fn learn(&mut self, thing: &Thing, of: impl Fn(&mut Self) -> &mut HashMap<u64, String>) {
        let is_full = of(self).len() >= MOST_KNOWN || self.held > 2 * MOST_HELD;
        let Some(id) = thing.id.filter(|_| !is_full) else {
            return;
        };
        let name = shorten::chars(&thing.name, LONGEST_NAME).into_owned();
        self.held += name.len() + 50;
        of(self).insert(id, name);
    }

    fn start(&mut self, test: Thing, started: Option<f64>) {
        let Some(id) = test.id else { return };
        if self.running.len() >= MOST_KNOWN || self.held > 2 * MOST_HELD {
            self.left_out = true;
            return;
        }
        let place = |url: Option<String>, line| url.map(|path| Place { path, line });
        let running = Running {
            name: shorten::chars(&test.name, LONGEST_NAME).into_owned(),
            suite: test.suite,
            group: test.groups.last().copied(),
            place: place(test.root_url, test.root_line).or_else(|| place(test.url, test.line)),
            reason: test.reason,
            started,
            message: String::new(),
            errors: Excerpt::default(),
            prints: Excerpt::default(),
        };
        self.held += running.bytes();
        self.running.insert(id, running);
    }

    /// Adds to a test that runs. Says whether it does.
    fn add(&mut self, id: Option<u64>, add: impl FnOnce(&mut Running, usize)) -> bool {
        let room = if self.held < MOST_HELD {
            self.found.limits.details
        } else {
            LITTLE
        };
        let Some(running) = id.and_then(|id| self.running.get_mut(&id)) else {
            return false;
        };
        let before = running.bytes();
        add(running, room);
        self.held = (self.held + running.bytes()).saturating_sub(before);
        true
    }

    fn print(&mut self, event: &Event) {
        self.add(event.test_id, |running, room| {
            if event.message_type == "skip" && running.reason.is_empty() {
                let reason = event.message.strip_prefix("Skip:");
                let reason = reason.unwrap_or_default().trim();
                reason.clone_into(&mut running.reason);
            } else {
                running.prints.push(&event.message, room);
                running.prints.push("\n", room);
            }
        });
    }

    fn error(&mut self, event: &Event) {
        let stack = places(&event.stack);
        let most = self.found.limits.message;
        let is_known = self.add(event.test_id, |running, room| {
            if running.message.is_empty() {
                running.message = shorten::head_and_tail(&event.error, most).into_owned();
            } else {
                running.errors.push(&format!("\n{}\n", event.error), room);
            }
            running.errors.push(&stack, room);
        });
        if !is_known {
            // It came when the test had ended, or it is nobody's.
            self.made_up(&event.error, &stack);
        }
    }

    fn test_done(&mut self, event: &Event) {
        let Some(running) = event.test_id.and_then(|id| self.running.remove(&id)) else {
            return;
        };
        self.held = self.held.saturating_sub(running.bytes());
        let outcome = match event.result.as_str() {
            "success" if event.skipped => Outcome::Skipped,
            "success" => Outcome::Passed,
            "failure" => Outcome::Failed,
            _ => Outcome::Error,
        };
        if !event.hidden || outcome.is_red() {
            let seconds = event
                .milliseconds
                .zip(running.started)
                .map(|(end, start)| ((end - start) / 1000.0).max(0.0));
            self.give(running, outcome, seconds);
        }
    }

    fn give(&mut self, running: Running, outcome: Outcome, seconds: Option<f64>) {
        let group = running
            .group
            .and_then(|group| self.groups.get(&group))
            .filter(|group| !group.is_empty());
        let file = running.suite.and_then(|suite| self.suites.get(&suite));
        let file = file.map(|path| file_name(path));
        // The name begins with those of all groups.
        let name = group
            .and_then(|group| running.name.strip_prefix(group.as_str()))
            .map_or(running.name.as_str(), str::trim_start);
        let (mut message, mut details) = (running.message, running.errors.into_text());
        if message.starts_with("Test failed. See exception logs above") {
            let prints = running.prints.into_text();
            if let Some(text) = thrown(&prints) {
                text.clone_into(&mut message);
            }
            details = format!("{prints}{details}");
        }
        let is_red = outcome.is_red();
        self.red |= is_red;
        let Found {
            limits,
            tests,
            runs,
            ..
        } = &mut *self.found;
        let suite = group.map(std::slice::from_ref).unwrap_or_default();
        let case = Case {
            suite,
            class: file,
            name,
            outcome,
            duration_seconds: seconds,
            message: match outcome {
                Outcome::Skipped => &running.reason,
                Outcome::Passed => "",
                _ => &message,
            },
            details: if is_red { &details } else { "" },
            hints: Hints {
                case: running.place.filter(|_| is_red),
                suite: file.filter(|_| is_red).map(|path| Place {
                    path: path.to_owned(),
                    line: None,
                }),
                ..Hints::default()
            },
            ..Case::default()
        };
        tests.add(case, limits, runs);
    }

    fn made_up(&mut self, message: &str, details: &str) {
        self.red = true;
        let Found {
            limits,
            tests,
            runs,
            ..
        } = &mut *self.found;
        let case = Case {
            name: "(suite)",
            outcome: Outcome::Error,
            made_up: true,
            message,
            details,
            ..Case::default()
        };
        tests.add(case, limits, runs);
    }

    /// The file ends: says what is wrong with that.
    fn end(&mut self) -> Option<&'static str> {
        for (_, mut running) in std::mem::take(&mut self.running) {
            if running.message.is_empty() {
                "the test began and did not end".clone_into(&mut running.message);
            }
            // Hidden ones are not known to be before they end.
            if !running.name.starts_with("loading ") {
                self.give(running, Outcome::Error, None);
            }
        }
        if self.left_out {
            return Some("too many tests run at one time; some are left out");
        }
        match self.end {
            End::Missing => Some("the file ends before the tests do"),
            End::Stopped => Some("the tests were stopped"),
            End::Failed if !self.red => {
                self.made_up("the tests failed, and none of them did", "");
                None
            }
            End::Failed | End::Passed => None,
        }
    }
}

impl Running {
    fn bytes(&self) -> usize {
        200 + self.name.len()
            + self.reason.len()
            + self.message.len()
            + self.errors.len()
            + self.prints.len()
            + self.place.as_ref().map_or(0, |place| place.path.len())
    }
}

/// Frames as others write them: `a_test.dart 21:7  main.<fn>` becomes `a_test.dart:21:7  main.<fn>`.
fn places(stack: &str) -> String {
    let mut text = String::with_capacity(stack.len());
    for line in stack.lines() {
        let is_place = |place: &str| {
            place.split(':').all(|number| {
                !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
            })
        };
        let parts = line
            .split_once(".dart ")
            .filter(|(_, rest)| is_place(rest.split(' ').next().unwrap_or_default()));
        match parts {
            Some((path, rest)) => {
                text.push_str(path);
                text.push_str(".dart:");
                text.push_str(rest);
            }
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// What Flutter prints of an exception: the lines between these two.
fn thrown(prints: &str) -> Option<&str> {
    let (_, rest) = prints.split_once(" was thrown running a test:\n")?;
    let (text, _) = rest.split_once("\n\n").unwrap_or((rest, ""));
    let (text, _) = text
        .split_once("\nWhen the exception was thrown")
        .unwrap_or((text, ""));
    Some(text.trim()).filter(|text| !text.is_empty())
}

/// The path of a file of tests without the folders of the machine, which Flutter writes.
fn file_name(path: &str) -> &str {
    let is_absolute = path.starts_with('/') || path.get(1..3) == Some(":\\");
    if !is_absolute {
        return path;
    }
    [
        "/integration_test/",
        "/test/",
        "\\integration_test\\",
        "\\test\\",
    ]
    .iter()
    .find_map(|folder| path.rfind(folder))
    .and_then(|at| path.get(at + 1..))
    .unwrap_or(path)
}

#[cfg(test)]
#[path = "dart_tests.rs"]
mod tests;
