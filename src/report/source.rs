//! Bytes of a report file as UTF-8, with the position in them.
//!
//! Decodes what a byte order mark or an XML declaration says, never holds more than a buffer,
//! and remembers the first character that no report may have. Knows nothing of formats.

use std::io::{self, BufRead, Read};

use quick_xml::encoding::detect_encoding;
use quick_xml::events::Event;

use super::model::Diagnostic;

/// How much is read at a time, and looked at to recognise a format.
pub(super) const CHUNK: usize = 64 * 1024;

/// Takes bytes, gives UTF-8: read, written, whether something had to be replaced. The decoder
/// itself has no name here, since `encoding_rs` is quick-xml's dependency and not ours.
type Decode = Box<dyn FnMut(&[u8], &mut [u8], bool) -> (usize, usize, bool) + Send>;

/// Line and column, both from 1, columns in characters.
#[derive(Debug, Clone, Copy)]
struct Position {
    line: u64,
    column: u64,
}

impl Position {
    fn after(mut self, bytes: &[u8]) -> Self {
        let rest = match memchr::memrchr(b'\n', bytes) {
            None => bytes,
            Some(last) => {
                self.line += count(memchr::memchr_iter(b'\n', bytes).count());
                self.column = 1;
                bytes.get(last + 1..).unwrap_or_default()
            }
        };
        // Continuation bytes belong to the character before them.
        self.column += count(rest.iter().filter(|byte| **byte & 0xC0 != 0x80).count());
        self
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// A report file being read.
pub(super) struct Source<R> {
    inner: R,
    decode: Decode,
    raw: Box<[u8]>,
    raw_start: usize,
    raw_end: usize,
    out: Vec<u8>,
    start: usize,
    at: Position,
    finished: bool,
    /// Bytes since the last [`Source::mark`], and how many there may be.
    taken: usize,
    longest: usize,
    /// Bytes of the file, and how many there may be.
    total: u64,
    largest: u64,
    unread: Option<String>,
    control: Option<Diagnostic>,
    undecodable: Option<Diagnostic>,
}

impl<R: Read> Source<R> {
    /// Reads `inner`, whose first bytes are `head`. No single element, text or line may be
    /// longer than `longest`, and no file larger than `largest`.
    pub(super) fn new(inner: R, head: &[u8], longest: usize, largest: u64) -> Self {
        Self {
            inner,
            decode: decoder(head),
            raw: vec![0; CHUNK].into_boxed_slice(),
            raw_start: 0,
            raw_end: 0,
            out: Vec::new(),
            start: 0,
            at: Position { line: 1, column: 1 },
            finished: false,
            taken: 0,
            longest,
            total: 0,
            largest,
            unread: None,
            control: None,
            undecodable: None,
        }
    }

    /// Where the next byte is.
    pub(super) fn position(&self) -> (u64, u64) {
        (self.at.line, self.at.column)
    }

    /// Where a byte of `text` is that was read since the given position.
    pub(super) fn position_in((line, column): (u64, u64), before: &str) -> (u64, u64) {
        let at = Position { line, column }.after(before.as_bytes());
        (at.line, at.column)
    }

    /// Begins a new element, text or line.
    pub(super) fn mark(&mut self) {
        self.taken = 0;
    }

    /// What is wrong with the characters of the file, each kind once.
    pub(super) fn faults(&mut self) -> impl Iterator<Item = Diagnostic> {
        self.undecodable
            .take()
            .into_iter()
            .chain(self.control.take())
    }

    /// Why the file could not be read to its end, when that was not for its content.
    pub(super) fn interruption(&mut self) -> Option<String> {
        self.unread.take()
    }

    /// At least `wanted` bytes, or all that are left.
    pub(super) fn peek(&mut self, wanted: usize) -> io::Result<&[u8]> {
        while self.out.len() - self.start < wanted && !self.finished {
            self.fill()?;
        }
        Ok(self.out.get(self.start..).unwrap_or_default())
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.out.drain(..self.start);
            self.start = 0;
        }
        if self.raw_start == self.raw_end {
            let read = loop {
                match self.inner.read(&mut self.raw) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => break other,
                }
            };
            let read = read.inspect_err(|error| {
                self.unread = Some(format!("the file could not be read: {error}"));
            })?;
            self.total += count(read);
            if self.total > self.largest {
                let text = format!("the file is larger than {} MiB", self.largest >> 20);
                self.unread = Some(text.clone());
                return Err(io::Error::other(text));
            }
            (self.raw_start, self.raw_end) = (0, read);
        }
        let last = self.raw_start == self.raw_end;
        let old = self.out.len();
        // `encoding_rs` needs at most three bytes of output per byte of input, and some at the end.
        self.out
            .resize(old + (self.raw_end - self.raw_start) * 3 + 16, 0);
        let input = self
            .raw
            .get(self.raw_start..self.raw_end)
            .unwrap_or_default();
        let output = self.out.get_mut(old..).unwrap_or_default();
        let (read, written, replaced) = (self.decode)(input, output, last);
        self.raw_start += read;
        self.out.truncate(old + written);
        self.finished = last;
        self.check(old, replaced);
        Ok(())
    }

