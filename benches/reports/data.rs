//! The files that are read: always the same ones, of the shapes that tools write.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Numbers without any order that are the same every time (Knuth's MMIX generator).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Makes a file of this name, unless it is there.
pub(crate) fn make(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    if path.exists() {
        return path;
    }
    let unfinished = dir.join(format!("{name}.unfinished"));
    let mut out = BufWriter::new(File::create(&unfinished).unwrap());
    match name {
        "padded-pytest.xml" => pytest(&mut out, 200 << 20, 0),
        "padded-surefire.xml" => surefire(&mut out, 200 << 20),
        "dense.xml" => pytest(&mut out, 20 << 20, 0),
        "huge.xml" => pytest(&mut out, 1 << 30, 1 << 30),
        "million.info" => lcov(&mut out),
        "million.xml" => cobertura(&mut out),
        other => panic!("no file {other}"),
    }
    out.into_inner().unwrap().sync_all().unwrap();
    std::fs::rename(unfinished, &path).unwrap();
    path
}

const CASES: u64 = 100_000;

/// Some lines of a log, `bytes` long.
fn log(out: &mut impl Write, numbers: &mut Numbers, bytes: u64) {
    let mut written = 0;
    while written < bytes {
        let line = format!(
            "2026-01-01 12:00:00 INFO worker-{} handled request {} in {} ms with status 200\n",
            numbers.below(8),
            numbers.below(1_000_000),
            numbers.below(500),
        );
        out.write_all(line.as_bytes()).unwrap();
        written += u64::try_from(line.len()).unwrap();
    }
}

/// The text of a failure in `frames` frames.
fn trace(numbers: &mut Numbers, frames: u64) -> String {
    let mut text = String::new();
    for _ in 0..frames {
        let (module, line) = (numbers.below(400), 1 + numbers.below(900));
        text.push_str(&format!(
            "    def helper(value):\n        checked = value &lt; 3 and value\n&gt;       return inner(checked)\n\nsrc/shop/module_{module}.py:{line}: \n_ _ _ _ _\n"
        ));
    }
    text.push_str("E       assert 1232 == 1008\n\ntests/test_basket.py:10: AssertionError");
    text
}

/// One suite of pytest; logs in a quarter of the cases fill it up to `size`, and one more log
/// has `text` bytes.
fn pytest(out: &mut impl Write, size: u64, text: u64) {
    let mut numbers = Numbers(1);
    let bare = 20 << 20;
    let padded = size > bare;
    let each = size.saturating_sub(bare) / (CASES / 4);
    write!(out, "<?xml version=\"1.0\" encoding=\"utf-8\"?><testsuites name=\"pytest tests\"><testsuite name=\"pytest\" errors=\"0\" failures=\"1000\" skipped=\"2000\" tests=\"{CASES}\" time=\"12.3\" timestamp=\"2026-01-01T12:00:00.000000+00:00\" hostname=\"ci\">").unwrap();
    for case in 0..CASES {
        write!(
            out,
            "<testcase classname=\"tests.unit.test_module_{}.TestBasket\" name=\"test_the_total_is_right[case-{case}]\" time=\"0.{:03}\"",
            case / 250,
            numbers.below(1000),
        )
        .unwrap();
        let (failed, skipped) = (case % 100 == 7, case % 50 == 3);
        let log_of = (padded && case % 4 == 0) || (!padded && case % 50 == 0);
        if !failed && !skipped && !log_of {
            out.write_all(b" />").unwrap();
            continue;
        }
        out.write_all(b">").unwrap();
        if failed {
            let frames = 13 + numbers.below(40);
            write!(out, "<failure message=\"AssertionError: assert 1232 == 1008&#10;  + where 1232 = &lt;Basket&gt;.total\">{}</failure>", trace(&mut numbers, frames)).unwrap();
        }
        if skipped {
            out.write_all(b"<skipped type=\"pytest.skip\" message=\"the till is not connected\">tests/test_basket.py:40: the till is not connected</skipped>").unwrap();
        }
        if log_of {
            out.write_all(b"<system-out>").unwrap();
            log(out, &mut numbers, if padded { each } else { 1000 });
            if case == CASES / 2 && text > 0 {
                log(out, &mut numbers, text);
            }
            out.write_all(b"</system-out>").unwrap();
        }
        out.write_all(b"</testcase>").unwrap();
    }
    out.write_all(b"</testsuite></testsuites>").unwrap();
}

