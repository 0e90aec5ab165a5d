//! What people see, as they see it.

use proptest::prelude::*;

use super::comment::comments;
use super::summary::{CheckSummary, Summary, fit};
use super::{AnnotationOptions, annotations, without_locals};
use super::{Links, announcement, badge_values, check_markdown, local_view, publications};
use crate::domain::{
    BadgeValue, BuildId, BuildView, CheckState, Conclusion, Content, Job, JobFailure, JobId,
    JobResult, Occasion, PatchCoverage, Preparation, Sha, State, StatusState, StepRecord,
    StepState, Target,
};
use crate::report::{Collector, Index, Limits, Outcome, Report};
use crate::spec::{JobSpecification, Problem, Severity};

fn links() -> Links {
    Links {
        github_url: "https://github.test".to_owned(),
        public_url: "https://herald.example".to_owned(),
        app_id: 7,
    }
}

fn report(xml: &str) -> Report {
    let mut collector = Collector::new(Limits::default());
    collector.read("reports/junit.xml", xml.as_bytes());
    let mut report = collector.finish();
    report.locate(&Index::new(["tests/test_shop.py".to_owned()]));
    report
}

fn job(key: &str, conclusion: Conclusion, title: &str, report: Report) -> Job {
    let failures = match conclusion {
        Conclusion::Failure => vec![JobFailure::Step {
            text: format!("step \"{key} it\" failed (exit 1)"),
        }],
        _ => Vec::new(),
    };
    let step = StepRecord {
        index: 0,
        phase: "execute".to_owned(),
        name: format!("{key} it"),
        state: if conclusion == Conclusion::Success {
            StepState::Passed
        } else {
            StepState::Failed
        },
        exit: None,
        code: None,
        started_ms: Some(0),
        duration_ms: Some(102_000),
        tolerated: false,
        trouble: (key == "build" && conclusion == Conclusion::Failure).then_some(120),
    };
    Job {
        id: JobId::from_stored(key),
        build: BuildId::from_stored("b"),
        key: key.to_owned(),
        name: key.to_owned(),
        position: 0,
        attempt: 1,
        state: State::Finished,
        conclusion: Some(conclusion),
        order: JobSpecification::default(),
        steps: vec![step],
        queued_ms: 0,
        started_ms: Some(0),
        finished_ms: Some(102_000),
        approval: None,
        result: Some(JobResult {
            conclusion,
            title: title.to_owned(),
            failures,
            notes: Vec::new(),
            duration_ms: 102_000,
            report,
            patch: None,
            in_diff: Vec::new(),
            insight: None,
            tolerated: Vec::new(),
            artifacts: Vec::new(),
        }),
    }
}

fn view(jobs: Vec<Job>) -> BuildView {
    let preparation = Preparation {
        path: Some(".herald.yml".to_owned()),
        declares_tests: true,
        declares_coverage: true,
        ..Preparation::default()
    };
    let mut view = local_view(jobs, preparation);
    view.repository.owner = "octo".to_owned();
    view.repository.name = "shop".to_owned();
    view.build.number = 12;
    view.build.commit = Sha::parse(&"1234abcd".repeat(5)).unwrap();
    view.pulls = vec![7];
    view
}

