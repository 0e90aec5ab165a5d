//! Versions as tags write them.

use std::cmp::Ordering;

/// The highest version among tags: releases before pre-releases, by numbers. `None` where no tag has a
/// number.
pub fn highest<'a>(tags: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    tags.into_iter()
        .filter_map(|tag| Some((Version::of(tag)?, tag)))
        .max_by(|(one, _), (other, _)| one.order(other))
        .map(|(_, tag)| tag)
}

/// Whether a version is not one to rely on: a pre-release, or below 1 (Semantic Versioning 2.0.0, 4 and
/// 9).
pub fn is_early(tag: &str) -> bool {
    Version::of(tag).is_none_or(|version| {
        !version.suffix.is_empty() || version.numbers.first().is_none_or(|first| *first == 0)
    })
}

/// `v1.2.3-rc.1`: numbers, and what follows them.
struct Version<'a> {
    numbers: Vec<u64>,
    suffix: &'a str,
}

impl<'a> Version<'a> {
    fn of(tag: &'a str) -> Option<Self> {
        let begin = tag.find(|char: char| char.is_ascii_digit())?;
        let (_, rest) = tag.split_at(begin);
        // Metadata of a build does not count.
        let rest = rest.split('+').next().unwrap_or(rest);
        let end = rest.find(|char: char| !char.is_ascii_digit() && char != '.');
        let (numbers, suffix) = rest.split_at(end.unwrap_or(rest.len()));
        let numbers = numbers.split('.').filter(|part| !part.is_empty());
        Some(Self {
            numbers: numbers
                .map(|part| part.parse().unwrap_or(u64::MAX))
                .collect(),
            suffix,
        })
    }

    fn order(&self, other: &Self) -> Ordering {
        let released = |version: &Self| version.suffix.is_empty();
        released(self)
            .cmp(&released(other))
            .then_with(|| self.numbers.cmp(&other.numbers))
            .then_with(|| natural(self.suffix).cmp(&natural(other.suffix)))
    }
}

/// A suffix with its numbers as numbers, so that `rc.10` comes after `rc.9`.
fn natural(suffix: &str) -> Vec<(u64, &str)> {
    suffix
        .split(['.', '-'])
        .map(|part| {
            let letters = part.trim_end_matches(|char: char| char.is_ascii_digit());
            let number = part.strip_prefix(letters).unwrap_or_default();
            (letters, number.parse().unwrap_or(0))
        })
        .flat_map(|(letters, number)| [(0, letters), (number, "")])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{highest, is_early};

    #[test]
    fn the_highest_version_is_the_last_release() {
        for (tags, expected) in [
            (&["v1.9.0", "v1.10.0", "v1.2"][..], Some("v1.10.0")),
            (&["v2.0.0-rc.1", "v1.9.0"], Some("v1.9.0")),
            (&["2.0.0-rc.9", "2.0.0-rc.10"], Some("2.0.0-rc.10")),
            (
                &["release-2024.11", "release-2024.2"],
                Some("release-2024.11"),
            ),
            (&["latest", "nightly"], None),
            (&["1.0.0+build.7", "1.0.1"], Some("1.0.1")),
            (&[], None),
        ] {
            assert_eq!(highest(tags.iter().copied()), expected, "{tags:?}");
        }
    }

    #[test]
    fn pre_releases_and_versions_below_one_are_early() {
        assert!(is_early("v0.9.1") && is_early("v1.0.0-beta") && is_early("nightly"));
        assert!(!is_early("v1.0.0") && !is_early("2024.1"));
    }
}
