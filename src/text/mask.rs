//! Hiding secret values in a stream of bytes.
//!
//! A value is found as it is, in JSON, in base64 (also inside of a longer text that was encoded as
//! a whole, and in lines) and percent-encoded; of several lines also line by line. What is found becomes `***`. A stream
//! may be cut anywhere: of each piece only what may yet become a value is held back, so never
//! more than the longest form of one.

use std::collections::BTreeSet;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

/// What is shown in place of a value.
const STARS: &[u8] = b"***";
/// Shorter values are not hidden: they are everywhere.
const SHORTEST: usize = 4;
/// Shorter lines of a value of several lines are not hidden by themselves.
const SHORTEST_LINE: usize = 8;
/// A table with a row for every byte of all forms is worth its memory up to this size.
const SMALL: usize = 8 * 1024;

/// Values to hide, ready to be looked for.
#[derive(Debug, Clone)]
pub struct Masker(Arc<Forms>);

/// Every form of every value.
struct Forms {
    search: AhoCorasick,
    /// In order, without doubles.
    sorted: Vec<Vec<u8>>,
    /// A bit for every pair of bytes that a form begins with: most of a stream is told apart by it.
    pairs: Vec<u64>,
    longest: usize,
}

impl std::fmt::Debug for Forms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Forms(…)")
    }
}

impl Masker {
    /// Hides these values; `None` when there is nothing to hide.
    pub fn new(values: &[String]) -> Option<Self> {
        let mut forms = BTreeSet::new();
        for value in values {
            add_value(value, &mut forms);
        }
        let sorted: Vec<Vec<u8>> = forms.into_iter().collect();
        let longest = sorted.iter().map(Vec::len).max()?;
        let total: usize = sorted.iter().map(Vec::len).sum();
        let kind = if total <= SMALL {
            AhoCorasickKind::DFA
        } else {
            AhoCorasickKind::ContiguousNFA
        };
        let build = |kind| {
            AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .kind(kind)
                .build(&sorted)
        };
        // It fails beyond billions of states only, and values are bounded.
        let search = build(Some(kind)).or_else(|_| build(None)).ok()?;
        let mut pairs = vec![0; 1 << 10];
        for (word, bit) in sorted.iter().filter_map(|form| pair(form)) {
            if let Some(bits) = pairs.get_mut(word) {
                *bits |= bit;
            }
        }
        Some(Self(Arc::new(Forms {
            search,
            sorted,
            pairs,
            longest,
        })))
    }

    /// For one stream.
    pub fn stream(&self) -> Mask {
        Mask {
            forms: Arc::clone(&self.0),
            held: Vec::new(),
        }
    }

    /// A whole text.
    pub fn text(&self, text: &str) -> String {
        let mut out = Vec::with_capacity(text.len());
        let mut mask = self.stream();
        mask.feed(text.as_bytes(), &mut out);
        mask.end(&mut out);
        String::from_utf8(out)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// A text in its place; one with nothing to hide is not touched.
    pub fn hide(&self, text: &mut String) {
        if self.0.search.is_match(text.as_bytes()) {
            *text = self.text(text);
        }
    }
}

/// Hides values in one stream.
#[derive(Debug)]
pub struct Mask {
    forms: Arc<Forms>,
    /// The end of what was fed, which may be the beginning of a value.
    held: Vec<u8>,
}

impl Mask {
    /// Takes the next bytes of the stream, and appends to `out` what is certain.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.held.extend_from_slice(bytes);
        let open = self.forms.open(&self.held, 0);
        self.pass(open, false, out);
    }

    /// The stream has ended: appends what was held back.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        self.pass(self.held.len(), true, out);
    }

    /// Appends what is before `open`, which is where the first value may begin that more bytes
    /// could complete or make longer. What begins before cannot change any more.
    fn pass(&mut self, mut open: usize, last: bool, out: &mut Vec<u8>) {
        let held = &self.held;
        let mut done = 0;
        loop {
            let input = Input::new(held).span(done..held.len());
            let found = self.forms.search.find(input);
            let Some(found) = found.filter(|found| found.start() < open) else {
                out.extend_from_slice(held.get(done..open).unwrap_or_default());
                break;
            };
            out.extend_from_slice(held.get(done..found.start()).unwrap_or_default());
            out.extend_from_slice(STARS);
            done = found.end();
            if done > open {
                open = if last {
                    held.len()
                } else {
                    self.forms.open(held, done)
                };
            }
        }
        self.held.drain(..open);
    }
}

impl Forms {
    /// The first place from `from` on where the rest of `bytes` is the beginning of a longer form;
    /// their end if there is none.
    fn open(&self, bytes: &[u8], from: usize) -> usize {
        let first = from.max((bytes.len() + 1).saturating_sub(self.longest));
        (first..bytes.len())
            .find(|start| self.begins(bytes.get(*start..).unwrap_or_default()))
            .unwrap_or(bytes.len())
    }

