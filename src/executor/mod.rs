//! Where jobs run: the adapters behind [`crate::ports::executor::Executor`].
//!
//! [`ProcessExecutor`] runs a job on this machine, in a sandbox made by bubblewrap or without one.
//! All executors start the same runner and read what it says through `intake`, which trusts
//! none of it; so they give the same results, and pass one contract suite (`contract`).
//! Nothing here knows builds, repositories or GitHub.
//!
//! A job that cannot be started is an error of `start`, with the way out in its words; a job that
//! is lost on the way ends as `Lost`. Nothing of a job outlives its `Running`, nor the server.

mod cgroup;
mod container;
#[cfg(any(test, feature = "scripted"))]
pub mod contract;
#[cfg(any(test, feature = "scripted"))]
mod contract_hostile;
mod conversation;
mod docker;
#[cfg(test)]
mod docker_tests;
mod engine;
mod gate;
mod image;
mod intake;
mod keeper;
mod live;
mod network;
mod nowhere;
mod process;
mod program;
mod sandbox;
#[cfg(any(test, feature = "scripted"))]
mod scripted;
mod service;
mod sidecar;
mod swarm;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "scripted"))]
pub mod trial;

pub use docker::{DockerExecutor, DockerOptions};
pub use gate::Gate;
pub use image::Logins;
pub use nowhere::Nowhere;
pub use process::{ProcessExecutor, RunnerProgram};
pub use sandbox::{Sandbox, WORKSPACE};
#[cfg(any(test, feature = "scripted"))]
pub use scripted::{Act, Scripted};
pub use swarm::{SwarmExecutor, SwarmOptions};
