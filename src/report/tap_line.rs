//! The grammar of a line of TAP, and what blocks of diagnosis say.
//!
//! The specifications (testanything.org, 12 to 14) say what directives look like; durations,
//! braces and the keys of the blocks are those of bats, node:test, node-tap, vitest, tape, AVA,
//! `QUnit` and `Test::More`.

use std::borrow::Cow;

use super::case::seconds;
use super::model::Place;

/// What a line is, its indentation apart.
#[derive(Debug, PartialEq)]
pub(super) enum Line<'a> {
    /// `TAP version 14`
    Version,
    /// `1..4`, perhaps with a reason why there is nothing.
    Plan(u64, Option<&'a str>),
    /// `ok` or `not ok`.
    Point(Point<'a>),
    /// `Bail out!` and why.
    Bail(&'a str),
    /// `# Subtest: ` and its name.
    Subtest(&'a str),
    /// Any other comment.
    Comment(&'a str),
    /// `---`, which begins a block.
    Block,
    /// `{` alone: what follows belongs to the point before.
    Open,
    /// `}`
    Close,
    /// Anything else.
    Other,
}

/// A test point.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point<'a> {
    pub(super) ok: bool,
    pub(super) number: Option<u64>,
    /// Without its escapes.
    pub(super) name: Cow<'a, str>,
    /// How it crashed and where, which Criterion writes behind the name.
    pub(super) crash: Option<&'a str>,
    pub(super) directive: Option<Directive>,
    /// The reason of the directive.
    pub(super) reason: &'a str,
    pub(super) seconds: Option<f64>,
    /// Whether its subtests follow.
    pub(super) opens: bool,
}

/// Why a point counts otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Directive {
    Skip,
    Todo,
}

/// Reads a line that has no space around it.
pub(super) fn line(text: &str) -> Line<'_> {
    if let Some(comment) = text.strip_prefix('#') {
        let comment = comment.strip_prefix(' ').unwrap_or(comment);
        return match comment.strip_prefix("Subtest:") {
            Some(name) => Line::Subtest(name.trim()),
            None => Line::Comment(comment),
        };
    }
    match text {
        "---" => return Line::Block,
        "{" => return Line::Open,
        "}" => return Line::Close,
        _ => {}
    }
    if let Some(version) = text.strip_prefix("TAP version ")
        && version.parse::<u32>().is_ok()
    {
        return Line::Version;
    }
    if let Some(reason) = text.strip_prefix("Bail out!") {
        return Line::Bail(reason.trim());
    }
    if let Some((last, reason)) = plan(text) {
        return Line::Plan(last, reason);
    }
    point(text).map_or(Line::Other, Line::Point)
}

/// `1..4`, `1..0 # SKIP reason`
fn plan(text: &str) -> Option<(u64, Option<&str>)> {
    let rest = text.strip_prefix("1..")?;
    let end = rest
        .find(|char: char| !char.is_ascii_digit())
        .unwrap_or(rest.len());
    let (number, rest) = rest.split_at_checked(end)?;
    let number = number.parse().ok()?;
    let rest = rest.trim();
    if rest.is_empty() {
        return Some((number, None));
    }
    let comment = rest.strip_prefix('#')?.trim();
    let reason = match directive(comment) {
        Some((Directive::Skip, reason)) => reason,
        _ => comment,
    };
    Some((number, Some(reason)))
}

fn point(text: &str) -> Option<Point<'_>> {
    let (ok, rest) = match text.strip_prefix("not ok") {
        Some(rest) => (false, rest),
        None => (true, text.strip_prefix("ok")?),
    };
    if !rest.is_empty() && !rest.starts_with(char::is_whitespace) {
        return None;
    }
    let rest = rest.trim();
    let end = rest
        .find(|char: char| !char.is_ascii_digit())
        .unwrap_or(rest.len());
    let (digits, behind) = rest.split_at_checked(end)?;
    let number = digits
        .parse()
        .ok()
        .filter(|_| behind.is_empty() || behind.starts_with(char::is_whitespace));
    let mut name = if number.is_some() { behind } else { rest }.trim();
    name = match name.strip_prefix('-') {
        Some(rest) if rest.is_empty() || rest.starts_with(' ') => rest.trim(),
        _ => name,
    };
    let opens = name == "{" || name.ends_with(" {");
    if opens {
        name = name.strip_suffix('{').unwrap_or(name).trim_end();
    }
    let mut time = None;
    (name, time) = timed(name).map_or((name, time), |(name, time)| (name, Some(time)));
    let mut point = Point {
        ok,
        number,
        name: Cow::Borrowed(""),
        crash: None,
        directive: None,
        reason: "",
        seconds: time,
        opens,
    };
    if let Some((before, kind, reason)) = directed(name) {
        point.directive = Some(kind);
        // What mocha writes where it knows none.
        point.reason = if reason == "-" { "" } else { reason };
        name = before;
        if let Some((before, time)) = timed(name) {
            name = before;
            point.seconds = Some(time);
        }
    }
    if let Some(at) = name.find(" unexpected signal after ").filter(|_| !ok) {
        let (before, crash) = name.split_at_checked(at)?;
        (name, point.crash) = (before, Some(crash.trim()));
    }
    point.name = unescape(name);
    Some(point)
}

