//! Projects that flake on purpose, through the real server: pytest, jest and cargo-nextest run, `main` is built three times,
//! then a pull request twice, then what was mended of it; the verdicts are in the check, in the comment and on the pages.
//!
//! Every project has the same cast. `shaky` fails in the first attempt of a job and passes in the second. `old` and `mended`
//! fail on `main`; the change mends the latter. It breaks `broken`, whose own line it leaves alone, and `thrown`, which fails on
//! a line of the change; and it brings `fresh`, which fails. `steady` always passes.
//!
//! `tests/run --all` brings the tools: `HERALD_TEST_PYTHON`, `HERALD_TEST_NODE_MODULES` with jest and jest-junit,
//! `HERALD_TEST_NEXTEST`.

use std::process::Command;

use herald::demo::Check;

use crate::serve::{Forge, Herald, switch};

/// A project of one tool.
struct Project {
    /// The part of its tests' names before those of the cast.
    prefix: &'static str,
    /// Whether the sandbox shows the tool.
    sandboxed: bool,
    specification: String,
    /// What stays as it is.
    files: &'static [(&'static str, &'static str)],
    /// The source, in which [`State::replaced`] words are replaced.
    source: (&'static str, &'static str),
    /// A test that the change brings, with the same words.
    fresh: (&'static str, &'static str),
}

/// The project as it is on `main`, as the change has it, and with what was wrong with the change mended.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Main,
    Changed,
    Mended,
}

impl State {
    /// `PRICE` is what `broken` expects to be 10, `COUNT` what is to be added to a count that `mended` looks at, and the lines
    /// with `PAY` are in the change only.
    fn text(self, text: &str) -> String {
        let (price, count) = match self {
            Self::Main => ("10", "- 1"),
            Self::Changed => ("9", "- 0"),
            Self::Mended => ("10", "- 0"),
        };
        let text = text.replace("PRICE", price).replace("COUNT", count);
        let lines = text
            .lines()
            .filter_map(|line| match line.split_once("PAY ") {
                Some((before, after)) => {
                    (self == Self::Changed).then(|| format!("{before}{after}\n"))
                }
                None => Some(format!("{line}\n")),
            });
        lines.collect()
    }
}

impl Project {
    fn write(&self, forge: &Forge, state: State) {
        forge.write(".herald.yml", &self.specification);
        for (path, text) in self.files {
            forge.write(path, text);
        }
        let fresh = (state != State::Main).then_some(self.fresh);
        for (path, text) in std::iter::once(self.source).chain(fresh) {
            forge.write(path, &state.text(text));
        }
    }

    fn name(&self, of: &str) -> String {
        format!("{}{of}", self.prefix)
    }
}

fn server(forge: &Forge, project: &Project) -> Herald {
    let mut command = Herald::command(forge);
    if !project.sandboxed {
        command.env("HERALD_PROCESS_SANDBOX", "off");
    }
    Herald::spawn(command)
}

/// The check of an attempt, when it has ended.
async fn attempt(forge: &Forge, commit: &str, attempt: usize) -> Check {
    let ended = |state: &herald::demo::State| {
        let checks = state.checks_of(commit, "herald");
        checks.len() == attempt && checks.iter().all(|check| check.status == "completed")
    };
    forge.until("the end of an attempt", ended).await;
    let state = forge.github.state();
    (*state.checks_of(commit, "herald").last().unwrap()).clone()
}

async fn again(forge: &Forge, herald: &Herald, commit: &str) -> Check {
    let before = forge.github.state().checks_of(commit, "herald").len();
    let payload = forge.github.rerequested(&forge.project, commit, None);
    assert_eq!(herald.deliver(forge, "check_suite", &payload).await, 202);
    attempt(forge, commit, before + 1).await
}

async fn push(forge: &Forge, herald: &Herald, before: &str, commit: &str) -> Check {
    let payload = forge.github.push(&forge.project, "main", before, commit);
    assert_eq!(herald.deliver(forge, "push", &payload).await, 202);
    attempt(forge, commit, 1).await
}

/// Without the links that lead to builds: `[#2](…)` is `#2`.
fn unlinked(text: &str) -> String {
    let mut parts = text.split("[#");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let linked = part.split_once("](").and_then(|(number, rest)| {
            let (_, rest) = rest.split_once(')')?;
            Some(format!("#{number}{rest}"))
        });
        plain.push_str(&linked.unwrap_or_else(|| format!("[#{part}")));
    }
    plain
}

