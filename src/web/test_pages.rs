//! The pages of tests over time: all tests of a repository, and the history of one.

use std::collections::HashSet;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::chart::{self, Trend};
use super::error::Error;
use super::pages::{page, visible};
use super::part;
use super::quarantine::{self, AwayRow};
use super::router::Web;
use super::session::{Viewer, Who};
use super::view::{self, BuildRow, Mark, Moment};
use crate::app::{Overview, PastOfTest, ShakyTest, SlowTest};
use crate::domain::history::{Flaky, TestName, TestRecord, TestRun, Verdict};
use crate::domain::quarantine::{DAYS, MOST_DAYS};
use crate::domain::{BuildView, Repository};
use crate::report::{Outcome, Report, Test};
use crate::text::{self, address};

/// Flaky tests that are listed.
const SHAKY: usize = 100;
/// Tests that fail now and are listed.
const FAILING: usize = 50;
/// Runs that are drawn.
const DRAWN: usize = 40;
/// Failures of a job that are listed.
const FAILURES: usize = 10;
/// Builds in a trend.
const TREND: i64 = 60;

/// Which job is to be looked at.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Choice {
    #[serde(default)]
    job: String,
}

type Asked = Result<Query<Choice>, QueryRejection>;

/// The job that somebody asks for, if any.
fn job(asked: Asked) -> Option<String> {
    let job = asked.map(|Query(choice)| choice.job).unwrap_or_default();
    let job = job.trim();
    (!job.is_empty()).then(|| job.to_owned())
}

/// A job that can be chosen.
pub(super) struct Choosable {
    pub(super) name: String,
    pub(super) chosen: bool,
}

impl Choosable {
    /// All of them, where there is a choice.
    pub(super) fn all(names: &[String], chosen: Option<&str>) -> Vec<Self> {
        let names = names.iter().filter(|_| names.len() > 1);
        names
            .map(|name| Self {
                chosen: chosen == Some(name.as_str()),
                name: name.clone(),
            })
            .collect()
    }
}

/// What a test is called, and where its history is.
pub(super) struct Named {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) class: String,
}

impl Named {
    pub(super) fn new(name: &TestName) -> Self {
        Self {
            id: name.id.clone(),
            name: name.shown().to_owned(),
            class: name.class.clone(),
        }
    }
}

/// A flaky test as a row.
struct ShakyRow {
    test: Named,
    rate: String,
    counts: String,
    since: Moment,
    jobs: String,
}

impl ShakyRow {
    fn new(test: &ShakyTest, now_ms: i64) -> Self {
        Self {
            test: Named::new(&test.name),
            rate: rate(&test.flaky),
            counts: format!("{} of {}", test.flaky.failed, test.flaky.runs),
            since: Moment::new(test.flaky.since_ms, now_ms),
            jobs: test.jobs.join(", "),
        }
    }
}

/// As in `12%`; never 0 or 100 where that is not so.
fn rate(flaky: &Flaky) -> String {
    let (failed, runs) = (u64::from(flaky.failed), u64::from(flaky.runs));
    match failed * 100 / runs.max(1) {
        0 if failed > 0 => "< 1%".to_owned(),
        percent => format!("{percent}%"),
    }
}

/// A slow test as a row.
struct SlowRow {
    test: Named,
    took: String,
    job: String,
}

impl SlowRow {
    fn new(test: &SlowTest) -> Self {
        Self {
            test: Named::new(&test.name),
            took: seconds(test.seconds),
            job: test.job.clone(),
        }
    }
}

/// As in `0.35 s` and `1m 4s`: times of the past are known to three percent.
pub(super) fn seconds(seconds: f64) -> String {
    match seconds {
        ..0.01 => format!("{:.0} ms", seconds * 1e3),
        0.01..1.0 => format!("{seconds:.2} s"),
        1.0..59.95 => format!("{seconds:.1} s"),
        _ => text::duration(std::time::Duration::from_secs_f64(seconds.min(1e9))),
    }
}

/// A test that fails now.
struct FailingRow {
    test: Named,
    verdict: String,
}

#[derive(Template)]
#[template(path = "pages/repository_tests.html")]
struct TestsPage {
    viewer: Viewer,
    repository: Repository,
    jobs: Vec<Choosable>,
    /// The job that is looked at, where it is one alone.
    job: Option<String>,
    /// The end of addresses where that is so too.
    query: String,
    trends: Vec<Trend>,
    /// The last build of the default branch, and how its tests did.
    last: Option<(BuildRow, String)>,
    /// Whether a test ran in it.
    ran: bool,
    failing: Vec<FailingRow>,
    failing_left: usize,
    shaky: Vec<ShakyRow>,
    shaky_left: usize,
    slow: Vec<SlowRow>,
    /// Tests that people put away.
    away: Vec<AwayRow>,
}

