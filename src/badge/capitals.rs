//! `for-the-badge`: large capitals with room between them.

use super::color::Paint;
use super::render::Drawing;
use super::svg::Svg;
use super::width::Font;

// All lengths are hundredths of a pixel: letters are spaced by one and a quarter.
const HEIGHT: i64 = 2800;
const TEXT_MARGIN: i64 = 1200;
const LOGO_MARGIN: i64 = 900;
const LOGO: i64 = 1400;
const LOGO_GAP: i64 = 600;
const SPACING: i64 = 125;

/// A text, where it begins, and the rectangle that it stands in.
struct Half<'a> {
    text: &'a str,
    begin: i64,
    width: i64,
    paint: &'a Paint,
    bold: bool,
    link: Option<&'a str>,
    rect_x: Option<i64>,
    rect_width: i64,
}

/// How wide a text is with the room between its letters, which badge-maker counts as JavaScript
/// counts them: in units of UTF-16.
fn spaced(text: &str, font: Font) -> i64 {
    if text.is_empty() {
        return 0;
    }
    let units = text.encode_utf16().count();
    100 * font.whole(text) + SPACING * i64::try_from(units).unwrap_or_default()
}

/// Draws it.
pub(super) fn draw(drawing: &Drawing<'_>) -> String {
    let label = drawing.label.to_uppercase();
    let message = drawing.message.to_uppercase();
    let label_paint = drawing.label_paint();
    let label_width = spaced(&label, Font::Verdana10);
    let message_width = spaced(&message, Font::Verdana10Bold);
    let has_logo = drawing.logo.is_some();
    let has_label = !label.is_empty();
    // A logo stands on the label's colour where one was asked for.
    let has_left = has_label || (has_logo && drawing.label_color.is_some());
    let gap = if !has_label && message.is_empty() {
        LOGO_GAP - LOGO_MARGIN
    } else {
        LOGO_GAP
    };
    let label_begin = if has_logo {
        LOGO_MARGIN + LOGO + gap
    } else {
        TEXT_MARGIN
    };
    let left = match (has_left, has_label) {
        (false, _) => 0,
        (true, true) => label_begin + label_width + TEXT_MARGIN,
        (true, false) => 2 * LOGO_MARGIN + LOGO,
    };
    let before = if has_logo && !has_left { LOGO + gap } else { 0 };
    let message_begin = left + TEXT_MARGIN + before;
    let right = 2 * TEXT_MARGIN + before + message_width;

    let mut svg = Svg::begin(left + right, HEIGHT, drawing.name().as_deref());
    let whole = drawing.whole_link();
    if let Some(link) = whole {
        svg.link(link);
    }
    svg.put("<g shape-rendering=\"crispEdges\">");
    if has_left {
        svg.put("<rect width=\"")
            .number(left)
            .put("\" height=\"28\" fill=\"")
            .text(&label_paint.value)
            .put("\"/><rect x=\"")
            .number(left)
            .put("\" width=\"");
    } else {
        svg.put("<rect width=\"");
    }
    svg.number(right)
        .put("\" height=\"28\" fill=\"")
        .text(&drawing.color.value)
        .put(
            "\"/></g><g fill=\"#fff\" text-anchor=\"middle\" font-family=\"Verdana,Geneva,DejaVu \
             Sans,sans-serif\" text-rendering=\"geometricPrecision\" font-size=\"100\">",
        );
    if let Some(address) = &drawing.logo {
        svg.logo(address, LOGO_MARGIN, HEIGHT);
    }
    if has_label {
        let half = Half {
            text: &label,
            begin: label_begin,
            width: label_width,
            paint: &label_paint,
            bold: false,
            link: drawing.links[0].filter(|_| whole.is_none()),
            rect_x: None,
            rect_width: left,
        };
        put_text(&mut svg, &half);
    }
    let half = Half {
        text: &message,
        begin: message_begin,
        width: message_width,
        paint: &drawing.color,
        bold: true,
        link: drawing.links[1],
        rect_x: Some(left),
        rect_width: right,
    };
    put_text(&mut svg, &half);
    svg.put("</g>");
    if whole.is_some() {
        svg.put("</a>");
    }
    svg.end()
}

fn put_text(svg: &mut Svg, half: &Half<'_>) {
    if let Some(link) = half.link {
        svg.link(link)
            .put("<rect width=\"")
            .number(half.rect_width)
            .put("\" height=\"28\"");
        if let Some(x) = half.rect_x {
            svg.put(" x=\"").number(x).put("\"");
        }
        svg.put(" fill=\"rgba(0,0,0,0)\"/>");
    }
    svg.put("<text transform=\"scale(.1)\" x=\"")
        .number(10 * half.begin + 5 * half.width)
        .put("\" y=\"175\" textLength=\"")
        .number(10 * half.width)
        .put("\"");
    if half.bold {
        svg.put(" font-weight=\"bold\"");
    }
    let (fill, _) = half.paint.text();
    if fill != "#fff" {
        svg.put(" fill=\"").put(fill).put("\"");
    }
    svg.put(">").text(half.text).put("</text>");
    if half.link.is_some() {
        svg.put("</a>");
    }
}
