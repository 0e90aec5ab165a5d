//! What the runner says: numbered, and where the connection may break, kept until it is safe.
//!
//! What is kept is bounded. When it is full, or the server is slow, whoever has something to say
//! waits, which holds up the step that writes. So memory stays bounded without a line being lost.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::mpsc::Sender;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::control::Signal;
use crate::protocol::{Encoder, FromRunner, Piece, ProtocolError};

/// How much is kept unconfirmed before steps are held up, in bytes.
const WINDOW: usize = 4 * 1024 * 1024;
/// How long a runner whose connection may break waits for a server.
pub(super) const ABANDONED: Duration = Duration::from_hours(1);

/// The stream was resumed meanwhile: what is being said must be said from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Again;

/// Which pass over the collected files this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Round(u64);

/// Reports to the server, from any thread.
pub(super) struct Reports {
    said: Mutex<Said>,
    changed: Condvar,
    signals: Mutex<Sender<Signal>>,
    /// Whether the connection may break and be resumed.
    resumable: bool,
}

struct Said {
    encoder: Encoder,
    /// Away while there is no connection.
    output: Option<Box<dyn Write + Send>>,
    /// What is not safe yet, with its numbers.
    kept: VecDeque<(u64, Vec<u8>)>,
    kept_bytes: usize,
    acknowledged: u64,
    /// The last message before the files; what follows is not kept but said again as a whole.
    loose: Option<u64>,
    rounds: u64,
    gone: bool,
}

impl Reports {
    pub(super) fn new(
        output: Option<Box<dyn Write + Send>>,
        signals: Sender<Signal>,
        resumable: bool,
    ) -> Self {
        Self {
            said: Mutex::new(Said {
                encoder: Encoder::default(),
                output,
                kept: VecDeque::new(),
                kept_bytes: 0,
                acknowledged: 0,
                loose: None,
                rounds: 0,
                gone: false,
            }),
            changed: Condvar::new(),
            signals: Mutex::new(signals),
            resumable,
        }
    }

    /// Says something. A failure is told to the job's thread.
    pub(super) fn send(&self, message: &FromRunner) {
        self.say(|encoder| encoder.frame(message));
    }

    /// Says a piece of output. A failure is told to the job's thread.
    pub(super) fn output(&self, piece: Piece<'_>) {
        self.say(|encoder| encoder.output(piece));
    }

    fn say(&self, frame: impl FnOnce(&mut Encoder) -> Result<Vec<u8>, ProtocolError>) {
        let Ok(said) = self.said.lock() else { return };
        let mut said = self.wait(said, |said| said.kept_bytes < WINDOW);
        let Ok(frame) = frame(&mut said.encoder) else {
            // Only a message over the limit, which none of ours is.
            return;
        };
        self.write(&mut said, &frame);
        if self.resumable {
            let number = said.encoder.sent();
            said.kept_bytes += frame.len();
            said.kept.push_back((number, frame));
        }
    }

    /// From now on nothing is kept: see [`Reports::send_in`].
    pub(super) fn collecting(&self) -> Round {
        let Ok(mut said) = self.said.lock() else {
            return Round(0);
        };
        if said.loose.is_none() {
            said.loose = Some(said.encoder.sent());
        }
        Round(said.rounds)
    }

    /// Says something about the collected files.
    pub(super) fn send_in(&self, round: Round, message: &FromRunner) -> Result<(), Again> {
        let Ok(said) = self.said.lock() else {
            return Ok(());
        };
        let mut said = self.wait(said, |said| said.output.is_some());
        if said.rounds != round.0 {
            return Err(Again);
        }
        if let Ok(frame) = said.encoder.frame(message) {
            self.write(&mut said, &frame);
        }
        Ok(())
    }

    /// Waits until everything said is safe, where that can be known.
    pub(super) fn settled(&self, round: Round) -> Result<(), Again> {
        let Ok(said) = self.said.lock() else {
            return Ok(());
        };
        if !self.resumable {
            return Ok(());
        }
        let said = self.wait(said, |said| {
            said.rounds != round.0 || said.acknowledged >= said.encoder.sent()
        });
        if said.rounds == round.0 {
            Ok(())
        } else {
            Err(Again)
        }
    }

    /// Everything up to `number` is safe.
    pub(super) fn acknowledge(&self, number: u64) {
        if let Ok(mut said) = self.said.lock() {
            said.acknowledged = said.acknowledged.max(number);
            said.forget(number);
            self.changed.notify_all();
        }
    }

    /// There is a connection.
    pub(super) fn connect(&self, output: Box<dyn Write + Send>) {
        if let Ok(mut said) = self.said.lock() {
            said.output = Some(output);
        }
    }

    /// There is none any more.
    pub(super) fn disconnect(&self) {
        if let Ok(mut said) = self.said.lock() {
            said.output = None;
        }
    }

