//! Drawing.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::color::{Paint, paint};
use super::logo::address;
use super::{capitals, halves, social};
use crate::text::xml;

/// How a badge looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
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
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Flat,
        Self::FlatSquare,
        Self::Plastic,
        Self::ForTheBadge,
        Self::Social,
    ];

    /// Reads a style's name; what is none is `flat`.
    pub fn parse(name: &str) -> Self {
        let named = Self::ALL.into_iter().find(|style| style.as_str() == name);
        named.unwrap_or_default()
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
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Badge {
    /// The left half; without text there is only the right one.
    pub label: String,
    /// The right half.
    pub message: String,
    /// The right half's colour: a name of the palette, hex digits, or any CSS colour.
    pub color: String,
    /// The left half's colour; grey by default.
    pub label_color: Option<String>,
    /// How it looks.
    pub style: Style,
    /// A logo before the label: the name of one of [`super::LOGOS`], or an image as data URI; anything
    /// else is left out.
    pub logo: Option<String>,
    /// Where the left and the right half lead to; `http` and `https` only. With a left link alone the
    /// whole badge is one.
    pub links: [Option<String>; 2],
}

/// A badge as it is drawn.
pub(super) struct Drawing<'a> {
    pub(super) label: &'a str,
    pub(super) message: &'a str,
    pub(super) color: Paint,
    pub(super) label_color: Option<Paint>,
    pub(super) logo: Option<Cow<'a, str>>,
    pub(super) links: [Option<&'a str>; 2],
}

impl Drawing<'_> {
    /// The left half's colour.
    pub(super) fn label_paint(&self) -> Paint {
        let chosen = self.label_color.clone();
        chosen.unwrap_or_else(|| paint("grey"))
    }

    /// Whether there is a left half: with a text, or a colour that was asked for.
    pub(super) fn has_label_half(&self) -> bool {
        !self.label.is_empty() || self.label_color.is_some()
    }

    /// How much room a logo takes before the text, in pixels: its 14, and 3 up to a label.
    pub(super) fn logo_width(&self) -> i64 {
        match (&self.logo, self.label.is_empty()) {
            (None, _) => 0,
            (Some(_), true) => 14,
            (Some(_), false) => 14 + 3,
        }
    }

    /// What a screen reader says, always in the words as they were given; nothing where both
    /// halves are links.
    pub(super) fn name(&self) -> Option<Cow<'_, str>> {
        match (self.links, self.label) {
            ([Some(_), Some(_)], _) => None,
            (_, "") => Some(Cow::Borrowed(self.message)),
            (_, label) => Some(Cow::Owned(format!("{label}: {}", self.message))),
        }
    }

    /// The link of the whole badge.
    pub(super) fn whole_link(&self) -> Option<&str> {
        match self.links {
            [Some(left), None] => Some(left),
            _ => None,
        }
    }
}

/// The badge as SVG.
pub fn render(badge: &Badge) -> String {
    // What XML does not allow is gone before anything is measured.
    let label = allowed(&badge.label);
    let message = allowed(&badge.message);
    let [left, right] = &badge.links;
    let color = paint(&badge.color);
    let label_color = badge.label_color.as_deref().map(paint);
    // What our own logos stand on, and are to be seen on.
    let (ink, _) = match (badge.style, label.trim(), &label_color) {
        (Style::Social, ..) => ("#333", ""),
        (_, _, Some(behind)) => behind.text(),
        // Only large capitals have no left half then.
        (Style::ForTheBadge, "", None) => color.text(),
        _ => ("#fff", ""),
    };
    let logo = badge.logo.as_deref().and_then(|logo| address(logo, ink));
    let drawing = Drawing {
        label: label.trim(),
        message: message.trim(),
        color,
        label_color,
        logo,
        links: [link(left.as_deref()), link(right.as_deref())],
    };
    match badge.style {
        Style::Flat => halves::draw(&drawing, &halves::FLAT),
        Style::FlatSquare => halves::draw(&drawing, &halves::FLAT_SQUARE),
        Style::Plastic => halves::draw(&drawing, &halves::PLASTIC),
        Style::ForTheBadge => capitals::draw(&drawing),
        Style::Social => social::draw(&drawing),
    }
}

fn allowed(text: &str) -> Cow<'_, str> {
    if text.chars().all(xml::is_allowed) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().filter(|char| xml::is_allowed(*char)).collect())
}

