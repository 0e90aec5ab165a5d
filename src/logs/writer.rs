//! Appending to a log.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use nix::fcntl::{FallocateFlags, fallocate};

use super::index::{Hole, MOST_LINES, Record, SIZE};
use crate::ports::error::{PortError, Result};
use crate::ports::logs::LogWriter;
use crate::protocol::Stream;

/// How long logs may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceiling {
    /// A log up to this length is kept whole, in bytes.
    pub whole: u64,
    /// Of a longer one, so much stays of its beginning and of its end, in bytes.
    pub ends: u64,
}

impl Ceiling {
    /// The ceiling for a limit (`HERALD_LOG_MAX`, in bytes): of a longer log the first and last
    /// 64 MiB stay, or half of the limit each where that is less.
    pub fn of(limit: u64) -> Self {
        Self {
            whole: limit,
            ends: (limit / 2).min(64 * 1024 * 1024),
        }
    }
}

/// So many records tell times and streams apart; after them only steps are.
const RECORDS: u64 = 4_000_000;
/// How far the border of a line is looked for.
const LINE: u64 = 64 * 1024;

/// What is left of a log whose writer ended without a word.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Found {
    /// How many records are whole.
    pub(super) records: u64,
    /// The last of them.
    pub(super) last: Option<Record>,
    /// What is left out.
    pub(super) hole: Hole,
}

/// Writes one log.
pub(super) struct FileWriter {
    data: File,
    index: File,
    ceiling: Ceiling,
    /// Length of the data, with the hole.
    length: u64,
    records: u64,
    last: Option<Record>,
    hole: Hole,
}

impl FileWriter {
    pub(super) fn new(data: File, index: File, ceiling: Ceiling) -> io::Result<Self> {
        let writer = Self {
            data,
            index,
            ceiling,
            length: 0,
            records: 0,
            last: None,
            hole: Hole::default(),
        };
        writer.write_head()?;
        Ok(writer)
    }

    /// Goes on with a log whose last records are these.
    pub(super) fn again(
        data: File,
        index: File,
        ceiling: Ceiling,
        found: Found,
    ) -> io::Result<Self> {
        // What was written without its record was not confirmed, and comes again.
        data.set_len(found.last.map_or(0, |last| last.end()))?;
        index.set_len((found.records + 1).saturating_mul(SIZE as u64))?;
        Ok(Self {
            data,
            index,
            ceiling,
            length: found.last.map_or(0, |last| last.end()),
            records: found.records,
            last: found.last,
            hole: found.hole,
        })
    }

    fn write_head(&self) -> io::Result<()> {
        self.index.write_all_at(&self.hole.bytes(), 0)
    }

    fn write(&mut self, record: Record, bytes: &[u8]) -> io::Result<()> {
        if self.hole.dropped > 0 {
            self.hole.dropped = self.hole.dropped.saturating_add(bytes.len() as u64);
            self.write_head()?;
            return self.write_position(record.position);
        }
        // The bytes first: a record without bytes is ignored, bytes without a record are lost.
        self.data.write_all_at(bytes, self.length)?;
        let record = match self.last {
            Some(last) if self.joins(&last, &record) => Record {
                length: last.length + record.length,
                position: record.position,
                lines: last.lines + record.lines,
                open: record.open,
                ..last
            },
            _ => {
                self.records += 1;
                record
            }
        };
        let place = self.records.saturating_mul(SIZE as u64);
        self.index.write_all_at(&record.bytes(), place)?;
        self.last = Some(record);
        self.length = record.end();
        let tail = self.length.saturating_sub(self.hole.end);
        let slack = self.ceiling.ends / 16;
        if self.length > self.ceiling.whole && tail > self.ceiling.ends.saturating_add(slack) {
            self.leave_out(self.length - self.ceiling.ends)?;
        }
        Ok(())
    }

