//! Pages in a real browser, where there is one: `HERALD_TEST_NODE_MODULES` names a folder with the npm packages
//! playwright-core, axe-core and markdown-it, and switches these on. The scripts are in `tests/browser`.

use std::process::Stdio;
use std::sync::atomic::Ordering;

use axum::http::HeaderValue;
use axum::http::header::COOKIE;
use herald::domain::history::{Attempted, Run, TestName};
use herald::executor::Act;
use herald::protocol::CollectKind;
use herald::report::{Outcome, test_id};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::browser::Browser;
use crate::production::{PRESET, with_approval};
use crate::world::{World, world};

const PROJECT: &str = "/repos/octo/project";

fn switched_on() -> bool {
    std::env::var_os("HERALD_TEST_NODE_MODULES").is_some()
}

/// The server on a port of its own, until this is dropped.
struct Served {
    origin: String,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Served {
    /// For somebody whose browser has these cookies.
    async fn new(w: &World, cookies: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let cookies: Option<HeaderValue> = (!cookies.is_empty()).then(|| cookies.parse().unwrap());
        let router = w.router().layer(axum::middleware::map_request(
            move |mut request: axum::extract::Request| {
                if let Some(cookies) = &cookies {
                    request.headers_mut().insert(COOKIE, cookies.clone());
                }
                std::future::ready(request)
            },
        ));
        let serving = tokio::spawn(axum::serve(listener, router).into_future());
        Self { origin, serving }
    }

    fn page(&self, name: &str, path: &str) -> Value {
        json!({"name": name, "address": format!("{}{path}", self.origin)})
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Runs a script, which may say something on the way.
async fn run(script: &str, argument: &str, mut hear: impl FnMut(&str)) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser");
    let mut node = Command::new("node")
        .args([&format!("{folder}/{script}"), argument])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("node, where HERALD_TEST_NODE_MODULES is set: {error}"));
    let mut said = BufReader::new(node.stdout.take().unwrap()).lines();
    let mut all = String::new();
    while let Some(line) = said.next_line().await.unwrap() {
        hear(&line);
        all = all + &line + "\n";
    }
    assert!(
        node.wait().await.unwrap().success(),
        "{script} found\n{all}"
    );
}

async fn look_at(pages: &[Value]) {
    run("pages.mjs", &Value::from(pages).to_string(), |_| {}).await;
}

/// The cookies of somebody who has signed in.
async fn signed_in(w: &World, person: i64) -> String {
    let browser = Browser::signed_in(w, person).await;
    let pairs = browser.cookies.iter();
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("; ")
}

#[tokio::test]
async fn a_job_is_followed_in_a_browser_while_it_runs() {
    if switched_on() {
        follow("follow.mjs").await;
    }
}

#[tokio::test]
async fn who_was_cut_off_for_20_seconds_sees_every_line() {
    if switched_on() && std::env::var_os("HERALD_TEST_LONG").is_some() {
        follow("cut.mjs").await;
    }
}

/// Lets a script follow a job that writes, holds until the script says so, and writes again.
async fn follow(script: &str) {
    world(async |w: &mut World| {
        let (main, _) = w.change("execute: [count 3000, hold, count 3000]\n");
        w.push("main", &main, &main).await;
        w.until_queued(|_| {}).await;
        let served = Served::new(w, "").await;
        let job = format!("{}{PROJECT}/builds/1/jobs/build", served.origin);
        let look = async {
            run(script, &job, |line| {
                if line == "release" {
                    w.executor.release();
                }
            })
            .await;
            // Also when the script has failed before.
            w.executor.release();
        };
        tokio::join!(look, w.drain());
    })
    .await;
}

const REPORT: &str = r#"<testsuite name="s" time="61">
<testcase classname="tests.test_price" name="test_sum_of_two" time="0.004"/>
<testcase classname="tests.test_price" name="test_discount" time="1.5"/>
<testcase classname="tests.test_price" name="test_slow" time="59"><skipped message="only at night"/></testcase>
FAILURES</testsuite>"#;

/// Pushes to `main`, with so many failed tests and a report of coverage.
async fn push(w: &mut World, failed: usize, covered: usize) {
    let failures: String = (0..failed)
        .map(|at| {
            format!(
                "<testcase classname='tests.test_price' name='test_rounding[{at}]' time='0.01'>\
                 <failure message='assert 12.34 == 12.35'>def test_rounding():\n&gt; assert {at}\n\n\
                 tests/test_price.py:3: AssertionError</failure></testcase>"
            )
        })
        .collect();
    let lines: String = (1..=12)
        .map(|line| format!("DA:{line},{}\n", usize::from(line <= covered)))
        .collect();
    w.leave_nothing();
    *w.report.lock().unwrap() = Some(REPORT.replace("FAILURES", &failures));
    w.leave(Act::File {
        kind: CollectKind::Coverage,
        path: "lcov.info".to_owned(),
        bytes: format!(
            "SF:price.py\n{lines}end_of_record\nSF:gone.py\nDA:1,1\nend_of_record\n\
             SF:shop/cart/total.py\n{lines}end_of_record\nSF:shop/cart/line.py\nDA:1,1\nend_of_record\n\
             SF:shop/order/taxes/of_the_country.py\nDA:1,1\nDA:2,0\nDA:3,0\nend_of_record\n"
        )
        .into_bytes(),
    });
    w.write(
        "tests/test_price.py",
        "def test_rounding():\n    x = 1\n    assert price(x) == 12.35\n\n\n",
    );
    for path in ["cart/total", "cart/line", "order/taxes/of_the_country"] {
        w.write(&format!("shop/{path}.py"), &"a line of code\n".repeat(12));
    }
    w.write("n", &uuid::Uuid::new_v4().to_string());
    w.write(
        ".herald.yml",
        "jobs:\n  lint: {execute: [exit 0]}\n  test:\n    execute:\n\
         \x20     - {name: install, run: 'print \\e[32mdone\\e[0m'}\n\
         \x20     - {name: tests, run: leave logs/report.html ok}\n\
         \x20   artifacts: ['logs/**']\n\
         \x20   reports: {tests: ['reports/*.xml'], coverage: [lcov.info]}\n\
         \x20 deploy: {needs: [lint, test], execute: [exit 0]}\n",
    );
    let head = w.commit("main");
    w.push("main", &head, &head).await;
    w.drain().await;
}

/// What a test is called in that report, and its id.
fn price_test(name: &str) -> TestName {
    let (suite, class) = ("s".to_owned(), "tests.test_price");
    TestName {
        id: test_id(std::slice::from_ref(&suite), Some(class), name),
        suite,
        class: class.to_owned(),
        name: name.to_owned(),
    }
}

/// A past of these tests, in attempts of the first build: one is flaky, and one was quicker.
async fn remember(w: &World) {
    let store = &w.app.parts.store;
    let repository = store
        .repository("octo", "project")
        .await
        .unwrap()
        .unwrap()
        .id;
    let now_ms = w.app.now_ms();
    let names = ["test_discount", "test_rounding[0]", "test_slow"].map(price_test);
    let numbers = store
        .test_numbers(&repository, &names, now_ms)
        .await
        .unwrap();
    for (job, count) in [("test", 48), ("test on windows", 25)] {
        for back in 1..=count {
            let shaky = match back {
                5 | 17 | 18 | 40 => (Outcome::Failed, false),
                9 => (Outcome::Passed, true),
                _ => (Outcome::Passed, false),
            };
            let wobble = 1.0 + 0.3 * f64::from(back % 7) / 7.0;
            let run = |at: usize, (outcome, flaky), seconds: f64| Run {
                test: numbers[at],
                outcome,
                flaky,
                seconds: Some(seconds * wobble),
            };
            let mut runs = vec![
                run(0, (Outcome::Passed, false), 0.6),
                run(1, shaky, 0.05 * f64::from(back % 11)),
                run(2, (Outcome::Skipped, false), 0.001),
            ];
            runs.sort_by_key(|run| run.test);
            let commit = format!("{:040x}", back / 2);
            let one = Attempted {
                build: 1,
                attempt: u32::try_from(100 - back).unwrap(),
                commit: commit.clone(),
                tested: commit,
                at_ms: now_ms - i64::from(back) * 7 * 3_600_000,
                runs,
            };
            store.keep_attempt(&repository, job, one).await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_pages_of_builds_that_ended_are_well_in_a_browser() {
    if !switched_on() {
        return;
    }
    world(async |w: &mut World| {
        let served = Served::new(w, "").await;
        let mut missing = served.page("nothing", "/repos/octo/nothing");
        missing["status"] = json!(404);
        look_at(&[served.page("overview empty", "/"), missing]).await;

        w.write("price.py", &"a line of code\n".repeat(6));
        push(w, 0, 12).await;
        remember(w).await;
        push(w, 3, 10).await;
        push(w, 0, 11).await;
        let base = w.commit("base");
        w.write("price.py", &"a line of code\n".repeat(12));
        push(w, 2, 7).await;
        // A specification that cannot be read, and a job that says nothing.
        w.write(".herald.yml", "execute: [exit 0]\nexecutee: [exit 1]\nreports: 5\n");
        let bad = w.commit("bad");
        w.pull("opened", &bad, &base).await;
        w.drain().await;
        w.leave_nothing();
        w.write(".herald.yml", "jobs:\n  many: {matrix: {python: ['3.11', '3.12'], system: [linux, windows]}, execute: [exit 3]}\n");
        let head = w.commit("main");
        w.push("main", &head, &head).await;
        w.drain().await;
        // A stranger's, which waits for approval.
        w.isolates.store(true, Ordering::SeqCst);
        w.person(900, "eve", "read");
        let stranger = w.commit("stranger");
        let mut payload = w.github.pull_request(&w.project, "opened", 8, ("stranger", &stranger), ("main", &base));
        payload["pull_request"]["head"]["repo"] = json!({"id": 999});
        payload["pull_request"]["user"] = json!({"id": 900, "login": "eve", "type": "User"});
        payload["sender"] = payload["pull_request"]["user"].clone();
        w.deliver("pull_request", &payload).await;
        w.drain().await;

        let writer = Served::new(w, &signed_in(w, 500).await).await;
        let build = |number: i64, rest: &str| format!("{PROJECT}/builds/{number}{rest}");
        let history = |name: &str| format!("{PROJECT}/tests/{}", price_test(name).id);
        let mut unknown = served.page("no such test", &format!("{PROJECT}/tests/none"));
        unknown["status"] = json!(404);
        let mut absent = served.page("no such job", &build(4, "/jobs/none"));
        absent["status"] = json!(404);
        look_at(&[
            writer.page("overview", "/"),
            served.page("repository", PROJECT),
            served.page("repository older", &format!("{PROJECT}?before=2")),
            served.page("build green", &build(3, "")),
            writer.page("build red", &build(4, "")),
            served.page("tests", &build(4, "/tests")),
            served.page("tests none", &build(4, "/tests?q=nothing")),
            served.page("coverage", &build(4, "/coverage")),
            served.page("all tests", &format!("{PROJECT}/tests")),
            served.page("all tests of a job", &format!("{PROJECT}/tests?job=test")),
            writer.page("history of a flaky test", &history("test_rounding[0]")),
            served.page("history in one job", &format!("{}?job=test", history("test_discount"))),
            served.page("history of a skipped test", &history("test_slow")),
            unknown,
            served.page("coverage none", &build(6, "/coverage")),
            served.page("job with artifacts", &build(4, "/jobs/test")),
            writer.page("build bad specification", &build(5, "")),
            served.page("build matrix", &build(6, "")),
            served.page("job failed", &build(6, "/jobs/many.1")),
            writer.page("build waits for approval", &build(7, "")),
            served.page("badges", &format!("{PROJECT}/badges")),
            served.page("setup", "/setup"),
            absent,
        ])
        .await;
        forget_pending(w);
        w.read_comments();
    })
    .await;
}

#[tokio::test]
async fn the_pages_of_deployments_are_well_in_a_browser() {
    if !switched_on() {
        return;
    }
    world(async |w: &mut World| {
        let hostile = "blue <b onclick=alert(1)>\u{202e}";
        let both = PRESET.replace(
            "promote:",
            &format!(
                "  other: {{deploy: {{environment: '{hostile}'}}, when: {{events: [push], branches: [production]}}, \
                 execute: [print deployed]}}\npromote:"
            ),
        );
        w.begin(&both).await;
        w.go_to("main");
        w.write("n", "2");
        w.write(".herald.yml", &PRESET.replace("[print deployed]", "[exit 1]"));
        let broken = w.push_to("main").await;
        w.release(&broken).await;
        w.write("n", "3");
        w.write(".herald.yml", &with_approval());
        let waits = w.push_to("main").await;
        w.release(&waits).await;
        let served = Served::new(w, "").await;
        let writer = Served::new(w, &signed_in(w, 500).await).await;
        let mut pages = vec![
            served.page("repository with environments", PROJECT),
            served.page("deployments", &format!("{PROJECT}/deployments")),
            served.page(
                "deployments to one environment",
                &format!("{PROJECT}/deployments?environment=production"),
            ),
            served.page("deployments to none", &format!("{PROJECT}/deployments?environment=none")),
            served.page("build that deployed", &format!("{PROJECT}/builds/2")),
            served.page("job that deployed", &format!("{PROJECT}/builds/2/jobs/deploy")),
            writer.page("deployment waits for approval", &format!("{PROJECT}/builds/6")),
            writer.page("job waits for approval", &format!("{PROJECT}/builds/6/jobs/deploy")),
        ];
        for (page, has) in [(1, "blue <b onclick"), (4, "Deploys to"), (6, "approv")] {
            pages[page]["has"] = json!([has]);
        }
        for page in &mut pages {
            page["leads"] = json!(["https://example.org"]);
        }
        look_at(&pages).await;
        forget_pending(w);
        w.read_comments();
    })
    .await;
}

/// What still waits for a person at the end is no loose end.
fn forget_pending(w: &World) {
    w.state()
        .statuses
        .retain(|status| status.state != "pending");
}

#[tokio::test]
async fn the_pages_of_what_is_under_way_or_private_are_well_in_a_browser() {
    if !switched_on() {
        return;
    }
    world(async |w: &mut World| {
        for project in &mut w.state().projects {
            project.private = true;
        }
        w.project.private = true;
        w.write(
            ".herald.yml",
            "jobs:\n  lint: {execute: [exit 0]}\n  test:\n    execute: [print begin, hold, exit 0]\n\
             \x20 deploy: {needs: [test], execute: [exit 0]}\n",
        );
        let head = w.commit("main");
        w.push("main", &head, &head).await;
        w.until_handled().await;
        // Known, and nothing built.
        let writer = Served::new(w, &signed_in(w, 500).await).await;
        let stranger = Served::new(w, "").await;
        look_at(&[writer.page("repository without builds", PROJECT)]).await;
        let other = w.commit("main");
        w.push("main", &head, &other).await;
        w.until_prepared().await;
        let running = async {
            w.github
                .until(|state| {
                    let test = |name: &str| name == "herald / test";
                    state.checks.iter().any(|check| test(&check.name) && check.status == "in_progress")
                })
                .await;
            let build = |rest: &str| format!("{PROJECT}/builds/1{rest}");
            let mut hidden = stranger.page("private for a stranger", PROJECT);
            hidden["status"] = json!(404);
            look_at(&[
                writer.page("build running", &build("")),
                writer.page("job running", &build("/jobs/test")),
                writer.page("job blocked", &build("/jobs/deploy")),
                writer.page("repository running", PROJECT),
                writer.page("badges private", &format!("{PROJECT}/badges")),
                hidden,
            ])
            .await;
            let address = format!("{}{}", writer.origin, build(""));
            run("renew.mjs", &address, |line| {
                if line == "release" {
                    w.executor.release();
                }
            })
            .await;
        };
        tokio::join!(running, w.drain());
        // Cancelled, by the button.
        w.executor.hold();
        let again = w.commit("main");
        w.push("main", &other, &again).await;
        w.until_prepared().await;
        look_at(&[writer.page("build queued", &format!("{PROJECT}/builds/3"))]).await;
        let mut browser = Browser::signed_in(w, 500).await;
        let number = 3;
        let page = browser.get(w, &format!("{PROJECT}/builds/{number}")).await;
        let csrf = page.csrf();
        browser
            .post(w, &format!("{PROJECT}/builds/{number}/cancel"), &[("csrf", &csrf)])
            .await;
        w.executor.release();
        w.drain().await;
        let made = browser.post(w, &format!("{PROJECT}/badges/token"), &[("csrf", &csrf)]).await;
        assert_eq!(made.status, 303, "{}", made.text);
        let mut refused = writer.page("logout without a mark", "/login/callback");
        refused["status"] = json!(400);
        let mut forbidden = writer.page("button without a mark", &format!("{PROJECT}/builds/3/rerun"));
        forbidden["form"] = json!("csrf=none");
        forbidden["status"] = json!(403);
        look_at(&[
            forbidden,
            writer.page("build cancelled", &format!("{PROJECT}/builds/{number}")),
            writer.page("badges private with token", &format!("{PROJECT}/badges")),
            refused,
        ])
        .await;
    })
    .await;
}

/// What somebody may write who means harm.
const ATTACKS: [&str; 9] = [
    "<script>hacked=1;alert(1)</script>",
    "\"><img src=x onerror=hacked=1>",
    "'><svg/onload=hacked=1>",
    "javascript:hacked=1",
    "{{7*7}}",
    "</title></style></textarea></pre><script>hacked=1</script>",
    "]]>",
    "\u{202e}gnp.exe",
    "[click](javascript:hacked=1) ![x](https://evil.example/x.png) @octocat #1 GH-1 https://evil.example/ www.evil.example `a` | **b** <!-- c",
];
/// The same in the name of a branch, as far as git allows it.
const BRANCH: &str = "\"><script>hacked=1</script>\u{202e}'{{7+7}}@octocat#1";

fn in_xml(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

/// A report whose every field is one of them.
fn hostile_report() -> String {
    let cases: String = ATTACKS
        .iter()
        .enumerate()
        .map(|(at, attack)| {
            let (attack, next) = (in_xml(attack), in_xml(ATTACKS[(at + 1) % ATTACKS.len()]));
            format!(
                "<testcase name=\"{attack}\" classname=\"{next}\" file=\"{attack}\" line=\"1\" time=\"0.1\">\
                 <failure message=\"{next}\" type=\"{attack}\">{attack}\n{next}\ntests/evil.py:2: {attack}</failure>\
                 <system-out>{attack}</system-out></testcase>\
                 <testcase name=\"skip {attack}\"><skipped message=\"{attack}\"/></testcase>"
            )
        })
        .collect();
    format!(
        "<testsuite name=\"{}\">{cases}</testsuite>",
        in_xml(ATTACKS[0])
    )
}

/// What a job of theirs writes and leaves behind.
fn hostile_leavings(w: &World) {
    let lines = ATTACKS.join("\n");
    w.leave(Act::Write(
        0,
        format!(
            "{lines}\nerror: {}\n\u{1b}]8;;javascript:hacked=1\u{7}link\u{1b}]8;;\u{7}\n\u{1b}]0;title\u{7}\n\
             \u{1b}[31;1\"onload=hacked=1m\u{1b}[2J\u{1b}[Hred\rover\0nul\u{9b}31mc1\n\u{2066}\u{202e}bidi\n",
            ATTACKS[0]
        ),
    ));
    let file = |kind, path: &str, bytes: String| Act::File {
        kind,
        path: path.to_owned(),
        bytes: bytes.into_bytes(),
    };
    for (at, attack) in ATTACKS.iter().enumerate() {
        w.leave(file(
            CollectKind::Artifact,
            &format!("out/{at}{}", attack.replace("//", "/")),
            (*attack).to_owned(),
        ));
    }
    let records: String = ATTACKS
        .iter()
        .map(|attack| format!("SF:{attack}\nDA:1,0\nend_of_record\n"))
        .collect();
    w.leave(file(
        CollectKind::Coverage,
        "lcov.info",
        records + "SF:tests/evil.py\nDA:1,0\nDA:2,1\nend_of_record\n",
    ));
}

#[tokio::test]
async fn nothing_that_a_build_or_a_stranger_writes_takes_effect_in_a_browser() {
    if !switched_on() {
        return;
    }
    world(async |w: &mut World| {
        *w.report.lock().unwrap() = Some(hostile_report());
        hostile_leavings(w);
        // The first one fails; its log is open.
        let steps: Vec<Value> = ATTACKS
            .iter()
            .map(|attack| json!({"name": attack, "run": format!("break {attack}")}))
            .collect();
        let specification = json!({"jobs": {"evil": {
            "name": format!("{} ${{x}}", ATTACKS[0]),
            "matrix": {"x": [ATTACKS[1], ATTACKS[7], ATTACKS[8]]},
            "execute": steps,
            "artifacts": ["out/**"],
            "reports": {"tests": ["reports/*.xml"], "coverage": ["lcov.info"]},
        }}, "badges": {"labels": {"build": ATTACKS[0], "tests": ATTACKS[1], "coverage": ATTACKS[2]}}});
        w.write(".herald.yml", "execute: [exit 0]\n");
        let main = w.commit("main");
        w.write(".herald.yml", &specification.to_string());
        w.write("tests/evil.py", &format!("{}\n{}\n{}\n", ATTACKS[0], ATTACKS[1], ATTACKS[7]));
        let head = w.commit(BRANCH);
        let pull = |number: i64, head: &str| {
            w.github.pull_request(&w.project, "opened", number, (BRANCH, head), ("main", &main))
        };
        let mut payload = pull(7, &head);
        payload["pull_request"]["title"] = json!(ATTACKS[0]);
        w.deliver("pull_request", &payload).await;
        w.drain().await;
        let wrong = json!({ATTACKS[0]: 1, ATTACKS[8]: 2, "execute": [{ATTACKS[1]: ATTACKS[7]}]});
        w.write(".herald.yml", &wrong.to_string());
        let wrong = w.commit(BRANCH);
        let payload = pull(8, &wrong);
        w.deliver("pull_request", &payload).await;
        w.drain().await;
        w.push("main", &main, &head).await;
        w.drain().await;

        let writer = Served::new(w, &signed_in(w, 500).await).await;
        let page = |name: &str, path: &str, has: &[&str]| {
            let mut page = writer.page(&format!("hostile {name}"), path);
            page["has"] = json!(has);
            page
        };
        let all = |end: &str| format!("{PROJECT}/builds/1{end}");
        let evil = test_id(&[ATTACKS[0].to_owned()], Some(ATTACKS[1]), ATTACKS[0]);
        let asked = "%22%3E%3Cscript%3Ehacked=1%3C/script%3E";
        let mut pages = vec![
            page("repository", PROJECT, &["<script>hacked=1</script>"]),
            page("build", &all(""), &ATTACKS),
            page("tests", &all("/tests"), &ATTACKS),
            page("tests asked", &all(&format!("/tests?q={asked}&outcome={asked}")), &["\"><script>"]),
            page("coverage", &all("/coverage"), &ATTACKS[..6]),
            page("wrong", &format!("{PROJECT}/builds/2"), &[ATTACKS[0]]),
            page("all tests", &format!("{PROJECT}/tests"), &ATTACKS),
            page("history", &format!("{PROJECT}/tests/{evil}"), &[ATTACKS[0], ATTACKS[1]]),
            page("badges", &format!("{PROJECT}/badges?branch={asked}&job={asked}&style={asked}&logo={asked}"), &["%22%3E%3Cscript"]),
        ];
        let mut written: Vec<&str> = ATTACKS.to_vec();
        written.extend(["error: <script>hacked", "bidi"]);
        pages.push(page("job", &all("/jobs/evil.1"), &written));
        run("pages.mjs", &Value::from(pages).to_string(), |_| {}).await;

        let base = &writer.origin;
        let (badges, api) = (format!("{base}/badges/octo/project"), format!("{base}/api/v1{PROJECT}"));
        let texts: Vec<String> = {
            let state = w.state();
            let checks = state.checks.iter().map(|check| check.summary.clone());
            checks.chain(state.comments.iter().map(|comment| comment.body.clone())).collect()
        };
        assert!(texts.iter().any(|text| text.contains("hacked")), "{texts:#?}");
        let label = w.get("/badges/octo/project/build.json").await.1;
        assert!(label.contains("<script>hacked=1"), "{label}");
        let plan = json!({
            "pictures": [
                format!("{badges}/build.svg"), format!("{badges}/tests.svg"), format!("{badges}/coverage.svg?style=social"),
                format!("{badges}/build.svg?label={asked}&color={asked}&labelColor={asked}&style={asked}&logo={asked}"),
                format!("{badges}/build.svg?label={asked}&logo=data:image/svg%2bxml,{asked}&link=javascript:hacked=1"),
                format!("{badges}/tests.svg?branch={asked}&job={asked}&label=%E2%80%AEtxt%00%1B%5D%5D%3E"),
                format!("{base}/badges/static/{}/{}/{}.svg", "%22%3E%3Cscript%3Ehacked=1%3C%2Fscript%3E", "%5D%5D%3E%7B%7B7*7%7D%7D", "%22onload=%22hacked=1"),
            ],
            "data": [
                api.clone(), format!("{api}/builds"), format!("{api}/builds/1"), format!("{api}/builds/1/tests"),
                format!("{api}/flaky"), format!("{api}/tests/{evil}"),
                format!("{api}/builds/1/coverage"), format!("{api}/builds/2"), format!("{badges}/build.json?label={asked}"), format!("{badges}/build.json"),
                format!("{base}{}", all(&format!("/jobs/evil.1/log/search?q={asked}"))),
                format!("{base}{}", all("/jobs/evil.1/log/lines?step=0")),
            ],
            "texts": [format!("{base}{}", all("/jobs/evil.1/log.txt"))],
            "markdown": texts,
        });
        run("hostile.mjs", &plan.to_string(), |_| {}).await;
        w.read_comments();
    })
    .await;
}
