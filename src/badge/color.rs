//! Colours: badge-maker 6's names and their values, and CSS colours.

use std::borrow::Cow;

/// A colour as it is written, and how bright it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Paint {
    /// A colour of CSS, without a character that means something in XML.
    pub(super) value: Cow<'static, str>,
    /// From 0 to 100.
    brightness: u32,
}

impl Paint {
    /// Text and shadow that can be read on it: white up to a brightness of 0.69, else dark
    /// (badge-maker's rule).
    pub(super) fn text(&self) -> (&'static str, &'static str) {
        if self.brightness <= 69 {
            ("#fff", "#010101")
        } else {
            ("#333", "#ccc")
        }
    }
}

/// What a colour that is none is shown as.
const GREY: &str = "#939393";

/// The value of a colour: a name of the palette, an alias, hex digits with or without `#`, or any
/// CSS colour (kept as it is written, in small letters); anything else is grey, because an unknown
/// state must not look like a good one.
pub(super) fn paint(color: &str) -> Paint {
    // The longest name of CSS has 20 letters; no colour needs as much as this.
    const MOST: usize = 80;
    let color = color.trim();
    if color.len() > MOST {
        return known(GREY);
    }
    // Most are written as they are here.
    if let Some(value) = named(color) {
        return known(value);
    }
    let color = color.to_ascii_lowercase();
    if let Some(value) = named(&color) {
        return known(value);
    }
    let bare = matches!(color.len(), 3 | 6) && color.bytes().all(|byte| byte.is_ascii_hexdigit());
    let value = if bare { format!("#{color}") } else { color };
    let plain = |char: char| char.is_ascii_alphanumeric() || "#%.,()/- ".contains(char);
    // Hex digits without their mark would be a colour to the parser, but to no browser.
    let marked = value.starts_with('#') || !value.bytes().all(|byte| byte.is_ascii_hexdigit());
    match csscolorparser::parse(&value) {
        Ok(parsed) if marked && !mixes(&value) && value.chars().all(plain) => {
            let [red, green, blue, _] = parsed.to_rgba8();
            Paint {
                value: Cow::Owned(value),
                brightness: brightness([red, green, blue]),
            }
        }
        _ => known(GREY),
    }
}

/// Whether numbers and percentages stand side by side between commas, which no browser takes
/// ("CSS Color Module Level 4", 4.1.2).
fn mixes(value: &str) -> bool {
    let parts: Vec<&str> = value.split(',').take(3).collect();
    let percentages = parts.iter().filter(|part| part.contains('%')).count();
    value.starts_with("rgb") && parts.len() == 3 && !matches!(percentages, 0 | 3)
}

/// A colour in hex digits that we wrote ourselves.
fn known(value: &'static str) -> Paint {
    let mut digits = value.chars().filter_map(|char| char.to_digit(16));
    let mut parts = [0_u8; 3];
    let long = value.len() == 7;
    for part in &mut parts {
        let high = digits.next().unwrap_or_default();
        let low = if long {
            digits.next().unwrap_or_default()
        } else {
            high
        };
        *part = u8::try_from(16 * high + low).unwrap_or_default();
    }
    Paint {
        value: Cow::Borrowed(value),
        brightness: brightness(parts),
    }
}

fn named(name: &str) -> Option<&'static str> {
    Some(match name {
        "brightgreen" | "success" => "#4b0",
        "green" => "#67ac09",
        "yellowgreen" => "#95991a",
        "yellow" => "#d8b800",
        "orange" | "important" => "#ea7233",
        "red" | "critical" => "#dd4343",
        "blue" | "informational" => "#007ec6",
        "grey" | "gray" => "#555",
        "lightgrey" | "lightgray" | "inactive" => GREY,
        _ => return None,
    })
}

/// From 0 to 100, rounded; as in "Techniques For Accessibility Evaluation And Repair Tools" (W3C), 2.2.
fn brightness([red, green, blue]: [u8; 3]) -> u32 {
    let weighted = 299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue);
    (weighted * 100 + 127_500) / 255_000
}

#[cfg(test)]
mod tests {
    use super::paint;

    #[test]
    fn names_hex_css_and_nonsense() {
        for (color, value) in [
            ("brightgreen", "#4b0"),
            ("Critical", "#dd4343"),
            ("ABC", "#abc"),
            ("#00ff0080", "#00ff0080"),
            ("Tomato", "tomato"),
            ("rebeccapurple", "rebeccapurple"),
            ("rgb(100, 200, 2)", "rgb(100, 200, 2)"),
            ("HSL(120, 50%, 50%)", "hsl(120, 50%, 50%)"),
            ("rgba(100, 20, 50, 0.5)", "rgba(100, 20, 50, 0.5)"),
        ] {
            assert_eq!(paint(color).value, value, "{color}");
        }
        for nonsense in [
            "",
            "notacolor",
            "12345",
            "12345678",
            "url(x)",
            "\"/><script>",
            "rgb(1,2,3)\"",
            "var(--x)",
            "rgb(100%, 200, 2)",
            &"9".repeat(1_000),
        ] {
            assert_eq!(paint(nonsense).value, "#939393", "{nonsense}");
        }
    }

    #[test]
    fn text_is_dark_on_light_colours() {
        assert_eq!(paint("#4b0").text().0, "#fff");
        assert_eq!(paint("#fff").text().0, "#333");
        assert_eq!(paint("white").text().0, "#333");
        assert_eq!(paint("hsl(0, 0%, 10%)").text().0, "#fff");
        assert_eq!(paint("#d8b800").text().0, "#fff");
    }
}
