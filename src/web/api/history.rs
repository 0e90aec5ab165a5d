//! What tests did over time.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Json;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::error::Error;
use super::super::pages::visible;
use super::super::router::Web;
use super::super::session::Who;
use super::error::Problem;
use super::model::time;
use super::repositories::{Answer, limit};
use crate::app::ShakyTest;
use crate::domain::Repository;
use crate::domain::history::{Flaky, TestName, TestRecord, TestRun};
use crate::report::Outcome;

/// Of which job.
#[derive(Deserialize, IntoParams)]
pub(super) struct OfJob {
    /// The key of a job, or its name with the values of a matrix; without it all jobs.
    job: Option<String>,
}

/// Of which job, and how many.
#[derive(Deserialize, IntoParams)]
pub(super) struct OfJobs {
    /// The key of a job, or its name with the values of a matrix; without it all jobs.
    job: Option<String>,
    /// At most 100, which it is without it.
    limit: Option<usize>,
}

/// A test, by what it is called.
#[derive(Debug, Serialize, ToSchema)]
struct NameAnswer {
    /// 32 hex digits, stable over builds.
    id: String,
    /// The suites around it in one text, at most 300 characters, as the others.
    suite: String,
    /// Empty where there is none.
    class: String,
    name: String,
    /// The page of its history.
    url: String,
}

impl NameAnswer {
    fn new(name: TestName, repository: &Repository, root: &str) -> Self {
        let (owner, repo) = (&repository.owner, &repository.name);
        Self {
            url: format!("{root}/repos/{owner}/{repo}/tests/{}", name.id),
            id: name.id,
            suite: name.suite,
            class: name.class,
            name: name.name,
        }
    }
}

/// That a test has failed and passed on one and the same commit.
#[derive(Debug, Serialize, ToSchema)]
struct FlakyAnswer {
    /// Runs that failed.
    failed: u32,
    /// Runs that are looked back at.
    runs: u32,
    /// When that was first seen.
    since: Option<DateTime<Utc>>,
}

impl From<Flaky> for FlakyAnswer {
    fn from(flaky: Flaky) -> Self {
        Self {
            failed: flaky.failed,
            runs: flaky.runs,
            since: time(flaky.since_ms),
        }
    }
}

/// The history of a test.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TestHistoryAnswer {
    #[serde(flatten)]
    test: NameAnswer,
    /// In each job that it ran in.
    jobs: Vec<RecordAnswer>,
}

/// What a test did in one job.
#[derive(Debug, Serialize, ToSchema)]
struct RecordAnswer {
    /// The job's key, with the values of a matrix its name.
    job: String,
    /// Runs that failed.
    failed: usize,
    /// Runs that are looked back at, without those in which it was skipped.
    runs: usize,
    /// `null` where it is not flaky.
    flaky: Option<FlakyAnswer>,
    /// The median of its last passes; `null` where there are few.
    usual_seconds: Option<f64>,
    /// The newest first.
    history: Vec<RunAnswer>,
}

/// A run of a test.
#[derive(Debug, Serialize, ToSchema)]
struct RunAnswer {
    build: i64,
    attempt: u32,
    /// The commit that it was reported on.
    commit: String,
    /// The commit whose tree was tested.
    tested: String,
    at: Option<DateTime<Utc>>,
    #[schema(value_type = String, example = "passed")]
    outcome: Outcome,
    /// Whether it passed after a run that did not.
    flaky: bool,
    /// Known to three percent.
    duration_seconds: Option<f64>,
    /// The page of the build.
    url: String,
}

impl RunAnswer {
    fn new(one: &TestRun, repository: &Repository, root: &str) -> Self {
        let (owner, repo) = (&repository.owner, &repository.name);
        Self {
            build: one.build,
            attempt: one.attempt,
            commit: one.commit.clone(),
            tested: one.tested.clone(),
            at: time(one.at_ms),
            outcome: one.run.outcome,
            flaky: one.run.flaky,
            duration_seconds: one.run.seconds,
            url: format!("{root}/repos/{owner}/{repo}/builds/{}", one.build),
        }
    }
}

