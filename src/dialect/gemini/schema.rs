//! Gemini's own schemas (types in capitals, `nullable`) as JSON Schema. Works on
//! text, so that a schema costs no more memory than itself; must not know whose
//! schema it is.

use std::borrow::Cow;
use std::fmt::Write;

use super::fields::{field, members, push_member};
use crate::dialect::json;
use crate::dialect::node::Node;

/// Deeper schemas are left as they are: no server takes them.
const MAX_DEPTH: u8 = 32;

/// A schema of Gemini's as JSON Schema. One that is JSON Schema already stays
/// what it was, but for the space in it.
#[must_use]
pub fn to_json_schema(schema: Node<'_>) -> String {
    let mut out = String::with_capacity(schema.raw().len() + 16);
    push_schema(schema, 0, &mut out);
    out
}

fn push_schema(schema: Node<'_>, depth: u8, out: &mut String) {
    if !schema.is_object() || depth > MAX_DEPTH {
        out.push_str(schema.raw());
        return;
    }
    let nullable = field(schema, "nullable").and_then(Node::bool) == Some(true);
    out.push('{');
    let mut typed = false;
    for (key, value) in members(schema) {
        match &*key {
            // Said in the type; and an order that no other server knows.
            "nullable" | "propertyOrdering" => {}
            "type" => typed |= push_type(value, nullable, out),
            "format" if value.raw() == "\"enum\"" => {}
            "enum" if nullable => push_member(out, "enum", &with_null(value)),
            "items" | "additionalProperties" | "not" => {
                push_key(&key, out);
                push_schema(value, depth + 1, out);
            }
            "properties" | "patternProperties" => {
                push_key(&key, out);
                push_named(value, depth + 1, out);
            }
            "defs" | "$defs" => {
                push_key("$defs", out);
                push_named(value, depth + 1, out);
            }
            "anyOf" | "oneOf" | "allOf" | "prefixItems" => {
                let null = nullable && key == "anyOf" && !is_typed(schema);
                push_key(&key, out);
                push_all(value, null, depth + 1, out);
            }
            "ref" => push_member(out, "$ref", value.raw()),
            "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties"
            | "maxProperties" => push_member(out, &key, &count(value)),
            _ => push_key_value(&key, value, out),
        }
    }
    if nullable && !typed && field(schema, "anyOf").is_none() {
        // Nothing says what it is: null is allowed already.
        push_member(out, "nullable", "true");
    }
    out.push('}');
}

fn push_key(key: &str, out: &mut String) {
    push_member(out, key, "");
}

fn push_key_value(key: &str, value: Node<'_>, out: &mut String) {
    let quoted = json::quote(key);
    push_member(out, &quoted[1..quoted.len() - 1], value.raw());
}

fn is_typed(schema: Node<'_>) -> bool {
    schema.get("type").and_then(Node::str).is_some_and(|kind| kind != "TYPE_UNSPECIFIED")
}

/// Whether there was a type to say.
fn push_type(value: Node<'_>, nullable: bool, out: &mut String) -> bool {
    let Some(word) = value.str() else {
        push_member(out, "type", value.raw());
        return true;
    };
    if word == "TYPE_UNSPECIFIED" {
        return false;
    }
    let word = json::quote(&word.to_ascii_lowercase());
    if nullable && word != "\"null\"" {
        push_member(out, "type", &format!("[{word},\"null\"]"));
    } else {
        push_member(out, "type", &word);
    }
    true
}

