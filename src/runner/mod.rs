//! Carries out a job: the steps one after another, then the files that they leave behind.
//!
//! This code runs where the steps run, in a process of its own: `herald` re-executed, or the small
//! `herald-runner` in a container. It therefore uses nothing but `protocol` and plain threads, and
//! knows no server. It takes its orders from one stream and reports on another ([`run`]).
//!
//! Invariants: a step sees only the environment that was ordered; nothing that a step started
//! outlives it (`tree`); output is bytes in bounded pieces, never lines (`pump`); only regular
//! files of the workspace, changed since the job began, are collected (`collect`).
//!
//! It fails by telling: a step that cannot be started is a step that ended so. When the server is
//! gone (its stream closed), everything is killed and the process ends.

mod collect;
mod control;
mod mask;
mod pump;
mod session;
mod step;
#[cfg(test)]
pub(crate) mod tests;
mod tree;

pub use session::{Options, run};
