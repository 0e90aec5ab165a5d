//! Lines of the repository on pages: what a failure points at, and what no test reached.

use std::collections::HashMap;

use super::router::Web;
use crate::domain::BuildView;

/// A larger file is not shown, in bytes.
const FILE_MAX: usize = 1 << 20;
/// Letters of a line that are shown.
const LETTERS: usize = 200;
/// Lines of one stretch that are shown.
const LINES: u32 = 40;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CodeLine {
    /// From 1.
    pub(super) number: u32,
    pub(super) text: String,
    /// Whether it is the one that is meant.
    pub(super) meant: bool,
}

/// Reads files of a build's commit, each once.
pub(super) struct Code<'a> {
    web: &'a Web,
    view: &'a BuildView,
    files: HashMap<String, Option<String>>,
}

impl<'a> Code<'a> {
    pub(super) fn new(web: &'a Web, view: &'a BuildView) -> Self {
        Self {
            web,
            view,
            files: HashMap::new(),
        }
    }

    /// The lines from `first` to `last` with `around` more on each side; none where the file cannot be
    /// read any more.
    pub(super) async fn lines(
        &mut self,
        path: &str,
        first: u32,
        last: u32,
        around: u32,
    ) -> Vec<CodeLine> {
        if !self.files.contains_key(path) {
            let text = self.read(path).await;
            self.files.insert(path.to_owned(), text);
        }
        let Some(Some(text)) = self.files.get(path) else {
            return Vec::new();
        };
        let last = last.min(first.saturating_add(LINES));
        let begin = first.saturating_sub(around).max(1);
        let end = last.saturating_add(around);
        (1..)
            .zip(text.lines())
            .skip_while(|(number, _)| *number < begin)
            .take_while(|(number, _)| *number <= end)
            .map(|(number, line)| CodeLine {
                number,
                text: line.chars().take(LETTERS).collect(),
                meant: (first..=last).contains(&number),
            })
            .collect()
    }

    /// What git still has of a fetched commit; nothing is fetched for a page.
    async fn read(&self, path: &str) -> Option<String> {
        let source = &self.web.app.parts.source;
        let id = self.view.repository.id.file_name();
        let commit = self.view.build.tested.as_str();
        let bytes = source.file(&id, commit, path).await.ok()??;
        let text = bytes.len() <= FILE_MAX && !bytes.contains(&0);
        text.then(|| String::from_utf8_lossy(&bytes).into_owned())
    }
}
