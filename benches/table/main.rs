//! The table of the README: what Herald costs, each against its limit in the same run.
//!
//! `cargo bench --features scripted --bench table -- --peers FOLDER` runs the benchmarks one after another, on a machine that does nothing else,
//! and prints one table of what they have measured. What others cost stands beside it where they are in `FOLDER`:
//!
//! ```sh
//! npm install --prefix FOLDER probot@14 @octokit/webhooks@14 badgen@3
//! python3 -m venv FOLDER && FOLDER/bin/pip install junitparser test-results-parser
//! ```
//!
//! With `--herald FILE --runner FILE` the sizes are those of a release (`deploy/release`). It ends with 1 when one of the benchmarks does.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program for people that ends when anything is wrong"
)]

use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// In the order of the table.
const BENCHMARKS: [&str; 7] = [
    "intake",
    "growing",
    "reports",
    "badges",
    "stored",
    "capture",
    "footprint",
];

fn main() -> ExitCode {
    let arguments = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench");
    let arguments: Vec<String> = arguments.collect();
    let rows = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("rows.md");
    let _ = std::fs::remove_file(&rows);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut broken = Vec::new();
    for name in BENCHMARKS {
        println!("\n== {name}");
        let status = Command::new(&cargo)
            .args([
                "bench",
                "--quiet",
                "--features",
                "scripted",
                "--bench",
                name,
                "--",
            ])
            .arg("--rows")
            .arg(&rows)
            .args(&arguments)
            .status()
            .unwrap();
        if !status.success() {
            broken.push(name);
        }
    }
    println!("\n| what | Herald | its limit in the same run | × | others × |");
    println!("| --- | ---: | ---: | ---: | --- |");
    print!("{}", std::fs::read_to_string(&rows).unwrap_or_default());
    if broken.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("\nBroken: {}", broken.join(", "));
    ExitCode::FAILURE
}
