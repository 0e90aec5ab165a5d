//! How much Herald writes to GitHub, and that it keeps to GitHub's limits.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use herald::app::{self, App, Parts};
use herald::demo::{Project, RateLimits};
use herald::ports::error::Result;
use herald::ports::source::{LandedCommit, Merged, Remote, TreeEntry};
use herald::ports::{Clock, Kind, Source};

use crate::world::{World, world};

/// Works for so many seconds, one piece of work a second.
async fn slowly(w: &World, seconds: i64) {
    for _ in 0..seconds {
        app::step(&w.app).await.unwrap();
        w.pass(1);
    }
}

#[tokio::test]
async fn twenty_jobs_with_five_hundred_failures_are_fewer_than_sixty_writes() {
    world(async |w: &mut World| {
        let cases: String = (1..=25)
            .map(|line| {
                format!(
                    "<testcase name='t{line}'><failure message='m{line}'>\
                     tests/test_many.py:{line}: E</failure></testcase>"
                )
            })
            .collect();
        *w.report.lock().unwrap() = Some(format!("<testsuite name='s'>{cases}</testsuite>"));
        w.write("tests/test_many.py", &"line\n".repeat(25));
        let jobs: String = (1..=20)
            .map(|job| {
                format!(
                    "  j{job}:\n    execute: [exit 0]\n    reports: {{tests: ['reports/*.xml']}}\n"
                )
            })
            .collect();
        let (main, head) = w.change(&format!("jobs:\n{jobs}"));
        w.pull("opened", &head, &main).await;
        slowly(w, 600).await;
        w.drain_patiently().await;
        assert_eq!(w.ended(&head, "herald").0, "failure");
        let annotations: usize = w
            .state()
            .checks
            .iter()
            .map(|check| check.annotations.len())
            .sum();
        assert_eq!(annotations, 500);
        let writes = w.writes();
        println!("{writes} writes");
        assert!(writes < 60, "{writes}");
        w.next_comment();
    })
    .await;
}

#[tokio::test]
async fn more_than_a_thousand_failures_are_a_thousand_annotations_and_a_word() {
    world(async |w: &mut World| {
        let cases: String = (1..=1_300)
            .map(|line| {
                format!(
                    "<testcase name='t{line}'><failure message='m{line}'>\
                     tests/test_many.py:{line}: E</failure></testcase>"
                )
            })
            .collect();
        *w.report.lock().unwrap() = Some(format!("<testsuite name='s'>{cases}</testsuite>"));
        w.write("tests/test_many.py", &"line\n".repeat(1_300));
        let specification = "execute: [exit 0]\nreports: {tests: ['reports/*.xml']}\n";
        let (main, head) = w.change(specification);
        w.fault(
            "PATCH",
            "/check-runs/",
            5,
            1,
            herald::demo::What::LostAnswer,
        );
        w.pull("opened", &head, &main).await;
        w.drain_patiently().await;
        let check = w.check(&head, "herald");
        assert_eq!(check.annotations.len(), 1_000);
        assert!(check.batches.iter().all(|size| *size <= 50));
        assert!(
            check
                .summary
                .contains("300 failed tests could not be annotated"),
            "{}",
            check.summary
        );
        w.next_comment();
    })
    .await;
}

/// Commits that all have the same files, without git: most of the work of many builds.
struct Fixed {
    /// By whether a repository's builds are red.
    specification: fn(&str) -> &'static str,
}

#[async_trait]
impl Source for Fixed {
    async fn fetch(&self, _: &Remote, _: &str, _: &[String]) -> Result<()> {
        Ok(())
    }

    async fn checkout(&self, _: &str, _: &str, _: &Path) -> Result<()> {
        Ok(())
    }

    async fn tree(&self, _: &str, _: &str) -> Result<Vec<TreeEntry>> {
        Ok(vec![TreeEntry {
            path: ".herald.yml".to_owned(),
            blob: "a".repeat(40),
        }])
    }

    async fn file(&self, repository: &str, _: &str, path: &str) -> Result<Option<Vec<u8>>> {
        let text = (self.specification)(repository);
        Ok((path == ".herald.yml").then(|| text.as_bytes().to_vec()))
    }

    async fn merge_base(&self, _: &str, a: &str, _: &str) -> Result<Option<String>> {
        Ok(Some(a.to_owned()))
    }

    async fn diff(&self, _: &str, _: &str, _: &str) -> Result<String> {
        Ok(String::new())
    }

    async fn changed_paths(&self, _: &str, _: &str, _: &str) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn tip(&self, _: &Remote, _: &str) -> Result<Option<String>> {
        Ok(None)
    }

    async fn merge(&self, _: &str, _: &str, head: &str) -> Result<Merged> {
        Ok(Merged::Clean(head.to_owned()))
    }

    async fn ancestors(&self, _: &str, _: &str, _: usize) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn landed(&self, _: &str, _: &str, _: &str, _: usize) -> Result<Vec<LandedCommit>> {
        Ok(Vec::new())
    }

    async fn tree_of(&self, _: &str, _: &str) -> Result<String> {
        Ok("a".repeat(40))
    }

