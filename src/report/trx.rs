//! TRX, the XML of `VSTest` and `MSTest`.
//!
//! The class of a test is said behind all results, so these are held until then, as little of
//! each as there has to be. Of a test with rows of data, or an ordered test, the inner results
//! are the tests. That the host of the tests broke is said in `RunInfos`, and is no test.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;

use super::case::Case;
use super::collect::{Format, Found};
use super::dotnet::{Slot, Texts, clock, short_name};
use super::excerpt::Excerpt;
use super::model::Outcome;
use super::source::Source;
use super::xml::{self, Contents, Sink, Tag};
use crate::text::shorten;

/// TRX.
pub(super) const FORMAT: Format = Format {
    name: "trx",
    is: |file| {
        // CppUnit has the same root.
        file.root_is(&["TestRun"])
            && [
                "VisualStudio/TeamTest",
                "<UnitTestResult",
                "<TestDefinitions",
            ]
            .iter()
            .any(|mark| file.text.contains(mark))
    },
    read,
};

/// Bytes of names of results that are held, and of names of classes.
const MOST_NAMES: usize = 128 << 20;
const MOST_CLASSES: usize = 32 << 20;

/// The elements that are results; all but the first are of old kinds of tests.
const RESULTS: &[&str] = &[
    "UnitTestResult",
    "TestResult",
    "TestResultAggregation",
    "GenericTestResult",
    "ManualTestResult",
    "WebTestResult",
    "LoadTestResult",
];

fn read(source: Source<&mut dyn Read>, found: &mut Found<'_>) {
    let mut sink = Trx {
        found,
        open: Vec::new(),
        held: Vec::new(),
        held_bytes: 0,
        name_bytes: 0,
        slot: None,
        in_error: false,
        definition: None,
        classes: Vec::new(),
        class_bytes: 0,
        numbers: HashMap::new(),
        class_of: HashMap::new(),
        summary: String::new(),
        info: None,
        infos: Excerpt::default(),
    };
    let notes = xml::read(source, &mut sink);
    sink.finish();
    found.notes.extend(notes);
}

/// A result that is being read.
struct Open {
    id: u64,
    name: String,
    outcome: Outcome,
    seconds: Option<f64>,
    has_inner: bool,
    texts: Texts,
}

/// One that has been.
struct Held {
    id: u64,
    name: Box<str>,
    outcome: Outcome,
    seconds: Option<f64>,
    message: Box<str>,
    details: Box<str>,
}

struct Trx<'a, 'b> {
    found: &'a mut Found<'b>,
    /// The result that is read, behind those around it.
    open: Vec<Open>,
    held: Vec<Held>,
    /// Bytes of their texts.
    held_bytes: usize,
    /// Those of their names.
    name_bytes: usize,
    slot: Option<Slot>,
    /// `Message` is an element of other things too.
    in_error: bool,
    /// The id of the definition that is read.
    definition: Option<u64>,
    classes: Vec<String>,
    class_bytes: usize,
    /// Places in `classes` by name, and by the id of a test.
    numbers: HashMap<String, usize>,
    class_of: HashMap<u64, usize>,
    /// The outcome of the whole run.
    summary: String,
    /// What the run says as an error.
    info: Option<Excerpt>,
    infos: Excerpt,
}

impl Trx<'_, '_> {
    fn open_result(&mut self, tag: &Tag<'_>) {
        if let Some(around) = self.open.last_mut() {
            around.has_inner = true;
        }
        let (mut id, mut name, mut seconds) = (0, String::new(), None);
        // As the schema has it, where nothing is said.
        let mut said = Outcome::Error;
        for (key, value) in tag.iter() {
            match key {
                "testId" => id = hash(&value),
                "testName" => name = value.into_owned(),
                "duration" => seconds = clock(&value),
                "outcome" => said = outcome(&value),
                _ => {}
            }
        }
        self.open.push(Open {
            id,
            name,
            outcome: said,
            seconds,
            has_inner: false,
            texts: Texts::default(),
        });
    }

    fn close_result(&mut self) {
        let Some(open) = self.open.pop().filter(|open| !open.has_inner) else {
            return;
        };
        let Texts {
            message,
            stack,
            output,
            ..
        } = open.texts;
        let limits = self.found.limits;
        let (mut message, mut details) = (message.into_text(), String::new());
        match open.outcome {
            Outcome::Skipped if message.trim().is_empty() => message = output.into_text(),
            Outcome::Failed | Outcome::Error => details = stack.into_text(),
            Outcome::Skipped => {}
            Outcome::Passed => message.clear(),
        }
        let (most_message, most_details) = if self.held_bytes < limits.texts {
            (limits.message, limits.details)
        } else {
            (256, 0)
        };
        let message = shorten::head_and_tail(message.trim(), most_message);
        let details = shorten::head_and_tail(&details, most_details);
        self.held_bytes += message.len() + details.len();
        let held = Held {
            id: open.id,
            name: shorten::chars(&open.name, 2000).into(),
            outcome: open.outcome,
            seconds: open.seconds,
            message: message.into(),
            details: details.into(),
        };
        self.name_bytes += held.name.len();
        if self.held.len() >= limits.tests || self.name_bytes > MOST_NAMES {
            // There are too many, as may be said where they are counted.
            self.give(&held);
        } else {
            self.held.push(held);
        }
    }

