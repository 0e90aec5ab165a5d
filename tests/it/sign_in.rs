//! People sign in, and see and do what GitHub lets them.

use axum::body::Body;
use http::header::COOKIE;
use http::{Request, StatusCode};
use tower::ServiceExt;

use crate::browser::Browser;
use crate::world::{World, world};

const BUILD: &str = "/repos/octo/project/builds/1";

/// Makes everybody there is, and the repository private.
fn private(w: &mut World) {
    for project in &mut w.state().projects {
        project.private = true;
    }
    w.project.private = true;
    for (id, permission) in [(11, "none"), (12, "read"), (13, "write"), (14, "admin")] {
        w.person(id, &format!("person{id}"), permission);
    }
}

/// A build of a pull request that fails.
async fn failing(w: &mut World) -> String {
    let (main, head) = w.change("jobs: {a: {execute: [exit 1]}, b: {execute: [exit 0]}}\n");
    w.pull("opened", &head, &main).await;
    w.drain().await;
    w.next_comment();
    head
}

#[tokio::test]
async fn each_sees_of_a_private_repository_what_github_lets_them() {
    world(async |w: &mut World| {
        private(w);
        failing(w).await;
        let pages = [
            "/repos/octo/project",
            "/repos/octo/project/badges",
            BUILD,
            "/repos/octo/project/builds/1/jobs/a",
            "/repos/octo/project/builds/1/jobs/a/log.txt",
        ];
        for (person, may_read, may_write) in [
            (11, false, false),
            (12, true, false),
            (13, true, true),
            (14, true, true),
        ] {
            let mut browser = Browser::signed_in(w, person).await;
            for page in pages {
                let got = browser.get(w, page).await;
                let expected = if may_read { 200 } else { 404 };
                assert_eq!(got.status, expected, "{page} for {person}");
                assert!(may_read || !got.text.contains("octo"), "{}", got.text);
            }
            let overview = browser.get(w, "/").await;
            assert_eq!(overview.text.contains("octo/project"), may_read);
            let build = browser.get(w, BUILD).await;
            assert_eq!(build.text.contains("Run failed jobs again"), may_write);
        }
    })
    .await;
}

