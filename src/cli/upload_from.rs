//! What the CI that `herald upload` runs in says of commit and pull request.
//!
//! Facts are from the vendors' lists of predefined variables, as of 2026.

use std::process::Command;

/// A CI, the variable that tells it, and those that say commit and pull request.
struct Vendor {
    mark: &'static str,
    commit: &'static str,
    pull: &'static str,
}

/// The documentation has the same table.
const VENDORS: [Vendor; 6] = [
    // The commit that merges the pull request, which the server resolves.
    Vendor {
        mark: "GITHUB_ACTIONS",
        commit: "GITHUB_SHA",
        pull: "GITHUB_REF",
    },
    Vendor {
        mark: "GITLAB_CI",
        commit: "CI_COMMIT_SHA",
        pull: "CI_EXTERNAL_PULL_REQUEST_IID",
    },
    Vendor {
        mark: "JENKINS_URL",
        commit: "GIT_COMMIT",
        pull: "CHANGE_ID",
    },
    Vendor {
        mark: "BUILDKITE",
        commit: "BUILDKITE_COMMIT",
        pull: "BUILDKITE_PULL_REQUEST",
    },
    Vendor {
        mark: "CIRCLECI",
        commit: "CIRCLE_SHA1",
        pull: "CIRCLE_PULL_REQUEST",
    },
    Vendor {
        mark: "TF_BUILD",
        commit: "BUILD_SOURCEVERSION",
        pull: "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER",
    },
];

/// Commit and pull request as the CI has them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tested {
    pub(super) commit: Option<String>,
    pub(super) pull: Option<i64>,
    /// Whether a CI said it.
    pub(super) by_ci: bool,
}

/// What the environment says; empty variables say nothing.
pub(super) fn tested(variable: impl Fn(&str) -> Option<String>) -> Tested {
    let said = |name: &str| variable(name).filter(|value| !value.is_empty());
    let is_there = |vendor: &&Vendor| said(vendor.mark).is_some_and(|value| value != "false");
    let Some(vendor) = VENDORS.iter().find(is_there) else {
        return Tested::default();
    };
    Tested {
        commit: said(vendor.commit),
        pull: said(vendor.pull).and_then(|text| number(&text)),
        by_ci: true,
    }
}

/// The number in `7`, `refs/pull/7/merge` or `https://github.com/o/r/pull/7`.
fn number(text: &str) -> Option<i64> {
    let text = match text.split_once("/pull/") {
        Some((_, rest)) => rest.split('/').next().unwrap_or_default(),
        None => text,
    };
    text.parse().ok().filter(|number| *number > 0)
}

/// `OWNER/REPO` of an address of a repository.
pub(super) fn repository_of(address: &str) -> Option<String> {
    let address = address.trim().trim_end_matches('/');
    let address = address.strip_suffix(".git").unwrap_or(address);
    let path = match address.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?.1,
        None => address.split_once(':')?.1,
    };
    let (owner, name) = path.trim_start_matches('/').split_once('/')?;
    let is_plain = |part: &str| !part.is_empty() && !part.contains('/');
    (is_plain(owner) && is_plain(name)).then(|| format!("{owner}/{name}"))
}

/// What git prints in this folder; nothing where it fails.
pub(super) fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{repository_of, tested};

    fn of(variables: &[(&str, &str)]) -> (Option<String>, Option<i64>) {
        let found = tested(|name| {
            let known = variables.iter().find(|(known, _)| *known == name);
            known.map(|(_, value)| (*value).to_owned())
        });
        (found.commit, found.pull)
    }

    #[test]
    fn every_ci_of_the_table_says_what_it_tests() {
        let sha = "a".repeat(40);
        for (mark, commit, pull, value) in [
            (
                "GITHUB_ACTIONS",
                "GITHUB_SHA",
                "GITHUB_REF",
                "refs/pull/7/merge",
            ),
            (
                "GITLAB_CI",
                "CI_COMMIT_SHA",
                "CI_EXTERNAL_PULL_REQUEST_IID",
                "7",
            ),
            ("JENKINS_URL", "GIT_COMMIT", "CHANGE_ID", "7"),
            (
                "BUILDKITE",
                "BUILDKITE_COMMIT",
                "BUILDKITE_PULL_REQUEST",
                "7",
            ),
            (
                "CIRCLECI",
                "CIRCLE_SHA1",
                "CIRCLE_PULL_REQUEST",
                "https://github.com/o/r/pull/7",
            ),
            (
                "TF_BUILD",
                "BUILD_SOURCEVERSION",
                "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER",
                "7",
            ),
        ] {
            let variables = [(mark, "true"), (commit, sha.as_str()), (pull, value)];
            assert_eq!(of(&variables), (Some(sha.clone()), Some(7)), "{mark}");
            assert_eq!(of(&variables[1..]), (None, None), "{mark} is not there");
            assert_eq!(of(&variables[..2]), (Some(sha.clone()), None), "{mark}");
        }
        let no_pull = [("BUILDKITE", "true"), ("BUILDKITE_PULL_REQUEST", "false")];
        assert_eq!(of(&no_pull), (None, None));
        let push = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_REF", "refs/heads/main"),
        ];
        assert_eq!(of(&push), (None, None));
    }

    #[test]
    fn addresses_of_repositories_are_read_in_every_form() {
        for address in [
            "https://github.com/octo/project.git",
            "https://github.com/octo/project/",
            "https://user:secret@github.com/octo/project",
            "git@github.com:octo/project.git",
            "ssh://git@github.com:22/octo/project.git",
        ] {
            assert_eq!(
                repository_of(address).as_deref(),
                Some("octo/project"),
                "{address}"
            );
        }
        for address in [
            "",
            "/srv/git/project.git",
            "https://github.com/octo",
            "git@host:project",
        ] {
            assert_eq!(repository_of(address), None, "{address}");
        }
    }
}
