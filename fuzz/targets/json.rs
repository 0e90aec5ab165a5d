//! Reports whose format is JSON.

#![no_main]

use herald_fuzz::laws;
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    if !laws::is_of("json", bytes) {
        return Corpus::Reject;
    }
    laws::report(bytes);
    Corpus::Keep
});
