use proptest::prelude::*;
use tempfile::TempDir;

use super::{Ceiling, FileLogs};
use crate::ports::logs::{LogKey, LogStore, LogWriter, StepLines};
use crate::protocol::Stream;

fn key(attempt: u32) -> LogKey {
    LogKey {
        build: "b1".into(),
        job: "unit".into(),
        attempt,
    }
}

fn logs(limit: u64) -> (TempDir, FileLogs) {
    let folder = TempDir::new().expect("a folder");
    let logs = FileLogs::new(folder.path(), Ceiling::of(limit));
    (folder, logs)
}

fn out(writer: &mut dyn LogWriter, step: u32, unix_ms: u64, text: &str) {
    writer
        .append(step, Stream::Stdout, unix_ms, 0, text.as_bytes())
        .expect("written");
}

/// Lines from one on: the first one's number, and the text.
async fn lines(logs: &FileLogs, step: u32, from: u64, limit: usize) -> (u64, String) {
    let read = logs.read_lines(&key(1), step, from, limit).await;
    let slice = read.expect("a log");
    (slice.first, String::from_utf8(slice.bytes).expect("text"))
}

#[tokio::test]
async fn lines_are_found_by_their_number_while_a_log_grows() {
    let (_folder, logs) = logs(1 << 20);
    let mut writer = logs.create(&key(1)).await.expect("created");
    let mut written = Vec::new();
    for number in 1..=3000u64 {
        // Every piece is a record of its own, and some hold no end of a line, some several.
        let (one, two) = (format!("line {number}"), " of step 0\n".to_owned());
        out(writer.as_mut(), 0, number * 2, &one);
        if number % 3 == 0 {
            out(writer.as_mut(), 7, number * 2, "elsewhere\n");
        }
        out(writer.as_mut(), 0, number * 2 + 1, &two);
        written.push(one + &two);
        if number % 500 == 0 {
            for from in [1, 2, number / 2, number - 1, number] {
                let place = usize::try_from(from).expect("small") - 1;
                let wanted = written[place..].iter().take(2).cloned().collect::<String>();
                let limit = wanted.len();
                assert_eq!(lines(&logs, 0, from, limit).await, (from, wanted), "{from}");
            }
        }
    }
    out(writer.as_mut(), 0, 1, "unfinished");
    let counts = logs.line_counts(&key(1)).await.expect("a log");
    let told: Vec<_> = counts.iter().map(|step| (step.step, step.lines)).collect();
    assert_eq!(told, [(0, 3001), (7, 1000)]);
    assert_eq!(lines(&logs, 0, 3001, 99).await.1, "unfinished");
    assert_eq!(lines(&logs, 0, 3002, 99).await, (3002, String::new()));
    assert_eq!(lines(&logs, 7, 1000, 99).await.1, "elsewhere\n");
    assert_eq!(lines(&logs, 8, 1, 99).await.1, "");
    let whole = lines(&logs, 0, 0, 1 << 20).await;
    assert_eq!(whole, (1, written.concat() + "unfinished"));
}

#[tokio::test]
async fn whole_lines_are_read_and_of_a_longer_one_its_beginning() {
    let (_folder, logs) = logs(1 << 20);
    let mut writer = logs.create(&key(1)).await.expect("created");
    let long = "x".repeat(200_000);
    out(writer.as_mut(), 0, 1, &format!("one\n{long}\nthree\n"));
    assert_eq!(lines(&logs, 0, 1, 100).await.1, "one\n");
    assert_eq!(lines(&logs, 0, 2, 100).await.1, "x".repeat(100));
    assert_eq!(lines(&logs, 0, 3, 100).await.1, "three\n");
}

#[tokio::test]
async fn lines_are_told_with_the_time_at_which_they_began() {
    let (_folder, logs) = logs(1 << 20);
    let mut writer = logs.create(&key(1)).await.expect("created");
    for (unix_ms, text) in [
        (5, "a\nb"),
        (6, "b\n"),
        (7, "c\nd\n"),
        (7, "e\n"),
        (9, "f\n"),
    ] {
        out(writer.as_mut(), 0, unix_ms, text);
    }
    let slice = logs.read_lines(&key(1), 0, 1, 99).await.expect("a log");
    assert_eq!(slice.times, [(1, 5), (3, 7), (6, 9)]);
    let slice = logs.read_lines(&key(1), 0, 4, 99).await.expect("a log");
    assert_eq!(slice.times, [(4, 7), (6, 9)]);
}

