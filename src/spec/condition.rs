//! Whether a `when` matches what happened.

use globset::{Glob, GlobBuilder, GlobMatcher};

use super::model::{Event, When};

/// What happened, as far as `when` can ask.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    /// The event.
    pub event: Event,
    /// The branch that was pushed; of a pull request or merge queue, its base.
    pub branch: Option<&'a str>,
    /// The tag that was set.
    pub tag: Option<&'a str>,
    /// The paths that changed; `None` when that is unknown, which matches.
    pub changed_paths: Option<&'a [String]>,
    /// Whether what has no `when` is to be built. For a push the caller decides this (the default
    /// branch, tags), because only it knows the repository.
    pub by_default: bool,
}

/// Why a `when` does not match, in words after "skipped: "; `None` when it matches.
pub(super) fn mismatch(when: &When, occasion: &Occasion<'_>) -> Option<String> {
    if let Some(events) = &when.events
        && !events.contains(&occasion.event)
    {
        return Some(format!("`when.events` has no {}", occasion.event.name()));
    }
    if let Some(globs) = &when.branches {
        match occasion.branch {
            None => return Some("`when.branches` asks for a branch".to_owned()),
            Some(branch) if !any(globs, branch) => {
                return Some(format!("`when.branches` does not match {branch}"));
            }
            Some(_) => {}
        }
    }
    if let Some(globs) = &when.tags {
        match occasion.tag {
            None => return Some("`when.tags` asks for a tag".to_owned()),
            Some(tag) if !any(globs, tag) => {
                return Some(format!("`when.tags` does not match {tag}"));
            }
            Some(_) => {}
        }
    }
    if when.paths.is_none() && when.paths_ignore.is_none() {
        return None;
    }
    let counts = matchers(when.paths.as_deref().unwrap_or_default());
    let ignored = matchers(when.paths_ignore.as_deref().unwrap_or_default());
    let relevant = |path: &String| {
        (when.paths.is_none() || counts.iter().any(|glob| glob.is_match(path)))
            && !ignored.iter().any(|glob| glob.is_match(path))
    };
    match occasion.changed_paths {
        Some(paths) if !paths.iter().any(relevant) => {
            Some("no changed file is one that `when` asks for".to_owned())
        }
        _ => None,
    }
}

fn any(globs: &[String], name: &str) -> bool {
    matchers(globs).iter().any(|glob| glob.is_match(name))
}

/// `*` stays within a folder, `**` does not. Globs that do not compile were refused when the
/// specification was read.
fn matchers(globs: &[String]) -> Vec<GlobMatcher> {
    globs
        .iter()
        .filter_map(|glob| GlobBuilder::new(glob).literal_separator(true).build().ok())
        .map(|glob: Glob| glob.compile_matcher())
        .collect()
}
