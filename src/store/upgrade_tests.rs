//! Every schema that there was, with data in it, brought up to date.
//!
//! `tests/fixtures/schema/NNNN.sql` has rows as a server of that schema wrote them, of the tables and columns that came with it.

use std::path::Path;

use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, Row};

use super::schema::{FILES, dialect, migrator_until};
use super::{SealKey, SqlStore};
use crate::domain::{Conclusion, Secret};
use crate::ports::store::{NewDelivery, Recorded};
use crate::ports::{Audit, Store};

const INSTANCE: &str = "0123456789abcdef";
const REPOSITORY: &str = "github.test/1001";

fn key() -> SealKey {
    SealKey::parse(&"5e".repeat(32)).unwrap()
}

/// The rows that came with a schema, in the dialect of the engine.
fn samples(engine: &str, version: i64) -> Option<String> {
    let name = format!("tests/fixtures/schema/{version:04}.sql");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let text = std::fs::read_to_string(path).ok()?;
    let secret = Secret::new("open-sesame");
    let sealed = key().seal(REPOSITORY, "TOKEN", &secret).unwrap();
    let bytes = if engine == "postgres" { "'\\x" } else { "x'" };
    Some(text.replace("SEALED", &sealed).replace("BLOB'", bytes))
}

/// Migrations that bring no rows: indexes, and columns whose default says all.
const WITHOUT_ROWS: [i64; 11] = [3, 5, 6, 11, 13, 17, 19, 21, 23, 24, 25];

/// A database as a server of that schema left it.
async fn as_of(on: &mut AnyConnection, engine: &str, version: i64) {
    for (number, ..) in FILES.iter().filter(|(number, ..)| *number <= version) {
        migrator_until(engine, *number).run(&mut *on).await.unwrap();
        if let Some(rows) = samples(engine, *number) {
            on.execute(sqlx::raw_sql(AssertSqlSafe(rows)))
                .await
                .unwrap();
        }
    }
}

async fn connect(address: &str) -> AnyConnection {
    sqlx::any::install_default_drivers();
    AnyConnection::connect(address).await.unwrap()
}

/// How many rows the tables have that the samples up to then are of.
async fn rows(on: &mut AnyConnection, version: i64) -> Vec<(String, i64)> {
    let mut tables: Vec<String> = Vec::new();
    for (number, ..) in FILES.iter().filter(|(number, ..)| *number <= version) {
        let text = samples("sqlite", *number).unwrap_or_default();
        let inserts = text
            .lines()
            .filter_map(|line| line.strip_prefix("INSERT INTO "));
        tables.extend(inserts.filter_map(|rest| Some(rest.split(' ').next()?.to_owned())));
    }
    tables.sort();
    tables.dedup();
    let mut counts = Vec::new();
    for table in tables {
        let statement = format!("SELECT COUNT(*) AS rows FROM {table}");
        let row = sqlx::query(AssertSqlSafe(statement))
            .fetch_one(&mut *on)
            .await
            .unwrap();
        counts.push((table, row.get("rows")));
    }
    counts
}

/// What a server sees of the samples.
async fn is_all_there(store: SqlStore, version: i64) {
    let store = store.with_key(key());
    let repository = store.repository("octo", "greet").await.unwrap().unwrap();
    let id = repository.id.clone();
    let view = store.build(&id, 1).await.unwrap().unwrap();
    assert_eq!(
        view.build.conclusion,
        Some(Conclusion::Failure),
        "{version}"
    );
    let result = view.jobs[0].result.as_ref().unwrap();
    assert_eq!(result.report.tests.len(), 4, "{version}");
    let badge = store
        .badge("octo", "greet", "build", None, "")
        .await
        .unwrap();
    assert!(badge.is_some(), "{version}");
    assert_eq!(
        store.list_deliveries(false, 10).await.unwrap().len(),
        1,
        "{version}"
    );
    assert_eq!(
        store.setting("instance").await.unwrap().as_deref(),
        Some(INSTANCE)
    );
    if version >= 2 {
        let secret = store.secret(&id, "TOKEN").await.unwrap().unwrap();
        assert_eq!(secret.expose(), "open-sesame", "{version}");
    }
    if version >= 7 {
        assert_eq!(store.tokens().await.unwrap().len(), 1, "{version}");
    }
    if version >= 10 {
        let measures = store.measures(&id, "main", 10).await.unwrap();
        assert!(!measures.is_empty(), "{version}");
    }
    if version >= 22 {
        assert_eq!(store.deeds(10).await.unwrap().len(), 1, "{version}");
    }
    // And it goes on.
    let delivery = NewDelivery {
        guid: "new".to_owned(),
        event: "ping".to_owned(),
        body: "{}".to_owned(),
        received_ms: 1,
    };
    let recorded = store.record_delivery(delivery).await.unwrap();
    assert_eq!(recorded, Recorded::Waiting, "{version}");
}

