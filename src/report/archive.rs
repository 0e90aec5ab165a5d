//! Reports in zip archives that strangers made.
//!
//! Nothing is unpacked: what may be a report is read where it is, up to limits that hold for what really comes out and
//! not for what the archive says of itself. Names in an archive are only shown.

use std::io::{Cursor, Read, Seek, SeekFrom};

use zip::ZipArchive;
use zip::result::ZipError;

use crate::text::shorten;

/// How much of archives is read.
#[derive(Debug, Clone)]
pub struct ArchiveLimits {
    /// Files in all archives that are read one after another, also those that are passed over.
    pub files: usize,
    /// Bytes of one file, uncompressed.
    pub file: u64,
    /// Bytes of all files of all archives that are read one after another, uncompressed.
    pub total: u64,
    /// Bytes of an archive inside an archive.
    pub nested: u64,
    /// How deep archives are in archives.
    pub depth: usize,
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        Self {
            files: 100_000,
            file: 1 << 30,
            total: 4 << 30,
            nested: 64 << 20,
            depth: 2,
        }
    }
}

/// What of an archive was read, and what is wrong with it.
#[derive(Debug, Default)]
pub struct Archived {
    /// How many files were given to the reader.
    pub files: usize,
    /// What is wrong, as people read it; names are as the archive has them, shortened.
    pub problems: Vec<String>,
    /// What else is wrong, of the same kind.
    more: usize,
}

impl Archived {
    /// Strangers choose how much is wrong.
    fn tell(&mut self, problem: impl FnOnce() -> String) {
        if self.problems.len() < PROBLEMS {
            self.problems.push(problem());
        } else {
            self.more += 1;
        }
    }
}

/// Problems that are told of one archive; more of them say the same.
const PROBLEMS: usize = 10;

/// Characters of a name that are shown and kept.
const NAME: usize = 200;

/// Names of files that may hold a report. Screenshots, videos and pages are most of what else is kept.
const ENDINGS: [&str; 14] = [
    "xml", "trx", "json", "jsonl", "ndjson", "tap", "info", "lcov", "out", "cov", "coverage",
    "txt", "log", "dat",
];

/// Reads archives one after another.
#[derive(Debug)]
pub struct Archives {
    limits: ArchiveLimits,
    /// Bytes that may still come out.
    left: u64,
    /// Files that may still be looked at.
    files_left: usize,
}

impl Archives {
    /// With all of what the limits allow.
    pub fn new(limits: ArchiveLimits) -> Self {
        let (left, files_left) = (limits.total, limits.files);
        Self {
            limits,
            left,
            files_left,
        }
    }

    /// Gives each file of an archive that may be a report to `each`, with its path in the archive.
    pub fn read(
        &mut self,
        archive: impl Read + Seek,
        each: &mut dyn FnMut(&str, &mut dyn Read),
    ) -> Archived {
        let mut found = Archived::default();
        self.open(archive, "", 1, &mut found, each);
        let more = found.more;
        if more > 0 {
            found.problems.push(format!("and {more} more such files"));
        }
        found
    }

    fn open(
        &mut self,
        mut archive: impl Read + Seek,
        above: &str,
        depth: usize,
        found: &mut Archived,
        each: &mut dyn FnMut(&str, &mut dyn Read),
    ) {
        // Before all of their names are held in memory.
        let has = declared_files(&mut archive).unwrap_or(0);
        if has > self.files_left as u64 {
            let most = self.limits.files;
            found.tell(|| {
                let what = inside(above);
                format!("{what}holds {has} files and is not read; at most {most} are, of all archives together")
            });
            return;
        }
        let mut archive = match ZipArchive::new(archive) {
            Ok(archive) => archive,
            Err(error) => {
                let what = inside(above);
                found.tell(|| format!("{what}is not a zip archive that can be read: {error}"));
                return;
            }
        };
        for index in 0..archive.len() {
            if self.left == 0 || self.files_left == 0 {
                let (total, files) = (self.limits.total >> 20, self.limits.files);
                found.tell(|| {
                    format!(
                        "holds more than {total} MiB or {files} files with what was read before; the rest is left out"
                    )
                });
                return;
            }
            self.files_left -= 1;
            self.entry(&mut archive, index, above, depth, found, each);
        }
    }

