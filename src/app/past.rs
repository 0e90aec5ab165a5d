//! What is shown of tests over time: of one, of all, and of those that became slower.

use std::collections::{HashMap, HashSet};

use super::state::App;
use crate::domain::history::{
    Flaky, KnownTest, Packed, Shaky, Size, Slow, Survey, TestName, TestRecord, slower, survey,
};
use crate::domain::{BuildView, Job, Repository, RepositoryId};
use crate::ports::TestHistory;
use crate::ports::error::Result;
use crate::ports::history::Back;
use crate::report::{Outcome, Report};

/// Attempts of each job that are looked back at.
const BACK: i64 = 200;
/// Attempts before a build by which it is told what a test usually takes.
const BEFORE: i64 = 60;
/// Jobs that are looked at.
const JOBS: usize = 100;
/// Bytes of runs that are looked at of all jobs together, and at most of one: four million runs, and one.
const BYTES: usize = 12_000_000;
const BYTES_OF_JOB: usize = 3_000_000;
/// Slow tests that are named.
const SLOWEST: usize = 20;

/// What one test did, in each job that has it.
#[derive(Debug)]
pub struct PastOfTest {
    /// The test.
    pub test: KnownTest,
    /// All jobs that it ran in.
    pub jobs: Vec<String>,
    /// Of each of them that was asked for; at least one of them has a run.
    pub records: Vec<TestRecord>,
}

/// A flaky test.
#[derive(Debug)]
pub struct ShakyTest {
    /// What it is called.
    pub name: TestName,
    /// The jobs in which it is flaky.
    pub jobs: Vec<String>,
    /// How often it fails in them together.
    pub flaky: Flaky,
}

/// A test that takes long.
#[derive(Debug)]
pub struct SlowTest {
    /// What it is called.
    pub name: TestName,
    /// The job in which it takes longest.
    pub job: String,
    /// What it usually takes there, in seconds.
    pub seconds: f64,
}

/// What is to be said of all tests of a repository.
#[derive(Debug)]
pub struct Overview {
    /// All jobs that have tests.
    pub jobs: Vec<String>,
    /// The one that was asked for, by its name among checks.
    pub job: Option<String>,
    /// The flaky tests, those that fail most often first.
    pub shaky: Vec<ShakyTest>,
    /// How many more there are.
    pub shaky_left: usize,
    /// The slowest tests, the slowest first.
    pub slow: Vec<SlowTest>,
    /// How many tests there were in the attempts of the one job, the newest first.
    pub sizes: Vec<Size>,
}

/// A test that took longer than it usually does.
#[derive(Debug, Clone)]
pub struct SlowerTest {
    /// Its id.
    pub id: String,
    /// The job in which that is so.
    pub job: String,
    /// What it took, in seconds.
    pub seconds: f64,
    /// What it usually takes.
    pub usual: f64,
}

/// Of each test the flaky runs of all jobs, and the slowest job.
#[derive(Default)]
struct Merged {
    shaky: HashMap<u32, (Flaky, Vec<String>)>,
    slow: HashMap<u32, (Slow, String)>,
}

impl Merged {
    fn take(&mut self, job: &str, found: &Survey) {
        for Shaky { test, flaky } in &found.shaky {
            let known = self.shaky.entry(*test);
            let (all, jobs) = known.or_insert_with(|| {
                let none = Flaky {
                    failed: 0,
                    runs: 0,
                    since_ms: flaky.since_ms,
                };
                (none, Vec::new())
            });
            all.failed += flaky.failed;
            all.runs += flaky.runs;
            all.since_ms = all.since_ms.min(flaky.since_ms);
            jobs.push(job.to_owned());
        }
        for slow in &found.slow {
            let known = self.slow.get(&slow.test);
            if known.is_none_or(|(known, _)| known.seconds < slow.seconds) {
                self.slow.insert(slow.test, (*slow, job.to_owned()));
            }
        }
    }

    /// The flaky tests, those that fail most often first.
    fn shaky(self) -> Vec<(u32, Flaky, Vec<String>)> {
        let all = self.shaky.into_iter();
        let mut all: Vec<_> = all
            .map(|(test, (flaky, jobs))| (test, flaky, jobs))
            .collect();
        all.sort_by(|(one, a, _), (other, b, _)| {
            let by_rate = (u64::from(b.failed) * u64::from(a.runs))
                .cmp(&(u64::from(a.failed) * u64::from(b.runs)));
            by_rate.then(b.runs.cmp(&a.runs)).then(one.cmp(other))
        });
        all
    }