impl RecordAnswer {
    fn new(record: &TestRecord, repository: &Repository, root: &str) -> Self {
        let (failed, runs) = record.counts();
        let history = record.runs.iter();
        Self {
            job: record.job.clone(),
            failed,
            runs,
            flaky: record.flaky().map(FlakyAnswer::from),
            usual_seconds: record.usual(),
            history: history
                .map(|one| RunAnswer::new(one, repository, root))
                .collect(),
        }
    }
}

/// The history of a test: how it did in the last attempts of each job.
#[utoipa::path(get, path = "/repos/{owner}/{repo}/tests/{id}", tag = "tests",
    params(("owner" = String, Path), ("repo" = String, Path), ("id" = String, Path), OfJob),
    responses((status = 200, body = TestHistoryAnswer), (status = 401, body = Problem),
        (status = 404, body = Problem)))]
pub(super) async fn test(
    State(web): State<Web>,
    who: Who,
    Path((owner, name, id)): Path<(String, String, String)>,
    asked: Result<Query<OfJob>, QueryRejection>,
) -> Answer<TestHistoryAnswer> {
    let Query(asked) = asked?;
    let repository = visible(&web, &who, &owner, &name).await?;
    let job = asked.job.as_deref().filter(|job| !job.is_empty());
    let past = web.app.past_of_test(&repository, &id, job).await?;
    let past = past.ok_or(Error::NotFound)?;
    let root = &web.app.settings.links.public_url;
    let records = past.records.iter();
    Ok(Json(TestHistoryAnswer {
        jobs: records
            .map(|record| RecordAnswer::new(record, &repository, root))
            .collect(),
        test: NameAnswer::new(past.test.name, &repository, root),
    }))
}

/// The flaky tests of a repository.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FlakyTestsAnswer {
    /// Those that fail most often first.
    tests: Vec<FlakyTestAnswer>,
    /// How many there are beside these.
    more: usize,
}

/// A flaky test.
#[derive(Debug, Serialize, ToSchema)]
struct FlakyTestAnswer {
    #[serde(flatten)]
    test: NameAnswer,
    #[serde(flatten)]
    flaky: FlakyAnswer,
    /// The jobs in which it is flaky.
    jobs: Vec<String>,
}

impl FlakyTestAnswer {
    fn new(test: ShakyTest, repository: &Repository, root: &str) -> Self {
        Self {
            test: NameAnswer::new(test.name, repository, root),
            flaky: test.flaky.into(),
            jobs: test.jobs,
        }
    }
}

/// Tests that have failed and passed on one and the same commit, and not passed 30 times in a row since.
#[utoipa::path(get, path = "/repos/{owner}/{repo}/flaky", tag = "tests",
    params(("owner" = String, Path), ("repo" = String, Path), OfJobs),
    responses((status = 200, body = FlakyTestsAnswer), (status = 401, body = Problem),
        (status = 404, body = Problem)))]
pub(super) async fn flaky(
    State(web): State<Web>,
    who: Who,
    Path((owner, name)): Path<(String, String)>,
    asked: Result<Query<OfJobs>, QueryRejection>,
) -> Answer<FlakyTestsAnswer> {
    let Query(asked) = asked?;
    let repository = visible(&web, &who, &owner, &name).await?;
    let job = asked.job.as_deref().filter(|job| !job.is_empty());
    let most = limit(asked.limit);
    let overview = web.app.overview_of_tests(&repository, job, most).await?;
    let overview = overview.ok_or(Error::NotFound)?;
    let root = &web.app.settings.links.public_url;
    let tests = overview.shaky.into_iter();
    Ok(Json(FlakyTestsAnswer {
        tests: tests
            .map(|test| FlakyTestAnswer::new(test, &repository, root))
            .collect(),
        more: overview.shaky_left,
    }))
}
