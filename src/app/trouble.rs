//! Where a log says that something went wrong, for links that lead there.

use crate::domain::StepRecord;
use crate::ports::{LogKey, LogStore};
use crate::report::{InLog, LogLine, Report};
use crate::text::trouble::is_trouble;

/// Bytes that are read at once.
const PIECE: usize = 1024 * 1024;
/// Pieces of a step's log that are looked through.
const PIECES: usize = 32;

/// The number of the first such line of a step; `None` where there is none, or the log does not say.
pub(super) async fn first_trouble(logs: &dyn LogStore, key: &LogKey, step: u32) -> Option<u64> {
    let look = |found: &mut Option<u64>, number, line: &str| {
        *found = is_trouble(line).then_some(number);
        found.is_some()
    };
    each_line(logs, key, step, None, look).await.flatten()
}

/// Finds where the log speaks of the failed tests of a report, and writes that into it.
pub(super) async fn find_tests(
    logs: &dyn LogStore,
    key: &LogKey,
    steps: &[StepRecord],
    report: &mut Report,
) {
    let Some(mut search) = InLog::new(report) else {
        return;
    };
    for step in steps {
        let index = step.index;
        let look = move |search: &mut InLog, number, line: &str| {
            search.look(index, number, line);
            false
        };
        let Some(after) = each_line(logs, key, index, search, look).await else {
            return;
        };
        search = after;
    }
    for (at, index, line) in search.found() {
        let step = steps.iter().find(|step| step.index == index);
        if let (Some(test), Some(step)) = (report.tests.get_mut(at), step) {
            test.log = Some(LogLine {
                job: key.job.clone(),
                step: step.anchor(steps),
                line,
            });
        }
    }
}

/// Shows the lines of a step to `look` until it says that it has seen enough, on a thread of its own. Returns what it
/// made of them; `None` only when it panicked.
async fn each_line<T: Send + 'static>(
    logs: &dyn LogStore,
    key: &LogKey,
    step: u32,
    mut made: T,
    look: impl Fn(&mut T, u64, &str) -> bool + Copy + Send + 'static,
) -> Option<T> {
    let mut from = 1;
    for _ in 0..PIECES {
        let Ok(slice) = logs.read_lines(key, step, from, PIECE).await else {
            break;
        };
        if slice.bytes.is_empty() {
            break;
        }
        let work = move || {
            let text = String::from_utf8_lossy(&slice.bytes);
            let mut lines = (slice.first..).zip(text.lines());
            let enough = lines.any(|(number, line)| look(&mut made, number, line));
            let count = memchr::memchr_iter(b'\n', &slice.bytes).count() as u64;
            (made, enough, slice.first + count.max(1))
        };
        let (after, enough, next) = tokio::task::spawn_blocking(work).await.ok()?;
        made = after;
        if enough {
            break;
        }
        from = next;
    }
    Some(made)
}
