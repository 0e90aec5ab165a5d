//! `herald run --base`: the same verdicts on somebody's own machine.

use std::path::Path;

use serde_json::Value;

use crate::commands::herald;
use crate::world::git;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn write(dir: &Path, files: &[(&str, &str)]) {
    for (path, content) in files {
        std::fs::write(dir.join(path), content).unwrap();
    }
}

const SPECIFICATION: &str = "execute:\n  - name: tests\n    run: sh run.sh\n\
     reports: {tests: [junit.xml], coverage: [lcov.info]}\n\
     gates: {coverage: {project: auto, patch: 50%}}\n";

/// A script that copies the reports, which stand in the repository under other names, and is red where a test failed.
const RUN: &str = "cp tests.txt junit.xml; cp lines.txt lcov.info; ! grep -q failure junit.xml\n";

fn tests(names: &str) -> String {
    let cases: String = names
        .split_whitespace()
        .map(|name| match name.strip_prefix('-') {
            Some(name) => format!("<testcase classname='t' name='{name}'><failure/></testcase>"),
            None => format!("<testcase classname='t' name='{name}'/>"),
        })
        .collect();
    format!("<testsuite name='s'>{cases}</testsuite>\n")
}

fn lines(of: &[(u32, u32)]) -> String {
    let lines: String = of
        .iter()
        .map(|(line, hits)| format!("DA:{line},{hits}\n"))
        .collect();
    format!("SF:shop.txt\n{lines}end_of_record\n")
}

/// A repository with a base where one test fails, and a change that fails another, mends a third and adds two lines of
/// which one is covered.
fn repository() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    git(path, &["init", "-q", "-b", "main"]);
    write(
        path,
        &[
            (".herald.yml", SPECIFICATION),
            ("run.sh", RUN),
            ("tests.txt", &tests("-old -mended good")),
            ("lines.txt", &lines(&[(1, 1), (2, 1)])),
            ("shop.txt", "one\ntwo\n"),
            (".gitignore", ".config\n"),
        ],
    );
    git(path, &["add", "-A"]);
    git(path, &["commit", "-q", "-m", "base"]);
    git(path, &["checkout", "-q", "-b", "change"]);
    write(
        path,
        &[
            ("tests.txt", &tests("-old mended -good -fresh")),
            ("lines.txt", &lines(&[(1, 1), (2, 1), (3, 1), (4, 0)])),
            ("shop.txt", "one\ntwo\nthree\nfour\n"),
        ],
    );
    dir
}

#[test]
fn a_change_is_held_against_its_base_which_is_built_once() {
    let dir = repository();
    let first = herald(dir.path(), &["run", "--base", "main"]);
    assert_eq!(first.status.code(), Some(1), "{}", text(&first.stderr));
    let progress = text(&first.stderr);
    assert!(
        progress.contains("building the base, main at "),
        "{progress}"
    );
    let shown = text(&first.stdout);
    for said in [
        "3 tests failed, 2 are probably yours: 1 new in this change, 1 not seen failing on the base, 1 also failing on the base.",
        "    also fails on the base\n",
        "    new in this change\n",
        "against the base: 1 fixed, 1 added\n",
        "coverage −25 points\n",
        "of the change 1 of 2 added lines covered, 50%\n",
        "  shop.txt: not reached 4\n",
        "✗ coverage.project: 75% of the lines are covered, the base has 100%\n",
        "✓ coverage.patch: 1 of 2 added lines covered (50%), at least 50% required\n",
    ] {
        assert!(shown.contains(said), "{said}\n{shown}");
    }
    let again = herald(dir.path(), &["run", "--base", "main", "--format", "json"]);
    let progress = text(&again.stderr);
    assert!(progress.contains("held against main at "), "{progress}");
    assert!(!progress.contains("building the base"), "{progress}");
    let document: Value = serde_json::from_slice(&again.stdout).unwrap();
    let count = |list: &str| document["comparison"][list].as_array().unwrap().len();
    assert_eq!(
        (count("new"), count("still_failing"), count("fixed")),
        (2, 1, 1)
    );
    assert_eq!(document["gates"][0]["name"], "coverage.project");
    assert_eq!(document["gates"][0]["status"], "failure");
    assert_eq!(document["gates"][0]["actual"], 75.0);
    assert_eq!(document["gates"][1]["status"], "success");
    assert_eq!(document["coverage"]["patch"]["covered"], 1);
    // Nothing of it is seen in the work tree.
    assert!(!git(dir.path(), &["status", "--short"]).contains("base-"));
}

#[test]
fn what_the_base_puts_away_does_not_count() {
    let dir = repository();
    let day = chrono::Utc::now() + chrono::TimeDelta::days(20);
    let day = day.format("%Y-%m-%d");
    let names = ["old", "good", "fresh"].map(|name| format!("t.{name} until {day}\n"));
    git(dir.path(), &["stash", "-q"]);
    git(dir.path(), &["checkout", "-q", "main"]);
    write(dir.path(), &[(".herald-quarantine", &names.concat())]);
    git(dir.path(), &["add", "-A"]);
    git(dir.path(), &["commit", "-q", "-m", "put away"]);
    git(dir.path(), &["checkout", "-q", "-B", "change"]);
    git(dir.path(), &["stash", "pop", "-q"]);
    write(
        dir.path(),
        &[("lines.txt", &lines(&[(1, 1), (2, 1), (3, 1), (4, 1)]))],
    );
    let output = herald(dir.path(), &["run", "--base", "main"]);
    let shown = text(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{shown}{}",
        text(&output.stderr)
    );
    assert!(
        shown.contains("success 1 passed, 3 tolerated in "),
        "{shown}"
    );
    assert!(shown.contains("    quarantined until "), "{shown}");
}

#[test]
fn a_base_without_a_specification_is_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["init", "-q", "-b", "main"]);
    write(dir.path(), &[("README", "x\n")]);
    git(dir.path(), &["add", "-A"]);
    git(dir.path(), &["commit", "-q", "-m", "base"]);
    write(dir.path(), &[(".herald.yml", "execute: ['true']\n")]);
    let output = herald(dir.path(), &["run", "--base", "main"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = "has no specification that can be read: nothing is compared with it";
    assert!(
        text(&output.stderr).contains(said),
        "{}",
        text(&output.stderr)
    );
}
