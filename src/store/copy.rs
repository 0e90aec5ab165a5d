//! The whole database at once: copies of one moment, moving to another engine, and whether all is sound.

use std::path::Path;

use futures_util::TryStreamExt;
use sqlx::any::AnyRow;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Connection, Executor, Row};

use super::database::{StoreError, is_postgres};
use super::rows::Result;
use super::schema::FILES;
use super::sql::SqlStore;
use crate::ports::error::Result as PortResult;
use crate::ports::{Kind, PortError, Store};

/// Rows that are written by one statement.
const AT_ONCE: usize = 50;
/// Tables that others point at go first.
const FIRST: [&str; 2] = ["repositories", "report_sets"];
/// Who is there just now is nothing to keep.
const PASSING: [&str; 2] = ["processes", "leaders"];

/// A column, and what is in it.
struct Column {
    name: String,
    kind: Held,
}

#[derive(Clone, Copy)]
enum Held {
    Text,
    Number,
    Bytes,
}

struct Table {
    name: String,
    columns: Vec<Column>,
}

/// Whether what is sealed in a database opens with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sealed {
    /// Secrets that open.
    pub opens: u64,
    /// Secrets that do not.
    pub closed: u64,
}

impl Sealed {
    fn count(&mut self, opens: bool) {
        if opens {
            self.opens += 1;
        } else {
            self.closed += 1;
        }
    }
}

impl SqlStore {
    /// Writes all of it as it is at one moment into a SQLite file, which must not be there. Others go on meanwhile.
    ///
    /// # Errors
    /// `Transient` when the database or the disk refuses.
    pub async fn snapshot(&self, file: &Path) -> PortResult<()> {
        if !self.database.is_ours_alone() {
            let copy = Self::sqlite_beside(file).await?;
            self.copy_into(&copy).await?;
            copy.close().await;
            return Ok(());
        }
        let Some(path) = file.to_str() else {
            return Err(PortError::refused(format!(
                "write {}: its path is not UTF-8",
                file.display()
            )));
        };
        let mut on = self.database.read().await?;
        let into = format!("VACUUM INTO '{}'", path.replace('\'', "''"));
        // The copy is another file than the one that this connection must not change.
        let done = async {
            on.execute("PRAGMA query_only=0").await?;
            on.execute(sqlx::query(AssertSqlSafe(into))).await
        };
        let done = done.await.map_err(StoreError::from);
        on.execute("PRAGMA query_only=1")
            .await
            .map_err(StoreError::from)?;
        done?;
        Ok(())
    }

    /// Copies all rows into another database, which must be empty, and says how many there were. It is all or nothing.
    ///
    /// # Errors
    /// `Refused` when the other one is not empty, `Transient` when one of them fails.
    pub async fn copy_into(&self, other: &Self) -> PortResult<u64> {
        let mut from = self.database.read().await?;
        let mut to = other.database.write_apart().await?;
        let schema = if is_postgres(&from) {
            schema(&mut to).await?
        } else {
            schema(&mut from).await?
        };
        for table in &schema {
            if !is_empty(&mut to, table).await? {
                return Err(PortError::refused(format!(
                    "copy the database: the other one is not empty, there are rows in `{}`",
                    table.name
                )));
            }
        }
        let one_moment = if is_postgres(&from) {
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        } else {
            "BEGIN"
        };
        from.execute(one_moment).await.map_err(StoreError::from)?;
        to.execute("BEGIN").await.map_err(StoreError::from)?;
        let copied = copy_all(&mut from, &mut to, &schema).await;
        let end = if copied.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = to.execute(end).await.map_err(StoreError::from);
        from.execute("ROLLBACK").await.map_err(StoreError::from)?;
        let copied = copied?;
        ended?;
        to.close().await.map_err(StoreError::from)?;
        Ok(copied)
    }

    /// Whether the database at an address of sqlx has the schema of this version: to be sure that opening it changes
    /// nothing under an earlier Herald that runs on it.
    ///
    /// # Errors
    /// `Refused` when it has not, `Transient` when it cannot be read.
    pub async fn is_of_this_version(address: &str) -> PortResult<()> {
        sqlx::any::install_default_drivers();
        let on = AnyConnection::connect(address).await;
        let mut on = on.map_err(StoreError::from)?;
        let row = on
            .fetch_optional("SELECT MAX(version) AS newest FROM _sqlx_migrations")
            .await
            .map_err(StoreError::from)?;
        let newest = row.map(|row| row.try_get::<Option<i64>, _>("newest"));
        let newest = newest.transpose().map_err(StoreError::from)?.flatten();
        let ours = FILES.last().map(|(version, ..)| *version);
        if newest < ours {
            return Err(PortError::refused(
                "open the database beside its server: it is of an earlier Herald. Use the program of that version, or start this \
                 version's server first, which brings it up to date",
            ));
        }
        Ok(())
    }

    /// What SQLite says is wrong with its file; nothing when it is sound.
    ///
    /// # Errors
    /// `Transient` when it cannot be read.
    pub async fn faults(&self) -> PortResult<Vec<String>> {
        if !self.database.is_ours_alone() {
            return Ok(Vec::new());
        }
        let mut on = self.database.read().await?;
        let rows = on
            .fetch_all("PRAGMA integrity_check")
            .await
            .map_err(StoreError::from)?;
        let said: std::result::Result<Vec<String>, _> =
            rows.iter().map(|row| row.try_get(0)).collect();
        let mut said = said.map_err(StoreError::from)?;
        said.retain(|line| line != "ok");
        Ok(said)
    }

