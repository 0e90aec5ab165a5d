use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use super::{GitOptions, GitSource};
use crate::domain::Secret;
use crate::ports::error::Kind;
use crate::ports::source::{Remote, Source};

/// A repository to fetch from, and a source with its mirrors.
struct Bench {
    folder: TempDir,
    source: GitSource,
}

impl Bench {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let source = GitSource::new(GitOptions {
            program: "git".into(),
            folder: folder.path().join("mirrors"),
            environment: vec![("PATH".into(), std::env::var("PATH").expect("a path"))],
            allow_files: true,
        });
        let bench = Self { folder, source };
        fs::create_dir(bench.origin()).expect("a folder");
        bench.git(&["init", "--quiet", "--initial-branch=main", "."]);
        bench
    }

    fn origin(&self) -> PathBuf {
        self.folder.path().join("origin")
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=A", "-c", "user.email=a@example.org"])
            .args(arguments)
            .current_dir(self.origin())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .expect("git");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Writes files and commits them.
    fn commit(&self, files: &[(&str, &str)]) -> String {
        for (path, text) in files {
            let path = self.origin().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("written");
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", "change"]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn remote(&self) -> Remote {
        Remote {
            id: "example.org.1".into(),
            url: format!("file://{}", self.origin().display()),
            credential: None,
        }
    }

    async fn fetch(&self, commit: &str) {
        let fetched = self.source.fetch(&self.remote(), commit, &[]).await;
        fetched.expect("fetched");
    }
}

const ID: &str = "example.org.1";

#[tokio::test]
async fn a_fetched_commit_can_be_read() {
    let bench = Bench::new();
    let first = bench.commit(&[("a.txt", "one\n"), ("sub/ü b.txt", "x\n")]);
    let second = bench.commit(&[("a.txt", "one\ntwo\n"), (".herald.yml", "execute: [x]\n")]);
    bench.fetch(&second).await;
    let source = &bench.source;
    let tree = source.tree(ID, &second).await.expect("a tree");
    let paths: Vec<&str> = tree.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, [".herald.yml", "a.txt", "sub/ü b.txt"]);
    assert_eq!(tree[1].blob, bench.git(&["rev-parse", "HEAD:a.txt"]));
    let file = source.file(ID, &second, ".herald.yml").await;
    assert_eq!(file.expect("read"), Some(b"execute: [x]\n".to_vec()));
    let none = source.file(ID, &first, ".herald.yml").await;
    assert_eq!(none.expect("read"), None);
    assert_eq!(source.file(ID, &second, "sub").await.expect("read"), None);
    assert_eq!(source.commit_count(ID, &second).await.expect("counted"), 2);
    let ahead = source.ahead(ID, &first, &second).await;
    assert_eq!(ahead.expect("counted"), 1);
    let ahead = source.ahead(ID, &second, &first).await;
    assert_eq!(ahead.expect("counted"), 0);
    let ancestors = source.ancestors(ID, &second, 10).await.expect("listed");
    assert_eq!(ancestors, [second.clone(), first.clone()]);
    let one = source.ancestors(ID, &second, 1).await.expect("listed");
    assert_eq!(one, std::slice::from_ref(&second));
    let base = source.merge_base(ID, &first, &second).await;
    assert_eq!(base.expect("found"), Some(first.clone()));
    let diff = source.diff(ID, &first, &second).await.expect("a diff");
    assert!(
        diff.contains("+++ b/a.txt\n@@ -1,0 +2 @@ one\n+two\n"),
        "{diff}"
    );
    let changed = source.changed_paths(ID, &first, &second).await;
    assert_eq!(changed.expect("read"), [".herald.yml", "a.txt"]);
}

#[tokio::test]
async fn a_rename_is_a_change_of_both_paths_and_no_new_lines() {
    let bench = Bench::new();
    let text = "1\n2\n3\n4\n5\n6\n7\n8\n";
    let first = bench.commit(&[("old.txt", text)]);
    fs::remove_file(bench.origin().join("old.txt")).expect("removed");
    let second = bench.commit(&[("new.txt", text)]);
    bench.fetch(&second).await;
    let changed = bench.source.changed_paths(ID, &first, &second).await;
    assert_eq!(changed.expect("read"), ["new.txt", "old.txt"]);
    let diff = bench.source.diff(ID, &first, &second).await.expect("read");
    assert!(diff.contains("rename to new.txt"), "{diff}");
    assert!(!diff.contains("@@"), "{diff}");
}

#[tokio::test]
async fn histories_without_a_common_commit_have_no_merge_base() {
    let bench = Bench::new();
    let first = bench.commit(&[("a", "1")]);
    bench.git(&["checkout", "--quiet", "--orphan", "other"]);
    let second = bench.commit(&[("b", "2")]);
    bench.fetch(&first).await;
    bench.fetch(&second).await;
    let base = bench.source.merge_base(ID, &first, &second).await;
    assert_eq!(base.expect("asked"), None);
}

