use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use tempfile::TempDir;

use super::{Ceiling, FileLogs};
use crate::ports::error::Kind;
use crate::ports::logs::{LogKey, LogStore, LogWriter};
use crate::protocol::Stream;

struct Bench {
    folder: TempDir,
    logs: FileLogs,
}

fn bench(limit: u64) -> Bench {
    let folder = TempDir::new().expect("a folder");
    let logs = FileLogs::new(folder.path().join("logs"), Ceiling::of(limit));
    Bench { folder, logs }
}

fn key() -> LogKey {
    LogKey {
        build: "b1".into(),
        job: "unit".into(),
        attempt: 1,
    }
}

impl Bench {
    async fn create(&self) -> Box<dyn LogWriter> {
        self.logs.create(&key()).await.expect("created")
    }

    async fn text(&self, start: u64, limit: usize) -> String {
        let slice = self.logs.read(&key(), start, limit).await.expect("read");
        String::from_utf8(slice.bytes).expect("text")
    }

    async fn step(&self, step: u32) -> String {
        let bytes = self.logs.read_step(&key(), step, 1 << 20).await;
        String::from_utf8(bytes.expect("read")).expect("text")
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.folder.path().join(format!("logs/b1/unit.1.{ending}"))
    }
}

fn out(writer: &mut dyn LogWriter, step: u32, unix_ms: u64, text: &str) {
    writer
        .append(step, Stream::Stdout, unix_ms, 0, text.as_bytes())
        .expect("written");
}

#[tokio::test]
async fn what_was_written_is_read_while_it_is_written() {
    let bench = bench(1000);
    let mut writer = bench.create().await;
    out(writer.as_mut(), 0, 5, "one\n");
    assert_eq!(bench.text(0, 100).await, "one\n");
    out(writer.as_mut(), 1, 6, "two\n");
    writer
        .append(0, Stream::Stderr, 6, 0, b"\xff three\n")
        .expect("written");
    writer.finish().expect("finished");
    let slice = bench.logs.read(&key(), 2, 5).await.expect("read");
    assert_eq!((slice.start, slice.total), (2, 16));
    assert_eq!(slice.bytes, b"e\ntwo");
    assert_eq!(bench.step(1).await, "two\n");
    let step = bench.logs.read_step(&key(), 0, 6).await.expect("read");
    assert_eq!(step, b"one\n\xff ");
    let past = bench.logs.read(&key(), 99, 5).await.expect("read");
    assert_eq!((past.start, past.total, past.bytes.len()), (16, 16, 0));
}

#[tokio::test]
async fn pieces_are_told_with_step_stream_and_time() {
    let bench = bench(1000);
    let mut writer = bench.create().await;
    for (step, unix_ms, text) in [(0, 5, "a"), (0, 5, "b"), (0, 6, "c"), (1, 6, "d")] {
        out(writer.as_mut(), step, unix_ms, text);
    }
    let records = bench.logs.records(&key()).await.expect("read");
    let told: Vec<_> = records
        .iter()
        .map(|record| (record.offset, record.length, record.unix_ms, record.step))
        .collect();
    assert_eq!(told, [(0, 2, 5, 0), (2, 1, 6, 0), (3, 1, 6, 1)]);
}

#[tokio::test]
async fn of_a_long_log_both_ends_stay_and_a_line_says_what_is_left_out() {
    let bench = bench(1000);
    let mut writer = bench.create().await;
    for number in 0..1000 {
        out(
            writer.as_mut(),
            number / 500,
            1,
            &format!("line {number:04}\n"),
        );
    }
    writer.finish().expect("finished");
    let text = bench.text(0, 1 << 20).await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines[0], lines[49]), ("line 0000", "line 0049"));
    assert_eq!(lines[50], "");
    assert_eq!(
        lines[51],
        "[herald] 9010 bytes of this log are left out here"
    );
    assert_eq!(
        (lines[52], lines[lines.len() - 1]),
        ("line 0951", "line 0999")
    );
    // Every range is a part of the whole.
    for start in (0..text.len()).step_by(7) {
        let range = bench.text(start as u64, 33).await;
        assert_eq!(
            range,
            text.get(start..(start + 33).min(text.len()))
                .unwrap_or_default()
        );
    }
    let first = bench.step(0).await;
    assert!(first.starts_with("line 0000\n"), "{first}");
    assert!(first.ends_with("are left out here\n"), "{first}");
    let second = bench.step(1).await;
    assert!(second.starts_with("\n[herald] 9010 bytes"), "{second}");
    assert!(second.ends_with("line 0999\n"), "{second}");
}

#[tokio::test]
async fn who_follows_a_long_log_keeps_the_place_and_misses_only_what_is_left_out() {
    let bench = bench(1000);
    let mut writer = bench.create().await;
    let (mut followed, mut place, mut left_out) = (String::new(), 0, 0);
    for number in 0..1000 {
        out(writer.as_mut(), 0, 1, &format!("line {number:04}\n"));
        // Slower than what is written.
        if number % 300 == 0 {
            let read = bench.logs.read_written(&key(), place, 200).await;
            let slice = read.expect("a log");
            left_out += slice.start - place;
            place = slice.start + slice.bytes.len() as u64;
            followed += std::str::from_utf8(&slice.bytes).expect("text");
        }
    }
    writer.finish().expect("finished");
    loop {
        let read = bench.logs.read_written(&key(), place, 200).await;
        let slice = read.expect("a log");
        left_out += slice.start - place;
        place = slice.start + slice.bytes.len() as u64;
        followed += std::str::from_utf8(&slice.bytes).expect("text");
        if place == slice.total {
            break;
        }
    }
    assert_eq!(followed.len() as u64 + left_out, 10_000);
    assert!(left_out > 5_000, "{left_out}");
    let numbers: Vec<u32> = followed
        .lines()
        .map(|line| {
            line.strip_prefix("line ")
                .expect("whole")
                .parse()
                .expect("a number")
        })
        .collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    assert_eq!((numbers.first(), numbers.last()), (Some(&0), Some(&999)));
}

