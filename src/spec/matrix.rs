//! `matrix`: one job of the file becomes several, one for each combination of values.
//!
//! `include` and `exclude` mean what they mean to GitHub Actions: what is excluded goes first; an
//! included map joins every combination of the lists none of whose values it would change, and is
//! a member of its own where there is no such combination.

use std::collections::BTreeSet;

use super::fields::{self, Fields};
use super::model::JobSpecification;
use super::problem::{Place, Problems, quoted};
use super::sections::check_cache_key;
use super::step::{is_ours, is_variable, scalar};
use super::tree::{Name, Node, Value};
use crate::text::shorten;

/// At most so many members of one matrix.
const MAX_MEMBERS: usize = 256;
/// At most so many combinations of the lists, before some are excluded.
const MAX_COMBINATIONS: usize = 1_024;
/// At most so much text in all members of one matrix, in bytes.
const MAX_TEXT: usize = 16 << 20;
/// Names of check runs are not longer than this, in characters.
const MAX_NAME: usize = 200;

/// Values by name, in the order in which they are shown.
type Values = Vec<(String, String)>;

/// A matrix that was read.
pub(super) struct Matrix {
    /// Its members, never empty.
    members: Vec<Values>,
    /// Every name that has a value in some member.
    names: Vec<String>,
    at: Place,
}

/// The matrix of a job; `None` when it has none, or a broken one.
pub(super) fn matrix(job: &Fields<'_>, problems: &mut Problems) -> Option<Matrix> {
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
            _ => lists.push((name.text.clone(), list(name, node, problems)?)),
        }
    }
    for (name, _) in exclude.iter().flat_map(|(_, entries)| entries) {
        if !lists.iter().any(|(list, _)| *list == name.text) {
            problems.hinted(
                name.at,
                format!("the matrix has no list {}", quoted(&name.text)),
                fields::did_you_mean(&name.text, lists.iter().map(|(list, _)| list.as_str())),
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
    let mut names: Vec<String> = lists.iter().map(|(name, _)| name.clone()).collect();
    for (name, _) in include.iter().flat_map(|(_, entries)| entries) {
        if !names.contains(&name.text) {
            names.push(name.text.clone());
        }
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
fn list(name: &Name, node: &Node, problems: &mut Problems) -> Option<Vec<String>> {
    check_name(name, problems);
    let what = quoted(&format!("matrix.{}", name.text));
    let mut values = Vec::new();
    for item in fields::items(node, &what, problems)? {
        let value = scalar(item, &format!("an entry of {what}"), problems)?;
        if values.contains(&value) {
            problems.error(
                item.at,
                format!("{} is there twice in {what}", quoted(&value)),
            );
        }
        values.push(value);
    }
    Some(values)
}

/// An entry of `include` or `exclude`: its values, and the names with their places.
type Entry<'a> = (Values, Vec<(&'a Name, &'a Node)>);

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
                name.text.clone(),
                scalar(node, &quoted(&name.text), problems)?,
            ));
        }
        all.push((
            values,
            entries.iter().map(|(name, node)| (name, node)).collect(),
        ));
    }
    Some(all)
}

fn members(
    lists: &[(String, Vec<String>)],
    include: &[Entry<'_>],
    exclude: &[Entry<'_>],
) -> Vec<Values> {
    let mut combinations: Vec<Values> = Vec::new();
    if !lists.is_empty() {
        combinations.push(Vec::new());
    }
    for (name, values) in lists {
        combinations = combinations
            .iter()
            .flat_map(|combination| {
                values.iter().map(|value| {
                    let mut longer = combination.clone();
                    longer.push((name.clone(), value.clone()));
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
    let mut more: Vec<Values> = Vec::new();
    for (values, _) in include {
        // Of the lists' own names, it must have the values of the combination.
        let joins = |combination: &Values| {
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
                    Some(entry) => value.clone_into(&mut entry.1),
                    None => combination.push((name.clone(), value.clone())),
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
    matrix: &Matrix,
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
    for node in nodes {
        let Value::Scalar { text, .. } = &node.value else {
            continue;
        };
        for unknown in placeholders(text).filter(|name| !matrix.names.iter().any(|n| n == name)) {
            problems.hinted(
                node.at,
                format!(
                    "{} is no name of the matrix",
                    quoted(&format!("${{{unknown}}}"))
                ),
                fields::did_you_mean(unknown, matrix.names.iter().map(String::as_str)),
            );
        }
    }
    for (name, _) in own {
        if matrix.names.contains(&name.text) {
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

/// The members of a job, in order.
pub(super) fn expand(
    matrix: &Matrix,
    job: &JobSpecification,
    problems: &mut Problems,
) -> Vec<JobSpecification> {
    let text = weight(job).saturating_mul(matrix.members.len());
    if text > MAX_TEXT {
        let members = matrix.members.len();
        problems.error(
            matrix.at,
            format!("the job is too long for a matrix of {members} members"),
        );
        return Vec::new();
    }
    let mut members: Vec<JobSpecification> = (1_usize..)
        .zip(&matrix.members)
        .map(|(number, values)| member(matrix, job, number, values))
        .collect();
    for member in &members {
        // A value may have put something into it.
        if let Some(cache) = &member.cache {
            check_cache_key(&cache.key, matrix.at, problems);
        }
    }
    tell_apart(&mut members);
    members
}

/// The length of what every member repeats, about.
fn weight(job: &JobSpecification) -> usize {
    serde_json::to_string(job).map_or(usize::MAX, |text| text.len())
}

fn member(
    matrix: &Matrix,
    job: &JobSpecification,
    number: usize,
    values: &Values,
) -> JobSpecification {
    let filled = |text: &mut String| *text = filled(text, &matrix.names, values);
    let mut member = job.clone();
    member.key = format!("{}.{number}", job.key);
    member.name = Some(match &job.name {
        Some(name) => shown(&self::filled(name, &matrix.names, values)),
        None => shown(&format!("{} ({})", job.key, listed(values))),
    });
    member.image.as_mut().map(filled);
    for (_, value) in &mut member.environment {
        filled(value);
    }
    let steps = [&mut member.setup, &mut member.execute, &mut member.after];
    for step in steps.into_iter().flatten() {
        for (_, value) in &mut step.environment {
            filled(value);
        }
    }
    for service in &mut member.services {
        filled(&mut service.image);
        for (_, value) in &mut service.environment {
            filled(value);
        }
    }
    if let Some(cache) = &mut member.cache {
        filled(&mut cache.key);
    }
    for (name, value) in values {
        match member
            .environment
            .iter_mut()
            .find(|(known, _)| known == name)
        {
            Some(entry) => value.clone_into(&mut entry.1),
            None => member.environment.push((name.clone(), value.clone())),
        }
    }
    member.matrix.clone_from(values);
    member
}

/// A text with the values in place of their `${name}`s; a name that this member has no value for
/// is nothing.
fn filled(text: &str, names: &[String], values: &Values) -> String {
    let mut rest = text;
    let mut whole = String::with_capacity(text.len());
    while let Some((before, after)) = rest.split_once("${") {
        whole.push_str(before);
        match after.split_once('}') {
            Some((name, behind)) if names.iter().any(|known| known == name) => {
                let value = values.iter().find(|(known, _)| known == name);
                whole.push_str(value.map_or("", |(_, value)| value));
                rest = behind;
            }
            _ => {
                whole.push_str("${");
                rest = after;
            }
        }
    }
    whole.push_str(rest);
    whole
}

/// `3.12, linux`.
fn listed(values: &Values) -> String {
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
