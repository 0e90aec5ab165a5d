//! `matrix`: one job of the file becomes several, one for each combination of values.
//!
//! `include` and `exclude` mean what they mean to GitHub Actions: what is excluded goes first; an
//! included map joins every combination of the lists none of whose values it would change, and is
//! a member of its own where there is no such combination.

use std::collections::BTreeSet;

use super::deploy::{check_environment, check_url};
use super::fields::{self, Fields};
use super::model::{Command, JobSpecification};
use super::problem::{Place, Problems, quoted};
use super::sections::check_cache_key;
use super::step::{is_ours, is_variable, scalar};
use super::tree::{Name, Node, Value};
use crate::text::shorten;

/// At most so many members of one matrix.
const MAX_MEMBERS: usize = 256;
/// At most so many names in one matrix.
const MAX_NAMES: usize = 32;
/// At most so many combinations of the lists, before some are excluded.
const MAX_COMBINATIONS: usize = 1_024;
/// At most so much text in the members of all matrices together, in bytes.
pub(super) const MAX_TEXT: usize = 8 << 20;
/// Names of check runs are not longer than this, in characters.
const MAX_NAME: usize = 200;

/// Values by name, in the order in which they are shown. Borrowed from the file, because a
/// combination for each of its texts would be much more than the file.
type Values<'a> = Vec<(&'a str, &'a str)>;

/// A matrix that was read.
pub(super) struct Matrix<'a> {
    /// Its members, never empty.
    members: Vec<Values<'a>>,
    /// Every name that has a value in some member.
    names: Vec<&'a str>,
    at: Place,
}

/// The matrix of a job; `None` when it has none, or a broken one.
pub(super) fn matrix<'a>(job: &Fields<'a>, problems: &mut Problems) -> Option<Matrix<'a>> {
    let node = job.get("matrix")?;
    let Value::Map(entries) = &node.value else {
        problems.hinted(
            node.at,
            format!("`matrix` must be a map of lists, not {}", node.kind()),
            "as {version: [\"1\", \"2\"]}".to_owned(),
        );
        return None;
    };
    if entries.is_empty() {
        problems.error(node.at, "`matrix` is empty");
        return None;
    }
    let mut lists = Vec::new();
    let (mut include, mut exclude) = (Vec::new(), Vec::new());
    for (name, node) in entries {
        match name.text.as_str() {
            "include" => include = maps(node, "`matrix.include`", problems)?,
            "exclude" => exclude = maps(node, "`matrix.exclude`", problems)?,
            _ => lists.push((name.text.as_str(), list(name, node, problems)?)),
        }
    }
    for (name, _) in exclude.iter().flat_map(|(_, entries)| *entries) {
        if !lists.iter().any(|(list, _)| *list == name.text) {
            problems.hinted(
                name.at,
                format!("the matrix has no list {}", quoted(&name.text)),
                fields::did_you_mean(&name.text, lists.iter().map(|(list, _)| *list)),
            );
        }
    }
    let combinations = lists.iter().try_fold(1_usize, |all, (_, values)| {
        all.checked_mul(values.len())
            .filter(|all| *all <= MAX_COMBINATIONS)
    });
    if combinations.is_none() {
        problems.error(
            node.at,
            format!("the lists of `matrix` have more than {MAX_COMBINATIONS} combinations"),
        );
        return None;
    }
    let mut names: Vec<&str> = lists.iter().map(|(name, _)| *name).collect();
    for (name, _) in include.iter().flat_map(|(values, _)| values) {
        if !names.contains(name) {
            names.push(name);
        }
    }
    if names.len() > MAX_NAMES {
        problems.error(node.at, format!("`matrix` has more than {MAX_NAMES} names"));
        return None;
    }
    let members = members(&lists, &include, &exclude);
    if members.is_empty() {
        problems.error(node.at, "`matrix` has no member left: all are excluded");
        return None;
    }
    if members.len() > MAX_MEMBERS {
        problems.error(
            node.at,
            format!(
                "`matrix` has {} members; at most {MAX_MEMBERS} are possible",
                members.len()
            ),
        );
        return None;
    }
    Some(Matrix {
        members,
        names,
        at: node.at,
    })
}

