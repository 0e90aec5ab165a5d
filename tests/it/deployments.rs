//! Deployments: their order, what ends them, who lets them, what GitHub and the pages say of them.

use std::sync::Arc;

use herald::demo::{State, What};
use herald::ports::Clock;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::browser::Browser;
use crate::production::{PRESET, good, with_approval};
use crate::world::{World, world};

/// What holds in the middle of its deployment.
fn slow() -> String {
    PRESET.replace("[print deployed]", "[hold it, print deployed]")
}

/// Does all work there is beside the story, which goes on when the deployment that it comes to has begun.
async fn until_it_deploys(w: &World, count: usize) -> JoinHandle<()> {
    let app = Arc::clone(&w.app);
    let work = tokio::spawn(async move { herald::app::drain(&app).await.unwrap() });
    let begun = |state: &State| {
        let mut newest = state.deployments.iter().skip(count - 1);
        newest
            .next()
            .is_some_and(|one| one.state() == "in_progress")
    };
    w.github.until(begun).await;
    work
}

/// How many deployments were handed to the executor.
fn begun(w: &World) -> usize {
    let orders = w.executor.orders();
    let deploys = |order: &&herald::ports::JobOrder| {
        let mut names = order.job.environment.iter();
        names.any(|(name, value)| name == "HERALD_JOB" && value == "deploy")
    };
    orders.iter().filter(deploys).count()
}

/// One more commit on `production`, of which GitHub tells.
async fn pushed(w: &World) -> String {
    let before = w.tip("production");
    let after = w.commit("production");
    let payload = w.github.push(&w.project, "production", &before, &after);
    w.deliver("push", &payload).await;
    after
}

#[tokio::test]
async fn two_pushes_in_a_row_deploy_in_order_and_one_after_the_other() {
    world(async |w: &mut World| {
        w.write(".herald.yml", &slow());
        w.write("works", "0");
        let first = w.commit("production");
        let payload = w
            .github
            .push(&w.project, "production", &"0".repeat(40), &first);
        w.deliver("push", &payload).await;
        let work = until_it_deploys(w, 1).await;

        // While it runs, two more come: the first of them is overtaken before it began.
        let second = pushed(w).await;
        w.drain().await;
        let waits = w.check(&second, "herald / deploy");
        assert_eq!(waits.status, "queued");
        let third = pushed(w).await;
        w.drain().await;
        let words = "cancelled: superseded by build #3";
        assert_eq!(w.ended(&second, "herald / deploy").1, words);
        let build = w.ended(&second, "herald");
        assert_eq!(build, ("cancelled".to_owned(), format!("deploy: {words}")));
        assert_eq!(begun(w), 1, "never two at a time");
        let running = (first.clone(), "in_progress".to_owned());
        assert_eq!(w.deployed()[0], running);

        w.executor.release();
        work.await.unwrap();
        w.drain().await;
        assert_eq!(begun(w), 2);
        let deployed = w.deployed();
        assert_eq!(deployed.first(), Some(&good(&first)));
        assert_eq!(deployed.last(), Some(&good(&third)));
        // What never began is not open, if it is there at all.
        let of_second = deployed.iter().find(|(commit, _)| *commit == second);
        assert!(of_second.is_none_or(|(_, state)| state == "inactive"));
        // Each wrote its log from beginning to end before the next began.
        let times: Vec<(Option<i64>, Option<i64>)> = {
            let store = &w.app.parts.store;
            let repository = store.repository("octo", "project").await.unwrap().unwrap();
            let all = store
                .deployments(&repository.id, Some("PRODUCTION"), i64::MAX, 10)
                .await;
            let all = all.unwrap().into_iter().rev();
            all.map(|one| (Some(one.started_ms), one.finished_ms))
                .collect()
        };
        assert_eq!(times.len(), 2);
        assert!(times[0].1 <= times[1].0, "{times:?}");
    })
    .await;
}

#[tokio::test]
async fn a_push_that_is_told_of_late_deploys_nothing() {
    world(async |w: &mut World| {
        w.write(".herald.yml", PRESET);
        w.write("works", "0");
        let first = w.commit("production");
        let zero = "0".repeat(40);
        let late = w.github.push(&w.project, "production", &zero, &first);
        w.pass(3);
        let second = pushed(w).await;
        w.drain().await;
        w.deliver("push", &late).await;
        w.drain().await;
        assert_eq!(w.deployed(), [good(&second)]);
        let (state, words) = w.ended(&first, "herald / deploy");
        assert_eq!(state, "cancelled");
        assert_eq!(words, "cancelled: superseded by build #1");
    })
    .await;
}