    fn entry<R: Read + Seek>(
        &mut self,
        archive: &mut ZipArchive<R>,
        index: usize,
        above: &str,
        depth: usize,
        found: &mut Archived,
        each: &mut dyn FnMut(&str, &mut dyn Read),
    ) {
        let mut file = match archive.by_index(index) {
            Ok(file) => file,
            Err(error) => {
                let what = inside(above);
                let why = unreadable(&error);
                found.tell(|| format!("{what}holds a file that cannot be read: {why}"));
                return;
            }
        };
        if file.is_dir() {
            return;
        }
        let name = String::from_utf8_lossy(file.name_raw());
        let path = shorten::chars(&format!("{above}{name}"), NAME).into_owned();
        let may_be = ending(&name);
        if file.enclosed_name().is_none() || file.is_symlink() {
            found.tell(|| format!("`{path}` leads out of the archive and is not read"));
            return;
        }
        let is_archive = may_be == "zip";
        if !is_archive && !ENDINGS.contains(&may_be.as_str()) {
            return;
        }
        let most = if is_archive {
            self.limits.nested
        } else {
            self.limits.file
        };
        if file.size() > most {
            let (has, most) = (file.size() >> 20, most >> 20);
            found.tell(|| {
                format!("`{path}` says that it has {has} MiB; at most {most} MiB are read")
            });
            return;
        }
        let mut bounded = Bounded {
            inner: &mut file,
            left: most.min(self.left),
            taken: 0,
            is_over: false,
            fault: None,
        };
        let mut nested = Vec::new();
        if is_archive {
            // What was read before a fault is no archive.
            let _ = bounded.read_to_end(&mut nested);
        } else {
            each(&path, &mut bounded);
            found.files += 1;
        }
        let Bounded {
            taken,
            is_over,
            fault,
            ..
        } = bounded;
        self.left -= taken.min(self.left);
        drop(file);
        if is_over {
            let most = most.min(self.limits.total) >> 20;
            found.tell(|| format!("`{path}` has more than {most} MiB"));
        } else if let Some(fault) = fault {
            found.tell(|| format!("`{path}` cannot be unpacked: {fault}"));
        } else if is_archive && depth < self.limits.depth {
            let above = format!("{path}/");
            self.open(Cursor::new(nested), &above, depth + 1, found, each);
        } else if is_archive {
            found.tell(|| format!("`{path}` lies too deep in archives and is not read"));
        }
    }
}

/// How many files an archive says that it has, in the record at its end or its wider form for large ones (sections 4.3.14
/// and 4.3.16 of PKWARE's "APPNOTE.TXT"); the most that any such record says.
fn declared_files(archive: &mut (impl Read + Seek)) -> Option<u64> {
    // A record, a comment of any length, and the wider record with its locator before it.
    const TAIL: u64 = 22 + 0xffff + 20 + 56;
    let length = archive.seek(SeekFrom::End(0)).ok()?;
    archive
        .seek(SeekFrom::Start(length.saturating_sub(TAIL)))
        .ok()?;
    let mut tail = Vec::new();
    archive.by_ref().take(TAIL).read_to_end(&mut tail).ok()?;
    let at = |record: usize, offset: usize, bytes: usize| {
        let field = tail.get(record + offset..record + offset + bytes)?;
        let little = field.iter().rev();
        Some(little.fold(0, |sum: u64, byte| (sum << 8) | u64::from(*byte)))
    };
    let places = |mark: &'static [u8; 4]| {
        let windows = tail.windows(4).enumerate();
        windows
            .filter(move |(_, four)| four == mark)
            .map(|(place, _)| place)
    };
    let narrow = places(b"PK\x05\x06").filter_map(|record| at(record, 10, 2));
    let narrow = narrow.filter(|files| *files != 0xffff);
    let wide = places(b"PK\x06\x06").filter_map(|record| at(record, 32, 8));
    narrow.chain(wide).max()
}

fn ending(path: &str) -> String {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    ending.to_lowercase()
}

/// Whether a file of this name in an archive is looked at.
pub fn may_be_report(path: &str) -> bool {
    ENDINGS.contains(&ending(path).as_str())
}

/// Of which archive something is said, where it is one inside another.
fn inside(above: &str) -> String {
    match above.trim_end_matches('/') {
        "" => String::new(),
        path => format!("`{path}` "),
    }
}

fn unreadable(error: &ZipError) -> String {
    match error {
        ZipError::UnsupportedArchive(what) => format!("{what} is not supported"),
        other => other.to_string(),
    }
}

