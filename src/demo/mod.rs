//! A simulated GitHub, and the demonstration that runs on it.
//!
//! The simulation is a state that one can look at ([`State`]), served by a router with the real
//! one's rules as far as Herald meets them: authentication as App and installation, permissions,
//! the life of tokens, 50 annotations a request, lengths of texts, `git http-backend` for the
//! repositories; and faults on request. `herald demo` runs on it, and so do the tests.

mod access;
mod actions;
mod api;
mod commits;
mod faults;
mod git;
mod hook;
mod limits;
mod look;
mod oidc;
mod page;
mod people;
mod production;
mod pulls;
mod register;
mod sample;
mod show;
mod shown;
mod sign_in;
mod state;

pub use actions::{Artifact, Ran};
pub use faults::{Fault, What};
pub use hook::{Delivered, Hook};
pub use limits::RateLimits;
pub use oidc::Tokens;
pub use production::{Deployed, DeployedState};
pub use pulls::Merge;
pub use register::Agreed;
pub use sample::{Sample, sample};
pub use show::show;
pub use state::{
    Access, Check, GitHub, Person, Posted, PostedStatus, Project, Reacted, Request, State,
    delivery_headers,
};
