//! The setup in a real browser, where there is one: `HERALD_TEST_NODE_MODULES` names a folder with the npm
//! package playwright-core.

use std::process::Stdio;

use tokio::process::Command;

use crate::serve::{Forge, Herald};
use crate::setup::{bare, links};

#[tokio::test(flavor = "multi_thread")]
async fn a_person_with_a_browser_gets_from_an_empty_folder_to_a_green_check() {
    if std::env::var_os("HERALD_TEST_NODE_MODULES").is_none() {
        return;
    }
    let forge = Forge::new(false).await;
    forge.write("README", "x\n");
    forge.commit("Begin");
    let herald = Herald::spawn(bare(&forge));
    let link = links(&herald).pop().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/setup.mjs");
    let node = Command::new("node")
        .args([script, &link, &forge.url])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&node.stdout).into_owned();
    let error = String::from_utf8_lossy(&node.stderr);
    assert!(node.status.success(), "{said}\n{error}");
    println!("{said}");
    let state = forge.github.state();
    let green = |check: &&herald::demo::Check| check.conclusion.as_deref() == Some("success");
    let check = state.checks.iter().find(green).unwrap();
    assert_eq!(
        (check.name.as_str(), check.status.as_str()),
        ("herald", "completed")
    );
}
