//! The runner as a process of its own: this very test binary, started again.
//!
//! What the runner does with a job is tested through the executors' contract suite.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{Options, run};
use crate::protocol::{Decoder, FromRunner, PROTOCOL};

/// A program, with its arguments, that is the runner on its stdin and stdout.
pub(crate) fn program() -> (PathBuf, Vec<String>) {
    let binary = test_binary();
    // The test harness writes to stdout, so the streams are handed over as 3 and 4.
    let script = format!(
        "exec 3<&0 4>&1 </dev/null >/dev/null; HERALD_TEST_AS_RUNNER=1 exec '{}' --exact \
         runner::tests::as_runner --nocapture --test-threads=1",
        binary.display()
    );
    ("/bin/sh".into(), vec!["-c".into(), script])
}

pub(crate) fn test_binary() -> PathBuf {
    std::env::current_exe().expect("this program's path")
}

#[test]
fn as_runner() {
    if std::env::var_os("HERALD_TEST_AS_RUNNER").is_none() {
        return;
    }
    let input = File::open("/proc/self/fd/3").expect("stdin");
    let output = File::options()
        .write(true)
        .open("/proc/self/fd/4")
        .expect("stdout");
    for inherited in [3, 4] {
        nix::unistd::close(inherited).expect("open until now");
    }
    std::process::exit(run(input, output, &Options::default()));
}

#[test]
fn the_runner_introduces_itself_and_ends_when_the_server_is_gone() {
    let (path, arguments) = program();
    let mut child = Command::new(path)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut stdout = child.stdout.take().expect("piped");
    let mut decoder = Decoder::default();
    let hello = decoder.receive::<FromRunner>(&mut stdout).expect("valid");
    let Some(FromRunner::Hello(hello)) = hello else {
        panic!("{hello:?}");
    };
    assert_eq!(hello.protocol, PROTOCOL);
    drop(child.stdin.take());
    assert_eq!(child.wait().expect("ends").code(), Some(1));
}
