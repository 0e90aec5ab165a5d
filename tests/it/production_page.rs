//! `docs/production.md`: its commands are run one after another in a repository with two branches.

use std::path::Path;
use std::process::Command;

use crate::documents::{blocks, page};
use crate::world::git;

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

    fn run(&self, commands: &str) {
        let herald = Path::new(env!("CARGO_BIN_EXE_herald"));
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", herald.parent().unwrap().display());
        let done = Command::new("sh")
            .args(["-e", "-c", commands])
            .current_dir(self.dir.path().join("tree"))
            .env("PATH", path)
            .env("COMMIT", &self.commit)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{commands}: {said}");
    }

    /// Where a branch is on `origin`.
    fn tip(&self, branch: &str) -> String {
        let origin = self.dir.path().join("origin.git");
        git(&origin, &["rev-parse", &format!("refs/heads/{branch}")])
    }
}

#[test]
fn its_commands_move_the_branches_as_it_says() {
    let text = page("production.md");
    let blocks = blocks(&text);
    let specification = blocks.iter().find(|block| block.kind == "yaml").unwrap();
    let ground = Ground::new(&specification.text);
    for block in blocks.iter().filter(|block| block.kind == "sh") {
        ground.run(&block.text);
    }
    assert_eq!(ground.tip("main"), ground.tip("feature"), "by fast-forward");
    assert_eq!(ground.tip("production"), ground.commit, "set back");
}