/// A description, the directive in it, and its reason.
fn directed(text: &str) -> Option<(&str, Directive, &str)> {
    text.match_indices('#').find_map(|(at, _)| {
        let before = text.get(..at)?;
        if !before.is_empty() && !before.ends_with(char::is_whitespace) {
            return None;
        }
        let (kind, reason) = directive(text.get(at + 1..)?)?;
        Some((before.trim_end(), kind, reason))
    })
}

/// `SKIP reason`, in whatever case.
fn directive(text: &str) -> Option<(Directive, &str)> {
    let text = text.trim();
    let end = text
        .find(|char: char| !char.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (word, reason) = text.split_at_checked(end)?;
    let kind = match word.to_ascii_lowercase().as_str() {
        "skip" | "skipped" => Directive::Skip,
        "todo" => Directive::Todo,
        _ => return None,
    };
    Some((kind, reason.trim_start_matches(':').trim()))
}

/// A description with a duration behind it: `# time=7.37ms`, `# in 10 ms`, `(0.02s)`.
fn timed(text: &str) -> Option<(&str, f64)> {
    if let Some((before, time)) = text
        .strip_suffix("s)")
        .and_then(|text| text.rsplit_once(" ("))
    {
        return Some((before.trim_end(), seconds(time)?));
    }
    let (before, after) = text.rsplit_once('#')?;
    let after = after.trim();
    let time = after
        .strip_prefix("time=")
        .or_else(|| after.strip_prefix("in "))?;
    let time = match time.strip_suffix("ms") {
        Some(time) => seconds(time)? / 1000.0,
        None => seconds(time.strip_suffix("sec").unwrap_or(time))?,
    };
    Some((before.trim_end(), time))
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let escaped = chars.next_if(|next| char == '\\' && matches!(next, '#' | '\\'));
        plain.push(escaped.unwrap_or(char));
    }
    Cow::Owned(plain)
}

/// What a block says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Diagnosis {
    pub(super) message: String,
    /// The block without what is said elsewhere.
    pub(super) details: String,
    /// Where it failed, when that has keys of its own.
    pub(super) place: Option<Place>,
    /// Where the test is.
    pub(super) case: Option<Place>,
    pub(super) seconds: Option<f64>,
}

