//! Bytes of a report file as UTF-8, with the position in them.
//!
//! Decodes what a byte order mark or an XML declaration says, never holds more than a buffer,
//! and remembers the first character that no report may have. Of a text that is too long it
//! gives the beginning and the end only. Knows nothing of formats.
//!
//! Every byte of every report goes through here. So positions are counted when somebody asks for
//! one, or when the bytes go out of sight, and UTF-8 is checked but not copied.

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

/// What is read next, as far as its length is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// Not to be shortened.
    Whole,
    /// Text that ends before a `<` or `&`.
    Text,
    /// Text that ends with these bytes.
    Until(&'static [u8; 3]),
}

/// A report file being read.
pub(super) struct Source<R> {
    inner: R,
    /// `None` for UTF-8.
    decode: Option<Decode>,
    /// Bytes that are not decoded yet.
    raw: Vec<u8>,
    /// Decoded bytes are those from `start` to `end`; behind them, up to `filled`, are those of a
    /// character of UTF-8 that is not complete.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    filled: usize,
    /// Where the first byte of the buffer is: in the file, and in lines.
    offset: u64,
    at: Position,
    /// Where the last [`Source::mark`] was, and in lines once its bytes are gone.
    mark: u64,
    marked: Option<Position>,
    finished: bool,
    begun: bool,
    token: Token,
    /// Bytes since the last mark, and how many there may be.
    taken: usize,
    longest: usize,
    /// After how many of them something has to be done.
    stop: usize,
    /// Bytes since the last mark before some were left out, and how many.
    cut: Option<(usize, u64)>,
    /// Bytes of the file, and how many there may be.
    total: u64,
    largest: u64,
    unread: Option<String>,
    /// Whether control characters are a fault, and the first of them.
    forbids_control: bool,
    control: Option<Diagnostic>,
    undecodable: Option<Diagnostic>,
}

/// How much of a long text is kept: so many bytes of its beginning …
pub(super) const TEXT_HEAD: usize = 1 << 20;
/// … and at most so many of its end.
const TEXT_TAIL: usize = CHUNK / 2;

impl<R: Read> Source<R> {
    /// Reads `inner`, whose first bytes are `head`. No single element or line may be longer than
    /// `longest`, and no file larger than `largest`.
    pub(super) fn new(inner: R, head: &[u8], longest: usize, largest: u64) -> Self {
        Self {
            inner,
            decode: decoder(head),
            raw: Vec::new(),
            buffer: vec![0; 2 * CHUNK],
            start: 0,
            end: 0,
            filled: 0,
            offset: 0,
            at: Position { line: 1, column: 1 },
            mark: 0,
            marked: None,
            finished: false,
            begun: false,
            token: Token::Whole,
            taken: 0,
            longest,
            stop: longest,
            cut: None,
            total: 0,
            largest,
            unread: None,
            forbids_control: true,
            control: None,
            undecodable: None,
        }
    }

    /// For a format that allows control characters, or has its own words for them.
    pub(super) fn with_any_characters(mut self) -> Self {
        self.forbids_control = false;
        self
    }

    /// Where the next byte is.
    pub(super) fn position(&self) -> (u64, u64) {
        let at = self.position_at(self.start);
        (at.line, at.column)
    }

    /// Where the last mark is.
    pub(super) fn marked(&self) -> (u64, u64) {
        let at = self.marked.unwrap_or_else(|| self.mark_in_buffer());
        (at.line, at.column)
    }

    fn mark_in_buffer(&self) -> Position {
        let before = self.mark.saturating_sub(self.offset);
        self.position_at(usize::try_from(before).unwrap_or(usize::MAX))
    }

    fn position_at(&self, index: usize) -> Position {
        let index = index.min(self.end);
        self.at.after(self.buffer.get(..index).unwrap_or_default())
    }

    /// Where a byte of `text` is that was read since the given position.
    pub(super) fn position_in((line, column): (u64, u64), before: &str) -> (u64, u64) {
        let at = Position { line, column }.after(before.as_bytes());
        (at.line, at.column)
    }

    /// Begins a new element, text or line.
    pub(super) fn mark(&mut self) {
        self.taken = 0;
        self.mark = self.offset + count(self.start);
        self.marked = None;
        self.token = Token::Whole;
        self.stop = self.longest;
        self.cut = None;
    }

    /// Does not count what was read since the mark, since nobody holds it.
    pub(super) fn pass(&mut self) {
        self.taken = 0;
    }

