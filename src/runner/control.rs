//! Orders from the server, and what else the thread that carries out the job waits for.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, sync_channel};
use std::time::Instant;

use super::reports::Reports;
use crate::protocol::{ArchiveKind, Decoder, Job, ProtocolError, ToRunner};

/// How many pieces of an archive may wait to be unpacked.
const PIECES: usize = 4;

/// What the thread that carries out the job waits for.
#[derive(Debug)]
pub(super) enum Signal {
    /// The job arrived.
    Job(Box<Job>),
    /// An archive begins.
    Archive(ArchiveKind, Pieces),
    /// The server wants the job to end.
    Cancel(String),
    /// The server is gone, or speaks nonsense.
    Gone,
    /// The process of this step ended; it is not reaped yet.
    Exited(u32),
    /// The job fills more of the disk than it may.
    DiskFull,
}

/// The bytes of an archive as they arrive; cut off when they end before the archive does.
#[derive(Debug)]
pub(super) struct Pieces {
    incoming: Receiver<Option<Vec<u8>>>,
    piece: Vec<u8>,
    read: usize,
    ended: bool,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read >= self.piece.len() && !self.ended {
            match self.incoming.recv() {
                Ok(Some(piece)) => {
                    self.piece = piece;
                    self.read = 0;
                }
                Ok(None) => self.ended = true,
                Err(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let mut rest = self.piece.get(self.read..).unwrap_or_default();
        let read = rest.read(buffer)?;
        self.read += read;
        Ok(read)
    }
}

/// Takes orders from streams, one after another.
pub(super) struct Listener {
    signals: Sender<Signal>,
    reports: Arc<Reports>,
    archive: Option<SyncSender<Option<Vec<u8>>>>,
    /// The token for the next connection, once it is known.
    pub(super) token: Option<String>,
}

impl Listener {
    pub(super) fn new(signals: Sender<Signal>, reports: Arc<Reports>) -> Self {
        Self {
            signals,
            reports,
            archive: None,
            token: None,
        }
    }

    /// Reads orders until the stream ends.
    ///
    /// # Errors
    /// What broke it.
    pub(super) fn listen(
        &mut self,
        input: &mut impl Read,
        mut decoder: Decoder,
    ) -> Result<(), ProtocolError> {
        while let Some(order) = decoder.receive(input)? {
            self.take(order);
        }
        Ok(())
    }

    /// The stream has ended; an archive that was on its way ends with it.
    pub(super) fn break_off(&mut self) {
        self.archive = None;
    }

    fn take(&mut self, order: ToRunner) {
        let signal = match order {
            ToRunner::Job(job) => Signal::Job(job),
            ToRunner::Cancel { reason } => Signal::Cancel(reason),
            ToRunner::Archive(kind) => {
                let (sender, incoming) = sync_channel(PIECES);
                self.archive = Some(sender);
                Signal::Archive(
                    kind,
                    Pieces {
                        incoming,
                        piece: Vec::new(),
                        read: 0,
                        ended: false,
                    },
                )
            }
            ToRunner::Chunk { bytes } => {
                // Nobody unpacks any more when that failed, which is told elsewhere.
                if let Some(archive) = &self.archive {
                    let _ = archive.send(Some(bytes));
                }
                return;
            }
            ToRunner::ArchiveEnd => {
                if let Some(archive) = self.archive.take() {
                    let _ = archive.send(None);
                }
                return;
            }
            ToRunner::Ack { number } => return self.reports.acknowledge(number),
            ToRunner::Resume {
                mark,
                received,
                token,
            } => {
                self.token = token.or_else(|| self.token.take());
                return self.reports.resume(&mark, received);
            }
        };
        let _ = self.signals.send(signal);
    }
}

/// Why waiting for a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    /// The step's process ended.
    Exited,
    /// The moment came.
    Deadline,
    /// The job was cancelled.
    Cancelled,
    /// The server is gone.
    Gone,
    /// The disk is full.
    DiskFull,
}

/// The job's view of the signals.
pub(super) struct Control {
    receiver: Receiver<Signal>,
    /// The reason, once cancelled.
    pub(super) cancelled: Option<String>,
    /// Whether the server is gone.
    pub(super) gone: bool,
    /// Whether the job fills more of the disk than it may.
    pub(super) disk_full: bool,
}

impl Control {
    pub(super) fn new(receiver: Receiver<Signal>) -> Self {
        Self {
            receiver,
            cancelled: None,
            gone: false,
            disk_full: false,
        }
    }

    /// Waits for the job; `None` when the server goes first.
    pub(super) fn job(&mut self) -> Option<Box<Job>> {
        loop {
            match self.receiver.recv() {
                Ok(Signal::Job(job)) => return Some(job),
                Ok(Signal::Gone) | Err(_) => return None,
                Ok(signal) => self.note(signal),
            }
        }
    }

    /// Waits for the next archive; `None` when the server goes first.
    pub(super) fn archive(&mut self) -> Option<(ArchiveKind, Pieces)> {
        loop {
            match self.receiver.recv() {
                Ok(Signal::Archive(kind, pieces)) => return Some((kind, pieces)),
                Ok(Signal::Gone) | Err(_) => {
                    self.gone = true;
                    return None;
                }
                Ok(signal) => self.note(signal),
            }
        }
    }

    /// Takes note of what has already come.
    pub(super) fn look(&mut self) {
        while let Ok(signal) = self.receiver.try_recv() {
            self.note(signal);
        }
    }

    /// Waits for the end of a step's process. With `cancellable`, other reasons to end the step end
    /// the wait too.
    pub(super) fn wait(&mut self, step: u32, until: Instant, cancellable: bool) -> Wake {
        loop {
            if self.gone {
                return Wake::Gone;
            }
            if cancellable && self.disk_full {
                return Wake::DiskFull;
            }
            if cancellable && self.cancelled.is_some() {
                return Wake::Cancelled;
            }
            let rest = until.saturating_duration_since(Instant::now());
            match self.receiver.recv_timeout(rest) {
                Ok(Signal::Exited(exited)) if exited == step => return Wake::Exited,
                Ok(signal) => self.note(signal),
                Err(RecvTimeoutError::Timeout) => return Wake::Deadline,
                Err(RecvTimeoutError::Disconnected) => self.gone = true,
            }
        }
    }

    fn note(&mut self, signal: Signal) {
        match signal {
            Signal::Cancel(reason) => {
                self.cancelled.get_or_insert(reason);
            }
            Signal::Gone => self.gone = true,
            Signal::DiskFull => self.disk_full = true,
            // A second job, or an archive that nobody asked for, is none of ours.
            Signal::Job(_) | Signal::Archive(..) | Signal::Exited(_) => {}
        }
    }
}
