//! Where a text breaks a JSON schema. Owns the bounds that make it safe to
//! check a model's text against a schema from a request: no references are
//! fetched, patterns run for a bounded time, and little is said. Must not know
//! whose text it is.

mod cost;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde::de::IgnoredAny;
use serde_json::Value;

const MAX_SCHEMA: usize = 64 << 10;
const MAX_TEXT: usize = 4 << 20;
const MAX_VIOLATIONS: usize = 16;
const MAX_MESSAGE: usize = 256;

/// Looks of a schema at a value, of which each may make an error message.
const MAX_STEPS: u64 = 250_000;

/// Compiled patterns, in bytes each.
const MAX_PATTERN: usize = 1 << 20;

/// Patterns that look around or refer back cannot be run in linear time. They
/// are run on texts up to this length, and give up after so many steps back.
const MAX_BACKTRACKING_TEXT: usize = 64 << 10;
const MAX_STEPS_BACK: usize = 1_000;

/// The violations, at most 16, each at most 256 bytes; empty when the text
/// holds. An empty schema only asks that the text is JSON, and so does one that
/// cannot be used, or cannot be checked against this text: an answer is not
/// wrong because nobody here can tell.
#[must_use]
pub fn violations(text: &str, schema: &str) -> Vec<String> {
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        return vec![cut(format!("the text is not JSON: {error}"))];
    }
    let Some((value, validator)) = checkable(text, schema) else { return Vec::new() };
    let told = validator.iter_errors(&value).filter(|error| !is_unfinished(error));
    told.take(MAX_VIOLATIONS)
        .map(|error| cut(format!("{}: {}", place(error.instance_path().as_str()), error.masked())))
        .collect()
}

/// Whether a text is JSON, however deep or long it is and whatever its numbers.
#[must_use]
pub fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The text as a value and its schema, if the one can be checked against the
/// other. JSON may be nested deeper, and have numbers larger, than a value can.
fn checkable(text: &str, schema: &str) -> Option<(Value, Validator)> {
    if text.len() > MAX_TEXT || schema.len() > MAX_SCHEMA || schema.trim().is_empty() {
        return None;
    }
    let schema: Value = serde_json::from_str(schema).ok()?;
    let value = serde_json::from_str(text).ok()?;
    cost::steps(&schema, &value, MAX_STEPS)?;
    Some((value, validator(&schema, text.len())?))
}

fn validator(schema: &Value, text_length: usize) -> Option<Validator> {
    let linear = PatternOptions::regex().size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN);
    let found = jsonschema::options().with_pattern_options(linear).offline().build(schema).ok();
    if found.is_some() || text_length > MAX_BACKTRACKING_TEXT {
        return found;
    }
    let bounded = PatternOptions::fancy_regex()
        .backtrack_limit(MAX_STEPS_BACK)
        .size_limit(MAX_PATTERN)
        .dfa_size_limit(MAX_PATTERN);
    jsonschema::options().with_pattern_options(bounded).offline().build(schema).ok()
}

/// Whether a pattern gave up: it may well hold.
fn is_unfinished(error: &ValidationError<'_>) -> bool {
    matches!(
        error.kind(),
        ValidationErrorKind::BacktrackLimitExceeded { .. }
            | ValidationErrorKind::RegexEngineFailure { .. }
    )
}

fn place(pointer: &str) -> &str {
    if pointer.is_empty() { "/" } else { pointer }
}

