//! One attempt of a job: begun or met again, followed to its end, concluded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::checkout::{Change, CheckedOut, Place};
use super::collect::{Declared, Reports};
use super::insight::Compared;
use super::order::{Surroundings, environment, job_order};
use super::run::gone;
use super::state::App;
use super::steps::close_step;
use super::supply::{Cache, Supplies};
use super::trouble::{find_tests, first_trouble};
use super::veil::Veil;
use crate::domain::quarantine::Quarantined;
use crate::domain::tolerance;
use crate::domain::verdict::{Ending, Facts, verdict};
use crate::domain::{
    Artifact, Conclusion, JobFailure, JobResult, Occasion, StepRecord, StepState, Trust,
};
use crate::ports::Running;
use crate::ports::error::Result;
use crate::ports::executor::{JobEnd, Progress, Purpose};
use crate::ports::store::{Claim, Interruption};
use crate::ports::{JobEvent, JobOrder, Kind, LogKey, LogWriter, PortError};
use crate::protocol::{CollectKind, Stream};
use crate::report::Report;

/// What the attempt's own worker found out.
pub(super) enum Outcome {
    /// It came to an end.
    Ended(Box<JobResult>, Vec<StepRecord>),
    /// Somebody else has it.
    Lost,
    /// Herald's own trouble.
    Trouble(Interruption),
    /// Herald ends, and the job runs on.
    Left,
}

/// Whether a job is begun, or met again after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// From its beginning.
    Anew,
    /// It runs since before Herald was started.
    Again,
}

impl App {
    /// Starts a job, or meets it again; with what its commit brings. `None` when it cannot be met any
    /// more.
    pub(super) async fn begin<'a>(
        &'a self,
        claim: &'a Claim,
        begin: Begin,
        place: &Place,
    ) -> Result<(Option<Attempt<'a>>, Change)> {
        let CheckedOut {
            tree,
            commit_count,
            quarantine,
            change,
        } = self.check_out(claim, place, begin).await.map_err(ours)?;
        // What the specification asks for and is not stored is the fault of who wrote it.
        let supplies = match self.supplies(claim).await.map_err(ours)? {
            Ok(supplies) => supplies,
            Err(why) => return Err(PortError::denied(why)),
        };
        let build_url = self.settings.links.build(&claim.repository, &claim.build);
        let fixed = environment(&Surroundings {
            owner: &claim.repository.owner,
            name: &claim.repository.name,
            build: Some(&claim.build),
            build_url: &build_url,
            commit: claim.build.tested.as_str(),
            occasion: Some(&claim.build.occasion),
            event: claim.build.occasion.name(),
            commit_count,
            job: &claim.job.key,
            attempt: claim.job.attempt,
            path: &self.settings.path,
        });
        let (mut job, steps) = job_order(&claim.job.order, fixed, self.settings.job_timeout_max_ms);
        job.cache = supplies.cache.as_ref().map(Cache::order);
        job.secrets.clone_from(&supplies.secrets);
        let key = LogKey {
            build: claim.build.id.as_str().to_owned(),
            job: claim.job.key.clone(),
            attempt: claim.job.attempt,
        };
        let order = JobOrder {
            id: claim.job.id.as_str().to_owned(),
            workspace: place.workspace.clone(),
            scratch: place.scratch.clone(),
            image: claim.job.order.image.clone(),
            purpose: purpose(claim),
            resources: claim.job.order.resources,
            network: claim.job.order.network,
            ports: claim.job.order.ports.clone(),
            services: claim.job.order.services.clone(),
            login_images: match claim.build.trust {
                Trust::Trusted => None,
                _ => Some(claim.build.plan.login_images.clone()),
            },
            cache: supplies.archive(),
            job,
        };
        let hidden = supplies.secrets.clone();
        let veil = apart(move || Veil::new(&hidden)).await?;
        let logs = &self.parts.logs;
        let executor = &self.parts.executor;
        let (running, log, steps) = match begin {
            Begin::Anew => {
                let log = logs.create(&key).await.map_err(ours)?;
                (executor.start(order).await?, log, steps)
            }
            Begin::Again => {
                let (log, position) = match logs.reopen(&key).await {
                    Ok(found) => found,
                    Err(error) if error.kind == Kind::Gone => (logs.create(&key).await?, 0),
                    Err(error) => return Err(error),
                };
                let steps = match claim.job.steps.as_slice() {
                    [] => steps,
                    known => known.to_vec(),
                };
                let progress = progress(position, &steps);
                match executor.attach(order, &progress).await? {
                    Some(running) => (running, log, steps),
                    None => return Ok((None, change)),
                }
            }
        };
        let attempt = Attempt {
            app: self,
            claim,
            running,
            log,
            steps,
            reports: Some(Reports::new(&tree, Declared::by(&claim.job.order.reports))),
            veil,
            key,
            artifacts: Vec::new(),
            notes: [supplies.notes.clone(), quarantine.notes].concat(),
            written: BTreeMap::new(),
            put_away: quarantine.tests,
            supplies,
            cancelled: None,
            started_ms: match begin {
                Begin::Anew => self.now_ms(),
                Begin::Again => claim.job.started_ms.unwrap_or_else(|| self.now_ms()),
            },
        };
        Ok((Some(attempt), change))
    }
}