#[tokio::test]
async fn a_checkout_is_the_commit_alone_without_remote_or_credential() {
    let bench = Bench::new();
    let first = bench.commit(&[("a.txt", "one\n"), ("run.sh", "#!/bin/sh\n")]);
    symlink("/etc/passwd", bench.origin().join("link")).expect("a link");
    let second = bench.commit(&[("a.txt", "two\n")]);
    bench.fetch(&second).await;
    for (commit, text) in [(&first, "one\n"), (&second, "two\n")] {
        let into = bench.folder.path().join(format!("checkout-{commit}"));
        let done = bench.source.checkout(ID, commit, &into).await;
        done.expect("checked out");
        assert_eq!(
            fs::read_to_string(into.join("a.txt")).expect("a file"),
            text
        );
        let git = |arguments: &[&str]| {
            let output = Command::new("git")
                .args(arguments)
                .current_dir(&into)
                .output();
            String::from_utf8_lossy(&output.expect("git").stdout)
                .trim()
                .to_owned()
        };
        assert_eq!(git(&["rev-parse", "HEAD"]), **commit);
        assert_eq!(git(&["rev-list", "--count", "HEAD"]), "1");
        assert_eq!(git(&["status", "--porcelain"]), "");
        assert_eq!(git(&["remote"]), "");
        let config = fs::read_to_string(into.join(".git/config")).expect("a file");
        assert!(
            !config.contains("url") && !config.contains("http"),
            "{config}"
        );
        assert!(!into.join(".git/objects/info/alternates").exists());
        assert!(!into.join(".git/FETCH_HEAD").exists());
    }
    let link = bench.folder.path().join(format!("checkout-{second}/link"));
    assert_eq!(
        fs::read_link(link).expect("a link"),
        Path::new("/etc/passwd")
    );
}

#[tokio::test]
async fn a_specification_that_is_a_link_is_not_read() {
    let bench = Bench::new();
    fs::create_dir_all(bench.origin()).expect("a folder");
    symlink("/etc/passwd", bench.origin().join(".herald.yml")).expect("a link");
    let commit = bench.commit(&[]);
    bench.fetch(&commit).await;
    let file = bench.source.file(ID, &commit, ".herald.yml").await;
    assert_eq!(file.expect("read"), None);
}

#[tokio::test]
async fn what_is_not_there_is_gone() {
    let bench = Bench::new();
    let commit = bench.commit(&[("a", "1")]);
    let missing = "12".repeat(20);
    let fetch = async |remote: &Remote, commit: &str| {
        let bench = Bench::new();
        let refs = ["refs/pull/7/head".to_owned()];
        let result = bench.source.fetch(remote, commit, &refs).await;
        result.expect_err("not there").kind
    };
    assert_eq!(fetch(&bench.remote(), &missing).await, Kind::Gone);
    let nowhere = Remote {
        url: "file:///nowhere/at/all.git".into(),
        ..bench.remote()
    };
    assert_eq!(fetch(&nowhere, &commit).await, Kind::Gone);
    let unfetched = bench.source.tree(ID, &commit).await;
    assert_eq!(unfetched.expect_err("not fetched").kind, Kind::Gone);
    let port = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = port.local_addr().expect("an address");
    drop(port);
    let closed = Remote {
        url: format!("http://{address}/a/b.git"),
        ..bench.remote()
    };
    assert_eq!(fetch(&closed, &commit).await, Kind::Transient);
}

#[tokio::test]
async fn a_commit_only_reachable_through_a_ref_is_fetched_through_it() {
    let bench = Bench::new();
    bench.commit(&[("a", "1")]);
    bench.git(&["checkout", "--quiet", "-b", "fork"]);
    let commit = bench.commit(&[("a", "2")]);
    bench.git(&["update-ref", "refs/pull/7/head", &commit]);
    bench.git(&["checkout", "--quiet", "main"]);
    bench.git(&["branch", "--quiet", "-D", "fork"]);
    // Protocol 0 gives only what is advertised, as some servers do in all versions.
    bench.git(&["config", "uploadpack.advertiseRefs", "true"]);
    let refs = [
        "--upload-pack=evil".to_owned(),
        "refs/pull/7/head".to_owned(),
    ];
    let fetched = bench.source.fetch(&bench.remote(), &commit, &refs).await;
    fetched.expect("fetched");
    assert!(bench.source.tree(ID, &commit).await.is_ok());
}

#[tokio::test]
async fn only_plain_commits_ids_and_addresses_are_taken() {
    let bench = Bench::new();
    let commit = bench.commit(&[("a", "1")]);
    bench.fetch(&commit).await;
    for wrong in [
        "HEAD",
        "--all",
        "main",
        "",
        commit.get(..39).expect("forty"),
        &commit.to_uppercase(),
    ] {
        let result = bench.source.tree(ID, wrong).await;
        assert_eq!(result.expect_err(wrong).kind, Kind::Refused);
        let result = bench.source.fetch(&bench.remote(), wrong, &[]).await;
        assert_eq!(result.expect_err(wrong).kind, Kind::Refused);
    }
    for url in [
        "ext::sh -c id",
        "ssh://h/x",
        "--upload-pack=id",
        "/etc",
        "https://u:p@h/x",
        "https://h/x y",
    ] {
        let remote = Remote {
            url: url.into(),
            ..bench.remote()
        };
        let result = bench.source.fetch(&remote, &"34".repeat(20), &[]).await;
        assert_eq!(result.expect_err(url).kind, Kind::Refused);
    }
    for id in ["", "../x", ".hidden", "a/b", "-x"] {
        assert_eq!(
            bench.source.tree(id, &commit).await.expect_err(id).kind,
            Kind::Refused
        );
    }
}

