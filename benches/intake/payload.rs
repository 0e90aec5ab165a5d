//! Deliveries of `pull_request`, of the size that GitHub's have.

#![allow(
    dead_code,
    reason = "each benchmark is a program of its own and uses a part of it"
)]

use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::{Value, json};
use sha2::Sha256;

/// How long GitHub's own example is with a description of a page.
const BYTES: usize = 30_000;
/// How many different bodies there are.
const BODIES: usize = 64;

/// Bodies with their signatures.
pub(crate) struct Payloads(Vec<(Bytes, String)>);

impl Payloads {
    pub(crate) fn new(secret: &str) -> Self {
        let signed = |number| signed(&pull_request(number), secret);
        Self((0..BODIES).map(signed).collect())
    }

    /// The length of a body.
    pub(crate) fn bytes(&self) -> usize {
        self.0[0].0.len()
    }

    /// One of the bodies.
    pub(crate) fn body(&self) -> Bytes {
        self.0[0].0.clone()
    }

    /// A delivery with a GUID that no other one has.
    pub(crate) fn delivery(&self, number: usize) -> Request<Full<Bytes>> {
        let (body, signature) = &self.0[number % BODIES];
        request(body.clone(), signature)
    }
}

/// A delivery of this payload with a GUID of its own.
pub(crate) fn delivery(payload: &Value, secret: &str) -> Request<Full<Bytes>> {
    let (body, signature) = signed(payload, secret);
    request(body, &signature)
}

fn request(body: Bytes, signature: &str) -> Request<Full<Bytes>> {
    Request::post("/webhooks/github")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("user-agent", "GitHub-Hookshot/0000000")
        .header("x-github-event", "pull_request")
        .header("x-github-delivery", uuid::Uuid::new_v4().to_string())
        .header("x-hub-signature-256", signature)
        .body(Full::new(body))
        .unwrap()
}

fn signed(payload: &Value, secret: &str) -> (Bytes, String) {
    let body = payload.to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let digits = mac.finalize().into_bytes();
    let digits: String = digits.iter().map(|byte| format!("{byte:02x}")).collect();
    (body.into(), format!("sha256={digits}"))
}

/// A payload as GitHub sends it, in shape, proportion and length: many addresses, few facts, much text.
pub(crate) fn pull_request(number: usize) -> Value {
    let mut payload = facts(number);
    let short = BYTES.saturating_sub(payload.to_string().len());
    let words = "Shorten the greeting; \"nobody\" reads it to its end.\n";
    let text: String = words.chars().cycle().take(short * 49 / 52).collect();
    payload["pull_request"]["body"] = text.into();
    payload
}

fn facts(number: usize) -> Value {
    let owner = person("octo", 1);
    let fork = repository("ada", 9_000 + number, &person("ada", 2));
    let main = repository("octo", 7_000 + number, &owner);
    let commit = format!("{number:040x}");
    let api = format!("https://api.github.com/repos/octo/greet/pulls/{number}");
    json!({
        "action": "synchronize",
        "number": number,
        "before": "5e".repeat(20),
        "after": commit,
        "pull_request": {
            "id": 1_000_000 + number, "node_id": "PR_kwDOABCDEF", "number": number, "state": "open",
            "url": api, "html_url": format!("https://github.com/octo/greet/pull/{number}"),
            "diff_url": format!("https://github.com/octo/greet/pull/{number}.diff"),
            "patch_url": format!("https://github.com/octo/greet/pull/{number}.patch"),
            "commits_url": format!("{api}/commits"), "review_comments_url": format!("{api}/comments"),
            "statuses_url": format!("https://api.github.com/repos/octo/greet/statuses/{commit}"),
            "locked": false, "draft": false, "merged": false, "mergeable": null, "title": "Shorten the greeting",
            "user": person("ada", 2), "assignee": null, "assignees": [person("grace", 3)],
            "requested_reviewers": [person("grace", 3), owner], "requested_teams": [], "labels": [],
            "created_at": "2026-01-05T10:00:00Z", "updated_at": "2026-01-05T10:00:01Z",
            "head": {"label": "ada:change", "ref": "change", "sha": commit, "user": person("ada", 2), "repo": fork},
            "base": {"label": "octo:main", "ref": "main", "sha": "ba".repeat(20), "user": owner, "repo": main},
            "author_association": "CONTRIBUTOR", "auto_merge": null,
            "comments": 3, "commits": 2, "additions": 10, "deletions": 4, "changed_files": 2,
        },
        "repository": main,
        "installation": {"id": 1, "node_id": "MDIzOkludGVncmF0aW9uSW5zdGFsbGF0aW9uMQ=="},
        "sender": person("ada", 2),
    })
}

fn person(login: &str, id: usize) -> Value {
    let mut person = json!({
        "login": login, "id": id, "node_id": "MDQ6VXNlcjE=", "type": "User", "site_admin": false,
        "avatar_url": format!("https://avatars.githubusercontent.com/u/{id}?v=4"), "gravatar_id": "",
        "html_url": format!("https://github.com/{login}"), "url": format!("https://api.github.com/users/{login}"),
    });
    for name in [
        "followers",
        "following",
        "gists",
        "starred",
        "subscriptions",
        "organizations",
        "repos",
        "events",
        "received_events",
    ] {
        let address = format!("https://api.github.com/users/{login}/{name}");
        person[format!("{name}_url")] = address.into();
    }
    person
}

fn repository(login: &str, id: usize, owner: &Value) -> Value {
    let mut repository = json!({
        "id": id, "node_id": "R_kgDOABCDEF", "name": "greet", "full_name": format!("{login}/greet"),
        "private": false, "owner": owner, "html_url": format!("https://github.com/{login}/greet"),
        "description": "Greets people by their names", "fork": false, "default_branch": "main",
        "created_at": "2025-01-05T10:00:00Z", "updated_at": "2026-01-05T10:00:00Z", "pushed_at": "2026-01-05T10:00:01Z",
        "size": 108, "stargazers_count": 80, "watchers_count": 80, "language": "Rust", "has_issues": true,
        "topics": ["greeting", "people"], "visibility": "public", "forks": 9, "open_issues": 2,
    });
    for name in [
        "archive",
        "assignees",
        "blobs",
        "branches",
        "collaborators",
        "comments",
        "commits",
        "compare",
        "contents",
        "contributors",
        "deployments",
        "downloads",
        "events",
        "forks",
        "git_commits",
        "git_refs",
        "git_tags",
        "hooks",
        "issue_comment",
        "issue_events",
        "issues",
        "keys",
        "labels",
        "languages",
        "merges",
        "milestones",
        "notifications",
        "pulls",
        "releases",
        "stargazers",
        "statuses",
        "subscribers",
        "subscription",
        "tags",
        "teams",
        "trees",
    ] {
        let address = format!("https://api.github.com/repos/{login}/greet/{name}{{/sha}}");
        repository[format!("{name}_url")] = address.into();
    }
    repository
}