/// Fails unless the check's summary has all of it.
fn says(check: &Check, words: &[&str]) {
    let summary = unlinked(&check.summary);
    for word in words {
        assert!(summary.contains(word), "{word}:\n{summary}");
    }
}

/// Fails unless what people see of a build has the headline, and of each test what is known of it.
async fn shown(
    forge: &Forge,
    herald: &Herald,
    project: &Project,
    (check, build): (&Check, u32),
    headline: &str,
    verdicts: &[(&str, &str)],
) {
    let start = format!("**{headline}**");
    assert!(check.summary.starts_with(&start), "{}", check.summary);
    forge
        .until("the comment", |state| {
            let comment = state.comments.first();
            comment.is_some_and(|comment| comment.body.contains(headline))
        })
        .await;
    let comment = forge.github.state().comments[0].body.clone();
    let of_build = format!("/repos/octo/project/builds/{build}");
    let (status, page) = herald.get(&of_build).await;
    assert_eq!(status, 200);
    assert!(page.contains(headline), "{page}");
    let (status, tests) = herald.get(&format!("{of_build}/tests")).await;
    assert_eq!(status, 200);
    for (test, words) in verdicts {
        let test = project.name(test);
        let after = |text: &str, before: &str| {
            let (_, rest) = text
                .split_once(before)
                .unwrap_or_else(|| panic!("no {before} in\n{text}"));
            assert!(rest.contains(words), "{test}, {words}:\n{text}");
            let near = rest.find(words).unwrap();
            // What is said of another test would be behind its name.
            let others = verdicts.iter().map(|(other, _)| project.name(other));
            for other in others.filter(|other| *other != test) {
                assert!(
                    rest.find(&other).is_none_or(|at| at > near),
                    "{test}, {words}:\n{text}"
                );
            }
        };
        after(&unlinked(&check.summary), &format!("❌ {test}"));
        after(&unlinked(&comment), &format!("| {test} | "));
        after(&page, &format!(">{test}<"));
        after(&tests, &format!(">{test}<"));
    }
}