    async fn ahead(&self, _: &str, _: &str, _: &str) -> Result<u64> {
        Ok(0)
    }

    async fn commit_count(&self, _: &str, _: &str) -> Result<u64> {
        Ok(1)
    }

    async fn naming(&self, _: &[String]) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn remove(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

/// One in ten is red.
fn specification(repository: &str) -> &'static str {
    if repository.ends_with('7') {
        "jobs:\n  lint: {execute: [exit 0]}\n  test: {execute: [exit 1]}\n  docs: {execute: [exit 0]}\n"
    } else {
        "jobs:\n  lint: {execute: [exit 0]}\n  test: {execute: [exit 0]}\n  docs: {execute: [exit 0]}\n"
    }
}

/// Numbers that look like chance and are the same each time (a linear congruential generator with
/// the constants of Knuth's MMIX).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: i64) -> i64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap() % most
    }
}

const SECONDS: i64 = 2 * 60 * 60;
const REPOSITORIES: usize = 200;
const PULLS: usize = 60;

/// Two hours of an organisation with 200 repositories, 30 new pull requests an hour and on average as
/// many pushes to them, against a GitHub that keeps its limits.
#[tokio::test]
async fn two_busy_hours_meet_no_limit_and_first_words_come_at_once() {
    world(async |w: &mut World| {
        let mut dice = Dice(11);
        let (main, first) = w.change("execute: ['true']\n");
        let heads: Vec<String> = std::iter::once(first)
            .chain((0..3).map(|_| w.commit("change")))
            .collect();
        let projects: Vec<Project> = (0..REPOSITORIES)
            .map(|number| {
                let name = format!("project-{number}");
                w.github
                    .add_project("octo", &name, false, &w.project.git_dir)
            })
            .collect();
        w.state().limits = Some(RateLimits::default());
        let parts = Parts {
            source: Arc::new(Fixed { specification }),
            ..w.app.parts.clone()
        };
        w.app = Arc::new(App::new(parts, w.app.settings.clone()));

        // When what comes: each pull request in a repository of its own, with up to three heads.
        let mut events = Vec::new();
        for number in 0..PULLS {
            let mut at = dice.below(SECONDS - 1_000);
            events.push((at, number, 0));
            for head in 1..=usize::try_from(dice.below(3)).unwrap() {
                at += 20 + dice.below(400);
                events.push((at, number, head));
            }
        }
        events.sort_unstable();
        let mut events = events.into_iter().peekable();
        let (mut waiting, mut delays): (Vec<(i64, i64, String)>, Vec<i64>) = Default::default();
        let (mut compared, mut postponed) = (0, 0);
        for second in 0..SECONDS {
            while let Some((_, number, head)) = events.next_if(|(at, ..)| *at <= second) {
                let project = &projects[number * 3];
                let action = if head == 0 { "opened" } else { "synchronize" };
                let head = heads[head].as_str();
                let payload =
                    w.github
                        .pull_request(project, action, 1, ("change", head), ("main", &main));
                let guid = uuid::Uuid::new_v4().to_string();
                assert_eq!(w.deliver_as(&guid, "pull_request", &payload).await, 202);
                w.github.note_delivery(&guid, "pull_request", &payload, 202);
                waiting.push((w.clock.now_ms(), project.id, head.to_owned()));
            }
            if second % 300 == 0 {
                w.app.take_up_deliveries().await.unwrap();
            }
            if second % 18 == 9 {
                let known = w.app.parts.store.active_repositories().await.unwrap();
                if !known.is_empty() {
                    compared += 1;
                    let repository = &known[compared % known.len()];
                    if let Err(error) = w.app.take_up_pulls(repository).await {
                        // It comes last: where much was asked for, it has its turn later.
                        assert!(matches!(error.kind, Kind::Throttled { .. }), "{error}");
                        postponed += 1;
                    }
                }
            }
            w.drain().await;
            let now_ms = w.clock.now_ms();
            let state = w.github.state();
            waiting.retain(|(since_ms, repository, head)| {
                let shown = state
                    .checks
                    .iter()
                    .any(|check| check.repository == *repository && check.commit == *head);
                if shown {
                    delays.push(now_ms - since_ms);
                }
                !shown
            });
            drop(state);
            w.pass(1);
        }
        w.drain_patiently().await;
        assert!(waiting.is_empty(), "{waiting:?}");
        delays.sort_unstable();
        let p99 = delays[delays.len() * 99 / 100];
        let (limits, made, comments) = {
            let state = w.state();
            let made = (state.checks.len(), state.statuses.len());
            (state.limits.clone().unwrap(), made, state.comments.len())
        };
        let [requests, points, minute, hour] = limits.most();
        println!(
            "{} heads: p99 to the first check run {p99} ms; {} check runs, {} statuses, {comments} \
             comments; at most {requests} requests an hour, {points} points a minute, {minute} things \
             a minute, {hour} an hour; {} refused; {postponed} of {compared} comparisons postponed",
            delays.len(),
            made.0,
            made.1,
            limits.refused
        );
        assert_eq!(limits.refused, 0);
        assert!(p99 < 2_000, "{p99}");
        for _ in 0..comments {
            w.next_comment();
        }
    })
    .await;
}
