//! What it costs to know what tests did before, with very many runs kept.
//!
//! `cargo bench --bench history [-- RUNS]` writes so many runs (a million; more on request) of 5,000 tests in four jobs through the
//! store into a SQLite file, and measures what the verdicts of a build with 5,000 tests, the history of a test and the page of all
//! tests take, how much memory that is, and how large the database became. Times are compared with that of reading the report of
//! such a build, and of reading as many bytes as are looked at from the file. Ends with 1 when a limit is exceeded.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::disallowed_methods,
    reason = "a program for people that ends when anything is wrong"
)]

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use herald::app::{overview_of_tests, past_of_test, slower_tests};
use herald::domain::RepositoryId;
use herald::domain::history::{Attempted, Run, TestName, judge, runs};
use herald::ports::TestHistory;
use herald::ports::history::Back;
use herald::report::{Collector, Limits, Outcome, Report};
use herald::store::SqlStore;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const TESTS: usize = 5_000;
const JOBS: [&str; 4] = ["linux", "macos", "windows", "slow"];
/// Attempts of a job that are looked back at, as the server does.
const BACK: i64 = 200;
/// Each is measured so many times; the median counts.
const TIMES: usize = 7;
const MINUTE_MS: i64 = 60_000;

/// The report of a build: one test in a hundred fails, one in five hundred takes long.
fn report(random: &mut StdRng) -> (String, Report) {
    let cases: String = (0..TESTS)
        .map(|at| {
            let inner = if at % 100 == 3 {
                "<failure message='assert 1 == 2'>AssertionError</failure>"
            } else {
                ""
            };
            let usual = if at % 500 == 7 { 3.0 } else { 0.02 };
            let seconds: f64 = usual * random.random_range(0.8..1.2);
            format!(
                "<testcase classname='shop.part{}.test_module' name='test_number_{at}' time='{seconds:.4}'>{inner}</testcase>\n",
                at % 40
            )
        })
        .collect();
    let text = format!("<testsuite name='shop'>{cases}</testsuite>");
    let report = read(&text);
    (text, report)
}

fn read(text: &str) -> Report {
    let mut collector = Collector::new(Limits::default());
    collector.read("junit.xml", text.as_bytes());
    collector.finish()
}

/// How the tests did in one attempt: one in fifty is flaky, at 1 to 30 %.
fn played(random: &mut StdRng, numbers: &[u32]) -> Vec<Run> {
    let runs = numbers.iter().enumerate().map(|(at, number)| {
        let rate = if at % 50 == 7 {
            0.01 + 0.29 * (at as f64 / TESTS as f64)
        } else {
            0.0
        };
        let usual = 0.002 * 1.5_f64.powi((at % 20) as i32);
        Run {
            test: *number,
            outcome: if rate > 0.0 && random.random_bool(rate) {
                Outcome::Failed
            } else {
                Outcome::Passed
            },
            flaky: false,
            seconds: Some(usual * random.random_range(0.7..1.4)),
        }
    });
    let mut runs: Vec<Run> = runs.collect();
    runs.sort_by_key(|run| run.test);
    runs
}

/// Writes so many builds.
async fn fill(store: &SqlStore, repository: &RepositoryId, names: &[TestName], builds: i64) {
    let mut random = StdRng::seed_from_u64(1);
    let begin = Instant::now();
    let mut writing = 0.0;
    for build in 1..=builds {
        let at_ms = build * MINUTE_MS;
        // Each commit is built twice, as for a pull request and a push.
        let commit = format!("{:040x}", build / 2);
        for job in JOBS {
            let numbers = store.test_numbers(repository, names, at_ms).await.unwrap();
            let attempted = Attempted {
                build,
                attempt: 1,
                commit: commit.clone(),
                tested: commit.clone(),
                at_ms,
                runs: played(&mut random, &numbers),
            };
            let begin = Instant::now();
            store
                .keep_attempt(repository, job, attempted)
                .await
                .unwrap();
            writing += begin.elapsed().as_secs_f64();
        }
    }
    let attempts = builds * JOBS.len() as i64;
    println!(
        "{attempts} attempts written in {:.0} s, each kept in {:.2} ms",
        begin.elapsed().as_secs_f64(),
        writing * 1e3 / attempts as f64
    );
}