    /// Begins a new piece of XML; if that is text, its middle may be left out.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        self.mark();
        let ahead = self.peek(9)?;
        if matches!(ahead, [b'<', next, ..] if *next != b'!') {
            return Ok(());
        }
        self.token = if ahead.starts_with(b"<![CDATA[") {
            Token::Until(b"]]>")
        } else if ahead.starts_with(b"<!--") {
            Token::Until(b"-->")
        } else if ahead.starts_with(b"<") || ahead.starts_with(b"&") {
            Token::Whole
        } else {
            Token::Text
        };
        if self.token != Token::Whole {
            self.stop = TEXT_HEAD;
        }
        Ok(())
    }

    /// How many bytes after the mark the text was cut, and how many were left out there.
    pub(super) fn cut(&self) -> Option<(usize, u64)> {
        self.cut
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

    /// At least `wanted` bytes, or all that are left. Not for more than a few hundred.
    pub(super) fn peek(&mut self, wanted: usize) -> io::Result<&[u8]> {
        while self.end - self.start < wanted && !self.finished {
            self.fill()?;
        }
        Ok(self.buffer.get(self.start..self.end).unwrap_or_default())
    }

    /// Forgets the bytes before `start`.
    fn compact(&mut self) {
        if self.start == 0 {
            return;
        }
        let next = self.offset + count(self.start);
        if self.marked.is_none() && self.mark < next {
            self.marked = Some(self.mark_in_buffer());
        }
        self.at = self.position_at(self.start);
        self.offset = next;
        self.buffer.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.end -= self.start;
        self.start = 0;
    }

    fn fill(&mut self) -> io::Result<()> {
        self.compact();
        let from = self.end;
        let replaced = if self.decode.is_some() {
            self.fill_decoded()?
        } else {
            self.fill_utf_8()?
        };
        self.check(from, replaced);
        Ok(())
    }

    /// Says whether something had to be replaced.
    fn fill_utf_8(&mut self) -> io::Result<bool> {
        if self.filled + CHUNK > self.buffer.len() {
            self.buffer.resize(self.filled + CHUNK, 0);
        }
        let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let mut read = read_some(&mut self.inner, room, &mut self.unread)?;
        self.count_bytes(read)?;
        self.finished = read == 0;
        if !self.begun {
            self.begun = true;
            if self.buffer.starts_with(b"\xEF\xBB\xBF") {
                self.buffer.copy_within(3..read, 0);
                read -= 3;
            }
        }
        self.filled += read;
        let new = self.buffer.get(self.end..self.filled).unwrap_or_default();
        let Err(error) = std::str::from_utf8(new) else {
            self.end = self.filled;
            return Ok(false);
        };
        if error.error_len().is_none() && !self.finished {
            self.end += error.valid_up_to();
            return Ok(false);
        }
        // Rare: what is no UTF-8 is replaced.
        let mut repaired = String::with_capacity(new.len() + 64);
        let mut chunks = new.utf8_chunks().peekable();
        let mut rest: &[u8] = &[];
        while let Some(chunk) = chunks.next() {
            repaired.push_str(chunk.valid());
            let incomplete = chunks.peek().is_none()
                && !self.finished
                && std::str::from_utf8(chunk.invalid())
                    .is_err_and(|error| error.error_len().is_none());
            if incomplete {
                rest = chunk.invalid();
            } else if !chunk.invalid().is_empty() {
                repaired.push('\u{FFFD}');
            }
        }
        let rest = rest.to_vec();
        self.buffer.truncate(self.end);
        self.buffer.extend_from_slice(repaired.as_bytes());
        self.end = self.buffer.len();
        self.buffer.extend_from_slice(&rest);
        self.filled = self.buffer.len();
        Ok(true)
    }

    /// Says whether something had to be replaced.
    fn fill_decoded(&mut self) -> io::Result<bool> {
        let mut read = 0;
        if self.raw.is_empty() {
            self.raw.resize(CHUNK, 0);
            read = read_some(&mut self.inner, &mut self.raw, &mut self.unread)?;
            self.raw.truncate(read);
            self.count_bytes(read)?;
        }
        let last = self.raw.is_empty() && read == 0;
        // `encoding_rs` needs at most three bytes of output per byte of input, and some at the end.
        let room = self.end + self.raw.len() * 3 + 16;
        if self.buffer.len() < room {
            self.buffer.resize(room, 0);
        }
        let output = self.buffer.get_mut(self.end..).unwrap_or_default();
        let (read, written, replaced) = self
            .decode
            .as_mut()
            .map_or((0, 0, false), |decode| decode(&self.raw, output, last));
        self.raw.drain(..read);
        self.end += written;
        self.filled = self.end;
        self.finished = last;
        Ok(replaced)
    }

    fn count_bytes(&mut self, read: usize) -> io::Result<()> {
        self.total += count(read);
        if self.total <= self.largest {
            return Ok(());
        }
        let text = format!("the file is larger than {} MiB", self.largest >> 20);
        self.unread = Some(text.clone());
        Err(io::Error::other(text))
    }

    /// Looks for characters that XML does not allow (production 2, `Char`) in what is new.
    fn check(&mut self, from: usize, replaced: bool) {
        let new = self.buffer.get(from..self.end).unwrap_or_default();
        let note = |offset: usize, text: String| {
            let at = self.position_at(from + offset);
            Some(Diagnostic::error((at.line, at.column), text))
        };
        if replaced && self.undecodable.is_none() {
            let offset = memchr::memmem::find(new, "\u{FFFD}".as_bytes()).unwrap_or_default();
            let text = "bytes that are no text in the encoding of the file";
            self.undecodable = note(offset, text.to_owned());
            return self.check(from, false);
        }
        if self.forbids_control
            && self.control.is_none()
            && has_control(new)
            && let Some(offset) = new.iter().position(|byte| is_control(*byte))
        {
            let byte = new.get(offset).copied().unwrap_or_default();
            let text = format!("control character U+{byte:04X}, which XML does not allow");
            self.control = note(offset, text);
        }
    }

    /// So much was read since the mark that something has to be done.
    #[cold]
    fn stop(&mut self) -> io::Result<()> {
        if self.token != Token::Whole {
            self.shorten()?;
        } else if self.taken > self.longest {
            let text = format!(
                "a single text or element is longer than {} MiB",
                self.longest >> 20
            );
            self.unread = Some(text.clone());
            return Err(io::Error::other(text));
        }
        Ok(())
    }

    /// Leaves out what there is of a text up to its last part.
    fn shorten(&mut self) -> io::Result<()> {
        let before = self.taken;
        let mut left_out = 0;
        loop {
            let ahead = self.buffer.get(self.start..self.end).unwrap_or_default();
            let end = match self.token {
                Token::Whole => Some(0),
                Token::Text => memchr::memchr2(b'<', b'&', ahead),
                Token::Until(mark) => memchr::memmem::find(ahead, mark),
            };
            let mut skip = end.unwrap_or(ahead.len()).saturating_sub(TEXT_TAIL);
            while ahead.get(skip).is_some_and(|byte| byte & 0xC0 == 0x80) {
                skip += 1;
            }
            self.start += skip;
            left_out += count(skip);
            if end.is_some() || self.finished {
                break;
            }
            self.fill()?;
        }
        self.token = Token::Whole;
        (self.taken, self.stop) = (0, self.longest);
        if left_out > 0 {
            self.cut = Some((before, left_out));
        }
        Ok(())
    }
}

