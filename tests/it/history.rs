//! What a failure is, by what the tests of its job did before.

use tokio_util::sync::CancellationToken;

use crate::world::{World, world};

/// A report with these tests; `-` before a name fails, on line 2 of `tests/test_sum.py`.
fn report(tests: &str) -> String {
    let cases: String = tests
        .split_whitespace()
        .map(|test| match test.strip_prefix('-') {
            Some(name) => format!(
                "<testcase classname='t' name='{name}'><failure message='no {name}'>\
                 tests/test_{name}.py:2: E</failure></testcase>"
            ),
            None => format!("<testcase classname='t' name='{test}'/>"),
        })
        .collect();
    format!("<testsuite name='s'>{cases}</testsuite>")
}

/// What the next job leaves.
fn leave(w: &World, tests: &str) {
    *w.report.lock().unwrap() = Some(report(tests));
}

const SPECIFICATION: &str = "execute: [exit 0]\nreports: {tests: ['reports/*.xml']}\n";

#[tokio::test]
async fn what_is_new_what_fails_on_the_base_and_what_is_flaky_is_told_apart() {
    world(async |w: &mut World| {
        for name in ["mine", "old", "shaky"] {
            w.write(&format!("tests/test_{name}.py"), "one\ntwo\n");
        }
        w.write(".herald.yml", SPECIFICATION);
        let main = w.commit("main");
        leave(w, "mine -old -shaky");
        w.push("main", &main, &main).await;
        w.drain().await;
        // The first build has nothing to be compared with, and guesses nothing.
        let first = w.check(&main, "herald").summary;
        assert!(first.contains("not seen failing before"), "{first}");
        assert!(!first.contains("probably"), "{first}");
        // The same commit again, and one of them passes.
        leave(w, "mine -old shaky");
        let again = w.github.rerequested(&w.project, &main, None);
        w.deliver("check_suite", &again).await;
        w.drain().await;

        leave(w, "-mine -old -shaky -fresh");
        w.write("tests/test_mine.py", "one\nother\n");
        let head = w.commit("change");
        w.pull("opened", &head, &main).await;
        w.drain().await;
        let summary = w.check(&head, "herald").summary;
        let headline = "4 tests failed, 2 are probably yours: 2 new in this change, \
                        1 also failing on the base, 1 known to be flaky.";
        assert!(summary.starts_with(&format!("**{headline}**")), "{summary}");
        let at = |text: &str| {
            let found = summary.find(text);
            found.unwrap_or_else(|| panic!("{text}: {summary}"))
        };
        assert!(at("❌ mine") < at("❌ old") && at("❌ fresh") < at("❌ old"));
        assert!(at("❌ old") < at("❌ shaky"));
        at("**also fails on the base, since build [#1](https://herald.test/repos/octo/project/builds/1)**");
        at("**flaky: failed in 2 of 3 runs, since ");
        at("| **Against** | [#1](https://herald.test/repos/octo/project/builds/1): 1 added |");
        let comment = w.state().comments[0].body.clone();
        assert!(comment.contains(headline), "{comment}");
        assert!(
            comment.contains("| mine | new in this change |"),
            "{comment}"
        );
        let page = w.get("/repos/octo/project/builds/2").await.1;
        assert!(page.contains(headline), "{page}");
        assert!(
            page.contains("also fails on the base, since build #1</p>"),
            "{page}"
        );
        w.read_comments();
    })
    .await;
}

#[tokio::test]
async fn what_a_change_fixes_is_said_also_when_all_is_green() {
    world(async |w: &mut World| {
        w.write(".herald.yml", SPECIFICATION);
        let main = w.commit("main");
        leave(w, "a -b");
        w.push("main", &main, &main).await;
        w.drain().await;
        leave(w, "a b c");
        w.write("tests/test_b.py", "mended\n");
        let head = w.commit("change");
        w.pull("opened", &head, &main).await;
        w.drain().await;
        let check = w.check(&head, "herald");
        assert_eq!(check.conclusion.as_deref(), Some("success"));
        let text = "| **Against** | [#1](https://herald.test/repos/octo/project/builds/1): 1 fixed, 1 added |";
        assert!(check.summary.contains(text), "{}", check.summary);
        let page = w.get("/repos/octo/project/builds/2").await.1;
        assert!(page.contains("#1</a>: 1 fixed, 1 added"), "{page}");
        let page = w.get("/repos/octo/project/builds/2/tests").await.1;
        assert!(page.contains("fixed here: it failed on the base"), "{page}");
        assert_eq!(w.state().comments.len(), 1, "a test is fixed");
        let comment = w.state().comments[0].body.clone();
        assert!(comment.contains("**Fixed:** b"), "{comment}");
        w.read_comments();
    })
    .await;
}

#[tokio::test]
async fn a_job_is_compared_with_the_nearest_commit_that_was_built() {
    world(async |w: &mut World| {
        w.write(".herald.yml", SPECIFICATION);
        let first = w.commit("main");
        leave(w, "-a b");
        w.push("main", &first, &first).await;
        w.drain().await;
        // Nobody has built this one.
        w.write("README", "more\n");
        let second = w.commit("main");
        leave(w, "-a b");
        w.write("README", "even more\n");
        let head = w.commit("change");
        w.pull("opened", &head, &second).await;
        w.drain().await;
        let summary = w.check(&head, "herald").summary;
        let headline = "1 test failed, none is likely yours: 1 also failing on the base.";
        assert!(summary.contains(headline), "{summary}");
        w.read_comments();
    })
    .await;
}

#[tokio::test]
async fn what_is_older_than_it_is_kept_is_forgotten() {
    world(async |w: &mut World| {
        w.write(".herald.yml", SPECIFICATION);
        let main = w.commit("main");
        leave(w, "a b");
        w.push("main", &main, &main).await;
        w.drain().await;
        let stop = CancellationToken::new();
        let days = |days: i64| days * 86_400;
        w.pass(days(399));
        assert_eq!(w.app.drop_old_history(&stop).await.unwrap(), 0);
        leave(w, "b c");
        w.write("README", "more\n");
        let next = w.commit("main");
        w.push("main", &main, &next).await;
        w.drain().await;
        w.pass(days(2));
        assert_eq!(
            w.app.drop_old_history(&stop).await.unwrap(),
            1,
            "the attempt"
        );
        w.pass(days(30));
        assert_eq!(w.app.drop_old_history(&stop).await.unwrap(), 1, "test a");
        w.pass(days(400));
        let stopped = CancellationToken::new();
        stopped.cancel();
        assert_eq!(w.app.drop_old_history(&stopped).await.unwrap(), 0);
        assert_eq!(w.app.drop_old_history(&stop).await.unwrap(), 3, "all of it");
    })
    .await;
}