const TESTS: &str = r#"<testsuite name="pytest">
<testcase classname="tests.test_shop" name="test_total"><failure message="assert 2 == 3">tests/test_shop.py:12: AssertionError</failure></testcase>
<testcase classname="x" name="test_hostile_&lt;img src=x&gt; @org/team #12 https://evil.example | x"><failure message="closes #1&#10;second line">no place at all ``` fence</failure></testcase>
<testcase classname="x" name="test_setup"><error message="KeyError"/></testcase>
<testcase classname="x" name="test_till"><skipped message="not connected"/></testcase>
<testcase classname="x" name="test_good"/>
</testsuite>"#;

fn one(view: &BuildView, name: &str) -> Content {
    publications(&links(), view, &[])
        .into_iter()
        .find(|publication| match &publication.target {
            Target::Check { name: other, .. } | Target::Status { context: other } => other == name,
            Target::Comment { .. } => name == "comment",
            Target::Deployment { job, .. } => name == format!("deployment {job}"),
            Target::Promotion { .. } => name == "promotion",
        })
        .map_or_else(|| panic!("no publication {name}"), |found| found.content)
}

fn red() -> BuildView {
    let title = "2 failed, 1 error, 1 passed, 1 skipped in 1m 42s";
    view(vec![job(
        "build",
        Conclusion::Failure,
        title,
        report(TESTS),
    )])
}

#[test]
fn a_red_check_says_what_failed_and_where() {
    let Content::Check(check) = one(&red(), "herald") else {
        panic!("a check");
    };
    assert_eq!(check.state, CheckState::Completed(Conclusion::Failure));
    assert_eq!(
        check.title,
        "2 failed, 1 error, 1 passed, 1 skipped in 1m 42s"
    );
    assert_eq!(
        check.details_url,
        "https://herald.example/repos/octo/shop/builds/12"
    );
    let places: Vec<_> = check
        .annotations
        .iter()
        .map(|one| (one.path.as_str(), one.start_line, one.message.as_str()))
        .collect();
    assert_eq!(places, [("tests/test_shop.py", 12, "assert 2 == 3")]);
    insta::assert_snapshot!("red_check", check.summary);
}

#[test]
fn the_comment_is_worth_a_first_one_only_when_something_is_red() {
    let Content::Comment(comment) = one(&red(), "comment") else {
        panic!("a comment");
    };
    assert!(comment.worth_a_first);
    insta::assert_snapshot!("red_comment", comment.body);

    let green = view(vec![job(
        "build",
        Conclusion::Success,
        "1 passed in 4s",
        Report::default(),
    )]);
    let Content::Comment(comment) = one(&green, "comment") else {
        panic!("a comment");
    };
    assert!(!comment.worth_a_first);
}

#[test]
fn several_jobs_have_a_check_each_and_a_table() {
    let mut all = view(vec![
        job(
            "lint",
            Conclusion::Success,
            "1 step passed in 2s",
            Report::default(),
        ),
        job(
            "test",
            Conclusion::Failure,
            "1 failed in 1m 42s",
            report(TESTS),
        ),
    ]);
    all.build.plan.differs_from_base = true;
    let Content::Check(check) = one(&all, "herald") else {
        panic!("a check");
    };
    assert!(check.annotations.is_empty(), "the job's own check has them");
    insta::assert_snapshot!("two_jobs", check.summary);
    let Content::Check(check) = one(&all, "herald / test") else {
        panic!("a check");
    };
    assert_eq!(check.annotations.len(), 1);
    assert!(check.details_url.ends_with("/builds/12/jobs/test"));
}

#[test]
fn statuses_say_the_counts_and_end_always() {
    let red = red();
    let status = |view: &BuildView, name: &str| {
        let Content::Status(status) = one(view, name) else {
            panic!("a status");
        };
        (status.state, status.description)
    };
    assert_eq!(status(&red, "herald/tests").0, StatusState::Failure);
    assert_eq!(
        status(&red, "herald/tests").1,
        "2 failed, 1 error, 1 passed, 1 skipped"
    );
    assert_eq!(
        status(&red, "herald/coverage"),
        (StatusState::Failure, "no coverage report".to_owned())
    );
    let mut cancelled = view(vec![job(
        "build",
        Conclusion::Cancelled,
        "cancelled: superseded by 1234abc",
        Report::default(),
    )]);
    for name in ["herald/build", "herald/tests", "herald/coverage"] {
        let expected = "cancelled: superseded by 1234abc".to_owned();
        assert_eq!(status(&cancelled, name), (StatusState::Error, expected));
    }
    cancelled.build.plan.publish.statuses = false;
    assert!(
        publications(&links(), &cancelled, &[])
            .iter()
            .all(|one| !matches!(one.target, Target::Status { .. }))
    );
}

#[test]
fn a_bad_specification_is_an_error_and_marked_on_its_line() {
    let mut bad = view(Vec::new());
    bad.build.conclusion = Some(Conclusion::Failure);
    bad.build.plan.specification_failed = true;
    bad.build.plan.verdict = Some((".herald.yml:3: unknown key".into(), "Words.".into()));
    bad.build.plan.problems = vec![Problem {
        severity: Severity::Error,
        line: 3,
        column: 1,
        message: "unknown key `reprots`".to_owned(),
        hint: Some("did you mean `reports`?".to_owned()),
    }];
    let Content::Check(check) = one(&bad, "herald") else {
        panic!("a check");
    };
    assert_eq!(check.title, ".herald.yml:3: unknown key");
    let annotation = &check.annotations[0];
    assert_eq!(
        (annotation.path.as_str(), annotation.start_line),
        (".herald.yml", 3)
    );
    assert_eq!(
        annotation.message,
        "unknown key `reprots` (did you mean `reports`?)"
    );
    let Content::Status(status) = one(&bad, "herald/build") else {
        panic!("a status");
    };
    assert_eq!(status.state, StatusState::Error);
}

/// A report with this many failed tests, each with long details.
fn many(count: usize) -> Report {
    let cases: String = (0..count)
        .map(|number| {
            let details = "`@x` <b> ".repeat(400);
            format!(
                "<testcase classname='c' name='test_{number}'><failure message='m'>\
                 tests/test_shop.py:{}: E {}</failure></testcase>",
                number + 1,
                details.replace('<', "&lt;")
            )
        })
        .collect();
    report(&format!("<testsuite name='s'>{cases}</testsuite>"))
}

#[test]
fn thirteen_hundred_failures_are_a_thousand_annotations_and_a_word_on_the_rest() {
    let view = view(vec![job("build", Conclusion::Failure, "x", many(1_300))]);
    let Content::Check(check) = one(&view, "herald") else {
        panic!("a check");
    };
    assert_eq!(check.annotations.len(), 1_000);
    assert!(
        check
            .summary
            .contains("300 failed tests could not be annotated"),
        "{}",
        check.summary
    );
}

#[test]
fn a_summary_says_less_in_steps_until_it_fits() {
    let view = view(vec![job("build", Conclusion::Failure, "x", many(200))]);
    let report = view.report();
    let summary = CheckSummary {
        view: &view,
        job: None,
        report: &report,
        patch: None,
        unannotated: 0,
        url: "https://herald.example/x".to_owned(),
        page: "https://herald.example/x".to_owned(),
        lead: Vec::new(),
    };
    let mut last = usize::MAX;
    for level in 0..4 {
        let text = summary.render(level);
        assert!(text.len() < last, "level {level}");
        assert_eq!(fit(&summary, last - 1), text, "the most that fits");
        last = text.len();
        let fences = text.lines().filter(|line| line.starts_with("```")).count();
        assert_eq!(fences % 2, 0, "a fence is open at level {level}");
        assert_eq!(text.contains("Not all of it fits here"), level > 0);
    }
    assert!(last < 1_000, "{last}");
    let shortest = fit(&summary, 100);
    assert!(shortest.len() <= 100);
    assert!(shortest.contains("Not all of it fits here"), "{shortest}");
}

