//! Builds, their tests and coverage.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Json;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::error::Error;
use super::super::pages::{visible, visible_build};
use super::super::part;
use super::super::router::Web;
use super::super::session::Who;
use super::error::Problem;
use super::model::{
    BuildAnswer, BuildDetails, BuildsAnswer, CoverageAnswer, TestAnswer, TestsAnswer,
};
use super::repositories::{Answer, limit};
use crate::report::Outcome;

/// Which page of builds.
#[derive(Deserialize, IntoParams)]
pub(super) struct Page {
    /// `next` of the page before.
    before: Option<i64>,
    /// At most 100, which it is without it.
    limit: Option<usize>,
}

/// Which page of tests.
#[derive(Deserialize, IntoParams)]
pub(super) struct TestsPage {
    /// `next` of the page before.
    after: Option<String>,
    /// At most 100, which it is without it.
    limit: Option<usize>,
    /// Only these: `passed`, `failed`, `error`, `skipped`.
    #[param(value_type = Option<String>)]
    outcome: Option<Outcome>,
    /// Those of the job of this key; without it those of all jobs.
    job: Option<String>,
}

/// Which coverage.
#[derive(Deserialize, IntoParams)]
pub(super) struct CoverageOf {
    /// That of the job of this key; without it that of all jobs together.
    job: Option<String>,
}

/// Builds of a repository.
#[utoipa::path(get, path = "/repos/{owner}/{repo}/builds", tag = "builds",
    params(("owner" = String, Path), ("repo" = String, Path), Page),
    responses((status = 200, body = BuildsAnswer), (status = 401, body = Problem),
        (status = 404, body = Problem)))]
pub(super) async fn list(
    State(web): State<Web>,
    who: Who,
    Path((owner, name)): Path<(String, String)>,
    asked: Result<Query<Page>, QueryRejection>,
) -> Answer<BuildsAnswer> {
    let Query(asked) = asked?;
    let repository = visible(&web, &who, &owner, &name).await?;
    let limit = limit(asked.limit);
    let count = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let before = asked.before.unwrap_or(i64::MAX);
    let store = &web.app.parts.store;
    let mut builds = store.builds(&repository.id, before, count).await?;
    let more = builds.len() > limit;
    builds.truncate(limit);
    let root = &web.app.settings.links.public_url;
    Ok(Json(BuildsAnswer {
        next: builds.last().map(|build| build.number).filter(|_| more),
        builds: builds
            .iter()
            .map(|build| BuildAnswer::new(build, &repository, root))
            .collect(),
    }))
}

/// A build with its jobs.
#[utoipa::path(get, path = "/repos/{owner}/{repo}/builds/{number}", tag = "builds",
    params(("owner" = String, Path), ("repo" = String, Path), ("number" = i64, Path)),
    responses((status = 200, body = BuildDetails), (status = 401, body = Problem),
        (status = 404, body = Problem)))]
pub(super) async fn one(
    State(web): State<Web>,
    who: Who,
    Path((owner, name, number)): Path<(String, String, String)>,
) -> Answer<BuildDetails> {
    let view = visible_build(&web, &who, &owner, &name, &number).await?;
    let root = &web.app.settings.links.public_url;
    Ok(Json(BuildDetails::new(&view, root)))
}

/// The tests of a build, over all its jobs.
#[utoipa::path(get, path = "/repos/{owner}/{repo}/builds/{number}/tests", tag = "builds",
    params(("owner" = String, Path), ("repo" = String, Path), ("number" = i64, Path), TestsPage),
    responses((status = 200, body = TestsAnswer), (status = 401, body = Problem),
        (status = 404, body = Problem)))]
pub(super) async fn tests(
    State(web): State<Web>,
    who: Who,
    Path((owner, name, number)): Path<(String, String, String)>,
    asked: Result<Query<TestsPage>, QueryRejection>,
) -> Answer<TestsAnswer> {
    let Query(asked) = asked?;
    let view = visible_build(&web, &who, &owner, &name, &number).await?;
    let report = part::asked(&view, asked.job.as_deref().unwrap_or_default())?;
    let verdicts = view.verdicts();
    let totals = report.totals();
    let limit = limit(asked.limit);
    let after = asked.after.unwrap_or_default();
    let mut found = report.tests;
    found.retain(|test| {
        test.id > after && asked.outcome.is_none_or(|outcome| test.outcome == outcome)
    });
    found.sort_by(|one, other| one.id.cmp(&other.id));
    let more = found.len() > limit;
    found.truncate(limit);
    let tests: Vec<_> = found
        .into_iter()
        .map(|test| {
            let verdict = verdicts.of(&test.id);
            TestAnswer::new(test, verdict)
        })
        .collect();
    Ok(Json(TestsAnswer {
        totals: totals.into(),
        next: tests.last().map(|test| test.id.clone()).filter(|_| more),
        tests,
    }))
}

/// The coverage of a build, over all its jobs. 404 where no report has any.
#[utoipa::path(get, path = "/repos/{owner}/{repo}/builds/{number}/coverage", tag = "builds",
    params(("owner" = String, Path), ("repo" = String, Path), ("number" = i64, Path), CoverageOf),
    responses((status = 200, body = CoverageAnswer), (status = 401, body = Problem),
        (status = 404, body = Problem)))]
pub(super) async fn coverage(
    State(web): State<Web>,
    who: Who,
    Path((owner, name, number)): Path<(String, String, String)>,
    asked: Result<Query<CoverageOf>, QueryRejection>,
) -> Answer<CoverageAnswer> {
    let Query(asked) = asked?;
    let view = visible_build(&web, &who, &owner, &name, &number).await?;
    let job = asked.job.unwrap_or_default();
    let report = part::asked(&view, &job)?;
    let patch = part::coverage(&view, &job, &report).patch;
    let coverage = report.coverage.ok_or(Error::NotFound)?;
    Ok(Json(CoverageAnswer::new(&coverage, patch)))
}
