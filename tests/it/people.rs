//! What people ask for in comments and by buttons.

use herald::demo::State;
use serde_json::json;

use crate::world::{World, world};

const JOBS: &str = "
jobs:
  lint: {execute: [exit 0]}
  test: {execute: [exit 1]}
  deploy: {needs: [test], execute: [exit 0]}
";

fn conclusions(w: &World, head: &str, name: &str) -> Vec<String> {
    let checks = w.checks(head, name).into_iter();
    checks.filter_map(|check| check.conclusion).collect()
}

#[tokio::test]
async fn retry_runs_what_failed_or_one_job_and_is_answered_with_a_thumb() {
    world(async |w: &mut World| {
        let (main, head) = w.change(JOBS);
        w.pull("opened", &head, &main).await;
        w.drain().await;
        w.next_comment();
        let retry = w.comment(500, "/herald retry").await;
        w.drain().await;
        assert_eq!(w.reactions(retry), ["+1"]);
        assert_eq!(conclusions(w, &head, "herald / test"), ["failure"; 2]);
        assert_eq!(conclusions(w, &head, "herald / lint"), ["success"]);
        assert_eq!(conclusions(w, &head, "herald"), ["failure"; 2]);
        w.comment(500, "/herald retry lint").await;
        w.drain().await;
        assert_eq!(conclusions(w, &head, "herald / lint"), ["success"; 2]);
        assert_eq!(conclusions(w, &head, "herald / test"), ["failure"; 2]);
        w.comment(500, "/herald retry `rm -rf /` @everyone").await;
        w.drain().await;
        let (answer, _) = w.next_comment();
        assert!(answer.contains("no job"), "{answer}");
        assert!(answer.contains("`` `rm -rf /` @everyone ``"), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn the_button_runs_the_failed_jobs_of_what_it_stands_under() {
    world(async |w: &mut World| {
        let (main, head) = w.change(JOBS);
        w.pull("opened", &head, &main).await;
        w.drain().await;
        w.next_comment();
        let green = w.check(&head, "herald / lint");
        assert!(green.buttons.is_empty());
        for (name, person, times) in [("herald / test", 900, 1), ("herald", 500, 2)] {
            let check = w.checks(&head, name).pop().unwrap();
            assert_eq!(check.buttons, ["rerun_failed"], "{name}");
            let press = w.github.button(&w.project, &check, "rerun_failed", person);
            w.deliver("check_run", &press).await;
            w.drain().await;
            let of_test = conclusions(w, &head, "herald / test");
            assert_eq!(of_test.len(), times, "{name}");
        }
        assert_eq!(conclusions(w, &head, "herald / lint"), ["success"]);
        assert_eq!(conclusions(w, &head, "herald / deploy"), ["skipped"; 2]);
    })
    .await;
}

#[tokio::test]
async fn cancel_ends_what_waits_and_the_next_push_builds() {
    world(async |w: &mut World| {
        let (main, head) = w.change("execute: [exit 0]\n");
        w.pull("opened", &head, &main).await;
        let cancel = w.comment(500, "/herald cancel").await;
        w.drain().await;
        assert_eq!(w.ended(&head, "herald").1, "cancelled: by `/herald cancel`");
        assert_eq!(w.reactions(cancel), ["+1"]);
        w.comment(500, "/herald cancel").await;
        w.drain().await;
        let (answer, _) = w.next_comment();
        assert!(answer.contains("Nothing runs here"), "{answer}");
        w.write("more", "x");
        let pushed = w.commit("change");
        w.pull("synchronize", &pushed, &main).await;
        w.drain().await;
        assert_eq!(w.ended(&pushed, "herald").0, "success");
    })
    .await;
}

#[tokio::test]
async fn a_build_that_was_run_again_after_its_end_is_ended_by_the_next_push() {
    world(async |w: &mut World| {
        let (main, head) = w.change("execute: [exit 0]\n");
        w.pull("opened", &head, &main).await;
        w.drain().await;
        w.write("more", "x");
        let pushed = w.commit("change");
        w.pull("synchronize", &pushed, &main).await;
        w.drain().await;
        // Back, by force, and the former head is run again by its check run.
        w.pull("synchronize", &head, &main).await;
        w.drain().await;
        w.comment(500, "/herald retry").await;
        w.pull("synchronize", &pushed, &main).await;
        w.drain().await;
        let ended = conclusions(w, &head, "herald");
        assert!(
            ended == ["success", "cancelled"] || ended == ["success"],
            "{ended:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn who_may_not_gets_a_short_no_and_who_says_something_else_help() {
    world(async |w: &mut World| {
        let (main, head) = w.change("execute: [exit 1]\n");
        w.pull("opened", &head, &main).await;
        w.drain().await;
        w.next_comment();
        w.person(900, "eve", "read");
        for (person, body, words) in [
            (900, "/herald retry", "people with write permission"),
            (901, "/herald nonsense", "people with write permission"),
            (500, "/herald help me", "`/herald retry JOB`"),
            (500, "/herald approve", "Nothing in this pull request waits"),
        ] {
            w.comment(person, body).await;
            w.drain().await;
            let (answer, _) = w.next_comment();
            assert!(answer.contains(words), "{body}: {answer}");
        }
        assert_eq!(conclusions(w, &head, "herald").len(), 1);
        // Not on a pull request, not a command, not new.
        let mut on_issue = w.github.comment(&w.project, 7, 500, "/herald retry");
        on_issue["issue"] = json!({"number": 7});
        w.deliver("issue_comment", &on_issue).await;
        w.comment(500, "Thanks! I ran /herald retry").await;
        w.drain().await;
        assert_eq!(conclusions(w, &head, "herald").len(), 1);
    })
    .await;
}

#[tokio::test]
async fn somebody_who_may_not_is_told_so_once_an_hour() {
    world(async |w: &mut World| {
        let (main, head) = w.change("execute: [exit 0]\n");
        w.pull("opened", &head, &main).await;
        w.drain().await;
        w.person(900, "eve", "read");
        let lists = |state: &State| {
            let requests = state.requests.iter();
            let of_comments = |path: &str| path.contains("/issues/7/comments");
            requests.filter(|one| of_comments(&one.path)).count()
        };
        let before = lists(&w.state());
        for _ in 0..30 {
            w.comment(900, "/herald x").await;
            w.drain().await;
        }
        let (_, edits) = w.next_comment();
        assert_eq!(edits, 0, "written, and left alone");
        assert_eq!(lists(&w.state()) - before, 2, "looked for, and made");
        // Another person, and another hour.
        w.comment(901, "/herald x").await;
        w.pass(3_600);
        w.comment(900, "/herald x").await;
        w.drain().await;
        w.next_comment();
        w.next_comment();
    })
    .await;
}

#[tokio::test]
async fn a_crowd_that_may_not_holds_up_no_build() {
    world(async |w: &mut World| {
        let (main, head) = w.change("execute: [exit 0]\n");
        for person in 1_000..1_080 {
            let payload = w.github.comment(&w.project, 7, person, "/herald x");
            let guid = format!("crowd-{person}");
            assert_eq!(w.deliver_as(&guid, "issue_comment", &payload).await, 202);
        }
        w.drain().await;
        let answers = w.state().comments.len();
        assert!((40..60).contains(&answers), "{answers}");
        // Nothing has to wait for the next minute.
        w.pull("opened", &head, &main).await;
        w.drain().await;
        assert_eq!(w.ended(&head, "herald").0, "success");
        w.drain_patiently().await;
        for _ in 0..80 {
            w.next_comment();
        }
    })
    .await;
}

#[tokio::test]
async fn a_command_waits_for_github_and_is_carried_out_once() {
    world(async |w: &mut World| {
        let (main, head) = w.change("execute: [exit 1]\n");
        w.pull("opened", &head, &main).await;
        w.drain().await;
        w.next_comment();
        for what in [
            herald::demo::What::Status(502),
            herald::demo::What::LostAnswer,
            herald::demo::What::Throttled(30),
        ] {
            w.fault("GET", "/permission", 0, 1, what);
        }
        w.fault("POST", "/reactions", 0, 1, herald::demo::What::LostAnswer);
        let comment = w.comment(500, "/herald retry").await;
        w.drain_patiently().await;
        assert_eq!(conclusions(w, &head, "herald").len(), 2);
        assert_eq!(w.reactions(comment), ["+1"]);
    })
    .await;
}

#[tokio::test]
async fn a_comment_that_was_deleted_is_written_again_and_edited_after() {
    world(async |w: &mut World| {
        let (main, head) = w.change("execute: [exit 1]\n");
        w.pull("opened", &head, &main).await;
        w.drain().await;
        w.state().comments.clear();
        w.write("more", "x");
        let pushed = w.commit("change");
        w.pull("synchronize", &pushed, &main).await;
        w.drain_patiently().await;
        let (comment, edits) = w.next_comment();
        assert!(comment.contains(&pushed[..7]), "{comment}");
        assert_eq!(edits, 0);
        w.write(".herald.yml", "execute: [exit 0]\n");
        let green = w.commit("change");
        w.pull("synchronize", &green, &main).await;
        w.drain_patiently().await;
        assert_eq!(w.state().comments[0].edits, 1);
    })
    .await;
}

#[tokio::test]
async fn the_comment_has_four_modes() {
    for (mode, on_green, on_red) in [
        ("always", true, true),
        ("changes", false, true),
        ("failures", false, true),
        ("off", false, false),
    ] {
        world(async |w: &mut World| {
            let of = |code: u8| format!("publish: {{comment: {mode}}}\nexecute: [exit {code}]\n");
            let (main, green) = w.change(&of(0));
            w.pull("opened", &green, &main).await;
            w.drain().await;
            assert_eq!(w.state().comments.len(), usize::from(on_green), "{mode}");
            w.write(".herald.yml", &of(1));
            let red = w.commit("change");
            w.pull("synchronize", &red, &main).await;
            w.drain().await;
            assert_eq!(w.state().comments.len(), usize::from(on_red), "{mode}");
            if on_red {
                w.next_comment();
            }
        })
        .await;
    }
}
