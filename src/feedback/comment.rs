//! The one comment on a pull request.

use std::collections::HashSet;

use askama::Template;

use super::annotations::display_name;
use super::check::build_title;
use super::coverage::{self, Files};
use super::failures::{failed, ways, words};
use super::few::Few;
use super::links::{Links, lead_to_builds};
use super::summary::{Summary, fit, icon, job_name, short, tidy};
use crate::domain::{BuildView, Comment, Conclusion, JobFailure, Judgement, State};
use crate::report::{CoverageChange, Report};
use crate::spec::CommentPolicy;
use crate::text;

/// GitHub's limit is 65,536 characters; a comment this long is read by nobody.
const BODY: usize = 30_000;
/// Characters of a name, a title or a reason.
const WORDS: usize = 200;
/// Fixed tests that are named, and files with lines that no test reaches.
const FEW: usize = 5;
/// By how many percentage points coverage has to move before people are told of it.
const MOVED: f64 = 0.1;
/// Reasons that are told where there is room for hardly anything.
const REASONS: usize = 3;

/// A failed test in the template.
struct Failure {
    name: String,
    place: String,
    message: String,
    verdict: String,
}

#[derive(Template)]
#[template(path = "github/comment.md", escape = "none")]
struct Body {
    icon: &'static str,
    title: String,
    commit: String,
    url: String,
    /// What is known of the failed tests, in one sentence.
    headline: String,
    /// Whether there is a verdict on one of them.
    judged: bool,
    reasons: Vec<String>,
    failures: Vec<Failure>,
    more: String,
    fixed: Vec<String>,
    lines: String,
    coverage: Files,
    /// How far the pull request is behind its base.
    behind: String,
    left_out: bool,
}

struct Content<'a> {
    links: &'a Links,
    view: &'a BuildView,
    report: &'a Report,
}

/// The comment for each pull request whose head this is, when the build has something to say. `beside`: builds of the
/// same commit whose reports come from elsewhere, or that theirs come beside; there is one comment for all.
pub(super) fn comments(links: &Links, view: &BuildView, beside: &[BuildView]) -> Vec<Comment> {
    if speaks(view).is_none() {
        return Vec::new();
    }
    let mut views: Vec<&BuildView> = std::iter::once(view).chain(beside).collect();
    views.retain(|view| speaks(view).is_some());
    views.sort_by_key(|view| view.build.plan.origin());
    let worth_a_first = views.iter().any(|view| is_worth_a_first(view));
    let room = BODY / views.len().max(1);
    let part = |view: &&BuildView| {
        let report = &view.report();
        let content = Content {
            links,
            view,
            report,
        };
        fit(&content, room).trim_end().to_owned()
    };
    let parts: Vec<String> = views.iter().map(part).collect();
    let body = format!("{}\n{}", links.marker(), parts.join("\n\n---\n\n"));
    view.pulls
        .iter()
        .map(|pull| Comment {
            pull: *pull,
            marker: links.marker(),
            body: body.clone(),
            worth_a_first,
            is_answer: false,
        })
        .collect()
}

/// How a build ended that has something to say in a comment.
fn speaks(view: &BuildView) -> Option<Conclusion> {
    let is_off = view.build.plan.publish.comment == CommentPolicy::Off;
    let conclusion = view.build.conclusion?;
    let is_silent = view.build.state != State::Finished
        || is_off
        || matches!(
            conclusion,
            Conclusion::Cancelled | Conclusion::Neutral | Conclusion::Skipped
        );
    (!is_silent).then_some(conclusion)
}

/// Whether what a build says is worth a first comment.
fn is_worth_a_first(view: &BuildView) -> bool {
    let red = matches!(
        view.build.conclusion,
        Some(Conclusion::Failure | Conclusion::TimedOut)
    );
    let report = view.report();
    let flaky = report.totals().flaky > 0;
    let fixed = view.insights().any(|insight| !insight.fixed.is_empty());
    let difference = view.coverage_change().and_then(CoverageChange::difference);
    let moved = difference.is_some_and(|points| points.abs() >= MOVED);
    match view.build.plan.publish.comment {
        CommentPolicy::Always => true,
        CommentPolicy::Changes => red || flaky || fixed || moved,
        CommentPolicy::Failures => red,
        CommentPolicy::Off => false,
    }
}

