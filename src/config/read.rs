//! Reading single values and collecting what is wrong with them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::Secret;
use crate::text;

/// All problems of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration is wrong:\n{}", .0.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<String>);

/// Every variable that Herald knows, without those that end in `_FILE`.
pub const VARIABLES: [&str; 37] = [
    "HERALD_LISTEN",
    "HERALD_METRICS_LISTEN",
    "HERALD_RUNNER_LISTEN",
    "HERALD_RUNNER_URL",
    "HERALD_RUNNER_PATH",
    "HERALD_PUBLIC_URL",
    "HERALD_DATA_DIR",
    "HERALD_STORAGE_DIR",
    "HERALD_DATABASE_URL",
    "HERALD_GITHUB_URL",
    "HERALD_GITHUB_API_URL",
    "HERALD_GITHUB_APP_ID",
    "HERALD_GITHUB_PRIVATE_KEY",
    "HERALD_GITHUB_WEBHOOK_SECRET",
    "HERALD_GITHUB_WEBHOOK_SECRET_PREVIOUS",
    "HERALD_GITHUB_CLIENT_ID",
    "HERALD_GITHUB_CLIENT_SECRET",
    "HERALD_EXECUTOR",
    "HERALD_PROCESS_SANDBOX",
    "HERALD_DOCKER_HOST",
    "HERALD_REGISTRY_AUTH_FILE",
    "HERALD_SWARM_CONSTRAINTS",
    "HERALD_MAX_CONCURRENT_JOBS",
    "HERALD_MAX_CONCURRENT_JOBS_PER_REPOSITORY",
    "HERALD_JOB_TIMEOUT_MAX",
    "HERALD_LOG_MAX",
    "HERALD_FORK_POLICY",
    "HERALD_ROLE",
    "HERALD_SECRET_KEY",
    "HERALD_RETENTION_LOGS",
    "HERALD_RETENTION_ARTIFACTS",
    "HERALD_RETENTION_DELIVERIES",
    "HERALD_RETENTION_HISTORY",
    "HERALD_RETENTION_UNINSTALLED",
    "HERALD_CA_FILE",
    "HERALD_LOG",
    "HERALD_LOG_FORMAT",
];

/// Those that other programs know too.
const OTHERS: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"];

/// Values by variable: flags have gone before the environment.
#[derive(Clone, Default)]
pub struct Reader {
    values: BTreeMap<String, String>,
    /// What is wrong so far.
    pub problems: Vec<String>,
    /// What is wrong unless it is stored.
    pub missing: Vec<String>,
    /// What is odd, but not wrong.
    pub warnings: Vec<String>,
}

impl Reader {
    /// Takes values by variable from `environment`, those of `flags` before them.
    pub fn new(
        environment: impl IntoIterator<Item = (String, String)>,
        flags: impl IntoIterator<Item = (&'static str, Option<String>)>,
    ) -> Self {
        let mut values: BTreeMap<String, String> = environment
            .into_iter()
            .filter(|(name, _)| name.starts_with("HERALD_") || OTHERS.contains(&name.as_str()))
            .collect();
        let mut warnings = Vec::new();
        let ours = |name: &&String| name.starts_with("HERALD_");
        for name in values.keys().filter(ours) {
            let base = name.strip_suffix("_FILE").unwrap_or(name);
            if !VARIABLES.contains(&base) && !VARIABLES.contains(&name.as_str()) {
                let hint = text::nearest(name, VARIABLES)
                    .map_or_else(String::new, |near| format!("; did you mean {near}?"));
                warnings.push(format!("{name} is not a variable of Herald{hint}"));
            }
        }
        for (name, value) in flags {
            if let Some(value) = value {
                values.insert(name.to_owned(), value);
            }
        }
        values.retain(|_, value| !value.is_empty());
        Self {
            values,
            problems: Vec::new(),
            missing: Vec::new(),
            warnings,
        }
    }

    /// Whether a variable is given, itself or as a file.
    pub fn is_given(&self, name: &str) -> bool {
        self.values.contains_key(name) || self.values.contains_key(&format!("{name}_FILE"))
    }

    /// Puts a value where none is given.
    pub fn beneath(&mut self, name: &str, value: &str) {
        if !self.is_given(name) && !value.is_empty() {
            self.values.insert(name.to_owned(), value.to_owned());
        }
    }

    /// The plain text of a variable.
    pub fn text(&self, name: &str) -> Option<String> {
        self.values.get(name).cloned()
    }

    /// The text, or a default.
    pub fn text_or(&self, name: &str, default: &str) -> String {
        self.text(name).unwrap_or_else(|| default.to_owned())
    }

    /// A value that `parse` understands; `wanted` says what it should be.
    pub fn parsed<T>(
        &mut self,
        name: &str,
        wanted: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(name)?;
        let value = parse(text.trim());
        if value.is_none() {
            self.problems
                .push(format!("{name}: `{text}` is not {wanted}"));
        }
        value
    }

    /// A duration, as `10m`, `2h` or `90d`.
    pub fn duration(&mut self, name: &str, default: Duration) -> Duration {
        self.parsed(
            name,
            "a duration, as in `90s`, `10m`, `2h` or `30d`",
            |text| match text.strip_suffix('d') {
                Some(days) => {
                    let days: Option<u64> = days.parse().ok();
                    let seconds = days.and_then(|days| days.checked_mul(86_400));
                    seconds.map(Duration::from_secs)
                }
                None => text::parse_duration(text).ok(),
            },
        )
        .unwrap_or(default)
    }

    /// A size in bytes, as `256MiB`.
    pub fn size(&mut self, name: &str, default: u64) -> u64 {
        self.parsed(name, "a size, as in `64KiB`, `256MiB` or `1GiB`", size)
            .unwrap_or(default)
    }

    /// One of some words.
    pub fn word<T: Copy>(&mut self, name: &str, words: &[(&str, T)], default: T) -> T {
        let list: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let wanted = format!("one of {}", list.join(", "));
        self.parsed(name, &wanted, |text| {
            words
                .iter()
                .find(|(word, _)| *word == text)
                .map(|(_, value)| *value)
        })
        .unwrap_or(default)
    }

    /// A secret: `NAME`, or the content of the file that `NAME_FILE` names.
    pub fn secret(&mut self, name: &str) -> Option<Secret> {
        let file_name = format!("{name}_FILE");
        match (self.text(name), self.text(&file_name)) {
            (Some(_), Some(_)) => {
                self.problems
                    .push(format!("{name} and {file_name} are both set; keep one"));
                None
            }
            (Some(value), None) => Some(Secret::new(value)),
            (None, Some(path)) => match std::fs::read_to_string(&path) {
                Ok(value) => Some(Secret::new(value.trim_end_matches(['\r', '\n']))),
                Err(error) => {
                    self.problems
                        .push(format!("{file_name}: cannot read {path}: {error}"));
                    None
                }
            },
            (None, None) => None,
        }
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Secrets are among the values.
        f.debug_set().entries(self.values.keys()).finish()
    }
}

fn size(text: &str) -> Option<u64> {
    let units = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("B", 1),
        ("", 1),
    ];
    let (number, factor) = units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))?;
    number.trim().parse::<u64>().ok()?.checked_mul(factor)
}
