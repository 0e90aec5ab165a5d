//! Artifacts and caches, as files in the data directory.
//!
//! Artifacts stand under build, job and attempt by their path in the workspace. Caches are archives
//! under hashes of repository and key, those of trusted and of untrusted builds apart. A file
//! appears whole or not at all. Uploads are files that grow, by the ids of their rows. Nothing here knows builds or what is in the files. A full disk is
//! a `Transient` error.

mod artifacts;
pub mod backup;
mod caches;
mod place;
mod traces;
mod uploads;

pub use artifacts::FileArtifacts;
pub use caches::FileCaches;
pub use traces::StoredFiles;
pub use uploads::FileUploads;
