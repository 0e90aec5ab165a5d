//! The terminal: results to stdout, everything else to stderr.

use std::io::{BufWriter, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};

use super::arguments::Color;

/// Where a command writes.
#[derive(Debug, Clone)]
pub(super) struct Screen {
    choice: ColorChoice,
}

/// Styles, as escape sequences; they vanish where colours are off.
pub(super) const RED: &str = "\x1b[31m";
pub(super) const GREEN: &str = "\x1b[32m";
pub(super) const YELLOW: &str = "\x1b[33m";
pub(super) const BOLD: &str = "\x1b[1m";
pub(super) const DIM: &str = "\x1b[2m";
pub(super) const PLAIN: &str = "\x1b[0m";

impl Screen {
    pub(super) fn new(color: Color) -> Self {
        let choice = match color {
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
            Color::Auto => ColorChoice::Auto,
        };
        Self { choice }
    }

    /// A result.
    pub(super) fn result(&self, text: &str) {
        let mut out = AutoStream::new(std::io::stdout(), self.choice);
        // A closed pipe is the reader's way to say that it has enough.
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
    }

    /// A result as JSON, written piece by piece.
    pub(super) fn document(value: &impl serde::Serialize) {
        let mut out = BufWriter::new(std::io::stdout().lock());
        let _ = serde_json::to_writer_pretty(&mut out, value);
        let _ = writeln!(out);
        let _ = out.flush();
    }

    /// Progress.
    pub(super) fn say(&self, text: &str) {
        let mut out = AutoStream::new(std::io::stderr(), self.choice);
        let _ = writeln!(out, "{text}");
    }

    /// An error.
    pub(super) fn error(&self, text: &str) {
        self.say(&format!("{RED}{BOLD}error:{PLAIN} {text}"));
    }

    /// A line that the next one overwrites; only on a terminal.
    pub(super) fn fleeting(&self, text: &str) {
        if std::io::stderr().is_terminal() && self.choice != ColorChoice::Never {
            let mut out = std::io::stderr();
            let _ = write!(out, "\r\x1b[2K{text}");
            let _ = out.flush();
        }
    }
}