/// The median of some times, in milliseconds.
fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// What it takes, in milliseconds.
async fn timed<T>(work: impl AsyncFn() -> T) -> (f64, T) {
    let mut times = Vec::new();
    let mut last = None;
    for _ in 0..TIMES {
        let begin = Instant::now();
        last = Some(work().await);
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    (median(times), last.unwrap())
}

/// Reads so many bytes of a file, as they are, and says how long that takes, in milliseconds.
fn read_file(file: &Path, bytes: u64) -> f64 {
    let times = (0..TIMES).map(|_| {
        let begin = Instant::now();
        let mut buffer = [0; 4096];
        let (mut left, mut sum) = (bytes, 0_u64);
        let mut file = std::fs::File::open(file).unwrap();
        while left > 0 {
            let read = file.read(&mut buffer).unwrap();
            if read == 0 {
                break;
            }
            sum += buffer[..read]
                .iter()
                .map(|byte| u64::from(*byte))
                .sum::<u64>();
            left = left.saturating_sub(read as u64);
        }
        std::hint::black_box(sum);
        begin.elapsed().as_secs_f64() * 1e3
    });
    median(times.collect())
}

/// The most memory that was used since this was asked last, in MiB; `None` where the system does not say.
fn peak() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    Some(kib / 1024.0)
}

/// A line without a limit.
fn plain(what: &str, value: f64, unit: &str) {
    println!("| {what} | {value:.2} {unit} | | |");
}

/// A database that is full, and what is compared with.
struct Bench {
    store: SqlStore,
    repository: RepositoryId,
    names: Vec<TestName>,
    report: Report,
    builds: i64,
    /// Milliseconds that reading the report of a build takes.
    reading: f64,
    /// Milliseconds that reading as many bytes takes as are looked at of a job.
    bytes: f64,
    /// Whether something exceeds its limit.
    failed: bool,
}

impl Bench {
    fn line(&mut self, what: &str, value: &str, of: &str, ratio: f64, limit: f64) {
        let verdict = if ratio <= limit { "" } else { " TOO MUCH" };
        self.failed |= ratio > limit;
        println!("| {what} | {value} | {ratio:.2} × {of} | {limit}{verdict} |");
    }

    fn against_report(&mut self, what: &str, ms: f64, limit: f64) {
        let ratio = ms / self.reading;
        self.line(what, &format!("{ms:.2} ms"), "the report", ratio, limit);
    }

    fn against_bytes(&mut self, what: &str, ms: f64, limit: f64) {
        let ratio = ms / (self.bytes * JOBS.len() as f64);
        self.line(what, &format!("{ms:.2} ms"), "the bytes", ratio, limit);
    }

    /// As when a build ends.
    async fn verdicts(&mut self) {
        let (store, repository, job) = (&self.store, &self.repository, JOBS[0]);
        let now_ms = (self.builds + 1) * MINUTE_MS;
        let (numbering, numbers) = timed(async || {
            let numbers = store.test_numbers(repository, &self.names, now_ms);
            numbers.await.unwrap()
        })
        .await;
        plain("verdicts: numbers of the tests", numbering, "ms");
        let (looking, past) = timed(async || {
            let past = store.past_attempts(repository, job, BACK).await;
            past.unwrap()
        })
        .await;
        plain("verdicts: what the job did before", looking, "ms");
        let now = Attempted {
            build: self.builds + 1,
            attempt: 1,
            commit: "now".to_owned(),
            tested: "now".to_owned(),
            at_ms: now_ms,
            runs: runs(&self.report, &numbers),
        };
        let ancestors: Vec<String> = (1..=self.builds / 2)
            .rev()
            .take(100)
            .map(|commit| format!("{commit:040x}"))
            .collect();
        let (judging, insight) =
            timed(async || judge(&self.report, &numbers, &now, &past, &ancestors, &[])).await;
        assert_eq!(insight.verdicts.len(), TESTS / 100);
        plain("verdicts: judging", judging, "ms");
        let (keeping, ()) = timed(async || {
            let kept = store.keep_attempt(repository, job, now.clone());
            kept.await.unwrap();
        })
        .await;
        plain("verdicts: keeping the runs", keeping, "ms");
        let all = numbering + looking + judging + keeping;
        self.against_report("verdicts of a build", all, 15.0);
    }