async fn story(project: Project) {
    let forge = Forge::new(false).await;
    project.write(&forge, State::Main);
    let first = forge.commit("Begin");
    let herald = server(&forge, &project);

    // The first build has nothing to be compared with.
    let check = push(&forge, &herald, &first, &first).await;
    assert!(
        check.title.starts_with("3 failed, 3 passed in "),
        "{}",
        check.title
    );
    says(&check, &["not seen failing before"]);
    assert!(!check.summary.contains("probably"), "{}", check.summary);
    let check = again(&forge, &herald, &first).await;
    assert!(
        check.title.starts_with("2 failed, 4 passed in "),
        "{}",
        check.title
    );

    forge.write("README", "A shop.\n");
    let main = forge.commit("Say what it is");
    let check = push(&forge, &herald, &first, &main).await;
    let headline =
        "3 tests failed, none is likely yours: 2 also failing on the base, 1 known to be flaky.";
    says(&check, &[headline, "flaky: failed in 2 of 3 runs, since "]);

    forge.branch("change");
    project.write(&forge, State::Changed);
    let head = forge.commit("Change");
    let check = herald.built(&forge, "opened", &head, &main).await;
    assert!(
        check.title.starts_with("5 failed, 2 passed in "),
        "{}",
        check.title
    );
    says(&check, &["| **Against** | #2: 1 fixed, 1 added |"]);
    let headline = "5 tests failed, 3 are probably yours: 2 new in this change, 1 not seen failing on the base, \
                    1 also failing on the base, 1 known to be flaky.";
    let verdicts = [
        ("thrown", "new in this change"),
        ("fresh", "new in this change"),
        ("broken", "not seen failing before, in 3 runs"),
        ("old", "also fails on the base, since build #1"),
        ("shaky", "flaky: failed in 3 of 4 runs, since "),
    ];
    shown(&forge, &herald, &project, (&check, 3), headline, &verdicts).await;

    // What fails by chance passes, and the rest is as it was.
    let check = again(&forge, &herald, &head).await;
    assert!(
        check.title.starts_with("4 failed, 3 passed in "),
        "{}",
        check.title
    );
    let headline = "4 tests failed, 3 are probably yours: 2 new in this change, 1 not seen failing on the base, \
                    1 also failing on the base.";
    shown(
        &forge,
        &herald,
        &project,
        (&check, 3),
        headline,
        &verdicts[..4],
    )
    .await;

    project.write(&forge, State::Mended);
    let head = forge.commit("Mend what it broke");
    let check = herald.built(&forge, "synchronize", &head, &main).await;
    assert!(
        check.title.starts_with("2 failed, 5 passed in "),
        "{}",
        check.title
    );
    says(&check, &["| **Against** | #2: 1 fixed, 1 added |"]);
    let headline =
        "2 tests failed, none is likely yours: 1 also failing on the base, 1 known to be flaky.";
    let verdicts = [
        ("old", "also fails on the base, since build #1"),
        ("shaky", "flaky: failed in 4 of 6 runs, since "),
    ];
    shown(&forge, &herald, &project, (&check, 4), headline, &verdicts).await;
    assert_eq!(
        forge.github.state().comments.len(),
        1,
        "one is kept up to date"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_on_a_pytest_project_that_flakes() {
    let Some(python) = switch("HERALD_TEST_PYTHON") else {
        return;
    };
    story(Project {
        prefix: "test",
        sandboxed: true,
        specification: format!(
            "execute: [\"'{python}' -m pytest --junitxml=reports/junit.xml\"]\nreports: {{tests: [reports/junit.xml]}}\n"
        ),
        files: &[(
            "tests/test_shop.py",
            "import os\nimport sys\n\nsys.path.insert(0, os.getcwd())\n\nimport shop\n\n\n\
             def teststeady():\n    assert shop.NAME == 'shop'\n\n\n\
             def testshaky():\n    assert os.environ['HERALD_ATTEMPT'] != '1'\n\n\n\
             def testold():\n    assert shop.total([1]) == 1\n\n\n\
             def testmended():\n    assert shop.count([1]) == 1\n\n\n\
             def testbroken():\n    assert shop.price() == 10\n\n\n\
             def testthrown():\n    assert shop.pay(5) == 5\n",
        )],
        source: (
            "shop.py",
            "NAME = 'shop'\n\n\ndef total(prices):\n    return sum(prices) + 1\n\n\n\
             def count(prices):\n    return len(prices) COUNT\n\n\n\
             def price():\n    return PRICE\n\n\n\
             def pay(amount):\n    PAY raise ValueError('no money')\n    return amount\n",
        ),
        fresh: (
            "tests/test_fresh.py",
            "import shop\n\n\ndef testfresh():\n    assert shop.price() == 10\n",
        ),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_on_a_jest_project_that_flakes() {
    let Some(modules) = switch("HERALD_TEST_NODE_MODULES") else {
        return;
    };
    story(Project {
        prefix: "",
        sandboxed: false,
        specification: format!(
            "environment: {{JEST_JUNIT_OUTPUT_FILE: reports/junit.xml, JEST_JUNIT_TITLE: '{{title}}', \
             JEST_JUNIT_CLASSNAME: '{{filepath}}'}}\n\
             execute: [\"'{modules}/.bin/jest' --ci --reporters='{modules}/jest-junit'\"]\n\
             reports: {{tests: [reports/junit.xml]}}\n"
        ),
        files: &[
            (
                "package.json",
                "{\"name\": \"shop\", \"jest\": {\"transform\": {}, \"watchman\": false}}\n",
            ),
            (
                "test/shop.test.js",
                "const shop = require('../shop');\n\n\
                 test('steady', () => {\n  expect(shop.name).toBe('shop');\n});\n\
                 test('shaky', () => {\n  expect(process.env.HERALD_ATTEMPT).not.toBe('1');\n});\n\
                 test('old', () => {\n  expect(shop.total([1])).toBe(1);\n});\n\
                 test('mended', () => {\n  expect(shop.count([1])).toBe(1);\n});\n\
                 test('broken', () => {\n  expect(shop.price()).toBe(10);\n});\n\
                 test('thrown', () => {\n  expect(shop.pay(5)).toBe(5);\n});\n",
            ),
        ],
        source: (
            "shop.js",
            "exports.name = 'shop';\n\
             exports.total = (prices) => prices.reduce((sum, price) => sum + price, 1);\n\
             exports.count = (prices) => prices.length COUNT;\n\
             exports.price = () => PRICE;\n\
             exports.pay = (amount) => {\n  PAY throw new Error('no money');\n  return amount;\n};\n",
        ),
        fresh: (
            "test/fresh.test.js",
            "const shop = require('../shop');\n\ntest('fresh', () => {\n  expect(shop.price()).toBe(10);\n});\n",
        ),
    })
    .await;
}

/// A specification that runs `nextest` by the profile `ci`. The programs are those of the tool chain itself: what stands
/// before them on the path looks for it in the home of somebody.
fn by_nextest(nextest: &str) -> String {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output();
    let root = String::from_utf8(output.unwrap().stdout).unwrap();
    format!(
        "execute:\n  - run: |\n      export PATH='{}/bin':\"$PATH\"\n      \
         '{nextest}' nextest run --offline --profile ci\n\
         reports: {{tests: [target/nextest/ci/junit.xml]}}\n",
        root.trim()
    )
}

const CARGO: (&str, &str) = (
    "Cargo.toml",
    "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
);

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_on_a_cargo_nextest_project_that_flakes() {
    let Some(nextest) = switch("HERALD_TEST_NEXTEST") else {
        return;
    };
    story(Project {
        prefix: "",
        sandboxed: false,
        specification: by_nextest(&nextest),
        files: &[
            CARGO,
            (
                ".config/nextest.toml",
                "[profile.ci]\nfail-fast = false\n\n[profile.ci.junit]\npath = \"junit.xml\"\n",
            ),
            (
                "tests/shop.rs",
                "#[test]\nfn steady() {\n    assert_eq!(shop::NAME, \"shop\");\n}\n\n\
                 #[test]\nfn shaky() {\n    assert_ne!(std::env::var(\"HERALD_ATTEMPT\").unwrap(), \"1\");\n}\n\n\
                 #[test]\nfn old() {\n    assert_eq!(shop::total(&[1]), 1);\n}\n\n\
                 #[test]\nfn mended() {\n    assert_eq!(shop::count(&[1]), 1);\n}\n\n\
                 #[test]\nfn broken() {\n    assert_eq!(shop::price(), 10);\n}\n\n\
                 #[test]\nfn thrown() {\n    assert_eq!(shop::pay(5), 5);\n}\n",
            ),
        ],
        source: (
            "src/lib.rs",
            "pub const NAME: &str = \"shop\";\n\n\
             pub fn total(prices: &[usize]) -> usize {\n    prices.iter().sum::<usize>() + 1\n}\n\n\
             pub fn count(prices: &[usize]) -> usize {\n    prices.len() COUNT\n}\n\n\
             pub fn price() -> usize {\n    PRICE\n}\n\n\
             pub fn pay(amount: usize) -> usize {\n    PAY assert!(amount > 5, \"no money\");\n    amount\n}\n",
        ),
        fresh: (
            "tests/fresh.rs",
            "#[test]\nfn fresh() {\n    assert_eq!(shop::price(), 10);\n}\n",
        ),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_when_the_tool_repeats_it_is_known_to_be_flaky_from_then_on() {
    let Some(nextest) = switch("HERALD_TEST_NEXTEST") else {
        return;
    };
    let forge = Forge::new(false).await;
    forge.write(CARGO.0, CARGO.1);
    forge.write(".herald.yml", &by_nextest(&nextest));
    forge.write(
        ".config/nextest.toml",
        "[profile.ci]\nretries = 1\n\n[profile.ci.junit]\npath = \"junit.xml\"\n",
    );
    // On pull requests it fails every time.
    forge.write(
        "src/lib.rs",
        "#[test]\nfn shaky() {\n    let first = std::env::var(\"NEXTEST_ATTEMPT\").unwrap() == \"1\";\n    \
         assert!(!first && std::env::var_os(\"HERALD_PULL_REQUEST\").is_none());\n}\n",
    );
    let main = forge.commit("Begin");
    let mut command = Herald::command(&forge);
    command.env("HERALD_PROCESS_SANDBOX", "off");
    let herald = Herald::spawn(command);
    let check = push(&forge, &herald, &main, &main).await;
    assert_eq!(check.conclusion.as_deref(), Some("success"));
    assert!(check.title.starts_with("1 passed in "), "{}", check.title);
    says(
        &check,
        &[
            ", 1 flaky",
            "### Flaky: failed first, passed when repeated\n\n- ",
        ],
    );

    forge.branch("change");
    forge.write("README", "A shop.\n");
    let head = forge.commit("Say what it is");
    let check = herald.built(&forge, "opened", &head, &main).await;
    assert!(check.title.starts_with("1 failed in "), "{}", check.title);
    let headline = "1 test failed, none is likely yours: 1 known to be flaky.";
    says(&check, &[headline, "flaky: failed in 2 of 2 runs, since "]);
}
