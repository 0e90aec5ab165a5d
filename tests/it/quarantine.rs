//! Tests whose failures do not count for a while.

use http::StatusCode;

use crate::browser::Browser;
use crate::world::{World, world};

/// A report with these tests; `-` before a name fails, on line 2 of `tests/NAME.py`.
fn leave(w: &World, tests: &str) {
    let cases: String = tests
        .split_whitespace()
        .map(|test| match test.strip_prefix('-') {
            Some(name) => format!(
                "<testcase classname='t' name='{name}'><failure message='no {name}'>\
                 tests/{name}.py:2: E</failure></testcase>"
            ),
            None => format!("<testcase classname='t' name='{test}'/>"),
        })
        .collect();
    *w.report.lock().unwrap() = Some(format!("<testsuite name='s'>{cases}</testsuite>"));
}

/// The newest check run of a commit.
fn newest(w: &World, head: &str) -> herald::demo::Check {
    w.checks(head, "herald").pop().unwrap()
}

const SPECIFICATION: &str =
    "execute: [{name: tests, run: exit 1}]\nreports: {tests: ['reports/*.xml']}\n";
const WRITER: i64 = 500;
const DAY: i64 = 24 * 60 * 60;

/// A pull request with files that failures are placed in.
async fn pull(w: &World) -> (String, String) {
    for name in ["a", "b"] {
        w.write(&format!("tests/{name}.py"), "one\ntwo\n");
    }
    w.write(".herald.yml", SPECIFICATION);
    let main = w.commit("main");
    w.write("README", "a change\n");
    let head = w.commit("change");
    w.pull("opened", &head, &main).await;
    w.drain().await;
    (main, head)
}

#[tokio::test]
async fn a_test_that_somebody_put_away_does_not_count_until_the_day_comes() {
    world(async |w: &mut World| {
        w.person(WRITER, "ann", "write");
        leave(w, "-a b");
        let (_, head) = pull(w).await;
        assert_eq!(newest(w, &head).conclusion.as_deref(), Some("failure"));
        w.read_comments();
        w.comment(
            WRITER,
            "/herald quarantine t.a for 3d # issue #12 @everyone",
        )
        .await;
        w.drain().await;
        let (answer, _) = w.next_comment();
        assert!(
            answer.contains("Failures of `t a` do not count until "),
            "{answer}"
        );
        w.comment(WRITER, "/herald retry").await;
        w.drain().await;

        let check = newest(w, &head);
        assert_eq!(
            check.conclusion.as_deref(),
            Some("success"),
            "{}",
            check.summary
        );
        assert_eq!(check.title, "1 passed, 1 tolerated in 0s");
        for text in [
            "#### ⚠️ a",
            "**quarantined until ",
            "issue &#35;",
            "1 test failed, none is likely yours: 1 quarantined.",
            "Step \"tests\" (exit 1) counts as passed",
            "| **Steps** | 1 tolerated |",
        ] {
            assert!(check.summary.contains(text), "{text}\n{}", check.summary);
        }
        assert!(!check.summary.contains("@everyone"), "{}", check.summary);
        assert_eq!(check.annotations[0]["annotation_level"], "warning");
        let said = ("success".to_owned(), "1 passed, 1 tolerated".to_owned());
        assert_eq!(w.status(&head, "herald/tests"), said);
        let comment = w.state().comments[0].body.clone();
        assert!(
            comment.contains("### ✅ 1 passed, 1 tolerated"),
            "{comment}"
        );
        assert!(comment.contains("| a | quarantined until "), "{comment}");
        let page = w.get("/repos/octo/project/builds/1/tests").await.1;
        assert!(page.contains("quarantined until"), "{page}");

        w.pass(4 * DAY);
        let again = w.github.rerequested(&w.project, &head, None);
        w.deliver("check_suite", &again).await;
        w.drain().await;
        assert_eq!(newest(w, &head).conclusion.as_deref(), Some("failure"));
        w.read_comments();
    })
    .await;
}

#[tokio::test]
async fn who_puts_a_test_away_names_one_and_may_take_it_back() {
    world(async |w: &mut World| {
        w.person(WRITER, "ann", "write");
        w.person(501, "eve", "read");
        leave(w, "-a b");
        let (_, head) = pull(w).await;
        w.read_comments();
        for (person, command, answer) in [
            (501, "/herald quarantine a", "people with write permission"),
            (WRITER, "/herald quarantine z", "has no test `z`"),
            (
                WRITER,
                "/herald quarantine a until friday",
                "`friday` is no day",
            ),
            (
                WRITER,
                "/herald unquarantine a",
                "is no test that is quarantined",
            ),
            (WRITER, "/herald quarantine a", "do not count until"),
            (
                WRITER,
                "/herald unquarantine t.a",
                "Failures of `t a` count again",
            ),
        ] {
            let answer = answer.replace('`', "\\`");
            w.comment(person, command).await;
            w.drain().await;
            let (said, _) = w.next_comment();
            let plain = answer.replace('\\', "");
            assert!(
                said.contains(&answer) || said.contains(&plain),
                "{command}: {said}"
            );
        }
        w.comment(WRITER, "/herald retry").await;
        w.drain().await;
        assert_eq!(newest(w, &head).conclusion.as_deref(), Some("failure"));
    })
    .await;
}

