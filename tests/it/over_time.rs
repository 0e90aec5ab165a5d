//! Tests over time: the page of all of them, the history of one, those that became slower, and folders of coverage.

use herald::domain::RepositoryId;
use herald::domain::history::{Attempted, Run, TestName};
use herald::executor::Act;
use herald::protocol::CollectKind;
use herald::report::{Outcome, test_id};
use serde_json::Value;

use crate::world::{World, world};

const PROJECT: &str = "/repos/octo/project";

/// A report with these tests; `-` before a name fails, and after `@` come its seconds.
fn report(tests: &str) -> String {
    let cases: String = tests
        .split_whitespace()
        .map(|test| {
            let (name, seconds) = test.split_once('@').unwrap_or((test, "0.1"));
            match name.strip_prefix('-') {
                Some(name) => format!(
                    "<testcase classname='shop.price' name='{name}' time='{seconds}'>\
                     <failure message='no {name}'/></testcase>"
                ),
                None => {
                    format!("<testcase classname='shop.price' name='{name}' time='{seconds}'/>")
                }
            }
        })
        .collect();
    format!("<testsuite name='s'>{cases}</testsuite>")
}

fn id(name: &str) -> String {
    test_id(&["s".to_owned()], Some("shop.price"), name)
}

const ONE_JOB: &str = "execute: [exit 0]\nreports: {tests: ['reports/*.xml']}\n";
const TWO_JOBS: &str = "jobs:\n  unit: {execute: [exit 0], reports: {tests: ['reports/*.xml']}}\n\
     \x20 more: {matrix: {os: [linux]}, name: 'more on ${os}', execute: [exit 0], reports: {tests: ['reports/*.xml']}}\n";

/// Pushes to `main`, whose jobs leave a report with these tests.
async fn push(w: &mut World, specification: &str, tests: &str) -> String {
    *w.report.lock().unwrap() = Some(report(tests));
    w.write("n", &uuid::Uuid::new_v4().to_string());
    w.write(".herald.yml", specification);
    let head = w.commit("main");
    w.push("main", &head, &head).await;
    w.drain().await;
    head
}

/// Runs the build of a commit again, with these tests.
async fn again(w: &mut World, commit: &str, tests: &str) {
    *w.report.lock().unwrap() = Some(report(tests));
    let payload = w.github.rerequested(&w.project, commit, None);
    w.deliver("check_suite", &payload).await;
    w.drain().await;
}

async fn page(w: &World, address: &str) -> String {
    let (status, text) = w.get(&format!("{PROJECT}{address}")).await;
    assert_eq!(status, 200, "{address}: {text}");
    text
}

/// Fails where the page lacks one of these.
fn assert_says(page: &str, texts: &[&str]) {
    for text in texts {
        assert!(page.contains(text), "{text} in {page}");
    }
}

#[tokio::test]
async fn the_page_of_all_tests_tells_which_fail_which_are_flaky_and_which_are_slow() {
    world(async |w: &mut World| {
        let empty = w.commit("main");
        w.push("main", &empty, &empty).await;
        w.drain().await;
        let page_before = page(w, "/tests").await;
        assert_says(&page_before, &["No build of main has ended yet"]);

        let first = push(w, ONE_JOB, "good@0.5 -shaky old@12").await;
        again(w, &first, "good@0.5 shaky old@12").await;
        push(w, ONE_JOB, "good@0.5 shaky -old@0.1 &#60;b&#62;@1").await;
        let all = page(w, "/tests").await;
        assert_says(
            &all,
            &[
                "1 failed, 3 passed",
                &format!("{PROJECT}/builds/3/tests"),
                "the last build of main with tests",
                "Tests over the last 2 builds",
                "not seen failing before, in 2 runs",
                "<td><b class=\"wait\">33%</b></td><td class=\"dim\">1 of 3</td>",
                "&#60;b&#62;",
            ],
        );
        let at = |text: &str| all.find(text).unwrap_or_else(|| panic!("{text}: {all}"));
        let (failing, flaky, slow) = (at("Failing now"), at("Flaky tests"), at("Slowest tests"));
        let link = |name: &str| format!("href=\"{PROJECT}/tests/{}\"", id(name));
        assert!(all[failing..flaky].contains(&link("old")), "{all}");
        assert!(!all[failing..flaky].contains(&link("shaky")), "{all}");
        assert!(all[flaky..slow].contains(&link("shaky")), "{all}");
        assert!(!all[flaky..slow].contains(&link("old")), "{all}");
        // By its passes: it was quicker than the other when it failed.
        let of_slow = |name: &str| all[slow..].find(&link(name)).unwrap();
        assert!(of_slow("old") < of_slow("good"), "{all}");
    })
    .await;
}

