//! TAP, the Test Anything Protocol, versions 12 to 14.
//!
//! The cases are the leaves: a point that sums up subtests is one only where it failed and none
//! of them did. What a failure is comes behind its point: as a block of YAML, as comments
//! (`Test::More`, bats), or indented (mocha). A plan that is not fulfilled, a missing plan, and
//! `Bail out!` are errors: tests may be missing. All other lines are what the tests print.

use std::io::Read;

use super::case::Case;
use super::collect::{Beginning, Format, Found};
use super::excerpt::Excerpt;
use super::lines::Lines;
use super::model::{Diagnostic, Hints, Outcome, Place};
use super::source::Source;
use super::tap_line::{
    Diagnosis, Directive, Line, Point, diagnosis, first_words, line, place_in_words,
};
use crate::text::{plural, shorten};

/// TAP.
pub(super) const FORMAT: Format = Format {
    name: "tap",
    is,
    read,
};

/// More than this of a line says nothing.
const LONGEST_LINE: usize = 64 << 10;
/// More than this about one file helps nobody.
const MOST_NOTES: usize = 20;
/// How deep subtests may be.
const DEEPEST: usize = 64;
/// How far subtests are indented.
const INDENT: usize = 4;
/// Bytes of failures that wait for the word of the test around them.
const MOST_WAITING: usize = 4 << 20;
/// The lines among which a plan or a test point is looked for.
const FIRST_LINES: usize = 200;

/// A version anywhere, or a plan or a numbered test point in the first lines: `ok` alone is said
/// by many a program.
fn is(file: &Beginning<'_>) -> bool {
    let text = file.text.trim_start();
    if text.starts_with(['{', '<']) {
        return false;
    }
    let is_first = |(at, text): (usize, &str)| match line(text.trim_end()) {
        Line::Version => true,
        Line::Plan(..) => at < FIRST_LINES,
        Line::Point(point) => at < FIRST_LINES && point.number.is_some(),
        _ => false,
    };
    file.text.lines().enumerate().any(is_first)
}

fn read(source: Source<&mut dyn Read>, found: &mut Found<'_>) {
    let mut lines = Lines::new(source, LONGEST_LINE);
    let mut tap = Tap::new(found);
    while lines.read() {
        tap.line(lines.line());
        tap.note(|| lines.place());
    }
    tap.end();
    tap.note(|| lines.end());
    found.notes.extend(lines.faults());
}

/// The document, or a subtest.
#[derive(Default)]
struct Level {
    indent: usize,
    /// Whether its name is on the path.
    is_named: bool,
    /// The name of the test that comes next.
    announced: Option<String>,
    plan: Option<u64>,
    points: u64,
    /// A test in it failed.
    red: bool,
    /// How many failures waited when it began.
    waiting: usize,
    /// The subtest that has ended, whose point comes next.
    child: Option<Child>,
    /// The point whose subtests are read.
    parent: Option<Pending>,
}

/// A subtest that has ended.
struct Child {
    points: u64,
    red: bool,
    waiting: usize,
}

/// A test point, and what follows it.
struct Pending {
    name: String,
    ok: bool,
    directive: Option<Directive>,
    reason: String,
    seconds: Option<f64>,
    opens: bool,
    /// Whether it is more than the sum of its subtests.
    is_case: bool,
    /// Comments and indented lines.
    words: Excerpt,
    block: Excerpt,
    reading: Reading,
}

/// How much has been read of what follows a point.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Words,
    /// A block that is indented so far.
    Block(usize),
    /// Comments are about something else from here on.
    Complete,
}

/// A failure within a subtest: if that turns out to be expected, so is this.
struct Waiting {
    path: Vec<String>,
    name: String,
    seconds: Option<f64>,
    message: String,
    details: String,
    hints: Hints,
}

struct Tap<'a, 'b> {
    found: &'a mut Found<'b>,
    /// The document or subtest that is read, and those around it.
    level: Level,
    above: Vec<Level>,
    path: Vec<String>,
    pending: Option<Pending>,
    waiting: Vec<Waiting>,
    waiting_bytes: usize,
    /// Somebody has given up, so plans are of no interest.
    bailed: bool,
    /// What there is to say about the line, and whether it is an error.
    said: Vec<(bool, String)>,
}