#[tokio::test]
async fn a_log_at_its_limit_is_whole() {
    let bench = bench(100);
    let mut writer = bench.create().await;
    for _ in 0..10 {
        out(writer.as_mut(), 0, 1, "123456789\n");
    }
    writer.finish().expect("finished");
    assert_eq!(bench.text(0, 1000).await, "123456789\n".repeat(10));
}

#[tokio::test]
async fn a_long_log_does_not_fill_the_disk() {
    let bench = bench(4 << 20);
    let mut writer = bench.create().await;
    let block = "x".repeat(64 * 1024);
    for number in 0..1024 {
        out(writer.as_mut(), 0, number, &block);
    }
    writer.finish().expect("finished");
    let used = fs::metadata(bench.file("log")).expect("a file").blocks() * 512;
    assert!(used <= 5 << 20, "{used}");
    let slice = bench.logs.read(&key(), 0, 10).await.expect("read");
    assert!(slice.total < (4 << 20) + 100, "{}", slice.total);
}

#[tokio::test]
async fn a_torn_tail_is_ignored() {
    let bench = bench(1000);
    let mut writer = bench.create().await;
    out(writer.as_mut(), 0, 1, "good\n");
    drop(writer);
    let append = |ending: &str, bytes: &[u8]| {
        let path = bench.file(ending);
        let mut file = OpenOptions::new().append(true).open(path).expect("a file");
        file.write_all(bytes).expect("written");
    };
    append("log", b"unindexed");
    append("index", &[7; 40]);
    assert_eq!(bench.step(0).await, "good\n");
    assert_eq!(bench.text(0, 100).await, "good\nunindexed");
    fs::write(bench.file("log"), "go").expect("written");
    assert_eq!(bench.step(0).await, "");
    fs::write(bench.file("index"), "").expect("written");
    assert_eq!(bench.text(0, 100).await, "go");
}

#[tokio::test]
async fn a_log_is_created_empty() {
    let bench = bench(1000);
    out(bench.create().await.as_mut(), 0, 1, "old");
    out(bench.create().await.as_mut(), 0, 1, "new");
    assert_eq!(bench.text(0, 100).await, "new");
    let mode = fs::metadata(bench.file("log")).expect("a file").mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_log_that_is_not_there_is_gone_and_a_bad_name_is_refused() {
    let bench = bench(1000);
    let error = bench.logs.read(&key(), 0, 1).await.expect_err("none");
    assert_eq!(error.kind, Kind::Gone);
    for name in ["../x", "", "a/b", ".hidden"] {
        let bad = LogKey {
            job: name.into(),
            ..key()
        };
        let error = bench.logs.read(&bad, 0, 1).await.expect_err("bad");
        assert_eq!(error.kind, Kind::Refused, "{name}");
        assert!(bench.logs.create(&bad).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_log_whose_writer_was_killed_goes_on_where_it_was_safe() {
    let bench = bench(1000);
    let mut log = bench.create().await;
    log.append(0, Stream::Stdout, 1, 3, b"one\n")
        .expect("written");
    log.append(0, Stream::Stdout, 2, 4, b"two\n")
        .expect("written");
    log.mark(5).expect("written");
    drop(log);
    // The bytes of a piece whose record was not written any more, and half a record.
    let append = |ending: &str, bytes: &[u8]| {
        let path = bench.file(ending);
        let mut file = OpenOptions::new().append(true).open(path).expect("a file");
        file.write_all(bytes).expect("written");
    };
    append("log", b"thr");
    append("index", &[7; 9]);
    let (mut log, position) = bench.logs.reopen(&key()).await.expect("a log");
    assert_eq!(position, 5);
    log.append(1, Stream::Stdout, 3, 6, b"three\n")
        .expect("written");
    assert_eq!(bench.text(0, 100).await, "one\ntwo\nthree\n");
    assert_eq!(bench.step(1).await, "three\n");
    drop(log);
    let (_, position) = bench.logs.reopen(&key()).await.expect("a log");
    assert_eq!(position, 6);
    let missing = LogKey {
        attempt: 9,
        ..key()
    };
    let error = bench.logs.reopen(&missing).await.err().expect("none");
    assert_eq!(error.kind, Kind::Gone);
}

#[tokio::test]
async fn a_log_with_its_middle_left_out_goes_on_too() {
    let bench = bench(1000);
    let mut log = bench.create().await;
    for number in 0..100u64 {
        let line = format!("line {number:>20}\n");
        log.append(0, Stream::Stdout, number, number, line.as_bytes())
            .expect("written");
    }
    let before = bench.text(0, 5000).await;
    drop(log);
    let (mut log, position) = bench.logs.reopen(&key()).await.expect("a log");
    assert_eq!(position, 99);
    log.append(0, Stream::Stdout, 100, 100, b"last\n")
        .expect("written");
    assert_eq!(bench.text(0, 5000).await, before + "last\n");
}
