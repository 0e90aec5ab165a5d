//! The index of a log: a head, then records of 40 bytes, all little endian.
//!
//! ```text
//! head:   "HERALDL3" | u64 hole start | u64 hole end | u64 dropped | 8 × 0
//! record: u64 offset | u64 unix ms | u64 position | u32 length | u32 step | u8 stream | u24 lines | u32 check
//! ```
//!
//! `lines` is twice the number of line ends in the piece, and one more where a line goes on after it. So
//! lines keep their numbers when the middle of a log is left out, and are found without reading all of it.

use crate::protocol::Stream;

/// The size of the head and of each record, in bytes.
pub(super) const SIZE: usize = 40;
/// The most line ends that one record can tell of.
pub(super) const MOST_LINES: u32 = (1 << 23) - 1;
const MAGIC: &[u8; 8] = b"HERALDL3";

/// A piece of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Where it begins in the log's data, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u32,
    /// When it was read from the step, in unix milliseconds.
    pub unix_ms: u64,
    /// Where the last of it stood in the job: what the writer was told.
    pub position: u64,
    /// The step's index.
    pub step: u32,
    /// Which of its streams.
    pub stream: Stream,
    /// How many line ends are in it.
    pub lines: u32,
    /// Whether it ends inside a line.
    pub open: bool,
}

impl Record {
    /// The offset after its last byte.
    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.length))
    }

    pub(super) fn bytes(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        let lines = (self.lines << 1) | u32::from(self.open);
        let fields = self
            .offset
            .to_le_bytes()
            .into_iter()
            .chain(self.unix_ms.to_le_bytes())
            .chain(self.position.to_le_bytes())
            .chain(self.length.to_le_bytes())
            .chain(self.step.to_le_bytes())
            .chain([self.stream.code()])
            .chain(lines.to_le_bytes());
        for (place, byte) in bytes.iter_mut().zip(fields) {
            *place = byte;
        }
        let check = check(&bytes).to_le_bytes();
        for (place, byte) in bytes.iter_mut().skip(SIZE - 4).zip(check) {
            *place = byte;
        }
        bytes
    }

    /// Reads a record back; `None` when it was not written whole.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (offset, rest) = bytes.split_first_chunk::<8>()?;
        let (unix_ms, rest) = rest.split_first_chunk::<8>()?;
        let (position, rest) = rest.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (step, rest) = rest.split_first_chunk::<4>()?;
        let (stream, rest) = rest.split_first()?;
        let ([low, middle, high], _) = rest.split_first_chunk::<3>()?;
        let lines = u32::from_le_bytes([*low, *middle, *high, 0]);
        let (_, written) = rest.split_last_chunk::<4>()?;
        if u32::from_le_bytes(*written) != check(bytes) {
            return None;
        }
        Some(Self {
            offset: u64::from_le_bytes(*offset),
            unix_ms: u64::from_le_bytes(*unix_ms),
            position: u64::from_le_bytes(*position),
            length: u32::from_le_bytes(*length),
            step: u32::from_le_bytes(*step),
            stream: Stream::from_code(*stream)?,
            lines: lines >> 1,
            open: lines & 1 == 1,
        })
    }
}

/// FNV-1a over all but the check itself: enough to know a torn record.
fn check(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .take(SIZE - 4)
        .fold(0x811c_9dc5, |hash: u32, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        })
}

/// What is left out of a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hole {
    /// Where the hole in the data begins; the end of the beginning that stays.
    pub(super) start: u64,
    /// Where it ends; equal to `start` when there is none.
    pub(super) end: u64,
    /// How many bytes after the data were not kept at all.
    pub(super) dropped: u64,
}

impl Hole {
    pub(super) fn bytes(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        let fields = MAGIC
            .iter()
            .copied()
            .chain(self.start.to_le_bytes())
            .chain(self.end.to_le_bytes())
            .chain(self.dropped.to_le_bytes());
        for (place, byte) in bytes.iter_mut().zip(fields) {
            *place = byte;
        }
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (start, rest) = rest.split_first_chunk::<8>()?;
        let (end, rest) = rest.split_first_chunk::<8>()?;
        let (dropped, _) = rest.split_first_chunk::<8>()?;
        Some(Self {
            start: u64::from_le_bytes(*start),
            end: u64::from_le_bytes(*end),
            dropped: u64::from_le_bytes(*dropped),
        })
    }
}
