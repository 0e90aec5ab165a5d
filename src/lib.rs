//! Herald: a self-hosted GitHub App that builds pull requests and tells people what happened.
//!
//! The modules stand on floors; each uses only what is below it (see `ARCHITECTURE.md`, and the
//! test that keeps it). Without the feature `server` only what `herald-runner` needs is built.

pub mod protocol;
pub mod runner;
pub mod text;

#[cfg(feature = "server")]
pub mod admin;
#[cfg(feature = "server")]
pub mod app;
#[cfg(feature = "server")]
pub mod badge;
#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod demo;
#[cfg(feature = "server")]
pub mod depot;
#[cfg(feature = "server")]
pub mod domain;
#[cfg(feature = "server")]
pub mod executor;
#[cfg(feature = "server")]
pub mod feedback;
#[cfg(feature = "server")]
pub mod github;
#[cfg(feature = "server")]
pub mod logs;
#[cfg(feature = "server")]
pub mod ports;
#[cfg(feature = "server")]
pub mod report;
#[cfg(feature = "server")]
pub mod source;
#[cfg(feature = "server")]
pub mod spec;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "server")]
pub mod web;
#[cfg(feature = "server")]
pub mod wire;
