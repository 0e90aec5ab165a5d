//! GitHub's bad days and our own: every fault at every point of the life of a build, and seeded
//! sequences of events, faults and deaths. Whatever happens, in the end every check run is completed
//! once with the right conclusion, there is one comment, statuses are in order, and nothing was sent
//! before its time.

use std::collections::HashMap;

use herald::app::catch_up;
use herald::demo::{GitHub, What};
use herald::ports::store::Waiting;

use crate::serve::switch;
use crate::world::World;

const GREEN: &str = "execute: [fail 0, exit 0]\nreports: {tests: ['reports/*.xml']}\n";
const RED: &str = "execute: [fail 60, exit 3]\nreports: {tests: ['reports/*.xml']}\n";

/// What can go wrong with a request.
const FAULTS: [What; 13] = [
    What::Status(500),
    What::Status(502),
    What::Status(404),
    What::Status(401),
    What::Dropped,
    What::LostAnswer,
    What::Truncated,
    What::NotJson,
    What::Slow,
    What::Throttled(7),
    What::Throttled(90),
    What::Limited(403),
    What::Limited(429),
];

/// The requests in the life of a build.
const POINTS: [(&str, &str); 11] = [
    ("POST", "/access_tokens"),
    ("GET", ".git/info/refs"),
    ("POST", ".git/git-upload-pack"),
    ("POST", "/check-runs"),
    ("PATCH", "/check-runs/"),
    ("GET", "/check-runs"),
    ("POST", "/statuses/"),
    ("GET", "/statuses"),
    ("GET", "/comments"),
    ("POST", "/comments"),
    ("PATCH", "/comments/"),
];

/// The requests when somebody asks for something, and when Herald looks for what it missed.
const MORE_POINTS: [(&str, &str); 5] = [
    ("GET", "/permission"),
    ("GET", "/user/"),
    ("POST", "/reactions"),
    ("GET", "/app/hook/deliveries"),
    ("GET", "/pulls"),
];

/// Numbers from a seed (`SplitMix64`, by Guy Steele and others).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        usize::try_from(word % limit as u64).unwrap()
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// The file that failed tests are in.
fn tests(w: &World) {
    w.write("tests/test_many.py", &"line\n".repeat(60));
}

/// Works until nothing is left to do, now or later.
async fn settle(w: &World, told: &str) {
    for _ in 0..400 {
        w.drain().await;
        if w.waiting_ever().await == Waiting::default() {
            return;
        }
        w.pass(20);
    }
    panic!("{told}: {:?} is left", w.waiting_ever().await);
}

/// How many attempts the builds of each commit had, shown or not.
async fn attempts(w: &World) -> HashMap<String, usize> {
    let store = &w.app.parts.store;
    let project = store.repository("octo", "project").await.unwrap().unwrap();
    let builds = store.builds(&project.id, i64::MAX, 100).await.unwrap();
    let mut attempts = HashMap::new();
    for build in builds {
        *attempts.entry(build.commit.to_string()).or_default() += build.attempt as usize;
    }
    attempts
}

