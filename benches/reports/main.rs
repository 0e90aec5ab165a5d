//! How fast reports are read, and in how much memory, against limits measured in the same run.
//!
//! `cargo bench --bench reports` makes the files, and runs in turns, each in a process of its own: a
//! bare loop of the tokenizer (or of lines), the reading, and the whole of `herald report`, which
//! also places failures and prints. It prints the medians of their user and system time. The figures are
//! ratios: the same machine, the same minute, the same file. With `-- --peers FOLDER` also other readers, which are in
//! `FOLDER/bin/python3` (`python3 -m venv FOLDER`, `FOLDER/bin/pip install junitparser test-results-parser`).

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a program for people that ends when anything is wrong"
)]

mod data;
mod limits;
mod place;
#[path = "../shared/rows.rs"]
mod rows;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use wait4::Wait4;

/// What a process took.
#[derive(Clone, Copy)]
struct Usage {
    seconds: f64,
    mib: f64,
}

/// A file to read.
struct Case {
    work: &'static str,
    file: PathBuf,
    /// Which loop is the limit.
    limit: &'static str,
    flags: &'static [&'static str],
    at_most: f64,
    goal: f64,
    rounds: usize,
}

/// Other readers, in Python.
const PEERS: [(&str, &str); 2] = [
    (
        "test-results-parser",
        "import test_results_parser as t,sys; t.parse_junit_xml(open(sys.argv[1],'rb').read())",
    ),
    (
        "junitparser",
        "import junitparser,sys; junitparser.JUnitXml.fromfile(sys.argv[1])",
    ),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [name, file] = arguments.as_slice()
        && let Some(run) = limits::find(name)
    {
        println!("{}", run(Path::new(file)));
        return;
    }
    if arguments.iter().any(|argument| argument == "--place") {
        place::print();
        return;
    }
    let huge = arguments.iter().any(|argument| argument == "--huge");
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench");
    std::fs::create_dir_all(&dir).unwrap();
    let rows = cases(&dir, huge);
    println!("| work | limit | reading | × | at most | goal | peak | `herald report` | × | peak |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let measured: Vec<(f64, f64)> = rows.iter().map(print).collect();
    place::print();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut peers = Vec::new();
    if let Some(folder) = rows::after(&arguments, "--peers") {
        let python = Path::new(folder).join("bin/python3");
        for (name, script) in PEERS {
            let Some(seconds) = other(&python, &rows[0], name, script) else {
                continue;
            };
            peers.push(format!("{name} {:.1}", seconds / measured[0].1));
        }
    }
    let table = rows
        .iter()
        .zip(&measured)
        .map(|(row, (reading, limit))| rows::Row {
            what: row.work.to_owned(),
            herald: format!("{reading:.2} s"),
            limit: format!("{limit:.2} s: {}", limits::words(row.limit)),
            times: Some(reading / limit),
            peers: std::mem::take(&mut peers).join("; "),
        });
    rows::keep(&arguments, &table.collect::<Vec<_>>());
}

/// What is read.
fn cases(dir: &Path, huge: bool) -> Vec<Case> {
    let tests = &["--failures", "--format", "json"][..];
    let coverage = &["--format", "json"][..];
    let row = |work, file: &str, limit, flags, at_most, goal, rounds| Case {
        work,
        file: data::make(dir, file),
        limit,
        flags,
        at_most,
        goal,
        rounds,
    };
    let mut rows = vec![
        row(
            "JUnit, 200 MB padded, pytest",
            "padded-pytest.xml",
            "xml",
            tests,
            3.0,
            1.6,
            5,
        ),
        row(
            "JUnit, 200 MB padded, Surefire",
            "padded-surefire.xml",
            "xml",
            tests,
            3.0,
            1.6,
            5,
        ),
        row("JUnit, 20 MB dense", "dense.xml", "xml", tests, 4.0, 2.3, 9),
        row(
            "LCOV, a million lines",
            "million.info",
            "lcov",
            coverage,
            4.0,
            2.0,
            9,
        ),
        row(
            "Cobertura, a million lines",
            "million.xml",
            "xml",
            coverage,
            3.0,
            2.0,
            9,
        ),
    ];
    if huge {
        let file = "huge.xml";
        rows.push(row(
            "JUnit, 2 GB with a text of 1 GB",
            file,
            "xml-skip",
            tests,
            3.0,
            1.6,
            3,
        ));
    }
    rows
}

/// What its reading takes, and what the limit's takes.
fn print(row: &Case) -> (f64, f64) {
    let command = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_herald"));
        command
            .arg("report")
            .args(row.flags)
            .args(["--fail-on", "never", "--source"])
            .arg(row.file.parent().unwrap())
            .arg(&row.file);
        command
    };
    let inner = |name: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(name).arg(&row.file);
        command
    };
    let [mut limits, mut readings, mut commands] = [const { Vec::new() }; 3];
    for round in 0..=row.rounds {
        let round_of = [inner(row.limit), inner("herald"), command()].map(measure);
        // The first round fills the cache.
        if round > 0 {
            let [limit, reading, command] = round_of;
            limits.push(limit);
            readings.push(reading);
            commands.push(command);
        }
    }
    let (limit, reading, command) = (median(&limits), median(&readings), median(&commands));
    println!(
        "| {} | {limit:.3} s | {reading:.3} s | {:.2} | {} | {} | {:.1} MiB | {command:.3} s | {:.2} | {:.1} MiB |",
        row.work,
        reading / limit,
        row.at_most,
        row.goal,
        peak(&readings),
        command / limit,
        peak(&commands),
    );
    (reading, limit)
}

fn peak(usages: &[Usage]) -> f64 {
    usages.iter().map(|usage| usage.mib).fold(0.0, f64::max)
}

/// The seconds that another reader takes, where it is installed.
fn other(python: &Path, row: &Case, name: &str, script: &str) -> Option<f64> {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(python);
        command.arg("-c").arg(script).args(arguments);
        command
    };
    // Without a file it ends where the file is asked for, unless it is not there at all.
    let tried = run(&[]).output().ok()?;
    if String::from_utf8_lossy(&tried.stderr).contains("ModuleNotFoundError") {
        println!("\n{name}: not installed");
        return None;
    }
    let usages: Vec<Usage> = (0..3)
        .map(|_| measure(run(&[row.file.to_str().unwrap()])))
        .collect();
    println!(
        "\n{name}, {}: {:.3} s, {:.0} MiB",
        row.work,
        median(&usages),
        peak(&usages)
    );
    Some(median(&usages))
}

fn measure(mut command: Command) -> Usage {
    let child = command.stdout(Stdio::null()).spawn().unwrap();
    let used = child.wait4().unwrap();
    assert!(used.status.success(), "{command:?}");
    let rusage = used.rusage;
    Usage {
        seconds: (rusage.utime + rusage.stime).as_secs_f64(),
        mib: rusage.maxrss as f64 / 1024.0 / 1024.0,
    }
}

fn median(usages: &[Usage]) -> f64 {
    let mut seconds: Vec<f64> = usages.iter().map(|usage| usage.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN)
}
