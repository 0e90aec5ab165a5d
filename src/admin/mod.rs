//! What an operator asks of a server: stored secrets, tokens, and deliveries.
//!
//! A command asks the running server over the Unix socket `admin.sock` in its data directory, which
//! nobody but Herald's own user can open; where no server runs, it carries the request out itself
//! ([`carry_out`]). One line of JSON each way and connection. Values are never printed or logged.

mod request;
mod socket;
mod tokens;

pub use request::{Answer, Listed, ListedDeed, ListedDelivery, Request, carry_out, person};
pub use socket::{SOCKET, ask, listen, serve};
