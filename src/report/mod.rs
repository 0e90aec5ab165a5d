//! What test and coverage reports say.
//!
//! Files are recognised by their content, read as a stream, and put together to tests and
//! coverage; failures get their place in the repository. Nothing here fails: a file that is
//! broken, hostile or unknown is one whose [`FileReport`] says so, with line and column, beside
//! all that could be read of it.
//!
//! This module knows no files, clocks or GitHub. A new format is one file that fills a `Found`,
//! and one line of the table in `collect`.

mod archive;
mod attributes;
mod by_line;
mod case;
mod change;
mod clover;
mod cobertura;
mod codecov_json;
mod collect;
mod compare;
#[cfg(test)]
mod corpus;
mod coverage;
mod coverage_py;
mod ctrf;
#[cfg(test)]
mod damage_tests;
mod dart;
mod diff;
mod dotnet;
mod excerpt;
mod frame;
mod gcovr;
mod go_cover;
mod go_test;
mod in_log;
mod index;
mod istanbul;
mod jacoco;
pub mod json;
mod json_bytes;
mod json_lines;
mod json_stream;
mod junit;
#[cfg(test)]
mod law_tests;
mod lcov;
mod lines;
mod llvm;
mod mocha_json;
mod model;
mod nunit;
mod opencover;
mod place;
mod rspec_json;
mod simplecov;
mod sonarqube;
mod source;
mod tally;
mod tap;
mod tap_line;
#[cfg(test)]
mod testing;
mod trx;
mod xml;
mod xunit_net;

pub use archive::{ArchiveLimits, Archived, Archives, may_be_report};
pub use change::{ChangedFile, CoverageChange};
pub use collect::{Collector, Limits, is_other_document};
pub use compare::{Comparison, compare};
pub use coverage::{Branches, Coverage, Declared, FileCoverage, Lines, Share, stretch, stretches};
pub use diff::Diff;
pub use in_log::InLog;
pub use index::Index;
pub use model::{
    Counts, Diagnostic, DiagnosticSeverity, FileReport, FileStatus, Hints, Location, LogLine,
    Outcome, Place, Report, Test, Totals, test_id,
};