#[tokio::test]
async fn access_that_is_withdrawn_ends_within_a_minute_and_errands_at_once() {
    world(async |w: &mut World| {
        private(w);
        failing(w).await;
        let mut browser = Browser::signed_in(w, 13).await;
        let page = browser.get(w, BUILD).await;
        assert_eq!(page.status, 200);
        w.person(13, "person13", "none");
        let form = [("csrf", &*page.csrf())];
        let pressed = browser.post(w, &format!("{BUILD}/rerun"), &form).await;
        assert_eq!(pressed.status, 403, "{}", pressed.text);
        w.pass(61);
        assert_eq!(browser.get(w, BUILD).await.status, 404);
        let overview = browser.get(w, "/").await;
        assert!(!overview.text.contains("octo/project"));
        // And comes back.
        w.person(13, "person13", "read");
        w.pass(61);
        assert_eq!(browser.get(w, BUILD).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn what_is_private_stays_so_while_github_cannot_be_asked() {
    world(async |w: &mut World| {
        private(w);
        failing(w).await;
        let mut browser = Browser::signed_in(w, 12).await;
        let path = "/collaborators/person12/permission";
        w.fault("GET", path, 0, 1, herald::demo::What::Status(500));
        assert_eq!(browser.get(w, BUILD).await.status, 404);
        assert_eq!(browser.get(w, BUILD).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn the_buttons_run_again_cancel_and_approve() {
    world(async |w: &mut World| {
        w.person(13, "person13", "write");
        let head = failing(w).await;
        let mut browser = Browser::signed_in(w, 13).await;
        let page = browser.get(w, BUILD).await;
        let csrf = page.csrf();
        let failed = [("csrf", &*csrf), ("failed", "true")];
        let pressed = browser.post(w, &format!("{BUILD}/rerun"), &failed).await;
        assert_eq!(
            (pressed.status, &*pressed.location()),
            (StatusCode::SEE_OTHER, BUILD)
        );
        // It runs already.
        let pressed = browser.post(w, &format!("{BUILD}/rerun"), &failed).await;
        assert_eq!(pressed.status, 409);
        let cancel = [("csrf", &*csrf)];
        let pressed = browser.post(w, &format!("{BUILD}/cancel"), &cancel).await;
        assert_eq!(pressed.status, 303);
        w.drain().await;
        assert_eq!(w.checks(&head, "herald / b").len(), 1, "it was green");
        let conclusions: Vec<_> = w
            .checks(&head, "herald / a")
            .into_iter()
            .filter_map(|check| check.conclusion)
            .collect();
        assert_eq!(conclusions, ["failure", "cancelled"]);
        let pressed = browser.post(w, &format!("{BUILD}/cancel"), &cancel).await;
        assert_eq!(pressed.status, 409);
        let pressed = browser.post(w, &format!("{BUILD}/approve"), &cancel).await;
        assert_eq!(pressed.status, 409, "nothing waits");
        let job = [("csrf", &*csrf), ("job", "b")];
        let pressed = browser.post(w, &format!("{BUILD}/rerun"), &job).await;
        assert_eq!(pressed.status, 303);
        w.drain().await;
        assert_eq!(w.checks(&head, "herald / b").len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_button_needs_the_session_its_mark_and_write_permission() {
    world(async |w: &mut World| {
        w.person(12, "person12", "read");
        w.person(13, "person13", "write");
        let head = failing(w).await;
        let mut writer = Browser::signed_in(w, 13).await;
        let mut reader = Browser::signed_in(w, 12).await;
        let rerun = format!("{BUILD}/rerun");
        let of_writer = writer.get(w, BUILD).await.csrf();
        let of_reader = reader.get(w, "/").await.csrf();
        for csrf in ["", "x", &of_reader] {
            let form = [("csrf", csrf)];
            assert_eq!(writer.post(w, &rerun, &form).await.status, 403, "{csrf}");
        }
        let form = [("csrf", &*of_reader)];
        assert_eq!(reader.post(w, &rerun, &form).await.status, 403);
        let form = [("csrf", &*of_writer)];
        let mut stranger = Browser::default();
        assert_eq!(stranger.post(w, &rerun, &form).await.status, 403);
        // After signing out the cookie is gone.
        assert_eq!(writer.post(w, "/logout", &form).await.status, 303);
        assert!(writer.cookies.is_empty());
        assert_eq!(writer.post(w, &rerun, &form).await.status, 403);
        assert_eq!(w.checks(&head, "herald").len(), 1);
    })
    .await;
}

#[tokio::test]
async fn signing_in_is_bound_to_the_browser_that_began_it() {
    world(async |w: &mut World| {
        w.person(12, "person12", "read");
        w.state().signed_in = Some(12);
        let mut mine = Browser::default();
        let mut other = Browser::default();
        let go = mine.get(w, "/login").await.location();
        assert!(go.contains("code_challenge_method=S256"), "{go}");
        let back = Browser::at_github(w, &go).await;
        // A link that somebody sends.
        assert_eq!(other.get(w, &back).await.status, 400);
        other.get(w, "/login").await;
        assert_eq!(other.get(w, &back).await.status, 400);
        let late = mine.clone();
        assert_eq!(mine.get(w, &back).await.status, 303);
        // The code is good once.
        let mut late = late;
        let again = late.get(w, &back).await;
        assert_eq!(again.status, 400);
        assert!(again.text.contains("try again"), "{}", again.text);
        // Not authorized, and too slow.
        let mut no = Browser::default();
        let go = no.get(w, "/login").await.location();
        let state = go
            .split("state=")
            .nth(1)
            .unwrap()
            .split('&')
            .next()
            .unwrap();
        let denied = format!("/login/callback?error=access_denied&state={state}");
        assert_eq!(no.get(w, &denied).await.status, 400);
        let mut slow = Browser::default();
        let go = slow.get(w, "/login").await.location();
        let back = Browser::at_github(w, &go).await;
        w.pass(601);
        assert_eq!(slow.get(w, &back).await.status, 400);
    })
    .await;
}

#[tokio::test]
async fn a_session_ends_after_eight_hours_and_leads_back_where_one_was() {
    world(async |w: &mut World| {
        w.person(12, "person<b>", "read");
        let mut browser = Browser::default();
        let back = browser.sign_in(w, 12, "/repos/octo/project").await;
        assert_eq!(back.location(), "/repos/octo/project");
        let page = browser.get(w, "/").await;
        assert!(page.text.contains("person&#60;b&#62;"), "{}", page.text);
        w.pass(8 * 3_600);
        let page = browser.get(w, "/").await;
        assert!(page.text.contains("Sign in"), "{}", page.text);
        let elsewhere = browser.sign_in(w, 12, "//example.com").await;
        assert_eq!(elsewhere.location(), "/");
    })
    .await;
}

#[tokio::test]
async fn a_badge_of_a_private_repository_needs_its_token() {
    world(async |w: &mut World| {
        private(w);
        w.write("x", "x");
        let (main, _) = w.change("execute: [exit 0]\n");
        w.push("main", &main, &main).await;
        w.drain().await;
        let page = "/repos/octo/project/badges";
        let badge = |token: &str| format!("/badges/octo/project/build.json?token={token}");
        let mut writer = Browser::signed_in(w, 13).await;
        let mut reader = Browser::signed_in(w, 12).await;
        let message = async |path: String| w.get(&path).await.1;
        assert!(message(badge("")).await.contains("unknown"));
        let token_in = |text: &str| {
            let (_, rest) = text.split_once("token=").expect("a token");
            let end = rest.find(|char: char| !(char.is_alphanumeric() || "_-".contains(char)));
            rest[..end.unwrap()].to_owned()
        };
        let form = [("csrf", &*reader.get(w, "/").await.csrf())];
        let made = reader.post(w, &format!("{page}/token"), &form).await;
        assert_eq!(made.status, 403);
        let mut former = String::new();
        for _ in 0..2 {
            let csrf = writer.get(w, page).await.csrf();
            let form = [("csrf", &*csrf)];
            let made = writer.post(w, &format!("{page}/token"), &form).await;
            assert_eq!(made.location(), page);
            let token = token_in(&reader.get(w, page).await.text);
            assert!(message(badge(&token)).await.contains("passing"), "{token}");
            if !former.is_empty() {
                assert!(message(badge(&former)).await.contains("unknown"));
            }
            former = token;
        }
        w.assert_nowhere_on_disk(&former);
        // It opens badges and nothing else.
        let pages = format!("/repos/octo/project?token={former}");
        assert_eq!(w.get(&pages).await.0, 404);
        let missing = format!("/badges/octo/other/build.json?token={former}");
        assert!(message(missing).await.contains("unknown"));
    })
    .await;
}

#[tokio::test]
async fn a_stream_ends_when_access_is_withdrawn() {
    world(async |w: &mut World| {
        private(w);
        let (main, _) = w.change("execute: [hold]\n");
        w.push("main", &main, &main).await;
        w.until_queued(|_| {}).await;
        let mut reader = Browser::signed_in(w, 12).await;
        w.person(12, "person12", "none");
        for stream in ["log/events", "log/steps"] {
            let path = format!("/repos/octo/project/builds/1/jobs/build/{stream}");
            assert_eq!(reader.get(w, &path).await.status, 404, "{stream}");
        }
        w.person(12, "person12", "read");
        w.pass(61);
        let cookie = format!("herald_session={}", reader.cookies["herald_session"]);
        for stream in ["log/events", "log/steps"] {
            let path = format!("/repos/octo/project/builds/1/jobs/build/{stream}");
            let request = Request::get(path).header(COOKIE, &cookie);
            let request = request.body(Body::empty()).unwrap();
            let answer = w.router().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), 200);
            w.person(12, "person12", "none");
            w.pass(61);
            // Nobody ends the job: the stream ends because of them.
            let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await;
            let text = String::from_utf8(body.unwrap().to_vec()).unwrap();
            assert!(!text.contains("event: end"), "{text}");
            w.person(12, "person12", "read");
            w.pass(61);
        }
        w.executor.release();
    })
    .await;
}
