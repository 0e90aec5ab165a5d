//! The real program with containers: `herald serve` with a real Docker Engine and a Swarm of two
//! nodes, which `tests/run --all` starts.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use herald::demo::{Check, Person, State};

use crate::serve::{Forge, Herald, copy_dir, place, switch};
use crate::world::git;

/// The executors with containers.
const EXECUTORS: [&str; 2] = ["docker", "swarm"];

pub(crate) fn needed(name: &str) -> String {
    switch(name).unwrap_or_else(|| panic!("{name} is set where HERALD_TEST_DOCKER is"))
}

fn image(name: &str) -> String {
    format!("{}/{name}", needed("HERALD_TEST_REGISTRY"))
}

/// `herald serve` with this executor.
fn command(forge: &Forge, executor: &str) -> Command {
    let mut command = Herald::command(forge);
    command
        .env("HERALD_EXECUTOR", executor)
        .env("HERALD_DOCKER_HOST", needed("HERALD_TEST_DOCKER"))
        .env("HERALD_RUNNER_PATH", needed("HERALD_TEST_RUNNER"))
        .env("HERALD_MAX_CONCURRENT_JOBS_PER_REPOSITORY", "2");
    if executor == "swarm" {
        // The same port after a restart: runners come back to it.
        let address = needed("HERALD_TEST_ADDRESS");
        let port = std::net::TcpListener::bind((address.as_str(), 0)).unwrap();
        let listen = port.local_addr().unwrap().to_string();
        command.env("HERALD_RUNNER_LISTEN", listen);
    }
    command
}

/// The same command again, for a restart: runners come back to the same port.
fn again(first: &Command, forge: &Forge, executor: &str) -> Command {
    let mut again = command(forge, executor);
    for (name, value) in first.get_envs() {
        if let Some(value) = value {
            again.env(name, value);
        }
    }
    again
}

/// How a test uses the Engines.
#[derive(Clone, Copy)]
pub(crate) enum Hold {
    /// Beside others.
    Shared,
    /// It takes one of them away for a while.
    Alone,
}

/// The Engines, held as long as the value lives; `None` where Docker is not tested.
pub(crate) fn engines(hold: Hold) -> Option<std::fs::File> {
    let socket = switch("HERALD_TEST_DOCKER")?;
    let path = format!("{}.lock", socket.trim_start_matches("unix://"));
    let lock = std::fs::File::create(path).unwrap();
    match hold {
        Hold::Shared => lock.lock_shared().unwrap(),
        Hold::Alone => lock.lock().unwrap(),
    }
    Some(lock)
}

