//! Registering an App from a manifest on the simulated GitHub, installing it, and beginning a file in
//! the browser, by the rules of "Registering a GitHub App from a manifest".
//!
//! There is one App on it, whose id and key stand from the beginning; registering gives them away.

use axum::Router;
use axum::extract::{Form, Path, Query, State as Handle};
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::access::enter;
use super::api::{Answer, not_found};
use super::git;
use super::page::{hidden, page, wrong};
use super::state::{GitHub, Project, delivery_headers};
use crate::text::xml::escape;

/// The longest name of an App, in characters.
const NAME_MAX: usize = 34;
/// How long a code is good, in milliseconds.
const CODE_MS: i64 = 60 * 60 * 1000;
/// What an App can ask for here.
const PERMISSIONS: [&str; 12] = [
    "actions",
    "administration",
    "checks",
    "contents",
    "deployments",
    "issues",
    "members",
    "merge_queues",
    "metadata",
    "pull_requests",
    "statuses",
    "workflows",
];
/// Events, and the permission without which GitHub refuses each.
const EVENTS: [(&str, &str); 12] = [
    ("check_run", "checks"),
    ("check_suite", "checks"),
    ("create", "contents"),
    ("deployment", "deployments"),
    ("issue_comment", "pull_requests"),
    ("merge_group", "merge_queues"),
    ("pull_request", "pull_requests"),
    ("push", "contents"),
    ("release", "contents"),
    ("repository", "metadata"),
    ("status", "statuses"),
    ("workflow_run", "actions"),
];

