//! A disk that is full, and one that has become read-only: in a small file system of the server's own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use herald::store::SqlStore;
use nix::sys::signal::Signal;
use serde_json::json;

use crate::serve::{Forge, Herald, switch};

/// A command behind a script that runs with mounts of its own.
fn in_mounts(plain: &Command, script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-eu", "-c", script]);
    command.arg(plain.get_program()).args(plain.get_args());
    command.env_clear();
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap());
    }
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// The server on another data directory.
fn elsewhere(forge: &Forge, data: &Path) -> Command {
    let mut command = Herald::command(forge);
    command.env("HERALD_DATA_DIR", data);
    command
}

/// A server whose data directory is a file system of that size, which only it sees.
fn on_small_disk(forge: &Forge, size: &str) -> Herald {
    let data = forge.dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let script = format!(
        "mount -t tmpfs -o size={size} herald {} && exec \"$0\" \"$@\"",
        data.display()
    );
    let mut command = in_mounts(&Herald::command(forge), &script);
    command.stderr(Stdio::piped());
    Herald::spawn(command)
}

/// The data directory as the server sees it.
fn inside(herald: &Herald, forge: &Forge) -> PathBuf {
    let data = forge.dir.path().join("data");
    let data = data.strip_prefix("/").unwrap();
    Path::new("/proc")
        .join(herald.child.id().to_string())
        .join("root")
        .join(data)
}

/// Deliveries that nothing follows from, each larger than the one before, whose room is free again, until one is answered
/// otherwise; those that were acknowledged.
async fn until_refused(herald: &Herald, forge: &Forge) -> Vec<String> {
    let mut kept = Vec::new();
    for number in 0..200 {
        let payload = json!({"zen": "x".repeat(100_000 * number)});
        let guid = uuid::Uuid::new_v4().to_string();
        match herald.deliver_as(forge, "ping", &guid, &payload).await {
            202 => kept.push(guid),
            status => {
                assert_eq!(status, 503);
                return kept;
            }
        }
    }
    panic!("all of them have room");
}

/// Every one of them is there once, and the file is sound: in a copy of what is on the disk while the server stands still, for
/// SQLite would follow the link in the way to the server's mounts and find others there.
async fn are_kept(herald: &Herald, forge: &Forge, kept: &[String]) {
    let copies = tempfile::tempdir().unwrap();
    herald.signal(Signal::SIGSTOP);
    for name in ["herald.db", "herald.db-wal"] {
        let original = inside(herald, forge).join(name);
        std::fs::copy(original, copies.path().join(name)).unwrap();
    }
    herald.signal(Signal::SIGCONT);
    let file = copies.path().join("herald.db");
    let store = SqlStore::sqlite_beside(&file).await.unwrap();
    assert_eq!(store.faults().await.unwrap(), Vec::<String>::new());
    let pool = sqlx::AnyPool::connect(&format!("sqlite://{}", file.display()))
        .await
        .unwrap();
    for guid in kept {
        let count: (i64,) = sqlx::query_as("SELECT COUNT(*) FROM deliveries WHERE guid = $1")
            .bind(guid)
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(count.0, 1, "{guid}");
    }
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_or_read_only_disk_loses_nothing_and_is_survived() {
    if switch("HERALD_TEST_MOUNTS").is_none() {
        return;
    }
    let forge = Forge::new(false).await;
    forge.write(".herald.yml", "execute: ['true']\n");
    let main = forge.commit("main");
    let herald = on_small_disk(&forge, "24m");
    let push = forge.github.push(&forge.project, "main", &main, &main);
    assert_eq!(herald.deliver(&forge, "push", &push).await, 202);
    forge.completed(&main, "herald").await;
    let badge = "/badges/octo/project/build.svg";

    let mut kept = Vec::new();
    for _ in 0..3 {
        let guid = uuid::Uuid::new_v4().to_string();
        let status = herald.deliver_as(&forge, "ping", &guid, &json!({})).await;
        assert_eq!(status, 202);
        kept.push(guid);
    }
    let fill = inside(&herald, &forge).join("fill");
    let mut file = std::fs::File::create(&fill).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    kept.extend(until_refused(&herald, &forge).await);
    assert_eq!(herald.get("/readyz").await.0, 503);
    assert_eq!(herald.get("/healthz").await.0, 200);
    let (status, svg) = herald.get(badge).await;
    assert_eq!(status, 200);
    assert!(svg.contains("passing"), "{svg}");
    std::fs::remove_file(&fill).unwrap();
    assert_eq!(herald.get("/readyz").await.0, 200);
    // What GitHub could not deliver it delivers again.
    let next = forge.commit("next");
    let push = forge.github.push(&forge.project, "main", &main, &next);
    assert_eq!(herald.deliver(&forge, "push", &push).await, 202);
    forge.completed(&next, "herald").await;
    are_kept(&herald, &forge, &kept).await;

    // A disk that is read-only from the start is said to be so, and nothing is done to it.
    drop(herald);
    let data = forge.dir.path().join("still");
    let mut herald = Herald::spawn(elsewhere(&forge, &data));
    let push = forge.github.push(&forge.project, "main", &next, &next);
    assert_eq!(herald.deliver(&forge, "push", &push).await, 202);
    herald.kill();
    let script = format!(
        "mount --bind {0} {0} && mount -o remount,bind,ro {0} && exec \"$0\" \"$@\"",
        data.display()
    );
    let output = in_mounts(&elsewhere(&forge, &data), &script)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("Read-only file system"), "{told}");
    assert!(told.contains(&data.display().to_string()), "{told}");
    let again = Herald::spawn(elsewhere(&forge, &data));
    assert_eq!(again.get("/readyz").await.0, 200);
}
