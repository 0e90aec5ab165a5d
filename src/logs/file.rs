//! The folder of logs, and reading from it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;

use super::index::{Hole, Record, SIZE};
use super::lines::{Known, Lines};
use super::writer::{Ceiling, FileWriter, Found};
use crate::domain::BuildId;
use crate::ports::error::{PortError, Result};
use crate::ports::logs::{
    LineSlice, LogKey, LogSlice, LogStore, LogWriter, StepLines, is_file_name,
};

/// Keeps logs as files below one folder.
#[derive(Debug, Clone)]
pub struct FileLogs {
    folder: PathBuf,
    ceiling: Ceiling,
    known: Arc<Known>,
}

impl FileLogs {
    /// Logs below `folder`, which is made when it is needed.
    pub fn new(folder: impl Into<PathBuf>, ceiling: Ceiling) -> Self {
        Self {
            folder: folder.into(),
            ceiling,
            known: Arc::default(),
        }
    }

    /// The pieces of a log, in order, without those that are left out; offsets are of the log as
    /// it is read.
    ///
    /// # Errors
    /// `Gone` when there is no such log, `Transient` when the disk refuses.
    pub async fn records(&self, key: &LogKey) -> Result<Vec<Record>> {
        self.blocking(key, |log| {
            let mut records = Vec::new();
            log.each_record(|record| {
                if record.length > 0
                    && let Some(offset) = log.to_shown(record.offset)
                {
                    records.push(Record { offset, ..record });
                }
                true
            })?;
            Ok(records)
        })
        .await
    }

    /// The folder of a build's logs.
    fn folder(&self, build: &str) -> Result<PathBuf> {
        if !is_file_name(build) {
            return Err(PortError::refused("open a log: its build is no file name"));
        }
        Ok(self.folder.join(build))
    }

    /// The two files of a log.
    fn paths(&self, key: &LogKey) -> Result<(PathBuf, PathBuf)> {
        let folder = self.folder(&key.build)?;
        if !is_file_name(&key.job) {
            return Err(PortError::refused("open a log: its job is no file name"));
        }
        let name = format!("{}.{}", key.job, key.attempt);
        Ok((
            folder.join(format!("{name}.log")),
            folder.join(format!("{name}.index")),
        ))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        key: &LogKey,
        read: impl FnOnce(&Log) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (data, index) = self.paths(key)?;
        apart(move || read(&Log::open(&data, &index)?)).await
    }

    /// The same, with what is known of its lines.
    async fn by_line<T: Send + 'static>(
        &self,
        key: &LogKey,
        read: impl FnOnce(&mut Lines, &Log) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (data, index) = self.paths(key)?;
        let known = self.known.of(key);
        apart(move || known.with(|lines| read(lines, &Log::open(&data, &index)?))).await
    }
}

/// Reads on a thread that may block.
async fn apart<T: Send + 'static>(
    read: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            Err(PortError::gone("read a log: there is none"))
        }
        Ok(Err(error)) => Err(PortError::transient(format!("read a log: {error}"))),
        Err(error) => Err(PortError::transient(format!("read a log: {error}"))),
    }
}

