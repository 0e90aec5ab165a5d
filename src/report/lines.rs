//! The lines of a file, one after the other.
//!
//! A line may be as long as the file: only its beginning is held, the rest is passed over. Where
//! a line is costs nothing unless somebody asks. Knows no format.

use std::io::{BufRead, Read};

use super::model::Diagnostic;
use super::source::Source;

/// A file that is read line by line.
pub(super) struct Lines<R> {
    source: Source<R>,
    bytes: Vec<u8>,
    longest: usize,
    is_cut: bool,
}

impl<R: Read> Lines<R> {
    /// Lines longer than `longest` bytes are cut. Control characters are no fault here.
    pub(super) fn new(source: Source<R>, longest: usize) -> Self {
        Self {
            source: source.with_any_characters(),
            bytes: Vec::new(),
            longest,
            is_cut: false,
        }
    }

    /// Reads the next line. There is none at the end of the file, or where it cannot be read.
    pub(super) fn read(&mut self) -> bool {
        self.bytes.clear();
        self.is_cut = false;
        self.source.mark();
        let mut any = false;
        loop {
            let Ok(ahead) = self.source.fill_buf() else {
                return false;
            };
            if ahead.is_empty() {
                return any;
            }
            any = true;
            let end = memchr::memchr(b'\n', ahead);
            let piece = ahead.get(..end.unwrap_or(ahead.len())).unwrap_or_default();
            let room = self.longest.saturating_sub(self.bytes.len());
            self.is_cut |= piece.len() > room;
            self.bytes
                .extend_from_slice(piece.get(..room).unwrap_or(piece));
            let used = piece.len() + usize::from(end.is_some());
            self.source.consume(used);
            // Nobody holds more than the beginning.
            self.source.pass();
            if end.is_some() {
                return true;
            }
        }
    }

    /// The line that was read last, without its end.
    pub(super) fn line(&self) -> &str {
        let text = match std::str::from_utf8(&self.bytes) {
            Ok(text) => text,
            // Cut within a character: a source gives nothing else that is no UTF-8.
            Err(error) => self
                .bytes
                .get(..error.valid_up_to())
                .and_then(|bytes| std::str::from_utf8(bytes).ok())
                .unwrap_or_default(),
        };
        text.strip_suffix('\r').unwrap_or(text)
    }

    /// Whether that is only its beginning.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Where the line begins.
    pub(super) fn place(&self) -> (u64, u64) {
        self.source.marked()
    }

    /// Where the next line begins, or the end of the file.
    pub(super) fn end(&self) -> (u64, u64) {
        self.source.position()
    }

    /// Why reading ended, if not for the end of the file, and what is wrong with its characters.
    pub(super) fn faults(mut self) -> Vec<Diagnostic> {
        let mut notes = Vec::new();
        if let Some(text) = self.source.interruption() {
            notes.push(Diagnostic::error(self.source.position(), text));
        }
        notes.extend(self.source.faults());
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::Source;
    use super::Lines;

    fn lines(text: &str, longest: usize) -> Vec<(String, bool, (u64, u64))> {
        let bytes = text.as_bytes();
        let mut lines = Lines::new(Source::new(bytes, bytes, 1 << 10, 1 << 30), longest);
        let mut all = Vec::new();
        while lines.read() {
            all.push((lines.line().to_owned(), lines.is_cut(), lines.place()));
        }
        assert!(lines.faults().is_empty());
        all
    }

    #[test]
    fn lines_have_their_places_and_no_ends() {
        assert_eq!(
            lines("a\r\n\nb\u{1}", 10),
            [
                ("a".to_owned(), false, (1, 1)),
                (String::new(), false, (2, 1)),
                ("b\u{1}".to_owned(), false, (3, 1)),
            ]
        );
    }

    #[test]
    fn of_a_long_line_the_beginning_is_held() {
        let text = format!("é{}\nb\n", "é".repeat(300_000));
        let all = lines(&text, 5);
        assert_eq!(all[0], ("éé".to_owned(), true, (1, 1)));
        assert_eq!(all[1], ("b".to_owned(), false, (2, 1)));
    }
}
