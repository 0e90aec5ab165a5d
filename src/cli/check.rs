//! `herald check`, `explain`, `schema`.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;

use super::arguments::CheckFormat;
use super::screen::{BOLD, GREEN, PLAIN, RED, Screen, YELLOW};
use super::{End, wrong};
use crate::domain::quarantine::{FILE, Unreadable, read_file};
use crate::ports::Clock;
use crate::spec::{self, Parsed, Problem, Severity, Specification};
use crate::wire::SystemClock;

/// Reads a specification file; without a path the one of the current folder.
fn read(path: Option<&Path>) -> anyhow::Result<(String, Vec<u8>)> {
    let path = match path {
        Some(path) if path == Path::new("-") => {
            let mut bytes = Vec::new();
            std::io::stdin()
                .read_to_end(&mut bytes)
                .context("read standard input")?;
            return Ok(("-".to_owned(), bytes));
        }
        Some(path) => path.to_owned(),
        None => find(Path::new("."))?,
    };
    let name = path
        .strip_prefix("./")
        .unwrap_or(&path)
        .display()
        .to_string();
    let bytes = std::fs::read(&path).map_err(|error| wrong(format!("read {name}: {error}")))?;
    Ok((name, bytes))
}

/// The specification file of a folder.
pub(super) fn find(dir: &Path) -> anyhow::Result<PathBuf> {
    spec::FILES
        .iter()
        .map(|name| dir.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            wrong(format!(
                "there is no .herald.yml in {}; `herald schema` says what can stand in one",
                dir.display()
            ))
        })
}

/// Reads and parses the specification of a folder, and says the file's name; prints its problems.
pub(super) fn specification(dir: &Path, screen: &Screen) -> anyhow::Result<(String, Parsed)> {
    let (name, bytes) = read(Some(&find(dir)?))?;
    let parsed = spec::parse(&bytes);
    if !parsed.problems.is_empty() {
        screen.say(text(&name, &parsed.problems).trim_end());
    }
    Ok((name, parsed))
}

/// The specification in a folder, without a word about what is wrong; `None` where there is none that can be read.
pub(super) fn quietly(dir: &Path) -> Option<Specification> {
    let (_, bytes) = read(Some(&find(dir).ok()?)).ok()?;
    spec::parse(&bytes).specification
}

/// `file:line:column: error: text (did you mean …?)`, a line each.
pub(super) fn text(name: &str, problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|problem| {
            let color = match problem.severity {
                Severity::Error => RED,
                Severity::Warning => YELLOW,
            };
            let line = format!("{problem}");
            let (word, rest) = line.split_once(':').unwrap_or(("", &line));
            format!(
                "{BOLD}{name}:{}:{}:{PLAIN} {color}{word}:{PLAIN}{rest}\n",
                problem.line, problem.column
            )
        })
        .collect()
}

pub(super) fn check(
    file: Option<&Path>,
    format: CheckFormat,
    screen: &Screen,
) -> anyhow::Result<End> {
    let is_quarantine = file.is_some_and(|file| file.file_name() == Some(FILE.as_ref()));
    if is_quarantine {
        let (name, bytes) = read(file)?;
        let problems = quarantine(&bytes);
        show(&name, &problems, problems.is_empty(), format, screen);
        return Ok(if problems.is_empty() {
            End::Good
        } else {
            End::Wrong
        });
    }
    let (name, bytes) = read(file)?;
    let parsed = spec::parse(&bytes);
    let mut is_good = parsed.specification.is_some();
    show(&name, &parsed.problems, is_good, format, screen);
    // The other file of a repository that people write for Herald.
    if file.is_none()
        && let Ok(bytes) = std::fs::read(FILE)
    {
        let problems = quarantine(&bytes);
        is_good &= problems.is_empty();
        match format {
            // One document is one file.
            CheckFormat::Json => screen.say(text(FILE, &problems).trim_end()),
            _ => show(FILE, &problems, problems.is_empty(), format, screen),
        }
    }
    Ok(if is_good { End::Good } else { End::Wrong })
}

/// What is wrong with a file of tests that are put away.
fn quarantine(bytes: &[u8]) -> Vec<Problem> {
    let now_ms = SystemClock.now_ms();
    let (_, unreadable) = read_file(&String::from_utf8_lossy(bytes), now_ms);
    let problem = |one: Unreadable| Problem {
        severity: Severity::Error,
        line: one.line,
        column: 1,
        message: one.text,
        hint: None,
    };
    unreadable.into_iter().map(problem).collect()
}

/// Says what is wrong with a file, or that it is good.
fn show(name: &str, problems: &[Problem], is_good: bool, format: CheckFormat, screen: &Screen) {
    match format {
        CheckFormat::Text => {
            screen.result(&text(name, problems));
            if is_good {
                screen.say(&format!("{GREEN}{name} is good{PLAIN}"));
            }
        }
        CheckFormat::Json => {
            let answer = json!({"file": name, "valid": is_good, "problems": problems});
            screen.result(&format!("{answer:#}\n"));
        }
        CheckFormat::Github => {
            for problem in problems {
                let level = match problem.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                };
                // Values of workflow commands escape these three ("Workflow commands").
                let text = format!("{problem}")
                    .replace('%', "%25")
                    .replace('\r', "%0D")
                    .replace('\n', "%0A");
                screen.result(&format!(
                    "::{level} file={name},line={},col={}::{text}\n",
                    problem.line, problem.column
                ));
            }
        }
    }
}

pub(super) fn explain(dir: &Path, screen: &Screen) -> anyhow::Result<End> {
    match specification(dir, screen)?.1.specification {
        Some(specification) => {
            screen.result(&spec::explain(&specification));
            Ok(End::Good)
        }
        None => Ok(End::Wrong),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of a command")]
pub(super) fn schema(screen: &Screen) -> anyhow::Result<End> {
    screen.result(&format!("{:#}\n", spec::schema()));
    Ok(End::Good)
}
