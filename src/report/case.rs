//! Executions of tests as files have them, and how those of one job become tests.
//!
//! A report may have hundreds of thousands of cases that passed and say nothing else. Of these
//! only a few bytes are held where the caller wants no more.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::{BuildHasher, Hasher};
use std::num::NonZeroU16;

use foldhash::quality::FixedState;
use hashbrown::HashTable;

use super::collect::Limits;
use super::model::{Counts, Hints, Outcome, Test, Totals, test_id};
use crate::text::shorten;

/// One test case of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Case<'a> {
    /// Names of the suites around it, the outermost first.
    pub(super) suite: &'a [String],
    /// The class, module or file it belongs to.
    pub(super) class: Option<&'a str>,
    /// Its own name.
    pub(super) name: &'a str,
    /// How it ended.
    pub(super) outcome: Outcome,
    /// Executions before or after this one that did not pass and that the file tells about.
    pub(super) reruns: u32,
    /// Whether it is no test case in the file, but made from something else.
    pub(super) made_up: bool,
    /// Cases of one name and one number here are attempts at one test, though they do not say so:
    /// their tool repeats a case only when it runs it again.
    pub(super) series: Option<NonZeroU16>,
    /// In seconds.
    pub(super) duration_seconds: Option<f64>,
    /// What went wrong in short, or why it was skipped.
    pub(super) message: &'a str,
    /// The texts of the failures.
    pub(super) details: &'a str,
    /// Where it may be.
    pub(super) hints: Hints,
}

/// How many of the slowest tests are kept by name, whatever is left out.
const SLOWEST: usize = 20;

/// The tests of a job, growing case by case.
#[derive(Debug, Default)]
pub(super) struct Tests {
    all: Vec<Record>,
    /// Places in `all` by the beginning of the key.
    known: HashTable<(u32, u32)>,
    /// The names of a case in one piece.
    scratch: Vec<u8>,
    /// Whether passed and skipped tests are kept by name only where they have something to say.
    pub(super) brief: bool,
    slowest: BinaryHeap<Reverse<(u64, u32)>>,
    /// The file that is being read, where its folders can say something.
    pub(super) near: Option<String>,
    /// The cases of this file are attempts before the one that counts.
    pub(super) are_attempts: bool,
    /// Bytes of messages and details that are kept already.
    kept: usize,
    /// Cases that were left out because there are too many tests.
    pub(super) left_out: u64,
}

/// A test, as little of it as there has to be.
#[derive(Debug)]
struct Record {
    key: Key,
    runs: u32,
    outcome: Outcome,
    is_attempt: bool,
    series: Option<NonZeroU16>,
    /// Not a number where it is not known.
    seconds: f64,
    /// `None` where only its number counts.
    test: Option<Box<Test>>,
}

impl Tests {
    /// Takes a case in. The same test twice in one job is one test with the worst outcome: that
    /// a tool runs a failed test again is believed only where there is evidence of it.
    pub(super) fn add(&mut self, case: Case<'_>, limits: &Limits, counts: &mut Counts) {
        if !case.made_up {
            counts.add(case.outcome);
        }
        let key = Key::of(case.suite, case.class, case.name, &mut self.scratch);
        let known = self.known.find(key.spread(), |(short, at)| {
            *short == key.short() && self.record(*at).is_some_and(|one| one.key == key)
        });
        if let Some((_, at)) = known.copied() {
            self.join(at, case, limits);
        } else if self.all.len() >= limits.tests {
            self.left_out += 1;
        } else {
            self.insert(key, case, limits);
        }
    }

    fn record(&self, at: u32) -> Option<&Record> {
        self.all.get(usize::try_from(at).ok()?)
    }

    fn record_mut(&mut self, at: u32) -> Option<&mut Record> {
        self.all.get_mut(usize::try_from(at).ok()?)
    }

    fn insert(&mut self, key: Key, case: Case<'_>, limits: &Limits) {
        let Ok(at) = u32::try_from(self.all.len()) else {
            self.left_out += 1;
            return;
        };
        let (outcome, runs) = (case.outcome, case.reruns.saturating_add(1));
        let seconds = case.duration_seconds.unwrap_or(f64::NAN);
        let keep = !self.brief || says_something(&case) || self.is_slow(at, seconds);
        let series = case.series;
        let test = keep.then(|| Box::new(self.test(case, limits)));
        self.all.push(Record {
            key,
            runs,
            outcome,
            is_attempt: self.are_attempts,
            series,
            seconds,
            test,
        });
        self.known
            .insert_unique(key.spread(), (key.short(), at), |(short, _)| spread(*short));
    }

