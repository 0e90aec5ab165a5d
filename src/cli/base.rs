//! What `herald run --base` holds a change against: the base, built on this machine as well.

use std::collections::HashMap;
use std::fs;

use serde::{Deserialize, Serialize};

use super::checkout::Checkout;
use super::local::reported;
use crate::app::judgement;
use crate::domain::history::{Attempted, Insight, judge, runs};
use crate::domain::quarantine::{FILE, Quarantined, read_file};
use crate::domain::{BuildView, Job, Preparation, tolerance};
use crate::feedback::local_view;
use crate::report::Report;
use crate::spec::JobSpecification;

/// What a change is held against.
pub(super) struct Against {
    /// What the change adds, as a unified diff.
    pub(super) diff: Option<String>,
    /// Where it left the base.
    commit: String,
    behind: Option<u64>,
    /// What the jobs of the base report, by their names; empty when it could not be built.
    jobs: HashMap<String, Report>,
    /// Tests that the base's file puts away.
    put_away: Vec<Quarantined>,
}

/// By which a job is told apart from others: its key, of a member of a matrix its name.
pub(super) fn name_of(job: &JobSpecification) -> &str {
    if job.matrix.is_empty() {
        &job.key
    } else {
        job.check_name()
    }
}

/// Results of a commit as they are kept beside git's own files.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The version of Herald, whose shapes these are.
    version: String,
    /// How it was built.
    executor: String,
    /// The names of the jobs that were asked for; the base may not have all of them.
    asked: Vec<String>,
    jobs: HashMap<String, Report>,
}

impl Against {
    /// Without results of the base yet.
    pub(super) fn new(checkout: &Checkout, base: &str, now_ms: i64) -> Option<(Self, Vec<String>)> {
        let commit = checkout.left.clone()?;
        // As on the server, what the base says now counts, and not what it said when the change left it.
        let file = checkout.file_at(base, FILE).unwrap_or_default();
        let (put_away, unreadable) = read_file(&file, now_ms);
        let against = Self {
            diff: checkout.diff.clone(),
            behind: checkout.behind,
            jobs: HashMap::new(),
            put_away,
            commit,
        };
        let said = |one: &crate::domain::quarantine::Unreadable| {
            format!("{FILE}:{}: {}", one.line, one.text)
        };
        Some((against, unreadable.iter().map(said).collect()))
    }

    /// The commit.
    pub(super) fn commit(&self) -> &str {
        &self.commit
    }

    /// Takes the results that an earlier run has kept; `false` when one of these jobs is not among them.
    pub(super) fn take_kept<'a>(
        &mut self,
        checkout: &Checkout,
        executor: &str,
        mut wanted: impl Iterator<Item = &'a str>,
    ) -> bool {
        let file = checkout.kept().map(|dir| dir.join(self.name()));
        let kept = file.and_then(|file| fs::read(file).ok());
        let kept = kept.and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
        let Some(kept) = kept else { return false };
        let fits = kept.version == env!("CARGO_PKG_VERSION") && kept.executor == executor;
        if !fits || !wanted.all(|job| kept.asked.iter().any(|asked| asked == job)) {
            return false;
        }
        self.jobs = kept.jobs;
        true
    }

    /// Takes the results of the base, and keeps them for the next time. That this may not work out is no harm.
    pub(super) fn take(
        &mut self,
        checkout: &Checkout,
        executor: &str,
        asked: Vec<String>,
        jobs: Vec<Job>,
    ) {
        for job in jobs {
            let name = job.check_name().to_owned();
            self.jobs
                .extend(job.result.map(|result| (name, result.report)));
        }
        let kept = Kept {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            executor: executor.to_owned(),
            asked,
            jobs: self.jobs.clone(),
        };
        let (Some(dir), Ok(text)) = (checkout.kept(), serde_json::to_vec(&kept)) else {
            return;
        };
        let _ = fs::create_dir_all(&dir).and_then(|()| fs::write(dir.join(self.name()), text));
    }

    fn name(&self) -> String {
        format!("base-{}.json", self.commit)
    }

    /// What is known of the tests of a job by those of the base.
    pub(super) fn judge(
        &self,
        job: &JobSpecification,
        report: &Report,
        in_diff: &[String],
    ) -> Insight {
        let mut numbers = HashMap::new();
        let mut number = |report: &Report| -> Vec<u32> {
            let ids = report.tests.iter().map(|test| test.id.clone());
            ids.map(|id| {
                let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
                *numbers.entry(id).or_insert(next)
            })
            .collect()
        };
        let mut attempted = |report: &Report, commit: &str, at_ms: i64| Attempted {
            build: 0,
            attempt: u32::try_from(at_ms).unwrap_or(1),
            commit: commit.to_owned(),
            tested: commit.to_owned(),
            at_ms,
            runs: runs(report, &number(report)),
        };
        let past = self.jobs.get(name_of(job));
        let past: Vec<Attempted> = past
            .map(|report| attempted(report, &self.commit, 1))
            .into_iter()
            .collect();
        let now = attempted(report, "the files here", 2);
        let numbers = number(report);
        let ancestors = std::slice::from_ref(&self.commit);
        let mut insight = judge(report, &numbers, &now, &past, ancestors, in_diff);
        tolerance::put_away(&mut insight, report, &self.put_away);
        insight
    }

    /// What the base reports, of all jobs together; `None` when it could not be built.
    pub(super) fn report(&self) -> Option<Report> {
        (!self.jobs.is_empty()).then(|| Report::join(self.jobs.values()))
    }

    /// Judges a build as a whole against the base.
    pub(super) fn judge_whole(&self, view: &mut BuildView) {
        let base = (!self.jobs.is_empty()).then(|| {
            let jobs = self.jobs.iter();
            let jobs = jobs.map(|(name, report)| reported(name.clone(), report.clone()));
            local_view(jobs.collect(), Preparation::default())
        });
        let earlier = base.as_slice();
        judge_whole(view, earlier, self.diff.as_deref(), self.behind);
    }
}

/// Judges a build as a whole by what is known of its change.
pub(super) fn judge_whole(
    view: &mut BuildView,
    earlier: &[BuildView],
    diff: Option<&str>,
    behind: Option<u64>,
) {
    let judged = judgement(view, earlier, diff, None, behind);
    let of_jobs = view.build.conclusion;
    view.build.conclusion = of_jobs.map(|conclusion| judged.conclusion(conclusion));
    view.judgement = Some(judged);
}
