//! Patch coverage against `diff-cover` of Python, which answers the same question: on what ten
//! Python packages changed from one version to the next, and on a small project with all that makes lines hard to count.
//!
//! The older version is committed, the newer one on top, and its own tests run under pytest, with coverage written as Cobertura
//! and as LCOV. Herald is asked both ways: as `herald run --base`, and by what the server does with the two commits. Figures and
//! missed lines have to be the same, to the line; with `partial_lines: miss` those of `--branch-coverage`.
//!
//! Where the two differ on purpose is in [`DIFFERENCES`], with the figures of both. Beside these: what is not committed.
//!
//! `tests/run --all` brings the packages (`tests/diffs`) and `diff-cover`, and says where they are: `HERALD_TEST_DIFFS`,
//! `HERALD_TEST_DIFF_COVER`; `HERALD_TEST_PYTHON` is the Python with pytest.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use herald::app::{Declared, Reports};
use herald::ports::Source;
use herald::ports::source::Remote;
use herald::protocol::CollectKind;
use herald::source::{GitOptions, GitSource};
use serde_json::Value;

use crate::serve::switch;
use crate::world::git;

/// The packages, and what of them is measured: everything, or what lies below two folders, so that the paths of the report
/// are not those of the repository; with branches or without.
const PACKAGES: [(&str, &[&str]); 10] = [
    ("cachetools", &["--cov=.", "--cov-branch"]),
    // All its files moved to another folder, and changed.
    (
        "hyperframe",
        &["--cov=src/hyperframe", "--cov=test", "--cov-branch"],
    ),
    ("idna", &["--cov=."]),
    ("inflection", &["--cov=."]),
    // Written anew, in another folder.
    ("mistune", &["--cov=."]),
    ("parse", &["--cov=.", "--cov-branch"]),
    // Its tests were renamed and changed.
    ("pathspec", &["--cov=."]),
    // A module became a package.
    ("tabulate", &["--cov=.", "--cov-branch"]),
    ("toolz", &["--cov=."]),
    ("xmltodict", &["--cov=.", "--cov-branch"]),
];

/// The name of the older version.
const BASE: &str = "before";

/// The tools, where `tests/run --all` has brought them.
#[derive(Clone)]
struct Tools {
    python: String,
    diff_cover: String,
}

impl Tools {
    fn find() -> Option<Self> {
        Some(Self {
            diff_cover: switch("HERALD_TEST_DIFF_COVER")?,
            python: switch("HERALD_TEST_PYTHON").unwrap(),
        })
    }
}

/// Patch coverage as one of the programs has it.
#[derive(Debug, Default, PartialEq)]
struct Patch {
    covered: u64,
    total: u64,
    /// Lines that were not hit, of files that have such.
    missed: BTreeMap<String, Vec<u64>>,
}

/// A repository with a change, and the coverage of its tests.
struct Change {
    dir: tempfile::TempDir,
    tools: Tools,
}

impl Change {
    fn new(tools: &Tools) -> Self {
        let change = Self {
            dir: tempfile::tempdir().unwrap(),
            tools: tools.clone(),
        };
        fs::create_dir(change.tree()).unwrap();
        git(&change.tree(), &["init", "-q", "-b", "main", "."]);
        change
    }

    fn tree(&self) -> PathBuf {
        self.dir.path().join("tree")
    }

