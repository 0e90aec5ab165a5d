//! The small program that carries out a job inside any container image.

use std::fs::File;
use std::io::{stdin, stdout};
use std::os::fd::AsFd;
use std::process::exit;

use herald::runner::{Options, run};

fn main() {
    // Unbuffered: the runner writes whole frames.
    let streams = (
        stdin().as_fd().try_clone_to_owned(),
        stdout().as_fd().try_clone_to_owned(),
    );
    let (Ok(input), Ok(output)) = streams else {
        exit(2);
    };
    exit(run(
        File::from(input),
        File::from(output),
        &Options::default(),
    ));
}
