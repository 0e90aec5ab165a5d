//! The repository's history and files, through the program `git`.
//!
//! Each repository has a bare mirror in the data directory, into which commits are fetched by
//! their ids; a job gets a checkout with that one commit, without a remote and without a
//! credential. Nothing here knows builds or GitHub's API.
//!
//! What comes from outside is fenced in: revisions are full hex ids and nothing else; addresses are
//! http or https without credentials in them; redirects, other transports, submodules, hooks,
//! filters and everybody's git configuration are off (`command`). The credential is in the
//! environment of `git fetch` alone, and meant for the one base address.
//!
//! Errors are classed from what git says (`fault`): what is not there is `Gone`, what we may not
//! have is `Denied`, a wrong request is `Refused`, the rest `Transient`.

mod command;
mod fault;
mod git;
mod landed;
mod merge;
#[cfg(test)]
mod tests;

pub use git::{GitOptions, GitSource};
