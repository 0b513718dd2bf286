//! A client's own body on its way to a target of this dialect: the few places
//! that must not stay as they are. Byte splices; must not know why the target
//! was chosen.

use bytes::Bytes;

use super::fields::field;
use super::write::NO_SIGNATURE;
use crate::dialect::json::{self, Items, Patch};
use crate::dialect::node::Node;
use crate::dialect::peeking::span;

/// The body with this model wherever it names one: batches of embeddings and
/// counts of tokens repeat what the URL says.
#[must_use]
pub fn with_model(body: &Bytes, model: &str) -> Bytes {
    let Ok(text) = std::str::from_utf8(body) else { return body.clone() };
    let whole = Node::new(text);
    let nested = [whole.get("generateContentRequest"), whole.get("generate_content_request")];
    let named = whole.get("requests").into_iter().flat_map(Node::items);
    let named = named.chain(nested.into_iter().flatten()).chain([whole]);
    let name = json::quote(&format!("models/{}", model.trim_start_matches("models/")));
    let patches: Vec<Patch> = named
        .filter_map(|node| node.get("model"))
        .map(|model| Patch { span: span(text, model.raw()), text: name.clone() })
        .collect();
    if patches.is_empty() { body.clone() } else { json::patch(body, patches) }
}

/// The body with a stand-in for the signature that Gemini 3 wants on the first
/// call of each of the model's turns: calls that another provider made have none.
#[must_use]
pub fn with_signatures(body: &Bytes) -> Bytes {
    let Ok(text) = std::str::from_utf8(body) else { return body.clone() };
    let contents = Node::new(text).get("contents").into_iter().flat_map(Node::items);
    let patches: Vec<Patch> = contents
        .filter_map(unsigned_call)
        .map(|part| {
            let at = span(text, part).start + 1;
            let more = Items::new(part.as_bytes(), &(0..part.len())).next().is_some();
            let comma = if more { "," } else { "" };
            let text = format!(r#""thoughtSignature":"{NO_SIGNATURE}"{comma}"#);
            Patch { span: at..at, text }
        })
        .collect();
    if patches.is_empty() { body.clone() } else { json::patch(body, patches) }
}

/// The first call in a content, if it has no signature.
fn unsigned_call(content: Node<'_>) -> Option<&str> {
    let mut parts = content.get("parts")?.items();
    let call = parts.find(|part| field(*part, "functionCall").is_some())?;
    field(call, "thoughtSignature").is_none().then(|| call.raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_named_wherever_it_was() {
        let check = |body: &str, expected: &str| {
            let seen = with_model(&Bytes::from(body.to_owned()), "g");
            assert_eq!(std::str::from_utf8(&seen), Ok(expected));
        };
        check(r#"{"contents": []}"#, r#"{"contents": []}"#);
        check(
            r#"{"requests":[{"model":"models/a","content":{"model":1}}, {"model" : "b"}]}"#,
            r#"{"requests":[{"model":"models/g","content":{"model":1}}, {"model" : "models/g"}]}"#,
        );
        check(
            r#"{"generateContentRequest":{"model":"models/a","contents":[]}}"#,
            r#"{"generateContentRequest":{"model":"models/g","contents":[]}}"#,
        );
        check(r#"{"model":"models/a"}"#, r#"{"model":"models/g"}"#);
    }

    #[test]
    fn only_calls_of_other_providers_get_a_stand_in() {
        let check = |parts: &str, expected: &str| {
            let with =
                |parts: &str| format!(r#"{{"contents":[{{"role":"model","parts":[{parts}]}}]}}"#);
            let seen = with_signatures(&Bytes::from(with(parts)));
            assert_eq!(std::str::from_utf8(&seen), Ok(&*with(expected)));
        };
        let call = r#"{"functionCall":{"name":"f"}}"#;
        let signed = r#"{"functionCall":{"name":"f"},"thoughtSignature":"s"}"#;
        let text = r#"{"text":"a"}"#;
        let stand_in =
            format!(r#"{{"thoughtSignature":"{NO_SIGNATURE}","functionCall":{{"name":"f"}}}}"#);
        check(text, text);
        check(&format!("{signed},{call}"), &format!("{signed},{call}"));
        check(&format!("{text},{call},{call}"), &format!("{text},{stand_in},{call}"));
    }
}
