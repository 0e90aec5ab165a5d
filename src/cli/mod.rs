//! The commands.
//!
//! Results go to stdout, progress and errors to stderr. Exit status: 0 good; 1 the build, the
//! tests or a report is red; 2 the command, the specification or the configuration is wrong;
//! 3 Herald itself failed.

mod admin;
mod admin_flags;
mod arguments;
mod badge;
mod base;
mod check;
mod checkout;
mod demo;
mod doctor;
mod files;
mod keep;
mod local;
mod manual;
mod report;
mod run;
mod screen;
mod serve;
mod upload;
mod upload_flags;
mod upload_from;
mod upload_send;
mod view;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use arguments::{Arguments, Command};
use screen::Screen;

pub use serve::start_log;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// All is well.
    Good,
    /// Red.
    Red,
    /// Wrong usage, specification or configuration.
    Wrong,
}

/// Runs the command that the arguments ask for.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let screen = Screen::new(arguments.color());
    let result = match arguments.command {
        Command::Serve(flags) => serve::run(*flags, &screen),
        Command::Demo(flags) => demo::run(&flags, &screen),
        Command::Run(flags) => run::run(&flags, &screen),
        Command::Check { file, format, .. } => check::check(file.as_deref(), format, &screen),
        Command::Explain { dir } => check::explain(&dir, &screen),
        Command::Schema => check::schema(&screen),
        Command::Report(flags) => report::run(&flags, &screen),
        Command::Upload(flags) => upload::run(&flags, &screen),
        Command::Badge(flags) => Ok(badge::run(&flags, &screen)),
        Command::Doctor(flags) => doctor::run(*flags, &screen),
        Command::Admin(flags) => admin::run(flags, &screen),
        Command::Completions { shell } => {
            let mut command = Arguments::command();
            clap_complete::generate(shell, &mut command, "herald", &mut std::io::stdout());
            Ok(End::Good)
        }
        Command::Manual { folder } => manual::run(folder.as_deref()),
        Command::Runner => return runner(),
    };
    match result {
        Ok(End::Good) => ExitCode::SUCCESS,
        Ok(End::Red) => ExitCode::from(1),
        Ok(End::Wrong) => ExitCode::from(2),
        Err(error) => {
            screen.error(&format!("{error:#}"));
            let wrong = error.downcast_ref::<Wrong>().is_some()
                || error.downcast_ref::<crate::config::Problems>().is_some();
            ExitCode::from(if wrong { 2 } else { 3 })
        }
    }
}

/// An error of the user's making.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Wrong(String);

fn wrong(text: impl Into<String>) -> anyhow::Error {
    Wrong(text.into()).into()
}

/// The runner: what the `process` executor starts. Its streams are the protocol's.
fn runner() -> ExitCode {
    use std::os::fd::AsFd;
    let streams = (
        std::io::stdin().as_fd().try_clone_to_owned(),
        std::io::stdout().as_fd().try_clone_to_owned(),
    );
    let (Ok(input), Ok(output)) = streams else {
        return ExitCode::from(2);
    };
    let status = crate::runner::run(
        std::fs::File::from(input),
        std::fs::File::from(output),
        &crate::runner::Options::default(),
    );
    ExitCode::from(u8::try_from(status).unwrap_or(3))
}

/// A runtime for commands that need one.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    use anyhow::Context;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start the asynchronous runtime")
}
