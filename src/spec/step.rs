//! Steps and their environment.

use super::fields::{self, Fields};
use super::keys;
use super::model::{Command, Step};
use super::problem::{Place, Problems, quoted};
use super::tree::{Node, Value};

pub(super) fn steps(node: &Node, what: &str, problems: &mut Problems) -> Option<Vec<Step>> {
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
pub(super) fn argv(node: &Node, problems: &mut Problems) -> Option<Vec<String>> {
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

/// The environment of a job or step.
pub(super) fn environment(fields: &Fields<'_>, problems: &mut Problems) -> Vec<(String, String)> {
    variables(fields, problems, |name, at, problems| {
        if is_ours(name) {
            problems.warning(
                at,
                format!(
                    "{} is set by Herald, which overwrites this value",
                    quoted(name)
                ),
            );
        }
    })
}

/// The variables at `environment`, each name looked at by `check`.
pub(super) fn variables(
    fields: &Fields<'_>,
    problems: &mut Problems,
    check: impl Fn(&str, Place, &mut Problems),
) -> Vec<(String, String)> {
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
        check(&name.text, name.at, problems);
        variables.extend(scalar(value, &word, problems).map(|text| (name.text.clone(), text)));
    }
    variables
}

/// A value as it is written, also an empty one.
pub(super) fn scalar(node: &Node, what: &str, problems: &mut Problems) -> Option<String> {
    match &node.value {
        Value::Scalar { text, .. } if text.contains('\0') => {
            problems.error(node.at, format!("{what} contains a zero byte"));
            None
        }
        Value::Scalar { text, .. } => Some(text.clone()),
        Value::List(_) | Value::Map(_) => {
            let kind = node.kind();
            problems.error(node.at, format!("{what} must be text, not {kind}"));
            None
        }
    }
}

pub(super) fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
