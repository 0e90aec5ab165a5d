//! Pull requests of the simulated GitHub: opened, edited and merged, with the branches that move and the events that follow.

use std::collections::HashMap;

use axum::Router;
use axum::extract::{Path, Query, State as Handle};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Json;
use axum::routing::{get, patch};
use serde_json::{Value, json};

use super::access::enter;
use super::api::{Answer, Refusal, invalid, not_found, page, text};
use super::git;
use super::state::{GitHub, Project, State};

/// How a pull request is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// By a commit that has both as parents.
    Commit,
    /// By one commit with all of its changes.
    Squash,
    /// By moving the base to its head. GitHub has no button for that; people push.
    FastForward,
}

/// The account of the App itself.
const APP_ACCOUNT: i64 = 501;

pub(super) fn routes() -> Router<GitHub> {
    Router::new()
        .route("/repos/{owner}/{repo}/pulls", get(list).post(create))
        .route("/repos/{owner}/{repo}/pulls/{number}", patch(edit))
}

async fn list(
    Handle(github): Handle<GitHub>,
    Path((owner, repo)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    let access = ("pull_requests", "read");
    let (state, repository) = enter(&github, &headers, (&owner, &repo), access)?;
    let at = |pull: &Value, path: &str| {
        let found = pull.pointer(path).and_then(Value::as_str);
        found.unwrap_or_default().to_owned()
    };
    let from = |pull: &Value| match at(pull, "/head/user/login") {
        own if own.is_empty() => owner.clone(),
        fork => fork,
    };
    let asked = |key: &str, value: String| query.get(key).is_none_or(|wanted| *wanted == value);
    let open = state.pulls.iter().filter(|pull| {
        pull.pointer("/base/repo/id") == Some(&json!(repository))
            && asked("base", at(pull, "/base/ref"))
            && asked("head", format!("{}:{}", from(pull), at(pull, "/head/ref")))
    });
    let open: Vec<Value> = open.cloned().collect();
    Ok((StatusCode::OK, Json(Value::Array(page(open, &query)))))
}

async fn create(
    Handle(github): Handle<GitHub>,
    Path((owner, repo)): Path<(String, String)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Answer {
    let project = {
        let access = ("pull_requests", "write");
        let (state, _) = enter(&github, &headers, (&owner, &repo), access)?;
        state.project(&owner, &repo).ok_or_else(not_found)?.clone()
    };
    let (head, base) = (text(&body, "head"), text(&body, "base"));
    let user = json!({"id": APP_ACCOUNT, "login": "herald-demo[bot]", "type": "Bot"});
    let words = (text(&body, "title"), text(&body, "body"));
    let pull = github.open(&project, (&head, &base), words, &user)?;
    Ok((StatusCode::CREATED, Json(pull)))
}

async fn edit(
    Handle(github): Handle<GitHub>,
    Path((owner, repo, number)): Path<(String, String, i64)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Answer {
    let access = ("pull_requests", "write");
    let (mut state, repository) = enter(&github, &headers, (&owner, &repo), access)?;
    let pull = found(&mut state, repository, number).ok_or_else(not_found)?;
    for key in ["title", "body"] {
        if let (Some(value), Some(pull)) = (body.get(key), pull.as_object_mut()) {
            pull.insert(key.to_owned(), value.clone());
        }
    }
    Ok((StatusCode::OK, Json(pull.clone())))
}

/// An open pull request.
fn found(state: &mut State, repository: i64, number: i64) -> Option<&mut Value> {
    state.pulls.iter_mut().find(|pull| {
        pull.pointer("/base/repo/id") == Some(&json!(repository))
            && pull.pointer("/number") == Some(&json!(number))
    })
}

impl GitHub {
    /// Opens a pull request from one branch of a repository to another, as somebody with write permission; says its number.
    ///
    /// # Errors
    /// In GitHub's words, when it would not let them.
    pub fn open_pull(
        &self,
        project: &Project,
        (head, base): (&str, &str),
        (title, body): (&str, &str),
    ) -> Result<i64, String> {
        let user = json!({"id": 500, "login": "mona", "type": "User"});
        let words = (title.to_owned(), body.to_owned());
        let pull = self.open(project, (head, base), words, &user);
        let pull = pull.map_err(|Refusal(_, message)| message)?;
        Ok(pull.get("number").and_then(Value::as_i64).unwrap_or(0))
    }

    fn open(
        &self,
        project: &Project,
        (head, base): (&str, &str),
        (title, body): (String, String),
        user: &Value,
    ) -> Result<Value, Refusal> {
        let tip = |branch: &str| git::tip(&project.git_dir, branch);
        let Some(head_sha) = tip(head) else {
            return Err(invalid("Validation Failed: head invalid"));
        };
        let Some(base_sha) = tip(base) else {
            return Err(invalid("Validation Failed: base invalid"));
        };
        if git::contains(&project.git_dir, &base_sha, &head_sha) {
            return Err(invalid(format!("No commits between {base} and {head}")));
        }
        let owner = &project.owner;
        let same = |pull: &Value| {
            pull.pointer("/head/ref") == Some(&json!(head))
                && pull.pointer("/base/ref") == Some(&json!(base))
        };
        let number = {
            let mut state = self.state();
            if state.pulls.iter().any(same) {
                let message = format!("A pull request already exists for {owner}:{head}.");
                return Err(invalid(message));
            }
            state.last_pull += 1;
            state.last_pull
        };
        let ends = ((head, head_sha.as_str()), (base, base_sha.as_str()));
        let mut payload = self.pull_request(project, "opened", number, ends.0, ends.1);
        if let Some(pull) = payload
            .get_mut("pull_request")
            .and_then(Value::as_object_mut)
        {
            pull.insert("title".to_owned(), json!(title));
            pull.insert("body".to_owned(), json!(body));
            pull.insert("user".to_owned(), user.clone());
        }
        if let Some(payload) = payload.as_object_mut() {
            payload.insert("sender".to_owned(), user.clone());
        }
        let pull = payload.get("pull_request").cloned().unwrap_or_default();
        let mut state = self.state();
        state.pulls.push(pull.clone());
        state.events.push(("pull_request".to_owned(), payload));
        Ok(pull)
    }

    /// Merges a pull request; says where its base is then. `None` where it does not merge that way.
    pub fn merge(&self, project: &Project, number: i64, how: Merge) -> Option<String> {
        let pull = found(&mut self.state(), project.id, number)?.clone();
        let at = |path: &str| pull.pointer(path).and_then(Value::as_str);
        let (head, base) = (at("/head/ref")?, at("/base/ref")?);
        let (head_sha, title) = (at("/head/sha")?, at("/title")?);
        let before = git::tip(&project.git_dir, base)?;
        let after = match how {
            Merge::FastForward => {
                let is_ahead = git::contains(&project.git_dir, head_sha, &before);
                is_ahead.then(|| head_sha.to_owned())?
            }
            Merge::Commit => {
                let from = format!("{}/{head}", project.owner);
                let words = format!("Merge pull request #{number} from {from}\n\n{title}\n");
                git::merge(&project.git_dir, &before, head_sha, &[head_sha], &words)?
            }
            Merge::Squash => {
                let words = format!("{title} (#{number})\n");
                git::merge(&project.git_dir, &before, head_sha, &[], &words)?
            }
        };
        self.close(project, number);
        self.move_branch(project, base, &after)?;
        Some(after)
    }

    /// A person closes a pull request, or it is closed because it is merged.
    pub fn close(&self, project: &Project, number: i64) {
        let mut state = self.state();
        let Some(pull) = found(&mut state, project.id, number).cloned() else {
            return;
        };
        state.pulls.retain(|other| *other != pull);
        let payload = json!({
            "action": "closed",
            "number": number,
            "pull_request": pull,
            "repository": Self::repository_json(project),
            "installation": {"id": Self::INSTALLATION},
            "sender": {"id": 500, "login": "mona", "type": "User"},
        });
        state.events.push(("pull_request".to_owned(), payload));
    }

    /// Somebody pushes: the branch points there, and pull requests follow. `None` where git refuses.
    pub fn move_branch(&self, project: &Project, branch: &str, to: &str) -> Option<()> {
        let before = git::tip(&project.git_dir, branch);
        git::point(&project.git_dir, branch, to)?;
        self.moved(project, branch, before.as_deref(), to);
        Some(())
    }

    /// A branch was moved from somewhere: tells of it, and of the pull requests that follow.
    pub fn moved(&self, project: &Project, branch: &str, before: Option<&str>, to: &str) {
        let zero = "0".repeat(40);
        let push = self.push(project, branch, before.unwrap_or(&zero), to);
        self.state().events.push(("push".to_owned(), push));
        let of = |state: &State, path: &str| -> Vec<Value> {
            let here = |pull: &&Value| {
                pull.pointer("/base/repo/id") == Some(&json!(project.id))
                    && pull.pointer(path) == Some(&json!(branch))
            };
            state.pulls.iter().filter(here).cloned().collect()
        };
        let (from_it, into_it) = {
            let state = self.state();
            (of(&state, "/head/ref"), of(&state, "/base/ref"))
        };
        for mut pull in from_it {
            if let Some(sha) = pull.pointer_mut("/head/sha") {
                *sha = json!(to);
            }
            let number = pull.get("number").cloned().unwrap_or_default();
            let mut payload = self.pull_request(project, "synchronize", 0, ("", ""), ("", ""));
            if let (Some(pull), Some(now)) = (
                pull.as_object_mut(),
                payload.pointer("/pull_request/updated_at").cloned(),
            ) {
                pull.insert("updated_at".to_owned(), now);
            }
            if let Some(payload) = payload.as_object_mut() {
                payload.insert("number".to_owned(), number);
                payload.insert("pull_request".to_owned(), pull.clone());
            }
            let mut state = self.state();
            state.set_pull(&pull);
            state.events.push(("pull_request".to_owned(), payload));
        }
        // What is in the base by now is merged.
        for pull in into_it {
            let head = pull.pointer("/head/sha").and_then(Value::as_str);
            let number = pull.get("number").and_then(Value::as_i64);
            if let (Some(head), Some(number)) = (head, number)
                && git::contains(&project.git_dir, to, head)
            {
                self.close(project, number);
            }
        }
    }
}
