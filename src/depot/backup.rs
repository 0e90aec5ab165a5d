//! Backups: one tar file with the database, logs, artifacts and uploads, and the sums of all of them.
//!
//! The first member says what it is, the last one has the SHA-256 sums of all others as `sha256sum --check` takes them; a
//! backup without them was cut off. What can be made again (caches, mirrors) is not in it.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

/// The way in which things are put into a backup.
const LAYOUT: u32 = 1;
const MANIFEST: &str = "herald-backup.json";
const SUMS: &str = "SHA256SUMS";
/// The database's name, there and in the data directory.
pub const DATABASE: &str = "herald.db";
/// The key's name, there and in the data directory.
pub const KEY: &str = "secret.key";
/// Folders of files that cannot be made again.
pub const FOLDERS: [&str; 3] = ["logs", "artifacts", "uploads"];
/// The longest sums and manifest that are read, in bytes.
const TEXT: u64 = 1 << 30;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    layout: u32,
    /// The version of Herald that made it.
    pub herald: String,
    /// When, in unix milliseconds.
    pub made_ms: i64,
    /// Whether the key that opens its secrets is in it.
    pub with_key: bool,
}

impl Manifest {
    /// Of a backup that this version makes now.
    pub fn now(made_ms: i64, with_key: bool) -> Self {
        Self {
            layout: LAYOUT,
            herald: env!("CARGO_PKG_VERSION").to_owned(),
            made_ms,
            with_key,
        }
    }
}

/// Why a backup cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The disk or the stream refuses.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is no backup.
    #[error("it is no backup of Herald: {0}")]
    Foreign(String),
    /// A newer Herald made it.
    #[error("Herald {0} made it, which is newer than this one; restore it with that version")]
    Newer(String),
    /// It was changed, or it is not whole.
    #[error("it is damaged: {0}")]
    Damaged(String),
}

/// Writes a backup.
pub struct Packer<W: Write> {
    tar: tar::Builder<W>,
    sums: String,
    files: u64,
}

impl<W: Write> Packer<W> {
    /// Begins with what it says of itself.
    ///
    /// # Errors
    /// When the stream refuses.
    pub fn new(to: W, manifest: &Manifest) -> io::Result<Self> {
        let mut packer = Self {
            tar: tar::Builder::new(to),
            sums: String::new(),
            files: 0,
        };
        let text = serde_json::to_vec(manifest)?;
        packer.put(MANIFEST, text.len() as u64, text.as_slice())?;
        Ok(packer)
    }

    /// Adds a file.
    ///
    /// # Errors
    /// When it cannot be read, or the stream refuses.
    pub fn file(&mut self, name: &str, path: &Path) -> io::Result<()> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        self.put(name, length, file)
    }

    /// Adds the files of a folder, as far as they are still there. Those that grow meanwhile are taken as long as they were.
    ///
    /// # Errors
    /// When one cannot be read, or the stream refuses.
    pub fn folder(&mut self, name: &str, folder: &Path) -> io::Result<()> {
        for entry in WalkDir::new(folder).sort_by_file_name() {
            let entry = match entry {
                Err(error) if is_gone(error.io_error()) => continue,
                entry => entry?,
            };
            if !entry.file_type().is_file() {
                continue;
            }
            let Ok(inside) = entry.path().strip_prefix(folder) else {
                continue;
            };
            let Some(inside) = inside.to_str() else {
                let text = format!("the name of {} is not UTF-8", entry.path().display());
                return Err(io::Error::new(ErrorKind::InvalidData, text));
            };
            match self.file(&format!("{name}/{inside}"), entry.path()) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                done => done?,
            }
        }
        Ok(())
    }

    /// Ends with the sums; says how many files there are.
    ///
    /// # Errors
    /// When the stream refuses.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        let sums = std::mem::take(&mut self.sums);
        self.put(SUMS, sums.len() as u64, sums.as_bytes())?;
        // Neither the first nor the last one is a file of anybody's.
        Ok((self.tar.into_inner()?, self.files - 2))
    }

    fn put(&mut self, name: &str, length: u64, from: impl Read) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(length);
        header.set_mode(0o600);
        header.set_mtime(0);
        // Who cuts a file short meanwhile has deleted what was in it.
        let from = from.take(length).chain(io::repeat(0));
        let mut summed = Summed::new(from.take(length));
        self.tar.append_data(&mut header, name, &mut summed)?;
        self.sums.push_str(&format!("{}  {name}\n", summed.hex()));
        self.files += 1;
        Ok(())
    }
}

fn is_gone(error: Option<&io::Error>) -> bool {
    error.is_some_and(|error| error.kind() == ErrorKind::NotFound)
}

