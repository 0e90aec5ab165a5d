//! Code of strangers: who lets it run, for how long, and what it never gets.

use std::sync::atomic::Ordering;

use herald::admin;
use herald::app::catch_up;
use herald::demo::What;
use herald::domain::Secret;
use serde_json::{Value, json};

use crate::world::{World, world};

const GREEN: &str = "execute:\n  - name: work\n    run: exit 0\n";
const WAITS: &str = "someone with write permission must approve this commit";
/// A person who may only read.
const STRANGER: i64 = 900;

/// The payload for a pull request from a fork, by a stranger.
fn from_fork(w: &World, action: &str, head: &str, base: &str) -> Value {
    let mut payload = w.pull_request(action, head, base);
    payload["pull_request"]["head"]["repo"] = json!({"id": 999});
    payload["pull_request"]["user"] = json!({"id": STRANGER, "login": "eve", "type": "User"});
    payload["sender"] = payload["pull_request"]["user"].clone();
    // What a payload says of somebody's standing is not believed.
    payload["pull_request"]["author_association"] = json!("OWNER");
    payload
}

async fn deliver(w: &World, action: &str, head: &str, base: &str) {
    let payload = from_fork(w, action, head, base);
    w.deliver("pull_request", &payload).await;
    w.drain().await;
}

/// A world with an executor that isolates, and a stranger.
fn open_to_strangers(w: &World) {
    w.isolates.store(true, Ordering::SeqCst);
    w.person(STRANGER, "eve", "read");
}

fn newest(w: &World, head: &str) -> (String, String) {
    let check = w.checks(head, "herald").pop().unwrap();
    (check.conclusion.unwrap_or(check.status), check.title)
}

fn waits() -> (String, String) {
    ("action_required".to_owned(), WAITS.to_owned())
}

/// What still waits for a person at the end of a story is no loose end.
fn forget_pending(w: &World) {
    w.state()
        .statuses
        .retain(|status| status.state != "pending");
}

#[tokio::test]
async fn a_strangers_code_runs_when_a_member_has_approved_it_and_waits_again_after_a_push() {
    world(async |w: &mut World| {
        open_to_strangers(w);
        let (main, head) = w.change(GREEN);
        deliver(w, "opened", &head, &main).await;
        assert_eq!(w.ended(&head, "herald"), waits());
        assert_eq!(w.check(&head, "herald").buttons, ["approve"]);
        assert_eq!(w.status(&head, "herald/build").0, "pending");
        assert!(w.executor.orders().is_empty());

        let comment = w
            .comment(500, &format!("Fine.\n/herald approve {}", &head[..16]))
            .await;
        w.drain().await;
        assert_eq!(newest(w, &head).0, "success");
        assert_eq!(w.status(&head, "herald/build").0, "success");
        let checks = w.checks(&head, "herald");
        assert_eq!(checks.len(), 2);
        assert_eq!(checks[0].details_url, checks[1].details_url, "one build");
        let (answer, _) = w.next_comment();
        assert!(answer.contains(&format!("Approved {head}")), "{answer}");
        assert!(w.reactions(comment).is_empty());
        assert_eq!(w.executor.orders().len(), 1);

        // A person may run it again; it was approved.
        let again = w.github.rerequested(&w.project, &head, None);
        w.deliver("check_suite", &again).await;
        w.drain().await;
        assert_eq!(w.executor.orders().len(), 2);

        w.write("new", "evil");
        let pushed = w.commit("change");
        deliver(w, "synchronize", &pushed, &main).await;
        assert_eq!(w.ended(&pushed, "herald"), waits());
        assert_eq!(w.executor.orders().len(), 2);
        // Back to what was approved once: that approval is gone, and nothing runs.
        deliver(w, "synchronize", &head, &main).await;
        assert_eq!(w.executor.orders().len(), 2);
        let again = w.github.rerequested(&w.project, &head, None);
        w.deliver("check_suite", &again).await;
        w.drain().await;
        assert_eq!(w.executor.orders().len(), 2);
        forget_pending(w);
    })
    .await;
}

