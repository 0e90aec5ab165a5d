//! Reports that come from elsewhere: whether anybody asks for them, what they are about, and reading them.

use std::path::Path;

use globset::{Glob, GlobSet, GlobSetBuilder};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::attempt::{Begin, Outcome, apart, ours, shut_down, unbegun, wish};
use super::checkout::{Change, CheckedOut, Place};
use super::collect::Imported;
use super::quarantine::FromFile;
use super::state::App;
use crate::domain::import::{self, ImportFacts};
use crate::domain::{
    Conclusion, Import, JobResult, Occasion, Preparation, Repository, Sha, Trigger, WorkflowRun,
};
use crate::ports::error::Result;
use crate::ports::source::Remote;
use crate::ports::store::{BuildDraft, Claim, DraftJob, Nothing};
use crate::ports::{Kind, PortError};
use crate::spec::{self, JobSpecification, Specification};

/// Artifacts that are read for one commit.
const ARTIFACTS: usize = 200;
/// Bytes of one artifact as it is sent.
const ARTIFACT_MAX: u64 = 1 << 30;

/// What was read, and from what.
struct Read {
    reports: Imported,
    /// The runs that the reports are of.
    runs: Vec<WorkflowRun>,
    /// What is wrong with where they were.
    problems: Vec<String>,
    /// How many artifacts were read.
    artifacts: usize,
}

impl App {
    /// The build of reports from elsewhere, if anybody asks for them.
    pub(super) async fn prepare_import(
        &self,
        trigger: &Trigger,
        repository: &Repository,
        import: &Import,
    ) -> Result<std::result::Result<BuildDraft, Nothing>> {
        let run = match import {
            Import::Actions { run, .. } => run,
            Import::Uploads { set, .. } => return self.prepare_set(trigger, repository, set).await,
        };
        let remote = self.parts.forge.remote(repository).await?;
        let specification = self.default_specification(repository, &remote).await?;
        let asked = specification.as_ref().and_then(|all| all.actions.as_ref());
        let Some(actions) = asked.filter(|actions| actions.workflows.contains(&run.name)) else {
            return Ok(Err(Nothing::Unselected));
        };
        if run.best().is_none() || !run.is_about_commit() {
            return Ok(Err(Nothing::Unselected));
        }
        let Some(occasion) = self.occasion_of(repository, run).await? else {
            info!(
                repository = repository.full_name(),
                run = run.id,
                "no pull request of {} has the commit of run {}",
                repository.full_name(),
                run.id
            );
            return Ok(Err(Nothing::Unselected));
        };
        let source = &self.parts.source;
        let commit = trigger.commit.as_str();
        source.fetch(&remote, commit, &occasion.refs()).await?;
        let import = Import::Actions {
            run: run.clone(),
            artifacts: actions.artifacts.clone(),
        };
        let mut draft = draft(trigger, import, specification.as_ref());
        draft.occasion = Some(occasion);
        Ok(Ok(draft))
    }

    /// The specification of the default branch; `None` where there is none that can be read, which its own build says.
    pub(super) async fn default_specification(
        &self,
        repository: &Repository,
        remote: &Remote,
    ) -> Result<Option<Specification>> {
        let branch = match repository.default_branch.as_str() {
            "" => {
                self.parts
                    .forge
                    .repository(repository)
                    .await?
                    .default_branch
            }
            branch => branch.to_owned(),
        };
        let source = &self.parts.source;
        let Some(tip) = source.tip(remote, &branch).await? else {
            return Ok(None);
        };
        source
            .fetch(remote, &tip, &[format!("refs/heads/{branch}")])
            .await?;
        let tip = Sha::parse(&tip)
            .map_err(|error| PortError::transient(format!("read where {branch} is: {error}")))?;
        let found = self.find(&remote.id, &tip).await?;
        Ok(found.and_then(|found| spec::parse(&found.bytes).specification))
    }

