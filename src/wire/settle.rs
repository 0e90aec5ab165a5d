//! Settings over what `/setup` stored, and the database beside a server that runs.

use anyhow::Context;
use tracing::warn;

use super::key::known_key;
use crate::config::{Config, Database};
use crate::ports::Store;
use crate::store::SqlStore;

/// The settings of a server with this store.
///
/// # Errors
/// When credentials are missing, or the stored ones do not open and no others are given.
pub(super) async fn settle(config: &Config, store: &dyn Store) -> anyhow::Result<Config> {
    match store.registered_app().await {
        Ok(stored) => Ok(config.over(stored.as_ref())?),
        Err(error) if config.credentials.is_some() => {
            warn!("failed to {error}");
            Ok(config.over(None)?)
        }
        Err(error) => Err(error).context("failed to use what /setup stored"),
    }
}

/// The durable state beside the server that may be using it: nothing of its state is touched, and no
/// key is made.
///
/// # Errors
/// When it cannot be opened, or an earlier version has its schema: it may still run.
pub async fn open_beside(config: &Config) -> anyhow::Result<SqlStore> {
    let store = match &config.database {
        Database::Sqlite => {
            let file = config.data_dir.join("herald.db");
            SqlStore::is_of_this_version(&format!("sqlite://{}", file.display())).await?;
            SqlStore::sqlite_beside(&file).await?
        }
        Database::Postgres(address) => {
            SqlStore::is_of_this_version(address.expose()).await?;
            SqlStore::postgres(address.expose()).await?
        }
    };
    Ok(match known_key(config)? {
        Some(key) => store.with_key(key),
        None => store,
    })
}
