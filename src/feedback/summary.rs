//! The Markdown of a finished check: says less in steps until it fits.

use askama::Template;

use super::annotations::display_name;
use super::coverage::{self, Files};
use super::deployment::who_approved;
use super::failures::{Failure, Known, failed};
use super::few::{Few, and_more};
use super::links::{job_page, lead_to_builds};
use crate::domain::history::{Insight, Verdicts};
use crate::domain::verdict::counts;
use crate::domain::{
    BuildView, Conclusion, Import, Job, JobFailure, JobResult, StepRecord, StepState,
};
use crate::report::{Outcome, Report, Share};
use crate::text::{self, markdown, shorten};

/// How much is said, the most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Say {
    /// The first failures with their details, the others by name; flaky tests and skip reasons.
    All,
    /// The first failures with their messages, the others by name.
    Failures,
    /// What failed, by name.
    Names,
    /// Counts, and a link to the rest.
    Counts,
}

const STEPS: [Say; 4] = [Say::All, Say::Failures, Say::Names, Say::Counts];

/// How much there is room for beside the tests.
struct Room {
    /// Jobs in the table.
    jobs: usize,
    /// Reasons, and remarks.
    words: usize,
    /// Characters of a name, a title or a reason.
    chars: usize,
    /// Files with their coverage.
    files: usize,
}

impl Say {
    /// The last one fits into GitHub's limit whatever the names are made of.
    fn room(self) -> Room {
        let (jobs, words, chars, files) = match self {
            Self::All => (500, 100, 1_000, 50),
            Self::Failures => (200, 50, 500, 20),
            Self::Names => (100, 20, 200, 10),
            Self::Counts => (20, 5, 100, 0),
        };
        Room {
            jobs,
            words,
            chars,
            files,
        }
    }
}

/// Failures that are shown with their details.
const DETAILED: usize = 20;
/// Failures that are named.
const NAMED: usize = 300;
/// Skipped tests whose reason is told.
const SKIPPED: usize = 20;

/// A text that is to fit into a limit.
pub trait Summary {
    /// The text at a level from 0 (all) to 3 (counts and a link). But for the first one, the last line
    /// says that something is left out.
    fn render(&self, level: usize) -> String;
}

/// The most that fits into `limit` bytes. The last level is short whatever the build did; if even
/// that is too long, lines before its last one are left out, which says so.
pub fn fit(summary: &impl Summary, limit: usize) -> String {
    let mut text = String::new();
    for level in 0..STEPS.len() {
        text = summary.render(level);
        if text.len() <= limit {
            return text;
        }
    }
    shorten::lines(&text, limit).into_owned()
}

/// A line of the table.
struct Line {
    label: String,
    text: String,
}

/// A job in the table of jobs.
struct JobLine {
    icon: &'static str,
    name: String,
    url: String,
    title: String,
}

#[derive(Template)]
#[template(path = "github/check.md", escape = "none")]
struct Check {
    intro: Vec<String>,
    lines: Vec<Line>,
    jobs: Vec<JobLine>,
    more_jobs: String,
    heading: String,
    failures: Vec<Failure>,
    others: Vec<String>,
    more: String,
    flaky: Vec<String>,
    skipped: Vec<String>,
    coverage: Files,
    notes: Vec<String>,
    left_out: bool,
    url: String,
}

/// What a check run says of one job or of a whole build.
pub(super) struct CheckSummary<'a> {
    pub(super) view: &'a BuildView,
    /// The one job it speaks of; `None` for all.
    pub(super) job: Option<&'a Job>,
    pub(super) report: &'a Report,
    pub(super) patch: Option<Share>,
    /// How many annotations do not fit on the check run.
    pub(super) unannotated: usize,
    /// The address where all of it is; empty where there are no pages.
    pub(super) url: String,
    /// The address of the build's page; empty where there are no pages.
    pub(super) page: String,
    /// What is read first: Markdown of our own.
    pub(super) lead: Vec<String>,
}

