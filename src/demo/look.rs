//! Pages of the simulated GitHub: a pull request with its checks and comments, and a check run. Their Markdown
//! stands there as it was sent; `docs/pictures` renders it.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State as Handle};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde_json::Value;

use super::state::{Check, GitHub, State};

const CSS: &str = include_str!("../../templates/demo/github.css");

/// A check run or a status in the list under a pull request.
struct Row {
    class: &'static str,
    name: String,
    words: String,
    address: String,
}

/// A line that a check run speaks of.
struct Note {
    level: String,
    place: String,
    title: String,
    message: String,
}

#[derive(Template)]
#[template(path = "demo/pull.html")]
struct PullPage {
    repository: String,
    number: i64,
    title: String,
    author: String,
    from: String,
    to: String,
    comments: Vec<String>,
    rows: Vec<Row>,
    failed: usize,
}

#[derive(Template)]
#[template(path = "demo/check.html")]
struct CheckPage {
    repository: String,
    row: Row,
    title: String,
    summary: String,
    details_url: String,
    notes: Vec<Note>,
}

/// The routes.
pub(super) fn pages() -> Router<GitHub> {
    Router::new()
        .route("/assets/github.css", get(stylesheet))
        .route("/{owner}/{repo}/pull/{number}", get(pull))
        .route("/{owner}/{repo}/runs/{id}", get(check))
}

async fn stylesheet() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], CSS).into_response()
}

async fn pull(
    Handle(github): Handle<GitHub>,
    Path((owner, name, number)): Path<(String, String, i64)>,
) -> Response {
    shown(pull_page(&github.state(), &owner, &name, number))
}

async fn check(
    Handle(github): Handle<GitHub>,
    Path((owner, name, id)): Path<(String, String, u64)>,
) -> Response {
    shown(check_page(&github.state(), &owner, &name, id))
}

/// A page, or the word that there is none.
fn shown(page: Option<impl Template>) -> Response {
    match page.and_then(|page| page.render().ok()) {
        Some(html) => Html(html).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn pull_page(state: &State, owner: &str, name: &str, number: i64) -> Option<PullPage> {
    let project = state.project(owner, name).filter(|found| !found.private)?;
    let pull = state.pulls.iter().find(|pull| {
        let at = |path: &str| pull.pointer(path).and_then(Value::as_i64);
        at("/number") == Some(number) && at("/base/repo/id") == Some(project.id)
    })?;
    let text = |path: &str| {
        let found = pull.pointer(path).and_then(Value::as_str);
        found.unwrap_or_default().to_owned()
    };
    let rows = rows(state, &text("/head/sha"));
    let comments = state.comments.iter();
    Some(PullPage {
        repository: format!("{owner}/{name}"),
        number,
        title: text("/title"),
        author: text("/user/login"),
        from: text("/head/ref"),
        to: text("/base/ref"),
        comments: comments
            .filter(|one| one.pull == number && one.repository == project.id)
            .map(|one| one.body.clone())
            .collect(),
        failed: rows.iter().filter(|row| row.class == "failed").count(),
        rows,
    })
}

fn check_page(state: &State, owner: &str, name: &str, id: u64) -> Option<CheckPage> {
    let project = state.project(owner, name).filter(|found| !found.private)?;
    let of_project = |check: &&Check| check.id == id && check.repository == project.id;
    let check = state.checks.iter().find(of_project)?;
    Some(CheckPage {
        repository: format!("{owner}/{name}"),
        row: row_of(check),
        title: check.title.clone(),
        summary: check.summary.clone(),
        details_url: check.details_url.clone(),
        notes: check.annotations.iter().map(note).collect(),
    })
}

/// What stands under a pull request with this head: of each name the newest.
fn rows(state: &State, commit: &str) -> Vec<Row> {
    let newest = |check: &&Check| {
        let of_name = state.checks_of(commit, &check.name);
        of_name.last().is_some_and(|last| last.id == check.id)
    };
    let checks = state.checks.iter().filter(|one| one.commit == commit);
    let mut rows: Vec<Row> = checks.filter(newest).map(row_of).collect();
    let mut contexts: Vec<&str> = Vec::new();
    for status in state.statuses.iter().filter(|one| one.commit == commit) {
        if !contexts.contains(&status.context.as_str()) {
            contexts.push(&status.context);
        }
    }
    let statuses = contexts
        .into_iter()
        .filter_map(|context| state.status_of(commit, context));
    rows.extend(statuses.map(|status| Row {
        class: class(&status.state),
        name: status.context.clone(),
        words: status.description.clone(),
        address: status.target_url.clone(),
    }));
    rows
}

fn row_of(check: &Check) -> Row {
    Row {
        class: class(check.conclusion.as_deref().unwrap_or(&check.status)),
        name: check.name.clone(),
        words: check.title.clone(),
        address: format!("../runs/{}", check.id),
    }
}

/// How a conclusion or the state of a status is coloured.
fn class(word: &str) -> &'static str {
    match word {
        "success" => "passed",
        "failure" | "error" | "timed_out" => "failed",
        "queued" | "in_progress" | "pending" | "action_required" => "waits",
        _ => "dull",
    }
}

fn note(annotation: &Value) -> Note {
    let text = |key: &str| annotation.get(key).and_then(Value::as_str);
    let line = annotation.get("start_line").and_then(Value::as_i64);
    let level = match text("annotation_level") {
        Some("failure") => "Check failure",
        Some("warning") => "Check warning",
        _ => "Check notice",
    };
    Note {
        level: level.to_owned(),
        place: format!(
            "line {} in {}",
            line.unwrap_or(0),
            text("path").unwrap_or("")
        ),
        title: text("title").unwrap_or("").to_owned(),
        message: text("message").unwrap_or("").to_owned(),
    }
}
