//! What every executor must do, as a suite that each of them passes.
//!
//! Each case orders a small job, reads all of its events, and compares what happened. It needs
//! `sh` and the usual small programs where the steps run. Cases panic when they fail.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::trial::{Place, argv, begin, execute, finish, job, marker, run, sh, survivors};
use crate::ports::executor::{Executor, JobEnd, JobEvent};
use crate::protocol::{Collect, CollectKind, Exit, Limits, Phase, StepOrder};

/// Runs all cases, one after another.
///
/// # Panics
/// When one of them fails.
pub async fn suite(executor: &dyn Executor) {
    exit_statuses_are_kept(executor).await;
    the_first_failure_skips_the_rest_but_not_after(executor).await;
    a_failure_can_be_passed_over(executor).await;
    a_signal_is_told(executor).await;
    a_step_that_cannot_start_says_why(executor).await;
    a_step_past_its_time_is_ended_with_all_it_started(executor).await;
    a_job_past_its_time_still_runs_after(executor).await;
    after_has_a_limit(executor).await;
    daemons_end_with_their_step(executor).await;
    a_step_may_close_its_output_and_live_on(executor).await;
    output_arrives_whole_and_in_small_pieces(executor).await;
    output_is_bytes_on_two_streams(executor).await;
    a_prompt_is_shown_before_its_line_ends(executor).await;
    the_environment_is_what_was_ordered(executor).await;
    nothing_carries_over_but_files(executor).await;
    a_cancelled_job_ends_at_once_and_runs_after(executor).await;
    a_dropped_job_leaves_nothing(executor).await;
    only_fresh_regular_files_of_the_workspace_are_collected(executor).await;
    the_usual_places_are_looked_at(executor).await;
    what_is_collected_has_limits(executor).await;
    super::contract_hostile::cases(executor).await;
}

async fn exit_statuses_are_kept(executor: &dyn Executor) {
    let ran = run(
        executor,
        &Place::new(),
        job(vec![execute("true"), execute("exit 3")]),
    )
    .await;
    assert_eq!(ran.exits, [Exit::Code(0), Exit::Code(3)]);
    assert_eq!(ran.end, JobEnd::Done);
}

async fn the_first_failure_skips_the_rest_but_not_after(executor: &dyn Executor) {
    let steps = vec![
        sh(Phase::Setup, "exit 3"),
        execute("true"),
        sh(Phase::After, "exit 4"),
        sh(Phase::After, "echo after"),
    ];
    let ran = run(executor, &Place::new(), job(steps)).await;
    assert_eq!(
        ran.exits,
        [Exit::Code(3), Exit::Skipped, Exit::Code(4), Exit::Code(0)]
    );
    assert_eq!(ran.stdout(3), "after\n");
}

async fn a_failure_can_be_passed_over(executor: &dyn Executor) {
    let mut failing = execute("exit 3");
    failing.continue_on_error = true;
    let ran = run(executor, &Place::new(), job(vec![failing, execute("true")])).await;
    assert_eq!(ran.exits, [Exit::Code(3), Exit::Code(0)]);
}

async fn a_signal_is_told(executor: &dyn Executor) {
    let ran = run(executor, &Place::new(), job(vec![execute("kill -KILL $$")])).await;
    assert_eq!(ran.exits, [Exit::Signal(9)]);
}

async fn a_step_that_cannot_start_says_why(executor: &dyn Executor) {
    let place = Place::new();
    let _ = std::os::unix::fs::symlink("/", place.workspace().join("out"));
    let cases = [
        (
            argv(&["no-such-program"]),
            "start `no-such-program`: there is no such program on PATH",
        ),
        (
            argv(&["./missing"]),
            "start `./missing`: there is no such file, or the interpreter that it names is missing",
        ),
        (
            StepOrder {
                working_directory: Some("nowhere".to_owned()),
                ..execute("true")
            },
            "run in `nowhere`: there is no such folder",
        ),
        (
            StepOrder {
                working_directory: Some("../..".to_owned()),
                ..execute("true")
            },
            "run in `../..`: it leads out of the workspace",
        ),
        (
            StepOrder {
                working_directory: Some("out".to_owned()),
                ..execute("true")
            },
            "run in `out`: it leads out of the workspace",
        ),
    ];
    for (step, words) in cases {
        let after = sh(Phase::After, "echo after");
        let ran = run(
            executor,
            &Place {
                folder: place_again(&place),
            },
            job(vec![step, after]),
        )
        .await;
        assert_eq!(
            ran.exits,
            [Exit::NotStarted(words.to_owned()), Exit::Code(0)]
        );
    }
}

