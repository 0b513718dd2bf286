//! Where a text breaks a JSON schema. Owns the bounds that make it safe to
//! check a model's text against a schema from a request: no references are
//! fetched, patterns run in linear time, and little is said. Must not know
//! whose text it is.

use jsonschema::PatternOptions;
use serde_json::Value;

const MAX_SCHEMA: usize = 64 << 10;
const MAX_TEXT: usize = 4 << 20;
const MAX_VIOLATIONS: usize = 16;
const MAX_MESSAGE: usize = 256;

/// Compiled patterns, in bytes each.
const MAX_PATTERN: usize = 1 << 20;

/// The violations, at most 16, each at most 256 bytes; empty when the text
/// holds. An empty schema only asks that the text is JSON. A schema that cannot
/// be used is a violation too: what was promised cannot be shown to hold.
#[must_use]
pub fn violations(text: &str, schema: &str) -> Vec<String> {
    match find(text, schema) {
        Ok(violations) => violations,
        Err(reason) => vec![cut(reason)],
    }
}

fn find(text: &str, schema: &str) -> Result<Vec<String>, String> {
    if text.len() > MAX_TEXT {
        return Err("the text is longer than 4 MiB: not checked".into());
    }
    if schema.len() > MAX_SCHEMA {
        return Err("the schema is longer than 64 KiB: not checked".into());
    }
    let value: Value =
        serde_json::from_str(text).map_err(|error| format!("the text is not JSON: {error}"))?;
    if schema.trim().is_empty() {
        return Ok(Vec::new());
    }
    let schema: Value =
        serde_json::from_str(schema).map_err(|error| format!("the schema is not JSON: {error}"))?;
    let patterns = PatternOptions::regex().size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN);
    let validator = jsonschema::options()
        .with_pattern_options(patterns)
        .offline()
        .build(&schema)
        .map_err(|error| format!("the schema cannot be used: {error}"))?;
    Ok(validator
        .iter_errors(&value)
        .take(MAX_VIOLATIONS)
        .map(|error| cut(format!("{}: {}", place(error.instance_path().as_str()), error.masked())))
        .collect())
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
        check("{}", "{", &["the schema is not JSON"]);
        check("{}", r#"{"type":"obj"}"#, &["the schema cannot be used"]);
        check("{}", r#"{"$ref":"http://127.0.0.1:9/x"}"#, &["the schema cannot be used"]);
        check("{}", r#"{"$ref":"file:///etc/passwd"}"#, &["the schema cannot be used"]);
    }

    #[test]
    fn what_is_said_is_bounded() {
        let text = format!("[{}]", vec!["1"; 1000].join(","));
        assert_eq!(violations(&text, r#"{"items":{"type":"string"}}"#).len(), MAX_VIOLATIONS);
        let key = "é".repeat(1000);
        let seen = violations("{}", &format!(r#"{{"required":["{key}"]}}"#));
        assert!(seen[0].len() <= MAX_MESSAGE, "{}", seen[0].len());
        assert_eq!(violations(&"x".repeat(MAX_TEXT + 1), "").len(), 1);
        assert_eq!(violations("{}", &" ".repeat(MAX_SCHEMA + 1)).len(), 1);
    }

    /// A backtracking engine needs 2⁴⁰ steps here.
    #[test]
    fn patterns_take_linear_time() {
        let text = format!("\"{}!\"", "a".repeat(40));
        assert_eq!(violations(&text, r#"{"pattern":"^(a+)+$"}"#).len(), 1);
    }
}
