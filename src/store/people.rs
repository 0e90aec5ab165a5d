//! Finding a person in the database, and taking them out of it.

use async_trait::async_trait;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::database::transact;
use super::map::{TABLES, Table};
use super::nameless::{GHOST_ID, has_id, target_without, without_id, without_names};
use super::rows::Result;
use super::sql::SqlStore;
use crate::domain::PersonId;
use crate::ports::PortError;
use crate::ports::error::Result as PortResult;
use crate::ports::privacy::{Erased, Person, Privacy, Row};
use crate::text::traces::GHOST;

/// Rows that are looked at in one transaction.
const PAGE: usize = 50;
/// Bytes of a text that is told as a whole.
const WHOLE: usize = 200;
/// Bytes on each side of a name in a longer one.
const AROUND: usize = 100;

/// A value of a key.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Text(String),
    Number(i64),
}

/// A row in which somebody may be named.
struct Found {
    key: Vec<Value>,
    /// By the table's columns of texts.
    texts: Vec<Option<String>>,
}

#[async_trait]
impl Privacy for SqlStore {
    async fn find_person(&self, person: &Person) -> PortResult<Vec<Row>> {
        let mut on = self.database.read().await?;
        let mut rows = Vec::new();
        for table in &TABLES {
            let mut last = None;
            loop {
                let page = page(&mut on, table, person, last.as_deref()).await?;
                for found in &page {
                    tell(table, found, person, &mut rows);
                }
                match page.last() {
                    Some(found) if page.len() == PAGE => last = Some(found.key.clone()),
                    _ => break,
                }
            }
            if let Some(id) = person.id {
                rows.extend(by_id(&mut on, table, id).await?);
            }
        }
        rows.extend(secrets_named(&mut on, person).await?);
        rows.extend(owner_of_the_app(&mut on, person).await?);
        Ok(rows)
    }

    async fn erase_person(&self, person: &Person) -> PortResult<Erased> {
        let mut erased = Erased::default();
        {
            let mut on = self.database.read().await?;
            if has_installed(&mut on, person).await? {
                return Err(PortError::refused(
                    "erase them: the App is installed on their account. When they have uninstalled it, their repositories \
                     are forgotten after HERALD_RETENTION_UNINSTALLED; what others' repositories hold of them can be erased \
                     then",
                ));
            }
            for row in secrets_named(&mut on, person).await? {
                erased.left.push(format!(
                    "the name of a secret ({}): jobs ask for it by that name",
                    row.row
                ));
            }
            if !owner_of_the_app(&mut on, person).await?.is_empty() {
                erased
                    .left
                    .push("the owner of the App, as long as it is theirs".to_owned());
            }
        }
        for table in &TABLES {
            self.erase_from(table, person, &mut erased).await?;
        }
        Ok(erased)
    }

    async fn compact(&self) -> PortResult<()> {
        Ok(self.database.compact().await?)
    }
}

impl SqlStore {
    /// Takes the person out of a table: what is looked through is read beside those who write, what is changed is changed in
    /// small transactions.
    async fn erase_from(
        &self,
        table: &'static Table,
        person: &Person,
        erased: &mut Erased,
    ) -> PortResult<()> {
        let mut last: Option<Vec<Value>> = None;
        let mut left = 0;
        loop {
            let page = {
                let mut on = self.database.read().await?;
                page(&mut on, table, person, last.as_deref()).await?
            };
            let mut named: Vec<&[Value]> = Vec::new();
            for found in &page {
                if is_named(table, found, person) {
                    named.push(&found.key);
                }
            }
            if !named.is_empty() {
                let changed = transact!(self.database, tx => {
                    let mut changed = 0;
                    for key in &named {
                        changed += u64::from(erase(tx.on(), table, key, person).await?);
                    }
                    Ok(changed)
                })?;
                erased.rows += changed;
                left += named.len() as u64 - changed;
            }
            match page.last() {
                Some(found) if page.len() == PAGE => last = Some(found.key.clone()),
                _ => break,
            }
        }
        if left > 0 {
            erased.left.push(format!(
                "{left} rows of `{}`, which Herald still works with, or in which that word is one of its own",
                table.name
            ));
        }
        if let Some(id) = person.id {
            erased.rows += transact!(self.database, tx => forget_id(tx.on(), table, id).await)?;
        }
        Ok(())
    }
}

