//! Finding a person in the database, and taking them out of it.

use async_trait::async_trait;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::database::transact;
use super::map::{ID_FIELDS, TABLES, Table};
use super::rows::Result;
use super::sql::SqlStore;
use crate::domain::PersonId;
use crate::ports::PortError;
use crate::ports::error::Result as PortResult;
use crate::ports::privacy::{Erased, Person, Privacy, Row};

/// GitHub's own account for those who are gone, <https://github.com/ghost>: may do nothing anywhere.
const GHOST_ID: i64 = 10_137;
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
            let mut last: Option<Vec<Value>> = None;
            loop {
                let from = last.as_deref();
                let (page, waiting) = transact!(self.database, tx => {
                    let page = page(tx.on(), table, person, from).await?;
                    let mut waiting = 0;
                    for found in &page {
                        if !erase(tx.on(), table, found, person).await? {
                            waiting += 1;
                        }
                    }
                    Ok((page, waiting))
                })?;
                erased.rows += page.len() as u64 - waiting;
                if waiting > 0 {
                    erased.left.push(format!(
                        "{waiting} deliveries that wait to be handled: ask again when they are"
                    ));
                }
                match page.last() {
                    Some(found) if page.len() == PAGE => last = Some(found.key.clone()),
                    _ => break,
                }
            }
            if let Some(id) = person.id {
                erased.rows += transact!(self.database, tx => forget_id(tx.on(), table, id).await)?;
            }
        }
        Ok(erased)
    }

    async fn compact(&self) -> PortResult<()> {
        Ok(self.database.compact().await?)
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
    for value in last.unwrap_or_default() {
        query = match value {
            Value::Text(text) => query.bind(text.clone()),
            Value::Number(number) => query.bind(*number),
        };
    }
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
        let numbered = person.id.is_some_and(|id| without_id(text, id).is_some());
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

/// Takes the person out of a row; `false` where it still waits to be handled as it is.
async fn erase(
    on: &mut AnyConnection,
    table: &Table,
    found: &Found,
    person: &Person,
) -> Result<bool> {
    if table.name == "deliveries" && is_named(found, person) {
        // Its signature is over its text, so there is no changing it.
        let done = sqlx::query(
            "UPDATE deliveries SET body = '', error = 'its content was erased' \
             WHERE guid = $1 AND state <> 'waiting'",
        )
        .bind(text_of(found.key.first()))
        .execute(on)
        .await?;
        return Ok(done.rows_affected() > 0);
    }
    let mut changed: Vec<(&str, String)> = Vec::new();
    for (column, text) in table.texts.iter().zip(&found.texts) {
        let Some(text) = text else { continue };
        let mut new = person.traces.replaced(text);
        if let Some(id) = person.id {
            new = without_id(new.as_deref().unwrap_or(text), id).or(new);
        }
        if let Some(new) = new {
            changed.push((column, new));
        }
    }
    if changed.is_empty() {
        return Ok(true);
    }
    if is_taken(on, table, found, &changed).await? {
        // Two rows would become one; what another name says of the same is not worth keeping.
        let statement = format!("DELETE FROM {} WHERE {}", table.name, of_key(table, 0));
        with_key(sqlx::query(AssertSqlSafe(statement)), &found.key)
            .execute(on)
            .await?;
        return Ok(true);
    }
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
    with_key(query, &found.key).execute(on).await?;
    Ok(true)
}

fn is_named(found: &Found, person: &Person) -> bool {
    found.texts.iter().flatten().any(|text| {
        !person.traces.find(text.as_bytes()).is_empty()
            || person.id.is_some_and(|id| text.contains(&id.0.to_string()))
    })
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

/// Whether another row has the key that this one would get.
async fn is_taken(
    on: &mut AnyConnection,
    table: &Table,
    found: &Found,
    changed: &[(&str, String)],
) -> Result<bool> {
    let mut key = found.key.clone();
    for (column, value) in table.key.iter().zip(&mut key) {
        if let Some((_, new)) = changed.iter().find(|(changed, _)| changed == column) {
            *value = Value::Text(new.clone());
        }
    }
    if key == found.key {
        return Ok(false);
    }
    let statement = format!("SELECT 1 FROM {} WHERE {}", table.name, of_key(table, 0));
    let other = with_key(sqlx::query(AssertSqlSafe(statement)), &key)
        .fetch_optional(on)
        .await?;
    Ok(other.is_some())
}

/// The JSON with GitHub's account for those who are gone in the fields that had this person's number; `None` where there
/// are none.
fn without_id(text: &str, id: PersonId) -> Option<String> {
    let mut new: Option<String> = None;
    for field in ID_FIELDS {
        let from = format!("\"{field}\":{}", id.0);
        let to = format!("\"{field}\":{GHOST_ID}");
        let current = new.as_deref().unwrap_or(text);
        let mut replaced = String::with_capacity(current.len());
        let mut rest = current;
        let mut found = false;
        while let Some((head, tail)) = rest.split_once(&from) {
            let goes_on = tail.starts_with(|next: char| next.is_ascii_digit());
            replaced.push_str(head);
            replaced.push_str(if goes_on { &from } else { &to });
            found |= !goes_on;
            rest = tail;
        }
        if found {
            replaced.push_str(rest);
            new = Some(replaced);
        }
    }
    new
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
                "UPDATE {} SET {column} = {GHOST_ID} WHERE {column} = $1",
                table.name
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
        "SELECT login AS name, account FROM installations WHERE state = 'active' \
         UNION SELECT owner AS name, 0 AS account FROM repositories WHERE state = 'active'",
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

#[cfg(test)]
mod tests {
    use super::without_id;
    use crate::domain::PersonId;

    #[test]
    fn numbers_of_people_go_from_the_fields_that_are_for_them() {
        let text = r#"{"number":7,"author":7,"sender":77,"nested":{"author":7}}"#;
        let without = without_id(text, PersonId(7)).unwrap();
        let expected = r#"{"number":7,"author":10137,"sender":77,"nested":{"author":10137}}"#;
        assert_eq!(without, expected);
        assert_eq!(without_id(text, PersonId(8)), None);
    }
}
