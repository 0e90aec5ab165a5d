//! What badges say of a repository beside its builds: the newest release and deployment.

use http::Method;
use serde::Deserialize;

use super::forge::{GitHub, at, who};
use super::limit::Urgency;
use super::who::As;
use crate::domain::{Repository, version};
use crate::ports::Kind;
use crate::ports::error::Result;

#[derive(Deserialize)]
struct ReleaseRow {
    tag_name: String,
}

#[derive(Deserialize)]
struct TagRow {
    name: String,
}

#[derive(Deserialize)]
struct DeploymentRow {
    id: u64,
    environment: String,
}

#[derive(Deserialize)]
struct DeploymentStatusRow {
    state: String,
}

/// A badge is never urgent.
fn calmly(repository: &Repository) -> As {
    who(repository).when(Urgency::Progress)
}

impl GitHub {
    /// The tag of the release that GitHub calls the latest, else the highest of the newest 100 tags.
    pub(super) async fn find_release(&self, repository: &Repository) -> Result<Option<String>> {
        let path = at(repository, "releases/latest");
        let release: Result<ReleaseRow> = self
            .client()
            .json(calmly(repository), Method::GET, &path, None)
            .await;
        match release {
            Ok(release) => return Ok(Some(release.tag_name)),
            // There is none.
            Err(error) if error.kind == Kind::Gone => {}
            Err(error) => return Err(error),
        }
        let path = at(repository, "tags?per_page=100");
        let tags: Vec<TagRow> = self
            .client()
            .json(calmly(repository), Method::GET, &path, None)
            .await?;
        let names = tags.iter().map(|tag| tag.name.as_str());
        Ok(version::highest(names).map(str::to_owned))
    }

    /// The newest deployment with the newest of its states; one without a state is pending.
    pub(super) async fn find_deployment(
        &self,
        repository: &Repository,
    ) -> Result<Option<(String, String)>> {
        let path = at(repository, "deployments?per_page=1");
        let newest: Vec<DeploymentRow> = self
            .client()
            .json(calmly(repository), Method::GET, &path, None)
            .await?;
        let Some(deployment) = newest.into_iter().next() else {
            return Ok(None);
        };
        let path = format!("deployments/{}/statuses?per_page=1", deployment.id);
        let path = at(repository, &path);
        let states: Vec<DeploymentStatusRow> = self
            .client()
            .json(calmly(repository), Method::GET, &path, None)
            .await?;
        let state = states.into_iter().next();
        let state = state.map_or_else(|| "pending".to_owned(), |status| status.state);
        Ok(Some((deployment.environment, state)))
    }
}
