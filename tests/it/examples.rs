//! Deliveries as GitHub sends them, and as an attacker would: every one is answered, and leads to what
//! the table of events says.

use herald::domain::Event;
use herald::github::{kept, read_event};
use serde_json::{Value, json};

use crate::serve::switch;
use crate::world::World;

/// What is kept of a delivery, which leads to the same as the whole of it, or to the same error.
fn part(event: &str, payload: &Value) -> String {
    let whole = payload.to_string();
    let part = kept(event, whole.clone()).unwrap();
    let [of_part, of_whole] = [&part, &whole].map(|body| {
        let read = read_event("github.com", event, body);
        read.map_err(|error| error.to_string())
    });
    assert_eq!(of_part, of_whole, "{event}: {payload}");
    part
}

/// What a delivery is to lead to, by the table of events.
fn expected(event: &str, payload: &Value) -> &'static str {
    let action = payload["action"].as_str().unwrap_or_default();
    let deleted = payload["deleted"] == json!(true);
    match (event, action) {
        ("pull_request", "opened" | "reopened" | "ready_for_review")
        | ("merge_group", "checks_requested") => "build",
        ("pull_request", "synchronize") => "build the new head",
        ("pull_request", "edited") if !payload["changes"]["base"].is_null() => "build again",
        ("pull_request", "closed") | ("merge_group", "destroyed") => "cancel",
        ("push", _) if !deleted => "build",
        ("check_suite" | "check_run", "rerequested") => "run again",
        ("installation", "created" | "unsuspend" | "new_permissions_accepted")
        | ("installation_repositories", "added") => "register",
        ("installation", "deleted" | "suspend") => "pause",
        ("installation_repositories", "removed") | ("repository", "deleted") => "forget",
        ("repository", _) => "remember",
        ("workflow_run", "completed") => "read reports",
        _ => "nothing",
    }
}

fn found(event: &Event) -> &'static str {
    match event {
        Event::PullRequestOpened { .. } | Event::Pushed { .. } | Event::MergeGroupMade { .. } => {
            "build"
        }
        Event::PullRequestUpdated { .. } => "build the new head",
        Event::PullRequestRetargeted { .. } => "build again",
        Event::PullRequestClosed { .. } | Event::MergeGroupDestroyed { .. } => "cancel",
        Event::Rerequested { .. } => "run again",
        Event::Installed { left, .. } if left.is_empty() => "register",
        Event::Uninstalled { .. } => "pause",
        Event::Installed { .. } | Event::RepositoryDeleted { .. } => "forget",
        Event::RepositoryChanged { .. } => "remember",
        Event::WorkflowEnded { .. } => "read reports",
        Event::Asked { .. } => "ask",
        Event::Ignored { .. } => "nothing",
    }
}

