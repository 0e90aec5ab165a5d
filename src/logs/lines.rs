//! Where the lines of each step are.
//!
//! The index tells of every piece how many line ends it has. Added up, with a mark at every so many
//! records, that leads to any line of a log by reading one stretch of the index and one piece of the
//! data. The sums are kept in memory for the logs that were read last, and go on where they ended when
//! a log has grown; without them they are made anew.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::file::{Identity, Log};
use super::index::{Hole, Record};
use crate::ports::logs::{LineSlice, LogKey, StepLines};

/// Records from one mark of a step to the next, at least.
const EVERY: u64 = 512;
/// Logs whose sums are kept.
const KEPT: usize = 64;
/// Bytes that are searched for line ends at once.
const BLOCK: u64 = 64 * 1024;

/// The sums of the logs that were read last.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<Logs>);

#[derive(Debug, Default)]
struct Logs {
    logs: HashMap<LogKey, (u64, Shared)>,
    /// Counts how often one was asked for.
    asked: u64,
}

/// The sums of one log.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Lines>>);

impl Known {
    /// The sums of this log.
    pub(super) fn of(&self, key: &LogKey) -> Shared {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.asked += 1;
        let asked = known.asked;
        if !known.logs.contains_key(key) && known.logs.len() >= KEPT {
            let oldest = known.logs.iter().min_by_key(|(_, (asked, _))| *asked);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                known.logs.remove(&oldest);
            }
        }
        let (last, shared) = known.logs.entry(key.clone()).or_default();
        *last = asked;
        shared.clone()
    }

    /// A log of this name is begun anew.
    pub(super) fn forget(&self, key: &LogKey) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.logs.remove(key);
    }
}

