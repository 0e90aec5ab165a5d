//! All publications of a build.

use super::check::{build_check, build_check_name, job_check, job_check_name};
use super::comment::comments;
use super::deployment::deployments;
use super::links::Links;
use super::promotion::promotion;
use super::status::statuses;
use crate::domain::{BuildView, Content, Publication, Target};

/// What should be on GitHub for this state of a build. `beside`: finished builds of the same commit and other origins,
/// which speak in the same comment.
pub fn publications(links: &Links, view: &BuildView, beside: &[BuildView]) -> Vec<Publication> {
    let mut all = vec![Publication {
        target: Target::Check {
            name: build_check_name(view),
            job: None,
            attempt: view.build.attempt,
        },
        content: Content::Check(build_check(links, view)),
    }];
    if view.jobs.len() > 1 {
        for job in &view.jobs {
            all.push(Publication {
                target: Target::Check {
                    name: job_check_name(job),
                    job: Some(job.key.clone()),
                    attempt: job.attempt,
                },
                content: Content::Check(job_check(links, view, job)),
            });
        }
    }
    all.extend(deployments(links, view));
    all.extend(promotion(links, view));
    for status in statuses(links, view) {
        all.push(Publication {
            target: Target::Status {
                context: status.context.clone(),
            },
            content: Content::Status(status),
        });
    }
    for comment in comments(links, view, beside) {
        all.push(Publication {
            target: Target::Comment { pull: comment.pull },
            content: Content::Comment(comment),
        });
    }
    all
}
