//! HTTP: the webhook, badges, pages, logs, health.
//!
//! Handlers translate between HTTP and the use cases; they decide nothing. They must not know the
//! insides of adapters, but for the key that seals cookies. Errors become a status once, in `error`; what is not public does not
//! exist here (404), and a badge of it looks like that of a repository that does not exist.

mod api;
mod artifacts;
mod badge_page;
mod badges;
mod change;
mod chart;
mod code;
mod cookie;
mod deployments;
mod errands;
mod error;
mod folders;
mod follow;
mod health;
mod insight;
mod job_page;
mod lines;
mod logs;
mod look;
mod pages;
mod part;
mod progress;
mod quarantine;
mod router;
mod search;
mod session;
mod setup;
mod setup_next;
mod sign_in;
mod slower;
mod standing;
mod test_pages;
mod view;
mod webhook;

pub use error::Error;
pub use router::{Verify, Web, metrics_router, router};
pub use session::SignIn;
