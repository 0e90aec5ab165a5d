//! The bytes of a JSON file, fit to be read as a stream.
//!
//! `serde_json` holds every string whole, and remembers a byte for each level of what it passes
//! over. So strings are cut while the bytes come in, and there is a greatest depth. The place of
//! every byte in the file is known, whatever was left out before it.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

use super::model::Diagnostic;
use super::source::Source;

/// How deep arrays and objects may be nested. `serde_json` allows half of it in what it is asked
/// for, and any depth in what is passed over.
const DEEPEST: usize = 256;

/// Where in JSON a byte is.
#[derive(Debug, Clone, Copy)]
enum State {
    Outside,
    Inside,
    /// Behind a backslash.
    Escape,
    /// Behind `\u`.
    Hex,
}

/// The bytes of a file with its strings cut and its depth bounded.
///
/// Half a character in a string (`\ud83d` alone, as JavaScript writes a text that it has cut)
/// would be no string for `serde_json` and becomes U+FFFD.
pub(super) struct Cut<R> {
    source: Source<R>,
    /// Bytes of the source, how many of them were used, and where they began.
    chunk: Vec<u8>,
    used: usize,
    at: (u64, u64),
    /// Bytes to hand out.
    ready: VecDeque<u8>,
    longest: usize,
    state: State,
    depth: usize,
    /// Bytes of the string so far.
    length: usize,
    /// The rest of the string is left out.
    dropping: bool,
    /// An escape that has not ended.
    escape: Vec<u8>,
    /// One that is the first half of a character.
    half: Vec<u8>,
    /// What is wrong that `serde_json` does not know.
    problem: Option<String>,
}

/// What stands for half a character.
const REPLACEMENT: &[u8] = b"\\ufffd";

impl<R: Read> Cut<R> {
    /// Strings are cut behind `longest` bytes, as they are written in the file, or a little more:
    /// never within a character or an escape.
    pub(super) fn new(source: Source<R>, longest: usize) -> Self {
        Self {
            at: source.position(),
            // They are no JSON, and a complaint of `serde_json`.
            source: source.with_any_characters(),
            chunk: Vec::new(),
            used: 0,
            ready: VecDeque::new(),
            longest,
            state: State::Outside,
            depth: 0,
            length: 0,
            dropping: false,
            escape: Vec::new(),
            half: Vec::new(),
            problem: None,
        }
    }

    /// Where the byte is that was handed out last.
    pub(super) fn position(&self) -> (u64, u64) {
        // At the end of the file there is no byte, and `at` is behind the last one.
        let before = self.chunk.get(..self.used.saturating_sub(1));
        let text = String::from_utf8_lossy(before.unwrap_or_default());
        Source::<R>::position_in(self.at, &text)
    }

    /// Why the bytes ended, when that was not for the end of the file.
    pub(super) fn interruption(&mut self) -> Option<String> {
        self.problem.take().or(self.source.interruption())
    }

    /// What is wrong with the characters of the file.
    pub(super) fn faults(&mut self) -> impl Iterator<Item = Diagnostic> {
        self.source.faults()
    }

    fn refill(&mut self) -> io::Result<()> {
        self.at = self.source.position();
        self.chunk.clear();
        self.used = 0;
        // A string may be longer than what a source allows; it is not held.
        self.source.mark();
        let new = self.source.fill_buf()?;
        let amount = new.len();
        self.chunk.extend_from_slice(new);
        self.source.consume(amount);
        Ok(())
    }

    /// Whether the byte is handed out as it is, as most are; counts it then.
    fn is_plain(&mut self, byte: u8) -> bool {
        match self.state {
            State::Outside => !matches!(byte, b'"' | b'{' | b'[' | b'}' | b']'),
            State::Inside if self.length < self.longest && self.half.is_empty() => {
                let plain = !matches!(byte, b'"' | b'\\');
                self.length += usize::from(plain);
                plain
            }
            _ => false,
        }
    }

    /// Takes a byte of the file in.
    fn take(&mut self, byte: u8) -> io::Result<()> {
        match self.state {
            State::Outside => return self.take_outside(byte),
            State::Inside if byte == b'"' => {
                self.end_half();
                self.state = State::Outside;
                self.ready.push_back(byte);
            }
            State::Inside if byte == b'\\' => {
                // The second half of a character belongs to the first.
                self.dropping |= self.half.is_empty() && self.length >= self.longest;
                self.escape.push(byte);
                self.state = State::Escape;
            }
            State::Inside => {
                self.end_half();
                // Continuation bytes belong to the one before them.
                self.dropping |= byte & 0xC0 != 0x80 && self.length >= self.longest;
                self.length += 1;
                if !self.dropping {
                    self.ready.push_back(byte);
                }
            }
            State::Escape if byte == b'u' => {
                self.escape.push(byte);
                self.state = State::Hex;
            }
            State::Escape => {
                self.escape.push(byte);
                self.end_half();
                self.keep_escape();
            }
            State::Hex => {
                self.escape.push(byte);
                if let Some(digits) = self.escape.get(2..6) {
                    let digits = std::str::from_utf8(digits).unwrap_or_default();
                    // What is no number is left to `serde_json` to complain of.
                    self.end_of_hex(u16::from_str_radix(digits, 16).unwrap_or_default());
                }
            }
        }
        Ok(())
    }

    fn take_outside(&mut self, byte: u8) -> io::Result<()> {
        match byte {
            b'"' => {
                self.state = State::Inside;
                (self.length, self.dropping) = (0, false);
            }
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        if self.depth > DEEPEST {
            let text = format!("values are nested deeper than {DEEPEST}");
            self.problem = Some(text.clone());
            return Err(io::Error::other(text));
        }
        self.ready.push_back(byte);
        Ok(())
    }

    fn end_of_hex(&mut self, value: u16) {
        match value {
            0xD800..0xDC00 => {
                self.end_half();
                std::mem::swap(&mut self.half, &mut self.escape);
                self.state = State::Inside;
            }
            0xDC00..0xE000 if self.half.is_empty() => {
                self.escape.clear();
                self.escape.extend_from_slice(REPLACEMENT);
                self.keep_escape();
            }
            0xDC00..0xE000 => {
                self.half.append(&mut self.escape);
                std::mem::swap(&mut self.half, &mut self.escape);
                self.keep_escape();
            }
            _ => {
                self.end_half();
                self.keep_escape();
            }
        }
    }

    /// The first half of a character was not followed by the second.
    fn end_half(&mut self) {
        if !self.half.is_empty() {
            self.half.clear();
            self.length += REPLACEMENT.len();
            if !self.dropping {
                self.ready.extend(REPLACEMENT);
            }
        }
    }

    fn keep_escape(&mut self) {
        self.state = State::Inside;
        self.length += self.escape.len();
        if !self.dropping {
            self.ready.extend(&self.escape);
        }
        self.escape.clear();
    }
}

impl<R: Read> Read for Cut<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(slot) = buffer.first_mut() else {
            return Ok(0);
        };
        // One byte at a time is what `serde_json` asks for, and all that keeps the position.
        loop {
            if let Some(byte) = self.ready.pop_front() {
                *slot = byte;
                return Ok(1);
            }
            let Some(byte) = self.chunk.get(self.used).copied() else {
                self.refill()?;
                if self.chunk.is_empty() {
                    return Ok(0);
                }
                continue;
            };
            self.used += 1;
            if self.is_plain(byte) {
                *slot = byte;
                return Ok(1);
            }
            self.take(byte)?;
        }
    }
}
