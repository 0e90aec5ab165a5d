//! Builds the adapters from the settings and puts the program together.

mod clock;
mod key;
mod place;
pub(crate) mod runners;
mod server;

pub use clock::SystemClock;
pub use place::{Place, local_docker, place, process_executor};
pub use server::{Server, app, git_source, install_crypto, lock, open_store, sign_in};
