//! Git, as the settings say.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::github::Outbound;
use crate::source::{GitOptions, GitSource};

/// Git, with its mirrors in `folder`, which goes the same way out as everything else. What it trusts is put into
/// `trusted`: git takes one file, in the place of what the machine has.
///
/// # Errors
/// When that file cannot be written.
pub fn git_source(
    folder: PathBuf,
    outbound: &Outbound,
    trusted: &Path,
) -> anyhow::Result<GitSource> {
    let mut environment = Vec::new();
    let mut set = |name: &str, value: String| environment.push((name.to_owned(), value));
    if let Ok(path) = std::env::var("PATH") {
        set("PATH", path);
    }
    if let Some(proxy) = outbound.proxy() {
        set("https_proxy", proxy.address().expose().to_owned());
        set("no_proxy", proxy.except().to_owned());
    }
    if let Some(authorities) = outbound.authorities() {
        let written = std::fs::write(trusted, authorities.with_those_of_the_machine());
        written.with_context(|| format!("write {}", trusted.display()))?;
        let trusted = std::path::absolute(trusted).context("find the current folder")?;
        set("GIT_SSL_CAINFO", trusted.display().to_string());
    }
    Ok(GitSource::new(GitOptions {
        program: PathBuf::from("git"),
        folder,
        environment,
        allow_files: false,
    }))
}
