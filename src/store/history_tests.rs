//! The contract of the history of tests, on SQLite and, where `HERALD_TEST_POSTGRES` names a server, on PostgreSQL.

use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, Connection};

use super::SqlStore;
use super::schema::migrator;
use super::tests::{on_both, repository};
use crate::domain::RepositoryId;
use crate::domain::history::{Attempted, KnownTest, Packed, Run, TestName, pack};
use crate::ports::TestHistory;
use crate::ports::history::Back;
use crate::report::Outcome;

const DAY_MS: i64 = 86_400_000;

fn name(id: &str) -> TestName {
    TestName {
        id: id.to_owned(),
        suite: "suite".to_owned(),
        class: "class".to_owned(),
        name: format!("name of {id}"),
    }
}

fn names(ids: &[&str]) -> Vec<TestName> {
    ids.iter().map(|id| name(id)).collect()
}

fn attempted(build: i64, attempt: u32, at_ms: i64) -> Attempted {
    Attempted {
        build,
        attempt,
        commit: format!("commit{build}"),
        tested: format!("tested{build}"),
        at_ms,
        runs: vec![Run {
            test: 2,
            outcome: Outcome::Failed,
            flaky: false,
            seconds: None,
        }],
    }
}

fn packed(one: Attempted) -> Packed {
    Packed {
        bytes: pack(&one.runs),
        build: one.build,
        attempt: one.attempt,
        commit: one.commit,
        tested: one.tested,
        at_ms: one.at_ms,
    }
}

async fn numbers(store: &SqlStore, ids: &[&str], now_ms: i64) -> Vec<u32> {
    let (id, names) = (repository().id, names(ids));
    let numbers = store.test_numbers(&id, &names, now_ms);
    numbers.await.unwrap()
}

async fn known(store: &SqlStore, ids: &[&str]) -> Vec<KnownTest> {
    let known = store.known_tests(&repository().id, ids).await;
    let mut known = known.unwrap();
    known.sort_by_key(|test| test.number);
    known
}

