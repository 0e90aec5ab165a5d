//! Builds the adapters from the settings and puts the program together.

mod clock;
mod server;

pub use clock::SystemClock;
pub use server::{Server, app, executor, git_source, install_crypto, open_store};
