//! Finding what names a person in texts and bytes, and taking it out.
//!
//! A name counts where it stands alone, in any case of ASCII letters: GitHub's logins have letters, digits and hyphens,
//! so `ada` is not in `adam` or `ada-l`, but in `@ada`, `/ada/`, `ada_test` and `1+ada@users.noreply.github.com`.

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, BuildError};

/// What stands in texts of the database in place of a name: as GitHub shows accounts that are gone.
pub const GHOST: &str = "ghost";

/// Names of one person.
#[derive(Debug, Clone)]
pub struct Traces {
    names: Vec<String>,
    finder: AhoCorasick,
}

impl Traces {
    /// Of these names: a login, addresses, other words. Empty ones count for nothing.
    ///
    /// # Errors
    /// When they are too many or too long.
    pub fn new(names: impl IntoIterator<Item = String>) -> Result<Self, BuildError> {
        let mut all: Vec<String> = Vec::new();
        for name in names {
            for form in forms(name.trim()) {
                // As JSON has it, where that is different.
                let escaped = serde_json::to_string(&form).unwrap_or_default();
                let escaped = escaped.trim_matches('"').to_owned();
                for mut one in [form, escaped] {
                    one.make_ascii_lowercase();
                    if !one.is_empty() && !all.contains(&one) {
                        all.push(one);
                    }
                }
            }
        }
        let finder = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .build(&all)?;
        Ok(Self { names: all, finder })
    }

    /// The names in the forms in which they are looked for; ASCII letters in lower case.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The length of the longest name, in bytes.
    pub fn longest(&self) -> usize {
        self.names.iter().map(String::len).max().unwrap_or(0)
    }

    /// Where names are, in order and without overlap.
    pub fn find(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        let word = |at: Option<usize>| {
            let byte = at.and_then(|at| bytes.get(at));
            byte.is_some_and(|byte| continues(*byte))
        };
        let alone = |range: &Range<usize>| {
            let (before, last) = (range.start.checked_sub(1), range.end.checked_sub(1));
            let goes_back = word(Some(range.start)) && word(before);
            let goes_on = word(last) && word(Some(range.end));
            !goes_back && !goes_on
        };
        let mut matches: Vec<Range<usize>> = self
            .finder
            .find_overlapping_iter(bytes)
            .map(|one| one.range())
            .filter(alone)
            .collect();
        matches.sort_by_key(|range| (range.start, range.end));
        for range in matches {
            match found.last_mut() {
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                _ => found.push(range),
            }
        }
        found
    }

    /// The text with [`GHOST`] in place of each name; `None` where there is none.
    pub fn replaced(&self, text: &str) -> Option<String> {
        self.replaced_by(text, GHOST)
    }

    /// The same, with another word.
    pub fn replaced_by(&self, text: &str, word: &str) -> Option<String> {
        let found = self.find(text.as_bytes());
        if found.is_empty() {
            return None;
        }
        let mut replaced = String::with_capacity(text.len());
        let mut from = 0;
        for range in found {
            // Names are whole characters, so their ends are ends of characters.
            replaced.push_str(text.get(from..range.start).unwrap_or_default());
            replaced.push_str(word);
            from = range.end;
        }
        replaced.push_str(text.get(from..).unwrap_or_default());
        Some(replaced)
    }

    /// What stands around each name, on one line, at most so many bytes on each side.
    pub fn excerpts(&self, text: &str, around: usize) -> Vec<String> {
        let mut excerpts: Vec<String> = Vec::new();
        let mut until = 0;
        for range in self.find(text.as_bytes()) {
            if range.start < until {
                continue;
            }
            let head = text.get(..range.start).unwrap_or_default();
            let line = head.rfind('\n').map_or(0, |at| at + 1);
            let start = floor(text, range.start.saturating_sub(around)).max(line);
            let tail = text.get(range.end..).unwrap_or_default();
            let line_end = tail.find('\n').map_or(text.len(), |at| range.end + at);
            let end = floor(text, (range.end + around).min(text.len())).min(line_end);
            let end = end.max(range.end);
            excerpts.push(text.get(start..end).unwrap_or_default().to_owned());
            until = end;
        }
        excerpts
    }
}

/// A name as it is given, and as others may write it. Bytes beyond ASCII are compared as they are, so each way of writing
/// such letters is a form of its own.
fn forms(name: &str) -> Vec<String> {
    let capital = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().into_iter().flat_map(char::to_uppercase);
        first.chain(letters).collect::<String>()
    };
    let lower = name.to_lowercase();
    let title: Vec<String> = lower.split(' ').map(capital).collect();
    vec![name.to_owned(), name.to_uppercase(), title.join(" "), lower]
}

/// Whether a byte goes on with a name that ends or begins beside it.
fn continues(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

/// The end of a character at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::Traces;

    fn traces(names: &[&str]) -> Traces {
        Traces::new(names.iter().map(|name| (*name).to_owned())).unwrap()
    }

    #[test]
    fn a_name_counts_where_it_stands_alone() {
        let ada = traces(&["Ada"]);
        for text in [
            "@ada",
            "by ADA.",
            "heads/ada/fix",
            "1+ada@users.noreply.github.com",
            "ada_test",
            "{\"login\":\"ada\"}",
        ] {
            assert_eq!(ada.find(text.as_bytes()).len(), 1, "{text}");
        }
        for text in ["adam", "armada", "ada-l", "x-ada", "7ada", ""] {
            assert_eq!(ada.find(text.as_bytes()).len(), 0, "{text}");
        }
    }

    #[test]
    fn what_overlaps_is_one_trace_and_goes_as_a_whole() {
        let ada = traces(&["ada", "ada@example.org", " ", "ada"]);
        let text = "mail ada@example.org, or ask ada";
        assert_eq!(ada.find(text.as_bytes()).len(), 2);
        assert_eq!(ada.replaced(text).unwrap(), "mail ghost, or ask ghost");
        assert_eq!(ada.replaced("nobody"), None);
    }

    #[test]
    fn letters_beyond_ascii_are_found_however_they_are_written() {
        let emile = traces(&["Émile Zola"]);
        for text in ["Émile Zola", "émile zola", "ÉMILE ZOLA", "by Émile Zola."] {
            assert_eq!(emile.find(text.as_bytes()).len(), 1, "{text}");
        }
        assert_eq!(emile.find("Emile Zola".as_bytes()).len(), 0);
    }

    #[test]
    fn names_that_json_escapes_are_found_in_both_forms() {
        let quoted = traces(&["o\"neil"]);
        assert_eq!(quoted.find(br#"{"name":"o\"neil"}"#).len(), 1);
        assert_eq!(quoted.find(br#"said o"neil"#).len(), 1);
    }

    #[test]
    fn an_excerpt_is_of_one_line_and_whole_characters() {
        let ada = traces(&["ada"]);
        let text = "first\nüüü ada ööö ada\nlast";
        assert_eq!(ada.excerpts(text, 100), ["üüü ada ööö ada"]);
        assert_eq!(ada.excerpts(text, 2), ["ü ada ", "ö ada"]);
    }
}
