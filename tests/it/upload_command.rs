//! `herald upload` as a real process against a real server over loopback, and every example of `docs/uploads.md`.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use herald::app::App;
use herald::feedback::Links;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::process::Command;

use crate::api::token;
use crate::uploads::report;
use crate::world::{World, git, world};

/// What happens to requests on their way.
#[derive(Default)]
struct Way {
    /// Method and path of every one.
    seen: Mutex<Vec<(Method, String)>>,
    /// From which PATCH on, counted from 0, how many of them the connection breaks in, and after how many frames.
    cut: Mutex<(usize, usize, usize)>,
    patches: AtomicUsize,
}

impl Way {
    fn count(&self, method: &Method) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|(one, _)| one == method).count()
    }
}

async fn on_the_way(way: Arc<Way>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    way.seen.lock().unwrap().push((method.clone(), path));
    let (from, times, frames) = *way.cut.lock().unwrap();
    if method != Method::PATCH {
        return next.run(request).await;
    }
    let number = way.patches.fetch_add(1, Ordering::SeqCst);
    if number < from || number >= from + times {
        return next.run(request).await;
    }
    // Some of it arrives, and nobody hears an answer.
    let (parts, body) = request.into_parts();
    let some = body
        .into_data_stream()
        .take(frames)
        .map(|bytes| bytes.map_err(std::io::Error::other));
    let broken = stream::once(async { Err(std::io::Error::other("the connection broke")) });
    let body = Body::from_stream(some.chain(broken));
    next.run(Request::from_parts(parts, body)).await;
    let broken = stream::once(async { Err::<Vec<u8>, _>(std::io::Error::other("cut")) });
    (StatusCode::OK, Body::from_stream(broken)).into_response()
}

/// Serves the world on loopback under its own address; says that, and what passes.
async fn serve(w: &mut World) -> (String, Arc<Way>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let mut settings = w.app.settings.clone();
    settings.links = Links {
        public_url: address.clone(),
        ..settings.links
    };
    w.app = Arc::new(App::new(w.app.parts.clone(), settings));
    let way = Arc::new(Way::default());
    let passing = Arc::clone(&way);
    let router = w.router().layer(middleware::from_fn(move |request, next| {
        on_the_way(Arc::clone(&passing), request, next)
    }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, way)
}

/// A checkout of the repository with reports in it.
fn checkout(w: &World, commit: &str) -> PathBuf {
    let dir = w.dir.path().join(format!("checkout-{commit}"));
    let bare = w.dir.path().join("project.git");
    git(
        w.dir.path(),
        &["clone", "-q", bare.to_str().unwrap(), dir.to_str().unwrap()],
    );
    git(&dir, &["checkout", "-q", commit]);
    git(
        &dir,
        &[
            "remote",
            "set-url",
            "origin",
            "git@github.com:octo/project.git",
        ],
    );
    std::fs::create_dir(dir.join("reports")).unwrap();
    std::fs::write(dir.join("reports/junit.xml"), report(&["a", "b", "-c"])).unwrap();
    dir
}

fn command(program: &str, dir: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(dir)
        .env_clear()
        .env("PATH", path())
        .env("HOME", dir)
        .kill_on_drop(true);
    command.envs(variables.iter().copied());
    command
}

/// Where the program is found, before all else.
fn path() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_herald"));
    let folder = program.parent().unwrap().display();
    format!("{folder}:{}", std::env::var("PATH").unwrap())
}

