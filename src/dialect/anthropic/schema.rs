//! JSON Schemas as Anthropic takes them for answers and strict tools (wire
//! formats §4.9): closed objects, and constraints it does not know as words in
//! the description.

use serde_json::{Map, Value};

/// A longer schema is not rewritten.
const MAX_SCHEMA: usize = 256 << 10;

/// Formats of strings that are known.
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

/// Keywords that are refused.
const REFUSED: &[&str] = &[
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "contains",
    "minContains",
    "maxContains",
    "prefixItems",
    "unevaluatedItems",
    "minProperties",
    "maxProperties",
    "patternProperties",
    "propertyNames",
    "unevaluatedProperties",
    "if",
    "then",
    "else",
    "not",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
];

/// The schema rewritten; `None` if it is too long or cannot be read.
#[must_use]
pub fn closed(schema: &str) -> Option<String> {
    if schema.len() > MAX_SCHEMA {
        return None;
    }
    let mut value: Value = serde_json::from_str(schema).ok()?;
    if !value.is_object() {
        return None;
    }
    rewrite(&mut value);
    Some(value.to_string())
}

/// Recursion is bounded: `serde_json` reads no more than 128 levels.
fn rewrite(schema: &mut Value) {
    let Value::Object(object) = schema else { return };
    object.shift_remove("$schema");
    if let Some(one_of) = object.shift_remove("oneOf") {
        object.entry("anyOf").or_insert(one_of);
    }
    let mut words = Vec::new();
    for key in REFUSED {
        take(object, key, &mut words);
    }
    for (key, refused) in [
        (
            "minItems",
            object.get("minItems").is_some_and(|least| !matches!(least.as_u64(), Some(0 | 1))),
        ),
        ("format", object.get("format").is_some_and(|format| !known_format(format))),
        ("pattern", object.get("pattern").is_some_and(|pattern| !plain_pattern(pattern))),
    ] {
        if refused {
            take(object, key, &mut words);
        }
    }
    close(object, &mut words);
    describe(object, &words);
    inner(object);
}

fn known_format(format: &Value) -> bool {
    format.as_str().is_some_and(|format| FORMATS.contains(&format))
}

/// Neither groups with a meaning of their own nor references back.
fn plain_pattern(pattern: &Value) -> bool {
    let refused = ["(?", "\\b", "\\B", "\\1", "\\2", "\\k"];
    pattern.as_str().is_some_and(|pattern| !refused.iter().any(|part| pattern.contains(part)))
}

fn take(object: &mut Map<String, Value>, key: &str, words: &mut Vec<String>) {
    if let Some(value) = object.shift_remove(key) {
        words.push(format!("{key}: {value}"));
    }
}

/// Every object says that it has no further properties.
fn close(object: &mut Map<String, Value>, words: &mut Vec<String>) {
    let is_object = |kind: &Value| {
        kind == "object"
            || kind.as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "object"))
    };
    let object_here =
        object.get("type").is_some_and(is_object) || object.contains_key("properties");
    if object.get("additionalProperties").is_some_and(Value::is_object) {
        take(object, "additionalProperties", words);
    }
    if object_here {
        object.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
}

fn describe(object: &mut Map<String, Value>, words: &[String]) {
    if words.is_empty() {
        return;
    }
    let own = object.get("description").and_then(Value::as_str).unwrap_or_default();
    let space = if own.is_empty() { "" } else { " " };
    let text = format!("{own}{space}({})", words.join("; "));
    object.insert("description".to_owned(), Value::String(text));
}

/// The schemas within.
fn inner(object: &mut Map<String, Value>) {
    for (key, value) in object.iter_mut() {
        match (key.as_str(), value) {
            ("properties" | "$defs" | "definitions", Value::Object(named)) => {
                named.values_mut().for_each(rewrite);
            }
            ("anyOf" | "allOf", Value::Array(all)) => all.iter_mut().for_each(rewrite),
            ("items", value) => rewrite(value),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_rewritten() {
        let check = |schema: &str, expected: &str| {
            assert_eq!(closed(schema).as_deref(), Some(expected));
        };
        check(
            r#"{"$schema":"x","type":"object","properties":{"a":{"type":"integer","minimum":1,"description":"n"}},"required":["a"]}"#,
            r#"{"type":"object","properties":{"a":{"type":"integer","description":"n (minimum: 1)"}},"required":["a"],"additionalProperties":false}"#,
        );
        check(
            r#"{"type":"array","items":{"oneOf":[{"type":"null"},{"properties":{}}]},"minItems":1,"maxItems":3}"#,
            r#"{"type":"array","items":{"anyOf":[{"type":"null"},{"properties":{},"additionalProperties":false}]},"minItems":1,"description":"(maxItems: 3)"}"#,
        );
        check(
            r#"{"type":"string","format":"email","pattern":"^a+$","minItems":2}"#,
            r#"{"type":"string","format":"email","pattern":"^a+$","description":"(minItems: 2)"}"#,
        );
        check(
            r#"{"format":"color","pattern":"(?=a)","not":{"type":"null"},"x":1}"#,
            r#"{"x":1,"description":"(not: {\"type\":\"null\"}; format: \"color\"; pattern: \"(?=a)\")"}"#,
        );
        check(
            r#"{"type":["object","null"],"additionalProperties":{"type":"string"},"$defs":{"d":{"type":"object"}}}"#,
            r#"{"type":["object","null"],"$defs":{"d":{"type":"object","additionalProperties":false}},"additionalProperties":false,"description":"(additionalProperties: {\"type\":\"string\"})"}"#,
        );
    }

    #[test]
    fn what_is_no_schema_is_not_rewritten() {
        for schema in ["", "true", "[]", r#"{"a":"\ud800"}"#, "{\"a\":"] {
            assert_eq!(closed(schema), None, "{schema}");
        }
        let deep = format!("{}1{}", "{\"items\":".repeat(200), "}".repeat(200));
        assert_eq!(closed(&deep), None);
        assert_eq!(closed(&format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_SCHEMA))), None);
    }
}