    /// What a run was for. The head of a pull request is GitHub's word and not the branch's name: a fork's may be called
    /// as one of ours. `None` when there is no such pull request.
    async fn occasion_of(
        &self,
        repository: &Repository,
        run: &WorkflowRun,
    ) -> Result<Option<Occasion>> {
        if let Some(queue) = run.queue() {
            return Ok(Some(Occasion::MergeGroup {
                branch: run.branch.clone().unwrap_or_default(),
                base_ref: queue.base_ref,
                base: queue.base,
            }));
        }
        if !run.is_for_pull() {
            let is_own = run.head_repository.as_ref() == Some(&repository.id);
            let branch = run.branch.clone().filter(|_| is_own);
            return Ok(branch.map(|branch| Occasion::Push {
                branch,
                before: None,
            }));
        }
        let (store, forge) = (&self.parts.store, &self.parts.forge);
        let mut numbers = run.pulls.clone();
        numbers.extend(store.pulls_with_head(&repository.id, &run.commit).await?);
        for number in numbers {
            let pull = match forge.pull_request(repository, number).await {
                Ok(pull) => pull,
                Err(error) if error.kind == Kind::Gone => continue,
                Err(error) => return Err(error),
            };
            // Such a run may be shown on a commit of the base.
            if run.event == "pull_request_target" && pull.head != run.commit {
                continue;
            }
            // Somebody else may have opened one with the same commit.
            if pull.head_repository.is_some() && pull.head_repository != run.head_repository {
                continue;
            }
            return Ok(Some(of_commit(pull, run)));
        }
        let (Some(owner), Some(branch)) = (&run.head_owner, &run.branch) else {
            return Ok(None);
        };
        let found = forge.pulls_from(repository, owner, branch).await?;
        let pull = found.into_iter().find(|pull| pull.head == run.commit);
        Ok(pull.map(|pull| Occasion::PullRequest { pull }))
    }

    /// Takes the next job that reads reports, and carries it out; `false` when there is none.
    pub(super) async fn import_next(&self) -> Result<bool> {
        let Some(claim) = self.claim_import().await? else {
            return Ok(false);
        };
        // Nothing is lost when the server stops in the middle: it is read again.
        self.run_job(claim, Begin::Anew, &CancellationToken::new())
            .await?;
        Ok(true)
    }

    /// One attempt to read reports.
    pub(super) async fn import(
        &self,
        claim: &Claim,
        import: &Import,
        mut cancelled: watch::Receiver<Option<String>>,
        stop: &CancellationToken,
    ) -> Result<Outcome> {
        let place = Place::new(&self.settings.work_dir, claim.job.id.as_str())?;
        tokio::select! {
            biased;
            () = stop.cancelled() => Ok(shut_down()),
            reason = wish(&mut cancelled) => {
                Ok(unbegun(claim, Conclusion::Cancelled, format!("cancelled: {reason}")))
            }
            read = self.read_import(claim, import, &place) => {
                // Nobody who wrote a specification is to blame.
                let result = read.map_err(ours)?;
                Ok(Outcome::Ended(Box::new(result), Vec::new()))
            }
        }
    }

    async fn read_import(
        &self,
        claim: &Claim,
        import: &Import,
        place: &Place,
    ) -> Result<JobResult> {
        let (run, artifacts) = match import {
            Import::Actions { run, artifacts } => (run, artifacts),
            Import::Uploads { set, .. } => return self.read_set(claim, set, place).await,
        };
        // Nothing of it runs, so no file of it is written.
        let CheckedOut {
            tree,
            quarantine,
            change,
            ..
        } = self.check_out(claim, place, Begin::Again).await?;
        let reports = Imported::new(&tree);
        let mut read = Read {
            reports,
            runs: self.runs(claim, run).await?,
            problems: Vec::new(),
            artifacts: 0,
        };
        for run in read.runs.clone() {
            self.read_run(claim, &run, artifacts.as_deref(), &place.scratch, &mut read)
                .await?;
        }
        self.conclude_import(claim, read, artifacts.as_deref(), change, quarantine)
            .await
    }

    /// The runs of the same workflow for the same commit that have ended: the newest for each event.
    async fn runs(&self, claim: &Claim, told: &WorkflowRun) -> Result<Vec<WorkflowRun>> {
        let forge = &self.parts.forge;
        let (repository, commit) = (&claim.repository, &claim.build.commit);
        let mut runs = forge.runs(repository, told.workflow, commit).await?;
        // GitHub tells of a run before it lists it everywhere.
        match runs.iter_mut().find(|run| run.id == told.id) {
            // One that runs again has no result yet, and that of before still stands.
            Some(listed) if listed.attempt < told.attempt || listed.best().is_none() => {
                *listed = told.clone();
            }
            Some(_) => {}
            None => runs.insert(0, told.clone()),
        }
        let mut newest: Vec<WorkflowRun> = Vec::new();
        for run in runs {
            let is_known = newest.iter().any(|other| other.event == run.event);
            let is_alike = run.trust(&repository.id) == claim.build.trust && run.is_about_commit();
            if !is_known && run.best().is_some() && is_alike {
                newest.push(run);
            }
        }
        Ok(newest)
    }

