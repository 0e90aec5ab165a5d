//! What happens after an event, from delivery to what people see.

use herald::demo::What;
use serde_json::json;

use crate::world::{World, failed_cases, world};

const GREEN: &str = "execute:\n  - name: work\n    run: exit 0\n";
const RED: &str = "execute:\n  - name: work\n    run: exit 3\n";
const TESTS: &str =
    "execute:\n  - name: work\n    run: exit 0\nreports:\n  tests: [\"reports/*.xml\"]\n";

/// The App was installed on the repositories of this selection.
fn installed(selection: &str) -> serde_json::Value {
    json!({"action": "created", "installation": {
        "id": herald::demo::GitHub::INSTALLATION,
        "repository_selection": selection,
        "account": {"id": 77, "login": "octo"},
    }})
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

#[tokio::test]
async fn a_green_pull_request_is_checked_without_a_comment() {
    world(async |w: &mut World| {
        let (main, head) = w.change(GREEN);
        w.pull("opened", &head, &main).await;
        w.drain().await;
        let check = w.check(&head, "herald");
        assert_eq!(check.history, ["queued", "in_progress", "completed"]);
        assert_eq!(check.conclusion.as_deref(), Some("success"));
        assert_eq!(check.title, "1 step passed in 0s");
        assert_eq!(
            check.details_url,
            "https://herald.test/repos/octo/project/builds/1"
        );
        assert_eq!(
            w.status(&head, "herald/build"),
            pair("success", "1 step passed in 0s")
        );
    })
    .await;
}

#[tokio::test]
async fn a_red_one_gets_a_comment_that_is_edited_when_it_is_repaired() {
    world(async |w: &mut World| {
        let (main, head) = w.change(RED);
        w.pull("opened", &head, &main).await;
        w.drain().await;
        let title = "step \"work\" failed (exit 3) in 0s";
        assert_eq!(w.ended(&head, "herald"), pair("failure", title));
        assert_eq!(w.status(&head, "herald/build"), pair("failure", title));
        let (comment, edits) = w.next_comment();
        assert!(comment.contains("failed (exit 3)"), "{comment}");
        assert_eq!(edits, 0);

        w.write(".herald.yml", GREEN);
        let repaired = w.commit("change");
        w.pull("synchronize", &repaired, &main).await;
        w.drain().await;
        assert_eq!(w.ended(&repaired, "herald").0, "success");
        let comment = w.state().comments[0].clone();
        assert_eq!(comment.edits, 1);
        assert!(
            comment.body.contains("✅ 1 step passed"),
            "{}",
            comment.body
        );
    })
    .await;
}

#[tokio::test]
async fn a_new_push_supersedes_a_build_that_waits() {
    world(async |w: &mut World| {
        let (main, first) = w.change(GREEN);
        let second = w.commit("change");
        w.pull("opened", &first, &main).await;
        w.pull("synchronize", &second, &main).await;
        w.drain().await;
        let words = format!("cancelled: superseded by {}", &second[..7]);
        assert_eq!(w.ended(&first, "herald"), pair("cancelled", &words));
        assert_eq!(w.ended(&second, "herald").0, "success");
        assert_eq!(w.executor.orders().len(), 1, "the first was never built");
    })
    .await;
}

#[tokio::test]
async fn deliveries_in_the_wrong_order_do_not_bring_back_an_old_head() {
    world(async |w: &mut World| {
        let (main, first) = w.change(GREEN);
        let second = w.commit("change");
        let late = w.pull_request("synchronize", &first, &main);
        w.pass(10);
        w.pull("synchronize", &second, &main).await;
        w.drain().await;
        w.deliver("pull_request", &late).await;
        w.drain().await;
        assert!(w.checks(&first, "herald").is_empty());
        assert_eq!(w.ended(&second, "herald").0, "success");
    })
    .await;
}

#[tokio::test]
async fn one_delivery_many_times_and_two_deliveries_of_one_head_are_one_build() {
    world(async |w: &mut World| {
        let (main, head) = w.change(GREEN);
        let payload = w.pull_request("opened", &head, &main);
        for _ in 0..100 {
            assert_eq!(w.deliver_as("same", "pull_request", &payload).await, 202);
        }
        w.pull("ready_for_review", &head, &main).await;
        w.drain().await;
        assert_eq!(w.deliver_as("same", "pull_request", &payload).await, 202);
        w.drain().await;
        assert_eq!(w.executor.orders().len(), 1);
        assert_eq!(w.state().checks.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_push_of_a_built_commit_joins_its_build_and_sets_the_badges() {
    world(async |w: &mut World| {
        let (main, head) = w.change(GREEN);
        w.pull("opened", &head, &main).await;
        w.drain().await;
        let grey = w.get("/badges/octo/project/build.svg").await.1;
        assert!(
            grey.contains("build: unknown"),
            "a pull request sets no badge"
        );
        w.push("main", &main, &head).await;
        w.drain().await;
        assert_eq!(w.executor.orders().len(), 1);
        assert_eq!(w.check(&head, "herald").history.len(), 3);
        assert!(
            w.get("/badges/octo/project/build.svg")
                .await
                .1
                .contains("build: passing")
        );
    })
    .await;
}

#[tokio::test]
async fn every_badge_is_ready_to_be_copied() {
    world(async |w: &mut World| {
        let (main, _) = w.change(GREEN);
        w.push("main", &main, &main).await;
        w.drain().await;
        let page = "/repos/octo/project/badges";
        let (status, html) = w.get(page).await;
        assert_eq!(status, 200);
        let image = "https://herald.test/badges/octo/project/build.svg";
        let leads_to = "https://herald.test/repos/octo/project";
        for text in [
            format!("[![build]({image})]({leads_to})"),
            format!("image:{image}[build, link="),
            format!(".. image:: {image}\n   :target: {leads_to}\n"),
        ] {
            assert!(html.contains(&text), "{text}\n{html}");
        }
        // A choice is in every address, and a strange one is a text.
        let query = "?style=plastic&logo=check&branch=a%26b%22%3Cc&job=build";
        let (_, html) = w.get(&format!("{page}{query}")).await;
        let chosen = "build.svg?style=plastic&#38;logo=check&#38;branch=a%26b%22%3Cc&#38;job=build";
        assert!(html.contains(chosen), "{html}");
        assert!(!html.contains("\"<c"), "{html}");
        // The badge of a job is there as that of the build is.
        let badge = w.get("/badges/octo/project/build.svg?job=build").await.1;
        assert!(badge.contains("build: passing"), "{badge}");
        let badge = w.get("/badges/octo/project/build.svg?job=other").await.1;
        assert!(badge.contains("build: unknown"), "{badge}");
        assert_eq!(w.get("/repos/octo/nothing/badges").await.0, 404);
    })
    .await;
}

#[tokio::test]
async fn a_red_default_branch_shows_on_its_badge_and_an_older_build_does_not_undo_it() {
    world(async |w: &mut World| {
        let (main, head) = w.change(GREEN);
        w.write(".herald.yml", RED);
        let red = w.commit("main");
        w.push("main", &main, &red).await;
        w.push("main", &red, &head).await;
        w.drain().await;
        assert!(
            w.get("/badges/octo/project/build.svg")
                .await
                .1
                .contains("passing")
        );
        let again = w.github.rerequested(&w.project, &red, None);
        w.deliver("check_suite", &again).await;
        w.drain().await;
        assert!(
            w.get("/badges/octo/project/build.svg")
                .await
                .1
                .contains("passing")
        );
    })
    .await;
}

#[tokio::test]
async fn a_closed_pull_request_is_cancelled_and_built_again_when_it_is_reopened() {
    world(async |w: &mut World| {
        let (main, head) = w.change(GREEN);
        w.pull("opened", &head, &main).await;
        w.pull("closed", &head, &main).await;
        w.drain().await;
        let words = "cancelled: pull request #7 was closed";
        assert_eq!(w.ended(&head, "herald"), pair("cancelled", words));
        w.pull("reopened", &head, &main).await;
        w.drain().await;
        let newest = w.checks(&head, "herald").pop().unwrap();
        assert_eq!(newest.conclusion.as_deref(), Some("success"));
    })
    .await;
}

#[tokio::test]
async fn a_person_runs_a_build_again_under_the_same_number() {
    world(async |w: &mut World| {
        let (main, head) = w.change(GREEN);
        w.pull("opened", &head, &main).await;
        w.drain().await;
        let first = w.check(&head, "herald");
        let again = w
            .github
            .rerequested(&w.project, &head, Some(&first.external_id));
        w.deliver("check_run", &again).await;
        w.drain().await;
        let checks = w.checks(&head, "herald");
        assert_eq!(checks.len(), 2, "a new check run of the same name");
        assert_eq!(checks[1].conclusion.as_deref(), Some("success"));
        assert_eq!(checks[0].details_url, checks[1].details_url);
        assert_eq!(w.executor.orders().len(), 2);
    })
    .await;
}

const JOBS: &str = "
jobs:
  lint: {execute: [exit 0]}
  test: {execute: [exit 1]}
  deploy: {needs: [test], execute: [exit 0]}
  after: {needs: [deploy], execute: [exit 0]}
  docs: {when: {events: [push]}, execute: [exit 0]}
";

#[tokio::test]
async fn every_job_has_a_check_and_what_needs_a_failed_one_is_skipped() {
    world(async |w: &mut World| {
        let (main, head) = w.change(JOBS);
        w.pull("opened", &head, &main).await;
        w.drain().await;
        let end = |name: &str| w.ended(&head, name);
        assert_eq!(end("herald").0, "failure");
        assert_eq!(end("herald / lint").0, "success");
        assert_eq!(end("herald / test").0, "failure");
        let words = "skipped: it needs \"test\", which did not succeed";
        assert_eq!(end("herald / deploy"), pair("skipped", words));
        assert_eq!(end("herald / after").0, "skipped");
        assert_eq!(end("herald / docs").0, "skipped");
        assert_eq!(w.executor.orders().len(), 2);
        w.next_comment();
    })
    .await;
}

#[tokio::test]
async fn one_job_runs_again_with_what_was_skipped_because_of_it() {
    world(async |w: &mut World| {
        let (main, head) = w.change(JOBS);
        w.pull("opened", &head, &main).await;
        w.drain().await;
        let test = w.check(&head, "herald / test").external_id;
        let again = w.github.rerequested(&w.project, &head, Some(&test));
        w.deliver("check_run", &again).await;
        w.drain().await;
        assert_eq!(w.checks(&head, "herald").len(), 2);
        assert_eq!(w.checks(&head, "herald / test").len(), 2);
        assert_eq!(w.checks(&head, "herald / deploy").len(), 2);
        assert_eq!(
            w.checks(&head, "herald / lint").len(),
            1,
            "it was not asked for"
        );
        w.next_comment();
    })
    .await;
}

#[tokio::test]
async fn a_slip_in_the_specification_is_marked_on_its_line() {
    world(async |w: &mut World| {
        let (main, head) = w.change("execute:\n  - exit 0\nreprots: {}\n");
        w.pull("opened", &head, &main).await;
        w.drain().await;
        let check = w.check(&head, "herald");
        assert_eq!(check.conclusion.as_deref(), Some("failure"));
        let annotation = &check.annotations[0];
        assert_eq!(annotation["path"], ".herald.yml");
        assert_eq!(annotation["start_line"], 3);
        let message = annotation["message"].as_str().unwrap();
        assert!(message.contains("did you mean `reports`?"), "{message}");
        assert_eq!(w.status(&head, "herald/build").0, "error");
        w.next_comment();
    })
    .await;
}

#[tokio::test]
async fn a_change_that_removes_the_specification_fails() {
    world(async |w: &mut World| {
        let (main, _) = w.change(GREEN);
        w.remove(".herald.yml");
        let head = w.commit("change");
        w.pull("opened", &head, &main).await;
        w.drain().await;
        let title = "this change removes .herald.yml";
        assert_eq!(w.ended(&head, "herald"), pair("failure", title));
        w.next_comment();
    })
    .await;
}

#[tokio::test]
async fn without_a_specification_there_is_a_word_or_silence() {
    world(async |w: &mut World| {
        w.write("README.md", "# Project\n");
        let main = w.commit("main");
        let head = w.commit("change");
        w.deliver("installation", &installed("selected")).await;
        w.pull("opened", &head, &main).await;
        w.drain().await;
        assert_eq!(w.ended(&head, "herald"), pair("neutral", "no .herald.yml"));

        w.deliver("installation", &installed("all")).await;
        w.write("README.md", "# Another\n");
        let other = w.commit("change");
        w.pull("synchronize", &other, &main).await;
        w.drain().await;
        assert!(w.checks(&other, "herald").is_empty(), "nobody uses it here");
    })
    .await;
}

#[tokio::test]
async fn who_installs_herald_everywhere_hears_nothing_where_nobody_uses_it() {
    world(async |w: &mut World| {
        w.write("README.md", "# Project\n");
        let main = w.commit("main");
        let head = w.commit("change");
        w.deliver("installation", &installed("all")).await;
        w.pull("opened", &head, &main).await;
        w.drain().await;
        assert!(w.checks(&head, "herald").is_empty());
        w.write(".herald.yml", GREEN);
        let used = w.commit("change");
        w.pull("synchronize", &used, &main).await;
        w.drain().await;
        assert_eq!(w.ended(&used, "herald").0, "success");
        assert_eq!(w.state().checks.len(), 1);
        // Where the specification is gone again there is silence again, after one last word.
        w.remove(".herald.yml");
        for expected in [2, 2] {
            let without = w.commit("change");
            w.pull("synchronize", &without, &main).await;
            w.drain().await;
            assert_eq!(w.state().checks.len(), expected);
        }
    })
    .await;
}

#[tokio::test]
async fn a_build_that_could_not_be_prepared_is_prepared_when_it_is_run_again() {
    world(async |w: &mut World| {
        let (main, head) = w.change(GREEN);
        w.fault("GET", "project.git/info/refs", 0, 1000, What::Status(503));
        w.pull("opened", &head, &main).await;
        for _ in 0..4 {
            w.drain_patiently().await;
        }
        let failed = w.check(&head, "herald");
        assert_eq!(failed.conclusion.as_deref(), Some("cancelled"));
        assert!(
            failed.title.starts_with("Herald could not finish"),
            "{}",
            failed.title
        );

        w.state().faults.clear();
        let again = w
            .github
            .rerequested(&w.project, &head, Some(&failed.external_id));
        w.deliver("check_run", &again).await;
        w.drain().await;
        let newest = w.checks(&head, "herald").pop().unwrap();
        assert_eq!(newest.conclusion.as_deref(), Some("success"));
    })
    .await;
}

#[tokio::test]
async fn code_of_a_fork_does_not_run_without_an_isolating_executor() {
    world(async |w: &mut World| {
        let (main, head) = w.change(GREEN);
        for (number, repo) in [(7, json!({"id": 999})), (8, json!(null))] {
            let mut payload = w.pull_request("opened", &head, &main);
            payload["pull_request"]["head"]["repo"] = repo;
            payload["pull_request"]["number"] = json!(number);
            w.deliver("pull_request", &payload).await;
        }
        w.drain().await;
        let title = "this server has no isolating executor";
        assert_eq!(w.ended(&head, "herald"), pair("action_required", title));
        assert_eq!(w.executor.orders().len(), 0);
        // It waits for a person: that is no end of the status.
        assert_eq!(w.status(&head, "herald/build").0, "pending");
        w.state().statuses.clear();
    })
    .await;
}

#[tokio::test]
async fn only_the_default_branch_is_built_unless_the_specification_asks_for_more() {
    world(async |w: &mut World| {
        let (main, head) = w.change(GREEN);
        w.push("change", &main, &head).await;
        w.drain().await;
        assert!(w.state().checks.is_empty());
        w.write(
            ".herald.yml",
            &format!("when: {{branches: [\"re*\"]}}\n{GREEN}"),
        );
        let release = w.commit("release");
        w.push("release", &head, &release).await;
        w.drain().await;
        assert_eq!(w.ended(&release, "herald").0, "success");
    })
    .await;
}

#[tokio::test]
async fn a_change_cannot_switch_off_its_own_gate() {
    world(async |w: &mut World| {
        let (main, _) = w.change(GREEN);
        w.write(".herald.yml", &format!("when: {{events: [push]}}\n{RED}"));
        let head = w.commit("change");
        w.pull("opened", &head, &main).await;
        w.drain().await;
        assert_eq!(w.ended(&head, "herald").0, "failure");
        w.next_comment();
    })
    .await;
}

#[tokio::test]
async fn declared_reports_that_are_missing_empty_or_torn_are_red() {
    world(async |w: &mut World| {
        let (main, head) = w.change(TESTS);
        w.pull("opened", &head, &main).await;
        w.drain().await;
        let title = w.ended(&head, "herald").1;
        assert_eq!(title, "no new test report matches `reports/*.xml` in 0s");
        let reports = [
            (
                "<testsuite/>",
                "the test reports hold 0 tests, at least 1 are required in 0s",
            ),
            (
                "<testsuite><testcase name='a'/>",
                "the report reports/junit.xml is broken at line 1, column 32: ",
            ),
        ];
        for (report, words) in reports {
            *w.report.lock().unwrap() = Some(report.to_owned());
            w.write("README.md", report);
            let head = w.commit("change");
            w.pull("synchronize", &head, &main).await;
            w.drain().await;
            let (conclusion, title) = w.ended(&head, "herald");
            assert_eq!(conclusion, "failure");
            assert!(title.starts_with(words), "{title}");
        }
        w.next_comment();
    })
    .await;
}

#[tokio::test]
async fn a_report_that_git_tracks_unchanged_is_no_result() {
    world(async |w: &mut World| {
        let report = "<testsuite><testcase name='a'/></testsuite>";
        w.write("reports/junit.xml", report);
        *w.report.lock().unwrap() = Some(report.to_owned());
        let (main, head) = w.change(TESTS);
        w.pull("opened", &head, &main).await;
        w.drain().await;
        let title = w.ended(&head, "herald").1;
        assert!(title.starts_with("no new test report matches"), "{title}");
        w.next_comment();
    })
    .await;
}

/// A report with so many failed tests on lines of a file of the repository.
fn failures(w: &World, count: usize) {
    let lines = "line\n".repeat(count);
    w.write("tests/test_many.py", &lines);
    let cases = failed_cases(count);
    *w.report.lock().unwrap() = Some(format!("<testsuite name='s'>{cases}</testsuite>"));
}

fn lines_of(check: &herald::demo::Check) -> Vec<i64> {
    let mut lines: Vec<i64> = check
        .annotations
        .iter()
        .map(|one| one["start_line"].as_i64().unwrap())
        .collect();
    lines.sort_unstable();
    lines
}

#[tokio::test]
async fn many_failures_come_in_batches_of_fifty_and_none_twice() {
    let faults = [None, Some(What::Status(502)), Some(What::LostAnswer)];
    for fault in faults {
        world(async |w: &mut World| {
            failures(w, 137);
            let (main, head) = w.change(TESTS);
            if let Some(what) = fault {
                // The second request that carries annotations.
                w.fault("PATCH", "/check-runs/", 2, 1, what);
            }
            w.pull("opened", &head, &main).await;
            w.drain_patiently().await;
            let check = w.check(&head, "herald");
            assert_eq!(lines_of(&check), (1..=137).collect::<Vec<_>>(), "{fault:?}");
            assert!(
                check.batches.iter().all(|size| *size <= 50),
                "{:?}",
                check.batches
            );
            w.next_comment();
        })
        .await;
    }
}

#[tokio::test]
async fn annotations_that_github_refuses_do_not_keep_a_check_open() {
    world(async |w: &mut World| {
        failures(w, 3);
        let (main, head) = w.change(TESTS);
        w.fault("PATCH", "/check-runs/", 1, 1, What::Status(422));
        w.pull("opened", &head, &main).await;
        w.drain().await;
        assert_eq!(w.ended(&head, "herald").0, "failure");
        assert!(w.check(&head, "herald").annotations.is_empty());
        w.next_comment();
    })
    .await;
}

#[tokio::test]
async fn nothing_is_sent_before_github_allows_it() {
    world(async |w: &mut World| {
        let (main, head) = w.change(GREEN);
        w.fault("POST", "/check-runs", 0, 1, What::Throttled(120));
        w.pull("opened", &head, &main).await;
        w.drain().await;
        assert_eq!(w.writes(), 1, "the one that was refused");
        w.pass(100);
        w.drain().await;
        assert_eq!(w.writes(), 1);
        w.pass(21);
        w.drain().await;
        assert_eq!(w.ended(&head, "herald").0, "success");
    })
    .await;
}

#[tokio::test]
async fn every_write_may_fail_or_lose_its_answer_and_nothing_is_doubled() {
    let targets = [
        ("POST", "/check-runs"),
        ("PATCH", "/check-runs/"),
        ("POST", "/statuses/"),
        ("POST", "/comments"),
    ];
    for (method, path) in targets {
        for what in [What::Status(500), What::LostAnswer, What::Status(404)] {
            world(async |w: &mut World| {
                let (main, head) = w.change(RED);
                w.fault(method, path, 0, 2, what);
                w.pull("opened", &head, &main).await;
                w.drain_patiently().await;
                assert_eq!(
                    w.ended(&head, "herald").0,
                    "failure",
                    "{method} {path} {what:?}"
                );
                assert_eq!(w.status(&head, "herald/build").0, "failure");
                w.next_comment();
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_restart_between_any_two_steps_loses_and_doubles_nothing() {
    world(async |w: &mut World| {
        let (main, head) = w.change(RED);
        w.pull("opened", &head, &main).await;
        let mut steps = 0;
        while herald::app::step(&w.app).await.unwrap() {
            w.restart().await;
            steps += 1;
        }
        assert!(steps > 5, "{steps}");
        assert_eq!(w.ended(&head, "herald").0, "failure");
        assert_eq!(w.executor.orders().len(), 1);
        w.next_comment();
    })
    .await;
}

#[tokio::test]
async fn git_that_fails_says_nothing_about_the_commit() {
    world(async |w: &mut World| {
        let (main, head) = w.change(GREEN);
        w.fault("GET", "project.git/info/refs", 0, 3, What::Status(503));
        w.pull("opened", &head, &main).await;
        w.drain().await;
        assert_eq!(w.check(&head, "herald").status, "queued");
        w.drain_patiently().await;
        assert_eq!(w.ended(&head, "herald").0, "success");
    })
    .await;
}

#[tokio::test]
async fn a_token_that_ends_early_is_renewed() {
    world(async |w: &mut World| {
        let (main, head) = w.change(GREEN);
        w.pull("opened", &head, &main).await;
        w.drain().await;
        let tokens = |w: &World| w.state().tokens.len();
        let before = tokens(w);
        w.state().tokens.clear();
        w.write("README.md", "x");
        let next = w.commit("change");
        w.pull("synchronize", &next, &main).await;
        w.drain().await;
        assert_eq!(w.ended(&next, "herald").0, "success");
        assert!(tokens(w) > 0 && before > 0);
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_is_off_is_corrected_by_githubs_own() {
    // As far off as clocks are found to be, and by hours: for our signature and for the life of
    // tokens.
    for seconds in [-300, 300, -20_000, 20_000] {
        world(async |w: &mut World| {
            let (main, head) = w.change(GREEN);
            w.github.skew(seconds);
            w.pull("opened", &head, &main).await;
            w.drain_patiently().await;
            assert_eq!(w.ended(&head, "herald").0, "success");
            let minted = w.state().tokens.len();
            w.pass(3_000);
            w.write("README.md", "x");
            let next = w.commit("change");
            w.pull("synchronize", &next, &main).await;
            w.drain_patiently().await;
            assert_eq!(w.ended(&next, "herald").0, "success");
            assert!(w.state().tokens.len() > minted, "{seconds}");
            let refused = |w: &World| {
                let state = w.state();
                let all = state.requests.iter();
                all.filter(|request| request.status == 401).count()
            };
            assert!(refused(w) <= 1, "GitHub's time is learnt once");
        })
        .await;
    }
}

#[tokio::test]
async fn a_private_repository_is_fetched_with_a_narrow_token_and_shown_to_nobody() {
    world(async |w: &mut World| {
        let id = w.project.id;
        for project in &mut w.state().projects {
            project.private = true;
        }
        w.project.private = true;
        let (main, head) = w.change(GREEN);
        w.pull("opened", &head, &main).await;
        w.push("main", &main, &head).await;
        w.drain().await;
        assert_eq!(w.ended(&head, "herald").0, "success");
        let narrow: Vec<_> = w
            .state()
            .tokens
            .values()
            // Those that git gets: nothing else is asked for by a permission.
            .filter(|access| !access.permissions.contains_key("checks"))
            .map(|access| (access.permissions.clone(), access.repositories.clone()))
            .collect();
        assert!(!narrow.is_empty());
        for (permissions, repositories) in narrow {
            assert_eq!(permissions.len(), 1);
            assert_eq!(permissions["contents"], "read");
            assert_eq!(repositories, Some(vec![id]));
        }
        for path in [
            "/repos/octo/project",
            "/repos/octo/project/builds/1",
            "/repos/octo/project/builds/1/jobs/build",
            "/repos/octo/project/builds/1/jobs/build/log.txt",
            "/repos/octo/project/builds/1/jobs/build/artifacts/x",
        ] {
            assert_eq!(w.get(path).await.0, 404, "{path}");
        }
        let ours = w.get("/badges/octo/project/build.svg").await;
        let nobodys = w.get("/badges/octo/nothing/build.svg").await;
        assert_eq!(ours, nobodys);
    })
    .await;
}

#[tokio::test]
async fn every_link_of_a_check_leads_somewhere() {
    world(async |w: &mut World| {
        let (main, head) = w.change(RED);
        w.pull("opened", &head, &main).await;
        w.drain().await;
        let url = w.check(&head, "herald").details_url;
        let path = url.strip_prefix("https://herald.test").unwrap();
        let (status, page) = w.get(path).await;
        assert_eq!(status, 200);
        assert!(
            page.contains("step &#34;work&#34; failed (exit 3)"),
            "{page}"
        );
        let (status, page) = w.get(&format!("{path}/jobs/build")).await;
        assert_eq!(status, 200);
        assert!(page.contains("playing exit 3"), "{page}");
        let (status, log) = w.get(&format!("{path}/jobs/build/log.txt")).await;
        assert_eq!((status.as_u16(), log.as_str()), (200, "playing exit 3\n"));
        let part = http::Request::get(format!("{path}/jobs/build/log.txt"))
            .header("range", "bytes=8-11")
            .body(axum::body::Body::empty())
            .unwrap();
        let (status, headers, text) = w.request(part).await;
        assert_eq!((status.as_u16(), text.as_str()), (206, "exit"));
        assert_eq!(headers["content-range"], "bytes 8-11/15");
        let (_, step) = w.get(&format!("{path}/jobs/build/log.txt?step=0")).await;
        assert_eq!(step, "playing exit 3\n");
        w.next_comment();
    })
    .await;
}

#[tokio::test]
async fn an_old_name_leads_on_until_another_repository_takes_it() {
    world(async |w: &mut World| {
        let (main, head) = w.change(GREEN);
        w.push("main", &main, &head).await;
        w.drain().await;
        let mut renamed = w.github.push(&w.project, "main", &main, &head);
        renamed["action"] = json!("renamed");
        renamed["repository"]["name"] = json!("renamed");
        w.deliver("repository", &renamed).await;
        w.drain().await;
        for name in ["project", "Renamed"] {
            assert_eq!(
                w.get(&format!("/repos/octo/{name}/builds/1")).await.0,
                200,
                "{name}"
            );
        }
        let mut other = renamed.clone();
        other["repository"]["id"] = json!(31_337);
        other["repository"]["name"] = json!("project");
        w.deliver("repository", &other).await;
        w.drain().await;
        assert_eq!(w.get("/repos/octo/project/builds/1").await.0, 404);
        assert_eq!(w.get("/repos/octo/renamed/builds/1").await.0, 200);
    })
    .await;
}

#[tokio::test]
async fn a_build_that_waits_for_room_says_how_long_the_queue_is() {
    world(async |w: &mut World| {
        w.write(".herald.yml", GREEN);
        let mut commits = vec![w.commit("main")];
        for _ in 0..6 {
            let before = commits[commits.len() - 1].clone();
            let after = w.commit("main");
            w.push("main", &before, &after).await;
            commits.push(after);
        }
        while w.waiting().await.jobs < 6 {
            assert!(herald::app::step(&w.app).await.unwrap());
        }
        // Others take all the room that this worker has.
        let store = std::sync::Arc::clone(&w.app.parts.store);
        let now_ms = w.app.now_ms();
        let room = w.app.settings.room;
        let mut taken = Vec::new();
        while let Some(claim) = store
            .claim_job(&w.app.settings.worker, now_ms, now_ms + 60_000, room)
            .await
            .unwrap()
        {
            taken.push(claim.job.id);
        }
        assert_eq!(taken.len(), 4);
        w.drain().await;
        let title = |commit: &str| w.check(commit, "herald").title;
        assert_eq!(title(&commits[4]), "Running");
        assert_eq!(title(&commits[5]), "Queued");
        assert_eq!(title(&commits[6]), "Queued, 1 job ahead");
        for job in taken {
            let why = herald::ports::store::Interruption {
                what: "the other went away".to_owned(),
                attempts: None,
                not_before_ms: 0,
            };
            store
                .interrupt_job(&job, &w.app.settings.worker, &why, now_ms)
                .await
                .unwrap();
        }
        w.drain().await;
        assert_eq!(w.ended(&commits[6], "herald").0, "success");
    })
    .await;
}