/// What holds in the end. `expected`: how the build of each commit is to end; `open`: the commit that
/// must have ended so, where others may have been cancelled.
async fn check_all(w: &World, expected: &HashMap<String, &str>, open: Option<&str>, told: &str) {
    let attempts = attempts(w).await;
    let state = w.state();
    assert!(state.too_early.is_empty(), "{told}: {:?}", state.too_early);
    for check in &state.checks {
        assert_eq!(check.status, "completed", "{told}: {check:#?}");
        let twins = state
            .checks
            .iter()
            .filter(|other| other.external_id == check.external_id && other.name == check.name);
        assert_eq!(twins.count(), 1, "{told}: doubled {check:#?}");
        let mut lines: Vec<_> = check
            .annotations
            .iter()
            .map(|one| one["start_line"].as_i64())
            .collect();
        let all = lines.len();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(
            lines.len(),
            all,
            "{told}: an annotation twice in {}",
            check.id
        );
    }
    for (commit, conclusion) in expected {
        let Some(newest) = state.checks_of(commit, "herald").last().copied() else {
            assert!(
                open != Some(commit.as_str()),
                "{told}: no check on {commit}"
            );
            continue;
        };
        let ended = newest.conclusion.as_deref().unwrap();
        let right = ended == *conclusion || (open != Some(commit.as_str()) && ended == "cancelled");
        assert!(right, "{told}: {ended}, not {conclusion}: {newest:#?}");
        if let Some(status) = state.status_of(commit, "herald/build") {
            let word = match ended {
                "cancelled" => "error",
                other => other,
            };
            assert_eq!(status.state, word, "{told}: {commit}");
        }
        // After a last word only a new attempt speaks of waiting again.
        let told_of: Vec<&str> = state
            .statuses
            .iter()
            .filter(|one| one.commit == *commit && one.context == "herald/build")
            .map(|one| one.state.as_str())
            .collect();
        let again = told_of
            .windows(2)
            .filter(|pair| pair[0] != "pending" && pair[1] == "pending");
        let attempts = attempts.get(commit).copied().unwrap_or(0);
        assert!(again.count() < attempts.max(1), "{told}: {told_of:?}");
        if ended == "failure" {
            assert_eq!(newest.annotations.len(), 60, "{told}: {}", newest.title);
        }
    }
    let ours = |body: &str| body.contains(&format!("<!-- herald:{} -->", GitHub::APP_ID));
    let comments = state.comments.iter().filter(|one| ours(&one.body)).count();
    assert!(comments <= 1, "{told}: {comments} comments");
    if open.is_some_and(|open| expected[open] == "failure") {
        assert_eq!(comments, 1, "{told}: no comment");
    }
}

/// Looks for what was missed, again until it was possible.
async fn look_for_more(w: &World, told: &str) {
    for _ in 0..20 {
        if catch_up(&w.app).await.is_ok() {
            return;
        }
        w.pass(20);
    }
    panic!("{told}: what was missed cannot be looked for");
}

/// One fault, at every point, twice in a row.
async fn everywhere(what: What) {
    for (method, path) in POINTS.into_iter().chain(MORE_POINTS) {
        let told = format!("{what:?} at {method} {path}");
        let mut w = World::new().await;
        tests(&w);
        let (main, head) = w.change(RED);
        w.fault(method, path, 0, 2, what);
        // Where one has to look first, there was doubt.
        if method == "GET" && path != ".git/info/refs" {
            w.fault("POST", path, 0, 1, What::LostAnswer);
        }
        w.pull("opened", &head, &main).await;
        settle(&w, &told).await;
        let again = w.commit("change");
        w.pull("synchronize", &again, &main).await;
        settle(&w, &told).await;
        w.comment(500, "/herald retry").await;
        settle(&w, &told).await;
        look_for_more(&w, &told).await;
        settle(&w, &told).await;
        assert!(w.state().faults[0].times < 2, "{told}: it never came");
        let expected = HashMap::from([(head, "failure"), (again.clone(), "failure")]);
        check_all(&w, &expected, Some(&again), &told).await;
        w.restart().await;
        settle(&w, &told).await;
        check_all(&w, &expected, Some(&again), &told).await;
    }
}

macro_rules! everywhere {
    ($($name:ident: $what:expr;)*) => {$(
        #[tokio::test]
        async fn $name() {
            everywhere($what).await;
        }
    )*};
}

everywhere! {
    an_error_of_githubs: What::Status(500);
    a_bad_gateway: What::Status(502);
    nothing_there_just_after_the_event: What::Status(404);
    a_token_that_has_ended: What::Status(401);
    a_connection_that_breaks_before_anything_is_done: What::Dropped;
    a_connection_that_breaks_when_all_is_done: What::LostAnswer;
    half_an_answer: What::Truncated;
    an_answer_by_somebody_else: What::NotJson;
    a_slow_answer: What::Slow;
    a_limit_with_a_time: What::Throttled(90);
    a_limit_without_a_time: What::Limited(403);
    too_many_requests: What::Limited(429);
}

