//! The state of the simulated GitHub as text, as a person would see it there.

use serde_json::Value;

use super::state::{Check, State};

/// What GitHub shows of a commit and its pull request.
pub fn show(state: &State, title: &str, commit: &str, pull: Option<i64>) -> String {
    let mut out = format!("{title}\n{}\n", "=".repeat(title.chars().count()));
    let newest = |check: &&Check| {
        !state.checks.iter().any(|other| {
            other.commit == check.commit && other.name == check.name && other.id > check.id
        })
    };
    let checks = state.checks.iter().filter(|check| check.commit == commit);
    for check in checks.filter(newest) {
        out.push_str(&format!(
            "\nCheck run  {}  {}\n           {}\n           {}\n",
            check.name,
            word(check),
            check.title,
            check.details_url
        ));
        for annotation in &check.annotations {
            let text = |key: &str| annotation.get(key).and_then(Value::as_str).unwrap_or("");
            let line = annotation.get("start_line").and_then(Value::as_i64);
            out.push_str(&format!(
                "  annotation {}:{}: {}\n             {}\n",
                text("path"),
                line.unwrap_or(0),
                text("title"),
                text("message").replace('\n', "\n             ")
            ));
        }
        out.push_str("\n  summary\n");
        for line in check.summary.lines() {
            out.push_str(&format!("  | {line}\n"));
        }
    }
    let mut contexts: Vec<&str> = Vec::new();
    for status in state.statuses.iter().filter(|one| one.commit == commit) {
        if !contexts.contains(&status.context.as_str()) {
            contexts.push(&status.context);
        }
    }
    if !contexts.is_empty() {
        out.push('\n');
    }
    for context in contexts {
        if let Some(status) = state.status_of(commit, context) {
            out.push_str(&format!(
                "Status     {:<16} {:<8} {}\n",
                status.context, status.state, status.description
            ));
        }
    }
    let comments = state
        .comments
        .iter()
        .filter(|comment| Some(comment.pull) == pull);
    for comment in comments {
        out.push_str("\nComment\n");
        for line in comment.body.lines() {
            out.push_str(&format!("  | {line}\n"));
        }
    }
    out
}

fn word(check: &Check) -> &str {
    check.conclusion.as_deref().unwrap_or(&check.status)
}
