//! The attributes of a tag, as places in its text.
//!
//! Every case of a report has some, so nothing is copied, and what is wrong does not end the
//! reading.

use std::ops::Range;

/// An attribute of a tag.
#[derive(Debug)]
pub(super) struct Attribute {
    name: Range<usize>,
    value: Range<usize>,
    /// Whether the value has neither `&` nor `<`.
    pub(super) is_plain: bool,
}

impl Attribute {
    /// The name, in the text of the tag.
    pub(super) fn name_in<'a>(&self, tag: &'a str) -> &'a str {
        tag.get(self.name.clone()).unwrap_or_default()
    }

    /// The value as it is written, in the text of the tag.
    pub(super) fn value_in<'a>(&self, tag: &'a str) -> &'a str {
        tag.get(self.value.clone()).unwrap_or_default()
    }
}

/// Finds the attributes of a tag (productions 40 to 44 of XML), whose name ends at `start`. Calls
/// `wrong` with the place of what is none.
pub(super) fn scan(
    tag: &str,
    start: usize,
    found: &mut Vec<Attribute>,
    mut wrong: impl FnMut(usize, &'static str),
) {
    let bytes = tag.as_bytes();
    let byte = |at: usize| bytes.get(at).copied();
    found.clear();
    let mut at = skip(bytes, start, is_space);
    while at < bytes.len() {
        let name = at..skip(bytes, at, is_name);
        if name.is_empty() {
            wrong(at, "a value without a name");
        }
        at = skip(bytes, name.end, is_space);
        if byte(at) != Some(b'=') {
            wrong(name.end, "a name without a value");
            continue;
        }
        at = skip(bytes, at + 1, is_space);
        let Some(quote @ (b'"' | b'\'')) = byte(at) else {
            let problem = match byte(at) {
                None => "no value behind `=`",
                Some(_) => "a value without quotes",
            };
            wrong(at, problem);
            at = skip(bytes, skip(bytes, at, is_name_or_sign), is_space);
            continue;
        };
        let begin = at + 1;
        let rest = bytes.get(begin..).unwrap_or_default();
        // Most values are short and plain: this finds their end at once.
        let mut end = memchr::memchr3(quote, b'&', b'<', rest);
        let is_plain = end.is_none_or(|end| rest.get(end) == Some(&quote));
        if !is_plain {
            end = memchr::memchr(quote, rest);
        }
        let Some(end) = end.map(|end| begin + end) else {
            wrong(at, "a value without its last quote");
            return;
        };
        let twice = found
            .iter()
            .any(|other| bytes.get(other.name.clone()) == bytes.get(name.clone()));
        if name.is_empty() {
            // Said already.
        } else if twice {
            wrong(name.start, "an attribute is there twice");
        } else {
            found.push(Attribute {
                name,
                value: begin..end,
                is_plain,
            });
        }
        at = skip(bytes, end + 1, is_space);
    }
}

/// Where the wanted bytes end that begin at `at`.
#[inline]
fn skip(bytes: &[u8], at: usize, wanted: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| wanted(**byte)).count()
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn is_name(byte: u8) -> bool {
    byte != b'=' && !is_space(byte)
}

fn is_name_or_sign(byte: u8) -> bool {
    !is_space(byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::scan;

    type Pairs = Vec<(String, String)>;
    type Problems = Vec<(usize, &'static str)>;

    fn read(tag: &str) -> (Pairs, Problems) {
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        let name = tag.find([' ', '\n']).unwrap_or(tag.len());
        scan(tag, name, &mut found, |at, text| problems.push((at, text)));
        let pairs = found
            .iter()
            .map(|one| (one.name_in(tag).to_owned(), one.value_in(tag).to_owned()))
            .collect();
        (pairs, problems)
    }

    #[test]
    fn what_is_wrong_is_told_and_the_rest_is_read() {
        for (tag, names, problem) in [
            ("t a b=\"1\"", "b", (3, "a name without a value")),
            ("t a= b='1'", "", (5, "a value without quotes")),
            ("t a=", "", (4, "no value behind `=`")),
            ("t a=1 b='2'", "b", (4, "a value without quotes")),
            ("t a='1' b='2", "a", (10, "a value without its last quote")),
            ("t a='1' a='2'", "a", (8, "an attribute is there twice")),
            ("t ='1' b='2'", "b", (2, "a value without a name")),
        ] {
            let (pairs, problems) = read(tag);
            let found: String = pairs.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(problems.first(), Some(&problem), "{tag}");
            assert_eq!(found, names, "{tag}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            pairs in prop::collection::btree_map("[a-z]{1,5}", "[^\"]{0,9}", 0..6),
            space in prop::sample::select(vec![" ", "\n\t", "  "]),
        ) {
            let mut tag = "tag".to_owned();
            for (name, value) in &pairs {
                tag.push_str(&format!("{space}{name}{space}=\"{value}\""));
            }
            let (found, problems) = read(&tag);
            prop_assert_eq!(problems, []);
            prop_assert_eq!(found, pairs.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn nothing_makes_it_panic_or_stay(tag in "t[ =\"'<&a\nä]{0,30}") {
            read(&tag);
        }
    }
}
