//! The `docker` executor on a real Engine: `tests/run --all` starts one and sets the variables.

use super::contract::suite;
use super::{DockerExecutor, DockerOptions, Logins};

fn switch(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// An executor of its own name, or `None` where Docker is not tested.
fn docker(instance: &str) -> Option<DockerExecutor> {
    let host = switch("HERALD_TEST_DOCKER")?;
    let runner =
        switch("HERALD_TEST_RUNNER").expect("HERALD_TEST_RUNNER beside HERALD_TEST_DOCKER");
    Some(DockerExecutor::new(DockerOptions {
        host,
        runner: runner.into(),
        logins: Logins::default(),
        instance: format!("test-{instance}-{}", std::process::id()),
        disk_bytes: 1 << 30,
    }))
}

#[tokio::test]
async fn the_docker_executor_keeps_the_contract() {
    let Some(executor) = docker("contract") else {
        return;
    };
    suite(&executor).await;
}
