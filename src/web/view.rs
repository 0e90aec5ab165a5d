//! Rows of pages: domain values as people read them.

use std::time::Duration;

use super::code::CodeLine;
use super::part::Covered;
use crate::domain::history::Verdicts;
use crate::domain::{
    Build, BuildView, Conclusion, Import, Job, JobFailure, Occasion, State, StepRecord, StepState,
};
use crate::feedback::queue_words;
use crate::report::{Location, LogLine, Outcome, Report, Test};
use crate::text;

/// Tests on a page.
pub(super) const TESTS: usize = 200;

/// A time for people: relative, with the exact one at hand.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    pub(super) relative: String,
    pub(super) exact: String,
}

impl Moment {
    pub(super) fn new(ms: i64, now_ms: i64) -> Self {
        let ago = u64::try_from((now_ms - ms) / 1000).unwrap_or(0);
        let relative = match ago {
            0..60 => "just now".to_owned(),
            60..3_600 => format!("{} ago", text::plural(ago / 60, "minute")),
            3_600..86_400 => format!("{} ago", text::plural(ago / 3_600, "hour")),
            _ => format!("{} ago", text::plural(ago / 86_400, "day")),
        };
        let exact = chrono::DateTime::from_timestamp_millis(ms)
            .map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
            .unwrap_or_default();
        Self { relative, exact }
    }
}

/// A state or conclusion: the word, and the class that colours it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) word: &'static str,
    pub(super) class: &'static str,
}

pub(super) fn mark(state: State, conclusion: Option<Conclusion>) -> Mark {
    let (word, class) = match (state, conclusion) {
        (_, Some(Conclusion::Success)) => ("passed", "good"),
        (_, Some(Conclusion::Failure)) => ("failed", "bad"),
        (_, Some(Conclusion::TimedOut)) => ("timed out", "bad"),
        (_, Some(Conclusion::Cancelled)) => ("cancelled", "dull"),
        (_, Some(Conclusion::ActionRequired)) => ("needs approval", "wait"),
        (_, Some(Conclusion::Skipped)) => ("skipped", "dull"),
        (_, Some(Conclusion::Neutral)) => ("nothing to do", "dull"),
        (State::Running, None) => ("running", "wait"),
        (State::Blocked, None) => ("waits for other jobs", "dull"),
        (_, None) => ("queued", "dull"),
    };
    Mark { word, class }
}

/// The mark of a build that ran to its end.
pub(super) fn red_or_green(red: bool) -> Mark {
    let conclusion = if red {
        Conclusion::Failure
    } else {
        Conclusion::Success
    };
    mark(State::Finished, Some(conclusion))
}

pub(super) fn took(start_ms: Option<i64>, end_ms: Option<i64>) -> String {
    match (start_ms, end_ms) {
        (Some(start), Some(end)) => {
            let ms = u64::try_from(end - start).unwrap_or(0);
            text::duration(Duration::from_millis(ms))
        }
        _ => String::new(),
    }
}

/// A build.
#[derive(Debug)]
pub(super) struct BuildRow {
    pub(super) number: i64,
    pub(super) mark: Mark,
    pub(super) title: String,
    pub(super) what: String,
    pub(super) commit: String,
    pub(super) short: String,
    pub(super) attempt: u32,
    pub(super) created: Moment,
    pub(super) took: String,
    /// Where its reports come from and the address of that, where it is no build of Herald's.
    pub(super) source: Option<(String, String)>,
}

