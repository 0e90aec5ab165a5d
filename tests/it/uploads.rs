//! Uploads: who may, of what, in how many parts, and what comes of it.

use axum::body::Body;
use herald::ports::Clock;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, Request};
use serde_json::{Value, json};

use crate::api::token;
use crate::world::{World, world};

const ROOT: &str = "/api/v1/repos/octo/project";
const AUDIENCE: &str = "https://herald.test";

/// A report of tests with these names; those with `-` before them fail.
pub(crate) fn report(names: &[&str]) -> String {
    let cases: String = names
        .iter()
        .map(|name| match name.strip_prefix('-') {
            Some(name) => {
                format!("<testcase name='{name}'><failure message='no'>at x</failure></testcase>")
            }
            None => format!("<testcase name='{name}'/>"),
        })
        .collect();
    format!("<testsuite name='s'>{cases}</testsuite>")
}

/// A base, a head of pull request 7, and the commit that merges it; all built already.
struct Ground {
    main: String,
    head: String,
    merge: String,
}

async fn ground(w: &mut World) -> Ground {
    let (main, head) = w.change("execute: [exit 0]\n");
    w.push("main", &main, &main).await;
    w.pull("opened", &head, &main).await;
    let merge = w.merge_of(7, &head, &main);
    w.drain().await;
    Ground { main, head, merge }
}

fn job(w: &World, event: &str, reference: &str, commit: &str) -> Value {
    let at = (w.url.as_str(), AUDIENCE);
    w.github.job(&w.project, at, event, reference, commit)
}

/// A token of a job that tests pull request 7.
fn of_pull(w: &World, merge: &str) -> String {
    let claims = job(w, "pull_request", "refs/pull/7/merge", merge);
    w.github.sign(&claims).unwrap()
}

