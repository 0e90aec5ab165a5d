//! Archives: the checkout and the cache unpacked, the cache packed.
//!
//! An archive of the cache was made by an earlier build, so its paths are not trusted: nothing is
//! written outside of the folder it belongs to, nor through a link.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};

use walkdir::WalkDir;

use crate::protocol::{ArchiveKind, CACHE_HOME, CACHE_WORKSPACE};

/// Unpacks an archive.
///
/// # Errors
/// Words that read after "failed to …".
pub(super) fn unpack(
    kind: ArchiveKind,
    archive: impl Read,
    workspace: &Path,
    home: &Path,
) -> Result<(), String> {
    let what = match kind {
        ArchiveKind::Checkout => "unpack the checkout",
        ArchiveKind::Cache => "unpack the cache",
    };
    let mut archive = tar::Archive::new(archive);
    let entries = archive
        .entries()
        .map_err(|error| format!("{what}: {error}"))?;
    for entry in entries {
        let unpacked = entry.and_then(|entry| place(kind, entry, workspace, home));
        unpacked.map_err(|error| format!("{what}: {}", reason(&error)))?;
    }
    Ok(())
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull => "the disk is full".to_owned(),
        _ => error.to_string(),
    }
}

fn place<R: Read>(
    kind: ArchiveKind,
    mut entry: tar::Entry<'_, R>,
    workspace: &Path,
    home: &Path,
) -> io::Result<()> {
    let kind_of_entry = entry.header().entry_type();
    if !(kind_of_entry.is_file() || kind_of_entry.is_dir() || kind_of_entry.is_symlink()) {
        return Ok(());
    }
    let path = entry.path()?.into_owned();
    let (root, path) = match kind {
        ArchiveKind::Checkout => (workspace, path.as_path()),
        ArchiveKind::Cache => match (
            path.strip_prefix(CACHE_WORKSPACE),
            path.strip_prefix(CACHE_HOME),
        ) {
            (Ok(path), _) => (workspace, path),
            (_, Ok(path)) => (home, path),
            _ => return Ok(()),
        },
    };
    let Some(target) = inside(root, path)? else {
        return Ok(());
    };
    entry.set_preserve_mtime(false);
    entry.set_preserve_permissions(true);
    if kind_of_entry.is_dir() && target.is_dir() {
        return Ok(());
    }
    entry.unpack(&target).map(|_| ())
}

/// The place of `path` below `root`, with the folders above it made; `None` where it is the root
/// itself, leads out of it, or goes through a link.
fn inside(root: &Path, path: &Path) -> io::Result<Option<PathBuf>> {
    let mut place = root.to_owned();
    let mut parts = path.components().peekable();
    if parts.peek().is_none() {
        return Ok(None);
    }
    while let Some(part) = parts.next() {
        let Component::Normal(name) = part else {
            return Ok(None);
        };
        place.push(name);
        if parts.peek().is_none() {
            break;
        }
        match fs::symlink_metadata(&place) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir(&place)?,
            Err(error) => return Err(error),
        }
    }
    Ok(Some(place))
}

/// Packs the folders of a cache into a file; says its size, or `None` when none of them is there.
///
/// # Errors
/// Words that read after "failed to …".
pub(super) fn pack(
    paths: &[String],
    workspace: &Path,
    home: &Path,
    into: &Path,
) -> Result<Option<u64>, String> {
    let failed = |error: &io::Error| format!("pack the cache: {}", reason(error));
    let file = File::create(into).map_err(|error| failed(&error))?;
    let mut archive = tar::Builder::new(BufWriter::new(file));
    archive.follow_symlinks(false);
    let mut any = false;
    for path in paths {
        let (root, name, rest) = match path.strip_prefix("~/") {
            Some(rest) => (home, CACHE_HOME, rest),
            None => (workspace, CACHE_WORKSPACE, path.as_str()),
        };
        let plain = Path::new(rest)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        let Ok(found) = root.join(rest).canonicalize() else {
            continue;
        };
        if !plain || !found.starts_with(root) {
            continue;
        }
        any = true;
        add(&mut archive, root, name, &found).map_err(|error| failed(&error))?;
    }
    let mut file = archive.into_inner().map_err(|error| failed(&error))?;
    file.flush().map_err(|error| failed(&error))?;
    let size = file
        .get_ref()
        .metadata()
        .map_err(|error| failed(&error))?
        .len();
    Ok(any.then_some(size))
}

fn add(
    archive: &mut tar::Builder<impl Write>,
    root: &Path,
    name: &str,
    found: &Path,
) -> io::Result<()> {
    for entry in WalkDir::new(found).follow_links(false) {
        let Ok(entry) = entry else { continue };
        let kind = entry.file_type();
        let Ok(relative) = entry.path().strip_prefix(root) else {
            continue;
        };
        if kind.is_file() || kind.is_symlink() || kind.is_dir() {
            archive.append_path_with_name(entry.path(), Path::new(name).join(relative))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{pack, unpack};
    use crate::protocol::ArchiveKind;

    #[test]
    fn a_cache_comes_back_where_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| {
            let path = dir.path().canonicalize().unwrap().join(name);
            fs::create_dir_all(&path).unwrap();
            path
        };
        let (workspace, home) = (place("w"), place("h"));
        fs::create_dir_all(workspace.join("deps/deep")).unwrap();
        fs::write(workspace.join("deps/deep/file"), "x").unwrap();
        std::os::unix::fs::symlink("deep/file", workspace.join("deps/link")).unwrap();
        fs::create_dir_all(home.join(".cache")).unwrap();
        fs::write(home.join(".cache/pip"), "y").unwrap();
        std::os::unix::fs::symlink("/etc", workspace.join("out")).unwrap();
        let paths = ["deps", "~/.cache", "missing", "../h", "out"].map(str::to_owned);
        let archive = dir.path().join("cache.tar");
        let size = pack(&paths, &workspace, &home, &archive).unwrap();
        assert_eq!(size, Some(fs::metadata(&archive).unwrap().len()));

        let (workspace, home) = (place("w2"), place("h2"));
        let bytes = fs::read(&archive).unwrap();
        unpack(ArchiveKind::Cache, bytes.as_slice(), &workspace, &home).unwrap();
        assert_eq!(fs::read(workspace.join("deps/link")).unwrap(), b"x");
        assert_eq!(fs::read(home.join(".cache/pip")).unwrap(), b"y");
        assert!(!workspace.join("out").exists());
        assert!(!workspace.join("hosts").exists());
    }

    #[test]
    fn an_archive_does_not_write_outside_nor_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = dir.path().join("w");
        fs::create_dir(&workspace).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        let mut archive = tar::Builder::new(Vec::new());
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        archive
            .append_link(&mut link, "link", "../outside")
            .unwrap();
        for name in ["link/file", "fine/file"] {
            let mut header = tar::Header::new_gnu();
            header.set_size(1);
            header.set_mode(0o644);
            archive
                .append_data(&mut header, name, b"x".as_slice())
                .unwrap();
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o644);
        for (place, byte) in header.as_old_mut().name.iter_mut().zip(b"../outside/up") {
            *place = *byte;
        }
        header.set_cksum();
        archive.append(&header, b"x".as_slice()).unwrap();
        let bytes = archive.into_inner().unwrap();
        let home = dir.path().join("h");
        unpack(ArchiveKind::Checkout, bytes.as_slice(), &workspace, &home).unwrap();
        assert!(workspace.join("fine/file").exists());
        assert_eq!(fs::read_dir(dir.path().join("outside")).unwrap().count(), 0);
    }
}