    /// The slowest tests, the slowest first.
    fn slowest(&self) -> Vec<(Slow, String)> {
        let mut all: Vec<(Slow, String)> = self.slow.values().cloned().collect();
        all.sort_by(|(one, _), (other, _)| {
            let by_time = other.seconds.total_cmp(&one.seconds);
            by_time.then(one.test.cmp(&other.test))
        });
        all.truncate(SLOWEST);
        all
    }
}

/// What a test did, in all jobs or in the one of this name; `None` where nothing is known of it there.
///
/// # Errors
/// When the store fails.
pub async fn past_of_test(
    store: &dyn TestHistory,
    repository: &RepositoryId,
    id: &str,
    wanted: Option<&str>,
) -> Result<Option<PastOfTest>> {
    let Some(test) = store.known_tests(repository, &[id]).await?.pop() else {
        return Ok(None);
    };
    let all = store.jobs_with_tests(repository, JOBS).await?;
    let (mut jobs, mut records) = (Vec::new(), Vec::new());
    let share = BYTES / all.len().max(1);
    for job in all {
        let attempts = look_at(store, repository, &job, share).await?;
        let record = TestRecord::of(job, test.number, attempts);
        if record.runs.is_empty() {
            continue;
        }
        jobs.push(record.job.clone());
        if wanted.is_none_or(|wanted| wanted == record.job) {
            records.push(record);
        }
    }
    Ok((!records.is_empty()).then_some(PastOfTest {
        test,
        jobs,
        records,
    }))
}

/// What is to be said of the tests of all jobs, or of the one of this name; of the flaky ones at most so many.
///
/// # Errors
/// When the store fails.
pub async fn overview_of_tests(
    store: &dyn TestHistory,
    repository: &RepositoryId,
    job: Option<&str>,
    most: usize,
) -> Result<Overview> {
    let jobs = store.jobs_with_tests(repository, JOBS).await?;
    let job = job.map(str::to_owned);
    let chosen = job.as_ref().map_or(jobs.as_slice(), std::slice::from_ref);
    let share = BYTES / chosen.len().max(1);
    let (mut merged, mut sizes) = (Merged::default(), Vec::new());
    for job in chosen {
        let attempts = look_at(store, repository, job, share).await?;
        let found = survey(&attempts, SLOWEST);
        merged.take(job, &found);
        sizes = found.sizes;
    }
    if chosen.len() != 1 {
        sizes.clear();
    }
    let slow = merged.slowest();
    let mut shaky = merged.shaky();
    let shaky_left = shaky.len().saturating_sub(most);
    shaky.truncate(most);
    let numbers = shaky.iter().map(|(test, ..)| *test);
    let numbers: Vec<u32> = numbers
        .chain(slow.iter().map(|(slow, _)| slow.test))
        .collect();
    let known = store.tests_of_numbers(repository, &numbers).await?;
    let names: HashMap<u32, TestName> = known
        .into_iter()
        .map(|test| (test.number, test.name))
        .collect();
    let shaky = shaky.into_iter().filter_map(|(test, flaky, jobs)| {
        let name = names.get(&test)?.clone();
        Some(ShakyTest { name, jobs, flaky })
    });
    let slow = slow.into_iter().filter_map(|(slow, job)| {
        Some(SlowTest {
            name: names.get(&slow.test)?.clone(),
            job,
            seconds: slow.seconds,
        })
    });
    Ok(Overview {
        shaky: shaky.collect(),
        shaky_left,
        slow: slow.collect(),
        sizes,
        job,
        jobs,
    })
}