#[tokio::test]
async fn an_older_build_that_is_ready_late_does_not_deploy() {
    world(async |w: &mut World| {
        w.write(".herald.yml", PRESET);
        w.write("works", "0");
        let first = w.commit("production");
        let payload = w
            .github
            .push(&w.project, "production", &"0".repeat(40), &first);
        w.deliver("push", &payload).await;
        w.until_prepared().await;
        // Its tests are interrupted and wait, and the next build is through before them.
        let slow =
            w.app
                .parts
                .store
                .claim_job("other", w.clock.now_ms(), i64::MAX, w.app.settings.room);
        let slow = slow.await.unwrap().unwrap();
        let second = pushed(w).await;
        w.drain().await;
        assert_eq!(w.deployed(), [good(&second)]);
        let why = herald::ports::store::Interruption {
            what: "it went away".to_owned(),
            attempts: None,
            not_before_ms: 0,
        };
        let (store, now) = (&w.app.parts.store, w.clock.now_ms());
        store
            .interrupt_job(&slow.job.id, "other", &why, now)
            .await
            .unwrap();
        w.drain().await;
        let late = w.newest_check(&first, "herald / deploy");
        assert_eq!(late.title, "cancelled: superseded by build #2");
        assert_eq!(w.deployed(), [good(&second)]);
    })
    .await;
}

/// A pull request of the repository itself deploys a preview that holds.
async fn preview(w: &World) -> (String, String) {
    let (main, head) = w.change(
        "jobs:\n  deploy:\n    when: {events: [pull_request]}\n    deploy: {environment: preview}\n    execute: [hold it, exit 0]\n",
    );
    w.pull("opened", &head, &main).await;
    (main, head)
}

#[tokio::test]
async fn a_deployment_that_runs_is_ended_by_nobody_but_a_person() {
    for by_person in [false, true] {
        world(async |w: &mut World| {
            let (main, head) = preview(w).await;
            let work = until_it_deploys(w, 1).await;
            w.pull("closed", &head, &main).await;
            w.drain().await;
            if by_person {
                let change = herald::domain::Change::CancelBuild {
                    build: w.build_id(1).await,
                    reason: "by a person".to_owned(),
                };
                let now = w.clock.now_ms();
                w.app.parts.store.apply(vec![change], now).await.unwrap();
                // The executor is told without a word from the story.
                w.deliver("ping", &json!({})).await;
                w.drain().await;
            } else {
                w.executor.release();
            }
            work.await.unwrap();
            w.drain().await;
            let deployment = w.deployments().pop().unwrap();
            assert!(deployment.transient && !deployment.production);
            let ended = (w.ended(&head, "herald").0, deployment.state().to_owned());
            let expected = if by_person {
                ("cancelled", "error")
            } else {
                ("success", "success")
            };
            assert_eq!(ended, (expected.0.to_owned(), expected.1.to_owned()));
        })
        .await;
    }
}

/// The requests by which a candidate comes to production.
const POINTS: [(&str, &str); 6] = [
    ("POST", "/project/deployments"),
    ("POST", "/project/deployments/"),
    ("GET", "/project/deployments"),
    ("POST", "/project/pulls"),
    ("GET", "/project/pulls"),
    ("PATCH", "/project/pulls/"),
];

/// Each of them goes wrong so twice, and nothing is there twice for it.
async fn nothing_is_doubled(what: What) {
    world(async |w: &mut World| {
        let mut expected = vec![good(&w.begin(PRESET).await)];
        w.go_to("main");
        for (method, path) in POINTS {
            w.fault(method, path, 0, 2, what);
            for _ in 0..2 {
                w.push_to("main").await;
                patiently(w).await;
            }
            let title = w.promotion().1;
            let two = "Deploy main to production: 2 changes";
            assert_eq!(title, two, "{method} {path}");
            let head = w.tip("main");
            w.release(&head).await;
            patiently(w).await;
            w.tell().await;
            expected.push(good(&head));
            assert_eq!(w.deployed(), expected, "{method} {path}");
        }
        for deployment in w.deployments() {
            let mut history = deployment.history();
            history.dedup();
            assert_eq!(history, deployment.history());
        }
    })
    .await;
}

/// Does all work, also what is tried again.
async fn patiently(w: &World) {
    for _ in 0..5 {
        w.drain().await;
        w.pass(60);
    }
}

