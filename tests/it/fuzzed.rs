//! The corpus of the fuzzer, held against what the fuzzer looks for.

use std::fs;
use std::path::Path;
use std::thread;

use herald::report;

#[path = "../../fuzz/laws.rs"]
#[expect(unreachable_pub, reason = "the targets of the fuzzer use it too")]
mod laws;

fn replay(target: &str, law: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        // What a thread says when it panics begins with its name.
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let held = thread::Builder::new().name(name).spawn(move || law(&bytes));
        assert!(held.unwrap().join().is_ok(), "{}", path.display());
        files += 1;
    }
    assert!(files > 10, "{files} files for {target}");
}

/// A file that the target would not pass over.
fn read(target: &str, bytes: &[u8]) {
    assert!(laws::is_of(target, bytes), "a file of another target");
    laws::report(bytes);
}

#[test]
fn reports_in_xml_keep_the_laws() {
    replay("xml", |bytes| read("xml", bytes));
}

#[test]
fn reports_in_json_keep_the_laws() {
    replay("json", |bytes| read("json", bytes));
}

#[test]
fn reports_in_lines_keep_the_laws() {
    replay("lines", |bytes| read("lines", bytes));
}

#[test]
fn texts_of_failures_keep_the_laws() {
    replay("place", laws::place);
}

#[test]
fn diffs_keep_the_laws() {
    replay("diff", laws::diff);
}
