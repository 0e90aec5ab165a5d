//! Text in XML, SVG and HTML.

/// Escapes a text for content and attributes. Characters that XML 1.0 does not allow
/// (production 2, `Char`) are left out, so that the result is well-formed whatever comes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            char if is_allowed(char) => escaped.push(char),
            _ => {}
        }
    }
    escaped
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
