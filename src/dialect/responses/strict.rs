//! Whether a JSON Schema is one that can be demanded strictly: every object
//! closed, every property required, no keyword that is refused (wire formats
//! §4.9).

use std::borrow::Cow;
use std::collections::HashSet;

use crate::dialect::node::Node;

/// A longer schema is never demanded strictly.
const LONGEST: usize = 64 << 10;

/// The server's own limit is ten levels of objects; each is two of JSON.
const DEEPEST: u8 = 32;

const REFUSED: &[&str] = &[
    "allOf",
    "contains",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "if",
    "not",
    "oneOf",
    "patternProperties",
    "prefixItems",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
];

/// See the module. The schema is JSON.
#[must_use]
pub fn qualifies(schema: &str) -> bool {
    let schema = Node::new(schema);
    let root = schema.text("type").is_some_and(|kind| kind == "object");
    schema.raw().len() <= LONGEST && root && schema.get("anyOf").is_none() && closed(schema, 0)
}

fn closed(schema: Node<'_>, depth: u8) -> bool {
    if depth > DEEPEST {
        return false;
    }
    let mut all = true;
    let (mut properties, mut required, mut additional, mut object) = (None, None, None, false);
    for (key, value) in schema.members() {
        match &*key {
            "type" => object |= is_object(value),
            "properties" => {
                properties = Some(value);
                all &= value.members().all(|(_, inner)| closed(inner, depth + 1));
            }
            "$defs" | "definitions" => {
                all &= value.members().all(|(_, inner)| closed(inner, depth + 1));
            }
            "required" => required = Some(value),
            "additionalProperties" => additional = value.bool(),
            "items" => all &= value.is_object() && closed(value, depth + 1),
            "anyOf" => all &= value.items().all(|inner| closed(inner, depth + 1)),
            other => all &= !REFUSED.contains(&other),
        }
    }
    if !all || !(object || properties.is_some()) {
        return all;
    }
    let required: HashSet<Cow<'_, str>> =
        required.into_iter().flat_map(Node::items).filter_map(Node::str).collect();
    let mut names = properties.into_iter().flat_map(Node::members).map(|(name, _)| name);
    additional == Some(false) && names.all(|name| required.contains(&name))
}

fn is_object(kind: Node<'_>) -> bool {
    let named = |node: Node<'_>| node.str().is_some_and(|name| name == "object");
    named(kind) || kind.items().any(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_that_can_be_demanded() {
        let check = |schema: &str, expected| assert_eq!(qualifies(schema), expected, "{schema}");
        let object = |rest: &str| format!(r#"{{"type":"object"{rest}}}"#);
        let closed = r#","additionalProperties":false"#;
        check(&object(closed), true);
        check(&object(""), false);
        check(r#"{"type":"string"}"#, false);
        check("7", false);
        let properties =
            r#","properties":{"a":{"type":"string","pattern":"x"},"b":{"type":["number","null"]}}"#;
        check(&object(&format!(r#"{closed}{properties},"required":["b","a"]"#)), true);
        check(&object(&format!(r#"{closed}{properties},"required":["a"]"#)), false);
        check(&object(&format!("{closed}{properties}")), false);
        let nested = |inner: &str| {
            object(&format!(r#"{closed},"required":["a"],"properties":{{"a":{inner}}}"#))
        };
        check(&nested(&object(closed)), true);
        check(&nested(&object("")), false);
        check(&nested(r#"{"type":["object","null"]}"#), false);
        check(&nested(&format!(r#"{{"type":"array","items":{}}}"#, object(closed))), true);
        check(&nested(r#"{"type":"array","items":{"properties":{}}}"#), false);
        check(&nested(r#"{"type":"array","uniqueItems":true}"#), false);
        check(&nested(r#"{"anyOf":[{"type":"string"},{"type":"object"}]}"#), false);
        check(&nested(r##"{"$ref":"#/$defs/x"}"##), true);
        check(&object(&format!(r#"{closed},"anyOf":[]"#)), false);
        check(&object(&format!(r#"{closed},"$defs":{{"x":{{"type":"object"}}}}"#)), false);
        let mut deep = object(closed);
        for _ in 0..40 {
            deep = nested(&deep);
        }
        check(&deep, false);
    }
}
