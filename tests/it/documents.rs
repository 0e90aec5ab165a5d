//! The documents in `docs`: every specification in them is a good one, every command in them does what they say.
//!
//! A block ```` ```yaml ```` is a `.herald.yml`, unless its first line is a comment that names another file. The blocks ```` ```sh ```` of a
//! document are run one after another in a repository with two branches (see [`Ground`]), unless they need a server:
//! then they are listed here with the test that does the same.

use std::path::{Path, PathBuf};
use std::process::Command;

use herald::spec::parse;

use crate::world::git;

/// Blocks that are not run here: the document, a part of the block, and the test that does what it says.
const ELSEWHERE: [(&str, &str, &str); 0] = [];

struct Block {
    document: String,
    /// The line on which it begins, from 1.
    line: usize,
    kind: String,
    text: String,
}

fn documents() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let files = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "md"));
    files.sort();
    files
}

/// All fenced blocks of a document, also those in lists.
fn blocks(file: &Path) -> Vec<Block> {
    let document = file.file_name().unwrap().to_string_lossy().into_owned();
    let text = std::fs::read_to_string(file).unwrap();
    let mut all: Vec<Block> = Vec::new();
    let mut open: Option<usize> = None;
    for (at, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        match (open, line.trim_start().strip_prefix("```")) {
            (None, Some(kind)) => {
                open = Some(indent);
                all.push(Block {
                    document: document.clone(),
                    line: at + 1,
                    kind: kind.trim().to_owned(),
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => open = None,
            (Some(indent), None) => {
                let block = all.last_mut().unwrap();
                let line = line.get(indent..).unwrap_or(line.trim_start());
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{document}: a block has no end");
    all
}

fn all_blocks(kind: &str) -> Vec<Block> {
    let all = documents()
        .iter()
        .flat_map(|file| blocks(file))
        .collect::<Vec<_>>();
    all.into_iter().filter(|block| block.kind == kind).collect()
}

/// Whether it is a specification, and not another file.
fn is_specification(block: &Block) -> bool {
    !block.text.starts_with("# .github/")
}

#[test]
fn every_specification_in_the_documents_is_a_good_one() {
    let mut seen = 0;
    for block in all_blocks("yaml")
        .iter()
        .filter(|block| is_specification(block))
    {
        let parsed = parse(block.text.as_bytes());
        let place = format!("{}:{}", block.document, block.line);
        assert!(parsed.problems.is_empty(), "{place}: {:?}", parsed.problems);
        seen += 1;
    }
    assert!(seen > 0);
}

/// A repository as the documents speak of it: `main` at a release, a branch `feature` on top of it, both on `origin`;
/// `herald` on the path, and in `COMMIT` the commit of the release.
struct Ground {
    dir: tempfile::TempDir,
    commit: String,
}

impl Ground {
    fn new(specification: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        git(&tree, &["init", "-q", "-b", "main", "."]);
        git(
            &tree,
            &["init", "-q", "--bare", "-b", "main", "../origin.git"],
        );
        git(&tree, &["remote", "add", "origin", "../origin.git"]);
        std::fs::write(tree.join(".herald.yml"), specification).unwrap();
        std::fs::write(tree.join("Makefile"), "test deploy:\n\ttouch $@.done\n").unwrap();
        git(&tree, &["add", "-A"]);
        git(&tree, &["commit", "-q", "-m", "First (#1)"]);
        let commit = git(&tree, &["rev-parse", "HEAD"]);
        git(&tree, &["push", "-q", "origin", "main"]);
        git(&tree, &["checkout", "-q", "-b", "feature"]);
        git(&tree, &["commit", "-q", "--allow-empty", "-m", "A feature"]);
        git(&tree, &["push", "-q", "origin", "feature"]);
        git(&tree, &["checkout", "-q", "main"]);
        Self { dir, commit }
    }

    fn run(&self, block: &Block) {
        let herald = Path::new(env!("CARGO_BIN_EXE_herald"));
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", herald.parent().unwrap().display());
        let done = Command::new("sh")
            .args(["-e", "-c", &block.text])
            .current_dir(self.dir.path().join("tree"))
            .env("PATH", path)
            .env("COMMIT", &self.commit)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        let place = format!("{}:{}", block.document, block.line);
        assert!(done.status.success(), "{place}: {said}");
    }

    /// Where a branch is on `origin`.
    fn tip(&self, branch: &str) -> String {
        let origin = self.dir.path().join("origin.git");
        git(&origin, &["rev-parse", &format!("refs/heads/{branch}")])
    }
}

#[test]
fn every_command_in_the_documents_does_what_they_say() {
    let tests = tests();
    for file in documents() {
        let blocks = blocks(&file);
        let mut specifications = blocks
            .iter()
            .filter(|block| block.kind == "yaml" && is_specification(block));
        let specification = specifications.next();
        let specification = specification.map_or("execute: ['true']\n", |block| &block.text);
        let ground = Ground::new(specification);
        for block in blocks.iter().filter(|block| block.kind == "sh") {
            let listed = ELSEWHERE.iter().find(|(document, part, _)| {
                block.document == *document && block.text.contains(part)
            });
            match listed {
                Some((_, _, test)) => assert!(tests.contains(&format!("fn {test}(")), "{test}"),
                None => ground.run(block),
            }
        }
        if file.ends_with("production.md") {
            assert_eq!(ground.tip("main"), ground.tip("feature"), "by fast-forward");
            assert_eq!(ground.tip("production"), ground.commit, "set back");
        }
    }
}

/// The text of all tests.
fn tests() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let files = std::fs::read_dir(folder).unwrap();
    let files = files.map(|file| file.unwrap().path());
    files
        .filter(|file| file.is_file())
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect()
}

#[test]
fn the_readme_leads_to_every_document() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    for file in documents() {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert!(readme.contains(&format!("](docs/{name})")), "{name}");
    }
}