/// What was unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// What the backup says of itself.
    pub manifest: Manifest,
    /// How many files there are.
    pub files: u64,
}

/// Unpacks a backup into an empty folder, and compares all of it with its sums.
///
/// # Errors
/// When it is none, damaged, or of a newer version; when the disk refuses. The folder then has a part of it.
pub fn unpack(from: impl Read, into: &Path) -> Result<Unpacked, BackupError> {
    let mut archive = tar::Archive::new(from);
    let mut manifest: Option<Manifest> = None;
    let mut sums: Option<String> = None;
    let mut found = String::new();
    let mut files = 0;
    let entries = archive
        .entries()
        .map_err(|error| BackupError::Foreign(error.to_string()))?;
    for entry in entries {
        let mut entry = entry.map_err(|error| broken(manifest.as_ref(), &error))?;
        let path = entry.path()?.into_owned();
        let name = path.to_string_lossy().into_owned();
        if sums.is_some() {
            return Err(BackupError::Damaged(format!("{name} comes after its end")));
        }
        if manifest.is_none() {
            let (read, sum) = read_manifest(&name, &mut entry)?;
            manifest = Some(read);
            found.push_str(&format!("{sum}  {name}\n"));
            continue;
        }
        if name == SUMS {
            let mut text = String::new();
            entry.by_ref().take(TEXT).read_to_string(&mut text)?;
            sums = Some(text);
            continue;
        }
        let place = place(&path, entry.header().entry_type())
            .ok_or_else(|| BackupError::Damaged(format!("{name} does not belong into it")))?;
        let sum = write(&into.join(place), &mut entry)
            .map_err(|error| io::Error::new(error.kind(), format!("write {name}: {error}")))?;
        found.push_str(&format!("{sum}  {name}\n"));
        files += 1;
    }
    let manifest = manifest.ok_or_else(|| BackupError::Foreign("it is empty".to_owned()))?;
    let sums = sums.ok_or_else(|| BackupError::Damaged("its end is missing".to_owned()))?;
    if let Some((expected, _)) = sums
        .lines()
        .zip(found.lines())
        .find(|(expected, found)| expected != found)
    {
        let name = expected.split_once("  ").map_or(expected, |(_, name)| name);
        return Err(BackupError::Damaged(format!("{name} is not what it was")));
    }
    if sums != found {
        return Err(BackupError::Damaged("files of it are missing".to_owned()));
    }
    Ok(Unpacked { manifest, files })
}

fn broken(manifest: Option<&Manifest>, error: &io::Error) -> BackupError {
    if manifest.is_none() {
        BackupError::Foreign(error.to_string())
    } else {
        BackupError::Damaged(error.to_string())
    }
}

fn read_manifest(name: &str, entry: impl Read) -> Result<(Manifest, String), BackupError> {
    #[derive(Deserialize)]
    struct Version {
        layout: u32,
        herald: String,
    }
    if name != MANIFEST {
        return Err(BackupError::Foreign(format!("it begins with {name}")));
    }
    let mut text = Vec::new();
    let mut summed = Summed::new(entry.take(TEXT));
    summed.read_to_end(&mut text)?;
    let wrong = |error: serde_json::Error| BackupError::Foreign(error.to_string());
    let version: Version = serde_json::from_slice(&text).map_err(wrong)?;
    if version.layout > LAYOUT {
        return Err(BackupError::Newer(version.herald));
    }
    Ok((serde_json::from_slice(&text).map_err(wrong)?, summed.hex()))
}

/// Where a member goes; `None` for what no backup has: a link, a way out, another place.
fn place(path: &Path, kind: tar::EntryType) -> Option<PathBuf> {
    if !kind.is_file() {
        return None;
    }
    let mut place = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => place.push(name),
            _ => return None,
        }
    }
    let mut parts = place.components();
    let first = parts.next()?.as_os_str().to_str()?;
    let has_more = parts.next().is_some();
    let known = match first {
        DATABASE | KEY => !has_more,
        folder => FOLDERS.contains(&folder) && has_more,
    };
    known.then_some(place)
}

fn write(path: &Path, from: impl Read) -> io::Result<String> {
    if let Some(folder) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let mut summed = Summed::new(from);
    io::copy(&mut summed, &mut file)?;
    file.sync_all()?;
    Ok(summed.hex())
}

