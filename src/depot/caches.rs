//! The folder of caches.

use std::fs::{self, File, FileTimes};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use super::place::{blocking, make_folder, part_of, put, remove_folder};
use crate::domain::RepositoryId;
use crate::ports::Caches;
use crate::ports::error::Result;

/// How much one repository may keep, in bytes.
const ROOM: u64 = 5 << 30;
/// What was begun so long ago will not be finished.
const LEFT_OVER: Duration = Duration::from_hours(24);

/// Keeps caches as files below one folder.
#[derive(Debug, Clone)]
pub struct FileCaches {
    folder: PathBuf,
    room: u64,
}

/// An archive that is there.
struct Entry {
    path: PathBuf,
    trusted: bool,
    bytes: u64,
    used: SystemTime,
}

impl FileCaches {
    /// Caches below `folder`, which is made when it is needed.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            room: ROOM,
        }
    }

    fn repository(&self, repository: &RepositoryId) -> PathBuf {
        self.folder.join(hash(repository.as_str()))
    }
}

/// A name for any text.
fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn half(trusted: bool) -> &'static str {
    if trusted { "trusted" } else { "untrusted" }
}

#[async_trait]
impl Caches for FileCaches {
    async fn find(
        &self,
        repository: &RepositoryId,
        trusted: bool,
        key: &str,
    ) -> Result<Option<PathBuf>> {
        let folder = self.repository(repository);
        let name = format!("{}.tar", hash(key));
        blocking("look for a cache", move || {
            for from_trusted in [true, false] {
                if trusted && !from_trusted {
                    continue;
                }
                let path = folder.join(half(from_trusted)).join(&name);
                match File::options().append(true).open(&path) {
                    Ok(file) => {
                        let now = SystemTime::now();
                        file.set_times(FileTimes::new().set_modified(now))?;
                        return Ok(Some(path));
                    }
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(None)
        })
        .await
    }

    async fn keep(
        &self,
        repository: &RepositoryId,
        trusted: bool,
        key: &str,
        from: &Path,
    ) -> Result<()> {
        let folder = self.repository(repository);
        let name = format!("{}.tar", hash(key));
        let (from, room) = (from.to_owned(), self.room);
        blocking("keep a cache", move || {
            let half = folder.join(half(trusted));
            make_folder(&half)?;
            let path = half.join(name);
            // Beside its place first: a link is made or refused in one instant.
            let part = part_of(&path);
            put(&from, &part)?;
            let now = SystemTime::now();
            let file = File::options().append(true).open(&part)?;
            file.set_times(FileTimes::new().set_modified(now))?;
            let linked = fs::hard_link(&part, &path);
            fs::remove_file(&part)?;
            match linked {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            make_room(&folder, room, now)
        })
        .await
    }

    async fn remove(&self, repository: &RepositoryId) -> Result<()> {
        let folder = self.repository(repository);
        blocking("delete caches", move || remove_folder(&folder)).await
    }
}

/// Removes what was used the longest ago until the rest fits. What untrusted builds wrote goes
/// first: they cannot push out what trusted builds need.
fn make_room(folder: &Path, room: u64, now: SystemTime) -> io::Result<()> {
    let mut entries = Vec::new();
    for trusted in [true, false] {
        let found = match fs::read_dir(folder.join(half(trusted))) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            found => found?,
        };
        for file in found {
            let path = file?.path();
            let metadata = match fs::metadata(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            let used = metadata.modified()?;
            if path.extension().is_some_and(|ending| ending == "part") {
                if now.duration_since(used).is_ok_and(|age| age > LEFT_OVER) {
                    remove(&path)?;
                }
                continue;
            }
            entries.push(Entry {
                path,
                trusted,
                bytes: metadata.len(),
                used,
            });
        }
    }
    entries.sort_by_key(|entry| (entry.trusted, entry.used));
    let mut total: u64 = entries.iter().map(|entry| entry.bytes).sum();
    for entry in entries {
        if total <= room {
            break;
        }
        remove(&entry.path)?;
        total = total.saturating_sub(entry.bytes);
    }
    Ok(())
}

/// Another one may have removed it before.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, FileTimes};
    use std::time::{Duration, SystemTime};

    use super::FileCaches;
    use crate::domain::RepositoryId;
    use crate::ports::Caches;

    struct Place {
        caches: FileCaches,
        dir: tempfile::TempDir,
    }

    impl Place {
        fn new(room: u64) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let mut caches = FileCaches::new(dir.path().join("cache"));
            caches.room = room;
            Self { caches, dir }
        }

        async fn keep(&self, trusted: bool, key: &str, content: &str) {
            let from = self.dir.path().join("received");
            std::fs::write(&from, content).unwrap();
            self.caches
                .keep(&repository(), trusted, key, &from)
                .await
                .unwrap();
            assert!(!from.exists());
        }

        async fn find(&self, trusted: bool, key: &str) -> Option<String> {
            let found = self.caches.find(&repository(), trusted, key).await.unwrap();
            found.map(|path| std::fs::read_to_string(path).unwrap())
        }

        /// Says that an archive was used so long ago.
        async fn age(&self, key: &str, seconds: u64) {
            let path = self.caches.find(&repository(), false, key).await.unwrap();
            let file = File::options().append(true).open(path.unwrap()).unwrap();
            let then = SystemTime::now() - Duration::from_secs(seconds);
            file.set_times(FileTimes::new().set_modified(then)).unwrap();
        }
    }

    fn repository() -> RepositoryId {
        RepositoryId::new("github.test", 1)
    }

    #[tokio::test]
    async fn what_an_untrusted_build_wrote_a_trusted_one_never_reads() {
        let place = Place::new(100);
        place.keep(false, "deps", "bad").await;
        assert_eq!(place.find(true, "deps").await, None);
        assert_eq!(place.find(false, "deps").await.as_deref(), Some("bad"));
        place.keep(true, "deps", "good").await;
        assert_eq!(place.find(true, "deps").await.as_deref(), Some("good"));
        assert_eq!(place.find(false, "deps").await.as_deref(), Some("good"));
        let other = RepositoryId::new("github.test", 2);
        let found = place.caches.find(&other, false, "deps").await.unwrap();
        assert_eq!(found, None);
        assert_eq!(place.find(true, "../deps/").await, None);
    }

    #[tokio::test]
    async fn the_first_writer_of_a_key_wins() {
        let place = Place::new(100);
        place.keep(true, "deps", "first").await;
        place.keep(true, "deps", "second").await;
        assert_eq!(place.find(true, "deps").await.as_deref(), Some("first"));
        let left = walkdir::WalkDir::new(place.dir.path())
            .into_iter()
            .filter(|entry| entry.as_ref().unwrap().file_type().is_file());
        assert_eq!(left.count(), 1);
    }

    #[tokio::test]
    async fn what_was_used_the_longest_ago_makes_room() {
        let place = Place::new(10);
        for (key, age) in [("a", 300), ("b", 200), ("c", 100)] {
            place.keep(true, key, "1234").await;
            if place.find(true, key).await.is_some() {
                place.age(key, age).await;
            }
        }
        assert_eq!(place.find(true, "a").await, None);
        assert!(place.find(true, "b").await.is_some());
        // Used a moment ago, `b` outlives `c`.
        place.keep(true, "d", "1234").await;
        assert_eq!(place.find(true, "c").await, None);
        assert!(place.find(true, "b").await.is_some());
    }

    #[tokio::test]
    async fn untrusted_builds_push_out_their_own_only() {
        let place = Place::new(10);
        place.keep(true, "a", "12345678").await;
        place.age("a", 300).await;
        place.keep(false, "b", "1234").await;
        assert!(place.find(true, "a").await.is_some());
        assert_eq!(place.find(false, "b").await, None);
    }
}
