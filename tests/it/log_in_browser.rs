//! Pages in a real browser, where there is one: `HERALD_TEST_NODE_MODULES` names a folder with the npm package
//! playwright-core, and switches these on. The scripts are in `tests/browser`.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::world::{World, world};

#[tokio::test]
async fn a_job_is_followed_in_a_browser_while_it_runs() {
    if std::env::var_os("HERALD_TEST_NODE_MODULES").is_none() {
        return;
    }
    world(async |w: &mut World| {
        let (main, _) = w.change("execute: [count 3000, hold, count 3000]\n");
        w.push("main", &main, &main).await;
        w.until_queued(|_| {}).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(axum::serve(listener, w.router()).into_future());
        let look = async {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/follow.mjs");
            let mut node = Command::new("node")
                .args([
                    script,
                    &format!("{origin}/repos/octo/project/builds/1/jobs/build"),
                ])
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .expect("node is there where HERALD_TEST_NODE_MODULES is set");
            let mut said = BufReader::new(node.stdout.take().unwrap()).lines();
            while let Some(line) = said.next_line().await.unwrap() {
                if line == "release" {
                    w.executor.release();
                }
            }
            // Also when the script has failed before.
            w.executor.release();
            assert!(node.wait().await.unwrap().success(), "see above");
        };
        tokio::join!(look, w.drain());
        serving.abort();
    })
    .await;
}
