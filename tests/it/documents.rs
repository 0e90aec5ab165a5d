//! What the pages in `docs` show is done here as they say it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use herald::demo::Ran;
use herald::spec;
use saphyr::{LoadableYamlNode, Yaml};

use crate::actions::{tell, zip};
use crate::serve::{Forge, Herald};
use crate::world::{World, git, world};

/// Pages whose commands other tests run, because they need branches or a server, and where.
const ELSEWHERE: &[(&str, &str)] = &[
    ("enterprise.md", "enterprise.rs"),
    ("install.md", "packages.rs"),
    ("operating.md", "operating.rs"),
    ("production.md", "production_page.rs"),
    ("uploads.md", "upload_command.rs"),
];

/// A fenced block of a page.
pub(crate) struct Block {
    /// What stands behind its fence.
    pub(crate) kind: String,
    pub(crate) text: String,
}

impl Block {
    /// The file that it is, where its first line says so; else the specification.
    fn file(&self) -> Option<&str> {
        let first = self.text.lines().next()?;
        Some(first.strip_prefix("# ").unwrap_or(".herald.yml"))
    }
}

/// The blocks of a page, without the indentation of a list that they may stand in.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
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
    root().join("docs")
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
    std::fs::read_to_string(root().join("tests/fixtures/tools").join(path)).unwrap()
}