fn cut(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(MAX_MESSAGE));
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERSON: &str = r#"{"type":"object","required":["name"],"additionalProperties":false,
        "properties":{"name":{"type":"string","pattern":"^[a-z]+$"},"age":{"type":"integer"}}}"#;

    #[test]
    fn texts_against_schemas() {
        let check = |text: &str, schema: &str, expected: &[&str]| {
            let seen = violations(text, schema);
            assert_eq!(seen.len(), expected.len(), "{seen:?}");
            for (seen, expected) in seen.iter().zip(expected) {
                assert!(seen.contains(expected), "{seen:?} for {expected:?}");
            }
        };
        check(r#"{"name":"ada"}"#, PERSON, &[]);
        check(r#"{"name":"ada","age":1.5}"#, PERSON, &["/age: "]);
        check(r#"{"name":"A"}"#, PERSON, &["/name: "]);
        check("{}", PERSON, &["/: "]);
        check("{}", "", &[]);
        check(r#"{"name":"#, "", &["the text is not JSON"]);
        check("```json\n{}\n```", PERSON, &["the text is not JSON"]);
        check(r#"{"a":1e999}"#, r#"{"required":["a"]}"#, &[]);
    }

    /// What cannot be checked is not found wrong, unless it is no JSON at all.
    #[test]
    fn schemas_that_cannot_be_used_ask_for_json() {
        let long = format!(r#"{{"type":"string","description":"{}"}}"#, "x".repeat(MAX_SCHEMA));
        for schema in [
            "{",
            "[]",
            r#"{"type":"obj"}"#,
            r#"{"type":"STRING"}"#,
            r#"{"$schema":"https://example.com/draft-99","type":"string"}"#,
            r#"{"minimum":3,"exclusiveMinimum":true}"#,
            r#"{"pattern":"("}"#,
            r#"{"$ref":"http://127.0.0.1:9/x"}"#,
            r#"{"$ref":"file:///etc/passwd"}"#,
            &long,
        ] {
            assert_eq!(violations("{}", schema), [""; 0], "{schema}");
            assert_eq!(violations("{", schema).len(), 1, "{schema}");
        }
    }

    /// Texts that are JSON but cannot be a value.
    #[test]
    fn texts_that_cannot_be_looked_into_only_have_to_be_json() {
        let nested = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        let long = format!("\"{}\"", "x".repeat(MAX_TEXT));
        for text in [&nested, &long, r#"{"a":1e999}"#, r#"["\ud83d"]"#] {
            assert_eq!(violations(text, r#"{"type":"null"}"#), [""; 0], "{text:.20}");
            assert_eq!(violations(&text[..text.len() - 1], "{}").len(), 1, "{text:.20}");
        }
    }

    /// What Zod writes for an e-mail address, and a reference back.
    #[test]
    fn patterns_may_look_around_and_refer_back() {
        let check = |pattern: &str, holds: &str, breaks: &str| {
            let schema = serde_json::json!({ "pattern": pattern }).to_string();
            let quoted = |text: &str| serde_json::json!(text).to_string();
            assert_eq!(violations(&quoted(holds), &schema), [""; 0], "{pattern}");
            assert_eq!(violations(&quoted(breaks), &schema).len(), 1, "{pattern}");
        };
        check(
            r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$",
            "ada.lovelace@example.com",
            "ada..lovelace@example.com",
        );
        check(r"^(.)b\1$", "aba", "abc");
    }

    #[test]
    fn what_is_said_is_bounded() {
        let text = format!("[{}]", vec!["1"; 1000].join(","));
        assert_eq!(violations(&text, r#"{"items":{"type":"string"}}"#).len(), MAX_VIOLATIONS);
        let key = "é".repeat(1000);
        let seen = violations("{}", &format!(r#"{{"required":["{key}"]}}"#));
        assert!(seen[0].len() <= MAX_MESSAGE, "{}", seen[0].len());
        assert_eq!(violations(&"x".repeat(MAX_TEXT + 1), "").len(), 1);
    }

    /// A backtracking engine needs 2⁴⁰ steps here.
    #[test]
    fn patterns_take_linear_time() {
        let text = format!("\"{}!\"", "a".repeat(40));
        assert_eq!(violations(&text, r#"{"pattern":"^(a+)+$"}"#).len(), 1);
        // One that must go back gives up, and is not said to fail.
        assert_eq!(violations(&text, r#"{"pattern":"^(a|a)*\\1b"}"#), [""; 0]);
        assert_eq!(violations(&text, r#"{"type":"null","pattern":"^(a|a)*\\1b"}"#).len(), 1);
    }
}