#[tokio::test]
async fn tokens_that_live_two_seconds_and_clocks_that_are_off() {
    for (life_ms, skew) in [
        (2_000, 0),
        (3_600_000, 300),
        (3_600_000, -300),
        (2_000, 7_200),
    ] {
        let told = format!("tokens of {life_ms} ms, a clock {skew} s off");
        let w = World::new().await;
        w.state().token_life_ms = life_ms;
        w.github.skew(skew);
        tests(&w);
        let (main, head) = w.change(RED);
        w.pull("opened", &head, &main).await;
        settle(&w, &told).await;
        let expected = HashMap::from([(head.clone(), "failure")]);
        check_all(&w, &expected, Some(&head), &told).await;
    }
}

/// Works on until nothing is due, or dies when `death` comes. `false` when it did not come.
async fn die_when(w: &mut World, death: impl Future<Output = ()>) -> bool {
    let app = w.app.clone();
    let died = tokio::select! {
        biased;
        () = death => true,
        () = async { herald::app::drain(&app).await.unwrap() } => false,
    };
    // Its database file is let go with what was in the middle undone; a dead process does that too.
    w.app.parts.store.setting_or("died", "").await.unwrap();
    drop(app);
    w.restart().await;
    died
}

/// The story of a red build whose server dies once. `false` when it lived to the end.
async fn dies<D: Future<Output = ()>>(told: &str, death: impl FnOnce(&World) -> D) -> bool {
    let mut w = World::new().await;
    tests(&w);
    let (main, head) = w.change(RED);
    w.pull("opened", &head, &main).await;
    let death = death(&w);
    let died = die_when(&mut w, death).await;
    settle(&w, told).await;
    let expected = HashMap::from([(head.clone(), "failure")]);
    check_all(&w, &expected, Some(&head), told).await;
    died
}

#[tokio::test]
async fn a_server_that_dies_after_any_request_loses_and_doubles_nothing() {
    let mut requests = 1;
    while dies(&format!("dies after request {requests}"), |w| {
        let wanted = w.state().requests.len() + requests;
        let github = w.github.clone();
        async move { github.until(|state| state.requests.len() >= wanted).await }
    })
    .await
    {
        requests += 1;
    }
    assert!(requests > 10, "{requests}");
}

/// The state on disk is each second one that there ever is in the life of a build, from the first
/// or the second, and whoever wrote it was not told.
async fn dies_after_commits(first: u64) {
    let mut commits = first;
    while dies(&format!("dies after commit {commits}"), |w| {
        let mut counter = w.commits.clone();
        let wanted = *counter.borrow() + commits;
        async move {
            let reached = counter.wait_for(|count| *count >= wanted).await;
            reached.unwrap();
        }
    })
    .await
    {
        commits += 2;
    }
    assert!(commits > 20, "{commits}");
}

#[tokio::test]
async fn a_server_that_dies_after_any_odd_commit_loses_and_doubles_nothing() {
    dies_after_commits(1).await;
}

#[tokio::test]
async fn a_server_that_dies_after_any_even_commit_loses_and_doubles_nothing() {
    dies_after_commits(2).await;
}

/// Does one piece of work, or dies in the middle of it: after some of its requests, before their
/// answers are taken in. `false` when nothing was due.
async fn step_or_die(w: &mut World, numbers: &mut Numbers, lives: &mut usize) -> bool {
    if *lives == 0 || numbers.below(4) > 0 {
        return herald::app::step(&w.app).await.unwrap();
    }
    *lives -= 1;
    let begun = w.state().requests.len();
    let wanted = begun + 1 + numbers.below(3);
    let (github, app) = (w.github.clone(), w.app.clone());
    let (cut_off, went_on) = tokio::select! {
        biased;
        () = github.until(|state| state.requests.len() >= wanted) => (true, true),
        done = herald::app::step(&app) => (false, done.unwrap()),
    };
    if cut_off {
        let mut state = w.state();
        let mut answers = state.requests.iter().skip(begun);
        if answers.any(|request| matches!(request.status, 403 | 429)) {
            state.forget_limit();
        }
    }
    // Its database file is let go with what was in the middle undone; a dead process does that too.
    w.app.parts.store.setting_or("died", "").await.unwrap();
    drop(app);
    w.restart().await;
    went_on
}

