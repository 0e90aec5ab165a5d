//! Text for people: escaping, shortening, durations, counts, "did you mean", and what is hidden.
//!
//! The ground that everything stands on: pure functions over `&str` that never fail and know
//! nothing of builds. Limits are in bytes or characters as their names say; nothing is ever cut
//! inside a character.

#[cfg(feature = "server")]
pub mod address;
#[cfg(feature = "server")]
pub mod ansi;
mod count;
pub mod markdown;
pub mod mask;
#[cfg(feature = "server")]
pub mod paint;
pub mod shorten;
mod time;
#[cfg(feature = "server")]
pub mod traces;
#[cfg(feature = "server")]
pub mod trouble;
#[cfg(feature = "server")]
mod word;
pub mod xml;

pub use count::plural;
pub use time::{DurationError, duration, parse_duration};
#[cfg(feature = "server")]
pub use word::nearest;
