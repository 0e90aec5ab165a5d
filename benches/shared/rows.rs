//! Rows of the table that `cargo bench --bench table` makes.

#![allow(
    dead_code,
    reason = "each benchmark is a program of its own and uses a part of it"
)]

use std::io::Write;

/// What, Herald, its limit, how many times as much, and what others take of the limit.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) herald: String,
    pub(crate) limit: String,
    pub(crate) times: Option<f64>,
    pub(crate) peers: String,
}

/// Adds rows to the file that `--rows` names.
pub(crate) fn keep(arguments: &[&str], rows: &[Row]) {
    let Some(file) = after(arguments, "--rows") else {
        return;
    };
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .unwrap();
    for row in rows {
        let times = row.times.map(|times| format!("{times:.1}"));
        let times = times.unwrap_or_default();
        let cells = [&row.what, &row.herald, &row.limit, &times, &row.peers];
        writeln!(file, "| {} |", cells.map(String::as_str).join(" | ")).unwrap();
    }
}

/// The argument after this one.
pub(crate) fn after<'a>(arguments: &[&'a str], name: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|argument| *argument == name)?;
    arguments.get(at + 1).copied()
}