/// An enumeration that allows null too.
fn with_null(values: Node<'_>) -> Cow<'_, str> {
    let known = values.items().any(Node::is_null);
    match values.raw().strip_suffix(']') {
        Some(open) if !known && values.is_array() => {
            let comma = if values.items().next().is_some() { "," } else { "" };
            Cow::Owned(format!("{open}{comma}null]"))
        }
        _ => Cow::Borrowed(values.raw()),
    }
}

/// Google's JSON writes 64-bit numbers as strings.
fn count(value: Node<'_>) -> Cow<'_, str> {
    let digits = |text: &Cow<'_, str>| {
        (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    match value.str().filter(digits).and_then(|text| text.parse::<u64>().ok()) {
        Some(number) => Cow::Owned(number.to_string()),
        None => Cow::Borrowed(value.raw()),
    }
}

/// An object of schemas: its keys are names of the client's.
fn push_named(schemas: Node<'_>, depth: u8, out: &mut String) {
    if !schemas.is_object() {
        out.push_str(schemas.raw());
        return;
    }
    out.push('{');
    for (n, (name, schema)) in schemas.members().enumerate() {
        let comma = if n == 0 { "" } else { "," };
        let _ = write!(out, "{comma}{}:", json::quote(&name));
        push_schema(schema, depth, out);
    }
    out.push('}');
}

fn push_all(schemas: Node<'_>, null: bool, depth: u8, out: &mut String) {
    if !schemas.is_array() {
        out.push_str(schemas.raw());
        return;
    }
    out.push('[');
    for (n, schema) in schemas.items().enumerate() {
        out.push_str(if n == 0 { "" } else { "," });
        push_schema(schema, depth, out);
    }
    if null {
        let comma = if out.ends_with('[') { "" } else { "," };
        let _ = write!(out, "{comma}{{\"type\":\"null\"}}");
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn schemas_become_json_schema() {
        let check = |schema: &str, expected: &str| {
            assert_eq!(to_json_schema(Node::new(schema)), expected, "{schema}");
            let _: serde_json::Value = serde_json::from_str(expected).unwrap();
        };
        check(r#"{"type":"STRING"}"#, r#"{"type":"string"}"#);
        check(r#"{"type":"string"}"#, r#"{"type":"string"}"#);
        check(r#"{"type":["string","null"]}"#, r#"{"type":["string","null"]}"#);
        check(r#"{"type":"TYPE_UNSPECIFIED"}"#, "{}");
        check(r#"{"nullable":true,"type":"INTEGER"}"#, r#"{"type":["integer","null"]}"#);
        check(r#"{"nullable":false,"type":"INTEGER"}"#, r#"{"type":"integer"}"#);
        check(r#"{"nullable":true,"type":"NULL"}"#, r#"{"type":"null"}"#);
        check(
            r#"{"type":"STRING","format":"enum","enum":["a"],"nullable":true}"#,
            r#"{"type":["string","null"],"enum":["a",null]}"#,
        );
        check(
            r#"{"nullable":true,"any_of":[{"type":"STRING"},{"type":"NUMBER","format":"double"}]}"#,
            r#"{"anyOf":[{"type":"string"},{"type":"number","format":"double"},{"type":"null"}]}"#,
        );
        check(
            r#"{"type":"OBJECT","properties":{"type":{"type":"STRING"},"nullable":{"type":"ARRAY","min_items":"2","items":{"type":"BOOLEAN"}}},"property_ordering":["type"],"required":["type"]}"#,
            r#"{"type":"object","properties":{"type":{"type":"string"},"nullable":{"type":"array","minItems":2,"items":{"type":"boolean"}}},"required":["type"]}"#,
        );
        check(
            r##"{"defs":{"a_b":{"type":"STRING"}},"ref":"#/$defs/a_b"}"##,
            r##"{"$defs":{"a_b":{"type":"string"}},"$ref":"#/$defs/a_b"}"##,
        );
        check(r#"{"additionalProperties":false}"#, r#"{"additionalProperties":false}"#);
        check(r#"{"nullable":true}"#, r#"{"nullable":true}"#);
        check(
            r#"{"anyOf":7,"properties":[],"enum":7,"nullable":true}"#,
            r#"{"anyOf":7,"properties":[],"enum":7}"#,
        );
        check("true", "true");
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{}1{}", "{\"items\":".repeat(20_000), "}".repeat(20_000));
        assert_eq!(to_json_schema(Node::new(&deep)), deep);
    }

    proptest! {
        #[test]
        fn nothing_panics(near in "\\{\"(type|anyOf|properties|enum)\":[\\{\\}\\[\\]\"a-z:,]{0,40}\\}") {
            let _ = to_json_schema(Node::new(&near));
        }
    }
}
