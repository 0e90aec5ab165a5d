//! Coverage of the lines that a change adds.

use serde::{Deserialize, Serialize};

use crate::report::Share;

/// Coverage of the lines that a change adds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchCoverage {
    /// Added lines that were hit.
    pub covered: u64,
    /// Added lines that can be covered.
    pub total: u64,
    /// Added lines that were not hit, the first [`PatchCoverage::MISSED`] stretches of them.
    #[serde(default)]
    pub missed: Vec<MissedLines>,
}

impl PatchCoverage {
    /// How many stretches of missed lines are kept.
    pub const MISSED: usize = 500;

    /// Without the places.
    pub fn share(&self) -> Share {
        Share {
            covered: self.covered,
            total: self.total,
        }
    }
}

/// Lines one after another that were not hit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissedLines {
    /// The file of the repository.
    pub path: String,
    /// The first line, from 1.
    pub first: u32,
    /// The last line.
    pub last: u32,
}