#[tokio::test]
async fn lines_keep_their_numbers_when_the_middle_is_left_out() {
    for piece in [1, 7, 400] {
        let (_folder, logs) = logs(2000);
        let mut writer = logs.create(&key(1)).await.expect("created");
        let text: Vec<String> = (1..=1000).map(|line| format!("line {line:04}\n")).collect();
        for (place, lines) in text.chunks(piece).enumerate() {
            let step = u32::from(place * piece >= 500);
            out(writer.as_mut(), step, place as u64, &lines.concat());
            // Also while it goes on.
            if piece == 7 && place % 10 == 0 {
                let counts = logs.line_counts(&key(1)).await.expect("a log");
                let lines: u64 = counts.iter().map(|step| step.lines).sum();
                assert_eq!(lines, ((place + 1) * piece) as u64);
            }
        }
        writer.finish().expect("finished");
        let counts = logs.line_counts(&key(1)).await.expect("a log");
        let of_first = counts[0].lines;
        assert_eq!(of_first + counts[1].lines, 1000, "{counts:?}");
        let mut seen = 0;
        for StepLines {
            step,
            lines: total,
            left_out,
        } in counts
        {
            let (gone, last) = left_out.expect("some of both");
            seen += total - (last + 1 - gone);
            let mut from = 1;
            while from <= total {
                let (first, text) = lines(&logs, step, from, 35).await;
                let wanted = if (gone..=last).contains(&from) {
                    last + 1
                } else {
                    from
                };
                assert_eq!(first, wanted, "{piece}: {step}:{from}");
                if text.is_empty() {
                    assert_eq!((step, last), (0, total), "{piece}: only the end is gone");
                    break;
                }
                from = first;
                for line in text.split_inclusive('\n') {
                    let number = from + if step == 0 { 0 } else { of_first };
                    assert_eq!(
                        line,
                        format!("line {number:04}\n"),
                        "{piece}: {step}:{from}"
                    );
                    from += 1;
                }
            }
        }
        assert!((150..=220).contains(&seen), "{piece}: {seen}");
    }
}

#[tokio::test]
async fn a_log_that_was_begun_anew_has_its_own_lines() {
    let (_folder, logs) = logs(1000);
    for text in ["one\ntwo\n", "other\n"] {
        let mut writer = logs.create(&key(1)).await.expect("created");
        out(writer.as_mut(), 0, 1, text);
        out(writer.as_mut(), 1, 1, text);
        assert_eq!(lines(&logs, 0, 1, 99).await.1, text);
    }
    let counts = logs.line_counts(&key(1)).await.expect("a log");
    assert_eq!(counts[0].lines, 1);
    // Many logs push one another out, and are read as before.
    for attempt in 2..100 {
        let mut writer = logs.create(&key(attempt)).await.expect("created");
        out(writer.as_mut(), 0, 1, "x\n");
        logs.line_counts(&key(attempt)).await.expect("a log");
    }
    assert_eq!(lines(&logs, 0, 1, 99).await.1, "other\n");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is written in whatever pieces: line by line it is the same as read whole.
    #[test]
    fn lines_are_those_of_the_text(
        pieces in proptest::collection::vec((0..3u32, 0..3u64, "[ab\n]{0,6}"), 0..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let (_folder, logs) = logs(1 << 20);
            let mut writer = logs.create(&key(1)).await.expect("created");
            let mut texts = [String::new(), String::new(), String::new()];
            for (step, unix_ms, text) in &pieces {
                out(writer.as_mut(), *step, *unix_ms, text);
                texts[*step as usize].push_str(text);
            }
            for (step, text) in (0..).zip(&texts) {
                let wanted: Vec<&str> = text.split_inclusive('\n').collect();
                for (place, line) in wanted.iter().enumerate() {
                    let number = place as u64 + 1;
                    let (first, read) = lines(&logs, step, number, line.len()).await;
                    assert_eq!((first, read.as_str()), (number, *line));
                    let (_, rest) = lines(&logs, step, number, 1 << 20).await;
                    assert_eq!(rest, wanted[place..].concat());
                }
                let counts = logs.line_counts(&key(1)).await.expect("a log");
                let count = counts.iter().find(|count| count.step == step);
                assert_eq!(count.map_or(0, |count| count.lines), wanted.len() as u64);
            }
        });
    }
}
