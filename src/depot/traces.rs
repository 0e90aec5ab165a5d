//! Finding a person in files, and taking them out.
//!
//! Names are written over with as many `x`, so that everything stays where it is: positions in logs, lengths, formats.
//! Archives are looked into, and go as a whole where somebody is named in what they hold compressed; so do caches, which are
//! made again.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use flate2::read::MultiGzDecoder;
use walkdir::WalkDir;
use zip::ZipArchive;

use super::place::blocking;
use crate::ports::Files;
use crate::ports::error::Result;
use crate::ports::privacy::{Blanked, NamedIn};
use crate::text::traces::Traces;

/// Bytes that are looked through at once.
const BLOCK: usize = 1024 * 1024;
/// What is read of one file that is compressed, in bytes: who packs more than that hides it from everybody.
const UNPACKED: u64 = 4 << 30;
/// Lines of a text that are told.
const LINES: usize = 100;
/// Bytes that are told on each side of a name.
const AROUND: usize = 100;
/// What stands in place of a name.
const BLANK: u8 = b'x';

/// Files below one directory.
#[derive(Debug, Clone)]
pub struct StoredFiles {
    root: PathBuf,
}

/// The folders that are looked through, and whether their files can be made again.
const FOLDERS: [(&str, bool); 4] = [
    ("logs", false),
    ("artifacts", false),
    ("uploads", false),
    ("cache", true),
];

impl StoredFiles {
    /// Files of the directory that logs, artifacts, caches and uploads are in.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }
}

#[async_trait]
impl Files for StoredFiles {
    async fn find(&self, traces: &Traces) -> Result<Vec<NamedIn>> {
        let (root, traces) = (self.root.clone(), traces.clone());
        blocking("look through the files", move || {
            let mut all = Vec::new();
            for (folder, _) in FOLDERS {
                for path in files(&root.join(folder))? {
                    all.extend(named_in(&root, &path, &traces)?);
                }
            }
            all.sort_by(|a: &NamedIn, b| a.path.cmp(&b.path));
            Ok(all)
        })
        .await
    }

    async fn erase(&self, traces: &Traces) -> Result<Blanked> {
        let (root, traces) = (self.root.clone(), traces.clone());
        blocking("take somebody out of the files", move || {
            let mut blanked = Blanked::default();
            for (folder, again) in FOLDERS {
                let folder = root.join(folder);
                for path in files(&folder)? {
                    match erase(&path, again, &traces) {
                        // Retention may have been here.
                        Err(error) if error.kind() == ErrorKind::NotFound => {}
                        Err(error) => return Err(error),
                        Ok(Done::Nothing) => {}
                        Ok(Done::Blanked) => blanked.files += 1,
                        Ok(Done::Removed) => blanked.removed += 1,
                    }
                }
                rename(&folder, &traces)?;
            }
            Ok(blanked)
        })
        .await
    }
}

/// Regular files below a folder; links are not followed.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        match entry {
            Ok(entry) if entry.file_type().is_file() => files.push(entry.into_path()),
            Ok(_) => {}
            Err(error) => match error.io_error().map(io::Error::kind) {
                Some(ErrorKind::NotFound) => {}
                _ => return Err(error.into()),
            },
        }
    }
    Ok(files)
}

fn named_in(root: &Path, path: &Path, traces: &Traces) -> io::Result<Option<NamedIn>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut lines = Vec::new();
    let mut times = 0;
    each(&file, traces, |block, ranges, _| {
        times += ranges.len() as u64;
        if lines.len() < LINES {
            let text = String::from_utf8_lossy(block);
            lines.extend(traces.excerpts(&text, AROUND));
        }
        Ok(())
    })?;
    lines.truncate(LINES);
    if times == 0 && is_inside(&file, traces) {
        times = 1;
    }
    let path = path
        .strip_prefix(root)
        .unwrap_or(path)
        .display()
        .to_string();
    times += traces.find(path.as_bytes()).len() as u64;
    Ok((times > 0).then_some(NamedIn { path, times, lines }))
}

enum Done {
    Nothing,
    Blanked,
    Removed,
}

fn erase(path: &Path, again: bool, traces: &Traces) -> io::Result<Done> {
    let file = File::options().read(true).write(true).open(path)?;
    let mut found = false;
    if !again {
        each(&file, traces, |_, ranges, at| {
            for range in ranges {
                found = true;
                let blank = vec![BLANK; range.len()];
                file.write_all_at(&blank, at + range.start as u64)?;
            }
            Ok(())
        })?;
    }
    let mut gone = is_inside(&file, traces);
    if again {
        each(&file, traces, |_, ranges, _| {
            gone |= !ranges.is_empty();
            Ok(())
        })?;
    }
    if gone {
        fs::remove_file(path)?;
        return Ok(Done::Removed);
    }
    if found {
        file.sync_all()?;
        return Ok(Done::Blanked);
    }
    Ok(Done::Nothing)
}

