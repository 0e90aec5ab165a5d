//! The parts of the specification that are no steps: reports, `when`, `cache`, `secrets`,
//! `publish`, `gates`, `actions`.

use super::fields::{self, Fields};
use super::keys;
use super::model::{
    Actions, AnnotationPolicy, CacheSpecification, CommentPolicy, CoverageGates, Event, Gates,
    ProjectGate, Publish, Reports, When,
};
use super::problem::{Place, Problems, quoted};
use super::step::is_ours;
use super::tree::{Node, Value};

pub(super) fn reports(node: &Node, problems: &mut Problems) -> Reports {
    let Some(fields) = Fields::of(node, "`reports`", keys::REPORTS, problems) else {
        return Reports::default();
    };
    let mut globs = |key: &str| {
        let node = fields.get(key)?;
        fields::path_globs(node, &format!("`reports.{key}`"), problems)
    };
    Reports {
        tests: globs("tests"),
        coverage: globs("coverage"),
    }
}

pub(super) fn when(node: &Node, problems: &mut Problems) -> Option<When> {
    let fields = Fields::of(node, "`when`", keys::WHEN, problems)?;
    let events = fields.get("events").and_then(|node| {
        let items = fields::items(node, "`when.events`", problems)?;
        let mut events = Vec::new();
        for item in items {
            let name = fields::choice(item, "an event", keys::EVENTS, problems);
            events.extend(name.and_then(Event::from_name));
        }
        Some(events)
    });
    let mut names = |key: &str| {
        let node = fields.get(key)?;
        fields::name_globs(node, &format!("`when.{key}`"), problems)
    };
    let (branches, tags) = (names("branches"), names("tags"));
    let mut paths = |key: &str| {
        let node = fields.get(key)?;
        fields::path_globs(node, &format!("`when.{key}`"), problems)
    };
    let (paths, paths_ignore) = (paths("paths"), paths("paths_ignore"));
    if branches.is_some() && tags.is_some() {
        problems.warning(
            node.at,
            "`branches` and `tags` together match nothing: no event has both a branch and a tag",
        );
    }
    Some(When {
        events,
        branches,
        tags,
        paths,
        paths_ignore,
    })
}

pub(super) fn secrets(job: &Fields<'_>, problems: &mut Problems) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let listed = job
        .get("secrets")
        .and_then(|node| fields::words(node, "`secrets`", problems))
        .unwrap_or_default();
    for (at, name) in listed {
        let word = quoted(&name);
        let plain = name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        if !plain || name.starts_with(|c: char| c.is_ascii_digit()) {
            problems.hinted(
                at,
                format!("{word} cannot be the name of a secret"),
                "capital letters, digits and _, not beginning with a digit".to_owned(),
            );
        } else if is_ours(&name) {
            problems.error(
                at,
                format!("{word} is set by Herald and cannot be the name of a secret"),
            );
        } else if names.contains(&name) {
            problems.error(at, format!("{word} is there twice in `secrets`"));
        } else {
            names.push(name);
        }
    }
    names
}

pub(super) fn cache(job: &Fields<'_>, problems: &mut Problems) -> Option<CacheSpecification> {
    let node = job.get("cache")?;
    let fields = Fields::of(node, "`cache`", keys::CACHE, problems)?;
    for key in ["key", "paths"] {
        if fields.get(key).is_none() {
            problems.error(node.at, format!("`cache` without {}", quoted(key)));
        }
    }
    let key = fields.get("key").and_then(|node| {
        let key = fields::word(node, "`cache.key`", problems)?;
        check_cache_key(&key, node.at, problems);
        Some(key)
    });
    let paths = fields.get("paths").and_then(|node| {
        let listed = fields::words(node, "`cache.paths`", problems)?;
        let mut paths = Vec::new();
        for (at, path) in listed {
            check_cache_path(&path, at, problems);
            paths.push(path);
        }
        Some(paths)
    });
    Some(CacheSpecification {
        key: key?,
        paths: paths?,
    })
}

/// Whether a path stays in the folder that it is relative to.
fn stays_inside(path: &str) -> bool {
    !path.starts_with('/') && !path.split('/').any(|part| part == "..")
}

/// Finds files of `${hash:FILE}` that cannot be meant.
pub(super) fn check_cache_key(key: &str, at: Place, problems: &mut Problems) {
    if key.chars().any(char::is_control) || key.len() > 1_000 {
        problems.error(at, "`cache.key` must be one line and not longer than 1000");
    }
    for part in key.split("${hash:").skip(1) {
        let Some((file, _)) = part.split_once('}') else {
            problems.error(at, "`cache.key` has a `${hash:` without its `}`");
            continue;
        };
        if file.is_empty() || file.starts_with('~') {
            problems.hinted(
                at,
                format!("{} names no file", quoted(&format!("${{hash:{file}}}"))),
                "as ${hash:Cargo.lock}".to_owned(),
            );
        } else if !stays_inside(file) {
            problems.error(at, format!("{} leads out of the repository", quoted(file)));
        }
    }
}