#[tokio::test]
async fn one_job_can_be_looked_at_alone() {
    world(async |w: &mut World| {
        push(w, TWO_JOBS, "a -b").await;
        let both = page(w, "/tests").await;
        assert_says(
            &both,
            &[
                "<option value=\"unit\">",
                "<option value=\"more on linux\">",
            ],
        );
        assert!(!both.contains(" selected"), "all of them: {both}");
        for job in ["more%20on%20linux", "more.1"] {
            let one = page(w, &format!("/tests?job={job}")).await;
            assert_says(
                &one,
                &[
                    "<h1>Tests of <bdi>more on linux</bdi></h1>",
                    "<option value=\"more on linux\" selected>",
                    "tests?job=more%20on%20linux",
                ],
            );
        }
        let answer = w.get(&format!("{PROJECT}/tests?job=none")).await;
        assert_eq!(answer.0, 404);
        let test = format!("/tests/{}", id("b"));
        let both = page(w, &test).await;
        assert_says(
            &both,
            &[
                "Runs in unit",
                "Runs in more on linux",
                "Failed in 2 of 2 runs.",
            ],
        );
        let one = page(w, &format!("{test}?job=unit")).await;
        assert_says(&one, &["Runs in unit", "failed in 1 of 1 run"]);
        assert!(!one.contains("Runs in more"), "{one}");
        let tests = page(w, "/builds/1/tests?job=more.1").await;
        assert_says(
            &tests,
            &["<option value=\"more.1\" selected>", "1 failed, 1 passed"],
        );
        let answer = w.get(&format!("{PROJECT}/builds/1/tests?job=none")).await;
        assert_eq!(answer.0, 404);
    })
    .await;
}

#[tokio::test]
async fn the_history_of_a_test_leads_to_its_failures() {
    world(async |w: &mut World| {
        let first = push(w, ONE_JOB, "a@1 -x&#60;i&#62;@2").await;
        again(w, &first, "a@1 x&#60;i&#62;@3").await;
        push(w, ONE_JOB, "a@1 x&#60;i&#62;@4").await;
        let name = "x<i>";
        let address = format!("/tests/{}", id(name));
        let build = page(w, "/builds/2/tests").await;
        assert_says(&build, &[&format!("href=\"{PROJECT}{address}\"")]);
        let one = page(w, &address).await;
        assert_says(
            &one,
            &[
                "<span class=\"mark wait\">flaky</span> <bdi>x&#60;i&#62;</bdi></h1>",
                "<bdi>s</bdi> · <bdi>shop.price</bdi>",
                "failed in 1 of 3 runs",
                "Duration over the last 3 runs",
                &format!("{PROJECT}/builds/1/tests?q=x%3Ci%3E\"><span class=\"mark bad\">failed"),
            ],
        );
        // The newest last.
        let at = |text: &str| one.find(text).unwrap_or_else(|| panic!("{text}: {one}"));
        let drawn = ["#1: failed, ", "#1: passed, ", "#2: passed, "];
        let [failed, mended, newest] = drawn.map(|run| at(&format!("aria-label=\"{run}")));
        assert!(failed < mended && mended < newest, "{one}");
        let sound = page(w, &format!("/tests/{}", id("a"))).await;
        assert_says(
            &sound,
            &[
                "no failure in 3 runs",
                "<span class=\"mark good\">passed</span>",
            ],
        );
        assert!(!sound.contains("Last failures"), "{sound}");
        for unknown in [id("nobody"), "none".to_owned()] {
            let answer = w.get(&format!("{PROJECT}/tests/{unknown}")).await;
            assert_eq!(answer.0, 404, "{unknown}");
        }
    })
    .await;
}

