//! The API: the same data as the pages, and what it lets tokens do.

use axum::body::Body;
use herald::admin::{Answer, Request as Wish, carry_out};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::world::{World, world};

const ROOT: &str = "/api/v1/repos/octo/project";

/// Makes a token as an operator does.
pub(crate) async fn token(
    w: &World,
    person: Option<i64>,
    scope: &str,
    days: Option<u32>,
) -> String {
    let wish = Wish::CreateToken {
        person,
        repository: person.is_none().then(|| "octo/project".to_owned()),
        scope: scope.to_owned(),
        name: "for a test".to_owned(),
        days,
    };
    match carry_out(&w.app, wish).await {
        Answer::Token { token } => token,
        _ => panic!("no token"),
    }
}

async fn ask(
    w: &World,
    method: Method,
    path: &str,
    token: &str,
    body: Option<Value>,
) -> (u16, Value) {
    let mut request = Request::builder().method(method).uri(path);
    if !token.is_empty() {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    let body = match body {
        Some(body) => {
            request = request.header(CONTENT_TYPE, "application/json");
            Body::from(body.to_string())
        }
        None => Body::empty(),
    };
    let (status, _, text) = w.request(request.body(body).unwrap()).await;
    let answer = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (status.as_u16(), answer)
}

async fn get(w: &World, path: &str, token: &str) -> (u16, Value) {
    ask(w, Method::GET, path, token, None).await
}

fn private(w: &mut World, private: bool) {
    for project in &mut w.state().projects {
        project.private = private;
    }
    w.project.private = private;
}

const REPORT: &str = r#"<testsuite name="s"><testcase name="a"/><testcase name="b"/>
<testcase name="c"><failure message="no">at x</failure></testcase></testsuite>"#;

/// The id of a test of that report.
fn id_of(name: &str) -> String {
    herald::report::test_id(&["s".to_owned()], None, name)
}

async fn build(w: &mut World) -> String {
    *w.report.lock().unwrap() = Some(REPORT.to_owned());
    let (main, head) =
        w.change("execute: [exit 1]\nartifacts: [out]\nreports: {tests: ['reports/*.xml']}\n");
    w.pull("opened", &head, &main).await;
    w.drain().await;
    w.next_comment();
    head
}

#[tokio::test]
async fn a_build_is_told_with_its_jobs_steps_and_tests() {
    world(async |w: &mut World| {
        let head = build(w).await;
        let (status, repository) = get(w, ROOT, "").await;
        assert_eq!((status, &repository["private"]), (200, &json!(false)));
        let (_, builds) = get(w, &format!("{ROOT}/builds"), "").await;
        assert_eq!(builds["next"], Value::Null);
        assert_eq!(builds["builds"][0]["commit"], head);
        let (_, one) = get(w, &format!("{ROOT}/builds/1"), "").await;
        assert_eq!(one["conclusion"], "failure");
        assert_eq!(one["event"], "pull_request");
        assert_eq!(one["pull_request"], 7);
        assert_eq!(one["jobs"][0]["key"], "build");
        assert_eq!(one["jobs"][0]["steps"][0]["exit"], "exit 1");
        assert_eq!(one["tests"]["failed"], 1, "{one:#}");
        let time = one["finished_at"].as_str().unwrap();
        assert!(chrono::DateTime::parse_from_rfc3339(time).is_ok(), "{time}");
        // Each address leads somewhere.
        for url in ["url", "log_url"] {
            let url = one["jobs"][0][url].as_str().unwrap();
            let path = &url[url.find("/repos").unwrap()..];
            assert_eq!(w.get(path).await.0, 200, "{url}");
        }
    })
    .await;
}

#[tokio::test]
async fn lists_go_on_where_they_stopped() {
    world(async |w: &mut World| {
        build(w).await;
        let mut names = Vec::new();
        let mut path = format!("{ROOT}/builds/1/tests?limit=2");
        loop {
            let (_, page) = get(w, &path, "").await;
            assert_eq!(page["totals"]["tests"], 3);
            let tests = page["tests"].as_array().unwrap();
            names.extend(
                tests
                    .iter()
                    .map(|test| test["name"].as_str().unwrap().to_owned()),
            );
            let Some(next) = page["next"].as_str() else {
                break;
            };
            path = format!("{ROOT}/builds/1/tests?limit=2&after={next}");
        }
        names.sort();
        assert_eq!(names, ["a", "b", "c"]);
        let (_, failed) = get(w, &format!("{ROOT}/builds/1/tests?outcome=failed"), "").await;
        assert_eq!(failed["tests"].as_array().unwrap().len(), 1);
        for more in 0..3 {
            w.write("more", &more.to_string());
            let head = w.commit("main");
            w.push("main", &head, &head).await;
            w.drain().await;
        }
        let mut numbers = Vec::new();
        let mut path = format!("{ROOT}/builds?limit=3");
        loop {
            let (_, page) = get(w, &path, "").await;
            for build in page["builds"].as_array().unwrap() {
                numbers.push(build["number"].as_i64().unwrap());
            }
            let Some(next) = page["next"].as_i64() else {
                break;
            };
            path = format!("{ROOT}/builds?limit=3&before={next}");
        }
        assert_eq!(numbers, [4, 3, 2, 1]);
        let (_, all) = get(w, "/api/v1/repos?limit=1", "").await;
        assert_eq!(all["repositories"].as_array().unwrap().len(), 1);
        assert_eq!(all["next"], Value::Null);
    })
    .await;
}

#[tokio::test]
async fn a_token_opens_what_its_holder_may_see_and_no_more() {
    world(async |w: &mut World| {
        private(w, true);
        build(w).await;
        w.person(11, "none", "none");
        w.person(12, "reader", "read");
        w.person(13, "writer", "write");
        let of_repository = token(w, None, "read", None).await;
        let tokens = [
            (String::new(), 404),
            (token(w, Some(11), "write", None).await, 404),
            (token(w, Some(12), "write", None).await, 200),
            (token(w, Some(13), "read", None).await, 200),
            (of_repository.clone(), 200),
            (token(w, None, "badges", None).await, 404),
            ("herald_nonsense".to_owned(), 401),
        ];
        for (token, expected) in &tokens {
            for path in ["", "/builds", "/builds/1", "/builds/1/tests"] {
                let (status, answer) = get(w, &format!("{ROOT}{path}"), token).await;
                assert_eq!(status, *expected, "{path} {answer}");
                assert!(status == 200 || answer["message"].is_string(), "{answer}");
            }
            let (status, list) = get(w, "/api/v1/repos", token).await;
            if status == 200 {
                let count = list["repositories"].as_array().unwrap().len();
                assert_eq!(count, usize::from(*expected == 200));
            }
        }
        // Withdrawn by GitHub, and by the operator.
        w.person(12, "reader", "none");
        w.pass(61);
        assert_eq!(get(w, ROOT, &tokens[2].0).await.0, 404);
        let listed = carry_out(&w.app, Wish::ListTokens).await;
        let Answer::Tokens { tokens: listed } = listed else {
            panic!("no list");
        };
        let mine = listed
            .iter()
            .find(|one| one.holder == "octo/project" && one.scope == "read")
            .unwrap();
        let revoke = Wish::RevokeToken {
            id: mine.id.clone(),
        };
        assert!(carry_out(&w.app, revoke).await == Answer::Done);
        assert_eq!(get(w, ROOT, &of_repository).await.0, 401);
        w.assert_nowhere_on_disk(&of_repository);
        let short = token(w, None, "read", Some(1)).await;
        assert_eq!(get(w, "/api/v1/viewer", &short).await.0, 200);
        w.pass(24 * 3_600);
        assert_eq!(get(w, "/api/v1/viewer", &short).await.0, 401);
    })
    .await;
}

#[tokio::test]
async fn tokens_run_again_cancel_and_approve_as_far_as_they_go() {
    world(async |w: &mut World| {
        let head = build(w).await;
        w.person(12, "reader", "read");
        w.person(13, "writer", "write");
        let rerun = format!("{ROOT}/builds/1/rerun");
        for (token, expected) in [
            (String::new(), 403),
            (token(w, Some(12), "write", None).await, 403),
            (token(w, Some(13), "read", None).await, 403),
            (token(w, Some(13), "write", None).await, 202),
        ] {
            let (status, answer) = ask(w, Method::POST, &rerun, &token, None).await;
            assert_eq!(status, expected, "{answer}");
        }
        w.drain().await;
        assert_eq!(w.checks(&head, "herald").len(), 2);
        let writer = token(w, None, "write", None).await;
        let wish = Some(json!({"job": "nothing"}));
        assert_eq!(ask(w, Method::POST, &rerun, &writer, wish).await.0, 409);
        let cancel = format!("{ROOT}/builds/1/cancel");
        assert_eq!(ask(w, Method::POST, &cancel, &writer, None).await.0, 409);
        let approve = format!("{ROOT}/builds/1/approve");
        for (wish, expected) in [
            (json!({"commit": head}), 403),
            (json!({"commit": "a".repeat(40)}), 409),
        ] {
            let (status, answer) = ask(w, Method::POST, &approve, &writer, Some(wish)).await;
            assert_eq!(status, expected, "{answer}");
        }
        // A session alone does nothing here: a form of another site could send its cookie.
        let mut browser = Browser::signed_in(w, 13).await;
        assert_eq!(browser.post(w, &rerun, &[]).await.status, 415);
        let wrong = Some(json!({"jobs": "build"}));
        let (status, answer) = ask(w, Method::POST, &rerun, &writer, wrong).await;
        assert_eq!(
            (status, &answer["error"]),
            (422, &json!("bad_request")),
            "{answer}"
        );
        let (status, answer) = get(w, "/api/v1/repos?limit=many", "").await;
        assert_eq!(
            (status, &answer["error"]),
            (400, &json!("bad_request")),
            "{answer}"
        );
    })
    .await;
}

#[tokio::test]
async fn the_document_lists_every_address_and_strangers_get_what_they_should() {
    for is_private in [false, true] {
        world(async |w: &mut World| {
            private(w, is_private);
            build(w).await;
            let id = id_of("c");
            let (status, document) = get(w, "/api/v1/openapi.json", "").await;
            assert_eq!(status, 200);
            assert!(document["openapi"].as_str().unwrap().starts_with("3."));
            let paths = document["paths"].as_object().unwrap();
            assert_eq!(paths.len(), 17, "{:?}", paths.keys());
            for (path, item) in paths {
                let address = path
                    .replace("{owner}", "octo")
                    .replace("{repo}", "project")
                    .replace("{number}", "1")
                    .replace("{id}", &id);
                for (method, operation) in item.as_object().unwrap() {
                    assert!(
                        operation["summary"].is_string() || operation["description"].is_string()
                    );
                    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                    let body = (method == Method::POST && path.ends_with("approve"))
                        .then(|| json!({"commit": "x"}));
                    let (status, answer) = ask(w, method.clone(), &address, "", body).await;
                    let open = !path.contains("{owner}");
                    let expected = match (open, is_private, method != Method::GET) {
                        // What the protocol can do is no secret.
                        _ if method == Method::OPTIONS => 204,
                        (false, false, _) if path.contains("/reports") => 403,
                        (false, true, _) => 404,
                        (false, false, true) => 403,
                        (false, false, false) if path.ends_with("/coverage") => 404,
                        (true, ..) | (false, false, false) => 200,
                    };
                    assert_eq!(status, expected, "{method} {address}: {answer}");
                    let described = &operation["responses"][status.to_string()];
                    assert!(described.is_object(), "{method} {path} answers {status}");
                    assert!(!(is_private && answer.to_string().contains("octo/project")));
                }
            }
            assert_eq!(get(w, "/api/v1/nothing", "").await.0, 404);
        })
        .await;
    }
}