impl Summary for CheckSummary<'_> {
    fn render(&self, level: usize) -> String {
        let say = STEPS.get(level).copied().unwrap_or(Say::Counts);
        let verdicts = Verdicts::new(self.insights());
        let mut failed = failed(self.report);
        verdicts.sort(&mut failed);
        let (detailed, named) = match say {
            Say::All | Say::Failures => (DETAILED, NAMED),
            Say::Names => (0, NAMED),
            Say::Counts => (0, 0),
        };
        let show_locals = self.view.build.plan.publish.show_locals;
        let known = Known {
            page: &self.page,
            verdicts: &verdicts,
            tolerated: &self.tolerated().into_iter().collect(),
        };
        let failures: Vec<Failure> = failed
            .iter()
            .take(detailed)
            .map(|test| Failure::new(test, (say == Say::All).then_some(show_locals), &known))
            .collect();
        let others: Vec<String> = failed
            .iter()
            .skip(detailed)
            .take(named)
            .map(|test| known.by_name(test))
            .collect();
        let left = failed.len() - failures.len() - others.len();
        let room = say.room();
        let (jobs, more_jobs) = self.jobs(&room);
        let check = Check {
            intro: self.intro(&room, &verdicts.headline()),
            lines: self.lines(),
            jobs,
            more_jobs,
            heading: if failures.is_empty() && others.is_empty() {
                String::new()
            } else {
                text::plural(failed.len() as u64, "failed test")
            },
            failures,
            others,
            more: if named > 0 {
                and_more(left, "failed test")
            } else {
                String::new()
            },
            flaky: if say == Say::All {
                flaky(self.report)
            } else {
                Vec::new()
            },
            skipped: if say == Say::All {
                skipped(self.report)
            } else {
                Vec::new()
            },
            coverage: match self.job {
                Some(_) => Files::default(),
                None => coverage::files(self.view, &self.page, room.files, true),
            },
            notes: self.notes(&room),
            left_out: say > Say::All,
            url: self.url.clone(),
        };
        tidy(&check.render().unwrap_or_default())
    }
}

