//! Every route, and what somebody gets there whom nobody knows.

use axum::body::Body;
use herald::report::test_id;
use http::header::CONTENT_TYPE;
use http::{Method, Request};

use crate::world::{World, world};

/// A route, an address of it, and the status where the repository is public and where it is private.
const ROUTES: [(&str, &str, u16, u16); 41] = [
    ("/", "/", 200, 200),
    ("/assets/herald.css", "/assets/herald.css", 200, 200),
    ("/assets/build.js", "/assets/build.js", 200, 200),
    ("/assets/log.js", "/assets/log.js", 200, 200),
    ("/setup", "/setup", 200, 200),
    // Closed: they lead to the word that all is set up.
    ("/setup/review", "/setup/review", 303, 303),
    ("/setup/done", "/setup/done?code=x&state=y", 303, 303),
    ("/setup/retry", "/setup/retry", 303, 303),
    ("/setup/next", "/setup/next", 303, 303),
    ("/healthz", "/healthz", 200, 200),
    ("/readyz", "/readyz", 200, 200),
    ("/login", "/login", 303, 303),
    ("/login/callback", "/login/callback", 400, 400),
    ("/logout", "/logout", 403, 403),
    // A delivery without a signature.
    ("/webhooks/github", "/webhooks/github", 401, 401),
    (
        "/badges/static/{label}/{message}/{color}",
        "/badges/static/a/b/blue.svg",
        200,
        200,
    ),
    (
        "/badges/{owner}/{repo}/{file}",
        "/badges/octo/project/build.svg",
        200,
        200,
    ),
    (
        "/badges/{owner}/{repo}/{file}",
        "/badges/octo/project/build.json",
        200,
        200,
    ),
    ("/repos/{owner}/{repo}", "/repos/octo/project", 200, 404),
    (
        "/repos/{owner}/{repo}/badges",
        "/repos/octo/project/badges",
        200,
        404,
    ),
    (
        "/repos/{owner}/{repo}/badges/token",
        "/repos/octo/project/badges/token",
        403,
        404,
    ),
    (
        "/repos/{owner}/{repo}/tests",
        "/repos/octo/project/tests",
        200,
        404,
    ),
    (
        "/repos/{owner}/{repo}/tests/{id}",
        "/repos/octo/project/tests/ID",
        200,
        404,
    ),
    (
        "/repos/{owner}/{repo}/tests/{id}/quarantine",
        "/repos/octo/project/tests/ID/quarantine",
        403,
        404,
    ),
    (
        "/repos/{owner}/{repo}/deployments",
        "/repos/octo/project/deployments",
        200,
        404,
    ),
    (
        "/repos/{owner}/{repo}/coverage",
        "/repos/octo/project/coverage",
        303,
        404,
    ),
    (
        "/repos/{owner}/{repo}/builds/{number}/tests",
        "/repos/octo/project/builds/1/tests",
        200,
        404,
    ),
    (
        "/repos/{owner}/{repo}/builds/{number}/coverage",
        "/repos/octo/project/builds/1/coverage",
        200,
        404,
    ),
    (
        "/repos/{owner}/{repo}/builds/{number}/rerun",
        "/repos/octo/project/builds/1/rerun",
        403,
        404,
    ),
    (
        "/repos/{owner}/{repo}/builds/{number}/cancel",
        "/repos/octo/project/builds/1/cancel",
        403,
        404,
    ),
    (
        "/repos/{owner}/{repo}/builds/{number}/approve",
        "/repos/octo/project/builds/1/approve",
        403,
        404,
    ),
    (
        "/repos/{owner}/{repo}/builds/{number}",
        "/repos/octo/project/builds/1",
        200,
        404,
    ),
    (
        "/repos/{owner}/{repo}/builds/{number}/jobs/{job}",
        "/repos/octo/project/builds/1/jobs/build",
        200,
        404,
    ),
    (
        "/repos/{owner}/{repo}/builds/{number}/jobs/{job}/log.txt",
        "/repos/octo/project/builds/1/jobs/build/log.txt",
        200,
        404,
    ),
    (
        "/repos/{owner}/{repo}/builds/{number}/jobs/{job}/log/events",
        "/repos/octo/project/builds/1/jobs/build/log/events",
        200,
        404,
    ),
    (
        "/repos/{owner}/{repo}/builds/{number}/jobs/{job}/log/steps",
        "/repos/octo/project/builds/1/jobs/build/log/steps",
        200,
        404,
    ),
    (
        "/repos/{owner}/{repo}/builds/{number}/jobs/{job}/log/lines",
        "/repos/octo/project/builds/1/jobs/build/log/lines?step=0",
        200,
        404,
    ),
    (
        "/repos/{owner}/{repo}/builds/{number}/jobs/{job}/log/search",
        "/repos/octo/project/builds/1/jobs/build/log/search?q=x",
        200,
        404,
    ),
    (
        "/repos/{owner}/{repo}/builds/{number}/jobs/{job}/log/errors",
        "/repos/octo/project/builds/1/jobs/build/log/errors",
        200,
        404,
    ),
    (
        "/repos/{owner}/{repo}/builds/{number}/jobs/{job}/artifacts/{*path}",
        "/repos/octo/project/builds/1/jobs/build/artifacts/out",
        200,
        404,
    ),
    // Nothing that there is.
    ("", "/repos/octo/project/builds/1/nothing", 404, 404),
];

/// The ends of routes that take something.
const POSTED: [&str; 8] = [
    "/setup/retry",
    "/webhooks/github",
    "/logout",
    "/token",
    "/rerun",
    "/cancel",
    "/approve",
    "/quarantine",
];

/// The routes as they are written in the router.
fn written() -> Vec<String> {
    let source = include_str!("../../src/web/router.rs");
    let public = source.split("pub fn metrics_router").next().unwrap();
    let routes = public.split(".route(").skip(1);
    let mut routes: Vec<String> = routes
        .map(|rest| rest.split('"').nth(1).unwrap().to_owned())
        .collect();
    routes.sort();
    routes
}

#[tokio::test]
async fn every_route_answers_strangers_as_it_is_listed_here() {
    let mut listed: Vec<&str> = ROUTES.iter().map(|(route, ..)| *route).collect();
    listed.retain(|route| !route.is_empty());
    listed.sort_unstable();
    listed.dedup();
    assert_eq!(listed, written(), "a route that is not listed");
    for private in [false, true] {
        world(async |w: &mut World| {
            for project in &mut w.state().projects {
                project.private = private;
            }
            w.project.private = private;
            let report = "<testsuite name='s'><testcase name='a'/></testsuite>";
            *w.report.lock().unwrap() = Some(report.to_owned());
            let id = test_id(&["s".to_owned()], None, "a");
            let (main, _) = w.change("execute: [leave out text]\nartifacts: [out]\n");
            w.push("main", &main, &main).await;
            w.drain().await;
            for (route, path, public_status, private_status) in ROUTES {
                let wanted = if private {
                    private_status
                } else {
                    public_status
                };
                let method = if POSTED.iter().any(|end| route.ends_with(end)) {
                    Method::POST
                } else {
                    Method::GET
                };
                let request = Request::builder()
                    .method(method)
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .uri(path.replace("ID", &id));
                let answer = w.request(request.body(Body::empty()).unwrap()).await;
                assert_eq!(answer.0, wanted, "{path}, private: {private}");
                // What is private has no word on any page.
                let name = answer.2.contains("octo/project");
                assert!(!(private && name), "{path}: {}", answer.2);
            }
        })
        .await;
    }
}
