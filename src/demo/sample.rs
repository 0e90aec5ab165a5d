//! The sample repository of the demonstration: a few shell functions with tests that need only a
//! POSIX shell and a short history, a pull request that breaks one, and a pull request that does not.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// The sample's branches and their commits.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The bare repository.
    pub git_dir: PathBuf,
    /// What `main` was before, the oldest first.
    pub history: Vec<String>,
    /// The head of `main`.
    pub main: String,
    /// Branch and head of the pull request whose tests fail.
    pub failing: (String, String),
    /// Branch and head of the pull request whose tests pass.
    pub passing: (String, String),
}

const SPECIFICATION: &str = include_str!("../../templates/demo/herald.yml");
const LIBRARY: &str = include_str!("../../templates/demo/greet.sh");
const TESTS: &str = include_str!("../../templates/demo/greet_test.sh");
const RUNNER: &str = include_str!("../../templates/demo/run.sh");

/// Makes the sample repository in an empty folder.
///
/// # Errors
/// When git is missing or fails, or the disk refuses.
pub fn sample(dir: &Path) -> anyhow::Result<Sample> {
    let tree = dir.join("sample");
    std::fs::create_dir_all(tree.join("tests")).context("make the sample's folder")?;
    let git = |arguments: &[&str]| git(&tree, arguments);
    let write = |path: &str, content: &str| {
        std::fs::write(tree.join(path), content).with_context(|| format!("write {path}"))
    };
    git(&["init", "--quiet", "--initial-branch=main", "."])?;
    write(".herald.yml", SPECIFICATION)?;
    write("tests/run.sh", RUNNER)?;
    write("README.md", "# Greet\nSays hello.\n")?;
    let commit = |words: &str| {
        git(&["add", "--all"])?;
        git(&["commit", "--quiet", "-m", words])?;
        git(&["rev-parse", "HEAD"])
    };
    let mut history = Vec::new();
    for (words, library, tests) in past()? {
        write("greet.sh", &library)?;
        write("tests/greet_test.sh", tests)?;
        history.push(commit(words)?);
    }
    write("greet.sh", LIBRARY)?;
    write("tests/greet_test.sh", TESTS)?;
    let main = commit("Shout again")?;

    git(&["checkout", "--quiet", "-b", "shorter-greeting"])?;
    write("greet.sh", &LIBRARY.replace("Hello, %s!", "Hello %s!"))?;
    let failing = commit("Shorten the greeting")?;

    git(&["checkout", "--quiet", "-b", "say-goodbye", "main"])?;
    let goodbye = "\n# farewell NAME: says goodbye, without a name to all.\nfarewell() {\n  if [ -z \"$1\" ]; then\n    \
                   printf 'Goodbye!\\n'\n  else\n    printf 'Goodbye, %s!\\n' \"$1\"\n  fi\n}\n";
    write("greet.sh", &format!("{LIBRARY}{goodbye}"))?;
    let test = "\ntest_farewell_names_the_guest() {\n  assert_equal \"Goodbye, Ada!\" \"$(farewell Ada)\"\n}\n";
    write("tests/greet_test.sh", &format!("{TESTS}{test}"))?;
    let passing = commit("Say goodbye")?;

    let git_dir = dir.join("sample.git");
    git(&[
        "clone",
        "--quiet",
        "--bare",
        ".",
        git_dir.to_str().context("the folder's path is not UTF-8")?,
    ])?;
    Ok(Sample {
        git_dir,
        history,
        main,
        failing: ("shorter-greeting".to_owned(), failing),
        passing: ("say-goodbye".to_owned(), passing),
    })
}

/// What `main` was before: the words of its commits, the functions and their tests. The last one has a mistake.
fn past() -> anyhow::Result<[(&'static str, String, &'static str); 3]> {
    let part = |text: &'static str, mark: &str| {
        let (before, _) = text.split_once(mark).context("the sample is not whole")?;
        anyhow::Ok(before)
    };
    let hello = part(LIBRARY, "\n# shout")?;
    let wrong = LIBRARY.replace("[:upper:]", "[:lower:]");
    Ok([
        (
            "Say hello",
            hello.to_owned(),
            part(TESTS, "\ntest_greeting_keeps")?,
        ),
        (
            "Keep blanks",
            hello.to_owned(),
            part(TESTS, "\ntest_shout")?,
        ),
        ("Shout", wrong, part(TESTS, "\nskip_")?),
    ])
}

/// Runs git, away from the user's own settings, and says what it printed.
fn git(dir: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new("git");
    command
        .current_dir(dir)
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{who}_NAME"), "Mona")
            .env(format!("GIT_{who}_EMAIL"), "mona@example.org");
    }
    let output = command
        .output()
        .context("run git; is it installed? Herald needs git 2.30 or newer")?;
    if !output.status.success() {
        bail!(
            "git {} failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