/// Has these tests pass so many times in builds before the first one.
async fn passed_before(w: &World, tests: &[(&str, f64)], times: i64) {
    let store = &w.app.parts.store;
    let repository = store.repository("octo", "project").await.unwrap().unwrap();
    let id: &RepositoryId = &repository.id;
    let named = |name: &str| TestName {
        id: self::id(name),
        ..TestName::default()
    };
    let names: Vec<TestName> = tests.iter().map(|(name, _)| named(name)).collect();
    let numbers = store.test_numbers(id, &names, 0).await.unwrap();
    let all = numbers.iter().zip(tests);
    let mut runs: Vec<Run> = all
        .map(|(number, (_, seconds))| Run {
            test: *number,
            outcome: Outcome::Passed,
            flaky: false,
            seconds: Some(*seconds),
        })
        .collect();
    runs.sort_by_key(|run| run.test);
    for build in -times..0 {
        let one = Attempted {
            build,
            attempt: 1,
            commit: String::new(),
            tested: String::new(),
            at_ms: 0,
            runs: runs.clone(),
        };
        store.keep_attempt(id, "build", one).await.unwrap();
    }
}

#[tokio::test]
async fn tests_that_take_longer_than_usual_are_told_on_the_page_of_tests_only() {
    world(async |w: &mut World| {
        push(w, ONE_JOB, "warm@0.9").await;
        passed_before(w, &[("warm", 0.9), ("quick", 0.1)], 12).await;
        let before = page(w, "/builds/1/tests").await;
        assert!(!before.contains("Slower tests"), "{before}");
        let head = push(w, ONE_JOB, "warm@2.4 quick@0.3").await;
        let slow = page(w, "/builds/2/tests").await;
        let warm = slow
            .find("Slower tests")
            .unwrap_or_else(|| panic!("{slow}"));
        assert_says(&slow[warm..], &["<b>2.4 s</b>, usually 0.9", ">warm</a>"]);
        assert_eq!(slow.matches("usually").count(), 1, "{slow}");
        let build = page(w, "/builds/2").await;
        assert!(
            !build.contains("Slower") && !build.contains("usually 0"),
            "{build}"
        );
        let check = w.check(&head, "herald").summary;
        assert!(!check.contains("lower"), "{check}");
    })
    .await;
}

#[tokio::test]
async fn the_api_tells_the_history_of_a_test_and_which_are_flaky() {
    world(async |w: &mut World| {
        let first = push(w, ONE_JOB, "a@1 -b@2").await;
        again(w, &first, "a@1 b@3").await;
        push(w, ONE_JOB, "a@1 -b@4").await;
        let get = async |path: &str| {
            let (status, text) = w.get(&format!("/api/v1{PROJECT}{path}")).await;
            let answer: Value = serde_json::from_str(&text).unwrap();
            (status.as_u16(), answer)
        };
        let (status, answer) = get(&format!("/tests/{}", id("b"))).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(
            (&answer["name"], &answer["class"]),
            (&"b".into(), &"shop.price".into())
        );
        let url = format!("https://herald.test{PROJECT}/tests/{}", id("b"));
        assert_eq!(answer["url"], url);
        let job = &answer["jobs"][0];
        assert_eq!(
            (&job["job"], &job["failed"], &job["runs"]),
            (&"build".into(), &2.into(), &3.into())
        );
        assert!(job["flaky"]["since"].is_string(), "{answer}");
        let builds: Vec<_> = job["history"].as_array().unwrap().iter().collect();
        assert_eq!(builds.len(), 3);
        assert_eq!(
            (&builds[0]["build"], &builds[0]["outcome"]),
            (&2.into(), &"failed".into())
        );
        let seconds = builds[0]["duration_seconds"].as_f64().unwrap();
        assert!((seconds / 4.0 - 1.0).abs() < 0.03, "{seconds}");
        let (_, flaky) = get("/flaky").await;
        assert_eq!(flaky["tests"][0]["id"], id("b"));
        assert_eq!(
            (&flaky["tests"][0]["failed"], &flaky["more"]),
            (&2.into(), &0.into())
        );
        assert_eq!(get("/flaky?job=build").await.1, flaky);
        assert_eq!(get("/flaky?job=none").await.0, 404);
        assert_eq!(get(&format!("/tests/{}?job=none", id("b"))).await.0, 404);
        let (_, tests) = get("/builds/2/tests?outcome=failed&job=build").await;
        let verdict = &tests["tests"][0]["verdict"];
        assert_eq!(verdict["kind"], "flaky", "{tests}");
        assert!(
            verdict["text"]
                .as_str()
                .unwrap()
                .starts_with("flaky: failed in 2 of 3 runs")
        );
        let (_, passed) = get("/builds/2/tests?outcome=passed").await;
        assert!(passed["tests"][0]["verdict"].is_null(), "{passed}");
        assert_eq!(get("/builds/2/tests?job=none").await.0, 404);
    })
    .await;
}

