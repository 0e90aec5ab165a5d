//! The jobs of a build, carried out on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::arguments::{RunEvent, RunFlags};
use super::base::Against;
use super::screen::{BOLD, DIM, GREEN, PLAIN, RED, Screen, YELLOW};
use crate::app::{Declared, Reports, Surroundings, carry_out, environment, job_order};
use crate::domain::verdict::{Ending, Facts, verdict};
use crate::domain::{
    BuildId, Conclusion, Job, JobId, JobResult, Preparation, State, StepRecord, StepState,
    tolerance,
};
use crate::ports::executor::{JobEnd, Purpose};
use crate::ports::source::TreeEntry;
use crate::ports::{Clock, Executor, JobEvent, JobOrder};
use crate::protocol::CollectKind;
use crate::report::Report;
use crate::spec::{Decision, JobSpecification, PlannedJob};
use crate::text;
use crate::wire::SystemClock;

/// The build on this machine.
pub(super) struct Local<'a> {
    pub(super) flags: &'a RunFlags,
    /// The files of the commit, and what it is called.
    pub(super) files: &'a [TreeEntry],
    pub(super) commit: &'a str,
    /// What its jobs are told apart by from those of other builds of this run.
    pub(super) name: &'static str,
    pub(super) workspace: PathBuf,
    pub(super) scratch: &'a Path,
    pub(super) screen: &'a Screen,
    pub(super) preparation: &'a Preparation,
    pub(super) executor: &'a dyn Executor,
    /// What it is held against; the base itself is held against nothing.
    pub(super) against: Option<&'a Against>,
}

impl Local<'_> {
    /// Carries out jobs, one after another.
    pub(super) async fn run_all(&self, planned: Vec<PlannedJob>) -> anyhow::Result<Vec<Job>> {
        let several = planned.len() > 1;
        let mut done: Vec<Job> = Vec::new();
        for (position, planned) in planned.into_iter().enumerate() {
            let job = planned.job;
            let broken = job.needs.iter().find(|need| {
                done.iter().any(|other| {
                    other.key == **need && (left_out(other) || !is_good(other.conclusion))
                })
            });
            let skipped = match (&planned.decision, broken) {
                (Decision::Skipped(why), _) => Some(why.clone()),
                (_, Some(need)) => Some(format!("it needs \"{need}\", which did not succeed")),
                _ => None,
            };
            if several {
                let values = match &job.name {
                    Some(name) if !job.matrix.is_empty() => format!(": {name}"),
                    _ => String::new(),
                };
                self.screen
                    .say(&format!("{BOLD}job {}{PLAIN}{values}", job.key));
            }
            let finished = match skipped {
                Some(why) => {
                    self.screen.say(&format!("{DIM}skipped: {why}{PLAIN}"));
                    let mut result = empty_result(Conclusion::Skipped);
                    result.title = format!("skipped: {why}");
                    record(&job, position, Vec::new(), result, (0, 0))
                }
                None => self.run_one(&job, position).await?,
            };
            done.push(finished);
        }
        // What the last job left is removed before this program ends.
        self.executor.sweep(&[]).await?;
        Ok(done)
    }

    async fn run_one(&self, job: &JobSpecification, position: usize) -> anyhow::Result<Job> {
        let path = std::env::var("PATH").unwrap_or_default();
        let event = match self.flags.event {
            RunEvent::PullRequest => "pull_request",
            RunEvent::Push => "push",
        };
        let name = std::path::absolute(&self.flags.dir)?
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let fixed = environment(&Surroundings {
            owner: "",
            name: &name,
            build: None,
            build_url: "",
            commit: self.commit,
            occasion: None,
            event,
            commit_count: None,
            job: &job.key,
            attempt: 1,
            path: &path,
        });
        let (order, steps) = job_order(job, fixed, u64::MAX);
        let scratch = self.scratch.join(format!("job-{position}"));
        std::fs::create_dir_all(&scratch)?;
        let clock = SystemClock;
        let start = clock.now_ms();
        let running = self
            .executor
            .start(JobOrder {
                id: format!("local-{}-{}-{position}", std::process::id(), self.name),
                workspace: self.workspace.clone(),
                scratch,
                image: job.image.clone(),
                purpose: Purpose {
                    repository: name,
                    commit: self.commit.to_owned(),
                    ..Purpose::default()
                },
                resources: job.resources,
                network: job.network,
                ports: job.ports.clone(),
                services: job.services.clone(),
                login_images: None,
                cache: None,
                job: order,
            })
            .await?;
        if job.image.is_some() && !self.executor.abilities().images {
            self.screen.say(&format!(
                "{DIM}image is ignored: steps run on this machine{PLAIN}"
            ));
        }
        let mut reports = Reports::new(self.files, Declared::by(&job.reports));
        let mut trouble = None;
        let mut written = BTreeMap::new();
        let (end, mut steps) = carry_out(running, steps, |event, steps| {
            self.show(event, steps);
            if let JobEvent::File {
                kind,
                path,
                stored,
                step,
                ..
            } = event
                && matches!(kind, CollectKind::Tests | CollectKind::Coverage)
            {
                written.extend(step.map(|step| (path.clone(), step)));
                if let Err(error) = reports.add(*kind, path, stored) {
                    trouble = Some(error.message);
                }
            }
        })
        .await;
        let finish = clock.now_ms();
        let ending = match (end, trouble) {
            (JobEnd::Lost(what), _) | (_, Some(what)) => anyhow::bail!("{what}"),
            (JobEnd::TimedOut, None) => Ending::TimedOut,
            (JobEnd::Cancelled, None) => Ending::Cancelled("stopped".to_owned()),
            (JobEnd::Done, None) => Ending::Done,
        };
        let result = self.conclude(job, ending, (&mut steps, &written), reports, finish - start);
        Ok(record(job, position, steps, result, (start, finish)))
    }

    fn conclude(
        &self,
        job: &JobSpecification,
        ending: Ending,
        (steps, written): (&mut [StepRecord], &BTreeMap<String, u32>),
        reports: Reports,
        took_ms: i64,
    ) -> JobResult {
        let diff = self.against.and_then(|against| against.diff.as_deref());
        let gathered = reports.finish(diff, self.preparation.partial_lines_miss);
        let (mut insight, mut tolerated, mut notes) = (None, Vec::new(), Vec::new());
        if let Some(against) = self.against {
            let known = against.judge(job, &gathered.report, &gathered.in_diff);
            tolerated = tolerance::tolerated(&known, self.preparation.allow_known_flaky);
            notes = tolerance::forgive(steps, job, &gathered.report, written, &tolerated);
            insight = Some(known);
        }
        let duration = Duration::from_millis(u64::try_from(took_ms).unwrap_or(0));
        let said = verdict(&Facts {
            ending,
            steps,
            report: &gathered.report,
            tolerated: tolerated.len() as u64,
            declared_tests: job.reports.tests.as_deref().unwrap_or_default(),
            declared_coverage: job.reports.coverage.as_deref().unwrap_or_default(),
            test_files: gathered.test_files,
            coverage_files: gathered.coverage_files,
            min_tests: self.preparation.min_tests,
            duration,
        });
        JobResult {
            title: said.title,
            failures: said.failures,
            duration_ms: u64::try_from(took_ms).unwrap_or(0),
            report: gathered.report,
            patch: gathered.patch,
            in_diff: gathered.in_diff,
            insight,
            tolerated,
            notes,
            ..empty_result(said.conclusion)
        }
    }

    /// Shows what happens, on stderr.
    fn show(&self, event: &JobEvent, steps: &[StepRecord]) {
        let of = |index: u32| steps.iter().find(|step| step.index == index);
        match event {
            JobEvent::StepStarted { step, .. } => {
                if let Some(step) = of(*step) {
                    self.screen.say(&format!("{BOLD}▶ {}{PLAIN}", step.name));
                }
            }
            JobEvent::Output { bytes, .. } => {
                let text = String::from_utf8_lossy(bytes);
                for line in text.lines() {
                    self.screen
                        .say(&format!("{DIM}│{PLAIN} {}", text::ansi::strip(line)));
                }
            }
            JobEvent::StepFinished {
                step, duration_ms, ..
            } => {
                if let Some(step) = of(*step) {
                    self.step_ended(step, *duration_ms);
                }
            }
            JobEvent::Note(note) => self.screen.say(&format!("{YELLOW}{note}{PLAIN}")),
            _ => {}
        }
    }

    fn step_ended(&self, step: &StepRecord, duration_ms: u64) {
        let took = text::duration(Duration::from_millis(duration_ms));
        let exit = step.exit.as_deref().unwrap_or_default();
        let line = match step.state {
            StepState::Passed => format!("{GREEN}✓ {}{PLAIN} {DIM}{took}{PLAIN}", step.name),
            StepState::Skipped => format!("{DIM}- {} skipped{PLAIN}", step.name),
            _ => format!("{RED}✗ {} ({exit}){PLAIN} {DIM}{took}{PLAIN}", step.name),
        };
        self.screen.say(&line);
    }
}

