//! The geometry of badge-maker 6, where its output is at hand beside the repository.

use quick_xml::events::Event;
use serde_json::Value;

use super::{Badge, Style, render};

/// Everything of a drawing that is to be the same: sizes and places, colours, addresses, texts.
fn geometry(svg: &str) -> Vec<String> {
    const WANTED: [&str; 9] = [
        "width",
        "height",
        "x",
        "y",
        "rx",
        "textLength",
        "fill",
        "href",
        "d",
    ];
    let mut reader = quick_xml::Reader::from_str(svg);
    let mut found = Vec::new();
    let mut in_text = false;
    loop {
        let tag = match reader.read_event().unwrap() {
            Event::Eof => return found,
            Event::Start(tag) => {
                in_text = tag.name().into_inner() == "text";
                tag
            }
            Event::Empty(tag) => tag,
            Event::End(_) => {
                in_text = false;
                continue;
            }
            Event::Text(text) if in_text => {
                found.push(format!("text {}", &*text));
                continue;
            }
            Event::GeneralRef(reference) if in_text => {
                found.push(format!("text &{};", &*reference));
                continue;
            }
            _ => continue,
        };
        let mut attributes: Vec<String> = tag
            .attributes()
            .map(Result::unwrap)
            .filter(|attribute| {
                WANTED.contains(&attribute.key.into_inner()) && !attribute.value.contains("url(")
            })
            .map(|attribute| format!("{}={}", attribute.key.into_inner(), attribute.value))
            .collect();
        attributes.sort();
        if !attributes.is_empty() {
            found.push(format!(
                "{} {}",
                tag.name().into_inner(),
                attributes.join(" ")
            ));
        }
    }
}

/// Where we draw something else on purpose. Beside these, names for screen readers are never in
/// capitals, and `social` has no effects under the mouse, which no image in a README has.
const DIFFERENT: [(&str, &str); 3] = [
    ("control-chars", "theirs is not well-formed"),
    ("invalid-color", "an unknown colour is grey and not green"),
    (
        "css-rgb",
        "the same: numbers beside percentages are no colour",
    ),
];

#[test]
fn badges_have_the_geometry_of_badge_maker() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/badges");
    let Ok(cases) = std::fs::read_to_string(corpus.join("cases.json")) else {
        return;
    };
    let cases: Value = serde_json::from_str(&cases).unwrap();
    let mut differing = Vec::new();
    let mut compared = 0;
    for case in cases["cases"].as_array().unwrap() {
        let text = |key: &str| case[key].as_str().map(str::to_owned);
        let id = text("id").unwrap();
        let style = text("style").unwrap();
        if DIFFERENT.iter().any(|(different, _)| *different == id) {
            continue;
        }
        let link = |index: usize| {
            let link = case["links"][index].as_str();
            link.filter(|link| !link.is_empty()).map(str::to_owned)
        };
        let badge = Badge {
            label: text("label").unwrap_or_default(),
            message: text("message").unwrap_or_default(),
            color: text("color").unwrap_or_else(|| "brightgreen".to_owned()),
            label_color: text("labelColor"),
            style: Style::parse(&style),
            logo: text("logo"),
            links: [link(0), link(1)],
        };
        let file = corpus.join(text("file").unwrap());
        let theirs = std::fs::read_to_string(file).unwrap();
        let (ours, theirs) = (geometry(&render(&badge)), geometry(&theirs));
        if ours != theirs {
            differing.push(format!("{id} {style}:\n  {ours:?}\n  {theirs:?}"));
        }
        compared += 1;
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    assert!(compared >= 150, "{compared}");
}
