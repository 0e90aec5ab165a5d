//! What is deployed, and by which change to the specification it never is.

use crate::domain::Trust;
use crate::spec::{self, Plan, Specification};

/// Why code of this trust is deployed nowhere, if it is not.
pub(super) fn no_deployment(trust: Trust) -> Option<String> {
    let of = match trust {
        Trust::Trusted => return None,
        Trust::Bot => "a bot",
        Trust::Fork => "a fork",
    };
    Some(format!("what comes from {of} is not deployed"))
}

/// The plan of a specification without its conditions. A deployment stays as `plan` has it: that a change skips
/// everything is no wish to deploy.
pub(super) fn without_when(
    specification: &Specification,
    occasion: &spec::Occasion<'_>,
    plan: &Plan,
) -> Plan {
    let mut ungated = specification.clone();
    ungated.when = None;
    for job in &mut ungated.jobs {
        job.when = None;
    }
    let mut anew = spec::plan(&ungated, occasion);
    for planned in anew.jobs.iter_mut().filter(|one| one.job.deploy.is_some()) {
        if let Some(before) = plan.jobs.iter().find(|one| one.job.key == planned.job.key) {
            planned.decision.clone_from(&before.decision);
        }
    }
    anew
}
