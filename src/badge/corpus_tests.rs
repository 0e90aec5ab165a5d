//! The geometry of badge-maker 6, where its output is at hand beside the repository.

use serde_json::Value;

use super::{Badge, Style, render};

/// Every number of the drawing: sizes of rectangles, places and lengths of texts.
fn geometry(svg: &str) -> Vec<String> {
    let mut reader = quick_xml::Reader::from_str(svg);
    let mut found = Vec::new();
    loop {
        let (quick_xml::events::Event::Start(tag) | quick_xml::events::Event::Empty(tag)) =
            (match reader.read_event().unwrap() {
                quick_xml::events::Event::Eof => return found,
                event => event,
            })
        else {
            continue;
        };
        for attribute in tag.attributes().flatten() {
            let key = format!("{:?}", attribute.key);
            let value = format!("{:?}", attribute.value);
            let wanted = [
                "width",
                "height",
                "\"x\"",
                "\"y\"",
                "rx",
                "textLength",
                "fill\"",
            ];
            if wanted.iter().any(|name| key.contains(name)) && !value.contains("url") {
                found.push(format!("{key}={value}"));
            }
        }
    }
}

#[test]
fn flat_badges_have_the_geometry_of_badge_maker() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/badges");
    let Ok(cases) = std::fs::read_to_string(corpus.join("cases.json")) else {
        return;
    };
    let cases: Value = serde_json::from_str(&cases).unwrap();
    let mut compared = 0;
    for case in cases["cases"].as_array().unwrap() {
        let text = |key: &str| case[key].as_str().map(str::to_owned);
        let special = ["logo", "links", "idSuffix"]
            .iter()
            .any(|key| case.get(*key).is_some());
        // Colours in functions of CSS and colours that are none are drawn otherwise on purpose.
        let id = text("id").unwrap();
        if text("style").as_deref() != Some("flat")
            || special
            || ["css-rgb", "invalid-color"].contains(&id.as_str())
        {
            continue;
        }
        let badge = Badge {
            label: text("label").unwrap_or_default(),
            message: text("message").unwrap_or_default(),
            color: text("color").unwrap_or_else(|| "brightgreen".to_owned()),
            label_color: text("labelColor"),
            style: Style::Flat,
        };
        let file = corpus.join(text("file").unwrap());
        let theirs = std::fs::read_to_string(file).unwrap();
        assert_eq!(geometry(&render(&badge)), geometry(&theirs), "{id}");
        compared += 1;
    }
    assert!(compared >= 20, "{compared}");
}
