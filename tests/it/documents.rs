//! What the pages in `docs` show is done here as they say it.

use std::path::{Path, PathBuf};
use std::process::Command;

use herald::demo::Ran;
use herald::spec;
use saphyr::{LoadableYamlNode, Yaml};

use crate::actions::{tell, zip};
use crate::world::{World, git, world};

/// Pages whose commands other tests run, because they speak to a server.
const ELSEWHERE: &[&str] = &[];

/// A fenced block of a page.
struct Block {
    /// What stands behind its fence.
    kind: String,
    text: String,
}

impl Block {
    /// The file that it is, where its first line says so.
    fn file(&self) -> Option<&str> {
        self.text.lines().next()?.strip_prefix("# ")
    }
}

/// The blocks of a page, without the indentation of a list that they may stand in.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, Block)> = None;
    for line in text.lines() {
        let start = line.trim_start();
        let indent = line.len() - start.len();
        open = match (open, start.strip_prefix("```")) {
            (None, Some(kind)) => Some((
                indent,
                Block {
                    kind: kind.to_owned(),
                    text: String::new(),
                },
            )),
            (Some((_, block)), Some(_)) => {
                blocks.push(block);
                None
            }
            (Some((indent, mut block)), None) => {
                block.text.push_str(line.get(indent..).unwrap_or_default());
                block.text.push('\n');
                Some((indent, block))
            }
            (None, None) => None,
        };
    }
    assert!(open.is_none(), "a block without an end");
    blocks
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// All pages, by name.
fn pages() -> Vec<(String, String)> {
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(docs()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "md") {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            pages.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
    pages.sort();
    assert!(pages.len() >= 3);
    pages
}

fn fixture(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tools");
    std::fs::read_to_string(root.join(path)).unwrap()
}

#[test]
fn every_specification_is_right_and_every_workflow_is_yaml() {
    for (page, text) in pages() {
        for block in blocks(&text).iter().filter(|block| block.kind == "yaml") {
            let file = block
                .file()
                .unwrap_or_else(|| panic!("{page}: whose YAML is this?\n{}", block.text));
            match file {
                ".herald.yml" => {
                    let parsed = spec::parse(block.text.as_bytes());
                    assert!(parsed.problems.is_empty(), "{page}: {:?}", parsed.problems);
                }
                _ => {
                    let read = Yaml::load_from_str(&block.text);
                    assert!(read.is_ok_and(|all| all.len() == 1), "{page}: {file}");
                }
            }
        }
    }
}

#[test]
fn every_command_does_what_it_is_there_for() {
    let herald = Path::new(env!("CARGO_BIN_EXE_herald"));
    let mut ran = 0;
    for (page, text) in pages() {
        let blocks = blocks(&text);
        let commands: Vec<&Block> = blocks.iter().filter(|block| block.kind == "sh").collect();
        if ELSEWHERE.contains(&page.as_str()) || commands.is_empty() {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "-q", "-b", "main", "."]);
        for path in ["reports/junit.xml", "test-results/pytest.xml", "junit.xml"] {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, fixture("pytest/report-xunit2.xml")).unwrap();
        }
        let specification = blocks
            .iter()
            .find(|block| block.file() == Some(".herald.yml"));
        if let Some(specification) = specification {
            std::fs::write(dir.path().join(".herald.yml"), &specification.text).unwrap();
        }
        for block in commands {
            let path = std::env::var("PATH").unwrap();
            let output = Command::new("sh")
                .args(["-eu", "-c", &block.text])
                .current_dir(dir.path())
                .env(
                    "PATH",
                    format!("{}:{path}", herald.parent().unwrap().display()),
                )
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{page}:\n{}\n{said}", block.text);
            ran += 1;
        }
    }
    assert!(ran >= 3, "{ran}");
}

/// The value of a key that stands alone on a line.
fn value<'a>(yaml: &'a str, key: &str) -> &'a str {
    let mut lines = yaml.lines().map(str::trim_start);
    let found = lines.find_map(|line| line.strip_prefix(key));
    found
        .unwrap_or_else(|| panic!("no {key} in\n{yaml}"))
        .trim()
}

/// What a page tells to do, with the reports of the tool that it uses: the workflow uploads what it did before, the
/// specification is the one of the page, and the check of the page is there.
async fn moved(page: &str, workflow: &str, report: (&str, &str)) -> (String, String) {
    let text = std::fs::read_to_string(docs().join(page)).unwrap();
    let blocks = blocks(&text);
    let named = |file: &str| {
        let mut found = blocks.iter().filter(|block| block.file() == Some(file));
        found
            .next()
            .unwrap_or_else(|| panic!("{page} has no {file}"))
    };
    let workflow = &named(workflow).text;
    let upload = workflow.rsplit_once("actions/upload-artifact").unwrap().1;
    let (name, artifact) = (value(workflow, "name: "), value(upload, "name: "));
    let artifact = artifact.replace("${{ matrix.shard }}", "2");
    let check = format!("herald / {name}");
    assert!(
        text.contains(&format!("`{check}`")) || name == "Shards",
        "{page}"
    );
    // The last one is what it comes to.
    let specification = blocks
        .iter()
        .rfind(|block| block.file() == Some(".herald.yml"));
    let specification = &specification.unwrap().text;
    let mut ended = None;
    world(async |w: &mut World| {
        w.write(".herald.yml", specification);
        let main = w.commit("main");
        let head = w.commit("change");
        w.pull("opened", &head, &main).await;
        let run = w.github.ran(
            &w.project,
            &Ran {
                workflow: name.to_owned(),
                event: "pull_request".to_owned(),
                branch: "change".to_owned(),
                commit: head.clone(),
                conclusion: "failure".to_owned(),
                fork: Some((999, "eve".to_owned())),
                by_bot: false,
            },
        );
        let (path, text) = report;
        w.github
            .upload_artifact(run, &artifact, &zip(&[(path, &fixture(text))]));
        tell(w, run).await;
        ended = Some(w.ended(&head, &check));
        w.read_comments();
    })
    .await;
    ended.unwrap()
}

#[tokio::test]
async fn who_moves_from_another_reporter_has_the_same_results() {
    let jest = ("junit.xml", "jest/report.xml");
    let pytest = ("pytest.xml", "pytest/report-xunit2.xml");
    let ci = ".github/workflows/ci.yml";
    for (page, workflow, report) in [
        ("from-test-reporter.md", ci, jest),
        ("from-publish-unit-test-result.md", ci, pytest),
        ("github-actions.md", ".github/workflows/shards.yml", jest),
    ] {
        let (conclusion, title) = moved(page, workflow, report).await;
        assert_eq!(conclusion, "failure", "{page}: {title}");
        assert!(
            title.contains("failed") && title.contains("passed"),
            "{page}: {title}"
        );
    }
}