#[tokio::test]
async fn lost_answers_double_nothing() {
    nothing_is_doubled(What::LostAnswer).await;
}

#[tokio::test]
async fn broken_connections_double_nothing() {
    nothing_is_doubled(What::Dropped).await;
}

#[tokio::test]
async fn half_answers_double_nothing() {
    nothing_is_doubled(What::Truncated).await;
}

#[tokio::test]
async fn a_death_in_the_middle_leaves_no_deployment_open() {
    world(async |w: &mut World| {
        w.write(".herald.yml", &slow());
        w.write("works", "0");
        let head = w.commit("production");
        let payload = w
            .github
            .push(&w.project, "production", &"0".repeat(40), &head);
        w.deliver("push", &payload).await;
        let work = until_it_deploys(w, 1).await;
        work.abort();
        assert!(work.await.unwrap_err().is_cancelled());
        w.restart().await;
        w.executor.release();
        w.drain_patiently().await;
        assert_eq!(
            w.deployed(),
            [(head.clone(), "error".to_owned()), good(&head)]
        );
        assert_eq!(
            w.newest_check(&head, "herald").conclusion.as_deref(),
            Some("success")
        );
    })
    .await;
}

#[tokio::test]
async fn what_comes_from_a_bot_is_not_deployed_also_by_a_change_that_skips_everything() {
    world(async |w: &mut World| {
        let anywhere = "jobs:\n  test: {execute: [exit 0]}\n  deploy:\n    deploy: {environment: preview}\n    execute: [exit 0]\n";
        let (main, head) = w.change(anywhere);
        let mut payload = w.pull_request("opened", &head, &main);
        payload["pull_request"]["user"]["type"] = json!("Bot");
        w.deliver("pull_request", &payload).await;
        w.drain().await;
        assert_eq!(w.ended(&head, "herald / test").0, "success");
        let deploy = w.ended(&head, "herald / deploy");
        assert_eq!(deploy.1, "skipped: what comes from a bot is not deployed");
        // Whoever switches all jobs off has them run by the rules of the base, but deploys nothing by that.
        w.write(".herald.yml", &format!("when: {{branches: [nowhere]}}\n{anywhere}"));
        let head = w.commit("change");
        w.pull("synchronize", &head, &main).await;
        w.drain().await;
        assert_eq!(w.ended(&head, "herald / test").0, "success");
        assert_eq!(w.ended(&head, "herald / deploy").0, "skipped");
        assert_eq!(w.deployments().len(), 0);
    })
    .await;
}

#[tokio::test]
async fn who_may_not_write_lets_nothing_deploy() {
    world(async |w: &mut World| {
        w.person(900, "eve", "read");
        let first = w.begin(&with_approval()).await;
        w.press(&first, "herald / deploy", "approve", 900).await;
        assert!(w.deployments().is_empty());
        let page = "/repos/octo/project/builds/2";
        let mut eve = Browser::signed_in(w, 900).await;
        let csrf = eve.get(w, page).await.csrf();
        let pressed = [("csrf", csrf.as_str()), ("job", "deploy")];
        let got = eve.post(w, &format!("{page}/approve"), &pressed).await;
        assert_eq!(got.status, 403);
        assert!(w.deployments().is_empty());

        // Mona may, on the page of the job; nothing else waits there.
        let mut mona = Browser::signed_in(w, 500).await;
        let job = mona.get(w, &format!("{page}/jobs/deploy")).await;
        assert!(
            job.text.contains("<button>Approve and run</button>"),
            "{}",
            job.text
        );
        let csrf = job.csrf();
        for (name, status) in [("test", 409), ("deploy", 303)] {
            let pressed = [("csrf", csrf.as_str()), ("job", name)];
            let got = mona.post(w, &format!("{page}/approve"), &pressed).await;
            assert_eq!(got.status, status, "{name}");
        }
        w.tell().await;
        assert_eq!(w.deployed(), [good(&first)]);

        // The next one waits for a word of its own, of the operator say.
        w.go_to("main");
        let second = w.push_to("main").await;
        w.release(&second).await;
        let waits = w.newest_check(&second, "herald / deploy");
        assert_eq!(waits.conclusion.as_deref(), Some("action_required"));
        w.press(&second, "herald / deploy", "approve", 500).await;
        assert_eq!(w.deployed(), [good(&first), good(&second)]);

        // The page of the earlier one leads back to it.
        let job = mona.get(w, &format!("{page}/jobs/deploy")).await;
        assert!(
            job.text.contains("<button>Roll back to this</button>"),
            "{}",
            job.text
        );
        assert!(
            job.text.contains("was approved by the person with GitHub"),
            "{}",
            job.text
        );
        let csrf = job.csrf();
        let pressed = [("csrf", csrf.as_str()), ("job", "deploy")];
        assert_eq!(
            mona.post(w, &format!("{page}/rerun"), &pressed)
                .await
                .status,
            303
        );
        w.tell().await;
        assert_eq!(w.deployed(), [good(&first), good(&second), good(&first)]);
        let job = mona.get(w, &format!("{page}/jobs/deploy")).await;
        assert!(
            job.text.contains("<button>Deploy again</button>"),
            "{}",
            job.text
        );
    })
    .await;
}

