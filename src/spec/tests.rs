use std::io::Write as _;
use std::process::{Command as Process, Stdio};
use std::time::Duration;

use super::{
    Command, Decision, Event, Occasion, Parsed, Percent, ProjectGate, Specification, explain,
    parse, plan, schema,
};

/// The problems as a person sees them, `line:column: severity: text`.
pub(super) fn problems(text: &str) -> Vec<String> {
    shown(&parse(text.as_bytes()))
}

fn shown(parsed: &Parsed) -> Vec<String> {
    let lines = parsed.problems.iter();
    lines
        .map(|problem| format!("{}:{}: {problem}", problem.line, problem.column))
        .collect()
}

pub(super) fn good(text: &str) -> Specification {
    let parsed = parse(text.as_bytes());
    assert_eq!(shown(&parsed), Vec::<String>::new());
    parsed.specification.expect("no problems")
}

/// Texts and all of their problems.
pub(super) fn check(text: &str, expected: &[&str]) {
    let parsed = parse(text.as_bytes());
    assert_eq!(shown(&parsed), expected, "{text}");
    let has_errors = expected.iter().any(|line| line.contains(": error: "));
    assert_eq!(parsed.specification.is_none(), has_errors, "{text}");
}

const EXAMPLE: &str = r#"
image: python:3.12-slim             # docker and swarm
environment: {PIP_NO_INPUT: "1"}
setup:
  - pip install -r requirements.txt
execute:                            # the proof
  - name: tests
    run: pytest --junitxml=reports/junit.xml --cov --cov-report=xml
    timeout: 10m
after:
  - rm -rf scratch
reports:
  tests: ["reports/**/*.xml"]
  coverage: ["coverage.xml"]
"#;

/// How long this thread was on a processor (`/proc/PID/schedstat`, in nanoseconds): other than the
/// time of day it does not depend on what else the machine does.
pub(super) fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = stat.split_whitespace().next().unwrap();
    Duration::from_nanos(nanoseconds.parse().unwrap())
}

#[test]
fn the_example_of_the_contract_is_read() {
    let specification = good(EXAMPLE);
    let job = &specification.jobs[0];
    assert_eq!(job.key, "build");
    assert_eq!(job.image.as_deref(), Some("python:3.12-slim"));
    assert_eq!(job.environment, [("PIP_NO_INPUT".into(), "1".into())]);
    assert_eq!(job.setup[0].name, "pip install -r requirements.txt");
    assert_eq!(job.execute[0].name, "tests");
    assert_eq!(job.execute[0].timeout_ms, Some(600_000));
    assert_eq!(job.timeout_ms, 3_600_000);
    assert_eq!(
        job.reports.tests.as_deref(),
        Some(&["reports/**/*.xml".to_owned()][..])
    );
    assert!(!specification.declares_jobs);
    assert!(!specification.has_when());
}

#[test]
fn values_are_taken_as_written() {
    let specification = good(
        "environment: {A: 1.10, B: yes, C: 0x1F, D: , E: ~, F: 'it''s', G: \"a\\tb\", H: 010}\n\
         execute: [true, 1.10]",
    );
    let job = &specification.jobs[0];
    let values: Vec<_> = job
        .environment
        .iter()
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(
        values,
        ["1.10", "yes", "0x1F", "", "~", "it's", "a\tb", "010"]
    );
    assert_eq!(job.execute[0].command, Command::Sh("true".into()));
    assert_eq!(job.execute[1].command, Command::Sh("1.10".into()));
}

#[test]
fn steps_are_scripts_or_words() {
    let specification = good(
        "execute:\n\
         - |\n  # builds\n  make\n  make test\n\
         - {run: set, shell: bash, continue_on_error: true}\n\
         - {run: [cargo, test, ''], working_directory: a/b, test_failure_exit: [100, 101], environment: {X: 1}}\n",
    );
    let [script, bash, argv] = &specification.jobs[0].execute[..] else {
        panic!("three steps");
    };
    assert_eq!(script.name, "make");
    assert_eq!(script.test_failure_exit, [1]);
    assert_eq!(bash.command, Command::Bash("set".into()));
    assert!(bash.continue_on_error);
    assert_eq!(
        argv.command,
        Command::Argv(vec!["cargo".into(), "test".into(), String::new()])
    );
    assert_eq!(argv.test_failure_exit, [100, 101]);
    assert_eq!(argv.working_directory.as_deref(), Some("a/b"));
    assert_eq!(argv.environment, [("X".into(), "1".into())]);
}