    fn define(&mut self, tag: &Tag<'_>) {
        let (Some(id), Some(class)) = (self.definition, tag.filled("className")) else {
            return;
        };
        // Old ones have the assembly behind it.
        let class = class.split(',').next().unwrap_or_default().trim();
        let is_full = self.class_of.len() >= self.found.limits.tests;
        if is_full || self.class_bytes > MOST_CLASSES {
            return;
        }
        let number = self.numbers.get(class).copied().unwrap_or_else(|| {
            let number = self.classes.len();
            self.class_bytes += 2 * class.len();
            self.classes.push(shorten::chars(class, 2000).into_owned());
            self.numbers.insert(class.to_owned(), number);
            number
        });
        self.class_of.insert(id, number);
    }

    fn give(&mut self, held: &Held) {
        let class = self
            .class_of
            .get(&held.id)
            .and_then(|number| self.classes.get(*number));
        let Found {
            limits,
            tests,
            runs,
            ..
        } = &mut *self.found;
        let case = Case {
            class: class.map(String::as_str),
            name: class.map_or(&held.name, |class| short_name(&held.name, class)),
            outcome: held.outcome,
            duration_seconds: held.seconds,
            message: &held.message,
            details: &held.details,
            ..Case::default()
        };
        tests.add(case, limits, runs);
    }

    /// The file ends, maybe before its elements do: what had failed by then counts.
    fn finish(&mut self) {
        while let Some(open) = self.open.last() {
            if open.outcome.is_red() {
                self.close_result();
            } else {
                self.open.pop();
            }
        }
        let red = self.held.iter().any(|held| held.outcome.is_red());
        for held in std::mem::take(&mut self.held) {
            self.give(&held);
        }
        let summary = self.summary.trim();
        let went_well = matches!(
            summary,
            "" | "Completed" | "Passed" | "Warning" | "InProgress"
        );
        let message = std::mem::take(&mut self.infos).into_text();
        if went_well || (message.trim().is_empty() && (red || summary == "NotExecuted")) {
            return;
        }
        let words = format!("the outcome of the run is `{summary}`");
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
            message: if message.trim().is_empty() {
                &words
            } else {
                message.trim()
            },
            ..Case::default()
        };
        tests.add(case, limits, runs);
    }
}

impl Sink for Trx<'_, '_> {
    fn open(&mut self, tag: &Tag<'_>) -> Contents {
        let in_result = !self.open.is_empty();
        match tag.name {
            name if RESULTS.contains(&name) => self.open_result(tag),
            "ErrorInfo" => self.in_error = in_result,
            "Message" if self.in_error => self.slot = Some(Slot::Message),
            "StackTrace" if self.in_error => self.slot = Some(Slot::Stack),
            "StdOut" if in_result => self.slot = Some(Slot::Output),
            "TestMethod" => self.define(tag),
            "ResultSummary" => {
                self.summary = tag.get("outcome").unwrap_or_default().into_owned();
            }
            "RunInfo" if tag.get("outcome").is_some_and(|outcome| outcome == "Error") => {
                self.info = Some(Excerpt::default());
            }
            "StdOut"
            | "StdErr"
            | "DebugTrace"
            | "TextMessages"
            | "CollectorDataEntries"
            | "ResultFiles"
            | "TestSettings"
            | "TestEntries"
            | "TestLists" => {
                return Contents::Skip;
            }
            name if tag.get("id").is_some() && name.ends_with("Test") => {
                self.definition = tag.get("id").map(|id| hash(&id));
            }
            _ => {}
        }
        Contents::Read
    }

    fn wants_text(&self) -> bool {
        self.slot.is_some() || self.info.is_some()
    }

    fn text(&mut self, text: &str) {
        let most = self.found.limits.details;
        if let Some(info) = &mut self.info {
            info.push(text, most);
        } else if let Some((slot, open)) = self.slot.zip(self.open.last_mut()) {
            open.texts.push(slot, text, most);
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            name if RESULTS.contains(&name) => self.close_result(),
            "ErrorInfo" => self.in_error = false,
            "Message" | "StackTrace" | "StdOut" => self.slot = None,
            "RunInfo" => {
                let Some(info) = self.info.take() else { return };
                let info = info.into_text();
                let info = info.trim();
                // xUnit.net's adapter says so of every test that fails.
                if !(info.starts_with("[xUnit.net") && info.ends_with("[FAIL]")) {
                    self.infos.push(info, self.found.limits.message);
                    self.infos.push("\n", self.found.limits.message);
                }
            }
            name if name.ends_with("Test") => self.definition = None,
            _ => {}
        }
    }
}

fn outcome(text: &str) -> Outcome {
    match text {
        "Passed" | "PassedButRunAborted" | "Warning" | "Completed" => Outcome::Passed,
        "Failed" => Outcome::Failed,
        "NotExecuted" | "Inconclusive" | "NotRunnable" | "Pending" | "Skipped" => Outcome::Skipped,
        // Error, Timeout, Aborted, Disconnected, and InProgress, which never ended.
        _ => Outcome::Error,
    }
}

/// Ids are held by the thousand, and nobody needs them back.
fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.trim().to_ascii_lowercase().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
#[path = "trx_tests.rs"]
mod tests;