/// Rows after `last` in which the person may be named: what only looks like a name is among them.
async fn page(
    on: &mut AnyConnection,
    table: &Table,
    person: &Person,
    last: Option<&[Value]>,
) -> Result<Vec<Found>> {
    let mut like: Vec<String> = Vec::new();
    for name in person.traces.names() {
        let name = name
            .replace('\\', "\\\\")
            .replace('%', "\\%")
            .replace('_', "\\_");
        like.push(format!("%{name}%"));
    }
    if let Some(id) = person.id {
        like.push(format!("%\":{}%", id.0));
    }
    if table.texts.is_empty() || like.is_empty() {
        return Ok(Vec::new());
    }
    let keys = table.key.join(", ");
    let mut conditions = Vec::new();
    for column in table.texts {
        for at in 1..=like.len() {
            conditions.push(format!("LOWER({column}) LIKE ${at} ESCAPE '\\'"));
        }
    }
    let after = last.map_or_else(String::new, |last| {
        let places = (1..=last.len()).map(|at| format!("${}", like.len() + at));
        format!("AND ({keys}) > ({})", places.collect::<Vec<_>>().join(", "))
    });
    let statement = format!(
        "SELECT {keys}, {} FROM {} WHERE ({}) {after} ORDER BY {keys} LIMIT {PAGE}",
        texts_apart(table),
        table.name,
        conditions.join(" OR "),
    );
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for one in like {
        query = query.bind(one);
    }
    let query = with_key(query, last.unwrap_or_default());
    let rows = query.fetch_all(on).await?;
    rows.iter().map(|row| found(table, row)).collect()
}

/// The columns of texts under names that no column of the key has.
fn texts_apart(table: &Table) -> String {
    let named = table.texts.iter().enumerate();
    let named = named.map(|(at, column)| format!("{column} AS text_{at}"));
    named.collect::<Vec<_>>().join(", ")
}

fn found(table: &Table, row: &AnyRow) -> Result<Found> {
    let mut texts = Vec::new();
    for at in 0..table.texts.len() {
        texts.push(row.try_get(format!("text_{at}").as_str())?);
    }
    Ok(Found {
        key: key_of(table, row)?,
        texts,
    })
}

fn key_of(table: &Table, row: &AnyRow) -> Result<Vec<Value>> {
    let values = table.key.iter().map(|column| {
        if let Ok(number) = row.try_get::<i64, _>(*column) {
            return Ok(Value::Number(number));
        }
        Ok(Value::Text(row.try_get(*column)?))
    });
    values.collect()
}

/// The row as people read which it is.
fn shown(table: &Table, key: &[Value]) -> String {
    let parts = table
        .key
        .iter()
        .zip(key)
        .map(|(column, value)| match value {
            Value::Text(text) => format!("{column}={text}"),
            Value::Number(number) => format!("{column}={number}"),
        });
    parts.collect::<Vec<_>>().join(" ")
}

/// What the row says of the person.
fn tell(table: &'static Table, found: &Found, person: &Person, rows: &mut Vec<Row>) {
    for (column, text) in table.texts.iter().zip(&found.texts) {
        let Some(text) = text else { continue };
        let named = !person.traces.find(text.as_bytes()).is_empty();
        let numbered = is_numbered(table, text, person);
        if !named && !numbered {
            continue;
        }
        let said = if text.len() <= WHOLE {
            vec![text.clone()]
        } else if named {
            person.traces.excerpts(text, AROUND)
        } else {
            person
                .id
                .map(|id| format!("their number, {}", id.0))
                .into_iter()
                .collect()
        };
        rows.push(Row {
            table: table.name,
            row: shown(table, &found.key),
            column,
            text: said,
        });
    }
}

/// Rows that have GitHub's number of the person in a column of its own.
async fn by_id(on: &mut AnyConnection, table: &'static Table, id: PersonId) -> Result<Vec<Row>> {
    let mut all = Vec::new();
    for column in table.ids {
        let keys = table.key.join(", ");
        let statement = format!(
            "SELECT {keys} FROM {} WHERE {column} = $1 ORDER BY {keys}",
            table.name
        );
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(id.0)
            .fetch_all(&mut *on)
            .await?;
        for row in rows {
            all.push(Row {
                table: table.name,
                row: shown(table, &key_of(table, &row)?),
                column,
                text: vec![id.0.to_string()],
            });
        }
    }
    Ok(all)
}

