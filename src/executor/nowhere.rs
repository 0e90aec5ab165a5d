//! No place to run: of a process that only serves the web.

use async_trait::async_trait;

use crate::ports::error::Result;
use crate::ports::executor::Abilities;
use crate::ports::{Executor, JobOrder, PortError, Running};

/// Starts nothing.
#[derive(Debug, Clone, Copy)]
pub struct Nowhere;

#[async_trait]
impl Executor for Nowhere {
    fn name(&self) -> &'static str {
        "none"
    }

    fn isolates(&self) -> bool {
        false
    }

    fn abilities(&self) -> Abilities {
        Abilities::default()
    }

    async fn start(&self, _order: JobOrder) -> Result<Box<dyn Running>> {
        Err(PortError::refused(
            "start a job: this process serves the web only (HERALD_ROLE=web)",
        ))
    }
}
