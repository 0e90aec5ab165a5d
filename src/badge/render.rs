//! Drawing.

use askama::Template;
use serde_json::{Value, json};

use super::color::{on, paint};
use super::width::verdana_11;
use crate::text::xml;

/// How a badge looks. Only `flat` is drawn so far; the others are drawn as it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// Rounded, with a gradient.
    #[default]
    Flat,
    /// Square, without.
    FlatSquare,
    /// Rounder, shiny.
    Plastic,
    /// Large capitals.
    ForTheBadge,
    /// Like GitHub's own buttons.
    Social,
}

impl Style {
    /// Reads a style's name; what is none is `flat`.
    pub fn parse(name: &str) -> Self {
        match name {
            "flat-square" => Self::FlatSquare,
            "plastic" => Self::Plastic,
            "for-the-badge" => Self::ForTheBadge,
            "social" => Self::Social,
            _ => Self::Flat,
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::FlatSquare => "flat-square",
            Self::Plastic => "plastic",
            Self::ForTheBadge => "for-the-badge",
            Self::Social => "social",
        }
    }
}

/// A badge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Badge {
    /// The left half; without text there is only the right one.
    pub label: String,
    /// The right half.
    pub message: String,
    /// The right half's colour, as [`paint`] takes it.
    pub color: String,
    /// The left half's colour; grey by default.
    pub label_color: Option<String>,
    /// How it looks.
    pub style: Style,
}

/// A text and where it stands, in tenths of a pixel.
struct Label {
    x: i64,
    length: i64,
    text: String,
    fill: &'static str,
    shadow: &'static str,
}

#[derive(Template)]
#[template(path = "badges/flat.svg", escape = "none")]
struct Flat {
    width: i64,
    left: i64,
    right: i64,
    left_fill: String,
    right_fill: String,
    name: String,
    texts: Vec<Label>,
}

/// The badge as SVG.
pub fn render(badge: &Badge) -> String {
    const PAD: i64 = 5;
    let label = badge.label.trim();
    let message = badge.message.trim();
    let label_color = badge.label_color.as_deref().unwrap_or("#555");
    let color = paint(&badge.color);
    // Without a label both parts have the message's colour, but for a colour that was asked for.
    let left_fill = if label.is_empty() && badge.label_color.is_none() {
        color.clone()
    } else {
        paint(label_color)
    };
    let label_width = if label.is_empty() {
        0
    } else {
        odd_width(label)
    };
    let message_width = odd_width(message);
    let has_label_block = !label.is_empty() || badge.label_color.is_some();
    let left = if has_label_block {
        label_width + 2 * PAD
    } else {
        0
    };
    let mut message_margin = left - i64::from(!message.is_empty());
    if !has_label_block {
        message_margin += 1;
    }
    let right = message_width + 2 * PAD;
    let mut texts = Vec::new();
    let mut put = |text: &str, margin: i64, width: i64, background: &str| {
        if !text.is_empty() {
            let (fill, shadow) = on(background);
            texts.push(Label {
                // Ten times: margin + width / 2 + padding.
                x: 10 * margin + 5 * width + 10 * PAD,
                length: 10 * width,
                text: xml::escape(text),
                fill,
                shadow,
            });
        }
    };
    put(label, 1, label_width, &left_fill);
    put(message, message_margin, message_width, &color);
    let name = if label.is_empty() {
        message.to_owned()
    } else {
        format!("{label}: {message}")
    };
    let badge = Flat {
        width: left + right,
        left,
        right,
        left_fill,
        right_fill: color,
        name: xml::escape(&name),
        texts,
    };
    badge.render().unwrap_or_default()
}

/// The width of a text as badge-maker takes it: whole pixels, made odd so that the middle falls
/// on one.
fn odd_width(text: &str) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "the rule truncates")]
    let whole = verdana_11(text) as i64;
    if whole % 2 == 0 { whole + 1 } else { whole }
}

/// The badge in the schema of the shields.io endpoint (`schemaVersion` 1), nothing else.
pub fn shields_json(badge: &Badge) -> Value {
    let message = if badge.message.is_empty() {
        "unknown"
    } else {
        &badge.message
    };
    let mut answer = json!({
        "schemaVersion": 1,
        "label": badge.label,
        "message": message,
        "color": badge.color,
    });
    if let (Some(color), Some(object)) = (&badge.label_color, answer.as_object_mut()) {
        object.insert("labelColor".to_owned(), json!(color));
    }
    answer
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Badge, Style, render};

    fn badge(label: &str, message: &str) -> Badge {
        Badge {
            label: label.to_owned(),
            message: message.to_owned(),
            color: "brightgreen".to_owned(),
            label_color: None,
            style: Style::Flat,
        }
    }

    #[test]
    fn a_badge_names_itself_to_screen_readers() {
        let svg = render(&badge("build", "passing"));
        assert!(svg.contains(r#"role="img" aria-label="build: passing""#));
        assert!(svg.contains("<title>build: passing</title>"));
        assert!(
            svg.starts_with(r#"<svg xmlns="http://www.w3.org/2000/svg" width="88" height="20""#)
        );
    }

    #[test]
    fn markup_in_a_text_stays_text() {
        let svg = render(&badge("<script>", "a\"b'\u{0}\u{1b}"));
        assert!(!svg.contains("<script"));
        assert!(well_formed(&svg), "{svg}");
    }

    fn well_formed(svg: &str) -> bool {
        let mut reader = quick_xml::Reader::from_str(svg);
        let mut depth = 0_i32;
        loop {
            match reader.read_event() {
                Ok(quick_xml::events::Event::Start(start)) => {
                    if start.attributes().any(|attribute| attribute.is_err()) {
                        return false;
                    }
                    depth += 1;
                }
                Ok(quick_xml::events::Event::End(_)) => depth -= 1,
                Ok(quick_xml::events::Event::Eof) => return depth == 0,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_a_well_formed_image(label in any::<String>(), message in any::<String>()) {
            let badge = badge(&label, &message);
            let svg = render(&badge);
            prop_assert!(well_formed(&svg));
            prop_assert!(svg.chars().all(crate::text::xml::is_allowed));
            prop_assert_eq!(render(&badge), svg);
        }
    }
}