#[tokio::test]
async fn the_file_of_the_base_counts_and_not_that_of_the_change() {
    world(async |w: &mut World| {
        leave(w, "-a b");
        w.write(".herald.yml", SPECIFICATION);
        let main = w.commit("main");
        // The clock of these tests stands in 2026.
        let day = chrono::DateTime::from_timestamp_millis(w.app.now_ms() + 20 * DAY * 1000);
        let line = format!(
            "t.a until {} # slow network\n",
            day.unwrap().format("%Y-%m-%d")
        );
        w.write(".herald-quarantine", &line);
        let head = w.commit("change");
        w.pull("opened", &head, &main).await;
        w.drain().await;
        assert_eq!(newest(w, &head).conclusion.as_deref(), Some("failure"));
        w.read_comments();

        let merged = format!("{line}t.b until soon\n");
        w.write(".herald-quarantine", &merged);
        let base = w.commit("main");
        w.write("README", "more\n");
        let head = w.commit("change");
        w.pull("synchronize", &head, &base).await;
        w.drain().await;
        let check = newest(w, &head);
        assert_eq!(
            check.conclusion.as_deref(),
            Some("success"),
            "{}",
            check.summary
        );
        assert!(check.summary.contains("slow network"), "{}", check.summary);
        let text = "`soon\\` is no day";
        assert!(check.summary.contains(text), "{}", check.summary);
    })
    .await;
}

#[tokio::test]
async fn known_flaky_tests_are_tolerated_where_that_is_allowed() {
    world(async |w: &mut World| {
        let allowed = format!("{SPECIFICATION}gates: {{tests: {{allow_known_flaky: true}}}}\n");
        let green = allowed.replace("exit 1", "exit 0");
        w.write(".herald.yml", &green);
        let main = w.commit("main");
        leave(w, "-a b");
        w.push("main", &main, &main).await;
        w.drain().await;
        leave(w, "a b");
        let again = w.github.rerequested(&w.project, &main, None);
        w.deliver("check_suite", &again).await;
        w.drain().await;
        w.write(".herald.yml", &allowed);
        let head = w.commit("change");
        leave(w, "-a b");
        w.pull("opened", &head, &main).await;
        w.drain().await;
        let check = newest(w, &head);
        assert_eq!(
            check.title, "1 passed, 1 tolerated in 0s",
            "{}",
            check.summary
        );
        assert_eq!(check.conclusion.as_deref(), Some("success"));
        // A failure beside it that is not known to be flaky counts, and so does the step.
        leave(w, "-a -b");
        let head = w.commit("change");
        w.pull("synchronize", &head, &main).await;
        w.drain().await;
        let check = newest(w, &head);
        assert_eq!(check.conclusion.as_deref(), Some("failure"));
        assert_eq!(check.title, "1 failed, 1 tolerated in 0s");
        w.read_comments();
    })
    .await;
}

#[tokio::test]
async fn the_button_on_the_page_of_a_test_puts_it_away_and_takes_it_back() {
    world(async |w: &mut World| {
        w.person(WRITER, "ann", "write");
        w.person(501, "eve", "read");
        leave(w, "-a b");
        let (_, head) = pull(w).await;
        w.read_comments();
        let id = herald::report::test_id(&["s".to_owned()], Some("t"), "a");
        let page = format!("/repos/octo/project/tests/{id}");
        let address = format!("{page}/quarantine");
        let mut reader = Browser::signed_in(w, 501).await;
        let seen = reader.get(w, &page).await;
        assert!(!seen.text.contains(&address), "{}", seen.text);
        let csrf = seen.csrf();
        let pressed = reader
            .post(w, &address, &[("csrf", &*csrf), ("days", "3")])
            .await;
        assert_eq!(pressed.status, StatusCode::FORBIDDEN);

        let mut writer = Browser::signed_in(w, WRITER).await;
        let seen = writer.get(w, &page).await;
        assert!(seen.text.contains(&address), "{}", seen.text);
        let csrf = seen.csrf();
        let form = [("csrf", &*csrf), ("days", "91")];
        assert_eq!(
            writer.post(w, &address, &form).await.status,
            StatusCode::BAD_REQUEST
        );
        let form = [("csrf", &*csrf), ("days", "3"), ("reason", "<b>slow</b>")];
        let pressed = writer.post(w, &address, &form).await;
        assert_eq!(
            (pressed.status, pressed.location()),
            (StatusCode::SEE_OTHER, page.clone())
        );
        let seen = writer.get(w, &page).await.text;
        assert!(seen.contains("do not count until"), "{seen}");
        assert!(seen.contains("&#60;b&#62;slow"), "{seen}");
        let list = w.get("/repos/octo/project/tests").await.1;
        assert!(list.contains("Quarantined tests"), "{list}");
        let list = w.get("/api/v1/repos/octo/project/quarantine").await.1;
        assert!(list.contains(&id), "{list}");
        w.comment(WRITER, "/herald retry").await;
        w.drain().await;
        assert_eq!(newest(w, &head).conclusion.as_deref(), Some("success"));

        let back = [("csrf", &*csrf)];
        assert_eq!(
            writer.post(w, &address, &back).await.status,
            StatusCode::SEE_OTHER
        );
        let list = w.get("/api/v1/repos/octo/project/quarantine").await.1;
        assert_eq!(list, "{\"tests\":[]}");
    })
    .await;
}
