//! Gemini's own schema, which is not JSON Schema: what it refuses, and the same
//! as JSON Schema. Pure.

use serde_json::{Map, Value};

use super::super::error_body::ErrorBody;
use super::check::only;

const FIELDS: &[&str] = &[
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "enum",
    "maxItems",
    "minItems",
    "properties",
    "required",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "example",
    "anyOf",
    "propertyOrdering",
    "default",
    "items",
    "minimum",
    "maximum",
    "min_items",
    "max_items",
    "any_of",
    "property_ordering",
];

/// Fails at the first word that this kind of schema does not have.
pub(super) fn check(schema: &Value, path: &str) -> Result<(), ErrorBody> {
    if schema.is_null() {
        return Ok(());
    }
    only(schema, FIELDS, path)?;
    if schema["type"].is_array() {
        let problem = format!("Proto field is not repeating, cannot start list at '{path}.type'.");
        return Err(super::errors::invalid(400, &problem));
    }
    let members = schema["properties"].as_object().into_iter().flatten();
    for (at, (_, inner)) in members.enumerate() {
        check(inner, &format!("{path}.properties[{at}].value"))?;
    }
    for (at, inner) in schema["anyOf"].as_array().into_iter().flatten().enumerate() {
        check(inner, &format!("{path}.any_of[{at}]"))?;
    }
    check(&schema["items"], &format!("{path}.items"))
}

/// The same with types as JSON Schema writes them.
pub(super) fn plain(schema: &Value) -> Value {
    match schema {
        Value::Object(object) => {
            let member = |(name, value): (&String, &Value)| {
                let kind = if name == "type" { value.as_str() } else { None };
                let value = kind.map_or_else(|| plain(value), |kind| kind.to_lowercase().into());
                (name.clone(), value)
            };
            Value::Object(object.iter().map(member).collect::<Map<_, _>>())
        }
        Value::Array(list) => list.iter().map(plain).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => schema.clone(),
    }
}