#[tokio::test]
async fn many_fetches_at_once_are_one() {
    let bench = Arc::new(Bench::new());
    let commit = bench.commit(&[("a", "1")]);
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (bench, commit) = (Arc::clone(&bench), commit.clone());
            tokio::spawn(async move { bench.fetch(&commit).await })
        })
        .collect();
    for task in tasks {
        task.await.expect("fetched");
    }
}

const TOKEN: &str = "ghs_marker0123456789";

/// Serves `git http-backend` behind basic authentication; keeps the heads of all requests.
struct Server {
    address: std::net::SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(folder: &Path, token: Option<&'static str>) -> Self {
        let folder = folder.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let heads = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (folder, heads) = (folder.clone(), Arc::clone(&heads));
                std::thread::spawn(move || serve(&stream, &folder, token, &heads));
            }
        });
        Self { address, seen }
    }

    fn remote(&self, path: &str, token: Option<&str>) -> Remote {
        Remote {
            id: ID.into(),
            url: format!("http://{}/{path}", self.address),
            credential: token.map(Secret::new),
        }
    }
}

fn serve(
    mut stream: &TcpStream,
    folder: &Path,
    token: Option<&str>,
    heads: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    heads.lock().ok()?.push(head.clone());
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
            .next()
    };
    let mut body = Vec::new();
    if let Some(length) = header("Content-Length") {
        (&mut reader)
            .take(length.parse().ok()?)
            .read_to_end(&mut body)
            .ok()?;
    }
    let answer = |text: &str| {
        let mut stream = stream;
        stream.write_all(text.as_bytes()).ok()
    };
    let target = head.split(' ').nth(1)?;
    if target.starts_with("/moved") {
        return answer(
            "HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/x.git/info/refs\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    }
    if target.starts_with("/missing") {
        return answer("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    if target.starts_with("/broken") {
        return answer("HTTP/1.1 502 Bad\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    if let Some(token) = token {
        let basic = STANDARD.encode(format!("x-access-token:{token}"));
        if header("Authorization") != Some(format!("Basic {basic}")) {
            return answer(
                "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            );
        }
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", head.split(' ').next()?)
        .env("CONTENT_TYPE", header("Content-Type").unwrap_or_default())
        .env("CONTENT_LENGTH", body.len().to_string())
        .env(
            "HTTP_CONTENT_ENCODING",
            header("Content-Encoding").unwrap_or_default(),
        )
        .env("GIT_PROTOCOL", header("Git-Protocol").unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(&body).ok()?;
    let output = child.wait_with_output().ok()?;
    answer("HTTP/1.1 200 OK\r\nConnection: close\r\n")?;
    stream.write_all(&output.stdout).ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_credential_reaches_the_server_and_no_file() {
    let bench = Bench::new();
    let commit = bench.commit(&[("a", "1")]);
    let server = Server::start(bench.folder.path(), Some(TOKEN));
    let remote = server.remote("origin/.git", Some(TOKEN));
    let fetched = bench.source.fetch(&remote, &commit, &[]).await;
    fetched.expect("fetched");
    let into = bench.folder.path().join("checkout");
    let done = bench.source.checkout(ID, &commit, &into).await;
    done.expect("checked out");
    let heads = server.seen.lock().expect("heads").clone();
    assert!(
        heads.len() >= 2
            && heads
                .iter()
                .all(|head| head.contains("Authorization: Basic "))
    );
    let basic = STANDARD.encode(format!("x-access-token:{TOKEN}"));
    for entry in walkdir::WalkDir::new(bench.folder.path())
        .into_iter()
        .flatten()
    {
        let bytes = fs::read(entry.path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(TOKEN) && !text.contains(&basic), "{entry:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_the_server_are_classed() {
    let bench = Bench::new();
    let commit = bench.commit(&[("a", "1")]);
    let server = Server::start(bench.folder.path(), Some(TOKEN));
    for (path, token, kind) in [
        ("origin/.git", None, Kind::Denied),
        ("origin/.git", Some("ghs_wrong"), Kind::Denied),
        ("missing/.git", Some(TOKEN), Kind::Gone),
        ("moved/.git", Some(TOKEN), Kind::Refused),
        ("broken/.git", Some(TOKEN), Kind::Transient),
    ] {
        let remote = server.remote(path, token);
        let result = bench.source.fetch(&remote, &commit, &[]).await;
        let error = result.expect_err(path);
        assert_eq!(error.kind, kind, "{path}: {error}");
        assert!(!error.message.contains("ghs_"), "{error}");
    }
}