    /// A report, by the name that its format has here.
    fn report(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn commit(&self) -> String {
        // What a package ignores is in its archive nevertheless.
        git(&self.tree(), &["add", "-A", "-f"]);
        git(&self.tree(), &["commit", "-q", "-m", "work"]);
        git(&self.tree(), &["rev-parse", "HEAD"])
    }

    /// Runs all tests under coverage.
    fn cover(&self, flags: &[&str]) {
        let (xml, lcov) = (self.report("coverage.xml"), self.report("lcov.info"));
        let output = Command::new(&self.tools.python)
            .current_dir(self.tree())
            .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
            .args(flags)
            .arg("--cov-fail-under=0")
            .arg(format!("--cov-report=xml:{}", xml.display()))
            .arg(format!("--cov-report=lcov:{}", lcov.display()))
            .env("PYTHONPATH", "src:.")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
    }

    /// What `diff-cover` says; `None` when it gives up.
    fn diff_cover(&self, report: &str, flags: &[&str]) -> Option<Patch> {
        let json = self.dir.path().join("diff-cover.json");
        let output = Command::new(&self.tools.diff_cover)
            .current_dir(self.tree())
            .arg(self.report(report))
            .args(["--quiet", "--compare-branch", BASE, "--format"])
            .arg(format!("json:{}", json.display()))
            .args(flags)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .unwrap();
        if !output.status.success() {
            eprintln!("diff-cover: {}", String::from_utf8_lossy(&output.stderr));
            return None;
        }
        let answer: Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
        let number = |key: &str| answer[key].as_u64().unwrap();
        let total = number("total_num_lines");
        let files = answer["src_stats"].as_object().unwrap();
        let missed = files.iter().map(|(path, file)| {
            let lines = file["violation_lines"].as_array().unwrap();
            let lines: Vec<u64> = lines.iter().map(|line| line.as_u64().unwrap()).collect();
            (path.clone(), lines)
        });
        Some(Patch {
            covered: total - number("total_num_violations"),
            total,
            missed: missed.filter(|(_, lines)| !lines.is_empty()).collect(),
        })
    }

    /// What `herald run` says, of a job that leaves that report.
    fn run(&self, report: &str, gates: &str) -> Counted {
        let specification = format!(
            "execute: [cp '{}' the-report]\nreports: {{coverage: [the-report]}}\n{gates}",
            self.report(report).display()
        );
        fs::write(self.tree().join(".herald.yml"), specification).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_herald"))
            .current_dir(self.tree())
            .args(["run", "--base", BASE, "--format", "json"])
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("HOME", self.dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{report}: {said}");
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        let patch = &document["coverage"]["patch"];
        (
            patch["covered"].as_u64().unwrap(),
            patch["total"].as_u64().unwrap(),
        )
    }

    /// What the server says, from the two commits and the report.
    fn serve(&self, report: &str, partial_lines_miss: bool) -> Patch {
        let source = GitSource::new(GitOptions {
            program: "git".into(),
            folder: self.dir.path().join("mirrors"),
            environment: vec![("PATH".to_owned(), std::env::var("PATH").unwrap())],
            allow_files: true,
        });
        let remote = Remote {
            id: "package".to_owned(),
            url: format!("file://{}", self.tree().display()),
            credential: None,
        };
        let commit = |name: &str| git(&self.tree(), &["rev-parse", name]);
        let (base, head) = (commit(BASE), commit("main"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (tree, diff) = runtime.block_on(async {
            for (commit, name) in [(&base, BASE), (&head, "main")] {
                let names = [format!("refs/heads/{name}")];
                source.fetch(&remote, commit, &names).await.unwrap();
            }
            let id = &remote.id;
            let from = source.merge_base(id, &base, &head).await.unwrap();
            let diff = source.diff(id, &from.unwrap(), &head).await.unwrap();
            (source.tree(id, &head).await.unwrap(), diff)
        });
        let mut reports = Reports::new(&tree, Declared::default());
        let path = self.report(report);
        reports.add(CollectKind::Coverage, report, &path).unwrap();
        let gathered = reports.finish(Some(&diff), partial_lines_miss);
        let patch = gathered.patch.unwrap();
        let mut missed: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for lines in patch.missed {
            let stretch = u64::from(lines.first)..=u64::from(lines.last);
            // Lines in between that cannot be executed belong to a stretch, and are none of those that were missed.
            let coverage = gathered.report.coverage.as_ref().unwrap();
            let file = coverage
                .files
                .iter()
                .find(|file| file.place() == lines.path)
                .unwrap();
            let executable = stretch.filter(|line| {
                let line = u32::try_from(*line).unwrap();
                file.is_line_covered(line).is_some()
            });
            missed.entry(lines.path).or_default().extend(executable);
        }
        Patch {
            covered: patch.covered,
            total: patch.total,
            missed,
        }
    }
}

/// A package: its older version is the base, its newer one the change.
fn package(tools: &Tools, archives: &Path, name: &str) -> Change {
    let change = Change::new(tools);
    for version in ["before", "after"] {
        for entry in fs::read_dir(change.tree()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with(".git") {
                fs::remove_dir_all(path).unwrap();
            } else if path.is_file() {
                fs::remove_file(path).unwrap();
            }
        }
        let mut found = fs::read_dir(archives.join(version))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                let file = path.file_name().unwrap().to_str().unwrap();
                file.starts_with(&format!("{name}-"))
            });
        let archive = found
            .next()
            .unwrap_or_else(|| panic!("no archive of {name} {version}"));
        let unpacked = Command::new("tar")
            .current_dir(change.tree())
            .args(["--strip-components=1", "-xzf"])
            .arg(archive)
            .status()
            .unwrap();
        assert!(unpacked.success(), "{name} {version}");
        change.commit();
        if version == "before" {
            git(&change.tree(), &["branch", BASE]);
        }
    }
    change
}

/// A way to ask both programs.
struct Question {
    report: &'static str,
    flags: &'static [&'static str],
    specification: &'static str,
    partial_lines_miss: bool,
}

const LINES: [Question; 2] = [
    Question {
        report: "coverage.xml",
        flags: &[],
        specification: "",
        partial_lines_miss: false,
    },
    Question {
        report: "lcov.info",
        flags: &[],
        specification: "",
        partial_lines_miss: false,
    },
];

/// For reports with branches. Of LCOV `diff-cover` does not answer this.
const PARTIAL_LINES: Question = Question {
    report: "coverage.xml",
    flags: &["--branch-coverage"],
    specification: "gates: {coverage: {partial_lines: miss}}\n",
    partial_lines_miss: true,
};

/// What the programs say of a package or project, and what differs, in words.
#[derive(Default)]
struct Comparison {
    figures: String,
    wrong: String,
    /// Lines of changes, and how many of them were missed, over all questions.
    total: u64,
    missed: u64,
}

impl Comparison {
    fn ask(&mut self, change: &Change, name: &str, question: &Question) {
        let report = question.report;
        let what = format!("{name} {report} {}", question.flags.join(" "));
        let theirs = change.diff_cover(report, question.flags).unwrap();
        let ours = change.serve(report, question.partial_lines_miss);
        let local = change.run(report, question.specification);
        let _ = writeln!(
            self.figures,
            "| {what} | {} of {} | {} of {} | {} of {} |",
            theirs.covered, theirs.total, ours.covered, ours.total, local.0, local.1,
        );
        if ours != theirs {
            let _ = writeln!(self.wrong, "{what}:\n{ours:?} instead of\n{theirs:?}");
        }
        if local != (theirs.covered, theirs.total) {
            let _ = writeln!(self.wrong, "{what}: `herald run` has {local:?}");
        }
        self.total += theirs.total;
        self.missed += theirs.total - theirs.covered;
    }

