//! Badges that were read since the last commit. GitHub's image proxy asks for the same ones over and over, and
//! between two commits of SQLite, whose only writer this process is, nothing can have changed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ports::store::StoredBadge;

/// How many badges are remembered at most; each takes some 300 bytes.
const MOST: usize = 200_000;
/// Bytes; longer names are not remembered.
const LONG: usize = 300;

/// What was read since a commit.
#[derive(Debug, Default)]
struct Read {
    /// The number of that commit.
    commit: u64,
    /// By what was asked for.
    badges: HashMap<String, Arc<StoredBadge>>,
}

#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Read>);

impl Memory {
    /// The badge as it was read since this commit; `None` where it was not, or there is none.
    pub(super) fn get(&self, commit: u64, asked: &str) -> Option<Arc<StoredBadge>> {
        let read = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let badge = (read.commit == commit).then(|| read.badges.get(asked))?;
        badge.cloned()
    }

    /// Remembers what was read after this commit had been seen.
    pub(super) fn keep(&self, commit: u64, asked: String, badge: Arc<StoredBadge>) {
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

/// Which badge, in one word; `None` for what is not remembered: endless names, and such as nothing has.
pub(super) fn asked(
    owner: &str,
    name: &str,
    kind: &str,
    branch: Option<&str>,
    job: &str,
) -> Option<String> {
    let parts = [owner, name, kind, branch.unwrap_or_default(), job];
    let length: usize = parts.iter().map(|part| part.len()).sum();
    if length > LONG || parts.iter().any(|part| part.contains('\0')) {
        return None;
    }
    let separator = if branch.is_some() { "\0" } else { "\0\0" };
    Some(parts.join(separator))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Memory;
    use crate::domain::{BadgeValue, RepositoryId};
    use crate::ports::store::StoredBadge;

    fn asked(name: &str) -> String {
        super::asked("octo", name, "build", None, "").unwrap()
    }

    fn badge(message: &str) -> Arc<StoredBadge> {
        Arc::new(StoredBadge {
            repository: RepositoryId::new("github.com", 1),
            value: BadgeValue {
                kind: "build".to_owned(),
                job: String::new(),
                label: None,
                message: message.to_owned(),
                color: "red".to_owned(),
            },
            private: false,
        })
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
    fn endless_names_and_such_as_nothing_has_are_not_remembered() {
        let asked = |name: &str, branch| super::asked("octo", name, "build", branch, "");
        assert_eq!(asked(&"x".repeat(1_000), None), None);
        assert_eq!(asked("a\0b", None), None);
        assert_eq!(asked("a", Some("\0")), None);
        assert_ne!(asked("a", None), asked("a", Some("")));
    }
}