    /// Whether a form that is longer than this begins like this.
    fn begins(&self, tail: &[u8]) -> bool {
        if let Some((word, bit)) = pair(tail)
            && self.pairs.get(word).is_none_or(|bits| bits & bit == 0)
        {
            return false;
        }
        // What begins like it follows it in order.
        let after = self.sorted.partition_point(|form| form.as_slice() <= tail);
        self.sorted
            .get(after)
            .is_some_and(|form| form.starts_with(tail))
    }
}

/// Where the bit of the first two bytes is.
fn pair(bytes: &[u8]) -> Option<(usize, u64)> {
    let [first, second, ..] = bytes else {
        return None;
    };
    let number = u16::from_be_bytes([*first, *second]);
    Some((usize::from(number >> 6), 1 << (number & 63)))
}

/// Adds every form of a value, and of its lines.
fn add_value(value: &str, forms: &mut BTreeSet<Vec<u8>>) {
    let trimmed = value.trim_end_matches(['\r', '\n']);
    for one in [value, trimmed] {
        if one.len() >= SHORTEST {
            add_forms(one.as_bytes(), forms);
            add_whole(one.as_bytes(), forms);
        }
    }
    if !trimmed.contains('\n') {
        return;
    }
    // Terminals and Windows write the ends of lines otherwise.
    let unix = trimmed.replace("\r\n", "\n");
    forms.insert(unix.replace('\n', "\r\n").into_bytes());
    forms.insert(unix.clone().into_bytes());
    for line in unix.lines().map(str::trim) {
        if line.len() >= SHORTEST_LINE {
            add_forms(line.as_bytes(), forms);
        }
    }
}

/// The forms of a value or of one of its lines.
fn add_forms(value: &[u8], forms: &mut BTreeSet<Vec<u8>>) {
    forms.insert(value.to_vec());
    forms.extend(json(value));
    for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
        for offset in 0..3 {
            forms.insert(within_base64(engine, value, offset));
        }
    }
}

/// The forms that nobody gives a single line.
fn add_whole(value: &[u8], forms: &mut BTreeSet<Vec<u8>>) {
    for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
        forms.insert(engine.encode(value).into_bytes());
    }
    // Encoded by itself, with or without an end of line, it is written in lines by most tools.
    for encoded in [
        STANDARD.encode(value).into_bytes(),
        within_base64(&STANDARD_NO_PAD, value, 0),
    ] {
        for columns in COLUMNS {
            let lines: Vec<&[u8]> = encoded.chunks(columns).collect();
            forms.insert(lines.join(b"\n".as_slice()));
        }
    }
    for (kept, plus) in PERCENT {
        for digits in [b"0123456789ABCDEF", b"0123456789abcdef"] {
            forms.insert(percent(value, kept, plus, digits));
        }
    }
}

/// What the base64 of any text has in it that contains the value after `offset` bytes (modulo 3):
/// the digits that tell of no other bits. RFC 4648, 4: a digit is six bits.
fn within_base64(engine: &impl Engine, value: &[u8], offset: usize) -> Vec<u8> {
    let mut padded = vec![0; offset];
    padded.extend_from_slice(value);
    let encoded = engine.encode(&padded).into_bytes();
    let first = (8 * offset).div_ceil(6);
    let last = 8 * padded.len() / 6;
    encoded.get(first..last).unwrap_or_default().to_vec()
}

/// Lines of base64: RFC 7468 (PEM), RFC 2045 (MIME, also coreutils).
const COLUMNS: [usize; 2] = [64, 76];

/// The value within a JSON string.
fn json(value: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(value).ok()?;
    let quoted = serde_json::to_string(text).ok()?;
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    Some(inner.as_bytes().to_vec())
}

/// What percent-encoders leave as it is beside letters and digits, and whether a space becomes
/// `+`: RFC 3986; Python's `quote` and `quote_plus`; ECMAScript's `encodeURIComponent`; forms.
const PERCENT: [(&[u8], bool); 5] = [
    (b"-._~", false),
    (b"-._~/", false),
    (b"-._~", true),
    (b"-._~!*'()", false),
    (b"-._*", true),
];