async fn upload(
    dir: &Path,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> (i32, String, String) {
    let mut command = command(env!("CARGO_BIN_EXE_herald"), dir, variables);
    told(
        command
            .arg("upload")
            .args(arguments)
            .output()
            .await
            .unwrap(),
    )
}

fn told(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (
        output.status.code().unwrap_or(-1),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A base, a head of pull request 7, and the commit that merges it.
async fn ground(w: &mut World) -> (String, String, String) {
    let (main, head) = w.change("execute: [exit 0]\n");
    w.push("main", &main, &main).await;
    w.pull("opened", &head, &main).await;
    let merge = w.merge_of(7, &head, &main);
    w.drain().await;
    (main, head, merge)
}

#[tokio::test]
async fn reports_are_found_packed_sent_and_said() {
    world(async |w: &mut World| {
        let (_, head, _) = ground(w).await;
        let (server, way) = serve(w).await;
        let dir = checkout(w, &head);
        let key = token(w, None, "upload", None).await;
        let with = [
            ("HERALD_URL", server.as_str()),
            ("HERALD_TOKEN", key.as_str()),
        ];
        let (status, out, err) = upload(&dir, &["--dry-run", "--name", "unit"], &with).await;
        assert_eq!(status, 0, "{err}");
        assert!(
            out.starts_with("would send 1 file (1 KiB) as \"unit\" to octo/project at "),
            "{out}"
        );
        assert!(out.contains("reports/junit.xml"), "{out}");
        assert_eq!(way.count(&Method::POST), 0);
        let arguments = ["--name", "unit", "--part", "1", "--parts", "1"];
        let (status, out, err) = upload(&dir, &arguments, &with).await;
        assert_eq!(status, 0, "{err}");
        // What `herald report` says of them, and what becomes of it.
        assert!(out.contains("1 failed, 2 passed"), "{out}");
        let said = format!(
            "1 of 1 parts are there; the check \"herald / unit\" on commit {head} says the result"
        );
        assert!(out.contains(&said), "{out}");
        assert!(!format!("{out}{err}").contains(&key));
        w.drain().await;
        assert_eq!(w.ended(&head, "herald / unit").1, "1 failed, 2 passed");
        let arguments = ["--fail-on", "failures", "--parts", "1"];
        assert_eq!(upload(&dir, &arguments, &with).await.0, 1);
        // The same once more is the same.
        let arguments = ["--name", "unit", "--part", "1", "--parts", "1"];
        assert_eq!(upload(&dir, &arguments, &with).await.0, 0);
        w.drain().await;
        assert_eq!(w.checks(&head, "herald / unit").len(), 1);
        w.read_comments();
    })
    .await;
}

#[tokio::test]
async fn a_job_of_actions_needs_no_secret() {
    world(async |w: &mut World| {
        let (_, head, merge) = ground(w).await;
        let (server, _) = serve(w).await;
        let dir = checkout(w, &merge);
        let claims = {
            let at = (w.url.as_str(), server.as_str());
            w.github
                .job(&w.project, at, "pull_request", "refs/pull/7/merge", &merge)
        };
        w.state().oidc.jobs.insert("of-this-job".to_owned(), claims);
        let url = format!("{}/_services/token/of-job?api-version=2.0", w.url);
        let with = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_REPOSITORY", "octo/project"),
            ("GITHUB_SHA", merge.as_str()),
            ("GITHUB_REF", "refs/pull/7/merge"),
            ("GITHUB_WORKFLOW", "CI"),
            ("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "of-this-job"),
            ("HERALD_URL", server.as_str()),
        ];
        let (status, out, err) = upload(&dir, &["reports", "--parts", "1"], &with).await;
        assert_eq!(status, 0, "{err}");
        assert!(
            out.contains(&format!("the check \"herald / CI\" on commit {head}")),
            "{out}"
        );
        w.drain().await;
        assert_eq!(w.ended(&head, "herald / CI").1, "1 failed, 2 passed");
        w.read_comments();
    })
    .await;
}

/// A report that hardly gets smaller when it is packed.
fn large() -> String {
    let mut state = 1_u64;
    let noise: String = (0..6_500_000)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            char::from(letters[usize::try_from(state >> 58).unwrap()])
        })
        .collect();
    format!("<testsuite name='s'><testcase name='a'/><system-out>{noise}</system-out></testsuite>")
}

#[tokio::test]
async fn a_connection_that_breaks_is_resumed_also_by_the_next_call() {
    world(async |w: &mut World| {
        let (_, head, _) = ground(w).await;
        let (server, way) = serve(w).await;
        let dir = checkout(w, &head);
        std::fs::write(dir.join("reports/junit.xml"), large()).unwrap();
        let key = token(w, None, "upload", None).await;
        let with = [
            ("HERALD_URL", server.as_str()),
            ("HERALD_TOKEN", key.as_str()),
        ];
        let arguments = ["reports", "--name", "unit", "--parts", "1"];
        // The second piece breaks in the middle, once.
        *way.cut.lock().unwrap() = (1, 1, 2);
        let (status, _, err) = upload(&dir, &arguments, &with).await;
        assert_eq!(status, 0, "{err}");
        assert!(err.contains("trying again in 0.5 s"), "{err}");
        assert_eq!((way.count(&Method::POST), way.count(&Method::HEAD)), (1, 1));
        for (name, is_lost) in [("later", false), ("lost", true)] {
            let begun = way.count(&Method::POST);
            let arguments = ["reports", "--name", name, "--parts", "1"];
            // Nothing of the second piece comes through, until nobody tries any more.
            way.patches.store(0, Ordering::SeqCst);
            *way.cut.lock().unwrap() = (1, 1_000, 0);
            let (status, _, err) = upload(&dir, &arguments, &with).await;
            assert_eq!(status, 3, "{err}");
            assert!(err.contains("after 5 tries"), "{err}");
            assert!(err.contains("call the command again to go on"), "{err}");
            *way.cut.lock().unwrap() = (0, 0, 0);
            if is_lost {
                // The server does not know it any more.
                w.pass(24 * 3_600 + 1);
                let stop = tokio_util::sync::CancellationToken::new();
                w.app.drop_old_uploads(&stop).await.unwrap();
            }
            let (status, out, err) = upload(&dir, &arguments, &with).await;
            assert_eq!(status, 0, "{err}");
            assert!(
                err.contains("an earlier upload of this is unfinished"),
                "{err}"
            );
            assert!(out.contains("1 of 1 parts are there"), "{out}");
            let anew = 1 + usize::from(is_lost);
            assert_eq!(way.count(&Method::POST), begun + anew, "{name}");
        }
        w.drain().await;
        for name in ["unit", "later", "lost"] {
            assert_eq!(w.ended(&head, &format!("herald / {name}")).1, "1 passed");
        }
    })
    .await;
}

/// Arguments, variables, the exit status and words of the error.
type Wrong<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], i32, &'a str);