/// What a job is for, as the executor tells it on.
fn purpose(claim: &Claim) -> Purpose {
    let (pull_request, branch) = match &claim.build.occasion {
        Occasion::PullRequest { pull } => (u64::try_from(pull.number).ok(), None),
        Occasion::Push { branch, .. } | Occasion::MergeGroup { branch, .. } => {
            (None, Some(branch.clone()))
        }
        Occasion::Tag { tag } => (None, Some(tag.clone())),
    };
    Purpose {
        owner: claim.repository.owner.clone(),
        repository: claim.repository.name.clone(),
        pull_request,
        branch,
        build: Some(claim.build.number),
        commit: claim.build.tested.as_str().to_owned(),
        installation: Some(claim.repository.installation.0),
    }
}

/// One attempt while it runs.
pub(super) struct Attempt<'a> {
    app: &'a App,
    claim: &'a Claim,
    running: Box<dyn Running>,
    log: Box<dyn LogWriter>,
    steps: Vec<StepRecord>,
    /// Away while a file is being read, on a thread where that may take its time.
    reports: Option<Reports>,
    /// Over everything that comes back.
    veil: Veil,
    /// What its log and its artifacts are kept under.
    key: LogKey,
    artifacts: Vec<Artifact>,
    supplies: Supplies,
    notes: Vec<String>,
    /// By which step each report was written.
    written: BTreeMap<String, u32>,
    /// What the file of the base says about tests that do not count.
    put_away: Vec<Quarantined>,
    cancelled: Option<String>,
    started_ms: i64,
}

