//! The runner's program, as it goes into a container of any image.

use std::io;
use std::path::Path;

/// Reads the runner.
///
/// # Errors
/// When it cannot be read, or needs a loader and libraries that an image may not have.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let program = std::fs::read(path)?;
    if needs_loader(&program) {
        return Err(io::Error::other(
            "it is not statically linked, so it would not start in every image; build it with \
             RUSTFLAGS=\"-C target-feature=+crt-static\" cargo build --profile runner --target \
             x86_64-unknown-linux-gnu --no-default-features --bin herald-runner",
        ));
    }
    Ok(program)
}

/// Whether a program of ELF's 64-bit form names an interpreter (`PT_INTERP`, elf(5)).
fn needs_loader(program: &[u8]) -> bool {
    const INTERPRETER: u32 = 3;
    let number = |at: usize, length: usize| -> Option<usize> {
        let bytes = program.get(at..at.checked_add(length)?)?;
        let number = bytes
            .iter()
            .rev()
            .fold(0u64, |number, byte| (number << 8) | u64::from(*byte));
        usize::try_from(number).ok()
    };
    if program.get(..5) != Some(b"\x7fELF\x02") {
        return false;
    }
    let (Some(start), Some(size), Some(count)) = (number(32, 8), number(54, 2), number(56, 2))
    else {
        return false;
    };
    (0..count).any(|index| {
        let at = index
            .checked_mul(size)
            .and_then(|offset| offset.checked_add(start));
        at.and_then(|at| number(at, 4)) == usize::try_from(INTERPRETER).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::{needs_loader, read};

    #[test]
    fn a_program_that_needs_a_loader_is_told_from_one_that_does_not() {
        // This test is linked as its toolchain does by default: with a loader.
        let own = std::env::current_exe().unwrap();
        let error = read(&own).unwrap_err().to_string();
        assert!(error.starts_with("it is not statically linked"), "{error}");
        assert!(!needs_loader(b"#!/bin/sh\n"));
        assert!(!needs_loader(b"\x7fELF\x02"));
    }
}
