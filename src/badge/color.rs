//! Colours: badge-maker 6's names and their values, and CSS colours.

/// The value of a colour: a name of the palette, an alias, hex digits with or without `#`, or any
/// CSS colour in `#…` or a CSS name; anything else is grey, because an unknown state must not
/// look like a good one.
pub fn paint(color: &str) -> String {
    let color = color.trim().to_ascii_lowercase();
    if let Some(named) = named(&color) {
        return named.to_owned();
    }
    let digits = color.strip_prefix('#').unwrap_or(&color);
    let hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let with_mark = color.starts_with('#');
    if hex && (matches!(digits.len(), 3 | 6) || (with_mark && matches!(digits.len(), 4 | 8))) {
        return format!("#{digits}");
    }
    if let Some((_, value)) = CSS.iter().find(|(name, _)| *name == color) {
        return (*value).to_owned();
    }
    "#939393".to_owned()
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
        "lightgrey" | "lightgray" | "inactive" => "#939393",
        _ => return None,
    })
}

/// The basic names of CSS ("CSS Color Module Level 3", 4.1) and a few more in common use.
const CSS: [(&str, &str); 20] = [
    ("black", "#000"),
    ("silver", "#c0c0c0"),
    ("white", "#fff"),
    ("maroon", "#800000"),
    ("purple", "#800080"),
    ("fuchsia", "#ff00ff"),
    ("magenta", "#ff00ff"),
    ("lime", "#00ff00"),
    ("olive", "#808000"),
    ("navy", "#000080"),
    ("teal", "#008080"),
    ("aqua", "#00ffff"),
    ("cyan", "#00ffff"),
    ("pink", "#ffc0cb"),
    ("gold", "#ffd700"),
    ("brown", "#a52a2a"),
    ("violet", "#ee82ee"),
    ("indigo", "#4b0082"),
    ("crimson", "#dc143c"),
    ("tomato", "#ff6347"),
];

/// Text and shadow that can be read on a colour: white up to a brightness of 0.69, else dark
/// (badge-maker's rule; brightness as in "Techniques For Accessibility Evaluation", W3C).
pub(super) fn on(paint: &str) -> (&'static str, &'static str) {
    if brightness(paint) <= 69 {
        ("#fff", "#010101")
    } else {
        ("#333", "#ccc")
    }
}

/// From 0 to 100.
fn brightness(paint: &str) -> u32 {
    let digits: Vec<u32> = paint
        .trim_start_matches('#')
        .chars()
        .filter_map(|char| char.to_digit(16))
        .collect();
    let [red, green, blue] = match digits.as_slice() {
        [red, green, blue] | [red, green, blue, _] => [red * 17, green * 17, blue * 17],
        [r1, r2, g1, g2, b1, b2, ..] => [r1 * 16 + r2, g1 * 16 + g2, b1 * 16 + b2],
        _ => return 0,
    };
    let weighted = 299 * red + 587 * green + 114 * blue;
    // Rounded to hundredths of 255 thousand.
    (weighted * 100 + 127_500) / 255_000
}

#[cfg(test)]
mod tests {
    use super::{on, paint};

    #[test]
    fn names_hex_and_nonsense() {
        assert_eq!(paint("brightgreen"), "#4b0");
        assert_eq!(paint("Critical"), "#dd4343");
        assert_eq!(paint("ABC"), "#abc");
        assert_eq!(paint("#00ff0080"), "#00ff0080");
        assert_eq!(paint("tomato"), "#ff6347");
        for nonsense in ["", "notacolor", "12345", "url(x)", "\"/><script>"] {
            assert_eq!(paint(nonsense), "#939393", "{nonsense}");
        }
    }

    #[test]
    fn text_is_dark_on_light_colours() {
        assert_eq!(on("#4b0").0, "#fff");
        assert_eq!(on("#fff").0, "#333");
        assert_eq!(on("#d8b800").0, "#fff");
    }
}