    /// Looks for characters that XML does not allow (production 2, `Char`) in what is new.
    fn check(&mut self, from: usize, replaced: bool) {
        let new = self.out.get(from..).unwrap_or_default();
        let place = |offset: usize| {
            let at = self
                .at
                .after(self.out.get(self.start..from + offset).unwrap_or_default());
            (at.line, at.column)
        };
        if replaced && self.undecodable.is_none() {
            let offset = memchr::memmem::find(new, "\u{FFFD}".as_bytes()).unwrap_or_default();
            self.undecodable = Some(Diagnostic::error(
                place(offset),
                "bytes that are no text in the encoding of the file",
            ));
        }
        if self.control.is_none()
            && new.iter().any(|byte| is_control(*byte))
            && let Some((offset, byte)) =
                new.iter().enumerate().find(|(_, byte)| is_control(**byte))
        {
            self.control = Some(Diagnostic::error(
                place(offset),
                format!("control character U+{byte:04X}, which XML does not allow"),
            ));
        }
    }
}

fn is_control(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: Read> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken > self.longest {
            let text = format!(
                "a single text or element is longer than {} MiB",
                self.longest >> 20
            );
            self.unread = Some(text.clone());
            return Err(io::Error::other(text));
        }
        self.peek(1)
    }

    fn consume(&mut self, amount: usize) {
        let end = (self.start + amount).min(self.out.len());
        self.at = self
            .at
            .after(self.out.get(self.start..end).unwrap_or_default());
        self.taken += end - self.start;
        self.start = end;
    }
}

/// The decoder for a file with this beginning: a byte order mark decides, then the pattern of
/// UTF-16 without one, then the declaration, then UTF-8.
fn decoder(head: &[u8]) -> Decode {
    let head = head.get(..1024).unwrap_or(head);
    let utf_8 = quick_xml::Reader::from_str("").encoding();
    let mut encoding = utf_8;
    if let Some(detected) = detect_encoding(head) {
        encoding = detected.encoding();
    }
    if encoding == utf_8 {
        // A file that can be read up to here is not in UTF-16, whatever it declares.
        let text = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
        let end = memchr::memmem::find(text, b"?>").map_or(0, |at| at + 2);
        if let Ok(text) = std::str::from_utf8(text.get(..end).unwrap_or_default())
            && let Ok(Event::Decl(declaration)) =
                quick_xml::Reader::from_str(text.trim_start()).read_event()
            && let Some(declared) = declaration.encoder()
            && declared.is_ascii_compatible()
        {
            encoding = declared;
        }
    }
    let mut decoder = encoding.new_decoder();
    Box::new(move |input, output, last| {
        let (_, read, written, replaced) = decoder.decode_to_utf8(input, output, last);
        (read, written, replaced)
    })
}

/// The beginning of a file as text, to recognise its format.
pub(super) fn beginning(head: &[u8]) -> String {
    let mut text = vec![0; head.len() * 3 + 16];
    let (_, written, _) = decoder(head)(head, &mut text, false);
    text.truncate(written);
    String::from_utf8_lossy(&text).into_owned()
}
