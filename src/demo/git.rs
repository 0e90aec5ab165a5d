//! Repositories of the simulated GitHub, served by `git http-backend` (its manual page describes
//! the CGI variables).

use std::path::Path;
use std::process::Stdio;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State as Handle};
use axum::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::AsyncWriteExt;

use super::access::allows;
use super::state::{GitHub, Project};

/// Whether a commit is in a repository.
pub(super) fn has_commit(git_dir: &Path, commit: &str) -> bool {
    let hex = commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex && std::process::Command::new("git")
        .arg("--git-dir")
        .arg(git_dir)
        .args(["cat-file", "-e", &format!("{commit}^{{commit}}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The names of a repository's tags.
pub(super) fn tags(git_dir: &Path) -> Vec<String> {
    let output = std::process::Command::new("git")
        .arg("--git-dir")
        .arg(git_dir)
        .args(["for-each-ref", "--format=%(refname:short)", "refs/tags"])
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect()
}

/// Serves a path below `/{owner}/{name}.git/`.
pub(super) async fn serve(Handle(github): Handle<GitHub>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let Some((project, rest)) = find(&github, &path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if !may_read(&github, &project, &request) {
        let header = [(WWW_AUTHENTICATE, "Basic realm=\"GitHub\"")];
        return (StatusCode::UNAUTHORIZED, header).into_response();
    }
    match backend(&project, &rest, request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

fn find(github: &GitHub, path: &str) -> Option<(Project, String)> {
    let (owner, rest) = path.strip_prefix('/')?.split_once('/')?;
    let (name, rest) = rest.split_once(".git/")?;
    let project = github.state().project(owner, name)?.clone();
    Some((project, rest.to_owned()))
}

/// A token of an installation as the password of `x-access-token`; nobody needs one for a public
/// repository, but a wrong one is refused there too.
fn may_read(github: &GitHub, project: &Project, request: &Request) -> bool {
    let Some(header) = request.headers().get(AUTHORIZATION) else {
        return !project.private;
    };
    let token = header
        .to_str()
        .ok()
        .and_then(|text| text.strip_prefix("Basic "))
        .and_then(|text| STANDARD.decode(text).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|pair| pair.strip_prefix("x-access-token:").map(str::to_owned));
    let now_ms = github.now_ms();
    let state = github.state();
    token
        .and_then(|token| state.tokens.get(&token))
        .is_some_and(|access| {
            access.ends_ms > now_ms
                && allows(access, "contents", "read")
                && access
                    .repositories
                    .as_ref()
                    .is_none_or(|only| only.contains(&project.id))
        })
}

async fn backend(project: &Project, rest: &str, request: Request) -> anyhow::Result<Response> {
    let (parts, body) = request.into_parts();
    let header = |name: HeaderName| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let mut child = tokio::process::Command::new("git")
        .args(["-c", "uploadpack.allowAnySHA1InWant=true", "http-backend"])
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("PATH_TRANSLATED", project.git_dir.join(rest))
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header(CONTENT_TYPE))
        .env("HTTP_CONTENT_ENCODING", header(CONTENT_ENCODING))
        .env(
            "GIT_PROTOCOL",
            header(HeaderName::from_static("git-protocol")),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let body = axum::body::to_bytes(body, 256 * 1024 * 1024).await?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&body).await?;
    }
    let output = child.wait_with_output().await?;
    Ok(cgi(&output.stdout))
}

/// From a CGI answer: header lines, an empty line, the body.
fn cgi(output: &[u8]) -> Response {
    let end = output
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap_or(output.len());
    let head = String::from_utf8_lossy(output.get(..end).unwrap_or_default()).into_owned();
    let body = Bytes::copy_from_slice(output.get(end + 4..).unwrap_or_default());
    let mut response = Response::new(Body::from(body));
    for line in head.lines() {
        let Some((name, value)) = line.split_once(": ") else {
            continue;
        };
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().and_then(|code| code.parse().ok());
            if let Some(status) = code.and_then(|code| StatusCode::from_u16(code).ok()) {
                *response.status_mut() = status;
            }
        } else if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(value),
        ) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn run(git_dir: &Path, index: Option<&Path>, arguments: &[&str], input: &str) -> Option<String> {
    use std::io::Write;
    let mut command = std::process::Command::new("git");
    command
        .arg("--git-dir")
        .arg(git_dir)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if let Some(index) = index {
        command.env("GIT_INDEX_FILE", index);
    }
    for who in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{who}_NAME"), "Mona")
            .env(format!("GIT_{who}_EMAIL"), "mona@example.org");
    }
    let mut child = command.spawn().ok()?;
    child.stdin.take()?.write_all(input.as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_owned())
}

/// Names in the root of the default branch, with `file` or `dir`.
pub(super) fn root(project: &Project) -> Option<Vec<(String, &'static str)>> {
    let arguments = ["ls-tree", "-z", &project.default_branch];
    let listed = run(&project.git_dir, None, &arguments, "")?;
    let rows = listed.split('\0').filter(|row| !row.is_empty());
    rows.map(|row| {
        let (about, name) = row.split_once('\t')?;
        let kind = if about.contains(" tree ") {
            "dir"
        } else {
            "file"
        };
        Some((name.to_owned(), kind))
    })
    .collect()
}

/// Where a branch points.
pub(super) fn tip(git_dir: &Path, branch: &str) -> Option<String> {
    let name = format!("refs/heads/{branch}");
    run(git_dir, None, &["rev-parse", "--verify", "-q", &name], "")
}

/// Points a branch at a commit.
pub(super) fn point(git_dir: &Path, branch: &str, commit: &str) -> Option<()> {
    let name = format!("refs/heads/{branch}");
    run(git_dir, None, &["update-ref", &name, commit], "").map(|_| ())
}

/// Whether a commit leads to another one, or is it.
pub(super) fn contains(git_dir: &Path, commit: &str, other: &str) -> bool {
    let arguments = ["merge-base", "--is-ancestor", other, commit];
    run(git_dir, None, &arguments, "").is_some()
}

/// Makes a commit on top of `base` with what merging `head` gives; `more` are its other parents.
pub(super) fn merge(
    git_dir: &Path,
    base: &str,
    head: &str,
    more: &[&str],
    words: &str,
) -> Option<String> {
    let merged = run(
        git_dir,
        None,
        &["merge-tree", "--write-tree", base, head],
        "",
    )?;
    let tree = merged.lines().next()?;
    let mut arguments = vec!["commit-tree", tree, "-p", base];
    for parent in more {
        arguments.extend(["-p", *parent]);
    }
    run(git_dir, None, &arguments, words)
}

/// Commits one file on top of a branch; says the branch's head before and after.
pub(super) fn commit_file(
    project: &Project,
    branch: &str,
    name: &str,
    text: &str,
) -> Option<(String, String)> {
    let folder = tempfile::tempdir().ok()?;
    let index = folder.path().join("index");
    let git =
        |arguments: &[&str], input: &str| run(&project.git_dir, Some(&index), arguments, input);
    let branch = format!("refs/heads/{branch}");
    let before = git(&["rev-parse", &branch], "")?;
    let blob = git(&["hash-object", "-w", "--stdin"], text)?;
    git(&["read-tree", &before], "")?;
    let entry = format!("100644,{blob},{name}");
    git(&["update-index", "--add", "--cacheinfo", &entry], "")?;
    let tree = git(&["write-tree"], "")?;
    let words = format!("Add {name}");
    let after = git(&["commit-tree", &tree, "-p", &before, "-m", &words], "")?;
    git(&["update-ref", &branch, &after, &before], "")?;
    Some((before, after))
}
