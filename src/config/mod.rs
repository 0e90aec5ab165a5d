//! From flags and environment variables to validated settings.
//!
//! The only place that knows the variables' names and defaults. It reads no files but those that
//! `X_FILE` and `HERALD_CA_FILE` name, and reports all problems together: each names the variable and the way out.

mod credentials;
mod outbound;
mod read;
mod settings;

pub use credentials::{Credentials, OAuthClient};
pub use outbound::outbound;
pub use read::{Problems, Reader, VARIABLES};
pub use settings::{Config, Database, ExecutorKind, Role, RunnerListener};
