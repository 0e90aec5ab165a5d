//! What is said of a merge queue: which pull requests wait in it, and which of them a failure concerns.

use super::links::Links;
use crate::domain::{BuildView, Conclusion, Landed, Occasion};
use crate::text::markdown;

/// Pull requests that are named.
const NAMED: usize = 50;

/// The pull requests that wait together, in the order in which they are to land.
fn waiting(view: &BuildView) -> Vec<i64> {
    let mut numbers = Vec::new();
    for Landed { pull, .. } in view.build.plan.group.iter().rev() {
        if let Some(number) = pull.filter(|number| !numbers.contains(number)) {
            numbers.push(number);
        }
    }
    numbers
}

/// `#5, #7`, each made by `name`.
fn listed(numbers: &[i64], name: impl Fn(i64) -> String) -> String {
    let mut names: Vec<String> = numbers.iter().take(NAMED).map(|one| name(*one)).collect();
    if numbers.len() > NAMED {
        names.push(format!("and {} more", numbers.len() - NAMED));
    }
    names.join(", ")
}

fn is_red(view: &BuildView) -> bool {
    matches!(
        view.build.conclusion,
        Some(Conclusion::Failure | Conclusion::TimedOut)
    )
}

/// The pull requests that a failure concerns, where that is known.
fn concerned(view: &BuildView) -> &[i64] {
    match &view.judgement {
        Some(judgement) if is_red(view) => &judgement.concerns,
        _ => &[],
    }
}

/// In one line what a build is of: `merge queue: #5, #7 into main`, and of a red one `concerns #5`. Nothing where it is
/// none of a queue.
pub fn queue_words(view: &BuildView) -> Option<String> {
    let Occasion::MergeGroup { base_ref, .. } = &view.build.occasion else {
        return None;
    };
    let name = |number: i64| format!("#{number}");
    let all = waiting(view);
    if all.is_empty() {
        return None;
    }
    let group = format!("merge queue: {} into {base_ref}", listed(&all, name));
    Some(match concerned(view) {
        [] => group,
        some => format!("concerns {}; {group}", listed(some, name)),
    })
}

/// The same as Markdown, for the summary of a check.
pub(super) fn queue_lines(links: &Links, view: &BuildView) -> Vec<String> {
    let Occasion::MergeGroup { base_ref, .. } = &view.build.occasion else {
        return Vec::new();
    };
    let link = |number: i64| links.pull_link(&view.repository, number);
    let all = waiting(view);
    if all.is_empty() {
        return Vec::new();
    }
    let into = markdown::code(base_ref);
    let mut lines = vec![format!("Merge queue: {} into {into}.", listed(&all, link))];
    match concerned(view) {
        [] => {}
        some if some.len() == all.len() => {
            lines.push("**This concerns the whole group.**".to_owned());
        }
        some => lines.push(format!(
            "**This concerns {}**: the tests that failed are in files that it changes.",
            listed(some, link)
        )),
    }
    lines
}