fn check_cache_path(path: &str, at: Place, problems: &mut Problems) {
    let word = quoted(path);
    let below = path.strip_prefix("~/").unwrap_or(path);
    if path == "~" || below.trim_matches(['.', '/']).is_empty() {
        problems.error(
            at,
            format!("{word} is all of the folder; name those in it to keep"),
        );
    } else if path.starts_with('/') || path.starts_with('~') && below.len() == path.len() {
        problems.hinted(
            at,
            format!("{word} is neither in the repository nor below `HOME`"),
            "as target or ~/.cache/pip".to_owned(),
        );
    } else if !stays_inside(below) {
        problems.error(at, format!("{word} leads out of its folder"));
    }
}

pub(super) fn actions(top: &Fields<'_>, problems: &mut Problems) -> Option<Actions> {
    let node = top.get("actions")?;
    let fields = Fields::of(node, "`actions`", keys::ACTIONS, problems)?;
    let Some(workflows) = fields.get("workflows") else {
        problems.hinted(
            node.at,
            "`actions` without `workflows`".to_owned(),
            "the names of the workflows, as in workflows: [CI]".to_owned(),
        );
        return None;
    };
    let workflows = fields::words(workflows, "`actions.workflows`", problems)?;
    Some(Actions {
        workflows: workflows.into_iter().map(|(_, name)| name).collect(),
        artifacts: fields
            .get("artifacts")
            .and_then(|node| fields::name_globs(node, "`actions.artifacts`", problems)),
    })
}

pub(super) fn publish(top: &Fields<'_>, problems: &mut Problems) -> Publish {
    let mut publish = Publish::default();
    let Some(fields) = top
        .get("publish")
        .and_then(|node| Fields::of(node, "`publish`", keys::PUBLISH, problems))
    else {
        return publish;
    };
    if let Some(node) = fields.get("statuses") {
        publish.statuses = fields::flag(node, "`publish.statuses`", problems).unwrap_or(true);
    }
    if let Some(node) = fields.get("comment") {
        let words = ["changes", "always", "failures", "off"];
        publish.comment = match fields::choice(node, "`publish.comment`", &words, problems) {
            Some("always") => CommentPolicy::Always,
            Some("failures") => CommentPolicy::Failures,
            Some("off") => CommentPolicy::Off,
            _ => CommentPolicy::Changes,
        };
    }
    if let Some(node) = fields.get("annotations") {
        let words = ["all", "diff", "off"];
        publish.annotations = match fields::choice(node, "`publish.annotations`", &words, problems)
        {
            Some("diff") => AnnotationPolicy::Diff,
            Some("off") => AnnotationPolicy::Off,
            _ => AnnotationPolicy::All,
        };
    }
    if let Some(node) = fields.get("coverage_annotations") {
        publish.coverage_annotations =
            fields::flag(node, "`publish.coverage_annotations`", problems).unwrap_or(false);
    }
    if let Some(node) = fields.get("locals") {
        let choice = fields::choice(node, "`publish.locals`", &["hide", "show"], problems);
        publish.show_locals = choice == Some("show");
    }
    publish
}

pub(super) fn gates(top: &Fields<'_>, problems: &mut Problems) -> Gates {
    let mut gates = Gates::default();
    let Some(fields) = top
        .get("gates")
        .and_then(|node| Fields::of(node, "`gates`", keys::GATES, problems))
    else {
        return gates;
    };
    if let Some(tests) = fields
        .get("tests")
        .and_then(|node| Fields::of(node, "`gates.tests`", keys::TEST_GATES, problems))
    {
        if let Some(node) = tests.get("min_tests") {
            gates.min_tests = fields::count(node, "`gates.tests.min_tests`", problems).unwrap_or(1);
        }
        if let Some(node) = tests.get("allow_known_flaky") {
            gates.allow_known_flaky =
                fields::flag(node, "`gates.tests.allow_known_flaky`", problems).unwrap_or(false);
        }
    }
    if let Some(coverage) = fields
        .get("coverage")
        .and_then(|node| Fields::of(node, "`gates.coverage`", keys::COVERAGE_GATES, problems))
    {
        gates.coverage = coverage_gates(&coverage, problems);
    }
    gates
}

fn coverage_gates(fields: &Fields<'_>, problems: &mut Problems) -> CoverageGates {
    let is =
        |node: &Node, word: &str| matches!(&node.value, Value::Scalar { text, .. } if text == word);
    let mut gates = CoverageGates::default();
    if let Some(node) = fields.get("project") {
        gates.project = if is(node, "auto") {
            Some(ProjectGate::Auto)
        } else {
            fields::percent(node, "`gates.coverage.project`", problems).map(ProjectGate::AtLeast)
        };
    }
    if let Some(node) = fields.get("patch")
        && !is(node, "off")
    {
        gates.patch = fields::percent(node, "`gates.coverage.patch`", problems);
    }
    if let Some(node) = fields.get("threshold") {
        gates.threshold =
            fields::percent(node, "`gates.coverage.threshold`", problems).unwrap_or_default();
    }
    if let Some(node) = fields.get("partial_lines") {
        let what = "`gates.coverage.partial_lines`";
        let choice = fields::choice(node, what, &["hit", "miss"], problems);
        gates.partial_lines_miss = choice == Some("miss");
    }
    gates
}
