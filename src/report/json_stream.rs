//! JSON as a stream: objects and arrays are handed over member by member, never held whole.
//!
//! A format describes what it wants as [`Node`]s. Whatever it does not ask for, or what has
//! another shape than it hopes for, is passed over. What ends the reading (no JSON, the end of
//! the file, too deep, something behind the value) is a diagnostic with its place in the file;
//! all that was handed over before stays.
//!
//! Strings are cut to a length while the bytes come in. This module knows no format.

use std::fmt;
use std::io::Read;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::error::Category;

use super::cobertura::count;
use super::json_bytes::Cut;
use super::model::Diagnostic;
use super::source::Source;

/// A value that takes itself apart. Every method passes over what it gets unless it is written.
pub(super) trait Node {
    /// A member of this object. The value has to be consumed: by [`walk`], by [`skip`], or by
    /// `Deserialize`, whose errors end the reading.
    fn member<'de, D: Deserializer<'de>>(&mut self, _: &str, value: D) -> Result<(), D::Error> {
        skip(value)
    }

    /// An element of this array, counted from 0. To be consumed likewise.
    fn element<'de, D: Deserializer<'de>>(&mut self, _: usize, value: D) -> Result<(), D::Error> {
        skip(value)
    }

    /// This is a string, perhaps cut.
    fn text(&mut self, _: &str) {}

    /// This is true or false.
    fn flag(&mut self, _: bool) {}

    /// This is a number, not below zero; what is too large is the largest.
    fn number(&mut self, _: u64) {}

    /// This is a number with a fraction, or too large for another; it is rounded up.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast from float saturates, which is what is wanted"
    )]
    fn fraction(&mut self, number: f64) {
        self.number(number.ceil() as u64);
    }
}

/// Hands a value over to a node.
pub(super) fn walk<'de, D: Deserializer<'de>>(
    node: &mut impl Node,
    value: D,
) -> Result<(), D::Error> {
    value.deserialize_any(Walk(node))
}

/// A node of its own for a value.
pub(super) fn take<'de, N: Node + Default, D: Deserializer<'de>>(value: D) -> Result<N, D::Error> {
    let mut node = N::default();
    walk(&mut node, value)?;
    Ok(node)
}

/// Passes over a value.
pub(super) fn skip<'de, D: Deserializer<'de>>(value: D) -> Result<(), D::Error> {
    IgnoredAny::deserialize(value).map(|_| ())
}

/// A number, from anything: a fraction is rounded up, one below zero is 0, a string may hold one,
/// and everything else is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Number(pub(super) Option<u64>);

impl Node for Number {
    fn text(&mut self, text: &str) {
        self.0 = count(text);
    }

    fn number(&mut self, number: u64) {
        self.0 = Some(number);
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        take(value)
    }
}

/// A string; everything else is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text(pub(super) Option<String>);

impl Node for Text {
    fn text(&mut self, text: &str) {
        self.0 = Some(text.to_owned());
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        take(value)
    }
}

/// A number with its fraction; everything else is none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Decimal(pub(super) Option<f64>);

impl Node for Decimal {
    #[expect(
        clippy::cast_precision_loss,
        reason = "nobody needs more than 52 bits of a duration"
    )]
    fn number(&mut self, number: u64) {
        self.0 = Some(number as f64);
    }

    fn fraction(&mut self, number: f64) {
        self.0 = Some(number).filter(|number| number.is_finite() && *number >= 0.0);
    }
}

/// Whether it is `true`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Flag(pub(super) bool);

impl Node for Flag {
    fn flag(&mut self, flag: bool) {
        self.0 = flag;
    }
}

