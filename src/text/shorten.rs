//! Making texts fit.

use std::borrow::Cow;

use super::markdown::Fences;

const MARK: char = '…';

/// At most `max` bytes, cut at the end of a word where one is near, with `…` at the end.
pub fn bytes(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let Some(room) = max.checked_sub(MARK.len_utf8()) else {
        return Cow::Borrowed("");
    };
    Cow::Owned(cut(text, floor(text, room)))
}

/// At most `max` characters, cut at the end of a word where one is near, with `…` at the end.
pub fn chars(text: &str, max: usize) -> Cow<'_, str> {
    if text.chars().nth(max).is_none() {
        return Cow::Borrowed(text);
    }
    if max == 0 {
        return Cow::Borrowed("");
    }
    let end = text
        .char_indices()
        .nth(max - 1)
        .map_or(text.len(), |(at, _)| at);
    Cow::Owned(cut(text, end))
}

/// The first `end` bytes or a little less, and the mark.
fn cut(text: &str, end: usize) -> String {
    let head = text.get(..end).unwrap_or_default();
    let near = end.saturating_sub(24);
    let word = head
        .rfind(char::is_whitespace)
        .filter(|at| *at >= near && *at > 0)
        .and_then(|at| head.get(..at))
        .unwrap_or(head);
    format!("{}{MARK}", word.trim_end())
}

/// The greatest border of a character that is not behind `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// At most `max` bytes of the beginning and the end, whole lines where possible, and between
/// them a line that says how much is left out.
pub fn head_and_tail(text: &str, max: usize) -> Cow<'_, str> {
    // Room for the line in the middle, with a number of twenty digits.
    const MIDDLE: usize = 60;
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let Some(room) = max.checked_sub(MIDDLE) else {
        return bytes(text, max);
    };
    let head_end = floor(text, room / 2);
    let mut tail_start = text.len() - room / 2;
    while !text.is_char_boundary(tail_start) {
        tail_start += 1;
    }
    let head = text.get(..head_end).unwrap_or_default();
    let tail = text.get(tail_start..).unwrap_or_default();
    // Whole lines, unless a line is longer than half of what there is.
    let head = match head.rfind('\n') {
        Some(at) if at >= head.len() / 2 => head.get(..at).unwrap_or(head),
        _ => head,
    };
    let tail = match tail.find('\n') {
        Some(at) if at <= tail.len() / 2 => tail.get(at + 1..).unwrap_or(tail),
        _ => tail,
    };
    let left_out = text.len() - head.len() - tail.len();
    Cow::Owned(format!("{head}\n[… {left_out} bytes left out …]\n{tail}"))
}

/// At most `max` bytes of Markdown whose last line is to stay: before it as many whole lines as fit,
/// and no open block. Empty where not even the last line fits.
pub fn lines(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let (head, last) = text.rsplit_once('\n').unwrap_or(("", text));
    let Some(room) = max.checked_sub(last.len()) else {
        return Cow::Borrowed("");
    };
    let mut fences = Fences::default();
    let (mut at, mut end) = (0, 0);
    for line in head.split_inclusive('\n') {
        at += line.len();
        // And the blank line that keeps the last one out of a table or a list.
        if at + 2 > room {
            break;
        }
        if !fences.open_after(line) {
            end = at;
        }
    }
    let kept = head.get(..end).unwrap_or_default().trim_end();
    let blank = if kept.is_empty() { "" } else { "\n\n" };
    Cow::Owned(format!("{kept}{blank}{last}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{bytes, chars, head_and_tail, lines};

    #[test]
    fn a_text_that_fits_is_not_touched() {
        assert_eq!(bytes("whole", 5), "whole");
        assert_eq!(chars("wölf", 4), "wölf");
    }

    #[test]
    fn a_long_one_ends_at_a_word() {
        assert_eq!(chars("the quick brown fox", 12), "the quick…");
        assert_eq!(bytes("ééééé", 8), "éé…");
    }

    #[test]
    fn what_is_left_out_of_the_middle_is_said() {
        let lines: String = (0..100).map(|line| format!("line {line}\n")).collect();
        let short = head_and_tail(&lines, 200);
        assert!(short.starts_with("line 0\n"), "{short}");
        assert!(short.ends_with("line 99\n"), "{short}");
        assert!(short.contains("bytes left out"), "{short}");
    }

    #[test]
    fn lines_are_left_out_whole_and_the_last_one_stays() {
        let text = "| a |\n| b |\n\n```text\ncode\n```\nmore\n\nThe end.";
        assert_eq!(lines(text, 100), text);
        assert_eq!(lines(text, 33), "| a |\n| b |\n\nThe end.");
        assert_eq!(lines(text, 21), "| a |\n\nThe end.");
        assert_eq!(lines(text, 10), "The end.");
        assert_eq!(lines(text, 7), "");
    }

    proptest! {
        #[test]
        fn limits_are_kept(text in "\\PC{0,300}", max in 0_usize..200) {
            prop_assert!(bytes(&text, max).len() <= max);
            prop_assert!(chars(&text, max).chars().count() <= max);
            prop_assert!(head_and_tail(&text, max).len() <= max);
            prop_assert!(lines(&text, max).len() <= max);
        }
    }
}