impl BuildRow {
    pub(super) fn new(build: &Build, view: Option<&BuildView>, now_ms: i64) -> Self {
        let what = match &build.occasion {
            Occasion::PullRequest { pull } => {
                format!("pull request #{} ({})", pull.number, pull.head_ref)
            }
            Occasion::Push { branch, .. } => format!("push to {branch}"),
            Occasion::Tag { tag } => format!("tag {tag}"),
            Occasion::MergeGroup { base_ref, .. } => view
                .and_then(queue_words)
                .unwrap_or_else(|| format!("merge queue of {base_ref}")),
        };
        let import = build.plan.import.as_ref();
        let what = match import {
            Some(import) => format!("{}: {what}", import.name()),
            None => what,
        };
        let title = match (&build.plan.verdict, view) {
            (Some((title, _)), _) => title.clone(),
            (None, Some(view)) => match view.jobs.as_slice() {
                [job] => job
                    .result
                    .as_ref()
                    .map_or_else(String::new, |result| result.title.clone()),
                _ => build.reason.clone().unwrap_or_default(),
            },
            (None, None) => build.reason.clone().unwrap_or_default(),
        };
        Self {
            number: build.number,
            mark: mark(build.state, build.conclusion),
            title,
            what,
            commit: build.commit.to_string(),
            short: build.commit.short().to_owned(),
            attempt: build.attempt,
            created: Moment::new(build.created_ms, now_ms),
            took: match import {
                // That is how long reading took.
                Some(_) => String::new(),
                None => took(build.started_ms, build.finished_ms),
            },
            source: import.map(|import| match import {
                Import::Actions { run, .. } => {
                    (format!("{} #{}", run.name, run.number), run.url.clone())
                }
                Import::Uploads { name, .. } => (name.clone(), String::new()),
            }),
        }
    }
}

/// A job in the table of a build.
#[derive(Debug)]
pub(super) struct JobRow {
    pub(super) key: String,
    pub(super) name: String,
    pub(super) mark: Mark,
    pub(super) title: String,
    pub(super) took: String,
    pub(super) attempt: u32,
    pub(super) started_ms: Option<i64>,
    pub(super) steps: Vec<StepRow>,
    /// Whether it only reads what comes from elsewhere, and has no log.
    pub(super) imported: bool,
    pub(super) artifacts: Vec<ArtifactRow>,
    /// Its attempts that are past, the newest first.
    pub(super) former: Vec<FormerRow>,
    /// Where it deploys to.
    pub(super) deploy: Option<DeployLine>,
}

/// Where a job deploys to.
#[derive(Debug)]
pub(super) struct DeployLine {
    pub(super) environment: String,
    /// The query of the page with all that was deployed there.
    pub(super) query: String,
    pub(super) url: Option<String>,
    /// Who let it, in a sentence.
    pub(super) approved: String,
}

impl DeployLine {
    fn new(job: &Job) -> Option<Self> {
        let deploy = job.order.deploy.as_ref()?;
        Some(Self {
            environment: deploy.environment.clone(),
            query: format!("?environment={}", text::address::part(&deploy.environment)),
            url: deploy.url.clone(),
            approved: crate::feedback::who_approved(job).unwrap_or_default(),
        })
    }
}

/// An attempt of a job that is past.
#[derive(Debug)]
pub(super) struct FormerRow {
    pub(super) attempt: u32,
    pub(super) mark: Mark,
    pub(super) title: String,
    pub(super) took: String,
}

fn title(job: &Job) -> String {
    let result = job.result.as_ref();
    result.map_or_else(String::new, |result| result.title.clone())
}

impl JobRow {
    /// With those of these attempts that are its own.
    pub(super) fn with_former(job: &Job, former: &[Job]) -> Self {
        let own = former.iter().filter(|former| former.key == job.key);
        let former = own.map(|former| FormerRow {
            attempt: former.attempt,
            mark: mark(former.state, former.conclusion),
            title: title(former),
            took: took(former.started_ms, former.finished_ms),
        });
        Self {
            former: former.collect(),
            ..Self::new(job)
        }
    }

    pub(super) fn new(job: &Job) -> Self {
        Self {
            key: job.key.clone(),
            name: job.name.clone(),
            mark: mark(job.state, job.conclusion),
            title: title(job),
            took: took(job.started_ms, job.finished_ms),
            attempt: job.attempt,
            started_ms: job.started_ms,
            steps: job.steps.iter().map(StepRow::new).collect(),
            imported: job.order.execute.is_empty(),
            artifacts: artifacts(job),
            former: Vec::new(),
            deploy: DeployLine::new(job),
        }
    }
}

