//! What is let go when it is older than it is kept, and what is known of those who have left.

use herald::app::Dropped;
use herald::executor::Act;
use herald::protocol::CollectKind;
use http::StatusCode;
use tokio_util::sync::CancellationToken;

use crate::events::installation;
use crate::world::{World, world};

const DAY: i64 = 86_400;

async fn prune(w: &World) -> Dropped {
    w.app.prune(&CancellationToken::new()).await.unwrap()
}

/// A push of a new commit, built.
async fn build(w: &World, before: &str) -> String {
    let commit = w.commit("main");
    w.push("main", before, &commit).await;
    w.drain().await;
    commit
}

async fn status(w: &World, path: &str) -> StatusCode {
    w.get(path).await.0
}

#[tokio::test]
async fn each_thing_goes_when_its_time_is_up_and_pages_say_so() {
    world(async |w: &mut World| {
        w.write(
            ".herald.yml",
            "execute: ['leave out/a.txt text']\nartifacts: ['out/**']\n",
        );
        let first = w.commit("main");
        w.push("main", &first, &first).await;
        w.drain().await;
        let page = "/repos/octo/project/builds/1";
        let log = format!("{page}/jobs/build/log.txt");
        let artifact = format!("{page}/jobs/build/artifacts/out/a.txt");
        for path in [page, &log, &artifact] {
            assert_eq!(status(w, path).await, 200, "{path}");
        }
        assert_eq!(prune(w).await, Dropped::default());
        w.pass(14 * DAY + 1);
        assert_eq!(prune(w).await.deliveries, 1);
        w.pass(16 * DAY);
        assert_eq!(prune(w).await.artifacts, 1);
        assert_eq!(prune(w).await, Dropped::default(), "it does not go twice");
        assert_eq!(status(w, &artifact).await, 404);
        assert_eq!(status(w, &log).await, 200);
        w.pass(60 * DAY);
        assert_eq!(prune(w).await.logs, 1);
        assert_eq!(status(w, &log).await, 404);
        assert_eq!(status(w, &format!("{page}/jobs/build")).await, 200);
        let second = build(w, &first).await;
        w.pass(311 * DAY);
        let dropped = prune(w).await;
        assert_eq!(dropped.builds, 1, "{dropped}");
        assert_eq!(status(w, page).await, 404);
        assert_eq!(status(w, "/repos/octo/project/builds/2").await, 200);
        w.pass(1000 * DAY);
        assert_eq!(prune(w).await.builds, 0, "the last one of a branch stays");
        let (_, badge) = w.get("/badges/octo/project/build.svg").await;
        assert!(badge.contains("passing"), "{badge}");
        // The number of a build that is gone is not given again.
        build(w, &second).await;
        assert_eq!(status(w, "/repos/octo/project/builds/3").await, 200);
    })
    .await;
}

#[tokio::test]
async fn a_build_that_ran_again_is_as_old_as_its_last_attempt() {
    world(async |w: &mut World| {
        w.write(".herald.yml", "execute: ['exit 1']\n");
        let head = w.commit("main");
        w.push("main", &head, &head).await;
        w.drain().await;
        w.pass(91 * DAY);
        assert_eq!(prune(w).await.logs, 1);
        let rerun = w.github.rerequested(&w.project, &head, None);
        w.deliver("check_suite", &rerun).await;
        w.drain().await;
        let log = "/repos/octo/project/builds/1/jobs/build/log.txt";
        assert_eq!(status(w, log).await, 200);
        w.pass(89 * DAY);
        assert_eq!(prune(w).await.logs, 0);
        w.pass(2 * DAY);
        assert_eq!(prune(w).await.logs, 1);
        assert_eq!(status(w, log).await, 404);
    })
    .await;
}

#[tokio::test]
async fn of_an_app_that_was_uninstalled_nothing_is_left_after_a_while() {
    world(async |w: &mut World| {
        w.write(
            ".herald.yml",
            "execute: ['leave out/a.txt text']\nartifacts: ['out/**']\nreports: {tests: ['r.xml']}\n",
        );
        w.leave(Act::File {
            kind: CollectKind::Tests,
            path: "r.xml".to_owned(),
            bytes: b"<testsuite><testcase name=\"a\"/></testsuite>".to_vec(),
        });
        let first = w.commit("main");
        w.push("main", &first, &first).await;
        w.drain().await;
        let payload = installation("deleted");
        w.deliver("installation", &payload).await;
        w.drain().await;
        w.pass(29 * DAY);
        let kept = prune(w).await;
        assert_eq!((kept.repositories, kept.builds), (0, 0));
        // It comes back in time: nothing is lost.
        let payload = installation("created");
        w.deliver("installation", &payload).await;
        w.drain().await;
        w.pass(10 * DAY);
        assert_eq!(prune(w).await.repositories, 0);
        assert_eq!(status(w, "/repos/octo/project/builds/1").await, 200);
        // Shut out is not removed.
        let payload = installation("suspend");
        w.deliver("installation", &payload).await;
        w.drain().await;
        w.pass(40 * DAY);
        assert_eq!(prune(w).await.repositories, 0);
        let payload = installation("deleted");
        w.deliver("installation", &payload).await;
        w.drain().await;
        w.pass(31 * DAY);
        assert_eq!(prune(w).await.repositories, 1);
        for table in [
            "builds", "jobs", "job_results", "triggers", "publications", "measures", "badges", "tests",
            "attempts", "pulls", "repositories", "repository_names", "installations",
        ] {
            assert_eq!(w.rows(table).await, 0, "{table}");
        }
        let files = |folder: &str| {
            let entries = walkdir::WalkDir::new(w.dir.path().join(folder)).into_iter();
            entries
                .filter_map(Result::ok)
                .filter(|entry| entry.file_type().is_file())
                .filter(|entry| entry.path().extension().is_none_or(|ending| ending != "lock"))
                .count()
        };
        for folder in ["logs", "artifacts", "cache", "git"] {
            assert_eq!(files(folder), 0, "{folder}");
        }
        assert_eq!(status(w, "/repos/octo/project").await, 404);
    })
    .await;
}
