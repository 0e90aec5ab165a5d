//! Where a log first says that something went wrong, for links that lead there.

use crate::ports::{LogKey, LogStore};
use crate::text::trouble::is_trouble;

/// Bytes that are read at once.
const PIECE: usize = 1024 * 1024;
/// Pieces of a step's log that are looked through.
const PIECES: usize = 32;

/// The number of the first such line of a step; `None` where there is none, or the log does not say.
pub(super) async fn first_trouble(logs: &dyn LogStore, key: &LogKey, step: u32) -> Option<u64> {
    let mut from = 1;
    for _ in 0..PIECES {
        let slice = logs.read_lines(key, step, from, PIECE).await.ok()?;
        if slice.bytes.is_empty() {
            return None;
        }
        let look = move || {
            let text = String::from_utf8_lossy(&slice.bytes);
            let mut lines = (slice.first..).zip(text.lines());
            let found = lines.find(|(_, line)| is_trouble(line));
            let count = memchr::memchr_iter(b'\n', &slice.bytes).count() as u64;
            (found.map(|(line, _)| line), slice.first + count.max(1))
        };
        let (found, next) = tokio::task::spawn_blocking(look).await.ok()?;
        if found.is_some() {
            return found;
        }
        from = next;
    }
    None
}