/// A file that a job left for people.
#[derive(Debug)]
pub(super) struct ArtifactRow {
    pub(super) path: String,
    pub(super) address: String,
    pub(super) size: String,
}

fn artifacts(job: &Job) -> Vec<ArtifactRow> {
    let kept = job.result.iter().flat_map(|result| &result.artifacts);
    kept.map(|artifact| ArtifactRow {
        path: artifact.path.clone(),
        address: text::address::path(&artifact.path),
        size: size(artifact.bytes),
    })
    .collect()
}

/// A size for people: `12.3 KiB`.
fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1024 => return format!("{bytes} B"),
        1024..1_048_576 => (1 << 10, "KiB"),
        1_048_576..1_073_741_824 => (1 << 20, "MiB"),
        _ => (1 << 30, "GiB"),
    };
    let tenths = u128::from(bytes) * 10 / unit;
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// A step.
#[derive(Debug)]
pub(super) struct StepRow {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) phase: String,
    pub(super) mark: Mark,
    pub(super) exit: String,
    pub(super) took: String,
    pub(super) started_ms: Option<i64>,
}

impl StepRow {
    /// What Herald itself has to say, as if it were a step.
    pub(super) fn notes() -> Self {
        Self {
            index: u32::MAX,
            name: "Herald".to_owned(),
            phase: String::new(),
            mark: Mark {
                word: "notes",
                class: "dull",
            },
            exit: String::new(),
            took: String::new(),
            started_ms: None,
        }
    }

    pub(super) fn new(step: &StepRecord) -> Self {
        let (word, class) = match step.state {
            StepState::Waiting => ("waiting", "dull"),
            StepState::Running => ("running", "wait"),
            StepState::Passed => ("passed", "good"),
            StepState::Failed if step.tolerated => ("failed, passed over", "dull"),
            StepState::Failed => ("failed", "bad"),
            StepState::TimedOut => ("timed out", "bad"),
            StepState::Cancelled => ("cancelled", "dull"),
            StepState::Skipped => ("skipped", "dull"),
        };
        Self {
            index: step.index,
            name: step.name.clone(),
            phase: step.phase.clone(),
            mark: Mark { word, class },
            exit: step.exit.clone().unwrap_or_default(),
            took: step
                .duration_ms
                .map(|ms| text::duration(Duration::from_millis(ms)))
                .unwrap_or_default(),
            started_ms: step.started_ms,
        }
    }
}

/// How a test ended; `flaky`: after a run that did not pass.
pub(super) fn outcome(outcome: Outcome, flaky: bool) -> Mark {
    let (word, class) = match outcome {
        Outcome::Passed if flaky => ("flaky", "wait"),
        Outcome::Passed => ("passed", "good"),
        Outcome::Failed => ("failed", "bad"),
        Outcome::Error => ("error", "bad"),
        Outcome::Skipped => ("skipped", "dull"),
    };
    Mark { word, class }
}

/// A test.
#[derive(Debug)]
pub(super) struct TestRow {
    pub(super) mark: Mark,
    /// By which its history is found.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) class: String,
    pub(super) location: Option<Location>,
    /// What is known of its failure.
    pub(super) verdict: String,
    /// Where the log speaks of it: what comes after the address of the build's page.
    pub(super) log: Option<String>,
    /// The lines around that place, where they can be shown.
    pub(super) code: Vec<CodeLine>,
    pub(super) message: String,
    pub(super) details: String,
    pub(super) took: String,
}

/// Which tests somebody wants to see.
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    /// Part of a name or class, in any case; all without it.
    pub(super) words: &'a str,
    /// Only those of this outcome.
    pub(super) outcome: Option<Outcome>,
    /// How many come on pages before this one.
    pub(super) skip: usize,
}