    /// Reads the artifacts of a run; of those of one name the newest.
    async fn read_run(
        &self,
        claim: &Claim,
        run: &WorkflowRun,
        patterns: Option<&[String]>,
        scratch: &Path,
        read: &mut Read,
    ) -> Result<()> {
        let forge = &self.parts.forge;
        let wanted = patterns.map(globs).transpose()?;
        let mut names: Vec<String> = Vec::new();
        for artifact in forge.artifacts(&claim.repository, run.id).await? {
            let name = artifact.name;
            let is_wanted = wanted.as_ref().is_none_or(|globs| globs.is_match(&name));
            if !is_wanted || names.contains(&name) {
                continue;
            }
            names.push(name.clone());
            if read.artifacts == ARTIFACTS {
                read.problems.push(format!(
                    "there are more than {ARTIFACTS} artifacts; the rest is left out"
                ));
                break;
            }
            if artifact.is_expired {
                read.problems.push(format!(
                    "the artifact `{name}` has expired: GitHub has deleted it"
                ));
                continue;
            }
            if artifact.bytes > ARTIFACT_MAX {
                let (has, most) = (artifact.bytes >> 20, ARTIFACT_MAX >> 20);
                read.problems.push(format!(
                    "the artifact `{name}` has {has} MiB; at most {most} MiB are read"
                ));
                continue;
            }
            let file = scratch.join("artifact.zip");
            match forge
                .download(&claim.repository, artifact.id, &file, ARTIFACT_MAX)
                .await
            {
                Ok(()) => {}
                Err(error) if matches!(error.kind, Kind::Gone | Kind::Refused) => {
                    read.problems.push(format!(
                        "the artifact `{name}`: failed to {}",
                        error.message
                    ));
                    continue;
                }
                Err(error) => return Err(error),
            }
            read.artifacts += 1;
            let mut reports = std::mem::take(&mut read.reports);
            let (reports, problems) = apart(move || {
                let problems = reports.add_archive(&name, &file);
                let _ = std::fs::remove_file(&file);
                (reports, problems)
            })
            .await?;
            read.reports = reports;
            read.problems.extend(problems?);
        }
        Ok(())
    }

    async fn conclude_import(
        &self,
        claim: &Claim,
        read: Read,
        patterns: Option<&[String]>,
        change: Change,
        quarantine: FromFile,
    ) -> Result<JobResult> {
        let weighed = self
            .weigh(claim, read.reports, change, quarantine.tests)
            .await?;
        let said = import::verdict(&ImportFacts {
            workflow: claim.job.order.name.as_deref().unwrap_or_default(),
            runs: &read.runs,
            report: &weighed.report,
            tolerated: weighed.tolerated.len() as u64,
            problems: &read.problems,
            patterns,
            artifacts: read.artifacts,
            min_tests: claim.build.plan.min_tests,
        });
        let took_ms = import::duration_ms(&read.runs);
        Ok(weighed.result(said, quarantine.notes, took_ms))
    }
}

/// A pull request as it was when this commit was its head.
fn of_commit(mut pull: crate::domain::PullRequest, run: &WorkflowRun) -> Occasion {
    pull.head = run.commit.clone();
    Occasion::PullRequest { pull }
}

fn globs(patterns: &[String]) -> Result<GlobSet> {
    let mut all = GlobSetBuilder::new();
    let refused = |error: globset::Error| PortError::refused(format!("read `artifacts`: {error}"));
    for pattern in patterns {
        all.add(Glob::new(pattern).map_err(refused)?);
    }
    all.build().map_err(refused)
}

/// By which builds of the same reports are known.
pub(super) fn specification_of(import: &Import, commit: &Sha) -> String {
    super::prepare::hash(&[b"import", import.subject(commit).as_bytes()])
}

/// A build of one job, which reads reports.
pub(super) fn draft(
    trigger: &Trigger,
    import: Import,
    specification: Option<&Specification>,
) -> BuildDraft {
    let mut plan = Preparation {
        min_tests: 1,
        is_judged: true,
        ..Preparation::default()
    };
    if let Some(specification) = specification {
        plan.publish = specification.publish.clone();
        plan.badges = specification.badges.clone();
        plan.partial_lines_miss = specification.gates.coverage.partial_lines_miss;
        plan.allow_known_flaky = specification.gates.allow_known_flaky;
        plan.is_aside = !specification.jobs.is_empty();
        if !plan.is_aside {
            // They are those of the repository's own build, where it has one.
            plan.min_tests = specification.gates.min_tests;
            plan.coverage_gates = specification.gates.coverage.clone();
        }
    }
    let order = JobSpecification {
        key: import.key(),
        name: Some(import.name().to_owned()),
        ..JobSpecification::default()
    };
    let specification = specification_of(&import, &trigger.commit);
    plan.import = Some(import);
    BuildDraft {
        tested: trigger.commit.clone(),
        specification,
        plan,
        jobs: vec![DraftJob {
            order,
            skipped: None,
        }],
        ended: None,
        approved_by: None,
        occasion: None,
    }
}
