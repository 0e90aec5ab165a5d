//! Backups of a server that runs, brought back on an empty machine; and the way from SQLite to PostgreSQL.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::engine::Engine;
use crate::serve::{Forge, Herald, switch};

/// `herald admin` on a data directory.
fn admin(data: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_herald"))
        .arg("admin")
        .args(arguments)
        .env_clear()
        .env("HERALD_DATA_DIR", data)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn done(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    told
}

const SPECIFICATION: &str = r#"jobs:
  build:
    secrets: [TOKEN]
    execute:
      - 'printf "the token has %s letters\n" "${#TOKEN}"'
      - 'mkdir -p out r && echo kept > out/a.txt && printf "<testsuite><testcase name=\"a\"/></testsuite>" > r/junit.xml'
    artifacts: ['out/**']
    reports: {tests: ['r/*.xml']}
"#;

/// A server with a build of `main` that used a secret.
async fn built(forge: &Forge) -> (Herald, String) {
    forge.write(".herald.yml", SPECIFICATION);
    let main = forge.commit("main");
    let herald = Herald::start(forge);
    // The repository is known from its first delivery.
    build(&herald, forge, &main).await;
    (herald, main)
}

async fn build(herald: &Herald, forge: &Forge, commit: &str) {
    let payload = forge.github.push(&forge.project, "main", commit, commit);
    assert_eq!(herald.deliver(forge, "push", &payload).await, 202);
    forge.completed(commit, "herald").await;
}

const LOG: &str = "/repos/octo/project/builds/2/jobs/build/log.txt";
const SECRET: [&str; 5] = ["secret", "set", "octo/project", "TOKEN", "--from-file"];

/// Badges, history, logs, artifacts: what people see of a server.
async fn seen(herald: &Herald) -> Vec<String> {
    let mut seen = Vec::new();
    for path in [
        "/badges/octo/project/build.svg",
        "/badges/octo/project/tests.svg",
        "/api/v1/repos/octo/project/builds",
        "/repos/octo/project/tests",
        LOG,
        "/repos/octo/project/builds/2/jobs/build/artifacts/out/a.txt",
    ] {
        let (status, body) = herald.get(path).await;
        assert_eq!(status, 200, "{path} {body}");
        seen.push(body);
    }
    assert!(seen[0].contains("passing"), "{}", seen[0]);
    assert!(seen[4].contains("the token has 11 letters"), "{}", seen[4]);
    assert!(seen[5].contains("kept"), "{}", seen[5]);
    seen
}

/// A server with two builds, the second of which has seen a secret of eleven letters.
async fn with_secret(forge: &Forge) -> Herald {
    let (herald, _) = built(forge).await;
    let data = forge.dir.path().join("data");
    let value = forge.dir.path().join("value");
    std::fs::write(&value, "open-sesame").unwrap();
    let set = [&SECRET[..], &[value.to_str().unwrap()]].concat();
    done(&admin(&data, &set, &[]));
    forge.write("README", "more\n");
    let next = forge.commit("more");
    build(&herald, forge, &next).await;
    herald
}

/// The server on another data directory.
fn elsewhere(forge: &Forge, data: &Path) -> Command {
    let mut command = Herald::command(forge);
    command.env("HERALD_DATA_DIR", data);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_running_server_is_all_of_it_on_an_empty_machine() {
    let forge = Forge::new(false).await;
    let mut herald = with_secret(&forge).await;
    let before = seen(&herald).await;
    let data = forge.dir.path().join("data");
    let file = forge.dir.path().join("herald.tar");
    let path = file.to_str().unwrap();
    let told = done(&admin(&data, &["backup", path], &[]));
    assert!(
        told.contains("key that opens its secrets is not in it"),
        "{told}"
    );
    let key = std::fs::read_to_string(data.join("secret.key")).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let holds = |text: &str| {
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    assert!(!holds(key.trim()), "the key is in the backup");
    assert!(!holds("open-sesame"), "a secret is in the backup");
    herald.kill();

    // Without the key everything but secrets is back, and it says so.
    let empty = forge.dir.path().join("restored");
    let output = admin(&empty, &["restore", path], &[]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("Restored: 2 builds of 1 repositories"),
        "{told}"
    );
    assert!(told.contains("1 of 1 secrets do not open"), "{told}");
    // Never over something that is there.
    let again = admin(&empty, &["restore", path], &[]);
    assert_eq!(again.status.code(), Some(2));
    std::fs::write(empty.join("secret.key"), &key).unwrap();
    let mut restored = Herald::spawn(elsewhere(&forge, &empty));
    assert_eq!(seen(&restored).await, before);
    forge.write("README", "even more\n");
    let next = forge.commit("even more");
    build(&restored, &forge, &next).await;
    let (_, log) = restored
        .get("/repos/octo/project/builds/3/jobs/build/log.txt")
        .await;
    assert!(log.contains("the token has 11 letters"), "{log}");
    restored.kill();

    // With the key, and through a pipe.
    let whole = admin(&empty, &["backup", "--with-key", "-"], &[]);
    done(&whole);
    let second = forge.dir.path().join("second.tar");
    std::fs::write(&second, &whole.stdout).unwrap();
    let machine = forge.dir.path().join("machine");
    let told = done(&admin(
        &machine,
        &["restore", second.to_str().unwrap()],
        &[],
    ));
    assert!(told.contains("All 1 secrets open"), "{told}");

    // What is damaged is not brought back at all.
    let mut damaged = whole.stdout.clone();
    let at = damaged.len() / 2;
    damaged[at] ^= 1;
    std::fs::write(&second, &damaged).unwrap();
    let third = forge.dir.path().join("third");
    let output = admin(&third, &["restore", second.to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let left: Vec<_> = std::fs::read_dir(&third).unwrap().collect();
    assert_eq!(left.len(), 1, "the lock and nothing else: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_moves_to_postgresql_with_everything_and_back_by_a_backup() {
    if switch("HERALD_TEST_POSTGRES").is_none() {
        return;
    }
    let forge = Forge::new(false).await;
    let mut herald = with_secret(&forge).await;
    let before = seen(&herald).await;
    let data = forge.dir.path().join("data");
    let engine = Engine::postgres().await;
    let key = std::fs::read_to_string(data.join("secret.key")).unwrap();
    let on_postgres = [
        ("HERALD_DATABASE_URL", engine.address()),
        ("HERALD_SECRET_KEY", key.trim()),
    ];
    let output = admin(&data, &["migrate"], &on_postgres);
    assert_ne!(output.status.code(), Some(0), "the server runs still");
    herald.kill();
    let wrong = [on_postgres[0], ("HERALD_SECRET_KEY", &"00".repeat(32))];
    let output = admin(&data, &["migrate"], &wrong);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let told = done(&admin(&data, &["migrate"], &on_postgres));
    assert!(told.contains("Copied: "), "{told}");
    let again = admin(&data, &["migrate"], &on_postgres);
    assert!(!again.status.success(), "it is not empty any more");

    let mut command = elsewhere(&forge, &data);
    command.envs(on_postgres);
    let mut moved = Herald::spawn(command);
    assert_eq!(seen(&moved).await, before);
    forge.write("README", "on PostgreSQL\n");
    let next = forge.commit("on PostgreSQL");
    build(&moved, &forge, &next).await;
    let with_three = seen(&moved).await;
    let file = forge.dir.path().join("herald.tar");
    done(&admin(
        &data,
        &["backup", file.to_str().unwrap()],
        &on_postgres,
    ));
    moved.kill();

    let empty = forge.dir.path().join("restored");
    let key = [on_postgres[1]];
    let told = done(&admin(&empty, &["restore", file.to_str().unwrap()], &key));
    assert!(told.contains("Restored: 3 builds"), "{told}");
    let mut command = elsewhere(&forge, &empty);
    command.env("HERALD_SECRET_KEY", key[0].1);
    let restored = Herald::spawn(command);
    assert_eq!(seen(&restored).await, with_three);
}