#[test]
fn jobs_inherit_from_the_top() {
    let specification = good(
        "image: a\nenvironment: {X: top, Y: top}\nsetup: [prepare]\ntimeout: 5m\n\
         reports: {tests: [t.xml], coverage: [c.xml]}\n\
         jobs:\n  one: {execute: [x]}\n\
         \x20 two: {image: b, environment: {Y: job, Z: job}, setup: [other], timeout: 90s, reports: {tests: [u.xml]}, execute: [x], needs: [one], name: Two}\n",
    );
    let [one, two] = &specification.jobs[..] else {
        panic!("two jobs");
    };
    assert_eq!(one.setup[0].name, "prepare");
    assert_eq!(one.timeout_ms, 300_000);
    assert_eq!(two.image.as_deref(), Some("b"));
    assert_eq!(
        two.environment,
        [("X", "top"), ("Y", "job"), ("Z", "job")].map(|(k, v)| (k.into(), v.into()))
    );
    assert_eq!(two.setup[0].name, "other");
    assert_eq!(two.timeout_ms, 90_000);
    assert_eq!(
        two.reports.tests.as_deref(),
        Some(&["u.xml".to_owned()][..])
    );
    assert_eq!(
        two.reports.coverage.as_deref(),
        Some(&["c.xml".to_owned()][..])
    );
    assert_eq!(two.name.as_deref(), Some("Two"));
}

#[test]
fn gates_and_publish_are_read() {
    let specification = good(
        "execute: [x]\nversion: 1\nbuild: head\n\
         gates: {tests: {min_tests: 5, allow_known_flaky: true}, coverage: {project: auto, patch: 72.5%, threshold: 0.25%, partial_lines: miss}}\n\
         publish: {statuses: false, comment: off, annotations: diff, coverage_annotations: true, locals: show}\n",
    );
    let gates = &specification.gates;
    assert_eq!((gates.min_tests, gates.allow_known_flaky), (5, true));
    assert_eq!(gates.coverage.project, Some(ProjectGate::Auto));
    assert_eq!(gates.coverage.patch, Some(Percent(7250)));
    assert_eq!(gates.coverage.threshold.to_string(), "0.25%");
    assert!(gates.coverage.partial_lines_miss);
    let publish = &specification.publish;
    assert!(!publish.statuses && publish.coverage_annotations && publish.show_locals);
    let stored = serde_json::to_string(&specification).expect("serialises");
    assert_eq!(
        serde_json::from_str::<Specification>(&stored).expect("reads back"),
        specification
    );
}

#[test]
fn cache_and_secrets_are_read() {
    let specification = good(
        "jobs:\n  a:\n    execute: [x]\n    secrets: [TOKEN, _B2]\n\
         \x20   cache: {key: 'v1-${hash:Cargo.lock}', paths: [target, ~/.cargo/registry]}\n",
    );
    let job = &specification.jobs[0];
    assert_eq!(job.secrets, ["TOKEN", "_B2"]);
    let cache = job.cache.as_ref().expect("a cache");
    assert_eq!(cache.key, "v1-${hash:Cargo.lock}");
    assert_eq!(cache.paths, ["target", "~/.cargo/registry"]);
}