impl Attempt<'_> {
    pub(super) async fn drive(
        &mut self,
        mut cancelled: watch::Receiver<Option<String>>,
        change: Change,
        stop: &CancellationToken,
    ) -> Result<Outcome> {
        let end = loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    return Ok(if self.running.leave() { Outcome::Left } else { shut_down() });
                }
                reason = wish(&mut cancelled), if self.cancelled.is_none() => {
                    self.running.cancel(&reason).await;
                    self.cancelled = Some(reason);
                }
                event = self.running.next() => match event {
                    Some(JobEvent::Finished(end)) => break end,
                    Some(event) => self.note(event).await?,
                    None => break JobEnd::Lost("the runner has gone".to_owned()),
                },
            }
        };
        self.write_held_back(None)?;
        self.log.finish()?;
        let ending = match (end, self.cancelled.take()) {
            (JobEnd::Lost(what), None) => {
                return Ok(Outcome::Trouble(gone(self.veil.words(what))));
            }
            (_, Some(reason)) => Ending::Cancelled(reason),
            (JobEnd::Cancelled, None) => Ending::Cancelled("by the runner".to_owned()),
            (JobEnd::TimedOut, None) => Ending::TimedOut,
            (JobEnd::Done, None) => Ending::Done,
        };
        self.conclude(ending, change).await
    }

    /// Takes note of something that happened.
    async fn note(&mut self, event: JobEvent) -> Result<()> {
        let position = self.running.position();
        match event {
            JobEvent::Finished(_) => Ok(()),
            JobEvent::Image(image) => self.note_image(&image).await,
            JobEvent::Started => self.log.mark(position),
            JobEvent::Note(text) => {
                let text = self.veil.words(text);
                let line = format!("[herald] {text}\n");
                let now_ms = self.unix_ms();
                self.log
                    .append(u32::MAX, Stream::Stderr, now_ms, position, line.as_bytes())?;
                self.notes.push(text);
                Ok(())
            }
            JobEvent::Output {
                step,
                stream,
                unix_ms,
                bytes,
            } => {
                // Where the job can be met again, the runner hides them itself, and what is written
                // must be all that was said up to this position.
                let bytes = if position > 0 {
                    bytes
                } else {
                    self.veil.output(step, stream, bytes)
                };
                if bytes.is_empty() {
                    return Ok(());
                }
                self.log.append(step, stream, unix_ms, position, &bytes)
            }
            JobEvent::StepStarted { step, unix_ms } => {
                if let Some(record) = self.steps.iter_mut().find(|record| record.index == step) {
                    record.state = StepState::Running;
                    record.started_ms = i64::try_from(unix_ms).ok();
                }
                self.save().await?;
                self.log.mark(position)
            }
            JobEvent::StepFinished {
                step,
                exit,
                duration_ms,
            } => {
                self.write_held_back(Some(step))?;
                if let Some(record) = self.steps.iter_mut().find(|record| record.index == step) {
                    close_step(record, &exit, duration_ms);
                    record.exit = record.exit.take().map(|words| self.veil.words(words));
                }
                self.save().await?;
                self.log.mark(position)
            }
            JobEvent::File {
                kind,
                path,
                stored,
                size,
                step,
            } => match kind {
                CollectKind::Tests | CollectKind::Coverage => {
                    self.written.extend(step.map(|step| (path.clone(), step)));
                    self.read(kind, path, stored).await
                }
                CollectKind::Artifact => self.keep(path, &stored, size).await,
                CollectKind::Cache => {
                    self.app
                        .keep_cache(self.claim, &self.supplies, &stored)
                        .await;
                    Ok(())
                }
            },
        }
    }

    /// Remembers the image, and tells when it is another one than that of the last green build.
    async fn note_image(&mut self, image: &str) -> Result<()> {
        let store = &self.app.parts.store;
        let worker = &self.app.settings.worker;
        let before = store.note_image(&self.claim.job.id, worker, image).await?;
        let name = |image: &str| image.split('@').next().unwrap_or(image).to_owned();
        if let Some(before) = before
            && before != image
            && name(&before) == name(image)
        {
            self.notes.push(format!(
                "the image has changed since the last green build: it was {before} and is {image}"
            ));
        }
        Ok(())
    }

    /// Writes to the log what was held back of a step's output, or of all output.
    fn write_held_back(&mut self, step: Option<u32>) -> Result<()> {
        let now_ms = self.unix_ms();
        for (step, stream, bytes) in self.veil.held_back(step) {
            self.log
                .append(step, stream, now_ms, self.running.position(), &bytes)?;
        }
        Ok(())
    }

    fn unix_ms(&self) -> u64 {
        u64::try_from(self.app.now_ms()).unwrap_or(0)
    }

    /// Reads a report.
    async fn read(&mut self, kind: CollectKind, path: String, stored: PathBuf) -> Result<()> {
        let Some(mut reports) = self.reports.take() else {
            return Ok(());
        };
        let (reports, added) = apart(move || {
            let added = reports.add(kind, &path, &stored);
            let _ = std::fs::remove_file(&stored);
            (reports, added)
        })
        .await?;
        self.reports = Some(reports);
        added
    }

    /// Keeps a file for people.
    async fn keep(&mut self, path: String, stored: &Path, bytes: u64) -> Result<()> {
        if self.veil.covers(&path) {
            self.notes
                .push("an artifact is not kept: there is a secret in its path".to_owned());
            return Ok(());
        }
        let artifacts = &self.app.parts.artifacts;
        artifacts.keep(&self.key, &path, stored).await?;
        self.artifacts.retain(|artifact| artifact.path != path);
        self.artifacts.push(Artifact { path, bytes });
        Ok(())
    }

    async fn save(&mut self) -> Result<()> {
        let worker = &self.app.settings.worker;
        self.app
            .parts
            .store
            .save_steps(&self.claim.job.id, worker, &self.steps)
            .await
    }

    /// Where failed steps first say what went wrong, and where they speak of failed tests. It only helps to find
    /// the place, so nothing fails for it.
    async fn find_trouble(&mut self, report: &mut Report) {
        let logs = self.app.parts.logs.as_ref();
        for step in &mut self.steps {
            if matches!(step.state, StepState::Failed | StepState::TimedOut) {
                step.trouble = first_trouble(logs, &self.key, step.index).await;
            }
        }
        find_tests(logs, &self.key, &self.steps, report).await;
    }

    async fn conclude(&mut self, ending: Ending, change: Change) -> Result<Outcome> {
        for record in &mut self.steps {
            if matches!(record.state, StepState::Waiting | StepState::Running) {
                record.state = StepState::Skipped;
            }
        }
        let reports = self
            .reports
            .take()
            .unwrap_or_else(|| Reports::new(&[], Declared::default()));
        let partial_lines_miss = self.claim.build.plan.partial_lines_miss;
        let Change {
            diff, ancestors, ..
        } = change;
        let was_cancelled = matches!(ending, Ending::Cancelled(_));
        let gathered = apart(move || reports.finish(diff.as_deref(), partial_lines_miss)).await?;
        let duration =
            Duration::from_millis(u64::try_from(self.app.now_ms() - self.started_ms).unwrap_or(0));
        let declared = &self.claim.job.order.reports;
        let mut report = gathered.report;
        let in_diff = gathered.in_diff;
        self.veil.report(&mut report);
        self.find_trouble(&mut report).await;
        // What was cancelled ran a part, and nobody asks for it.
        let (mut insight, mut tolerated) = (None, Vec::new());
        if !was_cancelled {
            let put_away = std::mem::take(&mut self.put_away);
            let compared = Compared {
                report: &report,
                in_diff: &in_diff,
                ancestors: &ancestors,
            };
            (insight, tolerated) = self.app.judge_tests(self.claim, compared, put_away).await?;
            let order = &self.claim.job.order;
            let notes =
                tolerance::forgive(&mut self.steps, order, &report, &self.written, &tolerated);
            self.notes.extend(notes);
        }
        let said = verdict(&Facts {
            ending,
            steps: &self.steps,
            report: &report,
            tolerated: tolerated.len() as u64,
            declared_tests: declared.tests.as_deref().unwrap_or_default(),
            declared_coverage: declared.coverage.as_deref().unwrap_or_default(),
            test_files: gathered.test_files,
            coverage_files: gathered.coverage_files,
            min_tests: self.claim.build.plan.min_tests,
            duration,
        });
        let mut result = JobResult {
            conclusion: said.conclusion,
            title: said.title,
            failures: said.failures,
            notes: std::mem::take(&mut self.notes),
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            report,
            patch: gathered.patch,
            in_diff,
            insight,
            tolerated,
            artifacts: std::mem::take(&mut self.artifacts),
        };
        self.veil.result(&mut result);
        let steps = std::mem::take(&mut self.steps);
        Ok(Outcome::Ended(Box::new(result), steps))
    }
}

