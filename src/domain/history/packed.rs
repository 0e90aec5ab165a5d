//! Runs as bytes: most tests run in every attempt, and most of them pass, so that a run takes three bytes.
//!
//! For each, in the order of their numbers: the distance to the number before (a varint, as in the encoding of
//! Protocol Buffers, seven bits a byte), a byte for the outcome, and a byte for the time on a scale of logarithms.

use std::sync::LazyLock;

use super::{Attempted, Run};
use crate::report::Outcome;

/// The first byte of everything that is packed like this.
const VERSION: u8 = 1;
const FLAKY: u8 = 0b100;
/// How much longer a time is than that of the step before it.
const STEP: f64 = 1.06;

fn code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Passed => 0,
        Outcome::Failed => 1,
        Outcome::Error => 2,
        Outcome::Skipped => 3,
    }
}

/// A time in steps from a millisecond on, from 1 to 255; 0 where none is known.
fn time(seconds: Option<f64>) -> u8 {
    let Some(seconds) = seconds.filter(|seconds| seconds.is_finite()) else {
        return 0;
    };
    let step = (seconds.max(0.001) * 1e3).ln() / STEP.ln();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within 1 and 255"
    )]
    let step = (1.0 + step.round()).clamp(1.0, 255.0) as u8;
    step
}

/// The seconds of each step.
static SECONDS: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let steps = 0..=u8::MAX;
    steps
        .map(|time| STEP.powi(i32::from(time) - 1) / 1e3)
        .collect()
});

/// The seconds of a step of [`PackedRun::time`]; `None` where none is known.
pub(super) fn seconds(time: u8) -> Option<f64> {
    let known = SECONDS.get(usize::from(time)).copied();
    known.filter(|_| time > 0)
}

/// Packs runs that are in the order of their numbers.
pub fn pack(runs: &[Run]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + 3 * runs.len());
    bytes.push(VERSION);
    let mut before = 0;
    for run in runs {
        let mut distance = run.test.saturating_sub(before);
        before = run.test;
        loop {
            let [low, ..] = distance.to_le_bytes();
            distance >>= 7;
            if distance == 0 {
                bytes.push(low);
                break;
            }
            bytes.push(low | 0x80);
        }
        bytes.push(code(run.outcome) | if run.flaky { FLAKY } else { 0 });
        bytes.push(time(run.seconds));
    }
    bytes
}

/// The runs; up to the place where they are not what [`pack`] writes.
pub fn unpack(bytes: &[u8]) -> Vec<Run> {
    let mut all = Vec::with_capacity(bytes.len() / 3);
    all.extend(runs(bytes).map(PackedRun::run));
    all
}

/// A run that stays as it is packed: what is looked through by the million is not made into more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PackedRun {
    /// The number of the test.
    pub(super) test: u32,
    flags: u8,
    /// A step on the scale of times: who took longer has a higher one. 0 where it is not known.
    pub(super) time: u8,
}

impl PackedRun {
    pub(super) fn outcome(self) -> Outcome {
        match self.flags & 0b11 {
            0 => Outcome::Passed,
            1 => Outcome::Failed,
            2 => Outcome::Error,
            _ => Outcome::Skipped,
        }
    }

    /// Whether it passed, and at once.
    pub(super) fn is_clean(self) -> bool {
        self.flags & (FLAKY | 0b11) == 0
    }

    /// Whether it failed, if only at first.
    pub(super) fn failed(self) -> bool {
        self.flags & FLAKY != 0 || self.outcome().is_red()
    }

    pub(super) fn run(self) -> Run {
        Run {
            test: self.test,
            outcome: self.outcome(),
            flaky: self.flags & FLAKY != 0,
            seconds: seconds(self.time),
        }
    }
}

/// The runs one after another, as they are packed.
pub(super) fn runs(bytes: &[u8]) -> impl Iterator<Item = PackedRun> {
    let mut bytes = match bytes {
        [VERSION, rest @ ..] => rest,
        _ => &[],
    };
    let mut number = 0_u32;
    std::iter::from_fn(move || {
        let run = next(&mut bytes, number)?;
        number = run.test;
        Some(run)
    })
}

fn next(bytes: &mut &[u8], before: u32) -> Option<PackedRun> {
    // Nearly all of them.
    if let [distance @ 0..0x80, flags, time, rest @ ..] = *bytes {
        *bytes = rest;
        return Some(PackedRun {
            test: before.checked_add(u32::from(*distance))?,
            flags: *flags,
            time: *time,
        });
    }
    let (mut distance, mut shift) = (0_u32, 0);
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        distance |= u32::from(byte & 0x7f).checked_shl(shift)?;
        if *byte < 0x80 {
            break;
        }
        shift += 7;
    }
    let [flags, time, rest @ ..] = *bytes else {
        return None;
    };
    *bytes = rest;
    Some(PackedRun {
        test: before.checked_add(distance)?,
        flags: *flags,
        time: *time,
    })
}

/// The tests of one attempt of a job, their runs as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The number of the build.
    pub build: i64,
    /// The attempt of the job, from 1.
    pub attempt: u32,
    /// The commit that it was reported on.
    pub commit: String,
    /// The commit whose tree was tested.
    pub tested: String,
    /// When it ended, in unix milliseconds.
    pub at_ms: i64,
    /// What [`pack`] made of them.
    pub bytes: Vec<u8>,
}

impl Packed {
    pub(super) fn runs(&self) -> impl Iterator<Item = PackedRun> {
        runs(&self.bytes)
    }

    /// How one test did, if it ran.
    pub(super) fn run(&self, test: u32) -> Option<Run> {
        let mut from = self.runs().skip_while(|run| run.test < test);
        let found = from.next().filter(|run| run.test == test);
        found.map(PackedRun::run)
    }

    /// With its runs as values.
    pub fn unpack(self) -> Attempted {
        Attempted {
            runs: unpack(&self.bytes),
            build: self.build,
            attempt: self.attempt,
            commit: self.commit,
            tested: self.tested,
            at_ms: self.at_ms,
        }
    }
}
