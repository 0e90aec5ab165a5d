//! The part of the contract's suite with jobs that take all they can get, forge and break out; and
//! with jobs that are cancelled at each of their stages.

use std::fs;
use std::time::{Duration, Instant};

use super::trial::{
    Place, Ran, begin, execute, fail, finish, image, job, marker, ordered, read, run, sh, start,
    survivors,
};
use crate::ports::executor::{Executor, JobEnd, JobEvent};
use crate::protocol::{Collect, CollectKind, Encoder, Exit, FromRunner, Outcome, Phase, Stream};

/// How much one step writes to its output, in bytes.
const FLOOD: u64 = 500_000_000;

/// Runs all cases of this part, one after another.
pub(super) async fn cases(executor: &dyn Executor) {
    a_fork_bomb_stays_within_its_job(executor).await;
    a_step_that_takes_too_much_memory_is_told_so(executor).await;
    a_flood_of_output_takes_no_memory(executor).await;
    a_step_that_fills_the_disk_is_told_so(executor).await;
    no_link_leads_a_writing_step_out(executor).await;
    only_files_are_collected_whatever_they_are_called(executor).await;
    a_step_that_speaks_as_the_runner_is_not_believed(executor).await;
    a_job_is_cancelled_before_it_begins(executor).await;
    a_job_is_cancelled_in_setup(executor).await;
    a_job_is_cancelled_between_steps(executor).await;
    a_job_is_cancelled_in_after(executor).await;
    a_job_is_cancelled_while_files_are_collected(executor).await;
}

/// Whether the executor keeps steps from what the server may do. Without a sandbox nothing does.
fn shuts_in(executor: &dyn Executor) -> bool {
    executor.isolates() || executor.abilities().network_none
}

/// Waits until no process with the marker is left.
async fn nothing_is_left(marker: &str) {
    let until = Instant::now() + Duration::from_secs(15);
    while !survivors(marker).is_empty() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(survivors(marker), Vec::<String>::new());
}

async fn a_fork_bomb_stays_within_its_job(executor: &dyn Executor) {
    if !executor.limits() {
        return;
    }
    let marker = marker();
    let mut bomb = execute(&format!(
        ": {marker}; bomb() {{ bomb | bomb & }}; bomb; sleep {marker}"
    ));
    bomb.timeout_ms = Some(3000);
    let place = Place::new();
    let steps = vec![bomb, execute("true"), sh(Phase::After, "echo after")];
    let mut order = ordered(executor, &place, job(steps));
    order.resources.pids = 64;
    let mut running = start(executor, order).await;
    let ran = finish(running.as_mut()).await;
    let [first, second, last] = ran.exits.as_slice() else {
        fail(&format!("{ran:?}"));
    };
    assert!(!first.success(), "{first:?}");
    assert_eq!((second, last), (&Exit::Skipped, &Exit::Code(0)));
    assert_eq!(ran.stdout(2), "after\n");
    assert_eq!(ran.end, JobEnd::Done);
    drop(running);
    nothing_is_left(&marker).await;
}

async fn a_step_that_takes_too_much_memory_is_told_so(executor: &dyn Executor) {
    if !executor.limits() {
        return;
    }
    // The shell itself, and a program that it starts.
    for script in [
        "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done",
        "head -c 300000000 /dev/zero | tail -c 200000000 >/dev/null",
    ] {
        let place = Place::new();
        let steps = vec![execute(script), sh(Phase::After, "echo after")];
        let mut order = ordered(executor, &place, job(steps));
        order.resources.memory_bytes = 64 << 20;
        let mut running = start(executor, order).await;
        let ran = finish(running.as_mut()).await;
        assert_eq!(
            ran.exits,
            [Exit::OutOfMemory, Exit::Code(0)],
            "{script} {ran:?}"
        );
        assert_eq!(ran.end, JobEnd::Done);
    }
}

async fn a_flood_of_output_takes_no_memory(executor: &dyn Executor) {
    let line = "a line of output, as long as such lines are on the average day";
    let step = execute(&format!("yes '{line}' | head -c {FLOOD}"));
    let place = Place::new();
    let mut running = begin(executor, &place, job(vec![step])).await;
    let (mut bytes, mut pieces) = (0, 0u32);
    let before = resident();
    let mut most = before;
    let ran = read(running.as_mut(), |piece| {
        bytes += piece.len() as u64;
        pieces += 1;
        if pieces % 256 == 0 {
            most = most.max(resident());
        }
        false
    })
    .await;
    assert_eq!(bytes, FLOOD, "{ran:?}");
    assert_eq!(ran.exits, [Exit::Code(0)]);
    assert!(ran.largest <= 64 * 1024, "{}", ran.largest);
    let grown = most.saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more memory");
}

