//! What `OpenAI` asks of a JSON Schema that is to be kept to strictly. Pure.

use serde_json::Value;

const MAX_DEPTH: usize = 32;

/// The first thing that is wrong with the schema, in the provider's words.
pub(in super::super) fn check(schema: &Value) -> Result<(), String> {
    if schema["type"] != "object" {
        let kind = schema["type"].as_str().unwrap_or("None");
        return Err(format!(
            "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'."
        ));
    }
    walk(schema, "", MAX_DEPTH)
}

fn walk(schema: &Value, context: &str, depth: usize) -> Result<(), String> {
    if depth == 0 {
        return Err(format!("In context=({context}), the schema is nested too deeply."));
    }
    if let Some(properties) = schema["properties"].as_object() {
        closed(schema, context)?;
        let listed = |name: &str| {
            schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name))
        };
        if let Some(name) = properties.keys().find(|name| !listed(name)) {
            return Err(format!(
                "In context=({context}), 'required' is required to be supplied and to be an array \
                 including every key in properties. Missing '{name}'."
            ));
        }
        for (name, inner) in properties {
            walk(inner, &format!("{context}'properties', '{name}', "), depth - 1)?;
        }
    } else if schema["type"] == "object" {
        closed(schema, context)?;
    }
    if schema["items"].is_object() {
        walk(&schema["items"], &format!("{context}'items', "), depth - 1)?;
    }
    for word in ["oneOf", "allOf", "not", "if", "patternProperties", "uniqueItems"] {
        if schema.get(word).is_some() {
            return Err(format!("In context=({context}), '{word}' is not permitted."));
        }
    }
    for (place, inner) in schema["anyOf"].as_array().into_iter().flatten().enumerate() {
        walk(inner, &format!("{context}'anyOf', '{place}', "), depth - 1)?;
    }
    for (name, inner) in schema["$defs"].as_object().into_iter().flatten() {
        walk(inner, &format!("{context}'$defs', '{name}', "), depth - 1)?;
    }
    Ok(())
}

fn closed(schema: &Value, context: &str) -> Result<(), String> {
    if schema["additionalProperties"] == false {
        return Ok(());
    }
    Err(format!(
        "In context=({context}), 'additionalProperties' is required to be supplied and to be false."
    ))
}
