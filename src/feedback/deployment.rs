//! Deployments on GitHub: what jobs that deploy should look like there.

use super::links::Links;
use crate::domain::{
    BuildView, Conclusion, Content, Deployment, DeploymentState, Job, PersonId, Publication, State,
    Target,
};
use crate::spec::Deploy;
use crate::text::shorten;

/// Environments that people use, by the names that they have almost everywhere.
const PRODUCTION: [&str; 3] = ["production", "prod", "live"];

/// The deployments of a build. A job that was left out, or waits for somebody's word, is none yet.
pub(super) fn deployments(links: &Links, view: &BuildView) -> Vec<Publication> {
    let of = |job: &Job| {
        let deploy = job.order.deploy.as_ref()?;
        let (state, words) = standing(job)?;
        Some(Publication {
            target: Target::Deployment {
                job: job.key.clone(),
                attempt: job.attempt,
            },
            content: Content::Deployment(deployment(links, view, job, deploy, state, &words)),
        })
    };
    view.jobs.iter().filter_map(of).collect()
}

/// Where the deployment is that a job is, and how that is told.
fn standing(job: &Job) -> Option<(DeploymentState, String)> {
    let title = || {
        let result = job.result.as_ref();
        result.map_or_else(String::new, |result| result.title.clone())
    };
    let ended = |state| Some((state, title()));
    match (job.state, job.conclusion) {
        (State::Queued, _) => Some((DeploymentState::Queued, "waits for its turn".to_owned())),
        (State::Running, _) => Some((DeploymentState::InProgress, "is being deployed".to_owned())),
        (State::Finished, Some(Conclusion::Success)) => ended(DeploymentState::Success),
        (State::Finished, Some(Conclusion::Failure | Conclusion::TimedOut)) => {
            ended(DeploymentState::Failure)
        }
        (State::Finished, Some(Conclusion::Cancelled)) if job.started_ms.is_some() => {
            ended(DeploymentState::Error)
        }
        (State::Finished, Some(Conclusion::Cancelled)) => ended(DeploymentState::Inactive),
        (State::Blocked | State::Finished, _) => None,
    }
}

fn deployment(
    links: &Links,
    view: &BuildView,
    job: &Job,
    deploy: &Deploy,
    state: DeploymentState,
    words: &str,
) -> Deployment {
    let build = &view.build;
    let short = |text: &str| shorten::chars(text, Deployment::DESCRIPTION).into_owned();
    let promoted = build
        .plan
        .promote
        .as_ref()
        .map(|promote| promote.to.as_str());
    let is_transient = build.occasion.pull().is_some();
    let is_released = promoted.is_some() && build.occasion.pushed_branch() == promoted;
    Deployment {
        commit: build.commit.clone(),
        environment: deploy.environment.clone(),
        about: short(&format!("{} of build #{}", job.check_name(), build.number)),
        state,
        description: short(words),
        log_url: links.job(&view.repository, build, &job.key),
        environment_url: deploy.url.clone(),
        is_production: !is_transient
            && (is_released || PRODUCTION.contains(&deploy.environment_key().as_str())),
        is_transient,
        badge_label: build.plan.badges.labels.get("deploy").cloned(),
    }
}

/// Who let a job deploy, and when.
pub fn who_approved(job: &Job) -> Option<String> {
    let approval = job.approval?;
    let environment = &job.order.deploy.as_ref()?.environment;
    let when = chrono::DateTime::from_timestamp_millis(approval.at_ms)?;
    let when = when.format("%Y-%m-%d %H:%M UTC");
    let who = match approval.person {
        PersonId::NOBODY => "the operator of this server".to_owned(),
        PersonId(id) => format!("the person with GitHub's id {id}"),
    };
    Some(format!(
        "deploying to {environment} was approved by {who} on {when}"
    ))
}