/// What an Engine says.
fn docker(engine: &str, arguments: &[&str]) -> String {
    let output = Command::new("docker")
        .args(["-H", &needed(engine)])
        .args(arguments)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Looks again and again at what no one tells of.
pub(crate) async fn eventually(what: &str, wish: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !wish() {
        assert!(
            began.elapsed() < Duration::from_secs(90),
            "waited for {what}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A name that no earlier run has left anything under.
fn unique(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

/// Services of jobs of this repository.
fn services(repository: &str) -> Vec<String> {
    let filter = format!("label=herald.repo={repository}");
    let list = [
        "service",
        "ls",
        "--filter",
        &filter,
        "--format",
        "{{.Name}}",
    ];
    let list = docker("HERALD_TEST_DOCKER", &list);
    list.lines().map(str::to_owned).collect()
}

/// Everything on both nodes that is labelled with this repository, and secrets.
fn left_over(repository: &str) -> Vec<String> {
    let filter = format!("label=herald.repo={repository}");
    let mut found = services(repository);
    for engine in ["HERALD_TEST_DOCKER", "HERALD_TEST_DOCKER_TWO"] {
        for list in [
            &["ps", "-a", "--format", "{{.Names}}"][..],
            &["network", "ls", "--format", "{{.Name}}"],
            &["volume", "ls", "--format", "{{.Name}}"],
        ] {
            let mut arguments = list.to_vec();
            arguments.extend(["--filter", &filter]);
            found.extend(docker(engine, &arguments).lines().map(str::to_owned));
        }
    }
    let secrets = ["secret", "ls", "--filter", &filter, "--format", "{{.Name}}"];
    found.extend(
        docker("HERALD_TEST_DOCKER", &secrets)
            .lines()
            .map(str::to_owned),
    );
    found
}

/// A project of one step in an image; its first commit and the one to build.
fn project(forge: &Forge, image: &str, run: &str) -> (String, String) {
    project_with(forge, image, &[("execute", run)])
}

/// A project with a step in each of these phases.
fn project_with(forge: &Forge, image: &str, steps: &[(&str, &str)]) -> (String, String) {
    forge.write("README.md", "# Project\n");
    let main = forge.commit("Begin");
    forge.branch("change");
    let mut specification = format!("image: {image}\nresources: {{cpus: 0.5, memory: 256MiB}}\n");
    for (phase, run) in steps {
        let run: String = run.lines().map(|line| format!("      {line}\n")).collect();
        specification += &format!("{phase}:\n  - name: work\n    run: |\n{run}");
    }
    forge.write(".herald.yml", &specification);
    (main, forge.commit("Build it"))
}

/// The lines of the first build's only job that begin with `mark`.
async fn lines(herald: &Herald, build: u64, mark: &str) -> Vec<String> {
    let path = format!("/repos/octo/project/builds/{build}/jobs/build/log.txt");
    let (status, log) = herald.get(&path).await;
    assert_eq!(status, 200, "{log}");
    log.lines()
        .filter(|line| line.starts_with(mark))
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pytest_project_gives_the_same_annotations_through_every_executor() {
    let Some(_engines) = engines(Hold::Shared) else {
        return;
    };
    let mut said = Vec::new();
    for executor in ["process", "docker", "swarm"] {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pytest-project");
        let forge = Forge::new(false).await;
        copy_dir(&fixture, &forge.tree);
        let main = forge.commit("Sell things");
        forge.branch("change");
        let specification = std::fs::read_to_string(forge.tree.join(".herald.yml")).unwrap();
        let image = image("python:1");
        forge.write(
            ".herald.yml",
            &format!("image: {image}\nresources: {{cpus: 0.5, memory: 512MiB}}\n{specification}"),
        );
        let head = forge.commit("Change nothing");
        let herald = Herald::spawn(command(&forge, executor));
        let check = herald.built(&forge, "opened", &head, &main).await;
        assert_eq!(
            check.conclusion.as_deref(),
            Some("failure"),
            "{executor}: {}",
            check.title
        );
        assert_eq!(place(&check.annotations[0]).0, "tests/test_basket.py");
        said.push(without_addresses(
            &serde_json::to_string(&check.annotations).unwrap(),
        ));
    }
    assert_eq!(said[0], said[1], "process and docker");
    assert_eq!(said[0], said[2], "process and swarm");
}

/// A text without the addresses of objects, which no two runs of Python share.
fn without_addresses(text: &str) -> String {
    let mut parts = text.split("0x");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + "0x" + part.trim_start_matches(|char: char| char.is_ascii_hexdigit())
    })
}

/// Writes a report of one test that passes.
const REPORT: &str =
    "printf '<testsuite><testcase name=\"a\" classname=\"b\"/></testsuite>' > junit.xml";

/// Restarts the server while a step of this phase counts, and looks for every number.
async fn restarted(executor: &str, kill: bool, phase: &str) {
    let forge = Forge::new(false).await;
    let count = "i=0; while [ $i -lt 400 ]; do echo line $i; i=$((i+1)); sleep 0.02; done";
    let steps = match phase {
        "setup" => vec![("setup", count.to_owned()), ("execute", REPORT.to_owned())],
        _ => vec![("execute", format!("{count}\n{REPORT}"))],
    };
    let steps: Vec<_> = steps.iter().map(|(at, run)| (*at, run.as_str())).collect();
    let (main, head) = project_with(&forge, &image("busybox:1"), &steps);
    let first = command(&forge, executor);
    let mut herald = Herald::spawn(again(&first, &forge, executor));
    herald
        .open_pull_request(&forge, "opened", &head, &main)
        .await;
    let log = forge.dir.path().join("data/logs");
    let written = || {
        walkdir::WalkDir::new(&log)
            .into_iter()
            .flatten()
            .filter(|entry| {
                entry
                    .path()
                    .extension()
                    .is_some_and(|ending| ending == "log")
            })
            .any(|entry| {
                let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
                text.contains("line 50\n")
            })
    };
    eventually("the fiftieth line", written).await;
    for _ in 0..2 {
        if kill {
            herald.kill();
        } else {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(herald.child.id()).unwrap());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
            herald.child.wait().unwrap();
        }
        herald = Herald::spawn(again(&first, &forge, executor));
    }
    let check = forge.completed(&head, "herald").await;
    assert_eq!(
        check.conclusion.as_deref(),
        Some("success"),
        "{executor}: {}",
        check.title
    );
    assert!(check.title.starts_with("1 passed"), "{}", check.title);
    let expected: Vec<String> = (0..400).map(|number| format!("line {number}")).collect();
    assert_eq!(lines(&herald, 1, "line ").await, expected, "{executor}");
    assert_eq!(forge.github.state().checks_of(&head, "herald").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_goes_on_while_herald_is_killed_and_no_line_is_missing() {
    let Some(_engines) = engines(Hold::Shared) else {
        return;
    };
    for executor in EXECUTORS {
        restarted(executor, true, "execute").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn herald_killed_during_the_setup_goes_on_with_it() {
    let Some(_engines) = engines(Hold::Shared) else {
        return;
    };
    for executor in EXECUTORS {
        restarted(executor, true, "setup").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_goes_on_while_herald_is_restarted_in_order() {
    let Some(_engines) = engines(Hold::Shared) else {
        return;
    };
    for executor in EXECUTORS {
        restarted(executor, false, "execute").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn herald_killed_while_a_container_starts_begins_it_again_and_leaves_none() {
    let Some(_engines) = engines(Hold::Shared) else {
        return;
    };
    for executor in EXECUTORS {
        killed_before_a_step(executor, "starts", |repository| {
            !left_over(repository).is_empty()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn herald_killed_while_the_checkout_is_unpacked_begins_it_again_and_leaves_none() {
    let Some(_engines) = engines(Hold::Shared) else {
        return;
    };
    for executor in EXECUTORS {
        killed_before_a_step(executor, "unpacks", |repository| {
            let filter = format!("label=herald.repo={repository}");
            let list = ["ps", "--filter", &filter, "--format", "{{.ID}}"];
            ["HERALD_TEST_DOCKER", "HERALD_TEST_DOCKER_TWO"]
                .iter()
                .any(|engine| {
                    docker(engine, &list).lines().any(|id| {
                        // The large file is there, and not yet all of it.
                        let look = ["exec", id, "stat", "-c", "%s", "/workspace/large"];
                        let size = docker(engine, &look).trim().parse::<usize>();
                        size.is_ok_and(|size| size < LARGE)
                    })
                })
        })
        .await;
    }
}

/// The size of a file that takes a moment to unpack, in bytes.
const LARGE: usize = 120 << 20;

/// Kills the server as soon as `reached` says so, before the job's first step.
async fn killed_before_a_step(executor: &str, word: &str, reached: impl Fn(&str) -> bool) {
    let name = unique(&format!("{word}-{executor}"));
    let forge = Forge::named("killed", &name, false).await;
    let repository = format!("killed/{name}");
    if word == "unpacks" {
        forge.write("large", &"0123456789abcde\n".repeat(LARGE / 16));
    }
    let run = format!("echo once\n{REPORT}");
    let (main, head) = project(&forge, &image("busybox:1"), &run);
    let serve = command(&forge, executor);
    let next = again(&serve, &forge, executor);
    let mut herald = Herald::spawn(serve);
    herald
        .open_pull_request(&forge, "opened", &head, &main)
        .await;
    eventually(word, || reached(&repository)).await;
    herald.kill();
    let herald = Herald::spawn(next);
    forge
        .until("the end", |state| {
            let checks = state.checks_of(&head, "herald");
            checks.iter().all(|check| check.status == "completed")
                && checks
                    .last()
                    .is_some_and(|check| check.conclusion.as_deref() == Some("success"))
        })
        .await;
    let check = forge.completed(&head, "herald").await;
    assert!(
        check.title.starts_with("1 passed"),
        "{executor}: {}",
        check.title
    );
    let log = format!("{}/jobs/build/log.txt", address(&check));
    let log = herald.get(&log).await.1;
    assert_eq!(log.matches("once\n").count(), 1, "{executor}: {log}");
    eventually("nothing left", || left_over(&repository).is_empty()).await;
}

#[test]
fn no_daemon_listens_on_tcp() {
    if switch("HERALD_TEST_DOCKER").is_none() {
        return;
    }
    // Those of the Swarm itself (2377, 7946) speak another protocol, with certificates.
    for host in [
        needed("HERALD_TEST_ADDRESS"),
        needed("HERALD_TEST_ADDRESS_TWO"),
    ] {
        for port in [2375, 2376] {
            let address = format!("{host}:{port}");
            assert!(std::net::TcpStream::connect(&address).is_err(), "{address}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_five_pushes_in_a_row_one_service_is_left() {
    let Some(_engines) = engines(Hold::Shared) else {
        return;
    };
    let name = unique("pushes");
    let forge = Forge::named("five", &name, false).await;
    let (main, first) = project(&forge, &image("busybox:1"), "echo begun; sleep 300");
    let herald = Herald::spawn(command(&forge, "swarm"));
    let mut heads = vec![first];
    herald
        .open_pull_request(&forge, "opened", &heads[0], &main)
        .await;
    for number in 2..=5 {
        forge.write("number", &number.to_string());
        let head = forge.commit("Again");
        herald
            .open_pull_request(&forge, "synchronize", &head, &main)
            .await;
        heads.push(head);
    }
    let (last, superseded) = heads.split_last().unwrap();
    for head in superseded {
        let check = forge.completed(head, "herald").await;
        assert_eq!(
            check.conclusion.as_deref(),
            Some("cancelled"),
            "{}",
            check.title
        );
    }
    forge
        .until("the last one", |state| running_on(state, last))
        .await;
    eventually("one service", || {
        services(&format!("five/{name}")).len() == 1
    })
    .await;
    drop(herald);
}

fn running_on(state: &State, head: &str) -> bool {
    state
        .checks_of(head, "herald")
        .last()
        .is_some_and(|check| check.status == "in_progress")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_container_must_not_see_it_does_not_see() {
    let Some(_engines) = engines(Hold::Shared) else {
        return;
    };
    for executor in EXECUTORS {
        let forge = Forge::new(false).await;
        let secret = forge.dir.path().join("secret-of-the-host");
        std::fs::write(&secret, "x").unwrap();
        // A neighbour with a listener, and Herald's own on every address of the host.
        let (main, head) = project(&forge, &image("busybox:1"), "sleep 1000");
        let mut command = command(&forge, executor);
        command
            .env("HERALD_MAX_CONCURRENT_JOBS", "3")
            // The neighbour is on the same node.
            .env("HERALD_SWARM_CONSTRAINTS", "node.labels.name==one");
        if executor == "docker" {
            command
                .env("HERALD_LISTEN", "0.0.0.0:0")
                .env("HERALD_METRICS_LISTEN", "0.0.0.0:0");
        }
        let listener = command
            .get_envs()
            .find(|(name, _)| *name == "HERALD_RUNNER_LISTEN")
            .and_then(|(_, value)| value)
            .unwrap_or_default()
            .to_owned();
        let herald = Herald::spawn(command);
        let port = |address: &str| address.rsplit(':').next().unwrap().to_owned();
        let (public, metrics) = (port(&herald.address), port(&herald.metrics));
        let neighbour = format!(
            "{{ while :; do echo hello | nc -l -p 7777; done; }} & hostname -i > /dev/null\n\
             echo address $(hostname -i)\nsleep 1000 # {head}"
        );
        forge.branch("neighbour");
        let specification = |run: &str| {
            let run: String = run.lines().map(|line| format!("      {line}\n")).collect();
            format!(
                "image: {}\nresources: {{cpus: 0.3, memory: 256MiB}}\nexecute:\n  - run: |\n{run}",
                image("busybox:1")
            )
        };
        forge.write(".herald.yml", &specification(&neighbour));
        let beside = forge.commit("A neighbour");
        herald
            .open_pull_request(&forge, "opened", &beside, &main)
            .await;
        forge
            .until("the neighbour", |state| running_on(state, &beside))
            .await;
        let log = forge.dir.path().join("data/logs");
        let mut address = String::new();
        eventually("the neighbour's address", || {
            walkdir::WalkDir::new(&log)
                .into_iter()
                .flatten()
                .any(|entry| {
                    std::fs::read_to_string(entry.path())
                        .is_ok_and(|text| text.contains("address "))
                })
        })
        .await;
        for entry in walkdir::WalkDir::new(&log).into_iter().flatten() {
            if let Ok(text) = std::fs::read_to_string(entry.path())
                && let Some((_, rest)) = text.split_once("address ")
            {
                address = rest
                    .split_whitespace()
                    .next()
                    .unwrap_or_default()
                    .to_owned();
            }
        }
        let cloud = std::net::TcpListener::bind("169.254.169.254:0").unwrap();
        let metadata = cloud.local_addr().unwrap().port();
        let host = needed("HERALD_TEST_ADDRESS");
        let mut script = format!(
            "python3 look_around.py file={} metadata=169.254.169.254:{metadata} \
             neighbour={address}:7777 listener={host}:{public} metrics={host}:{metrics}",
            secret.display()
        );
        if executor == "swarm" {
            script += &format!(" runner={}", listener.to_string_lossy());
        }
        forge.branch("change");
        let look = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/look_around.py");
        forge.write("look_around.py", &std::fs::read_to_string(look).unwrap());
        let looking = specification(&script).replace("busybox:1", "python:1");
        forge.write(".herald.yml", &looking);
        let head = forge.commit("Look around");
        let payload = forge.github.pull_request(
            &forge.project,
            "opened",
            8,
            ("change", &head),
            ("main", &main),
        );
        assert_eq!(herald.deliver(&forge, "pull_request", &payload).await, 202);
        let check = forge.completed(&head, "herald").await;
        let said = lines(&herald, 2, "").await.join("\n");
        assert_eq!(
            check.conclusion.as_deref(),
            Some("success"),
            "{executor}: {said}"
        );
        assert!(said.contains("end"), "{executor}: {said}");
        assert!(!said.contains("LEAK"), "{executor}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_node_is_lost_finishes_on_the_other_one() {
    let Some(_engines) = engines(Hold::Alone) else {
        return;
    };
    let repository = unique("node");
    let forge = Forge::named("lost", &repository, false).await;
    let run = "echo attempt $HERALD_ATTEMPT; [ $HERALD_ATTEMPT != 1 ] || sleep 600\n\
               printf '<testsuite><testcase name=\"a\" classname=\"b\"/></testsuite>' > junit.xml";
    let (main, head) = project(&forge, &image("busybox:1"), run);
    // The first attempt goes to the second node: the first one is closed meanwhile.
    let first = docker("HERALD_TEST_DOCKER", &["info", "-f", "{{.Swarm.NodeID}}"]);
    let first = first.trim().to_owned();
    let availability = |word: &str| {
        docker(
            "HERALD_TEST_DOCKER",
            &["node", "update", "--availability", word, &first],
        );
    };
    availability("pause");
    let herald = Herald::spawn(command(&forge, "swarm"));
    herald
        .open_pull_request(&forge, "opened", &head, &main)
        .await;
    forge
        .until("the first attempt", |state| running_on(state, &head))
        .await;
    let log = forge.dir.path().join("data/logs");
    eventually("the first attempt's word", || {
        walkdir::WalkDir::new(&log)
            .into_iter()
            .flatten()
            .any(|entry| {
                std::fs::read_to_string(entry.path()).is_ok_and(|text| text.contains("attempt 1"))
            })
    })
    .await;
    availability("active");
    let engine = stop_second_engine();
    forge
        .until("the second attempt", |state| {
            let checks = state.checks_of(&head, "herald");
            checks.len() == 2 && checks.iter().all(|check| check.status == "completed")
        })
        .await;
    drop(engine);
    let check = forge.completed(&head, "herald").await;
    assert_eq!(
        check.conclusion.as_deref(),
        Some("success"),
        "{}",
        check.title
    );
    assert!(check.title.starts_with("1 passed"), "{}", check.title);
    {
        let state = forge.github.state();
        let checks = state.checks_of(&head, "herald");
        let concluded: Vec<_> = checks
            .iter()
            .filter_map(|check| check.conclusion.as_deref())
            .collect();
        assert_eq!(concluded, ["cancelled", "success"]);
    }
    eventually("nothing left", || {
        left_over(&format!("lost/{repository}")).is_empty()
    })
    .await;
}

/// Ends the second node's daemon and everything that it runs, at once.
fn stop_second_engine() -> SecondEngine {
    let pid = std::fs::read_to_string(
        needed("HERALD_TEST_DOCKER_TWO")
            .replace("unix://", "")
            .replace("docker.sock", "pid"),
    )
    .unwrap();
    for pid in descendants(pid.trim()) {
        let _ = Command::new("kill").args(["-KILL", &pid]).status();
    }
    SecondEngine
}

/// The second node's daemon, started again when this is dropped.
struct SecondEngine;

impl Drop for SecondEngine {
    fn drop(&mut self) {
        start_second_engine();
    }
}

/// A process and all below it, and the shims of its containers, which are nobody's children.
fn descendants(pid: &str) -> Vec<String> {
    let mut found = vec![pid.to_owned()];
    let run = needed("HERALD_TEST_DOCKER_TWO")
        .replace("unix://", "")
        .replace("docker.sock", "run");
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if name.chars().all(|char| char.is_ascii_digit()) && line.contains(&run) && name != pid {
            found.push(name);
        }
    }
    found
}

fn start_second_engine() {
    // Out of the test's own process group: it lives on.
    let line = format!(
        "setsid {} >/dev/null 2>&1 </dev/null &",
        needed("HERALD_TEST_ENGINE_TWO")
    );
    Command::new("sh").args(["-c", &line]).status().unwrap();
    let began = std::time::Instant::now();
    while docker(
        "HERALD_TEST_DOCKER",
        &["node", "ls", "--format", "{{.Status}}"],
    )
    .lines()
    .filter(|line| *line == "Ready")
    .count()
        < 2
    {
        assert!(
            began.elapsed() < Duration::from_secs(90),
            "the second node does not come back"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The path of a check's build.
fn address(check: &Check) -> &str {
    let path = check.details_url.trim_start_matches("http://herald.test");
    path.split("/jobs/").next().unwrap_or_default()
}

const SECRET: &str = "correct-horse-battery-staple";

fn keep_secret(forge: &Forge, name: &str) {
    use std::io::Write;
    let project = format!("{}/{}", forge.project.owner, forge.project.name);
    let mut child = Command::new(env!("CARGO_BIN_EXE_herald"))
        .args(["admin", "secret", "set", &project, name, "--data-dir"])
        .arg(forge.dir.path().join("data"))
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(SECRET.as_bytes()).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_caches_and_artifacts_reach_containers_and_come_back() {
    let Some(_engines) = engines(Hold::Shared) else {
        return;
    };
    for executor in EXECUTORS {
        let forge = Forge::new(false).await;
        forge.write("lock", "1");
        let main = forge.commit("Begin");
        forge.branch("change");
        let specification = format!(
            "jobs:\n  build:\n    image: {}\n    resources: {{cpus: 0.5, memory: 256MiB}}\n    \
             matrix: {{letter: [a, b]}}\n    \
             secrets: [TOKEN]\n    cache: {{key: \"${{letter}}-${{hash:lock}}\", paths: [deps, ~/.kept]}}\n    \
             artifacts: [out/**]\n    execute:\n      - run: |\n          \
             if [ -e deps/thing ] && [ -e ~/.kept/more ]; then echo found $(cat deps/thing); \
             else mkdir -p deps ~/.kept; echo $letter > deps/thing; touch ~/.kept/more; echo made; fi\n          \
             echo token $TOKEN; printf %s \"x$TOKEN\" | base64\n          \
             printf %s $TOKEN | sed 's/./&\\n/g' | tr -d '\\n'; echo\n          \
             mkdir out; echo kept $letter > out/file.txt\n          \
             [ \"$(id -u)\" = 0 ] && grep -r correct-horse /proc/1/environ /run/secrets 2>/dev/null && echo LEAK; true\n",
            image("busybox:1")
        );
        forge.write(".herald.yml", &specification);
        let head = forge.commit("Build it");
        let herald = Herald::spawn(command(&forge, executor));
        // A first delivery makes the repository known.
        let push = forge.github.push(&forge.project, "main", &main, &main);
        assert_eq!(herald.deliver(&forge, "push", &push).await, 202);
        eventually("the repository", || known(&forge)).await;
        keep_secret(&forge, "TOKEN");
        let check = herald.built(&forge, "opened", &head, &main).await;
        assert_eq!(
            check.conclusion.as_deref(),
            Some("success"),
            "{executor}: {}",
            check.summary
        );
        for (job, letter) in [("build.1", "a"), ("build.2", "b")] {
            let path = format!("{}/jobs/{job}", address(&check));
            let (_, log) = herald.get(&format!("{path}/log.txt")).await;
            assert!(log.contains("made\ntoken ***\n"), "{executor}: {log}");
            assert!(
                !log.contains(SECRET) && !log.contains("LEAK"),
                "{executor}: {log}"
            );
            let (status, file) = herald.get(&format!("{path}/artifacts/out/file.txt")).await;
            assert_eq!((status, file), (200, format!("kept {letter}\n")));
        }
        forge.write("other", "2");
        let again = forge.commit("Build it again");
        let check = herald.built(&forge, "synchronize", &again, &main).await;
        assert_eq!(
            check.conclusion.as_deref(),
            Some("success"),
            "{executor}: {}",
            check.summary
        );
        let (_, log) = herald
            .get(&format!("{}/jobs/build.2/log.txt", address(&check)))
            .await;
        assert!(log.contains("found b\n"), "{executor}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_has_changed_is_told_and_one_that_is_missing_fails_the_job() {
    let Some(_engines) = engines(Hold::Shared) else {
        return;
    };
    let name = format!("{}:{}", image("moving"), std::process::id());
    let publish = |from: &str| {
        docker("HERALD_TEST_DOCKER", &["tag", &image(from), &name]);
        docker("HERALD_TEST_DOCKER", &["push", "-q", &name]);
        docker("HERALD_TEST_DOCKER", &["rmi", &name]);
    };
    publish("busybox:1");
    let forge = Forge::new(false).await;
    let (main, head) = project(&forge, &name, "echo hello");
    let herald = Herald::spawn(command(&forge, "docker"));
    let check = herald.built(&forge, "opened", &head, &main).await;
    assert_eq!(
        check.conclusion.as_deref(),
        Some("success"),
        "{}",
        check.title
    );
    assert!(!check.summary.contains("has changed"), "{}", check.summary);

    // The tag moves. A server asks a registry once a minute, a new one at once.
    drop(herald);
    publish("busybox:user");
    let herald = Herald::spawn(command(&forge, "docker"));
    forge.write("other", "1");
    let again = forge.commit("Again");
    let check = herald.built(&forge, "synchronize", &again, &main).await;
    let digests = check.summary.matches("sha256").count();
    assert!(
        check.summary.contains("image has changed"),
        "{}",
        check.summary
    );
    assert_eq!(digests, 2, "{}", check.summary);

    let specification = std::fs::read_to_string(forge.tree.join(".herald.yml")).unwrap();
    let missing = image("busybox:99");
    forge.write(".herald.yml", &specification.replace(&name, &missing));
    let wrong = forge.commit("A wrong tag");
    let check = herald.built(&forge, "synchronize", &wrong, &main).await;
    assert_eq!(check.conclusion.as_deref(), Some("failure"));
    assert!(check.title.contains("has no such tag"), "{}", check.title);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_behind_a_login_is_for_who_has_it() {
    let Some(_engines) = engines(Hold::Shared) else {
        return;
    };
    let login = needed("HERALD_TEST_LOGIN");
    let folder = Path::new(&login).parent().unwrap().to_str().unwrap();
    for executor in EXECUTORS {
        let registry = needed("HERALD_TEST_PRIVATE_REGISTRY");
        let name = format!("{registry}/private:{executor}-{}", std::process::id());
        let engine = "HERALD_TEST_DOCKER";
        docker(engine, &["tag", &image("busybox:1"), &name]);
        docker(engine, &["--config", folder, "push", "-q", &name]);
        docker(engine, &["rmi", &name]);

        let forge = Forge::new(false).await;
        let (main, head) = project(&forge, &name, "echo hello");
        let herald = Herald::spawn(command(&forge, executor));
        let check = herald.built(&forge, "opened", &head, &main).await;
        assert_eq!(check.conclusion.as_deref(), Some("failure"), "{executor}");
        let title = &check.title;
        assert!(
            title.contains("does not give it")
                && title.contains("the operator sets HERALD_REGISTRY_AUTH_FILE"),
            "{executor}: {title}"
        );
        drop(herald);

        let mut serve = command(&forge, executor);
        serve.env("HERALD_REGISTRY_AUTH_FILE", &login);
        let herald = Herald::spawn(serve);
        forge.write("other", "1");
        let again = forge.commit("Again");
        let check = herald.built(&forge, "synchronize", &again, &main).await;
        assert_eq!(
            check.conclusion.as_deref(),
            Some("success"),
            "{executor}: {}",
            check.title
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_code_runs_after_approval_without_secrets_and_waits_again_after_a_push() {
    const EVE: i64 = 900;
    let Some(_engines) = engines(Hold::Shared) else {
        return;
    };
    for executor in EXECUTORS {
        let forge = Forge::new(false).await;
        let eve = Person {
            login: "eve".to_owned(),
            permission: "read".to_owned(),
        };
        forge.github.state().people.insert(EVE, eve);
        let look = "env; env | base64; cat /run/secrets/* /proc/1/environ 2>&1 || true\n\
                    grep -r correct-horse / --exclude-dir=proc --exclude-dir=sys 2>/dev/null | head\n\
                    echo looked";
        let (main, _) = project(&forge, &image("busybox:1"), "true");
        let look: String = look
            .lines()
            .map(|line| format!("          {line}\n"))
            .collect();
        forge.write(
            ".herald.yml",
            &format!(
                "jobs:\n  build:\n    image: {}\n    resources: {{cpus: 0.5, memory: 256MiB}}\n    \
                 secrets: [TOKEN]\n    execute:\n      - run: |\n{look}",
                image("busybox:1")
            ),
        );
        let head = forge.commit("Look for secrets");
        let herald = Herald::spawn(command(&forge, executor));
        let push = forge.github.push(&forge.project, "main", &main, &main);
        assert_eq!(herald.deliver(&forge, "push", &push).await, 202);
        eventually("the repository", || known(&forge)).await;
        keep_secret(&forge, "TOKEN");

        let stranger = async |action: &str, head: &str| {
            let (github, project) = (&forge.github, &forge.project);
            let sides = (("change", head), ("main", main.as_str()));
            let mut payload = github.pull_request(project, action, 7, sides.0, sides.1);
            payload["pull_request"]["head"]["repo"] = serde_json::json!({"id": 999});
            payload["pull_request"]["user"] = serde_json::json!({"id": EVE, "type": "User"});
            payload["sender"] = payload["pull_request"]["user"].clone();
            github.state().set_pull(&payload["pull_request"]);
            assert_eq!(herald.deliver(&forge, "pull_request", &payload).await, 202);
            forge.completed(head, "herald").await
        };
        let approve = async |person: i64, head: &str| {
            let body = format!("/herald approve {head}");
            let comment = forge.github.comment(&forge.project, 7, person, &body);
            assert_eq!(herald.deliver(&forge, "issue_comment", &comment).await, 202);
        };
        let check = stranger("opened", &head).await;
        assert_eq!(check.conclusion.as_deref(), Some("action_required"));
        approve(EVE, &head).await;
        forge
            .until("the refusal", |state| state.comments.len() == 1)
            .await;
        assert_eq!(forge.github.state().checks_of(&head, "herald").len(), 1);
        approve(500, &head).await;
        forge
            .until("the approved build", |state| {
                let checks = state.checks_of(&head, "herald");
                checks.len() == 2 && checks.iter().all(|check| check.status == "completed")
            })
            .await;
        let check = forge.completed(&head, "herald").await;
        let log = herald
            .get(&format!("{}/jobs/build/log.txt", address(&check)))
            .await
            .1;
        assert_eq!(
            check.conclusion.as_deref(),
            Some("success"),
            "{executor}: {} {log}",
            check.title
        );
        assert!(log.contains("looked"), "{executor}: {log}");
        for marker in [SECRET, "Y29ycmVjdC1ob3JzZ", "correct%2Dhorse", "TOKEN="] {
            assert!(!log.contains(marker), "{executor}: {marker} in {log}");
        }
        forge.write("evil", "1");
        let pushed = forge.commit("Another look");
        let check = stranger("synchronize", &pushed).await;
        assert_eq!(check.conclusion.as_deref(), Some("action_required"));
        // The operator may approve too.
        for (commit, told) in [
            (head.as_str(), "is not the whole id of the head"),
            (&pushed[..20], "is not the whole id of the head"),
            (&pushed, "is approved"),
        ] {
            let output = Command::new(env!("CARGO_BIN_EXE_herald"))
                .args([
                    "admin",
                    "approve",
                    "octo/project",
                    "7",
                    commit,
                    "--data-dir",
                ])
                .arg(forge.dir.path().join("data"))
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains(told), "{executor}: {said}");
        }
        forge
            .until("the build that the operator approved", |state| {
                let checks = state.checks_of(&pushed, "herald");
                checks.len() == 2 && checks.iter().all(|check| check.status == "completed")
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_trusted_how_far_on_docker() {
    let Some(_engines) = engines(Hold::Shared) else {
        return;
    };
    let forge = Forge::new(false).await;
    // The base has a specification too.
    let (_, main) = project(&forge, &image("busybox:1"), "env");
    let specification = std::fs::read_to_string(forge.tree.join(".herald.yml")).unwrap();
    let herald = Herald::spawn(command(&forge, "docker"));
    let person = |id: i64, kind: &str| serde_json::json!({"id": id, "type": kind});
    let deliver = async |number: i64, action: &str, head: &str, author: serde_json::Value| {
        let sides = (("change", head), ("main", main.as_str()));
        let (github, project) = (&forge.github, &forge.project);
        let mut payload = github.pull_request(project, action, number, sides.0, sides.1);
        if author["type"] == "User" {
            payload["pull_request"]["head"]["repo"] = serde_json::json!({"id": 999});
        }
        payload["pull_request"]["author_association"] = serde_json::json!("OWNER");
        payload["pull_request"]["user"] = author.clone();
        payload["sender"] = author;
        if action == "edited" {
            payload["changes"] = serde_json::json!({"base": {"ref": {"from": "main"}}});
            payload["pull_request"]["base"]["ref"] = serde_json::json!("release");
        }
        github.state().set_pull(&payload["pull_request"]);
        assert_eq!(herald.deliver(&forge, "pull_request", &payload).await, 202);
    };
    let ended = async |head: &str| {
        let check = forge.completed(head, "herald").await;
        (check.conclusion.clone().unwrap(), check)
    };
    let mut number = 10;
    let mut next = |content: &str| {
        number += 1;
        forge.write(".herald.yml", content);
        forge.write("number", &number.to_string());
        (number, forge.commit("Next"))
    };

    // A member's own fork, and a bot in the repository itself.
    let (own, head) = next(&specification);
    deliver(own, "opened", &head, person(500, "User")).await;
    assert_eq!(ended(&head).await.0, "success");
    let (of_bot, head) = next(&specification);
    deliver(of_bot, "opened", &head, person(300, "Bot")).await;
    assert_eq!(ended(&head).await.0, "success");

    // A stranger: by the button, until the base changes.
    let (strange, head) = next(&specification);
    deliver(strange, "opened", &head, person(900, "User")).await;
    let (conclusion, check) = ended(&head).await;
    assert_eq!(conclusion, "action_required");
    let press = forge.github.button(&forge.project, &check, "approve", 500);
    assert_eq!(herald.deliver(&forge, "check_run", &press).await, 202);
    let runs = |wanted: usize, conclusion: &'static str| {
        let head = head.clone();
        move |state: &State| {
            let checks = state.checks_of(&head, "herald");
            checks.len() == wanted
                && checks
                    .last()
                    .is_some_and(|check| check.conclusion.as_deref() == Some(conclusion))
        }
    };
    forge.until("the approved build", runs(2, "success")).await;
    deliver(strange, "edited", &head, person(900, "User")).await;
    forge
        .until("the build for another base", runs(3, "action_required"))
        .await;

    // A `when` that skips its own gate, and no specification any more.
    let gate = format!("when: {{branches: [none]}}\n{specification}");
    let (ungated, head) = next(&gate);
    deliver(ungated, "opened", &head, person(900, "User")).await;
    assert_eq!(ended(&head).await.0, "action_required");
    std::fs::remove_file(forge.tree.join(".herald.yml")).unwrap();
    let head = forge.commit("Without");
    deliver(ungated, "synchronize", &head, person(900, "User")).await;
    assert_eq!(ended(&head).await.0, "failure");
}

/// Whether the server's database has the repository.
fn known(forge: &Forge) -> bool {
    let name = format!("{}/{}", forge.project.owner, forge.project.name);
    Command::new(env!("CARGO_BIN_EXE_herald"))
        .args(["admin", "secret", "list", &name, "--data-dir"])
        .arg(forge.dir.path().join("data"))
        .output()
        .unwrap()
        .status
        .success()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_room_the_scheduler_is_quoted() {
    let Some(_engines) = engines(Hold::Shared) else {
        return;
    };
    let forge = Forge::new(false).await;
    forge.write("README.md", "# Project\n");
    let main = forge.commit("Begin");
    forge.branch("change");
    let specification = format!(
        "image: {}\nresources: {{cpus: 512}}\nexecute: [echo hello]\n",
        image("busybox:1")
    );
    forge.write(".herald.yml", &specification);
    let head = forge.commit("Ask for much");
    let herald = Herald::spawn(command(&forge, "swarm"));
    herald
        .open_pull_request(&forge, "opened", &head, &main)
        .await;
    let mut said = String::new();
    for _ in 0..300 {
        said = herald
            .get("/repos/octo/project/builds/1/jobs/build/log.txt")
            .await
            .1;
        if said.contains("no suitable node") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(
        said.contains("waiting for room: no suitable node"),
        "{said}"
    );
    let payload = forge.github.pull_request(
        &forge.project,
        "closed",
        7,
        ("change", &head),
        ("main", &main),
    );
    assert_eq!(herald.deliver(&forge, "pull_request", &payload).await, 202);
    let check = forge.completed(&head, "herald").await;
    assert_eq!(
        check.conclusion.as_deref(),
        Some("cancelled"),
        "{}",
        check.title
    );
}

/// A soak, by `tests/run --long`.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_builds_in_a_row_leave_nothing_behind() {
    let (Some(_), Some(_engines)) = (switch("HERALD_TEST_LONG"), engines(Hold::Alone)) else {
        return;
    };
    let project_name = unique("hundred");
    let forge = Forge::named("two", &project_name, false).await;
    let (main, mut head) = project(&forge, &image("busybox:1"), "echo hello");
    let mut serve = command(&forge, "swarm");
    serve.env("HERALD_MAX_CONCURRENT_JOBS", "2");
    let herald = Herald::spawn(serve);
    for number in 1..=200 {
        let action = if number == 1 { "opened" } else { "synchronize" };
        herald.open_pull_request(&forge, action, &head, &main).await;
        let check = forge.completed(&head, "herald").await;
        assert_eq!(
            check.conclusion.as_deref(),
            Some("success"),
            "{number}: {}",
            check.title
        );
        forge.write("number", &number.to_string());
        head = forge.commit("Again");
    }
    eventually("nothing left", || {
        left_over(&format!("two/{project_name}")).is_empty()
    })
    .await;
}

#[test]
fn herald_run_builds_in_a_container_what_it_would_build_as_processes() {
    let Some(_engines) = engines(Hold::Shared) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    // Builders of images would need a user namespace of their own: see docs/production.md.
    let specification = format!(
        "image: {}\nexecute: ['! unshare -U true', 'test -f shop.txt']\n",
        image("busybox:1")
    );
    std::fs::write(dir.path().join(".herald.yml"), specification).unwrap();
    git(dir.path(), &["init", "-q", "-b", "main", "."]);
    let run = |expected: i32| {
        let output = Command::new(env!("CARGO_BIN_EXE_herald"))
            .args(["run", "--executor", "docker"])
            .current_dir(dir.path())
            .env("HERALD_DOCKER_HOST", needed("HERALD_TEST_DOCKER"))
            .env("HERALD_RUNNER_PATH", needed("HERALD_TEST_RUNNER"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(expected), "{said}");
    };
    run(1);
    std::fs::write(dir.path().join("shop.txt"), "open\n").unwrap();
    run(0);
}
