//! `flat`, `flat-square` and `plastic`: two halves and what lies over them.

use super::color::Paint;
use super::render::Drawing;
use super::svg::Svg;
use super::width::Font;

/// What the three differ in. Lengths are whole pixels.
pub(super) struct Look {
    height: i64,
    /// How far the text is above its place in `flat`, in tenths of a pixel.
    raised: i64,
    round: Option<Round>,
}

/// Rounded corners, a gradient over both halves, shadows under the text.
struct Round {
    radius: &'static str,
    gradient: &'static str,
    /// The name of both in ids.
    name: &'static str,
}

const FLAT_GRADIENT: &str = "<stop offset=\"0\" stop-color=\"#bbb\" stop-opacity=\".1\"/>\
     <stop offset=\"1\" stop-opacity=\".1\"/>";
const PLASTIC_GRADIENT: &str = "<stop offset=\"0\" stop-color=\"#fff\" stop-opacity=\".7\"/>\
     <stop offset=\".1\" stop-color=\"#aaa\" stop-opacity=\".1\"/>\
     <stop offset=\".9\" stop-color=\"#000\" stop-opacity=\".3\"/>\
     <stop offset=\"1\" stop-color=\"#000\" stop-opacity=\".5\"/>";

pub(super) const FLAT: Look = Look {
    height: 20,
    raised: 0,
    round: Some(Round {
        radius: "3",
        gradient: FLAT_GRADIENT,
        name: "flat",
    }),
};
pub(super) const FLAT_SQUARE: Look = Look {
    height: 20,
    raised: 0,
    round: None,
};
pub(super) const PLASTIC: Look = Look {
    height: 18,
    raised: 10,
    round: Some(Round {
        radius: "4",
        gradient: PLASTIC_GRADIENT,
        name: "plastic",
    }),
};

/// Room beside a text, in pixels.
const PAD: i64 = 5;

/// A text, where it stands, and the half that it stands in. Lengths are whole pixels.
struct Half<'a> {
    text: &'a str,
    margin: i64,
    text_width: i64,
    width: i64,
    paint: &'a Paint,
    link: Option<&'a str>,
}

/// Both halves.
fn halves<'a>(drawing: &'a Drawing<'_>, left_paint: &'a Paint) -> [Half<'a>; 2] {
    let Drawing { label, message, .. } = drawing;
    let has_label = drawing.has_label_half();
    let logo = drawing.logo_width();
    let label_width = if label.is_empty() {
        0
    } else {
        Font::Verdana11.odd(label)
    };
    let message_width = Font::Verdana11.odd(message);
    let left = if has_label {
        label_width + 2 * PAD + logo
    } else {
        0
    };
    let nudge = i64::from(!message.is_empty());
    let (mut margin, mut right) = (left - nudge, message_width + 2 * PAD);
    match (has_label, logo > 0) {
        (true, _) => {}
        (false, true) => {
            margin += logo + PAD;
            right += logo + nudge * (PAD - 1);
        }
        (false, false) => margin += 1,
    }
    let [left_link, right_link] = drawing.links;
    [
        Half {
            text: label,
            margin: logo + 1,
            text_width: label_width,
            width: left,
            paint: left_paint,
            link: left_link.filter(|_| drawing.whole_link().is_none()),
        },
        Half {
            text: message,
            margin,
            text_width: message_width,
            width: right,
            paint: &drawing.color,
            link: right_link,
        },
    ]
}