#[test]
fn every_specification_is_right_and_every_workflow_is_yaml() {
    for (page, text) in pages() {
        for block in blocks(&text).iter().filter(|block| block.kind == "yaml") {
            let file = block.file().unwrap();
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
    let mut ran = 0;
    for (page, text) in pages() {
        let blocks = blocks(&text);
        let commands: Vec<&Block> = blocks.iter().filter(|block| block.kind == "sh").collect();
        if let Some((_, file)) = ELSEWHERE.iter().find(|(other, _)| *other == page) {
            assert!(root().join("tests/it").join(file).exists(), "{file}");
            continue;
        }
        if commands.is_empty() {
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
            .find(|block| block.kind == "yaml" && block.file() == Some(".herald.yml"));
        if let Some(specification) = specification {
            std::fs::write(dir.path().join(".herald.yml"), &specification.text).unwrap();
        }
        for block in commands {
            let output = shell(&block.text, dir.path());
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{page}:\n{}\n{said}", block.text);
            ran += 1;
        }
    }
    assert!(ran >= 3, "{ran}");
}

/// The text of a page.
pub(crate) fn page(name: &str) -> String {
    std::fs::read_to_string(docs().join(name)).unwrap()
}

#[test]
fn the_readme_leads_to_every_page() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for (name, _) in pages() {
        assert!(readme.contains(&format!("](docs/{name})")), "{name}");
    }
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
        let mut found = blocks
            .iter()
            .filter(|block| block.kind == "yaml" && block.file() == Some(file));
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
        .rfind(|block| block.kind == "yaml" && block.file() == Some(".herald.yml"));
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
                fork: None,
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

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Commands of the README that need servers, engines or a release of their own, and where the same is done in
/// `tests/run --all`: a file, and what stands there.
const IN_PLACE: &[(&str, &str, &str)] = &[
    (
        "cargo run --release -- demo --once",
        "tests/it/commands.rs",
        "\"demo\", \"--once\"",
    ),
    ("RUSTFLAGS=", "deploy/release", "--profile runner"),
    (
        "cp target/x86_64-unknown-linux-gnu/runner",
        "tests/run",
        "runner/herald-runner",
    ),
    (
        "export HERALD_",
        "tests/it/containers.rs",
        "HERALD_EXECUTOR",
    ),
    ("herald serve", "tests/it/serve.rs", ".arg(\"serve\")"),
    ("herald doctor", "tests/it/doctor.rs", "doctor"),
    (
        "herald run --executor docker",
        "tests/it/containers.rs",
        "\"run\", \"--executor\", \"docker\"",
    ),
    ("docker swarm init", "tests/engines", "swarm init"),
    (
        "docker node update",
        "tests/engines",
        "node update --label-add",
    ),
    ("mkdir image", "tests/engines", "import"),
    ("tar -C image", "tests/engines", "herald-runner"),
    ("docker push", "tests/engines", "push"),
    ("HERALD_RUNNER_IMAGE=", "tests/engines", "stack deploy"),
];

/// The commands of the README, without their remarks.
fn commands_of_the_readme() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let blocks = blocks(&text);
    let shown = blocks.iter().filter(|block| block.kind == "sh");
    let joined: String = shown.map(|block| block.text.replace("\\\n", " ")).collect();
    let lines = joined.lines().map(|line| {
        let command = line.split(" # ").next().unwrap_or(line);
        command.split_whitespace().collect::<Vec<_>>().join(" ")
    });
    lines.filter(|line| !line.is_empty()).collect()
}

/// A repository like the README's, with a change on top of `main` and reports of it.
fn shop() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    let write = |path: &str, text: &str| {
        std::fs::create_dir_all(at(path).parent().unwrap()).unwrap();
        std::fs::write(at(path), text).unwrap();
    };
    let steps = "execute: [\"test -e shop.txt\"]\n";
    write(".herald.yml", steps);
    write("shop.txt", "open\n");
    git(dir.path(), &["init", "-q", "-b", "main", "."]);
    git(dir.path(), &["add", "-A"]);
    git(dir.path(), &["commit", "-q", "-m", "Open a shop"]);
    git(dir.path(), &["checkout", "-q", "-b", "change"]);
    write("shop.txt", "closed\n");
    git(dir.path(), &["commit", "-q", "-am", "Close it"]);
    for path in [
        "reports/junit.xml",
        "build/junit.xml",
        "shards/1/TEST-a.xml",
        "new.xml",
        "old.xml",
    ] {
        write(path, &fixture("pytest/report-xunit2.xml"));
    }
    write("coverage.xml", &fixture("coverage-py/report.xml"));
    dir
}

#[test]
fn every_command_of_the_readme_is_run_here_or_where_its_servers_are() {
    let shop = shop();
    let mut ran = 0;
    for command in commands_of_the_readme() {
        let words: Vec<&str> = command.split_whitespace().collect();
        let local = ["check", "run", "explain", "report"];
        let is_local = words.first() == Some(&"herald")
            && words.get(1).is_some_and(|verb| local.contains(verb))
            && !command.contains("docker");
        if is_local {
            let output = shell(&command, shop.path());
            let status = output.status.code().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            // The reports hold failures: that is 1. 2 and 3 say that the command is wrong.
            assert!(status <= 1, "{command}: {status}\n{said}");
            ran += 1;
            continue;
        }
        if command.starts_with("herald admin") || command.starts_with("curl") {
            // See the next test.
            continue;
        }
        let found = IN_PLACE
            .iter()
            .find(|(begin, ..)| command.starts_with(begin));
        let (_, file, what) = found.unwrap_or_else(|| panic!("who runs `{command}`?"));
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        assert!(text.contains(what), "{command}: {file} has no {what}");
    }
    assert!(ran >= 8, "{ran}");
}

fn shell(command: &str, dir: &Path) -> Output {
    let herald = Path::new(env!("CARGO_BIN_EXE_herald"));
    let path = std::env::var("PATH").unwrap();
    Command::new("sh")
        .args(["-eu", "-c", command])
        .current_dir(dir)
        .env(
            "PATH",
            format!("{}:{path}", herald.parent().unwrap().display()),
        )
        .env("HERALD_PROCESS_SANDBOX", "off")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_readme_asks_of_a_server_is_answered() {
    let forge = Forge::new(false).await;
    forge.write(".herald.yml", "execute: ['true']\n");
    let main = forge.commit("main");
    forge.branch("change");
    let head = forge.commit("change");
    let server = Herald::start(&forge);
    server
        .open_pull_request(&forge, "opened", &head, &main)
        .await;
    forge.completed(&head, "herald").await;
    let broken = serde_json::json!({"action": "opened", "repository": {}});
    let guid = "22222222-bbbb";
    server
        .deliver_as(&forge, "pull_request", guid, &broken)
        .await;
    let dir = forge.dir.path();
    std::fs::write(dir.join("token.txt"), "s3cret-enough\n").unwrap();
    let data = dir.join("data");
    let person = herald::demo::Person {
        login: "ada".to_owned(),
        permission: "write".to_owned(),
    };
    forge.github.state().people.insert(583_231, person);
    // One to look with, and one of a person.
    let (mut tokens, mut asked) = (Vec::new(), 0);
    for command in commands_of_the_readme() {
        let command = command
            .replace("OWNER/REPO", "octo/project")
            .replace("GUID", guid)
            .replace("builds/7/", "builds/1/");
        if command.starts_with("herald admin") {
            let admin = format!("export HERALD_DATA_DIR='{}'; {command}", data.display());
            let mut output = shell(&admin, dir);
            // It is handled in the background: replaying it is for one that has failed.
            for _ in 0..200 {
                if output.status.success() {
                    break;
                }
                output = shell(&admin, dir);
            }
            let (out, err) = (
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
            );
            assert!(output.status.success(), "{command}: {out}{err}");
            if command.contains("token create") {
                let found = out
                    .split_whitespace()
                    .find(|word| word.starts_with("herald_"));
                tokens.push(
                    found
                        .unwrap_or_else(|| panic!("no token in {out}{err}"))
                        .to_owned(),
                );
            }
            asked += 1;
        } else if command.starts_with("curl") {
            let path = command.rsplit("$HERALD").next().unwrap();
            let is_post = command.contains("-X POST");
            let (method, token) = if is_post {
                ("POST", &tokens[1])
            } else {
                ("GET", &tokens[0])
            };
            let (status, text) = server.ask(method, path, token).await;
            assert!((200..300).contains(&status), "{command}: {status} {text}");
            asked += 1;
        }
    }
    assert!(asked >= 9, "{asked}");
}
