//! The outside of the server: the webhook's door, and badges.

use std::convert::Infallible;

use axum::body::Body;
use futures_util::future::Either;
use futures_util::stream;
use herald::demo::delivery_headers;
use http::Request;

use crate::world::{World, world};

/// A delivery whose signature header is `signature`, with the status that it should get.
async fn knock(w: &World, signature: Option<(&str, &str)>, body: &str, wanted: u16) {
    let mut request = Request::post("/webhooks/github")
        .header("x-github-event", "ping")
        .header("x-github-delivery", "knock");
    if let Some((name, value)) = signature {
        request = request.header(name, value);
    }
    let body = Body::from(body.to_owned());
    let (status, _, text) = w.request(request.body(body).unwrap()).await;
    assert_eq!(status, wanted, "{signature:?} {text}");
}

#[tokio::test]
async fn a_delivery_without_the_right_signature_is_refused_and_leaves_no_row() {
    world(async |w: &mut World| {
        let secret = w.github.webhook_secret();
        let right = delivery_headers(secret, "ping", "knock", b"{}").remove(3).1;
        let torn = &right[..right.len() - 2];
        let other = right.replace("sha256=", "sha256=0");
        let sha1 = "sha1=757107ea0eb2509fc211221cce984b8a37570b6d";
        knock(w, None, "{}", 401).await;
        for signature in ["", torn, &other, sha1, "sha256="] {
            knock(w, Some(("x-hub-signature-256", signature)), "{}", 401).await;
        }
        knock(w, Some(("x-hub-signature", sha1)), "{}", 401).await;
        knock(w, Some(("x-hub-signature-256", &right)), "{ }", 401).await;
        assert_eq!(w.waiting().await.deliveries, 0);
        knock(w, Some(("x-hub-signature-256", &right)), "{}", 202).await;
        assert_eq!(w.waiting().await.deliveries, 1);
    })
    .await;
}

#[tokio::test]
async fn a_signed_body_that_is_no_json_object_is_a_bad_request() {
    world(async |w: &mut World| {
        for body in ["", "[]", "payload=%7B%7D", "{\"a\":", "null"] {
            let secret = w.github.webhook_secret();
            let right = delivery_headers(secret, "ping", "x", body.as_bytes())
                .remove(3)
                .1;
            knock(w, Some(("x-hub-signature-256", &right)), body, 400).await;
        }
        assert_eq!(w.waiting().await.deliveries, 0);
    })
    .await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_not_read_to_its_end() {
    world(async |w: &mut World| {
        let announced = Request::post("/webhooks/github")
            .header("x-hub-signature-256", format!("sha256={}", "0".repeat(64)))
            .header("content-length", "26214401")
            .body(Body::from_stream(stream::once(async {
                panic!("read");
                #[expect(unreachable_code, reason = "only for the type")]
                Ok::<&str, std::io::Error>("")
            })))
            .unwrap();
        assert_eq!(w.request(announced).await.0, 413);

        let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = std::sync::Arc::clone(&sent);
        let endless = stream::repeat_with(move || {
            let count = counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            assert!(count < 100, "read on and on");
            Ok::<_, std::io::Error>("x".repeat(1 << 20))
        });
        let chunked = Request::post("/webhooks/github")
            .header("x-hub-signature-256", format!("sha256={}", "0".repeat(64)))
            .body(Body::from_stream(endless))
            .unwrap();
        assert_eq!(w.request(chunked).await.0, 413);
    })
    .await;
}

#[tokio::test]
async fn slow_bodies_hold_up_nobody_for_long() {
    world(async |w: &mut World| {
        let slow = async || {
            let request = Request::post("/webhooks/github")
                .header("x-hub-signature-256", format!("sha256={}", "0".repeat(64)))
                .body(Body::from_stream(stream::pending::<
                    Result<String, Infallible>,
                >()))
                .unwrap();
            w.request(request).await.0
        };
        let ping = serde_json::json!({});
        let honest = async || w.deliver_as("honest", "ping", &ping).await;
        let all = Box::pin(futures_util::future::join_all((0..32).map(|_| slow())));
        // The slow ones are given up after ten seconds.
        match futures_util::future::select(all, Box::pin(honest())).await {
            Either::Left((slow, _)) => panic!("{slow:?}"),
            Either::Right((status, slow)) => {
                assert_eq!(status, 503);
                drop(slow);
            }
        }
        assert_eq!(honest().await, 202);
    })
    .await;
}

#[tokio::test]
async fn events_that_herald_does_not_know_are_acknowledged() {
    world(async |w: &mut World| {
        for (event, payload) in [
            ("ping", serde_json::json!({"zen": "Design for failure."})),
            ("star", serde_json::json!({"action": "created"})),
            ("pull_request", serde_json::json!({"action": "labeled"})),
            ("pull_request", serde_json::json!({"action": "enqueued"})),
            (
                "check_suite",
                serde_json::json!({"action": "requested", "head_branch": null}),
            ),
        ] {
            w.deliver(event, &payload).await;
        }
        w.drain().await;
        assert!(w.state().requests.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_badge_is_an_image_whatever_is_asked() {
    world(async |w: &mut World| {
        for path in [
            "/badges/octo/nothing/build.svg",
            "/badges/octo/nothing/nonsense.svg",
            "/badges/octo/nothing/build.svg?style=nonsense&color=nonsense&nonsense=1",
            "/badges/static/a%2Fb/%3Cscript%3E/blue.svg",
            "/badges/o/%00%1b/tests.svg?label=%00%3Cx",
        ] {
            let (status, svg) = w.get(path).await;
            assert_eq!(status, 200, "{path}");
            assert!(svg.starts_with("<svg "), "{path}: {svg}");
            assert!(!svg.contains("<script"), "{path}");
        }
        let json = w.get("/badges/octo/nothing/build.json").await.1;
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let expected = serde_json::json!({
            "schemaVersion": 1, "label": "build", "message": "unknown", "color": "lightgrey",
        });
        assert_eq!(json, expected);
    })
    .await;
}

#[tokio::test]
async fn a_badge_that_the_client_has_is_not_sent_again() {
    world(async |w: &mut World| {
        let ask = |method: &str, tag: Option<&str>| {
            let mut request = Request::builder()
                .method(method)
                .uri("/badges/o/r/build.svg");
            if let Some(tag) = tag {
                request = request.header("if-none-match", tag);
            }
            request.body(Body::empty()).unwrap()
        };
        let (status, headers, svg) = w.request(ask("GET", None)).await;
        assert_eq!(status, 200);
        assert_eq!(headers["content-type"], "image/svg+xml; charset=utf-8");
        assert_eq!(headers["cache-control"], "no-cache, max-age=0");
        let tag = headers["etag"].to_str().unwrap();
        let (status, again, body) = w.request(ask("GET", Some(tag))).await;
        assert_eq!((status.as_u16(), body.as_str()), (304, ""));
        assert_eq!(again["etag"], tag);
        let (status, head, body) = w.request(ask("HEAD", None)).await;
        assert_eq!((status.as_u16(), body.as_str()), (200, ""));
        assert_eq!(head["content-length"], svg.len().to_string());
    })
    .await;
}