/// Of the tests of a report that passed, those that took significantly longer than in these attempts before it. Those
/// that take most more time come first.
///
/// # Errors
/// When the store fails.
pub async fn slower_tests(
    store: &dyn TestHistory,
    repository: &RepositoryId,
    back: Back<'_>,
    report: &Report,
) -> Result<Vec<SlowerTest>> {
    let clean = report
        .tests
        .iter()
        .filter(|test| test.outcome == Outcome::Passed && !test.flaky);
    let times: HashMap<&str, f64> = clean
        .filter_map(|test| Some((test.id.as_str(), test.duration_seconds?)))
        .filter(|(_, seconds)| slower::may_be(*seconds))
        .collect();
    if times.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&str> = times.keys().copied().collect();
    let known = store.known_tests(repository, &ids).await?;
    let now: Vec<(u32, f64)> = known
        .iter()
        .filter_map(|test| Some((test.number, *times.get(test.name.id.as_str())?)))
        .collect();
    let past = store.packed_attempts(repository, back).await?;
    let ids: HashMap<u32, &str> = known
        .iter()
        .map(|test| (test.number, test.name.id.as_str()))
        .collect();
    let found = slower::slower(&now, &past);
    let named = found.into_iter().filter_map(|slower| {
        Some(SlowerTest {
            id: (*ids.get(&slower.test)?).to_owned(),
            job: back.job.to_owned(),
            seconds: slower.seconds,
            usual: slower.usual,
        })
    });
    Ok(named.collect())
}

async fn look_at(
    store: &dyn TestHistory,
    repository: &RepositoryId,
    job: &str,
    bytes: usize,
) -> Result<Vec<Packed>> {
    let back = Back {
        job,
        before: i64::MAX,
        attempts: BACK,
        bytes: bytes.min(BYTES_OF_JOB),
    };
    store.packed_attempts(repository, back).await
}

impl App {
    /// What a test did, in all jobs or in one; `None` where nothing is known of it there.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn past_of_test(
        &self,
        repository: &Repository,
        id: &str,
        job: Option<&str>,
    ) -> Result<Option<PastOfTest>> {
        let job = match job {
            Some(job) => match self.job_in_history(repository, job).await? {
                Some(job) => Some(job),
                None => return Ok(None),
            },
            None => None,
        };
        let store = self.parts.store.as_ref();
        past_of_test(store, &repository.id, id, job.as_deref()).await
    }

    /// What is to be said of the tests of all jobs, or of one; of the flaky ones at most so many. `None` where the job
    /// has none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn overview_of_tests(
        &self,
        repository: &Repository,
        job: Option<&str>,
        most: usize,
    ) -> Result<Option<Overview>> {
        let job = match job {
            Some(job) => match self.job_in_history(repository, job).await? {
                Some(job) => Some(job),
                None => return Ok(None),
            },
            None => None,
        };
        let store = self.parts.store.as_ref();
        let overview = overview_of_tests(store, &repository.id, job.as_deref(), most).await?;
        Ok(Some(overview))
    }

    /// Of the tests of these jobs of a build that passed, those that took significantly longer than before, each once.
    /// Those that take most more time come first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn slower_tests(&self, view: &BuildView, jobs: &[&Job]) -> Result<Vec<SlowerTest>> {
        let store = self.parts.store.as_ref();
        let (repository, build) = (&view.repository.id, view.build.number);
        let mut all: Vec<SlowerTest> = Vec::new();
        let with_tests = jobs.iter().filter_map(|job| {
            let report = &job.result.as_ref()?.report;
            (!report.tests.is_empty()).then_some((job, report))
        });
        let with_tests: Vec<_> = with_tests.take(JOBS).collect();
        for (job, report) in &with_tests {
            let back = Back {
                job: job.check_name(),
                before: build,
                attempts: BEFORE,
                bytes: BYTES_OF_JOB.min(BYTES / with_tests.len()),
            };
            all.extend(slower_tests(store, repository, back, report).await?);
        }
        let more = |one: &SlowerTest| one.seconds - one.usual;
        all.sort_by(|one, other| more(other).total_cmp(&more(one)));
        let mut seen = HashSet::new();
        all.retain(|one| seen.insert(one.id.clone()));
        Ok(all)
    }

    /// The name in history of a job that is asked for by that, or by its key.
    async fn job_in_history(
        &self,
        repository: &Repository,
        wanted: &str,
    ) -> Result<Option<String>> {
        let store = &self.parts.store;
        let jobs = store.jobs_with_tests(&repository.id, JOBS).await?;
        if jobs.iter().any(|job| job == wanted) {
            return Ok(Some(wanted.to_owned()));
        }
        let branch = &repository.default_branch;
        let Some(number) = store.last_of_branch(&repository.id, branch).await? else {
            return Ok(None);
        };
        let view = store.build(&repository.id, number).await?;
        let by_key = view.iter().flat_map(|view| &view.jobs);
        let found = by_key.filter(|job| job.key == wanted).map(Job::check_name);
        let mut found = found.filter(|name| jobs.iter().any(|job| job == name));
        Ok(found.next().map(str::to_owned))
    }
}
