//! The tree to the specification.

use super::badges;
use super::container::{self, PartialResources};
use super::deploy;
use super::fields::{self, Fields};
use super::job::jobs;
use super::keys;
use super::model::{
    BuiltTree, DEFAULT_TIMEOUT_MS, JobSpecification, Network, Reports, Specification, Step,
};
use super::problem::{Place, Places, Problem, Problems, quoted};
use super::sections;
use super::step::{environment, steps};
use super::tree::{self, Node};

/// What came of reading a specification.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The specification; `None` when there was an error.
    pub specification: Option<Specification>,
    /// All errors and warnings, in the order of the file.
    pub problems: Vec<Problem>,
    /// Where the jobs say what surrounds them.
    pub places: Places,
}

/// Reads `.herald.yml` (or `.forge.yml`).
///
/// Finds every problem that it can in one go. The bytes may be anything: size, depth and aliases
/// are bounded.
pub fn parse(bytes: &[u8]) -> Parsed {
    let mut problems = Problems::default();
    let mut places = Places::default();
    let specification = read(bytes, &mut places, &mut problems).filter(|_| !problems.failed());
    Parsed {
        specification,
        problems: problems.into_list(),
        places,
    }
}

const START: Place = Place { line: 1, column: 1 };

fn read(bytes: &[u8], places: &mut Places, problems: &mut Problems) -> Option<Specification> {
    if bytes.len() > tree::MAX_BYTES {
        let limit = tree::MAX_BYTES / 1024;
        problems.error(START, format!("the file is larger than {limit} KiB"));
        return None;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            problems.error(after(bytes, error.valid_up_to()), "not valid UTF-8");
            return None;
        }
    };
    let root = tree::read(text.trim_start_matches('\u{feff}'), problems)?;
    if root.is_null() {
        problems.error(START, "the file is empty");
        return None;
    }
    specification(&root, places, problems)
}

/// The place of the byte at `offset`, with what is before it in valid UTF-8.
fn after(bytes: &[u8], offset: usize) -> Place {
    let before = String::from_utf8_lossy(bytes.get(..offset).unwrap_or(bytes)).into_owned();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    Place {
        line: u32::try_from(line).unwrap_or(u32::MAX),
        column: u32::try_from(column).unwrap_or(u32::MAX),
    }
}

fn specification(
    root: &Node,
    places: &mut Places,
    problems: &mut Problems,
) -> Option<Specification> {
    let top = Fields::of(root, "the specification", keys::TOP, problems)?;
    if let Some(version) = top.get("version") {
        fields::choice(version, "`version`", &["1"], problems);
    }
    let build = match top
        .get("build")
        .and_then(|build| fields::choice(build, "`build`", &["head", "merge"], problems))
    {
        Some("merge") => BuiltTree::Merge,
        _ => BuiltTree::Head,
    };
    let when = top
        .get("when")
        .and_then(|node| sections::when(node, problems));
    let publish = sections::publish(&top, problems);
    let gates = sections::gates(&top, problems);
    let badges = badges::badges(&top, problems);
    let actions = sections::actions(&top, problems);
    let promote = deploy::promote(&top, problems);
    let inherited = Parts::read(&top, problems);
    let jobs = match top.entry("jobs") {
        Some((name, node)) => {
            if let Some((execute, _)) = top.entry("execute") {
                problems.error(
                    execute.at,
                    format!(
                        "`execute` and `jobs` (line {}) exclude one another: \
                         give each job its own `execute`",
                        name.at.line
                    ),
                );
            }
            jobs(node, &top, &inherited, places, problems)
        }
        // What is built is built elsewhere.
        None if top.get("actions").is_some() && inherited.is_without_steps() => Vec::new(),
        None => {
            places.note("build", top.at, |key| {
                top.entry(key).map(|(name, _)| name.at)
            });
            vec![inherited.into_job("build", top.at, problems)]
        }
    };
    Some(Specification {
        jobs,
        declares_jobs: top.get("jobs").is_some(),
        when,
        build,
        publish,
        gates,
        badges,
        actions,
        promote,
    })
}

