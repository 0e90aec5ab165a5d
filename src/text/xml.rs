//! Text in XML, SVG and HTML.

/// Escapes a text for content and attributes. Characters that XML 1.0 does not allow
/// (production 2, `Char`) are left out, so that the result is well-formed whatever comes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    escape_into(text, &mut escaped);
    escaped
}

/// The same, at the end of another text.
pub fn escape_into(text: &str, into: &mut String) {
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && !b"&<>\"'".contains(&byte);
    if text.bytes().all(plain) {
        into.push_str(text);
        return;
    }
    for char in text.chars() {
        match char {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '"' => into.push_str("&quot;"),
            '\'' => into.push_str("&apos;"),
            char if is_allowed(char) => into.push(char),
            _ => {}
        }
    }
}

/// Whether XML 1.0 allows the character.
pub fn is_allowed(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn markup_becomes_text_and_control_characters_vanish() {
        assert_eq!(
            escape("<a href='x'>&\u{0}\u{1b}\u{fffe}\"</a>"),
            "&lt;a href=&apos;x&apos;&gt;&amp;&quot;&lt;/a&gt;"
        );
    }
}
