//! The text of a healthy answer, and where a continuation of it begins. Pure.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::behaviour::Continues;

/// Words in a healthy answer unless a behaviour says otherwise.
pub const DEFAULT_WORDS: usize = 60;
/// Words that an overlapping continuation repeats.
const OVERLAP_WORDS: usize = 3;
/// How deep an instance of a JSON schema is filled in.
const SCHEMA_DEPTH: u8 = 8;

/// The text that every healthy provider answers to `prompt`: numbered words,
/// each with three letters that depend on the prompt, separated by one space.
pub fn answer(prompt: &str, words: usize) -> String {
    let seed = fnv1a(prompt.as_bytes());
    let mut text = String::with_capacity(words * 9);
    for number in 1..=words {
        if number > 1 {
            text.push(' ');
        }
        write!(text, "w{number:04}").expect("a String takes any write");
        let mut letters = mix(seed, number as u64);
        for _ in 0..3 {
            let letter = u8::try_from(letters % 26).expect("under 26");
            text.push(char::from(b'a' + letter));
            letters /= 26;
        }
    }
    text
}

/// The pieces in which a text is streamed: one word each, all but the first
/// with the space before it, as tokens have it.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.as_bytes()[1..].iter().position(|byte| *byte == b' ');
        let (piece, left) = rest.split_at(end.map_or(rest.len(), |position| position + 1));
        rest = left;
        Some(piece)
    })
}

/// The shape in which the answer was asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    Text,
    Json,
    Schema(Value),
}

/// The whole answer to `prompt` in the shape that was asked for.
pub(super) fn shaped(prompt: &str, words: usize, shape: &Shape) -> String {
    let text = answer(prompt, words);
    match shape {
        Shape::Text => text,
        Shape::Json => json!({ "answer": text }).to_string(),
        Shape::Schema(schema) => fitting(schema, &text),
    }
}

/// JSON that fits the schema, with `text` for its strings.
pub(super) fn fitting(schema: &Value, text: &str) -> String {
    instance(schema, schema, text, SCHEMA_DEPTH).to_string()
}

/// A value that fits the plain part of JSON Schema: types, properties, enums,
/// constants, items and references within `root`; of alternatives the first.
fn instance(root: &Value, schema: &Value, text: &str, depth: u8) -> Value {
    if depth == 0 {
        return Value::Null;
    }
    if let Some(constant) = schema.get("const") {
        return constant.clone();
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    if let Some(other) = referred(root, schema) {
        return instance(root, other, text, depth - 1);
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind {
        Some("string") => json!(text),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        Some("array") => json!([instance(root, &schema["items"], text, depth - 1)]),
        Some(_) | None => match schema["properties"].as_object() {
            Some(properties) => properties
                .iter()
                .map(|(name, inner)| (name.clone(), instance(root, inner, text, depth - 1)))
                .collect(),
            None => json!({ "answer": text }),
        },
    }
}

/// The schema that stands for this one: the one it refers to, or the first of
/// its alternatives.
fn referred<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    if let Some(place) = schema["$ref"].as_str() {
        return root.pointer(place.strip_prefix('#')?);
    }
    ["anyOf", "oneOf", "allOf"].iter().find_map(|word| schema[*word].get(0))
}

/// What is left to say of `whole` after `said`; `None` if `said` is no proper
/// beginning of it.
pub(super) fn remainder<'a>(whole: &'a str, said: &str, continues: Continues) -> Option<&'a str> {
    if said.is_empty() || whole.len() <= said.len() || !whole.starts_with(said) {
        return None;
    }
    let from = match continues {
        Continues::Exact => said.len(),
        Continues::Restart => 0,
        Continues::Overlap => {
            said.rmatch_indices(' ').nth(OVERLAP_WORDS - 1).map_or(0, |(position, _)| position)
        }
    };
    Some(&whole[from..])
}

/// The text cut to so many pieces, and whether anything was cut off.
pub(super) fn limited(text: Cow<'_, str>, limit: Option<u64>) -> (Cow<'_, str>, bool) {
    let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else {
        return (text, false);
    };
    let end: usize = pieces(&text).take(limit).map(str::len).sum();
    if end == text.len() {
        return (text, false);
    }
    (Cow::Owned(text[..end].to_owned()), true)
}

/// FNV-1a, 64 bits: a hash that stays the same over releases and machines.
pub(super) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Splitmix64: the number at this place of the sequence with this seed.
pub(super) fn mix(seed: u64, place: u64) -> u64 {
    let mut z = seed.wrapping_add(place.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_depends_on_the_prompt_alone() {
        assert_eq!(answer("a", 60), answer("a", 60));
        assert_ne!(answer("a", 60), answer("b", 60));
        assert!(answer("a", 60).starts_with(&answer("a", 59)));
        assert_eq!(answer("a", 60).split(' ').count(), 60);
        assert_eq!(answer("a", 0), "");
    }

    #[test]
    fn pieces_are_words_and_add_up() {
        let text = answer("a", 5);
        assert_eq!(pieces(&text).count(), 5);
        assert_eq!(pieces(&text).collect::<String>(), text);
        assert_eq!(pieces(" one two").collect::<Vec<_>>(), [" one", " two"]);
        assert_eq!(pieces("").count(), 0);
    }

    #[test]
    fn a_continuation_begins_where_it_should() {
        let whole = "one two three four five six";
        let check = |said: &str, continues, expected: Option<&str>| {
            assert_eq!(remainder(whole, said, continues), expected, "{said:?} {continues:?}");
        };
        check("one two three four", Continues::Exact, Some(" five six"));
        check("one two three four", Continues::Overlap, Some(" two three four five six"));
        check("one", Continues::Overlap, Some(whole));
        check("one two", Continues::Restart, Some(whole));
        check("another", Continues::Exact, None);
        check("", Continues::Exact, None);
        check(whole, Continues::Exact, None);
    }

    #[test]
    fn a_schema_is_met() {
        let schema = json!({
            "type": "object",
            "required": ["name", "age", "kind", "tags", "home", "note"],
            "properties": {
                "name": { "type": "string" },
                "age": { "type": "integer", "minimum": 18 },
                "kind": { "enum": ["cat", "dog"] },
                "tags": { "type": "array", "items": { "type": "boolean" } },
                "home": { "$ref": "#/$defs/home" },
                "note": { "anyOf": [{ "type": "string" }, { "type": "null" }] },
            },
            "$defs": {
                "home": {
                    "type": "object",
                    "required": ["town"],
                    "properties": { "town": { "type": "string" } },
                },
            },
        });
        let value: Value =
            serde_json::from_str(&shaped("a", 2, &Shape::Schema(schema.clone()))).unwrap();
        assert!(jsonschema::is_valid(&schema, &value), "{value}");
    }
}