#[test]
fn each_mistake_has_its_place_and_words() {
    let table: &[(&str, &[&str])] = &[
        ("", &["1:1: error: the file is empty"]),
        ("# only a comment\n", &["1:1: error: the file is empty"]),
        (
            "exceute:\n  - make\n",
            &["1:1: error: unknown key `exceute` in the specification (did you mean `execute`?)"],
        ),
        (
            "setup: [x]\n",
            &["1:1: error: nothing to execute: add `execute` with at least one step"],
        ),
        (
            "execute: make\n",
            &[
                "1:10: error: `execute` must be a list, not text (write it as a list, a line `- make`)",
            ],
        ),
        (
            "execute: []\n",
            &["1:10: error: `execute` is an empty list"],
        ),
        (
            "execute:\n",
            &["1:8: error: `execute` must be a list, not nothing"],
        ),
        (
            "- make\n",
            &["1:1: error: the specification must be a map of keys to values, not a list"],
        ),
        (
            "execute: [a]\nexecute: [b]\n",
            &["2:1: error: `execute` is there twice in one map"],
        ),
        (
            "execute: [a]\n---\nexecute: [b]\n",
            &["2:1: error: a second YAML document; one file has one specification"],
        ),
        (
            "execute:\n  - {nmae: x, run: y}\n",
            &["2:6: error: unknown key `nmae` in a step (did you mean `name`?)"],
        ),
        (
            "execute:\n  - name: x\n",
            &["2:5: error: a step without `run`"],
        ),
        (
            "execute:\n  - [a, b]\n",
            &[
                "2:5: error: a step must be text or a map, not a list (a list of words goes into `run`)",
            ],
        ),
        (
            "execute:\n  - {run: x, timeout: soon}\n",
            &["2:23: error: `timeout` must be a duration, not `soon` (as 90s, 10m or 1h30m)"],
        ),
        (
            "execute: [x]\ntimeout: 0s\n",
            &["2:10: error: `timeout` must be longer than nothing"],
        ),
        (
            "execute:\n  - {run: x, continue_on_error: yes}\n",
            &["2:33: error: `continue_on_error` must be true or false, not `yes`"],
        ),
        (
            "execute:\n  - {run: x, shell: fish}\n",
            &["2:21: error: `shell` must be `sh` or `bash`, not `fish`"],
        ),
        (
            "execute:\n  - {run: [x], shell: bash}\n",
            &["2:23: error: `shell` has no use where `run` is a list of words"],
        ),
        (
            "execute:\n  - {run: x, working_directory: ../other}\n",
            &["2:33: error: `../other` leads out of the repository"],
        ),
        (
            "execute:\n  - {run: x, test_failure_exit: [0]}\n",
            &["2:34: error: an exit status is a number from 1 to 255"],
        ),
        (
            "execute: [x]\nenvironment: {A-B: 1, C: [1]}\n",
            &[
                "2:15: error: `A-B` cannot be the name of an environment variable",
                "2:26: error: `C` must be text, not a list",
            ],
        ),
        (
            "execute: [x]\nenvironment: {HERALD_SHA: 1}\n",
            &["2:15: warning: `HERALD_SHA` is set by Herald, which overwrites this value"],
        ),
        (
            "execute: [x]\nreports: {tests: [/etc/*.xml], coverage: cov.xml}\n",
            &[
                "2:19: error: `/etc/*.xml` leads out of the repository",
                "2:42: error: `reports.coverage` must be a list, not text (write it as a list, a line `- cov.xml`)",
            ],
        ),
        (
            "execute: [x]\nartifacts: ['[z']\n",
            &["2:13: error: `[z` is not a glob: unclosed character class; missing ']'"],
        ),
        (
            "jobs: {a: {execute: [x], needs: [bb]}, b: {execute: [x]}}\n",
            &["1:34: error: there is no job `bb` (did you mean `b`?)"],
        ),
        (
            "jobs:\n  a: {execute: [x], needs: [b]}\n  b: {execute: [x], needs: [a]}\n",
            &["2:29: error: jobs need one another: a → b → a"],
        ),
        (
            "jobs:\n  a: {execute: [x], needs: [a]}\n",
            &["2:29: error: jobs need one another: a → a"],
        ),
        (
            "jobs:\n  Unit: {execute: [x]}\n",
            &[
                "2:3: error: `Unit` cannot be the key of a job (lower-case letters, digits, - and _, at most 64, not beginning with - or _)",
            ],
        ),
        (
            "jobs:\n  unit: {setup: [x]}\n",
            &[
                "2:3: error: job `unit` has nothing to execute: add `execute` with at least one step",
            ],
        ),
        ("jobs: {}\n", &["1:7: error: `jobs` is empty"]),
        (
            "execute: [x]\njobs: {a: {execute: [x]}}\n",
            &[
                "1:1: error: `execute` and `jobs` (line 2) exclude one another: give each job its own `execute`",
            ],
        ),
        (
            "execute: [x]\nwhen: {events: [pull_requests]}\n",
            &[
                "2:17: error: an event must be `pull_request`, `push`, `tag` or `merge_group`, not `pull_requests` (did you mean `pull_request`?)",
            ],
        ),
        (
            "execute: [x]\nwhen: {branches: [main], tags: [v*]}\n",
            &[
                "2:7: warning: `branches` and `tags` together match nothing: no event has both a branch and a tag",
            ],
        ),
        (
            "execute: [x]\ngates: {coverage: {project: lots, patch: 101%}}\n",
            &[
                "2:29: error: `gates.coverage.project` must be a percentage, not `lots` (as 80% or 72.5%)",
                "2:42: error: `gates.coverage.patch` must be a percentage, not `101%` (as 80% or 72.5%)",
            ],
        ),
        (
            "execute: [x]\ngates: {tests: {min_tests: -1}}\n",
            &["2:28: error: `gates.tests.min_tests` must be a whole number, not `-1`"],
        ),
        (
            "execute: [x]\npublish: {comment: sometimes}\n",
            &[
                "2:20: error: `publish.comment` must be `changes`, `always`, `failures` or `off`, not `sometimes`",
            ],
        ),
        (
            "execute: [x]\nversion: 2\n",
            &["2:10: error: `version` must be `1`, not `2`"],
        ),
        (
            "execute: [x]\nbuild: tail\n",
            &["2:8: error: `build` must be `head` or `merge`, not `tail`"],
        ),
        (
            "when: {events: [push]}\njobs: {a: {execute: [x], deploy: {environment: a, url: ftp://x, aproval: true}}}\n",
            &[
                "2:56: error: `deploy.url` must be an address, not `ftp://x` (as https://example.org)",
                "2:65: error: unknown key `aproval` in `deploy` (did you mean `approval`?)",
            ],
        ),
        (
            "jobs: {a: {execute: [x], when: {tags: [v*]}, deploy: {url: 'https://x y', approval: 1}}}\n",
            &[
                "1:46: error: `deploy` without `environment` (as {environment: production})",
                "1:60: error: `deploy.url` must be an address, not `https://x y` (as https://example.org)",
                "1:85: error: `deploy.approval` must be true or false, not `1`",
            ],
        ),
        (
            "jobs: {a: {execute: [x], when: {tags: [v*]}, deploy: {environment: \"a\\nb\"}}}\n",
            &["1:68: error: `deploy.environment` must be one line of plain text"],
        ),
        (
            "jobs: {a: {execute: [x], when: {tags: [v*]}, deploy: production}}\n",
            &["1:54: error: `deploy` must be a map of keys to values, not text"],
        ),
        (
            "jobs: {a: {execute: [x], when: {tags: [v*]}, matrix: {to: [a, \"b\\nc\"]}, deploy: {environment: 'x-${too}'}}}\n",
            &["1:95: error: `${too}` is no name of the matrix (did you mean `to`?)"],
        ),
        (
            "jobs: {a: {execute: [x], when: {tags: [v*]}, matrix: {to: [a, \"b\\nc\"]}, deploy: {environment: 'x-${to}'}}}\n",
            &["1:54: error: `deploy.environment` must be one line of plain text"],
        ),
        (
            "jobs: {a: {execute: [x], secrets: [TOKEN, token, 1A, HOME, HERALD_X, TOKEN]}}\n",
            &[
                "1:43: error: `token` cannot be the name of a secret (capital letters, digits and _, not beginning with a digit)",
                "1:50: error: `1A` cannot be the name of a secret (capital letters, digits and _, not beginning with a digit)",
                "1:54: error: `HOME` is set by Herald and cannot be the name of a secret",
                "1:60: error: `HERALD_X` is set by Herald and cannot be the name of a secret",
                "1:70: error: `TOKEN` is there twice in `secrets`",
            ],
        ),
        (
            "execute: [x]\nsecrets: [TOKEN]\n",
            &[
                "2:1: error: unknown key `secrets` in the specification (it stands in a job, below `jobs`)",
            ],
        ),
        (
            "jobs: {a: {execute: [x], cache: {key: '${hash:../x}-${hash:}-${hash:y'}}}\n",
            &[
                "1:33: error: `cache` without `paths`",
                "1:39: error: `../x` leads out of the repository",
                "1:39: error: `${hash:}` names no file (as ${hash:Cargo.lock})",
                "1:39: error: `cache.key` has a `${hash:` without its `}`",
            ],
        ),
        (
            "jobs: {a: {execute: [x], cache: {key: k, paths: [/root, ~/../x, a/../b, '~', ., ~me/x]}}}\n",
            &[
                "1:50: error: `/root` is neither in the repository nor below `HOME` (as target or ~/.cache/pip)",
                "1:57: error: `~/../x` leads out of its folder",
                "1:65: error: `a/../b` leads out of its folder",
                "1:73: error: `~` is all of the folder; name those in it to keep",
                "1:78: error: `.` is all of the folder; name those in it to keep",
                "1:81: error: `~me/x` is neither in the repository nor below `HOME` (as target or ~/.cache/pip)",
            ],
        ),
        (
            "execute: [x]\npromote: {from: a}\n",
            &["2:1: error: `promote` without `to` (as {from: main, to: production})"],
        ),
        (
            "execute: [x]\npromote: {from: a, to: a}\n",
            &["2:24: error: `promote` leads from `a` to itself"],
        ),
        (
            "execute: [x]\npromote: {from: 'a b', to: --upload-pack=x}\n",
            &[
                "2:17: error: `promote.from` cannot be the branch `a b` (letters, digits and . _ / -)",
                "2:28: error: `promote.to` cannot be the branch `--upload-pack=x` (letters, digits and . _ / -)",
            ],
        ),
        (
            "x: &a {A: 1}\nenvironment: {<<: *a}\nexecute: [x]\n",
            &[
                "1:1: error: unknown key `x` in the specification",
                "2:15: error: `<<` cannot be the name of an environment variable",
            ],
        ),
        (
            "execute: [!!str x]\n",
            &["1:11: error: YAML tags are not used here: `tag:yaml.org,2002:!str`"],
        ),
        ("? [a]\n: b\n", &["1:3: error: a key must be a plain word"]),
        (
            "execute: [\"a\\0b\"]\n",
            &["1:11: error: a step contains a zero byte"],
        ),
    ];
    let mut wrong = Vec::new();
    for (text, expected) in table {
        let found = problems(text);
        if found != *expected {
            wrong.push((text, found));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn broken_yaml_is_told_with_its_place() {
    for (text, place) in [
        ("execute:\n\t- x\n", "2:"),
        ("execute: [x\n", "2:"),
        ("execute: \"x\n", "1:10:"),
        ("a: b: c\n", "1:"),
        ("execute: [*nowhere]\n", "1:"),
    ] {
        let found = problems(text);
        assert_eq!(found.len(), 1, "{text:?}: {found:?}");
        assert!(found[0].starts_with(place), "{text:?}: {found:?}");
        assert!(found[0].contains("error: not valid YAML: "), "{found:?}");
    }
    let parsed = parse(b"execute:\n  - \xff\n");
    assert_eq!(shown(&parsed), ["2:5: error: not valid UTF-8"]);
}

#[test]
fn common_faults_of_yaml_have_a_hint() {
    for (text, hint) in [
        (
            "execute:\n  - run: echo: x\n",
            "(text that contains `: ` needs quotes)",
        ),
        ("execute:\n\t- x\n", "(indent with spaces, not tabs)"),
        (
            "execute:\n  - @x\n",
            "(text that begins with this character needs quotes)",
        ),
    ] {
        let found = problems(text);
        assert!(found[0].ends_with(hint), "{found:?}");
    }
}

#[test]
fn all_problems_are_told_at_once() {
    assert_eq!(
        problems("imgae: x\nexecute:\n  - {run: y, timeout: x}\n  -\nreports: []\n").len(),
        4
    );
}

#[test]
fn aliases_are_followed_within_bounds() {
    let specification = good("setup: &s [make]\nexecute: *s\n");
    assert_eq!(specification.jobs[0].execute[0].name, "make");
    check(
        "execute: &a [*a]\n",
        &["1:14: error: an alias inside the very thing that it stands for"],
    );
}

#[test]
fn hostile_input_is_refused_quickly() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let one = format!("*a{},", level - 1);
        let list = one.repeat(10);
        bomb = format!("{bomb}a{level}: &a{level} [{list}]\n");
    }
    let inputs = [
        bomb,
        "[".repeat(100_000),
        "{a: ".repeat(60_000),
        "- ".repeat(100_000),
        "? ".repeat(100_000),
        "a:\n".repeat(80_000),
        "&a ".repeat(80_000),
        "!x ".repeat(80_000),
        "*a ".repeat(80_000),
        format!(
            "x: &a {}\nexecute: [{}]",
            "long".repeat(20_000),
            "*a,".repeat(150)
        ),
        "x: &a b\n".to_owned() + &"- *a\n".repeat(40_000),
        (0..40_000).fold(String::new(), |text, n| text + &format!("{n}:\n")),
        format!("execute: [{}]", "x,".repeat(100_000)),
        format!("reports: {{tests: ['{}']}}", "{a,b}".repeat(40_000)),
        "\"".repeat(200_000),
        "#".repeat(200_000),
        "\n".repeat(200_000),
        "\t".repeat(200_000),
        "--- \n".repeat(50_000),
        "%TAG ! x\n".repeat(20_000),
        "|\n".repeat(100_000),
        " ".repeat(200_000) + "a",
        "x".repeat(300_000),
        (0..2_000).fold(String::new(), |text, n| {
            text + &" ".repeat(n % 120) + &format!("a{n}:\n")
        }),
    ];
    for input in inputs {
        let start: String = input.chars().take(12).collect();
        let began = cpu_time();
        let parsed = parse(input.as_bytes());
        // What is not linear takes minutes here.
        let took = cpu_time().saturating_sub(began);
        assert!(took < Duration::from_secs(5), "{start:?}: {took:?}");
        assert!(parsed.specification.is_none(), "{start:?}");
        assert!(
            !parsed.problems.is_empty() && parsed.problems.len() <= 100,
            "{start:?}"
        );
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-z:\\-\\[\\]{}&*!|>'\"%#? \n\t0-9]{0,200}") {
        parse(text.as_bytes());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(0u8.., 0..200)) {
        parse(&bytes);
    }
}

pub(super) fn push(branch: &str) -> Occasion<'_> {
    Occasion {
        event: Event::Push,
        branch: Some(branch),
        tag: None,
        changed_paths: None,
        by_default: true,
    }
}