/// The examples of the public package `@octokit/webhooks-examples`, which `tests/run --all` installs.
#[tokio::test]
async fn every_public_example_is_answered_and_leads_to_what_the_table_says() {
    let Some(package) = switch("HERALD_TEST_WEBHOOKS") else {
        return;
    };
    let w = World::new().await;
    let mut seen = 0;
    for host in ["api.github.com", "ghes-35"] {
        let file = std::path::Path::new(&package).join(host).join("index.json");
        let events: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        for event in events.as_array().unwrap() {
            let name = event["name"].as_str().unwrap();
            for example in event["examples"].as_array().unwrap() {
                let mut payload = example.clone();
                // An App always gets it; some examples come from a repository's own webhook.
                if payload["installation"].is_null() {
                    payload["installation"] = json!({"id": 2001});
                }
                let guid = uuid::Uuid::new_v4().to_string();
                assert_eq!(w.deliver_as(&guid, name, &payload).await, 202, "{payload}");
                let read = read_event("github.com", name, &payload.to_string()).unwrap();
                assert_eq!(found(&read), expected(name, &payload), "{name}: {payload}");
                part(name, &payload);
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 454, "of version 7.6.1");
    // They are of repositories that this GitHub does not have; handled they are all the same.
    w.drain().await;
    assert_eq!(w.waiting().await.deliveries, 0);
    assert_eq!(w.failed_deliveries().await, 0);
}

/// Replaces the value at a JSON pointer.
fn with(payload: &Value, at: &str, value: Value) -> Value {
    let mut payload = payload.clone();
    *payload.pointer_mut(at).unwrap_or_else(|| panic!("no {at}")) = value;
    payload
}

#[tokio::test]
async fn hostile_deliveries_are_answered_and_harm_nobody() {
    let w = World::new().await;
    let (main, head) = w.change("execute: [exit 0]\n");
    let pull = w.pull_request("opened", &head, &main);
    let push = w.github.push(&w.project, "main", &main, &head);
    let mut deep = json!({});
    for _ in 0..100 {
        deep = json!({"a": deep});
    }
    let hostile = [
        (
            "pull_request",
            with(&pull, "/pull_request/head/sha", json!("main; rm -rf /")),
        ),
        (
            "pull_request",
            with(&pull, "/pull_request/head/sha", json!("a".repeat(39))),
        ),
        (
            "pull_request",
            with(&pull, "/pull_request/head/sha", json!(["a"])),
        ),
        (
            "pull_request",
            with(&pull, "/pull_request/head/repo", Value::Null),
        ),
        (
            "pull_request",
            with(&pull, "/pull_request/head/repo", json!({"id": -1})),
        ),
        (
            "pull_request",
            with(&pull, "/pull_request/number", json!(i64::MAX)),
        ),
        (
            "pull_request",
            with(&pull, "/pull_request/number", json!(1e300)),
        ),
        (
            "pull_request",
            with(&pull, "/pull_request/base/ref", json!("../../etc\u{0}\n")),
        ),
        (
            "pull_request",
            with(&pull, "/pull_request/user", Value::Null),
        ),
        ("pull_request", with(&pull, "/pull_request", Value::Null)),
        (
            "pull_request",
            with(&pull, "/repository/owner", json!({"id": 1})),
        ),
        (
            "pull_request",
            with(&pull, "/repository/name", json!("../../x")),
        ),
        ("pull_request", with(&pull, "/sender", json!("root"))),
        (
            "pull_request",
            with(&pull, "/installation", json!({"id": "2001"})),
        ),
        ("pull_request", with(&pull, "/action", json!(7))),
        (
            "push",
            with(&push, "/after", json!("--upload-pack=touch /tmp/x")),
        ),
        ("push", with(&push, "/ref", json!("refs/heads/-f --exec=x"))),
        ("push", with(&push, "/ref", json!("x".repeat(300_000)))),
        ("push", json!([])),
        ("push", json!({})),
        ("check_run", json!({"action": "rerequested"})),
        (
            "check_run",
            json!({"action": "requested_action", "requested_action": null, "check_run": {"head_sha": head, "external_id": "'; DROP TABLE builds; --"}}),
        ),
        (
            "issue_comment",
            json!({"action": "created", "comment": {"id": 1, "body": "/herald approve"}}),
        ),
        (
            "merge_group",
            json!({"action": "checks_requested", "merge_group": {}}),
        ),
        ("installation", json!({"action": "deleted"})),
        (
            "installation_repositories",
            json!({"action": "removed", "repositories_removed": [{}]}),
        ),
        (
            "repository",
            json!({"action": "renamed", "repository": null}),
        ),
        ("push", deep),
        ("../../etc/passwd", json!({})),
    ];
    for (event, payload) in hostile {
        if payload.is_object() {
            part(event, &payload);
        }
        let guid = uuid::Uuid::new_v4().to_string();
        let status = w.deliver_as(&guid, event, &payload).await;
        assert!(status.as_u16() < 500, "{status}: {payload}");
        w.drain().await;
    }
    assert_eq!(w.waiting().await.deliveries, 0);
    assert!(w.executor.orders().len() <= 1, "{:?}", w.executor.orders());
    // And the next good one is built.
    w.write("good", "x");
    let good = w.commit("good");
    w.push("main", &head, &good).await;
    w.drain().await;
    assert_eq!(w.ended(&good, "herald").0, "success");
}

#[tokio::test]
async fn of_a_delivery_only_what_is_looked_at_is_stored() {
    let w = World::new().await;
    let (main, head) = w.change("execute: ['true']\n");
    let mut pull = w.pull_request("opened", &head, &main);
    pull["pull_request"]["body"] = json!("Call Marker Person. ".repeat(500));
    pull["sender"]["email"] = json!("marker@example.org");
    let part = part("pull_request", &pull);
    assert!(part.len() < 2_000 && part.contains(&head), "{part}");
    let unread = json!({"action": "created", "sender": {"login": "marker"}});
    let odd = json!({"action": "opened", "installation": {"id": "odd"}});
    let bare = json!({"ref": "refs/heads/main", "changed": true});
    for (guid, event, payload, stored) in [
        ("1", "pull_request", &pull, part),
        ("2", "star", &unread, "{}".to_owned()),
        // Handling it says why it cannot be read.
        ("3", "pull_request", &odd, odd.to_string()),
        ("4", "push", &bare, bare.to_string()),
    ] {
        assert_eq!(w.deliver_as(guid, event, payload).await, 202);
        assert_eq!(w.body_of_delivery(guid).await, stored);
        assert!(!stored.contains("arker"), "{stored}");
    }
    w.drain().await;
    assert_eq!(w.ended(&head, "herald").0, "success");
    assert_eq!(w.failed_deliveries().await, 2);
}
