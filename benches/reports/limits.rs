//! What cannot be beaten: the bare loops, and beside them the reading alone.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use herald::report::{Collector, Limits};
use quick_xml::Reader;
use quick_xml::events::Event;

/// The loop of this name.
pub(crate) fn find(name: &str) -> Option<fn(&Path) -> u64> {
    match name {
        "xml" => Some(xml),
        "xml-skip" => Some(bytes),
        "lcov" => Some(lcov),
        "herald" => Some(herald),
        _ => None,
    }
}

/// What the loop of this name does.
pub(crate) fn words(name: &str) -> &'static str {
    match name {
        "lcov" => "its lines",
        "xml-skip" => "its tags, looked for",
        _ => "quick-xml's events",
    }
}

fn open(file: &Path) -> BufReader<File> {
    BufReader::with_capacity(64 * 1024, File::open(file).unwrap())
}

/// quick-xml's events, and nothing done with them.
fn xml(file: &Path) -> u64 {
    let mut reader = Reader::from_reader(open(file));
    let mut buffer = Vec::new();
    let mut events = 0;
    loop {
        buffer.clear();
        if let Event::Eof = reader.read_event_into(&mut buffer).unwrap() {
            return events;
        }
        events += 1;
    }
}

/// Tags are looked for, but nothing is kept: quick-xml itself would hold the longest text.
fn bytes(file: &Path) -> u64 {
    let mut reader = open(file);
    let mut tags = 0;
    loop {
        let bytes = reader.fill_buf().unwrap();
        if bytes.is_empty() {
            return tags;
        }
        tags += u64::try_from(memchr::memchr_iter(b'<', bytes).count()).unwrap();
        let amount = bytes.len();
        reader.consume(amount);
    }
}

/// Lines are split, and those of `DA` counted.
fn lcov(file: &Path) -> u64 {
    let mut reader = open(file);
    let mut line = Vec::new();
    let mut found = 0;
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).unwrap() == 0 {
            return found;
        }
        found += u64::from(line.starts_with(b"DA:"));
    }
}

/// A report is read: tests are counted and joined, failures and covered lines kept.
fn herald(file: &Path) -> u64 {
    let mut collector = Collector::new(Limits::default()).brief();
    collector.read("report", File::open(file).unwrap());
    let report = collector.finish();
    let lines = report.coverage.as_ref().map_or(0, |all| all.lines().total);
    assert_eq!(report.broken_files().count(), 0, "{}", file.display());
    report.totals().runs + lines
}