/// The jobs of a plan, a skipped one with its reason.
pub(super) fn planned(text: &str, occasion: &Occasion<'_>) -> Vec<String> {
    let plan = plan(&good(text), occasion);
    let jobs = plan.jobs.into_iter();
    jobs.map(|planned| match planned.decision {
        Decision::Run => planned.job.key,
        Decision::Skipped(reason) => format!("{}: {reason}", planned.job.key),
    })
    .collect()
}

#[test]
fn jobs_come_after_those_that_they_need() {
    let text = "jobs:\n  deploy: {needs: [test, lint], execute: [x]}\n  test: {needs: [build], execute: [x]}\n  lint: {execute: [x]}\n  build: {execute: [x]}\n";
    assert_eq!(
        planned(text, &push("main")),
        ["lint", "build", "test", "deploy"]
    );
}

#[test]
fn when_decides_and_says_why_not() {
    let text = "when: {branches: ['release/*', main]}\nexecute: [x]\n";
    assert_eq!(planned(text, &push("main")), ["build"]);
    assert_eq!(planned(text, &push("release/1")), ["build"]);
    assert_eq!(
        planned(text, &push("release/1/x")),
        ["build: `when.branches` does not match release/1/x"]
    );
    let tag = Occasion {
        event: Event::Tag,
        branch: None,
        tag: Some("v1.0"),
        ..push("")
    };
    assert_eq!(
        planned(text, &tag),
        ["build: `when.branches` asks for a branch"]
    );
    assert_eq!(
        planned("when: {tags: [v*]}\nexecute: [x]\n", &tag),
        ["build"]
    );
    let only_pull = "jobs: {a: {when: {events: [pull_request]}, execute: [x]}, b: {execute: [x]}}";
    assert_eq!(
        planned(only_pull, &push("main")),
        ["a: `when.events` has no push", "b"]
    );
}

