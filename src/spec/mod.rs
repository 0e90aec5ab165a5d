//! `.herald.yml`: what a repository asks Herald to do.
//!
//! From text to a resolved [`Specification`] ([`parse()`]), from that to the jobs of one build
//! ([`plan()`]), to a plain shell script ([`explain()`]); and the format's JSON Schema ([`schema()`]).
//! Everything is pure: no files, no clock, nothing of reports, builds or GitHub.
//!
//! The file comes from strangers. Reading never fails as such: it gives problems, each with line,
//! column and words for the author, and a specification only when none of them is an error.
//! Adding a key means a line in `keys`, a field in `model` and its reading in `parse`.

mod badges;
mod condition;
mod container;
mod deploy;
mod explain;
mod fields;
mod job;
mod keys;
mod matrix;
mod model;
mod parse;
mod plan;
mod problem;
mod schema;
mod sections;
mod starter;
mod step;
#[cfg(test)]
mod surround_tests;
#[cfg(test)]
mod tests;
mod tree;

pub use condition::Occasion;
pub use explain::explain;
pub use model::{
    Actions, AnnotationPolicy, BadgeSettings, BuiltTree, CacheSpecification, Command,
    CommentPolicy, CoverageGates, DEFAULT_TIMEOUT_MS, Deploy, Event, Gates, JobSpecification,
    Network, Percent, Probe, ProjectGate, Promote, Publish, Ready, Reports, Resources, Service,
    Specification, Step, When,
};
pub use parse::{Parsed, parse};
pub use plan::{Decision, Plan, PlannedJob, plan};
pub use problem::{Places, Problem, Severity};
pub use schema::schema;
pub use starter::{STARTERS, Starter, starter_for};

/// Where the specification is looked for in a repository, in this order.
pub const FILES: [&str; 2] = [".herald.yml", ".forge.yml"];