    /// Notes how far the job is, without any output.
    fn write_position(&mut self, position: u64) -> io::Result<()> {
        let record = match self.last {
            Some(last) => Record { position, ..last },
            None => {
                self.records += 1;
                Record {
                    offset: self.length,
                    length: 0,
                    unix_ms: 0,
                    position,
                    step: u32::MAX,
                    stream: Stream::Stderr,
                    lines: 0,
                    open: false,
                }
            }
        };
        let place = self.records.saturating_mul(SIZE as u64);
        self.index.write_all_at(&record.bytes(), place)?;
        self.last = Some(record);
        Ok(())
    }

    /// Whether a piece can be told together with the one before it.
    fn joins(&self, last: &Record, next: &Record) -> bool {
        let alike = last.stream == next.stream && last.unix_ms == next.unix_ms;
        last.step == next.step
            && (alike || self.records >= RECORDS)
            && last.length.checked_add(next.length).is_some()
            && last.lines + next.lines <= MOST_LINES
    }

    /// Makes the hole reach to `end`.
    fn leave_out(&mut self, end: u64) -> io::Result<()> {
        if self.hole.end == 0 {
            self.hole.start = self.line_before(self.ceiling.ends)?;
            self.hole.end = self.hole.start;
        }
        let from = self.hole.end.max(self.hole.start);
        if end <= from {
            return Ok(());
        }
        // Readers must know of the hole before there is one.
        self.hole.end = end;
        self.write_head()?;
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let (Ok(start), Ok(length)) = (i64::try_from(from), i64::try_from(end - from)) else {
            return Ok(());
        };
        match fallocate(self.data.as_fd(), flags, start, length) {
            Ok(()) => Ok(()),
            // A file system without holes: the end cannot be followed, so what follows is counted.
            Err(nix::errno::Errno::EOPNOTSUPP) => {
                self.hole.end = from;
                self.hole.dropped = 1;
                self.write_head()
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The offset after the last line that ends before `offset`, or `offset`.
    fn line_before(&self, offset: u64) -> io::Result<u64> {
        let from = offset.saturating_sub(LINE);
        let block = self.read(from, offset)?;
        let end = block.iter().rposition(|byte| *byte == b'\n');
        Ok(end.map_or(offset, |end| from + end as u64 + 1))
    }

    /// The offset of the first line that begins after `offset`, or `offset`.
    fn line_after(&self, offset: u64) -> io::Result<u64> {
        let block = self.read(offset, self.length.min(offset.saturating_add(LINE)))?;
        let end = block.iter().position(|byte| *byte == b'\n');
        Ok(end.map_or(offset, |end| offset + end as u64 + 1))
    }

    fn read(&self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let length = usize::try_from(to.saturating_sub(from)).unwrap_or(0);
        let mut block = vec![0; length];
        self.data.read_exact_at(&mut block, from)?;
        Ok(block)
    }

    fn end(&mut self) -> io::Result<()> {
        if self.hole.end > self.hole.start && self.hole.dropped == 0 {
            let end = self.line_after(self.length.saturating_sub(self.ceiling.ends))?;
            self.leave_out(end)?;
        }
        self.data.sync_data()?;
        self.index.sync_data()
    }
}

impl LogWriter for FileWriter {
    fn append(
        &mut self,
        step: u32,
        stream: Stream,
        unix_ms: u64,
        position: u64,
        bytes: &[u8],
    ) -> Result<()> {
        // A record can tell of 4 GiB and of 8 million lines; pieces are 64 KiB.
        for bytes in bytes.chunks(1 << 22) {
            let lines = memchr::memchr_iter(b'\n', bytes).count();
            let record = Record {
                offset: self.length,
                length: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
                unix_ms,
                position,
                step,
                stream,
                lines: u32::try_from(lines).unwrap_or(MOST_LINES),
                open: bytes.last().is_some_and(|last| *last != b'\n'),
            };
            self.write(record, bytes)
                .map_err(|error| PortError::transient(format!("write a log: {error}")))?;
        }
        Ok(())
    }

    fn mark(&mut self, position: u64) -> Result<()> {
        self.write_position(position)
            .map_err(|error| PortError::transient(format!("write a log: {error}")))
    }

    fn finish(&mut self) -> Result<()> {
        self.end()
            .map_err(|error| PortError::transient(format!("finish a log: {error}")))
    }
}
