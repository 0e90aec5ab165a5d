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
//! In a container it is the first process, and shuts its steps in (`confine`). Where the connection
//! to the server may break, it keeps what is not safe yet and says it again (`reports`).
//!
//! It fails by telling: a step that cannot be started is a step that ended so. When the server is
//! gone for good, everything is killed and the process ends.

mod collect;
mod confine;
mod connect;
mod control;
mod install;
mod pressure;
mod pump;
mod reports;
mod session;
mod step;
#[cfg(test)]
pub(crate) mod tests;
mod tree;
mod unpack;

pub use connect::Server;
pub use install::{install, rest};
pub use session::{Options, run, run_connected};
