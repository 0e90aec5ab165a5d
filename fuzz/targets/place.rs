//! Texts of failures, and the places that they speak of.

#![no_main]

use herald_fuzz::laws;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| laws::place(bytes));
