use std::net::TcpListener;
use std::path::PathBuf;

use super::contract::suite;
use super::scripted::{Act, Scripted};
use super::trial::{Place, finish, job, marker, run, sh, survivors};
use super::{ProcessExecutor, RunnerProgram, Sandbox};
use crate::ports::error::{Kind, PortError};
use crate::ports::executor::{Executor, JobEnd, JobEvent};
use crate::protocol::{CollectKind, Exit, Phase};
use crate::runner::tests::{program, test_binary};

fn unsandboxed() -> ProcessExecutor {
    let (path, arguments) = program();
    ProcessExecutor::new(RunnerProgram { path, arguments }, None)
}

/// The sandbox, where this machine has bubblewrap; `tests/run --all` installs it and sets
/// `HERALD_TEST_BWRAP`, with which a missing one is a failure.
fn sandboxed() -> Option<ProcessExecutor> {
    let (path, arguments) = program();
    let mut sandbox = match Sandbox::find("") {
        Ok(sandbox) => sandbox,
        Err(error) => {
            assert!(std::env::var_os("HERALD_TEST_BWRAP").is_none(), "{error}");
            return None;
        }
    };
    if let Some(program) = std::env::var_os("HERALD_TEST_SLIRP4NETNS") {
        sandbox.slirp4netns = Some(PathBuf::from(program));
    }
    sandbox.read_only.push(test_binary());
    let program = RunnerProgram { path, arguments };
    Some(ProcessExecutor::new(program, Some(sandbox)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_executor_keeps_the_contract() {
    suite(&unsandboxed()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sandboxed_process_executor_keeps_the_contract() {
    if let Some(executor) = sandboxed() {
        suite(&executor).await;
    }
}

#[tokio::test]
async fn a_sandboxed_step_sees_nothing_of_the_machine() {
    let Some(executor) = sandboxed() else { return };
    let place = Place::new();
    let secret = place.workspace().join("../secret");
    std::fs::write(&secret, "marker").expect("written");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let script = format!(
        "set +e\n\
         cat {secret} && echo LEAK file\n\
         cat ../secret && echo LEAK parent\n\
         cat /etc/shadow && echo LEAK shadow\n\
         ls /root /srv /var/lib /mnt 2>/dev/null | grep . && echo LEAK folders\n\
         ls -A /home | grep . && echo LEAK home\n\
         cat /proc/*/environ | tr '\\0' '\\n' | grep -i cargo && echo LEAK environ\n\
         [ \"$(ls /proc | grep -c '^[0-9]')\" -lt 15 ] || echo LEAK processes\n\
         touch /usr/x /etc/x && echo LEAK write\n\
         for host in 127.0.0.1 10.0.2.2; do\n\
         bash -c \"echo > /dev/tcp/$host/{port}\" && echo LEAK loopback $host\n\
         done\n\
         set=/proc/sys/kernel/core_pattern; was=$(cat $set)\n\
         (echo \"$was\" > $set) && echo LEAK kernel settings\n\
         unshare -Urpmf --mount-proc sh -c \"echo '$was' > $set\" && echo LEAK by namespace\n\
         for file in /proc/*; do [ -f $file ] && [ -w $file ] && echo LEAK $file; done\n\
         find /proc/sys /proc/bus /proc/irq /proc/fs -type f -writable 2>/dev/null | grep . && echo LEAK proc\n\
         ls -A /run | grep -v herald && echo LEAK run\n\
         [ -e /dev/sda ] || [ -e /dev/vda ] || [ -e /dev/kmsg ] && echo LEAK device\n\
         id -u; pwd; echo x > written; df /tmp >/dev/null; echo end",
        secret = secret.display(),
    );
    let ran = run(&executor, &place, job(vec![sh(Phase::Execute, &script)])).await;
    let said = ran.stdout(0);
    assert!(!said.contains("LEAK"), "{said}");
    assert!(
        said.ends_with("/workspace\nend\n"),
        "{said} {:?}",
        ran.output
    );
    assert_eq!(ran.exits, [Exit::Code(0)]);
    assert!(place.workspace().join("written").exists());
    let told = ran.notes.iter().any(|note| note.contains("no network"));
    assert_eq!(told, executor_without_network(&executor), "{:?}", ran.notes);
}

fn executor_without_network(executor: &ProcessExecutor) -> bool {
    format!("{executor:?}").contains("slirp4netns: None")
}

#[tokio::test]
async fn a_step_that_kills_its_runner_loses_the_job() {
    let step = sh(Phase::Execute, "kill -KILL $PPID; sleep 60");
    let ran = run(&unsandboxed(), &Place::new(), job(vec![step])).await;
    let JobEnd::Lost(reason) = ran.end else {
        panic!("{:?}", ran.end);
    };
    assert!(reason.starts_with("the runner ended early: "), "{reason}");
}

#[tokio::test]
async fn in_the_sandbox_a_step_cannot_kill_its_runner() {
    let Some(executor) = sandboxed() else { return };
    // It is the first process of its namespace: see pid_namespaces(7).
    let step = sh(Phase::Execute, "kill -KILL $PPID; kill -KILL 1; echo alive");
    let ran = run(&executor, &Place::new(), job(vec![step])).await;
    assert_eq!(ran.stdout(0), "alive\n");
    assert_eq!(ran.end, JobEnd::Done);
}

#[tokio::test]
async fn a_step_cannot_speak_for_the_runner() {
    let Some(executor) = sandboxed() else { return };
    let step = sh(
        Phase::Execute,
        "for fd in /proc/$PPID/fd/0 /proc/$PPID/fd/1 /proc/$PPID/fd/*; do \
         (printf forged > $fd) && echo FORGED || :; done; exit 5",
    );
    let ran = run(&executor, &Place::new(), job(vec![step])).await;
    assert_eq!(ran.exits, [Exit::Code(5)]);
    assert_eq!(ran.stdout(0), "");
    assert_eq!(ran.end, JobEnd::Done);
}

#[tokio::test]
async fn a_missing_sandbox_is_a_refusal_that_says_what_to_do() {
    let (path, arguments) = program();
    let sandbox = Sandbox {
        bwrap: "/nowhere/bwrap".into(),
        slirp4netns: None,
        read_only: Vec::new(),
    };
    let executor = ProcessExecutor::new(RunnerProgram { path, arguments }, Some(sandbox));
    let order = Place::new().order(job(vec![sh(Phase::Execute, "true")]));
    let Err(error) = executor.start(order).await else {
        panic!("it started");
    };
    assert_eq!(error.kind, Kind::Refused);
    assert!(error.message.contains("install bubblewrap"), "{error}");
}

#[tokio::test]
async fn a_runner_that_is_no_runner_is_refused_in_clear_words() {
    let program = |script: &str| RunnerProgram {
        path: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
    };
    for (script, words) in [
        ("echo broken thing >&2", "start the runner: broken thing"),
        ("exit 1", "start the runner: it ended without a word"),
    ] {
        let executor = ProcessExecutor::new(program(script), None);
        let place = Place::new();
        let Err(error) = executor.start(place.order(job(Vec::new()))).await else {
            panic!("it started");
        };
        assert_eq!((error.kind, error.message.as_str()), (Kind::Refused, words));
    }
}

#[tokio::test]
async fn with_slirp4netns_a_step_reaches_what_is_outside_of_the_machine() {
    let Some(executor) = sandboxed() else { return };
    if executor_without_network(&executor) {
        return;
    }
    // No packet is sent: connecting a UDP socket only chooses the address to send from.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
    if socket.connect("192.0.2.1:9").is_err() {
        return;
    }
    let address = socket.local_addr().expect("an address").ip();
    let listener = TcpListener::bind((address, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let script = format!("bash -c 'echo > /dev/tcp/{address}/{port}'");
    let ran = run(
        &executor,
        &Place::new(),
        job(vec![sh(Phase::Execute, &script)]),
    )
    .await;
    assert_eq!(ran.exits, [Exit::Code(0)], "{:?}", ran.output);
}

/// This test binary as a server that runs a job; see the next test.
#[tokio::test]
async fn as_server() {
    let Ok(marker) = std::env::var("HERALD_TEST_AS_SERVER") else {
        return;
    };
    let executor = if marker.starts_with("sandboxed ") {
        sandboxed().expect("bubblewrap")
    } else {
        unsandboxed()
    };
    let marker = marker.rsplit(' ').next().expect("a word");
    let script = format!(
        "setsid sh -c 'trap \"\" TERM HUP; while :; do sleep {marker}; done' & sleep {marker}"
    );
    let place = Place::new();
    let order = place.order(job(vec![sh(Phase::Execute, &script)]));
    let mut running = executor.start(order).await.expect("started");
    finish(running.as_mut()).await;
}

#[tokio::test]
async fn a_killed_server_leaves_no_process() {
    let mut kinds = vec!["unsandboxed"];
    if sandboxed().is_some() {
        kinds.push("sandboxed");
    }
    for kind in kinds {
        let marker = marker();
        let mut server = std::process::Command::new(test_binary())
            .args(["--exact", "executor::tests::as_server", "--nocapture"])
            .env("HERALD_TEST_AS_SERVER", format!("{kind} {marker}"))
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("started");
        wait_for(|| survivors(&marker).len() >= 3).await;
        server.kill().expect("killed");
        server.wait().expect("reaped");
        wait_for(|| survivors(&marker).is_empty()).await;
    }
}

async fn wait_for(condition: impl Fn() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("it did not happen within 20 s");
}

#[tokio::test]
async fn a_scripted_executor_plays_its_part() {
    let executor = Scripted::new(|order| {
        if order.job.steps.is_empty() {
            return Err(PortError::refused("start: no steps"));
        }
        let mut acts = vec![
            Act::Start(0),
            Act::Write(0, "hello\n".into()),
            Act::End(0, Exit::Code(1)),
        ];
        acts.extend(Act::step(1, 0));
        acts.push(Act::File {
            kind: CollectKind::Tests,
            path: "junit.xml".into(),
            bytes: b"<x/>".to_vec(),
        });
        Ok(acts)
    });
    let steps = vec![sh(Phase::Execute, "x"), sh(Phase::After, "y")];
    let ran = run(&executor, &Place::new(), job(steps)).await;
    assert_eq!(ran.exits, [Exit::Code(1), Exit::Code(0)]);
    assert_eq!(ran.stdout(0), "hello\n");
    assert_eq!(ran.files["junit.xml"], b"<x/>");
    assert_eq!(ran.end, JobEnd::Done);
    let refused = executor.start(Place::new().order(job(Vec::new()))).await;
    assert!(refused.is_err());
    assert_eq!(executor.orders().len(), 1);
}

#[tokio::test]
async fn a_scripted_job_holds_until_it_is_released_or_cancelled() {
    let executor = Scripted::new(|_| Ok(vec![Act::Hold, Act::Start(0)]));
    for release in [false, true] {
        let place = Place::new();
        let order = place.order(job(vec![sh(Phase::Execute, "x")]));
        let mut running = executor.start(order).await.expect("started");
        assert!(matches!(running.next().await, Some(JobEvent::Started)));
        tokio::select! {
            biased;
            event = running.next() => panic!("{event:?}"),
            () = tokio::task::yield_now() => {}
        }
        let expected = if release {
            executor.release();
            JobEnd::Done
        } else {
            running.cancel("superseded").await;
            JobEnd::Cancelled
        };
        assert_eq!(finish(running.as_mut()).await.end, expected);
    }
}