/// `/repos/{owner}/{repo}/tests`.
pub(super) async fn all(
    State(web): State<Web>,
    who: Who,
    Path((owner, name)): Path<(String, String)>,
    asked: Asked,
) -> Result<Response, Error> {
    let repository = visible(&web, &who, &owner, &name).await?;
    let asked = job(asked);
    let overview = web
        .app
        .overview_of_tests(&repository, asked.as_deref(), SHAKY)
        .await?;
    let Overview {
        jobs,
        job,
        shaky,
        shaky_left,
        slow,
        sizes,
    } = overview.ok_or(Error::NotFound)?;
    let store = &web.app.parts.store;
    let branch = &repository.default_branch;
    let measures = store.measures(&repository.id, branch, TREND).await?;
    let trend = if job.is_some() {
        let of_branch: HashSet<i64> = measures.iter().map(|measure| measure.number).collect();
        let sizes = sizes.iter().filter(|size| of_branch.contains(&size.build));
        chart::sizes(sizes.copied())
    } else {
        chart::counts(&measures)
    };
    let now_ms = web.app.now_ms();
    // One that had no tests, as by another specification, says nothing of them.
    let with_tests = measures
        .iter()
        .find(|one| one.passed + one.failed + one.skipped > 0);
    let view = match with_tests.or(measures.first()) {
        Some(last) => store.build(&repository.id, last.number).await?,
        None => None,
    };
    let (mut last, mut failing, mut failing_left) = (None, Vec::new(), 0);
    let mut ran = false;
    if let Some(view) = &view {
        let report = match &job {
            Some(job) => part::report(view, job).unwrap_or_default(),
            None => view.report(),
        };
        ran = !report.tests.is_empty();
        let verdicts = view.verdicts();
        let mut red: Vec<&Test> = report
            .tests
            .iter()
            .filter(|test| test.outcome.is_red())
            .collect();
        verdicts.sort(&mut red);
        failing_left = red.len().saturating_sub(FAILING);
        red.truncate(FAILING);
        let rows = red.into_iter().map(|test| FailingRow {
            test: Named::new(&TestName::of(test)),
            verdict: verdicts
                .of(&test.id)
                .map(Verdict::words)
                .unwrap_or_default(),
        });
        failing = rows.collect();
        last = Some((
            BuildRow::new(&view.build, Some(view), now_ms),
            said(view, &report),
        ));
    }
    page(&TestsPage {
        viewer: who.viewer(&web),
        jobs: Choosable::all(&jobs, job.as_deref()),
        query: match &job {
            Some(job) => format!("?job={}", address::path(job)),
            None => String::new(),
        },
        job,
        trends: trend.into_iter().collect(),
        last,
        ran,
        failing,
        failing_left,
        shaky: shaky
            .iter()
            .map(|test| ShakyRow::new(test, now_ms))
            .collect(),
        shaky_left,
        slow: slow.iter().map(SlowRow::new).collect(),
        away: quarantine::rows(&web, &repository).await?,
        repository,
    })
}

fn said(view: &BuildView, report: &Report) -> String {
    if report.tests.is_empty() {
        return "No test ran".to_owned();
    }
    view.counts(report)
}

/// A run in the strip of a job.
struct Drawn {
    build: i64,
    class: &'static str,
    /// As in `#12: failed, 1.2 s, 3 days ago`.
    title: String,
}

/// A failure in the list of a job.
struct FailureRow {
    build: i64,
    attempt: u32,
    mark: Mark,
    short: String,
    at: Moment,
    took: String,
}

/// What the test did in a job.
struct JobPart {
    name: String,
    /// As in `failed in 3 of 60 runs`.
    said: String,
    flaky: Option<Flaky>,
    since: Option<Moment>,
    usual: String,
    /// The oldest first.
    drawn: Vec<Drawn>,
    left: usize,
    trends: Vec<Trend>,
    failures: Vec<FailureRow>,
}

fn short(commit: &str) -> String {
    commit.chars().take(7).collect()
}

impl JobPart {
    fn new(record: &TestRecord, now_ms: i64) -> Self {
        let (failed, runs) = record.counts();
        let took = |one: &TestRun| one.run.seconds.map(seconds).unwrap_or_default();
        let draw = |one: &TestRun| {
            let mark = view::outcome(one.run.outcome, one.run.flaky);
            let at = Moment::new(one.at_ms, now_ms);
            let parts = [mark.word.to_owned(), took(one), at.relative];
            let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            Drawn {
                build: one.build,
                class: mark.class,
                title: format!("#{}: {}", one.build, parts.join(", ")),
            }
        };
        let newest = record.runs.iter().take(DRAWN);
        let mut drawn: Vec<Drawn> = newest.map(draw).collect();
        drawn.reverse();
        let red = record.runs.iter().filter(|one| one.run.failed());
        let failures = red.take(FAILURES).map(|one| FailureRow {
            build: one.build,
            attempt: one.attempt,
            mark: view::outcome(one.run.outcome, one.run.flaky),
            short: short(&one.commit),
            at: Moment::new(one.at_ms, now_ms),
            took: took(one),
        });
        let flaky = record.flaky();
        Self {
            name: record.job.clone(),
            said: said_of(failed, runs),
            since: flaky.map(|flaky| Moment::new(flaky.since_ms, now_ms)),
            flaky,
            usual: record.usual().map(seconds).unwrap_or_default(),
            left: record.runs.len().saturating_sub(drawn.len()),
            drawn,
            trends: chart::times(&record.runs).into_iter().collect(),
            failures: failures.collect(),
        }
    }
}

