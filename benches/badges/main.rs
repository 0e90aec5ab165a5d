//! What it costs to draw a badge, against putting as many bytes together, and against the fastest library for it.
//!
//! `cargo bench --bench badges -- --peers FOLDER` draws the same thousand badges over and over, in
//! turns in a process of its own each: with Herald in every style, by a `format!` that knows no widths, and with badgen,
//! which is in `FOLDER/node_modules` (`npm install --prefix FOLDER badgen@3`). What a process costs that draws
//! nothing is taken off. It prints medians of the user and system time for a badge and ends with 1
//! when a flat badge takes longer than badgen's.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a program for people that ends when anything is wrong"
)]

#[path = "../shared/rows.rs"]
mod rows;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use herald::badge::{Badge, Style, render};
use wait4::Wait4;

/// How many times the thousand badges are drawn in a round.
const TIMES: u32 = 2_000;
const ROUNDS: usize = 5;
/// What a flat badge should take at most, in microseconds.
const GOAL: f64 = 0.8;

/// What badges say: states of builds, coverages, counts of tests, versions; colours as both sides
/// name them.
fn badges() -> Vec<(Badge, &'static str)> {
    const COLORS: [(&str, &str); 7] = [
        ("brightgreen", "green"),
        ("green", "green"),
        ("yellow", "yellow"),
        ("yellowgreen", "green"),
        ("orange", "orange"),
        ("red", "red"),
        ("lightgrey", "grey"),
    ];
    let states = ["passing", "failing", "pending", "unknown"];
    (0..1_000_usize)
        .map(|number| {
            let odd = number * 7_919;
            let (label, message) = match number % 4 {
                0 => ("build".to_owned(), states[odd / 4 % 4].to_owned()),
                1 => (
                    "coverage".to_owned(),
                    format!("{}.{:02}%", odd % 100, odd / 100 % 100),
                ),
                2 => (
                    "tests".to_owned(),
                    format!("{} passed, {} failed", odd % 5_000, odd % 50),
                ),
                _ => (
                    format!("service-{number}"),
                    format!("v{}.{}.{}", odd % 20, odd % 100, odd % 21),
                ),
            };
            let (color, theirs) = COLORS[number % COLORS.len()];
            let badge = Badge {
                label,
                message,
                color: color.to_owned(),
                ..Badge::default()
            };
            (badge, theirs)
        })
        .collect()
}

fn draw(style: &str, times: u32, with: fn(&Badge) -> String) {
    let badges: Vec<Badge> = badges()
        .into_iter()
        .map(|(badge, _)| Badge {
            style: Style::parse(style),
            ..badge
        })
        .collect();
    let mut bytes = 0;
    for _ in 0..times {
        for badge in &badges {
            bytes += black_box(with(badge)).len();
        }
    }
    assert!(bytes > 0 || times == 0);
}

/// As many bytes as a flat badge has, with the same texts, of which nothing is known.
fn bare(badge: &Badge) -> String {
    let Badge {
        label,
        message,
        color,
        ..
    } = badge;
    let (left, right) = (label.len() * 7, message.len() * 7);
    let width = left + right;
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{label}: {message}"><title>{label}: {message}</title><linearGradient id="s" x2="0" y2="100%"><stop offset="0" stop-color="#bbb" stop-opacity=".1"/><stop offset="1" stop-opacity=".1"/></linearGradient><clipPath id="r"><rect width="{width}" height="20" rx="3" fill="#fff"/></clipPath><g clip-path="url(#r)"><rect width="{left}" height="20" fill="#555"/><rect x="{left}" width="{right}" height="20" fill="{color}"/><rect width="{width}" height="20" fill="url(#s)"/></g><g fill="#fff" text-anchor="middle" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" text-rendering="geometricPrecision" font-size="110"><text x="{left}" y="150" fill="#010101" fill-opacity=".3" transform="scale(.1)">{label}</text><text x="{left}" y="140" transform="scale(.1)">{label}</text><text x="{right}" y="150" fill="#010101" fill-opacity=".3" transform="scale(.1)">{message}</text><text x="{right}" y="140" transform="scale(.1)">{message}</text></g></svg>"##
    )
}

