//! What the setup needs of the world: GitHub, and the server that it becomes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::doctor::examine;
use crate::config::Config;
use crate::domain::{Finding, Health, Proposal, Registration};
use crate::github::{Client, ClientOptions, manifest_of};
use crate::ports::error::Result;
use crate::ports::{Clock, PortError, Registrar};

/// How long GitHub may take for its answer: somebody sits before the page.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks the server to begin, and is told what came of it.
pub(super) type Begin = oneshot::Sender<std::result::Result<(), String>>;

/// Registers the App of this very server.
pub(super) struct SelfRegistrar {
    /// As flags and variables say.
    pub(super) config: Config,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) begin: mpsc::Sender<Begin>,
}

#[async_trait]
impl Registrar for SelfRegistrar {
    fn manifest(&self, proposal: &Proposal) -> String {
        manifest_of(proposal).to_string()
    }

    async fn convert(&self, proposal: &Proposal, code: &str) -> Result<Registration> {
        let options = ClientOptions {
            api_url: proposal.home.api_url.clone(),
            key: None,
            rested: true,
            outbound: self.config.outbound.clone(),
        };
        let client = Client::new(options, Arc::clone(&self.clock))?;
        let answer = tokio::time::timeout(PATIENCE, client.convert(proposal, code)).await;
        answer.unwrap_or_else(|_| {
            Err(PortError::transient(format!(
                "hear from {} within {} s",
                proposal.home.api_url,
                PATIENCE.as_secs()
            )))
        })
    }

    async fn begin(&self) -> Result<()> {
        let gone = || PortError::transient("begin: the server stops");
        let (reply, told) = oneshot::channel();
        self.begin.send(reply).await.map_err(|_| gone())?;
        match told.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(text)) => Err(PortError::refused(format!("begin: {text}"))),
            Err(_) => Err(gone()),
        }
    }

    async fn examine(&self) -> Vec<Finding> {
        let config = self.config.clone();
        // On a thread of its own: its future is not one that may move between threads.
        let work = move || {
            let examination = tokio::time::timeout(PATIENCE, examine(&config));
            Handle::current().block_on(examination)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok((findings, _))) => findings,
            _ => vec![Finding {
                health: Health::Odd,
                what: format!("no result within {} s", PATIENCE.as_secs()),
                way_out: "`herald doctor` on the server takes its time".to_owned(),
            }],
        }
    }
}
