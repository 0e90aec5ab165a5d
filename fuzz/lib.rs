//! The readers of reports, built for the fuzzer without the rest of Herald.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "only a part of Herald is here")]

#[path = "../src/report/mod.rs"]
pub mod report;
#[path = "../src/text/mod.rs"]
pub mod text;

#[path = "laws.rs"]
pub mod laws;
