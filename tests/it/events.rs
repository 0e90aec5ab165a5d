//! The events of GitHub and what follows from them.

use herald::app::catch_up;
use herald::demo::{GitHub, What};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::world::{World, world};

const GREEN: &str = "execute:\n  - name: work\n    run: exit 0\n";

fn conclusions(w: &World, head: &str) -> Vec<String> {
    let checks = w.checks(head, "herald").into_iter();
    checks.filter_map(|check| check.conclusion).collect()
}

#[tokio::test]
async fn another_base_builds_again_and_another_title_does_not() {
    world(async |w: &mut World| {
        let (main, head) = w.change(GREEN);
        w.pull("opened", &head, &main).await;
        w.drain().await;
        let mut edited = w.pull_request("edited", &head, &main);
        edited["changes"] = json!({"title": {"from": "old"}});
        w.deliver("pull_request", &edited).await;
        w.drain().await;
        assert_eq!(conclusions(w, &head), ["success"]);
        let mut moved = w.pull_request("edited", &head, &main);
        moved["changes"] = json!({"base": {"ref": {"from": "main"}, "sha": {"from": main}}});
        moved["pull_request"]["base"]["ref"] = json!("release");
        w.deliver("pull_request", &moved).await;
        w.drain_patiently().await;
        assert_eq!(conclusions(w, &head), ["success", "success"]);
        let orders = w.executor.orders();
        let base = |order: &herald::ports::JobOrder| {
            let mut set = order.job.environment.iter();
            set.find(|(name, _)| name == "HERALD_BASE_REF")
                .map(|(_, value)| value.clone())
        };
        assert_eq!(base(&orders[0]).as_deref(), Some("main"));
        assert_eq!(base(&orders[1]).as_deref(), Some("release"));
    })
    .await;
}

