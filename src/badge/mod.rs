//! Badges: a value in two halves as SVG, drawn as badge-maker 6 draws them.
//!
//! Pure, and deterministic: same input, same bytes. Any text gives a well-formed image. It knows
//! nothing of builds; what a badge says of one is decided where the words are made ([`build`],
//! [`tests`], [`coverage`]).

mod capitals;
mod color;
#[cfg(test)]
mod corpus_tests;
mod halves;
mod logo;
mod render;
mod social;
mod svg;
mod value;
mod width;

pub use logo::{LOGOS, is_logo};
pub use render::{Badge, Style, render, shields_json};
pub use value::{build, coverage, coverage_by, deploy, release, tests, unknown};
