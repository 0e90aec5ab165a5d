//! The jobs of a file, and what they need of one another.

use std::collections::{HashMap, HashSet};

use super::container;
use super::deploy;
use super::fields::{self, Fields};
use super::keys;
use super::matrix::{self, Matrix};
use super::model::JobSpecification;
use super::parse::Parts;
use super::problem::{Place, Places, Problems, quoted};
use super::sections;
use super::tree::{Name, Node, Value};

/// At most so many jobs.
const MAX_JOBS: usize = 100;

/// At most so many jobs after every matrix has become its members.
const MAX_MEMBERS: usize = 500;

/// What a key of a job looks like.
pub(super) const KEY_HINT: &str =
    "lower-case letters, digits, - and _, at most 64, not beginning with - or _";

/// A job as the file has it.
struct Draft<'a> {
    job: JobSpecification,
    at: Place,
    /// What it needs, with the places where it says so.
    needs: Vec<(Place, String)>,
    matrix: Option<Matrix<'a>>,
}

/// The jobs at `jobs`, every matrix as its members.
pub(super) fn jobs(
    node: &Node,
    top: &Fields<'_>,
    inherited: &Parts,
    places: &mut Places,
    problems: &mut Problems,
) -> Vec<JobSpecification> {
    let Value::Map(entries) = &node.value else {
        let kind = node.kind();
        problems.error(node.at, format!("`jobs` must be a map of jobs, not {kind}"));
        return Vec::new();
    };
    if entries.is_empty() {
        problems.error(node.at, "`jobs` is empty");
    }
    if entries.len() > MAX_JOBS {
        problems.error(node.at, format!("more than {MAX_JOBS} jobs"));
        return Vec::new();
    }
    let mut drafts = Vec::new();
    for (name, node) in entries {
        if !is_job_key(&name.text) {
            problems.hinted(
                name.at,
                format!("{} cannot be the key of a job", quoted(&name.text)),
                KEY_HINT.to_owned(),
            );
        }
        drafts.push(job(name, node, top, inherited, places, problems));
    }
    check_needs(&drafts, problems);
    if problems.failed() {
        return Vec::new();
    }
    members(&drafts, node.at, problems)
}

pub(super) fn is_job_key(key: &str) -> bool {
    let mut bytes = key.bytes();
    let begins = bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let goes_on = bytes.all(|byte| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
    });
    begins && goes_on && key.len() <= 64
}

/// One job.
fn job<'a>(
    name: &Name,
    node: &'a Node,
    top: &Fields<'_>,
    inherited: &Parts,
    places: &mut Places,
    problems: &mut Problems,
) -> Draft<'a> {
    let what = format!("job {}", quoted(&name.text));
    let Some(fields) = Fields::of(node, &what, keys::JOB, problems) else {
        return Draft {
            job: Parts::default().into_job(&name.text, name.at, problems),
            at: name.at,
            needs: Vec::new(),
            matrix: None,
        };
    };
    places.note(&name.text, name.at, |key| {
        let entry = fields.entry(key).or_else(|| top.entry(key));
        entry.map(|(name, _)| name.at)
    });
    let parts = Parts::read(&fields, problems);
    if fields.get("execute").is_none() {
        problems.error(
            name.at,
            format!("{what} has nothing to execute: add `execute` with at least one step"),
        );
    }
    let needs = fields
        .get("needs")
        .and_then(|node| fields::words(node, "`needs`", problems))
        .unwrap_or_default();
    let mut job = parts
        .over(inherited)
        .into_job(&name.text, name.at, problems);
    if let Some(ports) = fields.get("ports") {
        container::check_port_count(&job.ports, ports.at, problems);
    }
    job.name = fields
        .get("name")
        .and_then(|node| fields::word(node, "`name`", problems));
    job.when = fields
        .get("when")
        .and_then(|node| sections::when(node, problems));
    job.secrets = sections::secrets(&fields, problems);
    job.cache = sections::cache(&fields, problems);
    job.services = container::services(&fields, problems);
    job.deploy = deploy::deploy(&fields, top, problems);
    for (_, needed) in &needs {
        if !job.needs.contains(needed) {
            job.needs.push(needed.clone());
        }
    }
    let matrix = matrix::matrix(&fields, problems);
    if let Some(matrix) = &matrix {
        matrix::check_names(matrix, top, &fields, problems);
    }
    Draft {
        job,
        at: name.at,
        needs,
        matrix,
    }
}

