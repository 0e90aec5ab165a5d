//! Several processes on one PostgreSQL: who is there, who does what one is enough for, and what has changed.

use async_trait::async_trait;
use sqlx::postgres::PgListener;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::database::{StoreError, transact};
use super::rows::{self, Result};
use super::sql::SqlStore;
use crate::ports::error::Result as PortResult;
use crate::ports::{Cluster, Others};

/// Where changes are told of; a name of its own in each database.
const CHANNEL: &str = "herald";

#[async_trait]
impl Cluster for SqlStore {
    async fn appear(&self, name: &str, works: bool, now_ms: i64, since_ms: i64) -> PortResult<u32> {
        if self.database.is_ours_alone() {
            return Ok(1);
        }
        let process = Process {
            name,
            holder: self.database.name(),
            works,
        };
        transact!(self.database, tx => appear(tx.on(), &process, now_ms, since_ms).await)
    }

    async fn disappear(&self, name: &str) -> PortResult<()> {
        if self.database.is_ours_alone() {
            return Ok(());
        }
        transact!(self.database, tx => disappear(tx.on(), name).await)
    }

    async fn lead(&self, task: &str, name: &str, now_ms: i64, until_ms: i64) -> PortResult<bool> {
        if self.database.is_ours_alone() {
            return Ok(true);
        }
        transact!(self.database, tx => lead(tx.on(), task, name, now_ms, until_ms).await)
    }

    async fn tell_others(&self) -> PortResult<()> {
        if self.database.is_ours_alone() {
            return Ok(());
        }
        let mut on = self.database.read().await?;
        sqlx::query("SELECT pg_notify($1, $2)")
            .bind(CHANNEL)
            .bind(self.database.name())
            .execute(&mut *on)
            .await
            .map_err(StoreError::from)?;
        Ok(())
    }

    async fn others(&self) -> PortResult<Option<Box<dyn Others>>> {
        let Some(address) = self.database.address() else {
            return Ok(None);
        };
        let listen = async {
            let mut listener = PgListener::connect(address).await?;
            listener.listen(CHANNEL).await?;
            Ok::<_, sqlx::Error>(listener)
        };
        let listener = listen.await.map_err(StoreError::from)?;
        let ours = self.database.name().to_owned();
        Ok(Some(Box::new(Heard { listener, ours })))
    }
}

/// Takes back what a former process on this SQLite had taken: it is gone. Only what is still to be done can be taken, and
/// an index leads there: the tables keep what was done for weeks, and a server does not read all of it when it starts.
pub(super) async fn take_back_leases(on: &mut AnyConnection) -> Result<()> {
    for statement in [
        "UPDATE deliveries SET lease_ms = 0 WHERE state = 'waiting' AND lease_ms > 0",
        "UPDATE triggers SET lease_ms = 0 WHERE state = 'waiting' AND lease_ms > 0",
        "UPDATE publications SET lease_ms = 0 WHERE version > sent AND lease_ms > 0",
    ] {
        sqlx::query(statement).execute(&mut *on).await?;
    }
    Ok(())
}

/// What is told on the channel, without what we tell ourselves.
struct Heard {
    listener: PgListener,
    ours: String,
}

#[async_trait]
impl Others for Heard {
    async fn next(&mut self) -> PortResult<()> {
        loop {
            let told = self.listener.recv().await.map_err(StoreError::from)?;
            if told.payload() != self.ours {
                return Ok(());
            }
        }
    }
}

/// A process that is there.
struct Process<'a> {
    name: &'a str,
    holder: &'a str,
    works: bool,
}

async fn appear(
    on: &mut AnyConnection,
    process: &Process<'_>,
    now_ms: i64,
    since_ms: i64,
) -> Result<u32> {
    let gone = sqlx::query(
        "SELECT name, holder FROM processes WHERE seen_ms < $1 OR (name = $2 AND holder <> $3)",
    )
    .bind(since_ms)
    .bind(process.name)
    .bind(process.holder)
    .fetch_all(&mut *on)
    .await?;
    for row in &gone {
        let holder: String = row.try_get("holder")?;
        // Ours of the life before is dead; another one may only be slow, and what it sends may yet arrive.
        let is_dead = row.try_get::<String, _>("name")? == process.name;
        let tables = ["deliveries", "triggers", "publications"];
        for table in tables.iter().take(if is_dead { 3 } else { 2 }) {
            sqlx::query(AssertSqlSafe(format!(
                "UPDATE {table} SET lease_ms = 0, holder = NULL WHERE holder = $1 AND lease_ms > $2"
            )))
            .bind(&holder)
            .bind(now_ms)
            .execute(&mut *on)
            .await?;
        }
    }
    sqlx::query("DELETE FROM processes WHERE seen_ms < $1")
        .bind(since_ms)
        .execute(&mut *on)
        .await?;
    sqlx::query(
        "INSERT INTO processes (name, holder, works, seen_ms) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, works = excluded.works, \
         seen_ms = excluded.seen_ms",
    )
    .bind(process.name)
    .bind(process.holder)
    .bind(i64::from(process.works))
    .bind(now_ms)
    .execute(&mut *on)
    .await?;
    let row = sqlx::query("SELECT COUNT(*) AS workers FROM processes WHERE works = 1")
        .fetch_one(on)
        .await?;
    Ok(rows::count(&row, "workers")?.max(1))
}

async fn disappear(on: &mut AnyConnection, name: &str) -> Result<()> {
    for statement in [
        "DELETE FROM processes WHERE name = $1",
        "DELETE FROM leaders WHERE name = $1",
    ] {
        sqlx::query(statement).bind(name).execute(&mut *on).await?;
    }
    Ok(())
}

async fn lead(
    on: &mut AnyConnection,
    task: &str,
    name: &str,
    now_ms: i64,
    until_ms: i64,
) -> Result<bool> {
    let done = sqlx::query(
        "INSERT INTO leaders (task, name, until_ms) VALUES ($1, $2, $3) \
         ON CONFLICT (task) DO UPDATE SET name = excluded.name, until_ms = excluded.until_ms \
         WHERE leaders.name = excluded.name OR leaders.until_ms < $4",
    )
    .bind(task)
    .bind(name)
    .bind(until_ms)
    .bind(now_ms)
    .execute(on)
    .await?;
    Ok(done.rows_affected() > 0)
}