/// A story that the seed tells.
async fn story(seed: u64) {
    let mut numbers = Numbers(seed);
    let mut w = World::new().await;
    tests(&w);
    if numbers.below(4) == 0 {
        w.state().token_life_ms = 2_000;
    }
    w.github.skew(numbers.one(&[0, 0, 0, 300, -300]));
    let (main, first) = w.change(numbers.one(&[GREEN, RED]));
    let mut told = format!("seed {seed}:");
    let mut expected = HashMap::new();
    let (mut head, mut open) = (first, false);
    // The third time that a worker goes away the job is given up.
    let mut lives = 2;
    for number in 0..(2 + numbers.below(4)) {
        for _ in 0..numbers.below(3) {
            let (what, (method, path)) = (numbers.one(&FAULTS), numbers.one(&POINTS));
            let (after, times) = (numbers.below(3), 1 + numbers.below(2));
            told += &format!(" [{what:?} at {method} {path} after {after}, {times} times]");
            w.fault(method, path, after, times, what);
        }
        let what = if open { numbers.below(6) } else { 0 };
        match what {
            0..=2 => {
                let red = numbers.below(2) == 0;
                w.write(".herald.yml", if red { RED } else { GREEN });
                w.write("number", &number.to_string());
                head = w.commit("change");
                lives = 2;
                expected.insert(head.clone(), if red { "failure" } else { "success" });
                let action = if open { "synchronize" } else { "reopened" };
                told += &format!(" {action} {} {}", &head[..7], expected[&head]);
                w.pull(action, &head, &main).await;
                open = true;
            }
            3 => {
                told += " closed";
                w.pull("closed", &head, &main).await;
                open = false;
            }
            4 => {
                told += " rerequested";
                let again = w.github.rerequested(&w.project, &head, None);
                w.deliver("check_suite", &again).await;
            }
            _ => {
                told += " retry";
                w.comment(500, "/herald retry").await;
            }
        }
        for _ in 0..numbers.below(40) {
            if !step_or_die(&mut w, &mut numbers, &mut lives).await {
                w.pass(1 + i64::try_from(numbers.below(30)).unwrap());
            }
        }
    }
    w.state().faults.clear();
    settle(&w, &told).await;
    check_all(&w, &expected, open.then_some(head.as_str()), &told).await;
}

/// How many stories each of the tests below tells.
fn stories() -> u64 {
    switch("HERALD_TEST_LONG").map_or(10, |_| 100)
}

async fn told_by(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        story(seed).await;
    }
}

#[tokio::test]
async fn whatever_the_sequence_is_all_is_well_in_the_end_1() {
    told_by(0..stories()).await;
}

#[tokio::test]
async fn whatever_the_sequence_is_all_is_well_in_the_end_2() {
    told_by(1_000..1_000 + stories()).await;
}

#[tokio::test]
async fn whatever_the_sequence_is_all_is_well_in_the_end_3() {
    told_by(2_000..2_000 + stories()).await;
}

#[tokio::test]
async fn whatever_the_sequence_is_all_is_well_in_the_end_4() {
    told_by(3_000..3_000 + stories()).await;
}

/// One story again, by its seed: `HERALD_TEST_SEED=3042`.
#[tokio::test]
async fn the_story_of_a_seed() {
    // This one once showed the check run of a former attempt as the newest.
    let seed = switch("HERALD_TEST_SEED").map_or(3042, |seed| seed.parse().unwrap());
    story(seed).await;
}
