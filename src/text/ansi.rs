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
    let mut kept = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if is_plain(line.as_bytes()) {
            kept.push_str(line);
            continue;
        }
        let begin = kept.len();
        each(line, |token| match token {
            Token::Char(char) => kept.push(char),
            Token::Return => kept.truncate(begin),
            Token::Look(_) => {}
        });
    }
    Cow::Owned(kept)
}

/// What a text asks of a terminal.
pub(super) enum Token<'a> {
    /// A character to show; lines end with `\n`.
    Char(char),
    /// The line begins anew.
    Return,
    /// What follows looks otherwise: the parameters of SGR.
    Look(&'a str),
}

/// Goes through a text; what moves the cursor, sets titles or makes links is passed over. The end of a
/// line ends every sequence, so that lines stay lines.
pub(super) fn each(text: &str, mut take: impl FnMut(Token<'_>)) {
    let text = text
        .replace("#x1B[", "\u{1b}[")
        .replace("\\u{1B}[", "\u{1b}[")
        .replace("\r\n", "\n");
    let mut chars = text.chars().peekable();
    let mut parameters = String::new();
    let within = |char: &char| *char != '\n';
    while let Some(char) = chars.next() {
        let csi = match char {
            '\u{1b}' => match chars.next_if(within) {
                Some('[') => true,
                // OSC, DCS, SOS, PM, APC: up to BEL or ST.
                Some(']' | 'P' | 'X' | '^' | '_') => {
                    skip_string(&mut chars);
                    false
                }
                // Escapes with an intermediate character, as for character sets.
                Some('(' | ')' | '*' | '+' | '#' | '%' | ' ') => {
                    chars.next_if(within);
                    false
                }
                _ => false,
            },
            '\u{9b}' => true,
            '\r' => {
                take(Token::Return);
                false
            }
            '\n' | '\t' => {
                take(Token::Char(char));
                false
            }
            char if char.is_control() => false,
            char => {
                take(Token::Char(char));
                false
            }
        };
        if csi {
            // Parameters, then one final character from `@` to `~`.
            parameters.clear();
            let parameter = |char: &char| !('@'..='~').contains(char) && within(char);
            while let Some(char) = chars.next_if(parameter) {
                parameters.push(char);
            }
            if chars.next_if(within) == Some('m') {
                take(Token::Look(&parameters));
            }
        }
    }
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
    while let Some(char) = chars.next_if(|char| *char != '\n') {
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
            // A line end ends what was begun.
            (
                "a\u{1b}]0;title\nb\u{1b}[3\nc\u{1b}\nd\u{1b}(\ne",
                "a\nb\nc\nd\ne",
            ),
        ] {
            assert_eq!(strip(with), without, "{with:?}");
        }
    }
}
