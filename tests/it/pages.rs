//! What pages say of builds over time, of tests and of coverage.

use herald::executor::Act;

use crate::world::{World, world};

fn report(failed: usize) -> String {
    let bad: String = (0..failed)
        .map(|at| {
            format!(
                "<testcase classname='t' name='bad{at}'><failure message='no &lt;b&gt;'>\
                 tests/test_a.py:3: E</failure></testcase>"
            )
        })
        .collect();
    format!("<testsuite name='s'><testcase classname='t' name='good'/>{bad}</testsuite>")
}

const SPECIFICATION: &str = "
jobs:
  test: {execute: [exit 0], reports: {tests: ['reports/*.xml']}}
  deploy: {needs: [test], execute: [exit 0], reports: {tests: ['reports/*.xml']}}
";

/// Pushes to `main` with a report of this many failures.
async fn push(w: &mut World, failed: usize) {
    *w.report.lock().unwrap() = Some(report(failed));
    w.write(
        "tests/test_a.py",
        "one\ntwo\nassert <three>\nfour\nfive\nsix\n",
    );
    w.write("n", &uuid::Uuid::new_v4().to_string());
    w.write(".herald.yml", SPECIFICATION);
    let head = w.commit("main");
    w.push("main", &head, &head).await;
    w.drain().await;
}

#[tokio::test]
async fn the_page_of_a_repository_shows_trends_and_leads_on_to_older_builds() {
    world(async |w: &mut World| {
        push(w, 0).await;
        let page = w.get("/repos/octo/project").await.1;
        assert!(!page.contains("<polyline"), "one build is no trend");
        push(w, 2).await;
        let page = w.get("/repos/octo/project").await.1;
        assert!(
            page.contains("Tests over the last 2 builds: least 1 passed, most 1 passed, 2 failed"),
            "{page}"
        );
        let older = w.get("/repos/octo/project?before=2").await.1;
        assert!(older.contains("builds/1\""), "{older}");
        assert!(!older.contains("builds/2\""), "{older}");
        let tests = w.get("/repos/octo/project/tests").await;
        assert_eq!(tests.0, 200);
    })
    .await;
}

#[tokio::test]
async fn branches_have_their_own_builds_and_trends() {
    world(async |w: &mut World| {
        push(w, 0).await;
        let page = w.get("/repos/octo/project").await.1;
        assert!(!page.contains("<summary>Branches"), "there is one: {page}");
        *w.report.lock().unwrap() = Some(report(1));
        let branch = "fix/<b>&+x";
        let every = format!("when: {{events: [push], branches: ['**']}}\n{SPECIFICATION}");
        w.write(".herald.yml", &every);
        let head = w.commit("fix");
        w.push(branch, &head, &head).await;
        w.drain().await;
        let page = w.get("/repos/octo/project").await.1;
        let address = "?branch=fix/%3Cb%3E%26%2Bx";
        assert!(page.contains(&format!("href=\"{address}\"")), "{page}");
        assert!(page.contains("fix/&#60;b&#62;&#38;+x</a>"), "{page}");
        let page = w.get(&format!("/repos/octo/project{address}")).await.1;
        assert!(page.contains("<b>#2</b>"), "{page}");
        assert!(!page.contains("<b>#1</b>"), "{page}");
        let page = w.get("/repos/octo/project?branch=main").await.1;
        assert!(!page.contains("<b>#2</b>"), "{page}");
        let older = w
            .get(&format!("/repos/octo/project{address}&before=2"))
            .await
            .1;
        assert!(older.contains("No push to this branch"), "{older}");
    })
    .await;
}

#[tokio::test]
async fn the_overview_says_how_the_default_branches_are_and_finds_by_name() {
    world(async |w: &mut World| {
        push(w, 1).await;
        let overview = w.get("/").await.1;
        assert!(
            overview.contains("/repos/octo/project/builds/1\"><span class=\"mark bad\">"),
            "{overview}"
        );
        for (words, there) in [
            ("OCTO/PRO", true),
            ("o_to", false),
            ("%25", false),
            ("nothing", false),
        ] {
            let page = w.get(&format!("/?q={words}")).await.1;
            assert_eq!(
                page.contains("href=\"/repos/octo/project\""),
                there,
                "{words}: {page}"
            );
        }
        let after = w.get("/?after=octo%2Fproject").await.1;
        assert!(!after.contains("href=\"/repos/octo/project\""), "{after}");
    })
    .await;
}