impl CheckSummary<'_> {
    /// Why it is red, or why it did not run: the first thing that is read.
    fn intro(&self, room: &Room, headline: &str) -> Vec<String> {
        let mut intro = Few::new(room.words);
        for line in &self.lead {
            intro.add(|| line.clone());
        }
        if !headline.is_empty() {
            intro.add(|| format!("**{headline}**"));
        }
        if let Some((_, summary)) = &self.view.build.plan.verdict {
            intro.add(|| summary.clone());
        }
        if self.view.build.plan.differs_from_base {
            let path = self.view.build.plan.path.as_deref().unwrap_or_default();
            intro.add(|| format!("`{path}` differs from the one of the base."));
        }
        if let (Some(judgement), None) = (&self.view.judgement, self.job) {
            for gate in judgement.failed() {
                intro.add(|| coverage::gate(gate, &self.page));
            }
        }
        for job in self.spoken_of() {
            let Some(result) = &job.result else { continue };
            let prefix = || {
                if self.job.is_none() && self.view.jobs.len() > 1 {
                    format!("**{}**: ", short(job_name(job), room.chars))
                } else {
                    String::new()
                }
            };
            let mut steps = job.steps.iter().filter(|step| step.is_to_blame());
            for failure in &result.failures {
                match failure {
                    JobFailure::Step { text } => {
                        let step = steps.next();
                        let link = || self.log_link(job, step).unwrap_or_default();
                        intro.add(|| {
                            format!("❌ {}{}{}", prefix(), short(text, room.chars), link())
                        });
                    }
                    JobFailure::Report { text } => {
                        intro.add(|| format!("❌ {}{}", prefix(), short(text, room.chars)));
                    }
                    JobFailure::Tests => {}
                }
            }
            if matches!(
                result.conclusion,
                Conclusion::Cancelled | Conclusion::ActionRequired
            ) {
                intro.add(|| format!("{}{}", prefix(), short(&result.title, room.chars)));
            }
        }
        intro.end("reason")
    }

    /// Where in its log a failed step says what went wrong, as a link to put after a word of it.
    fn log_link(&self, job: &Job, step: Option<&StepRecord>) -> Option<String> {
        // A run on somebody's own machine has no pages.
        let step = step.filter(|_| !self.page.is_empty())?;
        let page = self.job_url(job);
        let anchor = step.anchor(&job.steps);
        Some(match step.trouble {
            Some(line) => format!(" ([log, line {line}]({page}#{anchor}:L{line}))"),
            None => format!(" ([log]({page}#{anchor}))"),
        })
    }

    /// Ids of failed tests that do not count.
    fn tolerated(&self) -> Vec<&str> {
        match self.job {
            Some(job) => {
                let tolerated = job.result.iter().flat_map(|result| &result.tolerated);
                tolerated.map(String::as_str).collect()
            }
            None => self.view.tolerated(self.report),
        }
    }

    fn insights(&self) -> impl Iterator<Item = &Insight> {
        self.spoken_of().into_iter().filter_map(Job::insight)
    }

    fn job_url(&self, job: &Job) -> String {
        match self.page.as_str() {
            "" => format!("#{}", job.key),
            page => job_page(page, &job.key),
        }
    }

    fn spoken_of(&self) -> Vec<&Job> {
        match self.job {
            Some(job) => vec![job],
            None => self.view.jobs.iter().collect(),
        }
    }

    fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut add = |label: &str, text: String| {
            lines.push(Line {
                label: label.to_owned(),
                text,
            });
        };
        if let Some(import) = &self.view.build.plan.import {
            add("Reports of", source(import));
        }
        let totals = self.report.totals();
        if totals.tests > 0 {
            let mut text = counts(&totals, self.tolerated().len() as u64);
            if totals.flaky > 0 {
                text.push_str(&format!(", {} flaky", totals.flaky));
            }
            if totals.runs > totals.tests {
                text.push_str(&format!(" ({} runs)", totals.runs));
            }
            add("Tests", text);
        }
        let mut insights = self.insights();
        if let (Some(insight), None) = (insights.next(), insights.next())
            && let Some(text) = insight.summary()
        {
            add("Against", lead_to_builds(&text, &self.page));
        }
        let lines_of = match self.job {
            Some(_) => coverage::of_report(self.report),
            None => coverage::of_lines(self.view, self.report),
        };
        if let Some(text) = lines_of {
            add("Coverage", lead_to_builds(&text, &self.page));
        }
        if let Some(patch) = self.patch.filter(|patch| patch.total > 0) {
            let text = format!("{} {}", coverage::bar(patch), coverage::of_patch(patch));
            add("Coverage of the change", text);
        }
        if let (Some(judgement), None) = (&self.view.judgement, self.job) {
            for gate in &judgement.gates {
                let name = markdown::code(&gate.name);
                add(&format!("Gate {name}"), coverage::gate(gate, &self.page));
            }
            if let Some(text) = self.view.behind() {
                add("Branch", short(&text, 200));
            }
        }
        if let [job] = self.spoken_of().as_slice() {
            if let Some(text) = steps_text(job) {
                add("Steps", text);
            }
            if let Some(result) = &job.result
                && result.duration_ms > 0
            {
                add("Duration", duration(result));
            }
        }
        lines
    }

    /// The jobs for the table, and how many are not in it. Where there is no room for all, those
    /// come first that are not green.
    fn jobs(&self, room: &Room) -> (Vec<JobLine>, String) {
        let mut jobs: Vec<&Job> = self.view.jobs.iter().collect();
        if self.job.is_some() || jobs.len() < 2 {
            return (Vec::new(), String::new());
        }
        let left = jobs.len().saturating_sub(room.jobs);
        if left > 0 {
            jobs.sort_by_key(|job| rank(job));
            jobs.truncate(room.jobs);
        }
        let lines = jobs.into_iter().map(|job| JobLine {
            icon: icon(job.conclusion),
            name: short(job_name(job), room.chars),
            url: self.job_url(job),
            title: match &job.result {
                Some(result) => short(&result.title, room.chars),
                None => job.state.as_str().to_owned(),
            },
        });
        (lines.collect(), and_more(left, "job"))
    }

    fn notes(&self, room: &Room) -> Vec<String> {
        let mut notes = Few::new(room.words);
        if self.unannotated > 0 {
            notes.add(|| {
                format!(
                    "{} could not be annotated: GitHub shows at most 1,000 on a check.",
                    text::plural(self.unannotated as u64, "failed test")
                )
            });
        }
        let placeless = failed(self.report)
            .iter()
            .filter(|test| test.location.is_none())
            .count();
        if placeless > 0 {
            notes.add(|| {
                format!(
                    "{} could not be placed on a line of the repository.",
                    text::plural(placeless as u64, "failed test")
                )
            });
        }
        if let Some(lost) = coverage::lost_files(self.report, room.chars) {
            notes.add(|| lost);
        }
        if self.job.is_none() {
            for note in self
                .view
                .judgement
                .iter()
                .flat_map(|judgement| &judgement.notes)
            {
                notes.add(|| short(note, room.chars));
            }
        }
        for job in self.spoken_of() {
            if let Some(note) = who_approved(job) {
                notes.add(|| short(&note, room.chars));
            }
            for note in job.result.iter().flat_map(|result| &result.notes) {
                notes.add(|| short(note, room.chars));
            }
        }
        notes.end("remark")
    }
}