/// Reads a block, which is YAML or nearly so: texts that are not indented occur.
pub(super) fn diagnosis(block: &str) -> Diagnosis {
    let mut found = Diagnosis::default();
    let (mut error, mut stack) = (String::new(), String::new());
    let (mut file, mut number) = (None, None);
    let mut above = "";
    let mut lines = block.lines().peekable();
    while let Some(line) = lines.next() {
        let entry = entry(line);
        let keeps = !entry.is_some_and(|(indent, key, _)| {
            indent == 0 && matches!(key, "duration_ms" | "location")
        });
        if keeps {
            found.details.push_str(line);
            found.details.push('\n');
        }
        let Some((indent, key, value)) = entry else {
            continue;
        };
        if indent == 0 {
            above = key;
        }
        let mut value = Cow::Borrowed(value);
        if value.starts_with(['|', '>']) {
            let mut text = String::new();
            while let Some(line) = lines.next_if(|next| {
                next.trim().is_empty() || next.len() - next.trim_start().len() > indent
            }) {
                // QUnit's messages have a frame that is not the innermost; the stack has them all.
                let is_frame = key == "message" && line.trim_start().starts_with("at ");
                if keeps && !is_frame {
                    found.details.push_str(line);
                    found.details.push('\n');
                }
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(line.trim());
            }
            value = Cow::Owned(text);
        } else if let Some(mark) = value
            .chars()
            .next()
            .filter(|char| matches!(char, '"' | '\''))
        {
            let mut text = value.get(1..).unwrap_or_default().to_owned();
            while !is_ended(&text, mark)
                && let Some(line) = lines.next()
            {
                found.details.push_str(line);
                found.details.push('\n');
                text.push('\n');
                text.push_str(line.trim());
            }
            value = Cow::Owned(unquoted(&text, mark));
        }
        let value = value.trim();
        let within = if indent == 0 { "" } else { above };
        match (within, key) {
            ("", "message") if found.message.is_empty() => value.clone_into(&mut found.message),
            ("", "error") | ("error", "message") if error.is_empty() => {
                value.clone_into(&mut error);
            }
            ("", "stack") if stack.is_empty() => {
                value
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .clone_into(&mut stack);
            }
            ("", "duration_ms") => {
                found.seconds = seconds(value).map(|milliseconds| milliseconds / 1000.0);
            }
            ("", "location") => found.case = place(value),
            ("" | "at", "file" | "fileName") if file.is_none() => {
                file = Some(value.to_owned()).filter(|file| !file.is_empty());
            }
            ("" | "at", "line" | "lineNumber") if number.is_none() => number = value.parse().ok(),
            _ => {}
        }
    }
    for other in [error, stack] {
        if found.message.is_empty() {
            found.message = other;
        }
    }
    found.place = file.map(|path| Place { path, line: number });
    found
}

/// `  key: value`, and how far it is indented.
fn entry(line: &str) -> Option<(usize, &str, &str)> {
    let text = line.trim_start();
    let (key, value) = text.split_once(':')?;
    let key = key.trim_end().trim_matches(['"', '\'']);
    let is_key = !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let is_entry = is_key && (value.is_empty() || value.starts_with(' '));
    is_entry.then(|| (line.len() - text.len(), key, value.trim()))
}

/// Whether a text in quotation marks has its second one.
fn is_ended(text: &str, mark: char) -> bool {
    let escapes = text
        .strip_suffix(mark)
        .map(|text| text.bytes().rev().take_while(|byte| *byte == b'\\'));
    escapes.is_some_and(|escapes| mark == '\'' || escapes.count() % 2 == 0)
}

fn unquoted(text: &str, mark: char) -> String {
    let text = text.strip_suffix(mark).unwrap_or(text);
    if mark == '"' {
        text.replace("\\\"", "\"").replace("\\\\", "\\")
    } else {
        text.replace("''", "'")
    }
}

/// `path:line:column`
fn place(text: &str) -> Option<Place> {
    let (rest, last) = text.rsplit_once(':')?;
    let last = last.parse().ok()?;
    let (path, line) = match rest.rsplit_once(':') {
        Some((path, line)) => line.parse().map_or((rest, last), |line| (path, line)),
        None => (rest, last),
    };
    Some(Place {
        path: path.to_owned(),
        line: Some(line),
    })
}

/// The place in a text of `Test::More` (`at t/x.t line 12.`) or bats (`(in test file x.bats, line
/// 12)`, the innermost first), which other tools do not write so.
pub(super) fn place_in_words(text: &str) -> Option<Place> {
    text.lines().take(50).find_map(|line| {
        let line = line.trim();
        let (before, after) = line.rsplit_once("line ")?;
        let digits = after.trim_end_matches([')', ',', '.']);
        let number = digits.parse().ok().filter(|number| *number > 0)?;
        let path = match before.trim_end().strip_suffix(',') {
            Some(before) => before.rsplit_once(" file ").map(|(_, path)| path)?,
            None if line.starts_with("at ") => before.strip_prefix("at ")?,
            None if line.starts_with("Failed ") => {
                before.rsplit_once(" at ").map(|(_, path)| path)?
            }
            None => return None,
        };
        Some(Place {
            path: path.trim().to_owned(),
            line: Some(number),
        })
    })
}

/// The first line of a text that says more than where it is.
pub(super) fn first_words(text: &str) -> &str {
    text.lines()
        .map(str::trim)
        .find(|line| {
            !line.is_empty()
                && ![
                    "Failed test",
                    "Failed (TODO)",
                    "at ",
                    "(in ",
                    "(from ",
                    "in test file ",
                ]
                .iter()
                .any(|start| line.starts_with(start))
        })
        .unwrap_or_default()
}
