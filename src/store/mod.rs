//! The durable state in SQL: the only place that knows any.
//!
//! Implements [`crate::ports::Store`] for SQLite (the default, one file) and PostgreSQL with the
//! same statements: `$n` placeholders, whole milliseconds, text ids. It must not know what the
//! use cases do with the state. Secrets are sealed before they are stored. Every fault is `Transient`, except what can never be read back.

#[cfg(test)]
mod approval_tests;
mod approvals;
mod audit;
mod builds;
mod checkpoint;
mod cluster;
#[cfg(test)]
mod cluster_tests;
mod copy;
mod database;
mod deliveries;
mod deployed;
#[cfg(test)]
mod deployment_tests;
mod deployments;
mod due;
mod history;
#[cfg(test)]
mod history_tests;
mod imports;
mod inbox;
mod jobs;
mod judgements;
mod keeping;
mod map;
mod memory;
mod nameless;
mod pages;
mod people;
#[cfg(test)]
mod people_tests;
#[cfg(test)]
mod plan_tests;
mod publications;
mod quarantines;
mod registration;
mod reruns;
mod rows;
mod schema;
mod seal;
mod secrets;
mod specified;
mod spoken;
mod sql;
#[cfg(test)]
mod tests;
mod tokens;
mod triggers;
#[cfg(test)]
mod upgrade_tests;
mod uploads;
#[cfg(test)]
mod uploads_tests;
mod writer;

pub use copy::Sealed;
pub use seal::{SealKey, chance, is_same};
pub use sql::SqlStore;