/// What may stand at the top and in a job.
#[derive(Default, Clone)]
pub(super) struct Parts {
    image: Option<String>,
    environment: Vec<(String, String)>,
    setup: Option<Vec<Step>>,
    execute: Option<Vec<Step>>,
    after: Option<Vec<Step>>,
    reports: Reports,
    artifacts: Option<Vec<String>>,
    timeout_ms: Option<u64>,
    resources: PartialResources,
    network: Option<Network>,
    ports: Vec<(String, u16)>,
}

impl Parts {
    pub(super) fn read(fields: &Fields<'_>, problems: &mut Problems) -> Self {
        let mut list = |key: &str| {
            let node = fields.get(key)?;
            steps(node, &quoted(key), problems)
        };
        let (setup, execute, after) = (list("setup"), list("execute"), list("after"));
        Self {
            image: fields
                .get("image")
                .and_then(|node| fields::word(node, "`image`", problems)),
            environment: environment(fields, problems),
            setup,
            execute,
            after,
            reports: fields
                .get("reports")
                .map(|node| sections::reports(node, problems))
                .unwrap_or_default(),
            artifacts: fields
                .get("artifacts")
                .and_then(|node| fields::path_globs(node, "`artifacts`", problems)),
            timeout_ms: fields
                .get("timeout")
                .and_then(|node| fields::duration(node, "`timeout`", problems)),
            resources: PartialResources::read(fields, problems),
            network: container::network(fields, problems),
            ports: container::ports(fields, problems),
        }
    }

    fn is_without_steps(&self) -> bool {
        self.setup.is_none() && self.execute.is_none() && self.after.is_none()
    }

    /// These parts, with what they leave out taken from `inherited`.
    pub(super) fn over(mut self, inherited: &Self) -> Self {
        let Self {
            image,
            environment,
            setup,
            after,
            reports,
            artifacts,
            timeout_ms,
            resources,
            network,
            ports,
            execute: _,
        } = inherited.clone();
        self.environment = named_over(self.environment, environment);
        self.ports = named_over(self.ports, ports);
        self.resources = self.resources.over(resources);
        self.network = self.network.or(network);
        self.image = self.image.or(image);
        self.setup = self.setup.or(setup);
        self.after = self.after.or(after);
        self.reports.tests = self.reports.tests.or(reports.tests);
        self.reports.coverage = self.reports.coverage.or(reports.coverage);
        self.artifacts = self.artifacts.or(artifacts);
        self.timeout_ms = self.timeout_ms.or(timeout_ms);
        self
    }

    pub(super) fn into_job(
        self,
        key: &str,
        at: Place,
        problems: &mut Problems,
    ) -> JobSpecification {
        if self.execute.is_none() && !problems.failed() {
            problems.error(
                at,
                "nothing to execute: add `execute` with at least one step",
            );
        }
        JobSpecification {
            key: key.to_owned(),
            image: self.image,
            environment: self.environment,
            setup: self.setup.unwrap_or_default(),
            execute: self.execute.unwrap_or_default(),
            after: self.after.unwrap_or_default(),
            reports: self.reports,
            artifacts: self.artifacts.unwrap_or_default(),
            timeout_ms: self.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS),
            resources: self.resources.resolved(),
            network: self.network.unwrap_or_default(),
            ports: self.ports,
            ..JobSpecification::default()
        }
    }
}

/// Values by name over those that are inherited.
fn named_over<T>(own: Vec<(String, T)>, mut inherited: Vec<(String, T)>) -> Vec<(String, T)> {
    for (name, value) in own {
        match inherited.iter_mut().find(|(known, _)| *known == name) {
            Some(entry) => entry.1 = value,
            None => inherited.push((name, value)),
        }
    }
    inherited
}