/// Tests of a build, what failed first, and how many are left after them.
pub(super) fn tests(
    report: &Report,
    verdicts: &Verdicts<'_>,
    wanted: &Wanted<'_>,
    most: usize,
) -> (Vec<TestRow>, usize) {
    let rank = |outcome: Outcome| match outcome {
        Outcome::Failed => 0,
        Outcome::Error => 1,
        Outcome::Skipped => 2,
        Outcome::Passed => 3,
    };
    let words = wanted.words.to_lowercase();
    let mut order: Vec<_> = report
        .tests
        .iter()
        .filter(|test| wanted.outcome.is_none_or(|outcome| test.outcome == outcome))
        .filter(|test| {
            let class = test.class.as_deref().unwrap_or_default();
            words.is_empty()
                || test.name.to_lowercase().contains(&words)
                || class.to_lowercase().contains(&words)
        })
        .collect();
    verdicts.sort(&mut order);
    order.sort_by_key(|test| rank(test.outcome));
    let rest = order.get(wanted.skip..).unwrap_or_default();
    let rows: Vec<TestRow> = rest
        .iter()
        .take(most)
        .map(|test| TestRow::new(test, verdicts.words(&test.id)))
        .collect();
    (rows, rest.len().saturating_sub(most))
}

impl TestRow {
    fn new(test: &Test, verdict: String) -> Self {
        let details = test.details.as_deref();
        let details = details
            .filter(|_| test.outcome.is_red())
            .unwrap_or_default();
        Self {
            mark: outcome(test.outcome, test.flaky),
            id: test.id.clone(),
            name: test.name.clone(),
            class: test.class.clone().unwrap_or_default(),
            location: test.location.clone(),
            verdict,
            log: test.log.as_ref().map(LogLine::address),
            code: Vec::new(),
            message: text::ansi::strip(test.message.as_deref().unwrap_or_default()).into_owned(),
            details: crate::feedback::without_locals(&text::ansi::strip(details), false),
            took: test
                .duration_seconds
                .map(|seconds| format!("{seconds:.3} s"))
                .unwrap_or_default(),
        }
    }
}

/// Coverage over a build.
#[derive(Debug)]
pub(super) struct CoverageRow {
    pub(super) percent: String,
    pub(super) covered: u64,
    pub(super) total: u64,
    pub(super) patch: Option<(u64, u64)>,
    pub(super) unresolved: usize,
}

/// Coverage, if a report has any, and that of the lines that the change adds.
pub(super) fn coverage(covered: &Covered, report: &Report) -> Option<CoverageRow> {
    let lines = covered.lines.filter(|lines| lines.total > 0)?;
    Some(CoverageRow {
        percent: crate::badge::coverage(lines.covered, lines.total).0,
        covered: lines.covered,
        total: lines.total,
        patch: covered
            .patch
            .filter(|patch| patch.total > 0)
            .map(|patch| (patch.covered, patch.total)),
        unresolved: report
            .coverage
            .iter()
            .flat_map(|coverage| &coverage.files)
            .filter(|file| file.resolved.is_none())
            .count(),
    })
}

/// Why the build is red or did not run.
pub(super) fn reasons(view: &BuildView) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(reason) = &view.build.reason {
        reasons.push(reason.clone());
    }
    if let Some(judgement) = &view.judgement {
        reasons.extend(judgement.failed().map(|gate| gate.text.clone()));
        reasons.extend(judgement.notes.iter().cloned());
    }
    for job in &view.jobs {
        let Some(result) = &job.result else { continue };
        for failure in &result.failures {
            if let JobFailure::Step { text } | JobFailure::Report { text } = failure {
                reasons.push(format!("{}: {text}", job.key));
            }
        }
        reasons.extend(
            result
                .notes
                .iter()
                .map(|note| format!("{}: {note}", job.key)),
        );
    }
    reasons
}

/// What is wrong with the specification.
pub(super) fn problems(view: &BuildView) -> Vec<String> {
    let path = view.build.plan.path.as_deref().unwrap_or_default();
    view.build
        .plan
        .problems
        .iter()
        .map(|problem| format!("{path}:{}:{}: {problem}", problem.line, problem.column))
        .collect()
}