impl<'a, 'b> Tap<'a, 'b> {
    fn new(found: &'a mut Found<'b>) -> Self {
        Self {
            found,
            level: Level::default(),
            above: Vec::new(),
            path: Vec::new(),
            pending: None,
            waiting: Vec::new(),
            waiting_bytes: 0,
            bailed: false,
            said: Vec::new(),
        }
    }

    fn note(&mut self, place: impl Fn() -> (u64, u64)) {
        for (is_error, text) in self.said.drain(..) {
            if self.found.notes.len() < MOST_NOTES {
                self.found.notes.push(if is_error {
                    Diagnostic::error(place(), text)
                } else {
                    Diagnostic::warning(place(), text)
                });
            }
        }
    }

    fn complain(&mut self, text: impl Into<String>) {
        self.said.push((true, text.into()));
    }

    fn line(&mut self, text: &str) {
        let body = text.trim();
        let indent = text.len() - text.trim_start().len();
        let line = line(body);
        if self.is_in_block(text, indent, &line) {
            return;
        }
        match line {
            Line::Version if self.enter(indent, None) => {
                if self.above.is_empty() {
                    self.begin_again();
                }
            }
            Line::Plan(last, reason) if self.enter(indent, None) => self.plan(last, reason),
            Line::Point(point) if self.enter(indent, None) => self.point(&point),
            Line::Subtest(name) => self.subtest(indent, name),
            Line::Bail(reason) => {
                self.flush();
                self.bailed = true;
                self.complain(format!(
                    "the tests gave up: {}",
                    shorten::chars(reason, 300)
                ));
            }
            Line::Block if self.begins_block(indent) => {}
            Line::Comment(comment) => self.words(indent, comment, true),
            Line::Open => {
                if let Some(pending) = &mut self.pending {
                    pending.opens = true;
                }
            }
            Line::Close => {
                self.enter_level(indent);
            }
            _ => self.words(indent, body, false),
        }
    }

    /// Ends the subtests that are deeper than this. Says whether there is one as deep.
    fn enter_level(&mut self, indent: usize) -> bool {
        let is_known = |level: &Level| level.indent == indent;
        if !is_known(&self.level) && !self.above.iter().any(is_known) {
            return false;
        }
        while self.level.indent > indent {
            self.close();
        }
        true
    }

    /// Goes to where a line of the protocol belongs; it may be the first of a subtest.
    fn enter(&mut self, indent: usize, name: Option<&str>) -> bool {
        if self.enter_level(indent) {
            return true;
        }
        if indent != self.level.indent + INDENT || self.above.len() >= DEEPEST {
            return false;
        }
        let parent = self.pending.take_if(|pending| pending.opens);
        self.flush();
        let name = self
            .level
            .announced
            .take()
            .or_else(|| parent.as_ref().map(|parent| parent.name.clone()))
            .or_else(|| name.map(short));
        self.level.parent = parent;
        let level = Level {
            indent,
            is_named: name.is_some(),
            waiting: self.waiting.len(),
            ..Level::default()
        };
        self.path.extend(name);
        self.above.push(std::mem::replace(&mut self.level, level));
        true
    }

    fn subtest(&mut self, indent: usize, name: &str) {
        // Old versions of Test::More have the comment within the subtest.
        let is_within = indent == self.level.indent + INDENT
            && self.level.announced.is_none()
            && self.pending.as_ref().is_none_or(|pending| !pending.opens);
        if self.enter(indent, Some(name)) && !is_within {
            self.flush();
            self.level.announced = Some(short(name));
            self.level.child = None;
        }
    }

    /// The subtest that is read has ended.
    fn close(&mut self) {
        self.flush();
        let Some(above) = self.above.pop() else {
            return;
        };
        let level = std::mem::replace(&mut self.level, above);
        if level.is_named {
            self.path.pop();
        }
        self.check(&level);
        let child = Child {
            points: level.points,
            red: level.red || level.child.is_some_and(|child| child.red),
            waiting: level.waiting,
        };
        match self.level.parent.take() {
            Some(parent) => self.settle(parent, &child),
            None => self.level.child = Some(child),
        }
    }

    /// Whether the plan of a subtest is fulfilled.
    fn check(&mut self, level: &Level) {
        if let Some(plan) = level.plan
            && plan != level.points
            && !self.bailed
        {
            let points = plural(level.points, "test point");
            self.complain(format!("the plan is 1..{plan}, and there are {points}"));
        }
    }

