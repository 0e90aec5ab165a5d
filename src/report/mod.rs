//! What test and coverage reports say.
//!
//! Files are recognised by their content, read as a stream, and put together to tests and
//! coverage; failures get their place in the repository. Nothing here fails: a file that is
//! broken, hostile or unknown is one whose [`FileReport`] says so, with line and column, beside
//! all that could be read of it.
//!
//! This module knows no files, clocks or GitHub. A new format is one file that fills a `Found`,
//! and one line of the table in `collect`.

mod attributes;
mod by_line;
mod case;
mod cobertura;
mod collect;
mod compare;
#[cfg(test)]
mod corpus;
mod coverage;
mod diff;
mod frame;
mod index;
pub mod json;
mod junit;
mod lcov;
mod model;
mod place;
mod source;
#[cfg(test)]
mod testing;
mod xml;

pub use collect::{Collector, Limits};
pub use compare::{Comparison, compare};
pub use coverage::{Branches, Coverage, Declared, FileCoverage, Lines, Share};
pub use diff::Diff;
pub use index::Index;
pub use model::{
    Counts, Diagnostic, DiagnosticSeverity, FileReport, FileStatus, Hints, Location, Outcome,
    Place, Report, Test, Totals, test_id,
};
