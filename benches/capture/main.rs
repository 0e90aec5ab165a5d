//! What it costs to run a job and to keep what it writes, against limits measured in the same run.
//!
//! `cargo bench --bench capture --features scripted` runs in turns, each in a process of its own: a
//! plain copy of a gigabyte from a pipe into a file, and the `process` executor with its runner and
//! the log that the server keeps, over the same bytes from the same program. It prints the medians
//! of the user and system time of all processes, and the peak memory of the one that would be the
//! server. With `-- --docker` (and the variables that `tests/engines` writes) also how long a job
//! that does nothing takes in a container, beside the commands of the Docker client that it is made
//! of. It ends with 1 when a limit is broken.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::panic,
    reason = "a program for people that ends when anything is wrong"
)]

mod docker;
mod plain;
#[path = "../shared/rows.rs"]
mod rows;
mod serve;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use wait4::Wait4;

use serve::Shape;

/// How much a job writes, in bytes.
const BYTES: u64 = 1_000_000_000;
/// How often each side of a comparison is run.
const ROUNDS: usize = 5;
/// How many times the plain copy's processor time the capture may take, and should.
const TIMES: (f64, f64) = (3.0, 1.5);
/// How much more memory than at rest the server may take, in MiB.
const MEMORY: f64 = 32.0;

/// The arguments of the processes that this one starts are the names of these parts.
fn part(arguments: &[&str]) -> bool {
    match arguments {
        ["write", shape, bytes] => plain::write(Shape::named(shape), bytes.parse().unwrap()),
        ["copy", shape, bytes, file] => plain::copy(shape, bytes, Path::new(file)),
        ["process", shape, bytes, folder] => {
            let job = serve::writing(Shape::named(shape), bytes.parse().unwrap());
            serve::measured(&serve::process(), job, None, Path::new(folder));
        }
        ["docker", shape, bytes, folder] => {
            let job = serve::writing_busybox(Shape::named(shape), bytes.parse().unwrap());
            let image = Some(herald::executor::trial::image("busybox:1"));
            serve::measured(&docker::executor(), job, image, Path::new(folder));
        }
        _ => return false,
    }
    true
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if part(&arguments) {
        return ExitCode::SUCCESS;
    }
    let docker = arguments.contains(&"--docker");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("capture");
    std::fs::create_dir_all(&folder).unwrap();
    println!(
        "| 1 GB of output | plain copy | Herald | × | at most | goal | memory above idle | at most |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut good = true;
    for shape in [Shape::Lines, Shape::Pieces, Shape::Line] {
        let (row, within) = compare(shape, &folder);
        good &= within;
        if matches!(shape, Shape::Lines) {
            rows::keep(&arguments, &[row]);
        }
    }
    if docker {
        for shape in [Shape::Lines, Shape::Line] {
            good &= through_docker(shape, &folder);
        }
        good &= docker::compare();
    }
    std::fs::remove_dir_all(&folder).unwrap();
    if good {
        ExitCode::SUCCESS
    } else {
        println!("\nA limit is broken.");
        ExitCode::FAILURE
    }
}

/// What a process with all its children took, and what it said.
struct Usage {
    seconds: f64,
    said: String,
}

fn run(arguments: &[&str]) -> Usage {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(arguments).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = String::new();
    std::io::Read::read_to_string(child.stdout.as_mut().unwrap(), &mut said).unwrap();
    let used = child.wait4().unwrap();
    assert!(used.status.success(), "{command:?}");
    Usage {
        seconds: (used.rusage.utime + used.rusage.stime).as_secs_f64(),
        said,
    }
}

/// The capture through the `process` executor against a plain copy.
fn compare(shape: Shape, folder: &Path) -> (rows::Row, bool) {
    let bytes = BYTES.to_string();
    let file = folder.join("copy");
    let (file, folder) = (file.to_str().unwrap(), folder.to_str().unwrap());
    let [mut copies, mut captures] = [const { Vec::new() }; 2];
    let mut peak: f64 = 0.0;
    for _ in 0..ROUNDS {
        copies.push(run(&["copy", shape.name(), &bytes, file]).seconds);
        let capture = run(&["process", shape.name(), &bytes, folder]);
        peak = peak.max(capture.said.trim().parse().unwrap());
        captures.push(capture.seconds);
    }
    let (copy, capture) = (median(&mut copies), median(&mut captures));
    let times = capture / copy;
    println!(
        "| `process`, {} | {copy:.2} s | {capture:.2} s | {times:.2} | {} | {} | {peak:.1} MiB | {MEMORY} MiB |",
        shape.words(),
        TIMES.0,
        TIMES.1,
    );
    let row = rows::Row {
        what: format!("a gigabyte of a job's output, {}", shape.words()),
        herald: format!("{capture:.2} s"),
        limit: format!("{copy:.2} s: copied from a pipe into a file"),
        times: Some(times),
        peers: String::new(),
    };
    (row, times <= TIMES.0 && peak <= MEMORY)
}

/// The memory of the server while a container writes.
fn through_docker(shape: Shape, folder: &Path) -> bool {
    let bytes = BYTES.to_string();
    let capture = run(&["docker", shape.name(), &bytes, folder.to_str().unwrap()]);
    let peak: f64 = capture.said.trim().parse().unwrap();
    println!(
        "| `docker`, {} | | {:.2} s, the server alone | | | | {peak:.1} MiB | {MEMORY} MiB |",
        shape.words(),
        capture.seconds,
    );
    peak <= MEMORY
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
