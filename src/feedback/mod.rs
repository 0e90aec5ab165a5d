//! What people see on GitHub, as values: check runs with annotations, statuses, the comment, and
//! the values of badges.
//!
//! Pure: from a build's state to publications. It knows GitHub's limits on what is shown, not how
//! requests are made. Everything that a build or a stranger controls is untrusted text and is
//! escaped here. Texts live in `templates/github`. Nothing here fails.

mod annotations;
mod answers;
mod badges;
mod check;
mod comment;
mod coverage;
mod deployment;
mod failures;
mod few;
mod links;
mod local;
mod promotion;
mod publications;
mod queue;
mod status;
mod summary;
#[cfg(test)]
mod tests;

pub use annotations::{AnnotationOptions, annotations, without_locals};
pub use answers::Asked;
pub use badges::{badge_values, repository_badges};
pub use check::{announcement, import_check_name};
pub use coverage::signed;
pub use deployment::who_approved;
pub use links::Links;
pub use local::{check_markdown, local_view, report_markdown};
pub use publications::publications;
pub use queue::queue_words;
pub use summary::{Summary, fit};
