//! Builds the adapters from the settings and puts the program together.

mod clock;
mod doctor;
mod git;
mod key;
mod place;
mod registrar;
pub(crate) mod runners;
mod server;
mod settle;
mod stage;

pub use clock::SystemClock;
pub use doctor::examine;
pub use git::git_source;
pub use key::known_key;
pub use place::{Place, local_docker, place, process_executor};
pub use server::{Server, SetupLink, app, install_crypto, lock, open_store, sign_in};
pub use settle::open_beside;
