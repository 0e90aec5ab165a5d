//! The tree to the specification.

use super::fields::{self, Fields};
use super::keys;
use super::model::{
    BuiltTree, Command, DEFAULT_TIMEOUT_MS, JobSpecification, Reports, Specification, Step,
};
use super::problem::{Place, Problem, Problems, quoted};
use super::sections;
use super::tree::{self, Name, Node, Value};

/// At most so many jobs.
const MAX_JOBS: usize = 100;

/// What came of reading a specification.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The specification; `None` when there was an error.
    pub specification: Option<Specification>,
    /// All errors and warnings, in the order of the file.
    pub problems: Vec<Problem>,
}

/// Reads `.herald.yml` (or `.forge.yml`).
///
/// Finds every problem that it can in one go. The bytes may be anything: size, depth and aliases
/// are bounded.
pub fn parse(bytes: &[u8]) -> Parsed {
    let mut problems = Problems::default();
    let specification = read(bytes, &mut problems).filter(|_| !problems.failed());
    Parsed {
        specification,
        problems: problems.into_list(),
    }
}

const START: Place = Place { line: 1, column: 1 };

fn read(bytes: &[u8], problems: &mut Problems) -> Option<Specification> {
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
    specification(&root, problems)
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

fn specification(root: &Node, problems: &mut Problems) -> Option<Specification> {
    let top = Fields::of(root, "the specification", keys::TOP, problems)?;
    if let Some(version) = top.get("version") {
        fields::choice(version, "`version`", &["1"], problems);
    }
    if let Some(build) = top.get("build") {
        let choice = fields::choice(build, "`build`", &["head", "merge"], problems);
        if choice == Some("merge") {
            problems.error(
                build.at,
                "`build: merge` is not supported by this version of Herald",
            );
        }
    }
    let when = top
        .get("when")
        .and_then(|node| sections::when(node, problems));
    let publish = sections::publish(&top, problems);
    let gates = sections::gates(&top, problems);
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
            jobs(node, &inherited, problems)
        }
        None => vec![inherited.into_job("build", top.at, problems)],
    };
    Some(Specification {
        jobs,
        declares_jobs: top.get("jobs").is_some(),
        when,
        build: BuiltTree::Head,
        publish,
        gates,
    })
}

/// What may stand at the top and in a job.
#[derive(Default, Clone)]
struct Parts {
    image: Option<String>,
    environment: Vec<(String, String)>,
    setup: Option<Vec<Step>>,
    execute: Option<Vec<Step>>,
    after: Option<Vec<Step>>,
    reports: Reports,
    artifacts: Option<Vec<String>>,
    timeout_ms: Option<u64>,
}

impl Parts {
    fn read(fields: &Fields<'_>, problems: &mut Problems) -> Self {
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
        }
    }

    /// These parts, with what they leave out taken from `inherited`.
    fn over(mut self, inherited: &Self) -> Self {
        let mut environment = inherited.environment.clone();
        for (name, value) in self.environment {
            match environment.iter_mut().find(|(known, _)| *known == name) {
                Some(entry) => entry.1 = value,
                None => environment.push((name, value)),
            }
        }
        self.environment = environment;
        let Self {
            image,
            setup,
            after,
            reports,
            artifacts,
            timeout_ms,
            ..
        } = inherited.clone();
        self.image = self.image.or(image);
        self.setup = self.setup.or(setup);
        self.after = self.after.or(after);
        self.reports.tests = self.reports.tests.or(reports.tests);
        self.reports.coverage = self.reports.coverage.or(reports.coverage);
        self.artifacts = self.artifacts.or(artifacts);
        self.timeout_ms = self.timeout_ms.or(timeout_ms);
        self
    }

    fn into_job(self, key: &str, at: Place, problems: &mut Problems) -> JobSpecification {
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
            ..JobSpecification::default()
        }
    }
}

fn jobs(node: &Node, inherited: &Parts, problems: &mut Problems) -> Vec<JobSpecification> {
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
    let mut jobs = Vec::new();
    let mut needs = Vec::new();
    for (name, node) in entries {
        if !is_job_key(&name.text) {
            problems.hinted(
                name.at,
                format!("{} cannot be the key of a job", quoted(&name.text)),
                "lower-case letters, digits, - and _, at most 64, not beginning with - or _"
                    .to_owned(),
            );
        }
        let (job, needed) = job(name, node, inherited, problems);
        jobs.push(job);
        needs.push(needed);
    }
    check_needs(&jobs, &needs, problems);
    jobs
}

