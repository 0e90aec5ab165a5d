//! Reports that GitHub Actions leaves in artifacts.

use std::io::{Cursor, Write};

use herald::demo::{Ran, What};
use serde_json::json;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::world::{World, world};

/// Nothing is built here: reports come from the workflow CI.
const REPORTS_ONLY: &str = "actions:\n  workflows: [CI]\n  artifacts: [\"results*\"]\n";
const CHECK: &str = "herald / CI";

pub(crate) fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in files {
        writer
            .start_file(*name, SimpleFileOptions::default())
            .unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A JUnit report of these tests, some of which fail in `tests/test_some.py`.
fn junit(passed: &[&str], failed: &[&str]) -> String {
    let good = passed
        .iter()
        .map(|name| format!("<testcase classname='t' name='{name}'/>"));
    let bad = failed.iter().map(|name| {
        format!(
            "<testcase classname='t' name='{name}'><failure message='no'>tests/test_some.py:3: no\
             </failure></testcase>"
        )
    });
    let cases: String = good.chain(bad).collect();
    format!("<testsuite name='s'>{cases}</testsuite>")
}

fn ran(event: &str, branch: &str, commit: &str, conclusion: &str) -> Ran {
    Ran {
        workflow: "CI".to_owned(),
        event: event.to_owned(),
        branch: branch.to_owned(),
        commit: commit.to_owned(),
        conclusion: conclusion.to_owned(),
        fork: None,
        by_bot: false,
    }
}

/// GitHub tells that a run has ended.
pub(crate) async fn tell(w: &World, run: u64) {
    let payload = w.github.workflow_run(&w.project, run);
    w.deliver("workflow_run", &payload).await;
    w.drain().await;
}

/// A run ends that has left this archive as `results`, and GitHub tells of it.
async fn report(w: &World, ran: &Ran, archive: &[u8]) {
    let run = w.github.ran(&w.project, ran);
    w.github.upload_artifact(run, "results", archive);
    tell(w, run).await;
}

/// A base on `main` and a head on `change` with a file in which tests fail; pull request 7 is open.
async fn pull(w: &World, specification: &str) -> (String, String) {
    w.write(".herald.yml", specification);
    let main = w.commit("main");
    w.write("tests/test_some.py", "one\ntwo\nthree\n");
    let head = w.commit("change");
    w.pull("opened", &head, &main).await;
    w.drain().await;
    (main, head)
}

#[tokio::test]
async fn an_artifact_is_read_and_published_on_the_pull_request() {
    world(async |w: &mut World| {
        let (_, head) = pull(w, REPORTS_ONLY).await;
        let run = w
            .github
            .ran(&w.project, &ran("pull_request", "change", &head, "failure"));
        let files = zip(&[("deep/junit.xml", &junit(&["a", "b"], &["c"]))]);
        w.github.upload_artifact(run, "results", &files);
        w.github
            .upload_artifact(run, "screenshots", b"no zip at all");
        tell(w, run).await;

        let check = w.check(&head, CHECK);
        assert_eq!(check.conclusion.as_deref(), Some("failure"));
        assert_eq!(check.title, "1 failed, 2 passed in 1m");
        assert_eq!(check.annotations.len(), 1);
        assert_eq!(check.annotations[0]["path"], "tests/test_some.py");
        assert_eq!(check.annotations[0]["start_line"], 3);
        assert!(check.summary.contains("CI #1"), "{}", check.summary);
        assert!(
            check.summary.contains("/actions/runs/"),
            "{}",
            check.summary
        );
        // Nothing is built here, and nothing is said about that.
        assert!(
            w.checks(&head, "herald")
                .iter()
                .all(|check| check.conclusion.is_some())
        );
        assert!(w.state().statuses.is_empty());
        let (comment, _) = w.next_comment();
        assert!(comment.contains("1 failed, 2 passed in 1m"), "{comment}");
    })
    .await;
}

#[tokio::test]
async fn of_a_fork_and_of_dependabot_too() {
    world(async |w: &mut World| {
        w.write(".herald.yml", REPORTS_ONLY);
        let main = w.commit("main");
        // The fork's branch is called as one of ours.
        let head = w.commit("other");
        let mut payload = w.pull_request("opened", &head, &main);
        payload["pull_request"]["head"] =
            json!({"ref": "main", "sha": head, "repo": {"id": 999}, "user": {"login": "eve"}});
        w.deliver("pull_request", &payload).await;
        w.drain().await;
        let mut of_fork = ran("pull_request", "main", &head, "success");
        of_fork.fork = Some((999, "eve".to_owned()));
        let run = w.github.ran(&w.project, &of_fork);
        // 300 files, nested, with coverage among them.
        let parts: Vec<(String, String)> = (0..299)
            .map(|n| {
                let name = format!("test-{n}");
                (
                    format!("shard-{}/module/{n}/TEST-{n}.xml", n % 5),
                    junit(&[&name], &[]),
                )
            })
            .collect();
        let mut files: Vec<(&str, &str)> = parts
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .collect();
        files.push((
            "cov/lcov.info",
            "SF:src/a.py\nDA:1,1\nDA:2,0\nend_of_record\n",
        ));
        w.github.upload_artifact(run, "results", &zip(&files));
        tell(w, run).await;
        assert_eq!(w.ended(&head, CHECK).0, "success");
        assert_eq!(w.check(&head, CHECK).title, "299 passed in 1m");
        assert!(
            w.check(&head, CHECK).summary.contains("50% of lines"),
            "{}",
            w.check(&head, CHECK).summary
        );
        // A stranger's branch does not speak for ours.
        let (_, badge) = w.get("/badges/octo/project/tests.svg").await;
        assert!(badge.contains("unknown"), "{badge}");

        w.write("more", "1");
        let bump = w.commit("dependabot/npm/left-pad");
        let mut of_bot = ran("pull_request", "dependabot/npm/left-pad", &bump, "success");
        of_bot.by_bot = true;
        let mut payload = w.pull_request("opened", &bump, &main);
        payload["pull_request"]["number"] = json!(8);
        payload["number"] = json!(8);
        w.deliver("pull_request", &payload).await;
        report(w, &of_bot, &zip(&[("junit.xml", &junit(&["a"], &[]))])).await;
        assert_eq!(w.check(&bump, CHECK).title, "1 passed in 1m");
    })
    .await;
}

#[tokio::test]
async fn a_fork_whose_pull_request_nobody_told_of_is_found_by_its_branch() {
    world(async |w: &mut World| {
        w.write(".herald.yml", REPORTS_ONLY);
        let main = w.commit("main");
        let head = w.commit("other");
        let mut payload = w.pull_request("opened", &head, &main);
        payload["pull_request"]["head"] =
            json!({"ref": "fix", "sha": head, "repo": {"id": 999}, "user": {"login": "eve"}});
        w.state().set_pull(&payload["pull_request"]);
        let mut of_fork = ran("pull_request", "fix", &head, "success");
        of_fork.fork = Some((999, "eve".to_owned()));
        report(w, &of_fork, &zip(&[("junit.xml", &junit(&["a"], &[]))])).await;
        assert_eq!(w.check(&head, CHECK).title, "1 passed in 1m");

        // With no pull request at all, there is nothing to publish it for.
        w.state().pulls.clear();
        let gone = w.commit("gone");
        let mut of_fork = ran("pull_request", "main", &gone, "success");
        of_fork.fork = Some((999, "eve".to_owned()));
        let run = w.github.ran(&w.project, &of_fork);
        tell(w, run).await;
        assert!(w.checks(&gone, CHECK).is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_nobody_asked_for_says_nothing() {
    world(async |w: &mut World| {
        let (_, head) = pull(w, REPORTS_ONLY).await;
        let mut other = ran("pull_request", "change", &head, "failure");
        other.workflow = "Lint".to_owned();
        report(w, &other, &zip(&[("junit.xml", &junit(&["a"], &[]))])).await;
        // One that waits for a maintainer's approval comes again.
        let run = w.github.ran(
            &w.project,
            &ran("pull_request", "change", &head, "action_required"),
        );
        tell(w, run).await;
        assert!(w.state().checks.iter().all(|check| check.name == "herald"));

        // Also what a change asks for itself is not asked for: the default branch decides.
        w.write(".herald.yml", "actions: {workflows: [Lint]}\n");
        let changed = w.commit("change");
        let mut lint = ran("pull_request", "change", &changed, "success");
        lint.workflow = "Lint".to_owned();
        w.pull("synchronize", &changed, &head).await;
        let run = w.github.ran(&w.project, &lint);
        tell(w, run).await;
        assert!(w.checks(&changed, "herald / Lint").is_empty());
    })
    .await;
}

#[tokio::test]
async fn shards_are_one_report_and_a_rerun_counts_as_its_newest() {
    world(async |w: &mut World| {
        let (_, head) = pull(w, REPORTS_ONLY).await;
        let run = w
            .github
            .ran(&w.project, &ran("pull_request", "change", &head, "failure"));
        for (shard, failed) in [("1", &["x"][..]), ("2", &[]), ("3", &[])] {
            let passed = format!("of-{shard}");
            let text = junit(&[&passed, "common"], failed);
            w.github.upload_artifact(
                run,
                &format!("results-{shard}"),
                &zip(&[("junit.xml", &text)]),
            );
        }
        tell(w, run).await;
        assert_eq!(w.check(&head, CHECK).title, "1 failed, 4 passed in 1m");
        w.next_comment();

        // Only the failed shard ran again, under the same name.
        let text = junit(&["of-1", "common", "x"], &[]);
        w.github.ran_again(run, "success");
        w.github
            .upload_artifact(run, "results-1", &zip(&[("junit.xml", &text)]));
        tell(w, run).await;
        let checks = w.checks(&head, CHECK);
        assert_eq!(checks.len(), 2, "a new attempt has a check of its own");
        assert_eq!(checks[1].title, "5 passed in 1m");
        assert!(
            checks[1].summary.contains("attempt 2"),
            "{}",
            checks[1].summary
        );
        assert_ne!(checks[0].external_id, checks[1].external_id);
    })
    .await;
}

#[tokio::test]
async fn two_runs_for_one_commit_speak_together() {
    world(async |w: &mut World| {
        let (_, head) = pull(w, REPORTS_ONLY).await;
        report(
            w,
            &ran("push", "change", &head, "failure"),
            &zip(&[("junit.xml", &junit(&[], &["a"]))]),
        )
        .await;
        assert_eq!(w.check(&head, CHECK).title, "1 failed in 1m");
        // Green for the pull request does not hide that the push is red.
        let of_pull = w
            .github
            .ran(&w.project, &ran("pull_request", "change", &head, "success"));
        w.github.upload_artifact(
            of_pull,
            "results",
            &zip(&[("junit.xml", &junit(&["a"], &[]))]),
        );
        tell(w, of_pull).await;
        let newest = w.checks(&head, CHECK).pop().unwrap();
        assert_eq!(newest.conclusion.as_deref(), Some("failure"), "{newest:#?}");
        w.read_comments();
    })
    .await;
}

/// What the check of a run with these artifacts says.
async fn said(artifacts: &[(&str, Vec<u8>)], conclusion: &str) -> (String, String) {
    let mut ended = None;
    world(async |w: &mut World| {
        let (_, head) = pull(w, REPORTS_ONLY).await;
        let run = w.github.ran(
            &w.project,
            &ran("pull_request", "change", &head, conclusion),
        );
        for (name, bytes) in artifacts {
            w.github.upload_artifact(run, name, bytes);
        }
        tell(w, run).await;
        ended = Some(w.ended(&head, CHECK));
        w.read_comments();
    })
    .await;
    ended.unwrap()
}

fn failure(title: &str) -> (String, String) {
    ("failure".to_owned(), format!("{title} in 1m"))
}

#[tokio::test]
async fn a_workflow_that_leaves_nothing_is_not_green() {
    assert_eq!(
        said(&[], "success").await,
        failure("no artifact matches `results*`")
    );
    let page = zip(&[("index.html", "<html/>"), ("log.txt", "all is well\n")]);
    assert_eq!(
        said(&[("results", page)], "success").await,
        failure("there is no report in the artifact")
    );
    let good = zip(&[("junit.xml", &junit(&["a"], &[]))]);
    assert_eq!(
        said(&[("results", good.clone())], "failure").await,
        failure("the workflow failed; 1 passed")
    );
    assert_eq!(
        said(&[("results", good.clone())], "cancelled").await,
        (
            "cancelled".to_owned(),
            "cancelled: the workflow was cancelled".to_owned()
        )
    );
    assert_eq!(
        said(&[], "skipped").await,
        ("skipped".to_owned(), "the workflow was skipped".to_owned())
    );
    assert_eq!(
        said(&[("results", good)], "success").await,
        ("success".to_owned(), "1 passed in 1m".to_owned())
    );
}

#[tokio::test]
async fn bombs_ways_out_and_wrong_kinds_end_in_a_clear_check() {
    let good = || junit(&["a"], &[]);
    // It says of itself that it unpacks to 4 GB.
    let mut bomb = zip(&[("junit.xml", &good())]);
    let size = u32::try_from(good().len()).unwrap().to_le_bytes();
    let places: Vec<usize> = bomb
        .windows(4)
        .enumerate()
        .filter(|(_, four)| *four == size)
        .map(|(at, _)| at)
        .collect();
    for at in places {
        bomb[at..at + 4].copy_from_slice(&4_000_000_000_u32.to_le_bytes());
    }
    let (conclusion, title) = said(&[("results", bomb)], "success").await;
    assert_eq!(conclusion, "failure");
    assert!(
        title.contains("`junit.xml` says that it has 3814 MiB; at most 1024 MiB are read"),
        "{title}"
    );

    let (conclusion, title) = said(
        &[(
            "results",
            zip(&[("../../out.xml", &good()), ("junit.xml", &good())]),
        )],
        "success",
    )
    .await;
    assert_eq!(conclusion, "failure");
    assert!(
        title.contains("`../../out.xml` leads out of the archive"),
        "{title}"
    );

    let (conclusion, title) =
        said(&[("results", b"<html>Sign in</html>".to_vec())], "success").await;
    assert_eq!(conclusion, "failure");
    assert!(
        title.contains("the artifact `results`: is not a zip archive"),
        "{title}"
    );

    let broken = "<testsuite name='s'><testcase name='a'/>";
    let (conclusion, title) = said(&[("results", zip(&[("junit.xml", broken)]))], "success").await;
    assert_eq!(conclusion, "failure");
    assert!(
        title.contains("the report results/junit.xml is broken"),
        "{title}"
    );
}

#[tokio::test]
async fn what_is_too_large_or_expired_is_not_fetched() {
    world(async |w: &mut World| {
        let (_, head) = pull(w, REPORTS_ONLY).await;
        let run = w
            .github
            .ran(&w.project, &ran("pull_request", "change", &head, "success"));
        w.github.upload_artifact(run, "results-huge", b"");
        w.github.upload_artifact(run, "results-old", b"");
        {
            let mut state = w.state();
            state.artifacts[0].said_bytes = 10 << 30;
            state.artifacts[1].expired = true;
        }
        tell(w, run).await;
        let check = w.check(&head, CHECK);
        assert_eq!(check.conclusion.as_deref(), Some("failure"));
        for said in ["has 10240 MiB; at most 1024 MiB are read", "has expired"] {
            assert!(check.summary.contains(said), "{}", check.summary);
        }
        let fetched = |path: &str| {
            w.state()
                .requests
                .iter()
                .any(|asked| asked.path.contains(path))
        };
        assert!(!fetched("/_storage/"));
        w.read_comments();
    })
    .await;
}

#[tokio::test]
async fn trouble_on_the_way_is_tried_again_and_no_failure() {
    world(async |w: &mut World| {
        let (_, head) = pull(w, REPORTS_ONLY).await;
        let run = w
            .github
            .ran(&w.project, &ran("pull_request", "change", &head, "success"));
        w.github
            .upload_artifact(run, "results", &zip(&[("junit.xml", &junit(&["a"], &[]))]));
        w.fault("GET", "/_storage/", 0, 1, What::Dropped);
        w.fault("GET", "/artifacts", 0, 1, What::Status(502));
        tell(w, run).await;
        for _ in 0..6 {
            w.pass(600_000);
            w.drain().await;
        }
        let newest = w.checks(&head, CHECK).pop().unwrap();
        assert_eq!(newest.title, "1 passed in 1m");
        assert_eq!(newest.conclusion.as_deref(), Some("success"));
    })
    .await;
}

#[tokio::test]
async fn where_nobody_knows_whether_a_workflow_is_asked_for_no_check_is_made_of_it() {
    world(async |w: &mut World| {
        let (_, head) = pull(w, REPORTS_ONLY).await;
        let ran = ran("pull_request", "change", &head, "success");
        report(w, &ran, &zip(&[("junit.xml", &junit(&["a"], &[]))])).await;
        assert_eq!(w.ended(&head, CHECK).0, "success");
        // From now on the specification cannot be read.
        w.fault("GET", "/info/refs", 0, 1_000, What::Status(404));
        let mut lint = ran.clone();
        lint.workflow = "Lint".to_owned();
        for ran in [&lint, &ran] {
            let run = w.github.ran(&w.project, ran);
            tell(w, run).await;
        }
        for _ in 0..8 {
            w.pass(600);
            w.drain().await;
        }
        assert!(w.checks(&head, "herald / Lint").is_empty());
        let newest = w.checks(&head, CHECK).pop().unwrap();
        assert!(
            newest.title.contains("could not finish"),
            "{}",
            newest.title
        );
    })
    .await;
}

#[tokio::test]
async fn a_default_branch_has_badges_history_and_pages_of_it() {
    world(async |w: &mut World| {
        w.write(".herald.yml", REPORTS_ONLY);
        let first = w.commit("main");
        let run = w
            .github
            .ran(&w.project, &ran("push", "main", &first, "success"));
        w.github.upload_artifact(
            run,
            "results",
            &zip(&[("junit.xml", &junit(&["a", "b"], &[]))]),
        );
        tell(w, run).await;
        w.write("tests/test_some.py", "one\ntwo\nthree\n");
        let second = w.commit("main");
        let run = w
            .github
            .ran(&w.project, &ran("push", "main", &second, "failure"));
        w.github.upload_artifact(
            run,
            "results",
            &zip(&[("junit.xml", &junit(&["a"], &["b"]))]),
        );
        tell(w, run).await;

        let (_, badge) = w.get("/badges/octo/project/tests.svg").await;
        assert!(badge.contains("1 passed, 1 failed"), "{badge}");
        let (_, badge) = w.get("/badges/octo/project/build.svg?job=actions:ci").await;
        assert!(badge.contains("failing"), "{badge}");
        let check = w.check(&second, CHECK);
        assert!(
            check.summary.contains("probably yours"),
            "{}",
            check.summary
        );
        let (status, _) = w.get("/repos/octo/project/builds/2/jobs/actions:ci").await;
        assert_eq!(status, 303);
        for page in ["", "/builds/2", "/builds/2/tests", "/tests"] {
            let (status, text) = w.get(&format!("/repos/octo/project{page}")).await;
            assert_eq!(status, 200, "{page}: {text}");
        }
        let (_, text) = w.get("/repos/octo/project/builds/2").await;
        assert!(text.contains("CI #2"), "{text}");
        let (status, text) = w.get("/api/v1/repos/octo/project/builds/2").await;
        assert_eq!(status, 200);
        assert!(text.contains("actions:ci"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn it_stands_beside_what_is_built_here() {
    world(async |w: &mut World| {
        let own = "execute: [exit 0]\nactions: {workflows: [CI], artifacts: [\"results*\"]}\n";
        *w.report.lock().unwrap() = Some(junit(&["own"], &[]));
        let (_, head) = pull(w, own).await;
        let run = w
            .github
            .ran(&w.project, &ran("pull_request", "change", &head, "failure"));
        w.github.upload_artifact(
            run,
            "results",
            &zip(&[("junit.xml", &junit(&["a"], &["b"]))]),
        );
        tell(w, run).await;
        assert_eq!(w.ended(&head, "herald").0, "success");
        assert_eq!(w.ended(&head, CHECK).0, "failure");
        assert_eq!(w.status(&head, "herald/build").0, "success");
        // One comment for both, each with its own part.
        let (comment, _) = w.next_comment();
        assert!(comment.contains("1 passed"), "{comment}");
        assert!(comment.contains("1 failed, 1 passed in 1m"), "{comment}");
        assert_eq!(comment.matches("<!--").count(), 1, "{comment}");
        // A line under a text without one between would make it a heading.
        assert!(comment.contains("\n\n---\n\n"), "{comment}");

        // To run it again is to read it again; what is built stays as it is.
        let check = w.check(&head, CHECK);
        let again = w
            .github
            .rerequested(&w.project, &head, Some(&check.external_id));
        w.deliver("check_run", &again).await;
        w.drain().await;
        assert_eq!(w.checks(&head, CHECK).len(), 2);
        assert_eq!(w.checks(&head, "herald").len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_change_that_takes_out_what_is_built_does_not_pass() {
    world(async |w: &mut World| {
        w.write(".herald.yml", "execute: [exit 0]\n");
        let main = w.commit("main");
        w.write(".herald.yml", REPORTS_ONLY);
        let head = w.commit("change");
        w.pull("opened", &head, &main).await;
        w.drain().await;
        assert_eq!(
            w.ended(&head, "herald"),
            (
                "failure".to_owned(),
                "this change removes what .herald.yml builds".to_owned()
            )
        );
        w.read_comments();
    })
    .await;
}

#[tokio::test]
async fn a_push_that_ends_after_its_pull_request_takes_nothing_from_it() {
    world(async |w: &mut World| {
        let (_, head) = pull(w, REPORTS_ONLY).await;
        let green = zip(&[("junit.xml", &junit(&["a"], &[]))]);
        report(w, &ran("pull_request", "change", &head, "success"), &green).await;
        let mut of_push = ran("push", "change", &head, "failure");
        // Dependabot's branches are pushed by Dependabot.
        of_push.by_bot = true;
        let red = zip(&[("junit.xml", &junit(&[], &["a"]))]);
        report(w, &of_push, &red).await;
        let newest = w.checks(&head, CHECK).pop().unwrap();
        assert_eq!(newest.conclusion.as_deref(), Some("failure"));
        // The pull request hears of it.
        let (comment, _) = w.next_comment();
        assert!(comment.contains("1 failed"), "{comment}");
        let (_, build) = w.get("/api/v1/repos/octo/project/builds/1").await;
        assert!(build.contains("\"pull_request\":7"), "{build}");
    })
    .await;
}

#[tokio::test]
async fn a_run_that_is_being_repeated_stays_what_it_was() {
    world(async |w: &mut World| {
        let (_, head) = pull(w, REPORTS_ONLY).await;
        let red = zip(&[("junit.xml", &junit(&[], &["a"]))]);
        report(w, &ran("pull_request", "change", &head, "failure"), &red).await;
        w.read_comments();
        {
            let mut state = w.state();
            let row = state.runs.last_mut().unwrap();
            row["run_attempt"] = json!(2);
            row["conclusion"] = json!(null);
        }
        let check = w.check(&head, CHECK);
        let again = w
            .github
            .rerequested(&w.project, &head, Some(&check.external_id));
        w.deliver("check_run", &again).await;
        w.drain().await;
        let newest = w.checks(&head, CHECK).pop().unwrap();
        assert_eq!(newest.conclusion.as_deref(), Some("failure"), "{newest:#?}");
    })
    .await;
}

#[tokio::test]
async fn a_workflow_behind_another_one_does_not_speak_for_the_default_branch() {
    world(async |w: &mut World| {
        w.write(".herald.yml", REPORTS_ONLY);
        let main = w.commit("main");
        for event in ["workflow_run", "issue_comment"] {
            let files = zip(&[("junit.xml", &junit(&["forged"], &[]))]);
            report(w, &ran(event, "main", &main, "success"), &files).await;
        }
        assert!(w.checks(&main, CHECK).is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_stranger_with_one_of_our_commits_does_not_take_its_check() {
    world(async |w: &mut World| {
        let (main, head) = pull(w, REPORTS_ONLY).await;
        let mut theirs = w.pull_request("opened", &head, &main);
        theirs["number"] = json!(9);
        theirs["pull_request"]["number"] = json!(9);
        theirs["pull_request"]["head"] =
            json!({"ref": "copy", "sha": head, "repo": {"id": 999}, "user": {"login": "eve"}});
        w.deliver("pull_request", &theirs).await;
        w.drain().await;
        let red = zip(&[("junit.xml", &junit(&[], &["a"]))]);
        report(w, &ran("pull_request", "change", &head, "failure"), &red).await;
        let mut of_fork = ran("pull_request", "copy", &head, "success");
        of_fork.fork = Some((999, "eve".to_owned()));
        let green = zip(&[("junit.xml", &junit(&["a"], &[]))]);
        report(w, &of_fork, &green).await;
        let newest = w.checks(&head, CHECK).pop().unwrap();
        assert_eq!(newest.conclusion.as_deref(), Some("failure"), "{newest:#?}");
        let (_, build) = w.get("/api/v1/repos/octo/project/builds/1").await;
        assert!(build.contains("\"pull_request\":7"), "{build}");
        w.read_comments();
    })
    .await;
}
