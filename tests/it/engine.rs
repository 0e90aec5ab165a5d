//! The database that stories are told on: a SQLite file in the folder of each, or, with `HERALD_TEST_ENGINE=postgres`, a database of each on the server
//! that `HERALD_TEST_POSTGRES` names.

use std::path::Path;

use herald::store::SqlStore;

/// A database of its own. It goes with this value.
pub(crate) struct Engine {
    /// Where it is, as sqlx reads it.
    address: String,
    /// The server and the database's name, where it is PostgreSQL.
    made: Option<(String, String)>,
}

impl Engine {
    /// A new one.
    pub(crate) async fn new(folder: &Path) -> Self {
        sqlx::any::install_default_drivers();
        match std::env::var("HERALD_TEST_ENGINE").as_deref() {
            Ok("postgres") => Self::postgres().await,
            Ok(other) => panic!("HERALD_TEST_ENGINE: {other} is no engine"),
            Err(_) => Self {
                address: format!("sqlite://{}", folder.join("herald.db").display()),
                made: None,
            },
        }
    }

    /// A new one on PostgreSQL.
    pub(crate) async fn postgres() -> Self {
        sqlx::any::install_default_drivers();
        let server = std::env::var("HERALD_TEST_POSTGRES").unwrap();
        let name = format!("herald_{}", uuid::Uuid::new_v4().simple());
        run(&server, format!("CREATE DATABASE {name}")).await;
        Self {
            address: format!("{server}/{name}"),
            made: Some((server, name)),
        }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The store on it.
    pub(crate) async fn open(&self) -> SqlStore {
        match self.address.strip_prefix("sqlite://") {
            Some(file) => SqlStore::sqlite(Path::new(file)).await,
            None => SqlStore::postgres(&self.address).await,
        }
        .unwrap()
    }

    /// A connection beside the store's.
    pub(crate) async fn pool(&self) -> sqlx::AnyPool {
        sqlx::AnyPool::connect(&self.address).await.unwrap()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let Some((server, name)) = self.made.take() else {
            return;
        };
        // Whoever is still connected is of a story that has ended.
        let drop = format!("DROP DATABASE {name} WITH (FORCE)");
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(run(&server, drop));
        });
        let _ = dropping.join();
    }
}

async fn run(server: &str, statement: String) {
    let address = format!("{server}/postgres");
    let pool = sqlx::AnyPool::connect(&address).await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(statement))
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
}
