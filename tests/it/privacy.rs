//! A marker person, planted wherever a build and an operator can plant one: shown as a whole, and then erased.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::serve::{Forge, Herald};
use crate::world::git;

const LOGIN: &str = "marker-person";
const ADDRESS: &str = "marker@example.org";
const ID: i64 = 4_711_000;

fn herald(forge: &Forge, arguments: &[&str]) -> Output {
    herald_with(forge, arguments, "")
}

/// The same with a token, where it is not empty.
fn herald_with(forge: &Forge, arguments: &[&str], token: &str) -> Output {
    let token = (!token.is_empty()).then_some(("HERALD_TOKEN", token));
    Command::new(env!("CARGO_BIN_EXE_herald"))
        .args(arguments)
        .env_clear()
        .env("HERALD_DATA_DIR", forge.dir.path().join("data"))
        .env("PATH", std::env::var("PATH").unwrap())
        .envs(token)
        .current_dir(&forge.tree)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn good(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Files below a folder that have one of the traces in their bytes or their path.
fn named(folder: &Path) -> Vec<String> {
    let mut named = Vec::new();
    for entry in walkdir::WalkDir::new(folder) {
        let entry = entry.unwrap();
        let path = entry.path().display().to_string().to_lowercase();
        let mut bytes = path.clone().into_bytes();
        if entry.file_type().is_file() {
            bytes.extend(std::fs::read(entry.path()).unwrap().to_ascii_lowercase());
        }
        for trace in [LOGIN, ADDRESS] {
            if bytes
                .windows(trace.len())
                .any(|window| window == trace.as_bytes())
            {
                named.push(path.clone());
            }
        }
    }
    named
}

/// A build that names the person wherever it leaves something.
const SPECIFICATION: &str = r#"jobs:
  build:
    cache: {key: k, paths: [kept]}
    execute:
      - 'echo "by @LOGIN <ADDRESS>"'
      - 'mkdir -p kept r out/LOGIN && echo LOGIN > kept/a && echo "for LOGIN" > out/LOGIN/a.txt'
      - 'printf "LOGIN%.0s " 1 2 3 4 5 6 7 8 9 | gzip > out/a.gz'
      - 'printf "<testsuite name=\"LOGIN\"><testcase classname=\"ADDRESS\" name=\"of LOGIN\"/></testsuite>" > r/junit.xml'
    reports: {tests: ['r/*.xml']}
    artifacts: ['out/**']
"#;

/// Plants the person in a build, in deliveries, and in what operators write.
async fn plant(forge: &Forge, server: &Herald) {
    forge.write(".herald.yml", "execute: ['true']\n");
    let main = forge.commit("main");
    forge.branch("marker-person/fix");
    let specification = SPECIFICATION.replace("LOGIN", LOGIN);
    forge.write(".herald.yml", &specification.replace("ADDRESS", ADDRESS));
    git(&forge.tree, &["config", "user.name", "Marker"]);
    git(&forge.tree, &["config", "user.email", ADDRESS]);
    let head = forge.commit(&format!("Thanks to @{LOGIN}"));
    let by = json!({"id": ID, "login": LOGIN, "type": "User"});
    let (change, base) = (
        ("marker-person/fix", head.as_str()),
        ("main", main.as_str()),
    );
    let mut payload = forge
        .github
        .pull_request(&forge.project, "opened", 7, change, base);
    payload["pull_request"]["user"] = by.clone();
    payload["sender"] = by.clone();
    assert_eq!(server.deliver(forge, "pull_request", &payload).await, 202);
    let check = forge.completed(&head, "herald").await;
    assert_eq!(check.conclusion.as_deref(), Some("success"), "{check:?}");
    let push = forge
        .github
        .push(&forge.project, "marker-person/fix", &main, &head);
    assert_eq!(server.deliver(forge, "push", &push).await, 202);
    // One that cannot be read: it fails, and is kept.
    let odd = json!({"action": "opened", "sender": by, "installation": {"id": "odd"}});
    assert_eq!(server.deliver(forge, "pull_request", &odd).await, 202);
    let id = ID.to_string();
    let token = [
        "admin",
        "token",
        "create",
        "--person",
        &id,
        "--name",
        "for Marker-Person",
    ];
    good(&herald(forge, &token));
    let upload = [
        "admin",
        "token",
        "create",
        "--repository",
        "octo/project",
        "--scope",
        "upload",
    ];
    let upload = good(&herald(forge, &upload));
    forge.write(
        "more.xml",
        &format!("<testsuite><testcase name=\"{LOGIN}\"/></testsuite>"),
    );
    let address = format!("http://{}", server.address);
    let sent = [
        "upload",
        "more.xml",
        "--server",
        &address,
        "--repository",
        "octo/project",
        "--commit",
        &head,
        "--name",
        LOGIN,
        "--parts",
        "1",
    ];
    good(&herald_with(forge, &sent, upload.trim()));
    forge.completed(&head, &format!("herald / {LOGIN}")).await;
    loop {
        let listed = good(&herald(forge, &["admin", "deliveries", "list"]));
        if !listed.contains("waiting") {
            assert!(listed.contains("failed"), "{listed}");
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_marker_person_is_shown_as_a_whole_and_erased_to_the_last_byte() {
    let forge = Forge::new(false).await;
    let server = Herald::start(&forge);
    plant(&forge, &server).await;
    let data = forge.dir.path().join("data");
    let id = ID.to_string();
    let person = [LOGIN, "--id", &id, "--also", ADDRESS];
    let privacy = |command: &str, more: &[&str]| {
        let arguments = [&["admin", "privacy", command], &person[..], more].concat();
        herald(&forge, &arguments)
    };
    let known: Value = serde_json::from_str(&good(&privacy("export", &[]))).unwrap();
    let tables: Vec<&str> = known["database"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["table"].as_str().unwrap())
        .collect();
    for table in [
        "deliveries",
        "triggers",
        "builds",
        "jobs",
        "job_results",
        "publications",
        "badges",
        "tests",
        "tokens",
        "report_sets",
        "uploads",
    ] {
        assert!(tables.contains(&table), "{table} is not in {tables:?}");
    }
    let files: Vec<&str> = known["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["path"].as_str().unwrap())
        .collect();
    for folder in ["logs/", "artifacts/", "uploads/", "cache/"] {
        assert!(
            files.iter().any(|path| path.starts_with(folder)),
            "{folder} {files:?}"
        );
    }
    assert!(files.iter().any(|path| path.ends_with("a.gz")), "{files:?}");
    assert_eq!(
        known["repositories"].as_array().unwrap().len(),
        1,
        "{known}"
    );
    // Asking without --yes changes nothing.
    let before = named(&data).len();
    assert!(good(&privacy("erase", &[])).contains("builds\t"));
    assert_eq!(named(&data).len(), before);

    good(&privacy("erase", &["--yes"]));
    assert_eq!(named(&data), Vec::<String>::new());
    let known: Value = serde_json::from_str(&good(&privacy("export", &[]))).unwrap();
    assert_eq!(
        known,
        json!({"database": [], "files": [], "repositories": []})
    );
    let backup = forge.dir.path().join("backups");
    std::fs::create_dir(&backup).unwrap();
    let file = backup.join("herald.tar");
    good(&herald(
        &forge,
        &["admin", "backup", file.to_str().unwrap()],
    ));
    assert_eq!(named(&backup), Vec::<String>::new());

    // What was built, and how it ended, is still there.
    let (status, page) = server.get("/api/v1/repos/octo/project/builds").await;
    assert_eq!(status, 200);
    let builds: Value = serde_json::from_str(&page).unwrap();
    assert!(builds["builds"].as_array().unwrap().len() >= 2, "{page}");
    let (status, log) = server
        .get("/repos/octo/project/builds/1/jobs/build/log.txt")
        .await;
    assert_eq!(status, 200);
    assert!(
        log.contains("by @xxxxxxxxxxxxx <xxxxxxxxxxxxxxxxxx>"),
        "{log}"
    );
}