async fn send(
    w: &World,
    method: Method,
    path: &str,
    token: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> (u16, HeaderMap, Value) {
    let mut request = Request::builder().method(method).uri(path);
    if !token.is_empty() {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (status, headers, text) = w.request(request.body(body.into()).unwrap()).await;
    let answer = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (status.as_u16(), headers, answer)
}

/// Sends a report in one request.
async fn post(w: &World, token: &str, query: &str, body: impl Into<Body>) -> (u16, Value) {
    let path = format!("{ROOT}/reports?{query}");
    let headers = [(CONTENT_TYPE.as_str(), "application/xml")];
    let (status, _, answer) = send(w, Method::POST, &path, token, &headers, body).await;
    (status, answer)
}

/// Nothing of any upload is there.
async fn assert_nothing_stored(w: &World) {
    for table in ["uploads", "report_parts", "report_sets"] {
        assert_eq!(w.rows(table).await, 0, "{table}");
    }
    assert!(w.app.parts.uploads.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_job_of_actions_uploads_by_what_github_has_signed() {
    world(async |w: &mut World| {
        let ground = ground(w).await;
        let token = of_pull(w, &ground.merge);
        let (status, answer) = post(w, &token, "name=unit", report(&["a", "b"])).await;
        assert_eq!(status, 201, "{answer}");
        // The head that was tested, not the commit that merged it.
        assert_eq!(answer["commit"], ground.head);
        assert_eq!(answer["pull_request"], 7);
        assert_eq!(answer["state"], "waiting");
        assert_eq!(answer["check"], "herald / unit");
        w.drain().await;
        assert!(
            w.checks(&ground.head, "herald / unit").is_empty(),
            "it is quiet for a minute first"
        );
        w.pass(60);
        w.drain().await;
        let expected = ("success".to_owned(), "2 passed".to_owned());
        assert_eq!(w.ended(&ground.head, "herald / unit"), expected);
        let path = format!("{ROOT}/reports/{}", answer["id"].as_str().unwrap());
        let token = of_pull(w, &ground.merge);
        let (status, headers, answer) =
            send(w, Method::GET, &path, &token, &[], Body::empty()).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["state"], "published");
        assert_eq!(answer["build"], 3);
        assert_eq!(headers["upload-offset"], headers["upload-length"]);
    })
    .await;
}

#[tokio::test]
async fn a_token_of_actions_that_is_not_right_in_everything_is_refused_and_leaves_nothing() {
    world(async |w: &mut World| {
        let ground = ground(w).await;
        let other = w
            .github
            .add_project("octo", "other", false, &w.project.git_dir);
        let claims = || job(w, "pull_request", "refs/pull/7/merge", &ground.merge);
        let now = w.clock.now_ms() / 1000;
        let cases = [
            (
                "aud",
                json!("https://elsewhere.test"),
                401,
                "made for another audience",
            ),
            ("aud", json!(["a", "b"]), 401, "made for another audience"),
            ("aud", json!(null), 401, "made for another audience"),
            (
                "repository_id",
                json!(other.id.to_string()),
                403,
                "a job in another repository",
            ),
            (
                "repository_id",
                json!("octo/project"),
                401,
                "`repository_id` is no number",
            ),
            (
                "repository_owner_id",
                json!("78"),
                403,
                "belonged to somebody else",
            ),
            ("exp", json!(now - 61), 401, "it has ended"),
            ("nbf", json!(now + 120), 401, "not good yet"),
            ("iat", json!(now + 120), 401, "not good yet"),
            (
                "iss",
                json!("https://token.actions.githubusercontent.com"),
                401,
                "was issued by",
            ),
            (
                "iss",
                json!(format!("{}/_services/token/", w.url)),
                401,
                "was issued by",
            ),
            ("sha", json!("main"), 401, "not a full commit id"),
            ("exp", json!(null), 401, "lacks what tokens"),
            (
                "ref",
                json!("refs/pull/8/merge"),
                422,
                "there is no pull request 8",
            ),
            ("event_name", json!("x"), 201, ""),
        ];
        for (name, value, expected, said) in cases {
            if expected == 201 {
                assert_nothing_stored(w).await;
            }
            let mut claims = claims();
            claims[name] = value.clone();
            let token = w.github.sign(&claims).unwrap();
            let (status, answer) = post(w, &token, "name=unit", report(&["a"])).await;
            assert_eq!(status, expected, "{name} {value}: {answer}");
            let message = answer["message"].as_str().unwrap_or_default();
            assert!(message.contains(said), "{name} {value}: {message}");
        }
        w.pass(60);
    })
    .await;
}

fn base64(text: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
}

/// A token with this head, signed by HMAC with this secret; without a signature where there is none.
fn forged(head: &Value, claims: &Value, secret: Option<&[u8]>) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let text = format!(
        "{}.{}",
        base64(head.to_string().as_bytes()),
        base64(claims.to_string().as_bytes())
    );
    let signature = secret.map_or_else(Vec::new, |secret| {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    });
    format!("{text}.{}", base64(&signature))
}

#[tokio::test]
async fn forged_tokens_are_refused_whatever_they_say_about_their_signature() {
    world(async |w: &mut World| {
        let ground = ground(w).await;
        let claims = job(w, "pull_request", "refs/pull/7/merge", &ground.merge);
        let good = w.github.sign(&claims).unwrap();
        let (kid, public) = w.github.public_key_of_tokens().unwrap();
        let head = |alg: &str, kid: &str| json!({"alg": alg, "typ": "JWT", "kid": kid});
        let pem = {
            use base64::Engine as _;
            let body = base64::engine::general_purpose::STANDARD.encode(&public);
            format!("-----BEGIN RSA PUBLIC KEY-----\n{body}\n-----END RSA PUBLIC KEY-----\n")
        };
        let parts: Vec<&str> = good.split('.').collect();
        let mut more = claims.clone();
        more["repository_id"] = json!("1");
        let tampered = format!(
            "{}.{}.{}",
            parts[0],
            base64(more.to_string().as_bytes()),
            parts[2]
        );
        // An issuer of its own, whose keys are of the same ids.
        let strangers = herald::demo::GitHub::new(w.clock.clone()).unwrap();
        let cases = [
            (
                "none",
                forged(&head("none", &kid), &claims, None),
                "signed with `none`",
            ),
            (
                "None",
                forged(&head("None", &kid), &claims, None),
                "signed with `None`",
            ),
            (
                "no alg",
                forged(&json!({"kid": kid}), &claims, None),
                "signed with ``",
            ),
            (
                "HS256, DER",
                forged(&head("HS256", &kid), &claims, Some(&public)),
                "signed with `HS256`",
            ),
            (
                "HS256, PEM",
                forged(&head("HS256", &kid), &claims, Some(pem.as_bytes())),
                "signed with `HS256`",
            ),
            (
                "RS256, HMAC",
                forged(&head("RS256", &kid), &claims, Some(&public)),
                "signature is wrong",
            ),
            (
                "RS256, nothing",
                forged(&head("RS256", &kid), &claims, None),
                "signature is wrong",
            ),
            (
                "unknown kid",
                forged(&head("RS256", "nobody"), &claims, None),
                "does not list",
            ),
            ("tampered", tampered, "signature is wrong"),
            (
                "cut",
                good[..good.len() - 4].to_owned(),
                "signature is wrong",
            ),
            (
                "another's key",
                strangers.sign(&claims).unwrap(),
                "signature is wrong",
            ),
            (
                "two parts",
                format!("{}.{}", parts[0], parts[1]),
                "three parts",
            ),
            ("five parts", format!("{good}.a.b"), "three parts"),
            (
                "no JSON",
                format!("eyJh.{}.{}", parts[1], parts[2]),
                "head cannot be read",
            ),
            (
                "too long",
                format!("{good}{}", "A".repeat(20_000)),
                "too long",
            ),
        ];
        for (name, token, said) in cases {
            let (status, answer) = post(w, &token, "name=unit", report(&["a"])).await;
            assert_eq!(
                (status, &answer["error"]),
                (401, &json!("bad_token")),
                "{name}: {answer}"
            );
            let message = answer["message"].as_str().unwrap();
            assert!(message.contains(said), "{name}: {message}");
        }
        assert_nothing_stored(w).await;
    })
    .await;
}

/// How often the issuer was asked for its keys.
fn fetched(w: &World) -> usize {
    let state = w.state();
    let keys = state
        .requests
        .iter()
        .filter(|request| request.path.ends_with("/jwks"));
    keys.count()
}

#[tokio::test]
async fn keys_are_fetched_once_a_day_and_for_an_unknown_one_once_a_minute() {
    world(async |w: &mut World| {
        let ground = ground(w).await;
        let sent = async |w: &World, name: &str| {
            let token = of_pull(w, &ground.merge);
            post(w, &token, &format!("name={name}"), report(&["a"])).await
        };
        for name in ["a", "b", "c"] {
            assert_eq!(sent(w, name).await.0, 201);
        }
        assert_eq!(fetched(w), 1);
        let before = of_pull(w, &ground.merge);
        w.state().oidc.rotate().unwrap();
        // The old key counts for as long as it is remembered, the new one is not asked for in the same minute.
        assert_eq!(post(w, &before, "name=d", report(&["a"])).await.0, 201);
        let (status, answer) = sent(w, "d").await;
        assert_eq!(status, 401, "{answer}");
        assert_eq!(fetched(w), 1);
        w.pass(60);
        assert_eq!(sent(w, "d").await.0, 201);
        assert_eq!(post(w, &before, "name=d", report(&["a"])).await.0, 401);
        assert_eq!(fetched(w), 2);
        w.pass(24 * 3_600);
        assert_eq!(sent(w, "e").await.0, 201);
        assert_eq!(fetched(w), 3);
        w.pass(60);
    })
    .await;
}

#[tokio::test]
async fn without_keys_nobody_is_believed_and_it_is_called_trouble() {
    world(async |w: &mut World| {
        let ground = ground(w).await;
        let token = of_pull(w, &ground.merge);
        w.fault(
            "GET",
            "/_services/token",
            0,
            1,
            herald::demo::What::Status(500),
        );
        let (status, answer) = post(w, &token, "name=unit", report(&["a"])).await;
        assert_eq!(
            (status, &answer["error"]),
            (503, &json!("unavailable")),
            "{answer}"
        );
        w.fault("GET", "/jwks", 0, 1, herald::demo::What::NotJson);
        assert_eq!(post(w, &token, "name=unit", report(&["a"])).await.0, 503);
        // Keys that lie elsewhere are nobody's word.
        for elsewhere in [
            "https://elsewhere.test/jwks",
            "http://169.254.169.254/latest",
            "jwks",
        ] {
            w.state().oidc.keys_at = Some(elsewhere.to_owned());
            let (status, answer) = post(w, &token, "name=unit", report(&["a"])).await;
            assert_eq!(status, 503, "{answer}");
        }
        w.state().oidc.keys_at = None;
        assert_nothing_stored(w).await;
        assert_eq!(post(w, &token, "name=unit", report(&["a"])).await.0, 201);
        w.pass(60);
    })
    .await;
}

/// Five shards with three tests each; the fourth has a failure.
fn shard(number: usize) -> String {
    let names: Vec<String> = (1..=3)
        .map(|test| {
            let bad = if (number, test) == (4, 2) { "-" } else { "" };
            format!("{bad}t{number}.{test}")
        })
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    report(&names)
}

#[tokio::test]
async fn five_shards_in_any_order_one_twice_and_one_late_are_one_report() {
    let orders = [
        [1, 2, 3, 4, 5],
        [5, 4, 3, 2, 1],
        [3, 1, 5, 2, 4],
        [4, 5, 1, 3, 2],
        [2, 4, 1, 5, 3],
    ];
    for order in orders {
        world(async |w: &mut World| {
            let ground = ground(w).await;
            let sent = async |w: &World, number: usize| {
                let token = of_pull(w, &ground.merge);
                let query = format!("name=unit&part={number}&parts=5");
                let (status, answer) = post(w, &token, &query, shard(number)).await;
                assert_eq!(status, 201, "{answer}");
                answer
            };
            for number in &order[..4] {
                sent(w, *number).await;
                w.drain().await;
            }
            // One of them once more.
            let answer = sent(w, order[1]).await;
            assert_eq!(answer["parts"], json!({"expected": 5, "received": 4}));
            assert!(w.checks(&ground.head, "herald / unit").is_empty());
            // The last one is late.
            w.pass(30 * 60);
            w.drain().await;
            let check = w.check(&ground.head, "herald / unit");
            assert_eq!(check.conclusion.as_deref(), Some("failure"));
            let beginning = format!("4 of 5 parts came in 30m: {} is missing; ", order[4]);
            assert!(check.title.starts_with(&beginning), "{}", check.title);
            let answer = sent(w, order[4]).await;
            w.drain().await;
            let checks = w.checks(&ground.head, "herald / unit");
            assert_eq!(checks.len(), 2, "one report, in two attempts");
            assert_eq!(checks[1].title, "1 failed, 14 passed");
            assert!(
                checks[1].summary.contains("5 of 5 uploaded parts"),
                "{}",
                checks[1].summary
            );
            // Nothing is left to say, and saying it again changes nothing.
            sent(w, order[0]).await;
            w.pass(3_600);
            w.drain().await;
            assert_eq!(w.checks(&ground.head, "herald / unit").len(), 2);
            let path = format!("/api/v1/repos/octo/project/builds/{}", answer["build"]);
            let (_, build) = w.get(&path).await;
            let build: Value = serde_json::from_str(&build).unwrap();
            assert_eq!(build["tests"]["tests"], 15);
            assert_eq!(build["jobs"].as_array().unwrap().len(), 1);
            assert_eq!(build["jobs"][0]["key"], "upload:unit");
            w.read_comments();
        })
        .await;
    }
}

#[tokio::test]
async fn all_parts_are_published_at_once_and_a_newer_one_takes_the_place_of_another() {
    world(async |w: &mut World| {
        let ground = ground(w).await;
        let key = token(w, None, "upload", None).await;
        let of = format!("pull_request=7&commit={}&parts=2", ground.head);
        for (part, names) in [("1", ["a", "-b"]), ("2", ["c", "d"])] {
            let query = format!("{of}&part={part}");
            assert_eq!(post(w, &key, &query, report(&names)).await.0, 201);
        }
        w.drain().await;
        let check = w.check(&ground.head, "herald / reports");
        assert_eq!(check.title, "1 failed, 3 passed");
        let (status, answer) = post(w, &key, &format!("{of}&part=1"), report(&["a", "b"])).await;
        assert_eq!(status, 201, "{answer}");
        assert_eq!(answer["parts"], json!({"expected": 2, "received": 2}));
        w.drain().await;
        let checks = w.checks(&ground.head, "herald / reports");
        assert_eq!(checks.len(), 2);
        assert_eq!(checks[1].title, "4 passed");
        w.read_comments();
    })
    .await;
}

#[tokio::test]
async fn two_names_on_one_commit_are_two_reports_and_one_comment() {
    world(async |w: &mut World| {
        let ground = ground(w).await;
        for (name, names) in [("unit", ["a", "-b"]), ("Browser%20tests", ["-a", "c"])] {
            let token = of_pull(w, &ground.merge);
            let query = format!("name={name}&wait=10s");
            assert_eq!(post(w, &token, &query, report(&names)).await.0, 201);
        }
        w.pass(10);
        w.drain().await;
        for name in ["unit", "Browser tests"] {
            let (conclusion, title) = w.ended(&ground.head, &format!("herald / {name}"));
            assert_eq!(
                (conclusion.as_str(), title.as_str()),
                ("failure", "1 failed, 1 passed")
            );
        }
        let (text, _) = w.next_comment();
        assert!(text.contains("### ❌ unit"), "{text}");
        assert!(text.contains("### ❌ Browser tests"), "{text}");
    })
    .await;
}

/// Begins an upload in pieces, and says where it is.
async fn begin(w: &World, key: &str, query: &str, length: usize) -> (u16, String, Value) {
    let path = format!("{ROOT}/reports?{query}");
    let length = length.to_string();
    let headers = [("tus-resumable", "1.0.0"), ("upload-length", &length)];
    let (status, headers, answer) =
        send(w, Method::POST, &path, key, &headers, Body::empty()).await;
    let place = headers
        .get("location")
        .map_or("", |place| place.to_str().unwrap());
    (status, place.to_owned(), answer)
}

/// Sends a piece; says the status, and where the upload is then.
async fn patch(
    w: &World,
    key: &str,
    place: &str,
    offset: usize,
    body: impl Into<Body>,
) -> (u16, Option<usize>, Value) {
    let offset = offset.to_string();
    let headers = [
        ("tus-resumable", "1.0.0"),
        ("upload-offset", &offset),
        ("content-type", "application/offset+octet-stream"),
    ];
    let (status, headers, answer) = send(w, Method::PATCH, place, key, &headers, body).await;
    let at = headers.get("upload-offset");
    let at = at.map(|at| at.to_str().unwrap().parse().unwrap());
    (status, at, answer)
}

/// Where an upload is.
async fn offset(w: &World, key: &str, place: &str) -> Option<usize> {
    let headers = [("tus-resumable", "1.0.0")];
    let (status, headers, _) = send(w, Method::HEAD, place, key, &headers, Body::empty()).await;
    assert!(status == 200 || status == 404, "{status}");
    let at = headers.get("upload-offset")?;
    assert_eq!(headers["cache-control"], "no-store");
    Some(at.to_str().unwrap().parse().unwrap())
}

#[tokio::test]
async fn an_upload_in_pieces_goes_on_where_it_broke_off_also_on_another_server() {
    world(async |w: &mut World| {
        let ground = ground(w).await;
        let key = token(w, None, "upload", None).await;
        let text = report(&["a", "b", "-c"]);
        let query = format!("pull_request=7&name=unit&part=1&parts=1&commit={}", ground.head);
        let (status, place, answer) = begin(w, &key, &query, text.len()).await;
        assert_eq!((status, &answer["state"]), (201, &json!("receiving")), "{answer}");
        assert_eq!(offset(w, &key, &place).await, Some(0));
        assert_eq!(patch(w, &key, &place, 0, text[..10].to_owned()).await.1, Some(10));
        // Not from elsewhere, neither before nor after.
        for wrong in [0, 9, 11, 10_000] {
            let (status, _, answer) = patch(w, &key, &place, wrong, "x").await;
            assert_eq!(status, 409, "{answer}");
            assert!(answer["message"].as_str().unwrap().contains("is at offset 10"));
        }
        // The connection breaks in the middle of a piece: what came counts.
        let broken = futures_util::stream::iter([
            Ok(text[10..14].to_owned()),
            Err(std::io::Error::other("the connection broke")),
        ]);
        let (status, ..) = patch(w, &key, &place, 10, Body::from_stream(broken)).await;
        assert_eq!(status, 400);
        assert_eq!(offset(w, &key, &place).await, Some(14));
        // Bytes that reached the disk and were never confirmed, and then the server is gone.
        let id = place.rsplit('/').next().unwrap().to_owned();
        let garbage = bytes::Bytes::from_static(b"never confirmed, and longer than what follows it: ................................................................................................................................................................................................");
        w.app.parts.uploads.write(&id, 14, garbage).await.unwrap();
        w.restart().await;
        assert_eq!(offset(w, &key, &place).await, Some(14));
        let (status, at, answer) = patch(w, &key, &place, 14, text[14..].to_owned()).await;
        assert_eq!((status, at), (204, Some(text.len())), "{answer}");
        assert_eq!(offset(w, &key, &place).await, Some(text.len()));
        w.drain().await;
        assert_eq!(w.ended(&ground.head, "herald / unit").1, "1 failed, 2 passed");
        // Who did not hear the answer asks again, and nothing is doubled.
        let (status, ..) = patch(w, &key, &place, 14, text[14..].to_owned()).await;
        assert_eq!(status, 409);
        let (status, at, _) = patch(w, &key, &place, text.len(), Body::empty()).await;
        assert_eq!((status, at), (204, Some(text.len())));
        w.pass(3_600);
        w.drain().await;
        assert_eq!(w.checks(&ground.head, "herald / unit").len(), 1);
        assert_eq!(w.rows("report_parts").await, 1);
        w.read_comments();
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_killed_between_the_last_byte_and_its_row_has_that_byte_sent_again() {
    world(async |w: &mut World| {
        let ground = ground(w).await;
        let key = token(w, None, "upload", None).await;
        let text = report(&["a", "b"]);
        let query = format!("commit={}&name=unit&parts=1", ground.head);
        let (_, place, _) = begin(w, &key, &query, text.len()).await;
        patch(w, &key, &place, 0, text[..20].to_owned()).await;
        let id = place.rsplit('/').next().unwrap().to_owned();
        // All of it is on disk, and nothing says so.
        let rest = bytes::Bytes::from(text[20..].to_owned());
        w.app.parts.uploads.write(&id, 20, rest).await.unwrap();
        w.app.parts.uploads.sync(&id).await.unwrap();
        w.restart().await;
        w.drain().await;
        assert!(w.checks(&ground.head, "herald / unit").is_empty());
        assert_eq!(offset(w, &key, &place).await, Some(20));
        assert_eq!(
            patch(w, &key, &place, 20, text[20..].to_owned()).await.0,
            204
        );
        // And one that is killed right after the row loses nothing.
        w.restart().await;
        w.drain().await;
        assert_eq!(w.ended(&ground.head, "herald / unit").1, "2 passed");
    })
    .await;
}

#[tokio::test]
async fn a_piece_is_held_against_its_checksum() {
    world(async |w: &mut World| {
        use base64::Engine as _;
        use sha2::Digest as _;
        let ground = ground(w).await;
        let key = token(w, None, "write", None).await;
        let text = report(&["a"]);
        let query = format!("commit={}&name=unit", ground.head);
        let (_, place, _) = begin(w, &key, &query, text.len()).await;
        let encode = |sum: &[u8]| base64::engine::general_purpose::STANDARD.encode(sum);
        let right = format!("sha256 {}", encode(&sha2::Sha256::digest(&text)));
        let wrong = format!("sha256 {}", encode(&sha2::Sha256::digest("other")));
        for (sum, expected) in [
            (wrong.as_str(), 460),
            ("md5 xxxx", 400),
            ("sha256", 400),
            (right.as_str(), 204),
        ] {
            assert_eq!(offset(w, &key, &place).await, Some(0));
            let headers = [
                ("tus-resumable", "1.0.0"),
                ("upload-offset", "0"),
                ("upload-checksum", sum),
                ("content-type", "application/offset+octet-stream"),
            ];
            let (status, _, answer) =
                send(w, Method::PATCH, &place, &key, &headers, text.clone()).await;
            assert_eq!(status, expected, "{sum}: {answer}");
        }
        w.pass(60);
    })
    .await;
}

/// Path, headers, the status and words of the answer.
type Refused<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, &'a str);

#[tokio::test]
async fn what_the_protocol_does_not_allow_is_told_apart() {
    world(async |w: &mut World| {
        let ground = ground(w).await;
        let key = token(w, None, "upload", None).await;
        let path = format!("{ROOT}/reports");
        let (status, headers, _) = send(w, Method::OPTIONS, &path, "", &[], Body::empty()).await;
        assert_eq!(status, 204);
        assert_eq!(headers["tus-version"], "1.0.0");
        assert_eq!(headers["tus-max-size"], (1_u64 << 30).to_string());
        let of = format!("{path}?commit={}", ground.head);
        let cases: [Refused<'_>; 12] = [
            (
                &of,
                &[("upload-length", "5")],
                412,
                "Tus-Resumable has to be 1.0.0",
            ),
            (
                &of,
                &[("tus-resumable", "0.2.2"), ("upload-length", "5")],
                412,
                "1.0.0",
            ),
            (
                &of,
                &[("tus-resumable", "1.0.0")],
                400,
                "Upload-Length is missing",
            ),
            (
                &of,
                &[("tus-resumable", "1.0.0"), ("upload-length", "-5")],
                400,
                "is no number",
            ),
            (
                &of,
                &[("tus-resumable", "1.0.0"), ("upload-length", "0")],
                422,
                "nothing in it",
            ),
            (
                &of,
                &[("tus-resumable", "1.0.0"), ("upload-length", "1073741825")],
                413,
                "at most 1024 MiB",
            ),
            (
                &of,
                &[("content-length", "67108865")],
                413,
                "more than 64 MiB",
            ),
            (
                &of,
                &[("content-type", "multipart/form-data; boundary=x")],
                415,
                "--data-binary",
            ),
            (&of, &[], 422, "nothing in it"),
            (&format!("{of}&parts=0"), &[], 400, "`parts` is 1 to 200"),
            (&format!("{of}&wait=3h"), &[], 400, "at most 2h"),
            (&format!("{of}&nonsense=1"), &[], 400, "nonsense"),
        ];
        for (path, headers, expected, said) in cases {
            let (status, _, answer) =
                send(w, Method::POST, path, &key, headers, Body::empty()).await;
            assert_eq!(status, expected, "{path} {headers:?}: {answer}");
            assert!(
                answer.to_string().contains(said),
                "{path} {headers:?}: {answer}"
            );
        }
        for (query, said) in [
            ("name=", "`name` is one line"),
            ("name=a%0Ab", "`name` is one line"),
            ("part=%20x", "`part` is one line"),
            ("wait=soon", "is no duration"),
            ("commit=main", "not a full commit id"),
        ] {
            let (status, answer) = post(w, &key, query, "x").await;
            assert_eq!(status, 400, "{query}: {answer}");
            assert!(answer.to_string().contains(said), "{query}: {answer}");
        }
        assert_nothing_stored(w).await;
        // A piece that is too large, or goes beyond the end, leaves the upload where it is.
        let query = format!("commit={}", ground.head);
        let (_, place, _) = begin(w, &key, &query, 9 << 20).await;
        let large = vec![b'x'; (8 << 20) + 1];
        assert_eq!(patch(w, &key, &place, 0, large).await.0, 413);
        let (_, small, _) = begin(w, &key, &query, 3).await;
        assert_eq!(patch(w, &key, &small, 0, "four").await.0, 413);
        assert_eq!(offset(w, &key, &place).await, Some(0));
        let (status, ..) = send(
            w,
            Method::PATCH,
            &place,
            &key,
            &[("tus-resumable", "1.0.0")],
            "x",
        )
        .await;
        assert_eq!(status, 415);
        // Twenty are enough.
        for _ in 2..20 {
            assert_eq!(begin(w, &key, &query, 3).await.0, 201);
        }
        let (status, _, answer) = begin(w, &key, &query, 3).await;
        assert_eq!(status, 429, "{answer}");
        // After a day nobody goes on with them.
        w.pass(24 * 3_600 + 1);
        let stop = tokio_util::sync::CancellationToken::new();
        w.app.drop_old_uploads(&stop).await.unwrap();
        assert_eq!(offset(w, &key, &place).await, None);
        assert_nothing_stored(w).await;
    })
    .await;
}

#[tokio::test]
async fn who_may_not_upload_is_told_no_more_than_they_may_see() {
    for private in [false, true] {
        world(async |w: &mut World| {
            for project in &mut w.state().projects {
                project.private = private;
            }
            w.project.private = private;
            let ground = ground(w).await;
            w.person(12, "reader", "read");
            w.person(13, "writer", "write");
            let hidden = if private { 404 } else { 403 };
            let of_other = {
                let mut claims = job(w, "push", "refs/heads/main", &ground.main);
                claims["repository_id"] = json!("1");
                w.github.sign(&claims).unwrap()
            };
            let cases = [
                (String::new(), hidden),
                ("herald_nonsense".to_owned(), 401),
                (of_other, hidden),
                (token(w, None, "badges", None).await, hidden),
                (token(w, None, "read", None).await, 403),
                (token(w, Some(12), "write", None).await, 403),
                (token(w, Some(12), "upload", None).await, hidden),
                (token(w, Some(13), "read", None).await, 403),
                (token(w, Some(14), "write", None).await, hidden),
            ];
            let query = format!("commit={}", ground.main);
            for (token, expected) in &cases {
                let (status, answer) = post(w, token, &query, report(&["a"])).await;
                assert_eq!(status, *expected, "private: {private}: {answer}");
                assert!(!answer.to_string().contains("octo/project"), "{answer}");
                let path = format!("{ROOT}/reports/abc");
                let (status, ..) = send(w, Method::GET, &path, token, &[], Body::empty()).await;
                assert_eq!(status, *expected, "private: {private}");
            }
            let path = format!("/api/v1/repos/octo/nothing/reports?{query}");
            let (status, ..) = send(w, Method::POST, &path, &cases[4].0, &[], "x").await;
            assert_eq!(status, 404);
            assert_nothing_stored(w).await;
            // What is good for uploading is good for nothing else.
            let key = token(w, None, "upload", None).await;
            let builds = format!("{ROOT}/builds");
            let (status, ..) = send(w, Method::GET, &builds, &key, &[], Body::empty()).await;
            assert_eq!(status, if private { 404 } else { 200 });
            let rerun = format!("{ROOT}/builds/1/rerun");
            let (status, ..) = send(w, Method::POST, &rerun, &key, &[], Body::empty()).await;
            assert_eq!(status, hidden);
            for (token, name) in [
                (key, "a"),
                (token(w, Some(13), "upload", None).await, "b"),
                (token(w, Some(13), "write", None).await, "c"),
            ] {
                let query = format!("{query}&name={name}&parts=1");
                let (status, answer) = post(w, &token, &query, report(&["a"])).await;
                assert_eq!(status, 201, "{answer}");
            }
        })
        .await;
    }
}

#[tokio::test]
async fn the_head_is_the_pull_requests_and_not_the_uploaders() {
    world(async |w: &mut World| {
        let ground = ground(w).await;
        let key = token(w, None, "upload", None).await;
        let head = ground.head.as_str();
        for (query, commit) in [
            ("pull_request=7".to_owned(), head),
            (format!("pull_request=7&commit={head}"), head),
            (format!("pull_request=7&commit={}", ground.merge), head),
            // By itself it is found out what it is.
            (format!("commit={head}"), head),
            (format!("commit={}", ground.main), &ground.main),
        ] {
            let (status, answer) = post(w, &key, &query, report(&["a"])).await;
            assert_eq!(
                (status, answer["commit"].as_str()),
                (201, Some(commit)),
                "{query}: {answer}"
            );
            let pull = if commit == head {
                json!(7)
            } else {
                Value::Null
            };
            assert_eq!(answer["pull_request"], pull, "{query}");
        }
        // A run that began before the next push comes to its end after it.
        let early = of_pull(w, &ground.merge);
        w.write("more", "x");
        let newer = w.commit("change");
        w.pull("synchronize", &newer, &ground.main).await;
        w.drain().await;
        let unheard = w.commit("unheard");
        let merged_unheard = w.merge_of(7, &unheard, &ground.main);
        for (token, query, said) in [
            (
                &key,
                format!("pull_request=7&commit={head}"),
                format!("pull request 7 has a newer head {newer}"),
            ),
            (
                &key,
                format!("pull_request=7&commit={}", ground.merge),
                format!("pull request 7 has a newer head {newer}"),
            ),
            (
                &key,
                format!("pull_request=7&commit={}", ground.main),
                "neither the head of pull request 7".to_owned(),
            ),
            (
                &key,
                "pull_request=8".to_owned(),
                "there is no pull request 8".to_owned(),
            ),
            (
                &key,
                format!("commit={}", "a".repeat(40)),
                "there is no commit".to_owned(),
            ),
            (
                &key,
                String::new(),
                "which commit are the reports of?".to_owned(),
            ),
            (
                &early,
                format!("commit={newer}"),
                format!("a run for {head}"),
            ),
            (
                &early,
                "pull_request=8".to_owned(),
                "not of a run for pull request 8".to_owned(),
            ),
            (
                &of_pull(w, &merged_unheard),
                String::new(),
                "never had the head".to_owned(),
            ),
            (
                &of_pull(w, &ground.main),
                String::new(),
                "merges nothing".to_owned(),
            ),
            (
                &of_pull(w, &"b".repeat(40)),
                String::new(),
                "is not to be had any more".to_owned(),
            ),
        ] {
            let (status, answer) = post(w, token, &query, report(&["a", "b"])).await;
            assert_eq!(status, 422, "{query}: {answer}");
            assert!(
                answer["message"].as_str().unwrap().contains(&said),
                "{query}: {answer}"
            );
        }
        let claims = job(w, "pull_request_target", "refs/heads/main", &ground.main);
        let target = w.github.sign(&claims).unwrap();
        let (status, answer) = post(w, &target, "", report(&["a"])).await;
        assert_eq!(status, 422, "{answer}");
        let (status, answer) = post(w, &early, "name=early&parts=1", report(&["a"])).await;
        assert_eq!(
            (status, answer["commit"].as_str()),
            (201, Some(head)),
            "{answer}"
        );
        // The merge commit has gone, and the run says which head it was for.
        let run = |head: &str| {
            json!({
                "id": 9001, "workflow_id": 1, "head_sha": head, "event": "pull_request",
                "repository": {"id": w.project.id}, "head_repository": {"id": w.project.id},
            })
        };
        let gone = of_pull(w, &"b".repeat(40));
        w.state().runs = vec![run(head)];
        assert_eq!(post(w, &gone, "name=gone", report(&["a"])).await.0, 422);
        w.state().runs = vec![run(&newer)];
        let (status, answer) = post(w, &gone, "name=gone&parts=1", report(&["a"])).await;
        assert_eq!(
            (status, answer["commit"].as_str()),
            (201, Some(newer.as_str())),
            "{answer}"
        );
        w.state().runs = vec![run(&unheard)];
        let unheard_token = of_pull(w, &merged_unheard);
        let (status, answer) = post(w, &unheard_token, "name=x&parts=1", report(&["a"])).await;
        assert_eq!(
            (status, answer["commit"].as_str()),
            (201, Some(unheard.as_str())),
            "{answer}"
        );
        w.pass(60);
        w.drain().await;
        w.read_comments();
    })
    .await;
}

#[tokio::test]
async fn a_push_speaks_for_its_branch_and_a_fork_is_not_remembered() {
    world(async |w: &mut World| {
        // Nothing is built here.
        w.write(".herald.yml", "actions: {workflows: [CI]}\n");
        let main = w.commit("main");
        w.push("main", &main, &main).await;
        w.drain().await;
        let claims = job(w, "push", "refs/heads/main", &main);
        let token = w.github.sign(&claims).unwrap();
        let (status, answer) = post(w, &token, "name=unit&parts=1", report(&["a", "b"])).await;
        assert_eq!(
            (status, &answer["pull_request"]),
            (201, &Value::Null),
            "{answer}"
        );
        w.drain().await;
        let (_, badge) = w
            .get("/badges/octo/project/tests.json?job=upload:unit")
            .await;
        assert!(badge.contains("2 passed"), "{badge}");
        // A fork's pull request, whose workflow may have no token: it is uploaded by somebody who may.
        let head = w.commit("change");
        let mut payload = w.pull_request("opened", &head, &main);
        payload["pull_request"]["head"]["repo"] = json!({"id": 4242});
        w.deliver("pull_request", &payload).await;
        w.drain().await;
        let key = crate::api::token(w, None, "upload", None).await;
        for query in ["pull_request=7".to_owned(), format!("commit={head}")] {
            let query = format!("{query}&name=unit&parts=1");
            let (status, answer) = post(w, &key, &query, report(&["a", "-b"])).await;
            assert_eq!(status, 201, "{answer}");
        }
        w.drain().await;
        let check = w.check(&head, "herald / unit");
        assert_eq!(check.title, "1 failed, 1 passed");
        let (_, badge) = w
            .get("/badges/octo/project/tests.json?job=upload:unit")
            .await;
        assert!(badge.contains("2 passed"), "{badge}");
        let (_, builds) = w.get(&format!("{ROOT}/builds")).await;
        let builds: Value = serde_json::from_str(&builds).unwrap();
        let trusts: Vec<&str> = builds["builds"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|build| build["commit"] == head.as_str())
            .map(|build| build["trust"].as_str().unwrap())
            .collect();
        assert!(trusts.iter().all(|trust| *trust == "fork"), "{trusts:?}");
        w.read_comments();
    })
    .await;
}

#[tokio::test]
async fn what_was_uploaded_for_a_pull_request_speaks_for_the_branch_that_comes_to_its_head() {
    world(async |w: &mut World| {
        let ground = ground(w).await;
        let token = of_pull(w, &ground.merge);
        let same = report(&["a", "b"]);
        assert_eq!(
            post(w, &token, "name=unit&parts=1", same.clone()).await.0,
            201
        );
        w.drain().await;
        let badge = "/badges/octo/project/tests.json?job=upload:unit";
        assert!(!w.get(badge).await.1.contains("passed"));
        // Fast-forward: no commit is made, and the workflow of the push sends the same once more.
        w.push("main", &ground.main, &ground.head).await;
        w.drain().await;
        let claims = job(w, "push", "refs/heads/main", &ground.head);
        let token = w.github.sign(&claims).unwrap();
        for _ in 0..2 {
            let (status, answer) = post(w, &token, "name=unit&parts=1", same.clone()).await;
            assert_eq!(status, 201, "{answer}");
        }
        w.drain().await;
        let said = w.get(badge).await.1;
        assert!(said.contains("2 passed"), "{said}");
        // It is one report all the same, and the pull request has it still.
        let titles: Vec<String> = w
            .checks(&ground.head, "herald / unit")
            .iter()
            .map(|check| check.title.clone())
            .collect();
        assert!(titles.iter().all(|title| title == "2 passed"), "{titles:?}");
        let (_, build) = w.get(&format!("{ROOT}/builds/3")).await;
        let build: Value = serde_json::from_str(&build).unwrap();
        assert_eq!(build["pull_request"], 7, "{build}");
        assert_eq!(w.rows("report_sets").await, 1);
        w.read_comments();
    })
    .await;
}

#[tokio::test]
async fn reports_of_an_old_commit_do_not_take_its_branchs_badge() {
    world(async |w: &mut World| {
        w.write(".herald.yml", "actions: {workflows: [CI]}\n");
        let now = w.clock.now_ms() / 1_000;
        let old = w.commit_made("main", now - 3_600);
        let new = w.commit("main");
        w.push("main", &old, &new).await;
        w.drain().await;
        let key = token(w, None, "upload", None).await;
        let badge = "/badges/octo/project/tests.json?job=upload:unit";
        // The old one was pushed together with the new one, so that nothing was heard of it by itself.
        for (commit, names) in [(&new, &["a", "b"][..]), (&old, &["a"])] {
            let query = format!("commit={commit}&name=unit&parts=1");
            assert_eq!(post(w, &key, &query, report(names)).await.0, 201);
            w.pass(60);
            w.drain().await;
            let said = w.get(badge).await.1;
            assert!(said.contains("2 passed"), "{said}");
        }
        assert_eq!(w.ended(&old, "herald / unit").1, "1 passed");
    })
    .await;
}

#[tokio::test]
async fn a_part_whose_file_is_lost_is_sent_again() {
    world(async |w: &mut World| {
        let ground = ground(w).await;
        let key = token(w, None, "upload", None).await;
        let query = format!("commit={}&name=unit&parts=1&part=1", ground.head);
        assert_eq!(post(w, &key, &query, report(&["a"])).await.0, 201);
        let files = w.app.parts.uploads.list().await.unwrap();
        w.app.parts.uploads.remove(&files[0]).await.unwrap();
        w.drain().await;
        let found = w.ended(&ground.head, "herald / unit");
        assert_eq!(found.0, "failure");
        assert!(found.1.contains("upload it again"), "{found:?}");
        assert_eq!(post(w, &key, &query, report(&["a"])).await.0, 201);
        w.drain().await;
        let newest = w.checks(&ground.head, "herald / unit").pop().unwrap();
        assert_eq!(newest.title, "1 passed");
        assert_eq!(w.app.parts.uploads.list().await.unwrap().len(), 1);
        w.read_comments();
    })
    .await;
}

/// A zip archive of these files.
pub(crate) fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    use std::io::Write as _;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in files {
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file(*name, options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[tokio::test]
async fn archives_hold_several_reports_and_what_is_none_is_called_so() {
    world(async |w: &mut World| {
        let ground = ground(w).await;
        let key = token(w, None, "upload", None).await;
        let (one, two) = (report(&["a", "b"]), report(&["c"]));
        let lcov = "SF:shop.txt\nDA:1,1\nDA:2,0\nend_of_record\n";
        let zip = archive(&[
            ("out/junit.xml", &one),
            ("TEST-x.xml", &two),
            ("lcov.info", lcov),
        ]);
        let cases = [
            ("all", zip.clone(), "success", "3 passed"),
            (
                "cut",
                zip[..zip.len() - 30].to_vec(),
                "failure",
                "what was uploaded as `report`: is not a zip archive that can be read",
            ),
            (
                "text",
                b"hello".to_vec(),
                "failure",
                "the report report is broken",
            ),
            (
                "half",
                one.as_bytes()[..50].to_vec(),
                "failure",
                "the report report is broken",
            ),
            (
                "none",
                archive(&[("shot.png", "png")]),
                "failure",
                "there is no report in what was uploaded",
            ),
        ];
        for (name, body, ..) in &cases {
            let query = format!("commit={}&name={name}&parts=1", ground.head);
            assert_eq!(post(w, &key, &query, body.clone()).await.0, 201);
        }
        w.drain().await;
        for (name, _, conclusion, title) in cases {
            let found = w.ended(&ground.head, &format!("herald / {name}"));
            assert_eq!(found.0, conclusion, "{name}: {found:?}");
            assert!(found.1.starts_with(title), "{name}: {found:?}");
        }
        w.read_comments();
    })
    .await;
}

#[tokio::test]
async fn parts_are_kept_for_a_week_and_then_a_late_one_is_refused() {
    world(async |w: &mut World| {
        let ground = ground(w).await;
        let key = token(w, None, "upload", None).await;
        let stop = tokio_util::sync::CancellationToken::new();
        let query = format!("commit={}&name=unit&parts=2", ground.head);
        for (part, names) in [("1", ["a", "b"]), ("2", ["c", "d"])] {
            let query = format!("{query}&part={part}");
            assert_eq!(post(w, &key, &query, report(&names)).await.0, 201);
        }
        w.drain().await;
        w.pass(7 * 24 * 3_600 - 1);
        w.app.drop_old_uploads(&stop).await.unwrap();
        assert_eq!(w.app.parts.uploads.list().await.unwrap().len(), 2);
        w.pass(2);
        w.app.drop_old_uploads(&stop).await.unwrap();
        assert!(w.app.parts.uploads.list().await.unwrap().is_empty());
        let late = format!("{query}&part=1");
        let (status, answer) = post(w, &key, &late, report(&["a", "b"])).await;
        assert_eq!(status, 409, "{answer}");
        assert!(
            answer["message"]
                .as_str()
                .unwrap()
                .contains("use another name"),
            "{answer}"
        );
        assert!(w.app.parts.uploads.list().await.unwrap().is_empty());
        // The report stays as it was; there is nothing any more that could be read again.
        assert_eq!(w.ended(&ground.head, "herald / unit").1, "4 passed");
        let writer = token(w, None, "write", None).await;
        let rerun = format!("{ROOT}/builds/3/rerun");
        let (status, _, answer) = send(w, Method::POST, &rerun, &writer, &[], Body::empty()).await;
        assert_eq!(status, 409, "{answer}");
        let why = answer["message"].as_str().unwrap();
        assert!(why.contains("not kept any more"), "{why}");
        let check = w.check(&ground.head, "herald / unit").external_id;
        let again = w.github.rerequested(&w.project, &ground.head, Some(&check));
        w.deliver("check_run", &again).await;
        w.drain().await;
        assert_eq!(w.checks(&ground.head, "herald / unit").len(), 1);
        assert_eq!(w.ended(&ground.head, "herald / unit").1, "4 passed");
        w.read_comments();
    })
    .await;
}