/// Does work that may take its time on a thread of its own.
pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| PortError::transient(format!("work on a thread: {error}")))
}

/// Waits until somebody wants the job cancelled, and says why; for ever if nobody does.
pub(super) async fn wish(cancelled: &mut watch::Receiver<Option<String>>) -> String {
    loop {
        if let Some(reason) = cancelled.borrow_and_update().clone() {
            return reason;
        }
        if cancelled.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// A job that ended before its first step.
pub(super) fn unbegun(claim: &Claim, conclusion: Conclusion, title: String) -> Outcome {
    let mut result = JobResult::without_run(conclusion, title);
    if conclusion == Conclusion::Failure {
        let text = result.title.clone();
        result.failures.push(JobFailure::Step { text });
    }
    Outcome::Ended(Box::new(result), claim.job.steps.clone())
}

/// Herald ends, and what ran here ends with it.
pub(super) fn shut_down() -> Outcome {
    Outcome::Trouble(Interruption {
        what: "Herald was shut down".to_owned(),
        attempts: None,
        not_before_ms: 0,
    })
}

/// An error that is none of whoever wrote the specification.
pub(super) fn ours(error: PortError) -> PortError {
    match error.kind {
        Kind::Gone | Kind::Denied => PortError::transient(error.message),
        _ => error,
    }
}

/// How far a job was by what is kept of it.
fn progress(position: u64, steps: &[StepRecord]) -> Progress {
    let of = |states: &dyn Fn(StepState) -> bool| {
        let those = steps.iter().filter(|step| states(step.state));
        those.map(|step| step.index).collect()
    };
    Progress {
        position,
        begun: of(&|state| state == StepState::Running),
        over: of(&|state| !matches!(state, StepState::Running | StepState::Waiting)),
    }
}
