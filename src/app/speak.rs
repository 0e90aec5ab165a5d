//! What badges say of a repository beside its builds: the newest release and deployment, looked for
//! whenever its default branch moves or a tag is set.

use super::state::App;
use crate::domain::{Occasion, Repository, Trigger};
use crate::feedback;
use crate::ports::error::Result;
use crate::spec::BadgeSettings;

/// What GitHub told, if it did.
fn told<T>(answer: Result<Option<T>>) -> Option<T> {
    answer.unwrap_or_else(|error| {
        tracing::info!("failed to {error}; the badge keeps what it said");
        None
    })
}

impl App {
    /// Looks for release and deployment, and has the badges say so. What GitHub does not tell now
    /// stays as it was.
    pub(super) async fn speak_of_repository(
        &self,
        trigger: &Trigger,
        repository: &Repository,
        settings: &BadgeSettings,
    ) -> Result<()> {
        let branch = &repository.default_branch;
        let speaks = match &trigger.occasion {
            Occasion::Push { branch: pushed, .. } => pushed == branch,
            Occasion::Tag { .. } => true,
            Occasion::PullRequest { .. } | Occasion::MergeGroup { .. } => false,
        };
        if !speaks {
            return Ok(());
        }
        let forge = &self.parts.forge;
        let release = told(forge.newest_release(repository).await);
        let deployment = told(forge.newest_deployment(repository).await);
        let badges = feedback::repository_badges(settings, release.as_deref(), deployment.as_ref());
        if badges.is_empty() {
            return Ok(());
        }
        let store = &self.parts.store;
        store
            .keep_badges(&repository.id, branch, badges, trigger.created_ms)
            .await
    }
}
