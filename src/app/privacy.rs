//! What is known of a person: telling it, and taking it out.

use serde::Serialize;
use tracing::info;

use super::state::App;
use crate::domain::Deed;
use crate::ports::error::Result;
use crate::ports::privacy::{NamedIn, Person, Row};

/// All that is known of a person.
#[derive(Debug, Serialize)]
pub struct KnownOf {
    /// Places in the database.
    pub database: Vec<Row>,
    /// Logs, artifacts, uploads and caches.
    pub files: Vec<NamedIn>,
    /// Copies of repositories with commits that name them.
    pub repositories: Vec<String>,
}

/// What was taken out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, serde::Deserialize)]
pub struct Forgotten {
    /// Rows of the database.
    pub rows: u64,
    /// Files in which names were written over.
    pub files: u64,
    /// Files that went as a whole.
    pub removed: u64,
    /// Copies of repositories that went; they are fetched again when they are needed.
    pub repositories: u64,
    /// What had to stay, and why.
    pub left: Vec<String>,
}

impl App {
    /// Everything that is known of a person.
    ///
    /// # Errors
    /// When the store, the disk or git fails.
    pub async fn known_of(&self, person: &Person) -> Result<KnownOf> {
        Ok(KnownOf {
            database: self.parts.store.find_person(person).await?,
            files: self.parts.files.find(&person.traces).await?,
            repositories: self.parts.source.naming(person.traces.names()).await?,
        })
    }

    /// Takes a person out of the database, of files, and of what deleted rows left behind.
    ///
    /// # Errors
    /// `Refused` where the App is installed on their account; when the store, the disk or git fails: what went before
    /// stays away, and asking again goes on.
    pub async fn erase(&self, person: &Person) -> Result<Forgotten> {
        let store = &self.parts.store;
        let erased = store.erase_person(person).await?;
        let blanked = self.parts.files.erase(&person.traces).await?;
        let repositories = self.parts.source.naming(person.traces.names()).await?;
        for repository in &repositories {
            self.parts.source.remove(repository).await?;
        }
        // Not whom.
        let deed = Deed::of_operator("privacy erase", None, format!("{} rows", erased.rows));
        store.note(&deed, self.now_ms()).await?;
        store.compact().await?;
        info!(
            rows = erased.rows,
            files = blanked.files + blanked.removed,
            "a person was erased"
        );
        self.stir();
        Ok(Forgotten {
            rows: erased.rows,
            files: blanked.files,
            removed: blanked.removed,
            repositories: repositories.len() as u64,
            left: erased.left,
        })
    }
}