/// How often it failed.
fn said_of(failed: usize, runs: usize) -> String {
    let all = text::plural(runs as u64, "run");
    match failed {
        0 if runs == 0 => "skipped each time".to_owned(),
        0 => format!("no failure in {all}"),
        failed => format!("failed in {failed} of {all}"),
    }
}

/// With a capital at its beginning, and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    let text: String = first.into_iter().chain(letters).collect();
    text + "."
}

#[derive(Template)]
#[template(path = "pages/test.html")]
struct TestPage {
    viewer: Viewer,
    repository: Repository,
    test: Named,
    suite: String,
    mark: Mark,
    /// How often it failed, in all jobs together.
    said: String,
    /// By which its failures are found on the page of a build.
    q: String,
    jobs: Vec<Choosable>,
    parts: Vec<JobPart>,
    is_flaky: bool,
    /// Until when it is put away, and why.
    away: Option<AwayRow>,
    /// Whether there is a button for that.
    may: bool,
    days: u16,
    most_days: u16,
}

/// `/repos/{owner}/{repo}/tests/{id}`.
pub(super) async fn one(
    State(web): State<Web>,
    who: Who,
    Path((owner, name, id)): Path<(String, String, String)>,
    asked: Asked,
) -> Result<Response, Error> {
    let repository = visible(&web, &who, &owner, &name).await?;
    let asked = job(asked);
    let past = web
        .app
        .past_of_test(&repository, &id, asked.as_deref())
        .await?;
    let PastOfTest {
        test,
        jobs,
        records,
    } = past.ok_or(Error::NotFound)?;
    let now_ms = web.app.now_ms();
    let parts = records.iter().map(|record| JobPart::new(record, now_ms));
    let parts: Vec<JobPart> = parts.collect();
    let counts = records.iter().map(TestRecord::counts);
    let (failed, runs) = counts.fold((0, 0), |(failed, runs), (more, all)| {
        (failed + more, runs + all)
    });
    let chosen = asked.is_some().then(|| records.first()).flatten();
    let away = quarantine::rows(&web, &repository).await?;
    page(&TestPage {
        away: away.into_iter().find(|one| one.id == id),
        may: quarantine::may(&web, &who, &repository).await,
        days: DAYS,
        most_days: MOST_DAYS,
        viewer: who.viewer(&web),
        suite: test.name.suite.clone(),
        test: Named::new(&test.name),
        mark: mark(&records),
        said: sentence(&said_of(failed, runs)),
        q: address::path(&test.name.name),
        jobs: Choosable::all(&jobs, chosen.map(|record| record.job.as_str())),
        is_flaky: parts.iter().any(|part| part.flaky.is_some()),
        parts,
        repository,
    })
}

/// How the test is: flaky in a job, or as it was in the newest run.
fn mark(records: &[TestRecord]) -> Mark {
    if records.iter().any(|record| record.flaky().is_some()) {
        return view::outcome(Outcome::Passed, true);
    }
    let newest = records.iter().filter_map(|record| record.runs.first());
    let newest = newest.max_by_key(|one| (one.at_ms, one.run.outcome.is_red()));
    newest.map_or(view::outcome(Outcome::Skipped, false), |one| {
        view::outcome(one.run.outcome, one.run.flaky)
    })
}

#[cfg(test)]
mod tests {
    use super::{rate, said_of, seconds, sentence};
    use crate::domain::history::Flaky;

    #[test]
    fn times_are_said_no_more_exactly_than_they_are_known() {
        let said = [0.004, 0.348, 1.26, 59.9, 59.96, 64.0].map(seconds);
        assert_eq!(said, ["4 ms", "0.35 s", "1.3 s", "59.9 s", "1m", "1m 4s"]);
    }

    #[test]
    fn a_rate_is_never_nothing_where_something_failed() {
        let rate = |failed, runs| {
            let since_ms = 0;
            rate(&Flaky {
                failed,
                runs,
                since_ms,
            })
        };
        assert_eq!(
            [rate(1, 200), rate(7, 100), rate(0, 5)],
            ["< 1%", "7%", "0%"]
        );
    }

    #[test]
    fn what_never_ran_did_not_pass() {
        assert_eq!(said_of(0, 0), "skipped each time");
        assert_eq!(said_of(0, 1), "no failure in 1 run");
        assert_eq!(said_of(3, 60), "failed in 3 of 60 runs");
        assert_eq!(sentence(&said_of(3, 60)), "Failed in 3 of 60 runs.");
    }
}