#[tokio::test]
async fn coverage_is_told_by_folder_and_by_job() {
    world(async |w: &mut World| {
        for path in ["src/shop/price.py", "src/shop/deep/order.py", "setup.py"] {
            w.write(path, "one\ntwo\nthree\nfour\n");
        }
        let file = |path: &str, hit: usize| {
            let lines: String = (1..=4)
                .map(|line| format!("DA:{line},{}\n", usize::from(line <= hit)))
                .collect();
            format!("SF:{path}\n{lines}end_of_record\n")
        };
        let lcov = file("src/shop/price.py", 3)
            + &file("src/shop/deep/order.py", 1)
            + &file("setup.py", 4)
            + &file("gone/<b>.py", 2);
        w.leave(Act::File {
            kind: CollectKind::Coverage,
            path: "lcov.info".to_owned(),
            bytes: lcov.into_bytes(),
        });
        let job = "{execute: [exit 0], reports: {coverage: [lcov.info]}}";
        w.write(
            ".herald.yml",
            &format!("jobs:\n  unit: {job}\n  more: {job}\n"),
        );
        let head = w.commit("main");
        w.push("main", &head, &head).await;
        w.drain().await;
        let coverage = page(w, "/builds/1/coverage").await;
        assert_says(
            &coverage,
            &[
                "<span class=\"path\">src/shop/</span>",
                "<b>50%</b> <span class=\"dim\">4 of 8</span>",
                "<span class=\"path\">deep/</span>",
                "not in the repository/gone/",
                "&#60;b&#62;.py",
                "<option value=\"unit\">",
            ],
        );
        let unit = page(w, "/builds/1/coverage?job=unit").await;
        assert_says(&unit, &["<option value=\"unit\" selected>", "10 of 16"]);
        let api = format!("/api/v1{PROJECT}/builds/1/coverage?job=");
        assert_eq!(w.get(&format!("{api}more")).await.0, 200);
        assert_eq!(w.get(&format!("{api}none")).await.0, 404);
    })
    .await;
}

#[tokio::test]
async fn a_job_has_badges_of_its_own() {
    world(async |w: &mut World| {
        *w.report.lock().unwrap() = Some(report("a b"));
        w.write("price.py", "one\ntwo\n");
        w.leave(Act::File {
            kind: CollectKind::Coverage,
            path: "lcov.info".to_owned(),
            bytes: b"SF:price.py\nDA:1,1\nDA:2,0\nend_of_record\n".to_vec(),
        });
        w.write(
            ".herald.yml",
            "jobs:\n  broken: {execute: [exit 3]}\n  unit: {matrix: {os: [linux]}, execute: [exit 0], \
             reports: {tests: ['reports/*.xml'], coverage: [lcov.info]}}\n",
        );
        let head = w.commit("main");
        w.push("main", &head, &head).await;
        w.drain().await;
        let message = async |kind: &str, job: &str| {
            let address = format!("/badges/octo/project/{kind}.json?job={job}");
            let badge: Value = serde_json::from_str(&w.get(&address).await.1).unwrap();
            badge["message"].as_str().unwrap().to_owned()
        };
        assert_eq!(message("build", "").await, "failing");
        assert_eq!(message("build", "broken").await, "failing");
        assert_eq!(message("build", "unit.1").await, "passing");
        assert_eq!(message("tests", "unit.1").await, "2 passed");
        assert_eq!(message("coverage", "unit.1").await, "50%");
        assert_eq!(message("tests", "none").await, "unknown");
    })
    .await;
}
