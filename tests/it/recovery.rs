//! What was missed, and is taken up all the same.

use herald::app::catch_up;
use herald::demo::{Posted, What};
use herald::ports::Kind;
use serde_json::{Value, json};

use crate::world::{World, world};

const GREEN: &str = "execute:\n  - name: work\n    run: exit 0\n";

/// An action on one of several pull requests.
fn payload(w: &World, action: &str, number: i64, head: &str, base: &str) -> Value {
    let head = ("change", head);
    w.github
        .pull_request(&w.project, action, number, head, ("main", base))
}

/// States of all deliveries that were kept.
async fn states(w: &World) -> Vec<String> {
    let store = &w.app.parts.store;
    let kept = store.list_deliveries(false, 1_000).await.unwrap();
    kept.into_iter().map(|delivery| delivery.state).collect()
}

#[tokio::test]
async fn what_happened_while_the_server_was_down_is_taken_up_once() {
    world(async |w: &mut World| {
        let (main, _) = w.change(GREEN);
        let heads: Vec<String> = (0..5).map(|_| w.commit("change")).collect();
        // One arrived, one was handled from its second attempt.
        let arrived = payload(w, "opened", 1, &heads[0], &main);
        assert_eq!(w.deliver_as("arrived", "pull_request", &arrived).await, 202);
        w.github
            .note_delivery("arrived", "pull_request", &arrived, 0);
        w.github
            .note_delivery("arrived", "pull_request", &arrived, 202);
        w.drain().await;
        assert_eq!(w.executor.orders().len(), 1);

        for event in 0..50 {
            w.pass(1);
            let pull = event / 10;
            let head = &heads[usize::try_from(pull).unwrap()];
            let actions = ["opened", "labeled", "ready_for_review", "assigned"];
            let action = actions[usize::try_from(event % 4).unwrap()];
            let payload = payload(w, action, pull + 1, head, &main);
            let guid = format!("missed-{event}");
            w.github.note_delivery(&guid, "pull_request", &payload, 0);
            if event % 7 == 0 {
                w.github.note_delivery(&guid, "pull_request", &payload, 502);
            }
        }
        for ping in 0..80 {
            let guid = format!("ping-{ping}");
            w.github.note_delivery(&guid, "ping", &json!({}), 0);
        }
        w.restart().await;
        catch_up(&w.app).await.unwrap();
        w.drain().await;
        let states = states(w).await;
        assert_eq!(states.len(), 1 + 50 + 80);
        assert!(states.iter().all(|state| state == "handled"), "{states:?}");
        assert_eq!(w.executor.orders().len(), 5, "each head once");

        // There is nothing left to do, and hardly anything is read.
        let before = w.state().requests.len();
        w.pass(60 * 60);
        catch_up(&w.app).await.unwrap();
        w.drain().await;
        assert!(w.state().requests.len() - before <= 4);
        assert_eq!(w.executor.orders().len(), 5);
        assert_eq!(
            w.deliver_as("missed-0", "pull_request", &arrived).await,
            202
        );
        w.drain().await;
        assert_eq!(w.executor.orders().len(), 5);
    })
    .await;
}

#[tokio::test]
async fn a_delivery_that_github_does_not_show_is_asked_for_again() {
    world(async |w: &mut World| {
        let (main, head) = w.change(GREEN);
        let payload = payload(w, "opened", 7, &head, &main);
        let id = w.github.note_delivery("lost", "pull_request", &payload, 0);
        for delivery in &mut w.state().deliveries {
            delivery.readable = false;
        }
        catch_up(&w.app).await.unwrap();
        assert_eq!(w.state().asked_again, [id]);
        assert_eq!(w.deliver_as("lost", "pull_request", &payload).await, 202);
        w.drain().await;
        catch_up(&w.app).await.unwrap();
        assert_eq!(w.state().asked_again, [id]);
        assert_eq!(w.ended(&head, "herald").0, "success");
    })
    .await;
}

