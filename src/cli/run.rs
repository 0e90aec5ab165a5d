//! `herald run`: builds a repository on this machine as Herald would.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use super::arguments::{ReportFormat, RunEvent, RunExecutor, RunFlags};
use super::screen::{BOLD, DIM, GREEN, PLAIN, RED, Screen, YELLOW};
use super::{End, check, runtime, view, wrong};
use crate::app::{
    Declared, Ground, Reports, Surroundings, carry_out, environment, job_order, refusals,
};
use crate::domain::verdict::{Ending, Facts, verdict};
use crate::domain::{
    BuildId, BuildView, Conclusion, Job, JobFailure, JobId, JobResult, Preparation, State,
    StepRecord, StepState, Trust,
};
use crate::feedback::{annotations, check_markdown, local_view};
use crate::ports::executor::{JobEnd, Purpose};
use crate::ports::source::TreeEntry;
use crate::ports::{Clock, Executor, JobEvent, JobOrder};
use crate::protocol::CollectKind;
use crate::report::json::{Document, Extras};
use crate::spec::{self, Decision, JobSpecification, PlannedJob};
use crate::text;
use crate::wire::{SystemClock, local_docker, process_executor};

/// What git says of the folder; empty where it is no repository.
struct Checkout {
    dir: PathBuf,
    branch: String,
    commit: String,
    files: Vec<TreeEntry>,
    changed: Option<Vec<String>>,
    diff: Option<String>,
}

pub(super) fn run(flags: &RunFlags, screen: &Screen) -> anyhow::Result<End> {
    let (file, parsed) = check::specification(&flags.dir, screen)?;
    let Some(specification) = parsed.specification else {
        return Ok(End::Wrong);
    };
    let checkout = Checkout::read(&flags.dir, flags.base.as_deref())?;
    let occasion = spec::Occasion {
        event: match flags.event {
            RunEvent::PullRequest => spec::Event::PullRequest,
            RunEvent::Push => spec::Event::Push,
        },
        branch: flags.base.as_deref().or(Some(checkout.branch.as_str())),
        tag: None,
        changed_paths: checkout.changed.as_deref(),
        by_default: true,
    };
    let plan = spec::plan(&specification, &occasion);
    let wanted = select(plan.jobs, flags.job.as_deref())?;
    let runtime = runtime()?;
    let executor: Box<dyn Executor> = match flags.executor {
        RunExecutor::Process => Box::new(process_executor(false)?),
        RunExecutor::Docker => Box::new(runtime.block_on(local_docker())?),
    };
    let refused = refused(executor.as_ref(), &wanted, &parsed.places);
    if !refused.is_empty() {
        screen.say(check::text(&file, &refused).trim_end());
        return Ok(End::Wrong);
    }
    let scratch = tempfile::tempdir().context("make a temporary folder")?;
    let workspace = if flags.in_place {
        std::path::absolute(&flags.dir)?
    } else {
        let copy = scratch.path().join("tree");
        checkout.copy_to(&copy)?;
        copy
    };
    let preparation = Preparation {
        publish: specification.publish.clone(),
        min_tests: specification.gates.min_tests,
        partial_lines_miss: specification.gates.coverage.partial_lines_miss,
        ..Preparation::default()
    };
    let local = Local {
        flags,
        checkout: &checkout,
        workspace,
        scratch: scratch.path(),
        screen,
        preparation: &preparation,
        executor: executor.as_ref(),
    };
    let jobs = runtime.block_on(local.run_all(wanted))?;
    let view = local_view(jobs, preparation);
    print(&view, flags, screen);
    Ok(match view.build.conclusion {
        Some(Conclusion::Success | Conclusion::Skipped | Conclusion::Neutral) => End::Good,
        _ => End::Red,
    })
}

/// The jobs to run: all, or one with all members of its matrix, and those that it needs.
fn select(jobs: Vec<PlannedJob>, only: Option<&str>) -> anyhow::Result<Vec<PlannedJob>> {
    let Some(only) = only else {
        return Ok(jobs);
    };
    let mut wanted: HashSet<String> = jobs
        .iter()
        .map(|planned| &planned.job)
        .filter(|job| job.key == only || job.file_key() == only)
        .map(|job| job.key.clone())
        .collect();
    if wanted.is_empty() {
        let mut keys: Vec<&str> = jobs.iter().map(|planned| planned.job.file_key()).collect();
        keys.dedup();
        return Err(wrong(format!(
            "--job: there is no job `{only}`; there are {}",
            keys.join(", ")
        )));
    }
    // Needs stand before dependents in the plan.
    for planned in jobs.iter().rev() {
        if wanted.contains(&planned.job.key) {
            wanted.extend(planned.job.needs.iter().cloned());
        }
    }
    Ok(jobs
        .into_iter()
        .filter(|planned| wanted.contains(&planned.job.key))
        .collect())
}

