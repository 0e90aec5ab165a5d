//! Escape sequences of terminals.

use std::borrow::Cow;

/// Takes out escape sequences (ECMA-48: CSI, OSC and the like, two-character escapes), also where
/// a tool has written the escape character as `#x1B` (pytest) or `\u{1B}` (RSpec), and all other
/// control characters but newline and tab. A carriage return starts its line anew, as on a
/// terminal.
pub fn strip(text: &str) -> Cow<'_, str> {
    if is_plain(text.as_bytes()) {
        return Cow::Borrowed(text);
    }
    let text = text
        .replace("#x1B[", "\u{1b}[")
        .replace("\\u{1B}[", "\u{1b}[")
        .replace("\r\n", "\n");
    let mut kept = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\u{1b}' => match chars.next() {
                // CSI: parameters, then one final character from `@` to `~`.
                Some('[') => {
                    while chars.next_if(|char| !('@'..='~').contains(char)).is_some() {}
                    chars.next();
                }
                // OSC, DCS, SOS, PM, APC: up to BEL or ST.
                Some(']' | 'P' | 'X' | '^' | '_') => skip_string(&mut chars),
                // Escapes with an intermediate character, as for character sets.
                Some('(' | ')' | '*' | '+' | '#' | '%' | ' ') => {
                    chars.next();
                }
                _ => {}
            },
            '\u{9b}' => {
                while chars.next_if(|char| !('@'..='~').contains(char)).is_some() {}
                chars.next();
            }
            '\r' => {
                let line = kept.rfind('\n').map_or(0, |end| end + 1);
                kept.truncate(line);
            }
            '\n' | '\t' => kept.push(char),
            char if char.is_control() => {}
            char => kept.push(char),
        }
    }
    Cow::Owned(kept)
}

/// Whether there is nothing to take out. Asked of every text of every failure.
fn is_plain(text: &[u8]) -> bool {
    let is_control = |byte: u8| (byte < b' ' && !matches!(byte, b'\n' | b'\t')) || byte == 0x7F;
    // Without a way out of the loop, so that many bytes are looked at at once.
    let found = |found, byte: &u8| found | u8::from(is_control(*byte));
    text.iter().fold(0, found) == 0
        // The controls from U+0080 to U+009F in UTF-8.
        && !memchr::memchr_iter(0xC2, text)
            .any(|at| text.get(at + 1).is_some_and(|next| *next < 0xA0))
        && memchr::memmem::find(text, b"x1B").is_none()
        && memchr::memmem::find(text, b"{1B}").is_none()
}

fn skip_string(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(char) = chars.next() {
        match char {
            '\u{7}' | '\u{9c}' => return,
            '\u{1b}' => {
                chars.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::strip;

    #[test]
    fn colours_links_and_cursor_moves_vanish() {
        for (with, without) in [
            ("plain", "plain"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]8;;http://x\u{7}link\u{1b}]8;;\u{7}", "link"),
            ("\u{1b}]0;title\u{1b}\\text", "text"),
            ("#x1B[31mred#x1B[0m", "red"),
            ("a\u{1b}[2Kb", "ab"),
            ("10%\r20%\rdone\nnext", "done\nnext"),
            ("a\r\nb", "a\nb"),
            ("bell\u{7}", "bell"),
            ("unfinished \u{1b}[", "unfinished "),
        ] {
            assert_eq!(strip(with), without, "{with:?}");
        }
    }
}
