//! Stories of what jobs get and leave: secrets, caches, artifacts.

use axum::body::Body;
use herald::domain::{RepositoryId, Secret};
use herald::protocol::CollectKind;
use http::Request;
use serde_json::json;

use crate::world::{World, world};

const VALUE: &str = "correct horse battery";

async fn project(w: &World) -> RepositoryId {
    let store = &w.app.parts.store;
    store
        .repository("octo", "project")
        .await
        .unwrap()
        .unwrap()
        .id
}

/// A pull request of a bot, in the base repository.
async fn bot_pull(w: &World, head: &str, base: &str) {
    let mut payload = w.pull_request("opened", head, base);
    payload["pull_request"]["user"]["type"] = "Bot".into();
    w.deliver("pull_request", &payload).await;
}

#[tokio::test]
async fn a_trusted_build_gets_its_secrets_and_nobody_sees_them() {
    world(async |w: &mut World| {
        let report = format!(
            "<testsuite name='s'><testcase name='logs in with {VALUE}'><failure message='no \
             {VALUE}'>password: Y29ycmVjdCBob3JzZSBiYXR0ZXJ5</failure></testcase></testsuite>"
        );
        *w.report.lock().unwrap() = Some(report);
        let (main, head) = w.change("execute: ['say TOKEN', 'exit 1']\nartifacts: ['out/**']\n");
        w.push("main", &main, &head).await;
        w.until_queued(|order| order["secrets"] = json!(["TOKEN"]))
            .await;
        let store = &w.app.parts.store;
        let value = Secret::new(VALUE);
        store
            .keep_secret(&project(w).await, "TOKEN", &value, 1)
            .await
            .unwrap();
        w.drain().await;
        let order = w.executor.orders().remove(0);
        assert_eq!(order.job.secrets, [("TOKEN".to_owned(), VALUE.to_owned())]);
        assert!(
            !order
                .job
                .environment
                .iter()
                .any(|(name, _)| name == "TOKEN")
        );

        let check = w.check(&head, "herald");
        assert_eq!(check.conclusion.as_deref(), Some("failure"));
        let shown = format!("{} {}", check.title, check.summary);
        assert!(shown.contains(r"logs in with \*\*\*"), "{shown}");
        assert!(shown.contains("password: ***"), "{shown}");
        let job = "/repos/octo/project/builds/1/jobs/build";
        let log = w.get(&format!("{job}/log.txt")).await.1;
        assert!(log.contains("it is ***, really\n"), "{log}");
        for text in [
            shown,
            log,
            w.get(job).await.1,
            w.get("/repos/octo/project/builds/1").await.1,
        ] {
            assert!(!text.contains("horse"), "{text}");
        }
        w.assert_nowhere_on_disk("horse");
    })
    .await;
}

#[tokio::test]
async fn a_secret_that_is_not_stored_fails_the_job_before_its_steps() {
    world(async |w: &mut World| {
        let (main, head) = w.change("execute: ['true']\n");
        w.push("main", &main, &head).await;
        w.until_queued(|order| order["secrets"] = json!(["TOKEN"]))
            .await;
        w.drain().await;
        assert!(w.executor.orders().is_empty());
        let words = "the secret TOKEN is not stored; on the server, \"herald admin secret set \
                     octo/project TOKEN\" stores it";
        let ended = w.ended(&head, "herald");
        assert_eq!(ended, ("failure".to_owned(), words.to_owned()));
    })
    .await;
}

#[tokio::test]
async fn a_bots_build_runs_without_secrets() {
    world(async |w: &mut World| {
        let (main, head) = w.change("execute: ['true']\n");
        bot_pull(w, &head, &main).await;
        w.until_queued(|order| order["secrets"] = json!(["TOKEN"]))
            .await;
        w.drain().await;
        assert_eq!(w.executor.orders()[0].job.secrets, []);
        let check = w.check(&head, "herald");
        assert_eq!(check.conclusion.as_deref(), Some("success"));
        let note = "It ran without its secrets; builds of bots never get any.";
        assert!(check.summary.contains(note), "{}", check.summary);
    })
    .await;
}

#[tokio::test]
async fn artifacts_are_kept_and_downloaded_but_never_shown() {
    world(async |w: &mut World| {
        let page = "<script>alert(1)</script>";
        let (main, head) = w.change(&format!(
            "execute: ['leave out/r&d/page 1.html {page}']\nartifacts: ['out/**']\n"
        ));
        w.push("main", &main, &head).await;
        w.drain().await;
        let order = w.executor.orders().remove(0);
        let wanted = &order.job.collect[2];
        assert_eq!(wanted.kind, CollectKind::Artifact);
        assert_eq!(
            (wanted.globs.as_slice(), wanted.defaults),
            (["out/**".to_owned()].as_slice(), false)
        );

        let job = "/repos/octo/project/builds/1/jobs/build";
        let address = format!("{job}/artifacts/out/r%26d/page%201.html");
        let shown = w.get(job).await.1;
        assert!(
            shown.contains(&format!(
                "<a href=\"{address}\">out/r&#38;d/page 1.html</a>"
            )),
            "{shown}"
        );
        assert!(shown.contains("25 B"), "{shown}");
        let request = Request::get(&address).body(Body::empty()).unwrap();
        let (status, headers, bytes) = w.request(request).await;
        assert_eq!((status.as_u16(), bytes.as_str()), (200, page));
        assert_eq!(
            headers["content-disposition"],
            "attachment; filename=\"page 1.html\"; filename*=UTF-8''page%201.html"
        );
        assert_eq!(headers["content-type"], "application/octet-stream");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["content-length"], "25");
        for nothing in [
            "out",
            "other",
            "..%2F..%2F..%2Fherald.db",
            "out/../../build.1/x",
            "%2Fetc%2Fpasswd",
        ] {
            let address = format!("{job}/artifacts/{nothing}");
            assert_eq!(w.get(&address).await.0, 404, "{nothing}");
        }
    })
    .await;
}

#[tokio::test]
async fn folders_are_kept_between_builds_apart_by_trust() {
    world(async |w: &mut World| {
        w.write("go.sum", "one");
        let with_cache = |order: &mut serde_json::Value| {
            order["cache"] = json!({"key": "go-${hash:go.sum}", "paths": ["~/go"]});
        };
        let (main, head) = w.change("execute: ['keep bad']\n");
        // An untrusted build comes first and writes.
        bot_pull(w, &head, &main).await;
        w.until_queued(with_cache).await;
        w.drain().await;
        // What it wrote is of no use to a trusted one, which writes its own.
        w.write(".herald.yml", "execute: ['keep good']\n");
        let second = w.commit("main");
        w.push("main", &main, &second).await;
        w.until_queued(with_cache).await;
        w.drain().await;
        // That is there for the next.
        let third = w.commit("main");
        w.push("main", &second, &third).await;
        w.until_queued(with_cache).await;
        w.drain().await;
        // Another file, another key.
        w.write("go.sum", "two");
        let fourth = w.commit("main");
        w.push("main", &third, &fourth).await;
        w.until_queued(with_cache).await;
        w.drain().await;
        let orders = w.executor.orders();
        let told: Vec<_> = orders
            .iter()
            .map(|order| {
                let cache = order.job.cache.as_ref().unwrap();
                assert_eq!(cache.paths, ["~/go"]);
                let archive = order.cache.as_ref();
                (
                    cache.save,
                    archive.map(|path| std::fs::read_to_string(path).unwrap()),
                )
            })
            .collect();
        let good = Some("good".to_owned());
        assert_eq!(
            told,
            [(true, None), (true, None), (false, good), (true, None)]
        );
    })
    .await;
}
