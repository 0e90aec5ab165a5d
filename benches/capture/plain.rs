//! The program that writes, and the plain copy of what it writes.

use std::fs::File;
use std::io::{Read, Write, stdout};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::serve::Shape;

/// How much is written and read at once, in bytes.
const BLOCK: usize = 64 * 1024;

/// A line as builds write them; 108 bytes with its end.
const LINE: &str = "   Compiling package-with-a-name v1.28.317 (/workspace/crates/package-with-a-name) \
                    in the profile `release`\n";

/// Writes so many bytes to standard output.
pub(crate) fn write(shape: Shape, bytes: u64) {
    let size = match shape {
        Shape::Pieces => 4096,
        Shape::Lines | Shape::Line => BLOCK,
    };
    let text = match shape {
        Shape::Lines | Shape::Pieces => LINE.repeat(BLOCK / LINE.len() * 4),
        Shape::Line => "x".repeat(BLOCK * 4),
    };
    let mut output = File::from(stdout().as_fd().try_clone_to_owned().unwrap());
    let mut left = bytes;
    while left > 0 {
        for block in text.as_bytes().chunks(size) {
            let length = usize::try_from(left).map_or(block.len(), |left| left.min(block.len()));
            output.write_all(block.get(..length).unwrap()).unwrap();
            left -= length as u64;
        }
    }
}

/// Copies what the program writes into a file, and nothing else.
pub(crate) fn copy(shape: &str, bytes: &str, file: &Path) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["write", shape, bytes])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdout.take().unwrap();
    let mut file = File::create(file).unwrap();
    let mut block = vec![0; BLOCK];
    loop {
        let read = pipe.read(&mut block).unwrap();
        if read == 0 {
            break;
        }
        file.write_all(block.get(..read).unwrap()).unwrap();
    }
    file.sync_data().unwrap();
    assert!(child.wait().unwrap().success());
}