/// A text in which others wrote ends as it should: rows and entities whole, fences closed, and in
/// the end a word on what is not there.
fn assert_whole(text: &str, limit: usize) {
    assert!(text.len() <= limit, "{} of {limit}", text.len());
    let ticks = |line: &str| line.bytes().take_while(|byte| *byte == b'`').count();
    let mut fence = 0;
    for line in text.lines() {
        match (fence, ticks(line)) {
            (0, open) if open >= 3 => fence = open,
            (open, close) if open > 0 && close >= open => fence = 0,
            _ => {}
        }
        if fence == 0 && line.starts_with('|') {
            let bars = line.replace("\\|", "").matches('|').count();
            assert!(line.ends_with('|') && (3..=4).contains(&bars), "{line}");
        }
        for entity in line.split('&').skip(1).filter(|_| fence == 0) {
            let known = ["amp;", "lt;", "gt;", "#64;", "#35;", "#58;"];
            let whole = known.iter().any(|known| entity.starts_with(known));
            assert!(whole, "{line}");
        }
    }
    assert_eq!(fence, 0, "open: {text}");
    let last = text.lines().last().unwrap_or_default();
    assert!(last.contains("Not all of it fits here"), "{last}");
}

/// Jobs with such names, every third one red.
fn named(names: impl IntoIterator<Item = String>) -> BuildView {
    let jobs = names.into_iter().enumerate().map(|(at, name)| {
        let conclusion = if at % 3 == 2 {
            Conclusion::Failure
        } else {
            Conclusion::Success
        };
        let mut job = job(&format!("j.{at}"), conclusion, &name, Report::default());
        if let Some(result) = &mut job.result {
            result.notes = vec![name.clone()];
            for failure in &mut result.failures {
                *failure = JobFailure::Step { text: name.clone() };
            }
        }
        job.name = name;
        job
    });
    let mut view = view(jobs.collect());
    view.build.conclusion = Some(Conclusion::Failure);
    view
}