/// Seconds of user and system time.
fn measure(mut command: Command) -> f64 {
    let child = command.stdout(Stdio::null()).spawn().unwrap();
    let used = child.wait4().unwrap();
    assert!(used.status.success(), "{command:?}");
    (used.rusage.utime + used.rusage.stime).as_secs_f64()
}

fn herald(style: &str, times: u32) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["draw", style, &times.to_string()]);
    command
}

fn badgen(folder: &Path, workload: &Path, times: u32) -> Command {
    const SCRIPT: &str = "const { badgen } = require(process.argv[1] + '/node_modules/badgen');\
        const work = JSON.parse(require('fs').readFileSync(process.argv[2]));\
        let bytes = 0;\
        for (let time = 0; time < process.argv[3]; time++)\
          for (const [label, status, color] of work)\
            bytes += badgen({ label, status, color }).length;\
        if (bytes < process.argv[3]) process.exit(1);";
    let mut command = Command::new("node");
    command
        .args(["-e", SCRIPT])
        .arg(folder)
        .arg(workload)
        .arg(times.to_string());
    command
}

/// Microseconds for a badge, the median of all rounds; the sides take turns.
fn compare(sides: &[Box<dyn Fn(u32) -> Command>]) -> Vec<f64> {
    let mut all = vec![Vec::new(); sides.len()];
    for round in 0..=ROUNDS {
        for (side, times) in sides.iter().zip(&mut all) {
            let nothing = measure(side(0));
            let something = measure(side(TIMES));
            // The first round fills the cache.
            if round > 0 {
                times.push((something - nothing) * 1e6 / f64::from(TIMES) / 1_000.0);
            }
        }
    }
    all.into_iter()
        .map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        })
        .collect()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["draw", style, times] = arguments.as_slice() {
        let with = if *style == "bare" { bare } else { render };
        draw(style, times.parse().unwrap(), with);
        return ExitCode::SUCCESS;
    }
    let folder = rows::after(&arguments, "--peers").map(PathBuf::from);
    let workload = Path::new(env!("CARGO_TARGET_TMPDIR")).join("badges.json");
    let triples: Vec<_> = badges()
        .into_iter()
        .map(|(badge, theirs)| (badge.label, badge.message, theirs))
        .collect();
    std::fs::write(&workload, serde_json::to_vec(&triples).unwrap()).unwrap();

    let mut sides: Vec<Box<dyn Fn(u32) -> Command>> = Vec::new();
    for style in Style::ALL.map(Style::as_str).into_iter().chain(["bare"]) {
        sides.push(Box::new(move |times| herald(style, times)));
    }
    if let Some(folder) = folder.clone() {
        sides.push(Box::new(move |times| badgen(&folder, &workload, times)));
    }
    let times = compare(&sides);
    println!("| badge | µs |");
    println!("| --- | ---: |");
    for (style, time) in Style::ALL.into_iter().zip(&times) {
        println!("| {} | {time:.2} |", style.as_str());
    }
    let (flat, least) = (times[0], times[Style::ALL.len()]);
    println!("\nA flat badge: {flat:.2} µs (goal {GOAL}); as many bytes: {least:.2} µs");
    let theirs = times.get(Style::ALL.len() + 1);
    let row = rows::Row {
        what: "a badge drawn".to_owned(),
        herald: format!("{flat:.2} µs"),
        limit: format!("{least:.2} µs: as many bytes by `format!`"),
        times: Some(flat / least),
        peers: theirs.map_or_else(String::new, |theirs| {
            format!("badgen {:.1}", theirs / least)
        }),
    };
    rows::keep(&arguments, &[row]);
    let Some(theirs) = theirs else {
        println!("badgen: not compared; see the head of this program");
        return ExitCode::SUCCESS;
    };
    println!("badgen: {theirs:.2} µs, {:.2} × (at most 1)", flat / theirs);
    if flat > *theirs {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
