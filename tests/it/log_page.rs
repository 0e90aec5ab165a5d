//! The page of a job, and the parts of its log that a page asks for.

use http::StatusCode;
use serde_json::{Value, json};

use crate::follow::Follower;
use crate::world::{World, world};

const JOB: &str = "/repos/octo/project/builds/1/jobs/build";

/// Builds the default branch with these steps.
async fn built(w: &mut World, steps: &str) -> String {
    let (main, _) = w.change(&format!("execute:\n{steps}"));
    w.push("main", &main, &main).await;
    w.drain().await;
    main
}

async fn ask(w: &World, path: &str) -> Value {
    let (status, text) = w.get(&format!("{JOB}/log/{path}")).await;
    assert_eq!(status, StatusCode::OK, "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Lines as text, with their numbers.
fn lines(answer: &Value) -> Vec<(u64, String)> {
    let lines = answer["lines"].as_array().unwrap();
    let text = |line: &Value| {
        let spans = line["spans"].as_array().unwrap();
        let text = spans.iter().map(|span| span[1].as_str().unwrap());
        (line["number"].as_u64().unwrap(), text.collect())
    };
    lines.iter().map(text).collect()
}

fn places(answer: &Value) -> Vec<(u64, u64)> {
    let matches = answer["matches"].as_array().unwrap();
    let place = |found: &Value| {
        (
            found["step"].as_u64().unwrap(),
            found["line"].as_u64().unwrap(),
        )
    };
    matches.iter().map(place).collect()
}

#[tokio::test]
async fn any_part_of_a_step_is_read_by_the_numbers_of_its_lines() {
    world(async |w: &mut World| {
        built(
            w,
            "- count 5000\n- print \\e[31mred\\nstill\\e[0m\\nplain\n",
        )
        .await;
        let part = ask(w, "lines?step=0&from=4000&count=3").await;
        let wanted = [4000, 4001, 4002].map(|line| (line, format!("line {:06}", line - 1)));
        assert_eq!(lines(&part), wanted);
        assert_eq!(part["total"], 5001);
        assert_eq!(part["next"], 4003);
        assert_eq!(part["left_out"], Value::Null);
        let end = ask(w, "lines?step=0&from=5001").await;
        assert_eq!(lines(&end), [(5001, "line 005000".to_owned())]);
        assert_eq!(end["next"], Value::Null);
        let past = ask(w, "lines?step=0&from=5002").await;
        assert_eq!(lines(&past), []);
        // A colour goes on, also where the part begins later.
        let still = ask(w, "lines?step=1&from=3&count=1").await;
        assert_eq!(still["lines"][0]["spans"], json!([["c1", "still"]]));
        let none = ask(w, "lines?step=9").await;
        assert_eq!((lines(&none), &none["total"]), (Vec::new(), &json!(0)));
        for (path, wanted) in [
            ("lines", 400),
            ("lines?step=x", 400),
            ("search", 400),
            ("search?q=x&after=nonsense", 400),
        ] {
            let (status, text) = w.get(&format!("{JOB}/log/{path}")).await;
            assert_eq!(status, wanted, "{path}: {text}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_log_is_read_and_searched_while_it_grows() {
    world(async |w: &mut World| {
        let (main, _) = w.change("execute: [count 20, hold, count 30]\n");
        w.push("main", &main, &main).await;
        w.until_queued(|_| {}).await;
        let mut steps = Follower::of(w, "steps", None).await;
        // There is no log yet.
        let first = steps.next().await.unwrap();
        assert_eq!(first.name, "steps");
        assert_eq!(first.data["steps"], json!([]));
        assert_eq!(lines(&ask(w, "lines?step=1").await), []);
        assert_eq!(ask(w, "search?q=line").await["count"], 0);
        let look = async {
            let mut told = first;
            while told.data["steps"][1]["lines"] != 1 || told.data["steps"][1]["word"] != "running"
            {
                told = steps.next().await.unwrap();
            }
            assert_eq!(told.data["steps"][0]["lines"], 21);
            assert_eq!(told.data["steps"][0]["word"], "passed");
            assert_eq!(told.data["job"]["word"], "running");
            let held = ask(w, "lines?step=1").await;
            assert_eq!(lines(&held), [(1, "playing hold".to_owned())]);
            assert_eq!(ask(w, "search?q=line").await["count"], 20);
            w.executor.release();
            loop {
                let next = steps.next().await.unwrap();
                if next.name == "end" {
                    assert_eq!(next.data["conclusion"], "success");
                    break told;
                }
                told = next;
            }
        };
        let (last, ()) = tokio::join!(look, w.drain());
        assert_eq!(last.data["steps"][2]["lines"], 31);
        assert_eq!(last.data["job"]["word"], "passed");
        assert_eq!(steps.next().await, None);
        assert_eq!(ask(w, "search?q=LINE").await["count"], 50);
    })
    .await;
}

#[tokio::test]
async fn lines_keep_their_numbers_where_the_middle_is_left_out() {
    world(async |w: &mut World| {
        built(w, "- count 200000\n- print the end\n").await;
        let begin = ask(w, "lines?step=0&from=1&count=2").await;
        let first = begin["left_out"][0].as_u64().unwrap();
        let last = begin["left_out"][1].as_u64().unwrap();
        assert!(first > 40_000 && last > 100_000, "{first} {last}");
        assert_eq!(begin["total"], 200_001);
        for (from, wanted) in [
            (first - 1, first - 1),
            (first, last + 1),
            (last + 1, last + 1),
        ] {
            let part = ask(w, &format!("lines?step=0&from={from}&count=1")).await;
            let line = format!("line {:06}", wanted - 1);
            assert_eq!(lines(&part), [(wanted, line)], "{from}");
        }
        let found = ask(w, "search?q=line%20199999").await;
        assert_eq!(places(&found), [(0, 200_000)]);
        let page = w.get(JOB).await.1;
        let left_out = format!("data-left-out=\"{first}-{last}\"");
        assert!(page.contains(&left_out), "{left_out}");
        let rest = format!("are left out) are in <a href=\"{JOB}/log.txt?step=0\">");
        assert!(page.contains(&rest), "{rest}");
    })
    .await;
}

#[tokio::test]
async fn the_log_that_is_shown_is_that_of_the_newest_attempt() {
    world(async |w: &mut World| {
        let main = built(w, "- print one\n").await;
        assert_eq!(ask(w, "lines?step=0").await["attempt"], 1);
        let again = w.github.rerequested(&w.project, &main, None);
        w.deliver("check_suite", &again).await;
        w.drain().await;
        let again = ask(w, "lines?step=0").await;
        assert_eq!(again["attempt"], 2);
        assert_eq!(lines(&again).len(), 2);
        assert_eq!(ask(w, "search?q=one").await["attempt"], 2);
        let told = Follower::of(w, "steps", None).await.next().await.unwrap();
        assert_eq!(told.data["attempt"], 2);
        let page = w.get(JOB).await.1;
        assert!(page.contains("data-attempt=\"2\""), "{page}");
    })
    .await;
}

#[tokio::test]
async fn what_a_build_writes_stays_text() {
    const HOSTILE: &str = "<script>alert(1)</script><img src=x onerror=alert(2)> \"'&";
    world(async |w: &mut World| {
        let step = format!("- |-\n  print {HOSTILE}\\e]8;;javascript:alert(3)\\e\\link\n");
        built(w, &step).await;
        let part = ask(w, "lines?step=0").await;
        let text = format!("{HOSTILE}link");
        assert!(lines(&part).contains(&(2, text.clone())), "{part:#}");
        let found = ask(w, "search?q=%3CScript%3E&limit=5").await;
        assert_eq!(found["matches"][0]["text"], text, "{found:#}");
        let page = w.get(JOB).await.1;
        let scripts = page.matches("<script").count();
        assert_eq!(scripts, 1, "only ours: {page}");
        assert!(
            !page.contains("<img src=x") && !page.contains("javascript:"),
            "{page}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_whole_log_is_searched_for_a_text_and_for_errors() {
    world(async |w: &mut World| {
        let steps =
            "- count 3000\n- 'print \\e[1;31mFAILED\\e[0m a\\n0 failed\\nerror: b'\n- exit 1\n";
        built(w, steps).await;
        let found = ask(w, "search?q=line%20002&limit=2").await;
        assert_eq!(
            (&found["count"], &found["complete"]),
            (&json!(1000), &json!(true))
        );
        assert_eq!(places(&found), [(0, 2001), (0, 2002)]);
        assert_eq!(found["matches"][0]["text"], "line 002000");
        let next = found["next"].as_str().unwrap();
        assert_eq!(next, "0:2002");
        let rest = ask(w, &format!("search?q=line%20002&limit=1&after={next}")).await;
        assert_eq!(rest["count"], 998);
        assert_eq!(places(&rest), [(0, 2003)]);
        // As it is shown, whatever its colours; and with upper and lower case apart.
        assert_eq!(places(&ask(w, "search?q=failed%20A").await), [(1, 2)]);
        assert_eq!(ask(w, "search?q=failed%20A&case").await["count"], 0);
        let errors = ask(w, "errors").await;
        assert_eq!(places(&errors), [(1, 2), (1, 4)]);
        assert_eq!(errors["next"], Value::Null);
    })
    .await;
}

#[tokio::test]
async fn the_page_needs_no_script_and_says_where_the_rest_is() {
    world(async |w: &mut World| {
        let (main, _) = w.change("execute: [count 5000, hold]\n");
        w.push("main", &main, &main).await;
        w.until_queued(|_| {}).await;
        let waiting = w.get(JOB).await.1;
        let refresh = "<noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>";
        assert!(waiting.contains(refresh), "{waiting}");
        w.executor.release();
        w.drain().await;
        let request = http::Request::get(JOB).body(axum::body::Body::empty());
        let (_, headers, page) = w.request(request.unwrap()).await;
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.contains("script-src 'self'; connect-src 'self'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(!page.contains("refresh"), "{page}");
        assert!(page.contains("id=\"step-1:L2000\""), "{page}");
        assert!(!page.contains("id=\"step-1:L2001\""), "{page}");
        assert!(page.contains("Lines 2001 to 5001 are in <a"), "{page}");
        let (status, script) = w.get("/assets/log.js").await;
        assert_eq!(status, StatusCode::OK);
        assert!(
            !script.contains("innerHTML"),
            "text is never put in as HTML"
        );
    })
    .await;
}

#[tokio::test]
async fn a_red_check_leads_to_the_first_line_that_says_what_went_wrong() {
    world(async |w: &mut World| {
        let steps = "- name: lint\n  run: print fine\n- name: tests\n  run: exit 3\n";
        let main = built(w, steps).await;
        // This one says nothing.
        let page = format!("https://herald.test{JOB}");
        let summary = w.check(&main, "herald").summary;
        assert!(
            summary.contains(&format!("([log]({page}#tests))")),
            "{summary}"
        );
        assert!(w.get(JOB).await.1.contains("id=\"tests\""));
    })
    .await;
    world(async |w: &mut World| {
        let steps = "- name: tests\n  run: 'break going\\ngoing\\nerror: broken\\ngone'\n";
        let main = built(w, steps).await;
        let summary = w.check(&main, "herald").summary;
        let link = format!("([log, line 4](https://herald.test{JOB}#tests:L4))");
        assert!(summary.contains(&link), "{summary}");
        assert!(w.get(JOB).await.1.contains("id=\"tests:L4\""));
    })
    .await;
}

#[tokio::test]
async fn a_failed_test_leads_to_the_line_of_the_log_that_speaks_of_it() {
    world(async |w: &mut World| {
        let case = "<testcase classname='tests.test_sum' name='test_sum'><failure message='no'>\
                    tests/test_sum.py:1: E</failure></testcase>";
        *w.report.lock().unwrap() = Some(format!("<testsuite name='s'>{case}</testsuite>"));
        w.write("tests/test_sum.py", "assert 1 == 2\n");
        let log = "test_sum FAILED\\n\\n___ test_sum ___\\nassert";
        w.write(
            ".herald.yml",
            &format!(
                "execute:\n  - name: tests\n    run: 'print {log}'\nreports: {{tests: ['reports/*.xml']}}\n"
            ),
        );
        let main = w.commit("main");
        w.push("main", &main, &main).await;
        w.drain().await;
        let line = format!("{JOB}#tests:L4");
        let link = format!("[log](https://herald.test{line})");
        let check = w.check(&main, "herald");
        assert!(check.summary.contains(&link), "{}", check.summary);
        let message = &check.annotations[0]["message"];
        assert_eq!(*message, format!("no\n\nLog: https://herald.test{line}"));
        let build = "/repos/octo/project/builds/1";
        for page in [build.to_owned(), format!("{build}/tests")] {
            let page = w.get(&page).await.1;
            assert!(page.contains(&format!("<a href=\"{line}\">")), "{page}");
        }
        let job = w.get(JOB).await.1;
        assert!(job.contains("id=\"tests:L4\""), "{job}");
    })
    .await;
}