/// A place with the same links as another.
fn place_again(place: &Place) -> TempDir {
    let new = Place::new();
    for entry in fs::read_dir(place.workspace())
        .into_iter()
        .flatten()
        .flatten()
    {
        if let Ok(target) = fs::read_link(entry.path()) {
            let _ = std::os::unix::fs::symlink(target, new.workspace().join(entry.file_name()));
        }
    }
    new.folder
}

async fn a_step_past_its_time_is_ended_with_all_it_started(executor: &dyn Executor) {
    let marker = marker();
    let mut step = execute(&format!(
        "sh -c 'trap \"\" TERM; while :; do sleep {marker}; done' & echo begun; sleep 300"
    ));
    step.timeout_ms = Some(1500);
    let after = sh(Phase::After, "echo after");
    let ran = run(
        executor,
        &Place::new(),
        job(vec![step, execute("true"), after]),
    )
    .await;
    assert_eq!(ran.exits, [Exit::TimedOut, Exit::Skipped, Exit::Code(0)]);
    assert_eq!(ran.stdout(0), "begun\n");
    assert_eq!(ran.end, JobEnd::Done);
    assert!(ran.took < Duration::from_secs(20), "{:?}", ran.took);
    assert_eq!(survivors(&marker), Vec::<String>::new());
}

async fn a_job_past_its_time_still_runs_after(executor: &dyn Executor) {
    let after = sh(Phase::After, "echo after");
    let mut late = job(vec![execute("sleep 300"), execute("true"), after]);
    late.timeout_ms = 500;
    let ran = run(executor, &Place::new(), late).await;
    assert_eq!(ran.exits, [Exit::TimedOut, Exit::Skipped, Exit::Code(0)]);
    assert_eq!(ran.end, JobEnd::TimedOut);
}

async fn after_has_a_limit(executor: &dyn Executor) {
    let after = |script| sh(Phase::After, script);
    let mut slow = job(vec![execute("true"), after("sleep 300"), after("true")]);
    slow.after_timeout_ms = 500;
    let ran = run(executor, &Place::new(), slow).await;
    assert_eq!(ran.exits, [Exit::Code(0), Exit::TimedOut, Exit::Skipped]);
    assert_eq!(ran.end, JobEnd::Done);
}

async fn daemons_end_with_their_step(executor: &dyn Executor) {
    let marker = marker();
    let step = execute(&format!(
        "setsid sh -c 'trap \"\" TERM HUP; sleep {marker}' & \
         setsid sh -c 'sleep {marker}' >/dev/null 2>&1 & \
         sleep 0.2; echo done"
    ));
    let ran = run(executor, &Place::new(), job(vec![step, execute("true")])).await;
    assert_eq!(ran.exits, [Exit::Code(0), Exit::Code(0)]);
    assert_eq!(ran.stdout(0), "done\n");
    assert!(ran.took < Duration::from_secs(20), "{:?}", ran.took);
    assert_eq!(survivors(&marker), Vec::<String>::new());
}

async fn a_step_may_close_its_output_and_live_on(executor: &dyn Executor) {
    let step = execute("echo first; exec >&- 2>&-; sleep 0.5; exit 4");
    let ran = run(executor, &Place::new(), job(vec![step])).await;
    assert_eq!(ran.exits, [Exit::Code(4)]);
    assert_eq!(ran.stdout(0), "first\n");
}

async fn output_arrives_whole_and_in_small_pieces(executor: &dyn Executor) {
    let lines = execute("seq 1 200000");
    let one_line = execute("head -c 50000000 /dev/zero | tr '\\0' x");
    let ran = run(executor, &Place::new(), job(vec![lines, one_line])).await;
    let numbers: Vec<String> = (1..=200_000).map(|number| number.to_string()).collect();
    let expected = numbers.join("\n") + "\n";
    assert!(ran.stdout(0) == expected, "{} bytes", ran.stdout(0).len());
    let line = ran.output.get(&(1, false)).map_or(&[][..], Vec::as_slice);
    assert_eq!(line.len(), 50_000_000);
    assert!(line.iter().all(|byte| *byte == b'x'));
    assert!(ran.largest <= 64 * 1024, "{}", ran.largest);
}

