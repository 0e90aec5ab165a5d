//! GitHub: App authentication, webhook signatures and payloads, and writing what people see.
//!
//! The only place that knows octocrab and GitHub's shapes. Octocrab carries the requests; its own
//! authentication and retries stay off, because Herald decides what is repeated (a repeated POST
//! doubles comments) and which token a request gets. Errors are classed by what to do next.

mod answer;
mod cache;
mod client;
mod commits;
mod download;
mod forge;
mod found;
mod identity;
mod limit;
mod manifest;
mod outbound;
mod payload;
mod people;
mod plain;
mod production;
mod register;
mod shown;
mod signature;
mod token;
mod who;
mod workflows;

pub use client::{Client, ClientOptions};
pub use forge::{AppInfo, GitHub};
pub use found::{AccountInfo, HookConfig, InstallationInfo, RateLeft};
pub use identity::Issuer;
pub use manifest::{MANIFEST, manifest_events, manifest_of, manifest_permissions};
pub use outbound::{Authorities, Outbound, Proxy};
pub use payload::{kept, read_event};
pub use people::SignIn;
pub use plain::{Answered, Plain};
pub use signature::verify;
pub use token::AppKey;
