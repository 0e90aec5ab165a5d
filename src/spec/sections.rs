//! The parts of the specification that are no steps: reports, `when`, `publish`, `gates`.

use super::fields::{self, Fields};
use super::keys;
use super::model::{
    AnnotationPolicy, CommentPolicy, CoverageGates, Event, Gates, ProjectGate, Publish, Reports,
    When,
};
use super::problem::Problems;
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
