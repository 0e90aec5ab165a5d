//! Frames: a length, a kind, a number, and the payload.
//!
//! ```text
//! u32 length of what follows | u8 kind | u64 number | payload          (little endian)
//! ```
//! Numbers begin with 1 and grow by 1 in each direction, so that after a broken connection nothing
//! is counted twice and a gap is seen.

use std::io::{self, Read, Write};

use super::message::{FromRunner, Stream, ToRunner};

/// The longest frame, in bytes, without its length field.
pub const MAX_FRAME: usize = 1024 * 1024;

/// Kind and number.
const HEAD: usize = 1 + 8;
/// Step, stream and time of a piece of output.
const OUTPUT_HEAD: usize = 4 + 1 + 8;

/// Why a stream of messages cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// A frame is longer than [`MAX_FRAME`], or too short to be one.
    #[error("a message of {0} bytes is not allowed")]
    Length(usize),
    /// The number is not the next one.
    #[error("message number {found} where {expected} was due")]
    Number {
        /// The number that was due.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// The kind is not one of this protocol.
    #[error("unknown kind of message: {0}")]
    Kind(u8),
    /// The payload is not what its kind says.
    #[error("broken message: {0}")]
    Payload(String),
    /// The other side speaks another version of the protocol.
    #[error(
        "the runner (herald {version}) speaks version {found} of the protocol and this server \
         version {expected}: install the runner that belongs to this server"
    )]
    Version {
        /// The version spoken here.
        expected: u32,
        /// The version spoken there.
        found: u32,
        /// The other side's own version.
        version: String,
    },
    /// The stream ended within a frame.
    #[error("the stream ended in the middle of a message")]
    Truncated,
    /// The stream failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// A message that can be put into a frame.
pub trait Message: Sized {
    /// Its kind, and its payload appended to `payload`.
    fn write(&self, payload: &mut Vec<u8>) -> Result<u8, ProtocolError>;
    /// Reads it back.
    fn read(kind: u8, payload: &[u8]) -> Result<Self, ProtocolError>;
}

/// A piece of output that is sent from where it is; see [`FromRunner::Output`].
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// The step.
    pub step: u32,
    /// The stream.
    pub stream: Stream,
    /// When the last of these bytes was read, in unix milliseconds.
    pub unix_ms: u64,
    /// The bytes.
    pub bytes: &'a [u8],
}

impl Piece<'_> {
    fn write(&self, payload: &mut Vec<u8>) -> u8 {
        payload.reserve_exact(OUTPUT_HEAD + self.bytes.len());
        payload.extend_from_slice(&self.step.to_le_bytes());
        payload.push(self.stream.code());
        payload.extend_from_slice(&self.unix_ms.to_le_bytes());
        payload.extend_from_slice(self.bytes);
        OUTPUT
    }
}

/// Numbers messages and turns them into frames.
#[derive(Debug, Default)]
pub struct Encoder {
    sent: u64,
}

impl Encoder {
    /// How many messages have been numbered.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Numbers the next message `sent + 1` again; for messages that are said anew.
    pub fn rewind(&mut self, sent: u64) {
        self.sent = sent;
    }

    /// The frame of the next message.
    ///
    /// # Errors
    /// `Length` when it does not fit; its number is not used up then.
    pub fn frame(&mut self, message: &impl Message) -> Result<Vec<u8>, ProtocolError> {
        self.number(|payload| message.write(payload))
    }

    /// The frame of a piece of output, as [`Encoder::frame`] makes it of [`FromRunner::Output`].
    ///
    /// # Errors
    /// As [`Encoder::frame`].
    pub fn output(&mut self, piece: Piece<'_>) -> Result<Vec<u8>, ProtocolError> {
        self.number(|payload| Ok(piece.write(payload)))
    }

    fn number(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<u8, ProtocolError>,
    ) -> Result<Vec<u8>, ProtocolError> {
        let mut frame = vec![0; 4 + HEAD];
        let kind = write(&mut frame)?;
        let length = frame.len() - 4;
        if length > MAX_FRAME {
            return Err(ProtocolError::Length(length));
        }
        let number = self.sent + 1;
        let head = u32::try_from(length)
            .unwrap_or(u32::MAX)
            .to_le_bytes()
            .into_iter()
            .chain([kind])
            .chain(number.to_le_bytes());
        for (place, byte) in frame.iter_mut().zip(head) {
            *place = byte;
        }
        self.sent = number;
        Ok(frame)
    }

    /// Writes the frame of the next message and flushes.
    ///
    /// # Errors
    /// As [`Encoder::frame`], and `Io`.
    pub fn send(
        &mut self,
        output: &mut impl Write,
        message: &impl Message,
    ) -> Result<(), ProtocolError> {
        let frame = self.frame(message)?;
        output.write_all(&frame)?;
        output.flush()?;
        Ok(())
    }
}

/// Turns bytes, in pieces of any size, back into messages.
///
/// It holds at most one frame beside the piece that it was given last.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// How much of the buffer has been read.
    start: usize,
    received: u64,
    /// Whether message number 1 begins a new count.
    restarts: bool,
}

impl Decoder {
    /// A decoder whose other side may be replaced, and then numbers from 1 again.
    pub fn restarting() -> Self {
        Self {
            restarts: true,
            ..Self::default()
        }
    }

    /// A decoder for what follows message number `received`.
    pub fn after(received: u64) -> Self {
        Self {
            received,
            ..Self::default()
        }
    }