fn is_good(conclusion: Option<Conclusion>) -> bool {
    matches!(
        conclusion,
        Some(Conclusion::Success | Conclusion::Skipped | Conclusion::Neutral)
    )
}

/// Whether a job was left out because of another one, which does not satisfy its dependents.
fn left_out(job: &Job) -> bool {
    job.result
        .as_ref()
        .is_some_and(|result| result.title.starts_with("skipped: it needs"))
}

fn empty_result(conclusion: Conclusion) -> JobResult {
    JobResult::without_run(conclusion, String::new())
}

fn record(
    job: &JobSpecification,
    position: usize,
    steps: Vec<StepRecord>,
    result: JobResult,
    (start, finish): (i64, i64),
) -> Job {
    Job {
        id: JobId::from_stored(format!("local-{position}")),
        build: BuildId::from_stored("local"),
        key: job.key.clone(),
        name: job.name.clone().unwrap_or_else(|| job.key.clone()),
        position: i64::try_from(position).unwrap_or(i64::MAX),
        attempt: 1,
        state: State::Finished,
        conclusion: Some(result.conclusion),
        order: job.clone(),
        steps,
        queued_ms: start,
        started_ms: Some(start).filter(|start| *start > 0),
        finished_ms: Some(finish).filter(|finish| *finish > 0),
        result: Some(result),
        approval: None,
    }
}

/// A job of which nothing is known but its name and what it reports.
pub(super) fn reported(name: String, report: Report) -> Job {
    let job = JobSpecification {
        key: name,
        ..JobSpecification::default()
    };
    let result = JobResult {
        report,
        ..empty_result(Conclusion::Success)
    };
    record(&job, 0, Vec::new(), result, (0, 0))
}