fn read_some(
    inner: &mut impl Read,
    room: &mut [u8],
    unread: &mut Option<String>,
) -> io::Result<usize> {
    loop {
        match inner.read(room) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                *unread = Some(format!("the file could not be read: {error}"));
                return Err(error);
            }
            read => return read,
        }
    }
}

fn is_control(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')
}

/// Whether there is one. There is no way out of the first loop over a chunk, so that many bytes are
/// looked at at once; most chunks have no other small byte than newlines.
fn has_control(bytes: &[u8]) -> bool {
    let may_be = |byte: u8| byte < b' ' && byte != b'\n';
    bytes.chunks(4096).any(|chunk| {
        let found = chunk
            .iter()
            .fold(0, |found, byte| found | u8::from(may_be(*byte)));
        found > 0 && chunk.iter().any(|byte| is_control(*byte))
    })
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: Read> BufRead for Source<R> {
    #[inline]
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken >= self.stop {
            self.stop()?;
        }
        self.peek(1)
    }

    #[inline]
    fn consume(&mut self, amount: usize) {
        let amount = amount.min(self.end - self.start);
        self.taken += amount;
        self.start += amount;
    }
}

/// The decoder for a file with this beginning: a byte order mark decides, then the pattern of
/// UTF-16 without one, then the declaration, then UTF-8.
/// `None` stands for UTF-8.
fn decoder(head: &[u8]) -> Option<Decode> {
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
    if encoding == utf_8 {
        return None;
    }
    let mut decoder = encoding.new_decoder();
    Some(Box::new(move |input, output, last| {
        let (_, read, written, replaced) = decoder.decode_to_utf8(input, output, last);
        (read, written, replaced)
    }))
}

/// The beginning of a file as text, to recognise its format.
pub(super) fn beginning(head: &[u8]) -> String {
    let Some(mut decode) = decoder(head) else {
        let text = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
        return String::from_utf8_lossy(text).into_owned();
    };
    let mut text = vec![0; head.len() * 3 + 16];
    let (_, written, _) = decode(head, &mut text, false);
    text.truncate(written);
    String::from_utf8_lossy(&text).into_owned()
}