#[test]
fn without_when_the_caller_decides() {
    let other = Occasion {
        by_default: false,
        ..push("topic")
    };
    let text = "jobs: {a: {when: {branches: [topic]}, execute: [x]}, b: {execute: [x]}}";
    assert_eq!(
        planned(text, &other),
        ["a", "b: it has no `when` that asks for this"]
    );
    let top = "when: {events: [push]}\njobs: {a: {execute: [x]}}";
    assert_eq!(planned(top, &other), ["a"]);
    assert!(plan(&good("execute: [x]"), &other).skips_everything());
}

#[test]
fn changed_paths_are_matched_as_globs() {
    let text = "when: {paths: ['src/*.rs', 'docs/**'], paths_ignore: ['**/*.md']}\nexecute: [x]\n";
    let runs = |paths: Option<&[&str]>| {
        let paths: Option<Vec<String>> =
            paths.map(|paths| paths.iter().map(|path| (*path).to_owned()).collect());
        let occasion = Occasion {
            changed_paths: paths.as_deref(),
            ..push("main")
        };
        planned(text, &occasion) == ["build"]
    };
    assert!(runs(None));
    assert!(runs(Some(&["src/main.rs"])));
    assert!(!runs(Some(&["src/deep/main.rs"])));
    assert!(runs(Some(&["docs/deep/a.html"])));
    assert!(!runs(Some(&["docs/deep/a.md"])));
    assert!(!runs(Some(&[])));
}

