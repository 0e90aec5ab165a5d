//! The executors with containers on real Engines: `tests/run --all` starts them and sets the
//! variables.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::contract::suite;
use super::trial::{Place, Ran, argv, execute, finish, image, job, ordered, run, sh, start};
use super::{DockerExecutor, DockerOptions, Gate, Logins, SwarmExecutor, SwarmOptions};
use crate::domain::Secret;
use crate::ports::error::{Kind, PortError};
use crate::ports::executor::{
    Executor, JobEnd, JobEvent, JobOrder, Network, Probe, Progress, Readiness, Running,
    ServiceOrder,
};
use crate::protocol::{Collect, CollectKind, Exit, Phase, StepOrder};

fn switch(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn needed(name: &str) -> String {
    switch(name).unwrap_or_else(|| panic!("{name} is set where HERALD_TEST_DOCKER is"))
}

/// The Engine, beside the tests of other processes that use it: one takes a node away for a while.
fn engine() -> Option<String> {
    static HELD: std::sync::OnceLock<std::fs::File> = std::sync::OnceLock::new();
    let host = switch("HERALD_TEST_DOCKER")?;
    HELD.get_or_init(|| {
        let path = format!("{}.lock", host.trim_start_matches("unix://"));
        let lock = std::fs::File::create(path).expect("a lock");
        lock.lock_shared().expect("held");
        lock
    });
    Some(host)
}

fn instance(name: &str) -> String {
    format!("test-{name}-{}", std::process::id())
}

/// An executor of its own name, or `None` where Docker is not tested.
fn docker(name: &str) -> Option<DockerExecutor> {
    let host = engine()?;
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
    let host = engine()?;
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

/// What the client of Docker says, as words.
fn client(host: &str, arguments: &[&str]) -> Vec<String> {
    let output = Command::new("docker")
        .args(["-H", host])
        .args(arguments)
        .output()
        .expect("the client of Docker");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.split_ascii_whitespace().map(str::to_owned).collect()
}

/// The containers of a job, in whatever state.
fn containers(name: &str) -> Vec<String> {
    let host = needed("HERALD_TEST_DOCKER");
    let label = format!("label=herald.instance={}", instance(name));
    client(&host, &["ps", "-aq", "--no-trunc", "--filter", &label])
}

/// Waits until the Engines have nothing more of an instance.
async fn nothing_is_left(name: &str) {
    let label = format!("label=herald.instance={}", instance(name));
    let hosts = [
        needed("HERALD_TEST_DOCKER"),
        needed("HERALD_TEST_DOCKER_TWO"),
    ];
    let left = || -> Vec<String> {
        let mut left = Vec::new();
        for host in &hosts {
            left.extend(client(host, &["ps", "-aq", "--filter", &label]));
            left.extend(client(host, &["network", "ls", "-q", "--filter", &label]));
            left.extend(client(host, &["volume", "ls", "-q", "--filter", &label]));
        }
        for kind in ["service", "secret"] {
            left.extend(client(&hosts[0], &[kind, "ls", "-q", "--filter", &label]));
        }
        left
    };
    let until = Instant::now() + Duration::from_secs(15);
    while !left().is_empty() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(left(), Vec::<String>::new());
}

#[tokio::test]
async fn the_docker_executor_keeps_the_contract() {
    let Some(executor) = docker("contract") else {
        return;
    };
    suite(&executor).await;
    executor.sweep(&[]).await.expect("swept");
    nothing_is_left("contract").await;
}

#[tokio::test]
async fn the_swarm_executor_keeps_the_contract() {
    let Some(executor) = swarm("contract").await else {
        return;
    };
    suite(&executor).await;
    executor.sweep(&[]).await.expect("swept");
    nothing_is_left("contract").await;
}

async fn ran(executor: &dyn Executor, order: JobOrder) -> Ran {
    let mut running = start(executor, order).await;
    finish(running.as_mut()).await
}

#[tokio::test]
async fn without_a_network_there_is_none() {
    let Some(executor) = docker("none") else {
        return;
    };
    let address = needed("HERALD_TEST_ADDRESS");
    let registry = needed("HERALD_TEST_REGISTRY");
    let port = registry.rsplit(':').next().expect("a port");
    let script = format!(
        "ls /sys/class/net; nc -w 2 {address} {port} </dev/null && echo REACHED; \
         ping -c 1 -W 1 {address} >/dev/null && echo REACHED; echo end"
    );
    let place = Place::new();
    let mut order = ordered(&executor, &place, job(vec![execute(&script)]));
    order.network = Network::None;
    assert_eq!(ran(&executor, order).await.stdout(0), "lo\nend\n");
    nothing_is_left("none").await;
}

fn service(name: &str, script: &str, ready: Option<Probe>) -> ServiceOrder {
    // The image's own program is what a service runs; these run what their environment says.
    ServiceOrder {
        name: name.to_owned(),
        image: script.to_owned(),
        environment: vec![("GREETING".to_owned(), "hello".to_owned())],
        ready: ready.map(|probe| Readiness {
            probe,
            timeout_ms: 3000,
        }),
    }
}

/// An image of the Engine's own whose program is this script.
fn made(name: &str, script: &str) -> String {
    let registry = needed("HERALD_TEST_REGISTRY");
    let tag = format!("{registry}/{}", instance(name));
    let host = needed("HERALD_TEST_DOCKER");
    let base = image("busybox:1");
    client(&host, &["pull", "-q", &base]);
    let container = client(&host, &["create", &base, "/bin/sh", "-c", script]);
    client(&host, &["commit", &container[0], &tag]);
    client(&host, &["rm", &container[0]]);
    client(&host, &["push", "-q", &tag]);
    tag
}

#[tokio::test]
async fn services_are_waited_for_and_reached_by_name() {
    let Some(executor) = docker("services") else {
        return;
    };
    let echo = made(
        "echo",
        "sleep 1; while :; do echo $GREETING | nc -l -p 80; done",
    );
    let file = made("file", "sleep 1; touch /ready; sleep 1000");
    let command = ["test", "-e", "/ready"].map(str::to_owned).to_vec();
    for network in [Network::Egress, Network::None] {
        let place = Place::new();
        let script = "n=0; until nc -w 2 first 80 </dev/null | grep hello; do n=$((n+1)); \
                      [ $n -lt 50 ]; sleep 0.1; done";
        let mut order = ordered(&executor, &place, job(vec![execute(script)]));
        order.network = network;
        order.services = vec![
            service("first", &echo, Some(Probe::Port(80))),
            service("second", &file, Some(Probe::Command(command.clone()))),
            service("third", &file, None),
        ];
        let ran = ran(&executor, order).await;
        assert_eq!(ran.exits, [Exit::Code(0)], "{ran:?}");
        assert_eq!(ran.stdout(0), "hello\n");
    }
    nothing_is_left("services").await;
}

async fn refusal(executor: &dyn Executor, order: JobOrder) -> PortError {
    match executor.start(order).await {
        Ok(mut running) => panic!("it started: {:?}", finish(running.as_mut()).await),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_service_that_does_not_get_ready_is_told_in_words() {
    let Some(executor) = docker("unready") else {
        return;
    };
    let idle = made("idle", "echo I am idle; sleep 1000");
    let dying = made("dying", "echo I cannot; sleep 0.5; exit 3");
    let command =
        |words: &[&str]| Probe::Command(words.iter().map(|word| (*word).to_owned()).collect());
    let cases = [
        (
            &idle,
            Probe::Port(80),
            "wait for the service `db`: nothing listens on its port 80 after 3 s; its last words: \
             I am idle",
        ),
        (
            &idle,
            command(&["false"]),
            "start the service `db`: it is not ready after 3 s: its last words: I am idle",
        ),
        (
            &idle,
            command(&["sleep", "1000"]),
            "start the service `db`: it is not ready after 3 s: its last words: I am idle",
        ),
        (
            &dying,
            Probe::Port(80),
            "start the service `db`: it ended with status 3: its last words: I cannot",
        ),
        (
            &dying,
            command(&["false"]),
            "start the service `db`: it ended with status 3: its last words: I cannot",
        ),
    ];
    for (image, probe, words) in cases {
        let place = Place::new();
        let mut order = ordered(&executor, &place, job(vec![execute("true")]));
        order.services = vec![service("db", image, Some(probe))];
        let began = Instant::now();
        let error = refusal(&executor, order).await;
        assert_eq!((error.kind, error.message.as_str()), (Kind::Gone, words));
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    nothing_is_left("unready").await;
}

#[tokio::test]
async fn ports_are_published_while_the_job_runs() {
    let Some(executor) = docker("ports") else {
        return;
    };
    let step = execute("echo $HERALD_PORT_MY_WEB; echo hello | nc -l -p 8080; echo served");
    let place = Place::new();
    let mut order = ordered(&executor, &place, job(vec![step]));
    order.ports = vec![("my-web".to_owned(), 8080)];
    let mut running = start(&executor, order).await;
    let mut told = None;
    let port: u16 = loop {
        match running.next().await.expect("output") {
            JobEvent::Note(text) => told = Some(text),
            JobEvent::Output { bytes, .. } => {
                let text = String::from_utf8(bytes).expect("text");
                break text.trim().parse().expect("a port");
            }
            _ => {}
        }
    };
    let told = told.expect("a note");
    let words = format!("port my-web (8080) is reachable at 127.0.0.1:{port}");
    assert_eq!(told, words);
    let mut said = String::new();
    for _ in 0..50 {
        use std::io::Read;
        // The proxy accepts before the job listens.
        let stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("published");
        let limit = Some(Duration::from_secs(2));
        stream.set_read_timeout(limit).expect("set");
        let _ = (&stream).read_to_string(&mut said);
        if !said.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(said, "hello\n");
    drop(running);
    nothing_is_left("ports").await;
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[tokio::test]
async fn steps_run_as_the_user_of_the_image() {
    let Some(first) = docker("user") else {
        return;
    };
    let second = swarm("user").await.expect("the Swarm too");
    let executors: [&dyn Executor; 2] = [&first, &second];
    for executor in executors {
        let script = "id -u; id -g; id -G; touch file $HOME/file $TMPDIR/file; ls -ld . | cut -c1-10; \
             cat /proc/1/environ /proc/1/mem >/dev/null 2>&1 && echo LEAK; \
             ls /proc/1/fd >/dev/null 2>&1 && echo LEAK; \
             ls /run/secrets >/dev/null 2>&1 && cat /run/secrets/* 2>/dev/null && echo LEAK; \
             grep -E 'CapEff|NoNewPrivs' /proc/self/status | tr -d '\\t '; echo end";
        let place = Place::new();
        std::fs::write(place.workspace().join("before"), "x").expect("written");
        let steps = vec![execute(script), execute("echo more >> before")];
        let mut order = ordered(executor, &place, job(steps));
        order.image = Some(image("busybox:user"));
        let ran = ran(executor, order).await;
        let caps = "CapEff:0000000000000000\nNoNewPrivs:1";
        assert_eq!(
            ran.stdout(0),
            format!("1000\n1000\n1000\ndrwxr-xr-x\n{caps}\nend\n"),
            "{ran:?}"
        );
        assert_eq!(ran.exits, [Exit::Code(0), Exit::Code(0)]);
    }
    drop((first, second));
    nothing_is_left("user").await;
}

#[tokio::test]
async fn an_empty_image_is_enough() {
    let Some(first) = docker("empty") else {
        return;
    };
    let second = swarm("empty").await.expect("the Swarm too");
    let executors: [&dyn Executor; 2] = [&first, &second];
    for executor in executors {
        let place = Place::new();
        let mut failing = argv(&["/prove", "x", "y"]);
        failing.continue_on_error = true;
        let mut given = job(vec![argv(&["/prove"]), failing, execute("true")]);
        given.collect = vec![Collect {
            kind: CollectKind::Tests,
            globs: Vec::new(),
            defaults: true,
        }];
        let mut order = ordered(executor, &place, given);
        order.image = Some(image("empty:1"));
        let ran = ran(executor, order).await;
        let no_shell = "start `sh`: there is no such program on PATH".to_owned();
        assert_eq!(
            ran.exits,
            [Exit::Code(0), Exit::Code(3), Exit::NotStarted(no_shell)]
        );
        assert_eq!(ran.stdout(0), "1 words in an empty image\n");
        let report = String::from_utf8_lossy(&ran.files["junit.xml"]).into_owned();
        assert!(report.contains("empty image"), "{report}");
    }
    drop((first, second));
    nothing_is_left("empty").await;
}

#[tokio::test]
async fn an_image_that_cannot_be_had_is_told_in_words() {
    let Some(first) = docker("images") else {
        return;
    };
    let second = swarm("images").await.expect("the Swarm too");
    let executors: [&dyn Executor; 2] = [&first, &second];
    let registry = needed("HERALD_TEST_REGISTRY");
    let cases = [
        (
            image("busybox:none"),
            Kind::Gone,
            format!("fetch the image {registry}/busybox:none: {registry} has no such tag"),
        ),
        (
            image("nothing:1"),
            Kind::Gone,
            format!("fetch the image {registry}/nothing:1: {registry} has no such "),
        ),
        (
            "127.0.0.1:1/busybox:1".to_owned(),
            Kind::Transient,
            "fetch the image 127.0.0.1:1/busybox:1 from 127.0.0.1:1: ".to_owned(),
        ),
        (
            "Not A Name".to_owned(),
            Kind::Gone,
            "fetch the image Not A Name: that is no name of an image".to_owned(),
        ),
    ];
    for executor in executors {
        for (name, kind, words) in &cases {
            let place = Place::new();
            let mut order = ordered(executor, &place, job(vec![execute("true")]));
            order.image = Some(name.clone());
            let error = refusal(executor, order).await;
            assert_eq!(error.kind, *kind, "{error:?}");
            assert!(error.message.starts_with(words), "{error:?}");
        }
    }
    drop((first, second));
    nothing_is_left("images").await;
}

#[tokio::test]
async fn a_container_that_is_taken_away_is_told_in_words() {
    let Some(executor) = docker("taken") else {
        return;
    };
    let host = needed("HERALD_TEST_DOCKER");
    let cases: [(&[&str], &str); 2] = [
        (&["kill"], "the container was killed"),
        (&["rm", "-f"], "the container was removed by somebody else"),
    ];
    for (how, words) in cases {
        let place = Place::new();
        let steps = vec![execute("echo begun; sleep 1000")];
        let mut running = start(&executor, ordered(&executor, &place, job(steps))).await;
        until_output(running.as_mut()).await;
        for container in containers("taken") {
            let mut line = how.to_vec();
            line.push(&container);
            client(&host, &line);
        }
        let ran = finish(running.as_mut()).await;
        assert_eq!(ran.end, JobEnd::Lost(words.to_owned()));
        drop(running);
        nothing_is_left("taken").await;
    }
}

async fn until_output(running: &mut dyn Running) {
    while let Some(event) = running.next().await {
        if matches!(event, JobEvent::Output { .. }) {
            return;
        }
    }
    panic!("it ended before");
}

/// What a server has taken note of.
#[derive(Default)]
struct Noted {
    progress: Progress,
    output: BTreeMap<u32, Vec<u8>>,
    exits: BTreeMap<u32, Exit>,
    files: BTreeMap<String, Vec<u8>>,
    end: Option<JobEnd>,
}

impl Noted {
    /// Takes note of the next event, as the server does: first what it says, then its position.
    async fn take(&mut self, running: &mut dyn Running) -> bool {
        let Some(event) = running.next().await else {
            return false;
        };
        match event {
            JobEvent::StepStarted { step, .. } => self.progress.begun.push(step),
            JobEvent::Output { step, bytes, .. } => {
                self.output.entry(step).or_default().extend(bytes);
            }
            JobEvent::StepFinished { step, exit, .. } => {
                self.progress.over.push(step);
                assert_eq!(self.exits.insert(step, exit), None);
            }
            JobEvent::File { path, stored, .. } => {
                self.files
                    .insert(path, std::fs::read(stored).expect("a file"));
            }
            JobEvent::Finished(end) => self.end = Some(end),
            _ => {}
        }
        self.progress.position = running.position();
        true
    }
}

/// Runs a job while the server is replaced whenever `breaks` says so, at most `times` times; the
/// next one comes after a while.
async fn with_breaks(
    name: &str,
    steps: Vec<StepOrder>,
    times: u32,
    pause: Duration,
    breaks: impl Fn(&Noted) -> bool,
) -> Noted {
    let place = Place::new();
    let mut given = job(steps);
    given.collect = vec![Collect {
        kind: CollectKind::Artifact,
        globs: vec!["*.txt".to_owned()],
        defaults: false,
    }];
    let mut executor = docker(name).expect("Docker");
    let order = ordered(&executor, &place, given);
    let mut running = start(&executor, order.clone()).await;
    let mut noted = Noted::default();
    let mut left = 0;
    while noted.take(running.as_mut()).await {
        if left < times && noted.end.is_none() && breaks(&noted) {
            left += 1;
            assert!(running.leave());
            drop(running);
            drop(executor);
            tokio::time::sleep(pause).await;
            executor = docker(name).expect("Docker");
            executor
                .sweep(std::slice::from_ref(&order.id))
                .await
                .expect("swept");
            running = executor
                .attach(order.clone(), &noted.progress)
                .await
                .expect("attached")
                .expect("it still runs");
        }
    }
    assert_eq!(left, times);
    drop(running);
    nothing_is_left(name).await;
    noted
}

fn counting(lines: u32, pause: &str) -> String {
    format!("i=0; while [ $i -lt {lines} ]; do echo line $i; i=$((i + 1)); {pause}; done")
}

fn counted(lines: u32) -> String {
    (0..lines).map(|line| format!("line {line}\n")).collect()
}

fn text(noted: &Noted, step: u32) -> String {
    String::from_utf8_lossy(noted.output.get(&step).map_or(&[], Vec::as_slice)).into_owned()
}

#[tokio::test]
async fn a_job_outlives_its_servers_without_a_line_lost() {
    if docker("outlives").is_none() {
        return;
    }
    let steps = vec![
        execute(&counting(40, "sleep 0.05")),
        execute(&counting(20_000, ":")),
        sh(Phase::After, "echo after"),
    ];
    let seen = std::sync::atomic::AtomicUsize::new(0);
    let noted = with_breaks("outlives", steps, 4, Duration::from_millis(300), |noted| {
        // After a few more events each time, also in the midst of a fast flood.
        let size = noted.output.values().map(Vec::len).sum::<usize>();
        let before = seen.load(std::sync::atomic::Ordering::Relaxed);
        let breaks = size > before + 60;
        if breaks {
            seen.store(size, std::sync::atomic::Ordering::Relaxed);
        }
        breaks
    })
    .await;
    assert_eq!(noted.end, Some(JobEnd::Done));
    assert_eq!(text(&noted, 0), counted(40));
    assert!(text(&noted, 1) == counted(20_000));
    assert_eq!(text(&noted, 2), "after\n");
}

#[tokio::test]
async fn a_job_that_ended_without_a_server_is_told_to_the_next() {
    if docker("meanwhile").is_none() {
        return;
    }
    let steps = vec![
        execute("echo begun; sleep 0.3; echo more; exit 3"),
        sh(Phase::After, "echo after; printf kept >kept.txt"),
    ];
    let pause = Duration::from_millis(1500);
    let noted = with_breaks("meanwhile", steps, 1, pause, |noted| {
        !noted.output.is_empty()
    })
    .await;
    assert_eq!(noted.end, Some(JobEnd::Done));
    assert_eq!(noted.exits[&0], Exit::Code(3));
    assert_eq!(text(&noted, 0), "begun\nmore\n");
    assert_eq!(text(&noted, 1), "after\n");
    assert_eq!(noted.files["kept.txt"], b"kept");
}

#[tokio::test]
async fn files_come_again_to_the_next_server() {
    if docker("again").is_none() {
        return;
    }
    let steps = vec![execute(
        "i=0; while [ $i -lt 300 ]; do echo $i >$i.txt; i=$((i + 1)); done; \
         head -c 20000000 /dev/zero >big.txt",
    )];
    for after in [1, 100] {
        let pause = Duration::from_millis(100);
        let noted = with_breaks("again", steps.clone(), 2, pause, |noted| {
            noted.files.len() >= after
        })
        .await;
        assert_eq!(noted.end, Some(JobEnd::Done));
        assert_eq!(noted.files.len(), 301);
        assert!((0..300).all(|n| noted.files[&format!("{n}.txt")] == format!("{n}\n").as_bytes()));
        assert_eq!(noted.files["big.txt"].len(), 20_000_000);
    }
}

#[tokio::test]
async fn a_job_that_is_dropped_while_it_starts_leaves_nothing() {
    let Some(executor) = docker("dropped") else {
        return;
    };
    for after in [1, 30, 100, 200, 400] {
        let place = Place::new();
        let order = ordered(&executor, &place, job(vec![execute("sleep 1000")]));
        let limit = Duration::from_millis(after);
        let _ = tokio::time::timeout(limit, executor.start(order)).await;
    }
    // What was on its way to the Engine when it was dropped has no owner.
    tokio::time::sleep(Duration::from_secs(1)).await;
    executor.sweep(&[]).await.expect("swept");
    nothing_is_left("dropped").await;
    let place = Place::new();
    let ran = run(&executor, &place, job(vec![execute("true")])).await;
    assert_eq!(ran.exits, [Exit::Code(0)]);
}
