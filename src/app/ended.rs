//! Builds that end before they begin, and what they say.

use super::prepare::{Found, hash};
use crate::domain::{Conclusion, Preparation, PullRequest, Trigger};
use crate::ports::store::BuildDraft;
use crate::spec;
use crate::text::markdown;

/// What is said of a change that does not merge, for `build: merge`.
pub(super) fn conflict(trigger: &Trigger, pull: &PullRequest, paths: &[String]) -> BuildDraft {
    let title = format!("conflicts with {}", pull.base_ref);
    let base = markdown::code(&pull.base_ref);
    let mut summary = format!(
        "`build: merge` tests the tree that merging would give, and this commit does not merge \
         into {base}:\n\n"
    );
    for path in paths.iter().take(50) {
        summary.push_str(&format!("- {}\n", markdown::code(path)));
    }
    if paths.len() > 50 {
        summary.push_str(&format!("\n…and {} more\n", paths.len() - 50));
    }
    ended(trigger, Conclusion::Failure, &title, &summary)
}

/// A build that ends before it begins.
pub(super) fn ended(
    trigger: &Trigger,
    conclusion: Conclusion,
    reason: &str,
    summary: &str,
) -> BuildDraft {
    BuildDraft {
        tested: trigger.commit.clone(),
        specification: hash(&[conclusion.as_str().as_bytes(), reason.as_bytes()]),
        plan: Preparation {
            verdict: Some((reason.to_owned(), summary.to_owned())),
            min_tests: 1,
            ..Preparation::default()
        },
        jobs: Vec::new(),
        ended: Some((conclusion, reason.to_owned())),
        approved_by: None,
        occasion: None,
    }
}

pub(super) fn bad_specification(
    trigger: &Trigger,
    found: &Found,
    mut preparation: Preparation,
) -> BuildDraft {
    let errors: Vec<&spec::Problem> = preparation
        .problems
        .iter()
        .filter(|problem| problem.severity == spec::Severity::Error)
        .collect();
    let title = match errors.as_slice() {
        [only] => format!("{}:{}: {}", found.path, only.line, only.message),
        many => format!("{} has {} errors", found.path, many.len()),
    };
    let mut summary = format!("`{}` cannot be carried out:\n\n", found.path);
    for error in errors.iter().take(50) {
        let hint = error
            .hint
            .as_deref()
            .map_or_else(String::new, |hint| format!(" ({})", markdown::escape(hint)));
        summary.push_str(&format!(
            "- line {}, column {}: {}{hint}\n",
            error.line,
            error.column,
            markdown::escape(&error.message)
        ));
    }
    preparation.specification_failed = true;
    preparation.verdict = Some((title.clone(), summary));
    // What is wrong may be this server's executor, and another one later.
    let said: Vec<String> = errors.iter().map(|error| error.message.clone()).collect();
    BuildDraft {
        tested: trigger.commit.clone(),
        specification: hash(&[b"bad", &found.bytes, said.join("\n").as_bytes()]),
        plan: preparation,
        jobs: Vec::new(),
        ended: Some((Conclusion::Failure, title)),
        approved_by: None,
        occasion: None,
    }
}

/// What is said of a change that takes everything out of the specification that is built.
pub(super) fn emptied(trigger: &Trigger, before: &Found) -> Option<BuildDraft> {
    let former = spec::parse(&before.bytes).specification?;
    let is_pull = trigger.occasion.pull().is_some();
    if !is_pull || former.jobs.is_empty() {
        return None;
    }
    let title = format!("this change removes what {} builds", before.path);
    let summary = format!(
        "The base's `{}` has something to execute, this commit's has not. Without it nothing proves the change; put \
         it back, or merge by overriding this check.",
        before.path
    );
    let mut draft = ended(trigger, Conclusion::Failure, &title, &summary);
    draft.plan.specification_failed = true;
    Some(draft)
}
