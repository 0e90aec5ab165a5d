//! Runs as bytes: most tests run in every attempt, and most of them pass, so that a run takes three bytes.
//!
//! For each, in the order of their numbers: the distance to the number before (a varint, as in the encoding of
//! Protocol Buffers, seven bits a byte), a byte for the outcome, and a byte for the time on a scale of logarithms.

use super::Run;
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

fn seconds(time: u8) -> Option<f64> {
    (time > 0).then(|| STEP.powi(i32::from(time) - 1) / 1e3)
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
    let mut bytes = bytes.iter().copied();
    let mut runs = Vec::with_capacity(bytes.len() / 3);
    if bytes.next() != Some(VERSION) {
        return runs;
    }
    let mut number = 0_u32;
    while let Some(run) = next(&mut bytes, number) {
        number = run.test;
        runs.push(run);
    }
    runs
}

fn next(bytes: &mut impl Iterator<Item = u8>, before: u32) -> Option<Run> {
    let (mut distance, mut shift) = (0_u32, 0);
    loop {
        let byte = bytes.next()?;
        distance |= u32::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            break;
        }
        shift += 7;
    }
    let flags = bytes.next()?;
    let outcome = match flags & 0b11 {
        0 => Outcome::Passed,
        1 => Outcome::Failed,
        2 => Outcome::Error,
        _ => Outcome::Skipped,
    };
    Some(Run {
        test: before.checked_add(distance)?,
        outcome,
        flaky: flags & FLAKY != 0,
        seconds: seconds(bytes.next()?),
    })
}