async fn output_is_bytes_on_two_streams(executor: &dyn Executor) {
    let step = execute(
        "printf '\\377\\376\\000\\r\\n'; i=0; while [ $i -lt 100 ]; do \
         echo out $i; echo err $i >&2; i=$((i+1)); done; printf end",
    );
    let ran = run(executor, &Place::new(), job(vec![step])).await;
    let lines = |word: &str| -> String {
        let lines: Vec<String> = (0..100).map(|number| format!("{word} {number}")).collect();
        lines.join(
            "
",
        ) + "
"
    };
    let mut expected = b"\xff\xfe\0\r\n".to_vec();
    expected.extend(lines("out").bytes());
    expected.extend(b"end");
    assert_eq!(ran.output.get(&(0, false)), Some(&expected));
    assert_eq!(ran.output.get(&(0, true)), Some(&lines("err").into_bytes()));
}

async fn a_prompt_is_shown_before_its_line_ends(executor: &dyn Executor) {
    let place = Place::new();
    let step = execute("printf 'ready? '; sleep 1; echo yes");
    let mut running = begin(executor, &place, job(vec![step])).await;
    while let Some(event) = running.next().await {
        if let JobEvent::Output { bytes, .. } = event {
            assert_eq!(bytes, b"ready? ");
            break;
        }
    }
    let ran = finish(running.as_mut()).await;
    assert_eq!(ran.stdout(0), "yes\n");
}

async fn the_environment_is_what_was_ordered(executor: &dyn Executor) {
    let set = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    let mut step = argv(&["env", "-0"]);
    step.environment = set(&[
        ("OWN", "step\nline"),
        ("HERALD_SHA", "forged"),
        ("HOME", "/forged"),
        ("PATH", "/forged"),
        ("CI", "forged"),
    ]);
    let check = execute("[ -w \"$HOME\" ] && [ -w \"$TMPDIR\" ] && [ -z \"$(ls -A \"$HOME\")\" ]");
    let mut ordered = job(vec![step, check]);
    ordered
        .environment
        .extend(set(&[("HERALD_SHA", "abc"), ("OWN", "job")]));
    let path = ordered.environment.iter().find(|(name, _)| name == "PATH");
    let path = path.map_or(String::new(), |(_, path)| path.clone());
    let ran = run(executor, &Place::new(), ordered).await;
    assert_eq!(ran.exits, [Exit::Code(0), Exit::Code(0)]);
    let seen = ran.stdout(0);
    let mut seen: BTreeMap<&str, &str> = seen
        .split_terminator('\0')
        .filter_map(|line| line.split_once('='))
        .collect();
    assert!(seen.remove("HOME").is_some_and(|home| home != "/forged"));
    assert!(seen.remove("TMPDIR").is_some());
    assert_eq!(
        seen.remove("FROM_IMAGE").is_some(),
        executor.abilities().images
    );
    let expected = [
        ("CI", "true"),
        ("HERALD_SHA", "abc"),
        ("LANG", "C.UTF-8"),
        ("OWN", "step\nline"),
        ("PATH", path.as_str()),
    ];
    assert_eq!(seen, BTreeMap::from(expected));
}

async fn nothing_carries_over_but_files(executor: &dyn Executor) {
    let steps = vec![
        execute("X=1; export X; cd /; umask 077"),
        execute("echo \"${X-unset}\"; touch file; mkdir -p sub"),
        StepOrder {
            working_directory: Some("sub".to_owned()),
            ..execute("ls ../file; cat; echo \"${PWD##*/}\"")
        },
    ];
    let ran = run(executor, &Place::new(), job(steps)).await;
    assert_eq!(ran.stdout(1), "unset\n");
    assert_eq!(ran.stdout(2), "../file\nsub\n");
}

async fn a_cancelled_job_ends_at_once_and_runs_after(executor: &dyn Executor) {
    let marker = marker();
    let steps = vec![
        execute(&format!(
            "trap '' TERM; echo begun; sleep {marker}; sleep {marker}"
        )),
        execute("true"),
        sh(Phase::After, "echo after"),
    ];
    let place = Place::new();
    let mut running = begin(executor, &place, job(steps)).await;
    while let Some(event) = running.next().await {
        if matches!(event, JobEvent::Output { .. }) {
            break;
        }
    }
    running.cancel("superseded").await;
    let ran = finish(running.as_mut()).await;
    assert_eq!(ran.exits, [Exit::Cancelled, Exit::Skipped, Exit::Code(0)]);
    assert_eq!(ran.stdout(2), "after\n");
    assert_eq!(ran.end, JobEnd::Cancelled);
    assert!(ran.took < Duration::from_secs(20), "{:?}", ran.took);
    assert_eq!(survivors(&marker), Vec::<String>::new());
}

