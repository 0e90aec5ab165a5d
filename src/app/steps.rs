//! The steps of a job as their runner tells of them.

use crate::domain::{StepRecord, StepState};
use crate::ports::executor::JobEnd;
use crate::ports::{JobEvent, Running};
use crate::protocol::Exit;

/// Writes down how a step ended.
pub(super) fn close_step(record: &mut StepRecord, exit: &Exit, duration_ms: u64) {
    record.duration_ms = Some(duration_ms);
    let (state, words) = match exit {
        Exit::Code(0) => (StepState::Passed, None),
        Exit::Code(code) => {
            record.code = Some(*code);
            (StepState::Failed, Some(format!("exit {code}")))
        }
        Exit::Signal(signal) => (StepState::Failed, Some(signal_words(*signal))),
        Exit::TimedOut => (StepState::TimedOut, Some("timed out".to_owned())),
        Exit::Cancelled => (StepState::Cancelled, Some("cancelled".to_owned())),
        Exit::OutOfMemory => (
            StepState::Failed,
            Some("out of memory: it needed more than the job may have".to_owned()),
        ),
        Exit::OutOfDisk => (
            StepState::Failed,
            Some("out of disk: it filled more than the job may".to_owned()),
        ),
        Exit::NotStarted(why) => (StepState::Failed, Some(format!("not started: {why}"))),
        Exit::Skipped => (StepState::Skipped, None),
    };
    if *exit == Exit::Code(0) {
        record.code = Some(0);
    }
    if matches!(exit, Exit::Skipped) {
        record.duration_ms = None;
    }
    record.state = state;
    record.exit = words;
}

/// `killed by SIGSEGV`.
fn signal_words(signal: i32) -> String {
    nix::sys::signal::Signal::try_from(signal).map_or_else(
        |_| format!("killed by signal {signal}"),
        |signal| format!("killed by {signal}"),
    )
}

/// Drives an executor's job outside of any build (`herald run`): passes every event on and
/// returns how it ended.
pub async fn carry_out(
    mut running: Box<dyn Running>,
    mut steps: Vec<StepRecord>,
    mut on_event: impl FnMut(&JobEvent, &[StepRecord]),
) -> (JobEnd, Vec<StepRecord>) {
    loop {
        let Some(event) = running.next().await else {
            return (JobEnd::Lost("the runner has gone".to_owned()), steps);
        };
        match &event {
            JobEvent::StepStarted { step, unix_ms } => {
                if let Some(record) = steps.iter_mut().find(|record| record.index == *step) {
                    record.state = StepState::Running;
                    record.started_ms = i64::try_from(*unix_ms).ok();
                }
            }
            JobEvent::StepFinished {
                step,
                exit,
                duration_ms,
            } => {
                if let Some(record) = steps.iter_mut().find(|record| record.index == *step) {
                    close_step(record, exit, *duration_ms);
                }
            }
            _ => {}
        }
        on_event(&event, &steps);
        if let JobEvent::Finished(end) = event {
            return (end, steps);
        }
    }
}
