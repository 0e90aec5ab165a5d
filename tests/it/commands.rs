//! The commands, as a person runs them.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::surfer::Browser;

/// Runs the program in a folder, away from anybody's settings.
pub(crate) fn herald(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_herald"))
        .current_dir(dir)
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .env("HOME", dir)
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    dir
}

const SAMPLE: [(&str, &str); 4] = [
    (
        ".herald.yml",
        include_str!("../../templates/demo/herald.yml"),
    ),
    ("greet.sh", include_str!("../../templates/demo/greet.sh")),
    (
        "tests/greet_test.sh",
        include_str!("../../templates/demo/greet_test.sh"),
    ),
    ("tests/run.sh", include_str!("../../templates/demo/run.sh")),
];

/// Ends the program when the test ends.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn buttons_of_the_demonstration_do_what_they_say() {
    let dir = folder(&[]);
    let mut running = Command::new(env!("CARGO_BIN_EXE_herald"));
    running
        .current_dir(dir.path())
        .args(["demo", "--listen", "127.0.0.1:0"])
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .env("HOME", dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut running = Running(running.spawn().unwrap());
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let at = |line: &str| {
        line.trim()
            .strip_suffix("/repos/octo/greet")
            .map(str::to_owned)
    };
    let origin = lines.find_map(|line| at(&line.unwrap())).unwrap();
    let mut browser = Browser::default();
    let build = "/repos/octo/greet/builds/5";
    let page = browser.get(&format!("{origin}/login?next={build}")).await;
    let page = browser.get(&page.link("mona")).await;
    assert!(page.text.contains("Build #5"), "{}", page.text);
    let page = browser.submit(&page, &page.form("/rerun")).await;
    assert!(page.text.contains("attempt 2"), "{}", page.text);
    let ended = async {
        while !browser
            .get(&page.address)
            .await
            .text
            .contains("probably yours")
        {}
    };
    let patience = std::time::Duration::from_mins(1);
    tokio::time::timeout(patience, ended).await.unwrap();
}

#[test]
fn the_demonstration_shows_all_that_github_would() {
    let dir = folder(&[]);
    let output = herald(dir.path(), &["demo", "--once"]);
    assert!(output.status.success(), "{}", err(&output));
    let text = out(&output);
    for shown in [
        "Check run  herald  failure",
        "2 failed, 1 passed, 1 skipped in ",
        "annotation tests/greet_test.sh:2: test_greeting_names_the_guest",
        "expected \"Hello, Ada!\", got \"Hello Ada!\"",
        "Check run  herald  success",
        "Status     herald/build     failure  2 failed, 1 passed, 1 skipped in ",
        "Status     herald/tests     success  4 passed, 1 skipped",
        "| ### ❌ 2 failed, 1 passed, 1 skipped in ",
        "Badge      build: passing",
        "Badge      tests: 3 passed, 1 skipped",
        "Badge      coverage: 100%",
        "Status     herald/coverage  success  75% of lines (3 of 4), −25 against #4; 50% of 2 added lines",
        "| | `greet.sh` | `█████░░░░░` 1 of 2 | 75% (−25) | 14 |",
    ] {
        assert!(text.contains(shown), "{shown:?} is not in\n{text}");
    }
    assert_eq!(text.matches("\nComment\n").count(), 2, "{text}");
    assert!(!text.contains('\u{1b}'), "no colours into a pipe");
}

