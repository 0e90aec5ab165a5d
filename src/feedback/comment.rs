//! The one comment on a pull request.

use askama::Template;

use super::annotations::display_name;
use super::check::build_title;
use super::few::Few;
use super::links::Links;
use super::summary::{
    Summary, coverage_text, failed, fit, icon, job_name, percent, short, tidy, ways,
};
use crate::domain::history::Verdict;
use crate::domain::{BuildView, Comment, Conclusion, JobFailure, State};
use crate::report::Report;
use crate::spec::CommentPolicy;
use crate::text;

/// GitHub's limit is 65,536 characters; a comment this long is read by nobody.
const BODY: usize = 30_000;
/// Characters of a name, a title or a reason.
const WORDS: usize = 200;
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
    marker: String,
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
    coverage: String,
    left_out: bool,
}

struct Content<'a> {
    links: &'a Links,
    view: &'a BuildView,
    report: &'a Report,
}

/// The comment for each pull request whose head this is, when the build has something to say.
pub(super) fn comments(links: &Links, view: &BuildView) -> Vec<Comment> {
    let policy = view.build.plan.publish.comment;
    let Some(conclusion) = view.build.conclusion else {
        return Vec::new();
    };
    let silent = view.build.state != State::Finished
        || policy == CommentPolicy::Off
        || matches!(
            conclusion,
            Conclusion::Cancelled | Conclusion::Neutral | Conclusion::Skipped
        );
    if silent {
        return Vec::new();
    }
    let red = matches!(conclusion, Conclusion::Failure | Conclusion::TimedOut);
    let report = view.report();
    let flaky = report.totals().flaky > 0;
    let fixed = view.insights().any(|insight| !insight.fixed.is_empty());
    let worth_a_first = match policy {
        CommentPolicy::Always => true,
        CommentPolicy::Changes => red || flaky || fixed,
        CommentPolicy::Failures => red,
        CommentPolicy::Off => false,
    };
    let content = Content {
        links,
        view,
        report: &report,
    };
    let body = fit(&content, BODY);
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
                    .map(Verdict::words)
                    .unwrap_or_default(),
                message: test
                    .message
                    .as_deref()
                    .and_then(|message| message.trim().lines().next())
                    .map_or_else(String::new, |line| short(&text::ansi::strip(line), 160)),
            })
            .collect();
        let left = failed.len() - failures.len();
        let body = Body {
            marker: self.links.marker(),
            icon: icon(self.view.build.conclusion),
            title: short(&build_title(self.view), WORDS),
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
            reasons: self.reasons(most.max(REASONS)),
            failures,
            coverage: self.coverage(),
            left_out: level > 0,
        };
        tidy(&body.render().unwrap_or_default())
    }
}

impl Content<'_> {
    fn reasons(&self, most: usize) -> Vec<String> {
        let several = self.view.jobs.len() > 1;
        let mut reasons = Few::new(most);
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

    fn coverage(&self) -> String {
        let Some(all) = coverage_text(self.report) else {
            return String::new();
        };
        match self.view.patch() {
            Some(patch) if patch.total > 0 => format!(
                "{all}, {} of the {} added",
                percent(patch.covered, patch.total),
                text::plural(patch.total, "line")
            ),
            _ => all,
        }
    }
}