/// Takes the person out of a row; `false` where it has to stay as it is for now.
async fn erase(
    on: &mut AnyConnection,
    table: &Table,
    key: &[Value],
    person: &Person,
) -> Result<bool> {
    // As it is now: somebody may have written to it since it was found.
    let Some(found) = row_of(on, table, key).await? else {
        return Ok(false);
    };
    if table.name == "deliveries" {
        // It is of no use any more but to be handled once more.
        let done = sqlx::query(
            "UPDATE deliveries SET body = '', error = 'its content was erased' \
             WHERE guid = $1 AND state <> 'waiting'",
        )
        .bind(text_of(key.first()))
        .execute(on)
        .await?;
        return Ok(done.rows_affected() > 0);
    }
    for number in 1.. {
        let word = if number == 1 {
            GHOST.to_owned()
        } else {
            format!("{GHOST}-{number}")
        };
        let Some(changed) = changed(table, &found, person, &word) else {
            return Ok(false);
        };
        if changed.is_empty() {
            return Ok(true);
        }
        if !is_taken(on, table, &found, &changed).await? {
            write(on, table, key, changed).await?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// The row, if it is there and nothing is done with it any more.
async fn row_of(on: &mut AnyConnection, table: &Table, key: &[Value]) -> Result<Option<Found>> {
    let statement = format!(
        "SELECT {}, {} FROM {} WHERE {} AND {}",
        table.key.join(", "),
        texts_apart(table),
        table.name,
        of_key(table, 0),
        table.at_rest
    );
    let row = with_key(sqlx::query(AssertSqlSafe(statement)), key)
        .fetch_optional(on)
        .await?;
    row.map(|row| found(table, &row)).transpose()
}

/// The texts of a row that are other ones without the person; `None` where one of them could not be read any more.
fn changed(
    table: &Table,
    found: &Found,
    person: &Person,
    word: &str,
) -> Option<Vec<(&'static str, String)>> {
    let mut changed = Vec::new();
    for (column, text) in table.texts.iter().zip(&found.texts) {
        let Some(text) = text else { continue };
        let json = table.json.iter().find(|(json, _)| json == column);
        let new = match json {
            Some(_) => without_names(text, person, word),
            // Which kind of thing it is, and whether it is a new one, are words of ours.
            None if *column == "target" => target_without(text, person, word),
            None => person.traces.replaced_by(text, word),
        };
        let mut new = new.unwrap_or_else(|| text.clone());
        if let Some(id) = person.id {
            new = without_id(&new, id).unwrap_or(new);
        }
        if new == *text {
            continue;
        }
        if json.is_some_and(|(_, reads)| reads(text) && !reads(&new)) {
            return None;
        }
        changed.push((*column, new));
    }
    Some(changed)
}

async fn write(
    on: &mut AnyConnection,
    table: &Table,
    key: &[Value],
    changed: Vec<(&'static str, String)>,
) -> Result<()> {
    let sets = changed.iter().enumerate();
    let sets = sets.map(|(at, (column, _))| format!("{column} = ${}", at + 1));
    let statement = format!(
        "UPDATE {} SET {} WHERE {}",
        table.name,
        sets.collect::<Vec<_>>().join(", "),
        of_key(table, changed.len())
    );
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for (_, new) in changed {
        query = query.bind(new);
    }
    with_key(query, key).execute(on).await?;
    Ok(())
}

/// Whether a row names the person, and does not only look so.
fn is_named(table: &Table, found: &Found, person: &Person) -> bool {
    found.texts.iter().flatten().any(|text| {
        !person.traces.find(text.as_bytes()).is_empty() || is_numbered(table, text, person)
    })
}

/// Whether a text has GitHub's number of the person where numbers of people are.
fn is_numbered(table: &Table, text: &str, person: &Person) -> bool {
    // What GitHub sends has them in other fields than ours.
    let has =
        |id| without_id(text, id).is_some() || (table.name == "deliveries" && has_id(text, id));
    person.id.is_some_and(has)
}

fn text_of(value: Option<&Value>) -> String {
    match value {
        Some(Value::Text(text)) => text.clone(),
        _ => String::new(),
    }
}

/// The condition for one row, its values after so many others.
fn of_key(table: &Table, before: usize) -> String {
    let parts = table.key.iter().enumerate();
    let parts = parts.map(|(at, column)| format!("{column} = ${}", before + at + 1));
    parts.collect::<Vec<_>>().join(" AND ")
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Any, sqlx::any::AnyArguments>;

fn with_key<'q>(query: Query<'q>, key: &[Value]) -> Query<'q> {
    key.iter().fold(query, |query, value| match value {
        Value::Text(text) => query.bind(text.clone()),
        Value::Number(number) => query.bind(*number),
    })
}

/// Whether another row has what no two rows may have in common, and this one would get.
async fn is_taken(
    on: &mut AnyConnection,
    table: &Table,
    found: &Found,
    changed: &[(&'static str, String)],
) -> Result<bool> {
    let sets = std::iter::once(&table.key).chain(table.unique);
    for columns in sets {
        if !changed.iter().any(|(column, _)| columns.contains(column)) {
            continue;
        }
        // The others of these columns are those of the row itself.
        let mut conditions = Vec::new();
        let mut values = Vec::new();
        for column in *columns {
            if let Some((_, new)) = changed.iter().find(|(changed, _)| changed == column) {
                values.push(Value::Text(new.clone()));
                conditions.push(format!("a.{column} = ${}", values.len()));
            } else {
                conditions.push(format!("a.{column} = b.{column}"));
            }
        }
        let own = table.key.iter().zip(&found.key).map(|(column, value)| {
            values.push(value.clone());
            format!("b.{column} = ${}", values.len())
        });
        let own = own.collect::<Vec<_>>().join(" AND ");
        let statement = format!(
            "SELECT 1 FROM {0} a JOIN {0} b ON {own} WHERE {1}",
            table.name,
            conditions.join(" AND ")
        );
        let other = with_key(sqlx::query(AssertSqlSafe(statement)), &values)
            .fetch_optional(&mut *on)
            .await?;
        if other.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Takes GitHub's number of the person out of the columns that have it.
async fn forget_id(on: &mut AnyConnection, table: &Table, id: PersonId) -> Result<u64> {
    let mut rows = 0;
    for column in table.ids {
        // Their tokens are no use to anybody else.
        let statement = if table.name == "tokens" {
            format!("DELETE FROM tokens WHERE {column} = $1")
        } else {
            format!(
                "UPDATE {} SET {column} = {GHOST_ID} WHERE {column} = $1 AND {}",
                table.name, table.at_rest
            )
        };
        let done = sqlx::query(AssertSqlSafe(statement))
            .bind(id.0)
            .execute(&mut *on)
            .await?;
        rows += done.rows_affected();
    }
    Ok(rows)
}

/// Whether the App is installed on the person's own account.
async fn has_installed(on: &mut AnyConnection, person: &Person) -> Result<bool> {
    let rows = sqlx::query(
        "SELECT login AS name, account FROM installations WHERE removed_ms IS NULL \
         UNION SELECT owner AS name, 0 AS account FROM repositories WHERE removed_ms IS NULL",
    )
    .fetch_all(on)
    .await?;
    for row in rows {
        let (login, account): (String, i64) = (row.try_get("name")?, row.try_get("account")?);
        let same = person.traces.names().contains(&login.to_lowercase());
        if same || person.id.is_some_and(|id| id.0 == account) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Secrets that are called after the person.
async fn secrets_named(on: &mut AnyConnection, person: &Person) -> Result<Vec<Row>> {
    let rows = sqlx::query("SELECT repository, name FROM secrets ORDER BY repository, name")
        .fetch_all(on)
        .await?;
    let mut named = Vec::new();
    for row in rows {
        let (repository, name): (String, String) =
            (row.try_get("repository")?, row.try_get("name")?);
        if !person.traces.find(name.as_bytes()).is_empty() {
            named.push(Row {
                table: "secrets",
                row: format!("repository={repository} name={name}"),
                column: "name",
                text: vec![name],
            });
        }
    }
    Ok(named)
}

/// The App, where it is the person's.
async fn owner_of_the_app(on: &mut AnyConnection, person: &Person) -> Result<Vec<Row>> {
    let row = sqlx::query("SELECT owner FROM app")
        .fetch_optional(on)
        .await?;
    let owner: Option<String> = row.map(|row| row.try_get("owner")).transpose()?;
    let named = owner.filter(|owner| !person.traces.find(owner.as_bytes()).is_empty());
    Ok(named
        .map(|owner| Row {
            table: "app",
            row: "one=1".to_owned(),
            column: "owner",
            text: vec![owner],
        })
        .into_iter()
        .collect())
}
