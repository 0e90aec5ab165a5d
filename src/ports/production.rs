//! What GitHub shows of deployments, and the pull requests that lead to them.

use async_trait::async_trait;

use super::error::Result;
use crate::domain::{Deployment, PromotionPull, Repository};

/// A pull request found on GitHub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPull {
    /// Its number.
    pub number: i64,
    /// Its title. Untrusted text.
    pub title: String,
    /// Its body. Untrusted text.
    pub body: String,
}

/// Deployments and promotions. A part of the forge.
#[async_trait]
pub trait Production: Send + Sync {
    /// Looks for the deployment of this commit to this environment that was made with this mark, and says its id.
    ///
    /// # Errors
    /// As the kinds say.
    async fn find_deployment(
        &self,
        repository: &Repository,
        mark: &str,
        deployment: &Deployment,
    ) -> Result<Option<String>>;
    /// Makes a deployment, without a state, and says its id.
    ///
    /// # Errors
    /// As the kinds say; after `Transient` it may have taken effect.
    async fn create_deployment(
        &self,
        repository: &Repository,
        mark: &str,
        deployment: &Deployment,
    ) -> Result<String>;
    /// Whether the newest state of a deployment is this one.
    ///
    /// # Errors
    /// As the kinds say.
    async fn deployment_stands(
        &self,
        repository: &Repository,
        id: &str,
        deployment: &Deployment,
    ) -> Result<bool>;
    /// Tells the state of a deployment.
    ///
    /// # Errors
    /// As the kinds say; after `Transient` it may have taken effect.
    async fn set_deployment_state(
        &self,
        repository: &Repository,
        id: &str,
        deployment: &Deployment,
    ) -> Result<()>;
    /// The open pull request between the two branches of the repository itself.
    ///
    /// # Errors
    /// As the kinds say.
    async fn find_promotion(
        &self,
        repository: &Repository,
        pull: &PromotionPull,
    ) -> Result<Option<FoundPull>>;
    /// Opens the pull request.
    ///
    /// # Errors
    /// As the kinds say; after `Transient` it may have taken effect.
    async fn open_promotion(&self, repository: &Repository, pull: &PromotionPull) -> Result<()>;
    /// Changes title and body of a pull request; without a title that stays.
    ///
    /// # Errors
    /// As the kinds say.
    async fn edit_pull(
        &self,
        repository: &Repository,
        number: i64,
        title: Option<&str>,
        body: &str,
    ) -> Result<()>;
}