/// Moves what was unpacked into its places, the database last: with it, it is a Herald. What may be on another disk is
/// brought there first, so that a disk that is too small is found out before anything has moved.
///
/// # Errors
/// When the disk refuses.
pub fn move_in(from: &Path, data_dir: &Path, storage_dir: &Path) -> io::Result<()> {
    let mut ready = Vec::new();
    for name in [KEY, DATABASE] {
        let (source, target) = (from.join(name), data_dir.join(name));
        if !source.exists() || target.exists() {
            continue;
        }
        let beside = data_dir.join(format!("{name}.restored"));
        match fs::rename(&source, &beside) {
            Err(error) if error.kind() == ErrorKind::CrossesDevices => {
                fs::copy(&source, &beside)?;
                File::open(&beside)?.sync_all()?;
            }
            moved => moved?,
        }
        ready.push((beside, target));
    }
    for folder in FOLDERS {
        if from.join(folder).exists() {
            let to = storage_dir.join(folder);
            match fs::remove_dir(&to) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            fs::rename(from.join(folder), to)?;
        }
    }
    for (beside, target) in ready {
        fs::rename(beside, target)?;
    }
    fs::remove_dir_all(from)?;
    File::open(data_dir)?.sync_all()
}

/// A reader that sums up what was read.
struct Summed<R> {
    from: R,
    digest: Sha256,
}

impl<R: Read> Summed<R> {
    fn new(from: R) -> Self {
        Self {
            from,
            digest: Sha256::new(),
        }
    }

    fn hex(self) -> String {
        let hex = |byte: &u8| format!("{byte:02x}");
        self.digest.finalize().iter().map(hex).collect()
    }
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.digest.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::{BackupError, Manifest, Packer, unpack};

    fn packed(dir: &std::path::Path) -> Vec<u8> {
        std::fs::create_dir_all(dir.join("logs/b1")).unwrap();
        std::fs::write(dir.join("herald.db"), "rows").unwrap();
        std::fs::write(dir.join("logs/b1/build.1.log"), "output").unwrap();
        let mut packer = Packer::new(Vec::new(), &Manifest::now(7, false)).unwrap();
        packer.file("herald.db", &dir.join("herald.db")).unwrap();
        packer.folder("logs", &dir.join("logs")).unwrap();
        let (bytes, files) = packer.finish().unwrap();
        assert_eq!(files, 2);
        bytes
    }

    #[test]
    fn what_is_packed_comes_out_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = packed(dir.path());
        let into = tempfile::tempdir().unwrap();
        let unpacked = unpack(bytes.as_slice(), into.path()).unwrap();
        assert_eq!((unpacked.files, unpacked.manifest.made_ms), (2, 7));
        let read = |path: &str| std::fs::read_to_string(into.path().join(path)).unwrap();
        assert_eq!(read("herald.db"), "rows");
        assert_eq!(read("logs/b1/build.1.log"), "output");
    }

    #[test]
    fn what_was_changed_cut_or_is_something_else_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = packed(dir.path());
        let error = |bytes: &[u8]| {
            let into = tempfile::tempdir().unwrap();
            unpack(bytes, into.path()).unwrap_err()
        };
        let at = bytes
            .windows(6)
            .position(|window| window == b"output")
            .unwrap();
        let mut changed = bytes.clone();
        changed[at] = b'O';
        let text = error(&changed).to_string();
        assert!(
            text.contains("logs/b1/build.1.log is not what it was"),
            "{text}"
        );
        let text = error(&bytes[..at + 512]).to_string();
        assert!(text.contains("its end is missing"), "{text}");
        assert!(matches!(error(b""), BackupError::Foreign(_)));
        assert!(matches!(
            error(b"PK\x03\x04 something"),
            BackupError::Foreign(_)
        ));
        let newer = String::from_utf8_lossy(&bytes).replace("\"layout\":1", "\"layout\":2");
        assert!(matches!(error(newer.as_bytes()), BackupError::Newer(_)));
    }

    #[test]
    fn nothing_goes_anywhere_else() {
        let refused = |name: &str, kind: tar::EntryType| {
            let manifest = Manifest::now(7, false);
            let packer = Packer::new(Vec::new(), &manifest).unwrap();
            let mut tar = packer.tar;
            let mut header = tar::Header::new_gnu();
            header.set_size(0);
            header.set_entry_type(kind);
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            tar.append(&header, std::io::empty()).unwrap();
            let bytes = tar.into_inner().unwrap();
            let into = tempfile::tempdir().unwrap();
            let error = unpack(bytes.as_slice(), into.path()).unwrap_err();
            matches!(error, BackupError::Damaged(text) if text.contains("does not belong"))
        };
        for name in [
            "../evil",
            "/etc/passwd",
            "logs/../../evil",
            "work/a",
            "logs",
        ] {
            assert!(refused(name, tar::EntryType::Regular), "{name}");
        }
        assert!(refused("logs/a", tar::EntryType::Symlink));
        assert!(refused("logs/a", tar::EntryType::Link));
    }
}