#[test]
fn a_folder_is_built_in_a_copy_and_reported() {
    let dir = folder(&SAMPLE);
    let output = herald(dir.path(), &["run"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(err(&output).contains("▶ tests"), "{}", err(&output));
    assert!(
        out(&output).contains("success 3 passed, 1 skipped in "),
        "{}",
        out(&output)
    );
    assert!(
        !dir.path().join("reports").exists(),
        "built in the folder itself"
    );

    let output = herald(dir.path(), &["run", "--in-place"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(dir.path().join("reports/junit.xml").exists());
}

#[test]
fn members_of_a_matrix_run_together_or_alone() {
    let dir = folder(&[(
        ".herald.yml",
        "jobs:\n  test:\n    matrix: {v: [one, two]}\n    execute: ['test \"$v\" = one']\n  lint: {execute: ['true']}\n",
    )]);
    let output = herald(dir.path(), &["run", "--job", "test"]);
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    for said in ["job test.1: test (one)\n", "job test.2: test (two)\n"] {
        assert!(err(&output).contains(said), "{}", err(&output));
    }
    assert!(!err(&output).contains("lint"), "{}", err(&output));
    let output = herald(dir.path(), &["run", "--job", "test.1"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let output = herald(dir.path(), &["run", "--job", "tests"]);
    assert_eq!(output.status.code(), Some(2));
    let said = "there is no job `tests`; there are test, lint";
    assert!(err(&output).contains(said), "{}", err(&output));
}

#[test]
fn nobody_deploys_from_here_by_the_way() {
    let dir = folder(&[(
        ".herald.yml",
        "when: {events: [pull_request, push]}\njobs:\n  test: {execute: [echo tested]}\n  ship: {needs: [test], deploy: {environment: live}, execute: [echo shipped]}\n",
    )]);
    let all = herald(dir.path(), &["run"]);
    assert_eq!(all.status.code(), Some(0), "{}", err(&all));
    let said = "skipped: it deploys to live; `--job ship` does that from here";
    assert!(err(&all).contains(said), "{}", err(&all));
    assert!(!err(&all).contains("shipped"), "{}", err(&all));
    let one = herald(dir.path(), &["run", "--job", "ship"]);
    assert_eq!(one.status.code(), Some(0), "{}", err(&one));
    assert!(err(&one).contains("shipped"), "{}", err(&one));
    let script = out(&herald(dir.path(), &["explain"]));
    assert!(
        script.contains("# It deploys to live: to Herald"),
        "{script}"
    );
}

#[test]
fn what_needs_containers_is_refused_before_anything_runs() {
    let dir = folder(&[(
        ".herald.yml",
        "jobs:\n  db:\n    execute: [touch ran]\n    services: {db: {image: postgres}}\n  lint: {execute: ['true']}\n",
    )]);
    let output = herald(dir.path(), &["run", "--in-place"]);
    assert_eq!(output.status.code(), Some(2));
    let said = ".herald.yml:4:5: error: job `db`: `services` need containers, and this command \
                runs jobs as processes (executor `process`) (use --executor docker)\n";
    assert!(err(&output).ends_with(said), "{}", err(&output));
    assert!(!dir.path().join("ran").exists());
    let output = herald(dir.path(), &["run", "--job", "lint"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
}

#[test]
fn a_failing_build_ends_with_one_and_shows_the_line() {
    let broken = SAMPLE[1].1.replace("Hello, %s!", "Hello %s!");
    let mut files = SAMPLE;
    files[1].1 = &broken;
    let dir = folder(&files);
    let output = herald(dir.path(), &["run"]);
    assert_eq!(output.status.code(), Some(1));
    let text = out(&output);
    assert!(
        text.contains("✗ test_greeting_names_the_guest tests/greet_test.sh:2"),
        "{text}"
    );
    assert!(text.contains(">    2 │   assert_equal"), "{text}");

    let output = herald(dir.path(), &["run", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["totals"]["failed"], 2);
    assert_eq!(document["build"]["conclusion"], "failure");
    assert_eq!(document["build"]["jobs"][0]["steps"][1]["exit"], "exit 1");

    let output = herald(dir.path(), &["run", "--format", "markdown"]);
    assert!(
        out(&output).contains("### 2 failed tests"),
        "{}",
        out(&output)
    );
}

#[test]
fn a_real_pytest_project_is_built_without_any_server() {
    if std::env::var("HERALD_TEST_PYTHON").is_err() {
        return;
    }
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pytest-project");
    // The `python3` that has pytest comes first.
    let python = std::env::var("HERALD_TEST_PYTHON").unwrap();
    let path = format!(
        "{}:{}",
        Path::new(&python).parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let output = Command::new(env!("CARGO_BIN_EXE_herald"))
        .arg("run")
        .current_dir(fixture)
        .env("PATH", path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    let text = out(&output);
    for shown in [
        "test_a_discount_lowers_the_total tests/test_basket.py:10",
        "test_a_voucher_is_taken tests/conftest.py:17",
        "1 failed, 1 error, 18 passed, 2 skipped",
        "coverage 96.1% of lines (25 of 26)",
    ] {
        assert!(text.contains(shown), "{shown:?} is not in\n{text}");
    }
}

#[test]
fn the_json_of_a_report_has_every_field_of_the_contract() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/report");
    let output = herald(
        &dir,
        &[
            "report",
            "pytest-9.2.0-xunit2.xml",
            "--coverage",
            "coverage-7.17.3-branches.xml",
            "--source",
            "../pytest-project",
            "--format",
            "json",
        ],
    );
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let keys =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    let sorted = |list: &str| {
        let mut list: Vec<String> = list.split(' ').map(str::to_owned).collect();
        list.sort();
        list
    };
    assert_eq!(
        keys(&document),
        sorted("version conclusion totals files tests coverage comparison gates")
    );
    assert_eq!(document["version"], 1);
    assert_eq!(document["conclusion"], "failure");
    assert_eq!(
        keys(&document["totals"]),
        sorted("tests runs passed failed errors skipped flaky duration_seconds")
    );
    assert_eq!(
        keys(&document["files"][0]),
        sorted("path format status runs diagnostics")
    );
    assert_eq!(
        keys(&document["files"][0]["runs"]),
        sorted("total passed failed errors skipped")
    );
    assert_eq!(
        keys(&document["tests"][0]),
        sorted("id suite class name outcome flaky runs duration_seconds message details location")
    );
    assert_eq!(document["tests"][0]["location"], Value::Null);
    assert_eq!(document["tests"][3]["location"]["line"], 10);
    assert_eq!(document["comparison"], Value::Null);
    assert_eq!(
        keys(&document["coverage"]),
        sorted("lines branches patch files")
    );
    assert_eq!(
        keys(&document["coverage"]["lines"]),
        sorted("covered total")
    );
    assert_eq!(document["coverage"]["patch"], Value::Null);
    assert_eq!(
        keys(&document["coverage"]["files"][0]),
        sorted("path resolved lines branches")
    );
}

#[test]
fn a_report_is_told_apart_from_its_absence_and_its_ruin() {
    let good = "<testsuite name='s'><testcase name='a'/></testsuite>";
    let dir = folder(&[
        ("good.xml", good),
        ("torn.xml", "<testsuite name='s'><testcase name='a'/>"),
        ("empty.xml", "<testsuite name='s'/>"),
    ]);
    for (arguments, code) in [
        (["report", "good.xml"].as_slice(), 0),
        (&["report", "torn.xml"], 1),
        (&["report", "torn.xml", "--fail-on", "never"], 0),
        (&["report", "empty.xml"], 1),
        (&["report", "none.xml"], 2),
        (&["report", "none-*.xml", "--fail-on", "never"], 2),
        (&["report"], 2),
        (&["report", "*.xml"], 1),
    ] {
        let output = herald(dir.path(), arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?} {}",
            err(&output)
        );
    }
    let torn = out(&herald(dir.path(), &["report", "torn.xml"]));
    assert!(torn.contains("torn.xml:1:41: error: "), "{torn}");
}

#[test]
fn in_a_folder_only_what_may_be_a_report_is_read() {
    let dir = folder(&[
        (
            "build/TEST-a.xml",
            "<testsuite name='s'><testcase name='a'/></testsuite>",
        ),
        ("build/package.json", "{\"name\": \"shop\"}"),
        ("build/pom.xml", "<project><version>1</version></project>"),
        ("docs/page.xml", "<page/>"),
        ("torn/TEST-b.xml", ""),
    ]);
    let output = herald(dir.path(), &["report", "build"]);
    assert_eq!(output.status.code(), Some(0), "{}", out(&output));
    let named = herald(dir.path(), &["report", "build/pom.xml"]);
    assert_eq!(named.status.code(), Some(1), "{}", out(&named));
    let none = herald(dir.path(), &["report", "docs"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(
        err(&none).contains("there is no report in docs"),
        "{}",
        err(&none)
    );
    let empty = herald(dir.path(), &["report", "torn"]);
    assert_eq!(empty.status.code(), Some(1), "{}", out(&empty));
}

#[test]
fn earlier_reports_tell_what_is_new_and_what_is_fixed() {
    let dir = folder(&[
        (
            "old.xml",
            "<testsuite name='s'><testcase name='a'><failure/></testcase><testcase name='b'/></testsuite>",
        ),
        (
            "new.xml",
            "<testsuite name='s'><testcase name='a'/><testcase name='b'><failure/></testcase></testsuite>",
        ),
    ]);
    let output = herald(dir.path(), &["report", "new.xml", "--base", "old.xml"]);
    let text = out(&output);
    assert!(text.contains("1 failing since the base\n  b\n"), "{text}");
    assert!(text.contains("1 fixed\n  a\n"), "{text}");
}

/// A report with something of everything, beside the sources that it speaks of.
const SHOP: [(&str, &str); 5] = [
    (
        "shop/cart.py",
        "def total(prices):\n    result = 0\n    for price in prices:\n        result += price\n    assert result < 100, \"too dear\"\n\n\n    return result\n",
    ),
    (
        "junit.xml",
        "<testsuite name='shop' tests='7'>\
         <testcase classname='shop.cart' name='adds up' time='0.25'/>\
         <testcase classname='shop.cart' name='is not too dear &lt;é&gt;' time='1.5'>\
         <failure message='AssertionError: too dear'>shop/cart.py:5: AssertionError</failure></testcase>\
         <testcase classname='shop.till' name='opens'><error message='no till'>no frames here</error></testcase>\
         <testcase classname='shop.till' name='prints' time='0.01'><flakyFailure message='paper jam'/></testcase>\
         <testcase classname='shop.till' name='scans'><skipped message='no scanner'/></testcase>\
         <testcase classname='shop.till' name='closes'/></testsuite>",
    ),
    (
        "base.xml",
        "<testsuite name='shop'>\
         <testcase classname='shop.cart' name='adds up'><failure/></testcase>\
         <testcase classname='shop.till' name='opens'><error/></testcase>\
         <testcase classname='shop.till' name='is gone'/></testsuite>",
    ),
    (
        "lcov.info",
        "SF:shop/cart.py\nDA:1,1\nDA:2,1\nDA:3,1\nBRDA:3,0,0,1\nBRDA:3,0,1,-\nDA:4,0\nDA:5,0\nDA:8,0\nend_of_record\nSF:shop/gone.py\nDA:1,1\nend_of_record\n",
    ),
    (
        "torn.xml",
        "<testsuite name='other'><testcase name='last one'/>\n<testcase name=",
    ),
];

#[test]
fn a_report_is_worth_looking_at() {
    let dir = folder(&SHOP);
    let report = |arguments: &[&str]| {
        let all = [
            &["report", "junit.xml", "torn.xml", "--coverage", "lcov.info"],
            arguments,
        ]
        .concat();
        out(&herald(dir.path(), &all))
    };
    insta::assert_snapshot!("report_text", report(&[]));
    insta::assert_snapshot!("report_base", report(&["--base", "base.xml", "--failures"]));
    insta::assert_snapshot!("report_markdown", report(&["--format", "markdown"]));
}

#[test]
fn what_is_left_out_of_a_list_is_counted_all_the_same() {
    let cases: String = (0..300)
        .map(|number| format!("<testcase name='t{number}' time='1'/>"))
        .collect();
    let junit = format!("<testsuite>{cases}</testsuite>");
    let dir = folder(&[("junit.xml", &junit)]);
    for format in ["text", "markdown", "json"] {
        let all = ["report", "--failures", "--format", format];
        let text = out(&herald(dir.path(), &all));
        assert!(
            text.contains("300 passed") || text.contains("\"passed\": 300"),
            "{text}"
        );
    }
}

#[test]
fn a_slip_in_the_specification_is_named_with_its_place() {
    let dir = folder(&[(".herald.yml", "execute:\n  - true\nreprots:\n  tests: []\n")]);
    let output = herald(dir.path(), &["check"]);
    assert_eq!(output.status.code(), Some(2));
    let text = out(&output);
    assert!(text.starts_with(".herald.yml:3:1: error: "), "{text}");
    assert!(text.contains("did you mean `reports`?"), "{text}");
    let github = out(&herald(dir.path(), &["check", "--format", "github"]));
    assert!(
        github.starts_with("::error file=.herald.yml,line=3,col=1::"),
        "{github}"
    );
    assert_eq!(herald(dir.path(), &["run"]).status.code(), Some(2));

    let none = folder(&[]);
    let output = herald(none.path(), &["check"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        err(&output).contains("there is no .herald.yml"),
        "{}",
        err(&output)
    );
}

#[test]
fn a_slip_in_the_list_of_tests_that_are_put_away_is_named_with_its_line() {
    let dir = folder(&[
        (".herald.yml", "execute: ['true']\n"),
        (
            ".herald-quarantine",
            "# why\ntest_a until soon\ntest_b until 2020-01-01\n",
        ),
    ]);
    let output = herald(dir.path(), &["check"]);
    assert_eq!(output.status.code(), Some(2));
    let said = ".herald-quarantine:2:1: error: `soon` is no day: write it as 2026-12-31";
    assert!(out(&output).starts_with(said), "{}", out(&output));
    let output = herald(
        dir.path(),
        &["check", ".herald-quarantine", "--format", "json"],
    );
    assert_eq!(output.status.code(), Some(2));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&document["valid"], &document["problems"][0]["line"]),
        (&false.into(), &2.into())
    );
    std::fs::remove_file(dir.path().join(".herald-quarantine")).unwrap();
    assert_eq!(herald(dir.path(), &["check"]).status.code(), Some(0));
}

#[test]
fn the_explained_build_does_the_same_by_hand() {
    let dir = folder(&SAMPLE);
    let script = out(&herald(dir.path(), &["explain"]));
    let by_hand = Command::new("sh")
        .arg("-c")
        .arg(&script)
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(by_hand.status.success(), "{script}\n{}", err(&by_hand));
    assert!(
        out(&by_hand).contains("ok\u{1b}[0m      test_shout_is_loud"),
        "{}",
        out(&by_hand)
    );
    assert!(dir.path().join("reports/junit.xml").exists());
}

#[test]
fn schema_badge_and_completions_are_printed() {
    let dir = folder(&[]);
    let schema: Value = serde_json::from_slice(&herald(dir.path(), &["schema"]).stdout).unwrap();
    assert!(schema["properties"]["execute"].is_object());
    let badge = out(&herald(
        dir.path(),
        &[
            "badge",
            "--label",
            "build",
            "--message",
            "passing",
            "--color",
            "brightgreen",
        ],
    ));
    assert!(
        badge.starts_with("<svg ") && badge.contains("width=\"88\""),
        "{badge}"
    );
    let completions = out(&herald(dir.path(), &["completions", "bash"]));
    assert!(completions.contains("herald"), "{completions}");
}

#[test]
fn the_manual_has_a_page_for_each_command_and_says_what_its_help_says() {
    let dir = folder(&[]);
    let first = out(&herald(dir.path(), &["manual"]));
    assert!(first.starts_with(".TH \"herald\" 1"), "{first}");
    assert!(first.contains(".SH EXIT STATUS"), "{first}");
    assert!(!out(&herald(dir.path(), &["--help"])).contains("manual"));
    assert!(herald(dir.path(), &["manual", "pages"]).status.success());
    let page = |name: &str| {
        let path = dir.path().join(format!("pages/{name}.1"));
        let text = std::fs::read_to_string(path).unwrap_or_else(|_| panic!("no page {name}"));
        text.replace("\\-", "-")
    };
    let (mut commands, mut options) = (vec![vec![]], 0);
    while let Some(command) = commands.pop() {
        let help = [command.as_slice(), &["--help".to_owned()]].concat();
        let help: Vec<&str> = help.iter().map(String::as_str).collect();
        let help = out(&herald(dir.path(), &help));
        let name = [&["herald".to_owned()], command.as_slice()]
            .concat()
            .join("-");
        let text = page(&name);
        let words = help.split([' ', '\n', ',']);
        for option in words.filter(|word| word.starts_with("--")) {
            assert!(text.contains(option), "{name}: {option}");
            options += 1;
        }
        let inner = help.split("\nCommands:\n").nth(1).unwrap_or_default();
        let inner = inner.split("\n\n").next().unwrap_or_default();
        for line in inner.lines() {
            // A command stands two columns in, and what it does goes on further in.
            let known = line
                .strip_prefix("  ")
                .filter(|rest| !rest.starts_with(' '));
            if let Some(word) = known.and_then(|rest| rest.split(' ').next()) {
                commands.push([command.as_slice(), &[word.to_owned()]].concat());
            }
        }
    }
    assert!(options > 60, "{options}");
    let serve = page("herald-serve");
    for variable in herald::config::VARIABLES {
        assert!(serve.contains(variable), "{variable}");
    }
    assert!(page("herald-admin-token-create").contains("--repository"));
}

#[test]
fn a_wrong_configuration_is_told_as_a_whole() {
    let dir = folder(&[]);
    let output = herald(
        dir.path(),
        &["serve", "--listen", "here", "--job-timeout-max", "soon"],
    );
    assert_eq!(output.status.code(), Some(2));
    let text = err(&output);
    assert!(text.contains("HERALD_LISTEN: `here`"), "{text}");
    assert!(text.contains("HERALD_JOB_TIMEOUT_MAX: `soon`"), "{text}");
}

#[test]
fn the_doctor_names_each_problem_with_its_way_out() {
    let dir = folder(&[]);
    let output = herald(dir.path(), &["doctor", "--process-sandbox", "off"]);
    assert_eq!(output.status.code(), Some(2));
    let text = out(&output);
    assert!(text.contains("problem no GitHub credentials\n"), "{text}");
    assert!(text.contains("→ start `herald serve`"), "{text}");
    assert!(text.contains("ok      git "), "{text}");
}

#[test]
fn colours_are_used_when_they_are_asked_for() {
    let dir = folder(&SAMPLE);
    let coloured = out(&herald(dir.path(), &["run", "--color", "always"]));
    assert!(coloured.contains("\u{1b}[32m3 passed"), "{coloured:?}");
    let plain = out(&herald(dir.path(), &["--color", "never", "run"]));
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
}