fn is_job_key(key: &str) -> bool {
    let mut bytes = key.bytes();
    let begins = bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let goes_on = bytes.all(|byte| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
    });
    begins && goes_on && key.len() <= 64
}

/// A job, and what it needs with the places where it says so.
fn job(
    name: &Name,
    node: &Node,
    inherited: &Parts,
    problems: &mut Problems,
) -> (JobSpecification, Vec<(Place, String)>) {
    let what = format!("job {}", quoted(&name.text));
    let Some(fields) = Fields::of(node, &what, keys::JOB, problems) else {
        let job = Parts::default().into_job(&name.text, name.at, problems);
        return (job, Vec::new());
    };
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
    job.name = fields
        .get("name")
        .and_then(|node| fields::word(node, "`name`", problems));
    job.when = fields
        .get("when")
        .and_then(|node| sections::when(node, problems));
    job.secrets = sections::secrets(&fields, problems);
    job.cache = sections::cache(&fields, problems);
    for (_, needed) in &needs {
        if !job.needs.contains(needed) {
            job.needs.push(needed.clone());
        }
    }
    (job, needs)
}

fn check_needs(jobs: &[JobSpecification], needs: &[Vec<(Place, String)>], problems: &mut Problems) {
    let mut unknown = false;
    for (job, needs) in jobs.iter().zip(needs) {
        for (at, needed) in needs {
            if !jobs.iter().any(|job| job.key == *needed) {
                unknown = true;
                problems.hinted(
                    *at,
                    format!("there is no job {}", quoted(needed)),
                    fields::did_you_mean(
                        needed,
                        jobs.iter()
                            .map(|job| job.key.as_str())
                            .filter(|key| *key != job.key),
                    ),
                );
            }
        }
    }
    if unknown {
        return;
    }
    let sorted = super::plan::in_order(jobs);
    for (job, needs) in jobs.iter().zip(needs) {
        if sorted.iter().any(|done| done.key == job.key) {
            continue;
        }
        // Jobs behind a circle are not in it; the first circle is told, once.
        if let (Some((at, _)), Some(circle)) = (needs.first(), circle(jobs, &job.key)) {
            problems.error(
                *at,
                format!("jobs need one another: {}", circle.join(" → ")),
            );
            return;
        }
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

fn steps(node: &Node, what: &str, problems: &mut Problems) -> Option<Vec<Step>> {
    let items = fields::items(node, what, problems)?;
    Some(
        items
            .iter()
            .filter_map(|item| step(item, problems))
            .collect(),
    )
}

fn step(node: &Node, problems: &mut Problems) -> Option<Step> {
    if !matches!(node.value, Value::Map(_)) {
        if matches!(node.value, Value::List(_)) {
            problems.hinted(
                node.at,
                "a step must be text or a map, not a list",
                "a list of words goes into `run`".to_owned(),
            );
            return None;
        }
        let script = fields::word(node, "a step", problems)?;
        return Some(Step {
            name: first_line(&script),
            command: Command::Sh(script),
            environment: Vec::new(),
            working_directory: None,
            timeout_ms: None,
            continue_on_error: false,
            test_failure_exit: vec![1],
        });
    }
    let fields = Fields::of(node, "a step", keys::STEP, problems)?;
    let Some((_, run)) = fields.entry("run") else {
        problems.error(node.at, "a step without `run`");
        return None;
    };
    let bash = match fields.get("shell") {
        Some(shell) if matches!(run.value, Value::List(_)) => {
            problems.error(
                shell.at,
                "`shell` has no use where `run` is a list of words",
            );
            false
        }
        Some(shell) => fields::choice(shell, "`shell`", &["sh", "bash"], problems) == Some("bash"),
        None => false,
    };
    let command = match &run.value {
        Value::List(_) => Command::Argv(argv(run, problems)?),
        _ if bash => Command::Bash(fields::word(run, "`run`", problems)?),
        _ => Command::Sh(fields::word(run, "`run`", problems)?),
    };
    let name = fields
        .get("name")
        .and_then(|node| fields::word(node, "`name`", problems));
    Some(Step {
        name: name.unwrap_or_else(|| match &command {
            Command::Sh(script) | Command::Bash(script) => first_line(script),
            Command::Argv(words) => first_line(&words.join(" ")),
        }),
        command,
        environment: environment(&fields, problems),
        working_directory: fields
            .get("working_directory")
            .and_then(|node| folder(node, problems)),
        timeout_ms: fields
            .get("timeout")
            .and_then(|node| fields::duration(node, "`timeout`", problems)),
        continue_on_error: fields
            .get("continue_on_error")
            .and_then(|node| fields::flag(node, "`continue_on_error`", problems))
            .unwrap_or(false),
        test_failure_exit: fields
            .get("test_failure_exit")
            .and_then(|node| exit_codes(node, problems))
            .unwrap_or_else(|| vec![1]),
    })
}

/// An argv: unlike other lists, its words may be empty.
fn argv(node: &Node, problems: &mut Problems) -> Option<Vec<String>> {
    let mut words = Vec::new();
    for item in fields::items(node, "`run`", problems)? {
        match &item.value {
            Value::Scalar { text, .. } if text.contains('\0') => {
                problems.error(item.at, "a word of `run` contains a zero byte");
            }
            Value::Scalar { text, .. } => words.push(text.clone()),
            Value::List(_) | Value::Map(_) => {
                let kind = item.kind();
                problems.error(item.at, format!("a word of `run` must be text, not {kind}"));
            }
        }
    }
    if words.first().is_some_and(String::is_empty) {
        problems.error(
            node.at,
            "the first word of `run` is the program; it is empty",
        );
    }
    Some(words)
}

fn first_line(script: &str) -> String {
    let line = script
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#'))
        .or_else(|| script.lines().next())
        .unwrap_or("");
    if line.chars().count() > 80 {
        line.chars().take(79).chain(['…']).collect()
    } else {
        line.to_owned()
    }
}

fn folder(node: &Node, problems: &mut Problems) -> Option<String> {
    let path = fields::word(node, "`working_directory`", problems)?;
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        problems.error(
            node.at,
            format!("{} leads out of the repository", quoted(&path)),
        );
        return None;
    }
    Some(path)
}

fn exit_codes(node: &Node, problems: &mut Problems) -> Option<Vec<i32>> {
    let mut codes = Vec::new();
    for item in fields::items(node, "`test_failure_exit`", problems)? {
        let code = fields::count(item, "an exit status", problems)?;
        match i32::try_from(code) {
            Ok(code @ 1..=255) => codes.push(code),
            _ => problems.error(item.at, "an exit status is a number from 1 to 255"),
        }
    }
    Some(codes)
}

/// Names that Herald sets itself, beside those that begin with `HERALD_`.
const OURS: [&str; 6] = ["CI", "HERALD", "HOME", "TMPDIR", "LANG", "PATH"];

/// Whether Herald itself sets the variable, whatever the specification says.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with("HERALD_") || OURS.contains(&name)
}

fn environment(fields: &Fields<'_>, problems: &mut Problems) -> Vec<(String, String)> {
    let Some(node) = fields.get("environment") else {
        return Vec::new();
    };
    let Value::Map(entries) = &node.value else {
        let kind = node.kind();
        problems.error(
            node.at,
            format!("`environment` must be a map of names to text, not {kind}"),
        );
        return Vec::new();
    };
    let mut variables = Vec::new();
    for (name, value) in entries {
        let word = quoted(&name.text);
        if !is_variable(&name.text) {
            problems.error(
                name.at,
                format!("{word} cannot be the name of an environment variable"),
            );
            continue;
        }
        if is_ours(&name.text) {
            problems.warning(
                name.at,
                format!("{word} is set by Herald, which overwrites this value"),
            );
        }
        match &value.value {
            Value::Scalar { text, .. } if text.contains('\0') => {
                problems.error(value.at, format!("{word} contains a zero byte"));
            }
            Value::Scalar { text, .. } => variables.push((name.text.clone(), text.clone())),
            Value::List(_) | Value::Map(_) => {
                let kind = value.kind();
                problems.error(value.at, format!("{word} must be text, not {kind}"));
            }
        }
    }
    variables
}

fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
