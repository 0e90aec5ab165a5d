//! From candidate to production: `deploy` of a job, and `promote`.

use super::fields::{self, Fields};
use super::keys;
use super::model::{Deploy, Promote};
use super::problem::{Place, Problems, quoted};
use super::tree::Node;

/// GitHub's limit of an environment's name, in characters ("Managing environments for deployment" in its documentation).
const MAX_ENVIRONMENT: usize = 255;
/// At most so long an address, in bytes.
const MAX_URL: usize = 2_000;
/// Git's own limit of a name is that of the file system; GitHub's is 255 bytes.
const MAX_BRANCH: usize = 255;

/// The deployment that a job is; `None` when it is none, or a broken one.
pub(super) fn deploy(
    job: &Fields<'_>,
    top: &Fields<'_>,
    problems: &mut Problems,
) -> Option<Deploy> {
    let (name, node) = job.entry("deploy")?;
    let fields = Fields::of(node, "`deploy`", keys::DEPLOY, problems)?;
    if job.get("when").is_none() && top.get("when").is_none() {
        problems.warning(
            name.at,
            "`deploy` without a `when` deploys pull requests, tags and merge queues \
             too: say which pushes deploy, as `when: {events: [push], branches: [production]}`",
        );
    }
    let url = fields
        .get("url")
        .and_then(|node| Some((node.at, fields::word(node, "`deploy.url`", problems)?)))
        .filter(|(at, url)| check_url(url, *at, problems))
        .map(|(_, url)| url);
    let approval = fields
        .get("approval")
        .and_then(|node| fields::flag(node, "`deploy.approval`", problems))
        .unwrap_or(false);
    let Some(environment) = fields.get("environment") else {
        problems.hinted(
            name.at,
            "`deploy` without `environment`",
            "as {environment: production}".to_owned(),
        );
        return None;
    };
    let at = environment.at;
    let environment = fields::word(environment, "`deploy.environment`", problems)?;
    let environment = environment.trim().to_owned();
    check_environment(&environment, at, problems).then_some(Deploy {
        environment,
        url,
        approval,
    })
}

/// Whether a text can be the name of an environment.
pub(super) fn check_environment(name: &str, at: Place, problems: &mut Problems) -> bool {
    let length = name.chars().count();
    if length == 0 {
        problems.error(at, "`deploy.environment` is empty");
    } else if length > MAX_ENVIRONMENT {
        problems.error(
            at,
            format!("`deploy.environment` has {length} characters; at most {MAX_ENVIRONMENT} are possible"),
        );
    } else if name.contains(char::is_control) {
        problems.error(at, "`deploy.environment` must be one line of plain text");
    } else {
        return true;
    }
    false
}

/// Whether a text can be the address of an environment.
pub(super) fn check_url(url: &str, at: Place, problems: &mut Problems) -> bool {
    let rest = ["https://", "http://"]
        .into_iter()
        .find_map(|scheme| url.strip_prefix(scheme));
    let good = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        && url.len() <= MAX_URL
        && !url.contains(|c: char| c.is_control() || c.is_whitespace());
    if !good {
        problems.hinted(
            at,
            format!("`deploy.url` must be an address, not {}", quoted(url)),
            "as https://example.org".to_owned(),
        );
    }
    good
}

/// From where to where a candidate is promoted; `None` when it is not, or what is said of it is wrong.
pub(super) fn promote(top: &Fields<'_>, problems: &mut Problems) -> Option<Promote> {
    let (name, node) = top.entry("promote")?;
    let fields = Fields::of(node, "`promote`", keys::PROMOTE, problems)?;
    let mut one = |key: &str| match fields.get(key) {
        Some(node) => branch(node, &format!("`promote.{key}`"), problems),
        None => {
            problems.hinted(
                name.at,
                format!("`promote` without `{key}`"),
                "as {from: main, to: production}".to_owned(),
            );
            None
        }
    };
    let (from, to) = (one("from"), one("to"));
    let (from, to) = (from?, to?);
    if from == to {
        problems.error(
            fields.get("to").map_or(name.at, |node| node.at),
            format!("`promote` leads from {} to itself", quoted(&from)),
        );
        return None;
    }
    Some(Promote { from, to })
}

/// The name of a branch, which goes to git and into addresses.
fn branch(node: &Node, what: &str, problems: &mut Problems) -> Option<String> {
    let name = fields::word(node, what, problems)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/_.-".contains(&byte);
    let good = name.len() <= MAX_BRANCH
        && name.bytes().all(plain)
        && !name.starts_with(['/', '-', '.'])
        && !name.ends_with(['/', '.'])
        && !name.contains("..")
        && !name.contains("//");
    if !good {
        problems.hinted(
            node.at,
            format!("{what} cannot be the branch {}", quoted(&name)),
            "letters, digits and . _ / -".to_owned(),
        );
    }
    good.then_some(name)
}