#[tokio::test]
async fn failures_come_first_with_the_lines_around_them_and_can_be_searched() {
    world(async |w: &mut World| {
        push(w, 2).await;
        let build = "/repos/octo/project/builds/1";
        let page = w.get(build).await.1;
        for text in [
            "bad0",
            "no &#60;b&#62;",
            "assert &#60;three&#62;",
            "builds/1/jobs/deploy",
        ] {
            assert!(page.contains(text), "{text}: {page}");
        }
        assert!(!page.contains("<b>good"), "what passed is on its own page");
        assert!(page.contains("class=\"graph\""), "{page}");
        let tests = w.get(&format!("{build}/tests")).await.1;
        let at = |name: &str| tests.find(&format!("<b>{name}</b>")).unwrap();
        assert!(at("bad0") < at("good"));
        let some = w.get(&format!("{build}/tests?q=BAD1")).await.1;
        assert!(some.contains("<b>bad1</b>") && !some.contains("<b>bad0</b>"));
        let some = w.get(&format!("{build}/tests?outcome=passed")).await.1;
        assert!(some.contains("<b>good</b>") && !some.contains("<b>bad0</b>"));
        let none = w.get(&format!("{build}/tests?q=%3Cscript%3E")).await.1;
        assert!(none.contains("No test has"), "{none}");
        assert!(!none.contains("<script>"), "{none}");
    })
    .await;
}

#[tokio::test]
async fn lines_of_the_change_that_no_test_reached_are_shown() {
    world(async |w: &mut World| {
        w.leave(Act::File {
            kind: herald::protocol::CollectKind::Coverage,
            path: "lcov.info".to_owned(),
            bytes: b"SF:a.rs\nDA:1,1\nDA:2,0\nDA:3,0\nDA:4,1\nend_of_record\n".to_vec(),
        });
        w.write("a.rs", "one\n");
        w.write(
            ".herald.yml",
            "execute: [exit 0]\nreports: {coverage: [lcov.info]}\n",
        );
        let main = w.commit("main");
        w.write("a.rs", "one\ntwo\nthree & <four>\nfour\n");
        let head = w.commit("change");
        w.pull("opened", &head, &main).await;
        w.drain().await;
        let page = w.get("/repos/octo/project/builds/1/coverage").await.1;
        assert!(
            page.contains("of those that the change adds, 1 of 3"),
            "{page}"
        );
        assert!(page.contains("three &#38; &#60;four&#62;"), "{page}");
        assert!(page.contains("2–3"), "{page}");
        let none = w.get("/repos/octo/project/coverage").await;
        assert_eq!(none.0, 303, "nothing was built of main");
        if w.state().comments.len() == 1 {
            w.next_comment();
        }
    })
    .await;
}

#[tokio::test]
async fn a_build_says_how_far_it_is() {
    world(async |w: &mut World| {
        push(w, 0).await;
        w.write(".herald.yml", "execute: [hold]\n");
        let head = w.commit("main");
        w.push("main", &head, &head).await;
        w.until_queued(|_| {}).await;
        let build = "/repos/octo/project/builds/2";
        let page = w.get(build).await.1;
        assert!(page.contains("It begins as soon as"), "{page}");
        let look = async {
            loop {
                let page = w.get(build).await.1;
                if page.contains("Running for") && page.contains("at “hold”") {
                    assert!(page.contains("it usually takes"), "{page}");
                    break;
                }
                tokio::task::yield_now().await;
            }
            w.executor.release();
        };
        tokio::join!(look, w.drain());
        let page = w.get(build).await.1;
        assert!(!page.contains("Running for"), "{page}");
    })
    .await;
}

#[tokio::test]
async fn the_page_of_a_build_leads_to_artifacts_and_to_attempts_that_are_past() {
    world(async |w: &mut World| {
        w.leave(Act::File {
            kind: herald::protocol::CollectKind::Artifact,
            path: "out/a & b.txt".to_owned(),
            bytes: b"kept".to_vec(),
        });
        let (main, _) = w.change("execute: [print first]\nartifacts: ['out/**']\n");
        w.push("main", &main, &main).await;
        w.drain().await;
        let build = "/repos/octo/project/builds/1";
        let page = w.get(build).await.1;
        let artifact = format!("{build}/jobs/build/artifacts/out/a%20%26%20b.txt");
        assert!(page.contains(&format!("href=\"{artifact}\"")), "{page}");
        assert!(!page.contains("Earlier attempts"), "{page}");
        let again = w.github.rerequested(&w.project, &main, None);
        w.deliver("check_suite", &again).await;
        w.drain().await;
        let page = w.get(build).await.1;
        assert!(page.contains("<b>Attempt 1</b>"), "{page}");
        let log = format!("{build}/jobs/build/log.txt");
        assert!(
            page.contains(&format!("href=\"{log}?attempt=1\"")),
            "{page}"
        );
        let first = w.get(&format!("{log}?attempt=1")).await;
        assert_eq!((first.0.as_u16(), first.1.contains("first")), (200, true));
        for none in [0, 3] {
            let answer = w.get(&format!("{log}?attempt={none}")).await;
            assert_eq!(answer.0, 404, "{none}");
        }
    })
    .await;
}