#[tokio::test]
async fn approval_by_the_button_and_only_by_who_may_write() {
    world(async |w: &mut World| {
        open_to_strangers(w);
        let (main, head) = w.change(GREEN);
        deliver(w, "opened", &head, &main).await;
        let check = w.check(&head, "herald");
        let by = |person| w.github.button(&w.project, &check, "approve", person);
        w.deliver("check_run", &by(STRANGER)).await;
        // Nobody GitHub knows, and nobody at all.
        w.deliver("check_run", &by(77_777)).await;
        w.deliver("check_run", &by(0)).await;
        w.drain().await;
        assert_eq!(w.ended(&head, "herald"), waits());
        w.deliver("check_run", &by(500)).await;
        w.drain().await;
        assert_eq!(newest(w, &head).0, "success");
        // Twice is once.
        w.deliver("check_run", &by(500)).await;
        w.drain().await;
        assert_eq!(w.executor.orders().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_reader_is_refused_and_a_name_that_changed_hands_helps_nobody() {
    world(async |w: &mut World| {
        open_to_strangers(w);
        let (main, head) = w.change(GREEN);
        deliver(w, "opened", &head, &main).await;
        w.comment(STRANGER, "/herald approve").await;
        w.drain().await;
        let (answer, _) = w.next_comment();
        assert!(answer.contains("people with write permission"), "{answer}");
        // The stranger takes the name that a member had before.
        w.person(500, "mona-lisa", "write");
        w.person(STRANGER, "mona", "read");
        w.pass(3_600);
        w.comment(STRANGER, "/herald approve").await;
        // A member whose permission was taken away since.
        w.person(501, "hubot", "admin");
        w.person(501, "hubot", "read");
        w.comment(501, "/herald approve").await;
        w.drain().await;
        w.next_comment();
        w.next_comment();
        assert_eq!(w.ended(&head, "herald"), waits());
        // A comment of a bot, and one that was edited into a command by somebody.
        for (key, value) in [("type", json!("Bot")), ("id", json!(STRANGER))] {
            let mut payload = w.github.comment(&w.project, 7, 500, "/herald approve");
            payload["comment"]["user"][key] = value;
            w.deliver("issue_comment", &payload).await;
        }
        let mut edited = w.github.comment(&w.project, 7, 500, "/herald approve");
        edited["action"] = json!("edited");
        w.deliver("issue_comment", &edited).await;
        w.drain().await;
        assert_eq!(w.ended(&head, "herald"), waits());
        assert!(w.executor.orders().is_empty());
        forget_pending(w);
    })
    .await;
}

#[tokio::test]
async fn approval_is_for_the_head_that_was_seen() {
    world(async |w: &mut World| {
        open_to_strangers(w);
        let (main, first) = w.change(GREEN);
        deliver(w, "opened", &first, &main).await;
        // The comment is written; before Herald hears of it the stranger pushes.
        w.pass(5);
        let late = w.github.comment(&w.project, 7, 500, "/herald approve");
        let naming = |commit: &str, digits: usize| {
            let named = format!("/herald approve {}", &commit[..digits]);
            w.github.comment(&w.project, 7, 500, &named)
        };
        let late_named = [naming(&first, 20), naming(&first, 40)];
        // Whoever makes commits can make two that begin alike; here it is the second one's own
        // beginning that was written before it was there.
        w.write("new", "evil");
        let second = w.commit("change");
        let alike = [naming(&second, 7), naming(&second, 20)];
        w.pass(5);
        deliver(w, "synchronize", &second, &main).await;
        for comment in [&late].into_iter().chain(&late_named).chain(&alike) {
            w.deliver("issue_comment", comment).await;
            w.drain().await;
            let (answer, _) = w.next_comment();
            assert!(answer.contains("Not approved"), "{answer}");
            let whole = format!("head is {second}");
            assert!(answer.contains(&whole), "{answer}");
            let whole = format!("`/herald approve {second}`");
            assert!(answer.contains(&whole), "{answer}");
        }
        // GitHub has a newer head than the one that Herald has heard of.
        w.write("newer", "more evil");
        let third = w.commit("change");
        let payload = from_fork(w, "synchronize", &third, &main);
        w.state().set_pull(&payload["pull_request"]);
        w.comment(500, "/herald approve").await;
        w.drain().await;
        let (answer, _) = w.next_comment();
        assert!(answer.contains(&format!("the head is {third}")), "{answer}");
        assert!(w.executor.orders().is_empty());
        forget_pending(w);
    })
    .await;
}

#[tokio::test]
async fn what_herald_says_to_copy_is_the_whole_commit_and_a_short_beginning_is_nothing() {
    world(async |w: &mut World| {
        open_to_strangers(w);
        let (main, head) = w.change(GREEN);
        deliver(w, "opened", &head, &main).await;
        let whole = format!("/herald approve {head}");
        let summary = w.check(&head, "herald").summary;
        assert!(summary.contains(&whole), "{summary}");
        for digits in [7, 15] {
            let short = format!("/herald approve {}", &head[..digits]);
            w.comment(500, &short).await;
            w.drain().await;
            let (answer, _) = w.next_comment();
            assert!(answer.contains("Not approved"), "{answer}");
            assert!(answer.contains(&whole), "{answer}");
        }
        assert_eq!(w.ended(&head, "herald"), waits());
        // The operator, who is asked at no certain time, has to name it whole.
        let approve = async |commit: &str| {
            let request = admin::Request::Approve {
                repository: "octo/project".to_owned(),
                pull: 7,
                commit: commit.to_owned(),
            };
            admin::carry_out(&w.app, request).await
        };
        for commit in [&head[..7], &head[..39], &main, "main", ""] {
            let admin::Answer::Wrong { text } = approve(commit).await else {
                panic!("{commit} is approved");
            };
            let whole = format!("`herald admin approve octo/project 7 {head}`");
            assert!(text.contains(&whole), "{text}");
        }
        assert_eq!(w.ended(&head, "herald"), waits());
        let shouted = head.to_uppercase();
        assert!(matches!(approve(&shouted).await, admin::Answer::Done));
        w.drain().await;
        assert_eq!(newest(w, &head).0, "success");
    })
    .await;
}

#[tokio::test]
async fn a_pull_request_that_github_does_not_find_is_not_taken_for_unchanged() {
    world(async |w: &mut World| {
        open_to_strangers(w);
        let (main, head) = w.change(GREEN);
        deliver(w, "opened", &head, &main).await;
        w.fault("GET", "/pulls/7", 0, 2, What::Status(404));
        w.comment(500, "/herald approve").await;
        w.drain().await;
        assert_eq!(w.ended(&head, "herald"), waits());
        // It was too early to ask.
        w.drain_patiently().await;
        assert_eq!(newest(w, &head).0, "success");
        w.next_comment();

        w.write("new", "evil");
        let pushed = w.commit("change");
        deliver(w, "synchronize", &pushed, &main).await;
        w.state().pulls.clear();
        w.comment(500, "/herald approve").await;
        w.drain_patiently().await;
        assert_eq!(w.ended(&pushed, "herald"), waits());
        assert_eq!(w.executor.orders().len(), 1);
        forget_pending(w);
    })
    .await;
}

/// What a delivery says when the base was `main` and is `release` now.
fn to_another_base(w: &World, head: &str, main: &str) -> Value {
    let mut payload = from_fork(w, "edited", head, main);
    payload["changes"] = json!({"base": {"ref": {"from": "main"}}});
    payload["pull_request"]["base"]["ref"] = json!("release");
    payload
}

#[tokio::test]
async fn the_button_approves_what_stood_above_it() {
    world(async |w: &mut World| {
        open_to_strangers(w);
        let (main, head) = w.change(GREEN);
        deliver(w, "opened", &head, &main).await;
        let for_main = w.check(&head, "herald");
        // It is pressed for `main`; what comes of that is handled after the base was changed.
        let press = |check| w.github.button(&w.project, check, "approve", 500);
        w.deliver("pull_request", &to_another_base(w, &head, &main))
            .await;
        w.drain_patiently().await;
        w.deliver("check_run", &press(&for_main)).await;
        w.drain().await;
        assert_eq!(newest(w, &head), waits());
        assert!(w.executor.orders().is_empty());
        let for_release = w.checks(&head, "herald").pop().unwrap();
        assert_ne!(for_release.external_id, for_main.external_id);
        w.deliver("check_run", &press(&for_release)).await;
        w.drain().await;
        assert_eq!(newest(w, &head).0, "success");
        assert_eq!(w.executor.orders().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn another_base_voids_the_approval() {
    world(async |w: &mut World| {
        open_to_strangers(w);
        let (main, head) = w.change(GREEN);
        deliver(w, "opened", &head, &main).await;
        w.comment(500, "/herald approve").await;
        w.drain().await;
        assert_eq!(newest(w, &head).0, "success");
        w.next_comment();
        w.deliver("pull_request", &to_another_base(w, &head, &main))
            .await;
        w.drain_patiently().await;
        assert_eq!(newest(w, &head), waits());
        assert_eq!(w.executor.orders().len(), 1);
        w.comment(500, "/herald approve").await;
        w.drain().await;
        w.next_comment();
        assert_eq!(newest(w, &head).0, "success");
        assert_eq!(w.executor.orders().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_members_own_fork_needs_nobody_else() {
    world(async |w: &mut World| {
        open_to_strangers(w);
        let (main, head) = w.change(GREEN);
        let mut payload = w.pull_request("opened", &head, &main);
        payload["pull_request"]["head"]["repo"] = json!({"id": 999});
        w.deliver("pull_request", &payload).await;
        w.drain().await;
        assert_eq!(w.ended(&head, "herald").0, "success");

        // Somebody else pushes to the member's fork.
        w.write("new", "x");
        let pushed = w.commit("change");
        let mut payload = w.pull_request("synchronize", &pushed, &main);
        payload["pull_request"]["head"]["repo"] = json!({"id": 999});
        payload["sender"] = json!({"id": STRANGER, "type": "User"});
        w.deliver("pull_request", &payload).await;
        w.drain().await;
        assert_eq!(w.ended(&pushed, "herald"), waits());
        assert_eq!(w.executor.orders().len(), 1);
        forget_pending(w);
    })
    .await;
}

#[tokio::test]
async fn what_runs_nothing_needs_no_approval() {
    world(async |w: &mut World| {
        open_to_strangers(w);
        let (main, _) = w.change(GREEN);
        w.remove(".herald.yml");
        let removed = w.commit("change");
        deliver(w, "opened", &removed, &main).await;
        let title = "this change removes .herald.yml".to_owned();
        assert_eq!(w.ended(&removed, "herald"), ("failure".to_owned(), title));
        // A `when` that would skip its own gate: what the base says is to be run.
        w.write(
            ".herald.yml",
            &format!("when: {{branches: [none]}}\n{GREEN}"),
        );
        let ungated = w.commit("change");
        deliver(w, "synchronize", &ungated, &main).await;
        assert_eq!(w.ended(&ungated, "herald"), waits());
        let summary = w.check(&ungated, "herald").summary;
        assert!(summary.contains("It changes `.herald.yml`"), "{summary}");
        w.write(".herald.yml", "execute: 1\n");
        let broken = w.commit("change");
        deliver(w, "synchronize", &broken, &main).await;
        assert_eq!(w.ended(&broken, "herald").0, "failure");
        assert!(w.executor.orders().is_empty());
        w.next_comment();
        forget_pending(w);
    })
    .await;
}

/// The repository has the secret `TOKEN`.
async fn keep_secret(w: &World) {
    let value = Secret::new("correct-horse-battery");
    let store = &w.app.parts.store;
    let project = store.repository("octo", "project").await.unwrap().unwrap();
    store
        .keep_secret(&project.id, "TOKEN", &value, 0)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_push_by_a_bot_gets_secrets_on_the_default_branch_only() {
    world(async |w: &mut World| {
        let (main, _) = w.change(
            "when: {events: [push, pull_request]}\njobs:\n  build:\n    secrets: [TOKEN]\n    \
             execute: ['true']\n",
        );
        w.push("main", &main, &main).await;
        w.drain().await;
        keep_secret(w).await;
        for (branch, kind, secrets) in [
            ("dependabot/npm/left-pad", "Bot", 0),
            ("feature", "User", 1),
            ("main", "Bot", 1),
        ] {
            w.write("next", branch);
            let head = w.commit("next");
            let mut payload = w.github.push(&w.project, branch, &main, &head);
            payload["sender"] = json!({"id": 300, "login": "somebody", "type": kind});
            w.deliver("push", &payload).await;
            w.drain().await;
            assert_eq!(w.ended(&head, "herald").0, "success", "{branch}");
            let orders = w.executor.orders();
            let order = orders.last().unwrap();
            assert_eq!(order.job.secrets.len(), secrets, "{branch}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_strangers_build_gets_no_secret() {
    world(async |w: &mut World| {
        open_to_strangers(w);
        let (main, _) = w.change("jobs:\n  build:\n    secrets: [TOKEN]\n    execute: ['true']\n");
        w.push("main", &main, &main).await;
        w.drain().await;
        keep_secret(w).await;
        w.write("stranger", "");
        let head = w.commit("change");
        deliver(w, "opened", &head, &main).await;
        w.comment(500, "/herald approve").await;
        w.drain().await;
        w.next_comment();
        let orders = w.executor.orders();
        let order = orders.last().unwrap();
        assert!(order.job.secrets.is_empty());
        assert!(!format!("{order:?}").contains("horse"));
        assert_eq!(order.login_images.as_deref(), Some(&[][..]));
    })
    .await;
}

#[tokio::test]
async fn a_stranger_with_a_members_head_changes_nothing_about_its_checks() {
    world(async |w: &mut World| {
        open_to_strangers(w);
        let (main, head) = w.change(GREEN);
        w.pull("opened", &head, &main).await;
        w.drain().await;
        assert_eq!(w.ended(&head, "herald").0, "success");
        let mut payload = from_fork(w, "opened", &head, &main);
        payload["pull_request"]["number"] = json!(8);
        w.deliver("pull_request", &payload).await;
        w.drain().await;
        assert_eq!(newest(w, &head).0, "success");
        assert_eq!(w.status(&head, "herald/build").0, "success");
        assert_eq!(w.executor.orders().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_was_approved_for_a_container_runs_nowhere_else() {
    world(async |w: &mut World| {
        open_to_strangers(w);
        let (main, head) = w.change(GREEN);
        deliver(w, "opened", &head, &main).await;
        w.comment(500, &format!("/herald approve {head}")).await;
        w.drain().await;
        assert_eq!(newest(w, &head).0, "success");
        // The operator turns to processes.
        w.isolates.store(false, Ordering::SeqCst);
        let again = w.github.rerequested(&w.project, &head, None);
        w.deliver("check_suite", &again).await;
        w.drain().await;
        let why = "this server has no isolating executor".to_owned();
        assert_eq!(newest(w, &head), ("action_required".to_owned(), why));
        assert_eq!(w.executor.orders().len(), 1);
        forget_pending(w);
        w.next_comment();
    })
    .await;
}

#[tokio::test]
async fn a_push_that_only_the_list_tells_of_is_nobodys_own() {
    world(async |w: &mut World| {
        open_to_strangers(w);
        let (main, head) = w.change(GREEN);
        w.push("main", &main, &main).await;
        w.drain().await;
        let mut payload = w.pull_request("opened", &head, &main);
        payload["pull_request"]["head"]["repo"] = json!({"id": 999});
        w.state().set_pull(&payload["pull_request"]);
        catch_up(&w.app).await.unwrap();
        w.drain().await;
        assert_eq!(w.ended(&head, "herald"), waits());
        // The delivery says who it was: the author, who may write.
        w.deliver("pull_request", &payload).await;
        w.drain().await;
        assert_eq!(newest(w, &head).0, "success");
        assert_eq!(w.executor.orders().len(), 2, "main and the head");
    })
    .await;
}