    /// The document has ended; one more may follow.
    fn begin_again(&mut self) {
        self.flush();
        while !self.above.is_empty() {
            self.close();
        }
        let level = std::mem::take(&mut self.level);
        if level.plan.is_none() && level.points > 0 && !self.bailed {
            self.complain("there is no plan, so tests may be missing");
        }
        self.check(&level);
        self.release();
    }

    fn end(&mut self) {
        if let Some(pending) = &self.pending
            && matches!(pending.reading, Reading::Block(_))
        {
            self.complain("the file ends inside of a block");
        }
        let is_empty = self.level.points == 0 && self.level.plan.is_none();
        if is_empty && self.above.is_empty() && !self.bailed {
            self.complain("there is no plan, so tests may be missing");
        }
        self.begin_again();
    }

    fn plan(&mut self, last: u64, reason: Option<&str>) {
        self.flush();
        if let Some(plan) = self.level.plan {
            if !self.above.is_empty() || plan != self.level.points {
                self.complain("a second plan");
                return;
            }
            self.begin_again();
        }
        self.level.plan = Some(last);
        if last == 0 && self.above.is_empty() {
            let reason = reason.filter(|reason| !reason.is_empty());
            let text = reason.map_or_else(
                || "all tests are skipped".to_owned(),
                |reason| format!("all tests are skipped: {}", shorten::chars(reason, 300)),
            );
            self.said.push((false, text));
        }
    }

    fn point(&mut self, point: &Point<'_>) {
        self.flush();
        // Several outputs in one file, whose plans are at their ends.
        if self.above.is_empty()
            && point.number == Some(1)
            && self.level.points > 0
            && self.level.plan == Some(self.level.points)
        {
            self.begin_again();
        }
        self.level.points += 1;
        self.level.announced = None;
        let number = point.number.unwrap_or(self.level.points);
        let name = match short(&point.name) {
            name if name.is_empty() => number.to_string(),
            name => name,
        };
        let mut pending = Pending {
            name,
            ok: point.ok,
            directive: point.directive,
            reason: point.reason.to_owned(),
            seconds: point.seconds,
            opens: point.opens,
            is_case: true,
            words: Excerpt::default(),
            block: Excerpt::default(),
            reading: Reading::Words,
        };
        if let Some(child) = self.level.child.take().filter(|child| child.points > 0) {
            pending.is_case = self.is_case(&pending, &child);
        }
        self.release();
        self.pending = Some(pending);
        if let Some(crash) = point.crash {
            self.words(usize::MAX, crash, true);
        }
    }

    /// Whether a test with subtests is a case of its own; settles what the subtests said.
    fn is_case(&mut self, parent: &Pending, child: &Child) -> bool {
        if parent.directive.is_some() {
            let from = child.waiting.min(self.waiting.len());
            for case in self.waiting.split_off(from) {
                self.give(&case, Outcome::Skipped, &parent.reason);
            }
            return false;
        }
        self.level.red |= child.red;
        !parent.ok && !child.red
    }

    /// The subtests of a point that came before them have ended.
    fn settle(&mut self, parent: Pending, child: &Child) {
        if child.points == 0 || self.is_case(&parent, child) {
            self.pending = Some(parent);
            self.flush();
        }
        self.release();
    }

    fn is_in_block(&mut self, text: &str, indent: usize, line: &Line<'_>) -> bool {
        let most = self.found.limits.details;
        let Some(pending) = &mut self.pending else {
            return false;
        };
        let Reading::Block(at) = pending.reading else {
            return false;
        };
        if indent <= at && text.trim() == "..." {
            pending.reading = Reading::Complete;
            return true;
        }
        // A text may have lines that are not indented.
        let ends = match line {
            Line::Point(point) => point.number.is_some(),
            line => matches!(line, Line::Plan(..) | Line::Version | Line::Bail(_)),
        };
        if ends && indent <= self.level.indent {
            pending.reading = Reading::Complete;
            self.complain("a block does not end");
            return false;
        }
        pending
            .block
            .push(text.get(at.min(indent)..).unwrap_or(text), most);
        pending.block.push("\n", most);
        true
    }

    fn begins_block(&mut self, indent: usize) -> bool {
        let deeper = indent > self.level.indent;
        let pending = self.pending.as_mut().filter(|_| deeper);
        if let Some(pending) = pending {
            pending.reading = Reading::Block(indent);
            return true;
        }
        false
    }