    /// Whether it is among the slowest so far; who was and is not any more is forgotten.
    fn is_slow(&mut self, at: u32, seconds: f64) -> bool {
        if seconds.is_nan() {
            return false;
        }
        // Not negative, so the order of the bits is that of the numbers.
        let rank = Reverse((seconds.to_bits(), at));
        if self.slowest.len() >= SLOWEST {
            if self.slowest.peek().is_some_and(|least| rank >= *least) {
                return false;
            }
            if let Some(Reverse((_, least))) = self.slowest.pop()
                && let Some(record) = self.record_mut(least)
                && record.test.as_ref().is_some_and(|test| is_plain(test))
            {
                record.test = None;
            }
        }
        self.slowest.push(rank);
        true
    }

    fn join(&mut self, at: u32, case: Case<'_>, limits: &Limits) {
        let are_attempts = self.are_attempts;
        let Some(record) = self.record_mut(at) else {
            return;
        };
        record.runs = record.runs.saturating_add(case.reruns.saturating_add(1));
        record.seconds = match (record.seconds.is_nan(), case.duration_seconds) {
            (true, seconds) => seconds.unwrap_or(f64::NAN),
            (false, seconds) => record.seconds + seconds.unwrap_or(0.0),
        };
        let (before, after) = (record.outcome, case.outcome);
        let worse = after.severity() >= before.severity();
        let (counts, retried) = match (record.is_attempt, are_attempts) {
            (true, false) => (after, before.is_red()),
            (false, true) => (before, after.is_red()),
            _ => {
                let same_series = case.series.is_some() && record.series == case.series;
                let retried = same_series && before == Outcome::Passed && after == before;
                (if worse { after } else { before }, retried)
            }
        };
        record.is_attempt &= are_attempts;
        record.outcome = counts;
        let (runs, seconds) = (record.runs, record.seconds);
        let before = record.test.take();
        if before.is_none() && !retried && !(worse && says_something(&case)) {
            return;
        }
        let mut test = self.test(case, limits);
        if let Some(mut before) = before {
            join(&mut before, test, limits);
            test = *before;
        }
        test.runs = runs;
        test.duration_seconds = Some(seconds).filter(|seconds| !seconds.is_nan());
        test.outcome = counts;
        test.flaky = (test.flaky || retried) && counts == Outcome::Passed;
        if let Some(record) = self.record_mut(at) {
            record.test = Some(Box::new(test));
        }
    }

    fn test(&mut self, case: Case<'_>, limits: &Limits) -> Test {
        // Thousands of failures with long texts must not fill the memory.
        let (message, details) = if self.kept < limits.texts {
            (limits.message, limits.details)
        } else if self.kept < limits.texts.saturating_mul(2) {
            (limits.message.min(512), limits.details.min(1024))
        } else {
            (limits.message.min(256), 0)
        };
        let mut hints = case.hints;
        if case.outcome.is_red() {
            hints.near.clone_from(&self.near);
        }
        let message = filled(case.message, message);
        let details = filled(case.details, details);
        self.kept +=
            message.as_ref().map_or(0, String::len) + details.as_ref().map_or(0, String::len);
        Test {
            id: test_id(case.suite, case.class, case.name),
            suite: case.suite.iter().map(|name| named(name, limits)).collect(),
            class: case.class.map(|class| named(class, limits)),
            name: named(case.name, limits),
            outcome: case.outcome,
            flaky: case.outcome == Outcome::Passed && case.reruns > 0,
            runs: case.reruns.saturating_add(1),
            duration_seconds: case.duration_seconds,
            message,
            details,
            location: None,
            log: None,
            hints,
        }
    }

    /// Those that are kept by name in the order in which they were first seen, and the numbers of
    /// all others.
    pub(super) fn finish(self) -> (Vec<Test>, Totals) {
        let mut others = Totals::default();
        let kept = self
            .all
            .iter()
            .filter(|record| record.test.is_some())
            .count();
        let mut tests = Vec::with_capacity(kept);
        for record in self.all {
            if let Some(test) = record.test {
                tests.push(*test);
            } else {
                let seconds = Some(record.seconds).filter(|seconds| !seconds.is_nan());
                others.add(record.outcome, record.runs, false, seconds);
            }
        }
        (tests, others)
    }
}

/// What tells tests apart while they are read: 128 bits over the names, which are quicker to have
/// than the id that people see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key([u64; 2]);