#[tokio::test]
async fn wrong_use_is_status_2_and_a_server_that_is_not_there_is_status_3() {
    world(async |w: &mut World| {
        let (_, head, _) = ground(w).await;
        let (server, _) = serve(w).await;
        let dir = checkout(w, &head);
        let key = token(w, None, "read", None).await;
        let with = [
            ("HERALD_URL", server.as_str()),
            ("HERALD_TOKEN", key.as_str()),
        ];
        let both = [with[0], with[1], ("HERALD_TOKEN_FILE", "x")];
        let cases: [Wrong<'_>; 9] = [
            (&[], &with[1..], 2, "which server?"),
            (&[], &with[..1], 2, "herald admin token create"),
            (&[], &both, 2, "are both set"),
            (&["nothing.xml"], &with, 2, "there is no such file"),
            (&["*.none"], &with, 2, "matches no file"),
            (&["-"], &with, 2, "standard input cannot be sent"),
            (&["--repository", "nobody/nothing"], &with, 2, "(404)"),
            (&["--commit", "main"], &with, 2, "not a full commit id"),
            (&[], &with, 2, "needs the scope `upload`"),
        ];
        for (arguments, variables, expected, said) in cases {
            let (status, out, err) = upload(&dir, arguments, variables).await;
            assert_eq!(status, expected, "{arguments:?}: {err}");
            assert!(err.contains(said), "{arguments:?}: {err}");
            assert!(out.is_empty(), "{out}");
        }
        let nowhere = [("HERALD_URL", "http://127.0.0.1:9"), with[1]];
        let (status, _, err) = upload(&dir, &[], &nowhere).await;
        assert_eq!(status, 3, "{err}");
        assert!(err.contains("cannot be reached"), "{err}");
    })
    .await;
}

const DOCUMENT: &str = include_str!("../../docs/uploads.md");