#[tokio::test]
async fn a_comment_lets_a_preview_deploy() {
    world(async |w: &mut World| {
        w.person(900, "eve", "read");
        let (main, head) = w.change(
            "jobs:\n  preview:\n    when: {events: [pull_request]}\n    deploy: {environment: preview, approval: true}\n    execute: [exit 0]\n",
        );
        w.pull("opened", &head, &main).await;
        w.drain().await;
        let check = w.check(&head, "herald");
        assert_eq!(check.title, "waits for approval to deploy to preview");
        assert_eq!(check.buttons, ["approve"]);
        w.comment(900, "/herald approve").await;
        w.drain().await;
        assert!(w.next_comment().0.contains("write permission"));
        assert!(w.deployments().is_empty());
        w.comment(500, &format!("/herald approve {head}")).await;
        w.drain().await;
        assert!(w.next_comment().0.contains("Approved"));
        assert_eq!(w.deployed(), [good(&head)]);
    })
    .await;
}

#[tokio::test]
async fn pages_and_the_api_say_what_is_deployed_where() {
    world(async |w: &mut World| {
        let first = w.begin(PRESET).await;
        w.go_to("main");
        w.write("broken", "x");
        w.write(
            ".herald.yml",
            &PRESET.replace("[print deployed]", "[exit 1]"),
        );
        let second = w.push_to("main").await;
        w.release(&second).await;
        assert_eq!(w.deployed()[1], (second.clone(), "failure".to_owned()));

        let page = w.get("/repos/octo/project").await.1;
        for text in [
            "Environments",
            ">deployed</span> <b>#2</b>",
            &first[..7],
            "https://example.org",
        ] {
            assert!(page.contains(text), "{text}: {page}");
        }
        let since = "since then <a href=\"/repos/octo/project/builds/4/jobs/deploy\">#4</a> failed";
        assert!(page.contains(since), "{page}");
        let page = w
            .get("/repos/octo/project/deployments?environment=Production")
            .await
            .1;
        assert!(
            page.contains("Deployments to <bdi>Production</bdi>"),
            "{page}"
        );
        let (newest, oldest) = (page.find("<b>#4</b>"), page.find("<b>#2</b>"));
        assert!(newest.unwrap() < oldest.unwrap(), "{page}");
        let none = w
            .get("/repos/octo/project/deployments?environment=%22%3Cx")
            .await;
        assert_eq!(none.0, 200);
        assert!(!none.1.contains("\"<x"), "{}", none.1);
        let page = w.get("/repos/octo/project/builds/2").await.1;
        assert!(page.contains("Deploys to <a"), "{page}");

        let (_, text) = w.get("/api/v1/repos/octo/project/environments").await;
        let answer: Value = serde_json::from_str(&text).unwrap();
        let one = &answer["environments"][0];
        assert_eq!(one["name"], "production");
        assert_eq!(one["deployed"]["commit"], first);
        assert_eq!(one["newest"]["conclusion"], "failure");
        let (_, text) = w.get("/api/v1/repos/octo/project/builds/2").await;
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["jobs"][1]["deploy"]["environment"], "production");
    })
    .await;
    // And no word of it where nobody may look.
    world(async |w: &mut World| {
        w.begin(PRESET).await;
        for project in &mut w.state().projects {
            project.private = true;
        }
        w.project.private = true;
        let payload = w
            .github
            .push(&w.project, "other", &"0".repeat(40), &w.tip("main"));
        w.deliver("push", &payload).await;
        w.drain().await;
        for path in [
            "/repos/octo/project/deployments",
            "/api/v1/repos/octo/project/environments",
        ] {
            assert_eq!(w.get(path).await.0, 404, "{path}");
        }
    })
    .await;
}
