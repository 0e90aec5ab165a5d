//! Which jobs run for what happened, and in which order.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::condition::{Occasion, mismatch};
use super::model::{JobSpecification, Specification};

/// The jobs of one build, each after those that it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// All jobs of the specification, also those that are skipped.
    pub jobs: Vec<PlannedJob>,
}

impl Plan {
    /// Whether no job runs.
    pub fn skips_everything(&self) -> bool {
        self.jobs
            .iter()
            .all(|job| matches!(job.decision, Decision::Skipped(_)))
    }
}

/// A job of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedJob {
    /// What it does.
    pub job: JobSpecification,
    /// Whether it runs.
    pub decision: Decision,
}

/// Whether a job runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It runs once those that it needs have succeeded or were skipped by `when`.
    Run,
    /// Its `when` does not match, for this reason.
    Skipped(String),
}

/// The plan for what happened.
pub fn plan(specification: &Specification, occasion: &Occasion<'_>) -> Plan {
    let jobs = in_order(&specification.jobs)
        .into_iter()
        .map(|job| PlannedJob {
            decision: decision(specification, job, occasion),
            job: job.clone(),
        })
        .collect();
    Plan { jobs }
}

fn decision(
    specification: &Specification,
    job: &JobSpecification,
    occasion: &Occasion<'_>,
) -> Decision {
    let conditions = [&specification.when, &job.when];
    let reason = if conditions.iter().all(|when| when.is_none()) {
        (!occasion.by_default).then(|| "it has no `when` that asks for this".to_owned())
    } else {
        conditions
            .into_iter()
            .flatten()
            .find_map(|when| mismatch(when, occasion))
    };
    reason.map_or(Decision::Run, Decision::Skipped)
}

/// The jobs so that each comes after those that it needs, else in the order of the file. Jobs in
/// or behind a circle are left out.
pub(super) fn in_order(jobs: &[JobSpecification]) -> Vec<&JobSpecification> {
    let mut dependents: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut missing: Vec<usize> = Vec::new();
    let mut ready = BTreeSet::new();
    for (index, job) in jobs.iter().enumerate() {
        missing.push(job.needs.len());
        if job.needs.is_empty() {
            ready.insert(index);
        }
        for needed in &job.needs {
            dependents.entry(needed).or_default().push(index);
        }
    }
    let mut ordered = Vec::new();
    while let Some(job) = ready.pop_first().and_then(|index| jobs.get(index)) {
        ordered.push(job);
        for index in dependents.remove(job.key.as_str()).unwrap_or_default() {
            let Some(missing) = missing.get_mut(index) else {
                continue;
            };
            *missing -= 1;
            if *missing == 0 {
                ready.insert(index);
            }
        }
    }
    ordered
}