/// Reads the one value of a file. Returns what is wrong with it, in the order of the file.
/// Strings have `longest` bytes at most, as they are written there.
pub(super) fn read<R: Read>(
    source: Source<R>,
    longest: usize,
    node: &mut impl Node,
) -> Vec<Diagnostic> {
    let mut bytes = Cut::new(source, longest);
    let mut json = serde_json::Deserializer::from_reader(&mut bytes);
    let wrong = match walk(node, &mut json) {
        Ok(()) => json
            .end()
            .err()
            .map(|_| "there is something behind the end of the value".to_owned()),
        Err(error) => Some(words(&error)),
    };
    let mut notes = Vec::new();
    if let Some(wrong) = wrong {
        let text = bytes.interruption().unwrap_or(wrong);
        notes.push(Diagnostic::error(bytes.position(), text));
    }
    notes.extend(bytes.faults());
    notes.sort_by_key(|note| (note.line, note.column));
    notes
}

/// Whether the beginning of a file is that of an object or array with this key at this depth.
pub(super) fn has_key(beginning: &str, depth: usize, key: &str) -> bool {
    keys(beginning).any(|found| found == (depth, key))
}

/// The keys in the beginning of a file, as they are written, and how deep they are: those of the
/// outermost object have 1, and arrays count as well. There are none when this is no JSON.
pub(super) fn keys(beginning: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = beginning.trim_start_matches('\u{FEFF}').trim_start();
    let mut rest = text.starts_with(['{', '[']).then_some(text);
    let mut depth = 0_usize;
    std::iter::from_fn(move || {
        loop {
            let text = rest.take()?;
            let at = text.find(['{', '[', '}', ']', '"'])?;
            let behind = text.get(at + 1..)?;
            rest = Some(behind);
            match text.as_bytes().get(at)? {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {
                    let end = end_of_string(behind)?;
                    let behind_it = behind.get(end + 1..)?;
                    rest = Some(behind_it);
                    if behind_it.trim_start().starts_with(':') {
                        return Some((depth, behind.get(..end)?));
                    }
                }
            }
        }
    })
}

/// Where the quote is that ends a string.
fn end_of_string(text: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.find(['"', '\\'])?;
        if text.get(at..)?.starts_with('"') {
            return Some(at);
        }
        // What is escaped is one character, whatever it stands for.
        from = at + 1 + text.get(at + 1..)?.chars().next()?.len_utf8();
    }
}

/// An error of `serde_json` without its position, which is that behind the cuts.
fn words(error: &serde_json::Error) -> String {
    if error.classify() == Category::Eof {
        return "the file ends inside of a value".to_owned();
    }
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    text.get(..end).unwrap_or_default().to_owned()
}

struct Walk<'a, N>(&'a mut N);

impl<'de, N: Node> Visitor<'de> for Walk<'_, N> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut key = Key(String::new());
        while let Some(()) = map.next_key_seed(Seed(&mut key))? {
            map.next_value_seed(Member(&mut *self.0, &key.0))?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(()) = elements.next_element_seed(Element(&mut *self.0, index))? {
            index += 1;
        }
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.text(text);
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.0.number(number);
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.0.number(u64::try_from(number).unwrap_or_default());
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.0.fraction(number);
        Ok(())
    }

    fn visit_bool<E>(self, flag: bool) -> Result<(), E> {
        self.0.flag(flag);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

struct Seed<'a, N>(&'a mut N);

impl<'de, N: Node> DeserializeSeed<'de> for Seed<'_, N> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        walk(self.0, value)
    }
}

/// The key of a member. There are many, so the memory of one is used for the next.
struct Key(String);

impl Node for Key {
    fn text(&mut self, text: &str) {
        self.0.clear();
        self.0.push_str(text);
    }
}

struct Member<'a, N>(&'a mut N, &'a str);

impl<'de, N: Node> DeserializeSeed<'de> for Member<'_, N> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        self.0.member(self.1, value)
    }
}

struct Element<'a, N>(&'a mut N, usize);