/// Whether a name can be one of a matrix: its values become environment variables.
fn check_name(name: &Name, problems: &mut Problems) {
    let word = quoted(&name.text);
    if !is_variable(&name.text) {
        problems.hinted(
            name.at,
            format!("{word} cannot be a name of the matrix"),
            "its values are environment variables: letters, digits and _".to_owned(),
        );
    } else if is_ours(&name.text) {
        problems.error(
            name.at,
            format!("{word} is set by Herald and cannot be a name of the matrix"),
        );
    }
}

/// The values of one list.
fn list<'a>(name: &Name, node: &'a Node, problems: &mut Problems) -> Option<Vec<&'a str>> {
    check_name(name, problems);
    let what = quoted(&format!("matrix.{}", name.text));
    let mut values = Vec::new();
    for item in fields::items(node, &what, problems)? {
        let value = value(item, &format!("an entry of {what}"), problems)?;
        if values.contains(&value) {
            problems.error(
                item.at,
                format!("{} is there twice in {what}", quoted(value)),
            );
        }
        values.push(value);
    }
    Some(values)
}

fn value<'a>(node: &'a Node, what: &str, problems: &mut Problems) -> Option<&'a str> {
    scalar(node, what, problems)?;
    match &node.value {
        Value::Scalar { text, .. } => Some(text),
        Value::List(_) | Value::Map(_) => None,
    }
}

/// An entry of `include` or `exclude`: its values, and as it stands in the file.
type Entry<'a> = (Values<'a>, &'a [(Name, Node)]);

fn maps<'a>(node: &'a Node, what: &str, problems: &mut Problems) -> Option<Vec<Entry<'a>>> {
    let mut all = Vec::new();
    for item in fields::items(node, what, problems)? {
        let Value::Map(entries) = &item.value else {
            problems.error(
                item.at,
                format!(
                    "an entry of {what} must be a map of names to text, not {}",
                    item.kind()
                ),
            );
            return None;
        };
        if entries.is_empty() {
            problems.error(item.at, format!("an entry of {what} is empty"));
            return None;
        }
        let mut values = Vec::new();
        for (name, node) in entries {
            check_name(name, problems);
            values.push((
                name.text.as_str(),
                value(node, &quoted(&name.text), problems)?,
            ));
        }
        all.push((values, entries.as_slice()));
    }
    Some(all)
}

fn members<'a>(
    lists: &[(&'a str, Vec<&'a str>)],
    include: &[Entry<'a>],
    exclude: &[Entry<'a>],
) -> Vec<Values<'a>> {
    let mut combinations: Vec<Values<'a>> = Vec::new();
    if !lists.is_empty() {
        combinations.push(Vec::new());
    }
    for (name, values) in lists {
        combinations = combinations
            .iter()
            .flat_map(|combination| {
                values.iter().map(|value| {
                    let mut longer = combination.clone();
                    longer.push((*name, *value));
                    longer
                })
            })
            .collect();
    }
    combinations.retain(|combination| {
        !exclude
            .iter()
            .any(|(values, _)| values.iter().all(|pair| combination.contains(pair)))
    });
    let mut more: Vec<Values<'a>> = Vec::new();
    for (values, _) in include {
        // Of the lists' own names, it must have the values of the combination.
        let joins = |combination: &Values<'a>| {
            values
                .iter()
                .filter(|(name, _)| lists.iter().any(|(list, _)| list == name))
                .all(|pair| combination.contains(pair))
        };
        let mut joined = false;
        for combination in &mut combinations {
            if !joins(combination) {
                continue;
            }
            joined = true;
            for (name, value) in values {
                match combination.iter_mut().find(|(known, _)| known == name) {
                    Some(entry) => entry.1 = *value,
                    None => combination.push((*name, *value)),
                }
            }
        }
        if !joined {
            more.push(values.clone());
        }
    }
    combinations.append(&mut more);
    combinations
}

