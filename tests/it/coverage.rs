//! What a change does to coverage, and the conditions on it.

use herald::executor::Act;
use herald::protocol::CollectKind;

use crate::world::{World, world};

/// An LCOV record: `+` before a line is executed, `-` is not.
fn record(path: &str, lines: &str) -> String {
    let lines: String = lines
        .split_whitespace()
        .map(|line| {
            let (mark, number) = line.split_at(1);
            format!("DA:{number},{}\n", u8::from(mark == "+"))
        })
        .collect();
    format!("SF:{path}\n{lines}end_of_record\n")
}

/// What every job reports from now on.
fn leave(w: &World, records: &[(&str, &str)]) {
    w.leave_nothing();
    let text: String = records
        .iter()
        .map(|(path, lines)| record(path, lines))
        .collect();
    w.leave(Act::File {
        kind: CollectKind::Coverage,
        path: "coverage/lcov.info".to_owned(),
        bytes: text.into_bytes(),
    });
}

fn specification(gates: &str) -> String {
    format!(
        "execute: [exit 0]\nreports: {{coverage: ['coverage/lcov.info']}}\n\
         gates: {{coverage: {{{gates}}}}}\n"
    )
}

/// A file with so many lines, each different.
fn lines(count: usize) -> String {
    (1..=count).map(|line| format!("line {line}\n")).collect()
}

#[tokio::test]
async fn a_change_that_is_not_tested_fails_the_conditions_on_coverage() {
    world(async |w: &mut World| {
        let gates = specification("project: auto, patch: 80%");
        let gates = format!("{gates}publish: {{coverage_annotations: true}}\n");
        w.write(".herald.yml", &gates);
        w.write("shop.py", &lines(4));
        w.write("till.py", &lines(2));
        let main = w.commit("main");
        leave(w, &[("shop.py", "+1 +2 +3 +4"), ("till.py", "+1 +2")]);
        w.push("main", &main, &main).await;
        w.drain().await;
        let first = w.check(&main, "herald");
        assert_eq!(first.conclusion.as_deref(), Some("success"), "{first:#?}");

        w.write("shop.py", &format!("{}new\n\nnew\nnew\n", lines(4)));
        w.write("lost.py", "new\n");
        let head = w.commit("change");
        leave(
            w,
            &[("shop.py", "+1 +2 +3 +4 -5 -7 +8"), ("till.py", "+1 -2")],
        );
        w.pull("opened", &head, &main).await;
        w.drain().await;
        let check = w.check(&head, "herald");
        assert_eq!(check.conclusion.as_deref(), Some("failure"));
        assert_eq!(
            check.title,
            "66.66% of the lines are covered, the base (#1) has 100% in 0s"
        );
        for text in [
            "❌ 1 of 3 added lines covered (33.3%), at least 80% required",
            "| **Coverage** | 66.6% of lines (6 of 9), −33.33 against [#1](https://herald.test/repos/octo/project/builds/1) |",
            "| **Coverage of the change** | `███░░░░░░░` 33.3% (1 of 3 added lines) |",
            "| **Gate `coverage.patch`** | ❌ 1 of 3 added lines covered",
            "| `shop.py` | `███░░░░░░░` 1 of 3 | 71.4% (−28.57) | 5–7 |",
            "| `till.py` | none | 50% (−50) | not any more: 2 |",
            "In no coverage report: `lost.py`.",
        ] {
            assert!(check.summary.contains(text), "{text}\n{}", check.summary);
        }
        let places: Vec<_> = check
            .annotations
            .iter()
            .map(|one| {
                (
                    one["path"].as_str(),
                    one["start_line"].as_i64(),
                    one["end_line"].as_i64(),
                )
            })
            .collect();
        assert_eq!(places, [(Some("shop.py"), Some(5), Some(7))]);
        let (state, said) = w.status(&head, "herald/coverage");
        assert_eq!(state, "failure");
        assert!(
            said.starts_with("66.66% of the lines are covered"),
            "{said}"
        );
        assert_eq!(w.status(&head, "herald/build").0, "failure");
        let (comment, _) = w.next_comment();
        assert!(comment.contains("| `shop.py` | "), "{comment}");
        assert!(
            comment.contains("- ❌ 1 of 3 added lines covered"),
            "{comment}"
        );
        let page = w.get("/repos/octo/project/builds/2/coverage").await.1;
        assert!(page.contains("till.py"), "{page}");
        let answer = w.get("/api/v1/repos/octo/project/builds/2").await.1;
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["gates"][0]["name"], "coverage.project", "{answer}");
        assert_eq!(answer["gates"][0]["status"], "failure", "{answer}");
    })
    .await;
}

