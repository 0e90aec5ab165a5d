//! Something about lines of a file, by their numbers.
//!
//! Reports tell lines nearly in order, millions of them: what comes in order is a list, and only
//! what comes late is put into a tree.

use std::collections::BTreeMap;

/// Values by line.
#[derive(Debug, Clone)]
pub(super) struct ByLine<T> {
    /// In order, each line once.
    list: Vec<(u32, T)>,
    /// Lines that are not in the list and are less than its last.
    late: BTreeMap<u32, T>,
}

impl<T> Default for ByLine<T> {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            late: BTreeMap::new(),
        }
    }
}

impl<T: Copy + PartialEq> PartialEq for ByLine<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<T: Copy + Eq> Eq for ByLine<T> {}

impl<T: Copy> ByLine<T> {
    /// Puts a value for a line, or makes one of it and the value that is there. Says whether the
    /// line is new.
    pub(super) fn add(&mut self, line: u32, value: T, join: impl FnOnce(T, T) -> T) -> bool {
        if self.list.last().is_none_or(|(last, _)| *last < line) {
            self.list.push((line, value));
            return true;
        }
        if let Ok(at) = self.list.binary_search_by_key(&line, |(line, _)| *line) {
            if let Some((_, before)) = self.list.get_mut(at) {
                *before = join(*before, value);
            }
            return false;
        }
        let before = self.late.get(&line).copied();
        let value = before.map_or(value, |before| join(before, value));
        self.late.insert(line, value);
        before.is_none()
    }

    /// The value of a line.
    pub(super) fn get(&self, line: u32) -> Option<T> {
        match self.list.binary_search_by_key(&line, |(line, _)| *line) {
            Ok(at) => self.list.get(at).map(|(_, value)| *value),
            Err(_) => self.late.get(&line).copied(),
        }
    }

    /// Lines and values in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, T)> + '_ {
        let mut list = self.list.iter().copied().peekable();
        let mut late = self
            .late
            .iter()
            .map(|(line, value)| (*line, *value))
            .peekable();
        std::iter::from_fn(move || match (list.peek(), late.peek()) {
            (Some((one, _)), Some((other, _))) if other < one => late.next(),
            (Some(_), _) => list.next(),
            (None, _) => late.next(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.list.len() + self.late.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::ByLine;

    proptest! {
        #[test]
        fn whatever_the_order_it_is_a_map(entries in prop::collection::vec((1_u32..50, 0_u64..9), 0..80)) {
            let (mut lines, mut map) = (ByLine::default(), BTreeMap::new());
            for (line, value) in entries {
                let new = lines.add(line, value, u64::max);
                prop_assert_eq!(new, !map.contains_key(&line));
                let before = map.entry(line).or_insert(value);
                *before = value.max(*before);
            }
            prop_assert_eq!(lines.len(), map.len());
            prop_assert!(lines.iter().eq(map.iter().map(|(line, value)| (*line, *value))));
            for line in 0..60 {
                prop_assert_eq!(lines.get(line), map.get(&line).copied());
            }
        }
    }
}
