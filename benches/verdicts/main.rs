//! How often verdicts on failed tests are right, on a project whose truth is known.
//!
//! `cargo bench --bench verdicts [-- SEED]` plays 500 changes of a project with 2,000 tests in four shards: tests that fail now and
//! then (1 to 30 % of their runs), regressions that a change brings and that are mended before it is merged or later,
//! tests that are renamed, runs of a part of the tests, and failed jobs that somebody runs again. It prints precision
//! and recall of *new*, *flaky* and *fixed*, and ends with 1 when a regression is called flaky in the change that brings
//! it, when fewer than 95 % of those that fail in more than 5 % of their runs are known within 200 changes, or when more than 1 in
//! 200 verdicts *new* is wrong.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "a program for people that ends when anything is wrong"
)]

use std::collections::{HashMap, HashSet, VecDeque};
use std::process::ExitCode;

use herald::domain::history::{Attempted, Insight, Verdict, Verdicts, judge, runs};
use herald::report::{Hints, Outcome, Report, Test};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const CHANGES: usize = 500;
const TESTS: usize = 2_000;
const SHARDS: usize = 4;
/// Attempts of a job that are looked back at, as the server does.
const BACK: usize = 200;

/// A test of the project.
struct Known {
    number: u32,
    shard: usize,
    /// How often it fails although nothing is wrong.
    rate: f64,
    /// The change that broke it, as long as it is broken on the main branch.
    broken: Option<usize>,
}

/// What is right and wrong of one kind of verdict.
#[derive(Default)]
struct Score {
    right: usize,
    wrong: usize,
    missed: usize,
}

impl Score {
    fn print(&self, what: &str) {
        let share = |part: usize, rest: usize| {
            let all = (part + rest) as f64;
            if all > 0.0 {
                format!("{:.2} %", 100.0 * part as f64 / all)
            } else {
                "–".to_owned()
            }
        };
        println!(
            "| {what} | {} | {} | {} | {} | {} |",
            self.right,
            self.wrong,
            self.missed,
            share(self.right, self.wrong),
            share(self.right, self.missed)
        );
    }
}

struct World {
    random: StdRng,
    tests: Vec<Known>,
    /// By shard, the newest first.
    past: Vec<VecDeque<Attempted>>,
    /// Commits of the main branch, the newest first.
    main: Vec<String>,
    build: i64,
    next_number: u32,
}

/// What a change does to the tests.
#[derive(Default)]
struct Change {
    breaks: HashSet<usize>,
    mends: HashSet<usize>,
}

/// One run of a shard, and the tests that it ran.
struct Ran {
    insight: Insight,
    /// By id: the place of the test, and whether it failed.
    tests: HashMap<String, (usize, bool)>,
}

impl World {
    fn chance(&mut self, share: f64) -> bool {
        self.random.random_bool(share)
    }

    /// Whether a test fails when it is run with this change.
    fn fails(&mut self, at: usize, change: &Change) -> bool {
        let is_broken = self.tests[at].broken.is_some() && !change.mends.contains(&at);
        let rate = self.tests[at].rate;
        is_broken || change.breaks.contains(&at) || (rate > 0.0 && self.chance(rate))
    }

    fn run(
        &mut self,
        shard: usize,
        commit: &str,
        attempt: u32,
        change: &Change,
        part: bool,
    ) -> Ran {
        let own: Vec<usize> = (0..self.tests.len())
            .filter(|at| self.tests[*at].shard == shard)
            .collect();
        let mut report = Report::default();
        let mut numbers = Vec::new();
        let mut tests = HashMap::new();
        let mut in_diff = Vec::new();
        for at in own {
            // A part is one folder of three.
            if part && at % 3 != 0 {
                continue;
            }
            let failed = self.fails(at, change);
            let id = format!("{:032x}", self.tests[at].number);
            // A failure that is on a line of the change is rare where the change is not to blame.
            let share = if change.breaks.contains(&at) {
                0.3
            } else {
                0.0005
            };
            if failed && self.chance(share) {
                in_diff.push(id.clone());
            }
            report.tests.push(test(&id, failed));
            numbers.push(self.tests[at].number);
            tests.insert(id, (at, failed));
        }
        let now = Attempted {
            build: self.build,
            attempt,
            commit: commit.to_owned(),
            tested: commit.to_owned(),
            at_ms: self.build * 60_000,
            runs: runs(&report, &numbers),
        };
        let past = self.past[shard].make_contiguous();
        let insight = judge(&report, &numbers, &now, past, &self.main, &in_diff);
        self.past[shard].push_front(now);
        self.past[shard].truncate(BACK);
        Ran { insight, tests }
    }
}

fn test(id: &str, failed: bool) -> Test {
    Test {
        id: id.to_owned(),
        suite: Vec::new(),
        class: None,
        name: id.to_owned(),
        outcome: if failed {
            Outcome::Failed
        } else {
            Outcome::Passed
        },
        flaky: false,
        runs: 1,
        duration_seconds: None,
        message: None,
        details: None,
        location: None,
        log: None,
        hints: Hints::default(),
    }
}

#[derive(Default)]
struct Scores {
    new: Score,
    flaky: Score,
    fixed: Score,
    /// Verdicts that leave it open, and of how many of them the change is to blame.
    unsure: (usize, usize),
    regressions_called_flaky: usize,
    /// The change with which a test was first called flaky.
    known: HashMap<usize, usize>,
}

