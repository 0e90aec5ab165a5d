//! NUnit 3 (`<test-run>`) and NUnit 2 (`<test-results>`).
//!
//! Both are trees of suites with the tests as leaves. Of the suites only the assembly is part of
//! a name: the rest is the namespace and class that each test says itself. What breaks before or
//! after the tests of a suite (one-time set-up and tear-down) is said at the suite; that children
//! failed is said there too, and is nothing new.

use std::borrow::Cow;
use std::io::Read;

use super::case::{Case, seconds};
use super::collect::{Format, Found};
use super::dotnet::{Slot, Texts, base_name, class_of, short_name};
use super::model::Outcome;
use super::source::Source;
use super::xml::{self, Contents, Sink, Tag};

/// NUnit 3.
pub(super) const FORMAT_3: Format = Format {
    name: "nunit3",
    is: |file| {
        // A suite alone is what is left of a file that was split.
        file.root_is(&["test-run"])
            || (file.root_is(&["test-suite"]) && file.text.contains("testcasecount="))
    },
    read,
};

/// NUnit 2, and what writes like it.
pub(super) const FORMAT_2: Format = Format {
    name: "nunit2",
    is: |file| file.root_is(&["test-results"]),
    read,
};

fn read(source: Source<&mut dyn Read>, found: &mut Found<'_>) {
    let mut sink = NUnit {
        found,
        suites: Vec::new(),
        path: Vec::new(),
        case: None,
        slot: None,
        within: None,
    };
    let notes = xml::read(source, &mut sink);
    sink.finish();
    found.notes.extend(notes);
}

/// A suite that is open.
#[derive(Default)]
struct Suite {
    name: String,
    class: Option<String>,
    /// Whether its name is on the path.
    is_named: bool,
    failed: bool,
    /// Where the failure is: in itself, its set-up, its tear-down, or in what is around or within.
    site: String,
    /// A test in it is red.
    red: bool,
    texts: Texts,
}

/// A test that is open.
struct Open {
    class: Option<String>,
    name: String,
    seconds: Option<f64>,
    outcome: Said,
    /// There is a `<failure>`.
    failed: bool,
    texts: Texts,
}

/// What the attributes of a test say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Known(Outcome),
    /// Whether there is a failure decides: NUnit 2 before 2.5.
    Unknown,
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Failure,
    Reason,
    Assertion,
}

struct NUnit<'a, 'b> {
    found: &'a mut Found<'b>,
    suites: Vec<Suite>,
    path: Vec<String>,
    case: Option<Open>,
    slot: Option<Slot>,
    within: Option<Within>,
}

impl NUnit<'_, '_> {
    fn open_suite(&mut self, tag: &Tag<'_>) {
        let name = tag.get("name").unwrap_or_default();
        let kind = tag.get("type").unwrap_or_default();
        let is_library = |name: &str| {
            [".dll", ".exe", ".DLL"]
                .iter()
                .any(|end| name.ends_with(end))
        };
        // The root of NUnit 2 has the name of the assembly, and so has the suite within.
        let name = base_name(&name);
        let is_named = (kind == "Assembly" || is_library(name))
            && !name.is_empty()
            && self.path.last().is_none_or(|last| last != name);
        if is_named {
            self.path.push(name.to_owned());
        }
        let says = |key: &str, words: &[&str]| {
            tag.get(key)
                .is_some_and(|value| words.iter().any(|word| value.eq_ignore_ascii_case(word)))
        };
        self.suites.push(Suite {
            name: name.to_owned(),
            class: tag.filled("classname").map(Cow::into_owned),
            is_named,
            failed: says("result", &["Failed", "Failure", "Error"]) || says("success", &["False"]),
            site: tag.get("site").unwrap_or_default().into_owned(),
            ..Suite::default()
        });
    }

    fn close_suite(&mut self) {
        let Some(suite) = self.suites.pop() else {
            return;
        };
        let message = suite.texts.message.into_text();
        let is_new = match suite.site.as_str() {
            "TearDown" => true,
            "Child" | "Parent" => false,
            // The tests of a broken set-up mostly say so themselves.
            _ => !suite.red && !message.trim_start().starts_with("Child test failed"),
        };
        let red = suite.failed && is_new && !message.trim().is_empty();
        if red {
            let class = suite
                .class
                .or(Some(suite.name).filter(|name| !name.is_empty() && !suite.is_named));
            self.give(Case {
                class: class.as_deref(),
                name: "(suite)",
                outcome: Outcome::Error,
                made_up: true,
                message: message.trim(),
                details: &suite.texts.stack.into_text(),
                ..Case::default()
            });
        }
        if suite.is_named {
            self.path.pop();
        }
        if let Some(around) = self.suites.last_mut() {
            around.red |= suite.red || red;
        }
    }