/// The blocks of one language in the document.
fn blocks(language: &str) -> Vec<String> {
    let begin = format!("```{language}\n");
    let pieces = DOCUMENT.split(&begin).skip(1);
    pieces
        .map(|rest| rest.split("\n```").next().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn every_command_of_the_document_does_what_it_says() {
    world(async |w: &mut World| {
        let (_, head, _) = ground(w).await;
        let (server, _) = serve(w).await;
        let dir = checkout(w, &head);
        let zip = crate::uploads::archive(&[("junit.xml", &report(&["a", "b"]))]);
        std::fs::write(dir.join("reports.zip"), zip).unwrap();
        let lcov = "SF:shop.txt\nDA:1,1\nend_of_record\n";
        std::fs::write(dir.join("coverage.xml"), lcov).unwrap();
        let data = w.dir.path().display().to_string();
        let key = "5e".repeat(32);
        let blocks = blocks("sh");
        assert_eq!(blocks.len(), 4);
        for (number, block) in blocks.iter().enumerate() {
            let script = block
                .replace("https://herald.example.org", &server)
                .replace("OWNER/REPO", "octo/project");
            let mut with = vec![("HERALD_DATA_DIR", data.as_str())];
            if w.engine.address().starts_with("postgres") {
                with.push(("HERALD_DATABASE_URL", w.engine.address()));
                with.push(("HERALD_SECRET_KEY", &key));
            }
            let mut shell = command("sh", &dir, &with);
            let (status, out, err) =
                told(shell.args(["-e", "-c", &script]).output().await.unwrap());
            assert_eq!(status, 0, "{script}\n{out}\n{err}");
            if number == 0 {
                // What is printed once is kept, as the text says.
                assert!(out.starts_with("herald_"), "{out}");
                std::fs::write(dir.join("herald-token"), out).unwrap();
            }
        }
        w.pass(600);
        w.drain().await;
        for (name, tests) in [
            ("reports", 3),
            ("unit", 3),
            ("shards", 3),
            ("curl", 3),
            ("pieces", 2),
        ] {
            let check = w.check(&head, &format!("herald / {name}"));
            assert!(
                check.title.contains("2 passed"),
                "{name}, {tests}: {}",
                check.title
            );
        }
        w.read_comments();
    })
    .await;
}

/// The lines of a block that a shell gets, without what stands before them.
fn steps(block: &str) -> Vec<String> {
    let lines = block
        .lines()
        .map(|line| line.trim().trim_start_matches("- "));
    let runs = lines.map(|line| line.strip_prefix("run: ").unwrap_or(line));
    runs.filter(|line| line.starts_with("herald "))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn the_workflows_of_the_document_are_yaml_and_their_steps_upload() {
    use saphyr::LoadableYamlNode as _;
    world(async |w: &mut World| {
        let (_, head, merge) = ground(w).await;
        let (server, _) = serve(w).await;
        let all = blocks("yaml");
        assert_eq!(all.len(), 2);
        for block in &all {
            let read = saphyr::Yaml::load_from_str(block);
            assert_eq!(
                read.unwrap_or_else(|error| panic!("{error}: {block}"))
                    .len(),
                1
            );
        }
        let dir = checkout(w, &merge);
        let claims = {
            let at = (w.url.as_str(), server.as_str());
            w.github
                .job(&w.project, at, "pull_request", "refs/pull/7/merge", &merge)
        };
        w.state().oidc.jobs.insert("of-this-job".to_owned(), claims);
        let url = format!("{}/_services/token/of-job", w.url);
        let of_actions = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_REPOSITORY", "octo/project"),
            ("GITHUB_WORKFLOW", "CI"),
            ("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "of-this-job"),
            ("HERALD_URL", server.as_str()),
        ];
        let step = steps(&all[0]).remove(0);
        for shard in ["3", "1", "5", "2", "4"] {
            let names = [format!("one {shard}"), format!("two {shard}")];
            let text = report(&[&names[0], &names[1]]);
            std::fs::write(dir.join("reports/junit.xml"), text).unwrap();
            let script = step.replace("${{ matrix.shard }}", shard);
            let mut shell = command("sh", &dir, &of_actions);
            let (status, _, err) = told(shell.args(["-e", "-c", &script]).output().await.unwrap());
            assert_eq!(status, 0, "{script}: {err}");
        }
        w.drain().await;
        assert_eq!(w.ended(&head, "herald / CI").1, "10 passed");
        let key = token(w, None, "upload", None).await;
        let jenkins = blocks("groovy").remove(0);
        let jenkins = jenkins.split("sh 'herald ").nth(1).unwrap();
        let jenkins = format!("herald {}", jenkins.split('\'').next().unwrap());
        let pull = json!(7).to_string();
        for (step, variables) in [
            (
                steps(&all[1]).remove(0),
                [
                    ("GITLAB_CI", "true"),
                    ("CI_COMMIT_SHA", head.as_str()),
                    ("CI_EXTERNAL_PULL_REQUEST_IID", pull.as_str()),
                ],
            ),
            (
                jenkins,
                [
                    ("JENKINS_URL", "https://jenkins.test/"),
                    ("GIT_COMMIT", head.as_str()),
                    ("CHANGE_ID", pull.as_str()),
                ],
            ),
        ] {
            let script = step.replace("OWNER/REPO", "octo/project");
            let mut shell = command("sh", &dir, &variables);
            shell.env("HERALD_URL", &server).env("HERALD_TOKEN", &key);
            let (status, _, err) = told(shell.args(["-e", "-c", &script]).output().await.unwrap());
            assert_eq!(status, 0, "{script}: {err}");
        }
        w.pass(60);
        w.drain().await;
        for name in ["gitlab", "jenkins"] {
            assert_eq!(w.ended(&head, &format!("herald / {name}")).1, "2 passed");
        }
    })
    .await;
}

/// The table of refusals has the words that are really said.
#[test]
fn the_words_of_the_table_are_those_of_the_program() {
    let sources = [
        include_str!("../../src/app/upload.rs"),
        include_str!("../../src/app/head.rs"),
        include_str!("../../src/github/identity.rs"),
    ]
    .concat();
    let table = DOCUMENT.split("## When it is refused").nth(1).unwrap();
    let mut seen = 0;
    for row in table.lines().filter(|line| line.starts_with("| 4")) {
        let said = row.split('|').nth(1).unwrap();
        for words in said.split('`').skip(1).step_by(2) {
            for part in words
                .split('…')
                .map(str::trim)
                .filter(|part| part.len() > 1)
            {
                let part = part.replace("\"upload\" or \"write\"", "`upload` or `write`");
                assert!(sources.contains(&part), "{part}");
                seen += 1;
            }
        }
    }
    assert!(seen > 12, "{seen}");
}
