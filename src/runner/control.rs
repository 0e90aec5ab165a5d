//! The two streams to the server: reports out, orders in.

use std::io::{Read, Write};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Instant;

use crate::protocol::{Decoder, Encoder, FromRunner, Job, ToRunner};

/// What the thread that carries out the job waits for.
#[derive(Debug)]
pub(super) enum Signal {
    /// The job arrived.
    Job(Box<Job>),
    /// The server wants the job to end.
    Cancel(String),
    /// The server is gone, or speaks nonsense.
    Gone,
    /// The process of this step ended; it is not reaped yet.
    Exited(u32),
}

/// Reports to the server, from any thread.
pub(super) struct Reports {
    stream: Mutex<(Encoder, Box<dyn Write + Send>)>,
    signals: Mutex<Sender<Signal>>,
}

impl Reports {
    pub(super) fn new(output: Box<dyn Write + Send>, signals: Sender<Signal>) -> Self {
        Self {
            stream: Mutex::new((Encoder::default(), output)),
            signals: Mutex::new(signals),
        }
    }

    /// Sends a message. Waits while the server is slow; that holds up the step that writes, and is
    /// how memory stays bounded. A failure is told to the job's thread.
    pub(super) fn send(&self, message: &FromRunner) {
        let sent = match self.stream.lock() {
            Ok(mut stream) => {
                let (encoder, output) = &mut *stream;
                encoder.send(output, message).is_ok()
            }
            Err(_) => false,
        };
        if !sent && let Ok(signals) = self.signals.lock() {
            let _ = signals.send(Signal::Gone);
        }
    }
}

/// Reads orders until the stream ends.
pub(super) fn listen(mut input: impl Read + Send + 'static, signals: Sender<Signal>) {
    thread::spawn(move || {
        let mut decoder = Decoder::default();
        loop {
            let signal = match decoder.receive(&mut input) {
                Ok(Some(ToRunner::Job(job))) => Signal::Job(Box::new(job)),
                Ok(Some(ToRunner::Cancel { reason })) => Signal::Cancel(reason),
                Ok(None) | Err(_) => Signal::Gone,
            };
            let last = matches!(signal, Signal::Gone);
            if signals.send(signal).is_err() || last {
                return;
            }
        }
    });
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
}

/// The job's view of the signals.
pub(super) struct Control {
    receiver: Receiver<Signal>,
    /// The reason, once cancelled.
    pub(super) cancelled: Option<String>,
    /// Whether the server is gone.
    pub(super) gone: bool,
}

impl Control {
    pub(super) fn new(receiver: Receiver<Signal>) -> Self {
        Self {
            receiver,
            cancelled: None,
            gone: false,
        }
    }

    /// Waits for the job; `None` when the server goes first.
    pub(super) fn job(&mut self) -> Option<Box<Job>> {
        loop {
            match self.receiver.recv() {
                Ok(Signal::Job(job)) => return Some(job),
                Ok(Signal::Cancel(reason)) => self.cancelled = Some(reason),
                Ok(Signal::Exited(_)) => {}
                Ok(Signal::Gone) | Err(_) => return None,
            }
        }
    }

    /// Takes note of what has already come.
    pub(super) fn look(&mut self) {
        while let Ok(signal) = self.receiver.try_recv() {
            self.note(signal);
        }
    }

    /// Waits for the end of a step's process. With `cancellable`, a cancel ends the wait too.
    pub(super) fn wait(&mut self, step: u32, until: Instant, cancellable: bool) -> Wake {
        loop {
            if self.gone {
                return Wake::Gone;
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
            // A second job is none of ours.
            Signal::Job(_) | Signal::Exited(_) => {}
        }
    }
}
