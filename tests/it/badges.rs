//! What badges say, and how a repository wants them.

use herald::demo::Deployed;
use serde_json::Value;

use crate::world::{World, world};

/// Label, message and colour of a badge.
async fn badge(w: &World, kind: &str) -> (String, String, String) {
    let (_, text) = w.get(&format!("/badges/octo/project/{kind}.json")).await;
    let value: Value = serde_json::from_str(&text).unwrap();
    let part = |name: &str| value[name].as_str().unwrap().to_owned();
    (part("label"), part("message"), part("color"))
}

fn said(label: &str, message: &str, color: &str) -> (String, String, String) {
    (label.to_owned(), message.to_owned(), color.to_owned())
}

async fn push(w: &mut World, specification: &str) -> String {
    w.write(".herald.yml", specification);
    w.write("n", &uuid::Uuid::new_v4().to_string());
    let head = w.commit("main");
    w.push("main", &head, &head).await;
    w.drain().await;
    head
}

#[tokio::test]
async fn labels_and_thresholds_come_from_the_specification() {
    world(async |w: &mut World| {
        w.leave(herald::executor::Act::File {
            kind: herald::protocol::CollectKind::Coverage,
            path: "lcov.info".to_owned(),
            bytes: b"SF:a.rs\nDA:1,1\nDA:2,1\nDA:3,1\nDA:4,0\nend_of_record\n".to_vec(),
        });
        let plain = "execute: [exit 0]\nreports: {coverage: [lcov.info]}\n";
        push(w, plain).await;
        assert_eq!(
            badge(w, "coverage").await,
            said("coverage", "75%", "yellow")
        );
        let wished =
            "badges: {labels: {coverage: 'covered <b>', build: CI}, coverage: {yellow: 75%}}\n";
        push(w, &format!("{plain}{wished}")).await;
        assert_eq!(
            badge(w, "coverage").await,
            said("covered <b>", "75%", "brightgreen")
        );
        assert_eq!(
            badge(w, "build").await,
            said("CI", "passing", "brightgreen")
        );
        let (_, label) = w.get("/badges/octo/project/build.json?label=other").await;
        assert!(label.contains("other"), "{label}");
    })
    .await;
}

#[tokio::test]
async fn release_and_deployment_are_those_that_github_has() {
    world(async |w: &mut World| {
        let grey = |kind: &str| said(kind, "unknown", "lightgrey");
        let head = push(w, "execute: [exit 0]\n").await;
        for kind in ["release", "deploy"] {
            assert_eq!(badge(w, kind).await, grey(kind));
        }
        // A tag of a commit that is built already.
        for tag in ["v0.9.0", "v0.10.0"] {
            w.tag(tag, &head).await;
        }
        w.drain().await;
        assert_eq!(
            badge(w, "release").await,
            said("release", "v0.10.0", "orange")
        );
        let id = w.project.id;
        w.state().releases.push((id, "v1.0.0".to_owned()));
        let deployment = Deployed::by_others(id, "production", "success");
        w.state().deployments.push(deployment);
        push(w, "execute: [exit 1]\n").await;
        assert_eq!(badge(w, "release").await, said("release", "v1.0.0", "blue"));
        assert_eq!(
            badge(w, "deploy").await,
            said("deploy", "production success", "brightgreen")
        );
        // GitHub does not answer: they keep what they said.
        w.fault(
            "GET",
            "/releases/latest",
            0,
            1,
            herald::demo::What::Status(500),
        );
        w.fault("GET", "/deployments", 0, 1, herald::demo::What::Status(403));
        push(w, "execute: [exit 0]\n").await;
        assert_eq!(badge(w, "release").await.1, "v1.0.0");
        assert_eq!(badge(w, "deploy").await.1, "production success");
        assert_eq!(badge(w, "build").await.1, "passing");
    })
    .await;
}
