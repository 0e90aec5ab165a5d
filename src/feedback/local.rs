//! The same words for a build that no server knows: `herald run` and `herald report`.

use std::time::Duration;

use super::check::build_title;
use super::summary::{CheckSummary, fit};
use crate::domain::verdict::{Ending, Facts, verdict};
use crate::domain::{
    Build, BuildId, BuildView, InstallationId, Job, JobId, JobResult, Occasion, PersonId,
    Preparation, Repository, RepositoryId, Sha, State, Trust, combine,
};
use crate::report::Report;

/// The limit of a summary on GitHub.
const SUMMARY: usize = 60_000;

/// A build on this machine, made of its jobs.
pub fn local_view(jobs: Vec<Job>, preparation: Preparation) -> BuildView {
    let nowhere = Sha::parse(&"0".repeat(40));
    let Ok(nowhere) = nowhere else {
        unreachable!("forty zeros are a commit id");
    };
    let conclusion = combine(jobs.iter().filter_map(|job| job.conclusion));
    BuildView {
        repository: Repository {
            id: RepositoryId::new("local", 0),
            installation: InstallationId(0),
            owner: String::new(),
            name: String::new(),
            private: true,
            default_branch: String::new(),
        },
        build: Build {
            id: BuildId::from_stored("local"),
            number: 0,
            commit: nowhere.clone(),
            tested: nowhere,
            specification: String::new(),
            trust: Trust::Trusted,
            delivery: None,
            occasion: Occasion::Push {
                branch: String::new(),
                before: None,
            },
            sender: PersonId::NOBODY,
            state: State::Finished,
            conclusion: Some(conclusion),
            attempt: 1,
            plan: preparation,
            reason: None,
            created_ms: 0,
            started_ms: jobs.iter().filter_map(|job| job.started_ms).min(),
            finished_ms: jobs.iter().filter_map(|job| job.finished_ms).max(),
            revision: 1,
        },
        jobs,
        pulls: Vec::new(),
        ahead: 0,
        judgement: None,
    }
}

/// Title and summary as the check run of the build would have them.
pub fn check_markdown(view: &BuildView) -> (String, String) {
    let report = view.report();
    let summary = CheckSummary {
        view,
        job: None,
        report: &report,
        patch: view.patch(),
        unannotated: 0,
        url: String::new(),
        page: String::new(),
        lead: Vec::new(),
    };
    (build_title(view), fit(&summary, SUMMARY))
}

/// A report as a check run would show it.
pub fn report_markdown(report: &Report) -> String {
    let said = verdict(&Facts {
        ending: Ending::Done,
        steps: &[],
        report,
        tolerated: 0,
        declared_tests: &[],
        declared_coverage: &[],
        test_files: report.files.len(),
        coverage_files: report.files.len(),
        min_tests: 0,
        duration: Duration::try_from_secs_f64(report.totals().duration_seconds).unwrap_or_default(),
    });
    let job = Job {
        id: JobId::from_stored("local"),
        build: BuildId::from_stored("local"),
        key: "report".to_owned(),
        name: "report".to_owned(),
        position: 0,
        attempt: 1,
        state: State::Finished,
        conclusion: Some(said.conclusion),
        order: crate::spec::JobSpecification::default(),
        steps: Vec::new(),
        queued_ms: 0,
        started_ms: None,
        finished_ms: None,
        approval: None,
        result: Some(JobResult {
            conclusion: said.conclusion,
            title: said.title,
            failures: said.failures,
            notes: Vec::new(),
            duration_ms: 0,
            report: report.clone(),
            patch: None,
            in_diff: Vec::new(),
            insight: None,
            tolerated: Vec::new(),
            artifacts: Vec::new(),
        }),
    };
    let (title, summary) = check_markdown(&local_view(vec![job], Preparation::default()));
    format!("# {}\n\n{summary}", crate::text::markdown::escape(&title))
}