    /// A comment, or a line that is none of the protocol.
    fn words(&mut self, indent: usize, text: &str, is_comment: bool) {
        let belongs = if is_comment {
            indent >= self.level.indent && !is_summary(text)
        } else {
            indent > self.level.indent
        };
        let most = self.found.limits.details;
        if let Some(pending) = &mut self.pending
            && belongs
            && pending.is_case
            && !pending.ok
            && pending.reading == Reading::Words
        {
            pending.words.push(text, most);
            pending.words.push("\n", most);
        }
    }

    /// All has been read that belongs to the last point.
    fn flush(&mut self) {
        let Some(pending) = self.pending.take().filter(|pending| pending.is_case) else {
            return;
        };
        let mut said = Diagnosis::default();
        if !pending.block.is_empty() {
            said = diagnosis(&pending.block.into_text());
        }
        let words = pending.words.into_text();
        if !words.is_empty() {
            if said.message.is_empty() {
                first_words(&words).clone_into(&mut said.message);
            }
            said.details.insert_str(0, &words);
        }
        // Without a reason it has not been written yet; with one it was expected to fail.
        let outcome = match (pending.directive, pending.ok) {
            (Some(Directive::Skip), _) | (Some(Directive::Todo), false) => Outcome::Skipped,
            (Some(Directive::Todo), true) if pending.reason.is_empty() => Outcome::Skipped,
            (_, true) => Outcome::Passed,
            (_, false) => Outcome::Failed,
        };
        let place = said.place.or_else(|| place_in_words(&said.details));
        // vitest and node-tap have a file as the outermost suite.
        let file = self.path.first().unwrap_or(&pending.name);
        let file = file.split(" > ").next().filter(|name| name.contains('.'));
        let file = file.map(|path| Place {
            path: path.to_owned(),
            line: None,
        });
        let case = Waiting {
            path: self.path.clone(),
            name: pending.name,
            seconds: pending.seconds.or(said.seconds),
            message: said.message,
            details: said.details,
            hints: Hints {
                failure: place,
                case: said.case,
                suite: file,
                ..Hints::default()
            },
        };
        if outcome == Outcome::Failed {
            self.level.red = true;
            if !self.above.is_empty() {
                return self.wait(case);
            }
        }
        self.give(&case, outcome, &pending.reason);
    }

    fn wait(&mut self, mut case: Waiting) {
        let limits = self.found.limits;
        case.message = shorten::head_and_tail(&case.message, limits.message).into_owned();
        case.details = shorten::head_and_tail(&case.details, limits.details).into_owned();
        let names: usize = case.path.iter().map(String::len).sum();
        self.waiting_bytes +=
            names + case.name.len() + case.message.len() + case.details.len() + 200;
        self.waiting.push(case);
        if self.waiting_bytes > MOST_WAITING {
            self.give_waiting();
        }
    }

    /// Nothing around the failures can excuse them any more.
    fn release(&mut self) {
        if self.above.is_empty() && self.level.child.is_none() {
            self.give_waiting();
        }
    }

    fn give_waiting(&mut self) {
        for case in std::mem::take(&mut self.waiting) {
            self.give(&case, Outcome::Failed, "");
        }
        self.waiting_bytes = 0;
        // All that will wait is within the subtests that are open.
        for level in self.above.iter_mut().chain([&mut self.level]) {
            level.waiting = 0;
            if let Some(child) = &mut level.child {
                child.waiting = 0;
            }
        }
    }

    fn give(&mut self, case: &Waiting, outcome: Outcome, reason: &str) {
        let is_red = outcome.is_red();
        let given = Case {
            suite: &case.path,
            name: &case.name,
            outcome,
            duration_seconds: case.seconds,
            message: match outcome {
                Outcome::Skipped => reason,
                Outcome::Passed => "",
                _ => &case.message,
            },
            details: if is_red { &case.details } else { "" },
            hints: if is_red {
                case.hints.clone()
            } else {
                Hints::default()
            },
            ..Case::default()
        };
        let Found {
            limits,
            tests,
            runs,
            ..
        } = &mut *self.found;
        tests.add(given, limits, runs);
    }
}

fn short(name: &str) -> String {
    shorten::chars(name, 2000).into_owned()
}

/// `# tests 4`, `# Looks like you failed 1 test of 4.`: about all tests, not the last one.
fn is_summary(comment: &str) -> bool {
    let counts = comment.split_once(' ').is_some_and(|(word, number)| {
        word.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            && number.trim().parse::<f64>().is_ok()
    });
    counts || comment.starts_with("Looks like ")
}

#[cfg(test)]
#[path = "tap_tests.rs"]
mod tests;
