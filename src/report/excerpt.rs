//! The beginning and the end of a text that comes in pieces.
//!
//! What a test prints may be without end, and whether it is of use is known only when the test
//! has ended.

/// A text, or what is kept of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Excerpt {
    head: String,
    tail: String,
    /// Bytes between the two.
    left_out: u64,
}

impl Excerpt {
    /// Adds a piece. Not much more than `most` bytes are held afterwards.
    pub(super) fn push(&mut self, piece: &str, most: usize) {
        let half = most / 2;
        let begun = !self.tail.is_empty() || self.left_out > 0;
        let room = if begun {
            0
        } else {
            half.saturating_sub(self.head.len())
        };
        let (head, tail) = piece.split_at(border(piece, room));
        self.head.push_str(head);
        self.tail.push_str(tail);
        // Seldom, since every time all of the tail is moved.
        if self.tail.len() > most {
            self.shorten(half);
        }
    }

    fn shorten(&mut self, most: usize) {
        let cut = self.tail.len().saturating_sub(most);
        let cut = border(&self.tail, cut);
        self.left_out += u64::try_from(cut).unwrap_or(u64::MAX);
        self.tail.drain(..cut);
        if self.tail.capacity() > most.saturating_mul(4) {
            self.tail.shrink_to(most.saturating_mul(2));
        }
    }

    /// Bytes that are held.
    pub(super) fn len(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// Whether nothing was added.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is held, with a line in the middle that says how much is left out.
    pub(super) fn into_text(self) -> String {
        let mut text = self.head;
        if self.left_out > 0 {
            let line = format!("\n… {} bytes are left out …\n", self.left_out);
            text.push_str(&line);
        }
        text.push_str(&self.tail);
        text
    }
}

/// The greatest border of a character that is not behind `at`.
fn border(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::Excerpt;

    #[test]
    fn a_short_text_is_kept() {
        let mut text = Excerpt::default();
        for piece in ["ab", "", "cdé", "fg", "h"] {
            text.push(piece, 10);
        }
        assert_eq!(text.into_text(), "abcdéfgh");
    }

    #[test]
    fn of_a_long_text_beginning_and_end_are_kept() {
        let mut text = Excerpt::default();
        for _ in 0..100_000 {
            text.push("äöü", 20);
            assert!(text.len() <= 40);
        }
        text.push(&"x".repeat(1 << 20), 20);
        text.push("end", 20);
        assert!(text.len() <= 40 && text.tail.capacity() < 1 << 10);
        let text = text.into_text();
        assert!(text.starts_with("äöüäö\n… 1"), "{text}");
        assert!(
            text.ends_with("bytes are left out …\nxxxxxxxxxxend"),
            "{text}"
        );
    }
}