/// Runs a script in an empty folder: exit status and stdout.
pub(super) fn shell(script: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("sub dir")).expect("a folder");
    let mut child = Process::new("sh")
        .arg("-s")
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(script.as_bytes()).expect("written");
    drop(stdin);
    let output = child.wait_with_output().expect("ends");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

#[test]
fn the_explained_script_does_what_the_build_does() {
    let text = r#"
environment: {GREETING: "it's $HOME `x`\n", X: top}
after: ["echo after $HERALD_JOB"]
jobs:
  last: {needs: [broken], execute: ["echo never"]}
  broken:
    execute:
      - {name: "it's\na name", run: "false; echo not here", continue_on_error: true}
      - {run: "exit 3", environment: {X: step}}
      - echo skipped
  fine:
    environment: {X: job}
    execute:
      - {run: 'printf %s "$GREETING"; echo "$X"; X=carried', working_directory: sub dir}
      - {run: [printf, '%s|', "a b", "", "it's", $X]}
      - {run: 'echo "$X ${PWD##*/}"', environment: {X: step}, working_directory: "sub dir"}
      - {run: 'false | true; echo no', shell: bash, continue_on_error: true}
      - cat
"#;
    let script = explain(&good(text));
    let (status, stdout) = shell(&script);
    assert_eq!(status, Some(3), "{script}");
    assert_eq!(
        stdout, "after broken\nit's $HOME `x`\njob\na b||it's|$X|step sub dir\nafter fine\n",
        "{script}"
    );
    assert_eq!(shell(&explain(&good("execute: ['true']"))).0, Some(0));
}