/// The jobs with every matrix as its members, also where other jobs need it.
fn members(drafts: &[Draft<'_>], at: Place, problems: &mut Problems) -> Vec<JobSpecification> {
    let mut groups: Vec<Vec<JobSpecification>> = Vec::new();
    let mut count = 0;
    let mut room = matrix::MAX_TEXT;
    for draft in drafts {
        let group = match &draft.matrix {
            Some(matrix) => matrix::expand(matrix, &draft.job, &mut room, problems),
            None => vec![draft.job.clone()],
        };
        count += group.len();
        if count > MAX_MEMBERS {
            problems.error(
                at,
                format!("more than {MAX_MEMBERS} jobs, with the members of every `matrix`"),
            );
            return Vec::new();
        }
        groups.push(group);
    }
    check_names(drafts, &groups, problems);
    let keys: HashMap<String, Vec<String>> = drafts
        .iter()
        .zip(&groups)
        .map(|(draft, group)| {
            let keys = group.iter().map(|job| job.key.clone()).collect();
            (draft.job.key.clone(), keys)
        })
        .collect();
    let mut jobs: Vec<JobSpecification> = groups.into_iter().flatten().collect();
    for job in &mut jobs {
        job.needs = job
            .needs
            .iter()
            .flat_map(|needed| keys.get(needed).cloned().unwrap_or_default())
            .collect();
    }
    jobs
}

/// Finds jobs that would have the same check run.
fn check_names(drafts: &[Draft<'_>], groups: &[Vec<JobSpecification>], problems: &mut Problems) {
    let mut seen: HashSet<&str> = HashSet::new();
    for (draft, group) in drafts.iter().zip(groups) {
        for job in group {
            let name = job.check_name();
            if !seen.insert(name) {
                problems.hinted(
                    draft.at,
                    format!("two jobs would be shown as {}", quoted(name)),
                    "give the job a `name` with the names of its matrix".to_owned(),
                );
            }
        }
    }
}

fn check_needs(drafts: &[Draft<'_>], problems: &mut Problems) {
    let jobs: Vec<JobSpecification> = drafts.iter().map(|draft| outline(&draft.job)).collect();
    let mut unknown = false;
    for draft in drafts {
        for (at, needed) in &draft.needs {
            if !jobs.iter().any(|job| job.key == *needed) {
                unknown = true;
                problems.hinted(
                    *at,
                    format!("there is no job {}", quoted(needed)),
                    fields::did_you_mean(
                        needed,
                        jobs.iter()
                            .map(|job| job.key.as_str())
                            .filter(|key| *key != draft.job.key),
                    ),
                );
            }
        }
    }
    if unknown {
        return;
    }
    let sorted = super::plan::in_order(&jobs);
    for draft in drafts {
        if sorted.iter().any(|done| done.key == draft.job.key) {
            continue;
        }
        // Jobs behind a circle are not in it; the first circle is told, once.
        if let (Some((at, _)), Some(circle)) = (draft.needs.first(), circle(&jobs, &draft.job.key))
        {
            problems.error(
                *at,
                format!("jobs need one another: {}", circle.join(" → ")),
            );
            return;
        }
    }
}

/// A job's key and needs.
fn outline(job: &JobSpecification) -> JobSpecification {
    JobSpecification {
        key: job.key.clone(),
        needs: job.needs.clone(),
        ..JobSpecification::default()
    }
}

/// The way from a job back to itself, if there is one.
fn circle(jobs: &[JobSpecification], start: &str) -> Option<Vec<String>> {
    let mut seen = vec![start.to_owned()];
    let mut waiting = vec![vec![start.to_owned()]];
    while let Some(path) = waiting.pop() {
        let last = path.last()?;
        let needs = jobs.iter().find(|job| job.key == *last);
        for needed in needs.iter().flat_map(|job| &job.needs) {
            let mut longer = path.clone();
            longer.push(needed.clone());
            if needed == start {
                return Some(longer);
            }
            if !seen.contains(needed) {
                seen.push(needed.clone());
                waiting.push(longer);
            }
        }
    }
    None
}
