//! What Anthropic's structured outputs refuse in a JSON Schema. Pure.

use serde_json::Value;

const MAX_DEPTH: usize = 32;
/// Limits that belong into descriptions instead, with the type they are for.
const LIMITS: &[(&str, &[&str])] = &[
    ("integer", &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]),
    ("number", &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]),
    ("string", &["minLength", "maxLength"]),
    ("array", &["maxItems", "uniqueItems", "contains", "prefixItems"]),
    ("object", &["minProperties", "maxProperties", "patternProperties"]),
];
const COMBINATIONS: &[&str] = &["oneOf", "not", "if", "then", "else"];

/// The first thing that is wrong with the schema.
pub(super) fn check(schema: &Value) -> Result<(), String> {
    if !schema.is_object() {
        return Err("Input should be a valid dictionary".to_owned());
    }
    walk(schema, MAX_DEPTH)
}

fn walk(schema: &Value, depth: usize) -> Result<(), String> {
    let Some(members) = schema.as_object() else { return Ok(()) };
    if depth == 0 {
        return Err("Schema is nested too deeply".to_owned());
    }
    let kind = schema["type"].as_str().unwrap_or_default();
    if kind == "object" && schema["additionalProperties"] != false {
        let problem = "'additionalProperties' must be explicitly set to false";
        return Err(format!("For 'object' type, {problem}"));
    }
    let limits = LIMITS.iter().filter(|(of, _)| *of == kind).flat_map(|(_, words)| words.iter());
    if let Some(word) = limits.chain(COMBINATIONS).find(|word| members.contains_key(**word)) {
        return Err(format!("For '{kind}' type, property '{word}' is not supported"));
    }
    if schema["minItems"].as_u64().is_some_and(|least| least > 1) {
        return Err(
            "For 'array' type, 'minItems' values other than 0 or 1 are not supported".to_owned()
        );
    }
    for inner in ["properties", "$defs", "definitions"] {
        for schema in schema[inner].as_object().into_iter().flat_map(|object| object.values()) {
            walk(schema, depth - 1)?;
        }
    }
    for inner in ["anyOf", "allOf"] {
        for schema in schema[inner].as_array().into_iter().flatten() {
            walk(schema, depth - 1)?;
        }
    }
    walk(&schema["items"], depth - 1)
}