/// Finds `${name}`s, where they count, that are none of the matrix.
pub(super) fn check_names(
    matrix: &Matrix<'_>,
    top: &Fields<'_>,
    job: &Fields<'_>,
    problems: &mut Problems,
) {
    let inherited = |key: &str| job.get(key).or_else(|| top.get(key));
    let mut nodes: Vec<&Node> = Vec::new();
    nodes.extend(inherited("image"));
    nodes.extend(job.get("name"));
    let own = job.get("environment").map(entries).unwrap_or_default();
    let above = top.get("environment").map(entries).unwrap_or_default();
    nodes.extend(own.iter().map(|(_, node)| node));
    nodes.extend(
        above
            .iter()
            .filter(|(name, _)| !own.iter().any(|(known, _)| known.text == name.text))
            .map(|(_, node)| node),
    );
    let steps = [inherited("setup"), job.get("execute"), inherited("after")];
    for step in steps.into_iter().flatten() {
        if let Value::List(items) = &step.value {
            nodes.extend(items.iter().flat_map(environment));
        }
    }
    for (_, service) in job.get("services").map(entries).unwrap_or_default() {
        nodes.extend(value_at(service, "image"));
        nodes.extend(environment(service));
    }
    nodes.extend(job.get("cache").and_then(|cache| value_at(cache, "key")));
    let deploy = job.get("deploy").map(entries).unwrap_or_default();
    nodes.extend(deploy.iter().map(|(_, node)| node));
    for node in nodes {
        let Value::Scalar { text, .. } = &node.value else {
            continue;
        };
        let unknown = placeholders(text).filter(|name| !matrix.names.contains(name));
        for unknown in unknown.take(10) {
            problems.hinted(
                node.at,
                format!(
                    "{} is no name of the matrix",
                    quoted(&format!("${{{unknown}}}"))
                ),
                fields::did_you_mean(unknown, matrix.names.iter().copied()),
            );
        }
    }
    for (name, _) in own {
        if matrix.names.contains(&name.text.as_str()) {
            problems.warning(
                name.at,
                format!(
                    "{} is a name of the matrix, whose value wins",
                    quoted(&name.text)
                ),
            );
        }
    }
}

fn entries(node: &Node) -> &[(Name, Node)] {
    match &node.value {
        Value::Map(entries) => entries,
        Value::Scalar { .. } | Value::List(_) => &[],
    }
}

fn value_at<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    entries(node)
        .iter()
        .find(|(name, _)| name.text == key)
        .map(|(_, node)| node)
}

/// The values of the `environment` of a step or service.
fn environment(node: &Node) -> impl Iterator<Item = &Node> {
    value_at(node, "environment")
        .map(entries)
        .unwrap_or_default()
        .iter()
        .map(|(_, node)| node)
}

/// The names in the `${name}`s of a text.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split("${")
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| name)
        .filter(|name| is_variable(name))
}

/// The members of a job, in order. `room` is how much text they may have together; it shrinks.
pub(super) fn expand(
    matrix: &Matrix<'_>,
    job: &JobSpecification,
    room: &mut usize,
    problems: &mut Problems,
) -> Vec<JobSpecification> {
    let weight = weight(job);
    let mut members = Vec::new();
    for (number, values) in (1_usize..).zip(&matrix.members) {
        let mut filling = Filling {
            names: &matrix.names,
            values,
            room: room.checked_sub(weight),
        };
        let member = filling.member(job, number);
        let Some(left) = filling.room else {
            let count = matrix.members.len();
            problems.error(
                matrix.at,
                format!("the job is too long for a matrix of {count} members"),
            );
            return Vec::new();
        };
        *room = left;
        // A value may have put something into it.
        if let Some(cache) = &member.cache {
            check_cache_key(&cache.key, matrix.at, problems);
        }
        if let Some(deploy) = &member.deploy {
            check_environment(&deploy.environment, matrix.at, problems);
            if let Some(url) = &deploy.url {
                check_url(url, matrix.at, problems);
            }
        }
        members.push(member);
    }
    tell_apart(&mut members);
    members
}

/// The length of what every member repeats, about.
fn weight(job: &JobSpecification) -> usize {
    let pairs = |pairs: &[(String, String)]| -> usize {
        pairs.iter().map(|(a, b)| a.len() + b.len() + 50).sum()
    };
    let texts = |texts: &[String]| -> usize { texts.iter().map(|text| text.len() + 25).sum() };
    let steps = job.setup.iter().chain(&job.execute).chain(&job.after);
    let steps: usize = steps
        .map(|step| {
            let command = match &step.command {
                Command::Sh(script) | Command::Bash(script) => script.len(),
                Command::Argv(words) => texts(words),
            };
            200 + step.name.len() + command + pairs(&step.environment)
        })
        .sum();
    let services: usize = job
        .services
        .iter()
        .map(|service| 200 + service.image.len() + pairs(&service.environment))
        .sum();
    let globs = [&job.reports.tests, &job.reports.coverage];
    let globs: usize = globs.into_iter().flatten().map(|globs| texts(globs)).sum();
    let lists = [&job.artifacts, &job.needs, &job.secrets];
    let lists: usize = lists.into_iter().map(|list| texts(list)).sum();
    let deploy = job.deploy.as_ref().map_or(0, |deploy| {
        deploy.environment.len() + deploy.url.as_ref().map_or(0, String::len)
    });
    1_000 + deploy + steps + services + globs + lists + pairs(&job.environment)
}