/// A reader that ends at a limit, and knows whether there was more.
struct Bounded<'a> {
    inner: &'a mut dyn Read,
    left: u64,
    taken: u64,
    is_over: bool,
    fault: Option<String>,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.is_over || self.fault.is_some() || buffer.is_empty() {
            return Ok(0);
        }
        let mut one = [0];
        let room = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let into = match buffer.get_mut(..room) {
            Some(into) if room > 0 => into,
            // Is there more than there may be?
            _ => &mut one[..],
        };
        let is_probe = room == 0;
        match self.inner.read(into) {
            Ok(0) => Ok(0),
            Ok(_) if is_probe => {
                self.is_over = true;
                Ok(0)
            }
            Ok(read) => {
                self.left -= read as u64;
                self.taken += read as u64;
                Ok(read)
            }
            // The reader before us is told of an early end: what it read so far is shown, and the fault beside it.
            Err(error) => {
                self.fault = Some(error.to_string());
                Ok(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::{ArchiveLimits, Archives};

    fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in files {
            writer
                .start_file(*name, SimpleFileOptions::default())
                .unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn small() -> ArchiveLimits {
        ArchiveLimits {
            files: 5,
            file: 1000,
            total: 1500,
            nested: 10_000,
            depth: 2,
        }
    }

    /// What was given out, and what is said about the rest.
    fn read(archive: &[u8], limits: ArchiveLimits) -> (Vec<(String, usize)>, Vec<String>) {
        let mut seen = Vec::new();
        let found = Archives::new(limits).read(Cursor::new(archive), &mut |path, file| {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            seen.push((path.to_owned(), bytes.len()));
        });
        (seen, found.problems)
    }

    #[test]
    fn what_may_be_a_report_is_given_out_wherever_it_lies() {
        let inner = zip(&[("deep/cov.info", b"TN:")]);
        let archive = zip(&[
            ("a/b/junit.xml", b"<x/>"),
            ("shot.png", b"png"),
            ("more.zip", &inner),
        ]);
        let (seen, problems) = read(&archive, small());
        let names: Vec<&str> = seen.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a/b/junit.xml", "more.zip/deep/cov.info"]);
        assert!(problems.is_empty(), "{problems:?}");
    }

    #[test]
    fn names_that_lead_out_are_named_and_not_read() {
        let archive = zip(&[
            ("../../etc/x.xml", b"<x/>"),
            ("/abs.xml", b"<x/>"),
            ("ok.xml", b"<x/>"),
        ]);
        let (seen, problems) = read(&archive, small());
        // A leading `/` is no way out: names are shown, never opened.
        assert!(seen.iter().any(|(name, _)| name == "ok.xml"));
        assert!(!seen.iter().any(|(name, _)| name.contains("..")));
        assert!(
            problems[0].contains("`../../etc/x.xml` leads out of the archive"),
            "{problems:?}"
        );
    }

    #[test]
    fn a_bomb_ends_at_the_limit() {
        let zeros = vec![b'0'; 100_000];
        let (seen, problems) = read(&zip(&[("bomb.xml", &zeros)]), small());
        assert!(
            seen.is_empty(),
            "what says that it is too large is not begun"
        );
        assert!(
            problems[0].starts_with("`bomb.xml` says that it has"),
            "{problems:?}"
        );

        // One that lies about its size: the central directory and the header both say 10 bytes.
        let mut lying = zip(&[("bomb.xml", &zeros)]);
        let size = 100_000_u32.to_le_bytes();
        let places: Vec<usize> = lying
            .windows(4)
            .enumerate()
            .filter(|(_, four)| *four == size)
            .map(|(at, _)| at)
            .collect();
        assert!(!places.is_empty());
        for at in places {
            lying[at..at + 4].copy_from_slice(&10_u32.to_le_bytes());
        }
        let (seen, problems) = read(&lying, small());
        assert!(seen.iter().all(|(_, bytes)| *bytes <= 1000), "{seen:?}");
        assert!(!problems.is_empty());
    }

    #[test]
    fn many_files_and_much_in_all_end_at_the_limit_too() {
        let part = vec![b'x'; 600];
        let four: Vec<(&str, &[u8])> = ["a.xml", "b.xml", "c.xml", "d.xml"]
            .map(|name| (name, &part[..]))
            .to_vec();
        let (seen, problems) = read(&zip(&four), small());
        assert_eq!(seen.iter().map(|(_, bytes)| bytes).sum::<usize>(), 1500);
        assert!(
            problems.iter().any(|said| said.contains("more than")),
            "{problems:?}"
        );

        let six: Vec<(&str, &[u8])> = ["a.xml", "b.xml", "c.xml", "d.xml", "e.xml", "f.xml"]
            .map(|name| (name, &b"x"[..]))
            .to_vec();
        let (seen, problems) = read(&zip(&six), small());
        assert!(seen.is_empty());
        assert!(
            problems[0].starts_with("holds 6 files and is not read; at most 5 are"),
            "{problems:?}"
        );
    }

    #[test]
    fn what_is_no_archive_is_called_so() {
        for bytes in [&b"<html>Not found</html>"[..], b"", b"PK\x05\x06"] {
            let (seen, problems) = read(bytes, small());
            assert!(seen.is_empty());
            assert!(
                problems[0].starts_with("is not a zip archive that can be read"),
                "{problems:?}"
            );
        }
        let deepest = zip(&[("x.xml", b"<x/>")]);
        let deeper = zip(&[("deepest.zip", &deepest)]);
        let deep = zip(&[("deeper.zip", &deeper)]);
        let (seen, problems) = read(&deep, small());
        assert!(seen.is_empty());
        assert!(problems[0].contains("lies too deep"), "{problems:?}");
    }

    #[test]
    fn a_damaged_file_is_shown_as_far_as_it_goes_and_named() {
        // Hardly compressible, so that there is a middle to damage.
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_le_bytes()[3]
        };
        let text: Vec<u8> = (0..900).map(|_| next()).collect();
        let mut archive = zip(&[("junit.xml", &text)]);
        let middle = 30 + "junit.xml".len() + 100;
        archive[middle] ^= 0xff;
        let (_, problems) = read(&archive, small());
        assert!(
            problems[0].starts_with("`junit.xml` cannot be unpacked"),
            "{problems:?}"
        );
    }
}