/// Why jobs that are wanted cannot run on this machine.
fn refused(
    executor: &dyn Executor,
    wanted: &[PlannedJob],
    places: &spec::Places,
) -> Vec<spec::Problem> {
    let ground = Ground {
        executor: executor.name(),
        abilities: executor.abilities(),
        server: false,
    };
    let due = wanted
        .iter()
        .filter(|planned| planned.decision == Decision::Run)
        .map(|planned| &planned.job);
    refusals(due, &ground, Trust::Trusted, places)
}

impl Checkout {
    fn read(dir: &Path, base: Option<&str>) -> anyhow::Result<Self> {
        let git = |arguments: &[&str]| git(dir, arguments);
        let staged = git(&["ls-files", "-s", "-z"]).unwrap_or_default();
        let blobs: HashMap<&str, &str> = staged
            .split('\0')
            .filter_map(|line| {
                let (head, path) = line.split_once('\t')?;
                Some((path, head.split(' ').nth(1)?))
            })
            .collect();
        let files = list(dir)
            .iter()
            .filter_map(|path| path.to_str())
            .map(|path| TreeEntry {
                path: path.to_owned(),
                // Untracked files have none: they are never taken for unchanged ones.
                blob: blobs.get(path).copied().unwrap_or_default().to_owned(),
            })
            .collect();
        let from = base
            .map(|base| {
                if base.starts_with('-') {
                    return Err(wrong(format!("--base: `{base}` is no branch or commit")));
                }
                git(&["merge-base", "HEAD", base])
                    .ok_or_else(|| wrong(format!("--base: git knows no common commit with {base}")))
            })
            .transpose()?;
        let against = |arguments: &[&str]| {
            let from = from.as_deref()?;
            git(&[arguments, &[from, "--"]].concat())
        };
        Ok(Self {
            dir: dir.to_owned(),
            branch: git(&["symbolic-ref", "--short", "-q", "HEAD"]).unwrap_or_default(),
            commit: git(&["rev-parse", "HEAD"]).unwrap_or_default(),
            files,
            changed: against(&["diff", "--name-only", "-z"]).map(|list| {
                list.split('\0')
                    .filter(|path| !path.is_empty())
                    .map(str::to_owned)
                    .collect()
            }),
            diff: against(&["diff", "--no-color", "--no-ext-diff", "-U0"]),
        })
    }

    /// Copies its files.
    fn copy_to(&self, target: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(target).context("make a folder for the copy")?;
        for file in &self.files {
            let path = Path::new(&file.path);
            let (from, to) = (self.dir.join(path), target.join(path));
            if let Some(parent) = to.parent() {
                std::fs::create_dir_all(parent)?;
            }
            let Ok(kind) = from.symlink_metadata() else {
                // Deleted, but git's index still has it.
                continue;
            };
            if kind.is_symlink() {
                std::os::unix::fs::symlink(std::fs::read_link(&from)?, &to)?;
            } else if kind.is_file() {
                std::fs::copy(&from, &to).with_context(|| format!("copy {}", path.display()))?;
            }
        }
        Ok(())
    }
}

/// Tracked files and untracked ones that are not ignored; all files where the folder is no
/// repository.
fn list(dir: &Path) -> Vec<PathBuf> {
    let listed = git(
        dir,
        &[
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
    );
    match listed {
        Some(list) => list
            .split('\0')
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
            .collect(),
        None => walkdir::WalkDir::new(dir)
            .into_iter()
            .flatten()
            .filter(|entry| !entry.file_type().is_dir())
            .filter_map(|entry| Some(entry.path().strip_prefix(dir).ok()?.to_owned()))
            .collect(),
    }
}

/// What git prints; `None` when it fails.
fn git(dir: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .current_dir(dir)
        .args(arguments)
        .output()
        .ok()?;
    output.status.success().then(|| {
        String::from_utf8_lossy(&output.stdout)
            .trim_end_matches('\n')
            .to_owned()
    })
}

/// The build on this machine.
struct Local<'a> {
    flags: &'a RunFlags,
    checkout: &'a Checkout,
    workspace: PathBuf,
    scratch: &'a Path,
    screen: &'a Screen,
    preparation: &'a Preparation,
    executor: &'a dyn Executor,
}