#[tokio::test]
async fn tests_keep_their_numbers_and_attempts_come_back_the_newest_first() {
    on_both(async |store| {
        let id = repository().id;
        assert_eq!(numbers(store, &["a", "b"], 0).await, [1, 2]);
        assert_eq!(numbers(store, &["c", "b", "c", "a"], 0).await, [3, 2, 3, 1]);
        let other = RepositoryId::new("github.com", 2);
        let others = store.test_numbers(&other, &names(&["b"]), 0).await;
        assert_eq!(others.unwrap(), [1]);
        let many: Vec<String> = (0..1_200).map(|at| format!("{at}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let many = numbers(store, &many, 0).await;
        assert_eq!((many[0], many[1_199]), (4, 1_203));

        for (build, attempt) in [(1, 1), (10, 1), (2, 1), (2, 2)] {
            let one = attempted(build, attempt, 5);
            store.keep_attempt(&id, "test", one).await.unwrap();
        }
        // Said once more, it is the same one.
        let again = attempted(2, 2, 6);
        store.keep_attempt(&id, "test", again).await.unwrap();
        let past = store.past_attempts(&id, "test", 3).await.unwrap();
        let wanted = [attempted(10, 1, 5), attempted(2, 2, 6), attempted(2, 1, 5)];
        assert_eq!(past, wanted);
        let none = store.past_attempts(&id, "lint", 3).await.unwrap();
        assert!(none.is_empty());
    })
    .await;
}

#[tokio::test]
async fn attempts_are_looked_back_at_from_a_build_and_up_to_so_many_bytes() {
    on_both(async |store| {
        let id = repository().id;
        for build in 1..=5 {
            let one = attempted(build, 1, build);
            store.keep_attempt(&id, "test", one).await.unwrap();
        }
        let builds = async |before, attempts, bytes| {
            let back = Back {
                job: "test",
                before,
                attempts,
                bytes,
            };
            let found = store.packed_attempts(&id, back).await.unwrap();
            let first = found.first().cloned();
            let builds: Vec<i64> = found.iter().map(|one| one.build).collect();
            (builds, first)
        };
        let (all, first) = builds(i64::MAX, 9, usize::MAX).await;
        assert_eq!(all, [5, 4, 3, 2, 1]);
        assert_eq!(first.unwrap(), packed(attempted(5, 1, 5)));
        assert_eq!(builds(3, 9, usize::MAX).await.0, [2, 1]);
        assert_eq!(builds(5, 2, usize::MAX).await.0, [4, 3]);
        let each = pack(&attempted(1, 1, 1).runs).len();
        assert_eq!(builds(5, 9, each + 1).await.0, [4, 3]);
    })
    .await;
}

#[tokio::test]
async fn the_jobs_of_a_repository_are_listed_once_each() {
    on_both(async |store| {
        let id = repository().id;
        assert!(store.jobs_with_tests(&id, 9).await.unwrap().is_empty());
        for (at, job) in ["test (3.11)", "lint", "test", "lint"].iter().enumerate() {
            let one = attempted(i64::try_from(at).unwrap(), 1, 5);
            store.keep_attempt(&id, job, one).await.unwrap();
        }
        let other = RepositoryId::new("github.com", 2);
        let one = attempted(1, 1, 5);
        store.keep_attempt(&other, "other", one).await.unwrap();
        let jobs = store.jobs_with_tests(&id, 9).await.unwrap();
        assert_eq!(jobs, ["lint", "test", "test (3.11)"]);
        assert_eq!(store.jobs_with_tests(&id, 2).await.unwrap().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn tests_are_known_by_the_names_under_which_they_were_last_seen() {
    on_both(async |store| {
        let id = repository().id;
        numbers(store, &["a", "b"], 0).await;
        assert!(known(store, &["none"]).await.is_empty());
        let both = known(store, &["a", "b", "none"]).await;
        let wanted = ["a", "b"].map(name);
        let shown: Vec<&TestName> = both.iter().map(|test| &test.name).collect();
        assert_eq!(shown, [&wanted[0], &wanted[1]]);
        let by_number = store.tests_of_numbers(&id, &[2, 7]).await.unwrap();
        assert_eq!(by_number, both[1..]);

        // Kept otherwise by another version.
        let mut other = name("b");
        other.class = "another".to_owned();
        let seen = [name("c"), other.clone()];
        let again = store.test_numbers(&id, &seen, 31 * DAY_MS).await.unwrap();
        assert_eq!(again, [3, 2]);
        assert_eq!(known(store, &["b"]).await[0].name, other);
    })
    .await;
}

#[tokio::test]
async fn what_is_known_of_a_test_is_not_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqlStore::sqlite(&dir.path().join("herald.db")).await;
    let store = store.unwrap();
    let commits = store.database.commits.clone();
    let count = || *commits.borrow();
    numbers(&store, &["a", "b"], 0).await;
    let before = count();
    assert_eq!(numbers(&store, &["b", "a"], 29 * DAY_MS).await, [2, 1]);
    assert_eq!(count(), before);
    assert_eq!(numbers(&store, &["b", "a"], 31 * DAY_MS).await, [2, 1]);
    assert_eq!(count(), before + 1);
    assert_eq!(numbers(&store, &["b", "a"], 60 * DAY_MS).await, [2, 1]);
    assert_eq!(count(), before + 1);
}

/// Drops all that is older, a few at once, and says in how many steps.
async fn drop_before(store: &SqlStore, before_ms: i64, limit: i64) -> Vec<u64> {
    let mut steps = Vec::new();
    loop {
        let dropped = store.drop_history(before_ms, limit).await.unwrap();
        if dropped == 0 {
            return steps;
        }
        steps.push(dropped);
    }
}

#[tokio::test]
async fn old_attempts_go_in_small_steps_and_then_the_tests_that_are_in_none() {
    on_both(async |store| {
        let id = repository().id;
        numbers(store, &["old", "both"], 0).await;
        for build in 1..=5 {
            let one = attempted(build, 1, build);
            store.keep_attempt(&id, "test", one).await.unwrap();
        }
        numbers(store, &["both", "young"], 300 * DAY_MS).await;
        for (build, job) in [(6, "test"), (6, "lint")] {
            let one = attempted(build, 1, 300 * DAY_MS);
            store.keep_attempt(&id, job, one).await.unwrap();
        }
        assert!(drop_before(store, 1, 2).await.is_empty());
        // The test could have been in an attempt of the month after it was noted down.
        assert_eq!(drop_before(store, 29 * DAY_MS, 2).await, [2, 2, 1]);
        assert_eq!(known(store, &["old", "both", "young"]).await.len(), 3);
        assert_eq!(drop_before(store, 100 * DAY_MS, 2).await, [1]);
        let left = known(store, &["old", "both", "young"]).await;
        let left: Vec<u32> = left.iter().map(|test| test.number).collect();
        assert_eq!(left, [2, 3]);
        for job in ["test", "lint"] {
            let past = store.past_attempts(&id, job, 9).await.unwrap();
            assert_eq!(past, [attempted(6, 1, 300 * DAY_MS)], "{job}");
        }
        // Its number is not given to another one while runs with it are there.
        assert_eq!(numbers(store, &["old"], 300 * DAY_MS).await, [4]);
        assert_eq!(drop_before(store, 300 * DAY_MS, 9).await, Vec::<u64>::new());
    })
    .await;
}

#[tokio::test]
async fn tests_that_were_kept_without_names_get_them_when_they_are_seen_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("herald.db");
    sqlx::any::install_default_drivers();
    let address = format!("sqlite://{}?mode=rwc", file.display());
    let mut before = AnyConnection::connect(&address).await.unwrap();
    let all = migrator("sqlite");
    let old = all.iter().filter(|one| one.version <= 12).cloned();
    let old = Migrator::with_migrations(old.collect());
    old.run(&mut before).await.unwrap();
    let id = repository().id;
    for statement in [
        "INSERT INTO tests (repository, id, number) VALUES ($1, 'a', 7)",
        "INSERT INTO attempts (repository, job, build, attempt, commit_id, tested, at_ms, runs) \
         VALUES ($1, 'test', 1, 1, '', '', 8640000000, X'01')",
    ] {
        let insert = sqlx::query(statement).bind(id.as_str());
        insert.execute(&mut before).await.unwrap();
    }
    before.close().await.unwrap();

    let at_ms = 100 * DAY_MS;
    let store = SqlStore::sqlite(&file).await.unwrap();
    assert_eq!(drop_before(&store, at_ms, 9).await, Vec::<u64>::new());
    assert_eq!(known(&store, &["a"]).await[0].name.name, "");
    assert_eq!(numbers(&store, &["a"], at_ms + 1).await, [7]);
    assert_eq!(known(&store, &["a"]).await[0].name, name("a"));
}
