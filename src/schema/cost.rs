//! How much work a schema may make of a text. Schemas come from requests, and
//! references make few lines mean many: forty that each name the one before
//! twice mean 2⁴⁰. Must not know what a schema says, only where it leads.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

/// Which values the schemas of a keyword look at.
#[derive(Clone, Copy)]
enum Reach {
    /// The same one, all of them.
    Same,
    /// Every one within, all of them.
    Every,
    /// Every one within, one of them at the most.
    One,
}

/// The schemas of a keyword, if it has any.
fn schemas<'a>(keyword: &str, value: &'a Value) -> Option<(Reach, Vec<&'a Value>)> {
    let reach = match keyword {
        "allOf" | "anyOf" | "oneOf" | "not" | "if" | "then" | "else" | "dependentSchemas" => {
            Reach::Same
        }
        "items"
        | "additionalItems"
        | "additionalProperties"
        | "unevaluatedItems"
        | "unevaluatedProperties"
        | "propertyNames"
        | "contains"
        | "patternProperties" => Reach::Every,
        "properties" | "prefixItems" => Reach::One,
        _ => return None,
    };
    let named = matches!(keyword, "dependentSchemas" | "patternProperties" | "properties");
    let found = match value {
        Value::Array(schemas) => schemas.iter().collect(),
        Value::Object(schemas) if named => schemas.values().collect(),
        Value::Object(_) => vec![value],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    Some((reach, found))
}

/// Steps it takes at the most to hold `value` against `schema`, about: looks of
/// a schema at a value. `None` if that is more than `most`, or if the schema
/// leads where this module cannot follow.
pub fn steps(schema: &Value, value: &Value, most: u64) -> Option<u64> {
    let mut count = Count { root: schema, most, known: HashMap::new(), open: HashSet::new() };
    let (values, depth) = size(value);
    let looks = count.looks(schema, depth)?;
    looks.checked_mul(values).filter(|steps| *steps <= most)
}

/// How many values there are, and how deep they lie.
fn size(value: &Value) -> (u64, u32) {
    let within = |(count, depth): (u64, u32), value: &Value| {
        let (more, deeper) = size(value);
        (count + more, depth.max(deeper))
    };
    let (count, depth) = match value {
        Value::Array(values) => values.iter().fold((0, 0), within),
        Value::Object(members) => members.values().fold((0, 0), within),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (0, 0),
    };
    (count + 1, depth + 1)
}

struct Count<'a> {
    root: &'a Value,
    most: u64,
    /// By the schema's place in memory and the depth left.
    known: HashMap<(*const Value, u32), u64>,
    /// Schemas that are being counted for the same value: one that leads to
    /// itself never ends.
    open: HashSet<(*const Value, u32)>,
}

impl<'a> Count<'a> {
    /// Looks at one value and, of those within, the one with the most.
    fn looks(&mut self, schema: &'a Value, depth: u32) -> Option<u64> {
        let Value::Object(keywords) = schema else { return Some(1) };
        let place = (std::ptr::from_ref(schema), depth);
        if let Some(known) = self.known.get(&place) {
            return Some(*known);
        }
        if !self.open.insert(place) {
            return None;
        }
        let looks = self.of_keywords(keywords, depth)?;
        self.open.remove(&place);
        self.known.insert(place, looks);
        (looks <= self.most).then_some(looks)
    }

    fn of_keywords(&mut self, keywords: &'a Map<String, Value>, depth: u32) -> Option<u64> {
        let mut looks = 1_u64;
        for (keyword, value) in keywords {
            looks = looks.checked_add(self.of_keyword(keyword, value, depth)?)?;
            if looks > self.most {
                return None;
            }
        }
        Some(looks)
    }

    fn of_keyword(&mut self, keyword: &str, value: &'a Value, depth: u32) -> Option<u64> {
        match keyword {
            "$ref" => {
                let target = value.as_str().and_then(|reference| self.follow(reference))?;
                return self.looks(target, depth);
            }
            // They change what references mean.
            "$id" | "id" | "$dynamicRef" | "$recursiveRef" => return None,
            _ => {}
        }
        let Some((reach, schemas)) = schemas(keyword, value) else { return Some(0) };
        let mut looks = schemas.into_iter();
        match reach {
            Reach::Same => {
                looks.try_fold(0, |sum: u64, it| sum.checked_add(self.looks(it, depth)?))
            }
            // Nothing lies within the deepest values.
            Reach::Every | Reach::One if depth <= 1 => Some(0),
            Reach::Every => {
                looks.try_fold(0, |sum: u64, it| sum.checked_add(self.looks(it, depth - 1)?))
            }
            Reach::One => {
                looks.try_fold(0, |most: u64, it| Some(most.max(self.looks(it, depth - 1)?)))
            }
        }
    }

    /// A place in this same document.
    fn follow(&self, reference: &str) -> Option<&'a Value> {
        self.root.pointer(reference.strip_prefix('#')?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(schema: &Value, value: &Value, expected: Option<u64>) {
        assert_eq!(steps(schema, value, 1_000_000), expected, "{schema}");
    }

    #[test]
    fn steps_are_counted() {
        let flat =
            json!({ "properties": { "a": { "type": "string" }, "b": { "type": "string" } } });
        check(&json!(true), &json!(1), Some(1));
        check(&flat, &json!(1), Some(1));
        check(&flat, &json!({ "a": 1, "b": 2 }), Some(2 * 3));
        check(&json!({ "items": flat }), &json!([{ "a": 1 }, { "a": 1 }]), Some(3 * 5));
        check(&json!({ "allOf": [flat, flat] }), &json!(1), Some(3));
    }

    /// Each names the one before twice.
    #[test]
    fn short_schemas_that_mean_much_are_told() {
        let chain = |length: u32| {
            let definition = |n: u32| {
                let before = json!({ "$ref": format!("#/$defs/a{}", n - 1) });
                (format!("a{n}"), json!({ "allOf": [before, before] }))
            };
            let mut definitions: Map<String, Value> = (1..=length).map(definition).collect();
            definitions.insert("a0".into(), json!({ "type": "string" }));
            json!({ "$defs": definitions, "$ref": format!("#/$defs/a{length}") })
        };
        assert!(steps(&chain(10), &json!(""), 1_000_000).is_some_and(|steps| steps > 1 << 10));
        check(&chain(40), &json!(""), None);
        let deep = |levels: usize| (0..levels).fold(json!(1), |value, _| json!({ "a": value }));
        let within = json!({ "properties": { "a": { "$ref": "#" } } });
        let recursive = json!({ "anyOf": [within, within] });
        assert!(steps(&recursive, &deep(4), 1_000_000).is_some());
        check(&recursive, &deep(40), None);
    }

    #[test]
    fn what_cannot_be_followed_is_told() {
        check(&json!({ "$ref": "#" }), &json!(1), None);
        check(&json!({ "$ref": "#/nowhere" }), &json!(1), None);
        check(&json!({ "$ref": "#name" }), &json!(1), None);
        check(&json!({ "$id": "x", "type": "string" }), &json!(1), None);
    }

    /// A tree of any depth, as schemas of documents have it.
    #[test]
    fn usual_recursion_costs_little() {
        let tree = json!({ "type": "object", "properties": { "children": { "type": "array",
            "items": { "$ref": "#" } }, "name": { "type": "string" } } });
        let leaf = json!({ "name": "x", "children": [] });
        let wide = json!({ "name": "x", "children": vec![leaf; 1000] });
        assert!(steps(&tree, &wide, 250_000).is_some());
    }
}