impl Shared {
    /// Reads with the sums. The log is opened by `read`, so that nobody comes with an older one.
    pub(super) fn with<T>(&self, read: impl FnOnce(&mut Lines) -> T) -> T {
        read(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The sums over the records of a log.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Which file they are of.
    identity: Option<Identity>,
    /// How many records are in them: all but the last one, which may still become longer.
    settled: u64,
    tail: Option<Record>,
    steps: BTreeMap<u32, Sum>,
    /// What is left out of each step, and by which hole.
    left_out: (Hole, BTreeMap<u32, (u64, u64)>),
}

/// How far a step is.
#[derive(Debug, Default)]
struct Sum {
    marks: Vec<Mark>,
    ends: u64,
    open: bool,
}

/// A record, and what its step had written before it.
#[derive(Debug, Clone, Copy)]
struct Mark {
    record: u64,
    offset: u64,
    ends: u64,
    open: bool,
}

impl Lines {
    /// How many lines each step has.
    pub(super) fn counts(&mut self, log: &Log) -> io::Result<Vec<StepLines>> {
        self.catch_up(log)?;
        let steps: Vec<u32> = self.steps.keys().copied().collect();
        let counts = steps.into_iter().map(|step| StepLines {
            step,
            lines: self.total(step),
            left_out: self.left_out.1.get(&step).copied(),
        });
        Ok(counts.filter(|counts| counts.lines > 0).collect())
    }

    /// Lines of a step, from this one on.
    pub(super) fn read(
        &mut self,
        log: &Log,
        step: u32,
        from: u64,
        limit: usize,
    ) -> io::Result<LineSlice> {
        self.catch_up(log)?;
        let mut first = from.max(1);
        if let Some((gone, last)) = self.left_out.1.get(&step)
            && (*gone..=*last).contains(&first)
        {
            first = last + 1;
        }
        let mut slice = LineSlice {
            first,
            total: self.total(step),
            ..LineSlice::default()
        };
        if first > slice.total || limit == 0 {
            return Ok(slice);
        }
        let mut taking = Taking::new(log, first, limit);
        self.walk(
            log,
            step,
            |mark| mark.ends < first - 1,
            |record, before| taking.take(record, before),
        )?;
        taking.finish(&mut slice)?;
        Ok(slice)
    }

    /// The number of a step's last line.
    fn total(&self, step: u32) -> u64 {
        let (mut ends, mut open) = self
            .steps
            .get(&step)
            .map_or((0, false), |sum| (sum.ends, sum.open));
        if let Some(tail) = self
            .tail
            .filter(|tail| tail.step == step && tail.length > 0)
        {
            ends += u64::from(tail.lines);
            open = tail.open;
        }
        ends + u64::from(open)
    }

    /// Takes in what was written since.
    fn catch_up(&mut self, log: &Log) -> io::Result<()> {
        const MOST: usize = 2048;
        let identity = Some(log.identity()?);
        if self.identity != identity || log.records(self.settled, 1)?.is_empty() {
            *self = Self {
                identity,
                ..Self::default()
            };
        }
        self.tail = None;
        loop {
            let from = self.settled + u64::from(self.tail.is_some());
            let records = log.records(from, MOST)?;
            let last = records.len() < MOST;
            for record in records {
                if let Some(settled) = self.tail.replace(record) {
                    self.settle(&settled);
                }
            }
            if last {
                break;
            }
        }
        if let Some(tail) = self.tail.filter(|tail| tail.length > 0) {
            self.steps.entry(tail.step).or_default();
        }
        if self.left_out.0 != log.hole {
            self.left_out = (log.hole, BTreeMap::new());
            let steps: Vec<u32> = self.steps.keys().copied().collect();
            for step in steps {
                if let Some(lines) = self.find_left_out(log, step)? {
                    self.left_out.1.insert(step, lines);
                }
            }
        }
        Ok(())
    }

    fn settle(&mut self, record: &Record) {
        if record.length > 0 {
            let sum = self.steps.entry(record.step).or_default();
            let due = |mark: &Mark| self.settled - mark.record >= EVERY;
            if sum.marks.last().is_none_or(due) {
                sum.marks.push(Mark {
                    record: self.settled,
                    offset: record.offset,
                    ends: sum.ends,
                    open: sum.open,
                });
            }
            sum.ends += u64::from(record.lines);
            sum.open = record.open;
        }
        self.settled += 1;
    }

    /// The first and the last line of a step that the hole has swallowed whole.
    fn find_left_out(&self, log: &Log, step: u32) -> io::Result<Option<(u64, u64)>> {
        let Hole { start, end, .. } = log.hole;
        let (mut first, mut last) = (None, None);
        let mut failed = None;
        let near = |edge: u64, take: &mut dyn FnMut(&Record, Mark)| {
            self.walk(
                log,
                step,
                |mark| mark.offset <= start || mark.offset < edge,
                |record, before| {
                    if record.offset < end && record.end() > start {
                        take(record, before);
                    }
                    record.offset <= edge
                },
            )
        };
        near(start, &mut |record, before| {
            if first.is_none() {
                match ends(log, record.offset, record.end().min(start)) {
                    Ok(head) => first = Some(before.ends + head + 1),
                    Err(error) => failed = Some(error),
                }
            }
        })?;
        near(
            end,
            &mut |record, before| match ends(log, record.offset.max(end), record.end()) {
                Ok(rest) => last = Some(before.ends + u64::from(record.lines) - rest),
                Err(error) => failed = Some(error),
            },
        )?;
        if let Some(error) = failed {
            return Err(error);
        }
        Ok(first.zip(last).filter(|(first, last)| first <= last))
    }

    /// Goes through the records of a step, with what was before each, from the last mark on of which
    /// `before` holds, until `take` has had enough.
    fn walk(
        &self,
        log: &Log,
        step: u32,
        before: impl Fn(&Mark) -> bool,
        mut take: impl FnMut(&Record, Mark) -> bool,
    ) -> io::Result<()> {
        let Some(sum) = self.steps.get(&step) else {
            return Ok(());
        };
        let end = Mark {
            record: self.settled,
            offset: self.tail.map_or(u64::MAX, |tail| tail.offset),
            ends: sum.ends,
            open: sum.open,
        };
        let start = sum.marks.partition_point(before).saturating_sub(1);
        // The last stretch is the record that is not settled.
        let marks = sum.marks.iter().skip(start).copied().chain([end]);
        for mark in marks {
            let mut at = mark;
            let stretch = if mark.record == self.settled {
                1
            } else {
                EVERY
            };
            let most = stretch.min(self.settled.saturating_sub(mark.record).max(1));
            let records = log.records(mark.record, usize::try_from(most).unwrap_or(1))?;
            for record in records {
                // The last record may have become longer since the sums were made.
                let record = self
                    .tail
                    .filter(|tail| at.record == self.settled && tail.offset == record.offset)
                    .unwrap_or(record);
                at.offset = record.offset;
                if record.step == step && record.length > 0 {
                    if !take(&record, at) {
                        return Ok(());
                    }
                    at.ends += u64::from(record.lines);
                    at.open = record.open;
                }
                at.record += 1;
            }
        }
        Ok(())
    }
}

/// How many line ends are between two offsets.
fn ends(log: &Log, mut from: u64, to: u64) -> io::Result<u64> {
    let mut count = 0;
    while from < to {
        let block = log.data(from, to.min(from + BLOCK), usize::MAX)?;
        if block.is_empty() {
            break;
        }
        count += memchr::memchr_iter(b'\n', &block).count() as u64;
        from += block.len() as u64;
    }
    Ok(count)
}

/// The offset after the so-manieth line end between two offsets, or how many there are.
fn after_end(log: &Log, mut from: u64, to: u64, mut wanted: u64) -> io::Result<Result<u64, u64>> {
    let mut count = 0;
    if wanted == 0 {
        return Ok(Ok(from));
    }
    while from < to {
        let block = log.data(from, to.min(from + BLOCK), usize::MAX)?;
        if block.is_empty() {
            break;
        }
        for end in memchr::memchr_iter(b'\n', &block) {
            count += 1;
            wanted -= 1;
            if wanted == 0 {
                return Ok(Ok(from + end as u64 + 1));
            }
        }
        from += block.len() as u64;
    }
    Ok(Err(count))
}

/// Lines that are being read.
struct Taking<'a> {
    log: &'a Log,
    first: u64,
    limit: usize,
    bytes: Vec<u8>,
    times: Vec<(u64, u64)>,
    /// What was met and is not read yet.
    range: Option<(u64, u64)>,
    /// Whether more follows than what is taken.
    cut: bool,
    failed: Option<io::Error>,
}

impl<'a> Taking<'a> {
    fn new(log: &'a Log, first: u64, limit: usize) -> Self {
        Self {
            log,
            first,
            limit,
            bytes: Vec::new(),
            times: Vec::new(),
            range: None,
            cut: false,
            failed: None,
        }
    }

