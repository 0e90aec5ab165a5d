//! Badges that were read since the last commit. GitHub's image proxy asks for the same ones over and over, and
//! between two commits of SQLite, whose only writer this process is, nothing can have changed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::ports::store::StoredBadge;

/// How many badges are remembered at most; each takes some 300 bytes.
const MOST: usize = 200_000;
/// Longer names are not remembered.
const LONG: usize = 300;

/// Which badge: owner, name, kind, branch and job as they were asked for.
pub(super) type Asked = (String, String, String, Option<String>, String);

/// What was read since a commit.
#[derive(Debug, Default)]
struct Read {
    /// The number of that commit.
    commit: u64,
    badges: HashMap<Asked, StoredBadge>,
}

#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Read>);

impl Memory {
    /// The badge as it was read since this commit; `None` where it was not, or there is none.
    pub(super) fn get(&self, commit: u64, asked: &Asked) -> Option<StoredBadge> {
        let read = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let badge = (read.commit == commit).then(|| read.badges.get(asked))?;
        badge.cloned()
    }

    /// Remembers what was read after this commit had been seen.
    pub(super) fn keep(&self, commit: u64, asked: Asked, badge: StoredBadge) {
        let length = asked.0.len() + asked.1.len() + asked.4.len();
        let branch = asked.3.as_ref().map_or(0, String::len);
        if length + branch > LONG {
            return;
        }
        let mut read = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if read.commit > commit {
            return;
        }
        if read.commit < commit || read.badges.len() >= MOST {
            read.badges.clear();
            read.commit = commit;
        }
        read.badges.insert(asked, badge);
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, Memory};
    use crate::domain::{BadgeValue, RepositoryId};
    use crate::ports::store::StoredBadge;

    fn asked(name: &str) -> Asked {
        let text = str::to_owned;
        (text("octo"), text(name), text("build"), None, text(""))
    }

    fn badge(message: &str) -> StoredBadge {
        StoredBadge {
            repository: RepositoryId::new("github.com", 1),
            value: BadgeValue {
                kind: "build".to_owned(),
                job: String::new(),
                label: None,
                message: message.to_owned(),
                color: "red".to_owned(),
            },
            private: false,
        }
    }

    #[test]
    fn nothing_is_remembered_over_a_commit() {
        let memory = Memory::default();
        memory.keep(1, asked("a"), badge("one"));
        assert_eq!(memory.get(1, &asked("a")), Some(badge("one")));
        assert_eq!(memory.get(1, &asked("b")), None);
        assert_eq!(memory.get(2, &asked("a")), None);
        memory.keep(2, asked("b"), badge("two"));
        assert_eq!(memory.get(2, &asked("b")), Some(badge("two")));
        // Who has read before that commit comes too late.
        memory.keep(1, asked("a"), badge("one"));
        assert_eq!(memory.get(2, &asked("a")), None);
    }

    #[test]
    fn endless_names_are_not_remembered() {
        let memory = Memory::default();
        let long = asked(&"x".repeat(1_000));
        memory.keep(1, long.clone(), badge("one"));
        assert_eq!(memory.get(1, &long), None);
    }
}
