//! What the use cases need of the world, as traits.
//!
//! Nothing here knows a vendor crate; adapters on the floors above implement these traits, and
//! tests replace them. Every error is classed by what the caller does next (see [`error`]).

pub mod artifacts;
pub mod audit;
pub mod caches;
pub mod clock;
pub mod cluster;
pub mod commits;
pub mod deployments;
pub mod error;
pub mod executor;
pub mod forge;
pub mod history;
pub mod identities;
pub mod imports;
pub mod judging;
pub mod keeping;
pub mod logs;
pub mod people;
pub mod privacy;
pub mod production;
pub mod quarantine;
pub mod registrar;
pub mod source;
pub mod store;
mod stored;
pub mod uploads;
pub mod workflows;

pub use artifacts::Artifacts;
pub use audit::Audit;
pub use caches::Caches;
pub use clock::Clock;
pub use cluster::{Cluster, Others};
pub use commits::Commits;
pub use deployments::Deployments;
pub use error::{Kind, PortError};
pub use executor::{Executor, JobEvent, JobOrder, Running};
pub use forge::Forge;
pub use history::TestHistory;
pub use identities::Identities;
pub use imports::Imports;
pub use judging::Judging;
pub use keeping::Keeping;
pub use logs::{LineSlice, LogKey, LogStore, LogWriter, StepLines};
pub use people::People;
pub use privacy::{Files, Privacy};
pub use production::Production;
pub use quarantine::Quarantines;
pub use registrar::Registrar;
pub use source::Source;
pub use store::Store;
pub use uploads::{UploadFiles, Uploads};
pub use workflows::Workflows;
