//! Some of many texts, and how many are left.

/// `…and 3 more jobs`; nothing where there are none.
pub(super) fn and_more(left: usize, what: &str) -> String {
    if left == 0 {
        return String::new();
    }
    format!(
        "…and {left} more {what}{}",
        if left == 1 { "" } else { "s" }
    )
}

/// The first of some texts, and how many there are beside them.
pub(super) struct Few {
    texts: Vec<String>,
    most: usize,
    left: usize,
}

impl Few {
    pub(super) fn new(most: usize) -> Self {
        Self {
            texts: Vec::new(),
            most,
            left: 0,
        }
    }

    pub(super) fn add(&mut self, text: impl FnOnce() -> String) {
        if self.texts.len() < self.most {
            self.texts.push(text());
        } else {
            self.left += 1;
        }
    }

    /// The texts, and a last one where it is not all of them.
    pub(super) fn end(mut self, what: &str) -> Vec<String> {
        if self.left > 0 {
            self.texts.push(and_more(self.left, what));
        }
        self.texts
    }
}