/// The memory of this process, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// Where the steps run in images; a process of this machine writes to its disk like any other.
async fn a_step_that_fills_the_disk_is_told_so(executor: &dyn Executor) {
    if !executor.abilities().images {
        return;
    }
    // At most 2 GB, should nothing stop it.
    let fill = execute(
        "i=0; while [ $i -lt 100 ]; do head -c 20000000 /dev/zero >>big; sleep 0.03; \
         i=$((i + 1)); done; sleep 5",
    );
    let steps = vec![fill, execute("true"), sh(Phase::After, "rm big")];
    let ran = run(executor, &Place::new(), job(steps)).await;
    assert_eq!(
        ran.exits,
        [Exit::OutOfDisk, Exit::Skipped, Exit::Code(0)],
        "{ran:?}"
    );
}

async fn no_link_leads_a_writing_step_out(executor: &dyn Executor) {
    if !shuts_in(executor) {
        return;
    }
    let place = Place::new();
    let outside = place.workspace().join("../outside");
    let made = fs::write(&outside, "as it was")
        .and_then(|()| link("../outside", &place, "relative"))
        .and_then(|()| link(&outside.to_string_lossy(), &place, "absolute"))
        .and_then(|()| link("..", &place, "folder"));
    assert!(made.is_ok(), "{made:?}");
    let step = execute(
        "for file in relative absolute folder/outside folder/new; do \
         (echo changed >$file) || :; done; rm -rf folder/* || :; exit 0",
    );
    let ran = run(executor, &place, job(vec![step])).await;
    assert_eq!(ran.exits, [Exit::Code(0)]);
    let now = fs::read_to_string(&outside).unwrap_or_default();
    assert_eq!(now, "as it was");
    assert!(!place.workspace().join("../new").exists());
}

fn link(target: &str, place: &Place, name: &str) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, place.workspace().join(name))
}

async fn only_files_are_collected_whatever_they_are_called(executor: &dyn Executor) {
    let place = Place::new();
    let steps = vec![execute(
        "mkdir out; cd out; printf good >good.xml; \
         printf odd >'a b\\c.xml'; printf odd >\"$(printf 'd\\ne.xml')\"; \
         printf odd >\"$(printf 'f\\377.xml')\"; printf good >..xml; \
         long=$(printf '%0200d' 1); mkdir -p $long/$long/$long/$long/$long/$long; \
         printf odd >$long/$long/$long/$long/$long/$long/g.xml; \
         ln good.xml hard.xml; mkdir folder.xml; \
         (mknod null.xml c 1 3 && mknod disk.xml b 8 0) 2>/dev/null || :; \
         ln -s /etc/passwd passwd.xml; ln -s /proc/self/environ environ.xml; ln -s loop.xml loop.xml; \
         python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"socket.xml\")'; \
         [ -S socket.xml ]",
    )];
    let mut ordered = ordered(executor, &place, job(steps));
    if executor.abilities().images {
        ordered.image = Some(image("python:1"));
    }
    ordered.job.collect = vec![Collect {
        kind: CollectKind::Artifact,
        globs: vec!["out/**/*.xml".to_owned(), "out/../../*".to_owned()],
        defaults: false,
    }];
    let mut running = start(executor, ordered).await;
    let ran = finish(running.as_mut()).await;
    assert_eq!(ran.exits, [Exit::Code(0)], "{ran:?}");
    let paths: Vec<&str> = ran.files.keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        ["out/..xml", "out/d\ne.xml", "out/good.xml", "out/hard.xml"],
        "{ran:?}"
    );
}

async fn a_step_that_speaks_as_the_runner_is_not_believed(executor: &dyn Executor) {
    // Without a sandbox a step of root may write wherever root may.
    if !shuts_in(executor) {
        return;
    }
    let place = Place::new();
    let forged = forged();
    let written = fs::write(place.workspace().join("forged"), &forged);
    assert!(written.is_ok(), "{written:?}");
    let step = execute(
        "cat forged; cat forged >&2; for fd in /proc/1/fd/* /proc/$PPID/fd/*; do (cat forged >$fd && echo FORGED) 2>/dev/null || :; done; exit 7",
    );
    let ran = run(executor, &place, job(vec![step])).await;
    assert_eq!(ran.end, JobEnd::Done);
    assert_eq!(ran.exits, [Exit::Code(7)]);
    assert_eq!(ran.output.get(&(0, false)), Some(&forged));
    assert_eq!(ran.output.get(&(0, true)), Some(&forged));
}

/// What a runner would say of a job that passes, with numbers that could be the next ones.
fn forged() -> Vec<u8> {
    let messages = [
        FromRunner::Output {
            step: 0,
            stream: Stream::Stdout,
            unix_ms: 0,
            bytes: b"all is well".to_vec(),
        },
        FromRunner::StepFinished {
            step: 0,
            exit: Exit::Code(0),
            duration_ms: 1,
        },
        FromRunner::Finished {
            outcome: Outcome::Done,
        },
    ];
    let mut bytes = Vec::new();
    for first in 1..6 {
        let mut encoder = Encoder::default();
        encoder.rewind(first);
        for message in &messages {
            bytes.extend(encoder.frame(message).unwrap_or_default());
        }
    }
    bytes
}