fn percent(value: &[u8], kept: &[u8], plus: bool, digits: &[u8; 16]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let digit = |nibble: u8| digits.get(usize::from(nibble)).copied().unwrap_or(b'0');
    for byte in value {
        if byte.is_ascii_alphanumeric() || kept.contains(byte) {
            out.push(*byte);
        } else if plus && *byte == b' ' {
            out.push(b'+');
        } else {
            out.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::Masker;

    fn masker(values: &[&str]) -> Masker {
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        Masker::new(&values).unwrap()
    }

    #[test]
    fn where_there_is_nothing_to_hide_there_is_no_masker() {
        assert!(Masker::new(&[]).is_none());
        assert!(Masker::new(&["abc".to_owned(), String::new()]).is_none());
    }

    #[test]
    fn a_value_is_hidden_as_it_is_and_encoded() {
        let secret = "p4ss/w örd~+?";
        let mask = masker(&[secret]);
        for form in [
            secret.to_owned(),
            STANDARD.encode(secret),
            URL_SAFE_NO_PAD.encode(secret),
            "p4ss%2Fw%20%C3%B6rd~%2B%3F".to_owned(),
            "p4ss%2fw%20%c3%b6rd~%2b%3f".to_owned(),
            "p4ss/w%20%C3%B6rd~%2B%3F".to_owned(),
            "p4ss%2Fw+%C3%B6rd~%2B%3F".to_owned(),
            "p4ss%2Fw+%C3%B6rd%7E%2B%3F".to_owned(),
        ] {
            assert_eq!(mask.text(&format!("<{form}>")), "<***>", "{form}");
        }
        assert_eq!(mask.text("nothing to see"), "nothing to see");
    }

    #[test]
    fn a_value_is_hidden_in_the_base64_of_a_longer_text() {
        let secret = "hunter2hunter2";
        let mask = masker(&[secret]);
        for before in ["", "a", "ab", "abc", "user:"] {
            for after in ["", "x", "yz", "\n"] {
                let encoded = STANDARD.encode(format!("{before}{secret}{after}"));
                let shown = mask.text(&encoded);
                // At most a digit at each end also tells of a neighbour.
                let digits = shown.trim_end_matches('=').len();
                let around = STANDARD.encode(before).len() + STANDARD.encode(after).len();
                assert!(shown.contains("***"), "{before}|{after}: {shown}");
                assert!(digits <= around + 3 + 2, "{before}|{after}: {shown}");
            }
        }
    }

    #[test]
    fn a_value_of_several_lines_is_hidden_line_by_line() {
        let mask = masker(&["first line\n  second line\nend\n"]);
        assert_eq!(mask.text("first line\n  second line\nend\n"), "***");
        assert_eq!(mask.text("first line\r\n  second line\r\nend"), "***");
        assert_eq!(mask.text("> second line <"), "> *** <");
        assert_eq!(mask.text("the end"), "the end");
        // A line end that came with a file is no part of what is hidden.
        assert_eq!(masker(&["s3cret\n"]).text("is s3cret!"), "is ***!");
    }

    #[test]
    fn a_value_is_hidden_in_json_and_in_lines_of_base64() {
        let secret =
            r#"{"key": "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrst\n"}"#;
        let mask = masker(&[secret]);
        let json = serde_json::json!({ "TOKEN": secret }).to_string();
        assert_eq!(mask.text(&json), r#"{"TOKEN":"***"}"#);
        let encoded = STANDARD.encode(secret);
        for columns in [64, 76] {
            let (first, rest) = encoded.split_at(columns);
            assert_eq!(mask.text(&format!("{first}\n{rest}\n")), "***\n");
        }
        // As `echo "$TOKEN" | base64` writes it.
        let encoded = STANDARD.encode(format!("{secret}\n"));
        let (first, rest) = encoded.split_at(76);
        let shown = mask.text(&format!("{first}\n{rest}\n"));
        assert!(shown.starts_with("***") && shown.len() <= 8, "{shown}");
    }

    #[test]
    fn the_longest_of_several_values_is_hidden() {
        let mask = masker(&["abcd", "abcdef", "defg"]);
        assert_eq!(mask.text("abcdefg abcd defg abc"), "***g *** *** abc");
    }

    #[test]
    fn no_more_is_held_back_than_may_become_a_value() {
        let mask = masker(&["secret"]);
        let mut stream = mask.stream();
        let mut out = Vec::new();
        stream.feed(b"password: ", &mut out);
        assert_eq!(out, b"password: ");
        stream.feed(b"sec", &mut out);
        assert_eq!(out, b"password: ");
        stream.feed(b"ond se", &mut out);
        assert_eq!(out, b"password: second ");
        stream.feed(b"cretly", &mut out);
        assert_eq!(out, b"password: second ***ly");
        stream.feed(b"se", &mut out);
        stream.end(&mut out);
        assert_eq!(out, b"password: second ***lyse");
    }

    proptest! {
        #[test]
        fn where_a_stream_is_cut_makes_no_difference(
            values in proptest::collection::vec("[ab\n]{4,9}", 1..4),
            text in "[ab\n]{0,60}",
            cuts in proptest::collection::vec(1_usize..7, 1..60),
        ) {
            let Some(mask) = Masker::new(&values) else { return Ok(()); };
            let mut stream = mask.stream();
            let mut out = Vec::new();
            let mut rest = text.as_bytes();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                stream.feed(piece, &mut out);
                rest = after;
            }
            stream.feed(rest, &mut out);
            stream.end(&mut out);
            let shown = String::from_utf8(out).unwrap();
            prop_assert_eq!(&shown, &mask.text(&text));
            for value in values {
                prop_assert!(!shown.contains(&value));
            }
        }
    }
}
