//! `docs/specification.md` is what `herald schema` says, for people. `HERALD_RENEW=1` writes it anew.

use std::process::Command;

use serde_json::{Map, Value};

const HEAD: &str = "# `.herald.yml`, key by key
This page is made from `herald schema`, the JSON Schema of the file; an editor that knows JSON Schema says the same while you type. The README says what the keys are
for, with examples. Wherever *text* stands, a number or a boolean is taken as it is written. A *duration* is `90s`, `10m` or `1h30m`.
";

fn schema() -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_herald"))
        .arg("schema")
        .output();
    serde_json::from_slice(&output.unwrap().stdout).unwrap()
}

/// A type as people read it.
fn kind(value: &Value) -> String {
    if let Some(name) = value["$ref"].as_str() {
        return name.rsplit('/').next().unwrap().to_owned();
    }
    if let Some(words) = value["enum"].as_array() {
        let words = words.iter().map(|word| match word.as_str() {
            Some(word) => format!("`{word}`"),
            None => format!("`{word}`"),
        });
        return words.collect::<Vec<_>>().join(", ");
    }
    if let Some(constant) = value["const"].as_str() {
        return format!("`{constant}`");
    }
    if let Some(choices) = value["anyOf"].as_array().or(value["oneOf"].as_array()) {
        let choices: Vec<String> = choices.iter().map(kind).collect();
        return choices.join(" or ");
    }
    match value["type"].as_str() {
        Some("array") => format!("list of {}", kind(&value["items"])),
        Some("object") if value["additionalProperties"].is_object() => {
            format!("map of names to {}", kind(&value["additionalProperties"]))
        }
        Some("object") => "map".to_owned(),
        Some("integer") => match (value["minimum"].as_i64(), value["maximum"].as_i64()) {
            (Some(least), Some(most)) => format!("whole number, {least} to {most}"),
            (Some(least), None) => format!("whole number from {least}"),
            _ => "whole number".to_owned(),
        },
        Some("boolean") => "`true` or `false`".to_owned(),
        Some("string") | None => "text".to_owned(),
        Some(other) => other.to_owned(),
    }
}

/// The rows of a map's keys, and of those below them.
fn rows(before: &str, properties: &Map<String, Value>, page: &mut String) {
    for (key, value) in properties {
        let path = format!("{before}{key}");
        let described = value["description"].as_str();
        let described = described.unwrap_or_else(|| panic!("{path} has no description"));
        let described = described.replace('|', "\\|");
        page.push_str(&format!("| `{path}` | {} | {described} |\n", kind(value)));
        let forms = value["anyOf"].as_array().cloned().unwrap_or_default();
        for form in std::iter::once(value).chain(&forms) {
            // Jobs have a table of their own.
            if let Some(below) = form["properties"].as_object() {
                rows(&format!("{path}."), below, page);
            }
            let each = &form["additionalProperties"];
            if let Some(below) = each["properties"].as_object().filter(|_| key != "jobs") {
                rows(&format!("{path}.NAME."), below, page);
            }
        }
    }
}

fn table(title: &str, word: &str, properties: &Value) -> String {
    let mut page =
        format!("\n## {title}\n{word}\n\n| key | value | meaning |\n| --- | --- | --- |\n");
    rows("", properties.as_object().unwrap(), &mut page);
    page
}

fn made() -> String {
    let schema = schema();
    let jobs = &schema["properties"]["jobs"]["additionalProperties"];
    let steps = schema["$defs"]["step"]["anyOf"].as_array().unwrap();
    let step = steps
        .iter()
        .find(|form| form["properties"].is_object())
        .unwrap();
    let top = table(
        "At the top",
        "Either `execute` or `jobs` is needed, or `actions` alone.",
        &schema["properties"],
    );
    let job = table(
        "In a job",
        "Each of `jobs`; what stands at the top as well counts for jobs that do not say it themselves.",
        &jobs["properties"],
    );
    let step = table(
        "In a step",
        "A step is a text for the shell, or a map of these. Only `run` is needed.",
        &step["properties"],
    );
    format!("{HEAD}{top}{job}{step}")
}

#[test]
fn the_page_of_keys_is_what_the_schema_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/specification.md");
    let made = made();
    if std::env::var_os("HERALD_RENEW").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(page, made, "HERALD_RENEW=1 writes it anew");
}