#[test]
fn every_migration_has_rows_to_try_it_with_and_asks_nothing_of_those_that_are_there() {
    for (version, _, sql) in FILES {
        let has_rows = samples("sqlite", version).is_some();
        assert_ne!(has_rows, WITHOUT_ROWS.contains(&version), "{version}");
        for statement in sql.split(';').filter(|text| text.contains("ADD COLUMN")) {
            let fills = !statement.contains("NOT NULL") || statement.contains("DEFAULT");
            assert!(fills, "{version}: {statement}");
        }
    }
}

#[tokio::test]
async fn every_earlier_schema_is_brought_up_to_date_with_all_that_is_in_it() {
    for (version, ..) in FILES {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("herald.db");
        let mut on = connect(&format!("sqlite://{}?mode=rwc", file.display())).await;
        as_of(&mut on, "sqlite", version).await;
        let before = rows(&mut on, version).await;
        let store = SqlStore::sqlite(&file).await.unwrap();
        assert_eq!(rows(&mut on, version).await, before, "{version}");
        is_all_there(store, version).await;
    }
}

#[tokio::test]
async fn so_it_is_on_postgresql() {
    let Ok(server) = std::env::var("HERALD_TEST_POSTGRES") else {
        return;
    };
    for (version, ..) in FILES {
        let name = format!("herald_{}", uuid::Uuid::new_v4().simple());
        let mut admin = connect(&format!("{server}/postgres")).await;
        let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::query(create).execute(&mut admin).await.unwrap();
        let address = format!("{server}/{name}");
        let mut on = connect(&address).await;
        as_of(&mut on, "postgres", version).await;
        let before = rows(&mut on, version).await;
        let store = SqlStore::postgres(&address).await.unwrap();
        assert_eq!(rows(&mut on, version).await, before, "{version}");
        is_all_there(store, version).await;
    }
}

/// Copies a database as a crash leaves it: its file, and its log as far as it is written.
fn crashed(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for name in ["herald.db", "herald.db-wal"] {
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.path().join(name)).unwrap();
        }
    }
    to
}

#[tokio::test]
async fn a_crash_in_the_middle_of_a_migration_leaves_the_schema_before_it() {
    for pair in FILES.windows(2) {
        let [(before, ..), (version, _, sql)] = pair else {
            panic!("a pair");
        };
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("herald.db");
        let mut on = connect(&format!("sqlite://{}?mode=rwc", file.display())).await;
        on.execute("PRAGMA journal_mode=WAL").await.unwrap();
        as_of(&mut on, "sqlite", *before).await;
        // So small a memory that it writes before it commits.
        on.execute("PRAGMA cache_size=1").await.unwrap();
        on.execute("BEGIN").await.unwrap();
        let text = dialect("sqlite", sql);
        let lines = text.lines().filter(|line| !line.trim().starts_with("--"));
        let text = lines.collect::<Vec<_>>().join("\n");
        for statement in text.split(';') {
            on.execute(sqlx::raw_sql(AssertSqlSafe(statement.to_owned())))
                .await
                .unwrap();
            let copy = crashed(dir.path());
            let store = SqlStore::sqlite(&copy.path().join("herald.db")).await;
            let store = store.unwrap_or_else(|error| panic!("{version}: {error}"));
            assert_eq!(store.faults().await.unwrap(), Vec::<String>::new());
            is_all_there(store, *before).await;
        }
    }
}

#[tokio::test]
async fn a_database_of_a_newer_herald_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("herald.db");
    drop(SqlStore::sqlite(&file).await.unwrap());
    let mut on = connect(&format!("sqlite://{}", file.display())).await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'from the future', 1, x'00', 0)";
    on.execute(newer).await.unwrap();
    let error = SqlStore::sqlite(&file).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("a newer Herald"), "{text}");
}
