//! A person who is named in every column that can name one.

use std::collections::BTreeSet;

use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::SqlStore;
use super::map::TABLES;
use super::tests::on_both;
use crate::domain::PersonId;
use crate::ports::privacy::Person;
use crate::ports::{Kind, Privacy};
use crate::text::traces::Traces;

const LOGIN: &str = "Marker-Person";
const ID: i64 = 4_711_000;

fn person() -> Person {
    Person {
        id: Some(PersonId(ID)),
        traces: Traces::new([LOGIN.to_owned(), "marker@example.org".to_owned()]).unwrap(),
    }
}

/// The columns of a table with numbers.
async fn numbers(on: &mut AnyConnection, table: &str) -> BTreeSet<String> {
    let sqlite = "SELECT name AS part FROM pragma_table_info($1) WHERE type = 'BIGINT'";
    let postgres = "SELECT column_name::text AS part FROM information_schema.columns \
                    WHERE table_name = $1 AND data_type = 'bigint'";
    let statement = match on.backend_name() {
        "PostgreSQL" => postgres,
        _ => sqlite,
    };
    let rows = sqlx::query(statement).bind(table).fetch_all(on).await;
    rows.unwrap().iter().map(|row| row.get("part")).collect()
}

/// A row of each table that names the person wherever it can.
async fn plant(store: &SqlStore) {
    let mut on = store.database.write_apart().await.unwrap();
    let order = |name: &str| match name {
        "repositories" => 0,
        "report_sets" => 1,
        _ => 2,
    };
    let mut tables: Vec<_> = TABLES.iter().collect();
    tables.sort_by_key(|table| order(table.name));
    for table in tables {
        let numbers = numbers(&mut on, table.name).await;
        let mut columns: Vec<&str> = [table.key, table.texts, table.ids, table.others].concat();
        columns.sort_unstable();
        columns.dedup();
        let value = |column: &&str| -> String {
            if table.ids.contains(column) {
                ID.to_string()
            } else if *column == "target" {
                format!("'check|x|{LOGIN}|new'")
            } else if table.texts.contains(column) {
                format!("'{{\"by\":\"@{LOGIN}, marker@example.org\",\"author\":{ID}}}'")
            } else if numbers.contains(*column) {
                "1".to_owned()
            } else if *column == "state" && ["builds", "jobs"].contains(&table.name) {
                "'finished'".to_owned()
            } else if *column == "runs" && store.database.is_ours_alone() {
                "x'00'".to_owned()
            } else if *column == "runs" {
                "'\\x00'".to_owned()
            } else {
                "'x'".to_owned()
            }
        };
        let values: Vec<String> = columns.iter().map(value).collect();
        let statement = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            table.name,
            columns.join(", "),
            values.join(", ")
        );
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut on)
            .await
            .unwrap();
    }
}

/// Every text and number of the database, as one text.
async fn everything(store: &SqlStore) -> String {
    let mut on = store.database.write_apart().await.unwrap();
    let mut all = String::new();
    for table in &TABLES {
        for column in [table.key, table.texts, table.ids].concat() {
            let statement = format!("SELECT CAST({column} AS TEXT) AS part FROM {}", table.name);
            let rows = sqlx::query(AssertSqlSafe(statement))
                .fetch_all(&mut on)
                .await
                .unwrap();
            for row in rows {
                let part: Option<String> = row.get("part");
                all.push_str(&part.unwrap_or_default());
                all.push('\n');
            }
        }
    }
    all
}

