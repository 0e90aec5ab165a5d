//! The output of a step: from its pipes to the server, in bounded pieces with times.
//!
//! A piece ends at the end of a line where that is possible. The beginning of a line is sent after
//! a short silence, or when it fills the buffer; so neither a prompt nor a line of a gigabyte is
//! kept back.

use std::io::Read;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::mask::Mask;
use super::reports::Reports;
use crate::protocol::{Piece, Stream};

/// The largest piece.
const BLOCK: usize = 64 * 1024;
/// How far is looked for the end of a line at once.
const STRIDE: usize = 512;
/// A larger pipe saves a third of the time that copying takes.
const PIPE: i32 = 1024 * 1024;
/// After so much silence the beginning of a line is sent, in milliseconds.
const SILENCE_MS: u16 = 100;
/// How long is read on when the step is over and something unkillable still writes.
const LAST: Duration = Duration::from_secs(2);

/// Reads one stream of a step on a thread of its own, until its end, or shortly after `over`.
pub(super) fn start(
    pipe: impl Read + AsFd + Send + 'static,
    step: u32,
    stream: Stream,
    reports: Arc<Reports>,
    over: Arc<AtomicBool>,
    mask: Option<Mask>,
) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new().spawn(move || {
        let _ = fcntl(pipe.as_fd(), FcntlArg::F_SETPIPE_SZ(PIPE));
        Pump {
            pipe,
            step,
            stream,
            reports,
            over,
            mask,
        }
        .run();
    })
}

struct Pump<P> {
    pipe: P,
    step: u32,
    stream: Stream,
    reports: Arc<Reports>,
    over: Arc<AtomicBool>,
    /// Hides secret values.
    mask: Option<Mask>,
}

impl<P: Read + AsFd> Pump<P> {
    fn run(mut self) {
        let mut buffer = vec![0; BLOCK];
        // How much of the buffer is the beginning of a line.
        let mut held = 0;
        let mut held_ms = 0;
        let mut last: Option<Instant> = None;
        loop {
            let over = self.over.load(Ordering::Acquire);
            if over && last.get_or_insert_with(|| Instant::now() + LAST) <= &mut Instant::now() {
                break;
            }
            if !self.readable() {
                if held > 0 {
                    self.send(buffer.get(..held), held_ms);
                    held = 0;
                }
                if over {
                    break;
                }
                continue;
            }
            let Some(room) = buffer.get_mut(held..) else {
                break;
            };
            let read = match self.pipe.read(room) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            held_ms = now_ms();
            let filled = held + read;
            let lines = buffer
                .get(held..filled)
                .and_then(last_line_end)
                .map_or(0, |position| held + position + 1);
            let cut = if lines == 0 && filled == buffer.len() {
                filled
            } else {
                lines
            };
            if cut > 0 {
                self.send(buffer.get(..cut), held_ms);
                buffer.copy_within(cut..filled, 0);
            }
            held = filled - cut;
        }
        if held > 0 {
            self.send(buffer.get(..held), held_ms);
        }
        if let Some(mask) = &mut self.mask {
            let mut rest = Vec::new();
            mask.end(&mut rest);
            self.say(&rest, held_ms);
        }
    }

    /// Whether there is something to read (or the end), within the time of silence.
    fn readable(&self) -> bool {
        let mut fds = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)];
        !matches!(
            poll(&mut fds, PollTimeout::from(SILENCE_MS)),
            Ok(0) | Err(_)
        )
    }

    fn send(&mut self, bytes: Option<&[u8]>, unix_ms: u64) {
        let bytes = bytes.unwrap_or_default();
        let Some(mask) = &mut self.mask else {
            return self.say(bytes, unix_ms);
        };
        let mut shown = Vec::with_capacity(bytes.len());
        mask.feed(bytes, &mut shown);
        self.say(&shown, unix_ms);
    }

    fn say(&self, bytes: &[u8], unix_ms: u64) {
        if bytes.is_empty() {
            return;
        }
        self.reports.output(Piece {
            step: self.step,
            stream: self.stream,
            unix_ms,
            bytes,
        });
    }
}

/// Where the last line ends, looked for from the end.
fn last_line_end(bytes: &[u8]) -> Option<usize> {
    let mut end = bytes.len();
    // The standard library looks for a byte by words, but forwards only.
    for block in bytes.rchunks(STRIDE) {
        end -= block.len();
        if block.contains(&b'\n') {
            let last = block.iter().rposition(|byte| *byte == b'\n');
            return last.map(|position| end + position);
        }
    }
    None
}

/// The present, in unix milliseconds.
pub(super) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}

#[cfg(test)]
mod tests {
    use super::{STRIDE, last_line_end};

    #[test]
    fn the_last_end_of_a_line_is_found_wherever_it_is() {
        assert_eq!(last_line_end(b""), None);
        for length in [1, STRIDE - 1, STRIDE, STRIDE + 1, 3 * STRIDE + 7] {
            let mut bytes = vec![b'x'; length];
            assert_eq!(last_line_end(&bytes), None);
            for at in 0..length {
                bytes[at] = b'\n';
                assert_eq!(last_line_end(&bytes), Some(at));
            }
        }
    }
}
