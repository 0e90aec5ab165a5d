//! `social`: a button and a bubble, as on GitHub's own pages.

use super::render::Drawing;
use super::svg::Svg;
use super::width::Font;

// Whole pixels.
const LABEL_PAD: i64 = 5;
const MESSAGE_PAD: i64 = 4;
const GUTTER: i64 = 6;

/// Draws it. The colours of the badge are not used.
pub(super) fn draw(drawing: &Drawing<'_>) -> String {
    let label = capitalised(drawing.label);
    let message = drawing.message;
    let logo = drawing.logo_width();
    let label_width = Font::Helvetica11Bold.odd(&label);
    let message_width = Font::Helvetica11Bold.odd(message);
    let left = label_width + logo + 2 * LABEL_PAD;
    let right = message_width + 2 * MESSAGE_PAD;
    let bubble = left + GUTTER;
    let width = left
        + 1
        + if message.is_empty() {
            0
        } else {
            GUTTER + right
        };

    let name = drawing.name();
    let mut svg = Svg::begin(100 * width, 2000, name.as_deref());
    let whole = drawing.whole_link();
    if let Some(link) = whole {
        svg.link(link);
    }
    svg.put(
        "<linearGradient id=\"herald-social\" x2=\"0\" y2=\"100%\"><stop offset=\"0\" \
         stop-color=\"#fcfcfc\" stop-opacity=\"0\"/><stop offset=\"1\" stop-opacity=\".1\"/>\
         </linearGradient><g stroke=\"#d5d5d5\"><rect stroke=\"none\" fill=\"#fcfcfc\" x=\".5\" \
         y=\".5\" width=\"",
    )
    .number(100 * left)
    .put("\" height=\"19\" rx=\"2\"/>");
    if !message.is_empty() {
        svg.put("<rect x=\"")
            .number(100 * bubble + 50)
            .put("\" y=\".5\" width=\"")
            .number(100 * right)
            .put("\" height=\"19\" rx=\"2\" fill=\"#fafafa\"/><rect x=\"")
            .number(100 * bubble)
            .put("\" y=\"7.5\" width=\".5\" height=\"5\" stroke=\"#fafafa\"/><path d=\"M")
            .number(100 * bubble + 50)
            .put(" 6.5 l-3 3v1 l3 3\" fill=\"#fafafa\"/>");
    }
    svg.put("</g>");
    if let Some(address) = &drawing.logo {
        svg.logo(address, 100 * LABEL_PAD, 2000);
    }
    svg.put("<g aria-hidden=\"")
        .put(if name.is_some() { "true" } else { "false" })
        .put(
            "\" fill=\"#333\" text-anchor=\"middle\" font-family=\"Helvetica \
             Neue,Helvetica,Arial,sans-serif\" text-rendering=\"geometricPrecision\" \
             font-weight=\"700\" font-size=\"110px\" line-height=\"14px\">",
        );
    let button = |svg: &mut Svg| {
        svg.put("<rect stroke=\"#d5d5d5\" fill=\"url(#herald-social)\" x=\".5\" y=\".5\" width=\"")
            .number(100 * left)
            .put("\" height=\"19\" rx=\"2\"/>");
    };
    let middle = 10 * (logo + LABEL_PAD) + 5 * label_width;
    match drawing.links[0].filter(|_| whole.is_none()) {
        Some(link) => {
            svg.link(link);
            put_text(&mut svg, &label, middle, label_width);
            button(&mut svg);
            svg.put("</a>");
        }
        None => {
            button(&mut svg);
            put_text(&mut svg, &label, middle, label_width);
        }
    }
    if !message.is_empty() {
        let link = drawing.links[1];
        if let Some(link) = link {
            svg.link(link)
                .put("<rect width=\"")
                .number(100 * (right + 1))
                .put("\" x=\"")
                .number(100 * bubble)
                .put("\" height=\"20\" fill=\"rgba(0,0,0,0)\"/>");
        }
        put_text(&mut svg, message, 10 * bubble + 5 * right, message_width);
        if link.is_some() {
            svg.put("</a>");
        }
    }
    svg.put("</g>");
    if whole.is_some() {
        svg.put("</a>");
    }
    svg.end()
}

/// A text with a white edge below; `middle` in tenths of a pixel.
fn put_text(svg: &mut Svg, text: &str, middle: i64, width: i64) {
    for (edge, y) in [(" aria-hidden=\"true\" fill=\"#fff\"", "150"), ("", "140")] {
        svg.put("<text")
            .put(edge)
            .put(" x=\"")
            .number(100 * middle)
            .put("\" y=\"")
            .put(y)
            .put("\" transform=\"scale(.1)\" textLength=\"")
            .number(1000 * width)
            .put("\">")
            .text(text)
            .put("</text>");
    }
}

/// With a capital in front.
fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        // JavaScript looks at one unit of UTF-16, which beyond the first plane is no letter.
        Some(first) if first.len_utf16() == 1 => first.to_uppercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}