#[tokio::test]
async fn another_base_ends_what_runs_for_the_old_one() {
    world(async |w: &mut World| {
        let (main, head) = w.change(GREEN);
        w.pull("opened", &head, &main).await;
        w.until_queued(|_| {}).await;
        let mut moved = w.pull_request("edited", &head, &main);
        moved["changes"] = json!({"base": {"ref": {"from": "main"}}});
        moved["pull_request"]["base"]["ref"] = json!("release");
        w.deliver("pull_request", &moved).await;
        w.drain_patiently().await;
        // The attempt for the old base was never shown, and is not any more.
        assert_eq!(conclusions(w, &head), ["success"]);
        assert_eq!(w.executor.orders().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_merge_queue_gets_its_word_under_the_same_name_and_may_drop_it() {
    world(async |w: &mut World| {
        let (main, _) = w.change(GREEN);
        let branch = "gh-readonly-queue/main/pr-7-abc";
        let group = w.commit(branch);
        let payload = |action: &str, group: &str| {
            w.github
                .merge_group(&w.project, action, (branch, group), ("main", &main))
        };
        // The push of the queue's branch is no build of its own.
        w.push(branch, &main, &group).await;
        w.deliver("merge_group", &payload("checks_requested", &group))
            .await;
        w.drain().await;
        assert_eq!(w.ended(&group, "herald").0, "success");
        let order = w.executor.orders().remove(0);
        let event = ("HERALD_EVENT".to_owned(), "merge_group".to_owned());
        assert!(order.job.environment.contains(&event));
        assert_eq!(w.executor.orders().len(), 1);

        w.write("second", "x");
        let second = w.commit(branch);
        w.deliver("merge_group", &payload("checks_requested", &second))
            .await;
        w.deliver("merge_group", &payload("destroyed", &second))
            .await;
        w.drain().await;
        let title = "cancelled: the merge queue dropped it".to_owned();
        assert_eq!(w.ended(&second, "herald"), ("cancelled".to_owned(), title));
    })
    .await;
}

#[tokio::test]
async fn the_tree_that_merging_would_give_is_tested_and_reported_on_the_head() {
    world(async |w: &mut World| {
        let (main, _) = w.change("build: merge\nexecute: [has base, has change]\n");
        w.write("change", "x");
        let head = w.commit("change");
        // The base goes on without the change.
        w.checkout(&main);
        w.write("base", "newer");
        let newer = w.commit("main");
        w.pull("opened", &head, &main).await;
        w.drain().await;
        let check = w.check(&head, "herald");
        assert_eq!(check.conclusion.as_deref(), Some("success"), "{check:#?}");
        // A base that went on gives another tree: a new build, of the same commit.
        w.checkout(&newer);
        w.write(".herald.yml", "execute: [exit 1]\n");
        w.commit("main");
        w.checkout(&head);
        w.write(".herald.yml", "build: merge\nexecute: [exit 2]\n");
        let conflicting = w.commit("change");
        w.pull("synchronize", &conflicting, &main).await;
        w.drain().await;
        let check = w.check(&conflicting, "herald");
        assert_eq!(check.title, "conflicts with main");
        assert_eq!(check.conclusion.as_deref(), Some("failure"));
        assert!(
            check.summary.contains("- `.herald.yml`"),
            "{}",
            check.summary
        );
        w.next_comment();
    })
    .await;
}

/// Of the App on the account that the project is of.
pub(crate) fn installation(action: &str) -> Value {
    json!({"action": action, "installation": {
        "id": GitHub::INSTALLATION,
        "repository_selection": "selected",
        "account": {"id": 77, "login": "octo"},
    }})
}

#[tokio::test]
async fn a_suspended_installation_stops_everything_and_goes_on_when_it_is_back() {
    world(async |w: &mut World| {
        let (main, head) = w.change(GREEN);
        w.pull("opened", &head, &main).await;
        w.until_queued(|_| {}).await;
        w.deliver("installation", &installation("suspend")).await;
        w.drain_patiently().await;
        assert!(w.executor.orders().is_empty());
        let writes = w.writes();
        w.drain_patiently().await;
        assert_eq!(
            w.writes(),
            writes,
            "nothing is sent to where Herald is shut out"
        );
        w.deliver("installation", &installation("unsuspend")).await;
        w.drain_patiently().await;
        let title = "cancelled: the installation was suspended".to_owned();
        assert_eq!(w.ended(&head, "herald"), ("cancelled".to_owned(), title));
        // Nobody wanted that: the next comparison of open pull requests builds it.
        catch_up(&w.app).await.unwrap();
        w.drain_patiently().await;
        assert_eq!(conclusions(w, &head), ["cancelled", "success"]);
    })
    .await;
}

#[tokio::test]
async fn what_herald_may_not_yet_is_done_when_the_permission_is_accepted() {
    world(async |w: &mut World| {
        let (main, _) = w.change(GREEN);
        // Long after it was given up, and while the token from before would still be good.
        for times in [40, 1] {
            w.pass(2 * 60 * 60);
            w.state().accepted = Some(json!({
                "checks": "write", "contents": "read", "metadata": "read",
                "pull_requests": "write",
            }));
            let head = w.commit("change");
            w.pull("synchronize", &head, &main).await;
            for _ in 0..times {
                w.drain_patiently().await;
            }
            assert!(w.state().status_of(&head, "herald/build").is_none());
            w.state().accepted = None;
            w.deliver("installation", &installation("new_permissions_accepted"))
                .await;
            w.drain().await;
            assert_eq!(w.status(&head, "herald/build").0, "success");
        }
    })
    .await;
}

#[tokio::test]
async fn a_token_is_good_for_one_repository_only() {
    world(async |w: &mut World| {
        w.github
            .add_project("octo", "other", true, &w.project.git_dir);
        let (main, head) = w.change(GREEN);
        w.pull("opened", &head, &main).await;
        w.drain().await;
        w.comment(500, "/herald retry").await;
        w.drain().await;
        catch_up(&w.app).await.unwrap();
        let tokens = w.state().tokens.clone();
        assert!(tokens.len() > 1);
        for (token, access) in tokens {
            assert_eq!(access.repositories, Some(vec![w.project.id]));
            let request = http::Request::get("/api/v3/repos/octo/other/pulls")
                .header("authorization", format!("Bearer {token}"))
                .body(axum::body::Body::empty())
                .unwrap();
            let answer = w.github.router().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), 404);
        }
    })
    .await;
}

#[tokio::test]
async fn a_repository_that_github_does_not_give_a_token_for_yet_is_waited_for() {
    world(async |w: &mut World| {
        let (main, head) = w.change(GREEN);
        w.fault("POST", "/access_tokens", 0, 3, What::Status(422));
        w.pull("opened", &head, &main).await;
        w.drain_patiently().await;
        assert_eq!(w.ended(&head, "herald").0, "success");
    })
    .await;
}

/// As an installation's events name a repository.
fn short(w: &World) -> Value {
    json!([{
        "id": w.project.id, "node_id": "R_1", "name": "project", "full_name": "octo/project",
        "private": false,
    }])
}

#[tokio::test]
async fn installing_builds_open_pull_requests_without_any_other_event() {
    for (event, action, key) in [
        ("installation", "created", "repositories"),
        ("installation_repositories", "added", "repositories_added"),
    ] {
        world(async |w: &mut World| {
            let (main, head) = w.change(GREEN);
            let pull = w.pull_request("opened", &head, &main)["pull_request"].clone();
            w.state().set_pull(&pull);
            let mut installed = installation(action);
            installed[key] = short(w);
            w.deliver(event, &installed).await;
            w.drain().await;
            catch_up(&w.app).await.unwrap();
            w.drain().await;
            assert_eq!(w.ended(&head, "herald").0, "success");
            let store = &w.app.parts.store;
            let known = store.repository("octo", "project").await.unwrap().unwrap();
            assert_eq!(known.default_branch, "main");
            // Being named once more makes nobody forget what else is known.
            w.deliver(event, &installed).await;
            w.drain().await;
            let again = store.repository("octo", "project").await.unwrap().unwrap();
            assert_eq!(again, known);
        })
        .await;
    }
}

#[tokio::test]
async fn whether_repositories_are_selected_by_hand_may_change() {
    world(async |w: &mut World| {
        w.write("README.md", "no specification");
        let main = w.commit("main");
        let mut selected = installation("added");
        selected["repositories_added"] = short(w);
        for (selection, shown) in [("all", 0), ("selected", 1)] {
            selected["installation"]["repository_selection"] = json!(selection);
            w.deliver("installation_repositories", &selected).await;
            w.push("main", &main, &main).await;
            w.drain().await;
            assert_eq!(w.checks(&main, "herald").len(), shown, "{selection}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_repository_that_is_taken_out_is_left_alone_until_it_is_given_again() {
    world(async |w: &mut World| {
        let (main, head) = w.change(GREEN);
        w.pull("opened", &head, &main).await;
        let mut removed = installation("removed");
        removed["repositories_removed"] = json!([{"id": w.project.id}]);
        w.deliver("installation_repositories", &removed).await;
        w.deliver("installation", &installation("unsuspend")).await;
        w.drain_patiently().await;
        assert!(w.executor.orders().is_empty());
        assert!(w.state().checks.is_empty());
        w.pull("reopened", &head, &main).await;
        w.drain_patiently().await;
        assert_eq!(conclusions(w, &head).last().unwrap(), "success");
    })
    .await;
}

#[tokio::test]
async fn a_late_delivery_does_not_bring_back_what_was_taken_away_since() {
    for suspended in [false, true] {
        let w = World::new().await;
        let (main, head) = w.change(GREEN);
        w.push("main", &main, &main).await;
        w.drain().await;
        let late = w.pull_request("opened", &head, &main);
        w.github.note_delivery("late", "pull_request", &late, 0);
        w.pass(5);
        if suspended {
            w.deliver("installation", &installation("suspend")).await;
        } else {
            let mut removed = installation("removed");
            removed["repositories_removed"] = json!([{"id": w.project.id}]);
            w.deliver("installation_repositories", &removed).await;
        }
        w.drain().await;
        catch_up(&w.app).await.unwrap();
        w.drain().await;
        let store = &w.app.parts.store;
        let active = store.active_repositories().await.unwrap();
        assert!(active.is_empty(), "{active:?}");
        assert!(w.checks(&head, "herald").is_empty());
    }
}

#[tokio::test]
async fn two_pull_requests_with_one_head_share_its_build_until_the_last_one_goes() {
    world(async |w: &mut World| {
        let (main, head) = w.change(GREEN);
        let payload = |action: &str, number: i64| {
            let mut payload = w.pull_request(action, &head, &main);
            payload["pull_request"]["number"] = json!(number);
            payload
        };
        w.deliver("pull_request", &payload("opened", 7)).await;
        w.deliver("pull_request", &payload("opened", 8)).await;
        w.until_queued(|_| {}).await;
        w.deliver("pull_request", &payload("closed", 7)).await;
        w.drain().await;
        assert_eq!(w.ended(&head, "herald").0, "success");
        assert_eq!(w.executor.orders().len(), 1);
    })
    .await;
}