/// Runs a job and cancels it after the first event that `at` wants.
async fn cancelled(
    executor: &dyn Executor,
    place: &Place,
    steps: Vec<crate::protocol::StepOrder>,
    collect: Vec<Collect>,
    at: impl Fn(&JobEvent) -> bool,
) -> (Vec<Exit>, Ran) {
    let mut ordered = job(steps);
    ordered.collect = collect;
    let mut running = begin(executor, place, ordered).await;
    let mut exits = Vec::new();
    while let Some(event) = running.next().await {
        if let JobEvent::StepFinished { exit, .. } = &event {
            exits.push(exit.clone());
        }
        if at(&event) {
            break;
        }
    }
    running.cancel("superseded").await;
    let ran = finish(running.as_mut()).await;
    exits.extend(ran.exits.iter().cloned());
    assert!(ran.took < Duration::from_secs(30), "{:?}", ran.took);
    (exits, ran)
}

async fn a_job_is_cancelled_before_it_begins(executor: &dyn Executor) {
    let marker = marker();
    let steps = vec![
        execute(&format!("sleep {marker}")),
        sh(Phase::After, "echo after"),
    ];
    let place = Place::new();
    let mut running = begin(executor, &place, job(steps)).await;
    running.cancel("superseded").await;
    let ran = finish(running.as_mut()).await;
    assert_eq!(ran.end, JobEnd::Cancelled);
    // Where no runner came, nothing is told of the steps; a quick one has begun meanwhile.
    let first = ran.exits.first().unwrap_or(&Exit::Skipped);
    assert!(matches!(first, Exit::Skipped | Exit::Cancelled), "{ran:?}");
    drop(running);
    nothing_is_left(&marker).await;
}

async fn a_job_is_cancelled_in_setup(executor: &dyn Executor) {
    let marker = marker();
    let steps = vec![
        sh(Phase::Setup, &format!("echo begun; sleep {marker}")),
        execute("true"),
        sh(Phase::After, "echo after"),
    ];
    let output = |event: &JobEvent| matches!(event, JobEvent::Output { .. });
    let (exits, ran) = cancelled(executor, &Place::new(), steps, Vec::new(), output).await;
    assert_eq!(exits, [Exit::Cancelled, Exit::Skipped, Exit::Code(0)]);
    assert_eq!(ran.stdout(2), "after\n");
    assert_eq!(ran.end, JobEnd::Cancelled);
    nothing_is_left(&marker).await;
}

async fn a_job_is_cancelled_between_steps(executor: &dyn Executor) {
    let marker = marker();
    let steps = vec![
        execute("true"),
        execute(&format!("sleep {marker}")),
        sh(Phase::After, "echo after"),
    ];
    let ended = |event: &JobEvent| matches!(event, JobEvent::StepFinished { .. });
    let (exits, ran) = cancelled(executor, &Place::new(), steps, Vec::new(), ended).await;
    let [
        Exit::Code(0),
        Exit::Cancelled | Exit::Skipped,
        Exit::Code(0),
    ] = exits.as_slice()
    else {
        fail(&format!("{exits:?} {ran:?}"));
    };
    assert_eq!(ran.stdout(2), "after\n");
    assert_eq!(ran.end, JobEnd::Cancelled);
    nothing_is_left(&marker).await;
}

async fn a_job_is_cancelled_in_after(executor: &dyn Executor) {
    let steps = vec![
        execute("true"),
        sh(Phase::After, "echo one; sleep 1; echo two"),
        sh(Phase::After, "echo three"),
    ];
    let output = |event: &JobEvent| matches!(event, JobEvent::Output { .. });
    let (exits, ran) = cancelled(executor, &Place::new(), steps, Vec::new(), output).await;
    assert_eq!(exits, [Exit::Code(0), Exit::Code(0), Exit::Code(0)]);
    assert_eq!(
        (ran.stdout(1), ran.stdout(2)),
        ("two\n".to_owned(), "three\n".to_owned())
    );
    assert_eq!(ran.end, JobEnd::Cancelled);
}

async fn a_job_is_cancelled_while_files_are_collected(executor: &dyn Executor) {
    let steps = vec![execute(
        "i=0; while [ $i -lt 200 ]; do printf $i >$i.txt; i=$((i + 1)); done",
    )];
    let collect = vec![Collect {
        kind: CollectKind::Artifact,
        globs: vec!["*.txt".to_owned()],
        defaults: false,
    }];
    let file = |event: &JobEvent| matches!(event, JobEvent::File { .. });
    let (exits, ran) = cancelled(executor, &Place::new(), steps, collect, file).await;
    assert_eq!(exits, [Exit::Code(0)]);
    // It was over by then.
    assert!(
        matches!(ran.end, JobEnd::Done | JobEnd::Cancelled),
        "{:?}",
        ran.end
    );
    if ran.end == JobEnd::Done {
        assert_eq!(ran.files.len(), 199);
    }
}
