//! Hiding the secrets of a job in everything that comes back from it.
//!
//! The runner hides them in what it sends; this is for what it cannot know (reports), and for a
//! runner that does not.

use std::collections::BTreeMap;

use crate::domain::{JobFailure, JobResult};
use crate::protocol::Stream;
use crate::report::{Report, Test};
use crate::text::mask::{Mask, Masker};

/// What lies over one attempt; nothing where it has no secrets.
pub(super) struct Veil {
    masker: Option<Masker>,
    streams: BTreeMap<(u32, u8), Mask>,
}

impl Veil {
    /// Hides the values of these variables.
    pub(super) fn new(secrets: &[(String, String)]) -> Self {
        let values: Vec<String> = secrets.iter().map(|(_, value)| value.clone()).collect();
        Self {
            masker: Masker::new(&values),
            streams: BTreeMap::new(),
        }
    }

    /// Words as they may be shown.
    pub(super) fn words(&self, mut words: String) -> String {
        if let Some(masker) = &self.masker {
            masker.hide(&mut words);
        }
        words
    }

    /// Whether there is something in the words that must not be shown.
    pub(super) fn covers(&self, words: &str) -> bool {
        let masker = self.masker.as_ref();
        masker.is_some_and(|masker| masker.text(words) != words)
    }

    /// The next piece of a step's output, as far as it is certain.
    pub(super) fn output(&mut self, step: u32, stream: Stream, bytes: Vec<u8>) -> Vec<u8> {
        let Some(masker) = &self.masker else {
            return bytes;
        };
        let mask = self
            .streams
            .entry((step, stream.code()))
            .or_insert_with(|| masker.stream());
        let mut out = Vec::with_capacity(bytes.len());
        mask.feed(&bytes, &mut out);
        out
    }

    /// The step is over, or all of them: what was held back of its output.
    pub(super) fn held_back(&mut self, step: Option<u32>) -> Vec<(u32, Stream, Vec<u8>)> {
        let mut all = Vec::new();
        self.streams.retain(|(of, code), mask| {
            if step.is_some_and(|step| step != *of) {
                return true;
            }
            let mut out = Vec::new();
            mask.end(&mut out);
            if !out.is_empty() {
                all.extend(Stream::from_code(*code).map(|stream| (*of, stream, out)));
            }
            false
        });
        all
    }

    /// What came of the job.
    pub(super) fn result(&self, result: &mut JobResult) {
        let Some(masker) = &self.masker else {
            return;
        };
        masker.hide(&mut result.title);
        result.notes.iter_mut().for_each(|note| masker.hide(note));
        for failure in &mut result.failures {
            match failure {
                JobFailure::Step { text } | JobFailure::Report { text } => masker.hide(text),
                JobFailure::Tests => {}
            }
        }
    }

    /// What its reports say.
    pub(super) fn report(&self, report: &mut Report) {
        let Some(masker) = &self.masker else {
            return;
        };
        for test in &mut report.tests {
            hide_test(masker, test);
        }
        for file in &mut report.files {
            masker.hide(&mut file.path);
            for diagnostic in &mut file.diagnostics {
                masker.hide(&mut diagnostic.message);
            }
        }
    }
}

fn hide_test(masker: &Masker, test: &mut Test) {
    test.suite.iter_mut().for_each(|suite| masker.hide(suite));
    masker.hide(&mut test.name);
    let texts = [&mut test.class, &mut test.message, &mut test.details];
    for text in texts.into_iter().flatten() {
        masker.hide(text);
    }
}