/// A manifest that somebody has agreed to.
#[derive(Debug, Clone)]
pub struct Agreed {
    /// What it is converted by.
    pub code: String,
    /// Whose the App is to be; `None` for the person's own account.
    pub organisation: Option<String>,
    /// The manifest.
    pub manifest: Value,
    /// When, in unix milliseconds.
    pub at_ms: i64,
    /// Whether the code was used.
    pub used: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    state: String,
    manifest: String,
    name: String,
    organisation: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NewFile {
    filename: String,
    value: String,
}

/// Below `/api/v3`.
pub(super) fn api_routes() -> Router<GitHub> {
    Router::new()
        .route("/app-manifests/{code}/conversions", post(convert))
        .route("/repos/{owner}/{repo}/contents/", get(root))
}

/// What a browser sees.
pub(super) fn page_routes() -> Router<GitHub> {
    Router::new()
        .route("/settings/apps/new", post(propose))
        .route(
            "/organizations/{organisation}/settings/apps/new",
            post(propose_for),
        )
        .route("/settings/apps", post(agree))
        .route(
            "/apps/{slug}/installations/new",
            get(show_installation).post(install),
        )
        .route(
            "/{owner}/{repo}/new/{branch}",
            get(begin_file).post(commit_file),
        )
}

/// What is wrong with a manifest.
fn fault(manifest: &Value) -> Option<String> {
    let text = |at: &str| {
        manifest
            .pointer(at)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let address = |at: &str| text(at).starts_with("https://") || text(at).starts_with("http://");
    if !manifest.is_object() {
        return Some("The manifest is no JSON object".to_owned());
    }
    if text("/name").chars().count() > NAME_MAX {
        return Some(format!(
            "Name is too long (maximum is {NAME_MAX} characters)"
        ));
    }
    for (at, name) in [
        ("/url", "Url"),
        ("/hook_attributes/url", "Hook url"),
        ("/redirect_url", "Redirect url"),
    ] {
        if !address(at) {
            return Some(format!("{name} must be a valid URL"));
        }
    }
    let callbacks = manifest.get("callback_urls").and_then(Value::as_array);
    if callbacks.is_some_and(|all| all.len() > 10) {
        return Some("Callback urls: at most 10".to_owned());
    }
    let permissions = manifest
        .get("default_permissions")
        .and_then(Value::as_object);
    for (name, level) in permissions.into_iter().flatten() {
        let known = PERMISSIONS.contains(&name.as_str());
        if !known || !matches!(level.as_str(), Some("read" | "write")) {
            return Some(format!(
                "Default permission records resource is not included in the list: {name}"
            ));
        }
    }
    for event in manifest
        .get("default_events")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let event = event.as_str().unwrap_or_default();
        let Some((_, needs)) = EVENTS.iter().find(|(name, _)| *name == event) else {
            return Some(format!("Default events unsupported: {event}"));
        };
        if !permissions.is_some_and(|all| all.contains_key(*needs)) {
            return Some(format!(
                "Default events are not supported by permissions: {event}"
            ));
        }
    }
    None
}

async fn propose(Query(query): Query<Asked>, Form(form): Form<Asked>) -> Response {
    proposal(&query.state, &form.manifest, "")
}

async fn propose_for(
    Path(organisation): Path<String>,
    Query(query): Query<Asked>,
    Form(form): Form<Asked>,
) -> Response {
    proposal(&query.state, &form.manifest, &organisation)
}

/// The page that asks whether the App is to be made, with a name that can still be changed.
fn proposal(state: &str, manifest: &str, organisation: &str) -> Response {
    let Ok(parsed) = serde_json::from_str::<Value>(manifest) else {
        return wrong("The manifest is no JSON");
    };
    if let Some(fault) = fault(&parsed) {
        return wrong(&fault);
    }
    let name = parsed
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let whose = if organisation.is_empty() {
        "mona"
    } else {
        organisation
    };
    let content = format!(
        "<form method=\"post\" action=\"/settings/apps\">{}{}{}\
         <p><label>GitHub App name <input type=\"text\" name=\"name\" required value=\"{}\"></label></p>\
         <p><button>Create GitHub App for {}</button></p></form>",
        hidden("state", state),
        hidden("manifest", manifest),
        hidden("organisation", organisation),
        escape(name),
        escape(whose),
    );
    page(StatusCode::OK, "Create GitHub App", &content)
}

/// The button was pressed: the browser is led back with a code.
async fn agree(Handle(github): Handle<GitHub>, Form(form): Form<Asked>) -> Response {
    let Ok(mut manifest) = serde_json::from_str::<Value>(&form.manifest) else {
        return wrong("The manifest is no JSON");
    };
    if let Some(object) = manifest.as_object_mut() {
        object.insert("name".to_owned(), Value::String(form.name));
    }
    if let Some(fault) = fault(&manifest) {
        return wrong(&fault);
    }
    let code = uuid::Uuid::new_v4().simple().to_string();
    let back = manifest.get("redirect_url").and_then(Value::as_str);
    let back = format!(
        "{}?code={code}&state={}",
        back.unwrap_or_default(),
        form.state
    );
    let at_ms = github.now_ms();
    github.state().manifests.push(Agreed {
        code,
        organisation: Some(form.organisation).filter(|name| !name.is_empty()),
        manifest,
        at_ms,
        used: false,
    });
    Redirect::to(&back).into_response()
}

/// The name of an App in addresses.
fn slug(name: &str) -> String {
    let mut slug = String::new();
    for char in name.chars() {
        if char.is_ascii_alphanumeric() {
            slug.push(char.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

/// Needs no authentication; a code is good for an hour and for once.
async fn convert(
    Handle(github): Handle<GitHub>,
    Path(code): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.unwrap_or_default().to_owned();
    let now_ms = github.now_ms();
    let mut state = github.state();
    let agreed = state
        .manifests
        .iter_mut()
        .find(|agreed| agreed.code == code && !agreed.used && now_ms - agreed.at_ms < CODE_MS)
        .ok_or_else(not_found)?;
    agreed.used = true;
    let agreed = agreed.clone();
    let text = |at: &str| agreed.manifest.pointer(at).cloned().unwrap_or_default();
    let name = text("/name");
    let slug = slug(name.as_str().unwrap_or_default());
    let login = agreed
        .organisation
        .clone()
        .unwrap_or_else(|| "mona".to_owned());
    let app = json!({
        "id": GitHub::APP_ID,
        "slug": slug,
        "name": name,
        "owner": {"id": 500, "login": login},
        "html_url": format!("http://{host}/apps/{slug}"),
        "external_url": text("/url"),
        "permissions": text("/default_permissions"),
        "events": text("/default_events"),
    });
    text("/hook_attributes/url")
        .as_str()
        .unwrap_or_default()
        .clone_into(&mut state.hook.url);
    state.registered = Some(app.clone());
    state.uninstalled = true;
    let mut answer = app;
    if let Some(object) = answer.as_object_mut() {
        for (key, value) in [
            ("pem", github.private_key().expose()),
            ("webhook_secret", github.webhook_secret().expose()),
            ("client_id", GitHub::CLIENT_ID),
            ("client_secret", github.client_secret().expose()),
        ] {
            object.insert(key.to_owned(), Value::String(value.to_owned()));
        }
    }
    Ok((StatusCode::CREATED, Json(answer)))
}

async fn show_installation(Handle(github): Handle<GitHub>, Path(slug): Path<String>) -> Response {
    let state = github.state();
    if state.registered.as_ref().and_then(|app| app.get("slug")) != Some(&Value::String(slug)) {
        return not_found().into_response();
    }
    let names: String = state
        .projects
        .iter()
        .map(|project| {
            format!(
                "<li>{}/{}</li>",
                escape(&project.owner),
                escape(&project.name)
            )
        })
        .collect();
    let content =
        format!("<ul>{names}</ul><form method=\"post\"><p><button>Install</button></p></form>");
    page(StatusCode::OK, "Install on these repositories", &content)
}

/// Installs the App on all repositories, and tells its server.
async fn install(Handle(github): Handle<GitHub>) -> Response {
    let (repositories, back) = {
        let mut state = github.state();
        state.uninstalled = false;
        // This is all that GitHub tells of them here.
        let row = |project: &Project| {
            let (owner, name) = (&project.owner, &project.name);
            json!({
                "id": project.id, "name": name, "full_name": format!("{owner}/{name}"),
                "private": project.private,
            })
        };
        let all: Vec<Value> = state.projects.iter().map(row).collect();
        let manifest = state.manifests.iter().rfind(|agreed| agreed.used);
        let back = manifest.and_then(|agreed| agreed.manifest.get("setup_url"));
        (all, back.and_then(Value::as_str).map(str::to_owned))
    };
    let payload = json!({
        "action": "created",
        "installation": {
            "id": GitHub::INSTALLATION,
            "account": {"id": 77, "login": "octo", "type": "Organization"},
            "repository_selection": "selected",
        },
        "repositories": repositories,
        "sender": {"id": 500, "login": "mona", "type": "User"},
    });
    github.send("installation", &payload).await;
    match back {
        Some(back) => {
            let id = GitHub::INSTALLATION;
            Redirect::to(&format!("{back}?installation_id={id}&setup_action=install"))
                .into_response()
        }
        None => page(StatusCode::OK, "Installed", ""),
    }
}

/// The names in the root of the default branch.
async fn root(
    Handle(github): Handle<GitHub>,
    Path((owner, repo)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    let project = {
        let (state, _) = enter(&github, &headers, (&owner, &repo), ("contents", "read"))?;
        state
            .project(&owner, &repo)
            .cloned()
            .ok_or_else(not_found)?
    };
    let entries = git::root(&project).ok_or_else(not_found)?;
    let rows = entries
        .into_iter()
        .map(|(name, kind)| json!({"name": name, "path": name, "type": kind}));
    Ok((StatusCode::OK, Json(Value::Array(rows.collect()))))
}

async fn begin_file(Query(file): Query<NewFile>) -> Response {
    let content = format!(
        "<form method=\"post\"><p><label>Name <input type=\"text\" name=\"filename\" value=\"{}\"></label></p>\
         <p><label>Content <textarea name=\"value\">\n{}</textarea></label></p>\
         <p><button>Commit changes</button></p></form>",
        escape(&file.filename),
        escape(&file.value),
    );
    page(StatusCode::OK, "New file", &content)
}

/// Commits the file to the branch, and tells the App's server of the push.
async fn commit_file(
    Handle(github): Handle<GitHub>,
    Path((owner, repo, branch)): Path<(String, String, String)>,
    Form(file): Form<NewFile>,
) -> Response {
    let Some(project) = github.state().project(&owner, &repo).cloned() else {
        return not_found().into_response();
    };
    let text = file.value.replace("\r\n", "\n");
    let Some((before, after)) = git::commit_file(&project, &branch, &file.filename, &text) else {
        return wrong("The file could not be committed");
    };
    let payload = github.push(&project, &branch, &before, &after);
    github.send("push", &payload).await;
    page(StatusCode::OK, "Committed", &format!("<p>{after}</p>"))
}

impl GitHub {
    /// Delivers an event to the App's webhook, and notes how it was answered.
    pub async fn send(&self, event: &str, payload: &Value) -> u16 {
        let guid = uuid::Uuid::new_v4().to_string();
        let address = self.state().hook.url.clone();
        let body = payload.to_string();
        let headers = delivery_headers(self.webhook_secret(), event, &guid, body.as_bytes());
        // 0: nobody has answered.
        let status = deliver(&address, &headers, &body).await.unwrap_or(0);
        self.note_delivery(&guid, event, payload, status);
        status
    }
}

/// One request on a connection of its own; only plain HTTP is needed on one machine.
async fn deliver(address: &str, headers: &[(&str, String)], body: &str) -> Option<u16> {
    let rest = address.strip_prefix("http://")?;
    let (host, path) = rest.split_once('/')?;
    let mut stream = tokio::net::TcpStream::connect(host).await.ok()?;
    let mut head = format!(
        "POST /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream
        .write_all(format!("{head}\r\n{body}").as_bytes())
        .await
        .ok()?;
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer).await.ok()?;
    let answer = String::from_utf8_lossy(&answer);
    answer.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{fault, slug};
    use crate::domain::{Account, Home, Proposal};
    use crate::github::manifest_of;

    fn manifest() -> serde_json::Value {
        manifest_of(&Proposal {
            home: Home {
                public_url: "https://herald.example".to_owned(),
                github_url: "https://github.com".to_owned(),
                api_url: "https://api.github.com".to_owned(),
            },
            origin: "http://127.0.0.1:8080".to_owned(),
            account: Account::Personal,
            name: "Herald".to_owned(),
            public: false,
        })
    }

    #[test]
    fn the_manifest_that_herald_sends_is_taken_and_a_faulty_one_is_not() {
        assert_eq!(fault(&manifest()), None);
        for (key, value) in [
            ("name", json!("x".repeat(35))),
            ("url", json!("herald.example")),
            ("hook_attributes", json!({})),
            ("redirect_url", json!("")),
            ("callback_urls", json!(vec!["https://a"; 11])),
            (
                "default_permissions",
                json!({"metadata": "read", "nonsense": "read"}),
            ),
            ("default_permissions", json!({"checks": "admin"})),
            ("default_permissions", json!({"checks": "write"})),
            ("default_events", json!(["nonsense"])),
        ] {
            let mut faulty = manifest();
            faulty[key] = value;
            assert!(fault(&faulty).is_some(), "{key}: {faulty}");
        }
        assert_eq!(
            slug("Herald <b>on</b> x.example"),
            "herald-b-on-b-x-example"
        );
    }
}
