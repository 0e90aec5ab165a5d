//! What the coverage of a change costs, against `diff-cover` in the same run.
//!
//! `cargo bench --bench patch -- PATH-OF-DIFF-COVER` (or `HERALD_TEST_DIFF_COVER`) makes a repository of 2,000 files with a
//! million lines that can be executed, a change of 20 of them, and the coverage of all as Cobertura and as LCOV. Herald's part
//! (git's list of files and its diff, reading the report, placing its files, counting) and `diff-cover` run in turns, each in a
//! process of its own; their answers have to be the same. It prints the medians of user and system time, git's included,
//! and ends with 1 when Herald takes more than a tenth of the other.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a program for people that ends when anything is wrong"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use herald::app::{Declared, Reports};
use herald::ports::Source;
use herald::ports::source::Remote;
use herald::protocol::CollectKind;
use herald::source::{GitOptions, GitSource};
use wait4::Wait4;

const FILES: usize = 2_000;
/// Lines of a file; all of them can be executed.
const LINES: usize = 500;
const CHANGED: usize = 20;
const ROUNDS: usize = 5;
/// The most that Herald may take of what `diff-cover` takes.
const AT_MOST: f64 = 0.1;

const REPORTS: [&str; 2] = ["coverage.xml", "lcov.info"];
const REPOSITORY: &str = "million";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, dir, base, head, report] = arguments.as_slice()
        && mode == "herald"
    {
        println!("{}", patch(Path::new(dir), [base, head], report));
        return ExitCode::SUCCESS;
    }
    let given = arguments.iter().find(|argument| !argument.starts_with('-'));
    let other = given
        .cloned()
        .or_else(|| std::env::var("HERALD_TEST_DIFF_COVER").ok());
    let Some(other) = other else {
        println!("say where diff-cover is: cargo bench --bench patch -- PATH");
        return ExitCode::FAILURE;
    };
    let dir = tempfile::tempdir().unwrap();
    let [base, head] = make(dir.path());
    println!(
        "{CHANGED} of {FILES} files changed, {} lines in the report\n",
        FILES * LINES
    );
    println!(
        "| report | covered | diff-cover | Herald | share, at most {AT_MOST} |\n| --- | ---: | ---: | ---: | ---: |"
    );
    let mut good = true;
    for report in REPORTS {
        let (mut others, mut own) = (Vec::new(), Vec::new());
        let mut answers = Vec::new();
        // The first round fills the caches.
        for round in 0..=ROUNDS {
            let theirs = diff_cover(dir.path(), &other, &base, report);
            let ours = herald(dir.path(), [&base, &head], report);
            answers.extend([theirs.answer, ours.answer]);
            if round > 0 {
                others.push(theirs.seconds);
                own.push(ours.seconds);
            }
        }
        answers.dedup();
        let [answer] = answers.as_slice() else {
            println!("{report}: the answers differ: {answers:?}");
            return ExitCode::FAILURE;
        };
        let (others, own) = (median(others), median(own));
        let share = own / others;
        println!("| {report} | {answer} | {others:.3} s | {own:.3} s | {share:.3} |");
        good &= share <= AT_MOST;
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What a process took, and what it answered.
struct Run {
    seconds: f64,
    answer: String,
}

/// Runs a process to its end; its time has that of git in it.
fn measure(command: &mut Command, answer: &Path) -> Run {
    let out = fs::File::create(answer).unwrap();
    let child = command.stdout(Stdio::from(out)).spawn().unwrap();
    let used = child.wait4().unwrap();
    assert!(used.status.success(), "{command:?}");
    Run {
        seconds: (used.rusage.utime + used.rusage.stime).as_secs_f64(),
        answer: fs::read_to_string(answer).unwrap().trim().to_owned(),
    }
}

fn herald(dir: &Path, [base, head]: [&str; 2], report: &str) -> Run {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("herald").arg(dir).args([base, head, report]);
    measure(&mut command, &dir.join("answer"))
}

fn diff_cover(dir: &Path, program: &str, base: &str, report: &str) -> Run {
    let json = dir.join("answer.json");
    let mut command = Command::new(program);
    command
        .current_dir(tree(dir))
        .arg(dir.join(report))
        .args(["--quiet", "--compare-branch", base, "--format"])
        .arg(format!("json:{}", json.display()));
    let run = measure(&mut command, &dir.join("answer"));
    let answer: serde_json::Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    let number = |key: &str| answer[key].as_u64().unwrap();
    let total = number("total_num_lines");
    Run {
        answer: said(total - number("total_num_violations"), total),
        ..run
    }
}

fn said(covered: u64, total: u64) -> String {
    format!("{covered} of {total}")
}

/// What the server does.
fn patch(dir: &Path, [base, head]: [&str; 2], report: &str) -> String {
    let source = source(dir);
    let (tree, diff) = runtime().block_on(async {
        let from = source.merge_base(REPOSITORY, base, head).await.unwrap();
        let diff = source.diff(REPOSITORY, &from.unwrap(), head).await;
        (source.tree(REPOSITORY, head).await.unwrap(), diff.unwrap())
    });
    let mut reports = Reports::new(&tree, Declared::default());
    let path = dir.join(report);
    reports.add(CollectKind::Coverage, report, &path).unwrap();
    let patch = reports.finish(Some(&diff), false).patch.unwrap();
    said(patch.covered, patch.total)
}

fn source(dir: &Path) -> GitSource {
    GitSource::new(GitOptions {
        program: "git".into(),
        folder: dir.join("mirrors"),
        environment: vec![("PATH".to_owned(), std::env::var("PATH").unwrap())],
        allow_files: true,
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn tree(dir: &Path) -> PathBuf {
    dir.join("tree")
}

fn name(file: usize) -> String {
    format!("src/part{}/module{file}.py", file % 50)
}

/// The repository with its two commits, its mirror, and the reports.
fn make(dir: &Path) -> [String; 2] {
    let tree = tree(dir);
    fs::create_dir(&tree).unwrap();
    git(&tree, &["init", "-q", "-b", "main", "."]);
    for file in 0..FILES {
        write(&tree, file, |line| format!("value = {file} + {line}"));
    }
    let base = commit(&tree);
    // Every tenth line, and some new ones at the end.
    for file in (0..FILES).step_by(FILES / CHANGED) {
        write(&tree, file, |line| match line % 10 {
            0 => format!("changed = {line}"),
            _ if line > LINES - 20 => format!("new = {line}"),
            _ => format!("value = {file} + {line}"),
        });
    }
    let head = commit(&tree);
    let remote = Remote {
        id: REPOSITORY.to_owned(),
        url: format!("file://{}", tree.display()),
        credential: None,
    };
    let refs = ["refs/heads/main".to_owned()];
    let source = source(dir);
    runtime().block_on(async {
        for commit in [&base, &head] {
            source.fetch(&remote, commit, &refs).await.unwrap();
        }
    });
    let hits = |file: usize, line: usize| usize::from(!(file + line).is_multiple_of(7));
    let mut xml = format!(
        "<?xml version=\"1.0\" ?>\n<coverage version=\"7\" line-rate=\"0.8\">\n<sources><source>{}</source></sources>\n<packages><package name=\".\"><classes>\n",
        tree.display()
    );
    let mut lcov = "TN:\n".to_owned();
    for file in 0..FILES {
        let name = name(file);
        let _ = writeln!(
            xml,
            "\t<class name=\"module{file}.py\" filename=\"{name}\" complexity=\"0\" line-rate=\"0.8\">\n\t<methods/>\n\t<lines>"
        );
        let _ = writeln!(lcov, "SF:{name}");
        for line in 1..=LINES {
            let hits = hits(file, line);
            let _ = writeln!(xml, "\t\t<line number=\"{line}\" hits=\"{hits}\"/>");
            let _ = writeln!(lcov, "DA:{line},{hits}");
        }
        xml.push_str("\t</lines>\n\t</class>\n");
        lcov.push_str("end_of_record\n");
    }
    xml.push_str("</classes></package></packages>\n</coverage>\n");
    for (report, text) in REPORTS.into_iter().zip([xml, lcov]) {
        fs::write(dir.join(report), text).unwrap();
    }
    [base, head]
}

fn write(tree: &Path, file: usize, line: impl Fn(usize) -> String) {
    let path = tree.join(name(file));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let text: String = (1..=LINES).map(|number| line(number) + "\n").collect();
    fs::write(path, text).unwrap();
}

fn commit(tree: &Path) -> String {
    git(tree, &["add", "-A"]);
    git(tree, &["commit", "-q", "-m", "work"]);
    git(tree, &["rev-parse", "HEAD"])
}

/// Runs git away from anybody's settings, and says what it printed.
fn git(dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(dir)
        .args(["-c", "user.name=Mona", "-c", "user.email=mona@example.org"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}
