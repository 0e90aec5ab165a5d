//! The pull request by which a candidate is promoted.

use askama::Template;

use super::check::build_title;
use super::few::and_more;
use super::links::Links;
use super::summary::{short, tidy};
use crate::domain::{
    BuildView, Conclusion, Content, Landed, Promotion, PromotionPull, Publication, State, Target,
};
use crate::text::markdown;

/// Changes that are listed: GitHub's limit of a body is 65,536 characters, and nobody reads more.
const LISTED: usize = 100;
/// Characters of a title.
const TITLE: usize = 200;

#[derive(Template)]
#[template(path = "github/promotion.md", escape = "none")]
struct Part {
    begin: String,
    end: String,
    verdict: String,
    changes: Vec<String>,
    more: String,
}

/// The pull request that promotes what a build has found good, or says that it is not.
pub(super) fn promotion(links: &Links, view: &BuildView) -> Option<Publication> {
    let promotion = view.judgement.as_ref()?.promotion.as_ref()?;
    let conclusion = view
        .build
        .conclusion
        .filter(|_| view.build.state == State::Finished)?;
    Some(Publication {
        target: Target::Promotion {
            from: promotion.from.clone(),
            to: promotion.to.clone(),
        },
        content: Content::Promotion(pull(links, view, promotion, conclusion)),
    })
}

fn pull(
    links: &Links,
    view: &BuildView,
    promotion: &Promotion,
    conclusion: Conclusion,
) -> PromotionPull {
    let Promotion { from, to, .. } = promotion;
    let marks = links.promotion_marks();
    let changes = promotion.changes.iter().take(LISTED);
    let left = promotion.changes.len().saturating_sub(LISTED);
    let part = Part {
        begin: marks.0.clone(),
        end: marks.1.clone(),
        verdict: verdict(links, view, conclusion),
        changes: changes.map(|one| change(links, view, one)).collect(),
        more: match and_more(left, "change") {
            more if promotion.has_more && !more.is_empty() => {
                more.replacen("…and ", "…and at least ", 1)
            }
            more => more,
        },
    };
    PromotionPull {
        from: from.clone(),
        to: to.clone(),
        at_ms: promotion.at_ms,
        title: PromotionPull::title_of(from, to, promotion.changes.len(), promotion.has_more),
        part: tidy(&part.render().unwrap_or_default()),
        marks,
        is_ready: conclusion == Conclusion::Success,
    }
}

/// How the candidate did.
fn verdict(links: &Links, view: &BuildView, conclusion: Conclusion) -> String {
    let build = &view.build;
    let page = links.build(&view.repository, build);
    let commit = markdown::code(build.commit.short());
    let title = short(&build_title(view), TITLE);
    let link = format!("[build {}]({page})", build.number);
    match conclusion {
        Conclusion::Success => format!("✅ The candidate {commit} is good: {link}, {title}."),
        Conclusion::Failure | Conclusion::TimedOut => format!(
            "❌ **The candidate {commit} is not good: do not merge this.** {link}: {title}."
        ),
        _ => format!("⏳ The candidate {commit} is not finished: {link}, {title}."),
    }
}

fn change(links: &Links, view: &BuildView, landed: &Landed) -> String {
    let title = short(&landed.title, TITLE);
    match landed.pull {
        Some(number) => format!("{} {title}", links.pull_link(&view.repository, number)),
        None => format!("{title} ({})", markdown::code(landed.commit.short())),
    }
}
