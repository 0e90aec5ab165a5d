//! The executors with containers on real Engines: `tests/run --all` starts them and sets the
//! variables.

use std::sync::Arc;

use super::contract::suite;
use super::{DockerExecutor, DockerOptions, Gate, Logins, SwarmExecutor, SwarmOptions};
use crate::domain::Secret;
use crate::ports::executor::Executor;

fn switch(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn needed(name: &str) -> String {
    switch(name).unwrap_or_else(|| panic!("{name} is set where HERALD_TEST_DOCKER is"))
}

fn instance(name: &str) -> String {
    format!("test-{name}-{}", std::process::id())
}

/// An executor of its own name, or `None` where Docker is not tested.
fn docker(name: &str) -> Option<DockerExecutor> {
    let host = switch("HERALD_TEST_DOCKER")?;
    Some(DockerExecutor::new(DockerOptions {
        host,
        runner: needed("HERALD_TEST_RUNNER").into(),
        logins: Logins::default(),
        instance: instance(name),
        disk_bytes: 200 << 20,
    }))
}

/// The same with the Swarm, and a listener for its runners.
async fn swarm(name: &str) -> Option<SwarmExecutor> {
    let host = switch("HERALD_TEST_DOCKER")?;
    let gate = Arc::new(Gate::default());
    let address = (needed("HERALD_TEST_ADDRESS"), 0);
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = crate::wire::runners::router(Arc::clone(&gate));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let options = SwarmOptions {
        host,
        address,
        logins: Logins::default(),
        constraints: Vec::new(),
        instance: instance(name),
        key: Secret::new("a key of tests"),
        disk_bytes: 200 << 20,
    };
    Some(SwarmExecutor::new(options, gate))
}

#[tokio::test]
async fn the_docker_executor_keeps_the_contract() {
    let Some(executor) = docker("contract") else {
        return;
    };
    suite(&executor).await;
    executor.sweep(&[]).await.expect("swept");
}

#[tokio::test]
async fn the_swarm_executor_keeps_the_contract() {
    let Some(executor) = swarm("contract").await else {
        return;
    };
    suite(&executor).await;
    executor.sweep(&[]).await.expect("swept");
}