impl Summary for Content<'_> {
    fn render(&self, level: usize) -> String {
        let most = match level {
            0 => 20,
            1 => 10,
            2 => 5,
            _ => 0,
        };
        let mut failed = failed(self.report);
        let verdicts = self.view.verdicts();
        verdicts.sort(&mut failed);
        let url = self.links.build(&self.view.repository, &self.view.build);
        let failures: Vec<Failure> = failed
            .iter()
            .take(most)
            .map(|test| Failure {
                name: short(&display_name(test), 120),
                place: ways(test, &url).join(" · "),
                verdict: verdicts
                    .of(&test.id)
                    .map_or_else(String::new, |verdict| words(verdict, &url)),
                message: test
                    .message
                    .as_deref()
                    .and_then(|message| message.trim().lines().next())
                    .map_or_else(String::new, |line| short(&text::ansi::strip(line), 160)),
            })
            .collect();
        let left = failed.len() - failures.len();
        let reasons = self.reasons(&url, most.max(REASONS));
        let (lines, coverage) = (
            lead_to_builds(&self.lines(), &url),
            coverage::files(self.view, &url, most.min(FEW), false),
        );
        let body = Body {
            icon: icon(self.view.build.conclusion),
            title: short(&self.title(), WORDS),
            commit: self.view.build.commit.short().to_owned(),
            more: if left > 0 {
                format!(
                    "…and [{} more]({url})",
                    text::plural(left as u64, "failed test")
                )
            } else {
                String::new()
            },
            url,
            headline: verdicts.headline(),
            judged: failures.iter().any(|failure| !failure.verdict.is_empty()),
            reasons,
            failures,
            fixed: self.fixed(),
            lines,
            coverage,
            behind: self
                .view
                .behind()
                .map_or_else(String::new, |text| short(&text, WORDS)),
            left_out: level > 0,
        };
        tidy(&body.render().unwrap_or_default())
    }
}

impl Content<'_> {
    /// With the name of the workflow, where it is none of Herald's.
    fn title(&self) -> String {
        let title = build_title(self.view);
        match &self.view.build.plan.import {
            Some(import) => format!("{}: {title}", import.name()),
            None => title,
        }
    }

    fn reasons(&self, url: &str, most: usize) -> Vec<String> {
        let several = self.view.jobs.len() > 1;
        let mut reasons = Few::new(most);
        let title = build_title(self.view);
        let gates = self.view.judgement.iter().flat_map(Judgement::failed);
        for gate in gates.filter(|gate| !title.starts_with(&gate.text)) {
            reasons.add(|| coverage::gate(gate, url));
        }
        for job in &self.view.jobs {
            let Some(result) = &job.result else { continue };
            for failure in &result.failures {
                if let JobFailure::Step { text } | JobFailure::Report { text } = failure {
                    reasons.add(|| {
                        let text = short(text, WORDS);
                        if several {
                            format!("**{}**: {text}", short(job_name(job), WORDS))
                        } else {
                            text
                        }
                    });
                }
            }
        }
        reasons.end("reason")
    }

    /// Tests that pass now and did not on the base.
    fn fixed(&self) -> Vec<String> {
        let fixed: HashSet<&str> = self
            .view
            .insights()
            .flat_map(|insight| &insight.fixed)
            .map(String::as_str)
            .collect();
        let mut names = Few::new(FEW);
        for test in &self.report.tests {
            if fixed.contains(test.id.as_str()) {
                names.add(|| short(&display_name(test), WORDS));
            }
        }
        names.end("test")
    }

    /// Coverage of the whole and of the change, on one line.
    fn lines(&self) -> String {
        let Some(all) = coverage::of_lines(self.view, self.report) else {
            return String::new();
        };
        let patch = self.view.patch().filter(|patch| patch.total > 0);
        let patch = patch.map_or_else(String::new, |patch| {
            let of_patch = coverage::of_patch(patch);
            format!(" · **of the change** {} {of_patch}", coverage::bar(patch))
        });
        format!("**Coverage** {all}{patch}")
    }
}
