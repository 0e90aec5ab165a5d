//! The output of jobs, in files.
//!
//! Each attempt of a job has two files: the bytes as they came, and an index of fixed-size records
//! that says which of them belong to which step and stream, and when they were read. Whoever reads
//! (a page, a range, one step, a live tail) reads straight from these files, also while the job
//! runs. Nothing here knows builds, HTTP or what the bytes mean.
//!
//! Of a log beyond its limit the beginning and the end stay; the middle is a hole in the file, in
//! whose place readers see a line that says how much is left out.
//!
//! A crash leaves at worst a record that is torn or speaks of bytes that were not written; such a
//! tail is ignored. A full disk is a `Transient` error.

mod file;
mod index;
#[cfg(test)]
mod line_tests;
mod lines;
#[cfg(test)]
mod tests;
mod writer;

pub use file::FileLogs;
pub use index::Record;
pub use writer::Ceiling;