#[tokio::test]
async fn who_is_named_everywhere_is_found_everywhere_and_gone_from_everywhere() {
    on_both(async |store| {
        plant(store).await;
        let found: BTreeSet<(&str, &str)> = store
            .find_person(&person())
            .await
            .unwrap()
            .iter()
            .map(|row| (row.table, row.column))
            .collect();
        let all: BTreeSet<(&str, &str)> = TABLES
            .iter()
            .flat_map(|table| {
                let columns = [table.texts, table.ids].concat();
                columns.into_iter().map(|column| (table.name, column))
            })
            .collect();
        assert_eq!(found, all);
        let erased = store.erase_person(&person()).await.unwrap();
        assert!(erased.left.is_empty(), "{erased:?}");
        let left = everything(store).await.to_lowercase();
        for trace in [&LOGIN.to_lowercase(), "marker@", &ID.to_string()] {
            assert!(!left.contains(trace), "{trace} is left in {left}");
        }
        assert!(left.contains("ghost"), "the rows are still there");
        assert!(store.find_person(&person()).await.unwrap().is_empty());
        store.compact().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn nobody_else_is_touched_and_no_two_rows_become_one() {
    on_both(async |store| {
        let mut on = store.database.write_apart().await.unwrap();
        for branch in ["marker-person/fix", "ghost/fix", "marker-persona/fix"] {
            let statement = "INSERT INTO measures (repository, branch, number, red, passed, failed, \
                             skipped, covered, coverable) VALUES ('x', $1, 1, 0, 0, 0, 0, 0, 0)";
            sqlx::query(statement)
                .bind(branch)
                .execute(&mut on)
                .await
                .unwrap();
        }
        store.erase_person(&person()).await.unwrap();
        let rows = sqlx::query("SELECT branch FROM measures ORDER BY branch")
            .fetch_all(&mut on)
            .await
            .unwrap();
        let left: Vec<String> = rows.iter().map(|row| row.get("branch")).collect();
        assert_eq!(left, ["ghost-2/fix", "ghost/fix", "marker-persona/fix"]);
    })
    .await;
}

#[tokio::test]
async fn whose_account_has_the_app_uninstalls_it_first_and_what_must_stay_is_said() {
    on_both(async |store| {
        let mut on = store.database.write_apart().await.unwrap();
        for statement in [
            "INSERT INTO installations (host, id, account, login, selected_by_hand) \
             VALUES ('h', 1, 4711000, 'renamed', 1)",
            "INSERT INTO secrets (repository, name, sealed, updated_ms) \
             VALUES ('x', 'MARKER-PERSON', 'x', 1)",
            "INSERT INTO deliveries (guid, event, body, received_ms, due_ms) \
             VALUES ('g', 'push', 'by marker-person', 1, 1)",
        ] {
            sqlx::query(statement).execute(&mut on).await.unwrap();
        }
        let error = store.erase_person(&person()).await.unwrap_err();
        assert_eq!(error.kind, Kind::Refused, "{error}");
        sqlx::query("UPDATE installations SET state = 'removed'")
            .execute(&mut on)
            .await
            .unwrap();
        // Shut out is not uninstalled.
        let error = store.erase_person(&person()).await.unwrap_err();
        assert_eq!(error.kind, Kind::Refused, "{error}");
        sqlx::query("UPDATE installations SET removed_ms = 1")
            .execute(&mut on)
            .await
            .unwrap();
        let erased = store.erase_person(&person()).await.unwrap();
        assert_eq!(erased.left.len(), 2, "{erased:?}");
        assert!(erased.left[0].contains("MARKER-PERSON"), "{erased:?}");
        assert!(
            erased.left[1].contains("1 rows of `deliveries`"),
            "{erased:?}"
        );
        let (body,): (String,) = sqlx::query_as("SELECT body FROM deliveries")
            .fetch_one(&mut on)
            .await
            .unwrap();
        assert_eq!(body, "by marker-person", "it is still to be handled");
    })
    .await;
}

#[tokio::test]
async fn a_login_that_is_a_word_of_heralds_own_breaks_nothing() {
    on_both(async |store| {
        let mut on = store.database.write_apart().await.unwrap();
        let occasion = r#"{"event":"push","branch":"push/head","before":null}"#;
        let row = "INSERT INTO triggers (id, repository, commit_id, subject, occasion, trust, sender, state, \
                   created_ms, due_ms) VALUES ($1, 'x', 'c', $2, $3, 'trusted', 1, 'ended', 1, 1)";
        for (id, subject) in [("t1", "heads/push/head"), ("t2", "heads/branch")] {
            sqlx::query(row)
                .bind(id)
                .bind(subject)
                .bind(occasion.replace("push/head", subject.trim_start_matches("heads/")))
                .execute(&mut on)
                .await
                .unwrap();
        }
        for login in ["push", "branch", "before", "event"] {
            let person = Person {
                id: None,
                traces: Traces::new([login.to_owned()]).unwrap(),
            };
            store.erase_person(&person).await.unwrap();
        }
        let rows = sqlx::query("SELECT subject, occasion FROM triggers ORDER BY id")
            .fetch_all(&mut on)
            .await
            .unwrap();
        let subjects: Vec<String> = rows.iter().map(|row| row.get("subject")).collect();
        // A row whose event would be another one stays as it is, and is said to.
        assert_eq!(subjects, ["heads/push/head", "heads/ghost"]);
        for row in rows {
            let text: String = row.get("occasion");
            let occasion: crate::domain::Occasion = serde_json::from_str(&text).unwrap();
            assert_eq!(occasion.name(), "push");
        }
    })
    .await;
}