#[test]
fn of_thousands_of_jobs_the_red_ones_are_shown_and_the_rest_is_counted() {
    let hostile = "<img src=x> @org/team #12 | ``` `a` https://evil.example 😀 ".repeat(20);
    let view = named((0..5_000).map(|at| format!("{at} {hostile}")));
    let report = Report::default();
    let summary = CheckSummary {
        view: &view,
        job: None,
        report: &report,
        patch: None,
        unannotated: 0,
        url: "https://herald.example/x".to_owned(),
        page: "https://herald.example/x".to_owned(),
        lead: Vec::new(),
    };
    for limit in [60_000, 30_000, 10_000, 2_000, 500, 80] {
        let text = fit(&summary, limit);
        assert_whole(&text, limit);
        let rows = text.lines().filter(|line| line.starts_with("| ❌ ["));
        let green = text.matches("| ✅ [").count();
        let rows = rows.count();
        if limit >= 30_000 {
            assert_eq!(green, 0, "the red ones come first");
            assert!(rows >= 20, "{rows}");
            let more = format!("\n…and {} more jobs\n", 5_000 - rows);
            assert!(text.contains(&more), "{text}");
            assert!(text.contains(" more reasons\n"), "{text}");
            assert!(text.contains(" more remarks\n"), "{text}");
        }
    }
    let comment = comments(&links(), &view, &[]).remove(0).body;
    assert!(comment.starts_with("<!-- herald:7 -->\n### ❌ "));
    assert!(comment.contains(" more reasons\n"), "{comment}");
    assert!(comment.len() <= 30_000);
    insta::assert_snapshot!("many_jobs", fit(&summary, 4_000));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_the_names_are_nothing_is_cut_in_its_middle(
        names in prop::collection::vec("([`|&@#<\\\\]|\\PC){0,120}", 20..40),
        limit in 100_usize..2_500,
    ) {
        let view = named(names);
        let mut report = many(3);
        report.tests.truncate(3);
        let summary = CheckSummary {
            view: &view,
            job: None,
            report: &report,
            patch: None,
            unannotated: 0,
            url: "https://herald.example/x".to_owned(),
            page: "https://herald.example/x".to_owned(),
            lead: Vec::new(),
        };
        assert_whole(&fit(&summary, limit), limit);
    }
}

#[test]
fn failures_in_the_change_come_first_and_may_be_the_only_ones() {
    let report = many(3);
    let mine = report.tests[2].id.clone();
    let lines = |only| -> Vec<u32> {
        annotations(
            &report,
            AnnotationOptions {
                in_diff: std::slice::from_ref(&mine),
                only_in_diff: only,
                ..AnnotationOptions::default()
            },
        )
        .iter()
        .map(|one| one.start_line)
        .collect()
    };
    assert_eq!(lines(false), [3, 1, 2]);
    assert_eq!(lines(true), [3]);
}