#[test]
fn the_schema_knows_every_key_and_says_what_it_means() {
    let schema = schema();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    let job = &schema["properties"]["jobs"]["additionalProperties"]["properties"];
    for key in ["image", "execute", "needs", "when", "timeout"] {
        assert!(job[key]["description"].is_string(), "{key}");
    }
    assert!(schema["properties"].get("matrix").is_none());
    assert!(schema["properties"]["resources"]["properties"]["cpus"].is_object());
    let service = &job["services"]["additionalProperties"];
    assert_eq!(service["required"][0], "image");
    assert_eq!(job["matrix"]["additionalProperties"]["type"], "array");
    assert_eq!(job["ports"]["additionalProperties"]["maximum"], 65_535);
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["$defs"]["step"]["anyOf"][1]["required"][0], "run");
}

#[test]
fn a_deployment_and_a_promotion_are_read() {
    let text = "when: {events: [push]}\njobs:\n  ship:\n    matrix: {to: [eu, us]}\n    execute: [x]\n    deploy: {environment: ' Live-${to} ', url: 'https://${to}.example.org', approval: true}\n\
                promote: {from: main, to: release/live}\n";
    let specification = good(text);
    let promote = specification.promote.as_ref().unwrap();
    assert_eq!(
        (promote.from.as_str(), promote.to.as_str()),
        ("main", "release/live")
    );
    let deploy = specification
        .job("ship.2")
        .unwrap()
        .deploy
        .as_ref()
        .unwrap();
    assert_eq!(deploy.environment, "Live-us");
    assert_eq!(deploy.environment_key(), "live-us");
    assert_eq!(deploy.url.as_deref(), Some("https://us.example.org"));
    assert!(deploy.approval);
    let script = explain(&specification);
    let said = "# It deploys to Live-us: to Herald it is a deployment on GitHub, one at a time. \
                Somebody with write permission has to approve it.";
    assert!(script.contains(said), "{script}");
    let without = "jobs: {a: {execute: [x], deploy: {environment: a}}}\n";
    check(
        without,
        &[
            "1:26: warning: `deploy` without a `when` deploys pull requests, tags and merge queues too: say which pushes deploy, as `when: {events: [push], branches: [production]}`",
        ],
    );
    let read = parse(without.as_bytes()).specification.unwrap();
    assert!(!read.jobs[0].deploy.as_ref().unwrap().approval);
}