/// An address that leads to a page and runs nothing.
fn link(address: Option<&str>) -> Option<&str> {
    let schemes = ["https://", "http://"];
    address.filter(|address| schemes.iter().any(|scheme| address.starts_with(scheme)))
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
    use crate::badge::LOGOS;

    fn badge(label: &str, message: &str) -> Badge {
        Badge {
            label: label.to_owned(),
            message: message.to_owned(),
            color: "brightgreen".to_owned(),
            ..Badge::default()
        }
    }

    #[test]
    fn a_badge_names_itself_to_screen_readers() {
        for style in Style::ALL {
            let mut badge = badge("build", "passing");
            badge.style = style;
            let svg = render(&badge);
            assert!(svg.contains(r#"role="img" aria-label="build: passing""#));
            assert!(svg.contains("<title>build: passing</title>"));
            badge.links = [Some("https://a.example/".to_owned()), None];
            assert!(render(&badge).contains(r#"<a target="_blank" href="https://a.example/">"#));
        }
        let svg = render(&badge("build", "passing"));
        assert!(
            svg.starts_with(r#"<svg xmlns="http://www.w3.org/2000/svg" width="88" height="20""#)
        );
    }

    #[test]
    fn markup_in_a_text_stays_text() {
        let svg = render(&badge("<script>", "a\"b'\u{0}\u{1b}"));
        assert!(!svg.contains("<script"));
        assert_eq!(faults(&svg), None);
    }

    /// What is wrong with an image: not well-formed, or something in it that could act.
    fn faults(svg: &str) -> Option<String> {
        const KNOWN: [&str; 13] = [
            "g",
            "a",
            "svg",
            "title",
            "filter",
            "feGaussianBlur",
            "linearGradient",
            "stop",
            "clipPath",
            "rect",
            "path",
            "image",
            "text",
        ];
        let mut reader = quick_xml::Reader::from_str(svg);
        let mut depth = 0_i32;
        loop {
            let event = match reader.read_event() {
                Ok(event) => event,
                Err(error) => return Some(error.to_string()),
            };
            let tag = match &event {
                quick_xml::events::Event::Start(tag) => {
                    depth += 1;
                    tag
                }
                quick_xml::events::Event::Empty(tag) => tag,
                quick_xml::events::Event::End(_) => {
                    depth -= 1;
                    continue;
                }
                quick_xml::events::Event::Eof => {
                    return (depth != 0).then(|| "not closed".to_owned());
                }
                _ => continue,
            };
            let name = tag.name().into_inner().to_owned();
            if !KNOWN.contains(&name.as_str()) {
                return Some(name);
            }
            for attribute in tag.attributes() {
                let Ok(attribute) = attribute else {
                    return Some(format!("an attribute of {name}"));
                };
                let (key, value) = (attribute.key.into_inner(), &*attribute.value);
                let leads = ["https://", "http://", "data:image/"];
                if key.starts_with("on")
                    || key == "style"
                    || (key == "href" && !leads.iter().any(|lead| value.starts_with(lead)))
                {
                    return Some(format!("{key}={value}"));
                }
            }
        }
    }

    /// Texts, most of them with something in them that means something.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[<>&\"'a-z \u{0}\u{1b}\u{fffe}]{0,20}",
            Just("javascript:alert(1)".to_owned()),
            Just("data:image/svg+xml;base64,PHN2Zy8+".to_owned()),
            Just("data:text/html,<script>alert(1)</script>".to_owned()),
            Just("https://a.example/?a=1&b=\"'><svg onload=alert(1)>".to_owned()),
            proptest::sample::select(LOGOS.to_vec()).prop_map(|(name, _)| name.to_owned()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn any_input_gives_a_well_formed_image_that_does_nothing(
            label in text(),
            message in text(),
            color in text(),
            label_color in proptest::option::of(text()),
            logo in proptest::option::of(text()),
            left in proptest::option::of(text()),
            right in proptest::option::of(text()),
            style in proptest::sample::select(Style::ALL.to_vec()),
        ) {
            let badge = Badge { label, message, color, label_color, style, logo, links: [left, right] };
            let svg = render(&badge);
            prop_assert_eq!(faults(&svg), None);
            prop_assert!(svg.chars().all(crate::text::xml::is_allowed));
            prop_assert_eq!(render(&badge), svg);
        }
    }
}
