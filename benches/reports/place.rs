//! 10,000 failures with long stacks, placed in a repository of 100,000 files.

use std::fmt::Write as _;
use std::time::Instant;

use herald::report::{Collector, Index, Limits};

const FAILURES: usize = 10_000;
const FILES: usize = 100_000;

fn files() -> Vec<String> {
    (0..FILES)
        .map(|number| {
            let (module, name) = (number % 50, number / 50);
            // A quarter of all files have the same few names, as `index.ts` or `mod.rs` do.
            if name % 4 == 0 {
                format!("module{module}/src/main/java/com/acme/p{name}/Index.java")
            } else {
                format!(
                    "module{module}/src/main/java/com/acme/m{module}/p{}/Class{name}.java",
                    name % 97
                )
            }
        })
        .collect()
}

fn report() -> String {
    let mut text = "<testsuite name='s'>".to_owned();
    for number in 0..FAILURES {
        let (module, name) = (number % 50, number / 5 % 2_000 / 4 * 4 + 1);
        let _ = writeln!(
            text,
            "<testcase classname='com.acme.T{number}' name='t'><failure message='expected: 1 but was: 2'>E: x"
        );
        for frame in 0..25 {
            let _ = writeln!(
                text,
                "\tat org.junit.jupiter.engine.Run{frame}.invoke(Run{frame}.java:{})",
                frame + 7
            );
        }
        let _ = writeln!(
            text,
            "\tat com.acme.m{module}.p{}.Class{name}.check(Class{name}.java:12)",
            name % 97
        );
        for frame in 0..25 {
            let _ = writeln!(
                text,
                "\tat java.base/java.lang.reflect.Method{frame}.invoke(Method{frame}.java:9)"
            );
        }
        text.push_str("</failure></testcase>");
    }
    text.push_str("</testsuite>");
    text
}

/// Prints how long it takes to make the index, and to place all failures.
pub(crate) fn print() {
    let text = report();
    let mut collector = Collector::new(Limits::default());
    collector.read("report.xml", text.as_bytes());
    let mut report = collector.finish();
    let files = files();
    let start = Instant::now();
    let index = Index::new(files);
    let made = start.elapsed();
    let start = Instant::now();
    report.locate(&index);
    let placed = start.elapsed();
    let count = report
        .tests
        .iter()
        .filter(|test| test.location.is_some())
        .count();
    println!(
        "\n{count} of {FAILURES} failures with stacks of 51 frames placed among {FILES} files in {:.3} s, \
         the index made in {:.3} s",
        placed.as_secs_f64(),
        made.as_secs_f64()
    );
}