/// Where reports come from, with a link.
fn source(import: &Import) -> String {
    let run = match import {
        Import::Actions { run, .. } => run,
        Import::Uploads {
            name,
            received,
            expected,
            ..
        } => {
            let parts = match expected {
                Some(expected) => format!("{received} of {expected} uploaded parts"),
                None => text::plural(u64::from(*received), "uploaded part"),
            };
            return format!("{}, {parts}", short(name, 200));
        }
    };
    let name = format!("{} #{}", short(&run.name, 200), run.number);
    let name = match run.url.as_str() {
        "" => name,
        url => format!("[{name}]({url})"),
    };
    let again = if run.attempt > 1 {
        format!(", attempt {}", run.attempt)
    } else {
        String::new()
    };
    format!("{name} for {}{again}", markdown::code(&run.event))
}

/// A text of others on one line, at most this long.
pub(super) fn short(text: &str, chars: usize) -> String {
    markdown::escape(&shorten::chars(text, chars))
}

/// How soon people want to see a job: what is not good first, and what still runs last of that.
fn rank(job: &Job) -> (bool, usize) {
    let Some(conclusion) = job.conclusion else {
        return (false, Conclusion::ALL.len());
    };
    let good = matches!(
        conclusion,
        Conclusion::Success | Conclusion::Skipped | Conclusion::Neutral
    );
    let all = Conclusion::ALL.iter();
    (good, all.take_while(|other| **other != conclusion).count())
}

/// How a job is called in front of people.
pub(super) fn job_name(job: &Job) -> &str {
    if job.name.is_empty() {
        &job.key
    } else {
        &job.name
    }
}

pub(super) fn icon(conclusion: Option<Conclusion>) -> &'static str {
    match conclusion {
        Some(Conclusion::Success) => "✅",
        Some(Conclusion::Failure) => "❌",
        Some(Conclusion::TimedOut) => "⏱️",
        Some(Conclusion::Cancelled) => "🚫",
        Some(Conclusion::ActionRequired) => "✋",
        Some(Conclusion::Skipped | Conclusion::Neutral) => "⏭️",
        None => "⏳",
    }
}

fn flaky(report: &Report) -> Vec<String> {
    report
        .tests
        .iter()
        .filter(|test| test.flaky)
        .take(SKIPPED)
        .map(|test| short(&display_name(test), 200))
        .collect()
}

fn skipped(report: &Report) -> Vec<String> {
    report
        .tests
        .iter()
        .filter(|test| test.outcome == Outcome::Skipped)
        .take(SKIPPED)
        .map(|test| {
            let name = short(&display_name(test), 200);
            match test.message.as_deref().map(str::trim) {
                Some(reason) if !reason.is_empty() => {
                    format!("{name}: {}", short(reason, 200))
                }
                _ => name,
            }
        })
        .collect()
}

fn steps_text(job: &Job) -> Option<String> {
    let is_tolerated = |step: &&StepRecord| step.state == StepState::Failed && step.tolerated;
    let tolerated = job.steps.iter().filter(is_tolerated).count();
    let count = |state| {
        let of_state = job.steps.iter().filter(|step| step.state == state).count();
        of_state
            - if state == StepState::Failed {
                tolerated
            } else {
                0
            }
    };
    let mut parts: Vec<String> = [
        (StepState::Failed, "failed"),
        (StepState::TimedOut, "timed out"),
        (StepState::Passed, "passed"),
        (StepState::Cancelled, "cancelled"),
        (StepState::Skipped, "skipped"),
    ]
    .into_iter()
    .filter_map(|(state, word)| {
        let count = count(state);
        (count > 0).then(|| format!("{count} {word}"))
    })
    .collect();
    if tolerated > 0 {
        parts.push(format!("{tolerated} tolerated"));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn duration(result: &JobResult) -> String {
    text::duration(std::time::Duration::from_millis(result.duration_ms))
}

/// Folds runs of blank lines, which templates leave behind, outside of fences.
pub(super) fn tidy(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut fences = markdown::Fences::default();
    let mut blank = true;
    for line in text.lines() {
        let fenced = fences.open_after(line);
        let empty = line.trim().is_empty();
        if empty && blank && !fenced {
            continue;
        }
        blank = empty;
        kept.push_str(line);
        kept.push('\n');
    }
    kept.truncate(kept.trim_end().len());
    kept
}
