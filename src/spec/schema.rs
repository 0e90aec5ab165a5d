//! The JSON Schema of `.herald.yml`, made from the table of keys.

use serde_json::{Map, Value, json};

use super::keys::{self, Key, Shape};

/// The JSON Schema (draft 2020-12).
pub fn schema() -> Value {
    let mut root = object(keys::TOP);
    if let Value::Object(root) = &mut root {
        root.insert(
            "$schema".to_owned(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        root.insert("title".to_owned(), json!(".herald.yml"));
        root.insert(
            "description".to_owned(),
            json!("How Herald builds this repository."),
        );
        root.insert(
            "oneOf".to_owned(),
            json!([
                { "required": ["execute"] },
                { "required": ["jobs"] },
                {
                    "required": ["actions"],
                    "not": { "anyOf": [{ "required": ["execute"] }, { "required": ["jobs"] }] }
                }
            ]),
        );
        root.insert(
            "$defs".to_owned(),
            json!({
                "step": step(),
                "text": { "type": ["string", "number", "boolean"] },
                "duration": {
                    "type": "string",
                    "pattern": "^([0-9]+h)?([0-9]+m)?([0-9]+s)?$",
                    "minLength": 2
                },
                "percent": {
                    "anyOf": [
                        { "type": "number", "minimum": 0, "maximum": 100 },
                        { "type": "string", "pattern": "^[0-9]{1,3}(\\.[0-9]{1,2})? *%?$" }
                    ]
                }
            }),
        );
    }
    root
}

fn object(table: &[Key]) -> Value {
    let properties: Map<String, Value> = table
        .iter()
        .map(|key| {
            let mut value = shape(key.shape);
            if let Value::Object(value) = &mut value {
                value.insert("description".to_owned(), json!(key.about));
            }
            (key.name.to_owned(), value)
        })
        .collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn shape(shape: Shape) -> Value {
    match shape {
        Shape::Text => json!({ "$ref": "#/$defs/text" }),
        Shape::Texts => list(&json!({ "$ref": "#/$defs/text" })),
        Shape::TextMap => json!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" },
            "additionalProperties": { "type": ["string", "number", "boolean", "null"] }
        }),
        Shape::Duration => json!({ "$ref": "#/$defs/duration" }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Count => json!({ "type": "integer", "minimum": 0 }),
        Shape::ExitCodes => list(&json!({ "type": "integer", "minimum": 1, "maximum": 255 })),
        Shape::Choice(["1"]) => json!({ "enum": [1, "1"] }),
        Shape::Choice(words) => json!({ "enum": words }),
        Shape::Choices(words) => list(&json!({ "enum": words })),
        Shape::Percent(None) => json!({ "$ref": "#/$defs/percent" }),
        Shape::Percent(Some(word)) => {
            json!({ "anyOf": [{ "const": word }, { "$ref": "#/$defs/percent" }] })
        }
        Shape::Steps => list(&json!({ "$ref": "#/$defs/step" })),
        Shape::Run => json!({
            "anyOf": [{ "$ref": "#/$defs/text" }, list(&json!({ "$ref": "#/$defs/text" }))]
        }),
        Shape::Object(table) => object(table),
        Shape::Objects(table, required) => {
            let mut job = object(table);
            if let Value::Object(job) = &mut job {
                job.insert("required".to_owned(), json!([required]));
            }
            json!({
                "type": "object",
                "minProperties": 1,
                "propertyNames": { "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$" },
                "additionalProperties": job
            })
        }
        Shape::Whole(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Shape::Cores => json!({
            "anyOf": [
                { "type": "number", "minimum": 0.01, "maximum": 1024 },
                { "type": "string", "pattern": "^[0-9]{1,4}(\\.[0-9]{1,3})?$" }
            ]
        }),
        Shape::Size => json!({ "type": "string", "pattern": "^[0-9]+ *[KMGT]iB$" }),
        Shape::Ports => json!({
            "type": "object",
            "maxProperties": 20,
            "propertyNames": { "pattern": "^[a-z][a-z0-9_]{0,63}$" },
            "additionalProperties": { "type": "integer", "minimum": 1, "maximum": 65_535 }
        }),
        Shape::Matrix => matrix(),
    }
}

fn matrix() -> Value {
    let value = json!({ "type": ["string", "number", "boolean", "null"] });
    let members = |about: &str| {
        let mut members = list(&json!({
            "type": "object",
            "minProperties": 1,
            "additionalProperties": value
        }));
        if let Value::Object(members) = &mut members {
            members.insert("description".to_owned(), json!(about));
        }
        members
    };
    let include = members("Values that are added to combinations, or combinations of their own.");
    let exclude = members("Combinations that are left out.");
    json!({
        "type": "object",
        "minProperties": 1,
        "properties": { "include": include, "exclude": exclude },
        "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" },
        "additionalProperties": list(&value)
    })
}

fn list(items: &Value) -> Value {
    json!({ "type": "array", "minItems": 1, "items": items })
}

fn step() -> Value {
    let mut map = object(keys::STEP);
    if let Value::Object(map) = &mut map {
        map.insert("required".to_owned(), json!(["run"]));
    }
    json!({ "anyOf": [{ "$ref": "#/$defs/text" }, map] })
}
