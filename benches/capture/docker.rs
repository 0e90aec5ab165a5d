//! A job that does nothing in a container, beside what the Docker client takes for the same.

use std::process::Command;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::query_parameters::ListContainersOptionsBuilder;
use herald::executor::trial::{self, Place};
use herald::executor::{DockerExecutor, DockerOptions, Logins};
use herald::ports::executor::JobEnd;
use herald::ports::{Executor, JobEvent};
use herald::protocol::{Phase, StepCommand};

use crate::median;
use crate::serve::runtime;

const ROUNDS: usize = 20;
/// How many times as long as the client's commands a job may take.
const TIMES: f64 = 2.0;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; see tests/engines"))
}

fn instance() -> String {
    format!("bench-{}", std::process::id())
}

pub(crate) fn executor() -> DockerExecutor {
    DockerExecutor::new(DockerOptions {
        host: variable("HERALD_TEST_DOCKER"),
        runner: variable("HERALD_TEST_RUNNER").into(),
        logins: Logins::default(),
        instance: instance(),
        disk_bytes: DockerOptions::DISK,
    })
}

/// Prints the medians; whether the limit is kept.
pub(crate) fn compare() -> bool {
    let runtime = runtime();
    let executor = executor();
    let path = variable("HERALD_TEST_DOCKER");
    let engine = Docker::connect_with_unix(
        path.trim_start_matches("unix://"),
        120,
        bollard::API_DEFAULT_VERSION,
    )
    .unwrap();
    let engine = runtime.block_on(engine.negotiate_version()).unwrap();
    // The first ones fill caches: the image, the network of jobs.
    client();
    runtime.block_on(job(&executor, &engine));
    let [mut clients, mut jobs] = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        clients.push(client());
        jobs.push(runtime.block_on(job(&executor, &engine)));
    }
    let (client, job) = (median(&mut clients), median(&mut jobs));
    let times = job / client;
    println!(
        "\n| a job that does nothing | `docker create`, `cp`, `start`, `wait` | Herald | × | at most |"
    );
    println!("| --- | ---: | ---: | ---: | ---: |");
    println!(
        "| `docker`, until its container is gone | {client:.2} s | {job:.2} s | {times:.2} | {TIMES} |"
    );
    times <= TIMES
}

/// How long the client takes, in seconds; removing the container is not counted.
fn client() -> f64 {
    let docker = |arguments: &[&str]| {
        let output = Command::new("docker")
            .args(["--host", &variable("HERALD_TEST_DOCKER")])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "docker {arguments:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let began = Instant::now();
    let id = docker(&["create", &trial::image("busybox:1"), "true"]);
    docker(&["cp", &variable("HERALD_TEST_RUNNER"), &format!("{id}:/")]);
    docker(&["start", &id]);
    assert_eq!(docker(&["wait", &id]), "0");
    let took = began.elapsed();
    docker(&["rm", &id]);
    took.as_secs_f64()
}

/// How long a job takes until nothing of it is there any more, in seconds.
async fn job(executor: &DockerExecutor, engine: &Docker) -> f64 {
    let mut step = trial::sh(Phase::Execute, "");
    step.command = StepCommand::Argv(vec!["true".to_owned()]);
    let place = Place::new();
    let mut order = place.order(trial::job(vec![step]));
    order.image = Some(trial::image("busybox:1"));
    let label = vec![format!("herald.instance={}", instance())];
    let mine = [("label".to_owned(), label)].into_iter().collect();
    let began = Instant::now();
    let mut running = executor.start(order).await.unwrap();
    while let Some(event) = running.next().await {
        if let JobEvent::Finished(end) = event {
            assert_eq!(end, JobEnd::Done);
        }
    }
    drop(running);
    loop {
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&mine)
            .build();
        if engine
            .list_containers(Some(options))
            .await
            .unwrap()
            .is_empty()
        {
            return began.elapsed().as_secs_f64();
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
