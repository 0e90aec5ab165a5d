//! SVG, piece by piece. Every text goes through [`Svg::text`], so that nothing in it is markup.

use crate::text::xml;

/// An image as it is written.
pub(super) struct Svg(String);

impl Svg {
    /// An image of this size, in hundredths of a pixel, that says what it shows.
    pub(super) fn begin(width: i64, height: i64, name: Option<&str>) -> Self {
        let mut svg = Self(String::with_capacity(1536));
        svg.put("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"")
            .number(width)
            .put("\" height=\"")
            .number(height);
        // Two links are to be reached one by one; an image with a name hides them.
        if let Some(name) = name {
            svg.put("\" role=\"img\" aria-label=\"")
                .text(name)
                .put("\"><title>")
                .text(name)
                .put("</title>");
        } else {
            svg.put("\">");
        }
        svg
    }

    /// What we wrote ourselves.
    pub(super) fn put(&mut self, markup: &str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// What somebody else wrote.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        xml::escape_into(text, &mut self.0);
        self
    }

    /// A length in hundredths, in its shortest form.
    pub(super) fn number(&mut self, hundredths: i64) -> &mut Self {
        if hundredths < 0 {
            self.0.push('-');
        }
        let size = hundredths.unsigned_abs();
        let mut digits = itoa::Buffer::new();
        self.0.push_str(digits.format(size / 100));
        match size % 100 {
            0 => self,
            rest if rest % 10 == 0 => self.put(".").put(digits.format(rest / 10)),
            rest if rest < 10 => self.put(".0").put(digits.format(rest)),
            rest => self.put(".").put(digits.format(rest)),
        }
    }

    /// Begins a link.
    pub(super) fn link(&mut self, address: &str) -> &mut Self {
        self.put("<a target=\"_blank\" href=\"")
            .text(address)
            .put("\">")
    }

    /// A logo, 14 pixels high and wide, in the middle of a badge.
    pub(super) fn logo(&mut self, address: &str, x: i64, badge_height: i64) -> &mut Self {
        self.put("<image x=\"")
            .number(x)
            .put("\" y=\"")
            .number((badge_height - 1400) / 2)
            .put("\" width=\"14\" height=\"14\" href=\"")
            .text(address)
            .put("\"/>")
    }

    /// The image.
    pub(super) fn end(mut self) -> String {
        self.put("</svg>");
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Svg;

    #[test]
    fn numbers_have_their_shortest_form() {
        for (hundredths, written) in [
            (0, "0"),
            (5, "0.05"),
            (50, "0.5"),
            (100, "1"),
            (1_000, "10"),
            (6_125, "61.25"),
            (37_250, "372.5"),
            (-150, "-1.5"),
        ] {
            let mut svg = Svg(String::new());
            svg.number(hundredths);
            assert_eq!(svg.0, written);
        }
    }
}