impl Key {
    /// `scratch` is memory that is used again.
    fn of(suite: &[String], class: Option<&str>, name: &str, scratch: &mut Vec<u8>) -> Self {
        scratch.clear();
        let names = suite.iter().map(String::as_str).chain(class);
        for name in names.chain([name]) {
            scratch.extend_from_slice(name.as_bytes());
            // In no name: it is not UTF-8.
            scratch.push(0xFF);
        }
        scratch.push(u8::from(class.is_some()));
        Self([1, 2].map(|seed| {
            let mut hasher = FixedState::with_seed(seed).build_hasher();
            hasher.write(scratch);
            hasher.finish()
        }))
    }

    fn short(self) -> u32 {
        let [first, _] = self.0;
        u32::try_from(first >> 32).unwrap_or_default()
    }

    fn spread(self) -> u64 {
        spread(self.short())
    }
}

/// Bits for a table that looks at both ends of them (2⁶⁴ by the golden ratio).
fn spread(short: u32) -> u64 {
    u64::from(short).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Whether there is more to it than that it passed or was skipped.
fn says_something(case: &Case<'_>) -> bool {
    case.outcome.is_red() || case.reruns > 0 || !case.message.trim().is_empty()
}

fn is_plain(test: &Test) -> bool {
    !test.outcome.is_red() && !test.flaky && test.message.is_none()
}

/// Takes in one more run of a test; several failures have all their texts.
fn join(before: &mut Test, test: Test, limits: &Limits) {
    let both_red = before.outcome.is_red() && test.outcome.is_red();
    if !both_red {
        return before.absorb(test);
    }
    let (mut details, mut other) = (before.details.take(), test.details.clone());
    if test.outcome.severity() > before.outcome.severity() {
        std::mem::swap(&mut details, &mut other);
    }
    before.absorb(test);
    before.details = match (details, other) {
        (Some(one), Some(other)) if before.runs <= 16 && one != other => {
            Some(short(&format!("{one}\n\n{other}"), limits.details))
        }
        (one, other) => one.or(other),
    };
}

fn named(name: &str, limits: &Limits) -> String {
    shorten::chars(&clean(name), limits.name).into_owned()
}

fn filled(text: &str, most: usize) -> Option<String> {
    let text = text.trim_matches(['\n', '\r']).trim_end();
    (!text.trim().is_empty() && most > 0).then(|| short(text, most))
}

fn short(text: &str, most: usize) -> String {
    shorten::head_and_tail(&clean(text), most).into_owned()
}

/// Without the one character that databases refuse.
fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{FFFD}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// More seconds are not believed.
const LONGEST: f64 = 1e9;

/// Seconds as tools write them: `1,024.12`, `0,03`, `22.2s`, `1e-05`. What is no number, not
/// finite or negative is unknown.
pub(super) fn seconds(text: &str) -> Option<f64> {
    if let Some(seconds) = decimal(text) {
        return Some(seconds).filter(|seconds| *seconds < LONGEST);
    }
    let text = text.trim();
    let text = text.strip_suffix(['s', 'S']).unwrap_or(text).trim_end();
    let plain = match (text.rfind(','), text.rfind('.')) {
        // Groups of thousands before a point, and a comma as the point.
        (Some(comma), Some(point)) if comma < point => Cow::Owned(text.replace(',', "")),
        (Some(_), Some(_)) => Cow::Owned(text.replace('.', "").replace(',', ".")),
        (Some(_), None) if text.matches(',').count() == 1 => Cow::Owned(text.replace(',', ".")),
        (Some(_), None) => Cow::Owned(text.replace(',', "")),
        _ => Cow::Borrowed(text),
    };
    plain
        .parse()
        .ok()
        .filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0 && *seconds < LONGEST)
        // Not the negative zero.
        .map(f64::abs)
}

/// A number as nearly all tools write it, at a fifth of the cost of `parse`: with at most 15 digits
/// both parts of the fraction are exact, so that the result is the nearest number too.
fn decimal(text: &str) -> Option<f64> {
    let (mut number, mut digits, mut divisor, mut point) = (0_i64, 0, 1.0, false);
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' if digits < 15 => {
                digits += 1;
                number = number * 10 + i64::from(byte - b'0');
                divisor *= if point { 10.0 } else { 1.0 };
            }
            b'.' if !point => point = true,
            _ => return None,
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "15 digits fit")]
    (digits > 0).then(|| number as f64 / divisor)
}
