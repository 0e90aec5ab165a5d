//! Builds the adapters from the settings and puts the program together.

mod clock;
mod key;
mod server;

pub use clock::SystemClock;
pub use server::{Server, app, executor, git_source, install_crypto, lock, open_store};