    async fn pages(&mut self) {
        let (store, repository) = (&self.store, &self.repository);
        let (slower, found) = timed(async || {
            let back = Back {
                job: JOBS[0],
                before: self.builds + 1,
                attempts: 60,
                bytes: 3_000_000,
            };
            let slower = slower_tests(store, repository, back, &self.report);
            slower.await.unwrap()
        })
        .await;
        self.against_report("tests that became slower", slower, 1.0);
        assert_eq!(found.len(), TESTS / 500);
        let (store, repository, id) = (&self.store, &self.repository, &self.names[TESTS / 2].id);
        peak();
        let (history, past) = timed(async || {
            let past = past_of_test(store, repository, id, None).await;
            past.unwrap().unwrap()
        })
        .await;
        let memory = peak();
        assert_eq!(past.records.len(), JOBS.len());
        self.against_bytes("history of a test", history, 20.0);
        if let Some(mib) = memory {
            plain("… most memory of the process", mib, "MiB");
        }
        let (store, repository) = (&self.store, &self.repository);
        let (overview, said) = timed(async || {
            let overview = overview_of_tests(store, repository, None, 100).await;
            overview.unwrap()
        })
        .await;
        let memory = peak();
        // Those that fail seldom are forgotten in between.
        assert!(said.shaky.len() + said.shaky_left > TESTS / 100);
        self.against_bytes("all tests", overview, 50.0);
        if let Some(mib) = memory {
            plain("… most memory of the process", mib, "MiB");
        }
    }

    /// Drops half of it.
    async fn dropping(&mut self) {
        let middle_ms = self.builds / 2 * MINUTE_MS;
        let (mut longest, mut all, mut steps) = (0.0_f64, 0, 0);
        loop {
            let begin = Instant::now();
            let dropped = self.store.drop_history(middle_ms, 50).await.unwrap();
            longest = longest.max(begin.elapsed().as_secs_f64() * 1e3);
            all += dropped;
            steps += 1;
            if dropped == 0 {
                break;
            }
        }
        println!("| {all} attempts dropped in {steps} steps | | | |");
        self.against_report("the longest of these steps", longest, 10.0);
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let wanted = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok());
    let wanted: i64 = wanted.unwrap_or(1_000_000);
    let per_build = (TESTS * JOBS.len()) as i64;
    let builds = (wanted / per_build).max(1);
    let all = (builds * per_build) as f64 / 1e6;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("herald.db");
    let repository = RepositoryId::new("github.test", 1);
    let (text, report) = report(&mut StdRng::seed_from_u64(2));
    let names: Vec<TestName> = report.tests.iter().map(TestName::of).collect();
    let store = SqlStore::sqlite(&file).await.unwrap();
    let begin = Instant::now();
    store.test_numbers(&repository, &names, 0).await.unwrap();
    let first = begin.elapsed().as_secs_f64() * 1e3;
    fill(&store, &repository, &names, builds).await;
    drop(store);
    // Opened again, so that all is in the one file.
    let store = SqlStore::sqlite(&file).await.unwrap();
    let size = std::fs::metadata(&file).unwrap().len() as f64;

    println!(
        "\n{all:.2} million runs of {TESTS} tests in {} jobs\n",
        JOBS.len()
    );
    println!("| what | | ratio | at most |\n| --- | ---: | ---: | ---: |");
    let (reading, _) = timed(async || read(&text)).await;
    plain("reading the report of a build", reading, "ms");
    let looked_at = BACK.min(builds).unsigned_abs() * TESTS as u64 * 3;
    let bytes = read_file(&file, looked_at);
    plain("reading what is looked at of a job as bytes", bytes, "ms");
    plain("numbers for 5,000 new tests", first, "ms");
    let mut bench = Bench {
        store,
        repository,
        names,
        report,
        builds,
        reading,
        bytes,
        failed: false,
    };
    bench.verdicts().await;
    bench.pages().await;
    bench.dropping().await;
    let per_million = size / all / 1e6;
    let shown = format!("{per_million:.2} MB");
    bench.line(
        "database for a million runs",
        &shown,
        "3 bytes a run",
        per_million / 3.0,
        1.6,
    );
    if bench.failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
