//! A chat request's system prompt, put into a template: a splice, every other
//! byte stays.

use bytes::Bytes;

use crate::dialect::json::{self, Item, Items, Patch, Span};
use crate::dialect::openai::chunk::content_text;

/// Where the client's own system prompt goes in a template.
const PLACEHOLDER: &str = "{{system}}";

/// The body with its system prompt put into a template (`{{system}}` stands for
/// the client's own; without it the template replaces it).
#[must_use]
pub fn with_system(body: &Bytes, template: &str) -> Bytes {
    let Ok(text) = std::str::from_utf8(body) else { return body.clone() };
    let Some(messages) = member(body, &json::whole(body), "messages") else { return body.clone() };
    let leading: Vec<Item> =
        Items::new(body, &messages).take_while(|item| is_system(text, &item.value)).collect();
    let contents = leading.iter().filter_map(|item| member(body, &item.value, "content"));
    let own: Vec<String> = contents.map(|span| joined(&text[span])).collect();
    let own: Vec<&str> = own.iter().map(String::as_str).filter(|own| !own.is_empty()).collect();
    let system = template.replace(PLACEHOLDER, &own.join("\n\n"));
    match leading.split_first() {
        None if system.is_empty() => body.clone(),
        None => json::patch(body, vec![inserted(body, &messages, &system)]),
        Some((first, rest)) => {
            let mut patches = vec![replaced(body, first, &system)];
            patches.extend(rest.iter().map(removed));
            json::patch(body, patches)
        }
    }
}

/// A system message before all others.
pub fn inserted(body: &[u8], messages: &Span, system: &str) -> Patch {
    let message = format!(r#"{{"role":"system","content":{}}}"#, json::quote(system));
    json::prepend(body, messages, &message)
}

fn replaced(body: &[u8], first: &Item, system: &str) -> Patch {
    let content = json::quote(system);
    match member(body, &first.value, "content") {
        Some(span) => Patch { span, text: content },
        None => Patch {
            span: first.value.clone(),
            text: format!(r#"{{"role":"system","content":{content}}}"#),
        },
    }
}

/// A message after the first goes with the comma before it.
fn removed(item: &Item) -> Patch {
    let start = item.comma_before.unwrap_or(item.value.start);
    Patch { span: start..item.value.end, text: String::new() }
}

/// The last one counts, as with most servers.
fn member(body: &[u8], object: &Span, name: &str) -> Option<Span> {
    let named = |item: &Item| item.key.as_ref().is_some_and(|key| json::key_is(body, key, name));
    Items::new(body, object).filter(named).last().map(|item| item.value)
}

fn is_system(text: &str, message: &Span) -> bool {
    let role = member(text.as_bytes(), message, "role");
    let role = role.and_then(|span| json::unquote(&text[span]));
    matches!(role.as_deref(), Some("system" | "developer"))
}

/// A content's texts, joined by blank lines.
fn joined(content: &str) -> String {
    if let Some(text) = json::unquote(content) {
        return text.into_owned();
    }
    let parts = Items::new(content.as_bytes(), &(0..content.len()));
    let texts: Vec<_> = parts.map(|part| content_text_of(&content[part.value])).collect();
    texts.join("\n\n")
}

/// The text of one part.
fn content_text_of(part: &str) -> String {
    content_text(&format!("[{part}]")).into_owned()
}