#[test]
fn a_queued_build_shows_from_the_first_moment() {
    let commit = Sha::parse(&"a".repeat(40)).unwrap();
    let check = announcement(&links(), "octo", "shop", &commit);
    assert_eq!(check.state, CheckState::Queued);
    assert_eq!(check.details_url, "https://herald.example/repos/octo/shop");
}

#[test]
fn badges_are_silent_about_cancelled_builds() {
    let red = red();
    let values: Vec<_> = badge_values(&red, &red.report())
        .into_iter()
        .map(|value| {
            let BadgeValue {
                kind,
                job,
                message,
                color,
                label: _,
            } = value;
            format!("{kind} of {job:?}: {message}, {color}")
        })
        .collect();
    assert_eq!(
        values,
        [
            r#"build of "": failing, red"#,
            r#"tests of "": 1 passed, 3 failed, 1 skipped, red"#,
            r#"build of "build": failing, red"#,
            r#"tests of "build": 1 passed, 3 failed, 1 skipped, red"#,
        ]
    );
    let mut cancelled = red;
    cancelled.build.conclusion = Some(Conclusion::Cancelled);
    assert!(badge_values(&cancelled, &cancelled.report()).is_empty());
}

#[test]
fn coverage_of_the_change_is_told_beside_that_of_all() {
    let mut collector = Collector::new(Limits::default());
    let lcov = "SF:a.rs\nDA:1,1\nDA:2,0\nDA:3,1\nend_of_record\n";
    collector.read("lcov.info", lcov.as_bytes());
    let mut job = job("build", Conclusion::Success, "x", collector.finish());
    if let Some(result) = &mut job.result {
        result.patch = Some(PatchCoverage {
            covered: 1,
            total: 2,
            ..PatchCoverage::default()
        });
    }
    let (_, summary) = check_markdown(&view(vec![job]));
    assert!(
        summary.contains("| **Coverage** | 66.6% of lines (2 of 3) |"),
        "{summary}"
    );
    assert!(
        summary.contains("| **Coverage of the change** | `█████░░░░░` 50% (1 of 2 added lines) |"),
        "{summary}"
    );
}

#[test]
fn local_variables_of_a_traceback_are_hidden_unless_asked_for() {
    let details = "    def test():\n>       assert total == 3\nE       assert 2 == 3\n\n\
                   password   = 'hunter2'\ntotal      = 2\n\ntests/test_a.py:3: AssertionError\n";
    let hidden = without_locals(details, false);
    assert!(!hidden.contains("hunter2"), "{hidden}");
    assert!(hidden.contains("(local variables are hidden)"), "{hidden}");
    assert!(
        hidden.contains("tests/test_a.py:3: AssertionError"),
        "{hidden}"
    );
    assert_eq!(without_locals(details, true), details);
}

#[test]
fn the_fixture_has_what_the_tests_count_on() {
    let report = report(TESTS);
    let red = report.tests.iter().filter(|test| test.outcome.is_red());
    assert_eq!(red.count(), 3);
    assert_eq!(report.tests[4].outcome, Outcome::Passed);
    assert!(matches!(
        view(Vec::new()).build.occasion,
        Occasion::Push { .. }
    ));
}

#[test]
fn a_build_that_waits_tells_how_many_jobs_come_before_it() {
    let mut view = red();
    view.build.state = State::Queued;
    view.build.conclusion = None;
    let title = |view: &BuildView| match one(view, "herald") {
        Content::Check(check) => check.title,
        other => panic!("{other:?}"),
    };
    assert_eq!(title(&view), "Queued");
    view.ahead = 1;
    assert_eq!(title(&view), "Queued, 1 job ahead");
    view.ahead = 7;
    assert_eq!(title(&view), "Queued, 7 jobs ahead");
    view.build.state = State::Running;
    assert_eq!(title(&view), "Running");
}