#[async_trait]
impl LogStore for FileLogs {
    async fn create(&self, key: &LogKey) -> Result<Box<dyn LogWriter>> {
        let (data, index) = self.paths(key)?;
        let ceiling = self.ceiling;
        let create = move || {
            if let Some(folder) = data.parent() {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(folder)?;
            }
            // Readers of an earlier log of this name keep theirs.
            for path in [&data, &index] {
                match fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            FileWriter::new(new_file(&data)?, new_file(&index)?, ceiling)
        };
        let created = create();
        self.known.forget(key);
        let writer = created.map_err(|error| {
            PortError::transient(format!(
                "create a log in {}: {error}",
                self.folder.display()
            ))
        })?;
        Ok(Box::new(writer))
    }

    async fn reopen(&self, key: &LogKey) -> Result<(Box<dyn LogWriter>, u64)> {
        let (data, index) = self.paths(key)?;
        let ceiling = self.ceiling;
        let found = self
            .blocking(key, |log| {
                let mut found = Found {
                    hole: log.kept_hole,
                    ..Found::default()
                };
                log.each_record(|record| {
                    found.records += 1;
                    found.last = Some(record);
                    true
                })?;
                Ok(found)
            })
            .await?;
        let open = |path: &Path| OpenOptions::new().read(true).write(true).open(path);
        let reopen = || FileWriter::again(open(&data)?, open(&index)?, ceiling, found);
        let writer = reopen().map_err(|error| {
            PortError::transient(format!("go on with a log in {}: {error}", data.display()))
        })?;
        let position = found.last.map_or(0, |last| last.position);
        Ok((Box::new(writer), position))
    }

    async fn read(&self, key: &LogKey, start: u64, limit: usize) -> Result<LogSlice> {
        self.blocking(key, move |log| {
            let total = log.total();
            let start = start.min(total);
            let bytes = log.shown(start, limit)?;
            Ok(LogSlice {
                start,
                total,
                bytes,
            })
        })
        .await
    }

    async fn read_written(&self, key: &LogKey, after: u64, limit: usize) -> Result<LogSlice> {
        self.blocking(key, move |log| {
            let start = match after {
                after if after < log.hole.start => after,
                after => after.max(log.hole.end).min(log.length),
            };
            let end = if start < log.hole.start {
                log.hole.start
            } else {
                log.length
            };
            let bytes = log.data(start, end, limit)?;
            Ok(LogSlice {
                start,
                total: log.length,
                bytes,
            })
        })
        .await
    }

    async fn read_step(&self, key: &LogKey, step: u32, limit: usize) -> Result<Vec<u8>> {
        self.blocking(key, move |log| {
            let mut bytes = Vec::new();
            let mut failed = None;
            let mut told = false;
            log.each_record(|record| {
                if record.step != step {
                    return true;
                }
                let room = limit.saturating_sub(bytes.len());
                match log.piece(&record, &mut told, room) {
                    Ok(piece) => bytes.extend(piece),
                    Err(error) => failed = Some(error),
                }
                bytes.len() < limit && failed.is_none()
            })?;
            failed.map_or(Ok(bytes), Err)
        })
        .await
    }

    async fn line_counts(&self, key: &LogKey) -> Result<Vec<StepLines>> {
        self.by_line(key, Lines::counts).await
    }

    async fn read_lines(
        &self,
        key: &LogKey,
        step: u32,
        from: u64,
        limit: usize,
    ) -> Result<LineSlice> {
        self.by_line(key, move |lines, log| lines.read(log, step, from, limit))
            .await
    }

    async fn remove(&self, build: &BuildId) -> Result<()> {
        let folder = self.folder(build.as_str())?;
        apart(move || match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await
    }
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Device, number and birth of a file.
pub(super) type Identity = (u64, u64, Option<SystemTime>);

/// A log that is read. Its length and hole are of one moment; a log that runs may have gone on.
pub(super) struct Log {
    data: File,
    index: File,
    length: u64,
    pub(super) hole: Hole,
    /// The hole as it is kept.
    kept_hole: Hole,
    /// What is shown in place of the hole.
    notice: Vec<u8>,
}

impl Log {
    fn open(data: &Path, index: &Path) -> io::Result<Self> {
        let data = File::open(data)?;
        let index = File::open(index)?;
        let length = data.metadata()?.len();
        let mut head = [0; SIZE];
        let hole = match index.read_exact_at(&mut head, 0) {
            Ok(()) => Hole::read(&head).unwrap_or_default(),
            Err(_) => Hole::default(),
        };
        let kept_hole = hole;
        let mut hole = hole;
        hole.start = hole.start.min(length);
        hole.end = hole.end.clamp(hole.start, length);
        if hole.dropped > 0 && hole.end == hole.start {
            // Nothing follows what is left out.
            hole.start = length;
            hole.end = length;
        }
        let left_out = (hole.end - hole.start).saturating_add(hole.dropped);
        let notice = if left_out > 0 {
            format!("\n[herald] {left_out} bytes of this log are left out here\n").into_bytes()
        } else {
            Vec::new()
        };
        Ok(Self {
            data,
            index,
            length,
            hole,
            kept_hole,
            notice,
        })
    }

    /// The length as it is shown.
    fn total(&self) -> u64 {
        self.length - (self.hole.end - self.hole.start) + self.notice.len() as u64
    }

    /// Where a byte of the data is shown; `None` in the hole.
    fn to_shown(&self, offset: u64) -> Option<u64> {
        if offset < self.hole.start || self.notice.is_empty() {
            Some(offset)
        } else if offset >= self.hole.end {
            let notice = self.notice.len() as u64;
            Some(offset - self.hole.end + self.hole.start + notice)
        } else {
            None
        }
    }

    /// Reads what is shown from `start` on, at most `limit` bytes.
    fn shown(&self, start: u64, limit: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let notice = self.notice.len() as u64;
        let head = self.hole.start;
        if start < head {
            bytes = self.data(start, head, limit)?;
        }
        let at = start + bytes.len() as u64;
        if bytes.len() < limit && at >= head && at < head + notice {
            let skip = usize::try_from(at - head).unwrap_or(0);
            let room = limit - bytes.len();
            bytes.extend(self.notice.iter().skip(skip).take(room));
        }
        let at = start + bytes.len() as u64;
        if bytes.len() < limit && at >= head + notice {
            let from = at - head - notice + self.hole.end;
            bytes.extend(self.data(from, self.length, limit - bytes.len())?);
        }
        Ok(bytes)
    }

    /// Reads the bytes of a record that are still there; with the notice, once.
    fn piece(&self, record: &Record, told: &mut bool, limit: usize) -> io::Result<Vec<u8>> {
        let (hole, end) = (&self.hole, record.end());
        let mut bytes = self.data(record.offset, end.min(hole.start), limit)?;
        if end > hole.start && record.offset < hole.end && !*told {
            *told = true;
            bytes.extend(&self.notice);
        }
        let room = limit.saturating_sub(bytes.len());
        bytes.extend(self.data(record.offset.max(hole.end), end, room)?);
        bytes.truncate(limit);
        Ok(bytes)
    }

    pub(super) fn data(&self, from: u64, to: u64, limit: usize) -> io::Result<Vec<u8>> {
        let length =
            usize::try_from(to.min(self.length).saturating_sub(from)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length.min(limit)];
        self.data.read_exact_at(&mut bytes, from)?;
        Ok(bytes)
    }

    /// Goes through the records until `take` has had enough.
    fn each_record(&self, mut take: impl FnMut(Record) -> bool) -> io::Result<()> {
        const MOST: usize = 2048;
        let mut from = 0;
        loop {
            let records = self.records(from, MOST)?;
            let last = records.len() < MOST;
            from += records.len() as u64;
            for record in records {
                if !take(record) {
                    return Ok(());
                }
            }
            if last {
                return Ok(());
            }
        }
    }

    /// At most so many records, from this one on. A record that is torn, or tells of bytes that are not
    /// there, ends the index.
    pub(super) fn records(&self, from: u64, most: usize) -> io::Result<Vec<Record>> {
        let place = from.saturating_add(1).saturating_mul(SIZE as u64);
        let mut block = vec![0; SIZE.saturating_mul(most)];
        let mut filled = 0;
        while let Some(room) = block.get_mut(filled..).filter(|room| !room.is_empty()) {
            match self.index.read_at(room, place + filled as u64)? {
                0 => break,
                read => filled += read,
            }
        }
        let whole = block.get(..filled).unwrap_or_default().chunks_exact(SIZE);
        let records = whole.map_while(Record::read);
        Ok(records
            .take_while(|record| record.end() <= self.length)
            .collect())
    }

    /// What tells this log from another one that has had its name.
    pub(super) fn identity(&self) -> io::Result<Identity> {
        let metadata = self.index.metadata()?;
        // The number of a file that was removed is given to the next one.
        let made = metadata.created().ok();
        Ok((metadata.dev(), metadata.ino(), made))
    }
}