#[tokio::test]
async fn who_deletes_covered_code_is_not_punished() {
    world(async |w: &mut World| {
        w.write(".herald.yml", &specification("project: auto"));
        w.write("shop.py", &lines(10));
        let main = w.commit("main");
        leave(w, &[("shop.py", "+1 +2 +3 +4 +5 +6 +7 +8 -9 -10")]);
        w.push("main", &main, &main).await;
        w.drain().await;
        let kept: String = lines(10).split_inclusive('\n').skip(6).collect();
        w.write("shop.py", &kept);
        let head = w.commit("change");
        leave(w, &[("shop.py", "+1 +2 -3 -4")]);
        w.pull("opened", &head, &main).await;
        w.drain().await;
        let check = w.check(&head, "herald");
        assert_eq!(check.conclusion.as_deref(), Some("success"), "{}", check.summary);
        let text = "✅ 50% of the lines are covered, the base \
                    ([#1](https://herald.test/repos/octo/project/builds/1)) has 50% without the lines that are deleted";
        assert!(check.summary.contains(text), "{}", check.summary);
        assert_eq!(w.status(&head, "herald/coverage").0, "success");
        // Coverage has moved, so people are told.
        w.read_comments();
    })
    .await;
}

#[tokio::test]
async fn a_job_that_does_not_run_keeps_its_coverage() {
    world(async |w: &mut World| {
        w.write(
            ".herald.yml",
            "jobs:\n  api:\n    execute: [exit 0]\n  web:\n    when: {paths: ['web/**']}\n    execute: [exit 0]\n\
             gates: {coverage: {project: auto}}\n",
        );
        let empty = w.commit("main");
        w.write("web/page.js", &lines(2));
        w.write("api/shop.py", &lines(2));
        let main = w.commit("main");
        leave(w, &[("web/page.js", "+1 +2"), ("api/shop.py", "+1 +2")]);
        w.push("main", &empty, &main).await;
        w.drain().await;
        w.write("api/shop.py", &format!("{}more\n", lines(2)));
        let head = w.commit("change");
        leave(w, &[("api/shop.py", "+1 +2 +3")]);
        w.pull("opened", &head, &main).await;
        w.drain().await;
        let check = w.check(&head, "herald");
        assert_eq!(check.conclusion.as_deref(), Some("success"), "{}", check.summary);
        for text in [
            "100% of lines (5 of 5), ±0 against [#1]",
            "`web` did not run; its coverage is that of [#1]",
        ] {
            assert!(check.summary.contains(text), "{text}\n{}", check.summary);
        }
    })
    .await;
}

#[tokio::test]
async fn a_build_without_a_base_is_judged_by_what_there_is() {
    world(async |w: &mut World| {
        w.write(".herald.yml", &specification("project: auto, patch: 50%"));
        w.write("shop.py", &lines(2));
        let main = w.commit("main");
        leave(w, &[("shop.py", "+1 -2")]);
        w.push("main", &main, &main).await;
        w.drain().await;
        let check = w.check(&main, "herald");
        assert_eq!(
            check.conclusion.as_deref(),
            Some("success"),
            "{}",
            check.summary
        );
        let text = "❔ 50% of the lines are covered; there is no base to compare with";
        assert!(check.summary.contains(text), "{}", check.summary);
    })
    .await;
}

#[tokio::test]
async fn coverage_that_is_missing_does_not_pass_a_condition() {
    world(async |w: &mut World| {
        w.write(
            ".herald.yml",
            "execute: [exit 0]\ngates: {coverage: {project: 80%}}\n",
        );
        let main = w.commit("main");
        w.push("main", &main, &main).await;
        w.drain().await;
        let check = w.check(&main, "herald");
        assert_eq!(check.conclusion.as_deref(), Some("failure"));
        assert_eq!(check.title, "no report has coverage in 0s");
    })
    .await;
}

#[tokio::test]
async fn people_are_told_how_far_their_branch_is_behind() {
    world(async |w: &mut World| {
        w.write(".herald.yml", &specification("patch: 50%"));
        w.write("shop.py", &lines(2));
        let left = w.commit("main");
        w.write("shop.py", &format!("{}more\n", lines(2)));
        let head = w.commit("change");
        w.checkout(&left);
        w.write("README", "1\n");
        w.commit("main");
        w.write("README", "2\n");
        let tip = w.commit("main");
        leave(w, &[("shop.py", "+1 +2 -3")]);
        w.pull("opened", &head, &tip).await;
        w.drain().await;
        let (comment, _) = w.next_comment();
        assert!(comment.contains("2 commits behind main · "), "{comment}");
    })
    .await;
}

#[tokio::test]
async fn a_server_that_dies_before_it_judges_judges_when_it_comes_back() {
    world(async |w: &mut World| {
        w.write(".herald.yml", &specification("project: 80%"));
        w.write("shop.py", &lines(2));
        let main = w.commit("main");
        leave(w, &[("shop.py", "+1 -2")]);
        w.push("main", &main, &main).await;
        w.until_prepared().await;
        while w.waiting().await.jobs > 0 {
            assert!(herald::app::step(&w.app).await.unwrap(), "no job follows");
        }
        assert_eq!(w.check(&main, "herald").status, "in_progress");
        w.restart().await;
        w.drain().await;
        let check = w.check(&main, "herald");
        assert_eq!(check.conclusion.as_deref(), Some("failure"));
        assert!(
            check.title.starts_with("50% of the lines"),
            "{}",
            check.title
        );
    })
    .await;
}
