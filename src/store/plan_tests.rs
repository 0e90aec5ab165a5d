//! Statements that have to be fast however much there is: SQLite says how it would go about them.

use sqlx::{AssertSqlSafe, Row};

use super::SqlStore;
use super::due::Due;
use super::history::{
    FIRST_FREE, NAMES, NEXT_JOB, NUMBERS, OF_NUMBERS, OLD_ATTEMPTS, OLD_TESTS, PAST,
};
use super::keeping::{ABANDONED, ENDED, OF_BUILD, OLD_DELIVERIES, SHOWN};
use super::pages::LONGEST_NOT_COMPARED;

/// The steps of a statement; none of them sorts.
async fn steps(store: &SqlStore, statement: &str) -> Vec<String> {
    let mut on = store.database.read().await.unwrap();
    let explained = format!("EXPLAIN QUERY PLAN {statement}");
    let rows = sqlx::query(AssertSqlSafe(explained)).fetch_all(&mut *on);
    let steps: Vec<String> = rows
        .await
        .unwrap()
        .iter()
        .map(|row| row.try_get("detail").unwrap())
        .collect();
    let sorts = steps.iter().any(|step| step.contains("TEMP B-TREE"));
    assert!(!sorts, "{statement}: {steps:?}");
    steps
}

async fn store(dir: &tempfile::TempDir) -> SqlStore {
    let store = SqlStore::sqlite(&dir.path().join("herald.db")).await;
    store.unwrap()
}

#[tokio::test]
async fn what_is_read_of_the_history_is_found_by_an_index() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir).await;
    for statement in [
        &format!("{NUMBERS} ($2, $3)"),
        &format!("{NAMES} ($2, $3)"),
        &format!("{OF_NUMBERS} ($2, $3)"),
        FIRST_FREE,
        PAST,
        NEXT_JOB,
        OLD_ATTEMPTS,
        OLD_TESTS,
    ] {
        let steps = steps(&store, statement).await;
        let is_search = |step: &&String| step.starts_with("SEARCH");
        // Steps around those that read are none of reading.
        let reads = |step: &&String| is_search(step) || step.starts_with("SCAN");
        let is_found = |step: &&String| {
            is_search(step) && step.contains("INDEX") && !step.contains("AUTOMATIC")
        };
        assert!(steps.iter().any(|step| is_found(&step)), "{statement}");
        assert!(
            steps.iter().filter(reads).all(|step| is_found(&step)),
            "{statement}: {steps:?}"
        );
    }
}

#[tokio::test]
async fn what_is_let_go_and_whose_turn_it_is_is_found_by_an_index() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir).await;
    let all = [
        ABANDONED,
        ENDED,
        OLD_DELIVERIES,
        SHOWN,
        LONGEST_NOT_COMPARED,
    ];
    let due = Due::ALL.map(Due::statement);
    for statement in all.into_iter().chain(OF_BUILD).chain(due) {
        for step in steps(&store, statement).await {
            // A scan by an index is one in its order, up to a limit.
            let whole = step.starts_with("SCAN") && !step.contains("INDEX");
            assert!(!whole, "{statement}: {step}");
        }
    }
}