impl Scores {
    fn take(&mut self, world: &World, change: &Change, ran: &Ran, number: usize) {
        let verdicts = Verdicts::new([&ran.insight]);
        for (id, (at, failed)) in &ran.tests {
            let test = &world.tests[*at];
            let verdict = verdicts.of(id);
            let brought = change.breaks.contains(at);
            let on_base = test.broken.is_some();
            if *failed {
                match verdict.unwrap() {
                    Verdict::New if brought => self.new.right += 1,
                    Verdict::New => self.new.wrong += 1,
                    Verdict::Unsure { .. } => {
                        self.unsure.0 += 1;
                        self.unsure.1 += usize::from(brought);
                        self.new.missed += usize::from(brought);
                    }
                    Verdict::Flaky { .. } => {
                        self.regressions_called_flaky += usize::from(brought);
                        self.known.entry(*at).or_insert(number);
                        if test.rate > 0.0 {
                            self.flaky.right += 1;
                        } else {
                            self.flaky.wrong += 1;
                        }
                    }
                    Verdict::AlsoOnBase { .. } | Verdict::Quarantined { .. } => {
                        self.new.missed += usize::from(brought);
                    }
                }
                let shaky = test.rate > 0.0 && !brought && !on_base;
                if shaky && !matches!(verdict, Some(Verdict::Flaky { .. })) {
                    self.flaky.missed += 1;
                }
            } else {
                let mended = change.mends.contains(at) && on_base;
                match (ran.insight.fixed.contains(id), mended) {
                    (true, true) => self.fixed.right += 1,
                    (true, false) => self.fixed.wrong += 1,
                    (false, true) => self.fixed.missed += 1,
                    (false, false) => {}
                }
            }
        }
    }
}

fn play(seed: u64) -> (Scores, Vec<Known>) {
    let mut random = StdRng::seed_from_u64(seed);
    let tests = (0..TESTS)
        .map(|at| Known {
            number: at as u32 + 1,
            shard: at % SHARDS,
            // One in fifty, from 1 to 30 %.
            rate: if at % 50 == 7 {
                0.01 * 30_f64.powf(random.random())
            } else {
                0.0
            },
            broken: None,
        })
        .collect();
    let mut world = World {
        random,
        tests,
        past: vec![VecDeque::new(); SHARDS],
        main: Vec::new(),
        build: 0,
        next_number: TESTS as u32 + 1,
    };
    let mut scores = Scores::default();
    for number in 0..CHANGES {
        let mut change = Change::default();
        // Something is broken in one change of eight, mostly in tests that are not shaky.
        if world.chance(0.125) {
            for _ in 0..world.random.random_range(1..=3) {
                let at = world.random.random_range(0..TESTS);
                if world.tests[at].broken.is_none() && world.tests[at].rate == 0.0 {
                    change.breaks.insert(at);
                }
            }
        }
        // What is broken on the main branch is mended after some changes.
        let broken: Vec<usize> = (0..TESTS)
            .filter(|at| world.tests[*at].broken.is_some())
            .collect();
        for at in broken {
            if world.chance(0.1) {
                change.mends.insert(at);
            }
        }
        // A test is renamed now and then: to its history it is another one.
        if world.chance(0.2) {
            let at = world.random.random_range(0..TESTS);
            world.tests[at].number = world.next_number;
            world.next_number += 1;
        }
        world.build += 1;
        let head = format!("head{number}");
        let part = world.chance(0.05);
        for shard in 0..SHARDS {
            let ran = world.run(shard, &head, 1, &change, part);
            scores.take(&world, &change, &ran, number);
            // Half of those who see red run it again.
            if ran.tests.values().any(|(_, failed)| *failed) && world.chance(0.5) {
                let again = world.run(shard, &head, 2, &change, part);
                scores.take(&world, &change, &again, number);
            }
        }
        // Who broke something mends it, but for one in four.
        if !change.breaks.is_empty() && world.chance(0.75) {
            change.breaks.clear();
        }
        for at in &change.breaks {
            world.tests[*at].broken = Some(number);
        }
        for at in &change.mends {
            world.tests[*at].broken = None;
        }
        world.build += 1;
        let commit = format!("main{number}");
        for shard in 0..SHARDS {
            world.run(shard, &commit, 1, &Change::default(), false);
        }
        world.main.insert(0, commit);
    }
    (scores, world.tests)
}

fn main() -> ExitCode {
    let seed = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok());
    let (scores, tests) = play(seed.unwrap_or(1));
    println!(
        "| verdict | right | wrong | missed | precision | recall |\n| --- | ---: | ---: | ---: | ---: | ---: |"
    );
    scores.new.print("new in this change");
    scores.flaky.print("flaky");
    scores.fixed.print("fixed");
    let (unseen, blamed) = scores.unsure;
    println!("\n{unseen} times it is left open; the change was to blame {blamed} times");
    let shaky: Vec<usize> = (0..tests.len())
        .filter(|at| tests[*at].rate > 0.05)
        .collect();
    let known = shaky
        .iter()
        .filter(|at| scores.known.get(*at).is_some_and(|change| *change < 200));
    let known = known.count() as f64 / shaky.len() as f64;
    println!(
        "of {} tests that fail in more than 5 % of their runs, {:.1} % are known within 200 changes (at least 95 %)",
        shaky.len(),
        100.0 * known
    );
    let wrong = scores.new.wrong as f64 / (scores.new.right + scores.new.wrong).max(1) as f64;
    println!(
        "verdicts \"new\" that are wrong: {} of {} (at most 1 in 200)",
        scores.new.wrong,
        scores.new.right + scores.new.wrong
    );
    println!(
        "regressions called flaky in the change that brings them: {} (none)",
        scores.regressions_called_flaky
    );
    if scores.regressions_called_flaky == 0 && known >= 0.95 && wrong <= 1.0 / 200.0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
