//! The names of Gemini's fields. Its server takes camelCase and `snake_case`
//! alike, and clients send both. Owns that, and what a part of a content holds;
//! must not know what a field means for a request or an answer.

use std::borrow::Cow;

use crate::dialect::json;
use crate::dialect::node::Node;

/// A key in camelCase.
#[must_use]
pub fn camel(key: Cow<'_, str>) -> Cow<'_, str> {
    if !key.contains('_') {
        return key;
    }
    let mut out = String::with_capacity(key.len());
    let mut raise = false;
    for c in key.chars() {
        if c == '_' && !out.is_empty() {
            raise = true;
        } else if raise {
            out.push(c.to_ascii_uppercase());
            raise = false;
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

fn snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// A member by its camelCase name, whichever way it is written.
#[must_use]
pub fn field<'a>(node: Node<'a>, name: &str) -> Option<Node<'a>> {
    node.get(name).or_else(|| {
        let other = name.bytes().any(|byte| byte.is_ascii_uppercase());
        other.then(|| node.get(&snake(name))).flatten()
    })
}

/// The text of a string member.
#[must_use]
pub fn text<'a>(node: Node<'a>, name: &str) -> Option<Cow<'a, str>> {
    field(node, name)?.str()
}

/// The members of an object with their keys in camelCase, without nulls.
pub fn members(node: Node<'_>) -> impl Iterator<Item = (Cow<'_, str>, Node<'_>)> {
    node.members().filter(|(_, value)| !value.is_null()).map(|(key, value)| (camel(key), value))
}

/// What one part of a content holds. Read in one pass: parts can be large.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fields<'a> {
    pub text: Option<Node<'a>>,
    pub thought: bool,
    pub signature: Option<Cow<'a, str>>,
    pub inline_data: Option<Node<'a>>,
    pub file_data: Option<Node<'a>>,
    pub call: Option<Node<'a>>,
    pub response: Option<Node<'a>>,
    /// What only Gemini has: a server's tools.
    pub server: Option<&'static str>,
    /// A hint on how closely media are looked at.
    pub resolution: bool,
    /// Any other key.
    pub unknown: Option<Cow<'a, str>>,
}

impl<'a> Fields<'a> {
    #[must_use]
    pub fn of(part: Node<'a>) -> Self {
        let mut fields = Self::default();
        for (key, value) in members(part) {
            match &*key {
                "text" => fields.text = Some(value),
                "thought" => fields.thought = value.bool() == Some(true),
                "thoughtSignature" => fields.signature = value.str(),
                "inlineData" => fields.inline_data = Some(value),
                "fileData" => fields.file_data = Some(value),
                "functionCall" => fields.call = Some(value),
                "functionResponse" => fields.response = Some(value),
                "executableCode" => fields.server = Some("executableCode"),
                "codeExecutionResult" => fields.server = Some("codeExecutionResult"),
                "toolCall" => fields.server = Some("toolCall"),
                "toolResponse" => fields.server = Some("toolResponse"),
                "videoMetadata" | "mediaResolution" => fields.resolution = true,
                "partMetadata" => {}
                _ => fields.unknown = Some(key),
            }
        }
        fields
    }
}

/// The texts of a content or, as some clients send it, of a string.
pub fn texts(content: Node<'_>) -> Vec<Cow<'_, str>> {
    if let Some(text) = content.str() {
        return vec![text];
    }
    let Some(parts) = field(content, "parts") else { return Vec::new() };
    parts.items().filter_map(|part| text(part, "text")).filter(|text| !text.is_empty()).collect()
}

/// JSON without the space between its tokens.
#[must_use]
pub fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut quoted, mut escaped) = (false, false);
    for c in json.chars() {
        if !quoted && c.is_ascii_whitespace() {
            continue;
        }
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && c == '\\' && !escaped;
        out.push(c);
    }
    out
}

/// Whether a text is a JSON object.
#[must_use]
pub fn is_object(text: &str) -> bool {
    text.trim_ascii_start().starts_with('{')
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// One member `"name":value` of an object under construction.
pub fn push_member(out: &mut String, name: &str, value: &str) {
    if !out.ends_with('{') {
        out.push(',');
    }
    out.push('"');
    out.push_str(name);
    out.push_str("\":");
    out.push_str(value);
}

/// The same with a string.
pub fn push_text(out: &mut String, name: &str, value: &str) {
    push_member(out, name, &json::quote(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_one_name() {
        let check = |key: &str, expected: &str| assert_eq!(camel(key.into()), expected);
        check("system_instruction", "systemInstruction");
        check("systemInstruction", "systemInstruction");
        check("_x_", "_x");
        check("top_k", "topK");
        let node = Node::new(r#"{"top_k":1,"topP":2,"seed":3,"file_uri":null}"#);
        let number = |name| field(node, name).and_then(Node::u32);
        assert_eq!(
            [number("topK"), number("topP"), number("seed"), number("fileUri")],
            [Some(1), Some(2), Some(3), None]
        );
    }

    #[test]
    fn space_goes_only_between_tokens() {
        let check = |json: &str, expected: &str| assert_eq!(compact(json), expected);
        check("{ \"a b\" : [ 1 ,\n2 ] }", r#"{"a b":[1,2]}"#);
        check(r#"{"a\" b": "c\\" , "d":1}"#, r#"{"a\" b":"c\\","d":1}"#);
        assert!(is_object(" {\"a\":1} ") && !is_object("[1]") && !is_object("{"));
    }
}
