//! What the operator's page and the page on privacy tell to do is done here, in their order.

use std::path::Path;
use std::process::Command;

use crate::documents::{blocks, page};
use crate::engine::Engine;
use crate::serve::{Forge, Herald, switch};

/// Runs a block of a page in a folder, as an operator whose data directory is this.
fn run(block: &str, folder: &Path, data: &Path) -> String {
    let herald = Path::new(env!("CARGO_BIN_EXE_herald"));
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("sh")
        .args(["-eu", "-c", block])
        .current_dir(folder)
        .env_clear()
        .env("HERALD_DATA_DIR", data)
        .env(
            "PATH",
            format!("{}:{path}", herald.parent().unwrap().display()),
        )
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{block}\n{told}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn commands(text: &str) -> Vec<String> {
    let blocks = blocks(text).into_iter();
    blocks
        .filter(|block| block.kind == "sh")
        .map(|block| block.text)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_commands_do_what_they_say() {
    let forge = Forge::new(false).await;
    forge.write(".herald.yml", "execute: ['true']\n");
    let main = forge.commit("main");
    let mut herald = Herald::start(&forge);
    let push = forge.github.push(&forge.project, "main", &main, &main);
    assert_eq!(herald.deliver(&forge, "push", &push).await, 202);
    forge.completed(&main, "herald").await;
    let data = forge.dir.path().join("data");
    let folder = forge.dir.path();
    let mut ran = 0;
    for block in commands(&page("operating.md")) {
        if block.contains("restore") {
            let restored = folder.join("restored").display().to_string();
            run(&block.replace("/var/lib/herald", &restored), folder, &data);
        } else if block.contains("migrate") {
            if switch("HERALD_TEST_POSTGRES").is_none() {
                continue;
            }
            // The backup was without it.
            let key = folder.join("restored/secret.key");
            std::fs::copy(data.join("secret.key"), key).unwrap();
            let engine = Engine::postgres().await;
            let block = block
                .replace("postgres://herald@localhost/herald", engine.address())
                .replace(
                    "/var/lib/herald",
                    &folder.join("restored").display().to_string(),
                );
            run(&block, folder, &data);
        } else {
            run(&block, folder, &data);
        }
        ran += 1;
    }
    assert!(ran >= 5, "{ran}");
    for block in commands(
        &std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/PRIVACY.md")).unwrap(),
    ) {
        run(&block, folder, &data);
    }
    let audit = run("herald admin audit", folder, &data);
    assert!(audit.contains("operator\tprune"), "{audit}");
    herald.kill();
}
