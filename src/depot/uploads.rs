//! The folder of uploads: one file each, which grows until it is whole.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::place::{blocking, make_folder};
use crate::ports::UploadFiles;
use crate::ports::error::{PortError, Result};
use crate::ports::uploads::Held;

/// Keeps uploads as files of one folder.
#[derive(Debug, Clone)]
pub struct FileUploads {
    folder: PathBuf,
}

impl FileUploads {
    /// Uploads in `folder`, which is made when it is needed.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }
}

#[async_trait]
impl UploadFiles for FileUploads {
    async fn hold(&self, upload: &str) -> Result<Option<Held>> {
        let path = self.path(upload)?;
        blocking("open an upload", move || {
            let file = match File::options().write(true).open(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => make(&path)?,
                opened => opened?,
            };
            match file.try_lock() {
                Ok(()) => Ok(Some(Held(Box::new(file)))),
                Err(TryLockError::WouldBlock) => Ok(None),
                Err(TryLockError::Error(error)) => Err(error),
            }
        })
        .await
    }

    async fn write(&self, upload: &str, at: u64, bytes: Bytes) -> Result<()> {
        let path = self.path(upload)?;
        blocking("write an upload", move || {
            let file = match File::options().write(true).open(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => make(&path)?,
                opened => opened?,
            };
            file.write_all_at(&bytes, at)
        })
        .await
    }

    async fn sync(&self, upload: &str) -> Result<()> {
        let path = self.path(upload)?;
        blocking("write an upload", move || {
            File::options().write(true).open(&path)?.sync_data()
        })
        .await
    }

    async fn close(&self, upload: &str, length: u64) -> Result<String> {
        let path = self.path(upload)?;
        blocking("read an upload", move || close(&path, length)).await
    }

    fn path(&self, upload: &str) -> Result<PathBuf> {
        let is_id = !upload.is_empty() && upload.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_id {
            return Err(PortError::refused("open an upload: that is no id of one"));
        }
        Ok(self.folder.join(upload))
    }

    async fn remove(&self, upload: &str) -> Result<()> {
        let path = self.path(upload)?;
        blocking("delete an upload", move || match fs::remove_file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            done => done,
        })
        .await
    }

    async fn list(&self) -> Result<Vec<String>> {
        let folder = self.folder.clone();
        blocking("look through the uploads", move || {
            let entries = match fs::read_dir(folder) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
                entries => entries?,
            };
            let mut names = Vec::new();
            for entry in entries {
                names.extend(entry?.file_name().into_string());
            }
            names.sort();
            Ok(names)
        })
        .await
    }
}

/// A new file, whose name is on disk for good before anything is said about it.
fn make(path: &Path) -> io::Result<File> {
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folder(folder)?;
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}

/// Cuts off what was written beyond the end, and says what the rest is.
fn close(path: &Path, length: u64) -> io::Result<String> {
    let file = File::options().read(true).write(true).open(path)?;
    if file.metadata()?.len() < length {
        return Err(ErrorKind::NotFound.into());
    }
    file.set_len(length)?;
    file.sync_all()?;
    let mut digest = Sha256::new();
    let mut reader = &file;
    let mut block = vec![0; 256 * 1024];
    loop {
        let read = reader.read(&mut block)?;
        let Some(bytes) = block.get(..read).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        digest.update(bytes);
    }
    let hex = |byte: &u8| format!("{byte:02x}");
    Ok(digest.finalize().iter().map(hex).collect())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::FileUploads;
    use crate::ports::{Kind, UploadFiles};

    #[tokio::test]
    async fn bytes_that_were_not_confirmed_are_written_over_and_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let files = FileUploads::new(dir.path().join("uploads"));
        let write = async |at, text: &'static str| {
            files
                .write("a1", at, Bytes::from_static(text.as_bytes()))
                .await
        };
        write(0, "0123").await.unwrap();
        files.sync("a1").await.unwrap();
        write(4, "garbage of a broken connection").await.unwrap();
        write(4, "45").await.unwrap();
        let sha256 = files.close("a1", 6).await.unwrap();
        let path = files.path("a1").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"012345");
        // `printf 012345 | sha256sum`
        assert_eq!(
            sha256,
            "2224512ef44a62e580bb1c0dcb33aff688f4e7da8a488aeb4e7ca402c5cacf45"
        );
        assert_eq!(files.list().await.unwrap(), ["a1"]);
        files.remove("a1").await.unwrap();
        files.remove("a1").await.unwrap();
        assert!(files.list().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn one_alone_holds_an_upload_whichever_server_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let [one, other] = [0, 1].map(|_| FileUploads::new(dir.path().join("uploads")));
        let held = one.hold("c3").await.unwrap();
        assert!(held.is_some());
        assert!(other.hold("c3").await.unwrap().is_none());
        assert!(other.hold("d4").await.unwrap().is_some());
        drop(held);
        assert!(other.hold("c3").await.unwrap().is_some());
    }

    #[tokio::test]
    async fn what_is_not_all_there_is_not_closed_and_no_id_leads_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let files = FileUploads::new(dir.path().join("uploads"));
        files
            .write("b2", 0, Bytes::from_static(b"x"))
            .await
            .unwrap();
        let error = files.close("b2", 2).await.unwrap_err();
        assert_eq!(error.kind, Kind::Gone);
        for id in ["", "..", "../b2", "b2/x"] {
            assert_eq!(files.path(id).unwrap_err().kind, Kind::Refused, "{id}");
        }
    }
}