/// Goes through a file block by block, and tells of those with names in them: the block, where in it, and where it begins.
/// Blocks overlap by what a name and its surroundings take, so that none is cut.
fn each(
    file: &File,
    traces: &Traces,
    mut tell: impl FnMut(&[u8], &[Range<usize>], u64) -> io::Result<()>,
) -> io::Result<()> {
    let overlap = traces.longest() + 2;
    let mut block = vec![0; BLOCK + overlap];
    let mut at = 0;
    loop {
        let mut filled = 0;
        while let Some(room) = block.get_mut(filled..).filter(|room| !room.is_empty()) {
            match file.read_at(room, at + filled as u64)? {
                0 => break,
                read => filled += read,
            }
        }
        let read = block.get(..filled).unwrap_or_default();
        let is_last = filled < block.len();
        let mut found = traces.find(read);
        // What begins with the block was told by the one before, which had what stands in front of it.
        found.retain(|range| (at == 0 || range.start > 0) && (is_last || range.start <= BLOCK));
        if !found.is_empty() {
            tell(read, &found, at)?;
        }
        if is_last {
            return Ok(());
        }
        at += BLOCK as u64;
    }
}

/// Whether somebody is named in what a file holds compressed. What is broken is read as far as it goes.
fn is_inside(file: &File, traces: &Traces) -> bool {
    let mut head = [0; 4];
    if file.read_exact_at(&mut head, 0).is_err() {
        return false;
    }
    match head {
        [b'P', b'K', 3, 4] => {
            let Ok(mut archive) = ZipArchive::new(file) else {
                return false;
            };
            (0..archive.len()).any(|number| {
                archive.by_index(number).is_ok_and(|entry| {
                    let name = entry.name_raw().to_vec();
                    !traces.find(&name).is_empty() || streams(entry, traces)
                })
            })
        }
        [0x1f, 0x8b, ..] => {
            use std::io::Seek;
            let mut file = file;
            file.rewind().is_ok() && streams(MultiGzDecoder::new(file), traces)
        }
        _ => false,
    }
}

fn streams(reader: impl Read, traces: &Traces) -> bool {
    let overlap = traces.longest() + 2;
    let mut reader = reader.take(UNPACKED);
    let mut block: Vec<u8> = Vec::new();
    loop {
        let kept = block.len().saturating_sub(overlap);
        block.drain(..kept);
        let read = reader.by_ref().take(BLOCK as u64).read_to_end(&mut block);
        if !traces.find(&block).is_empty() {
            return true;
        }
        if !matches!(read, Ok(1..)) {
            return false;
        }
    }
}

/// Gives files and folders that are named after somebody another name, from the innermost on.
fn rename(folder: &Path, traces: &Traces) -> io::Result<()> {
    for entry in WalkDir::new(folder).contents_first(true).min_depth(1) {
        let Ok(entry) = entry else { continue };
        let name = entry.file_name().to_string_lossy();
        let Some(new) = traces.replaced(&name) else {
            continue;
        };
        let mut to = entry.path().with_file_name(&new);
        let mut number = 2;
        while to.exists() {
            to = entry.path().with_file_name(format!("{number}-{new}"));
            number += 1;
        }
        fs::rename(entry.path(), to)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::{BLOCK, StoredFiles};
    use crate::ports::Files;
    use crate::text::traces::Traces;

    fn zipped(content: &[u8]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file("a.txt", options).unwrap();
        zip.write_all(content).unwrap();
        zip.finish().unwrap().into_inner()
    }

    fn gzipped(content: &[u8]) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(content).unwrap();
        gzip.finish().unwrap()
    }

    #[tokio::test]
    async fn names_go_from_files_and_everything_else_stays_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, content: &[u8]| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        };
        // One name is across the edge of two blocks.
        let mut long = vec![b'.'; BLOCK - 2];
        long.extend(b" ada, adam");
        write("logs/b1/build.1.log", &long);
        write("artifacts/b1/build.1/ada/notes-ada.txt", b"\xff by @ada");
        write("artifacts/b1/build.1/in.zip", &zipped(b"lots of ada"));
        write("artifacts/b1/build.1/out.zip", &zipped(b"of adam"));
        write("artifacts/b1/build.1/in.gz", &gzipped(b"lots of ada"));
        write("cache/r/trusted/k.tar", b"for ada");
        write("uploads/a1", b"<testcase name=\"ada\"/>");
        write("git/keep", b"ada");
        let files = StoredFiles::new(dir.path());
        let ada = Traces::new(["ada".to_owned()]).unwrap();
        let found = files.find(&ada).await.unwrap();
        let paths: Vec<&str> = found.iter().map(|one| one.path.as_str()).collect();
        let expected = [
            "artifacts/b1/build.1/ada/notes-ada.txt",
            "artifacts/b1/build.1/in.gz",
            "artifacts/b1/build.1/in.zip",
            "cache/r/trusted/k.tar",
            "logs/b1/build.1.log",
            "uploads/a1",
        ];
        // `notes-ada` is another word.
        assert_eq!(paths, expected);
        let blanked = files.erase(&ada).await.unwrap();
        assert_eq!((blanked.files, blanked.removed), (3, 3));
        assert!(files.find(&ada).await.unwrap().is_empty());
        let log = std::fs::read(dir.path().join("logs/b1/build.1.log")).unwrap();
        assert_eq!(log.len(), long.len());
        assert!(log.ends_with(b". xxx, adam"));
        let renamed = dir.path().join("artifacts/b1/build.1/ghost/notes-ada.txt");
        assert_eq!(std::fs::read(renamed).unwrap(), b"\xff by @xxx");
        assert!(dir.path().join("artifacts/b1/build.1/out.zip").exists());
        assert!(!dir.path().join("cache/r/trusted/k.tar").exists());
    }
}
