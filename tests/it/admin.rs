//! `herald admin`: with a running server, and without one.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::serve::{Forge, Herald};

/// How a command ended: status, output, and what it told.
fn admin(data: &Path, arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_herald"))
        .arg("admin")
        .args(arguments)
        .env_clear()
        .env("HERALD_DATA_DIR", data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Fails where the command ends without reading.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn names(listed: &str) -> Vec<&str> {
    listed
        .lines()
        .map(|line| line.split('\t').next().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_kept_with_a_running_server_and_without_one() {
    let forge = Forge::new(false).await;
    forge.write(".herald.yml", "execute: ['true']\n");
    let main = forge.commit("main");
    forge.branch("change");
    let head = forge.commit("change");
    let data = forge.dir.path().join("data");
    let project = "octo/project";

    let (status, _, told) = admin(&data, &["secret", "list", project], "");
    assert_eq!(status, 2, "{told}");
    assert!(told.contains("there is no Herald in"), "{told}");

    let mut herald = Herald::start(&forge);
    herald
        .open_pull_request(&forge, "opened", &head, &main)
        .await;
    forge.completed(&head, "herald").await;
    let mode = |file: &str| {
        let kept = std::fs::metadata(data.join(file)).unwrap();
        kept.permissions().mode() & 0o777
    };
    assert_eq!((mode("admin.sock"), mode("secret.key")), (0o600, 0o600));
    let set = ["secret", "set", project, "TOKEN"];
    let (status, output, told) = admin(&data, &set, "hunter2hunter2\n");
    assert_eq!((status, output.as_str()), (0, ""), "{told}");
    let (status, listed, told) = admin(&data, &["secret", "list", project], "");
    assert_eq!((status, names(&listed)), (0, vec!["TOKEN"]), "{told}");
    // What is no request is refused, and neither repeated nor followed by anything.
    for nonsense in [
        "hunter2 is no JSON\n",
        "{\"request\":\"set_secret\",\"value\":\"hunter2\"}\n",
    ] {
        let mut socket = std::os::unix::net::UnixStream::connect(data.join("admin.sock")).unwrap();
        socket.write_all(nonsense.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("{\"answer\":\"wrong\""), "{answer}");
        assert!(!answer.contains("hunter2"), "{answer}");
    }
    herald.kill();

    // The socket is still there, but nobody answers on it.
    let file = forge.dir.path().join("value");
    std::fs::write(&file, "-----BEGIN\nhunter3hunter3\n").unwrap();
    let from = ["secret", "set", project, "KEY", "--from-file"];
    let from = [from.as_slice(), &[file.to_str().unwrap()]].concat();
    assert_eq!(admin(&data, &from, "").0, 0);
    let (status, listed, told) = admin(&data, &["secret", "list", "Octo/Project"], "");
    assert_eq!(
        (status, names(&listed)),
        (0, vec!["KEY", "TOKEN"]),
        "{told}"
    );
    let remove = ["secret", "remove", project, "KEY"];
    assert_eq!(admin(&data, &remove, "").0, 0);
    let (status, _, told) = admin(&data, &remove, "");
    assert_eq!(status, 2, "{told}");
    assert!(told.contains("octo/project has no secret `KEY`"), "{told}");
    for (arguments, input, words) in [
        (
            ["secret", "set", project, "token"],
            "x",
            "no name of a secret",
        ),
        (["secret", "set", project, "HERALD_X"], "x", "set by Herald"),
        (
            ["secret", "set", "octo/other", "TOKEN"],
            "x",
            "no repository octo/other",
        ),
        (
            ["secret", "set", project, "TOKEN"],
            "\n",
            "the value is empty",
        ),
        (
            ["secret", "set", project, "TOKEN"],
            &"x".repeat(60_000),
            "at most 49152",
        ),
    ] {
        let (status, _, told) = admin(&data, &arguments, input);
        assert_eq!(status, 2, "{told}");
        assert!(told.contains(words), "{told}");
    }
    for kept in walkdir::WalkDir::new(&data) {
        let kept = kept.unwrap();
        if kept.file_type().is_file() {
            let bytes = std::fs::read(kept.path()).unwrap();
            let found = bytes
                .windows(7)
                .any(|window| window == b"hunter2" || window == b"hunter3");
            assert!(!found, "{}", kept.path().display());
        }
    }
    assert!(!herald.log.lock().unwrap().contains("hunter"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_approves_the_commit_that_waits_and_no_other() {
    let forge = Forge::new(false).await;
    forge.write(".herald.yml", "execute: [exit 0]\n");
    let main = forge.commit("main");
    forge.branch("change");
    let head = forge.commit("change");
    let data = forge.dir.path().join("data");
    let herald = Herald::start(&forge);
    let project = &forge.project;
    let mut payload =
        forge
            .github
            .pull_request(project, "opened", 7, ("change", &head), ("main", &main));
    payload["pull_request"]["head"]["repo"] = serde_json::Value::Null;
    assert_eq!(herald.deliver(&forge, "pull_request", &payload).await, 202);
    // This server's executor does not isolate, so the build waits for no approval.
    let check = forge.completed(&head, "herald").await;
    assert_eq!(check.conclusion.as_deref(), Some("action_required"));
    let approve = |pull: &str, commit: &str| {
        let (status, _, told) = admin(&data, &["approve", "octo/project", pull, commit], "");
        assert_eq!(status, 2, "{told}");
        told
    };
    for (pull, commit, words) in [
        (
            "7",
            head.as_str(),
            "nothing in pull request #7 of octo/project waits",
        ),
        ("8", head.as_str(), "nothing in pull request #8"),
        ("7", "main", "nothing in pull request #7"),
    ] {
        let told = approve(pull, commit);
        assert!(told.contains(words), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_listed_and_one_that_failed_is_handled_again() {
    let forge = Forge::new(false).await;
    let data = forge.dir.path().join("data");
    let mut herald = Herald::start(&forge);
    let ping = serde_json::json!({"zen": "x"});
    // A pull request without what belongs to one: never understood.
    let broken = serde_json::json!({"action": "opened", "repository": {}});
    for (guid, event, payload) in [
        ("11111111-aaaa", "ping", &ping),
        ("22222222-bbbb", "pull_request", &broken),
    ] {
        let answer = herald.deliver_as(&forge, event, guid, payload).await;
        assert_eq!(answer, 202);
    }
    let handled = |text: &str| !text.contains("waiting");
    let list = ["deliveries", "list"];
    let mut listed = String::new();
    for _ in 0..1_000 {
        listed = admin(&data, &list, "").1;
        if handled(&listed) {
            break;
        }
    }
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 2, "{listed}");
    assert!(listed.contains("11111111-aaaa\tping\t"), "{listed}");
    let (status, failed, told) = admin(&data, &["deliveries", "list", "--failed"], "");
    assert_eq!(
        (status, names(&failed)),
        (0, vec!["22222222-bbbb"]),
        "{told}"
    );
    assert!(failed.contains("\tfailed\tread a pull_request"), "{failed}");
    let limited = admin(&data, &["deliveries", "list", "--limit", "1"], "").1;
    assert_eq!(limited.lines().count(), 1);

    let (status, _, told) = admin(&data, &["deliveries", "replay", "11111111-aaaa"], "");
    assert_eq!(status, 2, "{told}");
    assert!(told.contains("11111111-aaaa was handled"), "{told}");
    let (status, _, told) = admin(&data, &["deliveries", "replay", "no-such"], "");
    assert_eq!(status, 2, "{told}");
    assert!(told.contains("there is no delivery no-such"), "{told}");
    let (status, _, told) = admin(&data, &["deliveries", "replay", "22222222-bbbb"], "");
    assert_eq!(status, 0, "{told}");
    assert!(told.contains("22222222-bbbb is handled again"), "{told}");
    herald.kill();

    // Without a server it waits for the next one.
    let replay = ["deliveries", "replay", "22222222-bbbb"];
    assert_eq!(admin(&data, &replay, "").0, 0);
    let listed = admin(&data, &list, "").1;
    assert!(listed.contains("22222222-bbbb\tpull_request\t"), "{listed}");
    assert!(!handled(&listed), "{listed}");
}
