//! Untrusted text in GitHub's Markdown.
//!
//! GitHub acts on more than Markdown's own syntax: mentions, references to issues and commits,
//! addresses without any markup, closing keywords, emoji names. What comes from a build or a
//! stranger must do none of that.

/// Escapes a text for one line of Markdown: it is read as it is and does nothing. Line breaks
/// become spaces.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    let mut before: Option<char> = None;
    for char in text.chars() {
        match char {
            '\n' | '\r' | '\t' => escaped.push(' '),
            char if char.is_control() => {}
            char if turns(char) => escaped.push(char::REPLACEMENT_CHARACTER),
            // Entities are shown as characters, but start no markup of any kind.
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '@' => escaped.push_str("&#64;\u{200b}"),
            '#' => escaped.push_str("&#35;\u{200b}"),
            '|' | '\\' | '`' | '*' | '_' | '~' | '[' | ']' | '$' => {
                escaped.push('\\');
                escaped.push(char);
            }
            // `http://` and `:emoji:`.
            ':' => escaped.push_str("&#58;\u{200b}"),
            // `www.example.com` becomes a link by itself; so does an address of mail, which has
            // lost its `@` above.
            '.' if before.is_some_and(|char| char.eq_ignore_ascii_case(&'w')) => {
                escaped.push_str(".\u{200b}");
            }
            // Lists at the start.
            '-' | '+' if before.is_none() => {
                escaped.push('\\');
                escaped.push(char);
            }
            // `GH-12`. References are looked for in what Markdown has made: a backslash is gone by then.
            '-' if before.is_some_and(|char| char.eq_ignore_ascii_case(&'h')) => {
                escaped.push_str("-\u{200b}");
            }
            char => escaped.push(char),
        }
        before = Some(char);
    }
    break_commits(&escaped)
}

/// Whether it turns the direction of writing, also of what comes after it (Unicode 16, annex 9, 2).
fn turns(char: char) -> bool {
    matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Seven to forty hex digits in a row become a link to a commit, when there is one.
fn break_commits(text: &str) -> String {
    let mut broken = String::with_capacity(text.len());
    let mut run = 0;
    for char in text.chars() {
        if char.is_ascii_hexdigit() {
            // Never seven in a row, wherever one begins to count.
            if run == 6 {
                broken.push('\u{200b}');
                run = 0;
            }
            run += 1;
        } else {
            run = 0;
        }
        broken.push(char);
    }
    broken
}

/// A code span that shows any text as it is, on one line, also in a table.
pub fn code(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\n' | '\r' | '\t' => line.push(' '),
            // A table is cut at `|` even within code; the backslash is taken away again there.
            // Outside of a table it would show, so the look-alike serves both.
            '|' => line.push('\u{2502}'),
            char if char.is_control() => {}
            char if turns(char) => line.push(char::REPLACEMENT_CHARACTER),
            char => line.push(char),
        }
    }
    if line.trim().is_empty() {
        return String::new();
    }
    let ticks = "`".repeat(longest_run(&line, '`') + 1);
    // One space on each side is taken away; needed where the text begins or ends with a tick.
    let pad = if line.starts_with('`') || line.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{ticks}{pad}{line}{pad}{ticks}")
}

/// A fenced block that shows any text as it is. `info` is our own word for its language.
pub fn fence(text: &str, info: &str) -> String {
    let kept: String = text
        .chars()
        .filter(|char| !char.is_control() || matches!(char, '\n' | '\t'))
        .map(|char| match char {
            char if turns(char) => char::REPLACEMENT_CHARACTER,
            char => char,
        })
        .collect();
    let ticks = "`".repeat(longest_run(&kept, '`').max(2) + 1);
    let end = if kept.ends_with('\n') { "" } else { "\n" };
    format!("{ticks}{info}\n{kept}{end}{ticks}")
}

/// Where fenced blocks begin and end, line after line.
#[derive(Debug, Default)]
pub struct Fences {
    open: Option<usize>,
}

impl Fences {
    /// Whether a block is open after this line.
    pub fn open_after(&mut self, line: &str) -> bool {
        let ticks = line.bytes().take_while(|byte| *byte == b'`').count();
        match self.open {
            Some(open) if ticks >= open && line.trim_end().len() == ticks => self.open = None,
            // Behind it no more of them, or it is a code span.
            None if ticks >= 3 && !line.trim_start_matches('`').contains('`') => {
                self.open = Some(ticks);
            }
            _ => {}
        }
        self.open.is_some()
    }
}

fn longest_run(text: &str, wanted: char) -> usize {
    let (mut longest, mut run) = (0, 0);
    for char in text.chars() {
        run = if char == wanted { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{code, escape, fence};

    #[test]
    fn nothing_of_a_hostile_text_takes_effect() {
        for hostile in [
            "@org/team",
            "closes #12",
            "https://evil.example",
            "www.evil.example",
            "![x](https://evil.example/x.png)",
            "<img src=x onerror=1>",
            "a | b",
            "deadbeefdeadbeef",
            "GH-12",
        ] {
            let safe = escape(hostile);
            for live in [
                "@o", "#1", "://", "www.e", "![", "<i", " | ", "deadbee", "GH-1",
            ] {
                assert!(!safe.contains(live), "{hostile} -> {safe}");
            }
        }
    }

    #[test]
    fn plain_words_stay_as_they_are() {
        assert_eq!(escape("step 1 failed (exit 3)"), "step 1 failed (exit 3)");
    }

    #[test]
    fn code_holds_ticks_and_bars() {
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code("a|b\nc"), "`a│b c`");
    }

    #[test]
    fn a_fence_is_longer_than_any_in_the_text() {
        assert_eq!(fence("x", "text"), "```text\nx\n```");
        assert_eq!(fence("````\nx\n", "text"), "`````text\n````\nx\n`````");
    }

    proptest! {
        #[test]
        fn escaped_text_has_no_live_mention_or_tag(text in "\\PC{0,80}") {
            let safe = escape(&text);
            prop_assert!(!safe.contains('@'));
            prop_assert!(!safe.contains('<'));
            prop_assert!(!safe.contains("://"));
            prop_assert!(!safe.contains('\n'));
        }

        #[test]
        fn a_fence_is_closed_by_its_own_line_only(text in "[`a\\n]{0,60}") {
            let block = fence(&text, "text");
            let ticks: String = block.chars().take_while(|char| *char == '`').collect();
            let closing = block.lines().skip(1).filter(|line| line.starts_with(&ticks)).count();
            prop_assert_eq!(closing, 1);
        }
    }
}