    fn open_case(&mut self, tag: &Tag<'_>) {
        let mut open = Open {
            class: None,
            name: String::new(),
            seconds: None,
            outcome: Said::Unknown,
            failed: false,
            texts: Texts::default(),
        };
        let (mut full, mut said) = (String::new(), Attributes::default());
        for (key, value) in tag.iter() {
            match key {
                "name" => open.name = value.into_owned(),
                "fullname" => full = value.into_owned(),
                "classname" if !value.trim().is_empty() => {
                    open.class = Some(value.trim().to_owned());
                }
                "duration" | "time" => open.seconds = open.seconds.or_else(|| seconds(&value)),
                "result" => said.result = value.into_owned(),
                "label" => said.label = value.into_owned(),
                "executed" => said.not_executed = value.eq_ignore_ascii_case("false"),
                "success" => said.unsuccessful = value.eq_ignore_ascii_case("false"),
                _ => {}
            }
        }
        open.outcome = said.outcome();
        // Without one, as NUnit 2 has it, the full name says it, and else the suite.
        open.class = open
            .class
            .or_else(|| {
                full.strip_suffix(&format!(".{}", open.name))
                    .map(str::to_owned)
            })
            .or_else(|| class_of(&open.name).map(str::to_owned))
            .or_else(|| {
                let suite = self.suites.last().filter(|suite| !suite.is_named)?;
                Some(suite.name.clone()).filter(|name| !name.is_empty())
            });
        if let Some(class) = &open.class {
            let short = short_name(&open.name, class).to_owned();
            open.name = short;
        }
        self.case = Some(open);
    }

    fn close_case(&mut self) {
        let Some(open) = self.case.take() else {
            return;
        };
        let outcome = match open.outcome {
            Said::Known(outcome) => outcome,
            Said::Unknown if open.failed => Outcome::Failed,
            Said::Unknown => Outcome::Passed,
        };
        let Texts {
            message,
            stack,
            reason,
            ..
        } = open.texts;
        let (mut message, reason) = (message.into_text(), reason.into_text());
        if message.trim().is_empty() {
            message = reason;
        }
        if outcome.is_red()
            && let Some(suite) = self.suites.last_mut()
        {
            suite.red = true;
        }
        let details = if outcome.is_red() {
            stack.into_text()
        } else {
            String::new()
        };
        self.give(Case {
            class: open.class.as_deref(),
            name: &open.name,
            outcome,
            duration_seconds: open.seconds,
            message: message.trim(),
            details: &details,
            ..Case::default()
        });
    }

    fn give(&mut self, case: Case<'_>) {
        let Found {
            limits,
            tests,
            runs,
            ..
        } = &mut *self.found;
        let suite = &self.path;
        tests.add(Case { suite, ..case }, limits, runs);
    }

    /// The file ends, maybe before its elements do: what had failed by then counts.
    fn finish(&mut self) {
        let failed = |open: &Open| {
            open.failed || matches!(open.outcome, Said::Known(outcome) if outcome.is_red())
        };
        if self.case.as_ref().is_some_and(failed) {
            self.close_case();
        }
        while !self.suites.is_empty() {
            self.close_suite();
        }
    }

    fn texts(&mut self) -> Option<&mut Texts> {
        match &mut self.case {
            Some(case) => Some(&mut case.texts),
            None => self.suites.last_mut().map(|suite| &mut suite.texts),
        }
    }
}

/// Those that say how a test ended; not every version has every one.
#[derive(Default)]
struct Attributes {
    result: String,
    label: String,
    not_executed: bool,
    unsuccessful: bool,
}

impl Attributes {
    fn outcome(&self) -> Said {
        let broken = ["Error", "Invalid", "Cancelled"].contains(&self.label.as_str());
        Said::Known(match self.result.as_str() {
            "Passed" | "Success" | "Warning" => Outcome::Passed,
            "Failed" | "Failure" if broken => Outcome::Error,
            "Failed" | "Failure" => Outcome::Failed,
            "Error" | "Invalid" | "Cancelled" => Outcome::Error,
            "Skipped" | "Inconclusive" | "Ignored" | "NotRunnable" | "Explicit" => Outcome::Skipped,
            _ if self.not_executed => Outcome::Skipped,
            _ if self.unsuccessful => Outcome::Failed,
            _ => return Said::Unknown,
        })
    }
}

impl Sink for NUnit<'_, '_> {
    fn open(&mut self, tag: &Tag<'_>) -> Contents {
        match tag.name {
            "test-suite" | "test-results" => self.open_suite(tag),
            "test-case" => self.open_case(tag),
            "failure" => {
                self.within = Some(Within::Failure);
                if let Some(case) = &mut self.case {
                    case.failed = true;
                }
            }
            "reason" => self.within = Some(Within::Reason),
            "assertion" => {
                self.within = Some(Within::Assertion);
                if let Some(case) = &mut self.case
                    && !case.texts.stack.is_empty()
                {
                    case.texts.push(Slot::Stack, "\n\n", usize::MAX);
                }
            }
            "message" => {
                self.slot = match self.within {
                    Some(Within::Failure) => Some(Slot::Message),
                    Some(Within::Reason) => Some(Slot::Reason),
                    // Those of several assertions; the failure has them all once more.
                    Some(Within::Assertion) => Some(Slot::Stack),
                    None => None,
                }
            }
            "stack-trace" if self.within.is_some() => {
                if self.within == Some(Within::Assertion)
                    && let Some(texts) = self.texts()
                {
                    texts.push(Slot::Stack, "\n", usize::MAX);
                }
                self.slot = Some(Slot::Stack);
            }
            "output" | "properties" | "settings" | "environment" | "culture-info"
            | "attachments" | "categories" | "filter" | "command-line" => return Contents::Skip,
            _ => {}
        }
        Contents::Read
    }

    fn wants_text(&self) -> bool {
        self.slot.is_some()
    }

    fn text(&mut self, text: &str) {
        let most = self.found.limits.details;
        if let Some(slot) = self.slot
            && let Some(texts) = self.texts()
        {
            texts.push(slot, text, most);
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "test-suite" | "test-results" => self.close_suite(),
            "test-case" => self.close_case(),
            "failure" | "reason" | "assertion" => self.within = None,
            "message" | "stack-trace" => self.slot = None,
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "nunit_tests.rs"]
mod tests;
