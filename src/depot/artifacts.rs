//! The folder of artifacts.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::place::{blocking, make_folder, put, remove_folder};
use crate::domain::BuildId;
use crate::ports::Artifacts;
use crate::ports::error::{PortError, Result};
use crate::ports::logs::{LogKey, LogSlice, is_file_name};

/// Keeps artifacts as files below one folder.
#[derive(Debug, Clone)]
pub struct FileArtifacts {
    folder: PathBuf,
}

impl FileArtifacts {
    /// Artifacts below `folder`, which is made when it is needed.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// The folder of a build's artifacts.
    fn of_build(&self, build: &str) -> Result<PathBuf> {
        if is_file_name(build) {
            Ok(self.folder.join(build))
        } else {
            Err(leads_out())
        }
    }

    /// Where the file of that path is. No path leads out of its attempt's folder, and there is
    /// nothing in there that leads out of it either: only folders and files of our own making.
    fn file(&self, key: &LogKey, path: &str) -> Result<PathBuf> {
        let folder = self.of_build(&key.build)?;
        let inside = !path.contains('\0')
            && path
                .split('/')
                .all(|part| !part.is_empty() && part != "." && part != "..");
        if !is_file_name(&key.job) || !inside {
            return Err(leads_out());
        }
        let attempt = format!("{}.{}", key.job, key.attempt);
        Ok(folder.join(attempt).join(path))
    }
}

fn leads_out() -> PortError {
    PortError::refused("open an artifact: its path leads out of its place")
}

#[async_trait]
impl Artifacts for FileArtifacts {
    async fn keep(&self, key: &LogKey, path: &str, from: &Path) -> Result<()> {
        let file = self.file(key, path)?;
        let from = from.to_owned();
        blocking("keep an artifact", move || {
            if let Some(folder) = file.parent() {
                make_folder(folder)?;
            }
            put(&from, &file)
        })
        .await
    }

    async fn read(&self, key: &LogKey, path: &str, start: u64, limit: usize) -> Result<LogSlice> {
        let file = self.file(key, path)?;
        blocking("read an artifact", move || {
            let file = File::open(file)?;
            let metadata = file.metadata()?;
            if !metadata.is_file() {
                return Err(ErrorKind::NotFound.into());
            }
            let total = metadata.len();
            let start = start.min(total);
            let length = usize::try_from(total - start).unwrap_or(usize::MAX);
            let mut bytes = vec![0; length.min(limit)];
            file.read_exact_at(&mut bytes, start)?;
            Ok(LogSlice {
                start,
                total,
                bytes,
            })
        })
        .await
    }

    async fn remove(&self, build: &BuildId) -> Result<()> {
        let folder = self.of_build(build.as_str())?;
        blocking("delete artifacts", move || remove_folder(&folder)).await
    }
}

#[cfg(test)]
mod tests {
    use super::FileArtifacts;
    use crate::ports::{Artifacts, Kind, LogKey};

    fn key(job: &str) -> LogKey {
        LogKey {
            build: "b1".to_owned(),
            job: job.to_owned(),
            attempt: 2,
        }
    }

    #[tokio::test]
    async fn a_file_is_kept_by_its_path_and_read_in_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let store = FileArtifacts::new(dir.path().join("artifacts"));
        let from = dir.path().join("received");
        std::fs::write(&from, "0123456789").unwrap();
        let path = "out/a b/ü.bin";
        store.keep(&key("build"), path, &from).await.unwrap();
        assert!(!from.exists());
        assert!(dir.path().join("artifacts/b1/build.2").join(path).is_file());
        let piece = store.read(&key("build"), path, 4, 3).await.unwrap();
        assert_eq!(
            (piece.start, piece.total, piece.bytes.as_slice()),
            (4, 10, b"456".as_slice())
        );
        let rest = store.read(&key("build"), path, 8, 100).await.unwrap();
        assert_eq!(rest.bytes, b"89");
        for nothing in ["out", "out/a b", "other"] {
            let error = store.read(&key("build"), nothing, 0, 1).await.unwrap_err();
            assert_eq!(error.kind, Kind::Gone, "{nothing}: {error}");
        }
    }

    #[tokio::test]
    async fn no_path_leads_out_of_its_place() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret.key"), "key").unwrap();
        let store = FileArtifacts::new(dir.path().join("artifacts"));
        let from = dir.path().join("received");
        std::fs::write(&from, "x").unwrap();
        for path in [
            "../../../secret.key",
            "/etc/passwd",
            "a/../../b",
            "",
            ".",
            "a//b",
            "a/",
            "a\0b",
        ] {
            let error = store.read(&key("build"), path, 0, 1).await.unwrap_err();
            assert_eq!(error.kind, Kind::Refused, "{path}");
            let error = store.keep(&key("build"), path, &from).await.unwrap_err();
            assert_eq!(error.kind, Kind::Refused, "{path}");
        }
        for job in ["", "..", "a/b"] {
            let error = store.read(&key(job), "a", 0, 1).await.unwrap_err();
            assert_eq!(error.kind, Kind::Refused, "{job}");
        }
    }
}
