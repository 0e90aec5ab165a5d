//! Answers to reads, kept with GitHub's mark of their content (`ETag`). Asked again with that mark,
//! GitHub answers 304 without a body, and does not count it against the primary limit.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use crate::domain::InstallationId;

/// The most that is kept, in bytes. Past it, what was not used for the longest time goes.
const MOST: usize = 16 * 1024 * 1024;
/// What an entry takes beside its texts, about.
const OVERHEAD: usize = 256;

/// Who asked (`None`: the App) and for what. Not the token: it changes every hour.
type Key = (Option<InstallationId>, String);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) etag: String,
    pub(super) body: Vec<u8>,
    /// Where the list goes on.
    pub(super) cursor: Option<String>,
}

#[derive(Debug, Default)]
struct Shelf {
    kept: HashMap<Key, (u64, Kept)>,
    by_use: BTreeMap<u64, Key>,
    uses: u64,
    bytes: usize,
}

/// The cache.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<Shelf>);

fn size(key: &Key, kept: &Kept) -> usize {
    OVERHEAD
        + 2 * key.1.len()
        + kept.etag.len()
        + kept.body.len()
        + kept.cursor.as_ref().map_or(0, String::len)
}

impl Shelf {
    fn remove(&mut self, key: &Key) -> Option<Kept> {
        let (used, kept) = self.kept.remove(key)?;
        self.by_use.remove(&used);
        self.bytes -= size(key, &kept);
        Some(kept)
    }

    fn insert(&mut self, key: Key, kept: Kept) {
        self.uses += 1;
        self.bytes += size(&key, &kept);
        self.by_use.insert(self.uses, key.clone());
        self.kept.insert(key, (self.uses, kept));
    }
}

impl Cache {
    /// What was answered last.
    pub(super) fn get(&self, who: Option<InstallationId>, path: &str) -> Option<Kept> {
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (who, path.to_owned());
        let kept = shelf.remove(&key)?;
        shelf.insert(key, kept.clone());
        Some(kept)
    }

    /// Keeps an answer in place of the one before; one that is too large is not kept.
    pub(super) fn keep(&self, who: Option<InstallationId>, path: &str, kept: Kept) {
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (who, path.to_owned());
        shelf.remove(&key);
        if size(&key, &kept) > MOST / 4 {
            return;
        }
        shelf.insert(key, kept);
        while shelf.bytes > MOST {
            let Some((_, oldest)) = shelf.by_use.first_key_value() else {
                return;
            };
            let oldest = oldest.clone();
            shelf.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cache, Kept, MOST};
    use crate::domain::InstallationId;

    fn kept(size: usize) -> Kept {
        Kept {
            etag: "\"a\"".to_owned(),
            body: vec![b'x'; size],
            cursor: None,
        }
    }

    #[test]
    fn an_answer_is_for_who_asked_only() {
        let cache = Cache::default();
        let one = Some(InstallationId(1));
        cache.keep(one, "/a", kept(1));
        assert_eq!(cache.get(one, "/a"), Some(kept(1)));
        assert_eq!(cache.get(Some(InstallationId(2)), "/a"), None);
        assert_eq!(cache.get(None, "/a"), None);
        cache.keep(one, "/a", kept(2));
        assert_eq!(cache.get(one, "/a"), Some(kept(2)));
    }

    #[test]
    fn what_was_not_used_for_the_longest_time_goes_first() {
        let cache = Cache::default();
        for path in 0..7 {
            cache.keep(None, &path.to_string(), kept(MOST / 8));
        }
        cache.get(None, "0").unwrap();
        cache.keep(None, "7", kept(MOST / 8));
        assert!(cache.get(None, "0").is_some());
        assert!(cache.get(None, "1").is_none());
        assert!(cache.0.lock().unwrap().bytes <= MOST);
        cache.keep(None, "0", kept(MOST));
        assert!(
            cache.get(None, "0").is_none(),
            "too large, and the old one is gone"
        );
    }
}