/// Draws it.
pub(super) fn draw(drawing: &Drawing<'_>, look: &Look) -> String {
    // Without a label both halves have the message's colour.
    let left_paint = if drawing.has_label_half() || drawing.logo.is_some() {
        drawing.label_paint()
    } else {
        drawing.color.clone()
    };
    let halves = halves(drawing, &left_paint);
    let [left, right] = &halves;
    let width = left.width + right.width;
    let height = look.height;
    let mut svg = Svg::begin(100 * width, 100 * height, drawing.name().as_deref());
    let whole = drawing.whole_link();
    if let Some(link) = whole {
        svg.link(link);
    }
    let size = |svg: &mut Svg, width: i64| {
        svg.put("width=\"")
            .number(100 * width)
            .put("\" height=\"")
            .number(100 * height)
            .put("\"");
    };
    // In a page that holds several images what has one id is also one thing.
    let clip = |svg: &mut Svg, round: &Round| {
        svg.put("herald-")
            .put(round.name)
            .put("-")
            .number(100 * width);
    };
    if let Some(round) = &look.round {
        svg.put("<filter id=\"herald-blur\"><feGaussianBlur stdDeviation=\"16\"/></filter>")
            .put("<linearGradient id=\"herald-")
            .put(round.name)
            .put("\" x2=\"0\" y2=\"100%\">")
            .put(round.gradient)
            .put("</linearGradient><clipPath id=\"");
        clip(&mut svg, round);
        svg.put("\"><rect ");
        size(&mut svg, width);
        svg.put(" rx=\"")
            .put(round.radius)
            .put("\"/></clipPath><g clip-path=\"url(#");
        clip(&mut svg, round);
        svg.put(")\"><rect ");
    } else {
        svg.put("<g shape-rendering=\"crispEdges\"><rect ");
    }
    size(&mut svg, left.width);
    svg.put(" fill=\"")
        .text(&left.paint.value)
        .put("\"/><rect x=\"")
        .number(100 * left.width)
        .put("\" ");
    size(&mut svg, right.width);
    svg.put(" fill=\"").text(&right.paint.value).put("\"/>");
    if let Some(round) = &look.round {
        svg.put("<rect ");
        size(&mut svg, width);
        svg.put(" fill=\"url(#herald-").put(round.name).put(")\"/>");
    }
    svg.put(
        "</g><g fill=\"#fff\" text-anchor=\"middle\" font-family=\"Verdana,Geneva,DejaVu \
         Sans,sans-serif\" text-rendering=\"geometricPrecision\" font-size=\"110\">",
    );
    if let Some(address) = &drawing.logo {
        svg.logo(address, 100 * PAD, 100 * height);
    }
    for half in halves {
        if !half.text.is_empty() {
            put_text(&mut svg, &half, look);
        }
    }
    svg.put("</g>");
    if whole.is_some() {
        svg.put("</a>");
    }
    svg.end()
}

/// A text is drawn ten times as large and scaled down: numbers with fractions of a pixel are then
/// drawn alike everywhere.
fn put_text(svg: &mut Svg, half: &Half<'_>, look: &Look) {
    if let Some(link) = half.link {
        let x = if half.margin > 1 { half.margin + 1 } else { 0 };
        svg.link(link)
            .put("<rect width=\"")
            .number(100 * half.width)
            .put("\" x=\"")
            .number(100 * x)
            .put("\" height=\"")
            .number(100 * look.height)
            .put("\" fill=\"rgba(0,0,0,0)\"/>");
    }
    let x = 100 * (10 * half.margin + 5 * half.text_width + 10 * PAD);
    let length = 100 * 10 * half.text_width;
    let y = 140 - look.raised;
    let (fill, shadow) = half.paint.text();
    let begin = |svg: &mut Svg, y: i64| {
        svg.put("<text x=\"")
            .number(x)
            .put("\" y=\"")
            .number(100 * y)
            .put("\"");
    };
    let end = |svg: &mut Svg| {
        svg.put(" textLength=\"")
            .number(length)
            .put("\">")
            .text(half.text)
            .put("</text>");
    };
    if look.round.is_some() {
        svg.put("<g transform=\"scale(.1)\"><g aria-hidden=\"true\" fill=\"")
            .put(shadow)
            .put("\">");
        begin(svg, y + 10);
        svg.put(" fill-opacity=\".8\" filter=\"url(#herald-blur)\"");
        end(svg);
        begin(svg, y + 10);
        svg.put(" fill-opacity=\".3\"");
        end(svg);
        svg.put("</g>");
    }
    begin(svg, y);
    if look.round.is_none() {
        svg.put(" transform=\"scale(.1)\"");
    }
    if fill != "#fff" {
        svg.put(" fill=\"").put(fill).put("\"");
    }
    end(svg);
    if look.round.is_some() {
        svg.put("</g>");
    }
    if half.link.is_some() {
        svg.put("</a>");
    }
}