    /// How many builds there are of how many repositories.
    ///
    /// # Errors
    /// `Transient` when it cannot be read.
    pub async fn numbers(&self) -> PortResult<(i64, i64)> {
        let mut on = self.database.read().await?;
        let row = on
            .fetch_one(
                "SELECT (SELECT COUNT(*) FROM builds) AS builds, \
                 (SELECT COUNT(*) FROM repositories) AS repositories",
            )
            .await
            .map_err(StoreError::from)?;
        let builds = row.try_get("builds").map_err(StoreError::from)?;
        let repositories = row.try_get("repositories").map_err(StoreError::from)?;
        Ok((builds, repositories))
    }

    /// Whether secrets of repositories, and the App's, open with the key that the store has; without one none does.
    ///
    /// # Errors
    /// `Transient` when they cannot be read.
    pub async fn sealed(&self) -> PortResult<Sealed> {
        let mut on = self.database.read().await?;
        let rows = on
            .fetch_all("SELECT repository, name, sealed FROM secrets")
            .await
            .map_err(StoreError::from)?;
        let mut found = Sealed::default();
        for row in rows {
            let text = |column| row.try_get::<String, _>(column).map_err(StoreError::from);
            let (repository, name, sealed) = (text("repository")?, text("name")?, text("sealed")?);
            let opens = self
                .key()
                .is_ok_and(|key| key.open(&repository, &name, &sealed).is_ok());
            found.count(opens);
        }
        match self.registered_app().await {
            Ok(None) => {}
            Ok(Some(_)) => found.count(true),
            Err(error) if error.kind == Kind::Refused => found.count(false),
            Err(error) => return Err(error),
        }
        Ok(found)
    }

    /// Ends all connections; SQLite then has all of it in its one file.
    pub async fn close(self) {
        self.database.close().await;
    }
}

/// The tables of a SQLite database, those first that others point at.
async fn schema(on: &mut AnyConnection) -> Result<Vec<Table>> {
    let rows = on
        .fetch_all(
            "SELECT m.name AS place, c.name AS part, c.type AS kind FROM sqlite_master m \
             JOIN pragma_table_info(m.name) c WHERE m.type = 'table' \
             AND m.name NOT LIKE 'sqlite_%' AND m.name <> '_sqlx_migrations' \
             ORDER BY m.name, c.cid",
        )
        .await?;
    let mut tables: Vec<Table> = Vec::new();
    for row in rows {
        let name: String = row.try_get("place")?;
        let kind: String = row.try_get("kind")?;
        let column = Column {
            name: row.try_get("part")?,
            kind: match kind.as_str() {
                "BIGINT" => Held::Number,
                "BLOB" => Held::Bytes,
                _ => Held::Text,
            },
        };
        match tables.last_mut() {
            Some(table) if table.name == name => table.columns.push(column),
            _ => tables.push(Table {
                name,
                columns: vec![column],
            }),
        }
    }
    tables.retain(|table| !PASSING.contains(&table.name.as_str()));
    let place = |table: &Table| FIRST.iter().position(|first| *first == table.name);
    tables.sort_by_key(|table| place(table).unwrap_or(FIRST.len()));
    Ok(tables)
}

async fn is_empty(on: &mut AnyConnection, table: &Table) -> Result<bool> {
    let statement = format!("SELECT 1 FROM {} LIMIT 1", table.name);
    let row = sqlx::query(AssertSqlSafe(statement))
        .fetch_optional(on)
        .await?;
    Ok(row.is_none())
}

async fn copy_all(
    from: &mut AnyConnection,
    to: &mut AnyConnection,
    schema: &[Table],
) -> Result<u64> {
    let mut copied = 0;
    for table in schema {
        let names: Vec<&str> = table
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        let statement = format!("SELECT {} FROM {}", names.join(", "), table.name);
        let mut rows = sqlx::query(AssertSqlSafe(statement)).fetch(&mut *from);
        let mut some = Vec::with_capacity(AT_ONCE);
        while let Some(row) = rows.try_next().await? {
            some.push(row);
            if some.len() == AT_ONCE {
                copied += write(to, table, &names, &some).await?;
                some.clear();
            }
        }
        copied += write(to, table, &names, &some).await?;
    }
    Ok(copied)
}

async fn write(
    to: &mut AnyConnection,
    table: &Table,
    names: &[&str],
    rows: &[AnyRow],
) -> Result<u64> {
    if rows.is_empty() {
        return Ok(0);
    }
    let width = names.len();
    let tuples = (0..rows.len()).map(|row| {
        let places = (1..=width).map(|at| format!("${}", row * width + at));
        format!("({})", places.collect::<Vec<_>>().join(", "))
    });
    let statement = format!(
        "INSERT INTO {} ({}) VALUES {}",
        table.name,
        names.join(", "),
        tuples.collect::<Vec<_>>().join(", ")
    );
    let mut query = sqlx::query::<Any>(AssertSqlSafe(statement));
    for row in rows {
        for (at, column) in table.columns.iter().enumerate() {
            query = match column.kind {
                Held::Text => query.bind(row.try_get::<Option<String>, _>(at)?),
                Held::Number => query.bind(row.try_get::<Option<i64>, _>(at)?),
                Held::Bytes => query.bind(row.try_get::<Option<Vec<u8>>, _>(at)?),
            };
        }
    }
    query.execute(to).await?;
    Ok(rows.len() as u64)
}