/// The values of a member on their way into its job.
struct Filling<'a> {
    names: &'a [&'a str],
    values: &'a Values<'a>,
    /// How much text may still come; `None` once there was too much.
    room: Option<usize>,
}

impl Filling<'_> {
    fn member(&mut self, job: &JobSpecification, number: usize) -> JobSpecification {
        if self.room.is_none() {
            return JobSpecification::default();
        }
        let mut member = job.clone();
        member.key = format!("{}.{number}", job.key);
        for (name, value) in self.values {
            // In `matrix`, in `environment` and, perhaps, in the name.
            self.take(name.len() + 3 * value.len());
            member
                .matrix
                .push(((*name).to_owned(), (*value).to_owned()));
        }
        member.name = Some(match &job.name {
            Some(name) => shown(&self.filled(name)),
            None => shown(&format!("{} ({})", job.key, listed(&member.matrix))),
        });
        if let Some(image) = &mut member.image {
            self.fill(image);
        }
        self.fill_all(&mut member.environment);
        let steps = [&mut member.setup, &mut member.execute, &mut member.after];
        for step in steps.into_iter().flatten() {
            self.fill_all(&mut step.environment);
        }
        for service in &mut member.services {
            self.fill(&mut service.image);
            self.fill_all(&mut service.environment);
        }
        if let Some(cache) = &mut member.cache {
            self.fill(&mut cache.key);
        }
        if let Some(deploy) = &mut member.deploy {
            self.fill(&mut deploy.environment);
            if let Some(url) = &mut deploy.url {
                self.fill(url);
            }
        }
        for (name, value) in &member.matrix {
            let set = &mut member.environment;
            match set.iter_mut().find(|(known, _)| known == name) {
                Some(entry) => value.clone_into(&mut entry.1),
                None => set.push((name.clone(), value.clone())),
            }
        }
        member
    }

    fn take(&mut self, length: usize) {
        self.room = self.room.and_then(|room| room.checked_sub(length));
    }

    fn fill(&mut self, text: &mut String) {
        *text = self.filled(text);
    }

    fn fill_all(&mut self, environment: &mut [(String, String)]) {
        for (_, value) in environment {
            self.fill(value);
        }
    }

    /// A text with the values in place of their `${name}`s; a name that this member has no value
    /// for is nothing.
    fn filled(&mut self, text: &str) -> String {
        let mut parts = text.split("${");
        let mut whole = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            match part.split_once('}') {
                Some((name, behind)) if self.names.contains(&name) => {
                    let value = self.values.iter().find(|(known, _)| *known == name);
                    let value = value.map_or("", |(_, value)| *value);
                    self.take(value.len());
                    if self.room.is_some() {
                        whole.push_str(value);
                    }
                    whole.push_str(behind);
                }
                _ => {
                    whole.push_str("${");
                    whole.push_str(part);
                }
            }
        }
        whole
    }
}

/// `3.12, linux`.
fn listed(values: &[(String, String)]) -> String {
    let values: Vec<&str> = values.iter().map(|(_, value)| value.as_str()).collect();
    values.join(", ")
}

/// A name on one line, and not too long for a check run.
fn shown(name: &str) -> String {
    let line: String = name
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    shorten::chars(line.trim(), MAX_NAME).into_owned()
}

/// Where a name that was given is the same for several members, their values tell them apart.
fn tell_apart(members: &mut [JobSpecification]) {
    let mut seen = BTreeSet::new();
    let unique = members
        .iter()
        .all(|member| seen.insert(member.name.clone()));
    if unique {
        return;
    }
    for member in members {
        let name = member.name.take().unwrap_or_default();
        member.name = Some(shown(&format!("{name} ({})", listed(&member.matrix))));
    }
}