/// Suites of Surefire with their properties, texts in sections of `CDATA`.
fn surefire(out: &mut impl Write, size: u64) {
    let mut numbers = Numbers(2);
    let each = size.saturating_sub(24 << 20) / (CASES / 4);
    out.write_all(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n")
        .unwrap();
    for suite in 0..CASES / 40 {
        writeln!(out, "<testsuite name=\"com.acme.shop.part{}.BasketTest{suite}\" time=\"1.5\" tests=\"40\" errors=\"0\" skipped=\"1\" failures=\"0\">", suite % 50).unwrap();
        out.write_all(b"  <properties>\n").unwrap();
        for property in 0..20 {
            writeln!(out, "    <property name=\"java.property.{property}\" value=\"/usr/lib/jvm/value-{property}\"/>").unwrap();
        }
        out.write_all(b"  </properties>\n").unwrap();
        for case in 0..40 {
            let number = suite * 40 + case;
            write!(out, "  <testcase name=\"totalIsRight{case}\" classname=\"com.acme.shop.part{}.BasketTest{suite}\" time=\"0.{:03}\"", suite % 50, numbers.below(1000)).unwrap();
            let (failed, skipped, log_of) = (number % 100 == 7, number % 50 == 3, number % 4 == 0);
            if !failed && !skipped && !log_of {
                out.write_all(b"/>\n").unwrap();
                continue;
            }
            out.write_all(b">\n").unwrap();
            if failed {
                out.write_all(b"    <failure message=\"expected: &lt;1008&gt; but was: &lt;1232&gt;\" type=\"org.opentest4j.AssertionFailedError\"><![CDATA[org.opentest4j.AssertionFailedError: expected: <1008> but was: <1232>\n").unwrap();
                for _ in 0..20 + numbers.below(40) {
                    writeln!(
                        out,
                        "\tat org.junit.jupiter.api.AssertionUtils.fail(AssertionUtils.java:{})",
                        1 + numbers.below(200)
                    )
                    .unwrap();
                }
                writeln!(out, "\tat com.acme.shop.part{}.BasketTest{suite}.totalIsRight(BasketTest{suite}.java:{})\n]]></failure>", suite % 50, 1 + numbers.below(300)).unwrap();
            }
            if skipped {
                out.write_all(b"    <skipped message=\"the till is not connected\"/>\n")
                    .unwrap();
            }
            if log_of {
                out.write_all(b"    <system-out><![CDATA[").unwrap();
                log(out, &mut numbers, each);
                out.write_all(b"]]></system-out>\n").unwrap();
            }
            out.write_all(b"  </testcase>\n").unwrap();
        }
        out.write_all(b"</testsuite>\n").unwrap();
    }
    out.write_all(b"</testsuites>\n").unwrap();
}

const FILES: u64 = 1_000;
const LINES: u64 = 1_000;

fn lcov(out: &mut impl Write) {
    let mut numbers = Numbers(3);
    for file in 0..FILES {
        writeln!(out, "TN:\nSF:src/part_{}/module_{file}.c", file % 50).unwrap();
        for line in 1..=LINES {
            writeln!(
                out,
                "DA:{},{}",
                line * 2,
                numbers.below(4).saturating_sub(1)
            )
            .unwrap();
        }
        for branch in 0..LINES / 8 {
            let line = branch * 16 + 2;
            writeln!(
                out,
                "BRDA:{line},0,0,{}\nBRDA:{line},0,1,-",
                numbers.below(3)
            )
            .unwrap();
        }
        writeln!(
            out,
            "BRF:{}\nBRH:0\nLF:{LINES}\nLH:{LINES}\nend_of_record",
            LINES / 4
        )
        .unwrap();
    }
}

fn cobertura(out: &mut impl Write) {
    let mut numbers = Numbers(4);
    writeln!(out, "<?xml version=\"1.0\" ?>\n<coverage version=\"7.6\" timestamp=\"1700000000000\" lines-valid=\"1000000\" lines-covered=\"750000\" line-rate=\"0.75\" branches-covered=\"1\" branches-valid=\"2\" branch-rate=\"0.5\" complexity=\"0\">\n\t<sources>\n\t\t<source>/workspace/src</source>\n\t</sources>\n\t<packages>\n\t\t<package name=\"shop\" line-rate=\"0.75\" branch-rate=\"0.5\" complexity=\"0\">\n\t\t\t<classes>").unwrap();
    for file in 0..FILES {
        writeln!(out, "\t\t\t\t<class name=\"module_{file}.py\" filename=\"part_{}/module_{file}.py\" complexity=\"0\" line-rate=\"0.7\" branch-rate=\"0.5\">\n\t\t\t\t\t<methods/>\n\t\t\t\t\t<lines>", file % 50).unwrap();
        for line in 1..=LINES {
            let hits = u64::from(numbers.below(4) > 0);
            if line % 8 == 0 {
                writeln!(out, "\t\t\t\t\t\t<line number=\"{}\" hits=\"{hits}\" branch=\"true\" condition-coverage=\"50% (1/2)\" missing-branches=\"60\"/>", line * 2).unwrap();
            } else {
                writeln!(
                    out,
                    "\t\t\t\t\t\t<line number=\"{}\" hits=\"{hits}\"/>",
                    line * 2
                )
                .unwrap();
            }
        }
        out.write_all(b"\t\t\t\t\t</lines>\n\t\t\t\t</class>\n")
            .unwrap();
    }
    out.write_all(b"\t\t\t</classes>\n\t\t</package>\n\t</packages>\n</coverage>\n")
        .unwrap();
}