    fn add(&mut self, other: &Self) {
        self.figures.push_str(&other.figures);
        self.wrong.push_str(&other.wrong);
        self.total += other.total;
        self.missed += other.missed;
    }
}

#[test]
fn patch_coverage_of_ten_real_changes_is_that_of_diff_cover() {
    let Some(tools) = Tools::find() else {
        return;
    };
    let archives = PathBuf::from(switch("HERALD_TEST_DIFFS").unwrap());
    let all: Mutex<Comparison> = Mutex::default();
    let left = Mutex::new(PACKAGES.iter());
    let work = || {
        loop {
            let next = left.lock().unwrap().next();
            let Some((name, flags)) = next else {
                return;
            };
            let change = package(&tools, &archives, name);
            change.cover(flags);
            let partial = flags.contains(&"--cov-branch").then_some(&PARTIAL_LINES);
            let mut compared = Comparison::default();
            for question in LINES.iter().chain(partial) {
                compared.ask(&change, name, question);
            }
            all.lock().unwrap().add(&compared);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    let all = all.into_inner().unwrap();
    eprintln!(
        "| change and report | diff-cover | server | `herald run` |\n{}",
        all.figures
    );
    assert!(all.wrong.is_empty(), "\n{}", all.wrong);
    // Changes of which everything is covered, or nothing, would say little.
    assert!(all.total > 5000 && all.missed > 200, "{}", all.figures);
}

/// A project before and after a change that has about everything that makes lines hard to count.
const BEFORE: [(&str, &str); 9] = [
    ("shop/__init__.py", ""),
    ("shop/gone.py", "def gone():\n    return 1\n"),
    (
        "shop/old.py",
        "def one():\n    return 1\n\n\ndef two():\n    return 2\n\n\ndef three():\n    return 3\n",
    ),
    ("shop/windows.py", "def win():\r\n    return 1\r\n"),
    (
        "shop/from_here.py",
        "def stays():\n    return 1\n\n\ndef moves(x):\n    if x:\n        return 1\n    return 2\n",
    ),
    ("shop/to_there.py", "VALUE = 1\n"),
    ("shop/names/util.py", "A = 1\n"),
    ("other/util.py", "A = 1\n"),
    ("test_shop.py", "def test_nothing():\n    pass\n"),
];
const AFTER: [(&str, &str); 12] = [
    ("shop/__init__.py", ""),
    // Renamed and changed.
    (
        "shop/new.py",
        "def one():\n    return 1\n\n\ndef two():\n    return 22\n\n\ndef three():\n    return 3\n\n\ndef four():\n    return 4\n",
    ),
    // Every line ends otherwise than in other files, and the last one not at all.
    (
        "shop/windows.py",
        "def win():\r\n    return 2\r\n\r\n\r\ndef more():\r\n    return 3",
    ),
    // Moved from one file to another.
    ("shop/from_here.py", "def stays():\n    return 1\n"),
    (
        "shop/to_there.py",
        "VALUE = 1\n\n\ndef moves(x):\n    if x:\n        return 1\n    return 2\n",
    ),
    // Two files of one name, of which one is measured.
    ("shop/names/util.py", "A = 1\nB = 2\n"),
    ("other/util.py", "A = 1\nB = 2\nC = 3\n"),
    // What git quotes, and nobody imports.
    ("shop/a b/caf\u{e9} \"q\".py", "D = 1\nE = 2\n"),
    ("shop/a b/__init__.py", ""),
    // Lines that are not to be counted, and one of several lines.
    (
        "shop/pragma.py",
        "def f(x):\n    if x:  # pragma: no cover\n        return 1\n    return dict(\n        a=1,\n        b=2,\n    )\n\n\ndef g():\n    return dict(\n        a=1,\n    )\n",
    ),
    ("shop/empty.py", ""),
    (
        "test_shop.py",
        "from shop import new, pragma, to_there, windows\nfrom shop.names import util\n\n\ndef test_shop():\n    assert new.two() == 22\n    assert windows.win() == 2\n    assert to_there.moves(0) == 2\n    assert pragma.f(0) and util.B == 2\n",
    ),
];

fn write(tree: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = tree.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

#[test]
fn patch_coverage_of_a_change_full_of_traps_is_that_of_diff_cover() {
    let Some(tools) = Tools::find() else {
        return;
    };
    let change = Change::new(&tools);
    let tree = change.tree();
    write(&tree, &BEFORE);
    change.commit();
    git(&tree, &["branch", BASE]);
    for (path, _) in BEFORE {
        fs::remove_file(tree.join(path)).unwrap();
    }
    write(&tree, &AFTER);
    change.commit();
    // The base goes on; what it adds since is nothing of the change.
    git(&tree, &["checkout", "-q", BASE]);
    write(&tree, &[("shop/to_there.py", "VALUE = 3\nOTHER = 4\n")]);
    change.commit();
    git(&tree, &["checkout", "-q", "main"]);
    for flags in [
        &["--cov=shop", "--cov-branch"][..],
        &["--cov=shop"],
        &["--cov=.", "--cov-branch"],
    ] {
        change.cover(flags);
        let mut compared = Comparison::default();
        for question in LINES.iter().chain([&PARTIAL_LINES]) {
            compared.ask(&change, &flags.join(" "), question);
        }
        eprintln!("{}", compared.figures);
        assert!(compared.wrong.is_empty(), "\n{}", compared.wrong);
    }
}

/// Covered lines and lines.
type Counted = (u64, u64);

/// Where the programs differ because they are made so: what the report has, its name and text, and covered lines and lines of
/// the change as `diff-cover` counts them (`None` where it gives up) and as Herald does. The change adds the 6 lines of
/// `shop/a.py`.
const DIFFERENCES: [(&str, &str, &str, Option<Counted>, Counted); 11] = [
    (
        "paths of another machine: diff-cover takes only the path of the file here or within the repository, Herald the \
         one file whose path ends so",
        "cobertura.xml",
        "<coverage><sources><source>/elsewhere/shop</source></sources><packages><package><classes><class filename='a.py'>\
         <lines><line number='1' hits='1'/><line number='2' hits='0'/></lines></class></classes></package></packages></coverage>",
        Some((0, 0)),
        (1, 2),
    ),
    (
        "the same in LCOV",
        "lcov.info",
        "SF:/elsewhere/shop/a.py\nDA:1,1\nDA:2,0\nend_of_record\n",
        Some((0, 0)),
        (1, 2),
    ),
    (
        "a line of two classes, one of which was run: diff-cover takes the worst, Herald the best, as between reports",
        "cobertura.xml",
        "<coverage><packages><package><classes><class filename='shop/a.py'><lines><line number='1' hits='0'/></lines></class>\
         <class filename='shop/a.py'><lines><line number='1' hits='3'/></lines></class></classes></package></packages></coverage>",
        Some((0, 1)),
        (1, 1),
    ),
    (
        "lines that only methods have: diff-cover passes over them",
        "cobertura.xml",
        "<coverage><packages><package><classes><class filename='shop/a.py'><methods><method name='f'><lines>\
         <line number='1' hits='1'/></lines></method></methods><lines/></class></classes></package></packages></coverage>",
        Some((0, 0)),
        (1, 1),
    ),
    (
        "hits as fractions: diff-cover gives up",
        "cobertura.xml",
        "<coverage><packages><package><classes><class filename='shop/a.py'><lines><line number='1' hits='1.0'/></lines>\
         </class></classes></package></packages></coverage>",
        None,
        (1, 1),
    ),
    (
        "branches of a line without hits: diff-cover makes a line of them",
        "lcov.info",
        "SF:shop/a.py\nDA:1,1\nBRDA:2,0,0,1\nBRDA:2,0,1,0\nend_of_record\n",
        Some((1, 2)),
        (1, 1),
    ),
    (
        "a function on a line without hits: diff-cover makes a line of it",
        "lcov.info",
        "SF:shop/a.py\nFN:2,f\nFNDA:4,f\nDA:1,1\nend_of_record\n",
        Some((2, 2)),
        (1, 1),
    ),
    (
        "no hits of a line, and hits of its branches: diff-cover believes the branches, Herald the line",
        "lcov.info",
        "SF:shop/a.py\nDA:1,0\nBRDA:1,0,0,1\nend_of_record\n",
        Some((1, 1)),
        (0, 1),
    ),
    (
        "fewer hits than none, an overflow in the tool: to diff-cover a hit",
        "lcov.info",
        "SF:shop/a.py\nDA:1,-1\nend_of_record\n",
        Some((1, 1)),
        (0, 1),
    ),
    (
        "names of branches with commas: diff-cover gives up",
        "lcov.info",
        "SF:shop/a.py\nDA:1,1\nBRDA:1,0,f(a, b),1\nend_of_record\n",
        None,
        (1, 1),
    ),
    (
        "comments: diff-cover gives up",
        "lcov.info",
        "# made by hand\nSF:shop/a.py\nDA:1,1\nend_of_record\n",
        None,
        (1, 1),
    ),
];

#[test]
fn where_patch_coverage_is_not_that_of_diff_cover_the_reason_is_known() {
    let Some(tools) = Tools::find() else {
        return;
    };
    let change = Change::new(&tools);
    let tree = change.tree();
    write(&tree, &[("README", "A shop.\n")]);
    change.commit();
    git(&tree, &["branch", BASE]);
    let lines = "A = 1\nB = 2\nC = 3\nD = 4\nE = 5\nF = 6\n";
    write(&tree, &[("shop/a.py", lines)]);
    change.commit();
    for (reason, report, text, theirs, ours) in DIFFERENCES {
        fs::write(change.report(report), text).unwrap();
        let share = |patch: Patch| (patch.covered, patch.total);
        assert_eq!(
            change.diff_cover(report, &[]).map(share),
            theirs,
            "diff-cover, {reason}"
        );
        assert_eq!(share(change.serve(report, false)), ours, "Herald, {reason}");
    }

    // What is not committed: diff-cover puts the lines of both diffs together, though the second moves those of the first.
    write(&tree, &[("shop/a.py", &format!("NEW = 0\n{lines}"))]);
    let text =
        "SF:shop/a.py\nDA:1,1\nDA:2,0\nDA:3,1\nDA:4,1\nDA:5,1\nDA:6,1\nDA:7,0\nend_of_record\n";
    fs::write(change.report("lcov.info"), text).unwrap();
    let theirs = change.diff_cover("lcov.info", &[]).unwrap();
    assert_eq!((theirs.covered, theirs.total), (5, 6));
    assert_eq!(change.run("lcov.info", ""), (5, 7));
    change.commit();
    let theirs = change.diff_cover("lcov.info", &[]).unwrap();
    assert_eq!((theirs.covered, theirs.total), (5, 7));
}