    /// A server that has everything up to `received` listens now.
    pub(super) fn resume(&self, mark: &[u8], received: u64) {
        let Ok(mut said) = self.said.lock() else {
            return;
        };
        if let Some(from) = said.loose {
            said.encoder.rewind(from);
            said.acknowledged = said.acknowledged.min(from);
            said.rounds += 1;
        }
        said.forget(received);
        self.write(&mut said, mark);
        let kept = std::mem::take(&mut said.kept);
        for (_, frame) in &kept {
            self.write(&mut said, frame);
        }
        said.kept = kept;
        self.changed.notify_all();
    }

    /// Nobody will listen any more.
    pub(super) fn give_up(&self) {
        if let Ok(mut said) = self.said.lock() {
            said.gone = true;
            self.changed.notify_all();
        }
        if let Ok(signals) = self.signals.lock() {
            let _ = signals.send(Signal::Gone);
        }
    }

    /// Waits until `ready`, or until the server is gone for good.
    fn wait<'a>(
        &self,
        said: MutexGuard<'a, Said>,
        ready: impl Fn(&Said) -> bool,
    ) -> MutexGuard<'a, Said> {
        if !self.resumable || said.gone || ready(&said) {
            return said;
        }
        let waited = self
            .changed
            .wait_timeout_while(said, ABANDONED, |said| !said.gone && !ready(said));
        let (mut said, waited) = match waited {
            Ok(waited) => waited,
            Err(poisoned) => poisoned.into_inner(),
        };
        if waited.timed_out() {
            said.gone = true;
            if let Ok(signals) = self.signals.lock() {
                let _ = signals.send(Signal::Gone);
            }
        }
        said
    }

    fn write(&self, said: &mut Said, bytes: &[u8]) {
        let Some(output) = &mut said.output else {
            return;
        };
        let written = output.write_all(bytes).and_then(|()| output.flush());
        if written.is_ok() {
            return;
        }
        said.output = None;
        if !self.resumable
            && let Ok(signals) = self.signals.lock()
        {
            let _ = signals.send(Signal::Gone);
        }
    }
}

impl Said {
    fn forget(&mut self, number: u64) {
        while let Some((first, frame)) = self.kept.front()
            && *first <= number
        {
            self.kept_bytes = self.kept_bytes.saturating_sub(frame.len());
            self.kept.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::mpsc::channel;
    use std::sync::{Arc, Mutex};

    use super::{Again, Reports};
    use crate::protocol::{Decoder, FromRunner};

    /// A stream whose bytes can be taken out again.
    #[derive(Clone, Default)]
    struct Stream(Arc<Mutex<Vec<u8>>>);

    impl Write for Stream {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Stream {
        fn take(&self) -> Vec<u8> {
            std::mem::take(&mut *self.0.lock().unwrap())
        }
    }

    fn note(text: &str) -> FromRunner {
        FromRunner::Note { text: text.into() }
    }

    fn read(bytes: &[u8], mut decoder: Decoder) -> Vec<FromRunner> {
        decoder.push(bytes);
        std::iter::from_fn(|| decoder.next().unwrap()).collect()
    }

    #[test]
    fn what_is_not_safe_is_said_again_after_a_break() {
        let (signals, _kept) = channel();
        let stream = Stream::default();
        let reports = Reports::new(Some(Box::new(stream.clone())), signals, true);
        for text in ["one", "two", "three"] {
            reports.send(&note(text));
        }
        reports.acknowledge(1);
        reports.disconnect();
        reports.send(&note("four"));
        stream.take();
        reports.connect(Box::new(stream.clone()));
        reports.resume(b"the mark of 16 b", 2);
        let said = stream.take();
        let frames = said.strip_prefix(b"the mark of 16 b").unwrap();
        assert_eq!(
            read(frames, Decoder::after(2)),
            [note("three"), note("four")]
        );
    }

    #[test]
    fn files_are_said_from_their_beginning_after_a_break() {
        let (signals, _kept) = channel();
        let stream = Stream::default();
        let reports = Reports::new(Some(Box::new(stream.clone())), signals, true);
        reports.send(&note("before"));
        let round = reports.collecting();
        assert_eq!(reports.send_in(round, &note("a")), Ok(()));
        reports.resume(b"mark", 1);
        assert_eq!(reports.send_in(round, &note("b")), Err(Again));
        let round = reports.collecting();
        stream.take();
        assert_eq!(reports.send_in(round, &note("a")), Ok(()));
        assert_eq!(reports.send_in(round, &note("b")), Ok(()));
        let said = read(&stream.take(), Decoder::after(1));
        assert_eq!(said, [note("a"), note("b")]);
        reports.acknowledge(3);
        assert_eq!(reports.settled(round), Ok(()));
    }
}
