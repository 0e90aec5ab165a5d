//! What setting a server up needs of the world.

use async_trait::async_trait;

use super::error::Result;
use crate::domain::{Finding, Proposal, Registration};

/// Registers the App, and makes a working server of one that waits for it.
#[async_trait]
pub trait Registrar: Send + Sync {
    /// The manifest of such an App, as JSON.
    fn manifest(&self, proposal: &Proposal) -> String;
    /// Turns the code that GitHub gave into the App. It is good for one hour and for once.
    ///
    /// # Errors
    /// `Gone` when the code is good no more; after `Transient` it may have been used.
    async fn convert(&self, proposal: &Proposal, code: &str) -> Result<Registration>;
    /// The App is stored: begins to work as it, and comes back when webhooks are taken.
    ///
    /// # Errors
    /// When the server must be started again for that.
    async fn begin(&self) -> Result<()>;
    /// Examines the server, as `herald doctor` does.
    async fn examine(&self) -> Vec<Finding>;
}