#[tokio::test]
async fn a_delivery_that_github_shows_torn_is_asked_for_again() {
    world(async |w: &mut World| {
        // Webhooks that send forms have their payload shown as text.
        let torn = json!("{\"action\": \"opened\", \"pull_req");
        let id = w.github.note_delivery("torn", "pull_request", &torn, 0);
        catch_up(&w.app).await.unwrap();
        assert_eq!(w.state().asked_again, [id]);
        assert_eq!(w.failed_deliveries().await, 0);
    })
    .await;
}

#[tokio::test]
async fn open_pull_requests_that_nobody_told_of_are_built() {
    world(async |w: &mut World| {
        let (main, first) = w.change(GREEN);
        w.push("main", &main, &main).await;
        w.drain().await;
        let second = w.commit("change");
        for (number, head) in [(1, &first), (2, &second)] {
            let pull = payload(w, "opened", number, head, &main)["pull_request"].clone();
            w.state().pulls.push(pull);
        }
        for _ in 0..2 {
            catch_up(&w.app).await.unwrap();
            w.drain().await;
            assert_eq!(w.executor.orders().len(), 3, "main and two heads");
        }
        assert_eq!(w.ended(&first, "herald").0, "success");
        assert_eq!(w.ended(&second, "herald").0, "success");
        // The delivery comes after all, and does nothing more.
        let late = payload(w, "opened", 1, &first, &main);
        w.deliver("pull_request", &late).await;
        w.drain().await;
        assert_eq!(w.executor.orders().len(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_list_that_is_older_than_the_closing_opens_nothing() {
    world(async |w: &mut World| {
        let (main, head) = w.change(GREEN);
        w.push("main", &main, &main).await;
        let open = payload(w, "opened", 1, &head, &main)["pull_request"].clone();
        w.pass(5);
        let closed = payload(w, "closed", 1, &head, &main);
        w.deliver("pull_request", &closed).await;
        w.drain().await;
        w.state().pulls.push(open);
        catch_up(&w.app).await.unwrap();
        w.drain().await;
        assert!(w.checks(&head, "herald").is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_repository_that_github_says_nothing_about_has_another_turn_soon() {
    world(async |w: &mut World| {
        let (main, head) = w.change(GREEN);
        w.push("main", &main, &main).await;
        w.drain().await;
        let pull = payload(w, "opened", 1, &head, &main)["pull_request"].clone();
        w.state().pulls.push(pull);
        w.fault("GET", "/pulls", 0, 1, What::Status(502));
        let error = w.app.compare_next().await.unwrap_err();
        assert_eq!(error.kind, Kind::Transient);
        let orders = async |w: &World| {
            w.app.compare_next().await.unwrap();
            w.drain().await;
            w.executor.orders().len()
        };
        assert_eq!(orders(w).await, 1, "others would have their turn");
        w.pass(5 * 60);
        assert_eq!(orders(w).await, 1);
        w.pass(1);
        assert_eq!(orders(w).await, 2);
        let asked = w.state().requests.len();
        w.pass(60 * 60);
        assert_eq!(orders(w).await, 2);
        assert_eq!(w.state().requests.len(), asked);
        w.pass(1);
        orders(w).await;
        assert!(w.state().requests.len() > asked, "each hour");
    })
    .await;
}

#[tokio::test]
async fn our_comment_is_found_on_the_third_page() {
    world(async |w: &mut World| {
        let (main, _) = w.change("execute: [exit 3]\n");
        for number in 0..240 {
            w.write(&format!("changed/{number}"), "x");
        }
        let head = w.commit("change");
        for _ in 0..299 {
            let comment = Posted {
                id: 1,
                repository: w.project.id,
                pull: 7,
                body: "Nice.".to_owned(),
                edits: 0,
            };
            w.state().comments.push(comment);
        }
        w.fault("POST", "/comments", 0, 1, What::LostAnswer);
        w.pull("opened", &head, &main).await;
        w.drain_patiently().await;
        assert_eq!(w.state().comments.len(), 300, "written once");
        let spared = |w: &World| {
            let state = w.state();
            let all = state.requests.iter();
            all.filter(|request| request.status == 304).count()
        };
        assert!(spared(w) >= 2, "whole pages that did not change");
        for _ in 0..300 {
            w.next_comment();
        }
    })
    .await;
}

#[tokio::test]
async fn a_head_that_nobody_wanted_ended_is_taken_up_and_one_that_was_cancelled_is_not() {
    world(async |w: &mut World| {
        let (main, head) = w.change(GREEN);
        w.pull("opened", &head, &main).await;
        w.until_queued(|_| {}).await;
        w.comment(500, "/herald cancel").await;
        w.drain().await;
        assert_eq!(w.ended(&head, "herald").0, "cancelled");
        catch_up(&w.app).await.unwrap();
        w.drain().await;
        assert!(w.executor.orders().is_empty(), "somebody wanted it so");

        // One push over another, and then the first one again, which is lost.
        let pushed = w.commit("change");
        w.pull("synchronize", &pushed, &main).await;
        w.until_queued(|_| {}).await;
        let over = w.commit("change");
        w.pull("synchronize", &over, &main).await;
        w.drain().await;
        assert_eq!(w.ended(&pushed, "herald").0, "cancelled");
        w.pass(2);
        let back = payload(w, "synchronize", 7, &pushed, &main);
        w.state().set_pull(&back["pull_request"]);
        catch_up(&w.app).await.unwrap();
        w.drain().await;
        let newest = w.checks(&pushed, "herald").pop().unwrap();
        assert_eq!(newest.conclusion.as_deref(), Some("success"));
    })
    .await;
}

#[tokio::test]
async fn a_new_base_that_nobody_told_of_is_found() {
    world(async |w: &mut World| {
        let (main, head) = w.change(GREEN);
        w.pull("opened", &head, &main).await;
        w.drain().await;
        w.checkout(&main);
        w.write("release", "1");
        let release = w.commit("release");
        w.pass(2);
        let to = ("release", release.as_str());
        let moved = w
            .github
            .pull_request(&w.project, "edited", 7, ("change", &head), to);
        w.state().set_pull(&moved["pull_request"]);
        for _ in 0..2 {
            catch_up(&w.app).await.unwrap();
            w.drain().await;
            assert_eq!(w.executor.orders().len(), 2, "once for each base");
        }
    })
    .await;
}

#[tokio::test]
async fn of_two_pushes_within_a_second_the_newer_one_counts_however_they_come() {
    world(async |w: &mut World| {
        let (main, _) = w.change(GREEN);
        let older = w.commit("change");
        let newer = w.commit("change");
        let first = payload(w, "synchronize", 7, &older, &main);
        let second = payload(w, "synchronize", 7, &newer, &main);
        let at = |payload: &Value| payload["pull_request"]["updated_at"].clone();
        assert_eq!(at(&first), at(&second));
        w.state().set_pull(&second["pull_request"]);
        for (guid, payload) in [("2", &second), ("1", &first)] {
            assert_eq!(w.deliver_as(guid, "pull_request", payload).await, 202);
            w.until_handled().await;
        }
        w.drain().await;
        assert_eq!(w.ended(&newer, "herald").0, "success");
        assert!(w.checks(&older, "herald").is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_github_says_about_waiting_outlives_a_death_whoever_it_was_said_to() {
    world(async |w: &mut World| {
        let (main, head) = w.change(GREEN);
        w.push("main", &main, &main).await;
        w.drain().await;
        let opened = payload(w, "opened", 7, &head, &main);
        let said = [
            ("GET", "/app/hook/deliveries"),
            ("POST", "/access_tokens"),
            ("GET", "/pulls?"),
        ];
        for (method, path) in said {
            // No token is left from before.
            w.pass(2 * 60 * 60);
            w.fault(method, path, 0, 1, What::Throttled(600));
            let error = catch_up(&w.app).await.unwrap_err();
            assert!(matches!(error.kind, Kind::Throttled { .. }), "{error}");
            w.restart().await;
            w.pass(300);
            // All that would speak to GitHub.
            w.deliver("pull_request", &opened).await;
            w.drain().await;
            let _ = catch_up(&w.app).await;
            w.drain().await;
            assert_eq!(w.state().too_early, [""; 0], "{path}");
            w.pass(301);
            w.drain_patiently().await;
            catch_up(&w.app).await.unwrap();
        }
        assert_eq!(w.ended(&head, "herald").0, "success");
    })
    .await;
}