impl Local<'_> {
    async fn run_all(&self, planned: Vec<PlannedJob>) -> anyhow::Result<Vec<Job>> {
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
            commit: &self.checkout.commit,
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
                id: format!("local-{}-{position}", std::process::id()),
                workspace: self.workspace.clone(),
                scratch,
                image: job.image.clone(),
                purpose: Purpose {
                    repository: name,
                    commit: self.checkout.commit.clone(),
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
        let mut reports = Reports::new(&self.checkout.files, Declared::by(&job.reports));
        let mut trouble = None;
        let (end, steps) = carry_out(running, steps, |event, steps| {
            self.show(event, steps);
            if let JobEvent::File {
                kind, path, stored, ..
            } = event
                && matches!(kind, CollectKind::Tests | CollectKind::Coverage)
                && let Err(error) = reports.add(*kind, path, stored)
            {
                trouble = Some(error.message);
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
        let result = self.conclude(job, ending, &steps, reports, finish - start);
        Ok(record(job, position, steps, result, (start, finish)))
    }

    fn conclude(
        &self,
        job: &JobSpecification,
        ending: Ending,
        steps: &[StepRecord],
        reports: Reports,
        took_ms: i64,
    ) -> JobResult {
        let gathered = reports.finish(
            self.checkout.diff.as_deref(),
            self.preparation.partial_lines_miss,
        );
        let duration = Duration::from_millis(u64::try_from(took_ms).unwrap_or(0));
        let said = verdict(&Facts {
            ending,
            steps,
            report: &gathered.report,
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
            insight: None,
            artifacts: Vec::new(),
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
    JobResult {
        conclusion,
        title: String::new(),
        failures: Vec::new(),
        notes: Vec::new(),
        duration_ms: 0,
        report: crate::report::Report::default(),
        patch: None,
        in_diff: Vec::new(),
        insight: None,
        artifacts: Vec::new(),
    }
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
    }
}

/// Prints the report on stdout.
fn print(view: &BuildView, flags: &RunFlags, screen: &Screen) {
    let report = view.report();
    match flags.format {
        ReportFormat::Text => {
            screen.say("");
            let mut out = view::report(&report, Some(&flags.dir), false);
            for job in &view.jobs {
                let Some(result) = &job.result else { continue };
                for failure in &result.failures {
                    if let JobFailure::Step { text } | JobFailure::Report { text } = failure {
                        out.push_str(&format!("{RED}✗{PLAIN} {}: {text}\n", job.check_name()));
                    }
                }
            }
            let (title, _) = check_markdown(view);
            let (color, word) = match view.build.conclusion {
                Some(Conclusion::Success) => (GREEN, "success"),
                Some(conclusion) => (RED, conclusion.as_str()),
                None => (RED, "unknown"),
            };
            out.push_str(&format!("{color}{BOLD}{word}{PLAIN} {title}\n"));
            screen.result(&out);
        }
        ReportFormat::Json => {
            let extras = Extras {
                patch: view.patch(),
                gates: view
                    .judgement
                    .as_ref()
                    .map_or_else(Vec::new, |judgement| judgement.gates.clone()),
                build: Some(build_value(view)),
                ..Extras::default()
            };
            Screen::document(&Document::new(report, extras));
        }
        ReportFormat::Markdown => {
            let (title, summary) = check_markdown(view);
            screen.result(&format!(
                "# {}\n\n{summary}\n",
                text::markdown::escape(&title)
            ));
        }
        ReportFormat::Annotations => {
            let all = annotations(&report, &[], false, view.build.plan.publish.show_locals, "");
            Screen::document(&all);
        }
    }
}

/// The `build` of the JSON document: its jobs and steps.
fn build_value(view: &BuildView) -> serde_json::Value {
    let jobs: Vec<serde_json::Value> = view
        .jobs
        .iter()
        .map(|job| {
            serde_json::json!({
                "key": job.key,
                "name": job.name,
                "conclusion": job.conclusion,
                "title": job.result.as_ref().map(|result| &result.title),
                "duration_seconds": job.result.as_ref().map(|result| Duration::from_millis(result.duration_ms).as_secs_f64()),
                "steps": job.steps,
            })
        })
        .collect();
    let (title, _) = check_markdown(view);
    serde_json::json!({"conclusion": view.build.conclusion, "title": title, "jobs": jobs})
}