impl<'de, N: Node> DeserializeSeed<'de> for Element<'_, N> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        self.0.element(self.1, value)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserializer;

    use super::super::model::Diagnostic;
    use super::super::source::Source;
    use super::{Node, Number, Text, has_key, read, skip, walk};

    /// Notes what it sees: keys, strings, numbers.
    #[derive(Default)]
    struct Seen(Vec<String>);

    impl Node for Seen {
        fn member<'de, D: Deserializer<'de>>(
            &mut self,
            key: &str,
            value: D,
        ) -> Result<(), D::Error> {
            if key == "skipped" {
                return skip(value);
            }
            self.0.push(format!("{key}:"));
            walk(self, value)
        }

        fn element<'de, D: Deserializer<'de>>(
            &mut self,
            index: usize,
            value: D,
        ) -> Result<(), D::Error> {
            self.0.push(format!("{index}."));
            walk(self, value)
        }

        fn text(&mut self, text: &str) {
            self.0.push(text.to_owned());
        }

        fn number(&mut self, number: u64) {
            self.0.push(number.to_string());
        }
    }

    fn seen_within(longest: usize, text: &[u8]) -> (String, Vec<Diagnostic>) {
        let mut seen = Seen::default();
        let source = Source::new(text, text, 1 << 10, 1 << 30);
        let notes = read(source, longest, &mut seen);
        (seen.0.join(" "), notes)
    }

    fn seen(text: &str) -> (String, Vec<Diagnostic>) {
        seen_within(100, text.as_bytes())
    }

    fn broken(text: &str) -> (String, u64, u64, String) {
        let (seen, notes) = seen(text);
        assert_eq!(notes.len(), 1, "{notes:?}");
        let note = &notes[0];
        (seen, note.line, note.column, note.message.clone())
    }

    #[test]
    fn members_and_elements_come_one_by_one() {
        let text = r#" {"a": [1, "x", {"b": null}], "skipped": {"c": [1]}, "d": 2.5, "e": -3, "f": 99999999999999999999, "g": true} "#;
        let expected = "a: 0. 1 1. x 2. b: d: 3 e: 0 f: 18446744073709551615 g:";
        assert_eq!(seen(text), (expected.to_owned(), Vec::new()));
    }

    #[test]
    fn a_long_string_is_cut_and_the_rest_is_read() {
        let long = "x".repeat(3 << 20);
        let text = format!(r#"["{long}", "{long}\"", "end"]"#);
        let (found, notes) = seen_within(5, text.as_bytes());
        assert_eq!(
            (found.as_str(), notes),
            ("0. xxxxx 1. xxxxx 2. end", vec![])
        );
    }

    #[test]
    fn no_string_is_cut_within_a_character() {
        for text in [
            r#"["aé€😀\u00e9\ud83d\ude00\n\"\\é\u20ac\ud83d\ude00b", "end"]"#,
            r#"["\\\\\\\\\\\\\\", "end"]"#,
            r#"["\"\"\"\"\"\"\"", "end"]"#,
        ] {
            let whole: Vec<String> = serde_json::from_str(text).expect("JSON");
            for longest in 0..text.len() {
                let (found, notes) = seen_within(longest, text.as_bytes());
                assert_eq!(notes, [], "{longest}");
                let head = found.strip_prefix("0. ").expect("an element");
                let (head, _) = head.rsplit_once(" 1. ").expect("two elements");
                assert!(whole[0].starts_with(head), "{longest}: {head}");
            }
        }
    }

    #[test]
    fn half_a_character_is_replaced() {
        for (text, expected) in [
            (r#"["a\ud83d"]"#, "a\u{FFFD}"),
            (r#"["\ud83db"]"#, "\u{FFFD}b"),
            (r#"["\ud83d\n"]"#, "\u{FFFD}\n"),
            (r#"["\ude00\ud83d\ud83d\ude00"]"#, "\u{FFFD}\u{FFFD}😀"),
            (r#"["\ud83d\u00e9"]"#, "\u{FFFD}é"),
        ] {
            assert_eq!(seen(text), (format!("0. {expected}"), vec![]), "{text}");
        }
        assert_eq!(broken(r#"["\u12", 1]"#).1, 1);
    }

    #[test]
    fn every_beginning_of_a_document_is_broken() {
        let text = r#"{"a\ud83d\ude00": [1, "x\u00e9", {"b": null}], "skipped": [true, 25]}"#;
        for end in 0..text.len() {
            let (_, notes) = seen(text.get(..end).expect("ASCII"));
            let texts: Vec<_> = notes.iter().map(|note| note.message.as_str()).collect();
            assert_eq!(texts, ["the file ends inside of a value"], "{end}");
        }
    }

    #[test]
    fn what_was_read_before_the_break_stays() {
        assert_eq!(
            broken("{\"a\": 1,\n \"b\": x}"),
            ("a: 1 b:".to_owned(), 2, 7, "expected value".to_owned())
        );
        assert_eq!(
            broken("[1, [2"),
            (
                "0. 1 1. 0. 2".to_owned(),
                1,
                7,
                "the file ends inside of a value".to_owned()
            )
        );
    }

    #[test]
    fn places_are_those_of_the_file_behind_a_cut_too() {
        let text = format!("[\"{}\", \"äöü\", x]", "é".repeat(500));
        let (_, line, column, _) = broken(&text);
        assert_eq!((line, column), (1, 2 + 502 + 2 + 5 + 2));
    }

    #[test]
    fn something_behind_the_value_is_an_error() {
        let message = "there is something behind the end of the value".to_owned();
        assert_eq!(broken("[1]\n]"), ("0. 1".to_owned(), 2, 1, message));
        assert_eq!(seen("[1]\n\n").1, []);
    }

    #[test]
    fn what_is_nested_too_deep_is_an_error_even_where_it_is_passed_over() {
        for (before, after) in [("", ""), ("{\"skipped\":", "}")] {
            let text = format!("{before}{}{}{after}", "[".repeat(9999), "]".repeat(9999));
            let (_, line, _, message) = broken(&text);
            assert!(line == 1 && (message.contains("nest") || message.contains("recursion")));
        }
    }

    #[test]
    fn characters_that_are_none_are_an_error() {
        assert!(broken("[\"a\u{1}\"]").3.contains("control character"));
        let (found, notes) = seen_within(9, b"[\"a\xFF\", 1]");
        assert_eq!(found, "0. a\u{FFFD} 1. 1");
        assert_eq!((notes.len(), notes[0].column), (1, 4));
    }

    #[test]
    fn a_byte_order_mark_is_no_garbage() {
        assert_eq!(seen("\u{FEFF}[1]"), ("0. 1".to_owned(), vec![]));
    }

    #[test]
    fn numbers_and_texts_are_read_from_anything() {
        let numbers: Vec<Number> =
            serde_json::from_str(r#"[1, "2", null, [3], {"a": 4}, true, -1, "x"]"#).expect("JSON");
        let numbers: Vec<_> = numbers.iter().map(|number| number.0).collect();
        let expected = [Some(1), Some(2), None, None, None, None, Some(0), None];
        assert_eq!(numbers, expected);
        let texts: Vec<Text> = serde_json::from_str(r#"["a", 1, null, ["b"]]"#).expect("JSON");
        assert_eq!(
            texts,
            [
                Text(Some("a".to_owned())),
                Text(None),
                Text(None),
                Text(None)
            ]
        );
    }

    #[test]
    fn keys_are_found_at_their_depth_in_a_beginning() {
        let text = r#"{"a": {"b}": [{"c\"": "d"}], "e": "f:"}, "f" : 1, "g": {"cut"#;
        for (depth, key) in [
            (1, "a"),
            (2, "b}"),
            (4, "c\\\""),
            (2, "e"),
            (1, "f"),
            (1, "g"),
        ] {
            assert!(has_key(text, depth, key), "{key}");
        }
        for (depth, key) in [(2, "a"), (4, "d"), (2, "f:"), (2, "cut"), (1, "b}")] {
            assert!(!has_key(text, depth, key), "{key}");
        }
        assert!(!has_key("<a/>{\"a\":1}", 1, "a"));
    }
}
