//! Jobs of GitHub Actions that say who they are.

use async_trait::async_trait;

use super::error::Result;
use crate::domain::{Secret, WorkflowIdentity};

/// Knows the tokens that GitHub gives to jobs of its Actions.
#[async_trait]
pub trait Identities: Send + Sync {
    /// Who has this token, which was made for `audience`.
    ///
    /// # Errors
    /// `Denied`, with what is wrong with it, when it is not good; `Transient` when GitHub's keys cannot be had.
    async fn identify(&self, token: &Secret, audience: &str) -> Result<WorkflowIdentity>;
}