    /// Takes from a record; whether more is wanted.
    fn take(&mut self, record: &Record, before: Mark) -> bool {
        match self.add(record, before) {
            Ok(more) => more,
            Err(error) => {
                self.failed = Some(error);
                false
            }
        }
    }

    fn add(&mut self, record: &Record, before: Mark) -> io::Result<bool> {
        let hole = self.log.hole;
        let in_hole = |offset: u64| (hole.start..hole.end).contains(&offset);
        let (begins, from) = match self.range {
            Some(_) if in_hole(record.offset) => {
                self.cut = true;
                return Ok(false);
            }
            Some(_) => (before.ends + 1 + u64::from(before.open), record.offset),
            None => match self.start(record, before)? {
                Some(from) if !in_hole(from) => (self.first, from),
                _ => return Ok(true),
            },
        };
        if from < record.end() {
            self.note_time(begins, record.unix_ms);
        }
        let inside = from < hole.start && record.end() > hole.start && hole.start < hole.end;
        let to = if inside { hole.start } else { record.end() };
        match &mut self.range {
            Some((_, end)) if *end == from => *end = to,
            Some(_) => {
                self.fill()?;
                self.range = Some((from, to));
            }
            None => self.range = Some((from, to)),
        }
        let waiting = self.range.map_or(0, |(from, to)| to - from);
        let full = self.bytes.len() as u64 + waiting > self.limit as u64;
        self.cut = full || inside;
        Ok(!self.cut)
    }

    fn note_time(&mut self, line: u64, unix_ms: u64) {
        match self.times.last_mut() {
            Some((_, last)) if *last == unix_ms => {}
            // No line began in the record before this one.
            Some((same, last)) if *same == line => *last = unix_ms,
            _ => self.times.push((line, unix_ms)),
        }
    }

    /// Where in a record the first line begins.
    fn start(&self, record: &Record, before: Mark) -> io::Result<Option<u64>> {
        let Some(wanted) = (self.first - 1).checked_sub(before.ends) else {
            return Ok(Some(record.offset));
        };
        let hole = self.log.hole;
        let head = record.end().min(hole.start.max(record.offset));
        let (head, tail) = if hole.start < hole.end && record.end() > hole.start {
            (head, record.offset.max(hole.end).min(record.end()))
        } else {
            (record.end(), record.end())
        };
        if wanted == 0 && (head > record.offset || tail == record.offset) {
            return Ok(Some(record.offset));
        }
        let lines = u64::from(record.lines);
        if wanted > lines {
            return Ok(None);
        }
        let in_head = match after_end(self.log, record.offset, head, wanted)? {
            Ok(place) if wanted > 0 => return Ok(Some(place)),
            Ok(_) => 0,
            Err(count) => count,
        };
        let in_tail = ends(self.log, tail, record.end())?;
        let hidden = lines.saturating_sub(in_head + in_tail);
        let wanted = wanted.saturating_sub(in_head + hidden);
        Ok(after_end(self.log, tail, record.end(), wanted)?.ok())
    }

    /// Reads what was met.
    fn fill(&mut self) -> io::Result<()> {
        if let Some((from, to)) = self.range {
            let room = (self.limit + 1).saturating_sub(self.bytes.len());
            self.bytes.extend(self.log.data(from, to, room)?);
        }
        Ok(())
    }

    fn finish(mut self, slice: &mut LineSlice) -> io::Result<()> {
        self.fill()?;
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.cut {
            let fits = self.bytes.get(..self.limit).unwrap_or(&self.bytes);
            let whole = memchr::memrchr(b'\n', fits).map(|end| end + 1);
            let whole = whole.unwrap_or(fits.len());
            self.bytes.truncate(whole);
        }
        let count = memchr::memchr_iter(b'\n', &self.bytes).count() as u64;
        self.times.retain(|(line, _)| *line <= self.first + count);
        slice.bytes = self.bytes;
        slice.times = self.times;
        Ok(())
    }
}
