//! Commits of the simulated GitHub: what they stand on, where they are, and runs of workflows for them.

use std::path::Path as FilePath;
use std::process::Command;

use axum::Router;
use axum::extract::{Path, State as Handle};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Json;
use axum::routing::get;
use serde_json::{Value, json};

use super::access::enter;
use super::api::{Answer, invalid, not_found};
use super::git;
use super::state::GitHub;

pub(super) fn routes() -> Router<GitHub> {
    Router::new()
        .route("/repos/{owner}/{repo}/commits/{sha}", get(commit))
        .route("/repos/{owner}/{repo}/commits/{sha}/pulls", get(pulls))
        .route(
            "/repos/{owner}/{repo}/commits/{sha}/branches-where-head",
            get(branches),
        )
        .route("/repos/{owner}/{repo}/compare/{range}", get(compare))
        .route("/repos/{owner}/{repo}/actions/runs/{id}", get(run))
}

type Address = Path<(String, String, String)>;

/// What git says; nothing where it fails.
fn ask(git_dir: &FilePath, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("--git-dir")
        .arg(git_dir)
        .args(arguments)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

async fn commit(
    Handle(github): Handle<GitHub>,
    Path((owner, repo, sha)): Address,
    headers: HeaderMap,
) -> Answer {
    let (state, _) = enter(&github, &headers, (&owner, &repo), ("contents", "read"))?;
    let project = state.project(&owner, &repo).ok_or_else(not_found)?;
    if !git::has_commit(&project.git_dir, &sha) {
        return Err(invalid(format!("No commit found for SHA: {sha}")));
    }
    let line = ask(&project.git_dir, &["rev-list", "--parents", "-n1", &sha]);
    let parents: Vec<Value> = line
        .iter()
        .flat_map(|line| line.split(' ').skip(1))
        .map(|parent| json!({"sha": parent}))
        .collect();
    let date = ask(
        &project.git_dir,
        &["show", "-s", "--no-show-signature", "--format=%cI", &sha],
    );
    let answer = json!({
        "sha": sha, "parents": parents, "author": {"id": 500, "type": "User"},
        "commit": {"committer": {"date": date}},
    });
    Ok((StatusCode::OK, Json(answer)))
}

/// Pull requests that are open and have the commit as their head.
async fn pulls(
    Handle(github): Handle<GitHub>,
    Path((owner, repo, sha)): Address,
    headers: HeaderMap,
) -> Answer {
    let access = ("pull_requests", "read");
    let (state, repository) = enter(&github, &headers, (&owner, &repo), access)?;
    let found: Vec<Value> = state
        .pulls
        .iter()
        .filter(|pull| pull.pointer("/base/repo/id") == Some(&json!(repository)))
        .filter(|pull| pull.pointer("/head/sha") == Some(&json!(sha)))
        .cloned()
        .collect();
    Ok((StatusCode::OK, Json(Value::Array(found))))
}

async fn branches(
    Handle(github): Handle<GitHub>,
    Path((owner, repo, sha)): Address,
    headers: HeaderMap,
) -> Answer {
    let (state, _) = enter(&github, &headers, (&owner, &repo), ("contents", "read"))?;
    let project = state.project(&owner, &repo).ok_or_else(not_found)?;
    let points_at = format!("--points-at={sha}");
    let arguments = [
        "for-each-ref",
        &points_at,
        "--format=%(refname:lstrip=2)",
        "refs/heads",
    ];
    let names = ask(&project.git_dir, &arguments).ok_or_else(|| invalid("sha"))?;
    let names: Vec<Value> = names.lines().map(|name| json!({"name": name})).collect();
    Ok((StatusCode::OK, Json(Value::Array(names))))
}

async fn compare(
    Handle(github): Handle<GitHub>,
    Path((owner, repo, range)): Address,
    headers: HeaderMap,
) -> Answer {
    let (state, _) = enter(&github, &headers, (&owner, &repo), ("contents", "read"))?;
    let project = state.project(&owner, &repo).ok_or_else(not_found)?;
    let (base, head) = range.split_once("...").ok_or_else(not_found)?;
    let resolve = |name: &str| {
        let commit = format!("{name}^{{commit}}");
        ask(&project.git_dir, &["rev-parse", "--verify", "-q", &commit]).ok_or_else(not_found)
    };
    let (base, head) = (resolve(base)?, resolve(head)?);
    let is_below = |below: &str, above: &str| {
        let arguments = ["merge-base", "--is-ancestor", below, above];
        ask(&project.git_dir, &arguments).is_some()
    };
    let status = match (is_below(&base, &head), is_below(&head, &base)) {
        (true, true) => "identical",
        (true, false) => "ahead",
        (false, true) => "behind",
        (false, false) => "diverged",
    };
    Ok((StatusCode::OK, Json(json!({"status": status}))))
}

async fn run(
    Handle(github): Handle<GitHub>,
    Path((owner, repo, id)): Path<(String, String, i64)>,
    headers: HeaderMap,
) -> Answer {
    let (state, repository) = enter(&github, &headers, (&owner, &repo), ("actions", "read"))?;
    let is_it = |run: &&Value| {
        run.pointer("/repository/id") == Some(&json!(repository)) && run["id"] == json!(id)
    };
    let found = state.runs.iter().find(is_it).ok_or_else(not_found)?;
    Ok((StatusCode::OK, Json(found.clone())))
}
