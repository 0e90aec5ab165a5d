//! The XML of xUnit.net, versions 1 to 3, and of what writes like it (Fixie).
//!
//! What breaks outside of tests (clean-up of a class, a collection, an assembly) is listed before
//! them under `<errors>`.

use std::io::Read;

use super::case::{Case, seconds};
use super::collect::{Format, Found};
use super::dotnet::{Slot, Texts, base_name, short_name};
use super::model::{Hints, Outcome, Place};
use super::source::Source;
use super::xml::{self, Contents, Sink, Tag};

/// xUnit.net.
pub(super) const FORMAT: Format = Format {
    name: "xunit.net",
    is: |file| {
        // Other things have assemblies as well.
        let marks = ["test-framework=", "run-date=", "<collection", "<test "];
        file.root_is(&["assemblies"])
            || (file.root_is(&["assembly"]) && marks.iter().any(|mark| file.text.contains(mark)))
    },
    read,
};

fn read(source: Source<&mut dyn Read>, found: &mut Found<'_>) {
    let mut sink = XUnit {
        found,
        path: Vec::new(),
        class: None,
        open: None,
        slot: None,
        in_failure: false,
    };
    let notes = xml::read(source, &mut sink);
    sink.finish();
    found.notes.extend(notes);
}

/// A test that is open, or an error outside of tests.
#[derive(Default)]
struct Open {
    class: String,
    name: String,
    outcome: Outcome,
    seconds: Option<f64>,
    made_up: bool,
    flaky: bool,
    place: Option<Place>,
    /// The type of the exception.
    exception: String,
    texts: Texts,
}

struct XUnit<'a, 'b> {
    found: &'a mut Found<'b>,
    /// The assembly.
    path: Vec<String>,
    /// That of version 1.
    class: Option<String>,
    open: Option<Open>,
    slot: Option<Slot>,
    in_failure: bool,
}

impl XUnit<'_, '_> {
    fn open_test(&mut self, tag: &Tag<'_>) {
        let mut open = Open::default();
        let (mut file, mut line) = (None, None);
        for (key, value) in tag.iter() {
            match key {
                "name" => open.name = value.into_owned(),
                "type" => value.trim().clone_into(&mut open.class),
                "time" => open.seconds = seconds(&value),
                "result" => {
                    open.outcome = match &*value {
                        "Pass" => Outcome::Passed,
                        "Skip" | "NotRun" => Outcome::Skipped,
                        "Fail" => Outcome::Failed,
                        _ => Outcome::Error,
                    }
                }
                "flaky" => open.flaky = value.eq_ignore_ascii_case("true"),
                "source-file" if !value.trim().is_empty() => file = Some(value.trim().to_owned()),
                "source-line" => line = value.trim().parse().ok().filter(|line| *line > 0),
                _ => {}
            }
        }
        open.place = file.map(|path| Place { path, line });
        let short = short_name(&open.name, &open.class).to_owned();
        open.name = short;
        self.open = Some(open);
    }

    fn open_error(&mut self, class: String) {
        self.open = Some(Open {
            class,
            name: "(suite)".to_owned(),
            outcome: Outcome::Error,
            made_up: true,
            ..Open::default()
        });
    }

    fn close(&mut self) {
        let Some(open) = self.open.take() else {
            return;
        };
        let Texts {
            message,
            stack,
            reason,
            ..
        } = open.texts;
        let (mut message, mut details) = (message.into_text(), String::new());
        let is_red = open.outcome.is_red();
        if is_red {
            details = stack.into_text();
            if message.trim().is_empty() {
                message = open.exception;
            }
        } else {
            message = reason.into_text();
        }
        let Found {
            limits,
            tests,
            runs,
            ..
        } = &mut *self.found;
        let case = Case {
            suite: &self.path,
            class: Some(open.class.as_str()).filter(|class| !class.is_empty()),
            name: &open.name,
            outcome: open.outcome,
            reruns: u32::from(open.flaky && open.outcome == Outcome::Passed),
            made_up: open.made_up,
            series: None,
            duration_seconds: open.seconds,
            message: message.trim(),
            details: &details,
            hints: Hints {
                case: open.place.filter(|_| is_red),
                ..Hints::default()
            },
        };
        tests.add(case, limits, runs);
    }

    /// The file ends, maybe before its elements do: what had failed by then counts.
    fn finish(&mut self) {
        if self.open.as_ref().is_some_and(|open| open.outcome.is_red()) {
            self.close();
        }
    }
}

impl Sink for XUnit<'_, '_> {
    fn open(&mut self, tag: &Tag<'_>) -> Contents {
        match tag.name {
            "assembly" => {
                self.path.clear();
                let name = tag.filled("name").unwrap_or_default();
                let name = base_name(&name);
                self.path
                    .extend(Some(name.to_owned()).filter(|name| !name.is_empty()));
            }
            "class" => self.class = tag.get("name").map(std::borrow::Cow::into_owned),
            "test" => self.open_test(tag),
            "error" if self.open.is_none() => {
                self.open_error(tag.get("name").unwrap_or_default().into_owned());
            }
            "failure" => {
                if self.open.is_none() {
                    // A class of version 1 whose fixture broke.
                    self.open_error(self.class.clone().unwrap_or_default());
                }
                self.in_failure = true;
                if let Some(open) = &mut self.open {
                    let exception = tag.get("exception-type").unwrap_or_default();
                    open.exception = exception.into_owned();
                }
            }
            "message" if self.in_failure => self.slot = Some(Slot::Message),
            "stack-trace" if self.in_failure => self.slot = Some(Slot::Stack),
            "reason" if self.open.is_some() => self.slot = Some(Slot::Reason),
            "output" | "traits" | "warnings" | "attachments" | "start" => return Contents::Skip,
            _ => {}
        }
        Contents::Read
    }

    fn wants_text(&self) -> bool {
        self.slot.is_some()
    }

    fn text(&mut self, text: &str) {
        if let Some((slot, open)) = self.slot.zip(self.open.as_mut()) {
            open.texts.push(slot, text, self.found.limits.details);
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "test" | "error" => self.close(),
            "failure" => {
                self.in_failure = false;
                if self.open.as_ref().is_some_and(|open| open.made_up) {
                    self.close();
                }
            }
            "class" => self.class = None,
            // The message of a reason may be an element of its own.
            "message" if self.slot == Some(Slot::Reason) => {}
            "message" | "stack-trace" | "reason" => self.slot = None,
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "xunit_net_tests.rs"]
mod tests;