async fn a_dropped_job_leaves_nothing(executor: &dyn Executor) {
    let marker = marker();
    let place = Place::new();
    let step = execute(&format!(
        "setsid sh -c 'trap \"\" TERM; sleep {marker}' & echo begun; sleep {marker}"
    ));
    let mut running = begin(executor, &place, job(vec![step])).await;
    while let Some(event) = running.next().await {
        if matches!(event, JobEvent::Output { .. }) {
            break;
        }
    }
    assert!(!survivors(&marker).is_empty());
    drop(running);
    let until = Instant::now() + Duration::from_secs(15);
    while !survivors(&marker).is_empty() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(survivors(&marker), Vec::<String>::new());
}

fn collect(kind: CollectKind, globs: &[&str]) -> Collect {
    Collect {
        kind,
        globs: globs.iter().map(|glob| (*glob).to_owned()).collect(),
        defaults: globs.is_empty(),
    }
}

fn write(path: &Path, text: &str) {
    let parent = path.parent().map_or(Ok(()), fs::create_dir_all);
    assert!(parent.is_ok(), "{parent:?}");
    let written = fs::write(path, text);
    assert!(written.is_ok(), "{written:?}");
}

async fn only_fresh_regular_files_of_the_workspace_are_collected(executor: &dyn Executor) {
    let place = Place::new();
    let workspace = place.workspace();
    write(&workspace.join("reports/before.xml"), "before");
    write(&workspace.join("../secret.xml"), "secret");
    let steps = vec![execute(
        "cd reports; printf good > good.xml; mkdir deep; printf deep > deep/d.xml; \
         printf old > old.xml; touch -d '2001-01-01' old.xml; \
         ln -s good.xml link.xml; ln -s ../../secret.xml secret.xml; ln -s / root; \
         mkfifo fifo.xml; ln -s /dev/zero zero.xml; ln -s deep linked; \
         mkdir vendor node_modules .git; printf x > vendor/v.xml; \
         printf x > node_modules/n.xml; printf x > .git/g.xml; \
         printf other > other.txt; : > empty.xml; rm -f ../keep; printf kept > ../keep",
    )];
    let mut ordered = job(steps);
    ordered.collect = vec![
        collect(
            CollectKind::Tests,
            &["reports/**/*.xml", "../**/*.xml", "/etc/*"],
        ),
        collect(CollectKind::Artifact, &["keep"]),
    ];
    let ran = run(executor, &place, ordered).await;
    assert_eq!(ran.exits, [Exit::Code(0)]);
    let files: Vec<(&str, &[u8])> = ran
        .files
        .iter()
        .map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
        .collect();
    assert_eq!(
        files,
        [
            ("keep", &b"kept"[..]),
            ("reports/deep/d.xml", b"deep"),
            ("reports/empty.xml", b""),
            ("reports/good.xml", b"good"),
        ]
    );
}

async fn the_usual_places_are_looked_at(executor: &dyn Executor) {
    let steps = vec![execute(
        "mkdir -p a/test-results/b vendor; for file in junit.xml a/junit-1.xml a/TEST-x.xml \
         a/test-results/b/c.xml r.trx coverage.xml a/coverage.xml a/lcov.info other.xml \
         vendor/junit.xml; do printf x > $file; done",
    )];
    let mut ordered = job(steps);
    ordered.collect = vec![
        collect(CollectKind::Tests, &[]),
        collect(CollectKind::Coverage, &[]),
    ];
    let ran = run(executor, &Place::new(), ordered).await;
    let paths: Vec<&str> = ran.files.keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        [
            "a/TEST-x.xml",
            "a/junit-1.xml",
            "a/lcov.info",
            "a/test-results/b/c.xml",
            "coverage.xml",
            "junit.xml",
            "r.trx",
        ]
    );
}

async fn what_is_collected_has_limits(executor: &dyn Executor) {
    let steps = vec![execute(
        "for n in 1 2 3 4; do printf 12345 > $n.txt; done; printf 1234567 > 0.txt",
    )];
    let mut ordered = job(steps);
    ordered.collect = vec![collect(CollectKind::Artifact, &["*.txt"])];
    ordered.limits = Limits {
        files: 3,
        file_bytes: 6,
        total_bytes: 12,
    };
    let ran = run(executor, &Place::new(), ordered).await;
    let paths: Vec<&str> = ran.files.keys().map(String::as_str).collect();
    assert_eq!(paths, ["1.txt", "2.txt"]);
    let told = ran
        .notes
        .iter()
        .filter(|note| note.contains("over the limit"));
    assert_eq!(told.count(), 3, "{:?}", ran.notes);
}