    /// The number of the last message.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Takes bytes in. Take all messages out before giving more.
    pub fn push(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).extend_from_slice(bytes);
    }

    /// Where at least so many more bytes can be appended, which are taken in by that. Take all
    /// messages out before asking for it.
    pub fn room(&mut self, length: usize) -> &mut Vec<u8> {
        if self.start > 0 {
            self.buffer.drain(..self.start.min(self.buffer.len()));
            self.start = 0;
        }
        self.buffer.reserve(length);
        &mut self.buffer
    }

    /// The next whole message; `None` when more bytes are needed.
    ///
    /// # Errors
    /// Every [`ProtocolError`] but `Io` and `Truncated`; the stream is of no use after it.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would hide the error's weight"
    )]
    pub fn next<M: Message>(&mut self) -> Result<Option<M>, ProtocolError> {
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        let Some((length, rest)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if !(HEAD..=MAX_FRAME).contains(&length) {
            return Err(ProtocolError::Length(length));
        }
        let Some(frame) = rest.get(..length) else {
            return Ok(None);
        };
        let (Some((kind, after)), expected) = (frame.split_first(), self.received + 1) else {
            return Err(ProtocolError::Length(length));
        };
        let Some((number, payload)) = after.split_first_chunk::<8>() else {
            return Err(ProtocolError::Length(length));
        };
        let found = u64::from_le_bytes(*number);
        if found != expected && !(self.restarts && found == 1) {
            return Err(ProtocolError::Number { expected, found });
        }
        let message = M::read(*kind, payload)?;
        self.received = found;
        self.start += 4 + length;
        Ok(Some(message))
    }

    /// Reads from a blocking stream until there is a message; `None` at the stream's end.
    ///
    /// # Errors
    /// Every [`ProtocolError`].
    pub fn receive<M: Message>(
        &mut self,
        input: &mut impl Read,
    ) -> Result<Option<M>, ProtocolError> {
        let mut block = vec![0; 64 * 1024];
        loop {
            if let Some(message) = self.next()? {
                return Ok(Some(message));
            }
            match input.read(&mut block) {
                Ok(0) => return self.end().map(|()| None),
                Ok(length) => self.push(block.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether the stream may end here.
    ///
    /// # Errors
    /// `Truncated` when it may not.
    pub fn end(&self) -> Result<(), ProtocolError> {
        if self.start < self.buffer.len() {
            Err(ProtocolError::Truncated)
        } else {
            Ok(())
        }
    }
}

// The two directions have kinds of their own, so that a message sent back by mistake is refused.
const TO_RUNNER: u8 = 1;
const FROM_RUNNER: u8 = 2;
const OUTPUT: u8 = 3;
const FILE_CHUNK: u8 = 4;
const ARCHIVE_CHUNK: u8 = 5;

impl Message for ToRunner {
    fn write(&self, payload: &mut Vec<u8>) -> Result<u8, ProtocolError> {
        if let Self::Chunk { bytes } = self {
            payload.extend_from_slice(bytes);
            return Ok(ARCHIVE_CHUNK);
        }
        json(payload, self).map(|()| TO_RUNNER)
    }

    fn read(kind: u8, payload: &[u8]) -> Result<Self, ProtocolError> {
        match kind {
            TO_RUNNER => from_json(payload),
            ARCHIVE_CHUNK => Ok(Self::Chunk {
                bytes: payload.to_vec(),
            }),
            other => Err(ProtocolError::Kind(other)),
        }
    }
}

impl Message for FromRunner {
    fn write(&self, payload: &mut Vec<u8>) -> Result<u8, ProtocolError> {
        match self {
            Self::Output {
                step,
                stream,
                unix_ms,
                bytes,
            } => Ok(Piece {
                step: *step,
                stream: *stream,
                unix_ms: *unix_ms,
                bytes,
            }
            .write(payload)),
            Self::FileChunk { bytes } => {
                payload.extend_from_slice(bytes);
                Ok(FILE_CHUNK)
            }
            other => json(payload, other).map(|()| FROM_RUNNER),
        }
    }

    fn read(kind: u8, payload: &[u8]) -> Result<Self, ProtocolError> {
        match kind {
            OUTPUT => output(payload)
                .ok_or_else(|| ProtocolError::Payload("a piece of output is cut off".to_owned())),
            FILE_CHUNK => Ok(Self::FileChunk {
                bytes: payload.to_vec(),
            }),
            FROM_RUNNER => from_json(payload),
            other => Err(ProtocolError::Kind(other)),
        }
    }
}

fn output(payload: &[u8]) -> Option<FromRunner> {
    let (step, rest) = payload.split_first_chunk::<4>()?;
    let (stream, rest) = rest.split_first()?;
    let (unix_ms, bytes) = rest.split_first_chunk::<8>()?;
    Some(FromRunner::Output {
        step: u32::from_le_bytes(*step),
        stream: Stream::from_code(*stream)?,
        unix_ms: u64::from_le_bytes(*unix_ms),
        bytes: bytes.to_vec(),
    })
}

fn json(payload: &mut Vec<u8>, value: &impl serde::Serialize) -> Result<(), ProtocolError> {
    serde_json::to_writer(payload, value).map_err(|error| ProtocolError::Payload(error.to_string()))
}

fn from_json<T: serde::de::DeserializeOwned>(payload: &[u8]) -> Result<T, ProtocolError> {
    serde_json::from_slice(payload).map_err(|error| ProtocolError::Payload(error.to_string()))
}
